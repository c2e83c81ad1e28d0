"""A `World` is a task that goes through states: each answer that the society settles on moves it to the next.

A state is a text, so that a log can hold it, and the state after a step is a function of the state before and the
answer. Where an episode stands is thus a fold of its events: the protocol logs each state that it puts questions about
(a ``flag`` of the society, named `WORLD`), and nothing else has to be remembered.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Final

from agentsoc.contracts.task import Task, TaskFamily

WORLD: Final = "world"
"""Name of the ``flag`` event whose text is the state that the claims from its round on are about."""


class World(TaskFamily):
    """A family whose tasks are chains of questions; the protocol has to know of them (`Protocol.worlds`)."""

    @abstractmethod
    def opening(self, task: Task) -> str:
        """Return the state in which a task begins."""

    @abstractmethod
    def at(self, task: Task, state: str) -> Task | None:
        """Return the question asked in `state`, with its reference answer; None when the task is over.

        Its index and id mean nothing: one question may serve many tasks.
        """

    @abstractmethod
    def after(self, task: Task, state: str, answer: str | None) -> str:
        """Return the state that follows when the society answers `answer`; None when it had no answer."""

    @abstractmethod
    def outcome(self, task: Task, state: str) -> str | None:
        """Return the answer to the whole task that a run gives when it ends in `state`."""


def asked(family: TaskFamily, task: Task, state: str | None) -> Task:
    """Return the question of a turn that is taken in `state`: the task itself where there is none."""
    if state is None or not isinstance(family, World):
        return task
    return family.at(task, state) or task
