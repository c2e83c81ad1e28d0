"""`solver`: a model that reads its prompt, works it out, and makes mistakes of the kinds that it is told to make.

It knows two languages: the sheets of `axes` and the catalogues of `library`. Unlike `scripted` it is never told the
answer: what it says follows from what stands in its prompt, so an agent that is not shown a fact cannot use it. With
all rates at 0 it is the optimal policy of these families; the rates make it a noisy one. What is neither it guesses.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from typing import Any, ClassVar, Final, Literal

import msgspec
from pydantic import Field

from agentsoc.backends.scripted import Scripted, ScriptedBackend
from agentsoc.backends.solver_prompts import most_calls, question_in, results_in
from agentsoc.contracts.address import Destination
from agentsoc.contracts.model import ActHint, CallError, Completion, Hint, Model, Request, Usage
from agentsoc.puzzles.shelves import NOT_HERE, entries, holders_in, look_up, steps_asked, walked
from agentsoc.puzzles.worksheet import MODULUS, Mistake, Sheet, sheets_in, worked_out
from agentsoc.puzzles.worksheet_calls import due_after, expression
from agentsoc.streams import uniform

_SAMPLES: Final = 1 << 13
"""Draws that one call may take for one purpose."""
_SHEET: Final = 1 << 8


class Solver(Model):
    """Reads sheets and catalogues in prompts and works them out, with seeded mistakes."""

    reply_form: ClassVar[str] = "json"

    kind: Literal["solver"] = "solver"
    slip: float = Field(default=0.0, ge=0, le=1)
    """Probability that a step, or an entry that is looked up, comes out wrong (depth)."""
    span: int = Field(default=0, ge=0, le=100)
    """Results before the last one that are remembered for certain (results)."""
    forget: float = Field(default=0.0, ge=0, le=1)
    """Probability of losing a result for each place that it lies beyond `span` (horizon)."""
    miss: float = Field(default=0.0, ge=0, le=1)
    """Probability that a fact is read wrong (breadth)."""
    gullible: float = Field(default=0.0, ge=0, le=1)
    """Probability that a piece of hearsay is taken for a fact (robustness)."""
    stamina: int = Field(default=1_000, ge=0, le=1_000_000)
    """Facts and steps of one call that are done with care (operations)."""
    tired: float = Field(default=0.0, ge=0, le=1)
    """What is added to `slip` and `miss` for every operation beyond `stamina`: long work is done worse."""
    shared: float = Field(default=0.0, ge=0, le=1)
    """Probability that the mistakes on a sheet are the same for everybody and every time."""
    later: ClassVar[frozenset[str]] = frozenset({"calculates"})
    calculates: bool = False
    """Whether sums of sheets are put to the tool `calculator`, which never slips; each number that is put to it may be
    misread (`miss`), and what it could not be asked any more is worked out without it."""

    def destinations(self) -> tuple[Destination, ...]:
        """Return nothing: prompts are read in the process."""
        return ()

    def open(self, *, seed: int, share: int = 1) -> SolverBackend:
        """Return the solver of the run with `seed`."""
        return SolverBackend(self, seed)

    def counting(self) -> str:
        """Return that it counts words, as its usage does."""
        return "exact"


class SolverBackend(ScriptedBackend):
    """Works prompts out; how a reply is put into its form is what `scripted` does."""

    def __init__(self, model: Solver, seed: int) -> None:
        super().__init__(Scripted(), seed)
        self.solver = model
        self._reports = ScriptedBackend(Scripted(cites="all"), seed)
        """What builds on all findings that it is shown, since they lead from one to the next."""

    def identity(self) -> dict[str, Any]:
        """Return the settings."""
        return {"kind": "solver", **self.solver.model_dump(mode="json", exclude={"kind"})}

    async def complete(self, request: Request) -> Completion:
        """Work one prompt out."""
        hint = request.hint
        if hint is None:
            raise CallError("rejected", "the solver answers turns of a society, not bare prompts")
        question = question_in(request, hint)
        calls, known = self._put(request, question, hint)
        if calls:
            return self._capped(request, json.dumps({"calls": calls}))
        answer, work = self._said(question, hint, known)
        asked = steps_asked(question)
        told = msgspec.structs.replace(request, hint=msgspec.structs.replace(hint, truth=answer))
        done = await (super().complete(told) if asked is None else self._reports.complete(told))
        usage = Usage(done.usage.tokens_in, 0, min(done.usage.tokens_out + work, request.max_tokens))
        text = done.text if asked is None else self._found(question, asked, hint, answer, done.text)
        return Completion(text, usage, done.finish)

    def _put(self, request: Request, question: str, hint: Hint) -> tuple[list[dict[str, Any]], list[list[int]]]:
        """Return the calls of the calculator that are due, and the results of each sheet that it has given."""
        if not self.solver.calculates or not isinstance(hint, ActHint) or not (hint.calls or hint.step):
            return [], []
        sheets = sheets_in(question)
        if _taken(hint) is not None:
            return [], []
        due, known = due_after(sheets, results_in(request, hint), most_calls(request))
        if not hint.calls:
            return [], known
        mind = _Mind(self.solver, self.seed, hint)
        put = [expression(sheets[number], known[number], mind.on(number, sheets[number])) for number in due]
        return [{"tool": "calculator", "arguments": {"expression": each}} for each in put], known

    def _capped(self, request: Request, text: str) -> Completion:
        """Return a text as a completion, cut at the output cap."""
        words = text.split()
        cut = len(words) > request.max_tokens
        usage = Usage(self.count(request), 0, min(len(words), request.max_tokens))
        return Completion(" ".join(words[: request.max_tokens]) if cut else text, usage, "length" if cut else "stop")

    def _found(self, text: str, asked: tuple[str, list[str]], hint: Hint, answer: str, said: str) -> str:
        """Return the reply about catalogues: a lead's next question or judgement, or a finding with its reason."""
        if hint.purpose in ("plan", "guide"):
            return self._asks_on(text, asked, hint)
        if hint.purpose == "judge":
            return json.dumps({"stop": walked(entries(text), *asked)[1] == len(asked[1])})
        if hint.purpose == "work":
            return _explained(said, f"{asked[0]} leads to {answer}" if answer != NOT_HERE else answer)
        return said

    def _said(self, text: str, hint: Hint, known: list[list[int]]) -> tuple[str, int]:
        """Return the answer that the agent comes to, and what it took (operations).

        Whoever is shown an answer that at least two gave takes it; a merge takes the one that most gave. Of each sheet
        the results that are `known` are not worked out again.
        """
        if (asked := steps_asked(text)) is not None:
            return self._looked_up(text, asked, hint)
        if (taken := _taken(hint)) is not None:
            return taken, 1
        sheets = sheets_in(text)
        if not sheets:  # a language that it does not read
            return hint.options[int(self._draw("guess", hint) * len(hint.options))] if hint.options else "0", 0
        mind = _Mind(self.solver, self.seed, hint)
        given = known or [[] for _ in sheets]
        results = [
            worked_out(sheet, mind.on(number, sheet), had)
            for number, (sheet, had) in enumerate(zip(sheets, given, strict=True))
        ]
        return str(sum(results)), mind.done

    def _looked_up(self, text: str, asked: tuple[str, list[str]], hint: Hint) -> tuple[str, int]:
        """Return how far the entries in the prompt lead; a slip is another name of the same kind."""
        pairs = entries(text)
        name, taken = walked(pairs, *asked)
        if taken < len(asked[1]):
            if not hint.options:
                return NOT_HERE, taken
            place = int(self._draw("guess", hint) * len(hint.options))
            return hint.options[place], taken
        if hint.purpose == "work" and self._draw("slip", hint) < self.solver.slip:
            others = sorted({value for value in pairs.values() if value != name})
            name = others[int(self._draw("other", hint) * len(others))] if others else name
        return name, taken

    def _asks_on(self, text: str, asked: tuple[str, list[str]], hint: Hint) -> str:
        """Return a lead's question: the look-up that is due, to whoever has it; at the end, the last one again."""
        name, taken = walked(entries(text), *asked)
        if taken == len(asked[1]):
            name, _ = walked(entries(text), asked[0], asked[1][:-1])
        subject = asked[1][min(taken, len(asked[1]) - 1)]
        holder = holders_in(text).get(subject, hint.targets[0] if hint.targets else 0)
        return json.dumps({"subtasks": [{"to": holder, "task": look_up(name, subject)}], "why": f"step {taken + 1}"})


def _taken(hint: Hint) -> str | None:
    """Return the answer of others that an agent takes; None where it works the question out itself."""
    stated = [answer for answer in hint.shown if answer is not None]
    leading = Counter(stated).most_common(1)
    if not leading or hint.purpose == "check" or (hint.purpose != "merge" and leading[0][1] < 2):
        return None
    return min(answer for answer in stated if stated.count(answer) == leading[0][1])


def _explained(text: str, why: str) -> str:
    """Return a reply in JSON that gives its reason; another reply as it is."""
    if not text.startswith("{"):
        return text
    try:
        return json.dumps({**json.loads(text), "why": why})
    except ValueError:  # cut at its cap
        return text


class _Mind:
    """The mistakes of one agent in one call."""

    def __init__(self, model: Solver, seed: int, hint: Hint) -> None:
        self.model, self.seed, self.hint = model, seed, hint
        self.done = 0
        """Operations so far."""

    def on(self, number: int, sheet: Sheet) -> Mistake:
        """Return the mistakes that are made on one sheet of a prompt."""
        model, hint = self.model, self.hint
        mark = zlib.crc32(repr(sheet).encode())
        common = bool(model.shared) and uniform(self.seed, "solver-shared", hint.task, 0, mark) < model.shared
        place_of = (hint.task, 0, mark) if common else (hint.task, hint.round, hint.agent)
        first = 0 if common else hint.k * _SAMPLES + number * _SHEET
        lost = 1 - (1 - model.forget) ** max(sheet.back - model.span, 0)
        self_ = self

        def mistake(kind: str, place: int, right: int, wrong: int | None) -> int:
            if kind in ("fact", "step"):
                self_.done += 1
            tired = model.tired if self_.done > model.stamina else 0.0
            rate = {
                "believe": model.gullible,
                "fact": model.miss + tired,
                "recall": lost,
                "step": model.slip + tired,
            }[kind]
            if not rate or uniform(self.seed, f"solver-{kind}", *place_of, draw=2 * (first + place)) >= rate:
                return right
            if wrong is not None:
                return wrong
            off = 1 + int(uniform(self.seed, f"solver-{kind}", *place_of, draw=2 * (first + place) + 1) * (MODULUS - 1))
            return (right + off) % MODULUS

        return mistake
