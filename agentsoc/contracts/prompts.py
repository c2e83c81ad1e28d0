"""`PromptSet`: the ``prompts`` block of a scenario or of a group of agents, which names or holds templates.

What every template is for and which values it may name stands in `TEMPLATES`; the texts of the defaults are files of
the package `agentsoc.society`, printed by ``agentsoc prompts``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import msgspec
from pydantic import Field, StringConstraints, field_validator, model_validator
from pydantic_core import PydanticCustomError

from agentsoc.contracts.part import Part
from agentsoc.contracts.template_filters import BadTemplateError
from agentsoc.contracts.templates import TEXT_MAX, Value, compile_at, compiled, render_at


class TemplateKind(msgspec.Struct, frozen=True):
    """A purpose that has a template of its own."""

    about: str
    variables: tuple[str, ...]
    """The values that it may name."""

    @property
    def lists(self) -> tuple[str, ...]:
        """Return those of the values that are lists of texts."""
        return tuple(name for name in self.variables if name in LISTS)


WHO: Final = ("name", "persona", "role", "n_agents", "topology")
"""Values that say who is asked."""
ASKED: Final = (
    *WHO,
    "question",
    "options",
    "claims",
    "own",
    "memory",
    "instruction",
    "note",
    "targets",
    "round",
    "form",
)
"""Values that say what is asked in a turn."""
FORM: Final = ("purpose", "options", "options_said", "numeric", "whole", "n_claims", "cites", "targets", "action")
LISTS: Final = ("options", "claims", "memory", "targets", "tools", "results")
_NUMBERS: Final = ("name", "n_agents", "round", "n_claims", "number", "agent", "calls_max", "calls_left")
_PURPOSES: Final = ("answer", "merge", "work", "vote", "judge", "check", "choose", "plan", "guide", "act", "talk")
_FACTS: Final = ("options_said", "numeric", "whole", "cites", "stated")
VARIABLES: Final = {
    "name": "number of the agent",
    "persona": "the persona dealt to it, or nothing",
    "role": "its role in the topology",
    "n_agents": "agents of the society",
    "topology": "kind of the topology",
    "question": "the question of the task, or of the agent's part of it",
    "options": "list of the answers to choose from; empty for a free answer",
    "claims": "list of what others said, each as the template `claim` makes it",
    "own": "the agent's own earlier reply, as the template `own` makes it; nothing where there is none to show",
    "memory": "list of what the agent remembers of earlier tasks",
    "instruction": "what the protocol asks besides the question",
    "note": "what the agent is told of the budget",
    "targets": "list of the agents that may be handed work",
    "round": "number of the round, from 0",
    "form": "in which form to reply, as one of the templates `form_*` makes it",
    "purpose": "why the agent is asked: answer, merge, work, vote, judge, check, choose, plan, guide, act or talk",
    "options_said": "whether the question names every option already",
    "numeric": "whether the answer is a number",
    "whole": "whether it is a whole number",
    "n_claims": "claims that are shown",
    "cites": "whether the reply has to say which of them it rests on",
    "number": "number of the claim in this prompt; its handle is # and the number",
    "agent": "number of the claim's author",
    "answer": "the answer that the claim states, or nothing",
    "text": "what its author said, as far as peers see it; nothing where that adds nothing to the answer",
    "stated": "whether the text holds the answer",
    "said": "the reply as the agent gave it",
    "draft": "what the agent said in the call before, in the same turn",
    "action": "JSON Schema of the action, where an action is no choice among options; else nothing",
    "tools": "list of the tools that may be called, each with what it does and its arguments",
    "calls_max": "calls that one reply may make",
    "calls_left": "replies of this turn that may still call tools, this one included",
    "results": "list of what the calls of the last reply gave",
}
"""What each value is."""
TEMPLATES: Final = {
    "system": TemplateKind("the system prompt", WHO),
    "answer": TemplateKind("an answer of one's own, with no claims shown", ASKED),
    "revise": TemplateKind("an answer with others' claims shown", ASKED),
    "merge": TemplateKind("one answer out of several claims", ASKED),
    "vote": TemplateKind("a ballot over claims", ASKED),
    "judge": TemplateKind("whether to stop", ASKED),
    "check": TemplateKind("whether the one claim that is shown is right", ASKED),
    "choose": TemplateKind("which of the shown claims is best", ASKED),
    "plan": TemplateKind("work for others", ASKED),
    "guide": TemplateKind("guidance for the next round", ASKED),
    "work": TemplateKind("a piece of work that was handed out", ASKED),
    "act": TemplateKind("a move in an environment", ASKED),
    "talk": TemplateKind("something to say to others before moves are made", ASKED),
    "tools": TemplateKind("form of a reply that may call tools instead", ("tools", "calls_max", "calls_left", "form")),
    "results": TemplateKind("what tools gave that the last reply called", ("results", "form")),
    "critique": TemplateKind(
        "a second look at the draft of the call before, in a turn of several calls", (*ASKED, "draft")
    ),
    "claim": TemplateKind("one claim as others see it", ("number", "agent", "answer", "text", "stated")),
    "own": TemplateKind("the agent's own earlier reply", ("said",)),
    "form_json": TemplateKind("form of the reply: a JSON object", FORM),
    "form_short": TemplateKind("form of the reply: one line", FORM),
    "form_text": TemplateKind("form of the reply: text that ends with the answer", FORM),
}
"""Every template by its name."""

Text = Annotated[str, StringConstraints(max_length=TEXT_MAX)]


class Example(Part):
    """One exchange that an agent is shown as if it had taken place: a question and the reply to it."""

    user: Text
    """What is asked; plain text, not a template."""
    assistant: Text
    """The reply; plain text, not a template."""


class PromptTemplate(Part):
    """A template with examples, or one that stands in a file beside the scenario."""

    text: Text | None = None
    """The template; None for the default, or where `file` has it."""
    file: Annotated[str, StringConstraints(min_length=1, max_length=300)] | None = None
    """Name of the file that holds it, beside the scenario; a run keeps a copy."""
    examples: Annotated[tuple[Example, ...], Field(max_length=64)] = ()
    """Exchanges that come before the question, as messages of the user and the assistant."""

    @model_validator(mode="after")
    def _one_source(self) -> PromptTemplate:
        if self.text is not None and self.file is not None:
            raise ValueError("give text or file, not both")
        return self


class PromptSet(Part):
    """Templates that take the place of the defaults, by purpose: a text, or a mapping with text or file and examples.

    A template names values in double braces and may use conditions and loops of Jinja2; ``agentsoc prompts`` prints the
    defaults, which are the best place to begin.
    """

    system: Text | PromptTemplate | None = None
    """The system prompt; ``prompt`` of a group is an older way to say it."""
    answer: Text | PromptTemplate | None = None
    """An answer of one's own, with no claims shown."""
    revise: Text | PromptTemplate | None = None
    """An answer with others' claims shown."""
    merge: Text | PromptTemplate | None = None
    """One answer out of several claims."""
    vote: Text | PromptTemplate | None = None
    """A ballot over claims."""
    judge: Text | PromptTemplate | None = None
    """Whether to stop."""
    check: Text | PromptTemplate | None = None
    """Whether the one claim that is shown is right."""
    choose: Text | PromptTemplate | None = None
    """Which of the shown claims is best."""
    plan: Text | PromptTemplate | None = None
    """Work for others."""
    guide: Text | PromptTemplate | None = None
    """Guidance for the next round."""
    work: Text | PromptTemplate | None = None
    """A piece of work that was handed out."""
    act: Text | PromptTemplate | None = None
    """A move in an environment."""
    talk: Text | PromptTemplate | None = None
    """Something to say to others before moves are made."""
    tools: Text | PromptTemplate | None = None
    """What is said of the form of a reply that may call tools instead of answering."""
    results: Text | PromptTemplate | None = None
    """What tools gave that the last reply called."""
    critique: Text | PromptTemplate | None = None
    """A second look at the draft of the call before, in a turn of several calls (``iterations``)."""
    claim: Text | PromptTemplate | None = None
    """One claim as others see it."""
    own: Text | PromptTemplate | None = None
    """The agent's own earlier reply."""
    form_json: Text | PromptTemplate | None = None
    """What is said of the form of a reply that is a JSON object."""
    form_short: Text | PromptTemplate | None = None
    """What is said of the form of a reply of one line."""
    form_text: Text | PromptTemplate | None = None
    """What is said of the form of a reply that is text."""

    @field_validator("*")
    @classmethod
    def _sound(cls, value: Any, info: Any) -> Any:
        """Refuse a template that uses what there is not; one in a file is looked at when the society is built."""
        text = value.text if isinstance(value, PromptTemplate) else value
        if isinstance(text, str):
            kind = TEMPLATES[info.field_name]
            try:
                made = compiled(text, kind.variables, kind.lists)
                for values in samples(kind.variables):
                    made.render(values)
            except BadTemplateError as fault:
                place = f"line {fault.line} of the template: " if "\n" in text else ""
                raise PydanticCustomError(
                    "prompt_template", "{what}", {"what": f"{place}{fault.what}", "hint": fault.hint}
                ) from None
        return value

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Show what is given: most blocks have few of the templates."""
        return ((name, value) for name, value in super().__repr_args__() if value is not None)

    def given(self) -> Iterator[tuple[str, PromptTemplate]]:
        """Yield the templates that the block has, by name."""
        for name in TEMPLATES:
            found = getattr(self, name)
            if found is not None:
                yield name, found if isinstance(found, PromptTemplate) else PromptTemplate(text=found)

    def files(self) -> tuple[str, ...]:
        """Return the files that hold templates."""
        return tuple(one.file for _, one in self.given() if one.file is not None)


assert tuple(PromptSet.model_fields) == tuple(TEMPLATES)


def check_asks(text: str, where: str) -> None:
    """Check a template that a protocol gives its turns in `Turn.asks`.

    Raises:
        InputError: there is something wrong with it; names place and line.
    """
    made = compile_at(text, ASKED, TEMPLATES["answer"].lists, where)
    for values in samples(ASKED):
        render_at(made, values, where)


def samples(variables: Sequence[str]) -> Iterator[dict[str, Value]]:
    """Yield values of the kinds that a template gets: all there, for each purpose, and as little as there can be.

    A template that works on a value of another kind, such as the length of a number, so shows itself before a run.
    """
    purposes = _PURPOSES if "purpose" in variables else ("",)
    for full in (True, False):
        for purpose in purposes:
            yield {name: purpose if name == "purpose" else _sample(name, full) for name in variables}


def _sample(name: str, full: bool) -> Value:
    if name in _NUMBERS:
        return 1 if full else 0
    if name in _FACTS:
        return full
    if name in LISTS:
        return ["1", "2"] if full else []
    return "text" if full else ""
