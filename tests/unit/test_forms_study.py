"""The pilot of forms counts first attempts, and the studies that read real replies again count what differs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from agentsoc import Scenario, run
from benchmarks.reread import reread
from benchmarks.study_forms import FormCell, FormCounts, counted, table
from tests.golden.test_golden import HERE

ROOT: Final = Path(__file__).parent.parent.parent
COUNTS: Final = ROOT / "benchmarks" / "results" / "forms.json"


@pytest.mark.parametrize("form", ["short", "json", "text"])
def test_a_form_is_counted_by_first_attempts(tmp_path: Path, form: str) -> None:
    cell = FormCell("scripted", form, "single", "choice")
    asked = cell.scenario(20)
    asked["agents"]["model"] = {"kind": "scripted", "accuracy": 1.0, "malformed_rate": 0.5}
    done = run(Scenario.model_validate(asked), tmp_path / "run")
    assert done.manifest.totals.score == 1.0  # the repairs are right
    found = counted(cell, tmp_path / "run")
    assert (len(found.right), sum(found.right) + found.unread, found.cut) == (20, 20, 0)
    assert 0 < found.unread < 20
    assert f"| {found.unread} | 0 |" in list(table([found]))[-1]
    assert FormCounts.of(json.loads(json.dumps(found.as_dict()))) == found


def test_the_page_has_the_table_that_follows_from_the_counts() -> None:
    counts = [FormCounts.of(one) for one in json.loads(COUNTS.read_text())]
    lines = list(table(counts))
    assert len(lines) == 2 + 3 * 3 * 2
    assert "\n".join(lines) in (ROOT / "docs" / "influence.md").read_text()


def test_a_form_stands_beside_the_first_one_of_the_same_tasks() -> None:
    first, second, other = (
        FormCounts(FormCell("scripted", form, "single", kind), right, 0, 0)
        for form, kind, right in (
            ("short", "choice", (True, False, False, False)),
            ("json", "choice", (True, True, True, False)),
            ("short", "sentiment", (True, True, True, True)),
        )
    )
    rows = list(table([first, second, other]))[2:]
    assert rows[0].endswith("|  |  | 0 | 0 |")
    assert "| json | 3 of 4: 0.75 [0.30, 0.95] | +0.50 [" in rows[1]
    assert rows[1].endswith("], 2 to 0 | 0.500 | 0 | 0 |")
    assert rows[2].endswith("|  |  | 0 | 0 |")
    twice = replace(second, cell=FormCell("scripted", "text", "single", "choice"))
    assert all(row.endswith("], 2 to 0 | 1.000 | 0 | 0 |") for row in list(table([first, second, twice]))[3:])


def test_replies_that_another_reader_reads_otherwise_are_found() -> None:
    every = list(reread(HERE / "format-2" / "read-by-3", 2))
    differ = {one.text.split("\n")[0][:20]: (one.before, one.after) for one in every if one.before != one.after}
    assert set(differ) == {"Let us go step by st", "We take 3. Then we g"}
    assert all(before.startswith("nothing") and not after.startswith("nothing") for before, after in differ.values())
    assert len(every) == 36
