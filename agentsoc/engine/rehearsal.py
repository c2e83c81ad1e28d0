"""This module rehearses an episode without any model: everybody says something else, hands out work and goes on.

What a run can cost is worked out from it, and the prompts that its agents would get are shown from it.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

import msgspec

from agentsoc.backends.secrets import redact
from agentsoc.contracts.board import Board, Claim
from agentsoc.contracts.model import Backend, PureBackend, Request
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import Delegation, Reply, Turn, View
from agentsoc.contracts.world import World
from agentsoc.engine.act_events import add_events
from agentsoc.engine.attempts import AttemptRequest, PlannedTurn
from agentsoc.engine.earlier import EarlierTurns
from agentsoc.engine.prompts import model_call
from agentsoc.engine.views import Views
from agentsoc.errors import AgentsocError, BackendSetupError
from agentsoc.events import SOCIETY, Event
from agentsoc.scenario.model import Scenario
from agentsoc.scenario.source import printable
from agentsoc.society.acting import equipped
from agentsoc.society.build import BuiltSociety, open_board
from agentsoc.society.calls import ModelCall
from agentsoc.society.coded import CodedAgent
from agentsoc.society.prompt import build_request, purpose_template

ROUNDS_MAX: Final = 12
"""Rounds that are rehearsed for their prompts (rounds)."""
TURNS_MAX: Final = 5_000
"""Turns that are looked at for their prompts (turns)."""


def rehearsed(
    society: BuiltSociety, board: Board, turns: Sequence[Turn], *, said: bool = False
) -> tuple[list[Reply], list[Event]]:
    """Return replies and events of a round in which everybody says something else and wants to go on.

    Args:
        society: whose protocol says what the replies amount to.
        board: the board of the episode, which is not changed.
        turns: the turns of the round.
        said: whether replies have words as well, as those of a model have.
    """
    protocol = society.scenario.protocol
    events: list[Event] = []
    replies = []
    for turn in turns:
        planning = turn.purpose in ("plan", "guide")
        answer = f"answer of {turn.agent}" + (f", {board.round}.{turn.slot}" if turn.fresh else "")
        reply = Reply(
            answer=None if planning or turn.purpose == "judge" else answer,
            uses=tuple(dict.fromkeys(turn.sees)),
            delegations=tuple(Delegation(to, "a piece of work") for to in turn.targets) if planning else (),
            stop=False if turn.purpose in ("judge", "plan") else None,
            chosen=turn.sees[-1] if turn.purpose == "choose" and turn.sees else None,
            accepts=False if turn.purpose == "check" else None,
            said=answer if said else None,
        )
        replies.append(reply)
        acts = protocol.interpret(society, board, turn, reply)
        add_events(events, (board.task, board.round), turn, reply, acts, lambda act, state: None)
    for k, (name, text) in enumerate(protocol.flags(society, board, turns, replies).items()):
        events.append(Event(board.task, board.round, SOCIETY, k, "flag", answer=name, text=text))
    return replies, sorted(events, key=lambda event: (event.agent, event.k))


@dataclass(frozen=True)
class SamplePrompt:
    """The prompt that a model would get for the first turn of a role in a purpose, with made-up words of others."""

    agent: int
    role: str
    """Its role in the topology."""
    round: int
    turn: Turn
    claims: int
    """Claims that it shows."""
    request: Request

    @property
    def template(self) -> str | None:
        """Name of the template that made its question; None where the protocol has words of its own for the turn."""
        return None if self.turn.asks else purpose_template(self.turn.purpose, self.claims)


def sample_prompts(society: BuiltSociety, index: int = 0) -> list[SamplePrompt]:
    """Return the first prompt of each group, role and purpose in the episode of task `index`; nobody is called.

    What others say in them is made up. Where the plan depends on what is said, it is what it would be if nobody agreed.
    """
    return [sample for sample, *_ in _samples(society, index)]


def room_warnings(society: BuiltSociety) -> list[str]:
    """Return what does not fit into the window of a model, as far as it is known before anybody speaks.

    Prompts are counted by the model's tokenizer, where it is at hand, else bounded; claims are taken to be as long as
    they may be. A model whose file is not here is passed over. A part that fails at made-up words ends the search.
    """
    found: list[str] = []
    try:
        found += _warnings(society)
    except AgentsocError:
        raise
    except Exception as error:
        found.append(f"whether prompts fit is not known: {failure_text(society.scenario, error)}")
    return found


def failure_text(scenario: Scenario, error: Exception) -> str:
    """Return what is said of a part that fails when an episode is rehearsed, and where in the code that was."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    said = printable(redact(" ".join(str(error).split())), 200)
    what = f"{type(error).__name__}{place}" + (f": {said}" if said else "")
    return f"rehearsing an episode (protocol {scenario.protocol.kind}, tasks {scenario.tasks.kind}) fails with {what}"


def _warnings(society: BuiltSociety) -> Iterator[str]:
    for sample, task, view, backend in _samples(society, 0):
        if backend.window is None:
            continue
        settings = society.group(sample.agent)
        room = backend.window - settings.max_tokens
        least = view.claims and (Claim(0, 0, 0, "propose_claim", "?"),)  # the shortest there can be
        alone = msgspec.structs.replace(view, claims=least, turn=msgspec.structs.replace(view.turn, sees=()))
        try:
            bare = backend.count(build_request(society, task, alone, ModelCall(0, settings.max_tokens)))
        except BackendSetupError:
            continue
        who = f"agent {sample.agent} ({sample.role}, {sample.turn.purpose}, round {sample.round})"
        window = f"a window of {backend.window:,} with {settings.max_tokens:,} kept for the reply"
        if bare > room:
            what = "the question with the shortest of claims" if least else "the question alone"
            yield f"{who}: {what} takes up to {bare:,} tokens, which does not fit {window}"
            continue
        fit = (room - bare + _CLAIM_TOKENS) // (society.message_tokens + _CLAIM_TOKENS)
        if fit < sample.claims:
            yield f"{who}: of {sample.claims} claims at full length {fit} fit {window}"


_CLAIM_TOKENS: Final = 12
"""What stands around a claim: handle, author, answer (tokens, roughly)."""


def _samples(society: BuiltSociety, index: int) -> Iterator[tuple[SamplePrompt, Task, View, Backend]]:
    scenario = society.scenario
    task = scenario.tasks.make(scenario.tasks_seed, index)
    board = open_board([society], index, task)
    views = Views(society, {index: board})
    backends = [None if isinstance(g.model, CodedAgent) else g.model.open(seed=society.seed) for g in society.groups]
    earlier = EarlierTurns()
    seen: set[tuple[int, str, str, bool]] = set()
    rounds = ROUNDS_MAX if scenario.protocol.rehearsable and not isinstance(scenario.tasks, World) else 1
    n_turns = 0
    while board.round < rounds and n_turns < TURNS_MAX and (planned_turns := scenario.protocol.plan(society, board)):
        turns = equipped(society, planned_turns)
        n_turns += len(turns)
        for turn in turns:
            group, role = society.group_index(turn.agent), society.wiring.role_of(turn.agent)
            backend, kind = backends[group], (group, role, turn.purpose, bool(turn.sees))
            if backend is None or isinstance(backend, PureBackend) or turn.by_rule or kind in seen:
                continue
            seen.add(kind)
            planned = views.instructed(earlier.told(PlannedTurn(index, board.round, turn)))
            view, asked = views.prompted(planned), views.asked(planned)
            wanted = AttemptRequest(planned, 0, 0, None, society.group(turn.agent).max_tokens)
            request = build_request(society, asked, view, model_call(views, wanted))
            yield SamplePrompt(turn.agent, role, board.round, turn, len(view.claims), request), asked, view, backend
        replies, events = rehearsed(society, board, turns, said=True)
        earlier.note(society, board.round, turns, replies)
        board.fold(events)
