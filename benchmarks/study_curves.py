"""This study asks how often planted breaks, power laws and logistics are told for what they are, and where curves go.

Usage: python -m benchmarks.study_curves [--replicates 100] [--seed 0] [--part breaks words] (about 30 minutes of one
core). Replicate i draws by number seed + i, so another seed of 100 or more gives samples that were never seen. Each
design has one value at each of 40 x over three decades unless it says otherwise, times a lognormal factor; d, slopes
and the side of the bend are drawn anew for each replicate. The tables are in docs/curves.md.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.curves import CurveLaw, fit_curve

F64 = NDArray[np.float64]
NOISE: Final = 0.05
POINTS: Final = 40
DECADES: Final = 3.0
FACTOR: Final = 1.3
SLOPE: Final = 0.05


@dataclass(frozen=True)
class Planted:
    """A planted curve, and values of it."""

    x: F64
    y: F64
    d: float
    slopes: tuple[float, float]
    parameters: tuple[float, float, float]
    """b, and the width of the break, and a."""

    def at(self, x: F64 | float) -> F64:
        """Return the curve itself."""
        return broken(np.asarray(x, dtype=np.float64), self.d, self.slopes, self.parameters)


def broken(x: F64, d: float, slopes: tuple[float, float], parameters: tuple[float, float, float]) -> F64:
    """Return a power law with one break, of these log-log slopes before and after it."""
    b, f, a = parameters
    with np.errstate(over="ignore"):
        return np.asarray(
            a + b * x ** slopes[0] * np.exp((slopes[1] - slopes[0]) * f * np.logaddexp(0, np.log(x / d) / f))
        )


def one_break(
    seed: int,
    *,
    points: int = POINTS,
    noise: float = NOISE,
    limit: float = 0.0,
    slopes: tuple[float, float] | None = None,
) -> Planted:
    """Return values of a curve with one break in the middle third of the decades, its slopes drawn .3 to 1 apart."""
    rng = np.random.default_rng([1, seed, points, round(1000 * noise)])
    x = np.geomspace(1, 10**DECADES, points)
    d = float(10 ** rng.uniform(DECADES / 3, 2 * DECADES / 3))
    first = float(rng.uniform(-1, 1))
    second = first + float(rng.choice([-1, 1])) * float(rng.uniform(0.3, 1.0))
    first, second = slopes or (first, second)
    parameters = (1.0, float(rng.uniform(0.05, 0.3)), limit)
    clean = broken(x, d, (first, second), parameters)
    return Planted(x, clean * np.exp(noise * rng.normal(size=points)), d, (first, second), parameters)


def plain(seed: int, *, points: int = POINTS, noise: float = NOISE, limit: float = 0.0) -> Planted:
    """Return values of a power law."""
    rng = np.random.default_rng([2, seed, points, round(1000 * noise)])
    x, slope = np.geomspace(1, 10**DECADES, points), float(rng.uniform(-1, 1))
    clean = broken(x, 1.0, (slope, slope), (1.0, 0.1, limit))
    return Planted(x, clean * np.exp(noise * rng.normal(size=points)), 1.0, (slope, slope), (1.0, 0.1, limit))


def logistic(seed: int, *, points: int = POINTS, noise: float = NOISE, floor: float = 0.0) -> tuple[F64, F64]:
    """Return x and values of a logistic in ln x, with its middle in the middle third of the decades."""
    rng = np.random.default_rng([3, seed, points, round(1000 * noise)])
    x, k = np.geomspace(1, 10**DECADES, points), float(rng.uniform(0.7, 2.5)) * float(rng.choice([-1, 1]))
    middle = float(10 ** rng.uniform(DECADES / 3, 2 * DECADES / 3))
    return x, (floor + 0.8 / (1 + (x / middle) ** -k)) * np.exp(noise * rng.normal(size=points))


def recovered(law: CurveLaw, planted: Planted) -> tuple[bool, bool, bool]:
    """Return whether one break is reported, d is within a factor of 1.3, and both slopes are within .05."""
    if not law.reported or len(law.breaks) != 1:
        return False, False, False
    near = max(law.breaks[0].at.value / planted.d, planted.d / law.breaks[0].at.value) <= FACTOR
    steep = all(abs(one.value - true) <= SLOPE for one, true in zip(law.slopes, planted.slopes, strict=True))
    return True, near, steep


def octave(law: CurveLaw, planted: Planted) -> tuple[float, float, bool]:
    """Return the error of ln y one octave beyond the data, that of a single power law, and whether y is covered."""
    at = 2 * float(planted.x[-1])
    true = float(planted.at(at))
    slope, level = np.polyfit(np.log(planted.x), np.log(planted.y), 1)
    told = law.predict(at)[0]
    return abs(np.log(told.value / true)), abs(level + slope * np.log(at) - np.log(true)), told.covers(true)


def percent(share: float) -> str:
    """Return a share as the page writes it."""
    return f"{100 * share:.0f} %"


def break_row(
    name: str, seeds: range, *, points: int = POINTS, noise: float = NOISE, slopes: tuple[float, float] | None = None
) -> str:
    """Return how often planted breaks are found, and their intervals hold."""
    seen, ends, covered = [], [], []
    for seed in seeds:
        planted = one_break(seed, points=points, noise=noise, slopes=slopes)
        law = fit_curve(planted.x, planted.y, seed=seed)
        seen.append(recovered(law, planted))
        ends.append(octave(law, planted))
        if seen[-1][0]:
            steep = [one.covers(true) for one, true in zip(law.slopes, planted.slopes, strict=True)]
            covered.append((law.breaks[0].at.covers(planted.d), *steep))
    told, near, sloped = np.mean(seen, axis=0)
    both = np.mean([a and b for _, a, b in seen])
    own, single, held = np.array(ends, dtype=float).T
    cells = [f"{len(seeds)}", *(percent(float(share)) for share in (told, near, sloped, both))]
    cells += [percent(float(share)) for share in np.mean(covered, axis=0)] if covered else ["-"] * 3
    cells += [
        f"{np.median(own):.3f}",
        f"{np.median(single):.3f}",
        percent(float(np.mean(own < single))),
        percent(float(np.mean(held))),
    ]
    return f"| {name} | {' | '.join(cells)} |"


def word_row(name: str, laws: list[CurveLaw]) -> str:
    """Return how often each word is said."""
    words = ("constant", "power law", "power law with a limit", "logistic", "broken power law", "bends")
    shares = [percent(float(np.mean([one.word == word for one in laws]))) for word in words]
    return f"| {name} | {len(laws)} | {' | '.join(shares)} |"


def breaks_table(seeds: range) -> None:
    """Print how often planted breaks are found."""
    heads = "samples | reported | d | slopes | both | d held | slope 1 | slope 2 | error | power's | better | held"
    print(f"| one break | {heads} |")
    print("| --- " * 13 + "|")
    for slopes in ((-0.2, -0.8), (-0.8, -0.2), (0.8, 0.3)):
        print(break_row(f"slopes {slopes[0]:g}, {slopes[1]:g}; 40 x, 5 %", seeds, slopes=slopes), flush=True)
    print(break_row("slopes drawn; 12 x, 5 %", seeds, points=12), flush=True)
    print(break_row("slopes drawn; 40 x, 5 %", seeds), flush=True)
    print(break_row("slopes drawn; 40 x, 10 %", seeds, noise=0.1), flush=True)


def words_table(seeds: range) -> None:
    """Print what curves of every kind are called."""
    print(
        "| planted | samples | constant | power law | with a limit | logistic | broken | bends |\n" + "| --- " * 8 + "|"
    )
    for points, noise in ((40, 0.05), (12, 0.05)):
        name = f"{points} x, {noise:.0%}"
        powers = [plain(seed, points=points, noise=noise) for seed in seeds]
        laws = [fit_curve(one.x, one.y, seed=seed, draws=100) for seed, one in zip(seeds, powers, strict=True)]
        held = [octave(law, one)[2] for law, one in zip(laws, powers, strict=True)]
        print(word_row(f"power law, {name}", laws) + f" octave beyond held in {np.mean(held):.0%}", flush=True)
        for floor in (0.0, 0.25):
            curves = [logistic(seed, points=points, noise=noise, floor=floor) for seed in seeds]
            found = [fit_curve(x, y, draws=20) for x, y in curves]
            print(word_row(f"logistic from {floor:g}, {name}", found), flush=True)
        limited = [plain(seed, points=points, noise=noise, limit=0.1) for seed in seeds]
        found = [fit_curve(one.x, one.y, draws=20) for one in limited]
        print(word_row(f"power law and 0.1, {name}", found), flush=True)
        flat = [np.exp(noise * np.random.default_rng([4, seed]).normal(size=points)) for seed in seeds]
        found = [fit_curve(powers[0].x, y, draws=20) for y in flat]
        print(word_row(f"constant, {name}", found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="number of the first replicate")
    parser.add_argument("--part", choices=("breaks", "words"), nargs="+", default=("breaks", "words"))
    given = parser.parse_args()
    for part in given.part:
        (breaks_table if part == "breaks" else words_table)(range(given.seed, given.seed + given.replicates))


if __name__ == "__main__":
    main()
