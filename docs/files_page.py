"""The page that names every file of the source with the first sentence of its docstring."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
PACKAGES: Final = ("agentsoc", "analysis")
_INTRO: Final = """
What each file of the source says of itself, room by room: search this page for the noun that you are after. What the
rooms are, and which may import which, is in the [architecture](architecture.md).
"""


def files_page(banner: str) -> str:
    """Return the page as Markdown."""
    return "\n".join(["# Every file in one line", "", banner, _INTRO, *_rooms()]).rstrip() + "\n"


def _rooms() -> Iterator[str]:
    for package in PACKAGES:
        for folder in sorted({path.parent for path in (ROOT / package).rglob("*.py")}):
            yield f"## {folder.relative_to(ROOT)}/"
            yield ""
            init = folder / "__init__.py"
            if init.exists() and (said := first_paragraph(init)):
                yield textwrap.fill(said, 120, break_long_words=False, break_on_hyphens=False)
                yield ""
            files = [path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
            for path in files:
                yield textwrap.fill(
                    f"- `{path.relative_to(ROOT)}`: {first_paragraph(path)}",
                    120,
                    subsequent_indent="  ",
                    break_long_words=False,
                    break_on_hyphens=False,
                )
            if files:
                yield ""


def first_paragraph(path: Path) -> str:
    """Return the first paragraph of a module's docstring on one line, without "This module"; empty for none."""
    said = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0].split())
    return said.replace("``", "`").removeprefix("This module ").removeprefix("This package ")
