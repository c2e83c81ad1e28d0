"""This module reads runs for `agentsoc metrics` and reports coordination metrics, diversity and error amplification.

Comes in: run directories. Goes out: one `RunReport` each; `analysis.measures.text` makes text and plain data of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from agentsoc.errors import InputError
from agentsoc.log.below import is_run, runs_at
from agentsoc.log.first_answers import one_options
from agentsoc.log.imported import is_imported
from agentsoc.log.read import RunLog
from analysis.blocks import blocks, frame_of
from analysis.interval import Interval
from analysis.measures.acting import acting
from analysis.measures.amplification import Taint, a_task, a_trace, taint
from analysis.measures.categories import categories_of
from analysis.measures.commons import shared_resource
from analysis.measures.cooperation import cooperation
from analysis.measures.diversity import correlation
from analysis.measures.diversity_logs import LabelDiversity, diversity, label_questions
from analysis.measures.effective_votes import EffectiveVotes, lone_votes, worth_of
from analysis.measures.embeddings import Embedder
from analysis.measures.episodes import EVENTS_USED, EpisodeReading, run_metrics
from analysis.measures.exchange import exchange_of
from analysis.measures.failures import failed_text
from analysis.measures.imported import report_of_import
from analysis.measures.independence import IndependentVotes
from analysis.measures.influence import influence_of, replies_or_why
from analysis.measures.information import Information
from analysis.measures.judging import agreement
from analysis.measures.outputs import outputs_of, together
from analysis.measures.run_report import RunReport
from analysis.measures.standing import standing_of
from analysis.measures.team_size import SizedRun, TeamSize, laws_of, setting_of
from analysis.measures.uneven import uneven_tokens
from analysis.tables import from_log


@dataclass(frozen=True)
class Reports:
    """The object holds the reports of all runs, and says what was compared with what."""

    runs: list[RunReport]
    """One report a run, in the order found."""
    baseline: str | None
    """The single agent's run."""
    notes: tuple[str, ...]
    """What a reader must know of all of them."""

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

    def team_sizes(self) -> list[tuple[str, TeamSize]]:
        """Return the law of team size of each setting that was run with several numbers of agents."""
        return list(
            laws_of(
                (report.setting, f"{report.topology}, {report.protocol}", SizedRun(votes, report.tasks))
                for report in self.runs
                if isinstance(votes := report.exchange.votes, IndependentVotes)
            )
        )


def _value(measured: Interval | None) -> float:
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
    hint = "name run directories or imported logs, or directories that hold some"
    directories = runs_at(paths, is_one=lambda one: is_run(one) or is_imported(one), what="run", hint=hint)
    notes: list[str] = []
    own = [directory for directory in directories if not is_imported(directory)]
    if embedder is not None and len(own) < len(directories):
        raise InputError(
            "texts of imported logs are not embedded", "--embed", "leave the option out, or name runs alone"
        )
    single = baseline if baseline is not None else _single(own, notes)
    texts = embedder is not None
    reference = None if single is None else _Read(single, texts=texts, centred=centred)
    runs = []
    for directory in directories:
        if is_imported(directory):
            runs.append(report_of_import(directory, centred=centred, seed=seed))
            continue
        read = reference if reference is not None and directory == single else None
        read = read or _Read(directory, texts=texts, centred=centred)
        runs.append(_report(read, reference, None if embedder is None else embedder(directory), centred, seed))
    return Reports(runs, None if single is None else str(single), tuple(notes))


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
    """The object reads one run once, block by block of whole tasks."""

    def __init__(self, directory: Path, *, texts: bool, centred: bool) -> None:
        """Read it.

        Args:
            directory: the run.
            texts: keep what agents said: it is going to be embedded.
            centred: use the centred K*.
        """
        self.log = RunLog(directory)
        self.tasks = self.log.tasks()
        episodes = EpisodeReading(self.log)
        labels = LabelDiversity(centred=centred)
        self.information = Information(self.tasks) if {"task", "truth"} <= set(self.tasks.columns) else None
        lone, faults, said, standing = [], [], [], []
        agents = np.zeros(0, np.int64)
        n_tasks = 0
        for block in blocks(self.log):
            events = frame_of(block, EVENTS_USED)
            outputs = outputs_of(events, episodes.questions)
            votes = outputs.coded
            questions = labels.add(votes)
            episodes.add(events, outputs, label_questions(votes) if centred else questions)
            if self.information is not None:
                self.information.add(votes)
            lone.append(lone_votes(events))
            standing.append(standing_of(outputs))
            faults.append(self._taint(block, events, n_tasks))
            if texts:
                said.append(outputs.table)
            agents = np.union1d(agents, events["agent"].unique().to_numpy())
            n_tasks += events["task"].n_unique()
        self.from_events = episodes.from_events
        self.episodes = episodes.result()
        if not self.episodes.height:
            raise InputError(
                "no task has ended in this run", str(directory), f"go on with: agentsoc resume {directory}"
            )
        self.labels = labels.result()
        self.said = together(said)
        self.lone = pl.concat(lone).rechunk()
        self.standing = pl.concat(standing).rechunk()
        self.taint = Taint(pl.concat(faults).rechunk())
        self.n_agents = int((agents >= 0).sum())

    def _taint(self, block: pa.Table, events: pl.DataFrame, before: int) -> pl.DataFrame:
        """Return the rows of `Taint.table` for a block; most runs have no fault, and then nothing is looked at."""
        faulty = events.filter(pl.col("kind") == "fault")["task"].unique()
        whole = frame_of(block if faulty.len() else block.slice(0, 0))
        kept = whole.filter(pl.col("task").is_in(faulty.implode()))
        found = taint(from_log(kept, run=str(self.log.directory))).table
        places = events["task"].unique().sort()
        return found.with_columns(execution=places.search_sorted(found["task"]).cast(pl.Int64) + before)

    @property
    def choices(self) -> int:
        """Answers that every task offers; 0 where they offer different numbers or any text."""
        if "options" in self.tasks.columns:
            numbers = self.tasks["options"].list.len().unique()
            return int(numbers[0]) if numbers.len() == 1 else 0
        return int(self.log.manifest.scenario.get("tasks", {}).get("choices", 0))


def _report(read: _Read, single: _Read | None, embedder: Embedder | None, centred: bool, seed: int) -> RunReport:
    manifest, notes = read.log.manifest, []
    if manifest.status != "finished":
        notes.append(f"this run is {manifest.status}; the tasks that ended are counted")
    if read.from_events:
        notes.append("no table of episodes: what is in no event (messages, virtual time) is not known")
    episodes = read.episodes
    if failed := failed_text(episodes):
        notes.append(failed)
    notes += [one.text() for one in one_options(read.log)]
    if "tokens" in episodes.columns and (uneven := uneven_tokens(episodes)):
        notes.append(uneven)
    found = read.labels if embedder is None else diversity(read.said, embedder=embedder, centred=centred)
    if embedder is not None:
        words = found.questions.select("task", redundancy_embedded="redundancy", k_star_embedded="k_star")
        episodes = episodes.join(words, on="task", how="left", maintain_order="left")
    same = single is not None and single.log.manifest.tasks_hash == manifest.tasks_hash
    metrics = run_metrics(episodes, None if single is None else single.episodes, same_tasks=same, seed=seed)
    if single is not None and not metrics.paired:
        notes.append("the baseline has other tasks: compared as two samples, not task by task")
    worth: EffectiveVotes | str
    try:
        worth = worth_of(read.lone, read.choices, seed=seed)
    except InputError as error:
        worth = str(error.args[0])
    failure = None if single is None else a_task(read.episodes, single.episodes, same_tasks=same, seed=seed)
    heard = replies_or_why(read.log)
    if isinstance(heard, str):
        notes.append(heard)
    replies = None if isinstance(heard, str) else heard
    traced = single is not None and read.taint.table.height and single.taint.table.height
    counted = _counted(read.log)
    return RunReport(
        str(read.log.directory),
        str(manifest.scenario.get("topology", {}).get("kind", "")),
        str(manifest.scenario.get("protocol", {}).get("kind", "")),
        read.n_agents if counted is None else counted,
        rounds if isinstance(rounds := manifest.scenario.get("protocol", {}).get("rounds"), int) else None,
        manifest.tasks_hash,
        setting_of(manifest.scenario),
        metrics,
        found,
        pl.DataFrame() if read.information is None else read.information.result(),
        worth,
        failure,
        read.taint,
        a_trace(read.taint, single.taint, seed=seed) if traced and single is not None else None,
        agreement(read.log, seed=seed),
        None if replies is None else influence_of(replies, seed=seed),
        exchange_of(read.standing, read.episodes, replies, seed=seed),
        acting(read.log, seed=seed),
        shared_resource(read.log, seed=seed) or cooperation(read.log, seed=seed),
        tuple(notes),
        categories_of(read.log, read.episodes, seed=seed),
    )
