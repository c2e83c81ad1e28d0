"""This module holds the report of the phase: parameters, growth, probabilities, what was refused, what is assumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from agentsoc.log.notebook import notebook_html
from analysis.synergy.estimation.assumptions import CHANCE, FORM, SIZE, Check
from analysis.synergy.estimation.count_shapes import ShapeTest
from analysis.synergy.estimation.difficulty import DifficultyMixture
from analysis.synergy.estimation.growth import SHAPE_NAMES
from analysis.synergy.estimation.interval import WIDEST, Estimate, equals, sure
from analysis.synergy.estimation.leaf_law import LeafFit
from analysis.synergy.estimation.node_response import ResponseFit
from analysis.synergy.estimation.sibling_correlation import RhoFit
from analysis.synergy.theory.arrays import FloatArray
from analysis.synergy.theory.recursion import Lock
from analysis.synergy.theory.shapes import Shape

Verdict = Literal["amplify", "collapse", "undecided"]
"""Whether alpha is above 1: in at least 99 % of the draws, in at most 1 %, or in between.

It must be so under every form of shared errors that the votes leave open.
"""
Source = Literal["merges", "round trips", "replicates", "given", "none"]
"""Which measurements a parameter comes from."""

_SURE: Final = 0.99
"""Share of the draws from which on a regime is named: at the border each of both wrong words has 1 %."""
_PERFECT: Final = 0.9999  # a limit from here on says nothing of stronger leaves


@dataclass(frozen=True)
class PhaseEstimate:
    """The estimate says where an organisation of fan-in b stands. None: refused, see `refusals`."""

    b: int
    lock: Lock
    a: Estimate | None
    """Signal of one token of leaf compute."""
    beta: Estimate | None
    """Compute exponent of the leaf signal."""
    gamma: Estimate | None
    """Fidelity of a message."""
    gamma_from: Source
    rho: Estimate | None
    """Correlation given the task; of received votes, or of sent ones with the lock before the channel."""
    rho_from: Source
    alpha: Estimate | None
    """Growth of a weak signal per level, lock model."""
    s: Estimate | None
    """Organization exponent, lock model."""
    s_beta_binomial: Estimate | None
    """The same if shared errors follow the beta-binomial law: the pessimistic end."""
    mu_star: float | None
    """Limit of the signal with depth, at the point estimates."""
    p_amplify: float | None
    """P(alpha > 1), lock model; the regime goes by `p_amplify_by`."""
    p_synergy: float | None
    """P(s > beta): some budget lets a tree of weak leaves beat one agent."""
    p_synergy_beta_binomial: float | None
    draws: dict[str, FloatArray]
    """Bootstrap draws of a, beta, gamma, rho, alpha, s, s_beta_binomial, shape (n_draws,) each; empty for the delta
    method."""
    leaf: LeafFit | None
    siblings: RhoFit | None
    difficulty: DifficultyMixture | None
    """Signals of the tasks where they seem to differ: what answers are predicted from then."""
    difficulty_draws: FloatArray
    """Weights of these signals in each bootstrap draw, shape (n_draws, n_kinds); empty without."""
    shape: ShapeTest | None
    response: ResponseFit | None
    checks: tuple[Check, ...]
    refusals: tuple[str, ...]
    n_tasks: int
    alphas: Mapping[Shape, Estimate] = field(default_factory=dict)
    """Growth of a weak signal per level under each form of shared errors."""
    p_amplify_by: Mapping[Shape, float] = field(default_factory=dict)
    """P(alpha > 1) under each form of shared errors."""
    shapes_left: tuple[Shape, ...] = ("lock",)
    """Forms that the test of the votes leaves open; the regime must hold under each of them."""
    tasks_of: Mapping[str, int] = field(default_factory=dict)
    """Tasks behind "a and beta", "gamma" and "rho", as far as these were measured."""

    def _repr_html_(self) -> str:
        """Return it for a notebook: pictures and tables, without any script."""
        return notebook_html("phase", self, self.summary())

    def parameters(self) -> dict[str, Estimate | None]:
        """Return the parameters by name, and what follows from them."""
        return {
            "a": self.a,
            "beta": self.beta,
            "gamma": self.gamma,
            "rho": self.rho,
            "alpha": self.alpha,
            "s": self.s,
            "s_beta_binomial": self.s_beta_binomial,
            **{f"alpha_{shape}": one for shape, one in self.alphas.items() if shape != "lock"},
        }

    @property
    def violated(self) -> tuple[str, ...]:
        """Assumptions that the data contradict."""
        return tuple(str(check) for check in self.checks if check.status == "violated")

    @property
    def unchecked(self) -> tuple[str, ...]:
        """Assumptions that the data were not asked about."""
        return tuple(str(check) for check in self.checks if check.status == "not checked")

    @property
    def too_rough(self) -> tuple[str, ...]:
        """Why no regime is decided by these estimates: too wide an interval, too few tasks, no form that fits."""
        wide = [
            f"the interval of {name} is wider than {WIDEST:g}; measure {more}"
            for name, one, more in (
                ("gamma", self.gamma, "more round trips or merges"),
                ("rho", self.rho, "more merges or replicates, or clearer messages"),
            )
            if one is not None and one.width > WIDEST
        ]
        return (*wide, *(one.text for one in self.checks if one.code in (SIZE, FORM) and one.status == "violated"))

    @property
    def verdict(self) -> Verdict:
        """Whether trees amplify weak signals, under every form of shared errors that the votes leave open."""
        if self.too_rough:
            return "undecided"
        chances = [self.p_amplify_by[shape] for shape in self.shapes_left if shape in self.p_amplify_by]
        if not chances:
            return "undecided"
        return "amplify" if min(chances) >= _SURE else "collapse" if max(chances) <= 1 - _SURE else "undecided"

    @property
    def p_amplify_least(self) -> float | None:
        """Smallest P(alpha > 1) of the forms of shared errors that the votes leave open; None where it was refused."""
        return min((self.p_amplify_by[shape] for shape in self.shapes_left if shape in self.p_amplify_by), default=None)

    @property
    def below_chance(self) -> str | None:
        """That votes are worse than chance, in words; None where the data do not say so."""
        return next((one.text for one in self.checks if one.code == CHANCE and one.status == "violated"), None)

    def summary(self) -> str:
        """Return the estimate as text, with what was refused and what is assumed."""
        shown = (
            ("a", self.a, ""),
            ("beta", self.beta, ""),
            ("gamma", self.gamma, f" from {self.gamma_from}"),
            ("rho", self.rho, f" from {self.rho_from}"),
            *((self._under("alpha", shape), one, "") for shape, one in self.alphas.items()),
            (self._under("s", "lock"), self.s, ""),
            (self._under("s", "beta_binomial"), self.s_beta_binomial, ""),
        )
        lines = [] if self.below_chance is None else [self.below_chance]
        lines += [f"phase of trees with b = {self.b} ({self.n_tasks} tasks, lock {self.lock.replace('_', ' ')})"]
        lines += [f"  {name} = {value}{source}" for name, value, source in shown if value is not None]
        if self.mu_star is not None and self.mu_star < _PERFECT:
            star = self._under("mu*", "lock")
            lines.append(f"  {star} = {self.mu_star:.4g}: leaves with a stronger signal are made worse")
        if self.p_amplify_by:
            lines.append(f"  {self._regime()}")
        if self.p_synergy is not None:
            pessimistic = self.p_synergy_beta_binomial
            also = "" if pessimistic is None else f" ({sure(pessimistic)} if shared errors are beta-binomial)"
            lines.append(f"  P(s > beta) {equals(sure(self.p_synergy))}{also}")
        if self.difficulty is not None:
            lines.append(f"  {self.difficulty.summary()}")
        lines += [f"  refused: {reason}" for reason in self.refusals]
        lines += [f"  {text}" for text in (*self.violated, *self.unchecked)]
        return "\n".join(lines)

    def _under(self, name: str, shape: Shape) -> str:
        """Return the name of a figure with the form of shared errors that it is for, where there are several."""
        return f"{name} if {SHAPE_NAMES[shape]}" if len(self.p_amplify_by) > 1 else name

    def _regime(self) -> str:
        """Return P(alpha > 1) under each form, the regime, and why it is undecided where the forms are at odds."""
        several = len(self.p_amplify_by) > 1
        said = [
            sure(p)
            + (f" if {SHAPE_NAMES[shape]}" if several else "")
            + ("" if shape in self.shapes_left else " (excluded by the votes)")
            for shape, p in self.p_amplify_by.items()
        ]
        text = f"P(alpha > 1) {equals(', '.join(said))}: {self.verdict}"
        if self.too_rough:
            return f"{text}, because {'; '.join(self.too_rough)}"
        chances = [self.p_amplify_by[shape] for shape in self.shapes_left if shape in self.p_amplify_by]
        if self.verdict == "undecided" and max(chances) >= _SURE:
            return f"{text}, because the form of shared errors decides and the votes do not tell it"
        wrong = self.verdict == "amplify" and self.below_chance is not None
        return f"{text}, but what is amplified is error" if wrong else text
