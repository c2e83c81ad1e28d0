"""This module follows a polling society round by round while its messages get better or worse, and can push it.

In every round each of n agents asks b random agents, reads each answer through a channel of fidelity gamma, takes the
majority: the society of `simulate.simulate_poll`. Given how many are right, agents answer independently, so the share
that is right is followed exactly. Its mean signal follows the map F of the theory: near the state without a signal it
is an AR(1) process with coefficient alpha = F'(0) and shocks of variance 1/n, which slows down as alpha reaches 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.synergy.theory.arrays import FloatArray, fraction, signal
from analysis.synergy.theory.recursion import node_map

DRAWS_MAX: Final = 200_000_000


@dataclass(frozen=True)
class Push:
    """A push sets some answers right, at the end of a round."""

    after: int
    """Round after which it comes, from 0."""
    share: float
    """Share of the agents whose answers are set right, in [0, 1]."""


def poll_rounds(
    gammas: ArrayLike, n: int, b: int, *, mu0: float = 0.0, replicas: int = 1, push: Push | None = None, seed: int
) -> FloatArray:
    """Return the mean signal of a polling society after each round, shape (replicas, rounds).

    With and without a push the same seed gives the same chance, agent by agent.

    Args:
        gammas: fidelity of messages in each round, shape (rounds,), in [0, 1].
        n: agents.
        b: agents that each asks, odd.
        mu0: signal of the first answers, in [-1, 1].
        replicas: societies.
        push: what is set right, and when.
        seed: seed of all draws.

    Raises:
        InputError: something is out of range, or more than 200 million answers would be drawn.
    """
    gamma, start = np.atleast_1d(fraction("gamma", gammas)), float(signal("mu0", mu0))
    if n < 1 or b < 1 or b % 2 == 0 or replicas < 1:
        raise InputError(f"n and replicas are at least 1 and b is odd, got n={n}, b={b}, replicas={replicas}")
    if n * replicas * gamma.size > DRAWS_MAX:
        what = f"{n} agents in {replicas} replicas over {gamma.size} rounds are too many answers"
        raise InputError(what, "", f"draw at most {DRAWS_MAX:,}")
    if push is not None and not (0 <= push.after < gamma.size and 0 <= push.share <= 1):
        raise InputError(f"a push of {push.share:g} after round {push.after} is impossible", "push", "")
    rng = stream(seed, "phase", "poll-rounds")
    mu = 2 * (rng.random((replicas, n)) < (1 + start) / 2).mean(axis=1) - 1
    found = np.empty((replicas, gamma.size))
    for round_, fidelity in enumerate(gamma.tolist()):
        right = (1 + node_map(mu, b, fidelity, 0.0)) / 2
        answers = rng.random((replicas, n)) < right[:, None]
        if push is not None and round_ == push.after:
            answers[:, : round(push.share * n)] = True
        mu = 2 * answers.mean(axis=1) - 1
        found[:, round_] = mu
    return found
