"""A ceiling over all runs of a comparison or a sweep: split beforehand, the same for every task, never exceeded."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentsoc.errors import InputError, ScenarioError
from agentsoc.experiment.comparison import parse_comparison
from agentsoc.experiment.grid import make_grid
from agentsoc.scenario.load import load_scenarios

SWEEP = """
name: swept
tasks: {kind: arithmetic, count: 10}
agents: {count: 3, model: {kind: simulated}}
topology: independent
protocol: vote
budget: {tokens_per_task: 400}
sweep: {agents.count: [3, 5], seeds: 2}
"""
COMPARISON = """
name: compared
base:
  tasks: {kind: arithmetic, count: 10}
  agents: {count: 3, model: {kind: simulated}}
organisations:
  vote: {topology: independent, protocol: vote}
  star: {topology: star, protocol: aggregate}
seeds: 5
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    return path


def test_a_sweep_gives_every_task_of_every_run_the_same_part(tmp_path: Path) -> None:
    runs = load_scenarios(write(tmp_path, SWEEP + "budget_total: {tokens: 10010}\n"))
    assert len(runs) == 4
    assert [run.budget.tokens_per_task for run in runs if run.budget] == [250] * 4  # 40 tasks


def test_the_stricter_of_two_limits_holds(tmp_path: Path) -> None:
    runs = load_scenarios(write(tmp_path, SWEEP + "budget_total: {tokens: 1000000}\n"))
    assert [run.budget.tokens_per_task for run in runs if run.budget] == [400] * 4


def test_a_comparison_under_one_ceiling_stays_matched() -> None:
    grid = make_grid(parse_comparison(COMPARISON + "budget_total: {tokens: 30000}\n"))
    assert grid.matched
    assert {cell.scenario.budget.tokens_per_task for cell in grid.cells if cell.scenario.budget} == {300}
    assert sum(300 * cell.scenario.tasks.count for cell in grid.cells) <= 30_000
    assert not make_grid(parse_comparison(COMPARISON)).matched


def test_money_is_split_as_well() -> None:
    prices = "  prices: {simulated: {input: 1, output: 2}}\n"
    text = COMPARISON.replace("organisations:", prices + "organisations:")
    grid = make_grid(parse_comparison(text + "budget_total: {money: 5}\n"))
    budgets = [cell.scenario.budget for cell in grid.cells]
    assert all(budget is not None and float(budget.money_per_task or 0) == 0.05 for budget in budgets)


def test_a_ceiling_that_gives_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gives nothing to each of 40 tasks in 4 runs"):
        load_scenarios(write(tmp_path, SWEEP + "budget_total: {tokens: 39}\n"))
    with pytest.raises(ScenarioError, match="needs a limit"):
        load_scenarios(write(tmp_path, SWEEP + "budget_total: {}\n"))
    with pytest.raises(ScenarioError, match="budget_total"):
        parse_comparison(COMPARISON + "budget_total: {calls: 5}\n")
