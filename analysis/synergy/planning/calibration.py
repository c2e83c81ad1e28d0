"""This module says which small runs identify a, beta, gamma and rho for a model and a task family, as scenarios.

Four kinds, each of which tells what the others cannot:

* ``leaf``: lone agents at levels of a dial of compute -> a, beta.
* ``relay``: a planted random message and one reader -> gamma at each message length. Planted, because two agents that
  find the same tasks easy agree without having heard each other.
* ``merge``: b leaves and one node that tallies -> gamma and rho of received votes, and the spread of difficulty.
* ``replicate``: the merge run again, on the same tasks with fresh draws -> rho of sent votes apart from difficulty. The
  tasks get a seed of their own for it.

Nothing is run here: give each scenario to `agentsoc.parse_scenario` and `agentsoc.run`, then the logs to
`estimate.from_logs`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentsoc.errors import InputError

Purpose = Literal["leaf", "relay", "merge", "replicate", "operating"]


@dataclass(frozen=True)
class CalibrationRun:
    """The object is one run of a calibration."""

    purpose: Purpose
    level: float
    """Compute (leaf), message length (relay), fan-in (merge) or number of the replicate."""
    scenario: dict[str, Any]
    """A scenario, ready to be validated."""


def leaf_runs(base: Mapping[str, Any], levels: Sequence[float], *, dial: str = "model.compute") -> list[CalibrationRun]:
    """Return one run of a lone agent per level of compute.

    Args:
        base: a scenario with one group of agents; its tasks, model and seed are kept.
        levels: values of the dial, at least 4 with a spread of 16 for an exponent.
        dial: what is turned in the group of agents, e.g. ``model.compute``, ``iterations`` or ``max_tokens``.
    """
    runs = []
    for number, level in enumerate(levels):
        scenario, group = _copy(base)
        group["count"] = 1
        _turn(group, dial, level)
        scenario.update(name=_name(base, f"leaf-{level:g}"), agents=[group], topology="single", protocol="vote")
        scenario["seed"] = _seed(base, 1, number)
        runs.append(CalibrationRun("leaf", float(level), scenario))
    return runs


def relay_runs(base: Mapping[str, Any], lengths: Sequence[int], *, answers: int = 2) -> list[CalibrationRun]:
    """Return one run of a random sender and one reader per message length.

    The sender's answer is uniform over the answers, whatever the truth, so the reader's can only follow it by reading.
    Simulated readers are told to answer what they read. Real readers add their own view: the result is counted-vote
    fidelity, and ``parents: visible`` logs what they were shown.

    Args:
        base: a scenario with one group of agents, the readers.
        lengths: tokens of a message.
        answers: number of answers of a task, K.
    """
    runs = []
    for number, length in enumerate(lengths):
        scenario, reader = _copy(base)
        reader["count"] = 1
        if reader["model"]["kind"] == "simulated":
            reader["model"].update(message=length, keep_own=0.0)
            sender: dict[str, Any] = {"kind": "simulated", "signal": 0.0, "message": length}
        else:
            scenario["message_tokens"] = length
            sender = {"kind": "scripted", "accuracy": 1 / answers}
        scenario.update(
            name=_name(base, f"relay-{length}"),
            agents=[{"count": 1, "model": sender}, reader],
            topology="chain",
            protocol="aggregate",
            parents="visible",
            seed=_seed(base, 2, number),
        )
        runs.append(CalibrationRun("relay", float(length), scenario))
    return runs


def merge_runs(base: Mapping[str, Any], b: int, *, replicates: int = 1, by: str = "majority") -> list[CalibrationRun]:
    """Return runs of b leaves under one node; with `replicates`, the same tasks again with fresh draws.

    Args:
        base: a scenario with one group of agents.
        b: fan-in, odd.
        replicates: runs of the same tasks.
        by: how the node merges: ``majority`` is a rule that counts (simulated voters read the votes through their
            channel first); ``model`` asks a model.
    """
    runs = []
    for number in range(replicates):
        scenario, group = _copy(base)
        group["count"] = None
        scenario.update(
            name=_name(base, f"merge-{number}"),
            tasks={**scenario["tasks"], "seed": _seed(base, 3, 0)},
            agents=[group],
            topology={"kind": "tree", "fan_in": b, "depth": 1},
            protocol={"kind": "aggregate", "by": by},
            seed=_seed(base, 3, number),
        )
        if by != "majority":
            scenario["parents"] = "visible"
        runs.append(CalibrationRun("merge" if number == 0 else "replicate", float(number or b), scenario))
    return runs


def _copy(base: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a deep copy of the scenario, its tasks without a seed of their own, and of its one group of agents."""
    scenario = copy.deepcopy(dict(base))
    tasks = scenario["tasks"]
    tasks = {"kind": tasks} if isinstance(tasks, str) else dict(tasks)
    tasks.pop("seed", None)  # each run meets fresh tasks
    scenario["tasks"] = tasks
    groups = scenario["agents"] if isinstance(scenario["agents"], list | tuple) else [scenario["agents"]]
    if len(groups) != 1:
        raise InputError(
            f"calibration measures one kind of agent, the scenario has {len(groups)} groups",
            "agents",
            "calibrate each group apart",
        )
    group = dict(groups[0])
    group["model"] = {"kind": group["model"]} if isinstance(group["model"], str) else dict(group["model"])
    return scenario, group


def _turn(group: dict[str, Any], dial: str, value: float) -> None:
    """Set a dotted key of the group."""
    *path, last = dial.split(".")
    place = group
    for key in path:
        place = place[key]
    place[last] = int(value) if float(value).is_integer() else value


def _name(base: Mapping[str, Any], suffix: str) -> str:
    return f"{str(base['name'])[: 79 - len(suffix)]}-{suffix}"


def _seed(base: Mapping[str, Any], purpose: int, number: int) -> int:
    """Return a seed of its own for each run: equal seeds would draw equal votes, errors would not be independent."""
    return (int(base.get("seed", 0)) + 1_000_003 * purpose + number) % 2**63
