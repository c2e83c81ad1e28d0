"""What `agentsoc metrics` reads and says: the coordination metrics, diversity and error amplification of some runs.

Comes in: run directories. Goes out: one `RunReport` each; `analysis.metrics_text` makes text and plain data of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from agentsoc.errors import InputError
from agentsoc.log.manifest import NAME as MANIFEST
from agentsoc.log.read import RunLog
from analysis.amplification import Amplification, Taint, a_task, a_trace, taint
from analysis.diversity import correlation
from analysis.diversity_logs import Diversity, diversity
from analysis.effective_votes import EffectiveVotes, votes_worth
from analysis.embeddings import Embedder
from analysis.information import information
from analysis.metrics import Measured, RunMetrics, episode_metrics, run_metrics
from analysis.outputs import outputs_of
from analysis.tables import from_log

DEPTH: Final = 2
"""Directories below a path in which runs are looked for."""


@dataclass(frozen=True)
class RunReport:
    """Everything that is said of one run."""

    run: str
    topology: str
    protocol: str
    n_agents: int
    """Agents that said something, or that the scenario counts."""
    tasks: str
    """Identity of the tasks: runs on the same ones can be compared task by task."""
    metrics: RunMetrics
    diversity: Diversity
    information: pl.DataFrame
    worth: EffectiveVotes | str
    """Effective votes, or why there are none."""
    failure: Amplification | None
    """A_task; None without a baseline."""
    taint: Taint
    trace: Amplification | None
    """A_trace; None without faults in the run and in the baseline."""
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Reports:
    """All runs, and what was compared with what."""

    runs: list[RunReport]
    baseline: str | None
    """The single agent's run."""
    notes: tuple[str, ...]

    def correlations(self) -> list[tuple[int, int, tuple[float, float, float]]]:
        """Return (agents, runs, correlation of team K* with majority accuracy) for teams of equal size and tasks."""
        found = []
        groups: dict[tuple[int, str], list[RunReport]] = {}
        for report in self.runs:
            groups.setdefault((report.n_agents, report.tasks), []).append(report)
        for (n, _), group in groups.items():
            k_stars = [np.nan if r.diversity.team is None else r.diversity.team for r in group]
            right = [_value(r.metrics["majority_correct"]) for r in group]
            if n > 1 and len(group) >= 4:
                found.append((n, len(group), correlation(k_stars, right)))
        return found


def _value(measured: Measured | None) -> float:
    return np.nan if measured is None else measured.value


def examine(
    paths: Sequence[Path],
    *,
    baseline: Path | None = None,
    embedder: Callable[[Path], Embedder] | None = None,
    centred: bool = False,
    seed: int = 0,
) -> Reports:
    """Return the reports on all runs at or below `paths`.

    Args:
        paths: run directories, or directories that hold some.
        baseline: the single agent's run; None for the one run with one agent among `paths`, where there is one.
        embedder: makes the embedder of a run from its directory; None for one-hot answers.
        centred: use the centred K*.
        seed: root of the resampling.

    Raises:
        InputError: there is no run at a path, or a run has no task that ended.
        LogDamagedError: a log is not what was written.
    """
    directories = [directory for path in paths for directory in _runs_below(path)]
    notes: list[str] = []
    single = baseline if baseline is not None else _single(directories, notes)
    reference = None if single is None else _Read(single)
    runs = []
    for directory in directories:
        read = reference if reference is not None and directory == single else _Read(directory)
        assert read is not None
        runs.append(_report(read, reference, None if embedder is None else embedder(directory), centred, seed))
    return Reports(runs, None if single is None else str(single), tuple(notes))


def _runs_below(path: Path) -> list[Path]:
    found = list(_walk(path, DEPTH)) if path.is_dir() else []
    if not found:
        what = "there is no run here" if path.is_dir() else "there is no such directory"
        raise InputError(what, str(path), "name run directories, or directories that hold some")
    return found


def _walk(directory: Path, depth: int) -> Iterator[Path]:
    if (directory / MANIFEST).is_file():
        yield directory
    elif depth:
        for below in sorted(p for p in directory.iterdir() if p.is_dir() and not p.is_symlink()):
            yield from _walk(below, depth - 1)


def _single(directories: Sequence[Path], notes: list[str]) -> Path | None:
    """Return the only run of a single agent, where there is exactly one and there are others."""
    alone = [directory for directory in directories if _counted(RunLog(directory)) == 1]
    if len(alone) == 1 and len(directories) > 1:
        return alone[0]
    if len(directories) > 1:
        why = "no run has a single agent" if not alone else f"{len(alone)} runs have a single agent"
        notes.append(f"{why}: overhead, efficiency and amplification need --baseline RUN")
    return None


def _counted(log: RunLog) -> int | None:
    """Return the number of agents that the scenario says, or None where the topology decides it."""
    if log.manifest.scenario.get("topology", {}).get("kind") == "single":
        return 1
    counts = [group.get("count") for group in log.manifest.scenario.get("agents", [])]
    return sum(counts) if counts and all(isinstance(count, int) for count in counts) else None


class _Read:
    """One run, read once."""

    def __init__(self, directory: Path) -> None:
        self.log = RunLog(directory)
        self.events = self.log.frame()
        self.tasks = self.log.tasks()
        questions = self.tasks.select("task", "question") if "question" in self.tasks.columns else None
        self.outputs = outputs_of(self.events, questions)
        self.episodes = episode_metrics(self.log)
        if not self.episodes.height:
            raise InputError(
                "no task has ended in this run", str(directory), f"go on with: agentsoc resume {directory}"
            )
        self.taint = taint(from_log(self.events, run=str(directory)))

    @property
    def choices(self) -> int:
        """Answers that every task offers; 0 where they offer different numbers or any text."""
        if "options" in self.tasks.columns:
            numbers = set(self.tasks["options"].list.len().to_list())
            return int(numbers.pop()) if len(numbers) == 1 else 0
        return int(self.log.manifest.scenario.get("tasks", {}).get("choices", 0))


def _report(read: _Read, single: _Read | None, embedder: Embedder | None, centred: bool, seed: int) -> RunReport:
    manifest, notes = read.log.manifest, []
    if manifest.status != "finished":
        notes.append(f"this run is {manifest.status}; the tasks that ended are counted")
    if read.log.episodes() is None:
        notes.append("no table of episodes: what is in no event (messages, virtual time) is not known")
    episodes = read.episodes
    found = diversity(read.outputs, embedder=embedder, centred=centred)
    if embedder is not None:
        words = found.questions.select("task", redundancy_embedded="redundancy", k_star_embedded="k_star")
        episodes = episodes.join(words, on="task", how="left", maintain_order="left")
    same = single is not None and single.log.manifest.tasks_hash == manifest.tasks_hash
    metrics = run_metrics(episodes, None if single is None else single.episodes, same_tasks=same, seed=seed)
    if single is not None and not metrics.paired:
        notes.append("the baseline has other tasks: compared as two samples, not task by task")
    worth: EffectiveVotes | str
    try:
        worth = votes_worth(read.events, read.choices, seed=seed)
    except InputError as error:
        worth = str(error.args[0])
    failure = None if single is None else a_task(read.episodes, single.episodes, same_tasks=same, seed=seed)
    traced = single is not None and read.taint.table.height and single.taint.table.height
    counted = _counted(read.log)
    seen = read.events.filter(pl.col("agent") >= 0)["agent"].n_unique()
    return RunReport(
        str(read.log.directory),
        str(manifest.scenario.get("topology", {}).get("kind", "")),
        str(manifest.scenario.get("protocol", {}).get("kind", "")),
        seen if counted is None else counted,
        manifest.tasks_hash,
        metrics,
        found,
        information(read.outputs, read.tasks) if {"task", "truth"} <= set(read.tasks.columns) else pl.DataFrame(),
        worth,
        failure,
        read.taint,
        a_trace(read.taint, single.taint, seed=seed) if traced and single is not None else None,
        tuple(notes),
    )
