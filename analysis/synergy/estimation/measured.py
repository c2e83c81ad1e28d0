"""This module keeps what was measured of an organisation in one object that a file holds and a plan is made from.

A report for people says estimates and intervals. A plan needs more: the joint bootstrap draws (so that errors that
move together do so in the plan), the signals of tasks that differ, what a message costs, and over which range of
tokens leaves were tried. `agentsoc phase --json` and `agentsoc calibrate` write it, `agentsoc plan` reads it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.files import read_json, whole_of
from analysis.synergy.estimation.assumptions import CHANCE, FORM, LOCK
from analysis.synergy.estimation.fidelity_fit import FidelityAt
from analysis.synergy.estimation.interval import Estimate, given
from analysis.synergy.estimation.leaf_law import LeafFit
from analysis.synergy.estimation.phase_estimate import PhaseEstimate
from analysis.synergy.theory.arrays import FloatArray
from analysis.synergy.theory.recursion import Lock
from analysis.synergy.theory.shapes import Shape

KIND: Final = "agentsoc-measurements"
FORMAT: Final = 1
NAMES: Final = ("a", "beta", "gamma", "rho")
_DIGITS: Final = 7

Nodes = Literal["read", "tally"]
"""Whether nodes read messages through a noisy channel, or a rule counts votes and misreads nothing."""


@dataclass(frozen=True)
class MeasuredMessage:
    """The object says how faithfully messages of one length are read."""

    m: int
    """Length of the message, which counts against the reader's window (tokens)."""
    cost: float
    """Tokens that one message costs altogether: written once and read once."""
    gamma: Estimate
    draws: FloatArray
    """Bootstrap draws of gamma, shape (n_draws,)."""


@dataclass(frozen=True)
class MeasuredDifficulty:
    """The object says how tasks differ, as multiples of the mean leaf signal."""

    ease: FloatArray
    """Signal of each kind of task over the mean signal, shape (n_kinds,)."""
    weights: FloatArray
    """Share of each kind, shape (n_kinds,)."""
    draws: FloatArray
    """The same in each bootstrap draw, shape (n_draws, n_kinds); `ease` is then to be divided by its mean."""


@dataclass(frozen=True)
class Measured:
    """The object holds parameters with their draws, and what they were measured on."""

    b: int
    lock: Lock
    nodes: Nodes
    parameters: Mapping[str, Estimate | None]
    """Estimates of a, beta, gamma, rho, alpha, s and s_beta_binomial; None for one that was refused."""
    points: Mapping[str, float]
    """Central values of a, beta and rho, those that were refused for their width included."""
    draws: Mapping[str, FloatArray]
    """Draws of a, beta and rho, shape (n_draws,) each."""
    messages: tuple[MeasuredMessage, ...]
    x_range: tuple[float, float] | None
    """Smallest and largest tokens of a leaf that were tried."""
    c_agg: float = 0.0
    """Tokens of an inner node besides its messages."""
    mu_max: float = 1.0
    difficulty: MeasuredDifficulty | None = None
    refusals: tuple[str, ...] = ()
    assumptions: tuple[tuple[str, str, str], ...] = ()
    """Code, status and text of each assumption of the theory."""
    verdict: str = "undecided"
    probabilities: Mapping[str, float | None] = field(default_factory=dict)
    leaf: Mapping[str, Any] = field(default_factory=dict)
    """Signal and trials by tokens of a leaf."""
    trials: Mapping[str, int] = field(default_factory=dict)
    """Trials of each purpose: leaf, relay, merge, replicate."""
    tokens: Mapping[str, int] = field(default_factory=dict)
    """What the trials of each purpose cost (tokens)."""
    scenario: Mapping[str, Any] | None = None
    """The scenario that was measured."""
    dial: str = "model.compute"
    """Setting that was turned to give a leaf more tokens."""
    rho_tasks: int = 0
    """Tasks that rho was measured on; 0 where it was stated, or nobody kept their number."""

    @property
    def n_draws(self) -> int:
        """Number of joint draws."""
        return max((values.size for values in self.draws.values()), default=1)

    @property
    def violated(self) -> tuple[str, ...]:
        """Assumptions that the data contradict."""
        return tuple(f"{code} violated: {text}" for code, status, text in self.assumptions if status == "violated")

    @property
    def shape(self) -> Shape:
        """Form of shared errors that a plan goes by: the beta-binomial law where the votes exclude the lock."""
        excluded = any((code, status) == (LOCK, "violated") for code, status, _ in self.assumptions)
        return "beta_binomial" if excluded and self.lock == "after_channel" else "lock"

    @property
    def shape_tested(self) -> bool:
        """Whether the votes tell which form of shared errors holds, or the theory has one only."""
        told = any(code == LOCK and status != "not checked" for code, status, _ in self.assumptions)
        return told or self.lock == "before_channel"

    @property
    def below_chance(self) -> str | None:
        """That votes are worse than chance, in words; None where nothing says so."""
        return self._violation(CHANCE)

    @property
    def unknown_form(self) -> str | None:
        """That the votes follow no form of shared errors that is known here, in words; None where nothing says so."""
        return self._violation(FORM)

    def _violation(self, code: str) -> str | None:
        return next((text for one, status, text in self.assumptions if (one, status) == (code, "violated")), None)

    def missing(self) -> list[str]:
        """Return why no plan can be made; nothing when one can."""
        found = [name for name in ("a", "beta", "rho") if name not in self.points]
        found += [] if self.messages else ["gamma"]
        return found

    def with_given(self, **values: float | None) -> Measured:
        """Return the same with some of a, beta, gamma, rho, mu_max stated by the caller: no doubt about them is left.

        Args:
            values: by name; None leaves what was measured.
        """
        stated = {name: value for name, value in values.items() if value is not None}
        points, draws, parameters = dict(self.points), dict(self.draws), dict(self.parameters)
        messages, mu_max = self.messages, stated.pop("mu_max", self.mu_max)
        for name, value in stated.items():
            parameters[name] = given(value)
            if name == "gamma":
                measured = self.messages or (MeasuredMessage(0, 0.0, given(value), np.empty(0)),)
                stated_draws = np.full(self.n_draws, value)
                messages = tuple(replace(one, gamma=given(value), draws=stated_draws) for one in measured)
            else:
                points[name], draws[name] = value, np.full(self.n_draws, value)
        changed = replace(self, points=points, draws=draws, parameters=parameters, messages=messages)
        return replace(changed, mu_max=float(mu_max), rho_tasks=0 if "rho" in stated else self.rho_tasks)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data that `from_dict` reads back."""
        return {
            "kind": KIND,
            "format": FORMAT,
            "b": self.b,
            "lock": self.lock,
            "nodes": self.nodes,
            "verdict": self.verdict,
            "probabilities": dict(self.probabilities),
            "parameters": {name: _plain(estimate) for name, estimate in self.parameters.items()},
            "refusals": list(self.refusals),
            "assumptions": [dict(zip(("code", "status", "text"), one, strict=True)) for one in self.assumptions],
            "points": {name: _rounded(value) for name, value in self.points.items()},
            "messages": [
                {"m": one.m, "cost": one.cost, "gamma": _plain(one.gamma), "draws": _listed(one.draws)}
                for one in self.messages
            ],
            "leaf": dict(self.leaf),
            "x_range": None if self.x_range is None else list(self.x_range),
            "c_agg": self.c_agg,
            "mu_max": self.mu_max,
            "difficulty": None
            if self.difficulty is None
            else {
                "ease": _listed(self.difficulty.ease),
                "weights": _listed(self.difficulty.weights),
                "draws": [_listed(row) for row in self.difficulty.draws],
            },
            "trials": dict(self.trials),
            "tokens": dict(self.tokens),
            "dial": self.dial,
            "rho_tasks": self.rho_tasks,
            "scenario": None if self.scenario is None else dict(self.scenario),
            "draws": {name: _listed(values) for name, values in self.draws.items()},
        }

    @classmethod
    def from_dict(cls, data: Any, where: str = "") -> Measured:
        """Return what `as_dict` wrote.

        Raises:
            InputError: it is something else.
        """
        if not isinstance(data, Mapping) or data.get("kind") != KIND:
            raise InputError(
                "these are no measurements", where, "give a file that `agentsoc calibrate` or `phase --json` wrote"
            )
        if data.get("format") != FORMAT:
            raise InputError(f"measurements of format {data.get('format')!r}; this version reads {FORMAT}", where)
        try:
            return cls._read(data)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"the measurements do not hold: {error}", where, "write them again") from None

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Measured:
        kinds = data["difficulty"]
        return cls(
            b=int(data["b"]),
            lock=data["lock"],
            nodes=data["nodes"],
            parameters={name: _estimate(value) for name, value in data["parameters"].items()},
            points={name: float(value) for name, value in data["points"].items()},
            draws={name: _array(values) for name, values in data["draws"].items()},
            messages=tuple(
                MeasuredMessage(int(m["m"]), float(m["cost"]), _known(m["gamma"]), _array(m["draws"]))
                for m in data["messages"]
            ),
            x_range=None if data["x_range"] is None else (float(data["x_range"][0]), float(data["x_range"][1])),
            c_agg=float(data["c_agg"]),
            mu_max=float(data["mu_max"]),
            difficulty=None
            if kinds is None
            else MeasuredDifficulty(
                _array(kinds["ease"]), _array(kinds["weights"]), np.array(kinds["draws"], dtype=float)
            ),
            refusals=tuple(data["refusals"]),
            assumptions=tuple((one["code"], one["status"], one["text"]) for one in data["assumptions"]),
            verdict=data["verdict"],
            probabilities=data["probabilities"],
            leaf=data["leaf"],
            trials=data["trials"],
            tokens=data["tokens"],
            scenario=data["scenario"],
            dial=data["dial"],
            rho_tasks=whole_of(data.get("rho_tasks", 0), "rho_tasks"),
        )


@dataclass(frozen=True)
class RunFacts:
    """The object holds what is known of the runs behind an estimate, besides the estimate."""

    nodes: Nodes = "read"
    """Whether nodes read, or a rule counts."""
    trials: Mapping[str, int] = field(default_factory=dict)
    """Trials of each purpose: leaf, relay, merge, replicate."""
    tokens: Mapping[str, int] = field(default_factory=dict)
    """Tokens that the trials of each purpose cost."""
    scenario: Mapping[str, Any] | None = None
    """The scenario that was measured."""
    dial: str = "model.compute"
    """Setting that was turned to give a leaf more tokens."""
    c_agg: float = 0.0
    """Tokens of an inner node besides its messages."""


def measured_from(
    estimate: PhaseEstimate,
    *,
    message: int,
    message_cost: float,
    others: tuple[FidelityAt, ...] = (),
    facts: RunFacts | None = None,
    seed: int = 0,
) -> Measured:
    """Return the measurements that an estimate and the cost of its messages make.

    Args:
        estimate: the phase, with bootstrap draws.
        message: tokens of the messages that gamma is about.
        message_cost: tokens of one such message, written and read.
        others: fidelities of messages of other lengths.
        facts: what is known of the runs.
        seed: for draws of the other fidelities.
    """
    leaf, facts = estimate.leaf, facts or RunFacts()
    points = _points(estimate)
    draws = {name: estimate.draws[name] for name in points if name in estimate.draws}
    n_draws = max((values.size for values in draws.values()), default=2)
    messages = _messages(estimate, message, message_cost, others, n_draws, seed)
    difficulty = None
    if estimate.difficulty is not None and estimate.difficulty.mean > 0:
        mixture = estimate.difficulty
        difficulty = MeasuredDifficulty(mixture.mus / mixture.mean, mixture.weights, estimate.difficulty_draws)
    return Measured(
        b=estimate.b,
        lock=estimate.lock,
        nodes=facts.nodes,
        parameters=estimate.parameters(),
        points=points,
        draws=draws,
        messages=messages,
        x_range=None if leaf is None else (leaf.x[0], leaf.x[-1]),
        c_agg=facts.c_agg,
        mu_max=1.0 if leaf is None else leaf.mu_max,
        difficulty=difficulty,
        refusals=estimate.refusals,
        assumptions=tuple((check.code, check.status, check.text) for check in estimate.checks),
        verdict=estimate.verdict,
        probabilities={
            "amplify": estimate.p_amplify,
            **{f"amplify_{shape}": p for shape, p in estimate.p_amplify_by.items() if shape != "lock"},
            "synergy": estimate.p_synergy,
            "synergy_beta_binomial": estimate.p_synergy_beta_binomial,
        },
        leaf={} if leaf is None else _plain_leaf(leaf),
        trials=facts.trials,
        tokens=facts.tokens,
        scenario=facts.scenario,
        dial=facts.dial,
        rho_tasks=estimate.tasks_of.get("rho", 0),
    )


def _points(estimate: PhaseEstimate) -> dict[str, float]:
    """Return the central values of a, beta and rho, as far as there are any."""
    points: dict[str, float] = {}
    if estimate.a is not None and estimate.beta is not None:
        points |= {"a": estimate.a.value, "beta": estimate.beta.value}
    elif estimate.leaf is not None and estimate.leaf.unsure is not None:
        points |= {"a": estimate.leaf.unsure[0].value, "beta": estimate.leaf.unsure[1].value}
    if estimate.rho is not None:
        points["rho"] = float(np.clip(estimate.rho.value, 0, 1))
    return points


def _messages(
    estimate: PhaseEstimate, message: int, cost: float, others: tuple[FidelityAt, ...], n_draws: int, seed: int
) -> tuple[MeasuredMessage, ...]:
    """Return the measured lengths of messages with draws of their fidelities, shortest first."""
    messages = []
    if estimate.gamma is not None and "gamma" in estimate.draws:
        messages.append(MeasuredMessage(message, cost, estimate.gamma, estimate.draws["gamma"]))
    for one in others:
        if one.refusal is None and one.m != message:
            rng = stream(seed, "phase", "fidelity", int(one.m))
            spread = rng.normal(one.gamma.value, one.gamma.se, n_draws)
            messages.append(MeasuredMessage(round(one.m), cost * one.m / max(message, 1e-9), one.gamma, spread))
    return tuple(sorted(messages, key=lambda each: each.m))


def _plain_leaf(leaf: LeafFit) -> dict[str, Any]:
    return {"x": list(leaf.x), "signals": [_rounded(v) for v in leaf.signals], "trials": list(leaf.n_trials)}


def load_measurements(path: Path) -> Measured:
    """Return the measurements of a file; also those under ``phase`` in the output of a verb.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    data = read_json(path, "give a file that `agentsoc calibrate` wrote")
    return Measured.from_dict(data, str(path))


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _listed(values: FloatArray) -> list[float | None]:
    return [_rounded(float(value)) if np.isfinite(value) else None for value in values]


def _array(values: list[float | None]) -> FloatArray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _plain(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    numbers = _listed(np.array([estimate.value, estimate.low, estimate.high, estimate.se]))
    return {**dict(zip(("value", "low", "high", "se"), numbers, strict=True)), "method": estimate.method}


def _known(value: Mapping[str, Any]) -> Estimate:
    point, low, high, se = (math.nan if value[k] is None else float(value[k]) for k in ("value", "low", "high", "se"))
    return Estimate(point, low, high, method=value["method"], se=se)


def _estimate(value: Mapping[str, Any] | None) -> Estimate | None:
    return None if value is None else _known(value)
