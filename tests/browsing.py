"""A real browser for tests: Debian's chromium, driven by playwright; what needs it is skipped where there is none."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, sync_playwright

from analysis.viewer.server.serve import ViewServer

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
WAIT_MS: Final = 20_000


def chromium() -> str:
    """Return the path of the browser, or skip the test."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no chromium here: apt-get install chromium")
    return found


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Start a browser that asks nothing of any network by itself."""
    quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-gpu"]
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium(), args=quiet)
        yield found
        found.close()


@dataclass
class Seen:
    """What a page did that somebody could notice."""

    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def dialog(self, found: Dialog) -> None:
        """Note a dialog, which no page opens."""
        self.errors.append(f"dialog {found.message}")
        found.dismiss()


@contextlib.contextmanager
def looking(found: Browser, server: ViewServer | None = None, **settings: Any) -> Iterator[tuple[Page, Seen]]:
    """Open a page of its own, let in at the viewer; it has to end without an error and without a request elsewhere."""
    context: BrowserContext = found.new_context(**({"viewport": {"width": 1100, "height": 800}} | settings))
    context.set_default_timeout(WAIT_MS)
    page, seen = context.new_page(), Seen()
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("dialog", seen.dialog)
    page.on("console", lambda said: seen.errors.append(said.text) if said.type == "error" else None)
    try:
        if server is not None:
            page.goto(server.address(server.keys.token))
            page.wait_for_selector("h1")
        yield page, seen
        assert seen.errors == []
        ours = () if server is None else (f"http://127.0.0.1:{server.port}/",)
        assert [url for url in seen.requests if not url.startswith((*ours, "file:///"))] == []
    finally:
        context.close()


def to(page: Page, address: str) -> None:
    """Go to another page of the viewer by its address."""
    page.evaluate("hash => { location.hash = hash }", address)
    page.wait_for_selector("h1")
