"""Every sentence that a report can print has tests of both sides; a new one without them fails here."""

from __future__ import annotations

import pytest

from benchmarks.sentence_inventory import (
    Exempt,
    exempt,
    inventory,
    seen,
    seen_below,
    sentences,
    unseen,
)
from tests.sides import told_apart

NONE = Exempt({}, {})

PRINTS = '''
"""A docstring is no sentence."""
from typing import Literal
Word = Literal["no sentence either"]
def text(n, p):
    """Nor is this one."""
    if n == 0:
        return "nothing was seen at all"
    said = f"{n} runs were counted, {'all of them in time' if p else 'some of them late'}"
    if p < 0.5:
        said += "; the smaller half of them is missing"
    if p > 2:
        raise InputError("an error is none")
    return said
'''


def left(tests: str, free: Exempt = NONE) -> dict[str, str]:
    """Return what tests with this source leave of the sentences above, and the side that is missing."""
    found = unseen(sentences("analysis/x.py", PRINTS), seen([tests]), free)
    return {one.text: side for one, side in found.items()}


def test_no_sentence_is_left_without_tests_of_both_sides() -> None:
    found = unseen(inventory(), seen_below(), exempt())
    told = [f"{one.module}:{one.line}: no test sees it {side}: {one.text!r}" for one, side in found.items()]
    assert not told, "\n".join([*told, "tests/sides.py has what tests say both sides with"])


def test_what_is_exempt_stands_in_the_source() -> None:
    texts = {one.text.strip() for one in inventory()}
    free = exempt()
    assert not {*free.labels, *free.always} - texts
    assert not set(free.labels) & set(free.always)


def test_sentences_are_read_from_the_syntax_tree() -> None:
    assert [one.text for one in sentences("analysis/x.py", PRINTS)] == [
        "nothing was seen at all",
        "{} runs were counted, {}",
        "all of them in time",
        "some of them late",
        "; the smaller half of them is missing",
    ]


def test_a_sentence_that_no_test_has_is_found_and_so_is_one_that_always_stands() -> None:
    assert set(left("").values()) == {"there"}
    there = 'def test_it():\n    assert "the smaller half of them is missing" in text(4, 0.1)\n'
    assert left(there)["; the smaller half of them is missing"] == "absent"
    gone = there + '    assert "smaller" not in text(4, 1)\n'
    assert left(gone)["; the smaller half of them is missing"] == "absent"  # too few words to be known by
    gone = there + '    assert "the smaller half of them is missing" not in text(4, 1)\n'
    assert "; the smaller half of them is missing" not in left(gone)


@pytest.mark.parametrize(
    "test",
    [
        'told_apart({"smaller half of them is missing": text(4, 0.1)}, text(4, 1))',
        'assert ("; the smaller half of them is missing" in text(4, p)) is told',
        'assert any(one.endswith("smaller half of them is missing") for one in text(4, p)) is told',
        'what = "the smaller half of them is missing"\n    assert what not in text(4, 1)',
        'what, n = f"the smaller half of them is missing", 4\n    assert what not in text(n, 1)',
    ],
)
def test_tests_say_in_several_ways_that_a_sentence_is_absent(test: str) -> None:
    found = left(f"def test_it(p, told):\n    {test}\n")
    assert "; the smaller half of them is missing" not in found
    assert found["nothing was seen at all"] == "there"


def test_a_sentence_is_absent_where_another_of_the_same_function_stands_instead() -> None:
    found = left(
        'def test_it():\n    assert text(0, 1) == "nothing was seen at all"\n    assert " runs were counted, " in x\n'
    )
    assert "nothing was seen at all" not in found
    assert "{} runs were counted, {}" not in found
    assert found["all of them in time"] == "there"
    both = left('def test_it():\n    assert "all of them in time" in x\n    assert "some of them late" in y\n')
    assert "all of them in time" not in both
    assert "some of them late" not in both
    assert left('def test_it():\n    assert "all of them in time" in x\n')["all of them in time"] == "absent"


def test_what_always_stands_has_to_be_seen_there_and_a_label_not_at_all() -> None:
    words = "{} runs were counted, {}"
    assert left("", Exempt({words: "a label"}, {})).get(words) is None
    always = Exempt({}, {words: "always"})
    assert left("", always)[words] == "there"
    assert words not in left('def test_it():\n    assert "4 runs were counted, all" in x\n', always)


def test_a_docstring_of_a_test_sees_nothing() -> None:
    found = seen(['def test_it():\n    """nothing was seen at all"""\n'])
    assert (len(found.there), len(found.absent)) == (0, 0)


def test_both_sides_are_asserted() -> None:
    told_apart({"one": "one two", "two": ("one two", "two")}, "three")
    wrong: tuple[tuple[dict[str, str | tuple[str, ...]], tuple[str, ...]], ...] = (
        ({"three": "one two"}, ("four",)),
        ({"one": "one two"}, ("one four",)),
        ({"one": "one two"}, ()),
        ({"one": ()}, ("two",)),
    )
    for words, others in wrong:
        with pytest.raises(AssertionError):
            told_apart(words, *others)
