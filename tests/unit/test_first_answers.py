"""An option that takes nearly all first answers of a group is told, and one that the tasks call for is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agentsoc.engine.run import run
from agentsoc.log.first_answers import ALARMS, binomial_tail, one_option, one_options
from agentsoc.tasks.comparison import Comparison
from analysis.comparison.text import notes
from tests.sides import told_apart
from tests.strategies import scenario
from tests.unit.test_comparison_report import ALONE, of, report


def test_nearly_all_of_enough_tasks_are_told() -> None:
    always = [("A", task % 2 == 0) for task in range(20)]
    found = one_option(always, model="small")
    assert found is not None
    assert (found.option, found.count, found.n, found.right) == ("A", 20, 20, 10)
    assert '"A" is the first answer of small in 20 of 20 tasks, whatever is asked, and right in 10' in found.text()
    assert one_option(always[:10]) is None, "so few could be chance"
    assert one_option(always[:12]) is not None
    mostly = [("A", False)] * 36 + [("B", True)] * 4
    assert one_option(mostly) is not None
    assert one_option([*mostly[:-4], *[("B", True)] * 5]) is None, "below nine tenths"
    assert one_option([]) is None


def test_an_option_that_is_right_so_often_is_none() -> None:
    assert one_option([("yes", True)] * 95 + [("no", True)] * 5) is None
    assert one_option([("yes", True)] * 100) is None
    assert one_option([("yes", True)] * 60 + [("yes", False)] * 40) is not None


def test_the_tail_is_that_of_the_binomial() -> None:
    assert binomial_tail(11, 11, 0.5) == pytest.approx(2**-11)
    assert binomial_tail(10, 0, 0.3) == pytest.approx(1.0)
    assert binomial_tail(10, 9, 0.5) == pytest.approx(11 / 1024)
    assert binomial_tail(5, 5, 1.0) == 1.0


@pytest.mark.parametrize("tasks", [11, 12, 15, 20, 30])
def test_false_alarms_are_rarer_than_stated(tasks: int) -> None:
    """Exactly, over all counts: answers that have nothing to do with the option, half of them right."""
    least = next(
        (c for c in range(tasks + 1) if c >= 0.9 * tasks and binomial_tail(tasks, c, 0.5) <= ALARMS), tasks + 1
    )
    assert 2 * binomial_tail(tasks, least, 0.5) <= 0.001
    rng = np.random.default_rng(tasks)
    said = 0
    for _ in range(2_000):
        answers, truth = rng.integers(2, size=(2, tasks))
        said += one_option([(str(a), bool(a == t)) for a, t in zip(answers, truth, strict=True)]) is not None
    assert said <= 8  # 2 are expected at most; more than 8 have a probability below 3e-4


SHOUTS = {"kind": "scripted", "replies": [["larger", '{"answer": "A"}'], ["Which", '{"answer": "A"}']]}


def test_a_run_of_a_model_that_says_one_letter_is_told_of_and_others_are_not(tmp_path: Path) -> None:
    letters = {"kind": "comparison", "count": 30, "answer": "letter"}
    one_letter = run(scenario(tasks=letters, agents={"count": 2, "model": SHOUTS}, protocol="vote"), tmp_path / "a")
    found = one_options(one_letter)
    assert [(one.option, one.count, one.n) for one in found] == [("A", 30, 30)]
    assert found[0].right == round(30 * (one_letter.manifest.totals.score or 0))
    assert one_letter.summary()["one_option"][0]["option"] == "A"
    right = run(
        scenario(tasks=letters, agents={"count": 2, "model": {"kind": "scripted"}}, protocol="vote"), tmp_path / "b"
    )
    assert one_options(right) == []
    voters = {"kind": "simulated", "signal": -1.0}
    signal = {"kind": "signal", "count": 30}
    drawn = run(scenario(tasks=signal, agents={"count": 2, "model": voters}, protocol="vote"), tmp_path / "c")
    assert one_options(drawn) == []


def test_a_comparison_names_the_organisation_with_one_option() -> None:
    frames = of("alone", 1, ALONE), of("votes", 3, [1.0] * 20)
    bad = one_option([("B", False)] * 20, model="tiny")
    assert bad is not None
    told, plain = " | ".join(notes(report(*frames, options={("votes", 3): bad}))), " | ".join(notes(report(*frames)))
    told_apart({'votes: in a run of it "B" is the first answer of tiny in 20 of 20 tasks': told}, plain)


def test_a_comparison_asks_for_the_number_unless_the_letter_is_named() -> None:
    assert Comparison(count=3).answer == "number"
    assert "Answer with the number." in Comparison(count=3).make(0, 0).question
    assert "Answer A or B." in Comparison(count=3, answer="letter").make(0, 0).question
    assert Comparison(count=3, answer="letter").model_dump()["answer"] == "letter"
