"""The same trees as layers of an OCI image: what a host fetches whose updates come from a registry.

A host fetches the manifest, the configuration, and each layer whose digest it does not have. Two ways to cut a tree into layers are measured:

    single     one layer with the whole tree
    chunked    at most 64 layers, as rpm-ostree and rechunk make them: the files of the packages of one source go together, the largest sources have a layer
               each, the others share what is left; the initramfs and what no package owns have a layer each; a new tree keeps the assignment of the old one

A layer is a tar archive compressed by zstd with its default level, 3. Times and owners in the archives are the same for all files.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Iterable, cast

import lab

LAYERS = 64
LEVEL = 3
# Layers that no package fills.
INITRAMFS, UNOWNED = "the initramfs", "made by the build"
# Layers that the many small sources share.
SHARED = 12


@dataclass(frozen=True)
class Entry:
    """A path of a tree, with what a tar archive says of it."""

    path: str
    mode: str
    size: int
    content: str


class Tree:
    """A commit that is checked out, and the source package of each path."""

    def __init__(self, repo: Path, commit: str, checkout: Path, owners: dict[str, str]) -> None:
        self.checkout, self.owners = checkout, owners
        self.entries: list[Entry] = []
        for line in lab.must("ostree", f"--repo={repo}", "ls", "-R", "-C", commit).splitlines():
            # Mode, owner, group, size, one checksum or a directory's two, path.
            mode, _, _, size, rest = line.split(None, 4)
            content, path = rest.split(" /", 1)
            self.entries.append(Entry("/" + path.split(" -> ")[0], mode, int(size), content + path))

    def source(self, path: str) -> str:
        """The source package that a path belongs to."""
        if path.endswith("/initramfs.img"):
            return INITRAMFS
        packaged = path.replace("/usr/etc/", "/etc/", 1) if path.startswith("/usr/etc/") else path
        # A kernel's image is packaged in /boot; compiled Python lies below what it was compiled from.
        while packaged not in self.owners and ("/__pycache__" in packaged or packaged.startswith("/usr/lib/modules/")):
            packaged = packaged.rsplit("/", 1)[0]
        return self.owners.get(packaged, UNOWNED)

    def by_source(self) -> dict[str, list[Entry]]:
        """The files and links of each source; directories go with each layer that has something in them, and are not counted here."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            if not entry.mode.startswith("d"):
                found.setdefault(self.source(entry.path), []).append(entry)
        return found


def owners(recipe: Path, cache: Path) -> dict[str, str]:
    """The source package of each file that a package of the recipe's lockfile has, and of each folder of a kernel's modules."""
    found = {}
    for package in lab.locked_packages(recipe).values():
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", cache / f"debs/{package.sha256}.deb"], stdout=subprocess.PIPE) as unpacking:
            with tarfile.open(fileobj=unpacking.stdout, mode="r|") as archive:
                for member in archive:
                    path = "/" + member.name.removeprefix("./")
                    if not member.isdir() or path.startswith("/usr/lib/modules/"):
                        found[path] = package.source
        if unpacking.returncode != 0:
            lab.fail(f"dpkg-deb cannot unpack {package.name}")
    return found


def assignment(tree: Tree) -> dict[str, int]:
    """The layer of each source: the largest have one each."""
    sizes = {source: sum(entry.size for entry in entries) for source, entries in tree.by_source().items()}
    packages = sorted((source for source in sizes if source not in (INITRAMFS, UNOWNED)), key=lambda source: (-sizes[source], source))
    alone = LAYERS - SHARED - 2
    layers = {INITRAMFS: 0, UNOWNED: 1}
    layers.update({source: 2 + number for number, source in enumerate(packages[:alone])})
    filled = [0] * SHARED
    for source in packages[alone:]:
        least = filled.index(min(filled))
        filled[least] += sizes[source]
        layers[source] = 2 + alone + least
    return layers


@dataclass(frozen=True)
class Fetch:
    """What a host fetches of an image: layers, and the bytes of these, of the manifest and of the configuration."""

    layers: int
    bytes: int


def single(tree: Tree, old: Tree) -> Fetch:
    """One layer, fetched when anything in it changed."""
    return fetched([(tree.entries, tree.entries != old.entries)], tree)


def chunked(tree: Tree, old: Tree) -> Fetch:
    """Layers by source, of which those are fetched that changed."""
    layers = assignment(old)
    new, before = (grouped(one, layers) for one in (tree, old))
    return fetched([(new[number], new[number] != before.get(number)) for number in sorted(new)], tree)


def grouped(tree: Tree, layers: dict[str, int]) -> dict[int, list[Entry]]:
    """The files of each layer; a source that the old tree lacked goes into the last layer."""
    found: dict[int, list[Entry]] = {}
    for source, entries in tree.by_source().items():
        found.setdefault(layers.get(source, LAYERS - 1), []).extend(entries)
    return {number: sorted(entries, key=lambda entry: entry.path) for number, entries in found.items()}


def fetched(layers: list[tuple[list[Entry], bool]], tree: Tree) -> Fetch:
    blobs = [compressed(entries, tree.checkout) for entries, is_new in layers if is_new]
    # Digest and size are all that differs between rows of the manifest; layers that the host has count with rows of the same length.
    kind = "application/vnd.oci.image.layer.v1.tar+zstd"
    rows = [{"mediaType": kind, "digest": f"sha256:{digest}", "size": size} for digest, size in blobs]
    rows += [{"mediaType": kind, "digest": f"sha256:{'0' * 64}", "size": 1 << 20}] * (len(layers) - len(blobs))
    manifest = json.dumps({"schemaVersion": 2, "config": rows[0], "layers": rows}, separators=(",", ":"))
    configuration = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [row["digest"] for row in rows]}})
    return Fetch(len(blobs), sum(size for _, size in blobs) + len(manifest) + len(configuration))


def compressed(entries: Iterable[Entry], checkout: Path) -> tuple[str, int]:
    """The digest and the size of a layer's blob."""
    with subprocess.Popen(["zstd", f"-{LEVEL}", "-q", "-c"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as zstd:
        source, sink = cast(IO[bytes], zstd.stdin), cast(IO[bytes], zstd.stdout)
        digest, size = hashlib.sha256(), 0
        with Reader(sink) as reader:
            try:
                with tarfile.open(fileobj=source, mode="w|", format=tarfile.PAX_FORMAT) as archive:
                    for entry in entries:
                        archive.add(checkout / entry.path[1:], entry.path[1:] or ".", recursive=False, filter=without_time_or_owner)
            finally:
                source.close()
        for piece in reader.pieces:
            digest.update(piece)
            size += len(piece)
    if zstd.returncode != 0:
        lab.fail(f"zstd ended with {zstd.returncode}")
    return digest.hexdigest(), size


class Reader:
    """Reads a pipe to its end in a thread of its own, since zstd writes while it is being fed."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self.pieces: list[bytes] = []
        self._thread = threading.Thread(target=lambda: self.pieces.extend(iter(lambda: pipe.read(1 << 20), b"")))

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.join()


def without_time_or_owner(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info
