"""K* of the agents of a run, by three estimators, with the statistics of their answers beside it.

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

from analysis.diversity import answer_weights, by_answer, channels, k_star, leave_one_out, redundancy, shares, spectrum
from analysis.embeddings import Embedder
from analysis.outputs import F64, I64, Outputs

LABELS: Final = "labels"
TEAM_MAX: Final = 2_000
"""Agents up to which a team is compared as a whole (agents): the matrix has their square."""
SEATS_MAX: Final = 64
"""Agents of a task up to which many tasks are worked on at once (agents)."""
DENSE_MAX: Final = 20_000_000
"""Numbers of a dense one-hot block worked on at once."""


@dataclass(frozen=True)
class Diversity:
    """K* of a run by three estimators."""

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
            return f"K* ({how}): nobody said anything"
        mean = self.questions["k_star"].mean()
        n = self.questions["n_agents"].max()
        whole = "not comparable over tasks" if self.team is None else f"{self.team:.3f} as a team over all tasks"
        return f"K* ({how}) of up to {n!s} agents: {float(mean):.3f} per question, {whole}"  # type: ignore[arg-type]


def diversity(outputs: Outputs, *, embedder: Embedder | None = None, centred: bool = False) -> Diversity:
    """Return K* of the agents of a run.

    Args:
        outputs: what they said.
        embedder: turns texts into vectors; None for one-hot answers.
        centred: the centred variant, see `analysis.diversity`.
    """
    label = embedder is None
    table = outputs.votes if label else outputs.table.with_columns(words=outputs.words())
    if embedder is not None:
        table = table.filter(pl.col("words") != "")
    rounds, agents = _by_round(outputs, table, embedder, centred)
    return Diversity(
        LABELS if embedder is None else embedder.name,
        centred,
        per_question(table, embedder, centred),
        rounds,
        _cumulative(table, embedder, centred),
        agents,
    )


_QUESTION: Final = {
    "task": pl.Int64, "n_agents": pl.Int64, "k_star": pl.Float64, "k_star_correct": pl.Float64,
    "k_star_wrong": pl.Float64, "k_star_effective": pl.Float64, "k_star_weighted": pl.Float64, "redundancy": pl.Float64,
}  # fmt: skip


def per_question(table: pl.DataFrame, embedder: Embedder | None, centred: bool) -> pl.DataFrame:
    """Return the columns of `Diversity.questions`.

    Args:
        table: rows of `Outputs.table`, with `words` where these are embedded.
        embedder: see `diversity`.
        centred: see `diversity`.
    """
    if not table.height:
        return pl.DataFrame(schema=_QUESTION)
    grouped = table.group_by("task", "agent", maintain_order=True)
    last = grouped.agg(pl.col("correct").last()).sort("task", "agent")
    vectors: F64 | None = None
    if embedder is not None:
        texts = grouped.agg(pl.col("words").str.join("\n")).sort("task", "agent")["words"]
        vectors = np.asarray(embedder.embed(texts.to_list()), dtype=np.float64)
    tasks, first = np.unique(last["task"].to_numpy(), return_index=True)
    ends = np.append(first[1:], last.height)
    score = last["correct"].to_numpy().astype(np.float64)
    rows = []
    one_hot = None if vectors is not None else _OneHot(table)
    for task, begin, end in zip(tasks.tolist(), first.tolist(), ends.tolist(), strict=True):
        matrix = vectors[begin:end] if vectors is not None else one_hot.rows(task)  # type: ignore[union-attr]
        right = by_answer(matrix, score[begin:end], centred=centred)
        weighted = None if centred else k_star(matrix, weights=answer_weights(score[begin:end]))
        whole = k_star(matrix, centred=centred)
        rows.append(
            (task, end - begin, whole, right.correct, right.wrong, right.effective, weighted, redundancy(matrix))
        )
    return pl.DataFrame(rows, schema=_QUESTION, orient="row").with_columns(pl.col(pl.Float64).fill_nan(None))


def label_k_star(outputs: Outputs, tasks: I64) -> F64:
    """Return K* per question of one-hot answers for each of `tasks`, shape (n_tasks,); NaN without votes.

    The same number as `per_question` gives, for all tasks at once.
    """
    votes = outputs.votes
    found = np.full(len(tasks), np.nan)
    if not votes.height:
        return found
    task = np.searchsorted(tasks, votes["task"].to_numpy())
    agent, round_ = votes["agent"].to_numpy(), votes["round"].to_numpy()
    answer = votes["answer"].cast(pl.Categorical).to_physical().to_numpy().astype(np.int32)
    pairs, pair = np.unique(task * (int(agent.max()) + 1) + agent, return_inverse=True)
    of = pairs // (int(agent.max()) + 1)
    seat = np.arange(len(of)) - np.searchsorted(of, of)  # place of each agent among those of its task
    n, rounds = int(seat.max()) + 1, np.unique(round_, return_inverse=True)[1]
    depth = int(rounds.max()) + 1
    if n > SEATS_MAX:
        one_hot = _OneHot(votes)
        for place in np.unique(task).tolist():
            found[place] = k_star(one_hot.rows(int(tasks[place])))
        return found
    present = np.unique(of)
    step = max(1, DENSE_MAX // (n * n * depth))
    for start in range(0, len(present), step):
        some = present[start : start + step]
        kept = (task >= some[0]) & (task <= some[-1])
        codes = np.full((len(some), n, depth), -1, dtype=np.int32)
        codes[np.searchsorted(some, task[kept]), seat[pair[kept]], rounds[kept]] = answer[kept]
        said = codes >= 0
        same = (codes[:, :, None] == codes[:, None]) & said[:, :, None]
        lengths = np.sqrt(np.maximum(said.sum(axis=2), 1))
        found[some] = channels(shares(same.sum(axis=3) / (lengths[:, :, None] * lengths[:, None])))
    return found


class _OneHot:
    """One-hot rows of the agents of a task: an axis for every answer in every round."""

    def __init__(self, votes: pl.DataFrame) -> None:
        ordered = votes.sort("task", "agent", "round")
        task = ordered["task"].to_numpy()
        self._starts = dict(zip(*(found.tolist() for found in np.unique(task, return_index=True)), strict=True))
        self._counts = np.unique(task, return_counts=True)[1]
        self._places = {task: place for place, task in enumerate(self._starts)}
        self._agent = ordered["agent"].to_numpy()
        answer = ordered["answer"].cast(pl.Categorical).to_physical().to_numpy().astype(np.int64)
        self._axis = ordered["round"].to_numpy() * (int(answer.max(initial=0)) + 1) + answer

    def rows(self, task: int) -> F64:
        """Return the vectors of the agents of `task`, by agent, shape (n, d)."""
        start = self._starts[task]
        end = start + int(self._counts[self._places[task]])
        agents, row = np.unique(self._agent[start:end], return_inverse=True)
        axes, column = np.unique(self._axis[start:end], return_inverse=True)
        found = np.zeros((len(agents), len(axes)))
        found[row, column] = 1.0
        return found


def _by_round(
    outputs: Outputs, table: pl.DataFrame, embedder: Embedder | None, centred: bool
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `Diversity.rounds` and `Diversity.agents`."""
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
        matrix = _team(everybody, len(agents), embedder)
        rows.append((round_, len(agents), n_tasks, k_star(matrix, centred=centred), redundancy(matrix)))
        if round_ is None and len(agents) <= 256:
            delta = pl.DataFrame({"agent": agents, "delta": leave_one_out(matrix, centred=centred)})
    schema = {
        "round": pl.Int64, "n_agents": pl.Int64, "n_tasks": pl.Int64, "k_star": pl.Float64, "redundancy": pl.Float64
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col(pl.Float64).fill_nan(None)), delta


def _team(everybody: pl.DataFrame, n: int, embedder: Embedder | None) -> F64:
    """Return one row per agent for tasks that all answered: the mean vector, or rows whose cosine is the agreement."""
    if embedder is not None:
        vectors = embedder.embed(everybody["words"].to_list())
        return np.asarray(vectors.reshape(-1, n, vectors.shape[1]).mean(axis=0))
    answer = everybody["answer"].cast(pl.Categorical).to_physical().to_numpy().astype(np.int64).reshape(-1, n)
    gram = np.zeros((n, n))
    values, codes = np.unique(answer, return_inverse=True)
    codes = codes.reshape(answer.shape)
    if len(values) <= 64:
        for code in range(len(values)):
            same = (codes == code).astype(np.float64)
            gram += same.T @ same
    else:  # free answers: task by task, a few at a time
        step = max(1, DENSE_MAX // (n * n))
        for start in range(0, len(codes), step):
            part = codes[start : start + step]
            gram += (part[:, :, None] == part[:, None, :]).sum(axis=0)
    return _root(gram / len(answer))


def _root(gram: F64) -> F64:
    """Return rows whose inner products are `gram`."""
    values, vectors = np.linalg.eigh(gram)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _cumulative(table: pl.DataFrame, embedder: Embedder | None, centred: bool) -> pl.DataFrame:
    """Return `Diversity.cumulative`."""
    schema = {"round": pl.Int64, "texts": pl.Float64, "k_star": pl.Float64}
    if not table.height:
        return pl.DataFrame(schema=schema)
    rows = []
    vectors = None if embedder is None else embedder.embed(table["words"].to_list())
    task, round_ = table["task"].to_numpy(), table["round"].to_numpy()
    for r in np.unique(round_).tolist():
        upto = round_ <= r
        if vectors is None:
            counts = table.filter(pl.Series(upto)).group_by("task", "answer").len()
            share = counts.with_columns(p=pl.col("len") / pl.col("len").sum().over("task"))
            per_task = share.group_by("task").agg(h=-(pl.col("p") * pl.col("p").log(2)).sum(), n=pl.col("len").sum())
            if centred:
                values = np.array([_centred_labels(c) for c in _counts_by_task(counts)])
            else:
                values = np.exp2(per_task["h"].to_numpy())  # one-hot rows: the eigenvalues are the counts
            texts = float(np.mean(per_task["n"].to_numpy()))
        else:
            groups = _groups(task[upto])
            kept = vectors[upto]
            values = np.array([float(channels(spectrum(kept[g], centred=centred))) for g in groups])
            texts = float(np.mean([len(g) for g in groups]))
        rows.append((r, texts, float(values.mean())))
    return pl.DataFrame(rows, schema=schema, orient="row")


def _counts_by_task(counts: pl.DataFrame) -> list[I64]:
    return [part["len"].to_numpy().astype(np.int64) for part in counts.partition_by("task")]


def _centred_labels(counts: I64) -> float:
    """Return the centred K* of one-hot rows with these counts: the spectrum of diag(c) - c c'/n."""
    c = counts.astype(np.float64)
    values = np.maximum(np.linalg.eigvalsh(np.diag(c) - np.outer(c, c) / c.sum()), 0.0)
    values[values < 1e-9] = 0.0
    return float(channels(values / values.sum())) if values.sum() > 0 else 1.0


def _groups(task: I64) -> list[I64]:
    """Return the rows of each task."""
    order = np.argsort(task, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(task[order])) + 1)
