"""This module prints what a comparison would run and can cost at most; `agentsoc.experiment.plan` works it out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from agentsoc.engine.bounds import UNLESS, Bound, NoBound, bound_as_dict, total
from agentsoc.experiment.levels import pilot_bound
from agentsoc.printing.terminal import say
from agentsoc.printing.text import line, table

if TYPE_CHECKING:
    from agentsoc.experiment.grid import Grid
    from agentsoc.experiment.pilot import KindPilot
    from agentsoc.experiment.plan import Kind

_RIGHT: Final = frozenset({1, 3, 4, 5, 6, 7, 8, 9, 10})


def plan_as_dict(grid: Grid, rows: Sequence[Kind]) -> dict[str, Any]:
    """Return the plan as plain values."""
    whole = total([row.most for row in rows])
    return {
        "name": grid.name,
        "hash": grid.hash,
        "baseline": grid.asked.baseline,
        "matched": grid.matched,
        "n_runs": len(grid.cells),
        "n_finished": sum(row.answered for row in rows),
        "kinds": [_row_as_dict(row) for row in rows],
        **({} if not grid.levels else {"levels": [one.dial.model_dump(mode="json") for one in grid.levels]}),
        **({} if not grid.levels else {"pilots_at_most": pilots_at_most(grid)}),
        "total": bound_as_dict(whole),
        "time_s": None,
        "cells": [cell.id for cell in grid.cells],
    }


def print_plan(grid: Grid, rows: Sequence[Kind]) -> None:
    """Print the plan: what runs, and how much it can take at most."""
    from agentsoc.scenario.prices import money_text

    tasks = dict.fromkeys(cell.tasks for cell in grid.cells)
    seeds = dict.fromkeys(cell.seed for cell in grid.cells)
    say(
        f"{grid.name}: {len(grid.cells):,} runs of {len(grid.asked.organisations)} organisations on "
        f"{_many(len(tasks), 'task block')} with {_many(len(seeds), 'seed')}, baseline {grid.asked.baseline}"
    )
    priced = any(isinstance(row.most, Bound) and row.most.cost_max for row in rows)
    levels = bool(grid.levels)
    head = ["organisation", *["budget", "dial"] * levels]
    head += ["agents", "tasks", "runs", "done", "calls at most", "tokens about", "tokens at most"]
    studied = any(_study(row) is not None for row in rows)
    beside = ["study: calls at most", "tokens at most"] if studied else []
    cells = [head + ["cost at most"] * priced + beside]
    for row in rows:
        first = row.cells[0]
        study = _study(row) or Bound()
        name = f"{first.tasks} x {first.scenario.tasks.count:,}"
        cells.append(
            [first.organisation, *([f"{first.budget:,}", _dial(row)] if levels else []), f"{first.n_agents:,}", name]
            + [f"{len(row.cells):,}", f"{row.answered:,}", *_cost(row)]
            + ["unknown" if isinstance(row.most, NoBound) else money_text(row.most.cost_max)] * priced
            + ([f"{study.attempts:,}", f"{study.tokens_max:,}"] if studied else [])
        )
    say(table(cells, right=frozenset({1, *range(3, 13)} - {4}) if levels else _RIGHT, indent="  "))
    for text in _levels(grid):
        say(f"{'dials':<12}{line(text)}")
    whole = total([row.most for row in rows])
    live = [row for row in rows if not row.pure]
    due = sum(len(row.cells) - row.answered for row in rows)
    what = whole.text() if live else "no model is called"
    say(f"to do       {_many(due, 'run')}: {what}")
    if any(row.about for row in live):
        say("            one seed stands for all: others may have longer tasks")
    same = "the same for all organisations" if grid.matched else "not matched: a difference may be one of spending"
    several = f" at {len(grid.asked.comparison.budgets)} budgets" * levels
    say(f"budget      {_ceilings(rows)}{several}; {same}")
    for at, text in enumerate(_cuts(rows)):
        say(f"{'' if at else 'ceiling':<12}{line(text)}")
    say(f"time        {_time(live)}")


def pilots_at_most(grid: Grid) -> int:
    """Return what the pilots that are still to be made can take at most (tokens)."""
    return sum(pilot_bound(grid.asked, one.dial) for one in grid.unset)


def _dial(row: Kind) -> str:
    """Return what an organisation turns up at a budget, and how far."""
    if row.dial is None or not row.dial.dial:
        return "-"
    return f"{row.dial.dial} " + ("by pilots" if row.dial.how == "unset" else f"{row.dial.value:,}")


def _levels(grid: Grid) -> list[str]:
    """Return which budgets an organisation has no run at, and what pilots have still to set."""
    said = [
        f"{one.dial.organisation} has no run at {one.dial.budget:,}: "
        + (
            f"the least that it does takes {one.dial.least_tokens:,.0f} tokens"
            if one.dial.least_tokens
            else one.dial.reason
        )
        for one in grid.levels
        if one.made is None
    ]
    if grid.unset:
        names = ", ".join(dict.fromkeys(one.dial.organisation for one in grid.unset))
        said.append(
            f"of {names} are set by pilots on tasks that are not scored, which take {pilots_at_most(grid):,} tokens at "
            "most besides"
        )
    return said


def print_pilots(found: Sequence[KindPilot]) -> None:
    """Print what the pilots took and let expect, a line for each organisation, beside the bound of the plan."""
    from agentsoc.engine.pilot import time_text
    from agentsoc.scenario.prices import money_text

    priced = any(each.cost_expected is not None for each in found)
    head = ["organisation", "agents", "tasks", "runs", "tokens a task", "tokens expected", "time expected"]
    cells = [head + ["cost expected"] * priced]
    for each in found:
        first, pilot = each.kind.cells[0], each.pilot
        cost = each.cost_expected
        name = f"{len(pilot.tokens)} of {pilot.n_tasks:,} of {first.tasks}"
        cells.append(
            [first.organisation, f"{first.n_agents:,}", name, f"{each.runs:,}"]
            + [f"{sum(pilot.tokens) / len(pilot.tokens):,.0f}", f"{each.tokens_expected:,}"]
            + [time_text(each.seconds_expected)]
            + ["unknown" if cost is None else money_text(cost)] * priced
        )
    say("\npilots      what their first tasks took, and all runs if all tasks are like these; in runs/")
    say(table(cells, right=frozenset({1, 3, 4, 5, 6, 7}), indent="  "))
    tokens, seconds = sum(each.tokens_expected for each in found), sum(each.seconds_expected for each in found)
    costs = [each.cost_expected for each in found]
    money = "" if None in costs else f", {money_text(sum(cost or 0 for cost in costs))} in money"
    say(f"expected    about {tokens:,} tokens{money}; {time_text(seconds)} one run after the other")
    if text := _study_expected(found):
        say(f"study       {text}")
    if failed := sum(each.pilot.run.manifest.totals.calls_failed for each in found):
        say(f"            {failed:,} calls of the pilots failed: these figures are too low")


def _study_expected(found: Sequence[KindPilot]) -> str:
    """Return what the calls of the study will take in all runs, as the pilots let expect; nothing without any."""
    from agentsoc.scenario.prices import money_text

    studies = [each.study_expected for each in found]
    calls, tokens = sum(calls for calls, _, _ in studies), sum(tokens for _, tokens, _ in studies)
    costs = [cost for _, _, cost in studies]
    money = "" if None in costs or not any(costs) else f", {money_text(sum(cost or 0 for cost in costs))} in money"
    return f"besides, about {calls:,} calls of probes and judge, {tokens:,} tokens{money}" if calls else ""


def pilots_as_dicts(found: Sequence[KindPilot]) -> list[dict[str, Any]]:
    """Return the pilots as plain values."""
    from agentsoc.scenario.prices import money

    return [
        {
            "organisation": each.kind.cells[0].organisation,
            "n_agents": each.kind.cells[0].n_agents,
            "tasks": each.kind.cells[0].tasks,
            "runs": each.runs,
            "tokens_expected": each.tokens_expected,
            "cost_expected": None if each.cost_expected is None else money(each.cost_expected),
            "study_expected": _study_as_dict(each),
            "seconds_expected": round(each.seconds_expected, 3),
            "pilot": each.pilot.as_dict(),
        }
        for each in found
    ]


def _study_as_dict(each: KindPilot) -> dict[str, Any] | None:
    from agentsoc.scenario.prices import money

    calls, tokens, cost = each.study_expected
    if each.pilot.study is None:
        return None
    return {"calls": calls, "tokens": tokens, "cost": None if cost is None else money(cost)}


def _study(row: Kind) -> Bound | None:
    """Return what the calls of the study can take in runs of a kind; None where there are none."""
    return row.most.judge if isinstance(row.most, NoBound) else row.most.study


def _ceilings(rows: Sequence[Kind]) -> str:
    if any(row.ceiling is None for row in rows):
        return "no limit of tokens" if all(row.ceiling is None for row in rows) else "not every run has one"
    most = f"{sum(row.ceiling or 0 for row in rows):,} tokens together at most"
    return most if all(row.pure for row in rows) else f"{most}, {UNLESS}"


def _cuts(rows: Sequence[Kind]) -> list[str]:
    """Return what the ceiling makes of the rounds of each organisation."""
    levels = any(row.cells[0].budget is not None for row in rows)
    sizes = len({row.cells[0].n_agents for row in rows}) > 1 and not levels
    several = len({row.cells[0].tasks for row in rows}) > 1, sizes
    said = []
    for row in rows:
        first = row.cells[0]
        at = f" at {first.budget:,}" if first.budget is not None else ""
        name = first.organisation + at + f" n={first.n_agents}" * several[1] + f" on {first.tasks}" * several[0]
        said += [f"{name}: {'; '.join(row.cut)}"] if row.cut else []
    return said


def _time(live: Sequence[Kind]) -> str:
    if not live:
        return "no model is waited for; simulated runs take milliseconds a task"
    return "unknown: it depends on the model; the view tells what is left once tasks have ended"


def _cost(row: Kind) -> list[str]:
    if row.pure:
        return ["none", "none", "none"] if row.ceiling is None else ["none", "none", f"{row.ceiling:,} simulated"]
    if isinstance(row.most, NoBound):
        return ["unknown", "unknown", "unknown" if row.ceiling is None else f"{row.ceiling:,}"]
    return [f"{row.most.attempts:,}", f"{row.most.tokens:,}", f"{row.most.tokens_max:,}"]


def _row_as_dict(row: Kind) -> dict[str, Any]:
    first = row.cells[0]
    return {
        "organisation": first.organisation,
        "n_agents": first.n_agents,
        "tasks": first.tasks,
        "n_tasks": first.scenario.tasks.count,
        "runs": len(row.cells),
        "finished": row.answered,
        "simulated": row.pure,
        "budget": row.ceiling,
        **({} if first.budget is None else {"budget_per_task": first.budget}),
        "ceiling": list(row.cut),
        **bound_as_dict(row.most),
    }


def _many(n: int, what: str) -> str:
    return f"{n:,} {line(what)}" + ("s" if n != 1 else "")
