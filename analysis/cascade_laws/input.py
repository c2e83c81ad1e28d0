"""This module reads runs and imported logs, found at or below the paths given, into one event table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from agentsoc.errors import InputError
from agentsoc.log.below import is_run, runs_at
from agentsoc.log.imported import is_imported
from agentsoc.log.names import INPUTS
from agentsoc.log.read import RunLog
from agentsoc.scenario.files import BASE_DIR
from agentsoc.scenario.model import Scenario
from analysis.claims.attachment_offers import offers_of_debate
from analysis.importers import store
from analysis.tables import EventTable, concat, from_log


def read_tables(paths: Sequence[Path]) -> EventTable:
    """Return all executions of the logs at or below `paths`; `caveats` says what a reader must know about these logs.

    Raises:
        InputError: a path does not exist or holds no log, or the same log is given twice.
        LogDamagedError: a log is not what was written.
    """
    tables: list[EventTable] = []
    caveats: list[str] = []
    sources: Counter[str] = Counter()
    hint = "name run directories or imported logs; foreign logs come in by agentsoc import"
    for directory in runs_at(paths, is_one=_is_log, what="run and no imported log", hint=hint):
        imported = is_imported(directory)  # its own notes say what its parents are
        table, notes = _imported(directory) if imported else _own(directory)
        tables.append(table)
        caveats += notes
        if not imported:
            sources[str(RunLog(directory).manifest.scenario.get("parents", "cited"))] += 1
    told = [f"parents in {_runs(n)}: {_PARENTS.get(source, source)}" for source, n in sorted(sources.items())]
    return replace(concat(tables), caveats=(*told, *caveats))


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


def _own(directory: Path) -> tuple[EventTable, list[str]]:
    """Return one run of agentsoc; each of its tasks is an execution."""
    log = RunLog(directory)
    scenario, notes = log.manifest.scenario, []
    if log.manifest.status != "finished":
        notes.append(f"{directory.name}: this run is {log.manifest.status}; what it has so far is counted")
    frame = log.frame()
    if not frame.height:
        raise InputError("this run has no events yet", str(directory), f"go on with: agentsoc resume {directory}")
    own = BASE_DIR.set(directory / INPUTS)  # a file that it names is not looked for in the reader's directory
    try:
        log.inside.has_directory(INPUTS)
        offers = offers_of_debate(frame, Scenario.model_validate(scenario))
    except (InputError, ValueError):  # made with parts that are not installed here, or with files of its own
        offers = None
        notes.append(f"{directory.name}: its society cannot be built again here, so attention is not estimated")
    finally:
        BASE_DIR.reset(own)
    return from_log(
        frame if offers is None else frame.with_columns(offers),
        run=str(directory),
        topology=_kind(scenario.get("topology")),
        n_agents=_agents(scenario.get("agents")),
        seed=log.manifest.seed,
        benchmark=_kind(scenario.get("tasks")),
        task_names=_names(log.tasks()),
    ), notes


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
