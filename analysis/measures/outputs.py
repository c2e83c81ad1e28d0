"""This module lists what agents said in a run: their last answer in every round, and where everybody stood at the end.

Comes in: events. Goes out: `Outputs`, the rows that the measures of diversity and of coordination are computed from.
Answers to parts of a question are left out: they are no votes on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentsoc.events import CLAIMING
from agentsoc.log.schema import SCHEMA
from analysis.blocks import frame_of
from analysis.ranks import ranked

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

SAYING: Final = (*sorted(CLAIMING), "endorse_claim", "vote")
"""Kinds of events by which an agent says what it holds."""


@dataclass(frozen=True)
class Outputs:
    """The table has a row per (task, round, agent), in this order: what the agent said last on the whole question."""

    table: pl.DataFrame
    """task, round, agent (int64), answer (text, null), text (null), correct (the verifier's score, null)."""

    @cached_property
    def votes(self) -> pl.DataFrame:
        """The rows with an answer."""
        return self.table.filter(pl.col("answer").is_not_null())

    @cached_property
    def coded(self) -> Votes:
        """The votes as integers."""
        votes = self.votes
        tasks, task = np.unique(votes["task"].to_numpy(), return_inverse=True)
        answers = votes["answer"].to_arrow(compat_level=pl.CompatLevel.oldest()).dictionary_encode()
        return Votes(
            tasks,
            task,
            votes["round"].to_numpy(),
            votes["agent"].to_numpy(),
            answers.indices.to_numpy(zero_copy_only=False).astype(np.int64),
            answers.dictionary.to_pylist(),
            votes["correct"].fill_null(np.nan).to_numpy(),
        )

    @cached_property
    def rounds(self) -> list[int]:
        """Rounds in which somebody said something, increasing."""
        return sorted(self.table["round"].unique().to_list())

    def words(self) -> pl.Series:
        """Return what there is to embed of each row of `table`: answer and text, whatever there is."""
        joined = pl.concat_str(
            pl.col("answer").fill_null(""), pl.lit("\n"), pl.col("text").fill_null("")
        ).str.strip_chars()
        return self.table.select(joined.alias("words"))["words"]


@dataclass(frozen=True)
class Votes:
    """The object holds votes as integers, ordered by (task, round, agent); shape (n_votes,) unless said otherwise."""

    tasks: I64
    """Tasks that have votes, increasing, shape (n_tasks,)."""
    task: I64
    """Place of each vote's task in `tasks`."""
    round: I64
    agent: I64
    answer: I64
    """Place of each answer in `words`."""
    words: list[str]
    """All answers, each once. Which place one has says nothing outside of this object."""
    score: F64
    """Verifier's score, NaN for none."""

    @cached_property
    def seats(self) -> Seats:
        """Who took part in which task."""
        n_agents = int(self.agent.max(initial=0)) + 1
        pairs, seat = ranked(self.task * n_agents + self.agent)
        last = np.zeros(len(pairs), np.int64)
        np.maximum.at(last, seat, np.arange(len(seat)))
        return Seats(seat, pairs // n_agents, pairs % n_agents, last)


@dataclass(frozen=True)
class Seats:
    """The object lists each pair of a task and an agent that voted on it; shape (n_seats,) unless said otherwise."""

    of: I64
    """Seat of each vote, shape (n_votes,)."""
    task: I64
    """Place of the task in `Votes.tasks`."""
    agent: I64
    last: I64
    """The seat's last vote, which is where the agent stood at the end."""

    @cached_property
    def place(self) -> I64:
        """Place of each seat among those of its task."""
        return np.arange(len(self.task)) - np.searchsorted(self.task, self.task)


def outputs_of(events: pl.DataFrame, questions: pl.DataFrame | None = None) -> Outputs:
    """Return what the agents of a run said.

    A delegated subtask counts as the whole question where its text is the question; where the questions are not
    known, where all subtasks of the episode are the same text.

    Args:
        events: rows of one run in canonical order, with the columns of `agentsoc.events.Event`.
        questions: columns task and question, where they are known.
    """
    said = events.filter((pl.col("agent") >= 0) & pl.col("kind").cast(pl.String).is_in(SAYING))
    if said["subtask"].null_count() < said.height:
        whole = _whole(events, questions)
        said = said.join(whole, on=["task", "subtask"], how="left", maintain_order="left").filter(
            pl.col("subtask").is_null() | pl.col("whole").fill_null(value=False)
        )
    rows = said.select(
        pl.col("task", "round", "agent").cast(pl.Int64),
        pl.col("answer", "text").cast(pl.String),
        pl.col("correct").cast(pl.Float64),
    )
    task, round_, agent = (rows[name].to_numpy() for name in ("task", "round", "agent"))
    last = np.ones(rows.height, dtype=bool)
    last[:-1] = (task[1:] != task[:-1]) | (round_[1:] != round_[:-1]) | (agent[1:] != agent[:-1])
    return Outputs(rows.filter(pl.Series(last)))


def together(parts: Sequence[pl.DataFrame]) -> Outputs:
    """Return the outputs of several blocks of tasks, in their order, from the tables of each."""
    return Outputs(pl.concat(parts).rechunk() if parts else outputs_of(frame_of(SCHEMA.empty_table())).table)


def _whole(events: pl.DataFrame, questions: pl.DataFrame | None) -> pl.DataFrame:
    """Return which subtasks are the whole question: columns task, subtask, whole."""
    given = events.filter(pl.col("kind").cast(pl.String) == "delegate_subtask").select("task", "subtask", "text")
    if questions is not None:
        known = questions.select(pl.col("task").cast(pl.Int64), pl.col("question").cast(pl.String))
        given = given.join(known, on="task", how="left").with_columns(whole=pl.col("text") == pl.col("question"))
    else:
        given = given.with_columns(whole=pl.col("text").n_unique().over("task") == 1)
    return given.select("task", "subtask", "whole").unique(["task", "subtask"])
