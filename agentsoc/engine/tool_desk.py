"""This module calls tools for the agents of a run, at the driver, wherever the agents are; each call is journaled.

After all replies of a step: what can be called is decided in the order of agents and calls, then pure and reading calls
run together on what there was before the step, then those that write one by one. A call that only reads is journaled
when it has an outcome, and is made again after a crash; one that writes is journaled before as well, and is never made
again: if a crash swallowed its outcome, the agent is told that it is lost.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from agentsoc.backends.secrets import mask, redact
from agentsoc.contracts.tools import CalledInThread, Tool, ToolError, ToolFailure, ToolSession, ToolSpec, fault_text
from agentsoc.contracts.turns import SLOT_WIDTH, ToolCall, Turn
from agentsoc.engine.toolsets import require_same, sound_toolset, toolset_digest
from agentsoc.errors import ReplayMismatchError
from agentsoc.log.journal import Attempt, Journal, Key
from agentsoc.log.tool_rows import OF_FAILURE, TOOL, told_of
from agentsoc.reading.by_schema import canonical, value_fault
from agentsoc.society.build import BuiltSociety
from agentsoc.society.shown import cut

AT_ONCE: Final = 64
"""Calls of tools that run at once (calls)."""
ARGUMENTS_MAX: Final = 64 * 1024
"""Longest arguments of a call (characters)."""
_MESSAGE_MAX: Final = 4_000
"""What is looked at of the message of a failure before it is cut (characters)."""
_SLACK_S: Final = 5.0
"""What a session may take beyond the time limit that it was given, before it is not waited for any more (seconds)."""


class WantedCall(NamedTuple):
    """A call that an agent wants to be made."""

    turn: Turn
    number: int
    """Its place among the calls of the reply, from 0."""
    call: ToolCall
    allowed: str
    """Empty, or why it is not made: it is one too many."""


class CallOutcome(msgspec.Struct, frozen=True):
    """What came of a call."""

    said: str
    """The call as an event holds it: tool and arguments as JSON."""
    text: str
    """What it gave, cut; or ``kind: message`` of a failure."""
    failed: bool = False


class ToolDesk:
    """The desk opens the tools of a society, makes the calls of its agents and knows which were made before."""

    def __init__(
        self,
        society: BuiltSociety,
        journal: Journal | None,
        known: Mapping[Key, Attempt],
        *,
        live: bool = True,
        read: set[Key] | None = None,
    ) -> None:
        """Prepare.

        Args:
            society: whose agents call.
            journal: where calls are written; None for a replay, in which a missing one is a mismatch.
            known: the journal as it was before.
            live: whether tools are opened; otherwise every call has to be known.
            read: takes in which rows of the journal were asked for; None where nobody wants to know.
        """
        self._society = society
        self._journal = journal
        self._known = known
        self._live = live
        self._read = read
        self._sessions: dict[Tool, ToolSession] = {}
        self._by_name: list[dict[str, tuple[ToolSession, ToolSpec]]] = [{} for _ in society.groups]
        self.toolsets: tuple[tuple[ToolSpec, ...], ...] = ()
        self._known_by(society.toolsets)
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._queues: dict[ToolSession, asyncio.Semaphore] = {}
        self.called = 0
        """Calls that were made now and not read from the journal."""

    async def start(self, recorded: Sequence[Sequence[ToolSpec]] = ()) -> None:
        """Open the tools; of a run that goes on they have to be those that it began with.

        Raises:
            BackendSetupError, InputError: a tool cannot be started, or two have one name.
            ReplayMismatchError: a tool is another one than when the run began; names it.
        """
        if not self._live:
            self._known_by(recorded or self.toolsets)
            return
        found: list[tuple[ToolSpec, ...]] = []
        for group in self._society.groups:
            specs: list[ToolSpec] = []
            for tool in group.tools:
                session = self._sessions.get(tool)
                if session is None:
                    session = self._sessions[tool] = tool.open()
                    self._queues[session] = asyncio.Semaphore(max(session.at_once, 1))
                    await session.start()
                for spec in session.specs():
                    self._by_name[len(found)].setdefault(spec.name, (session, spec))
                    specs.append(spec)
            sound_toolset(specs)
            found.append(tuple(specs))
        if recorded:
            require_same(recorded, found)
        self._known_by(found)

    def _known_by(self, toolsets: Sequence[Sequence[ToolSpec]]) -> None:
        """Take in what the tools of each group are known by: calls are compared with the journal's by that."""
        self.toolsets = tuple(tuple(specs) for specs in toolsets)
        self._digests = [toolset_digest(specs) for specs in self.toolsets]
        self._effects = [{spec.name: spec.effect for spec in specs} for specs in self.toolsets]

    async def close(self) -> None:
        """Close the tools."""
        for session in self._sessions.values():
            await session.close()

    async def make(self, task: int, round_: int, wanted: Sequence[WantedCall]) -> list[CallOutcome]:
        """Make the calls of one step; return what came of each, in their order.

        Raises:
            ReplayMismatchError: the journal has another call at a place, or none where it has to have one.
        """
        outcomes: list[CallOutcome | None] = [None] * len(wanted)
        writing: list[int] = []
        at_once: list[int] = []
        async with asyncio.TaskGroup() as group:
            for place, one in enumerate(wanted):
                outcomes[place] = self._beforehand(task, round_, one)
                if outcomes[place] is not None:
                    continue
                if self._effect(one) == "write":
                    writing.append(place)
                elif self._is_immediate(one):
                    at_once.append(place)
                else:
                    group.create_task(self._into(outcomes, place, task, round_, one))
            if at_once:
                group.create_task(self._at_once_into(outcomes, at_once, task, round_, wanted))
        for place in writing:
            await self._into(outcomes, place, task, round_, wanted[place])
        return [outcome for outcome in outcomes if outcome is not None]

    async def _into(
        self, outcomes: list[CallOutcome | None], place: int, task: int, round_: int, one: WantedCall
    ) -> None:
        outcomes[place] = await self._call(task, round_, one)

    def _is_immediate(self, one: WantedCall) -> bool:
        """Return whether a call has its result at once, so that it needs no task of its own and no limit of time."""
        found = self._by_name[self._society.group_index(one.turn.agent)].get(one.call.tool)
        return found is not None and isinstance(found[0], CalledInThread) and found[0].immediate

    async def _at_once_into(
        self,
        outcomes: list[CallOutcome | None],
        places: Sequence[int],
        task: int,
        round_: int,
        wanted: Sequence[WantedCall],
    ) -> None:
        """Make immediate calls one after the other, and write what came of them in one commit."""
        assert self._journal is not None
        rows = []
        for made, place in enumerate(places, 1):
            one = wanted[place]
            key, _, _ = self._row(task, round_, one)
            began = time.monotonic()
            self.called += 1
            try:
                session, _, arguments = self._checked(one)
                assert isinstance(session, CalledInThread)
                text, failure = self._kept(one, session.now(arguments)), None
            except ToolError as error:
                text, failure = None, _told_error(error)
            rows.append(self._finished(key, one, self._request(one), text, failure, began))
            outcomes[place] = _came_of(one, text, failure)
            if made % AT_ONCE == 0:
                await asyncio.sleep(0)
        await self._journal.write_all(rows)

    def _finished(
        self, key: Key, one: WantedCall, request: bytes, text: str | None, failure: str | None, began: float
    ) -> Attempt:
        """Return the row of a call that was made."""
        state: Any = "done" if failure is None else "failed"
        latency = round(1000 * (time.monotonic() - began))
        row = Attempt(*key, state, request, f"{TOOL}{one.call.tool}", 0, 0, text, "stop", 0, failure)
        return msgspec.structs.replace(row, latency_ms=latency)

    def _effect(self, one: WantedCall) -> str:
        effects = self._effects[self._society.group_index(one.turn.agent)]
        return effects.get(one.call.tool, "pure")  # what is not there changes nothing

    def _beforehand(self, task: int, round_: int, one: WantedCall) -> CallOutcome | None:
        """Return the outcome of a call that is not made: it is one too many, or the journal has it; else None."""
        if one.allowed:
            return _came_of(one, None, one.allowed)
        key, row, _ = self._row(task, round_, one)
        if row is None:
            if self._journal is None:
                raise ReplayMismatchError("the journal has no row for this call of a tool", _name(task, round_, one))
            return None
        if self._read is not None:
            self._read.add(key)
        if row.request != self._request(one) or row.model != f"{TOOL}{one.call.tool}":
            what = "this call of a tool is another one than the journal's"
            raise ReplayMismatchError(what, _name(task, round_, one), f"a call of {row.model}", _said(one)[:300])
        if row.state == "started":
            if self._journal is None:
                what = "the journal does not say what came of this call of a tool"
                raise ReplayMismatchError(what, _name(task, round_, one))
            return None
        if (row.state == "failed") != (row.failure is not None) or (row.failure is None and row.reply is None):
            what = "the journal's row of this call of a tool contradicts itself"
            raise ReplayMismatchError(what, _name(task, round_, one), f"{row.state}, failure {row.failure!r}"[:300])
        return _came_of(one, row.reply, row.failure)

    def _row(self, task: int, round_: int, one: WantedCall) -> tuple[Key, Attempt | None, Attempt | None]:
        """Return the key of a call, its row, and the last one that was superseded."""
        number, before = 0, None
        while True:
            key = Key(task, round_, one.turn.agent, one.turn.slot * SLOT_WIDTH + 1 + one.number, number)
            row = self._known.get(key)
            if row is None or row.state != "superseded":
                return key, row, before
            number, before = number + 1, row

    def _request(self, one: WantedCall) -> bytes:
        """Return what identifies a call: the toolset, the tool, the arguments, its effect."""
        digest = self._digests[self._society.group_index(one.turn.agent)]
        text = canonical([digest, one.call.tool, one.call.arguments, self._effect(one)])
        return hashlib.sha256(text.encode()).digest()

    async def _call(self, task: int, round_: int, one: WantedCall) -> CallOutcome:
        """Make a call, with its outcome in the journal before anybody acts on it."""
        assert self._journal is not None
        key, started, before = self._row(task, round_, one)
        request = self._request(one)
        row = Attempt(*key, "started", request, f"{TOOL}{one.call.tool}", 0, 0)
        writes = self._effect(one) == "write"
        began = time.monotonic()
        if writes and (lost := _swallowed(started, before, request)) is not None:
            text, failure = lost
        else:
            if writes:
                await self._journal.write(row)
            self.called += 1
            text, failure = await self._outcome(one)
        text = self._kept(one, text)
        await self._journal.write(self._finished(key, one, request, text, failure, began))
        return _came_of(one, text, failure)

    def _kept(self, one: WantedCall, text: str | None) -> str | None:
        """Return what is kept of a result: cut, without secrets of this machine and without what no file takes."""
        if text is None:
            return None
        use = self._society.group(one.turn.agent).tool_use
        return cut(mask(_storable(text)), use.result_tokens)

    def spec_of(self, one: WantedCall) -> ToolSpec | None:
        """Return the tool of a call; None for one that is not there."""
        found = self._by_name[self._society.group_index(one.turn.agent)].get(one.call.tool)
        return None if found is None else found[1]

    async def again(self, one: WantedCall) -> str:
        """Return what a call gives now, as an event holds it, without a word in any journal."""
        text, failure = await self._outcome(one)
        return _came_of(one, self._kept(one, text), failure).text

    async def _outcome(self, one: WantedCall) -> tuple[str | None, str | None]:
        """Return what a call gave, or ``kind: message`` of its failure; whatever a tool does is no fault of the run."""
        try:
            return await self._made(one), None
        except ToolError as error:
            return None, _told_error(error)
        except Exception as error:  # a session of somebody else's
            return None, _told_failure("error", fault_text(error))

    def _checked(self, one: WantedCall) -> tuple[ToolSession, ToolSpec, Mapping[str, Any]]:
        """Return who makes a call, of which tool, with which arguments, which fit the schema."""
        offered = self._by_name[self._society.group_index(one.turn.agent)]
        if one.call.tool not in offered:
            raise ToolError("unknown_tool", f"there is no {one.call.tool[:60]}; there is {', '.join(offered)}")
        session, spec = offered[one.call.tool]
        arguments = _arguments(one.call.arguments)
        if (wrong := value_fault(spec.schema, arguments)) is not None:
            raise ToolError("bad_arguments", wrong)
        return session, spec, arguments

    async def _made(self, one: WantedCall) -> str:
        session, spec, arguments = self._checked(one)
        limit = self._society.group(one.turn.agent).tool_use.timeout_s
        try:
            async with self._queues[session], self._at_once:  # the time spent waiting here is not the call's
                return await asyncio.wait_for(session.call(spec.name, arguments, limit), limit + _SLACK_S)
        except TimeoutError:
            raise ToolError("timeout", f"no result within {limit:g} s") from None


def _told_error(error: ToolError) -> str:
    """Return the line of a call that gave no result."""
    # what a call says that was not made is the engine's to say: it costs nothing
    kind = error.kind if f"{error.kind}: " in OF_FAILURE and error.kind not in ("limit", "lost") else "error"
    return _told_failure(kind, str(error.message))


def _told_failure(kind: ToolFailure, message: str) -> str:
    """Return the line of a failure, without secrets of this machine and without what no file takes."""
    flat = " ".join(message[: 16 * _MESSAGE_MAX].split())[:_MESSAGE_MAX]
    return str(ToolError(kind, redact(mask(_storable(flat)))))


def _storable(text: str) -> str:
    """Return a text without NUL and halves of characters."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _arguments(text: str) -> Mapping[str, Any]:
    if len(text) > ARGUMENTS_MAX:
        raise ToolError("bad_arguments", f"they have {len(text):,} characters; at most {ARGUMENTS_MAX:,}")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ToolError("bad_arguments", f"they are no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ToolError("bad_arguments", "they have to be an object")
    return value


def _swallowed(started: Attempt | None, before: Attempt | None, request: bytes) -> tuple[str | None, str | None] | None:
    """Return the outcome of a call that writes and may have been made before; None for one that was not.

    Of one that was superseded because its round is made again, what it gave then stands.
    """
    if started is None and before is not None and before.request == request:
        if before.reply is not None or before.failure is not None:
            return before.reply, before.failure
        started = before
    if started is None:
        return None
    return None, str(ToolError("lost", "it may have been made before a crash, and is not made twice"))


def _said(one: WantedCall) -> str:
    try:
        return canonical({"tool": one.call.tool, "arguments": json.loads(one.call.arguments)})
    except (ValueError, RecursionError):  # no JSON, or a number that JSON has no word for
        return canonical({"tool": one.call.tool, "arguments": one.call.arguments[:1000]})


def _came_of(one: WantedCall, reply: str | None, failure: str | None) -> CallOutcome:
    return CallOutcome(_said(one), told_of(reply, failure), failed=failure is not None)


def _name(task: int, round_: int, one: WantedCall) -> str:
    return f"task {task}, round {round_}, agent {one.turn.agent}, tool {one.call.tool}"
