"""A host in a folder: a sysroot that the real `ostree` deploys into, and the state beside it. Nothing of it boots; a test says which deployment runs."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from unittest import mock

from server import REF, Key, Server, tool

from atomic_host import deployments, grubenv, programs
from atomic_host.layout import Layout
from atomic_host.source import Source, load

OS = "atomic-host"


class Machine:
    """A machine with one or more deployments from a server."""

    def __init__(self, folder: Path, server: Server, key: Key) -> None:
        os.environ["OSTREE_SYSROOT_DEBUG"] = "mutable-deployments"
        self.folder, self.sysroot = folder, folder / "sysroot"
        self.sysroot.mkdir(parents=True)
        tool("ostree", "admin", "init-fs", str(self.sysroot))
        tool("ostree", "admin", "os-init", f"--sysroot={self.sysroot}", OS)
        self.layout = Layout.below(folder, self.sysroot)
        url = f"file://{server.repo}"
        tool("ostree", "remote", "add", f"--repo={self.layout.repo}", "--no-gpg-verify", OS, url)
        self.write("usr/share/atomic-image/update.json", json.dumps(
            {"schema": 1, "os": OS, "ref": REF, "remote": OS, "channel": "stable", "version": "1.0", "title": "Test"}))
        self.write("usr/share/atomic-image/update-keys.ed25519", self.line(key))
        self.write(f"etc/ostree/remotes.d/{OS}.conf", f'[remote "{OS}"]\nurl={url}\nsign-verify=ed25519\n')
        self.write("etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        (self.sysroot / "boot/grub2").mkdir(parents=True)
        self.layout.grubenv.write_bytes(grubenv.encode({}))
        self.running = ""
        real = programs.attempt

        def attempt(words, limit=programs.LIMIT):  # type: ignore[no-untyped-def]
            done = real(words, limit)
            if list(words[:3]) == ["ostree", "admin", "status"] and self.running:
                done.stdout = done.stdout.replace(f"  {OS} {self.running}", f"* {OS} {self.running}", 1)
            return done

        self.patch = mock.patch.object(deployments, "attempt", attempt)
        self.patch.start()

    @staticmethod
    def line(key: Key) -> str:
        import base64

        return base64.b64encode(key.public).decode() + "\n"

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def install(self, commit: str, *kargs: str) -> None:
        """Pulls and deploys a commit, as whoever built the image or an administrator would."""
        tool("ostree", "pull", f"--repo={self.layout.repo}", OS, f"{REF}@{commit}")
        words = [f"--karg={word}" for word in kargs]
        tool("ostree", "admin", "deploy", f"--sysroot={self.sysroot}", f"--os={OS}", "--retain", *words, f"{OS}:{REF}")

    def boot(self, commit: str, serial: int = 0) -> None:
        """Says which deployment runs from now on."""
        self.running = f"{commit}.{serial}"

    @property
    def source(self) -> Source:
        return load(self.layout)

    def close(self) -> None:
        self.patch.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
