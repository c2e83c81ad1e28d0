"""This module draws the laws: tails with their fits, Lorenz curves, growth of the largest, merges against expansion.

Needs matplotlib (the `plot` extra). `draw` writes one PNG each, and its numbers beside it; nothing is drawn that is not
in `analysis.cascade_laws.figure_tables`.
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
from analysis.cascade_laws.examine import Law, Laws
from analysis.cascade_laws.figure_tables import (
    DATA,
    growth_table,
    lorenz_table,
    merges_table,
    tails_table,
)
from analysis.csv_cells import as_csv
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
_POWER_STYLE: Final = ("k", "-")


def draw(laws: Laws, directory: Path) -> list[Path]:
    """Write the figures of `laws` into `directory`, each with its numbers as CSV, and return the files.

    One that would show nothing is left out.

    Raises:
        InputError: the directory cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    pictures = {
        "tails": (draw_tails(laws), tails_table(laws)),
        "lorenz": (draw_lorenz(laws), lorenz_table(laws)),
        "growth": (draw_growth(laws), growth_table(laws)),
        "merges": (draw_merges(laws), merges_table(laws)),
    }
    written = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, (figure, table) in pictures.items():
            if figure is None or table is None:
                continue
            drawn = io.BytesIO()
            figure.savefig(drawn, format="png", dpi=_DOTS_PER_INCH)
            for ending, data in (("png", drawn.getvalue()), ("csv", as_csv(table))):
                path = directory / f"{name}.{ending}"
                write_whole(path, data)
                written.append(path)
    except OSError as error:
        raise InputError(f"figures cannot be written: {error.strerror or error}", str(directory)) from error
    return written


def draw_tails(laws: Laws) -> Figure | None:
    """Return the share of values >= x of every fitted observable, with the fitted models above xmin."""
    table = tails_table(laws)
    if table is None:
        return None
    fitted = table.partition_by("observable", maintain_order=True)
    figure, panels = _blank(len(fitted), _COLUMNS)
    for axes, part in zip(panels, fitted, strict=True):
        law = laws.laws[part["observable"][0]]
        _tail(axes, law, part)
        _label(axes, f"{law.sample.name}: {law.fit.verdict.word}", law.sample.unit)
    for axes in panels[::_COLUMNS]:
        axes.set_ylabel("share of values >= x", fontsize=_SMALL)
    _legend_below(figure, panels)
    return figure


def _tail(axes: Axes, law: Law, points: pl.DataFrame) -> None:
    """Draw one sample and its fits."""
    power = law.fit.power
    assert power is not None
    for part in points.partition_by("of", maintain_order=True):
        name, x, share = part["of"][0], part["x"], part["share"]
        if name == DATA:
            axes.plot(x, share, ".", ms=3, color="tab:blue", label=DATA)
            _log_axis(axes, "x", x.to_numpy())
            _log_axis(axes, "y", share.to_numpy())
        else:
            color, style = _POWER_STYLE if name == POWER else COMPETITORS.get(name).style
            axes.plot(x, share, color=color, ls=style, lw=1, label=name.replace("_", " "))
    axes.axvline(power.xmin, color="0.7", lw=0.5)


def draw_lorenz(laws: Laws) -> Figure | None:
    """Return the mean Lorenz curve of effort (acts) over all agents, for each topology."""
    table = lorenz_table(laws)
    if table is None:
        return None
    figure, (axes,) = _blank(1, 1)
    axes.plot([0, 1], [0, 1], color="0.6", ls="--", lw=2.4, label="equal")  # below a curve that lies on it, and wider
    for part in table.partition_by("topology", maintain_order=True):
        axes.plot(part["agents"], part["acts"], lw=1.2, label=f"{part['topology'][0]} ({part['executions'][0]})")
    axes.set(xlabel="share of agents, least active first", ylabel="share of all acts", title="Lorenz curves of effort")
    _legend_below(figure, [axes])
    return figure


def draw_growth(laws: Laws) -> Figure | None:
    """Return the mean largest value against N with the fitted line and the structural cap, for each observable."""
    table = growth_table(laws)
    if table is None:
        return None
    grown = table.partition_by("observable", maintain_order=True)
    figure, panels = _blank(len(grown), _COLUMNS)
    for axes, part in zip(panels, grown, strict=True):
        name, n = part["observable"][0], part["n_agents"].to_numpy()
        growth = laws.laws[name].growth
        assert growth is not None
        slope = growth.by_mean
        axes.plot(n, part["mean"], "o", ms=4, color="tab:blue", label="mean of the largest")
        axes.plot(n, part["line"], "k-", lw=1, label="N^gamma")
        if not part["cap"].null_count():
            axes.plot(n, part["cap"], ":", color="tab:red", lw=1, label="cap of the design")
        _log_axis(axes, "x", n)
        _log_axis(axes, "y", np.concatenate([part[one].drop_nulls().to_numpy() for one in ("mean", "line", "cap")]))
        _label(axes, f"{name}\n{slope.value:.2f} [{slope.low:.2f}, {slope.high:.2f}]", "agents")
    _legend_below(figure, panels)
    return figure


def draw_merges(laws: Laws) -> Figure | None:
    """Return merges against all other acts of coordination, one point per execution."""
    table = merges_table(laws)
    if table is None:
        return None
    figure, (axes,) = _blank(1, 1)
    for part in table.partition_by("topology", maintain_order=True):
        axes.plot(part["expansion"], part["merges"], ".", ms=4, alpha=0.5, label=part["topology"][0])
    axes.set(xlabel="other acts of coordination", ylabel="merges", title="Merges against expansion, per execution")
    axes.set(xscale="symlog", yscale="symlog")
    for side, column in (("x", "expansion"), ("y", "merges")):
        _symlog_ticks(axes, side, float(table[column].to_numpy().max()))
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
