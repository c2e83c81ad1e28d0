"""This study asks when signs of slowing are seen: in systems that slow down, in systems that do not, and by chance.

Usage: python -m benchmarks.study_slowing [--replicates 200] [--seed 0] [--part NAME...] (about 5 minutes of one core).
Another seed gives series that were never seen. Series of 500 steps, windows of 250, a trend of 50 steps taken away, 500
surrogates of each kind. The tables are in docs/early-warning.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from analysis.slowing import recovery, watch_series, watch_sweep
from analysis.slowing.indicators import INDICATORS, kendall, rolling
from analysis.synergy.simulation.poll_rounds import Push, poll_rounds
from analysis.synergy.theory.recursion import alpha, critical_gamma

F64 = NDArray[np.float64]
STEPS: Final = 500
WINDOW: Final = 250
B: Final = 3
AGENTS: Final = 200
MANY: Final = 2000


def ar1(phi: float | F64, number: int, seed: int, steps: int = STEPS) -> F64:
    """Return AR(1) series; phi may change from step to step."""
    rng = np.random.default_rng([1, seed])
    course = np.broadcast_to(np.asarray(phi, dtype=np.float64), (steps,))
    if np.ndim(phi) == 0:
        shocks = rng.normal(size=(number, steps + 200))
        return np.asarray(lfilter([1.0], [1.0, -float(course[0])], shocks, axis=1)[:, 200:])
    x = np.empty((number, steps))
    x[:, 0] = rng.normal(size=number) / np.sqrt(1 - course[0] ** 2)
    for t in range(1, steps):
        x[:, t] = course[t] * x[:, t - 1] + rng.normal(size=number)
    return x


def fold(number: int, seed: int, steps: int = STEPS) -> F64:
    """Return x' = x + h (p + x - x^3) + noise on its upper branch, p falling until just before the fold.

    The fold is at p = -2 / sqrt(27) = -.385; p ends at -.36, where about one series in a hundred has tipped; those are
    drawn again.
    """
    rng, h = np.random.default_rng([2, seed]), 0.2
    kept: list[F64] = []
    course = np.linspace(0.6, -0.36, steps)
    while len(kept) < number:
        x, path = 1.24, np.empty(steps)
        shocks = 0.03 * rng.normal(size=steps)
        for t in range(steps):
            x += h * (course[t] + x - x**3) + shocks[t]
            path[t] = x
        if path.min() > 0.3:
            kept.append(path)
    return np.array(kept)


def switch(number: int, seed: int, steps: int = STEPS) -> F64:
    """Return noise around a state that is left at once after the last step, with nothing to prepare it."""
    return 1.24 + 0.05 * ar1(0.5, number, seed + 1000, steps)


def switched_inside(number: int, seed: int) -> F64:
    """Return the same with the jump inside of the series, at four fifths of it: no series to be watched."""
    x = switch(number, seed)
    x[:, 4 * STEPS // 5 :] -= 2.0
    return x


def flip(number: int, seed: int) -> F64:
    """Return agents who overreact more and more, x' = x exp(r (1 - x)), r from 1 to 1.95; at 2 the state flips."""
    rng = np.random.default_rng([3, seed])
    x, found = np.ones(number), np.empty((number, STEPS))
    for t, r in enumerate(np.linspace(1.0, 1.95, STEPS)):
        x = np.abs(x * np.exp(r * (1 - x)) + 0.02 * rng.normal(size=number))
        found[:, t] = x
    return found


def calmer(number: int, seed: int) -> F64:
    """Return the fold with noise that dies away fivefold meanwhile."""
    x, path, rng = np.empty(number), np.empty((number, STEPS)), np.random.default_rng([4, seed])
    x[:] = 1.24
    for t, (p, noise) in enumerate(zip(np.linspace(0.6, -0.36, STEPS), np.geomspace(0.03, 0.006, STEPS), strict=True)):
        x = x + 0.2 * (p + x - x**3) + noise * rng.normal(size=number)
        path[:, t] = x
    return path


def society(number: int, seed: int) -> F64:
    """Return the signal of a polling society whose messages get better until its state without a signal gives way."""
    top = float(critical_gamma(B, 0.0))
    return poll_rounds(np.linspace(0.1, 0.97, STEPS) * top, AGENTS, B, replicas=number, seed=seed)


SYSTEMS: Final[dict[str, Callable[[int, int], F64]]] = {
    "stationary, phi .5": lambda number, seed: ar1(0.5, number, seed),
    "stationary, phi .9": lambda number, seed: ar1(0.9, number, seed),
    "abrupt switch, watched up to it": switch,
    "abrupt switch inside of the series": switched_inside,
    "phi rising from .10 to .95": lambda number, seed: ar1(np.linspace(0.1, 0.95, STEPS), number, seed),
    "fold": fold,
    "society whose messages get better": society,
    "fold, noise dying away": calmer,
    "overreaction, up to a flip": flip,
}


def system_row(name: str, replicates: int, seed: int) -> str:
    """Return how often each indicator rises or falls beyond chance, and how often slowing is said."""
    series = SYSTEMS[name](replicates, seed)
    found = [watch_series(x, window=WINDOW, bandwidth=50, seed=seed + at) for at, x in enumerate(series)]
    cells = []
    for kind in INDICATORS:
        trends = np.array([one.sign(kind).trend for one in found])
        tau = np.median([one.sign(kind).tau for one in found])
        cells.append(f"{tau:+.2f}, {100 * np.mean(trends > 0):.1f} % up, {100 * np.mean(trends < 0):.1f} % down")
    slowing = 100 * np.mean([one.slowing for one in found])
    return f"| {name} | {replicates} | {' | '.join(cells)} | {slowing:.1f} % |"


def taus(number: int, seed: int) -> str:
    """Return what Kendall's tau of the lag-1 autocorrelation is without any test."""
    rising = kendall(rolling(ar1(np.linspace(0.1, 0.95, STEPS), number, seed + 7), WINDOW)[0])
    still = kendall(rolling(ar1(0.5, number, seed + 8), WINDOW)[0])
    low, high = np.quantile(still, (0.05, 0.95))
    return f"phi .10 to .95: median tau {np.median(rising):.3f}; stationary, phi .5: 5-95 % {low:+.2f} to {high:+.2f}"


def recovery_row(gamma_share: float, seed: int, replicas: int = 200) -> str:
    """Return recovery and -1 / ln phi of a society at a share of the critical fidelity, and of AR(1) from its noise."""
    gamma = gamma_share * float(critical_gamma(B, 0.0))
    phi = float(alpha(B, gamma, 0.0))
    push, rounds = Push(49, 0.05), np.full(90, gamma)
    seen = [poll_rounds(rounds, MANY, B, replicas=replicas, push=one, seed=seed + 5)[:, 49:] for one in (push, None)]
    back = recovery(*seen)
    noise = poll_rounds(np.full(5000, gamma), MANY, B, seed=seed + 6)[0, 100:]
    memory = float(np.corrcoef(noise[1:], noise[:-1])[0, 1])
    time = back.time
    return (
        f"| {phi:.2f} | {back.rate} | {memory:.3f} | {-1 / np.log(phi):.2f} | {'not told' if time is None else time} |"
    )


def sweep_row(shares: F64, replicates: int, first: int) -> str:
    """Return how often a sweep over fidelity shows slowing, and one over a constant fidelity does."""
    top = float(critical_gamma(B, 0.0))
    told = []
    for course in (shares, np.full(shares.size, 0.5)):
        found = []
        for seed in range(first, first + replicates):
            series = [
                poll_rounds(np.full(200, s * top), AGENTS, B, seed=100 * seed + i)[0] for i, s in enumerate(course)
            ]
            one = watch_sweep(np.arange(shares.size), series, seed=seed)
            found.append([one.sign("autocorrelation").trend > 0, one.sign("variance").trend > 0, one.slowing])
        told.append(" | ".join(f"{share:.0%}" for share in np.mean(found, axis=0)))
    return f"| {shares.size} values | {told[0]} | {told[1]} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=("taus", "systems", "recovery", "sweep"), nargs="+")
    given = parser.parse_args()
    parts = given.part or ["taus", "recovery", "systems", "sweep"]
    if "taus" in parts:
        print(taus(10 * given.replicates, given.seed), flush=True)
    if "recovery" in parts:
        print(
            "\n| phi | left after a step | memory of its noise | -1 / ln phi | recovery time |\n" + "| --- " * 5 + "|"
        )
        for share in (0.3, 0.6, 0.8, 0.9, 0.95):
            print(recovery_row(share, given.seed), flush=True)
    if "systems" in parts:
        print("\n| system | samples | autocorrelation | variance | skewness | slowing |\n" + "| --- " * 6 + "|")
        for name in SYSTEMS:
            still = name.startswith(("stationary", "abrupt"))
            print(system_row(name, given.replicates if still else given.replicates // 2, given.seed), flush=True)
    if "sweep" in parts:
        print(
            "\n| sweep | autocorrelation up | variance up | slowing | the same without change | | |\n"
            + "| --- " * 7
            + "|"
        )
        print(sweep_row(np.linspace(0.1, 0.97, 8), given.replicates // 4, given.seed), flush=True)


if __name__ == "__main__":
    main()
