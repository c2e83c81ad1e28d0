"""This module is `agentsoc calibrate`: it makes small runs that tell the phase of a model on a kind of task."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentsoc.errors import InputError
from agentsoc.printing import options
from agentsoc.printing.live import Watch, style_for
from agentsoc.printing.terminal import print_json, say
from agentsoc.printing.text import command, table
from analysis.extras import require

if TYPE_CHECKING:
    from agentsoc.contracts.address import Destination
    from agentsoc.engine.run import Progress
    from analysis.commands.calibration_runs import Calibration, Done
    from analysis.synergy.estimation.measured import Measured

MEASUREMENTS = "measurements.json"


def calibrate(
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO", help="A scenario with one group of agents (YAML).")],
    budget: Annotated[int, typer.Option(min=1, metavar="TOKENS", help="What all runs together may take at most.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where runs and measurements go; default runs/NAME-calibration.")
    ] = None,
    fan_in: Annotated[int, typer.Option(min=3, metavar="B", help="Votes of a merge, odd.")] = 5,
    replicates: Annotated[
        int, typer.Option(min=1, help="Runs of the same tasks; 2 part correlation from difficulty.")
    ] = 2,
    dial: Annotated[
        str, typer.Option(metavar="KEY", help="What gives an agent more tokens, e.g. iterations. [compute, iterations]")
    ] = "",
    levels: Annotated[
        str, typer.Option(metavar="X,X,...", help="Values of the dial, at least 4 over a factor 16.")
    ] = "",
    messages: Annotated[str, typer.Option(metavar="M,M,...", help="Lengths of messages to measure (tokens).")] = "",
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=V,V", help="Signal of a lone agent at other settings, e.g. temperature=0.3,0.8."),
    ] = None,
    mu_max: Annotated[float, typer.Option(min=0, max=1, help="Ceiling of the signal of one agent.")] = 1.0,
    set_: options.Overrides = None,
    hosts: options.Hosts = None,
    address: options.Address = None,
    concurrency: options.Concurrency = None,
    allow_code: options.AllowCode = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be run and what it would cost.")] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    yes: options.Yes = False,
    allow_mcp: options.AllowMcp = False,
) -> None:
    """Measure how the agents of SCENARIO answer, read and err together, within TOKENS over all runs.

    Lone agents at several levels of compute tell a and beta (the signal of one agent is a x^beta when it has x
    tokens); planted messages tell gamma, how well a message is read; merges of B votes and their replicates tell rho,
    how far votes err together, and how much tasks differ in difficulty. Topology and protocol of the scenario are
    not used, except for whether nodes are asked (`by: model`) or a rule counts.

    The same command goes on where it was interrupted. It writes measurements.json for `agentsoc plan`.
    """
    changes = options.engine_changes(hosts, address, concurrency)
    require("numba", "scipy")
    from agentsoc.scenario.code import load_codes
    from agentsoc.scenario.given import placed
    from agentsoc.scenario.load import load_scenario
    from analysis.commands.calibration_runs import Calibration
    from analysis.synergy.planning.calibration_plan import Settings

    code = load_codes(allow_code or ())
    loaded = options.with_engine(load_scenario(scenario, set_ or (), allow_code=allow_code or ()), changes)
    settings = Settings(
        budget=budget,
        b=fan_in,
        replicates=replicates,
        dial=dial,
        levels=tuple(_numbers(levels, "--levels")),
        messages=tuple(int(m) for m in _numbers(messages, "--messages")),
        operating=tuple(pair for text in at or () for pair in _points(text)),
    )
    with placed(scenario):
        calibration = Calibration(loaded, settings, code, list(allow_code or ()))
    if dry_run:
        _say_plan(calibration, as_json)
        return
    calibration.consent = _ask(calibration, yes, address, allow_mcp)
    directory = out if out is not None else Path("runs") / f"{loaded.name}-calibration"
    style = style_for(quiet)

    def watch(progress: Progress, title: str, wall: int) -> AbstractContextManager[Any]:
        return Watch(progress, title, style=style, budget=wall)

    done = calibration.run(directory, watch)
    _report(calibration, done, directory, mu_max, as_json)


def _numbers(text: str, option: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise InputError(f"{text!r} are no numbers", option, "for example: 64,128,256,512,1024") from None


def _points(text: str) -> list[tuple[str, float]]:
    key, equals, values = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"{text!r} sets nothing", "--at", "for example: --at temperature=0.3,0.8")
    return [(key.strip(), value) for value in _numbers(values, "--at")]


def _ask(calibration: Calibration, yes: bool, address: str | None, allow_mcp: bool) -> frozenset[Destination]:
    """Ask for consent to what the runs would send to somebody else's address; the wall is the budget of each run."""
    from agentsoc.engine.consent import cluster
    from agentsoc.printing.ask import ask_before_sending
    from agentsoc.scenario.model import Scenario
    from analysis.synergy.planning.calibration_plan import batch

    planned = calibration.planned()
    scenarios = [Scenario.model_validate(batch(p.step, 0, p.n_tasks, p.tokens)) for p in planned]
    return ask_before_sending(scenarios, yes, cluster(address), allow_mcp=allow_mcp)


def _say_plan(calibration: Calibration, as_json: bool) -> None:
    from agentsoc.engine.bounds import UNLESS

    planned = calibration.planned()
    total = sum(one.tokens for one in planned)
    if as_json:
        runs = [
            {"name": p.step.name, "purpose": p.step.run.purpose, "tasks": p.n_tasks, "tokens": p.tokens}
            for p in planned
        ]
        print_json({"settings": calibration.settings.as_dict(), "runs": runs, "tokens": total})
        return
    rows = [("run", "tasks", "tokens"), *((p.step.name, f"{p.n_tasks:,}", f"{p.tokens:,}") for p in planned)]
    say(table(rows, right=frozenset({1, 2})))
    say(f"about {total:,} tokens expected, at most {calibration.settings.budget:,}, {UNLESS}; nothing was started")


def _report(calibration: Calibration, done: Done, directory: Path, mu_max: float, as_json: bool) -> None:
    """Estimate, write the measurements, and print both."""
    from agentsoc.log.inside import Inside, by_umask
    from analysis.commands.write_html import REPORT, write_beside
    from analysis.synergy.estimation.known import KnownParameters
    from analysis.synergy.estimation.operating import operating_points, reader_in_place
    from analysis.synergy.estimation.phase_of_runs import phase_of_runs

    roles = done.roles()
    estimate, measured, _ = phase_of_runs(
        roles,
        b=calibration.settings.b,
        known=KnownParameters(mu_max=mu_max),
        scenario=calibration.base,
        dial=calibration.settings.dial,
    )
    measured = replace(measured, leaf={**measured.leaf, "levels": list(calibration.settings.levels)})
    labels = [f"{key} = {value:g}" for key, value in calibration.settings.operating]
    points = operating_points(done.of("operating"), labels, measured)
    data = _as_dict(measured, done, calibration.settings.budget, [point.as_dict() for point in points])
    file = directory / MEASUREMENTS
    with by_umask(calibration.engine.umask):
        Inside(directory).write(MEASUREMENTS, json.dumps(data, indent=1).encode())
        write_beside(directory, data)
    if as_json:
        print_json(data)
        return
    say(f"{estimate.summary()}")
    for point in points:
        say(f"  {point.said()}")
    reading = reader_in_place(roles.relays, measured) if measured.nodes == "tally" else None
    if reading is not None:
        say(f"  {reading}")
    for text in done.cut_short():
        say(f"  caution: {text}")
    say(f"tokens  {done.tokens:,} of {calibration.settings.budget:,}, in {len(done.runs)} runs")
    say(f"written to {file}, to look at: {directory / REPORT}")
    say(f"go on with: {command('plan', '--measurements', file, '--budget', 'TOKENS')}")


def _as_dict(measured: Measured, done: Done, budget: int, points: list[dict[str, Any]]) -> dict[str, Any]:
    from analysis.synergy.estimation.run_roles import spent

    runs = [
        {"name": step.name, "purpose": step.run.purpose, "level": step.run.level,
         "tasks": log.manifest.totals.episodes, "tokens": spent(log), "digest": log.manifest.digest}
        for step, log in done.runs
    ]  # fmt: skip
    return {
        **measured.as_dict(),
        "operating": points,
        "budget": budget,
        "spent": done.tokens,
        "runs": runs,
        "cut_short": done.cut_short(),
    }
