"""In which words is a small model to be asked? A pilot of forms and orders, one call a task, answers checked.

Run: ``python -m benchmarks.study_wording [--model qwen2.5-coder-0.5b] [--tasks 24] [--only alone,shown,agreed]`` (about
half a minute a wording on a free core; prints a table in Markdown). ``alone`` asks sums and products without claims;
``shown`` shows a right and a wrong claim in random order to an agent that was wrong itself; ``agreed`` shows two right
claims to an agent that was right, at temperature 0, so that whoever does not repeat the answer has been confused.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from agentsoc.backends.local import Local
from agentsoc.contracts.model import Backend, Message, Request
from agentsoc.contracts.task import Task
from agentsoc.society.reply_form import NUMBER
from agentsoc.tasks.arithmetic import Arithmetic
from benchmarks.influence import handles_of

Order = Callable[[str, str, str, str], str]
_ANSWER: Final[dict[str, Any]] = {"type": "string", "pattern": NUMBER}
_WHY: Final[dict[str, Any]] = {"type": "string", "maxLength": 80}
_HANDLES: Final[dict[str, Any]] = {
    "type": "array", "items": {"enum": ["#1", "#2", "none"]}, "minItems": 1, "maxItems": 2,
}  # fmt: skip
_LINES: Final = tuple(f"<number> {end}" for end in ("#1", "not #1", "#2", "not #2", "none"))
_FIRST: Final = (
    "Answer with a number. Then say on the same line what it rests on: ANSWER #i if line i convinced you, "
    "ANSWER not #i if line i is wrong, ANSWER none if you used none of them."
)
_NOW: Final = (
    "Answer with a number and, on the same line, what it rests on: #i if line i convinced you, not #i if line i "
    "is wrong, none if you used none of them."
)
_QUOTED: Final = 'Reply with one JSON object: {"answer": "a number", "why": "one sentence", "confidence": 0 to 1}'
_KEYS: Final = (
    'Reply with one JSON object that has the keys "answer" (a number), "uses" (a list of the lines that convinced '
    'you, each as # and its number, or of "none"), "disputes" (a list of the lines that are wrong, in the same way), '
    '"why" (one sentence), "confidence" (0 to 1).'
)


class Wording(NamedTuple):
    """One way to ask."""

    form: str
    properties: dict[str, Any] | None = None
    lines: tuple[str, ...] = ()
    tokens: int = 16
    order: str = "claims first"


ALONE: Final = {
    "short": Wording("Answer with a number."),
    "JSON, a form with quotes": Wording(_QUOTED, {"answer": _ANSWER, "why": _WHY}, tokens=12),
    "JSON, the same without quotes": Wording(
        _QUOTED.replace('"a number"', "a number"), {"answer": {"type": "number"}, "why": _WHY}, tokens=12
    ),
    "JSON, keys in words": Wording(
        'Reply with one JSON object that has the keys "answer" (a number), "why" (one sentence), '
        '"confidence" (0 to 1).',
        {"answer": _ANSWER, "why": _WHY},
        tokens=12,
    ),
}
SHOWN: Final = {
    "nothing but the question": Wording(""),
    "number alone": Wording("Answer with a number."),
    "short, first words, grammar": Wording(_FIRST, lines=_LINES),
    "short, words of today, grammar": Wording(_NOW, lines=_LINES),
    "the same, question first": Wording(_NOW, lines=_LINES, order="question first"),
    "the same, question last": Wording(_NOW, lines=_LINES, order="question last"),
    "short, words of today, no grammar": Wording(_NOW),
    "JSON, keys in words": Wording(_KEYS, {"answer": _ANSWER, "uses": _HANDLES, "disputes": _HANDLES}, tokens=40),
}
AGREED: Final = {
    "one message, number alone": Wording("Answer with a number."),
    "one message, words of today, grammar": Wording(_NOW, lines=_LINES),
    "own reply as a message, then claims, question, form": Wording(_NOW, lines=_LINES, order="messages"),
    "own reply as a message, then claims and form": Wording(_NOW, lines=_LINES, order="messages, asked once"),
}
PARTS: Final = {"alone": ALONE, "shown": SHOWN, "agreed": AGREED}
_ORDERS: Final[dict[str, Order]] = {
    "claims first": lambda claims, own, question, form: f"{claims}\n\n{own}\n\n{question}\n\n{form}".strip(),
    "question first": lambda claims, own, question, form: f"{question}\n\n{own}\n\n{claims}\n\n{form}",
    "question last": lambda claims, own, question, form: f"{claims}\n\n{own}\n\n{form}\n\n{question}",
}


def asked(wording: Wording, task: Task, part: str) -> Request:
    """Return the request of a wording for a task; the same claims for every wording."""
    user = f"{task.question}\n\n{wording.form}"
    before: tuple[Message, ...] = ()
    if part == "agreed":
        claims = f"Others said:\n#1 agent 1: {task.truth}\n#2 agent 2: {task.truth}"
        own = f"You said before:\n{task.truth}"
        if wording.order.startswith("messages"):
            first = Message("user", f"{task.question}\n\nAnswer with a number.")
            before, own = (first, Message("assistant", task.truth)), ""
        question = "" if wording.order.endswith("asked once") else task.question
        user = "\n\n".join(text for text in (claims, own, question, wording.form) if text)
    elif part == "shown":
        rng, truth = random.Random(task.index), int(task.truth)
        said = [task.truth, str(truth + rng.choice([-30, -10, -2, 2, 10, 30, 100]))]
        rng.shuffle(said)
        own = f"You said before:\n{truth + rng.choice([-30, -10, -2, 2, 10, 30, 100])}"
        claims = f"Others said:\n#1 agent 1: {said[0]}\n#2 agent 2: {said[1]}"
        user = _ORDERS[wording.order](claims, own, task.question, wording.form)
    schema: dict[str, Any] = {"type": "object", "properties": wording.properties or {}, "additionalProperties": False}
    schema["required"] = list(wording.properties or ())
    return Request(
        (Message("system", "You are agent 0 of 3."), *before, Message("user", user)),
        wording.tokens, 0.0 if part == "agreed" else 0.8, 1000 + task.index, wording.lines,
        json.dumps(schema) if wording.properties else None,
    )  # fmt: skip


async def row(backend: Backend, name: str, wording: Wording, tasks: list[Task], part: str) -> str:
    """Return the row of one wording."""
    right, says, shown = 0, 0, part != "alone"
    for task in tasks:
        said = (await backend.complete(asked(wording, task, part))).text
        right += task.truth in said.replace('"', " ").replace(",", " ").replace("=", " ").split()
        says += handles_of(said, "json" if wording.properties else "short", 2)[2]
    return f"| {name} | {right} of {len(tasks)} | {f'{says} of {len(tasks)}' if shown else '-'} |"


async def study(model: Local, n: int, parts: list[str]) -> None:
    """Print the rows of the parts as they come."""
    backend = model.open(seed=1)
    await backend.start()
    try:
        tasks = [Arithmetic().make(11, index) for index in range(n)]
        for part in parts:
            print(f"\n| {part} | right | says what it rests on |\n|---|---|---|")
            for name, wording in PARTS[part].items():
                print(await row(backend, name, wording, tasks, part), flush=True)
    finally:
        await backend.close()


def main() -> int:
    """Carry out what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b", help="a model's name or file; - for the embedded one")
    parser.add_argument("--tasks", type=int, default=24)
    parser.add_argument("--only", default="alone,shown,agreed")
    told = parser.parse_args()
    file = None if told.model == "-" else Path(told.model)
    asyncio.run(study(Local(file=file, servers=1), told.tasks, told.only.split(",")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
