"""A host: the agents' side of a run. It owns their settings, memory and backends, and the boards that they see.

One class serves in the process and inside a Ray actor. A host keeps nothing that is not in the log: a new one that
folds the same events is the same host.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from agentsoc.backends.secrets import mask, redact, register_environment
from agentsoc.budget.ledger import Need
from agentsoc.contracts.board import Board, Claim
from agentsoc.contracts.model import (
    Backend,
    CallError,
    ElasticBackend,
    Hint,
    PureBackend,
    Request,
    Said,
    SampleHint,
    Usage,
)
from agentsoc.contracts.protocol import majority
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import Delegation, Reply, View
from agentsoc.contracts.world import asked
from agentsoc.engine.attempts import AttemptRequest, AttemptResult, PlannedTurn
from agentsoc.engine.shared import Shared
from agentsoc.engine.watchdog import WAITING_S, Watchdog
from agentsoc.errors import RunFailedError
from agentsoc.events import Event
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import BuiltSociety, build_society
from agentsoc.society.coded import CodedAgent
from agentsoc.society.parts import part_of
from agentsoc.society.prompt import REPAIR_TOKENS, ModelCall, build_request
from agentsoc.society.reply_reader import MALFORMED, Fault, read_reply

RENDERED_MAX = 4096
"""Prompts kept between counting and sending; more of a round are rendered twice (prompts)."""
REPLY_BYTES_MAX = 256 * 1024
"""A longer reply is a fault of the provider (bytes)."""


class Host:
    """Agents of a society, for any of its episodes."""

    def __init__(
        self,
        scenario: Scenario,
        boards: dict[int, Board] | None = None,
        *,
        share: int = 1,
        live: bool = True,
        society: BuiltSociety | None = None,
        shared: Shared | None = None,
    ) -> None:
        """Prepare a host.

        Args:
            scenario: the run's scenario.
            boards: the driver's boards when the host lives in its process; None to keep own ones and fold them.
            share: hosts that share this machine.
            live: whether models may be asked; otherwise they are not even started, and everything is in the journal.
            society: the scenario's society, where it is built already.
            shared: models that this run uses together with others; None to open its own.
        """
        self.scenario = scenario
        self.live = live
        self.society: BuiltSociety = build_society(scenario, stored=True) if society is None else society
        self.family = scenario.tasks
        self._seed = scenario.seed
        self._boards: dict[int, Board] = {} if boards is None else boards
        self._folds = boards is None
        self._tasks: dict[int, Task] = {}
        self._memory: dict[int, list[str]] = {}
        opened: dict[Any, Backend] = {}
        self.backends: list[Backend] = []
        for group in scenario.agents:
            if group.model not in opened:
                if shared is None:
                    opened[group.model] = group.model.open(seed=scenario.seed, share=share)
                else:
                    opened[group.model] = shared.open(group.model, seed=scenario.seed, share=share)
            self.backends.append(opened[group.model])
        self._rendered: dict[tuple[int, int, int, int], tuple[int, int, tuple[Request, View, Task, Backend]]] = {}
        """Prompts that were counted and not sent yet, with their tokens and output cap."""
        self._names = [group.model.kind for group in scenario.agents]
        self._coded = [group.model if isinstance(group.model, CodedAgent) else None for group in scenario.agents]
        self._pure = [backend if isinstance(backend, PureBackend) else None for backend in self.backends]
        self.notices: list[str] = []
        """What a person should hear of: agents that block or do not come back. Emptied by whoever passes it on."""
        self._busy: PlannedTurn | None = None
        self._waits: set[CodedAgent] = set()
        """Coded agents that were seen to await something."""
        self._watchdog = Watchdog(lambda text: self.notices.append(text), self._whose)

    async def start(self) -> None:
        """Start the backends, unless nobody will be asked."""
        self._watchdog.start()
        if not self.live:
            return
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

    # The board

    def task(self, index: int) -> Task:
        """Return a task, made once and kept until its episode ends."""
        task = self._tasks.get(index)
        if task is None:
            task = self._tasks[index] = self.family.make(self.scenario.tasks_seed, index)
        return task

    def _asked(self, item: PlannedTurn) -> Task:
        """Return what a turn is asked: the task, or the question of the state in which the turn is taken."""
        task, state = self._tasks.get(item.task) or self.task(item.task), item.turn.state
        return task if state is None else asked(self.family, task, state)

    def board(self, index: int) -> Board:
        """Return the board of an episode."""
        board = self._boards.get(index)
        if board is None:
            board = self._boards[index] = Board(index, self.task(index))
        return board

    def fold(self, task: int, events: Sequence[Event]) -> None:
        """Take in the committed events of one round of an episode."""
        board = self.board(task)
        if self._folds:
            board.fold(events)
        if events and events[-1].kind == "stop":  # the last word of an episode
            self._remember(board)
            self._tasks.pop(task, None)
            if self._folds:
                self._boards.pop(task, None)

    def drop(self, task: int) -> None:
        """Forget an episode that has ended."""
        self._tasks.pop(task, None)
        self._boards.pop(task, None)

    def _remember(self, board: Board) -> None:
        """Keep what the agents said for later tasks, when these are taken one after the other."""
        if self.scenario.episodes != "sequential" or not any(group.memory for group in self.scenario.agents):
            return
        question = self.task(board.task).question
        for agent in board.standing:
            claim = board.position(agent)
            if claim is not None and self.society.group(agent).memory:
                notes = self._memory.setdefault(agent, [])
                notes.append(f"Earlier question: {question[:200]}\nYou answered: {claim.answer}")
                del notes[: -self.society.group(agent).memory]

    # Views and prompts

    def view(self, item: PlannedTurn) -> View:
        """Return what the agent of a turn sees."""
        task = self._asked(item)
        board = self._boards.get(item.task) or self.board(item.task)
        turn = item.turn
        claims, standing = board.claims, board.standing.get(turn.agent)
        question, options = task.question, task.options
        if turn.subtask is not None:
            subtask = board.subtasks[turn.subtask]
            if subtask.text != question:
                question = subtask.text if subtask.text in task.parts else f"{question}\nYour part: {subtask.text}"
                options = () if subtask.text in task.parts else task.options
        sees = turn.sees
        shown: tuple[Claim, ...] = tuple(map(claims.__getitem__, dict.fromkeys(sees))) if sees else ()
        own = None if standing is None or turn.fresh else claims.get(standing)
        left, team_left = item.left, item.team_left
        told = team_left if left is None else left
        round_, agent, seed = item.round, turn.agent, self._seed
        return View(item.task, round_, agent, question, options, turn, shown, own, told, seed, team_left, item.note)

    def _instruction(self, item: PlannedTurn) -> PlannedTurn:
        """Add what the agent remembers to the turn's instruction."""
        group = self.society.group(item.turn.agent)
        if not group.memory or item.turn.fresh:
            return item
        notes = list(self._memory.get(item.turn.agent, ()))
        board = self.board(item.task)
        own = [c for c in board.claims.values() if c.agent == item.turn.agent][-group.memory :]
        notes += [f"You said in round {c.round}: {c.answer or c.text}" for c in own[:-1]]
        if not notes:
            return item
        text = "\n".join(notes[-group.memory :])
        instruction = f"{text}\n{item.turn.instruction}".strip()
        return msgspec.structs.replace(item, turn=msgspec.structs.replace(item.turn, instruction=instruction))

    def _request(self, order: AttemptRequest) -> tuple[Request, View, Task, Backend]:
        """Return an attempt's request; that of a turn's first attempt was rendered when its tokens were counted."""
        if not (order.call or order.attempt):
            rendered = self._rendered.pop(_place(order.item), None)
            if rendered is not None and rendered[:2] == (order.tokens_in, order.tokens_out):
                return rendered[2]
        return self._render(order)

    def _render(self, order: AttemptRequest) -> tuple[Request, View, Task, Backend]:
        item = self._instruction(order.item)
        turn = item.turn
        task = self._asked(item)
        view = self.view(item)
        backend = self.backends[self.society.group_index(turn.agent)]
        limit = order.tokens_in
        if backend.window is not None:
            room = backend.window - order.tokens_out
            limit = room if limit is None else min(limit, room)
        request = build_request(
            self.society,
            task,
            view,
            ModelCall(order.call, order.tokens_out, order.attempt, order.draft, order.fault),
            None if limit is None else lambda candidate: backend.count(candidate) <= limit,
        )
        n_shown = len(request.hint.shown_unique) if request.hint is not None else 0
        return request, _first_claims(view, n_shown), task, backend

    def prepare(self, items: Sequence[PlannedTurn], limit: int | None = None) -> list[Need]:
        """Return what each turn may cost: prompts are rendered and counted, nothing is called.

        Args:
            items: the turns.
            limit: room for prompt and reply of one call, for a concluding turn (tokens).
        """
        return [self._need(item, limit) for item in items]

    def _need(self, item: PlannedTurn, limit: int | None) -> Need:
        turn = item.turn
        index = self.society.group_index(turn.agent)
        group, backend = self.scenario.agents[index], self.backends[index]
        if self._coded[index] is not None:
            return _NOTHING
        pure = self._pure[index]
        if pure is not None and isinstance(pure, ElasticBackend):
            wanted = min(pure.wants(item.left, item.team_left, self.society.n), group.max_tokens)
            return _NOTHING if turn.by_rule else Need((0,), max(wanted, 1))
        if pure is not None:
            tokens_in, tokens_out = pure.cost(len(turn.sees), turn.by_rule, self.society.speaks(turn.agent))
            asks = not turn.by_rule
            return Need((tokens_in,), tokens_out, whole=True, asks=asks) if tokens_in or tokens_out else _NOTHING
        if turn.by_rule:
            return _NOTHING
        cap = group.max_tokens if limit is None else max(1, min(group.max_tokens, limit // 2))
        if item.room is not None:
            first = item.room
        else:
            room = None if limit is None else limit - cap
            rendered = self._render(AttemptRequest(item, 0, 0, room, cap))
            first = backend.count(rendered[0])
            if len(self._rendered) >= RENDERED_MAX:
                self._rendered.clear()
            self._rendered[_place(item)] = (first, cap, rendered)
        later = first + cap + REPAIR_TOKENS
        if backend.window is not None:
            later = min(later, max(first, backend.window - cap))
        calls = (first,) if turn.iterations == 1 else (first,) + (later,) * (turn.iterations - 1)
        return Need(calls, cap, again=REPAIR_TOKENS)

    # Acting

    async def act(self, items: Sequence[PlannedTurn]) -> list[Reply]:
        """Return the replies of agents that ask no model, in the order of `items`."""
        replies: list[Reply | None] = [None] * len(items)
        waiting: list[tuple[int, asyncio.Task[Reply]]] = []
        group_index, view = self.society.group_index, self.view
        coded = self._coded
        waits = {index for index, model in enumerate(coded) if model is not None and model in self._waits}
        for position, item in enumerate(items):
            index = group_index(item.turn.agent)
            model = coded[index]
            if model is not None:
                self._busy = item
                if waits and index in waits:
                    waiting.append((position, asyncio.ensure_future(self._in_time(item, model))))
                    continue
                step = model.act(view(item))
                try:
                    step.send(None)  # most coded agents never wait: no task is made for them
                except StopIteration as done:
                    replies[position] = done.value
                else:  # this one does: it is asked again in a task of its own, and from now on at once
                    step.close()
                    self._waits.add(model)
                    waits.add(index)
                    waiting.append((position, asyncio.ensure_future(self._in_time(item, model))))
                self._busy = None
            elif (backend := self._pure[index]) is not None:
                replies[position] = self._voter(item, backend)
            else:
                replies[position] = self._tally(item)
        for position, task in waiting:
            replies[position] = await task
        for item, reply in zip(items, replies, strict=True):
            if not isinstance(reply, Reply):
                raise RunFailedError(
                    f"agent {item.turn.agent} returned {type(reply).__name__} in task {item.task}, round {item.round}; "
                    "act has to return a Reply"
                )
        return replies  # type: ignore[return-value]

    async def _in_time(self, item: PlannedTurn, model: CodedAgent) -> Reply:
        """Ask a coded agent that waits for something, within the time limit of a call."""
        limit = self.scenario.calls.timeout_s
        work = asyncio.ensure_future(model.act(self.view(item)))
        done, _ = await asyncio.wait({work}, timeout=min(WAITING_S, limit))
        if not done:
            stack = work.get_stack(limit=1)
            where = f" in line {stack[-1].f_lineno} of {Path(stack[-1].f_code.co_filename).name}" if stack else ""
            agent = f"agent {item.turn.agent} (task {item.task}, round {item.round})"
            self.notices.append(f"{agent} has been waiting for {min(WAITING_S, limit):g} s{where}")
            done, _ = await asyncio.wait({work}, timeout=max(limit - WAITING_S, 0.0))
        if not done:
            work.cancel()
            return Reply(failed=f"timeout: no reply within {limit:g} s")
        return work.result()

    def _tally(self, item: PlannedTurn) -> Reply:
        """A merge by rule of agents whose reading is exact: count what is shown, no tokens."""
        board, turn = self.board(item.task), item.turn
        claims = [board.claims[claim] for claim in turn.sees]
        weights = None
        if self.scenario.protocol.weighs_claims():
            weights = [claim.confidence if claim.confidence is not None else 0.5 for claim in claims]
        decision = majority(
            claims,
            seed=self.scenario.seed,
            task=item.task,
            round_=item.round,
            agent=turn.agent,
            weights=weights,
        )
        return Reply(answer=decision.answer, uses=tuple(dict.fromkeys(turn.sees)))

    def _voter(self, item: PlannedTurn, backend: PureBackend) -> Reply:
        task, board, turn = self._asked(item), self.board(item.task), item.turn
        own = None if turn.fresh else board.position(turn.agent)
        hint = Hint(
            task=item.task,
            round=item.round,
            agent=turn.agent,
            k=turn.slot,
            purpose=turn.purpose,
            truth=task.truth,
            options=task.options,
            shown=tuple([board.claims[claim].answer for claim in turn.sees]) if turn.sees else (),
            own=None if own is None else own.answer,
            by_rule=turn.by_rule,
            speaks=self.society.speaks(turn.agent),
            difficulty=task.difficulty,
        )
        if turn.fresh:
            place = zlib.crc32(turn.state.encode()) if turn.state is not None else 0
            hint = SampleHint(*msgspec.structs.astuple(hint), turn.slot, place)  # type: ignore[call-arg]
        said = self._spender(item, backend, hint) if isinstance(backend, ElasticBackend) else backend.respond(hint)
        if said.invalid:
            what = f"{MALFORMED}simulated"
            spent = Reply(latency_s=said.latency_s, calls=1, tokens_in=said.tokens_in, tokens_out=said.tokens_out)
            return msgspec.structs.replace(spent, **{"discarded" if turn.strict else "failed": what})
        planning = turn.purpose in ("plan", "guide")  # a voter has no words: it hands on the question itself
        disputes = tuple(dict.fromkeys([turn.sees[i] for i in said.rejected])) if said.rejected else ()
        return Reply(
            answer=None if planning else said.answer,
            uses=tuple([c for c in dict.fromkeys(turn.sees) if c not in disputes]),
            disputes=disputes,
            chosen=None if said.chosen is None else turn.sees[said.chosen],
            accepts=said.accepts,
            delegations=tuple(Delegation(to, task.question) for to in turn.targets) if planning else (),
            stop=False if turn.purpose == "judge" else None,
            latency_s=said.latency_s,
            calls=0 if turn.by_rule else 1,
            tokens_in=said.tokens_in,
            tokens_out=said.tokens_out,
        )

    def recall(self, order: AttemptRequest) -> AttemptResult:
        """Return the outcome that the journal has for an attempt; a run that may ask compares the requests first."""
        name = self._names[self.society.group_index(order.item.turn.agent)]
        known = order.known
        assert known is not None
        if self.live:
            digest = _digest(self._request(order)[0])
            if known.request != digest:
                return AttemptResult(digest, name, mismatch=True)
        usage = Usage(known.tokens_in or 0, known.tokens_cached or 0, known.tokens_out or 0, bool(known.usage_known))
        if known.state == "failed":
            kind, _, message = (known.failure or "server: ").partition(": ")
            return self._failed(known.request, name, CallError(kind, message, usage=usage), 0)  # type: ignore[arg-type]
        item = order.item
        task, view = self._asked(item), _first_claims(self.view(item), known.shown or 0)
        reply, finish = known.reply or "", known.finish or "stop"
        return self._read(known.request, name, view, task, reply, finish, usage, 0)

    def _spender(self, item: PlannedTurn, backend: ElasticBackend, hint: Hint) -> Said:
        """Return what a voter says that decides itself what it spends, on a part of the task as a model would."""
        task, turn = self._asked(item), item.turn
        if turn.by_rule or turn.purpose in ("plan", "guide", "judge", "choose", "check"):
            return backend.respond(msgspec.structs.replace(hint, by_rule=True))
        part = part_of(task, self.board(item.task), turn.subtask)
        if part is not None and task.part_truths:
            difficulty = task.part_difficulty[part] if task.part_difficulty else None
            hint = msgspec.structs.replace(hint, truth=task.part_truths[part], options=(), difficulty=difficulty)
        wanted = min(
            backend.wants(item.left, item.team_left, self.society.n), self.society.group(turn.agent).max_tokens
        )
        return backend.spend(hint, max(wanted, 1) if item.cap is None else item.cap)

    async def attempt(self, order: AttemptRequest) -> AttemptResult:
        """Make one attempt, or read the journal's row in its place; never raises for what a model does."""
        if order.known is not None:
            return self.recall(order)
        name = self._names[self.society.group_index(order.item.turn.agent)]
        request, view, task, backend = self._request(order)
        digest = _digest(request)
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.scenario.calls.timeout_s):
                completion = await backend.complete(request)
        except TimeoutError:
            late = CallError("timeout", f"no reply within {self.scenario.calls.timeout_s:g} s")
            return self._failed(digest, name, late, _ms(began))
        except CallError as error:
            return self._failed(digest, name, error, _ms(began))
        text = completion.text
        if len(text) > REPLY_BYTES_MAX:
            long = CallError("server", f"a reply of {len(text)} characters is over the limit", usage=completion.usage)
            return self._failed(digest, name, long, _ms(began))
        text = mask(text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd"))
        return self._read(digest, name, view, task, text, completion.finish, completion.usage, _ms(began))

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
        )

    def _read(
        self,
        digest: bytes,
        name: str,
        view: View,
        task: Task,
        text: str,
        finish: str,
        usage: Usage,
        latency_ms: int,
    ) -> AttemptResult:
        said = read_reply(self.society, self.family, task, view, text, finish)
        reply, fault = (None, said.what) if isinstance(said, Fault) else (said, None)
        shown = len(view.claims)
        return AttemptResult(
            digest, name, text, finish, None, False, True, None, usage, latency_ms, reply, fault, shown
        )


def _first_claims(view: View, n: int) -> View:
    """Return a view without the claims that did not fit into its prompt."""
    return view if n >= len(view.claims) else msgspec.structs.replace(view, claims=view.claims[:n])


_NOTHING = Need()


def _digest(request: Request) -> bytes:
    return hashlib.sha256(msgspec.msgpack.encode(request)).digest()


def _place(item: PlannedTurn) -> tuple[int, int, int, int]:
    return item.task, item.round, item.turn.agent, item.turn.slot


def _ms(began: float) -> int:
    return round(1000 * (time.monotonic() - began))
