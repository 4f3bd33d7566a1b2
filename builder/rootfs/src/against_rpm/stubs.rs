//! Packages that stand in for those whose payloads are not among the fixtures.

use super::built;
use std::path::{Path, PathBuf};

/// Its directory of locales, and `getent` as far as scriptlets ask it.
pub(super) fn glibc_common(folder: &Path) -> Option<PathBuf> {
    let getent =
        "#!/bin/bash\nwhile IFS=: read -r name rest; do [ \"$name\" = \"$2\" ] && echo \"$name:$rest\" && exit 0; done < /etc/$1\nexit 2\n";
    let install = format!(
        "mkdir -p %{{buildroot}}/usr/lib/locale %{{buildroot}}/usr/bin\ncat > %{{buildroot}}/usr/bin/getent <<'END'\n{getent}END\nchmod 755 %{{buildroot}}/usr/bin/getent"
    );
    let sections = format!(
        "Provides: glibc-common(x86-64) = 2.17-292.el7\n%description\nx\n%install\n{install}\n%files\n/usr/lib/locale\n/usr/bin/getent\n"
    );
    built(folder, "glibc-common", &sections)
}

const GROUPADD: &str = r#"#!/bin/bash
while [ $# -gt 1 ]; do case $1 in -g) gid=$2; shift;; esac; shift; done
/usr/bin/getent group "$1" >/dev/null && exit 9
echo "$1:x:$gid:" >> /etc/group
"#;

const USERADD: &str = r#"#!/bin/bash
while [ $# -gt 1 ]; do
    case $1 in -u) uid=$2; shift;; -g) gid=$2; shift;; -c) comment=$2; shift;; -d) home=$2; shift;; -s) shell=$2; shift;; esac
    shift
done
/usr/bin/getent passwd "$1" >/dev/null && exit 9
case $gid in *[!0-9]*) IFS=: read -r _ _ gid _ <<< "$(/usr/bin/getent group "$gid")";; esac
echo "$1:x:$uid:$gid:$comment:$home:$shell" >> /etc/passwd
"#;

/// Accounts with given ids only, which is what the scriptlets of the fixtures ask for.
pub(super) fn shadow_utils(folder: &Path) -> Option<PathBuf> {
    let write = |name: &str, text: &str| format!("cat > %{{buildroot}}/usr/sbin/{name} <<'END_OF_SCRIPT'\n{text}END_OF_SCRIPT\n");
    let scripts = write("groupadd", GROUPADD) + &write("useradd", USERADD);
    let head = "Requires: bash\nRequires: glibc-common\n%description\nx\n";
    let sections = format!(
        "{head}%install\nmkdir -p %{{buildroot}}/usr/sbin\n{scripts}chmod 755 %{{buildroot}}/usr/sbin/*\n%files\n/usr/sbin/groupadd\n/usr/sbin/useradd\n"
    );
    built(folder, "shadow-utils", &sections)
}

/// The programs of coreutils and grep that scriptlets call, from the host's static busybox.
pub(super) fn coreutils(folder: &Path) -> Option<PathBuf> {
    if !Path::new("/bin/busybox").exists() {
        fixtures::missing("no static busybox");
        return None;
    }
    let names = "touch mkdir cp mv rm ln cat chmod date wc id uname readlink ls cut head tail sort tr basename dirname grep true false env uniq rmdir";
    let sections = format!(
        "%install\nmkdir -p %{{buildroot}}/usr/bin\ncp /bin/busybox %{{buildroot}}/usr/bin/coreutils-busybox\n\
         for name in {names}; do ln -s coreutils-busybox %{{buildroot}}/usr/bin/$name; done\n%files\n/usr/bin/*\n"
    );
    built(folder, "coreutils", &sections)
}
