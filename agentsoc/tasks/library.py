"""`library`: a question that goes through several catalogues, each on a private shelf of one agent.

The question is what everybody is told. The shelves stand in ``data``, and the protocol `experts` gives each of them to
whoever holds it; a society in which nobody is given a shelf can only guess.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from agentsoc.contracts.task import Task, TaskFamily
from agentsoc.puzzles.shelves import NAMES_MAX, SHELVES_MAX, question, shelf_text, stock, subjects, title
from agentsoc.streams import stream


class LibraryQuestions(TaskFamily):
    """Questions whose facts are split over shelves: catalogues that lead from name to name."""

    kind: Literal["library"] = "library"
    shelves: int = Field(default=4, ge=2, le=SHELVES_MAX)
    """Catalogues, each on a shelf of its own."""
    hops: int = Field(default=2, ge=1, le=SHELVES_MAX)
    """Catalogues that a question goes through."""
    names: int = Field(default=8, ge=2, le=NAMES_MAX)
    """Names in a catalogue, and possible answers."""

    @model_validator(mode="after")
    def _possible(self) -> LibraryQuestions:
        if self.hops > self.shelves:
            raise ValueError(f"a question goes through at most {self.shelves} shelves, got {self.hops} hops")
        return self

    def make(self, seed: int, index: int) -> Task:
        """Return question `index`; it is that of the environment `library` with the same settings."""
        drawn = stock(stream(seed, "task", self.kind, index), self.shelves, self.names, self.hops)
        held = subjects(self.shelves)
        return Task(
            index=index,
            id=f"{self.kind}-{index}",
            question=question(drawn["path"], drawn["start"]),
            truth=drawn["answer"],
            options=tuple(drawn["options"]),
            chance=1 / self.names,
            data={
                "shelves": [shelf_text(drawn["catalogues"], [subject]) for subject in held],
                "titles": [title(subject) for subject in held],
            },
        )
