"""This module says when a simulated society may be computed as columns, and lays out its schedule for that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from agentsoc.backends.simulated import Simulated, SimulatedBackend
from agentsoc.budget.account import affords
from agentsoc.contracts.board import Board
from agentsoc.contracts.protocol import Act, Protocol, Stage
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import Purpose, Turn
from agentsoc.events import SOCIETY
from agentsoc.society.build import BuiltSociety


@dataclass(frozen=True)
class Lane:
    """A lane holds the agents of one stage that hear equally many others, so that one array operation serves all."""

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
class Programme:
    """A programme is a schedule laid out for column execution."""

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
    programme = fixed_programme(society) if len(options) >= 2 else None
    if programme is None:
        return None
    tokens_in, tokens_out = int(programme.tokens_in.sum()), int(programme.tokens_out.sum())
    if not affords(society, tokens_in, tokens_out, programme.calls):
        return None
    return programme


def fixed_programme(society: BuiltSociety) -> Programme | None:
    """Return the programme of a society of which no turn depends on what is said, whatever its budget; else None.

    Its `tokens` are what an episode takes, exactly, where the budget pays for them.
    """
    scenario = society.scenario
    models = {group.model for group in scenario.agents}
    if len(models) != 1 or not isinstance(next(iter(models)), Simulated):
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
    return _lay_out(society, stages) if stages else None


def _follows_schedule(kind: type[Protocol]) -> bool:
    """Return whether the columns compute what a protocol of this class does turn by turn.

    A class that changes `plan` or `decide` has to say anew what its schedule and its verdict are.
    """

    def owner(name: str) -> type:
        return next(cls for cls in kind.__mro__ if name in vars(cls))

    if kind.interpret is not Protocol.interpret or kind.flags is not Protocol.flags:
        return False
    return issubclass(owner("schedule"), owner("plan")) and issubclass(owner("verdict"), owner("decide"))


def _lay_out(society: BuiltSociety, stages: Sequence[Stage]) -> Programme | None:
    backend = simulated_backend(society)
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


def simulated_backend(society: BuiltSociety) -> SimulatedBackend:
    """Return the one voter that stands for all agents of a society."""
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
