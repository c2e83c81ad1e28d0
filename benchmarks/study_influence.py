"""What do agents do with what they are shown? Real models in debates and stars, counted from their transcripts.

Run: ``python -m benchmarks.study_influence [--models 0.5b,1.5b] [--forms short,json] [--organisations debate,star]
[--kinds arithmetic,choice] [--tasks 12] [--minutes 30]``. Every cell is one run directory under ``--runs``. Cells are
taken in the order named and go on where an earlier call of the study stopped, until the minutes are over; the table
holds what is there. It is printed in Markdown and written as JSON beside the runs, or where ``--out`` says: the counts
that the documentation tells are in ``benchmarks/results/influence.json``.

``--organisations five,roles,moa,refine,orchestrate,judge`` runs the part about prompts that are counted: five voters
under 3,000 tokens a task, and one organisation for each template. Their replay is made without the model's file.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import yaml
from scipy import stats

from agentsoc import RunLog
from analysis.interval import Interval
from analysis.stats import PairedRow, compare_paired
from analysis.stats.permutation import holm
from analysis.stats.proportions import wilson
from benchmarks.influence import figures, said_in

RESULTS: Final = Path(__file__).parent / "results" / "influence.json"
MODELS: Final[dict[str, dict[str, Any]]] = {
    "smollm2": {"kind": "local", "servers": 1},
    "0.5b": {"kind": "local", "servers": 1, "file": "qwen2.5-coder-0.5b"},
    "1.5b": {"kind": "local", "servers": 1, "file": "qwen2.5-coder-1.5b"},
    "scripted": {"kind": "scripted", "accuracy": 0.5},
}
KINDS: Final = {
    "arithmetic": {"kind": "arithmetic"},
    "choice": {"kind": "multiple-choice"},
    "sentiment": {"kind": "sentiment"},
}
ORDERS: Final[dict[str, dict[str, str]]] = {
    "claims": {},
    "question": {
        "revise": "{{ question }}\n\nOthers said:\n{{ claims | join('\\n') }}\n{% if own %}\n\n{{ own }}\n{% endif %}\n"
        "{% if form %}\n\n{{ form }}\n{% endif %}\n"
    },
}
"""Whether the claims or the question come first: the shipped templates, and what stands in their place."""
_STAGES: Final = [
    {"name": "plan", "agent": 0, "asks": "Say in which order to calculate. Do not calculate yet."},
    {"name": "work", "agent": 1, "asks": "Calculate by the plan and state the result.", "reads": ["plan"]},
    {"name": "review", "agent": 2, "asks": "Is the result right? If not, say where it goes wrong.", "checks": "work"},
    {"name": "answer", "agent": 1, "asks": "Give the result.", "reads": ["work"]},
]
ORGANISATIONS: Final[dict[str, tuple[int, str, dict[str, Any], int | None]]] = {
    "debate": (3, "decentralized", {"kind": "debate", "rounds": 2, "until": "rounds"}, None),
    "star": (4, "star", {"kind": "aggregate", "by": "model"}, None),
    "five": (5, "independent", {"kind": "vote"}, 3_000),
    "debate-budget": (3, "decentralized", {"kind": "debate", "rounds": 2, "until": "rounds"}, 12_000),
    "moa": (4, "star", {"kind": "moa", "layers": 2, "by": "model"}, 12_000),
    "refine": (2, "independent", {"kind": "refine", "critic": "other", "rounds": 2}, 12_000),
    "roles": (3, "chain", {"kind": "roles", "returns": 1, "stages": _STAGES}, 12_000),
    "orchestrate": (
        3, "star",
        {"kind": "orchestrate", "rounds": 2, "plan_by": "model", "guidance": "each", "decision": "lead",
         "synthesis": "model"},
        20_000,
    ),
    "judge": (4, "star", {"kind": "aggregate", "by": "judge"}, 12_000),
}  # fmt: skip
"""Agents, topology, protocol and, where prompts are to be reserved, a ceiling (tokens a task)."""
CAPS: Final = {"short": 24, "json": 64, "text": 64}
"""Longest reply of each form (tokens)."""
CALLS: Final = {"timeout_s": 3_000, "deadline_s": 86_400}
"""Patience: on a machine that has other work too a call of a large model takes minutes."""
TEMPERATURE: Final = 0.8
SEED: Final = 11


@dataclass(frozen=True)
class Cell:
    """A cell is one society of one model on one kind of task."""

    model: str
    form: str
    organisation: str
    kind: str
    order: str = "claims"
    history: str = "last"

    @property
    def name(self) -> str:
        return "-".join((self.model, self.form, self.organisation, self.kind, self.order, self.history))

    def scenario(self, tasks: int) -> dict[str, Any]:
        """Return the cell as a scenario."""
        n, topology, protocol, tokens = ORGANISATIONS[self.organisation]
        agents = {"count": n, "model": MODELS[self.model], "temperature": TEMPERATURE}
        agents |= {"max_tokens": CAPS[self.form], "reply": self.form, "history": self.history}
        return {
            "name": "influence",
            "seed": SEED,
            "tasks": {**KINDS[self.kind], "count": tasks},
            "agents": agents,
            "topology": topology,
            "protocol": protocol,
            "calls": CALLS,
            **({"prompts": ORDERS[self.order]} if ORDERS[self.order] else {}),
            **({"budget": {"tokens_per_task": tokens}} if tokens else {}),
        }


def advance(cell: Cell, directory: Path, tasks: int, deadline: float) -> bool:
    """Run a cell, or go on with it, until it is done or the deadline; return whether it is done.

    It is interrupted as a person would: what has been received is kept. Cells in one directory share a cache of
    replies, so that what cells have in common, such as first answers under both orders, is asked once.
    """
    if is_finished(directory):
        return True
    if time.monotonic() >= deadline:
        return False
    begin = ["resume", str(directory)]
    if not has_run(directory):
        directory.parent.mkdir(parents=True, exist_ok=True)
        file = directory.with_name(f"{directory.name}.yaml")
        file.write_text(yaml.safe_dump(cell.scenario(tasks), sort_keys=False), encoding="utf-8")
        cache = directory.with_name("replies.sqlite").absolute()
        begin = ["run", str(file), "--out", str(directory), "--set", f"calls.cache={json.dumps(str(cache))}"]
    with directory.with_name(f"{directory.name}.out").open("ab") as out:
        child = subprocess.Popen([sys.executable, "-m", "agentsoc", *begin], stdout=out, stderr=out)
        try:
            child.wait(max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGINT)
            child.wait()
    return is_finished(directory)


def has_run(directory: Path) -> bool:
    """Return whether there is a run: one that was stopped as it began leaves a directory without a manifest."""
    return (directory / "manifest.json").exists()


def is_finished(directory: Path) -> bool:
    """Return whether a run is over."""
    return has_run(directory) and RunLog(directory).manifest.status == "finished"


def measured(cell: Cell, directory: Path) -> dict[str, Any]:
    """Return the figures of what a cell has so far, and whether its log replays where there is no model."""
    log = RunLog(directory)
    tasks = sorted({call.task for call in log.journal()})
    replies = list(said_in(directory, tasks))
    found = figures(directory, replies, ORGANISATIONS[cell.organisation][0], cell.form == "short")
    found["cell"] = vars(cell)
    found["finished"] = log.manifest.status == "finished"
    if found["finished"]:
        found["replays_without_model"] = replays_without_model(directory)
    calls = [call for call in log.journal() if call.round == 0]
    found["calls_of_first_round"] = sorted(
        {task: sum(call.task == task and call.attempt == 0 for call in calls) for task in tasks}.values()
    )
    return found


def replays_without_model(directory: Path) -> bool:
    """Return whether a run replays in a home without model files."""
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "HOME": home, "XDG_CACHE_HOME": home}
        done = subprocess.run(
            [sys.executable, "-m", "agentsoc", "replay", str(directory)], env=env, capture_output=True, check=False
        )
    return done.returncode == 0


def share(k: int, n: int) -> str:
    """Return a share with its 95 % interval by Wilson."""
    if not n:
        return "no case"
    found = wilson(k, n)
    return f"{k} of {n}: {found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def mean(values: list[float]) -> Interval:
    """Return a mean over tasks with its interval by Student's t."""
    n = len(values)
    at = float(np.mean(values)) if n else float("nan")
    if n < 2:
        return Interval(at, float("-inf"), float("inf"), method="t over tasks")
    half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return Interval(at, at - half, at + half, method="t over tasks")


def table(found: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the tables."""
    yield "| cell | tasks, replies | claims shown | say sources | name a claim | #1 among used | #1 among disputed |"
    yield "|---|---|---|---|---|---|---|"
    for one in found:
        yield (
            f"| {_title(one)} | {one['tasks']}, {one['replies']} | {one['claims_shown']} of {one['claims_due']} "
            f"| {share(one['says'], one['asked'])} | {share(one['names'], one['asked'])} "
            f"| {_first(one['uses'])} | {_first(one['disputes'])} |"
        )
    yield "\n| cell | acts on others' claims where answers differ | adopted | no answer | right, first | right, last |"
    yield "|---|---|---|---|---|---|"
    for one in found:
        kinds = ", ".join(f"{n} {kind.split('_')[0]}" for kind, n in one["acts_on_others"].items()) or "none"
        first, last = (mean(list(one[key].values())) for key in ("right_first", "right_last"))
        yield (
            f"| {_title(one)} | {kinds} | {share(one['adopted'], one['saw_another_answer'])} | {one['without_answer']} "
            f"| {first.value:.2f} {first.brackets()} | {last.value:.2f} {last.brackets()} |"
        )
    yield "\n| cell | handles read as answers | prompt tokens reserved, used | differ | repairs | replays alone |"
    yield "|---|---|---|---|---|---|"
    for one in found:
        reserved, used = one["reserved"]
        yield (
            f"| {_title(one)} | {len(one['misread'])} of {one['replies']} | {reserved:,} and {used:,} "
            f"| {one['reserved_otherwise']} | {one['repairs']} | {one.get('replays_without_model', '-')} |"
        )
    if leads := [one for one in found if one.get("led")]:
        yield "\n| cell | workers right | lead right | lead takes a shown answer, where they differ |"
        yield "|---|---|---|---|"
        for one in leads:
            shares = (share(*one["led"][name]) for name in ("workers_right", "lead_right", "taken"))
            yield f"| {_title(one)} | {' | '.join(shares)} |"
    yield from _pairs(found)
    if len({one["cell"]["order"] for one in found}) > 1:
        yield ""
        yield from orders(found)


def _pairs(found: list[dict[str, Any]]) -> Iterator[str]:
    """Yield how far first answers in JSON and in the short form are apart, on the tasks that both have."""
    by_cell = {tuple(one["cell"].values()): one for one in found}
    yield "\n| JSON less short, first answers | tasks | difference |\n|---|---|---|"
    for key, one in by_cell.items():
        other = by_cell.get((key[0], "json", *key[2:])) if key[1] == "short" else None
        if other is None:
            continue
        a, b = one["right_first"], other["right_first"]
        both = [float(b[task]) - float(a[task]) for task in a if task in b]
        gap = mean(both)
        yield f"| {key[0]}, {key[2]}, {key[3]}, {key[4]} first | {len(both)} | {gap.value:+.3f} {gap.brackets()} |"


def orders(found: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the table of cells that differ in nothing but which of question and claims a prompt shows first.

    Differences of the last answers are paired by task; p by swapping orders, corrected by Holm over the table.
    """
    by_cell = {tuple(one["cell"].values()): one for one in found}
    yield (
        "| model, tasks | right, first | last: claims first | last: question first | difference [95 %], p (Holm) | "
        "name a claim | #1 among names for support | adopted |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    pairs = [
        (one, by_cell[*key[:4], "question", *key[5:]])
        for key, one in by_cell.items()
        if key[4] == "claims" and (*key[:4], "question", *key[5:]) in by_cell
    ]
    rows = [paired(_last(one), _last(other)) for one, other in pairs]
    corrected = holm(np.array([row.p for row in rows]))
    for pair, row, p in zip(pairs, rows, corrected, strict=True):
        cell = pair[0]["cell"]
        ends = [mean(list(each.values())) for each in (pair[0]["right_first"], *(one["right_last"] for one in pair))]
        told = " | ".join(f"{end.value:.2f}" for end in ends)
        gap = row.difference
        said = f"{gap.value:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}], {p:.2f}"
        counts = (
            ", ".join(f"{k} of {n}" for k, n in each)
            for each in (
                [(one["names"], one["asked"]) for one in pair],
                [(one["uses"]["first"], one["uses"]["named"]) for one in pair],
                [(one["adopted"], one["saw_another_answer"]) for one in pair],
            )
        )
        yield f"| {cell['model']}, {row.n_paired_tasks} {cell['kind']} | {told} | {said} | {' | '.join(counts)} |"


def paired(before: Mapping[int, float], after: Mapping[int, float]) -> PairedRow:
    """Return the scores of tasks under one condition less those under another, by the number of the task."""
    rows = [(name, task, 0, score) for name, own in (("a", before), ("b", after)) for task, score in own.items()]
    table = pl.DataFrame(rows, schema=["organisation", "task", "seed", "score"], orient="row")
    return compare_paired(table, baseline="a", cluster=("task",)).row("b")


def _last(one: dict[str, Any]) -> dict[int, float]:
    return {int(task): float(right) for task, right in one["right_last"].items()}


def _first(places: dict[str, Any]) -> str:
    """Return how often #1 was among the names, and how often it would be by chance."""
    n = places["named"]
    return f"{share(places['first'], n)}, chance {places['chance'] / n:.2f}" if n else "no case"


def _title(one: dict[str, Any]) -> str:
    cell = one["cell"]
    last = "" if cell["order"] == "claims" else ", question first"
    return f"{cell['model']}, {cell['form']}, {cell['organisation']}, {cell['kind']}{last}"


def study(cells: list[Cell], runs: Path, tasks: int, minutes: float) -> list[dict[str, Any]]:
    """Advance the cells in their order within some minutes, and return the figures of all that have any."""
    deadline = time.monotonic() + 60 * minutes
    found = []
    for cell in cells:
        directory = runs / cell.name
        advance(cell, directory, tasks, deadline)
        if has_run(directory) and (one := measured(cell, directory))["tasks"]:
            found.append(one)
            print(f"{cell.name}: {one['tasks']} tasks, {one['replies']} replies", file=sys.stderr, flush=True)
    return found


def main() -> int:
    """Carry out what the command line asks for; return 1 when a promise of the program, not of a model, is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="0.5b,1.5b")
    parser.add_argument("--forms", default="short,json")
    parser.add_argument("--organisations", default="debate,star")
    parser.add_argument("--kinds", default="arithmetic,choice")
    parser.add_argument("--orders", default="claims")
    parser.add_argument("--histories", default="last", help="last, none: the own reply as a message or in the question")
    parser.add_argument("--tasks", type=int, default=12, help="tasks of a cell")
    parser.add_argument("--minutes", type=float, default=30.0, help="time for all cells; 0 only counts what is there")
    parser.add_argument("--runs", type=Path, default=Path("runs/influence"))
    parser.add_argument("--out", type=Path, help="file for the counts, JSON; influence.json among the runs if not said")
    parser.add_argument("--sample", type=int, default=0, help="replies to print whose answer a handle might be")
    told = parser.parse_args()
    axes = (told.models, told.forms, told.organisations, told.kinds, told.orders, told.histories)
    cells = [Cell(*each) for each in product(*(axis.split(",") for axis in axes))]
    found = study(cells, told.runs, told.tasks, told.minutes)
    print("\n".join(table(found)))
    for text in [text for one in found for text in one["suspects"]][: told.sample]:
        print(f"  {text!r}")
    out = told.out or told.runs / "influence.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    broken = any(
        one["misread"] or one["shown_less_than_due"] or one["prompts_as_sent"] != one["replies"] for one in found
    )
    return int(broken or not all(one.get("replays_without_model", True) for one in found))


if __name__ == "__main__":
    sys.exit(main())
