"""This module computes K* of the agents of a run by three estimators, with the statistics of their answers beside it.

What agents said are rows; how they become vectors is `embedder`. Without one, answers are one-hot: an axis for every
answer to every task in every round. Then the cosine of two agents is the share of places in which they agree, nothing
has to be computed by a model, and tasks without a closed set of answers show little (all answers differ).

1. *Per question*: one row per agent, its rounds concatenated; K* over agents, for every task.
2. *Per round*: the mean over the questions that *all* agents of the round answered; then K* over agents. One number
   per round; the row with a null round is for the answers that stood at the end.
3. *Cumulative*: every text up to a round is a row; K* per question, then the mean. It grows with the number of
   texts: a diagnostic, not a count of channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from analysis.measures.diversity import answer_weights, by_answer, channels, k_star, leave_one_out, redundancy, spectrum
from analysis.measures.embeddings import Embedder
from analysis.measures.label_rounds import TEAM_MAX, Agreement, Cumulative
from analysis.measures.label_teams import label_teams
from analysis.measures.outputs import F64, I64, Outputs, Votes

LABELS: Final = "labels"
LEFT_OUT_MAX: Final = 256
"""Agents up to which each is left out once (agents)."""


@dataclass(frozen=True)
class Diversity:
    """The object holds K* of a run by three estimators."""

    embedding: str
    """`labels`, or the name of the embedder."""
    centred: bool
    questions: pl.DataFrame
    """One row per task: task, n_agents, k_star, k_star_correct, k_star_wrong, k_star_effective, k_star_weighted,
    redundancy (mean cosine of two agents, rounds concatenated)."""
    rounds: pl.DataFrame
    """round (null: at the end), n_agents, n_tasks (that all answered), k_star, redundancy."""
    cumulative: pl.DataFrame
    """round, texts (mean number per question), k_star (mean over questions)."""
    agents: pl.DataFrame
    """agent, delta: K* of the team at the end minus K* without the agent."""

    @property
    def team(self) -> float | None:
        """K* of the team over all tasks, by the answers that stood at the end; None where no task has them all."""
        last = self.rounds.filter(pl.col("round").is_null())
        return float(last["k_star"][0]) if last.height else None

    def summary(self) -> str:
        """Return one line: which K*, of what."""
        how = f"{self.embedding}{', centred' if self.centred else ''}"
        if not self.questions.height:
            return f"K* ({how}): no agent gave an answer"
        mean = self.questions["k_star"].mean()
        n = self.questions["n_agents"].max()
        whole = "not comparable over tasks" if self.team is None else f"{self.team:.3f} as a team over all tasks"
        return f"K* ({how}) of up to {n!s} agents: {float(mean):.3f} per question, {whole}"  # type: ignore[arg-type]


def diversity(outputs: Outputs, *, embedder: Embedder | None = None, centred: bool = False) -> Diversity:
    """Return K* of the agents of a run.

    Args:
        outputs: what they said.
        embedder: turns texts into vectors; None for one-hot answers.
        centred: the centred variant, see `analysis.measures.diversity`.
    """
    if embedder is None:
        read = LabelDiversity(centred=centred)
        read.add(outputs.coded)
        return read.result()
    table = outputs.table.with_columns(words=outputs.words()).filter(pl.col("words") != "")
    rounds, agents = _by_round(outputs, table, embedder, centred)
    questions, cumulative = per_question(table, embedder, centred), _cumulative(table, embedder, centred)
    return Diversity(embedder.name, centred, questions, rounds, cumulative, agents)


_QUESTION: Final = {
    "task": pl.Int64, "n_agents": pl.Int64, "k_star": pl.Float64, "k_star_correct": pl.Float64,
    "k_star_wrong": pl.Float64, "k_star_effective": pl.Float64, "k_star_weighted": pl.Float64, "redundancy": pl.Float64,
}  # fmt: skip


_ROUND: Final = {
    "round": pl.Int64, "n_agents": pl.Int64, "n_tasks": pl.Int64, "k_star": pl.Float64, "redundancy": pl.Float64
}  # fmt: skip
_CUMULATIVE: Final = {"round": pl.Int64, "texts": pl.Float64, "k_star": pl.Float64}


class LabelDiversity:
    """The object adds up K* of a run by one-hot answers, from votes that come in pieces of whole tasks."""

    def __init__(self, *, centred: bool = False) -> None:
        """Begin.

        Args:
            centred: the centred variant, see `analysis.measures.diversity`.
        """
        self._centred = centred
        self._questions: list[pl.DataFrame] = []
        self._rounds: dict[int, Agreement] = {}
        self._end = Agreement()
        self._cumulative = Cumulative(centred=centred)

    def add(self, votes: Votes) -> pl.DataFrame:
        """Take in the votes on further tasks; return their rows of `Diversity.questions`."""
        questions = label_questions(votes, centred=self._centred)
        self._questions.append(questions)
        order = np.argsort(votes.round, kind="stable")
        ends = np.flatnonzero(np.diff(votes.round[order], append=-1)) + 1
        for rows in np.split(order, ends[:-1]) if len(order) else ():
            whole = self._rounds.setdefault(int(votes.round[rows[0]]), Agreement())
            whole.add(votes.task[rows], votes.agent[rows], votes.answer[rows])
        seats = votes.seats
        self._end.add(seats.task, seats.agent, votes.answer[seats.last])
        self._cumulative.add(votes)
        return questions

    def result(self) -> Diversity:
        """Return the diversity of everything so far."""
        rows, delta = [], pl.DataFrame(schema={"agent": pl.Int64, "delta": pl.Float64})
        for round_, team in [*sorted(self._rounds.items()), (None, self._end)]:
            gram = team.gram()
            if gram is None:
                continue
            matrix, n = _root(gram), len(team.agents)
            rows.append((round_, n, team.n_tasks, k_star(matrix, centred=self._centred), redundancy(matrix)))
            if round_ is None and n <= LEFT_OUT_MAX:
                delta = pl.DataFrame({"agent": team.agents, "delta": leave_one_out(matrix, centred=self._centred)})
        return Diversity(
            LABELS,
            self._centred,
            pl.concat([pl.DataFrame(schema=_QUESTION), *self._questions]).rechunk(),
            pl.DataFrame(rows, schema=_ROUND, orient="row").with_columns(pl.col(pl.Float64).fill_nan(None)),
            pl.DataFrame(self._cumulative.rows(), schema=_CUMULATIVE, orient="row"),
            delta,
        )


def label_questions(votes: Votes, *, centred: bool = False) -> pl.DataFrame:
    """Return the columns of `Diversity.questions` by one-hot answers."""
    teams = label_teams(votes, centred=centred)
    found = {
        "task": votes.tasks,
        "n_agents": teams.n_agents,
        "k_star": teams.k_star,
        "k_star_correct": teams.correct,
        "k_star_wrong": teams.wrong,
        "k_star_effective": teams.correct - 0.5 * teams.wrong,
        "k_star_weighted": teams.weighted,
        "redundancy": teams.redundancy,
    }
    return pl.DataFrame(found, schema=_QUESTION).with_columns(pl.col(pl.Float64).fill_nan(None))


def per_question(table: pl.DataFrame, embedder: Embedder, centred: bool) -> pl.DataFrame:
    """Return the columns of `Diversity.questions` by texts.

    Args:
        table: rows of `Outputs.table`, with `words`, which are embedded.
        embedder: see `diversity`.
        centred: see `diversity`.
    """
    if not table.height:
        return pl.DataFrame(schema=_QUESTION)
    grouped = table.group_by("task", "agent", maintain_order=True)
    last = grouped.agg(pl.col("correct").last()).sort("task", "agent")
    texts = grouped.agg(pl.col("words").str.join("\n")).sort("task", "agent")["words"]
    vectors = np.asarray(embedder.embed(texts.to_list()), dtype=np.float64)
    tasks, first = np.unique(last["task"].to_numpy(), return_index=True)
    ends = np.append(first[1:], last.height)
    score = last["correct"].to_numpy().astype(np.float64)
    rows = []
    for task, begin, end in zip(tasks.tolist(), first.tolist(), ends.tolist(), strict=True):
        matrix = vectors[begin:end]
        right = by_answer(matrix, score[begin:end], centred=centred)
        weighted = None if centred else k_star(matrix, weights=answer_weights(score[begin:end]))
        whole = k_star(matrix, centred=centred)
        rows.append(
            (task, end - begin, whole, right.correct, right.wrong, right.effective, weighted, redundancy(matrix))
        )
    return pl.DataFrame(rows, schema=_QUESTION, orient="row").with_columns(pl.col(pl.Float64).fill_nan(None))


def _by_round(
    outputs: Outputs, table: pl.DataFrame, embedder: Embedder, centred: bool
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `Diversity.rounds` and `Diversity.agents` by texts."""
    rows, delta = [], pl.DataFrame(schema={"agent": pl.Int64, "delta": pl.Float64})
    parts: list[tuple[int | None, pl.DataFrame]] = [(r, table.filter(pl.col("round") == r)) for r in outputs.rounds]
    last = table.group_by("task", "agent", maintain_order=True).last().sort("task", "agent")
    for round_, part in [*parts, (None, last)]:
        agents = np.unique(part["agent"].to_numpy())
        if not 1 <= len(agents) <= TEAM_MAX:
            continue
        everybody = part.filter(pl.len().over("task") == len(agents)).sort("task", "agent")
        n_tasks = everybody.height // len(agents)
        if n_tasks == 0:
            continue
        vectors = embedder.embed(everybody["words"].to_list())
        matrix = np.asarray(vectors.reshape(-1, len(agents), vectors.shape[1]).mean(axis=0))
        rows.append((round_, len(agents), n_tasks, k_star(matrix, centred=centred), redundancy(matrix)))
        if round_ is None and len(agents) <= LEFT_OUT_MAX:
            delta = pl.DataFrame({"agent": agents, "delta": leave_one_out(matrix, centred=centred)})
    return pl.DataFrame(rows, schema=_ROUND, orient="row").with_columns(pl.col(pl.Float64).fill_nan(None)), delta


def _root(gram: F64) -> F64:
    """Return rows whose inner products are `gram`."""
    values, vectors = np.linalg.eigh(gram)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _cumulative(table: pl.DataFrame, embedder: Embedder, centred: bool) -> pl.DataFrame:
    """Return `Diversity.cumulative` by texts."""
    if not table.height:
        return pl.DataFrame(schema=_CUMULATIVE)
    rows = []
    vectors = embedder.embed(table["words"].to_list())
    task, round_ = table["task"].to_numpy(), table["round"].to_numpy()
    for r in np.unique(round_).tolist():
        upto = round_ <= r
        groups, kept = _groups(task[upto]), vectors[upto]
        values = np.array([float(channels(spectrum(kept[g], centred=centred))) for g in groups])
        rows.append((r, float(np.mean([len(g) for g in groups])), float(values.mean())))
    return pl.DataFrame(rows, schema=_CUMULATIVE, orient="row")


def _groups(task: I64) -> list[I64]:
    """Return the rows of each task."""
    order = np.argsort(task, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(task[order])) + 1)
