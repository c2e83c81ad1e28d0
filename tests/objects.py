"""A small object store on loopback, and the file system of fsspec that speaks to it: keys, no folders, no renames."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import quote, unquote

import pytest
from fsspec import register_implementation
from fsspec.spec import AbstractFileSystem


class _Handler(BaseHTTPRequestHandler):
    """PUT and GET of an object, GET of / for the list of all; everything needs the password."""

    server: _Store

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.headers.get("X-Password") != self.server.password:
            self._answer(403)
        elif self.path == "/":
            self._answer(200, json.dumps({key: len(data) for key, data in self.server.objects.items()}).encode())
        elif (key := unquote(self.path[1:])) in self.server.objects:
            self._answer(200, self.server.objects[key])
        else:
            self._answer(404)

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("X-Password") != self.server.password or self.server.refuses > 0:
            self.server.refuses -= 1
            self._answer(503)
            return
        self.server.objects[unquote(self.path[1:])] = data
        self.server.written.append(unquote(self.path[1:]))
        self._answer(200)


class _Store(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, password: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.password = password
        self.objects: dict[str, bytes] = {}
        self.written: list[str] = []
        self.refuses = 0


@contextmanager
def object_store(password: str) -> Iterator[_Store]:
    """Serve a store as long as the block lasts."""
    store = _Store(password)
    thread = threading.Thread(target=store.serve_forever, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        store.shutdown()
        store.server_close()
        thread.join(5)


class ObjectFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Objects by their keys; the address holds no password, as those of real stores do not."""

    protocol = "objects"
    cachable = False
    port: ClassVar[int] = 0
    password: ClassVar[str] = ""

    def _ask(self, method: str, key: str, data: bytes | None = None) -> bytes:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request(method, "/" + quote(key), data, {"X-Password": self.password})
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status == 404:
            raise FileNotFoundError(key)
        if answer.status != 200:
            raise OSError(f"HTTP {answer.status} for password={self.password}")
        return body

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Do nothing: there are no folders."""

    def put_file(self, lpath: str, rpath: str, *_: Any, **__: Any) -> None:
        """Write an object."""
        with open(lpath, "rb") as file:  # noqa: PTH123
            self._ask("PUT", rpath, file.read())

    def find(self, path: str, *_: Any, **__: Any) -> dict[str, dict[str, Any]]:
        """Return all objects below a prefix."""
        found = json.loads(self._ask("GET", ""))
        return {key: {"size": size} for key, size in found.items() if key.startswith(path.rstrip("/") + "/")}

    def open(self, path: str, *_: Any, **__: Any) -> io.BytesIO:
        """Read an object."""
        return io.BytesIO(self._ask("GET", path))


@contextmanager
def reached(monkeypatch: pytest.MonkeyPatch, password: str, kind: type[ObjectFiles] = ObjectFiles) -> Iterator[_Store]:
    """Serve a store that `objects://` addresses reach through `kind` with this password."""
    register_implementation("objects", kind, clobber=True)
    with object_store(password) as found:
        monkeypatch.setattr(ObjectFiles, "port", found.server_address[1])
        monkeypatch.setattr(ObjectFiles, "password", password)
        yield found
