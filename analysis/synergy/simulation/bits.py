"""This module holds votes as bits: 64 independent replicas of a simulation in each 64-bit word, in plain numpy.

Bit r of every word belongs to replica r. A set bit is a right vote.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from analysis.synergy.theory.arrays import BoolArray

Words: TypeAlias = NDArray[np.uint64]

ALL: Final = np.uint64(0xFFFFFFFFFFFFFFFF)
_TOGETHER: Final = 8  # digits drawn for all words; after them few words have an undecided bit
_CHUNK: Final = 1 << 15  # words worked on at a time, so that the temporaries stay in the cache


def binary_digits(p: float) -> BoolArray:
    """Return the binary digits of p after the point, exact for any float64 in [0, 1); none for 0 and 1."""
    digits = []
    while 0 < p < 1:
        p *= 2
        digits.append(p >= 1)
        p -= digits[-1]
    return np.array(digits, dtype=np.bool_)


def random_words(rng: np.random.Generator, n: int) -> Words:
    """Return n words of independent fair bits."""
    return rng.integers(0, 1 << 64, n, dtype=np.uint64)


def bernoulli(rng: np.random.Generator, p: float, n: int) -> Words:
    """Return n words whose bits are independently set with probability p, exactly (p is a float64).

    Random bits are compared with the digits of p, first digit first, until every bit is decided: about 10 random words
    for one word of draws.
    """
    if p >= 1:
        return np.full(n, ALL)
    out = np.zeros(n, dtype=np.uint64)
    digits = binary_digits(p)
    for start in range(0, n if digits.size else 0, _CHUNK):
        part = out[start : start + _CHUNK]
        undecided = np.full(part.size, ALL)
        for one in digits[:_TOGETHER]:
            _compare(part, undecided, random_words(rng, part.size), bool(one))
        open_ = np.flatnonzero(undecided)
        found, undecided = part[open_], undecided[open_]
        for one in digits[_TOGETHER:]:
            if open_.size == 0:
                break
            _compare(found, undecided, random_words(rng, open_.size), bool(one))
            part[open_] = found
            left = undecided != 0
            open_, found, undecided = open_[left], found[left], undecided[left]
    return out


def _compare(found: Words, undecided: Words, word: Words, one: bool) -> None:
    """Decide the bits whose random digit differs from this digit of p; changes `found` and `undecided`."""
    if one:
        found |= undecided & ~word
        undecided &= word
    else:
        undecided &= ~word


def majority(votes: Words) -> Words:
    """Return the majority of an odd number of votes on the first axis.

    Right votes are counted in bit planes by ripple-carry, from 2^k - (b + 1)/2 on, so that the carry out of the top
    plane is the majority.
    """
    b = votes.shape[0]
    threshold = (b + 1) // 2
    planes = max((threshold - 1).bit_length(), 1)
    start = (1 << planes) - threshold
    counter = [np.full(votes.shape[1:], ALL if (start >> k) & 1 else np.uint64(0)) for k in range(planes)]
    won = np.zeros(votes.shape[1:], dtype=np.uint64)
    for vote in votes:
        carry = vote
        for plane in counter:
            both = plane & carry
            plane ^= carry
            carry = both
        won |= carry
    return won


def choose(mask: Words, when_set: Words, otherwise: Words) -> Words:
    """Return the bits of `when_set` where `mask` is set, else those of `otherwise`."""
    return otherwise ^ (mask & (when_set ^ otherwise))


def ones(words: Words, replicas: int) -> int:
    """Return how many of the first `replicas` bits, word by word, are set."""
    whole, rest = divmod(replicas, 64)
    total = int(np.bitwise_count(words[:whole]).sum())
    if rest:
        total += int(np.bitwise_count(words[whole] & np.uint64((1 << rest) - 1)))
    return total
