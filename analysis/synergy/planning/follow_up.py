"""This module writes the test of a recommendation: a comparison of the design with one agent of the same budget."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, Final

from agentsoc.contracts.part import Part, kind_of
from agentsoc.errors import InputError
from agentsoc.scenario.dump import dump
from agentsoc.scenario.model import Scenario
from agentsoc.society.calls import REPAIR_TOKENS
from analysis.synergy.estimation.measured import Measured
from analysis.synergy.planning.calibration_plan import merging, model_of, one_group
from analysis.synergy.planning.recommend import Ranked, Recommendation

SEEDS: Final = 5
"""Seeds over which the tasks are spread."""
_MOST_TASKS: Final = 20_000
_FEWEST_TASKS: Final = 50
_ITERATIONS: Final = 64


def follow_up(measured: Measured, chosen: Ranked, found: Recommendation) -> dict[str, Any]:
    """Return the comparison as plain data: organisations `single` and `designed` over a common base.

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
    group.pop("count", None)  # the topologies fix the number of agents
    tasks = base["tasks"]
    tasks = {"kind": tasks} if isinstance(tasks, str) else dict(tasks)
    tasks.pop("seed", None)
    fixed = tasks.get("file") is not None
    n = int(tasks.get("count", 20)) if fixed else min(max(tasks_for(chosen, found.single), _FEWEST_TASKS), _MOST_TASKS)
    n_seeds = 1 if fixed else SEEDS
    base.update(
        tasks={**tasks, "count": math.ceil(n / n_seeds)},
        agents=group,
        topology={"kind": "tree", "fan_in": design.b, "depth": design.depth},
        protocol={"kind": "aggregate", "by": merging(base)},
        budget={"tokens_per_task": budget if simulated else _wall(budget, measured)},
    )
    spoken = _without_defaults(base)
    for own in ("name", "description", "seed"):
        spoken.pop(own, None)
    organised = {key: spoken.pop(key) for key in ("topology", "protocol")}
    first = (int(base.get("seed", 0)) + 7_000_003) % 2**62
    return {
        "name": f"{str(base['name'])[:60]}-follow-up",
        "base": spoken,
        "organisations": {
            "single": {
                "agents": {"count": 1, **_turned(measured, found.single.design.x)},
                "topology": "single",
                "protocol": "vote",
            },
            "designed": {"agents": _turned(measured, design.x), **organised},
        },
        "seeds": [first + number for number in range(n_seeds)],
        "baseline": "single",
    }


def follow_up_text(measured: Measured, chosen: Ranked, found: Recommendation) -> str:
    """Return the comparison as YAML, with what is predicted in its head."""
    data = follow_up(measured, chosen, found)
    n = data["base"]["tasks"]["count"] * len(data["seeds"])
    head = [
        f"# {chosen.design.said().capitalize()},",
        f"# against one agent, both with {math.floor(found.budget):,} tokens a task.",
        *_predicted(chosen, found, n),
    ]
    return "\n".join([*head, dump(data)])


def _predicted(chosen: Ranked, found: Recommendation, n: int) -> list[str]:
    """Return what is predicted of a comparison over n tasks, as comments."""
    if found.no_prediction is not None:
        return [f"# Nothing is predicted: {found.no_prediction}."]
    needed = tasks_for(chosen, found.single)
    size = f"The {n:,} tasks here show a difference of that size four times in five."
    if needed > n:
        size = f"The {n:,} tasks here are too few to show a difference of that size four times in five."
    return [
        f"# Predicted: signal {chosen.design.mu:.3f} [{chosen.low:.3f}, {chosen.high:.3f}] against "
        f"{found.single.design.mu:.3f} [{found.single.low:.3f}, {found.single.high:.3f}];",
        f"# P(the design is better) = {found.chance(chosen)}. {size}",
    ]


def _wall(budget: int, measured: Measured) -> int:
    """Return a wall that stops nobody early, because the engine reserves more than calls then take.

    Both sides are sized to spend the budget; the run says what they did spend.
    """
    once = measured.x_range[0] if measured.x_range is not None else budget
    return round(4 * budget + budget / max(once, 1.0) * REPAIR_TOKENS)


def _without_defaults(scenario: dict[str, Any]) -> dict[str, Any]:
    """Return the scenario without what need not be said; kinds stay."""
    built = Scenario.model_validate(scenario)
    said_only = built.model_dump(mode="json", exclude_defaults=True)
    for slot in ("tasks", "topology", "protocol"):
        said_only[slot] = _part(getattr(built, slot))
    [group] = built.agents
    said_only["agents"] = {
        **group.model_dump(mode="json", exclude_defaults=True, exclude={"model"}),
        "model": _part(group.model),
    }
    return {key: said_only[key] for key in scenario if key in said_only}


def _part(part: Part) -> dict[str, Any]:
    """Return the kind of a part and what differs from its defaults."""
    kept = part.model_dump(mode="json", exclude_defaults=True)
    return {"kind": kind_of(type(part)), **kept}


def _turned(measured: Measured, x: float) -> dict[str, Any]:
    """Return the settings of the agents with which the dial spends x tokens at most."""
    dial = measured.dial
    value: Any
    if dial == "model.compute":
        value = max(math.floor(x + 1e-9), 1)
    elif dial == "iterations" and measured.x_range is not None:
        value = int(min(max(x // measured.x_range[0], 1), _ITERATIONS))
    else:
        value = _level(measured.leaf, x)
    for key in reversed(dial.split(".")):
        value = {key: value}
    return dict(value)


def _level(leaf: Mapping[str, Any], x: float) -> float:
    """Return the largest level of another dial whose tokens were not more than x; the smallest when all were."""
    pairs = sorted(zip(leaf.get("levels", ()), leaf.get("x", ()), strict=False))
    if not pairs:
        raise InputError("the measurements do not say which level of the dial spends how much", "--out")
    fitting = [level for level, tokens in pairs if tokens <= x * 1.001]
    level = float(max(fitting, default=pairs[0][0]))
    return int(level) if level.is_integer() else level


def tasks_for(chosen: Ranked, single: Ranked) -> int:
    """Return tasks for a power of 80 % at 5 %, two-sided, from the predicted accuracies."""
    p, q = (1 + chosen.design.mu) / 2, (1 + single.design.mu) / 2
    gap = max(abs(p - q), 1e-6)
    n = (1.96 + 0.84) ** 2 * (p * (1 - p) + q * (1 - q)) / gap**2
    return math.ceil(n)
