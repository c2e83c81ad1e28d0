"""What `calibrate` finds in its directory: its own runs and no others, so that the wall over all of them holds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentsoc.cli import main
from agentsoc.engine.run import run
from agentsoc.log.journal import Attempt, Journal
from agentsoc.log.manifest import Manifest, load_manifest
from agentsoc.log.names import JOURNAL
from agentsoc.scenario.model import Scenario
from analysis.commands import calibration_runs

SCENARIO = """
name: voters
seed: 3
tasks: {kind: signal, count: 100}
agents:
  model: {kind: simulated, a: 0.12, beta: 0.1, fidelity: {kind: exp, m0: 60}, lock: 0.1, message: 120, compute: 100}
topology: star
protocol: aggregate
"""
WORDS = ("calibrate", "voters.yaml", "--budget", "300000", "--out", "c", "-q")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibration that is finished."""
    base = tmp_path_factory.mktemp("done")
    (base / "voters.yaml").write_text(SCENARIO)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        assert main.main(list(WORDS)) == 0
    return base


@pytest.fixture
def here(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that is the working directory; its runs."""
    shutil.copytree(done, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy" / "c" / "runs"


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[int], str]:
    """Call the command again and return what it says; it must not run anything."""

    def nothing(*words: object, **options: object) -> Any:
        raise AssertionError("a run was started")

    monkeypatch.setattr(calibration_runs, "run", nothing)
    monkeypatch.setattr(calibration_runs, "resume", nothing)

    def call(code: int) -> str:
        capsys.readouterr()
        found = main.main(list(WORDS))
        said = capsys.readouterr()
        assert found == code, said.out + said.err
        return said.out + said.err

    return call


def second(runs: Path) -> Path:
    return sorted(path for path in runs.iterdir() if "." not in path.name)[1]


def test_a_finished_calibration_is_read_again(here: Path, told: Callable[[int], str]) -> None:
    assert "tokens  " in told(0)


@pytest.mark.parametrize(
    "change",
    [
        {"budget": {"tokens": 1_000_000_000}},
        {"seed": 12345},
        {"name": "another"},
        {"tasks": {"count": 2}},
        {"agents": [{"temperature": 0.9}]},
    ],
)
@pytest.mark.parametrize("status", ["finished", "interrupted"])
def test_a_run_of_another_scenario_is_neither_read_nor_resumed(
    here: Path, told: Callable[[int], str], change: dict[str, Any], status: str
) -> None:
    place = second(here)
    scenario = load_manifest(place).scenario
    laid = {
        key: {**scenario[key], **value}
        if isinstance(value, dict)
        else [{**scenario[key][0], **value[0]}]
        if isinstance(value, list)
        else value
        for key, value in change.items()
    }
    shutil.rmtree(place)
    run(Scenario.model_validate({**scenario, **laid}), place)
    if status != "finished":
        changed = {**load_manifest(place).model_dump(mode="json"), "status": status, "digest": None}
        Manifest.model_validate(changed).save(place)
    said = told(2)
    assert str(place.relative_to(here.parents[1])) in said
    assert "made from another scenario" in said


def test_a_run_that_states_other_tokens_than_it_took_is_damaged(here: Path, told: Callable[[int], str]) -> None:
    place = second(here)
    manifest = load_manifest(place)
    manifest.totals.tokens_out = 0
    manifest.save(place)
    said = told(4)
    assert "totals.tokens_out is 0" in said
    assert str(place.relative_to(here.parents[1])) in said


def test_a_run_ahead_of_its_turn_is_a_strangers(here: Path, told: Callable[[int], str]) -> None:
    names = sorted(path.name for path in here.iterdir())
    shutil.rmtree(here / names[0])
    assert "before" in (said := told(2))
    assert f"runs/{names[1]}" in said
    assert not (here / names[0]).exists()


@pytest.mark.parametrize("what", ["replies", "notes", "nested", "no lock"])
def test_what_no_start_leaves_is_not_removed(here: Path, told: Callable[[int], str], what: str) -> None:
    names = sorted(path.name for path in here.iterdir())
    for name in names[1:]:
        shutil.rmtree(here / name)
    place = here / names[1]
    place.mkdir()
    (place / "run.lock").touch()
    if what == "replies":
        journal = Journal(place / JOURNAL)
        journal._commit([Attempt(0, 0, 0, 0, 0, "started", b"", "m", 1, 1)])
        journal.close()
    elif what == "nested":
        (place / "mine").mkdir()
        (place / "mine" / "thesis.txt").write_text("mine")
    elif what == "notes":
        (place / "notes.txt").write_text("mine")
    elif what == "no lock":
        (place / "run.lock").rename(place / "tasks.parquet")
    before = sorted(place.rglob("*"))
    said = told(2)
    assert str(place.relative_to(here.parents[1])) in said
    assert "than a start leaves that was killed" in said
    assert [path for path in sorted(place.rglob("*")) if path.name != ".holder.json"] == before
    assert json.loads((here.parent / "calibration.json").read_text())["kind"] == "agentsoc-calibration"


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ("{kind: arithmetic, count: 20}", "of these tasks their answers are free"),
        ("{kind: multiple-choice, count: 20}", "measured for two answers, and these tasks offer 4"),
    ],
)
def test_tasks_that_no_estimate_can_use_are_refused_before_anything_is_spent(
    tasks: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    text = SCENARIO.replace("{kind: signal, count: 100}", tasks)
    (tmp_path / "voters.yaml").write_text(text)
    assert main.main(list(WORDS)) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "voters.yaml:4:1" in error
    assert not (tmp_path / "c").exists()
