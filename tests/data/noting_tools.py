"""Two tools for runs that are killed: one writes a word down, one reads its length; both note that they were asked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from agentsoc.plugin import Tool


class Jotting(Tool):
    """Writes a word down, for good."""

    effect: ClassVar[Literal["pure", "read", "write"]] = "write"

    kind: Literal["jotting"] = "jotting"
    where: str
    """The file of words."""

    def arguments(self) -> Mapping[str, Any]:
        return {
            "type": "object",
            "properties": {"word": {"type": "string", "maxLength": 40}},
            "required": ["word"],
            "additionalProperties": False,
        }

    def call(self, arguments: Mapping[str, Any]) -> str:
        written = os.open(self.where, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(written, f"{arguments['word']}\n".encode())
        os.close(written)
        return f"noted {arguments['word']}"


class Glancing(Jotting):
    """Gives the length of a word, and notes that it was asked."""

    effect: ClassVar[Literal["pure", "read", "write"]] = "read"

    kind: Literal["glancing"] = "glancing"  # type: ignore[assignment]

    def call(self, arguments: Mapping[str, Any]) -> str:
        super().call(arguments)
        return str(len(arguments["word"]))
