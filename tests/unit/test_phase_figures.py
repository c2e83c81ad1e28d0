"""Each panel of the phase diagram has a table with what it draws."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from analysis.csv_cells import as_csv
from analysis.synergy.diagram.figure_tables import budget_table, depth_table, plane_table
from analysis.synergy.diagram.panels import budget_panel, phase_plane, trajectory_panel
from analysis.synergy.theory.costs import LeafLaw


def of(table: pl.DataFrame, what: str) -> pl.DataFrame:
    return table.filter(pl.col("what") == what)


def test_the_table_of_the_plane_has_each_place_of_it_and_the_lines() -> None:
    plane = phase_plane(5, beta=0.2, mu0=0.3, n=7)
    table = plane_table(plane)
    assert plane.finite is not None
    for name, field in (("s", plane.s), ("mu over mu0", plane.finite)):
        rows = of(table, name)
        np.testing.assert_allclose(rows["value"].to_numpy().reshape(7, 7), field, rtol=1e-5)
        np.testing.assert_allclose(rows["gamma"].to_numpy()[:7], plane.gamma, rtol=1e-5)
        np.testing.assert_allclose(rows["rho"].to_numpy()[::7], plane.rho, rtol=1e-5)
    line = of(table, "alpha = 1, lock")
    np.testing.assert_allclose(line["gamma"].fill_null(np.inf), plane.boundary_lock, rtol=1e-5)
    assert of(table, "beta").row(0) == ("beta", None, None, 0.2)
    assert of(table, "measured").height == of(table, "draw").height == 0


def test_the_table_of_budgets_has_no_number_where_no_budget_does_it() -> None:
    panel = budget_panel(5, 0.95, 0.05, LeafLaw(0.02, 0.2), 50, n=9)
    table = budget_table(panel)
    rows = of(table, "B_catch")
    assert rows["beta"].to_list() == pytest.approx(panel.beta)
    assert rows["budget"].is_null().to_list() == [not known for known in np.isfinite(panel.catch_up)]
    assert (rows["tokens"] / rows["budget"]).drop_nulls().to_list() == pytest.approx(
        [panel.c0] * rows["budget"].count()
    )
    assert of(table, "s")["beta"].to_list() == [panel.s]


def test_the_table_of_depths_has_the_bounds_and_what_was_measured() -> None:
    answers = pl.DataFrame({"task": ["a", "b"] * 2, "level": [0, 0, 2, 2], "correct": [1.0, 0.0, 1.0, 1.0]})
    panel = trajectory_panel(0.1, 5, 0.9, 0.25, 3, answers=answers)
    table = depth_table(panel)
    assert of(table, "exact")["signal"].to_list() == pytest.approx(panel.exact)
    assert of(table, "lower bound")["depth"].to_list() == [0, 1, 2, 3]
    assert of(table, "95 % band").height == 0
    assert of(table, "measured").select("depth", "signal").rows() == [(0, 0.0), (2, 1.0)]


def test_a_cell_of_text_is_no_formula() -> None:
    found = as_csv(pl.DataFrame({"organisation": ["=cmd()", "plain", "@x"], "n": [-1, 2, 3]}))
    assert found == b"organisation,n\n'=cmd(),-1\nplain,2\n'@x,3\n"
