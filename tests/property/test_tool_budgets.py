"""Whatever fails, dies or is made again, calls of tools and what they cost never pass the ceiling of a task.

What was spent is added up from the journal by itself, superseded rows included, with none of the code under test.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from agentsoc.engine.fork import fork
from agentsoc.engine.replay import replay
from agentsoc.engine.resume import resume
from agentsoc.engine.run import run
from agentsoc.log.journal import Attempt
from agentsoc.log.read import RunLog
from agentsoc.scenario.model import Scenario
from tests import interrupted
from tests.tooling import noted

CALL, INPUT, OUTPUT = 0.05, 1000, 2000
"""Prices: of a call of a tool; of a million tokens of input and output (money)."""
POLICIES: tuple[Any, ...] = (None, "uniform", {"kind": "per-level", "weights": [2, 1]}, "proportional")


def society(tmp_path: Path, rng: random.Random, **changes: Any) -> Scenario:
    """Return a society with tools under a budget of random currencies, shares, failures and attempts."""
    plain = noted(tmp_path / "notes", tmp_path / "peeks").model_dump(mode="json")
    group = plain["agents"][0]
    model = {**group["model"], "fail_rate": rng.choice([0.0, 0.3]), "malformed_rate": rng.choice([0.0, 0.2])}
    budget: dict[str, Any] = {"shown": rng.choice(["hidden", "team"])}
    if rng.random() < 0.8:
        budget["tool_calls_per_task"] = rng.randint(1, 20)
    if rng.random() < 0.6 or len(budget) == 1:
        budget["money_per_task"] = rng.choice([0.3, 0.8, 2.0])
    policy = rng.choice(POLICIES)
    if rng.random() < 0.5 or policy is not None:
        budget["tokens_per_task"] = rng.choice([2_000, 20_000])
        budget["policy"] = policy
    prices = {
        "tool:peeking": {"call": CALL},
        "tool:calculator": {"call": 2 * CALL},
        "scripted": {"input": INPUT, "output": OUTPUT},
    }
    return noted(
        tmp_path / "notes",
        tmp_path / "peeks",
        **{
            "agents": {"count": 3, "model": model, "tools": group["tools"]},
            "tasks": {"kind": "coin", "count": 2},
            "calls": {"backoff_s": 0.0, "attempts": rng.choice([1, 2])},
            "topology": "star" if isinstance(policy, dict) else "decentralized",
            "budget": budget,
            "prices": prices,
            **changes,
        },
    )


def price_of(row: Attempt) -> float:
    """Return what a row cost at least."""
    if row.model.startswith("tool:"):
        return {"tool:peeking": CALL, "tool:calculator": 2 * CALL}.get(row.model, 0.0)
    return ((row.tokens_in or 0) * INPUT + (row.tokens_out or 0) * OUTPUT) / 1e6


def require_ceilings(directory: Path, scenario: Scenario) -> int:
    """Check that no task of a run passed a ceiling; return how many calls were refused."""
    assert scenario.budget is not None
    log = RunLog(directory)
    log.check()
    assert replay(directory).digest == log.manifest.digest
    rows, events = list(log.journal()), list(log.events())
    for task in range(scenario.tasks.count):
        mine = [row for row in rows if row.task == task]
        called = [row for row in mine if row.model.startswith("tool:")]
        made = [event for event in events if event.task == task and event.kind == "tool_call"]
        refused = [event for event in made if (event.text or "").startswith("limit: ")]
        superseded = [row for row in called if row.state == "superseded"]
        assert len(called) - len(superseded) == len(made) - len(refused)
        if (most := scenario.budget.tool_calls_per_task) is not None:
            assert len(called) <= most
            if refused and scenario.budget.money_per_task is None and not superseded:
                assert len(called) == most  # nothing is refused before the ceiling is reached
        if (money := scenario.budget.money_per_task) is not None:
            assert sum(map(price_of, mine)) <= float(money) + 1e-9
        if (tokens := scenario.budget.tokens_per_task) is not None:
            assert sum((row.tokens_in or 0) + (row.tokens_out or 0) for row in mine) <= tokens
    return sum((event.text or "").startswith("limit: ") for event in events if event.kind == "tool_call")


@pytest.mark.parametrize("number", range(8))
def test_calls_of_tools_never_pass_a_ceiling(tmp_path: Path, number: int) -> None:
    rng = random.Random(number)
    scenario = society(tmp_path, rng)
    done = run(scenario, tmp_path / "run")
    require_ceilings(tmp_path / "run", scenario)
    n_writes = 2 * len(list(done.journal()))
    interrupted.with_kills(scenario, tmp_path / "killed", rng, n_writes, kills=2)
    require_ceilings(tmp_path / "killed", scenario)
    resume(tmp_path / "run", retry_failed=True)
    require_ceilings(tmp_path / "run", scenario)
    fork(tmp_path / "run", 1, rng.randint(0, 2), scenario, tmp_path / "fork")
    require_ceilings(tmp_path / "fork", scenario)


def test_these_cases_meet_refusals_failures_and_rounds_made_again(tmp_path: Path) -> None:
    refused = superseded = 0
    for number in (7, 24, 40):
        where = tmp_path / str(number)
        where.mkdir()
        scenario = society(where, random.Random(number), calls={"backoff_s": 0.0, "attempts": 1})
        run(scenario, where / "run")
        resume(where / "run", retry_failed=True)
        refused += require_ceilings(where / "run", scenario)
        rows = RunLog(where / "run").journal()
        superseded += sum(row.state == "superseded" and row.model.startswith("tool:") for row in rows)
    assert refused > 0
    assert superseded > 0
