"""The stored replies of tests/data/replies.jsonl, read by the reader of new runs: what it takes and how often.

    python -m tests.reply_cases [READER]

prints precision and recall by sort, and every reply whose reading is not the one that a careful person gives; READER is
2 or 3, by default that of new runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from agentsoc.contracts.board import Claim
from agentsoc.contracts.rules import NEWEST
from agentsoc.contracts.task import Task, TaskFamily
from agentsoc.contracts.turns import Turn, View
from agentsoc.events import pack_id
from agentsoc.reading.handles import handles
from agentsoc.reading.lines import line_stated
from agentsoc.reading.numbers import number_stated
from agentsoc.reading.objects import find_object
from agentsoc.society.build import BuiltSociety, build_society
from agentsoc.society.reply_reader import Fault, read_reply
from tests.loose import scenario

FILE: Final = Path(__file__).parent / "data" / "replies.jsonl"
CLAIMS: Final = tuple(
    Claim(pack_id(0, agent, 0), agent, 0, "propose_claim", answer) for agent, answer in ((1, "27"), (2, "31"))
)


class Case(msgspec.Struct, frozen=True):
    """A reply and what a careful person reads in it; None is no answer."""

    sort: str
    """What is asked for: a number, option, line or JSON object, an answer where claims are shown, or handles alone."""
    kind: str
    text: str
    answer: str | None
    options: tuple[str, ...] = ()
    form: str = "text"
    finish: str = "stop"
    uses: tuple[int, ...] | None = None
    disputes: tuple[int, ...] | None = None


class Figures(msgspec.Struct, frozen=True):
    """How many replies of a sort are read, and rightly."""

    taken: int = 0
    """Replies that an answer was read out of."""
    right: int = 0
    """Those out of which the right one was read."""
    due: int = 0
    """Replies that state an answer."""


def cases() -> Iterator[Case]:
    """Yield the stored replies in order."""
    for line in FILE.read_text(encoding="utf-8").splitlines():
        yield msgspec.convert(json.loads(line), Case)


class _Numbers(TaskFamily):
    """Questions whose answers are numbers of any sort."""

    kind: Literal["stored-numbers"] = "stored-numbers"

    def numeric(self) -> bool:
        return True

    def make(self, seed: int, index: int) -> Task:
        return Task(index, "0", "How many?", "0")

    def stated(self, task: Task, text: str) -> str | None:
        return number_stated(text)


class _Options(TaskFamily):
    """Questions of choice."""

    kind: Literal["stored-options"] = "stored-options"

    def make(self, seed: int, index: int) -> Task:
        return Task(index, "0", "Which?", "0")


OPTIONS: Final = _Options()
"""A family whose tasks are given their options."""


@cache
def _society(form: str, reader: int) -> BuiltSociety:
    return build_society(
        scenario(
            agents={"count": 3, "reply": form}, tasks={"kind": "arithmetic", "count": 1}, topology="decentralized"
        ),
        rules=msgspec.structs.replace(NEWEST, reader=reader),
    )


def _stated(case: Case, reader: int) -> str | None:
    """Return the number or option that a reply states by itself, where no claims are shown."""
    family = OPTIONS if case.options else _Numbers()
    task = msgspec.structs.replace(family.make(0, 0), options=case.options)
    view = View(0, 0, 0, task.question, task.options, Turn(0), ())
    said = read_reply(_society("text", reader), family, task, view, case.text, case.finish)
    return None if isinstance(said, Fault) else said.answer


def _replied(case: Case, form: str, claims: tuple[Claim, ...], reader: int) -> dict[str, Any]:
    built = _society(form, reader)
    family = built.scenario.tasks
    task = msgspec.structs.replace(family.make(0, 0), options=case.options)
    view = View(0, 1, 0, task.question, task.options, Turn(0, sees=tuple(each.id for each in claims)), claims)
    if case.options:
        family = scenario(tasks={"kind": "sentiment", "count": 1}).tasks
    said = read_reply(built, family, task, view, case.text, case.finish)
    if isinstance(said, Fault):
        return {"answer": None, "uses": None, "disputes": None}
    number = {claim.id: index for index, claim in enumerate(claims, 1)}
    return {
        "answer": said.answer,
        "uses": tuple(number[each] for each in said.uses),
        "disputes": tuple(number[each] for each in said.disputes),
    }


def read(case: Case, reader: int = NEWEST.reader) -> dict[str, Any]:
    """Return what a reader makes of a reply: the answer, and with claims what is used and disputed."""
    if case.sort in ("number", "option"):
        return {"answer": _stated(case, reader)}
    if case.sort == "line":
        return {"answer": line_stated(case.text)}
    if case.sort == "handles":
        return {"answer": None, **handles(case.text)._asdict()}
    if case.sort == "json":
        return {"answer": _replied_number(case) if not case.options else _replied(case, "json", (), reader)["answer"]}
    return _replied(case, case.form, CLAIMS, reader)


def _replied_number(case: Case) -> str | None:
    said = read_json(case.text)
    return None if said is None else number_stated(said)


def read_json(text: str) -> str | None:
    """Return the answer field of a reply as text."""
    found = find_object(text, ("answer",))
    answer = None if found is None else found.get("answer")
    return str(answer) if isinstance(answer, str | int | float) and not isinstance(answer, bool) else None


def figures(wanted: str | None = None, reader: int = NEWEST.reader) -> Figures:
    """Return the figures of a reader over all stored replies, or those of a sort."""
    counts = Figures()
    for case in cases():
        if wanted in (None, case.sort):
            got = read(case, reader)["answer"]
            counts = Figures(
                counts.taken + (got is not None),
                counts.right + (got is not None and got == case.answer),
                counts.due + (case.answer is not None),
            )
    return counts


def main() -> None:
    """Print the figures and what is read differently."""
    reader = int(sys.argv[1]) if len(sys.argv) > 1 else NEWEST.reader
    for case in cases():
        if (got := read(case, reader)["answer"]) != case.answer:
            how = "missed" if got is None else "WRONG"
            print(f"{how} {case.sort}, {case.kind}: {case.text!r}: {got!r}, not {case.answer!r}")
    for sort in (*dict.fromkeys(case.sort for case in cases() if case.sort != "handles"), None):
        found = figures(sort, reader)
        print(
            f"{sort or 'all':8} precision {found.right}/{found.taken} = {found.right / found.taken:.3f}"
            f"   recall {found.right}/{found.due} = {found.right / found.due:.3f}"
        )


if __name__ == "__main__":
    main()
