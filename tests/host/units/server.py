"""A repository that is served from a folder, with keys made by openssl, and commits, summary and release plan signed as the host expects them."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Optional

HERE = Path(__file__).resolve()
LIBRARY = HERE.parents[3] / "rootfs-overlay/update/usr/libexec/atomic-image"
sys.path.insert(0, str(LIBRARY))
sys.dont_write_bytecode = True

REF = "atomic-host/x86_64/test"
# The first times of commits, in seconds since 1970.
EPOCH = 1_700_000_000


def tool(*words: str, given: Optional[bytes] = None) -> bytes:
    """Runs a program that must succeed, and returns what it printed."""
    done = subprocess.run(words, input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done.stdout


class Key:
    """An ed25519 key pair."""

    def __init__(self, folder: Path, name: str) -> None:
        self.file = folder / f"{name}.pem"
        tool("openssl", "genpkey", "-algorithm", "ed25519", "-out", str(self.file))
        self.public = tool("openssl", "pkey", "-in", str(self.file), "-pubout", "-outform", "DER")[-32:]

    def sign(self, data: bytes) -> bytes:
        with tempfile.NamedTemporaryFile() as content:
            content.write(data)
            content.flush()
            return tool("openssl", "pkeyutl", "-sign", "-inkey", str(self.file), "-rawin", "-in", content.name)


def detached(*signatures: bytes) -> bytes:
    """Serializes `{'ostree.sign.ed25519': <[…]>}` as a{sv}; short values have framing offsets of one byte, longer ones of two."""

    def with_offsets(items: list[bytes]) -> bytes:
        body = b"".join(items)
        width = 1 if len(body) + len(items) <= 0xFF else 2
        ends, at = [], 0
        for item in items:
            at += len(item)
            ends.append(at.to_bytes(width, "little"))
        return body + b"".join(ends)

    variant = with_offsets(list(signatures)) + b"\0aay"
    key = b"ostree.sign.ed25519\0"
    entry = key + b"\0" * (-len(key) % 8) + variant
    width = 1 if len(entry) + 1 <= 0xFF else 2
    return with_offsets([entry + len(key).to_bytes(width, "little")])


class Server:
    """A signed archive repository in a folder."""

    def __init__(self, folder: Path, key: Key) -> None:
        self.repo, self.key = folder / "repo", key
        self.tree = folder / "tree"
        tool("ostree", "init", f"--repo={self.repo}", "--mode=archive")
        modules = self.tree / "usr/lib/modules/6.1.0"
        modules.mkdir(parents=True)
        (modules / "vmlinuz").write_bytes(b"kernel")
        (modules / "initramfs.img").write_bytes(b"initramfs")
        (self.tree / "usr/etc").mkdir()
        (self.tree / "usr/lib/os-release").write_text('NAME=Test\nPRETTY_NAME="Test"\n')
        (self.tree / "usr/etc/os-release").symlink_to("../usr/lib/os-release")
        self.commits: dict[str, str] = {}

    def commit(self, version: str, files: dict[str, str], time: int, ref: str = REF, metadata: tuple[str, ...] = (), sign: bool = True) -> str:
        """Commits the tree with `files` in it, and signs the commit."""
        for name, text in files.items():
            path = self.tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        words = [f"--timestamp=@{time}", f"--add-metadata-string=version={version}", "--owner-uid=0", "--owner-gid=0", "--canonical-permissions"]
        words += [f"--add-metadata={word}" for word in metadata]
        name = tool("ostree", "commit", f"--repo={self.repo}", "-b", ref, f"--tree=dir={self.tree}", *words).decode().strip()
        self.commits[version] = name
        if sign:
            self.object(name, "commitmeta").write_bytes(detached(self.key.sign(self.object(name, "commit").read_bytes())))
        return name

    def object(self, commit: str, kind: str) -> Path:
        return self.repo / f"objects/{commit[:2]}/{commit[2:]}.{kind}"

    def summarize(self) -> None:
        """Writes and signs the summary."""
        tool("ostree", "summary", f"--repo={self.repo}", "--update")
        (self.repo / "summary.sig").write_bytes(detached(self.key.sign((self.repo / "summary").read_bytes())))

    def plan(self, serial: int, version: str, releases: list[dict[str, Any]], key: Optional[Key] = None) -> bytes:
        """Writes and signs the release plan of the ref; returns its bytes."""
        document = {"schema": 1, "serial": serial, "refs": {REF: {"channels": {"stable": version}, "releases": releases}}}
        data = signed_plan(document, key or self.key)
        (self.repo / "release.json").write_bytes(data)
        return data


def signed_plan(document: Any, key: Key) -> bytes:
    """Returns release.json for any document."""
    payload = json.dumps(document).encode()
    row = {"key": base64.b64encode(key.public).decode(), "signature": base64.b64encode(key.sign(payload)).decode()}
    return json.dumps({"payload": base64.b64encode(payload).decode(), "signatures": [row]}).encode()
