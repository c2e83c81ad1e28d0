"""Files named by a scenario: found beside it, read with limits, never elsewhere."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentsoc.errors import InputError
from agentsoc.scenario.files import BASE_DIR, open_text, resolve, sha256_of


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "scenario"
    directory.mkdir()
    token = BASE_DIR.set(directory)
    yield directory
    BASE_DIR.reset(token)


def test_a_name_is_found_beside_the_scenario_and_below(base: Path) -> None:
    (base / "data").mkdir()
    (base / "data" / "a.csv").write_text("0,1\n")
    assert open_text("data/a.csv") == "0,1\n"
    assert open_text("data/../data/./a.csv") == "0,1\n"
    assert resolve("data/a.csv") == (base / "data" / "a.csv").resolve()


def test_without_a_scenario_a_name_is_found_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here.txt").write_text("here")
    monkeypatch.chdir(tmp_path)
    assert BASE_DIR.get() is None
    assert open_text("here.txt") == "here"


def test_a_name_outside_the_directory_is_refused(base: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "scenario-2").mkdir()  # shares the directory's prefix as text, not as a path
    (tmp_path / "scenario-2" / "x.txt").write_text("x")
    for name in ("../secret.txt", str(tmp_path / "secret.txt"), "../scenario-2/x.txt"):
        with pytest.raises(InputError, match="outside the directory of the scenario"):
            open_text(name)


def test_a_symbolic_link_may_lead_to_a_file_inside_but_not_out(base: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (base / "inside.txt").write_text("inside")
    (base / "good.txt").symlink_to(base / "inside.txt")
    (base / "bad.txt").symlink_to(tmp_path / "secret.txt")
    (base / "out").symlink_to(tmp_path)
    assert open_text("good.txt") == "inside"
    for name in ("bad.txt", "out/secret.txt"):
        with pytest.raises(InputError, match="outside the directory of the scenario"):
            sha256_of(name)


def test_links_that_lead_to_each_other_are_refused(base: Path) -> None:
    (base / "a").symlink_to(base / "b")
    (base / "b").symlink_to(base / "a")
    with pytest.raises(InputError, match=r"lead to each other|cannot be read"):
        open_text("a")


def test_what_is_not_an_ordinary_file_is_refused_without_waiting(base: Path) -> None:
    (base / "directory").mkdir()
    os.mkfifo(base / "pipe")
    with pytest.raises(InputError, match="this is a directory"):
        open_text("directory")
    with pytest.raises(InputError, match="this is a pipe"):
        open_text("pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(base / "socket"))  # a full path can be too long for a socket's address
        with pytest.raises(InputError, match="this is a socket"):
            open_text("socket")


def test_a_device_is_refused_even_when_it_lies_inside() -> None:
    token = BASE_DIR.set(Path("/dev"))
    try:
        with pytest.raises(InputError, match="this is a device"):
            open_text("zero")
    finally:
        BASE_DIR.reset(token)


def test_a_file_that_turned_into_a_pipe_after_the_check_is_refused(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(base / "pipe")
    monkeypatch.setattr("agentsoc.scenario.files.resolve", lambda name: base / name)
    with pytest.raises(InputError, match="this is a pipe"):
        open_text("pipe")


def test_a_file_that_turned_into_a_link_after_the_check_is_refused(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (base / "inside.txt").write_text("inside")
    (base / "link").symlink_to(base / "inside.txt")
    monkeypatch.setattr("agentsoc.scenario.files.resolve", lambda name: base / name)
    with pytest.raises(InputError, match="cannot be read"):
        open_text("link")


def test_a_file_is_read_up_to_the_limit_and_not_beyond(base: Path) -> None:
    (base / "a.txt").write_bytes(b"x" * 10)
    assert len(open_text("a.txt", limit_bytes=10)) == 10
    with pytest.raises(InputError, match="10 bytes, the limit is 9"):
        open_text("a.txt", limit_bytes=9)
    with pytest.raises(InputError, match="10 bytes, the limit is 9"):
        sha256_of("a.txt", limit_bytes=9)


def test_a_file_whose_size_is_not_told_stops_at_the_limit() -> None:
    status = Path("/proc/self/status")  # ordinary, size 0, content made when it is read
    if not status.exists():
        pytest.skip("no /proc here")
    token = BASE_DIR.set(status.parent.resolve())
    try:
        with pytest.raises(InputError, match="more than 5 bytes"):
            open_text("status", limit_bytes=5)
    finally:
        BASE_DIR.reset(token)


def test_names_that_are_no_names_are_refused(base: Path) -> None:
    for name in ("", "a\0b", "x" * 5_000, "missing.csv"):
        with pytest.raises(InputError):
            open_text(name)
    (base / "file").write_text("")
    with pytest.raises(InputError, match="no such file"):
        open_text("file/below")


def test_a_missing_scenario_directory_is_an_input_error(tmp_path: Path) -> None:
    token = BASE_DIR.set(tmp_path / "gone")
    try:
        with pytest.raises(InputError, match="no such file"):
            open_text("a.txt")
    finally:
        BASE_DIR.reset(token)


def test_text_is_utf8_without_its_byte_order_mark(base: Path) -> None:
    (base / "bom.txt").write_bytes(b"\xef\xbb\xbfgr\xc3\xbcn\r\n")
    assert open_text("bom.txt") == "grün\r\n"
    (base / "latin.txt").write_bytes(b"one\ngr\xfcn")
    with pytest.raises(InputError, match=r"latin\.txt:2: not UTF-8: byte 0xfc at offset 6"):
        open_text("latin.txt")


def test_the_digest_is_that_of_the_bytes(base: Path) -> None:
    content = b"\xef\xbb\xbfany \xff bytes" * 100_000
    (base / "a.bin").write_bytes(content)
    assert sha256_of("a.bin") == hashlib.sha256(content).hexdigest()
