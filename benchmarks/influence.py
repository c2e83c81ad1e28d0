"""What agents did with what they were shown, counted from the transcripts of one run.

Nothing here calls a model: prompts are written again from the log, and each is checked by its hash. What a reply names
is read out of its own words and not out of the events, so that the reader is measured as well.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agentsoc import RunLog
from agentsoc.engine.transcript import TranscribedCall, transcript
from agentsoc.events import COORDINATION, unpack_id
from agentsoc.reading.handles import handles
from agentsoc.reading.objects import find_object

ASKED: Final = ("answer", "work", "vote", "merge")
"""Purposes of turns that state an answer, so that they can say what it rests on."""
_NONE: Final = re.compile(r"\bnone[\s.!)\"]*$", re.IGNORECASE)
_NUMBER: Final = re.compile(r"#?\s?\d+")
_NAMED: Final = re.compile(
    r"#\s?\d+|\b(?:agents?|lines?|claims?|numbers?|options?)\s+(?:of\s+)?#?\d+(?:\s*(?:,|and|or)\s*#?\d+)*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Said:
    """One reply of a model, with what it was shown and what was read out of it."""

    task: int
    round: int
    agent: int
    attempt: int
    purpose: str
    form: str
    due: int
    """Claims that the turn was to read."""
    shown: int
    """Claims that its prompt showed."""
    text: str
    answer: str | None
    """The answer that was read; None where the reply broke its form."""
    uses: tuple[int, ...]
    """Places, from 1 on, of the shown claims that it names for support."""
    disputes: tuple[int, ...]
    says: bool
    """Whether it names a shown claim, or says that it used none."""
    truth: str
    own: str | None
    """The answer by which the agent stood before."""
    answers: tuple[str | None, ...]
    """Answers of the shown claims, in the order of their places."""
    reserved: int
    """Tokens that were reserved for the prompt."""
    tokens_in: int
    same: bool
    """Whether the prompt that is written again is the one that was sent."""

    @property
    def differs(self) -> bool:
        """Return whether the agent saw an answer other than its own, or two that differ."""
        return len({*self.answers, *(() if self.own is None else (self.own,))}) > 1


def said_in(directory: Path, tasks: Iterable[int]) -> Iterator[Said]:
    """Yield every reply of some tasks of a run."""
    for task in tasks:
        for call in transcript(directory, task):
            if call.outcome.reply is not None:
                yield _said(call)


def _said(call: TranscribedCall) -> Said:
    row, request, hint = call.outcome, call.request, call.request.hint
    assert hint is not None
    assert row.reply is not None
    shown = row.shown or 0
    form = "json" if request.schema is not None else "short" if request.choices else "text"
    uses, disputes, says = handles_of(row.reply, form, shown)
    return Said(
        row.task, row.round, row.agent, row.attempt, call.purpose, form, call.due, shown, row.reply,
        None if call.reply is None else call.reply.answer, uses, disputes, says, hint.truth, hint.own,
        hint.shown_unique, row.reserved - request.max_tokens, row.tokens_in or 0, call.same,
    )  # fmt: skip


def handles_of(text: str, form: str, shown: int) -> tuple[tuple[int, ...], tuple[int, ...], bool]:
    """Return the places that a reply names for and against, and whether it says what it rests on."""
    if form == "json":
        data = find_object(text, ("answer",)) or {}
        uses, disputes = _places(data.get("uses"), shown), _places(data.get("disputes"), shown)
        return uses, disputes, bool(data.get("uses")) and bool(data.get("disputes"))
    found = handles(text)
    uses, disputes = (tuple(i for i in places if 1 <= i <= shown) for places in found)
    return uses, disputes, bool(uses or disputes or _NONE.search(text.strip()))


def _places(value: object, shown: int) -> tuple[int, ...]:
    found = dict.fromkeys(int(each[1:]) for each in re.findall(r"#\d{1,6}", str(value)))
    return tuple(i for i in found if 1 <= i <= shown)


def is_asked(said: Said, short: bool) -> bool:
    """Return whether a reply had to say what it rests on: a short merge has not, it rests on all that it is shown."""
    return said.shown > 0 and said.purpose in ASKED and not (short and said.purpose == "merge")


def misread(said: Said, n_agents: int) -> bool:
    """Return whether the number of a handle, a line or an agent was read as the answer.

    The answer is then such a number, and stands in the reply only in a name such as ``#2`` or ``agent 2``.
    """
    return suspect(said, n_agents) and said.answer not in _numbers(_NAMED.sub(" ", _stated(said)))


def suspect(said: Said, n_agents: int) -> bool:
    """Return whether the answer is a number that a shown claim or an agent has too."""
    names = {str(i) for i in range(1, said.shown + 1)} | {str(i) for i in range(n_agents)}
    return said.answer in names


def _stated(said: Said) -> str:
    """Return what of a reply an answer may be read from."""
    data = find_object(said.text, ("answer",)) if said.form == "json" else None
    return said.text if data is None else str(data.get("answer"))


def _numbers(text: str) -> set[str]:
    return {each.strip() for each in _NUMBER.findall(text)}


@dataclass
class Places:
    """How often the first of the shown claims was named, beside chance."""

    named: int = 0
    """Replies that name some of the shown claims and not all of them."""
    first: int = 0
    """Those whose names hold #1."""
    chance: float = 0.0
    """Sum over them of the share of #1 that a draw without regard to place gives."""

    def add(self, places: tuple[int, ...], shown: int) -> None:
        """Count one reply."""
        if 0 < len(places) < shown:
            self.named += 1
            self.first += 1 in places
            self.chance += len(places) / shown


def acts(directory: Path, replies: Iterable[Said]) -> dict[str, int]:
    """Count acts on claims of others where the answers that the agent saw differed, by kind."""
    differing = {(said.task, said.round, said.agent) for said in replies if said.shown and said.differs}
    found: Counter[str] = Counter()
    for event in RunLog(directory).events():
        others = any(unpack_id(parent).agent != event.agent for parent in event.parents)
        if event.kind in COORDINATION and others and (event.task, event.round, event.agent) in differing:
            found[event.kind] += 1
    return dict(sorted(found.items()))


def right_by_task(replies: Iterable[Said], last: bool = False) -> dict[int, float]:
    """Return, for each task, the share of right answers among the agents' first (or last) answers.

    An agent whose replies could not be read counts as wrong.
    """
    final: dict[tuple[int, int], tuple[int, int, bool]] = {}
    for said in replies:
        if said.purpose not in ASKED:
            continue
        key, place = (said.task, said.agent), (said.round, said.attempt)
        best = final.get(key)
        # the last attempt of a round counts, as it does in the run
        if best is None or (place > best[:2] if last else best[0] == place[0] and place > best[:2]):
            final[key] = (*place, said.answer == said.truth)
    by_task: dict[int, list[bool]] = {}
    for (task, _), (_, _, right) in final.items():
        by_task.setdefault(task, []).append(right)
    return {task: sum(each) / len(each) for task, each in sorted(by_task.items())}


def led(replies: Iterable[Said]) -> dict[str, tuple[int, int]]:
    """Count, where one agent merges what the others say: right answers of both, and answers that it takes over.

    Only the last reply of a round counts, and one that could not be read counts as wrong. `taken` is of the merges that
    were shown answers that differ. Each count goes with what it is a share of; nothing where nobody merges.
    """
    last: dict[tuple[int, int, int], Said] = {}
    for said in replies:
        if said.purpose in ASKED:
            last[said.task, said.round, said.agent] = said  # attempts come in their order
    merges = [said for said in last.values() if said.purpose == "merge"]
    if not merges:
        return {}
    workers = [said for said in last.values() if said.purpose != "merge"]
    differ = [said for said in merges if len(set(said.answers)) > 1]
    return {
        "workers_right": (sum(said.answer == said.truth for said in workers), len(workers)),
        "lead_right": (sum(said.answer == said.truth for said in merges), len(merges)),
        "taken": (sum(said.answer in said.answers for said in differ), len(differ)),
    }


def figures(directory: Path, replies: list[Said], n_agents: int, short: bool) -> dict[str, Any]:
    """Return the counts of one run as plain data."""
    asked = [said for said in replies if is_asked(said, short)]
    uses, disputes = Places(), Places()
    for said in asked:
        uses.add(said.uses, said.shown)
        disputes.add(said.disputes, said.shown)
    moved = [said for said in asked if said.answer is not None and said.own is not None and said.differs]
    return {
        "tasks": len({said.task for said in replies}),
        "replies": len(replies),
        "prompts_as_sent": sum(said.same for said in replies),
        "without_answer": sum(said.answer is None for said in replies if said.purpose in ASKED),
        "claims_due": sum(said.due for said in replies),
        "claims_shown": sum(said.shown for said in replies),
        "shown_less_than_due": sum(said.shown < said.due for said in replies),
        "asked": len(asked),
        "says": sum(said.says for said in asked),
        "names": sum(bool(said.uses or said.disputes) for said in asked),
        "acts_on_others": acts(directory, replies),
        "uses": vars(uses),
        "disputes": vars(disputes),
        "saw_another_answer": len(moved),
        "adopted": sum(said.answer != said.own and said.answer in said.answers for said in moved),
        "kept": sum(said.answer == said.own for said in moved),
        "suspects": [said.text for said in replies if suspect(said, n_agents)],
        "misread": [said.text for said in replies if misread(said, n_agents)],
        "right_first": right_by_task(replies),
        "right_last": right_by_task(replies, last=True),
        "led": led(replies),
        "reserved": [sum(s.reserved for s in replies), sum(s.tokens_in for s in replies)],
        "reserved_otherwise": sum(said.reserved != said.tokens_in for said in replies if said.attempt == 0),
        "repairs": sum(said.attempt > 0 for said in replies),
    }
