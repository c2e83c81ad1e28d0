"""The reader of rules 1: what a completion says, as runs of log format 1 were read. It does not change any more.

`reply_reader` reads new runs; the few helpers that it takes from here are those that find nothing in prose.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from agentsoc.contracts.society import Society
from agentsoc.contracts.task import Task, TaskFamily, parse_option
from agentsoc.contracts.turns import Delegation, Reply, View
from agentsoc.society.reply_fault import Fault
from agentsoc.society.reply_form import CHARS_PER_TOKEN, VERDICTS, clip, form_of

_HANDLE: Final = re.compile(r"#(\d{1,6})")
_AGAINST: Final = re.compile(
    r"\b(?:not|against|unlike|disagree with|contradicts?|wrong[:,]?)\s+#(\d{1,6})", re.IGNORECASE
)
LINE_FOR: Final = re.compile(r"^\W*(?:agent|worker)?\s*(\d{1,7})\s*[:.)-]\s*(.+)$", re.IGNORECASE | re.MULTILINE)


def read_reply_first(
    society: Society, family: TaskFamily, task: Task, view: View, text: str, finish: str
) -> Reply | Fault:
    """Return what a completion says, or what is wrong with its form. Total: no text makes it raise."""
    form = form_of(society, view.agent, task, view)
    limit = society.message_tokens * CHARS_PER_TOKEN
    clean = text.strip()
    if not clean:
        return Fault("it was empty")
    if form == "json":
        return _read_json(family, task, view, clean, finish, limit)
    if view.turn.purpose == "judge":
        stop = parse_option(clean, ("stop", "go on", "continue"))
        return Fault('it was neither "stop" nor "go on"') if stop is None else Reply(stop=stop == "stop")
    if view.turn.purpose == "check":
        verdict = parse_option(clean, ("accept", "reject"))
        if verdict is None:
            return Fault('it was neither "accept" nor "reject"')
        return Reply(accepts=verdict == "accept")
    uses, disputes = _handles(clean, view)
    if view.turn.purpose == "choose":
        return Reply(chosen=uses[0]) if len(uses) == 1 else Fault("it does not name one line, such as #1")
    if view.turn.targets and view.turn.purpose in ("plan", "guide"):
        delegations = delegations_to(
            ((int(match.group(1)), match.group(2)) for match in LINE_FOR.finditer(clean)), view, limit
        )
        return Reply(delegations=delegations) if delegations else Fault("no line named an agent and its work")
    answer = _answer(family, task, view, _HANDLE.sub(" ", clean.replace(" not #", " #")) if form == "short" else clean)
    if answer is None:
        return Fault("it does not state one answer" + (f" out of: {', '.join(view.options)}" if view.options else ""))
    note = None if form == "short" else clip(clean, limit)
    return Reply(answer=answer, text=note, uses=uses, disputes=disputes)


def _answer(family: TaskFamily, task: Task, view: View, text: str) -> str | None:
    if view.turn.subtask is not None and view.question != task.question:
        last = (text.strip().splitlines() or [""])[-1]
        return parse_option(text, view.options) if view.options else clip(last, 400) or None
    return family.parse(task, text)


def _handles(text: str, view: View) -> tuple[tuple[int, ...], tuple[int, ...]]:
    against = {int(number) for number in _AGAINST.findall(text)}
    named = [int(number) for number in _HANDLE.findall(text)]
    uses = tuple(dict.fromkeys(n for n in named if n not in against))
    return claims_of(uses, view), claims_of(sorted(against), view)


def claims_of(numbers: Sequence[int], view: View) -> tuple[int, ...]:
    """Return the ids of the shown claims that have these numbers."""
    claims = view.claims
    last = len(claims)
    return tuple([claims[n - 1].id for n in numbers if 1 <= n <= last])


class UsualReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The answer that most models give: everything as it was asked for, nothing else."""

    answer: str
    uses: tuple[str, ...] = ()
    disputes: tuple[str, ...] = ()
    why: str | None = None
    confidence: float | None = None


usual_reply: Final = msgspec.json.Decoder(UsualReply).decode


def usual_reply_of(said: UsualReply, answer: str, view: View, limit: int) -> Reply:
    """Return the reply that an object in the usual form makes, given the answer that was read out of it."""
    sure = said.confidence
    return Reply(
        answer,
        clip(said.why, limit) or None,
        cited(said.uses, view) if said.uses else (),
        cited(said.disputes, view) if said.disputes else (),
        sure if sure is not None and 0 <= sure <= 1 else None,
    )


def _read_json(family: TaskFamily, task: Task, view: View, text: str, finish: str, limit: int) -> Reply | Fault:
    """Return the reply that a JSON object states; the usual form is read in one step, any other by `_read_any_json`."""
    if view.turn.purpose in ("answer", "merge", "work", "vote"):
        try:
            said = usual_reply(text)
        except (msgspec.MsgspecError, ValueError, RecursionError):  # another form, prose around it, half a character
            return _read_any_json(family, task, view, text, finish, limit)
        answer = _answer(family, task, view, said.answer)
        if answer is not None:
            return usual_reply_of(said, answer, view, limit)
    return _read_any_json(family, task, view, text, finish, limit)


def _read_any_json(family: TaskFamily, task: Task, view: View, text: str, finish: str, limit: int) -> Reply | Fault:
    try:
        data = msgspec.json.decode(_json_part(text).encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return Fault("it was cut off by its length limit" if finish == "length" else "it is not valid JSON")
    if not isinstance(data, dict):
        return Fault("it is not a JSON object")
    purpose = view.turn.purpose
    stop = data.get("stop")
    if purpose == "judge":
        if not isinstance(stop, bool):
            return Fault('"stop" has to be true or false')
        return Reply(stop=stop, text=clip_any(data.get("why"), limit))
    if purpose in VERDICTS:
        return read_verdict(view, data, limit)
    if view.turn.targets and purpose in ("plan", "guide"):
        return read_plan(view, data, limit)
    stated = data.get("answer")
    if isinstance(stated, bool) or not isinstance(stated, str | int | float):
        return Fault('"answer" is missing or is not text')
    answer = _answer(family, task, view, str(stated))
    if answer is None:
        return Fault('"answer" is none of: ' + ", ".join(view.options) if view.options else '"answer" cannot be read')
    confidence = data.get("confidence")
    sure = float(confidence) if isinstance(confidence, int | float) and 0 <= confidence <= 1 else None
    return Reply(
        answer=answer,
        text=clip_any(data.get("why"), limit),
        uses=claims_of(handle_numbers(data.get("uses")), view),
        disputes=claims_of(handle_numbers(data.get("disputes")), view),
        confidence=sure,
    )


def read_verdict(view: View, data: dict[str, Any], limit: int) -> Reply | Fault:
    """Return which claim a reply chooses, or whether it accepts the one that it checks."""
    why = clip_any(data.get("why"), limit)
    if view.turn.purpose == "check":
        accepts = data.get("accept")
        if not isinstance(accepts, bool):
            return Fault('"accept" has to be true or false')
        return Reply(accepts=accepts, text=why)
    named = claims_of(handle_numbers([data.get("best")]), view)
    return Reply(chosen=named[0], text=why) if len(named) == 1 else Fault('"best" names none of the lines')


def read_plan(view: View, data: dict[str, Any], limit: int) -> Reply | Fault:
    """Return the work that an object hands to the agents who may be addressed."""
    items = data.get("subtasks")
    if not isinstance(items, list):
        return Fault('"subtasks" has to be a list')
    pairs = [(item.get("to"), item.get("task")) for item in items if isinstance(item, dict)]
    # a truth value is a whole number in Python, but True names no agent
    whole = ((to, work) for to, work in pairs if type(to) is int and isinstance(work, str))
    work = delegations_to(whole, view, limit)
    if not work:
        return Fault("no subtask names one of the agents " + ", ".join(map(str, view.turn.targets[:20])))
    return Reply(delegations=work, text=clip_any(data.get("why"), limit))


def _json_part(text: str) -> str:
    """Return the outermost braces of a reply: models like to wrap JSON in prose or fences."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text


def cited(handles: tuple[str, ...], view: View) -> tuple[int, ...]:
    """Return the claims that handles name: mostly "#1", "#2", whose numbers need not be searched."""
    if len(handles) > _PLACES:
        return claims_of(handle_numbers(handles), view)
    try:
        places = [_PLACE[handle] for handle in handles]
    except KeyError:
        return claims_of(handle_numbers(handles), view)
    claims = view.claims
    last = len(claims)
    return tuple([claims[place].id for place in dict.fromkeys(places) if place < last])


def handle_numbers(value: object) -> list[int]:
    """Return the numbers of the handles in a list, each once; what is none is passed over."""
    if not isinstance(value, list | tuple):
        return []
    found: list[int] = []
    for item in value[:_PLACES]:
        if isinstance(item, int) and not isinstance(item, bool):
            found.append(item)
        elif isinstance(item, str) and (number := _DIGITS.search(item)):
            found.append(int(number[0]))
    return list(dict.fromkeys(found))


_DIGITS: Final = re.compile(r"\d{1,6}")
_PLACES: Final = 1000
"""Handles of a reply that are read."""
_PLACE: Final = {f"#{place + 1}": place for place in range(_PLACES)}


def delegations_to(pairs: Any, view: View, limit: int) -> tuple[Delegation, ...]:
    """Return work for agents that may be addressed, one piece each, first come first kept."""
    given: dict[int, str] = {}
    for taker, work in pairs:
        if taker in view.turn.targets and taker not in given and work.strip():
            given[taker] = clip(work, limit)
    return tuple(Delegation(taker, work) for taker, work in sorted(given.items()))


def clip_any(value: object, limit: int) -> str | None:
    """Return a text on one line, cut to `limit` characters; None for what is no text."""
    return clip(value, limit) or None if isinstance(value, str) else None
