"""What has to be known before anything is concluded from a part of the study, each fact worked out from its table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from benchmarks.when import DEBATE, PLACEBO, Part

ONE_ANSWER: Final = 0.9
"""Share of the tasks from which on an answer is called the one for nearly all."""
A_GOOD_DEAL: Final = 0.3
"""Score of one answer for every task from which on it is told."""
TALKERS: Final = (DEBATE, PLACEBO)


def guess_words(part: Part) -> str:
    """Return what guessing scores, and what one answer for every task does where that is a good deal."""
    chance, answer, share = (part.made["guess"][name] for name in ("chance", "answer", "share"))
    told = f"Guessing scores {chance:.3f}" if chance else "Guessing scores next to nothing"
    return f'{told}; "{answer}" for every task scores {share:.3f}.' if share >= A_GOOD_DEAL else f"{told}."


def commonest(answers: pl.Series) -> tuple[str, int]:
    """Return the most frequent of some answers and how often it was given; nothing, and 0, where none was."""
    counts = answers.drop_nulls().value_counts(sort=True)
    return (str(counts[answers.name][0]), int(counts["count"][0])) if counts.height else ("", 0)


def same_answers(part: Part) -> dict[str, str]:
    """Return the cells that give nearly all tasks the same answer, and which; by label."""
    results = part.results
    found = {}
    for label in part.report.metrics:
        own = results.table.filter(results.rows_of(label))
        answer, n = commonest(own["answer"])
        if n >= ONE_ANSWER * own.height:
            found[label] = f'{label} ("{answer}", {n} of {own.height})'
    return found


def one_answer(part: Part) -> str | None:
    """Return a sentence where organisations give nearly all tasks the same answer; None where none does."""
    told = same_answers(part)
    if not told:
        return None
    return (
        f"Nearly one answer for all tasks: {', '.join(told.values())}. Such a score says how many tasks have that right"
        " answer, and nothing of how the answer came about."
    )


def worth_words(part: Part) -> str:
    """Return what one agent scored at the least, and for how many times its tokens anything scored more.

    Empty for a part without curves, or without one agent.
    """
    curves = part.report.curves
    if curves is None:
        return ""
    points = [(curve.organisation, point) for curve in curves.curves for point in curve.points]
    own = [point for name, point in points if name == curves.single]
    if not own:
        return ""
    one = min(own, key=lambda point: point.tokens.value)
    others = [(name, point) for name, point in points if point is not one]
    more = [
        f"{name} at {point.budget:,} ({point.score.value:.3f} for {point.tokens.value / one.tokens.value:.1f} times)"
        for name, point in others
        if point.score.value > one.score.value
    ]
    rest = [point.tokens.value / one.tokens.value for _, point in others if point.score.value <= one.score.value]
    said = f"One agent scored {one.score.value:.3f} for {one.tokens.value:.0f} tokens a task."
    said += f" More scored {', '.join(more)}." if more else " Nothing scored more."
    if rest:
        said += f" {len(rest)} others scored no more for {min(rest):.1f} to {max(rest):.1f} times the tokens."
    return f"{said} These are scores as they came out; what is shown of them:"


def read_nothing(part: Part) -> str | None:
    """Return a sentence on debates and placebos of one round, in which nobody reads anything; None without them."""
    found = [
        f"{dial.organisation} at {dial.budget:,}"
        for dial in part.results.record.dials
        if dial.organisation in TALKERS and (dial.value or 0) < 2
    ]
    return f"In one round nobody reads anything: {', '.join(found)}." if found else None


def cut_words(part: Part) -> Iterator[str]:
    """Yield which tasks a ceiling ended, and how many calls failed."""
    results = part.results
    cut = []
    for label in part.report.metrics:
        own = results.table.filter(results.rows_of(label))
        if n := int((own["stop"] == "budget_exhausted").sum()):
            cut.append(f"{label} {n} of {own.height}")
    if cut:
        at = ", ".join(cut)
        yield f"The ceiling ended tasks before their organisation was through (scores are of what was paid for): {at}."
    failed, calls = int(results.table["calls_failed"].sum()), int(results.table["calls"].sum())
    yield f"Calls that failed: {failed:,} of {calls:,}."


def room_words(part: Part, label: str, tests: int, level: float) -> Iterator[str]:
    """Yield what could not have been found whatever happened: the baseline leaves too few tasks.

    Args:
        part: the part.
        label: the baseline at one ceiling.
        tests: differences that are corrected together.
        level: level of the tests.
    """
    own = part.results.table.filter(part.results.rows_of(label))
    if not own.height or not own["score"].is_in([0.0, 1.0]).all():
        return
    right = int(own["score"].sum())
    for word, room in (("better", own.height - right), ("worse", right)):
        if 2.0 ** (1 - room) > level / tests:
            yield (
                f"- `{part.name}`: nothing could have been found {word} than {label}, which is right in {right} of"
                f" {own.height} tasks: {room} that differ all one way have p {2.0 ** (1 - room) if room else 1.0:.2g}."
            )


def claims_words(part: Part) -> str | None:
    """Return how many claims debate and placebo were shown; None where nobody was shown any."""
    table = part.results.table
    shown = {name: int(table.filter(pl.col("organisation") == name)["claims_due"].sum()) for name in TALKERS}
    if not all(shown.values()):
        return None
    return f"Claims to be read, over all ceilings: {shown[DEBATE]:,} in the debate, {shown[PLACEBO]:,} in its placebo."
