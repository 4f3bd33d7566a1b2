"""ostree's own tests (Debian's package ostree-tests), run by what `installed.tsv` says of each.

They test libostree and its program. A test in which `ostree static-delta generate` or `ostree fsck` is called on an archive store runs with our programs in the
place of these (`in-place-of/ostree`): the test's own expectations and the real client then judge our deltas and our verdicts. What else the tests exercise is
what our store rests on (objects, pulls, signatures, sysroots); they run as they are, which shows that the ostree that judges our stores is sound. Neither
says anything about our store writer: `stock` does that, on stores of ours.

A line of installed.tsv: the test, then `ours` (it must pass, and our programs must have been called), `as is` (it must pass), or `not` and the reason.
A test that skips itself has not passed.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import lab

LISTED = Path("/usr/share/installed-tests/libostree")
TESTS = Path("/usr/libexec/installed-tests/libostree")
HTTP_SERVER = Path("/usr/libexec/libostree")
HERE = Path(__file__).resolve().parent
# Seconds; the longest takes 20.
PATIENCE = 600


def install() -> None:
    """Installs the tests where they are absent."""
    if not LISTED.is_dir():
        lab.prepare.apt_get(["ostree-tests", "attr"])


def table() -> dict[str, tuple[str, str]]:
    """What is to be done with each test, and why not."""
    rows = [line.split("\t") for line in (HERE / "installed.tsv").read_text().splitlines() if not line.startswith("#")]
    return {row[0]: (row[1], row[2] if len(row) > 2 else "") for row in rows}


def run_test(name: str, folder: Path, log: Path) -> tuple[int, str, Counter[str]]:
    """Runs a test in an empty folder. Returns its exit code, what it printed, and how often our programs did what."""
    copied = with_our_number_of_parts(folder)
    exec_line = next(line for line in (LISTED / f"{name}.test").read_text().splitlines() if line.startswith("Exec=")).replace(str(TESTS), str(copied))
    path = f"{HERE / 'in-place-of'}:{os.environ['PATH']}"
    ours = {"REAL_OSTREE": shutil.which("ostree") or "", "OUR_DELTA": str(delta_program()), "OUR_PROGRAM": str(lab.PROGRAM), "OUR_LOG": str(log)}
    log.write_text("")
    words = ["timeout", str(PATIENCE), "sh", "-c", exec_line.removeprefix("Exec=")]
    with tempfile.TemporaryDirectory(dir=folder) as empty:
        done = lab.run(*without_selinux(), *words, cwd=empty, env={**os.environ, **ours, "PATH": path})
    return done.returncode, done.stdout + done.stderr, Counter(log.read_text().splitlines())


def with_our_number_of_parts(folder: Path) -> Path:
    """Copies the tests once. Where they look for one part of a delta the copies accept two, since ours puts what is compressed alike together; and the size of a
    byte-swapped delta, which ostree makes, is not compared with that of ours. Nothing else is changed."""
    copied = folder / "ostree-tests/installed-tests/libostree"
    if not copied.exists():
        # The tests look for their web server beside them.
        (folder / "ostree-tests").mkdir()
        (folder / "ostree-tests/libostree").symlink_to(HTTP_SERVER)
        shutil.copytree(TESTS, copied, symlinks=True)
        for path in copied.glob("pull-test*.sh"):
            text = path.read_text().replace("0/1 parts", "0/[12] parts")
            path.write_text(text.replace('assert_not_reached "byteswapped delta differs in size"', "true"))
    return copied


def without_selinux() -> list[str]:
    """The words before a command that is not to see this machine's SELinux configuration: one that names a policy which is not installed fails `ostree admin`."""
    if not Path("/etc/selinux/config").exists():
        return []
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *user, "--mount", "sh", "-ec", 'mount -t tmpfs none /etc/selinux; exec "$@"', "sh"]


def delta_program() -> Path:
    """The example `delta`, which is compiled first where it is not there."""
    program = lab.prepare.TARGET / "release/examples/delta"
    if not program.exists():
        lab.prepare.build("delta")
    return program


def run_all(folder: Path) -> None:
    """Runs what applies, and prints a line for each test; fails if one failed, or if the table and the package name different tests."""
    wanted = table()
    present = {path.name.removesuffix(".test") for path in LISTED.glob("*.test")}
    print(f"\nostree-tests: {len(present)} tests", flush=True)
    failed = [f"{name}: not in installed.tsv" for name in sorted(present - wanted.keys())]
    totals: Counter[str] = Counter()
    for name in sorted(present & wanted.keys()):
        verdict, reason = wanted[name]
        if verdict == "not":
            print(f"not applicable: {name}: {reason}")
            totals["not applicable"] += 1
            continue
        code, output, ours = run_test(name, folder, folder / "ours.log")
        is_good = code == 0 and not re.search(r"^1\.\.0 # SKIP", output, re.MULTILINE) and (verdict != "ours" or sum(ours.values()) > 0)
        counts = ", ".join(f"{ours[what]} {what}" for what in sorted(ours))
        print(f"{'passed' if is_good else 'FAILED'}: {name}{f' with our {counts}' if counts else ''}", flush=True)
        totals["passed with ours" if verdict == "ours" else "passed as is"] += is_good
        totals.update({f"our {what} calls": count for what, count in ours.items()})
        if not is_good:
            failed.append(f"{name}: code {code}, {counts or 'our programs were not called'}\n{output[-1500:]}")
    print("; ".join(f"{count} {what}" for what, count in sorted(totals.items())))
    if failed:
        lab.fail("\n".join(failed))
