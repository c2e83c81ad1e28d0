"""A pilot runs the first tasks as the whole run would, keeps them, and says what to expect beside the bound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentsoc.cli.main import main
from agentsoc.engine.pilot import Pilot, pilot_scenario, run_pilot
from agentsoc.engine.run import run
from agentsoc.errors import ConsentNeededError, InputError
from agentsoc.scenario.load import parse_scenario
from agentsoc.scenario.prices import UNIT

TEXT = """
name: short
seed: 4
tasks: {kind: comparison, count: 40}
agents: {count: 3, model: {kind: scripted, accuracy: 0.7}}
topology: independent
protocol: vote
budget: {tokens: 80000, money: 4}
prices: {scripted: {input: 1, output: 2}}
"""


def test_the_first_tasks_take_what_they_take_in_the_whole_run(tmp_path: Path) -> None:
    scenario = parse_scenario(TEXT)
    found = run_pilot(scenario, 5, tmp_path / "pilot")
    whole = run(scenario, tmp_path / "whole")
    rows = whole.episode_rows()
    assert rows is not None
    first = [sum(row[name] for name in ("tokens_in", "tokens_out")) for row in rows.slice(0, 5).to_pylist()]
    assert list(found.tokens) == first
    assert found.tokens_expected == pytest.approx(sum(first) * 8)
    spent = whole.manifest.totals
    assert found.tokens_expected == pytest.approx(spent.tokens_in + spent.tokens_out, rel=0.1)
    assert spent.cost is not None
    assert found.cost_expected is not None
    assert found.cost_expected / UNIT == pytest.approx(spent.cost, rel=0.1)


def test_a_task_of_the_pilot_has_the_budget_that_it_has_in_the_run() -> None:
    scenario = parse_scenario(TEXT)
    small = pilot_scenario(scenario, 3)
    assert small.budget is not None
    assert scenario.budget is not None
    assert small.budget.limits(3) == scenario.budget.limits(40)
    assert (small.name, small.tasks.count) == ("short-pilot", 3)
    with pytest.raises(InputError, match="no smaller than the run, which has 40"):
        pilot_scenario(scenario, 40)


def test_nothing_is_sent_before_somebody_agrees(tmp_path: Path) -> None:
    scenario = parse_scenario(TEXT.replace("{kind: scripted, accuracy: 0.7}", "openai/gpt-4o-mini").replace(
        "budget: {tokens: 80000, money: 4}", ""))  # fmt: skip
    with pytest.raises(ConsentNeededError, match=r"https://api\.openai\.com"):
        run_pilot(scenario, 2, tmp_path / "pilot")
    assert not (tmp_path / "pilot").exists()


def test_what_is_expected_is_the_mean_over_the_pilot(tmp_path: Path) -> None:
    done = run(pilot_scenario(parse_scenario(TEXT), 2), tmp_path / "pilot")
    told = dict(Pilot(done, 40, (100, 200), (UNIT // 10, UNIT // 5), 3.0).lines())
    assert told["pilot"].startswith("the first 2 of 40 tasks, 6 calls, in ")
    assert told["tokens"] == "150 a task (100 to 200), about 6,000 for all tasks"
    assert told["money"] == "0.1500 a task, about 6.0000 for all tasks"
    assert told["time"] == "3.0 s for the pilot, about 60 s for all tasks with 2 tasks at a time"


def test_check_tells_the_pilot_beside_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("short.yaml").write_text(TEXT)

    def told(*words: str, code: int = 0) -> Any:
        assert main(["check", "short.yaml", *words]) == code
        said = capsys.readouterr()
        return json.loads(said.out) if "--json" in words else said.out + said.err

    found = told("--pilot", "3", "--json")
    assert found["pilot"]["n_tasks"] == 3
    assert found["pilot"]["tokens_expected"] < found["runs"][0]["tokens_max"]
    assert Path(found["pilot"]["run_dir"]) == Path("runs/short-pilot-s4")
    assert "\npilot     the first 3 of 40 tasks" in told("--pilot", "3")
    assert "this stands for 2" in told("--pilot", "3", "--seeds", "2", code=2)
    assert "pilot" not in told("--json")
