"""GRUB's environment block: 1024 bytes, which GRUB writes by sector numbers and so must never move.

Layout: the line `# GRUB Environment Block`, then `name=value` lines, then `#` up to the end. In a value a backslash quotes the next character. The
host writes the same bytes in place: no truncation, no new file, and no length but the one that is there.

The variables of this project, all short, so that they stay in the first sector and a loss of power leaves the old block or the new one:

    boot_tries     tries that the first boot entry has left, 0 to 2; absent: three
    boot_fallback  1 once GRUB has booted the second entry because the tries were used up
    boot_trial     the start of the identity that the tries belong to
    boot_reason    why the latest boot was bad
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Mapping, Optional

from .errors import HostError

SIGNATURE = b"# GRUB Environment Block\n"
SIZE = 1024
# Bytes of the first sector, in which all of our variables stay.
SECTOR = 512
# Letters of boot_reason.
LONGEST_REASON = 80


def read(path: Path) -> dict[str, str]:
    """Returns the variables. An error if the file is not an environment block."""
    try:
        with open(path, "rb") as file:
            block = file.read(SIZE + 1)
    except OSError as error:
        raise HostError(f"cannot read GRUB's environment block {path}: {error.strerror}") from error
    return decode(block, path)


def decode(block: bytes, path: Path) -> dict[str, str]:
    """Returns the variables of a block; `path` is named in errors."""
    if len(block) != SIZE or not block.startswith(SIGNATURE):
        raise HostError(f"{path} is not GRUB's environment block: expected {SIZE} bytes that begin with {SIGNATURE!r}, found {len(block)}")
    variables: dict[str, str] = {}
    position = len(SIGNATURE)
    while position < SIZE:
        line = bytearray()
        while position < SIZE and block[position : position + 1] != b"\n":
            if block[position : position + 1] == b"\\":
                position += 1
            line += block[position : position + 1]
            position += 1
        position += 1
        name, equals, value = bytes(line).partition(b"=")
        if equals and not name.startswith(b"#"):
            variables[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    return variables


def encode(variables: Mapping[str, str]) -> bytes:
    """Returns the block of `variables`, sorted by name. An error if they do not fit into it."""
    out = bytearray(SIGNATURE)
    for name, value in sorted(variables.items()):
        quoted = value.replace("\\", "\\\\").replace("\n", "\\\n")
        out += f"{name}={quoted}\n".encode()
    if len(out) > SIZE:
        raise HostError(f"GRUB's environment block has {SIZE} bytes, and the variables need {len(out)}")
    return bytes(out.ljust(SIZE, b"#"))


def update(path: Path, changes: Mapping[str, Optional[str]]) -> None:
    """Sets variables, and removes those whose value is `None`. Nothing is written where nothing changes."""
    before = read(path)
    after = {name: value for name, value in before.items() if changes.get(name, value) is not None}
    after.update({name: value for name, value in changes.items() if value is not None})
    if after == before:
        return
    block = encode(after)
    # No O_CREAT and no O_TRUNC: the file keeps its blocks.
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        if os.pwrite(descriptor, block, 0) != SIZE:
            raise HostError(f"{path}: the environment block was written in part")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def short_reason(text: str) -> str:
    """Returns `text` as one line that fits into the first sector."""
    plain = "".join(c if c.isascii() and c.isprintable() and c != "\\" else " " for c in text)
    return " ".join(plain.split())[:LONGEST_REASON]
