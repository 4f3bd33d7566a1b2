"""A web server on the loopback interface that counts the bytes of the bodies that it sends."""

from __future__ import annotations

import http.server
import threading
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Optional


class Server:
    """Serves a folder while the `with` block runs. `sent` has the bytes of bodies by path; redirects, errors and headers are not counted."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.sent: dict[str, int] = {}
        self._lock = threading.Lock()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(folder)))
        self._server.daemon_threads = True
        setattr(self._server, "count", self._count)

    def _count(self, path: str, length: int) -> None:
        with self._lock:
            self.sent[path] = self.sent.get(path, 0) + length

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def total(self) -> int:
        return sum(self.sent.values())

    def __enter__(self) -> Server:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self._server.shutdown()
        self._server.server_close()


class Handler(http.server.SimpleHTTPRequestHandler):
    """Answers with whole files, and keeps connections open as a real server does."""

    protocol_version = "HTTP/1.1"

    def copyfile(self, source: Any, outputfile: Any) -> None:
        while piece := source.read(1 << 16):
            outputfile.write(piece)
            getattr(self.server, "count")(self.path, len(piece))

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        pass
