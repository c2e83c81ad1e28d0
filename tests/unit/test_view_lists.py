"""The lists of the viewer: names that cannot be shown as they are, and what a directory of a stranger may cost."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from agentsoc.log.manifest import Manifest, load_manifest
from analysis.viewer.pages import runs as pages_runs
from analysis.viewer.server import lists, serve
from tests.view_folder import GOLDEN
from tests.view_served import asked, data, viewer


def test_a_run_whose_name_cannot_be_shown_as_it_is_opens_by_what_is_shown(tmp_path: Path) -> None:
    for name in ("\u202egnp\x1b[31m", os.fsdecode(b"bad\xff")):
        shutil.copytree(GOLDEN / "debated", tmp_path / name)
    with viewer(tmp_path) as server:
        places = [run["place"] for group in data(server, "runs")["rows"] for run in group["runs"]]
        assert sorted(places) == ["\\u202egnp\\x1b[31m", "bad\\udcff"]
        for place in places:
            assert data(server, "run", place=place)["name"] == "debated"
        (tmp_path / "\u202ex").symlink_to(GOLDEN / "debated")
        found = asked(server, f"/data/run?place={quote(chr(92) + 'u202ex')}")
        assert found.status == 404
        assert b"links are not followed" in found.body


def test_two_names_that_are_shown_alike_open_neither(tmp_path: Path) -> None:
    for name in ("\x1b\\x1b", "\\x1b\x1b"):
        shutil.copytree(GOLDEN / "debated", tmp_path / name)
    with viewer(tmp_path) as server:
        assert asked(server, f"/data/run?place={quote(chr(92) + 'x1b' + chr(92) + 'x1b')}").status == 404


def test_results_are_looked_for_in_so_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "ALL_BYTES", 100)
    (tmp_path / "a.json").write_text("[" + "[]," * 20 + "[]]")
    (tmp_path / "b.json").write_text("[" + "[]," * 20 + "[]]")
    (tmp_path / "c.json").write_text('{"concentration":{},"gamma":{}}')
    with viewer(tmp_path) as server:
        assert data(server, "results") == {"rows": [{"file": "c.json", "kind": "laws"}], "passed_over": 1}
        (tmp_path / "b.json").unlink()
        assert data(server, "results")["passed_over"] == 0


def test_files_that_are_too_large_or_too_many_are_counted_as_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "FILE_BYTES", 40)
    monkeypatch.setattr(lists, "FILES_MAX", 2)
    (tmp_path / "a.json").write_text('{"concentration":{},"gamma":{},"note":"longer than is looked at"}')
    for name in ("b", "c"):
        (tmp_path / f"{name}.json").write_text('{"concentration":{},"gamma":{}}')
    with viewer(tmp_path) as server:
        found = data(server, "results")
        assert ([row["file"] for row in found["rows"]], found["passed_over"]) == (["b.json", "c.json"], 1)
        (tmp_path / "below").mkdir()
        (tmp_path / "below" / "d.json").write_text("{}")
        assert data(server, "results")["passed_over"] == 2


def test_manifests_are_read_again_only_where_they_are_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        shutil.copytree(GOLDEN / "debated", tmp_path / name)
    read: list[str] = []

    def reading(path: Path) -> Manifest:
        read.append(path.name)
        return load_manifest(path)

    monkeypatch.setattr(pages_runs, "load_manifest", reading)
    with viewer(tmp_path) as server:
        first = data(server, "runs")
        assert data(server, "runs") == first
        assert read == ["one", "two"]
        (tmp_path / "two" / "manifest.json").write_text("{}")
        again = data(server, "runs")["rows"]
        assert [group["status"] for group in again] == ["finished", "damaged"]
        assert read == ["one", "two", "two"]


def test_manifests_are_kept_up_to_so_many_bytes_and_those_of_runs_that_are_gone_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "three", "two"):
        shutil.copytree(GOLDEN / "debated", tmp_path / name)
    monkeypatch.setattr(pages_runs, "KNOWN_BYTES", 2 * (tmp_path / "one" / "manifest.json").stat().st_size)
    known: pages_runs.Known = {}
    first = pages_runs.runs_page(tmp_path, known)
    assert [path.name for path in known] == ["one", "three"]
    assert pages_runs.runs_page(tmp_path, known) == first == pages_runs.runs_page(tmp_path)
    shutil.rmtree(tmp_path / "one")
    pages_runs.runs_page(tmp_path, known)
    assert [path.name for path in known] == ["three", "two"]


def test_requests_that_never_end_shut_nobody_out_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "HEAD_S", 2.0)
    half, whole = b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: other\r\n\r\n"
    with viewer(tmp_path) as server, contextlib.ExitStack() as held:

        def held_open() -> socket.socket:
            return held.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))

        second = held_open()  # a request that is answered, then one that does not end
        second.sendall(whole)
        assert second.recv(1 << 16).startswith(b"HTTP/1.1 403")
        second.sendall(half)
        for _ in range(serve.AT_ONCE + 6):
            held_open().sendall(half)
        for wanted in (503, 200):  # first nobody gets in, and then everybody
            until = time.monotonic() + 20
            while (status := asked(server, "/data/runs").status) != wanted and time.monotonic() < until:
                time.sleep(0.05)
            assert status == wanted
        while second.recv(1 << 16):
            pass


def test_absolute_addresses_and_other_protocols_are_given_nothing(tmp_path: Path) -> None:
    with viewer(tmp_path) as server:
        own = f"{serve.LOOPBACK}:{server.port}"
        key = f"Cookie: {server.keys.name}={server.keys.cookie}\r\n"
        upgrade = "Connection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        for line, more, status in (
            (f"GET http://{own}/data/runs", key, 404),
            ("GET http://x.example/data/runs", key, 404),
            (f"GET http://{own}/data/runs", "", 403),
            ("GET /data/runs", upgrade, 403),
            ("GET /data/runs", f"{key}{upgrade}", 200),  # answered as any other request, and not upgraded
            ("CONNECT x.example:443", key, 405),
            ("TRACE /", key, 405),
            ("GET //data/../data/runs", key, 404),
        ):
            with socket.create_connection((serve.LOOPBACK, server.port), timeout=20) as found:
                found.sendall(f"{line} HTTP/1.1\r\nHost: {own}\r\n{more}Connection: close\r\n\r\n".encode())
                assert found.recv(1_000).decode().startswith(f"HTTP/1.1 {status} "), line
