"""`mcp`: the tools of a server that speaks the Model Context Protocol over its standard input and output.

A scenario names the program, so nothing is started unless whoever runs it has allowed that (``--allow-mcp``). What the
server says of itself is not trusted: its tools are taken to write, unless the scenario trusts its hints. A server that
dies makes its further calls fail with `error`, and the run goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TextIO

from pydantic import Field, StringConstraints, model_validator

from agentsoc.contracts.address import Destination
from agentsoc.contracts.tools import Tool, ToolError, ToolSession, ToolSpec
from agentsoc.errors import BackendSetupError, MissingExtraError
from agentsoc.scenario.files import BASE_DIR, resolve

_TOOLS_MAX: Final = 256
Word = Annotated[str, StringConstraints(min_length=1, max_length=400)]


class Mcp(Tool):
    """Tools of an MCP server that is started for the run. Needs the extra `mcp` and ``--allow-mcp``."""

    kind: Literal["mcp"] = "mcp"
    file: Annotated[str, StringConstraints(min_length=1, max_length=300)] | None = None
    """A Python file beside the scenario that is the server; it is run by the Python that runs agentsoc."""
    command: Annotated[tuple[Word, ...], Field(max_length=64)] = ()
    """The program and its arguments, for a server that is no such file."""
    allow: Annotated[tuple[Word, ...], Field(min_length=1, max_length=256)] = ("*",)
    """Names of the tools that agents may call; * and ? stand for any letters, any letter."""
    trust_hints: bool = False
    """Whether a tool of which the server says that it only reads is taken to read; otherwise all are taken to write."""
    start_s: float = Field(default=30.0, gt=0, le=600)
    """Time limit for the server's start (seconds)."""

    @model_validator(mode="after")
    def _one_program(self) -> Mcp:
        if bool(self.command) == (self.file is not None):
            raise ValueError("give file or command, one of them")
        return self

    def offered(self) -> Sequence[ToolSpec]:
        """Return nothing: the server says what it has once it is started."""
        return ()

    def program(self) -> Destination:
        """Return the program as something that has to be agreed to."""
        words = " ".join(self.command) if self.file is None else f"python {self.file}"
        return Destination(f"program:{words}", "", "the tool mcp", "it is started on this machine", known=False)

    def open(self) -> ToolSession:
        """Return a session; the server is started by `start`."""
        return _Server(self)


class _Server(ToolSession):
    """One server: a task of its own holds the connection, because whoever opens it has to close it."""

    def __init__(self, tool: Mcp) -> None:
        self._tool = tool
        self._specs: tuple[ToolSpec, ...] = ()
        self._names: dict[str, str] = {}
        self._session: Any = None
        self._closing = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._gone: str = ""
        # the working directory and the file are those of the scenario, which only whoever opens it knows
        self._base = (BASE_DIR.get() or Path()).resolve()
        self._words = [sys.executable, "-B", str(resolve(tool.file))] if tool.file is not None else list(tool.command)

    async def start(self) -> None:
        try:
            import mcp
        except ImportError as error:
            raise MissingExtraError("the tool mcp", error.name or "mcp", "mcp") from None
        # what a server writes that is no message is no news for a terminal, least of all once a line
        logging.getLogger("mcp").addHandler(logging.NullHandler())
        if shutil.which(self._words[0], path=os.environ.get("PATH")) is None:
            raise BackendSetupError(f"there is no program {self._words[0][:200]}", "agents.tools", "install it")
        ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep(mcp, ready))
        try:
            listed = await asyncio.wait_for(asyncio.shield(ready), self._tool.start_s)
        except TimeoutError:
            ready.cancel()  # nobody waits any more for what becomes of it
            await self.close()
            what = f"the MCP server {self._words[-1][:200]} did not answer within {self._tool.start_s:g} s"
            raise BackendSetupError(what, "agents.tools", "start it by hand to see why, or raise start_s") from None
        except Exception as error:
            await self.close()
            what = f"the MCP server {self._words[-1][:200]} cannot be used: {_said(error)}"
            raise BackendSetupError(what, "agents.tools", "start it by hand to see why") from None
        self._take(listed)

    async def _keep(self, mcp: Any, ready: asyncio.Future[Any]) -> None:
        from mcp.client.stdio import stdio_client

        base = self._base if self._base.is_dir() else None  # a run that keeps no files of its scenario has no folder
        parameters = mcp.StdioServerParameters(command=self._words[0], args=self._words[1:], cwd=base)
        try:
            with _nowhere() as nowhere:
                async with stdio_client(parameters, nowhere) as streams, mcp.ClientSession(*streams) as session:
                    await session.initialize()
                    tools: list[Any] = []
                    found = await session.list_tools()
                    tools += found.tools
                    while found.next_cursor and len(tools) < _TOOLS_MAX:
                        found = await session.list_tools(
                            params=mcp.types.PaginatedRequestParams(cursor=found.next_cursor)
                        )
                        tools += found.tools
                    self._session = session
                    ready.set_result(tools[:_TOOLS_MAX])
                    await self._closing.wait()
        except BaseException as error:
            self._gone = _said(error)
            if not ready.done():
                ready.set_exception(RuntimeError(self._gone))
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            self._session = None

    def _take(self, listed: Sequence[Any]) -> None:
        prefix = f"{self._tool.name}." if self._tool.name else ""
        specs = []
        for tool in listed:
            if not any(fnmatchcase(tool.name, pattern) for pattern in self._tool.allow):
                continue
            reads = tool.annotations is not None and bool(tool.annotations.read_only_hint)
            effect: Literal["read", "write"] = "read" if reads and self._tool.trust_hints else "write"
            self._names[prefix + tool.name] = tool.name
            specs.append(ToolSpec(prefix + tool.name, tool.description or "", dict(tool.input_schema), effect))
        if not specs:
            patterns = ", ".join(self._tool.allow)
            what = (
                f"the MCP server has no tool that matches {patterns}: it has {', '.join(t.name for t in listed)[:300]}"
            )
            raise BackendSetupError(what, "agents.tools.allow", "name one of them")
        self._specs = tuple(specs)

    def specs(self) -> Sequence[ToolSpec]:
        return self._specs

    async def call(self, name: str, arguments: Mapping[str, Any], timeout_s: float) -> str:
        session = self._session
        if session is None or self._keeper is None or self._keeper.done():
            raise ToolError("error", f"the MCP server is gone: {self._gone or 'it ended'}")
        calling = asyncio.ensure_future(
            session.call_tool(self._names[name], dict(arguments), read_timeout_seconds=timeout_s)
        )
        done, _ = await asyncio.wait({calling, self._keeper}, return_when="FIRST_COMPLETED", timeout=timeout_s + 1.0)
        if calling not in done:
            calling.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await calling
            if self._keeper in done:
                raise ToolError("error", f"the MCP server is gone: {self._gone or 'it ended'}")
            raise ToolError("timeout", f"no result within {timeout_s:g} s")
        try:
            result = calling.result()
        except Exception as error:
            kind: Literal["timeout", "error"] = "timeout" if "imed out" in str(error) else "error"
            raise ToolError(kind, _said(error)) from None
        text = "\n".join(_text(block) for block in result.content)
        if result.is_error:
            raise ToolError("error", text)
        return text

    async def close(self) -> None:
        self._closing.set()
        if self._keeper is not None:
            if self._session is None:  # it has not come to where it waits for `_closing`, or is over
                self._keeper.cancel()
            done, _ = await asyncio.wait({self._keeper}, timeout=10.0)
            if not done:
                self._keeper.cancel()
                await asyncio.wait({self._keeper}, timeout=5.0)


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w")


def _text(block: Any) -> str:
    return str(block.text) if block.type == "text" else f"[{block.type}]"


def _said(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join(str(error).split())[:300] or type(error).__name__
