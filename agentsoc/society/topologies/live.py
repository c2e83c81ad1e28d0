"""This module builds organisations whose edges move while they run: towards reputation, or from offers to needs."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentsoc.contracts.board import Board
from agentsoc.contracts.graphs import nx
from agentsoc.contracts.router import Router
from agentsoc.contracts.society import Society
from agentsoc.contracts.topology import Topology
from agentsoc.contracts.wiring import Wiring
from agentsoc.errors import TopologyError
from agentsoc.events import CLAIMING, COORDINATION, Event
from agentsoc.society.topologies.peers import random_peers
from agentsoc.streams import uniforms

AGENTS_MAX: Final = 2_000
"""Agents of an organisation whose edges are drawn anew for every stage: each draws among all others (agents)."""
_WORD: Final = re.compile(r"\w+")
_MARKED: Final = {word: re.compile(rf"(?im)^[ \t*_>-]{{0,20}}{word}[ \t*_]{{0,8}}:(.*)$") for word in ("need", "offer")}


class LivePeers(Topology):
    """Base of peers who each hear a few others, chosen anew for every stage; the first choice is by lot."""

    live: ClassVar[bool] = True

    hears: int = Field(default=2, ge=1, le=1_000)
    """Others whom each agent hears in a stage (agents)."""
    drop: int = Field(default=0, ge=0, le=1_000)
    """Agents who are dropped after each exchange, those on whose claims the fewest acts of others rest: they take no
    turn any more, are heard by nobody, and have no vote (agents)."""
    keep: int = Field(default=2, ge=1, le=1_000)
    """Agents who are left in any case (agents)."""

    def build(self, n: int, rng: np.random.Generator) -> nx.DiGraph[int]:
        """Return the edges of the first choice: each hears `hears` others, drawn at random. All are peers at level 0.

        Raises:
            TopologyError: there are not enough others, or too many agents for edges that are drawn for every stage.
        """
        if not self.hears < n <= AGENTS_MAX:
            raise TopologyError(
                f"{self.kind} needs more agents than each hears, and at most {AGENTS_MAX:,}, got "
                f"hears={self.hears}, agents={n:,}"
            )
        graph: nx.DiGraph[int] = nx.DiGraph()
        graph.add_nodes_from(range(n), role="peer", level=0)
        chosen = random_peers(n, self.hears, rng)
        graph.add_edges_from((heard, agent) for agent, row in enumerate(chosen.tolist()) for heard in row)
        return graph

    def wiring(self, n: int, rng: np.random.Generator) -> Wiring:
        """Return the edges of the first choice as arrays, marked as changing."""
        return replace(super().wiring(n, rng), live=True)

    def fan_in_limit(self, n: int) -> int:
        """Return how many each hears."""
        return self.hears

    @abstractmethod
    def router(self, society: Society) -> LiveRouter:
        """Return the fold that chooses."""


class DynamicReputation(LivePeers):
    """Who was consulted is consulted: everybody hears others with probability proportional to (reputation + c)^beta.

    Reputation counts how often an agent was consulted in this episode, and a tenth for each stage in which it spoke. It
    stands still within a stage. With beta 1 that is the routing of "dynamic reputation" in the traces of intellectual
    elites (arXiv 2604.02674), with the weights made whole again after each draw; with beta 0 it is a lottery.
    """

    kind: Literal["dynamic-reputation"] = "dynamic-reputation"
    beta: float = Field(default=1.0, ge=0, le=10)
    """Exponent of the weight."""
    start: float = Field(default=0.1, gt=0, le=1_000)
    """What everybody's reputation is counted from (c)."""

    def router(self, society: Society) -> LiveRouter:
        """Return the fold that keeps reputations."""
        return ReputationRouter(self, society)


class NeedOffer(LivePeers):
    """What an agent needs is matched with what others offer: it hears those whose words fit best.

    After DyTopo's matching, on words instead of embeddings. A need is the line ``NEED: ...`` of the agent's last text,
    an offer the line ``OFFER: ...``; without such a line its whole text, or its answer, stands for either. How well
    they fit is the share of words that they have in common; equal ones are drawn. Tell agents to write these lines.
    """

    kind: Literal["need-offer"] = "need-offer"
    match: Literal["words", "lots"] = "words"
    """Match words; or, as a control, draw lots."""

    def router(self, society: Society) -> LiveRouter:
        """Return the fold that keeps needs and offers."""
        return NeedRouter(self, society)


class LiveRouter(Router):
    """The fold keeps the choice of the stage that comes next, and who has been dropped."""

    def __init__(self, rules: LivePeers, society: Society) -> None:
        super().__init__(society.wiring)
        self.rules, self.seed, self.n = rules, society.seed, society.n
        self.stage = 0
        """Stages that have ended."""
        self.rested = np.zeros(self.n)
        """Acts of others that rest on claims of each agent."""
        self._author: dict[int, int] = {}
        self._heard: NDArray[np.int64] | None = None

    def hears(self, board: Board, agent: int) -> tuple[int, ...]:
        """Return whom `agent` hears in the stage that comes next."""
        return tuple(self.heard(board.task)[agent].tolist())

    def heard(self, task: int) -> NDArray[np.int64]:
        """Return whom everybody hears in the stage that comes next, each row in increasing order, shape (n, k)."""
        if self._heard is None:
            weights = self.weights(task).copy()
            np.fill_diagonal(weights, -np.inf)
            weights[:, sorted(self.dropped)] = -np.inf
            k = min(self.rules.hears, self.n - len(self.dropped) - 1)
            self._heard = np.sort(np.argsort(-weights, axis=1, kind="stable")[:, : max(k, 0)], axis=1)
        return self._heard

    def draws(self, purpose: str, task: int, draws: int) -> NDArray[np.float64]:
        """Return draws of everybody for the stage that comes next, shape (n, draws)."""
        return uniforms(self.seed, purpose, task, self.stage, np.arange(self.n), draws=draws)

    @abstractmethod
    def weights(self, task: int) -> NDArray[np.float64]:
        """Return for each agent how much it is for hearing each other one: the highest are chosen, shape (n, n)."""

    def learn(self, events: Sequence[Event]) -> None:
        """Take in the events of a stage before the choice is made anew."""

    def fold(self, events: Sequence[Event]) -> None:
        """Take in the events of one round."""
        if not events or any(event.kind == "tool_call" for event in events):
            return
        for event in events:
            if event.kind in CLAIMING and event.claim is not None:
                self._author[event.claim] = event.agent
        for event in events:
            if event.kind in COORDINATION:
                for author in {self._author[claim] for claim in event.parents if claim in self._author}:
                    self.rested[author] += author != event.agent
        self.learn(events)
        self._drop(events[0].task)
        self.stage += 1
        self._heard = None

    def _drop(self, task: int) -> None:
        """Drop those on whose claims the fewest acts rest, after a stage in which somebody was heard."""
        left = self.n - len(self.dropped)
        n = min(self.rules.drop, left - self.rules.keep)
        if self.stage < 1 or n < 1:
            return
        lots = self.draws("drop", task, 1)[:, 0]
        staying = [agent for agent in range(self.n) if agent not in self.dropped]
        lowest = sorted(staying, key=lambda agent: (self.rested[agent], lots[agent]))[:n]
        self.dropped |= frozenset(lowest)


class ReputationRouter(LiveRouter):
    """The fold keeps how often each agent was consulted."""

    def __init__(self, rules: DynamicReputation, society: Society) -> None:
        super().__init__(rules, society)
        self.beta, self.start = rules.beta, rules.start
        self.reputation = np.zeros(self.n)

    def weights(self, task: int) -> NDArray[np.float64]:
        """Return keys whose k highest are a draw without replacement by weight (Efraimidis & Spirakis)."""
        draws = np.clip(self.draws("consult", task, self.n), 1e-300, 1 - 1e-16)
        keys: NDArray[np.float64] = -np.log(-np.log(draws)) + self.beta * np.log(self.reputation + self.start)
        return keys

    def learn(self, events: Sequence[Event]) -> None:
        """Count who was consulted by whoever spoke, once somebody could be."""
        spoke = sorted({event.agent for event in events if event.agent >= 0})
        if self.stage and spoke:
            heard = self.heard(events[0].task)[spoke]
            np.add.at(self.reputation, heard.reshape(-1), 1.0)
        self.reputation[spoke] += 0.1


class NeedRouter(LiveRouter):
    """The fold keeps what each agent needs and offers, as words."""

    def __init__(self, rules: NeedOffer, society: Society) -> None:
        super().__init__(rules, society)
        self.match = rules.match
        self.needs: list[frozenset[str]] = [frozenset()] * self.n
        self.offers: list[frozenset[str]] = [frozenset()] * self.n

    def weights(self, task: int) -> NDArray[np.float64]:
        """Return the share of words that a need and each offer have in common, equal ones by lot."""
        lots = 1e-9 * self.draws("match", task, self.n)
        if self.match == "lots":
            return lots
        holders: dict[str, list[int]] = {}
        for agent, offer in enumerate(self.offers):
            for word in offer:
                holders.setdefault(word, []).append(agent)
        sizes = np.array([len(offer) for offer in self.offers])
        for agent, need in enumerate(self.needs):
            common = Counter(other for word in need for other in holders.get(word, ()))
            for other, n in common.items():
                lots[agent, other] += n / (len(need) + sizes[other] - n)
        return lots

    def learn(self, events: Sequence[Event]) -> None:
        """Read the last text of whoever spoke."""
        for event in events:
            if event.kind in COORDINATION and event.agent >= 0:
                text = event.text or event.answer or ""
                self.needs[event.agent], self.offers[event.agent] = marked(text, "need"), marked(text, "offer")


def marked(text: str, what: Literal["need", "offer"]) -> frozenset[str]:
    """Return the words of the last line of a text that is marked as a need or an offer; without one, all its words."""
    lines = _MARKED[what].findall(text)
    return frozenset(_WORD.findall((lines[-1] if lines else text).lower()))
