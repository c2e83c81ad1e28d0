"""A comparison with several budgets, from a file to its curves: dials by pilots, interrupted and taken up again."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agentsoc.engine.replay import replay
from agentsoc.experiment import fill_pilots
from agentsoc.experiment.levels import TRIALS_MAX
from agentsoc.experiment.runner import run_comparison
from agentsoc.log.comparison import PILOTS, load_comparison_record
from agentsoc.log.read import RunLog
from analysis import compare
from analysis.comparison.table import read_results, save_table
from analysis.comparison.write import write_report
from tests.data.billed_model import BILL
from tests.e2e.test_compare import CODE, _fresh, call, process, written

__all__ = ["_fresh"]

MODEL: dict[str, Any] = {"kind": "simulated", "a": 0.02, "beta": 0.45, "signal_max": 0.6, "message": 20}
PLANTED: dict[str, Any] = {
    "name": "planted",
    "base": {
        "tasks": {"kind": "signal", "count": 600},
        "agents": {"model": {**MODEL, "fidelity": 0.95, "lock": 0.05}},
    },
    "organisations": {
        "single": {"topology": "single", "protocol": "vote", "fill": "compute"},
        "star": {"topology": "star", "protocol": "aggregate", "agents": {"count": 6}, "fill": "compute"},
    },
    "budgets": ["1k", "2k", "4k", "10k"],
    "seeds": 2,
}
"""The star overtakes the single agent at 3,561 tokens."""
REFINE: dict[str, Any] = {
    "preset": "self-refine", "agents": {"model": {"signal": 0.4, "compute": 100}}, "fill": "rounds"
}  # fmt: skip
PILOTED: dict[str, Any] = {
    **PLANTED,
    "base": {**PLANTED["base"], "tasks": {"kind": "signal", "count": 8}},
    "organisations": {**PLANTED["organisations"], "refine": REFINE},
}

ASKED: dict[str, Any] = {
    "name": "asked",
    "base": {
        "tasks": {"kind": "arithmetic", "count": 3},
        "agents": {"model": {"kind": "billed", "accuracy": 0.6, "latency_s": 0.02}},
        "engine": {"concurrency": 3},
    },
    "organisations": {
        "single": {"topology": "single", "protocol": "vote", "agents": {"model": {"payer": "single"}}},
        "votes": {
            "topology": "independent", "protocol": "vote", "fill": "samples", "agents": {"model": {"payer": "votes"}},
        },
    },
    "budgets": [400, 1200],
    "pilot_tasks": 2,
}  # fmt: skip


def made(place: Path, asked: dict[str, Any]) -> Path:
    """Run a comparison, write its report, and return its directory."""
    (place / "c.yaml").write_text(json.dumps(asked))
    outcome = run_comparison(place / "c.yaml", place / "out", workers=1)
    assert not outcome.failed
    results = read_results(place / "out")
    save_table(results)
    write_report(compare(results))
    return place / "out"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of the planted comparison, run once."""
    return made(tmp_path_factory.mktemp("planted"), PLANTED)


@pytest.fixture(scope="module")
def piloted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a comparison of which pilots set a dial, run once."""
    return made(tmp_path_factory.mktemp("piloted"), PILOTED)


def test_the_planted_crossover_is_told_beside_that_of_the_theory(planted: Path) -> None:
    found = json.loads((planted / "report.json").read_text())
    pair = next(one for one in found["crossovers"] if one["organisations"] == ["single", "star"])
    assert pair["verdict"] == "crossover"
    assert pair["low"] < 3_561 < pair["high"]
    assert pair["predicted"] == pytest.approx(3_560.8, abs=0.1)
    text = (planted / "report.txt").read_text()
    assert "star overtakes single at " in text
    assert "(by the theory of phases at 3,561)" in text.replace("\n  ", " ")


def test_the_table_has_budget_and_tokens_and_unspent_shares_are_told(planted: Path) -> None:
    table = pl.read_parquet(planted / "results.parquet")
    spent = table.group_by("organisation", "budget").agg(pl.col("tokens").mean())
    of = {(name, budget): tokens for name, budget, tokens in spent.iter_rows()}
    assert {budget for _, budget in of} == {1_000, 2_000, 4_000, 10_000}
    assert of["single", 4_000] == 4_000.0
    assert 3_990 < of["star", 4_000] <= 4_000
    assert (table["tokens"] <= table["budget"]).all()
    found = json.loads((planted / "report.json").read_text())
    star = next(one for one in found["curves"] if one["organisation"] == "star")
    assert all(point["unspent"] < 0.01 for point in star["points"])
    assert {
        one["budget"]: one["organisation"] for one in found["gain"] if one["organisation"] == "star"
    } == dict.fromkeys((1_000, 2_000, 4_000, 10_000), "star")


def test_pilots_are_on_other_tasks_apart_from_all_figures(piloted: Path) -> None:
    record = load_comparison_record(piloted)
    dials = [dial for dial in record.dials if dial.organisation == "refine"]
    assert {dial.how for dial in dials} == {"pilot"}
    assert all(1 <= len(dial.pilots) <= TRIALS_MAX for dial in dials)
    logs = [RunLog(piloted / run) for dial in dials for run in dial.pilots]
    assert sum(dial.pilot_tokens for dial in dials) == sum(log.manifest.totals.tokens for log in logs)
    scored = {RunLog(piloted / cell.run).manifest.tasks_hash for cell in record.cells}
    assert not scored & {log.manifest.tasks_hash for log in logs}
    assert {log.manifest.totals.episodes for log in logs} == {4}
    assert all(not (piloted / cell.run).is_relative_to(piloted / PILOTS) for cell in record.cells)
    for dial in dials:
        cell = next(one for one in record.cells if (one.organisation, one.budget) == ("refine", dial.budget))
        assert RunLog(piloted / cell.run).manifest.scenario["protocol"]["rounds"] == dial.value


def test_it_is_sound_replays_and_goes_on_with_nothing_to_do(piloted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "check", piloted)
    assert (code, err) == (0, "")
    assert "sound: 24 finished runs of 24" in out
    replay(piloted / "runs" / "refine-b2000-signal-s1")
    before = (piloted / "comparison.json").read_bytes()
    code, out, _ = call(capsys, "compare", piloted, "--json")
    assert code == 0
    assert json.loads(out)["crossovers"] == json.loads((piloted / "report.json").read_text())["crossovers"]
    assert json.loads((piloted / "comparison.json").read_bytes())["cells"] == json.loads(before)["cells"]


def test_costs_of_all_budgets_are_told_before_anything_is_started(capsys: pytest.CaptureFixture[str]) -> None:
    file = written(PILOTED)
    for words in (("check", file), ("compare", file, "--dry-run"), ("compare", file, "--plan")):
        code, out, _ = call(capsys, *words)
        assert code == 0
        assert "  star           1,000  compute 160 " in out
        assert "  refine        10,000  rounds by pilots " in out
        pilots = TRIALS_MAX * 4 * 17_000
        assert f"of refine are set by pilots on tasks that are not scored, which take {pilots:,} tokens at most" in out
        assert f"{3 * 2 * 8 * 17_000:,} tokens together at most at 4 budgets" in out
    assert not Path("comparisons").exists()
    found = json.loads(call(capsys, "compare", file, "--plan", "--json")[1])
    assert found["costs"]["pilots_at_most"] == pilots
    assert {kind["budget_per_task"] for kind in found["costs"]["kinds"]} == {1_000, 2_000, 4_000, 10_000}


def test_what_a_ceiling_does_not_pay_for_is_said_before_and_after(capsys: pytest.CaptureFixture[str]) -> None:
    small = {
        **PLANTED,
        "budgets": [150, 1_000],
        "organisations": {k: PLANTED["organisations"][k] for k in ("single", "star")},
    }
    small["base"] = {**PLANTED["base"], "tasks": {"kind": "signal", "count": 20}}
    file = written(small)
    assert "dials       star has no run at 150: the least that it does takes " in call(capsys, "check", file)[1]
    code, out, _ = call(capsys, "compare", file, "--out", "out")
    assert code == 0
    assert "star has no point at 150: the least that it does takes 205 tokens" in out
    assert len(load_comparison_record(Path("out")).cells) == 6


def test_killed_among_its_pilots_it_goes_on_and_buys_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    bill = Path("bill").resolve()
    words = ("compare", written(ASKED), "--allow-code", CODE, "--quiet", "--out", "out")
    child = process(*words, bill=bill)
    give_up = time.monotonic() + 60
    while not _finished_pilots():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    before = bill.read_text().splitlines()
    done = _finished_pilots()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(BILL, str(bill))
        assert call(capsys, "compare", "out", "--allow-code", CODE)[0] == 0  # the directory knows what to do
        bought = bill.read_text().splitlines()
        patched.setenv(BILL, "whole")
        assert call(capsys, *words[:-1], "whole.out")[0] == 0
    once = Path("whole").read_text().splitlines()
    assert len(before) < len(once) <= len(bought) <= len(once) + 3, "no more is bought twice than was under way"
    record, whole = (load_comparison_record(Path(at)) for at in ("out", "whole.out"))
    assert [dial.model_dump() for dial in record.dials] == [dial.model_dump() for dial in whole.dials]
    assert [cell.digest for cell in record.cells] == [cell.digest for cell in whole.cells]
    assert record.earlier == []
    assert done <= {Path(run).name for dial in record.dials for run in dial.pilots}
    assert not list(Path("out").glob("runs/*/*.tmp"))


def _finished_pilots() -> set[str]:
    return {
        at.parent.name for at in Path("out").glob("pilots/*/manifest.json") if '"status": "finished"' in at.read_text()
    }


def test_a_pilot_of_which_calls_failed_sets_no_dial(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BILL, "bill")
    base = {**ASKED["base"], "calls": {"attempts": 1, "fail_fast": False}}
    votes = {**ASKED["organisations"]["votes"], "agents": {"model": {"payer": "votes", "fail_rate": 0.5}}}
    asked = {**ASKED, "base": base, "organisations": {**ASKED["organisations"], "votes": votes}}
    code, _, err = call(capsys, "compare", written(asked), "--allow-code", CODE, "--out", "out")
    assert code == 1
    assert "a pilot cannot tell what its organisation takes: " in err
    assert "turns failed (server: " in err
    named = re.search(r"agentsoc resume (\S+) --retry-failed", err)
    assert named is not None
    assert Path(named[1]).parent == Path("out/pilots")
    assert Path(named[1], "manifest.json").is_file()
    assert not list(Path("out").glob("runs/*/manifest.json"))


def test_more_seeds_keep_the_dials_that_were_set(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BILL, str(Path("bill").resolve()))
    words = ("compare", written(ASKED), "--allow-code", CODE, "--out", "out")
    assert call(capsys, *words)[0] == 0
    first = load_comparison_record(Path("out"))
    pilots = sorted(path.name for path in Path("out/pilots").iterdir())
    assert call(capsys, *words, "--seeds", 2)[0] == 0
    second = load_comparison_record(Path("out"))
    assert [dial.model_dump() for dial in second.dials] == [dial.model_dump() for dial in first.dials]
    assert sorted(path.name for path in Path("out/pilots").iterdir()) == pilots
    assert {cell.seed for cell in second.cells} == {0, 1}
    assert second.earlier == [first.hash]


def test_tasks_that_no_seed_changes_leave_none_for_a_pilot(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BILL, "bill")
    monkeypatch.setattr(fill_pilots, "SEEDS_TRIED", 3)
    lines = [json.dumps({"question": f"What is {n} and {n}?", "answer": str(2 * n)}) for n in range(4)]
    Path("four.jsonl").write_text("\n".join(lines))
    asked = {**ASKED, "base": {**ASKED["base"], "tasks": {"kind": "jsonl", "file": "four.jsonl", "count": 4}}}
    code, _, err = call(capsys, "compare", written(asked), "--allow-code", CODE, "--out", "out")
    assert code == 2
    assert "pilots of votes have no tasks but those that are scored" in err
    assert "fill: {dial: samples, values: [...]}" in err
    votes = {**ASKED["organisations"]["votes"], "fill": {"dial": "samples", "values": [2, 6]}}
    given = {**asked, "organisations": {**ASKED["organisations"], "votes": votes}}
    assert call(capsys, "compare", written(given), "--allow-code", CODE, "--out", "given")[0] == 0
    assert [cell.n_agents for cell in load_comparison_record(Path("given")).cells if cell.organisation == "votes"] == [
        2,
        6,
    ]
