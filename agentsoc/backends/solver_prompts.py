"""Where in a prompt the question of a turn stands that has called tools, and what the tools gave."""

from __future__ import annotations

import json
from functools import lru_cache

from agentsoc.contracts.model import ActHint, Hint, Request

_SAID_AND_TOLD = 2
"""Messages of a step that called tools: what the agent said, and what it was told."""


def question_in(request: Request, hint: Hint) -> str:
    """Return what the turn was asked: further down stand only its calls and what they gave."""
    steps = hint.step if isinstance(hint, ActHint) else 0
    place = len(request.messages) - 1 - _SAID_AND_TOLD * steps
    return request.messages[place].content if steps and place >= 0 else request.user


def results_in(request: Request, hint: ActHint) -> list[list[str]]:
    """Return what the agent was told in each step of its turn so far: one line for each of its calls."""
    found = []
    exchanged = request.messages[-_SAID_AND_TOLD * hint.step :] if hint.step else ()
    for said, told in zip(exchanged[::_SAID_AND_TOLD], exchanged[1::_SAID_AND_TOLD], strict=True):
        calls = len(json.loads(said.content)["calls"])  # the agent's own words, which it wrote as JSON
        lines = told.content.split("\n")[:calls]
        found.append(lines + [""] * (calls - len(lines)))
    return found


def most_calls(request: Request) -> int:
    """Return how many calls the reply may make; 1 where the prompt's schema does not say."""
    return _most_calls(request.schema) if request.schema else 1


@lru_cache(maxsize=64)
def _most_calls(schema: str) -> int:
    for way in json.loads(schema).get("oneOf", ()):
        if "calls" in way.get("properties", {}):
            return int(way["properties"]["calls"]["maxItems"])
    return 1
