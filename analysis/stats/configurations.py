"""This module turns the table of a comparison into that of regression and selector: a row for a run of an organisation.

A run is an organisation on a block of tasks with one seed. What a single agent scores on the block (P_SA) is taken from
its runs with *other* seeds: with its own it would hold the luck that it is to predict.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from agentsoc.errors import InputError

_NEEDED = ("organisation", "n_agents", "tasks", "task", "seed", "score", "turns", "message_density_broadcasts")


def configurations(
    results: pl.DataFrame,
    *,
    single: str = "single",
    capability: Mapping[str, float] | float = 0.0,
    tools: Mapping[str, float] | float = 0.0,
    amplification: Mapping[str, float] | float = 1.0,
    model: str = "model",
) -> pl.DataFrame:
    """Return one row per organisation, number of agents, block of tasks and seed, with all predictors.

    Predictors that take one value drop out of a fit by themselves, so what was not varied or measured may keep its
    default.

    Args:
        results: table of a comparison (`results.parquet`), or of several, with a column `model` where models differ.
        single: label of the single agent.
        capability: capability of each model by its name, or one number.
        tools: tools by block of tasks, or one number.
        amplification: error amplification by organisation, or one number; the score gives none that would not hold
            the score itself.
        model: column with the model's name; where the table has none, there is one model.

    Raises:
        InputError: columns are missing, there is no single agent, or a block has it with one seed only.
    """
    missing = [name for name in _NEEDED if name not in results.columns]
    if missing:
        raise InputError(f"the table has no column {', '.join(missing)}", "", f"it has {', '.join(results.columns)}")
    rows = results if model in results.columns else results.with_columns(pl.lit("").alias(model))
    rows = (
        rows if "redundancy" in rows.columns else rows.with_columns(pl.lit(None, dtype=pl.Float64).alias("redundancy"))
    )
    keys = [model, "tasks", "organisation", "n_agents", "seed"]
    runs = rows.group_by(*keys, maintain_order=True).agg(
        pl.col("score", "turns").mean(),
        pl.col("message_density_broadcasts").mean().alias("density"),
        pl.col("redundancy").mean().fill_null(0.0),
    )
    joined = _beside_the_single_agent(runs, keys, single)
    ratio = pl.col("turns") / pl.col("alone")
    return joined.with_columns(
        (100 * (ratio - 1)).alias("overhead"),
        (pl.col("score") / ratio).alias("efficiency"),
        _valued(capability, model, "capability"),
        _valued(tools, "tasks", "tools"),
        _valued(amplification, "organisation", "amplification"),
        pl.col("tasks").alias("task"),
        pl.format("{} {}", "n_agents", "seed").alias("repeat"),
    ).drop("alone", "turns")


def _beside_the_single_agent(runs: pl.DataFrame, keys: list[str], single: str) -> pl.DataFrame:
    """Return the runs with score (`single`) and turns (`alone`) of the single agent's runs with other seeds."""
    alone = runs.filter(pl.col("organisation") == single)
    if alone.is_empty():
        labels = ", ".join(runs["organisation"].unique(maintain_order=True))
        raise InputError(f"no organisation {single!r} in the table", "single", f"name the single agent: {labels}")
    block = keys[:2]  # the model and its block of tasks
    others = alone.select(*block, other="seed", s="score", t="turns")
    paired = runs.join(others, on=block, how="left").filter(pl.col("other") != pl.col("seed"))
    means = paired.group_by(*keys).agg(pl.col("s").mean().alias("single"), pl.col("t").mean().alias("alone"))
    joined = runs.join(means, on=keys, how="left", maintain_order="left")
    lacking = joined.filter(pl.col("single").is_null())
    if lacking.height:
        raise InputError(
            f"{single!r} has no run with another seed on the tasks {lacking['tasks'][0]!r}", "", "run two seeds or more"
        )
    return joined


def _valued(value: Mapping[str, float] | float, by: str, name: str) -> pl.Expr:
    """Return a constant, or the value that belongs to a column."""
    if isinstance(value, Mapping):
        return pl.col(by).replace_strict(dict(value), default=None, return_dtype=pl.Float64).alias(name)
    return pl.lit(float(value)).alias(name)
