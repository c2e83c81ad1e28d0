"""This module says what the budget keeps aside for the concluding turn of an episode."""

from __future__ import annotations

from agentsoc.contracts.board import Board
from agentsoc.contracts.task import Task
from agentsoc.society.build import BuiltSociety, new_watchers
from agentsoc.society.reply_form import CHARS_PER_TOKEN

_FRAME_CHARS = 600
"""What a prompt holds besides the question: system prompt, instruction, form of the reply (characters, roughly)."""


def conclusion_tokens(society: BuiltSociety, task: Task, index: int) -> int | None:
    """Return what the concluding turn of a task needs (tokens); None when there is none."""
    budget, protocol = society.scenario.budget, society.scenario.protocol
    if budget is None or not protocol.concludes:
        return None
    if protocol.conclude(society, _AlmostConcluded(society, index)) is None:
        return None
    if budget.conclude is not None:
        return budget.conclude
    # An estimate will do, as the concluding prompt is cut to what was kept; counting would need the tokenizer.
    agent = society.wiring.root or 0
    fan_in = int(society.wiring.fan_in[agent]) or society.n
    question = (len(task.question) + _FRAME_CHARS) // CHARS_PER_TOKEN
    shown = min(fan_in, 32) * society.scenario.message_tokens
    return question + shown + society.group(agent).max_tokens


class _AlmostConcluded(Board):
    """All but the end have spoken on this board; protocols tell from it whether the concluding turn takes a model."""

    def __init__(self, society: BuiltSociety, task: int) -> None:
        super().__init__(task)
        self.watchers = new_watchers([society])
        others = [agent for agent in range(min(society.n, 2)) if agent != society.wiring.root]
        self.standing = dict.fromkeys(others[:1], 0)
