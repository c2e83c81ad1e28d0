"""What small models show of three published claims: kept votes, and a page that says what follows and no more."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import agentsoc
from agentsoc import RunLog
from agentsoc.errors import InputError
from agentsoc.experiment.grid import load_grid
from analysis.interval import Interval
from analysis.measures.independence import IndependentVotes
from analysis.measures.outputs import SAYING
from benchmarks import claims_page
from benchmarks.claims import CLAIMS, TEAMS, TWICE, ClaimsPart, claims_parts, keep_claims, kept_claims
from benchmarks.claims_page import (
    PAGE,
    PAIRS,
    counted,
    differences,
    foretold,
    grouped,
    label,
    law,
    law_words,
    one_answer,
    page,
    sizes,
    talking_words,
    team,
    verdict,
    worth,
)
from benchmarks.when import grid_of

STAND_IN = """
name: stand-in
description: What of three published claims is seen in small models? Conformists.
base:
  seed: 3
  tasks: {kind: signal, count: 60}
  agents: {model: {kind: scripted, accuracy: 0.6, follows: 0.8, cites: none}, max_tokens: 60}
  budget: {tokens_per_task: 20000}
organisations:
  vote-2: {topology: independent, protocol: vote, agents: {count: 2}}
  vote-3: {topology: independent, protocol: vote, agents: {count: 3}}
  vote-5: {topology: independent, protocol: vote, agents: {count: 5}}
  vote-12: {topology: independent, protocol: vote, agents: {count: 12}}
  self-correction: {preset: self-correction, protocol: {rounds: 2}, agents: {count: 5}}
  debate: {preset: debate, protocol: {rounds: 2}, agents: {count: 5}}
  placebo: {preset: placebo, protocol: {rounds: 2}, agents: {count: 5}}
seeds: 1
baseline: vote-5
"""


TALKERS = """
name: talkers
description: Are teams that talk as alike as voters? Conformists.
base:
  seed: 3
  tasks: {kind: signal, count: 60}
  agents: {model: {kind: scripted, accuracy: 0.6, follows: 0.3, cites: none}, max_tokens: 60}
  budget: {tokens_per_task: 20000}
organisations:
  debate-2: {preset: debate, protocol: {rounds: 2}, agents: {count: 2}}
  debate-3: {preset: debate, protocol: {rounds: 2}, agents: {count: 3}}
  debate-5: {preset: debate, protocol: {rounds: 2}, agents: {count: 5}}
  debate-8: {preset: debate, protocol: {rounds: 2}, agents: {count: 8}}
seeds: 1
baseline: debate-5
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("claims")
    file = home / "asked.yaml"
    file.write_text(STAND_IN)
    agentsoc.compare(file, home / "made", workers=1)
    keep_claims(CLAIMS[0], home / "made", home / "kept", load_grid(file))
    return home


@pytest.fixture(scope="module")
def stand_in(home: Path) -> ClaimsPart:
    (found,) = claims_parts(home / "kept")
    return found


@pytest.fixture(scope="module")
def teams(tmp_path_factory: pytest.TempPathFactory) -> ClaimsPart:
    home = tmp_path_factory.mktemp("teams")
    file = home / "asked.yaml"
    file.write_text(TALKERS)
    agentsoc.compare(file, home / "made", workers=1)
    keep_claims(TEAMS, home / "made", home / "kept", load_grid(file))
    found = kept_claims(TEAMS, home / "kept")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def text(stand_in: ClaimsPart) -> str:
    found = page([stand_in])
    assert found is not None
    return found


def mean(values: pl.Series) -> float:
    return float(values.cast(pl.Float64).to_numpy().mean())


def test_the_page_is_what_follows_from_what_is_kept() -> None:
    found = page(claims_parts(), kept_claims(TEAMS))
    index = (PAGE.parent / "index.md").read_text()
    if found is None:
        assert not PAGE.exists()
        assert PAGE.name not in index
        return
    assert PAGE.read_text(encoding="utf-8") == found
    assert f"]({PAGE.name})" in index


def test_answers_at_first_are_the_same_in_all_organisations(home: Path) -> None:
    """What the page says of how it was asked, for the files that it was asked with."""
    for name in CLAIMS:
        for cell in grid_of(name).cells:
            assert cell.scenario.agents[0].prompts.system == ""
    firsts = []
    for who in ("vote-5", "self-correction", "debate", "placebo", "vote-12"):
        (run,) = (home / "made" / "runs").glob(f"{who}-n*")
        votes = RunLog(run).frame().filter((pl.col("kind") == "propose_claim") & (pl.col("agent") < 5))
        first = votes.sort("task", "agent", "round").unique(["task", "agent"], keep="first", maintain_order=True)
        firsts.append(first.select("task", "agent", "answer").rows())
    assert len(firsts[0]) == 300
    assert all(one == firsts[0] for one in firsts)


def test_every_figure_of_scores_tokens_and_accuracies_follows_from_the_runs(home: Path, text: str) -> None:
    table = pl.read_parquet(home / "kept" / CLAIMS[0] / "results.parquet")
    for n in (2, 3, 5, 12):
        (run,) = (home / "made" / "runs").glob(f"vote-{n}-n*")
        claims = RunLog(run).frame().filter(pl.col("kind") == "propose_claim")
        votes = claims.group_by("task", "answer").agg(n=pl.len(), score=pl.col("correct").max())
        first = votes.filter(pl.col("n") == pl.col("n").max().over("task")).group_by("task").agg(pl.col("score").mean())
        assert re.search(rf"\n\| {n} \| {mean(first['score']):.3f} \[", text)
    tokens = dict(table.group_by("organisation").agg(pl.col("tokens").mean()).iter_rows())
    assert f"\n| tokens a task | {' | '.join(f'{tokens[name]:.0f}' for name in TWICE)} |\n" in text
    times = tokens["debate"] / tokens["self-correction"]
    assert f"\nThe debate takes {times:.2f} times the tokens of self-correction.\n" in text
    assert f"The debate takes {times:.2f} times the tokens of self-correction (in the order above)." in text
    means: dict[str, float] = {}
    for name in TWICE:
        (run,) = (home / "made" / "runs").glob(f"{name}-n*")
        claims = RunLog(run).frame().filter(pl.col("kind").cast(pl.String).is_in(SAYING)).sort("round")
        first, last = (claims.unique(["task", "agent"], keep=end, maintain_order=True) for end in ("first", "last"))
        means |= {"first answers": mean(first["correct"]), name: mean(last["correct"])}
        once = claims.group_by("task", "agent").len().filter(pl.col("len") < 2).height
        assert re.search(rf"\n\| {name} \| [^|]+ \| {means[name]:.3f} \[[^|]+ \| {once} of 300 \|\n", text)
    for name, base in PAIRS:
        gap = re.escape(f"{means[name] - means[base]:+.3f}")
        assert re.search(rf"\n\| {name} less {base} \| [^|]+ \| [^|]+ \| [^|]+ \| {gap} \[", text)


def test_what_agents_were_shown_and_did_is_counted_as_in_the_runs(home: Path, stand_in: ClaimsPart, text: str) -> None:
    (run,) = (home / "made" / "runs").glob("debate-n*")
    claims = RunLog(run).frame().filter(pl.col("kind").is_in(["propose_claim", "revise_claim"]))
    first = claims.filter(pl.col("round") == 0)
    last = claims.sort("round").unique(["task", "agent"], keep="last")
    both = last.join(first, on=["task", "agent"], suffix="_before")
    for name, before in (("right to wrong", 1), ("wrong to right", 0)):
        row = re.search(rf"\n\| {name} \[95 %\] \| [^|]+ \| ([^|]+) \|", text)
        own = both.filter(pl.col("correct_before") == before)
        share = mean(own["correct"] != before)
        assert row, name
        assert re.fullmatch(rf"{share:.3f} \[.*\] of {own.height} in {own['task'].n_unique()} tasks", row[1])
    scores = pl.read_parquet(home / "kept" / CLAIMS[0] / "results.parquet").filter(pl.col("organisation") == "debate")
    had = claims.group_by("task").agg(best=pl.col("correct").max()).join(scores, on="task")
    gap = 100 * float((had["best"] - had["majority_correct"]).clip(lower_bound=0).mean())  # type: ignore[arg-type]
    assert re.search(rf"\n\| oracle gap, points \[95 %\] \| [^|]+ \| {gap:.1f} \[", text)
    led = stand_in.heard.filter("led")
    adopted = f"{mean(led['followed']):.3f} ["
    assert f"is not one's own:\n{adopted}" in text
    assert f"] of {led.height} in {led['task'].n_unique()} tasks.\n" in text


def test_no_share_of_few_tasks_is_told(stand_in: ClaimsPart) -> None:
    tasks = stand_in.heard["task"].unique().sort()
    few, enough = (stand_in.heard.filter(pl.col("task").is_in(tasks[:n].to_list())) for n in (7, 8))
    assert counted(few, pl.col("had")) == "too few tasks (7)"
    assert re.fullmatch(rf"\d.* of {enough.height} in 8 tasks", counted(enough, pl.col("had")))
    assert counted(few.clear(), pl.col("had")) == "too few tasks (0)"


def test_one_answer_for_everything_is_told_where_it_is_so(stand_in: ClaimsPart, text: str) -> None:
    def answering(share: float, *who: str) -> ClaimsPart:
        """Return the comparison with a share of the last answers of these replaced by one word."""
        n = pl.int_range(pl.len()).over("organisation")
        chosen = pl.col("organisation").is_in(who) & (n < share * 300)
        last = pl.when(chosen).then(pl.lit("yes")).otherwise(pl.lit("no ") + n.cast(pl.String))
        return replace(stand_in, answers=stand_in.answers.with_columns(last=last))

    bare = page([answering(0.5, "debate")]) or ""
    assert "Whatever is asked" not in bare
    assert "**One answer.**" not in bare
    alike = answering(0.8, "debate", "placebo")
    said = (
        'Whatever is asked, nearly all answers of the second round are one and the same ("yes": 240 of 300 after '
        "debate, 240 of 300 after placebo, 0 of 300 first ones). So these figures say mostly how many tasks have that "
        "right answer, and little of reading."
    )
    assert one_answer(alike) == said
    told = page([alike]) or ""
    assert f"\n{said}\n" in told
    assert f"- **One answer.** In the second round nearly all answers are the same one in {label(alike)}, so" in told
    assert one_answer(answering(0.79, "debate", "placebo")) is None
    always = alike.answers.with_columns(first=pl.lit("yes"))
    assert one_answer(replace(alike, answers=always)) is None, "it is no matter of the second round"


def test_a_team_without_n_eff_is_named_with_the_reason(stand_in: ClaimsPart, text: str) -> None:
    alike = replace(stand_in, standing=stand_in.standing.with_columns(right=pl.col("voters").cast(pl.Float64)))
    told = page([alike]) or ""
    reason = "fewer than 8 tasks differ from the others in how many votes are right"
    assert [f"- No N_eff of {n}: {reason}." in told for n in sizes(stand_in)] == [True] * 4
    assert "- Teams of up to 5: fewer than two have an N_eff." in told
    assert worth(alike) == reason
    assert foretold(alike) == ("nothing", "no law can be fitted")
    few = replace(stand_in, standing=stand_in.standing.with_columns(voters=(pl.col("voters") - 1).clip(lower_bound=1)))
    assert "- No N_eff of 12: in too few tasks all 12 gave an answer." in (page([few]) or "")
    assert "No N_eff of" not in text
    assert "- Teams of up to 5: R(N) = 1 / (1 + c (N - 1) N^-b) over N = 2, 3, 5: " in text
    assert "N_eff of 12 agents" in text
    assert sizes(stand_in) == [2, 3, 5, 12]


def test_whether_small_teams_foretold_the_largest_is_said_in_each_way(
    stand_in: ClaimsPart, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, largest = law(stand_in, 5), team(stand_in, 12)
    assert fitted is not None
    assert isinstance(largest, IndependentVotes)
    said, why = foretold(stand_in)
    assert f"\n- Foretold of 12: {said} ({why}); measured: {worth(stand_in)}.\n" in text

    def told(predicted: tuple[float, float], seen: tuple[float, float], fit: float | None = 0.5) -> tuple[str, str]:
        at = Interval(sum(predicted) / 2, *predicted), Interval(sum(seen) / 2, *seen)
        monkeypatch.setattr(claims_page, "law", lambda *_: replace(fitted, predicted=at[0], fit=fit))
        monkeypatch.setattr(claims_page, "team", lambda *_: replace(largest, votes=at[1]))
        return foretold(stand_in)

    overlap = "the intervals overlap, which does not show that they agree"
    assert told((2, 4), (3, 5)) == ("3.000 [2.000, 4.000]", overlap)
    assert told((2, 6), (3, 9))[1] == overlap
    apart = "the intervals have no value in common"
    assert told((2, 4), (5, 7))[1] == apart
    assert told((5, 7), (2, 4), None)[1] == apart
    assert told((1, 10), (11, 12))[1] == apart, "wide, and contradicted all the same"
    assert told((2, 6.1), (3, 9))[1] == "too wide to be wrong"
    assert told((2, 6), (3, 9.1))[1] == "too wide to be wrong"
    assert told((2, 4), (3, 5), 0.049) == ("nothing", "they do not follow the law, p = 0.049")
    monkeypatch.setattr(claims_page, "team", lambda *_: "they are alike")
    assert (foretold(stand_in)[1], worth(stand_in)) == ("they do not follow the law, p = 0.049", "they are alike")
    monkeypatch.setattr(claims_page, "law", lambda *_: replace(fitted, predicted=Interval(3, 2, 4), fit=None))
    assert foretold(stand_in) == ("3.000 [2.000, 4.000]", "it cannot be measured")
    monkeypatch.setattr(claims_page, "law", lambda *_: None)
    assert foretold(stand_in) == ("nothing", "no law can be fitted")


def test_a_law_is_told_with_its_fit_and_the_ceiling_that_it_means(stand_in: ClaimsPart) -> None:
    found = law(stand_in, 5)
    assert found is not None
    flat = replace(found, b=Interval(0.0, -0.1, 0.1), c=Interval(0.4, 0.25, 0.5), fit=0.3)
    ceiling = "; if b is 0, N_eff stays below a ceiling between 2.00 and 4.00"
    assert law_words(flat) == f"{flat.summary()}; p of the fit 0.30{ceiling}"
    untested = replace(flat, fit=None)
    assert law_words(untested) == f"{untested.summary()}{ceiling}"
    misfit = replace(flat, fit=0.01)
    assert law_words(misfit) == misfit.summary()
    for other in (replace(flat, b=Interval(0.0, -0.3, 0.1)), replace(flat, c=Interval(0.4, 0.0, 0.5))):
        assert "ceiling between" not in law_words(other)
    assert law_words(None) == "fewer than two have an N_eff"


def test_a_difference_is_told_only_where_its_p_is_small_over_all_twelve(stand_in: ClaimsPart, text: str) -> None:
    rows = differences(stand_in)
    assert tuple(rows) == PAIRS
    every = [row for both in rows.values() for row in (both.votes, both.singles)]
    assert len(every) == 12
    assert min(row.p_holm for row in every) == pytest.approx(min(1.0, 12 * min(row.p for row in every)))
    for name, base in rows:
        assert f"\n| {name} less {base} | " in text
    row = rows["debate", "first answers"].votes
    better, worse, unclear = (
        replace(row, difference=Interval(value, value - 0.1, value + 0.1), p_holm=p)
        for value, p in ((0.2, 0.05), (-0.2, 0.01), (0.2, 0.051))
    )
    assert [verdict(one) for one in (better, worse, unclear)] == ["better", "worse", "cannot be told"]
    name = label(stand_in)
    assert grouped([(stand_in, better)]) == f"better in {name}"
    assert grouped([(stand_in, worse)] * 2) == "worse in all"
    assert grouped([(stand_in, unclear)] * 3) == "cannot be told in any of them"
    assert grouped([(stand_in, unclear), (stand_in, better)]) == f"better in {name}; cannot be told in {name}"


def test_the_summary_says_of_each_claim_what_the_tables_say(stand_in: ClaimsPart, text: str) -> None:
    rows = differences(stand_in)
    for start, pair in (
        ("- **Debate or vote.** Debate less first answers,", ("debate", "first answers")),
        ("  Debate less its placebo,", ("debate", "placebo")),
        ("- **Placebo.** Placebo less looking again alone,", ("placebo", "self-correction")),
        ("  Debate less self-correction,", ("debate", "self-correction")),
    ):
        votes, singles = (grouped([(stand_in, row)]) for row in (rows[pair].votes, rows[pair].singles))
        assert f"\n{start} the vote: {votes}; single answers: {singles}.\n" in text
    assert f"are worth so many independent ones: {worth(stand_in)} ({label(stand_in)}).\n" in text
    said, why = foretold(stand_in)
    assert f"\n  Foretold from teams of up to 5, in this order: {said} ({why}). The law itself is not tested.\n" in text


def test_teams_that_talk_have_a_section_and_a_line_where_they_are_made(
    stand_in: ClaimsPart, teams: ClaimsPart, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sizes(teams) == [2, 3, 5, 8]
    assert teams.heard.is_empty()
    assert teams.answers.is_empty()
    told = page([stand_in], teams) or ""
    assert "**Teams that talk" not in text
    assert "of voters who hear nobody it could not have failed.\n" in text
    assert "of voters who hear nobody it could not have failed, and of teams that talk it was asked once.\n" in told
    assert f"\n- **Teams that talk.** {talking_words(teams)}\n" in told
    section = told.partition("**Teams that talk** (")[2].partition("\n## ")[0]
    for n in sizes(teams):
        found = team(teams, n)
        assert isinstance(found, IndependentVotes)
        assert re.search(rf"\n\| {n} \| [^|]+ \| {re.escape(found.votes.text())} \| ", section)
    assert f"| `{TEAMS}` | scripted" in told
    fitted = law(teams, 8)
    assert fitted is not None

    def with_fit(fit: float | None) -> str:
        monkeypatch.setattr(claims_page, "law", lambda *_: replace(fitted, fit=fit))
        return talking_words(teams)

    start = f"Debates of 2 to 8 ({label(teams)}): 8 are worth {worth(teams)} independent voters; foretold from teams of"
    assert with_fit(0.05).startswith(start)
    departs = f" They are not shown to depart from the law (p 0.05, b {fitted.b.brackets()})."
    assert with_fit(0.05).endswith(departs)
    assert with_fit(0.049).endswith(" They do not follow the law (p = 0.049).")
    assert with_fit(None).endswith(" The law cannot be tested.")


def test_comparisons_that_are_not_made_are_named_and_have_no_section(stand_in: ClaimsPart, text: str) -> None:
    rest = ", ".join(f"`{name}`" for name in (*CLAIMS[1:], TEAMS))
    assert f"These are not made yet: {rest}. Nothing here is about them." in text
    every = []
    for name in CLAIMS:
        part = replace(stand_in.part, name=name)
        every.append(replace(stand_in, part=part))
    assert f"These are not made yet: `{TEAMS}`. " in (page(every) or "")
    named = replace(stand_in, part=replace(stand_in.part, name=TEAMS))
    assert "not made yet" not in (page(every, named) or "")
    assert page([]) is None


def test_a_table_of_votes_that_somebody_changed_is_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / CLAIMS[0]).mkdir()
    for path in (home / "kept" / CLAIMS[0]).iterdir():
        (tmp_path / CLAIMS[0] / path.name).write_bytes(path.read_bytes())
    assert kept_claims(CLAIMS[0], tmp_path) is not None
    changed = tmp_path / CLAIMS[0] / "standing.parquet"
    pl.read_parquet(changed).with_columns(right=pl.lit(1.0)).write_parquet(changed)
    with pytest.raises(InputError, match="not the one that was kept"):
        kept_claims(CLAIMS[0], tmp_path)
    changed.unlink()
    with pytest.raises(InputError, match="not the one that was kept"):
        kept_claims(CLAIMS[0], tmp_path)
    kept = {"standing_sha256", "heard_sha256", "answers_sha256"}
    assert set(json.loads((tmp_path / CLAIMS[0] / "made.json").read_text())) >= kept


def test_several_seeds_are_not_kept(tmp_path: Path) -> None:
    """The votes of a task of one seed would be taken for those of the same task of the other."""
    file = tmp_path / "asked.yaml"
    file.write_text(STAND_IN.replace("seeds: 1", "seeds: 2").replace("count: 60", "count: 2"))
    agentsoc.compare(file, tmp_path / "made", workers=1)
    with pytest.raises(InputError, match="tasks of several seeds"):
        keep_claims(CLAIMS[0], tmp_path / "made", tmp_path / "kept", load_grid(file))
    assert not (tmp_path / "kept").exists()


def test_what_is_kept_of_real_models_begins_with_the_same_answers() -> None:
    for one in claims_parts():
        firsts = [
            one.answers.filter(pl.col("organisation") == name).select("task", "agent", "first", "right_first").rows()
            for name in TWICE
        ]
        assert firsts[0] == firsts[1] == firsts[2], one.part.name
        assert len(firsts[0]) == 5 * one.part.results.table["task"].n_unique()
