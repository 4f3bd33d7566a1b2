"""`atomic host status`: the deployments as a person knows them from rpm-ostree, and as JSON (schema in the README of this overlay)."""

from __future__ import annotations

import time
from typing import Any, Optional

from . import trial
from .commits import local, local_signatures
from .deployments import Deployment, booted, load
from .errors import HostError
from .layout import Layout, read_state
from .signatures import shown, trusted, verify

SCHEMA = 1


def collect(layout: Layout, now: int) -> dict[str, Any]:
    """Returns the status as JSON values."""
    deployments = load(layout)
    image = read_state(layout.update_source, {})
    first = next((d for d in deployments if not d.staged), None)
    rows = [row(layout, deployment, now) for deployment in deployments]
    if first is not None and first.booted:
        rows[first.index]["trial"] = trial.on_trial(layout, deployments)
    return {
        "schema": SCHEMA,
        "booted": next((d.index for d in deployments if d.booted), None),
        "source": {"remote": image.get("remote"), "ref": image.get("ref"), "channel": image.get("channel")},
        "deployments": rows,
        "failed": trial.failed(layout),
    }


def row(layout: Layout, deployment: Deployment, now: int) -> dict[str, Any]:
    """Returns one deployment as JSON values."""
    try:
        made: Optional[int] = local(layout, deployment.commit).time
    except HostError:
        made = None
    failure = next((one for one in trial.failed(layout) if one["commit"] == deployment.commit), None)
    return {
        "index": deployment.index, "os": deployment.os, "origin": deployment.origin, "version": deployment.version, "commit": deployment.commit,
        "serial": deployment.serial, "booted": deployment.booted, "staged": deployment.staged, "rollback": deployment.rollback,
        "pinned": deployment.pinned, "unlocked": deployment.unlocked or None, "time": made, "age_seconds": None if made is None else max(0, now - made),
        "signature": signature(layout, deployment.commit), "healthy_before": deployment.identity in trial.good(layout), "trial": False,
        "failed": None if failure is None else {"kind": failure.get("kind", "failed"), "reason": failure.get("reason", ""), "time": failure.get("time")},
    }


def signature(layout: Layout, commit: str) -> dict[str, Any]:
    """Returns whether a commit of the host's repository is signed by a key that the running tree trusts."""
    signatures = local_signatures(layout, commit)
    if not signatures:
        return {"state": "unsigned", "key": None}
    try:
        keys = trusted(layout)
        data = (layout.repo / f"objects/{commit[:2]}/{commit[2:]}.commit").read_bytes()
        return {"state": "valid", "key": shown(verify("commit", data, signatures, keys))}
    except (HostError, OSError):
        return {"state": "untrusted", "key": None}


def text(status: dict[str, Any]) -> str:
    """Returns the status as a person reads it."""
    lines: list[str] = []
    staged = any(one["staged"] for one in status["deployments"])
    lines.append("State: an update is staged; it becomes the default at the next shutdown" if staged else "State: idle")
    lines.append("Deployments:")
    for one in status["deployments"]:
        marks = [word for word in ("staged", "rollback") if one[word]]
        head = one["origin"] or f"{one['os']} (no origin)"
        lines.append(f"{'●' if one['booted'] else ' '} {head}{f' ({marks[0]})' if marks else ''}")
        fields = [("Version", described(one)), ("Commit", one["commit"]), ("Signature", signed(one["signature"]))]
        if one["pinned"]:
            fields.append(("Pinned", "yes"))
        if one["unlocked"]:
            fields.append(("Unlocked", one["unlocked"]))
        if one["trial"]:
            fields.append(("Health", "on trial: this boot has not been healthy yet"))
        if one["failed"]:
            verb = "rolled back by hand" if one["failed"]["kind"] == "rolled-back" else "failed"
            fields.append(("Held back", f"{verb}: {one['failed']['reason']}"))
        lines.extend(f"{name:>19}: {value}" for name, value in fields)
        lines.append("")
    there = {one["commit"] for one in status["deployments"]}
    for failure in status["failed"]:
        if failure["commit"] not in there:
            lines.append(f"Version {failure.get('version') or failure['commit'][:12]} is held back: {failure.get('reason', '')}")
    return "\n".join(lines).rstrip() + "\n"


def described(one: dict[str, Any]) -> str:
    """Returns version, time and age, as far as they are known."""
    version = one["version"] or "none"
    if one["time"] is None:
        return version
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(one["time"]))
    return f"{version} ({when}, {age(one['age_seconds'])} ago)"


def age(seconds: int) -> str:
    """Returns a span of time in its largest unit."""
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {name}{'' if count == 1 else 's'}"
    return "less than a minute"


def signed(found: dict[str, Any]) -> str:
    if found["state"] == "valid":
        return f"valid by key {found['key']}"
    return {"unsigned": "unsigned", "untrusted": "by no key that this tree trusts"}[found["state"]]


def require_booted(layout: Layout) -> Deployment:
    """Returns the running deployment, for commands that need one."""
    return booted(load(layout))
