"""This module plans the turns of a run again and says of each reply what it was shown, named and changed.

Comes in: a run with a journal. Goes out: one row for each reply of a model that states an answer. Which claims a turn
was shown, and in which order, is in no file of a run: it follows from scenario and log, as it does for a replay.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

import msgspec
import polars as pl

from agentsoc.contracts.board import Board, Claim
from agentsoc.contracts.influence import answer_before
from agentsoc.contracts.rules import recorded_rules
from agentsoc.contracts.turns import NONE, SLOT_WIDTH, Turn, View
from agentsoc.contracts.world import asked
from agentsoc.events import CLAIMING, COORDINATION, SOCIETY, Event
from agentsoc.log.journal import Attempt
from agentsoc.log.names import INPUTS
from agentsoc.log.read import RunLog
from agentsoc.log.tool_rows import is_model
from agentsoc.reading.objects import find_object
from agentsoc.scenario.files import BASE_DIR, use_kept
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import BuiltSociety, build_society, open_board
from agentsoc.society.probe import left_out_of, probe_k, swapped_answer, with_answer, without_claim
from agentsoc.society.reply_fault import Fault
from agentsoc.society.reply_form import STATING, asks_for_handles, form_of
from agentsoc.society.reply_reader import read_reply
from agentsoc.society.sight import in_shown_order, view_of

_ENDS_IN_NONE: Final = re.compile(rf"\b{NONE}\W*$", re.IGNORECASE)
Place = tuple[int, int, int]
"""(round, agent, slot) of a turn."""


class HeardReply(msgspec.Struct, frozen=True, gc=False):
    """A reply that states an answer, with what its prompt showed."""

    task: int
    round: int
    agent: int
    shown: int
    """Claims in its prompt."""
    asked: bool
    """Whether it had to say which of them it rests on."""
    named: tuple[int, ...]
    """Numbers of the claims that it names, for or against, in the order of its prompt: 1 for #1."""
    none: bool
    """Whether it says that it rests on none of them."""
    had: bool
    """Whether the agent had an answer to the question before."""
    against: bool
    """Whether a claim was shown that another agent made or stands by, with another answer than the one it had."""
    changed: bool
    """Whether its answer is another one than before."""
    adopted: bool
    """Whether it changed to an answer that such a claim showed."""
    without: bool | None = None
    """Whether a probe gave another answer, with one of the claims left out; None for a turn that was not probed."""
    again: bool | None = None
    """The same for the control of the probe, in which all claims were shown again."""
    swapped: bool | None = None
    """The same where that claim stated another answer; None for a turn that was not asked so."""
    took: bool | None = None
    """Whether the answer was then the one that was put into the claim, and had not been before."""
    led: bool | None = None
    """Whether its answer before was not the most frequent one of others, shown or, where no other was shown, held."""
    followed: bool | None = None
    """Whether it changed to that most frequent answer (one of them, where several are)."""
    right_before: bool | None = None
    """Whether its answer before had the full score; None without one, or where nothing scored it."""
    right_after: bool | None = None


SCHEMA: Final = {
    "task": pl.Int64(), "round": pl.Int64(), "agent": pl.Int64(), "shown": pl.Int64(), "asked": pl.Boolean(),
    "named": pl.List(pl.Int64()), "none": pl.Boolean(), "had": pl.Boolean(), "against": pl.Boolean(),
    "changed": pl.Boolean(), "adopted": pl.Boolean(), "without": pl.Boolean(), "again": pl.Boolean(),
    "swapped": pl.Boolean(), "took": pl.Boolean(), "led": pl.Boolean(), "followed": pl.Boolean(),
    "right_before": pl.Boolean(), "right_after": pl.Boolean(),
}  # fmt: skip
assert tuple(SCHEMA) == HeardReply.__struct_fields__


def heard_replies(log: RunLog) -> pl.DataFrame:
    """Return the replies of models that state an answer, one row each, with the columns of `SCHEMA`.

    Replies that were asked for by rule, discarded or not read are not among them, nor turns that only judge, choose,
    check or plan. No row for a run without a journal.

    Raises:
        InputError: the run's society cannot be built here: a part of it is not installed.
        ValueError: the same, told by the scenario.
        LogDamagedError: the log is not what was written.
    """
    own = use_kept(log.directory / INPUTS)  # a file that it names is not looked for in the reader's directory
    try:
        log.inside.has_directory(INPUTS)
        found = [msgspec.structs.astuple(reply) for reply in _replies(log)]
    finally:
        BASE_DIR.reset(own)
    return pl.DataFrame(found, schema=SCHEMA, orient="row")


def _replies(log: RunLog) -> Iterator[HeardReply]:
    journal = groupby(log.journal(), key=lambda row: row.task)
    task, rows = next(journal, (None, iter(())))
    if task is None:
        return
    rules = recorded_rules(log.manifest.rules, str(log.directory))
    fork = log.manifest.fork
    parts = [(before.start, before.scenario) for before in (fork.before if fork else ())]
    parts.append(((0, 0) if fork is None else (fork.task, fork.round), log.manifest.scenario))
    if any(Scenario.model_validate(one).protocol.elsewhere for _, one in parts):
        return  # what was shown comes from other episodes, and nothing of it is a claim of this one
    epochs = [(at, build_society(Scenario.model_validate(one), stored=True, rules=rules)) for at, one in parts]
    for index, events in groupby(log.events(), key=lambda event: event.task):
        while task is not None and task < index:
            task, rows = next(journal, (None, iter(())))
        if task == index:
            yield from _of_episode(epochs, index, events, _last_said(rows))


def _last_said(rows: Iterator[Attempt]) -> Mapping[Place, Attempt]:
    """Return the last reply of each turn of a task, as the journal has it."""
    asked = (row for row in rows if row.state == "done" and is_model(row.model))
    return {(row.round, row.agent, row.k // SLOT_WIDTH): row for row in asked}


def _of_episode(
    epochs: Sequence[tuple[tuple[int, int], BuiltSociety]],
    index: int,
    events: Iterator[Event],
    said: Mapping[Place, Attempt],
) -> Iterator[HeardReply]:
    """Yield the replies of one episode, planning each round from the board that its events give."""
    last = epochs[-1][1]
    task = last.tasks.make(last.tasks_seed, index)
    board = open_board([society for _, society in epochs], index, task)
    scores: dict[int, float | None] = {}
    first = 0  # round in which the stage began: who calls tools answers in a later one than who does not
    for number, group in groupby(events, key=lambda event: event.round):
        of_round = list(group)
        society = [one for at, one in epochs if at <= (index, number)][-1]
        acts = {(event.agent, event.k): event for event in of_round if event.kind in COORDINATION}
        over = board.budget_refused > 0 or any(event.kind == "stop" for event in of_round)
        for turn in () if over else society.scenario.protocol.plan(society, board):
            places = ((at, turn.agent, turn.slot) for at in range(number, first - 1, -1))
            row = next((said[place] for place in places if place in said), None)
            act = acts.get((turn.agent, turn.slot * SLOT_WIDTH))
            if row is None or turn.purpose not in STATING or act is None:
                continue
            reply = _reply(society, board, turn, row, said)
            if reply is not None:
                yield _scored(reply, act, scores.get(board.standing.get(turn.agent, -1)), scores)
        scores |= {one.claim: one.correct for one in of_round if one.kind in CLAIMING and one.claim is not None}
        stage = board.round
        board.fold(of_round)
        first = first if board.round == stage else board.log_round


def _scored(reply: HeardReply, act: Event, before: float | None, scores: Mapping[int, float | None]) -> HeardReply:
    """Return a reply with whether it was right, and whether its agent had been before."""
    after = act.correct
    if after is None and act.target is not None:
        after = scores.get(act.target)
    right_before = None if before is None or not reply.had else before >= 1
    return msgspec.structs.replace(reply, right_before=right_before, right_after=None if after is None else after >= 1)


def _reply(
    society: BuiltSociety, board: Board, turn: Turn, row: Attempt, said: Mapping[Place, Attempt]
) -> HeardReply | None:
    """Return what a reply says of the claims that it was shown; None for one that cannot be read."""
    family, problem = society.tasks, board.problem
    assert problem is not None
    task = asked(family, problem, turn.state)
    whole = in_shown_order(society, view_of(society, task, board, turn))
    view = msgspec.structs.replace(whole, claims=whole.claims[: row.shown or 0])
    text = row.reply or ""
    read = read_reply(society, family, task, view, text, row.finish or "stop")
    if isinstance(read, Fault):
        return None

    def probe_said(k: int, seen: View) -> str | None:
        """Return the answer of a probe; None where there is none that can be read."""
        probe = said.get((row.round, SOCIETY, k // SLOT_WIDTH))
        if probe is None:
            return None
        other = read_reply(society, family, task, seen, probe.reply or "", probe.finish or "stop")
        return None if isinstance(other, Fault) else other.answer

    probed: list[bool | None] = [None, None, None, None]
    claim = left_out_of(society, view) if len(view.claims) == len(whole.claims) else None
    if claim is not None:
        swap = swapped_answer(society, view, claim)
        answers = [
            probe_said(probe_k(turn), without_claim(view, claim)),
            probe_said(probe_k(turn, control=True), view),
            None if swap is None else probe_said(probe_k(turn, swapped=True), with_answer(view, claim, swap)),
        ]
        probed = [None if answer is None else answer != read.answer for answer in answers]
        probed.append(None if answers[2] is None else answers[2] == swap != read.answer)
    form = form_of(society, turn.agent, task, view)
    places = {claim.id: number for number, claim in enumerate(view.claims, 1)}
    before = answer_before(board, turn)
    shown = _of_others(board, turn, view.claims)
    others = {claim.answer for claim in shown} - {None}
    changed = before is not None and read.answer != before
    against = before is not None and bool(others - {before})
    modal = _most_frequent(shown if against else _held(board, turn))
    led = bool(modal) and before is not None and before not in modal
    found = HeardReply(
        row.task, row.round, row.agent, len(view.claims), _asks(society, view, form),
        tuple(sorted({places[claim] for claim in (*read.uses, *read.disputes) if claim in places})),
        _says_none(text, form), before is not None, against, changed, changed and read.answer in others, *probed,
    )  # fmt: skip
    return msgspec.structs.replace(found, led=led, followed=led and read.answer in modal)


def _of_others(board: Board, turn: Turn, claims: Sequence[Claim]) -> list[Claim]:
    """Return the claims that others made or stand by: also one's own of earlier, if another agent took it over."""
    held = {claim for agent, claim in board.standing.items() if agent != turn.agent}
    return [claim for claim in claims if claim.agent != turn.agent or claim.id in held]


def _held(board: Board, turn: Turn) -> list[Claim]:
    """Return the claims on the question of a turn that others stand by, once for each of them."""
    held = (board.position(agent) for agent in board.standing if agent != turn.agent)
    return [claim for claim in held if claim is not None and claim.subtask == turn.subtask]


def _most_frequent(claims: Sequence[Claim]) -> set[str]:
    """Return the answers that most claims give."""
    counts = Counter(claim.answer for claim in claims if claim.answer is not None)
    most = max(counts.values(), default=0)
    return {answer for answer, n in counts.items() if n == most}


def _asks(society: BuiltSociety, view: View, form: str) -> bool:
    """Return whether a prompt asked which claims the reply rests on; the first rules always let it say so."""
    if society.rules.prompts == 1:
        return bool(view.claims)
    return not view.turn.asks and asks_for_handles(view, form)


def _says_none(text: str, form: str) -> bool:
    """Return whether a reply says in so many words that it rests on no claim."""
    if form != "json":
        return _ENDS_IN_NONE.search(text[-80:]) is not None
    data = find_object(text, ("answer",)) or {}
    listed = [each for name in ("uses", "disputes") if isinstance(each := data.get(name), list)]
    return any(isinstance(one, str) and one.strip().lower() == NONE for each in listed for one in each)
