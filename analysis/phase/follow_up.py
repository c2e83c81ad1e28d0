"""The test of a recommendation: a scenario whose sweep sets the design beside one agent with the same budget."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, Final

from agentsoc.errors import InputError
from agentsoc.scenario.dump import dump
from agentsoc.scenario.model import Scenario
from agentsoc.scenario.part import Part, kind_of
from agentsoc.society.agent import REPAIR_TOKENS

from .calibration_plan import model_of, one_group, protocol_of
from .measured import Measured
from .recommend import Ranked, Recommendation, said, sure

_MOST_TASKS: Final = 20_000
_FEWEST_TASKS: Final = 50
_ITERATIONS: Final = 64


def follow_up(measured: Measured, chosen: Ranked, found: Recommendation) -> dict[str, Any]:
    """Return the scenario as plain data, with a sweep of two: `designed` and `single`.

    It has as many tasks as show the predicted difference with a power of about 80 %, on tasks that were not measured.

    Args:
        measured: what the recommendation was made from; its scenario is the base.
        chosen: the design to test.
        found: the recommendation.

    Raises:
        InputError: the measurements hold no scenario with one group of agents.
    """
    if measured.scenario is None:
        raise InputError("the measurements do not hold the scenario that was measured", "--out")
    base = copy.deepcopy({key: value for key, value in measured.scenario.items() if key not in ("engine", "sweep")})
    group = dict(one_group(base))
    model = dict(model_of(group))
    simulated = model["kind"] == "simulated"
    design, budget = chosen.design, math.floor(found.budget)
    if simulated and design.m:
        model["message"] = design.m
    group["model"] = model
    by_model = protocol_of(base).get("by") == "model"
    tasks = base["tasks"]
    tasks = {"kind": tasks} if isinstance(tasks, str) else dict(tasks)
    tasks.pop("seed", None)
    fixed = tasks.get("file") is not None
    n = int(tasks.get("count", 20)) if fixed else _tasks_for(chosen, found.single)
    base.update(
        name=f"{str(base['name'])[:60]}-follow-up",
        description=f"{said(design)} against one agent, both with {budget:,} tokens a task",
        seed=(int(base.get("seed", 0)) + 7_000_003) % 2**63,
        tasks={**tasks, "count": n},
        agents={**group, "count": None},
        topology={"kind": "tree", "fan_in": design.b, "depth": design.depth},
        protocol={"kind": "aggregate", "by": "model" if by_model else "majority"},
        budget={"tokens_per_task": budget if simulated else _wall(budget, measured)},
    )
    dial = measured.dial
    base["sweep"] = {
        "organisation": {
            "designed": _turned(measured, dial, design.x),
            "single": {"agents.count": 1, "topology": "single", "protocol": "vote", **_turned(measured, dial, budget)},
        }
    }
    return base


def follow_up_text(measured: Measured, chosen: Ranked, found: Recommendation) -> str:
    """Return the scenario as YAML, with what is predicted in its head."""
    scenario = follow_up(measured, chosen, found)
    scenario = _without_defaults(scenario)
    head = [
        f"# {scenario['description']}.",
        f"# Predicted: signal {chosen.design.mu:.3f} [{chosen.low:.3f}, {chosen.high:.3f}] against "
        f"{found.single.design.mu:.3f} [{found.single.low:.3f}, {found.single.high:.3f}];",
        f"# P(the design is better) = {sure(chosen.p)}. {scenario['tasks']['count']:,} tasks show a difference of that "
        "size four times in five.",
    ]
    return "\n".join([*head, dump(scenario)])


def _wall(budget: int, measured: Measured) -> int:
    """Return a wall that stops nobody early: what the engine reserves is more than what calls then take.

    Both sides are sized to spend the budget; the run says what they did spend.
    """
    once = measured.x_range[0] if measured.x_range is not None else budget
    return round(4 * budget + budget / max(once, 1.0) * REPAIR_TOKENS)


def _without_defaults(scenario: dict[str, Any]) -> dict[str, Any]:
    """Return the scenario without what need not be said; kinds stay."""
    plain = {key: value for key, value in scenario.items() if key != "sweep"}
    built = Scenario.model_validate(plain)
    said_only = built.model_dump(mode="json", exclude_defaults=True)
    for slot in ("tasks", "topology", "protocol"):
        said_only[slot] = _part(getattr(built, slot))
    [group] = built.agents
    said_only["agents"] = {
        **group.model_dump(mode="json", exclude_defaults=True, exclude={"model"}),
        "model": _part(group.model),
    }
    order = [key for key in scenario if key in said_only]
    return {**{key: said_only[key] for key in order}, "sweep": scenario["sweep"]}


def _part(part: Part) -> dict[str, Any]:
    """Return the kind of a part and what differs from its defaults."""
    kept = part.model_dump(mode="json", exclude_defaults=True)
    return {"kind": kind_of(type(part)), **kept}


def _turned(measured: Measured, dial: str, x: float) -> dict[str, Any]:
    """Return the setting of the dial that spends x tokens at most."""
    if dial == "model.compute":
        return {"agents.model.compute": max(math.floor(x + 1e-9), 1)}
    if dial == "iterations" and measured.x_range is not None:
        once = measured.x_range[0]
        return {"agents.iterations": int(min(max(x // once, 1), _ITERATIONS))}
    return {f"agents.{dial}": _level(measured.leaf, x)}


def _level(leaf: Mapping[str, Any], x: float) -> float:
    """Return the largest level of another dial whose tokens were not more than x; the smallest when all were."""
    pairs = sorted(zip(leaf.get("levels", ()), leaf.get("x", ()), strict=False))
    if not pairs:
        raise InputError("the measurements do not say which level of the dial spends how much", "--out")
    fitting = [level for level, tokens in pairs if tokens <= x * 1.001]
    level = float(max(fitting, default=pairs[0][0]))
    return int(level) if level.is_integer() else level


def _tasks_for(chosen: Ranked, single: Ranked) -> int:
    """Return tasks for a power of 80 % at 5 %, two-sided, from the predicted accuracies."""
    p, q = (1 + chosen.design.mu) / 2, (1 + single.design.mu) / 2
    gap = max(abs(p - q), 1e-6)
    n = (1.96 + 0.84) ** 2 * (p * (1 - p) + q * (1 - q)) / gap**2
    return int(min(max(math.ceil(n), _FEWEST_TASKS), _MOST_TASKS))
