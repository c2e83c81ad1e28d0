"""This module runs one episode: a task on its own board, round after round, until it is done or the budget refuses.

A round is a few steps: plan the turns, let the ledger grant them, let agents and models reply, settle what that cost,
and commit what the replies amount to.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agentsoc.budget.account import Account, rates_of
from agentsoc.budget.ledger import Grant, Need
from agentsoc.contracts.protocol import DISCARDED, Act
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import SLOT_WIDTH, Reply, StepTaken, Turn
from agentsoc.contracts.world import asked
from agentsoc.engine.act_events import add_events
from agentsoc.engine.attempts import NO_ROOM, PlannedTurn
from agentsoc.engine.conclusion import conclusion_tokens
from agentsoc.engine.earlier import EarlierTurns
from agentsoc.engine.paid_round import PaidRound, RoundTaken
from agentsoc.engine.probes import probe_round
from agentsoc.engine.run_state import RunState
from agentsoc.engine.scores import Scores
from agentsoc.engine.stage import StageUnderWay
from agentsoc.engine.step import step_events, told
from agentsoc.engine.worlds import world_of
from agentsoc.errors import RunFailedError
from agentsoc.events import COORDINATION, MAX_K, MAX_ROUNDS, SOCIETY, Event, Stop
from agentsoc.log.episodes import UNDER_WAY, EpisodeRow
from agentsoc.protocols.faults import planted
from agentsoc.society.acting import equipped
from agentsoc.society.build import BuiltSociety, open_board

KEPT_MAX = 1_000
"""Earlier tasks of which a protocol is told what it kept (tasks)."""
_SILENCE = Reply()
_SAID_NOTHING = (Act("flag", answer="silent"),)


class Episode:
    """An episode takes one task on its own board from the first plan to the stop."""

    def __init__(self, run: RunState, index: int) -> None:
        self.state = run
        self.index = index
        self.family = run.family
        self.task: Task = run.family.make(run.society.scenario.tasks_seed, index)
        self.board = run.boards[index] = open_board([epoch.society for epoch in run.epochs], index, self.task)
        self.board.kept = tuple(run.kept[-KEPT_MAX:])
        self.row = EpisodeRow(index)
        self.scores = Scores(run.family, self.task, self.board)
        self.earlier = EarlierTurns()
        self.epoch = run.epoch_at(index, 0)
        self.account = Account(self.epoch.society, self.task)
        self.ledger = run.ledgers[index] = self.account.ledger
        run.open[index] = self.row_so_far
        self.world = world_of(self.epoch.society, self.task, run.steps)
        self.board.world = self.world

    async def run(self) -> None:
        """Take rounds until the protocol has nobody left to ask or the budget refuses a turn."""
        self._keep_for_conclusion()
        if self.world is not None:
            await self.world.open()
        stop: Stop = "finished"
        while True:
            if self.state.stopping:
                return  # the journal has everything; resume takes the episode up again
            self._change_epoch()
            protocol = self.epoch.society.scenario.protocol
            turns = protocol.plan(self.epoch.society, self.board)
            if not turns:
                break
            if protocol.elsewhere and self.state.elsewhere is not None:
                turns = await self.state.elsewhere.dressed(self.board, turns)
            if self.board.log_round + 1 + self._steps_max >= MAX_ROUNDS:
                stop = "max_rounds"
                break
            spent = await self._stage(turns)
            if spent is None:
                return
            if spent:
                stop = "budget_exhausted"
                await self._conclude()
                break
        await self._close(stop)

    def _change_epoch(self) -> None:
        epoch = self.state.epoch_at(self.index, self.board.log_round)
        if epoch is not self.epoch:
            self.epoch = epoch
            self.account.enter(epoch.society)
            self._keep_for_conclusion()

    def _charge_superseded(self) -> None:
        """Charge what attempts had cost that are made again from this round on; the rest is divided anew."""
        calls = self.epoch.caller.superseded_tools(self.index, self.board.log_round)
        found = self.epoch.caller.superseded(self.index, self.board.log_round)
        if not found and not calls:
            return
        self.ledger.release_kept()
        pace = self.state.pace
        for agent, tool in calls:
            self.account.charge_superseded_call(self.board, agent, tool)
        for agent, spent in found:
            self.account.settle(Grant(0, 0, 0), agent, spent)
            self.row.tokens_lost += spent.lost_tokens
            self.row.calls_lost += spent.lost_calls
            pace.tokens += spent.lost_tokens
            pace.calls_lost += spent.lost_calls
        self._keep_for_conclusion()

    # A stage, step by step

    @property
    def _steps_max(self) -> int:
        """Steps that a stage can have."""
        society = self.epoch.society
        return max([group.tool_use.steps for group in society.groups]) if any(society.toolsets) else 1

    async def _stage(self, turns: Sequence[Turn]) -> bool | None:
        """Take one stage; return whether the budget ends the episode, None when the run is ending in its middle."""
        stage = StageUnderWay(self.epoch.society, equipped(self.epoch.society, turns))
        while True:
            self._charge_superseded()
            due, steps = stage.due()
            calling = stage.take(*(await self._step(due, steps) if due else ((), 0.0)))
            if not calling:
                break
            if self.state.stopping:
                return None  # the journal has everything
            await self._use_tools(stage, calling)
            if self.state.stopping:
                return None
            self._change_epoch()
        await self._commit(stage.ended(), stage.replies, stage.virtual_s, stage.steps)
        if self.state.elsewhere is not None:
            self.state.elsewhere.committed(self.board)
        return stage.refused(self.account.policy is not None)

    async def _step(
        self, turns: Sequence[Turn], steps: Sequence[tuple[StepTaken, ...]]
    ) -> tuple[Sequence[Reply | None], float]:
        """Take the turns that are due; return their replies, None for those refused, and what it took (seconds)."""
        modelled = self._modelled(turns)
        planned = self._planned(turns, modelled, steps)
        if not self.ledger.walled and not any(modelled):
            replies = await self.epoch.pool.act(planned)
            self.ledger.charged += sum([reply.tokens_in + reply.tokens_out for reply in replies])
            return replies, max([reply.latency_s for reply in replies])
        needs = await self.epoch.pool.prepare(planned)
        taken = await self._take(planned, needs, modelled)
        return taken.replies, taken.virtual_s

    async def _use_tools(self, stage: StageUnderWay, calling: Sequence[tuple[int, Reply]]) -> None:
        """Make the calls of a step, in the order of agents, and commit what they gave."""
        in_order = sorted(calling, key=lambda each: (stage.turns[each[0]].agent, stage.turns[each[0]].slot))
        events = await step_events(self.epoch, self.account, self.board, [(stage.turns[at], r) for at, r in in_order])
        noted = self.account.rates is not None or self.account.shown is not None
        for (at, reply), made in zip(in_order, events, strict=True):
            if noted:
                self.account.commit(self.board, stage.turns[at], reply)
            stage.go_on(at, reply.said or "", [told(event) for event in made])
        self.row.rounds += 1
        await self._log([event for made in events for event in made])

    async def _take(
        self, planned: Sequence[PlannedTurn], needs: Sequence[Need], modelled: Sequence[bool]
    ) -> RoundTaken:
        """Reserve, act and settle; return what came of it."""
        taken = await PaidRound(self.epoch, self.account, self.board, planned, needs, modelled).take()
        await probe_round(self.epoch, self.task, self.board, planned, needs, taken.replies, taken.caps)
        lost, pace = taken.lost, self.state.pace
        self.row.tokens_lost += lost.lost_tokens
        self.row.calls_lost += lost.lost_calls
        pace.tokens += lost.lost_tokens
        pace.calls_lost += lost.lost_calls
        return taken

    def _modelled(self, turns: Sequence[Turn]) -> list[bool]:
        """Return for each turn whether it is a model call."""
        if not any(self.epoch.asks_model):
            return [False] * len(turns)
        needs_model = self.epoch.needs_model
        return [needs_model(turn) for turn in turns]

    def _planned(
        self, turns: Sequence[Turn], modelled: Sequence[bool], steps: Sequence[tuple[StepTaken, ...]] = ()
    ) -> list[PlannedTurn]:
        """Return the turns with what the journal knows of them, so that each is granted what it was granted before.

        Each has what its agent is told of the budget.
        """
        index, round_, room = self.index, self.board.log_round, self.epoch.caller.room
        stage = self.board.round if self.board.round != round_ else None
        if any(modelled):
            told = self.earlier.told
            planned = [
                told(PlannedTurn(index, round_, turn, room(index, round_, turn) if model else None, stage=stage))
                for turn, model in zip(turns, modelled, strict=True)
            ]
        elif stage is None:
            planned = [PlannedTurn(index, round_, turn) for turn in turns]
        else:
            planned = [PlannedTurn(index, round_, turn, stage=stage) for turn in turns]
        if any(steps):
            planned = [
                msgspec.structs.replace(each, steps=taken) if taken else each
                for each, taken in zip(planned, steps, strict=True)
            ]
        return planned if self.account.shown is None else [self._told(each) for each in planned]

    def _told(self, planned: PlannedTurn) -> PlannedTurn:
        """Add to a turn what its agent is told of the budget."""
        told = self.account.tell(self.board, planned.turn)
        return msgspec.structs.replace(planned, left=told.left, team_left=told.team_left, note=told.note)

    # The concluding turn

    def _keep_for_conclusion(self) -> None:
        """Hold back what the concluding turn needs, so that a spent budget still gives an answer."""
        society = self.epoch.society
        if society.scenario.budget is not None:
            self.account.divide(conclusion_tokens(society, self.task, self.index), society.wiring.root or 0)

    async def _conclude(self) -> None:
        """Take the protocol's concluding turn from what was held back."""
        turn = self.epoch.society.scenario.protocol.conclude(self.epoch.society, self.board)
        if turn is None:
            self.ledger.release_kept()
            return
        turn = msgspec.structs.replace(turn, concluding=True)
        share = self.account.share(self.board, turn)
        self.ledger.release_kept(share)
        modelled = self.epoch.needs_model(turn)
        planned = self._planned([turn], [modelled])
        room_left = self.ledger.room(share, self.account.rate(turn.agent)) if modelled else None
        needs = await self.epoch.pool.prepare(planned, room_left)
        taken = await self._take(planned, needs, [modelled])
        await self._commit([turn], taken.replies, taken.virtual_s)

    # What is committed

    async def _commit(
        self,
        turns: Sequence[Turn],
        replies: Sequence[Reply | None],
        virtual_s: float,
        steps: Sequence[tuple[StepTaken, ...]] = (),
    ) -> None:
        """Turn the replies of a stage into events, in canonical order, and let everybody fold them."""
        events: list[Event] = []
        board, society = self.board, self.epoch.society
        protocol = society.scenario.protocol
        deliveries = protocol.deliveries
        place = (self.index, board.log_round)
        taken = delivered = broadcasts = 0
        noted = self.account.rates is not None or self.account.shown is not None
        row, score, acts_of = self.row, self.scores.of_act, self._acts
        last_agent, last_slot = -2, 0
        in_order = True
        self.earlier.note(society, board.round, turns, replies, steps)
        for turn, reply in zip(turns, replies, strict=True):
            agent = turn.agent
            if agent <= last_agent:
                in_order = in_order and agent == last_agent and last_slot < turn.slot
            last_agent, last_slot = agent, turn.slot
            if reply is None:
                events.append(Event(*place, agent, last_slot * SLOT_WIDTH, "budget_exhausted"))
                continue
            taken += 1
            failed, due = reply.failed, reply.due
            if failed is not None and NO_ROOM in failed:
                due = len(set(turn.sees))
            if due or reply.shown:
                row.claims_due += due
                row.claims_left_out += due - reply.shown
            if noted:
                self.account.commit(board, turn, reply)
            acts = acts_of(society, turn, reply)
            if failed is None and reply.discarded is None and (sent := deliveries(society, board, turn, acts)):
                delivered += sent
                for act in acts:
                    broadcasts += act.kind in COORDINATION
            # an agent with one turn in the round may number its acts as far as ids reach: a plan for many workers
            if len(acts) > SLOT_WIDTH and (len(acts) >= MAX_K or _has_other_turns(turns, turn)):
                raise RunFailedError(f"agent {turn.agent} made {len(acts)} acts in one turn; at most {SLOT_WIDTH}")
            add_events(events, place, turn, reply, acts, score)
        flags = protocol.flags(society, board, turns, [reply or _SILENCE for reply in replies])
        for k, (name, text) in enumerate(flags.items()):
            events.append(Event(*place, SOCIETY, k, "flag", answer=name, text=text))
        if flags or not in_order:
            events.sort(key=_order)
        if self.world is not None:
            events = await self.world.resolve(place, turns, events)
        row.turns += taken
        row.rounds += 1
        row.deliveries += delivered
        row.broadcasts += broadcasts
        row.virtual_s += virtual_s
        await self._log(events)

    def _acts(self, society: BuiltSociety, turn: Turn, reply: Reply) -> Sequence[Act]:
        """Return the acts that a reply amounts to, with the faults that the scenario plants among them."""
        if reply.failed is not None:
            return (Act("call_failed", text=reply.failed),)
        if reply.discarded is not None:
            return (Act("flag", answer=DISCARDED, text=reply.discarded),)
        acts = society.scenario.protocol.interpret(society, self.board, turn, reply) or _SAID_NOTHING
        if society.scenario.faults:
            acts = planted(society, self.board, turn, acts, asked(self.family, self.task, turn.state))
        return acts

    async def _log(self, events: Sequence[Event]) -> None:
        calls = tokens_in = tokens_cached = tokens_out = 0
        for event in events:
            if event.calls or event.tokens_in or event.tokens_out:
                calls += event.calls
                tokens_in += event.tokens_in
                tokens_cached += event.tokens_cached
                tokens_out += event.tokens_out
        self.state.pace.tokens += tokens_in + tokens_out
        row = self.row
        row.events += len(events)
        row.calls += calls
        row.calls_failed += sum([event.kind == "call_failed" for event in events])
        row.tokens_in += tokens_in
        row.tokens_cached += tokens_cached
        row.tokens_out += tokens_out
        self.state.order.add(self.index, events)
        self.board.fold(events)
        for epoch in self.state.epochs:
            await epoch.pool.fold(self.index, events)

    async def _close(self, stop: Stop) -> None:
        """Log the society's answer and why the episode ended."""
        board = self.board
        decision = self.epoch.society.scenario.protocol.decide(self.epoch.society, board)
        answer = decision.answer
        notes = [decision.note] if decision.note else []
        judge = self.epoch.judge
        if self.world is not None:
            score = self.world.score()
        elif judge is None:
            score = self.scores.of_decision(decision)
        elif answer is None:
            score = 0.0
        else:
            grade = await judge.grade(self.task, board.log_round, answer)
            score = grade.score
            notes += [grade.note] if grade.note else []
        parents = () if decision.claim is None else (decision.claim,)
        tie = "; ".join([*notes, *(["tie: " + ", ".join(decision.tied)] if decision.tied else [])]) or None
        here = (self.index, board.log_round, SOCIETY)
        await self._log(
            [
                Event(*here, 0, "answer", None, parents, answer=answer, correct=score, text=tie),
                Event(*here, 1, "stop", answer=stop),
            ]
        )
        state = self.state
        if self.world is not None and state.steps is not None:
            await state.steps.ended(self.index)
        row = self.row_so_far()
        row.score, row.answer, row.answered, row.stop = score, answer, answer is not None, stop
        protocol = self.epoch.society.scenario.protocol
        if state.sequential and (kept := protocol.keeps(self.epoch.society, board)) is not None:
            state.kept.append(kept)
        state.order.end(row)
        if state.elsewhere is not None:
            state.elsewhere.ended(self.index)
        state.pace.episodes += 1
        del state.open[self.index]
        state.boards.pop(self.index, None)
        if len(state.ledgers) > 1:  # nothing is reserved any more; one stays, to say whether there are walls
            state.ledgers.pop(self.index, None)

    def row_so_far(self) -> EpisodeRow:
        """Return the row of this episode as it is after the last committed round."""
        row = self.row
        row.stop = UNDER_WAY
        row.budget, row.charged, row.tokens_overrun = self.ledger.budget, self.ledger.charged, self.ledger.overrun
        if rates_of(self.state.society) is not None:
            row.cost, row.cost_lost = self.account.cost, self.account.cost_lost
        return row


def _has_other_turns(turns: Sequence[Turn], turn: Turn) -> bool:
    return sum(other.agent == turn.agent for other in turns) > 1


def _order(event: Event) -> tuple[int, int]:
    return event.agent, event.k
