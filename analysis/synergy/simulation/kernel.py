"""This module is a compiled kernel for whole trees of votes, 64 independent replicas in every word; it imports numba.

Bit r of every word belongs to replica r, and a block of `LANES` words is worked on at once, so that the inner loops
become vector instructions. One vote costs about 12 random words per 64 x `LANES` replicas:

* Bernoulli(p) for all bits at once: compare random bits with the binary digits of p, first digit first, until every
  bit is decided. Exact for the float64 p.
* A node counts right votes in bit planes by ripple-carry. The counter starts at 2^k - (b + 1)/2, so that the carry out
  of the top plane is the majority.
* Locked replicas take the message of the first child.

The word generator is xoshiro256++ (Blackman & Vigna, ACM Trans. Math. Softw. 47, 2021), one per lane; the caller
seeds each with 256 bits from the project's own streams.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

LANES: Final = 32
"""Words worked on at once; a block is 64 x LANES replicas."""

Words = NDArray[np.uint64]
Function = TypeVar("Function", bound=Callable[..., Any])


def _compile(function: Function) -> Function:
    """Return the function compiled by numba on its first call, under the type it was written with."""
    return cast(Function, numba.njit(nogil=True)(function))


@_compile
def _draw(state: Words, digits: NDArray[np.bool_], inverted: np.uint64, out: Words, open_: Words) -> None:
    """Fill `out` with Bernoulli bits whose probability has the binary `digits` (after the point), then invert them.

    `inverted` is a word of ones for the probability 1, which is no digit and all failures inverted, otherwise 0.
    """
    zero = np.uint64(0)
    for v in range(out.size):
        out[v] = zero
        open_[v] = ~zero
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    for i in range(digits.size):
        one = ~zero if digits[i] else zero
        left = zero
        for v in range(out.size):
            total = s0[v] + s3[v]
            word = ((total << np.uint64(23)) | (total >> np.uint64(41))) + s0[v]
            shifted = s1[v] << np.uint64(17)
            s2[v] ^= s0[v]
            s3[v] ^= s1[v]
            s1[v] ^= s2[v]
            s0[v] ^= s3[v]
            s2[v] ^= shifted
            s3[v] = (s3[v] << np.uint64(45)) | (s3[v] >> np.uint64(19))
            # A random digit below the digit of p decides for success, one above it for failure.
            out[v] |= open_[v] & one & ~word
            open_[v] &= ~(word ^ one)
            left |= open_[v]
        if left == zero:
            break
    for v in range(out.size):
        out[v] ^= inverted


@_compile
def _ones(word: np.uint64) -> np.uint64:
    """Return the number of ones in a word."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


@_compile
def _clear(counter: Words, start: int) -> None:
    """Set the counter of every replica to `start`, plane k holding bit k."""
    for k in range(counter.shape[0]):
        word = ~np.uint64(0) if (start >> k) & 1 else np.uint64(0)
        for v in range(counter.shape[1]):
            counter[k, v] = word


@_compile
def _count(counter: Words, carry: Words) -> None:
    """Add one bit to the counter of every replica by ripple-carry; `carry` holds the bits, and is changed."""
    top = counter.shape[0] - 1
    for k in range(top):
        for v in range(carry.size):
            both = counter[k, v] & carry[v]
            counter[k, v] ^= carry[v]
            carry[v] = both
    for v in range(carry.size):
        counter[top, v] |= carry[v]


@_compile
def _choose(locked: Words, first: Words, other: Words, out: Words) -> None:
    """Fill `out` with `first` where a node is locked, and with `other` where it is not."""
    for v in range(out.size):
        out[v] = (locked[v] & first[v]) | (~locked[v] & other[v])


@_compile
def right_roots(
    state: Words,
    b: int,
    depth: int,
    blocks: int,
    leaf: NDArray[np.bool_],
    flip: NDArray[np.bool_],
    lock: NDArray[np.bool_],
    always: int,
    before_channel: bool,
) -> int:
    """Return how many of blocks x LANES x 64 trees end with a right answer.

    `state`, shape (4, LANES), holds the seeds of the generators and is changed. `b` is the odd fan-in, `depth` the
    levels above the leaves. `leaf`, `flip` and `lock` are binary digits of the probabilities that a leaf is right, an
    edge flips a vote, a node is locked; the bits 1, 2 and 4 of `always` stand for probability 1. The shared draw
    happens before the channel if `before_channel`, otherwise after it.
    """
    lanes, planes = state.shape[1], 1
    while (1 << planes) < (b + 1) // 2:
        planes += 1
    counters = np.zeros((depth + 1, planes + 1, lanes), dtype=np.uint64)
    first, locked = np.zeros((depth + 1, lanes), dtype=np.uint64), np.zeros((depth + 1, lanes), dtype=np.uint64)
    children = np.zeros(depth + 1, dtype=np.int64)
    vote, error = np.zeros(lanes, dtype=np.uint64), np.zeros(lanes, dtype=np.uint64)
    read, open_ = np.zeros(lanes, dtype=np.uint64), np.zeros(lanes, dtype=np.uint64)
    zero, full = np.uint64(0), ~np.uint64(0)
    leaf_inverted, flip_inverted, lock_inverted = (
        full if always & 1 else zero, full if always & 2 else zero, full if always & 4 else zero,
    )  # fmt: skip
    right = 0
    for _ in range(blocks):
        for _ in range(b**depth):
            _draw(state, leaf, leaf_inverted, vote, open_)
            level = 0
            while level < depth:
                mine, head, shut = counters[level], first[level], locked[level]
                _draw(state, flip, flip_inverted, error, open_)
                if children[level] == 0:
                    _clear(mine, (1 << planes) - (b + 1) // 2)
                    _draw(state, lock, lock_inverted, shut, open_)
                    for v in range(lanes):
                        head[v] = vote[v] if before_channel else vote[v] ^ error[v]
                if before_channel:
                    _choose(shut, head, vote, vote)
                for v in range(lanes):
                    read[v] = vote[v] ^ error[v]
                _count(mine, read)
                children[level] += 1
                if children[level] < b:
                    break
                children[level] = 0
                for v in range(lanes):
                    vote[v] = mine[planes, v]
                if not before_channel:
                    _choose(shut, head, vote, vote)
                level += 1
        for v in range(lanes):
            right += int(_ones(vote[v]))
    return right
