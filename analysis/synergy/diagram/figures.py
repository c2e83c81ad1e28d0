"""This module draws the phase diagram; it needs matplotlib (the `plot` extra). `panels` gives the data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agentsoc.errors import MissingExtraError
from analysis.synergy.diagram.panels import BudgetPanel, PhasePlane, TrajectoryPanel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DOTS_PER_INCH = 150


def draw_plane(plane: PhasePlane) -> Figure:
    """Return panel 1: exponent as colour, boundaries as lines and a band, the measured point with its cloud."""
    figure, axes = _blank("fidelity of a message, gamma", "correlation of received votes, rho")
    reach = float(np.abs(plane.s[np.isfinite(plane.s)]).max())
    mesh = axes.pcolormesh(
        plane.gamma, plane.rho, plane.s, cmap="RdBu", vmin=-reach, vmax=reach, shading="auto", rasterized=True
    )
    figure.colorbar(mesh, ax=axes, label=f"organization exponent s (b = {plane.b}, lock)")
    left, right = plane.gamma[0], plane.gamma[-1]
    near, far = (np.clip(line, left, right) for line in (plane.boundary_lock, plane.boundary_beta_binomial))
    axes.fill_betweenx(plane.rho, near, far, color="0.4", alpha=0.25, lw=0, label="form of shared errors not known")
    for line, style, name in (
        (plane.boundary_lock, "-", "alpha = 1, lock"),
        (plane.boundary_beta_binomial, ":", "alpha = 1, beta-binomial"),
    ):
        inside = (line >= left) & (line <= right)
        axes.plot(line[inside], plane.rho[inside], color="k", lw=2.2, ls=style, label=name)
    if plane.beta is not None:
        _contour(axes, plane, plane.s - plane.beta, "-", "tab:green", f"s = beta = {plane.beta:.3g}")
    if plane.finite is not None:
        _contour(axes, plane, plane.finite, "--", "tab:purple", f"mu* = mu0 = {plane.mu0:.3g}")
    if plane.cloud.size:
        axes.plot(plane.cloud[:, 0], plane.cloud[:, 1], ".", color="tab:orange", ms=2, alpha=0.4)
    if plane.point is not None:
        axes.plot(*plane.point, "o", color="tab:orange", mec="k", ms=8, label="measured")
    axes.set(xlim=(left, right), ylim=(plane.rho[0], plane.rho[-1]), title=plane.caption())
    axes.legend(loc="upper left", fontsize="small")
    return figure


def draw_budget(panel: BudgetPanel) -> Figure:
    """Return panel 2: budgets between which trees pay, over the compute exponent."""
    figure, axes = _blank("compute exponent of a leaf, beta", f"budget B / c0 (c0 = {panel.c0:.4g} tokens)")
    for curve, style, name in (
        (panel.first, "-", "B*_1: a tree begins to pay (weak signals)"),
        (panel.growth, ":", "B*_g: the same, real-valued leaves"),
        (panel.saturation, "--", "B_sat: the best tree is at its limit"),
        (panel.catch_up, "-.", "B_catch: one agent has caught up"),
    ):
        seen = np.isfinite(curve) & (curve > 0)
        axes.plot(panel.beta[seen], curve[seen], ls=style, label=name)
    if panel.s > 0:
        axes.axvline(panel.s, color="k", lw=0.8)
        axes.annotate("s", (panel.s, 0.02), xycoords=("data", "axes fraction"))
    if panel.measured_beta is not None:
        value, low, high = panel.measured_beta
        axes.axvspan(low, high, color="tab:orange", alpha=0.2, lw=0)
        axes.axvline(value, color="tab:orange", label="measured beta")
    axes.set_yscale("log")
    axes.set_ylim(0.5, 1e12)
    axes.set_xlim(0, float(panel.beta[-1]))
    axes.set_title(f"b = {panel.b}, s = {panel.s:.3g}")
    axes.legend(fontsize="small")
    return figure


def draw_trajectory(panel: TrajectoryPanel) -> Figure:
    """Return panel 3: signal by depth with bounds, band and measured points."""
    figure, axes = _blank("depth of the tree, L (levels)", "signal of the answer, mu_L")
    depth = np.arange(panel.exact.size)
    axes.plot(depth, panel.exact, "k-", label="exact recursion")
    if np.any(np.isfinite(panel.band_low)):
        axes.fill_between(depth, panel.band_low, panel.band_high, color="0.6", alpha=0.4, lw=0, label="95 % band")
    axes.plot(depth, panel.upper, "--", color="tab:red", label="upper bound (clipped growth)")
    axes.plot(depth, panel.lower, "--", color="tab:blue", label="lower bound (chord)")
    if panel.measured:
        level = np.array([point.level for point in panel.measured])
        value = np.array([point.signal for point in panel.measured])
        ends = np.array([[p.signal - p.low, p.high - p.signal] for p in panel.measured]).T
        axes.errorbar(level, value, yerr=ends, fmt="o", color="tab:orange", mec="k", capsize=3, label="measured")
    axes.set_title(f"b = {panel.b}, leaf signal {panel.mu0:.3g}")
    axes.legend(fontsize="small")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure to `path`; the ending says the format. No dates in the file: equal figures, equal bytes."""
    dated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix, {})
    figure.savefig(path, dpi=_DOTS_PER_INCH, metadata=dated)


def _contour(
    axes: Axes,
    plane: PhasePlane,
    field: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    style: str,
    colour: str,
    name: str,
) -> None:
    """Draw the line field = 0 and its entry in the legend, if the line crosses the plane at all."""
    if field.min() < 0 < field.max():
        axes.contour(plane.gamma, plane.rho, field, levels=[0.0], colors=[colour], linestyles=[style])
        axes.plot([], [], color=colour, ls=style, label=name)


def _blank(x: str, y: str) -> tuple[Figure, Axes]:
    """Return an empty figure, not known to any window system."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing a diagram", "matplotlib", "plot") from error
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=x, ylabel=y)
    return figure, axes
