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
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
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
            made.add(self.engagement[self.ptr[d] : self.ptr[d + 1]], chosen, int(self.cluster[d]))
        return made.choices()


class _Maker:
    """Collects decisions one by one."""

    def __init__(self) -> None:
        self.engagement: list[F64] = []
        self.chosen: list[I64] = []
        self.cluster: list[int] = []

    def add(self, engagement: F64, chosen: I64, cluster: int) -> None:
        """Add a decision: x of the alternatives, the positions chosen among them, its execution."""
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
        )


def make_choices(decisions: Iterable[tuple[Sequence[float], Sequence[int], int]]) -> Choices:
    """Return the choices given as (engagement of the alternatives, positions chosen in order, execution)."""
    made = _Maker()
    for engagement, chosen, execution in decisions:
        made.add(np.asarray(engagement, dtype=np.float64), np.asarray(chosen, dtype=np.int64), execution)
    return made.choices()


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
    """Decisions left out: they took their whole risk set, or its alternatives were equally engaged."""
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
                    made.add(cited[offer - start], np.searchsorted(offer, parents), e)
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


def fit_attachment(
    choices: Choices,
    *,
    constant: float = 1.0,
    first_only: bool = False,
    replacement: bool = False,
    replicates: int = 0,
    seed: int = 0,
) -> Attachment:
    """Return the attachment exponent of `choices`.

    Args:
        choices: decisions with their risk sets.
        constant: c in log(x + c), so that what nobody built on yet can be chosen.
        first_only: use only the first choice of each decision.
        replacement: the naive likelihood in which a chosen alternative stays on offer, and acts that took everything
            count too. It is biased; it is here to reproduce numbers that were computed so.
        replicates: bootstrap replicates over executions for the interval; 0 leaves it out.
        seed: seed of the bootstrap.

    Raises:
        InputError: x + c is not positive somewhere.
    """
    kept = choices.informative(all_taken=replacement)
    lost = choices.n_decisions - kept.n_decisions
    if len(kept.engagement) and kept.engagement.min() + constant <= 0:
        raise InputError(
            f"x + c is {kept.engagement.min() + constant:g} for some alternative", "", "take a larger constant"
        )
    if first_only:
        kept = Choices(
            kept.ptr, kept.engagement, np.arange(kept.n_decisions + 1), kept.chosen[kept.chosen_ptr[:-1]], kept.cluster
        )
    n_clusters = len(np.unique(kept.cluster))

    def refuse(reason: str) -> Attachment:
        return Attachment(
            None,
            None,
            None,
            constant,
            {},
            kept.n_decisions,
            len(kept.chosen),
            lost,
            n_clusters,
            at_bound=False,
            reason=reason,
        )

    if not kept.n_decisions:
        return refuse("every act took all that it could see, or chose among equals" if lost else "no act had a choice")
    even = np.ones(kept.n_decisions)
    beta, information = _solve(kept, constant, even, replacement)
    at_bound = abs(beta) >= BOUND - 1e-6
    others = {c: _solve(kept, c, even, replacement)[0] for c in SENSITIVITY if kept.engagement.min() + c > 0}
    interval = _interval(kept, constant, replacement, replicates, seed) if replicates else None
    reason = f"only a bound: the likelihood still rises at beta = {beta:.0f}" if at_bound else ""
    return Attachment(
        beta,
        information**-0.5,
        interval,
        constant,
        others,
        kept.n_decisions,
        len(kept.chosen),
        lost,
        n_clusters,
        at_bound,
        reason,
    )


def _solve(choices: Choices, constant: float, weight: F64, replacement: bool) -> tuple[float, float]:
    """Return (beta, observed information) of the weighted log-likelihood, beta clipped to [-BOUND, BOUND]."""
    logs = np.log(choices.engagement + constant)
    low, high, beta = -BOUND, BOUND, 0.0
    for _ in range(100):
        slope, information = _derivatives(
            choices.ptr, logs, choices.chosen_ptr, choices.chosen, weight, beta, replacement
        )
        if slope > 0:
            low = beta
        else:
            high = beta
        new = beta + slope / information if information > 0 else math.nan
        if not low < new < high:
            new = 0.5 * (low + high)
        if abs(new - beta) < 1e-10 or information <= 0:
            break
        beta = new
    return float(beta), float(information)


@compiled
def _derivatives(
    ptr: I64, logs: F64, chosen_ptr: I64, chosen: I64, weight: F64, beta: float, replacement: bool
) -> tuple[float, float]:
    """Return the first and the negative second derivative of the log-likelihood at `beta`."""
    slope, information = 0.0, 0.0
    for d in range(len(ptr) - 1):
        if weight[d] == 0.0:
            continue
        begin, end = ptr[d], ptr[d + 1]
        top = logs[begin:end].max() if beta >= 0 else logs[begin:end].min()
        w = np.exp(beta * (logs[begin:end] - top))
        for m in range(chosen_ptr[d], chosen_ptr[d + 1]):
            s0 = s1 = s2 = 0.0
            for j in range(end - begin):
                log = logs[begin + j]
                s0 += w[j]
                s1 += w[j] * log
                s2 += w[j] * log * log
            mean = s1 / s0
            slope += weight[d] * (logs[chosen[m]] - mean)
            information += weight[d] * max(s2 / s0 - mean * mean, 0.0)
            if not replacement:
                w[chosen[m] - begin] = 0.0
    return slope, information


def _interval(
    choices: Choices, constant: float, replacement: bool, replicates: int, seed: int
) -> tuple[float, float] | None:
    """Return the 95 % percentile interval when executions are resampled; None with a single one."""
    _, cluster = np.unique(choices.cluster, return_inverse=True)
    n = int(cluster.max()) + 1
    if n < 2:
        return None
    betas = []
    for r in range(replicates):
        drawn = np.bincount(stream(seed, "attachment-bootstrap", r).integers(n, size=n), minlength=n)
        betas.append(_solve(choices, constant, drawn[cluster].astype(np.float64), replacement)[0])
    low, high = np.quantile(betas, [0.025, 0.975])
    return float(low), float(high)
