"""This module shows on stderr how far a file has come: a bar on a terminal, else a plain line every five seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agentsoc.printing.live import LINE_S, Style
from agentsoc.printing.terminal import note


@contextmanager
def shown_bytes(title: str, style: Style) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a function to be told how many bytes are there and how many there will be; None when nothing is shown."""
    if style == "none":
        yield None
    elif style == "live":
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

        console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        note(title)
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(title, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
    else:
        yield _lines(title)


def _lines(title: str) -> Callable[[int, int], None]:
    note(title)
    last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_S:
            last = now
            note(f"{done // 10**6:,} of {total // 10**6:,} MB")

    return tell
