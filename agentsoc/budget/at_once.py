"""This module reserves a round at once, by the rules ``reserve: 1``: all attempts of all its turns before any call.

Runs that were made by these rules replay, resume and fork by them for ever, so nothing here changes. Rounds in which
nothing that is reserved can come back (simulated agents use exactly what they are granted) are reserved like this by
every version of the rules.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentsoc.budget.ledger import OUT_MIN, Grant, Ledger, Need
from agentsoc.budget.purse import CALLS, MONEY, TOKENS, Lenders, Purse, cost_of, hold, reply_room, times_paid
from agentsoc.scenario.prices import FREE, Rate


def reserve_at_once(
    ledger: Ledger,
    needs: Sequence[Need],
    attempts: int,
    shares: Sequence[int | None] | None = None,
    rates: Sequence[Rate] | None = None,
) -> list[Grant | None]:
    """Return a grant per need, in order; None for a turn that cannot be paid for.

    First every turn gets one attempt per call with its full output cap while that lasts, the next one a smaller
    cap; then repeated attempts are granted from what remains, in the same order.

    Args:
        ledger: who pays.
        needs: what the turns of a round ask for, in turn order.
        attempts: most attempts of one call.
        shares: which share pays for each turn; left out, what no share was given.
        rates: what the model of each turn costs; left out, nothing.
    """
    if not ledger.walled:
        return [Grant(need.tokens_out, attempts, 0) for need in needs]
    if not ledger.shares and ledger.team[CALLS].limit is None and ledger.team[MONEY].limit is None:
        whole = _whole(ledger.team[TOKENS], needs, attempts)
        if whole is not None:
            return whole
    of = [None] * len(needs) if shares is None else shares
    at = [FREE] * len(needs) if rates is None else rates
    lenders = ledger.lenders(of)
    first = [_first(need, ledger.scopes(s), rate, lenders) for need, s, rate in zip(needs, of, at, strict=True)]
    grants: list[Grant | None] = []
    for need, given, share, rate in zip(needs, first, of, at, strict=True):
        if given is None:
            grants.append(None)
            continue
        cap, held = given
        n_calls = len(need.tokens_in)
        more = 0
        if n_calls and attempts > 1:
            scopes = ledger.scopes(share)
            tokens_in = sum(need.tokens_in) + n_calls * need.again
            again = cost_of(tokens_in, n_calls * cap, n_calls if need.asks else 0, rate)
            more = min([attempts - 1, *(times_paid(scope, again) for scope in scopes)])
            held = [a + more * b for a, b in zip(held, hold(scopes, again, more), strict=True)]
        tokens, calls, money = held
        grants.append(Grant(cap, 1 + more, tokens, calls, money, share))
    ledger.note_due(of)
    return grants


def _whole(purse: Purse, needs: Sequence[Need], attempts: int) -> list[Grant | None] | None:
    """Reserve all that a round may take where the tokens of the team pay for it, the usual case; else None."""
    free = purse.free
    grants: list[Grant | None] = []
    for need in needs:
        tokens_in, cap = need.tokens_in, need.tokens_out
        if len(tokens_in) == 1:
            reserved = attempts * (tokens_in[0] + cap) + (attempts - 1) * need.again
            grants.append(Grant(cap, attempts, reserved))
        elif tokens_in:
            n_calls = len(tokens_in)
            reserved = attempts * (sum(tokens_in) + n_calls * cap) + (attempts - 1) * n_calls * need.again
            grants.append(Grant(cap, attempts, reserved))
        else:
            reserved = 0
            grants.append(Grant(0, 1, 0))
        free -= reserved
        if free < 0:
            return None
    purse.reserved += purse.free - free
    return grants


def _first(need: Need, scopes: Sequence[list[Purse]], rate: Rate, lenders: Lenders) -> tuple[int, list[int]] | None:
    """Reserve one attempt per call; return the output cap and what is held of each resource."""
    n_calls = len(need.tokens_in)
    if n_calls == 0:
        return 0, [0, 0, 0]
    tokens_in, asked = sum(need.tokens_in), n_calls if need.asks else 0
    lent = ((0, 0, 0), lenders.free)
    room = min(
        reply_room(scope, more, (tokens_in, n_calls, asked), rate) for scope, more in zip(scopes, lent, strict=False)
    )
    if room < (need.tokens_out if need.whole else min(OUT_MIN, need.tokens_out)):
        return None
    cap = min(need.tokens_out, room)
    cost = cost_of(tokens_in, n_calls * cap, asked, rate)
    if len(scopes) > 1:
        lenders.help(scopes[1], cost)
    return cap, hold(scopes, cost, 1)
