"""The page on tool-heavy and sequential work says what the committed results hold, and the files give those results."""

from __future__ import annotations

import json
import re
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from scipy.stats import norm

from agentsoc.engine.run import run
from agentsoc.experiment.grid import load_grid
from agentsoc.scenario.model import Scenario
from benchmarks.study_architectures import BUDGETS, DIGESTS, RESULTS, compared, contrast, of, page

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "experiments" / "tool-heavy-or-sequential.md"
FILES = {name: ROOT / "scenarios" / "comparisons" / f"axes-{name}.yaml" for name in ("tool-heavy", "sequential")}
ORGANISATIONS = {"single", "independent", "centralized", "decentralized", "hybrid"}
TASKS = 400
LOCAL_TASKS = 12
LOCAL = {name: ROOT / "scenarios" / "study" / f"axes-{name}-0.5b.yaml" for name in FILES}
"""The same with a model of half a billion weights, which no test asks: the results say what it said."""


def cells(name: str, **changes: Any) -> dict[str, Scenario]:
    """Return the scenario of each organisation of one of the files."""
    found = {cell.organisation: cell.scenario for cell in load_grid(FILES[name]).cells}
    few = {"tasks": found["single"].tasks.model_copy(update=changes)} if changes else {}
    return {organisation: scenario.model_copy(update=few) for organisation, scenario in found.items()}


def rate(operations_of_replies: list[int], scenario: Scenario) -> float:
    """Return how often an agent is right who puts so many numbers into each of its replies."""
    model: Any = scenario.agents[0].model
    wrong = [
        model.miss + (model.tired if place >= model.stamina else 0) for n in operations_of_replies for place in range(n)
    ]
    return float(prod(1 - each for each in wrong))


def test_every_table_and_sentence_of_the_page_is_what_the_committed_results_give() -> None:
    text = PAGE.read_text("utf-8")
    lines = [line for line in page() if line and not line.startswith("<!--")]
    assert len(lines) > 4 * 7
    at = [text.find(line) for line in lines]
    assert -1 not in at, lines[at.index(-1)]
    others = [line for line in text.splitlines() if line.startswith("|") and line not in lines]
    assert [line.split(" |")[0] for line in others] == [
        "|",
        "| divisible",
        "| sequential",
    ]  # the design: checked below


def test_what_the_page_says_besides_follows_from_the_results_and_the_files() -> None:
    text = " ".join(PAGE.read_text("utf-8").split())
    heavy, steps = (cells(name)["single"] for name in FILES)
    alone = {"tool-heavy": rate([12] * 3, heavy), "sequential": rate([3] * 12, steps)}
    led = rate([3] * 12, heavy)
    assert led == pytest.approx(alone["sequential"])
    gain = led - alone["tool-heavy"]
    for number in (alone["tool-heavy"], alone["sequential"], gain):
        assert f"{number:.3f}" in text
    assert f"The rates say by how much: {gain:.3f} in the one, nothing in the other" in text
    mean = compared("tool-heavy-6000").baseline.mean.value
    assert mean is not None
    p = alone["tool-heavy"]
    short = (p - mean) / (p * (1 - p) / TASKS) ** 0.5
    assert f"{mean:.3f} is {short:.1f} standard errors below the rate" in text
    assert f"(p = {2 * norm.sf(short):.3f})" in text
    assert f"It adds about {p - mean:.2f} to each lead" in text
    for name, scenario in (("divisible", heavy), ("sequential", steps)):
        dials: Any = scenario.tasks
        calls = dials.parallel * (dials.depth + 1)
        assert f"| {name} | {dials.parallel} | {dials.depth} | {calls} | {dials.parallel} |" in text
        assert dials.parallel * (dials.breadth + 3 * dials.depth) == 36
        assert scenario.budget is not None
        assert scenario.budget.tokens_per_task == BUDGETS[0]
        assert dials.count == TASKS


def test_the_conclusions_of_the_page_are_those_of_the_results() -> None:
    def outcome(setting: str) -> dict[str, int]:
        rows = compared(setting).rows
        return {r.organisation: (r.p_holm <= 0.05) * (1 if (r.difference.value or 0) > 0 else -1) for r in rows}

    for budget in BUDGETS:
        low = contrast("centralized", f"tool-heavy-{budget}", f"sequential-{budget}").split("[")[1]
        assert low.startswith("+")  # dividing pays more where there is something to divide
        assert outcome(f"sequential-{budget}")["centralized"] == 0
    for kind, who in product(("tool-heavy", "sequential"), ("single", "centralized")):  # "the same runs"
        wide_and_tight = [
            of(f"{kind}-{budget}").filter(pl.col("organisation") == who).sort("task")["score"].to_list()
            for budget in BUDGETS
        ]
        assert wide_and_tight[0] == wide_and_tight[1]
    tight, wide = outcome("sequential-6000"), outcome("sequential-40000")
    stopped = of("sequential-6000").filter(pl.col("organisation").is_in(["independent", "decentralized"]))
    assert (tight["independent"], tight["decentralized"]) == (-1, -1)
    assert stopped["answered"].any() is False
    assert (tight["hybrid"], tight["centralized"]) == (0, 0)
    assert (wide["independent"], wide["decentralized"]) == (1, 1)
    votes = contrast("independent", "tool-heavy-40000", "sequential-40000")
    assert re.search(r"\[-[\d.]+, \+[\d.]+\]", votes)


def test_the_results_are_whole_and_name_their_runs() -> None:
    digests = json.loads(DIGESTS.read_text())
    table = pl.read_parquet(RESULTS)
    assert set(table["setting"].unique()) == set(digests)
    for setting, found in digests.items():
        assert set(found["runs"]) == ORGANISATIONS
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in (found["comparison"], *found["runs"].values()))
        rows = of(setting)
        counts = dict(rows.group_by("organisation").len().rows())
        assert counts == dict.fromkeys(ORGANISATIONS, counts["single"])
        assert counts["single"] == (LOCAL_TASKS if setting.endswith("-local") else TASKS)
        assert rows.select("organisation", "seed", "task").is_unique().all()
        assert (rows["tokens"] <= rows["budget"]).all()


@pytest.mark.parametrize("name", FILES)
def test_the_files_give_the_first_tasks_of_the_committed_results(name: str, tmp_path: Path) -> None:
    columns = ("task", "score", "answered", "tokens", "calls")
    for organisation, scenario in cells(name, count=2).items():
        made = run(scenario, tmp_path / organisation).episodes()
        assert made is not None
        kept = of(f"{name}-{BUDGETS[0]}").filter(pl.col("organisation") == organisation, pl.col("task") < 2)
        made = made.with_columns((pl.col("tokens_in") + pl.col("tokens_out")).alias("tokens"))
        assert made.select(columns).rows() == kept.sort("task").select(columns).rows(), organisation


@pytest.mark.parametrize("name", LOCAL)
def test_the_results_of_the_small_model_are_of_the_file_that_is_shipped(name: str) -> None:
    grid = load_grid(LOCAL[name])
    assert grid.hash == json.loads(DIGESTS.read_text())[f"{name}-local"]["comparison"]
    text = " ".join(PAGE.read_text("utf-8").split())
    for cell in grid.cells:
        dials: Any = cell.scenario.tasks
        assert (dials.count, dials.parallel, dials.depth) == (
            LOCAL_TASKS,
            *((3, 0) if name == "tool-heavy" else (1, 3)),
        )
        assert cell.scenario.budget is not None
        assert cell.scenario.budget.tokens_per_task == 8_000
    assert f"scenarios/study/{LOCAL[name].name}" in text
    if name == "tool-heavy":  # "16 and 51, the results of the examples in their prompt"
        shown = LOCAL[name].read_text("utf-8")
        assert '"answer": "16"' in shown
        assert '"answer": "51"' in shown


def test_what_the_page_says_of_the_small_model_is_what_the_results_hold() -> None:
    text = " ".join(PAGE.read_text("utf-8").split())
    told = {name: [r for r in compared(f"{name}-local").rows if r.p_holm <= 0.05] for name in LOCAL}
    assert [row.organisation for row in told["tool-heavy"]] == ["hybrid"]
    assert (told["tool-heavy"][0].difference.value or 0) < 0
    assert "In the divisible setting one of four is told from the single agent, below it: the hybrid" in text
    assert told["sequential"] == []
    assert "In the sequential setting none of four is told from the single agent" in text
    least = [row.detectable for name in LOCAL for row in compared(f"{name}-local").rows]
    assert {round(each, 3) for each in least if each is not None} == {0.8}
    assert "Twelve tasks find a difference of 0.8 where they find any" in text
    for name in LOCAL:
        assert (of(f"{name}-local")["stop"] == "finished").all()
    assert "the ceiling stops nobody" in text
