"""Other programs, always as lists of arguments, in the C locale, with a limit on time."""

from __future__ import annotations

import os
import subprocess
from typing import Optional, Sequence

from .errors import HostError

# Seconds. Longer than any program here needs that is not a download.
LIMIT = 600
# Bytes of a program's message that an error shows.
SHOWN = 2000


def environment() -> dict[str, str]:
    """Returns the environment for programs: the caller's, with messages in English and the system's path."""
    return {**os.environ, "LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def attempt(words: Sequence[str], limit: Optional[float] = LIMIT) -> subprocess.CompletedProcess[str]:
    """Runs a program and returns its status and both outputs. An error only if it cannot be started or takes longer than `limit` seconds."""
    try:
        return subprocess.run(
            list(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
            timeout=limit, check=False, encoding="utf-8", errors="replace",
        )
    except OSError as error:
        raise HostError(f"cannot start {words[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise HostError(f"{' '.join(words)}: not done after {limit:.0f} s") from error


def run(words: Sequence[str], limit: Optional[float] = LIMIT) -> str:
    """Runs a program and returns its standard output. An error, with the end of what it said, if it fails."""
    done = attempt(words, limit)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-SHOWN:]
        raise HostError(f"{' '.join(words)} ended with {done.returncode}: {said}")
    return done.stdout
