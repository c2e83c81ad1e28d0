"""Both sides of what `metrics` prints: data on which each sentence has to stand, and data on which it must not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from agentsoc.engine.run import run
from agentsoc.log.manifest import load_manifest
from analysis.interval import Interval
from analysis.measures.amplification import Amplification, Taint, taint
from analysis.measures.influence import INFLUENCE, Influence, influence_of
from analysis.measures.judging import JudgeAgreement
from analysis.measures.report import Reports, examine
from analysis.measures.run_report import RunReport
from analysis.measures.text import as_text
from analysis.measures.uneven import tail_index, uneven_tokens
from tests.sides import told_apart
from tests.strategies import scenario
from tests.synthetic_logs import ended, said, write_log
from tests.unit.test_amplification import tree
from tests.unit.test_influence import DEBATE, made, rows

HALF = Interval(0.5, 0.4, 0.6)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A single agent, and three who vote, on the same tasks."""
    directory = tmp_path_factory.mktemp("runs")
    voter = {"kind": "simulated", "signal": 0.3}
    for name, count, topology in (("single", 1, "single"), ("votes", 3, "star")):
        agents = {"count": count, "model": voter}
        parts: dict[str, Any] = {"tasks": {"kind": "signal", "count": 300}, "topology": topology}
        run(scenario(name=name, agents=agents, **parts), directory / name)
    return directory


def of(reports: Reports, name: str, **changed: Any) -> str:
    """Return the text on one run, with these parts of its report changed."""
    [report] = [one for one in reports.runs if one.run.endswith(name)]
    return as_text(replace(reports, runs=[replace(report, **changed)]))


def test_what_is_told_of_a_run_goes_by_what_it_has(runs: Path) -> None:
    reports = examine([runs])
    single, votes = of(reports, "single"), of(reports, "votes")
    told_apart({
        "one agent's answer says ": single,
        "the first 3 agents' answers say ": votes,
        ", the last of them ": votes,
    })  # fmt: skip
    assert " bits about the right one" in single
    assert " bits about the right one" not in of(reports, "votes", information=pl.DataFrame())
    assert "  effective votes: " in votes
    [report] = [one for one in reports.runs if one.run.endswith("votes")]
    assert report.diversity.summary().startswith("K* (labels) of up to 3 agents: ")
    assert " per question, " in report.diversity.summary()
    told_apart({" leaf votes": votes}, of(reports, "votes", worth="there are none"))
    ratio = Amplification(2.0, 1.0, 3.0, n=5, n_single=5, paired=True)
    told_apart({
        "A_task (failures over the single agent's): ": votes,
        "A_trace (tainted acts per fault over the single agent's): ": of(reports, "votes", trace=ratio, failure=None),
    }, of(reports, "votes", failure=None))  # fmt: skip
    nobody = replace(report.diversity, questions=report.diversity.questions.clear())
    apart = replace(report.diversity, rounds=report.diversity.rounds.clear())
    told_apart({
        "K* (labels): no agent gave an answer": nobody.summary(),
        "K* (labels) of up to 3 agents: ": (report.diversity.summary(), apart.summary()),
        " as a team over all tasks": report.diversity.summary(),
        "not comparable over tasks": apart.summary(),
    })  # fmt: skip


def test_which_run_is_the_baseline_is_told_or_asked_for(runs: Path, tmp_path: Path) -> None:
    two = [tmp_path / "a", tmp_path / "b"]
    for directory in two:
        write_log(directory, [said(0, 0, 0, "A"), *ended(0, 1, "A")])
    votes = runs / "votes"
    other = tmp_path / "more"
    run(scenario(agents={"count": 3, "model": {"kind": "simulated"}}, tasks={"kind": "signal", "count": 4}), other)
    known, several, none = (as_text(examine(paths)) for paths in ([runs], two, [votes, other]))
    told_apart({
        "2 runs have a single agent: overhead, efficiency and amplification need --baseline RUN": several,
        "no run has a single agent: overhead, efficiency and amplification need --baseline RUN": none,
    }, known)  # fmt: skip
    assert ": overhead, efficiency and amplification need --baseline RUN" not in known
    apart = as_text(examine([votes], baseline=two[0]))
    told_apart({"the baseline has other tasks: compared as two samples, not task by task": apart}, known)


def test_runs_that_have_not_ended_or_are_old_have_notes(runs: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    write_log(old, [said(0, 0, 0, "A"), *ended(0, 1, "A")])
    now, before = as_text(examine([runs / "single"])), as_text(examine([old]))
    load_manifest(old).model_copy(update={"status": "interrupted"}).save(old)
    cut = as_text(examine([old]))
    told_apart({
        "no table of episodes: what is in no event (messages, virtual time) is not known": (before, cut),
        "this run is interrupted; the tasks that ended are counted": cut,
    }, now)  # fmt: skip


def test_teams_of_equal_size_are_correlated_from_four_on(runs: Path) -> None:
    reports = examine([runs])
    [votes] = [one for one in reports.runs if one.run.endswith("votes")]

    def team(k: int) -> RunReport:
        last = pl.col("k_star") + pl.when(pl.col("round").is_null()).then(k).otherwise(0)
        right = dict(votes.metrics.values) | {"majority_correct": Interval(0.5 + 0.1 * k * k, 0, 1)}
        rounds = votes.diversity.rounds.with_columns(k_star=last)
        metrics = replace(votes.metrics, values=right)
        return replace(votes, diversity=replace(votes.diversity, rounds=rounds), metrics=metrics)

    four, three = (as_text(replace(reports, runs=[team(k) for k in range(n)])) for n in (4, 3))
    told_apart({"K* and majority accuracy over 4 teams of 3: r = ": four}, three)


def test_faults_are_traced_where_some_were_planted() -> None:
    some = taint(tree(1, 1, 0.0, 3, seed=0)).summary()
    told_apart({
        "no faults": Taint(taint(tree(1, 1, 0.0, 3, seed=0)).table.clear()).summary(),
        " within their reach, ": some,
        " tainted answers; ": some,
        "3 faults in 3 executions: ": some,
    })  # fmt: skip


def test_a_judge_says_what_it_was_asked_twice() -> None:
    bare = JudgeAgreement(4, 16, 15, None, None, None)
    swapped = replace(bare, swapped=HALF, swapped_by=Interval(-0.1, -0.2, 0.0)).summary()
    again = replace(bare, repeated=HALF).summary()
    told_apart({
        "; same grade with the order swapped ": swapped,
        ", which moves the score by -0.1": swapped,
        "; same grade when asked again ": again,
    }, bare.summary())  # fmt: skip
    assert bare.summary() == "judge: 4 answers, 15 of 16 readings with a grade"


def test_what_replies_made_of_claims_is_told_as_far_as_they_tell_it() -> None:
    def text(**known: Interval | None) -> str:
        values: dict[str, Interval | None] = dict.fromkeys(INFLUENCE) | known
        return "; ".join(Influence(64, 9, 5, 3, values).summary())

    adopted = {"adopted": HALF, "changed_elsewhere": HALF}
    bare, named = text(), text(names_a_claim=HALF, names_or_none=HALF)
    first = text(first_of_handles=HALF, first_by_chance=HALF, first_over_chance=HALF)
    alone, both = text(**adopted), text(**adopted, changed_unshown=HALF, adopted_over_unshown=HALF)
    probed = text(changed_without_one=HALF, changed_again=HALF, influence_of_one=HALF)
    swapped = text(changed_swapped=HALF, took_swapped=HALF, influence_of_swap=HALF)
    told_apart({
        "name a claim ": named,
        ", name one or say none ": named,
        "#1 among 9 handles ": first,
        ", by chance 0.500: difference ": first,
        "shown another answer than its own: changed to a shown one ": (alone, both),
        "the same agents changed without claims ": both,
        "no such agent was also asked without claims, so there is no rate of its own to compare with": alone,
        "5 probes: other answers without one claim ": probed,
        "; influence of a claim ": probed,
        "3 probes with another answer in one claim: other answers ": swapped,
        "; influence of the swap ": swapped,
    }, bare)  # fmt: skip
    assert bare == "replies to shown claims: 64"
    assert influence_of(rows((0, 0, 0, [], False, False, False, False, False))) is None


def test_a_society_that_cannot_be_built_again_has_no_influence_and_says_so(tmp_path: Path) -> None:
    made(tmp_path / "gone", **DEBATE, tasks={"kind": "coin", "count": 2})
    known = as_text(examine([tmp_path / "gone"]))
    manifest = load_manifest(tmp_path / "gone")
    scenario = manifest.scenario | {"protocol": {"kind": "gone"}}
    manifest.model_copy(update={"scenario": scenario}).save(tmp_path / "gone")
    text = as_text(examine([tmp_path / "gone"]))
    told_apart({"its society cannot be built again here, so what replies made of claims is not measured": text}, known)


def test_uneven_tokens_are_told_of_many_tasks_alone() -> None:
    def told(*used: int) -> str:
        return uneven_tokens(pl.DataFrame({"tokens": [*used]}, schema={"tokens": pl.Int64}))

    told_apart({"few tasks took most of the tokens (one of 12 took ": told(*[10] * 11, 900)}, told(*[10] * 11, 30))
    assert told(*[10] * 8, 900) == ""
    assert told(*[0] * 20) == ""
    assert told() == ""
    heavy, light = (np.exp(np.random.default_rng(1).normal(6, sd, 400)).astype(int).tolist() for sd in (2, 0.5))
    assert told(*heavy) != ""
    assert told(*light) == ""
    above = 1 - (np.arange(400) + 0.5) / 400  # the quantiles of a power law and of an exponential
    power, thin = 100 * above ** (-1 / 1.5), 1 - 1000 * np.log(above)
    slow = told(*power.astype(int).tolist())
    told_apart({"too heavy-tailed for an interval of their mean (tail index ": slow}, told(*thin.astype(int).tolist()))
    assert told(*power[2::5].astype(int).tolist()) == ""  # eighty tasks
    assert tail_index(power) == pytest.approx(1.5, abs=0.1)
    assert tail_index(np.full(400, 7.0)) == np.inf
    assert tail_index(np.zeros(400)) is None
