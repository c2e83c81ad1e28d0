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
from agentsoc.theory.proportion import wilson
from analysis.interval import Interval
from analysis.measures.independence import IndependentVotes
from benchmarks import claims_page
from benchmarks.claims import CLAIMS, ClaimsPart, claims_parts, keep_claims, kept_claims
from benchmarks.claims_page import PAGE, difference_words, differences, law, page, pilot_words, sizes, team
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
def text(stand_in: ClaimsPart) -> str:
    found = page([stand_in])
    assert found is not None
    return found


def test_the_page_is_what_follows_from_what_is_kept() -> None:
    found = page(claims_parts())
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
    scores = {name: own["score"] for (name,), own in table.group_by("organisation")}
    for n in (2, 3, 5, 12):
        right = int(scores[f"vote-{n}"].sum())
        low, high = wilson(right / 60, 60, 1.959964)
        assert f"\n| {n} | {right / 60:.3f} [{low:.3f}, {high:.3f}] | " in text
    tokens = dict(table.group_by("organisation").agg(pl.col("tokens").mean()).iter_rows())
    said = ", ".join(f"{name} {tokens[name]:.0f}" for name in ("self-correction", "debate", "placebo"))
    times = tokens["debate"] / tokens["self-correction"]
    assert f"Tokens a task: {said}; the debate takes {times:.2f} times those of self-correction." in text
    (run,) = (home / "made" / "runs").glob("debate-n*")
    claims = RunLog(run).frame().filter(pl.col("kind").is_in(["propose_claim", "revise_claim"]))
    first = claims.filter(pl.col("round") == 0)
    last = claims.sort("round").unique(["task", "agent"], keep="last")
    ends = [f"{float(one['correct'].mean()):.3f}" for one in (first, last)]  # type: ignore[arg-type]
    assert f"\n| debate | first {ends[0]}, last {ends[1]}, " in text
    assert f"Mean accuracy in the debate: first {ends[0]}, last {ends[1]}, " in text
    placebo = re.search(r"\n\| placebo \| (first [^|]+) \|", text)
    assert placebo
    assert f"; in the placebo: {placebo[1]}. Scores: debate less vote-5 " in text


def test_what_agents_were_shown_and_did_is_counted_as_in_the_runs(home: Path, stand_in: ClaimsPart, text: str) -> None:
    (run,) = (home / "made" / "runs").glob("debate-n*")
    claims = RunLog(run).frame().filter(pl.col("kind").is_in(["propose_claim", "revise_claim"]))
    first = claims.filter(pl.col("round") == 0)
    answers = first.group_by("task").agg("answer")["answer"].to_list()
    alone = sum(len(one) for one in answers if len(set(one)) == 1)
    head = f"| replies of the debate | shown another answer ({300 - alone}) | shown no other ({alone}) |"
    assert head in text
    split = first.group_by("task").agg(answers=pl.col("answer").n_unique()).filter(pl.col("answers") > 1)
    last = claims.sort("round").unique(["task", "agent"], keep="last").join(split, on="task", how="semi")
    both = last.join(first, on=["task", "agent"], suffix="_before").select("correct_before", "correct").to_numpy()
    lost, won = ((both[:, 0] == before) & (both[:, 1] != before) for before in (1, 0))
    shares = lost.sum() / (both[:, 0] == 1).sum(), won.sum() / (both[:, 0] == 0).sum()
    for name, share in zip(("vulnerability: right to wrong", "correction: wrong to right"), shares, strict=True):
        assert f"| {name} | {share:.3f} [" in text
    scores = pl.read_parquet(home / "kept" / CLAIMS[0] / "results.parquet").filter(pl.col("organisation") == "debate")
    had = claims.group_by("task").agg(best=pl.col("correct").max()).join(scores, on="task")
    gap = 100 * float((had["best"] - had["score"]).clip(lower_bound=0).mean())  # type: ignore[arg-type]
    assert f"Oracle gap of the debate {gap:.1f} [" in text
    silent = replace(stand_in, heard=stand_in.heard.filter(~pl.col("against")))
    nobody = "No reply of the debate that states an answer was shown another one than its agent's own."
    told = page([silent]) or ""
    assert nobody in told
    assert head not in told
    assert f"Oracle gap of the debate {gap:.1f} [" in told
    assert nobody not in text


def test_agents_that_answer_once_move_nothing(stand_in: ClaimsPart, text: str) -> None:
    once = replace(stand_in, standing=stand_in.standing.with_columns(revisers=pl.lit(0, pl.Int64)))
    told = page([once]) or ""
    assert "\n| debate | - | - | - | " in told
    assert "Mean accuracy in the" not in told
    assert "Mean accuracy in the debate: first " in text


def test_a_team_without_n_eff_is_named_with_the_reason(stand_in: ClaimsPart, text: str) -> None:
    alike = replace(stand_in, standing=stand_in.standing.with_columns(right=pl.col("voters").cast(pl.Float64)))
    told = page([alike]) or ""
    reason = "fewer than 8 tasks differ from the others in how many votes are right"
    assert [f"- No N_eff of {n}: {reason}." in told for n in sizes(stand_in)] == [True] * 4
    assert "- Teams of up to 5: fewer than two have an N_eff." in told
    assert pilot_words(alike) == f"What 12 are worth cannot be measured: {reason}."
    few = replace(stand_in, standing=stand_in.standing.with_columns(voters=(pl.col("voters") - 1).clip(lower_bound=1)))
    assert "- No N_eff of 12: in too few tasks all 12 gave an answer." in (page([few]) or "")
    assert "No N_eff of" not in text
    assert "- Teams of up to 5: R(N) = 1 / (1 + c (N - 1) N^-b) over N = 2, 3, 5: " in text
    assert "N_eff of 12 agents" in text
    assert sizes(stand_in) == [2, 3, 5, 12]


def test_whether_small_teams_foretold_the_largest_is_said_in_each_way(
    stand_in: ClaimsPart, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, largest = law(stand_in, 5), team(stand_in, 12)
    assert fitted is not None
    assert isinstance(largest, IndependentVotes)

    def told(predicted: tuple[float, float], seen: tuple[float, float], fit: float | None = 0.5) -> str:
        at = Interval(sum(predicted) / 2, *predicted), Interval(sum(seen) / 2, *seen)
        monkeypatch.setattr(claims_page, "law", lambda *_: replace(fitted, predicted=at[0], fit=fit))
        monkeypatch.setattr(claims_page, "team", lambda *_: replace(largest, votes=at[1]))
        return pilot_words(stand_in)

    assert told((2, 4), (3, 5)) == (
        "The law fitted to teams of 2 to 5 predicts N_eff 3.000 [2.000, 4.000] for 12; measured is "
        "4.000 [3.000, 5.000]: the intervals have values in common."
    )
    apart = ": the intervals have no value in common."
    assert told((2, 4), (5, 7)).endswith(apart)
    assert told((5, 7), (2, 4), None).endswith(apart)
    assert told((1, 8), (5, 7)).endswith(": the prediction would fit half of all values, so this tests nothing.")
    assert told((3, 5), (4.5, 11)).endswith(": the measurement would fit half of all values, so this tests nothing.")
    assert ": the prediction and the measurement would fit half" in told((1, 8), (4.5, 11))
    assert told((2, 4), (3, 5), 0.049) == (
        "The teams of 2 to 5 do not follow the law (p = 0.049), so it foretells nothing."
    )
    monkeypatch.setattr(claims_page, "law", lambda *_: None)
    assert pilot_words(stand_in).startswith("No law can be fitted to teams of 2 to 5, so nothing is foretold; 12 are")


def test_a_difference_is_told_only_where_its_p_is_small_over_all_five(stand_in: ClaimsPart, text: str) -> None:
    rows = differences(stand_in)
    assert len(rows) == 5
    raw = sorted(row.p for row in rows.values())
    assert min(row.p_holm for row in rows.values()) == pytest.approx(min(1.0, 5 * raw[0]))
    for name, base in rows:
        assert f"\n| {name} less {base} | " in text
    row = rows["debate", "vote-5"]
    better, worse, open_ = (
        replace(row, difference=Interval(value, value - 0.1, value + 0.1), p_holm=p)
        for value, p in ((0.2, 0.05), (-0.2, 0.01), (0.2, 0.051))
    )
    said = [difference_words(one, "vote-5") for one in (better, worse, open_)]
    assert said[0] == "debate less vote-5 +0.200 [+0.100, +0.300], p 0.050: better"
    assert said[1].endswith("p 0.010: worse")
    assert said[2].endswith("p 0.051: cannot be told")


def test_comparisons_that_are_not_made_are_named_and_have_no_section(stand_in: ClaimsPart, text: str) -> None:
    rest = ", ".join(f"`{name}`" for name in CLAIMS[1:])
    assert f"These are not made yet: {rest}. Nothing here is about them." in text
    every = []
    for name in CLAIMS:
        part = replace(stand_in.part, name=name)
        every.append(replace(stand_in, part=part))
    assert "not made yet" not in (page(every) or "")
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
    assert set(json.loads((tmp_path / CLAIMS[0] / "made.json").read_text())) >= {"standing_sha256", "heard_sha256"}


def test_several_seeds_are_not_kept(tmp_path: Path) -> None:
    """The votes of a task of one seed would be taken for those of the same task of the other."""
    file = tmp_path / "asked.yaml"
    file.write_text(STAND_IN.replace("seeds: 1", "seeds: 2").replace("count: 60", "count: 2"))
    agentsoc.compare(file, tmp_path / "made", workers=1)
    with pytest.raises(InputError, match="tasks of several seeds"):
        keep_claims(CLAIMS[0], tmp_path / "made", tmp_path / "kept", load_grid(file))
    assert not (tmp_path / "kept").exists()


def test_what_is_kept_of_real_models_begins_with_the_same_answers() -> None:
    """Of tasks on which all five answered twice: an agent whose second reply failed has no first one in this table."""
    for one in claims_parts():
        whole = one.standing.filter(pl.col("revisers") == 5)
        firsts = [
            dict(whole.filter(pl.col("organisation") == name).select("task", "mean_first").iter_rows())
            for name in ("self-correction", "debate", "placebo")
        ]
        common = set.intersection(*map(set, firsts))
        tasks = one.standing["task"].n_unique()
        assert len(common) >= 0.9 * tasks, one.part.name
        for task in common:
            assert len({each[task] for each in firsts}) == 1, (one.part.name, task)
