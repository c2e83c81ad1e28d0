"""`AgentGroup`: an entry of the ``agents`` block of a scenario, the settings that some agents of a society share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator
from pydantic_core import PydanticCustomError

from agentsoc.contracts.part import Part, Slot, nearest
from agentsoc.contracts.prompts import PromptSet
from agentsoc.contracts.tool_use import ToolUse

if TYPE_CHECKING:
    from agentsoc.contracts.model import Model
    from agentsoc.contracts.tools import Tool
else:  # at run time a slot is filled by whatever class is registered for the kind
    Model = Annotated[Part, Slot("agentsoc.models", "model")]
    Tool = Annotated[Part, Slot("agentsoc.tools", "tool")]

MAX_AGENTS: Final = 10_000_000
PROMPT_VARIABLES: Final = ("name", "persona", "role", "n_agents", "topology")
"""What a prompt may name in braces."""

PeersSee = Literal["conclusion", "whole", "answer"]
"""What of a reply its readers see: the text cut in its middle to ``message_tokens``, all of it, or the answer alone."""

_BRACES = re.compile(r"\{([^{}]*)\}")


class AgentGroup(Part):
    """Agents that share a model and settings. A list of groups makes a heterogeneous society."""

    count: Annotated[int, Field(ge=1, le=MAX_AGENTS)] | None = None
    """Agents in the group (agents); may be left out where the topology fixes it (a tree by fan-in and depth)."""
    model: Model
    """What answers their prompts."""
    temperature: float = Field(default=0.7, ge=0, le=2)
    """Sampling temperature of their calls."""
    max_tokens: int = Field(default=128, ge=1, le=65_536)
    """Output cap of one call (tokens)."""
    personas: Annotated[tuple[Annotated[str, StringConstraints(max_length=2_000)], ...], Field(max_length=10_000)] = ()
    """Dealt to the agents of the group in turn."""
    iterations: int = Field(default=1, ge=1, le=64)
    """Model calls that an agent makes in a turn, each continuing the last (calls)."""
    memory: int = Field(default=0, ge=0, le=64)
    """Own earlier replies that an agent carries over from task to task (replies); needs ``episodes: sequential``."""
    reply: Literal["auto", "json", "short", "text", "native"] = "auto"
    """Form of replies: a JSON object, one line ``answer [uses #i] [against #j]``, or free text; auto asks the model. An
    agent with tools replies in JSON where it may call them, or with ``native`` as its provider writes calls."""
    prompt: Annotated[str, StringConstraints(max_length=8_000)] | None = None
    """System prompt; {name}, {persona}, {role}, {n_agents} and {topology} are replaced. None for that of `prompts`."""
    prompts: PromptSet = PromptSet()
    """Templates of this group; what it leaves out is that of the scenario's ``prompts``."""
    history: Literal["none", "last", "own", "all"] = "last"
    """Earlier rounds of the task as messages: none (the last reply stands in the question), the agent's last reply
    after what it was asked, all its own replies, or its own replies with the claims that it was shown. What no longer
    fits the window is left out, oldest first; with ``last`` the reply then stands in the question."""
    peers_see: PeersSee | None = None
    """What others see of this group's replies; None for what the scenario says."""
    tools: Annotated[tuple[Tool, ...], Field(max_length=32)] = ()
    """What these agents may call before they answer: kinds of tools with their settings."""
    tool_use: ToolUse = ToolUse()
    """How often they may, and what they see of the results."""
    later: ClassVar[frozenset[str]] = frozenset({"prompts", "history", "peers_see", "tools", "tool_use"})

    @model_validator(mode="after")
    def _one_system_prompt(self) -> AgentGroup:
        """Refuse two system prompts for one group."""
        if self.prompt is not None and self.prompts.system is not None:
            raise ValueError("give prompt or prompts.system, not both")
        return self

    @field_validator("prompt")
    @classmethod
    def _known_variables(cls, prompt: str | None) -> str | None:
        """Refuse a prompt that names anything but the known variables; an attribute or a format is unknown as well."""
        for match in _BRACES.finditer(prompt or ""):
            if match.group(1) not in PROMPT_VARIABLES:
                raise PydanticCustomError(
                    "prompt_variable",
                    "{variable} is nothing that a prompt can name",
                    {"variable": "{" + match.group(1)[:60] + "}", "hint": nearest(match.group(1), PROMPT_VARIABLES)},
                )
        return prompt
