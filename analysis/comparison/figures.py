"""This module draws a comparison: scores with intervals, score against cost or budget curves, differences to baselines.

Needs matplotlib (the `plot` extra). Nothing is drawn that `Report` does not hold; beside each picture (PNG) stands the
table of what is drawn (CSV).
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from agentsoc.errors import InputError, MissingExtraError
from agentsoc.log.inside import Inside
from analysis.comparison.curve_figure import curve_rows, draw_curves
from analysis.comparison.figure_tables import baselines, cost_table, differences_table, row_name, scores_table
from analysis.comparison.report import Report, measured
from analysis.csv_cells import as_csv
from analysis.scales import apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DOTS_PER_INCH: Final = 120
_WIDTH: Final = 7.0
_COST_HEIGHT: Final = 4.5
_BASE: Final = "0.45"
_COLOUR: Final = "#0072b2"  # distinguishable with any kind of colour vision


def draw(report: Report, directory: Path) -> list[Path]:
    """Write the figures of a report into `directory`, each with its numbers as CSV, and return the files.

    There is none of what cannot be compared.

    Raises:
        InputError: the directory cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    figures: dict[str, tuple[Figure, pl.DataFrame]] = {}
    if report.rows():
        figures["scores"] = draw_scores(report), scores_table(report)
        figures["cost"] = draw_cost(report), cost_table(report)
    if any(block.found.rows for block in report.blocks):
        figures["differences"] = draw_differences(report), differences_table(report)
    if report.curves is not None:
        figures["budget-curves"] = draw_curves(report.curves), curve_rows(report.curves)
    files: dict[str, bytes] = {}
    written = []
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        for name, (figure, table) in figures.items():
            drawn = io.BytesIO()
            figure.savefig(drawn, format="png", dpi=_DOTS_PER_INCH)
            files |= {f"{name}.png": drawn.getvalue(), f"{name}.csv": as_csv(table)}
        for name, data in files.items():
            Inside(directory.parent).write(f"{directory.name}/{name}", data)
            written.append(directory / name)
    except OSError as error:
        raise InputError(f"figures cannot be written: {error.strerror or error}", str(directory)) from error
    return written


def draw_scores(report: Report) -> Figure:
    """Return the mean score of every organisation with its interval."""
    rows = report.rows()
    figure, axes = _rows_figure(len(rows))
    for at, row in enumerate(rows):
        base = row.organisation in baselines(report)
        _bar(axes, at, row.mean.value, row.mean.low, row.mean.high, _BASE if base else _COLOUR)
    _label_rows(axes, [row.organisation for row in rows])
    axes.set(xlabel=f"mean score, {rows[0].mean.level:.0%} interval", title=report.results.record.name)
    return figure


def draw_cost(report: Report) -> Figure:
    """Return the mean score against the tokens that a task took, with both intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, _COST_HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    tokens: list[float] = []
    points: list[tuple[str, float, float]] = []
    for row in report.rows():
        spent = measured(report, row.organisation, "tokens")
        if spent is None:
            continue
        tokens.append(spent.value)
        colour = _BASE if row.organisation in baselines(report) else _COLOUR
        across = [[max(spent.value - spent.low, 0)], [max(spent.high - spent.value, 0)]]
        up = [[max(row.mean.value - row.mean.low, 0)], [max(row.mean.high - row.mean.value, 0)]]
        axes.errorbar([spent.value], [row.mean.value], xerr=across, yerr=up, fmt="o", ms=5, color=colour, capsize=2)
        points.append((row.organisation, spent.value, row.mean.value))
    if tokens and min(tokens) > 0 and max(tokens) > 10 * min(tokens):
        axes.set_xscale("log")
    _name_points(axes, points)
    for ceiling in {value for value in report.results.budgets.values() if value is not None}:
        axes.axvline(ceiling, color="0.7", lw=0.8, ls=":")
    axes.set(xlabel="tokens a task (dotted: the budget)", ylabel="mean score", title="Score against what it took")
    return figure


def draw_differences(report: Report) -> Figure:
    """Return the paired differences to the baseline with their intervals; a line stands at no difference."""
    rows = [(block, row) for block in report.blocks for row in block.found.rows]
    figure, axes = _rows_figure(len(rows))
    axes.axvline(0.0, color="0.6", lw=0.8)
    for at, (_, row) in enumerate(rows):
        _bar(axes, at, row.difference.value, row.difference.low, row.difference.high, _COLOUR)
    _label_rows(axes, [row_name(block, row.organisation) for block, row in rows])
    base = report.results.record.baseline
    axes.set(xlabel=f"score minus that of {base}, {rows[0][1].difference.level:.0%} interval", title="Paired by task")
    return figure


def _name_points(axes: Axes, points: list[tuple[str, float, float]]) -> None:
    """Write names at the right of the picture, each as near to the height of its point as no other name is."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    height = 55 * _COST_HEIGHT  # points of type that the axes are about high
    places = [(mean - low) / (high - low) * height for _, _, mean in points]
    for (name, x, y), place in zip(points, apart(places, 10, 0, height), strict=True):
        axes.annotate(
            name, (x, y), (1.02, place / height), textcoords="axes fraction", fontsize=8, va="center",
            arrowprops={"arrowstyle": "-", "color": "0.8", "lw": 0.6},
        )  # fmt: skip


def _rows_figure(n: int) -> tuple[Figure, Axes]:
    """Return an empty figure with room for `n` rows; no window system is touched."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingExtraError("drawing", "matplotlib", "plot") from None
    figure = Figure(figsize=(_WIDTH, 1.2 + 0.32 * n), layout="constrained")
    return figure, figure.add_subplot()


def _bar(axes: Axes, at: int, value: float, low: float, high: float, colour: str) -> None:
    around = np.array([[max(value - low, 0.0)], [max(high - value, 0.0)]])
    axes.errorbar([value], [at], xerr=around, fmt="o", ms=5, color=colour, capsize=3)


def _label_rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
