"""This module decides many societies at once: by one agent's claim, by votes or by a union; ties are seeded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentsoc.contracts.ties import AS_MANY, tie_draws
from agentsoc.events import SOCIETY
from agentsoc.society.build import BuiltSociety


@dataclass(frozen=True)
class Decided:
    """The object holds what the society of each of n tasks decided."""

    answer: NDArray[np.int64]
    """Codes, shape (n,): of an option, or for a union the number of options + 1 + its place in `unions`."""
    ties: list[str | None]
    """The text that states a tie, per task."""
    claim: NDArray[np.int64]
    """The claim that is the answer, shape (n,); -1 for a count of votes."""
    unions: list[tuple[int, ...]]
    """Options that stand side by side in an answer, as codes in the order of their names."""


def decide(
    society: BuiltSociety,
    options: tuple[str, ...],
    round_: int,
    tasks: NDArray[np.int64],
    stands: NDArray[np.int64],
    claim: NDArray[np.int64],
) -> Decided:
    """Return what the society of each task decides.

    Args:
        society: the society.
        options: the answer space.
        round_: the round in which it decides.
        tasks: shape (n,).
        stands: code of each agent's answer, -1 for none, shape (n, n_agents).
        claim: id of the claim that each agent stands by, the same shape.
    """
    n, k = len(tasks), len(options)
    verdict = society.scenario.protocol.verdict(society)
    if isinstance(verdict, int):
        return Decided(stands[:, verdict], [None] * n, claim[:, verdict], [])
    no_claim = np.full(n, -1, dtype=np.int64)
    voted = stands >= 0
    ballots = (stands + k * np.arange(n)[:, None])[voted]
    if isinstance(verdict, tuple):
        weights = np.broadcast_to(np.array(verdict), stands.shape)[voted]
        votes = np.bincount(ballots, weights=weights, minlength=n * k).reshape(n, k)
        leading = votes >= votes.max(axis=1, keepdims=True) - AS_MANY
    else:
        votes = np.bincount(ballots, minlength=n * k).reshape(n, k)
        leading = votes == votes.max(axis=1, keepdims=True)
    by_name = np.argsort(np.array(options, dtype=object)).tolist()  # codes in the order of their names
    if verdict == "union":
        final, unions = _unite(votes > 0, by_name)
        return Decided(final, [None] * n, no_claim, unions)
    n_leading = leading.sum(axis=1)
    final = leading.argmax(axis=1)
    ties: list[str | None] = [None] * n
    tied = np.flatnonzero(n_leading > 1)
    if len(tied):
        pick = (tie_draws(society.seed, tasks[tied], round_, SOCIETY) * n_leading[tied]).astype(np.int64)
        for row, chosen in zip(tied.tolist(), pick.tolist(), strict=True):
            codes = [code for code in by_name if leading[row, code]]
            final[row] = codes[chosen]
            ties[row] = "tie: " + ", ".join(options[code] for code in codes)
    return Decided(final, ties, no_claim, [])


def _unite(said: NDArray[np.bool_], by_name: list[int]) -> tuple[NDArray[np.int64], list[tuple[int, ...]]]:
    """Return, per task, the code of the options that were said (one option's own code), and the unions of several.

    Args:
        said: which options were said, shape (n, k).
        by_name: codes in the order of their names.
    """
    k = said.shape[1]
    final = said.argmax(axis=1)
    several = np.flatnonzero(said.sum(axis=1) > 1)
    sets, which = np.unique(said[several], axis=0, return_inverse=True)
    final[several] = k + 1 + which.reshape(-1)
    return final, [tuple([code for code in by_name if row[code]]) for row in sets.tolist()]
