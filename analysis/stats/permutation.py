"""This module tests a paired difference by flipping signs of whole tasks, and has Holm's correction for several tests.

If two organisations do not differ, their names can be swapped on any task, all seeds of it together, and the data are
as likely. So the sum of the differences is compared with its values under all 2^T swaps. That is exact for any number
of tasks where sums are whole numbers (right or wrong answers), by enumeration for few tasks, and by random swaps
otherwise. Tasks that tie do not matter.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from agentsoc.streams import stream
from analysis.interval import FloatArray

_ENUMERATED: Final = 14
_WIDEST: Final = 1 << 17
_SMALLEST: Final = 1e-12  # resolution of the transform
_BLOCK: Final = 1 << 21
_DRAWN: Final = 400_000_000  # signs of tasks that are drawn at most for a smaller p

Test = Literal["exact", "random swaps"]


def sign_flip_p(totals: FloatArray, *, replicates: int = 10_000, seed: int = 0) -> tuple[float, Test]:
    """Return the two-sided p of "no difference" and how it was computed.

    Args:
        totals: sum of the paired differences of each task, shape (n_tasks,).
        replicates: random swaps where the test is not exact; p is then (1 + hits) / (1 + replicates), never 0.
        seed: root of the randomness.
    """
    moved = np.abs(totals[totals != 0])
    if moved.size == 0:
        return 1.0, "exact"
    seen = abs(float(totals.sum()))
    whole = np.rint(moved)
    if np.all(np.abs(moved - whole) < 1e-9) and whole.sum() < _WIDEST:
        return _whole_numbers(whole.astype(np.int64), round(seen)), "exact"
    slack = 1e-9 * float(moved.sum())
    if moved.size <= _ENUMERATED:
        codes = np.arange(1 << moved.size)[:, None] >> np.arange(moved.size) & 1
        return float(np.mean(np.abs((1 - 2 * codes) @ moved) >= seen - slack)), "exact"
    rng = stream(seed, "stats", "sign-flip")
    block = max(1, _BLOCK // moved.size)
    hits = 0
    for first in range(0, replicates, block):
        n = min(block, replicates - first)
        bits = np.unpackbits(rng.integers(256, size=(n, -(-moved.size // 8)), dtype=np.uint8), axis=1)
        sums = moved.sum() - 2.0 * (bits[:, : moved.size].astype(np.float32) @ moved.astype(np.float32))
        hits += int(np.count_nonzero(np.abs(sums) >= seen - max(slack, 1e-6 * float(moved.sum()))))
    return (1 + hits) / (1 + replicates), "random swaps"


def most_swaps(n_tasks: int) -> int:
    """Return how many random swaps `smaller_p` makes of so many tasks (about two seconds of a core)."""
    return max(_DRAWN // max(n_tasks, 1), 1)


def smaller_p(totals: FloatArray, p: float, *, replicates: int, seed: int = 0) -> float:
    """Return a p of random swaps that none of them reached, by as many more swaps as can be made in bounded time.

    Any other p is returned as it is. That keeps the test: a p that comes out small here was the smallest before.

    Args:
        totals: as for `sign_flip_p`.
        p: what that gave.
        replicates: swaps that it made.
        seed: root of the randomness.
    """
    most = most_swaps(int(np.count_nonzero(totals)))
    if p > 1.5 / (1 + replicates) or most <= replicates:
        return p
    return sign_flip_p(totals, replicates=most, seed=seed)[0]


def _whole_numbers(steps: np.ndarray[tuple[int], np.dtype[np.int64]], seen: int) -> float:
    """Return P(|sum of +-steps| >= seen), exactly, from the characteristic function prod cos(theta s)."""
    reach = int(steps.sum())
    if seen == 0:
        return 1.0
    sizes, often = np.unique(steps, return_counts=True)
    n = 2 * reach + 1
    angle = 2 * np.pi * np.arange(n) / n
    transform = np.ones(n)
    for size, count in zip(sizes, often, strict=True):
        transform *= np.cos(angle * size) ** count
    mass = np.fft.fft(transform).real / n  # mass[j] = P(sum = j), negative sums at the end
    p = 2.0 * float(mass[seen : reach + 1].sum())
    return min(1.0, max(p, 2.0 ** (1 - min(steps.size, 1000)), _SMALLEST))


def holm(p: FloatArray) -> FloatArray:
    """Return Holm's adjusted p values in the order given (Scandinavian Journal of Statistics 6, 1979).

    Rejecting where the adjusted value is at most alpha keeps the probability of any false alarm at most alpha,
    whatever the dependence between the tests.
    """
    order = np.argsort(p, kind="stable")
    scaled = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    out = np.empty(p.size)
    out[order] = np.minimum(scaled, 1.0)
    return out
