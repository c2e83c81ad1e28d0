"""This module reads a run, or an imported log, episode by episode for whoever writes it in another form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

from agentsoc.contracts.model import FailureKind
from agentsoc.errors import InputError
from agentsoc.events import SOCIETY
from agentsoc.log.below import is_run
from agentsoc.log.journal import Attempt
from agentsoc.log.read import RunLog
from agentsoc.log.tool_rows import is_model
from analysis.blocks import blocks, frame_of

SLOTS: Final = 64
"""Acts that one turn may number, and calls: see the page on the format of logs."""


class TurnKey(NamedTuple):
    """A turn: what an agent does in a round when it is called once."""

    round: int
    agent: int
    turn: int


@dataclass(frozen=True)
class ExportedEpisode:
    """What a run did on one task."""

    task: int
    name: str
    question: str | None
    truth: str | None
    acts: list[dict[str, Any]]
    """Rows of the events, in their order."""
    attempts: dict[TurnKey, list[Attempt]]
    """Calls of models by turn, in their order; those of the study are left out."""

    def turns(self) -> dict[TurnKey, list[dict[str, Any]]]:
        """Return the acts of agents by turn, and turns that called a model and did nothing."""
        found: dict[TurnKey, list[dict[str, Any]]] = {key: [] for key in self.attempts}
        for act in self.acts:
            if act["agent"] != SOCIETY:
                key = TurnKey(act["round"], act["agent"], act["k"] // SLOTS)
                found.setdefault(key, []).append(act)
        return dict(sorted(found.items()))

    @property
    def outcome(self) -> dict[str, Any] | None:
        """The answer of the society; None where there is none."""
        said = [act for act in self.acts if act["agent"] == SOCIETY and act["kind"] == "answer"]
        return said[-1] if said else None

    @property
    def ended(self) -> bool:
        """Whether the episode came to its end."""
        return any(act["agent"] == SOCIETY and act["kind"] == "stop" for act in self.acts)


def run_at(directory: Path) -> RunLog:
    """Return the run in a directory.

    Raises:
        InputError: there is none.
        LogDamagedError: it is not what was written.
    """
    if not is_run(directory):
        raise InputError(f"there is no run at {directory}", "", "name one run directory; agentsoc ls lists them")
    return RunLog(directory)


def episodes_of(log: RunLog) -> Iterator[ExportedEpisode]:
    """Yield the episodes of a run in the order of their tasks.

    Raises:
        LogDamagedError: the log is not what was written.
    """
    tasks = {row["task"]: row for row in log.tasks().to_dicts()}
    attempts = _attempts(log)
    for block in blocks(log):
        frame = frame_of(block)
        for part in frame.partition_by("task", maintain_order=True):
            task = int(part["task"][0])
            row = tasks.get(task, {})
            name = row.get("id")
            yield ExportedEpisode(
                task,
                str(task) if name is None else str(name),
                row.get("question"),
                row.get("truth"),
                part.to_dicts(),
                attempts.get(task, {}),
            )


def failure_sort(text: str | None) -> str | None:
    """Return the sort of a failure, where it is one of ours: what follows its name may repeat what was said."""
    sort = (text or "").split(":")[0].strip()
    return sort if sort in get_args(FailureKind) else None


def _attempts(log: RunLog) -> dict[int, dict[TurnKey, list[Attempt]]]:
    found: dict[int, dict[TurnKey, list[Attempt]]] = defaultdict(lambda: defaultdict(list))
    if not log.manifest.totals.calls and not log.manifest.totals.calls_lost:
        return found
    for one in log.journal():
        if one.agent != SOCIETY and is_model(one.model):
            found[one.task][TurnKey(one.round, one.agent, one.k // SLOTS)].append(one)
    return found
