"""This study asks how often the measures of exchange hold in debates whose rules are planted.

Usage: python -m benchmarks.study_exchange [--samples 400] [--tasks 10 30 100] [--part exposure standing votes gain]
(about fifteen minutes of one core).
Of five agents each answers alone first, then twice more. Who sees others sees all of them: where its answer is not
among their most frequent ones it goes to one of these with probability `follow`; else, and where nothing else was
shown, it draws anew with probability `drift`. A share of the turns sees nobody. Truths are shares over 200,000 tasks of
the same debate. The tables are in docs/comparison-studies.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.comparison.gain import gain_of
from analysis.interval import Interval
from analysis.measures.exposure import TRANSITIONS, exposure_of
from analysis.measures.heard import SCHEMA
from analysis.measures.independence import IndependentVotes, independent_votes
from analysis.measures.outputs import Outputs
from analysis.measures.standing import STANDING, moved, oracle_gap, standing_of

AGENTS: Final = 5
ROUNDS: Final = 2
OPTIONS: Final = 3
WHOLE: Final = 200_000
"""Tasks of which a truth is the share."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Debate:
    """The object holds the rules of a planted debate."""

    name: str
    follow: float
    """Probability of going to the most frequent answer of others."""
    drift: float
    """Probability of drawing an answer anew."""
    unseen: float
    """Share of the turns that see nobody."""
    right: tuple[float, float]
    """Parameters of the beta law of the probability with which an agent is right on a task."""


DEBATES: Final = (
    Debate("conformists, tasks alike", 0.7, 0.1, 0.3, (60, 40)),
    Debate("conformists, tasks unlike", 0.7, 0.1, 0.3, (1.2, 0.8)),
    Debate("nobody follows", 0.0, 0.2, 0.3, (3, 2)),
    Debate("hardly anybody follows", 0.05, 0.02, 0.3, (3, 2)),
    Debate("all are shown all", 0.5, 0.1, 0.0, (3, 2)),
    Debate("nearly all right", 0.5, 0.05, 0.3, (19, 1)),
)


@dataclass(frozen=True)
class Course:
    """The object holds the answers of a debate, 0 being right, shape (rounds, tasks, agents), and who saw others."""

    answers: Ints
    saw: NDArray[np.bool_]


def hold(rule: Debate, tasks: int, rng: np.random.Generator) -> Course:
    """Return the course of a debate on so many tasks."""
    p = rng.beta(*rule.right, (tasks, 1))

    def fresh() -> Ints:
        wrong = rng.integers(1, OPTIONS, (tasks, AGENTS))
        return np.where(rng.random((tasks, AGENTS)) < p, 0, wrong)

    rounds = [fresh()]
    saw = rng.random((ROUNDS, tasks, AGENTS)) >= rule.unseen
    for at in range(ROUNDS):
        own = rounds[-1]
        modal, led, _ = of_others(own)
        goal = np.argmax(modal * (1 + rng.random(modal.shape)), axis=2)
        follows = saw[at] & led & (rng.random(own.shape) < rule.follow)
        drifts = ~follows & (rng.random(own.shape) < rule.drift)
        rounds.append(np.where(follows, goal, np.where(drifts, fresh(), own)))
    return Course(np.stack(rounds), saw)


def of_others(own: Ints) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which answers most others give, whether one's own is none of them, and whether anybody gives another."""
    counts = (own[:, :, None] == np.arange(OPTIONS)).sum(axis=1)
    others = counts[:, None, :] - (own[:, :, None] == np.arange(OPTIONS))
    modal = others == others.max(axis=2, keepdims=True)
    mine = np.take_along_axis(modal, own[:, :, None], axis=2)[:, :, 0]
    return modal, ~mine, np.take_along_axis(others, own[:, :, None], axis=2)[:, :, 0] < AGENTS - 1


def replies_of(course: Course) -> pl.DataFrame:
    """Return the rows that `heard_replies` would give, those columns that matter here."""
    parts = []
    for at in range(ROUNDS):
        before, after = course.answers[at], course.answers[at + 1]
        modal, led, differs = of_others(before)
        changed = before != after
        task, agent = np.indices(before.shape)
        followed = led & changed & np.take_along_axis(modal, after[:, :, None], axis=2)[:, :, 0]
        columns: dict[str, NDArray[Any]] = {
            "task": task, "round": np.full(before.shape, at + 1), "agent": agent, "against": course.saw[at] & differs,
            "had": np.ones(before.shape, dtype=bool), "changed": changed, "led": led, "followed": followed,
            "right_before": np.equal(before, 0), "right_after": np.equal(after, 0),
        }  # fmt: skip
        parts.append(pl.DataFrame({name: values.reshape(-1) for name, values in columns.items()}))
    return pl.concat(parts).with_columns(pl.lit(None, kind).alias(n) for n, kind in SCHEMA.items() if n not in columns)


def standing_rows(course: Course) -> pl.DataFrame:
    """Return the rows of `standing_of` for the answers of a debate."""
    index = np.indices(course.answers.shape)
    columns = {"task": index[1], "round": index[0], "agent": index[2], "answer": course.answers}
    table = pl.DataFrame({name: values.reshape(-1) for name, values in columns.items()}).sort("task", "round", "agent")
    return standing_of(
        Outputs(
            table.with_columns(
                correct=(pl.col("answer") == 0).cast(pl.Float64),
                answer=pl.col("answer").cast(pl.String),
                text=pl.lit(None, pl.String),
            )
        )
    )


def decided(course: Course) -> pl.DataFrame:
    """Return the scores of societies that decide by the majority of last answers, ties going to the first option."""
    counts = (course.answers[-1][:, :, None] == np.arange(OPTIONS)).sum(axis=1)
    right = np.argmax(counts, axis=1) == 0
    return pl.DataFrame({"task": np.arange(right.size), "score": right.astype(float)})


def part_of(course: Course, at: int, tasks: int) -> Course:
    """Return a sample: so many tasks of the course."""
    chosen = slice(at * tasks, (at + 1) * tasks)
    return Course(course.answers[:, chosen], course.saw[:, chosen])


def _row(cells: Sequence[str], found: Sequence[Interval | None], truth: float) -> None:
    """Print one line: how many samples tell nothing, and of the others the share that holds the truth."""
    known = [one for one in found if one is not None]
    held = f"{np.mean([one.covers(truth) for one in known]):.1%}" if known else "-"
    width = f"{np.median([one.width for one in known]):.2f}" if known else "-"
    ends = (np.mean([one.high < truth for one in known]), np.mean([one.low > truth for one in known])) if known else ()
    sides = " | ".join(f"{share:.1%}" for share in ends) or "- | -"
    none = f"{1 - len(known) / len(found):.1%}"
    print(f"| {' | '.join(cells)} | {truth:.3f} | {none} | {held} | {sides} | {width} |", flush=True)


def exposure(samples: int, sizes: Sequence[int]) -> None:
    """Print how often the intervals of adoption, vulnerability and correction hold, and those of their placebos."""
    print("| debate | tasks | share | truth | none | held | below | above | width |\n" + "| --- " * 9 + "|")
    for number, rule in enumerate(DEBATES):
        rng = np.random.default_rng([number, 1])
        whole = replies_of(hold(rule, WHOLE, rng))
        exposed, others = whole.filter("against"), whole.filter(~pl.col("against"))
        truths = [share for rows in (exposed, others) for share in _shares(rows)]
        for tasks in sizes:
            course = hold(rule, samples * tasks, rng)
            found = [exposure_of(replies_of(part_of(course, at, tasks)), seed=at) for at in range(samples)]
            names = [(False, name) for name in TRANSITIONS] + [(True, name) for name in TRANSITIONS]
            for (beside, name), truth in zip(names, truths, strict=True):
                told = [None if one is None else (one.placebo if beside else one.values)[name] for one in found]
                if np.isfinite(truth):
                    said = f"{name}{', placebo' if beside else ''}"
                    _row([rule.name, str(tasks), said], told, truth)


def _shares(rows: pl.DataFrame) -> list[float]:
    led, right = rows.filter("led")["followed"], rows.filter("right_before")["right_after"]
    wrong = rows.filter(~pl.col("right_before"))["right_after"]
    values = (led.mean(), None if right.mean() is None else 1 - float(str(right.mean())), wrong.mean())
    return [float("nan") if value is None else float(str(value)) for value in values]


def standing(samples: int, sizes: Sequence[int]) -> None:
    """Print how often the intervals of the oracle gap and of what moved hold."""
    print("| debate | tasks | measure | truth | none | held | below | above | width |\n" + "| --- " * 9 + "|")
    for number, rule in enumerate(DEBATES):
        rng = np.random.default_rng([number, 2])
        whole = hold(rule, WHOLE, rng)
        rows = standing_rows(whole).join(decided(whole), on="task")
        truths = {
            "oracle gap": 100 * _mean(rows, (pl.col("best") - pl.col("score")).clip(lower_bound=0)),
            "oracle gap of first answers": 100 * _mean(rows, pl.col("alone_gap")),
            "mean accuracy, change": _mean(rows, pl.col("mean_last") - pl.col("mean_first")),
            "majority, change": _mean(rows, pl.col("majority_last") - pl.col("majority_first")),
        }
        for tasks in sizes:
            course = hold(rule, samples * tasks, rng)
            parts = [part_of(course, at, tasks) for at in range(samples)]
            tables = [standing_rows(part) for part in parts]
            pairs = zip(parts, tables, strict=True)
            gaps = [oracle_gap(table, decided(part), seed=at) for at, (part, table) in enumerate(pairs)]
            moves = [moved(table, seed=at) for at, table in enumerate(tables)]
            told: list[list[Interval | None]] = [
                [None if one is None else one.points for one in gaps],
                [None if one is None else one.alone for one in gaps],
                [None if one is None else one.mean for one in moves],
                [None if one is None else one.majority for one in moves],
            ]
            for (name, truth), found in zip(truths.items(), told, strict=True):
                _row([rule.name, str(tasks), name], found, truth)
            said = [one.word for one in moves if one is not None]
            words = ", ".join(f"{word}: {said.count(word) / samples:.1%}" for word in sorted(set(said)))
            print(f"| {rule.name} | {tasks} | words | {words} |" + " |" * 5, flush=True)


def _mean(rows: pl.DataFrame, value: pl.Expr) -> float:
    return float(rows.select(value.mean()).item())


def votes(samples: int, sizes: Sequence[int]) -> None:
    """Print how often N_eff holds where tasks are unlike, agents independent given the task, and where all copy."""
    print("| votes | N | tasks | measure | truth | none | held | below | above | width |\n" + "| --- " * 10 + "|")
    laws = {"unlike tasks": (1.2, 0.8), "hardly unlike tasks": (12.0, 8.0), "two kinds of tasks": (0.1, 0.1)}
    for number, (name, law) in enumerate(laws.items()):
        rho = 1 / (sum(law) + 1)
        for n in (2, 5, 20):
            for tasks in sizes:
                rng = np.random.default_rng([number, n, tasks])
                found = []
                for _ in range(samples):
                    right = rng.binomial(n, rng.beta(*law, tasks)).astype(float)
                    known = {"task": np.arange(tasks), "voters": np.full(tasks, n), "right": right}
                    rows = pl.DataFrame(known | dict.fromkeys(set(STANDING) - set(known)), schema=STANDING)
                    one = independent_votes(rows)
                    found.append(one.votes if isinstance(one, IndependentVotes) else None)
                _row([name, str(n), str(tasks), "N_eff"], found, n / (1 + (n - 1) * rho))


def gain(samples: int, sizes: Sequence[int]) -> None:
    """Print how often the gain holds with several seeds of a task, graded scores, and scores that are 0 together."""
    print("| scores | tasks | measure | truth | none | held | below | above | width |\n" + "| --- " * 9 + "|")
    for tasks in sizes:
        for name in ("5 seeds of each task", "graded", "hard tasks are 0 for both"):
            rng = np.random.default_rng([tasks, len(name)])
            found: list[Interval | None] = []
            for _ in range(samples):
                ease = rng.beta(1.2, 0.8, tasks)
                if name == "5 seeds of each task":
                    task = np.repeat(np.arange(tasks), 5)
                    single, society = (np.where(rng.random(task.size) < k * ease[task], 1.0, 0.0) for k in (0.6, 0.9))
                elif name == "graded":
                    task, single = np.arange(tasks), 0.6 * ease
                    society = np.clip(0.9 * ease + rng.uniform(-0.05, 0.05, tasks), 0, 1)
                else:
                    task, can = np.arange(tasks), rng.random(tasks) < 0.3
                    single, society = (np.where(can & (rng.random(tasks) < k), 1.0, 0.0) for k in (0.6, 0.9))
                one = gain_of(society, single, task, replicates=2_000)
                found.append(one if isinstance(one, Interval) else None)
            _row([name, str(tasks), "G"], found, 1.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parts = {"exposure": exposure, "standing": standing, "votes": votes, "gain": gain}
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--tasks", nargs="*", type=int, default=[10, 30, 100])
    parser.add_argument("--part", nargs="*", choices=tuple(parts), default=tuple(parts))
    asked = parser.parse_args()
    for name in asked.part:
        parts[name](asked.samples, asked.tasks)


if __name__ == "__main__":
    main()
