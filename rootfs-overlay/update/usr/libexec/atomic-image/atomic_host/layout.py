"""Where things are on a host, so that tests can put all of it below one folder."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from .errors import HostError

# Bytes. The largest state file is far smaller; a longer one is not ours.
LONGEST_STATE = 1 << 20


@dataclass(frozen=True)
class Layout:
    """The folders of one host. `sysroot_option` is what `ostree admin` needs to find a sysroot that is not the running one."""

    root: Path
    sysroot: Path
    boot: Path
    sysroot_option: tuple[str, ...] = ()

    @staticmethod
    def of_host() -> Layout:
        """Returns the layout of the running host."""
        return Layout(Path("/"), Path("/sysroot"), Path("/boot"))

    @staticmethod
    def below(root: Path, sysroot: Path) -> Layout:
        """Returns the layout of a sysroot that does not run, with /etc, /usr, /var and /run below `root`."""
        return Layout(root, sysroot, sysroot / "boot", (f"--sysroot={sysroot}",))

    @property
    def repo(self) -> Path:
        return self.sysroot / "ostree/repo"

    @property
    def state(self) -> Path:
        return self.root / "var/lib/atomic-image"

    @property
    def run(self) -> Path:
        return self.root / "run/atomic-image"

    @property
    def grubenv(self) -> Path:
        return self.boot / "grub2/grubenv"

    @property
    def entries(self) -> Path:
        return self.boot / "loader/entries"

    @property
    def update_source(self) -> Path:
        return self.root / "usr/share/atomic-image/update.json"

    @property
    def keys(self) -> Path:
        return self.root / "usr/share/atomic-image/update-keys.ed25519"

    def admin(self, command: str, *words: str) -> list[str]:
        """Returns the words of an `ostree admin` command."""
        return ["ostree", "admin", command, *self.sysroot_option, *words]

    def ostree(self, command: str, *words: str) -> list[str]:
        """Returns the words of an `ostree` command on the host's repository."""
        return ["ostree", command, f"--repo={self.repo}", *words]


def read_state(path: Path, default: Any) -> Any:
    """Reads a JSON state file. A missing file is `default`, and so is a damaged one: state is a memory, and its loss must not keep a host from updating."""
    try:
        with open(path, "rb") as file:
            return json.loads(file.read(LONGEST_STATE))
    except FileNotFoundError:
        return default
    except (ValueError, RecursionError):
        return default
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error


def write_state(path: Path, value: Any) -> None:
    """Writes a JSON state file so that after a loss of power the old one or the new one is there."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    text = json.dumps(value, indent=1, sort_keys=True) + "\n"
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Brings the names in a folder to the device."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_text(path: Path) -> Optional[str]:
    """Returns the text of a small file, or nothing if it is not there."""
    try:
        with open(path, "rb") as file:
            return file.read(LONGEST_STATE).decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
