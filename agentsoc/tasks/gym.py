"""This module gives access to every family of the package reasoning_gym, with its own generator and verifier."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from agentsoc.contracts.task import Task, TaskFamily, has_chat_marker, plain
from agentsoc.errors import TaskError
from agentsoc.tasks.gym_source import dataset, entry
from agentsoc.tasks.gym_verify import score

_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_LEAD = re.compile(r"^\W*(?:the )?(?:final )?answer(?: is\b:?|:)[ *]*(?=\S)", re.IGNORECASE)


class ReasoningGym(TaskFamily):
    """Tasks of one family of reasoning_gym; answers are free and scored in [0, 1] by the family's verifier.

    Task i depends on the seed and on i alone, in every process. An answer is what stands between ``<answer>`` tags;
    without them the last line that is not empty, or the whole reply where answers have several lines.
    """

    kind: Literal["reasoning-gym"] = "reasoning-gym"
    family: Annotated[str, Field(min_length=1, max_length=100)]
    """Name of the family, such as chain_sum; a wrong one is answered with the list of all."""
    config: dict[str, JsonValue] = Field(default={}, max_length=100)
    """Settings of the family, as reasoning_gym names them; its own defaults for what is left out."""

    @property
    def _config_text(self) -> str:
        return json.dumps(self.config, sort_keys=True)

    def make(self, seed: int, index: int) -> Task:
        """Return task `index`.

        Raises:
            TaskError: there is no such family or setting, or the family fails with these settings.
            MissingExtraError: reasoning_gym is not installed.
        """
        item = entry(self.family, self._config_text, seed, index, self.count)
        question = plain_question(item["question"])
        if has_chat_marker(question):
            raise TaskError(
                f"task {index} of {self.family} holds a chat marker like <|im_start|>", "tasks", "take another seed"
            )
        return Task(
            index=index,
            id=f"{self.family}-{index}",
            question=question,
            truth=reference(item),
            data={"entry": item, "seed": seed},
        )

    def parse(self, task: Task, text: str) -> str | None:
        """Return the answer that `text` states, with its case, marks and inner lines: the verifier wants it exactly."""
        readable = plain(text)
        if tagged := _TAGGED.findall(readable):
            return tagged[-1].strip() or None
        if "\n" in task.truth:  # the form of the reference, not its content
            return readable.strip("\n ") or None
        for line in reversed(readable.splitlines()):
            if line.strip():
                return _LEAD.sub("", line, count=1).strip() or None
        return None

    def score(self, task: Task, answer: str | None) -> float:
        """Return the verifier's score; partial credit is the family's own."""
        if answer is None:
            return 0.0
        data = dataset(self.family, self._config_text, task.data["seed"], 0)
        return score(data, task.data["entry"], answer)


def reference(item: dict[str, Any]) -> str:
    """Return the reference answer of an item, or an example of a right one; empty where the family has none."""
    metadata = item["metadata"]
    for value in (
        item["answer"],
        metadata.get("example_correct_answer"),
        metadata.get("example_answer"),
        metadata.get("possible_answer"),
    ):
        if isinstance(value, str):
            return value
        if isinstance(value, dict):
            return json.dumps(value)
    return ""


def plain_question(text: str) -> str:
    """Return a question without NUL characters and halves of surrogate pairs."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()
