"""A project that builds in a fraction of a second: one package with the outline of a host, one with GRUB's images, an overlay. For tests that build
hundreds of times. Needs rpmbuild, createrepo_c, busybox-static, grub-common and grub-pc-bin."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
BUILDER = Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "release/atomic-image"


def spec(name, summary, install, files):
    """The spec file of a package: `install` is a shell script that fills $root, `files` the list of what is in it."""
    return f"""Name: {name}
Version: 1
Release: 1
Summary: {summary}
License: MIT
BuildArch: x86_64
AutoReqProv: no
%global __os_install_post %{{nil}}
%description
For tests.
%install
root=%{{buildroot}}
{install}%files
{files}"""


HOST = spec("host", "The outline of a host", """\
mkdir -p $root/usr/lib/modules/5.0 $root/usr/lib/systemd/system $root/usr/bin $root/usr/share/data $root/etc $root/var
echo kernel >$root/usr/lib/modules/5.0/vmlinuz
echo initramfs >$root/usr/lib/modules/5.0/initramfs.img
echo '[Unit]' >$root/usr/lib/systemd/system/multi-user.target
printf 'ID=x\\nNAME=X\\n' >$root/etc/os-release
for n in 1 2 3 4 5 6 7 8; do seq $((n * 100)) $((n * 3000)) >$root/usr/share/data/$n; done
cp /bin/busybox $root/usr/bin/busybox
""", """\
/usr
/etc
/var
""")

GRUB = spec("grub-images", "GRUB's images, made by a program that copies them", """\
mkdir -p $root/usr/bin $root/usr/lib/grub/i386-pc
cp /bin/busybox $root/usr/bin/busybox
for name in sh mkdir head cp; do ln -s busybox $root/usr/bin/$name; done
cp /usr/lib/grub/i386-pc/boot.img $root/usr/lib/grub/i386-pc/boot.img
cp CORE $root/usr/lib/core.img
cat >$root/usr/bin/grub-mkimage <<'END'
#!/usr/bin/sh
while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done
/usr/bin/cp /usr/lib/core.img "$out"
END
chmod 755 $root/usr/bin/grub-mkimage
""", """\
/usr
""")

RECIPE = """schema = 1
name = "small"
ref = "small/x86_64/stable"
epoch = 1700000000
[[repo]]
id = "local"
type = "rpm-md"
url = "file://RPMS"
keys = "unsigned"
[packages]
install = ["host"]
[tools]
install = ["grub-images"]
[overlay]
folders = ["unit"]
[units]
default = "multi-user.target"
[initramfs]
generator = "none"
[disk]
grow = false
esp = "64MiB"
boot = "64MiB"
reserve = "16MiB"
[output]
formats = ["raw", "qcow2"]
"""


def run(*words, **more):
    return subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def must(*words, **more):
    done = run(*words, **more)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


class Project:
    """`top`/project has the recipe, `top`/rpms the repository; everything that a build makes is in `top`/warm."""

    def __init__(self, top):
        self.top = Path(top)
        specs, rpms, project = (self.top / name for name in ["specs", "rpms", "project"])
        unit = project / "rootfs-overlay/unit/usr/lib/systemd/system"
        for folder in [specs, rpms, project / "recipes", unit]:
            folder.mkdir(parents=True)
        (unit / "multi-user.target").write_text("[Unit]\n")
        shutil.copytree(TOP / "boot", project / "boot")
        core = specs / "core.img"
        must("grub-mkimage", "-O", "i386-pc", "-p", "(,gpt3)/grub2", "-o", core, "biosdisk", "part_gpt", "ext2", "normal")
        for name, text in [("host", HOST), ("grub", GRUB.replace("CORE", str(core)))]:
            (specs / f"{name}.spec").write_text(text)
            must("rpmbuild", "-bb", "--quiet", "--define", f"_rpmdir {rpms}", "--define", f"_topdir {self.top}/rpmbuild", specs / f"{name}.spec")
        must("createrepo_c", "-q", rpms)
        self.recipe = project / "recipes/small.toml"
        self.recipe.write_text(RECIPE.replace("RPMS", str(rpms)))
        self.lockfile = project / "recipes/small.lock"
        self.warm = self.top / "warm"

    def words(self, place=None, *more):
        place = place or self.warm
        return [
            str(word)
            for word in [BUILDER, "build", self.recipe, "--cache", place / "cache", "--state", place / "state", "--out", place / "out"]
            + ["--repo", place / "repo", "--json", "--quiet", *more]
        ]

    def build(self, place=None, *more, **how):
        return run(*self.words(place, *more), **how)


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def artifacts(place):
    """The digest of each artifact that is there, by its file's name."""
    folder = Path(place) / "out/small"
    return {path.name: sha256(path) for path in sorted(folder.glob("small.*")) if path.is_file()}


def claims(place):
    """What the manifest says; None if there is none, nothing if it cannot be read."""
    manifest = Path(place) / "out/small/manifest.json"
    if not manifest.is_file():
        return None
    try:
        return {row["file"]: row["sha256"] for row in json.loads(manifest.read_text())["artifacts"]}
    except ValueError:
        # Cut short or zeroed: it claims nothing, which is not what is there.
        return {}
