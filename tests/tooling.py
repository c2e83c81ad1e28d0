"""Tools for tests: one that writes, one that reads, one that misbehaves, each with a file of what it was asked."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from agentsoc.contracts.part import Slot
from agentsoc.contracts.tools import Effect, Tool
from agentsoc.scenario.model import Scenario
from tests.loose import register as register_families

WORD: dict[str, Any] = {
    "type": "object",
    "properties": {"word": {"type": "string", "maxLength": 40}},
    "required": ["word"],
    "additionalProperties": False,
}


class Noting(Tool):
    """Writes a word down, for good."""

    effect: ClassVar[Effect] = "write"

    kind: Literal["noting"] = "noting"
    where: str

    def arguments(self) -> Mapping[str, Any]:
        return WORD

    def call(self, arguments: Mapping[str, Any]) -> str:
        written = os.open(self.where, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(written, f"{arguments['word']}\n".encode())
        os.close(written)
        return f"noted {arguments['word']}"


class Peeking(Noting):
    """Gives the length of a word, and notes that it was asked."""

    effect: ClassVar[Effect] = "read"

    kind: Literal["peeking"] = "peeking"  # type: ignore[assignment]

    def call(self, arguments: Mapping[str, Any]) -> str:
        super().call(arguments)
        return str(len(arguments["word"]))


class Odd(Tool):
    """Does what its word says: raise, hang, flood, exit, look like a failure."""

    effect: ClassVar[Effect] = "pure"

    kind: Literal["odd"] = "odd"

    def arguments(self) -> Mapping[str, Any]:
        return WORD

    def call(self, arguments: Mapping[str, Any]) -> Any:
        match arguments["word"]:
            case "raise":
                raise RuntimeError("x" * 10_000)
            case "exit":
                raise SystemExit(3)
            case "hang":
                time.sleep(5)
            case "flood":
                return "y" * 50_000_000
            case "fake":
                return "error: not really"
            case "set":
                return {1, 2}
        return {"said": arguments["word"]}


def register() -> None:
    """Make tools and families known to scenarios in this process."""
    register_families()
    for tool in (Noting, Peeking, Odd):
        Slot.register(tool)


def lines(where: Path) -> list[str]:
    """Return what a tool noted."""
    return where.read_text().splitlines() if where.exists() else []


def noted(where: Path, peeks: Path, **changes: Any) -> Scenario:
    """Return a society of three that debates, each turn with a word looked at, two more with one noted, an answer."""
    register()
    model = {
        "kind": "scripted",
        "accuracy": 0.8,
        "uses_tools": [
            [{"tool": "peeking", "arguments": {"word": "peek-{task}-{agent}"}}],
            [
                {"tool": "noting", "arguments": {"word": "{task}-{agent}-{result}"}},
                {"tool": "calculator", "arguments": {"expression": "{agent}+1"}},
            ],
        ],
    }
    tools = [{"kind": "noting", "where": str(where)}, {"kind": "peeking", "where": str(peeks)}, "calculator"]
    return Scenario.model_validate(
        {
            "name": "noted",
            "seed": 11,
            "tasks": {"kind": "coin", "count": 3},
            "agents": {"count": 3, "model": model, "tools": tools},
            "topology": "decentralized",
            "protocol": {"kind": "debate", "rounds": 2},
            "calls": {"backoff_s": 0.0},
            **changes,
        }
    )
