"""How much a run can cost at most, worked out before the first call; and the question that a paid provider deserves.

One episode is rehearsed without any model: the protocol plans, everybody disagrees with everybody at full length,
nobody stops early, and the prompts that this makes are counted at one token a byte, which no tokenizer exceeds.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from agentsoc.cli.terminal import note
from agentsoc.errors import InputError

if TYPE_CHECKING:
    from agentsoc.events import Event
    from agentsoc.scenario.model import Scenario
    from agentsoc.society.board import Board
    from agentsoc.society.build import Society
    from agentsoc.society.turns import Turn
    from agentsoc.tasks.base import Task

TURNS_MAX: Final = 5_000
"""Turns of one episode up to which it is rehearsed (turns)."""
SHOWN_MAX: Final = 20_000
"""Claims shown in one episode up to which it is rehearsed (claims)."""
TASKS_READ: Final = 200
"""Tasks among which the longest is looked for (tasks)."""
FORM_BYTES: Final = 600
"""Bound on the line that asks for the form of a reply (bytes)."""
ANSWER_CHARS: Final = 400
"""Length to which a free answer is kept (characters)."""
BYTES_PER_TOKEN: Final = 16
"""Bytes of text that one token of a reply may stand for when it is read again."""


@dataclass(frozen=True)
class Bound:
    """The most that a run can take."""

    calls: int
    """Model calls when each succeeds at once."""
    attempts: int
    """Model calls when each is repeated as often as the scenario allows."""
    tokens: int
    """Input and output of all attempts, or the budget where that is less (tokens)."""

    def text(self) -> str:
        """Return the bound in words."""
        if not self.calls:
            return "no model calls"
        repeats = f" ({self.attempts:,} with all repeats)" if self.attempts > self.calls else ""
        return f"at most {self.calls:,} model calls{repeats} and {self.tokens:,} tokens"


def bound(society: Society) -> Bound | None:
    """Return the most that a run of `society` can take, or None when that takes too long to work out."""
    scenario = society.scenario
    try:
        calls, tokens = _most(society, _longest_task(scenario))
    except _TooLongError:
        return None
    except Exception:  # a protocol of somebody else's that such replies upset: it must not stop a run from starting
        return None
    n_tasks = scenario.tasks.count
    tokens *= n_tasks
    if scenario.budget is not None:
        tokens = min(tokens, scenario.budget.per_task(n_tasks) * n_tasks)
    return Bound(calls * n_tasks, calls * n_tasks * scenario.calls.attempts, tokens)


class _TooLongError(Exception):
    """The rehearsal has more turns or shows more claims than is worth waiting for."""


def _most(society: Society, task: Task) -> tuple[int, int]:
    """Return the calls and tokens of one episode of `task` in which nobody agrees."""
    from agentsoc.society.board import Board

    scenario = society.scenario
    repeats = scenario.calls.attempts - 1
    board = Board(0, task)
    n_turns = calls = tokens = shown = 0
    while turns := scenario.protocol.plan(society, board):
        n_turns += len(turns)
        shown += sum(len(turn.sees) for turn in turns)
        if n_turns > TURNS_MAX or shown > SHOWN_MAX:
            raise _TooLongError
        for turn in turns:
            if not _asks_model(society, turn):
                continue
            prompt = _prompt_bytes(society, board, task, turn)
            cap = scenario.agents[society.group_index(turn.agent)].max_tokens
            draft = cap * BYTES_PER_TOKEN
            calls += turn.iterations
            tokens += turn.iterations * (prompt + cap) + (turn.iterations - 1) * draft
            tokens += repeats * turn.iterations * (prompt + cap + draft + FORM_BYTES)
        board.fold(_disagreement(society, board, turns))
    return calls, tokens


def _longest_task(scenario: Scenario) -> Task:
    tasks = (scenario.tasks.make(scenario.seed, index) for index in range(min(scenario.tasks.count, TASKS_READ)))
    return max(tasks, key=lambda task: _bytes(task.question) + sum(map(_bytes, task.parts)))


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _asks_model(society: Society, turn: Turn) -> bool:
    from agentsoc.backends.base import PureBackend
    from agentsoc.society.coded import CodedAgent

    index = society.group_index(turn.agent)
    model = society.scenario.agents[index].model
    if turn.by_rule or isinstance(model, CodedAgent):
        return False
    backend = society.remember(("bound", index), lambda: model.open(seed=society.scenario.seed))
    return not isinstance(backend, PureBackend)


def _prompt_bytes(society: Society, board: Board, task: Task, turn: Turn) -> int:
    """Return a bound on the prompt of a turn: every text at full length, every character at four bytes."""
    from agentsoc.society.agent import CHARS_PER_TOKEN, system_prompt

    answer = max(map(_bytes, task.options), default=4 * ANSWER_CHARS)
    claim = 4 * CHARS_PER_TOKEN * society.scenario.message_tokens + answer + 32
    texts = [system_prompt(society, turn.agent), task.question, turn.instruction, *task.options]
    if turn.subtask is not None:
        texts.append(board.subtasks[turn.subtask].text)
    fixed = sum(_bytes(text) + 8 for text in texts) + FORM_BYTES
    return fixed + claim * (len(set(turn.sees)) + 1 + society.group(turn.agent).memory)


def _disagreement(society: Society, board: Board, turns: Sequence[Turn]) -> list[Event]:
    """Return the events of a round in which everybody says something else, hands out work and wants to go on."""
    from agentsoc.events import CLAIMING, SOCIETY, Event, pack_id
    from agentsoc.society.turns import SLOT_WIDTH, Delegation, Reply

    protocol = society.scenario.protocol
    events, replies = [], []
    for turn in turns:
        planning = turn.purpose in ("plan", "guide")
        reply = Reply(
            answer=None if planning or turn.purpose == "judge" else f"answer of {turn.agent}",
            uses=tuple(dict.fromkeys(turn.sees)),
            delegations=tuple(Delegation(to, "a piece of work") for to in turn.targets) if planning else (),
            stop=False if turn.purpose in ("judge", "plan") else None,
        )
        replies.append(reply)
        for j, act in enumerate(protocol.interpret(society, board, turn, reply)):
            k = turn.slot * SLOT_WIDTH + j
            here = pack_id(board.round, turn.agent, k)
            events.append(
                Event(
                    board.task,
                    board.round,
                    turn.agent,
                    k,
                    act.kind,
                    here if act.kind in CLAIMING else None,
                    act.parents,
                    act.target,
                    here if act.mints_subtask else act.subtask,
                    act.subtask_parent,
                    act.answer,
                    text=act.text,
                )
            )
    for k, (name, text) in enumerate(protocol.flags(society, board, turns, replies).items()):
        events.append(Event(board.task, board.round, SOCIETY, k, "flag", answer=name, text=text))
    return sorted(events, key=lambda event: (event.agent, event.k))


def paid_models(scenario: Scenario) -> list[str]:
    """Return the models of a scenario that somebody may charge for: those behind an API that is not on this machine."""
    found = {}
    for group in scenario.agents:
        if group.model.kind == "litellm" and not _is_loopback(getattr(group.model, "base_url", None)):
            found[str(getattr(group.model, "name", group.model.kind))] = True
    return list(found)


def _is_loopback(url: str | None) -> bool:
    host = urlsplit(url).hostname if url else None
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def ask_before_paying(societies: Sequence[Society], yes: bool) -> None:
    """Say what the runs can cost and have it confirmed, unless no model is a paid one or `yes` says so already.

    Without a terminal nobody can answer: then a budget is taken as consent, and runs without one need ``--yes``.

    Raises:
        InputError: the answer was no, or nobody could be asked.
    """
    models = list(dict.fromkeys(name for society in societies for name in paid_models(society.scenario)))
    if not models:
        return
    bounds = [bound(society) for society in societies]
    known = [found for found in bounds if found is not None]
    walled = all(society.scenario.budget is not None for society in societies)
    runs = f"{len(societies)} runs" if len(societies) > 1 else "this run"
    if len(known) == len(bounds):
        calls, attempts, tokens = (sum(getattr(b, name) for b in known) for name in ("calls", "attempts", "tokens"))
        what = Bound(calls, attempts, tokens).text()
    else:
        what = "too large to work out how many model calls at most"
    note(f"{', '.join(models)} may charge for {runs}: {what}" + ("" if walled else "; there is no budget"))
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        if walled:
            return
        raise InputError(
            "a paid model without a budget, and nobody to ask", "", "set budget.tokens_per_task, or add --yes"
        )
    print("go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InputError("not started: the answer was no", "", "--yes answers in advance")
