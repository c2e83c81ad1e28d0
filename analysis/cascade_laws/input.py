"""This module reads runs and imported logs, found at or below the paths given, into one event table.

Large runs stay on disk (`LongTable`): what is asked of their events is answered part by part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from agentsoc.errors import InputError
from agentsoc.log.below import is_run, runs_at
from agentsoc.log.imported import is_imported
from agentsoc.log.names import INPUTS
from agentsoc.log.read import RunLog
from agentsoc.scenario.files import BASE_DIR, use_kept
from agentsoc.scenario.model import Scenario
from analysis.blocks import BLOCK_ROWS, blocks, frame_of
from analysis.cascade_laws.long_table import LongTable
from analysis.claims.attachment_offers import heard_in_debate, offers_to
from analysis.importers import store
from analysis.tables import EventTable, concat, executions_of, from_log, require_once

LONG: Final = 1 << 20
"""Events beyond which runs are not read into memory whole."""


def read_tables(paths: Sequence[Path]) -> EventTable:
    """Return all executions of the logs at or below `paths`; `caveats` says what a reader must know about these logs.

    Raises:
        InputError: a path does not exist or holds no log, or the same log is given twice.
        LogDamagedError: a log is not what was written.
    """
    return _read(_logs(paths))


def open_tables(paths: Sequence[Path]) -> EventTable | LongTable:
    """Return the same; runs of together more than `LONG` events stay on disk, unless there are imported logs as well.

    Raises:
        InputError: a path does not exist or holds no log, or the same log is given twice.
        LogDamagedError: a log is not what was written.
    """
    directories = _logs(paths)
    if any(is_imported(directory) for directory in directories):
        return _read(directories)
    runs = [RunLog(directory) for directory in directories]
    if sum(segment.rows for log in runs for segment in log.segments) <= LONG:
        return _read(directories)
    opened = [OwnRun(log) for log in runs]
    executions = pl.concat([run.executions() for run in opened], how="diagonal_relaxed")
    require_once(executions)
    numbered = executions.with_columns(execution=pl.int_range(pl.len(), dtype=pl.Int64))
    sources = Counter(run.parents for run in opened)
    notes = [note for run in opened for note in run.notes]
    return LongTable(numbered, lambda: _parts(opened), (*_told(sources), *notes))


def _logs(paths: Sequence[Path]) -> list[Path]:
    hint = "name run directories or imported logs; foreign logs come in by agentsoc import"
    return list(runs_at(paths, is_one=_is_log, what="run and no imported log", hint=hint))


def _read(directories: Sequence[Path]) -> EventTable:
    tables: list[EventTable] = []
    caveats: list[str] = []
    sources: Counter[str] = Counter()
    for directory in directories:
        if is_imported(directory):  # its own notes say what its parents are
            table, notes = _imported(directory)
        else:
            run = OwnRun(RunLog(directory))
            table, notes = run.whole(), run.notes
            sources[run.parents] += 1
        tables.append(table)
        caveats += notes
    return replace(concat(tables), caveats=(*_told(sources), *caveats))


def _parts(runs: Sequence[OwnRun]) -> Iterator[EventTable]:
    """Yield the events of runs as tables of some `BLOCK_ROWS` rows; small runs share one."""
    waiting: list[EventTable] = []
    for run in runs:
        for table in run.parts():
            waiting.append(table)
            if sum(one.n_events for one in waiting) >= BLOCK_ROWS:
                yield concat(waiting)
                waiting = []
    if waiting:
        yield concat(waiting)


def _told(sources: Counter[str]) -> list[str]:
    return [f"parents in {_runs(n)}: {_PARENTS.get(source, source)}" for source, n in sorted(sources.items())]


_PARENTS: Final = {
    "cited": "cited, the claims that agents say they used or dispute",
    "visible": "visible, every claim that agents were shown, whether they used it or not",
    "inferred": "inferred, the shown claims that agents changed their answer to or kept it against; agreement by "
    "chance counts as well",
}
"""What the parents of claims are, by their source; the laws of cascades hold for the source that they are told of."""


def _runs(n: int) -> str:
    return "1 run" if n == 1 else f"{n:,} runs"


def _is_log(directory: Path) -> bool:
    return is_run(directory) or is_imported(directory)


def _imported(directory: Path) -> tuple[EventTable, list[str]]:
    """Return an imported log with its notes."""
    table, about = store.load(directory)
    rules = ", ".join(f"{name} {value}" for name, value in about.rules.items())
    origin = f"{directory.name}: imported from {about.importer}" + (f" ({rules})" if rules else "")
    return table, [origin, *(f"{directory.name}: {note}" for note in about.notes)]


class OwnRun:
    """One run of agentsoc as tables of events; each of its tasks is an execution."""

    def __init__(self, log: RunLog) -> None:
        """Look at what the events need of the run's scenario; no event is read."""
        self._log = log
        scenario = log.manifest.scenario
        self.parents = str(scenario.get("parents", "cited"))
        """The source of the parents of claims."""
        self.notes: list[str] = []
        """What a reader must know of this run."""
        if log.manifest.status != "finished":
            status = log.manifest.status
            self.notes.append(f"{log.directory.name}: this run is {status}; what it has so far is counted")
        self._heard = self._heard_in_debate()
        self._about: dict[str, Any] = {
            "run": str(log.directory),
            "topology": _kind(scenario.get("topology")),
            "n_agents": _agents(scenario.get("agents")),
            "seed": log.manifest.seed,
            "benchmark": _kind(scenario.get("tasks")),
            "task_names": _names(log.tasks()),
        }

    def whole(self) -> EventTable:
        """Return all events."""
        frame = self._log.frame()
        self._require(frame.height)
        return self._table(frame)

    def parts(self) -> Iterator[EventTable]:
        """Yield the events as tables of whole tasks, in order."""
        for block in blocks(self._log):
            yield self._table(frame_of(block))

    def executions(self) -> pl.DataFrame:
        """Return the executions, from a few columns of the events."""
        columns = ("task", "agent", "kind")
        found = [executions_of(frame_of(block, columns), **self._about) for block in blocks(self._log, columns=columns)]
        self._require(len(found))
        return pl.concat(found)

    def _table(self, events: pl.DataFrame) -> EventTable:
        if self._heard is not None:
            events = events.with_columns(offers_to(events, self._heard))
        return from_log(events, **self._about)

    def _require(self, events: int) -> None:
        where = str(self._log.directory)
        if not events:
            raise InputError("this run has no events yet", where, f"go on with: agentsoc resume {where}")

    def _heard_in_debate(self) -> Sequence[Sequence[int]] | None:
        """Return whom each agent heard, where what it could choose from follows from that."""
        own = use_kept(self._log.directory / INPUTS)  # what it names is not looked for in the reader's directory
        try:
            self._log.inside.has_directory(INPUTS)
            return heard_in_debate(Scenario.model_validate(self._log.manifest.scenario))
        except (InputError, ValueError):  # made with parts that are not installed here, or with files of its own
            name = self._log.directory.name
            self.notes.append(f"{name}: its society cannot be built again here, so attention is not estimated")
            return None
        finally:
            BASE_DIR.reset(own)


def _names(tasks: pl.DataFrame) -> dict[int, str]:
    """Return the name of each task; tasks that a family makes from the seed alone have none."""
    if not {"task", "id"} <= set(tasks.columns):
        return {}
    return dict(zip(tasks["task"].to_list(), tasks["id"].cast(pl.String).to_list(), strict=True))


def _kind(part: Any) -> str | None:
    """Return the kind of a part of a stored scenario."""
    return str(part["kind"]) if isinstance(part, dict) and "kind" in part else None


def _agents(groups: Any) -> int | None:
    """Return the number of agents, or None where the scenario leaves it open."""
    counts = [group.get("count") if isinstance(group, dict) else None for group in groups or []]
    known = [int(count) for count in counts if isinstance(count, int)]
    return sum(known) if known and len(known) == len(counts) else None
