"""This module makes any text safe to stand in HTML or SVG: it is the one place through which texts of a log get there.

A text may be anybody's: markup, handlers, controls of terminals, characters that turn the direction of writing. What
cannot be seen is written as an escape sequence, as `agentsoc show` does; what HTML would take for markup is escaped.
"""

from __future__ import annotations

import html
from typing import Any, Final

from agentsoc.printing.text import safe

TEXT_MAX: Final = 20_000
"""Length to which a text is cut unless the caller says otherwise (characters)."""


def visible(text: object, limit: int = TEXT_MAX) -> str:
    """Return a text in which every character can be seen, cut to `limit` characters; not escaped for HTML."""
    whole = str(text)
    cut = whole if len(whole) <= limit else f"{whole[:limit]} ... cut, {len(whole):,} characters in all"
    return safe(cut)


def escaped(text: object, limit: int = TEXT_MAX) -> str:
    """Return a text for the content of an element or a quoted attribute."""
    return html.escape(visible(text, limit), quote=True)


def visible_data(data: Any, limit: int = TEXT_MAX) -> Any:
    """Return plain data for JSON with every text in it, keys included, made visible and cut."""
    if isinstance(data, str):
        return visible(data, limit)
    if isinstance(data, dict):
        return {visible(key, 200): visible_data(value, limit) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [visible_data(value, limit) for value in data]
    return data
