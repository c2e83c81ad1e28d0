"""The engine: plan, reserve, act, interpret, commit, fold, until the protocol has nobody left to ask.

An episode is one task on its own board. Episodes run side by side, but nothing that one does can change another, and
their events reach the log in the order of the tasks: the log never shows who was faster.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from agentsoc.budget.account import Account, rates_of
from agentsoc.budget.ledger import Ledger, Need
from agentsoc.contracts.board import Board
from agentsoc.contracts.model import ElasticBackend
from agentsoc.contracts.protocol import DISCARDED, Act
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import SLOT_WIDTH, Reply, Turn
from agentsoc.contracts.world import asked
from agentsoc.engine.attempts import PlannedTurn
from agentsoc.engine.calls import Caller, Spent
from agentsoc.engine.pool import Pool
from agentsoc.errors import RunFailedError
from agentsoc.events import CLAIMING, COORDINATION, MAX_K, MAX_ROUNDS, SOCIETY, Event, pack_id
from agentsoc.log.episodes import UNDER_WAY, EpisodeRow, EpisodeTable
from agentsoc.log.segments import SegmentWriter
from agentsoc.protocols.faults import planted
from agentsoc.society.build import BuiltSociety, new_watchers, open_board
from agentsoc.society.coded import CodedAgent
from agentsoc.society.reply_form import CHARS_PER_TOKEN

Stop = str
"""Why an episode ended: ``finished``, ``budget_exhausted`` or ``max_rounds``."""


class InOrder:
    """Brings the events of concurrent episodes, and their rows, into the order of the log."""

    def __init__(self, writer: SegmentWriter, episodes: EpisodeTable) -> None:
        self._writer = writer
        self._episodes = episodes
        self._waiting: dict[int, list[Event]] = {}
        self._ended: dict[int, EpisodeRow] = {}
        self._head = 0

    def add(self, task: int, events: Sequence[Event]) -> None:
        """Take the events of one round of an episode."""
        if task == self._head:
            self._writer.add(events)
        else:
            self._waiting.setdefault(task, []).extend(events)

    def end(self, row: EpisodeRow) -> None:
        """Take the row of an episode that has ended; pass on what waited for it."""
        self._ended[row.task] = row
        while self._head in self._ended:
            self._episodes.add(self._ended.pop(self._head))
            self._head += 1
            if self._head in self._waiting:
                self._writer.add(self._waiting.pop(self._head))

    def close(self, under_way: Sequence[EpisodeRow]) -> None:
        """Pass on everything that was committed, of episodes under way as well: the run ends here."""
        rows = {row.task: row for row in under_way} | self._ended
        for task in sorted(rows):
            self._writer.add(self._waiting.pop(task, ()))
            self._episodes.add(rows[task])
        self._ended.clear()


@dataclass(frozen=True)
class ScenarioEpoch:
    """A society with its hosts, and the place in the run from which it acts. A fork has two of them."""

    start: tuple[int, int]
    """(task, round) from which this side acts."""
    society: BuiltSociety
    pool: Pool
    caller: Caller

    @cached_property
    def asks_model(self) -> list[bool]:
        """Per group, whether its agents are asked through the journal or are functions of the seed."""
        return [
            not isinstance(group.model, CodedAgent) and group.model.open(seed=self.society.seed).journaled
            for group in self.society.scenario.agents
        ]

    def needs_model(self, turn: Turn) -> bool:
        """Return whether a turn is a model call."""
        return self.asks_model[self.society.group_index(turn.agent)] and not turn.by_rule

    @property
    def budget_per_task(self) -> int | None:
        """Ceiling of one episode (tokens)."""
        budget = self.society.scenario.budget
        return None if budget is None else budget.per_task(self.society.scenario.tasks.count)

    @cached_property
    def elastic(self) -> list[bool]:
        """Per group, whether its agents decide themselves what they spend."""
        return [
            isinstance(group.model.open(seed=self.society.seed), ElasticBackend)
            for group in self.society.scenario.agents
        ]


class Pace(msgspec.Struct):
    """How far a run is, for whoever shows it; what it amounts to is a fold of its log."""

    episodes: int = 0
    tokens: int = 0
    calls_lost: int = 0


class Engine:
    """Runs the episodes of a scenario; after a fork, the first ones on the old side."""

    def __init__(self, sides: Sequence[ScenarioEpoch], writer: SegmentWriter, boards: dict[int, Board]) -> None:
        """Prepare a run.

        Args:
            sides: by their start; the first starts at (0, 0), the last one is the run's own scenario.
            writer: takes the events in canonical order.
            boards: the boards of the episodes under way, shared with hosts in this process.
        """
        self.sides = sorted(sides, key=lambda side: side.start)
        self.society = self.sides[-1].society
        self.family = self.society.scenario.tasks
        self.boards = boards
        self.ledgers: dict[int, Ledger] = {}
        self.episodes = EpisodeTable()
        writer.episodes = lambda: self.episodes.totals
        self.order = InOrder(writer, self.episodes)
        self.stopping = False
        """Set to end the run in order: rounds under way are finished, no new one is begun."""
        self.pace = Pace()
        self.open: dict[int, Episode] = {}
        """Episodes under way."""
        self._task: asyncio.Task[Any] | None = None

    def side_at(self, task: int, round_: int) -> ScenarioEpoch:
        """Return the side that acts in a round."""
        return next(side for side in reversed(self.sides) if side.start <= (task, round_))

    async def run(self) -> None:
        """Run all episodes, unless the run is asked to stop."""
        self._task = asyncio.current_task()
        with fewer_collections():
            await self._run()

    async def _run(self) -> None:
        scenario = self.society.scenario
        n = scenario.tasks.count
        if scenario.episodes == "sequential":
            for index in range(n):
                if self.stopping:
                    break
                await Episode(self, index).run()
            return
        # enough episodes at once to keep every call slot busy, not so many that their boards fill the memory
        slots = asyncio.Semaphore(max(2 * scenario.engine.concurrency, 32))

        async def one(index: int) -> None:
            try:
                await Episode(self, index).run()
            finally:
                slots.release()

        async with asyncio.TaskGroup() as group:
            for index in range(n):
                await slots.acquire()
                if self.stopping:
                    break
                group.create_task(one(index))

    async def wind_down(self, grace_s: float) -> None:
        """End the run in order: no new call, those in flight may finish for a while, then everything is let go.

        What is cut off stays `started` in the journal and is made again on resume.
        """
        self.stopping = True
        callers = [side.caller for side in self.sides]
        for caller in callers:
            caller.holding = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await asyncio.gather(*(caller.idle() for caller in callers))
        await asyncio.sleep(0.05)  # replies that have just come are on their way to the journal
        if self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """Hand everything that was committed to the log: the run ends here, whatever was under way."""
        rows = [episode.row_so_far() for episode in self.open.values()]
        self.order.close([row for row in rows if row.events])
        self.open.clear()


class Episode:
    """One task on its own board, from the first plan to the stop."""

    def __init__(self, engine: Engine, index: int) -> None:
        self.engine = engine
        self.index = index
        self.family = engine.family
        self.task: Task = engine.family.make(engine.society.scenario.tasks_seed, index)
        self.board = engine.boards[index] = open_board([side.society for side in engine.sides], index, self.task)
        self.row = EpisodeRow(index)
        self._scores: dict[str | None, float] = {}
        """What the verifier said of answers to the question, which many agents give alike."""
        self.side = engine.side_at(index, 0)
        self.account = Account(self.side.society, self.task)
        self.ledger = engine.ledgers[index] = self.account.ledger
        engine.open[index] = self

    async def run(self) -> None:
        """Take rounds until the protocol has nobody left to ask or the budget refuses a turn."""
        self._keep_for_conclusion()
        stop: Stop = "finished"
        while True:
            if self.engine.stopping:
                return  # the journal has everything; resume takes the episode up again
            self._change_sides()
            turns = self.side.society.scenario.protocol.plan(self.side.society, self.board)
            if not turns:
                break
            if self.board.round + 2 >= MAX_ROUNDS:
                stop = "max_rounds"
                break
            if await self._round(turns):
                stop = "budget_exhausted"
                await self._conclude()
                break
        await self._close(stop)

    def _change_sides(self) -> None:
        side = self.engine.side_at(self.index, self.board.round)
        if side is not self.side:
            self.side = side
            self.account.enter(side.society)
            self._keep_for_conclusion()

    async def _round(self, turns: Sequence[Turn]) -> bool:
        """Take one round; return whether the budget refused a turn."""
        index, round_ = self.index, self.board.round
        needs_model, room = self.side.needs_model, self.side.caller.room
        if any(self.side.asks_model):
            modelled = [needs_model(turn) for turn in turns]
            items = [  # with what the journal knows of a turn, so that it is granted what it was granted before
                PlannedTurn(index, round_, turn, room(index, round_, turn) if model else None)
                for turn, model in zip(turns, modelled, strict=True)
            ]
        else:
            modelled = [False] * len(turns)
            items = [PlannedTurn(index, round_, turn) for turn in turns]
        if self.account.shown is not None:
            items = [self._told(item) for item in items]
        if not self.ledger.walled and not any(modelled):
            replies = await self.side.pool.act(items)
            self.ledger.charged += sum([reply.tokens_in + reply.tokens_out for reply in replies])
            await self._commit(turns, replies)
            return False
        needs = await self.side.pool.prepare(items)
        return await self._take(items, needs, modelled)

    async def _take(self, items: Sequence[PlannedTurn], needs: Sequence[Need], modelled: Sequence[bool]) -> bool:
        """Reserve, act, settle and commit; return whether a turn was refused."""
        side, ledger = self.side, self.ledger
        taken = [item.turn for item in items]
        shares, rates = self.account.shares(self.board, taken), self.account.turn_rates(taken)
        grants = ledger.reserve(needs, side.society.scenario.calls.attempts, shares, rates)
        if any(side.elastic):
            items = [
                item if grant is None else msgspec.structs.replace(item, cap=grant.tokens_out)
                for item, grant in zip(items, grants, strict=True)
            ]
        results: list[tuple[Reply, Spent] | None] = [None] * len(items)

        due = iter([(i, grant) for i, grant in enumerate(grants) if grant is not None and modelled[i]])

        async def ask() -> None:
            for position, grant in due:  # shared by all tasks of the round: each takes the next turn that is due
                item = items[position]
                group = side.society.group_index(item.turn.agent)
                results[position] = await side.caller.turn(item, group, needs[position], grant)

        # more tasks than calls in flight, as a turn may pause before its next attempt; not one for each of a million
        # turns; none at all where nothing has to be waited for
        n_tasks = min(sum(modelled), _TASKS_PER_SLOT * side.society.scenario.engine.concurrency)
        if n_tasks and side.caller.answered(self.index, self.board.round):
            await ask()
            n_tasks = 0
        pure = [i for i, grant in enumerate(grants) if grant is not None and not modelled[i]]
        async with asyncio.TaskGroup() as group:
            for _ in range(n_tasks):
                group.create_task(ask())
            if pure:
                for i, reply in zip(pure, await side.pool.act([items[i] for i in pure]), strict=True):
                    results[i] = (reply, Spent(reply.tokens_in + reply.tokens_out))
        replies: list[Reply | None] = []
        tokens_lost = calls_lost = 0
        for turn, grant, result in zip(taken, grants, results, strict=True):
            if grant is None or result is None:
                replies.append(None)
                continue
            reply, spent = result
            lost = spent.lost_in, spent.lost_tokens - spent.lost_in, spent.lost_calls
            self.account.settle(grant, turn.agent, reply, spent.tokens, *lost)
            tokens_lost += spent.lost_tokens
            calls_lost += spent.lost_calls
            replies.append(reply)
        self.row.tokens_lost += tokens_lost
        self.row.calls_lost += calls_lost
        pace = self.engine.pace
        pace.tokens += tokens_lost
        pace.calls_lost += calls_lost
        await self._commit(taken, replies)
        if shares is not None:  # whose share is spent is not asked; the others go on as long as there are any
            return all(grant is None for grant in grants)
        return any(grant is None for grant in grants)

    def _told(self, item: PlannedTurn) -> PlannedTurn:
        """Add what the agent is told of the budget."""
        told = self.account.tell(self.board, item.turn)
        return msgspec.structs.replace(item, left=told.left, team_left=told.team_left, note=told.note)

    def _keep_for_conclusion(self) -> None:
        """Hold back what the concluding turn needs, so that a spent budget still gives an answer."""
        society = self.side.society
        if society.scenario.budget is not None:
            self.account.divide(self._conclusion(society), society.wiring.root or 0)

    def _conclusion(self, society: BuiltSociety) -> int | None:
        """Return what the concluding turn needs (tokens); None when there is none."""
        budget, protocol = society.scenario.budget, society.scenario.protocol
        if budget is None or not protocol.concludes or protocol.conclude(society, _Asked(society, self.index)) is None:
            return None
        if budget.conclude is not None:
            return budget.conclude
        # An estimate will do, as the concluding prompt is cut to what was kept; counting would need the tokenizer.
        agent = society.wiring.root or 0
        fan_in = int(society.wiring.fan_in[agent]) or society.n
        question = (len(self.task.question) + _FRAME_CHARS) // CHARS_PER_TOKEN
        shown = min(fan_in, 32) * society.scenario.message_tokens
        return question + shown + society.group(agent).max_tokens

    async def _conclude(self) -> None:
        """Take the protocol's concluding turn from what was held back."""
        turn = self.side.society.scenario.protocol.conclude(self.side.society, self.board)
        if turn is None:
            self.ledger.release_kept()
            return
        turn = msgspec.structs.replace(turn, concluding=True)
        share = self.account.share(self.board, turn)
        self.ledger.release_kept(share)
        modelled = self.side.needs_model(turn)
        room = self.side.caller.room(self.index, self.board.round, turn) if modelled else None
        item = PlannedTurn(self.index, self.board.round, turn, room)
        if self.account.shown is not None:
            item = self._told(item)
        room_left = self.ledger.room(share, self.account.rate(turn.agent)) if modelled else None
        needs = await self.side.pool.prepare([item], room_left)
        await self._take([item], needs, [modelled])

    async def _commit(self, turns: Sequence[Turn], replies: Sequence[Reply | None]) -> None:
        """Turn the replies of a round into events, in canonical order, and let everybody fold them."""
        events: list[Event] = []
        board, society = self.board, self.side.society
        protocol = society.scenario.protocol
        interpret, deliveries = protocol.interpret, protocol.deliveries
        taken = delivered = broadcasts = 0
        slowest = 0.0
        noted = self.account.rates is not None or self.account.shown is not None
        last = (-2, 0)
        in_order = True
        for turn, reply in zip(turns, replies, strict=True):
            here = (turn.agent, turn.slot)
            in_order = in_order and last < here
            last = here
            if reply is None:
                events.append(Event(self.index, board.round, turn.agent, turn.slot * SLOT_WIDTH, "budget_exhausted"))
                continue
            taken += 1
            if noted:
                self.account.commit(board, turn, reply)
            if reply.latency_s > slowest:
                slowest = reply.latency_s
            if reply.failed is not None:
                acts: Sequence[Act] = (Act("call_failed", text=reply.failed),)
            elif reply.discarded is not None:
                acts = (Act("flag", answer=DISCARDED, text=reply.discarded),)
            else:
                acts = interpret(society, board, turn, reply) or _SAID_NOTHING
                if society.scenario.faults:
                    acts = planted(society, board, turn, acts, asked(self.family, self.task, turn.state))
                sent = deliveries(society, board, turn, acts)
                if sent:
                    delivered += sent
                    for act in acts:
                        broadcasts += act.kind in COORDINATION
            # an agent with one turn in the round may number its acts as far as ids reach: a plan for many workers
            if len(acts) > SLOT_WIDTH and (len(acts) >= MAX_K or _has_other_turns(turns, turn)):
                raise RunFailedError(f"agent {turn.agent} made {len(acts)} acts in one turn; at most {SLOT_WIDTH}")
            self._events(events, turn, reply, acts)
        given = [reply or _SILENCE for reply in replies]
        flags = protocol.flags(society, board, turns, given)
        for k, (name, text) in enumerate(flags.items()):
            events.append(Event(self.index, board.round, SOCIETY, k, "flag", answer=name, text=text))
        if flags or not in_order:
            events.sort(key=_order)
        row = self.row
        row.turns += taken
        row.rounds += 1
        row.deliveries += delivered
        row.broadcasts += broadcasts
        row.virtual_s += slowest
        await self._log(events)

    def _events(self, events: list[Event], turn: Turn, reply: Reply, acts: Sequence[Act]) -> None:
        """Append the events of one turn; its tokens stand on the first of them."""
        index, round_, agent = self.index, self.board.round, turn.agent
        calls, tokens_in, cached, tokens_out = reply.calls, reply.tokens_in, reply.tokens_cached, reply.tokens_out
        k = turn.slot * SLOT_WIDTH
        here = pack_id(round_, agent, k)
        for act in acts:
            kind, answer = act.kind, act.answer
            events.append(
                Event(
                    index,
                    round_,
                    agent,
                    k,
                    kind,
                    here if kind in CLAIMING else None,
                    act.parents,
                    act.target,
                    here if act.mints_subtask else act.subtask,
                    act.subtask_parent,
                    answer,
                    self._score(act, turn.state) if answer is not None and kind in _SCORED else None,
                    act.confidence,
                    act.text,
                    calls,
                    tokens_in,
                    cached,
                    tokens_out,
                )
            )
            calls = tokens_in = cached = tokens_out = 0
            k += 1
            here += 1

    def _score(self, act: Act, state: str | None) -> float | None:
        """Return the verifier's score of an answer: to the question, or to a part of it; None for other subtasks."""
        task, answer = self.task, act.answer
        if state is not None:
            return self._verified(asked(self.family, task, state), answer)
        if act.subtask is None or act.subtask not in self.board.subtasks:
            score = self._scores.get(answer)
            if score is None:
                score = self._verified(task, answer)
                if len(self._scores) < _SCORES_MAX:
                    self._scores[answer] = score
            return score
        text = self.board.subtasks[act.subtask].text
        if text in task.parts and task.part_truths:
            if act.answer is None:
                return 0.0
            return self._in_range(self.family.score_part(task, task.parts.index(text), act.answer))
        return self._verified(task, act.answer) if text == task.question else None

    def _verified(self, task: Task, answer: str | None) -> float:
        """Return the verifier's score of an answer to the question of a task."""
        return self._in_range(self.family.score(task, answer))

    def _in_range(self, score: float) -> float:
        if not 0.0 <= score <= 1.0:  # no number is in no range: it must not reach a mean
            raise RunFailedError(f"the verifier gave task {self.index} the score {score}; a score is between 0 and 1")
        return score

    async def _log(self, events: Sequence[Event]) -> None:
        calls = tokens_in = tokens_cached = tokens_out = 0
        for event in events:
            if event.calls or event.tokens_in or event.tokens_out:
                calls += event.calls
                tokens_in += event.tokens_in
                tokens_cached += event.tokens_cached
                tokens_out += event.tokens_out
        self.engine.pace.tokens += tokens_in + tokens_out
        row = self.row
        row.events += len(events)
        row.calls += calls
        row.calls_failed += sum([event.kind == "call_failed" for event in events])
        row.tokens_in += tokens_in
        row.tokens_cached += tokens_cached
        row.tokens_out += tokens_out
        self.engine.order.add(self.index, events)
        self.board.fold(events)
        for side in self.engine.sides:
            await side.pool.fold(self.index, events)

    async def _close(self, stop: Stop) -> None:
        """Log the society's answer and why the episode ended."""
        board = self.board
        decision = self.side.society.scenario.protocol.decide(self.side.society, board)
        answer = decision.answer
        score = self._verified(self.task, answer) if answer is not None else 0.0
        if decision.union:  # right only if nothing in it is wrong
            score = min(self._verified(self.task, part) for part in decision.union)
        parents = () if decision.claim is None else (decision.claim,)
        notes = [decision.note] if decision.note else []
        tie = "; ".join([*notes, *(["tie: " + ", ".join(decision.tied)] if decision.tied else [])]) or None
        here = (self.index, board.round, SOCIETY)
        await self._log(
            [
                Event(*here, 0, "answer", None, parents, answer=answer, correct=score, text=tie),
                Event(*here, 1, "stop", answer=stop),
            ]
        )
        engine = self.engine
        row = self.row_so_far()
        row.score, row.answer, row.answered, row.stop = score, answer, answer is not None, stop
        engine.order.end(row)
        engine.pace.episodes += 1
        del engine.open[self.index]
        engine.boards.pop(self.index, None)
        if len(engine.ledgers) > 1:  # nothing is reserved any more; one stays, to say whether there are walls
            engine.ledgers.pop(self.index, None)

    def row_so_far(self) -> EpisodeRow:
        """Return the row of this episode as it is after the last committed round."""
        row = self.row
        row.stop = UNDER_WAY
        row.budget, row.charged, row.tokens_overrun = self.ledger.budget, self.ledger.charged, self.ledger.overrun
        if rates_of(self.engine.society) is not None:
            row.cost, row.cost_lost = self.account.cost, self.account.cost_lost
        return row


_SCORED = CLAIMING | {"endorse_claim"}
_SILENCE = Reply()
_SAID_NOTHING = (Act("flag", answer="silent"),)
_SCORES_MAX = 4096
"""Verdicts kept of an episode; answers that are free text may all differ (answers)."""
_YOUNG_MAX = 50_000
"""New objects between two looks of the garbage collector while a run goes on."""
_TASKS_PER_SLOT = 4
"""Turns under way for each call slot: some pause before another attempt, and the slot is not to wait for them."""
_FRAME_CHARS = 600
"""What a prompt holds besides the question: system prompt, instruction, form of the reply (characters, roughly)."""


@contextlib.contextmanager
def fewer_collections() -> Iterator[None]:
    """Let the garbage collector look less often: what a run makes is kept by boards and logs, and has no cycles."""
    before = gc.get_threshold()
    if before[0]:
        gc.set_threshold(max(before[0], _YOUNG_MAX), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _has_other_turns(turns: Sequence[Turn], turn: Turn) -> bool:
    return sum(other.agent == turn.agent for other in turns) > 1


def _order(event: Event) -> tuple[int, int]:
    return event.agent, event.k


class _Asked(Board):
    """A board on which all but the end have spoken: protocols are asked with it whether concluding takes a model."""

    def __init__(self, society: BuiltSociety, task: int) -> None:
        super().__init__(task)
        self.watchers = new_watchers([society])
        others = [agent for agent in range(min(society.n, 2)) if agent != society.wiring.root]
        self.standing = dict.fromkeys(others[:1], 0)
