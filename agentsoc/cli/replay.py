"""This module is `agentsoc replay`: it computes a run again from its journal and compares it with its log."""

from __future__ import annotations

import typer

from agentsoc.errors import InterruptedRunError
from agentsoc.printing import options
from agentsoc.printing.terminal import note, print_json, say


def replay(
    directory: options.RunDirectory,
    allow_code: options.AllowCode = None,
    as_json: options.AsJson = False,
) -> None:
    """Compute the run in DIR again from its journal, without any model call, and compare it with its log.

    Prints the number of events and the digest. Exit code 0: the same. Exit code 5: not the same; the first event that
    differs is named.
    """
    from agentsoc.engine.replay import replay as replay_run

    try:
        found = replay_run(directory, allow_code=allow_code or ())
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
            }
        )
        return
    say(f"verified: {found.n_events:,} events, digest {found.digest}, {found.model_calls} model calls")
