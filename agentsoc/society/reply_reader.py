"""From the text of a completion to a reply, or to what is wrong with its form. No text makes a reader raise.

What a run's replies say is decided by the rules that it was made by: `Rules.reader` 1 is `first_reader`; this module is
2 and 3, which find answers, handles and objects with `agentsoc.reading`. They differ in two things: by 3 the number of
an item of a list is no answer, and of a reply that was cut off only an answer that was complete before the cut.
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
from agentsoc.reading.cut_off import closed, option_before_cut
from agentsoc.reading.handles import handles, without_handles
from agentsoc.reading.objects import find_object
from agentsoc.reading.options import option_stated
from agentsoc.reading.text import without_reasoning
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
_SHORT_VERDICTS: Final = {"judge": ("stop", "go on", "continue"), "check": ("accept", "reject")}
"""The words that answer a turn which says of claims, not of the task, what it thinks."""
_WANTED: Final = {"judge": "stop", "check": "accept", "choose": "best"}
_CUT_OFF: Final = "it was cut off at its output cap (max_tokens) before it stated its answer"
_ENDS_NAMED: Final = re.compile(r"(?:#\s?(\d{1,6})|\bnone)[\s.!)]*\Z", re.IGNORECASE)
"""What a reply ends with that has said its answer and names what it rests on."""
_NAMED_MAX: Final = 64
"""Characters at the end of a reply among which the last handle is looked for."""
_HANDLE_ALONE: Final = re.compile(r"\W*#\s?\d{1,6}\W*")
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
        cut = text.strip() and finish == "length"
        return Fault(_cut_fault(read.rules) if cut else "it was empty")
    if form == "json":
        return _read_json(read, said, finish)
    purpose = view.turn.purpose
    if purpose == "talk":
        return Reply(text=clip(said, limit))
    if finish == "length" and read.rules > 2:
        return _read_cut(read, form, without_reasoning(text).lstrip())
    if purpose in _SHORT_VERDICTS:
        return _verdict(purpose, option_stated(said, _SHORT_VERDICTS[purpose]))
    named = handles(said)
    uses = claims_of(named.uses, view)
    if purpose == "choose":
        return Reply(chosen=uses[0]) if len(uses) == 1 else Fault("it does not name one line, such as #1")
    if view.turn.targets and purpose in ("plan", "guide"):
        return _read_lines(view, said, limit)
    answer = read.answer(_closed(said, view) if finish == "length" else said)
    if answer is None:
        return Fault("it does not state one answer" + (f" out of: {', '.join(view.options)}" if view.options else ""))
    note = None if form == "short" else clip(said, limit)
    return Reply(answer=answer, text=note, uses=uses, disputes=claims_of(named.disputes, view))


def _read_cut(read: _Reading, form: Form, text: str) -> Reply | Fault:
    """Return what a reply says that was cut off, by rules 3: what is complete before the cut; a plan has its lines."""
    view, limit, purpose = read.view, read.limit, read.view.turn.purpose
    said = text.strip()
    if view.turn.targets and purpose in ("plan", "guide"):
        return _read_lines(view, said, limit)
    if purpose in _SHORT_VERDICTS:
        options = _SHORT_VERDICTS[purpose]
        verdict = option_before_cut(text, options, lambda one: option_stated(one, options))
        return Fault(_CUT_OFF) if verdict is None else _verdict(purpose, verdict)
    named = handles(_without_open_handle(said, len(view.claims)))
    if purpose == "choose":
        uses = claims_of(named.uses, view)
        first = said.partition("\n")[0]
        return Reply(chosen=uses[0]) if len(uses) == 1 and _HANDLE_ALONE.fullmatch(first) else Fault(_CUT_OFF)
    answer = read.answer_before_cut(text)
    if answer is None:
        return Fault(_CUT_OFF)
    uses, disputes = claims_of(named.uses, view), claims_of(named.disputes, view)
    return Reply(answer=answer, text=None if form == "short" else clip(said, limit), uses=uses, disputes=disputes)


def _read_lines(view: View, said: str, limit: int) -> Reply | Fault:
    """Return the work that the lines of a plan hand to agents."""
    work = delegations_to(((int(line[1]), line[2]) for line in LINE_FOR.finditer(said)), view, limit)
    return Reply(delegations=work) if work else Fault("no line named an agent and its work")


def _verdict(purpose: str, said: str | None) -> Reply | Fault:
    """Return what a judge or a checker says in a word."""
    if purpose == "judge":
        return Fault('it was neither "stop" nor "go on"') if said is None else Reply(stop=said == "stop")
    return Fault('it was neither "accept" nor "reject"') if said is None else Reply(accepts=said == "accept")


def _without_open_handle(said: str, shown: int) -> str:
    """Return a reply that was cut off without a handle at its end that may be the beginning of another shown one."""
    end = _ENDS_NAMED.search(said, max(0, len(said) - _NAMED_MAX))
    if end is None or end[1] is None or not said.endswith(end[1]) or 10 * int(end[1]) > shown:
        return said
    return said[: end.start()]


def _cut_fault(rules: int) -> str:
    return _CUT_OFF if rules > 2 else "it was cut off by its length limit"


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

    def answer_before_cut(self, text: str) -> str | None:
        """Return the canonical answer that a text states which was cut off, complete before the cut.

        A piece of work and a move that have no options are texts: of them what there is counts.
        """
        view = self.view
        said = without_handles(text) if view.claims and text.strip() not in view.options else text
        if said != text and _ENDS_NAMED.search(text, max(0, len(text) - _NAMED_MAX)):
            said += "\n"  # who names what the answer rests on has said the answer
        piece = view.turn.sight is not None or (view.turn.subtask is not None and view.question != self.task.question)
        if piece and view.options:
            return option_before_cut(said, view.options, lambda one: option_stated(one, view.options))
        return self.answer(text) if piece else self.family.read_cut(self.task, said, self.rules)


def _closed(text: str, view: View) -> str:
    """Return a reply that was cut off with a mark in place of a number at its end, which might have gone on."""
    if text in view.options and not any(option != text and option.startswith(text) for option in view.options):
        return text
    return closed(text)


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
        return _no_object(text, finish, read.rules)
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


def _no_object(text: str, finish: str, rules: int) -> Fault:
    """Return why no object with what was asked for was found."""
    if finish == "length":
        return Fault(_cut_fault(rules))
    try:
        msgspec.json.decode(text.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return Fault("it is not valid JSON")
    return Fault("it is not a JSON object")
