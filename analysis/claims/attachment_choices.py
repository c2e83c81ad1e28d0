"""This module lists what was chosen from what: the risk sets behind the attachment exponent.

Every claim that builds on others is a decision. Its alternatives are the claims that its author could see, each with
its engagement: how often it had been built on in earlier rounds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agentsoc.errors import InputError
from analysis.claims.cascades import ClaimGraph
from analysis.tables import EventTable

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

RiskSet = Literal["all", "latest"]
"""`all`: every earlier claim of the execution. `latest`: the latest earlier claim of every other agent."""


def _unknown() -> I64:
    return np.empty(0, np.int64)


@dataclass(frozen=True)
class Choices:
    """The object holds choices from risk sets in CSR form."""

    ptr: I64
    """Start of each decision's alternatives, shape (n_decisions + 1,)."""
    engagement: F64
    """x of each alternative at the time, shape (n_alternatives,)."""
    chosen_ptr: I64
    """Start of each decision's chosen alternatives, shape (n_decisions + 1,)."""
    chosen: I64
    """Chosen alternatives as indices into `engagement`, in order of choice."""
    cluster: I64
    """Execution of each decision, shape (n_decisions,)."""
    age: I64 = field(default_factory=_unknown)
    """Claims made since each alternative, 1 for the newest that could be on offer, shape (n_alternatives,); empty where
    it is not known."""
    author: I64 = field(default_factory=_unknown)
    """Agent that made each alternative, same shape; empty where it is not known."""
    item: I64 = field(default_factory=_unknown)
    """Which alternatives are one claim, by number, same shape; empty where it is not known."""

    @property
    def described(self) -> bool:
        """Whether ages, authors and claims of the alternatives are known."""
        return len(self.item) == len(self.engagement) > 0

    @property
    def n_decisions(self) -> int:
        """Number of decisions."""
        return len(self.ptr) - 1

    def informative(self, *, all_taken: bool = False) -> Choices:
        """Return the decisions whose alternatives differ in engagement and that left something unchosen.

        With `all_taken` those that took everything stay in.
        """
        if not self.n_decisions:
            return self
        varied = np.maximum.reduceat(self.engagement, self.ptr[:-1]) > np.minimum.reduceat(
            self.engagement, self.ptr[:-1]
        )
        left = np.diff(self.ptr) > np.diff(self.chosen_ptr)
        return self.select(varied & (left | all_taken))

    def select(self, kept: NDArray[np.bool_]) -> Choices:
        """Return the decisions for which `kept` holds, shape (n_decisions,)."""
        made = _Maker()
        for d in np.flatnonzero(kept):
            chosen = self.chosen[self.chosen_ptr[d] : self.chosen_ptr[d + 1]] - self.ptr[d]
            of = slice(int(self.ptr[d]), int(self.ptr[d + 1]))
            about = (self.age[of], self.author[of], self.item[of]) if self.described else None
            made.add(self.engagement[of], chosen, int(self.cluster[d]), about)
        return made.choices()


class _Maker:
    """The object collects decisions one by one."""

    def __init__(self) -> None:
        self.engagement: list[F64] = []
        self.chosen: list[I64] = []
        self.cluster: list[int] = []
        self.about: list[tuple[I64, I64, I64]] = []

    def add(self, engagement: F64, chosen: I64, cluster: int, about: tuple[I64, I64, I64] | None = None) -> None:
        """Add a decision: x of the alternatives, positions chosen among them, its execution; age, author and claim."""
        if about is not None:
            self.about.append(about)
        self.engagement.append(engagement)
        self.chosen.append(chosen)
        self.cluster.append(cluster)

    def choices(self) -> Choices:
        """Return all decisions."""
        ptr = np.concatenate([[0], np.cumsum([len(x) for x in self.engagement], dtype=np.int64)])
        chosen_ptr = np.concatenate([[0], np.cumsum([len(x) for x in self.chosen], dtype=np.int64)])
        shifted = [chosen + start for chosen, start in zip(self.chosen, ptr, strict=False)]
        return Choices(
            ptr.astype(np.int64),
            np.concatenate(self.engagement) if self.engagement else np.empty(0),
            chosen_ptr.astype(np.int64),
            np.concatenate(shifted).astype(np.int64) if shifted else np.empty(0, np.int64),
            np.array(self.cluster, np.int64),
            *(np.concatenate(column).astype(np.int64) for column in zip(*self.about, strict=True)),
        )


def joined(parts: Sequence[tuple[int, Choices]]) -> Choices:
    """Return the choices of all executions from those of parts of them, each with the number of its first one."""
    some = [(first, part) for first, part in parts if part.n_decisions]
    if len(some) < 2:
        return replace(some[0][1], cluster=some[0][1].cluster + some[0][0]) if some else parts[0][1]
    starts, chosen, items = np.zeros(3, np.int64)
    moved = []
    for first, part in some:
        cluster, item = part.cluster + first, part.item + items
        moved.append(
            replace(
                part,
                ptr=part.ptr[:-1] + starts,
                chosen_ptr=part.chosen_ptr[:-1] + chosen,
                chosen=part.chosen + starts,
                cluster=cluster,
                item=item,
            )
        )
        starts, chosen = starts + len(part.engagement), chosen + len(part.chosen)
        items = max(items, item.max(initial=-1) + 1)
    return Choices(
        ptr=np.append(np.concatenate([one.ptr for one in moved]), starts),
        engagement=np.concatenate([one.engagement for one in moved]),
        chosen_ptr=np.append(np.concatenate([one.chosen_ptr for one in moved]), chosen),
        chosen=np.concatenate([one.chosen for one in moved]),
        cluster=np.concatenate([one.cluster for one in moved]),
        age=np.concatenate([one.age for one in moved]),
        author=np.concatenate([one.author for one in moved]),
        item=np.concatenate([one.item for one in moved]),
    )


@dataclass(frozen=True)
class Offer:
    """An offer describes the alternatives of one decision beside their engagement; sequences of one length."""

    age: Sequence[int]
    """Claims made since each."""
    author: Sequence[int]
    item: Sequence[int]
    """The claim behind each, by a number that no other claim of any execution has."""


def make_choices(
    decisions: Iterable[tuple[Sequence[float], Sequence[int], int]], offers: Sequence[Offer] = ()
) -> Choices:
    """Return the choices given as (engagement of the alternatives, positions chosen in order, execution).

    Args:
        decisions: one for each act that chose.
        offers: what else is known of the alternatives of each; all or none.
    """
    made = _Maker()
    for place, (engagement, chosen, execution) in enumerate(decisions):
        about = None
        if offers:
            own = offers[place]
            age, author, item = (np.asarray(column, dtype=np.int64) for column in (own.age, own.author, own.item))
            about = (age, author, item)
        made.add(np.asarray(engagement, dtype=np.float64), np.asarray(chosen, dtype=np.int64), execution, about)
    return made.choices()


def claim_choices(
    table: EventTable,
    graph: ClaimGraph,
    *,
    risk: RiskSet = "latest",
    readable: Mapping[int, Collection[int]] | None = None,
    logged_visibility: bool = False,
) -> Choices:
    """Return the choices of parents that the claims of `graph` made.

    Args:
        table: the events behind the graph.
        graph: the claims.
        risk: which earlier claims were on offer; claims of the same round are not.
        readable: for each agent the agents whose claims it can read; everybody if not given. The claims that an agent
            did build on are on offer in any case: it must have seen them.
        logged_visibility: restrict the offer to the agents in the `visible` column, where a row has any.

    Raises:
        InputError: the log has no `visible` column although it was asked for.
    """
    if logged_visibility and not table.has("visible"):
        raise InputError("the log does not say who was visible", "", "pass `readable` from the topology instead")
    rounds = table.events["round"].to_numpy()[graph.row]
    logged = table.events["visible"].gather(graph.row).to_list() if logged_visibility else [None] * graph.n_claims
    made = _Maker()
    first = np.searchsorted(graph.execution, np.arange(graph.n_executions + 1))
    for e in range(graph.n_executions):
        start, stop = int(first[e]), int(first[e + 1])
        cited = np.zeros(stop - start)
        latest: dict[int, int] = {}
        opens = [start, *(start + 1 + np.flatnonzero(np.diff(rounds[start:stop]))), stop] if stop > start else []
        for low, high in pairwise(opens):
            for v in range(low, high):
                parents = graph.parent[graph.ptr[v] : graph.ptr[v + 1]]
                parents = parents[parents < low]
                if not len(parents):
                    continue
                me = int(graph.agent[v])
                allowed = logged[v] or (None if readable is None else readable.get(me, ()))
                offer = _offer(graph, risk, start, low, me, latest, allowed, parents)
                if len(offer) > 1:
                    about = (low - offer, graph.agent[offer].astype(np.int64), offer)
                    made.add(cited[offer - start], np.searchsorted(offer, parents), e, about)
            for v in range(low, high):
                latest[int(graph.agent[v])] = v
                cited[graph.parent[graph.ptr[v] : graph.ptr[v + 1]] - start] += 1
    return made.choices()


def _offer(
    graph: ClaimGraph,
    risk: RiskSet,
    start: int,
    low: int,
    me: int,
    latest: Mapping[int, int],
    allowed: Collection[int] | None,
    parents: I64,
) -> I64:
    """Return the claims on offer to agent `me`, increasing: those of the rule that it may read, and its own parents."""
    if risk == "all":
        offer = np.arange(start, low)
        if allowed is not None:
            offer = offer[np.isin(graph.agent[offer], list(allowed))]
    else:
        readable = latest.keys() if allowed is None else latest.keys() & set(allowed)
        offer = np.array([latest[a] for a in readable if a != me], dtype=np.int64)
    return np.union1d(offer, parents)
