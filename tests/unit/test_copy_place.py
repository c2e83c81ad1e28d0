"""A place where a copy is: on this machine nothing is followed or opened to others, and no server is waited for."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fsspec")

from agentsoc.engine.copy_place import StorePlace, get, in_words, place_at, shown
from agentsoc.errors import LogDamagedError


def test_what_is_written_on_a_disk_is_for_its_owner_and_never_half(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"words")
    place = place_at(str(tmp_path / "there"))
    place.put(tmp_path / "source", "events/one")
    place.put(tmp_path / "source", "events/one")
    assert place.sizes() == {"events/one": 5}
    for path in (tmp_path / "there").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) in (0o700, 0o600)
    get(place, "events/one", tmp_path)
    assert (tmp_path / "events" / "one").read_bytes() == b"words"


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


def test_errors_and_addresses_are_shown_without_what_opens_a_place(tmp_path: Path) -> None:
    assert shown("ftp://me:secret@host/place?token=abc") == "ftp://host/place"
    assert shown("ftp://me:se@cret@host/place") == "ftp://host/place"
    with pytest.raises(OSError, match="refused") as raised:
        get(StorePlace(Hanging(), "b", "b"), "x", tmp_path)
    assert "ssword" not in in_words(raised.value)
