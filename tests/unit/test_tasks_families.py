"""Generated families: what they ask, that their truth is true, and that nothing is favoured."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from agentsoc.tasks.arithmetic import Arithmetic, value
from agentsoc.tasks.comparison import Comparison
from agentsoc.tasks.facts import CAPITALS, ELEMENTS, MONTHS, WEEKDAYS, roman
from agentsoc.tasks.multiple_choice import ROMAN_MAX, MultipleChoice
from agentsoc.tasks.parts import CONSONANTS, VOWELS, Parts
from agentsoc.tasks.sentiment import BAD, GOOD, NEGATED, PLAIN, SUBJECTS, Sentiment


def test_the_two_sides_of_sentiment_have_as_many_words() -> None:
    assert len(GOOD) == len(BAD) == len({*GOOD, *BAD}) / 2


def test_hundreds_of_different_reviews_exist() -> None:
    assert len(SUBJECTS) * len(PLAIN) * len(GOOD + BAD) > 5_000
    assert len({task.question for task in Sentiment(count=500).tasks(1)}) > 450


@pytest.mark.parametrize("clauses", [1, 2])
@pytest.mark.parametrize("negated", [0.0, 1.0])
def test_the_verdict_follows_from_the_last_judging_word_and_the_negation(clauses: int, negated: float) -> None:
    for task in Sentiment(count=200, clauses=clauses, negated=negated).tasks(3):
        ask, review = task.question.split("\n\n")
        found = [(review.rfind(word), word) for word in GOOD + BAD if re.search(rf"\b{word}\b", review)]
        last = max(found)[1]
        turned = any(re.search(form.format(subject=".+", word=last), review, re.IGNORECASE) for form in NEGATED)
        assert turned == (negated == 1.0)
        assert task.truth == ("positive" if (last in GOOD) != turned else "negative")
        assert len({word in GOOD for _, word in found}) == (2 if clauses == 2 and not turned else 1)
        assert "positive or negative" in ask


def test_sentiment_favours_neither_side() -> None:
    # 4,000 fair coins: |z| < 4; the seed is fixed, and over fresh seeds the false-alarm rate is 6e-5.
    for family in (Sentiment(count=4000), Sentiment(count=4000, negated=0.3, clauses=2)):
        positive = sum(task.truth == "positive" for task in family.tasks(11))
        assert abs(positive - 2000) < 4 * 4000**0.5 / 2


def test_the_share_of_negated_reviews_is_the_one_asked_for() -> None:
    # 2,000 draws at 0.25: |z| < 4, false-alarm rate 6e-5 over fresh seeds.
    reviews = [task.question.split("\n\n")[1] for task in Sentiment(count=2000, negated=0.25).tasks(5)]
    marks = ("anything but", "but it was not", "nobody could", "far from", "not ")
    n = sum(any(mark in review.lower() for mark in marks) for review in reviews)
    assert abs(n - 500) < 4 * (2000 * 0.25 * 0.75) ** 0.5


@pytest.mark.parametrize("answer", ["letter", "number"])
@pytest.mark.parametrize("digits", [1, 3, 30])
def test_the_larger_number_is_larger_and_stands_on_either_side(answer: str, digits: int) -> None:
    first = 0
    for task in Comparison(count=400, digits=digits, answer=answer).tasks(2):
        a, b = (int(x) for x in re.findall(r"\d+", task.question)[:2])
        assert a != b
        assert len(str(a)) == len(str(b)) == digits
        truth = {"A": a, "B": b}[task.truth] if answer == "letter" else int(task.truth)
        assert truth == max(a, b)
        first += truth == a
    assert abs(first - 200) < 4 * 10  # |z| < 4: false-alarm rate 6e-5 over fresh seeds


def test_a_comparison_is_read_from_the_number_or_the_letter_that_is_named() -> None:
    family = Comparison(answer="number", digits=4)
    task = family.make(0, 0)
    low, high = sorted(map(int, task.options))
    assert family.parse(task, f"{high:,} is it") == str(high)
    assert family.parse(task, f"{high} is larger than {low}") is None
    assert family.parse(task, f"{high}.5") is None
    letters = Comparison(answer="letter")
    assert letters.parse(letters.make(0, 0), "The larger one is a big number: B") == "B"


@pytest.mark.parametrize("choices", [2, 4, 7])
def test_every_multiple_choice_question_lists_its_options_and_one_truth(choices: int) -> None:
    for task in MultipleChoice(count=150, choices=choices).tasks(4):
        assert len(set(task.options)) == choices
        assert task.options.count(task.truth) == 1
        assert task.question.endswith(f"Choose one: {', '.join(task.options)}.")


def test_the_place_of_the_truth_is_uniform() -> None:
    # Chi-square with 3 degrees of freedom below 21.1: false-alarm rate 1e-4 over fresh seeds.
    places = Counter(task.options.index(task.truth) for task in MultipleChoice(count=2000).tasks(6))
    assert sum((places[i] - 500) ** 2 / 500 for i in range(4)) < 21.1


def test_the_built_in_answers_are_right() -> None:
    for task in MultipleChoice(count=600).tasks(8):
        if match := re.match(r"What is the capital of (.+?)\?", task.question):
            assert CAPITALS[match.group(1)] == task.truth
        elif match := re.match(r"Which chemical element has the symbol (\w+)\?", task.question):
            assert ELEMENTS[match.group(1)] == task.truth
        elif match := re.match(r"Which number is (\w+) in Roman", task.question):
            assert from_roman(match.group(1)) == int(task.truth)
        else:
            match = re.match(
                r"Which (?:month|day of the week) comes (\d+) (?:day|month)s? after (\w+)\?", task.question
            )
            assert match is not None
            names = WEEKDAYS if match.group(2) in WEEKDAYS else MONTHS
            later = names.index(match.group(2))
            for _ in range(int(match.group(1))):  # counted, not computed
                later = 0 if later + 1 == len(names) else later + 1
            assert names[later] == task.truth


def from_roman(text: str) -> int:
    values = [dict(zip("IVXLCDM", (1, 5, 10, 50, 100, 500, 1000), strict=True))[letter] for letter in text]
    return sum(-v if v < max(values[i:]) else v for i, v in enumerate(values))


def test_roman_numerals_are_right_and_all_different() -> None:
    assert [from_roman(roman(n)) for n in range(1, 4000)] == list(range(1, 4000))
    assert [roman(n) for n in (4, 9, 14, 40, 90, 400, 1994)] == ["IV", "IX", "XIV", "XL", "XC", "CD", "MCMXCIV"]


@pytest.mark.parametrize(
    "table", [CAPITALS.values(), ELEMENTS.values(), WEEKDAYS, MONTHS, [str(n) for n in range(1, ROMAN_MAX + 13)]]
)
def test_no_answer_of_a_table_occurs_in_another_one(table: list[str]) -> None:
    answers = [answer.casefold() for answer in table]
    assert len(set(answers)) == len(answers)
    joined = "\n".join(answers)
    for answer in answers:
        assert len(re.findall(rf"(?<![\w-]){re.escape(answer)}(?![\w-])", joined)) == 1


def test_arithmetic_follows_the_usual_precedence() -> None:
    assert value([2, 3, 4], ["+", "*"]) == 14
    assert value([2, 3, 4], ["*", "-"]) == 2
    assert value([10, 2, 3, 4], ["-", "*", "-"]) == 0
    for task in Arithmetic(count=100, terms=5, digits=3).tasks(9):
        text = re.search(r"What is (.+)\?", task.question)
        assert text is not None
        assert re.fullmatch(r"\d+(?: [-+*] \d+){4}", text.group(1))
        assert eval(text.group(1)) == int(task.truth)


def test_an_arithmetic_answer_is_exact_or_wrong() -> None:
    family = Arithmetic(operators=("*",), digits=2, terms=2)
    task = family.make(0, 0)
    right = int(task.truth)
    for said in (f"{right}", f"It is {right:,}.", f"12 * 3 = {right}", f"{right}.0"):
        assert family.score(task, family.parse(task, said)) == 1.0
    for said in (f"{right + 1}", f"-{right}", f"{right}.5", f"{right} of 100", "I do not know"):
        assert family.score(task, family.parse(task, said)) == 0.0


@pytest.mark.parametrize("work", ["count", "sum"])
def test_the_parts_of_a_task_make_up_the_whole(work: str) -> None:
    family = Parts(count=40, work=work, parts=3, size=4)
    for task in family.tasks(10):
        assert len(task.parts) == len(task.part_truths) == 3
        items = [re.split(", ", re.search(r": (.+)\?", part).group(1)) for part in task.parts]  # type: ignore[union-attr]
        assert ", ".join(item for part in items for item in part) in task.question
        for part, truth in zip(items, task.part_truths, strict=True):
            assert len(part) == 4
            assert int(truth) == (sum(map(int, part)) if work == "sum" else sum(word[0] in "aeiou" for word in part))
        assert family.combine(task, task.part_truths) == task.truth
        assert family.score(task, family.combine(task, [f"I count {x}." for x in task.part_truths])) == 1.0


def test_parts_with_a_missing_answer_have_no_total() -> None:
    family = Parts()
    task = family.make(0, 0)
    assert family.combine(task, [None, *task.part_truths[1:]]) is None
    assert family.combine(task, ["many", *task.part_truths[1:]]) is None
    assert family.combine(task, task.part_truths[1:]) is None
    assert family.combine(task, []) is None


def test_the_word_lists_are_what_they_say() -> None:
    assert all(word[0] in "aeiou" for word in VOWELS)
    assert not any(word[0] in "aeiouy" for word in CONSONANTS)
    assert len(VOWELS) == len(CONSONANTS) == len({*VOWELS, *CONSONANTS}) / 2
