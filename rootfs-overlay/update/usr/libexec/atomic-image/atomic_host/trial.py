"""Boot counting: which tree is on trial, what became of its boots, and how the host falls back.

GRUB counts (boot/grub.cfg). The first boot entry is proven if the file `proven` is beside the entries. libostree writes that folder anew for every
change of deployments, so that whatever deploys, and wherever it is interrupted, a new tree is on trial without anybody having to arm a counter. This
module writes the file for a tree that has reached atomic-health.target, and writes it again when such a tree becomes the first one once more.

A host that was rebased to our tree has a boot loader of its own, which counts nothing and does not know the file: there no tree is on trial, and a healthy boot
is recorded and announced all the same.

State in /var/lib/atomic-image: `good.json` (identities of trees that have been healthy), `failed.json` (versions that fell back, and why) and
`boots.jsonl` (what became of each counted boot, a line each).
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Optional, Sequence

from . import grubenv
from .deployments import Deployment, booted, default, load
from .errors import HostError
from .layout import Layout, read_state, sync_folder, write_state
from .programs import run

# Remembered identities, failures and lines of boots.jsonl; older ones are dropped.
KEPT_GOOD = 16
KEPT_FAILED = 16
KEPT_BOOTS = 200
# Letters of a reason in the state files.
LONGEST_REASON = 400


def counts_boots(layout: Layout) -> bool:
    """Returns whether our GRUB configuration boots this host: it alone has an environment block there."""
    return layout.grubenv.exists()


def proven_file(layout: Layout) -> Path:
    return layout.entries / "proven"


def is_proven(layout: Layout) -> bool:
    """Returns whether GRUB takes the first entry without counting."""
    return proven_file(layout).exists()


def write_proven(layout: Layout, deployment: Deployment) -> None:
    """Ends the trial of the first boot entry."""
    with open(proven_file(layout), "w", encoding="ascii") as file:
        file.write(f"{deployment.identity}\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(layout.entries)


def good(layout: Layout) -> list[str]:
    """Returns the identities of trees that have been healthy on this host, oldest first."""
    return [str(word) for word in read_state(layout.state / "good.json", {}).get("good", [])]


def on_trial(layout: Layout, deployments: Sequence[Deployment]) -> bool:
    """Returns whether the running tree is the first entry, is not proven, and another one is there to fall back to."""
    if not counts_boots(layout):
        return False
    first = default(deployments)
    return first is not None and first.booted and not is_proven(layout) and any(d.identity != first.identity for d in deployments if not d.staged)


def arm(layout: Layout) -> str:
    """Makes the mark `proven` agree with the first boot entry, after something was deployed. Returns what was done, in a sentence."""
    if not counts_boots(layout):
        return "this host's boot loader counts no boots"
    deployments = load(layout)
    first = default(deployments)
    if first is None:
        return "there is no deployment"
    if first.identity in good(layout):
        if not is_proven(layout):
            write_proven(layout, first)
            grubenv.update(layout.grubenv, {"boot_tries": None, "boot_fallback": None, "boot_trial": None, "boot_reason": None})
        return f"{first.name} has been healthy before: no boot of it is counted"
    trial = first.identity[:12]
    if grubenv.read(layout.grubenv).get("boot_trial") != trial:
        grubenv.update(layout.grubenv, {"boot_trial": trial, "boot_tries": None, "boot_fallback": None, "boot_reason": None})
    # libostree leaves the boot entries alone when kernel, arguments and version are equal.
    proven_file(layout).unlink(missing_ok=True)
    sync_folder(layout.entries)
    return f"{first.name} is new: it has three tries to become healthy"


def mark_good(layout: Layout) -> list[str]:
    """Records that the running tree is healthy, and makes it the first boot entry. Returns what was done, in sentences.

    Where the boot loader counts no boots, nobody fell back, and the order of the entries is left to whoever chose it.
    """
    said: list[str] = []
    deployments = load(layout)
    running = booted(deployments)
    if not counts_boots(layout):
        remember_good(layout, running)
        return [f"{running.name} is healthy; this host's boot loader counts no boots"]
    first = default(deployments)
    if first is not None and not first.booted:
        # A loss of power before set-default ends gives the broken tree one more try; after it, the good one. Both end well.
        grubenv.update(layout.grubenv, {"boot_tries": "1", "boot_fallback": None})
        run(layout.admin("set-default", str(running.index)))
        said.append(f"{running.name} is healthy and becomes the default in place of {first.name}")
        deployments = load(layout)
        running = booted(deployments)
    remember_good(layout, running)
    write_proven(layout, running)
    grubenv.update(layout.grubenv, {"boot_tries": None, "boot_fallback": None, "boot_trial": None, "boot_reason": None})
    said.append(f"{running.name} is healthy: its boots are not counted any more")
    return said


def remember_good(layout: Layout, running: Deployment) -> None:
    """Writes the state of a healthy boot."""
    identities = [word for word in good(layout) if word != running.identity]
    write_state(layout.state / "good.json", {"schema": 1, "good": [*identities, running.identity][-KEPT_GOOD:]})
    record_boot(layout, running, "good", "")


def mark_bad(layout: Layout, reason: str) -> Deployment:
    """Records why this boot is bad, in the state and for GRUB's side. Returns the running deployment."""
    running = booted(load(layout))
    record_boot(layout, running, "bad", reason)
    try:
        grubenv.update(layout.grubenv, {"boot_reason": grubenv.short_reason(reason)})
    except (HostError, OSError):
        # The reason is in boots.jsonl; the reboot must not fail for its copy.
        pass
    return running


def record_boot(layout: Layout, deployment: Deployment, event: str, reason: str) -> None:
    """Appends a line to boots.jsonl. `event` is `started`, `good` or `bad`."""
    path = layout.state / "boots.jsonl"
    lines = boots(layout)
    line = {
        "time": int(time.time()), "event": event, "identity": deployment.identity, "commit": deployment.commit, "version": deployment.version,
        "reason": reason[:LONGEST_REASON],
    }
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if len(lines) >= 2 * KEPT_BOOTS:
        shorter = path.with_name(".boots.jsonl.new")
        shorter.write_text("".join(json.dumps(kept, sort_keys=True) + "\n" for kept in lines[-KEPT_BOOTS:]), encoding="utf-8")
        os.replace(shorter, path)
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(line, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())


def boots(layout: Layout) -> list[dict[str, Any]]:
    """Returns the lines of boots.jsonl, oldest first. A line that a loss of power cut off is passed over."""
    try:
        text = (layout.state / "boots.jsonl").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    out = []
    for line in text.splitlines()[-2 * KEPT_BOOTS :]:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            out.append(value)
    return out


def why(layout: Layout, deployment: Deployment) -> str:
    """Returns why a tree used up its tries, from what its boots since it last was healthy have left behind."""
    events: list[dict[str, Any]] = []
    for line in boots(layout):
        if line.get("identity") == deployment.identity:
            events = [] if line.get("event") == "good" else [*events, line]
    reasons = [str(line.get("reason", "")) for line in events if line.get("event") == "bad"]
    started = sum(1 for line in events if line.get("event") == "started")
    if reasons:
        silent = max(0, started - len(reasons))
        return reasons[-1] + (f" ({silent} more of its boots ended without a verdict: a panic or a hang)" if silent else "")
    if started:
        return f"{started} of its boots reached user space and ended without a verdict: a panic, a hang or a reset"
    return "there is no record of its boots: its kernel panicked, found no root filesystem, or hung before user space"


def failed(layout: Layout) -> list[dict[str, Any]]:
    """Returns the versions that are held back, oldest first: `version`, `commit`, `kind` (`failed` or `rolled-back`), `reason`, `time`."""
    rows = read_state(layout.state / "failed.json", {}).get("failed", [])
    return [row for row in rows if isinstance(row, dict) and isinstance(row.get("commit"), str)]


def record_failure(layout: Layout, deployment: Deployment, reason: str, kind: str = "failed") -> None:
    """Remembers that a version fell back, or was rolled back by a person."""
    rows = [row for row in failed(layout) if row["commit"] != deployment.commit]
    row = {
        "version": deployment.version, "commit": deployment.commit, "kind": kind, "reason": reason[:LONGEST_REASON], "time": int(time.time()),
    }
    write_state(layout.state / "failed.json", {"schema": 1, "failed": [*rows, row][-KEPT_FAILED:]})


def held_back(layout: Layout, commit: str, automatic: bool) -> str:
    """Returns why a commit is not tried again, or an empty text. What a person rolled back, only the timer leaves alone."""
    for row in failed(layout):
        if row["commit"] == commit and row.get("kind") != "rolled-back":
            return f"did not become healthy on this host before: {row.get('reason', '')}"
        if row["commit"] == commit and automatic:
            return "was rolled back by hand"
    return ""


def forget_failure(layout: Layout, commit: Optional[str] = None) -> None:
    """Forgets the failure of one commit, or of all."""
    rows = [row for row in failed(layout) if commit is not None and row["commit"] != commit]
    write_state(layout.state / "failed.json", {"schema": 1, "failed": rows})


def report(layout: Layout) -> list[str]:
    """Notes, early in a counted boot, that it reached user space, and whether GRUB fell back. Returns what a person should read."""
    deployments = load(layout)
    running = booted(deployments)
    record_boot(layout, running, "started", "")
    first = default(deployments)
    fallen = grubenv.read(layout.grubenv).get("boot_fallback") == "1"
    if first is None or first.booted or not fallen:
        return []
    reason = why(layout, first)
    if first.commit != running.commit:
        record_failure(layout, first, reason)
    return [f"Version {first.name} did not become healthy in three boots, so this host fell back to {running.name}.", f"Why: {reason}."]
