"""What metrics say of tools, rewards, shared resources and games: counted by hand, with their intervals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentsoc.cli import main
from agentsoc.engine.run import run
from agentsoc.errors import InputError
from agentsoc.log.read import RunLog
from analysis.measures.acting import acting, failure_of, tool_of
from analysis.measures.commons import shared_resource
from analysis.measures.cooperation import cooperation
from analysis.stats.survival import kaplan_meier
from tests.societies import built
from tests.tooling import noted


def played(
    directory: Path, environment: dict[str, Any], *policies: dict[str, Any], count: int = 6, seed: int = 5
) -> RunLog:
    """Return the log of episodes that such policies play."""
    blocks = {
        "tasks": {"kind": "episodes", "count": count, "environment": environment},
        "agents": [{"count": one.pop("n", 1), "model": {"kind": "policy", **one}} for one in map(dict, policies)],
        "topology": "decentralized",
        "protocol": "play",
        "seed": seed,
    }
    run(built(**blocks), directory)
    return RunLog(directory)


@pytest.mark.parametrize("resource", ["fishery", "inverse"])
@pytest.mark.parametrize(("take", "time", "total", "over"), [(10, 12, 600, 0), (11, 4, 195, 1), (15, 2, 125, 1)])
def test_the_measures_of_a_commons_are_those_of_the_published_table(
    take: int, time: int, total: int, over: int, resource: str, tmp_path: Path
) -> None:
    world = {"kind": "commons", "fixed": take, "resource": resource}
    found = shared_resource(played(tmp_path / "run", world, {"n": 5, "name": "fixed"}))
    assert found is not None
    assert (found.n, found.rounds) == (6, 12)
    assert found.survival_time is not None
    assert found.survival_time.value == pytest.approx(time)
    assert found.survival_rate.value == (time == 12)
    assert found.gain is not None
    assert found.gain.value == pytest.approx(total / 5)
    assert found.efficiency is not None
    assert found.efficiency.value == pytest.approx(total / 600)
    assert found.over_usage is not None
    assert found.over_usage.value == over
    assert found.curve.median() == (None if time == 12 else time)
    for measured in (found.survival_rate, found.efficiency, found.over_usage):
        assert 0 <= measured.low <= measured.value <= measured.high <= 1
        assert measured.width > 0  # six episodes that agree prove little


def test_a_newcomer_counts_from_when_it_came_and_a_greedy_one_takes_more_than_its_share(tmp_path: Path) -> None:
    world = {"kind": "commons", "newcomer_from": 4}
    found = shared_resource(played(tmp_path / "run", world, {"n": 4}, {"name": "greedy"}))
    assert found is not None
    assert found.survival_rate.value == 0
    assert found.over_usage is not None
    assert found.over_usage.value == pytest.approx(1 / 21)  # the newcomer's one move among 4 x 4 + 5
    assert found.curve.time.tolist() == [5]


def test_survival_is_that_of_the_textbook() -> None:
    # six months of remission: 6, 6, 6, 7, 10 relapsed; 6, 9, 10, 11 still well (Freireich et al. 1963, the first nine)
    time, died = np.array([6, 6, 6, 6, 7, 9, 10, 10, 11]), np.array([1, 1, 1, 0, 1, 0, 1, 0, 0.0])
    curve = kaplan_meier(time, died)
    assert curve.time.tolist() == [6, 7, 10]
    assert curve.at_risk.tolist() == [9, 5, 3]
    assert [share.value for share in curve.share] == pytest.approx([6 / 9, 6 / 9 * 4 / 5, 6 / 9 * 4 / 5 * 2 / 3])
    assert curve.beyond(5).value == 1.0
    assert curve.beyond(8).value == pytest.approx(8 / 15)
    assert curve.median() == 10
    assert all(0 <= share.low < share.value < share.high <= 1 for share in curve.share)
    with pytest.raises(InputError, match="at least one life"):
        kaplan_meier(np.array([], dtype=np.int64), np.array([]))


def test_the_survival_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(400):
        time = rng.geometric(0.2, size=40)
        curve = kaplan_meier(np.minimum(time, 12), (time <= 12).astype(float))
        held += curve.beyond(4).covers(0.8**4)
    assert abs(held / 400 - 0.95) < 0.04


def test_fines_bring_cooperation_and_are_counted(tmp_path: Path) -> None:
    policies = ({"n": 3}, {"name": "selfish"})
    world = {"kind": "payoff", "rounds": 5}
    without = cooperation(played(tmp_path / "without", world, *policies))
    fined = cooperation(played(tmp_path / "with", {**world, "punishment": True}, *policies))
    assert without is not None
    assert fined is not None
    assert without.rate is not None
    assert without.rate.value == pytest.approx(0.75)
    assert (without.change is None or without.change.value, without.fines) == (0, None)
    assert fined.rate is not None
    assert fined.rate.value == pytest.approx((0.75 + 4) / 5)
    assert fined.change is not None
    assert fined.change.value == pytest.approx(0.25)
    assert fined.fines is not None
    assert fined.fines.value == pytest.approx(3 * 2 / 20)
    assert fined.payoff is not None
    assert fined.payoff.value == pytest.approx((4 * 4 * 32 + 116 - 3 * 2 - 3 * 2 * 3) / 20)


def test_a_game_of_one_move_each_is_measured_by_its_own_rule(tmp_path: Path) -> None:
    world = {"kind": "payoff", "game": "trust", "rounds": 1}
    found = cooperation(played(tmp_path / "run", world, {}, {"name": "selfish"}))
    assert found is not None
    assert found.rate is not None
    assert found.rate.value == pytest.approx(0.5)  # everything is sent, nothing comes back
    assert found.change is None
    assert "change" not in " ".join(found.summary())


def test_calls_of_tools_are_counted_by_tool_failure_and_repetition(tmp_path: Path) -> None:
    run(noted(tmp_path / "notes", tmp_path / "peeks"), tmp_path / "run")
    log = RunLog(tmp_path / "run")
    events = [event for event in log.events() if event.kind == "tool_call"]
    found = acting(log)
    assert found is not None
    assert found.calls == len(events) == log.manifest.totals.events_by_kind["tool_call"]
    assert found.by_tool == {name: sum(f'"{name}"' in (e.answer or "") for e in events) for name in found.by_tool}
    seen: set[tuple[int, str | None]] = set()
    repeated = 0
    for event in events:
        repeated += (event.task, event.answer) in seen
        seen.add((event.task, event.answer))
    assert found.redundant is not None
    assert found.redundant.value == pytest.approx(repeated / len(events))
    assert found.failed is not None
    assert found.failed.value == pytest.approx(sum(failure_of(e.text) is not None for e in events) / len(events))
    totals = log.manifest.totals
    assert found.per_1k_tokens == pytest.approx(1000 * len(events) / (totals.tokens_in + totals.tokens_out))
    assert found.per_score == pytest.approx(len(events) / (3 * (totals.score or 0)))
    assert found.wrong_after_success is not None
    assert json.loads(json.dumps(found.as_dict()))["tool_calls"] == len(events)


def test_wrong_claims_that_failed_calls_fed_are_followed_to_what_builds_on_them(tmp_path: Path) -> None:
    model = {"kind": "scripted", "accuracy": 0.5, "uses_tools": [[{"tool": "nothing", "arguments": {}}]]}
    agents = {"count": 4, "model": model, "tools": ["calculator"]}
    blocks = {"tasks": {"kind": "coin", "count": 12}, "topology": "decentralized"}
    run(built(**blocks, agents=agents, protocol={"kind": "debate", "rounds": 2}), tmp_path / "run")
    found = acting(RunLog(tmp_path / "run"))
    assert found is not None
    assert set(found.failed_by_kind) == {"unknown_tool"}
    assert found.failed is not None
    assert found.failed.value == 1.0
    assert found.wrong_after_success is None
    assert found.wrong_after_failure is not None
    assert 0.3 < found.wrong_after_failure.value < 0.7
    assert found.spread is not None
    assert (found.spread.table["per_fault"].to_numpy() >= 1).all()
    assert (found.spread.table["tainted"] >= found.spread.table["faults"]).all()


def test_failures_and_tools_are_read_from_their_texts() -> None:
    assert failure_of("timeout: no result within 2 s") == "timeout"
    assert failure_of("result: error: not really") is None
    assert failure_of("errors: many") is None
    assert failure_of(None) is None
    assert tool_of('{"tool":"table","arguments":{}}') == "table"
    assert [tool_of(odd) for odd in (None, "[", "[]", '{"tool":3}')] == ["?"] * 4


def test_metrics_print_what_environments_are_measured_by(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = played(tmp_path / "run", {"kind": "commons"}, {"n": 5})
    assert main.main(["metrics", str(log.directory), "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)["runs"]
    assert said["world"]["survival_rate"]["value"] == 1.0
    assert said["acting"]["reward_per_task"]["value"] == pytest.approx(600)
    assert main.main(["metrics", str(log.directory)]) == 0
    text = capsys.readouterr().out
    assert "commons: survival rate 1.000" in text
    assert "rewards: 600" in text


def test_runs_without_tools_and_environments_are_measured_as_before(tmp_path: Path) -> None:
    run(built(tasks={"kind": "coin", "count": 2}, agents={"count": 2, "model": "scripted"}, topology="decentralized",
              protocol="vote"), tmp_path / "run")  # fmt: skip
    log = RunLog(tmp_path / "run")
    assert (acting(log), shared_resource(log), cooperation(log)) == (None, None, None)
