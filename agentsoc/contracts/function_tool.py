"""`function_tool`: a Python function as a tool; its schema comes from its types, its words from its docstring."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import ConfigDict, create_model

from agentsoc.contracts.part import LOOSE_MODULE, Slot
from agentsoc.contracts.tools import Effect, Tool
from agentsoc.errors import InputError


def function_tool(function: Callable[..., Any], effect: Effect, kind: str = "") -> type[Tool]:
    """Return a kind of tool that calls a function, for scenarios.

    The function holds no state. It is given its arguments by name, as its types say, and returns a text or a JSON
    value. Write in a loose file: ``function_tool(distance, "pure")``; a scenario then has ``tools: [distance]``.
    Elsewhere it can be used in the process that made it.

    Args:
        function: what is called; each parameter needs a type that JSON has.
        effect: what a call does; see `agentsoc.contracts.tools.Effect`.
        kind: name of the kind; when empty that of the function, with dashes for underscores.

    Raises:
        InputError: a parameter has no type, or takes any number of values.
    """
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise InputError(f"{function.__name__} takes {parameter}; a tool's parameters have names", "tools")
        if parameter.annotation is parameter.empty:
            raise InputError(
                f"the parameter {name} of {function.__name__} has no type", "tools", f"write {name}: float"
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (parameter.annotation, default)
    model = create_model(f"{function.__name__}_arguments", __config__=ConfigDict(extra="forbid"), **fields)
    schema = model.model_json_schema()
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
    named = kind or function.__name__.replace("_", "-")
    words = inspect.getdoc(function) or named

    def arguments(self: Tool) -> Mapping[str, Any]:
        return schema

    def describe(self: Tool) -> str:
        return " ".join(words.split("\n\n")[0].split())

    def call(self: Tool, given: Mapping[str, Any]) -> Any:
        checked = model.model_validate(given)
        return function(**{name: getattr(checked, name) for name in fields})

    body = {
        "__module__": function.__module__,
        "__doc__": words,
        "__annotations__": {"kind": Literal[named]},
        "kind": named,
        "effect": effect,
        "arguments": arguments,
        "describe": describe,
        "call": call,
    }
    made: type[Tool] = type(f"{named}_tool", (Tool,), body)
    if function.__module__.startswith(LOOSE_MODULE):
        function.__globals__[made.__name__] = made  # whoever loads the file finds it among its parts
    else:
        Slot.register(made)
    return made
