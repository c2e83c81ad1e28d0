"""Bounds of processor time that hold on any machine: in steps of a plain loop, timed in the same process.

What a test says is that a hostile input costs no more than so much plain work; on a slow machine both take longer. The
loop is only timed where seconds have gone by: for less there is nothing to complain of.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

STEPS: Final = 1_000_000
FREE_S: Final = 0.5
"""Processor time that is fine on every machine (s)."""


@contextmanager
def at_most(millions: float) -> Iterator[None]:
    """Assert that the block takes no more processor time than `millions` of millions of steps of a plain loop.

    A million steps take about 0.05 s on an ordinary machine.
    """
    began = time.process_time()
    yield
    took = time.process_time() - began
    if took > FREE_S:
        assert took <= millions * max(_million_s() for _ in range(3)), f"{took:.1f} s of processor time"


def _million_s() -> float:
    began, n = time.process_time(), 0
    for step in range(STEPS):
        n += step & 1
    return time.process_time() - began
