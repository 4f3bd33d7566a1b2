"""A host that is not ours: Debian trixie in an OSTree sysroot with SYSLINUX, made by mmdebstrap, dracut, ostree and extlinux as their manuals say.

Nothing of this project is on it. Its administrator has files of their own in /etc and /var, which an update must leave alone.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import lab

REF = "foreign/x86_64/stable"
OS = "debian"
SUITE = "trixie"
PACKAGES = (
    "systemd systemd-sysv udev dbus linux-image-cloud-amd64 dracut ostree ostree-boot gpg ca-certificates iproute2 kmod zstd cpio e2fsprogs procps openssh-server"
).split()
# MiB.
DISK, BOOT_START, BOOT_SIZE = 6144, 1, 512
# SYSLINUX reads neither; it needs the old layout.
BOOT_FEATURES = "^64bit,^metadata_csum,^orphan_file"
# Without KVM a guest of a busy machine finds its disk late.
KERNEL = ["root=LABEL=foreign-root", "rw", "console=ttyS0,115200", "systemd.default_device_timeout_sec=600"]
MBR = Path("/usr/lib/syslinux/mbr/mbr.bin")
# /etc of an administrator, and what runs the test's steps at each boot.
ETC = {
    "fstab": "LABEL=foreign-root / ext4 defaults 0 1\nLABEL=foreign-boot /boot ext4 defaults 0 2\n",
    "hostname": "foreign\n",
    "foreign.conf": "kept = yes\n",
    "systemd/network/20-wired.network": "[Match]\nName=en* eth*\n[Network]\nDHCP=yes\n",
    "systemd/system/foreign-steps.service": (
        "[Unit]\nWants=network-online.target\nAfter=network-online.target\n"
        "[Service]\nExecStart=/bin/sh /var/lib/foreign/steps\n[Install]\nWantedBy=multi-user.target\n"
    ),
}
ENABLED = {
    "systemd/system/multi-user.target.wants/foreign-steps.service": "../foreign-steps.service",
    "systemd/system/multi-user.target.wants/systemd-networkd.service": "/usr/lib/systemd/system/systemd-networkd.service",
    "systemd/system/network-online.target.wants/systemd-networkd-wait-online.service": "/usr/lib/systemd/system/systemd-networkd-wait-online.service",
}
# Where /home and the like go in an OSTree tree.
MOVED = {"home": "var/home", "opt": "var/opt", "srv": "var/srv", "root": "var/roothome", "mnt": "var/mnt", "usr/local": "../var/usrlocal", "media": "run/media"}


def make(folder: Path, files: dict[str, str]) -> Path:
    """Makes the disk. `files` go to /var/lib/foreign. Needs root, since it mounts what it makes."""
    root = folder / "root"
    mirror = lab.prepare.mirror_of_apt()
    if mirror is None:
        lab.fail("no Debian mirror among the machine's apt sources")
    lab.must("mmdebstrap", "--mode=root", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, root, mirror)
    shape(root)
    disk = folder / "foreign.raw"
    lab.must("truncate", f"--size={DISK}M", disk)
    table = f"label: dos\nstart={BOOT_START}MiB, size={BOOT_SIZE}MiB, type=83, bootable\nstart={BOOT_START + BOOT_SIZE}MiB, type=83\n"
    lab.must("sfdisk", "--quiet", disk, input=table)
    sysroot = folder / "sysroot"
    filesystems = [
        ("foreign-root", BOOT_START + BOOT_SIZE, DISK - BOOT_START - BOOT_SIZE, sysroot, "ext_attr"),
        ("foreign-boot", BOOT_START, BOOT_SIZE, sysroot / "boot", BOOT_FEATURES),
    ]
    for label, start, size, _, features in filesystems:
        lab.must("mke2fs", "-q", "-t", "ext4", "-O", features, "-L", label, "-E", f"offset={start << 20}", disk, f"{size << 10}k")
    with ExitStack() as stack:
        for _, start, size, where, _ in filesystems:
            where.mkdir()
            lab.must("mount", "-o", f"loop,offset={start << 20},sizelimit={size << 20}", disk, where)
            stack.callback(lab.must, "umount", where)
        install(root, sysroot, files)
    with open(disk, "r+b") as file:
        file.write(MBR.read_bytes()[:440])
    shutil.rmtree(root)
    return disk


def shape(root: Path) -> None:
    """Gives a Debian root the shape that OSTree wants, and an initramfs that finds deployments."""
    kernels = [path.name for path in (root / "usr/lib/modules").iterdir() if (path / "modules.order").exists()]
    if len(kernels) != 1:
        lab.fail(f"expected one kernel, found {kernels}")
    modules = root / "usr/lib/modules" / kernels[0]
    shutil.move(root / f"boot/vmlinuz-{kernels[0]}", modules / "vmlinuz")
    words = ["--force", "--no-hostonly", "--reproducible", "--add", "ostree", "--add-drivers", "virtio_blk virtio_pci ext4"]
    with ExitStack() as stack:
        for name in ("dev", "proc", "sys"):
            lab.must("mount", "--rbind", "--make-rslave", f"/{name}", root / name)
            stack.callback(lab.must, "umount", "--recursive", root / name)
        lab.must("chroot", root, "dracut", *words, f"/usr/lib/modules/{kernels[0]}/initramfs.img", kernels[0])
    for name in ("boot", "var", "run", "tmp"):
        shutil.rmtree(root / name)
        (root / name).mkdir()
    (root / "tmp").chmod(0o1777)
    for name, target in MOVED.items():
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).symlink_to(target)
    (root / "sysroot").mkdir()
    (root / "ostree").symlink_to("sysroot/ostree")
    lines = [f"d /{target.removeprefix('../')} 0755 root root -\n" for target in MOVED.values() if "var/" in target]
    (root / "usr/lib/tmpfiles.d/foreign.conf").write_text("".join(sorted(lines)))
    (root / "etc/machine-id").write_text("")
    (root / "etc").rename(root / "usr/etc")
    for path in root.rglob("*"):
        if path.is_socket() or path.is_fifo() or path.is_block_device() or path.is_char_device():
            path.unlink()


def install(root: Path, sysroot: Path, files: dict[str, str]) -> None:
    """Commits the root, deploys it, and installs the boot loader, into a mounted sysroot."""
    admin = ("ostree", "admin", f"--sysroot={sysroot}")
    lab.must(*admin, "init-fs", sysroot)
    lab.must(*admin, "os-init", OS)
    # libostree keeps the menu of SYSLINUX where this link is.
    boot = sysroot / "boot"
    (boot / "loader.0").mkdir()
    (boot / "loader").symlink_to("loader.0")
    (boot / "loader/syslinux.cfg").write_text("")
    (boot / "syslinux").mkdir()
    for name in ("syslinux.cfg", "extlinux.conf"):
        (boot / "syslinux" / name).symlink_to("../loader/syslinux.cfg")
    lab.must("ostree", "commit", f"--repo={sysroot}/ostree/repo", f"--branch={REF}", "--add-metadata-string=version=13", f"--tree=dir={root}")
    arguments = [f"--karg={argument}" for argument in KERNEL]
    lab.must(*admin, "deploy", f"--os={OS}", *arguments, REF)
    lab.must("extlinux", "--install", boot / "syslinux")
    (deployment,) = (path for path in (sysroot / f"ostree/deploy/{OS}/deploy").iterdir() if path.is_dir())
    for name, text in ETC.items():
        path = deployment / "etc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, target in ENABLED.items():
        path = deployment / "etc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)
    place = sysroot / f"ostree/deploy/{OS}/var/lib/foreign"
    place.mkdir(parents=True)
    for name, text in files.items():
        (place / name).write_text(text)
