"""This module says where the theory of phases puts a crossover, where it has parameters for both organisations.

It has them for simulated voters with a leaf law: one agent who thinks longer against a star or a tree whose leaves do,
with majority counts and right-or-wrong answers (docs/phase-theory.md). The least budget at which the tree equals the
single agent follows from the exact recursion. Of models nothing is known beforehand; `agentsoc phase` estimates their
parameters from runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentsoc.theory.fidelity import capacity, exponential, hill, hyperbolic
from analysis.synergy.theory.budget import exact_threshold
from analysis.synergy.theory.costs import LeafLaw
from analysis.synergy.theory.recursion import Lock

_LAWS = {"exp": exponential, "hyperbolic": hyperbolic, "capacity": capacity}
_PLAIN = ("invalid", "shared", "keep_own", "rejects")
"""Settings of voters about which the theory says nothing."""


@dataclass(frozen=True)
class StoredOrganisation:
    """An organisation as its runs have it: the plain data of a scenario, and the dial that is turned."""

    scenario: Mapping[str, Any]
    n_agents: int
    dial: str


def predicted_crossover(known: Mapping[str, StoredOrganisation], one: str, other: str) -> float | None:
    """Return the budget at which the theory lets a tree overtake a single agent (tokens); None where it says nothing.

    Args:
        known: the organisations of a comparison.
        one: an organisation.
        other: another one.
    """
    if one not in known or other not in known:
        return None
    pair = sorted((known[one], known[other]), key=lambda found: found.n_agents)
    voters = [_voters(found) for found in pair]
    if None in voters or voters[0] != voters[1] or pair[0].n_agents != 1 or pair[1].n_agents == 1:
        return None
    shape = _shape(pair[1])
    model = voters[0]
    if shape is None or model is None:
        return None
    fan_in, depth = shape
    lock: Lock = "before_channel" if model["lock_order"] == "before_channel" else "after_channel"
    found = exact_threshold(
        fan_in, _fidelity(model), float(model["lock"]), float(model["message"]),
        LeafLaw(float(model["a"]), float(model["beta"]), float(model["signal_max"])),
        depth, c_agg=float(model["overhead"]), lock=lock,
    )  # fmt: skip
    return found if math.isfinite(found) and found > 0 else None


def _voters(found: StoredOrganisation) -> dict[str, Any] | None:
    """Return the settings of the voters of an organisation whose dial is their compute, without it; else None."""
    scenario = found.scenario
    models = [group["model"] for group in scenario["agents"]]
    tasks = scenario["tasks"]
    if found.dial != "compute" or len(models) != 1 or models[0].get("kind") != "simulated":
        return None
    model = {key: value for key, value in models[0].items() if key != "compute"}
    if model.get("signal") is not None or model.get("mixture") or any(model.get(name) for name in _PLAIN):
        return None
    if tasks.get("kind") != "signal" or tasks.get("choices") != 2 or tasks.get("mixture") or scenario.get("faults"):
        return None
    return model


def _shape(found: StoredOrganisation) -> tuple[int, int] | None:
    """Return odd fan-in and depth of a full tree, or of a star, that counts majorities; None for any other."""
    topology, protocol = found.scenario["topology"], found.scenario["protocol"]
    if protocol["kind"] != "aggregate" or protocol.get("by", "majority") != "majority":
        return None
    if topology["kind"] == "star":
        fan_in, depth = found.n_agents - 1, 1
    elif topology["kind"] == "tree":
        fan_in = int(topology["fan_in"])
        depth = next((d for d in range(1, 40) if (fan_in ** (d + 1) - 1) // (fan_in - 1) >= found.n_agents), 0)
        if (fan_in ** (depth + 1) - 1) // (fan_in - 1) != found.n_agents:
            return None
    else:
        return None
    return (fan_in, depth) if fan_in >= 3 and fan_in % 2 else None


def _fidelity(model: Mapping[str, Any]) -> float:
    """Return gamma for the voters' messages."""
    said = model["fidelity"]
    if not isinstance(said, Mapping):
        return float(said)
    m, m0 = float(model["message"]), float(said["m0"])
    if m == 0:
        return 0.0
    kind = said["kind"]
    value = hill(m, m0, float(said["h"])) if kind == "hill" else _LAWS[kind](m, m0)
    return float(said["ceiling"]) * float(value)
