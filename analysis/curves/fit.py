"""This module fits a curve: `fit_curve` chooses the form by held-out error and tells it with intervals and a fit card.

The interval of everything is by a wild bootstrap: the residuals of each unit (cluster, or all values with one x) keep
their size and get a random sign, together; the chosen form is fitted anew. So the scatter may differ along x. How sharp
a break is says little in the loss and much about slopes: samples are drawn not only from the best curve but from the
best with each width that the loss leaves open. An interval is the number less the errors of the samples. Residuals are
pushed out for the parameters that were fitted, percentiles for the number of units.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.curves.forms import POWER, Form
from analysis.curves.holdout import Choice, allowed, choose, with_fewer
from analysis.curves.law import METHOD, Break, CurveLaw, Resampled, Samples, interval_of
from analysis.curves.points import FOLDS, Points, points_of
from analysis.curves.search import ABOVE, BELOW, PLACES, WIDTHS, Sets, best_of_sides, grid_starts, refine, search
from analysis.fitcard import FitCard, range_warnings
from analysis.interval import FloatArray, Interval
from analysis.percentiles import percentile_levels

DRAWS: Final = 400
OCTAVE: Final = 2.0
WIDTHS_TRIED: Final = 6
"""Widths of a break of which samples may be drawn."""


def fit_curve(
    x: ArrayLike,
    y: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    names: tuple[str, str] = ("x", "y"),
    draws: int = DRAWS,
    seed: int = 0,
    resampled: Resampled | None = None,
) -> CurveLaw:
    """Return the law of y over x: constant, power law, logistic, or a power law with breaks (arXiv 2210.14891).

    y = a + b x^(-c0) prod_{i=1..n} (1 + (x/d_i)^(1/f_i))^(-c_i f_i) with n in {0, 1, 2}, the limit a free or 0, and the
    logistic in ln x; the mean squared error of ln y is the least. Which form is chosen goes by held-out error. A break
    is reported if the interval of d lies inside the data and the held-out error is better than that of every power law
    without a break.

    Args:
        x: numbers of agents, tokens or rounds, shape (n_values,), positive; any number of values may share an x.
        y: accuracy, error, size, shape (n_values,), positive. Of an accuracy that comes close to 1, give the error.
        clusters: label of what is independent (a run, a seed), shape (n_values,); None takes each x as independent.
        names: what x and y are called in what is said.
        draws: bootstrap samples, 20 or more.
        seed: seed of the bootstrap.
        resampled: where each y is a mean over the same things (tasks), these means in bootstrap samples of them, for
            which intervals then hold. Only with one value at each x.

    Returns:
        The law; `summary()` says it in words, `predict` goes beyond the data, `card` holds how it was fitted.

    Raises:
        InputError: columns of different lengths, values that are not positive and finite, or fewer than four distinct
            x, or several values at an x that are resampled.
    """
    points = points_of(x, y, clusters, names=names)
    if resampled is not None and (points.n_x != points.at.size or resampled.values.shape[1:] != points.at.shape):
        raise InputError(f"resampled values need one value at each {names[0]}", names[0], "give means")
    first = law = _told(points, choose(points, allowed(points)), names, draws, seed, resampled)
    while law.breaks and not all(one.inside for one in law.breaks):
        choice = with_fewer(law.choice)
        if choice is None:
            return first
        law = _told(points, choice, names, draws, seed, resampled)
    return law


def _told(
    points: Points, choice: Choice, names: tuple[str, str], draws: int, seed: int, resampled: Resampled | None
) -> CurveLaw:
    """Return the law of the chosen form."""
    whole = points.whole()
    found = best_of_sides(choice.chosen, whole)
    form, theta = found.form, found.theta[0]
    residual = points.log_y - form.log_y(theta[None], points.log_x)[0][0, points.at]
    room = max(points.n_units - form.n_parameters, 1)
    residual = residual * np.sqrt(points.n_units / room)
    if resampled is None:
        samples = _bootstrap(form, theta, points, residual, max(draws, 20), seed)
    else:
        samples = _of_resampled(form, theta, points, resampled, max(draws, 20))
    others = (best_of_sides(one, whole) for one in choice.as_good)
    return CurveLaw(
        names=names, form=form, x=points.x(), choice=choice, theta=theta, samples=samples,
        rivals=tuple((one.form, one.theta[0]) for one in others), centre=(points.centre, points.level),
        residual=residual, card=_card(points, choice, form, names, samples, seed),
        **_parts(form, theta[None], samples, points),
    )  # fmt: skip


def _bootstrap(form: Form, theta: FloatArray, points: Points, residual: FloatArray, draws: int, seed: int) -> Samples:
    """Return the samples of a bootstrap from all curves that the loss leaves open."""
    rng, whole = stream(seed, "curve"), points.whole()
    centres = _open_widths(form, theta, points)
    true = centres[np.arange(draws) % len(centres)]
    signs = rng.choice((-1.0, 1.0), size=(draws, points.n_units))
    curves = form.log_y(true, points.log_x)[0] + points.spread(residual, signs)
    sets = Sets(points.log_x, curves, np.repeat(whole.weight, draws, axis=0))
    fixed = np.concatenate([theta[None], grid_starts(form, whole)[: 2 if form.breaks > 0 else 1]])
    starts = np.concatenate([true[:, None], np.broadcast_to(fixed, (draws, *fixed.shape))], axis=1)
    owner = np.repeat(np.arange(draws), starts.shape[1])
    fitted = refine(form, sets, starts.reshape(len(owner), -1), owner).theta
    levels = percentile_levels(0.95, max(points.n_units - form.n_parameters, 1) + 1)
    return Samples(_in_order(form, true), _in_order(form, fitted), levels)


def _of_resampled(form: Form, theta: FloatArray, points: Points, resampled: Resampled, draws: int) -> Samples:
    """Return the form fitted anew, from a grid of its own, to each sample of the values."""
    whole, values = points.whole(), resampled.values[:draws]
    log_y = np.empty((len(values), points.n_x))
    log_y[:, points.at] = np.log(values) - points.level
    fitted = search(form, Sets(points.log_x, log_y, np.repeat(whole.weight, len(values), axis=0))).theta
    true = np.repeat(theta[None], len(values), axis=0)
    levels = percentile_levels(0.95, resampled.units)
    return Samples(_in_order(form, true), _in_order(form, fitted), levels, resampled.method)


def _open_widths(form: Form, theta: FloatArray, points: Points) -> FloatArray:
    """Return the best parameters, and the best with each width of breaks that the loss does not rule out at 5 %."""
    if form.breaks < 1:
        return theta[None]
    whole = points.whole()
    low, high = form.bounds(points.log_x, whole.log_y)
    widths = np.arange(int(form.limit) + 4, form.n_parameters, 3)
    found = [theta]
    for width in np.linspace(low[widths[0]], high[widths[0]], WIDTHS_TRIED):
        start, ends = theta.copy(), (low.copy(), high.copy())
        start[widths] = ends[0][widths] = ends[1][widths] = width
        found.append(refine(form, whole, start[None], np.zeros(1, dtype=np.int64), ends).theta[0])
    off = points.log_y - form.log_y(np.array(found), points.log_x)[0][:, points.at]
    squares = (off**2).sum(axis=1)
    room = max(points.n_units - form.n_parameters, 1)
    left = squares <= squares[0] * (1 + float(stdtrit(room, 0.975)) ** 2 / room)
    return np.asarray(np.array(found)[left], dtype=np.float64)


def _parts(form: Form, theta: FloatArray, samples: Samples, points: Points) -> dict[str, Any]:
    """Return limit, slopes, breaks and the parameters of a logistic, with their intervals."""
    low, high = form.bounds(points.log_x, points.whole().log_y)
    start, theta = int(form.limit), _in_order(form, theta)

    def told(at: int) -> Interval:
        return interval_of(samples, lambda rows: rows[:, at], theta, (float(low[at]), float(high[at])))

    def free(columns: list[int]) -> Interval:
        return interval_of(samples, lambda rows: -rows[:, columns].sum(axis=1), theta, (-np.inf, np.inf))

    def place(found: Interval) -> Interval:
        return found.mapped(lambda value: float(np.exp(value + points.centre)))

    limit = told(0).mapped(lambda value: value * float(np.exp(points.level))) if form.limit else None
    found: dict[str, Any] = {"limit": limit, "slopes": (), "breaks": (), "steepness": None, "middle": None}
    if form.logistic:
        return found | {"steepness": told(start + 1), "middle": place(told(start + 2))}
    if form.breaks < 0:
        return found
    changes = [start + 1, *range(start + 2, form.n_parameters, 3)]
    breaks = []
    for at in changes[1:]:
        where = told(at + 1)
        inside = bool(points.log_x[0] < where.low and where.high < points.log_x[-1])
        width = told(at + 2).mapped(lambda value: float(np.exp(value)))
        breaks.append(Break(place(where), width, free([at]), inside))
    slopes = tuple(free(changes[: i + 1]) for i in range(len(changes)))
    return found | {"slopes": slopes, "breaks": tuple(breaks)}


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


def _card(points: Points, choice: Choice, form: Form, names: tuple[str, str], samples: Samples, seed: int) -> FitCard:
    """Return the fit card."""
    x, draws = points.x(), len(samples.fitted)
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
            "choice": f"simplest form within one standard error of the best, {FOLDS} parts left out in turn",
            "held-out rms error of ln y": tuple(f"{one.name}: {choice.rms(one):.6g}" for one in choice.errors),
            "as good": tuple(one.name for one in choice.as_good),
            "uncertainty": f"{samples.method}{f' over {units}' if samples.method == METHOD else ''}, {draws} samples",
            "hold-out at the largest x, relative error": _at_the_end(points, form),
            "the same of a power law": _at_the_end(points, POWER),
            "seed": seed,
        },
        warnings=(*range_warnings(x, names[0]), *points.notes),
    )  # fmt: skip
