"""`python`: runs a program that an agent wrote, in the sandbox of `agentsoc.sandbox`, never in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from agentsoc.contracts.tools import Effect, Tool, ToolError, ToolSession, ToolSpec
from agentsoc.sandbox import CODE_MAX, Sandbox, SandboxError


class PythonCode(Tool):
    """Runs Python without files, network, processes or packages; each call begins anew. Needs the extra `sandbox`."""

    effect: ClassVar[Effect] = "pure"

    kind: Literal["python"] = "python"
    time_s: float = Field(default=5.0, gt=0, le=120)
    """Time limit of a program (seconds)."""
    memory_mb: int = Field(default=64, ge=8, le=2_048)
    """Memory of a program (MB)."""
    processes: int = Field(default=2, ge=1, le=16)
    """Programs that run at once (child processes)."""

    def describe(self) -> str:
        """Return what it does."""
        return (
            "Runs a Python program and gives what it prints and the value of its last line. No files, network or "
            f"packages beyond the standard ones; {self.time_s:g} s at most; nothing is kept between calls."
        )

    def arguments(self) -> Mapping[str, Any]:
        """Return the schema of its one argument."""
        return {
            "type": "object",
            "properties": {"code": {"type": "string", "maxLength": CODE_MAX}},
            "required": ["code"],
            "additionalProperties": False,
        }

    def open(self) -> ToolSession:
        """Return a session with a sandbox of its own."""
        return _Running(self)


class _Running(ToolSession):
    def __init__(self, tool: PythonCode) -> None:
        self._spec = tool.spec()
        self._sandbox = Sandbox(time_s=tool.time_s, memory=tool.memory_mb << 20, processes=tool.processes)
        self.at_once = tool.processes

    def specs(self) -> Sequence[ToolSpec]:
        return (self._spec,)

    async def call(self, name: str, arguments: Mapping[str, Any], timeout_s: float) -> str:
        try:
            return await asyncio.to_thread(self._sandbox.run, arguments["code"])
        except SandboxError as error:
            raise ToolError(error.kind, error.message) from None

    async def close(self) -> None:
        await asyncio.to_thread(self._sandbox.close)
