"""This module tells a server of tools in its own way (``tools``) and reads what a model calls (``tool_calls``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from agentsoc.contracts.model import NativeRequest, Request

_CALLS_MAX: Final = 64
"""Calls of one reply that are read; a reply with more than an agent may make is refused where it is read (calls)."""


def tools_parameter(request: Request) -> dict[str, Any]:
    """Return the parameter of a request that names tools; nothing for one that names none."""
    if not isinstance(request, NativeRequest):
        return {}
    return {
        "tools": [
            {"type": "function", "function": {"name": name, "description": about, "parameters": json.loads(schema)}}
            for name, about, schema in request.tools
        ]
    }


def tools_text(request: Request) -> str:
    """Return what a prompt has of the tools at least, as text, for a bound on its tokens."""
    return json.dumps(tools_parameter(request), ensure_ascii=False) if isinstance(request, NativeRequest) else ""


def with_calls(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a message whose content is what it calls, as one JSON object; any other message as it is."""
    found = message.get("tool_calls")
    if not isinstance(found, list) or not found:
        return message
    calls = []
    for one in found[:_CALLS_MAX]:
        function = one.get("function") if isinstance(one, Mapping) else None
        if isinstance(function, Mapping) and isinstance(function.get("name"), str):
            calls.append({"tool": function["name"], "arguments": function.get("arguments") or {}})
    return {**message, "content": json.dumps({"calls": calls}, ensure_ascii=False)} if calls else message
