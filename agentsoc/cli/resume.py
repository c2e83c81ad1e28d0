"""This module is `agentsoc resume`: it finishes a run that was interrupted, killed or failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentsoc.cli.run import report, synced
from agentsoc.cli.summary import exit_code
from agentsoc.printing import options
from agentsoc.printing.live import Watch, style_for
from agentsoc.printing.terminal import note

if TYPE_CHECKING:
    from agentsoc.contracts.address import Destination


def resume(
    directory: options.RunDirectory,
    hosts: options.Hosts = None,
    address: options.Address = None,
    concurrency: options.Concurrency = None,
    sync: options.Sync = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="DEST", help="Fetch the copy there into DIR first, which is new.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also make the failed turns of a finished run again.")
    ] = False,
    allow_code: options.AllowCode = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    yes: options.Yes = False,
    allow_mcp: options.AllowMcp = False,
) -> None:
    """Finish the run in DIR; replies that it has are read from its journal, not bought again.

    Without a budget, and with a model that answers the same prompt alike, the result is what the undisturbed run
    would have given. With a budget it may differ after a crash: attempts that the crash cut off are charged in full,
    so that less is left for later turns. The budget holds, and the log replays.

    Turns that failed because a server, a network or a key did are made again when the run failed, and with
    --retry-failed when it is finished: they and what came after them in their episodes. What all that had cost stays
    charged, and what was answered before it stays. Replies that no reader understood are answers, and stay as well.

    A run that ended because its environment failed goes on with mended code: --allow-code may name another version
    of a file then.

    --from DEST brings the copy that --sync kept into DIR first.

    A finished run is left as it is, or its events are computed again from the journal when they are damaged. Where
    it is carried out (--hosts, --address, --concurrency) may change; no result depends on it.

    That the directory names a model, an address and a variable is no consent to use them: as `agentsoc run` does, the
    command asks first, and without a terminal what is not remembered needs --yes.
    """
    changes = options.engine_changes(hosts, address, concurrency)
    from agentsoc.engine.consent import cluster
    from agentsoc.engine.resume import resume as resume_run
    from agentsoc.engine.run import Progress
    from agentsoc.engine.stored_scenario import may_be_mended, stored_scenario
    from agentsoc.log.read import RunLog
    from agentsoc.printing.ask import ask_before_sending

    if source is not None:
        from agentsoc.engine.sync import fetch

        fetch(source, directory)
    log = RunLog(directory)
    manifest = log.manifest
    agreed: frozenset[Destination] = frozenset()
    if manifest.status != "finished" or retry_failed:  # a finished run calls no model
        stored, _ = stored_scenario(log, allow_code or (), mended_code=may_be_mended(manifest))
        agreed = ask_before_sending([options.with_engine(stored, changes)], yes, cluster(address), allow_mcp=allow_mcp)
    progress = Progress()
    title = f"{directory}: {manifest.name}, seed {manifest.seed}; it was {manifest.status}"
    style = style_for(quiet or (manifest.status == "finished" and not retry_failed))
    with Watch(progress, title, style=style, budget=manifest.totals.budget), synced(directory, sync, progress):
        finished = resume_run(
            directory,
            engine=changes,
            allow_code=allow_code or (),
            progress=progress,
            consent=agreed,
            retry_failed=retry_failed,
        )
    if manifest.status == "finished" and not retry_failed:
        note("this run was finished already; its log is whole")
    report(finished, allow_code or (), as_json)
    raise typer.Exit(exit_code(finished.manifest.totals))
