"""The figures of laws: every axis has labelled ticks, within a decade as well, and names cover nothing."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

import analysis
from analysis.cascade_laws.examine import FAST, Laws, examine
from analysis.cascade_laws.figure_tables import growth_table, lorenz_table, merges_table, tails_table
from analysis.cascade_laws.figures import _log_axis, _symlog_ticks, draw_growth, draw_lorenz, draw_merges, draw_tails
from analysis.cascade_laws.nulls import deterministic_mixture
from analysis.comparison.figures import draw_cost
from tests.viewer_results import a_comparison, some_laws


def labelled(axes: Axes, side: str) -> list[str]:
    """Return the labels of the ticks that are within an axis."""
    axis = axes.xaxis if side == "x" else axes.yaxis
    low, high = axes.get_xlim() if side == "x" else axes.get_ylim()
    return [
        tick.get_text()
        for tick, place in zip(axis.get_ticklabels(), axis.get_ticklocs(), strict=True)
        if low <= place <= high and tick.get_text()
    ]


@pytest.mark.parametrize("values", [[3.0, 3.0], [3.0, 4.0], [1.0, 9.0], [2.0, 30.0], [1.0, 1e9], [1e-5, 1.0]])
def test_a_logarithmic_axis_has_two_ticks_and_holds_its_values(values: list[float]) -> None:
    axes = Figure().add_subplot()
    for side in ("x", "y"):
        _log_axis(axes, side, np.array(values))
        assert len(labelled(axes, side)) >= 2
        low, high = axes.get_xlim() if side == "x" else axes.get_ylim()
        assert low < min(values) <= max(values) < high


@pytest.mark.parametrize("most", [0.0, 1.0, 7.0, 5e6])
def test_an_axis_from_nought_has_two_ticks(most: float) -> None:
    axes = Figure().add_subplot()
    axes.set_xscale("symlog")
    axes.set_xlim(0, max(most, 1))
    _symlog_ticks(axes, "x", most)
    assert len(labelled(axes, "x")) >= 2


def test_tails_have_ticks_and_one_legend_outside_of_the_panels() -> None:
    figure = draw_tails(some_laws().whole)
    assert figure is not None
    for axes in figure.axes:
        assert len(labelled(axes, "x")) >= 2
        assert len(labelled(axes, "y")) >= 2
        assert axes.get_legend() is None
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][:2] == ["data", "power law"]


@pytest.fixture(scope="module")
def designed() -> Laws:
    """Laws of organisations of three sizes, whose largest values grow with N, and in which some merge."""
    return with_merges(examine(deterministic_mixture((4, 8, 16), repeats=2), effort=FAST), [0, 1, 2, 3, 4, 5])


def with_merges(laws: Laws, merges: list[int]) -> Laws:
    """Return laws in whose executions there were so many merges."""
    table = laws.integration.executions.with_columns(merges=pl.Series(merges, dtype=pl.Int64))
    return replace(laws, integration=replace(laws.integration, executions=table))


def drawn(axes: Axes) -> list[tuple[list[float], list[float]]]:
    """Return the points of all lines of a panel, without those that mark a place."""
    points = [(line.get_xdata(), line.get_ydata()) for line in axes.lines]
    told = [(np.asarray(x, dtype=np.float64).tolist(), np.asarray(y, dtype=np.float64).tolist()) for x, y in points]
    return [(x, y) for x, y in told if len(x) != 2 or y != [0.0, 1.0]]


def test_the_table_of_a_figure_has_every_point_that_is_drawn(designed: Laws) -> None:
    tails, lorenz, growth, merges = (of(designed) for of in (tails_table, lorenz_table, growth_table, merges_table))
    assert tails is not None
    assert lorenz is not None
    assert growth is not None
    assert merges is not None
    for figure, table, keys in (
        (draw_tails(designed), tails, ("observable", "of", "x", "share")),
        (draw_lorenz(designed), lorenz, ("topology", "topology", "agents", "acts")),
        (draw_merges(designed), merges, ("topology", "topology", "expansion", "merges")),
    ):
        assert figure is not None
        seen = [points for axes in figure.axes for points in drawn(axes)]
        told = [
            (part[keys[2]].cast(float).to_list(), part[keys[3]].cast(float).to_list())
            for part in table.partition_by(*dict.fromkeys(keys[:2]), maintain_order=True)
        ]
        assert seen == told
    figure = draw_growth(designed)
    assert figure is not None
    for axes, part in zip(figure.axes, growth.partition_by("observable", maintain_order=True), strict=True):
        columns = ["mean", "line", "cap"] if not part["cap"].null_count() else ["mean", "line"]
        assert [y for _, y in drawn(axes)] == [part[column].to_list() for column in columns]


def test_a_curve_that_lies_on_the_line_of_equals_is_seen_with_it(designed: Laws) -> None:
    figure = draw_lorenz(designed)
    assert figure is not None
    equal, *curves = figure.axes[0].lines
    assert equal.get_label() == "equal"
    assert all(equal.get_linewidth() > curve.get_linewidth() for curve in curves)  # and drawn first: below
    assert equal.get_linestyle() == "--"


def test_merges_that_would_be_one_point_or_none_are_not_drawn(designed: Laws) -> None:
    assert merges_table(designed) is not None
    nobody = with_merges(designed, [0] * 6)
    assert merges_table(nobody) is None
    assert draw_merges(nobody) is None
    same = replace(
        designed.integration,
        executions=designed.integration.executions.with_columns(expansion=pl.lit(7), merges=pl.lit(2)),
    )
    assert merges_table(replace(designed, integration=same)) is None


def test_names_of_organisations_lie_apart(tmp_path: Path) -> None:
    figure = draw_cost(analysis.compare(a_comparison(tmp_path)))
    figure.draw_without_rendering()
    boxes = sorted((box.y0, box.y1) for box in map(Text.get_window_extent, figure.axes[0].texts))  # without the lines
    assert len(boxes) == 3
    assert all(after[0] >= before[1] - 1 for before, after in pairwise(boxes))
