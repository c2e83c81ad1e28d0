"""What fields mean is read from the docstrings below them, when it is asked for, as pydantic itself would read it."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import ConfigDict, Field

from agentsoc.contracts.attention import Attention
from agentsoc.contracts.group import AgentGroup
from agentsoc.contracts.meanings import described
from agentsoc.contracts.part import Part
from agentsoc.scenario.budget import Budget
from agentsoc.scenario.model import Calls, Engine, Scenario


class Fruit(Part):
    kind: str
    """Which fruit."""
    weight: float = 1.0
    """How heavy it is

    when it is ripe (kilograms)."""
    seeds: int = Field(default=3, description="Its own words.")
    """Not these words."""
    skin: str = ""
    "A plain string does as well."
    bare: int = 0
    both: int = 0  # a comment is no docstring
    other: int = 0
    """Last."""


class Apple(Fruit):
    kind: Literal["apple"] = "apple"
    weight: float = 0.2
    """A little."""


class ReadByPydantic(Fruit):
    model_config = ConfigDict(use_attribute_docstrings=True)

    kind: Literal["apple"] = "apple"
    weight: float = 0.2
    """A little."""
    taste: str = "sweet"
    """To me

    and to you."""


def words(cls: type[Any]) -> dict[str, str | None]:
    return {name: field.description for name, field in described(cls).items()}


def test_a_docstring_below_a_field_is_its_description() -> None:
    assert words(Fruit) == {
        "kind": "Which fruit.",
        "weight": "How heavy it is\n\nwhen it is ripe (kilograms).",
        "seeds": "Its own words.",
        "skin": "A plain string does as well.",
        "bare": None,
        "both": None,
        "other": "Last.",
    }


def test_a_field_that_is_written_anew_loses_the_words_of_its_base_and_others_keep_them() -> None:
    found = words(Apple)
    assert (found["kind"], found["weight"], found["skin"]) == (None, "A little.", "A plain string does as well.")


def test_it_reads_what_pydantic_reads() -> None:
    own = {name: field.description for name, field in ReadByPydantic.model_fields.items()}
    assert {name: own[name] for name in ("kind", "weight", "taste")} == {
        "kind": None,
        "weight": "A little.",
        "taste": "To me\n\nand to you.",
    }
    again = type("Again", (ReadByPydantic,), {"__module__": __name__})
    assert words(again) == {**words(Apple), "taste": own["taste"]}


def test_a_class_without_a_source_has_no_descriptions() -> None:
    space: dict[str, Any] = {"Part": Part, "__name__": "console"}
    exec('class Made(Part):\n    one: int = 1\n    """Nobody can read this."""\n', space)
    assert words(space["Made"]) == {"one": None}


@pytest.mark.parametrize("cls", [AgentGroup, Attention, Budget, Calls, Engine, Scenario])
def test_a_schema_says_what_every_key_means(cls: type[Part]) -> None:
    properties = cls.model_json_schema()["properties"]
    assert properties
    assert [name for name, field in properties.items() if not field.get("description")] == []
