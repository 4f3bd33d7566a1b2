"""ed25519 signatures over commits, summaries and release plans, verified with the `openssl` program against the tree's own keys.

The keys are base64, one a line, in /usr/share/atomic-image/update-keys.ed25519: part of the tree, so that an update brings new ones and withdraws
old ones. Debian builds libostree without ed25519, so that the host cannot leave this to `ostree pull`.
"""

from __future__ import annotations

import base64
import binascii
import tempfile
from pathlib import Path
from typing import Any, Iterable, Sequence

from .errors import NO_SOURCE, HostError, refused
from .gvariant import parse
from .layout import Layout, read_text
from .programs import attempt

# Bytes of an ed25519 public key and of a signature (RFC 8032, section 5.1).
KEY = 32
SIGNATURE = 64
# SubjectPublicKeyInfo of an ed25519 key up to the key itself (RFC 8410, section 4).
DER_HEAD = bytes.fromhex("302a300506032b6570032100")
# Signatures of one thing that are tried.
MOST = 16
# The name in detached metadata, as `ostree sign --sign-type=ed25519` writes it: an array of signatures.
NAME = "ostree.sign.ed25519"


def decode(text: str, length: int) -> bytes:
    """Decodes base64 strictly: no other letters, and `length` bytes. A `ValueError` otherwise."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not base64: {text[:60]!r}") from error
    if len(data) != length:
        raise ValueError(f"expected {length} bytes in base64, found {len(data)}")
    return data


def trusted(layout: Layout) -> list[bytes]:
    """Returns the public keys that the running tree trusts."""
    out = []
    for line in (read_text(layout.keys) or "").splitlines():
        if line.strip() and not line.startswith("#"):
            try:
                out.append(decode(line.strip(), KEY))
            except ValueError as error:
                raise HostError(f"{layout.keys}: {error}", NO_SOURCE) from error
    if not out:
        raise HostError(f"{layout.keys} has no key, and this host takes no unsigned update", NO_SOURCE, "name keys in [update] of the recipe")
    return out


def shown(key: bytes) -> str:
    """Returns a key as a person compares it."""
    return base64.b64encode(key).decode("ascii")


def detached(data: bytes) -> list[bytes]:
    """Returns the signatures in detached metadata (`a{sv}`). A `ValueError` if it is something else."""
    found: Any = parse(data, "a{sv}").get(NAME, [])
    if not isinstance(found, list) or not all(isinstance(one, bytes) for one in found):
        raise ValueError(f"{NAME} is not an array of signatures")
    return found


def verify(what: str, data: bytes, signatures: Iterable[bytes], keys: Sequence[bytes]) -> bytes:
    """Returns the trusted key that has signed `data`. A refusal that names `what` otherwise."""
    tried = [one for one in signatures if len(one) == SIGNATURE][:MOST]
    if not tried:
        raise refused(f"signature of the {what}", "it is not signed with ed25519")
    with tempfile.TemporaryDirectory(prefix="atomic-host-") as folder:
        content, signature, public = (Path(folder, name) for name in ("content", "signature", "key"))
        content.write_bytes(data)
        for key in keys:
            public.write_bytes(DER_HEAD + key)
            for one in tried:
                signature.write_bytes(one)
                words = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", str(public), "-rawin", "-in", str(content)]
                if attempt([*words, "-sigfile", str(signature)]).returncode == 0:
                    return key
    names = ", ".join(shown(key) for key in keys)
    raise refused(f"signature of the {what}", f"none of its {len(tried)} signatures is by a key that this host trusts ({names})")
