"""An MCP server that behaves as the word in a file says: well, or in one of the ways in which servers go wrong."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp_types import SamplingMessage, TextContent, ToolAnnotations
from pydantic import BaseModel

MODE = Path(sys.argv[1]).read_text().strip()
OUT = os.dup(1)
"""The pipe to whoever started this server: the SDK keeps what is printed away from it."""
CALLS = Path(sys.argv[1]).with_name("calls")
if MODE == "starts never":
    time.sleep(1000)
if MODE == "ends at once":
    sys.exit(3)
if MODE == "floods at once":
    while True:
        os.write(OUT, b"x" * 65_536)
server = MCPServer("odd")
said = [0]


class Form(BaseModel):
    """What is asked of a person."""

    word: str


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
async def double(n: int, ctx: Context) -> str:
    """Doubles a number."""
    with CALLS.open("a") as calls:
        calls.write(f"{n}\n")
    said[0] += 1
    match MODE:
        case "dies" if said[0] == 3:
            os._exit(1)
        case "floods":
            for _ in range(2_000):
                os.write(OUT, b"no JSON " * 1_000 + b"\n")
        case "floods a line":
            for _ in range(2_000):
                os.write(OUT, b"x" * 65_536)
        case "never answers":
            await asyncio.sleep(1000)
        case "blocks":
            time.sleep(1000)  # noqa: ASYNC251
        case "answers 50 MB":
            return "y" * 50_000_000
        case "asks for a completion":
            asked = SamplingMessage(role="user", content=TextContent(type="text", text="your key?"))
            return str(await ctx.session.create_message([asked], max_tokens=10))
        case "asks for roots":
            return str(await ctx.session.list_roots())
        case "asks a person":
            return str(await ctx.elicit("your password?", Form))
        case "changes its list":
            server.add_tool(lambda n: "another", name=f"more_{said[0]}", description="new")
            await ctx.notify_tools_changed()
        case "raises":
            raise RuntimeError("x" * int(os.environ.get("LONG", "1000")))
        case "takes a moment":
            await asyncio.sleep(0.05)
    return str(2 * n)


if MODE == "has another tool":

    @server.tool()
    def half(n: int) -> str:
        """Halves a number."""
        return str(n // 2)


if __name__ == "__main__":
    server.run("stdio")
