"""A `preset` is one word in a scenario that stands for a topology, a protocol and some settings of the agents.

A preset is expanded before anything is checked, and what the scenario says itself wins: a mapping without ``kind``, or
with the preset's kind, is laid over the preset's block key by key; any other block takes its place. A run stores the
expanded scenario, so it does not depend on what a preset will mean in later versions.

**Counting.** ``agents.count`` next to a preset is n as the literature counts it: those who work. Where the organisation
has a lead or managers besides, they are added: `centralized`, `hybrid` and `star` of 3 have 4 agents, a `tree` of 9
(leaves) has 13. A list of groups is taken as it stands, the lead first.

Turn structures and reference parameters of the first five follow "Towards a Science of Scaling Agent Systems" (arXiv
2512.08296), where it states them; the iterations of `independent` and the three comparisons after them are ours. The
others have the shape of the methods that they are named after; their sources are in the scenarios ``literature-*``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from agentsoc.contracts.part import nearest


@dataclass(frozen=True)
class Preset:
    """What a preset stands for."""

    topology: dict[str, Any]
    protocol: dict[str, Any]
    count: int
    """Agents who work, when the scenario does not say how many (agents)."""
    iterations: int
    """Model calls of a turn (calls)."""
    about: str
    fixed: bool = False
    """Whether there can be only `count` of them."""


_LED: Final = {"kind": "orchestrate", "rounds": 5, "plan_by": "model", "guidance": "joint", "synthesis": "model"}

_STAGES: Final = [
    {
        "name": "requirements",
        "asks": "You are the analyst. List what a right answer has to satisfy. Do not give the answer yet.",
        "agent": 0,
    },
    {
        "name": "design",
        "asks": "You are the designer. Say in a few steps how to get from the question to such an answer.",
        "agent": 1,
    },
    {
        "name": "solution",
        "asks": "You are the builder. Carry out the design step by step, show your work and state what comes out.",
        "agent": 2,
    },
    {
        "name": "review",
        "asks": "You are the reviewer. Check each step of the solution. Is it right? If not, say which step is wrong.",
        "agent": 3,
        "checks": "solution",
        "form": "json",
    },
    {
        "name": "answer",
        "asks": "You are the analyst. Give the answer that the solution comes to.",
        "agent": 0,
        "reads": ["requirements", "solution"],
        "form": "json",
    },
]
_PLANNED: Final = [
    {
        "name": "plan",
        "asks": "You are the planner. Break the question into steps that can be carried out one after the other. "
        "Do not carry them out.",
        "agent": 0,
    },
    {
        "name": "work",
        "asks": "You are the executor. Carry out the plan step by step and state what comes out.",
        "agent": 1,
        "reads": ["plan"],
    },
    {
        "name": "critique",
        "asks": "You are the critic. Check the work step by step. Is it right? If not, say what has to be done again.",
        "agent": 2,
        "checks": "work",
        "form": "json",
    },
    {
        "name": "answer",
        "asks": "You are the executor. Give the answer that the work comes to.",
        "agent": 1,
        "reads": ["work"],
        "form": "json",
    },
]

PRESETS: Final[dict[str, Preset]] = {
    "single": Preset({"kind": "single"}, {"kind": "vote"}, 1, 10, "One agent, ten calls one after the other.", True),
    "independent": Preset(
        {"kind": "independent"},
        {"kind": "vote", "by": "model"},
        3,
        3,
        "Agents who never hear each other; one more call of agent 0 makes one answer of theirs.",
    ),
    "centralized": Preset(
        {"kind": "star"},
        _LED,
        3,
        3,
        "A lead who plans for the workers once a round, reads what they found, and gives the answer.",
    ),
    "decentralized": Preset(
        {"kind": "decentralized"},
        {"kind": "debate", "rounds": 3},
        3,
        3,
        "Peers who all hear each other; three rounds, then a vote.",
    ),
    "hybrid": Preset(
        {"kind": "hybrid"},
        {**_LED, "peer_rounds": 1},
        3,
        3,
        "As centralized; in the first round some workers also hear each other before they report.",
    ),
    "star": Preset({"kind": "star"}, {"kind": "aggregate"}, 3, 1, "Workers who answer once, and a hub that counts."),
    "chain": Preset({"kind": "chain"}, {"kind": "aggregate"}, 3, 1, "Each answers knowing the answer before it."),
    "tree": Preset(
        {"kind": "tree", "fan_in": 3},
        {"kind": "aggregate"},
        9,
        1,
        "Leaves who answer once, and managers of three each who count.",
    ),
    "self-consistency": Preset(
        {"kind": "independent"}, {"kind": "vote"}, 5, 1, "Independent answers, and the one that occurs most often."
    ),
    "self-refine": Preset(
        {"kind": "independent"},
        {"kind": "refine", "rounds": 3, "critic": "self", "critic_form": "json"},
        1,
        1,
        "An agent who checks its own answer and writes it again until it accepts it; several do so alone, then vote.",
    ),
    "debate": Preset(
        {"kind": "decentralized"},
        {"kind": "debate", "rounds": 2},
        3,
        1,
        "Peers who answer, read each other's answers once and answer again; then a vote.",
    ),
    "placebo": Preset(
        {"kind": "decentralized"},
        {"kind": "placebo", "rounds": 2},
        3,
        1,
        "As debate, but what the peers read was said about another question: what is gained by reading anything.",
    ),
    "self-correction": Preset(
        {"kind": "independent"},
        {"kind": "debate", "rounds": 2},
        3,
        1,
        "As debate, but nobody hears anybody: each is asked again alone; then a vote.",
    ),
    "moa": Preset(
        {"kind": "star"},
        {"kind": "moa", "layers": 2},
        3,
        1,
        "Two layers of proposers, the second of whom reads the first; a hub makes one answer of the last.",
    ),
    "roles": Preset(
        {"kind": "chain"},
        {"kind": "roles", "stages": _STAGES, "returns": 1},
        4,
        1,
        "Analyst, designer, builder and reviewer pass their work on; the analyst gives the answer.",
        True,
    ),
    "planner-executor-critic": Preset(
        {"kind": "chain"},
        {"kind": "roles", "stages": _PLANNED, "returns": 2},
        3,
        1,
        "One plans, one carries the plan out, one checks; what is rejected is done again, twice at most.",
        True,
    ),
}


def takes_count(preset: str) -> bool:
    """Return whether a preset can have any number of agents who work."""
    return not PRESETS[preset].fixed


def expand(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a scenario with what its ``preset`` stands for written out; without one, a copy.

    Raises:
        ValidationError: there is no such preset, or it cannot have that many agents.
    """
    scenario = dict(data)
    if "preset" not in scenario:
        return scenario
    name = scenario.pop("preset")
    if not isinstance(name, str) or name not in PRESETS:
        what = "there is no preset {name}" if isinstance(name, str) else "a preset is a word"
        hint = nearest(name, PRESETS) if isinstance(name, str) else "known: " + ", ".join(PRESETS)
        raise _refusal(("preset",), name, what, {"name": f'"{str(name)[:60]}"', "hint": hint, "known": list(PRESETS)})
    preset = PRESETS[name]
    for key, block in (("topology", preset.topology), ("protocol", preset.protocol)):
        scenario[key] = _over(block, scenario.get(key))
    agents = scenario.get("agents")
    if isinstance(agents, Mapping):
        agents = scenario["agents"] = {"iterations": preset.iterations, **agents}
        given_count = count = agents.get("count")
        if preset.fixed and count not in (None, preset.count):
            what = "preset {name} is {n} {agents}, got {count}"
            words = "agent" if preset.count == 1 else "agents"
            given = {
                "name": name,
                "n": preset.count,
                "agents": words,
                "count": str(count)[:20],
                "hint": "leave count out",
            }
            raise _refusal(("agents", "count"), count, what, given)
        count = preset.count if count is None else count
        if type(count) is int and count >= 1:  # anything else is refused in a moment, as what it is
            whole = total(count, scenario["topology"])
            if whole is not None:
                agents["count"] = whole
            elif given_count is None:
                agents.pop("count", None)
    elif isinstance(agents, list):
        scenario["agents"] = [
            {"iterations": preset.iterations, **group} if isinstance(group, Mapping) else group for group in agents
        ]
    return scenario


def total(workers: int, topology: Any) -> int | None:
    """Return the agents of an organisation with so many who work; None where its own settings fix the number."""
    block = {"kind": topology} if isinstance(topology, str) else topology
    kind = block.get("kind") if isinstance(block, Mapping) else None
    if kind in ("star", "hybrid"):
        return workers + 1
    if kind == "tree":
        fan_in = block.get("fan_in", 2)
        if block.get("depth") is not None:
            return None
        return _tree(workers, fan_in) if type(fan_in) is int and fan_in >= 2 else workers
    return workers


def _tree(leaves: int, fan_in: int) -> int:
    """Return the fewest agents of a tree filled level by level that has so many leaves.

    N agents, numbered from the root on, have ceil((N - 1) / b) managers, so N - ceil((N - 1) / b) leaves.
    """
    managers = max(1, -(-(leaves - 1) // (fan_in - 1)))
    return leaves + managers


def _over(block: Mapping[str, Any], said: Any) -> Any:
    """Return what the scenario says of a block, laid over what the preset says."""
    if said is None:
        return dict(block)
    if isinstance(said, str):
        return dict(block) if said == block["kind"] else said
    if isinstance(said, Mapping) and said.get("kind", block["kind"]) == block["kind"]:
        return {**block, **said}
    return said


def _refusal(loc: tuple[str, ...], value: Any, what: str, context: dict[str, Any]) -> ValidationError:
    fault = PydanticCustomError("preset", what, context)
    return ValidationError.from_exception_data("Scenario", [InitErrorDetails(type=fault, loc=loc, input=value)])
