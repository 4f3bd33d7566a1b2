//! The OSTree shape: configuration below /usr/etc, state below /var, links from where programs look.

use crate::text_file::text_file;
use model::tree::{Attributes, Edit, FileTree, Inode};
use model::{ImagePath, Result, SourceDateEpoch};

/// Top-level directories that become links into /var, which survives upgrades.
const LINKS: &[(&str, &str)] = &[
    ("/home", "var/home"),
    ("/opt", "var/opt"),
    ("/srv", "var/srv"),
    ("/mnt", "var/mnt"),
    ("/root", "var/roothome"),
    ("/media", "run/media"),
    ("/ostree", "sysroot/ostree"),
    ("/usr/local", "../var/usrlocal"),
];

/// Mount points and other directories that exist but are empty.
const EMPTY: &[(&str, u16)] = &[
    ("/boot", 0o755),
    ("/sysroot", 0o755),
    ("/var", 0o755),
    ("/proc", 0o755),
    ("/sys", 0o755),
    ("/dev", 0o755),
    ("/run", 0o755),
    ("/tmp", 0o1777),
];

/// What the links of `LINKS` point at, for systemd-tmpfiles to make at boot.
const STATE: &str = "\
d /var/home 0755 root root -
d /var/opt 0755 root root -
d /var/srv 0755 root root -
d /var/mnt 0755 root root -
d /var/roothome 0700 root root -
d /var/usrlocal 0755 root root -
d /var/usrlocal/bin 0755 root root -
d /var/usrlocal/sbin 0755 root root -
d /var/usrlocal/lib 0755 root root -
d /var/usrlocal/etc 0755 root root -
d /var/usrlocal/share 0755 root root -
d /run/media 0755 root root -
";

/// /var was emptied before; what the links point at gets lines of its own.
pub fn apply(tree: &mut FileTree, epoch: SourceDateEpoch) -> Result<()> {
    let tmpfiles = format!("# Where the links of / lead.\n{STATE}");
    text_file(tree, "/usr/lib/tmpfiles.d/atomic-image-state.conf", tmpfiles, epoch)?;
    tree.rename(&ImagePath::parse("/etc")?, &ImagePath::parse("/usr/etc")?)?;
    for (path, target) in LINKS {
        let path = ImagePath::parse(path)?;
        tree.remove(&path);
        let mut link = Inode::symlink(target);
        link.attributes.mtime = i64::from(epoch.0);
        tree.insert(&path, link, Edit::Create)?;
    }
    for (path, mode) in EMPTY {
        let path = ImagePath::parse(path)?;
        tree.remove(&path);
        tree.insert(&path, Inode::directory(Attributes::at(epoch, *mode)), Edit::Create)?;
    }
    Ok(())
}
