"""A `Policy` splits the budget of a task into shares. It is a part, found by entry point, so that users add their own.

A share belongs to an agent, or to a part of the task. It is a wall inside the wall: a turn is taken only when both its
share and the team can pay for it. What a policy returns depends on the scenario and the task alone, never on timing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from agentsoc.contracts.board import Board
from agentsoc.contracts.part import Part, Slot
from agentsoc.contracts.society import Society
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import Turn


class Policy(Part):
    """Base of all budget policies. To write one: a ``kind`` and the method `shares`; see docs/budgets.md."""

    slot: ClassVar[str] = "agentsoc.policies"
    needs_tokens: ClassVar[bool] = False
    """Whether it reckons in tokens, so that the budget has to limit them."""

    kind: str
    carry: bool = False
    """Whether a turn that its own share does not pay for draws on what those left who acted before and have no turn in
    this round, the first of them first. Without it a share left is left."""

    def check(self, society: Society) -> None:
        """Raise `InputError` when the policy makes no sense for this society."""

    @abstractmethod
    def shares(self, society: Society, task: Task, amount: int) -> Sequence[int]:
        """Return the shares of one task; they add up to `amount` at most. By agent, unless `share_of` says otherwise.

        Args:
            society: the society.
            task: the task whose budget is split.
            amount: tokens to split, what is kept for the conclusion taken off. Where the budget limits calls or money
                as well (or only them), they are split in the proportions of these shares.
        """

    def share_of(self, society: Society, task: Task, board: Board, turn: Turn) -> int | None:
        """Return the index of the share that pays for a turn; None for what no share was given."""
        return turn.agent


POLICIES: Slot[Policy] = Slot("agentsoc.policies", "budget policy")
"""The budget policies that scenarios can name: their classes by kind, and `parse`, which makes one from a block."""
