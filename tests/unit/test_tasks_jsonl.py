"""Tasks from a file: whatever is wrong with it is named with file and line; answers are judged by the chosen scheme."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agentsoc.contracts.task import TASKS
from agentsoc.errors import InputError
from agentsoc.scenario.files import BASE_DIR
from agentsoc.tasks.jsonl import Jsonl
from agentsoc.tasks.jsonl_lines import read_tasks
from agentsoc.tasks.task_files import LINE_CHARS_MAX


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    token = BASE_DIR.set(tmp_path)
    yield tmp_path
    BASE_DIR.reset(token)


def line(**fields: Any) -> str:
    return json.dumps({"id": "1", "question": "What?", "answer": "this"} | fields)


def written(base: Path, *lines: str, **fields: Any) -> Jsonl:
    (base / "tasks.jsonl").write_bytes("\n".join(lines).encode())
    return Jsonl(file="tasks.jsonl", **fields)


def test_every_field_of_a_line_gets_into_the_task(base: Path) -> None:
    family = written(
        base,
        line(id="a", question="Capital of France?", answer="PARIS", options=["Rome", "Paris"], difficulty=0.5),
        "",
        line(id="b", question="Sum?", answer=7, chance=0.01, parts=[{"question": "1+2?", "answer": 3}]),
        count=2,
    )
    first, second = family.tasks(0)
    assert (first.index, first.id, first.question) == (0, "a", "Capital of France?")
    assert (first.truth, first.options, first.chance, first.difficulty) == ("Paris", ("Rome", "Paris"), 0.5, 0.5)
    assert (second.truth, second.chance, second.parts, second.part_truths) == ("7", 0.01, ("1+2?",), ("3",))
    assert family.make(0, 1) == second
    assert family.files() == ("tasks.jsonl",)  # so that the run keeps a copy


BAD_LINES: list[tuple[str, str]] = [
    ("{", "not JSON"),
    ("[1, 2]", "has to be an object, this is a list"),
    ('"text"', "this is a text"),
    ("null", "this is null"),
    (line()[:-1] + ', "id": "2"}', "'id' occurs twice"),
    ('{"id": "1", "question": "q", "answer": NaN}', "NaN is no number"),
    ('{"id": "1", "question": "q", "answer": -Infinity}', "-Infinity is no number"),
    ('{"id": "1", "question": "q", "answer": 1e999}', "out of range"),
    ('{"id": "1", "question": "q", "answer": ' + "9" * 5000 + "}", "not usable as JSON"),
    ("[" * 100_000, "not usable as JSON"),
    ('{"id": "1", "question": "q"}', '"answer" is missing'),
    (line(answer=None), '"answer" is missing'),
    (line(question=None), '"question" is missing'),
    (line(id=[3]), '"id" has to be a text, this is a list'),
    (line(id=" "), '"id" is empty'),
    (line(question=["q"]), "this is a list"),
    (line(answer=True), "this is a truth value"),
    (line(answer=" ... "), "neither letters nor digits"),
    (line(answer="\u200b\u2060"), "neither letters nor digits"),
    (line(answer="two\nlines"), "one line"),
    (line(question="half \ud83d"), "half of a surrogate pair"),
    (line(question="NUL \0"), "NUL"),
    (line(question="<|im_start|>system"), "chat marker"),
    (line(options=["that", "this <|x|>"]), "chat marker"),
    (line(answers="x"), "there is no key 'answers'"),
    (line(options="this"), '"options" has to be a list'),
    (line(options=["this"]), "one option is no choice"),
    (line(options=[]), "allowed are 1 to"),
    (line(options=["this", " THIS. "]), "read the same"),
    (line(options=["these", "those"]), "none of the options"),
    (line(options=["this", "?"]), "neither letters nor digits"),
    (line(options=["this", "\u200b"]), "neither letters nor digits"),
    (line(options=["this", "that"], chance=0.25), "chance is 0.5, not 0.25"),
    (line(chance=1.5), "lie in [0, 1]"),
    (line(chance="0.5"), '"chance" has to be a number'),
    (line(difficulty="hard"), '"difficulty" has to be a number'),
    (line(parts=["q"]), "a part has to be an object"),
    (line(parts=[{"question": "q"}]), '"answer" is missing'),
    (line(parts=[{"question": "q", "answer": "a", "id": "p"}]), "there is no key 'id'"),
    (line(question="x" * (LINE_CHARS_MAX + 1)), "characters, the limit is"),
]


@pytest.mark.parametrize(("bad", "what"), BAD_LINES, ids=range(len(BAD_LINES)))
def test_a_bad_line_is_named_with_file_and_line(base: Path, bad: str, what: str) -> None:
    family = written(base, line(id="0"), "", bad)
    with pytest.raises(InputError) as caught:
        family.tasks(0)
    assert caught.value.problem.where.startswith("tasks.jsonl:3")
    assert what in caught.value.problem.what
    assert str(caught.value).isprintable() or "\n" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_an_id_that_occurs_twice_is_named_with_both_lines(base: Path) -> None:
    family = written(base, line(), line(id="2"), line())
    with pytest.raises(InputError, match=r"tasks\.jsonl:3: the id '1' is already that of line 1"):
        family.tasks(0)


def test_a_file_that_is_not_utf8_or_empty_or_missing_is_refused(base: Path) -> None:
    (base / "latin.jsonl").write_bytes(line(id="0").encode() + b"\n" + b'{"id": "caf\xe9"}')
    with pytest.raises(InputError, match=r"latin\.jsonl:2"):
        Jsonl(file="latin.jsonl").tasks(0)
    (base / "empty.jsonl").write_text("\n \n")
    with pytest.raises(InputError, match="holds no task"):
        Jsonl(file="empty.jsonl").tasks(0)
    with pytest.raises(InputError, match="no such file"):
        Jsonl(file="missing.jsonl").tasks(0)
    (base / "inner").mkdir()
    (base / "outer.jsonl").write_text(line())
    BASE_DIR.set(base / "inner")
    with pytest.raises(InputError, match="outside"):
        Jsonl(file="../outer.jsonl").tasks(0)


def test_other_line_separators_inside_a_text_do_not_end_the_line() -> None:
    raw = '{"id": "1", "question": "one\u2028two\x85three", "answer": "x"}\r\n'
    (task,) = read_tasks(raw, "t.jsonl", "exact")
    assert task.question == "one\u2028two\x85three"


def test_a_changed_file_is_refused_when_the_scenario_names_its_hash(base: Path) -> None:
    family = written(base, line())
    digest = hashlib.sha256((base / "tasks.jsonl").read_bytes()).hexdigest()
    assert len(Jsonl(file="tasks.jsonl", sha256=digest).tasks(0)) == 1
    with pytest.raises(InputError, match="has changed"):
        written(base, line(question="Which?"), sha256=digest).tasks(0)
    assert family.sha256 is None


def test_a_file_is_read_when_its_tasks_are_wanted_and_only_then(base: Path) -> None:
    family = Jsonl(file="later.jsonl")  # a stored scenario can be looked at without its files
    assert Jsonl.model_validate(family.model_dump()) == family
    (base / "later.jsonl").write_text(line())
    tasks = family.tasks(0)
    (base / "later.jsonl").unlink()
    assert family.tasks(0) == tasks
    assert Jsonl.model_validate(family.model_dump()) == family


def test_the_seed_shuffles_only_when_asked_and_task_i_does_not_depend_on_the_count(base: Path) -> None:
    lines = [line(id=str(i)) for i in range(30)]
    plain = written(base, *lines, count=30)
    assert [task.id for task in plain.tasks(1)] == [task.id for task in plain.tasks(2)] == [str(i) for i in range(30)]
    mixed = Jsonl(file="tasks.jsonl", count=30, shuffle=True)
    order = [task.id for task in mixed.tasks(1)]
    assert sorted(order, key=int) == [str(i) for i in range(30)]
    assert order != [task.id for task in mixed.tasks(2)]
    few = Jsonl(file="tasks.jsonl", count=5, shuffle=True)
    assert [task.id for task in few.tasks(1)] == order[:5] == [few.make(1, i).id for i in range(5)]
    assert [task.index for task in few.tasks(1)] == [0, 1, 2, 3, 4]


def test_a_file_with_fewer_tasks_than_wanted_gives_what_it_has(base: Path) -> None:
    family = written(base, line(), count=9)
    assert len(family.tasks(0)) == 1
    with pytest.raises(InputError, match="has 1 tasks, there is no task 3"):
        family.make(0, 3)


@pytest.mark.parametrize(
    ("fields", "answer", "reply", "score"),
    [
        ({}, "New Delhi", "I think so.\nAnswer: new  delhi!", 1.0),
        ({}, "New Delhi", "New Delhi is it", 0.0),
        ({}, "answer: yes", "yes", 1.0),
        ({"match": "contains"}, "Delhi", "It is New Delhi, of course", 1.0),
        ({"match": "contains"}, "Delhi", "Delhiwood", 0.0),
        ({"match": "contains"}, "C++", "I like c++!", 1.0),
        ({"match": "number"}, 12, "about 12", 1.0),
        ({"match": "number"}, 12, "12.01", 0.0),
        ({"match": "number", "tolerance": 0.01}, 12, "12.01", 1.0),
        ({"match": "number", "tolerance": 0.01}, 12, "12.011", 0.0),
        ({"match": "number", "tolerance": 0.1}, 0.3, "0.2", 1.0),
        ({"match": "number", "relative": 0.1}, 100, "it is 110", 1.0),
        ({"match": "number", "relative": 0.1}, 100, "111", 0.0),
        ({"match": "number"}, 9007199254740993, "9007199254740992", 0.0),
        ({"match": "number"}, "1,234", "1234.0", 1.0),
        ({"match": "number"}, 1e-7, "0.0000001", 1.0),
        ({"match": "number"}, 12, "none", 0.0),
    ],
)
def test_answers_are_judged_by_the_chosen_scheme(
    base: Path, fields: dict[str, Any], answer: object, reply: str, score: float
) -> None:
    family = written(base, line(answer=answer), **fields)
    task = family.make(0, 0)
    assert family.score(task, family.parse(task, reply)) == score
    assert family.score(task, task.truth) == 1.0
    assert family.score(task, family.parse(task, task.truth)) == 1.0


def test_number_wants_answers_that_are_one_number_and_tolerance_wants_number(base: Path) -> None:
    for bad in ("twelve", "1 or 2", "1e9999"):
        with pytest.raises(InputError, match=r"tasks\.jsonl:1: .*one number"):
            written(base, line(answer=bad), match="number").tasks(0)
    with pytest.raises(ValidationError, match="match: number"):
        Jsonl(file="x", tolerance=0.1)


def test_parts_are_added_up_when_asked(base: Path) -> None:
    parts = [{"question": "a?", "answer": 0.1}, {"question": "b?", "answer": 0.2}]
    family = written(base, line(answer=0.3, parts=parts), match="number", combine_by="sum")
    task = family.make(0, 0)
    assert family.combine(task, task.part_truths) == "0.3"
    assert family.score(task, family.combine(task, ["it is 0.1", "0.2"])) == 1.0
    assert family.combine(task, ["0.1", None]) is None
    assert family.combine(task, ["0.1"]) is None
    assert Jsonl(file="tasks.jsonl").combine(task, task.part_truths) is None


def test_the_kind_is_found_by_its_name() -> None:
    assert TASKS.parse({"kind": "jsonl", "file": "x.jsonl"}) == Jsonl(file="x.jsonl")


def test_a_line_without_an_id_has_its_number(base: Path) -> None:
    lines = ['{"question": "Two and two?", "answer": "4"}', "", line(id="x"), '{"question": "q", "answer": "a"}']
    (base / "noid.jsonl").write_text("\n".join(lines))
    assert [task.id for task in Jsonl(file="noid.jsonl", count=3).tasks(0)] == ["1", "x", "4"]
    (base / "twice.jsonl").write_text(line(id="2") + '\n{"question": "q", "answer": "a"}')
    with pytest.raises(InputError, match="a line without one has its number"):
        Jsonl(file="twice.jsonl").tasks(0)
