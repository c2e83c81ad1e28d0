"""This module measures what agents' answers say about the right one: plug-in mutual information, for few answers.

With Z_1..Z_n the answers of agents and Y the right answer, I(Y; Z_1..Z_n | X) <= H(Y | X) for tasks X, and what
agent n adds is I(Y; Z_n | Z_1..Z_(n-1), X), which tends to 0 for near copies. A log shows one answer per agent and
task, so tasks of one family are pooled here as draws of one X: Y varies over tasks, H(Y) is the bound. Entropies are
plug-in values with the Miller-Madow correction, and only as many agents are taken as the tasks can fill cells for.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.measures.outputs import I64, Outputs, Votes

OPTIONS_MAX: Final = 8
"""Most answers that a set may have to count as small."""
TASKS_PER_CELL: Final = 5
"""Tasks needed for each combination of answers; with fewer the plug-in value is mostly bias."""

AGENTS_MAX: Final = 32
"""Agents of whom answers are kept (agents): cells for more would take more tasks than a run can have."""

_SCHEMA: Final = {
    "n_agents": pl.Int64, "agent": pl.Int64, "information": pl.Float64, "gain": pl.Float64, "bound": pl.Float64
}  # fmt: skip


def information(outputs: Outputs, truths: pl.DataFrame) -> pl.DataFrame:
    """Return what the first n agents' standing answers say about the right one, for n = 1, 2, ...

    Args:
        outputs: what agents said.
        truths: columns task and truth.

    Returns:
        n_agents, agent (the one added), information (bits), gain over one agent fewer (bits), bound = H(Y) (bits).
        No rows where there are more than eight different answers or too few tasks that all agents answered.
    """
    read = Information(truths)
    read.add(outputs.coded)
    return read.result()


class Information:
    """The object computes the same as `information` from votes that come in pieces of whole tasks.

    Only tasks that all agents answered count, and who they are shows at the end only: what was kept for fewer agents
    than are known by now is forgotten.
    """

    def __init__(self, truths: pl.DataFrame) -> None:
        """Begin.

        Args:
            truths: columns task and truth, for all tasks.
        """
        known = truths.select(pl.col("task").cast(pl.Int64), truth=pl.col("truth").cast(pl.String)).sort("task")
        self._tasks, self._truths = known["task"].to_numpy(), known["truth"]
        self.agents: I64 = np.zeros(0, np.int64)
        self._forget()

    def _forget(self) -> None:
        self._names: dict[str, int] = {}
        self._said: list[NDArray[np.int8]] = []
        self._truth: list[NDArray[np.int8]] = []

    def add(self, votes: Votes) -> None:
        """Take in the votes on further tasks."""
        seats = votes.seats
        agents = np.union1d(self.agents, seats.agent)
        n = len(agents)
        if n > len(self.agents):
            self.agents = agents
            self._forget()
        if len(self._names) > OPTIONS_MAX or not n or not len(self._tasks):
            return
        at = np.minimum(np.searchsorted(self._tasks, votes.tasks), len(self._tasks) - 1)
        whole = (np.bincount(seats.task, minlength=len(votes.tasks)) == n) & (self._tasks[at] == votes.tasks)
        truths, truth = np.unique(self._truths[at[whole]].to_numpy().astype(str), return_inverse=True)
        answers, answer = np.unique(votes.answer[seats.last][whole[seats.task]], return_inverse=True)
        place = self._places([votes.words[code] for code in answers.tolist()])
        of_truth = self._places(truths.tolist())
        if len(self._names) > OPTIONS_MAX:
            self._said, self._truth = [], []
            return
        self._said.append(place[answer.reshape(-1, n)[:, :AGENTS_MAX]])
        self._truth.append(of_truth[truth])

    def _places(self, names: list[str]) -> NDArray[np.int8]:
        """Return a number for each name; the numbers mean nothing any more once there are more than `OPTIONS_MAX`."""
        places = []
        for name in names:
            if len(self._names) <= OPTIONS_MAX:
                self._names.setdefault(name, len(self._names))
            places.append(self._names.get(name, 0))
        return np.array(places, np.int8)

    def result(self) -> pl.DataFrame:
        """Return the table of `information`."""
        if not self._said or not (n_tasks := sum(map(len, self._said))):
            return pl.DataFrame(schema=_SCHEMA)
        k = len(self._names)
        order = np.argsort(np.argsort(np.array(list(self._names))))  # codes are numbered by name
        said, truth = order[np.concatenate(self._said)], order[np.concatenate(self._truth)]
        bound, rows, before = _entropy(truth), [], 0.0
        cell = np.zeros(n_tasks, np.int64)
        for place, agent in enumerate(self.agents.tolist()):
            if (k > 1 and k ** (place + 2) * TASKS_PER_CELL > n_tasks) or n_tasks < TASKS_PER_CELL:
                break
            if k > 1:
                cell = cell * k + said[:, place]
            value = min(max(bound + _entropy(cell) - _entropy(cell * k + truth), 0.0), bound)
            rows.append((place + 1, agent, value, value - before, bound))
            before = value
        return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _entropy(codes: I64) -> float:
    """Return the Miller-Madow entropy of integers (bits)."""
    counts = np.unique(codes, return_counts=True)[1]
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum() + (len(counts) - 1) / (2 * counts.sum() * np.log(2)))
