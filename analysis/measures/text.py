"""This module prints the reports of `agentsoc metrics` as text for a terminal and as plain data for JSON."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from agentsoc.printing.text import table as lines
from analysis.cascade_laws.as_json import plain
from analysis.interval import Interval
from analysis.measures.amplification import Amplification
from analysis.measures.report import Reports
from analysis.measures.run_report import RunReport
from analysis.measures.sweep import curves_of

UNITS: Final = {
    "overhead_turns": "%", "overhead_tokens": "%", "overhead_virtual": "%", "overhead_wall": "%",
    "information_gain": "bits", "vote_entropy": "bits", "virtual_s": "s", "wall_s": "s",
    "tokens": "tokens", "budget_left": "tokens",
}  # fmt: skip


def as_text(reports: Reports) -> str:
    """Return the reports for a terminal."""
    head = ["run", "agents", "tasks", "score", "turns", "O %", "E_c", "c", "per 1k tokens", "R", "K*"]
    rows = [head]
    for report in reports.runs:
        m = report.metrics
        names = ("turns", "overhead_turns", "efficiency", "message_density_broadcasts")
        rows.append(
            [
                report.run, str(report.n_agents), str(m.n_tasks), _whole(m["score"]),
                *(_short(m[name]) for name in names),
                *(_short(m[name]) for name in ("success_per_1k_tokens", "redundancy", "k_star")),
            ]
        )  # fmt: skip
    blocks = [lines(rows, right=frozenset(range(1, len(head))))]
    if reports.baseline is not None:
        blocks.append(f"baseline: {reports.baseline}")
    blocks += [f"note: {note}" for note in reports.notes]
    for report in reports.runs:
        blocks += ["", *_details(report)]
    for n, n_runs, (r, low, high) in reports.correlations():
        if np.isfinite(r):
            blocks += ["", f"K* and majority accuracy over {n_runs} teams of {n}: r = {r:.3f} [{low:.3f}, {high:.3f}]"]
    for name, law in reports.team_sizes():
        blocks += ["", f"team size, {name}: {law.summary()}"]
    for name, curve in curves_of(reports.runs):
        blocks += ["", f"curve, {name}: {curve.summary()}"]
    return "\n".join(blocks)


def _short(measured: Interval | None) -> str:
    return "-" if measured is None else f"{measured.value:.4g}"


def _whole(measured: Interval | None) -> str:
    return "-" if measured is None else f"{measured.value:.4g} [{measured.low:.3f}, {measured.high:.3f}]"


def _details(report: RunReport) -> list[str]:
    """Return the lines on one run: every number that its log gives, with its interval."""
    said = [f"{report.run}: {report.topology}, {report.protocol}, {report.n_agents} agents"]
    said += [f"  note: {note}" for note in report.notes]
    known = [(name, value) for name, value in report.metrics.values.items() if value is not None]
    rows = [[name, f"{v.value:.5g}", f"[{v.low:.5g}, {v.high:.5g}]", UNITS.get(name, "")] for name, v in known]
    said.append(lines(rows, right=frozenset({1}), indent="  "))
    said.append(f"  {report.diversity.summary()}")
    if report.information.height:
        last = report.information.row(-1, named=True)
        n = last["n_agents"]
        whose = "one agent's answer says" if n == 1 else f"the first {n} agents' answers say"
        more = "" if n == 1 else f", the last of them {last['gain']:.3f}"
        told = f"{last['information']:.3f} of {last['bound']:.3f} bits about the right one"
        said.append(f"  {whose} {told}{more}")
    worth = report.worth if isinstance(report.worth, str) else f"{report.worth} leaf votes"
    said.append(f"  effective votes: {worth}")
    if report.failure is not None:
        said.append(f"  A_task (failures over the single agent's): {report.failure}")
    if report.taint.table.height:
        said.append(f"  {report.taint.summary()}")
    if report.trace is not None:
        said.append(f"  A_trace (tainted acts per fault over the single agent's): {report.trace}")
    if report.judge is not None:
        said.append(f"  {report.judge.summary()}")
    if report.influence is not None:
        said += [f"  {line}" for line in report.influence.summary()]
    said += [f"  {line}" for line in report.exchange.summary()]
    if report.categories is not None:
        said += [f"  {line}" for line in report.categories.summary()]
    for measured in (report.acting, report.world):
        if measured is not None:
            said += [f"  {line}" for line in measured.summary()]
    return said


def as_dict(reports: Reports) -> dict[str, Any]:
    """Return the reports as plain data for JSON; numbers that do not exist are null."""
    found = plain(
        {
            "baseline": reports.baseline,
            "notes": list(reports.notes),
            "runs": [_run(report) for report in reports.runs],
            "k_star_and_majority_accuracy": [
                {"n_agents": n, "runs": n_runs, "r": r, "ci95": [low, high]}
                for n, n_runs, (r, low, high) in reports.correlations()
            ],
            "team_size": [{"setting": name, **law.as_dict()} for name, law in reports.team_sizes()],
            "curves": [{"setting": name, **curve.as_dict()} for name, curve in curves_of(reports.runs)],
        }
    )
    assert isinstance(found, dict)
    return found


def _run(report: RunReport) -> dict[str, object]:
    d, worth = report.diversity, report.worth
    return {
        "run": report.run,
        "topology": report.topology,
        "protocol": report.protocol,
        "n_agents": report.n_agents,
        "n_tasks": report.metrics.n_tasks,
        "paired": report.metrics.paired,
        "metrics": {
            name: None if v is None else {"value": v.value, "ci95": [v.low, v.high], "unit": UNITS.get(name, "")}
            for name, v in report.metrics.values.items()
        },
        "diversity": {
            "embedding": d.embedding,
            "centred": d.centred,
            "per_question": {name: d.questions[name].mean() for name in d.questions.columns[2:]},
            "team": d.team,
            "rounds": d.rounds.to_dicts(),
            "cumulative": d.cumulative.to_dicts(),
            "leave_one_out": d.agents.to_dicts(),
        },
        "information": report.information.to_dicts(),
        "effective_votes": {"value": None, "reason": worth}
        if isinstance(worth, str)
        else {
            "value": worth.value,
            "ci95": [worth.low, worth.high],
            "efficiency": worth.efficiency,
            "leaves": worth.leaves,
            "leaf_signal": worth.leaf_signal,
            "out_signal": worth.out_signal,
        },
        "a_task": _amplified(report.failure),
        "a_trace": _amplified(report.trace),
        "faults": report.taint.table.to_dicts(),
        "judge": None if report.judge is None else report.judge.as_dict(),
        "influence": None if report.influence is None else report.influence.as_dict(),
        "exchange": report.exchange.as_dict(),
        "acting": None if report.acting is None else report.acting.as_dict(),
        "world": None if report.world is None else report.world.as_dict(),
        "categories": None if report.categories is None else report.categories.as_dict(),
        "notes": list(report.notes),
    }


def _amplified(found: Amplification | None) -> dict[str, object] | None:
    if found is None:
        return None
    sizes = {"n": found.n, "n_single": found.n_single, "paired": found.paired}
    return {"value": found.value, "ci95": [found.low, found.high], **sizes}
