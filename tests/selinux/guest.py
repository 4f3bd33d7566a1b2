"""A host in QEMU, reached over ssh: boots an image on a layer that is thrown away, and runs scripts in it as centos."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PASSWORD = "centos"
# From power-on to ssh, and from ssh to the end of the boot: emulation of the processor is slow.
BOOT_SECONDS = 1200
USER_DATA = f"#cloud-config\npassword: {PASSWORD}\nchpasswd: {{ expire: false }}\nssh_pwauth: true\n"
META_DATA = "instance-id: selinux\nlocal-hostname: atomic-test\n"
TOOLS = {"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils", "sshpass": "sshpass", "mkfs.fat": "dosfstools", "mcopy": "mtools"}


class Failure(Exception):
    """What a check expected and what it found."""


def missing_tools() -> list[str]:
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    return [f"{tool} (package {package})" for tool, package in TOOLS.items() if shutil.which(tool) is None]


class Guest:
    def __init__(self, image: Path):
        self.folder = Path(tempfile.mkdtemp(prefix="selinux-guest."))
        kind = "raw" if image.suffix == ".raw" else "qcow2"
        disk, seed = self.folder / "disk.qcow2", self.folder / "seed.img"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", str(image.resolve()), str(disk)], check=True)
        subprocess.run(["mkfs.fat", "-n", "CIDATA", "-C", str(seed), "1024"], check=True, stdout=subprocess.DEVNULL)
        for name, text in (("user-data", USER_DATA), ("meta-data", META_DATA)):
            subprocess.run(["mcopy", "-i", str(seed), "-", f"::{name}"], input=text.encode(), check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.serial = self.folder / "serial.log"
        words = ["qemu-system-x86_64", "-machine", "q35", "-cpu", "max,-la57", "-smp", "2", "-m", "3072", "-display", "none"]
        words += ["-serial", f"file:{self.serial}", "-device", "virtio-rng-pci"]
        for number, (path, form) in enumerate(((disk, "qcow2"), (seed, "raw"))):
            words += ["-drive", f"if=none,id=d{number},format={form},file={path}", "-device", f"virtio-blk-pci,drive=d{number}"]
        words += ["-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{self.port}-:22", "-device", "virtio-net-pci,netdev=net"]
        self.machine = subprocess.Popen(words, stdin=subprocess.DEVNULL)

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_: object) -> None:
        self.machine.terminate()
        self.machine.wait()
        shutil.rmtree(self.folder)

    def run(self, command: str, stdin: bytes = b"", seconds: int = 600) -> tuple[int, str]:
        """The exit code of a command and what it printed to stdout and stderr."""
        words = ["sshpass", "-p", PASSWORD, "ssh", "-p", str(self.port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        words += ["-o", "LogLevel=ERROR", "-o", "ConnectTimeout=60", "centos@127.0.0.1", command]
        ended = subprocess.run(words, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
        return ended.returncode, ended.stdout.decode(errors="replace")

    def must(self, command: str, stdin: bytes = b"", seconds: int = 600) -> str:
        """What a command printed; it must succeed."""
        code, said = self.run(command, stdin, seconds)
        if code != 0:
            raise Failure(f"{command.splitlines()[0][:80]} ended with {code}: {said[-2000:]}")
        return said

    def wait(self, not_boot: str = "") -> str:
        """Waits until a boot other than `not_boot` has come to its end; returns its boot id."""
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            if self.machine.poll() is not None:
                raise Failure(f"QEMU ended with {self.machine.returncode}")
            try:
                code, boot = self.run("cat /proc/sys/kernel/random/boot_id", seconds=90)
            except subprocess.TimeoutExpired:
                continue
            if code == 0 and boot.strip() != not_boot:
                self.run("timeout 500 cloud-init status --wait; timeout 500 systemctl is-system-running --wait", seconds=1100)
                return boot.strip()
            time.sleep(5)
        raise Failure(f"no ssh within {BOOT_SECONDS} s; the console's last words: {self.serial.read_text(errors='replace')[-3000:]}")

    def reboot(self, boot: str) -> str:
        self.run("sudo systemctl reboot")
        return self.wait(boot)
