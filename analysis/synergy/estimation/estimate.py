"""This module estimates the phase: a, beta, gamma and rho with their uncertainty, and what follows from them.

One joint bootstrap over tasks carries everything: a, beta, gamma and rho are computed anew on the same resampled
tasks, so that their errors move together as they do in the data. Where tasks are so much alike that resamples tell less
than an interval does, draws of gamma and rho are spread to its ends (`interval.as_wide`), and where they do not differ
at all these are independent of the others. From its draws come the intervals of alpha and s and
the shares P(alpha > 1) and P(s > beta). The delta method is there as a fast path for measurements on separate tasks.

What the data cannot tell is refused by name, never filled in; what is known beforehand (a tally that misreads nothing
has gamma = 1) is given and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl

from agentsoc.errors import InputError
from analysis.synergy.estimation.assumptions import (
    Check,
    check_answers,
    check_chance,
    check_channel,
    check_difficulty,
    check_form,
    check_leaf_law,
    check_majority,
    check_runs,
    check_sent,
    check_shape,
    check_size,
    check_truths,
)
from analysis.synergy.estimation.count_shapes import ShapeTest, compare_shapes
from analysis.synergy.estimation.difficulty import DifficultyMixture, difficulty_draws
from analysis.synergy.estimation.fidelity_fit import TripCounts, count_trips, gamma_at, gamma_draws
from analysis.synergy.estimation.growth import GrowingNode, delta_growth, drawn_growth, shapes_left
from analysis.synergy.estimation.interval import Estimate, as_wide, given
from analysis.synergy.estimation.known import KnownParameters, NodeModel
from analysis.synergy.estimation.leaf_law import LeafCounts, LeafFit, count_leaves, fit_leaf_law, leaf_draws
from analysis.synergy.estimation.measurements import Measurements, from_logs
from analysis.synergy.estimation.node_response import (
    Copied,
    ResponseCounts,
    ResponseFit,
    count_responses,
    fit_response,
    response_draws,
)
from analysis.synergy.estimation.phase_estimate import PhaseEstimate, Source
from analysis.synergy.estimation.resample import TaskIndex, task_weights
from analysis.synergy.estimation.sibling_correlation import PairMoments, RhoFit, estimate_rho, pair_moments, rho_draws
from analysis.synergy.theory.arrays import FloatArray
from analysis.synergy.theory.recursion import Lock

NOTHING_KNOWN: Final = KnownParameters()
USUAL_NODES: Final = NodeModel()

__all__ = ["Measurements", "PhaseEstimate", "estimate_phase", "from_logs"]


def estimate_phase(
    data: Measurements,
    b: int,
    *,
    known: KnownParameters = NOTHING_KNOWN,
    nodes: NodeModel = USUAL_NODES,
    n_draws: int = 400,
    seed: int = 0,
    method: Literal["bootstrap", "delta"] = "bootstrap",
) -> PhaseEstimate:
    """Return parameters, growth, exponent and probabilities of the phases for trees of fan-in b.

    gamma comes from the merges together with the round trips, or from either; rho from the merges, where nodes read
    through a noisy channel and share shocks, or from replicated votes, where an exact tally counts votes whose errors
    are shared when they are cast. A pooled correlation is never used: it holds difficulty. Draws of gamma and rho
    outside [0, 1] are set to the border before they enter alpha; their own intervals are not clipped.

    Args:
        data: what was measured.
        b: fan-in, odd, at least 3.
        known: parameters that are stated beforehand.
        nodes: how shared errors are taken to come about.
        n_draws: bootstrap samples.
        seed: root of the bootstrap's randomness.
        method: joint bootstrap, or delta method for measurements on separate tasks (no draws).

    Raises:
        InputError: b is not odd or below 3, or a table cannot be used.
    """
    _demand_one_phase(data, b)
    from_merges = data.merges is not None and known.rho is None and nodes.rho_by != "replicates"
    lock = nodes.lock
    if lock is None:
        sent = data.votes is not None and data.votes_are == "sent" and not from_merges
        lock = "before_channel" if sent and known.rho is None else "after_channel"
    joint = _Joint(data, n_draws, seed, drawn=method == "bootstrap")
    leaf = joint.fit_leaf(data, known.mu_max)
    response = joint.fit_nodes(data, lock, nodes.copied) if from_merges else None
    gamma, gamma_from = joint.gamma(data, response, known.gamma)
    siblings = estimate_rho(data.votes) if data.votes is not None else None
    rho, rho_from = joint.rho(response, siblings, known.rho)
    shape = _shape(data)
    difficulty, weights = joint.difficulty(data, siblings)
    beta = None if leaf is None else leaf.beta
    node = GrowingNode(b, lock, shapes_left(shape, lock))
    growth = (
        delta_growth(node, gamma, rho, beta) if method == "delta" else drawn_growth(node, joint.draws, gamma, rho, beta)
    )
    sources = {"a and beta": "none" if beta is None else "leaves", "gamma": gamma_from, "rho": rho_from}
    of_each = {name: data.tasks_of(one) for name, one in sources.items() if one not in ("given", "none")}
    sent_votes = siblings if data.votes_are == "sent" and from_merges else None
    found = _Parts(leaf, siblings, difficulty, weights if joint.drawn else np.empty((0, 0)), shape, response)
    return PhaseEstimate(
        b=b, lock=lock, a=None if leaf is None else leaf.a, beta=beta, gamma=gamma, gamma_from=gamma_from, rho=rho,
        rho_from=rho_from, **vars(growth), draws=joint.draws if joint.drawn else {}, **vars(found),
        checks=_checks(data, b, gamma, found, sent_votes, of_each), refusals=tuple(joint.refusals),
        n_tasks=data.n_tasks(), tasks_of=of_each,
    )  # fmt: skip


def _demand_one_phase(data: Measurements, b: int) -> None:
    """Refuse fan-ins that the theory has no majority for, and round trips of several lengths."""
    if b < 3 or b % 2 == 0:
        raise InputError(f"the phase of majority trees is told for odd fan-ins of at least 3, got b={b}")
    if data.trips is not None and (lengths := data.trips["m"].unique().sort().to_list())[1:]:
        raise InputError(
            f"the round trips have messages of {lengths} tokens; the phase is told for one length",
            "",
            "filter the table to the length in question; `fit_fidelity` fits the curve over lengths",
        )


def _checks(
    data: Measurements,
    b: int,
    gamma: Estimate | None,
    found: _Parts,
    sent_votes: RhoFit | None,
    of_each: Mapping[str, int],
) -> tuple[Check, ...]:
    """Return what the data say of each assumption."""
    checks = (
        check_chance((data.leaves, data.votes, data.merges)),
        check_truths(data.leaves),
        check_difficulty(found.siblings),
        check_runs(found.siblings),
        check_channel(data.trips),
        check_shape(found.shape),
        check_form(found.shape),
        check_majority(found.response),
        check_sent(sent_votes),
        check_leaf_law(found.leaf),
        check_answers((data.leaves, data.trips, data.votes, data.merges), b, None if gamma is None else gamma.value),
        check_size(data.n_tasks(), of_each),
    )
    return tuple(check for check in checks if check is not None)


@dataclass(frozen=True)
class _Parts:
    """The object holds the fits behind an estimate; names as in `PhaseEstimate`."""

    leaf: LeafFit | None
    siblings: RhoFit | None
    difficulty: DifficultyMixture | None
    difficulty_draws: FloatArray
    shape: ShapeTest | None
    response: ResponseFit | None


class _Joint:
    """The object holds the resamples of tasks that all parameters share, and the draws that they give."""

    def __init__(self, data: Measurements, n_draws: int, seed: int, *, drawn: bool) -> None:
        tables = [t["task"].to_list() for t in (data.leaves, data.trips, data.votes, data.merges) if t is not None]
        if not tables:
            raise InputError("there is nothing to estimate from", "", "give leaves, trips, votes or merges")
        self.index = TaskIndex(tables)
        self.weights = task_weights(n_draws, self.index.strata, seed=seed)
        self.n_draws, self.seed, self.drawn = n_draws, seed, drawn
        self.draws: dict[str, FloatArray] = {}
        self.refusals: list[str] = []
        self.leaf: LeafCounts | None = None
        self.trips: TripCounts | None = count_trips(data.trips, self.index) if data.trips is not None else None
        self.pairs: PairMoments | None = pair_moments(data.votes, self.index) if data.votes is not None else None
        if data.leaves is not None:
            self.leaf = count_leaves(data.leaves, self.index)

    def fit_leaf(self, data: Measurements, mu_max: float) -> LeafFit | None:
        """Return the leaf law, None without trials of single agents; leave its draws."""
        if data.leaves is None:
            self.refusals.append("a, beta: no trials of single agents")
            return None
        leaf = fit_leaf_law(data.leaves, mu_max=mu_max, n_draws=self.n_draws, seed=self.seed)
        self.refusals += [f"a, beta: {reason}" for reason in leaf.refusals]
        known = leaf.unsure if leaf.a is None or leaf.beta is None else (leaf.a, leaf.beta)
        if known is not None and self.drawn:
            assert self.leaf is not None
            a, beta = known
            centre = float(np.log(self.leaf.x).mean())
            start = np.array([np.log(a.value) + beta.value * centre, beta.value])
            self.draws["a"], self.draws["beta"] = leaf_draws(self.leaf, self.weights, mu_max, start)
        return leaf

    def fit_nodes(self, data: Measurements, lock: Lock, copied: Copied) -> ResponseFit:
        """Return gamma and rho from the merges, which the data must have; leave their draws."""
        assert data.merges is not None
        merges = data.merges if data.trips is None or (data.trips["k"] != 2).any() else _with_relays(data)
        response = fit_response(merges, lock=lock, copied=copied, n_draws=self.n_draws, seed=self.seed)
        if self.drawn:
            counts: ResponseCounts = count_responses(merges, self.index)
            both = response_draws(counts, self.weights, lock, copied)
            for j, (name, found) in enumerate((("gamma", response.gamma), ("rho", response.rho))):
                self.draws[name] = both[:, j] if found is None else as_wide(found, both[:, j], seed=self.seed + j)
        return response

    def gamma(
        self, data: Measurements, response: ResponseFit | None, known: float | None
    ) -> tuple[Estimate | None, Source]:
        """Return gamma and where it comes from; leave its draws."""
        if known is not None:
            if not 0 <= known <= 1:
                raise InputError(f"a given gamma lies in [0, 1], got {known!r}")
            self.draws["gamma"] = np.full(len(self.weights), known)
            return given(known), "given"
        if response is not None:  # the round trips are part of its likelihood
            self.refusals += [f"node response: {reason}" for reason in response.refusals]
            return response.gamma, "merges" if response.gamma is not None else "none"
        if self.trips is None:
            self.refusals.append("gamma: no round trips and no merges")
            return None, "none"
        draws = gamma_draws(self.trips, 0, self.weights)
        found = gamma_at(self.trips, 0, draws)
        self.draws["gamma"] = as_wide(found, draws, seed=self.seed)
        return found, "round trips"

    def rho(
        self, response: ResponseFit | None, siblings: RhoFit | None, known: float | None
    ) -> tuple[Estimate | None, Source]:
        """Return rho and where it comes from; leave its draws."""
        if known is not None:
            if not 0 <= known < 1:
                raise InputError(f"a given rho lies in [0, 1), got {known!r}")
            self.draws["rho"] = np.full(len(self.weights), known)
            return given(known), "given"
        if response is not None:
            return response.rho, "merges" if response.rho is not None else "none"
        if siblings is None or self.pairs is None:
            self.refusals.append("rho: no votes of siblings and no merges")
            return None, "none"
        self.refusals += [f"rho: {reason}" for reason in siblings.refusals]
        if siblings.within is None:
            return None, "none"
        draws = rho_draws(self.pairs, self.weights)
        self.draws["rho"] = as_wide(siblings.within, draws, seed=self.seed) if siblings.few_unusual else draws
        return siblings.within, "replicates"

    def difficulty(self, data: Measurements, siblings: RhoFit | None) -> tuple[DifficultyMixture | None, FloatArray]:
        """Return the mixture of task signals and its weights in each draw; None where tasks seem equally hard.

        The mixture is taken from one standard error on, long before a difference is certain: with few tasks, to take
        them for equal promises far too much.
        """
        spread = None if siblings is None else siblings.between_variance
        if data.votes is None or siblings is None or siblings.within is None or spread is None:
            return None, np.empty((0, 0))
        if spread.value <= spread.se:
            return None, np.empty((0, 0))
        return difficulty_draws(data.votes, self.index, self.weights, float(np.clip(siblings.within.value, 0, 0.95)))


def _with_relays(data: Measurements) -> pl.DataFrame:
    """Return the merges with the round trips as relays among them, so that both speak for gamma."""
    assert data.merges is not None
    assert data.trips is not None
    relays = data.trips.drop_nulls("sent_correct").select(
        "task",
        pl.lit(1, pl.Int64).alias("b"),
        pl.col("sent_correct").cast(pl.Int64).alias("right"),
        pl.col("sent_correct").cast(pl.Int64).alias("first"),
        pl.col("read_correct").fill_null(0.5).alias("out"),  # an unreadable reading is a guess
        pl.col("k").cast(data.merges.schema["k"]),
    )
    return pl.concat([data.merges.select(relays.columns), relays], how="vertical_relaxed")


def _shape(data: Measurements) -> ShapeTest | None:
    """Return the shape test of received votes; sent votes say nothing of it."""
    if data.votes is None or data.votes_are == "sent":
        return None
    try:
        return compare_shapes(data.votes)
    except InputError:
        return None
