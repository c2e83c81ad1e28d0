"""This module draws the answer codes of simulated agents, many turns at once, here or on other hosts."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from agentsoc.backends.simulated import SimulatedBackend
from agentsoc.contracts.model import Backend


class ColumnDraw(msgspec.Struct, frozen=True):
    """A draw holds turns of simulated agents to compute: a row is a (task, agent), its columns the codes heard."""

    round: int
    k: int
    """Size of the answer space."""
    task: Any
    agent: Any
    truth: Any = None
    """Codes of the reference answers; None when nobody answers on its own."""
    signal: Any = None
    own: Any = None
    """Codes of standing answers; None when nobody has one yet."""
    sent: Any = None
    """Codes of the messages to each row, shape (n, b); None when nobody hears anything."""
    tally: bool = False
    """Whether agents only count what they heard and add no answer of their own."""


def draw_codes(backend: Backend, draw: ColumnDraw) -> NDArray[np.int64]:
    """Return the answer code of each row of `draw`."""
    assert isinstance(backend, SimulatedBackend)
    own: NDArray[np.int64] | None = None
    if not draw.tally:
        if draw.own is not None:
            own = np.asarray(draw.own)
        else:
            own = backend.leaves(draw.task, draw.round, draw.agent, draw.truth, draw.signal, draw.k)
    if draw.sent is None:
        assert own is not None
        return own
    heard = backend.received(draw.task, draw.round, draw.agent, np.asarray(draw.sent), draw.k)
    return backend.combine(draw.task, draw.round, draw.agent, heard, own, draw.k)
