"""What authors of parts import: protocols, topologies, tasks, models, agents, budget policies, tools, environments.

    from agentsoc.plugin import Board, Decision, Protocol, Society, Turn, majority

The promise: a name of `__all__` keeps its meaning, and a call or a class that is right today stays right, through all
releases 0.2.x. What has to change is first announced: the old way works for one more minor release and warns
(`DeprecationWarning`, with the new way), and the changelog marks the change **plug-in**. New names, new optional
arguments and new methods with a default may come with any release. Modules that these names come from may move; import
from here alone. docs/compatibility.md has the whole policy, docs/plugins.md has what each name is for, and a test
compares names and signatures with `tests/golden/plugin.txt`.

Importing this module imports no engine, no log, no loader of scenarios and no built-in part.
"""

from __future__ import annotations

from agentsoc.contracts.address import Destination
from agentsoc.contracts.board import Board, Claim, Subtask, Surroundings, Watcher
from agentsoc.contracts.environments import (
    ENVIRONMENTS,
    Action,
    Draw,
    Environment,
    PlayedTasks,
    State,
    Step,
    environment_of,
)
from agentsoc.contracts.function_tool import function_tool
from agentsoc.contracts.group import AgentGroup
from agentsoc.contracts.judge import Judge
from agentsoc.contracts.model import (
    MODELS,
    Backend,
    CallError,
    Completion,
    FailureKind,
    Hint,
    Message,
    Model,
    Request,
    Usage,
    bytes_bound,
)
from agentsoc.contracts.part import Part, Slot
from agentsoc.contracts.policy import POLICIES, Policy
from agentsoc.contracts.prompts import check_asks
from agentsoc.contracts.protocol import (
    DISCARDED,
    PROTOCOLS,
    Act,
    Decision,
    Protocol,
    Stage,
    Verdict,
    interpret_reply,
    majority,
)
from agentsoc.contracts.router import Router
from agentsoc.contracts.script import Script
from agentsoc.contracts.sight import Sight
from agentsoc.contracts.society import Society
from agentsoc.contracts.task import (
    TASKS,
    MadeOnDemand,
    Task,
    TaskFamily,
    has_chat_marker,
    normalise,
    parse_free,
    parse_letter,
    parse_option,
    plain,
)
from agentsoc.contracts.ties import tie_draw
from agentsoc.contracts.tools import TOOLS, Effect, Tool, ToolError, ToolSession, ToolSpec
from agentsoc.contracts.topology import TOPOLOGIES, Topology
from agentsoc.contracts.turns import SLOT_WIDTH, Delegation, Purpose, Reply, StepTaken, ToolCall, Turn, View
from agentsoc.contracts.wiring import Wiring
from agentsoc.contracts.world import WORLD, World
from agentsoc.errors import AgentsocError, BackendSetupError, InputError, MissingExtraError, TaskError, TopologyError
from agentsoc.events import CLAIMING, COORDINATION, MAX_K, SCORED, SOCIETY, Event, Kind, pack_id, unpack_id
from agentsoc.society.attention import attend, standing_of
from agentsoc.society.coded import CodedAgent
from agentsoc.society.parts import part_of
from agentsoc.streams import seed_for, stream, uniform, uniforms

__all__ = [
    "CLAIMING",
    "COORDINATION",
    "DISCARDED",
    "ENVIRONMENTS",
    "MAX_K",
    "MODELS",
    "POLICIES",
    "PROTOCOLS",
    "SCORED",
    "SLOT_WIDTH",
    "SOCIETY",
    "TASKS",
    "TOOLS",
    "TOPOLOGIES",
    "WORLD",
    "Act",
    "Action",
    "AgentGroup",
    "AgentsocError",
    "Backend",
    "BackendSetupError",
    "Board",
    "CallError",
    "Claim",
    "CodedAgent",
    "Completion",
    "Decision",
    "Delegation",
    "Destination",
    "Draw",
    "Effect",
    "Environment",
    "Event",
    "FailureKind",
    "Hint",
    "InputError",
    "Judge",
    "Kind",
    "MadeOnDemand",
    "Message",
    "MissingExtraError",
    "Model",
    "Part",
    "PlayedTasks",
    "Policy",
    "Protocol",
    "Purpose",
    "Reply",
    "Request",
    "Router",
    "Script",
    "Sight",
    "Slot",
    "Society",
    "Stage",
    "State",
    "Step",
    "StepTaken",
    "Subtask",
    "Surroundings",
    "Task",
    "TaskError",
    "TaskFamily",
    "Tool",
    "ToolCall",
    "ToolError",
    "ToolSession",
    "ToolSpec",
    "Topology",
    "TopologyError",
    "Turn",
    "Usage",
    "Verdict",
    "View",
    "Watcher",
    "Wiring",
    "World",
    "attend",
    "bytes_bound",
    "check_asks",
    "environment_of",
    "function_tool",
    "has_chat_marker",
    "interpret_reply",
    "majority",
    "normalise",
    "pack_id",
    "parse_free",
    "parse_letter",
    "parse_option",
    "part_of",
    "plain",
    "seed_for",
    "standing_of",
    "stream",
    "tie_draw",
    "uniform",
    "uniforms",
    "unpack_id",
]
