"""`agentsoc plan maker` and `plan verifier`: what they print, in words and as JSON, and how they refuse."""

from __future__ import annotations

import json

import pytest

from agentsoc.cli import main


def plan(capsys: pytest.CaptureFixture[str], words: str, code: int = 0) -> tuple[str, str]:
    assert main.main(["plan", *words.split()]) == code
    told = capsys.readouterr()
    return told.out, told.err


def test_a_chain_is_planned_from_a_sample(capsys: pytest.CaptureFixture[str]) -> None:
    said, _ = plan(capsys, "maker --steps 1048575 --right 996 --of 1000 --invalid 3 --price 0.001 --growth --card")
    assert "k_min     3 [2, 4]; vote until one answer leads by 4" in said
    assert "cost " in said
    assert "assumes " in said
    assert "growth    1,000,000 steps: k = 3" in said
    assert "equation: p_sub" in said
    assert said.rstrip().endswith(
        "agentsoc run SCENARIO --set protocol.kind=resample --set protocol.until=ahead-by-k --set protocol.k=4"
    )


def test_a_chain_is_planned_from_a_supposed_p_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    said, _ = plan(capsys, "maker --steps 1000 --p 0.9")
    assert "leads by 5" in said
    assert "warning: p is stated" in said


def test_a_program_gets_estimates_intervals_assumptions_and_the_card(capsys: pytest.CaptureFixture[str]) -> None:
    said, _ = plan(capsys, "maker --steps 1000 --right 180 --of 200 --growth --json")
    data = json.loads(said)
    assert data["k"] == data["k_min"]["high"] == 6
    assert data["p"]["low"] < 0.9 < data["p"]["high"]
    assert len(data["assumptions"]) == 4
    assert data["card"]["form"]["free"] == ["p", "valid"]
    assert [row["k"] for row in data["growth"]] == [3, 4, 5, 6, 7, 8]


def test_attempts_before_a_verifier_are_planned_from_labels(capsys: pytest.CaptureFixture[str]) -> None:
    words = "verifier --right 110/120 --wrong 56/280 --type 0.58:0.87 --type 0.42:0.13 --loss -1"
    said, _ = plan(capsys, words)
    assert "ceiling   0.663 [0.585, 0.734]" in said
    assert "best K    3 [2, 4]" in said
    assert said.rstrip().endswith("--set protocol.until=verifier --set protocol.max_samples=3")
    data = json.loads(plan(capsys, words + " --json")[0])
    assert data["best"]["value"] == 3
    assert data["accuracy"][0]["attempts"] == 1
    assert data["card"]["warnings"] == []


def test_attempts_without_end_are_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    said, _ = plan(capsys, "verifier --right 110/120 --wrong 56/280 --card")
    assert "best K    unlimited" in said
    assert "state a price" in said
    assert "protocol.max_samples=9" in said
    data = json.loads(plan(capsys, "verifier --right 110/120 --wrong 56/280 --json")[0])
    assert data["best"]["value"] is None
    assert data["endless"] is True


def test_a_verifier_that_costs_more_than_it_finds_gets_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    said, _ = plan(capsys, "verifier --right 10/20 --wrong 40/80 --loss -3")
    assert "best K    0" in said
    assert "go on with" not in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("maker --steps 100", "needs a sample of steps, or a supposed p"),
        ("maker --steps 100 --p 0.9 --right 3 --of 4", "not both"),
        ("maker --steps 100 --right 3", "needs a sample"),
        ("maker --steps 100 --p 0.9 --invalid 2", "counted in a sample"),
        ("maker --steps 100 --right 5 --of 4", "impossible"),
        ("maker --steps 100 --right 3 --of 4 --target 1.5", "between 0 and 1"),
        ("maker --steps 2 --right 3 --of 4 --together 5", "do not fit"),
        ("verifier --right 110-120 --wrong 1/2", "write for instance 110/120"),
        ("verifier --right 3/2 --wrong 1/2", "impossible"),
        ("verifier --right 1/2 --wrong 1/2 --type 0.5", "write for instance 0.6:0.9"),
        ("verifier --right 1/2 --wrong 1/2 --type 0.5:0.5", "add up to 0.5"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_the_way_on(
    capsys: pytest.CaptureFixture[str], words: str, message: str
) -> None:
    said, told = plan(capsys, words, code=2)
    assert message in told
    assert said == ""
