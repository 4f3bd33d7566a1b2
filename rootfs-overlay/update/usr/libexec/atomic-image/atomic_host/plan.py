"""The release plan: one signed JSON beside the summary that says which version a channel is at, who gets it when, and what must not be skipped.

    {"payload": "<base64 of the document>", "signatures": [{"key": "<base64>", "signature": "<base64>"}]}

    {"schema": 1, "serial": 7, "refs": {"REF": {"channels": {"stable": "1.1"}, "releases": [
        {"version": "1.1", "commit": "…", "published": 1700000000, "paused": false, "barrier": false,
         "waves": [{"percent": 10, "after_seconds": 0}, {"percent": 100, "after_seconds": 21600}]}]}}}

Releases stand oldest first. A host's place in the waves is SHA-256(machine id + version) modulo 100, so that another version makes other hosts the first.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Optional, Sequence

from .errors import refused
from .signatures import KEY, SIGNATURE, decode, verify
from .source import Source

LONGEST = 1 << 20
NAME = "release plan"
COMMIT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Wave:
    percent: int
    after_seconds: int


@dataclass(frozen=True)
class Release:
    """One release of a ref; `published` in seconds since 1970. Without waves everybody gets it at once."""

    version: str
    commit: str
    published: int
    waves: tuple[Wave, ...] = ()
    paused: bool = False
    barrier: bool = False

    def admits(self, machine_id: str, now: int) -> bool:
        """Returns whether the wave of this host has come."""
        if self.paused:
            return False
        place = wave_place(machine_id, self.version)
        return not self.waves or any(place < wave.percent and now >= self.published + wave.after_seconds for wave in self.waves)

    def comes(self, machine_id: str) -> Optional[int]:
        """Returns when the wave of this host comes, in seconds since 1970; `None` if no wave names it."""
        place = wave_place(machine_id, self.version)
        return min((self.published + wave.after_seconds for wave in self.waves if place < wave.percent), default=None)


@dataclass(frozen=True)
class Plan:
    """The verified plan of one ref."""

    serial: int
    channels: dict[str, str]
    releases: tuple[Release, ...]


@dataclass(frozen=True)
class Choice:
    """What a host is to run now. `waiting` says why it is not the channel's newest release, empty if it is."""

    release: Optional[Release]
    waiting: str = ""


def wave_place(machine_id: str, version: str) -> int:
    """Returns the host's place in the waves of a version, 0 to 99."""
    return int.from_bytes(hashlib.sha256((machine_id + version).encode()).digest(), "big") % 100


def fetch(source: Source, keys: Sequence[bytes]) -> Optional[Plan]:
    """Downloads and verifies the plan. `None`: the server has none."""
    data = source.fetch("release.json", LONGEST)
    return None if data is None else parse(data, source.ref, keys)


def parse(data: bytes, ref: str, keys: Sequence[bytes]) -> Plan:
    """Verifies and reads a plan for one ref. Every fault is a refusal."""
    try:
        outer = _object(_json(data), {"payload": str, "signatures": list})
        payload = base64.b64decode(outer["payload"], validate=True)
        signed = [_object(row, {"key": str, "signature": str}) for row in outer["signatures"]]
        signatures = [decode(row["signature"], SIGNATURE) for row in signed if decode(row["key"], KEY) in keys]
    except (ValueError, binascii.Error) as error:
        raise refused(NAME, str(error)) from error
    verify(NAME, payload, signatures, keys)
    try:
        plan = _object(_json(payload), {"schema": int, "serial": int, "refs": dict})
        if plan["schema"] != 1:
            raise ValueError(f"expected schema 1, found {plan['schema']}; a newer atomic-image wrote it")
        if ref not in plan["refs"]:
            raise ValueError(f"it has no ref {ref}")
        of_ref = _object(plan["refs"][ref], {"channels": dict, "releases": list})
        releases = tuple(_release(row) for row in of_ref["releases"])
        if len({release.version for release in releases}) != len(releases):
            raise ValueError("a version stands in it two times")
        channels = {str(name): version for name, version in of_ref["channels"].items() if isinstance(version, str)}
        return Plan(plan["serial"], channels, releases)
    except ValueError as error:
        raise refused(NAME, str(error)) from error


def choose(plan: Plan, channel: str, booted_commit: str, booted_time: int, machine_id: str, now: int) -> Choice:
    """Returns the release for a host: the newest up to its channel's that its wave admits, and the first barrier on the way to it.

    A host whose commit is not in the plan stands before every release that was published after the commit was made.
    """
    version = plan.channels.get(channel)
    if version is None:
        raise refused(NAME, f"it has no channel {channel}; channels: {', '.join(sorted(plan.channels)) or 'none'}")
    versions = [release.version for release in plan.releases]
    if version not in versions:
        raise refused(NAME, f"channel {channel} is at version {version}, which is no release of it")
    newest = versions.index(version)
    at = next((index for index, release in enumerate(plan.releases) if release.commit == booted_commit), None)
    if at is None:
        at = max((index for index, release in enumerate(plan.releases) if release.published <= booted_time), default=-1)
    ahead = plan.releases[at + 1 : newest + 1]
    if not ahead:
        return Choice(None)
    waiting = ""
    for offset in range(len(ahead) - 1, -1, -1):
        release = ahead[offset]
        if release.admits(machine_id, now):
            barrier = next((one for one in ahead[:offset] if one.barrier), None)
            if barrier is None:
                return Choice(release, waiting)
            if barrier.admits(machine_id, now):
                return Choice(barrier, f"version {barrier.version} must not be skipped on the way to {release.version}")
            release = barrier
        if not waiting:
            waiting = _why_waiting(release, machine_id, now)
    return Choice(None, waiting)


def _why_waiting(release: Release, machine_id: str, now: int) -> str:
    if release.paused:
        return f"version {release.version} is paused"
    comes = release.comes(machine_id)
    if comes is None:
        return f"version {release.version} is not for this host yet: no wave reaches place {wave_place(machine_id, release.version)} of 100"
    return f"version {release.version} comes to this host in {max(1, (comes - now + 59) // 60)} minutes"


def _release(row: Any) -> Release:
    found = _object(row, {"version": str, "commit": str, "published": int})
    if not found["version"] or not COMMIT.fullmatch(found["commit"]):
        raise ValueError(f"release {found['version'][:60]!r}: expected a version and a commit of 64 hexadecimal digits")
    waves = found.get("waves", [])
    if not isinstance(waves, list):
        raise ValueError(f"release {found['version']}: waves is no list")
    flags = [found.get(name, False) for name in ("paused", "barrier")]
    if not all(isinstance(flag, bool) for flag in flags):
        raise ValueError(f"release {found['version']}: paused and barrier are true or false")
    return Release(found["version"], found["commit"], found["published"], tuple(_wave(wave) for wave in waves), *flags)


def _wave(row: Any) -> Wave:
    found = _object(row, {"percent": int, "after_seconds": int})
    if not 0 <= found["percent"] <= 100 or found["after_seconds"] < 0:
        raise ValueError(f"a wave of {found['percent']} % after {found['after_seconds']} s")
    return Wave(found["percent"], found["after_seconds"])


def _json(data: bytes) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(pairs)
        if len(out) != len(pairs):
            raise ValueError("a key stands in an object two times")
        return out

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=unique)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _object(value: Any, types: dict[str, type]) -> dict[str, Any]:
    """Returns a JSON object that has all of `types`; `true` is no number."""
    if not isinstance(value, dict):
        raise ValueError(f"expected an object with {', '.join(types)}")
    for name, kind in types.items():
        if not isinstance(value.get(name), kind) or (kind is int and isinstance(value[name], bool)):
            raise ValueError(f"{name}: expected {kind.__name__}, found {type(value.get(name)).__name__}")
    return value
