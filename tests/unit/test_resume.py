"""The three verbs on a stored run: what each refuses, what it names, and what it leaves as it was."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import agentsoc.engine.fork as fork_module
import agentsoc.engine.resume as resume_module
from agentsoc.backends.scripted import ScriptedBackend
from agentsoc.contracts.protocol import Protocol, interpret_reply
from agentsoc.contracts.rules import FIRST
from agentsoc.engine.execute import Plan, execute
from agentsoc.engine.fork import fork
from agentsoc.engine.progress import Progress
from agentsoc.engine.replay import Replay, event_text, replay
from agentsoc.engine.resume import resume
from agentsoc.engine.run import run
from agentsoc.engine.stored_scenario import stored_scenario
from agentsoc.errors import (
    ConsentNeededError,
    InputError,
    LogDamagedError,
    NoRunError,
    ReplayMismatchError,
    RunLockedError,
    ScenarioError,
)
from agentsoc.events import Event
from agentsoc.log.files import RunLock
from agentsoc.log.journal import load_journal
from agentsoc.log.manifest import Manifest, load_manifest
from agentsoc.log.names import EPISODES, EVENTS, JOURNAL, TASKS
from agentsoc.log.read import RunLog
from agentsoc.log.record import hash_json
from agentsoc.log.segments import SegmentWriter
from agentsoc.scenario.code import forget_code
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import build_society
from tests.loose import Coin, register
from tests.strategies import scenario

GOLDEN = Path(__file__).parents[1] / "golden"


def society(**changes: Any) -> Scenario:
    return scenario(**{"tasks": {"kind": "coin", "count": 3}, "protocol": {"kind": "debate", "rounds": 3}, **changes})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunLog:
    return run(society(), tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def finished(whole: RunLog, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole.directory, tmp_path / "run"))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("first")
    asyncio.run(execute(Plan(society(), directory, rules=FIRST)))
    return directory


@pytest.fixture
def early(first: Path, tmp_path: Path) -> Path:
    """A finished run by the first rules, as the first log format had them."""
    return Path(shutil.copytree(first, tmp_path / "early"))


@pytest.fixture
def begun(finished: Path) -> Path:
    """A run of which the first task alone is in the log; all replies are in the journal."""
    events = [event for event in RunLog(finished).events() if event.task == 0]
    written(finished, events)
    change(finished, status="interrupted", digest=None, episodes_file=None, journal_file=None)
    (finished / EPISODES).unlink()
    return finished


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Task and round of the calls that the model takes."""
    calls: list[tuple[int, int]] = []
    complete = ScriptedBackend.complete

    async def counted(self: ScriptedBackend, request: Any) -> Any:
        calls.append((request.hint.task, request.hint.round))
        return await complete(self, request)

    monkeypatch.setattr(ScriptedBackend, "complete", counted)
    return calls


def written(directory: Path, events: list[Event]) -> None:
    """Let a run have these events, with all hashes right."""
    writer = SegmentWriter(directory / EVENTS)
    writer.add(events)
    digest = writer.finish()
    segments = [msgspec.structs.asdict(segment) for segment in writer.segments]
    change(directory, segments=segments, digest=digest)


def change(directory: Path, **fields: Any) -> None:
    """Change the manifest on disk, with a right checksum and a right seal."""
    Manifest.model_validate({**load_manifest(directory).model_dump(mode="json"), **fields}).save(directory)


def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let replay rely on what it computes alone: `check` would have found these faults first."""
    monkeypatch.setattr(RunLog, "checked", lambda self: load_journal(self.directory / JOURNAL)[0])


def files(directory: Path) -> dict[str, bytes]:
    lock = ("run.lock", "journal.sqlite-wal", "journal.sqlite-shm")
    paths = [path for path in directory.rglob("*") if path.is_file() and path.name not in lock]
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


# What a stored run is made from


def test_a_stored_scenario_is_the_one_that_was_run(whole: RunLog) -> None:
    found, code = stored_scenario(whole)
    assert found == society()
    assert code == {}


def test_a_stored_scenario_that_does_not_hold_is_named_by_key(finished: Path) -> None:
    stored = load_manifest(finished).scenario
    change(finished, scenario={**stored, "tasks": {**stored["tasks"], "count": 0}})
    with pytest.raises(LogDamagedError) as raised:
        stored_scenario(RunLog(finished))
    assert raised.value.problem.where == str(finished)
    assert raised.value.problem.what.startswith("the manifest's scenario does not hold: tasks")
    assert "count" in raised.value.problem.what
    change(finished, scenario={**stored, "seed": "x", "tasks": {**stored["tasks"], "count": 0}})
    with pytest.raises(LogDamagedError, match=r"does not hold: seed: "):  # the first of several
        stored_scenario(RunLog(finished))


def test_a_stored_scenario_that_is_not_the_one_of_its_hash_is_named(finished: Path) -> None:
    stored = load_manifest(finished).scenario
    change(finished, scenario={**stored, "engine": {**stored["engine"], "concurrency": 2}})
    stored_scenario(RunLog(finished))  # how it is executed changes no result
    change(finished, scenario={**stored, "seed": 12})
    for verb in (lambda: stored_scenario(RunLog(finished)), lambda: resume(finished)):
        with pytest.raises(LogDamagedError, match="the manifest's scenario is not the one of its hash"):
            verb()


def test_a_file_that_the_scenario_names_has_to_be_in_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tasks.jsonl").write_text('{"id": "a", "question": "1 + 1?", "answer": "2"}\n')
    monkeypatch.chdir(tmp_path)
    done = run(society(tasks={"kind": "jsonl", "file": "tasks.jsonl", "count": 1}), tmp_path / "run")
    (tmp_path / "tasks.jsonl").write_text("something else")  # it is the copy that counts
    assert stored_scenario(done)[0].tasks.kind == "jsonl"
    assert replay(done.directory).model_calls == 0
    change(done.directory, inputs={})
    with pytest.raises(LogDamagedError, match=r"names the file 'tasks\.jsonl', of which the run keeps no copy"):
        stored_scenario(RunLog(done.directory))


# Replay


def test_a_replay_says_what_it_compared(whole: RunLog, asked: list[Any]) -> None:
    events = whole.manifest.totals.events
    assert replay(whole.directory) == Replay(str(whole.manifest.digest), events)
    assert replay(whole.directory).model_calls == 0
    assert asked == []


@pytest.mark.parametrize(
    ("column", "value"),
    [("truth", "tails"), ("question", "another one"), ("id", "x"), ("options", ["a", "b"]),
     ("chance", 0.25), ("difficulty", 0.5)],
)  # fmt: skip
def test_a_replay_finds_tasks_that_are_not_those_of_the_scenario(finished: Path, column: str, value: Any) -> None:
    """A table of tasks with every hash right: the event log does not hold the questions and the reference answers."""
    table = RunLog(finished).task_table()
    values = table[column].to_pylist()
    at = next(at for at, one in enumerate(values) if one != value)
    stored = [value if place == at else one for place, one in enumerate(values)]
    changed = table.set_column(
        table.column_names.index(column), column, pa.array(stored, table.schema.field(column).type)
    )
    pq.write_table(changed, finished / TASKS)
    change(finished, tasks_file=hashlib.sha256((finished / TASKS).read_bytes()).hexdigest())
    RunLog(finished).check()  # which cannot know them
    with pytest.raises(ReplayMismatchError) as raised:
        replay(finished)
    assert raised.value.where == f"task {at}, column {column}"
    assert raised.value.expected == repr(value)


def test_a_replay_finds_a_table_of_tasks_that_lacks_a_column(finished: Path) -> None:
    pq.write_table(RunLog(finished).task_table().drop_columns(["truth"]), finished / TASKS)
    change(finished, tasks_file=hashlib.sha256((finished / TASKS).read_bytes()).hexdigest())
    with pytest.raises(ReplayMismatchError, match="its columns"):
        replay(finished)


def test_a_replay_leaves_no_trace_in_whoever_calls(finished: Path, tmp_path: Path) -> None:
    before, place = files(finished), Path.cwd()
    replay(str(finished))
    assert files(finished) == before
    assert Path.cwd() == place
    assert not (finished / "run.lock").exists() or (finished / "run.lock").stat().st_size == 0


@pytest.mark.parametrize(
    "fields", [{"status": "running"}, {"status": "interrupted", "digest": None}, {"status": "running", "digest": None}]
)
def test_a_run_that_has_not_ended_is_not_replayed(finished: Path, fields: dict[str, Any]) -> None:
    change(finished, **fields)
    with pytest.raises(InputError) as raised:
        replay(finished)
    problem = raised.value.problem
    assert problem.what == f"this run is {fields['status']}, so there is no whole log to compare with"
    assert (problem.where, problem.hint) == (str(finished), f"finish it first: agentsoc resume {finished}")


def diverging(directory: Path, events: list[Event], monkeypatch: pytest.MonkeyPatch) -> str:
    """Replay a run whose log holds these events; return the text of what differs."""
    written(directory, events)
    unchecked(monkeypatch)
    with pytest.raises(ReplayMismatchError, match="this event differs") as raised:
        replay(directory)
    return str(raised.value)


@pytest.mark.parametrize("at", [0, 7, -1])
def test_the_first_event_that_differs_is_named_with_both_values(
    finished: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    events = list(RunLog(finished).events())
    one = events[at]
    events[at] = msgspec.structs.replace(one, text="forged")
    if at == 7:
        events[-1] = msgspec.structs.replace(events[-1], text="forged as well")
    said = diverging(finished, events, monkeypatch)
    assert f"task {one.task}, round {one.round}, agent {one.agent}, k {one.k}" in said
    assert f"kind={one.kind!r}" in said
    assert "text='forged'" in said
    assert "forged as well" not in said
    assert said.count("kind=") == 2


def test_an_event_too_many_and_one_too_few_are_named(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = list(RunLog(finished).events())
    said = diverging(finished, [*events, msgspec.structs.replace(events[-1], k=9)], monkeypatch)
    assert "k 9" in said
    assert said.count("(no such event)") == 1
    said = diverging(finished, events[:-1], monkeypatch)
    assert f"k {events[-1].k}" in said
    assert said.count("(no such event)") == 1


def test_what_is_shown_of_an_event_is_what_it_has_in_one_short_line() -> None:
    shown = event_text(Event(1, 2, 3, 4, "vote", claim=5, answer="x", tokens_in=7))
    assert shown == "kind='vote', claim=5, answer='x', tokens_in=7, label_source='rule'"
    assert len(event_text(Event(1, 2, 3, 4, "vote", text="x" * 999))) == 300
    assert event_text(None) == "(no such event)"


def test_a_digest_that_differs_although_all_events_agree_is_said(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(finished, digest="0" * 64)
    unchecked(monkeypatch)
    with pytest.raises(ReplayMismatchError, match="the digests differ although all events agree"):
        replay(finished)


def test_a_total_that_differs_is_named_with_both_values(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    totals = load_manifest(finished).totals.model_dump()
    change(finished, totals={**totals, "turns": 99})
    unchecked(monkeypatch)
    with pytest.raises(ReplayMismatchError, match=r"a total of the manifest differs") as raised:
        replay(finished)
    for part in ("totals.turns", "99", str(totals["turns"])):
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("format_", "change_", "sound"),
    [
        (2, {"score": 1 + 1e-12}, False),
        (1, {"score": 1 + 1e-12}, True),
        (1, {"score": 1 + 1e-7}, False),
        (1, {"turns": 2}, False),
        (1, {"cost": 0.0}, False),
        (1, {"score": None}, False),
    ],
)
def test_floats_of_format_1_may_differ_in_their_last_digits_and_nothing_else_may(
    early: Path, monkeypatch: pytest.MonkeyPatch, format_: int, change_: dict[str, Any], sound: bool
) -> None:
    finished = early
    totals = load_manifest(finished).totals.model_dump()
    assert totals["score"]
    forged = {name: totals[name] and value and totals[name] * value for name, value in change_.items()}
    forged = {**forged, **{name: value for name, value in change_.items() if name == "cost" or value is None}}
    change(finished, format=format_, totals={**totals, **forged}, rules={} if format_ == 1 else {"prompts": 1})
    unchecked(monkeypatch)
    if sound:
        replay(finished)
    else:
        with pytest.raises(ReplayMismatchError, match=f"totals.{min(change_)}"):
            replay(finished)


def with_rows(directory: Path, name: str, value: object, task: int, format_: int = 2) -> None:
    """Change one cell of the table of episodes, and the totals with it, so that hashes and sums are right."""
    table = pq.read_table(directory / EPISODES)
    column = table[name].to_pylist()
    column[task] = value
    at = table.column_names.index(name)
    pq.write_table(table.set_column(at, table.schema.field(at), [column]), directory / EPISODES)
    change(directory, episodes_file=hashlib.sha256((directory / EPISODES).read_bytes()).hexdigest(), format=format_)


@pytest.mark.parametrize("name", ["charged", "deliveries", "tokens_overrun", "virtual_s"])
def test_a_row_of_episodes_that_differs_is_named_by_task_and_column(
    finished: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with_rows(finished, name, 99, 1)
    unchecked(monkeypatch)
    with pytest.raises(ReplayMismatchError, match="the table of episodes differs") as raised:
        replay(finished)
    assert f"task 1, column {name}" in str(raised.value)
    assert "99" in str(raised.value)


@pytest.mark.parametrize(("name", "seen"), [("charged", True), ("tokens_overrun", False), ("virtual_s", False)])
def test_of_format_1_the_columns_are_compared_that_it_has(
    early: Path, monkeypatch: pytest.MonkeyPatch, name: str, seen: bool
) -> None:
    finished = early
    with_rows(finished, name, 99, 1, format_=1)
    unchecked(monkeypatch)
    if seen:
        with pytest.raises(ReplayMismatchError, match=f"column {name}"):
            replay(finished)
    else:
        replay(finished)


# Resume


def test_a_finished_sound_run_is_left_as_it_is(
    finished: Path, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(finished)
    monkeypatch.setattr(resume_module, "execute", lambda plan: pytest.fail("it was run"))
    again = resume(finished, engine={"concurrency": 3})
    assert again.directory == finished
    assert files(finished) == before
    assert asked == []


def test_what_a_killed_writer_left_is_cleared(finished: Path) -> None:
    left = (finished / ".x.0123abcd.tmp", finished / EVENTS / ".y.0123abcd.tmp")
    for path in left:
        path.touch()
    resume(finished)
    assert not any(path.exists() for path in left)


def test_a_run_that_another_process_writes_is_left_alone(begun: Path) -> None:
    with RunLock(begun), pytest.raises(RunLockedError):
        resume(begun)


def test_a_run_goes_on_from_its_journal(begun: Path, whole: RunLog, asked: list[Any]) -> None:
    log = resume(begun)
    assert (log.manifest.digest, log.manifest.status) == (whole.manifest.digest, "finished")
    assert log.manifest.totals == whole.manifest.totals
    assert asked == []


@pytest.mark.parametrize("settings", [{"concurrency": 3}, {"vectorise": False}])
def test_settings_of_the_engine_may_be_others_now(
    begun: Path, whole: RunLog, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    seen: list[Any] = []

    def noted(plan: Any) -> Any:
        seen.append(plan)
        return execute(plan)

    monkeypatch.setattr(resume_module, "execute", noted)
    progress, stop = Progress(), asyncio.Event()
    asyncio.run(resume_module.resume_async(begun, engine=settings, progress=progress, stop=stop))
    [plan] = seen
    expected = {**society().engine.model_dump(), **settings}
    assert plan.scenario.engine.model_dump() == expected
    assert (plan.progress, plan.stop, plan.live, plan.locked) == (progress, stop, True, True)
    assert RunLog(begun).manifest.digest == whole.manifest.digest


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"hosts": 0}, "engine.hosts 0"), ({"hosts": 2}, "2 hosts need Ray"), ({"speed": 9}, "engine.speed 9")],
    ids=["out of range", "no Ray", "no such setting"],
)
def test_settings_that_do_not_hold_are_refused_by_name(begun: Path, settings: dict[str, Any], said: str) -> None:
    before = (begun / "manifest.json").read_bytes()
    with pytest.raises((InputError, ScenarioError), match=said):
        resume(begun, engine=settings)
    assert (begun / "manifest.json").read_bytes() == before


def test_without_other_settings_those_of_the_scenario_hold(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def noted(plan: Any) -> Any:
        seen.append(plan)
        return execute(plan)

    monkeypatch.setattr(resume_module, "execute", noted)
    resume(begun)
    assert seen[0].scenario == society()
    assert isinstance(seen[0].progress, Progress)


def test_events_of_a_stopped_run_that_lead_elsewhere_are_refused(begun: Path, tmp_path: Path) -> None:
    shutil.move(begun / EVENTS, tmp_path / "elsewhere")
    (begun / EVENTS).symlink_to(tmp_path / "elsewhere")
    before = files(tmp_path / "elsewhere")
    with pytest.raises(LogDamagedError, match="symbolic link"):
        resume(begun)
    assert files(tmp_path / "elsewhere") == before


@pytest.mark.parametrize("at", [0, 5, -1])
def test_a_run_whose_beginning_would_be_another_is_not_carried_on_in_silence(begun: Path, at: int) -> None:
    events = list(RunLog(begun).events())
    one, events[at] = events[at], msgspec.structs.replace(events[at], text="other")
    written(begun, events)
    change(begun, digest=None)
    with pytest.raises(ReplayMismatchError, match="does not begin with the events that were on disk") as raised:
        resume(begun)
    assert f"task {one.task}, round {one.round}, agent {one.agent}, k {one.k}" in str(raised.value)
    assert "text='other'" in str(raised.value)


def test_an_event_on_disk_that_would_not_come_again_is_named(begun: Path) -> None:
    events = list(RunLog(begun).events())
    written(begun, [*events, msgspec.structs.replace(events[-1], task=7)])
    change(begun, digest=None)
    with pytest.raises(ReplayMismatchError, match="does not begin") as raised:
        resume(begun)
    assert "task 7" in str(raised.value)
    assert "(no such event)" in str(raised.value)


def test_tasks_that_are_not_the_first_are_compared_as_well(finished: Path) -> None:
    """What was on disk of a run that worked on several tasks at once ends in the middle of each."""
    events = [event for event in RunLog(finished).events() if event.task != 1 and event.round == 0]
    written(finished, events)
    change(finished, status="failed", digest=None, episodes_file=None, journal_file=None)
    resume(finished)
    shutil.rmtree(finished / EVENTS)
    last = msgspec.structs.replace(events[-1], text="other")
    written(finished, [*events[:-1], last])
    change(finished, status="failed", digest=None, episodes_file=None, journal_file=None)
    with pytest.raises(ReplayMismatchError, match="does not begin") as raised:
        resume(finished)
    assert f"task {last.task}, round 0" in str(raised.value)


# Damage of a finished run


def spoil(directory: Path) -> None:
    (directory / EVENTS / "part-00000.parquet").write_bytes(b"damaged")


def test_damaged_events_are_put_aside_under_the_next_free_name(finished: Path, whole: RunLog) -> None:
    for number in (1, 2, 3):
        spoil(finished)
        resume(finished)
        aside = finished / f"{EVENTS}.damaged-{number}"
        assert [path.read_bytes() for path in aside.iterdir()] == [b"damaged"]
    log = RunLog(finished)
    log.check()
    assert log.manifest.model_dump(exclude={"segments"}) == whole.manifest.model_dump(exclude={"segments"})
    assert not any(path.name.startswith(".rebuilt-") for path in finished.iterdir())
    assert sorted(path.name for path in finished.iterdir() if path.is_dir() and path.name.startswith(EVENTS)) == [
        EVENTS,
        *(f"{EVENTS}.damaged-{number}" for number in (1, 2, 3)),
    ]


def test_a_rebuilding_that_was_cut_off_is_made_again(finished: Path) -> None:
    """It had put the damaged events aside and nothing in their place."""
    (finished / EVENTS).rename(finished / f"{EVENTS}.damaged-1")
    resume(finished).check()
    assert not (finished / f"{EVENTS}.damaged-2").exists()


def test_a_rebuilt_run_of_format_1_is_one_of_this_format(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "format-1" / "debated", tmp_path / "run")
    before = load_manifest(tmp_path / "run")
    assert before.rules == {}
    spoil(tmp_path / "run")
    log = resume(tmp_path / "run")
    assert log.manifest.format == 2
    assert log.manifest.rules
    assert log.check().notes == ()
    assert log.manifest.digest == before.digest


def test_rules_that_a_run_states_stay_when_it_is_rebuilt(early: Path) -> None:
    change(early, rules={"prompts": 1})
    spoil(early)
    assert resume(early).manifest.rules == {"prompts": 1}


@pytest.mark.parametrize("name", [f"{EVENTS}/part-00000.parquet", f"{EVENTS}/extra", TASKS, EPISODES, EVENTS])
def test_nothing_is_put_in_the_place_of_what_is_not_the_runs_own(finished: Path, tmp_path: Path, name: str) -> None:
    spoil(finished)
    path = finished / name
    if name == EVENTS:
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    (tmp_path / "elsewhere").write_text("mine")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LogDamagedError, match="symbolic link"):
        resume(finished)
    assert (tmp_path / "elsewhere").read_text() == "mine"
    assert path.is_symlink()


@pytest.mark.parametrize("fields", [{"journal_rows": 1}, {"journal_digest": "0" * 64}])
def test_without_the_whole_journal_of_the_run_nothing_is_rebuilt(finished: Path, fields: dict[str, Any]) -> None:
    change(finished, **fields)
    spoil(finished)
    before = files(finished)
    with pytest.raises(LogDamagedError, match=r"part-00000\.parquet"):
        resume(finished)
    assert files(finished) == before


def test_other_events_than_those_of_the_digest_are_not_put_in_their_place(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(finished)
    before = files(finished)
    monkeypatch.setattr(
        Protocol,
        "interpret",
        lambda self, *turn: [msgspec.structs.replace(act, text="other") for act in interpret_reply(*turn)],
    )
    with pytest.raises(LogDamagedError, match=r"part-00000\.parquet"):
        resume(finished)
    assert files(finished) == before


def test_a_rebuilding_asks_no_model(finished: Path, asked: list[Any]) -> None:
    spoil(finished)
    resume(finished)
    assert asked == []


@pytest.mark.parametrize("umask", [True, False])
def test_what_is_rebuilt_has_the_rights_of_the_scenario(tmp_path: Path, umask: bool) -> None:
    before = os.umask(0o022)
    try:
        done = run(society(engine={"umask": umask}), tmp_path / "run")
        spoil(done.directory)
        resume(done.directory)
    finally:
        os.umask(before)
    assert (done.directory / EVENTS / "part-00000.parquet").stat().st_mode & 0o777 == (0o644 if umask else 0o600)


# Fork

CHANGED: dict[str, Any] = {"agents": {"count": 5, "model": {"kind": "scripted", "accuracy": 0.7, "says": "wrong"}}}


def forked(old: Path, at: tuple[int, int], new: Path, **changes: Any) -> RunLog:
    return fork(old, *at, society(**{**CHANGED, **changes}), new)


def before(events: Iterator[Event], at: tuple[int, int]) -> list[Event]:
    return list(itertools.takewhile(lambda event: (event.task, event.round) < at, events))


@pytest.mark.parametrize("at", [(0, 0), (0, 1), (1, 0), (1, 2), (2, 0), (2, 1)])
def test_a_fork_shares_all_before_its_place_and_asks_anew_from_there(
    whole: RunLog, tmp_path: Path, asked: list[tuple[int, int]], at: tuple[int, int]
) -> None:
    new = forked(whole.directory, at, tmp_path / "new")
    assert before(new.events(), at) == before(whole.events(), at)
    assert asked
    assert min(asked) == at
    assert {(attempt.task, attempt.round) for attempt in new.journal() if attempt.reply is not None} >= set(asked)
    called = len(asked)
    assert replay(new.directory).model_calls == 0
    assert len(asked) == called
    made = new.manifest.fork
    assert made is not None
    assert (made.run, made.digest, made.task, made.round) == ("run", whole.manifest.digest, *at)
    starts = [one.start for one in made.before]
    assert starts == ([(0, 0)] if at > (0, 0) else [])
    assert [one.scenario for one in made.before] == [whole.manifest.scenario] * len(starts)


def test_a_fork_of_a_fork_keeps_what_was_in_force_before(whole: RunLog, tmp_path: Path) -> None:
    first = forked(whole.directory, (1, 1), tmp_path / "first")
    for at, starts in (((2, 0), [(0, 0), (1, 1)]), ((1, 1), [(0, 0)]), ((1, 0), [(0, 0)]), ((0, 0), [])):
        second = forked(first.directory, at, tmp_path / f"{at}", protocol={"kind": "debate", "rounds": 2})
        made = second.manifest.fork
        assert made is not None
        assert [one.start for one in made.before] == starts
        scenarios = [whole.manifest.scenario, first.manifest.scenario]
        assert [one.scenario for one in made.before] == scenarios[: len(starts)]
        assert before(second.events(), at) == before(first.events(), at)
        assert replay(second.directory).model_calls == 0


@pytest.mark.parametrize("at", [(-1, 0), (3, 0), (4, 0), (0, -1)])
def test_a_place_that_does_not_exist_is_refused(whole: RunLog, tmp_path: Path, at: tuple[int, int]) -> None:
    with pytest.raises(InputError) as raised:
        forked(whole.directory, at, tmp_path / "new")
    what = f"there is no task {at[0]}, round {at[1]}; the run has 3 tasks"
    assert (raised.value.problem.what, raised.value.problem.where) == (what, "--at")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"agents": {"count": 4, "model": "scripted"}}, "a fork keeps its agents: the run has 5, the changed"),
        ({"tasks": {"kind": "coin", "count": 4}}, "a fork keeps the tasks and the seed"),
        ({"tasks": {"kind": "free", "count": 3}}, "a fork keeps the tasks and the seed"),
        ({"seed": 12, "tasks": {"kind": "coin", "count": 3, "seed": 11}}, "a fork keeps the tasks and the seed"),
    ],
)
def test_other_agents_tasks_or_seeds_are_no_fork(
    whole: RunLog, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        forked(whole.directory, (1, 0), tmp_path / "new", **changes)
    assert not (tmp_path / "new").exists()


def test_a_fork_that_would_write_down_a_secret_leaves_nothing(
    whole: RunLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-0123456789abcdef0123456789")
    with pytest.raises(InputError, match="secret"):
        forked(whole.directory, (1, 0), tmp_path / "new", description="my key is sk-0123456789abcdef0123456789")
    assert not (tmp_path / "new").exists()


ELSEWHERE: dict[str, Any] = {"count": 5, "model": {"kind": "litellm", "name": "openai/m", "api_key_env": "SOME_KEY"}}


def test_a_fork_sends_nothing_unless_somebody_agrees(whole: RunLog, tmp_path: Path) -> None:
    with pytest.raises(ConsentNeededError):
        forked(whole.directory, (1, 0), tmp_path / "new", agents=ELSEWHERE)
    assert not (tmp_path / "new").exists()


def test_going_on_with_a_run_that_names_somebody_elses_address_sends_nothing_unless_somebody_agrees(
    begun: Path,
) -> None:
    other = society(agents=ELSEWHERE)
    change(begun, scenario=other.model_dump(mode="json"), scenario_hash=hash_json(other.result_part()))
    with pytest.raises(ConsentNeededError):
        resume(begun)
    with pytest.raises(ConsentNeededError):
        asyncio.run(resume_module.resume_async(begun))


def test_other_questions_than_those_of_the_run_are_named(
    finished: Path, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Coin.make
    monkeypatch.setattr(Coin, "make", lambda self, seed, index: make(self, seed + 1, index))
    with pytest.raises(InputError, match="other questions than when the run began"):
        resume(begun)
    change(finished, status="finished", digest="0" * 64)
    unchecked(monkeypatch)
    with pytest.raises(ReplayMismatchError, match="the task family gives other questions than it did"):
        replay(finished)


def test_a_fork_of_a_run_without_journal_leaves_nothing(finished: Path, tmp_path: Path) -> None:
    (finished / JOURNAL).unlink()
    with pytest.raises(LogDamagedError, match="journal"):
        forked(finished, (1, 0), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_fork_tells_its_progress(whole: RunLog, tmp_path: Path) -> None:
    progress = Progress()
    fork(whole.directory, 1, 0, society(**CHANGED), tmp_path / "new", progress=progress)
    assert progress.n_tasks == 3


def test_a_fork_may_use_loose_code_that_its_run_did_not_have(whole: RunLog, tmp_path: Path) -> None:
    source = (Path(__file__).parents[1] / "data" / "loose_family.py").read_text(encoding="utf-8")
    kind = next(line.split('"')[1] for line in source.splitlines() if "kind: Literal" in line)
    one, more = tmp_path / "one.py", tmp_path / "more.py"
    one.write_text(source, encoding="utf-8")
    more.write_text(source.replace(f'"{kind}"', '"one-more"'), encoding="utf-8")
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (one, more)}
    try:
        first = fork(whole.directory, 1, 0, society(), tmp_path / "a", code_paths=[one])
        assert first.manifest.code == {"one.py": hashes["one.py"]}
        with pytest.raises(InputError, match=r"one\.py"):
            replay(first.directory)
        with pytest.raises(InputError, match=r"made without the loose code file more\.py"):
            stored_scenario(first, [one, more])
        second = fork(first.directory, 2, 0, society(), tmp_path / "b", code_paths=[one, more])
        assert second.manifest.code == hashes
        assert replay(second.directory, allow_code=[one, more]).model_calls == 0
    finally:
        forget_code()
        register()
    assert forked(whole.directory, (1, 0), tmp_path / "plain").manifest.code == {}


def test_a_run_of_before_is_not_measured_against_the_windows_of_today(
    whole: RunLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its society was built once: only the changed scenario has to fit what the model can read now."""
    old = stored_scenario(whole)[0]
    measured: list[Scenario] = []

    def noted(scenario: Scenario, *, stored: bool = False, **more: Any) -> Any:
        if not stored:
            measured.append(scenario)
        return build_society(scenario, stored=stored, **more)

    monkeypatch.setattr(fork_module, "build_society", noted)
    forked(whole.directory, (1, 0), tmp_path / "new")
    assert old not in measured
    assert measured == [society(**CHANGED)]


def test_a_scenario_hash_does_not_depend_on_how_a_run_is_executed() -> None:
    other = society(engine={"concurrency": 2}, description="words")
    assert hash_json(other.result_part()) == hash_json(society().result_part())


Verb = Callable[[Path], object]


@pytest.mark.parametrize("verb", [replay, resume, lambda path: forked(path, (0, 0), path / "new")])
def test_what_is_no_run_is_left_as_it_is(tmp_path: Path, verb: Verb) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(NoRunError, match=r"there is no run at .*, which holds something else") as found:
        verb(tmp_path)
    assert found.value.exit_code == 2  # bad input: nothing is damaged
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
