"""`calibrate`, `phase` and `plan` from the command line on simulated and scripted agents, and the loop that they close.

The statistical tests have fixed seeds; a right program fails the boundary in one of twenty fresh seeds and a design in
about one of a hundred.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from agentsoc.cli import main
from agentsoc.engine import run as engine
from agentsoc.errors import InterruptedRunError
from agentsoc.log.read import RunLog
from agentsoc.scenario.model import Scenario
from analysis.commands import calibration_runs
from analysis.synergy.estimation.measured import Measured, load_measurements
from analysis.synergy.estimation.operating import operating_points
from analysis.synergy.estimation.run_roles import sort_runs, spent
from benchmarks.study_phase_closed_loop import boundary, random_case

SCENARIO = """
name: voters
seed: 3
tasks: {kind: signal, count: 100}
agents:
  model: {kind: simulated, a: 0.12, beta: 0.1, fidelity: {kind: exp, m0: 60}, lock: 0.1, message: 120, compute: 100}
topology: star
protocol: aggregate
"""
BUDGET = 1_500_000
LITTLE = 400_000
"""Tokens of a calibration that only has to be gone on with."""
UNMEASURED = Measured(5, "after_channel", "read", {}, {}, {}, (), None)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: object, code: int = 0) -> str:
        capsys.readouterr()
        found = main.main([str(word) for word in words])
        captured = capsys.readouterr()
        assert found == code, captured.out + captured.err
        return captured.out if code == 0 else captured.out + captured.err

    return call


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "voters.yaml"
    file.write_text(SCENARIO)
    return file


def test_a_calibration_keeps_its_wall_finds_the_voters_and_leads_to_a_plan_that_can_be_tested(
    told: Any, scenario: Path
) -> None:
    dry = told("calibrate", scenario, "--budget", BUDGET, "--dry-run")
    assert "nothing was started" in dry
    assert list(scenario.parent.iterdir()) == [scenario]
    said = told("calibrate", scenario, "--budget", BUDGET, "--at", "temperature=0.1", "--out", "c", "-q")
    assert "nothing was started" not in said
    assert "same command goes on" not in said
    logs = [RunLog(path.parent) for path in Path("c/runs").glob("*/manifest.json")]
    assert 0.9 * BUDGET < sum(map(spent, logs)) <= BUDGET
    assert f"of {BUDGET:,}" in said
    assert "temperature = 0.1: signal" in said
    assert "written to c/measurements.json, to look at: c/report.html" in said
    assert b"Phase at fan-in" in Path("c/report.html").read_bytes()
    measured = load_measurements(Path("c/measurements.json"))
    truth = {"gamma": -np.expm1(-2.0), "rho": 0.1, "beta": 0.1}
    for name, value in truth.items():
        estimate = measured.parameters[name]
        assert estimate is not None
        assert abs(estimate.value - value) < 4 * estimate.se
    assert measured.verdict == "amplify"
    # the same from the runs, told apart by their logs alone
    again = json.loads(told("phase", "c/runs", "--json"))
    same = json.loads(Path("c/measurements.json").read_text())
    for name in ("gamma", "rho", "alpha"):
        assert again["parameters"][name] == same["parameters"][name]
    assert len(sort_runs(logs).leaves) == 7  # six levels, and the other temperature
    # plan and follow-up
    plan = told("plan", "--measurements", "c/measurements.json", "-B", 6000, "-W", 1000, "--out", "f.yaml")
    for part in (
        "with these measurements and 6,000 tokens: a ",
        "P(it beats one agent) = ",
        "next best: ",
        "to be surer",
    ):
        assert part in plan
    best = json.loads(told("plan", "--measurements", "c/measurements.json", "-B", 6000, "-W", 1000, "--json"))
    told("compare", "f.yaml", "--out", "f", "--workers", 1, "-q")
    spent_on = pl.read_parquet("f/results.parquet").group_by("organisation").agg(pl.col("score").mean())
    scores = dict(spent_on.iter_rows())
    runs = [RunLog(path.parent).manifest.totals for path in Path("f/runs").glob("*/manifest.json")]
    assert all(0.97 * one.budget < one.tokens_in + one.tokens_out <= one.budget for one in runs if one.budget)
    predicted = (1 + best["best"]["mu_low"]) / 2, (1 + best["best"]["mu_high"]) / 2
    assert predicted[0] - 0.03 < scores["designed"] < predicted[1] + 0.03
    assert scores["designed"] > scores["single"]


def test_a_calibration_goes_on_where_it_was_interrupted_and_ends_the_same(
    told: Any, scenario: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told("calibrate", scenario, "--budget", LITTLE, "--out", "whole", "-q")
    before = {path.name: RunLog(path).manifest.digest for path in Path("whole/runs").iterdir()}
    calls = []

    def stops(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == 4:
            raise InterruptedRunError(str(args[1]))
        return engine.run(*args, **kwargs)

    monkeypatch.setattr(calibration_runs, "run", stops)
    said = told("calibrate", scenario, "--budget", LITTLE, "--out", "c", "-q", code=130)
    assert "same command goes on" in said
    assert "agentsoc resume" not in said  # one way on is told, not two
    for verb in ("show", "replay", "resume"):
        said = told(verb, "c", code=2)
        assert "this is a calibration" in said
        assert "agentsoc calibrate" in said
        assert "agentsoc run" not in said
    assert not Path("c/measurements.json").exists()
    Path("c/runs/03-leaf-200").mkdir()  # stopped before its manifest was written
    told("calibrate", scenario, "--budget", LITTLE, "--out", "c", "-q")
    assert {path.name: RunLog(path).manifest.digest for path in Path("c/runs").iterdir()} == before
    assert Path("c/measurements.json").read_bytes() == Path("whole/measurements.json").read_bytes()
    called = len(calls)
    told("calibrate", scenario, "--budget", LITTLE, "--out", "c", "-q")
    assert len(calls) == called
    assert "another calibration" in told("calibrate", scenario, "--budget", LITTLE + 1, "--out", "c", code=2)
    shutil.rmtree("c/runs")
    Path("other").mkdir()
    Path("other/file").write_text("")
    assert "not empty" in told("calibrate", scenario, "--budget", LITTLE, "--out", "other", code=2)


def test_agents_whose_votes_a_rule_counts_are_misread_by_nobody(told: Any, scenario: Path) -> None:
    text = SCENARIO.split("agents:")[0] + "agents: {model: {kind: scripted, accuracy: 0.7}, max_tokens: 16}\n"
    scenario.write_text(
        text.replace("signal, count: 100", "sentiment, count: 9") + "topology: star\nprotocol: aggregate\n"
    )
    words = ("calibrate", scenario, "--budget", 120_000, "--levels", "1,2,4,16", "--messages", 8, "--out", "c", "-q")
    said = told(*words)
    logs = [RunLog(path.parent) for path in Path("c/runs").glob("*/manifest.json")]
    assert sum(map(spent, logs)) <= 120_000
    assert all("budget" not in stop for log in logs for stop in log.manifest.totals.stops)
    measured = load_measurements(Path("c/measurements.json"))
    assert measured.nodes == "tally"
    assert (measured.messages[0].m, measured.messages[0].gamma.value) == (0, 1.0)
    assert "counted-vote fidelity at 8 tokens" in said
    assert len(measured.leaf["x"]) == 4  # batches of a level are one level
    plan = told("plan", "--measurements", "c/measurements.json", "-B", 900, "--out", "f.yaml")
    assert "one agent: 900 tokens" in plan
    told("compare", "f.yaml", "--set", "base.tasks.count=12", "--out", "f", "-q")
    runs = [RunLog(path.parent).manifest.totals for path in Path("f/runs").glob("*/manifest.json")]
    assert all(one.stops == {"finished": one.episodes} for one in runs)


def test_a_budget_that_pays_for_too_little_is_refused_before_anything_is_run(told: Any, scenario: Path) -> None:
    assert "pays for" in told("calibrate", scenario, "--budget", 30_000, "--out", "c", code=2)
    assert not Path("c").exists()
    two = scenario.parent / "two.yaml"
    two.write_text(SCENARIO.replace("agents:\n  model:", "agents:\n- model:") + "")
    two.write_text(two.read_text().replace("compute: 100}", "compute: 100}\n- model: simulated"))
    assert "one kind of agent" in told("calibrate", two, "--budget", BUDGET, code=2)
    assert "are no numbers" in told("calibrate", scenario, "--budget", BUDGET, "--levels", "a,b", code=2)
    assert "sets nothing" in told("calibrate", scenario, "--budget", BUDGET, "--at", "0.3", code=2)


def test_voters_of_any_kind_that_ask_no_model_cost_what_they_take(told: Any, scenario: Path) -> None:
    scenario.write_text(SCENARIO.split("agents:")[0] + "agents: {model: effort}\ntopology: star\nprotocol: aggregate\n")
    found = json.loads(told("calibrate", scenario, "--budget", 300_000, "--dry-run", "--json"))
    assert 290_000 < sum(run["tokens"] for run in found["runs"]) <= 300_000


def test_a_setting_costs_what_was_charged_for_it_with_what_was_lost(tmp_path: Path) -> None:
    model = {"kind": "simulated", "signal": 0.3, "compute": 100}
    given = {
        "name": "lone",
        "seed": 1,
        "tasks": {"kind": "signal", "count": 40},
        "agents": {"model": model, "count": 1},
    }
    engine.run(Scenario.model_validate({**given, "topology": "single", "protocol": "vote"}), tmp_path / "run")
    log = RunLog(tmp_path / "run")
    (before,) = operating_points([log], ["as it is"], UNMEASURED)
    log.manifest.totals.tokens_lost = 40 * 7
    (after,) = operating_points([log], ["as it is"], UNMEASURED)
    assert (before.tokens, after.tokens) == (100, 107)


def test_a_table_of_votes_tells_rho_and_refuses_what_it_does_not(told: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    rows = []
    for task in range(200):
        for run in range(2):
            locked, votes = rng.random() < 0.3, rng.random(5) < 0.65
            votes = np.where(locked, votes[0], votes)
            rows += [{"task": task, "run": run, "node": 0, "agent": i, "correct": int(v)} for i, v in enumerate(votes)]
    file = tmp_path / "votes.parquet"
    pl.DataFrame(rows).write_parquet(file)
    told_of = told("phase", "--votes", file)
    assert "refused: gamma" in told_of
    assert "rho = 0.3" in told_of or "rho = 0.2" in told_of
    found = json.loads(told("phase", "--votes", file, "--gamma", 0.9, "--json"))
    assert found["parameters"]["alpha"]["low"] > 1
    assert found["b"] == 5
    pl.DataFrame(rows).write_csv(tmp_path / "votes.csv")
    assert json.loads(told("phase", "--votes", tmp_path / "votes.csv", "--gamma", 0.9, "--json")) == found
    assert "missing: run" in told("phase", "--votes", _without(file, "run"), code=2)
    assert "give runs, or a table" in told("phase", code=2)
    assert "there is no run at" in told("phase", tmp_path, code=2)


def _without(file: Path, column: str) -> Path:
    target = file.with_name("less.parquet")
    pl.read_parquet(file).drop(column).write_parquet(target)
    return target


def test_parameters_that_are_given_are_planned_with_exactly(told: Any) -> None:
    words = ("plan", "--budget", 20_000, "--window", 1000, "--a", 0.05, "--beta", 0.15, "--rho", 0.1, "--m0", 60)
    said = told(*words)
    assert "taken as certain" in said
    found = json.loads(told(*words, "--json"))
    assert found["best"]["organisation"] in ("star", "tree")
    assert found["best"]["b"] * found["best"]["m"] <= 1000
    assert found["best"]["mu"] > found["by_organisation"]["single"]["mu"]
    assert "needs --measurements" in told("plan", "--budget", 1000, code=2)
    assert "--message" in told(*words[:-2], "--gamma", 0.8, code=2)
    assert "Usage" in told("plan")


def test_the_boundary_that_a_sweep_of_societies_draws_contains_the_true_one() -> None:
    for row in boundary(3, 2, 0.2, 15_000, 5, rhos=(0.0, 0.3), seed=2):
        assert row.low <= row.truth <= row.high
        assert row.high - row.low < 0.06


def test_designs_that_are_stated_to_win_win_in_simulation_and_those_stated_to_lose_lose() -> None:
    cases = [random_case(number, calibration_tokens=2_000_000, n_tasks=4_000) for number in (0, 1, 2, 3)]
    clear = [case for case in cases if case.p > 0.95 or case.p < 0.05]
    assert len(clear) >= 2
    assert any(case.p > 0.95 for case in clear)
    for case in clear:
        assert case.wins is (case.p > 0.5)
