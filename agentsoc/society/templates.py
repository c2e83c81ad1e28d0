"""This module holds the default prompt templates, files beside it, and finds the one of an agent's purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from agentsoc.contracts.board import Claim
from agentsoc.contracts.group import PeersSee
from agentsoc.contracts.model import Message
from agentsoc.contracts.prompts import ASKED, TEMPLATES, PromptTemplate, samples
from agentsoc.contracts.society import Society
from agentsoc.contracts.templates import KEPT_CHARS, TEXT_MAX, Compiled, Ready, Value, compile_at, render_at
from agentsoc.scenario.files import open_text
from agentsoc.society.default_templates import DEFAULTS
from agentsoc.society.shown import claim_values

DIRECTORY: Final = Path(__file__).parent / "templates"
"""Where the defaults are, one file a template."""
SUFFIX: Final = ".jinja"
_BYTES_MAX: Final = 4 * TEXT_MAX
"""Largest file of a template (bytes)."""
_CLAIMS_KEPT: Final = 4_096
"""Claims that are kept as they were rendered (claims)."""
_INTRODUCED_KEPT: Final = 4_096
"""Agents of whom the beginning of prompts is kept (agents)."""
_FORMS_KEPT: Final = 64
"""Forms that are kept as they were rendered (forms)."""
_NUMBER_MARK: Final = "\x00number\x00"
"""Stands in a claim as it is kept for its number in a prompt; a claim that says it itself is not kept."""


@lru_cache(maxsize=len(TEMPLATES))
def default_template(name: str) -> str:
    """Return the text of the default template of a purpose."""
    return (DIRECTORY / f"{name}{SUFFIX}").read_text(encoding="utf-8")


class FormOf(msgspec.Struct, frozen=True, gc=False):
    """What the words depend on that say in which form to reply."""

    name: str
    purpose: str
    options: tuple[str, ...]
    options_said: bool
    """Whether the question names every option."""
    numeric: bool
    whole: bool
    """Whether a number that is asked for is a whole one."""
    n_claims: int
    cites: bool
    """Whether the reply is to name the claims that it rests on."""
    targets: tuple[int, ...]
    action: str = ""
    """JSON Schema of the action, where it is no choice."""

    def values(self) -> dict[str, Value]:
        """Return what the template of the form is given."""
        return {
            "purpose": self.purpose,
            "options": list(self.options),
            "options_said": self.options_said,
            "numeric": self.numeric,
            "whole": self.numeric and self.whole,
            "n_claims": self.n_claims,
            "cites": self.cites,
            "targets": [str(target) for target in self.targets],
            "action": self.action,
        }


class Introduced(msgspec.Struct, frozen=True, gc=False):
    """What every prompt of an agent begins with."""

    who: dict[str, Value]
    """Who the agent is, as templates are told."""
    system: Message


class Prompter:
    """The templates of one group of agents: its own, else those of the scenario, else the defaults."""

    def __init__(self, society: Society, group: int) -> None:
        """Find them, and compile those that are given.

        Raises:
            InputError: a file cannot be read, or its template does not hold; names file and line.
        """
        found: dict[str, tuple[PromptTemplate, str]] = {}
        for where, block in (("prompts", society.prompts), ("agents.prompts", society.groups[group].prompts)):
            for name, template in block.given():
                found[name] = (template, f"{where}.{name}")
        self._claims: dict[tuple[object, ...], list[str]] = {}
        """Claims as they were rendered: in parts, between which the number of the claim stands."""
        self._numbers_differ: bool | None = None
        """Whether more of a claim than its number depends on that; None until a claim is asked for."""
        self._forms: dict[FormOf, str] = {}
        self._forms_asked: dict[tuple[object, ...], str] = {}
        self._tools: dict[tuple[tuple[str, ...], int, int, str], str] = {}
        self.introduced: dict[int, Introduced] = {}
        """What prompts of agents begin with, for some of them."""
        self._compiled: dict[str, Compiled] = {}
        self._where: dict[str, str] = {}
        """Where the templates stand that were given."""
        self._examples: dict[str, tuple[Message, ...]] = {}
        for name, (template, where) in found.items():
            text = template.text
            if template.file is not None:
                text, where = open_text(template.file, limit_bytes=_BYTES_MAX), template.file
            if text is not None:
                kind = TEMPLATES[name]
                made = self._compiled[name] = compile_at(text, kind.variables, kind.lists, where)
                self._where[name] = where
                for values in samples(kind.variables):
                    render_at(made, values, where)
            self._examples[name] = tuple(
                message
                for example in template.examples
                for message in (Message("user", example.user), Message("assistant", example.assistant))
            )

    def render(self, name: str, values: Mapping[str, Value]) -> str:
        """Return the text that a template makes of its values, without white space around it.

        Raises:
            InputError: it makes too much of them; names the place of the template.
        """
        return render_at(self._template(name), values, self._where.get(name, f"prompts.{name}"))

    def _template(self, name: str) -> Compiled | Ready:
        return self._compiled.get(name) or DEFAULTS[name]

    def claim(self, claim: Claim, number: int, see: PeersSee, tokens: int) -> str:
        """Return one claim as others see it; see `claim_values`. It is rendered once for all who are shown it."""
        if self._numbers_differ is None:
            self._numbers_differ = not self._template("claim").only_says("number")
        key = (claim.agent, claim.answer, claim.text, see, tokens, self._numbers_differ and number)
        parts = self._claims.get(key)
        return self._claim(key, claim, number) if parts is None else str(number).join(parts)

    def _claim(self, key: tuple[object, ...], claim: Claim, number: int) -> str:
        see, tokens = key[3:5]
        values = claim_values(claim, number, see, tokens)  # type: ignore[arg-type]
        if _NUMBER_MARK in f"{claim.answer}{claim.text}":
            return self.render("claim", values)
        parts = self.render("claim", values if self._numbers_differ else {**values, "number": _NUMBER_MARK})
        if len(parts) <= KEPT_CHARS:
            if len(self._claims) >= _CLAIMS_KEPT:
                self._claims.clear()
            self._claims[key] = parts.split(_NUMBER_MARK)
        return parts.replace(_NUMBER_MARK, str(number))

    def introduce(self, agent: int, introduced: Introduced) -> Introduced:
        """Keep what the prompts of an agent begin with, and return it."""
        if len(self.introduced) >= _INTRODUCED_KEPT:
            self.introduced.clear()
        self.introduced[agent] = introduced
        return introduced

    def form_of_turn(self, key: tuple[object, ...], form: Callable[[], FormOf]) -> str:
        """Return the words that say in which form to reply to a turn, given all that `form` depends on."""
        made = self._forms_asked.get(key)
        if made is None:
            made = self.form(form())
            if len(self._forms_asked) >= _FORMS_KEPT:
                self._forms_asked.clear()
            self._forms_asked[key] = made
        return made

    def form(self, form: FormOf) -> str:
        """Return the words that say in which form to reply. Most turns of a society are to reply in the same."""
        made = self._forms.get(form)
        if made is None:
            if len(self._forms) >= _FORMS_KEPT:
                self._forms.clear()
            made = self._forms[form] = self.render(f"form_{form.name}", form.values())
        return made

    def tools(self, lines: tuple[str, ...], calls_max: int, calls_left: int, form: str) -> str:
        """Return the words that say which tools there are and how they are called. Most turns are told the same.

        Args:
            lines: one for each tool; none where the agent knows them by now.
            calls_max: calls of one reply at most (calls).
            calls_left: replies that may still call (replies).
            form: in which form to reply to the turn.
        """
        key = (lines, calls_max, calls_left, form)
        made = self._tools.get(key)
        if made is None:
            values: dict[str, Value] = {"calls_max": calls_max, "calls_left": calls_left, "form": form}
            made = self.render("tools", {"tools": list(lines), **values})
            if len(made) > KEPT_CHARS:
                return made
            if len(self._tools) >= _FORMS_KEPT:
                self._tools.clear()
            self._tools[key] = made
        return made

    def examples(self, name: str) -> tuple[Message, ...]:
        """Return the exchanges that come before the question of a purpose, as messages."""
        return self._examples.get(name, ())


def prompter(society: Society, group: int) -> Prompter:
    """Return the templates of a group, compiled once for a society."""
    return society.remember(("prompter", group), lambda: Prompter(society, group))


def render_asks(text: str, values: Mapping[str, Value]) -> str:
    """Return the text that the template of a turn (`Turn.asks`) makes of its values."""
    where = "the turn's asks"
    return render_at(compile_at(text, ASKED, TEMPLATES["answer"].lists, where), values, where)


def check_prompts(society: Society) -> None:
    """Check the templates of every group that is asked by prompts.

    Raises:
        InputError: see `Prompter`.
    """
    for group in range(len(society.groups)):
        prompter(society, group)
