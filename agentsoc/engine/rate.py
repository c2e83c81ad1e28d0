"""This module keeps to what a provider allows a minute, over all runs of the process that ask the same model.

A place is due at a rate, with a second's worth at once: requests as such, tokens by what is reserved for them, which is
how most providers count. What a request reserved and did not use is given back.
"""

from __future__ import annotations

import threading
from typing import ClassVar, Final, Self

from agentsoc.contracts.address import Destination

BURST_S: Final = 1.0
"""What may be asked for at once after a pause: what is allowed in this time (seconds)."""


class RateBook:
    """The book of one model says when its next request may begin; clocks are the caller's (seconds)."""

    _open: ClassVar[dict[tuple[object, ...], RateBook]] = {}
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, requests_per_minute: int | None, tokens_per_minute: int | None) -> None:
        self._per_request = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._per_token = 60.0 / tokens_per_minute if tokens_per_minute else 0.0
        self._requests_due = 0.0
        """When all requests so far would be due at an even pace; so is the next one for tokens (seconds)."""
        self._tokens_due = 0.0

    @classmethod
    def of(
        cls, label: str, destinations: tuple[Destination, ...], limits: tuple[int | None, int | None]
    ) -> Self | None:
        """Return the book of a model in this process, the same for all its runs; None where nothing is limited."""
        if limits == (None, None):
            return None
        key = (label, *((place.address, place.variable) for place in destinations), limits)
        with cls._lock:
            if key not in cls._open:
                cls._open[key] = cls(*limits)
            found = cls._open[key]
        assert isinstance(found, cls)
        return found

    def take(self, now: float, tokens: int) -> float:
        """Write down a request and return 0, or return how long it has to wait (seconds), written down by nobody."""
        with self._lock:
            wait = max(self._requests_due, self._tokens_due) - BURST_S - now
            if wait > 0:
                return wait
            self._requests_due = max(self._requests_due, now) + self._per_request
            self._tokens_due = max(self._tokens_due, now) + self._per_token * tokens
            return 0.0

    def give_back(self, tokens: int) -> None:
        """Take back tokens that were written down and not used."""
        with self._lock:
            self._tokens_due -= self._per_token * tokens
