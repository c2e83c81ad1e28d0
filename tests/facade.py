"""Names and signatures of `agentsoc.plugin` as text: `python -m tests.facade` writes them to golden/plugin.txt.

Functions are written as they are called; classes with their bases, their fields with defaults and the signatures of
their public methods and properties. What a class inherits from another class of the facade stands there. Types are
written as in the source, so the text is the same on every Python that is supported.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from pydantic import BaseModel

from agentsoc import plugin

GOLDEN: Final = Path(__file__).parent / "golden" / "plugin.txt"


def describe() -> str:
    """Return one paragraph for each name of the facade, in order."""
    return "\n".join("\n".join(_paragraph(name, getattr(plugin, name))) + "\n" for name in sorted(plugin.__all__))


def digest() -> str:
    """Return the first 12 digits of the hash of the facade, which the changelog names."""
    return hashlib.sha256(describe().encode()).hexdigest()[:12]


def _paragraph(name: str, thing: Any) -> Iterator[str]:
    if inspect.isclass(thing):
        yield f"class {name}({', '.join(base.__name__ for base in thing.__bases__ if base is not object)})"
        made = next((base for base in thing.__mro__ if "__init__" in vars(base)), object)
        if made.__module__.startswith("agentsoc.") and not issubclass(thing, BaseModel) and not _is_shape(thing):
            yield f"    __init__{_signature(vars(made)['__init__'])}"
        yield from (f"    {text}" for text in _members(thing).values())
    elif inspect.isfunction(thing):
        yield f"def {name}{_signature(thing)}"
    else:
        yield f"{name} = {_value(thing)}"


def _is_shape(cls: type) -> bool:
    """Return whether a class only says what others have to have (`typing.Protocol`)."""
    return bool(vars(cls).get("_is_protocol"))


def _members(cls: type) -> dict[str, str]:
    """Return the public members of a class and of those of its bases that have no paragraph of their own.

    Fields come first and in their order, because structs and data classes take them by position; then methods by name.
    """
    fields: dict[str, str] = {}
    methods: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        of_its_own = base is not cls and getattr(plugin, base.__name__, None) is base
        if base.__module__.startswith("agentsoc.") and not of_its_own:
            slots = () if hasattr(base, "__struct_fields__") else vars(base).get("__slots__", ())
            fields.update({name: name for name in slots if not name.startswith("_")})
            for name, kind in inspect.get_annotations(base).items():
                if not name.startswith("_") and name != "model_config":
                    fields[name] = f"{name}: {kind}{_default(cls, name)}"
            for name, member in vars(base).items():
                if not name.startswith("_") and (text := _method(member)) is not None:
                    methods[name] = name + text
    return fields | dict(sorted(methods.items()))


def _method(member: object) -> str | None:
    """Return how a method or property of a class is used; None for what is no such thing."""
    abstract = " abstract" if getattr(member, "__isabstractmethod__", False) else ""
    if isinstance(member, classmethod | staticmethod):
        return f"{_signature(member.__func__)} {type(member).__name__}"
    if inspect.isfunction(member):
        return _signature(member) + abstract
    read = member.fget if isinstance(member, property) else getattr(member, "func", None)
    return None if read is None else f" -> {inspect.get_annotations(read).get('return')} property"


def _default(cls: type, name: str) -> str:
    """Return the default of a field as ``= value``, or nothing where it has to be given."""
    if issubclass(cls, BaseModel) and name in cls.model_fields:
        field = cls.model_fields[name]
        return "" if field.is_required() else f" = {field.get_default(call_default_factory=True)!r}"
    if issubclass(cls, msgspec.Struct) and name in cls.__struct_fields__:
        of_struct = next(one for one in msgspec.structs.fields(cls) if one.name == name)
        if of_struct.required:
            return ""
        make = of_struct.default_factory
        return f" = {of_struct.default if make is msgspec.NODEFAULT else make()!r}"
    given = inspect.signature(cls).parameters.get(name) if "__dataclass_fields__" in vars(cls) else None
    if given is not None:
        return "" if given.default is inspect.Parameter.empty else f" = {given.default!r}"
    if name not in vars(cls):
        return ""
    value = vars(cls)[name]
    if isinstance(value, frozenset) and value:  # its order differs from process to process
        return f" = frozenset({{{', '.join(map(repr, sorted(value)))}}})"
    return f" = {value!r}"


def _signature(function: Any) -> str:
    """Return parameters and result of a function with its types as the source has them."""
    found = inspect.signature(function)
    written, last = [], None
    for parameter in found.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and last not in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL):
            written.append("*")
        last = parameter.kind
        star = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
        stars = "**" if parameter.kind is parameter.VAR_KEYWORD else star
        kind = "" if parameter.annotation is parameter.empty else f": {parameter.annotation}"
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        written.append(f"{stars}{parameter.name}{kind}{default}")
    result = "" if found.return_annotation is found.empty else f" -> {found.return_annotation}"
    return f"({', '.join(written)}){result}"


def _value(thing: object) -> str:
    if isinstance(thing, frozenset):
        return f"frozenset({sorted(thing)})"
    if isinstance(thing, plugin.Slot):
        return f"Slot({thing.group!r}, {thing.noun!r})"
    return str(thing) if not isinstance(thing, str) else repr(thing)


if __name__ == "__main__":
    GOLDEN.write_text(describe(), encoding="utf-8")
    print(f"{GOLDEN.name} written; the changelog has to name it: plug-in facade `{digest()}`")
