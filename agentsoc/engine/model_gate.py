"""This module is the gate before one model: how many calls are in flight, when none may begin, whether it answers.

All turns that ask the model wait at the same gate, those of other runs of the process as well. What a server says to
one of them therefore holds for all: after a refusal for too many requests they pause together, once, and then go on
with fewer calls at a time, one more after each round of answers. A server that is down is asked by one of them, at
growing intervals, until it answers. A model that cannot be used (no such model, a wrong key, nobody there) or has
answered nobody for long closes the gate, and the run ends, to be resumed, instead of failing turn by turn.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from typing import Final

import msgspec

from agentsoc.contracts.failure import REFUSED_UNSEEN
from agentsoc.contracts.model import Model
from agentsoc.engine.rate import RateBook
from agentsoc.engine.same_request import SameRequests
from agentsoc.errors import ModelFailedError

PAUSE_MAX_S: Final = 60.0
"""A server may ask for a longer pause than this; it is not granted (seconds)."""
FIRST_CALLS: Final = 5
"""First calls of a model that fail alike, for good, after which it is not asked again; no more begin at once before the
first answer (calls)."""
OUTAGE_CALLS: Final = 20
"""Calls in a row without an answer that make an outage, when they also took long (calls)."""
DOWN_CALLS: Final = 5
"""The same for calls that a server refused because it is down; few are made then (calls)."""
_DOWN_PAUSE: Final = 3.0
"""By what a pause grows while a server is down."""
_DOWN_FIRST: Final = 2.0
"""First pause while a server is down, as a multiple of `Patience.backoff_s`."""
_DOWN_MIN_S: Final = 0.01
"""Shortest of the pauses after it: a server that is down is not asked as often as a processor can (seconds)."""
_DOWN_MAX_S: Final = 20.0
_GROWTHS_MAX: Final = 16
"""Times that a pause grows: by then it is at its longest."""
_INSISTING_MAX_S: Final = 5.0
"""Longest pause in place of a shorter one that a server asked for, after which it refused again (seconds)."""
_ANSWERED: Final = frozenset({"empty", "too_long"})
"""Kinds of failure that show that the model can be asked."""
_STATUS: Final = re.compile(r"HTTP (\d{3})")


class Patience(msgspec.Struct, frozen=True):
    """How long a model may fail before its run ends."""

    fail_fast: bool = True
    """Whether the run ends at all."""
    outage_s: float = 30.0
    """Time without an answer after which an outage is one (seconds)."""
    backoff_s: float = 0.5
    """First pause after a refusal for too many requests that names none (seconds); doubles each time. Twice that, and
    growing faster, while a server is down. Runs set it from `calls.backoff_s` of their scenario."""


_PATIENT: Final = Patience()


class ModelGate:
    """A gate that calls of one model enter and leave; `heard` tells it what came of each."""

    def __init__(
        self,
        places: int,
        label: str = "the model",
        patience: Patience = _PATIENT,
        rate: RateBook | None = None,
        *,
        careful: bool = False,
    ) -> None:
        """Prepare.

        Args:
            places: most calls in flight.
            label: what messages call the model.
            patience: when to give up.
            rate: what its provider allows a minute; None for no limit.
            careful: whether few calls begin before the first is answered; for models elsewhere.
        """
        self._places = places
        self._label, self._patience, self._rate = label, patience, rate
        self._limit = min(places, FIRST_CALLS) if careful and patience.fail_fast else places
        self._inside = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._pause_until = 0.0
        self._pauses = 0
        """Pauses in a row, without an answer between them."""
        self._soon = 1
        """Up to here the limit grows with every answer, from here on with as many answers as it lets in."""
        self._growth = 0
        """Answers since the limit last grew."""
        self._answered = False
        self._alike: tuple[str, int] = ("", 0)
        """The failure that calls in a row met, for good, and how many they are."""
        self._in_a_row = 0
        self._last_failure = ""
        self._refused = 0
        """Calls in a row that a server refused because it is down."""
        self._silent_since = 0.0
        """When the first of the calls in a row failed (seconds)."""
        self._untroubled = False
        """Whether the last call was answered and as many are let in as there are places."""
        self.cause: str | None = None
        """Why the gate is closed."""
        self.same: Final = SameRequests()

    async def enter(self, tokens: int = 0, *, again: bool = False) -> None:
        """Return when a call may begin; first come, first in.

        Args:
            tokens: what it takes at most (tokens).
            again: whether it was put off before; then it goes before those who have not been in.

        Raises:
            ModelFailedError: the model cannot be used; the text says why.
        """
        if self.cause is not None:
            raise ModelFailedError(self.cause)
        if not self._waiting and self._inside < self._limit and not self._delay(tokens):
            self._inside += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if again:
            self._waiting.appendleft((tokens, place))
        else:
            self._waiting.append((tokens, place))
        self._let_in()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.leave()  # it was handed over in the same step
            raise

    def leave(self) -> None:
        """Give a place back."""
        self._inside -= 1
        if self._waiting:
            self._let_in()

    def _delay(self, tokens: int) -> float:
        """Return how long the next call has to wait (seconds); one that need not is written down."""
        if self._pause_until:
            now = time.monotonic()
            if now < self._pause_until:
                return self._pause_until - now
            self._pause_until = 0.0
        return 0.0 if self._rate is None else self._rate.take(time.monotonic(), tokens)

    def _let_in(self) -> None:
        """Hand places to those who wait, as far as limit, pause and rate allow."""
        while self._waiting and self._inside < self._limit:
            tokens, place = self._waiting[0]
            if place.done():
                self._waiting.popleft()
                continue
            if wait := self._delay(tokens):
                if self._timer is None:
                    self._timer = asyncio.get_running_loop().call_later(wait, self._wake)
                return
            self._waiting.popleft()
            self._inside += 1
            place.set_result(None)

    def _wake(self) -> None:
        self._timer = None
        self._let_in()

    # What came of calls

    def give_back(self, tokens: int) -> None:
        """Take back tokens with which a call entered and which it did not use."""
        if self._rate is not None and tokens > 0:
            self._rate.give_back(tokens)

    def heard(self, failure: str | None, pause_s: float | None = None) -> None:
        """Take in the outcome of a call that is inside.

        Args:
            failure: ``kind: message``, None for an answer.
            pause_s: how long the server asks to be left alone (seconds).
        """
        if failure is None and self._untroubled:
            return
        kind = "" if failure is None else failure.partition(": ")[0]
        if failure is None or kind in _ANSWERED:
            self._hear_answer()
            return
        if not self._in_a_row:
            self._silent_since = time.monotonic()
        self._untroubled = False
        self._in_a_row += 1
        self._last_failure = failure
        self._refused = self._refused + 1 if kind in ("unavailable", "connection") else 0
        times = min(self._pauses, _GROWTHS_MAX)
        if kind == "rate_limited":
            grown = self._patience.backoff_s * 2.0**times
            if pause_s is not None:
                # a server that said 0, and refuses again after it, is not asked as often as a processor can
                insists = times > 0 and time.monotonic() >= self._pause_until
                grown = max(pause_s, min(grown, _INSISTING_MAX_S) if insists else 0.0)
            self._pause(grown)
        elif kind in REFUSED_UNSEEN or self._in_a_row >= OUTAGE_CALLS:
            grown = min(_DOWN_FIRST * self._patience.backoff_s * _DOWN_PAUSE**times, _DOWN_MAX_S)
            grown = max(grown, _DOWN_MIN_S) if self._pauses else grown
            self._pause(max(grown, pause_s or 0.0), ask_one=True)
        if kind in ("rejected", "connection"):
            same = _sort_of(kind, failure)
            self._alike = (same, self._alike[1] + 1 if self._alike[0] == same else 1)
            if not self._answered and self._patience.fail_fast:  # no more than it takes to know
                self._limit = min(self._limit, max(FIRST_CALLS - self._alike[1], 1))
        self._judge()

    def _hear_answer(self) -> None:
        self._in_a_row = self._refused = self._pauses = 0
        self._alike = ("", 0)
        if not self._answered:
            self._answered = True
            self._limit = self._places
        elif self._limit < self._places:
            self._growth += 1
            if self._growth >= self._limit or self._limit < self._soon:
                self._limit, self._growth = self._limit + 1, 0
        self._untroubled = self._limit >= self._places
        self._let_in()

    def _pause(self, seconds: float, *, ask_one: bool = False) -> None:
        """Let nobody in for a while; calls that were in flight when it began change nothing, unless they ask for more.

        Args:
            seconds: how long.
            ask_one: whether a single call is made after it, to see whether the server is there.
        """
        now = time.monotonic()
        until = now + min(seconds, PAUSE_MAX_S)
        if now >= self._pause_until:
            self._pauses += 1
            before = min(self._limit, self._inside)
            self._soon = max(before // 2, 1)
            self._limit = 1 if ask_one else self._soon
            self._growth = 0
        self._pause_until = max(self._pause_until, until)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._let_in()

    def _judge(self) -> None:
        """Close the gate when the model cannot be used."""
        if not self._patience.fail_fast or self.cause is not None:
            return
        silent = time.monotonic() - self._silent_since
        same, alike = self._alike
        failure = self._last_failure
        if not self._answered and alike >= FIRST_CALLS:
            self._close(f"the first {alike} calls of {self._label} failed alike: {failure}")
        elif alike >= OUTAGE_CALLS and same.startswith("rejected"):
            self._close(f"the last {alike} calls of {self._label} failed alike: {failure}")
        elif silent >= self._patience.outage_s and (self._in_a_row >= OUTAGE_CALLS or self._refused >= DOWN_CALLS):
            self._close(f"{self._label} has answered nobody for {silent:.0f} s, in {self._in_a_row} calls: {failure}")

    async def settled(self) -> None:
        """Return when everything that was heard counts, which here it does at once."""

    def hopeless(self) -> str | None:
        """Return why a run that has come to its end has no answers at all; None when it has, or may have some."""
        if self._answered or not self._in_a_row or not self._patience.fail_fast:
            return None
        return f"{self._label} has answered nobody, in {self._in_a_row} calls: {self._last_failure}"

    def _close(self, cause: str) -> None:
        self.cause = cause
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            _, place = self._waiting.popleft()
            if not place.done():
                place.set_exception(ModelFailedError(cause))


def gate_of(model: Model, places: int, patience: Patience) -> ModelGate:
    """Return a gate for a model, with what its provider allows and what is known of where it is."""
    places_of = model.destinations()
    rate = RateBook.of(model.label(), places_of, model.rate_limits())
    return ModelGate(places, model.label(), patience, rate, careful=bool(places_of))


def _sort_of(kind: str, failure: str) -> str:
    """Return what failures that will not go away have in common: the status, or the words where that says too little.

    A status of 400 or 422 may be the fault of one prompt, so only one in the same words counts as the same.
    """
    if kind == "connection":
        return kind
    status = _STATUS.search(failure)
    return failure if status is None or status.group(1) in ("400", "422") else f"{kind} {status.group()}"
