"""Prompts can be seen before and after a run, and what they had no room for is counted and never passed over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentsoc.cli.main import main
from agentsoc.contracts.prompts import TEMPLATES
from agentsoc.engine.replay import replay
from agentsoc.engine.run import Run, run
from agentsoc.society.build import build_society
from agentsoc.society.templates import default_template
from tests.loose import scenario

FILE = """\
name: seen
seed: 3
tasks: {kind: multiple-choice, count: 2}
agents: {count: 3, model: {kind: scripted, accuracy: 0.5}, prompts: {answer: {file: mine.jinja}}}
topology: decentralized
protocol: {kind: debate, rounds: 2}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "seen.yaml"
    path.write_text(FILE)
    (tmp_path / "mine.jinja").write_text("MINE {{ question }}\n{{ form }}\n")
    return path


def test_the_defaults_are_listed_printed_and_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prompts"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in TEMPLATES)
    assert main(["prompts", "claim"]) == 0
    assert capsys.readouterr().out == default_template("claim")
    assert main(["prompts", "clam"]) == 2
    assert 'did you mean "claim"?' in capsys.readouterr().err
    assert main(["prompts", "--copy", str(tmp_path / "mine")]) == 0
    assert {path.stem for path in (tmp_path / "mine").iterdir()} == set(TEMPLATES)
    assert main(["prompts", "--copy", str(tmp_path / "mine")]) == 2  # nothing is written over


def test_check_shows_the_first_prompt_of_each_role(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(file), "--prompts", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["prompts"]
    assert (first["round"], second["round"], first["claims"], second["claims"]) == (0, 1, 0, 2)
    assert first["messages"][1]["content"].startswith("MINE ")
    assert second["messages"][1]["content"] == first["messages"][1]["content"]
    assert [message["role"] for message in second["messages"]] == ["system", "user", "assistant", "user"]
    assert second["messages"][3]["content"].startswith("Others said:\n#1 agent")
    assert (first["purpose"], first["template"]) == ("answer", "answer")
    assert (second["purpose"], second["template"]) == ("answer", "revise")


def test_check_names_the_template_of_each_prompt(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(file), "--prompts"]) == 0
    said = capsys.readouterr().out
    assert "round 0, agent 0 (peer): template answer\n" in said
    assert "round 1, agent 0 (peer): template revise, 2 claims shown (made up)\n" in said
    assert "  held to the schema: {" in said
    short = ["--set", "agents.reply=short", "--prompts"]
    assert main(["check", str(file), *short]) == 0
    assert "  held to one of: " in capsys.readouterr().out
    roles = {"kind": "roles", "stages": [{"name": "plan", "asks": "Plan."}, {"name": "end", "asks": "Answer."}]}
    text = ["--set", f"protocol={json.dumps(roles)}", "--set", "agents.reply=text", "--set", "agents.prompts={}"]
    assert main(["check", str(file), *text, "--prompts"]) == 0
    assert "agent 0 (peer): work, in words of the protocol\n" in capsys.readouterr().out
    assert main(["check", str(file), "--set", "agents.model=simulated", "--set", "agents.prompts={}", "--prompts"]) == 0
    assert "--model scripted" in capsys.readouterr().out


def test_check_shows_prompts_of_a_scenario_alone(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    comparison = tmp_path / "two.yaml"
    base = "{tasks: sentiment, agents: {count: 2, model: scripted}, protocol: vote}"
    comparison.write_text(f"name: two\nbase: {base}\norganisations: {{a: {{topology: star}}, b: {{topology: ring}}}}\n")
    assert main(["check", str(comparison), "--prompts"]) == 2
    assert "write one organisation as a scenario" in capsys.readouterr().err
    assert main(["check", str(tmp_path), "--prompts"]) == 2
    assert "agentsoc show RUN --task N --prompts" in capsys.readouterr().err


def test_a_fault_in_a_file_is_told_with_its_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file.parent / "mine.jinja").write_text("one\n{{ questoin }}\n")
    assert main(["check", str(file)]) == 2
    said = capsys.readouterr().err
    assert "mine.jinja:2" in said
    assert 'did you mean "question"?' in said


def test_show_tells_what_was_sent_also_when_the_file_is_gone(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = file.parent / "run"
    assert main(["run", str(file), "--out", str(directory), "--json"]) == 0
    (file.parent / "mine.jinja").unlink()
    capsys.readouterr()
    assert main(["show", str(directory), "--task", "1", "--prompts", "--agent", "2", "--json"]) == 0
    calls = json.loads(capsys.readouterr().out)["calls"]
    assert [(call["round"], call["agent"], call["same_as_sent"]) for call in calls] == [(0, 2, True), (1, 2, True)]
    assert main(["show", str(directory), "--task", "1", "--prompts"]) == 0
    said = capsys.readouterr().out
    assert "MINE " in said
    assert "NOT what was sent" not in said
    assert main(["show", str(directory), "--prompts"]) == 2
    assert main(["show", str(directory), "--task", "9", "--prompts"]) == 2


def crowded(window: int) -> Any:
    return scenario(
        tasks={"kind": "coin", "count": 2},
        agents={"count": 6, "max_tokens": 60},
        model={"window": window},
        topology={"kind": "decentralized"},
        protocol={"kind": "debate", "rounds": 3},
        message_tokens=10,
    )


def test_claims_for_which_there_was_no_room_are_counted(tmp_path: Path) -> None:
    found = {}
    for window in (128, 140, 400):
        directory = tmp_path / str(window)
        totals = run(crowded(window), directory).manifest.totals
        replay(directory)
        found[window] = totals
        frame = Run(directory).episodes()
        assert frame is not None
        assert int(frame["claims_left_out"].sum()) == totals.claims_left_out
        for call in Run(directory).transcript(0):
            shown = call.outcome.shown or 0
            assert not call.due or shown or call.outcome.failure  # nobody is asked as if alone
    assert {totals.claims_due for totals in found.values()} == {2 * 2 * 6 * 5}
    assert found[400].claims_left_out == 0 < found[140].claims_left_out


def test_a_turn_that_could_read_nobody_fails(tmp_path: Path) -> None:
    one = crowded(100)
    from agentsoc.engine.rehearsal import room_warnings

    assert any("does not fit a window of 100" in text for text in room_warnings(build_society(one)))
    done = run(one, tmp_path / "run")
    totals = done.manifest.totals
    assert totals.claims_left_out == totals.claims_due == 2 * 2 * 6 * 5
    failures = {row.failure for row in done.journal() if row.round > 0}
    assert failures == {"too_long: no room for any of the claims that the turn is to read"}
    replay(tmp_path / "run")
