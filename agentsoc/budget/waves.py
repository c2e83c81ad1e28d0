"""This module reserves a round by waves, the rules ``reserve: 2``: nobody is refused for what others only hold.

Where all attempts of all turns fit, they are reserved together: one wave. Otherwise the turns of the round stand in a
queue: one attempt for each, in turn order; then another one for those that need it, in turn order; and so on. A wave is
the longest part of the queue, from its head, that fits at once; the next one is reserved when this one is settled. A
turn that does not fit waits as long as its purse holds anything that may come back. One that does not fit when nothing
is held is refused, and the queue goes on. So everybody gets what asking one after the other would give.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Literal, NamedTuple

from agentsoc.budget.ledger import OUT_MIN, Grant, Ledger, Need
from agentsoc.budget.purse import CALLS, MONEY, NOTHING_LENT, TOKENS, cost_of, hold, reply_room, times_paid
from agentsoc.scenario.prices import FREE, Rate


class Wave(NamedTuple):
    """A wave holds what was reserved at once, in the order of the queue."""

    grants: list[tuple[int, Grant]]
    """Place of each turn in its round, with what it was granted."""
    refused: list[int]
    """Places of the turns that do not fit, whatever comes back."""


class WaveQueue:
    """The queue holds the turns of a round that wait for a reservation."""

    def __init__(
        self,
        ledger: Ledger,
        needs: Sequence[Need],
        attempts: int,
        shares: Sequence[int | None] | None = None,
        rates: Sequence[Rate] | None = None,
        exact: Sequence[bool] | None = None,
    ) -> None:
        """Queue the turns of a round.

        Args:
            ledger: who pays. Nothing is reserved in it.
            needs: what the turns ask for, in turn order.
            attempts: most attempts of one call.
            shares: which share pays for each turn; left out, what no share was given.
            rates: what the model of each turn costs; left out, nothing.
            exact: for each turn whether it uses exactly what it is granted, in one attempt; left out, none does.
        """
        n = len(needs)
        self._ledger = ledger
        self._needs = list(needs)
        self._attempts = attempts
        self._shares = [None] * n if shares is None else shares
        self._rates = [FREE] * n if rates is None else rates
        self._exact = [False] * n if exact is None else exact
        self._lenders = ledger.lenders(self._shares)
        self._turn = [0] * n
        """Reservations that each turn had."""
        self._queue = [(0, place) for place in range(n)]
        self._team_holds = False
        """Whether the wave that is being made holds anything that may come back, in the team's purse."""
        self._shares_hold: set[int | None] = set()
        ledger.note_due(self._shares)

    @property
    def waiting(self) -> bool:
        """Tell whether a turn waits for a reservation."""
        return bool(self._queue)

    def whole(self) -> list[tuple[int, Grant]] | None:
        """Reserve all attempts of all turns and empty the queue, where they fit; else None."""
        ledger, attempts = self._ledger, self._attempts
        grants: list[tuple[int, Grant]] = []
        if not ledger.walled:
            grants = [(place, Grant(need.tokens_out, attempts, 0)) for place, need in enumerate(self._needs)]
        elif not ledger.shares and ledger.team[CALLS].limit is None and ledger.team[MONEY].limit is None:
            purse, total = ledger.team[TOKENS], 0
            for place, need in enumerate(self._needs):
                times = 1 if self._exact[place] else attempts
                tokens = sum(_all_tokens(need, times))
                total += tokens
                grants.append((place, Grant(need.tokens_out, times, tokens)))
            if total > max(purse.free, 0):
                return None
            purse.reserved += total
        else:
            found = self._whole_of_all()
            if found is None:
                return None
            grants = found
        self._queue.clear()
        self._turn = [1] * len(self._turn)
        return grants

    def _whole_of_all(self) -> list[tuple[int, Grant]] | None:
        """Do what `whole` does, for shares and for calls and money."""
        ledger = self._ledger
        costs = []
        team, of_shares = [0, 0, 0], {share: [0, 0, 0] for share in self._shares}
        for place, need in enumerate(self._needs):
            times = 1 if self._exact[place] else self._attempts
            asked = times * len(need.tokens_in) if need.asks else 0
            cost = cost_of(*_all_tokens(need, times), asked, self._rates[place])
            costs.append((times, cost))
            of_share = of_shares[self._shares[place]]
            for resource, amount in enumerate(cost):
                team[resource] += amount
                of_share[resource] += amount
        for share, total in of_shares.items():
            scopes = ledger.scopes(share)
            if not times_paid(scopes[0], team) or not all(times_paid(scope, total) for scope in scopes[1:]):
                return None
        grants = []
        for place, (need, (times, cost)) in enumerate(zip(self._needs, costs, strict=True)):
            share = self._shares[place]
            tokens, calls, money = hold(ledger.scopes(share), cost, 1)
            grants.append((place, Grant(need.tokens_out, times, tokens, calls, money, share)))
        return grants

    def next(self) -> Wave:
        """Reserve the next wave: nothing of the ones before is held any more."""
        wave = Wave([], [])
        self._team_holds = False
        self._shares_hold.clear()
        while self._queue:
            _, place = self._queue[0]
            given = self._reserve(place)
            if given == "waits":
                break
            heapq.heappop(self._queue)
            self._turn[place] += 1
            if given is None:
                wave.refused.append(place)
            else:
                wave.grants.append((place, given))
        return wave

    def again(self, place: int, need: Need) -> None:
        """Let a turn of a wave that is settled wait for another reservation.

        Args:
            place: of the turn in its round.
            need: what is left of it: the calls that it has not made, the one that is to be repeated first.
        """
        self._needs[place] = need
        heapq.heappush(self._queue, (self._turn[place], place))

    def _reserve(self, place: int) -> Grant | Literal["waits"] | None:
        """Return one attempt for each call of a turn; None where it does not fit with nothing held."""
        need, share, rate = self._needs[place], self._shares[place], self._rates[place]
        n_calls, cap = len(need.tokens_in), need.tokens_out
        if not n_calls:
            return Grant(0, 1, 0)
        tokens_in, asked = sum(need.tokens_in), n_calls if need.asks else 0
        scopes = self._ledger.scopes(share)
        cost = cost_of(tokens_in, n_calls * cap, asked, rate)
        short = [i for i, scope in enumerate(scopes) if not times_paid(scope, cost)]
        if short:
            least = cap if need.whole else min(OUT_MIN, cap)
            holds = (self._team_holds, share in self._shares_hold)
            lent = (NOTHING_LENT, self._lenders.free)
            rooms = {i: reply_room(scopes[i], lent[i], (tokens_in, n_calls, asked), rate) for i in short}
            if any(rooms[i] < least and not holds[i] for i in short):
                return None
            if any(holds[i] for i in short):
                return "waits"
            cap = min(cap, *rooms.values())
            cost = cost_of(tokens_in, n_calls * cap, asked, rate)
            if len(scopes) > 1:
                self._lenders.help(scopes[1], cost)
        held = hold(scopes, cost, 1)
        if any(held) and not self._exact[place]:
            self._team_holds = True
            self._shares_hold.add(share)
        tokens, calls, money = held
        return Grant(cap, 1, tokens, calls, money, share)


def _all_tokens(need: Need, times: int) -> tuple[int, int]:
    """Return what all attempts of a turn may take (tokens in, out)."""
    n_calls = len(need.tokens_in)
    return times * sum(need.tokens_in) + (times - 1) * n_calls * need.again, times * n_calls * need.tokens_out
