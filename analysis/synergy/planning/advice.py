"""This module says what to measure to be surer of a recommendation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from analysis.synergy.estimation.measured import Measured

_WHAT: Final = {
    "leaf": ("leaf trials, at the largest computes above all", ("leaf",)),
    "gamma": ("round trips (relays) and merges", ("relay", "merge")),
    "rho": ("merges and replicates", ("merge", "replicate")),
    "difficulty": ("more tasks, each with replicates", ("merge", "replicate")),
}


def advice(measured: Measured, doubt: Mapping[str, float]) -> str:
    """Return what to measure to be surer."""
    if not any(doubt.values()):
        drawn = [*measured.draws.values(), *(one.draws for one in measured.messages)]
        if not any(np.size(one) for one in drawn):
            return "nothing measured is in doubt: the parameters were given"
        return "what is in doubt of the measurements moves neither design"
    group, share = max(doubt.items(), key=lambda pair: pair[1])
    text, purposes = _WHAT[group]
    trials = sum(measured.trials.get(purpose, 0) for purpose in purposes)
    tokens = sum(measured.tokens.get(purpose, 0) for purpose in purposes)
    size = f"; four times the {trials:,} trials ({tokens:,} tokens) so far would halve it" if trials else ""
    return f"to be surer: {text}, {share:.0%} of the doubt{size}"
