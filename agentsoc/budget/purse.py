"""`Purse`: one resource in one scope of an account, and what several of them pay for together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agentsoc.scenario.prices import Rate

ENDLESS: Final = 1 << 200
"""More than any price times any usage: 2^62 units of money are less than a dear call can cost."""
TOKENS, CALLS, MONEY = range(3)
"""Resources, as indices."""
NOTHING_LENT: Final = (0, 0, 0)
"""What others add where nobody helps out."""


class Purse:
    """One resource in one scope: charged + reserved + kept <= limit."""

    __slots__ = ("charged", "kept", "limit", "overrun", "reserved")

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.charged = 0
        self.reserved = 0
        self.kept = 0
        """Held back for the concluding turn."""
        self.overrun = 0
        """Used by a provider beyond what it was allowed; not part of `charged`."""

    @property
    def free(self) -> int:
        """What can still be reserved; endless without a limit, below 0 where a fork lowered it."""
        return ENDLESS if self.limit is None else self.limit - self.charged - self.reserved - self.kept

    def settle(self, reserved: int, used: int) -> None:
        """Charge what was used and refund the rest of what was reserved.

        What was used beyond that is taken from what is free; what is not even there is recorded as overrun, because it
        was spent against the cap that the provider was given.
        """
        if self.limit is None:
            self.charged += used
            return
        self.reserved -= reserved
        charge = max(min(used, self.free), 0)  # after a fork the limit may be smaller than what was charged
        self.charged += charge
        self.overrun += used - charge


def cost_of(tokens_in: int, tokens_out: int, calls: int, rate: Rate) -> tuple[int, int, int]:
    """Return what calls may cost at most, of each resource."""
    return tokens_in + tokens_out, calls, rate.most(tokens_in, tokens_out, calls)


def hold(scopes: Sequence[list[Purse]], cost: Sequence[int], times: int) -> list[int]:
    """Reserve `times` the cost in each scope, where there is a limit; return how much of each resource once."""
    held = [0, 0, 0]
    for scope in scopes:
        for resource, purse in enumerate(scope):
            if purse.limit is not None:
                purse.reserved += times * cost[resource]
                held[resource] = cost[resource]
    return held


def times_paid(scope: Sequence[Purse], cost: Sequence[int]) -> int:
    """Return how often a scope pays for a cost."""
    return min(
        max(purse.free, 0) // amount if amount > 0 else ENDLESS for purse, amount in zip(scope, cost, strict=True)
    )


def reply_room(scope: Sequence[Purse], lent: Sequence[int], prompts: tuple[int, int, int], rate: Rate) -> int:
    """Return how long each reply of a turn may be for a scope to pay for all of them; below 0 for not at all (tokens).

    Args:
        scope: its purses.
        lent: what others may add, of each resource.
        prompts: tokens of all prompts, calls, and how many of these count as calls.
        rate: what the model costs.
    """
    tokens_in, n_calls, asked = prompts
    tokens, calls, money = (purse.free + more for purse, more in zip(scope, lent, strict=True))
    if calls < asked:
        return -1
    room = (tokens - tokens_in) // n_calls
    if scope[MONEY].limit is not None:
        left = money - rate.most(tokens_in, 0, asked)
        room = min(room, left // (n_calls * rate.output) if rate.output else (ENDLESS if left >= 0 else -1))
    return room


class Lenders:
    """Shares that others may draw on in this round, in their order."""

    def __init__(self, shares: Sequence[Sequence[Purse]]) -> None:
        self._purses = [[share[resource] for share in shares] for resource in range(3)]
        self.free = [sum(max(purse.free, 0) for purse in purses) for purses in self._purses]
        """What they can give together, of each resource."""

    def help(self, share: Sequence[Purse], cost: Sequence[int]) -> None:
        """Move to a share what it lacks for a cost."""
        for resource, (purse, amount) in enumerate(zip(share, cost, strict=True)):
            if purse.limit is None or amount <= purse.free:
                continue
            for lender in self._purses[resource]:
                assert lender.limit is not None
                moved = min(amount - purse.free, max(lender.free, 0))
                purse.limit += moved
                lender.limit -= moved
                self.free[resource] -= moved
                if amount <= purse.free:
                    break
