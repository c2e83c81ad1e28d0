"""This module takes measurements out of logs: lone answers, round trips, sibling votes, merges, answers by level.

A plain table of votes needs no log: give the estimators a polars frame with the columns below. From our logs the same
frames are read, with what a log can and cannot say:

* `leaf_table`: who answered without hearing anybody, at which compute, right or wrong. Identifies a, beta and, with
  several votes a task, difficulty.
* `trip_table`: agents who heard exactly one other: what was sent, what they then answered. Identifies gamma where the
  reader adds nothing of its own or the message was planted at random.
* `vote_table`: sent votes of siblings, per task, run and node. Identifies the correlation *before* the channel.
* `merge_table`: what nodes made of what they were sent. Received votes are not logged; together with the law of a
  node's response this identifies gamma and rho of the received ones.
* `level_table`: answers by round, to hold predictions of deeper trees against.

A task's name is made from its family, the seed that decides the tasks and its place, or for tasks from a file from its
question: so runs of the same tasks share names whatever their seed and number, and different tasks never do. For
replicates, the same tasks with fresh draws, give the tasks a seed of their own: ``tasks: {kind: ..., seed: 5}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import polars as pl

from agentsoc.errors import InputError, LogDamagedError
from agentsoc.events import CLAIMING
from agentsoc.log.names import TASKS
from agentsoc.log.read import RunLog
from agentsoc.log.record import hash_json

LEAF_COLUMNS: Final = ("task", "x", "correct", "k")
"""Columns of `leaf_table`: task (name), x (tokens of an answer), correct (0 or 1), k (answers to choose from)."""
TRIP_COLUMNS: Final = ("task", "m", "sent", "read", "sent_correct", "read_correct", "k")
"""Columns of `trip_table`: m, tokens of the message; read, null when unreadable; correctness of both where known."""
VOTE_COLUMNS: Final = ("task", "run", "node", "agent", "correct", "k")
"""Columns of `vote_table`: siblings share task, run and node."""
MERGE_COLUMNS: Final = ("task", "run", "node", "b", "right", "first", "out", "k")
"""Columns of `merge_table`: b sent votes, `right` of them right; `first` child's vote and outcome `out`, 1 if right."""
LEVEL_COLUMNS: Final = ("task", "run", "level", "correct", "k")
"""Columns of `level_table`; level 0 are the leaves."""


@dataclass(frozen=True)
class LoggedVotes:
    """The object reads one run for votes; frames are made when they are asked for."""

    log: RunLog
    run: str
    """Name of the run among others."""

    @cached_property
    def claims(self) -> pl.DataFrame:
        """Every act with an answer, at its place, as read from the log; `name` is the task's."""
        kinds = [*CLAIMING, "endorse_claim"]
        return (
            self.log.frame()
            .filter(pl.col("kind").is_in(kinds) & (pl.col("agent") >= 0) & pl.col("subtask").is_null())
            .join(self.names, on="task", how="left", maintain_order="left")
            .with_columns(
                pl.lit(self.run).alias("run"),
                pl.col("correct").fill_null(0.0),  # no answer is a wrong vote
                pl.lit(self.answers).alias("choices"),
            )
            .with_row_index("act")
        )

    @cached_property
    def names(self) -> pl.DataFrame:
        """Name of each task, the same in all runs that have it: columns task, name."""
        tasks, manifest = self.log.tasks(), self.log.manifest
        if manifest.inputs:
            if "question" not in tasks.columns:
                where = str(self.log.directory / TASKS)
                raise LogDamagedError("the task table lacks the questions of a run from a file", where)
            names = [hash_json(row)[:16] for row in tasks.select("id", "question", "truth").iter_rows()]
        else:  # task i of a family and a seed is the same whatever the count
            family = {key: value for key, value in manifest.scenario["tasks"].items() if key not in ("count", "seed")}
            seed = manifest.scenario["tasks"].get("seed")
            prefix = hash_json([family, manifest.seed if seed is None else seed])[:12]
            names = [f"{prefix}/{task}" for task in tasks["task"].to_list()]
        return pl.DataFrame({"task": tasks["task"].cast(pl.Int64), "name": names})

    @cached_property
    def cited(self) -> pl.DataFrame:
        """One row per act and claim that it built on, in the order in which they were shown, with the claim's vote."""
        minted = self.claims.filter(pl.col("claim").is_not_null()).select(
            "task",
            pl.col("claim").alias("parent"),
            pl.col("answer").alias("sent"),
            pl.col("correct").alias("sent_correct"),
            pl.col("agent").alias("sender"),
        )
        acts = self.claims.filter(pl.col("parents").list.len() > 0)
        rows = acts.with_columns(pl.int_ranges(pl.col("parents").list.len()).alias("place"))
        rows = rows.explode("parents", "place").rename({"parents": "parent"})
        return rows.join(minted, on=["task", "parent"], how="inner").sort("act", "place")

    @cached_property
    def answers(self) -> int:
        """Answers that a task offers, K.

        Raises:
            InputError: answers are free, or tasks offer different numbers.
        """
        tasks = self.log.tasks()
        if "options" in tasks.columns:
            numbers = tasks["options"].list.len().unique().to_list()
        else:
            numbers = [self.log.manifest.scenario["tasks"]["choices"]]
        if len(numbers) != 1 or numbers[0] < 2:
            raise InputError(
                f"votes need tasks with one fixed set of answers, found sets of {sorted(numbers)}",
                str(self.log.directory),
                "choose a task family with options",
            )
        return int(numbers[0])

    @cached_property
    def truths(self) -> pl.DataFrame:
        """Reference answer of each task: columns task, truth."""
        return self.log.tasks().select(pl.col("task").cast(pl.Int64), pl.col("truth").cast(pl.String))

    @property
    def models(self) -> tuple[Mapping[str, Any], ...]:
        """The models of the agent groups, in order."""
        return tuple(group["model"] for group in self.log.manifest.scenario["agents"])

    def compute(self) -> float:
        """Return the tokens of one lone answer: what simulated voters were told to spend, else the mean measured."""
        given = {float(model["compute"]) for model in self.models if model["kind"] == "simulated"}
        if given and len(given) == 1 and all(model["kind"] == "simulated" for model in self.models):
            return given.pop()
        alone = self.claims.filter(pl.col("parents").list.len() == 0)
        tokens = (alone["tokens_in"] + alone["tokens_out"]).mean()
        if not isinstance(tokens, float) or tokens <= 0:
            raise InputError("the log has no lone answers to take the compute from", str(self.log.directory), "give x")
        return tokens

    def message(self) -> float:
        """Return the tokens of one message: of simulated voters their own, else the cap of the scenario."""
        given = {float(model["message"]) for model in self.models if model["kind"] == "simulated"}
        if len(given) > 1:
            raise InputError(
                f"the agents of this run write messages of {sorted(given)} tokens", str(self.log.directory), "give m"
            )
        return given.pop() if given else float(self.log.manifest.scenario["message_tokens"])


def demand_columns(table: pl.DataFrame, columns: tuple[str, ...], what: str) -> None:
    """Raise InputError unless `table` has all of `columns` and a row at least."""
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise InputError(
            f"a table of {what} needs the columns {', '.join(columns)}; missing: {', '.join(missing)}",
            "",
            "see analysis.synergy.estimation.votes for what they mean",
        )
    if table.is_empty():
        raise InputError(f"the table of {what} is empty")


def leaf_table(logs: Iterable[RunLog], *, x: Iterable[float] | None = None) -> pl.DataFrame:
    """Return the answers of agents that had heard nobody, with `LEAF_COLUMNS` and the truth of the task.

    Args:
        logs: runs, usually one for each level of compute.
        x: compute of each run (tokens), where the log does not tell it or another dial stands for it.
    """
    runs = _numbered(logs)
    levels = [None] * len(runs) if x is None else list(x)
    if len(levels) != len(runs):
        raise InputError(f"there are {len(runs)} runs and {len(levels)} values of x")
    return _joined(
        [
            run.claims.filter((pl.col("parents").list.len() == 0) & (pl.col("kind") == "propose_claim"))
            .join(run.truths, on="task", how="left", maintain_order="left")
            .select(
                pl.col("name").alias("task"),
                pl.lit(run.compute() if level is None else float(level)).alias("x"),
                "correct",
                pl.col("choices").alias("k"),
                "truth",
            )
            for run, level in zip(runs, levels, strict=True)
        ],
        (*LEAF_COLUMNS, "truth"),
    )


def trip_table(logs: Iterable[RunLog], *, m: Iterable[float] | None = None) -> pl.DataFrame:
    """Return what agents answered who were shown one other agent's claim, with `TRIP_COLUMNS`.

    The reader's answer stands for its reading. For simulated voters that is so with ``keep_own: 0``; a real model's
    answer also holds its own view: then the result is counted-vote fidelity. Run real readers with ``parents:
    visible``, since by default only cited claims are logged as parents.

    Args:
        logs: runs, usually one for each message length.
        m: length of the messages of each run (tokens), where it is not that of the log.
    """
    runs = _numbered(logs)
    lengths = [None] * len(runs) if m is None else list(m)
    if len(lengths) != len(runs):
        raise InputError(f"there are {len(runs)} runs and {len(lengths)} values of m")
    found = []
    for run, length in zip(runs, lengths, strict=True):
        alone = (pl.len().over("act") == 1) & (pl.col("sender") != pl.col("agent"))
        found.append(
            run.cited.filter(alone).select(
                pl.col("name").alias("task"),
                pl.lit(run.message() if length is None else float(length)).alias("m"),
                "sent",
                pl.col("answer").alias("read"),
                "sent_correct",
                pl.when(pl.col("answer").is_null()).then(None).otherwise(pl.col("correct")).alias("read_correct"),
                pl.col("choices").alias("k"),
            )
        )
    return _joined(found, TRIP_COLUMNS)


def vote_table(logs: Iterable[RunLog]) -> pl.DataFrame:
    """Return the votes that were *sent* to each node that merged two or more, with `VOTE_COLUMNS`.

    Where nobody merges (independent votes), all lone answers of an episode are siblings of one node, -1.
    """
    found = []
    for run in _numbered(logs):
        merged = run.cited.filter(pl.len().over("act") >= 2)
        if merged.height:
            rows = merged.select(
                pl.col("name").alias("task"),
                "run",
                pl.format("{}.{}", "round", "agent").alias("node"),
                pl.col("sender").alias("agent"),
                pl.col("sent_correct").alias("correct"),
                pl.col("choices").alias("k"),
            )
        else:
            alone = pl.col("parents").list.len() == 0
            rows = run.claims.filter(alone & (pl.col("kind") == "propose_claim")).select(
                pl.col("name").alias("task"),
                "run",
                pl.lit("-1").alias("node"),
                "agent",
                "correct",
                pl.col("choices").alias("k"),
            )
        found.append(rows)
    return _joined(found, VOTE_COLUMNS)


def merge_table(logs: Iterable[RunLog], *, level: int | None = None) -> pl.DataFrame:
    """Return what each node made of the claims it was sent, with `MERGE_COLUMNS`; relays are rows with b = 1.

    Only acts that add no evidence of their own belong here: tallies, and relays of voters with ``keep_own: 0``.

    Args:
        logs: runs.
        level: merges of this round only (1: those that read leaves); all by default.
    """
    found = []
    for run in _numbered(logs):
        rows = run.cited.filter(pl.col("sender") != pl.col("agent"))
        if level is not None:
            rows = rows.filter(pl.col("round") == level)
        found.append(
            rows.group_by("act", maintain_order=True)
            .agg(
                pl.col("name").first().alias("task"),
                pl.col("run").first(),
                pl.format("{}.{}", pl.col("round").first(), pl.col("agent").first()).first().alias("node"),
                pl.len().cast(pl.Int64).alias("b"),
                pl.col("sent_correct").sum().cast(pl.Int64).alias("right"),
                pl.col("sent_correct").first().cast(pl.Int64).alias("first"),
                pl.col("correct").first().cast(pl.Int64).alias("out"),
                pl.col("choices").first().alias("k"),
            )
            .drop("act")
        )
    return _joined(found, MERGE_COLUMNS)


def level_table(logs: Iterable[RunLog]) -> pl.DataFrame:
    """Return the answers of a complete tree or star by level above the leaves, with `LEVEL_COLUMNS`.

    The round is the level, because an aggregation goes level by level. Lone answers of agents that merge later (a hub
    that answers first) are left out.
    """
    found = []
    for run in _numbered(logs):
        merging = run.cited.select("task", "agent").unique()
        acts = run.claims.filter(pl.col("kind") != "endorse_claim")
        lone = acts.filter(pl.col("parents").list.len() == 0).join(merging, on=["task", "agent"], how="anti")
        merged = acts.filter(pl.col("parents").list.len() >= 2)
        found.append(
            pl.concat([lone, merged]).select(
                pl.col("name").alias("task"),
                "run",
                pl.col("round").cast(pl.Int64).alias("level"),
                "correct",
                pl.col("choices").alias("k"),
            )
        )
    return _joined(found, LEVEL_COLUMNS)


def _numbered(logs: Iterable[RunLog]) -> list[LoggedVotes]:
    return [LoggedVotes(log, f"{place}:{log.manifest.name}") for place, log in enumerate(logs)]


def _joined(frames: list[pl.DataFrame], columns: tuple[str, ...]) -> pl.DataFrame:
    if not frames:
        raise InputError("no runs were given", "", "pass at least one log")
    return pl.concat(frames, how="vertical_relaxed").select(*columns)
