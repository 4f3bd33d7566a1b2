"""`atomic host audit`: what the image promises of its host's security, looked at again on the host that runs.

Each check says in one sentence what should hold, and what was found where it does not. What a host does not have (no docker, no SELinux in the tree) is no
fault of it: such a check does not apply.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

from . import status
from .errors import HostError
from .layout import Layout, read_state, read_text
from .programs import attempt

# Found paths that a row shows.
SHOWN = 5
# Folders of containers' and packages' own trees, whose files are not the host's.
NOT_THE_HOSTS = ("var/lib/docker", "var/lib/containerd", "var/lib/containers", "var/lib/kubelet", "var/lib/machines", "var/lib/portables")


@dataclass(frozen=True)
class Found:
    """The outcome of a check: `holds` is nothing where the check does not apply."""

    holds: Optional[bool]
    detail: str = ""


HOLDS = Found(True)


def absent(why: str) -> Found:
    """Returns the outcome of a check that does not apply."""
    return Found(None, why)


def judged(faults: list[str]) -> Found:
    """Returns the outcome of a check that looked for faults."""
    more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return Found(False, "; ".join(faults[:SHOWN]) + more) if faults else HOLDS


class Host:
    """What checks look at: files below a root, and the output of programs."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def path(self, name: str) -> Path:
        """Returns a path of the host, given without its first slash."""
        return self.layout.root / name

    def lines(self, name: str) -> list[str]:
        """Returns the lines of a file; none if it is not there."""
        return (read_text(self.path(name)) or "").splitlines()

    def said(self, *words: str) -> Optional[str]:
        """Returns what a program printed, or nothing if it is not there or fails."""
        try:
            done = attempt(words, 60)
        except HostError:
            return None
        return done.stdout if done.returncode == 0 else None


def accounts(host: Host) -> list[tuple[str, str]]:
    """Returns the names and password fields of /etc/shadow."""
    rows = (line.split(":") for line in host.lines("etc/shadow"))
    return [(row[0], row[1]) for row in rows if len(row) > 1]


def root_is_locked(host: Host) -> Found:
    field = dict(accounts(host)).get("root")
    if field is None:
        return Found(False, "root is not in /etc/shadow")
    return judged([] if field.startswith(("!", "*")) else ["root has a password"])


def passwords_are_set(host: Host) -> Found:
    return judged([f"{name} has an empty password" for name, field in accounts(host) if field == ""])


def one_superuser(host: Host) -> Found:
    rows = (line.split(":") for line in host.lines("etc/passwd"))
    return judged([f"{row[0]} has user id 0" for row in rows if len(row) > 2 and row[2] == "0" and row[0] != "root"])


def secrets_are_private(host: Host) -> Found:
    keys = sorted(host.path("etc/ssh").glob("ssh_host_*_key"))
    faults: list[str] = []
    for path in [host.path("etc/shadow"), host.path("etc/gshadow"), *keys]:
        mode = mode_of(path)
        if mode is not None and mode & 0o037:
            faults.append(f"/{path.relative_to(host.layout.root)} has mode {stat.S_IMODE(mode):04o}")
    return judged(faults)


def sshd_is_strict(host: Host) -> Found:
    said = host.said("sshd", "-T")
    if said is None:
        return absent("sshd is not there or does not say its settings")
    settings = dict(line.split(" ", 1) for line in said.lower().splitlines() if " " in line)
    expected = {"permitrootlogin": "no", "passwordauthentication": "no", "permitemptypasswords": "no", "x11forwarding": "no"}
    return judged([f"{name} is {settings.get(name)}" for name, value in expected.items() if settings.get(name) != value])


def selinux_enforces(host: Host) -> Found:
    if not host.path("etc/selinux/config").exists():
        return absent("the tree has no SELinux policy")
    mode = (read_text(host.path("sys/fs/selinux/enforce")) or "").strip()
    return judged([] if mode == "1" else ["SELinux is permissive" if mode == "0" else "the kernel runs without SELinux"])


def firewall_refuses(host: Host) -> Found:
    if not host.path("usr/share/atomic-image/firewall.nft").exists():
        return absent("the tree has no firewall")
    chain = host.said("nft", "list", "chain", "inet", "atomic", "input")
    if chain is None:
        return Found(False, "the table inet atomic is not loaded")
    return judged([] if re.search(r"hook input .*policy drop;", chain) else ["the chain of incoming packets does not drop by default"])


def kernel_settings_hold(host: Host) -> Found:
    """The recipe's [tuning], of which later files of an administrator may have changed some."""
    lines = host.lines("usr/lib/sysctl.d/90-atomic-image.conf")
    settings = [line.split("=", 1) for line in lines if "=" in line and not line.startswith(("#", ";"))]
    if not settings:
        return absent("the recipe tunes nothing")
    faults = []
    for name, value in settings:
        name, value = name.strip().lstrip("-"), value.strip()
        found = read_text(host.path("proc/sys") / sysctl_path(name))
        if found is not None and found.split() != value.split():
            faults.append(f"{name} is {' '.join(found.split())}, not {value}")
    return judged(faults)


def sysctl_path(name: str) -> str:
    """Returns the path of a setting below /proc/sys. As sysctl.d(5) has it, the first separator says which of the two is one."""
    first = next((letter for letter in name if letter in "./"), ".")
    return name if first == "/" else name.translate(str.maketrans("./", "/."))


def usr_is_read_only(host: Host) -> Found:
    return judged([] if os.statvfs(host.path("usr")).f_flag & os.ST_RDONLY else ["/usr is writable (atomic host unlock)"])


def temporary_folders_are_bounded(host: Host) -> Found:
    rows = (line.split() for line in host.lines("proc/self/mounts"))
    kinds = {row[1]: (row[2], set(row[3].split(","))) for row in rows if len(row) > 3}
    faults = []
    for place in ("/tmp", "/dev/shm"):
        kind, options = kinds.get(place, ("", set()))
        if kind != "tmpfs":
            faults.append(f"{place} is not a tmpfs")
        faults += [f"{place} is mounted without {option}" for option in ("nosuid", "nodev") if kind and option not in options]
    return judged(faults)


def no_foreign_set_id(host: Host) -> Found:
    """/usr is the tree's, and its set-id files are in the image's report; nothing may be added to them where a host can write."""
    found = (path for path, mode in written_files(host) if mode & (stat.S_ISUID | stat.S_ISGID) and mode & 0o111)
    return judged([f"/{path.relative_to(host.layout.root)} has a set-id bit" for path in found])


def nothing_for_everybody(host: Host) -> Found:
    """Files of /etc and /var that everybody may write to."""
    found = (path for path, mode in written_files(host) if mode & stat.S_IWOTH)
    return judged([f"/{path.relative_to(host.layout.root)} is writable by everybody" for path in found])


def written_files(host: Host) -> Iterator[tuple[Path, int]]:
    """Yields the regular files of /etc and /var with their modes, those of containers and those of other filesystems left out."""
    for top in ("etc", "var"):
        try:
            device = host.path(top).stat().st_dev
        except OSError:
            continue
        for folder, folders, files in os.walk(host.path(top)):
            folders[:] = sorted(name for name in folders if is_of(Path(folder, name), device) and not is_left_out(host, Path(folder, name)))
            for name in sorted(files):
                mode = mode_of(Path(folder, name))
                if mode is not None and stat.S_ISREG(mode):
                    yield Path(folder, name), mode


def is_of(path: Path, device: int) -> bool:
    try:
        return path.lstat().st_dev == device
    except OSError:
        return False


def is_left_out(host: Host, path: Path) -> bool:
    return str(path.relative_to(host.layout.root)) in NOT_THE_HOSTS


def mode_of(path: Path) -> Optional[int]:
    """Returns the mode of a file, not of what it links to; nothing if it is not there."""
    try:
        return path.lstat().st_mode
    except OSError:
        return None


def no_unit_failed(host: Host) -> Found:
    said = host.said("systemctl", "list-units", "--failed", "--plain", "--no-legend", "--full")
    if said is None:
        return absent("systemd does not answer")
    return judged([f"{line.split()[0]} failed" for line in said.splitlines() if line.split()])


def tree_is_signed(host: Host) -> Found:
    if not read_state(host.layout.update_source, {}).get("remote"):
        return absent("the image has no update source")
    running = status.require_booted(host.layout)
    state = status.signature(host.layout, running.commit)["state"]
    return judged([] if state == "valid" else [{"unsigned": "the running tree is not signed", "untrusted": "no key that the tree trusts signed it"}[state]])


def containers_are_confined(host: Host) -> Found:
    if not host.path("usr/bin/docker").exists():
        return absent("the tree has no docker")
    said = host.said("docker", "info", "--format", "{{json .SecurityOptions}}")
    if said is None:
        return absent("docker does not run")
    wanted = ["name=seccomp"] + (["name=selinux"] if host.path("etc/selinux/config").exists() else [])
    return judged([f"docker runs without {option.removeprefix('name=')}" for option in wanted if option not in said])


def docker_socket_is_private(host: Host) -> Found:
    mode = mode_of(host.path("run/docker.sock"))
    if mode is None:
        return absent("docker does not listen")
    return judged([f"/run/docker.sock has mode {stat.S_IMODE(mode):04o}"] if mode & 0o007 else [])


CHECKS: tuple[tuple[str, str, Callable[[Host], Found]], ...] = (
    ("root-locked", "root has no password", root_is_locked),
    ("no-empty-password", "no account has an empty password", passwords_are_set),
    ("one-superuser", "no account but root has user id 0", one_superuser),
    ("private-secrets", "password hashes and ssh's host keys are for root alone", secrets_are_private),
    ("ssh", "ssh refuses root, passwords and X11", sshd_is_strict),
    ("selinux", "SELinux enforces", selinux_enforces),
    ("firewall", "incoming packets are dropped unless a rule lets them in", firewall_refuses),
    ("kernel-settings", "the kernel's settings are the recipe's", kernel_settings_hold),
    ("read-only-usr", "/usr is read-only", usr_is_read_only),
    ("temporary-folders", "/tmp and /dev/shm are in memory, without devices and set-id", temporary_folders_are_bounded),
    ("no-set-id", "no file of /etc and /var has a set-id bit", no_foreign_set_id),
    ("no-public-file", "no file of /etc and /var can be written by everybody", nothing_for_everybody),
    ("units", "no unit has failed", no_unit_failed),
    ("signed-tree", "the running tree is signed by a key that it trusts", tree_is_signed),
    ("containers", "docker confines containers by seccomp and SELinux", containers_are_confined),
    ("docker-socket", "docker's socket is not for everybody", docker_socket_is_private),
)


def collect(layout: Layout) -> dict[str, Any]:
    """Returns the outcome of every check as JSON values."""
    host = Host(layout)
    rows = []
    for name, sentence, check in CHECKS:
        found = check(host)
        rows.append({"name": name, "expected": sentence, "holds": found.holds, "detail": found.detail})
    return {"schema": status.SCHEMA, "checks": rows, "failed": sum(row["holds"] is False for row in rows)}


def text(found: dict[str, Any]) -> str:
    """Returns the outcome as a person reads it."""
    words = {True: "holds", False: "FAILED", None: "-"}
    lines = []
    for row in found["checks"]:
        detail = f": {row['detail']}" if row["detail"] else ""
        lines.append(f"{words[row['holds']]:<7} {row['expected']}{detail}")
    applied = [row for row in found["checks"] if row["holds"] is not None]
    lines.append(f"{len(applied) - found['failed']} of {len(applied)} hold, {len(found['checks']) - len(applied)} do not apply")
    return "\n".join(lines) + "\n"
