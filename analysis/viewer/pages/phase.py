"""This module is the page of a phase: parameters with intervals, regime, plane, signal by depth, doubts.

It takes measurements, as `agentsoc calibrate` writes them and `agentsoc phase --json` prints them.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from analysis.synergy.diagram.panels import phase_plane, trajectory_panel
from analysis.synergy.estimation.measured import Measured
from analysis.viewer.pages.plain import Span

CLOUD_MAX: Final = 400
"""Bootstrap draws that are told (draws)."""
_DEPTH: Final = 6
_LINE: Final = 60
_SPAN: Final = (0.3, 1.0)
_RHO: Final = (0.0, 0.9)


class Parameter(msgspec.Struct, frozen=True):
    """A parameter, or None where it was refused."""

    name: str
    meaning: str
    value: Span | None


class Plane(msgspec.Struct, frozen=True):
    """The plane of fidelity gamma and correlation rho: right of the boundary weak signals are amplified."""

    rho: list[float]
    lock: list[float]
    """The boundary, growth 1, under the lock: a gamma for each rho."""
    beta_binomial: list[float]
    """The same where shared errors are beta-binomial; the truth is between the two where the form is not known."""
    gamma_span: tuple[float, float]
    rho_span: tuple[float, float]
    point: tuple[float, float] | None
    cloud: list[tuple[float, float]]
    margin: float | None
    """How far gamma is right of the boundary at the measured rho."""


class Depths(msgspec.Struct, frozen=True):
    """The signal of the answer by depth of the tree, from the strongest leaf that was measured."""

    levels: list[int]
    signal: list[float | None]
    lower: list[float | None]
    upper: list[float | None]


class PhasePage(msgspec.Struct, frozen=True):
    """What the page of a phase shows."""

    b: int
    verdict: str
    sentence: str
    probabilities: dict[str, float | None]
    parameters: list[Parameter]
    plane: Plane
    depths: Depths | None
    refusals: list[str]
    assumptions: list[tuple[str, str, str]]
    """Code, status and text of each."""
    trials: dict[str, int]
    tokens: dict[str, int]
    ignored: list[str]


MEANINGS: Final = {
    "a": "signal of one token of compute",
    "beta": "compute exponent of a leaf",
    "gamma": "fidelity of a message",
    "rho": "correlation of the votes that a node reads",
    "alpha": "growth of a weak signal per level",
    "s": "organization exponent",
    "s_beta_binomial": "the same where shared errors are beta-binomial",
    "alpha_beta_binomial": "growth of a weak signal per level where shared errors are beta-binomial",
    "alpha_gauss_factor": "the same where shared errors come of a Gaussian factor",
}
SENTENCES: Final = {
    "amplify": "Trees of these agents amplify a weak signal.",
    "collapse": "Trees of these agents lose their signal.",
    "undecided": "Whether trees of these agents amplify or lose their signal is not decided by this much data.",
}
OTHER_VERDICT: Final = "No regime is told."


def phase_page(measured: Measured, ignored: tuple[str, ...] = ()) -> PhasePage:
    """Return the page of measurements; `ignored` are the runs that told nothing.

    Raises:
        InputError: the fan-in is none that the theory has.
    """
    parameters = [
        Parameter(name, MEANINGS.get(name, ""), None if one is None else Span(
            _finite(one.value), _finite(one.low), _finite(one.high), one.method))
        for name, one in measured.parameters.items()
    ]  # fmt: skip
    return PhasePage(
        b=measured.b,
        verdict=measured.verdict,
        sentence=SENTENCES.get(measured.verdict, OTHER_VERDICT),
        probabilities={
            name: None if value is None else _finite(value) for name, value in measured.probabilities.items()
        },
        parameters=parameters,
        plane=_plane(measured),
        depths=_depths(measured),
        refusals=list(measured.refusals),
        assumptions=list(measured.assumptions),
        trials=dict(measured.trials),
        tokens=dict(measured.tokens),
        ignored=list(ignored),
    )


def _plane(measured: Measured) -> Plane:
    plane = phase_plane(measured.b, lock=measured.lock, gamma_span=_SPAN, rho_span=_RHO, n=_LINE)
    gamma, rho = measured.parameters.get("gamma"), measured.parameters.get("rho")
    point, cloud, margin = None, [], None
    if gamma is not None and rho is not None:
        point = _within(gamma.value), _within(rho.value)
        at = float(np.interp(point[1], plane.rho, plane.boundary_lock))
        margin = point[0] - at if np.isfinite(at) else None
        draws = (measured.draws.get("gamma"), measured.draws.get("rho"))
        fidelity = draws[0] if draws[0] is not None else (measured.messages[0].draws if measured.messages else None)
        if fidelity is not None and draws[1] is not None:
            n = min(fidelity.size, draws[1].size)
            step = max(-(-n // CLOUD_MAX), 1)
            pairs = zip(fidelity[:n:step], draws[1][:n:step], strict=True)
            cloud = [(_within(g), _within(r)) for g, r in pairs if np.isfinite(g) and np.isfinite(r)]
    lines = (
        np.clip(np.nan_to_num(line, nan=2.0), 0, 2) for line in (plane.boundary_lock, plane.boundary_beta_binomial)
    )
    lock, beta_binomial = (np.round(line, 5).tolist() for line in lines)
    return Plane(np.round(plane.rho, 5).tolist(), lock, beta_binomial, _SPAN, _RHO, point, cloud, margin)


def _depths(measured: Measured) -> Depths | None:
    signals = [one for one in measured.leaf.get("signals", ()) if isinstance(one, int | float) and one > 0]
    gamma, rho = measured.parameters.get("gamma"), measured.parameters.get("rho")
    if not signals or gamma is None or rho is None or not 0 < signals[-1] <= 1:
        return None
    panel = trajectory_panel(
        float(signals[-1]), measured.b, _within(gamma.value), _within(rho.value), _DEPTH, lock=measured.lock
    )
    lines = ([_finite(float(value)) for value in line] for line in (panel.exact, panel.lower, panel.upper))
    return Depths(list(range(panel.exact.size)), *lines)


def _within(value: float) -> float:
    return round(float(np.clip(value, 0.0, 1.0)), 5)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
