"""Secrets to strangers: a run directory, a comparison or a scenario that was received sends nothing to anybody unasked.

The hostile directories are real ones, made by the engine and then edited as somebody would who knows the format, with
checksums that are right. The stranger is a server on loopback that keeps what it is sent; the secret that it is after
is a variable of the environment, which makes its address one that needs consent.
"""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentsoc import fork, load_grid, resume, run, run_async, run_comparison
from agentsoc.backends import secrets
from agentsoc.cli import main
from agentsoc.contracts.address import Destination
from agentsoc.engine.agreed import remembered
from agentsoc.errors import ConsentNeededError, InputError
from agentsoc.log.manifest import Manifest, load_manifest
from agentsoc.log.names import JOURNAL
from agentsoc.log.record import hash_json
from agentsoc.scenario.code import forget_code
from agentsoc.scenario.files import BASE_DIR
from agentsoc.scenario.model import Scenario
from tests.canary import Canary
from tests.e2e.test_cli import on_terminal

SECRET = "canary-of-the-owner-31f0c6"
OTHERS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN")


@pytest.fixture(autouse=True)
def _owner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Somebody with secrets in the environment, who has agreed to nothing yet."""
    monkeypatch.setenv("AGENTSOC_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("OWNERS_SECRET", SECRET)
    for name in OTHERS:
        monkeypatch.setenv(name, f"another-{name.lower()}-of-the-owner")
    token = BASE_DIR.set(None)
    yield
    BASE_DIR.reset(token)
    secrets.forget()
    forget_code()


class Said:
    """What a command returned and printed."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def agentsoc(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def call(*words: object) -> Said:
        capsys.readouterr()
        code = main.main([*map(str, words)])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call


@pytest.fixture
def stranger() -> Iterator[Canary]:
    with Canary() as server:
        yield server


def data(**model: Any) -> dict[str, Any]:
    """Return a small scenario; its model is what `model` says."""
    return {
        "name": "small",
        "seed": 3,
        "tasks": {"kind": "sentiment", "count": 2},
        "agents": {"count": 2, "model": {"kind": "litellm", "name": "openai/m", **model}},
        "topology": "independent",
        "protocol": "vote",
        "budget": {"tokens_per_task": 20_000},
    }


def file_of(directory: Path, content: dict[str, Any], name: str = "s.yaml") -> Path:
    path = directory / name
    path.write_text(yaml.safe_dump(content))
    return path


def make(directory: Path) -> Path:
    """Return a real run against a harmless server that is sent no key."""
    with Canary() as harmless:
        run(Scenario.model_validate(data(base_url=harmless.base_url)), directory)
        assert harmless.sent
    return directory


def poison(directory: Path, **changes: Any) -> Path:
    """Edit a run so that it was never finished and asks for what it should not, with checksums that are right."""
    manifest = load_manifest(directory)
    for group in manifest.scenario["agents"]:
        group["model"].update(changes.pop("model", {}) if "model" in changes else {})
    manifest.scenario["engine"].update(changes.pop("engine", {}))
    manifest.scenario_hash = hash_json(Scenario.model_validate(manifest.scenario).result_part())
    unfinish(directory, manifest)
    return directory


def unfinish(directory: Path, manifest: Manifest) -> None:
    """Fake a run back to one that was interrupted before any call."""
    manifest.status, manifest.digest, manifest.segments = "running", None, []
    manifest.journal_rows = manifest.journal_digest = None
    manifest.save(directory)
    with sqlite3.connect(directory / JOURNAL) as db:
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if "task" in {row[1] for row in db.execute(f"PRAGMA table_info({table})")}:
                db.execute(f"DELETE FROM {table}")
    db.close()


def received(directory: Path, server: Canary) -> Path:
    """Return a run directory of somebody who wants the owner's secret."""
    return poison(make(directory), model={"base_url": server.base_url, "api_key_env": "OWNERS_SECRET"})


def state(directory: Path) -> dict[str, bytes]:
    """Return every file of a directory but the locks."""
    files = (path for path in directory.rglob("*") if path.is_file() and not path.name.endswith("lock"))
    return {str(path.relative_to(directory)): path.read_bytes() for path in files if path.name != ".holder.json"}


def assert_refused(said: Said, server: Canary) -> None:
    """Exit code 2; address, variable, cost and how to go on are named; nothing arrived."""
    assert said.code == 2, said.err
    assert server.base_url in said.err
    assert "OWNERS_SECRET" in said.err
    assert re.search(r"at most \d+ model calls", said.err)
    assert "--yes" in said.err
    assert SECRET not in said.err + said.out
    assert server.sent == []


def assert_only_the_secret(server: Canary) -> None:
    """The named variable arrived as the key, and no other one anywhere."""
    assert server.sent
    assert server.keys == {SECRET}
    for one in server.sent:
        assert "another-" not in one.text


# Directories that were received


def test_resume_of_a_received_run_sends_nothing_unasked(
    agentsoc: Callable[..., Said], stranger: Canary, tmp_path: Path
) -> None:
    directory = received(tmp_path / "run", stranger)
    before = state(directory)
    assert_refused(agentsoc("resume", directory), stranger)
    with pytest.raises(ConsentNeededError, match="OWNERS_SECRET"):
        resume(directory)
    for other in (Destination(stranger.base_url), Destination("http://127.0.0.1:9/v1", "OWNERS_SECRET")):
        with pytest.raises(ConsentNeededError):
            resume(directory, consent={other})
    assert stranger.sent == []
    assert state(directory) == before
    said = agentsoc("resume", directory, "--yes")
    assert said.code == 0, said.err
    assert f"openai/m at {stranger.base_url}, with the value of OWNERS_SECRET" in said.err
    assert_only_the_secret(stranger)
    assert not (tmp_path / "config").exists(), "--yes is not remembered"


def test_a_finished_run_is_resumed_without_a_question(
    agentsoc: Callable[..., Said], stranger: Canary, tmp_path: Path
) -> None:
    scenario = Scenario.model_validate(data(base_url=stranger.base_url, api_key_env="OWNERS_SECRET"))
    run(scenario, tmp_path / "run", consent={Destination(stranger.base_url, "OWNERS_SECRET")})
    assert_only_the_secret(stranger)
    stranger.sent.clear()
    assert agentsoc("resume", tmp_path / "run").code == 0
    assert agentsoc("replay", tmp_path / "run").code == 0
    for part in (tmp_path / "run" / "events").iterdir():
        part.write_bytes(b"damaged")
    assert agentsoc("resume", tmp_path / "run").code == 0  # events are computed again from the journal
    assert stranger.sent == []


def test_fork_of_a_received_run_sends_nothing_unasked_and_makes_no_directory(
    agentsoc: Callable[..., Said], stranger: Canary, tmp_path: Path
) -> None:
    directory = received(tmp_path / "run", stranger)
    words = ("fork", directory, "--at", "1:0", "--out", tmp_path / "fork", "-q")
    assert_refused(agentsoc(*words), stranger)
    scenario = Scenario.model_validate(load_manifest(directory).scenario)
    with pytest.raises(ConsentNeededError):
        fork(directory, 1, 0, scenario, tmp_path / "fork")
    assert not (tmp_path / "fork").exists()
    assert stranger.sent == []
    fork(directory, 1, 0, scenario, tmp_path / "fork", consent=True)
    assert_only_the_secret(stranger)


def test_a_cluster_that_a_received_run_names_is_not_joined_unasked(
    agentsoc: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def joined(*_: Any) -> None:
        raise AssertionError("joined")

    monkeypatch.setattr("agentsoc.engine.ray_cluster.connect", joined)
    directory = poison(make(tmp_path / "run"), engine={"address": "head.example.org:6379"})
    said = agentsoc("resume", directory)
    assert said.code == 2
    assert "ray://head.example.org:6379" in said.err
    assert "RAY_AUTH_TOKEN" in said.err


# Comparisons


def comparison(directory: Path, server: Canary) -> Path:
    keep = ("tasks", "agents", "budget", "seed")
    base = {
        key: value for key, value in data(base_url=server.base_url, api_key_env="OWNERS_SECRET").items() if key in keep
    }
    base["agents"].pop("count")
    organisations = {
        "single": {"topology": "single", "protocol": "vote", "agents": {"count": 1}},
        "votes": {"topology": "independent", "protocol": "vote", "agents": {"count": 2}},
        "more": {"topology": "independent", "protocol": "vote", "agents": {"count": 3}},
    }
    return file_of(directory, {"name": "two", "base": base, "organisations": organisations}, "c.yaml")


def test_a_comparison_and_its_directory_send_nothing_unasked_and_ask_once_for_all(
    agentsoc: Callable[..., Said], stranger: Canary, tmp_path: Path
) -> None:
    pytest.importorskip("scipy")
    path, out = comparison(tmp_path, stranger), tmp_path / "out"
    assert_refused(agentsoc("compare", path, "--out", out, "-q"), stranger)
    with pytest.raises(ConsentNeededError):
        run_comparison(load_grid(path), out)
    assert not out.exists()
    assert stranger.sent == []
    said = agentsoc("compare", path, "--out", out, "-q", "--yes")
    assert said.code == 0, said.err
    assert said.err.count("OWNERS_SECRET") == 1, "one question for all runs"
    assert_only_the_secret(stranger)
    stranger.sent.clear()
    assert agentsoc("compare", out, "-q").code == 0  # all is finished: nobody is called
    for directory in (out / "runs").iterdir():
        unfinish(directory, load_manifest(directory))
    assert_refused(agentsoc("compare", out, "-q"), stranger)
    assert agentsoc("compare", out, "-q", "--yes").code == 0
    assert_only_the_secret(stranger)


def test_a_run_inside_a_comparison_cannot_ask_for_more_than_the_whole_was_agreed_to(
    agentsoc: Callable[..., Said], stranger: Canary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def joined(*_: Any) -> None:
        raise AssertionError("joined")

    monkeypatch.setattr("agentsoc.engine.ray_cluster.connect", joined)
    pytest.importorskip("scipy")
    out = tmp_path / "out"
    assert agentsoc("compare", comparison(tmp_path, stranger), "--out", out, "-q", "--yes").code == 0
    [one] = (out / "runs").glob("votes-*")
    manifest = load_manifest(one)
    manifest.scenario["engine"]["address"] = "head.example.org:6379"  # no part of what identifies a run
    unfinish(one, manifest)
    stranger.sent.clear()
    said = agentsoc("compare", out, "-q", "--yes")
    assert said.code == 0, said.err  # it goes on where the whole says, and no cluster is joined
    assert json.loads((out / "comparison.json").read_text())["status"] == "finished"
    assert "head.example.org" not in said.out + said.err
    assert load_manifest(one).status == "finished"


# Calibration


def test_calibrate_sends_nothing_unasked_also_when_its_directory_was_received(
    agentsoc: Callable[..., Said], stranger: Canary, tmp_path: Path
) -> None:
    pytest.importorskip("numba")
    with Canary() as own:
        path = file_of(tmp_path, data(base_url=own.base_url, api_key_env="OPENAI_API_KEY"))
        out = tmp_path / "out"
        words: tuple[Any, ...] = (
            "calibrate",
            path,
            "--budget",
            400_000,
            "--dial",
            "iterations",
            "--levels",
            "1,2,4,16",
        )
        words = (*words, "--messages", "8", "--replicates", "1", "--fan-in", "3", "--out", out, "-q")
        refused = agentsoc(*words)
        assert refused.code == 2, refused.err
        assert f"{own.base_url}, with the value of OPENAI_API_KEY" in refused.err
        assert not out.exists()
        assert own.sent == []
        # somebody hands over the directory of this calibration, begun, with a first run that asks for another secret
        settings = begun(path, words, out)
        received(settings, stranger)
        said = agentsoc(*words, "--yes")
        assert said.code == 2
        assert f"{settings}: " in said.err
        assert "was made from another scenario" in said.err
        assert own.sent == []
    assert stranger.sent == []


def begun(path: Path, words: tuple[object, ...], out: Path) -> Path:
    """Return where the first run of the calibration goes, in a directory that is this calibration's."""
    from analysis.commands import calibration_runs

    def first(self: Any, step: Any, number: int, directory: Path, *_: Any) -> Any:
        raise Stopped(directory)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration_runs.Calibration, "_one", first)
        patch.setattr(main, "_fail", _raise)
        with pytest.raises(Stopped) as stopped:
            main.main([*map(str, words), "--yes"])
    return stopped.value.directory


class Stopped(Exception):  # noqa: N818 - no error: how the place is learnt
    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.directory = directory


def _raise(error: Exception, as_json: bool) -> int:
    raise error


# Scenarios that were received


@pytest.mark.parametrize("sweep", [(), ("--seeds", "3")])
def test_run_sends_nothing_unasked_whatever_budget_the_scenario_has(
    sweep: tuple[str, ...], agentsoc: Callable[..., Said], stranger: Canary, tmp_path: Path
) -> None:
    path = file_of(tmp_path, data(base_url=stranger.base_url, api_key_env="OWNERS_SECRET"))
    words = ("run", path, "--out", tmp_path / "out", "-q", *sweep)
    assert_refused(agentsoc(*words), stranger)
    assert not (tmp_path / "out").exists()
    assert agentsoc(*words, "--yes").code == 0
    assert_only_the_secret(stranger)


def test_the_library_refuses_as_the_commands_do(stranger: Canary, tmp_path: Path) -> None:
    scenario = Scenario.model_validate(data(base_url=stranger.base_url, api_key_env="OWNERS_SECRET"))
    with pytest.raises(ConsentNeededError):
        run(scenario, tmp_path / "out")
    with pytest.raises(InputError, match="consent=True"):
        asyncio.run(run_async(scenario, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    assert stranger.sent == []
    asyncio.run(run_async(scenario, tmp_path / "out", consent=[Destination(stranger.base_url, "OWNERS_SECRET")]))
    assert_only_the_secret(stranger)


def test_a_local_server_that_is_sent_no_key_is_used_without_a_question(
    agentsoc: Callable[..., Said], stranger: Canary, tmp_path: Path
) -> None:
    path = file_of(tmp_path, data(base_url=stranger.base_url))
    said = agentsoc("run", path, "--out", tmp_path / "out", "-q")
    assert said.code == 0, said.err
    assert "would call" not in said.err
    assert stranger.sent
    assert stranger.keys == set()
    assert not [one for one in stranger.sent if "another-" in one.text or SECRET in one.text]


# What is remembered


def test_a_yes_at_the_terminal_is_remembered_for_that_address_and_variable_alone(
    agentsoc: Callable[..., Said], stranger: Canary, tmp_path: Path
) -> None:
    path = file_of(tmp_path, data(base_url=stranger.base_url, api_key_env="OWNERS_SECRET"))
    for answer in ("n\n", "\n", "maybe\n"):
        code, written = on_terminal(["run", path, "--out", tmp_path / "no"], 120, {}, answer)
        assert code == 2
        assert "the answer was no" in written
    assert stranger.sent == []
    assert remembered() == (frozenset(), "")
    assert not (tmp_path / "no").exists()
    code, written = on_terminal(["run", path, "--out", tmp_path / "first"], 120, {}, "y\n")
    assert code == 0, written
    assert f"{stranger.base_url}, with the value of OWNERS_SECRET" in written
    assert "model calls" in written
    assert_only_the_secret(stranger)
    config = tmp_path / "config"
    assert stat.S_IMODE(config.stat().st_mode) == 0o700
    assert stat.S_IMODE((config / "consent.json").stat().st_mode) == 0o600
    assert remembered()[0] == {Destination(stranger.base_url, "OWNERS_SECRET")}
    # and now nobody has to be there
    assert agentsoc("run", path, "--out", tmp_path / "second", "-q").code == 0
    run(Scenario.model_validate(data(base_url=stranger.base_url, api_key_env="OWNERS_SECRET")), tmp_path / "third")
    # but not for another variable, nor for another server
    stranger.sent.clear()
    other = file_of(tmp_path, data(base_url=stranger.base_url, api_key_env="GITHUB_TOKEN"), "other.yaml")
    assert agentsoc("run", other, "--out", tmp_path / "other", "-q").code == 2
    with Canary() as another:
        moved = file_of(tmp_path, data(base_url=another.base_url, api_key_env="OWNERS_SECRET"), "moved.yaml")
        assert_refused(agentsoc("run", moved, "--out", tmp_path / "moved", "-q"), another)
    assert stranger.sent == []
    # a damaged memory is no memory, which is said once
    (config / "consent.json").write_text("{")
    said = agentsoc("run", path, "--out", tmp_path / "again", "-q")
    assert said.code == 2
    assert said.err.count("damaged") == 1
    said = agentsoc("run", path, "--out", tmp_path / "again", "-q", "--yes")
    assert said.code == 0
    assert (tmp_path / "again" / "manifest.json").is_file()


# Code that was received


LOOSE = '''
from pathlib import Path
from typing import Literal

from agentsoc.backends.scripted import Scripted

Path({mark!r}).write_text("it ran")


class Mine(Scripted):
    """A model of somebody's own."""

    kind: Literal["mine"] = "mine"
'''


def test_code_that_is_not_what_was_recorded_does_not_run(agentsoc: Callable[..., Said], tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    mark = tmp_path / "ran"
    code, other = tmp_path / "mine.py", tmp_path / "other" / "mine.py"
    extra = tmp_path / "extra.py"
    other.parent.mkdir()
    code.write_text(LOOSE.format(mark=str(mark)))
    other.write_text(LOOSE.format(mark=str(mark)) + "\n# another version\n")
    extra.write_text(LOOSE.format(mark=str(mark)).replace("mine", "extra"))
    scenario = {**data(), "agents": {"count": 2, "model": "mine"}}
    assert agentsoc("run", file_of(tmp_path, scenario), "--allow-code", code, "--out", tmp_path / "run", "-q").code == 0
    grid = {
        "name": "two",
        "base": {"tasks": scenario["tasks"], "agents": {"model": "mine"}, "budget": scenario["budget"]},
        "organisations": {
            "single": {"topology": "single", "protocol": "vote"},
            "votes": {"topology": "independent", "protocol": "vote", "agents": {"count": 2}},
        },
    }
    path = file_of(tmp_path, grid, "c.yaml")
    assert agentsoc("compare", path, "--allow-code", code, "--out", tmp_path / "two", "-q").code == 0
    assert mark.exists(), "naming the file is consent for a new run"
    verbs: list[tuple[object, ...]] = [
        ("resume", tmp_path / "run"),
        ("replay", tmp_path / "run"),
        ("fork", tmp_path / "run", "--at", "1:0", "--out", tmp_path / "fork"),
        ("check", tmp_path / "run"),
        ("compare", tmp_path / "two"),
        ("check", tmp_path / "two"),
    ]
    for words in verbs:
        for given in (other, extra):
            if given is extra and words[0] == "fork":
                continue  # the new run may need it
            forget_code()
            mark.unlink(missing_ok=True)
            said = agentsoc(*words, "--allow-code", given)
            assert said.code == 2, (words, given, said.err)
            assert given.name in said.err
            assert not mark.exists(), (words, given)
        forget_code()
        mark.unlink(missing_ok=True)
        said = agentsoc(*words, "--allow-code", code)
        assert said.code == 0, (words, said.err)
        assert mark.exists() == (words[0] != "check")
    assert (tmp_path / "fork").is_dir()


def test_no_file_of_several_runs_before_all_are_known(agentsoc: Callable[..., Said], tmp_path: Path) -> None:
    marks = [tmp_path / "first-ran", tmp_path / "second-ran"]
    files = [tmp_path / "first.py", tmp_path / "second.py"]
    for path, mark, kind in zip(files, marks, ("mine", "theirs"), strict=True):
        path.write_text(LOOSE.format(mark=str(mark)).replace("mine", kind))
    allowed = [word for path in files for word in ("--allow-code", path)]
    scenario = {**data(), "agents": {"count": 2, "model": "mine"}}
    assert agentsoc("run", file_of(tmp_path, scenario), *allowed, "--out", tmp_path / "run", "-q").code == 0
    files[1].write_text(files[1].read_text() + "\n# changed\n")
    forget_code()
    for mark in marks:
        mark.unlink()
    assert agentsoc("replay", tmp_path / "run", *allowed).code == 2
    assert not any(mark.exists() for mark in marks)
