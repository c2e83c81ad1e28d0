"""This module is `agentsoc view`: it serves the pages of runs and results to a browser on this machine."""

from __future__ import annotations

import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from agentsoc.errors import InputError
from agentsoc.printing import options
from agentsoc.printing.terminal import print_json, say
from analysis.extras import require

if TYPE_CHECKING:
    from agentsoc.events import Event
    from analysis.viewer.server.places import Means

DEFAULT: Final = Path("runs")


def view(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="A run, or where runs are.")] = DEFAULT,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 for any that is free.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address, open nothing.")] = False,
    allow_code: options.AllowCode = None,
    as_json: options.AsJson = False,
) -> None:
    """Show the runs in DIR in a browser: as they go on, episode by episode, and two of them side by side.

    The address that is printed has a token, without which nothing is shown; only this machine can reach it. Nothing is
    written into a run. Ctrl-C ends it.
    """
    require("anyio", "starlette", "uvicorn", extra="view")
    if not directory.is_dir():
        raise InputError(
            "there is no such directory", str(directory), "name a run, or the directory that holds the runs"
        )
    from analysis.viewer.server.serve import ViewServer

    server = ViewServer(directory, means_with(allow_code or ()), port)
    address = server.address(server.keys.token)

    def begun() -> None:
        if as_json:
            print_json({"address": address, "port": server.port, "directory": str(directory)})
        else:
            say(f"showing {directory} at {address}")
            say("Ctrl-C ends it")
        if not no_browser:
            threading.Thread(target=webbrowser.open, args=(server.address(server.keys.once()),), daemon=True).start()

    server.run(begun)
    if not as_json:
        say("ended")


def means_with(allow_code: Sequence[Path] = ()) -> Means:
    """Return what the pages need societies for, with the loose code that a person allowed."""
    from analysis.commands.write_html import transcriber_with
    from analysis.viewer.server.places import Means

    def tell(place: Path, task: int) -> Sequence[Event]:
        from agentsoc.engine.transcript import events_so_far

        return events_so_far(place, task, allow_code=allow_code)

    def replay(place: Path) -> str:
        from agentsoc.engine.replay import replay

        found = replay(place, allow_code=allow_code)
        return f"verified: {found.n_events:,} events, digest {found.digest}, {found.model_calls} model calls"

    return Means(transcriber_with(allow_code), tell, replay)
