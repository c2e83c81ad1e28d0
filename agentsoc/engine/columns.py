"""Simulated societies as columns: all tasks go through a fixed schedule together, one array operation a stage.

What comes out is, event for event and byte for byte, what the turn-by-turn engine gives for the same scenario; only
the time differs. `can_vectorise` says when it applies.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agentsoc.backends.simulated import Simulated, SimulatedBackend
from agentsoc.budget.account import affords
from agentsoc.contracts.board import Board
from agentsoc.contracts.model import Backend
from agentsoc.contracts.protocol import Act, Protocol, Stage
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import Purpose, Turn
from agentsoc.events import KINDS, MAX_AGENTS, SOCIETY, pack_id
from agentsoc.log.schema import SCHEMA
from agentsoc.protocols.aggregators import BETWEEN
from agentsoc.society.build import BuiltSociety
from agentsoc.streams import uniforms

ROWS_AT_ONCE = 1 << 19
"""Events computed before they are handed on (events)."""
_PROPOSE, _REVISE, _ENDORSE, _MERGE = (
    KINDS.index(k) for k in ("propose_claim", "revise_claim", "endorse_claim", "merge_claims")
)
_ANSWER, _STOP = KINDS.index("answer"), KINDS.index("stop")


class Draw(msgspec.Struct, frozen=True):
    """Turns of simulated agents to compute: rows are (task, agent), heard codes are columns."""

    round: int
    k: int
    """Size of the answer space."""
    task: Any
    agent: Any
    truth: Any = None
    """Codes of the reference answers; None when nobody answers on its own."""
    signal: Any = None
    own: Any = None
    """Codes of standing answers; None when nobody has one yet."""
    sent: Any = None
    """Codes of the messages to each row, shape (n, b); None when nobody hears anything."""
    tally: bool = False
    """Nobody adds an answer of its own."""


def draw_codes(backend: Backend, draw: Draw) -> NDArray[np.int64]:
    """Return the answer code of each row of `draw`."""
    assert isinstance(backend, SimulatedBackend)
    own: NDArray[np.int64] | None = None
    if not draw.tally:
        if draw.own is not None:
            own = np.asarray(draw.own)
        else:
            own = backend.leaves(draw.task, draw.round, draw.agent, draw.truth, draw.signal, draw.k)
    if draw.sent is None:
        assert own is not None
        return own
    heard = backend.received(draw.task, draw.round, draw.agent, np.asarray(draw.sent), draw.k)
    return backend.combine(draw.task, draw.round, draw.agent, heard, own, draw.k)


@dataclass(frozen=True)
class Lane:
    """The agents of one stage that hear equally many others: one rectangular array operation."""

    stage: int
    agents: NDArray[np.int64]
    hears: NDArray[np.int64]
    """Shape (n_agents, b), the heard agents in the order of the claims that they stand by, where that is fixed."""
    shared: bool
    """Whether several of the heard may stand by one claim: then the order is found, and each claim cited once."""
    tally: bool
    has_own: bool
    """Whether these agents already stand by a claim."""
    position: NDArray[np.int64]
    """Index of each agent's event among the events of an episode."""
    tokens: tuple[int, int]
    root_tokens: tuple[int, int]
    """Tokens of an agent whom nobody reads."""


@dataclass(frozen=True)
class Cites:
    """The claims that the events of a lane build on."""

    ids: NDArray[np.int64]
    """Shape (n_tasks, n_agents, b), increasing along the last axis."""
    counts: int | NDArray[np.int64]
    """How many each event cites."""
    first: NDArray[np.bool_] | None = None
    """Which of `ids` are cited, the same shape: one that occurs several times is cited once. None for all."""


@dataclass(frozen=True)
class Programme:
    """A schedule laid out for column execution."""

    lanes: tuple[Lane, ...]
    n_rounds: int
    n_events: int
    """Events of one episode, the answer and the stop included."""
    deliveries: int
    broadcasts: int
    tokens: int
    """Tokens of one episode."""
    calls: int
    turns: int
    round_of: NDArray[np.int32]
    agent_of: NDArray[np.int64]
    tokens_in: NDArray[np.int64]
    tokens_out: NDArray[np.int64]
    calls_of: NDArray[np.int32]


def can_vectorise(society: BuiltSociety, tasks: Sequence[Task] | None, options: tuple[str, ...]) -> Programme | None:
    """Return the programme of a society whose rounds can be computed as columns, or None.

    They can when all agents are one kind of simulated voter, the answer space is the same finite one for all tasks,
    the protocol's rounds do not depend on what is said, and the budget pays for all of them.
    """
    scenario = society.scenario
    models = {group.model for group in scenario.agents}
    if len(models) != 1 or not isinstance(next(iter(models)), Simulated) or len(options) < 2:
        return None
    if not _follows_schedule(type(scenario.protocol)) or scenario.protocol.verdict(society) is None:
        return None
    model = next(iter(models))
    assert isinstance(model, Simulated)
    if scenario.faults or model.invalid or model.rejects is not None:
        return None
    if scenario.parents != "cited":  # a voter's turn is one draw, whatever its iterations
        return None
    stages = scenario.protocol.schedule(society)
    if not stages:
        return None
    programme = _lay_out(society, stages)
    if programme is None:
        return None
    tokens_in, tokens_out = int(programme.tokens_in.sum()), int(programme.tokens_out.sum())
    if not affords(society, tokens_in, tokens_out, programme.calls):
        return None
    return programme


def _follows_schedule(kind: type[Protocol]) -> bool:
    """Return whether what the columns compute is what a protocol of this class does turn by turn.

    A class that changes `plan` or `decide` has to say anew what its schedule and its verdict are.
    """

    def owner(name: str) -> type:
        return next(cls for cls in kind.__mro__ if name in vars(cls))

    if kind.interpret is not Protocol.interpret or kind.flags is not Protocol.flags:
        return False
    return issubclass(owner("schedule"), owner("plan")) and issubclass(owner("verdict"), owner("decide"))


def _lay_out(society: BuiltSociety, stages: Sequence[Stage]) -> Programme | None:
    backend = _backend(society)
    stands_since = np.full(society.n, -1, dtype=np.int64)  # round of the claim that each agent stands by
    may_share = False  # whether somebody may stand by another agent's claim
    lanes: list[Lane] = []
    arrays: dict[int, tuple[NDArray[np.int64], list[NDArray[np.int64]]]] = {}
    start = 0
    for number, stage in enumerate(stages):
        agents = np.asarray(stage.agents, dtype=np.int64)
        if (np.diff(agents) <= 0).any():
            return None
        if stage.purpose == "merge" and not stage.by_rule:
            return None
        if id(stage.hears) not in arrays:  # rounds of a debate share one object
            arrays[id(stage.hears)] = _by_fan_in(stage.hears, len(agents))
        fan_in, by_fan_in = arrays[id(stage.hears)]
        has_own = stands_since[agents] >= 0
        shares = False
        for heard in by_fan_in:
            b = heard.shape[1]
            of_fan_in = np.flatnonzero(fan_in == b)
            for standing in (False, True):
                mine = has_own[of_fan_in] == standing
                if not mine.any():
                    continue
                rows = of_fan_in[mine]
                hears = heard if mine.all() else heard[mine]
                shared = may_share and b > 1
                if b:
                    since = stands_since[hears]
                    if (since < 0).any():
                        return None
                    if b > 1 and not shared:
                        hears = np.take_along_axis(hears, np.lexsort((hears, since), axis=-1), axis=-1)
                lanes.append(
                    Lane(
                        number,
                        agents[rows],
                        hears,
                        shared,
                        stage.by_rule,
                        standing,
                        start + rows,
                        backend.cost(b, stage.by_rule, True),
                        backend.cost(b, stage.by_rule, False),
                    )
                )
                shares |= b == 1 or shared
        may_share |= shares
        stands_since[agents] = number
        start += len(agents)
    return _totals(society, stages, lanes, start + 2)


def _backend(society: BuiltSociety) -> SimulatedBackend:
    backend = society.scenario.agents[0].model.open(seed=society.seed)
    assert isinstance(backend, SimulatedBackend)
    return backend


def _by_fan_in(hears: Sequence[Sequence[int]], n_agents: int) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Return the fan-in of each acting agent, shape (n_agents,), and for each fan-in b whom they hear, shape (n, b)."""
    if not hears:
        return np.zeros(n_agents, dtype=np.int64), [np.zeros((n_agents, 0), dtype=np.int64)]
    fan_in = np.fromiter(map(len, hears), np.int64, len(hears))
    flat = np.fromiter(chain.from_iterable(hears), np.int64, int(fan_in.sum()))
    begin = np.cumsum(fan_in) - fan_in
    return fan_in, [flat[begin[fan_in == b][:, None] + np.arange(b)] for b in np.unique(fan_in).tolist()]


def _totals(society: BuiltSociety, stages: Sequence[Stage], lanes: list[Lane], n_events: int) -> Programme:
    round_of = np.full(n_events, len(stages), dtype=np.int32)
    agent_of = np.full(n_events, SOCIETY, dtype=np.int64)
    tokens_in, tokens_out = np.zeros(n_events, np.int64), np.zeros(n_events, np.int64)
    calls = np.zeros(n_events, np.int32)
    silent = [agent for agent in {society.wiring.root, 0} if agent is not None and not society.speaks(agent)]
    deliveries = broadcasts = 0
    protocol, empty = society.scenario.protocol, Board(0)
    act = (Act("propose_claim"),)
    for lane in lanes:
        round_of[lane.position], agent_of[lane.position] = lane.stage, lane.agents
        mute = np.isin(lane.agents, silent)
        tokens_in[lane.position] = np.where(mute, lane.root_tokens[0], lane.tokens[0])
        tokens_out[lane.position] = np.where(mute, lane.root_tokens[1], lane.tokens[1])
        calls[lane.position] = 0 if lane.tally else 1
        sees = tuple(range(lane.hears.shape[1]))
        purpose: Purpose = "merge" if lane.tally else "answer"
        turn = Turn(int(lane.agents[0]), purpose, sees=sees, by_rule=lane.tally)
        each = protocol.deliveries_each(society, empty, lane.agents, turn, act)
        deliveries += int(each.sum())
        broadcasts += int((each > 0).sum())
    return Programme(
        tuple(lanes),
        len(stages),
        n_events,
        deliveries,
        broadcasts,
        int(tokens_in.sum() + tokens_out.sum()),
        int(calls.sum()),
        n_events - 2,
        round_of,
        agent_of,
        tokens_in,
        tokens_out,
        calls,
    )


@dataclass(frozen=True)
class Block:
    """The events of consecutive episodes."""

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
    """Computes the events of a programme, block by block of consecutive tasks."""

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
        self.backend = _backend(society)
        self._by_name = np.argsort(np.argsort(np.array(options, dtype=object)))  # rank of each option as text

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Yield (first task, number of tasks) so that a block has about `ROWS_AT_ONCE` events."""
        step = max(1, ROWS_AT_ONCE // self.programme.n_events)
        n = len(self.truth)
        for first in range(0, n, step):
            yield first, min(step, n - first)

    async def run(self, draw: Any, *, ahead: bool) -> AsyncGenerator[Block, None]:
        """Yield all blocks in order; with `ahead` the next one is begun before one is handed on.

        That is for draws which other processes make: they go on while this one writes the log.
        """
        following: asyncio.Task[Block] | None = None
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

    async def block(self, first: int, n: int, draw: Any) -> Block:
        """Return the events of tasks first..first+n-1; `draw` computes a `Draw`, here or on other hosts."""
        p, k = self.programme, len(self.options)
        tasks = np.arange(first, first + n)
        truth = self.truth[tasks]
        difficulty = None if self.difficulty is None else self.difficulty[tasks]
        mu = self.backend.signals(tasks, difficulty)
        n_agents = self.society.n
        stands = np.full((n, n_agents), -1, dtype=np.int64)  # code of each agent's standing answer
        claim = np.full((n, n_agents), -1, dtype=np.int64)  # id of the claim it stands by
        shape = (n, p.n_events)
        answer = np.full(shape, -1, dtype=np.int64)
        kind = np.zeros(shape, dtype=np.int8)
        minted = np.full(shape, -1, dtype=np.int64)
        target = np.full(shape, -1, dtype=np.int64)
        parents: list[Cites | None] = [None] * len(p.lanes)
        latency = np.zeros(n)
        slowest = np.zeros(n)
        said_now: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []
        for index, lane in enumerate(p.lanes):
            if index and p.lanes[index - 1].stage != lane.stage:
                _take_stands(said_now, stands, claim)
            m, b = lane.hears.shape
            row_task = np.repeat(tasks, m)
            row_agent = np.tile(lane.agents, n)
            own = stands[:, lane.agents].reshape(-1) if lane.has_own else None
            heard, cited = _heard(lane, stands, claim)
            said = await draw(
                Draw(
                    lane.stage,
                    k,
                    row_task,
                    row_agent,
                    None if lane.tally or own is not None else np.repeat(truth, m),
                    None if lane.tally or own is not None else np.repeat(mu, m),
                    own,
                    None if heard is None else heard.reshape(n * m, b),
                    lane.tally,
                )
            )
            said = np.asarray(said).reshape(n, m)
            new = pack_id(lane.stage, 0, 0) + (lane.agents << 15)
            kinds, ids, aims, cites = _acts(lane, said, stands, claim, heard, cited, new)
            answer[:, lane.position], kind[:, lane.position] = said, kinds
            minted[:, lane.position], target[:, lane.position] = ids, aims
            parents[index] = cites
            if self.backend.model.latency_s:
                draws = uniforms(self.society.seed, "latency", row_task, lane.stage, row_agent)[:, 0]
                times = (-self.backend.model.latency_s * np.log1p(-draws)).reshape(n, m).max(axis=1)
                if index and p.lanes[index - 1].stage != lane.stage:
                    latency += slowest
                    slowest = np.zeros(n)
                slowest = np.maximum(slowest, times)
            said_now.append((lane.agents, said, np.where(ids >= 0, ids, aims)))
        _take_stands(said_now, stands, claim)
        final, tied, from_claim, unions = self._decide(stands, claim, tasks)
        answer[:, -2] = final
        kind[:, -2], kind[:, -1] = _ANSWER, _STOP
        score = self._score(tasks, answer)
        self._score_unions(tasks, final, unions, score)
        words = (*self.options, "finished", *(BETWEEN.join(self.options[code] for code in codes) for codes in unions))
        table = self._table(tasks, answer, kind, minted, target, parents, score, tied, from_claim, words)
        return Block(
            table,
            first,
            n,
            score[:, -2],
            final,
            words,
            latency + slowest,
        )

    def _decide(
        self, stands: NDArray[np.int64], claim: NDArray[np.int64], tasks: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], list[str | None], NDArray[np.int64], list[tuple[int, ...]]]:
        """Return the society's answer, the text that states a tie, the claim it is (or -1), per task; and the unions.

        The codes after the options stand for the stop of an episode and for the unions, in this order.
        """
        n, k = len(tasks), len(self.options)
        verdict = self.society.scenario.protocol.verdict(self.society)
        if isinstance(verdict, int):
            return stands[:, verdict], [None] * n, claim[:, verdict], []
        voted = stands >= 0
        ballots = (stands + k * np.arange(n)[:, None])[voted]
        if isinstance(verdict, tuple):
            weights = np.broadcast_to(np.array(verdict), stands.shape)[voted]
            votes = np.bincount(ballots, weights=weights, minlength=n * k).reshape(n, k)
            leading = votes >= votes.max(axis=1, keepdims=True) - 1e-12
        else:
            votes = np.bincount(ballots, minlength=n * k).reshape(n, k)
            leading = votes == votes.max(axis=1, keepdims=True)
        if verdict == "union":
            final, unions = self._unite(votes > 0)
            return final, [None] * n, np.full(n, -1, dtype=np.int64), unions
        n_leading = leading.sum(axis=1)
        final = leading.argmax(axis=1)
        texts: list[str | None] = [None] * n
        by_name = np.argsort(self._by_name)  # codes in the order of their names
        tied = np.flatnonzero(n_leading > 1)
        if len(tied):
            draws = uniforms(
                self.society.seed, "tie", tasks[tied], self.programme.n_rounds, np.uint64(SOCIETY & 0xFFFFFFFF)
            )[:, 0]
            pick = (draws * n_leading[tied]).astype(np.int64)
            for row, chosen in zip(tied.tolist(), pick.tolist(), strict=True):
                codes = [code for code in by_name.tolist() if leading[row, code]]
                final[row] = codes[chosen]
                texts[row] = "tie: " + ", ".join(self.options[code] for code in codes)
        return final, texts, np.full(n, -1, dtype=np.int64), []

    def _unite(self, said: NDArray[np.bool_]) -> tuple[NDArray[np.int64], list[tuple[int, ...]]]:
        """Return, per task, the code of the options that were said (one option's own code), and the unions of several.

        Args:
            said: which options were said, shape (n, k).
        """
        k = len(self.options)
        final = said.argmax(axis=1)
        several = np.flatnonzero(said.sum(axis=1) > 1)
        sets, which = np.unique(said[several], axis=0, return_inverse=True)
        final[several] = k + 1 + which.reshape(-1)
        by_name = np.argsort(self._by_name).tolist()
        return final, [tuple([code for code in by_name if row[code]]) for row in sets.tolist()]

    def _score_unions(
        self,
        tasks: NDArray[np.int64],
        final: NDArray[np.int64],
        unions: list[tuple[int, ...]],
        score: NDArray[np.float64],
    ) -> None:
        """Give unions the score of the worst answer in them, in place; matching a reference exactly, they have 0."""
        for number, codes in enumerate(unions):
            rows = np.flatnonzero(final == len(self.options) + 1 + number)
            if self.score is not None:
                score[rows, -2] = self.score[tasks[rows]][:, list(codes)].min(axis=1)

    def _score(self, tasks: NDArray[np.int64], answer: NDArray[np.int64]) -> NDArray[np.float64]:
        if self.score is None:
            return np.equal(answer, self.truth[tasks][:, None]).astype(np.float64)
        known = np.clip(answer, 0, len(self.options) - 1)
        return np.asarray(np.take_along_axis(self.score[tasks], known, axis=1), dtype=np.float64)

    def _table(
        self,
        tasks: NDArray[np.int64],
        answer: NDArray[np.int64],
        kind: NDArray[np.int8],
        minted: NDArray[np.int64],
        target: NDArray[np.int64],
        parents: list[Cites | None],
        score: NDArray[np.float64],
        tied: list[str | None],
        from_claim: NDArray[np.int64],
        names: tuple[str, ...],
    ) -> pa.Table:
        p = self.programme
        n, e = answer.shape
        rows = n * e
        lengths = np.zeros((n, e), dtype=np.int32)
        for lane, cites in zip(p.lanes, parents, strict=True):
            if cites is not None:
                lengths[:, lane.position] = cites.counts
        lengths[:, -2] = from_claim >= 0
        offsets = np.zeros(rows + 1, dtype=np.int32)
        np.cumsum(lengths.reshape(-1), out=offsets[1:])
        flat = np.empty(int(offsets[-1]), dtype=np.int64)
        begin = offsets[:-1].reshape(n, e)
        for lane, cites in zip(p.lanes, parents, strict=True):
            if cites is not None:
                at = begin[:, lane.position][:, :, None] + np.arange(cites.ids.shape[2])
                if cites.first is None:
                    flat[at] = cites.ids
                else:
                    at = begin[:, lane.position][:, :, None] + np.cumsum(cites.first, axis=2) - 1
                    flat[at[cites.first]] = cites.ids[cites.first]
        held = from_claim >= 0
        flat[begin[held, -2]] = from_claim[held]

        k_of = np.zeros(e, dtype=np.int32)
        k_of[-1] = 1
        stop_code = len(self.options)
        codes = answer.copy()
        codes[:, -1] = stop_code
        words = pa.array(names, pa.string())
        zero_tasks = pa.nulls(rows, pa.int64())
        is_stop = np.zeros(e, dtype=bool)
        is_stop[-1] = True
        texts: pa.Array = pa.nulls(rows, pa.string())
        if any(text is not None for text in tied):
            column: list[str | None] = [None] * rows
            for row, text in enumerate(tied):
                column[row * e + e - 2] = text
            texts = pa.array(column, pa.string())
        columns = {
            "task": np.repeat(tasks, e),
            "round": np.tile(p.round_of, n),
            "agent": np.tile(p.agent_of, n),
            "k": np.tile(k_of, n),
            "kind": pa.DictionaryArray.from_arrays(pa.array(kind.reshape(-1).astype(np.int32)), pa.array(KINDS)),
            "claim": _nullable(minted.reshape(-1)),
            "parents": pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat)),
            "target": _nullable(target.reshape(-1)),
            "subtask": zero_tasks,
            "subtask_parent": zero_tasks,
            "answer": pa.DictionaryArray.from_arrays(pa.array(codes.reshape(-1).astype(np.int32)), words),
            "correct": pa.array(score.reshape(-1), mask=np.tile(is_stop, n)),
            "confidence": pa.nulls(rows, pa.float64()),
            "text": texts,
            "calls": np.tile(p.calls_of, n),
            "tokens_in": np.tile(p.tokens_in, n),
            "tokens_cached": np.zeros(rows, dtype=np.int64),
            "tokens_out": np.tile(p.tokens_out, n),
            "label_source": pa.DictionaryArray.from_arrays(
                pa.array(np.zeros(rows, dtype=np.int32)), pa.array(["rule"])
            ),
        }
        return pa.Table.from_arrays(
            [c if isinstance(c, pa.Array) else pa.array(c) for c in columns.values()], schema=SCHEMA
        )


def _heard(
    lane: Lane, stands: NDArray[np.int64], claim: NDArray[np.int64]
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
    """Return the answers and the claims that the agents of a lane are shown, shape (n, m, b) each, by claim id."""
    if not lane.hears.shape[1]:
        return None, None
    heard, cited = stands[:, lane.hears], claim[:, lane.hears]
    if lane.shared:
        order = np.argsort(cited, axis=2, kind="stable")
        heard, cited = np.take_along_axis(heard, order, axis=2), np.take_along_axis(cited, order, axis=2)
    return heard, cited


def _take_stands(
    said: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]],
    stands: NDArray[np.int64],
    claim: NDArray[np.int64],
) -> None:
    """Let everybody stand by what was said in a stage, which nobody has heard before its end."""
    for agents, codes, ids in said:
        stands[:, agents] = codes
        claim[:, agents] = ids
    said.clear()


def _acts(
    lane: Lane,
    said: NDArray[np.int64],
    stands: NDArray[np.int64],
    claim: NDArray[np.int64],
    heard: NDArray[np.int64] | None,
    cited: NDArray[np.int64] | None,
    new: NDArray[np.int64],
) -> tuple[Any, NDArray[np.int64], NDArray[np.int64], Cites | None]:
    """Return kind, minted id, target and parents of a lane's events: `interpret_reply` for simulated replies."""
    n, m = said.shape
    ids = np.broadcast_to(new, (n, m))
    if heard is None or cited is None:
        if not lane.has_own:
            return _PROPOSE, ids, np.full((n, m), -1, dtype=np.int64), None
        own = claim[:, lane.agents]
        same = said == stands[:, lane.agents]
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


def _nullable(values: NDArray[np.int64]) -> pa.Array:
    """Return an Arrow column in which -1 is null."""
    return pa.array(values, mask=values < 0)
