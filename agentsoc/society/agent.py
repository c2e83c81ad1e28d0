"""From a view to a prompt and from a completion to a reply: what makes a model an agent of the society.

Three forms of reply exist. ``json`` is an object that a schema describes; ``short`` is one line that a weak model can
be held to by a grammar ("positive", "positive #2", "positive not #1"); ``text`` is free, and the handles in it are
read as claims used. Which act a reply is, nobody tells the agent and the agent does not say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

from agentsoc.contracts.board import Claim
from agentsoc.contracts.model import Hint, Request
from agentsoc.contracts.part import nearest
from agentsoc.contracts.society import Society
from agentsoc.contracts.task import Task, TaskFamily, parse_option
from agentsoc.contracts.turns import SLOT_WIDTH, Delegation, Purpose, Reply, View
from agentsoc.errors import InputError
from agentsoc.streams import seed_for

Form = Literal["json", "short", "text"]

CHARS_PER_TOKEN: Final = 4
"""Estimate that turns `message_tokens` into a length of text."""
MALFORMED: Final = "malformed: "
"""How the failure of a reply begins that was not in the form asked for."""
REPAIR_TOKENS: Final = 256
"""Bound on what naming a fault adds to a prompt (bytes, hence tokens)."""
_VERDICTS: Final = ("choose", "check")
"""Purposes of turns that say something of shown claims and nothing of their own."""
_SHORT_CITING_MAX: Final = 12
"""Claims beyond which a short reply cannot name its sources: the list of allowed lines would grow too long."""

_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")
_HANDLE: Final = re.compile(r"#(\d{1,6})")
_AGAINST: Final = re.compile(
    r"\b(?:not|against|unlike|disagree with|contradicts?|wrong[:,]?)\s+#(\d{1,6})", re.IGNORECASE
)
_LINE_FOR: Final = re.compile(r"^\W*(?:agent|worker)?\s*(\d{1,7})\s*[:.)-]\s*(.+)$", re.IGNORECASE | re.MULTILINE)

DEFAULT_SYSTEM: Final = "You are agent {name} of {n_agents}. {persona}"
_VARIABLES: Final = ("name", "persona", "role", "n_agents", "topology")


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with the form of a reply, in words that a model can act on."""

    what: str


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


def form_of(society: Society, agent: int, task: Task, view: View) -> Form:
    """Return the form in which this turn is to be answered."""
    form, free = society.reply_forms[society.group_index(agent)]
    if free and form == "short" and not _short_lines(task, view):
        form = "text"
    return form  # type: ignore[return-value]


def _short_lines(task: Task, view: View) -> tuple[str, ...]:
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


def user_prompt(society: Society, task: Task, view: View, form: Form, shown: Sequence[Claim], draft: str | None) -> str:
    """Return what is asked of the agent in this turn, with the shown claims under their handles."""
    parts: list[str] = []
    limit = society.message_tokens * CHARS_PER_TOKEN
    if shown:
        lines = []
        for index, claim in enumerate(shown, 1):
            note = f" - {_clip(claim.text, limit)}" if claim.text and claim.text != claim.answer else ""
            lines.append(f"#{index} agent {claim.agent}: {_clip(claim.answer, limit) or '(no answer)'}{note}")
        parts.append("Others said:\n" + "\n".join(lines))
    if view.own is not None and view.turn.purpose in ("answer", "work"):
        parts.append(f"You said before: {view.own.answer or _clip(view.own.text or '', limit)}")
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
        if shown and purpose not in _VERDICTS:
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
    society: Society,
    family: TaskFamily,
    task: Task,
    view: View,
    *,
    k: int,
    max_tokens: int,
    slot: int = 0,
    attempt: int = 0,
    draft: str | None = None,
    fault: str | None = None,
    fits: Callable[[Request], bool] | None = None,
) -> Request:
    """Return the request of call `k` of a turn.

    When `fits` refuses it, the draft is left out and then shown claims from the end, until it fits or only the
    question is left. The claims that are shown are as many as ``hint.shown_unique`` has answers.
    """
    agent = view.agent
    group = society.group(agent)
    answers = {claim.id: claim.answer for claim in view.claims}
    form = form_of(society, agent, task, view)

    def request(n_shown: int, with_draft: bool) -> Request:
        cut = view if n_shown == len(view.claims) else msgspec.structs.replace(view, claims=view.claims[:n_shown])
        choices = _short_lines(task, cut) if form == "short" else ()
        schema = _schema_text(*_schema_key(cut)) if form == "json" else None
        user = user_prompt(society, task, cut, form, cut.claims, draft if with_draft else None)
        if fault is not None:
            what = fault.encode("utf-8", "replace")[:150].decode("utf-8", "ignore")  # REPAIR_TOKENS is a bound on bytes
            user += f"\n\nYour last reply could not be used: {what}\nReply again in the form asked for."
        return Request(
            system=system_prompt(society, agent),
            user=user,
            max_tokens=max_tokens,
            temperature=group.temperature if view.turn.temperature is None else view.turn.temperature,
            seed=seed_for(society.seed, "call", view.task, view.round, agent, slot, k, attempt),
            choices=choices,
            schema=schema,
            hint=Hint(
                task=view.task,
                round=view.round,
                agent=agent,
                k=slot * SLOT_WIDTH + k,
                purpose=view.turn.purpose,
                truth=task.truth,
                options=view.options,
                shown=tuple(answers[claim] for claim in view.turn.sees),
                shown_unique=tuple(claim.answer for claim in cut.claims),
                targets=view.turn.targets,
                attempt=attempt,
                own=None if view.own is None else view.own.answer,
                by_rule=view.turn.by_rule,
                speaks=society.speaks(agent),
                difficulty=task.difficulty,
            ),
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


def reply_schema(view: View) -> dict[str, Any]:
    """Return the JSON Schema of a reply to this view; small, because weak models pay for every key."""
    return _schema(*_schema_key(view))


def _schema_key(view: View) -> tuple[Purpose, tuple[str, ...], int, int]:
    return view.turn.purpose, view.options, len(view.turn.targets), len(view.claims)


@lru_cache(maxsize=256)
def _schema_text(purpose: Purpose, options: tuple[str, ...], n_targets: int, n_claims: int) -> str:
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
    if n_claims and purpose not in _VERDICTS:
        handles = {"type": "array", "items": {"type": "string", "maxLength": 8}, "maxItems": n_claims}
        properties["uses"] = handles
        properties["disputes"] = handles
    properties["why"] = {"type": "string", "maxLength": 600}
    if purpose in ("answer", "merge", "work"):
        properties["confidence"] = {"type": "number", "minimum": 0, "maximum": 1}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def read_reply(society: Society, family: TaskFamily, task: Task, view: View, text: str, finish: str) -> Reply | Fault:
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
        delegations = _delegations(
            ((int(match.group(1)), match.group(2)) for match in _LINE_FOR.finditer(clean)), view, limit
        )
        return Reply(delegations=delegations) if delegations else Fault("no line named an agent and its work")
    answer = _answer(family, task, view, _HANDLE.sub(" ", clean.replace(" not #", " #")) if form == "short" else clean)
    if answer is None:
        return Fault("it does not state one answer" + (f" out of: {', '.join(view.options)}" if view.options else ""))
    note = None if form == "short" else _clip(clean, limit)
    return Reply(answer=answer, text=note, uses=uses, disputes=disputes)


def _answer(family: TaskFamily, task: Task, view: View, text: str) -> str | None:
    if view.turn.subtask is not None and view.question != task.question:
        last = (text.strip().splitlines() or [""])[-1]
        return parse_option(text, view.options) if view.options else _clip(last, 400) or None
    return family.parse(task, text)


def _handles(text: str, view: View) -> tuple[tuple[int, ...], tuple[int, ...]]:
    against = {int(number) for number in _AGAINST.findall(text)}
    named = [int(number) for number in _HANDLE.findall(text)]
    uses = tuple(dict.fromkeys(n for n in named if n not in against))
    return _claims(uses, view), _claims(sorted(against), view)


def _claims(numbers: Sequence[int], view: View) -> tuple[int, ...]:
    claims = view.claims
    last = len(claims)
    return tuple([claims[n - 1].id for n in numbers if 1 <= n <= last])


class _Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The answer that most models give: everything as it was asked for, nothing else."""

    answer: str
    uses: tuple[str, ...] = ()
    disputes: tuple[str, ...] = ()
    why: str | None = None
    confidence: float | None = None


_said: Final = msgspec.json.Decoder(_Said).decode


def _read_json(family: TaskFamily, task: Task, view: View, text: str, finish: str, limit: int) -> Reply | Fault:
    """Return the reply that a JSON object states; the usual form is read in one step, any other by `_read_any_json`."""
    if view.turn.purpose in ("answer", "merge", "work", "vote"):
        try:
            said = _said(text)
        except (msgspec.MsgspecError, ValueError, RecursionError):  # another form, prose around it, half a character
            return _read_any_json(family, task, view, text, finish, limit)
        answer = _answer(family, task, view, said.answer)
        if answer is not None:
            sure = said.confidence
            return Reply(
                answer,
                _clip(said.why, limit) or None,
                _cited(said.uses, view) if said.uses else (),
                _cited(said.disputes, view) if said.disputes else (),
                sure if sure is not None and 0 <= sure <= 1 else None,
            )
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
        return Reply(stop=stop, text=_clip_any(data.get("why"), limit))
    if purpose in _VERDICTS:
        return _read_verdict(view, data, limit)
    delegations: tuple[Delegation, ...] = ()
    if view.turn.targets and purpose in ("plan", "guide"):
        items = data.get("subtasks")
        if not isinstance(items, list):
            return Fault('"subtasks" has to be a list')
        pairs = [(i.get("to"), i.get("task")) for i in items if isinstance(i, dict)]
        # a truth value is a whole number in Python, but True names no agent
        delegations = _delegations(((t, w) for t, w in pairs if type(t) is int and isinstance(w, str)), view, limit)
        if not delegations:
            return Fault("no subtask names one of the agents " + ", ".join(map(str, view.turn.targets[:20])))
        return Reply(delegations=delegations, text=_clip_any(data.get("why"), limit))
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
        text=_clip_any(data.get("why"), limit),
        uses=_claims(_numbers(data.get("uses")), view),
        disputes=_claims(_numbers(data.get("disputes")), view),
        confidence=sure,
    )


def _read_verdict(view: View, data: dict[str, Any], limit: int) -> Reply | Fault:
    """Return which claim a reply chooses, or whether it accepts the one that it checks."""
    why = _clip_any(data.get("why"), limit)
    if view.turn.purpose == "check":
        accepts = data.get("accept")
        if not isinstance(accepts, bool):
            return Fault('"accept" has to be true or false')
        return Reply(accepts=accepts, text=why)
    named = _claims(_numbers([data.get("best")]), view)
    return Reply(chosen=named[0], text=why) if len(named) == 1 else Fault('"best" names none of the lines')


def _json_part(text: str) -> str:
    """Return the outermost braces of a reply: models like to wrap JSON in prose or fences."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text


def _cited(handles: tuple[str, ...], view: View) -> tuple[int, ...]:
    """Return the claims that handles name: mostly "#1", "#2", whose numbers need not be searched."""
    if len(handles) > _PLACES:
        return _claims(_numbers(handles), view)
    try:
        places = [_PLACE[handle] for handle in handles]
    except KeyError:
        return _claims(_numbers(handles), view)
    claims = view.claims
    last = len(claims)
    return tuple([claims[place].id for place in dict.fromkeys(places) if place < last])


def _numbers(value: object) -> list[int]:
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


def _delegations(pairs: Any, view: View, limit: int) -> tuple[Delegation, ...]:
    """Return work for agents that may be addressed, one piece each, first come first kept."""
    given: dict[int, str] = {}
    for taker, work in pairs:
        if taker in view.turn.targets and taker not in given and work.strip():
            given[taker] = _clip(work, limit)
    return tuple(Delegation(taker, work) for taker, work in sorted(given.items()))


def _clip(text: str | None, limit: int) -> str:
    flat = " ".join((text or "").split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def _clip_any(value: object, limit: int) -> str | None:
    return _clip(value, limit) or None if isinstance(value, str) else None
