"""This module reports on imported logs for `agentsoc metrics`: what their events tell, each execution being a task.

A log of another framework knows of no budget, no delivery and, mostly, of no verifier; what it does not tell stays
empty, and the notes of its import stand above everything. Claims have texts and no answers, so diversity by answers
needs a log that has some (a claims table, a trace of our own, scored samples).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from agentsoc.errors import InputError
from agentsoc.log.episodes import MEASURES
from agentsoc.log.episodes import SCHEMA as EPISODE_SCHEMA
from analysis.importers.store import load
from analysis.measures.amplification import taint
from analysis.measures.diversity_logs import LabelDiversity
from analysis.measures.effective_votes import EffectiveVotes, lone_votes, worth_of
from analysis.measures.episodes import EPISODE_COLUMNS, SLOT_WIDTH, run_metrics, with_tool_calls, with_votes
from analysis.measures.exchange import exchange_of
from analysis.measures.failures import FAILED_COLUMNS, with_failures
from analysis.measures.outputs import outputs_of
from analysis.measures.run_report import RunReport
from analysis.measures.standing import standing_of
from analysis.measures.uneven import uneven_tokens
from analysis.tables import EventTable

NO_ANSWERS: Final = "the claims of this log are texts, without answers that could be voted on"


def episodes_of_import(table: EventTable) -> pl.DataFrame:
    """Return a row for each execution with the columns of `analysis.measures.episodes.episode_metrics`.

    Tokens and calls are null for an execution in which nothing says what it cost; the score is null where there is no
    scored answer of the society.
    """
    events = table.events.with_columns(task=pl.col("execution"))
    kind = pl.col("kind").cast(pl.String)
    turn = pl.struct("round", "agent", pl.col("k") // SLOT_WIDTH)
    acting = (pl.col("agent") >= 0) & (kind != "fault").fill_null(value=True)
    counted = ("calls", "tokens_in", "tokens_cached", "tokens_out")
    sums = events.group_by("task").agg(
        events=pl.len().cast(pl.Int64),
        turns=turn.filter(acting).n_unique().cast(pl.Int64),
        rounds=pl.col("round").filter(acting).n_unique().cast(pl.Int64),
        calls_failed=(kind == "call_failed").sum().cast(pl.Int64),
        **{name: pl.col(name).sum().cast(pl.Int64) for name in counted},
    )
    said = events.filter((pl.col("agent") < 0) & (kind == "answer"))
    answers = said.group_by("task", maintain_order=True).agg(
        score=pl.col("correct").last().cast(pl.Float64), answer=pl.col("answer").last()
    )
    stops = events.filter((pl.col("agent") < 0) & (kind == "stop")).group_by("task").agg(stop=pl.col("answer").last())
    found = (
        sums.sort("task")
        .join(answers, on="task", how="left", maintain_order="left")
        .join(stops, on="task", how="left", maintain_order="left")
    )
    known = (pl.col("calls") > 0) | (pl.col("tokens_in") > 0) | (pl.col("tokens_out") > 0)
    found = found.with_columns(pl.when(known).then(pl.col(name)).alias(name) for name in counted)
    used = pl.col("tokens_in") + pl.col("tokens_out")
    found = found.with_columns(answered=pl.col("answer").is_not_null(), charged=used)
    empty = pl.from_arrow(EPISODE_SCHEMA.empty_table())
    assert isinstance(empty, pl.DataFrame)
    columns = [*MEASURES, "claims_due", "claims_left_out"]
    missing = [name for name in columns if name not in found.columns]
    found = found.with_columns(pl.lit(None, empty.schema[name]).alias(name) for name in missing)
    if not said.height:  # nobody says that anything was answered, so nothing was refused either
        found = found.with_columns(answered=pl.lit(None, pl.Boolean))
    outputs = outputs_of(events)
    voted = with_tool_calls(with_failures(with_votes(found.select(columns), outputs), events), events)
    if outputs.table["answer"].null_count() == outputs.table.height:  # claims are texts, and no answers
        voted = voted.with_columns(n_answers=pl.lit(None, voted.schema["n_answers"]))
    return voted.with_columns(wall_s=pl.lit(None, pl.Float64)).select(EPISODE_COLUMNS)


def report_of_import(directory: Path, *, centred: bool = False, seed: int = 0) -> RunReport:
    """Return the report on an imported log.

    Args:
        directory: the imported log.
        centred: use the centred K*.
        seed: root of the resampling.

    Raises:
        InputError: it has no execution.
        LogDamagedError: it is not what was written.
    """
    table, about = load(directory)
    if not table.n_executions:
        raise InputError("this imported log has no execution", str(directory))
    events = table.events.with_columns(task=pl.col("execution"))
    episodes = episodes_of_import(table)
    outputs = outputs_of(events)
    labels = LabelDiversity(centred=centred)
    labels.add(outputs.coded)
    worth: EffectiveVotes | str
    try:
        worth = worth_of(lone_votes(events), 0, seed=seed)
    except InputError as error:
        answered = outputs.table["answer"].null_count() < outputs.table.height
        worth = str(error.args[0]) if answered else NO_ANSWERS
    topologies = table.executions["topology"].drop_nulls().unique().sort().to_list()
    notes = list(about.notes)
    if (uneven := uneven_tokens(episodes)) != "":
        notes.append(uneven)
    return RunReport(
        run=str(directory),
        topology=", ".join(topologies[:3]) if topologies else "not told",
        protocol=f"imported from {about.importer}",
        n_agents=int(table.executions["n_agents"].max() or 0),  # type: ignore[arg-type]
        rounds=None,
        tasks=about.source_digest,
        setting=f"imported {about.source_digest}",
        metrics=run_metrics(episodes.drop(FAILED_COLUMNS), None, seed=seed),
        diversity=labels.result(),
        information=pl.DataFrame(),
        worth=worth,
        failure=None,
        taint=taint(table),
        trace=None,
        judge=None,
        influence=None,
        exchange=exchange_of(standing_of(outputs), episodes, None, seed=seed),
        acting=None,
        world=None,
        notes=tuple(notes),
    )
