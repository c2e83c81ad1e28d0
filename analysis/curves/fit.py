"""This module fits a curve: `fit_curve` chooses the form by held-out error and tells it with intervals and a fit card.

The interval of everything is by a wild bootstrap: the residuals of each unit (cluster, or all values with one x) keep
their size and get a random sign, together; the chosen form is fitted anew. So the scatter may differ along x. Residuals
are pushed out for the parameters that were fitted, percentiles for the number of units.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agentsoc.streams import stream
from analysis.curves.forms import POWER, Form
from analysis.curves.holdout import LEVEL, Choice, allowed, choose
from analysis.curves.law import METHOD, Break, CurveLaw, interval_of
from analysis.curves.points import FOLDS, Points, points_of
from analysis.curves.search import ABOVE, BELOW, PLACES, WIDTHS, Sets, best_of_sides, grid_starts, refine, search
from analysis.fitcard import FitCard, range_warnings
from analysis.interval import FloatArray, Interval
from analysis.percentiles import percentile_levels

DRAWS: Final = 400
OCTAVE: Final = 2.0


def fit_curve(
    x: ArrayLike,
    y: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    names: tuple[str, str] = ("x", "y"),
    draws: int = DRAWS,
    seed: int = 0,
) -> CurveLaw:
    """Return the law of y over x: constant, power law, logistic, or a power law with breaks (arXiv 2210.14891).

    y = a + b x^(-c0) prod_{i=1..n} (1 + (x/d_i)^(1/f_i))^(-c_i f_i) with n in {0, 1, 2}, the limit a free or 0, and the
    logistic in ln x; the mean squared error of ln y is the least. Which form is chosen goes by held-out error. A break is
    reported if the interval of d lies inside the data and the held-out error is better than that of every power law
    without a break.

    Args:
        x: numbers of agents, tokens or rounds, shape (n_values,), positive; any number of values may share an x.
        y: accuracy, error, size, shape (n_values,), positive. Of an accuracy that comes close to 1, give the error.
        clusters: label of what is independent (a run, a seed), shape (n_values,); None takes each x as independent.
        names: what x and y are called in what is said.
        draws: bootstrap samples, 20 or more.
        seed: seed of the bootstrap.

    Returns:
        The law; `summary()` says it in words, `predict` goes beyond the data, `card` holds how it was fitted.

    Raises:
        InputError: columns of different lengths, values that are not positive and finite, or fewer than four distinct
            x.
    """
    points = points_of(x, y, clusters, names=names)
    choice = choose(points, allowed(points))
    whole = points.whole()
    found = best_of_sides(choice.chosen, whole)
    form, theta = found.form, found.theta[0]
    residual = points.log_y - form.log_y(theta[None], points.log_x)[0][0, points.at]
    room = max(points.n_units - form.n_parameters, 1)
    residual = residual * np.sqrt(points.n_units / room)
    levels = percentile_levels(0.95, room + 1)
    drawn = _bootstrap(form, theta, points, residual, max(draws, 20), seed)
    ends = form.bounds(points.log_x, whole.log_y)
    parts = _parts(form, theta, drawn, points, levels, ends)
    return CurveLaw(
        names=names, form=form, x=points.x(), choice=choice, theta=theta, draws=drawn, centre=(points.centre, points.level),
        levels=levels, residual=residual, card=_card(points, choice, form, names, len(drawn), seed), **parts,
    )  # fmt: skip


def _bootstrap(
    form: Form, theta: FloatArray, points: Points, residual: FloatArray, draws: int, seed: int
) -> FloatArray:
    """Return the parameters of each bootstrap sample, shape (draws, n_parameters)."""
    signs = stream(seed, "curve").choice((-1.0, 1.0), size=(draws, points.n_units))
    centre = form.log_y(theta[None], points.log_x)[0]
    whole = points.whole()
    sets = Sets(points.log_x, centre + points.spread(residual, signs), np.repeat(whole.weight, draws, axis=0))
    grid = grid_starts(form, whole)
    starts = np.concatenate([theta[None], grid[: 2 if form.breaks > 0 else 1]])
    owner = np.repeat(np.arange(draws), len(starts))
    return refine(form, sets, np.tile(starts, (draws, 1)), owner).theta


def _parts(
    form: Form,
    theta: FloatArray,
    drawn: FloatArray,
    points: Points,
    levels: tuple[float, float],
    ends: tuple[FloatArray, FloatArray],
) -> dict[str, object]:
    """Return limit, slopes, breaks and the parameters of a logistic, with their intervals."""

    def told(value: FloatArray, draws: FloatArray, at: int | None = None) -> Interval:
        span = (-np.inf, np.inf) if at is None else (float(ends[0][at]), float(ends[1][at]))
        return interval_of(float(value), draws, levels, span)

    start = int(form.limit)
    limit = told(theta[0], drawn[:, 0], 0).mapped(lambda v: v * float(np.exp(points.level))) if form.limit else None
    empty = {"limit": limit, "slopes": (), "breaks": (), "steepness": None, "middle": None}
    if form.logistic:
        middle = told(theta[start + 2], drawn[:, start + 2], start + 2).mapped(lambda v: float(np.exp(v + points.centre)))
        return empty | {"steepness": told(theta[start + 1], drawn[:, start + 1], start + 1), "middle": middle}
    if form.breaks < 0:
        return empty
    theta, drawn = (_in_order(form, one) for one in (theta[None], drawn))
    changes = np.array([start + 1, *range(start + 2, theta.shape[1], 3)])
    slopes = -np.cumsum(theta[:, changes], axis=1)[0], -np.cumsum(drawn[:, changes], axis=1)
    breaks = []
    for at in changes[1:].tolist():
        place = told(theta[0, at + 1], drawn[:, at + 1], at + 1)
        inside = bool(points.log_x[0] < place.low and place.high < points.log_x[-1])
        breaks.append(
            Break(
                place.mapped(lambda v: float(np.exp(v + points.centre))),
                told(theta[0, at + 2], drawn[:, at + 2], at + 2).mapped(lambda v: float(np.exp(v))),
                told(-theta[0, at], -drawn[:, at]),
                inside,
            )
        )
    segments = tuple(told(slopes[0][i], slopes[1][:, i]) for i in range(len(changes)))
    return empty | {"slopes": segments, "breaks": tuple(breaks)}


def _in_order(form: Form, theta: FloatArray) -> FloatArray:
    """Return the parameters with the earlier break first in every row."""
    if form.breaks < 2:
        return theta
    start = int(form.limit) + 2
    groups = theta[:, start:].reshape(len(theta), form.breaks, 3)
    order = np.argsort(groups[:, :, 1], axis=1)
    return np.hstack([theta[:, :start], np.take_along_axis(groups, order[:, :, None], axis=1).reshape(len(theta), -1)])


def _at_the_end(points: Points, form: Form) -> float:
    """Return the relative error at the x of the last octave, predicted from the others; nan where too few are left."""
    early = points.log_x <= points.log_x[-1] - np.log(OCTAVE) * (1 - 1e-9)
    if early.sum() < form.n_parameters + 1:
        early = np.arange(points.n_x) < points.n_x - 1
    if early.sum() < form.n_parameters:
        return float("nan")
    found = search(form, points.sets(early[points.at][None]))
    late = points.sets(~early[points.at][None])
    off = found.form.log_y(found.theta, points.log_x)[0][0] - late.log_y[0]
    return float(np.exp(np.average(off, weights=late.weight[0])) - 1.0)


def _card(
    points: Points, choice: Choice, form: Form, names: tuple[str, str], draws: int, seed: int
) -> FitCard:
    """Return the fit card."""
    x = points.x()
    others = tuple(one.name for one in choice.errors if one.name != form.name)
    units = "clusters" if points.by_clusters else "values with one x"
    return FitCard(
        form={
            "equation": form.equation, "free": form.parameters, "x": names[0], "y": names[1], "competing": others,
            "limit": "free" if form.limit else "0", "side of the limit": "above" if form.sign > 0 else "below",
        },
        data={
            "values": points.at.size, "distinct x": points.n_x, "range": (float(x[0]), float(x[-1])),
            "ratio": float(x[-1] / x[0]), "independent units": points.n_units, "units": units,
        },
        extraction={
            "point": "mean of ln y at each x",
            "smoothing": f"neighbours in ln x taken together to {points.n_x}" if points.merged else "none",
        },
        optimisation={
            "loss": "mean squared error of ln y, every value with the same weight",
            "starts": f"grid of places {PLACES}, widths {WIDTHS}, limits {ABOVE} x least and {BELOW} x largest y",
            "optimiser": "linear least squares on the grid, then Levenberg-Marquardt within bounds",
            "choice": f"simplest form not beaten at {LEVEL:g} by the best, {FOLDS} parts left out in turn",
            "held-out rms error of ln y": tuple(f"{one.name}: {choice.rms(one):.6g}" for one in choice.errors),
            "as good": tuple(one.name for one in choice.as_good),
            "uncertainty": f"{METHOD} over {units}, {draws} samples",
            "hold-out at the largest x, relative error": _at_the_end(points, form),
            "the same of a power law": _at_the_end(points, POWER),
            "seed": seed,
        },
        warnings=(*range_warnings(x, names[0]), *points.notes),
    )  # fmt: skip
