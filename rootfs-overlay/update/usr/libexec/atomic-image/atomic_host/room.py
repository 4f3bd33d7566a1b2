"""Room for an upgrade, compared before its first byte is downloaded: what the commit says that it needs with what is free on / and /boot."""

from __future__ import annotations

import configparser
import os
from dataclasses import dataclass
from typing import Optional

from .commits import Commit
from .deployments import Deployment, load
from .errors import NO_ROOM, HostError
from .layout import Layout, read_text
from .programs import attempt, run

# libostree writes no object that would leave less of the filesystem free (core.min-free-space-percent; its default).
KEPT_FREE_PERCENT = 3
# Bytes beside the objects: the folders of a deployment and its copy of /etc, 4 KiB for each of some thousands.
FOLDERS = 32 << 20
# Bytes beside kernel and initramfs: boot entries and folders.
ENTRIES = 64 << 10


@dataclass(frozen=True)
class Balance:
    """What one filesystem has free for an upgrade, and what the upgrade needs; in bytes."""

    place: str
    free: int
    need: int

    @property
    def is_enough(self) -> bool:
        return self.free >= self.need

    def __str__(self) -> str:
        return f"{self.place} has {mib(self.free)} MiB free for an update, and it needs {mib(self.need)} MiB"


def mib(size: int) -> str:
    return f"{size / (1 << 20):.1f}"


def kept_free(layout: Layout, total: int) -> int:
    """Returns the bytes that libostree keeps free of a filesystem of `total` bytes."""
    config = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        config.read_string(read_text(layout.repo / "config") or "")
        size = config.get("core", "min-free-space-size", fallback="")
        if size:
            units = {"MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
            return int(size[:-2]) * units[size[-2:].upper()]
        return total * config.getint("core", "min-free-space-percent", fallback=KEPT_FREE_PERCENT) // 100
    except (configparser.Error, KeyError, ValueError):
        return total * KEPT_FREE_PERCENT // 100


def new_bytes(layout: Layout, commit: Commit, deployments: list[Deployment]) -> Optional[int]:
    """Returns the bytes of objects that the host lacks of `commit`. `None` if the commit does not say."""
    sizes = commit.metadata.get("atomic-image.new-since")
    known = [sizes[d.commit] for d in deployments if isinstance(sizes, dict) and isinstance(sizes.get(d.commit), int)]
    return min(known) if known else commit.number("atomic-image.size")


def balances(layout: Layout, commit: Commit, deployments: list[Deployment], os_name: str) -> list[Balance]:
    """Returns the balance of the root filesystem and of /boot, as far as the commit says what it needs."""
    out = []
    size = new_bytes(layout, commit, deployments)
    if size is not None:
        state = os.statvfs(layout.repo)
        free = state.f_bavail * state.f_frsize - kept_free(layout, state.f_blocks * state.f_frsize)
        out.append(Balance("the root filesystem", max(0, free), size + FOLDERS))
    kernel = commit.number("atomic-image.boot-size")
    checksum = commit.text("atomic-image.boot-checksum")
    if kernel is not None:
        is_there = bool(checksum) and (layout.boot / "ostree" / f"{os_name}-{checksum}").is_dir()
        state = os.statvfs(layout.boot)
        out.append(Balance("/boot", state.f_bavail * state.f_frsize, (0 if is_there else kernel) + ENTRIES))
    return out


def disposable(deployments: list[Deployment]) -> list[Deployment]:
    """Returns what may go: neither booted, nor pinned, nor the first other one after the booted one, which is the rollback. The last comes first."""
    rollback = next((d for d in deployments if d.rollback), None) or next((d for d in deployments if not d.booted and not d.staged), None)
    return [d for d in reversed(deployments) if not d.booted and not d.pinned and d is not rollback]


def make(layout: Layout, commit: Commit, os_name: str) -> list[str]:
    """Makes sure that there is room for `commit`: first unreferenced objects go, then deployments that nobody needs. Returns what was removed, or refuses."""
    removed: list[str] = []
    if all(balance.is_enough for balance in balances(layout, commit, load(layout), os_name)):
        return removed
    attempt(layout.admin("cleanup"))
    while True:
        deployments = load(layout)
        short = [balance for balance in balances(layout, commit, deployments, os_name) if not balance.is_enough]
        if not short:
            return removed
        candidates = disposable(deployments)
        if not candidates:
            text = "; ".join(map(str, short))
            raise HostError(
                f"no room for {commit.version or commit.id}: {text}; the host is unchanged", NO_ROOM,
                "remove what fills it, unpin a deployment, or enlarge the disk", "room",
            )
        run(layout.admin("undeploy", str(candidates[0].index)))
        removed.append(candidates[0].name)
