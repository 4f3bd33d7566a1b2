"""`ostree` without the signature checks of its remotes, for one command in a mount namespace of its own, so that nobody else ever pulls without a check.

It is for two cases. This libostree may lack ed25519, and then refuses a remote that asks for it: we have verified, and let it pull what we name by its digest.
And libostree lists no deployment at all when one of them has no signature and its remote asks for one: an image that was built without a key, and
signed later, has such a deployment.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Optional, Sequence

from .layout import Layout
from .programs import LIMIT, attempt

SCRIPT = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
# Keys of a remote that ask for signatures; see ostree.repo-config(5).
CHECKS = ("sign-verify", "verification-ed25519", "gpg-verify", "gpgkeypath")


def unverified(layout: Layout, words: Sequence[str], limit: Optional[float] = LIMIT) -> subprocess.CompletedProcess[str]:
    """Runs a command that sees every remote of /etc/ostree/remotes.d without its checks. Returns its status and both outputs."""
    configuration = layout.root / "etc/ostree/remotes.d"
    with tempfile.TemporaryDirectory(prefix="atomic-host-") as folder:
        for file in configuration.glob("*.conf"):
            Path(folder, file.name).write_text(without_checks(file.read_text(encoding="utf-8", errors="replace")), encoding="utf-8")
        return attempt(["unshare", "--mount", "sh", "-c", SCRIPT, "sh", folder, str(configuration), *words], limit)


def without_checks(text: str) -> str:
    """Returns a remote's configuration that asks for no signature. Where nothing is said, libostree asks for OpenPGP."""
    lines = [line for line in text.splitlines() if not line.startswith(CHECKS)]
    out: list[str] = []
    for line in lines:
        out.append(line)
        if line.startswith("[remote "):
            out.append("gpg-verify=false")
    return "\n".join(out) + "\n"
