"""This study asks how often tails are called a power law, of samples that are one and of samples that look like one.

Usage: python -m benchmarks.study_power_law_word [--replicates 250] [--sizes 500 1000 5000] (about ten minutes of one
core). Lognormals, mixtures and stretched exponentials are none; true power laws begin at 1 or at 10, with half of
the values below. A rate of at most 5 % is said to hold where the upper 95 % bound (Clopper & Pearson, one-sided) of the
share of samples is below it. The table is in docs/verdict-studies.md.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from analysis.tails import fit_tail
from analysis.tails.fit import Resampling
from analysis.tails.verdict import LONG

F64 = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], F64]
REPLICATES_OF_FIT: Final = 100


def whole(x: F64) -> F64:
    """Return values as whole numbers of at least 1."""
    return np.maximum(np.rint(x), 1.0)


def lognormal(mu: float, sigma: float) -> Draw:
    return lambda rng, n: whole(np.exp(rng.normal(mu, sigma, n)))


def mixture(means: tuple[float, ...], shares: tuple[float, ...]) -> Draw:
    """Exponentials of these means."""
    return lambda rng, n: whole(rng.exponential(np.array(means)[rng.choice(len(means), n, p=shares)]))


def two_lognormals(rng: np.random.Generator, n: int) -> F64:
    """Nine in ten small, one in ten large."""
    return whole(np.exp(np.where(rng.random(n) < 0.9, rng.normal(1, 0.7, n), rng.normal(3.5, 1, n))))


def half_a_power_law(rng: np.random.Generator, n: int) -> F64:
    """Half of the values are of a power law, half are lognormal."""
    return np.where(rng.random(n) < 0.5, power_law(2.5)(rng, n), lognormal(2, 1)(rng, n))


def power_law(alpha: float, start: int = 1) -> Draw:
    """A discrete power law from `start` on; with a start above 1, half of the values lie evenly below it."""

    def draw(rng: np.random.Generator, n: int) -> F64:
        if start == 1:
            return np.minimum(rng.zipf(alpha, n), 10**12).astype(np.float64)
        far = np.floor((start - 0.5) * (1 - rng.random(n)) ** (-1 / (alpha - 1)) + 0.5)
        return np.where(rng.random(n) < 0.5, rng.integers(1, start, n), np.minimum(far, 1e12))

    return draw


FALSE: Final[dict[str, Draw]] = {
    **{f"lognormal, mu 2, sigma {s:g}": lognormal(2, s) for s in (0.5, 1, 1.5, 2)},
    **{f"lognormal, mu 0, sigma {s:g}": lognormal(0, s) for s in (1, 2)},
    "three exponentials": mixture((3, 30, 300), (0.8, 0.17, 0.03)),
    "two lognormals": two_lognormals,
    "half power law, half lognormal": half_a_power_law,
    "stretched exponential, 0.4": lambda rng, n: whole(5 * rng.weibull(0.4, n)),
}
TRUE: Final[dict[str, Draw]] = {
    **{f"power law, alpha {a:g}": power_law(a) for a in (1.8, 2, 2.5)},
    **{f"power law above 10, alpha {a:g}": power_law(a, 10) for a in (2, 2.5)},
}


def cut_off(alpha: float, at: float, *, hard: bool = False) -> Draw:
    """A discrete power law from 1 on with an exponential cut-off, or with nothing beyond `at`."""
    k = np.arange(1, round(at) + 1 if hard else 100 * round(at) + 1, dtype=np.float64)
    mass = k**-alpha * (1.0 if hard else np.exp(-k / at))
    return lambda rng, n: rng.choice(k, n, p=mass / mass.sum())


CUT: Final[dict[str, Draw]] = {
    "alpha 2, cut-off at 200": cut_off(2, 200),
    "alpha 2, cut-off at 1,000": cut_off(2, 1000),
    "alpha 2, nothing beyond 500": cut_off(2, 500, hard=True),
}
"""Power laws that end: false from their end on, true up to it."""
WORDS: Final = ("power law", "power law not rejected", "power law rejected", "truncated", "heavy tailed")


def word(draw: Draw, n: int, seed: int) -> tuple[str, bool]:
    """Return the verdict on a sample, and whether its tail spans two decades."""
    rng = np.random.default_rng([seed, n])
    found = fit_tail(draw(rng, n), resampling=Resampling(gof=REPLICATES_OF_FIT, seed=seed))
    span = 0.0 if found.power is None else found.sample.values[-1] / found.power.xmin
    return found.verdict.word, bool(span >= LONG)


def upper(hits: int, n: int) -> float:
    """Return the one-sided upper 95 % bound of a rate."""
    return float(beta.ppf(0.95, hits + 1, n - hits)) if hits < n else 1.0


def row(name: str, draw: Draw, n: int, replicates: int) -> str:
    """Return one row of the table."""
    found = [word(draw, n, seed) for seed in range(replicates)]
    said = Counter(one for one, _ in found)
    hits, long = said["power law"], [one for one, spans in found if spans]
    cells = [name, f"{n:,}", *(f"{said[w] / replicates:.1%}" for w in WORDS)]
    cells.append(f"{(replicates - sum(said[w] for w in WORDS)) / replicates:.1%}")
    if name in FALSE or name in CUT:
        cells.append(f"below {upper(hits, replicates):.1%}")
    else:
        cells.append(f"{long.count('power law') / max(len(long), 1):.1%} of {len(long)}")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=250)
    parser.add_argument("--sizes", type=int, nargs="*", default=[500, 1000, 5000])
    parser.add_argument("--sample", nargs="*", default=[*FALSE, *CUT, *TRUE], choices=[*FALSE, *CUT, *TRUE])
    asked = parser.parse_args()
    head = ["sample", "n", *WORDS, "other", "power law: bound, or of those with two decades"]
    print(f"| {' | '.join(head)} |\n{'| --- ' * len(head)}|")
    started = time.process_time()
    for n in asked.sizes:
        for name in asked.sample:
            print(row(name, {**FALSE, **CUT, **TRUE}[name], n, asked.replicates), flush=True)
    print(f"<!-- {time.process_time() - started:.0f} s of CPU -->")


if __name__ == "__main__":
    main()
