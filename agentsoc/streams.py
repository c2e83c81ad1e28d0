"""Randomness: the only module that makes generators, all of them counter-based.

A draw is a function of the run's seed, a purpose and logical coordinates (task, round, agent, ...), never of what was
drawn before. So any host can make any draw, in any order, and a restarted run needs no generator state.

`stream` gives a NumPy generator for one place. `uniforms` gives one draw each for many places at once and is what
simulated populations use; `uniform` is the same function for one place.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

_M0: Final = 0xD2511F53
_M1: Final = 0xCD9E8D57
_W0: Final = 0x9E3779B9
_W1: Final = 0xBB67AE85
_LOW: Final = 0xFFFFFFFF
_ROUNDS: Final = 10
_UNIT: Final = 1.0 / 9007199254740992.0
"""By what the 53 bits of a draw are multiplied."""
_CHUNK: Final = 1 << 14  # elements worked on at a time, so that the temporaries stay in the L2 cache


def _digest(size: int, path: tuple[int | str, ...]) -> bytes:
    # most parts are whole numbers: to ask for the name of their type takes longer than to write it
    text = "\x1f".join([f"int:{part}" if type(part) is int else f"{type(part).__name__}:{part}" for part in path])
    return blake2b(text.encode(), digest_size=size, person=b"agentsoc-stream").digest()


def stream(seed: int, *path: int | str) -> np.random.Generator:
    """Return the generator that belongs to `path` in the run with `seed`.

    Equal arguments give equal generators in every process; different paths give independent ones (128-bit Philox
    keys from BLAKE2b).

    Args:
        seed: the run's seed.
        path: what the generator is for, as words and whole numbers: purpose, task, round, agent.
    """
    key = np.frombuffer(_digest(16, (seed, *path)), dtype="<u8")
    return np.random.Generator(np.random.Philox(key=key))


def seed_for(seed: int, *path: int | str) -> int:
    """Return a 31-bit seed for a model call at `path`: model servers take signed 32-bit seeds."""
    return int.from_bytes(_digest(4, (seed, *path)), "little") & 0x7FFFFFFF


@lru_cache(maxsize=4096)
def _key(seed: int, purpose: str) -> tuple[int, int]:
    raw = _digest(8, (seed, purpose))
    return int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:], "little")


@lru_cache(maxsize=4096)
def _round_keys(k0: int, k1: int) -> tuple[tuple[int, int], ...]:
    """Return the keys of all rounds of a block."""
    return tuple(((k0 + i * _W0) & _LOW, (k1 + i * _W1) & _LOW) for i in range(_ROUNDS))


@lru_cache(maxsize=4096)
def _keys(seed: int, purpose: str) -> tuple[tuple[int, int], ...]:
    return _round_keys(*_key(seed, purpose))


def _block(c0: int, c1: int, c2: int, c3: int, keys: tuple[tuple[int, int], ...]) -> tuple[int, int, int, int]:
    """Return what `philox` does, given the keys of all rounds: they are the same wherever the purpose is."""
    for k0, k1 in keys:
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2  # _M0 and _M1: constants are found faster than names
        c0 = (p1 >> 32) ^ c1 ^ k0
        c1 = p1 & 0xFFFFFFFF
        c2 = (p0 >> 32) ^ c3 ^ k1
        c3 = p0 & 0xFFFFFFFF
    return c0, c1, c2, c3


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return one Philox-4x32-10 block (Salmon, Moraes, Dror & Shaw, SC 2011) as four 32-bit words."""
    return _block(*counter, _round_keys(*key))


def uniform(seed: int, purpose: str, task: int, round_: int, agent: int, draw: int = 0) -> float:
    """Return the draw in [0, 1) that belongs to this place; equal to `uniforms` there.

    Args:
        seed: the run's seed.
        purpose: what the draw decides; different purposes are independent.
        task: index of the task.
        round_: round of the episode.
        agent: the agent, or any whole number that tells draws of the round apart.
        draw: number of the draw at this place, from 0.
    """
    a, b, c, d = _block(agent & _LOW, round_ & _LOW, task & _LOW, (draw >> 1) & _LOW, _keys(seed, purpose))
    if draw & 1:
        a, b = c, d
    return ((a >> 5) * 67108864.0 + (b >> 6)) * _UNIT


def uniform_pair(seed: int, purpose: str, task: int, round_: int, agent: int, block: int = 0) -> tuple[float, float]:
    """Return the draws 2 `block` and 2 `block` + 1 that belong to this place, for the price of one `uniform`."""
    a, b, c, d = _block(agent & _LOW, round_ & _LOW, task & _LOW, block & _LOW, _keys(seed, purpose))
    return ((a >> 5) * 67108864.0 + (b >> 6)) * _UNIT, ((c >> 5) * 67108864.0 + (d >> 6)) * _UNIT


def uniforms(
    seed: int, purpose: str, task: ArrayLike, round_: ArrayLike, agent: ArrayLike, draws: int = 1
) -> NDArray[np.float64]:
    """Return `draws` uniforms in [0, 1) for each place, shape (n_places, draws).

    Args:
        seed: the run's seed.
        purpose: what the draw decides; different purposes are independent.
        task: task index per place, broadcast with `round_` and `agent`.
        round_: round per place.
        agent: agent per place.
        draws: uniforms per place.
    """
    task_, round_array, agent_ = np.broadcast_arrays(
        np.asarray(task, dtype=np.uint64), np.asarray(round_, dtype=np.uint64), np.asarray(agent, dtype=np.uint64)
    )
    n = agent_.size
    out = np.empty((n, draws))
    k0, k1 = _key(seed, purpose)
    flat = [x.reshape(-1) for x in (agent_, round_array, task_)]
    n_blocks = (draws + 1) // 2
    rows, columns = max(1, _CHUNK // max(n_blocks, 1)), min(n_blocks, _CHUNK)  # few places may have many draws each
    for start in range(0, n, rows):
        part = slice(start, min(start + rows, n))
        places = [x[part] & np.uint64(_LOW) for x in flat]
        size = places[0].size
        for first in range(0, n_blocks, max(columns, 1)):
            blocks = np.arange(first, min(first + columns, n_blocks), dtype=np.uint64)
            c = [np.repeat(x, blocks.size) for x in places]
            words = _philox_vector(c[0], c[1], c[2], np.tile(blocks, size), k0, k1)
            stop = min(2 * (first + blocks.size), draws)
            out[part, 2 * first : stop : 2] = _to_unit(words[0], words[1]).reshape(size, -1)
            out[part, 2 * first + 1 : stop : 2] = _to_unit(words[2], words[3]).reshape(size, -1)[
                :, : draws // 2 - first
            ]
    return out


def _to_unit(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return 53-bit uniforms from pairs of 32-bit words."""
    return ((high >> np.uint64(5)) * 67108864.0 + (low >> np.uint64(6))) * _UNIT


def _philox_vector(
    c0: NDArray[np.uint64], c1: NDArray[np.uint64], c2: NDArray[np.uint64], c3: NDArray[np.uint64], k0: int, k1: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the four words of `philox` for arrays of counters (32-bit values held in 64-bit words)."""
    shift, mask = np.uint64(32), np.uint64(_LOW)
    m0, m1 = np.uint64(_M0), np.uint64(_M1)
    for _ in range(_ROUNDS):
        p0, p1 = c0 * m0, c2 * m1
        c0 = (p1 >> shift) ^ c1 ^ np.uint64(k0)
        c2 = (p0 >> shift) ^ c3 ^ np.uint64(k1)
        c1, c3 = p1 & mask, p0 & mask
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return c0, c1, c2, c3
