"""This module tells what was sent to models in a task and what they said, word for word, and what came of it so far.

Prompts are in no file of a run: they are written again from its scenario, its journal and its events, and the hash of
each is compared with the one that the journal has of what was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from agentsoc.contracts.board import Board
from agentsoc.contracts.environments import ForeignEnvironment, environment_of
from agentsoc.contracts.model import Request
from agentsoc.contracts.rules import recorded_rules
from agentsoc.contracts.turns import Reply
from agentsoc.engine.attempts import AttemptRequest, AttemptResult
from agentsoc.engine.calls import Caller
from agentsoc.engine.episode import Episode
from agentsoc.engine.foreign_desk import ForeignDesk
from agentsoc.engine.host import Host
from agentsoc.engine.judging import GRADE, EpisodeJudge, JudgeDesk
from agentsoc.engine.loop import RunEngine
from agentsoc.engine.pool import LocalPool
from agentsoc.engine.prompts import model_call
from agentsoc.engine.run_state import InOrder, ScenarioEpoch
from agentsoc.engine.stored_scenario import stored_scenario
from agentsoc.engine.tool_desk import ToolDesk
from agentsoc.engine.toolsets import specs_of, with_toolsets
from agentsoc.engine.waiting import wait_for
from agentsoc.errors import InputError, ReplayMismatchError
from agentsoc.events import Event
from agentsoc.log.journal import Attempt
from agentsoc.log.read import RunLog
from agentsoc.log.segments import SegmentWriter
from agentsoc.scenario.files import base_dir_kept
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import build_society
from agentsoc.society.prompt import all_requests


class TranscribedCall(msgspec.Struct, frozen=True):
    """One attempt at a model call: what was sent, what came back, what was read out of it, and what it took."""

    task: int
    round: int
    agent: int
    k: int
    """Number of the call: 64 times the agent's turn in the round, plus the call's place in the turn."""
    attempt: int
    purpose: str
    request: Request
    """What was sent; its messages are the conversation."""
    same: bool
    """Whether the hash of `request` is the one that the journal has of what was sent."""
    outcome: Attempt
    """The row of the journal: reply, reasoning, failure, tokens, latency."""
    reply: Reply | None
    """What was read out of the reply; None where it broke its form, or where there is none."""
    fault: str | None
    """What is wrong with the form of the reply."""
    due: int
    """Claims that the turn was to read."""

    def plain(self) -> dict[str, Any]:
        """Return the call as plain data for JSON."""
        row, request = self.outcome, self.request
        return {
            "task": self.task, "round": self.round, "agent": self.agent, "k": self.k, "attempt": self.attempt,
            "purpose": self.purpose, "model": row.model, "state": row.state,
            "messages": [msgspec.structs.asdict(message) for message in request.messages],
            "choices": list(request.choices), "schema": request.schema, "max_tokens": request.max_tokens,
            "temperature": request.temperature, "seed": request.seed, "same_as_sent": self.same,
            "reply": row.reply, "reasoning": row.reasoning, "finish": row.finish, "failure": row.failure,
            "tokens_in": row.tokens_in, "tokens_cached": row.tokens_cached, "tokens_out": row.tokens_out,
            "usage_known": row.usage_known, "latency_ms": row.latency_ms,
            "claims_due": self.due, "claims_shown": row.shown,
            "read": None if self.reply is None else _stated(self.reply), "fault": self.fault,
        }  # fmt: skip


def _stated(reply: Reply) -> dict[str, Any]:
    """Return what a reply states, without what it cost."""
    kept = ("answer", "text", "uses", "disputes", "confidence", "stop", "chosen", "accepts")
    found = {name: value for name in kept if (value := getattr(reply, name)) not in (None, ())}
    if reply.delegations:
        found["delegations"] = [msgspec.structs.asdict(one) for one in reply.delegations]
    return found


def transcript(
    directory: Path | str, task: int, agent: int | None = None, *, allow_code: Sequence[Path] = ()
) -> list[TranscribedCall]:
    """Return every attempt at a model call in a task, in the order of round, agent, call and attempt.

    No model is called. Attempts whose outcome a crash swallowed are not among them: nobody knows what was sent.

    Args:
        directory: the run.
        task: the task.
        agent: whose calls; None for all.
        allow_code: loose code files that the run was made with.

    Raises:
        InputError: the run has no such task, or needs code that was not given.
        LogDamagedError: the log is not what was written.
    """
    return wait_for(transcript_async(directory, task, agent, allow_code=allow_code))


async def transcript_async(
    directory: Path | str, task: int, agent: int | None = None, *, allow_code: Sequence[Path] = ()
) -> list[TranscribedCall]:
    """Return a transcript from inside an event loop; see `transcript`."""
    with base_dir_kept():
        found = await _overheard(RunLog(directory), task, allow_code)
    return sorted((call for call in found.calls if agent in (None, call.agent)), key=lambda call: call.outcome.key)


def events_so_far(directory: Path | str, task: int, *, allow_code: Sequence[Path] = ()) -> list[Event]:
    """Return the events of the rounds of a task that have ended, worked out from the journal of a run that goes on.

    They are those that its log will have. No model is called, and nothing is written.

    Args:
        directory: the run.
        task: the task.
        allow_code: loose code files that the run was made with.

    Raises:
        InputError: the run has no such task, or needs code that was not given.
        LogDamagedError: the journal is not what was written.
    """
    return wait_for(_events_so_far(directory, task, allow_code))


async def _events_so_far(directory: Path | str, task: int, allow_code: Sequence[Path]) -> list[Event]:
    with base_dir_kept():
        return (await _overheard(RunLog(directory), task, allow_code)).events


@dataclass
class _Overheard:
    """What was overheard while episodes were taken again."""

    task: int
    calls: list[TranscribedCall] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def call(self, one: TranscribedCall) -> None:
        if one.task == self.task:
            self.calls.append(one)


class _OverheardOrder(InOrder):
    """Passes events on as they come and keeps those of one task."""

    heard: _Overheard

    def add(self, task: int, events: Sequence[Event]) -> None:
        if task == self.heard.task:
            self.heard.events.extend(events)
        super().add(task, events)


async def _overheard(log: RunLog, task: int, allow_code: Sequence[Path]) -> _Overheard:
    """Return what is overheard of a task when its episode, and those that it rests on, are taken again."""
    scenario, _ = stored_scenario(log, allow_code, calls_tools=False)
    if not 0 <= task < scenario.tasks.count:
        raise InputError(f"the run has no task {task}", "--task", f"it has {scenario.tasks.count:,}, from 0")
    heard = _Overheard(task)
    before = log.manifest.fork.before if log.manifest.fork else ()
    parts = [Scenario.model_validate(one.scenario) for one in before] + [scenario]
    elsewhere = any(one.protocol.elsewhere for one in parts)
    # memory is carried over from the tasks before; what is shown of another task comes from the one before it
    first = 0 if elsewhere or scenario.episodes == "sequential" else task
    try:
        await _again(log, scenario, range(first, max(task, elsewhere) + 1), heard)
    except ReplayMismatchError:
        if log.manifest.status == "finished":
            raise
    return heard


async def _again(log: RunLog, scenario: Scenario, tasks: range, heard: _Overheard) -> None:
    """Take the episodes of some tasks again from the journal, and write down what was said in them."""
    known = {attempt.key: attempt for attempt in log.journal() if attempt.task in tasks}
    if log.manifest.status == "running":  # calls in flight are not lost ones
        known = {key: attempt for key, attempt in known.items() if attempt.state != "started"}
    rules = recorded_rules(log.manifest.rules, str(log.directory))
    fork = log.manifest.fork
    parts = [
        (before.start, Scenario.model_validate(before.scenario), before.toolsets)
        for before in (fork.before if fork else ())
    ]
    parts.append(((0, 0) if fork is None else (fork.task, fork.round), scenario, log.manifest.toolsets))
    boards: dict[int, Board] = {}
    epochs: list[ScenarioEpoch] = []
    pools: list[LocalPool] = []
    desks: list[JudgeDesk] = []
    try:
        for start, one, recorded in parts:
            society = with_toolsets(build_society(one, stored=True, rules=rules), specs_of(recorded))
            tools = ToolDesk(society, None, known, live=False) if any(society.toolsets) else None
            pool = LocalPool(society, boards, live=False)
            pools.append(pool)
            await pool.start()
            pool.host.overheard = lambda wanted, result, host=pool.host: heard.call(_call(host, wanted, result))
            if (judge := EpisodeJudge.of(one, None, known, rules=rules)) is not None:
                desks.append(judge.desk)
                judge.desk.overheard = lambda wanted, result, desk=judge.desk: heard.call(
                    _reading(desk, wanted, result)
                )
            caller = Caller(pool, None, known, one.calls, 64)
            epochs.append(ScenarioEpoch(start, society, pool, caller, judge, tools))
        writer = SegmentWriter(Path(), keep=False)
        engine = RunEngine(epochs, writer, boards)
        engine.order = _OverheardOrder(writer, engine.episodes)
        engine.order.heard = heard
        environment = environment_of(scenario.tasks)
        if isinstance(environment, ForeignEnvironment):
            engine.steps = ForeignDesk(environment, None, known, live=False)
        if engine.elsewhere is None:
            for index in tasks:
                await Episode(engine, index).run()
        else:  # they wait for each other
            async with asyncio.TaskGroup() as group:
                for index in tasks:
                    group.create_task(Episode(engine, index).run())
    finally:
        for each in (*pools, *desks):
            await each.close()


def _call(host: Host, wanted: AttemptRequest, result: AttemptResult) -> TranscribedCall:
    row, turn = wanted.known, wanted.planned.turn
    assert row is not None
    planned = host.views.instructed(wanted.planned)
    view = host.views.prompted(planned)
    task, call = host.views.asked(planned), model_call(host.views, wanted)
    shown = (row.shown or 0,) if row.state == "done" else range(len(view.claims), -1, -1)
    request: Request | None = None
    same = False
    for candidate in _candidates(all_requests(host.society, task, view, call, n) for n in shown):
        request = request or candidate
        if candidate.digest() == row.request:
            request, same = candidate, True
            break
    assert request is not None
    return TranscribedCall(
        row.task, row.round, row.agent, row.k, row.attempt, turn.purpose, request, same, row, result.reply,
        result.fault, len(view.claims),
    )  # fmt: skip


def _reading(desk: JudgeDesk, wanted: AttemptRequest, result: AttemptResult) -> TranscribedCall:
    """Return a reading of the judge, which is asked about the society's answer and sees no claims."""
    row, request = wanted.known, desk.request(wanted)
    assert row is not None
    return TranscribedCall(
        row.task, row.round, row.agent, row.k, row.attempt, GRADE, request, request.digest() == row.request, row,
        result.reply, result.fault, 0,
    )  # fmt: skip


def _candidates(many: Iterator[Iterator[Request]]) -> Iterator[Request]:
    for one in many:
        yield from one
