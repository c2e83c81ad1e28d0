"""Reinforced attachment: does attention go to what already has it, P(choose i) ~ (x_i + c)^beta?

Every act that builds on claims is a choice from a risk set: the claims its author could see. beta is the conditional
(multinomial) logit coefficient of log(x_i + c), x_i being how often claim i was built on before; several parents are
sequential choices without replacement in the order listed:

    log L(beta) = sum over choices of  beta l_chosen - log sum over those left of exp(beta l_j)

An act that takes everything it sees says nothing about preference and is left out; if nothing is left, beta is not
identified and no number is given. With a risk set larger than what was visible, beta measures the topology instead.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.cascades import ClaimGraph
from analysis.jit import compiled
from analysis.tables import EventTable

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

BOUND: Final = 5.0
"""|beta| beyond this is no estimate."""
SENSITIVITY: Final = (0.5, 1.0, 2.0)

RiskSet = Literal["all", "latest"]
"""`all`: every earlier claim of the execution. `latest`: the latest earlier claim of every other agent."""


@dataclass(frozen=True)
class Choices:
    """Choices from risk sets, in CSR form."""

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

    @property
    def n_decisions(self) -> int:
        """Number of decisions."""
        return len(self.ptr) - 1

    def informative(self) -> Choices:
        """Return the decisions that left something unchosen."""
        return self.select(np.diff(self.ptr) > np.diff(self.chosen_ptr))

    def select(self, kept: NDArray[np.bool_]) -> Choices:
        """Return the decisions for which `kept` holds, shape (n_decisions,)."""
        ptr, engagement, chosen_ptr, chosen, cluster = [0], [], [0], [], []
        for d in np.flatnonzero(kept):
            shift = ptr[-1] - self.ptr[d]
            engagement.append(self.engagement[self.ptr[d] : self.ptr[d + 1]])
            chosen.append(self.chosen[self.chosen_ptr[d] : self.chosen_ptr[d + 1]] + shift)
            ptr.append(ptr[-1] + len(engagement[-1]))
            chosen_ptr.append(chosen_ptr[-1] + len(chosen[-1]))
            cluster.append(self.cluster[d])
        return Choices(
            np.array(ptr), _joined(engagement, np.float64), np.array(chosen_ptr), _joined(chosen, np.int64), np.array(cluster, np.int64)
        )


def _joined(parts: list[NDArray[np.generic]], dtype: type) -> NDArray[np.generic]:
    """Return the concatenation of `parts`, empty if there are none."""
    return np.concatenate(parts).astype(dtype) if parts else np.empty(0, dtype)


@dataclass(frozen=True)
class Attachment:
    """Estimate of the attachment exponent, or why there is none."""

    beta: float | None
    """None if it is not identified."""
    se: float | None
    """From the observed information, decisions taken as independent."""
    interval: tuple[float, float] | None
    """95 % interval of the cluster bootstrap over executions; None if not asked for or not identified."""
    constant: float
    """The c in log(x + c)."""
    sensitivity: dict[float, float]
    """beta for other c."""
    n_decisions: int
    n_choices: int
    n_uninformative: int
    """Decisions left out because they took their whole risk set."""
    clusters: int
    at_bound: bool
    reason: str
    """Why beta is not identified or only a bound; empty if it is an estimate."""

    def summary(self) -> str:
        """Return one line."""
        if self.beta is None:
            return f"beta is not identified: {self.reason}"
        interval = f" [{self.interval[0]:.3f}, {self.interval[1]:.3f}]" if self.interval else f" +- {self.se:.3f}"
        note = f" ({self.reason})" if self.reason else ""
        return f"beta = {self.beta:.3f}{interval} from {self.n_choices} choices in {self.clusters} executions{note}"


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
    visible = table.events["visible"].gather(graph.row).to_list() if logged_visibility else None
    ptr, engagement, chosen_ptr, chosen, cluster = [0], [], [0], [], []
    first = np.searchsorted(graph.execution, np.arange(graph.n_executions + 1))
    for e in range(graph.n_executions):
        cited = np.zeros(first[e + 1] - first[e])
        pending: list[int] = []
        latest: dict[int, int] = {}
        done = first[e]
        for v in range(first[e], first[e + 1]):
            while rounds[done] < rounds[v]:
                latest[int(graph.agent[done])] = done
                done += 1
            if done == v or rounds[done] == rounds[v]:
                for p in pending:
                    cited[p] += 1
                pending = [] if done == v else pending
            parents = graph.parent[graph.ptr[v] : graph.ptr[v + 1]]
            parents = parents[rounds[parents] < rounds[v]]
            me = int(graph.agent[v])
            if len(parents):
                allowed = visible[v] if visible is not None and visible[v] else None
                if allowed is None and readable is not None:
                    allowed = readable.get(me, ())
                offer = _offer(graph, risk, first[e], done, me, latest, allowed, parents)
                if len(offer) > 1:
                    place = {int(c): i for i, c in enumerate(offer)}
                    chosen.append(np.array([ptr[-1] + place[int(p)] for p in parents]))
                    engagement.append(cited[offer - first[e]])
                    ptr.append(ptr[-1] + len(offer))
                    chosen_ptr.append(chosen_ptr[-1] + len(parents))
                    cluster.append(e)
            pending.extend(int(p) - first[e] for p in parents)
    return Choices(
        np.array(ptr), _joined(engagement, np.float64), np.array(chosen_ptr), _joined(chosen, np.int64), np.array(cluster, np.int64)
    )
