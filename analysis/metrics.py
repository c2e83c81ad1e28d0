"""Coordination metrics: what an organisation spends on coordinating, per task and per run (arXiv 2512.08296).

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

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from agentsoc.errors import InputError
from agentsoc.log.episodes import MEASURES
from agentsoc.log.read import RunLog
from agentsoc.streams import stream
from analysis.ballots import ballot_metrics
from analysis.diversity_logs import diversity, label_k_star
from analysis.embeddings import Embedder
from analysis.outputs import F64, Outputs, outputs_of

SLOT_WIDTH: Final = 64
"""Acts that one turn may number (see docs/log-format.md)."""
DRAWS: Final = 1000
"""Resamples of the tasks behind an interval."""

EPISODE_COLUMNS: Final = (
    *MEASURES,
    *("tokens", "budget_left", "wall_s", "message_density_broadcasts", "message_density_deliveries"),
    *("n_voters", "n_answers", "consensus", "disagreement", "vote_entropy", "voter_accuracy", "majority_correct"),
    *("information_gain", "redundancy", "k_star"),
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
    events, stored = log.frame(), log.episodes()
    episodes = episodes_from_events(events, _budget(log)) if stored is None else stored
    said = outputs_of(events, _questions(log))
    found = with_votes(episodes, said)
    wall = _wall(log)
    found = found.join(wall, on="task", how="left", maintain_order="left")
    if embedder is None:
        return found.select(EPISODE_COLUMNS)
    words = diversity(said, embedder=embedder).questions
    embedded = words.select("task", redundancy_embedded="redundancy", k_star_embedded="k_star")
    found = found.join(embedded, on="task", how="left", maintain_order="left")
    return found.select(*EPISODE_COLUMNS, "redundancy_embedded", "k_star_embedded")


def with_votes(episodes: pl.DataFrame, said: Outputs) -> pl.DataFrame:
    """Return `episodes` with all columns of `EPISODE_COLUMNS` that follow from them and from what agents said.

    Args:
        episodes: rows as in the table of episodes, increasing by task.
        said: outputs of the same tasks; those of other tasks are left out.
    """
    tasks = episodes["task"].to_numpy()
    kept = Outputs(said.table.join(episodes.select("task"), on="task", how="semi", maintain_order="left"))
    votes = ballot_metrics(kept, tasks).with_columns(k_star=pl.Series(label_k_star(kept, tasks)).fill_nan(None))
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
    ).select(MEASURES)


def _budget(log: RunLog) -> int | None:
    whole = log.manifest.totals.budget
    count = log.manifest.scenario.get("tasks", {}).get("count")
    return whole // count if whole is not None and isinstance(count, int) and count and not whole % count else None


def _questions(log: RunLog) -> pl.DataFrame | None:
    """Return the questions; tasks that a family makes from the seed alone have none on disk."""
    tasks = log.tasks()
    return tasks.select("task", "question") if "question" in tasks.columns else None


def _wall(log: RunLog) -> pl.DataFrame:
    """Return the critical path of each task through its model calls as measured: columns task, wall_s (seconds).

    In each round the agent whose attempts took longest counts. Waiting between attempts is not in it, nor what the
    engine did: it is what a run with a slot for every agent would have waited for the model.
    """
    found = {"task": [], "round": [], "agent": [], "ms": []}  # type: dict[str, list[int]]
    if log.manifest.totals.calls or log.manifest.totals.calls_lost:
        for attempt in log.journal():
            for name, value in zip(
                found, (attempt.task, attempt.round, attempt.agent, attempt.latency_ms or 0), strict=True
            ):
                found[name].append(value)
    attempts = pl.DataFrame(found, schema=dict.fromkeys(found, pl.Int64))
    by_agent = attempts.group_by("task", "round", "agent").agg(pl.col("ms").sum())
    by_round = by_agent.group_by("task", "round").agg(pl.col("ms").max())
    return by_round.group_by("task").agg(wall_s=pl.col("ms").sum() / 1000.0)


@dataclass(frozen=True)
class Measured:
    """A number of a run with its 95 % interval over tasks."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


@dataclass(frozen=True)
class RunMetrics:
    """The numbers of one run. Intervals are percentiles over resamples of the tasks, paired with the baseline's."""

    n_tasks: int
    paired: bool | None
    """Whether the baseline has the same tasks; None without a baseline."""
    values: Mapping[str, Measured | None]
    """By name, see `RUN_METRICS`; None where the log does not say it or it is not defined."""

    def __getitem__(self, name: str) -> Measured | None:
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
}
"""Ratios of means: name -> (above, below, factor)."""
_USED: Final = (*_MEANS, "charged", "budget")
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
    weights = _weights(n, draws, seed, "run")
    own = _means(episodes, weights)
    found: dict[str, Measured | None] = {name: _measured(own[name]) for name in _MEANS}
    for name, (above, below, factor) in _RATIOS.items():
        found[name] = _measured(_quotient(own[above], own[below], factor))
    found |= dict.fromkeys(RUN_METRICS[len(found) :])
    if baseline is not None:
        other = _means(baseline, weights if paired else _weights(baseline.height, draws, seed, "baseline"))
        for name, column in _OVERHEADS.items():
            relative = _quotient(own[column], other[column])
            found[f"overhead_{name}"] = _measured(None if relative is None else 100 * (relative - 1))
            if name == "turns":
                found["efficiency"] = _measured(_quotient(own["score"], relative))
    return RunMetrics(n, paired, found)


def _same(episodes: pl.DataFrame, baseline: pl.DataFrame, same_tasks: bool) -> bool:
    return same_tasks and episodes["task"].to_list() == baseline["task"].to_list()


@lru_cache(maxsize=4)
def _weights(n: int, draws: int, seed: int, what: str) -> F64:
    """Return how often each task is in the sample itself (row 0) and in its resamples, shape (draws + 1, n)."""
    drawn = stream(seed, "metrics", what).integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
    counts = np.bincount(drawn.reshape(-1), minlength=n * draws).reshape(draws, n)
    return np.concatenate([np.ones((1, n)), counts])


def _means(table: pl.DataFrame, weights: F64) -> dict[str, F64 | None]:
    """Return the mean of every column in each resample, over the tasks that have it, shape (draws + 1,)."""
    names = [name for name in _USED if name in table.columns and table[name].null_count() < table.height]
    values = table.select(pl.col(names).cast(pl.Float64))
    known = values.select(pl.all().is_not_null().cast(pl.Float64)).to_numpy()
    sums = weights @ values.fill_null(0.0).to_numpy()
    with np.errstate(invalid="ignore"):
        means = sums / (len(values) if known.all() else weights @ known)
    found: dict[str, F64 | None] = dict.fromkeys(_USED)
    return found | {name: means[:, column] for column, name in enumerate(names)}


def _quotient(above: F64 | None, below: F64 | None, factor: float = 1.0) -> F64 | None:
    if above is None or below is None or below[0] == 0:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(factor * above / below)


def _measured(values: F64 | None) -> Measured | None:
    if values is None or not np.isfinite(values[0]):
        return None
    usable = values[1:][np.isfinite(values[1:])]
    low, high = np.quantile(usable, [0.025, 0.975]) if len(usable) else (np.nan, np.nan)
    return Measured(float(values[0]), float(low), float(high))
