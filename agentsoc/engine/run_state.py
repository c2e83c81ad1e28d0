"""This module holds what the episodes of a run share: scenarios in force, boards, ledgers, log order, progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from agentsoc.budget.ledger import Ledger
from agentsoc.contracts.board import Board
from agentsoc.contracts.model import ElasticBackend
from agentsoc.contracts.turns import Turn
from agentsoc.engine.calls import Caller
from agentsoc.engine.elsewhere import Elsewhere
from agentsoc.engine.judging import EpisodeJudge
from agentsoc.engine.pool import Pool
from agentsoc.engine.progress import Pace
from agentsoc.engine.tool_desk import ToolDesk
from agentsoc.engine.worlds import Steps
from agentsoc.events import Event
from agentsoc.log.episodes import EpisodeRow, EpisodeTable
from agentsoc.log.segments import SegmentWriter
from agentsoc.society.build import BuiltSociety
from agentsoc.society.coded import CodedAgent


@dataclass(frozen=True)
class ScenarioEpoch:
    """An epoch is a society with its hosts, from the place in the run at which its scenario begins; a fork has two."""

    start: tuple[int, int]
    """(task, round) from which it acts."""
    society: BuiltSociety
    pool: Pool
    caller: Caller
    judge: EpisodeJudge | None = None
    """Who grades the answers of episodes that end in it, where its tasks have no rules for that."""
    desk: ToolDesk | None = None
    """Who calls the tools of its agents, where they have any."""

    @cached_property
    def asks_model(self) -> list[bool]:
        """Whether the agents of each group are asked through the journal, or are functions of the seed."""
        return [
            not isinstance(group.model, CodedAgent) and group.model.open(seed=self.society.seed).journaled
            for group in self.society.scenario.agents
        ]

    def needs_model(self, turn: Turn) -> bool:
        """Return whether a turn is a model call."""
        return self.asks_model[self.society.group_index(turn.agent)] and not turn.by_rule

    @property
    def budget_per_task(self) -> int | None:
        """Ceiling of one episode (tokens)."""
        budget = self.society.scenario.budget
        return None if budget is None else budget.per_task(self.society.scenario.tasks.count)

    @cached_property
    def elastic(self) -> list[bool]:
        """Whether the agents of each group decide themselves what they spend."""
        return [
            isinstance(group.model.open(seed=self.society.seed), ElasticBackend)
            for group in self.society.scenario.agents
        ]


class InOrder:
    """The object brings the events of concurrent episodes, and their rows, into the order of the log."""

    def __init__(self, writer: SegmentWriter, episodes: EpisodeTable) -> None:
        self._writer = writer
        self._episodes = episodes
        self._waiting: dict[int, list[Event]] = {}
        self._ended: dict[int, EpisodeRow] = {}
        self._head = 0

    def add(self, task: int, events: Sequence[Event]) -> None:
        """Take the events of one round of an episode."""
        if task == self._head:
            self._writer.add(events)
        else:
            self._waiting.setdefault(task, []).extend(events)

    def end(self, row: EpisodeRow) -> None:
        """Take the row of an episode that has ended; pass on what waited for it."""
        self._ended[row.task] = row
        while self._head in self._ended:
            self._episodes.add(self._ended.pop(self._head))
            self._head += 1
            if self._head in self._waiting:
                self._writer.add(self._waiting.pop(self._head))

    def close(self, under_way: Sequence[EpisodeRow]) -> None:
        """Pass on everything that was committed, also of episodes under way, because the run ends here."""
        rows = {row.task: row for row in under_way} | self._ended
        for task in sorted(rows):
            self._writer.add(self._waiting.pop(task, ()))
            self._episodes.add(rows[task])
        self._ended.clear()


class RunState:
    """The object holds what the episodes of a run share, and what each of them changes as it goes on."""

    def __init__(self, epochs: Sequence[ScenarioEpoch], writer: SegmentWriter, boards: dict[int, Board]) -> None:
        """Prepare a run.

        Args:
            epochs: by their start; the first starts at (0, 0), the last one is the run's own scenario.
            writer: takes the events in canonical order.
            boards: the boards of the episodes under way, shared with hosts in this process.
        """
        self.epochs = sorted(epochs, key=lambda epoch: epoch.start)
        self.society = self.epochs[-1].society
        self.family = self.society.scenario.tasks
        self.boards = boards
        self.ledgers: dict[int, Ledger] = {}
        self.episodes = EpisodeTable()
        writer.episodes = lambda: self.episodes.totals
        self.order = InOrder(writer, self.episodes)
        self.stopping = False
        """Set to end the run in order: rounds under way are finished, no new one is begun."""
        self.pace = Pace()
        self.steps: Steps | None = None
        """What resolves the steps of an environment that has its state in a program of its own."""
        self.kept: list[str] = []
        """What protocols kept of earlier tasks, where these are taken one after the other."""
        self.elsewhere: Elsewhere | None = None
        """What episodes show of each other, where a protocol has it so."""
        if any(epoch.society.scenario.protocol.elsewhere for epoch in epochs):
            self.elsewhere = Elsewhere(self.family.count)
        self.open: dict[int, Callable[[], EpisodeRow]] = {}
        """For each episode under way, what gives its row as it is after the last committed round."""

    @property
    def sequential(self) -> bool:
        """Whether tasks are taken one after the other."""
        return self.society.scenario.episodes == "sequential"

    def epoch_at(self, task: int, round_: int) -> ScenarioEpoch:
        """Return the epoch to which a round belongs."""
        return next(epoch for epoch in reversed(self.epochs) if epoch.start <= (task, round_))
