"""The ledger of one episode: reserve before a call, charge what it used, refund the rest. reserved + charged <= budget.

Reservations of a round are made in turn order before any call of it, and so are those for repeated attempts: whatever
is granted then may be used at any time during the round, in any order, and what is granted never depends on timing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

OUT_MIN: Final = 16
"""A turn is not taken with less room for its reply than this, or than its own cap if that is smaller (tokens)."""


class Need(msgspec.Struct, frozen=True, gc=False):
    """What a turn asks for. Zero everywhere for turns that ask no model."""

    tokens_in: tuple[int, ...] = ()
    """Bound on the prompt of each call of the turn (tokens)."""
    tokens_out: int = 0
    """Output cap of each call (tokens)."""
    whole: bool = False
    """Whether the reply cannot be cut: such a turn gets its full output cap or is not taken."""
    again: int = 0
    """Bound on what a repeated attempt adds to a prompt (tokens)."""


class Grant(msgspec.Struct, frozen=True, gc=False):
    """What a turn may spend."""

    tokens_out: int
    """Output cap of each call, shrunk when the budget is nearly spent (tokens)."""
    attempts: int
    """Attempts that each call may make."""
    reserved: int
    """Tokens held for the turn."""


class Ledger:
    """The account of one episode. `budget` None means no wall; usage is counted all the same."""

    def __init__(self, budget: int | None) -> None:
        self.budget = budget
        self.charged = 0
        self.reserved = 0
        self.kept = 0
        """Held back for the concluding turn (tokens)."""
        self.overrun = 0
        """Used by a provider beyond what it was allowed; not part of `charged` (tokens)."""

    def keep(self, tokens: int) -> None:
        """Hold back tokens for the concluding turn; never more than half of the budget, nor more than is left of it."""
        if self.budget is not None:
            self.kept = 0
            self.kept = max(min(tokens, self.budget // 2, self.free), 0)

    def release_kept(self) -> None:
        """Give back what was held: the concluding turn is due, or not needed."""
        self.kept = 0

    @property
    def free(self) -> int:
        """Tokens that can still be reserved; meaningless without a budget."""
        return 0 if self.budget is None else self.budget - self.charged - self.reserved - self.kept

    def reserve(self, needs: Sequence[Need], attempts: int) -> list[Grant | None]:
        """Return a grant per need, in order; None for a turn that cannot be paid for.

        First every turn gets one attempt per call with its full output cap while that lasts, the next one a smaller
        cap; then repeated attempts are granted from what remains, in the same order.
        """
        if self.budget is None:
            return [Grant(need.tokens_out, attempts, 0) for need in needs]
        first: list[tuple[int, int] | None] = [self._first(need) for need in needs]
        grants: list[Grant | None] = []
        for need, given in zip(needs, first, strict=True):
            if given is None:
                grants.append(None)
                continue
            cap, reserved = given
            n_calls = len(need.tokens_in)
            more = 0
            if n_calls and attempts > 1:
                again = sum(need.tokens_in) + n_calls * (need.again + cap)
                more = min(attempts - 1, max(self.free, 0) // again) if again > 0 else attempts - 1
                self.reserved += more * again
                reserved += more * again
            grants.append(Grant(cap, 1 + more, reserved))
        return grants

    def _first(self, need: Need) -> tuple[int, int] | None:
        n_calls = len(need.tokens_in)
        if n_calls == 0:
            return 0, 0
        room = (self.free - sum(need.tokens_in)) // n_calls
        if room < (need.tokens_out if need.whole else min(OUT_MIN, need.tokens_out)):
            return None
        cap = min(need.tokens_out, room)
        amount = sum(need.tokens_in) + n_calls * cap
        self.reserved += amount
        return cap, amount

    def settle(self, grant: Grant, used: int) -> None:
        """Charge `used` tokens for a turn and refund the rest of its reservation.

        What a provider used beyond the reservation is taken from what is free; what is not even there is recorded as
        overrun, because it was spent against the cap that the provider was given.
        """
        used = max(used, 0)  # a server may report anything, but it gives nothing back
        if self.budget is None:
            self.charged += used
            return
        self.reserved -= grant.reserved
        charge = max(min(used, self.free), 0)  # after a fork the budget may be smaller than what was charged
        self.charged += charge
        self.overrun += used - charge
