"""This module is `agentsoc run`: it turns a scenario file into one run directory, or one for each run of its sweep."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentsoc.cli.ls import print_means, rows_of
from agentsoc.cli.over_hosts import spread_runs
from agentsoc.cli.summary import (
    all_right_or_wrong,
    cache_lines,
    exit_code,
    next_lines,
    option_lines,
    say_facts,
    short_score_text,
    summary_lines,
)
from agentsoc.errors import AgentsocError, InputError, InterruptedRunError
from agentsoc.printing import options
from agentsoc.printing.live import Style, Watch, style_for
from agentsoc.printing.terminal import note, print_json, say
from agentsoc.printing.text import command, line

if TYPE_CHECKING:
    from agentsoc.cli.varied import Mean
    from agentsoc.contracts.address import Destination
    from agentsoc.engine.run import Progress, Run
    from agentsoc.scenario.code import CodeFiles
    from agentsoc.scenario.model import Scenario


def run(
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO", help="The scenario file (YAML).")],
    out: Annotated[
        Path | None, typer.Option(help="The run directory, or for a sweep the directory of its runs; default runs/.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Takes the place of the scenario's seed.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Repeat with this many seeds, counted up.")] = None,
    set_: options.Overrides = None,
    model: options.Model = None,
    hosts: options.Hosts = None,
    address: options.Address = None,
    concurrency: options.Concurrency = None,
    sync: options.Sync = None,
    allow_code: options.AllowCode = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    yes: options.Yes = False,
    allow_mcp: options.AllowMcp = False,
) -> None:
    """Run SCENARIO and write its log; print the result and how to go on.

    A sweep block, --set a.b=1,2,3 and --seeds N stand for several runs, which are made one after the other; with
    --address by hosts of a Ray cluster, side by side, unless they need this machine or have a budget_total.

    Ctrl-C ends the run in order (calls in flight may finish for a few seconds) and prints how to resume it; a second
    Ctrl-C ends it at once. Nothing that was received is lost either way.

    Before anything is sent to somebody else's address, the command says the address, the environment variable that
    goes with it and the most that it can cost, and asks. A yes is remembered for that address and variable. Without a
    terminal, what is not remembered needs --yes. A server on this machine that is sent no key is not asked about.

    With --json, stdout holds one object: run_dir, digest, n_events, n_episodes, score, tokens, budget, stop and more;
    for several runs {"runs": [...]}; after an error {"error", "kind", "exit_code"}.

    --sync DEST keeps a copy elsewhere that can be resumed: agentsoc resume DIR --from DEST. What reaches it, such as
    keys, is found by fsspec and not written down.

    Exit code 3 means: done, but the budget ended at least one episode.
    """
    changes = options.engine_changes(hosts, address, concurrency)
    from agentsoc.engine.consent import cluster
    from agentsoc.experiment.spread import Spread
    from agentsoc.printing.ask import ask_before_sending
    from agentsoc.scenario.code import CodeFiles, load_codes
    from agentsoc.scenario.load import load_scenarios

    code = CodeFiles(allow_code or (), load_codes(allow_code or ()))
    loaded = load_scenarios(
        scenario, options.overrides(scenario, set_, model), seeds, seed=seed, allow_code=allow_code or ()
    )
    scenarios = [options.with_engine(one, changes) for one in loaded]
    many = len(scenarios) > 1
    # what cannot be built is found before anything is started; a thousand built societies are not kept
    sizes = [options.ready(one, scenario, one.name if many else "").n for one in scenarios]
    agreed = ask_before_sending(scenarios, yes, cluster(address), allow_mcp=allow_mcp, file=scenario)
    directories = _directories(scenarios, out) if many else [out]
    if many and address is not None and sync is not None:
        what = "--sync follows runs that are made here, and hosts would make these"
        raise InputError(what, "--sync", "leave --address out, or copy the directory of the runs when they have ended")
    runner = _Runner(scenario, code, style_for(quiet), agreed, sync)
    if not many:
        finished = runner.one(scenarios[0], sizes[0], directories[0])
        report(finished, allow_code or (), as_json)
        raise typer.Exit(exit_code(finished.manifest.totals))
    runs = list(zip(scenarios, sizes, directories, strict=True))
    done: dict[str, Run | AgentsocError] = {}
    if address is not None and not options.has_total(scenario, set_ or ()):
        places = [(one, place) for one, _, place in runs]
        done = spread_runs(places, Spread(address, hosts or 1), code, agreed, concurrency, runner.style)
    raise typer.Exit(_sweep(runner, runs, as_json, done))


def _directories(scenarios: Sequence[Scenario], out: Path | None) -> list[Path | None]:
    """Return where the runs of a sweep go; checked together before the first one starts."""
    if out is None:
        return [None] * len(scenarios)
    directories = [out / one.name for one in scenarios]
    for directory in directories:
        if directory.exists():
            raise InputError(
                "a run of this sweep is there already", str(directory), "name another directory with --out"
            )
    return list(directories)


class _Runner:
    """The runner holds what the runs of one command have in common, and makes them one by one."""

    def __init__(
        self, file: Path, code: CodeFiles, style: Style, consent: frozenset[Destination], sync: str | None
    ) -> None:
        self.file, self.code, self.style, self.consent, self.sync = file, code, style, consent, sync

    def one(self, scenario: Scenario, n_agents: int, out: Path | None, prefix: str = "") -> Run:
        """Make one run and return its log."""
        from agentsoc.engine.directory import new_directory
        from agentsoc.engine.forecast import ceiling
        from agentsoc.engine.run import Progress
        from agentsoc.engine.run import run as run_scenario
        from agentsoc.scenario.given import placed

        directory = new_directory(scenario, out)
        progress = Progress()
        about = prefix + title(scenario, n_agents, directory)
        watch = Watch(progress, about, style=self.style, budget=ceiling(scenario))
        address = self.sync if self.sync is None or not prefix else f"{self.sync.rstrip('/')}/{directory.name}"
        with placed(self.file), removed_if_empty(directory), watch, synced(directory, address, progress, scenario):
            return run_scenario(
                scenario,
                directory,
                code_paths=self.code,
                progress=progress,
                consent=self.consent,
            )


def _sweep(
    runner: _Runner,
    runs: Sequence[tuple[Scenario, int, Path | None]],
    as_json: bool,
    ended: Mapping[str, Run | AgentsocError],
) -> int:
    """Make the runs one after the other, but those that hosts have made; return the exit code of the whole.

    A run that fails does not keep the others from being made. What would be wrong with all of them does (a key that is
    missing, say), and so does an interrupt.
    """
    done: list[dict[str, Any]] = []
    codes = []
    for number, (scenario, n_agents, out) in enumerate(runs, 1):
        name = scenario.name
        try:
            finished = ended.get(name) or runner.one(scenario, n_agents, out, f"{number}/{len(runs)} ")
            if isinstance(finished, AgentsocError):
                raise finished
        except AgentsocError as error:
            note(f"error: {error}")
            codes.append(error.exit_code)
            done.append({"name": name, "error": str(error), "kind": type(error).__name__, "exit_code": codes[-1]})
            if isinstance(error, InterruptedRunError | InputError):
                break
            continue
        codes.append(exit_code(finished.manifest.totals))
        summary = finished.summary()
        done.append(summary)
        if not as_json:
            score = short_score_text(finished.manifest.totals)
            failed = finished.manifest.totals.calls_failed
            failures = f", {failed:,} calls failed" if failed else ""
            say(f"{line(name)}  score {score}  {summary['tokens']:,} tokens{failures}  {line(summary['run_dir'])}")
    means = _means(done)
    if as_json:
        print_json({"runs": done, "means": [mean.as_dict() for mean in means]})
    else:
        if means:
            print_means(means)
        where = runs[0][2]
        say(f"{len(codes)} of {len(runs)} runs; next: {command('ls', *([] if where is None else [where.parent]))}")
    # what says most about the whole comes first: an interrupt, a fault, a spent budget
    return next((code for code in (130, 1, 4, 2, 3) if code in codes), 0)


def _means(done: Sequence[dict[str, Any]]) -> list[Mean]:
    """Return the means over seeds of the runs of a sweep that were made."""
    from agentsoc.cli.varied import means_over_seeds

    return means_over_seeds(rows_of([Path(one["run_dir"]) for one in done if "run_dir" in one], Path()))


def synced(
    directory: Path, address: str | None, progress: Progress, scenario: Scenario | None = None
) -> contextlib.AbstractContextManager[object]:
    """Return what keeps a copy of a run at an address meanwhile; nothing without one. `scenario`: of a new run."""
    if address is None:
        return contextlib.nullcontext()
    from agentsoc.engine.sync import Synced

    return Synced(directory, address, progress.notices, umask=scenario is not None and scenario.engine.umask)


@contextlib.contextmanager
def removed_if_empty(directory: Path) -> Iterator[None]:
    """Take back a new run directory when an error left nothing in it."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            directory.rmdir()
        raise


def title(scenario: Scenario, n_agents: int, directory: Path) -> str:
    """Return a run in one line."""
    return (
        f"{directory}: {scenario.tasks.count:,} tasks of {scenario.tasks.kind}, {n_agents:,} agents, "
        f"{scenario.topology.kind}, {scenario.protocol.kind}, seed {scenario.seed}"
    )


def report(finished: Run, code: Sequence[Path], as_json: bool) -> None:
    """Print what a run amounts to and how to go on."""
    if as_json:
        print_json(finished.summary())
        return
    manifest, directory = finished.manifest, finished.directory
    label = "accuracy" if all_right_or_wrong(directory, manifest) else "score"
    say_facts([*summary_lines(directory, manifest, label), *cache_lines(finished), *option_lines(finished)])
    say("\n".join(next_lines(manifest, directory, code)))
