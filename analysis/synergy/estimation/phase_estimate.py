"""This module holds the report of the phase: parameters, growth, probabilities, what was refused, what is assumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from analysis.synergy.estimation.assumptions import Check
from analysis.synergy.estimation.count_shapes import ShapeTest
from analysis.synergy.estimation.difficulty import DifficultyMixture
from analysis.synergy.estimation.interval import LEVEL, Estimate
from analysis.synergy.estimation.leaf_law import LeafFit
from analysis.synergy.estimation.node_response import ResponseFit
from analysis.synergy.estimation.sibling_correlation import RhoFit
from analysis.synergy.theory.arrays import FloatArray
from analysis.synergy.theory.recursion import Lock

Verdict = Literal["amplify", "collapse", "undecided"]
"""Whether alpha is above 1: in at least 97.5 % of the draws, in at most 2.5 %, or in between."""
Source = Literal["merges", "round trips", "replicates", "given", "none"]
"""Which measurements a parameter comes from."""

_SURE: Final = (1 + LEVEL) / 2
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
    """P(alpha > 1)."""
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
    def verdict(self) -> Verdict:
        """Whether trees amplify weak signals."""
        if self.p_amplify is None:
            return "undecided"
        return "amplify" if self.p_amplify >= _SURE else "collapse" if self.p_amplify <= 1 - _SURE else "undecided"

    def summary(self) -> str:
        """Return the estimate as text, with what was refused and what is assumed."""
        shown = (
            ("a", self.a, ""),
            ("beta", self.beta, ""),
            ("gamma", self.gamma, f" from {self.gamma_from}"),
            ("rho", self.rho, f" from {self.rho_from}"),
            ("alpha", self.alpha, ""),
            ("s", self.s, ""),
            ("s if beta-binomial", self.s_beta_binomial, ""),
        )
        lines = [f"phase of trees with b = {self.b} ({self.n_tasks} tasks, lock {self.lock.replace('_', ' ')})"]
        lines += [f"  {name} = {value}{source}" for name, value, source in shown if value is not None]
        if self.mu_star is not None and self.mu_star < _PERFECT:
            lines.append(f"  mu* = {self.mu_star:.4g}: leaves with a stronger signal are made worse")
        if self.p_amplify is not None:
            lines.append(f"  P(alpha > 1) = {self.p_amplify:.3g}: {self.verdict}")
        if self.p_synergy is not None:
            pessimistic = self.p_synergy_beta_binomial
            also = "" if pessimistic is None else f" ({pessimistic:.3g} if shared errors are beta-binomial)"
            lines.append(f"  P(s > beta) = {self.p_synergy:.3g}{also}")
        if self.difficulty is not None:
            lines.append(f"  {self.difficulty.summary()}")
        lines += [f"  refused: {reason}" for reason in self.refusals]
        lines += [f"  {text}" for text in (*self.violated, *self.unchecked)]
        return "\n".join(lines)
