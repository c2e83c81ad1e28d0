"""This module makes null models: tails, elites and reinforcement of known truth, or with no cognition behind them.

Every estimator of the analysis is judged on these before it is believed on logs:

    reinforced_routing      acts cite earlier claims with weight (x + c)^beta and merge at a given rate: an event table
    branching               sizes of family trees with Poisson offspring: subcritical, critical or cut
    sandpile                the Abelian sandpile: avalanches with a cut-off set by the grid (finite-size scaling)
    pareto, lognormal       independent draws
    deterministic_mixture   cascade sizes fixed by the design, pooled over N: a faked heavy tail, no chance in it

All draws come from `agentsoc.streams`, so a model with its seed is one data set for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.jit import compiled
from analysis.tables import EVENT_COLUMNS, EXECUTION_COLUMNS, EventTable, conform
from analysis.tails.kernels import invert

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

CRITICAL_HEIGHT: Final = 4
"""Grains at which a site topples."""


def pareto(alpha: float, n: int, *, xmin: float = 1.0, discrete: bool = True, seed: int = 0) -> F64:
    """Return `n` independent draws with p(x) ~ x^-alpha above `xmin`, whole numbers if `discrete`.

    Raises:
        InputError: alpha is not above 1, or xmin is no threshold.
    """
    if alpha <= 1 or xmin <= 0 or (discrete and xmin != int(xmin)):
        raise InputError(f"{alpha=} and {xmin=} make no power law", "", "alpha > 1, xmin > 0, whole if discrete")
    survival = 1.0 - stream(seed, "null-pareto").random(n)
    if discrete:
        return np.asarray(invert(survival, alpha, xmin, xmin), dtype=np.float64)
    return np.asarray(xmin * survival ** (-1.0 / (alpha - 1.0)))


def lognormal(mu: float, sigma: float, n: int, *, discrete: bool = True, seed: int = 0) -> F64:
    """Return `n` independent lognormal draws; if `discrete` rounded, those that round to 0 left out."""
    x = np.exp(mu + sigma * stream(seed, "null-lognormal").standard_normal(n))
    if not discrete:
        return np.asarray(x)
    whole = np.rint(x)
    return whole[whole >= 1]


def branching(mean: float, n: int, *, largest: int = 1_000_000, seed: int = 0) -> I64:
    """Return the sizes (total progeny, the founder included) of `n` family trees with Poisson(mean) offspring.

    Below mean 1 sizes follow the Borel law, ~ s^-1.5 exp(-s (mean - 1 - log mean)); at 1 the pure exponent 1.5.

    Args:
        mean: offspring per member.
        n: trees.
        largest: trees stop growing once they have this many members, so that critical ones end.
        seed: seed of the draws.

    Raises:
        InputError: mean is negative.
    """
    if mean < 0:
        raise InputError(f"{mean=} offspring per member", "", "take 0 or more")
    rng = stream(seed, "null-branching")
    size, alive = np.ones(n, np.int64), np.ones(n, np.int64)
    growing = np.arange(n)
    while len(growing):
        born = rng.poisson(mean * alive[growing])
        size[growing] += born
        alive[growing] = born
        growing = growing[(born > 0) & (size[growing] < largest)]
    return np.minimum(size, largest)


@dataclass(frozen=True)
class Sandpile:
    """The object holds avalanches after the burn-in; arrays have one entry per grain added, 0 where nothing toppled."""

    size: I64
    """Topplings."""
    area: I64
    """Distinct sites that toppled."""
    duration: I64
    """Parallel steps."""
    participation: I64
    """Avalanches that each site took part in, shape (side, side)."""
    heights: I64
    """Grains on each site at the end, shape (side, side)."""
    lost: int
    """Grains that fell over the edge, burn-in included."""

    def summary(self) -> str:
        """Return one line: how often and how far grains spread."""
        still = float(np.mean(self.size == 0))
        return (
            f"{len(self.size)} grains: mean size {self.size.mean():.4g}, largest {self.size.max()}, {still:.2f} still"
        )


def sandpile(side: int, grains: int, *, burn_in: int | None = None, seed: int = 0) -> Sandpile:
    """Return avalanches of the Abelian sandpile on an open square grid of `side` x `side` sites.

    A site with four grains gives one to each neighbour; at the edge grains are lost (Bak, Tang & Wiesenfeld, Phys. Rev.
    Lett. 59, 1987). The grid starts full (three everywhere, which is recurrent), so that the burn-in is short.

    Args:
        side: sites per side.
        grains: grains added after the burn-in, each on a site drawn uniformly.
        burn_in: grains added before; 4 side^2 by default.
        seed: seed of the sites.
    """
    if side < 1 or grains < 1:
        raise InputError(f"{side=} and {grains=} make no sandpile", "", "take at least 1 of each")
    burn = 4 * side * side if burn_in is None else burn_in
    sites = stream(seed, "null-sandpile").integers(side * side, size=burn + grains)
    heights = np.full(side * side, CRITICAL_HEIGHT - 1, np.int64)
    size, area, duration, participation, lost = _pour(heights, side, sites, burn)
    square = (side, side)
    return Sandpile(size, area, duration, participation.reshape(square), heights.reshape(square), int(lost))


@compiled
def _pour(heights: I64, side: int, sites: I64, burn_in: int) -> tuple[I64, I64, I64, I64, int]:
    """Add the grains one by one, toppling all unstable sites in parallel; changes `heights`."""
    n = side * side
    kept = len(sites) - burn_in
    size, area, duration = np.zeros(kept, np.int64), np.zeros(kept, np.int64), np.zeros(kept, np.int64)
    participation, last = np.zeros(n, np.int64), np.full(n, -1, np.int64)
    now, then = np.empty(n, np.int64), np.empty(n, np.int64)
    lost = 0
    for g in range(len(sites)):
        heights[sites[g]] += 1
        n_now = 0
        if heights[sites[g]] >= 4:
            now[0] = sites[g]
            n_now = 1
        topples = distinct = steps = 0
        while n_now > 0:
            steps += 1
            n_then = 0
            for i in range(n_now):
                heights[now[i]] -= 4
            for i in range(n_now):
                s = now[i]
                topples += 1
                if last[s] != g:
                    last[s] = g
                    distinct += 1
                    if g >= burn_in:
                        participation[s] += 1
                row, column = s // side, s % side
                for d in range(4):
                    r, c = row + (d == 0) - (d == 1), column + (d == 2) - (d == 3)
                    if r < 0 or r >= side or c < 0 or c >= side:
                        lost += 1
                        continue
                    t = r * side + c
                    heights[t] += 1
                    # Every site holds at most three after the giving and gets at most four, so it passes four once.
                    if heights[t] == 4:
                        then[n_then] = t
                        n_then += 1
            now, then = then, now
            n_now = n_then
        if g >= burn_in:
            size[g - burn_in], area[g - burn_in], duration[g - burn_in] = topples, distinct, steps
    return size, area, duration, participation, lost


@dataclass(frozen=True)
class ActRates:
    """How often an act of `reinforced_routing` opens a claim or merges claims; otherwise it revises one."""

    new: float = 0.1
    """Probability that it opens a claim."""
    merge: float = 0.1
    """Probability that it merges claims."""
    fan_in: int = 2
    """Claims that a merge takes."""


USUAL_RATES: Final = ActRates()


def reinforced_routing(
    beta: float,
    rates: ActRates = USUAL_RATES,
    *,
    executions: int = 20,
    n_agents: int = 20,
    steps: int = 150,
    constant: float = 1.0,
    seed: int = 0,
) -> EventTable:
    """Return executions in which every act cites earlier claims in proportion to (x + constant)^beta.

    One agent, drawn uniformly, acts in each round. With probability `rates.new` it opens a claim, with `rates.merge`
    it merges `rates.fan_in` claims drawn one after the other without replacement, otherwise it revises one. x counts
    the acts that built on a claim before; every earlier claim is on offer (risk set ``all`` of `claim_choices`).

    Raises:
        InputError: rates are not probabilities, or a merge needs fewer than two claims.
    """
    new_rate, merge_rate, fan_in = rates.new, rates.merge, rates.fan_in
    if not 0 <= new_rate <= 1 or not 0 <= merge_rate <= 1 - new_rate or fan_in < 2 or constant <= 0:
        raise InputError(
            f"{new_rate=}, {merge_rate=}, {fan_in=}, {constant=} make no routing",
            "",
            "rates sum to at most 1, fan_in >= 2",
        )
    frames = []
    for execution in range(executions):
        rng = stream(seed, "null-routing", execution)
        agent = rng.integers(n_agents, size=steps)
        drawn = rng.random((steps, fan_in + 1))
        count, parents = _route(drawn, beta, constant, new_rate, merge_rate, fan_in)
        kind = np.array(["propose_claim", "revise_claim", "merge_claims"])[np.minimum(count, 2)]
        lists = [row[:k].tolist() for row, k in zip(parents, count, strict=True)]
        frames.append(_frame(execution, agent, kind, lists))
    rows = [_execution(e, "routing", n_agents, e, steps) for e in range(executions)]
    return _table(frames, rows)


@compiled
def _route(
    drawn: F64, beta: float, constant: float, new_rate: float, merge_rate: float, fan_in: int
) -> tuple[I64, I64]:
    """Return (number of parents, parents padded with -1) of each step."""
    steps = len(drawn)
    count, parents = np.zeros(steps, np.int64), np.full((steps, fan_in), -1, np.int64)
    cited = np.zeros(steps)
    weight = np.zeros(steps)
    for t in range(steps):
        u = drawn[t, 0]
        wanted = 0 if u < new_rate else (fan_in if u < new_rate + merge_rate else 1)
        if wanted > t:
            wanted = t
        for m in range(wanted):
            total = 0.0
            for j in range(t):
                total += weight[j]
            for q in range(m):
                total -= weight[parents[t, q]]
            left = drawn[t, m + 1] * total
            chosen = -1
            for j in range(t):
                taken = False
                for q in range(m):
                    taken = taken or parents[t, q] == j
                if taken:
                    continue
                chosen = j
                left -= weight[j]
                if left < 0.0:
                    break
            parents[t, m] = chosen
        count[t] = wanted
        for m in range(wanted):
            j = parents[t, m]
            cited[j] += 1.0
            weight[j] = (cited[j] + constant) ** beta
        weight[t] = constant**beta
    return count, parents


def deterministic_mixture(
    grid: Sequence[int] = (8, 16, 32, 64, 128), *, repeats: int = 20, exponent: float = 1.0
) -> EventTable:
    """Return executions whose cascade sizes the design alone fixes: the k-th largest has ceil(N / k^exponent) claims.

    Every execution of the same N is the same. Pooled over N the sizes look like a power law with exponent
    1 + 1/exponent; there is no chance in them at all, so nothing can be inferred from how well one fits.

    Args:
        grid: numbers of agents.
        repeats: executions of each.
        exponent: how fast sizes fall with their rank.
    """
    frames: list[pl.DataFrame] = []
    rows: list[tuple[object, ...]] = []
    for n_agents in grid:
        agent: list[int] = []
        kind: list[str] = []
        parents: list[list[int]] = []
        for rank in range(1, n_agents + 1):
            root = len(agent)
            members = int(np.ceil(n_agents / rank**exponent - 1e-9))
            agent += [(rank + j) % n_agents for j in range(members)]
            kind += ["propose_claim", *["revise_claim"] * (members - 1)]
            parents += [[], *[[root]] * (members - 1)]
        for repeat in range(repeats):
            frames.append(_frame(len(frames), np.array(agent), np.array(kind), parents))
            rows.append(_execution(len(rows), "designed", n_agents, repeat, len(agent)))
    return _table(frames, rows)


def _frame(execution: int, agent: I64, kind: NDArray[np.str_], parents: list[list[int]]) -> pl.DataFrame:
    """Return the events of one execution, one per round; the claim of a round is its number."""
    n = len(agent)
    return pl.DataFrame(
        {
            "execution": np.full(n, execution),
            "round": np.arange(n),
            "agent": agent,
            "kind": kind.tolist(),
            "claim": np.arange(n),
            "parents": pl.Series(parents, dtype=pl.List(pl.Int64())),
        }
    )


def _execution(number: int, topology: str, n_agents: int, seed: int, n_events: int) -> tuple[object, ...]:
    """Return the row of one execution in the order of `EXECUTION_COLUMNS`."""
    return (number, "null", number, 0, "null", str(number), topology, n_agents, seed, n_events, True)


def _table(frames: list[pl.DataFrame], rows: list[tuple[object, ...]]) -> EventTable:
    """Return the table of the executions given."""
    events = pl.concat(frames).with_columns(
        task=pl.col("execution"),
        k=pl.lit(0, pl.Int64),
        calls=pl.lit(1, pl.Int64),
        tokens_in=pl.lit(0, pl.Int64),
        tokens_cached=pl.lit(0, pl.Int64),
        tokens_out=pl.lit(0, pl.Int64),
        label_source=pl.lit("logged"),
    )
    missing = [pl.lit(None).alias(name) for name in EVENT_COLUMNS if name not in events.columns]
    whole = conform(events.with_columns(missing).select(*EVENT_COLUMNS), "null model")
    return EventTable(whole, pl.DataFrame(rows, schema=EXECUTION_COLUMNS, orient="row"))
