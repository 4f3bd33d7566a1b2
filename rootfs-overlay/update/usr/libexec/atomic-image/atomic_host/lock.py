"""One command that changes the host at a time, so that a timer and a person do not meet."""

from __future__ import annotations

import fcntl
import os

from .errors import HostError
from .layout import Layout


class Lock:
    """Held as long as the command runs; the kernel lets go of it however the command ends."""

    def __init__(self, layout: Layout) -> None:
        self.path = layout.run / "lock"
        self.descriptor = -1

    def __enter__(self) -> Lock:
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self.descriptor)
            raise HostError("another atomic host command changes this host right now", hint="try again when it has ended") from error
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)
