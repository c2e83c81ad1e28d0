"""This module checks whether a run is what was written, and whether what it says of itself is true.

Three things are compared. Bytes: every file against the hash that the manifest pins. Rows: the event log against its
digests, the journal against its own. Words: each total of the manifest against the fold of events and episodes that it
claims to be, every row of episodes against the events of its task, and the manifest against its seal. A run of format 1
pins no bytes of events and journal, and is checked as well as it can be; `Checked.notes` says what could not be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agentsoc.errors import LogDamagedError
from agentsoc.events import SOCIETY
from agentsoc.log.acted import sound_rewards
from agentsoc.log.digest import Digest
from agentsoc.log.episodes import UNDER_WAY, committed_rounds
from agentsoc.log.inside import READ_MAX
from agentsoc.log.journal import Attempt, Key, load_journal
from agentsoc.log.journal_totals import JournalTotals, read_digest
from agentsoc.log.manifest import NAME, Totals, check_seal
from agentsoc.log.money import EventCost, study_rates
from agentsoc.log.names import EPISODES, EVENTS, FILE_BACK, INPUTS, JOURNAL, TASKS
from agentsoc.log.record import hash_json
from agentsoc.log.schema import REWARDS
from agentsoc.log.segments import REBUILD, chained, read_segment
from agentsoc.log.stored import StoredRun
from agentsoc.log.strangers import check_strangers
from agentsoc.log.study import Study, StudyAccount
from agentsoc.log.tool_check import ActingRows
from agentsoc.log.totals import EpisodeTotals, EventTotals, ceilings, fold
from agentsoc.scenario.model import NAME as NAME_OF_SCENARIO

_BUILT_IN: Final = frozenset({"local", "litellm", "simulated", "effort", "scripted"})
_JOURNAL_BACK: Final = "put back the journal that the run ended with: nothing else says what was answered"
_IDENTITY: Final = ("kind", "name", "base_url")
"""What scenario and manifest both say of a model."""
_PER_TASK: Final = ("calls", "tokens_in", "tokens_cached", "tokens_out")
_OLD_ROUNDING: Final = frozenset({"score", "virtual_s", "cost", "cost_lost"})
"""Totals that format 1 added up as floats, so that their last digits depend on the order."""
_IN_NO_EVENT: Final = (
    *("rounds", "turns", "broadcasts", "deliveries", "virtual_s"),
    *("tokens_lost", "calls_lost", "tokens_overrun", "claims_due", "claims_left_out", "cost", "cost_lost"),
)
"""Totals that only a table of episodes tells."""


@dataclass(frozen=True)
class Checked:
    """The result of a check lists what was found to be sound."""

    events: int
    segments: int
    attempts: int
    """Rows of the journal that are attempts at a model."""
    tool_rows: int
    """Rows of the journal that are calls of tools."""
    environment_rows: int
    """Rows of the journal that are steps of an environment of its own."""
    notes: tuple[str, ...]
    """What could not be checked, in sentences; empty for a finished run of the current format."""


def check(log: StoredRun, *, keep: bool = False) -> tuple[Checked, dict[Key, Attempt]]:
    """Check a run as the module says, and return what was found to be sound.

    Args:
        log: the run.
        keep: whether to return the journal's attempts, which are read anyway, for whoever then computes the run again
            and so finds by itself where rows of tools and environments differ from events.

    Raises:
        LogDamagedError: names the first thing that is not what was written.
    """
    manifest = log.manifest
    log.forget()
    acting = ActingRows()
    found, events = _Events(log, acting), log.directory / EVENTS
    for segment in chained(log.segments):
        # bytes that are pinned need no digest of their own beside that of the whole log
        found.add(read_segment(events, segment, digest=segment.sha256 is None or manifest.digest is None))
    if manifest.digest is not None and found.digest.hexdigest() != manifest.digest:
        raise LogDamagedError(
            "the digest of the log is not the one that the manifest states", str(log.directory / NAME), REBUILD
        )
    notes = list(_files(log))
    known: dict[Key, Attempt] = {}
    stated = manifest.study or Study()
    # an earlier version kept no account in money
    account = StudyAccount(study_rates(manifest.scenario) if stated.cost is not None else None)
    if keep:
        known, of_rows = load_journal(log.directory / JOURNAL)
        attempts = JournalTotals(account=account, acting=acting)
        attempts.add(list(known.values()))
    else:
        of_rows, attempts = read_digest(log.directory / JOURNAL, account, acting)
    for what, place in () if keep else acting.differences(ended=manifest.status == "finished"):
        own = of_rows == (manifest.journal_rows, manifest.journal_digest)
        raise LogDamagedError(f"{what}: {place}", str(log.directory), REBUILD if own else _JOURNAL_BACK)
    _same_journal(log, of_rows)
    _same_scenario(log)
    notes += found.compare(attempts)
    if manifest.journal_rows is not None and stated != attempts.study:
        what = "the manifest's account of the study is not what the journal adds up to"
        raise LogDamagedError(what, str(log.directory / NAME), REBUILD)
    count = manifest.scenario.get("tasks", {}).get("count")
    if manifest.status == "finished" and count is not None and count != manifest.totals.episodes:
        what = f"the run is finished with {manifest.totals.episodes:,} episodes, but its scenario has another count"
        raise LogDamagedError(what, str(log.directory / NAME))
    if manifest.format > 1:
        check_seal(log.directory)
    of_model = of_rows[0] - acting.tool_rows - acting.environment_rows
    found_sound = (len(log.segments), of_model, acting.tool_rows, acting.environment_rows, tuple(notes))
    return Checked(found.totals.events, *found_sound), known


def _files(log: StoredRun) -> Iterator[str]:
    """Compare the files beside the events with their hashes; yield what the manifest pins no hash of."""
    manifest = log.manifest
    ended = manifest.status != "running"
    yield from check_strangers(log)
    if manifest.tasks_file is not None:
        log.task_table()
    if manifest.episodes_file is not None:
        log.table(EPISODES, manifest.episodes_file, "table of episodes")
    for name, digest in manifest.inputs.items():
        _same_input(log, f"{INPUTS}/{name}", digest)
    if manifest.format == 1:
        pinned = "rows were compared with their digests" if manifest.status == "finished" else "the run has not ended"
        yield f"log format 1 pins no bytes of events and journal: {pinned}"
        return
    whole = manifest.status in ("finished", "interrupted")  # a failed run may have met a full disk
    for value, needed, what, file in (
        (manifest.tasks_file, True, "task table", TASKS),
        (manifest.episodes_file, whole, "table of episodes", EPISODES),
        (manifest.digest, manifest.status == "finished", "event log", EVENTS),
        (manifest.journal_digest, whole, "journal", JOURNAL),
    ):
        if value is None and needed:
            raise LogDamagedError(f"the manifest pins no hash of the {what}", str(log.directory / file))
    if any(segment.sha256 is None for segment in log.segments):
        raise LogDamagedError("the manifest pins no hash of a segment", str(log.directory / EVENTS))
    if not ended:
        yield "the run has not ended: its journal may still grow, so its bytes are not pinned"
    elif manifest.journal_digest is None:
        yield "the run failed before its journal could be closed: its bytes are not pinned"
    elif manifest.journal_file is None:
        yield "a reader kept the journal open when the run ended: its rows are pinned, its bytes are not"


def _same_input(log: StoredRun, name: str, digest: str) -> None:
    """Compare a copy of a file of the scenario with its hash."""
    where = str(log.directory / name)
    try:
        found = log.inside.sha256(name, limit=READ_MAX)
    except OSError as error:
        what = f"the copy of a file of the scenario cannot be read: {error.strerror}"
        raise LogDamagedError(what, where, FILE_BACK) from None
    if found != digest:
        raise LogDamagedError("the copy of a file of the scenario is not what was written", where, FILE_BACK)


def _same_journal(log: StoredRun, found: tuple[int, str]) -> None:
    manifest, path = log.manifest, log.directory / JOURNAL
    if manifest.journal_rows is not None and found != (manifest.journal_rows, manifest.journal_digest):
        raise LogDamagedError(
            f"the journal has {found[0]} rows that are not the {manifest.journal_rows} it ended with", str(path)
        )
    if manifest.journal_file is not None:
        try:
            same = log.inside.sha256(JOURNAL) == manifest.journal_file
        except OSError as error:
            raise LogDamagedError(f"the journal cannot be read: {error.strerror}", str(path)) from None
        if not same:
            raise LogDamagedError("the journal is not what was written: its bytes differ", str(path))


def _same_scenario(log: StoredRun) -> None:
    """Compare what the manifest says of the scenario with the scenario."""
    manifest = log.manifest
    part = {key: value for key, value in manifest.scenario.items() if key not in ("engine", "description", "name")}
    if hash_json(part) != manifest.scenario_hash:
        raise LogDamagedError("the manifest's scenario is not the one of its hash", str(log.directory / NAME))
    where = str(log.directory / NAME)
    for key, found in (("name", manifest.name), ("seed", manifest.seed)):
        if manifest.scenario.get(key) != found:
            raise LogDamagedError(f"the manifest's {key} is not the scenario's", where)
    if not re.fullmatch(NAME_OF_SCENARIO, manifest.name):
        raise LogDamagedError("the manifest's name is none that a scenario can have", where)
    groups = manifest.scenario.get("agents", [])
    if len(manifest.models) != len(groups) and (manifest.models or manifest.status == "finished"):
        what = f"the manifest says which {len(manifest.models)} models it was made with, its scenario has {len(groups)}"
        raise LogDamagedError(what, where)
    for number, (made, group) in enumerate(zip(manifest.models, groups, strict=False)):
        asked = group.get("model")
        if not isinstance(asked, dict) or asked.get("kind") not in _BUILT_IN:
            continue  # what a model of somebody else says of itself is its own business
        for key in _IDENTITY:
            if key in asked and key in made and asked[key] != made[key]:
                what = f"the manifest says that group {number} was made with another model than its scenario names"
                raise LogDamagedError(f"{what}: the {key} differs", where)


class _Events:
    """The object adds up what the events of a run amount to, in all and task by task."""

    def __init__(self, log: StoredRun, acting: ActingRows) -> None:
        self.log = log
        self.acting = acting
        self.digest = Digest()
        self.totals = EventTotals()
        self.cost = EventCost(log.manifest.scenario)
        self._tasks: list[Any] = []
        self._sums: list[Any] = []
        self._ends: list[pa.Table] = []
        self._last: tuple[int, int, int, int] | None = None

    def add(self, table: pa.Table) -> None:
        """Take in the next table."""
        if not table.num_rows:
            return
        self.digest.update(table)
        self.acting.add_events(table)
        try:
            self.totals.add(table)
        except (ValueError, OverflowError) as error:
            raise LogDamagedError(f"the events hold a number that is none: {error}", str(self.log.directory)) from None
        if REWARDS.name in table.column_names:
            sound_rewards(table, self.log.directory)
        self.cost.add(table)
        self._in_order(table)
        task = table["task"].to_numpy()
        first = np.flatnonzero(np.diff(task, prepend=task[0] - 1))
        columns = [np.ones(len(task), np.int64), _is(table["kind"], "call_failed")]
        columns += [table[name].to_numpy().astype(np.int64) for name in _PER_TASK]
        self._tasks.append(task[first])
        self._sums.append(np.stack([np.add.reduceat(column, first) for column in columns]))
        said = table.select(["task", "kind", "answer", "correct"]).filter(pc.equal(table["agent"], SOCIETY))
        kind = said["kind"].cast(pa.string())
        self._ends.append(
            said.filter(pc.is_in(kind, pa.array(["answer", "stop"]))).cast(
                pa.schema(
                    [("task", pa.int64()), ("kind", pa.string()), ("answer", pa.string()), ("correct", pa.float64())]
                )
            )
        )

    def _in_order(self, table: pa.Table) -> None:
        """Require that the places of events increase: readers rely on it."""
        places = [table[name].to_numpy() for name in ("task", "round", "agent", "k")]
        first = tuple(int(column[0]) for column in places)
        increases = np.zeros(table.num_rows - 1, bool)
        same = np.ones(table.num_rows - 1, bool)
        for column in places:
            step = column[1:] > column[:-1]
            increases |= same & step
            same &= column[1:] == column[:-1]
        if not increases.all() or (self._last is not None and first <= self._last):
            raise LogDamagedError("the events are not in their order", str(self.log.directory / "events"), REBUILD)
        self._last = tuple(int(column[-1]) for column in places)  # type: ignore[assignment]

    def compare(self, journal: JournalTotals) -> Iterator[str]:
        """Compare totals and rows of episodes with the events; yield what could not be compared.

        Raises:
            LogDamagedError: names the first that differs.
        """
        manifest = self.log.manifest
        rows = self.log.episode_rows()
        stated = manifest.totals
        try:
            limits = ceilings(manifest.scenario)
        except (ValueError, OverflowError) as error:
            what = f"the budget of the manifest's scenario does not hold: {error}"
            raise LogDamagedError(what, str(self.log.directory / NAME)) from None
        of_rows = EpisodeTotals()
        if rows is not None:
            self._compare_rows(rows)
            try:
                of_rows.add(rows)
            except (ValueError, OverflowError, pa.ArrowException) as error:
                where = str(self.log.directory / EPISODES)
                raise LogDamagedError(f"the rows cannot be added up: {error}", where, REBUILD) from None
        computed = fold(self.totals, of_rows, limits)
        skipped: set[str] = set()
        if rows is None:
            skipped.update(_IN_NO_EVENT)
            yield f"without a table of episodes these totals are as stated: {', '.join(_IN_NO_EVENT)}"
        elif manifest.format == 1:
            skipped.update(("tokens_lost", "calls_lost", "tokens_overrun", "cost", "cost_lost"))
            yield "log format 1 does not say what each episode lost: lost tokens and calls, and costs, are as stated"
        self._compare_totals(stated, computed, skipped)
        if stated.cost is not None and manifest.fork is None and self.cost.known:
            cost = self.cost.total
            if cost != stated.cost and not (manifest.format == 1 and _near(cost, stated.cost)):
                raise self._differs("cost", stated.cost, cost)
        if stated.calls_lost > journal.lost:
            raise self._differs("calls_lost", stated.calls_lost, f"at most {journal.lost}", "the journal")
        if manifest.unanswered is not None and manifest.journal_rows is not None and rows is not None:
            found = journal.unanswered(committed_rounds(rows))
            if manifest.unanswered != found:
                what = f"the manifest says that {manifest.unanswered} calls had failed unanswered, the journal {found}"
                raise LogDamagedError(what, str(self.log.directory / NAME), REBUILD)

    def _compare_totals(self, stated: Totals, computed: Totals, skipped: set[str]) -> None:
        old = self.log.manifest.format == 1
        if "failures" not in stated.model_fields_set:  # versions before 0.2.0 did not count them
            skipped.add("failures")
        for name in Totals.model_fields:
            if name in skipped:
                continue
            says, is_ = getattr(stated, name), getattr(computed, name)
            if says == is_ or (old and name in _OLD_ROUNDING and _near(says, is_)):
                continue
            raise self._differs(name, says, is_)

    def _differs(self, name: str, says: Any, is_: Any, source: str = "the log") -> LogDamagedError:
        return LogDamagedError(
            f"totals.{name} is {says}, but {source} gives {is_}", str(self.log.directory / NAME), REBUILD
        )

    def _compare_rows(self, rows: pa.Table) -> None:
        """Compare every row of episodes with the events of its task."""
        where = str(self.log.directory / EPISODES)
        tasks, sums = self._per_task()
        stated = (
            np.stack([rows[name].to_numpy().astype(np.int64) for name in ("events", "calls_failed", *_PER_TASK)])
            if rows.num_rows
            else np.zeros((2 + len(_PER_TASK), 0), np.int64)
        )
        if not np.array_equal(rows["task"].to_numpy(), tasks):
            raise LogDamagedError("the rows of episodes are not those of the tasks in the log", where, REBUILD)
        if not np.array_equal(stated, sums):
            at = int(np.flatnonzero((stated != sums).any(axis=0))[0])
            raise LogDamagedError(f"the row of task {tasks[at]} does not say what its events say", where, REBUILD)
        ends = pa.concat_tables(self._ends) if self._ends else None
        ended = rows.filter(pc.not_equal(rows["stop"], UNDER_WAY))
        for kind, columns in (("answer", ("answer", "score")), ("stop", ("stop",))):
            said = None if ends is None else ends.filter(pc.equal(ends["kind"], kind))
            pairs = [("task", "task"), *zip(columns, ("answer", "correct"), strict=False)]
            for name, source in pairs:
                has = [] if said is None else said[source].to_pylist()
                if ended[name].to_pylist() != has:
                    raise LogDamagedError(
                        f"the column {name} of the table of episodes does not say what the events say", where, REBUILD
                    )
        answered = [answer is not None for answer in ended["answer"].to_pylist()]
        if ended["answered"].to_pylist() != answered:
            raise LogDamagedError("the column answered of the table of episodes is not right", where, REBUILD)

    def _per_task(self) -> tuple[Any, Any]:
        """Return the tasks that have events, and for each the sums of its events, shape (6, n_tasks)."""
        if not self._tasks:
            return np.zeros(0, np.int64), np.zeros((2 + len(_PER_TASK), 0), np.int64)
        task, sums = np.concatenate(self._tasks), np.concatenate(self._sums, axis=1)
        first = np.flatnonzero(np.diff(task, prepend=task[0] - 1))
        return task[first], np.add.reduceat(sums, first, axis=1)


def _is(column: pa.ChunkedArray, word: str) -> Any:
    """Return 1 where a column of words in dictionaries has the given word and 0 elsewhere, shape (n_rows,)."""
    parts = []
    for chunk in column.chunks:
        code = chunk.dictionary.index(word).as_py()
        parts.append(
            np.zeros(len(chunk), np.int64) if code < 0 else (chunk.indices.to_numpy() == code).astype(np.int64)
        )
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _near(says: Any, is_: Any) -> bool:
    if says is None or is_ is None:
        return says is is_
    return bool(abs(says - is_) <= 1e-9 * max(1.0, abs(is_)))
