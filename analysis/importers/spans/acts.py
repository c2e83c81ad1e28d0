"""This module makes claims and acts of a trace: what agents said, on what, which tools they called, what it cost.

The last text of the assistant in an invocation of an agent is a claim. A trace without such invocations has its calls
of models as claims; one without those, its innermost spans that say something. A claim builds on

    links       claims of the invocations that its span, or a call of a model within it, links to; where there are none,
    text        earlier claims of 40 characters or more whose text stands in what it was given; where there are none,
    previous    the claim that had been made last before the invocation began

The rule `found` takes the first of them that finds something; the others take one alone. A claim that was in view need
not have been used: exposure is no use.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal, get_args

import polars as pl

from agentsoc.errors import InputError
from agentsoc.events import MAX_K, MAX_ROUNDS
from agentsoc.scenario.source import printable
from analysis.importers.chats.chat import ToldUsage
from analysis.importers.labels import LabelledAct, label
from analysis.importers.spans.meaning import SpanMeaning
from analysis.importers.spans.tree import SpanTree

SpanRule = Literal["found", "links", "text", "previous"]
SPAN_RULES: Final[tuple[SpanRule, ...]] = get_args(SpanRule)
TEXT_LEAST: Final = 40
"""Shortest text of a claim that is looked for in what others were given (characters)."""
ALIKE_MAX: Final = 32
"""Claims that begin alike of which the latest are looked for (claims)."""
WORK_MAX: Final = 20_000_000_000
"""Characters that are compared in one trace."""
TOOLS_MAX: Final = MAX_K - 2
"""Calls of tools that an invocation can have (calls)."""
STRAYS_MAX: Final = MAX_K - 1
"""Calls of models outside of all agents that a trace can have (calls)."""
NOBODY: Final = "outside of agents"
_GENERIC: Final = frozenset({"", "chat", "llm", "completion", "generation"})


@dataclass
class Invocation:
    """An invocation of an agent: the span, what lies within it, and the claim that it makes."""

    number: int
    """Of its span in the tree."""
    agent: str
    calls: list[int] = field(default_factory=list)
    """Calls of models within it, in the order in which they ended."""
    tools: list[int] = field(default_factory=list)
    text: str | None = None
    parents: list[int] = field(default_factory=list)


class TraceActs:
    """The object finds the invocations of a trace and what each builds on."""

    def __init__(self, tree: SpanTree, rule: SpanRule) -> None:
        self.tree = tree
        self.rule = rule
        self.by: Counter[str] = Counter()
        """How often each rule gave the parents of a claim."""
        self.strays: list[int] = []
        """Calls of models outside of all agents."""
        self.level: Literal["agents", "calls", "spans"] = "agents"
        """What the claims are those of."""
        self.dropped_links = 0
        self.left_out: Counter[str] = Counter()
        """What has no place in a log, by what it is."""
        self.invocations = self._invocations()
        self._place: dict[int, int] = {one.number: at for at, one in enumerate(self.invocations)}
        self._assign()
        if len(self.invocations) > 1:
            self._find_parents()

    def _span(self, number: int) -> SpanMeaning:
        return self.tree.spans[number]

    def _order(self, number: int) -> tuple[int, int, int]:
        span = self._span(number).span
        return span.end or span.start, span.start, span.place

    def _invocations(self) -> list[Invocation]:
        spans = self.tree.spans
        chosen = [at for at, one in enumerate(spans) if one.operation == "agent"]
        if not chosen:
            self.level = "calls"
            chosen = [at for at, one in enumerate(spans) if one.operation == "chat"]
        if not chosen:
            self.level = "spans"
            inner = {up for up in self.tree.above if up is not None}
            chosen = [
                at
                for at, one in enumerate(spans)
                if at not in inner and one.operation != "tool" and one.said is not None
            ]
        if len(chosen) > MAX_ROUNDS:
            where = f"trace {printable(self.tree.trace.id, 80)}"
            raise InputError(f"{len(chosen):,} invocations; the limit is {MAX_ROUNDS:,}", where, "import it in parts")
        return [Invocation(at, self._agent(at)) for at in sorted(chosen, key=self._order)]

    def _agent(self, number: int) -> str:
        """Return who acts in a span: whom it names, or a span above it, or else the name of the span."""
        line = self.tree.line(number)
        for at in line:
            if (named := self._span(at).agent) is not None:
                return named
        own = self._span(number).span
        generic = (
            own.name.split(" ")[0].lower() in _GENERIC or own.attributes.get("gen_ai.request.model") in own.name.split()
        )
        if not generic:
            return own.name
        above = [self._span(at) for at in line[1:]]
        return next(
            (one.span.name for one in above if one.operation in ("workflow", "other") and one.span.name), "assistant"
        )

    def _assign(self) -> None:
        """Give each call and each tool to the invocation that it lies in, and each invocation its text."""
        for at in sorted(range(len(self.tree.spans)), key=self._order):
            operation = self._span(at).operation
            if operation not in ("chat", "tool", "handoff"):
                continue
            owner = next((self._place[up] for up in self.tree.line(at) if up in self._place), None)
            if owner is None and operation == "chat":
                self.strays.append(at)
            elif owner is None:
                what = "calls of tools" if operation == "tool" else "hand-offs"
                self.left_out[f"{what} outside of all invocations, left out"] += 1
            else:
                (self.invocations[owner].calls if operation == "chat" else self.invocations[owner].tools).append(at)
        beyond = sum(max(len(one.tools) - TOOLS_MAX, 0) for one in self.invocations)
        self.left_out[f"calls of tools and hand-offs beyond {TOOLS_MAX:,} of an invocation, left out"] += beyond
        more = max(len(self.strays) - STRAYS_MAX, 0)
        self.left_out[f"calls of models outside of all agents beyond {STRAYS_MAX:,}, left out"] += more
        for one in self.invocations:
            texts = [self._span(one.number).said, *(self._span(at).said for at in reversed(one.calls))]
            one.text = next((text for text in texts if text), None)

    def usage(self, one: Invocation) -> ToldUsage:
        """Return the usage of an invocation: that of its calls, or else what its own span says."""
        found = ToldUsage()
        for at in one.calls:
            found = found.plus(self._span(at).usage)
        return found if found.known else self._span(one.number).usage

    def n_calls(self, one: Invocation) -> int:
        """Return how many calls of models an invocation made, as far as the trace says."""
        return len(one.calls) or int(self._span(one.number).usage.known)

    # What a claim builds on

    def _find_parents(self) -> None:
        in_view = self._in_view() if self.rule in ("found", "text") else {}
        for at, one in enumerate(self.invocations):
            found: list[int] = []
            if self.rule in ("found", "links"):
                found = self._linked(at)
                self.by["links"] += bool(found)
            if not found and in_view.get(at):
                found = in_view[at]
                self.by["text"] += 1
            if not found and self.rule in ("found", "previous") and (last := self._before(at)) is not None:
                found = [last]
                self.by["previous"] += 1
            one.parents = sorted(set(found))

    def _linked(self, at: int) -> list[int]:
        one = self.invocations[at]
        found = []
        for number in (one.number, *one.calls):
            for trace, span in self._span(number).span.links:
                target = self.tree.numbers.get(span) if trace == self.tree.trace.id else None
                line = [] if target is None else self.tree.line(target)
                claim = next((self._place[up] for up in line if up in self._place), None)
                if claim is None or claim >= at:
                    self.dropped_links += 1
                else:
                    found.append(claim)
        return found

    def _in_view(self) -> dict[int, list[int]]:
        """Return for each invocation the earlier claims whose whole text stands in what it was given."""
        texts = [" ".join((one.text or "").split()) for one in self.invocations]
        heads: dict[str, list[int]] = {}
        for at, text in enumerate(texts):
            if len(text) >= TEXT_LEAST:
                heads.setdefault(text[:TEXT_LEAST], []).append(at)
        if not heads:
            return {}
        given = [self._given(one) for one in self.invocations]
        matched = pl.Series(given, dtype=pl.String).str.extract_many(list(heads), overlapping=True)
        found: dict[int, list[int]] = {}
        work = 0
        for at, here in enumerate(matched.to_list()):
            latest: dict[str, int] = {}
            for head in set(here or ()):
                upto = bisect_left(heads[head], at)
                earlier = heads[head][max(upto - ALIKE_MAX, 0) : upto]
                work += len(earlier) * len(given[at])
                if work > WORK_MAX:
                    what = "too much text to find claims in what others were given"
                    raise InputError(
                        what, f"trace {printable(self.tree.trace.id, 80)}", "use --parents links or previous"
                    )
                latest |= {texts[claim]: claim for claim in earlier if texts[claim] in given[at]}
            if latest:
                found[at] = sorted(latest.values())
        return found

    def _given(self, one: Invocation) -> str:
        return "\n".join(" ".join(text.split()) for at in (one.number, *one.calls) for text in self._span(at).given)

    @cached_property
    def _ends(self) -> list[int]:
        return [self._order(one.number)[0] for one in self.invocations]

    @cached_property
    def _within(self) -> dict[int, int]:
        """The latest claim that was made within each invocation that has others within it."""
        found: dict[int, int] = {}
        for at, one in enumerate(self.invocations):
            for up in self.tree.line(one.number)[1:]:
                if up in self._place:
                    found[self._place[up]] = at
        return found

    def _before(self, at: int) -> int | None:
        """Return the claim that had been made last before an invocation began, or within it; None for the first."""
        start = self._span(self.invocations[at].number).span.start
        if not start:
            return at - 1 if at else None
        earlier = min(bisect_right(self._ends, start), at) - 1
        within = self._within.get(at, -1)
        last = max(earlier, within if within < at else -1)
        return last if last >= 0 else None

    # Events

    def rows(self, agents: Mapping[str, int]) -> Iterator[dict[str, Any]]:
        """Yield the events of the trace; the claim of an invocation is its place in the order of their ends."""
        subtasks = 0
        speakers = [agents[one.agent] for one in self.invocations]
        for at, one in enumerate(self.invocations):
            me, usage = speakers[at], self.usage(one)
            others = {speakers[p]: p for p in one.parents if speakers[p] != me}
            act = LabelledAct(str(at), tuple(str(p) for p in others.values()), text=one.text or "")
            kind = label(act, frozenset())
            yield {
                "round": at, "agent": me, "k": 0, "kind": kind, "claim": at, "parents": one.parents, "text": one.text,
                "target": min(others.values()) if kind == "contradict_claim" and others else None,
                "calls": self.n_calls(one), "tokens_in": usage.tokens_in, "tokens_cached": usage.tokens_cached,
                "tokens_out": usage.tokens_out, "label_source": "rule",
            }  # fmt: skip
            for k, number in enumerate(one.tools[:TOOLS_MAX], start=1):
                tool = self._span(number)
                place = {"round": at, "agent": me, "k": k, "label_source": "logged"}
                if tool.operation == "handoff" and (to := tool.handed_to) is not None:
                    yield place | {
                        "kind": "delegate_subtask",
                        "target": agents[to],
                        "subtask": subtasks,
                        "text": tool.result,
                    }
                    subtasks += 1
                else:
                    yield place | {"kind": "tool_call", "answer": tool.call, "text": tool.result}
        last = max(len(self.invocations) - 1, 0)
        for k, number in enumerate(self.strays[:STRAYS_MAX]):
            usage = self._span(number).usage
            yield {
                "round": last, "agent": agents[NOBODY], "k": k, "kind": None, "calls": 1,
                "text": self._span(number).said, "tokens_in": usage.tokens_in, "tokens_cached": usage.tokens_cached,
                "tokens_out": usage.tokens_out, "label_source": "rule",
            }  # fmt: skip

    def agents(self) -> list[str]:
        """Return who acts or is handed something, in the order in which they come up."""
        found = dict.fromkeys(one.agent for one in self.invocations)
        for one in self.invocations:
            named = (self._span(at).handed_to for at in one.tools if self._span(at).operation == "handoff")
            found.update(dict.fromkeys(name for name in named if name is not None))
        if self.strays:
            found[NOBODY] = None
        return list(found)
