"""The archive's ostree as a host runs it: the one of this machine, or another distribution's in its own root, with its own libraries and gpg."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Optional

import lab

# Where a foreign root sees the test's folder.
INSIDE = "/tmp"
# libostree before this version looks through a new commit while a delta's parts are being applied, and fetches what is not there yet as objects.
FETCHES_DELTAS_ALONE = (2023, 7)


class Ostree:
    """An ostree program. Paths below `work` are given as they are here."""

    def __init__(self, work: Path, root: Optional[Path] = None) -> None:
        self.work, self.root = work.resolve(), root
        if root is not None:
            # libostree downloads into /var/tmp, which a tree that never booted lacks.
            (root / "var/tmp").mkdir(parents=True, exist_ok=True)
        said = self.must("--version")
        found = re.search(r"^ *Version: '?([0-9.]+)", said, re.MULTILINE)
        if found is None:
            lab.fail(f"expected a version, found {said!r}")
        self.version = found.group(1)

    def command(self, *words: lab.Word) -> list[str]:
        """The words of a command that runs `ostree WORDS` there. A foreign root is seen by that command alone."""
        if self.root is None:
            return ["ostree", *map(str, words)]
        inside = shlex.join(["chroot", str(self.root), "ostree", *(str(word).replace(str(self.work), INSIDE) for word in words)])
        binds = [("rbind", "/dev", "dev"), ("rbind", "/proc", "proc"), ("bind", str(self.work), INSIDE[1:])]
        mounts = [f"mount --{how} {shlex.quote(source)} {shlex.quote(str(self.root / target))}" for how, source, target in binds]
        user = [] if os.geteuid() == 0 else ["--map-root-user"]
        return ["unshare", *user, "--mount", "--propagation", "private", "sh", "-ec", "; ".join([*mounts, f"exec {inside}"])]

    def run(self, *words: lab.Word) -> subprocess.CompletedProcess[str]:
        return lab.run(*self.command(*words), env={**os.environ, "HOME": "/", "LC_ALL": "C.UTF-8"}, cwd=self.work)

    def must(self, *words: lab.Word) -> str:
        done = self.run(*words)
        if done.returncode != 0:
            lab.fail(f"ostree {' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout + done.stderr

    @property
    def fetches_deltas_alone(self) -> bool:
        year, month = self.version.split(".")[:2]
        return (int(year), int(month)) >= FETCHES_DELTAS_ALONE

    def first_release(self, repo: Path, store: Path, commit: str) -> Path:
        """Makes the repository of a host that follows our ref and has one commit of it, and no remote yet. Only root can have one with the owners of files."""
        self.must("init", f"--repo={repo}", f"--mode={'bare' if os.geteuid() == 0 else 'bare-user'}")
        self.must("pull-local", f"--repo={repo}", store, commit)
        self.must("refs", f"--repo={repo}", f"--create=ours:{lab.REF}", commit)
        return repo

    def host(self, repo: Path, first: Optional[Path], url: str, key: Path) -> Path:
        """Makes the repository of a host that trusts `key` for what `url` offers. It begins with the objects of `first`: ostree never writes into a file."""
        lab.must("rm", "-rf", repo)
        if first is None:
            self.must("init", f"--repo={repo}", f"--mode={'bare' if os.geteuid() == 0 else 'bare-user'}")
        else:
            lab.must("cp", "-al", first, repo)
        self.must("remote", "add", f"--repo={repo}", f"--gpg-import={key}", "--set=gpg-verify-summary=true", "ours", url)
        return repo

    def pull(self, repo: Path, what: str, *options: str) -> str:
        return self.must("pull", f"--repo={repo}", *options, "ours", what)

    def commit(self, repo: Path, name: str) -> str:
        return self.must("rev-parse", f"--repo={repo}", name).strip()


def checkout(work: Path, repo: Path, commit: str, name: str) -> Path:
    """The files of a commit in a folder, for running its programs."""
    folder = work / name
    lab.must("ostree", "checkout", f"--repo={repo}", "--user-mode", commit, folder)
    return folder
