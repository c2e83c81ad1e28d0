"""A pilot runs the first tasks as the whole run would, keeps them, and says what to expect beside the bound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentsoc import RunLog, compare
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


BOTH = """
name: both
base:
  tasks: {kind: comparison, count: 30}
  agents: {count: 3, model: {kind: scripted, accuracy: 0.7}}
  prices: {scripted: {input: 1, output: 2}}
organisations:
  vote: {topology: independent, protocol: vote}
  debate: {topology: decentralized, protocol: {kind: debate, rounds: 2}}
seeds: 2
"""


def test_a_pilot_of_a_comparison_is_one_of_each_organisation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("both.yaml").write_text(BOTH)
    assert main(["check", "both.yaml", "--pilot", "10", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["organisation"] for one in told["pilots"]] == ["vote", "debate"]
    done = compare("both.yaml", "whole")
    logs = [RunLog(path.parent) for path in sorted(done.directory.glob("runs/*/manifest.json"))]
    for one, kind in zip(told["pilots"], told["kinds"], strict=True):
        spent = [log.manifest.totals for log in logs if log.directory.name.startswith(one["organisation"])]
        tokens = sum(totals.tokens_in + totals.tokens_out for totals in spent)
        assert one["runs"] == 2
        assert one["tokens_expected"] == pytest.approx(tokens, rel=0.1)
        assert one["tokens_expected"] < kind["tokens_max"]
        assert one["cost_expected"] == pytest.approx(sum(totals.cost or 0 for totals in spent), rel=0.1)
    assert main(["check", "both.yaml", "--pilot", "2"]) == 0
    said = capsys.readouterr().out
    assert "2 of 30 of comparison" in said
    assert "expected    about " in said
    assert "one run after the other" in said
    assert main(["check", str(done.directory), "--pilot", "2"]) == 2
    assert "a pilot is of a file" in capsys.readouterr().err
    assert main(["check", "both.yaml", "--pilot", "30"]) == 2
    assert "no smaller than the run, which has 30" in capsys.readouterr().err
    free = BOTH.replace("{kind: scripted, accuracy: 0.7}", "simulated").replace("scripted:", "simulated:")
    Path("free.yaml").write_text(free.replace("kind: comparison", "kind: signal"))
    assert main(["check", "free.yaml", "--pilot", "2"]) == 2
    assert "no organisation of this comparison asks a model" in capsys.readouterr().err


def test_the_ceiling_over_a_comparison_can_be_set_from_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("both.yaml").write_text(BOTH)
    assert main(["check", "both.yaml", "--set", "budget_total.tokens=60000", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["matched"]
    assert [kind["budget"] for kind in told["kinds"]] == [30_000, 30_000]
    assert main(["check", "both.yaml", "--set", "budget_total.tokens=119"]) == 2
    assert "gives nothing" in capsys.readouterr().err


def test_a_cache_of_replies_with_hosts_on_ray_is_refused_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cached.yaml"
    path.write_text(TEXT + "calls: {cache: replies.sqlite}\n")
    for words in (
        ["check", "--set", "engine.address=local"],
        ["run", "--address", "local", "--out", str(tmp_path / "run")],
    ):
        assert main([words[0], str(path), *words[1:]]) == 2
        said = capsys.readouterr().err
        assert f"{path}" in said
        assert "hosts on Ray write and send their requests themselves" in said
        assert "run in this process, without --address" in said
    assert not (tmp_path / "run").exists()
