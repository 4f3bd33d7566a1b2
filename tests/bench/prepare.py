"""What every benchmark needs first: our programs built now from this checkout, and the programs that they are measured beside.

Nothing that is installed is removed or replaced for it: where apt-get would have to, the benchmark ends and says so."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target"))
os.environ["PATH"] += ":/usr/sbin:/sbin"


def build(*examples):
    """Builds the program and these examples in the release profile; says nothing where all is as new as the sources."""
    subprocess.run(["cargo", "build", "--quiet", "--release", "--locked", "-p", "atomic-image", "--bins"], cwd=TOP, check=True)
    for example in examples:
        (crate,) = [path.parents[1].name for path in (TOP / "builder").glob(f"*/examples/{example}.rs")]
        package = "atomic-image" if crate == "atomic-image" else f"atomic-image-{crate}"
        subprocess.run(["cargo", "build", "--quiet", "--release", "--locked", "-p", package, "--example", example], cwd=TOP, check=True)


def install(**peers):
    """Each program, and the Debian package that has it, with `_` for `-` in the program's name."""
    absent = {package for program, package in peers.items() if shutil.which(program.replace("_", "-")) is None}
    apt_get(sorted(absent)) if absent else None


def apt_get(packages):
    wanted = f"apt-get install {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        sys.exit(f"not installed: {' '.join(packages)}\nhint: these are names of Debian packages; install what has the same programs here")
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    if as_root and shutil.which("sudo") is None:
        sys.exit(f"not installed: {' '.join(packages)}\nhint: as root, {wanted}")
    print(f"installing what is measured beside ours: {' '.join(packages)}", file=sys.stderr, flush=True)
    subprocess.run([*as_root, "apt-get", "-qq", "update"], check=True, stdout=subprocess.DEVNULL)
    command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "install", "-y", "--no-install-recommends", "--no-remove", *packages]
    if subprocess.run([*as_root, *command], stdout=subprocess.DEVNULL).returncode != 0:
        sys.exit(f"{wanted} failed; nothing was removed or downgraded for it\nhint: install them by hand, then run this again")


def mirror_of_apt():
    """The URL of the first Debian mirror among the machine's apt sources; None where there is none."""
    said = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE) $(REPO_URI)", "Created-By: Packages", "Component: main"], capture_output=True, text=True).stdout
    uris = [line.split()[1] for line in said.splitlines() if len(line.split()) == 2]
    return next((uri.rstrip("/") for uri in uris if uri.rstrip("/").endswith("/debian")), None)
