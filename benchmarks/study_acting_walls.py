"""Do calls, tokens and money stay behind their walls, whatever agents call? Random sequences of actions, many hostile.

Run: ``python -m benchmarks.study_acting_walls [--episodes 10000]`` (ten minutes on two cores; prints a table in
Markdown, exits with 1 when a wall was passed, an episode did not end, or a call ended in no known way).

An episode is one agent's sequence of steps, drawn by a seed: right calls, tools that are not there, arguments of every
wrong kind (no object, too deep, too long, no JSON, what a schema forbids), tools that raise, exit, hang, give 50 MB,
something that is no text, or a text that looks like a failure; too many calls in a reply. Each batch has other ceilings
in calls of tools, tokens and money. What is charged is added up from the log and compared with the ceilings; a tenth
of the runs is replayed as well.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from agentsoc.backends.scripted import Scripted, ScriptedBackend
from agentsoc.contracts.model import Completion, Request, Usage
from agentsoc.contracts.part import Slot
from agentsoc.contracts.tools import Effect, Tool
from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from agentsoc.scenario.model import Scenario
from agentsoc.streams import uniform

STEPS: Final = 4
BATCH: Final = 250
KINDS: Final = ("unknown_tool", "bad_arguments", "timeout", "error", "refused", "lost", "limit")
PRICE: Final = 0.25
"""Of a call of a tool; in the currency of the scenario."""


class Wild(Tool):
    """Does what its word says."""

    effect: ClassVar[Effect] = "pure"

    kind: Literal["wild"] = "wild"

    def arguments(self) -> Mapping[str, Any]:
        return {
            "type": "object",
            "properties": {
                "word": {"type": "string", "maxLength": 40},
                "n": {"type": "integer", "minimum": 0, "maximum": 9},
            },
            "required": ["word"],
            "additionalProperties": False,
        }

    def call(self, arguments: Mapping[str, Any]) -> Any:
        match arguments["word"]:
            case "raise":
                raise RuntimeError("x" * 100_000)
            case "exit":
                raise SystemExit(3)
            case "interrupt":
                raise KeyboardInterrupt
            case "hang":
                time.sleep(1.0)
            case "flood":
                return "y" * 50_000_000
            case "set":
                return {object()}
            case "nan":
                return float("nan")
            case "fake":
                return "limit: not really"
            case "ugly":
                return "\x00\ud800\u202e\x1b[2J"
            case "none":
                return None
            case "deep":
                value: Any = []
                for _ in range(100_000):
                    value = [value]
                return value
        return {"said": arguments["word"]}


WORDS: Final = ("a", "b", "fake", "ugly", "none", "nan", "raise", "exit", "interrupt", "set")
RARE: Final = {"hang": 0.03, "flood": 0.015, "deep": 0.005}
"""Words that cost time or memory (a time-out, a result of 50 MB, a value nested too deep), and their share of calls."""
BAD: Final[tuple[Any, ...]] = (
    *("no object", None, 3, [], [1], True, {}, {"word": 3}, {"word": None}, {"word": "x" * 41}, {"n": 3}),
    *({"word": "a", "n": -1}, {"word": "a", "n": 1.5}, {"word": "a", "n": 10**400}, {"word": "a", "more": 1}),
    *({"word": ["a"]}, {"word": {"word": "a"}}, {"Word": "a"}, {"word": "a", "__class__": "x"}, {"": ""}),
)
TEXTS: Final = (
    *('{"calls": [', '{"calls": {}}', '{"calls": [[]]}', '{"calls": [null]}', '{"calls": [{"tool": 3}]}', "[" * 5_000),
    *('{"calls": [{"tool": "wild", "arguments": "' + "[" * 5_000 + '"}]}', "\x00", "", '{"answer": {"calls": []}}'),
    *('{"calls": []}', '{"calls": "all"}', '{"calls": [{"arguments": {}}]}', '{"calls": 1e999}', "calls: wild"),
)


class Drawn(Scripted):
    """Draws what it calls, and how wrongly, from the seed; sometimes it answers."""

    kind: Literal["drawn"] = "drawn"  # type: ignore[assignment]

    def open(self, *, seed: int, share: int = 1) -> ScriptedBackend:
        return DrawnBackend(self, seed)


class DrawnBackend(ScriptedBackend):
    async def complete(self, request: Request) -> Completion:
        hint = request.hint
        assert hint is not None
        rng = random.Random(uniform(self.seed, "drawn", hint.task, hint.round, hint.agent, hint.attempt))
        if rng.random() < 0.2:
            return await super().complete(request)
        if rng.random() < 0.15:
            text = rng.choice(TEXTS)
        else:
            text = json.dumps({"calls": [_call(rng) for _ in range(rng.choice([1, 1, 1, 2, 2, 3, 8, 9]))]})
        return Completion(text, Usage(self.count(request), 0, min(rng.randint(1, 40), request.max_tokens)), "stop")


def _call(rng: random.Random) -> dict[str, Any]:
    tool = rng.choice(["wild", "wild", "wild", "wild", "calculator", "nowhere", "", "wild\x00", "x" * 500, "Wild"])
    if tool == "calculator":
        return {"tool": tool, "arguments": {"expression": rng.choice(["1+1", "9**9**9", "1/0", "(" * 400, "__a__"])}}
    if rng.random() < 0.4:
        return {"tool": tool, "arguments": rng.choice(BAD)}
    (word,) = rng.choices((None, *RARE), (1 - sum(RARE.values()), *RARE.values()))
    return {"tool": tool, "arguments": {"word": word or rng.choice(WORDS)}}


def batch(number: int, episodes: int) -> Scenario:
    """Return a society of one or three agents and its ceilings."""
    rng = random.Random(number)
    budget: dict[str, Any] = {}
    if rng.random() < 0.8:
        budget["tool_calls_per_task"] = rng.randint(1, 12)
    if rng.random() < 0.7:
        budget["tokens_per_task"] = rng.randint(300, 4_000)
    if rng.random() < 0.6:
        budget["money_per_task"] = rng.choice([0.3, 0.6, 1.1, 2.7])
    return Scenario.model_validate(
        {
            "name": "walls",
            "seed": number,
            "tasks": {"kind": "sentiment", "count": episodes},
            "agents": {
                "count": rng.choice([1, 1, 3]),
                "max_tokens": 40,
                "model": "drawn",
                "tools": ["wild", "calculator"],
                "tool_use": {"steps": STEPS, "timeout_s": 0.2, "result_tokens": 20, "calls": rng.choice([1, 2, 4])},
            },
            "topology": "independent",
            "protocol": "vote",
            "budget": budget or None,
            "prices": {"drawn": {"input": 100, "output": 200}, "tool:wild": {"call": PRICE}},
            "calls": {"backoff_s": 0.0, "attempts": 2},
        }
    )


class Found:
    """What all batches came to."""

    def __init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self.at_the_wall: Counter[str] = Counter()
        self.large = 0
        """Results that were 50 MB before they were cut."""
        self.episodes = 0
        self.faults: list[str] = []

    def add(self, number: int, scenario: Scenario, where: Path) -> None:
        """Run a batch and compare what it took with its ceilings."""
        try:
            done = run(scenario, where)
        except BaseException as error:
            self.faults.append(f"batch {number}: {type(error).__name__}: {str(error)[:200]}")
            return
        made: Counter[int] = Counter()
        for event in done.events():
            if event.kind != "tool_call":
                continue
            head = (event.text or "").partition(":")[0]
            kind = head if head in KINDS else "result"
            self.ends[kind] += 1
            made[event.task] += kind != "limit"
            self.large += kind == "result" and '"word":"flood"' in (event.answer or "")
            if len(event.text or "") > 400:
                self.faults.append(f"batch {number}: a result of {len(event.text or ''):,} characters")
        rows, budget = done.episodes(), scenario.budget
        assert rows is not None
        for row in rows.iter_rows(named=True):
            self.episodes += 1
            if budget is None:
                continue
            found = {
                "tool calls": (made[row["task"]], budget.tool_calls_per_task),
                "tokens": (row["charged"], budget.tokens_per_task),
                "money": ((row["cost"] or 0) / 10**12, budget.money_per_task),
            }
            for name, (spent, ceiling) in found.items():
                if ceiling is None:
                    continue
                if spent > ceiling * (1 + 1e-9):
                    self.faults.append(f"batch {number}, task {row['task']}: {spent} {name}, at most {ceiling}")
                self.at_the_wall[name] += spent > 0.8 * ceiling
        if number % 10 == 0 and replay(where).digest != done.manifest.digest:
            self.faults.append(f"batch {number}: replay gives something else")

    def figures(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        ends = {kind: self.ends[kind] for kind in ("result", *KINDS)}
        near = dict(sorted(self.at_the_wall.items()))
        return {"episodes": self.episodes, "ends": ends, "large": self.large, "near": near, "faults": len(self.faults)}


def register() -> None:
    """Make the tool and the model known to scenarios in this process."""
    Slot.register(Wild)
    Slot.register(Drawn)


def main() -> int:
    """Run as many episodes as asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=None, help="file for the figures (JSON), written after each batch")
    told = parser.parse_args()
    register()
    found, number = Found(), 0
    with tempfile.TemporaryDirectory(prefix="walls") as home:
        while number * BATCH < told.episodes:
            found.add(number, batch(number, min(BATCH, told.episodes - number * BATCH)), Path(home) / str(number))
            number += 1
            print(f"{found.episodes} episodes, {len(found.faults)} faults", flush=True)
            if told.out is not None:
                told.out.write_text(json.dumps(found.figures(), indent=1) + "\n")
    print("| how calls ended | calls |\n| --- | --- |")
    print("\n".join(f"| {kind} | {found.ends[kind]:,} |" for kind in ("result", *KINDS)))
    print(f"of the results {found.large:,} were 50 MB before they were cut")
    print(f"within a fifth of the wall: {dict(found.at_the_wall)} of {found.episodes} episodes")
    print(f"{len(found.faults)} faults", *found.faults[:50], sep="\n")
    return bool(found.faults)


if __name__ == "__main__":
    sys.exit(main())
