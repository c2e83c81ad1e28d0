"""`Part`: what a scenario is made of, and `Slot`: a place in a scenario that any registered part may fill.

Topologies, protocols, task families and models are parts. Each kind is found by an entry point (groups below), so a
package adds one by naming its class; a loose file adds one with `--allow-code`.
"""

from __future__ import annotations

import difflib
import importlib.metadata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, ClassVar, Final, Generic, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler  # not in the top module of pydantic 2.10
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from agentsoc.contracts.exact import make_exact
from agentsoc.contracts.meanings import described
from agentsoc.errors import InputError

MAX_PROBLEMS: Final = 50
"""Faults that are reported of one part; a file can hold a hundred thousand, and nobody reads them."""


class Part(BaseModel):
    """A piece of a scenario: frozen, closed to unknown keys, documented field by field.

    Numbers and truth values are exact: a text, a truth value or 8.0 is not taken for the whole number 8. A fault names
    what is known of the field, so that the loader can suggest what to write.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    slot: ClassVar[str] = ""
    """Entry-point group of the slot that this part fills; set by the base class of each category."""
    later: ClassVar[frozenset[str]] = frozenset()
    """Fields that earlier versions did not have. They are dumped only where they differ from their default, so that
    the hashes of scenarios from before they existed stay what they are."""

    @model_serializer(mode="wrap")
    def _without_unset_later(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        for name in self.later:
            if getattr(self, name) == fields[name].get_default(call_default_factory=True):
                data.pop(name, None)
        return data

    def files(self) -> tuple[str, ...]:
        """Return the files that the part reads, by their names in the scenario; the run keeps copies of them."""
        name = dict(self).get("file")
        return (name,) if isinstance(name, str) and name else ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        make_exact(schema)
        return schema

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        shape = handler(schema)
        properties = handler.resolve_ref_schema(shape).get("properties", {})
        for name, field in described(cls).items():
            if field.description is not None and name in properties:
                properties[name].setdefault("description", field.description)
        return shape

    def __hash__(self) -> int:
        """Hash by content, also of a part that holds a mapping: parts are keys, e.g. one backend for equal models."""
        return hash((type(self), *(_hashable(getattr(self, name)) for name in type(self).model_fields)))

    @model_validator(mode="wrap")
    @classmethod
    def _say_what_is_known(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Add to each fault of this part what its reader needs: the known keys, the field's description."""
        try:
            return handler(value)
        except ValidationError as error:
            details = [_informed(cls, fault) for fault in error.errors(include_url=False)[:MAX_PROBLEMS]]
            raise ValidationError.from_exception_data(error.title, details) from None
        except InputError as error:  # a field that reads a file
            raise _merged(error) from error


def _hashable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return frozenset((key, _hashable(item)) for key, item in value.items())
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


P = TypeVar("P", bound=Part)


def nearest(word: object, known: Iterable[str]) -> str:
    """Return a suggestion for a misspelt `word`: the nearest known one, or the list when none is near."""
    names = sorted(known)
    if (close := nearest_or_none(word, names)) is not None:
        return f'did you mean "{close}"?'
    return "known: " + ", ".join(names[:24]) + (", ..." if len(names) > 24 else "")


def nearest_or_none(word: object, known: Iterable[str]) -> str | None:
    """Return the known word that is nearest to a misspelt one; None when none is near."""
    lowered = {name.lower(): name for name in sorted(known)}
    close = difflib.get_close_matches(str(word)[:80].lower(), list(lowered), n=1, cutoff=0.6)
    return lowered[close[0]] if close else None


def kind_of(cls: type[Part]) -> str:
    """Return the literal tag of a part's class, e.g. ``star``."""
    field = cls.model_fields.get("kind")
    tags = get_args(field.annotation) if field is not None else ()
    if len(tags) != 1 or not isinstance(tags[0], str):
        raise InputError(f'{cls.__qualname__} needs a field like: kind: Literal["my-kind"] = "my-kind"')
    return tags[0]


_STAND_INS: Final[ContextVar[Mapping[str, type[Part]]]] = ContextVar("stand-ins", default=MappingProxyType({}))
"""By slot, the class of parts whose kind nobody brings; see `Slot.standing_in`."""
SAME_SLOT: Final = "x-same-slot"
"""Stands in a JSON Schema where a part holds another one of its own category; see `agentsoc.scenario.schema`."""


LOOSE_MODULE: Final = "agentsoc_code_"
"""How the names of modules begin that loose files become."""


class Slot(Generic[P]):
    """A place in a scenario: ``Annotated[Base, Slot(group, noun)]``. A bare word stands for ``{kind: word}``.

    A place that may be empty is ``Annotated[Base | None, Slot(group, noun)] = None``.
    """

    _entries: ClassVar[dict[str, dict[str, importlib.metadata.EntryPoint]]] = {}
    _found: ClassVar[dict[str, dict[str, type[Part]]]] = {}
    _loose: ClassVar[dict[str, dict[str, type[Part]]]] = {}
    _describing: ClassVar[list[str]] = []
    """Groups whose JSON Schema is being made, outermost first."""

    def __init__(self, group: str, noun: str) -> None:
        self.group, self.noun = group, noun

    @staticmethod
    @contextmanager
    def standing_in(part: type[Part]) -> Iterator[None]:
        """Within the context, kinds of its slot that nobody brings, or that cannot be loaded, are parts of a class."""
        token = _STAND_INS.set({**_STAND_INS.get(), part.slot: part})
        try:
            yield
        finally:
            _STAND_INS.reset(token)

    @classmethod
    def entries(cls, group: str) -> Mapping[str, importlib.metadata.EntryPoint]:
        """Return the entry points of `group` by kind. What agentsoc itself brings is not replaced by other packages."""
        if group not in cls._entries:
            named: dict[str, importlib.metadata.EntryPoint] = {}
            for entry in importlib.metadata.entry_points(group=group):
                if entry.name not in named or entry.module.startswith("agentsoc."):
                    named[entry.name] = entry
            cls._entries[group] = named
        return cls._entries[group]

    @classmethod
    def loose(cls, group: str) -> Mapping[str, type[Part]]:
        """Return the classes that `register` added to `group`, by kind."""
        return cls._loose.get(group, {})

    def names(self) -> list[str]:
        """Return the registered kinds without importing their modules."""
        return sorted({*self.entries(self.group), *self.loose(self.group)})

    def kinds(self) -> dict[str, type[P]]:
        """Return every registered class by its kind, loose ones included; imports all their modules."""
        return {name: self._load(name) for name in self.names()}

    def find(self, kind: object) -> type[P]:
        """Return the class registered as `kind`; import only that one."""
        other: type[P] | None = _STAND_INS.get().get(self.group)  # type: ignore[assignment]
        if isinstance(kind, str) and (kind in self.loose(self.group) or kind in self.entries(self.group)):
            try:
                return self._load(kind)
            except InputError:
                if other is None:
                    raise
                return other
        if other is not None and isinstance(kind, str):
            return other
        fault = PydanticCustomError(
            "unknown_kind",
            "there is no {noun} of kind {kind}; {hint}",
            {"noun": self.noun, "kind": repr(kind)[:80], "hint": nearest(kind, self.names()), "known": self.names()},
        )
        details = InitErrorDetails(type=fault, loc=("kind",), input=kind)
        raise ValidationError.from_exception_data(self.noun, [details])

    def _load(self, kind: str) -> type[P]:
        if kind in (loose := self.loose(self.group)):
            return loose[kind]  # type: ignore[return-value]
        found = self._found.setdefault(self.group, {})
        if kind not in found:
            entry = self.entries(self.group)[kind]
            try:
                part = entry.load()
            except (ImportError, AttributeError) as error:
                raise InputError(
                    f"the {self.noun} {kind} cannot be loaded from {entry.value}: {error}",
                    "",
                    "install what it needs, or remove the package that brings it",
                ) from error
            if not (isinstance(part, type) and issubclass(part, Part) and part.slot == self.group):
                raise InputError(f"{entry.value}, registered as {self.noun} {kind}, is no such part")
            found[kind] = part
        return found[kind]  # type: ignore[return-value]

    def parse(self, value: object) -> P:
        """Return the part that `value` describes: a part, a kind's name, or a mapping with ``kind``."""
        if isinstance(value, Part) and value.slot == self.group:
            return value  # type: ignore[return-value]
        known = "known: " + ", ".join(self.names())
        if not isinstance(value, str | Mapping):
            what = "a {noun} is the name of a kind or a mapping with kind"
            raise PydanticCustomError("part_type", what, {"noun": self.noun, "hint": known})
        values = {} if isinstance(value, str) else dict(value)
        if not isinstance(value, str) and "kind" not in values:
            raise PydanticCustomError("kind_missing", "this {noun} has no kind", {"noun": self.noun, "hint": known})
        try:
            return self.find(values.get("kind", value)).model_validate(values)
        except InputError as error:
            raise _merged(error) from error

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        part = core_schema.no_info_plain_validator_function(
            self.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda part: part.model_dump(mode="json")),
        )
        return core_schema.nullable_schema(part) if type(None) in get_args(source) else part

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        if self.group in Slot._describing:  # a part that holds another one of its own category
            return {SAME_SLOT: self.noun}
        Slot._describing.append(self.group)
        try:
            shape = self._describe(handler)
        finally:
            Slot._describing.remove(self.group)
        return {"anyOf": [shape, {"type": "null"}]} if schema["type"] == "nullable" else shape

    def _describe(self, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        shapes: list[JsonSchemaValue] = []
        bare: list[str] = []
        for kind, cls in sorted(self.kinds().items()):
            shape = cls.__get_pydantic_json_schema__(cls.__pydantic_core_schema__, handler)
            # A mapping must say its kind although the class has a default for it.
            required = {"required": ["kind", *shape.get("required", ())]}
            shapes.append({"allOf": [shape], **required} if "$ref" in shape else {**shape, **required})
            if not any(field.is_required() for field in cls.model_fields.values()):
                bare.append(kind)
        return {"anyOf": [{"type": "string", "enum": bare}, *shapes], "title": self.noun}

    @classmethod
    def register(cls, part: type[Part]) -> None:
        """Add a class from loose code; it must derive from the base class of its category, and its kind be its own."""
        given: object = part
        if not (isinstance(given, type) and issubclass(given, Part) and given.slot):
            what = given.__qualname__ if isinstance(given, type) else repr(given)[:80]
            raise InputError(f"{what} fills no slot; derive it from Topology, Protocol, TaskFamily, Model or Policy")
        kind = kind_of(part)
        installed = cls.entries(part.slot).get(kind)
        if installed is not None and installed.module.startswith("agentsoc."):
            raise InputError(f'the kind "{kind}" of {part.__qualname__} is built in', part.slot, "give it another kind")
        cls._loose.setdefault(part.slot, {})[kind] = part

    @classmethod
    def forget_loose(cls) -> None:
        """Drop what `register` added (tests)."""
        cls._loose.clear()


def _merged(error: InputError) -> PydanticCustomError:
    """Return an error that pydantic merges with the others, at its place in the scenario."""
    problem = error.problem
    what = f"{problem.where}: {problem.what}" if problem.where else problem.what
    return PydanticCustomError("input", "{message}", {"message": what, "hint": problem.hint})


def _informed(cls: type[Part], fault: Any) -> InitErrorDetails:
    """Return `fault` with what `cls` knows of it in its context: ``known`` keys, ``about`` the field, a ``hint``."""
    loc: tuple[int | str, ...] = fault["loc"]
    context = {key: value for key, value in fault.get("ctx", {}).items() if key != "error"}
    error = fault.get("ctx", {}).get("error")
    context["message"] = str(error) if error is not None else fault["msg"]
    if len(loc) <= 1 and "known" not in context:
        context["known"] = list(cls.model_fields)
        field = described(cls).get(str(loc[0])) if loc else None
        if field is not None:
            context["about"] = field.description or ""
            context["slots"] = [known for slot in field.metadata if isinstance(slot, Slot) for known in slot.names()]
        if fault["type"] == "extra_forbidden":
            context["hint"] = nearest(loc[0], cls.model_fields)
            context["message"] = "there is no key {key}; {hint}"
            context["key"] = repr(loc[0])[:80]
    return InitErrorDetails(
        type=PydanticCustomError(fault["type"], "{message}", context), loc=loc, input=fault.get("input")
    )
