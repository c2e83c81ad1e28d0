"""Whether this is the nightly run: the suite in small and with fixed seeds, or whole and with new examples."""

from __future__ import annotations

import os
from typing import Final

NIGHTLY: Final = bool(os.environ.get("AGENTSOC_NIGHTLY"))


def at_night(whole: int, small: int) -> int:
    """Return how many of something are made: `whole` in the nightly run, `small` otherwise."""
    return whole if NIGHTLY else small
