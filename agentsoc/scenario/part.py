"""`Part`: what a scenario is made of, and `Slot`: a place in a scenario that any registered part may fill.

Topologies, protocols, task families and models are parts. Each kind is found by an entry point (groups below), so a
package adds one by naming its class; a loose file adds one with `--allow-code`.
"""

from __future__ import annotations

import difflib
import importlib.metadata
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from agentsoc.errors import InputError


class Part(BaseModel):
    """A piece of a scenario: frozen, closed to unknown keys, documented field by field."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    slot: ClassVar[str] = ""
    """Entry-point group of the slot that this part fills; set by the base class of each category."""


P = TypeVar("P", bound=Part)


def nearest(word: object, known: Mapping[str, object] | list[str]) -> str:
    """Return a suggestion for a misspelt `word`: the nearest known one, or the list when it is short."""
    names = sorted(known)
    close = difflib.get_close_matches(str(word), names, n=1, cutoff=0.6)
    if close:
        return f'did you mean "{close[0]}"?'
    return "known: " + ", ".join(names[:24])


def kind_of(cls: type[Part]) -> str:
    """Return the literal tag of a part's class, e.g. ``star``."""
    field = cls.model_fields.get("kind")
    tags = get_args(field.annotation) if field is not None else ()
    if len(tags) != 1 or not isinstance(tags[0], str):
        raise InputError(f'{cls.__qualname__} needs a field like: kind: Literal["my-kind"] = "my-kind"')
    return tags[0]


class Slot(Generic[P]):
    """A place in a scenario, used as ``Annotated[Base, Slot(group, noun)]``; a bare word stands for ``{kind: word}``."""

    _loose: ClassVar[dict[str, dict[str, type[Part]]]] = {}
    _found: ClassVar[dict[str, dict[str, type[Part]]]] = {}

    def __init__(self, group: str, noun: str) -> None:
        self.group, self.noun = group, noun

    def kinds(self) -> dict[str, type[P]]:
        """Return every registered class by its kind, loose ones included."""
        if self.group not in self._found:
            found: dict[str, type[Part]] = {}
            for entry in importlib.metadata.entry_points(group=self.group):
                found[entry.name] = entry.load()
            self._found[self.group] = found
        return {**self._found[self.group], **self._loose.get(self.group, {})}  # type: ignore[dict-item]

    def names(self) -> list[str]:
        """Return the registered kinds without importing their modules."""
        entries = {entry.name for entry in importlib.metadata.entry_points(group=self.group)}
        return sorted(entries | set(self._loose.get(self.group, {})))

    def find(self, kind: object) -> type[P]:
        """Return the class registered as `kind`; import only that one."""
        loose = self._loose.get(self.group, {})
        if isinstance(kind, str):
            if kind in loose:
                return loose[kind]  # type: ignore[return-value]
            if kind in self._found.get(self.group, {}):
                return self._found[self.group][kind]  # type: ignore[return-value]
            for entry in importlib.metadata.entry_points(group=self.group, name=kind):
                return entry.load()  # type: ignore[no-any-return]
        raise PydanticCustomError(
            "unknown_kind",
            "there is no {noun} of kind {kind}; {hint}",
            {"noun": self.noun, "kind": repr(kind), "hint": nearest(kind, self.names())},
        )

    def parse(self, value: object) -> P:
        """Return the part that `value` describes: a part, a kind's name, or a mapping with ``kind``."""
        if isinstance(value, Part):
            return value  # type: ignore[return-value]
        if isinstance(value, str):
            return self.find(value)()
        if not isinstance(value, Mapping):
            raise PydanticCustomError(
                "part_type", "a {noun} is a kind's name or a mapping with kind", {"noun": self.noun}
            )
        if "kind" not in value:
            raise PydanticCustomError(
                "kind_missing",
                "this {noun} has no kind; {hint}",
                {"noun": self.noun, "hint": "known: " + ", ".join(self.names())},
            )
        return self.find(value["kind"]).model_validate(dict(value))

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda part: part.model_dump(mode="json")),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        shapes = [cls.model_json_schema() for _, cls in sorted(self.kinds().items())]
        return {"anyOf": [{"type": "string", "enum": self.names()}, *shapes], "title": self.noun}

    @classmethod
    def register(cls, part: type[Part]) -> None:
        """Add a class from loose code; it must derive from the base class of its category."""
        if not part.slot:
            raise InputError(f"{part.__qualname__} fills no slot; derive it from Topology, Protocol, TaskFamily or Model")
        cls._loose.setdefault(part.slot, {})[kind_of(part)] = part

    @classmethod
    def forget_loose(cls) -> None:
        """Drop what `register` added (tests)."""
        cls._loose.clear()
