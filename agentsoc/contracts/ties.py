"""How a tie is broken: by a fair draw that depends on where the tie is and on nothing else."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentsoc.streams import uniform, uniforms

AS_MANY: Final = 1e-12
"""Sums of weights that differ by no more than this are equal: they differ by rounding."""
_UNSIGNED: Final = 0xFFFFFFFF


def tie_draw(seed: int, task: int, round_: int, agent: int) -> float:
    """Return the draw in [0, 1) that breaks a tie of `agent` in a round of a task.

    Args:
        seed: the run's seed.
        task: index of the task.
        round_: round of the episode.
        agent: whoever counts; -1 for the society.
    """
    return uniform(seed, "tie", task, round_, agent & _UNSIGNED)


def tie_draws(seed: int, tasks: NDArray[np.int64], round_: int, agent: int) -> NDArray[np.float64]:
    """Return `tie_draw` of each of `tasks`, shape (n_tasks,)."""
    return uniforms(seed, "tie", tasks, round_, np.uint64(agent & _UNSIGNED))[:, 0]
