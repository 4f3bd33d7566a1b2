"""Where updates come from: what the image says (update.json), the remote's configuration, and what the host changed (update.conf).

    /usr/share/atomic-image/update.json       os, ref, remote, channel, version, title; `"remote": null` without an update source
    /etc/ostree/remotes.d/REMOTE.conf         url
    /usr/share/atomic-image/update.conf       defaults of the next
    /etc/atomic-image/update.conf             channel, reboot, stale-after-days
"""

from __future__ import annotations

import configparser
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, replace
from typing import Optional

from .errors import NETWORK, NO_SOURCE, HostError
from .layout import Layout, read_state, read_text

# Seconds without a byte.
PATIENCE = 60
SCHEMES = ("http", "https", "file")
# How libostree's configuration names a file with a URL a line.
MIRRORS = "mirrorlist=file://"


@dataclass(frozen=True)
class Settings:
    """What update.conf says."""

    channel: str
    reboot: str
    stale_after_days: int


@dataclass(frozen=True)
class Source:
    """An update source: the stateroot, the ref that the host follows, and the remote with its URLs, of which the first that answers is taken."""

    os: str
    ref: str
    remote: str
    channel: str
    urls: tuple[str, ...]

    @property
    def refspec(self) -> str:
        return f"{self.remote}:{self.ref}"

    def following(self, ref: str) -> Source:
        """Returns the same source with another ref."""
        return replace(self, ref=ref)

    def fetch(self, path: str, limit: int) -> Optional[bytes]:
        """Downloads a file of at most `limit` bytes below the source's URL. `None`: the server says that there is none."""
        reasons = []
        for url in self.urls:
            address = f"{url.rstrip('/')}/{urllib.parse.quote(path)}"
            try:
                request = urllib.request.Request(address, headers={"Cache-Control": "no-cache", "User-Agent": "atomic-image"})
                with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                    data = bytes(answer.read(limit + 1))
            except urllib.error.HTTPError as error:
                if error.code in (404, 410):
                    return None
                reasons.append(f"{shown(address)}: HTTP status {error.code}")
                continue
            except FileNotFoundError:
                return None
            except (OSError, ValueError) as error:
                reason = getattr(error, "reason", error)
                if isinstance(reason, FileNotFoundError):
                    return None
                reasons.append(f"{shown(address)}: {reason}")
                continue
            if len(data) > limit:
                raise HostError(f"{shown(address)} has more than {limit} bytes", NETWORK)
            return data
        raise HostError(f"no update server answers: {'; '.join(reasons)}", NETWORK, "the host is unchanged; try again when the network is up")


def shown(url: str) -> str:
    """Returns a URL without its user name, password and query."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def settings(layout: Layout) -> Settings:
    """Reads update.conf. A value that makes no sense is an error that names it."""
    config = configparser.ConfigParser(interpolation=None)
    try:
        config.read([layout.root / "usr/share/atomic-image/update.conf", layout.root / "etc/atomic-image/update.conf"], encoding="utf-8")
        found = Settings(
            config.get("update", "channel", fallback=""), config.get("update", "reboot", fallback="never"),
            config.getint("update", "stale-after-days", fallback=30),
        )
    except (configparser.Error, ValueError) as error:
        raise HostError(f"update.conf: {error}", NO_SOURCE) from error
    if found.reboot not in ("never", "when-needed"):
        raise HostError(f"update.conf: reboot: expected never or when-needed, found {found.reboot!r}", NO_SOURCE)
    return found


def load(layout: Layout) -> Source:
    """Returns the update source of the running tree. An error, with what to do, if the image was built without one."""
    image = read_state(layout.update_source, {})
    remote, system, ref = image.get("remote"), image.get("os"), image.get("ref")
    if not remote:
        raise HostError(
            "this image was built without an update source", NO_SOURCE,
            "add [update] with url and keys to the recipe and build it again, or add a remote by hand: see `atomic host rebase --help`",
        )
    if not all(isinstance(word, str) and word for word in (remote, system, ref)):
        raise HostError(f"{layout.update_source}: expected the texts os, ref and remote", NO_SOURCE)
    channel = settings(layout).channel or image.get("channel") or "stable"
    return Source(system, ref, remote, str(channel), urls(layout, remote))


def urls(layout: Layout, remote: str) -> tuple[str, ...]:
    """Returns the URLs of a remote: `url`, or the lines of the tree's file that it names as `mirrorlist=file:///…`."""
    config = configparser.ConfigParser(interpolation=None, strict=False)
    text = read_text(layout.root / f"etc/ostree/remotes.d/{remote}.conf") or read_text(layout.repo / "config") or ""
    try:
        config.read_string(text)
        section = config[f'remote "{remote}"']
    except (configparser.Error, KeyError) as error:
        raise HostError(f"remote {remote} has no configuration in /etc/ostree/remotes.d", NO_SOURCE) from error
    url = section.get("url", "")
    found = [url] if url else []
    if url.startswith(MIRRORS):
        found = (read_text(layout.root / url[len(MIRRORS) :].lstrip("/")) or "").split()
    good = tuple(word for word in found if urllib.parse.urlsplit(word).scheme in SCHEMES)
    if not good:
        raise HostError(f"remote {remote}: expected a url of http, https or file, found {', '.join(map(shown, found)) or 'none'}", NO_SOURCE)
    return good
