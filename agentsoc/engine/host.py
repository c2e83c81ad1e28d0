"""This module defines the host, the agents' side of a run: it owns their settings and backends and lets them act.

One class serves in the process and inside a Ray actor. A host keeps nothing that is not in the log: a new one that
folds the same events is the same host.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agentsoc.backends.reasoning import apart
from agentsoc.backends.secrets import mask, redact, register_environment
from agentsoc.budget.ledger import Need
from agentsoc.contracts.board import Board
from agentsoc.contracts.failure import REFUSED_UNSEEN
from agentsoc.contracts.model import (
    Backend,
    CallError,
    Completion,
    PureBackend,
    Usage,
)
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import Reply, View
from agentsoc.engine.attempts import NO_ROOM, AttemptRequest, AttemptResult, PlannedTurn
from agentsoc.engine.prompts import Prompts, first_claims
from agentsoc.engine.reply_cache import ReplyCache, identity_of
from agentsoc.engine.shared import Shared
from agentsoc.engine.time_limit import TimeLimit
from agentsoc.engine.views import Views
from agentsoc.engine.voters import Voters
from agentsoc.engine.watchdog import WAITING_S, Watchdog
from agentsoc.errors import RunFailedError
from agentsoc.events import Event
from agentsoc.log.cached import MARK
from agentsoc.society.build import BuiltSociety
from agentsoc.society.coded import CodedAgent
from agentsoc.society.reply_reader import Fault, read_whole

REPLY_BYTES_MAX = 256 * 1024
"""A longer reply is a fault of the provider (bytes)."""


class Host:
    """A host runs agents of a society in any of its episodes."""

    def __init__(
        self,
        society: BuiltSociety,
        boards: dict[int, Board] | None = None,
        *,
        share: int = 1,
        live: bool = True,
        shared: Shared | None = None,
    ) -> None:
        """Prepare a host.

        Args:
            society: the run's society.
            boards: the driver's boards when the host lives in its process; None to keep own ones and fold them.
            share: hosts that share this machine.
            live: whether models may be asked; otherwise they are not even started, and everything is in the journal.
            shared: models that this run uses together with others; None to open its own.
        """
        scenario = self.scenario = society.scenario
        self.live = live
        self.society = society
        self.family = scenario.tasks
        self.views = Views(self.society, boards)
        opened: dict[Any, Backend] = {}
        self.backends: list[Backend] = []
        for group in scenario.agents:
            if group.model not in opened:
                if shared is None:
                    opened[group.model] = group.model.open(seed=scenario.seed, share=share)
                else:
                    opened[group.model] = shared.open(group.model, seed=scenario.seed, share=share)
            self.backends.append(opened[group.model])
            opened[group.model].count_by(society.rules.reserve)
        self.prompts = Prompts(self.views, self.backends)
        self.voters = Voters(self.views)
        self.cache: ReplyCache | None = None
        """Replies of earlier runs; whoever opens it closes it."""
        self._identities = [identity_of(group.model) for group in scenario.agents] if scenario.calls.cache else []
        self._names = [group.model.kind for group in scenario.agents]
        self._coded = [group.model if isinstance(group.model, CodedAgent) else None for group in scenario.agents]
        self._pure = [backend if isinstance(backend, PureBackend) else None for backend in self.backends]
        self.notices: list[str] = []
        """What a person should hear of: agents that block or do not come back. Emptied by whoever passes it on."""
        self.overheard: Callable[[AttemptRequest, AttemptResult], None] | None = None
        """What hears of every outcome that is read from the journal, for a transcript."""
        self._limit = TimeLimit(scenario.calls.timeout_s)
        self._busy: PlannedTurn | None = None
        self._waits: set[CodedAgent] = set()
        """Coded agents that were seen to await something."""
        self._watchdog = Watchdog(lambda text: self.notices.append(text), self._whose)

    async def start(self) -> None:
        """Start the backends, unless nobody will be asked; the watch begins when they are there.

        Loading a model may hold the interpreter for seconds, and no agent is to blame for that.
        """
        if self.live:
            await self._open()
        self._watchdog.start()

    async def _open(self) -> None:
        register_environment()
        for backend in dict.fromkeys(self.backends):
            await backend.start()

    async def close(self) -> None:
        """Close the backends."""
        self._watchdog.stop()
        for backend in dict.fromkeys(self.backends):
            await backend.close()

    def identities(self) -> list[dict[str, Any]]:
        """Return what the manifest records of each group's model."""
        return [backend.identity() for backend in self.backends]

    def parallel(self) -> list[int | None]:
        """Return, per group, the calls that may run at once on this host."""
        return [backend.parallel for backend in self.backends]

    def _whose(self) -> str:
        busy = self._busy
        return "a host" if busy is None else f"agent {busy.turn.agent} (task {busy.task}, round {busy.round})"

    # The boards

    def fold(self, task: int, events: Sequence[Event]) -> None:
        """Take in the committed events of one round of an episode."""
        self.views.fold(task, events)

    def drop(self, task: int) -> None:
        """Forget an episode that has ended."""
        self.views.drop(task)

    def prepare(self, turns: Sequence[PlannedTurn], limit: int | None = None) -> list[Need]:
        """Return what each turn may cost; see `Prompts.prepare`."""
        return self.prompts.prepare(turns, limit)

    # Acting

    async def act(self, turns: Sequence[PlannedTurn]) -> list[Reply]:
        """Return the replies of agents that ask no model, in the order of `turns`."""
        replies: list[Reply | None] = [None] * len(turns)
        waiting: list[tuple[int, asyncio.Task[Reply]]] = []
        group_index, view = self.society.group_index, self.views.view
        coded, alone = self._coded, len(self._coded) == 1
        waits = {index for index, model in enumerate(coded) if model is not None and model in self._waits}
        for position, planned in enumerate(turns):
            index = 0 if alone else group_index(planned.turn.agent)
            model = coded[index]
            self._busy = planned
            if model is not None:
                if waits and index in waits:
                    waiting.append((position, asyncio.ensure_future(self._in_time(planned, model))))
                    continue
                step = model.act(view(planned))
                try:
                    step.send(None)  # most coded agents never wait: no task is made for them
                except StopIteration as done:
                    replies[position] = done.value
                else:  # this one does: it is asked again in a task of its own, and from now on at once
                    step.close()
                    self._waits.add(model)
                    waits.add(index)
                    waiting.append((position, asyncio.ensure_future(self._in_time(planned, model))))
            elif (backend := self._pure[index]) is not None:
                replies[position] = self.voters.vote(planned, backend)
            else:
                replies[position] = self.voters.merge_by_rule(planned)
        self._busy = None
        for position, task in waiting:
            replies[position] = await task
        for planned, reply in zip(turns, replies, strict=True):
            if not isinstance(reply, Reply):
                raise RunFailedError(
                    f"agent {planned.turn.agent} returned {type(reply).__name__} in task {planned.task}, "
                    f"round {planned.round}; act has to return a Reply"
                )
        return replies  # type: ignore[return-value]

    async def _in_time(self, planned: PlannedTurn, model: CodedAgent) -> Reply:
        """Ask a coded agent that waits for something, within the time limit of a call."""
        limit = self.scenario.calls.timeout_s
        work = asyncio.ensure_future(model.act(self.views.view(planned)))
        done, _ = await asyncio.wait({work}, timeout=min(WAITING_S, limit))
        if not done:
            stack = work.get_stack(limit=1)
            where = f" in line {stack[-1].f_lineno} of {Path(stack[-1].f_code.co_filename).name}" if stack else ""
            agent = f"agent {planned.turn.agent} (task {planned.task}, round {planned.round})"
            self.notices.append(f"{agent} has been waiting for {min(WAITING_S, limit):g} s{where}")
            done, _ = await asyncio.wait({work}, timeout=max(limit - WAITING_S, 0.0))
        if not done:
            work.cancel()
            return Reply(failed=f"timeout: no reply within {limit:g} s")
        return work.result()

    def recall(self, wanted: AttemptRequest) -> AttemptResult:
        """Return the outcome that the journal has for an attempt; a run that may ask compares the requests first."""
        result = self._recalled(wanted)
        if self.overheard is not None:
            self.overheard(wanted, result)
        return result

    def _recalled(self, wanted: AttemptRequest) -> AttemptResult:
        name = self._names[self.society.group_index(wanted.planned.turn.agent)]
        known = wanted.known
        assert known is not None
        if self.live:
            digest = self.prompts.rendered(wanted).request.digest()
            if known.request != digest:
                return AttemptResult(digest, name, mismatch=True)
        usage = Usage(known.tokens_in or 0, known.tokens_cached or 0, known.tokens_out or 0, bool(known.usage_known))
        if known.state == "failed":
            kind, _, message = (known.failure or "server: ").partition(": ")
            return self._failed(known.request, name, CallError(kind, message, usage=usage), 0)  # type: ignore[arg-type]
        planned = wanted.planned
        whole = self.views.prompted(planned)
        view, task = first_claims(whole, known.shown or 0), self.views.asked(planned)
        said = Completion(known.reply or "", usage, known.finish or "stop", known.reasoning)  # type: ignore[arg-type]
        return self._read((known.request, name, 0), view, task, said, len(whole.claims))

    def from_cache(self, wanted: AttemptRequest) -> AttemptResult | None:
        """Return the outcome of an attempt whose request the cache of replies knows, None for any other."""
        if self.cache is None:
            return None
        group = self.society.group_index(wanted.planned.turn.agent)
        prompt = self.prompts.rendered(wanted, kept=True)
        found = self.cache.get(self._identities[group], prompt.request)
        if found is None:
            return None
        self.prompts.forget(wanted)
        origin = (prompt.request.digest(), f"{MARK}{self._names[group]}", 0)
        return self._read(origin, prompt.view, prompt.task, found, prompt.due)

    def request_hash(self, wanted: AttemptRequest) -> bytes:
        """Return the hash of the request of an attempt."""
        return self.prompts.rendered(wanted, kept=True).request.digest()

    async def attempt(self, wanted: AttemptRequest) -> AttemptResult:
        """Make one attempt, or read the journal's row in its place; never raises for what a model does."""
        if wanted.known is not None:
            return self.recall(wanted)
        group = self.society.group_index(wanted.planned.turn.agent)
        name = self._names[group]
        prompt = self.prompts.rendered(wanted)
        view, task = prompt.view, prompt.task
        digest = prompt.request.digest()
        began = time.monotonic()
        if prompt.due and not view.claims and self.society.rules.prompts > 1:
            return self._failed(digest, name, CallError("too_long", NO_ROOM), 0)
        try:
            with self._limit.on_call():
                completion = await prompt.backend.complete(prompt.request)
            self.notices += prompt.backend.take_notices()
        except TimeoutError:
            late = CallError("timeout", f"no reply within {self.scenario.calls.timeout_s:g} s")
            return self._failed(digest, name, late, _ms(began))
        except CallError as error:
            return self._failed(digest, name, error, _ms(began))
        if self.society.rules.prompts > 1:
            completion = apart(completion)
        text = completion.text
        if len(text) > REPLY_BYTES_MAX:
            long = CallError("server", f"a reply of {len(text)} characters is over the limit", usage=completion.usage)
            return self._failed(digest, name, long, _ms(began))
        if not text.isascii():
            text = text.encode("utf-8", "replace").decode()
        text = mask(text.replace("\x00", "\ufffd"))
        if text is not completion.text:
            completion = msgspec.structs.replace(completion, text=text)
        if self.cache is not None:
            self.cache.put(self._identities[group], prompt.request, completion)
        return self._read((digest, name, _ms(began)), view, task, completion, prompt.due)

    def _failed(self, digest: bytes, name: str, error: CallError, latency_ms: int) -> AttemptResult:
        return AttemptResult(
            digest,
            name,
            failure=f"{error.kind}: {redact(error.message)[:300]}",
            retryable=error.retryable,
            billed=error.billed,
            retry_after_s=error.retry_after_s,
            usage=error.usage,
            latency_ms=latency_ms,
            rate_limited=error.kind in REFUSED_UNSEEN,
        )

    def _read(
        self, origin: tuple[bytes, str, int], view: View, task: Task, said: Completion, due: int
    ) -> AttemptResult:
        """Return the result of an attempt that got a completion, with the reply that it holds or what is wrong with it.

        Args:
            origin: digest of its request, name of its model, and how long it took (milliseconds).
            view: what the agent was shown.
            task: what it was asked.
            said: the completion.
            due: claims that it was to be shown.
        """
        read = read_whole(self.society, self.family, task, view, said.text, said.finish, due)
        request, model, latency_ms = origin
        reply, fault = (None, read.what) if isinstance(read, Fault) else (read, None)
        return AttemptResult(
            request,
            model,
            said.text,
            said.finish,
            usage=said.usage,
            latency_ms=latency_ms,
            reply=reply,
            fault=fault,
            shown=len(view.claims),
            reasoning=said.reasoning,
        )


def _ms(began: float) -> int:
    return round(1000 * (time.monotonic() - began))
