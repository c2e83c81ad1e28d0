"""This module says what the steps of a turn that may call tools add to what it can take."""

from __future__ import annotations

from typing import Final, NamedTuple

from agentsoc.contracts.tool_use import may_call
from agentsoc.contracts.turns import Turn
from agentsoc.scenario.prices import tool_prices
from agentsoc.society.acting import tool_lines
from agentsoc.society.build import BuiltSociety
from agentsoc.society.reply_form import CHARS_PER_TOKEN

WORDS_BYTES: Final = 400
"""What a prompt says of how tools are called, besides the tools (bytes)."""
TOLD_TOKENS: Final = 16
"""What stands around a result in a prompt (tokens, roughly)."""
REPLY_MIN: Final = 128
"""Output below which calls of tools are often cut off (tokens)."""


class ToolSteps(NamedTuple):
    """What the steps of a turn come to at most; nothing for a turn without tools."""

    calls: int = 0
    """Model calls."""
    said: int = 0
    """What each prompt says of the tools (bytes)."""
    results: int = 0
    """Results that the last prompt holds (bytes)."""
    likely: int = 0
    """The same as far as a prompt in the middle holds them (tokens)."""
    price: int = 0
    """What the calls of tools cost (units of money)."""


def tool_steps(society: BuiltSociety, turn: Turn) -> ToolSteps:
    """Return what the steps of a turn come to when each but the last makes all the calls that it may."""
    group = society.group(turn.agent)
    use = group.tool_use
    if not group.tools or not may_call(turn, use):
        return ToolSteps()
    lines = sum(len(line.encode(errors="surrogatepass")) + 1 for line in tool_lines(society.tools_of(turn.agent)))
    calls = use.calls * (use.steps - 1)
    results = calls * (use.result_tokens + TOLD_TOKENS)
    prices = tool_prices(society.scenario.prices)
    dearest = max((prices.get(spec.name, 0) for spec in society.tools_of(turn.agent)), default=0)
    # a character is at most four bytes
    return ToolSteps(use.steps, lines + WORDS_BYTES, 4 * CHARS_PER_TOKEN * results, results // 2, calls * dearest)


def reply_warnings(society: BuiltSociety) -> list[str]:
    """Return a warning for each group whose replies are too short to call tools in."""
    return [
        f"group {index}: max_tokens is {group.max_tokens}; replies that call tools are often cut off below {REPLY_MIN}"
        for index, group in enumerate(society.groups)
        if group.tools and group.max_tokens < REPLY_MIN
    ]
