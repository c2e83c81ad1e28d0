"""`Hint`: what a simulated or scripted voter may know of a turn and a real model never sees."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Hint(msgspec.Struct, frozen=True, gc=False):
    """The hint holds what a simulated or scripted voter may know and a real model never sees."""

    task: int
    """Index of the task."""
    round: int
    """Round of the log."""
    agent: int
    """Who answers."""
    k: int
    """Number of the call among the agent's calls of the round."""
    purpose: str
    """What the agent is asked for."""
    truth: str
    """The reference answer."""
    options: tuple[str, ...]
    """The answer space; empty for free answers."""
    shown: tuple[str | None, ...] = ()
    """Answers that the agent is shown, one for each neighbour who stands by them."""
    shown_unique: tuple[str | None, ...] = ()
    """Answers of the claims that the prompt shows, each claim once, in the order of their handles."""
    targets: tuple[int, ...] = ()
    """Agents to whom the turn may delegate."""
    own: str | None = None
    """The agent's own standing answer."""
    by_rule: bool = False
    """The turn tallies what it is shown and adds no evidence of its own."""
    speaks: bool = True
    """Whether anybody reads what the agent writes; the end of an organisation writes no message."""
    attempt: int = 0
    """Attempts of this call that had an outcome before this one."""
    difficulty: float | None = None
    """The task's difficulty by its family's measure; None for none."""

    sample: ClassVar[int] = 0
    """Number of this one among several independent answers of the agent in the round; see `SampleHint`."""
    question: ClassVar[int] = 0
    """What tells this question from others of the same task; see `SampleHint`."""


class SampleHint(Hint, frozen=True, gc=False):
    """The hint belongs to one of several samples, or one of several questions of a task, for voters without prompts.

    A kind of its own, because a hint is part of the hash by which the journal knows a request.
    """

    sample: int = 0  # type: ignore[misc]
    question: int = 0  # type: ignore[misc]


class ActHint(Hint, frozen=True, gc=False):
    """The hint belongs to a turn that may call tools, or has called some: what scripts need to go on.

    A kind of its own, because a hint is part of the hash by which the journal knows a request.
    """

    step: int = 0
    """How often the turn has called tools."""
    calls: bool = False
    """Whether the reply may call some."""
    results: tuple[str, ...] = ()
    """What the calls of the step before gave."""
    question_text: str = ""
    """What is asked."""
