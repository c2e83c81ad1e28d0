"""Sentences of reports at their border: data on which each must stand, and data on which it must not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from analysis.cascade_laws.examine import FAST, examine
from analysis.cascade_laws.text import laws_as_text
from analysis.claims.attachment import fit_attachment
from analysis.claims.attachment_choices import claim_choices
from analysis.claims.cascades import claim_graph
from analysis.comparison.text import notes
from analysis.synergy.estimation.assumptions import (
    Check,
    check_answers,
    check_chance,
    check_channel,
    check_difficulty,
    check_form,
    check_leaf_law,
    check_majority,
    check_sent,
    check_shape,
    check_truths,
)
from analysis.synergy.estimation.count_shapes import ShapeTest, compare_shapes
from analysis.synergy.estimation.leaf_law import LeafFit
from analysis.synergy.estimation.node_response import ResponseFit
from analysis.synergy.estimation.sibling_correlation import estimate_rho
from benchmarks.planted_cascades import random_cascades, random_routing
from benchmarks.study_shapes import votes
from tests.unit.test_comparison_report import ALONE, of, report

# Assumptions of the phase


def leaf(misfit: float) -> LeafFit:
    return LeafFit(None, None, (1.0,), (0.5,), (9,), 9, 1.0, misfit, ())


def response(misfit: float) -> ResponseFit:
    return ResponseFit(None, None, "after_channel", "first", 0.0, misfit, 9, 9, ())


def test_the_leaf_law_is_violated_below_one_per_cent_and_not_checked_without_a_misfit() -> None:
    said = [check_leaf_law(one).text for one in (None, leaf(math.nan), leaf(0.0099), leaf(0.011))]
    assert said[0].endswith("no levels of compute were measured")
    assert said[1].endswith("tasks are reused, so counts are not independent")
    assert said[2] == "leaf signals do not follow a power law of the tokens (p = 0.0099)"
    assert said[3] == "power law of the leaf signal (misfit p = 0.011)"
    statuses = [check_leaf_law(one).status for one in (leaf(math.nan), leaf(0.0099), leaf(0.011))]
    assert statuses == ["not checked", "violated", "not contradicted"]


def test_nodes_answer_like_noisy_majorities_or_they_do_not() -> None:
    said = [check_majority(one).text for one in (None, response(math.nan), response(0.0099), response(0.011))]
    assert said[0] == said[1] == "nodes take plain majorities and add nothing; needs merges in the log"
    assert said[2] == "nodes do not answer like a noisy majority with a lock (p = 0.0099)"
    assert said[3] == "nodes answer like noisy majorities (misfit p = 0.011)"


def test_sent_votes_share_errors_or_are_independent() -> None:
    shared, free = (estimate_rho(votes("lock", rho=rho, gamma=1.0, tasks=120)) for rho in (0.5, 1e-9))
    once = estimate_rho(votes("lock", tasks=60).filter(pl.col("run") == "0"))
    assert check_sent(shared).text.startswith("sent votes already share errors (rho = 0.")
    assert check_sent(shared).status == "violated"
    assert check_sent(free).text.startswith("sent votes independent given the task (rho ")
    assert check_sent(once).text.endswith("it cannot be told from difficulty")
    assert check_sent(replace(once, refusals=())).text.endswith("no replicates")
    assert check_sent(None).text == "votes independent given the task before they are sent"


def test_the_form_of_shared_errors_is_checked_only_where_votes_tell_it() -> None:
    lock, other = (compare_shapes(votes(shape, tasks=300)) for shape in ("lock", "beta_binomial"))
    open_ = replace(lock, preferred=None)
    single = replace(lock, conditioned=False)

    def said(shape: ShapeTest | None) -> Check:
        return check_shape(shape)

    assert said(lock).text.startswith("shared errors of the lock form (AIC difference ")
    assert said(other).text == "shared errors follow the beta-binomial law: the lock promises too much"
    assert said(open_).text.startswith("too few votes to tell the lock")
    assert said(single).text == "form of shared errors cannot be told from difficulty without replicates"
    assert said(None).text == "shared errors of the lock form; needs groups of 3 received votes"
    assert [said(one).status for one in (lock, other, open_)] == ["not contradicted", "violated", "not checked"]
    better = ("the lock describes the counts better", "the lock would promise too much", "cannot tell the laws apart")
    for shape, own in zip((lock, other, open_), better, strict=True):
        assert [words for words in better if words in shape.summary()] == [own]
        assert "difficulty not separated" not in shape.summary()
    assert "difficulty not separated, because no task was run twice" in single.summary()


def test_votes_that_no_known_form_fits_are_named() -> None:
    lock = compare_shapes(votes("lock", tasks=60))

    def said(p: float) -> Check | None:
        fits = {name: replace(getattr(lock, name), misfit=p) for name in ("lock", "beta_binomial")}
        return check_form(replace(lock, **fits))

    odd, plain = said(0.049), said(0.051)
    assert odd is not None
    assert plain is not None
    assert (odd.status, plain.status) == ("violated", "not contradicted")
    assert odd.text.startswith("the votes follow no form of shared errors that is known here (p = 0.049), so what")
    assert plain.text == "the votes fit a known form of shared errors (p = 0.051)"
    assert check_form(None) is None
    assert said(float("nan")) is None


def test_messages_err_more_one_way_or_alike() -> None:
    def trips(wrong_to_right: float, right_to_wrong: float) -> pl.DataFrame:
        rng = np.random.default_rng(4)
        sent = np.arange(400) % 2
        heard = np.where(sent == 1, rng.random(400) >= right_to_wrong, rng.random(400) < wrong_to_right)
        columns = {"task": np.arange(400), "m": 9.0, "sent": sent, "read": heard.astype(int), "k": 2}
        return pl.DataFrame({**columns, "sent_correct": sent.astype(float), "read_correct": heard.astype(float)})

    askew, alike = check_channel(trips(0.05, 0.4)), check_channel(trips(0.2, 0.2))
    assert (askew.status, alike.status) == ("violated", "not contradicted")
    assert askew.text.endswith("expect a smooth crossover instead of a sharp transition")
    assert alike.text.startswith("symmetric messages (z = ")
    assert check_channel(None).text.endswith("needs round trips of one length between two answers")
    one_way = trips(0.2, 0.2).filter(pl.col("sent_correct") == 1)
    assert check_channel(one_way).text.endswith("needs right and wrong ones among those sent")


def test_truths_are_answered_alike_or_some_better() -> None:
    truth = ["yes", "no"] * 60
    fair = pl.DataFrame({"task": range(120), "truth": truth, "correct": [1.0, 1.0, 0.0, 0.0] * 30})
    biased = fair.with_columns(correct=(pl.col("truth") == "yes").cast(pl.Float64))
    assert check_truths(biased).text.startswith("some truths are answered better than others (p = ")
    assert check_truths(fair).text.startswith("truths equally hard (p = ")
    assert check_truths(fair.drop("truth")).text.endswith("needs a column truth in the leaf trials")
    assert check_truths(fair.filter(pl.col("truth") == "no")).text.endswith("only one truth has two tasks or more")


def test_votes_are_below_chance_only_where_a_test_says_so() -> None:
    def table(right: float, tasks: int = 80) -> pl.DataFrame:
        correct = (np.arange(tasks * 5) % 100 < 100 * right).astype(float)
        return pl.DataFrame({"task": np.repeat(np.arange(tasks), 5), "correct": correct, "k": 2})

    below, above = check_chance((table(0.3),)), check_chance((table(0.7),))
    assert below.text.endswith("they are below chance, and what is amplified is error")
    assert above.text == "votes are right in 70.0% of the cases, chance gives 50.0%"
    assert check_chance((None, table(0.3, 1))).text == "votes no worse than chance; needs votes on two tasks"


def test_more_than_two_answers_limit_what_alpha_means() -> None:
    two, four = (pl.DataFrame({"k": [k]}) for k in (2, 4))
    assert check_answers((two, None), 3, 0.9).text == "two answers"
    spread = "alpha with spread wrong answers and rho = 0: "
    assert "[4] answers instead of two" in check_answers((four,), 3, 0.9).text
    assert spread in check_answers((four,), 3, 0.9).text
    assert spread not in check_answers((four,), 3, None).text
    assert spread not in check_answers((two, four), 3, 0.9).text
    assert check_answers((two, four), 3, 0.9).text.startswith("[2, 4] answers instead of two")


def test_tasks_differ_are_alike_or_were_not_run_twice() -> None:
    alike = estimate_rho(votes("lock", tasks=200))
    once = estimate_rho(votes("lock", tasks=200).filter(pl.col("run") == "0"))
    assert check_difficulty(alike).text.startswith("equally hard tasks (variance of signal ")
    assert check_difficulty(once).text == "equally hard tasks; needs several runs of the same tasks"
    assert check_difficulty(None).status == "not checked"


# Laws


def test_an_exponent_of_attachment_is_told_bounded_or_not_identified() -> None:
    table = random_routing(1, executions=4, acts=30)
    found = fit_attachment(claim_choices(table, claim_graph(table), risk="all", logged_visibility=False))
    assert found.summary().startswith("beta = ")
    assert "beyond" not in found.summary()
    bound = replace(found, at_bound=True, beta=60.0, reason="only a bound: the likelihood still rises at beta = 60")
    assert bound.summary().startswith("beta is beyond 60 from ")
    assert bound.summary().endswith("(only a bound: the likelihood still rises at beta = 60)")
    bare = random_routing(1, acts=1)
    three = random_routing(1, executions=3, acts=3)
    both = pl.Series([[], [0], [0, 1]] * 3, dtype=pl.List(pl.Int64()))
    taken = replace(three, events=three.events.with_columns(parents=both))
    for table, why in (
        (taken, "every act took all that it could see, or chose among equals"),
        (bare, "no act had a choice"),
    ):
        none = fit_attachment(claim_choices(table, claim_graph(table), risk="all", logged_visibility=False))
        assert none.summary() == f"beta is not identified: {why}"


def test_growth_that_is_not_identified_says_so_and_nothing_else_does() -> None:
    one_n = examine(random_cascades("lognormal", 5, 1, n=100, form="star"), effort=FAST)
    assert "  not identified: " in laws_as_text(one_n)
    few = replace(one_n, laws={})
    assert "not identified" not in laws_as_text(few).replace("beta is not identified", "")


def test_null_models_are_named_or_none_or_any() -> None:
    laws = examine(random_cascades("lognormal", 10, 1, n=300, form="star"), effort=FAST)
    name, law = next((name, law) for name, law in laws.laws.items() if law.fit.power is not None)
    for nulls, fit, said in (
        (("lognormal",), law.fit, f"  {name}: lognormal"),
        ((), law.fit, f"  {name}: none of the null models"),
        ((), replace(law.fit, power=None), f"  {name}: any: too few values for a test"),
    ):
        text = laws_as_text(replace(laws, laws={name: replace(law, nulls=nulls, fit=fit, whole=None)}))
        assert said in text.splitlines()
    assert f"  {name}: any: too few values" not in laws_as_text(laws)


# Comparisons


@pytest.mark.parametrize(("left", "told"), [(3, True), (0, False)])
def test_claims_that_had_no_room_are_told(left: int, told: bool) -> None:
    frames = [of("alone", 1, ALONE), of("votes", 3, [1.0] * 20)]
    room = [frame.with_columns(claims_due=pl.lit(10), claims_left_out=pl.lit(left)) for frame in frames]
    words = (
        f"votes: {20 * left:,} of 200 claims that its agents were to read ({left / 10:.1%}) were left out of prompts"
    )
    assert any(note.startswith(words) for note in notes(report(*room))) is told
