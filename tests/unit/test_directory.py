"""The directory of a new run: made for its owner, taken over from a start that asked nothing, and never anybody's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import stat
from pathlib import Path

import pytest

import agentsoc.engine.directory as directory_module
from agentsoc.engine.directory import clear_temporaries, make_private, new_directory
from agentsoc.errors import InputError, LogDamagedError, RunLockedError
from agentsoc.experiment.cell import require_unused
from agentsoc.log.files import HOLDER, LOCK, RunLock
from agentsoc.log.inside import by_umask
from agentsoc.log.journal import Attempt, Journal
from agentsoc.log.manifest import NAME
from agentsoc.log.names import EPISODES, EVENTS, INPUTS, JOURNAL, TASKS
from tests.strategies import scenario

SOCIETY = scenario()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def started(tmp_path: Path) -> Path:
    """What a start leaves that was killed just before it had a manifest."""
    run = tmp_path / "run"
    for name in (EVENTS, INPUTS, f"{INPUTS}/deep"):
        (run / name).mkdir(parents=True)
    for name in (LOCK, HOLDER, TASKS, f"{EVENTS}/part", f"{INPUTS}/deep/x", ".manifest.json.0123abcd.tmp"):
        (run / name).write_bytes(b"")
    Journal(run / JOURNAL).close()
    for beside in ("-wal", "-shm", "-journal"):
        (run / (JOURNAL + beside)).touch()
    return run


def refused(out: Path) -> None:
    before = sorted(path for path in out.parent.rglob("*") if path.name != HOLDER)
    with pytest.raises(InputError) as raised:
        new_directory(SOCIETY, out)
    assert raised.value.problem.what == "this directory is not empty"
    assert raised.value.problem.where == str(out)
    assert "--out" in raised.value.problem.hint
    assert sorted(path for path in out.parent.rglob("*") if path.name != HOLDER) == before


# A new one


def test_a_new_directory_is_made_with_those_above_and_is_its_owners(tmp_path: Path) -> None:
    assert new_directory(SOCIETY, str(tmp_path / "a" / "c" / "b")) == tmp_path / "a" / "c" / "b"
    assert mode(tmp_path / "a" / "c" / "b") == 0o700
    assert list((tmp_path / "a" / "c" / "b").iterdir()) == []


def test_the_umask_decides_where_the_scenario_says_so(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        new_directory(scenario(engine={"umask": True}), tmp_path / "shared")
        new_directory(scenario(), tmp_path / "own")
    finally:
        os.umask(before)
    assert (mode(tmp_path / "shared"), mode(tmp_path / "own")) == (0o755, 0o700)


def test_an_empty_directory_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    assert new_directory(SOCIETY, tmp_path / "run") == tmp_path / "run"
    assert list((tmp_path / "run").iterdir()) == []


def test_without_a_name_the_directory_is_named_by_scenario_seed_and_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [new_directory(SOCIETY, None) for _ in range(3)]
    assert names == [Path("runs/test-s11"), Path("runs/test-s11-2"), Path("runs/test-s11-3")]
    assert [mode(name) for name in names] == [0o700] * 3
    assert new_directory(scenario(seed=12), None) == Path("runs/test-s12")


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").write_text("a file")
    monkeypatch.chdir(tmp_path)
    for out, where in ((tmp_path / "runs" / "x", str(tmp_path / "runs" / "x")), ("x" * 300, "x" * 300)):
        with pytest.raises(InputError, match="the run directory cannot be made: ") as raised:
            new_directory(SOCIETY, out)
        assert raised.value.problem.where == where
    (tmp_path / "runs").unlink()
    (tmp_path / "runs").symlink_to("nowhere/at/all")
    with pytest.raises(InputError):
        new_directory(SOCIETY, None)


def test_a_system_that_refuses_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", refuse)
    for out, where in ((None, "runs/test-s11"), ("here", "here")):
        with pytest.raises(InputError, match="cannot be made: No space left on device") as raised:
            new_directory(SOCIETY, out)
        assert raised.value.problem.where == where


def test_too_many_runs_of_one_name_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tried: list[Path] = []

    def there(directory: Path, *, exist_ok: bool = True) -> None:
        assert not exist_ok
        tried.append(directory)
        raise FileExistsError

    monkeypatch.setattr(directory_module, "make_private", there)
    with pytest.raises(InputError, match="there are too many runs of this name"):
        new_directory(SOCIETY, None)
    assert len(set(tried)) == 99_999


@pytest.mark.parametrize("exist_ok", [True, False])
def test_a_private_directory_is_made_once_or_taken_as_told(tmp_path: Path, exist_ok: bool) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_private(tmp_path / "file", exist_ok=exist_ok)
    make_private(tmp_path / "a" / "new", exist_ok=exist_ok)
    assert mode(tmp_path / "a" / "new") == 0o700
    if exist_ok:
        make_private(tmp_path / "a" / "new")
    else:
        with pytest.raises(FileExistsError):
            make_private(tmp_path / "a" / "new", exist_ok=False)
    before = os.umask(0)
    try:
        with by_umask(True):
            make_private(tmp_path / "open")
    finally:
        os.umask(before)
    assert mode(tmp_path / "open") == 0o777


# One that is there


def test_what_a_start_left_is_cleared_away_but_for_its_lock(started: Path) -> None:
    assert new_directory(SOCIETY, started) == started
    assert {path.name for path in started.rglob("*")} <= {LOCK, HOLDER}
    assert (started / LOCK).exists()


@pytest.mark.parametrize("name", [EVENTS, INPUTS, TASKS, JOURNAL, HOLDER, ".manifest.json.0123abcd.tmp"])
def test_what_a_start_left_is_taken_over_whatever_of_it_is_missing(started: Path, name: str) -> None:
    path = started / name
    if path.is_dir():
        for below in sorted(path.rglob("*"), reverse=True):
            below.rmdir() if below.is_dir() else below.unlink()
        path.rmdir()
    else:
        path.unlink()
    new_directory(SOCIETY, started)
    assert {path.name for path in started.rglob("*")} <= {LOCK, HOLDER}


def test_an_empty_journal_file_is_what_a_start_leaves(started: Path) -> None:
    (started / JOURNAL).write_bytes(b"")
    for beside in ("-wal", "-shm", "-journal"):
        (started / (JOURNAL + beside)).unlink()
    new_directory(SOCIETY, started)
    assert not (started / JOURNAL).exists()


def test_a_journal_whose_table_was_not_made_yet_is_what_a_start_leaves(started: Path) -> None:
    for beside in ("", "-wal", "-shm", "-journal"):
        (started / (JOURNAL + beside)).unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(started / JOURNAL, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
    assert (started / JOURNAL).stat().st_size
    new_directory(SOCIETY, started)
    assert not (started / JOURNAL).exists()


@pytest.mark.parametrize(
    "name",
    [
        *(NAME, EPISODES, "notes.txt", ".x.0123abcd.tmp.txt", ".x.0123abc.tmp", "x.0123abcd.tmp", ".x.0123ABCD.tmp"),
        *("..0123abcd.tmp", f".{'x' * 101}.0123abcd.tmp"),
    ],
)
def test_a_directory_with_anything_else_in_it_is_left_alone(started: Path, name: str) -> None:
    (started / name).write_text("mine")
    refused(started)
    assert (started / name).read_text() == "mine"


def test_a_directory_without_a_lock_was_not_left_by_a_start(started: Path) -> None:
    (started / LOCK).unlink()
    refused(started)


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        new_directory(SOCIETY, tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"


def test_a_journal_with_an_attempt_in_it_is_kept(started: Path) -> None:
    (started / f"{JOURNAL}-journal").unlink()
    journal = Journal(started / JOURNAL)
    asyncio.run(journal.write(Attempt(0, 0, 0, 0, 0, "started", b"r", "m", 1, 1)))
    journal.close()
    refused(started)


@pytest.mark.parametrize("content", [b"damaged", b"\x00" * 9_000])
def test_a_journal_that_cannot_be_read_is_kept(started: Path, content: bytes) -> None:
    (started / JOURNAL).write_bytes(content)
    refused(started)
    assert (started / JOURNAL).read_bytes() == content


def test_a_journal_that_leads_elsewhere_is_kept_with_what_it_leads_to(started: Path, tmp_path: Path) -> None:
    (started / JOURNAL).rename(tmp_path / "elsewhere")
    (started / JOURNAL).symlink_to(tmp_path / "elsewhere")
    refused(started)
    assert (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", [EVENTS, INPUTS])
def test_a_start_whose_directories_lead_elsewhere_is_refused_by_name(started: Path, tmp_path: Path, name: str) -> None:
    (started / name).rename(tmp_path / "elsewhere")
    (started / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LogDamagedError, match="this is a symbolic link, not a directory of the run's own"):
        new_directory(SOCIETY, started)
    assert list((tmp_path / "elsewhere").iterdir())


def test_a_start_under_way_is_left_alone(started: Path) -> None:
    with RunLock(started), pytest.raises(RunLockedError):
        new_directory(SOCIETY, started)
    assert (started / TASKS).exists()


# Temporaries


def test_only_what_writers_left_half_written_is_cleared(tmp_path: Path) -> None:
    kept = [
        "manifest.json",
        ".hidden",
        ".x.0123abc.tmp",
        "other/.x.0123abcd.tmp",
        "events/part",
        "inputs/x/.y.01234567.tmp",
    ]
    gone = [".x.0123abcd.tmp", "events/.part.00000000.tmp", "inputs/.y.ffffffff.tmp"]
    for name in (*kept, *gone):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    clear_temporaries(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == set(kept)
    (tmp_path / "empty").mkdir()
    clear_temporaries(tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_temporary_that_cannot_be_removed_keeps_nobody_from_going_on(tmp_path: Path) -> None:
    (tmp_path / ".x.0123abcd.tmp").mkdir()
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / ".y.0123abcd.tmp").touch()
    clear_temporaries(tmp_path)
    assert (tmp_path / ".x.0123abcd.tmp").is_dir()
    assert list((tmp_path / "events").iterdir()) == []


def test_the_place_of_a_run_of_a_comparison_is_taken_over_or_left_as_it_is(started: Path, tmp_path: Path) -> None:
    require_unused(tmp_path / "not there")
    require_unused(started)
    assert {path.name for path in started.iterdir()} <= {LOCK, HOLDER}
    (started / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="there is no manifest here, but more than a start leaves") as raised:
        require_unused(started)
    assert raised.value.problem.where == str(started)
    assert (started / "thesis.txt").read_text() == "mine"
