"""This module puts values of the environment into addresses: ``base_url: http://${MODEL_HOST}:8000/v1``.

Only what a person gives is read so: a file that is loaded, and what is set from outside. What a run or a comparison
stores is the address that came out, and nothing that is stored is ever looked up. A key is never put in this way: its
variable is named in ``api_key_env``, and its value stays out of every file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from agentsoc.contracts.variables import is_secret_name
from agentsoc.errors import Problem
from agentsoc.scenario.source import printable
from agentsoc.scenario.strict import Document, Path

OPENS: Final = "${"
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]{0,99})\}")
_ADDRESS: Final = "base_url"
_PROSE: Final = frozenset({"description", "prompt", "prompts", "shown"})
"""Keys below which a dollar sign may stand before what is in braces: texts, some with placeholders of their own."""


def with_addresses(document: Document, under: Path = ()) -> Document:
    """Return a document with the variables in its addresses replaced by their values.

    Args:
        document: what was read. What is wrong with a variable is added to its problems.
        under: path that the items of the document's list are to be set at, for one from the command line.
    """
    problems: list[Problem] = []
    data = _replaced(document.data, under, (), document, problems)
    if not problems and data is document.data:
        return document
    return replace(document, data=data, problems=(*document.problems, *problems))


def _replaced(value: Any, under: Path, inside: Path, document: Document, problems: list[Problem]) -> Any:
    """Return a value with its addresses resolved; the same object where nothing changes."""
    if isinstance(value, str):
        if OPENS not in value:
            return value
        return _text(value, (*under, *inside), document.place(inside), problems)
    if isinstance(value, dict):
        odd = [key for key in value if OPENS in str(key)]
        problems += [Problem(document.place((*inside, key), of_key=True), *_only_addresses(key)) for key in odd]
        found = {key: _replaced(item, under, (*inside, key), document, problems) for key, item in value.items()}
        return found if any(found[key] is not value[key] for key in value) else value
    if isinstance(value, list):
        items = [_replaced(item, under, (*inside, at), document, problems) for at, item in enumerate(value)]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def _words(path: Path) -> Iterator[str]:
    """Yield the keys of a path, those of a dotted one (as in a sweep) apart."""
    for step in path:
        if isinstance(step, str):
            yield from step.split(".")


def _text(text: str, path: Path, place: str, problems: list[Problem], environ: Mapping[str, str] = os.environ) -> str:
    words = [word for word in _words(path) if not word.isdecimal()]
    if not _PROSE.isdisjoint(words):
        return text
    if words[-1:] != [_ADDRESS] or "extra" in words:
        problems.append(Problem(place, *_only_addresses(text)))
        return text
    if OPENS in _VARIABLE.sub("", text):
        what = f'"{printable(text, 60)}" holds a $ and a brace that name no variable'
        problems.append(Problem(place, what, "write ${NAME}: letters, digits and underscores"))
        return text
    for name in dict.fromkeys(_VARIABLE.findall(text)):
        if is_secret_name(name):
            what = f"${{{name}}} is named like a secret, and an address is printed and stored"
            problems.append(Problem(place, what, f"write the variable of a key as api_key_env: {name}"))
        elif not environ.get(name, "").strip():
            what = f"the environment variable {name} is not set, and {_ADDRESS} names it"
            problems.append(Problem(place, what, f"export {name}=..., or write the address itself"))
    return _VARIABLE.sub(lambda found: environ.get(found[1], found[0]).strip(), text)


def _only_addresses(text: str) -> tuple[str, str]:
    """Return what is wrong with a variable of the environment anywhere else, and what to do instead."""
    return (
        f'"{printable(str(text), 60)}": variables of the environment are read in addresses ({_ADDRESS}) only',
        "write the value itself, or set it from outside: --set path=value; a key's variable goes into api_key_env",
    )
