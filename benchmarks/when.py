"""The parts of the study "When is a society worth its tokens?": its files, what they take, and what is kept of them.

Of each finished comparison three files are kept under `benchmarks/results/study`: its record, with the digest of every
run; its table, one row a task; and what it was made with. The report follows from them, so that nobody who doubts a
figure needs the runs.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import polars as pl

import analysis
from agentsoc.errors import InputError
from agentsoc.experiment.grid import Grid, load_grid
from agentsoc.log.comparison import FILE, load_comparison_record
from agentsoc.log.read import RunLog
from agentsoc.scenario.given import placed
from analysis.comparison.report import Report
from analysis.comparison.table import TABLE, Results, read_results

ROOT: Final = Path(__file__).parent.parent
SCENARIOS: Final = ROOT / "scenarios" / "study"
RESULTS: Final = Path(__file__).parent / "results" / "study"
PILOT: Final = "pilot"
DEBATE: Final = "debate"
PLACEBO: Final = "placebo"
PARTS: Final = ("sums-0.5b", "orders-0.5b", "shelves-1.5b", "sentiment-smollm2", "choice-1.5b")
"""The comparisons, in the order in which they are made; each is a file in `scenarios/study`."""
MADE: Final = "made.json"

SPEEDS: Final = {"smollm2": (163.0, 46.0), "qwen2.5-coder-0.5b": (75.0, 12.0), "qwen2.5-coder-1.5b": (36.0, 7.5)}
"""Tokens of prompt and of reply in a second of one core (docs/providers.md)."""
MACHINE: Final = "one core of a shared x86-64 machine with two, no accelerator"


@dataclass
class Part:
    """A finished comparison of the study: its table, and what it took."""

    name: str
    results: Results
    made: dict[str, Any]

    @cached_property
    def report(self) -> Report:
        """The report, worked out from the table when it is first asked for."""
        return analysis.compare(self.results)

    @property
    def about(self) -> str:
        """What it is about: the description of its file without the question of the study."""
        said = self.results.record.description
        return said.partition("? ")[2] or said or self.name


def file_of(name: str) -> Path:
    """Return the file of a comparison of the study."""
    return SCENARIOS / f"{name}.yaml"


def grid_of(name: str) -> Grid:
    """Return what a file of the study asks for."""
    path = file_of(name)
    with placed(path):
        return load_grid(path)


def model_of(grid: Grid) -> str:
    """Return the name of the model of a comparison: a file's, or that of its kind."""
    said = grid.cells[0].scenario.agents[0].model.model_dump()
    kind = str(said["kind"])
    return str(said.get("file") or "smollm2") if kind == "local" else kind


def cpu_hours(model: str, tokens_in: int, tokens_out: int) -> float | None:
    """Return the hours of one core that a model takes for so many tokens; None of a model whose speed is not known."""
    if model not in SPEEDS:
        return None
    ahead, back = SPEEDS[model]
    return (tokens_in / ahead + tokens_out / back) / 3600


def keep(name: str, directory: Path, root: Path = RESULTS, asked: Grid | None = None) -> Path:
    """Keep what a finished comparison gave, and return where.

    Args:
        name: the comparison.
        directory: where it was made.
        root: directory of what is kept.
        asked: what it has to be a comparison of; left out, what the study's file of that name asks for.

    Raises:
        InputError: it is not finished, or it is another comparison.
        LogDamagedError: its record or its runs are not what was written.
    """
    grid = grid_of(name) if asked is None else asked
    results = read_results(directory)
    if results.record.hash != grid.hash:
        raise InputError(f"this is not the comparison {name}", str(directory), "its file asks for something else")
    if results.missing:
        some = ", ".join(cell.id for cell in results.missing[:3])
        raise InputError(f"{len(results.missing)} runs are not finished, such as {some}", str(directory), "go on first")
    target = root / name
    target.mkdir(parents=True, exist_ok=True)
    results.table.write_parquet(target / TABLE, compression="zstd", compression_level=19, statistics=False)
    (target / FILE).write_bytes((directory / FILE).read_bytes())
    made = made_of(results, model_of(grid)) | {"guess": guess_of(grid)}
    made["table_sha256"] = hashlib.sha256((target / TABLE).read_bytes()).hexdigest()
    (target / MADE).write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    return target


def guess_of(grid: Grid) -> dict[str, Any]:
    """Return what guessing scores on the tasks of a comparison, and the answer that is right most often."""
    scenario = grid.cells[0].scenario
    tasks = [scenario.tasks.make(scenario.tasks_seed, n) for n in range(scenario.tasks.count or 0)]
    (answer, n), *_ = Counter(str(task.truth) for task in tasks).most_common(1)
    chance = sum(task.chance for task in tasks) / len(tasks)
    return {"chance": round(chance, 4), "answer": answer, "share": round(n / len(tasks), 4)}


def made_of(results: Results, model: str) -> dict[str, Any]:
    """Return what a comparison was made with, and what it took."""
    first = RunLog(results.directory / results.record.cells[0].run).manifest
    sums = {name: int(results.table[name].sum()) for name in ("calls", "tokens_in", "tokens_out")}
    hours = cpu_hours(model, sums["tokens_in"], sums["tokens_out"])
    versions = {name: first.versions[name] for name in ("agentsoc", "python", "xllamacpp") if name in first.versions}
    return {
        "model": model,
        "models": [{key: one[key] for key in ("kind", "model", "sha256") if key in one} for one in first.models],
        **sums,
        "cpu_hours": None if hours is None else round(hours, 2),
        "machine": MACHINE,
        "versions": versions,
    }


def kept(name: str, root: Path = RESULTS) -> Part | None:
    """Return a part from what is kept of it; None where nothing is.

    Raises:
        LogDamagedError: the record is not what was written.
        InputError: the table is not the one that was kept.
    """
    directory = root / name
    if not (directory / FILE).exists():
        return None
    made = json.loads((directory / MADE).read_text(encoding="utf-8"))
    content = (directory / TABLE).read_bytes()
    if hashlib.sha256(content).hexdigest() != made["table_sha256"]:
        raise InputError("the table is not the one that was kept", str(directory / TABLE), "keep the comparison again")
    record = load_comparison_record(directory)
    table = pl.read_parquet(content)
    base = table.filter(pl.col("organisation") == record.baseline)
    budgets = {str(tasks): own["budget"].max() for (tasks,), own in base.group_by("tasks", maintain_order=True)}
    results = Results(directory, record, table, (), True, budgets)  # type: ignore[arg-type]  # one seed, so one set
    return Part(name, results, made)


def parts(root: Path = RESULTS) -> list[Part]:
    """Return the finished parts of the study, in its order."""
    return [part for name in PARTS if (part := kept(name, root)) is not None]
