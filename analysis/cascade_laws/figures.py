"""This module draws the laws: tails with their fits, Lorenz curves, growth of the largest, merges against expansion.

Needs matplotlib (the `plot` extra). `draw` writes one PNG each; nothing is drawn that `Laws` does not hold.
"""

from __future__ import annotations

import io
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentsoc.errors import InputError, MissingExtraError
from agentsoc.log.files import write_whole
from analysis.cascade_laws.elites import lorenz
from analysis.cascade_laws.examine import Law, Laws
from analysis.cascade_laws.tail_curves import data_points, fitted_curves
from analysis.observables.sampled import effort
from analysis.scales import label, scale
from analysis.tails.competitor import COMPETITORS
from analysis.tails.fit import POWER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]

_DOTS_PER_INCH: Final = 120
_COLUMNS: Final = 4
_SMALL: Final = 7
_LEVELS: Final = np.linspace(0.0, 1.0, 101)
_POWER_STYLE: Final = ("k", "-")


def draw(laws: Laws, directory: Path) -> list[Path]:
    """Write the figures of `laws` into `directory` and return their files; one without data is left out.

    Raises:
        InputError: the directory cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    figures = {
        "tails": draw_tails(laws),
        "lorenz": draw_lorenz(laws),
        "growth": draw_growth(laws),
        "merges": draw_merges(laws),
    }
    written = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            if figure is not None:
                path = directory / f"{name}.png"
                drawn = io.BytesIO()
                figure.savefig(drawn, format="png", dpi=_DOTS_PER_INCH)
                write_whole(path, drawn.getvalue())
                written.append(path)
    except OSError as error:
        raise InputError(f"figures cannot be written: {error.strerror or error}", str(directory)) from error
    return written


def draw_tails(laws: Laws) -> Figure | None:
    """Return the share of values >= x of every fitted observable, with the fitted models above xmin."""
    fitted = {name: law for name, law in laws.laws.items() if law.fit.power is not None}
    if not fitted:
        return None
    figure, panels = _blank(len(fitted), _COLUMNS)
    for axes, (name, law) in zip(panels, fitted.items(), strict=True):
        _tail(axes, law)
        _label(axes, f"{name}: {law.fit.verdict.word}", law.sample.unit)
    panels[0].set_ylabel("share of values >= x", fontsize=_SMALL)
    _legend_below(figure, panels)
    return figure


def _tail(axes: Axes, law: Law) -> None:
    """Draw one sample and its fits."""
    power, sample = law.fit.power, law.fit.sample
    assert power is not None
    values, above = data_points(law)
    axes.plot(values, above, ".", ms=3, color="tab:blue", label="data")
    x, curves = fitted_curves(law)
    for name, curve in curves.items():
        color, style = _POWER_STYLE if name == POWER else COMPETITORS.get(name).style
        seen = curve > 0.2 / sample.n
        axes.plot(x[seen], curve[seen], color=color, ls=style, lw=1, label=name.replace("_", " "))
    axes.axvline(power.xmin, color="0.7", lw=0.5)
    _log_axis(axes, "x", values)
    _log_axis(axes, "y", above)


def draw_lorenz(laws: Laws) -> Figure | None:
    """Return the mean Lorenz curve of effort (acts) over all agents, for each topology."""
    acts = effort(laws.table).filter(pl.col("events") > 0)
    if not acts.height:
        return None
    figure, (axes,) = _blank(1, 1)
    executions = laws.table.executions.select("execution", "n_agents", pl.col("topology").fill_null("unknown"))
    joined = acts.join(executions, on="execution", how="left", maintain_order="left")
    for (topology,), part in joined.sort("topology").group_by("topology", maintain_order=True):
        curves = []
        for _, one in part.group_by("execution", maintain_order=True):
            missing = max(int(one["n_agents"][0] or one.height) - one.height, 0)
            share, held = lorenz(np.concatenate([one["events"].to_numpy(), np.zeros(missing)]))
            curves.append(np.interp(_LEVELS, share, held))
        axes.plot(_LEVELS, np.mean(curves, axis=0), lw=1.2, label=f"{topology} ({len(curves)})")
    axes.plot([0, 1], [0, 1], color="0.7", lw=0.8, label="equal")
    axes.set(xlabel="share of agents, least active first", ylabel="share of all acts", title="Lorenz curves of effort")
    _legend_below(figure, [axes])
    return figure


def draw_growth(laws: Laws) -> Figure | None:
    """Return the mean largest value against N with the fitted line and the structural cap, for each observable."""
    grown = {name: law.growth for name, law in laws.laws.items() if law.growth is not None}
    if not grown:
        return None
    figure, panels = _blank(len(grown), _COLUMNS)
    for axes, (name, growth) in zip(panels, grown.items(), strict=True):
        n, mean, cap = (growth.per_n[column].to_numpy().astype(np.float64) for column in ("n_agents", "mean", "cap"))
        slope = growth.by_mean
        middle = np.exp(np.mean(np.log(mean)))
        line = middle * (n / np.exp(np.mean(np.log(n)))) ** slope.value
        axes.plot(n, mean, "o", ms=4, color="tab:blue", label="mean of the largest")
        axes.plot(n, line, "k-", lw=1, label="N^gamma")
        if np.all(np.isfinite(cap) & (cap > 0)):
            axes.plot(n, cap, ":", color="tab:red", lw=1, label="cap of the design")
        _log_axis(axes, "x", n)
        _log_axis(axes, "y", np.concatenate([mean, line, cap[np.isfinite(cap) & (cap > 0)]]))
        _label(axes, f"{name}\n{slope.value:.2f} [{slope.low:.2f}, {slope.high:.2f}]", "agents")
    _legend_below(figure, panels)
    return figure


def draw_merges(laws: Laws) -> Figure | None:
    """Return merges against all other acts of coordination, one point per execution."""
    per_run = laws.integration.executions.join(
        laws.table.executions.select("execution", pl.col("topology").fill_null("unknown")),
        on="execution",
        how="left",
        maintain_order="left",
    ).filter(pl.col("expansion") > 0)
    if not per_run.height:
        return None
    figure, (axes,) = _blank(1, 1)
    for (topology,), part in per_run.sort("topology").group_by("topology", maintain_order=True):
        axes.plot(part["expansion"], part["merges"], ".", ms=4, alpha=0.5, label=str(topology))
    axes.set(xlabel="other acts of coordination", ylabel="merges", title="Merges against expansion, per execution")
    axes.set(xscale="symlog", yscale="symlog")
    for side, column in (("x", "expansion"), ("y", "merges")):
        _symlog_ticks(axes, side, float(per_run[column].to_numpy().max()))
    _legend_below(figure, [axes])
    return figure


def _blank(panels: int, columns: int) -> tuple[Figure, list[Axes]]:
    """Return an empty figure with `panels` axes in rows of at most `columns`; no window system is touched."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingExtraError("drawing", "matplotlib", "plot") from None
    columns = min(columns, panels)
    rows = -(-panels // columns)
    size = (3.2 * columns, 2.6 * rows) if panels > 1 else (6.0, 4.5)
    figure = Figure(figsize=size, layout="constrained")
    axes = [figure.add_subplot(rows, columns, at + 1) for at in range(panels)]
    for one in axes:
        one.tick_params(labelsize=_SMALL)
    return figure, axes


def _log_axis(axes: Axes, side: str, values: F64) -> None:
    """Make an axis (x or y) logarithmic and wide enough, with at least two labelled ticks even within a decade."""
    from matplotlib.ticker import NullLocator

    found = scale([float(value) for value in values], 0.0, 1.0, log=True)
    ticks = found.ticks(4)
    axes.set(**{f"{side}scale": "log", f"{side}lim": (found.low, found.high)})
    axis = axes.xaxis if side == "x" else axes.yaxis
    axis.set_minor_locator(NullLocator())
    axis.set_ticks([value for value, _ in ticks], [words for _, words in ticks])


def _symlog_ticks(axes: Axes, side: str, most: float) -> None:
    """Give an axis that begins at 0 ticks at 0, 1 and the powers of ten up to its largest value, thinned out."""
    from matplotlib.ticker import NullLocator

    powers = [10.0**at for at in range(max(int(np.ceil(np.log10(max(most, 1.0)))), 1) + 1)]
    ticks = [0.0, *powers[:: -(-len(powers) // 5)]]
    axis = axes.xaxis if side == "x" else axes.yaxis
    axis.set_minor_locator(NullLocator())
    axis.set_ticks(ticks, [label(value) for value in ticks])


def _legend_below(figure: Figure, panels: list[Axes]) -> None:
    """Put one legend of all that is named in the panels below them, where it covers nothing."""
    named = {
        words: line for axes in panels for line, words in zip(*axes.get_legend_handles_labels(), strict=True)
    }  # fmt: skip
    figure.legend(
        list(named.values()), list(named), loc="outside lower center", ncols=min(len(named), 4), fontsize=_SMALL,
        frameon=False,
    )  # fmt: skip


def _label(axes: Axes, title: str, x: str) -> None:
    """Write title and x label of a small panel, the title in lines that fit above it."""
    lines = [part for one in title.split("\n") for part in textwrap.wrap(one, 40)]
    axes.set_title("\n".join(lines), fontsize=_SMALL)
    axes.set_xlabel(x, fontsize=_SMALL)
