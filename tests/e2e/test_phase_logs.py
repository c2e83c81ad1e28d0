"""The phase from logs: simulated societies run through the engine, read back and estimated, give what went in.

Nothing here draws votes by the formula under test: all come from the engine. Seeds are fixed; "within 4 standard
errors" fails a right program once in about 15,000 fresh seeds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import agentsoc
from agentsoc import RunLog
from agentsoc.errors import InputError
from agentsoc.scenario.model import Scenario
from analysis.synergy.diagram.panels import phase_plane
from analysis.synergy.estimation.channel_errors import channel_errors
from analysis.synergy.estimation.estimate import Measurements, estimate_phase, from_logs
from analysis.synergy.estimation.fidelity_fit import fit_fidelity
from analysis.synergy.estimation.holdout import HoldOutModel, hold_out_depth
from analysis.synergy.estimation.interval import Estimate
from analysis.synergy.estimation.known import KnownParameters
from analysis.synergy.estimation.node_response import fit_response
from analysis.synergy.estimation.sibling_correlation import estimate_rho
from analysis.synergy.estimation.votes import leaf_table, level_table, merge_table, trip_table, vote_table
from analysis.synergy.planning.calibration import CalibrationRun, leaf_runs, merge_runs, relay_runs
from analysis.synergy.theory import formulas as theory

M0 = 100.0
LAW = {"a": 0.03, "beta": 0.2, "fidelity": {"kind": "exp", "m0": M0}, "lock": 0.2, "message": 200, "compute": 300}
GAMMA = float(-np.expm1(-200 / M0))


def base(count: int = 1500, seed: int = 5, **model: Any) -> dict[str, Any]:
    return {
        "name": "calibration",
        "seed": seed,
        "tasks": {"kind": "signal", "count": count},
        "agents": {"model": {"kind": "simulated", **LAW, **model}},
        "topology": "star",
        "protocol": "aggregate",
    }


def execute(runs: list[CalibrationRun], directory: Path) -> list[RunLog]:
    return [agentsoc.run(Scenario.model_validate(run.scenario), directory / run.scenario["name"]) for run in runs]


def near(estimate: Estimate | None, truth: float) -> bool:
    return estimate is not None and abs(estimate.value - truth) <= 4 * estimate.se


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Measurements:
    directory = tmp_path_factory.mktemp("calibration")
    leaves = execute(leaf_runs(base(3000), [256 * 2**i for i in range(6)]), directory)
    relays = execute(relay_runs(base(600), [200]), directory)
    merges = execute(merge_runs(base(1500), 5), directory)
    return from_logs(leaves=leaves, relays=relays, merges=merges)


def test_calibration_through_the_engine_finds_the_phase_of_its_voters(calibrated: Measurements) -> None:
    found = estimate_phase(calibrated, 5)
    assert near(found.beta, 0.2)
    assert near(found.gamma, GAMMA)
    assert near(found.rho, 0.2)
    assert (found.gamma_from, found.rho_from) == ("merges", "merges")
    assert near(found.alpha, float(theory.alpha(5, GAMMA, 0.2)))
    assert near(found.s, float(theory.organization_exponent(5, GAMMA, 0.2)))
    assert found.verdict == "amplify"
    assert found.violated == ()
    assert {check.code for check in found.checks if check.status == "not contradicted"} == {
        *("chance", "A1", "A3", "A5", "A6", "K", "size")
    }
    assert found.n_tasks == 6 * 3000 + 600 + 1500
    plane = phase_plane(5, estimate=found, n=20)
    assert plane.point == (found.gamma.value, found.rho.value)  # type: ignore[union-attr]


def test_tables_of_logs_hold_every_act_once(calibrated: Measurements) -> None:
    assert calibrated.leaves is not None
    assert calibrated.leaves.height == 6 * 3000
    assert set(calibrated.leaves["truth"].unique()) == {"A", "B"}
    assert sorted(calibrated.leaves["x"].unique().to_list()) == [256.0 * 2**i for i in range(6)]
    assert calibrated.trips is not None
    assert calibrated.trips.height == 600
    assert calibrated.trips["m"].unique().to_list() == [200.0]
    assert calibrated.votes is not None
    assert calibrated.votes.height == 5 * 1500
    assert calibrated.merges is not None
    assert calibrated.merges.height == 1500
    by_node = calibrated.votes.group_by("task").agg(pl.col("correct").sum().cast(pl.Int64).alias("right"))
    joined = calibrated.merges.join(by_node, on="task", suffix="_votes")
    assert (joined["right"] == joined["right_votes"]).all()


def test_a_deaf_organisation_collapses_and_one_without_evidence_is_undecided(tmp_path: Path) -> None:
    deaf = execute(merge_runs(base(4000, fidelity=0.4), 5), tmp_path)
    found = estimate_phase(from_logs(merges=deaf), 5)
    assert near(found.gamma, 0.4)
    assert found.verdict == "collapse"
    noisy = execute(relay_runs(base(400, fidelity=0.35), [200]), tmp_path)
    heard = estimate_phase(from_logs(relays=noisy), 5, known=KnownParameters(rho=0.2))
    assert near(heard.gamma, 0.35)
    assert heard.verdict == "collapse"
    few = execute(relay_runs({**base(40, fidelity=0.7), "name": "few"}, [200]), tmp_path)
    assert estimate_phase(from_logs(relays=few), 5, known=KnownParameters(rho=0.2)).verdict in ("undecided", "amplify")
    critical = execute(relay_runs({**base(40, seed=9, fidelity=0.62), "name": "critical"}, [200]), tmp_path)
    assert estimate_phase(from_logs(relays=critical), 5, known=KnownParameters(rho=0.2)).verdict == "undecided"


def test_the_fidelity_curve_is_read_from_planted_relays(tmp_path: Path) -> None:
    logs = execute(relay_runs(base(800), [20, 60, 180, 540]), tmp_path)
    fit = fit_fidelity(trip_table(logs), n_draws=50)
    for point in fit.points:
        assert abs(point.gamma.value - -np.expm1(-point.m / M0)) <= point.gamma.width
    assert "exp" in {rival.curve.family for rival in fit.rivals}
    plain = next(c.curve for c in fit.candidates if c.curve.family == "exp" and c.n_parameters == 1)
    assert plain.m0 == pytest.approx(M0, rel=0.15)


def test_four_answers_give_the_same_fidelity(tmp_path: Path) -> None:
    scenario = {**base(1500), "tasks": {"kind": "signal", "count": 1500, "choices": 4}}
    table = trip_table(execute(relay_runs(scenario, [200]), tmp_path))
    assert table["k"].unique().to_list() == [4]
    assert near(fit_fidelity(table).points[0].gamma, GAMMA)


def test_a_reader_that_keeps_its_own_answer_has_a_lower_counted_vote_fidelity(tmp_path: Path) -> None:
    [run] = relay_runs(base(3000, signal=0.6), [200])
    run.scenario["agents"][1]["model"]["keep_own"] = 0.5
    table = trip_table(execute([run], tmp_path))
    assert near(channel_errors(table).gamma, 0.5 * GAMMA)
    # Without a planted sender, what both find easy looks like hearing: the agreement is too high.
    own = {**run.scenario, "name": "own", "agents": [run.scenario["agents"][1] | {"count": 2}]}
    agreement = fit_fidelity(trip_table(execute([CalibrationRun("relay", 200.0, own)], tmp_path))).points[0].gamma
    assert agreement.low > 0.5 * GAMMA


def test_gamma_and_rho_are_read_from_a_single_tree_and_the_place_of_its_lock_is_told(tmp_path: Path) -> None:
    for order in ("after_channel", "before_channel"):
        scenario = Scenario.model_validate(
            {
                **base(3000, signal=0.2, fidelity=0.75, lock=0.35, lock_order=order),
                "topology": {"kind": "tree", "fan_in": 5, "depth": 2},
            }
        )
        table = merge_table([agentsoc.run(scenario, tmp_path / order)])
        right = fit_response(table, lock=order)
        other = fit_response(table, lock="before_channel" if order == "after_channel" else "after_channel")
        assert near(right.gamma, 0.75)
        assert near(right.rho, 0.35)
        assert right.loglik > other.loglik + 3
        assert right.gamma is not None
        assert right.gamma.method == "bootstrap"  # six merges a task


def test_the_deepest_tree_is_predicted_from_leaves_and_first_level(tmp_path: Path) -> None:
    def tree(name: str, seed: int, mixture: list[dict[str, float]], signal: Any) -> RunLog:
        changed = {**base(700, seed, signal=signal), "topology": {"kind": "tree", "fan_in": 5, "depth": 3}}
        changed["tasks"] = {**changed["tasks"], "mixture": mixture}
        return agentsoc.run(Scenario.model_validate(changed), tmp_path / name)

    equal = tree("equal", 3, [], 0.2)
    uneven = tree("uneven", 4, [{"weight": 0.8, "signal": 0.4}, {"weight": 0.2, "signal": -0.1}], "task")
    for log, mixed in ((equal, False), (uneven, True)):
        votes = vote_table([log]).filter(pl.col("node").str.starts_with("1."))
        held = hold_out_depth(votes, merge_table([log], level=1), level_table([log]), 5)
        assert held.depth == 3
        assert held.mixture is mixed
        assert abs(held.z) < 3.5
        assert held.observed.width < 0.25
        if mixed:  # negative control: the pooled mean promises far too much
            pooled = hold_out_depth(
                votes, merge_table([log], level=1), level_table([log]), 5, model=HoldOutModel(difficulty="equal")
            )
            assert pooled.z < -3.5


def test_replicates_of_the_same_tasks_part_difficulty_from_correlation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("tasks.jsonl")
    rows = [
        {
            "id": str(i),
            "question": "?",
            "answer": "AB"[i % 2],
            "options": ["A", "B"],
            "difficulty": (0.8, -0.1)[i % 3 > 1],
        }
        for i in range(300)
    ]
    file.write_text("\n".join(json.dumps(row) for row in rows))
    scenario = {**base(signal="task"), "tasks": {"kind": "jsonl", "count": 300, "file": str(file)}}
    logs = execute(merge_runs(scenario, 5, replicates=3), tmp_path)
    assert len({log.manifest.tasks_hash for log in logs}) == 1
    table = vote_table(logs)
    assert table["task"].n_unique() == 300
    fit = estimate_rho(table)
    assert near(fit.within, 0.0)
    assert fit.pooled is not None
    assert fit.pooled.low > 0.1
    assert near(fit.between_variance, 2 / 9 * 0.81)
    once = estimate_rho(vote_table(logs[:1]))
    assert once.within is None
    assert "difficulty" in once.refusals[0]
    found = estimate_phase(from_logs(merges=logs), 5)
    assert any(text.startswith("A2 violated") for text in found.violated)
    assert near(found.rho, 0.2)  # that of received votes, which difficulty does not touch


def test_independent_votes_are_siblings_and_scripted_readers_are_read_turn_by_turn(tmp_path: Path) -> None:
    scripted = {**base(60), "agents": {"model": {"kind": "scripted", "accuracy": 0.8}}}
    [run] = relay_runs(scripted, [32])
    assert run.scenario["parents"] == "visible"
    table = trip_table(execute([run], tmp_path))
    assert table.height == 60
    assert table["m"].unique().to_list() == [32.0]
    assert channel_errors(table).gamma.covers(0.0)  # scripts do not listen
    crowd = {**base(50), "agents": {"count": 4, "model": {"kind": "simulated", "signal": 0.5}}}
    log = agentsoc.run(
        Scenario.model_validate({**crowd, "topology": "independent", "protocol": "vote"}), tmp_path / "crowd"
    )
    votes = vote_table([log])
    assert votes.height == 200
    assert votes.select("task", "run", "node").n_unique() == 50


def test_a_log_without_a_fixed_set_of_answers_is_refused(tmp_path: Path) -> None:
    scenario = {**base(4), "tasks": {"kind": "arithmetic", "count": 4}, "agents": {"count": 3, "model": "scripted"}}
    log = agentsoc.run(Scenario.model_validate({**scenario, "protocol": "vote"}), tmp_path / "free")
    with pytest.raises(InputError, match="fixed set of answers"):
        leaf_table([log])


def test_values_beside_the_logs_are_checked(calibrated: Measurements, tmp_path: Path) -> None:
    logs = execute(relay_runs(base(20), [200]), tmp_path)
    with pytest.raises(InputError, match="2 values of m"):
        trip_table(logs, m=[1, 2])
    assert trip_table(logs, m=[77])["m"].unique().to_list() == [77.0]
    with pytest.raises(InputError, match="no runs"):
        vote_table([])
