"""In which form a turn is to be answered: the lines that a short reply may be, the schema of a JSON object, or text."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final, Literal

from agentsoc.contracts.model import ANY_NUMBER, ANY_WHOLE
from agentsoc.contracts.society import Society
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import NONE, Purpose, View
from agentsoc.reading.by_schema import canonical
from agentsoc.society.acting import action_schema, tools_key

Form = Literal["json", "short", "text"]
CHARS_PER_TOKEN: Final = 4
"""Estimate that turns `message_tokens` into a length of text."""
VERDICTS: Final = ("choose", "check")
"""Purposes of turns that say something of shown claims and nothing of their own."""
STATING: Final = ("answer", "merge", "work", "vote")
"""Purposes of turns that state an answer."""
NUMBER: Final = r"^-?[0-9]{1,18}(\.[0-9]{1,12})?(/[0-9]{1,12})?$"
"""What a number looks like that is the answer of a JSON object."""
PATTERNS: Final = {ANY_NUMBER: NUMBER, ANY_WHOLE: r"^-?[0-9]{1,18}$"}
"""The same for each sort of number that an answer may be held to."""
_CITING_LINES_MAX: Final = 128
"""Lines beyond which a short reply cannot name its sources: the list of allowed ones would grow too long."""
_FRAME_TOKENS: Final = 32
"""What keys and punctuation of a JSON reply take of its output cap (tokens)."""
_ROOM_MIN: Final = 80
"""Least that the texts of a JSON reply may have together (characters)."""


def form_of(society: Society, agent: int, task: Task, view: View) -> Form:
    """Return the form in which this turn is to be answered."""
    form, free = society.reply_forms[society.group_index(agent)]
    turn = view.turn
    if turn.form is not None:
        form = turn.form
    purpose = turn.purpose
    if purpose == "talk":
        return "text"
    if purpose == "act" and turn.sight is not None and not view.options:
        return "json"
    if turn.tools and form != "text":
        return "json"
    if free and form == "short" and not short_lines(view):
        form = "text"
    return form  # type: ignore[return-value]


def asks_for_handles(view: View, form: str) -> bool:
    """Return whether a reply has to say which of the shown claims it rests on."""
    purpose = view.turn.purpose
    if not view.claims or purpose not in STATING:
        return False
    if form != "short":
        return True
    return purpose != "merge" and max(len(view.options), 2) * (len(view.claims) + 1) <= _CITING_LINES_MAX


def number_asked(society: Society, view: View) -> str:
    """Return to which numbers the answer of a turn is held, `ANY_NUMBER` or `ANY_WHOLE`; empty where to none.

    A grammar needs an end, which is at 18 digits: a longer answer could not be given, so nobody is held to it then.
    """
    tasks = society.tasks
    if view.options or view.turn.subtask is not None or not tasks.numeric():
        return ""
    if not society.remember("numbers fit", tasks.numbers_fit):
        return ""
    return ANY_WHOLE if tasks.whole() else ANY_NUMBER


def short_lines(view: View, number: str = "") -> tuple[str, ...]:
    """Return every line that a short reply may be, or nothing when the turn cannot be answered in one.

    Where claims are shown, a line names the answer and one of them, those that agree, or none: with the answer alone
    among the lines, a weak model stops there and says of nothing what it rests on.

    Args:
        view: what is asked.
        number: which number answers it (`number_asked`), which a line then leaves open where claims are shown.
    """
    purpose = view.turn.purpose
    if purpose == "judge":
        return ("stop", "go on")
    if purpose == "check":
        return ("accept", "reject")
    if purpose == "choose":
        return tuple([f"#{index}" for index in range(1, len(view.claims) + 1)])
    if purpose in ("plan", "guide", "talk") or not (view.options or number):
        return ()
    if not asks_for_handles(view, "short"):
        return tuple(view.options)
    places = range(1, len(view.claims) + 1)
    if not view.options:
        ends = [f"{negation}#{index}" for index in places for negation in ("", "not ")]
        agreeing = dict.fromkeys(claim.answer for claim in view.claims)
        ends += filter(None, (_together(view, answer) for answer in agreeing))
        return tuple([f"{number} {end}" for end in (*ends, NONE)])
    lines = []
    for option in view.options:
        # a line that supports a claim and says otherwise would contradict itself
        ends = [f"{'' if view.claims[i - 1].answer == option else 'not '}#{i}" for i in places]
        lines += [f"{option} {end}" for end in (*ends, _together(view, option), NONE) if end]
    return tuple(lines)


def _together(view: View, answer: str | None) -> str:
    """Return the handles of all claims that state an answer; nothing where fewer than two do."""
    found = [f"#{index}" for index, claim in enumerate(view.claims, 1) if claim.answer == answer]
    return " ".join(found) if answer is not None and len(found) > 1 else ""


def reply_schema(view: View, max_tokens: int = 128, number: str = "") -> dict[str, Any]:
    """Return the JSON Schema of a reply to this view; small, because weak models pay for every key.

    Args:
        view: what is asked.
        max_tokens: output cap, which the lengths of texts follow (tokens).
        number: which number answers it (`number_asked`).
    """
    return _schema(*_schema_key(view, max_tokens, number))


def reply_schema_text(society: Society, view: View, max_tokens: int) -> str:
    """Return the schema of a reply as text, made once for each that differs; see `reply_schema`."""
    answer = _schema_text(*_schema_key(view, max_tokens, number_asked(society, view)))
    if not view.turn.tools:
        return answer
    offered = society.tools_of(view.agent)
    tools = society.remember(("tools", society.group_index(view.agent)), lambda: tools_key(offered))
    return action_schema(answer, tools, society.group(view.agent).tool_use.calls)


def _schema_key(view: View, max_tokens: int, number: str) -> tuple[Purpose, tuple[str, ...], int, int, int, str, str]:
    """Return what the schema of a reply depends on."""
    turn = view.turn
    action = action_asked(view) if turn.purpose == "act" else ""
    return turn.purpose, view.options, len(turn.targets), len(view.claims), max_tokens, number, action


def action_asked(view: View) -> str:
    """Return the JSON Schema of the action of a turn that acts, as text; empty where it is one of the options."""
    sight = view.turn.sight
    if view.turn.purpose != "act" or sight is None or view.options:
        return ""
    return canonical(dict(sight.schema or {}))


@lru_cache(maxsize=256)
def _schema_text(
    purpose: Purpose, options: tuple[str, ...], n_targets: int, n_claims: int, max_tokens: int, number: str, action: str
) -> str:
    # the order of the keys is the order in which a grammar has them written: that of the prompt
    return json.dumps(_schema(purpose, options, n_targets, n_claims, max_tokens, number, action))


def _schema(
    purpose: Purpose,
    options: tuple[str, ...],
    n_targets: int,
    n_claims: int,
    max_tokens: int,
    number: str,
    action: str = "",
) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    # what is left of the output once keys, handles and numbers are written
    room = max(_ROOM_MIN, CHARS_PER_TOKEN * (max_tokens - _FRAME_TOKENS - 4 * min(n_claims, 8)))
    if purpose == "judge":
        properties["stop"] = {"type": "boolean"}
        required.append("stop")
    if n_targets and purpose in ("plan", "guide"):
        work = {"type": "string", "maxLength": max(40, room // n_targets)}
        item = {
            "type": "object",
            "properties": {"to": {"type": "integer"}, "task": work},
            "required": ["to", "task"],
            "additionalProperties": False,
        }
        properties["subtasks"] = {"type": "array", "items": item, "maxItems": n_targets}
        required.append("subtasks")
    if purpose in STATING:
        if options:
            properties["answer"] = {"enum": list(options)}
        elif number:
            properties["answer"] = {"type": "string", "pattern": PATTERNS[number]}
        else:
            properties["answer"] = {"type": "string", "maxLength": room // 2}
        required.append("answer")
    if purpose == "act":
        if options:
            properties["answer"] = {"enum": list(options)}
        else:
            properties["action"] = json.loads(action)
        required.append("answer" if options else "action")
    if purpose == "check":
        properties["accept"] = {"type": "boolean"}
        required.append("accept")
    if purpose == "choose":
        properties["best"] = {"enum": [f"#{index}" for index in range(1, n_claims + 1)]}
        required.append("best")
    if n_claims and purpose in STATING:
        handle = {"enum": [*(f"#{index}" for index in range(1, n_claims + 1)), NONE]}
        handles = {"type": "array", "items": handle, "minItems": 1, "maxItems": n_claims}
        properties["uses"] = properties["disputes"] = handles
        required += ["uses", "disputes"]
    properties["why"] = {"type": "string", "maxLength": room // 2 if purpose in STATING and not options else room}
    if purpose in ("answer", "merge", "work"):
        properties["confidence"] = {"type": "number", "minimum": 0, "maximum": 1}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def clip(text: str | None, limit: int) -> str:
    """Return a text on one line, cut to `limit` characters."""
    flat = " ".join((text or "").split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
