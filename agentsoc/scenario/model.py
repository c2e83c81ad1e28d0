"""A scenario holds everything that changes a result, and the engine block, which never does; nothing is read here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from agentsoc.contracts.attention import Attention
from agentsoc.contracts.fault import PlantedFault
from agentsoc.contracts.group import MAX_AGENTS, AgentGroup, PeersSee
from agentsoc.contracts.part import Part, Slot
from agentsoc.contracts.probe import ParentSource, Probe
from agentsoc.contracts.prompts import PromptSet
from agentsoc.scenario.budget import Budget as Budget
from agentsoc.scenario.preset import expand
from agentsoc.scenario.prices import Prices, label, price_of

if TYPE_CHECKING:
    from agentsoc.contracts.protocol import Protocol
    from agentsoc.contracts.task import TaskFamily
    from agentsoc.contracts.topology import Topology
else:  # at run time a slot is filled by whatever class is registered for the kind
    Protocol = Annotated[Part, Slot("agentsoc.protocols", "protocol")]
    Topology = Annotated[Part, Slot("agentsoc.topologies", "topology")]
    TaskFamily = Annotated[Part, Slot("agentsoc.tasks", "task family")]

MAX_SEED: Final = 2**63 - 1
MAX_TOTAL: Final = 2**63 - 1
"""Most that the budgets of all tasks of a run may come to (tokens, or calls)."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"


DEADLINE_S: Final = 600.0
"""Where a scenario says nothing else, it is not written down: runs that were made before it existed say the same."""


class Calls(Part):
    """How model calls are made and repeated. Every attempt is journaled and charged."""

    timeout_s: float = Field(default=60.0, gt=0, le=3_600)
    """Time limit of one attempt (seconds)."""
    attempts: int = Field(default=3, ge=1, le=10)
    """Attempts of one call before it counts as failed (attempts)."""
    repair: bool = True
    """Whether a reply that breaks its format is sent back once with the fault named."""
    backoff_s: float = Field(default=0.5, ge=0, le=60)
    """First pause before a new attempt (seconds); doubles each time; a server's own Retry-After wins."""
    deadline_s: float = Field(default=DEADLINE_S, ge=0, le=86_400, exclude_if=lambda seconds: seconds == DEADLINE_S)
    """How long a call may be refused unseen (too many requests, a server that is down) before that costs an attempt
    (seconds); all calls of the model pause together meanwhile."""
    fail_fast: bool = True
    """Whether the run ends, to be resumed, when its model cannot be used: no such model, a wrong key, an outage."""
    outage_s: float = Field(default=30.0, ge=0, le=3_600)
    """Time without any answer of a model after which an outage is one (seconds)."""

    cache: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    """File that keeps replies across runs: what was asked of the same model before is not asked again, but charged all
    the same. Relative to the directory in which the command runs; None for no cache."""

    later: ClassVar[frozenset[str]] = frozenset({"fail_fast", "outage_s", "cache"})


class Engine(Part):
    """How a run is carried out. Nothing here changes a result."""

    hosts: int = Field(default=1, ge=1, le=1_024)
    """Hosts that the agents are spread over; more than one needs Ray."""
    address: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,300}$")] | None = None
    """Ray cluster: none for in-process, "local" to start one, HOST:PORT of a running one, "auto" in a Ray job."""
    concurrency: int = Field(default=8, ge=1, le=4_096)
    """Model calls in flight at once, over all hosts."""
    vectorise: bool = True
    """Whether simulated agents are computed as columns where the protocol allows it."""
    umask: bool = False
    """Whether files of the run get the rights that the umask leaves, instead of none for anybody but their owner."""


class Scenario(Part):
    """One society on a task set with one seed."""

    name: Annotated[str, Field(pattern=NAME)]
    """Names the run directory: letters, digits, dot, dash and underscore, at most 80 characters."""
    description: Annotated[str, Field(max_length=4_000)] = ""
    """What the scenario is for, in words; changes nothing."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    """Decides every random draw of the run, and its tasks unless these have a seed of their own."""
    tasks: TaskFamily
    """What the society works on: the name of a family, or its kind and settings."""
    agents: tuple[AgentGroup, ...] = Field(min_length=1, max_length=256)
    """One group, or a list of groups."""
    topology: Topology
    """Who may address whom."""
    protocol: Protocol
    """The rules of a round: who acts, what they see, when it is over."""
    attention: Attention = Attention()
    """Whether agents are shown everything that they may see, or a selection."""
    budget: Budget | None = None
    """What the run may spend: tokens, calls, money; none for no limit."""
    prices: Prices = Field(default_factory=dict)
    """What models cost, by their name or kind; without them a run reports tokens and no money."""
    calls: Calls = Calls()
    """How model calls are made and repeated."""
    parents: ParentSource = "cited"
    """What counts as a claim's parents: what the agent said it used, everything it was shown, or what follows from its
    answers (`inferred`: those shown that it changed its answer to, or kept it against)."""
    probe: Probe | None = None
    """For a share of turns, asking again with one shown claim left out; None for no such calls."""
    episodes: Literal["concurrent", "sequential"] = "concurrent"
    """Tasks are independent, or taken one after the other with the agents' memory carried over."""
    message_tokens: int = Field(default=64, ge=1, le=4_096)
    """Length to which a claim's text is cut where others read it (tokens, estimated at 4 characters each)."""
    engine: Engine = Engine()
    """How the run is carried out; changes no result."""

    faults: Annotated[tuple[PlantedFault, ...], Field(max_length=1_000)] = ()
    """Errors to plant, so that what becomes of them can be counted."""
    prompts: PromptSet = PromptSet()
    """Templates of prompts that take the place of the defaults, for all agents that ask a model."""
    peers_see: PeersSee = "conclusion"
    """What agents see of each other's replies: the text cut in its middle to `message_tokens`, never losing the answer;
    the whole text; or the answer alone."""
    later: ClassVar[frozenset[str]] = frozenset({"prices", "faults", "prompts", "peers_see", "probe"})

    @model_validator(mode="before")
    @classmethod
    def _preset_expanded(cls, data: Any) -> Any:
        """Write a preset out before anything is checked."""
        return expand(data) if isinstance(data, dict) and "preset" in data else data

    @field_validator("agents", mode="before")
    @classmethod
    def _one_group(cls, value: Any) -> Any:
        """Take a single mapping for a list of one group."""
        return [value] if isinstance(value, dict | AgentGroup) else value

    @field_validator("agents")
    @classmethod
    def _not_too_many(cls, groups: tuple[AgentGroup, ...]) -> tuple[AgentGroup, ...]:
        total = sum(group.count or 0 for group in groups)
        if total > MAX_AGENTS:
            raise PydanticCustomError(
                "too_many_agents",
                "the groups count {total} agents together, the limit is {limit}",
                {"total": total, "limit": MAX_AGENTS, "hint": "lower the counts"},
            )
        return groups

    @field_validator("budget")
    @classmethod
    def _total_counts_in_64_bits(cls, budget: Budget | None, info: ValidationInfo) -> Budget | None:
        """Refuse limits whose sums pass 64 bits: tables of runs hold such numbers, and their readers add them up."""
        tasks = info.data.get("tasks")  # not there when it has a fault of its own
        if budget is None or tasks is None:
            return budget
        for key, each in (("tokens_per_task", budget.tokens_per_task), ("calls_per_task", budget.calls_per_task)):
            if each is not None and each * tasks.count > MAX_TOTAL:
                raise PydanticCustomError(
                    "budget_total",
                    "{key} is {each} and there are {count} tasks: {total} together, the limit is 2^63 - 1 = {limit}",
                    {
                        "key": key,
                        "each": f"{each:,}",
                        "count": f"{tasks.count:,}",
                        "total": f"{each * tasks.count:,}",
                        "limit": f"{MAX_TOTAL:,}",
                        "hint": f"lower {key} to at most {MAX_TOTAL // tasks.count:,}, or take fewer tasks",
                    },
                )
        return budget

    @model_validator(mode="after")
    def _money_has_prices(self) -> Scenario:
        """Refuse a limit in money where a model has no price: nobody could keep it."""
        if self.budget is None or (self.budget.money is None and self.budget.money_per_task is None):
            return self
        for group in self.agents:
            model = group.model.model_dump(mode="json")
            if not group.model.free and price_of(model, self.prices) is None:
                raise PydanticCustomError(
                    "no_price",
                    "the budget limits money, and {model} has no price",
                    {"model": label(model), "hint": f"add prices: {{{label(model)}: {{input: ..., output: ...}}}}"},
                )
        return self

    @property
    def tasks_seed(self) -> int:
        """Return the seed that decides the tasks: their own, else that of the run."""
        return self.seed if self.tasks.seed is None else self.tasks.seed

    def result_part(self) -> dict[str, Any]:
        """Return the scenario without what cannot change a result: what the manifest hashes and resume compares."""
        data = self.model_dump(mode="json")
        for key in ("engine", "description", "name"):
            data.pop(key)
        return data
