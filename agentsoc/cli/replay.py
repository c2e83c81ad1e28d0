"""This module is `agentsoc replay`: it computes a run again from its journal and compares it with its log."""

from __future__ import annotations

from typing import Annotated

import typer

from agentsoc.errors import InterruptedRunError
from agentsoc.printing import options
from agentsoc.printing.terminal import note, print_json, say


def replay(
    directory: options.RunDirectory,
    allow_code: options.AllowCode = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Also make the calls of pure tools again, and compare what they give.")
    ] = False,
    allow_mcp: options.AllowMcp = False,
    as_json: options.AsJson = False,
) -> None:
    """Compute the run in DIR again from its journal, without any model call, and compare it with its log.

    Prints the number of events and the digest. Exit code 0: the same. Exit code 5: not the same; the first event that
    differs is named.

    With --recompute the tools of the run are opened, compared with those that it began with, and every call of a tool
    that is a function of its arguments alone is made again.
    """
    from agentsoc.engine.recompute import recompute as recompute_run
    from agentsoc.engine.replay import replay as replay_run

    try:
        found = replay_run(directory, allow_code=allow_code or ())
        made = recompute_run(directory, allow_code=allow_code or (), consent=allow_mcp) if recompute else None
    except InterruptedRunError:
        note("interrupted; a replay changes nothing")
        raise typer.Exit(130) from None
    if as_json:
        print_json(
            {
                "run_dir": str(directory),
                "verified": True,
                "digest": found.digest,
                "n_events": found.n_events,
                "model_calls": found.model_calls,
                "tool_calls_made_again": made,
            }
        )
        return
    say(f"verified: {found.n_events:,} events, digest {found.digest}, {found.model_calls} model calls")
    if made is not None:
        say(f"made again: {made:,} call{'' if made == 1 else 's'} of pure tools, which gave the same")
