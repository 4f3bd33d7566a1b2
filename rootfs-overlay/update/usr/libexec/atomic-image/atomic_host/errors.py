"""Errors that end a command, each with a documented exit code, and what a user can do about it."""

from __future__ import annotations

FAILED = 1
USAGE = 2
NO_SOURCE = 3
REFUSED = 4
NO_ROOM = 5
NETWORK = 6
HELD_BACK = 7
STALE = 75


class HostError(Exception):
    """A command that cannot go on. `check` is the short name of the check that refused, for --json and for the tests."""

    def __init__(self, message: str, code: int = FAILED, hint: str = "", check: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        self.check = check


def refused(check: str, message: str, hint: str = "") -> HostError:
    """Returns the refusal of an update by one named check. Every message says that nothing was changed."""
    return HostError(f"refused by the check of the {check}: {message}; the host is unchanged", REFUSED, hint, check)
