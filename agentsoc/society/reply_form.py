"""In which form a turn is to be answered: the lines that a short reply may be, the schema of a JSON object, or text."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final, Literal

from agentsoc.contracts.society import Society
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import Purpose, View

Form = Literal["json", "short", "text"]
CHARS_PER_TOKEN: Final = 4
"""Estimate that turns `message_tokens` into a length of text."""
VERDICTS: Final = ("choose", "check")
"""Purposes of turns that say something of shown claims and nothing of their own."""
_SHORT_CITING_MAX: Final = 12
"""Claims beyond which a short reply cannot name its sources: the list of allowed lines would grow too long."""


def form_of(society: Society, agent: int, task: Task, view: View) -> Form:
    """Return the form in which this turn is to be answered."""
    form, free = society.reply_forms[society.group_index(agent)]
    if free and form == "short" and not short_lines(task, view):
        form = "text"
    return form  # type: ignore[return-value]


def short_lines(task: Task, view: View) -> tuple[str, ...]:
    """Return every line that a short reply may be, or nothing when the turn cannot be answered in one."""
    purpose = view.turn.purpose
    if purpose == "judge":
        return ("stop", "go on")
    if purpose == "check":
        return ("accept", "reject")
    if purpose == "choose":
        return tuple([f"#{index}" for index in range(1, len(view.claims) + 1)])
    if purpose in ("plan", "guide") or not view.options:
        return ()
    lines = list(view.options)
    if purpose != "merge" and 0 < len(view.claims) <= _SHORT_CITING_MAX:
        for option in view.options:
            for index, claim in enumerate(view.claims, 1):
                # a line that supports a claim and says otherwise would contradict itself
                lines.append(f"{option} #{index}" if claim.answer == option else f"{option} not #{index}")
    return tuple(lines)


def reply_schema(view: View) -> dict[str, Any]:
    """Return the JSON Schema of a reply to this view; small, because weak models pay for every key."""
    return _schema(*schema_key(view))


def schema_key(view: View) -> tuple[Purpose, tuple[str, ...], int, int]:
    """Return what the schema of a reply depends on."""
    return view.turn.purpose, view.options, len(view.turn.targets), len(view.claims)


@lru_cache(maxsize=256)
def schema_text(purpose: Purpose, options: tuple[str, ...], n_targets: int, n_claims: int) -> str:
    """Return the schema of a `schema_key` as text, made once for each."""
    return json.dumps(_schema(purpose, options, n_targets, n_claims), sort_keys=True)


def _schema(purpose: Purpose, options: tuple[str, ...], n_targets: int, n_claims: int) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    if purpose == "judge":
        properties["stop"] = {"type": "boolean"}
        required.append("stop")
    if n_targets and purpose in ("plan", "guide"):
        item = {
            "type": "object",
            "properties": {"to": {"type": "integer"}, "task": {"type": "string", "maxLength": 300}},
            "required": ["to", "task"],
            "additionalProperties": False,
        }
        properties["subtasks"] = {"type": "array", "items": item, "maxItems": n_targets}
        required.append("subtasks")
    if purpose in ("answer", "merge", "work", "vote"):
        properties["answer"] = {"enum": list(options)} if options else {"type": "string", "maxLength": 400}
        required.append("answer")
    if purpose == "check":
        properties["accept"] = {"type": "boolean"}
        required.append("accept")
    if purpose == "choose":
        properties["best"] = {"enum": [f"#{index}" for index in range(1, n_claims + 1)]}
        required.append("best")
    if n_claims and purpose not in VERDICTS:
        handles = {"type": "array", "items": {"type": "string", "maxLength": 8}, "maxItems": n_claims}
        properties["uses"] = handles
        properties["disputes"] = handles
    properties["why"] = {"type": "string", "maxLength": 600}
    if purpose in ("answer", "merge", "work"):
        properties["confidence"] = {"type": "number", "minimum": 0, "maximum": 1}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def clip(text: str | None, limit: int) -> str:
    """Return a text on one line, cut to `limit` characters."""
    flat = " ".join((text or "").split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
