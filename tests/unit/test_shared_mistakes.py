"""Voters share mistakes with those of their source, and with nobody else.

Statistical claims have fixed seeds and bounds of four standard errors: a right voter fails a fresh seed with
probability 6e-5 for each of them.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from agentsoc.backends.simulated import Simulated, SimulatedBackend
from agentsoc.contracts.model import Hint

N, K, P = 4_000, 10, 0.4
SIGNAL = (P - 1 / K) / (1 - 1 / K)
TASK = np.arange(N)
TRUTH = TASK % K
APART = P**2 + (1 - P) ** 2 / (K - 1)
"""How often two voters agree who share nothing."""


def backend(source: int, shared: float) -> SimulatedBackend:
    return SimulatedBackend(Simulated(signal=SIGNAL, shared=shared, source=source), 5)


def answers(agent: int, source: int, shared: float) -> NDArray[np.int64]:
    """Return what an agent answers to N questions of K options, right in a share P of them; shape (N,)."""
    return backend(source, shared).leaves(TASK, 0, np.full(N, agent), TRUTH, np.full(N, SIGNAL), K)


@pytest.mark.parametrize("shared", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("other", [0, 3])
def test_two_voters_agree_on_what_they_share_and_by_chance_on_the_rest(shared: float, other: int) -> None:
    expected = shared + (1 - shared) * APART if other == 3 else APART
    agreed = float((answers(0, 3, shared) == answers(1, other, shared)).mean())
    assert abs(agreed - expected) <= 4 * (expected * (1 - expected) / N) ** 0.5


def test_sharing_leaves_each_voter_as_often_right() -> None:
    for source in range(4):
        assert abs((answers(0, source, 0.9) == TRUTH).mean() - P) < 4 * (P * (1 - P) / N) ** 0.5


def test_one_voter_draws_what_it_draws_among_many() -> None:
    options = tuple("ABCDEFGHIJ")
    many, one = answers(2, 7, 0.8), backend(7, 0.8)
    for task in range(200):
        said = one.respond(Hint(task, 0, 2, 0, "answer", options[TRUTH[task]], options))
        assert said.answer == options[many[task]]
