"""This module treats votes until one answer leads by k: how often it is right, its cost, how large k must be (MAKER).

arXiv 2511.09030. Marks: [P] stated in the paper, [D] derived here and checked by simulation. p is the probability that
a sample is right *against one rival*: the analysis has two candidates, so with p > 1/2 it is a lower bound when wrong
answers spread over several (`simulate_ahead` shows by how much), and says nothing at p <= 1/2. All samples of all
steps are taken as independent; `shared` says what a common error does, which no k repairs.

All functions take arrays and broadcast.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.interval import FloatArray, IntArray

_BLOCK: Final = 1 << 16
_MOST_VOTES: Final = 100_000


def ahead_right(p: ArrayLike, k: ArrayLike) -> FloatArray:
    """Return the probability that the answer k ahead is right: 1 / (1 + ((1-p)/p)^k) [P, gambler's ruin]."""
    return np.asarray(special.expit(_lead(k) * special.logit(_fraction("p", p))), dtype=np.float64)


def ahead_votes(p: ArrayLike, k: ArrayLike, *, valid: ArrayLike = 1.0) -> FloatArray:
    """Return the expected number of samples until one answer is k ahead: k (2 p_sub - 1) / (2p - 1) / v [D].

    At p = 1/2 this is k^2. The paper's k / (2p - 1) is an upper bound: too high by 1 / (2 p_sub - 1).

    Args:
        p: probability that a valid sample is right.
        k: lead that ends the vote.
        valid: probability v that a sample survives the filter for malformed answers.
    """
    chance, lead, kept = np.broadcast_arrays(_fraction("p", p), _lead(k), _fraction("valid", valid))
    if np.any(kept == 0):
        raise InputError("with no valid answers there is no vote", "valid")
    edge = 2 * chance - 1
    near = np.abs(edge) < 1e-6
    drift = np.divide(2 * ahead_right(chance, lead) - 1, edge, out=lead.astype(np.float64), where=~near)
    return np.asarray(lead * drift / kept, dtype=np.float64)


def chain_right(p_sub: ArrayLike, steps: ArrayLike, m: int = 1) -> FloatArray:
    """Return the probability that a whole chain is right: p_sub^(s/m) [P].

    Args:
        p_sub: probability that a subtask is right.
        steps: dependent steps s.
        m: steps of a subtask.
    """
    return np.asarray(_fraction("p_sub", p_sub) ** (np.asarray(steps, dtype=np.float64) / m))


def allowed_wrong(target: float, steps: ArrayLike, m: int = 1) -> FloatArray:
    """Return how often a subtask may be *wrong* at most so that the chain is right with probability `target`.

    1 - t^(m/s), computed without cancellation.

    Raises:
        InputError: the target is not in (0, 1).
    """
    if not 0 < target < 1:
        raise InputError(f"a target must lie between 0 and 1, got {target:g}", "target")
    return np.asarray(-np.expm1(np.log(target) * m / np.asarray(steps, dtype=np.float64)))


def smallest_lead(p: ArrayLike, steps: ArrayLike, *, target: float = 0.95, m: int = 1) -> FloatArray:
    """Return the smallest k with which the chain is right with probability `target`; inf where p <= 1/2 [P].

    k_min = ceil( ln(t^(-m/s) - 1) / ln((1-p)/p) ), at least 1.
    """
    chance = _fraction("p", p)
    wrong = allowed_wrong(target, steps, m)
    with np.errstate(divide="ignore", invalid="ignore"):
        k = np.ceil((np.log1p(-wrong) - np.log(wrong)) / special.logit(chance) - 1e-12)
    return np.asarray(np.where(chance > 0.5, np.maximum(k, 1.0), np.inf))


def chain_votes(p: ArrayLike, steps: ArrayLike, k: ArrayLike, *, m: int = 1, valid: ArrayLike = 1.0) -> FloatArray:
    """Return the expected samples of a whole chain: (s/m) times those of a subtask; Theta(s ln s) at k_min [P, D]."""
    return np.asarray(np.asarray(steps, dtype=np.float64) / m * ahead_votes(p, k, valid=valid))


def shared(p: ArrayLike, k: ArrayLike, rho: ArrayLike) -> FloatArray:
    """Return how often a subtask is right when a fraction rho of them gives all samples the same draw [D].

    (1 - rho) p_sub + rho p. Its limit for large k is `shared_ceiling`.
    """
    share = _fraction("rho", rho)
    return np.asarray((1 - share) * ahead_right(p, k) + share * _fraction("p", p))


def shared_ceiling(p: ArrayLike, rho: ArrayLike) -> FloatArray:
    """Return the limit of `shared` for large k, which no k exceeds: 1 - rho (1-p) where p > 1/2, rho p below [D]."""
    chance, share = _fraction("p", p), _fraction("rho", rho)
    return np.asarray((1 - share) * np.heaviside(chance - 0.5, 0.5) + share * chance)


def first_to(p: ArrayLike, k: ArrayLike) -> FloatArray:
    """Return how often the answer that first has k votes is right, of two candidates: another rule than ahead-by-k.

    P(at least k of 2k - 1 samples are right) = I_p(k, k) [D].
    """
    lead = _lead(k)
    return np.asarray(special.betainc(lead, lead, _fraction("p", p)), dtype=np.float64)


def simulate_ahead(
    p: float, k: int, *, wrong: int = 1, valid: float = 1.0, rho: float = 0.0, trials: int = 20_000, seed: int = 0
) -> tuple[FloatArray, IntArray]:
    """Vote until one answer is k ahead of every other, `trials` times.

    Args:
        p: probability that a valid sample is right.
        k: lead that ends the vote.
        wrong: wrong answers, all equally likely.
        valid: probability that a sample survives the filter; those that do not are drawn again and counted.
        rho: probability that all samples of a trial are the same draw.
        trials: votes held.
        seed: root of the randomness.

    Returns:
        Whether each trial ended right (0 or 1), and the samples it took, both of shape (trials,).

    Raises:
        InputError: a number is out of range.
    """
    _fraction("p", p), _fraction("valid", valid), _fraction("rho", rho), _lead(k)
    if wrong < 1 or trials < 1 or valid == 0:
        raise InputError("a vote needs a wrong answer, a trial and some valid samples")
    rng = stream(seed, "voting", "ahead", k, wrong)
    right, votes = np.zeros(trials), np.zeros(trials, dtype=np.int64)
    live = np.arange(trials)
    tally = np.zeros((trials, wrong + 1), dtype=np.int64)
    locked = np.where(rng.random(trials) < rho, _draw(rng, p, wrong, trials), -1)
    for _ in range(_MOST_VOTES):
        if live.size == 0:
            return right, votes
        votes[live] += 1
        kept = live[rng.random(live.size) < valid]
        answer = np.where(locked[kept] >= 0, locked[kept], _draw(rng, p, wrong, kept.size))
        tally[kept, answer] += 1
        top = np.sort(tally[live], axis=1)
        over = top[:, -1] - top[:, -2] >= k
        right[live[over]] = tally[live[over]].argmax(axis=1) == 0
        live = live[~over]
    raise InputError(
        f"{live.size} votes of {trials} did not end within {_MOST_VOTES:,} samples", "", "take a smaller k"
    )


def _draw(rng: np.random.Generator, p: float, wrong: int, n: int) -> IntArray:
    """Return answers: 0 is the right one."""
    return np.where(rng.random(n) < p, 0, 1 + rng.integers(wrong, size=n)).astype(np.int64)


def _fraction(name: str, value: ArrayLike) -> FloatArray:
    array = np.asarray(value, dtype=np.float64)
    if not np.all((array >= 0) & (array <= 1)):
        raise InputError(f"{name} must lie between 0 and 1, got {array.tolist()}", name)
    return array


def _lead(k: ArrayLike) -> FloatArray:
    array = np.asarray(k, dtype=np.float64)
    if not np.all(array >= 1):
        raise InputError(f"a lead must be at least 1, got {array.tolist()}", "k")
    return array
