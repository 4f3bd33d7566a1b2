"""Health: the checks that decide whether a boot is good, and what happens when it is not. Run by the units atomic-health*.service and atomic-boot-*.service.

A check is an executable in `required.d` or `wanted.d` below /usr/lib/atomic-health (the image's) or /etc/atomic-health (the host's). A file of the
same name in /etc takes the place of the image's, and a link to /dev/null there switches it off. A check passes with exit code 0; it is tried again
until it passes or its time is over, since services may still be starting. What it prints last is the reason that a person reads.
"""

from __future__ import annotations

import configparser
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterable, Optional

from . import grubenv, trial
from .deployments import booted, load
from .errors import HostError
from .layout import Layout
from .programs import attempt, environment

# Seconds: between two tries of a check, and between two looks at systemd.
PAUSE = 3
# Letters of a check's last line that become the reason.
SHOWN = 200
CONFIG = ("usr/share/atomic-image/health.conf", "etc/atomic-image/health.conf")


def settings(layout: Layout) -> tuple[int, int]:
    """Returns, in seconds, the time of each check, and how long the units of multi-user.target may take."""
    config = configparser.ConfigParser(interpolation=None)
    try:
        config.read([layout.root / name for name in CONFIG], encoding="utf-8")
        return config.getint("health", "check-seconds", fallback=90), config.getint("health", "boot-seconds", fallback=480)
    except (configparser.Error, ValueError) as error:
        say(3, f"health.conf is passed over: {error}")
        return 90, 480


def checks(layout: Layout, kind: str) -> list[Path]:
    """Returns the executables of `required.d` or `wanted.d`, sorted by name; /etc hides /usr."""
    found: dict[str, Path] = {}
    for folder in (layout.root / "usr/lib/atomic-health" / kind, layout.root / "etc/atomic-health" / kind):
        if folder.is_dir():
            for path in folder.iterdir():
                found[path.name] = path
    return [path for _, path in sorted(found.items()) if path.is_file() and os.access(path, os.X_OK) and not path.name.startswith(".")]


def verdict(check: Path, seconds: int) -> Optional[str]:
    """Runs a check until it passes, at most `seconds`. Returns why it failed, or `None`."""
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        reason = once(check, max(1.0, deadline - began))
        if reason is None:
            return None
        # Another try needs as long as this one, and one that is cut short would hide the reason.
        if time.monotonic() + PAUSE + (time.monotonic() - began) >= deadline:
            return reason
        time.sleep(PAUSE)


def once(check: Path, seconds: float) -> Optional[str]:
    """Runs a check once in a session of its own, so that a hung one goes with all its children."""
    try:
        child = subprocess.Popen(
            [str(check)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(), start_new_session=True, cwd="/",
        )
    except OSError as error:
        return f"cannot be started: {error.strerror}"
    try:
        output, _ = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return f"not done after {seconds:.0f} s"
    if child.returncode == 0:
        return None
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][-SHOWN:] if lines else f"ended with {child.returncode}"


def run(layout: Layout) -> int:
    """Waits for the boot to end, runs the checks, and marks the boot good, or bad and reboots if the tree is on trial."""
    check_seconds, boot_seconds = settings(layout)
    reason = wait_for_units(boot_seconds)
    if reason is None:
        for check in checks(layout, "required.d"):
            failure = verdict(check, check_seconds)
            say(6 if failure is None else 3, f"required check {check.name}: {failure or 'passed'}")
            if failure is not None:
                reason = f"required check {check.name} failed: {failure}"
                break
    if reason is not None:
        return bad(layout, reason, force=False)
    for check in checks(layout, "wanted.d"):
        failure = verdict(check, min(check_seconds, 30))
        say(6 if failure is None else 4, f"wanted check {check.name}: {failure or 'passed'}")
    for sentence in trial.mark_good(layout):
        say(5, sentence)
    attempt(["systemctl", "start", "--no-block", "atomic-health.target"])
    return 0


def wait_for_units(seconds: int) -> Optional[str]:
    """Waits until systemd has reached multi-user.target. Returns what it waits for if that takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while attempt(["systemctl", "is-active", "--quiet", "multi-user.target"]).returncode != 0:
        if time.monotonic() > deadline:
            jobs = attempt(["systemctl", "list-jobs", "--no-legend", "--plain"]).stdout.splitlines()
            waiting = [line.split()[1] for line in jobs if line.split()[3:] == ["running"]]
            return f"multi-user.target was not reached in {seconds} s; systemd waits for {', '.join(waiting[:5]) or 'nothing that it names'}"
        time.sleep(PAUSE)
    return None


def bad(layout: Layout, reason: str, force: bool) -> int:
    """Ends a bad boot: a tree on trial reboots, any other stays up for a person to look at."""
    deployments = load(layout)
    running = booted(deployments)
    if not trial.on_trial(layout, deployments):
        announce([f"Version {running.name} is not healthy: {reason}.", "It is not on trial or there is no other tree, so this host stays up."])
        return 1
    trial.mark_bad(layout, reason)
    announce([f"Version {running.name} is not healthy and on trial, so this host reboots: {reason}."])
    attempt(["systemctl", "reboot", *(["--force"] if force else [])])
    return 1


def deadline(layout: Layout) -> int:
    """Ends a boot on trial that has come to no verdict in time. A boot that is good, or not counted, is left alone."""
    if trial.is_proven(layout) or not trial.on_trial(layout, load(layout)):
        return 0
    jobs = attempt(["systemctl", "list-jobs", "--no-legend", "--plain"]).stdout.splitlines()
    waiting = [line.split()[1] for line in jobs if line.split()[3:] == ["running"]]
    return bad(layout, f"no verdict in the time that a boot has; systemd waits for {', '.join(waiting[:5]) or 'nothing that it names'}", force=True)


def emergency(layout: Layout) -> int:
    """Ends a boot on trial that came to systemd's emergency mode, where only a person could go on."""
    failed = attempt(["systemctl", "--failed", "--no-legend", "--plain"]).stdout.splitlines()
    units = ", ".join(line.split()[0] for line in failed[:5] if line.split())
    return bad(layout, f"systemd came to emergency mode; failed units: {units or 'none that it names'}", force=True)


def cannot_tell(layout: Layout, why: str) -> int:
    """Ends a boot whose health cannot be found out. Two files of /boot are enough to see that GRUB counts it."""
    try:
        fallen = grubenv.read(layout.grubenv).get("boot_fallback") == "1"
    except HostError:
        return 1
    # The tree that GRUB fell back to is booted whatever happens: it would reboot for ever.
    if not fallen and not trial.is_proven(layout) and (layout.entries / "ostree-2.conf").exists():
        announce([f"The health of this boot cannot be found out, and it is counted, so this host reboots: {why}."])
        attempt(["systemctl", "reboot", "--force"])
    return 1


def report(layout: Layout) -> int:
    """Says early in a counted boot what became of the boots before it, and makes the kernel end hangs by itself while the tree is on trial."""
    sentences = trial.report(layout)
    if sentences:
        announce(sentences)
    if trial.on_trial(layout, load(layout)):
        # Only on trial: on a crowded hypervisor a processor may seem stuck that is not, and a proven host should not reboot for that.
        for name in ("softlockup_panic", "hardlockup_panic"):
            try:
                Path(f"/proc/sys/kernel/{name}").write_text("1\n", encoding="ascii")
            except OSError:
                continue
    return 0


def announce(sentences: Iterable[str]) -> None:
    """Writes to the journal, to the console, and to what is shown before and after a login."""
    text = " ".join(sentences)
    say(3, text)
    try:
        with open("/dev/console", "w", encoding="utf-8") as console:
            console.write(f"\r\natomic-health: {text}\r\n")
    except OSError:
        pass
    for folder, name in (("/run/issue.d", "50-atomic-health.issue"), ("/run/motd.d", "50-atomic-health")):
        try:
            Path(folder).mkdir(exist_ok=True)
            # agetty reads a backslash as the start of a variable.
            Path(folder, name).write_text(text.replace("\\", "/") + "\n\n", encoding="utf-8")
        except OSError:
            continue


def say(priority: int, text: str) -> None:
    """Writes a line that the journal takes with a syslog priority."""
    print(f"<{priority}>{text}", file=sys.stderr, flush=True)


def main(words: list[str]) -> int:
    """Runs one of the units' commands."""
    layout = Layout.of_host()
    commands = {"run": run, "deadline": deadline, "emergency": emergency, "report": report}
    try:
        if words == ["arm"]:
            say(6, trial.arm(layout))
            return 0
        if len(words) == 1 and words[0] in commands:
            return commands[words[0]](layout)
    except (HostError, OSError) as error:
        say(3, f"{' '.join(words)}: {error}")
        return cannot_tell(layout, str(error)) if words[0] in ("run", "deadline", "emergency") else 1
    print(f"usage: health {'|'.join([*commands, 'arm'])}", file=sys.stderr)
    return 2
