"""A start that was killed before its manifest was written leaves a directory that the same command takes over."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentsoc.cli.main import main
from agentsoc.engine.run import run
from agentsoc.errors import InputError, RunLockedError
from agentsoc.log.files import RunLock
from agentsoc.log.inside import Inside
from agentsoc.log.journal import Journal
from agentsoc.log.manifest import NAME
from agentsoc.log.read import RunLog
from tests.strategies import scenario

STEPS: tuple[tuple[type, str], ...] = (
    (Inside, "make"),
    (Inside, "write"),
    (Inside, "create"),
    (Journal, "__init__"),
    (RunLock, "__enter__"),
)


def die_at(n: int, late: bool) -> None:
    """Let this process be gone at the n-th step that touches the directory, before it or after it."""
    made = 0

    def wrapped(step: Callable[..., Any]) -> Callable[..., Any]:
        def step_or_die(*args: Any, **options: Any) -> Any:
            nonlocal made
            made += 1
            due = made == n
            if due and not late:
                os._exit(9)
            result = step(*args, **options)
            if due:
                os._exit(9)
            return result

        return step_or_die

    for owner, name in STEPS:
        setattr(owner, name, wrapped(getattr(owner, name)))


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_killed_at_any_step_before_the_manifest_a_start_can_be_made_again(tmp_path: Path, late: bool) -> None:
    expected = run(scenario(), tmp_path / "whole").manifest.digest
    for n in range(1, 200):
        directory = tmp_path / str(n)
        child = os.fork()
        if not child:
            die_at(n, late)
            run(scenario(), directory)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if (directory / NAME).exists():
            assert n > 5
            return
        assert os.waitstatus_to_exitcode(status) == 9
        again = run(scenario(), directory)
        assert again.manifest.digest == expected
        RunLog(directory).check()
    raise AssertionError("no start came as far as its manifest")


def begun(directory: Path) -> None:
    """Make what a start leaves."""
    directory.mkdir()
    (directory / "run.lock").touch()
    Journal(directory / "journal.sqlite").close()
    (directory / "events").mkdir()


@pytest.mark.parametrize("name", ["notes.txt", "events/mine.parquet/x", "journal.sqlite.bak", ".hidden"])
def test_what_is_somebody_elses_is_left_alone(tmp_path: Path, name: str) -> None:
    begun(tmp_path / "run")
    file = tmp_path / "run" / name
    if "/" in name:
        (tmp_path / "run" / "events").rmdir()
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "x").write_text("mine")
        (tmp_path / "run" / "events").symlink_to(tmp_path / "elsewhere")
        file = tmp_path / "elsewhere" / "x"
    else:
        file.write_text("mine")
    with pytest.raises(Exception, match=r"not empty|symbolic link"):
        run(scenario(), tmp_path / "run")
    assert file.read_text() == "mine"


def test_a_start_under_way_is_not_taken_over(tmp_path: Path) -> None:
    begun(tmp_path / "run")
    with RunLock(tmp_path / "run"), pytest.raises(RunLockedError):
        run(scenario(), tmp_path / "run")


def test_a_journal_with_a_paid_reply_is_not_taken_over(tmp_path: Path) -> None:
    done = run(scenario(), tmp_path / "run")
    (done.directory / NAME).unlink()
    (done.directory / "manifest.sha256").unlink()
    (done.directory / "episodes.parquet").unlink()
    with pytest.raises(InputError, match="not empty"):
        run(scenario(), tmp_path / "run")
    assert list(done.journal())


def test_resume_says_that_run_takes_such_a_directory_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun(tmp_path / "run")
    assert main(["resume", str(tmp_path / "run")]) == 4
    assert f"agentsoc run SCENARIO --out {tmp_path / 'run'}" in capsys.readouterr().err


@pytest.mark.parametrize(("by_umask", "expected"), [(False, (0o700, 0o600)), (True, (0o755, 0o644))])
def test_a_run_is_closed_to_others_unless_the_umask_is_to_decide(
    tmp_path: Path, by_umask: bool, expected: tuple[int, int]
) -> None:
    before = os.umask(0o022)
    try:
        built = scenario(engine={"umask": by_umask})
        done = run(built, tmp_path / "run")
    finally:
        os.umask(before)
    found: dict[bool, set[int]] = {True: set(), False: set()}
    for path in (done.directory, *done.directory.rglob("*")):
        found[path.is_dir()].add(stat.S_IMODE(path.stat().st_mode))
    assert (found[True], found[False]) == ({expected[0]}, {expected[1]})
    json.loads((done.directory / NAME).read_text())


@pytest.mark.parametrize(("by_umask", "expected"), [(False, (0o700, 0o600)), (True, (0o755, 0o644))])
def test_so_is_a_comparison_with_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], by_umask: bool, expected: tuple[int, int]
) -> None:
    file = tmp_path / "c.yaml"
    engine = f"{{umask: {str(by_umask).lower()}}}"
    file.write_text(
        f"name: closed\nbase: {{agents: {{count: 3, model: simulated}}, engine: {engine}}}\n"
        "organisations:\n  one: {topology: single, protocol: vote}\n  three: {topology: independent, protocol: vote}\n"
        "tasks:\n  some: {kind: signal, count: 20}\nunequal_budgets: true\nbaseline: one\n"
    )
    before = os.umask(0o022)
    try:
        assert main(["compare", str(file), "--out", str(tmp_path / "out"), "--quiet"]) == 0, capsys.readouterr().err
    finally:
        os.umask(before)
    paths = [tmp_path / "out", *(tmp_path / "out").rglob("*")]
    found = {
        path.is_dir(): {stat.S_IMODE(p.stat().st_mode) for p in paths if p.is_dir() == path.is_dir()} for path in paths
    }
    assert found == {True: {expected[0]}, False: {expected[1]}}
