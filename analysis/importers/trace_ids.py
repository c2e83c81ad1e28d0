"""This module turns the strings of a trace into the integers of the event table: agents, claims and stubs, subtasks.

A claim is minted by the first row of its execution that carries its id, unless that row is an endorsement which only
repeats the id of its own parent. Its integer is the packed place (round, agent, k) of that row, as in our own logs. A
parent that no row mints is a stub and gets a negative integer, counted from -1 in the order of first mention.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from agentsoc.events import MAX_AGENTS, MAX_K, MAX_ROUNDS

_NO_IDS: Final = pl.lit([], dtype=pl.List(pl.Int64()))


def number_agents(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `rows` with `agent`, `target_agent` and `visible` as integers: ranks of the names within their run.

    All names that a run mentions are ranked together, so an agent has the same number in every execution of the run.
    """
    pairs = [
        rows.select("run_number", pl.col(name).alias("name"))
        for name in ("agent_id", "target_agent_id", "subtask_assigned_to", "subtask_assigned_by", "proposed_assignee")
    ]
    pairs.append(rows.select("run_number", pl.col("visible_neighbors").alias("name")).explode("name"))
    names = pl.concat(pairs).drop_nulls().unique().sort("run_number", "name")
    names = names.with_columns(number=pl.int_range(pl.len(), dtype=pl.Int64).over("run_number"))
    rows = _look_up(rows, names, "agent_id", "agent")
    rows = rows.with_columns(_assignee=pl.coalesce("target_agent_id", "subtask_assigned_to", "proposed_assignee"))
    rows = _look_up(rows, names, "_assignee", "target_agent").drop("_assignee")
    seen = (
        rows.select("run_number", "_order", pl.col("visible_neighbors").alias("name"))
        .explode("name")
        .drop_nulls("name")
    )
    return rows.with_columns(visible=_gather(rows, seen, names, on="run_number"))


def number_subtasks(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `rows` with `subtask` and `subtask_parent` as integers, counted per execution by first mention."""
    mentioned = pl.concat(
        [
            rows.select("execution", "_order", pl.lit(0).alias("rank"), pl.col("parent_subtask_id").alias("name")),
            rows.select("execution", "_order", pl.lit(1).alias("rank"), pl.col("subtask_id").alias("name")),
        ]
    ).drop_nulls()
    first = mentioned.sort("execution", "_order", "rank").unique(
        ["execution", "name"], keep="first", maintain_order=True
    )
    names = first.select("execution", "name", number=pl.int_range(pl.len(), dtype=pl.Int64).over("execution"))
    rows = _look_up(rows, names, "subtask_id", "subtask", on="execution")
    return _look_up(rows, names, "parent_subtask_id", "subtask_parent", on="execution")


def number_claims(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `rows` with `claim`, `parents`, `supported` and `root_logged` as integers.

    `claim` is null where the row carries no claim of its own; `supported` is the claim that an endorsement supports.
    """
    repeats = (pl.col("event_type") == "endorse_claim") & pl.col("parent_claim_ids").list.contains(pl.col("claim_id"))
    rows = rows.with_columns(
        _own=pl.when(repeats.fill_null(value=False)).then(None).otherwise(pl.col("claim_id")),
        _place=(pl.col("round") % MAX_ROUNDS) * (MAX_AGENTS * MAX_K) + pl.col("agent") * MAX_K + pl.col("k"),
    )
    minted = (
        rows.filter(pl.col("_own").is_not_null())
        .unique(["execution", "_own"], keep="first", maintain_order=True)
        .select("execution", name="_own", number="_place")
    )
    parents = _parent_names(rows)
    roots = rows.select("execution", "_order", pl.col("root_claim_id").alias("name")).drop_nulls()
    mentions = pl.concat([parents, roots]).sort("_order", maintain_order=True).select("execution", "name")
    stubs = (
        mentions.unique(maintain_order=True)
        .join(minted, on=["execution", "name"], how="anti", maintain_order="left")
        .with_columns(number=-1 - pl.int_range(pl.len(), dtype=pl.Int64).over("execution"))
    )
    names = pl.concat([minted, stubs])
    rows = _look_up(rows, names, "_own", "claim", on="execution")
    rows = _look_up(rows, names, "root_claim_id", "root_logged", on="execution")
    rows = _look_up(rows, names, "endorsed_claim_id", "_endorsed", on="execution")
    rows = rows.with_columns(parents=_gather(rows, parents, names, on="execution"))
    rows = rows.with_columns(supported=pl.coalesce("_endorsed", pl.col("parents").list.first()))
    return rows.drop("_own", "_place", "_endorsed")


def _parent_names(rows: pl.DataFrame) -> pl.DataFrame:
    """Return (execution, _order, name) of every distinct parent of a row other than the row's own claim."""
    listed = pl.concat_list("parent_claim_ids", "merge_parent_claim_ids").list.unique(maintain_order=True)
    long = rows.select("execution", "_order", "_own", name=listed).explode("name").drop_nulls("name")
    return long.filter(pl.col("_own").ne_missing(pl.col("name"))).drop("_own")


def _look_up(rows: pl.DataFrame, names: pl.DataFrame, column: str, into: str, on: str = "run_number") -> pl.DataFrame:
    """Return `rows` with `into`: the number of the name in `column`, null where it has none."""
    return rows.join(
        names.rename({"number": into}), left_on=[on, column], right_on=[on, "name"], how="left", maintain_order="left"
    )


def _gather(rows: pl.DataFrame, long: pl.DataFrame, names: pl.DataFrame, on: str) -> pl.Series:
    """Return for each row, in order, the numbers of its names in `long` (columns `_order`, `on`, `name`)."""
    found = long.join(names, on=[on, "name"], how="left", maintain_order="left").drop_nulls("number")
    lists = found.group_by("_order", maintain_order=True).agg("number")
    joined = rows.select("_order").join(lists, on="_order", how="left", maintain_order="left")
    return joined.select(pl.col("number").fill_null(_NO_IDS)).to_series()
