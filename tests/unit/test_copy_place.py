"""A place where a copy is: on this machine nothing is followed or opened to others, and no server is waited for."""

from __future__ import annotations

import io
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fsspec")

from fsspec import AbstractFileSystem, register_implementation

from agentsoc.engine import copy_place
from agentsoc.engine.copy_place import StorePlace, get, in_words, place_at, shown
from agentsoc.errors import InputError, LogDamagedError


def test_what_is_written_on_a_disk_is_for_its_owner(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"words")
    place = place_at(str(tmp_path / "there"))
    place.put(tmp_path / "source", "events/one")
    place.put(tmp_path / "source", "events/one")
    assert place.sizes() == {"events/one": 5}
    for path in (tmp_path / "there").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) in (0o700, 0o600)
    get(place, "events/one", tmp_path)
    assert (tmp_path / "events" / "one").read_bytes() == b"words"


def test_what_is_written_on_a_disk_is_never_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = place_at(str(tmp_path / "there"))
    (tmp_path / "source").write_bytes(b"the old words")
    place.put(tmp_path / "source", "manifest.json")
    (tmp_path / "source").write_bytes(b"the new words")

    def failing(file: io.BufferedReader) -> Iterator[bytes]:
        yield file.read(7)
        seen.append((tmp_path / "there" / "manifest.json").read_bytes())
        raise OSError("the disk is gone")

    seen: list[bytes] = []
    monkeypatch.setattr(copy_place, "_read", failing)
    with pytest.raises(OSError, match="the disk is gone"):
        place.put(tmp_path / "source", "manifest.json")
    assert seen == [b"the old words"]
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["manifest.json"]
    assert (tmp_path / "there" / "manifest.json").read_bytes() == b"the old words"


class Renaming:
    """A server that writes into the file that is there, as those of sftp do, and whose line may be cut."""

    protocol: Any = ("sftp", "ssh")

    def __init__(self, *, removes: bool = True) -> None:
        self.cut, self.removes = False, removes

    def makedirs(self, path: str, exist_ok: bool) -> None:
        Path(path).mkdir(parents=True, exist_ok=exist_ok)

    def put_file(self, source: str, path: str) -> None:
        data = Path(source).read_bytes()
        Path(path).write_bytes(data[:7] if self.cut else data)
        if self.cut:
            raise OSError("the line was cut")

    def mv(self, old: str, new: str) -> None:
        Path(old).replace(new)

    def rm_file(self, path: str) -> None:
        if not self.removes:
            raise OSError("the line was cut")
        Path(path).unlink()

    def invalidate_cache(self) -> None:
        """Nothing is remembered."""

    def find(self, base: str, **_: Any) -> dict[str, Any]:
        return {str(path): {"size": path.stat().st_size} for path in Path(base).rglob("*") if path.is_file()}


@pytest.mark.parametrize("removes", [True, False])
def test_a_file_that_is_cut_on_its_way_to_sftp_leaves_the_one_before(removes: bool, tmp_path: Path) -> None:
    files = Renaming(removes=removes)
    place = StorePlace(files, str(tmp_path / "there"), "there").below("run")
    (tmp_path / "source").write_bytes(b"the old words")
    place.put(tmp_path / "source", "manifest.json")
    (tmp_path / "source").write_bytes(b"the newest words")
    files.cut = True
    with pytest.raises(OSError, match="the line was cut"):
        place.put(tmp_path / "source", "manifest.json")
    assert (tmp_path / "there" / "run" / "manifest.json").read_bytes() == b"the old words"
    assert place.sizes() == {"manifest.json": 13}  # what was begun is no file of the copy
    files.cut = False
    place.put(tmp_path / "source", "manifest.json")
    assert place.sizes() == {"manifest.json": 16}


def test_a_server_that_hangs_when_it_is_reached_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    class Connecting(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
        protocol = "connecting"

        def __init__(self, *args: Any, **words: Any) -> None:
            super().__init__(*args, **words)
            go.wait(20)

    register_implementation("connecting", Connecting, clobber=True)
    monkeypatch.setattr(copy_place, "PATIENCE_S", 0.1)
    with pytest.raises(InputError, match="the place cannot be reached: it did not answer"):
        place_at("connecting://host/place")
    go.set()
    with pytest.raises(InputError, match="this is no address that fsspec knows"):
        place_at("nothing://host/place")


def test_a_file_that_hangs_when_it_is_closed_is_left_alone(tmp_path: Path) -> None:
    go = threading.Event()

    class Closing(io.BytesIO):
        def close(self) -> None:
            go.wait(20)
            super().close()

    class Files(Hanging):
        def open(self, *_: Any) -> Any:
            return Closing(b"words")

    began = time.monotonic()
    get(StorePlace(Files(), "b", "b", patience_s=0.1), "x", tmp_path)
    assert time.monotonic() - began < 10
    go.set()
    assert (tmp_path / "x").read_bytes() == b"words"


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_nothing_but_a_file_is_read_or_written_on_a_disk(kind: str, tmp_path: Path) -> None:
    there, outside = tmp_path / "there", tmp_path / "outside"
    there.mkdir()
    outside.write_bytes(b"mine")
    if kind == "link":
        (there / "tasks.parquet").symlink_to(outside)
        (there / "inputs").symlink_to(tmp_path)
    elif kind == "pipe":
        os.mkfifo(there / "tasks.parquet")
    else:
        (there / "tasks.parquet").mkdir()
    place = place_at(str(there))
    for number, name in enumerate(["tasks.parquet", "inputs/outside"] if kind == "link" else ["tasks.parquet"]):
        (tmp_path / str(number)).mkdir()
        with pytest.raises((LogDamagedError, OSError)):
            place.put(outside, name)
        with pytest.raises((LogDamagedError, OSError)):
            get(place, name, tmp_path / str(number))
    assert outside.read_bytes() == b"mine"


class Hanging:
    """A file system that does not answer until it is let go."""

    protocol = "hanging"

    def __init__(self) -> None:
        self.go, self.asked = threading.Event(), 0

    def invalidate_cache(self) -> None:
        """Nothing is remembered."""

    def find(self, *_: Any, **__: Any) -> dict[str, Any]:
        self.asked += 1
        self.go.wait(20)
        return {"b/tasks.parquet": {"size": None}, "other": {"size": 1}}

    def open(self, *_: Any) -> Any:
        raise OSError("ftp://me:open sesame@host/b refused ftp://me:p@ssword@host/b")


def test_a_server_that_hangs_is_left_alone_until_it_has_answered() -> None:
    files = Hanging()
    place = StorePlace(files, "b", "b", patience_s=0.1)
    with pytest.raises(TimeoutError, match=r"did not answer within 0\.1 s"):
        place.sizes()
    with pytest.raises(TimeoutError, match="has not answered what it was asked before"):
        place.sizes()
    assert files.asked == 1
    files.go.set()
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        try:
            assert place.sizes() == {"tasks.parquet": 0}
            break
        except TimeoutError:
            time.sleep(0.01)
    else:
        pytest.fail("it was never asked again")


def test_errors_and_addresses_are_shown_without_what_opens_a_place(tmp_path: Path) -> None:
    assert shown("ftp://me:secret@host/place?token=abc") == "ftp://host/place"
    assert shown("ftp://me:se@cret@host/place") == "ftp://host/place"
    with pytest.raises(OSError, match="refused") as raised:
        get(StorePlace(Hanging(), "b", "b"), "x", tmp_path)
    assert "ssword" not in in_words(raised.value)
