"""This module draws votes of trees, stars, chains, electorates, rings and polls, to check the theory by.

Every draw that the theory names is made: the leaf's vote, the flip on each edge, the lock of each node. Randomness
comes from the project's streams: equal arguments give equal results. Engine ``numpy`` needs nothing else; ``numba`` is
a compiled kernel, several times faster after a few seconds of compilation, and draws other numbers of the same law.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Final, Literal

import numpy as np
from scipy.special import ndtri

from agentsoc.errors import InputError, MissingExtraError
from agentsoc.streams import stream
from analysis.synergy.simulation.bits import Words, bernoulli, binary_digits, choose, majority, ones
from analysis.synergy.theory.arrays import counts, fraction, signal
from analysis.synergy.theory.recursion import Lock, is_before_channel
from analysis.synergy.theory.shapes import Shape, latent_correlation

Engine = Literal["numpy", "numba"]
"""What draws the votes of a tree with a lock."""

_WORDS: Final = 1 << 14  # words of leaves worked on at a time
_UNPACKED: Final = 1 << 20  # votes worked on at a time where they are not bits


@dataclass(frozen=True)
class VoteEstimate:
    """The object is the mean of simulated answers, each +1 or -1."""

    mu: float
    """Mean answer, the estimate of the signal."""
    replicas: int
    """Independent answers."""

    @property
    def se(self) -> float:
        """Standard error of `mu`."""
        return sqrt(max(1 - self.mu**2, 0.0) / self.replicas)

    def z(self, expected: float) -> float:
        """Return (mu - expected) in the standard errors that `expected` implies; 0 if both are +1 or both -1."""
        spread = sqrt(max(1 - expected**2, 0.0) / self.replicas)
        if spread == 0:
            return 0.0 if self.mu == expected else float("inf")
        return (self.mu - expected) / spread


@dataclass(frozen=True)
class Drawing:
    """How the votes of a tree are drawn."""

    lock: Lock = "after_channel"
    """Place of the shared draw."""
    shape: Shape = "lock"
    """Form of the correlation: the lock at any depth, ``beta_binomial`` at any depth (as a Polya urn, much slower),
    ``gauss_factor`` for one level."""
    engine: Engine = "numpy"
    """What computes them: ``numpy`` or ``numba``; the lock only."""


USUAL_DRAWING: Final = Drawing()


def simulate_tree(
    mu0: float,
    b: int,
    gamma: float,
    rho: float,
    depth: int,
    replicas: int,
    *,
    seed: int,
    drawing: Drawing = USUAL_DRAWING,
) -> VoteEstimate:
    """Return the mean answer of `replicas` independent trees, the counterpart of `trajectory(...)[depth]`.

    Args:
        mu0: signal of a leaf.
        b: fan-in, odd.
        gamma: fidelity of a message.
        rho: correlation of the votes that a node receives.
        depth: levels above the leaves; 0 is a leaf alone.
        replicas: number of trees, at least 1.
        seed: root of all randomness.
        drawing: place of the shared draw, form of the correlation, and what computes the votes.
    """
    _check(mu0, gamma, rho, replicas, counts_of={"b": b, "depth": depth + 1})
    if b % 2 == 0:
        raise InputError(f"simulated fan-ins must be odd, got b={b}", "", "an even fan-in votes like b - 1")
    before, shape = is_before_channel(drawing.lock, drawing.shape), drawing.shape
    if shape == "beta_binomial":
        return VoteEstimate(_urn_tree(mu0, b, gamma, rho, depth, replicas, seed), replicas)
    if shape == "gauss_factor":
        if depth != 1:
            raise InputError(f"the Gaussian factor is simulated for one level only, got depth={depth}")
        return VoteEstimate(_gauss_star(mu0, b, gamma, rho, replicas, seed), replicas)
    if drawing.engine == "numba":
        return _compiled_tree(mu0, b, gamma, rho, depth, replicas, seed, before)
    rng = stream(seed, "phase", "tree")
    n_leaves = b**depth
    right = 0
    for words, wanted in _portions(replicas, n_leaves):
        vote = bernoulli(rng, (1 + mu0) / 2, n_leaves * words)
        for level in range(depth):
            nodes = b ** (depth - level - 1)
            vote = _node(rng, vote.reshape(b, nodes * words), gamma, rho, before)
        right += ones(vote, wanted)
    return VoteEstimate(2 * right / replicas - 1, replicas)


def _node(rng: np.random.Generator, sent: Words, gamma: float, rho: float, before: bool) -> Words:
    """Return the votes of nodes whose children's votes are on the first axis of `sent`."""
    b, width = sent.shape
    locked = bernoulli(rng, rho, width)
    if before:
        sent = choose(locked, sent[0], sent)
    received = sent ^ bernoulli(rng, (1 - gamma) / 2, b * width).reshape(b, width)
    return majority(received) if before else choose(locked, received[0], majority(received))


def _portions(replicas: int, votes: int) -> Iterator[tuple[int, int]]:
    """Yield (words, replicas wanted) so that about `_WORDS` words of votes are worked on at a time."""
    words = max(_WORDS // votes, 1)
    for start in range(0, replicas, 64 * words):
        wanted = min(64 * words, replicas - start)
        yield -(-wanted // 64), wanted


def _compiled_tree(
    mu0: float, b: int, gamma: float, rho: float, depth: int, replicas: int, seed: int, before: bool
) -> VoteEstimate:
    """Run the kernel; whole blocks of trees, so `replicas` is rounded up and the estimate says what was drawn."""
    try:
        from analysis.synergy.simulation.kernel import (  # compiled code: only who asks for it pays for its import
            LANES,
            right_roots,
        )
    except ImportError as error:
        raise MissingExtraError('engine="numba"', "numba", "analysis") from error
    block = 64 * LANES
    blocks = -(-replicas // block)
    state = stream(seed, "phase", "kernel").integers(0, 1 << 64, (4, LANES), dtype=np.uint64)
    chances = ((1 + mu0) / 2, (1 - gamma) / 2, rho)
    always = sum(1 << i for i, p in enumerate(chances) if p >= 1)
    leaf, flip, locked = (binary_digits(p) for p in chances)
    right = right_roots(state, b, depth, blocks, leaf, flip, locked, always, before)
    return VoteEstimate(2 * int(right) / (blocks * block) - 1, blocks * block)


def _urn_tree(mu0: float, b: int, gamma: float, rho: float, depth: int, replicas: int, seed: int) -> float:
    """Return the mean answer of trees whose nodes read through a Polya urn.

    Vote i + 1 that a node reads copies one of the i before it with probability i rho / (1 - rho + i rho): the number of
    right votes is then beta-binomial with intraclass correlation rho.
    """
    rng = stream(seed, "phase", "urn")
    n_leaves = b**depth
    chunk = max(_UNPACKED // n_leaves, 1)
    total = 0
    for start in range(0, replicas, chunk):
        trees = min(chunk, replicas - start)
        vote = rng.random((n_leaves, trees)) < (1 + mu0) / 2
        for level in range(depth):
            received = vote.reshape(b, b ** (depth - level - 1), trees)
            received = received ^ (rng.random(received.shape) < (1 - gamma) / 2)
            seen = received[0].astype(np.int64)
            for i in range(1, b):
                copies = rng.random(seen.shape) < i * rho / (1 - rho + i * rho) if rho > 0 else False
                seen += np.where(copies, rng.random(seen.shape) * i < seen, received[i])
            vote = seen > b // 2
        total += int(vote.sum())
    return 2 * total / replicas - 1


def _gauss_star(mu0: float, b: int, gamma: float, rho: float, replicas: int, seed: int) -> float:
    """Return the mean majority of b votes that share one Gaussian factor; latent correlation sin(pi rho / 2)."""
    rng = stream(seed, "phase", "gauss")
    latent = float(latent_correlation(rho))
    threshold = float(ndtri((1 + gamma * mu0) / 2))
    chunk = max(_UNPACKED // b, 1)
    total = 0
    for start in range(0, replicas, chunk):
        n = min(chunk, replicas - start)
        common = sqrt(latent) * rng.standard_normal(n)
        votes = common + sqrt(1 - latent) * rng.standard_normal((b, n)) <= threshold
        total += int((votes.sum(axis=0) > b // 2).sum())
    return 2 * total / replicas - 1


def simulate_star(
    mu0: float,
    n: int,
    gamma: float,
    rho: float,
    replicas: int,
    *,
    seed: int,
    drawing: Drawing = USUAL_DRAWING,
) -> VoteEstimate:
    """Return the mean answer of stars with n leaves (odd): a tree of one level."""
    return simulate_tree(mu0, n, gamma, rho, 1, replicas, seed=seed, drawing=drawing)


def simulate_chain(mu0: float, gamma: float, own: float, hops: int, replicas: int, *, seed: int) -> VoteEstimate:
    """Return the mean answer at the end of binary chains without tallies, the counterpart of `chain_trajectory`.

    Each agent draws its own vote and gives it with probability `own`, else it passes on what it received.
    """
    _check(mu0, gamma, own, replicas, counts_of={"hops": hops + 1})
    rng = stream(seed, "phase", "chain")
    right = 0
    for words, wanted in _portions(replicas, 1):
        vote = bernoulli(rng, (1 + mu0) / 2, words)
        for _ in range(hops):
            received = vote ^ bernoulli(rng, (1 - gamma) / 2, words)
            vote = choose(bernoulli(rng, own, words), bernoulli(rng, (1 + mu0) / 2, words), received)
        right += ones(vote, wanted)
    return VoteEstimate(2 * right / replicas - 1, replicas)


def simulate_full_vote(mu0: float, n: int, gamma: float, rho: float, replicas: int, *, seed: int) -> VoteEstimate:
    """Return the mean answer of an agent that counts its own vote and n - 1 received ones: `full_vote`."""
    _check(mu0, gamma, rho, replicas, counts_of={"n": n})
    if n % 2 == 0:
        raise InputError(f"full votes need an odd number of agents, got n={n}")
    rng = stream(seed, "phase", "full")
    right = 0
    for words, wanted in _portions(replicas, n):
        vote = bernoulli(rng, (1 + mu0) / 2, n * words).reshape(n, words)
        if n > 1:
            received = vote[1:] ^ bernoulli(rng, (1 - gamma) / 2, (n - 1) * words).reshape(n - 1, words)
            vote[1:] = choose(bernoulli(rng, rho, words), received[0], received)
        right += ones(majority(vote), wanted)
    return VoteEstimate(2 * right / replicas - 1, replicas)


def simulate_ring(mu0: float, n: int, gamma: float, rounds: int, replicas: int, *, seed: int) -> VoteEstimate:
    """Return the mean answer of an agent on a ring of n after `rounds` of majorities of itself and two neighbours.

    The own vote is read clean, a neighbour's through the channel. One agent a ring is counted, so that the answers are
    independent; its votes come from `ring_light_cone(rounds)` agents at most.
    """
    _check(mu0, gamma, 0.0, replicas, counts_of={"n": n, "rounds": rounds + 1})
    if n < 3:
        raise InputError(f"a ring needs at least 3 agents, got n={n}")
    rng = stream(seed, "phase", "ring")
    right = 0
    for words, wanted in _portions(replicas, n):
        vote = bernoulli(rng, (1 + mu0) / 2, n * words).reshape(n, words)
        for _ in range(rounds):
            left, far = (np.roll(vote, step, axis=0) for step in (1, -1))
            flips = bernoulli(rng, (1 - gamma) / 2, 2 * n * words).reshape(2, n, words)
            vote = majority(np.stack([vote, left ^ flips[0], far ^ flips[1]]))
        right += ones(vote[0], wanted)
    return VoteEstimate(2 * right / replicas - 1, replicas)


def simulate_poll(mu0: float, n: int, b: int, gamma: float, rounds: int, replicas: int, *, seed: int) -> VoteEstimate:
    """Return the mean answer of an agent among n after `rounds` in which everybody polls b random agents, b odd.

    Who asks whom is drawn once a word of 64 replicas and round; one agent a replica is counted. With b^rounds << n it
    follows `trajectory(mu0, b, gamma, 0, rounds)`; the 64 replicas of a word share who asks whom but no vote, which
    leaves their answers uncorrelated only on average over the drawn graphs, as the mean field is.
    """
    _check(mu0, gamma, 0.0, replicas, counts_of={"n": n, "b": b, "rounds": rounds + 1})
    if b % 2 == 0:
        raise InputError(f"polls need an odd number of peers, got b={b}")
    rng = stream(seed, "phase", "poll")
    right = 0
    for words, wanted in _portions(replicas, n * b):
        vote = bernoulli(rng, (1 + mu0) / 2, n * words).reshape(n, words)
        for _ in range(rounds):
            asked = rng.integers(0, n, (b, n, words))
            flips = bernoulli(rng, (1 - gamma) / 2, b * n * words).reshape(b, n, words)
            vote = majority(np.take_along_axis(vote[None], asked, axis=1) ^ flips)
        right += ones(vote[0], wanted)
    return VoteEstimate(2 * right / replicas - 1, replicas)


def _check(mu0: float, gamma: float, share: float, replicas: int, *, counts_of: dict[str, int]) -> None:
    signal("mu0", mu0)
    fraction("gamma", gamma)
    fraction("rho", share)
    counts("replicas", replicas)
    for name, value in counts_of.items():
        counts(name, value)
