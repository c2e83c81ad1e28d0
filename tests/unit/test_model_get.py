"""A model's file is fetched or put together so that a half or a wrong file is never taken for the whole one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agentsoc.backends import model_download, modelfile
from agentsoc.backends.known_models import MODELS, KnownModel, place
from agentsoc.backends.local import Local, checked_file
from agentsoc.cli.main import main
from agentsoc.errors import BackendSetupError

CONTENT = b"GGUF" + bytes((7 * i * i + i) % 251 for i in range(300_000))
SHA = hashlib.sha256(CONTENT).hexdigest()


class FileServer:
    """Serves `content` on loopback and breaks off after each number of bytes in `breaks`, one a request."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.breaks: list[int] = []
        self.ranges = True
        self.status: int | None = None
        self.stated: int | None = None
        """Length that is stated in place of the true one."""
        self.asked: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_address[1]}/model.gguf"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.asked.append(wanted)
        if self.status is not None:
            handler.send_response(self.status)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges else 0
        whole = len(self.content) if self.stated is None else self.stated
        if start >= len(self.content):
            handler.send_response(416)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        if self.stated != 0:
            handler.send_header("Content-Length", str(whole - start))
        handler.end_headers()
        body = self.content[start:]
        handler.wfile.write(body[: self.breaks.pop(0)] if self.breaks else body)
        handler.close_connection = True


@contextmanager
def serving() -> Iterator[FileServer]:
    server = FileServer()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join(5)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as running:
        yield running


@pytest.fixture
def model(server: FileServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> KnownModel:
    """A small model of a publisher on loopback, whose file is not here yet; nobody waits between tries."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(model_download, "PAUSE_S", 0.0)
    small = KnownModel("small", "Small", "small.gguf", len(CONTENT), SHA, "Apache-2.0", server.address)
    monkeypatch.setitem(MODELS, "small", small)
    return small


def kept(model: KnownModel) -> list[str]:
    folder = place(model).parent
    return sorted(entry.name for entry in folder.iterdir() if entry.name != ".get.lock") if folder.exists() else []


def test_a_file_is_fetched_once(model: KnownModel, server: FileServer) -> None:
    told: list[tuple[int, int]] = []
    path = modelfile.get(None, model, lambda done, total: told.append((done, total)))
    assert path == place(model)
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert modelfile.get(None, model) == path
    assert server.asked == [None]
    assert kept(model) == ["small.gguf"]


def test_an_interrupted_download_goes_on_where_it_stopped(model: KnownModel, server: FileServer) -> None:
    server.breaks = [100_000, 50_000, 0, 0, 7]
    assert modelfile.get(None, model).read_bytes() == CONTENT
    starts = [0 if one is None else int(one[6:-1]) for one in server.asked]
    assert starts == [0, 100_000, 150_000, 150_000, 150_000, 150_007]


def test_a_later_command_goes_on_with_the_part_of_an_earlier_one(model: KnownModel, server: FileServer) -> None:
    server.breaks = [123_456, *[0] * 5]
    with pytest.raises(BackendSetupError, match=r"stopped at 0 of 0 MB.*\n.*go on: agentsoc model get small"):
        modelfile.get(None, model)
    assert kept(model) == [".small.gguf.part"]
    with pytest.raises(BackendSetupError, match="is not here"):
        modelfile.find(Path("small"))
    server.asked.clear()
    assert modelfile.get(None, model).read_bytes() == CONTENT
    assert server.asked == ["bytes=123456-"]


def test_a_server_that_knows_no_ranges_sends_the_whole_again(model: KnownModel, server: FileServer) -> None:
    server.ranges, server.breaks = False, [100_000]
    assert modelfile.get(None, model).read_bytes() == CONTENT


def test_a_part_of_another_file_is_thrown_away(model: KnownModel, server: FileServer) -> None:
    part = place(model).with_name(".small.gguf.part")
    part.parent.mkdir(parents=True)
    for stale in (b"x" * 1_000, b"x" * len(CONTENT), b"x" * (len(CONTENT) + 1)):
        part.write_bytes(stale)
        assert modelfile.get(None, model).read_bytes() == CONTENT
        place(model).unlink()


def test_a_wrong_hash_is_refused_and_removed(model: KnownModel, server: FileServer) -> None:
    server.content = b"x" * len(CONTENT)
    with pytest.raises(BackendSetupError, match=f"expected {SHA}; it was removed"):
        modelfile.get(None, model)
    assert kept(model) == []


@pytest.mark.parametrize("more", [-1, 1])
def test_a_wrong_size_is_refused_before_it_is_fetched(more: int, model: KnownModel, server: FileServer) -> None:
    server.content = CONTENT + b"x" if more > 0 else CONTENT[:-1]
    with pytest.raises(BackendSetupError, match=f"serves {len(CONTENT) + more:,} bytes"):
        modelfile.get(None, model)
    assert kept(model) == []


def test_more_bytes_than_expected_are_refused_when_no_size_is_stated(model: KnownModel, server: FileServer) -> None:
    server.content, server.stated = CONTENT * 2, 0
    with pytest.raises(BackendSetupError, match="serves more than"):
        modelfile.get(None, model)
    assert "small.gguf" not in kept(model)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_told_at_once(status: int, model: KnownModel, server: FileServer) -> None:
    server.status = status
    with pytest.raises(BackendSetupError, match=f"HTTP {status} for small.gguf\n.*--from PATH"):
        modelfile.get(None, model)
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again_a_few_times(model: KnownModel, server: FileServer) -> None:
    server.status = 503
    with pytest.raises(BackendSetupError, match="HTTP 503"):
        modelfile.get(None, model)
    assert len(server.asked) == model_download.TRIES


def test_nobody_at_the_address(model: KnownModel, server: FileServer) -> None:
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(BackendSetupError, match="refused"):
        modelfile.get(None, model)


def test_no_room_is_said_before_anything_is_fetched(
    model: KnownModel, server: FileServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10))
    (tmp_path / "small.gguf").write_bytes(CONTENT)
    for source in (None, tmp_path / "small.gguf"):
        with pytest.raises(BackendSetupError, match="no room for small"):
            modelfile.get(source, model)
    assert server.asked == []
    assert kept(model) == []


def test_a_disk_that_fills_up_leaves_a_part_to_go_on_from(
    model: KnownModel, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        raise OSError(errno.ENOSPC, "No space left on device")

    server.breaks = [100_000]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(BackendSetupError, match=r"no room for small.*No space left"):
            modelfile.get(None, model)
    assert len(calls) == 1
    assert modelfile.get(None, model).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"]


def test_an_interrupt_leaves_a_part_to_go_on_from(model: KnownModel, server: FileServer) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        modelfile.get(None, model, interrupt)
    have = place(model).with_name(".small.gguf.part").stat().st_size
    assert 0 < have <= len(CONTENT)
    assert not place(model).exists()
    server.asked.clear()
    assert modelfile.get(None, model).read_bytes() == CONTENT
    assert server.asked == ([f"bytes={have}-"] if have < len(CONTENT) else [])


def test_an_interrupt_while_parts_are_put_together_leaves_nothing(model: KnownModel, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        modelfile.get(put(tmp_path / "parts", "wheels", [1, 2, 3, 4]), model, interrupt)
    assert kept(model) == []


def test_what_a_killed_command_left_is_cleared_away_by_the_next(model: KnownModel, tmp_path: Path) -> None:
    left = place(model).parent / ".get-killed"
    left.mkdir(parents=True)
    (left / "small.gguf").write_bytes(CONTENT[:9])
    assert modelfile.get(put(tmp_path / "parts", "files", [1, 2, 3, 4]), model).read_bytes() == CONTENT
    assert kept(model) == ["small.gguf"]


def test_a_disk_that_fills_up_while_parts_are_put_together_leaves_nothing(
    model: KnownModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    source = put(tmp_path / "parts", "files", [1, 2, 3, 4])
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BackendSetupError, match=r"no room for small.*No space left"):
        modelfile.get(source, model)
    assert kept(model) == []


def test_two_at_once_do_not_write_one_part(model: KnownModel) -> None:
    place(model).parent.mkdir(parents=True)
    with modelfile._alone(place(model).parent), pytest.raises(BackendSetupError, match="another agentsoc model get"):
        modelfile.get(None, model)


PARTS = [CONTENT[start : start + 90_000] for start in range(0, len(CONTENT), 90_000)]


def put(folder: Path, form: str, numbers: list[int]) -> Path:
    """Put the parts of these numbers into a folder: as files, or each in a wheel, whose code must never run."""
    folder.mkdir()
    for number in numbers:
        if form == "files":
            (folder / f"small.gguf.part{number:02d}").write_bytes(PARTS[number - 1])
            continue
        inside = f"part{number}.bin" if form == "wheels" else "data.bin"
        with zipfile.ZipFile(folder / f"some_{number}-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"some_{number}/__init__.py", "raise ImportError('never imported')")
            archive.writestr(f"some_{number}/{inside}", PARTS[number - 1])
            archive.writestr(f"some_{number}-1.0.dist-info/METADATA", "Name: some")
    return folder


@pytest.mark.parametrize("form", ["files", "wheels", "wheels of one name"])
def test_numbered_parts_are_put_together(form: str, model: KnownModel, server: FileServer, tmp_path: Path) -> None:
    source = put(tmp_path / "parts", form, [1, 2, 3, 4])
    assert modelfile.get(source, model).read_bytes() == CONTENT
    assert server.asked == []
    assert kept(model) == ["small.gguf"]


def test_parts_are_taken_in_the_order_of_their_numbers(model: KnownModel, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    step = 30_000
    for number in range(11):  # part 10 comes before part 2 in the order of names
        end = len(CONTENT) if number == 10 else (number + 1) * step
        (folder / f"part{number}").write_bytes(CONTENT[number * step : end])
    assert modelfile.get(folder, model).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("numbers", "says"),
    [([1, 3, 4], "part 2 of"), ([2, 3, 4], "part 1 of"), ([1, 2, 3], "is the last one missing"), ([], "no numbered")],
)
def test_a_missing_part_is_named(numbers: list[int], says: str, model: KnownModel, tmp_path: Path) -> None:
    for form in ("files", "wheels"):
        with pytest.raises(BackendSetupError, match=says):
            modelfile.get(put(tmp_path / form, form, numbers), model)
        assert kept(model) == []


def test_parts_that_give_another_file_are_refused(model: KnownModel, tmp_path: Path) -> None:
    folder = put(tmp_path / "parts", "files", [1, 2, 3, 4])
    (folder / "small.gguf.part02").write_bytes(b"x" * 90_000)
    place(model).parent.mkdir(parents=True)
    place(model).write_bytes(b"as it was")
    with pytest.raises(BackendSetupError, match=f"expected {SHA}"):
        modelfile.get(folder, model)
    assert place(model).read_bytes() == b"as it was"
    assert kept(model) == ["small.gguf"]


def test_two_parts_of_one_number_are_refused(model: KnownModel, tmp_path: Path) -> None:
    folder = put(tmp_path / "parts", "files", [1, 2, 3, 4])
    (folder / "small.gguf.part2").write_bytes(PARTS[1])
    with pytest.raises(BackendSetupError, match=r"two parts .* number 2"):
        modelfile.get(folder, model)


def test_a_damaged_archive_of_parts_is_refused(model: KnownModel, tmp_path: Path) -> None:
    folder = put(tmp_path / "parts", "wheels", [1, 2, 3, 4])
    broken = folder / "some_2-1.0-py3-none-any.whl"
    raw = bytearray(broken.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    broken.write_bytes(raw)
    with pytest.raises(BackendSetupError, match=r"some_2.*damaged archive"):
        modelfile.get(folder, model)
    assert kept(model) == []


def test_the_command_says_in_one_line_what_is_wrong(
    model: KnownModel, server: FileServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["model", "get", "small", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(place(model)), "sha256": SHA}
    assert main(["model", "info", "small"]) == 0
    assert "as expected" in capsys.readouterr().out
    place(model).unlink()
    server.status = 404
    assert main(["model", "get", "small"]) == 2
    assert "answers HTTP 404 for small.gguf" in capsys.readouterr().err
    assert main(["model", "get", "qwen"]) == 2
    assert "there is no model" in capsys.readouterr().err


def test_a_scenario_names_a_known_model_in_place_of_a_file(model: KnownModel) -> None:
    modelfile.get(None, model)
    named = Local(file=Path("small"))
    backend = named.open(seed=1)
    assert checked_file(named) == place(model)
    identity = backend.identity()
    assert (identity["model"], identity["sha256"]) == ("small", SHA)
    place(model).write_bytes(CONTENT[:-1])
    with pytest.raises(BackendSetupError, match="agentsoc model get small"):
        checked_file(named)


def test_what_is_known_of_the_models_is_complete() -> None:
    for name, known in MODELS.items():
        assert name == known.name
        assert len(known.sha256) == 64
        assert known.address is None or known.address.startswith("https://")
        assert known.address is None or known.address.endswith("/" + known.file)


@pytest.mark.model
@pytest.mark.parametrize("name", [name for name in MODELS if name != "smollm2"])
def test_a_model_that_was_fetched_is_the_publishers(name: str) -> None:
    if not place(MODELS[name]).is_file():
        pytest.skip(f"{name} is not on this machine; get it: agentsoc model get {name}")
    assert modelfile.verify(modelfile.find(Path(name)), MODELS[name].sha256) == MODELS[name].sha256
