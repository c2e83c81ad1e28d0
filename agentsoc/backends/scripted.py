"""`scripted`: a model that answers by rule, for tests and for seeing how a protocol works without a model.

It stands in for a real one in every respect that matters to the engine: it gets prompts, replies with text in the
form asked for, counts tokens, takes time, can fail, and is journaled.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from agentsoc.backends.choices import leaves_number_open
from agentsoc.contracts.address import Destination
from agentsoc.contracts.model import ActHint, Backend, CallError, Completion, FailureKind, Hint, Model, Request, Usage
from agentsoc.contracts.part import Part
from agentsoc.contracts.turns import NONE
from agentsoc.streams import uniform

_SUM = re.compile(r"\(*\d[-+*/() .\d]*\d")


class ScriptedCall(Part):
    """A call of a tool; {question}, {expression} (the first sum in it), {agent}, {task} and {result} are filled in."""

    tool: str = Field(min_length=1, max_length=80)
    """Name of the tool."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Its arguments."""


class Scripted(Model):
    """Answers by a rule that knows the truth, with seeded mistakes."""

    reply_form: ClassVar[str] = "json"

    kind: Literal["scripted"] = "scripted"
    says: Literal["truth", "wrong", "random", "majority"] = "truth"
    """The reference answer, another option, a random option, or the majority of what is shown (else the truth)."""
    accuracy: float = Field(default=1.0, ge=0, le=1)
    """Probability that the rule is followed; otherwise another option is given."""
    cites: Literal["agreeing", "all", "none"] = "agreeing"
    """Which shown claims a reply names as used; with `agreeing`, those that differ are disputed."""
    latency_s: float = Field(default=0.0, ge=0, le=60)
    """Time of a call, drawn uniformly between 0 and twice this (seconds)."""
    fail_rate: float = Field(default=0.0, ge=0, lt=1)
    """Probability that a call's first attempt fails."""
    fail_kind: FailureKind = "server"
    """How it fails."""
    malformed_rate: float = Field(default=0.0, ge=0, lt=1)
    """Probability that a call's first reply is not in the form asked for."""
    window: int | None = Field(default=None, ge=64)
    """Context window (tokens)."""
    later: ClassVar[frozenset[str]] = frozenset({"uses_tools", "says_result", "follows"})
    follows: Annotated[float, Field(ge=0, le=1)] | None = None
    """Probability that an agent that has an answer goes to the one that most of those it hears stand by; otherwise, and
    where its own is among the most frequent ones, it stands by its own. None: an answer given before counts for
    nothing."""
    uses_tools: tuple[tuple[ScriptedCall, ...], ...] = ()
    """Calls of tools that an agent makes in the steps of its turn, step by step; then it answers."""
    says_result: bool = False
    """Whether an agent that has called tools answers with what the last of them gave."""
    replies: tuple[tuple[str, str], ...] = ()
    """Pairs (text, reply): a prompt that contains the text is answered with the reply, word for word."""

    def destinations(self) -> tuple[Destination, ...]:
        """Return nothing: replies follow a rule, and no prompt leaves the process."""
        return ()

    def open(self, *, seed: int, share: int = 1) -> ScriptedBackend:
        """Return the script of the run with `seed`."""
        return ScriptedBackend(self, seed)

    def counting(self) -> str:
        """Return that it counts words, as its usage does."""
        return "exact"

    def context_window(self) -> int | None:
        """Return `window`."""
        return self.window


class ScriptedBackend(Backend):
    """Follows a `Scripted` model's rule."""

    def __init__(self, model: Scripted, seed: int) -> None:
        self.model = model
        self.seed = seed
        self.window = model.window
        self.calls = 0

    def identity(self) -> dict[str, Any]:
        """Return the settings."""
        return {"kind": "scripted", **self.model.model_dump(mode="json", exclude={"kind"})}

    def count(self, request: Request) -> int:
        """Return the number of words: this model's tokens are words."""
        return sum([len(each.content.split()) for each in request.messages])

    async def complete(self, request: Request) -> Completion:
        """Answer one prompt."""
        hint = request.hint
        if hint is None:
            raise CallError("rejected", "the scripted model answers turns of a society, not bare prompts")
        tokens_in = self.count(request)
        if self.window is not None and tokens_in + request.max_tokens > self.window:
            raise CallError("too_long", f"{tokens_in} + {request.max_tokens} tokens do not fit {self.window}")
        self.calls += 1
        if self.model.latency_s:
            await asyncio.sleep(2 * self.model.latency_s * self._draw("latency", hint))
        first = hint.attempt == 0
        if first and self.model.fail_rate and self._draw("fail", hint) < self.model.fail_rate:
            raise CallError(self.model.fail_kind, "scripted failure")
        text = self._text(request, hint)
        if first and self.model.malformed_rate and self._draw("malformed", hint) < self.model.malformed_rate:
            text = "??? " + text[:3]
        words = text.split()
        cut = len(words) > request.max_tokens
        if cut:
            text = " ".join(words[: request.max_tokens])
        usage = Usage(tokens_in, 0, min(len(words), request.max_tokens))
        return Completion(text, usage, "length" if cut else "stop")

    def _draw(self, purpose: str, hint: Hint) -> float:
        return uniform(self.seed, f"scripted-{purpose}", hint.task, hint.round, hint.agent, hint.k)

    def _answer(self, hint: Hint) -> str:
        says = self.model.says
        if self.model.says_result and isinstance(hint, ActHint) and hint.results:
            return hint.results[-1]
        if self.model.follows is not None and hint.own is not None:
            return self._conforming(hint, hint.own)
        if says == "wrong" or self._draw("accuracy", hint) >= self.model.accuracy:
            others = [option for option in hint.options if option != hint.truth] or ["0"]
            return others[0 if len(others) == 1 else int(self._draw("wrong", hint) * len(others))]
        if says == "random" and hint.options:
            return hint.options[int(self._draw("random", hint) * len(hint.options))]
        if says == "majority" and (stated := [answer for answer in hint.shown if answer is not None]):
            return max(sorted(set(stated)), key=stated.count)
        return hint.truth

    def _conforming(self, hint: Hint, own: str) -> str:
        """Return the answer of an agent that has one: the most frequent one of others, or its own."""
        heard = Counter(answer for answer in hint.shown if answer is not None)
        most = max(heard.values(), default=0)
        leading = sorted(answer for answer, count in heard.items() if count == most)
        if not leading or own in leading or self._draw("follows", hint) >= (self.model.follows or 0.0):
            return own
        return leading[int(self._draw("leading", hint) * len(leading))]

    def _verdict(self, choosing: bool, hint: Hint) -> dict[str, Any]:
        """Return a choice among the shown answers, or whether the one that is shown is right."""
        places = range(1, len(hint.shown_unique) + 1)
        right = [i for i in places if hint.shown_unique[i - 1] == hint.truth]
        wrong = [i for i in places if i not in right]
        follows = self._draw("accuracy", hint) < self.model.accuracy
        if not choosing:
            return {"accept": bool(right) == follows}
        if not places:  # there is nothing to choose from
            return {"best": "#1"}
        return {"best": f"#{((right or wrong) if follows else (wrong or right))[0]}"}

    def _calls(self, hint: Hint) -> list[dict[str, Any]]:
        """Return what the agent calls in this step; nothing where it answers."""
        if not isinstance(hint, ActHint) or not hint.calls or hint.step >= len(self.model.uses_tools):
            return []
        known = {
            "question": hint.question_text,
            "agent": str(hint.agent),
            "task": str(hint.task),
            "result": hint.results[-1] if hint.results else "",
            "expression": found[0] if (found := _SUM.search(hint.question_text)) else "",
        }
        return [
            {"tool": call.tool, "arguments": {name: _filled(value, known) for name, value in call.arguments.items()}}
            for call in self.model.uses_tools[hint.step]
        ]

    def _text(self, request: Request, hint: Hint) -> str:
        if calls := self._calls(hint):
            return json.dumps({"calls": calls})
        for found, said in self.model.replies:
            if any(found in each.content for each in request.messages):
                return said
        if request.choices:
            answer = self._answer(hint)
            if leaves_number_open(request.choices):
                agrees = hint.shown_unique[:1] == (answer,)
                return f"{answer} {NONE if self.model.cites == 'none' else '#1' if agrees else 'not #1'}"
            lines = [line for line in request.choices if line == answer or line.startswith(f"{answer} ")]
            if self.model.cites == "none" and f"{answer} {NONE}" in lines:
                return f"{answer} {NONE}"
            return lines[0] if lines else request.choices[0]
        if request.schema is None:
            return self._answer(hint)
        wanted = _wanted(request.schema)
        properties = wanted.properties
        reply: dict[str, Any] = {}
        if "stop" in properties:
            reply["stop"] = False
        if "subtasks" in properties:
            takers = hint.targets[: wanted.subtasks_max]
            reply["subtasks"] = [{"to": agent, "task": f"look at side {agent}"} for agent in takers]
        if "accept" in properties or "best" in properties:
            reply |= self._verdict("best" in properties, hint)
        answer = self._answer(hint)
        if "answer" in properties:
            reply["answer"] = answer
        if "uses" in properties and self.model.cites == "none" and wanted.cites:
            reply["uses"] = reply["disputes"] = [NONE]
        elif "uses" in properties and self.model.cites != "none":
            every = self.model.cites == "all"
            uses: list[str] = []
            against: list[str] = []
            for i, shown in enumerate(hint.shown_unique, 1):
                (uses if every or shown == answer else against).append(f"#{i}")
            nothing = [NONE] if wanted.cites else []
            reply["uses"], reply["disputes"] = uses or nothing, against or nothing
        reply["why"] = f"call {hint.k}"
        if "confidence" in properties:
            reply["confidence"] = round(0.5 + 0.5 * self._draw("confidence", hint), 3)
        return json.dumps(reply)


def _filled(value: Any, known: dict[str, str]) -> Any:
    if not isinstance(value, str):
        return value
    for name, text in known.items():
        value = value.replace(f"{{{name}}}", text)
    return value


class _Wanted(NamedTuple):
    """What a schema asks for."""

    properties: frozenset[str]
    subtasks_max: int
    """Pieces of work that a plan may have."""
    cites: bool
    """Whether a reply has to say what it rests on."""


@lru_cache(maxsize=256)
def _wanted(schema: str) -> _Wanted:
    data = json.loads(schema)
    data = data["oneOf"][-1] if "oneOf" in data else data  # the other way is to call tools
    properties = data["properties"]
    return _Wanted(
        frozenset(properties),
        properties["subtasks"]["maxItems"] if "subtasks" in properties else 0,
        "uses" in data.get("required", ()),
    )
