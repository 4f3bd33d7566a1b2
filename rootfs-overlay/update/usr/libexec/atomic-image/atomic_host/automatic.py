"""What atomic-update.timer does: an upgrade that leaves failed versions alone, then a reboot if update.conf says so and no hook objects."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from . import cli, source
from .deployments import load
from .errors import HostError
from .layout import Layout
from .programs import environment, run

# Executables of the host, in the order of their names. One that fails puts the reboot off until the next window.
HOOKS = "etc/atomic-image/before-reboot.d"
# Seconds that a hook has, for example to move its work to another host.
HOOK = 3600


def main() -> int:
    """Upgrades, and reboots when that is wanted and needed. Returns the exit code."""
    layout = Layout.of_host()
    code = cli.main(["host", "upgrade", "--automatic"])
    if code != 0:
        return code
    try:
        if source.settings(layout).reboot == "when-needed" and any(deployment.staged for deployment in load(layout)):
            return reboot(layout)
    except HostError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return error.code
    return 0


def hooks(layout: Layout) -> list[Path]:
    """Returns the hooks, sorted by name."""
    folder = layout.root / HOOKS
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in found if path.is_file() and os.access(path, os.X_OK) and not path.name.startswith(".")]


def objection(layout: Layout) -> str:
    """Runs the hooks. Returns why the host must not reboot now, or an empty text."""
    for hook in hooks(layout):
        try:
            code = subprocess.run([str(hook)], stdin=subprocess.DEVNULL, env=environment(), timeout=HOOK, check=False).returncode
        except subprocess.TimeoutExpired:
            return f"hook {hook.name} took longer than {HOOK} s"
        except OSError as error:
            return f"hook {hook.name} cannot be started: {error.strerror}"
        if code != 0:
            return f"hook {hook.name} ended with {code}"
    return ""


def reboot(layout: Layout) -> int:
    """Reboots if every hook agrees."""
    why = objection(layout)
    if why:
        print(f"The update stays staged and the host is not rebooted: {why}.", file=sys.stderr)
        return 0
    run(["systemctl", "reboot"])
    return 0
