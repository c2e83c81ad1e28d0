"""This module says how a calibration spends its tokens: which runs, in which order, how many tasks, under one wall.

The budget is a wall over all runs together: each run gets what the runs before it have left as its own budget, which
the engine keeps. How many tasks a run has follows from its share and from what a task is expected to cost; what a run
leaves unspent goes to those after it.

Shares: most to the leaves, since beta is what is hardest to know, and among them a little more to the higher levels.
The rest goes to relays, merges and their replicates. Where a rule counts the votes there is nothing to be misread; then
relays are run only when asked for, and tell what a reader in the place of the rule would make of the votes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from agentsoc.errors import InputError
from analysis.synergy.estimation.leaf_law import MIN_LEVELS, MIN_SPREAD
from analysis.synergy.planning.calibration import CalibrationRun, Purpose, leaf_runs, merge_runs, relay_runs

FEWEST_TASKS: Final = 15
"""Tasks below which a step of a calibration says too little to be paid for."""
MOST_TASKS: Final = 200_000
_SHARES: Final[dict[Purpose, float]] = {"leaf": 0.6, "relay": 0.1, "merge": 0.15, "replicate": 0.15}
_SPANS: Final = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Levels of compute around the scenario's own, by default."""
_LEVEL_POWER: Final = 0.3  # tokens of a level: the best split for an exponent is x^(1/2 - beta)
_OPERATING: Final = 0.25


@dataclass(frozen=True)
class Settings:
    """The settings say what a calibration is asked to do."""

    budget: int
    """Tokens of all runs together."""
    b: int = 5
    """Fan-in of the merges."""
    replicates: int = 2
    """Runs of the same tasks, at least 2 to part correlation from difficulty."""
    dial: str = ""
    """Setting that gives a leaf more tokens: by default the compute of simulated voters, the iterations of others."""
    levels: tuple[float, ...] = ()
    """Values of the dial; by default six that span a factor of 32, for iterations 1, 2, 4, 8 and 16."""
    messages: tuple[int, ...] = ()
    """Lengths of messages whose reading is measured (tokens); by default that of the scenario."""
    operating: tuple[tuple[str, float], ...] = ()
    """Other settings of an agent (key, value) at which the signal of a leaf is measured besides."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "budget": self.budget,
            "b": self.b,
            "replicates": self.replicates,
            "dial": self.dial,
            "levels": list(self.levels),
            "messages": list(self.messages),
            "operating": [list(pair) for pair in self.operating],
        }


@dataclass(frozen=True)
class CalibrationStep:
    """A step is one run, before its number of tasks is known."""

    name: str
    """Name of its directory, which also says the order."""
    run: CalibrationRun
    share: float
    """Share of the budget."""
    same_tasks_as: str = ""
    """Step whose number of tasks it takes."""


def completed(settings: Settings, base: Mapping[str, Any]) -> Settings:
    """Return the settings with their defaults for this scenario filled in.

    Raises:
        InputError: an exponent cannot come from these levels, or the fan-in is even.
    """
    group = one_group(base)
    simulated = model_of(group)["kind"] == "simulated"
    dial = settings.dial or ("model.compute" if simulated else "iterations")
    levels = settings.levels
    if not levels:
        if dial == "model.compute" and simulated:
            compute = float(model_of(group).get("compute", 200))
            levels = tuple(float(max(round(compute * span), 1)) for span in _SPANS)
        elif dial == "iterations":
            levels = (1.0, 2.0, 4.0, 8.0, 16.0)
        else:
            raise InputError(f"which values should {dial} take?", "--levels", "for example: --levels 64,128,256,512")
    levels = tuple(sorted(set(levels)))
    if len(levels) < MIN_LEVELS or levels[0] <= 0 or levels[-1] / levels[0] < MIN_SPREAD:
        raise InputError(
            f"levels {', '.join(f'{x:g}' for x in levels)} tell no exponent",
            "--levels",
            f"at least {MIN_LEVELS} above 0 that span a factor of {MIN_SPREAD:g}",
        )
    if settings.b < 3 or settings.b % 2 == 0:
        raise InputError(f"a majority of {settings.b} is not one", "--fan-in", "an odd number from 3 on")
    messages = settings.messages
    if not messages and not tallies(base):
        messages = (int(model_of(group).get("message", 50) if simulated else base.get("message_tokens", 64)),)
    return replace(settings, dial=dial, levels=levels, messages=tuple(sorted(set(messages))))


def steps(base: Mapping[str, Any], settings: Settings) -> list[CalibrationStep]:
    """Return the runs of a calibration in their order; `settings` are complete.

    Args:
        base: the scenario as plain data, with one group of agents.
        settings: what to do.
    """
    shares = dict(_SHARES)
    if not settings.messages:
        freed = shares.pop("relay") / 2
        shares["merge"], shares["replicate"] = shares["merge"] + freed, shares["replicate"] + freed
    again = settings.replicates - 1
    if again < 1:
        shares["merge"] += shares.pop("replicate")
    found: list[CalibrationStep] = []

    def add(run: CalibrationRun, share: float, same: str = "") -> str:
        name = f"{len(found):02d}-{run.purpose}-{run.level:g}"
        found.append(CalibrationStep(name, run, share, same))
        return name

    merges = merge_runs(base, settings.b, replicates=settings.replicates, by=merging(base))
    first = add(merges[0], shares["merge"])
    for run in merges[1:]:
        add(run, shares["replicate"] / again, first)
    # Dear tasks first: towards the end of the budget only cheap ones fit beside what is reserved for them.
    parts = [(run, run.level**_LEVEL_POWER) for run in reversed(leaf_runs(base, settings.levels, dial=settings.dial))]
    points = [turned(base, key, value, number) for number, (key, value) in enumerate(settings.operating)]
    parts += [(run, _OPERATING * parts[-1][1]) for run in points]
    total = sum(weight for _, weight in parts)
    for run, weight in parts:
        add(run, shares["leaf"] * weight / total)
    for run in relay_runs(base, settings.messages):
        add(run, shares["relay"] / len(settings.messages))
    return found


def turned(base: Mapping[str, Any], key: str, value: float, number: int) -> CalibrationRun:
    """Return a run of lone agents with one more setting of theirs changed: the signal of a leaf at that point."""
    [run] = leaf_runs(base, [value], dial=key)
    run.scenario["name"] = f"{str(base['name'])[:40]}-{key.replace('.', '-')}-{value:g}"[:80]
    run.scenario["seed"] = (int(base.get("seed", 0)) + 4_000_012 + number) % 2**63
    return CalibrationRun("operating", value, run.scenario)


def wanted_tasks(step: CalibrationStep, expected: float, left: int, left_shares: float) -> int:
    """Return the number of tasks that a step's share pays for.

    Args:
        step: the step.
        expected: tokens that a task is expected to take.
        left: tokens that are left of the whole budget.
        left_shares: sum of the shares of this step and those after it.

    Raises:
        InputError: they are too few to say anything.
    """
    n = int(min(left * step.share / left_shares / max(expected, 1e-9), MOST_TASKS))
    if n < FEWEST_TASKS:
        needs = int(expected * FEWEST_TASKS * left_shares / step.share) + 1
        raise InputError(
            f"{step.name}: {left:,} tokens are left, its share pays for {n} tasks of about {expected:,.0f} tokens",
            "--budget",
            f"with {needs:,} left it would be {FEWEST_TASKS}; or take fewer or smaller --levels",
        )
    return n


def batch(step: CalibrationStep, number: int, n: int, left: int, file_tasks: int | None = None) -> dict[str, Any]:
    """Return the scenario of a batch of a step: fresh tasks, and all that is left of the budget as its wall.

    Args:
        step: the step.
        number: which batch of it, from 0.
        n: tasks.
        left: tokens.
        file_tasks: tasks that there are, where they come from a file: then the same ones again.
    """
    scenario = dict(step.run.scenario)
    tasks = scenario["tasks"]
    scenario["tasks"] = {**tasks, "count": n if file_tasks is None else min(n, file_tasks)}
    scenario["budget"] = {"tokens": left}
    scenario["seed"] = (int(scenario["seed"]) + 10_000_019 * number) % 2**63
    return scenario


def one_group(base: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the one group of agents of a scenario.

    Raises:
        InputError: there are several.
    """
    agents = base["agents"]
    groups = agents if isinstance(agents, list | tuple) else [agents]
    if len(groups) != 1:
        raise InputError(
            f"calibration measures one kind of agent, the scenario has {len(groups)} groups",
            "agents",
            "calibrate each group apart",
        )
    group: Mapping[str, Any] = groups[0]
    return group


def model_of(group: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the model of a group as a mapping."""
    model = group["model"]
    return {"kind": model} if isinstance(model, str) else model


def protocol_of(base: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the protocol of a scenario as a mapping."""
    protocol = base["protocol"]
    return {"kind": protocol} if isinstance(protocol, str) else protocol


def merging(base: Mapping[str, Any]) -> str:
    """Return how nodes of this scenario merge: what `aggregate` says, else a majority."""
    protocol = protocol_of(base)
    return str(protocol.get("by", "majority")) if protocol["kind"] == "aggregate" else "majority"


def tallies(base: Mapping[str, Any]) -> bool:
    """Return whether nodes of this scenario count votes by a rule that misreads nothing."""
    return model_of(one_group(base))["kind"] != "simulated" and merging(base) == "majority"
