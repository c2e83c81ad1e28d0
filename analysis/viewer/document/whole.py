"""This module makes the document: sections in one HTML file that opens from disk, asks for nothing, and prints.

Its content security policy forbids everything but the one style sheet and the one script in it, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Final

from agentsoc.errors import InputError
from analysis.viewer.charts.escape import escaped
from analysis.viewer.document.parts import SCRIPT, STYLE, DocumentSection

SIZE_MAX: Final = 5_000_000
"""Largest document (bytes)."""
NOTHING: Final = "there is nothing to report on"


def document(title: str, sections: Sequence[DocumentSection]) -> bytes:
    """Return the HTML of some sections.

    Raises:
        InputError: there is no section, or together they are larger than `SIZE_MAX`.
    """
    if not sections:
        raise InputError(NOTHING, "", "name runs, comparisons, laws or measurements")
    live = any(section.data for section in sections)
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src '{_hash(STYLE)}'",
            f"script-src '{_hash(SCRIPT)}'" if live else "script-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    links = "".join(f'<li><a href="#{section.id}">{escaped(section.title)}</a></li>' for section in sections)
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer"><meta name="color-scheme" content="light dark">',
        f"<title>{escaped(title, 200)}</title><style>{STYLE}</style></head>",
        f'<body class="agentsoc"><header><h1>{escaped(title, 200)}</h1></header>',
        f'<nav aria-label="contents"><ul>{links}</ul></nav><main>' if len(sections) > 1 else "<main>",
        *(f'<section id="{one.id}"><h2>{escaped(one.title)}</h2>{one.html}</section>' for one in sections),
        "</main>",
        *(
            f'<script type="text/plain" id="{one.id}-data">{base64.b64encode(one.data).decode()}</script>'
            for one in sections
            if one.data
        ),
        f"<script>{SCRIPT}</script>" if live else "",
        "</body></html>\n",
    ]
    whole = "".join(parts).encode("utf-8", "backslashreplace")
    if len(whole) > SIZE_MAX:
        raise InputError(
            f"the document would have {len(whole):,} bytes, of {SIZE_MAX:,} at most", "", "report on fewer at once"
        )
    return whole


def _hash(content: str) -> str:
    """Return the hash of an inline style or script as a content security policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
