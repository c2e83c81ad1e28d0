"""This module gives the points of a tail's picture: the share of values at least x, and the models above xmin."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.cascade_laws.examine import Law
from analysis.tails.competitor import COMPETITORS
from analysis.tails.fit import POWER
from analysis.tails.powerlaw import survival

F64 = NDArray[np.float64]

POINTS_MAX: Final = 120
"""Points of a curve; of more values those at equal distances in log x, and the last."""


def data_points(law: Law) -> tuple[F64, F64]:
    """Return distinct values x and the share of values that are at least x, both shape (n,)."""
    sample = law.fit.sample
    x, share = sample.values.astype(np.float64), 1.0 - sample.below[:-1] / sample.n
    if x.size > POINTS_MAX:
        wanted = np.geomspace(max(x[0], 1e-12), x[-1], POINTS_MAX) if x[0] > 0 else np.linspace(x[0], x[-1], POINTS_MAX)
        kept = np.unique(np.clip(np.searchsorted(x, wanted), 0, x.size - 1))
        x, share = x[kept], share[kept]
    return x, share


def fitted_curves(law: Law) -> tuple[F64, dict[str, F64]]:
    """Return values x from xmin on, shape (n,), and for each model the share of values at least x that it expects."""
    power, sample = law.fit.power, law.fit.sample
    if power is None:
        return np.empty(0), {}
    x = np.geomspace(power.xmin, max(float(sample.values[-1]), power.xmin * 1.01), POINTS_MAX)
    if sample.discrete:
        x = np.unique(np.rint(x))
    share = power.n_tail / sample.n
    curves = {POWER: share * survival(power, x, discrete=sample.discrete)}
    for name, model in law.fit.models.items():
        curves[name] = share * COMPETITORS.get(name).survival(model, x, discrete=sample.discrete)
    return x, curves


def curves_as_dict(law: Law) -> dict[str, object]:
    """Return both as plain data for JSON."""
    x, share = data_points(law)
    at, curves = fitted_curves(law)
    return {
        "x": x.tolist(), "share": share.tolist(), "fit_x": at.tolist(),
        "fits": {name: curve.tolist() for name, curve in curves.items()},
    }  # fmt: skip
