"""`atomic host diff`: packages, files and local configuration, between the running tree and the staged one, else the rollback."""

from __future__ import annotations

from typing import Any, Optional

from .deployments import Deployment, booted, load
from .errors import HostError
from .layout import Layout
from .programs import attempt, run

# The list that every tree has: `NAME-VERSION-RELEASE.ARCH DIGEST`, a line a package.
PACKAGES = "/usr/share/atomic-image/packages"
# Lines of each kind that a person sees; --json has all.
SHOWN = 60


def collect(layout: Layout, name: Optional[str]) -> dict[str, Any]:
    """Returns the differences from the running tree to another deployment: the one of index, version or commit `name`, else the staged one or the rollback."""
    deployments = load(layout)
    running = booted(deployments)
    other = chosen(deployments, running, name)
    old, new = packages(layout, running.commit), packages(layout, other.commit)
    files = run(layout.ostree("diff", running.commit, other.commit)) if running.commit != other.commit else ""
    rows = [line.split(None, 1) for line in files.splitlines() if line.strip()]
    return {
        "schema": 1, "from": {"version": running.version, "commit": running.commit}, "to": {"version": other.version, "commit": other.commit},
        "packages": {
            "added": sorted(f"{n} {v}" for n, v in new.items() if n not in old), "removed": sorted(f"{n} {v}" for n, v in old.items() if n not in new),
            "changed": sorted(f"{n} {old[n]} -> {v}" for n, v in new.items() if n in old and old[n] != v),
        },
        "files": {word: sorted(path for mark, path in rows if mark == letter) for word, letter in (("added", "A"), ("removed", "D"), ("modified", "M"))},
        "etc": config(layout, running),
    }


def chosen(deployments: list[Deployment], running: Deployment, name: Optional[str]) -> Deployment:
    others = [d for d in deployments if not d.booted]
    if name is not None:
        for deployment in others:
            if name in (str(deployment.index), deployment.version) or (len(name) >= 8 and deployment.commit.startswith(name)):
                return deployment
        raise HostError(f"no other deployment is called {name}")
    if not others:
        raise HostError(f"{running.name} is the only deployment")
    return next((d for d in others if d.staged), None) or next((d for d in others if d.rollback), others[0])


def packages(layout: Layout, commit: str) -> dict[str, str]:
    """Returns versions by package name of a commit, from its package list."""
    done = attempt(layout.ostree("cat", commit, PACKAGES))
    out = {}
    for line in done.stdout.splitlines() if done.returncode == 0 else []:
        full = line.split(" ")[0].rpartition(".")
        parts = full[0].rsplit("-", 2)
        if len(parts) == 3:
            out[f"{parts[0]}.{full[2]}"] = f"{parts[1]}-{parts[2]}"
    return out


def config(layout: Layout, running: Deployment) -> dict[str, list[str]]:
    """Returns what the host changed in /etc: `ostree admin config-diff`."""
    rows = [line.split(None, 1) for line in run(layout.admin("config-diff", f"--os={running.os}")).splitlines() if line.strip()]
    return {word: sorted(path for mark, path in rows if mark == letter) for word, letter in (("added", "A"), ("removed", "D"), ("modified", "M"))}


def text(found: dict[str, Any]) -> str:
    """Returns the differences as a person reads them."""
    lines = [f"From {found['from']['version'] or found['from']['commit']} to {found['to']['version'] or found['to']['commit']}"]
    for title, section in (("Packages", "packages"), ("Files", "files"), ("Local changes in /etc", "etc")):
        for kind, rows in found[section].items():
            if rows:
                lines.append(f"{title}, {kind}: {len(rows)}")
                lines.extend(f"  {line}" for line in rows[:SHOWN])
                if len(rows) > SHOWN:
                    lines.append(f"  and {len(rows) - SHOWN} more; all are in --json")
    return "\n".join(lines) + "\n"
