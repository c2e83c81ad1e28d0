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
def _draw(state: Words, digits: NDArray[np.bool_], out: Words, open_: Words) -> None:
    """Fill `out` with Bernoulli bits whose probability has the binary `digits` (after the point); 1 as no digit."""
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
            return


@_compile
def _ones(word: np.uint64) -> np.uint64:
    """Return the number of ones in a word."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


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

    Args:
        state: shape (4, LANES), seeds of the generators; changed.
        b: fan-in, odd.
        depth: levels above the leaves.
        blocks: blocks of trees.
        leaf: binary digits of the probability that a leaf is right.
        flip: of the probability that an edge flips a vote.
        lock: of the probability that a node is locked.
        always: bit mask of the draws with probability 1: 1 leaf, 2 flip, 4 lock.
        before_channel: whether the shared draw happens before the channel.
    """
    lanes = state.shape[1]
    zero, full = np.uint64(0), ~np.uint64(0)
    planes = 1
    while (1 << planes) < (b + 1) // 2:
        planes += 1
    start = (1 << planes) - (b + 1) // 2
    count = np.zeros((depth + 1, planes + 1, lanes), dtype=np.uint64)
    first = np.zeros((depth + 1, lanes), dtype=np.uint64)
    locked = np.zeros((depth + 1, lanes), dtype=np.uint64)
    child = np.zeros(depth + 1, dtype=np.int64)
    vote, error, carry, open_ = (
        np.zeros(lanes, dtype=np.uint64),
        np.zeros(lanes, dtype=np.uint64),
        np.zeros(lanes, dtype=np.uint64),
        np.zeros(lanes, dtype=np.uint64),
    )
    leaf_inverted = full if always & 1 else zero
    flip_inverted = full if always & 2 else zero
    lock_inverted = full if always & 4 else zero
    n_leaves = b**depth
    right = 0
    for _ in range(blocks):
        for _ in range(n_leaves):
            _draw(state, leaf, vote, open_)
            for v in range(lanes):
                vote[v] ^= leaf_inverted
            level = 0
            while level < depth:
                mine, head, shut = count[level], first[level], locked[level]
                _draw(state, flip, error, open_)
                if child[level] == 0:
                    for k in range(planes + 1):
                        word = full if (start >> k) & 1 else zero
                        for v in range(lanes):
                            mine[k, v] = word
                    _draw(state, lock, shut, open_)
                    for v in range(lanes):
                        shut[v] ^= lock_inverted
                        head[v] = vote[v] if before_channel else vote[v] ^ error[v] ^ flip_inverted
                if before_channel:
                    for v in range(lanes):
                        sent = (shut[v] & head[v]) | (~shut[v] & vote[v])
                        carry[v] = sent ^ error[v] ^ flip_inverted
                else:
                    for v in range(lanes):
                        carry[v] = vote[v] ^ error[v] ^ flip_inverted
                for k in range(planes):
                    for v in range(lanes):
                        both = mine[k, v] & carry[v]
                        mine[k, v] ^= carry[v]
                        carry[v] = both
                for v in range(lanes):
                    mine[planes, v] |= carry[v]
                child[level] += 1
                if child[level] < b:
                    break
                child[level] = 0
                if before_channel:
                    for v in range(lanes):
                        vote[v] = mine[planes, v]
                else:
                    for v in range(lanes):
                        vote[v] = (shut[v] & head[v]) | (~shut[v] & mine[planes, v])
                level += 1
        for v in range(lanes):
            right += int(_ones(vote[v]))
    return right
