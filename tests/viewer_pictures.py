"""Takes the pictures of docs/viewer.md anew: `python -m tests.viewer_pictures`. Needs a chromium."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page

from analysis.viewer.server.serve import ViewServer
from tests.browsing import browser, looking, to
from tests.view_folder import make_folder
from tests.view_served import viewer

PICTURES: Final = Path(__file__).parents[1] / "docs" / "images" / "viewer"
SIZE: Final = (1000, 720)
SHOWN: Final = {
    "runs": ("#runs", "table"),
    "run": ("#run?place=debated", "figure"),
    "episode": ("#episode?place=debated&task=1&round=1&agent=2&claim=1.2.0", "canvas"),
    "compare": ("#compare?place=two", "figure"),
    "pair": ("#pair?a=debated&b=orchestrated&ta=1&tb=1", "canvas"),
    "laws": ("#result?file=laws.json", "figure"),
    "phase": ("#result?file=measured.json", "figure"),
}
"""Name of a picture, its address, and what has to be there before it is taken."""


def take(page: Page, name: str, where: Path) -> Path:
    """Take one picture into a directory and return its file."""
    address, awaited = SHOWN[name]
    to(page, address)
    page.wait_for_selector(awaited)
    page.wait_for_load_state("networkidle")
    page.evaluate("top => scrollTo(0, top)", 380 if name == "pair" else 0)
    page.screenshot(path=where / f"{name}.png")
    return where / f"{name}.png"


def take_all(chrome: Browser, server: ViewServer, where: Path) -> list[Path]:
    """Take every picture into a directory."""
    size = {"width": SIZE[0], "height": SIZE[1]}
    with looking(chrome, server, viewport=size) as (page, _):
        page.evaluate("document.fonts.ready")
        return [take(page, name, where) for name in SHOWN]


def main() -> None:
    """Make the folder, serve it, and take the pictures into the documentation."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as base, contextlib.chdir(base):
        Path("runs").mkdir()
        make_folder(Path("runs"))  # no picture shows where the folder is
        with viewer(Path("runs")) as server, browser() as chrome:
            paths = take_all(chrome, server, PICTURES)
        for path in paths:
            print(f"{path.relative_to(PICTURES.parents[2])}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
