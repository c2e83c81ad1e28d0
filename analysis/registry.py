"""This module defines `Registry`: it finds the objects of one kind that installed packages offer by entry point.

A package adds an object with one line in its own pyproject.toml, the name and the class; the class needs no arguments::

    [project.entry-points."analysis.tail_competitors"]
    weibull = "my_package.weibull:Weibull"
"""

from __future__ import annotations

import difflib
import importlib.metadata
from inspect import getattr_static
from typing import ClassVar, Generic, TypeVar

from agentsoc.errors import InputError


class Registered:
    """The protocol names what every registered object has."""

    name: ClassVar[str]
    """Name under which it is found; that of its entry point."""
    place: ClassVar[int] = 100
    """Objects are listed by place, then by name; built-in ones come first."""


R = TypeVar("R", bound=Registered)


class Registry(Generic[R]):
    """The registry finds the objects of a group when it is first asked and keeps them."""

    def __init__(self, group: str, base: type[R], *, required: bool = True) -> None:
        """Name the group and the class of its objects; `required` says whether an installation has some."""
        self.group = group
        self.base = base
        self._required = required
        self._found: dict[str, R] | None = None

    def all(self) -> dict[str, R]:
        """Return the objects by name, in order. No other package can take the place of a built-in one.

        Raises:
            InputError: an entry point cannot be loaded, or names something else; or none is installed.
        """
        if self._found is None:
            entries: dict[str, importlib.metadata.EntryPoint] = {}
            for entry in importlib.metadata.entry_points(group=self.group):
                if entry.name not in entries or entry.module.startswith("analysis."):
                    entries[entry.name] = entry
            found = [self._loaded(entry) for entry in entries.values()]
            if not found and self._required:
                raise InputError(f"nothing is installed under {self.group}", "", "install agentsoc again")
            self._found = {one.name: one for one in sorted(found, key=lambda one: (one.place, one.name))}
        return self._found

    def get(self, name: str, where: str = "") -> R:
        """Return the object of this name.

        Raises:
            InputError: there is none; says which there are.
        """
        found = self.all()
        if name not in found:
            close = difflib.get_close_matches(name, found, n=1, cutoff=0.6)
            hint = f"did you mean {close[0]}?" if close else f"use one of {', '.join(found)}"
            raise InputError(f"there is no {name!r} in {self.group}", where, hint)
        return found[name]

    def forget(self) -> None:
        """Forget what was found and look again at the next question, because installed packages have changed."""
        self._found = None

    def _loaded(self, entry: importlib.metadata.EntryPoint) -> R:
        try:
            part = entry.load()
        except (ImportError, AttributeError) as error:
            raise InputError(
                f"{entry.name} in {self.group} cannot be loaded from {entry.value}: {error}",
                "",
                "install what it needs, or remove its package",
            ) from error
        if not (
            isinstance(part, type) and issubclass(part, self.base) and getattr_static(part, "name", None) == entry.name
        ):
            raise InputError(
                f"{entry.value} is no {self.base.__name__} of the name {entry.name}", self.group, "mend its entry point"
            )
        return part()
