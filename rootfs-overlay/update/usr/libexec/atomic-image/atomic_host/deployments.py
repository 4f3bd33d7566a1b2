"""The deployments of a sysroot, as `ostree admin status` lists them, with the kernel arguments of their boot entries.

The text is parsed because `--json` came with a later ostree than the oldest one that is supported. A deployment begins with a line
`* OS COMMIT.SERIAL (staged)`; indented lines tell its version, origin, pin and whether it is unlocked.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence

from .errors import HostError
from .layout import Layout
from .programs import SHOWN, attempt
from .unverified import unverified

HEAD = re.compile(r"^([* ]) (\S+) ([0-9a-f]{64})\.(\d+)((?: \([a-z -]+\))*)\s*$")
FIELD = re.compile(r"^ {4}([A-Za-z ]+): (.*)$")
COMMIT = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True)
class Deployment:
    """One deployment. `index` is its place in ostree's list; `options` are the kernel arguments without `ostree=`, unknown for a staged one."""

    index: int
    os: str
    commit: str
    serial: int
    booted: bool
    staged: bool
    rollback: bool
    pinned: bool = False
    version: str = ""
    origin: str = ""
    unlocked: str = ""
    options: Optional[tuple[str, ...]] = None

    @property
    def identity(self) -> str:
        """Returns what boots: the commit, and a digest of the kernel arguments, which can break a boot as well as a tree can."""
        words = "\n".join(self.options or ())
        return f"{self.commit}:{hashlib.sha256(words.encode()).hexdigest()[:16]}"

    @property
    def name(self) -> str:
        """Returns how a person calls it: its version, or the start of its commit."""
        return self.version or self.commit[:12]

    def folder(self, layout: Layout) -> Path:
        """Returns the folder of the deployment's tree."""
        return layout.sysroot / f"ostree/deploy/{self.os}/deploy/{self.commit}.{self.serial}"


def load(layout: Layout) -> list[Deployment]:
    """Returns all deployments, the default first, a staged one before it."""
    words = layout.admin("status")
    listed = attempt(words)
    if listed.returncode != 0 and "no signatures found" in listed.stderr:
        listed = unverified(layout, words)
        if listed.returncode != 0 and os.geteuid() != 0:
            raise HostError("a deployment has no signature, and only root can look at it all the same", hint="sudo atomic host status")
    if listed.returncode != 0:
        raise HostError(f"{' '.join(words)} ended with {listed.returncode}: {listed.stderr.strip()[-SHOWN:]}")
    return parse(listed.stdout, boot_options(layout))


def parse(text: str, options: dict[tuple[str, int], tuple[str, ...]]) -> list[Deployment]:
    """Parses what `ostree admin status` said; `options` are kernel arguments by commit and serial."""
    found: list[dict[str, object]] = []
    for line in text.splitlines():
        head = HEAD.match(line)
        field = FIELD.match(line)
        if head:
            marks = head[5]
            commit, serial = head[3], int(head[4])
            found.append({
                "index": len(found), "os": head[2], "commit": commit, "serial": serial, "booted": head[1] == "*",
                "staged": "(staged)" in marks or "(finalization locked)" in marks, "rollback": "(rollback)" in marks,
                "options": options.get((commit, serial)),
            })
        elif field and found:
            key, value = field[1].strip().lower(), field[2].strip()
            if key == "version":
                found[-1]["version"] = value
            elif key == "pinned":
                found[-1]["pinned"] = value == "yes"
            elif key == "origin refspec":
                found[-1]["origin"] = value
            elif key == "unlocked":
                found[-1]["unlocked"] = value
    return [Deployment(**values) for values in found]  # type: ignore[arg-type]


def boot_options(layout: Layout) -> dict[tuple[str, int], tuple[str, ...]]:
    """Returns the kernel arguments of every boot entry by commit and serial, found by following the entry's `ostree=` link."""
    out: dict[tuple[str, int], tuple[str, ...]] = {}
    try:
        entries = sorted(layout.entries.glob("ostree-*.conf"))
    except OSError:
        return out
    for entry in entries:
        words = [line.split()[1:] for line in entry.read_text(errors="replace").splitlines() if line.startswith("options ")]
        options = [word for line in words for word in line]
        link = next((word[len("ostree=") :] for word in options if word.startswith("ostree=/")), "")
        target = (layout.sysroot / link.lstrip("/")).resolve().name if link else ""
        commit, _, serial = target.partition(".")
        if COMMIT.match(commit) and serial.isdigit():
            out[(commit, int(serial))] = tuple(word for word in options if not word.startswith("ostree="))
    return out


def booted(deployments: Sequence[Deployment]) -> Deployment:
    """Returns the deployment that runs."""
    for deployment in deployments:
        if deployment.booted:
            return deployment
    raise HostError("this system did not boot from an OSTree deployment", hint="atomic host works on a booted atomic host only")


def default(deployments: Sequence[Deployment]) -> Optional[Deployment]:
    """Returns the first boot entry's deployment: a staged one has no entry before the next shutdown."""
    return next((deployment for deployment in deployments if not deployment.staged), None)
