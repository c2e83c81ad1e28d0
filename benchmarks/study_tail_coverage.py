"""How often the intervals of the laws hold the truth, and how often the goodness-of-fit test is wrong.

Run: ``python -m benchmarks.study_tail_coverage [--replicates 1000] [--part NAME ...]`` (about 25 minutes of one
core; prints tables in Markdown). A nominal 95 % interval of 1,000 replicates lands in 93.6 to 96.4 % with probability
95 %, a test at level 0.1 rejects a true law in 8.1 to 11.9 % of them.

Replicates are drawn from `analysis.cascade_laws.nulls` or, where those have no such law, from its distribution function
here. A body below the threshold is either flat (1 to 20, half of the values) or smooth: an exponential that goes over
into the power
law above 20 with the same height and slope (Clauset, Shalizi & Newman 2009, eq. 3.10), the harder case for the choice
of the threshold.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from agentsoc.streams import stream
from analysis.cascade_laws.extremes import largest_growth
from analysis.cascade_laws.nulls import pareto, reinforced_routing
from analysis.claims.attachment import fit_attachment
from analysis.claims.attachment_choices import claim_choices
from analysis.claims.cascades import claim_graph
from analysis.observables.sampled import Sample
from analysis.tails import (
    LeastTail,
    Resampling,
    cluster_interval,
    fit_at,
    fit_tail,
    goodness_of_fit,
    histogram,
    select_xmin,
    value_interval,
)
from analysis.tails.histogram import Histogram
from analysis.tails.kernels import invert, zeta_sums

F64 = NDArray[np.float64]

SIZES = (1_000, 10_000, 100_000)
START = 20.0
"""Where the power law begins in samples that have a body."""
BOOTSTRAP = 100
"""Replicates of every bootstrap, as in `agentsoc laws`."""


@dataclass(frozen=True)
class Row:
    """One line of the coverage table."""

    regime: str
    n: int
    truth: float
    found: F64
    """Estimate, low and high of each replicate, shape (replicates, 3)."""

    def text(self) -> str:
        value, low, high = self.found.T
        covered = np.mean((low <= self.truth) & (self.truth <= high))
        below, above = np.mean(high < self.truth), np.mean(low > self.truth)
        return (
            f"| {self.regime} | {self.n:,} | {self.truth:g} | {len(value)} | {value.mean():.4g} | {value.std():.2g} | "
            f"{np.median(high - low):.3g} | {covered:.1%} | {below:.1%} | {above:.1%} |"
        )


class Tail:
    """Draws whole numbers from a power law above `start` as counts: together where they are common, singly far out."""

    NEAR = 4096

    def __init__(self, alpha: float, start: float) -> None:
        self.alpha, self.start = alpha, start
        self.near = start + np.arange(self.NEAR)
        whole = zeta_sums(alpha, start)[0]
        masses = (self.near / start) ** -alpha / whole
        self.beyond = float(1.0 - masses.sum())
        self.shares = np.append(masses, self.beyond)

    def __call__(self, n: int, rng: np.random.Generator) -> tuple[F64, NDArray[np.int64]]:
        """Return distinct values and their counts."""
        drawn = rng.multinomial(n, self.shares)
        level = (1.0 - rng.random(int(drawn[-1]))) * self.beyond
        far, far_counts = np.unique(invert(level, self.alpha, self.start, self.start + self.NEAR), return_counts=True)
        kept = drawn[:-1] > 0
        return np.concatenate([self.near[kept], far]), np.concatenate([drawn[:-1][kept], far_counts])


@cache
def tail_of(alpha: float, start: float) -> Tail:
    return Tail(alpha, start)


def with_body(kind: str, alpha: float, n: int, seed: int, *, discrete: bool) -> Histogram:
    """Return a sample with a power law above `START`, or above 1 if `kind` is pure; flat and smooth have a body."""
    rng = stream(seed, "study", "body", kind)
    if kind == "pure":
        if discrete:
            return Histogram(*tail_of(alpha, 1.0)(n, rng), discrete=True)
        return histogram(pareto(alpha, n, discrete=False, seed=seed), discrete=False)
    whole = np.arange(1.0, START)
    weights = np.ones(len(whole)) if kind == "flat" else np.exp(-alpha * (whole / START - 1.0))
    above = float(zeta_sums(alpha, START)[0]) if discrete else START / (alpha - 1.0)
    below = weights.sum() if discrete else START / alpha * float(np.expm1(alpha))
    n_tail = int(rng.binomial(n, 0.5 if kind == "flat" else above / (above + below)))
    if discrete:
        counts = rng.multinomial(n - n_tail, weights / weights.sum())
        values, many = tail_of(alpha, START)(n_tail, rng)
        kept = counts > 0
        return Histogram(np.concatenate([whole[kept], values]), np.concatenate([counts[kept], many]), discrete=True)
    u = rng.random(n - n_tail)
    body = 1.0 + (START - 1.0) * u if kind == "flat" else -np.log1p(u * np.expm1(-alpha)) / alpha * START
    tail = pareto(alpha, n_tail, xmin=START, discrete=False, seed=seed)
    return histogram(np.concatenate([body, tail]), discrete=False)


def truncated(alpha: float, rate: float) -> Callable[[int, int], F64]:
    """Return the maker of samples of x^-alpha e^(-rate x) over whole numbers from 1, given size and seed."""
    x = np.arange(1.0, 45.0 / rate)
    share = np.cumsum(x**-alpha * np.exp(-rate * x))
    return lambda n, seed: x[np.searchsorted(share / share[-1], stream(seed, "study", "truncated").random(n))]


def lognormal(mu: float, sigma: float) -> Callable[[int, int], F64]:
    """Return the maker of rounded lognormal samples, zeros included, given size and seed."""
    return lambda n, seed: np.rint(np.exp(mu + sigma * stream(seed, "study", "lognormal").standard_normal(n)))


def stretched(beta: float, scale: float) -> Callable[[int, int], F64]:
    """Return the maker of rounded stretched exponential samples, given size and seed."""
    return lambda n, seed: np.rint(scale * stream(seed, "study", "stretched").exponential(1.0, n) ** (1.0 / beta))


def exponential(rate: float) -> Callable[[int, int], F64]:
    """Return the maker of geometric samples, given size and seed."""
    return lambda n, seed: 1.0 + np.floor(stream(seed, "study", "exponential").exponential(1.0 / rate, n))


def study_given(replicates: int) -> Iterator[Row]:
    """alpha +- 1.96 standard errors at a threshold that was given."""
    for discrete, alpha in ((True, 1.8), (True, 2.5), (True, 3.5), (False, 2.5)):
        for n in SIZES:
            fits = [fit_at(with_body("pure", alpha, n, seed, discrete=discrete), 1.0) for seed in range(replicates)]
            found = np.array([(f.alpha, f.alpha - 1.96 * f.se, f.alpha + 1.96 * f.se) for f in fits])
            yield Row(f"power law, {kind_of(discrete)}, xmin given: alpha +- 1.96 se", n, alpha, found)


def study_chosen(replicates: int) -> Iterator[Row]:
    """Alpha above a chosen threshold: the bootstrap with a new choice in each replicate, and the error without."""
    cases = (("pure", True, 1.8), ("pure", True, 2.5), ("flat", True, 2.5), ("smooth", True, 2.5), ("pure", False, 2.5))
    for kind, discrete, alpha, n in (
        *((*case, 1_000) for case in cases),
        *((*case, 10_000) for case in cases[:4]),
        *((*case, 100_000) for case in (cases[1], cases[3])),
    ):
        plain, found = [], []
        for seed in range(replicates):
            sample = with_body(kind, alpha, n, seed, discrete=discrete)
            fit = select_xmin(sample)
            assert fit is not None
            plain.append((fit.alpha, fit.alpha - 1.96 * fit.se, fit.alpha + 1.96 * fit.se))
            interval = value_interval(sample, fit, replicates=BOOTSTRAP, seed=seed).alpha
            found.append((fit.alpha, interval.low, interval.high))
        name = f"power law, {kind_of(discrete)}, {kind} body, xmin chosen".replace("pure", "no")
        yield Row(f"{name}: bootstrap", n, alpha, np.array(found))
        yield Row(f"{name}: *alpha +- 1.96 se*", n, alpha, np.array(plain))


def study_clusters(replicates: int) -> Iterator[Row]:
    """Clusters of ten equal values: whole clusters resampled, and the interval that takes values as independent."""
    for clusters in (100, 1_000):
        labels = np.repeat(np.arange(clusters), 10)
        found, plain = [], []
        for seed in range(replicates):
            values = np.repeat(pareto(2.5, clusters, seed=seed), 10)
            fit = fit_at(histogram(values), 1.0)
            interval = cluster_interval(values, labels, fit, replicates=BOOTSTRAP, seed=seed, refit=None)
            found.append((fit.alpha, interval.low, interval.high))
            plain.append((fit.alpha, fit.alpha - 1.96 * fit.se, fit.alpha + 1.96 * fit.se))
        name = f"power law, {clusters} clusters of 10 equal values, xmin given"
        yield Row(f"{name}: cluster bootstrap", 10 * clusters, 2.5, np.array(found))
        yield Row(f"{name}: *values as independent*", 10 * clusters, 2.5, np.array(plain))


COMPETITORS: tuple[tuple[str, str, Callable[[int, int], F64], dict[str, float]], ...] = (
    ("truncated_power_law", "truncated, cut-off 100", truncated(1.5, 0.01), {"alpha": 1.5, "rate": 0.01}),
    ("truncated_power_law", "truncated, cut-off 1,000", truncated(1.8, 0.001), {"alpha": 1.8, "rate": 0.001}),
    ("lognormal", "lognormal", lognormal(2.0, 1.0), {"mu": 2.0, "sigma": 1.0}),
    ("stretched_exponential", "stretched", stretched(0.5, 50.0), {"beta": 0.5}),
    ("exponential", "exponential", exponential(0.05), {"rate": 0.05}),
)


def study_competitors(replicates: int) -> Iterator[Row]:
    """Profile intervals of all competitors at a given threshold."""
    for case in COMPETITORS:
        for n in SIZES:
            yield from competitor(*case, n, replicates, 1.0)


def study_competitors_chosen(replicates: int) -> Iterator[Row]:
    """The intervals that are reported where the threshold was chosen for the power law."""
    cases = (COMPETITORS[0], COMPETITORS[2])
    for case in cases:
        for n in SIZES[:2]:
            yield from competitor(*case, n, replicates, None)


def competitor(
    model: str,
    name: str,
    make: Callable[[int, int], F64],
    truth: dict[str, float],
    n: int,
    replicates: int,
    xmin: float | None,
) -> list[Row]:
    """Return a row for each parameter of one competitor."""
    found: dict[str, list[tuple[float, float, float]]] = {key: [] for key in truth}
    for seed in range(replicates):
        draws = BOOTSTRAP if xmin is None and model == "truncated_power_law" else 1
        fit = fit_tail(make(n, seed), xmin=xmin, resampling=Resampling(interval=draws, seed=seed))
        for key, values in found.items():
            interval = fit.ranges[model][key]
            values.append((fit.models[model].params[key], interval.low, interval.high))
    how = "given" if xmin is not None else "chosen"
    return [Row(f"{name}, xmin {how}: {key}", n, truth[key], np.array(found[key])) for key in truth]


def study_growth(replicates: int) -> Iterator[Row]:
    """Gamma: the largest values of 20 executions at each of five N, lognormal around N^gamma."""
    grid = np.repeat([8, 16, 32, 64, 128], 20)
    for truth, sigma in ((0.5, 0.5), (1.0, 1.0)):
        by_mean, by_median = [], []
        for seed in range(replicates):
            noise = sigma * stream(seed, "study", "growth").standard_normal(len(grid))
            top = grid**truth * np.exp(noise)
            sample = Sample("largest", top, np.arange(len(grid)), np.full(len(grid), np.inf), "events")
            found = largest_growth(sample, grid, replicates=BOOTSTRAP, seed=seed)
            by_mean.append((found.by_mean.value, found.by_mean.low, found.by_mean.high))
            by_median.append((found.by_median.value, found.by_median.low, found.by_median.high))
        yield Row(f"gamma by means, sd of logs {sigma}", 100, truth, np.array(by_mean))
        yield Row(f"gamma by medians, sd of logs {sigma}", 100, truth, np.array(by_median))


def study_attachment(replicates: int) -> Iterator[Row]:
    """Beta of reinforced routing: standard error and jackknife over 20 executions."""
    for beta in (0.0, 0.5, 1.0, 1.5):
        plain, found, decisions = [], [], 0
        for seed in range(replicates):
            table = reinforced_routing(beta, executions=20, steps=40, seed=seed)
            fit = fit_attachment(claim_choices(table, claim_graph(table), risk="all"), groups=20)
            assert fit.beta is not None
            assert fit.se is not None
            assert fit.interval is not None
            decisions = fit.n_decisions
            plain.append((fit.beta, fit.beta - 1.96 * fit.se, fit.beta + 1.96 * fit.se))
            found.append((fit.beta, *fit.interval))
        yield Row("beta +- 1.96 se, 20 executions", decisions, beta, np.array(plain))
        yield Row("beta, jackknife over 20 executions", decisions, beta, np.array(found))


def study_rejection(replicates: int) -> None:
    """Share of true power laws that the goodness-of-fit test rejects at p <= 0.1."""
    print("\n| goodness of fit of a true power law | n | replicates | rejected at p <= 0.1 |\n|---|---|---|---|")
    for kind, discrete, alpha, n, chosen in (
        ("pure", True, 1.8, 1_000, False),
        ("pure", True, 2.5, 1_000, False),
        ("pure", True, 2.5, 10_000, False),
        ("pure", True, 2.5, 100_000, False),
        ("pure", False, 2.5, 1_000, False),
        ("pure", True, 1.8, 1_000, True),
        ("pure", True, 2.5, 1_000, True),
        ("pure", True, 2.5, 10_000, True),
        ("pure", True, 2.5, 100_000, True),
        ("flat", True, 2.5, 1_000, True),
        ("flat", True, 2.5, 10_000, True),
        ("pure", False, 2.5, 1_000, True),
        ("flat", False, 2.5, 1_000, True),
    ):
        rejected = 0
        for seed in range(replicates):
            sample = with_body(kind, alpha, n, seed, discrete=discrete)
            fit = select_xmin(sample) if chosen else fit_at(sample, 1.0)
            assert fit is not None
            refit = LeastTail() if chosen else None
            rejected += goodness_of_fit(sample, fit, replicates=99, seed=seed, refit=refit).p <= 0.1
        how = "chosen" if chosen else "given"
        name = f"alpha {alpha}, {kind_of(discrete)}, {kind} body, xmin {how}".replace("pure", "no")
        print(f"| {name} | {n:,} | {replicates} | {rejected / replicates:.1%} |", flush=True)


def kind_of(discrete: bool) -> str:
    return "discrete" if discrete else "continuous"


PARTS: dict[str, Callable[[int], Iterator[Row]]] = {
    "given": study_given,
    "chosen": study_chosen,
    "clusters": study_clusters,
    "competitors": study_competitors,
    "competitors-chosen": study_competitors_chosen,
    "growth": study_growth,
    "attachment": study_attachment,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--part", choices=[*PARTS, "rejection"], nargs="*", default=[*PARTS, "rejection"])
    chosen = parser.parse_args()
    started = time.process_time()
    coverage = [part for part in chosen.part if part in PARTS]
    if coverage:
        print("| regime | n | truth | replicates | mean | sd | median width | coverage | too low | too high |")
        print("|---|---|---|---|---|---|---|---|---|---|")
    for part in coverage:
        for line in PARTS[part](chosen.replicates):
            print(line.text(), flush=True)
        print(f"<!-- {part}: {time.process_time() - started:.0f} s of CPU so far -->", flush=True)
    if "rejection" in chosen.part:
        study_rejection(chosen.replicates)
    print(f"\n{time.process_time() - started:.0f} s of CPU")


if __name__ == "__main__":
    main()
