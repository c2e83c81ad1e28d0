"""The engine: plan, reserve, act, interpret, commit, fold, until the protocol has nobody left to ask.

An episode is one task on its own board. Episodes run side by side, but nothing that one does can change another, and
their events reach the log in the order of the tasks: the log never shows who was faster.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from agentsoc.backends.base import PureBackend
from agentsoc.budget.ledger import Grant, Ledger, Need
from agentsoc.engine.calls import Caller, Spent
from agentsoc.engine.host import Item
from agentsoc.engine.pool import Pool
from agentsoc.errors import RunFailedError
from agentsoc.events import COORDINATION, MAX_ROUNDS, SOCIETY, Event, pack_id
from agentsoc.log.manifest import Totals
from agentsoc.log.segments import SegmentWriter
from agentsoc.protocols.base import Act
from agentsoc.society.board import Board
from agentsoc.society.build import Society
from agentsoc.society.coded import CodedAgent
from agentsoc.society.turns import SLOT_WIDTH, Reply, Turn
from agentsoc.tasks.base import Task, normalise

Stop = str
"""Why an episode ended: ``finished``, ``budget_exhausted`` or ``max_rounds``."""


class InOrder:
    """Brings the events of concurrent episodes into the order of the log."""

    def __init__(self, writer: SegmentWriter) -> None:
        self._writer = writer
        self._waiting: dict[int, list[Event]] = {}
        self._ended: set[int] = set()
        self._head = 0

    def add(self, task: int, events: Sequence[Event]) -> None:
        """Take the events of one round of an episode."""
        if task == self._head:
            self._writer.add(events)
        else:
            self._waiting.setdefault(task, []).extend(events)

    def end(self, task: int) -> None:
        """Note that an episode has ended; pass on what waited for it."""
        self._ended.add(task)
        while self._head in self._ended:
            self._ended.discard(self._head)
            self._head += 1
            if self._head in self._waiting:
                self._writer.add(self._waiting.pop(self._head))


class Engine:
    """Runs the episodes of one scenario on a pool of hosts."""

    def __init__(
        self,
        society: Society,
        pool: Pool,
        caller: Caller,
        writer: SegmentWriter,
        boards: dict[int, Board],
        *,
        on_round: Callable[[], None] | None = None,
    ) -> None:
        self.society = society
        self.scenario = society.scenario
        self.protocol = society.scenario.protocol
        self.family = society.scenario.tasks
        self.pool = pool
        self.caller = caller
        self.boards = boards
        self.totals = Totals()
        self.ledgers: dict[int, Ledger] = {}
        self.stopping = False
        self._order = InOrder(writer)
        self._on_round = on_round
        self._kinds: Counter[str] = Counter()
        self._stops: Counter[str] = Counter()
        self._scores: list[tuple[int, float]] = []
        self._tokens_of_task: dict[int, int] = {}
        # which groups are asked through the journal, and which are functions of the seed
        self._asks_model = [
            not isinstance(group.model, CodedAgent) and backend.journaled
            for group, backend in zip(self.scenario.agents, self._backends(), strict=True)
        ]

    def _backends(self) -> list[PureBackend]:
        opened = [group.model.open(seed=self.scenario.seed) for group in self.scenario.agents]
        return opened  # type: ignore[return-value]

    @property
    def budget_per_task(self) -> int | None:
        """Ceiling of one episode (tokens)."""
        budget = self.scenario.budget
        return None if budget is None else budget.per_task(self.scenario.tasks.count)

    async def run(self, first: int = 0) -> Totals:
        """Run all episodes from task `first` on; return the totals."""
        n = self.scenario.tasks.count
        if self.scenario.episodes == "sequential":
            for index in range(first, n):
                if self.stopping:
                    break
                await self._episode(index)
        else:
            # enough episodes at once to keep every call slot busy, not so many that their boards fill the memory
            slots = asyncio.Semaphore(max(2 * self.scenario.engine.concurrency, 32))

            async def one(index: int) -> None:
                try:
                    if not self.stopping:
                        await self._episode(index)
                finally:
                    slots.release()

            async with asyncio.TaskGroup() as group:
                for index in range(first, n):
                    await slots.acquire()
                    if self.stopping:
                        slots.release()
                        break
                    group.create_task(one(index))
        return self.summary()

    def summary(self) -> Totals:
        """Return the totals so far."""
        self.totals.events_by_kind = dict(sorted(self._kinds.items()))
        self.totals.stops = dict(sorted(self._stops.items()))
        self.totals.events = sum(self._kinds.values())
        self.totals.tokens_overrun = sum(ledger.overrun for ledger in self.ledgers.values())
        if self._scores:
            self.totals.score = sum(score for _, score in sorted(self._scores)) / len(self._scores)
        return self.totals

    # One episode

    async def _episode(self, index: int) -> None:
        task = self.family.make(self.scenario.seed, index)
        board = self.boards[index] = Board(index, task)
        ledger = self.ledgers[index] = Ledger(self.budget_per_task)
        await self._keep_for_conclusion(index, ledger)
        stop: Stop = "finished"
        while True:
            if self.stopping:
                return  # the journal has everything; resume takes the episode up again
            turns = self.protocol.plan(self.society, board)
            if not turns:
                break
            if board.round + 2 >= MAX_ROUNDS:
                stop = "max_rounds"
                break
            refused = await self._round(board, task, ledger, turns)
            if refused:
                stop = "budget_exhausted"
                await self._conclude(board, task, ledger)
                break
        await self._close(board, task, stop)

    async def _round(self, board: Board, task: Task, ledger: Ledger, turns: Sequence[Turn]) -> bool:
        """Take one round; return whether the budget refused a turn."""
        items = [Item(board.task, board.round, turn) for turn in turns]
        free = ledger.budget is None
        modelled = [self._needs_model(turn) for turn in turns]
        if free and not any(modelled):
            replies = await self.pool.act(items)
            self._account(replies)
            await self._commit(board, task, turns, replies)
            return False
        needs = await self.pool.prepare(items)
        return await self._take(board, task, ledger, items, needs, modelled)

    async def _take(
        self,
        board: Board,
        task: Task,
        ledger: Ledger,
        items: Sequence[Item],
        needs: Sequence[Need],
        modelled: Sequence[bool],
    ) -> bool:
        grants = ledger.reserve(needs, self.scenario.calls.attempts)
        results: list[tuple[Reply, Spent] | None] = [None] * len(items)

        async def ask(position: int, grant: Grant) -> None:
            item = items[position]
            group = self.society.group_index(item.turn.agent)
            results[position] = await self.caller.turn(item, group, needs[position], grant)

        pure = [i for i, grant in enumerate(grants) if grant is not None and not modelled[i]]
        async with asyncio.TaskGroup() as group:
            for i, grant in enumerate(grants):
                if grant is not None and modelled[i]:
                    group.create_task(ask(i, grant))
            if pure:
                for i, reply in zip(pure, await self.pool.act([items[i] for i in pure]), strict=True):
                    results[i] = (reply, Spent(reply.tokens_in + reply.tokens_out))
        replies: list[Reply | None] = []
        for grant, result in zip(grants, results, strict=True):
            if grant is None or result is None:
                replies.append(None)
                continue
            reply, spent = result
            ledger.settle(grant, spent.tokens)
            self.totals.tokens_lost += spent.lost_tokens
            self.totals.calls_lost += spent.lost_calls
            replies.append(reply)
        self._account([reply for reply in replies if reply is not None])
        await self._commit(board, task, [item.turn for item in items], replies)
        return any(grant is None for grant in grants)

    def _needs_model(self, turn: Turn) -> bool:
        return self._asks_model[self.society.group_index(turn.agent)] and not turn.by_rule

    def _account(self, replies: Sequence[Reply]) -> None:
        self.totals.turns += len(replies)
        self.totals.rounds += 1
        self.totals.virtual_s += max((reply.latency_s for reply in replies), default=0.0)

    async def _keep_for_conclusion(self, index: int, ledger: Ledger) -> None:
        """Hold back what the concluding turn needs, so that a spent budget still gives an answer."""
        budget = self.scenario.budget
        if budget is None or not self.protocol.concludes or self.protocol.conclude(self.society, _Asked(index)) is None:
            return
        if budget.conclude is not None:
            ledger.keep(budget.conclude)
            return
        agent = self.society.wiring.root or 0
        bare = (await self.pool.prepare([Item(index, 0, Turn(agent, purpose="merge"))]))[0]
        fan_in = int(self.society.wiring.fan_in[agent]) or self.society.n
        ledger.keep(sum(bare.tokens_in[:1]) + bare.tokens_out + min(fan_in, 32) * self.scenario.message_tokens)

    async def _conclude(self, board: Board, task: Task, ledger: Ledger) -> None:
        """Take the protocol's concluding turn from what was held back."""
        ledger.release_kept()
        turn = self.protocol.conclude(self.society, board)
        if turn is None or ledger.budget is None:
            return
        turn = msgspec.structs.replace(turn, concluding=True)
        item = Item(board.task, board.round, turn)
        if not self._needs_model(turn):
            needs = await self.pool.prepare([item])
        else:
            needs = await self.pool.prepare([item], ledger.free)
        await self._take(board, task, ledger, [item], needs, [self._needs_model(turn)])

    # Commit

    async def _commit(self, board: Board, task: Task, turns: Sequence[Turn], replies: Sequence[Reply | None]) -> None:
        """Turn the replies of a round into events, in canonical order, and let everybody fold them."""
        events: list[Event] = []
        society, protocol = self.society, self.protocol
        for turn, reply in zip(turns, replies, strict=True):
            if reply is None:
                events.append(
                    Event(board.task, board.round, turn.agent, turn.slot * SLOT_WIDTH, "budget_exhausted")
                )
                continue
            if reply.failed is not None:
                acts: Sequence[Act] = (Act("call_failed", text=reply.failed),)
            else:
                acts = protocol.interpret(society, board, turn, reply) or (Act("flag", answer="silent"),)
                sent = protocol.deliveries(society, board, turn, acts)
                self.totals.deliveries += sent
                if sent:
                    self.totals.broadcasts += sum(1 for act in acts if act.kind in COORDINATION)
            if len(acts) > SLOT_WIDTH:
                raise RunFailedError(f"agent {turn.agent} made {len(acts)} acts in one turn; at most {SLOT_WIDTH}")
            events.extend(self._events(board, task, turn, reply, acts))
        given = [reply if reply is not None else Reply() for reply in replies]
        for k, (name, text) in enumerate(protocol.flags(society, board, turns, given).items()):
            events.append(Event(board.task, board.round, SOCIETY, k, "flag", answer=name, text=text))
        events.sort(key=_order)
        await self._log(board, events)

    def _events(self, board: Board, task: Task, turn: Turn, reply: Reply, acts: Sequence[Act]) -> list[Event]:
        events = []
        for j, act in enumerate(acts):
            k = turn.slot * SLOT_WIDTH + j
            here = pack_id(board.round, turn.agent, k)
            kind = act.kind
            mints = kind in _MINTING
            first = j == 0
            events.append(
                Event(
                    board.task,
                    board.round,
                    turn.agent,
                    k,
                    kind,
                    here if mints else None,
                    act.parents,
                    act.target,
                    here if act.mints_subtask else act.subtask,
                    act.subtask_parent,
                    act.answer,
                    self._score(board, task, act) if act.answer is not None and kind in _SCORED else None,
                    act.confidence,
                    act.text,
                    reply.calls if first else 0,
                    reply.tokens_in if first else 0,
                    reply.tokens_cached if first else 0,
                    reply.tokens_out if first else 0,
                )
            )
        return events

    def _score(self, board: Board, task: Task, act: Act) -> float | None:
        """Return the verifier's score of an answer: to the question, or to a part of it; None for other subtasks."""
        if act.subtask is None or act.subtask not in board.subtasks:
            return self.family.score(task, act.answer)
        text = board.subtasks[act.subtask].text
        if text in task.parts and task.part_truths:
            truth = task.part_truths[task.parts.index(text)]
            return 1.0 if act.answer is not None and normalise(act.answer) == normalise(truth) else 0.0
        return self.family.score(task, act.answer) if text == task.question else None

    async def _log(self, board: Board, events: Sequence[Event]) -> None:
        for event in events:
            self._kinds[event.kind] += 1
            self.totals.calls += event.calls
            self.totals.tokens_in += event.tokens_in
            self.totals.tokens_cached += event.tokens_cached
            self.totals.tokens_out += event.tokens_out
            if event.kind == "call_failed":
                self.totals.calls_failed += 1
        self._order.add(board.task, events)
        board.fold(events)
        await self.pool.fold(board.task, events)
        if self._on_round is not None:
            self._on_round()

    async def _close(self, board: Board, task: Task, stop: Stop) -> None:
        """Log the society's answer and why the episode ended."""
        decision = self.protocol.decide(self.society, board)
        answer = decision.answer
        score = self.family.score(task, answer) if answer is not None else 0.0
        parents = () if decision.claim is None else (decision.claim,)
        tie = "tie: " + ", ".join(decision.tied) if decision.tied else None
        closing = [
            Event(board.task, board.round, SOCIETY, 0, "answer", None, parents, answer=answer, correct=score, text=tie),
            Event(board.task, board.round, SOCIETY, 1, "stop", answer=stop),
        ]
        await self._log(board, closing)
        self._order.end(board.task)
        self._scores.append((board.task, score))
        self._stops[stop] += 1
        self.totals.episodes += 1
        self.totals.answered += answer is not None
        self.boards.pop(board.task, None)


_MINTING = frozenset({"propose_claim", "revise_claim", "contradict_claim", "merge_claims"})
_SCORED = _MINTING | {"endorse_claim"}


def _order(event: Event) -> tuple[int, int]:
    return event.agent, event.k


class _Asked(Board):
    """A board on which everybody has spoken: protocols are asked with it whether concluding takes a model."""

    def __init__(self, task: int) -> None:
        super().__init__(task)
        self.standing = {1: 0}
