"""`atomic host upgrade`, `deploy` and `rebase`: from a verified offer to a staged deployment, with room made first and nothing left behind by a failure."""

from __future__ import annotations

import json
import re
import tempfile
import time
from dataclasses import dataclass
from typing import Optional, Sequence

from . import room, trial
from .commits import Commit
from .deployments import Deployment, booted, load
from .errors import HELD_BACK, NO_ROOM, HostError
from .layout import Layout
from .offers import Server
from .programs import SHOWN, attempt, run
from .source import Source
from .unverified import unverified

# Seconds. A pull over a slow line may take long; ostree itself gives up where nothing comes.
PULL = 6 * 3600
# The tree's own kernel arguments, in bootc's form: `kargs = ["panic=10"]`.
KARGS = "usr/lib/bootc/kargs.d"


@dataclass(frozen=True)
class Result:
    """What an upgrade came to. `commit` is the new tree; without one, `waiting` may say why."""

    commit: Optional[Commit]
    waiting: str = ""
    staged: bool = False
    removed: tuple[str, ...] = ()


def upgrade(layout: Layout, source: Source, check: bool, retry: bool, automatic: bool) -> Result:
    """Finds the release for this host and stages it. With `check` nothing is downloaded but what says whether there is one."""
    deployments = load(layout)
    running = booted(deployments)
    server = Server(layout, source)
    offer = server.offer(layout, running, int(time.time()))
    if offer.commit is None or check:
        return Result(offer.commit, offer.waiting)
    if retry:
        trial.forget_failure(layout, offer.commit.id)
    held = trial.held_back(layout, offer.commit.id, automatic)
    if held:
        raise HostError(
            f"version {offer.commit.version or offer.commit.id} {held}; the host is unchanged", HELD_BACK, "to try it again: atomic host upgrade --retry", "failed",
        )
    if any(d.commit == offer.commit.id and (d.staged or d.index == 0) for d in deployments):
        return Result(offer.commit, "", True)
    removed = deploy(layout, source, offer.commit, running)
    return Result(offer.commit, offer.waiting, True, tuple(removed))


def deploy(layout: Layout, source: Source, commit: Commit, running: Deployment) -> list[str]:
    """Makes room, pulls and stages a verified commit. After a failure the repository is as it was."""
    removed = room.make(layout, commit, running.os)
    before = attempt(layout.ostree("rev-parse", source.refspec))
    try:
        pull(layout, source, commit)
        stage(layout, source, commit, running)
    except BaseException as error:
        clean_up(layout, source, before.stdout.strip() if before.returncode == 0 else "")
        if isinstance(error, HostError) and re.search("No space left|min-free-space|would be exceeded|free space, but only", error.message):
            raise HostError(f"the disk became full during the update, which was undone: {error.message}", NO_ROOM, check="room") from error
        raise
    return removed


def pull(layout: Layout, source: Source, commit: Commit) -> None:
    """Downloads the objects of a commit whose signature was verified; its id binds all of them."""
    # A file:// source is trusted by ostree unless it is told not to.
    words = layout.ostree("pull", "--untrusted", source.remote, f"{source.ref}@{commit.id}")
    configuration = layout.root / "etc/ostree/remotes.d"
    asks = any("sign-verify" in file.read_text(encoding="utf-8", errors="replace") for file in configuration.glob("*.conf"))
    if not asks or layout.sysroot_option or "sign-ed25519" in run(["ostree", "--version"]):
        run(words, PULL)
        return
    # This libostree cannot verify ed25519, and we have verified.
    pulled = unverified(layout, words, PULL)
    if pulled.returncode != 0:
        raise HostError(f"{' '.join(words)} ended with {pulled.returncode}: {pulled.stderr.strip()[-SHOWN:]}")


def stage(layout: Layout, source: Source, commit: Commit, running: Deployment) -> None:
    """Deploys a pulled commit, to be finalized at shutdown, with the kernel arguments that its tree adds and without those that it dropped."""
    words = []
    for word in kargs_changes(declared(layout, running.commit), declared(layout, commit.id), running.options or ()):
        words.append(word)
    with tempfile.NamedTemporaryFile("w", prefix="atomic-host-", suffix=".origin", encoding="utf-8") as origin:
        origin.write(f"[origin]\nrefspec={source.refspec}\n")
        origin.flush()
        staged = [] if layout.sysroot_option else ["--stage"]
        run(layout.admin("deploy", f"--os={running.os}", f"--origin-file={origin.name}", *staged, *words, commit.id), PULL)


def declared(layout: Layout, commit: str) -> list[str]:
    """Returns the kernel arguments that a tree itself asks for, in the order of its files' names."""
    listed = attempt(layout.ostree("ls", "--nul-filenames-only", commit, f"/{KARGS}"))
    if listed.returncode != 0:
        return []
    out: list[str] = []
    for name in sorted(name for name in listed.stdout.split("\0") if name.endswith(".toml")):
        out.extend(parse_kargs(run(layout.ostree("cat", commit, name))))
    return out


def parse_kargs(text: str) -> list[str]:
    """Returns the texts of `kargs = ["…"]`. TOML's basic strings of such words are JSON's."""
    found = re.search(r"^kargs\s*=\s*(\[.*?\])", text, re.MULTILINE | re.DOTALL)
    try:
        words = json.loads(re.sub(r",\s*\]", "]", found[1])) if found else []
    except ValueError:
        return []
    return [word for word in words if isinstance(word, str)]


def kargs_changes(old: Sequence[str], new: Sequence[str], current: Sequence[str]) -> list[str]:
    """Returns the options of `ostree admin deploy` that bring the host from an old tree's arguments to a new one's; what the host added itself stays."""
    dropped = [f"--karg-delete={word}" for word in old if word not in new and word in current]
    return dropped + [f"--karg-append={word}" for word in new if word not in old and word not in current]


def clean_up(layout: Layout, source: Source, before: str) -> None:
    """Takes the ref back to what it was and removes what a failed update has downloaded."""
    if before:
        attempt(layout.ostree("refs", f"--create={source.refspec}", before, "--force"))
    else:
        attempt(layout.ostree("refs", "--delete", source.refspec))
    attempt(layout.admin("cleanup"))


def deploy_named(layout: Layout, source: Source, text: str) -> Result:
    """Stages the version or commit that a user names: a deployment's, or one of the server's. It may be older: it was asked for."""
    deployments = load(layout)
    running = booted(deployments)
    for deployment in deployments:
        if text in (deployment.commit, deployment.version) or (len(text) >= 8 and deployment.commit.startswith(text)):
            if deployment.booted and deployment.index == 0:
                raise HostError(f"{text} runs already and is the default")
            run(layout.admin("set-default", str(deployment.index)))
            return Result(None, f"{deployment.name} was deployed already and is the default now", True)
    commit = Server(layout, source).find(text)
    return Result(commit, "", True, tuple(deploy(layout, source, commit, running)))


def rebase(layout: Layout, source: Source, ref: str) -> Result:
    """Stages the newest commit of another ref of the same remote, which the host follows from then on."""
    running = booted(load(layout))
    other = source.following(ref)
    server = Server(layout, other)
    commit = server.commit(server.newest())
    return Result(commit, "", True, tuple(deploy(layout, other, commit, running)))
