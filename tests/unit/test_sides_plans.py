"""Both sides of what `plan` prints: data on which each sentence has to stand, and data on which it must not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analysis.synergy.estimation.assumptions import CHANCE, LOCK
from analysis.synergy.estimation.interval import Estimate
from analysis.synergy.estimation.interval import given as stated
from analysis.synergy.estimation.measured import MeasuredDifficulty
from analysis.synergy.planning.follow_up import follow_up_text
from analysis.synergy.planning.plan import StatedParameters, plan_from_parameters
from analysis.synergy.planning.recommend import recommend
from analysis.voting.maker import StepSample, plan_maker, plan_stated
from analysis.voting.verifier import TaskType
from analysis.voting.verifier_plan import LabelledAttempts, plan_verifier
from tests.e2e.test_plan_voting import plan
from tests.sides import told_apart
from tests.unit import test_phase_plan
from tests.unit.test_phase_recommend import measured, message, spread


def test_a_recommendation_says_what_it_chose_and_how_sure_it_is() -> None:
    found, alone = recommend(measured(), 5_000, 250, fan_ins=[5]), recommend(measured(), 100, 1_000)
    lost = recommend(measured(messages=(message(gamma=0.3),)), 5_000, 250, fan_ins=[5])
    told_apart({
        "  P(it beats one agent) ": found.summary(),
        "  one agent: 5,000 tokens, signal ": found.summary(),
        "  nothing else fits budget and window": alone.summary(),
        "  P(the best other design beats it) ": lost.summary(),
        "  next best: ": (found.summary(), lost.summary()),
        "  P(the first is better than the next) ": (found.summary(), lost.summary()),
    })  # fmt: skip
    assert found.summary().startswith("with these measurements and 5,000 tokens: ")
    assert " of two answers" in found.summary()


def test_a_recommendation_goes_by_the_form_that_the_votes_leave() -> None:
    def text(*words: str, **changed: Any) -> str:
        known = () if not words else ((LOCK, *words),)
        return recommend(measured(assumptions=known, **changed), 5_000, 250, fan_ins=[5]).summary()

    lock = text("not contradicted", "shared errors of the lock form")
    other = text("violated", "shared errors follow the beta-binomial law")
    untold = text("not checked", "form of shared errors cannot be told")
    told_apart({
        "  all figures by the beta-binomial law of shared errors, because the votes exclude the lock": other,
        " if shared errors are beta-binomial)": lock,
        " by the form of shared errors\n": untold,
        "undecided: the form of shared errors decides whether it beats one agent, and no votes tell it": untold,
    })  # fmt: skip


def test_advice_is_about_what_is_in_doubt() -> None:
    def advice(**draws: Any) -> str:
        trials = {"leaf": 10, "relay": 20, "merge": 30, "replicate": 40}
        data = measured(draws, trials=trials, tokens=dict.fromkeys(trials, 100))
        return recommend(data, 5_000, 250, fan_ins=[5]).summary()

    none, leaf, rho = advice(), advice(a=spread(0.05)), advice(rho=spread(0.1))
    trips = recommend(measured({"a": spread(0.05, 0.0)}, messages=(message(draws=spread(0.85, 0.02)),)), 5_000, 250)
    drawn = np.random.default_rng(1).dirichlet([9.0, 9.0], 200)
    kinds = MeasuredDifficulty(np.array([1.5, 0.5]), np.array([0.5, 0.5]), drawn)
    tasks = recommend(measured({"a": spread(0.05, 0.0)}, difficulty=kinds), 5_000, 1_000)
    told_apart({
        "  nothing measured is in doubt: the parameters were given": none,
        "  to be surer: leaf trials, at the largest computes above all, 100% of the doubt": leaf,
        "  to be surer: merges and replicates, 100% of the doubt": rho,
        "  to be surer: round trips (relays) and merges, 100% of the doubt": trips.summary(),
        "  to be surer: more tasks, each with replicates, 100% of the doubt": tasks.summary(),
        "; four times the ": (leaf, rho),
    })  # fmt: skip


def test_cautions_stand_where_they_are_due() -> None:
    def text(budget: float = 5_000, draws: Any = None, **changed: Any) -> str:
        options = {name: changed.pop(name) for name in ("x_min",) if name in changed}
        return recommend(measured(draws, **{"b": 5, **changed}), budget, 250, fan_ins=[5], **options).summary()

    known = {"a": stated(0.05), "beta": stated(0.15), "rho": stated(0.1)}
    told_apart({
        "caution: gamma and rho were measured at b = 7, the design has b = 5": text(b=7),
        "caution: undecided: the interval of rho is wider than 0.5, so no design is to be chosen by it":
            text(parameters={**known, "rho": Estimate(0.1, -0.2, 0.31)}),
        "caution: undecided: the interval of gamma at 50 tokens is wider than 0.5":
            text(messages=(replace(message(), gamma=Estimate(0.85, 0.4, 1.0)),)),
        "caution: rho was measured on 99 tasks; below 100 its draws are narrower than its error": text(rho_tasks=99),
        ", so a high P promises too much": text(rho_tasks=99),
        "caution: beta was refused as a result: its doubt is carried in full, and P moves with it":
            text(parameters={**known, "beta": None}, draws={"beta": spread(0.15)}),
        "caution: more tokens made a lone agent worse: one agent is taken at its best, 20 tokens":
            text(points={"a": 0.5, "beta": -0.2, "rho": 0.1}),
        "caution: the law of one agent at 20,000 tokens goes 2 times beyond what was tried": text(20_000),
        "caution: the law of a leaf at 900 tokens goes below the 1,000 that were tried":
            text(x_range=(1_000.0, 10_000.0), x_min=500),
    }, text())  # fmt: skip


def test_an_exact_plan_names_its_rivals_and_its_assumptions() -> None:
    known = StatedParameters(a=0.05, beta=0.15, gamma=0.85, rho=0.1, message=50)
    many, alone = plan_from_parameters(5_000, 1_000, known), plan_from_parameters(5_000, 100, known)
    told_apart({"  next: ": many.details(5_000)}, alone.details(5_000))
    for text in (many.details(5_000), alone.details(5_000)):
        assert text.startswith("with these parameters and 5,000 tokens: ")
        assert " of two answers" in text
        assert " designs; the parameters are taken as certain" in text
        for assumed in (
            "A1 both truths equally hard",
            "A2 leaves independent and equally good given the task",
            "A3 messages err independently and symmetrically",
            "A4 a fresh correlation shock at every node (lock model, the optimistic shape)",
            "A5 nodes take plain majorities",
            "A6 the leaf law holds at this many tokens",
        ):
            assert f"  assumed: {assumed}" in text
    told_apart({
        "; no organisation beats it": alone.summary(),
        " times that of one agent": many.summary(),
    })  # fmt: skip


def test_a_follow_up_says_what_is_predicted() -> None:
    data = test_phase_plan.measured(200)
    found = recommend(data, 20_000, 1_000)
    assert found.organised is not None
    text = follow_up_text(data, found.organised, found)
    assert "# against one agent, both with 20,000 tokens a task." in text
    assert "# Predicted: signal " in text
    assert "# P(the design is better) = " in text
    few = replace(found, single=replace(found.organised, design=replace(found.organised.design, mu=0.0)))
    near = replace(found.organised, design=replace(found.organised.design, mu=0.001))
    below = replace(found, below_chance="votes are below chance")
    told_apart({
        " tasks here show a difference of that size four times in five.": text,
        " tasks here are too few to show a difference of that size four times in five.":
            follow_up_text(data, near, few),
        "# Nothing is predicted: votes are below chance.": follow_up_text(data, found.organised, below),
    })  # fmt: skip


def test_below_chance_no_design_of_many_is_recommended_and_nothing_is_predicted() -> None:
    """Leaves that are stated to be good beside votes that are wrong two times in three: whoever counts them loses."""
    known = {"a": stated(0.05), "beta": stated(0.15), "rho": stated(0.1)}
    wrong = ((CHANCE, "violated", "votes are right in 35% of the cases, chance gives 50%: they are below chance"),)
    above, below = (recommend(measured(assumptions=checks, parameters=known), 5_000, 250) for checks in ((), wrong))
    assert above.best.design.organisation != "single"
    assert below.best.design.organisation == "single"
    told_apart({
        "they are below chance": below.summary(),
        "  no design of many is recommended: it would make the errors of its agents surer": below.summary(),
        "  no signal, accuracy or P is told: they rest on a law of agents that are better than chance": below.summary(),
        "  find out first why votes are wrong so often: the question, its answers, or how they are read":
            below.summary(),
        "P(it beats one agent)": above.summary(),
    })  # fmt: skip
    assert below.summary().splitlines()[1] == "with these measurements and 5,000 tokens: one agent with 5,000 tokens"
    assert below.as_dict()["below_chance"] == wrong[0][2]
    assert " of two answers" not in below.summary()
    assert "with these measurements and 5,000 tokens: " in above.summary()


def test_draws_that_say_the_same_are_no_given_parameters() -> None:
    flat = recommend(measured({"a": np.full(200, 0.05)}), 5_000, 250, fan_ins=[5]).summary()
    given = recommend(measured(), 5_000, 250, fan_ins=[5]).summary()
    told_apart({
        "what is in doubt of the measurements moves neither design": flat,
        "nothing measured is in doubt: the parameters were given": given,
    })  # fmt: skip


# Chains with votes


def test_a_chain_says_what_its_sample_allows() -> None:
    good, half = plan_maker(1000, StepSample(180, 200)), plan_maker(100, StepSample(6, 10))
    told_apart({
        "vote until one answer leads by 6": good.summary(),
        "no finite lead is safe": half.summary(),
        "right after the vote": good.summary(),
        " right; without votes ": good.summary(),
        "p may be 1/2 or less: sample more steps, or make them easier, before voting": half.summary(),
    })  # fmt: skip
    supposed, shared = plan_stated(1000, 0.9), plan_maker(1000, StepSample(900, 1000), rho=0.01)
    told_apart({
        "p is stated: sample random steps and give --right and --of to get intervals": supposed.summary(),
        "(stated, not measured)": supposed.summary(),
        "shared errors in 0.01 of the subtasks keep the chain below the target, whatever k": shared.summary(),
        "no error was sampled: k rests on the upper end of the error rate alone":
            plan_maker(1000, StepSample(200, 200)).summary(),
    }, good.summary())  # fmt: skip
    told_apart({
        " with shared errors in 0.01 of the subtasks, whatever k; the target allows ": shared.summary(),
        " with shared errors in 0 of the subtasks, whatever k; the target allows ": good.summary(),
    })  # fmt: skip
    for assumed in (
        "every subtask is as hard as the sampled ones (a few that are usually answered wrongly stop any vote)",
        "samples of one subtask err independently (see the ceiling of shared errors)",
        "two candidates: one rival takes all wrong answers (with several the vote does better)",
        "the filter drops answers whatever they say",
    ):
        assert f"assumes   {assumed}" in good.summary()
    assert good.summary().startswith("chain     1,000 steps in subtasks of 1, to be right with probability 0.95")


def test_a_chain_that_grows_is_tabled_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    grown, plain = (plan(capsys, f"maker --steps 1000 --right 180 --of 200{more}")[0] for more in (" --growth", ""))
    told_apart({"growth           10 steps: k = 3, at most ": grown}, plain)


# Attempts before a verifier


def test_a_verifier_says_how_many_attempts_pay() -> None:
    types = [TaskType(0.58, 0.87), TaskType(0.42, 0.13)]
    best = plan_verifier(LabelledAttempts(120, 280, 110, 56), types=types, loss=-1.0).summary()
    flat = plan_verifier(LabelledAttempts(120, 280, 110, 56)).summary()
    none = plan_verifier(LabelledAttempts(0, 50, 0, 10), loss=-1.0).summary()
    told_apart({
        "of the accepted answers are right, at the first attempt (": best,
        "of the accepted answers are right, whatever K (": (flat, none),
        "; 99 % of that with ": (best, flat),
        "every further attempt pays a little: state a price for one, or stop where the curve is flat": flat,
        "an accepted answer is wrong too often for its loss: answer nothing, or mend the verifier": none,
    })  # fmt: skip
    assert "attempts  right 0." in best
    assert "; accepted if right " in best
    assert " a task (an accepted wrong answer counts -1)" in best
    assert " a task (an accepted wrong answer counts 0)" in flat
    for assumed in (
        "tasks of one type are equally hard (all tasks, where no types are given), and attempts at one independent",
        "the verifier errs at the same rates on every attempt (one that repeats its mistakes does worse)",
        "the sample is of attempts at random tasks of the kind to come",
        "no accepted answer is worth 0, and so is no answer",
    ):
        assert f"assumes   {assumed}" in best
