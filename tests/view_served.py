"""The viewer served on loopback for as long as a test needs it, asked by hand or by a browser."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from analysis.commands.view import means_with
from analysis.viewer.server.places import Means
from analysis.viewer.server.serve import LOOPBACK, ViewServer


class Answered(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


@contextlib.contextmanager
def viewer(root: Path, means: Means | None = None) -> Iterator[ViewServer]:
    """Serve what is below `root`."""
    server = ViewServer(root, means or means_with())
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(20)
        assert not thread.is_alive()


def asked(
    server: ViewServer, path: str, headers: Sequence[tuple[str, str]] | None = None, method: str = "GET"
) -> Answered:
    """Send a request with these headers and no others; by default with the right name and the cookie."""
    if headers is None:
        headers = named(server) + cookie(server)
    connection = http.client.HTTPConnection(LOOPBACK, server.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        found = connection.getresponse()
        return Answered(found.status, {name.lower(): value for name, value in found.getheaders()}, found.read())
    finally:
        connection.close()


def named(server: ViewServer) -> list[tuple[str, str]]:
    return [("Host", f"{LOOPBACK}:{server.port}")]


def cookie(server: ViewServer) -> list[tuple[str, str]]:
    return [("Cookie", f"{server.keys.name}={server.keys.cookie}")]


def data(server: ViewServer, what: str, **at: object) -> Any:
    """Return the data of a page; the answer has to be sound."""
    found = asked(server, f"/data/{what}?{urlencode(at)}")
    assert found.status == 200, found.body
    return json.loads(found.body)
