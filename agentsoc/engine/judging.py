"""This module asks the judge of a run's tasks for grades: calls of the study, journaled under the society's id.

`JudgeDesk` is a host whose one agent is the judge, so that its calls are made, journaled, repeated, resumed and
replayed like any other (`agentsoc.engine.calls`). It lives in the driver, also where agents are on a cluster.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from agentsoc.backends.reasoning import apart
from agentsoc.backends.secrets import mask, redact, register_environment
from agentsoc.budget.ledger import Grant, Need
from agentsoc.contracts.failure import REFUSED_UNSEEN, family_of
from agentsoc.contracts.judge import Judge
from agentsoc.contracts.model import Backend, CallError, Completion, Hint, Request, Usage
from agentsoc.contracts.rules import NEWEST, Rules
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import Reply, Turn
from agentsoc.engine.attempts import AttemptRequest, AttemptResult, PlannedTurn, TurnUnderWay
from agentsoc.engine.calls import UNKNOWN_ROOM, Caller
from agentsoc.engine.model_gate import ModelGate, Patience
from agentsoc.engine.pool import Pool
from agentsoc.engine.shared import Shared
from agentsoc.errors import ModelFailedError
from agentsoc.events import SOCIETY, Event
from agentsoc.log.journal import Attempt, Journal, Key
from agentsoc.reading.grades import grade_stated
from agentsoc.scenario.model import Scenario
from agentsoc.society.calls import repair_line
from agentsoc.streams import seed_for

_REPLY_MAX = 64 * 1024
"""A longer grade is a fault of the provider (characters)."""
_SYSTEM = "You are a careful examiner."
GRADE: Final = "grade"
"""Purpose of a judge's readings."""


class Grade(msgspec.Struct, frozen=True):
    """The grade of an answer: the mean of its readings over the scale, and how many of them could be read."""

    score: float
    read: int
    readings: int

    @property
    def note(self) -> str | None:
        """Say where the judge said no grade: what it did not grade counts as wrong."""
        if self.read == self.readings:
            return None
        missing = f"the judge gave no grade in {self.readings - self.read} of {self.readings} readings"
        return missing if self.read else f"{missing}: counted as wrong"


class JudgeDesk(Pool):
    """The desk is where the judge sits: a pool of hosts with one agent, the society itself."""

    def __init__(
        self, scenario: Scenario, judge: Judge, *, live: bool, shared: Shared | None, rules: Rules = NEWEST
    ) -> None:
        self._scenario, self._judge, self._live, self._rules = scenario, judge, live, rules
        model = judge.model
        seed = scenario.seed
        self.backend: Backend = model.open(seed=seed) if shared is None else shared.open(model, seed=seed)
        self._name = str(model.label())
        self.overheard: Callable[[AttemptRequest, AttemptResult], None] | None = None
        """Told of every reading that the journal has, when it is asked for."""

    async def start(self) -> None:
        """Start the judge's model, unless it will not be asked."""
        if self._live:
            register_environment()
            await self.backend.start()

    async def close(self) -> None:
        """Close it."""
        await self.backend.close()

    def identities(self) -> list[dict[str, Any]]:
        """Return what the manifest records of the model."""
        return [self.backend.identity()]

    def parallel(self) -> list[int | None]:
        """Return the calls that it takes at once."""
        return [self.backend.parallel]

    async def prepare(self, turns: Sequence[PlannedTurn], limit: int | None = None) -> list[Need]:
        """Return what each reading may cost; a replay reserves nothing."""
        out = self._judge.max_tokens
        if not self._live:
            return [Need((UNKNOWN_ROOM,), out) for _ in turns]
        requests = [self.request(AttemptRequest(each, 0, 0, None, out)) for each in turns]
        return [Need((self.backend.count(request),), out) for request in requests]

    async def act(self, turns: Sequence[PlannedTurn]) -> list[Reply]:
        """Return nothing: the judge is a model."""
        return []

    async def fold(self, task: int, events: Sequence[Event]) -> None:
        """Take note of nothing: the judge sees a question and two answers."""

    async def draw(self, draw: Any) -> Any:
        """Return nothing: the judge is no simulated voter."""
        return None

    def request(self, wanted: AttemptRequest) -> Request:
        """Return what the judge is sent in one attempt at a reading."""
        planned, judge = wanted.planned, self._judge
        turn = planned.turn
        task = self._scenario.tasks.make(self._scenario.tasks_seed, planned.task)
        asked = judge.prompt(task.question, task.truth, turn.instruction, swapped=bool(turn.slot % 2))
        if wanted.fault is not None:
            asked += f"\n\n{repair_line(wanted.fault)}"
        place = (planned.task, planned.round, turn.slot, wanted.attempt)
        best, attempt = judge.grades[-1], wanted.attempt
        hint = Hint(planned.task, planned.round, SOCIETY, turn.slot, GRADE, best, judge.grades, attempt=attempt)
        seed = seed_for(self._scenario.seed, "judge", *place)
        return Request.of(_SYSTEM, asked, judge.max_tokens, judge.temperature, seed, judge.grades, None, hint)

    def recall(self, wanted: AttemptRequest) -> AttemptResult:
        """Return the outcome that the journal has for an attempt, after comparing what was asked."""
        result = self._recalled(wanted)
        if self.overheard is not None:
            self.overheard(wanted, result)
        return result

    def _recalled(self, wanted: AttemptRequest) -> AttemptResult:
        known = wanted.known
        assert known is not None
        digest = self.request(wanted).digest()
        if known.request != digest:
            return AttemptResult(digest, self._name, mismatch=True)
        usage = Usage(known.tokens_in or 0, known.tokens_cached or 0, known.tokens_out or 0, bool(known.usage_known))
        if known.state == "failed":
            kind, _, message = (known.failure or "server: ").partition(": ")
            return self._failed(digest, CallError(kind, message, usage=usage), 0)  # type: ignore[arg-type]
        said = Completion(known.reply or "", usage, known.finish or "stop", known.reasoning)  # type: ignore[arg-type]
        return self._read(digest, said, 0)

    async def attempt(self, wanted: AttemptRequest) -> AttemptResult:
        """Ask the judge once, or read the journal's row in its place."""
        if wanted.known is not None:
            return self.recall(wanted)
        request = self.request(wanted)
        digest, began = request.digest(), time.monotonic()
        limit = self._scenario.calls.timeout_s
        try:
            async with asyncio.timeout(limit):
                said = apart(await self.backend.complete(request))
            if len(said.text) > _REPLY_MAX:
                raise CallError("server", f"a reply of {len(said.text)} characters is over the limit", usage=said.usage)
        except TimeoutError:
            return self._failed(digest, CallError("timeout", f"no reply within {limit:g} s"), _ms(began))
        except CallError as error:
            return self._failed(digest, error, _ms(began))
        text = mask(said.text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd"))
        return self._read(digest, msgspec.structs.replace(said, text=text), _ms(began))

    def _failed(self, digest: bytes, error: CallError, latency_ms: int) -> AttemptResult:
        return AttemptResult(
            digest, self._name, failure=f"{error.kind}: {redact(error.message)[:300]}", retryable=error.retryable,
            billed=error.billed, retry_after_s=error.retry_after_s, usage=error.usage, latency_ms=latency_ms,
            rate_limited=error.kind in REFUSED_UNSEEN,
        )  # fmt: skip

    def _read(self, digest: bytes, said: Completion, latency_ms: int) -> AttemptResult:
        grade = grade_stated(said.text, self._judge.grades, self._rules.reader, cut=said.finish == "length")
        return AttemptResult(
            digest, self._name, said.text, said.finish,
            usage=said.usage, latency_ms=latency_ms, reasoning=said.reasoning,
            reply=None if grade is None else Reply(answer=grade),
            fault=f"it is no whole number from 0 to {self._judge.scale}" if grade is None else None,
        )  # fmt: skip


class EpisodeJudge:
    """The judge of a run: it grades the final answer of each episode."""

    def __init__(
        self,
        scenario: Scenario,
        judge: Judge,
        journal: Journal | None,
        known: Mapping[Key, Attempt],
        shared: Shared | None = None,
        rules: Rules = NEWEST,
    ) -> None:
        """Prepare to grade.

        Args:
            scenario: the run's.
            judge: whom it asks.
            journal: where attempts are written; None for a replay, in which a missing attempt is a mismatch.
            known: attempts of earlier runs by key.
            shared: models that this run uses together with others.
            rules: by which its replies are read.
        """
        self._judge, self._calls = judge, scenario.calls
        self.desk = JudgeDesk(scenario, judge, live=journal is not None, shared=shared, rules=rules)
        limit = scenario.engine.concurrency
        gates: list[ModelGate] | None = None
        if journal is not None:
            calls = scenario.calls
            patience = Patience(calls.fail_fast, calls.outage_s, calls.backoff_s)
            gates = [(shared or Shared()).gate(judge.model, limit, self.desk.backend.parallel, patience)]
        self.caller = Caller(self.desk, journal, known, scenario.calls, limit, gates)

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        journal: Journal | None,
        known: Mapping[Key, Attempt],
        shared: Shared | None = None,
        rules: Rules = NEWEST,
    ) -> EpisodeJudge | None:
        """Return the judge of a scenario, prepared; None where rules grade."""
        judge = scenario.tasks.judged_by()
        return None if judge is None else cls(scenario, judge, journal, known, shared, rules)

    async def grade(self, task: Task, round_: int, answer: str) -> Grade:
        """Return the grade of an episode's answer; nothing of it is charged to the budget of the team.

        Raises:
            ModelFailedError: the judge could not be asked; the run can be resumed, and then asks again.
        """
        planned = [
            PlannedTurn(task.index, round_, Turn(SOCIETY, "judge", slot, instruction=answer))
            for slot in range(self._judge.readings)
        ]
        needs = await self.desk.prepare(planned)
        replies = await asyncio.gather(*map(self._reading, planned, needs))
        for reply in replies:
            if reply.failed is not None and family_of(reply.failed) == "infrastructure":
                raise ModelFailedError(f"the judge could not be asked about task {task.index}: {reply.failed}")
        grades = [int(reply.answer) for reply in replies if reply.answer is not None]
        score = sum(grades) / (len(grades) * self._judge.scale) if grades else 0.0
        return Grade(score, len(grades), len(replies))

    async def _reading(self, planned: PlannedTurn, need: Need) -> Reply:
        attempts = self._calls.attempts
        turn = TurnUnderWay(planned, 0, need, attempts)
        await self.caller.turn(turn, Grant(need.tokens_out, attempts, 0))
        return turn.result()


def _ms(began: float) -> int:
    return round(1000 * (time.monotonic() - began))
