"""This module turns the central values and the joint draws of measured parameters into signals of designs."""

from __future__ import annotations

import numpy as np

from analysis.synergy.estimation.measured import Measured, MeasuredDifficulty
from analysis.synergy.planning.design import Design
from analysis.synergy.theory.arrays import FloatArray
from analysis.synergy.theory.recursion import node_map
from analysis.synergy.theory.shapes import Shape


class ParameterDraws:
    """The object holds central values and joint draws, ready to be turned into signals. Row 0 is the centre."""

    def __init__(self, measured: Measured) -> None:
        n = measured.n_draws
        self.measured, self.lock = measured, measured.lock
        self.a, self.beta, self.rho = (
            np.concatenate([[measured.points[name]], _filled(measured.draws.get(name), measured.points[name], n)])
            for name in ("a", "beta", "rho")
        )
        self.rho = np.clip(self.rho, 0.0, 1.0)
        self.gammas = {
            one.m: np.clip(np.concatenate([[one.gamma.value], _filled(one.draws, one.gamma.value, n)]), 0.0, 1.0)
            for one in measured.messages
        }
        self.ease, self.weights = _kinds(measured.difficulty, n)

    @property
    def has_shapes(self) -> bool:
        """Whether the beta-binomial form can stand beside the lock."""
        return self.lock == "after_channel"

    def thinned(self, n: int) -> ParameterDraws:
        """Return the centre and the first n draws."""
        return self._rows(np.arange(min(n + 1, self.a.size)))

    def only(self, group: str) -> ParameterDraws:
        """Return draws in which nothing but one group of parameters varies."""
        other = self._rows(np.arange(self.a.size))
        if group != "leaf":
            other.a, other.beta = (np.full(self.a.size, values[0]) for values in (self.a, self.beta))
        if group != "rho":
            other.rho = np.full(self.a.size, self.rho[0])
        if group != "gamma":
            other.gammas = {m: np.full(values.size, values[0]) for m, values in self.gammas.items()}
        if group != "difficulty":
            other.ease, other.weights = (np.repeat(a[:1], self.a.size, axis=0) for a in (self.ease, self.weights))
        return other

    def _rows(self, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> ParameterDraws:
        other = object.__new__(ParameterDraws)
        other.measured, other.lock = self.measured, self.lock
        other.a, other.beta, other.rho = self.a[rows], self.beta[rows], self.rho[rows]
        other.gammas = {m: values[rows] for m, values in self.gammas.items()}
        other.ease, other.weights = self.ease[rows], self.weights[rows]
        return other

    def signals(self, design: Design, shape: Shape = "lock") -> FloatArray:
        """Return the signal of a design under the centre and each draw, shape (n_draws + 1,)."""
        with np.errstate(over="ignore"):
            mean = np.minimum(self.a * max(design.x, 0.0) ** self.beta, self.measured.mu_max)
        mu = np.clip(self.ease * mean[:, None], -1.0, 1.0)
        if design.organisation != "single":
            gamma, rho = self.gammas[design.m][:, None], self.rho[:, None]
            lock = self.lock if shape == "lock" else "after_channel"
            for _ in range(design.depth):
                mu = node_map(mu, design.b, gamma, rho, lock=lock, shape=shape)
        return np.asarray(np.sum(mu * self.weights, axis=1), dtype=np.float64)


def _filled(draws: FloatArray | None, value: float, n: int) -> FloatArray:
    """Return n draws; without any, the value itself; a draw that is no number is the value."""
    if draws is None or draws.size == 0:
        return np.full(n, value)
    return np.where(np.isfinite(draws), draws, value)


def _kinds(difficulty: MeasuredDifficulty | None, n: int) -> tuple[FloatArray, FloatArray]:
    """Return ease and weight of the kinds of tasks for the centre and each draw, shape (n + 1, n_kinds) each."""
    if difficulty is None:
        return np.ones((n + 1, 1)), np.ones((n + 1, 1))
    drawn = difficulty.draws if difficulty.draws.size else np.repeat(difficulty.weights[None], n, axis=0)
    weights = np.concatenate([difficulty.weights[None], drawn])
    mean = weights @ difficulty.ease
    return difficulty.ease[None] / np.where(mean > 0.05, mean, 1.0)[:, None], weights
