"""A copy of a run that is kept elsewhere can be resumed at any moment, and nothing of how it is reached is written."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fsspec")


from agentsoc.engine.copy_place import StorePlace
from agentsoc.engine.resume import resume
from agentsoc.engine.run import run
from agentsoc.engine.sync import Synced, fetch
from agentsoc.errors import InputError, LogDamagedError, RunFailedError
from agentsoc.log.journal import read_journal
from agentsoc.log.manifest import load_manifest
from agentsoc.log.names import JOURNAL
from agentsoc.log.read import RunLog
from tests.objects import ObjectFiles, reached
from tests.strategies import scenario

PASSWORD = "sk-a-password-of-this-test-0123456789"
SLOW = scenario(
    tasks={"kind": "coin", "count": 30},
    agents={"count": 3, "model": {"kind": "scripted", "accuracy": 0.7, "latency_s": 0.01}},
    engine={"concurrency": 3},
)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with reached(monkeypatch, PASSWORD) as found:
        yield found


def snapshots(directory: Path, address: str, keep: Path) -> list[Path]:
    """Make a run with a copy beside it, and fetch the copy whenever it has changed."""
    found: list[Path] = []
    notices: list[str] = []

    class Watched(Synced):
        def copy(self) -> None:
            super().copy()
            if (self._directory / "manifest.json").exists():
                fetch(address, keep / str(len(found)))
                found.append(keep / str(len(found)))

    with Watched(directory, address, notices, every_s=0.05):
        run(SLOW, directory)
    assert notices == []
    return found


@pytest.mark.parametrize("kind", ["file", "objects"])
def test_every_copy_of_a_run_under_way_is_resumed_to_its_log_and_the_last_is_the_run(
    kind: str, store: Any, tmp_path: Path
) -> None:
    address = "objects://bucket/a-run" if kind == "objects" else str(tmp_path / "there")
    found = snapshots(tmp_path / "run", address, tmp_path)
    whole = RunLog(tmp_path / "run")
    states = [load_manifest(path).status for path in found]
    assert states[-1] == "finished"
    assert "running" in states
    assert RunLog(found[-1]).check() == whole.check()
    had = 0
    for path in found[:: max(1, len(found) // 3)]:
        rows = sum(row.state == "done" for row in read_journal(path / JOURNAL))
        assert rows >= had
        had = rows
        resumed = resume(path)
        assert resumed.manifest.digest == whole.manifest.digest
        resumed.check()
    assert had > 0
    if kind == "file":
        assert RunLog(tmp_path / "there").check() == whole.check()  # it can be read where it is


def test_nothing_of_the_address_or_a_password_is_in_the_run_or_the_copy(store: Any, tmp_path: Path) -> None:
    with Synced(tmp_path / "run", "objects://bucket/a-run", []):
        run(SLOW, tmp_path / "run")
    written = [path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()]
    for data in (*written, *store.objects.values()):
        assert PASSWORD.encode() not in data
        assert b"objects://" not in data
        assert b"bucket" not in data


def test_what_does_not_change_is_copied_once_and_the_manifest_last(store: Any, tmp_path: Path) -> None:
    directory = run(SLOW, tmp_path / "run").directory
    synced = Synced(directory, "objects://b/r", [])
    synced.copy()
    assert store.written[-1] == "b/r/manifest.json"
    once = len(store.written)
    synced.copy()
    assert len(store.written) == once == len(set(store.written))


def test_a_copy_that_fails_is_told_without_the_password_and_made_again(store: Any, tmp_path: Path) -> None:
    notices: list[str] = []
    with Synced(tmp_path / "run", "objects://b/r", notices, every_s=0.05):
        store.refuses = 1
        run(SLOW, tmp_path / "run")
    assert "failed and is tried again" in notices[0]
    assert PASSWORD not in "".join(notices)
    fetch("objects://b/r", tmp_path / "back")
    RunLog(tmp_path / "back").check()


def test_a_last_copy_that_fails_is_an_error_that_says_how_to_go_on(store: Any, tmp_path: Path) -> None:
    def made() -> None:
        with Synced(tmp_path / "run", "objects://b/r", []):
            run(SLOW, tmp_path / "run")
            store.refuses = 10_000

    with pytest.raises(RunFailedError, match="agentsoc resume") as raised:
        made()
    assert PASSWORD not in str(raised.value)
    RunLog(tmp_path / "run").check()


def test_a_place_where_another_run_is_is_refused_before_anything_starts(store: Any, tmp_path: Path) -> None:
    one = run(SLOW, tmp_path / "one").directory
    with Synced(one, "objects://b/r", []):
        pass
    with pytest.raises(InputError, match="there is a run already"):
        Synced(tmp_path / "new", "objects://b/r", [])
    other = run(SLOW.model_copy(update={"seed": 5}), tmp_path / "other").directory
    with pytest.raises(InputError, match="another run is there"):
        Synced(other, "objects://b/r", [])
    with Synced(one, "objects://b/r", []):
        pass


def test_wrong_credentials_are_told_before_anything_starts_and_without_what_they_were(
    store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ObjectFiles, "password", PASSWORD + "-wrong")
    for act in (
        lambda: Synced(tmp_path / "run", "objects://b/r", []),
        lambda: fetch("objects://b/r", tmp_path / "run"),
    ):
        with pytest.raises(InputError, match="HTTP 403") as raised:
            act()
        assert PASSWORD not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_place_with_files_of_somebody_is_refused_and_they_stay(store: Any, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "tasks.parquet").write_bytes(b"mine")
    store.objects["b/r/letter"] = b"mine"
    one = run(SLOW, tmp_path / "one").directory
    for address in ("objects://b/r", str(tmp_path / "there")):
        with pytest.raises(InputError, match="something is there already"):
            Synced(tmp_path / "new", address, [])
    with pytest.raises(InputError, match="something else is there already"):
        Synced(one, "objects://b/r", [])
    assert store.objects == {"b/r/letter": b"mine"}
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["tasks.parquet"]


@pytest.mark.parametrize("place", ["run", "run/copy", ".", "link"])
def test_a_copy_is_never_made_over_the_run(place: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with pytest.raises(InputError, match="a copy cannot be where the run is"):
        Synced(tmp_path / "run", str(tmp_path / place), [])
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_of_two_commands_with_one_place_the_one_that_began_last_goes_on(store: Any, tmp_path: Path) -> None:
    one, other = (
        run(SLOW, tmp_path / "one").directory,
        run(SLOW.model_copy(update={"seed": 5}), tmp_path / "b").directory,
    )
    notices: list[str] = []
    first = Synced(tmp_path / "one", "objects://b/r", notices)
    (one / "manifest.json").rename(one / "later")  # both begin where nothing is yet
    (other / "manifest.json").rename(other / "later")
    second = Synced(other, "objects://b/r", [])
    for directory in (one, other):
        (directory / "later").rename(directory / "manifest.json")
    with second:
        pass
    before = dict(store.objects)

    def went_on() -> None:
        with first:
            pass

    with pytest.raises(RunFailedError, match="another command has begun to write there"):
        went_on()
    assert store.objects == before
    assert len(notices) == 1
    fetch("objects://b/r", tmp_path / "back")
    assert RunLog(tmp_path / "back").check() == RunLog(other).check()


def test_a_copy_is_not_put_back_to_an_older_state_of_its_run(store: Any, tmp_path: Path) -> None:
    directory = run(SLOW, tmp_path / "run").directory
    shutil.copytree(directory, tmp_path / "old")
    with Synced(directory, "objects://b/r", []):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / "old" / JOURNAL)) as db:
        db.execute("DELETE FROM attempts WHERE task >= 10")
        db.commit()
    with pytest.raises(InputError, match="the copy there has 60 replies that the run here has not"):
        Synced(tmp_path / "old", "objects://b/r", [])


def test_a_copy_that_is_cut_off_at_any_write_is_resumed_or_is_not_there(store: Any, tmp_path: Path) -> None:
    states: list[dict[str, bytes]] = []

    class Watched(Synced):
        def copy(self) -> None:
            before = len(store.written)
            super().copy()
            cut = dict(states[-1] if states else {})
            for name in store.written[before:]:
                cut[name] = store.objects[name]
                states.append(dict(cut))

    with Watched(tmp_path / "run", "objects://b/r", [], every_s=0.1):
        run(SLOW, tmp_path / "run")
    whole = RunLog(tmp_path / "run").manifest.digest
    there = 0
    for number, state in enumerate(states):
        store.objects = state
        if "b/r/manifest.json" not in state:
            with pytest.raises(InputError, match="no copy of a run"):
                fetch("objects://b/r", tmp_path / str(number))
            continue
        fetch("objects://b/r", tmp_path / str(number))
        there += 1
        assert resume(tmp_path / str(number)).manifest.digest == whole
    assert there > 4


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("../../x", b"x", "no run has a file of this name"),
        ("events/x", b"x", "no run has a file of this name"),
        ("inputs/not-named.txt", b"x", "no run has a file of this name"),
    ],
)
def test_a_copy_that_holds_what_no_run_holds_is_refused_and_leaves_nothing(
    name: str, data: bytes, message: str, store: Any, tmp_path: Path
) -> None:
    directory = run(SLOW, tmp_path / "run").directory
    with Synced(directory, "objects://b/r", []):
        pass
    store.objects[f"b/r/{name}"] = data
    with pytest.raises(LogDamagedError, match=message):
        fetch("objects://b/r", tmp_path / "back")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_file_that_is_larger_than_it_said_is_not_read_to_its_end(
    store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = run(SLOW, tmp_path / "run").directory
    with Synced(directory, "objects://b/r", []):
        pass
    honest = StorePlace.sizes
    monkeypatch.setattr(StorePlace, "sizes", lambda self: {**honest(self), "tasks.parquet": 10})
    with pytest.raises(LogDamagedError, match="larger than it said"):
        fetch("objects://b/r", tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("address", ["nothing://x", "objects://b/none"])
def test_a_place_without_a_copy_is_told(address: str, store: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        fetch(address, tmp_path / "back")


def test_the_command_keeps_a_copy_and_goes_on_from_it_when_the_run_is_killed(tmp_path: Path) -> None:
    file, there = tmp_path / "s.yaml", tmp_path / "there"
    file.write_text(
        json.dumps(
            {
                "name": "kept",
                "tasks": {"kind": "sentiment", "count": 40},
                "agents": {"count": 3, "model": {"kind": "scripted", "latency_s": 0.2}},
                "topology": "star",
                "protocol": "aggregate",
            }
        )
    )
    program = "import sys, agentsoc.engine.sync as sync; sync.EVERY_S = 0.2; from agentsoc.cli.main import main; "
    program = program.replace("sync.EVERY_S = 0.2", "sync.Synced.__init__.__kwdefaults__['every_s'] = 0.2")
    words = ["run", str(file), "--out", str(tmp_path / "run"), "--sync", str(there), "--quiet"]
    child = subprocess.Popen([sys.executable, "-c", program + "sys.exit(main())", *words], env=os.environ)
    try:
        give_up = time.monotonic() + 60
        while not (there / JOURNAL).exists() or sum(row.state == "done" for row in read_journal(there / JOURNAL)) < 4:
            assert time.monotonic() < give_up
            assert child.poll() is None
            time.sleep(0.1)
    finally:
        child.kill()
        child.wait(10)
    shutil.rmtree(tmp_path / "run")  # the machine is gone
    fetch(str(there), tmp_path / "back")
    kept = {row.key: row.reply for row in read_journal(tmp_path / "back" / JOURNAL) if row.state == "done"}
    resumed = resume(tmp_path / "back", engine={"concurrency": 64})
    again = {row.key: row.reply for row in read_journal(tmp_path / "back" / JOURNAL)}
    assert kept.items() <= again.items()
    assert resumed.manifest.digest == run(file, tmp_path / "here").manifest.digest
