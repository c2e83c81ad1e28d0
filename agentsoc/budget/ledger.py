"""The ledger of one episode reserves tokens, calls and money before a call, charges what was used, refunds the rest.

Three resources (tokens, calls, money) in two scopes: the team, and the share that pays for a turn where a policy splits
the budget. reserved + charged <= limit for each resource in each scope, at every moment. The run is the scope above:
its limits are split over its episodes before the start, so that nothing one does can change what another one may do.

What a round reserves is decided in turn order, by `agentsoc.budget.waves`: whatever is granted may be used at any time
during the wave, in any order, and what is granted never depends on timing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from agentsoc.budget.allocation import split
from agentsoc.budget.purse import CALLS, ENDLESS, MONEY, TOKENS, Lenders, Purse, times_paid
from agentsoc.scenario.budget import Limits
from agentsoc.scenario.prices import FREE, Rate

OUT_MIN: Final = 16
"""A turn is not taken with less room for its reply than this, or than its own cap if that is smaller (tokens)."""


class Need(msgspec.Struct, frozen=True, gc=False):
    """A need says what a turn asks for. It is zero everywhere for turns that ask no model."""

    tokens_in: tuple[int, ...] = ()
    """Bound on the prompt of each call of the turn (tokens)."""
    tokens_out: int = 0
    """Output cap of each call (tokens)."""
    whole: bool = False
    """Whether the reply cannot be cut: such a turn gets its full output cap or is not taken."""
    again: int = 0
    """Bound on what a repeated attempt adds to a prompt (tokens)."""
    asks: bool = True
    """Whether it counts as calls; a simulated agent that merges by rule reads for tokens, and calls nothing."""


class Grant(msgspec.Struct, frozen=True, gc=False):
    """A grant says what a turn may spend."""

    tokens_out: int
    """Output cap of each call, shrunk when the budget is nearly spent (tokens)."""
    attempts: int
    """Attempts that each call may make."""
    reserved: int
    """Tokens held for the turn, where tokens are limited."""
    calls: int = 0
    """Attempts held for the turn, where calls are limited."""
    money: int = 0
    """Money held for the turn, where it is limited (units)."""
    share: int | None = None
    """The share of the budget that pays for the turn."""

    @property
    def walled(self) -> bool:
        """Tell whether a limit holds: then an attempt that a crash swallowed uses up one that was granted."""
        return bool(self.reserved or self.calls or self.money)


class Ledger:
    """The account of one episode. A limit of None is no wall; usage is counted all the same."""

    def __init__(
        self, budget: int | None, *, calls: int | None = None, money: int | None = None, carry: bool = False
    ) -> None:
        """Open the account.

        Args:
            budget: limit of the team (tokens).
            calls: limit of the team (attempts).
            money: limit of the team (units).
            carry: whether shares help each other; see `agentsoc.contracts.policy.Policy.carry`.
        """
        self.team = [Purse(budget), Purse(calls), Purse(money)]
        self.tool_calls = Purse(None)
        """Calls of tools, of the team: taken one by one between the steps of a stage, never reserved."""
        self.carry = carry
        self.shares: list[list[Purse]] = []
        """Purses of each share, in the policy's order; the last one is what no share was given. Empty for one purse."""
        self._acted: set[int] = set()

    # Tokens of the team, by the names that most readers want

    @property
    def budget(self) -> int | None:
        """Return the ceiling of the team (tokens)."""
        return self.team[TOKENS].limit

    @budget.setter
    def budget(self, limit: int | None) -> None:
        self.team[TOKENS].limit = limit

    @property
    def charged(self) -> int:
        """Return what was charged to the team (tokens)."""
        return self.team[TOKENS].charged

    @charged.setter
    def charged(self, tokens: int) -> None:
        self.team[TOKENS].charged = tokens

    @property
    def reserved(self) -> int:
        """Return what is held for turns under way (tokens)."""
        return self.team[TOKENS].reserved

    @property
    def kept(self) -> int:
        """Return what is held back for the concluding turn (tokens)."""
        return self.team[TOKENS].kept

    @property
    def overrun(self) -> int:
        """Return what a provider used beyond what it was allowed; not part of `charged` (tokens)."""
        return self.team[TOKENS].overrun

    @property
    def free(self) -> int:
        """Return the tokens that can still be reserved; meaningless without a limit."""
        return 0 if self.budget is None else self.team[TOKENS].free

    @property
    def walled(self) -> bool:
        """Tell whether anything is limited."""
        return any(purse.limit is not None for purse in self.team)

    def limit(self, limits: Limits) -> None:
        """Set the ceilings of the team anew; what was charged stays charged."""
        for purse, ceiling in zip(self.team, limits, strict=True):
            purse.limit = ceiling

    # Shares

    def divide(self, amounts: Sequence[int] | None) -> None:
        """Split what is free into shares; None keeps one purse for all.

        Args:
            amounts: of tokens, or of what is limited where tokens are not. Other limited resources are split in the
                same proportions; what the amounts leave is the last share, which pays for turns that no share pays for.
        """
        self._acted.clear()
        if amounts is None:
            self.shares = []
            return
        base = self.unit
        columns: list[list[int | None]] = []
        for resource, purse in enumerate(self.team):
            if purse.limit is None:
                columns.append([None] * (len(amounts) + 1))
                continue
            free = max(purse.free, 0)
            rest = max(self.team[base].free, 0) - sum(amounts)
            if rest < 0:
                raise ValueError(f"shares of {sum(amounts)} do not fit into {free}")
            parts = [*amounts, rest] if resource == base else split(free, [*amounts, rest])
            columns.append(list(parts))
        self.shares = [[Purse(limit) for limit in row] for row in zip(*columns, strict=True)]

    @property
    def unit(self) -> int:
        """Return the resource that shares are reckoned in: tokens where they are limited, else calls, else money."""
        return next((resource for resource in (TOKENS, CALLS, MONEY) if self.team[resource].limit is not None), TOKENS)

    def scopes(self, share: int | None) -> list[list[Purse]]:
        """Return whose purses pay for a turn: the team's, and with a policy those of its share."""
        return [self.team] if not self.shares else [self.team, self._share(share)]

    def _share(self, share: int | None) -> list[Purse]:
        return self.shares[-1 if share is None else share]

    def lenders(self, due: Sequence[int | None]) -> Lenders:
        """Return who helps out in a round: the shares that acted before and have no turn in it, in their order.

        Args:
            due: the share that pays for each turn of the round.
        """
        if not (self.carry and self.shares):
            return Lenders([])
        return Lenders([self.shares[share] for share in sorted(self._acted - self._numbers(due))])

    def note_due(self, due: Sequence[int | None]) -> None:
        """Note which shares have a turn in this round: in later ones they may help out."""
        if self.carry:
            self._acted.update(self._numbers(due))

    def _numbers(self, due: Sequence[int | None]) -> set[int]:
        return {len(self.shares) - 1 if share is None else share for share in due}

    # The concluding turn

    def keep(self, tokens: int, rate: Rate = FREE) -> None:
        """Hold back tokens for the concluding turn, one call, and what these may cost at `rate`.

        Of no resource more than half of its limit, nor more than is left of it.
        """
        wanted = (tokens, 1, tokens * max(rate.input, rate.cached, rate.output) + rate.call)
        for purse, amount in zip(self.team, wanted, strict=True):
            if purse.limit is not None:
                purse.kept = 0
                purse.kept = max(min(amount, purse.limit // 2, purse.free), 0)

    def release_kept(self, share: int | None = None) -> None:
        """Give back what was held: the concluding turn is due, or not needed. It goes to the share that pays for it."""
        for resource, purse in enumerate(self.team):
            if self.shares and purse.kept:
                to = self._share(share)[resource]
                to.limit = (to.limit or 0) + purse.kept
            purse.kept = 0

    def room(self, share: int | None = None, rate: Rate = FREE) -> int:
        """Return how many tokens one call may take, whatever part of them is output; endless without a limit."""
        room = ENDLESS
        dearest = max(rate.input, rate.cached, rate.output)
        for scope in self.scopes(share):
            room = min(room, scope[TOKENS].free)
            if scope[MONEY].limit is not None and dearest:
                room = min(room, (scope[MONEY].free - rate.call) // dearest)
        return room

    def pays(self, cost: Sequence[int], share: int | None = None) -> bool:
        """Return whether tokens, calls and money of this cost are free in every scope."""
        return all(times_paid(scope, cost) > 0 for scope in self.scopes(share))

    # Calls of tools

    def take_tool_call(self, price: int, share: int | None = None) -> bool:
        """Pay for a call of a tool; return whether it could be paid for.

        Args:
            price: what it costs (units).
            share: the share of the budget that pays.
        """
        if self.tool_calls.free < 1 or any(scope[MONEY].free < price for scope in self.scopes(share) if price):
            return False
        self.charge_tool_call(price, share)
        return True

    def charge_tool_call(self, price: int, share: int | None = None) -> None:
        """Charge a call of a tool that was made; what no purse has is recorded as overrun."""
        self.tool_calls.settle(0, 1)
        for scope in self.scopes(share):
            scope[MONEY].settle(0, price)

    # Settle

    def settle(self, grant: Grant, used: int, calls: int = 0, money: int = 0) -> None:
        """Charge what a turn used, in each scope, and refund the rest of its reservation.

        Args:
            grant: the turn's grant.
            used: input and output (tokens).
            calls: attempts that had an outcome or were lost.
            money: what they cost (units).
        """
        amounts = (max(used, 0), max(calls, 0), max(money, 0))  # a server may report anything, but gives nothing back
        if not self.shares:
            tokens, asked, spent = self.team
            tokens.settle(grant.reserved, amounts[TOKENS])
            asked.settle(grant.calls, amounts[CALLS])
            spent.settle(grant.money, amounts[MONEY])
            return
        held = (grant.reserved, grant.calls, grant.money)
        for scope in self.scopes(grant.share):
            for purse, reserved, amount in zip(scope, held, amounts, strict=True):
                purse.settle(reserved, amount)
