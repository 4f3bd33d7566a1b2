"""What the server offers to this host: summary, release plan and commit, each verified, each never older than the one that the host has seen.

`/var/lib/atomic-image/seen.json` remembers for each remote the time of the newest summary and the serial of the newest plan, so that a server, or
whoever stands between, cannot replay old ones.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Optional

from . import commits, plan
from .commits import Commit
from .deployments import Deployment
from .errors import NETWORK, HostError, refused
from .layout import Layout, read_state, read_text, write_state
from .signatures import trusted
from .source import Source

# Parents that are followed to find a version.
LONGEST_HISTORY = 100


@dataclass(frozen=True)
class Offer:
    """What is on offer: `commit` is `None` when the host runs it already or has to wait, and `waiting` says for what."""

    commit: Optional[Commit]
    waiting: str = ""


class Server:
    """A source whose summary and plan have been verified."""

    def __init__(self, layout: Layout, source: Source) -> None:
        self.source = source
        self.keys = trusted(layout)
        seen = _seen(layout, source.remote)
        self.summary = commits.fetch_summary(source, self.keys)
        newest = seen.get("summary", 0)
        if self.summary.last_modified < newest:
            raise refused("age of the summary", f"it is of {_day(self.summary.last_modified)}, and this host has seen one of {_day(newest)}")
        self.plan = plan.fetch(source, self.keys)
        serial = seen.get("serial")
        if self.plan is None and serial is not None:
            raise refused(plan.NAME, f"the server has no release.json, and this host has obeyed one with serial {serial}")
        if self.plan is not None and serial is not None and self.plan.serial < serial:
            raise refused(plan.NAME, f"its serial is {self.plan.serial}, and this host has obeyed one with serial {serial}")
        _remember(layout, source.remote, {"summary": self.summary.last_modified, "serial": self.plan.serial if self.plan else None})

    def offer(self, layout: Layout, running: Deployment, now: int) -> Offer:
        """Returns what the host is to run: by the plan, or without one the ref's newest commit. A commit that is not newer is refused."""
        current = commits.local(layout, running.commit)
        waiting = ""
        if self.plan is not None:
            choice = plan.choose(self.plan, self.source.channel, running.commit, current.time, machine_id(layout), now)
            if choice.release is None:
                return Offer(None, choice.waiting)
            target, version, waiting = choice.release.commit, choice.release.version, choice.waiting
        else:
            target, version = self.newest(), ""
        if target == running.commit:
            return Offer(None)
        commit = self.commit(target)
        if version and commit.version != version:
            raise refused(plan.NAME, f"it calls {target} version {version}, and the commit itself says {commit.version or 'none'}")
        if commit.time <= current.time:
            raise refused(
                "age of the commit", f"{commit.version or target} is of {_day(commit.time)}, and {running.name}, which runs, of {_day(current.time)}",
                "to go back on purpose: atomic host deploy VERSION",
            )
        return Offer(commit, waiting)

    def newest(self) -> str:
        """Returns the newest commit of the ref that the host follows."""
        if self.source.ref not in self.summary.refs:
            names = ", ".join(sorted(self.summary.refs)[:10]) or "none"
            raise HostError(f"the server has no ref {self.source.ref}; refs: {names}", NETWORK)
        return self.summary.refs[self.source.ref]

    def commit(self, name: str) -> Commit:
        """Downloads a commit, verifies its signature, and that it was made for the ref that the host follows."""
        commit = commits.fetch(self.source, name, self.keys)
        if self.source.ref not in commit.refs:
            raise refused("ref of the commit", f"{name} was made for {', '.join(commit.refs) or 'no ref'}, and this host follows {self.source.ref}")
        return commit

    def find(self, text: str) -> Commit:
        """Returns the commit that a user names by its id, the start of it, or a version of the plan or of the ref's history."""
        for release in self.plan.releases if self.plan else ():
            if text in (release.version, release.commit):
                return self.commit(release.commit)
        name = self.newest()
        for _ in range(LONGEST_HISTORY):
            commit = self.commit(name)
            if text in (commit.version, commit.id) or (len(text) >= 8 and commit.id.startswith(text)):
                return commit
            if not commit.parent:
                break
            name = commit.parent
        raise HostError(f"the server has no version or commit {text} of {self.source.ref}", NETWORK)


def machine_id(layout: Layout) -> str:
    """Returns the machine id, on which the place in the waves depends."""
    return (read_text(layout.root / "etc/machine-id") or "").strip()


def _seen(layout: Layout, remote: str) -> dict[str, Any]:
    found = read_state(layout.state / "seen.json", {}).get("remotes", {}).get(remote, {})
    return {name: value for name, value in found.items() if isinstance(value, int)} if isinstance(found, dict) else {}


def _remember(layout: Layout, remote: str, now_seen: dict[str, Optional[int]]) -> None:
    state = read_state(layout.state / "seen.json", {"schema": 1, "remotes": {}})
    old = _seen(layout, remote)
    new = {**old, **{name: value for name, value in now_seen.items() if value is not None}}
    if new != old:
        state.setdefault("remotes", {})[remote] = new
        write_state(layout.state / "seen.json", state)


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(min(max(seconds, 0), 1 << 37)))
