"""What `agentsoc init` writes is run, by each topology that it offers; nothing is ever overwritten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentsoc.cli.main import main
from agentsoc.contracts.topology import TOPOLOGIES
from agentsoc.log.read import RunLog


def told(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("topology", [name for name in TOPOLOGIES.names() if name != "custom"])
def test_what_is_written_runs(topology: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "init", tmp_path / "first", "--model", "simulated", "--topology", topology)
    assert told(capsys, "check", found["scenario"])["runs"][0]["agents"] == (1 if topology == "single" else 5)
    done = told(capsys, "run", found["scenario"], "--out", tmp_path / "run", "--quiet")
    assert (done["n_episodes"], done["status"], done["stop"]) == (6, "finished", "finished")
    assert RunLog(tmp_path / "run").manifest.scenario["topology"]["kind"] == topology


def test_the_next_two_commands_are_those_that_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path), "--model", "simulated"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["next:", "agentsoc", "check", str(tmp_path / "scenario.yaml")]
    assert lines[2].split() == ["agentsoc", "run", str(tmp_path / "scenario.yaml")]
    for words in (lines[1].split()[2:], [*lines[2].split()[1:], "--out", str(tmp_path / "run"), "--quiet"]):
        assert main(words) == 0


def test_the_model_that_is_wanted_is_the_one_that_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(capsys, "init", tmp_path, "--model", "openai/gpt-4o-mini")
    assert "main: openai/gpt-4o-mini" in Path(found["scenario"]).read_text()
    assert told(capsys, "check", found["scenario"])["runs"][0]["models"] == ["litellm"]


def test_without_a_model_one_is_chosen_that_needs_no_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "init", tmp_path)
    assert found["model"] in ("local", "simulated")
    assert told(capsys, "check", found["scenario"])["runs"][0]["models"] == [found["model"]]


@pytest.mark.parametrize("name", ["scenario.yaml", "tasks.jsonl"])
def test_nothing_is_overwritten(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_text("mine")
    assert main(["init", str(tmp_path), "--model", "simulated"]) == 2
    assert "this file is there already" in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--topology", "sta"), 'did you mean "star"?'),
        (("--topology", "custom"), "needs more than its name"),
        (("--model", "lokal"), 'did you mean "local"?'),
        (("--model", "litellm"), "the key name is missing"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(
    words: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path / "first"), *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "first").exists()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("rnu", "did you mean: agentsoc run"),
        ("xyzzy", "agentsoc --help lists the commands"),
    ],
)
def test_an_unknown_verb_is_answered_with_what_there_is(
    word: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word, "somewhere"]) == 2
    assert f'there is no command "{word}"\n    {said}' in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("show", "{}"),
        ("replay", "{}"),
        ("resume", "{}"),
        ("fork", "{}", "--at", "0:1"),
        ("laws", "{}"),
        ("metrics", "{}"),
        ("phase", "{}"),
    ],
    ids=lambda words: words[0],
)
def test_a_run_that_is_not_there_is_bad_input_for_every_verb(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "nowhere"
    assert main([word.format(place) for word in words]) == 2
    error = capsys.readouterr().err
    assert "there is no run" in error
    assert str(place) in error


def test_check_of_nothing_says_that_there_is_neither(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "nowhere")]) == 2
    assert "there is no such file" in capsys.readouterr().err
