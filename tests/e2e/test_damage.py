"""A damaged run directory: what can be computed again is, what cannot is named, and nothing is bought twice."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentsoc.backends.scripted import ScriptedBackend
from agentsoc.contracts.protocol import Act, Protocol, interpret_reply
from agentsoc.engine import execute as execute_module
from agentsoc.engine.replay import replay
from agentsoc.engine.resume import resume
from agentsoc.engine.run import run
from agentsoc.errors import InputError, LogDamagedError, NoRunError, ReplayMismatchError, RunFailedError
from agentsoc.log.journal import Journal
from agentsoc.log.manifest import NAME
from agentsoc.log.names import EVENTS, JOURNAL, TASKS
from agentsoc.log.read import RunLog
from agentsoc.scenario.code import CodeFiles, forget_code, load_code
from tests.loose import Coin, register, scenario

SOCIETY = scenario(model={"accuracy": 0.7, "latency_s": 0.002}, engine={"concurrency": 4})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The tasks of the calls that the model takes."""
    calls: list[int] = []
    complete = ScriptedBackend.complete

    async def counted(self: ScriptedBackend, request: Any) -> Any:
        calls.append(request.hint.task)
        return await complete(self, request)

    monkeypatch.setattr(ScriptedBackend, "complete", counted)
    return calls


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunLog:
    """A finished run of several segments."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(execute_module, "FLUSH_S", 0.01)
        log = run(SOCIETY, tmp_path_factory.mktemp("whole") / "run")
    assert len(log.segments) > 1
    return log


@pytest.fixture
def finished(whole: RunLog, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole.directory, tmp_path / "run"))


@pytest.fixture
def failed(whole: RunLog, tmp_path: Path) -> Path:
    """A run that stopped half-way, with segments on disk."""
    written = 0
    commit = Journal._commit

    def fail_late(self: Journal, rows: list[Any]) -> None:
        nonlocal written
        written += len(rows)
        if written > whole.manifest.totals.calls:
            raise sqlite3.OperationalError("disk I/O error")
        commit(self, rows)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(execute_module, "FLUSH_S", 0.002)
        patched.setattr(Journal, "_commit", fail_late)
        with pytest.raises(RunFailedError):
            run(SOCIETY, tmp_path / "run")
    assert RunLog(tmp_path / "run").segments
    return tmp_path / "run"


def first_part(directory: Path) -> Path:
    return directory / EVENTS / "part-00000.parquet"


def flip(directory: Path) -> None:
    path = first_part(directory)
    raw = bytearray(path.read_bytes())
    for position in random.Random(1).sample(range(4, len(raw)), 40):
        raw[position] ^= 0x10
    path.write_bytes(raw)


def cut(directory: Path) -> None:
    first_part(directory).write_bytes(first_part(directory).read_bytes()[:-100])


def lose_one(directory: Path) -> None:
    first_part(directory).unlink()


def lose_all(directory: Path) -> None:
    shutil.rmtree(directory / EVENTS)


def add_one(directory: Path) -> None:
    shutil.copy(first_part(directory), directory / EVENTS / "part-00099.parquet")


def other_tasks(directory: Path) -> None:
    (directory / TASKS).write_bytes((directory / TASKS).read_bytes().replace(b"heads", b"tails"))


DAMAGES = [flip, cut, lose_one, lose_all, add_one, other_tasks]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_events_of_a_finished_run_are_computed_again(
    finished: Path, whole: RunLog, asked: list[int], damage: Callable[[Path], None]
) -> None:
    damage(finished)
    with pytest.raises(LogDamagedError) as raised:
        replay(finished)
    assert (TASKS if damage is other_tasks else EVENTS) in raised.value.problem.where
    assert "resume" in raised.value.problem.hint
    kept = sorted(path.name for path in (finished / EVENTS).iterdir()) if (finished / EVENTS).exists() else []
    log = resume(finished)
    log.check()
    assert (log.manifest.digest, log.manifest.status) == (whole.manifest.digest, "finished")
    assert list(log.events()) == list(whole.events())
    assert log.manifest.totals == whole.manifest.totals
    assert log.tasks().equals(whole.tasks())
    aside = finished / f"{EVENTS}.damaged-1"
    assert (sorted(path.name for path in aside.iterdir()) if aside.exists() else []) == kept
    assert asked == []
    assert replay(finished).digest == whole.manifest.digest


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_events_of_a_stopped_run_are_computed_again(
    failed: Path, whole: RunLog, damage: Callable[[Path], None]
) -> None:
    damage(failed)
    log = resume(failed)
    log.check()
    assert log.manifest.digest == whole.manifest.digest


def test_a_stopped_run_whose_events_would_now_be_others_is_not_carried_on_in_silence(
    failed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version of a protocol reads the journaled replies otherwise."""
    stored = next(RunLog(failed).events())
    assert stored.text is not None

    def louder(self: Protocol, *turn: Any) -> list[Act]:
        return [msgspec.structs.replace(act, text=f"{act.text}!") for act in interpret_reply(*turn)]

    monkeypatch.setattr(Protocol, "interpret", louder)
    with pytest.raises(ReplayMismatchError, match="does not begin with the events that were on disk") as raised:
        resume(failed)
    shown = str(raised.value)
    assert f"task {stored.task}, round {stored.round}, agent {stored.agent}, k {stored.k}" in shown
    assert f"text={stored.text!r}" in shown
    assert f"text={stored.text + '!'!r}" in shown


def test_a_run_goes_on_with_the_questions_that_it_began_with_only(
    failed: Path, whole: RunLog, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version of a task family asks something else."""
    make = Coin.make
    monkeypatch.setattr(Coin, "make", lambda self, seed, index: make(self, seed + 1, index))
    with pytest.raises(InputError, match="other questions than when the run began"):
        resume(failed)
    with pytest.raises(ReplayMismatchError, match="other questions than it did"):
        replay(whole.directory)
    assert asked == []


def rewrite(directory: Path) -> None:
    with sqlite3.connect(directory / JOURNAL) as db:
        db.execute("UPDATE attempts SET reply = replace(reply, 'heads', 'tails')")
    db.close()


def drop_rows(directory: Path) -> None:
    with sqlite3.connect(directory / JOURNAL) as db:
        db.execute("DELETE FROM attempts WHERE task = 1")
    db.close()


def lose_journal(directory: Path) -> None:
    for path in directory.glob(f"{JOURNAL}*"):
        path.unlink()


@pytest.mark.parametrize("damage", [rewrite, drop_rows, lose_journal], ids=lambda damage: damage.__name__)
def test_a_damaged_journal_of_a_finished_run_is_named_and_nothing_is_changed(
    finished: Path, asked: list[int], damage: Callable[[Path], None]
) -> None:
    damage(finished)
    lose_one(finished)
    before = sorted(path.relative_to(finished) for path in finished.rglob("*"))
    for verb in (replay, resume):
        with pytest.raises(LogDamagedError):
            verb(finished)
    names = {path.relative_to(finished) for path in finished.rglob("*")}
    assert names - {Path("run.lock")} == set(before) - {Path("run.lock")}
    assert asked == []


@pytest.mark.parametrize("damage", [rewrite, lose_journal], ids=lambda damage: damage.__name__)
def test_a_damaged_journal_of_a_stopped_run_is_named_and_nothing_is_bought(
    failed: Path, asked: list[int], damage: Callable[[Path], None]
) -> None:
    """A run directory without its journal is not a run that has not begun."""
    damage(failed)
    with pytest.raises(LogDamagedError, match=r"journal\.sqlite"):
        resume(failed)
    assert asked == []


def test_a_missing_manifest_is_named(finished: Path) -> None:
    (finished / NAME).unlink()
    for verb in (replay, resume):
        with pytest.raises(LogDamagedError, match="no manifest"):
            verb(finished)


def test_a_directory_that_is_no_run_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for verb in (replay, resume):
        with pytest.raises(NoRunError, match="there is no run at"):
            verb(tmp_path)
    with pytest.raises(InputError, match="not empty"):
        run(SOCIETY, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_run_with_loose_code_goes_on_with_the_same_code_only(tmp_path: Path) -> None:
    source = (Path(__file__).parents[1] / "data" / "loose_family.py").read_text(encoding="utf-8")
    code, other = tmp_path / "family.py", tmp_path / "other" / "family.py"
    other.parent.mkdir()
    code.write_text(source, encoding="utf-8")
    other.write_text(source + "\n# another version\n", encoding="utf-8")
    try:
        found = load_code(code)
        kind = next(line.split('"')[1] for line in source.splitlines() if "kind: Literal" in line)
        built = scenario(tasks={"kind": kind, "count": 2})
        log = run(built, tmp_path / "run", code_paths=CodeFiles([code], {found["file"]: found["sha256"]}))
        for allowed in ([], [other]):
            forget_code()
            register()
            with pytest.raises(InputError, match=r"family\.py"):
                replay(log.directory, allow_code=allowed)
        forget_code()
        register()
        assert replay(log.directory, allow_code=[code]).digest == log.manifest.digest
        assert resume(log.directory, allow_code=[code]).manifest.digest == log.manifest.digest
    finally:
        forget_code()
        register()
