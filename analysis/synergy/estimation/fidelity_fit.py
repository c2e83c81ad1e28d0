"""This module fits fidelity from round trips: gamma at each message length, and the curve gamma(m) through them.

A round trip is a message that was sent and what its reader made of it. Two quantities must not be mixed up: *reading
fidelity*, from what the reader says it read, and *counted-vote fidelity*, from the vote that the reader then casts,
which also holds the reader's own leaning. Agreement gives either one only where the sent answer is independent of what
the reader would have answered anyway: plant random messages, or use a reader without an answer of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl
from scipy import special

from agentsoc.errors import InputError
from analysis.stats.bootstrap import FEW_UNUSUAL
from analysis.synergy.estimation.binomial_fit import BinomialFits, Law, ParameterBounds, fit_binomial
from analysis.synergy.estimation.interval import LEVEL, WIDEST, Estimate, error_of, from_draws, hull
from analysis.synergy.estimation.resample import TaskIndex, sums_by_task, task_weights
from analysis.synergy.estimation.votes import demand_columns
from analysis.synergy.theory.arrays import FloatArray
from analysis.synergy.theory.chance import share_of, signal_of
from analysis.synergy.theory.fidelity import FidelityCurve, FidelityFamily, fidelity
from analysis.synergy.theory.moments import fidelity_from_agreement

FAMILIES: Final[tuple[FidelityFamily, ...]] = ("exp", "hyp", "hill", "capacity")

Quantity = Literal["reading", "counted_vote"]
"""What the reader was asked for: what it had read, or its own vote."""


@dataclass(frozen=True)
class TripCounts:
    """The object counts how often readers agree with senders, by task and message length."""

    m: FloatArray
    """Lengths of messages (tokens), ascending, shape (n_lengths,)."""
    n: FloatArray
    """Trials, shape (n_tasks, n_lengths)."""
    agree: FloatArray
    """Agreements, same shape; an unreadable reading counts 1/K, as a uniform guess would."""
    chance: float
    """Agreement by guessing, 1/K."""


@dataclass(frozen=True)
class FidelityAt:
    """The object holds the fidelity of messages of one length."""

    m: float
    """Length of the message (tokens)."""
    gamma: Estimate
    """Fidelity, not clipped: the interval of a deaf channel reaches below 0."""
    n_trials: int
    n_tasks: int
    n_unreadable: int
    quantity: Quantity
    refusal: str | None
    """Why gamma should not be used; None when it can."""

    def summary(self) -> str:
        """Return one line."""
        name = "reading fidelity" if self.quantity == "reading" else "counted-vote fidelity"
        unread = f", {self.n_unreadable} unreadable counted as guesses" if self.n_unreadable else ""
        size = f"{self.n_trials} trials on {self.n_tasks} tasks{unread}"
        text = f"{name} at {self.m:g} tokens: gamma = {self.gamma} ({size})"
        return text if self.refusal is None else f"{text}; refused: {self.refusal}"


@dataclass(frozen=True)
class CurveFit:
    """The object is one family of curves fitted to all lengths."""

    curve: FidelityCurve
    aic: float
    n_parameters: int


@dataclass(frozen=True)
class FidelityFit:
    """The fit gives fidelity by message length: the points, the curve of smallest AIC, and its band."""

    points: tuple[FidelityAt, ...]
    best: CurveFit | None
    """Family of smallest AIC; None when the lengths are too few for any family."""
    candidates: tuple[CurveFit, ...]
    """All fitted families, best first; those within 2 of the best AIC cannot be told apart."""
    band_m: tuple[float, ...]
    """Lengths at which the band is given (tokens)."""
    band_low: tuple[float, ...]
    band_high: tuple[float, ...]
    """95 % task-bootstrap band of the best family; it does not include the choice of the family."""
    refusals: tuple[str, ...]

    @property
    def rivals(self) -> tuple[CurveFit, ...]:
        """Families whose AIC is within 2 of the best."""
        return tuple(fit for fit in self.candidates if fit.aic <= self.candidates[0].aic + 2)

    def at(self, m: float) -> FidelityAt:
        """Return the measured point at length `m`.

        Raises:
            InputError: nothing was measured there.
        """
        for point in self.points:
            if point.m == m:
                return point
        raise InputError(f"no messages of {m:g} tokens were measured", "", f"measured: {[p.m for p in self.points]}")

    def summary(self) -> str:
        """Return the fit as text."""
        lines = [point.summary() for point in self.points]
        if self.best is not None:
            c = self.best.curve
            others = [f"{r.curve.family}{'*' if r.curve.ceiling < 1 else ''}" for r in self.rivals[1:]]
            lines.append(
                f"curve: {c.family}, m0 = {c.m0:.4g}"
                + (f", h = {c.hill:.3g}" if c.family == "hill" else "")
                + (f", ceiling {c.ceiling:.3g}" if c.ceiling < 1 else "")
                + (f"; not told apart from {', '.join(others)}" if others else "")
            )
        return "\n".join([*lines, *(f"curve refused: {reason}" for reason in self.refusals)])


def count_trips(trips: pl.DataFrame, index: TaskIndex | None = None) -> TripCounts:
    """Return the counts of a table with columns task, m, sent, read (null when unreadable) and k."""
    demand_columns(trips, ("task", "m", "sent", "read", "k"), "round trips")
    answers = trips["k"].unique().to_list()
    if len(answers) != 1:
        raise InputError(f"one fidelity needs one number of answers, found {sorted(answers)}", "", "fit each apart")
    if trips["sent"].null_count():
        raise InputError("a round trip needs the answer that was sent in every row")
    names = trips["task"].to_list()
    index = index or TaskIndex([names])
    m = np.unique(trips["m"].to_numpy().astype(np.float64))
    length = np.searchsorted(m, trips["m"].to_numpy().astype(np.float64))
    chance = 1 / answers[0]
    agree = trips.select((pl.col("sent") == pl.col("read")).cast(pl.Float64).fill_null(chance)).to_series().to_numpy()
    task = index.codes(names)
    n = sums_by_task(len(index), task, length, m.size, np.ones(agree.size))
    return TripCounts(m, n, sums_by_task(len(index), task, length, m.size, agree), chance)


def fit_fidelity(
    trips: pl.DataFrame,
    *,
    quantity: Quantity = "reading",
    ceilings: bool = True,
    n_draws: int = 200,
    seed: int = 0,
) -> FidelityFit:
    """Return gamma at every length, and the family of curves with the smallest AIC.

    gamma = (agree/n - 1/K) / (1 - 1/K), with the Wilson interval mapped the same way, or a task bootstrap where a task
    occurs twice at a length. Curves: exp, hyp, hill, capacity [families P2, capacity X], each with and without a
    ceiling, as far as there are at least as many lengths as parameters.

    Args:
        trips: columns task, m (tokens), sent, read, k; see `votes.trip_table`.
        quantity: what the readers were asked for.
        ceilings: whether to try curves that stay below 1 for endless messages.
        n_draws: bootstrap samples.
        seed: root of the bootstrap's randomness.
    """
    counts = count_trips(trips)
    n_tasks = counts.n.shape[0]
    weights = task_weights(n_draws, np.zeros(n_tasks, dtype=np.int64), seed=seed)
    points = tuple(_point(counts, level, weights, trips, quantity) for level in range(counts.m.size))
    candidates = _curves(counts, ceilings)
    if not candidates:
        why = f"{counts.m.size} length of messages; a curve needs at least 2"
        return FidelityFit(points, None, (), (), (), (), (why,))
    best, fits = candidates[0]
    law, box = _law(counts.m, counts.chance, best.curve.family, best.curve.ceiling < 1)
    drawn = fit_binomial(law, weights @ counts.n, weights @ counts.agree, [fits.theta], box)
    grid = np.geomspace(counts.m[0], counts.m[-1], 25)
    on_grid, _ = _law(grid, 0.0, best.curve.family, best.curve.ceiling < 1)
    low, high = np.quantile(on_grid(drawn.theta), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return FidelityFit(
        points,
        best,
        tuple(fit for fit, _ in candidates),
        tuple(grid.tolist()),
        tuple(low.tolist()),
        tuple(high.tolist()),
        (),
    )


def gamma_interval(agree: float, n: float, chance: float) -> Estimate:
    """Return gamma of `fidelity_from_agreement` with its standard error; `chance` is the agreement of a guess, 1/K."""
    found = fidelity_from_agreement(agree, n, 1 / chance, level=LEVEL)
    share = agree / n
    se = float(np.sqrt(share * (1 - share) / n)) / (1 - chance)
    at_border = share in (0.0, 1.0)  # where the standard error says nothing, the interval does
    return Estimate(
        found.value,
        found.low,
        found.high,
        method="wilson",
        se=error_of(found.value, found.low, found.high) if at_border else se,
    )


def gamma_draws(counts: TripCounts, level: int, weights: FloatArray) -> FloatArray:
    """Return gamma of messages of one length in each resample, shape (n_draws,); NaN where it has none of the trials.

    Args:
        counts: round trips.
        level: which of the lengths.
        weights: how often each task was drawn, shape (n_draws, n_tasks).
    """
    n = weights @ counts.n[:, level]
    share = np.divide(weights @ counts.agree[:, level], n, out=np.full(n.shape, np.nan), where=n > 0)
    return signal_of(share, counts.chance)


def gamma_at(counts: TripCounts, level: int, draws: FloatArray) -> Estimate:
    """Return gamma of messages of one length: Wilson's interval, or that of `draws` where a task occurs twice.

    Where fewer than `FEW_UNUSUAL` tasks differ from the others in the share that was read as it was sent, resamples
    tell too little: then the interval holds Wilson's of one trial a task as well.
    """
    n, agree = counts.n[:, level], counts.agree[:, level]
    if not np.any(n > 1):
        return gamma_interval(float(agree.sum()), float(n.sum()), counts.chance)
    there = n > 0
    share = float(agree.sum() / n.sum())
    found = from_draws(float(signal_of(share, counts.chance)), draws)
    _, often = np.unique(np.round(agree[there] / n[there], 9), return_counts=True)
    if there.sum() - often.max() < FEW_UNUSUAL:
        found = hull(found, gamma_interval(share * float(there.sum()), float(there.sum()), counts.chance))
    return found


def _point(counts: TripCounts, level: int, weights: FloatArray, trips: pl.DataFrame, quantity: Quantity) -> FidelityAt:
    n = counts.n[:, level]
    gamma = gamma_at(counts, level, gamma_draws(counts, level, weights))
    unreadable = trips.filter((pl.col("m") == counts.m[level]) & pl.col("read").is_null()).height
    refusal = None
    if gamma.width > WIDEST:
        refusal = f"the interval of gamma is wider than {WIDEST}; measure more round trips"
    return FidelityAt(float(counts.m[level]), gamma, int(n.sum()), int(np.sum(n > 0)), unreadable, quantity, refusal)


def _law(m: FloatArray, chance: float, family: FidelityFamily, ceiling: bool) -> tuple[Law, ParameterBounds]:
    """Return the law of agreement by length in (ln m0, [ln h], [logit ceiling]), and its box."""
    hill = family == "hill"

    def law(theta: FloatArray) -> FloatArray:
        h = np.exp(theta[:, 1:2]) if hill else 1.0
        top = special.expit(theta[:, -1:]) if ceiling else 1.0
        gamma = fidelity(m, family, np.exp(theta[:, :1]), hill=h, ceiling=top)
        return share_of(gamma, chance)

    spans = [(float(np.log(m[0])) - 12, float(np.log(m[-1])) + 12)]
    spans += [(-3.0, 3.0)] if hill else []
    spans += [(-6.0, 12.0)] if ceiling else []
    return law, ParameterBounds.of(*spans)


def _curves(counts: TripCounts, ceilings: bool) -> list[tuple[CurveFit, BinomialFits]]:
    """Return every family that the lengths can carry, best AIC first."""
    n, agree = counts.n.sum(axis=0)[None], counts.agree.sum(axis=0)[None]
    middle = float(np.log(counts.m).mean())
    found = []
    for family in FAMILIES:
        for ceiling in (False, True) if ceilings else (False,):
            width = 1 + (family == "hill") + ceiling
            if counts.m.size < max(width, 2):
                continue
            law, box = _law(counts.m, counts.chance, family, ceiling)
            tails = [0.0] * (family == "hill") + [3.0] * ceiling
            starts = [np.array([middle + shift, *tails]) for shift in (-3.0, -1.0, 1.0)]
            fits = fit_binomial(law, n, agree, starts, box)
            theta = fits.theta[0]
            curve = FidelityCurve(
                family,
                float(np.exp(theta[0])),
                float(np.exp(theta[1])) if family == "hill" else 1.0,
                float(special.expit(theta[-1])) if ceiling else 1.0,
            )
            found.append((CurveFit(curve, 2 * width - 2 * float(fits.loglik[0]), width), fits))
    # Of equal AIC (a ceiling that is not needed, say) the one with fewer parameters.
    return sorted(found, key=lambda pair: (round(pair[0].aic, 6), pair[0].n_parameters))
