"""This module gives results their HTML in a notebook: pictures where a package offers some, else the text as it is.

Whoever can draw registers an entry point in the group ``agentsoc.notebook``: a function from the object to HTML without
any script, named after the kind of result. So nothing here knows who draws.
"""

from __future__ import annotations

import html
import importlib.metadata
from typing import Final, Literal

from agentsoc.errors import AgentsocError

GROUP: Final = "agentsoc.notebook"
PLAIN_CHARS: Final = 20_000
"""Length to which a plain text is shown (characters)."""
NotebookKind = Literal["run", "comparison", "laws", "phase", "plan"]


def notebook_html(kind: NotebookKind, value: object, plain: str) -> str:
    """Return the HTML of a result.

    Args:
        kind: what it is.
        value: the result.
        plain: its text, which is shown where nobody draws it, or where it cannot be drawn; then the reason as well.
    """
    why = ""
    for entry in importlib.metadata.entry_points(group=GROUP, name=kind):
        try:
            return str(entry.load()(value))
        except ImportError as error:
            why = f"not drawn: {error}"
        except AgentsocError as error:
            why = str(error)
    lines = [plain[:PLAIN_CHARS], *([why] if why else [])]
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>"
