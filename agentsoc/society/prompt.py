"""From what an agent sees to the request that its model gets: system prompt, question, shown claims, form of the reply.

Agents never hear of event kinds: which act a reply is, nobody tells the agent and the agent does not say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from agentsoc.contracts.board import Claim
from agentsoc.contracts.model import Hint, Request
from agentsoc.contracts.part import nearest
from agentsoc.contracts.society import Society
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import SLOT_WIDTH, View
from agentsoc.errors import InputError
from agentsoc.society.reply_form import (
    CHARS_PER_TOKEN,
    VERDICTS,
    Form,
    clip,
    form_of,
    schema_key,
    schema_text,
    short_lines,
)
from agentsoc.streams import seed_for

REPAIR_TOKENS: Final = 256
"""Bound on what naming a fault adds to a prompt (bytes, hence tokens)."""
_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")
DEFAULT_SYSTEM: Final = "You are agent {name} of {n_agents}. {persona}"
_VARIABLES: Final = ("name", "persona", "role", "n_agents", "topology")


def check_template(template: str, where: str) -> None:
    """Raise `InputError` when a prompt names a variable that does not exist. Names only: no attributes, no formats."""
    for match in _VARIABLE.finditer(template):
        if match.group(1) not in _VARIABLES:
            raise InputError(
                f"the prompt uses {{{match.group(1)}}}, which does not exist",
                where,
                nearest(match.group(1), list(_VARIABLES)),
            )


def system_prompt(society: Society, agent: int) -> str:
    """Return the system prompt of an agent."""
    values = {
        "name": str(agent),
        "persona": society.persona(agent),
        "role": society.wiring.role_of(agent),
        "n_agents": str(society.n),
        "topology": society.wiring.kind,
    }
    template = society.group(agent).prompt or DEFAULT_SYSTEM
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
        parts.append(f"Your draft: {draft}\nImprove it or confirm it.")
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


def later_prompt_bound(first: int, tokens_out: int, window: int | None) -> int:
    """Return a bound on the prompt of a turn's later calls, which hold a draft and may name a fault (tokens).

    Args:
        first: bound on the prompt of its first call (tokens).
        tokens_out: output cap of each call (tokens).
        window: context window of the model (tokens); None when unknown.
    """
    later = first + tokens_out + REPAIR_TOKENS
    return later if window is None else min(later, max(first, window - tokens_out))


class ModelCall(msgspec.Struct, frozen=True, gc=False):
    """Which call of a turn a request is made for, and what it says besides the view."""

    k: int
    """Number of the call in its turn."""
    max_tokens: int
    """Output cap (tokens)."""
    attempt: int = 0
    draft: str | None = None
    """What the call before said, when a turn makes several."""
    fault: str | None = None
    """What was wrong with the last reply, when this attempt is its repair."""


def build_request(
    society: Society, task: Task, view: View, call: ModelCall, fits: Callable[[Request], bool] | None = None
) -> Request:
    """Return the request of one call of a turn.

    When `fits` refuses it, the draft is left out and then shown claims from the end, until it fits or only the
    question is left. The claims that are shown are as many as ``hint.shown_unique`` has answers.
    """
    agent, turn = view.agent, view.turn
    group = society.group(agent)
    answers = {claim.id: claim.answer for claim in view.claims}
    shown = tuple(answers[claim] for claim in turn.sees)
    form = form_of(society, agent, task, view)
    repair = "" if call.fault is None else _repair_line(call.fault)

    def request(n_shown: int, with_draft: bool) -> Request:
        cut = view if n_shown == len(view.claims) else msgspec.structs.replace(view, claims=view.claims[:n_shown])
        return Request(
            system=system_prompt(society, agent),
            user=user_prompt(society, task, cut, form, cut.claims, call.draft if with_draft else None) + repair,
            max_tokens=call.max_tokens,
            temperature=group.temperature if turn.temperature is None else turn.temperature,
            seed=seed_for(society.seed, "call", view.task, view.round, agent, turn.slot, call.k, call.attempt),
            choices=short_lines(task, cut) if form == "short" else (),
            schema=schema_text(*schema_key(cut)) if form == "json" else None,
            hint=_hint(society, task, cut, shown, call),
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


def _hint(society: Society, task: Task, view: View, shown: tuple[str | None, ...], call: ModelCall) -> Hint:
    """Return what scripted models know of a call; `view` has the claims that fit, `shown` the answers of all."""
    turn = view.turn
    return Hint(
        task=view.task,
        round=view.round,
        agent=view.agent,
        k=turn.slot * SLOT_WIDTH + call.k,
        purpose=turn.purpose,
        truth=task.truth,
        options=view.options,
        shown=shown,
        shown_unique=tuple(claim.answer for claim in view.claims),
        targets=turn.targets,
        attempt=call.attempt,
        own=None if view.own is None else view.own.answer,
        by_rule=turn.by_rule,
        speaks=society.speaks(view.agent),
        difficulty=task.difficulty,
    )


def _repair_line(fault: str) -> str:
    what = fault.encode("utf-8", "replace")[:150].decode("utf-8", "ignore")  # REPAIR_TOKENS is a bound on bytes
    return f"\n\nYour last reply could not be used: {what}\nReply again in the form asked for."
