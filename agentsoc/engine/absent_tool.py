"""This module stands in for tools of a stored run whose package is not installed: a replay needs no tool to make calls.

What agents were told of a tool, and what its calls gave, is in the manifest and the journal. So a run can be replayed
and its prompts shown where nothing but its scenario's other parts is at hand; whatever would call such a tool says
which one is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pydantic import ConfigDict

from agentsoc.contracts.part import Slot
from agentsoc.contracts.tools import Tool, ToolSession, ToolSpec
from agentsoc.errors import InputError


class AbsentTool(Tool):
    """A tool of a kind that nobody brings here, with whatever keys it was given."""

    model_config = ConfigDict(extra="allow")

    kind: str

    def __hash__(self) -> int:
        return hash((type(self), self.kind))

    def offered(self) -> Sequence[ToolSpec]:
        """Return nothing: the manifest of the run says what agents were told."""
        return ()

    def open(self) -> ToolSession:
        """Raise: there is nobody who could make a call."""
        raise InputError(
            f'the run has a tool of kind "{self.kind}", and no package that brings it is installed',
            "agents.tools",
            "install the package that the run was made with; a replay needs no tool",
        )


@contextmanager
def tools_may_be_absent() -> Iterator[None]:
    """Within the context, an unknown kind of tool is an `AbsentTool` and no fault of the scenario."""
    with Slot.standing_in(AbsentTool):
        yield
