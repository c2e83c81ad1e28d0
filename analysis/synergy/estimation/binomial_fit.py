"""This module fits binomial counts whose probabilities follow a law of a few parameters, many data sets at once.

Every law of the phase that is fitted to counts (leaf law, fidelity curve, response of a node) is of this form. A data
set is a row of counts; the rows of a bootstrap or of a coverage study are fitted together, by Fisher scoring with
Levenberg's damping, inside a box.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special, stats

from analysis.synergy.estimation.interval import LEVEL
from analysis.synergy.theory.arrays import BoolArray, FloatArray

Law = Callable[[FloatArray], FloatArray]
"""Parameters, shape (n_rows, n_parameters), to probabilities of success, shape (n_rows, n_cells)."""

_STEPS: Final = 80
_EDGE: Final = 1e-12  # probabilities stay this far from 0 and 1
_STILL: Final = 1e-9  # gain in log-likelihood below which a row is done
_DOUBLINGS: Final = 24
_BISECTIONS: Final = 36


@dataclass(frozen=True)
class BinomialFits:
    """The object holds fits of the same law to several data sets, one a row."""

    theta: FloatArray
    """Parameters, shape (n_rows, n_parameters)."""
    loglik: FloatArray
    """Log-likelihood without the binomial coefficients, shape (n_rows,)."""
    se: FloatArray
    """Standard errors from the expected information, same shape as `theta`; inf where the data say nothing."""


@dataclass(frozen=True)
class ParameterBounds:
    """The bounds say where the parameters may lie, shape (n_parameters,) each."""

    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, *spans: tuple[float, float]) -> ParameterBounds:
        """Return the box with these spans."""
        return cls(np.array([span[0] for span in spans]), np.array([span[1] for span in spans]))


def fit_binomial(
    law: Law, n: FloatArray, k: FloatArray, starts: Sequence[FloatArray], box: ParameterBounds
) -> BinomialFits:
    """Return the best fit of `law` to each row of counts over all `starts`.

    Args:
        law: probabilities of success of the cells.
        n: trials, shape (n_rows, n_cells); cells without trials are 0.
        k: successes, same shape; fractions are allowed (an unreadable reply counts as a share of a success).
        starts: parameters to begin from, each of shape (n_rows, n_parameters) or (n_parameters,).
        box: where the parameters may lie.
    """
    best: BinomialFits | None = None
    width = box.low.size
    for start in starts:
        theta = np.clip(np.broadcast_to(start, (n.shape[0], width)), box.low, box.high)
        fits = _climb(law, n, k, theta.copy(), box, np.zeros(width, dtype=bool))
        if best is None:
            best = fits
        else:
            better = fits.loglik > best.loglik
            best = BinomialFits(
                np.where(better[:, None], fits.theta, best.theta),
                np.where(better, fits.loglik, best.loglik),
                np.where(better[:, None], fits.se, best.se),
            )
    assert best is not None
    return best


def profile_interval(
    law: Law, n: FloatArray, k: FloatArray, fits: BinomialFits, which: int, box: ParameterBounds
) -> tuple[FloatArray, FloatArray]:
    """Return the ends of the profile-likelihood interval of parameter `which`, shape (n_rows,) each.

    All values whose deviance from the optimum, maximised over the other parameters, is below the 95 % quantile of
    chi-squared with one degree of freedom. An end at the border of the box means that the data do not bound it.
    """
    limit = float(stats.chi2.ppf(LEVEL, 1)) / 2
    fixed = np.zeros(box.low.size, dtype=bool)
    fixed[which] = True
    centre = fits.theta[:, which]
    unit = np.where(np.isfinite(fits.se[:, which]), fits.se[:, which], 1.0).clip(1e-6, 1.0)

    def drop(at: FloatArray, start: FloatArray) -> tuple[FloatArray, FloatArray]:
        theta = start.copy()
        theta[:, which] = at
        inner = _climb(law, n, k, theta, box, fixed)
        return fits.loglik - inner.loglik, inner.theta

    ends = []
    for side in (-1.0, 1.0):
        wall = box.low[which] if side < 0 else box.high[which]
        inside, outside = centre.copy(), centre + side * unit
        warm = fits.theta
        for _ in range(_DOUBLINGS):
            outside = np.clip(outside, box.low[which], box.high[which])
            fall, warm = drop(outside, warm)
            short = (fall < limit) & (outside != wall)
            if not np.any(short):
                break
            inside = np.where(short, outside, inside)
            outside = np.where(short, centre + 2 * (outside - centre), outside)
        open_end = fall < limit
        for _ in range(_BISECTIONS):
            middle = (inside + outside) / 2
            fall, warm = drop(middle, warm)
            beyond = fall >= limit
            inside, outside = np.where(beyond, inside, middle), np.where(beyond, middle, outside)
        ends.append(np.where(open_end, wall, (inside + outside) / 2))
    return ends[0], ends[1]


def deviance_p(law: Law, n: FloatArray, k: FloatArray, fits: BinomialFits) -> FloatArray:
    """Return the probability of a worse misfit than that of each row, by the deviance from free cells, shape (n_rows,).

    NaN where there are no more cells than parameters. For independent trials only.
    """
    cells = (n > 0).sum(axis=1)
    free = _loglik(np.divide(k, n, out=np.full(k.shape, 0.5), where=n > 0), n, k)
    spare = cells - fits.theta.shape[1]
    tail = stats.chi2.sf(2 * np.maximum(free - fits.loglik, 0), np.maximum(spare, 1))
    return np.where(spare > 0, tail, np.nan)


def _loglik(p: FloatArray, n: FloatArray, k: FloatArray) -> FloatArray:
    p = np.clip(p, _EDGE, 1 - _EDGE)
    return np.asarray(np.sum(special.xlogy(k, p) + special.xlog1py(n - k, -p), axis=1), dtype=np.float64)


def _climb(
    law: Law, n: FloatArray, k: FloatArray, theta: FloatArray, box: ParameterBounds, fixed: BoolArray
) -> BinomialFits:
    """Climb to the optimum from `theta`, leaving the `fixed` parameters where they are."""
    rows, width = theta.shape
    value = _loglik(law(theta), n, k)
    damping = np.full(rows, 1e-3)
    moving = np.arange(rows)
    quiet = np.zeros(rows, dtype=np.int64)
    for _ in range(_STEPS if not fixed.all() else 0):
        at, n_, k_ = theta[moving], n[moving], k[moving]
        score, information = _score(law, at, n_, k_)
        held = fixed | ((at <= box.low) & (score < 0)) | ((at >= box.high) & (score > 0))
        score = np.where(held, 0.0, score)
        information = np.where(held[:, :, None] | held[:, None, :], 0.0, information)
        scale = np.einsum("rii->ri", information)
        ridge = damping[moving, None] * scale + np.where(scale > 0, 1e-12 * scale, 1.0)
        matrix = information + ridge[:, :, None] * np.eye(width)
        step = np.linalg.solve(matrix, score[:, :, None])[:, :, 0]
        new = np.clip(at + step, box.low, box.high)
        reached = _loglik(law(new), n_, k_)
        gain = reached - value[moving]
        better = gain >= 0
        theta[moving] = np.where(better[:, None], new, at)
        value[moving] = np.where(better, reached, value[moving])
        damping[moving] = np.where(better, damping[moving] / 10, damping[moving] * 10).clip(1e-12, 1e12)
        quiet[moving] = np.where(np.abs(gain) < _STILL, quiet[moving] + 1, 0)
        moving = moving[(quiet[moving] < 2) & (damping[moving] < 1e10)]
        if moving.size == 0:
            break
    _, information = _score(law, theta, n, k)
    return BinomialFits(theta, value, _standard_errors(information))


def _score(law: Law, theta: FloatArray, n: FloatArray, k: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return gradient (rows, parameters) and expected information (rows, parameters, parameters)."""
    p = np.clip(law(theta), _EDGE, 1 - _EDGE)
    slopes = np.empty((*theta.shape, n.shape[1]))
    for j in range(theta.shape[1]):
        h = 1e-6 * np.maximum(1.0, np.abs(theta[:, j]))
        up, down = theta.copy(), theta.copy()
        up[:, j] += h
        down[:, j] -= h
        slopes[:, j] = (law(up) - law(down)) / (2 * h)[:, None]
    spread = p * (1 - p)
    score = np.einsum("rjc,rc->rj", slopes, (k - n * p) / spread)
    return score, np.einsum("rjc,rc,rlc->rjl", slopes, n / spread, slopes)


def _standard_errors(information: FloatArray) -> FloatArray:
    rows, width, _ = information.shape
    scale = np.sqrt(np.einsum("rii->ri", information))
    unit = np.where(scale > 0, scale, 1.0)
    shape = information / (unit[:, :, None] * unit[:, None, :])
    shape = shape + np.where(scale > 0, 0.0, 1.0)[:, :, None] * np.eye(width)
    known = np.linalg.det(shape) > 1e-12
    inverse = np.full((rows, width), np.inf)
    if np.any(known):
        inverse[known] = np.einsum("rii->ri", np.linalg.inv(shape[known]))
    return np.where(scale > 0, np.sqrt(np.maximum(inverse, 0.0)) / unit, np.inf)
