"""This module shows progress on stderr: a live view on a terminal, a plain line every five seconds anywhere else.

A thread reads the `Progress` object that the engine fills; the engine knows nothing of it and never waits for it. What
it reads may be a moment old, and nothing depends on it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal

from agentsoc.printing.terminal import note
from agentsoc.printing.text import line

if TYPE_CHECKING:
    from agentsoc.engine.run import Progress

Style = Literal["live", "lines", "none"]

LINE_S: Final = 5.0
"""Time between two plain lines (seconds)."""
FRAME_S: Final = 0.25
"""Time between two frames of the live view (seconds)."""
JOIN_S: Final = 0.5
"""How long the end of a run waits for the view (seconds)."""


def style_for(quiet: bool) -> Style:
    """Return how progress is shown here: never a live view in CI, on a dumb terminal or without a terminal."""
    if quiet:
        return "none"
    dumb = os.environ.get("TERM", "") in ("dumb", "unknown", "")
    return "live" if sys.stderr.isatty() and not dumb and not os.environ.get("CI") else "lines"


class Reading:
    """A reading is one look at the progress of a run, in numbers that can be shown."""

    def __init__(self, progress: Progress, budget: int | None, elapsed_s: float) -> None:
        pace, flight = progress.pace, progress.flight
        ledgers = list(progress.ledgers.values())  # one step of the interpreter: the engine may add one meanwhile
        self.episodes, self.n_tasks = pace.episodes, progress.n_tasks
        self.used = pace.tokens
        self.reserved = sum(ledger.reserved for ledger in ledgers)
        self.budget = budget
        self.walled = any(ledger.walled for ledger in ledgers[:1])
        self.running, self.done, self.failed, self.lost = flight.running, flight.done, flight.failed, pace.calls_lost
        self.hosts = progress.hosts
        self.elapsed_s = elapsed_s

    @property
    def left_s(self) -> float | None:
        """Time to the end at the pace so far (seconds); None before the first episode has ended."""
        if not self.episodes or self.episodes >= self.n_tasks:
            return None
        return self.elapsed_s / self.episodes * (self.n_tasks - self.episodes)

    def parts(self) -> list[str]:
        """Return what is shown, one part a line of the live view."""
        if not self.n_tasks:
            return [f"starting, {duration(self.elapsed_s)}"]
        episodes = f"{self.episodes:,}/{self.n_tasks:,} episodes, {duration(self.elapsed_s)}"
        if self.left_s is not None:
            episodes += f", about {duration(self.left_s)} left"
        tokens = f"{self.used:,} tokens used, {self.reserved:,} reserved"
        if self.budget is not None:
            tokens += f", budget {self.budget:,}"
        elif not self.walled:
            tokens += ", no budget"
        calls = f"{self.running:,} calls in flight, {self.done:,} done, {self.failed:,} failed, {self.lost:,} lost"
        return [episodes, tokens, f"{calls}; {self.hosts} host{'s' if self.hosts != 1 else ''}"]


def duration(seconds: float) -> str:
    """Return a time as ``4 s``, ``3:20 min`` or ``2:05 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60}:{whole % 60:02d} min" if whole < 3600 else f"{whole // 3600}:{whole % 3600 // 60:02d} h"


class Watch:
    """The watch shows the progress of a run from the moment it is entered until it is left."""

    def __init__(self, progress: Progress, title: str, *, style: Style, budget: int | None = None) -> None:
        """Prepare to watch.

        Args:
            progress: what the engine fills.
            title: the run, in words.
            style: how to show it.
            budget: ceiling of the run (tokens).
        """
        self._progress = progress
        self._title = line(title)
        self._style = style
        self._budget = budget
        self._end = threading.Event()
        self._began = time.monotonic()
        self._told = 0
        show = {"live": self._show_live, "lines": self._show_lines, "none": None}[style]
        self._thread = None if show is None else threading.Thread(target=show, name="progress", daemon=True)

    def __enter__(self) -> Watch:
        if self._thread is not None:
            note(self._title)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)

    def reading(self) -> Reading:
        """Return the state of the run now."""
        return Reading(self._progress, self._budget, time.monotonic() - self._began)

    def _notices(self) -> list[str]:
        """Return what the engine had to say since the last look."""
        new = self._progress.notices[self._told :]
        self._told += len(new)
        return [line(text, 300) for text in new]

    def _show_lines(self) -> None:
        while not self._end.wait(LINE_S):
            for text in self._notices():
                note(text)
            note("; ".join(self.reading().parts()))
        for text in self._notices():
            note(text)

    def _show_live(self) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        with Live(self._frame(), console=console, auto_refresh=False, transient=True) as live:
            console.show_cursor(True)  # a second interrupt ends the process at once: the cursor must not stay hidden
            while not self._end.wait(FRAME_S):
                for text in self._notices():
                    live.console.print(text)
                live.update(self._frame(), refresh=True)

    def _frame(self) -> Any:
        from rich.text import Text

        reading = self.reading()
        share = reading.episodes / reading.n_tasks if reading.n_tasks else 0.0
        width = 30
        filled = int(width * share)
        bar = Text("[" + "=" * filled + " " * (width - filled) + f"] {share:4.0%}")
        return Text("\n", overflow="crop", no_wrap=True).join([bar, *map(Text, reading.parts())])
