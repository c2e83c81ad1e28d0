"""What small models show of three published claims: kept votes, and a page that says what follows and no more."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

import agentsoc
from agentsoc import RunLog
from agentsoc.engine.transcript import transcript
from agentsoc.errors import InputError
from agentsoc.experiment.grid import load_grid
from analysis.interval import Interval
from analysis.measures.heard import heard_replies
from analysis.measures.independence import IndependentVotes
from analysis.measures.outputs import SAYING
from benchmarks import claims_page
from benchmarks.claims import CLAIMS, TEAMS, TWICE, ClaimsPart, claims_parts, keep_claims, kept_claims
from benchmarks.claims_page import (
    PAGE,
    PAIRS,
    Forecast,
    counted,
    differences,
    foretold,
    grouped,
    label,
    law,
    law_verdict,
    law_words,
    one_answer,
    page,
    sized,
    talking_words,
    team,
    verdict,
    worth,
)
from benchmarks.when import grid_of
from benchmarks.when_page import p_words

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
  placebo-2: {preset: placebo, protocol: {rounds: 2}, agents: {count: 2}}
  placebo-5: {preset: placebo, protocol: {rounds: 2}, agents: {count: 5}}
  placebo-8: {preset: placebo, protocol: {rounds: 2}, agents: {count: 8}}
seeds: 1
baseline: debate-5
"""


def made(home: Path, name: str, asked: str) -> Path:
    """Make a comparison in place of another one, keep it, and return where all of it is."""
    file = home / "asked.yaml"
    file.write_text(asked)
    agentsoc.compare(file, home / "made", workers=1)
    keep_claims(name, home / "made", home / "kept", load_grid(file))
    return home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("claims"), CLAIMS[0], STAND_IN)


@pytest.fixture(scope="module")
def stand_in(home: Path) -> ClaimsPart:
    (found,) = claims_parts(home / "kept")
    return found


@pytest.fixture(scope="module")
def teams(tmp_path_factory: pytest.TempPathFactory) -> ClaimsPart:
    found = kept_claims(TEAMS, made(tmp_path_factory.mktemp("teams"), TEAMS, TALKERS) / "kept")
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


def plurality(votes: pl.DataFrame) -> dict[int, float]:
    """Return the score of the most frequent answer of each task, the mean over those that tie."""
    counts = votes.group_by("task", "answer").agg(n=pl.len(), score=pl.col("correct").max())
    first = counts.filter(pl.col("n") == pl.col("n").max().over("task"))
    return dict(first.group_by("task").agg(pl.col("score").mean()).iter_rows())


def last_answers(home: Path, name: str) -> pl.DataFrame:
    (run,) = (home / "made" / "runs").glob(f"{name}-n*")
    claims = RunLog(run).frame().filter(pl.col("kind").cast(pl.String).is_in(SAYING)).sort("round")
    return claims.unique(["task", "agent"], keep="last", maintain_order=True)


def test_every_difference_of_votes_follows_from_the_runs(home: Path, stand_in: ClaimsPart, text: str) -> None:
    votes = {name: plurality(last_answers(home, name)) for name in TWICE}
    votes["first answers"] = plurality(last_answers(home, "vote-5"))
    rows = differences(stand_in)
    for name, own in votes.items():
        assert re.search(rf"\n\| {name} \| {sum(own.values()) / 60:.3f} \[", text)
    for name, base in PAIRS:
        gaps = [round(votes[name][task] - votes[base][task], 9) for task in range(60)]
        games = "/".join(str(n) for n in (sum(g > 0 for g in gaps), gaps.count(0), sum(g < 0 for g in gaps)))
        both = rows[name, base]
        words = [verdict(row) for row in (both.votes, both.singles)]
        told = words[0] if words[0] == words[1] else f"votes: {words[0]}; single answers: {words[1]}"
        row = re.search(rf"\n\| {name} less {base} \| (.*) \|\n", text)
        assert row
        cells = row[1].split(" | ")
        assert cells[0].startswith(f"{sum(gaps) / 60:+.3f} [")
        assert cells[1:3] == [games, p_words(both.votes.p_holm)]
        assert cells[4:] == [p_words(both.singles.p_holm), told]


def test_every_figure_of_scores_tokens_and_accuracies_follows_from_the_runs(
    home: Path, stand_in: ClaimsPart, text: str
) -> None:
    table = pl.read_parquet(home / "kept" / CLAIMS[0] / "results.parquet")
    for n in (2, 3, 5, 12):
        claims = last_answers(home, f"vote-{n}")
        score = sum(plurality(claims).values()) / 60
        share = claims.group_by("task").agg(pl.col("correct").mean())["correct"].to_numpy()
        deff = n * share.var() / (share.mean() * (1 - share.mean()))  # Kish
        worth_of, rho = n / deff, (deff - 1) / (n - 1)
        row = re.search(rf"\n\| {n} \| {score:.3f} \[[^|]+ \| ([0-9.]+) \[[^|]+ \| ([0-9.-]+) \[[^|]+ \| 60 \|", text)
        assert row
        assert float(row[1]) == pytest.approx(worth_of, rel=0.02)
        assert float(row[2]) == pytest.approx(rho, abs=0.02)
    tokens = dict(table.group_by("organisation").agg(pl.col("tokens").mean()).iter_rows())
    assert f"\n| tokens a task | {' | '.join(f'{tokens[name]:.0f}' for name in TWICE)} |\n" in text
    times = tokens["debate"] / tokens["self-correction"]
    assert f"\nThe debate takes {times:.2f} times the tokens of self-correction.\n" in text
    assert f" so many times the tokens of self-correction: {times:.2f} ({label(stand_in)}).\n" in text
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


def test_what_became_of_answers_is_counted_as_in_the_runs(home: Path, stand_in: ClaimsPart, text: str) -> None:
    cells: dict[str, list[str]] = {}
    for line in ("ends at the others' answer", "right to wrong", "wrong to right", "oracle gap, points"):
        row = re.search(rf"\n\| {line} \[95 %\] \| (.*) \|\n", text)
        assert row
        cells[line] = row[1].split(" | ")
    for at, name in enumerate(TWICE):
        (run,) = (home / "made" / "runs").glob(f"{name}-n*")
        claims = RunLog(run).frame().filter(pl.col("kind").cast(pl.String).is_in(SAYING)).sort("round")
        first, last = (claims.unique(["task", "agent"], keep=end, maintain_order=True) for end in ("first", "last"))
        both = last.join(first, on=["task", "agent"], suffix="_before")
        for line, before in (("right to wrong", 1), ("wrong to right", 0)):
            own = both.filter(pl.col("correct_before") == before)
            share = mean(own["correct"] != before)
            assert re.fullmatch(
                rf"{share:.3f} \[.*\] of {own.height} in {own['task'].n_unique()} tasks", cells[line][at]
            )
        best = claims.group_by("task").agg(pl.col("correct").max()).sort("task")["correct"].to_list()
        votes = plurality(last)
        gap = 100 * sum(max(best[task] - votes[task], 0) for task in range(60)) / 60
        assert cells["oracle gap, points"][at].startswith(f"{gap:.1f} [")
        if name != "debate":
            continue
        led = heard_replies(RunLog(run)).filter("led")  # the product's own measure, from what prompts showed
        said = rf"{mean(led['followed']):.3f} \[.*\] of {led.height} in {led['task'].n_unique()} tasks"
        assert re.fullmatch(said, cells["ends at the others' answer"][at])
        alone = plurality(first)
        had = first.group_by("task").agg(pl.col("correct").max()).sort("task")["correct"].to_list()
        gap = 100 * sum(max(had[task] - alone[task], 0) for task in range(60)) / 60
        assert re.search(rf"\nOracle gap of the first answers: {gap:.1f} \[", text)


def test_no_share_of_few_tasks_is_told(stand_in: ClaimsPart) -> None:
    holds = pl.col("right_last") == 1
    few, enough = (stand_in.answers.filter(pl.col("task") < n) for n in (7, 8))
    assert counted(few, holds) == "too few tasks (7)"
    assert re.fullmatch(rf"\d.* of {enough.height} in 8 tasks", counted(enough, holds))
    assert counted(few.clear(), holds) == "too few tasks (0)"


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
    assert told.count(f"\n{said}\n") == 2, "beside the differences and beside what became of answers"
    assert f"- **One answer.** In {label(alike)} at least 80 % of the last answers of an" in told
    assert one_answer(answering(0.79, "debate", "placebo")) is None
    always = alike.answers.with_columns(first=pl.lit("yes"))
    assert one_answer(replace(alike, answers=always)) is None, "it is no matter of the second round"


def test_a_team_without_n_eff_is_named_with_the_reason(stand_in: ClaimsPart, text: str) -> None:
    alike = replace(stand_in, standing=stand_in.standing.with_columns(right=pl.col("voters").cast(pl.Float64)))
    told = page([alike]) or ""
    reason = "fewer than 8 tasks differ from the others in how many votes are right"
    assert [f"- No N_eff of {n}: {reason}." in told for n in sized(stand_in)] == [True] * 4
    assert "\n- Teams of up to 5: fewer than two have an N_eff, so no law is fitted.\n" in told
    assert worth(alike) == f"what a team of 12 is worth cannot be measured ({reason})"
    assert foretold(alike).text == "teams of up to 5 foretell nothing: fewer than two of them have an N_eff"
    few = replace(stand_in, standing=stand_in.standing.with_columns(voters=(pl.col("voters") - 1).clip(lower_bound=1)))
    assert "- No N_eff of 12: in too few tasks all 12 gave an answer." in (page([few]) or "")
    assert "No N_eff of" not in text
    assert list(sized(stand_in)) == [2, 3, 5, 12]


def test_whether_small_teams_foretold_the_largest_is_said_in_each_way(
    stand_in: ClaimsPart, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, largest = law(stand_in, 5), team(stand_in, 12)
    assert fitted is not None
    assert isinstance(largest, IndependentVotes)
    assert f"\n- Of 12: {foretold(stand_in).text}.\n" in text
    assert f"Who hear nobody: {worth(stand_in)}; {foretold(stand_in).text}.\n" in text
    assert worth(stand_in) == f"a team of 12 is worth {largest.votes.text()} independent votes"
    start = "teams of up to 5 foretold 3.000 [2.000, 4.000], which "

    def told(predicted: tuple[float, float], seen: tuple[float, float], fit: float | None = 0.5) -> str:
        at = Interval(sum(predicted) / 2, *predicted), Interval(sum(seen) / 2, *seen)
        monkeypatch.setattr(claims_page, "law", lambda *_: replace(fitted, predicted=at[0], fit=fit))
        monkeypatch.setattr(claims_page, "team", lambda *_: replace(largest, votes=at[1]))
        found = foretold(stand_in)
        assert found.contradicted == found.text.endswith("which the measurement contradicts")
        return found.text

    assert told((2, 4), (3, 5)) == f"{start}is not contradicted"
    assert told((2, 6), (3, 9)).endswith("which is not contradicted")
    assert told((2, 4), (5, 7)) == f"{start}the measurement contradicts"
    assert told((5, 7), (2, 4), None).endswith("which the measurement contradicts")
    assert told((1, 10), (11, 12)).endswith("which the measurement contradicts"), "wide, and contradicted all the same"
    assert told((2, 6.1), (3, 9)).endswith("is not contradicted, but the forecast tells little, being too wide")
    assert told((2, 6), (3, 9.1)).endswith("is not contradicted, but the measurement tells little, being too wide")
    assert told((2, 6.1), (3, 9.1)).endswith("but the forecast and the measurement tell little, being too wide")
    nothing = "teams of up to 5 foretell nothing: "
    assert told((2, 4), (3, 5), 0.049) == f"{nothing}they do not follow the law, p 0.049"
    monkeypatch.setattr(claims_page, "team", lambda *_: "they are alike")
    monkeypatch.setattr(claims_page, "law", lambda *_: replace(fitted, predicted=Interval(3, 2, 4), fit=None))
    assert foretold(stand_in).text == f"{start}nothing can be held against"
    monkeypatch.setattr(claims_page, "law", lambda *_: replace(fitted, predicted=None, fit=None))
    assert foretold(stand_in).text == f"{nothing}12 is among them"
    monkeypatch.setattr(claims_page, "law", lambda *_: None)
    assert foretold(stand_in).text == f"{nothing}fewer than two of them have an N_eff"


def test_a_law_is_told_with_its_intervals_and_its_fit(stand_in: ClaimsPart, text: str) -> None:
    found = law(stand_in, 5)
    assert found is not None
    assert f"\n- Teams of up to 5: {law_words(found)}.\n" in text
    flat = replace(found, b=Interval(0.0, -0.1, 0.1), c=Interval(0.4, 0.25, 0.5), fit=0.3)
    assert law_words(flat) == "b [-0.1, 0.1] about 0, c [0.25, 0.5] about 0.4, over N = 2, 3, 5; p of the fit 0.300"
    assert law_words(replace(flat, fit=None)) == "b [-0.1, 0.1] about 0, c [0.25, 0.5] about 0.4, over N = 2, 3, 5"


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
    told = f"better by +0.200 [+0.100, +0.300] in {name}"
    assert grouped([(stand_in, better)]) == told
    assert grouped([(stand_in, worse)] * 2) == "; ".join([f"worse by -0.200 [-0.300, -0.100] in {name}"] * 2)
    assert grouped([(stand_in, unclear)] * 3) == "cannot be told in any of them"
    assert grouped([(stand_in, unclear)]) == f"cannot be told in {name}"
    assert grouped([(stand_in, unclear), (stand_in, better)]) == f"{told}; cannot be told in {name}"


def test_the_summary_says_of_each_claim_what_the_tables_say(stand_in: ClaimsPart, text: str) -> None:
    rows = differences(stand_in)
    for start, pair in (
        ("- **Debate or vote.** The debate less its first answers.", ("debate", "first answers")),
        ("- **Debate or placebo.** The debate less its placebo.", ("debate", "placebo")),
        ("- **Placebo or looking again.** The placebo less self-correction.", ("placebo", "self-correction")),
        ("- **Consensus.** The debate less self-correction.", ("debate", "self-correction")),
    ):
        votes, singles = (grouped([(stand_in, row)]) for row in (rows[pair].votes, rows[pair].singles))
        assert f"\n{start} Votes: {votes}. Single answers: {singles}.\n" in text


def test_teams_that_talk_have_a_section_and_a_line_where_they_are_made(
    stand_in: ClaimsPart, teams: ClaimsPart, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert teams.answers.is_empty()
    told = page([stand_in], teams) or ""
    assert "**Teams that talk" not in text
    assert "of voters who hear nobody it could not have failed.\n" in text
    assert "of voters who hear nobody it could not have failed, and of teams that talk it was asked once.\n" in told
    assert f"\n- **Teams that talk, {label(teams)}.** {talking_words(teams)}\n" in told
    section = told.partition("**Teams that talk** (")[2].partition("\n## ")[0]
    for start, known in (("debate-", [2, 3, 5, 8]), ("placebo-", [2, 5, 8])):
        assert list(sized(teams, start)) == known
        own = section.partition("Their placebos:\n")[2 if start == "placebo-" else 0]
        for n in known:
            found = team(teams, n, start)
            assert isinstance(found, IndependentVotes)
            assert re.search(rf"\n\| {n} \| [^|]+ \| {re.escape(found.votes.text())} \| .* \| 0 of {60 * n} \|\n", own)
        assert f"\n- Of 8: {foretold(teams, start).text}.\n" in own
    assert f"| `{TEAMS}` | scripted" in told
    once = teams.standing.with_columns(revisers=pl.col("revisers") - 1)
    assert " | 60 of 120 |\n" in (page([stand_in], replace(teams, standing=once)) or "")
    assert talking_words(teams) == (
        f"Debates of 2 to 8: {worth(teams, 'debate-')}; {law_verdict(teams, 'debate-')} Their placebos: "
        f"{worth(teams, 'placebo-')}; {law_verdict(teams, 'placebo-')}"
    )
    alone = replace(teams, standing=teams.standing.filter(pl.col("organisation").str.starts_with("debate-")))
    assert "placebos" not in talking_words(alone)


def test_whether_teams_depart_from_the_law_is_said_in_each_way(
    teams: ClaimsPart, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = law(teams, 8, "debate-")
    assert fitted is not None
    at, well = Interval(0.2, -0.1, 0.4), Forecast("as foretold")

    def told(fit: float | None, forecast: Forecast = well, b: Interval = at) -> str:
        monkeypatch.setattr(claims_page, "law", lambda *_: replace(fitted, fit=fit, b=b))
        monkeypatch.setattr(claims_page, "foretold", lambda *_: forecast)
        return law_verdict(teams, "debate-")

    against = Forecast("badly foretold", contradicted=True)
    assert told(0.05) == "as foretold. No departure from the law is shown (p of the fit 0.050, b [-0.1, 0.4])."
    assert told(0.049) == "as foretold. The law fails by its fit (p 0.049)."
    assert told(0.5, against) == "badly foretold. The law fails by its forecast."
    assert told(0.01, against) == "badly foretold. The law fails by its fit (p 0.010) and its forecast."
    assert told(None) == "as foretold. The law is not tested."
    anything = Interval(0.0, -2.0, 4.0, open_low=True, open_high=True)
    assert told(0.5, b=anything) == "as foretold. Every b fits, so they say nothing of the law."
    monkeypatch.setattr(claims_page, "law", lambda *_: None)
    assert law_verdict(teams, "debate-") == "as foretold. The law is not tested."


def test_comparisons_that_are_not_made_are_named_and_have_no_section(
    stand_in: ClaimsPart, teams: ClaimsPart, text: str
) -> None:
    rest = ", ".join(f"`{name}`" for name in (*CLAIMS[1:], TEAMS))
    assert f"\nNot made yet: {rest}.\n" in text
    every = []
    for name in CLAIMS:
        part = replace(stand_in.part, name=name)
        every.append(replace(stand_in, part=part))
    assert f"\nNot made yet: `{TEAMS}`.\n" in (page(every) or "")
    assert "Not made yet" not in (page(every, teams) or "")
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
    kept = {"standing_sha256", "answers_sha256"}
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
        votes = one.standing.select("organisation", "task", "right")
        right = {
            n: dict(votes.filter(pl.col("organisation") == name)[:, 1:].iter_rows()) for n, name in sized(one).items()
        }
        sums = one.answers.filter(pl.col("organisation") == "debate").group_by("task").agg(pl.col("right_first").sum())
        assert dict(sums.iter_rows()) == right[5]
        teams = list(right)
        for small, large in pairwise(teams):
            assert all(0 <= right[large][task] - n <= large - small for task, n in right[small].items())


def test_all_claims_that_were_due_were_shown() -> None:
    for one in (*claims_parts(), kept_claims(TEAMS)):
        if one is not None:
            assert one.part.results.table["claims_left_out"].sum() == 0


def test_who_reads_is_asked_what_it_rests_on_and_who_looks_again_is_not(tmp_path: Path) -> None:
    """In the form in which the models of the study reply; the placebo shows as many claims as the debate."""
    file = tmp_path / "asked.yaml"
    file.write_text(STAND_IN.replace("count: 60", "count: 2").replace("max_tokens: 60", "max_tokens: 60, reply: short"))
    agentsoc.compare(file, tmp_path / "made", workers=1)
    forms = {}
    for name in TWICE:
        (run,) = (tmp_path / "made" / "runs").glob(f"{name}-n*")
        calls = [call for call in transcript(run, 0) if call.round == 1]
        assert len(calls) == 5
        forms[name] = {(call.due, "what it rests on" in str(call.request.messages)) for call in calls}
    assert forms == {"self-correction": {(0, False)}, "debate": {(4, True)}, "placebo": {(4, True)}}
