"""What the tests of this folder share: recipes in a folder of their own, builds, package versions of two suites, and commands that must succeed."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, NoReturn, Optional, Union

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/bench"))
import prepare  # noqa: E402

NAME = "atomic-host-updates"
REF = "atomic-host/x86_64/updates"
PROGRAM = prepare.TARGET / "release/atomic-image"
# The security archive lies beside the main one, and has keys of its own.
SECURITY = {"suite": "trixie-security", "folder": "debian-security", "key": "/usr/share/keyrings/debian-archive-trixie-security-automatic"}
# Lower wins over newer.
FIRST, EQUAL = 1, 99

Word = Union[str, Path]


def arguments(about: Optional[str]) -> argparse.Namespace:
    """Parses the arguments that every test of this folder has."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("--cache", type=Path, default=prepare.TARGET / "test-cache", help="downloads and packs")
    parser.add_argument("--keep", type=Path, help="work in this new folder, and leave it")
    return parser.parse_args()


def fail(text: str) -> NoReturn:
    sys.exit(f"failed: {text}")


def run(*words: Word, **more: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command and captures what it prints."""
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, **more)


def must(*words: Word, **more: Any) -> str:
    """Runs a command that has to succeed, and returns its output."""
    done = run(*words, **more)
    if done.returncode != 0:
        fail(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def program(*words: Word) -> str:
    """Runs atomic-image, which is compiled first where it is not there."""
    if not PROGRAM.exists():
        must(TOP / "atomic-image", "--version")
    return must(PROGRAM, *words)


def check(what: str, is_good: bool, details: str = "") -> None:
    """Prints one fact that was checked, and ends the test if it does not hold."""
    if not is_good:
        fail(f"{what}{': ' if details else ''}{details}")
    print(f"ok: {what}", flush=True)


class Lab:
    """A folder with a copy of the recipes, a signing key, and whatever is built."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder.resolve(), cache.resolve()
        for name in ("recipes", "rootfs-overlay"):
            shutil.copytree(TOP / name, self.folder / name, symlinks=True)
        self.key = self.folder / "recipes/release.key"
        self.public_key = self.key.with_suffix(".pub")
        program("keygen", self.key.with_suffix(""))

    def recipe(
        self, name: str, version: str, *, more: str = "", install: Iterable[str] = (), suites: Optional[dict[str, int]] = None, url: str = "http://127.0.0.1:9"
    ) -> Path:
        """Writes a recipe that includes the minimal one. `suites` has the priority of trixie, and of its security suite where that is to be seen; `url` is
        where hosts of it look for updates."""
        text = f'schema = 1\nname = "{NAME}"\nversion = "{version}"\nref = "{REF}"\ninclude = ["atomic-host-minimal.toml"]\n'
        if suites is not None:
            repositories = self.folder / "recipes/include/repositories.toml"
            original = (TOP / "recipes/include/repositories.toml").read_text()
            main = original.replace('suite = "trixie"', f'suite = "trixie"\npriority = {suites["trixie"]}')
            if main == original:
                fail(f'expected suite = "trixie" in {repositories}')
            repositories.write_text(main)
            if SECURITY["suite"] in suites:
                text += self.security(suites[SECURITY["suite"]])
        text += f"\n[packages]\ninstall = {json.dumps(sorted(install))}\n"
        text += f'\n[update]\nurl = "{url}"\nkeys = ["release.pub"]\n' + more
        path = self.folder / f"recipes/{name}.toml"
        path.write_text(text)
        return path

    def security(self, priority: int) -> str:
        """The text of the security archive as a repository of a recipe."""
        key = self.folder / "recipes/security.asc"
        ring = next((p for p in map(Path, [SECURITY["key"] + ".gpg", SECURITY["key"] + ".pgp"]) if p.exists()), None)
        if ring is None:
            fail(f"no {SECURITY['key']}.gpg\nhint: apt-get install debian-archive-keyring")
        home = self.folder / "gnupg"
        home.mkdir(mode=0o700, exist_ok=True)
        key.write_text(must("gpg", "--homedir", home, "--no-default-keyring", "--keyring", ring, "--armor", "--export"))
        return f"""
[[repo]]
id = "security"
type = "deb"
url = "{security_archive()}"
suite = "{SECURITY["suite"]}"
components = ["main"]
arch = "amd64"
keys = ["security.asc"]
priority = {priority}
"""

    def build(self, recipe: Path, repo: Path, out: Optional[Path] = None, formats: str = "qcow2", *more: Word) -> None:
        """Builds a recipe into the store `repo`, signed. The disk is removed unless `out` says where it goes."""
        folder = out or self.folder / "out"
        words = ["--cache", self.cache, "--out", folder, "--repo", repo]
        program("build", recipe, *words, "--sign-key", self.key, "--quiet", "--no-sync", "--format", formats, *more)
        if out is None:
            shutil.rmtree(folder)

    def locked(self, name: str, suites: dict[str, int]) -> dict[str, Package]:
        """Chooses packages from suites by their priorities. Returns them by name."""
        recipe = self.recipe(name, "0", suites=suites)
        program("lock", recipe, "--cache", self.cache, "--quiet")
        return locked_packages(recipe)


@dataclass(frozen=True)
class Package:
    """A package of a lockfile: its version as [epoch:]version-release, the source package that it was built from, and the digest of its .deb."""

    name: str
    version: str
    source: str
    sha256: str


def locked_packages(recipe: Path) -> dict[str, Package]:
    """Reads the lockfile of a recipe. The pool has a folder for each source package."""
    packages = {}
    for row in tomllib.loads(recipe.with_suffix(".lock").read_text())["packages"]:
        epoch = f"{row['epoch']}:" if "epoch" in row else ""
        version = f"{epoch}{row['version']}-{row['release']}"
        packages[row["name"]] = Package(row["name"], version, row["source_location"].split("/")[-2], row["source_sha256"])
    return packages


def security_archive() -> str:
    """Returns the URL of the security archive beside the machine's main one; ends the test where there is none."""
    main = prepare.mirror_of_apt()
    if main is None:
        fail("no Debian mirror among the machine's apt sources")
    url = f"{main.rsplit('/', 1)[0]}/{SECURITY['folder']}"
    try:
        with urllib.request.urlopen(f"{url}/dists/{SECURITY['suite']}/InRelease", timeout=60):
            return url
    except OSError as error:
        fail(f"the machine's mirror has no {SECURITY['folder']}: {error}")


def workplace(options: argparse.Namespace, name: str) -> Path:
    """Returns the folder to work in: the one of --keep, or a new one below the build's."""
    folder: Path = options.keep or prepare.TARGET / f"updates-{name}.{os.getpid()}"
    if folder.exists():
        fail(f"{folder} exists")
    folder.mkdir(parents=True)
    return folder.resolve()
