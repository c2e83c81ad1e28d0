"""This study asks how often a report of many laws has a false word, with p values corrected over them and without.

Usage: python -m benchmarks.study_laws_together [--reports 100] [--sample NAME ...] (some seconds a report of one core).
A report has 20 observables, each a sample of its own of the law that is planted, goodness of fit by 100 replicates; the
table is in docs/verdict-studies.md. False is a word that puts a tail on data which have none, or refuses one that they
have; "not rejected" and "undecided" are neither.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.stats import beta

from analysis.cascade_laws.examine import FAST, Law, Laws, examine
from analysis.cascade_laws.together import corrected_together
from analysis.observables.sampled import Sample
from analysis.tails import Resampling, SampleDesign, fit_tail
from benchmarks.planted_cascades import random_cascades
from benchmarks.study_power_law_word import Draw, lognormal, power_law, whole

LAWS: Final = 20
N: Final = 500
FIT: Final = 100


@dataclass(frozen=True)
class Planted:
    """A law that is planted, and the words that are false of it."""

    draw: Draw
    false: tuple[str, ...]


PLANTED: Final = {
    "geometric, mean 4": Planted(
        lambda rng, n: rng.geometric(0.25, n).astype(np.float64),
        ("power law", "heavy tailed", "power law not rejected", "truncated"),
    ),
    "exponential, mean 30": Planted(
        lambda rng, n: whole(rng.exponential(30, n)),
        ("power law", "heavy tailed", "power law not rejected", "truncated"),
    ),
    "lognormal, mu 2, sigma 1": Planted(lognormal(2, 1), ("power law", "light tailed", "truncated")),
    "power law, alpha 2": Planted(power_law(2), ("light tailed", "power law rejected", "truncated", "heavy tailed")),
}
"""Heavy tailed is said of a power law where another law beats it."""


def base() -> Laws:
    """Return a report whose observables are replaced."""
    return examine(random_cascades("geometric", 2, 1, n=20), effort=FAST)


def report(laws: Laws, planted: Planted, seed: int, *, n: int = N, fit: int = FIT) -> Laws:
    """Return a report in which every observable has the law that is planted."""
    found = {}
    for at in range(LAWS):
        values = planted.draw(np.random.default_rng([seed, at, n]), n)
        tail = fit_tail(values, resampling=Resampling(gof=fit, seed=seed))
        sample = Sample(f"law {at}", values, np.arange(n), np.full(n, np.inf), "claims")
        found[sample.name] = Law(sample, tail, None, SampleDesign(), None, "", ())
    return replace(laws, laws=found)


def words(laws: Laws) -> Counter[str]:
    """Return how often each word is said in a report."""
    return Counter(law.fit.verdict.word for law in laws.laws.values())


def false_words(laws: Laws, planted: Planted) -> tuple[Counter[str], Counter[str]]:
    """Return the false words of a report, without correction and with it."""
    [corrected] = corrected_together([laws])
    return tuple(  # type: ignore[return-value]
        Counter({word: n for word, n in words(one).items() if word in planted.false}) for one in (laws, corrected)
    )


def upper(hits: int, n: int) -> float:
    """Return the one-sided upper 95 % bound of a rate."""
    return float(beta.ppf(0.95, hits + 1, n - hits)) if hits < n else 1.0


def row(name: str, reports: int) -> str:
    """Return one row of the table."""
    laws = base()
    found = [false_words(report(laws, PLANTED[name], seed), PLANTED[name]) for seed in range(reports)]
    cells = [name, f"{reports} x {LAWS}"]
    for part in zip(*found, strict=True):
        any_ = sum(bool(one) for one in part)
        cells.append(f"{any_ / reports:.0%} (below {upper(any_, reports):.1%})")
        said: Counter[str] = sum(part, Counter())
        cells.append(", ".join(f"{word} {n / reports / LAWS:.1%}" for word, n in said.most_common()) or "none")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=100)
    parser.add_argument("--sample", nargs="*", default=list(PLANTED), choices=list(PLANTED))
    asked = parser.parse_args()
    print("| planted | reports x laws | with a false word, not corrected | of its words | corrected | of its words |")
    print("| --- " * 6 + "|")
    for name in asked.sample:
        print(row(name, asked.reports), flush=True)


if __name__ == "__main__":
    main()
