"""Who changes deployments: rpm-ostree or bootc where the tree has one and the host was set up by it, else `ostree admin`.

rpm-ostree and bootc keep records of their own (layered packages, container images) in a deployment's origin. There they upgrade and roll back,
so that nothing of theirs is lost; signatures are then what their own configuration asks for. A deployment of a plain ref is ours.
"""

from __future__ import annotations

import configparser
import shutil
from pathlib import Path

from .deployments import Deployment
from .layout import Layout, read_text
from .programs import run

# Keys of an origin that only these programs understand.
BOOTC = "container-image-reference"
RPM_OSTREE = ("packages", "overrides", "rpmostree")
DOWNLOAD = 6 * 3600


def driver(layout: Layout, running: Deployment) -> str:
    """Returns `rpm-ostree`, `bootc` or `ostree` for the running deployment."""
    folder = running.folder(layout)
    config = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        config.read_string(read_text(Path(f"{folder}.origin")) or "")
    except configparser.Error:
        return "ostree"
    if config.has_option("origin", BOOTC):
        return "bootc" if shutil.which("bootc") else "rpm-ostree" if is_rpm_ostree() else "ostree"
    if is_rpm_ostree() and any(config.has_section(name) for name in RPM_OSTREE):
        return "rpm-ostree"
    return "ostree"


def is_rpm_ostree() -> bool:
    """Returns whether the real rpm-ostree is there: it has a daemon, and our alias of the same name has none."""
    return bool(shutil.which("rpm-ostree")) and any(Path(path).exists() for path in ("/usr/libexec/rpm-ostreed", "/usr/lib/systemd/system/rpm-ostreed.service"))


def upgrade(name: str, check: bool) -> str:
    """Upgrades with rpm-ostree or bootc; returns what it said."""
    words = {"rpm-ostree": ["rpm-ostree", "upgrade", *(["--check"] if check else [])], "bootc": ["bootc", "upgrade", *(["--check"] if check else [])]}
    return run(words[name], DOWNLOAD)


def rollback(name: str) -> str:
    """Rolls back with rpm-ostree or bootc; returns what it said."""
    return run([name, "rollback"])
