"""`atomic host reset`: a stateroot of its own for the booted commit, with fresh /var and /etc and without a download. The old one stays until it is removed.

`ostree admin os-init` makes the stateroot, and `deploy --no-merge` a deployment in it from the commit that is there, with the machine's kernel arguments.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from .deployments import Deployment, booted, load
from .errors import HostError
from .layout import Layout
from .programs import run

# Stateroots of one name that are tried.
MOST = 100


def reset(layout: Layout) -> str:
    """Deploys the booted commit into a fresh stateroot and makes it the default. Returns the stateroot's name."""
    deployments = load(layout)
    running = booted(deployments)
    if running.options is None:
        raise HostError("the boot entry of the running deployment cannot be found, and with it the machine's kernel arguments")
    name = fresh_name(layout, running)
    run(layout.admin("os-init", name))
    with tempfile.NamedTemporaryFile("w", prefix="atomic-host-", suffix=".origin", encoding="utf-8") as origin:
        origin.write(f"[origin]\nrefspec={running.origin}\n" if running.origin else "[origin]\n")
        origin.flush()
        kept = [f"--karg-append={word}" for word in running.options]
        # Of another stateroot, so that nothing is removed for it, and pinned deployments stay anyway.
        words = [f"--os={name}", "--no-merge", "--retain", f"--origin-file={origin.name}", "--karg-none", *kept, running.commit]
        run(layout.admin("deploy", *words))
    return name


def fresh_name(layout: Layout, running: Deployment) -> str:
    """Returns the name of a stateroot that is not there: the running one's with the next number."""
    base, _, number = running.os.rpartition(".")
    if not base or not number.isdigit():
        base, number = running.os, "1"
    for count in range(int(number) + 1, int(number) + MOST):
        name = f"{base}.{count}"
        if not (layout.sysroot / "ostree/deploy" / name).exists():
            return name
    raise HostError(f"there are {MOST} stateroots of the name {base}: remove one with `atomic host reset --remove`")


def remove(layout: Layout, name: str) -> None:
    """Removes a stateroot that does not run: its deployments, then its folder with /var."""
    deployments = load(layout)
    folder = layout.sysroot / "ostree/deploy" / name
    if Path(name).name != name or name in ("", ".", "..") or not folder.is_dir():
        raise HostError(f"there is no stateroot {name!r}", hint="names stand in `ostree admin status`")
    if booted(deployments).os == name:
        raise HostError(f"stateroot {name} runs: it cannot be removed")
    for deployment in reversed(deployments):
        if deployment.os == name:
            if deployment.pinned:
                run(layout.admin("pin", "--unpin", str(deployment.index)))
            run(layout.admin("undeploy", str(deployment.index)))
    run(layout.admin("cleanup"))
    remove_folder(layout, folder)


def remove_folder(layout: Layout, folder: Path) -> None:
    """Removes a stateroot's folder. On a running host /sysroot is mounted read-only, so that it happens in a mount namespace of its own."""
    if layout.sysroot_option:
        shutil.rmtree(folder)
        return
    script = 'mount -o remount,rw /sysroot && rm -rf --one-file-system -- "$1"'
    run(["unshare", "--mount", "sh", "-c", script, "sh", str(folder)])
