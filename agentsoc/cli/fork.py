"""This module is `agentsoc fork`: it makes a new run that begins as an old one and goes on with a changed scenario."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from agentsoc.cli.run import removed_if_empty, report, title
from agentsoc.cli.summary import exit_code
from agentsoc.errors import InputError
from agentsoc.printing import options
from agentsoc.printing.live import Watch, style_for


def fork(
    directory: options.RunDirectory,
    at: Annotated[str, typer.Option(metavar="TASK:ROUND", help="Where the new run parts from the old one.")],
    set_: options.Overrides = None,
    out: Annotated[Path | None, typer.Option(help="The new run directory; default runs/.")] = None,
    hosts: options.Hosts = None,
    address: options.Address = None,
    concurrency: options.Concurrency = None,
    allow_code: options.AllowCode = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    yes: options.Yes = False,
    allow_mcp: options.AllowMcp = False,
) -> None:
    """Start a new run from round ROUND of task TASK of the run in DIR, with changes.

    Everything before that place is taken from the old run, without model calls; from there on the changed scenario
    acts. The old run is not touched, and the new one can be replayed and resumed on its own.
    """
    changes = options.engine_changes(hosts, address, concurrency)
    from agentsoc.engine.consent import cluster
    from agentsoc.engine.directory import new_directory
    from agentsoc.engine.forecast import ceiling
    from agentsoc.engine.fork import fork as fork_run
    from agentsoc.engine.run import Progress
    from agentsoc.engine.stored_scenario import require_named_address, stored_scenario
    from agentsoc.log.read import RunLog
    from agentsoc.printing.ask import ask_before_sending
    from agentsoc.scenario.given import with_overrides
    from agentsoc.society.build import build_society

    task, round_ = _place(at)
    stored, _ = stored_scenario(RunLog(directory), allow_code or (), more_code=True)
    require_named_address(stored, changes, directory)
    scenario = options.with_engine(with_overrides(stored, set_ or (), "manifest.json", stored=True), changes)
    n_agents = build_society(scenario).n
    agreed = ask_before_sending([scenario], yes, cluster(address), allow_mcp=allow_mcp)
    target = new_directory(scenario, out)
    progress = Progress()
    watch = Watch(progress, title(scenario, n_agents, target), style=style_for(quiet), budget=ceiling(scenario))
    with removed_if_empty(target), watch:
        finished = fork_run(
            directory,
            task,
            round_,
            scenario,
            target,
            code_paths=allow_code or (),
            progress=progress,
            consent=agreed,
        )
    report(finished, allow_code or (), as_json)
    raise typer.Exit(exit_code(finished.manifest.totals))


def _place(at: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,9}):(\d{1,9})", at)
    if match is None:
        raise InputError(f'"{at[:40]}" is no place in a run', "--at", "write TASK:ROUND, for example --at 3:1")
    return int(match[1]), int(match[2])
