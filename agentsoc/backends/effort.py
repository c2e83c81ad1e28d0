"""`effort`: voters whose success depends on what they spend, 1 - exp(-b/h) for b tokens on work that takes about h.

They are for studying budgets: how a policy divides one, and what it changes that agents are told of it. An agent that
is told nothing spends its habit; one that is told what is left spends it. No text and no model; drawn from the seed.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from agentsoc.contracts.address import Destination
from agentsoc.contracts.model import CallError, Completion, ElasticBackend, Hint, Model, Request, Usage, VoterReply
from agentsoc.streams import uniform
from agentsoc.theory.agents import success

UNSOLVED = "unsolved"
"""What an agent says that did not succeed, where there are no other options."""


class Effort(Model):
    """Voters succeed with probability 1 - exp(-b/h): what they spend has diminishing returns."""

    reply_form: ClassVar[str] = "short"

    kind: Literal["effort"] = "effort"
    h: float = Field(default=1_000.0, gt=0, le=1e12)
    """What work takes (tokens), where the task does not say it of each part."""
    habit: int | None = Field(default=None, ge=1, le=65_536)
    """Spent on an answer by an agent that is told nothing of the budget (tokens); None for all that it gets."""

    def destinations(self) -> tuple[Destination, ...]:
        """Return nothing: voters are drawn, and no prompt leaves the process."""
        return ()

    def open(self, *, seed: int, share: int = 1) -> EffortBackend:
        """Return the voters of the run with `seed`."""
        return EffortBackend(self, seed)


class EffortBackend(ElasticBackend):
    """The backend draws whether each voter succeeds."""

    def __init__(self, model: Effort, seed: int) -> None:
        self.model = model
        self.seed = seed

    def identity(self) -> dict[str, Any]:
        """Return the settings."""
        return {"kind": "effort", **self.model.model_dump(mode="json", exclude={"kind"})}

    def count(self, request: Request) -> int:
        """Return 0: reading costs nothing here."""
        return 0

    def cost(self, n_shown: int, by_rule: bool, speaks: bool) -> tuple[int, int]:
        """Return the least that a turn costs (tokens in, out)."""
        return 0, 0 if by_rule else 1

    def wants(self, left: int | None, team_left: int | None, n_agents: int) -> int:
        """Return the habit, or all that is left of the own share, or an even part of what is left of the team's."""
        if left is not None:
            return left
        if team_left is not None:
            return team_left // n_agents
        return _MOST if self.model.habit is None else self.model.habit

    def spend(self, hint: Hint, tokens: int) -> VoterReply:
        """Return the reference answer with probability 1 - exp(-tokens/h), else another one."""
        h = self.model.h if hint.difficulty is None else hint.difficulty
        if self._draw(hint, 0) < success(tokens, h):
            return VoterReply(hint.truth, 0, tokens)
        others = [option for option in hint.options if option != hint.truth]
        return VoterReply(others[int(self._draw(hint, 1) * len(others))] if others else UNSOLVED, 0, tokens)

    def _draw(self, hint: Hint, draw: int) -> float:
        return uniform(self.seed, "effort", hint.task, hint.round, hint.agent, 2 * hint.k + draw)

    def respond(self, hint: Hint) -> VoterReply:
        """Return the answer of an agent that may spend what it wants and is told nothing; a merge by rule counts."""
        if hint.by_rule or hint.purpose == "merge":
            stated = [answer for answer in hint.shown if answer is not None]
            return VoterReply(max(sorted(set(stated)), key=stated.count) if stated else None)
        return self.spend(hint, self.wants(None, None, 1))

    async def complete(self, request: Request) -> Completion:
        """Answer a prompt by its hint, within its output cap."""
        if request.hint is None:
            raise CallError("rejected", "effort answers turns of a society, not bare prompts")
        tokens = min(request.max_tokens, self.wants(None, None, 1))
        said = self.spend(request.hint, tokens)
        return Completion(said.answer or "", Usage(0, 0, tokens))


_MOST = 65_536
"""No turn spends more (tokens): the largest output cap of an agent."""
