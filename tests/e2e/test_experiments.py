"""The comparisons with the embedded model that the pages in docs/experiments quote: checked whole, made small.

Some of them are made by day with a scripted model. What the pages say of simulated agents is checked where the pages
are followed (`e2e/test_docs.py`); simulated files that no page makes are run in `e2e/test_compare.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from agentsoc.cli import main
from agentsoc.experiment.grid import load_grid
from agentsoc.scenario.files import BASE_DIR
from docs.generate import DOCS, header
from tests.model_files import skip_without_models
from tests.nightly import NIGHTLY

FILES = sorted((DOCS.parent / "scenarios" / "comparisons").glob("*.yaml"))
EMBEDDED = [path for path in FILES if path.stem.endswith("-local")]
SMALL = {
    "four-aggregators-local": ["base.agents.count=3"],
    "diversity-or-count-local": [
        "organisations.sixteen-copies.agents.count=4",
        "organisations.two-by-eight.agents.count=4",
    ],
}
"""What is made smaller besides the number of tasks."""
SCRIPTED = {
    "five-architectures-local": ["base.agents.count=2", "base.agents.model=scripted"],
    "visible-budget-local": ["base.agents.count=2", "base.agents.model=scripted"],
    "diversity-or-count-local": [
        f"organisations.{name}.agents.model=scripted" for name in ("sixteen-copies", "two-by-eight", "two-minds")
    ],
}
SHORT = {
    "shop-tools-local": ["base.agents.max_tokens=48"],
    "four-aggregators-local": ["base.agents.max_tokens=8"],
}
"""What is made smaller still but each night, and where a scripted model answers by day: that they run is claimed here,
and nothing of what the model writes."""
N_TASKS = {"four-aggregators-local": 2}
"""Tasks of the small comparison, where it is more than one."""


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.delenv("AGENTSOC_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)
    token = BASE_DIR.set(None)
    yield
    BASE_DIR.reset(token)


def test_the_name_of_a_file_says_whether_it_asks_the_embedded_model() -> None:
    for path in FILES:
        asked = {group.model.kind for cell in load_grid(path).cells for group in cell.scenario.agents}
        if path.stem != "real-readers":
            assert ("local" in asked) == (path in EMBEDDED), path.stem


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_header_of_a_comparison_tells_what_it_shows(path: Path) -> None:
    assert {"about", "Shows", "Look at", "Time"} <= set(header(path))


WITH_PAGE = [path for path in EMBEDDED if path.stem != "shop-tools-local"]  # it is told in docs/tools.md


@pytest.mark.parametrize("path", WITH_PAGE, ids=lambda path: path.stem)
def test_a_comparison_with_the_embedded_model_is_matched_and_has_its_page(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["compare", str(path), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["matched"]
    cells = load_grid(path).cells
    stated = re.search(r"\((\d+) runs of (\d+) tasks", header(path)["Time"])
    assert stated
    assert (len(cells), cells[0].scenario.tasks.count) == tuple(map(int, stated.groups()))
    page = DOCS / "experiments" / f"{path.stem.removesuffix('-local')}.md"
    assert f"scenarios/comparisons/{path.name}" in page.read_text("utf-8")


def test_five_architectures_of_the_embedded_model_are_five_presets_on_twenty_reviews_twice() -> None:
    cells = load_grid(next(path for path in EMBEDDED if path.stem.startswith("five"))).cells
    assert {cell.organisation for cell in cells} == {"single", "independent", "centralized", "decentralized", "hybrid"}
    assert {cell.seed for cell in cells} == {0, 1}
    assert len(cells) == 10
    for cell in cells:
        assert (cell.scenario.tasks.kind, cell.scenario.tasks.count) == ("sentiment", 20)
        assert cell.scenario.budget is not None
        assert cell.scenario.budget.tokens_per_task == 3000


@pytest.mark.model
@pytest.mark.parametrize("path", EMBEDDED, ids=lambda path: path.stem)
def test_a_comparison_with_the_embedded_model_runs_with_few_tasks(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_without_models(path)
    n = N_TASKS.get(path.stem, 1)
    changes = [
        f"base.tasks.count={n}",
        *SMALL.get(path.stem, ()),
        *([] if NIGHTLY else (SCRIPTED | SHORT).get(path.stem, [])),
    ]
    words = [word for change in changes for word in ("--set", change)]
    assert main.main(["compare", str(path), *words, "--seeds", "1", "--out", "out", "--quiet"]) == 0
    assert "missing" not in capsys.readouterr().out
    table = pl.read_parquet("out/results.parquet")
    assert table.height == n * table["organisation"].n_unique()
    assert (table["calls"] > 0).all()
    assert (table["charged"] <= table["budget"]).all()
    if path.stem.startswith("four"):  # three of the four count the same replies
        said = {}
        for name in ("union", "majority", "judge"):
            (run,) = Path("out/runs").glob(f"{name}-*")
            events = pl.concat([pl.read_parquet(part) for part in sorted((run / "events").glob("*.parquet"))])
            said[name] = events.filter(pl.col("round") == 0, pl.col("claim").is_not_null()).select(
                "task", "agent", pl.col("answer").cast(pl.String)
            )
        assert said["union"].equals(said["majority"])
        assert said["union"].equals(said["judge"])
