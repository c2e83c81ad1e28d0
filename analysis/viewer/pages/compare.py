"""This module is the page of a comparison: verdict, paired differences, score against tokens, and task by task.

It takes the data of ``report.json``, as `analysis.comparison.text.report_as_dict` makes it. `curves`, `crossovers` and
`front` are taken where a report has them; without `front`, the points that no other beats in both are on it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from agentsoc.errors import InputError, LogDamagedError
from agentsoc.log.inside import Inside
from agentsoc.log.names import COMPARISON
from agentsoc.log.parquet import UnreadableTableError, read_frame
from analysis.viewer.pages.plain import Span, listed, number, numbers, span, table, text, texts, whole

REPORT: Final = "report.json"
REPORT_BYTES: Final = 64 << 20
RESULTS: Final = "results.parquet"
NO_MATRIX: Final = "the table of results is missing or cannot be used, so there are no scores task by task"
MATRIX_MAX: Final = 500
"""Tasks that are told one by one; those on which organisations differ come first."""
_KEYS: Final = ("tasks", "seed", "task")


class Organisation(msgspec.Struct, frozen=True):
    """An organisation in a comparison."""

    label: str
    score: Span | None
    difference: Span | None
    """From the baseline, paired by task; None for the baseline."""
    against: str | None
    """The baseline that it is paired with; None for a baseline."""
    p_holm: float | None
    won: int
    tied: int
    lost: int
    tokens: Span | None
    """Of a task (tokens)."""
    on_front: bool
    """Whether no other one scores more for fewer tokens."""
    stops: dict[str, int]
    not_comparable: str | None
    detectable: float | None = None
    """Smallest true difference that so many tasks and seeds find in four of five comparisons."""
    tasks_needed: int | None = None
    """Tasks that find a true difference of `ComparePage.effect` as often."""


class CurveLine(msgspec.Struct, frozen=True):
    """The scores of an organisation at several budgets."""

    organisation: str
    budgets: list[float | None]
    tokens: list[Span | None]
    scores: list[Span | None]


class CrossoverLine(msgspec.Struct, frozen=True):
    """Whether and where one organisation overtakes another (tokens)."""

    one: str
    other: str
    verdict: str
    at: Span
    ahead: str
    reason: str


class MatrixRow(msgspec.Struct, frozen=True):
    """One task: the score in each organisation, None where it has none."""

    tasks: str
    seed: int
    task: int
    scores: list[float | None]
    differ: bool


class Matrix(msgspec.Struct, frozen=True):
    """Scores task by task."""

    labels: list[str]
    runs: dict[str, str]
    """``label|tasks|seed`` -> directory of the run, relative to that of the comparison."""
    rows: list[MatrixRow]
    rows_in_all: int


class ComparePage(msgspec.Struct, frozen=True):
    """What the page of a comparison shows."""

    name: str
    place: str
    baseline: str
    verdict: str
    matched: bool
    budgets: dict[str, int | None]
    organisations: list[Organisation]
    curves: list[CurveLine]
    crossovers: list[CrossoverLine]
    unequal_stops: list[str]
    """In words, organisations whose episodes ended otherwise than by the protocol."""
    failures: dict[str, dict[str, int]]
    notes: list[str]
    missing: list[str]
    matrix: Matrix | None
    level: float | None = None
    """Of the intervals of scores."""
    effect: float | None = None
    """The true difference that `Organisation.tasks_needed` is about."""
    own_notes: list[str] = []
    """What the page itself has to say, beside the notes of the report."""


def read_report(directory: Path) -> dict[str, Any]:
    """Return the report in the directory of a comparison.

    Raises:
        InputError: there is none, or no comparison at all, or it is no JSON.
        LogDamagedError: it is a link or too large.
    """
    where = str(directory / REPORT)
    try:
        data = json.loads(Inside(directory).read(REPORT, limit=REPORT_BYTES))
    except FileNotFoundError:
        if not os.path.lexists(directory / COMPARISON):
            hint = "agentsoc compare makes one; name its directory"
            raise InputError("there is no comparison here", str(directory), hint) from None
        hint = f"agentsoc compare {directory} writes it"
        raise InputError("this comparison has no report yet", where, hint) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"the report cannot be read: {type(error).__name__}", where, "agentsoc compare") from None
    if not isinstance(data, dict):
        raise InputError("this is no report of a comparison", where, "agentsoc compare writes it")
    return data


def compare_page(report: Mapping[str, Any], directory: Path | None = None) -> ComparePage:
    """Return the page of a report.

    Args:
        report: the data of report.json.
        directory: that of the comparison, for the matrix of tasks; None leaves it out.

    Raises:
        InputError: the data is none of a report.
    """
    if "blocks" not in report or "verdict" not in report:
        raise InputError("this is no report of a comparison", "", "give the directory that agentsoc compare made")
    spent = {
        label: span(table(row, label).get("tokens"), label)
        for label, row in table(report.get("metrics"), "metrics").items()
    }
    found = _organisations(report, spent)
    matrix = None if directory is None else _matrix(report, directory)
    curves = [_curve(one) for one in listed(report.get("curves"), "curves")]
    return ComparePage(
        name=text(report.get("name", ""), "name"),
        place="" if directory is None else str(directory),
        baseline=text(report.get("baseline", ""), "baseline"),
        verdict=text(report["verdict"], "verdict"),
        matched=report.get("matched") is True,
        budgets={
            name: None if value is None else whole(value, "budget_per_task")
            for name, value in table(report.get("budget_per_task"), "budget_per_task").items()
        },
        organisations=found,
        curves=curves,
        crossovers=[_crossover(one) for one in listed(report.get("crossovers"), "crossovers")],
        unequal_stops=[words for one in found if (words := _stopped(one))],
        failures=_failures(report),
        notes=texts(report.get("notes"), "notes"),
        missing=texts(report.get("missing"), "missing"),
        matrix=matrix,
        level=_of_first(report, "baseline", "mean", "level"),
        effect=_of_first(report, "effect"),
        own_notes=[NO_MATRIX] if directory is not None and matrix is None else [],
    )  # fmt: skip


def _of_first(report: Mapping[str, Any], *names: str) -> float | None:
    """Return a number of the first block's comparison; None where there is no block, or no such number."""
    blocks = listed(report["blocks"], "blocks")
    found = table(blocks[0], "blocks").get("comparison") if blocks else None
    for name in names:
        found = table(found, name).get(name)
    return number(found, names[-1])


def _organisations(report: Mapping[str, Any], spent: dict[str, Span | None]) -> list[Organisation]:
    """Return every organisation once, baselines first in their block."""
    rows: dict[str, tuple[dict[str, Any], str | None]] = {}
    for block in listed(report["blocks"], "blocks"):
        found = table(table(block, "blocks").get("comparison"), "comparison")
        base = table(found.get("baseline"), "baseline")
        name = text(base.get("organisation"), "organisation")
        rows.setdefault(name, (dict(base), None))
        for row in listed(found.get("rows"), "rows"):
            rows[text(table(row, "rows").get("organisation"), "organisation")] = (dict(row), name)
    stops = table(report.get("stops"), "stops")
    refused = table(report.get("not_comparable"), "not_comparable")
    front = _front(
        report, {label: (spent.get(label), span(row.get("mean"), label)) for label, (row, _) in rows.items()}
    )
    told = [_organisation(label, row, against, spent.get(label), stops.get(label), label in front)
            for label, (row, against) in rows.items()]  # fmt: skip
    more = [label for label in refused if label not in rows]
    return told + [
        Organisation(label, None, None, None, None, 0, 0, 0, spent.get(label), False, {}, text(refused[label], label))
        for label in more
    ]


def _organisation(
    label: str, row: dict[str, Any], against: str | None, spent: Span | None, stops: Any, on_front: bool
) -> Organisation:
    won, tied, lost = (whole(row.get(name, 0), label) for name in ("wins", "ties", "losses"))
    ended = {reason: whole(n, "stops") for reason, n in table(stops, "stops").items()}
    score, difference = span(row.get("mean"), label), span(row.get("difference"), label)
    return Organisation(
        label,
        score,
        difference,
        against,
        number(row.get("p_holm"), label),
        won,
        tied,
        lost,
        spent,
        on_front,
        ended,
        None,
        number(row.get("detectable"), label),
        None if row.get("tasks_needed") is None else whole(row["tasks_needed"], label),
    )


def _front(report: Mapping[str, Any], points: dict[str, tuple[Span | None, Span | None]]) -> set[str]:
    """Return the labels of those that no other one beats in score without more tokens, nor in tokens with as much."""
    if report.get("front") is not None:
        rows = [table(one, "front") for one in listed(report["front"], "front")]
        return {str(row.get("label", "")) for row in rows if row.get("on_front") is True}
    known = {
        label: (tokens.value, score.value)
        for label, (tokens, score) in points.items()
        if tokens is not None and score is not None and tokens.value is not None and score.value is not None
    }
    return {
        label
        for label, (tokens, score) in known.items()
        if not any(t <= tokens and s >= score and (t < tokens or s > score) for t, s in known.values())
    }


def _curve(data: Any) -> CurveLine:
    one = table(data, "curves")
    points = [table(point, "points") for point in listed(one.get("points"), "points")]
    return CurveLine(
        text(one.get("organisation", ""), "curves"),
        numbers([point.get("budget") for point in points], "budget"),
        [span(point.get("tokens"), "tokens") for point in points],
        [span(point.get("score"), "score") for point in points],
    )


def _crossover(data: Any) -> CrossoverLine:
    one = table(data, "crossovers")
    names = [*texts(one.get("organisations"), "organisations"), "", ""]
    value, low, high = (number(one.get(name), "crossovers") for name in ("value", "low", "high"))
    verdict, ahead, reason = (text(one.get(name) or "", "crossovers") for name in ("verdict", "ahead", "reason"))
    return CrossoverLine(names[0], names[1], verdict, Span(value, low, high), ahead, reason)


def _failures(report: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    found = {}
    for label, row in table(report.get("failures"), "failures").items():
        counts = {family: n for family, n in table(row, "failures").items() if isinstance(n, int) and n}
        if counts:
            found[label] = counts
    return found


def _stopped(one: Organisation) -> str | None:
    """Return in words how many episodes ended otherwise than by the protocol."""
    others = {reason: n for reason, n in one.stops.items() if reason not in ("finished", "consensus")}
    if not others:
        return None
    told = ", ".join(f"{n:,} ended by {reason.replace('_', ' ')}" for reason, n in others.items())
    return f"{one.label}: of {sum(one.stops.values()):,} episodes {told}"


def _matrix(report: Mapping[str, Any], directory: Path) -> Matrix | None:
    """Return the scores task by task, from the table of results; None where there is none that can be used."""
    try:
        frame = read_frame(Inside(directory).read(RESULTS))
        rows = frame.select("organisation", "n_agents", *_KEYS, "score").with_columns(pl.col("score").cast(pl.Float64))
    except (OSError, LogDamagedError, UnreadableTableError, pl.exceptions.PolarsError):
        return None
    sizes = rows.group_by("organisation", maintain_order=True).agg(pl.col("n_agents").n_unique().alias("sizes"))
    named = pl.when(pl.col("sizes") > 1).then(pl.format("{} n={}", "organisation", "n_agents"))
    rows = rows.join(sizes, on="organisation", how="left").with_columns(named.otherwise("organisation").alias("label"))
    labels = rows["label"].unique(maintain_order=True).to_list()[:64]
    known: dict[tuple[str, int, int], dict[str, float]] = {}
    for tasks, seed, task, label, score in rows.select(*_KEYS, "label", "score").iter_rows():
        known.setdefault((str(tasks), int(seed), int(task)), {})[label] = score
    lines = [_matrix_row(key, [scores.get(label) for label in labels]) for key, scores in sorted(known.items())]
    lines.sort(key=lambda row: not row.differ)
    return Matrix(labels, _runs(report, rows), lines[:MATRIX_MAX], len(lines))


def _matrix_row(key: tuple[str, int, int], scores: list[float | None]) -> MatrixRow:
    return MatrixRow(*key, scores, len({score for score in scores if score is not None}) > 1)


def _runs(report: Mapping[str, Any], rows: pl.DataFrame) -> dict[str, str]:
    labels = {(name, n): label for name, n, label in rows.select("organisation", "n_agents", "label").iter_rows()}
    found = {}
    for cell in listed(report.get("cells"), "cells"):
        one = table(cell, "cells")
        label = labels.get((one.get("organisation"), one.get("n_agents")))
        if label is not None:
            key = f"{label}|{text(one.get('tasks', ''), 'cells')}|{one.get('seed')}"
            found[key] = text(one.get("run", ""), "cells")
    return found
