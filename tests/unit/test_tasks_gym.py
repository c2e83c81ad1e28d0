"""reasoning_gym: every family, the same in every process, and no answer that harms the process that scores it."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsoc.contracts.task import has_chat_marker
from agentsoc.errors import MissingExtraError, TaskError
from agentsoc.tasks.gym import ReasoningGym
from agentsoc.tasks.gym_source import BLOCK, UNSEEDED, families
from agentsoc.tasks.gym_verify import EVALUATES, EXACT, FORBIDDEN, STRUCTURED, SYMBOLIC, is_formula
from tests.nightly import NIGHTLY, at_night

pytest.importorskip("reasoning_gym")

COMPOSITE = {
    "datasets": [
        {"name": "chain_sum", "weight": 1.0, "config": {}},
        {"name": "n_queens", "weight": 1.0, "config": {}},
    ]
}
SLOW = {"knight_swap", "futoshiki"}  # about a second an item
NO_REFERENCE = {"boxnet", "rush_hour"}
QUICK = sorted(set(families()) - UNSEEDED - SLOW)


def family_of(name: str, **fields: Any) -> ReasoningGym:
    return ReasoningGym(family=name, config=COMPOSITE if name == "composite" else {}, **fields)


@pytest.mark.parametrize("name", QUICK)
def test_every_family_makes_tasks_whose_truth_scores_one_and_whose_verifier_takes_any_text(name: str) -> None:
    family = family_of(name, count=2)
    for task in family.tasks(4):
        assert task.question.strip()
        assert not has_chat_marker(task.question)
        if name in NO_REFERENCE:
            assert task.truth == ""
        else:
            assert family.score(task, task.truth) == 1.0
            assert family.score(task, family.parse(task, task.truth)) == 1.0
            assert family.score(task, family.parse(task, f"<answer>{task.truth}</answer>")) == 1.0
        for text in ("", "zzz", "0", "\0", "\ud800", "1/0", "[", "{}", "[1, [2]]", "nan", "1e999999999", "x" * 100_000):
            assert 0.0 <= family.score(task, text) <= 1.0
            said = family.parse(task, text)
            assert said is None or said.encode()
        assert family.score(task, None) == 0.0


SHOW = """
import hashlib, sys
from agentsoc.tasks.gym import ReasoningGym
for name in sys.argv[1:]:
    family = ReasoningGym(family=name, count=2)
    tasks = [family.make(4, i) for i in (1, 0)]
    print(name, hashlib.sha256("".join(t.question + t.truth for t in tasks).encode()).hexdigest())
"""


@pytest.mark.slow
def test_every_family_makes_the_same_tasks_in_every_process(capsys: pytest.CaptureFixture[str]) -> None:
    """Every third family, and each night all; those made in a child process are always there.

    Of the latter: one for hashes, one for the global generator, one that runs code.
    """
    special = {"ransom_note", "list_functions", "codeio"}
    names = sorted({*QUICK[:: at_night(1, 3)], *special, *(["futoshiki"] if NIGHTLY else [])} - {"composite"})
    other = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SHOW, *names],
        env={**os.environ, "PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"},
        stdout=subprocess.PIPE,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["show", *names])
        exec(SHOW, {})
    here = capsys.readouterr().out.splitlines()
    there = other.communicate(timeout=250)[0].decode().splitlines()
    assert len(here) == len(names)
    assert [line for line, line_there in zip(here, there, strict=True) if line != line_there] == []


def test_tasks_do_not_depend_on_the_count_or_on_the_order_in_which_they_are_made() -> None:
    for name in ("chain_sum", "acre", "gsm_symbolic", "ransom_note"):
        few, many = family_of(name, count=3), family_of(name, count=BLOCK + 2)
        assert many.make(5, BLOCK + 1).index == BLOCK + 1
        assert [t.question for t in few.tasks(5)] == [t.question for t in many.tasks(5)[:3]]


def test_neighbouring_seeds_share_nothing() -> None:
    family = family_of("chain_sum", count=30)
    questions = [{task.question for task in family.tasks(seed)} for seed in range(3)]
    assert not questions[0] & questions[1]
    assert not questions[1] & questions[2]


def test_a_composite_scores_each_item_by_its_own_family() -> None:
    family = family_of("composite", count=20)
    tasks = family.tasks(1)
    names = {task.data["entry"]["metadata"]["source_dataset"] for task in tasks}
    assert names == {"chain_sum", "n_queens"}
    assert all(family.score(task, task.truth) == 1.0 for task in tasks)


@pytest.mark.parametrize(
    ("name", "config", "what"),
    [
        ("chain_sums", {}, "no family 'chain_sums'"),
        ("chain_sum", {"min_term": 2}, "no setting 'min_term'"),
        ("chain_sum", {"seed": 2}, "not configured"),
        ("chain_sum", {"size": 2}, "not configured"),
        ("chain_sum", {"min_terms": 9, "max_terms": 2}, "does not hold"),
        ("chain_sum", {"min_terms": "many"}, "does not hold"),
        ("composite", {}, "needs datasets"),
        ("composite", {"datasets": [{"name": "chain_sum"}]}, "needs datasets"),
        ("composite", {"datasets": [{"name": "chain_sun", "weight": 1.0, "config": {}}]}, "no family 'chain_sun'"),
        ("composite", {"datasets": [{"name": "composite", "weight": 1.0, "config": {}}]}, "plain families"),
    ],
)
def test_a_wrong_family_or_setting_is_named(name: str, config: dict[str, Any], what: str) -> None:
    with pytest.raises(TaskError) as caught:
        ReasoningGym(family=name, config=config).tasks(0)
    assert what in caught.value.problem.what
    assert caught.value.problem.where.startswith("tasks.")


def test_a_misspelt_family_or_setting_is_answered_with_the_nearest_and_the_list() -> None:
    with pytest.raises(TaskError) as caught:
        family_of("chain_sums").make(0, 0)
    assert 'did you mean "chain_sum"?' in str(caught.value)
    assert "zebra_puzzles" in str(caught.value)
    with pytest.raises(TaskError, match='did you mean "min_terms"'):
        ReasoningGym(family="chain_sum", config={"min_termz": 2}).make(0, 0)


def test_settings_reach_the_family() -> None:
    family = ReasoningGym(family="chain_sum", config={"min_terms": 7, "max_terms": 7, "min_digits": 1, "max_digits": 1})
    assert all(len(ast.literal_eval("[" + _terms(task.question) + "]")) == 7 for task in family.tasks(2))


def _terms(question: str) -> str:
    kept = "".join(letter for letter in question if letter in "0123456789+-")
    return kept.strip("+-").replace("-", "+").replace("++", "+").replace("+", ",")


def test_without_the_package_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "reasoning_gym"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(MissingExtraError, match=r"agentsoc\[gym\]"):
        families()


@pytest.mark.parametrize("name", sorted((EVALUATES | SYMBOLIC) - UNSEEDED))
def test_an_answer_is_never_run(name: str, tmp_path: Path) -> None:
    trap = tmp_path / "trapped"
    family = family_of(name, count=1)
    task = family.make(0, 0)
    run = f"open({str(trap)!r}, 'w').close()"
    lists = f"[{run}]", f"[[{run}]]", f"[x for x in [{run}]]"
    for code in (run, *lists, f"__import__('os').mkdir({str(trap)!r})", f"(lambda: {run})()", f"1 + ({run} or 1)"):
        assert family.score(task, code) < 1.0
        assert not trap.exists()


def test_the_trap_of_the_test_above_would_spring_without_the_guard(tmp_path: Path) -> None:
    trap = tmp_path / "trapped"
    from reasoning_gym import create_dataset

    data = create_dataset("string_insertion", seed=1, size=1)
    data.score_answer(f"[open({str(trap)!r}, 'w').close()]", entry=data[0])
    assert trap.exists()


def test_the_verifiers_that_evaluate_answers_are_all_known() -> None:
    # A new release of the package may bring another one: then it has to be looked at before it is let in.
    suspects = set()
    for name, (data_class, _) in families().items():
        source = inspect.getsource(data_class.score_answer)
        if any(word in source for word in ("eval(", "exec(", "parse_expr(", "sympify(")):
            suspects.add(name)
    assert suspects - {"number_sorting"} == EVALUATES | SYMBOLIC  # number_sorting evaluates its own reference
    assert set(families()) >= EVALUATES | SYMBOLIC | EXACT | STRUCTURED | set(FORBIDDEN) | UNSEEDED


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("coin_flip", "1e999999999"),
        ("rush_hour", "A+99999999"),
        ("puzzle24", "9**9**9**9"),
        ("countdown", "(((9**9)**9)**9)**9"),
        ("simple_integration", "(x+1)**999999"),
        ("intermediate_integration", "exp(exp(exp(exp(exp(x)))))"),
        ("propositional_logic", "¬" * 1900),
        ("number_sorting", "[" * 1900),
        ("binary_matrix", "-" * 1900 + "1"),
        ("rubiks_cube", "R " * 50_000),
    ],
)
def test_an_answer_that_would_keep_a_verifier_busy_is_scored_at_once(name: str, answer: str) -> None:
    family = family_of(name, count=1)
    task = family.make(0, 0)
    start = time.process_time()
    assert family.score(task, answer) < 1.0
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize(("name", "answer"), [("complex_arithmetic", "nan"), ("complex_arithmetic", "nan + nani")])
def test_nonsense_that_a_verifier_takes_for_right_is_wrong(name: str, answer: str) -> None:
    family = family_of(name, count=1)
    assert family.score(family.make(0, 0), answer) == 0.0


def test_game_of_life_halting_tells_true_from_false() -> None:
    family = family_of("game_of_life_halting", count=4)
    for task in family.tasks(0):
        assert family.score(task, "False" if task.truth == "True" else "True") == 0.0
        assert family.score(task, task.truth.lower()) == 1.0


def test_equivalent_answers_still_count() -> None:
    """The guard keeps out code, not mathematics."""
    family = family_of("polynomial_multiplication", count=1)
    task = family.make(0, 0)
    assert family.score(task, f"({task.truth}) + 0") == 1.0
    integral = family_of("simple_integration", count=1)
    task = integral.make(0, 0)
    assert integral.score(task, task.truth.replace("C", "7")) == 1.0
    assert integral.score(task, "x") == 0.0


@pytest.mark.parametrize(
    "text",
    ["1", "x + 1", "-x**2/3 + C", "3*(4 + 5)/2", "sin(x)*exp(-x)", "2**(1/2)", "x**(-1)", "sqrt(x**2 + 1)", "1e3*x"],
)
def test_formulas_are_let_through(text: str) -> None:
    assert is_formula(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x.y",
        "x[0]",
        "f(x)",
        "sin(x, y)",
        "sin(x=1)",
        "sin(*x)",
        "'x'",
        "lambda: 1",
        "[1]",
        "(1, 2)",
        "x if x else y",
        "__import__",
        "Symbol",
        "x := 1",
        "1 # 2",
        "x\n+1",
        "9**99",
        "9**(9*9)",
        "(x+y)**(2**9)",
        "((x**9)**9)**9",
        "x**-99",
        "True",
        "1j",
        "sin(sin(sin(sin(sin(x)))))",
        "+".join(["x"] * 5000),
    ],
)
def test_what_is_more_than_a_formula_is_not(text: str) -> None:
    assert not is_formula(text)


@settings(max_examples=200)
@given(text=st.text("xX123+-*/(). sincoexp_'[]", max_size=60))
def test_the_guard_is_total_and_lets_only_plain_formulas_through(text: str) -> None:
    if is_formula(text):
        allowed = (ast.Constant, ast.Name, ast.Load, ast.UnaryOp, ast.BinOp, ast.Call, ast.operator, ast.unaryop)
        assert all(isinstance(node, allowed) for node in ast.walk(ast.parse(text.strip(), mode="eval").body))


def test_an_answer_is_taken_from_its_tags_or_from_the_last_line() -> None:
    family = family_of("chain_sum")
    task = family.make(0, 0)
    assert family.parse(task, "<answer>1</answer> or rather <Answer> 2 </Answer>.") == "2"
    assert family.parse(task, "Let me see.\n**Answer:** 12\n\n") == "12"
    assert family.parse(task, "12\n") == "12"
    assert family.parse(task, " \n ") is None
    matrix = family_of("rotate_matrix")
    assert matrix.parse(matrix.make(0, 0), "1 2\n3 4\n") == "1 2\n3 4"


def test_generators_and_verifiers_print_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("tower_of_hanoi", "bf", "composite", "codeio"):
        family = family_of(name, count=2)
        for task in family.tasks(99):
            family.score(task, task.truth.replace("1", "99") + " ")
    assert capsys.readouterr().out == ""
