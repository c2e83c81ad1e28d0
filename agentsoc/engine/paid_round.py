"""This module pays for a round: it reserves, lets the turns act, settles, and goes on until no turn waits any more.

By the rules that a run is made by: ``reserve: 1`` reserves a round at once, ``reserve: 2`` by waves
(`agentsoc.budget.waves`). Whoever reads the round (protocol, board, log) sees it once, after its last wave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from agentsoc.budget.account import Account
from agentsoc.budget.at_once import reserve_at_once
from agentsoc.budget.ledger import Grant, Need
from agentsoc.budget.spent import Spent
from agentsoc.budget.waves import WaveQueue
from agentsoc.contracts.board import Board
from agentsoc.contracts.turns import Reply
from agentsoc.engine.attempts import PlannedTurn, TurnUnderWay
from agentsoc.engine.run_state import ScenarioEpoch

_TASKS_PER_SLOT = 4
"""Turns under way for each call slot: some pause before another attempt, and the slot is not to wait for them."""


@dataclass
class RoundTaken:
    """The object says what came of a round."""

    replies: list[Reply | None]
    """The reply of each turn, in turn order; None for one that the budget refused."""
    caps: list[int]
    """The output cap that each turn of a model was granted last (tokens); 0 for one that was not taken."""
    waves: int = 0
    """Times that the turns of the round waited for a reservation together."""
    virtual_s: float = 0.0
    """Simulated time: the slowest turn of each wave, summed (seconds)."""
    lost: Spent = field(default_factory=Spent)
    """What was charged to the round; of interest is what of it has unknown usage."""


class PaidRound:
    """A paid round takes the turns of one round of an episode under its budget."""

    def __init__(
        self,
        epoch: ScenarioEpoch,
        account: Account,
        board: Board,
        planned: Sequence[PlannedTurn],
        needs: Sequence[Need],
        modelled: Sequence[bool],
    ) -> None:
        """Prepare.

        Args:
            epoch: the society and its hosts.
            account: who pays.
            board: of the episode, as it was before the round.
            planned: the turns, in turn order.
            needs: what each of them asks for.
            modelled: for each whether it is a model call; the others use exactly what they are granted.
        """
        self._epoch, self._account, self._board = epoch, account, board
        self._planned, self._needs, self._modelled = planned, needs, modelled
        self._attempts = epoch.society.scenario.calls.attempts
        self._turns: list[TurnUnderWay | None] = [None] * len(planned)
        turns = [each.turn for each in planned]
        self._shares, self._rates = account.shares(board, turns), account.turn_rates(turns)
        self._taken = RoundTaken([None] * len(planned), [0] * len(planned))

    async def take(self) -> RoundTaken:
        """Take the round and return what came of it."""
        ledger = self._account.ledger
        if ledger.walled and (self._epoch.society.rules.reserve == 1 or not any(self._modelled)):
            found = reserve_at_once(ledger, self._needs, self._attempts, self._shares, self._rates)
            await self._wave([(place, grant) for place, grant in enumerate(found) if grant is not None], queued=False)
        else:
            exact = [not model for model in self._modelled]
            queue = WaveQueue(ledger, self._needs, self._attempts, self._shares, self._rates, exact)
            await self._waves(queue)
        return self._taken

    async def _waves(self, queue: WaveQueue) -> None:
        """Take the waves of a round, one after the other."""
        queued = self._account.ledger.walled
        grants = queue.whole()
        if grants is not None:
            await self._wave(grants, queued=queued)
            self._queue_again(queue, grants)
        while queue.waiting:
            wave = queue.next()
            for place in wave.refused:
                turn = self._turns[place]
                if turn is None:
                    await self._epoch.caller.refuse(self._board.task, self._board.round, self._planned[place].turn)
                else:  # it had an attempt: what it said before stands, or the call has failed
                    turn.give_up()
                    self._epoch.caller.flight.failed += 1
                    self._taken.replies[place] = turn.result()
            await self._wave(wave.grants, queued=queued)
            self._queue_again(queue, wave.grants)

    def _queue_again(self, queue: WaveQueue, grants: Sequence[tuple[int, Grant]]) -> None:
        for place, _ in grants:
            turn = self._turns[place]
            if turn is not None and not turn.ended:
                queue.again(place, turn.left())

    async def _wave(self, grants: Sequence[tuple[int, Grant]], *, queued: bool) -> None:
        """Let turns act that were granted something, and settle what that cost, in their order.

        Args:
            grants: place of each turn with its grant.
            queued: whether what has no reply yet may be granted more.
        """
        if not grants:
            return
        costs = await self._act(grants, queued)
        taken, account, turns = self._taken, self._account, self._turns
        slowest = 0.0
        for (place, grant), spent in zip(grants, costs, strict=True):
            account.settle(grant, self._planned[place].turn.agent, spent)
            if spent.lost_tokens or spent.lost_calls:
                taken.lost.add(spent)
            turn = turns[place]
            if turn is not None and turn.ended:
                taken.replies[place] = turn.result()
            reply = taken.replies[place]
            if reply is not None and reply.latency_s > slowest:
                slowest = reply.latency_s
        taken.waves += 1
        taken.virtual_s += slowest

    async def _act(self, grants: Sequence[tuple[int, Grant]], queued: bool) -> list[Spent]:
        """Return what each turn cost: models and other agents are asked at once."""
        epoch, modelled = self._epoch, self._modelled
        costs: list[Spent | None] = [None] * len(grants)
        due = iter([(i, place, grant) for i, (place, grant) in enumerate(grants) if modelled[place]])
        # more tasks than calls in flight, as a turn may pause before its next attempt; not one for each of a million
        # turns; none at all where nothing has to be waited for
        n_tasks = min(
            sum([modelled[place] for place, _ in grants]), _TASKS_PER_SLOT * epoch.society.scenario.engine.concurrency
        )
        if n_tasks and epoch.caller.answered(self._board.task, self._board.log_round):
            await self._ask(due, costs, queued)
            n_tasks = 0
        pure = [(i, place, grant) for i, (place, grant) in enumerate(grants) if not modelled[place]]
        async with asyncio.TaskGroup() as group:
            for _ in range(n_tasks):
                group.create_task(self._ask(due, costs, queued))
            if pure:
                await self._compute(pure, costs)
        return [Spent() if spent is None else spent for spent in costs]

    async def _ask(self, due: Iterator[tuple[int, int, Grant]], costs: list[Spent | None], queued: bool) -> None:
        """Ask models; shared by all tasks of the wave: each takes the next turn that is due."""
        caller, group_index = self._epoch.caller, self._epoch.society.group_index
        for i, place, grant in due:
            turn = self._turns[place]
            if turn is None:
                planned = self._planned[place]
                group = group_index(planned.turn.agent)
                attempts = self._attempts if queued else grant.attempts
                turn = TurnUnderWay(planned, group, self._needs[place], attempts, queued)
                self._turns[place] = turn
            self._taken.caps[place] = grant.tokens_out
            costs[i] = await caller.turn(turn, grant)

    async def _compute(self, pure: Sequence[tuple[int, int, Grant]], costs: list[Spent | None]) -> None:
        """Let agents act that ask no model."""
        planned = [self._planned[place] for _, place, _ in pure]
        if any(self._epoch.elastic):
            planned = [
                msgspec.structs.replace(each, cap=grant.tokens_out)
                for each, (_, _, grant) in zip(planned, pure, strict=True)
            ]
        replies = await self._epoch.pool.act(planned)
        for (i, place, _), reply in zip(pure, replies, strict=True):
            costs[i] = Spent.by(reply)
            self._taken.replies[place] = reply
