"""This module holds the browser's side of the viewer: the files of `analysis/viewer/front`, read once.

What others wrote stands in ``vendor`` with its licence; `VENDORED` has the hash of each file.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from analysis.viewer.document.parts import STYLE

FRONT: Final = Path(__file__).parents[1] / "front"
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Vendored(NamedTuple):
    """A file that others wrote, as it is in their package."""

    file: str
    package: str
    version: str
    path: str
    """In the package."""
    licence: str
    sha256: str


VENDORED: Final = (
    Vendored(
        "vendor/preact.mjs",
        "preact",
        "11.2.0",
        "dist/preact.mjs",
        "MIT",
        "bdcbd9abdf2c77c5c45326eab42191e949222d479d0d5f69467387a77040cb55",
    ),
    Vendored(
        "vendor/preact.LICENSE",
        "preact",
        "11.2.0",
        "LICENSE",
        "MIT",
        "1fe6958409c8c257a70c587a18b6f7f412b179b456630790d30b2ec9a8e4b7d4",
    ),
    Vendored(
        "vendor/htm.mjs",
        "htm",
        "3.1.1",
        "dist/htm.mjs",
        "Apache-2.0",
        "ab33dd3f38059b9be4d5f5350128eefb2356639c4e0bbe9d9e8b3ba75847e9e4",
    ),
    Vendored(
        "vendor/htm.LICENSE",
        "htm",
        "3.1.1",
        "LICENSE",
        "Apache-2.0",
        "740725f7252e750af735d0028cc534970772f513331e9f68150fede8fb3ce00f",
    ),
)


@cache
def assets() -> dict[str, tuple[bytes, str]]:
    """Return every file by its path in an address, with its type."""
    found = {
        f"/{path.relative_to(FRONT).as_posix()}": (path.read_bytes(), TYPES[path.suffix])
        for path in sorted(FRONT.rglob("*"))
        if path.suffix in TYPES
    }
    found["/"] = found.pop("/index.html")
    found["/report.css"] = (STYLE.encode(), TYPES[".css"])
    return found
