"""From the text of a completion to a reply, or to what is wrong with its form. No text makes a reader raise.

What a run's replies say is decided by the rules that it was made by: `Rules.reader` 1 is `first_reader`; this module is
2, which finds answers, handles and objects with `agentsoc.reading`.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from agentsoc.contracts.society import Society
from agentsoc.contracts.task import Task, TaskFamily
from agentsoc.contracts.turns import Reply, View
from agentsoc.reading.by_schema import canonical, value_fault
from agentsoc.reading.handles import handles, without_handles
from agentsoc.reading.objects import find_object
from agentsoc.reading.options import option_stated
from agentsoc.reading.text import CUT, without_reasoning
from agentsoc.society.acting import read_calls
from agentsoc.society.first_reader import (
    LINE_FOR,
    UsualReply,
    claims_of,
    clip_any,
    delegations_to,
    handle_numbers,
    read_plan,
    read_reply_first,
    read_verdict,
    usual_reply,
    usual_reply_of,
)
from agentsoc.society.reply_fault import MALFORMED, Fault
from agentsoc.society.reply_form import CHARS_PER_TOKEN, VERDICTS, Form, action_asked, clip, form_of
from agentsoc.society.reply_text import text_of, text_of_object

__all__ = ["MALFORMED", "Fault", "read_reply", "read_whole"]

_ANSWERS: Final = ("answer", "merge", "work", "vote")
_WANTED: Final = {"judge": "stop", "check": "accept", "choose": "best"}
_OPEN_NUMBER: Final = re.compile(r"[-+]?[\d.,/]*\d[.,/]?$")
_NUMBER_MAX: Final = 400
"""Characters of a number that may have been cut off."""
_PART_MAX: Final = 400
"""Characters of an answer to a piece of work that are kept."""


def read_reply(society: Society, family: TaskFamily, task: Task, view: View, text: str, finish: str) -> Reply | Fault:
    """Return what a completion says by the rules of the run, or what is wrong with its form.

    Total: no text makes it raise, and reading takes time linear in the length.
    """
    if society.rules.reader == 1:
        return read_reply_first(society, family, task, view, text, finish)
    read = _Reading(family, task, view, society.rules.reader, society.message_tokens * CHARS_PER_TOKEN)
    return _read(read, form_of(society, view.agent, task, view), text, finish)


def read_whole(
    society: Society, family: TaskFamily, task: Task, view: View, text: str, finish: str, due: int
) -> Reply | Fault:
    """Return what `read_reply` does, with what others read of the reply and what is noted of it.

    Args:
        society: the agents.
        family: of the task.
        task: what was asked.
        view: what the agent was shown.
        text: the completion.
        finish: how it ended.
        due: claims that the agent was to be shown.
    """
    rules = society.rules
    if rules.prompts == 1:
        return read_reply(society, family, task, view, text, finish)
    if view.turn.tools and (called := read_calls(text)) is not None:
        if isinstance(called, Fault):
            return called
        return Reply(tool_calls=called, said=text, due=due, shown=len(view.claims))
    form, free = form_of(society, view.agent, task, view), not view.options
    said: str | None
    if rules.reader == 1:
        read = read_reply_first(society, family, task, view, text, finish)
        usual = None
    else:
        reading = _Reading(family, task, view, rules.reader, society.message_tokens * CHARS_PER_TOKEN)
        read = _read(reading, form, text, finish)
        usual = reading.usual
    if isinstance(read, Fault):
        return read
    if usual is not None:  # the object need not be looked for again
        said = text_of_object(read, usual.answer, usual.why, free=free)
    else:
        said = text_of(read, text, form, free=free)
    return msgspec.structs.replace(read, text=said, said=text, due=due, shown=len(view.claims))


def _read(read: _Reading, form: Form, text: str, finish: str) -> Reply | Fault:
    view, limit = read.view, read.limit
    said = without_reasoning(text).strip()
    if not said:
        return Fault("it was cut off by its length limit" if text.strip() and finish == "length" else "it was empty")
    if form == "json":
        return _read_json(read, said, finish)
    purpose = view.turn.purpose
    if purpose == "talk":
        return Reply(text=clip(said, limit))
    if purpose == "judge":
        stop = option_stated(said, ("stop", "go on", "continue"))
        return Fault('it was neither "stop" nor "go on"') if stop is None else Reply(stop=stop == "stop")
    if purpose == "check":
        verdict = option_stated(said, ("accept", "reject"))
        if verdict is None:
            return Fault('it was neither "accept" nor "reject"')
        return Reply(accepts=verdict == "accept")
    named = handles(said)
    uses = claims_of(named.uses, view)
    if purpose == "choose":
        return Reply(chosen=uses[0]) if len(uses) == 1 else Fault("it does not name one line, such as #1")
    if view.turn.targets and purpose in ("plan", "guide"):
        work = delegations_to(((int(line[1]), line[2]) for line in LINE_FOR.finditer(said)), view, limit)
        return Reply(delegations=work) if work else Fault("no line named an agent and its work")
    answer = read.answer(_closed(said, view) if finish == "length" else said)
    if answer is None:
        return Fault("it does not state one answer" + (f" out of: {', '.join(view.options)}" if view.options else ""))
    note = None if form == "short" else clip(said, limit)
    return Reply(answer=answer, text=note, uses=uses, disputes=claims_of(named.disputes, view))


class _Reading(msgspec.Struct):
    """What a reply is read against."""

    family: TaskFamily
    task: Task
    view: View
    rules: int
    limit: int
    """Length to which texts are cut (characters)."""
    usual: UsualReply | None = None
    """The object that the reply was, where it was in the usual form."""

    def answer(self, text: str) -> str | None:
        """Return the canonical answer that a text states; handles of shown claims are no part of it."""
        view = self.view
        said = without_handles(text) if view.claims and text not in view.options else text
        if view.turn.sight is not None:
            return option_stated(said, view.options) if view.options else clip(said, _PART_MAX) or None
        if view.turn.subtask is not None and view.question != self.task.question:
            last = (said.strip().splitlines() or [""])[-1]
            return option_stated(said, view.options) if view.options else clip(last, _PART_MAX) or None
        return self.family.read(self.task, said, self.rules)


def _closed(text: str, view: View) -> str:
    """Return a reply that was cut off with a mark in place of a number at its end, which might have gone on."""
    if text in view.options and not any(option != text and option.startswith(text) for option in view.options):
        return text
    return text[:-_NUMBER_MAX] + _OPEN_NUMBER.sub(CUT, text[-_NUMBER_MAX:])


def _read_json(read: _Reading, text: str, finish: str) -> Reply | Fault:
    """Return the reply that a JSON object states; the usual form is read in one step, any other by `_read_any_json`."""
    view = read.view
    if view.turn.purpose in _ANSWERS:
        try:
            said = usual_reply(text)
        except (msgspec.MsgspecError, ValueError, RecursionError):  # another form, prose around it, half a character
            return _read_any_json(read, text, finish)
        answer = read.answer(said.answer)
        if answer is not None:
            read.usual = said
            return usual_reply_of(said, answer, view, read.limit)
    return _read_any_json(read, text, finish)


def _read_any_json(read: _Reading, text: str, finish: str) -> Reply | Fault:
    view, limit = read.view, read.limit
    purpose = view.turn.purpose
    plans = bool(view.turn.targets) and purpose in ("plan", "guide")
    wanted = "action" if action_asked(view) else _WANTED.get(purpose, "answer")
    data = find_object(text, ("subtasks",) if plans else (wanted,))
    if data is None:
        return _no_object(text, finish)
    if purpose == "judge":
        stop = data.get("stop")
        if not isinstance(stop, bool):
            return Fault('"stop" has to be true or false')
        return Reply(stop=stop, text=clip_any(data.get("why"), limit))
    if purpose in VERDICTS:
        return read_verdict(view, data, limit)
    if plans:
        return read_plan(view, data, limit)
    if (schema := action_asked(view)) != "":
        return _read_action(data, schema, limit)
    stated = data.get("answer")
    if isinstance(stated, bool) or not isinstance(stated, str | int | float):
        return Fault('"answer" is missing or is not text')
    answer = read.answer(str(stated))
    if answer is None:
        return Fault('"answer" is none of: ' + ", ".join(view.options) if view.options else '"answer" cannot be read')
    confidence = data.get("confidence")
    sure = float(confidence) if isinstance(confidence, int | float) and 0 <= confidence <= 1 else None
    return Reply(
        answer=answer,
        text=clip_any(data.get("why"), limit),
        uses=claims_of(_named(data.get("uses")), view),
        disputes=claims_of(_named(data.get("disputes")), view),
        confidence=sure,
    )


def _read_action(data: dict[str, Any], schema: str, limit: int) -> Reply | Fault:
    """Return the move that an object states; whether it fits its schema is said in words."""
    if "action" not in data:
        return Fault('"action" is missing')
    if (wrong := value_fault(json.loads(schema), data["action"])) is not None:
        return Fault(f'"action" does not fit: {wrong}')
    return Reply(answer=canonical(data["action"]), text=clip_any(data.get("why"), limit))


def _named(value: object) -> list[int]:
    """Return the numbers of the handles in a list or in a text, each once."""
    return list(handles(value).uses) if isinstance(value, str) else handle_numbers(value)


def _no_object(text: str, finish: str) -> Fault:
    """Return why no object with what was asked for was found."""
    if finish == "length":
        return Fault("it was cut off by its length limit")
    try:
        msgspec.json.decode(text.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return Fault("it is not valid JSON")
    return Fault("it is not a JSON object")
