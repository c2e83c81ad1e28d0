"""From what an agent sees to the request that its model gets: system prompt, examples, earlier rounds, question.

The words are templates (`agentsoc.society.templates`). Agents never hear of event kinds: which act a reply is, nobody
tells the agent and the agent does not say. Runs that were made before there were templates keep their prompts, which
`agentsoc.society.first_prompts` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from agentsoc.contracts.board import Claim
from agentsoc.contracts.model import Message, NativeRequest, Request
from agentsoc.contracts.society import Society
from agentsoc.contracts.task import Task
from agentsoc.contracts.templates import KEPT_CHARS, Value
from agentsoc.contracts.turns import StepTaken, View
from agentsoc.society import first_prompts
from agentsoc.society.acting import LEFT_OUT, native_specs, tool_lines
from agentsoc.society.calls import Exchange, ModelCall, hint_of, repair_line
from agentsoc.society.reply_form import (
    action_asked,
    asks_for_handles,
    form_of,
    number_asked,
    reply_schema_text,
    short_lines,
)
from agentsoc.society.shown import cut
from agentsoc.society.templates import FormOf, Introduced, Prompter, prompter, render_asks
from agentsoc.streams import seed_for

_OWN: Final = ("answer", "work", "vote")
"""Purposes of turns in which an agent is reminded of what it said before."""
_REMINDING: Final = ("none", "last")
"""Histories with which the last reply stands in the question: always, or where there is no room for the exchange."""


_LESS: Final[tuple[dict[str, Any], ...]] = ({"draft": False}, {"own": False})
"""What is given up one after the other before a claim is left out."""


class Kept(msgspec.Struct, frozen=True, gc=False):
    """What of a prompt is kept when the window or the budget has no room for all of it."""

    claims: int
    """Shown claims, the first ones."""
    history: int
    """Earlier exchanges, the last ones."""
    memory: bool = True
    draft: bool = True
    own: bool = True
    """Whether the own earlier reply is whole; otherwise it is cut like others' are."""
    results: int = 0
    """Steps of the turn of which it is kept what tools gave, the last ones."""


def system_prompt(society: Society, agent: int) -> str:
    """Return the system prompt of an agent."""
    if society.rules.prompts == 1 or society.group(agent).prompt is not None:
        return first_prompts.system_prompt(society, agent)
    return _introduced(society, agent, prompter(society, society.group_index(agent))).system.content


def build_request(
    society: Society, task: Task, view: View, call: ModelCall, fits: Callable[[Request], bool] | None = None
) -> Request:
    """Return the request of one call of a turn.

    When `fits` refuses it, less is kept until it fits or only the question is left: first without what is remembered of
    earlier tasks, then without earlier exchanges from the oldest on, then without what tools gave, from the oldest on
    and with a mark in its place, then without the draft, with the own earlier reply cut, and last without shown claims
    from the end. The claims that are shown are as many as ``hint.shown_unique`` has answers.
    """
    if society.rules.prompts == 1:
        return first_prompts.build_request(society, task, view, call, fits)
    writer = _Writer(society, task, view, call)
    whole = writer.whole
    best = writer.request(whole)
    if fits is None or fits(best):
        return best
    kept = whole
    if call.memory:
        kept = msgspec.structs.replace(kept, memory=False)
    if kept.history:
        n = _most(kept.history, lambda k: fits(writer.request(msgspec.structs.replace(kept, history=k))))
        kept = msgspec.structs.replace(kept, history=n)
    if kept.results and not fits(writer.request(kept)):
        n = _most(kept.results, lambda k: fits(writer.request(msgspec.structs.replace(kept, results=k))))
        kept = msgspec.structs.replace(kept, results=n)
    for less in _LESS:
        if fits(best := writer.request(kept)):
            return best
        kept = msgspec.structs.replace(kept, **less)
    n = _most(kept.claims, lambda k: fits(writer.request(msgspec.structs.replace(kept, claims=k))))
    return writer.request(msgspec.structs.replace(kept, claims=n))


def all_requests(society: Society, task: Task, view: View, call: ModelCall, shown: int) -> Iterator[Request]:
    """Yield every request that `build_request` may have made with the first `shown` claims, likely ones first.

    Whoever knows the digest of what was sent finds it so, without a tokenizer.
    """
    if society.rules.prompts == 1:
        for kept in dict.fromkeys((call.draft, None)):
            asked = msgspec.structs.replace(call, draft=kept)
            yield first_prompts.build_request(society, task, view, asked, lambda one: _shows(one) <= shown)
        return
    writer = _Writer(society, task, view, call)
    yield writer.request(msgspec.structs.replace(writer.whole, claims=shown))
    for history in range(writer.whole.history, -1, -1):
        for results in range(writer.whole.results, -1, -1):
            for draft, own in ((True, True), (False, True), (False, False)):
                yield writer.request(Kept(shown, history, False, draft, own, results))


def _shows(request: Request) -> int:
    return 0 if request.hint is None else len(request.hint.shown_unique)


def _most(n: int, holds: Callable[[int], bool]) -> int:
    """Return the largest number up to `n` that holds, or 0; what holds for one holds for all below."""
    low, high = 0, n
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low


class _Writer:
    """The object writes the requests of one call, with more or less of what could be said in them."""

    def __init__(self, society: Society, task: Task, view: View, call: ModelCall) -> None:
        self.society, self.task, self.view, self.call = society, task, view, call
        agent = view.agent
        index = society.group_index(agent)
        self._group = society.groups[index]
        self._prompter = prompter(society, index)
        self._form = form_of(society, agent, task, view)
        introduced = _introduced(society, agent, self._prompter)
        self._who, self._system = introduced.who, introduced.system
        self._claims = shown_claims(society, self._prompter, view.claims)
        answers = {claim.id: claim.answer for claim in view.claims}
        self._answers = tuple([answers[claim] for claim in view.turn.sees])
        self._history = self._group.history
        self._earlier = self._repeated()
        reminded = self._history in _REMINDING and not view.turn.fresh and view.turn.purpose in _OWN
        self._own = call.earlier[-1].said if reminded and call.earlier else ""
        self._exchanges: list[tuple[Message, ...]] | None = None
        self.whole = Kept(len(view.claims), len(self._earlier), results=len(view.steps))
        self._native = native_specs(society, view) if view.turn.tools else ()

    def _repeated(self) -> Sequence[Exchange]:
        """Return the earlier turns that stand before the question as messages."""
        earlier, turn = self.call.earlier, self.view.turn
        if self._history == "none" or turn.fresh:
            return ()
        if self._history == "last":
            return earlier[-1:] if turn.purpose in _OWN else ()
        return earlier

    def request(self, kept: Kept) -> Request:
        """Return the request that says as much."""
        view, call, turn = self.view, self.call, self.view.turn
        if kept.claims < len(view.claims):
            view = msgspec.structs.replace(view, claims=view.claims[: kept.claims])
        group = self._group
        place: tuple[int | str, ...] = (*_place(view), turn.slot, call.k, call.attempt)
        request = Request(
            messages=self._messages(view, kept),
            max_tokens=call.max_tokens,
            temperature=group.temperature if turn.temperature is None else turn.temperature,
            seed=seed_for(self.society.seed, "call", *place, *(("step", turn.step) if turn.step else ())),
            choices=short_lines(view, number_asked(self.society, view)) if self._form == "short" else (),
            schema=reply_schema_text(self.society, view, call.max_tokens)
            if self._form == "json" and not self._native
            else None,
            hint=hint_of(self.society, self.task, view, self._answers, call),
        )
        return NativeRequest.of_request(request, self._native) if self._native else request

    def _messages(self, view: View, kept: Kept) -> tuple[Message, ...]:
        call = self.call
        name = purpose_template(view.turn.purpose, len(view.claims))
        own = "" if kept.history else self._own if kept.own else cut(self._own, self.society.message_tokens)
        values = self._values(view, own, call.memory if kept.memory else ())
        asked = render_asks(view.turn.asks, values) if view.turn.asks else self._prompter.render(name, values)
        messages = [self._system, *self._prompter.examples(name)]
        if kept.history:
            if self._exchanges is None:
                self._exchanges = [self._exchange(each) for each in self._earlier]
            messages.extend(message for pair in self._exchanges[-kept.history :] for message in pair)
        messages.append(Message("user", asked))
        if view.steps:
            messages += self._stepped(view, view.steps, kept.results)
        if call.draft is not None and kept.draft:
            again = self._prompter.render("critique", {**values, "draft": call.draft})
            messages += [Message("assistant", call.draft), Message("user", again)]
        if call.fault is not None:
            last = messages[-1]
            messages[-1] = Message("user", f"{last.content}\n\n{repair_line(call.fault)}")
        return tuple(messages)

    def _stepped(self, view: View, steps: Sequence[StepTaken], kept: int) -> Iterator[Message]:
        """Yield what the agent said in the earlier steps of a turn, each with what tools gave: that of the last ones.

        The last of these messages says once more in which form to reply.
        """
        gone = len(steps) - kept
        for number, step in enumerate(steps):
            results = [LEFT_OUT] if number < gone else list(step.results)
            form = self._form_text(view, self._form, further=True) if number == len(steps) - 1 else ""
            yield Message("assistant", step.said)
            yield Message("user", self._prompter.render("results", {"results": results, "form": form}))

    def _exchange(self, earlier: Exchange) -> tuple[Message, ...]:
        """Return what the agent was asked in an earlier turn, and its reply; with others' claims where all is kept."""
        view = earlier.view
        assert view is not None  # there is one for every agent with a history
        if self._history != "all":
            view = msgspec.structs.replace(view, claims=())
        claims = shown_claims(self.society, self._prompter, view.claims)
        values = self._values(view, "", (), claims)
        turn = view.turn
        name = purpose_template(turn.purpose, len(view.claims))
        asked = render_asks(turn.asks, values) if turn.asks else self._prompter.render(name, values)
        steps = view.steps if self._history in ("own", "all") else ()
        stepped = []
        for step in steps:
            results = self._prompter.render("results", {"results": list(step.results), "form": ""})
            stepped += [Message("assistant", step.said), Message("user", results)]
        return Message("user", asked), *stepped, Message("assistant", earlier.said)

    def _values(
        self, view: View, own: str, memory: Sequence[str], claims: Sequence[str] | None = None
    ) -> dict[str, Value]:
        """Return what the template of a purpose is given; `claims` for another turn than that of the call."""
        turn = view.turn
        if claims is None:
            shown, form = self._claims[: len(view.claims)], self._form
        else:
            shown, form = list(claims), form_of(self.society, view.agent, self.task, view)
        return {
            **self._who,
            "question": view.question,
            "options": [*view.options],
            "claims": shown,
            "own": self._prompter.render("own", {"said": own}) if own else "",
            "memory": list(memory),
            "instruction": turn.instruction,
            "note": view.note,
            "targets": [str(target) for target in turn.targets],
            "round": view.round,
            "form": self._form_text(view, form),
        }

    def _form_text(self, view: View, form: str, *, further: bool = False) -> str:
        """Return in which form to reply: with the tools where a turn begins, with what is left of it `further` on."""
        if view.turn.purpose == "talk":
            return ""
        words = self._answer_form(view, form)
        if not (view.turn.tools or (view.steps and not further)) or self._native:
            return words
        use, step = self._group.tool_use, view.turn.step if further else 0
        return self._prompter.tools(() if further else self._tool_lines(view), use.calls, use.steps - 1 - step, words)

    def _tool_lines(self, view: View) -> tuple[str, ...]:
        offered = self.society.tools_of(view.agent)
        key = ("tool lines", self.society.group_index(view.agent))
        return self.society.remember(key, lambda: tuple(tool_lines(offered)))

    def _answer_form(self, view: View, form: str) -> str:
        turn, question = view.turn, view.question
        if len(question) > KEPT_CHARS:
            return self._prompter.form(self._form_of(view, form))
        whole = turn.subtask is None
        action = action_asked(view) if turn.purpose == "act" else ""
        key = (form, turn.purpose, view.options, question, whole, len(view.claims), turn.targets, action)
        return self._prompter.form_of_turn(key, lambda: self._form_of(view, form))

    def _form_of(self, view: View, form: str) -> FormOf:
        options, turn = view.options, view.turn
        return FormOf(
            form,
            turn.purpose,
            options,
            bool(options) and all(option in view.question for option in options),
            self.society.tasks.numeric() and turn.subtask is None,
            self.society.tasks.whole(),
            len(view.claims),
            asks_for_handles(view, form),
            turn.targets,
            action_asked(view),
        )


def purpose_template(purpose: str, n_claims: int) -> str:
    """Return the name of the template by which a turn is asked that is shown so many claims."""
    return "revise" if purpose == "answer" and n_claims else purpose


def shown_claims(society: Society, by: Prompter, claims: Sequence[Claim]) -> list[str]:
    """Return claims as they are shown, under the handles #1, #2, ... in their order."""
    tokens = society.message_tokens
    if len(society.groups) == 1:
        seen = society.seen_of(0)
        return [by.claim(claim, number, seen, tokens) for number, claim in enumerate(claims, 1)]
    return [by.claim(claim, number, society.seen_of(claim.agent), tokens) for number, claim in enumerate(claims, 1)]


def _place(view: View) -> tuple[int, int, int]:
    return view.task, view.round, view.agent


def _introduced(society: Society, agent: int, by: Prompter) -> Introduced:
    """Return what every prompt of an agent begins with, made once for as many agents as are kept."""
    kept = by.introduced.get(agent)
    if kept is None:
        who: dict[str, Value] = {
            "name": agent,
            "persona": society.persona(agent),
            "role": society.wiring.role_of(agent),
            "n_agents": society.n,
            "topology": society.wiring.kind,
        }
        own = society.group(agent).prompt is not None
        text = first_prompts.system_prompt(society, agent) if own else by.render("system", who)
        kept = by.introduce(agent, Introduced(who, Message("system", text)))
    return kept
