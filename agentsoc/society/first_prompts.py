"""Prompts by the first rules: what runs were made by before prompts were templates. It never changes.

Runs that were made by these rules are replayed, resumed and forked by them. Whatever is better today is in
`agentsoc.society.prompt` and not here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from agentsoc.contracts.board import Claim
from agentsoc.contracts.model import Request
from agentsoc.contracts.society import Society
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import Purpose, View
from agentsoc.society.calls import ModelCall, hint_of, repair_line
from agentsoc.society.reply_form import CHARS_PER_TOKEN, VERDICTS, Form, clip, form_of
from agentsoc.streams import seed_for

_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")
_SYSTEM: Final = "You are agent {name} of {n_agents}. {persona}"
_CITING_MAX: Final = 12
"""Claims beyond which a short reply cannot name its sources."""


def system_prompt(society: Society, agent: int) -> str:
    """Return the system prompt of an agent."""
    values = {
        "name": str(agent),
        "persona": society.persona(agent),
        "role": society.wiring.role_of(agent),
        "n_agents": str(society.n),
        "topology": society.wiring.kind,
    }
    template = society.group(agent).prompt or _SYSTEM
    return _VARIABLE.sub(lambda match: values.get(match.group(1), match.group(0)), template).strip()


def user_prompt(society: Society, task: Task, view: View, form: Form, shown: Sequence[Claim], draft: str | None) -> str:
    """Return what is asked of the agent in this turn, with the shown claims under their handles."""
    parts: list[str] = []
    limit = society.message_tokens * CHARS_PER_TOKEN
    if shown:
        lines = []
        for index, claim in enumerate(shown, 1):
            note = f" - {clip(claim.text, limit)}" if claim.text and claim.text != claim.answer else ""
            lines.append(f"#{index} agent {claim.agent}: {clip(claim.answer, limit) or '(no answer)'}{note}")
        parts.append("Others said:\n" + "\n".join(lines))
    if view.own is not None and view.turn.purpose in ("answer", "work"):
        parts.append(f"You said before: {view.own.answer or clip(view.own.text or '', limit)}")
    parts.append(view.question)
    if view.turn.instruction:
        parts.append(view.turn.instruction)
    if view.note:
        parts.append(view.note)
    if draft is not None:
        parts.append(f"Your draft: {' '.join(draft.split())}\nImprove it or confirm it.")
    parts.append(_form_line(task, view, form, bool(shown)))
    return "\n\n".join(part for part in parts if part)


def _form_line(task: Task, view: View, form: Form, shown: bool) -> str:
    purpose = view.turn.purpose
    if form == "json":
        keys = []
        if purpose == "judge":
            keys.append('"stop": true or false')
        elif view.turn.targets:
            keys.append('"subtasks": [{"to": agent number, "task": "what to do"}]')
        if purpose == "check":
            keys.append('"accept": true or false')
        if purpose == "choose":
            keys.append('"best": "#1"')
        if purpose in ("answer", "merge", "work", "vote"):
            keys.append('"answer": ' + (" or ".join(f'"{o}"' for o in view.options) if view.options else '"..."'))
        if shown and purpose not in VERDICTS:
            keys.append('"uses": ["#1"], "disputes": ["#2"]')
        keys.append('"why": "one sentence"')
        if purpose in ("answer", "merge", "work"):
            keys.append('"confidence": 0 to 1')
        return "Reply with one JSON object: {" + ", ".join(keys) + "}"
    if purpose == "judge":
        return 'Reply "stop" or "go on".'
    if purpose == "check":
        return 'Reply "accept" if the answer above is right, "reject" if it is wrong.'
    if purpose == "choose":
        return f"Reply with the line of the best answer: #1 to #{len(view.claims)}."
    if view.turn.targets and purpose in ("plan", "guide"):
        return "Write one line for each agent: agent number: what to do."
    if view.options:
        if form == "short" and not shown and all(option in view.question for option in view.options):
            return ""  # the question says it already; said twice, a weak model gives one answer to everything
        line = "Answer " + " or ".join(view.options) + "."
        if shown and form == "short" and purpose != "merge":
            line += " Then name one line: #1 if it convinced you, not #1 if it is wrong."
        return line
    return "End with the answer alone on the last line." if form == "text" else "Answer in a few words."


def build_request(
    society: Society, task: Task, view: View, call: ModelCall, fits: Callable[[Request], bool] | None = None
) -> Request:
    """Return the request of one call of a turn by the first rules.

    When `fits` refuses it, the draft is left out and then shown claims from the end, until it fits or only the
    question is left. The claims that are shown are as many as ``hint.shown_unique`` has answers.
    """
    agent, turn = view.agent, view.turn
    group = society.group(agent)
    answers = {claim.id: claim.answer for claim in view.claims}
    shown = tuple(answers[claim] for claim in turn.sees)
    form = form_of(society, agent, task, view)
    repair = "" if call.fault is None else f"\n\n{repair_line(call.fault)}"

    def request(n_shown: int, with_draft: bool) -> Request:
        cut = view if n_shown == len(view.claims) else msgspec.structs.replace(view, claims=view.claims[:n_shown])
        return Request.of(
            system_prompt(society, agent),
            user_prompt(society, task, cut, form, cut.claims, call.draft if with_draft else None) + repair,
            max_tokens=call.max_tokens,
            temperature=group.temperature if turn.temperature is None else turn.temperature,
            seed=seed_for(society.seed, "call", view.task, view.round, agent, turn.slot, call.k, call.attempt),
            choices=short_lines(task, cut) if form == "short" else (),
            schema=_schema_text(*schema_key(cut)) if form == "json" else None,
            hint=hint_of(society, task, cut, shown, call),
        )

    best = request(len(view.claims), True)
    if fits is None or fits(best):
        return best
    low, high = 0, len(view.claims)  # the largest number of claims that fits, without the draft
    while low < high:
        middle = (low + high + 1) // 2
        if fits(request(middle, False)):
            low = middle
        else:
            high = middle - 1
    return request(low, False)


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
    if purpose != "merge" and 0 < len(view.claims) <= _CITING_MAX:
        for option in view.options:
            for index, claim in enumerate(view.claims, 1):
                # a line that supports a claim and says otherwise would contradict itself
                lines.append(f"{option} #{index}" if claim.answer == option else f"{option} not #{index}")
    return tuple(lines)


def schema_key(view: View) -> tuple[Purpose, tuple[str, ...], int, int]:
    """Return what the schema of a reply depends on."""
    return view.turn.purpose, view.options, len(view.turn.targets), len(view.claims)


@lru_cache(maxsize=256)
def _schema_text(purpose: Purpose, options: tuple[str, ...], n_targets: int, n_claims: int) -> str:
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
