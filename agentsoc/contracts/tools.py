"""A `Tool` is something that an agent may call before it answers; it opens a `ToolSession`, which makes the calls.

A tool holds no state of its own: what agents change together belongs in an environment, or behind a tool whose effect
is ``write``. A call ends in a text or in a `ToolError` whose kind says what became of it; whatever else a tool raises
is told to the agent as an ``error`` and ends no episode.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

import msgspec

from agentsoc.contracts.address import Destination
from agentsoc.contracts.part import Part, Slot

Effect = Literal["pure", "read", "write"]
"""What a call does: a function of its arguments alone; reads what may change; changes something. A call that writes is
never made twice; a tool of which it is not known is taken to write."""

ToolFailure = Literal[
    "unknown_tool",  # no tool of that name is offered to the agent
    "bad_arguments",  # they do not fit the schema
    "timeout",  # no result within the time limit
    "error",  # the tool raised, or its server is gone
    "refused",  # a policy forbids the call
    "lost",  # it may have been made before a crash; a call that writes is not made again
    "limit",  # the agent has no further call in this step, or the budget in calls is spent
]

ERROR_CHARACTERS: Final = 200
"""Length to which the message of a failure is cut (characters)."""


class ToolError(Exception):
    """A call that gave no result."""

    def __init__(self, kind: ToolFailure, message: str) -> None:
        super().__init__(kind, message)
        self.kind, self.message = kind, message

    def __str__(self) -> str:
        return f"{self.kind}: {' '.join(self.message.split())[:ERROR_CHARACTERS]}"


class ToolSpec(msgspec.Struct, frozen=True):
    """What an agent is told of a tool, and how the engine treats its calls."""

    name: str
    """At most 64 letters, digits, dots, dashes and underscores; unique among the tools of an agent."""
    description: str
    """What it does, in words for the agent."""
    schema: Mapping[str, Any]
    """JSON Schema of the arguments: of an object."""
    effect: Effect = "write"
    """What a call does; by default it counts as a change, which is never made twice."""


class ToolSession(ABC):
    """Open tools of one part, used by many agents at once; closed once, also after a failed start."""

    at_once: int = 64
    """Calls that it can make at once (calls); further ones wait, and their time limit begins after that."""

    async def start(self) -> None:  # noqa: B027
        """Start what is needed. Raises `BackendSetupError` when it cannot."""

    @abstractmethod
    def specs(self) -> Sequence[ToolSpec]:
        """Return the tools that can be called, once started."""

    @abstractmethod
    async def call(self, name: str, arguments: Mapping[str, Any], timeout_s: float) -> str:
        """Return the result of one call, as text. Raises `ToolError` for a call that gave none."""

    async def close(self) -> None:  # noqa: B027
        """Release everything."""


class Tool(Part):
    """A tool in a scenario; an entry of the ``tools`` of a group of agents.

    A subclass gives ``kind``, `effect`, `describe`, `arguments` and `call`. `call` runs in a thread of its own and may
    take its time; it is given arguments that fit the schema and returns a text, or what can be written as JSON. A part
    that brings several tools, or has to start something, gives an `open` of its own instead.
    """

    slot: ClassVar[str] = "agentsoc.tools"
    effect: ClassVar[Effect] = "write"

    quick: ClassVar[bool] = False
    """Whether every call takes no more than milliseconds, whatever its arguments, so that no thread is made for it."""

    kind: str
    name: str = ""
    """What agents call it; the kind when empty."""

    later: ClassVar[frozenset[str]] = frozenset({"name"})

    def describe(self) -> str:
        """Return what the tool does, for the agent, in a sentence or two."""
        return self.kind

    def arguments(self) -> Mapping[str, Any]:
        """Return the JSON Schema of the arguments; by default there are none."""
        return {"type": "object", "properties": {}, "additionalProperties": False}

    def call(self, arguments: Mapping[str, Any]) -> Any:
        """Return the result of a call: a text, or a JSON value. Raise `ToolError`, or anything, when there is none."""
        raise NotImplementedError

    def spec(self) -> ToolSpec:
        """Return what an agent is told of the tool."""
        return ToolSpec(self.name or self.kind, self.describe(), self.arguments(), self.effect)

    def program(self) -> Destination | None:
        """Return the program that it starts, as something that has to be agreed to; None, the default, for none."""
        return None

    def offered(self) -> Sequence[ToolSpec]:
        """Return the tools that it brings, as far as they are known without starting anything."""
        return (self.spec(),)

    def open(self) -> ToolSession:
        """Return a session that is not started yet."""
        return CalledInThread(self)


TOOLS: Slot[Tool] = Slot("agentsoc.tools", "tool")
"""The tools that scenarios can name: their classes by kind, and `parse`, which makes one from a block."""

_encode = msgspec.json.Encoder().encode


def result_text(value: Any) -> str:
    """Return the result of a call as text: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else _encode(value).decode()


def fault_text(error: BaseException) -> str:
    """Return what an exception of somebody else's code says; its name alone when it cannot say it."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def _as_tool_error(error: BaseException) -> ToolError:
    return error if isinstance(error, ToolError) else ToolError("error", fault_text(error))


class CalledInThread(ToolSession):
    """Calls a tool's `call`, each in a thread that ends with the process: one that hangs is left behind."""

    def __init__(self, tool: Tool) -> None:
        self._tool = tool
        self._spec = tool.spec()
        self.immediate = tool.quick
        """Whether a call has its result at once, without a thread and without waiting for anything."""
        self._context = contextvars.copy_context()  # files are found where they were when it was opened

    def specs(self) -> Sequence[ToolSpec]:
        """Return the one tool."""
        return (self._spec,)

    def now(self, arguments: Mapping[str, Any]) -> str:
        """Make the call of a tool whose calls are immediate."""
        try:
            return result_text(self._tool.call(arguments))
        except (Exception, SystemExit, asyncio.CancelledError) as fault:
            raise _as_tool_error(fault) from None

    async def call(self, name: str, arguments: Mapping[str, Any], timeout_s: float) -> str:
        """Make the call."""
        if self.immediate:
            return self.now(arguments)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[str] = loop.create_future()

        def tell(result: str | None, error: BaseException | None) -> None:
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result or "")

        def work() -> None:
            result, error = None, None
            try:
                result = result_text(self._context.copy().run(self._tool.call, arguments))
            except BaseException as fault:  # whatever a tool raises is its own failure, never the run's
                error = _as_tool_error(fault)
            try:
                loop.call_soon_threadsafe(tell, result, error)
            except RuntimeError:  # the loop has ended meanwhile: nobody waits for the result
                return

        threading.Thread(target=work, name=f"tool {name}", daemon=True).start()
        try:
            return await asyncio.wait_for(done, timeout_s)
        except TimeoutError:
            raise ToolError("timeout", f"no result within {timeout_s:g} s") from None
