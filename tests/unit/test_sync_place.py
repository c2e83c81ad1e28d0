"""What stands where a copy is to be is looked at before anything is paid for, and never read without a bound."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fsspec")


from agentsoc.cli import main
from agentsoc.engine.copy_place import DiskPlace
from agentsoc.engine.run import run
from agentsoc.engine.sync import Synced, fetch
from agentsoc.errors import InputError, LogDamagedError, RunFailedError
from agentsoc.experiment.comparison import parse_comparison
from agentsoc.experiment.grid import Grid, make_grid
from agentsoc.experiment.runner import run_comparison
from agentsoc.experiment.sync import SyncedComparison, fetch_comparison
from agentsoc.log.names import JOURNAL
from agentsoc.log.read import RunLog
from tests.objects import ObjectFiles, reached
from tests.strategies import scenario

SMALL = scenario(tasks={"kind": "coin", "count": 4}, agents={"count": 3, "model": {"kind": "scripted"}})
COMPARISON = """
name: kept
base:
  tasks: {kind: jsonl, file: quiz.jsonl}
  engine: {umask: false}
organisations:
  few: {agents: {count: 3, model: {kind: scripted}}, topology: star, protocol: aggregate}
  more: {agents: {count: 4, model: {kind: scripted}}, topology: star, protocol: aggregate}
"""
HUGE = 3 << 30


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grid:
    monkeypatch.chdir(tmp_path)
    Path("quiz.jsonl").write_text('{"question": "So?", "answer": "yes", "options": ["yes", "no"]}\n' * 2)
    return make_grid(parse_comparison(COMPARISON))


@pytest.fixture
def made(grid: Grid, tmp_path: Path) -> Path:
    """A comparison that is finished, with a copy in ``there``."""
    run_comparison(grid, tmp_path / "one", workers=1)
    kept(tmp_path / "one", tmp_path / "there")
    return tmp_path / "one"


def kept(directory: Path, there: Path) -> None:
    with SyncedComparison(directory, str(there), []):
        pass


def modes(there: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in (there, *there.rglob("*"))}


def swell(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(HUGE)


def test_a_record_that_is_announced_too_large_is_not_fetched(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = run(SMALL, tmp_path / "run").directory
    with Synced(one, str(tmp_path / "copy"), []):
        pass
    shutil.copytree(tmp_path / "there", tmp_path / "other")
    first = next((tmp_path / "other" / "runs").iterdir())
    swell(tmp_path / "copy" / "manifest.json")
    swell(tmp_path / "there" / "comparison.json")
    swell(first / "manifest.json")
    read: list[str] = []
    pieces = DiskPlace.pieces

    def watched(self: DiskPlace, name: str) -> Iterator[bytes]:
        read.append(name)
        return pieces(self, name)

    monkeypatch.setattr(DiskPlace, "pieces", watched)
    too_large = r"has 3,221,225,472 bytes, of [0-9,]+ at most"
    with pytest.raises(LogDamagedError, match=too_large):
        fetch(str(tmp_path / "copy"), tmp_path / "back")
    with pytest.raises(InputError, match=too_large):
        Synced(one, str(tmp_path / "copy"), [])
    for place in ("there", "other"):
        with pytest.raises(LogDamagedError, match=too_large):
            fetch_comparison(str(tmp_path / place), tmp_path / "back")
        with pytest.raises(InputError, match=too_large):
            SyncedComparison(made, str(tmp_path / place), [])
    assert not any(name.endswith("manifest.json") and first.name in name for name in read)
    assert read.count("comparison.json") == 2  # of `other`, where it is sound
    assert not (tmp_path / "back").exists()


def test_an_older_state_of_a_comparison_is_refused_before_it_starts(made: Path, tmp_path: Path) -> None:
    lost, behind = sorted((made / "runs").iterdir())
    shutil.copytree(made, tmp_path / "older")
    shutil.copytree(made, tmp_path / "slower")
    shutil.rmtree(tmp_path / "older" / "runs" / lost.name)
    with contextlib.closing(sqlite3.connect(tmp_path / "slower" / "runs" / behind.name / JOURNAL)) as db:
        db.execute("DELETE FROM attempts")
        db.commit()
    before = {path: path.read_bytes() for path in (tmp_path / "there").rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="has a run that the comparison here has not") as raised:
        SyncedComparison(tmp_path / "older", str(tmp_path / "there"), [])
    assert lost.name in str(raised.value)
    with pytest.raises(InputError, match=r"has \d+ replies that the run here has not"):
        SyncedComparison(tmp_path / "slower", str(tmp_path / "there"), [])
    assert before == {path: path.read_bytes() for path in (tmp_path / "there").rglob("*") if path.is_file()}
    kept(made, tmp_path / "there")


def test_a_run_whose_first_copy_was_cut_off_is_made_again_where_the_machine_was_lost(
    made: Path, tmp_path: Path
) -> None:
    cut = next((tmp_path / "there" / "runs").iterdir())
    (cut / "manifest.json").unlink()
    fetch_comparison(str(tmp_path / "there"), tmp_path / "again")
    assert not (tmp_path / "again" / "runs" / cut.name).exists()
    with SyncedComparison(tmp_path / "again", str(tmp_path / "there"), []):
        run_comparison(tmp_path / "again", workers=1)
    RunLog(cut).check()
    shutil.rmtree(tmp_path / "again" / "runs" / cut.name)
    (cut / "manifest.json").unlink()
    (cut / "letter").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"something is there already: .*letter"):
        SyncedComparison(tmp_path / "again", str(tmp_path / "there"), [])


def test_a_first_copy_that_was_cut_off_before_the_record_does_not_lock_its_place(made: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    shutil.rmtree(there / "runs")
    (there / "comparison.json").unlink()
    assert sorted(path.name for path in there.rglob("*")) == ["inputs", "quiz.jsonl", "writer"]
    kept(made, there)
    fetch_comparison(str(there), tmp_path / "back")
    (there / "comparison.json").unlink()
    (there / "inputs" / "other.jsonl").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"something is there already: .*inputs/other\.jsonl"):
        SyncedComparison(made, str(there), [])


@pytest.mark.parametrize("name", ["README.txt", "runs/other/manifest.json", "inputs/other.jsonl"])
def test_files_that_would_keep_a_copy_from_being_fetched_are_refused_beforehand(
    name: str, made: Path, tmp_path: Path
) -> None:
    file = tmp_path / "there" / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"mine")
    with pytest.raises(InputError, match="no comparison has a file of this name"):
        SyncedComparison(made, str(tmp_path / "there"), [])
    with pytest.raises(LogDamagedError, match="no comparison has a file of this name"):
        fetch_comparison(str(tmp_path / "there"), tmp_path / "back")


def test_another_writer_of_one_run_ends_no_copy_but_that_of_the_run(grid: Grid, tmp_path: Path) -> None:
    run_comparison(grid, tmp_path / "one", workers=1)
    there, notices = tmp_path / "there", list[str]()
    first, second = sorted(path.name for path in (tmp_path / "one" / "runs").iterdir())
    synced = SyncedComparison(tmp_path / "one", str(there), notices)
    assert synced._try() == ""
    for name in (first, second):  # as if both were still under way
        synced._there.pop(f"runs/{name}")
    synced._runs[f"runs/{first}"] = Synced(tmp_path / "one" / "runs" / first, str(there / "runs" / first), [])
    (there / "runs" / first / "writer").write_bytes(b"another")
    (there / "runs" / second / "tasks.parquet").unlink()
    assert "another command writes the copy of this run" in synced._try()
    assert "is tried again" in notices[-1]
    assert (there / "runs" / second / "tasks.parquet").exists()
    (there / "writer").write_bytes(b"another")
    assert synced._try() == "another command has begun to write there"
    assert "no more copies are made" in notices[-1]

    def ended() -> None:
        with synced:
            pass

    with pytest.raises(RunFailedError, match="another command has begun"):
        ended()


def test_a_command_that_begins_while_a_copy_is_made_gets_no_manifest_of_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = run(SMALL, tmp_path / "run").directory

    class Overtaken(Synced):
        def _copy_journal(self, *args: Any) -> None:
            super()._copy_journal(*args)
            (tmp_path / "there" / "writer").write_bytes(b"another")

    synced = Overtaken(directory, str(tmp_path / "there"), [])
    assert "another command has begun" in synced._try()
    assert not {"manifest.json", "manifest.sha256"} & {path.name for path in (tmp_path / "there").iterdir()}


def test_the_umask_decides_who_may_open_a_copy_where_the_scenario_says_so(grid: Grid, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        shared = SMALL.model_copy(update={"engine": SMALL.engine.model_copy(update={"umask": True})})
        with Synced(tmp_path / "new", str(tmp_path / "a"), [], umask=True):
            run(shared, tmp_path / "new")
        with Synced(tmp_path / "new", str(tmp_path / "b"), []):  # a run that has begun says it itself
            pass
        with SyncedComparison(tmp_path / "all", str(tmp_path / "c"), [], umask=True):
            run_comparison(
                make_grid(parse_comparison(COMPARISON.replace("umask: false", "umask: true"))),
                tmp_path / "all",
                workers=1,
            )
        with SyncedComparison(tmp_path / "own", str(tmp_path / "d"), []):
            run_comparison(grid, tmp_path / "own", workers=1)
    finally:
        os.umask(before)
    for name in "abc":
        assert modes(tmp_path / name) == {0o750, 0o640}
    assert modes(tmp_path / "d") == {0o700, 0o600}


def test_the_commands_leave_the_rights_of_a_copy_to_the_umask_where_the_file_says_so(
    grid: Grid, tmp_path: Path
) -> None:
    Path("compared.yaml").write_text(COMPARISON.replace("umask: false", "umask: true"))
    Path("single.yaml").write_text(
        "name: single\ntasks: {kind: coin, count: 2}\nagents: {count: 3, model: {kind: scripted}}\n"
        "topology: star\nprotocol: aggregate\nengine: {umask: true}\n"
    )
    before = os.umask(0o027)
    try:
        words = ["--workers", "1", "--quiet", "--json"]
        assert main.main(["compare", "compared.yaml", "--out", "one", "--sync", "a", *words]) == 0
        assert main.main(["run", "single.yaml", "--out", "two", "--sync", "b", "--quiet"]) == 0
        assert main.main(["resume", "two", "--sync", "c", "--quiet"]) == 0
    finally:
        os.umask(before)
    for name in "abc":
        assert modes(tmp_path / name) == {0o750, 0o640}


def test_a_link_at_the_place_of_runs_is_not_followed(made: Path, tmp_path: Path) -> None:
    shutil.move(tmp_path / "there" / "runs", tmp_path / "outside")
    (tmp_path / "there" / "runs").symlink_to(tmp_path / "outside")
    with pytest.raises(RunFailedError, match="symbolic link"):
        kept(made, tmp_path / "there")


def test_runs_of_a_comparison_are_copied_through_one_connection(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[ObjectFiles] = []

    class Counted(ObjectFiles):
        def __init__(self, *args: Any, **words: Any) -> None:
            super().__init__(*args, **words)
            opened.append(self)

    run_comparison(grid, tmp_path / "one", workers=1)
    with reached(monkeypatch, "none", Counted) as store:
        with SyncedComparison(tmp_path / "one", "objects://b/r", []):
            pass
        assert sum(name.endswith("/manifest.json") for name in store.objects) == 2
    assert len(opened) == 1
