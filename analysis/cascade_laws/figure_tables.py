"""This module gives the numbers of each figure of the laws as a table: what is drawn is in it, and nothing else."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.cascade_laws.elites import lorenz
from analysis.cascade_laws.examine import Laws
from analysis.cascade_laws.tail_curves import data_points, fitted_curves
from analysis.observables.sampled import effort

F64 = NDArray[np.float64]

DATA: Final = "data"
LEVELS: Final = np.linspace(0.0, 1.0, 101)
"""Shares of agents at which a mean Lorenz curve is taken."""


def tails_table(laws: Laws) -> pl.DataFrame | None:
    """Return the share of values at least x of every fitted observable: of the data, and as each model expects.

    Returns:
        pl.DataFrame | None: `observable`, `of` (``data`` or a model), `x` in the observable's unit, `share` in [0, 1].
            A model's curve ends where it expects fewer than a fifth of a value. None where nothing was fitted.
    """
    parts = []
    for name, law in laws.laws.items():
        if law.fit.power is None:
            continue
        x, share = data_points(law)
        parts.append(_points(name, DATA, x, share))
        at, curves = fitted_curves(law)
        for model, curve in curves.items():
            seen = curve > 0.2 / law.fit.sample.n
            parts.append(_points(name, model, at[seen], curve[seen]))
    return pl.concat(parts) if parts else None


def _points(observable: str, of: str, x: F64, share: F64) -> pl.DataFrame:
    return pl.DataFrame({"x": x, "share": share}).select(
        pl.lit(observable).alias("observable"), pl.lit(of).alias("of"), "x", "share"
    )


def lorenz_table(laws: Laws) -> pl.DataFrame | None:
    """Return the mean Lorenz curve of effort (acts) over all agents, for each topology.

    Returns:
        pl.DataFrame | None: `topology`, `executions` (how many), `agents` and `acts`, both shares in [0, 1], the least
            active agents first. None without an act.
    """
    parts_of = [effort(part).with_columns(pl.col("execution") + first) for first, part in laws.table.parts()]
    acts = pl.concat(parts_of).filter(pl.col("events") > 0)
    if not acts.height:
        return None
    executions = laws.table.executions.select("execution", "n_agents", pl.col("topology").fill_null("unknown"))
    joined = acts.join(executions, on="execution", how="left", maintain_order="left")
    parts = []
    for (topology,), part in joined.sort("topology").group_by("topology", maintain_order=True):
        curves = []
        for _, one in part.group_by("execution", maintain_order=True):
            missing = max(int(one["n_agents"][0] or one.height) - one.height, 0)
            share, held = lorenz(np.concatenate([one["events"].to_numpy(), np.zeros(missing)]))
            curves.append(np.interp(LEVELS, share, held))
        told = pl.DataFrame({"agents": LEVELS, "acts": np.mean(curves, axis=0)})
        parts.append(
            told.select(
                pl.lit(str(topology)).alias("topology"), pl.lit(len(curves)).alias("executions"), "agents", "acts"
            )
        )
    return pl.concat(parts)


def growth_table(laws: Laws) -> pl.DataFrame | None:
    """Return the mean largest value against N, with the fitted line and the cap of the design, for each observable.

    Returns:
        pl.DataFrame | None: `observable`, `n_agents`, `mean` and `line` in the observable's unit, `cap` (null where the
            design has none). None where no observable was seen at two numbers of agents.
    """
    parts = []
    for name, law in laws.laws.items():
        if law.growth is None:
            continue
        n, mean, cap = (
            law.growth.per_n[column].to_numpy().astype(np.float64) for column in ("n_agents", "mean", "cap")
        )
        middle = np.exp(np.mean(np.log(mean)))
        line = middle * (n / np.exp(np.mean(np.log(n)))) ** law.growth.by_mean.value
        capped = np.all(np.isfinite(cap) & (cap > 0))
        table = pl.DataFrame({"n_agents": n, "mean": mean, "line": line, "cap": cap if capped else [None] * len(n)})
        parts.append(
            table.select(pl.lit(name).alias("observable"), pl.all().exclude("cap"), pl.col("cap").cast(pl.Float64))
        )
    return pl.concat(parts) if parts else None


def merges_table(laws: Laws) -> pl.DataFrame | None:
    """Return merges against all other acts of coordination, a row for each execution that has such acts.

    Returns:
        pl.DataFrame | None: `execution`, `topology`, `expansion` and `merges` (acts). None where nobody merged, or
            where all executions lie at one place: a picture of that shows nothing.
    """
    per_run = laws.integration.executions.join(
        laws.table.executions.select("execution", pl.col("topology").fill_null("unknown")),
        on="execution",
        how="left",
        maintain_order="left",
    ).filter(pl.col("expansion") > 0)
    told = per_run.select("execution", "topology", "expansion", "merges").sort("topology", maintain_order=True)
    if not told["merges"].sum() or told.select("expansion", "merges").n_unique() < 2:
        return None
    return told
