"""What `check` says of a run: nothing of a sound one, and of any other the first thing that is wrong, and where.

The runs are made by hand with all hashes right; see `tests.forged`.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agentsoc.errors import LogDamagedError
from agentsoc.events import SOCIETY, Event
from agentsoc.log.check import _Events, _near
from agentsoc.log.digest import digest_of
from agentsoc.log.episodes import SCHEMA as ROWS_SCHEMA
from agentsoc.log.episodes import EpisodeTable
from agentsoc.log.manifest import NAME, SEAL, load_manifest, seal
from agentsoc.log.names import EPISODES, EVENTS, INPUTS, JOURNAL, TASKS
from agentsoc.log.read import RunLog
from agentsoc.log.record import record_bytes
from agentsoc.log.schema import SCHEMA, to_table
from agentsoc.log.segments import REBUILD, chain
from agentsoc.log.tool_check import ActingRows
from tests.forged import SCENARIO, Forged, found, task_events, task_row
from tests.nightly import NIGHTLY

PRICED: dict[str, Any] = {
    **SCENARIO,
    "agents": [{"count": 2, "model": {"kind": "scripted"}}],
    "prices": {"scripted": {"input": 1.0, "output": 2.0, "call": 0.5}},
}
"""Each task makes two calls of 17 tokens in and 3 out: 1.000023 in money."""
UNIT = 10**12


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


def resign(directory: Path, change: Callable[[dict[str, Any]], Any]) -> RunLog:
    """Change the manifest on disk and give it a right checksum and a right seal."""
    data = load_manifest(directory).model_dump(mode="json")
    change(data)
    content = record_bytes(data)
    (directory / NAME).write_bytes(content)
    (directory / SEAL).write_bytes(seal(content))
    return RunLog(directory)


def add_segment(log: RunLog, table: pa.Table) -> None:
    """Add a segment to a run on disk, with all hashes right but that of the whole log."""
    name = f"part-{len(log.segments):05d}.parquet"
    path = log.directory / EVENTS / name
    pq.write_table(table, path)
    digest = digest_of(table)
    entry = {"file": name, "rows": table.num_rows, "digest": digest, "chain": chain(log.segments[-1].chain, digest)}
    entry |= {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    resign(log.directory, lambda data: data["segments"].append(entry))


# Sound runs


def test_a_sound_run_is_found_sound_and_counted(run: Path) -> None:
    log = Forged(run, lost=1).write()
    checked = log.check()
    assert (checked.events, checked.segments, checked.attempts) == (12, 2, 2)
    assert checked.notes == ()
    assert set(log.checked()) == {(0, 0, 0, 0, 0), (0, 0, 1, 0, 0)}


def of(n: int) -> dict[str, Any]:
    """Return the scenario of so many tasks."""
    return {**SCENARIO, "tasks": {"kind": "coin", "count": n}}


def test_a_finished_run_has_the_episodes_that_its_scenario_asks_for(run: Path) -> None:
    assert "with 3 episodes, but its scenario has another count" in Forged(run / "more", scenario=of(4)).found()
    assert Forged(run / "same", scenario=of(3)).found() == ""


def test_a_run_without_events_is_sound(run: Path) -> None:
    checked = Forged(run, parts=[], rows=[], scenario=of(0)).write().check()
    assert (checked.events, checked.segments, checked.notes) == (0, 0, ())


def test_a_task_that_goes_on_in_the_next_segment_is_one_task(run: Path) -> None:
    whole = [*task_events(0), *task_events(1, "tails", 0.0), *task_events(2, None, None)]
    for at in range(1, 12):
        assert found(Forged(run / str(at), parts=[whole[:at], whole[at:]]).write()) == ""
    assert Forged(run / "each", parts=[[event] for event in whole]).found() == ""


def test_an_empty_segment_does_not_matter(run: Path) -> None:
    log = Forged(run, parts=[task_events(0)], rows=[task_row(0)], scenario=of(1)).write()
    add_segment(log, SCHEMA.empty_table())
    assert found(RunLog(run)) == ""


def test_an_episode_under_way_has_no_answer_and_no_stop_yet(run: Path) -> None:
    begun = task_events(1)[:2]
    rows = [task_row(0), task_row(1, None, stop="under_way", events=2)]
    forged = Forged(run, parts=[task_events(0), begun], rows=rows, status="interrupted")
    log = forged.write()
    assert log.check().notes == ()
    assert log.manifest.totals.episodes == 1


# What could not be checked is said


OPEN: dict[str, Any] = {"journal_file": None, "journal_rows": None, "journal_digest": None}


def test_of_a_run_that_goes_on_it_is_said_that_its_journal_may_grow(run: Path) -> None:
    log = Forged(run, status="running", manifest=OPEN).write()
    assert log.check().notes == ("the run has not ended: its journal may still grow, so its bytes are not pinned",)


def test_of_a_run_that_failed_it_is_said_that_its_journal_could_not_be_closed(run: Path) -> None:
    log = Forged(run / "open", status="failed", manifest=OPEN).write()
    assert log.check().notes == ("the run failed before its journal could be closed: its bytes are not pinned",)
    assert Forged(run / "closed", status="failed").write().check().notes == ()


def test_a_run_that_was_stopped_pins_all_that_one_that_finished_pins_but_the_digest(run: Path) -> None:
    assert Forged(run / "whole", status="interrupted", manifest={"digest": None}).write().check().notes == ()
    for name, what in (("journal_digest", "journal"), ("episodes_file", "table of episodes"), ("tasks_file", "task")):
        changed: dict[str, Any] = {name: None, **(OPEN if name == "journal_digest" else {})}
        said = Forged(run / name, status="interrupted", manifest=changed).found()
        assert f"the manifest pins no hash of the {what}" in said


def test_a_journal_that_a_reader_kept_open_is_pinned_by_rows_and_that_is_said(run: Path) -> None:
    log = Forged(run, manifest={"journal_file": None}).write()
    assert log.check().notes == (
        "a reader kept the journal open when the run ended: its rows are pinned, its bytes are not",
    )


def test_without_a_table_of_episodes_it_is_said_which_totals_are_as_stated(run: Path) -> None:
    log = Forged(run, rows=None, status="failed", totals={"turns": 99, "virtual_s": 3.0, "tokens_lost": 9}).write()
    assert log.check().notes[-1] == (
        "without a table of episodes these totals are as stated: rounds, turns, broadcasts, deliveries, virtual_s, "
        "tokens_lost, calls_lost, tokens_overrun, claims_due, claims_left_out, cost, cost_lost"
    )


OLD: dict[str, Any] = {"format": 1, "manifest": {"journal_file": None}}


def test_of_a_run_of_format_1_it_is_said_what_it_does_not_pin_and_does_not_tell(run: Path) -> None:
    log = Forged(run, **OLD).write()
    (run / SEAL).unlink()
    assert log.check().notes == (
        "log format 1 pins no bytes of events and journal: rows were compared with their digests",
        "log format 1 does not say what each episode lost: lost tokens and calls, and costs, are as stated",
    )


def test_what_format_1_does_not_tell_is_taken_as_stated(run: Path) -> None:
    stated = {"tokens_lost": 9, "calls_lost": 1, "tokens_overrun": 2, "cost_lost": 0.5}
    assert Forged(run / "old", lost=1, totals=stated, **OLD).found() == ""
    assert "totals.calls_lost is 1, but the log gives 0" in Forged(run / "new", lost=1, totals=stated).found()


def test_a_run_of_format_1_without_a_table_of_episodes_is_told_once(run: Path) -> None:
    notes = Forged(run, rows=None, **OLD).write().check().notes
    assert len(notes) == 2
    assert not any("does not say what each episode lost" in note for note in notes)


@pytest.mark.parametrize("name", ["score", "virtual_s"])
def test_totals_that_format_1_rounded_may_differ_in_their_last_digits_and_no_more(run: Path, name: str) -> None:
    right = {"score": 1 / 3, "virtual_s": 0.75}[name]
    near, far = right * (1 + 1e-12), right * (1 + 1e-6)
    assert Forged(run / "near", totals={name: near}, **OLD).found() == ""
    assert f"totals.{name} is {far}" in Forged(run / "far", totals={name: far}, **OLD).found()
    assert f"totals.{name} is {near}" in Forged(run / "new", totals={name: near}).found()


def test_counts_of_format_1_are_exact(run: Path) -> None:
    """Even those so large that one more is near."""
    events = [msgspec.structs.replace(task_events(0)[0], tokens_in=10**12), *task_events(0)[1:]]
    rows = [task_row(0, tokens_in=10**12 + 7)]
    assert Forged(run / "right", parts=[events], rows=rows, scenario=of(1), **OLD).found() == ""
    wrong = Forged(run / "wrong", parts=[events], rows=rows, totals={"tokens_in": 10**12 + 8}, **OLD)
    assert f"totals.tokens_in is {10**12 + 8}, but the log gives {10**12 + 7}" in wrong.found()


def test_what_is_near_is_within_a_billionth(run: Path) -> None:
    assert _near(1.0 + 0.9e-9, 1.0)
    assert not _near(1.0 + 2.1e-9, 1.0)
    assert not _near(1.0 - 2.1e-9, 1.0)
    assert _near(2_000_000.001, 2_000_000.0)
    assert not _near(2_000_000.003, 2_000_000.0)
    assert not _near(-2_000_000.003, -2_000_000.0)
    assert _near(-2_000_000.001, -2_000_000.0)
    assert _near(1e-9, 0.0)
    assert not _near(2e-9, 0.0)
    assert _near(None, None)
    assert not _near(None, 0.0)
    assert not _near(0.0, None)


# Files and their hashes


def test_the_digest_of_the_whole_log_is_compared(run: Path) -> None:
    said = Forged(run, manifest={"digest": "0" * 64}).found()
    assert said == f"{run / NAME}: the digest of the log is not the one that the manifest states\n    {REBUILD}"


def test_a_segment_without_a_hash_is_compared_by_its_rows(run: Path) -> None:
    log = Forged(run, status="running").write()
    resign(run, lambda data: [entry.update(sha256=None, digest="0" * 64) for entry in data["segments"]])
    assert "chain of digests is broken" in found(RunLog(run))
    shutil.rmtree(run)
    log = Forged(run, status="running").write()
    other = to_table([msgspec.structs.replace(event, text="other") for event in task_events(0)])
    pq.write_table(other, run / EVENTS / log.segments[0].file)
    resign(run, lambda data: [entry.update(sha256=None) for entry in data["segments"]])
    assert "this segment is not what was written: its digest differs" in found(RunLog(run))


def test_segments_of_a_run_without_a_whole_digest_are_compared_by_their_rows_as_well(run: Path) -> None:
    """Also where the bytes are pinned: their hash may be that of a file with other rows."""
    log = Forged(run, status="running", manifest={"digest": None}).write()
    path = run / EVENTS / log.segments[0].file
    pq.write_table(to_table([msgspec.structs.replace(event, text="other") for event in task_events(0)]), path)
    new = hashlib.sha256(path.read_bytes()).hexdigest()
    resign(run, lambda data: data["segments"][0].update(sha256=new))
    assert "this segment is not what was written: its digest differs" in found(RunLog(run))


@pytest.mark.parametrize(
    ("field", "what", "file"),
    [
        ("tasks_file", "task table", TASKS),
        ("episodes_file", "table of episodes", EPISODES),
        ("digest", "event log", EVENTS),
        ("journal_digest", "journal", JOURNAL),
    ],
)
def test_a_finished_run_pins_everything(run: Path, field: str, what: str, file: str) -> None:
    changes: dict[str, Any] = {field: None}
    if field == "journal_digest":
        changes["journal_rows"] = None
    assert Forged(run, manifest=changes).found() == f"{run / file}: the manifest pins no hash of the {what}"


def test_a_finished_run_pins_every_segment(run: Path) -> None:
    Forged(run).write()
    resign(run, lambda data: data["segments"][1].update(sha256=None))
    assert found(RunLog(run)) == f"{run / EVENTS}: the manifest pins no hash of a segment"


@pytest.mark.parametrize(("file", "what"), [(TASKS, "task table"), (EPISODES, "table of episodes")])
def test_a_small_table_that_is_missing_or_another_is_named(run: Path, file: str, what: str) -> None:
    log = Forged(run).write()
    pq.write_table(pa.table({"task": [9]}), run / file)
    assert f"{run / file}: the {what} is not what was written" in found(log)
    (run / file).unlink()
    assert f"{run / file}: the {what} cannot be read: No such file" in found(log)


def test_a_copied_file_of_the_scenario_that_is_missing_or_another_is_named(run: Path) -> None:
    log = Forged(run, inputs={"a.txt": b"one", "deep/b.txt": b"two"}).write()
    assert found(log) == ""
    (run / INPUTS / "deep" / "b.txt").write_bytes(b"other")
    assert f"{run / INPUTS}/deep/b.txt: the copy of a file of the scenario is not what was written" in found(log)


@pytest.mark.parametrize("place", [EVENTS, INPUTS, f"{INPUTS}/deep"])
@pytest.mark.parametrize("status", ["finished", "interrupted", "failed", "running"])
def test_a_file_that_is_not_one_of_the_runs_is_named(run: Path, place: str, status: str) -> None:
    open_: dict[str, Any] = OPEN if status == "running" else {}
    inputs = {"a.txt": b"one", "deep/b.txt": b"two"}
    log = Forged(run, inputs=inputs, status=status, manifest=open_).write()
    (run / place / ".part-00009.parquet.0123abcd.tmp").touch()  # what a writer that was killed leaves
    assert found(log) == ""
    for name in (".hidden", ".part-00099.parquet", "more.parquet", "part-9.parquet", ".x.0123abcd.tmp.parquet"):
        (run / place / name).touch()
        assert f"{run / place / name}: this file is not one of the run's" in found(log)
        (run / place / name).unlink()
    (run / place / "part-00009.parquet").touch()
    if place == EVENTS and status == "running":
        assert found(log) == ""
        assert "events/part-00009.parquet is not in its manifest, just being written or of" in log.check().notes[0]
    else:
        assert "this file is not one of the run's" in found(log)


# The journal


@pytest.mark.parametrize("change", [{"journal_rows": 2}, {"journal_digest": "0" * 64}])
def test_a_journal_of_other_rows_is_named(run: Path, change: dict[str, Any]) -> None:
    log = Forged(run, manifest=change).write()
    assert (
        f"{run / JOURNAL}: the journal has 1 rows that are not the {change.get('journal_rows', 1)} it ended"
        in found(log)
    )
    with pytest.raises(LogDamagedError, match="the journal has 1 rows"):
        log.checked()


def test_a_journal_with_the_same_rows_in_other_bytes_is_named(run: Path) -> None:
    log = Forged(run).write()
    with sqlite3.connect(run / JOURNAL, isolation_level=None) as db:
        db.execute("PRAGMA user_version = 7")
    db.close()
    for name in ("-wal", "-shm"):
        (run / (JOURNAL + name)).unlink(missing_ok=True)
    assert found(log) == f"{run / JOURNAL}: the journal is not what was written: its bytes differ"


def test_a_journal_that_cannot_be_read_in_the_end_is_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Forged(run).write()

    def refuse(self: object, name: str) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("agentsoc.log.inside.Inside.sha256", refuse)
    assert found(log) == f"{run / JOURNAL}: the journal cannot be read: Input/output error"


@pytest.mark.parametrize("keep", [False, True])
def test_lost_calls_are_at_most_those_whose_outcome_the_journal_does_not_know(run: Path, keep: bool) -> None:
    for lost, said in ((2, ""), (3, "totals.calls_lost is 3, but the journal gives at most 2")):
        rows = [task_row(0, calls_lost=lost, tokens_lost=40), task_row(1, "tails", 0.0), task_row(2, None, 0.0)]
        log = Forged(run / str(lost), rows=rows, lost=2).write()
        text = ""
        try:
            log.checked() if keep else log.check()
        except LogDamagedError as error:
            text = str(error)
        assert said in text
        assert bool(said) == bool(text)


# The scenario and the seal


def test_a_scenario_that_is_not_the_one_of_its_hash_is_named(run: Path) -> None:
    said = Forged(run, manifest={"scenario": {**SCENARIO, "extra": 1}}).found()
    assert said == f"{run / NAME}: the manifest's scenario is not the one of its hash"


@pytest.mark.parametrize("key", ["engine", "description"])
def test_what_changes_no_result_is_in_no_hash(run: Path, key: str) -> None:
    assert Forged(run, manifest={"scenario": {**SCENARIO, key: {"hosts": 9}}}).found() == ""


@pytest.mark.parametrize(("key", "value"), [("name", "another"), ("seed", 4)])
def test_the_name_and_the_seed_are_those_of_the_scenario(run: Path, key: str, value: object) -> None:
    assert Forged(run, manifest={key: value}).found() == f"{run / NAME}: the manifest's {key} is not the scenario's"


def test_a_finished_run_that_is_not_sealed_or_sealed_as_another_is_named(run: Path) -> None:
    log = Forged(run).write()
    (run / SEAL).write_bytes(seal(b"another"))
    assert found(log) == f"{run / NAME}: the manifest is not the one that was sealed"
    (run / SEAL).unlink()
    assert f"{run / SEAL}: the seal of the manifest cannot be read: No such file" in found(log)


def test_a_seal_is_what_sha256sum_reads(run: Path) -> None:
    Forged(run).write()
    assert (run / SEAL).read_text() == f"{hashlib.sha256((run / NAME).read_bytes()).hexdigest()}  manifest.json\n"


# Events


def test_scores_that_are_no_numbers_are_named(run: Path) -> None:
    for value in (math.nan, math.inf):
        log = Forged(run / str(value)).write()
        events = [msgspec.structs.replace(e, correct=value if e.kind == "answer" else None) for e in task_events(3)]
        add_segment(log, to_table(events))
        resign(log.directory, lambda data: data.update(digest=None, status="running"))
        said = found(RunLog(log.directory))
        assert said.startswith(f"{log.directory}: the events hold a number that is none: a score or a time is infinite")


ORDERED = [
    Event(0, 0, 0, 0, "propose_claim", 1),
    Event(0, 0, 0, 1, "propose_claim", 2),
    Event(0, 0, 1, 0, "propose_claim", 3),
    Event(0, 1, 0, 0, "propose_claim", 4),
    Event(0, 1, SOCIETY + 2, 0, "propose_claim", 5),
    Event(1, 0, 0, 0, "propose_claim", 6),
    Event(1, 0, 0, 2, "propose_claim", 7),
    Event(1, 2, 0, 0, "propose_claim", 8),
]
"""Every place steps on in another column, in some of them back in the columns behind it."""


def in_order(log: RunLog, *parts: list[Event]) -> bool:
    places = _Events(log, ActingRows())
    try:
        for part in parts:
            places._in_order(to_table(part))
    except LogDamagedError as error:
        return str(error) != f"{log.directory / EVENTS}: the events are not in their order\n    {REBUILD}"
    return True


def test_events_are_in_order_when_their_places_increase_and_only_then(run: Path) -> None:
    log = Forged(run).write()
    assert in_order(log, ORDERED)
    assert in_order(log, *([event] for event in ORDERED))
    for at in range(len(ORDERED) - 1):
        assert in_order(log, ORDERED[: at + 1], ORDERED[at + 1 :])
        swapped = [*ORDERED]
        swapped[at], swapped[at + 1] = swapped[at + 1], swapped[at]
        doubled = [*ORDERED[: at + 1], *ORDERED[at:]]
        for events in (swapped, doubled):
            assert not in_order(log, events)
            assert not in_order(log, events[: at + 1], events[at + 1 :])
            assert not in_order(log, *([event] for event in events))


def test_events_that_are_not_in_their_order_are_named(run: Path) -> None:
    events = task_events(0)
    said = f"{run / EVENTS}: the events are not in their order\n    {REBUILD}"
    assert Forged(run, parts=[[*events[:2], events[3], events[2]]], rows=[task_row(0)]).found() == said


# Totals


def test_a_total_that_is_not_what_the_log_gives_is_named(run: Path) -> None:
    said = Forged(run, totals={"turns": 7}).found()
    assert said == f"{run / NAME}: totals.turns is 7, but the log gives 6\n    {REBUILD}"


def test_the_ceilings_are_those_of_the_scenarios_budget(run: Path) -> None:
    budget = {"tokens_per_task": 100, "calls_per_task": 5, "money_per_task": 0.5}
    scenario = {**SCENARIO, "budget": budget}
    log = Forged(run / "right", scenario=scenario).write()
    assert found(log) == ""
    totals = log.manifest.totals
    assert (totals.budget, totals.budget_calls, totals.budget_cost) == (300, 15, 1.5)
    for name in ("budget", "budget_calls", "budget_cost"):
        assert f"totals.{name} is None" in Forged(run / name, scenario=scenario, totals={name: None}).found()


@pytest.mark.parametrize("budget", [{"tokens_per_task": -1}, {"tokens": "many"}])
def test_a_budget_that_does_not_hold_is_named(run: Path, budget: object) -> None:
    said = Forged(run, scenario={**SCENARIO, "budget": budget}).found()
    assert said.startswith(f"{run / NAME}: the budget of the manifest's scenario does not hold: ")


def priced(directory: Path, **changes: Any) -> Forged:
    each = 1_000_023 * UNIT // 10**6
    rows = [task_row(0, cost=each, cost_lost=0), task_row(1, "tails", 0.0, cost=each, cost_lost=0)]
    rows.append(task_row(2, None, 0.0, cost=each, cost_lost=0))
    return Forged(directory, **{"rows": rows, "scenario": PRICED, **changes})


def test_what_a_run_cost_is_what_its_events_cost(run: Path) -> None:
    log = priced(run / "right").write()
    assert log.manifest.totals.cost == pytest.approx(3.000069)
    assert found(log) == ""
    assert "totals.cost is 4.0, but the log gives 3.000069" in priced(run / "stated", totals={"cost": 4.0}).found()
    dear = [task_row(0, cost=5 * UNIT, cost_lost=0), task_row(1, "tails", 0.0, cost=0, cost_lost=0)]
    dear.append(task_row(2, None, 0.0, cost=0, cost_lost=0))
    said = priced(run / "rows", rows=dear).found()  # the rows agree with the total, the events do not
    assert "totals.cost is 5.0, but the log gives 3.000069" in said
    row = task_row(0, cost=priced(run).rows[0].cost + 1, cost_lost=0)  # type: ignore[index,operator]
    said = priced(run / "one unit", rows=[row, *priced(run).rows[1:]]).found()  # type: ignore[index]
    assert "totals.cost is 3.000069000001, but the log gives 3.000069" in said


def test_a_fork_and_a_run_that_states_no_cost_are_not_held_against_these_prices(run: Path) -> None:
    fork: dict[str, Any] = {"run": "x", "digest": None, "task": 1, "round": 0, "before": []}
    dear = [task_row(0, cost=5 * UNIT, cost_lost=0), task_row(1, "tails", 0.0, cost=0, cost_lost=0)]
    dear.append(task_row(2, None, 0.0, cost=0, cost_lost=0))
    assert priced(run / "fork", rows=dear, manifest={"fork": fork}).found() == ""
    assert Forged(run / "none", scenario=PRICED).found() == ""
    unpriced = {**PRICED, "prices": {"another": PRICED["prices"]["scripted"]}}
    assert priced(run / "unpriced", rows=dear, scenario=unpriced).found() == ""


def test_a_cost_that_format_1_rounded_may_differ_in_its_last_digits(run: Path) -> None:
    for name, cost, sound in (("near", 3.000069 * (1 + 1e-12), True), ("far", 3.00007, False)):
        log = priced(run / name, totals={"cost": cost}, **OLD).write()
        assert (found(log) == "") is sound
        assert ("totals.cost is" in found(log)) is not sound


# Rows of episodes


@pytest.mark.parametrize(
    "rows",
    [
        [task_row(0), task_row(1, "tails", 0.0)],
        [task_row(0), task_row(1, "tails", 0.0), task_row(3, None, 0.0)],
        [task_row(0), task_row(1, "tails", 0.0), task_row(2, None, 0.0), task_row(3, None, 0.0, events=0)],
        [],
    ],
)
def test_the_rows_are_those_of_the_tasks_in_the_log(run: Path, rows: list[Any]) -> None:
    said = Forged(run, rows=rows).found()
    assert said == f"{run / EPISODES}: the rows of episodes are not those of the tasks in the log\n    {REBUILD}"


@pytest.mark.parametrize("name", ["events", "calls_failed", "calls", "tokens_in", "tokens_cached", "tokens_out"])
@pytest.mark.parametrize("task", [0, 1])
def test_a_row_that_does_not_say_what_its_events_say_is_named(run: Path, name: str, task: int) -> None:
    rows = [task_row(0), task_row(1, "tails", 0.0), task_row(2, None, 0.0)]
    for at in (task, 2):
        setattr(rows[at], name, getattr(rows[at], name) + 1)
    said = Forged(run, rows=rows).found()
    assert said == f"{run / EPISODES}: the row of task {task} does not say what its events say\n    {REBUILD}"


@pytest.mark.parametrize(("name", "value"), [("answer", "tails"), ("score", 0.5), ("stop", "consensus")])
def test_a_column_that_does_not_say_what_the_events_say_is_named(run: Path, name: str, value: object) -> None:
    rows = [task_row(0), task_row(1, "tails", 0.0), task_row(2, None, 0.0)]
    setattr(rows[0], name, value)
    said = Forged(run, rows=rows).found()
    what = f"the column {name} of the table of episodes does not say what the events say"
    assert said == f"{run / EPISODES}: {what}\n    {REBUILD}"


def test_an_ended_row_needs_an_answer_and_a_stop_in_the_log(run: Path) -> None:
    parts = [[event for event in task_events(0) if event.kind not in ("answer", "stop")]]
    rows = [task_row(0, events=2)]
    said = Forged(run, parts=parts, rows=rows, status="failed").found()
    assert "the column task of the table of episodes does not say what the events say" in said
    nobody = [Event(0, 0, 0, 0, "propose_claim", 1), Event(0, 1, 0, 0, "answer", answer="heads", correct=1.0)]
    agents = Forged(run / "agents", parts=[nobody], rows=[task_row(0, events=2, calls=0, calls_failed=0, tokens_in=0)])
    assert "does not say what" in agents.found()  # an agent's answer is not the society's


@pytest.mark.parametrize("task", [0, 2])
def test_whether_an_episode_was_answered_is_in_its_answer(run: Path, task: int) -> None:
    rows = [task_row(0), task_row(1, "tails", 0.0), task_row(2, None, 0.0)]
    rows[task].answered = not rows[task].answered
    said = Forged(run, rows=rows).found()
    assert said == f"{run / EPISODES}: the column answered of the table of episodes is not right\n    {REBUILD}"


def test_a_table_of_episodes_of_something_else_is_named(run: Path) -> None:
    rows = EpisodeTable()
    rows.add(task_row(0))
    table = rows.table()
    at = ROWS_SCHEMA.get_field_index("score")
    words = table.set_column(at, "score", pa.array(["much"]))
    Forged(run, parts=[task_events(0)], rows=[task_row(0)]).write()
    pq.write_table(words, run / EPISODES)
    new = hashlib.sha256((run / EPISODES).read_bytes()).hexdigest()
    resign(run, lambda data: data.update(episodes_file=new))
    assert f"{run / EPISODES}: the table of episodes holds something else (" in found(RunLog(run))


# Tables of tasks, and columns of another kind


def with_table(log: RunLog, name: str, table: pa.Table) -> RunLog:
    """Put another table in the place of one, with all hashes right."""
    pq.write_table(table, log.directory / name)
    digest = hashlib.sha256((log.directory / name).read_bytes()).hexdigest()
    return resign(log.directory, lambda data: data.update({f"{name.removesuffix('.parquet')}_file": digest}))


@pytest.mark.parametrize("tasks", [[], [0, 1], [0, 1, 2, 3], [0, 2, 1], [1, 2, 3], [0, 1, 1], [0, None, 2]])
def test_a_table_of_tasks_has_a_row_for_each_task_of_the_scenario(run: Path, tasks: list[int | None]) -> None:
    log = with_table(Forged(run).write(), TASKS, pa.table({"task": pa.array(tasks, pa.int64())}))
    assert "the task table holds something else" in (said := found(log))
    assert str(run / TASKS) in said
    with pytest.raises(LogDamagedError):
        log.tasks()


OTHERS: tuple[pa.DataType, ...] = (
    pa.bool_(), pa.int16(), pa.int64(), pa.float32(), pa.float64(), pa.string(), pa.binary(), pa.timestamp("us"),
    pa.list_(pa.int64()), pa.list_(pa.string()), pa.struct([("x", pa.int64())]), pa.decimal128(10, 2), pa.null(),
)  # fmt: skip


def others(number: int, wanted: str) -> list[pa.DataType]:
    """Return the types of another kind that the column of this number takes: five in turn, all of them each night."""
    found = [one for one in OTHERS if kind(one) != wanted]
    return found if NIGHTLY else [found[(number * 5 + one) % len(found)] for one in range(5)]


def kind(found: pa.DataType) -> str:
    """Return what kind of value a column holds, whatever its width."""
    text = str(found.value_type if pa.types.is_dictionary(found) else found)
    return {"int16": "int", "int32": "int", "int64": "int", "float": "double"}.get(text, text)


def filled(column: pa.DataType, rows: int) -> pa.Array:
    """Return a column of some type without a missing value, where there are other values."""
    given: dict[str, Any] = {"bool": True, "string": "1", "binary": b"1", "list<item: int64>": [1]}
    given |= {"list<item: string>": ["1"], "struct<x: int64>": {"x": 1}, "null": None}
    return pa.array([given.get(str(column), 1)] * rows, column)


@pytest.mark.parametrize("column", ROWS_SCHEMA.names)
def test_a_column_of_episodes_of_another_kind_is_named(run: Path, column: str) -> None:
    log = Forged(run).write()
    rows = log.episode_rows()
    assert rows is not None
    at = rows.schema.get_field_index(column)
    for other in others(at, kind(ROWS_SCHEMA.field(column).type)):
        log = with_table(log, EPISODES, rows.set_column(at, column, filled(other, rows.num_rows)))
        for read in (log.check, log.episode_rows, log.episodes):
            with pytest.raises(LogDamagedError, match="the table of episodes holds something else") as raised:
                read()
            assert raised.value.problem.where == str(run / EPISODES)


COLUMNS_OF_TASKS = ["task", "id", "question", "truth", "options", "chance", "difficulty"]


@pytest.mark.parametrize("column", COLUMNS_OF_TASKS)
def test_a_column_of_tasks_of_another_kind_is_named(run: Path, column: str) -> None:
    log = Forged(run).write()
    wanted = {"task": "int", "options": "list<item: string>", "chance": "double", "difficulty": "double"}
    for other in others(COLUMNS_OF_TASKS.index(column), wanted.get(column, "string")):
        columns = {"task": pa.array(range(3), pa.int64()), column: filled(other, 3)}
        log = with_table(log, TASKS, pa.table(columns))
        with pytest.raises(LogDamagedError, match="the task table holds something else"):
            log.check()
    assert "one too many" in found(with_table(log, TASKS, pa.table({"task": [0, 1, 2], "more": [1, 2, 3]})))


@pytest.mark.parametrize("column", SCHEMA.names)
def test_a_column_of_events_of_another_kind_is_named_by_every_reader(run: Path, column: str) -> None:
    log = Forged(run, parts=[task_events(0)], rows=[task_row(0)], scenario=of(1)).write()
    path = run / EVENTS / "part-00000.parquet"
    table = next(log.tables())
    at = SCHEMA.get_field_index(column)
    for other in others(at, kind(SCHEMA.field(column).type)):
        changed = table.set_column(at, column, filled(other, table.num_rows))
        pq.write_table(changed, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        log = resign(run, lambda data, digest=digest: data["segments"][0].update(sha256=digest))  # type: ignore[misc]
        for read in (log.check, log.frame, log.scan, lambda log=log: list(log.events())):
            with pytest.raises(LogDamagedError) as raised:
                read()
            assert raised.value.problem.where == str(path)


# What the manifest says of its scenario


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[2J", "a b", "\u202egnp", "x" * 81, "a\n"])
def test_a_name_that_no_scenario_can_have_is_refused(run: Path, name: str) -> None:
    assert "name is none that a scenario can have" in Forged(run, scenario={**SCENARIO, "name": name}).found()


def test_the_models_that_it_was_made_with_are_those_of_its_scenario(run: Path) -> None:
    model = {"kind": "litellm", "name": "openai/small", "base_url": "http://127.0.0.1:1/v1"}
    of_litellm = {**SCENARIO, "agents": [{"count": 2, "model": model}]}
    changes: tuple[dict[str, Any], ...] = ({"kind": "local"}, {"name": "openai/large"}, {"base_url": None})
    for at, change in enumerate(changes):
        made = [{**model, "client": "aiohttp", **change}]
        said = Forged(run / str(at), scenario=of_litellm, manifest={"models": made}).found()
        assert f"group 0 was made with another model than its scenario names: the {next(iter(change))} differs" in said
    assert "which 0 models" in Forged(run / "none", scenario=of_litellm, manifest={"models": []}).found()
    early = Forged(run / "early", scenario=of_litellm, status="running", manifest={**OPEN, "models": []})
    assert early.found() == ""
    whole = {"models": [{**model, "client": "aiohttp"}]}
    assert Forged(run / "same", scenario=of_litellm, manifest=whole).found() == ""
    own = {**SCENARIO, "agents": [{"model": {"kind": "my-own"}}]}
    assert Forged(run / "own", scenario=own, manifest={"models": [{"kind": "what it likes"}]}).found() == ""
