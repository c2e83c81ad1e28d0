"""Task files as people have them: arrays, CSV, Parquet, other names of columns, benchmarks as they are published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

import analysis
from agentsoc.cli import main
from agentsoc.errors import InputError
from agentsoc.scenario.files import BASE_DIR
from agentsoc.tasks.jsonl import Jsonl
from tests.pace import at_most

SHARED = Path(__file__).parents[3] / "shared" / "cases" / "tasks"


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    token = BASE_DIR.set(tmp_path)
    yield tmp_path
    BASE_DIR.reset(token)


def family(base: Path, content: str | bytes | pl.DataFrame, name: str, **fields: Any) -> Jsonl:
    path = base / name
    if isinstance(content, pl.DataFrame):
        content.write_parquet(path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Jsonl(file=name, **fields)


def seen(tasks: Jsonl) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [(task.id, task.question, task.truth, task.options) for task in tasks.tasks(0)]


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def refused(make: Any) -> str:
    with pytest.raises(InputError) as caught:
        make().tasks(0)
    assert str(caught.value).replace("\n", "").isprintable()
    return str(caught.value)


TWO = [("1", "2+2?", "4", ()), ("2", "3+3?", "6", ())]
FORMS: list[tuple[str, str | pl.DataFrame]] = [
    ("t.jsonl", lines({"question": "2+2?", "answer": "4"}, {"question": "3+3?", "answer": 6})),
    ("t.ndjson", "\ufeff" + lines({"question": "2+2?", "answer": "4"}, {"question": "3+3?", "answer": 6})),
    ("t.json", json.dumps([{"question": "2+2?", "answer": "4"}, {"question": "3+3?", "answer": 6}])),
    (
        "t.json",
        json.dumps({"examples": [{"id": 1, "question": "2+2?", "answer": 4}, {"question": "3+3?", "answer": 6}]}),
    ),
    ("t.csv", "question,answer\n2+2?,4\n\n3+3?,6\n"),
    ("t.csv", "question;answer\r\n2+2?;4\r\n3+3?;6\r\n"),
    ("t.csv", 'answer,question\n4,"2+2?"\n6,3+3?\n'),
    ("t.tsv", "question\tanswer\n2+2?\t4\n3+3?\t6\n"),
    ("t.parquet", pl.DataFrame({"question": ["2+2?", "3+3?"], "answer": [4, 6]})),
    ("T.PARQUET", pl.DataFrame({"id": [1, 2], "question": ["2+2?", "3+3?"], "answer": [4.0, 6.0]})),
]


@pytest.mark.parametrize(("name", "content"), FORMS, ids=range(len(FORMS)))
def test_each_form_gives_the_same_tasks_all_of_them(base: Path, name: str, content: Any) -> None:
    made = family(base, content, name)
    assert seen(made) == TWO
    assert made.count == 2
    assert made.model_dump()["count"] == 2  # a stored run knows how many there were
    assert len(family(base, content, name, count=1).tasks(0)) == 1


def test_all_tasks_are_taken_where_the_scenario_names_no_count(base: Path) -> None:
    many = lines(*({"question": f"{n}+0?", "answer": n} for n in range(45)))
    assert family(base, many, "t.jsonl").count == 45
    assert Jsonl(file="gone.jsonl").count == 20  # refused when it is run
    again = Jsonl.model_validate(family(base, many, "t.jsonl").model_dump())
    (base / "t.jsonl").write_text(many + many)
    assert again.count == 45


def test_columns_are_named_and_put_together(base: Path) -> None:
    row = {
        "ctx": "It rains.",
        "q": "Wet?",
        "a": {"text": "yes"},
        "one": "yes",
        "two": "no",
        "n": 7,
        "level": 2,
        "src": "x",
    }
    fields = {
        "question": "{ctx}\n{q} {{sic}}",
        "answer": "a.text",
        "options": ["one", "two"],
        "id": "n",
        "difficulty": "level",
    }
    made = family(base, lines(row), "t.jsonl", fields=fields)
    (task,) = made.tasks(0)
    assert (task.id, task.question, task.truth, task.options) == ("7", "It rains.\nWet? {sic}", "yes", ("yes", "no"))
    assert (task.difficulty, task.data) == (2.0, {"metadata": {"src": "x"}})
    assert "the column 'gone' is missing" in refused(
        lambda: Jsonl(file="t.jsonl", fields={"answer": "gone", "question": "q"})
    )
    assert "has a brace alone" in refused(lambda: Jsonl(file="t.jsonl", fields={"question": "{q", "answer": "one"}))


def test_benchmarks_as_they_are_published(base: Path) -> None:
    gsm = {"question": "Two and two?", "answer": "2+2=<<2+2=4>>4\n#### 1,234"}
    made = family(base, lines(gsm), "g.jsonl", preset="gsm8k")
    assert made.scoring is not None
    assert (seen(made)[0][2], made.scoring.score, made.score(made.tasks(0)[0], "1234")) == ("1,234", "number", 1.0)
    mmlu = {"question": "2 + 2?", "subject": "math", "choices": ["4", "four", "4", "+"], "answer": 1}
    lettered = [("1", "2 + 2?\nA) 4\nB) four\nC) 4\nD) +", "B", ("A", "B", "C", "D"))]
    assert seen(family(base, lines(mmlu), "m.jsonl", preset="mmlu")) == lettered
    assert seen(family(base, pl.DataFrame([mmlu]), "m.parquet", preset="mmlu")) == lettered
    assert seen(family(base, "2 + 2?,4,four,4,+,B\n", "m.csv", preset="mmlu")) == lettered
    pro = {"question_id": 70, "question": "2 + 2?", "options": ["3", "4"], "answer": "B", "answer_index": 1,
           "category": "math", "cot_content": ""}  # fmt: skip
    made = family(base, pl.DataFrame([pro]), "p.parquet", preset="mmlu-pro")
    assert seen(made) == [("70", "2 + 2?\nA) 3\nB) 4", "B", ("A", "B"))]
    assert (made.category, made.tasks(0)[0].data["metadata"]["category"]) == ("category", "math")
    big = {"name": "x", "examples": [{"input": "Sky?", "target_scores": {"blue": 1, "red": 0}},
                                     {"input": "Grass?", "target": "green"}]}  # fmt: skip
    assert seen(family(base, json.dumps(big), "b.json", preset="big-bench")) == [
        ("1", "Sky?", "blue", ("blue", "red")), ("2", "Grass?", "green", ())
    ]  # fmt: skip
    assert seen(family(base, lines({"input": "2+2?", "target": "4"}), "i.jsonl", preset="inspect")) == [TWO[0]]
    assert Jsonl(file="g.jsonl", preset="gsm8k", match="number").scoring is None


def test_what_a_preset_says_can_be_said_otherwise(base: Path) -> None:
    mmlu = {"question": "2 + 2?", "choices": ["3", "4"], "answer": 1}
    made = family(base, lines(mmlu), "m.jsonl", preset="mmlu", lettered=False)
    assert seen(made) == [("1", "2 + 2?", "4", ("3", "4"))]
    with pytest.raises(ValidationError, match="gsm8k"):
        Jsonl(file="m.jsonl", preset="gsm9k")


def test_letters_and_indices_name_options(base: Path) -> None:
    row = {"question": "2 + 2?", "options": ["3", "4"]}
    for answer, answer_is in (("B", "letter"), ("(b)", "letter"), (1, "index"), ("1", "index")):
        made = family(base, lines({**row, "answer": answer}), "t.jsonl", answer_is=answer_is)
        assert seen(made) == [("1", "2 + 2?", "4", ("3", "4"))]
    for answer, answer_is in (("C", "letter"), (2, "index"), (-1, "index"), ("AB", "letter"), ("²", "index")):
        bad = family(base, lines({**row, "answer": answer}), "t.jsonl", answer_is=answer_is)
        assert "of 2 options" in refused(lambda made=bad: made)
    no_options = family(base, lines({"question": "q", "answer": "A"}), "t.jsonl", answer_is="letter")
    assert "needs options" in refused(lambda: no_options)


HINTS: list[tuple[dict[str, Any], str]] = [
    ({"question": "q", "options": ["3", "4"], "answer": "B"}, "add answer_is: letter"),
    ({"question": "q", "options": ["3", "4"], "answer": 1}, "add answer_is: index"),
    ({"question": "q", "answer": True}, 'write it in quotes, as agents should say it: "true", "yes"'),
    ({"question": "q", "answer": ["red", "blue"]}, 'scoring: {score: regex} and "red|blue"'),
    ({"question": "q", "answer": "reason\n#### 4"}, "add preset: gsm8k"),
    ({"input": "q", "target": "4"}, "add preset: inspect"),
    ({"question": "q", "choices": ["3", "4"], "answer": 1}, "add preset: mmlu"),
    ({"question": "q", "options": ["3", "4"], "answer": "B", "answer_index": 1}, "add preset: mmlu-pro"),
    ({"question": "q", "options": ["[0,1]", "(0,1)"], "answer": "(0,1)"}, "add lettered: true"),
    ({"question": "q", "options": ["+", "*"], "answer": "+"}, "add lettered: true"),
    ({"question": "What is <|endoftext|>?", "answer": "x"}, "write <| |> with spaces"),
    (
        {"prompt": "q", "answer": "x"},
        "name the columns: fields: {question: ..., answer: ...}; the row has 'prompt', 'answer'",
    ),
    ({"question": "q", "answr": "x"}, 'did you mean "answer"?'),
    ({"question": "q", "answer": "x", "answers": "y"}, "there is no key 'answers'"),
]


@pytest.mark.parametrize(("row", "hint"), HINTS, ids=range(len(HINTS)))
def test_a_row_that_is_meant_otherwise_is_refused_with_what_to_write(
    base: Path, row: dict[str, Any], hint: str
) -> None:
    told = refused(lambda: family(base, lines({"question": "a", "answer": "b"}, row), "t.jsonl"))
    assert told.startswith("t.jsonl:2: ")
    assert hint in told


@pytest.mark.skipif(not SHARED.exists(), reason=f"the cases are not at {SHARED}")
def test_every_case_is_read_as_it_is_or_with_what_its_refusal_says() -> None:
    more: dict[str, dict[str, Any]] = {
        "answer_letter_of_options.jsonl": {"answer_is": "letter"}, "gsm.jsonl": {"preset": "gsm8k"},
        "inspect_ds.jsonl": {"preset": "inspect"}, "mmlu_hf.jsonl": {"preset": "mmlu"},
        "optparen.jsonl": {"lettered": True}, "optsym.jsonl": {"lettered": True},
    }  # fmt: skip
    never = {"bool.jsonl", "marker.jsonl", "multi_answers.jsonl"}
    token = BASE_DIR.set(SHARED)
    try:
        for file in sorted(SHARED.iterdir()):
            if file.name in more or file.name in never:
                told = refused(lambda file=file: Jsonl(file=file.name))
                assert told.startswith(f"{file.name}:1: ")
                assert "\n    " in told
            if file.name not in never:
                assert len(Jsonl(file=file.name, **more.get(file.name, {})).tasks(0)) == 1
    finally:
        BASE_DIR.reset(token)


def test_scores_are_told_by_category(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"question": f"{n}?", "choices": ["a", "b"], "answer": n % 2, "subject": ("law", "art")[n % 2]}
        for n in range(12)
    ]
    (tmp_path / "t.jsonl").write_text(lines(*rows))
    scenario = (
        "name: x\ntasks: {{kind: jsonl, file: t.jsonl, preset: mmlu{}}}\nagents: {{count: 2, model: scripted}}\n"
        "topology: independent\nprotocol: vote\n"
    )
    for name, more in (("by", ""), ("without", ", category: null")):
        (tmp_path / f"{name}.yaml").write_text(scenario.format(more))
        assert main.main(["run", str(tmp_path / f"{name}.yaml"), "--out", str(tmp_path / name), "--quiet"]) == 0
        assert main.main(["check", str(tmp_path / name)]) == 0
        assert main.main(["replay", str(tmp_path / name)]) == 0
    capsys.readouterr()
    [report] = analysis.metrics(tmp_path / "by").runs
    assert report.categories is not None
    assert [(one.category, one.n_tasks) for one in report.categories.scores] == [("art", 6), ("law", 6)]
    assert main.main(["metrics", str(tmp_path / "by")]) == 0
    assert "score by subject:" in capsys.readouterr().out
    assert analysis.metrics(tmp_path / "without").runs[0].categories is None
    assert main.main(["metrics", str(tmp_path / "without")]) == 0
    assert "score by " not in capsys.readouterr().out


HOSTILE: dict[str, tuple[str, bytes, str]] = {
    "deep": ("t.json", b"[" * 200_000, "not usable as JSON"),
    "deep rows": ("t.json", b'[{"question": ' + b"[" * 100_000, "not usable as JSON"),
    "a number": ("t.json", b"7", "holds a list"),
    "an object": ("t.json", b'{"a": 1}', "holds no list of tasks"),
    "not objects": ("t.json", b"[1]", "entry 1: an entry has to be an object"),
    "twice": ("t.json", b'[{"question": "q", "question": "r", "answer": "a"}]', "occurs twice"),
    "nan": ("t.json", b'[{"question": "q", "answer": NaN}]', "NaN is no number"),
    "open quote": ("t.csv", b'question,answer\n"q,a\n', "not CSV"),
    "cells": ("t.csv", b"question,answer\nq,a,b\n", "row 1: the row has 3 cells, the heading 2"),
    "two columns": ("t.csv", b"question,question\nq,a\n", "two columns are called 'question'"),
    "no heading": ("t.csv", b",\nq,a\n", "a column of the heading has no name"),
    "many columns": ("t.csv", b",".join(b"c%d" % n for n in range(2_000)) + b"\n", "2,000 columns"),
    "a long cell": ("t.csv", b"question,answer\n" + b"q" * 300_000 + b",a\n", "not CSV: field larger"),
    "nul": ("t.csv", b"question,answer\nq\0,a\n", "NUL"),
    "no parquet": ("t.parquet", b"PAR1xxxxPAR1", "t.parquet"),
    "empty": ("t.csv", b"", "a column of the heading has no name"),
    "no rows": ("t.csv", b"question,answer\n", "holds no task"),
    "surrogate": ("t.json", b'[{"question": "\\ud800", "answer": "a"}]', "half of a surrogate pair"),
    "latin": ("t.csv", b"question,answer\n\xe9,a\n", "not UTF-8"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused_fast_and_in_one_message(base: Path, case: str) -> None:
    name, raw, says = HOSTILE[case]
    with at_most(100):
        assert says in refused(lambda: family(base, raw, name))
