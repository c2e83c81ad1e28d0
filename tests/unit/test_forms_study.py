"""The pilot of forms counts first attempts, and the studies that read real replies again count what differs."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentsoc import Scenario, run
from benchmarks.reread import reread
from benchmarks.study_forms import FormCell, counted, table
from tests.golden.test_golden import HERE


@pytest.mark.parametrize("form", ["short", "json", "text"])
def test_a_form_is_counted_by_first_attempts(tmp_path: Path, form: str) -> None:
    cell = FormCell("scripted", form, "single", "choice")
    asked = cell.scenario(20)
    asked["agents"]["model"] = {"kind": "scripted", "accuracy": 1.0, "malformed_rate": 0.5}
    done = run(Scenario.model_validate(asked), tmp_path / "run")
    assert done.manifest.totals.score == 1.0  # the repairs are right
    found = counted(cell, tmp_path / "run")
    assert (found.tasks, found.right + found.unread, found.cut) == (20, 20, 0)
    assert 0 < found.unread < 20
    assert f"| {found.unread} | 0 |" in list(table([found]))[-1]


def test_replies_that_another_reader_reads_otherwise_are_found() -> None:
    every = list(reread(HERE / "format-2" / "read-by-3", 2))
    differ = {one.text.split("\n")[0][:20]: (one.before, one.after) for one in every if one.before != one.after}
    assert set(differ) == {"Let us go step by st", "We take 3. Then we g"}
    assert all(before.startswith("nothing") and not after.startswith("nothing") for before, after in differ.values())
    assert len(every) == 36
