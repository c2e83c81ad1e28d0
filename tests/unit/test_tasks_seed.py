"""Tasks with a seed of their own: the same tasks with fresh draws, and nothing changes for scenarios without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentsoc.contracts.task import TASKS
from agentsoc.engine.run import run
from agentsoc.log.record import hash_json
from agentsoc.scenario.load import load_scenarios, parse_scenario
from agentsoc.scenario.model import Scenario

TEXT = """
name: replicate
seed: {seed}
tasks: {{kind: {kind}, count: 12{tasks}}}
agents: {{count: 4, model: {model}}}
topology: star
protocol: aggregate
"""
VOTERS = "{kind: simulated, signal: 0.3, fidelity: 0.8}"


def made(seed: int, kind: str = "signal", tasks: str = "", model: str = VOTERS) -> Scenario:
    return parse_scenario(TEXT.format(seed=seed, kind=kind, tasks=tasks, model=model))


def test_a_scenario_without_a_seed_of_its_tasks_has_the_hash_that_it_always_had() -> None:
    plain = made(7)
    assert "seed" not in plain.result_part()["tasks"]
    assert plain.tasks_seed == 7
    digest = hash_json(plain.result_part()["tasks"])
    assert digest == hash_json({"kind": "signal", "count": 12, "choices": 2, "mixture": []})
    assert hash_json(made(7, tasks=", seed: 5").result_part()) != hash_json(plain.result_part())


@pytest.mark.parametrize("kind", sorted(set(TASKS.names()) - {"jsonl", "reasoning-gym", "coin", "free"}))
def test_every_family_makes_the_tasks_of_its_own_seed(kind: str) -> None:
    game = ", environment: shop" if kind == "episodes" else ""
    own, other = made(9, kind, f"{game}, seed: 5"), made(5, kind, game)
    assert own.tasks_seed == other.tasks_seed == 5
    assert list(own.tasks.tasks(own.tasks_seed)) == list(other.tasks.tasks(5))


@pytest.mark.parametrize("settings", [{}, {"engine": {"vectorise": False}}])
@pytest.mark.parametrize("kind", ["signal", "sentiment"])
def test_runs_of_two_seeds_meet_the_same_tasks_with_fresh_draws(
    tmp_path: Path, settings: dict[str, Any], kind: str
) -> None:
    runs = []
    for seed in (1, 2, 5):
        scenario = made(seed, kind, ", seed: 5" if seed != 5 else "")
        engine = scenario.engine.model_copy(update=settings.get("engine", {}))
        runs.append(run(scenario.model_copy(update={"engine": engine}), tmp_path / str(seed)))
    assert len({log.manifest.tasks_hash for log in runs}) == 1
    assert all(log.tasks().equals(runs[0].tasks()) for log in runs)
    assert len({log.manifest.digest for log in runs}) == 3
    answers = [log.frame().filter(kind="propose_claim")["answer"].to_list() for log in runs]
    assert answers[0] != answers[1] != answers[2]


def test_a_sweep_over_seeds_repeats_the_same_tasks(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(TEXT.format(seed=3, kind="signal", tasks=", seed: 5", model=VOTERS) + "sweep: {seeds: 3}\n")
    found = load_scenarios(file)
    assert [one.seed for one in found] == [3, 4, 5]
    assert {one.tasks_seed for one in found} == {5}
