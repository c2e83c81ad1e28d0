"""What small models show of three published claims: kept votes, and a page that says what follows and no more."""

from __future__ import annotations

import json
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
from benchmarks.claims_page import PAGE, difference_words, law, less, page, pilot_words, sizes, team
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
    assert f"\n| debate | {ends[0]}, {ends[1]} | " in text
    assert f"In the debate mean accuracy went from {ends[0]} to {ends[1]}: " in text


def test_what_agents_were_shown_is_counted_as_in_the_runs(home: Path, stand_in: ClaimsPart, text: str) -> None:
    (run,) = (home / "made" / "runs").glob("debate-n*")
    first = RunLog(run).frame().filter((pl.col("kind") == "propose_claim") & (pl.col("round") == 0))
    answers = first.group_by("task").agg("answer")["answer"].to_list()
    alone = sum(len(one) for one in answers if len(set(one)) == 1)
    assert f"| of the debate | shown another answer ({300 - alone}) | shown no other ({alone}) |" in text
    assert stand_in.heard["against"].sum() == 300 - alone
    assert "\n| modal adoption | 0." in text
    silent = replace(stand_in, heard=stand_in.heard.filter(~pl.col("against")))
    nobody = "Nobody in the debate was shown another answer than its own."
    assert nobody in (page([silent]) or "")
    assert nobody not in text


def test_a_team_whose_votes_are_nearly_all_alike_has_no_n_eff_and_the_reason(stand_in: ClaimsPart, text: str) -> None:
    alike = replace(stand_in, standing=stand_in.standing.with_columns(right=pl.col("voters").cast(pl.Float64)))
    told = page([alike]) or ""
    reason = "- No N_eff where: fewer than 8 tasks differ from the others in how many votes are right."
    assert told.count(reason) == 1
    assert "No N_eff where" not in text
    assert "The pilot: fewer than two teams have an N_eff." in told
    assert "The pilot: R(N) = 1 / (1 + c (N - 1) N^-b) over N = 2, 3, 5: " in text
    assert pilot_words(alike) == (
        "What 12 are worth cannot be foretold from teams of 5 at most, or cannot be measured."
    )
    assert sizes(stand_in) == [2, 3, 5, 12]


def test_whether_the_pilot_foretold_the_largest_team_is_said_in_three_ways(
    stand_in: ClaimsPart, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, largest = law(stand_in, 5), team(stand_in, 12)
    assert fitted is not None
    assert isinstance(largest, IndependentVotes)

    def told(predicted: tuple[float, float], seen: tuple[float, float]) -> str:
        at = Interval(sum(predicted) / 2, *predicted), Interval(sum(seen) / 2, *seen)
        monkeypatch.setattr(claims_page, "law", lambda *_: replace(fitted, predicted=at[0], target=30))
        monkeypatch.setattr(claims_page, "team", lambda *_: replace(largest, n=30, votes=at[1]))
        return pilot_words(stand_in).partition("]: ")[2]

    assert told((2, 4), (3, 5)) == "the intervals have values in common."
    assert told((2, 4), (5, 7)) == told((5, 7), (2, 4)) == "the intervals have no value in common."
    assert told((1, 17), (5, 7)).startswith("the prediction leaves more than half of all values open")


def test_a_difference_is_told_only_where_its_p_is_small(stand_in: ClaimsPart) -> None:
    row = less(stand_in, "vote-5", ("debate", "placebo")).row("debate")
    better, worse, open_ = (
        replace(row, difference=Interval(value, value - 0.1, value + 0.1), p_holm=p)
        for value, p in ((0.2, 0.05), (-0.2, 0.01), (0.2, 0.051))
    )
    said = [difference_words(one, "vote-5") for one in (better, worse, open_)]
    assert said[0] == "debate less vote-5 +0.200 [+0.100, +0.300], p 0.050: better."
    assert said[1].endswith("p 0.010: worse.")
    assert said[2].endswith("p 0.051: cannot be told.")


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
    assert set(json.loads((tmp_path / CLAIMS[0] / "made.json").read_text())) >= {"standing_sha256", "heard_sha256"}
