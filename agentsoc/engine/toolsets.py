"""This module says what a toolset is known by, whether one can be used, and whether it is the one a run began with."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from agentsoc.contracts.tools import ToolSpec
from agentsoc.errors import InputError, ReplayMismatchError
from agentsoc.reading.by_schema import canonical, schema_fault
from agentsoc.society.build import BuiltSociety

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SPEC_MAX: Final = 32_768
"""Longest description and schema of a tool together (characters)."""


def sound_toolset(specs: Sequence[ToolSpec]) -> None:
    """Check that agents can be told of these tools.

    Raises:
        InputError: two have one name, or one has a name or a schema that cannot be used.
    """
    seen: set[str] = set()
    for spec in specs:
        name = spec.name[:80]
        if not _NAME.fullmatch(spec.name):
            what = f"{name!r} is no name of a tool: letters, digits, dots, dashes and underscores"
            raise InputError(what, "agents.tools", "give it another name")
        if spec.name in seen:
            raise InputError(f"two tools are called {name}", "agents.tools", "give one of them a name of its own")
        seen.add(spec.name)
        if len(canonical(dict(spec.schema))) + len(spec.description) > _SPEC_MAX:
            raise InputError(f"the tool {name} describes itself in more than {_SPEC_MAX:,} characters", "agents.tools")
        if (wrong := schema_fault(spec.schema)) is not None:
            raise InputError(f"the schema of the tool {name} cannot be used: {wrong}", "agents.tools")


def toolset_digest(specs: Sequence[ToolSpec]) -> str:
    """Return the SHA-256 of names, descriptions, schemas and effects."""
    return hashlib.sha256(canonical(plain(specs)).encode()).hexdigest()


def plain(specs: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """Return tools as JSON, for a manifest."""
    return [msgspec.structs.asdict(msgspec.structs.replace(spec, schema=dict(spec.schema))) for spec in specs]


def specs_of(plain_specs: Sequence[Sequence[Any]]) -> list[list[ToolSpec]]:
    """Return the tools of each group from what `plain` gave."""
    return msgspec.convert(plain_specs, list[list[ToolSpec]])


def with_toolsets(society: BuiltSociety, toolsets: Sequence[Sequence[ToolSpec]]) -> BuiltSociety:
    """Return a society whose agents have these tools; itself where there are none."""
    return replace(society, toolsets=tuple(map(tuple, toolsets))) if toolsets else society


def require_same(recorded: Sequence[Sequence[ToolSpec]], found: Sequence[Sequence[ToolSpec]]) -> None:
    """Check that each group has the tools that its run began with.

    Raises:
        ReplayMismatchError: names the first tool that differs.
    """
    for group, (before, now) in enumerate(zip(recorded, found, strict=False)):
        old, new = {spec.name: spec for spec in before}, {spec.name: spec for spec in now}
        for name in [*old, *(name for name in new if name not in old)]:
            if old.get(name) == new.get(name):
                continue
            what = "it is gone" if name not in new else "it is new" if name not in old else "it changed"
            raise ReplayMismatchError(
                f"the tools are not those that the run began with: {name}: {what}",
                f"tool {name} of group {group}",
                _text(old.get(name)),
                _text(new.get(name)),
            )


def _text(spec: ToolSpec | None) -> str:
    return "(no such tool)" if spec is None else canonical(plain([spec])[0])[:300]
