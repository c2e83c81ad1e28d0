"""A copy of a comparison that is kept elsewhere goes on anywhere, with every run that was in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fsspec")


from agentsoc.cli import main
from agentsoc.errors import InputError, LogDamagedError, RunFailedError
from agentsoc.experiment.comparison import parse_comparison
from agentsoc.experiment.grid import Grid, make_grid
from agentsoc.experiment.runner import run_comparison
from agentsoc.experiment.sync import SyncedComparison, fetch_comparison
from agentsoc.log.comparison import load_comparison_record
from agentsoc.log.manifest import load_manifest
from tests.objects import reached

PASSWORD = "sk-a-password-of-this-test-0123456789"
COMPARISON = """
name: kept
base:
  tasks: {kind: jsonl, file: quiz.jsonl}
organisations:
  computed: {agents: {count: 5, model: {kind: simulated, signal: 0.3}}, topology: star, protocol: aggregate}
  asked: {agents: {count: 3, model: {kind: scripted, latency_s: 0.02}}, topology: star, protocol: aggregate}
seeds: 2
"""


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with reached(monkeypatch, PASSWORD) as found:
        yield found


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grid:
    monkeypatch.chdir(tmp_path)
    rows = [{"question": f"{n} or not?", "answer": "yes", "options": ["yes", "no"]} for n in range(6)]
    Path("quiz.jsonl").write_text("\n".join(map(json.dumps, rows)))
    Path("kept.yaml").write_text(COMPARISON)
    return make_grid(parse_comparison(COMPARISON))


def digests(directory: Path) -> dict[str, str | None]:
    return {cell.id: cell.digest for cell in load_comparison_record(directory).cells}


@pytest.mark.parametrize("kind", ["file", "objects"])
def test_a_comparison_goes_on_from_every_copy_of_it_and_has_the_runs_that_were_in_it(
    kind: str, store: Any, grid: Grid, tmp_path: Path
) -> None:
    address = "objects://bucket/kept" if kind == "objects" else str(tmp_path / "there")
    copies: list[Path] = []

    class Watched(SyncedComparison):
        def copy(self) -> None:
            super().copy()
            if (self._directory / "comparison.json").exists():
                copies.append(tmp_path / f"copy{len(copies)}")
                fetch_comparison(address, copies[-1])

    notices: list[str] = []
    with Watched(tmp_path / "whole", address, notices, every_s=0.05):
        run_comparison(grid, tmp_path / "whole", workers=1)
    assert notices == []
    had = [sum(load_manifest(run).status == "finished" for run in copy.glob("runs/*")) for copy in copies]
    assert had == sorted(had)
    assert had[-1] == 4
    partly = next(copy for copy, n in zip(copies, had, strict=True) if n < 4)
    for copy in (partly, copies[-1]):
        run_comparison(copy, workers=1)
        assert digests(copy) == digests(tmp_path / "whole")
    for data in store.objects.values():
        assert PASSWORD.encode() not in data


def test_the_command_keeps_a_copy_and_another_goes_on_from_it(
    grid: Grid, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--workers", "1", "--quiet", "--json"]
    assert main.main(["compare", "kept.yaml", "--out", "first", "--sync", "there", *words]) == 0
    made = digests(Path("first"))
    shutil.rmtree("first")
    shutil.rmtree(next(Path("there/runs").iterdir()))  # as if the machine had been lost before
    capsys.readouterr()
    assert main.main(["compare", "again", "--from", "there", "--dry-run", *words]) == 0
    assert json.loads(capsys.readouterr().out)["n_finished"] == 3
    assert main.main(["compare", "again", "--from", "there"]) == 2
    assert "something is there already" in capsys.readouterr().err
    assert main.main(["compare", "third", "--from", "there", "--sync", "there", *words]) == 0
    assert len(made) == 4
    assert digests(Path("third")) == made
    assert {run.name for run in Path("there/runs").iterdir()} == set(made)


@pytest.mark.parametrize("as_json", [False, True])
def test_a_last_copy_that_fails_keeps_no_results_and_no_report_from_anybody(
    as_json: bool, grid: Grid, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_comparison(grid, tmp_path / "one", workers=1)
    assert not (tmp_path / "one" / "results.parquet").exists()

    def copied(self: SyncedComparison) -> None:
        raise OSError("the place is full")

    monkeypatch.setattr(SyncedComparison, "copy", copied)
    words = ["compare", "one", "--workers", "1", "--quiet", "--sync", "there", *(["--json"] if as_json else [])]
    assert main.main(words) == 1
    told = capsys.readouterr()
    assert "the comparison is whole in one, and its copy at" in told.err
    assert "the place is full" in told.err
    for name in ("results.parquet", "report.txt", "report.json", "report.html"):
        assert (tmp_path / "one" / name).is_file()
    report = json.loads((tmp_path / "one" / "report.json").read_text())
    if as_json:
        assert json.loads(told.out)["verdict"] == report["verdict"]  # one document, which is the report
    else:
        assert report["verdict"] in " ".join(told.out.split())


def test_a_run_that_fails_is_no_copy_that_fails(
    grid: Grid, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise RunFailedError("nothing was made")

    monkeypatch.setattr("agentsoc.experiment.runner.run_comparison", failing)
    assert main.main(["compare", "kept.yaml", "--out", "one", "--quiet", "--sync", "there"]) == 1
    assert "nothing was made" in capsys.readouterr().err
    assert not (tmp_path / "one" / "report.txt").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("back", "--from", "there", "--seeds", "3"), "go with a comparison file"),
        (("back", "--from", "there", "--model", "x"), "go with a comparison file"),
        (("back", "--from", "there", "--dry-run", "--sync", "there"), "so nothing is copied"),
        (("kept.yaml", "--plan", "--sync", "there"), "so nothing is copied"),
        (("back", "--from", "there", "--figures"), "not installed"),
        (("back", "--from", "there", "--allow-code", "nowhere.py"), "nowhere.py"),
    ],
)
def test_what_does_not_go_together_or_is_not_installed_is_told_before_anything_is_fetched(
    words: tuple[str, ...], says: str, grid: Grid, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(package: str, **_: str) -> None:
        if package == "matplotlib":
            raise InputError(f"{package} is not installed")

    def fetched(*_: object) -> None:
        raise AssertionError("it was fetched")

    monkeypatch.setattr("analysis.commands.compare.require", lacking)
    monkeypatch.setattr("agentsoc.experiment.sync.fetch_comparison", fetched)
    assert main.main(["compare", *words]) == 2
    assert says in capsys.readouterr().err
    assert not Path("back").exists()
    assert not Path("there").exists()


def test_a_place_of_another_comparison_or_of_somebody_is_refused(store: Any, grid: Grid, tmp_path: Path) -> None:
    run_comparison(grid, tmp_path / "one", workers=1)
    with SyncedComparison(tmp_path / "one", "objects://b/r", []):
        pass
    before = dict(store.objects)
    with pytest.raises(InputError, match="there is a comparison already"):
        SyncedComparison(tmp_path / "new", "objects://b/r", [])
    other = make_grid(parse_comparison(COMPARISON.replace("signal: 0.3", "signal: 0.4")))
    run_comparison(other, tmp_path / "other", workers=1)
    with pytest.raises(InputError, match="another comparison is there"):
        SyncedComparison(tmp_path / "other", "objects://b/r", [])
    store.objects = {"b/r/letter": b"mine"}
    with pytest.raises(InputError, match="something is there already"):
        SyncedComparison(tmp_path / "one", "objects://b/r", [])
    store.objects = before
    with SyncedComparison(tmp_path / "one", "objects://b/r", []):
        pass


def test_a_run_that_cannot_be_copied_keeps_no_other_from_it_and_is_told(store: Any, grid: Grid, tmp_path: Path) -> None:
    run_comparison(grid, tmp_path / "one", workers=1)
    bad, *others = sorted((tmp_path / "one" / "runs").iterdir())
    (bad / "tasks.parquet").unlink()

    def kept() -> None:
        with SyncedComparison(tmp_path / "one", "objects://b/r", []):
            pass

    with pytest.raises(RunFailedError, match="agentsoc compare"):
        kept()
    whole = {key.split("/")[3] for key in store.objects if key.endswith("manifest.json")}
    assert whole == {run.name for run in others}


def test_a_copy_that_holds_what_no_comparison_holds_is_refused_and_leaves_nothing(
    store: Any, grid: Grid, tmp_path: Path
) -> None:
    run_comparison(grid, tmp_path / "one", workers=1)
    with SyncedComparison(tmp_path / "one", "objects://b/r", []):
        pass
    sound = dict(store.objects)
    run = grid.cells[0].id
    for name in (
        "../x",
        "runs/../../x",
        "runs/other/manifest.json",
        "letter",
        "inputs/other.jsonl",
        f"runs/{run}/../x",
    ):
        store.objects = {**sound, f"b/r/{name}": b"x"}
        with pytest.raises(LogDamagedError, match="has a file of this name"):
            fetch_comparison("objects://b/r", tmp_path / "back")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.yaml", "one", "quiz.jsonl"]
