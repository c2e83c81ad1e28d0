"""This module is `agentsoc check`: it says what a scenario would run, or whether a run directory is sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from agentsoc.errors import InputError
from agentsoc.printing import options
from agentsoc.printing.terminal import print_json, say
from agentsoc.printing.text import line

if TYPE_CHECKING:
    from agentsoc.engine.pilot import Pilot
    from agentsoc.experiment.pilot import KindPilot
    from agentsoc.experiment.plan import Kind
    from agentsoc.log.check import Checked
    from agentsoc.scenario.load import Variant
    from agentsoc.scenario.model import Scenario
    from agentsoc.society.build import BuiltSociety

RUNS_BUILT: Final = 1_000
"""Runs of a sweep that are built; the rest is checked as data only (runs)."""
RUNS_SHOWN: Final = 20


def check(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A file (scenario or comparison) or a directory (run or comparison).")
    ],
    set_: options.Overrides = None,
    model: options.Model = None,
    seed: Annotated[int | None, typer.Option(help="Takes the place of the scenario's seed.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Repeat with this many seeds, counted up.")] = None,
    pilot: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Run N tasks (of each organisation); say what to expect.",
        ),
    ] = None,
    allow_code: options.AllowCode = None,
    prompts: Annotated[
        bool, typer.Option("--prompts", help="Show what agents would be sent, and call nobody.")
    ] = False,
    as_json: options.AsJson = False,
    yes: options.Yes = False,
    allow_mcp: options.AllowMcp = False,
) -> None:
    """Check a scenario or comparison file and say what it would run, or check that a run or import is as written.

    A scenario is loaded and its society built, not run: exit code 2 and the place of each fault, or a summary of what
    would run; so are all that a comparison stands for. A file of a model or a tokenizer that is not on this machine is
    named below the summary, or instead of it with --json, with exit code 2. A run directory is compared, byte for byte,
    with its digests, a comparison directory with what it was asked for, and every run that it has: exit code 4 and the
    first thing that was altered. Code is not run for that: files of --allow-code are only compared with the hashes that
    were recorded.

    With --prompts the first prompt of each template and role is shown, and nothing else.

    With --pilot N the first N tasks are run besides, after the question that a run asks before anything is sent, and
    what they took stands beside the bound: tokens, cost and time; of a comparison, for one run of each organisation
    that asks a model. A pilot is a run of its own, kept under runs/.
    """
    from agentsoc.experiment.comparison import is_comparison

    given = [] if path.is_dir() else options.overrides(path, set_, model)
    if pilot is not None and path.is_dir():
        raise InputError("a pilot is of a file", "--pilot", "name the file of a scenario or of a comparison")
    if prompts and is_comparison(path):
        raise InputError("prompts are shown of a scenario", "--prompts", "write one organisation as a scenario")
    if prompts and path.is_dir():
        raise InputError(
            "prompts are shown of a scenario", "--prompts", "agentsoc show RUN --task N --prompts has a run's"
        )
    if path.is_dir():
        from agentsoc.cli.check_imported import check_imported
        from agentsoc.log.comparison import FILE
        from agentsoc.log.imported import is_imported

        check_directory = _check_results if (path / FILE).is_file() else _check_log
        check_directory = check_imported if is_imported(path) else check_directory
        check_directory(path, allow_code or [], as_json)
    elif is_comparison(path):
        _check_comparison(
            path, _Asked(given, seed, seeds, tuple(allow_code or ()), pilot, yes, prompts, allow_mcp), as_json
        )
    else:
        asked = _Asked(given, seed, seeds, tuple(allow_code or ()), pilot, yes, prompts, allow_mcp)
        _check_scenario(path, asked, as_json)


def _check_log(directory: Path, code: list[Path], as_json: bool) -> None:
    from agentsoc.log.read import RunLog
    from agentsoc.scenario.code import check_recorded

    log = RunLog(directory)
    check_recorded(code, log.manifest.code, "this run", directory)
    checked, manifest = log.check(), log.manifest
    if as_json:
        found = {"run_dir": str(directory), "sound": True, "status": manifest.status, "n_events": checked.events}
        found |= {"n_segments": checked.segments, "n_attempts": checked.attempts, "n_tool_calls": checked.tool_rows}
        found |= {"n_environment_steps": checked.environment_rows, "digest": manifest.digest}
        print_json({**found, "format": manifest.format, "not_checked": list(checked.notes)})
        return
    say(
        f"sound: {checked.events:,} events in {checked.segments} segments, {checked.attempts:,} journaled attempts, "
        f"{_acting(checked)}{manifest.status}, digest {manifest.digest or 'not set yet'}"
    )
    for text in checked.notes:
        say(f"  but {line(text)}")


def _acting(checked: Checked) -> str:
    """Return what the journal has of tools and environments, with a comma behind each."""
    rows = ((checked.tool_rows, "calls of tools"), (checked.environment_rows, "steps of an environment"))
    return "".join(f"{n:,} {what}, " for n, what in rows if n)


def _check_results(directory: Path, code: list[Path], as_json: bool) -> None:
    """Check the record of a comparison and every run that it has."""
    from agentsoc.experiment.check import check_comparison

    checked = check_comparison(directory, code)
    record = checked.record
    if as_json:
        found = {"comparison": str(directory), "sound": True, "status": record.status, "hash": record.hash}
        found |= {"n_runs": len(record.cells), "n_finished": checked.finished}
        print_json({**found, "not_checked": list(checked.notes)})
        return
    say(
        f"sound: {checked.finished:,} finished runs of {len(record.cells):,}, {record.status}, "
        f"comparison {record.hash[:16]}"
    )
    for text in checked.notes:
        say(f"  but {line(text)}")


def _check_comparison(path: Path, asked: _Asked, as_json: bool) -> None:
    """Load a comparison, build a society for each organisation, number of agents and task block; say what would run."""
    from agentsoc.experiment.grid import load_grid
    from agentsoc.experiment.plan import build_kinds, plan_kinds
    from agentsoc.printing.plan import pilots_as_dicts, plan_as_dict, print_pilots, print_plan
    from agentsoc.scenario.given import placed

    if asked.seed is not None:
        raise InputError("a comparison has several seeds", "--seed", "write --set base.seed=N for the first of them")
    grid = load_grid(path, asked.overrides, seeds=asked.seeds, allow_code=asked.code)
    with placed(path):
        rows = plan_kinds(grid, build_kinds(grid.cells), {})
    scenarios = [cell.scenario for cell in grid.cells]
    if as_json:
        _require_files(path, scenarios)
        pilots = {} if asked.pilot is None else {"pilots": pilots_as_dicts(_piloted_kinds(path, rows, asked))}
        print_json(plan_as_dict(grid, rows) | pilots)
    else:
        print_plan(grid, rows)
        _require_files(path, scenarios)
        if asked.pilot is not None:
            print_pilots(_piloted_kinds(path, rows, asked))


def _piloted_kinds(path: Path, rows: Sequence[Kind], asked: _Asked) -> list[KindPilot]:
    """Run the pilots of a comparison, after the one question that they may need."""
    from agentsoc.engine.pilot import pilot_scenario
    from agentsoc.experiment.pilot import pilot_scenarios, run_pilots
    from agentsoc.printing.ask import ask_before_sending
    from agentsoc.scenario.code import CodeFiles, load_codes
    from agentsoc.scenario.given import placed

    n = asked.pilot
    assert n is not None
    agreed = ask_before_sending(
        [pilot_scenario(each, n) for _, each in pilot_scenarios(rows, n)], asked.yes, allow_mcp=asked.allow_mcp
    )
    with placed(path):
        return run_pilots(rows, n, code_paths=CodeFiles(asked.code, load_codes(asked.code)), consent=agreed)


@dataclass(frozen=True)
class _Asked:
    """What the command line says of a scenario: what takes the place of its values, and what is wanted of it."""

    overrides: list[str]
    seed: int | None
    seeds: int | None
    code: tuple[Path, ...]
    pilot: int | None
    yes: bool
    prompts: bool
    allow_mcp: bool = False


def _check_scenario(path: Path, asked: _Asked, as_json: bool) -> None:
    from agentsoc.scenario.load import load_variants

    variants = load_variants(path, asked.overrides, asked.seeds, seed=asked.seed, allow_code=asked.code)
    if asked.prompts:
        _print_prompts(options.ready(variants[0].scenario, path, ""), as_json)
        return
    many = len(variants) > 1
    if many and asked.pilot is not None:
        what = f"a pilot is of one run, and this stands for {len(variants):,}"
        raise InputError(what, "--pilot", "choose one value for every axis with --set")
    found = [
        _facts(options.ready(variant.scenario, path, variant.scenario.name if many else ""), variant)
        for variant in variants[:RUNS_BUILT]
    ]
    scenarios = [variant.scenario for variant in variants]
    if as_json or asked.pilot is not None:
        _require_files(path, scenarios)
    piloted = None if asked.pilot is None else _piloted(path, variants[0].scenario, asked)
    if as_json:
        print_json({"n_runs": len(variants), "runs": found} | ({} if piloted is None else {"pilot": piloted.as_dict()}))
    elif many:
        _print_runs(path, found, len(variants))
    else:
        _print_facts(found[0])
        if piloted is not None:
            say("\n".join(f"{name:<10}{line(text)}" for name, text in piloted.lines()))
    _require_files(path, scenarios)


def _require_files(path: Path, scenarios: Sequence[Scenario]) -> None:
    """Check that the files of models are here, which what would run is known without."""
    from agentsoc.engine.ready import require_files
    from agentsoc.scenario.given import placed

    with placed(path):
        require_files(scenarios)


def _print_runs(path: Path, found: list[dict[str, Any]], n_runs: int) -> None:
    """Print what a sweep stands for, a line for each of the first runs."""
    say(f"{line(str(path))}: {n_runs:,} runs")
    for facts in found[:RUNS_SHOWN]:
        where = ", ".join(f"{axis} {label}" for axis, label in facts["labels"].items())
        say(f"  {line(facts['name'])}: {line(where, 200)}; {facts['bound']}")
    if n_runs > RUNS_SHOWN:
        say(f"  ... and {n_runs - RUNS_SHOWN:,} more")


def _piloted(path: Path, scenario: Scenario, asked: _Asked) -> Pilot:
    """Run the pilot of a scenario, after the question that it may need."""
    from agentsoc.engine.pilot import pilot_scenario, run_pilot
    from agentsoc.printing.ask import ask_before_sending
    from agentsoc.scenario.code import CodeFiles, load_codes
    from agentsoc.scenario.given import placed

    assert asked.pilot is not None
    agreed = ask_before_sending([pilot_scenario(scenario, asked.pilot)], asked.yes, allow_mcp=asked.allow_mcp)
    code = CodeFiles(asked.code, load_codes(asked.code))
    with placed(path):
        return run_pilot(scenario, asked.pilot, code_paths=code, consent=agreed)


def _print_prompts(society: BuiltSociety, as_json: bool) -> None:
    """Show the first prompt of each role, with made-up words of others; of a sweep, those of its first run."""
    from agentsoc.engine.rehearsal import sample_prompts
    from agentsoc.printing.talk import sample_lines

    samples = sample_prompts(society)
    if as_json:
        found = [
            {
                "agent": one.agent,
                "role": one.role,
                "round": one.round,
                "purpose": one.turn.purpose,
                "template": one.template,
                "claims": one.claims,
                "messages": [{"role": each.role, "content": each.content} for each in one.request.messages],
                "choices": list(one.request.choices),
                "schema": one.request.schema,
            }
            for one in samples
        ]
        print_json({"name": society.scenario.name, "prompts": found})
    elif samples:
        say("\n\n".join("\n".join(sample_lines(one)) for one in samples))
    else:
        say(
            "no agent is asked by a prompt: simulated and coded agents read none; --model scripted shows what others do"
        )


def _facts(society: BuiltSociety, variant: Variant) -> dict[str, Any]:
    """Return what is known of a run beforehand."""
    from agentsoc.engine.bounds import bound_as_dict
    from agentsoc.engine.ceiling import forecast_ceiling
    from agentsoc.engine.forecast import bound, ceiling
    from agentsoc.engine.forecast_tools import reply_warnings
    from agentsoc.engine.rehearsal import room_warnings
    from agentsoc.scenario.prices import label
    from agentsoc.society.topologies.survey import describe

    scenario = society.scenario
    task = scenario.tasks.make(scenario.tasks_seed, 0)
    found = bound(society)
    most = bound_as_dict(found)
    description = describe(society.wiring)
    return {
        "name": scenario.name,
        "seed": scenario.seed,
        "labels": variant.labels,
        "preset": variant.preset,
        "expansion": None if variant.preset is None else expansion(scenario),
        "tasks": {"kind": scenario.tasks.kind, "count": scenario.tasks.count, "first": task.question},
        "agents": society.n,
        "models": [f"{group.model.kind}" for group in scenario.agents],
        "models_text": ", ".join(label(group.model.model_dump(mode="json")) for group in scenario.agents),
        "topology": asdict(description),
        "topology_text": description.summary(),
        "topology_remarks": list(scenario.topology.remarks(society.n)),
        "protocol": scenario.protocol.kind,
        "budget": ceiling(scenario),
        "budget_text": _budget_text(scenario),
        "ceiling": [] if (cut := forecast_ceiling(society)) is None else cut.text(),
        "bound": found.text(),
        **most,
        **({} if most["cost_max"] else {"cost": None, "cost_max": None}),
        "warnings": [*room_warnings(society), *reply_warnings(society)],
    }


def _budget_text(scenario: Scenario) -> str:
    """Return the ceilings of a run, and how a task's part of them is split and shown."""
    from agentsoc.scenario.prices import money_text

    budget, n = scenario.budget, scenario.tasks.count
    if budget is None:
        return "none"
    tokens, calls, cost = (None if limit is None else limit * n for limit in budget.limits(n))
    parts = [] if tokens is None else [f"{tokens:,} tokens"]
    parts += [] if calls is None else [f"{calls:,} calls"]
    parts += [] if cost is None else [f"{money_text(cost)} in money"]
    text = ", ".join(parts)
    if budget.policy is not None:
        text += f"; shares: {budget.policy.kind}" + (", carried over" if budget.policy.carry else "")
    if budget.shown.scope != "hidden":
        text += f"; shown: {budget.shown.scope}" + (" (placebo)" if budget.shown.placebo else "")
    return text


def expansion(scenario: Scenario) -> str:
    """Return what a preset was expanded to, in the words of a scenario: what is at its default is left out."""
    topology, protocol = (
        ", ".join(f"{key}: {value}" for key, value in part.model_dump(mode="json", exclude_defaults=True).items())
        for part in (scenario.topology, scenario.protocol)
    )
    kinds = f"topology {{kind: {scenario.topology.kind}{', ' if topology else ''}{topology}}}"
    kinds += f", protocol {{kind: {scenario.protocol.kind}{', ' if protocol else ''}{protocol}}}"
    groups = ", ".join(
        f"{{count: {group.count}, iterations: {group.iterations}}}"
        if group.count
        else f"{{iterations: {group.iterations}}}"
        for group in scenario.agents
    )
    return f"{kinds}, agents {groups}"


def _print_facts(facts: dict[str, Any]) -> None:
    tasks = facts["tasks"]
    rows = [
        ("run", f"{facts['name']}, seed {facts['seed']}"),
        *(() if facts["preset"] is None else [("preset", f"{facts['preset']}: {facts['expansion']}")]),
        ("tasks", f"{tasks['count']:,} of {tasks['kind']}"),
        ("first", line(tasks["first"], 200)),
        ("agents", f"{facts['agents']:,}, {facts['models_text']}; protocol {facts['protocol']}"),
        *(("wired" if not at else "", text) for at, text in enumerate(facts["topology_text"].splitlines())),
        *(("", line(text, 300)) for text in facts["topology_remarks"]),
        ("budget", facts["budget_text"]),
        *(("" if at else "ceiling", text) for at, text in enumerate(facts["ceiling"])),
        ("cost", facts["bound"]),
        *(("warning", text) for text in facts["warnings"]),
    ]
    say("\n".join(f"{name:<10}{line(text)}" for name, text in rows))
