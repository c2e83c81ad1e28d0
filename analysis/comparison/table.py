"""This module makes ``results.parquet``: one row per organisation, number of agents, task and seed.

Everything that the report says is computed from this table, so whoever doubts a figure can compute it again. The table
itself is derived: from the episode tables and event logs of the runs, each checked against its manifest.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import polars as pl

from agentsoc.errors import LogDamagedError
from agentsoc.log.comparison import CellRecord, ComparisonRecord, load_comparison_record
from agentsoc.log.cost import cost_by_task
from agentsoc.log.failures import failures_of
from agentsoc.log.first_answers import OneOption, one_options
from agentsoc.log.inside import Inside
from agentsoc.log.manifest import Manifest
from agentsoc.log.read import RunLog
from analysis.comparison.predicted import StoredOrganisation
from analysis.measures.episodes import episode_metrics

TABLE: Final = "results.parquet"
KEYS: Final = ("organisation", "n_agents", "tasks", "task", "seed")
_NOTHING: Final = {"organisation": pl.String, "n_agents": pl.Int64, "tasks": pl.String, "task": pl.Int64}


@dataclass
class CeilingUse:
    """The object says what a ceiling did to an organisation, and what was reserved for its prompts."""

    refused: int = 0
    """Turns that the ceiling refused."""
    prompts: dict[str, tuple[int, int]] = field(default_factory=dict)
    """How prompts were bounded -> what was reserved for them, and what they then had (tokens)."""

    def add(self, manifest: Manifest) -> None:
        """Take in a run."""
        self.refused += manifest.totals.events_by_kind.get("budget_exhausted", 0)
        for one in manifest.prompt_bounds:
            bound, used = self.prompts.get(one.counted, (0, 0))
            self.prompts[one.counted] = bound + one.bound, used + one.used


@dataclass(frozen=True)
class Results:
    """The object holds the finished runs of a comparison as one table, and says what is missing from it."""

    directory: Path
    record: ComparisonRecord
    table: pl.DataFrame
    missing: tuple[CellRecord, ...]
    """Runs that are not finished, or whose log cannot be used."""
    same_tasks: bool
    """Whether all seeds have the same tasks; otherwise each seed draws its own."""
    budgets: Mapping[str, int | None]
    """Per task block the ceiling of one task (tokens), for the baseline."""
    ceilings: Mapping[tuple[str, int], CeilingUse] = field(default_factory=dict)
    """What the ceiling did to each organisation (name and number of agents or budget), over all its runs."""
    failures: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """What the infrastructure said most often when it failed, by organisation and number of agents or budget."""
    options: Mapping[tuple[str, int], OneOption] = field(default_factory=dict)
    """By organisation and number of agents or budget, an option that takes nearly all its first answers in a run."""
    scenarios: Mapping[str, StoredOrganisation] = field(default_factory=dict)
    """With several budgets, each organisation as one of its runs has it."""

    @property
    def cluster(self) -> tuple[str, ...]:
        """Columns that together name a task: what is drawn independently, and so resampled as one."""
        return ("tasks", "task") if self.same_tasks else ("tasks", "seed", "task")

    @cached_property
    def at_budgets(self) -> bool:
        """Whether every organisation was run at several budgets."""
        return any(cell.budget is not None for cell in self.record.cells)

    @property
    def number(self) -> str:
        """The column that tells the members of one organisation apart."""
        return "budget" if self.at_budgets else "n_agents"

    @cached_property
    def sizes(self) -> dict[str, list[int]]:
        """Numbers of agents of each organisation, or its budgets where there are several, in order."""
        found: dict[str, list[int]] = {}
        for cell in self.record.cells:
            sizes = found.setdefault(cell.organisation, [])
            if number_of(cell) not in sizes:
                sizes.append(number_of(cell))
        return {name: sorted(found.get(name, [])) for name in self.record.organisations}

    @cached_property
    def counts(self) -> dict[str, int | None]:
        """For each label the number that it belongs to, of agents or the budget; None for one of fixed size."""
        return {
            self.label(cell.organisation, number_of(cell)): cell.count if cell.budget is None else cell.budget
            for cell in self.record.cells
        }

    @cached_property
    def agents(self) -> dict[str, int]:
        """Number of agents of each label."""
        return {self.label(cell.organisation, number_of(cell)): cell.n_agents for cell in self.record.cells}

    def label(self, organisation: str, number: int) -> str:
        """Return what a report calls an organisation: with its budget, or its agents where it comes in several."""
        if self.at_budgets:
            return f"{organisation} at {number:,}"
        return f"{organisation} n={number}" if len(self.sizes[organisation]) > 1 else organisation

    @cached_property
    def members(self) -> dict[str, tuple[str, int]]:
        """Every label with its organisation and its number of agents or budget, in the order of the comparison."""
        return {self.label(name, n): (name, n) for name, sizes in self.sizes.items() for n in sizes}

    def rows_of(self, label: str) -> pl.Expr:
        """Return the condition for the rows of a label in the table."""
        name, number = self.members[label]
        return (pl.col("organisation") == name) & (pl.col(self.number) == number)


def number_of(cell: CellRecord) -> int:
    """Return what tells a cell from others of its organisation: its budget where there are several, else its agents."""
    return cell.n_agents if cell.budget is None else cell.budget


def read_results(directory: Path) -> Results:
    """Return the results of the comparison in a directory.

    Raises:
        LogDamagedError: the record is not what was written, or runs that are to be pairs are on different tasks.
    """
    record = load_comparison_record(directory)
    frames: list[pl.DataFrame] = []
    missing: list[CellRecord] = []
    hashes: dict[tuple[str, int], str] = {}
    budgets: dict[str, int | None] = {}
    ceilings: dict[tuple[str, int], CeilingUse] = {}
    failures: dict[tuple[str, int], str] = {}
    scenarios: dict[str, StoredOrganisation] = {}
    options: dict[tuple[str, int], OneOption] = {}
    dials = {dial.organisation: dial.dial for dial in record.dials}
    inside = Inside(directory)
    finished = [cell for cell in record.cells if cell.status == "finished"]
    missing += [cell for cell in record.cells if cell.status != "finished"]
    for cell in finished:
        inside.has_directory(cell.run)  # raises where a link leads out of the directory
        run = _read_run(directory / cell.run, cell)
        if run.fault:
            missing.append(cell.model_copy(update={"status": "failed", "error": run.fault}))
            continue
        tasks_hash = hashes.setdefault((cell.tasks, cell.seed), run.tasks_hash)
        if tasks_hash != run.tasks_hash:
            raise LogDamagedError(
                f"{cell.id} is on other tasks than the other organisations with tasks {cell.tasks}, seed {cell.seed}",
                str(directory / cell.run),
                "remove that run and call compare again",
            )
        assert run.manifest is not None
        ceilings.setdefault((cell.organisation, number_of(cell)), CeilingUse()).add(run.manifest)
        if cell.organisation == record.baseline:
            budgets[cell.tasks] = run.budget
        if run.failure:
            failures.setdefault((cell.organisation, number_of(cell)), run.failure)
        if run.option is not None:
            options.setdefault((cell.organisation, number_of(cell)), run.option)
        if cell.budget is not None and cell.organisation not in scenarios:
            own = dict(run.manifest.scenario)
            scenarios[cell.organisation] = StoredOrganisation(own, cell.n_agents, dials.get(cell.organisation, ""))
        frames.append(run.table)
    table = pl.concat(frames) if frames else pl.DataFrame(schema=_NOTHING)
    return Results(
        directory, record, table, tuple(missing), _same(hashes), budgets, ceilings, failures, options, scenarios
    )


def save_table(results: Results) -> Path:
    """Write the table beside the runs, whole or not at all, and return its path."""
    sink = io.BytesIO()
    results.table.write_parquet(sink, compression="zstd", statistics=True)
    Inside(results.directory).write(TABLE, sink.getvalue())
    return results.directory / TABLE


@dataclass(frozen=True)
class _Run:
    """The object holds what was read of one run."""

    table: pl.DataFrame
    tasks_hash: str = ""
    budget: int | None = None
    fault: str = ""
    manifest: Manifest | None = None
    failure: str = ""
    """What the infrastructure said most often when it failed."""
    option: OneOption | None = None
    """An option that takes nearly all first answers of a group."""


def _read_run(directory: Path, cell: CellRecord) -> _Run:
    """Return the rows of one run; a log that cannot be used is a fault of that run, not of the comparison."""
    try:
        log = RunLog(directory)
        manifest = log.manifest
        if manifest.status != "finished" or manifest.scenario_hash != cell.scenario_hash:
            return _Run(pl.DataFrame(), fault="the run is not the one that was finished here")
        episodes = _with_cost(episode_metrics(log), log)
    except LogDamagedError as error:
        return _Run(pl.DataFrame(), fault=str(error))
    budget = episodes["budget"].max()
    most = failures_of(log).get("infrastructure")
    return _Run(
        _columns(episodes, cell), manifest.tasks_hash, budget if isinstance(budget, int) else None, "", manifest,
        "" if most is None else most.text, next(iter(one_options(log)), None),
    )  # fmt: skip


def _with_cost(episodes: pl.DataFrame, log: RunLog) -> pl.DataFrame:
    """Return the rows with what each task cost by the scenario's prices; null where a model has no price."""
    costs = cost_by_task(log)
    if costs is None:
        return episodes.with_columns(cost=pl.lit(None, pl.Float64))
    return episodes.join(costs, on="task", how="left", maintain_order="left")


def _columns(episodes: pl.DataFrame, cell: CellRecord) -> pl.DataFrame:
    """Return the rows of one run with the columns of the table."""
    keys: dict[str, Any] = {
        "organisation": pl.lit(cell.organisation),
        "n_agents": pl.lit(cell.n_agents, pl.Int64),
        "tasks": pl.lit(cell.tasks),
        "seed": pl.lit(cell.seed, pl.Int64),
    }
    if cell.budget is not None:
        keys["budget"] = pl.lit(cell.budget, pl.Int64)
    rows = episodes.with_columns(**keys)
    rest = [name for name in rows.columns if name not in KEYS]
    return rows.select(*KEYS, *rest)


def _same(hashes: Mapping[tuple[str, int], str]) -> bool:
    """Return whether every seed of a task block has the same tasks."""
    distinct = Counter(tasks for tasks, _ in {(tasks, digest): None for (tasks, _), digest in hashes.items()})
    return all(often == 1 for often in distinct.values())
