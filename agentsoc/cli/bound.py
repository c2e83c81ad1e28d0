"""How much a run can cost at most, worked out before the first call; and the question that a paid provider deserves.

One episode is rehearsed without any model: the protocol plans, everybody disagrees with everybody at full length,
nobody stops early, and the prompts that this makes are counted.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

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
ANSWER_CHARS: Final = 400
"""Length to which a free answer is kept (characters)."""
CLAIM_BYTES: Final = 32
"""What stands around a shown claim: its handle and its author (bytes)."""
CITING_BYTES: Final = 200
"""What a prompt says about shown claims besides (bytes)."""
DRAFT_BYTES: Final = 16
"""Bytes of text that one token of a draft may stand for when the next call reads it."""


@dataclass(frozen=True)
class Bound:
    """What a run can take."""

    calls: int
    """Model calls when each succeeds at once."""
    attempts: int
    """Model calls when each is repeated as often as the scenario allows."""
    tokens: int
    """Input and output of `calls` at four bytes a token, full message length and full output cap (tokens)."""
    tokens_max: int
    """Input and output of all attempts at one byte a token, or the budget where that is less (tokens)."""

    def text(self) -> str:
        """Return the bound in words."""
        if not self.calls:
            return "no model calls"
        repeats = f" ({self.attempts:,} with all repeats)" if self.attempts > self.calls else ""
        return (
            f"at most {self.calls:,} model calls{repeats}; about {self.tokens:,} tokens, "
            f"in no case more than {self.tokens_max:,}"
        )


def bound(society: Society) -> Bound | None:
    """Return what a run of `society` can take, or None when that takes too long to work out."""
    scenario = society.scenario
    try:
        calls, tokens, tokens_max = _most(society, _longest_task(scenario))
    except _TooLongError:
        return None
    except Exception:  # a protocol of somebody else's that such replies upset: it must not stop a run from starting
        return None
    n = scenario.tasks.count
    most = tokens_max * n
    if scenario.budget is not None:
        most = min(most, scenario.budget.per_task(n) * n)
    return Bound(calls * n, calls * n * scenario.calls.attempts, min(tokens * n, most), most)


class _TooLongError(Exception):
    """The rehearsal has more turns or shows more claims than is worth waiting for."""


def _most(society: Society, task: Task) -> tuple[int, int, int]:
    """Return calls, tokens and the most tokens of one episode of `task` in which nobody agrees."""
    from agentsoc.society.agent import CHARS_PER_TOKEN, REPAIR_TOKENS
    from agentsoc.society.board import Board

    scenario = society.scenario
    message, repeats = scenario.message_tokens, scenario.calls.attempts - 1
    answer = max(map(_bytes, task.options), default=4 * ANSWER_CHARS)
    board = Board(0, task)
    n_turns = n_shown = calls = tokens = most = 0
    while turns := scenario.protocol.plan(society, board):
        n_turns += len(turns)
        n_shown += sum(len(turn.sees) for turn in turns)
        if n_turns > TURNS_MAX or n_shown > SHOWN_MAX:
            raise _TooLongError
        for turn in turns:
            if not _asks_model(society, turn):
                continue
            bare = _bare_prompt_bytes(society, board, task, turn)
            claims = len(set(turn.sees)) + society.group(turn.agent).memory
            # a character is at most four bytes, and a byte at most a token
            prompt = bare + answer + claims * (4 * CHARS_PER_TOKEN * message + answer + CLAIM_BYTES)
            prompt += CITING_BYTES if claims else 0
            cap = scenario.agents[society.group_index(turn.agent)].max_tokens
            drafts = (turn.iterations - 1) * cap * DRAFT_BYTES
            calls += turn.iterations
            tokens += turn.iterations * (bare // 4 + claims * (message + 8) + cap)
            most += turn.iterations * (prompt + cap) + drafts
            most += repeats * (turn.iterations * (prompt + cap + REPAIR_TOKENS) + drafts)
        board.fold(_disagreement(society, board, turns))
    return calls, tokens, most


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


def _bare_prompt_bytes(society: Society, board: Board, task: Task, turn: Turn) -> int:
    """Return the size of the prompt of a turn before any claim is shown in it."""
    from agentsoc.backends.base import bytes_bound
    from agentsoc.society.agent import build_request
    from agentsoc.society.turns import View

    question = task.question
    if turn.subtask is not None:
        question += f"\nYour part: {board.subtasks[turn.subtask].text}"
    own = board.position(turn.agent)
    alone = msgspec.structs.replace(turn, sees=())
    view = View(board.task, board.round, turn.agent, question, task.options, alone, own=own)
    return bytes_bound(build_request(society, society.scenario.tasks, task, view, k=0, max_tokens=1))


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
        what = Bound(*(sum(getattr(b, field.name) for b in known) for field in fields(Bound))).text()
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
