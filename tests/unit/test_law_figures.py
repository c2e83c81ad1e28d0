"""The figures of laws: every axis has labelled ticks, within a decade as well, and names cover nothing."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

import analysis
from analysis.cascade_laws.figures import _log_axis, _symlog_ticks, draw_tails
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


def test_names_of_organisations_lie_apart(tmp_path: Path) -> None:
    figure = draw_cost(analysis.compare(a_comparison(tmp_path)))
    figure.draw_without_rendering()
    boxes = sorted((box.y0, box.y1) for box in map(Text.get_window_extent, figure.axes[0].texts))  # without the lines
    assert len(boxes) == 3
    assert all(after[0] >= before[1] - 1 for before, after in pairwise(boxes))
