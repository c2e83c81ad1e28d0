"""This module finds what each field of a part means: it reads the docstring below the field when somebody asks.

Pydantic can do the same as it builds a class, but then every command pays for reading and parsing the source of every
part that it uses, a tenth of `agentsoc check`. Only faults, the JSON Schema and the documentation need the words.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_described: set[type[BaseModel]] = set()


def described(cls: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """Return the fields of `cls`, each with its description: its own if it has one, else the docstring below it.

    A field without a docstring has none, also when a base class describes a field of that name. Nor have the fields of
    a class whose source is not there.
    """
    fields = cls.model_fields
    if cls not in _described:
        _described.add(cls)
        for name, field in fields.items():
            home = next((base for base in cls.__mro__ if name in inspect.get_annotations(base)), None)
            if field.description is None and home is not None:
                field.description = _docstrings(home).get(name)
    return fields


_read: dict[type[Any], dict[str, str]] = {}


def _docstrings(cls: type[Any]) -> dict[str, str]:
    """Return the docstrings below the annotated names of a class body."""
    if cls not in _read:
        _read[cls] = {}
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        except (OSError, TypeError, SyntaxError, IndexError):  # made in a console, or its file has changed
            return _read[cls]
        lines = body.body if isinstance(body, ast.ClassDef) else []
        for line, below in pairwise(lines):
            if not (isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)):
                continue
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                text = below.value.value
                if isinstance(text, str):
                    _read[cls][line.target.id] = inspect.cleandoc(text)
    return _read[cls]
