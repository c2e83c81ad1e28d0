"""This module measures what an organisation spends on coordinating, per task and per run (arXiv 2512.08296).

`episode_metrics` gives one row per task of a run: the table of episodes that the engine wrote, and what its events say
of the votes. `run_metrics` makes the numbers of a run out of them, each with an interval over tasks:

    overhead O        100 (T - T_single) / T_single, with T = turns, tokens or time     (%)
    efficiency E_c    S / (T / T_single), with T = turns
    message density   broadcasts or deliveries per turn
    success           1000 S / mean tokens: score per thousand tokens

A single agent's run on the same tasks is the baseline of the first two. Definitions, and what is wrong with some that
were published, are in docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from agentsoc.errors import InputError
from agentsoc.events import SOCIETY
from agentsoc.log.episodes import MEASURES
from agentsoc.log.episodes import SCHEMA as EPISODE_SCHEMA
from agentsoc.log.read import RunLog
from agentsoc.log.schema import SCHEMA as EVENT_SCHEMA
from agentsoc.streams import stream
from analysis.blocks import blocks, frame_of
from analysis.interval import Interval
from analysis.measures.ballots import ballot_metrics
from analysis.measures.diversity_logs import diversity, label_questions
from analysis.measures.embeddings import Embedder
from analysis.measures.failures import FAILED_COLUMNS, with_failures
from analysis.measures.outputs import F64, Outputs, outputs_of
from analysis.measures.outputs import together as outputs_together
from analysis.resampling import drawn
from analysis.stats.bootstrap import expanded_tail

SLOT_WIDTH: Final = 64
"""Acts that one turn may number (see docs/log-format.md)."""
DRAWS: Final = 1000
"""Resamples of the tasks behind an interval."""

EVENTS_USED: Final = (
    *("task", "round", "agent", "k", "kind", "parents", "subtask", "answer", "correct", "text"),
    *("calls", "tokens_in", "tokens_cached", "tokens_out"),
)
"""Columns of the events that the metrics look at."""

EPISODE_COLUMNS: Final = (
    *MEASURES,
    *("claims_due", "claims_left_out"),
    *("tokens", "budget_left", "wall_s", "message_density_broadcasts", "message_density_deliveries"),
    *("n_voters", "n_answers", "consensus", "disagreement", "vote_entropy", "voter_accuracy", "majority_correct"),
    *("information_gain", "redundancy", "k_star"),
    *FAILED_COLUMNS,
    "tool_calls",
)
"""Columns of `episode_metrics`; with an embedder also `redundancy_embedded` and `k_star_embedded`."""


def episode_metrics(run: RunLog | Path | str, *, embedder: Embedder | None = None) -> pl.DataFrame:
    """Return one row per task: the run's table of episodes and what its events say of the votes.

    A run that has no such table (not finished, or of an earlier version) gives the tasks that ended, with what the
    events say; what is in no event (broadcasts, deliveries, virtual_s) is null then.

    Args:
        run: a run, or its directory.
        embedder: makes vectors of what agents said, for the two columns of embedded texts.

    Raises:
        LogDamagedError: the log is not what was written.
    """
    log = run if isinstance(run, RunLog) else RunLog(run)
    reading, said = EpisodeReading(log), []
    for block in blocks(log):
        events = frame_of(block, EVENTS_USED)
        outputs = outputs_of(events, reading.questions)
        reading.add(events, outputs, label_questions(outputs.coded))
        if embedder is not None:
            said.append(outputs.table)
    found = reading.result()
    if embedder is None:
        return found
    words = diversity(outputs_together(said), embedder=embedder).questions
    embedded = words.select("task", redundancy_embedded="redundancy", k_star_embedded="k_star")
    return found.join(embedded, on="task", how="left", maintain_order="left")


class EpisodeReading:
    """The object makes `episode_metrics` of a log that is read in blocks of whole tasks."""

    def __init__(self, log: RunLog) -> None:
        """Begin."""
        self._log, self._stored = log, log.episodes()
        self.from_events = self._stored is None
        """Whether there is no table of episodes, so that they are read from the events."""
        tasks = log.tasks()
        self.questions = tasks.select("task", "question") if "question" in tasks.columns else None
        """The questions; tasks that a family makes from the seed alone have none on disk."""
        self._budget = _budget(log)
        self._parts: list[pl.DataFrame] = []

    def add(self, events: pl.DataFrame, said: Outputs, questions: pl.DataFrame) -> None:
        """Take in a block.

        Args:
            events: its rows, with the columns `EVENTS_USED`.
            said: what agents said in it.
            questions: rows of `analysis.measures.diversity_logs.label_questions` for it.
        """
        if self._stored is None:
            episodes = episodes_from_events(events, self._budget)
        else:
            first, last = events["task"][0], events["task"][-1]
            start, end = np.searchsorted(self._stored["task"].to_numpy(), [first, last + 1]).tolist()
            episodes = self._stored[start:end]
        voted = with_votes(episodes, said, questions["task", "k_star"])
        self._parts.append(with_tool_calls(with_failures(voted, events), events))

    def result(self) -> pl.DataFrame:
        """Return the columns `EPISODE_COLUMNS` of all blocks."""
        if not self._parts:
            nothing = outputs_of(frame_of(EVENT_SCHEMA.empty_table()))
            empty = pl.from_arrow(EPISODE_SCHEMA.empty_table())
            assert isinstance(empty, pl.DataFrame)
            voted = with_votes(empty if self._stored is None else self._stored, nothing)
            none = frame_of(EVENT_SCHEMA.empty_table())
            self._parts.append(with_tool_calls(with_failures(voted, none), none))
        found = pl.concat(self._parts).rechunk()
        found = found.join(_wall(self._log), on="task", how="left", maintain_order="left")
        return found.select(EPISODE_COLUMNS)


def with_tool_calls(episodes: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Return `episodes` with the column `tool_calls`: calls of tools in the task, those that failed among them (calls).

    Args:
        episodes: one row per task.
        events: of these tasks, with the columns task and kind.
    """
    made = events.filter(pl.col("kind").cast(pl.String) == "tool_call")
    counts = made.group_by("task").agg(tool_calls=pl.len().cast(pl.Int64))
    joined = episodes.join(counts, on="task", how="left", maintain_order="left")
    return joined.with_columns(pl.col("tool_calls").fill_null(0))


def with_votes(episodes: pl.DataFrame, said: Outputs, k_star: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return `episodes` with all columns of `EPISODE_COLUMNS` that follow from them and from what agents said.

    Args:
        episodes: rows as in the table of episodes, increasing by task.
        said: outputs of the same tasks; those of other tasks are left out.
        k_star: columns task and k_star of `said` by one-hot answers, where they are known already.
    """
    tasks = episodes["task"].to_numpy()
    kept = said
    if not np.isin(said.coded.tasks, tasks).all():
        kept = Outputs(said.table.join(episodes.select("task"), on="task", how="semi", maintain_order="left"))
    if k_star is None:
        k_star = label_questions(kept.coded)["task", "k_star"]
    votes = ballot_metrics(kept, tasks).join(k_star, on="task", how="left", maintain_order="left")
    return episodes.with_columns(
        tokens=pl.col("tokens_in") + pl.col("tokens_out"),
        budget_left=pl.col("budget") - pl.col("charged"),
        message_density_broadcasts=_ratio("broadcasts", "turns"),
        message_density_deliveries=_ratio("deliveries", "turns"),
    ).hstack(votes.drop("task"))


def _ratio(above: str, below: str) -> pl.Expr:
    return pl.when(pl.col(below) > 0).then(pl.col(above) / pl.col(below))


def episodes_from_events(events: pl.DataFrame, budget: int | None = None) -> pl.DataFrame:
    """Return the table of episodes as far as events tell it, for the episodes that ended.

    Turns are exact unless one turn made more than 64 acts. What an attempt without usage was charged is in no event,
    so `charged` is the tokens.

    Args:
        events: rows of one run in canonical order.
        budget: ceiling of an episode (tokens), where it is the same for all.
    """
    kind = pl.col("kind").cast(pl.String)
    ended = events.filter((pl.col("agent") < 0) & (kind == "stop"))
    answers = events.filter((pl.col("agent") < 0) & (kind == "answer"))
    turn = pl.struct("round", "agent", pl.col("k") // SLOT_WIDTH)
    taken = (pl.col("agent") >= 0) & (kind != "budget_exhausted")
    sums = events.group_by("task").agg(
        events=pl.len().cast(pl.Int64),
        turns=turn.filter(taken).n_unique().cast(pl.Int64),
        calls=pl.col("calls").sum().cast(pl.Int64),
        calls_failed=(kind == "call_failed").sum().cast(pl.Int64),
        tokens_in=pl.col("tokens_in").sum(),
        tokens_cached=pl.col("tokens_cached").sum(),
        tokens_out=pl.col("tokens_out").sum(),
    )
    found = (
        ended.select("task", stop=pl.col("answer").cast(pl.String), rounds=pl.col("round").cast(pl.Int64))
        .join(
            answers.select("task", score=pl.col("correct").fill_null(0.0), answer=pl.col("answer").cast(pl.String)),
            on="task",
            how="left",
        )
        .join(sums, on="task", how="left")
        .sort("task")
    )
    nothing = pl.lit(None, pl.Int64)
    return found.with_columns(
        answered=pl.col("answer").is_not_null(),
        broadcasts=nothing,
        deliveries=nothing,
        budget=pl.lit(budget, pl.Int64),
        charged=pl.col("tokens_in") + pl.col("tokens_out"),
        virtual_s=pl.lit(None, pl.Float64),
        claims_due=nothing,
        claims_left_out=nothing,
    ).select(*MEASURES, "claims_due", "claims_left_out")


def _budget(log: RunLog) -> int | None:
    whole = log.manifest.totals.budget
    count = log.manifest.scenario.get("tasks", {}).get("count")
    return whole // count if whole is not None and isinstance(count, int) and count and not whole % count else None


def _wall(log: RunLog) -> pl.DataFrame:
    """Return the critical path of each task through its model calls as measured: columns task, wall_s (seconds).

    In each round the agent whose attempts took longest counts. Waiting between attempts is not in it, nor what the
    engine did: it is what a run with a slot for every agent would have waited for the model.
    """
    found = {"task": [], "round": [], "agent": [], "ms": []}  # type: dict[str, list[int]]
    if log.manifest.totals.calls or log.manifest.totals.calls_lost:
        for attempt in log.journal():
            if attempt.agent == SOCIETY:  # a call of the study: no agent waited for it
                continue
            for name, value in zip(
                found, (attempt.task, attempt.round, attempt.agent, attempt.latency_ms or 0), strict=True
            ):
                found[name].append(value)
    attempts = pl.DataFrame(found, schema=dict.fromkeys(found, pl.Int64))
    by_agent = attempts.group_by("task", "round", "agent").agg(pl.col("ms").sum())
    by_round = by_agent.group_by("task", "round").agg(pl.col("ms").max())
    return by_round.group_by("task").agg(wall_s=pl.col("ms").sum() / 1000.0)


@dataclass(frozen=True)
class RunMetrics:
    """The object holds the numbers of one run; intervals come from resampled tasks, paired with the baseline's."""

    n_tasks: int
    paired: bool | None
    """Whether the baseline has the same tasks; None without a baseline."""
    values: Mapping[str, Interval | None]
    """Values by name (see `RUN_METRICS`); None where the log does not tell one or it is not defined."""

    def __getitem__(self, name: str) -> Interval | None:
        return self.values[name]

    def summary(self) -> str:
        """Return one line: score, turns, overhead, efficiency."""
        shown = [f"{name} {self.values[name]}" for name in ("score", "turns", "overhead_turns", "efficiency")]
        return f"{self.n_tasks} tasks: {', '.join(shown)}"


_MEANS: Final = (
    *("score", "answered", "turns", "rounds", "calls", "tokens", "virtual_s", "wall_s", "broadcasts", "deliveries"),
    *("budget_left", "n_answers", "consensus", "disagreement", "vote_entropy", "voter_accuracy", "majority_correct"),
    *("information_gain", "redundancy", "k_star", "redundancy_embedded", "k_star_embedded"),
)
_RATIOS: Final = {
    "message_density_broadcasts": ("broadcasts", "turns", 1.0),
    "message_density_deliveries": ("deliveries", "turns", 1.0),
    "success_per_1k_tokens": ("score", "tokens", 1000.0),
    "budget_use": ("charged", "budget", 1.0),
    "claims_not_shown": ("claims_left_out", "claims_due", 1.0),
}
"""Ratios of means: name -> (numerator, denominator, factor)."""
_USED: Final = (*_MEANS, "charged", "budget", "claims_due", "claims_left_out")
_OVERHEADS: Final = {"turns": "turns", "tokens": "tokens", "virtual": "virtual_s", "wall": "wall_s"}

RUN_METRICS: Final = (*_MEANS, *_RATIOS, *(f"overhead_{name}" for name in _OVERHEADS), "efficiency")
"""Names of the numbers of a run; ratios are of means over tasks, not means of ratios."""


def run_metrics(
    episodes: pl.DataFrame,
    baseline: pl.DataFrame | None = None,
    *,
    same_tasks: bool = True,
    draws: int = DRAWS,
    seed: int = 0,
) -> RunMetrics:
    """Return the numbers of a run from its rows of `episode_metrics`.

    Args:
        episodes: one row per task; further columns do no harm.
        baseline: the rows of a single agent's run. With the same tasks it is resampled together with the run.
        same_tasks: whether equal numbers in the column task are the same task.
        draws: resamples of the tasks behind each interval.
        seed: root of the resampling.

    Raises:
        InputError: there is no row.
    """
    if not episodes.height or (baseline is not None and not baseline.height):
        raise InputError("no task has ended, so there is nothing to measure")
    n = episodes.height
    paired = None if baseline is None else _same(episodes, baseline, same_tasks)
    together = [episodes] if baseline is None or not paired else [episodes, baseline]
    own, *others = _means(together, draws, seed, "run")
    found: dict[str, Interval | None] = {name: _measured(own[name], n) for name in _MEANS}
    for name, (above, below, factor) in _RATIOS.items():
        found[name] = _measured(_quotient(own[above], own[below], factor), n)
    found |= dict.fromkeys(RUN_METRICS[len(found) :])
    if baseline is not None:
        other = others[0] if others else _means([baseline], draws, seed, "baseline")[0]
        for name, column in _OVERHEADS.items():
            relative = _quotient(own[column], other[column])
            found[f"overhead_{name}"] = _measured(None if relative is None else 100 * (relative - 1), n)
            if name == "turns":
                found["efficiency"] = _measured(_quotient(own["score"], relative), n)
    return RunMetrics(n, paired, found)


def _same(episodes: pl.DataFrame, baseline: pl.DataFrame, same_tasks: bool) -> bool:
    return same_tasks and episodes["task"].to_list() == baseline["task"].to_list()


def _means(tables: Sequence[pl.DataFrame], draws: int, seed: int, what: str) -> list[dict[str, F64 | None]]:
    """Return, for each table, the mean of every column over the tasks that have it, shape (draws + 1,).

    The first entry is the mean of the tasks themselves, the others are of resamples, the same ones for all tables.
    """
    names, sizes, stacks = [], [], []
    for table in tables:
        kept = [name for name in _USED if name in table.columns and table[name].null_count() < table.height]
        values = table.select(pl.col(kept).cast(pl.Float64))
        gaps = [name for name in kept if values[name].null_count()]
        names.append((kept, gaps))
        sizes.append(len(kept) + len(gaps))
        stacks += [values[name].fill_null(0.0).to_numpy() for name in kept]
        stacks += [values[name].is_not_null().cast(pl.Float64).to_numpy() for name in gaps]
    columns = np.stack(stacks, axis=1)
    n = len(columns)
    sums = [np.ones((1, n)) @ columns]
    sums += [weights @ columns for weights in drawn(stream(seed, "metrics", what), draws, n)]
    found = []
    for (kept, gaps), part in zip(names, np.split(np.concatenate(sums), np.cumsum(sizes)[:-1], axis=1), strict=True):
        have = {name: part[:, len(kept) + at] for at, name in enumerate(gaps)}
        with np.errstate(invalid="ignore"):
            means = {name: part[:, at] / have.get(name, n) for at, name in enumerate(kept)}
        found.append(dict.fromkeys(_USED) | means)
    return found


def _quotient(above: F64 | None, below: F64 | None, factor: float = 1.0) -> F64 | None:
    if above is None or below is None or below[0] == 0:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(factor * above / below)


def _measured(values: F64 | None, n_tasks: int) -> Interval | None:
    """Return the first value with percentiles of the others, as far out as Student's t over so many tasks asks for."""
    if values is None or not np.isfinite(values[0]):
        return None
    usable = values[1:][np.isfinite(values[1:])]
    tail = expanded_tail(n_tasks, 0.95) if n_tasks > 1 else 0.025
    low, high = np.quantile(usable, [tail, 1 - tail]) if len(usable) else (np.nan, np.nan)
    return Interval(float(values[0]), float(low), float(high), method="percentiles over tasks, expanded")
