"""This module computes simulated societies as columns: all tasks pass a stage together, in one array operation.

What comes out is, event for event and byte for byte, what the turn-by-turn engine gives for the same scenario; only
the time differs. `can_vectorise` says when it applies.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agentsoc.engine.columns.decide import Decided, decide
from agentsoc.engine.columns.draws import ColumnDraw
from agentsoc.engine.columns.schedule import Lane, Programme, simulated_backend
from agentsoc.engine.columns.table import Cites, EventGrid, events_table
from agentsoc.events import KINDS, MAX_AGENTS, pack_id
from agentsoc.protocols.aggregators import BETWEEN
from agentsoc.society.build import BuiltSociety
from agentsoc.streams import uniforms

ROWS_AT_ONCE = 1 << 19
"""Events computed before they are handed on (events)."""
_PROPOSE, _REVISE, _ENDORSE, _MERGE = (
    KINDS.index(k) for k in ("propose_claim", "revise_claim", "endorse_claim", "merge_claims")
)
_ANSWER, _STOP = KINDS.index("answer"), KINDS.index("stop")


@dataclass(frozen=True)
class EpisodeBlock:
    """A block holds the events of consecutive episodes."""

    table: pa.Table
    first: int
    n: int
    score: NDArray[np.float64]
    answer: NDArray[np.int64]
    """Codes of the societies' answers, shape (n,)."""
    words: tuple[str, ...]
    """What the codes stand for: the options, the stop, unions of options."""
    virtual_s: NDArray[np.float64]
    """Critical path of each episode (seconds), shape (n,)."""


class ColumnRun:
    """The object computes the events of a programme, block by block of consecutive tasks."""

    def __init__(
        self,
        society: BuiltSociety,
        programme: Programme,
        options: tuple[str, ...],
        truth: NDArray[np.int64],
        difficulty: NDArray[np.float64] | None,
        score: NDArray[np.float64] | None,
    ) -> None:
        """Prepare.

        Args:
            society: the society.
            programme: its schedule.
            options: the answer space of all tasks.
            truth: code of the reference answer per task, shape (n_tasks,).
            difficulty: what the task family says of each task, shape (n_tasks,).
            score: verifier's score per task and option, shape (n_tasks, k); None for exact match.
        """
        self.society, self.programme, self.options = society, programme, options
        self.truth, self.difficulty, self.score = truth, difficulty, score
        self.backend = simulated_backend(society)

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Yield (first task, number of tasks) so that a block has about `ROWS_AT_ONCE` events."""
        step = max(1, ROWS_AT_ONCE // self.programme.n_events)
        n = len(self.truth)
        for first in range(0, n, step):
            yield first, min(step, n - first)

    async def run(self, draw: Any, *, ahead: bool) -> AsyncGenerator[EpisodeBlock, None]:
        """Yield all blocks in order; with `ahead` the next one is begun before one is handed on.

        That is for draws which other processes make: they go on while this one writes the log.
        """
        following: asyncio.Task[EpisodeBlock] | None = None
        try:
            for first, n in self.blocks():
                if not ahead:
                    yield await self.block(first, n, draw)
                    continue
                due, following = following, asyncio.create_task(self.block(first, n, draw))
                if due is not None:
                    yield await due
            if following is not None:
                yield await following
        finally:
            if following is not None:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    async def block(self, first: int, n: int, draw: Any) -> EpisodeBlock:
        """Return the events of tasks first..first+n-1; `draw` computes a `ColumnDraw`, here or on other hosts."""
        p = self.programme
        tasks = np.arange(first, first + n)
        difficulty = None if self.difficulty is None else self.difficulty[tasks]
        signal = self.backend.signals(tasks, difficulty)
        everybody = (n, self.society.n)
        standing = _Standing(np.full(everybody, -1, dtype=np.int64), np.full(everybody, -1, dtype=np.int64))
        grid = EventGrid.empty(n, p)
        slowest = np.zeros((p.n_rounds, n))
        for index, lane in enumerate(p.lanes):
            if index and p.lanes[index - 1].stage != lane.stage:
                standing.end_stage()
            heard, cited = standing.heard_by(lane)
            turns = self._turns(lane, tasks, signal, standing, heard)
            said = np.asarray(await draw(turns)).reshape(n, len(lane.agents))
            kinds, ids, aims, grid.parents[index] = _acts(lane, said, standing, heard, cited)
            grid.answer[:, lane.position], grid.kind[:, lane.position] = said, kinds
            grid.minted[:, lane.position], grid.target[:, lane.position] = ids, aims
            if self.backend.model.latency_s:
                longest = self._latency(turns).reshape(said.shape).max(axis=1)
                slowest[lane.stage] = np.maximum(slowest[lane.stage], longest)
            standing.hear(lane.agents, said, np.where(ids >= 0, ids, aims))
        standing.end_stage()
        decided = decide(self.society, self.options, p.n_rounds, tasks, standing.answer, standing.claim)
        grid.answer[:, -2] = decided.answer
        grid.kind[:, -2], grid.kind[:, -1] = _ANSWER, _STOP
        score = self._scores(tasks, grid.answer, decided)
        grid.answer[:, -1] = len(self.options)  # the code of the stop, which is no answer and has no score
        words = self._words(decided.unions)
        table = events_table(p, tasks, grid, score, decided, words)
        virtual_s = sum(slowest, np.zeros(n))  # stage after stage, as turns are summed
        return EpisodeBlock(table, first, n, score[:, -2], decided.answer, words, virtual_s)

    def _turns(
        self,
        lane: Lane,
        tasks: NDArray[np.int64],
        signal: NDArray[np.float64],
        standing: _Standing,
        heard: NDArray[np.int64] | None,
    ) -> ColumnDraw:
        """Return the turns of a lane in all tasks, to be drawn."""
        n, (m, b) = len(tasks), lane.hears.shape
        own = standing.answer[:, lane.agents].reshape(-1) if lane.has_own else None
        alone = not lane.tally and own is None  # then each adds its own finding
        return ColumnDraw(
            lane.stage,
            len(self.options),
            np.repeat(tasks, m),
            np.tile(lane.agents, n),
            np.repeat(self.truth[tasks], m) if alone else None,
            np.repeat(signal, m) if alone else None,
            own,
            None if heard is None else heard.reshape(n * m, b),
            lane.tally,
        )

    def _latency(self, turns: ColumnDraw) -> NDArray[np.float64]:
        """Return how long each of some turns takes (seconds)."""
        draws = uniforms(self.society.seed, "latency", turns.task, turns.round, turns.agent)[:, 0]
        return np.asarray(-self.backend.model.latency_s * np.log1p(-draws))

    def _words(self, unions: list[tuple[int, ...]]) -> tuple[str, ...]:
        """Return what the codes of answers stand for: the options, the stop, unions of options."""
        return (*self.options, "finished", *(BETWEEN.join(self.options[code] for code in codes) for codes in unions))

    def _scores(self, tasks: NDArray[np.int64], answer: NDArray[np.int64], decided: Decided) -> NDArray[np.float64]:
        """Return the score of each answer; a union has that of the worst in it, and 0 where exact matches count."""
        if self.score is None:
            return np.equal(answer, self.truth[tasks][:, None]).astype(np.float64)
        known = np.clip(answer, 0, len(self.options) - 1)
        score = np.asarray(np.take_along_axis(self.score[tasks], known, axis=1), dtype=np.float64)
        for number, codes in enumerate(decided.unions):
            rows = np.flatnonzero(decided.answer == len(self.options) + 1 + number)
            score[rows, -2] = self.score[tasks[rows]][:, list(codes)].min(axis=1)
        return score


@dataclass
class _Standing:
    """The object holds what each agent stands by, shape (n_tasks, n_agents) each, and what the stage under way says."""

    answer: NDArray[np.int64]
    """Code of the answer; -1 for none."""
    claim: NDArray[np.int64]
    """Id of the claim; -1 for none."""
    _said: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = field(default_factory=list)

    def heard_by(self, lane: Lane) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
        """Return the answers and the claims that the agents of a lane are shown, shape (n, m, b) each, by claim id."""
        if not lane.hears.shape[1]:
            return None, None
        heard, cited = self.answer[:, lane.hears], self.claim[:, lane.hears]
        if lane.shared:
            order = np.argsort(cited, axis=2, kind="stable")
            heard, cited = np.take_along_axis(heard, order, axis=2), np.take_along_axis(cited, order, axis=2)
        return heard, cited

    def hear(self, agents: NDArray[np.int64], codes: NDArray[np.int64], ids: NDArray[np.int64]) -> None:
        """Note what agents said in this stage, which nobody hears before its end."""
        self._said.append((agents, codes, ids))

    def end_stage(self) -> None:
        """Let everybody stand by what was said in the stage."""
        for agents, codes, ids in self._said:
            self.answer[:, agents] = codes
            self.claim[:, agents] = ids
        self._said.clear()


def _acts(
    lane: Lane,
    said: NDArray[np.int64],
    standing: _Standing,
    heard: NDArray[np.int64] | None,
    cited: NDArray[np.int64] | None,
) -> tuple[Any, NDArray[np.int64], NDArray[np.int64], Cites | None]:
    """Return kind, minted id, target and parents of a lane's events: `interpret_reply` for simulated replies."""
    n, m = said.shape
    ids = np.broadcast_to(pack_id(lane.stage, 0, 0) + (lane.agents << 15), (n, m))
    if heard is None or cited is None:
        if not lane.has_own:
            return _PROPOSE, ids, np.full((n, m), -1, dtype=np.int64), None
        own = standing.claim[:, lane.agents]
        same = said == standing.answer[:, lane.agents]
        cites = Cites(own[:, :, None], 1)
        return np.where(same, _ENDORSE, _REVISE), np.where(same, -1, ids), np.where(same, own, -1), cites
    b = cited.shape[2]
    if b > 1 and not lane.shared:
        return _MERGE, ids, np.full((n, m), -1, dtype=np.int64), Cites(cited, b)
    first = np.ones(cited.shape, dtype=bool)
    first[:, :, 1:] = cited[:, :, 1:] != cited[:, :, :-1]
    counts = first.sum(axis=2)
    # the one claim that is used; nobody endorses a claim of their own that others stand by
    used = cited[:, :, 0]
    same = (counts == 1) & (said == heard[:, :, 0]) & ((used >> 15) & (MAX_AGENTS - 1) != lane.agents)
    kinds = np.where(same, _ENDORSE, np.where(counts == 1, _REVISE, _MERGE))
    return kinds, np.where(same, -1, ids), np.where(same, used, -1), Cites(cited, counts, None if b == 1 else first)
