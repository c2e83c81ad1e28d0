"""This module is `agentsoc compare`: it runs organisations on the same tasks, seeds and budget and reports on them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentsoc.errors import InputError, InterruptedRunError, RunFailedError
from agentsoc.printing import options
from agentsoc.printing.terminal import note, print_json, say
from agentsoc.printing.text import command
from analysis.extras import require

if TYPE_CHECKING:
    from agentsoc.engine.run import Progress
    from agentsoc.experiment.grid import Grid
    from agentsoc.experiment.plan import Kind
    from agentsoc.experiment.runner import Outcome
    from agentsoc.experiment.spread import Spread


def compare(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A comparison file (YAML), or the directory of one that was begun.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The result directory; default comparisons/NAME.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Number of seeds, counted up; instead of the file's.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Set a value of the file, e.g. base.tasks.count=5."),
    ] = None,
    model: options.Model = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run and what it can cost at most; start nothing.")
    ] = False,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan", help="Say how surely differences would be found, from its runs or before; start nothing."
        ),
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes for simulated runs; default one a core.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Calls in flight for each model, over all runs.")
    ] = None,
    address: options.Address = None,
    hosts: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Hosts of that cluster, which carry out whole runs.")
    ] = None,
    sync: options.Sync = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="DEST", help="Fetch the copy there into PATH first, which is new.")
    ] = None,
    effect: Annotated[
        float | None, typer.Option(min=0.0001, help="Difference for which the tasks needed are told [0.05].")
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(min=0.0001, max=1, help="Difference that does not matter: tells who is equivalent within it."),
    ] = None,
    figures: Annotated[
        bool, typer.Option("--figures", help="Also draw figures (PNG), with their numbers (CSV), into DIR/figures.")
    ] = False,
    accept_failures: options.AcceptFailures = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also make the failed turns of finished runs again.")
    ] = False,
    allow_code: options.AllowCode = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    yes: options.Yes = False,
    allow_mcp: options.AllowMcp = False,
) -> None:
    """Run every organisation in PATH on the same tasks and budget, and report the differences with their intervals.

    Finished runs are kept: after an interrupt, a crash or a failed run the same command, or `agentsoc compare DIR`,
    makes what is missing and reports again. A run that fails keeps no other from being made; the report names it.

    An organisation of which more than one turn in a hundred failed because a server, a network or a key did is not
    comparable, and no difference to it is printed. --accept-failures compares by the episodes without such failures,
    with bounds for the others.

    DIR holds results.parquet (one row per task), estimates.parquet and .csv (one row per estimate), report.txt,
    report.json, report.html (to look at) and one run directory per cell.

    With --address, hosts of a Ray cluster carry out whole runs, each once, and send them here; what comes of them is
    the same. A run that was begun goes on here, and so do runs that need this machine.

    --sync DEST keeps a copy of its runs elsewhere; agentsoc compare DIR --from DEST goes on with that in a new DIR.

    Exit code 0: all runs are finished, whatever ended their episodes; 1: some failed, or are not comparable; 130:
    interrupted, resumable.
    """
    if (source is not None or path.is_dir()) and (out is not None or seeds is not None or set_ or model is not None):
        raise InputError(
            "--out, --set, --model and --seeds go with a comparison file",
            str(path),
            "call compare with the file instead",
        )
    if sync is not None and (dry_run or plan):
        raise InputError("nothing is started, so nothing is copied", "--sync", "not with --dry-run or --plan")
    require("scipy")
    if figures:
        require("matplotlib", extra="plot")
    where = _who(workers, address, hosts)
    if source is not None:  # after all that can be refused without it: PATH is there from now on
        from agentsoc.experiment.sync import fetch_comparison
        from agentsoc.scenario.source import read_bytes

        for file in allow_code or ():
            read_bytes(file)
        fetch_comparison(source, path)
    given = [] if path.is_dir() else options.overrides(path, set_, model)
    asked = _asked(path, out, seeds, given, allow_code or [])
    if dry_run:
        _say_plan(asked, as_json)
        return
    if plan:
        _say_power(asked, effect, accept_failures, as_json)
        return
    if retry_failed:
        _reopen_failed(asked)
    outcome, uncopied = _carried_out(asked, where, concurrency, quiet, (yes, allow_mcp), sync)
    code = _reported(asked, outcome, (effect, margin, accept_failures), figures, as_json)
    if uncopied is not None and not as_json:
        raise uncopied
    if uncopied is not None:  # stdout has its one document
        note(f"error: {uncopied}")
    raise typer.Exit(code if uncopied is None else uncopied.exit_code)


@dataclass(frozen=True)
class _Asked:
    """What to run, and where."""

    path: Path
    """The comparison file, or the directory of one that was begun."""
    grid: Grid
    out: Path
    code: dict[str, str]
    """Hashes of its loose code."""
    code_paths: list[Path]


def _asked(path: Path, out: Path | None, seeds: int | None, overrides: list[str], code_paths: list[Path]) -> _Asked:
    """Read what the command line names."""
    from agentsoc.experiment.grid import load_grid
    from agentsoc.experiment.store import given_grid
    from agentsoc.scenario.code import load_codes

    if path.is_dir():
        return _Asked(path, *given_grid(path, None, None, code_paths), code_paths)
    code = load_codes(code_paths)
    grid = load_grid(path, overrides, seeds=seeds, allow_code=code_paths)
    return _Asked(path, *given_grid(grid, out, code, code_paths), code_paths)


def _reopen_failed(asked: _Asked) -> None:
    """Have the failed turns of finished runs made again."""
    from agentsoc.experiment.store import reopen_failed

    for name in reopen_failed(asked.grid, asked.out):
        note(f"{name}: its failed turns are made again")


def _say_plan(asked: _Asked, as_json: bool) -> None:
    """Say what is missing and what it can cost at most."""
    from agentsoc.printing.plan import print_plan

    found, rows = _costs(asked)
    if as_json:
        print_json(found)
    else:
        print_plan(asked.grid, rows)


def _costs(asked: _Asked) -> tuple[dict[str, Any], list[Kind]]:
    """Return what is missing and what it can cost at most, as plain values and by kind."""
    from agentsoc.experiment.plan import build_kinds, plan_kinds
    from agentsoc.experiment.store import finished_cells
    from agentsoc.printing.plan import plan_as_dict
    from agentsoc.scenario.given import placed

    with placed(asked.path):
        built = build_kinds(asked.grid.cells)
    rows = plan_kinds(asked.grid, built, finished_cells(asked.grid, asked.out))
    return plan_as_dict(asked.grid, rows), rows


def _say_power(asked: _Asked, effect: float | None, accept_failures: bool, as_json: bool) -> None:
    """Say how surely differences would be found: from the runs, where the comparison has finished some."""
    import analysis
    from agentsoc.experiment.store import finished_cells
    from analysis.comparison.plan import plan_before, plan_from_report

    if any(finished_cells(asked.grid, asked.out).values()):
        plan = plan_from_report(
            analysis.compare(asked.out, effect=effect, accept_failures=accept_failures), effect=effect
        )
    else:
        cells = asked.grid.cells
        tasks = {(cell.tasks, cell.scenario.tasks_seed): cell.scenario.tasks.count for cell in cells}
        kinds = {(cell.organisation, cell.n_agents if cell.budget is None else cell.budget) for cell in cells}
        others = [name for name, _ in kinds if name != asked.grid.asked.baseline]
        plan = plan_before(asked.grid.name, sum(tasks.values()), max(len(others), 1), effect=effect)
    if as_json:
        print_json(plan.as_dict() | ({"costs": _costs(asked)[0]} if asked.grid.levels else {}))
    else:
        say(plan.summary())
        if asked.grid.levels:
            say("")
            _say_plan(asked, as_json)


def _who(workers: int | None, address: str | None, hosts: int | None) -> int | Spread | None:
    """Return who carries out the runs, after asking whether the cluster is there.

    Raises:
        InputError: the options do not go together, or nobody answers at the address.
    """
    if address is None:
        if hosts is not None:
            raise InputError("hosts are those of a Ray cluster", "--hosts", "add --address local, or HOST:PORT")
        return workers
    if workers is not None:
        raise InputError("--workers and --address do not go together", "--workers", "with --address, say --hosts")
    options.engine_changes(None, address, None)
    from agentsoc.experiment.spread import Spread

    return Spread(address, hosts or 1)


def _carried_out(
    asked: _Asked,
    workers: int | Spread | None,
    concurrency: int | None,
    quiet: bool,
    agrees: tuple[bool, bool],
    sync: str | None,
) -> tuple[Outcome, RunFailedError | None]:
    """Make what is missing, after the question that it may need; `agrees` to what is sent, to what is started.

    Returns:
        How the runs ended, and that their last copy failed; None for one that did not.
    """
    from agentsoc.engine.forecast import ceiling
    from agentsoc.engine.run import Progress
    from agentsoc.experiment.plan import build_kinds
    from agentsoc.experiment.runner import run_comparison
    from agentsoc.experiment.store import finished_cells
    from agentsoc.printing.ask import ask_before_sending
    from agentsoc.printing.live import Watch, style_for
    from agentsoc.scenario.given import placed

    grid, out = asked.grid, asked.out
    with placed(asked.path):
        build_kinds(grid.cells)  # what cannot be built is found before anything is started
    done = finished_cells(grid, out)
    due = [cell.scenario for cell in grid.cells if not done.get(cell.id)]
    yes, allow_mcp = agrees
    agreed = ask_before_sending(due, yes, allow_mcp=allow_mcp)
    progress = Progress()
    title = f"{out}: {len(grid.cells):,} runs, {len(grid.cells) - len(due):,} of them finished already"
    known = [most for cell in grid.cells if (most := ceiling(cell.scenario)) is not None]
    budget = sum(known) if len(known) == len(grid.cells) else None
    outcome = None
    try:
        with Watch(progress, title, style=style_for(quiet), budget=budget), _synced(out, sync, progress):
            outcome = run_comparison(
                grid, out, workers=workers, concurrency=concurrency, code=asked.code, code_paths=asked.code_paths,
                progress=progress, consent=agreed,
            )  # fmt: skip
    except InterruptedRunError:
        finished = sum(finished_cells(grid, out).values())
        note(f"{finished:,} of {len(grid.cells):,} runs are finished")
        raise
    except RunFailedError as error:
        if outcome is None:
            raise
        return outcome, error  # the runs are whole and their copy is not
    return outcome, None


def _reported(
    asked: _Asked,
    outcome: Outcome,
    wanted: tuple[float | None, float | None, bool],
    figures: bool,
    as_json: bool,
) -> int:
    """Write the report and print it; return the exit code. `wanted`: effect, margin, whether failures are accepted."""
    import analysis
    from agentsoc.log.inside import by_umask
    from analysis.commands.write_html import write_beside
    from analysis.comparison.table import read_results, save_table
    from analysis.comparison.text import report_as_dict, report_as_text
    from analysis.comparison.write import draw_report, write_report

    effect, margin, accept_failures = wanted
    with by_umask(asked.grid.by_umask):
        results = read_results(outcome.directory)
        save_table(results)  # the table is kept even when no report can be made yet
        report = analysis.compare(results, effect=effect, accept_failures=accept_failures, margin=margin)
        write_report(report)
        write_beside(outcome.directory, report_as_dict(report))
        for drawn in draw_report(report) if figures else ():
            note(f"written: {drawn}")
    if as_json:
        print_json(report_as_dict(report))
    else:
        say(report_as_text(report))
        say(f"\nwritten to {outcome.directory}: results.parquet, report.txt, report.json, report.html")
        if outcome.failed:
            say(f"to make the missing runs: {command('compare', outcome.directory)}")
    return 1 if report.results.missing or report.not_comparable else 0


def _synced(out: Path, address: str | None, progress: Progress) -> AbstractContextManager[object]:
    """Return what keeps a copy of the comparison at an address meanwhile; nothing without one."""
    if address is None:
        return nullcontext()
    from agentsoc.experiment.sync import SyncedComparison

    return SyncedComparison(out, address, progress.notices)
