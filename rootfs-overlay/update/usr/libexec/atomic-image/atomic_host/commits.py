"""Commits and the summary of a server, read from the bytes whose signature was verified, before `ostree` downloads anything.

A commit is `(a{sv}aya(say)sstayay)`: metadata, parent, related objects, subject, body, time, root dirtree and dirmeta (libostree's
ostree-core.h, OSTREE_COMMIT_GVARIANT_FORMAT). The summary is `(a(s(taya{sv}))a{sv})` (OSTREE_SUMMARY_GVARIANT_FORMAT). Times in both are big-endian.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Optional, Sequence

from .errors import NETWORK, HostError, refused
from .gvariant import parse, swapped
from .layout import Layout
from .signatures import detached, verify
from .source import Source

# Bytes. libostree's limits are 10 MiB for metadata objects and 64 MiB for a summary.
LONGEST_COMMIT = 10 << 20
LONGEST_SUMMARY = 64 << 20
LONGEST_SIGNATURES = 1 << 20


@dataclass(frozen=True)
class Commit:
    """One commit. `key` is the trusted key that signed it, empty if nobody asked."""

    id: str
    version: str
    time: int
    parent: str
    metadata: dict[str, Any]
    key: bytes = b""

    def number(self, name: str) -> Optional[int]:
        """Returns a number of the metadata, or `None` where the builder left it out."""
        value = self.metadata.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def text(self, name: str) -> str:
        value = self.metadata.get(name)
        return value if isinstance(value, str) else ""

    @property
    def refs(self) -> list[str]:
        """Returns the refs that the commit was made for."""
        value = self.metadata.get("ostree.ref-binding")
        return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


@dataclass(frozen=True)
class Summary:
    """The newest commit of every ref of a server, and when the server's owner said so, in seconds since 1970."""

    last_modified: int
    refs: dict[str, str]


def decode(data: bytes, commit: str, key: bytes = b"") -> Commit:
    """Reads a commit, whose name must be the digest of its bytes."""
    if hashlib.sha256(data).hexdigest() != commit:
        raise refused("checksum of the commit", f"the bytes of {commit} have the digest {hashlib.sha256(data).hexdigest()}")
    try:
        metadata, parent, _, _, _, time, _, _ = parse(data, "(a{sv}aya(say)sstayay)")
    except ValueError as error:
        raise refused("form of the commit", f"{commit}: {error}") from error
    version = metadata.get("version")
    return Commit(commit, version if isinstance(version, str) else "", swapped(time), parent.hex(), metadata, key)


def object_path(commit: str, kind: str) -> str:
    """Returns the path of a commit (`commit`) or of its detached metadata (`commitmeta`) in a repository."""
    return f"objects/{commit[:2]}/{commit[2:]}.{kind}"


def local(layout: Layout, commit: str) -> Commit:
    """Reads a commit of the host's own repository; ostree verified it when it came."""
    path = layout.repo / object_path(commit, "commit")
    try:
        return decode(path.read_bytes(), commit)
    except OSError as error:
        raise HostError(f"cannot read commit {commit}: {error.strerror}") from error


def local_signatures(layout: Layout, commit: str) -> list[bytes]:
    """Returns the signatures of a commit of the host's own repository."""
    try:
        return detached((layout.repo / object_path(commit, "commitmeta")).read_bytes())
    except (OSError, ValueError):
        return []


def fetch(source: Source, commit: str, keys: Sequence[bytes]) -> Commit:
    """Downloads a commit and verifies its signature. Nothing is written."""
    data = source.fetch(object_path(commit, "commit"), LONGEST_COMMIT)
    if data is None:
        raise HostError(f"the server has no commit {commit}", NETWORK)
    signatures = source.fetch(object_path(commit, "commitmeta"), LONGEST_SIGNATURES)
    key = verify("commit", data, signatures_of("commit", signatures), keys)
    return decode(data, commit, key)


def fetch_summary(source: Source, keys: Sequence[bytes]) -> Summary:
    """Downloads the summary and verifies its signature."""
    data = source.fetch("summary", LONGEST_SUMMARY)
    if data is None:
        raise HostError("the update server has no summary", NETWORK, "publish with `atomic-image build --repo` or `ostree summary --update`")
    verify("summary", data, signatures_of("summary", source.fetch("summary.sig", LONGEST_SIGNATURES)), keys)
    try:
        refs, metadata = parse(data, "(a(s(taya{sv}))a{sv})")
        last_modified = metadata.get("ostree.summary.last-modified")
        if not isinstance(last_modified, int):
            raise ValueError("it does not say when it was written (ostree.summary.last-modified)")
        return Summary(swapped(last_modified), {name: checksum.hex() for name, (_, checksum, _) in refs})
    except ValueError as error:
        raise refused("form of the summary", str(error)) from error


def signatures_of(what: str, data: Optional[bytes]) -> list[bytes]:
    """Returns the signatures in a downloaded file; a missing or a damaged one is a refusal."""
    if data is None:
        raise refused(f"signature of the {what}", "the server has no signature of it")
    try:
        return detached(data)
    except ValueError as error:
        raise refused(f"signature of the {what}", f"its signatures cannot be read: {error}") from error
