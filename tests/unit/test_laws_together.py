"""The words of a report on laws follow p values corrected over all of its tests; n stands beside what it is worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.cascade_laws.examine import FAST, Laws, examine
from analysis.cascade_laws.report import laws_of_table
from analysis.cascade_laws.text import laws_as_text
from analysis.cascade_laws.together import corrected_together, holm_log10
from analysis.stats.clusters import effective_size
from analysis.stats.permutation import holm
from benchmarks.planted_cascades import random_cascades
from tests.sides import told_apart


@pytest.fixture(scope="module")
def laws() -> Laws:
    return examine(random_cascades("lognormal", 10, 1, n=300, form="star"), effort=FAST)


def test_the_correction_is_holms_and_does_not_underflow() -> None:
    p = np.array([0.001, 0.04, 0.03, 0.2, 0.9, 0.012])
    assert 10 ** holm_log10(np.log10(p)) == pytest.approx(holm(p))
    assert holm_log10(np.array([-900.0, -1.0])).tolist() == pytest.approx([-900 + np.log10(2), -1.0])
    assert holm_log10(np.zeros(0)).size == 0


def test_every_deciding_test_is_corrected_for_all_of_them(laws: Laws) -> None:
    [alone] = corrected_together([laws])
    one, other = corrected_together([laws, laws])
    n = sum(len(fit.deciding) for law in laws.laws.values() for fit in (law.fit, law.whole) if fit is not None)
    assert (alone.n_tests, one.n_tests, other.n_tests) == (n, 2 * n, 2 * n)
    for name, law in laws.laws.items():
        for key, raw in law.fit.deciding.items():
            first, second = alone.laws[name].fit.deciding[key], one.laws[name].fit.deciding[key]
            assert first.log10_p == raw.log10_p
            assert first.log10_p_holm is not None
            assert second.log10_p_holm is not None
            assert raw.log10_p <= first.log10_p_holm <= second.log10_p_holm <= 0


def test_a_word_that_one_test_would_give_is_not_given_among_many(laws: Laws) -> None:
    """The exponential is beaten at p = .01: enough for one test, not for hundreds."""
    law = next(law for law in laws.laws.values() if law.fit.power is not None and not law.fit.degenerate)
    raw = law.fit.deciding["exponential"]
    quiet = {name: replace(test, p=0.9, log10_p=np.log10(0.9)) for name, test in law.fit.deciding.items()}
    tests = quiet | {"exponential": replace(raw, ratio=5.0, p=0.01, log10_p=-2.0)}
    fit = law.fit.judged_by(tests, law.design)
    assert fit.verdict.word == "heavy tailed"
    assert "Holm" not in fit.verdict.summary()
    single = replace(laws, laws={"size": replace(law, fit=fit, whole=None)})
    [few] = corrected_together([single])
    many = corrected_together([single, *[laws] * 3])[0]
    assert few.n_tests == len(tests) < 10
    assert "by Holm over" in few.laws["size"].fit.verdict.summary()
    assert many.laws["size"].fit.verdict.word == "undecided"
    assert "subcritical growth (exponential tail)" in many.laws["size"].nulls


def test_what_the_words_are_corrected_for_is_told() -> None:
    report = laws_of_table(random_cascades("lognormal", 10, 1, n=100, form="star"), fast=True)
    said = f"words follow p values that Holm corrects over {report.whole.n_tests} likelihood ratios"
    assert said in report.summary()
    bare = examine(random_cascades("lognormal", 10, 1, n=100, form="star"), effort=FAST)
    assert "Holm" not in laws_as_text(bare)


def test_a_goodness_of_fit_says_that_it_is_single_where_there_are_several() -> None:
    """Corrected it would be easier to pass: the null hypothesis is the law that the word claims."""
    table = random_cascades("lognormal", 10, 1, n=100, form="star")
    some = examine(table, effort=replace(FAST, gof=5))
    tested = {name: law for name, law in some.laws.items() if law.fit.gof is not None}
    assert len(tested) > 1
    [many] = corrected_together([some])
    n = sum(fit is not None and fit.gof is not None for law in some.laws.values() for fit in (law.fit, law.whole))
    name, law = next((name, law) for name, law in many.laws.items() if "goodness of fit p" in law.fit.verdict.summary())
    [one] = corrected_together([replace(some, laws={name: replace(some.laws[name], whole=None)})])
    words = "single, not corrected for"
    told_apart({words: law.fit.verdict.summary()}, one.laws[name].fit.verdict.summary())
    assert f"(5 replicates; {words} {n} laws)" in law.fit.summary()
    assert law.fit.gof is not None
    assert law.fit.gof.p == tested[name].fit.gof.p  # type: ignore[union-attr]
    assert one.laws[name].fit.gof == tested[name].fit.gof


def test_values_that_repeat_within_clusters_are_worth_their_clusters() -> None:
    rng = np.random.default_rng(1)
    cluster = np.repeat(np.arange(200), 10)
    alike, apart = np.repeat(rng.normal(size=200), 10), rng.normal(size=2000)
    assert effective_size(alike, cluster) == pytest.approx(200)
    assert effective_size(apart, cluster) > 1500
    half = alike + apart  # intraclass correlation 1/2: design effect 1 + 9/2
    assert effective_size(half, cluster) == pytest.approx(2000 / 5.5, rel=0.15)
    assert effective_size(apart[:20], np.zeros(20, dtype=np.int64)) == 20
    assert effective_size(apart[:20], np.arange(20)) == 20
