"""Every shipped scenario runs and replays, and what its header says holds.

Files with simulated or scripted models run as they are, some of them by day with few tasks (`FEW`). Those with the
embedded model run with one task, and each night all of them with the real model; by day a scripted model takes its
place in all of the literature and in the steps of Hanoi (`SCRIPTED`). The one for a local server runs against a real
HTTP server on loopback; the one for a hosted model is checked, and run up to its missing key.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agentsoc.cli import main
from agentsoc.contracts.protocol import PROTOCOLS
from agentsoc.contracts.topology import TOPOLOGIES
from agentsoc.engine.replay import replay
from agentsoc.log.read import RunLog
from agentsoc.scenario.files import BASE_DIR
from agentsoc.scenario.load import load_scenarios
from docs.generate import header, own_kinds, scenario_files
from tests.contract.llama_server import llama_server
from tests.model_files import skip_without_models
from tests.nightly import NIGHTLY

FILES = {path.stem: path for path in scenario_files()}
KINDS = {name: {g.model.kind for run in load_scenarios(path) for g in run.agents} for name, path in FILES.items()}
DRAWN = {"simulated", "scripted", "effort", "policy", "solver"}
COMPUTED = sorted(name for name, kinds in KINDS.items() if kinds <= DRAWN)
EMBEDDED = sorted(name for name, kinds in KINDS.items() if "local" in kinds)
REMOTE = sorted(name for name, kinds in KINDS.items() if "litellm" in kinds)
SCRIPTED = {
    "experiment-hanoi-steps": ["agents.model=scripted"],
    "literature-debate": ["agents.model=scripted"],
    "literature-chat-chain": ["agents.model=scripted"],
    "literature-mixture-of-agents": [f"agents.{group}.model=scripted" for group in range(4)],
    "literature-planner-executor-critic": ["agents.model=scripted"],
    "literature-self-consistency": ["agents.model=scripted"],
    "literature-self-refine": ["agents.model=scripted"],
}
"""Where the embedded model would write or read most, a scripted one takes its place by day; all else is as in the file,
and the embedded model is asked each night."""
SHORT = {"tools-shop-local": ["agents.max_tokens=48"]}
"""Most tokens of a reply of the embedded model where it would write much, but each night."""
FEW = {
    name: [] if NIGHTLY else ["--set", f"tasks.count={tasks}"]
    for name, tasks in {
        "aggregator-judge": 50,
        "aggregator-verifier": 50,
        "experiment-budget-by-difficulty": 50,
        "experiment-four-aggregators": 50,
        "experiment-maker-hanoi": 2,
        "experiment-shared-mistakes": 50,
        "protocol-relay": 50,
        "protocol-resample": 50,
    }.items()
}
"""Settings of files that only have to run and replay, for no other test looks at their runs: fewer tasks, but each
night."""


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    token = BASE_DIR.set(None)
    yield
    BASE_DIR.reset(token)


@pytest.fixture
def agentsoc(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: object) -> tuple[int, Any]:
        capsys.readouterr()
        code = main.main([*map(str, words), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[RunLog]]]:
    """Where this module's runs are, and those that were made of whole files: several claims look at the same ones."""
    return tmp_path_factory.mktemp("scenarios"), {}


@pytest.fixture
def made(agentsoc: Any, runs: tuple[Path, dict[str, list[RunLog]]]) -> Any:
    """Run a shipped scenario; return its logs in the order of the sweep, each replayed from its journal."""
    directory, kept = runs

    def make(name: str, *words: object) -> list[RunLog]:
        if not words and name in kept:
            return kept[name]
        stated = re.search(r"Exit code: (\d+)", header(FILES[name])["Time"])
        code, told = agentsoc("run", FILES[name], "--out", directory / name, "--quiet", "--allow-mcp", *words)
        assert code == (int(stated[1]) if stated else 0), told
        logs = [RunLog(one["run_dir"]) for one in told.get("runs", [told])]
        for log in logs:
            BASE_DIR.set(None)  # a stored run finds its own copies of the files that it was made from
            found = replay(log.directory)
            assert (found.digest, found.model_calls) == (log.manifest.digest, 0)
            assert log.manifest.totals.episodes == log.manifest.scenario["tasks"]["count"]
        kept[name] = logs
        return logs

    return make


def score(log: RunLog) -> float:
    assert log.manifest.totals.score is not None
    return log.manifest.totals.score


def test_every_file_is_of_one_class_and_every_topology_and_protocol_has_one() -> None:
    assert sorted([*COMPUTED, *EMBEDDED, *REMOTE]) == sorted(FILES)
    runs = [run for path in FILES.values() for run in load_scenarios(path)]
    shown = {run.topology.kind for run in runs if run.name.startswith("topology-")}
    assert shown == set(own_kinds(TOPOLOGIES))
    led = {run.protocol.kind for run in runs if run.name.startswith("protocol-")}
    assert led == set(own_kinds(PROTOCOLS)) - {"dti"}  # which goes around another one, in a file of another name
    assert {run.protocol.kind for run in runs} == set(own_kinds(PROTOCOLS))


@pytest.mark.parametrize("name", COMPUTED)
def test_a_scenario_without_a_model_runs_as_it_is_and_replays(name: str, made: Any) -> None:
    assert made(name, *FEW.get(name, ()))


@pytest.mark.model
@pytest.mark.parametrize("name", EMBEDDED)
def test_a_scenario_with_the_embedded_model_runs_with_one_task_and_replays(name: str, made: Any) -> None:
    skip_without_models(FILES[name])
    words = ["--set", "tasks.count=1"]
    if not NIGHTLY:
        words += [word for change in (SCRIPTED | SHORT).get(name, ()) for word in ("--set", change)]
    (log,) = made(name, *words)
    totals = log.manifest.totals
    assert totals.calls > 0
    assert totals.calls_failed == 0
    asked = "scripted" if name in SCRIPTED and not NIGHTLY else "local"
    assert {model["kind"] for model in log.manifest.models} == {asked}


@pytest.mark.model
def test_the_local_server_scenario_runs_against_a_server_on_loopback_and_replays(made: Any) -> None:
    with llama_server(context=1024) as (base_url, key_variable):
        model = {"base_url": base_url, "api_key_env": key_variable}
        changes = [word for key, value in model.items() for word in ("--set", f"agents.model.{key}={value}")]
        small = ("--set", "tasks.count=1", "--set", "agents.count=2", "--set", "protocol.rounds=1")
        (log,) = made("provider-local-server", *changes, *small, "--yes")
    assert log.manifest.totals.calls >= 2
    assert log.manifest.models[0]["name"] == "openai/local"
    assert any(row.reply for row in log.journal())


def test_the_hosted_scenario_says_what_it_can_cost_and_stops_without_its_key(agentsoc: Any, tmp_path: Path) -> None:
    code, told = agentsoc("check", FILES["provider-hosted"])
    assert code == 0
    assert told["runs"][0]["bound"].startswith("at most 25 model calls")
    code, told = agentsoc("run", FILES["provider-hosted"], "--out", tmp_path / "run", "--quiet")
    assert code == 2
    assert "at most 25 model calls" in told["error"]
    assert "https://api.openai.com/v1" in told["error"]
    code, told = agentsoc("run", FILES["provider-hosted"], "--out", tmp_path / "run", "--quiet", "--yes")
    assert code == 2
    assert "OPENAI_API_KEY is not set" in told["error"]
    assert not (tmp_path / "run").exists()


REAL = sorted(name for name, path in FILES.items() if "Real model instead" in header(path))


@pytest.mark.parametrize("name", REAL)
def test_the_real_model_can_take_the_voters_place_as_the_header_says(name: str, agentsoc: Any) -> None:
    words = re.findall(r"--set \S+", header(FILES[name])["Real model instead"])
    assert "--set agents.model=local" in words
    code, told = agentsoc("check", FILES[name], *" ".join(words).split())
    assert code == 0
    assert told["runs"][0]["models"] == ["local"]


# What the headers say


def test_a_critic_who_can_tell_gains_and_one_who_cannot_does_not(made: Any) -> None:
    knows, guesses = (score(log) for log in made("protocol-refine"))
    assert abs(knows - 0.872) < 3 * (0.872 * 0.128 / 1000) ** 0.5  # .66^8 of the way from .6 to .882 is left
    assert abs(guesses - 0.6) < 3 * (0.24 / 1000) ** 0.5
    assert {log.manifest.totals.calls for log in made("protocol-refine")} == {1000 * 17}


def test_a_hub_that_compares_is_right_as_often_as_its_odds_say(made: Any) -> None:
    for log, expected in zip(made("protocol-moa"), (0.400, 0.549, 0.728, 0.896), strict=True):
        assert abs(score(log) - expected) < 3 * (expected * (1 - expected) / 1000) ** 0.5


def test_a_placebo_gains_nothing_and_costs_voters_who_count_what_they_read(made: Any) -> None:
    placebo, debate, vote = made("protocol-placebo")
    assert placebo.manifest.totals.calls == debate.manifest.totals.calls == 600 * 2 * 5
    assert score(placebo) < score(vote) - 0.1
    assert abs(score(debate) - score(vote)) < 3 * (0.25 / 600) ** 0.5


def test_critics_on_the_edges_of_a_chain_gain_where_they_can_tell(made: Any) -> None:
    knows, guesses = made("protocol-dag")
    assert knows.manifest.totals.calls == 400 * (8 + 7)
    assert abs(score(knows) - 0.867) < 3 * (0.867 * 0.133 / 400) ** 0.5
    assert abs(score(guesses) - 0.6) < 3 * (0.24 / 400) ** 0.5


def test_matches_and_narratives_gain_what_the_odds_of_the_judge_allow(made: Any) -> None:
    by_lot, judged = (score(log) for log in made("protocol-tournament"))
    assert abs(by_lot - 0.4) < 3 * (0.24 / 200) ** 0.5
    assert judged > 0.8
    for log, expected in zip(made("protocol-narrated-choice"), (0.400, 0.549, 0.728, 0.896), strict=True):
        assert abs(score(log) - expected) < 3 * (expected * (1 - expected) / 250) ** 0.5
        assert log.manifest.totals.calls == 250 * 17


def test_an_auction_is_won_by_the_cheap_where_all_plans_are_marked_alike(made: Any) -> None:
    (log,) = made("protocol-auction")
    won = [event.text or "" for event in log.events() if event.answer == "auction"]
    assert len(won) == 10
    assert all(text.startswith(("agent 0 ", "agent 1 ")) for text in won)
    assert log.manifest.totals.calls == 10 * (4 + 4 * 4 + 1)


def test_a_manager_adds_a_piece_that_it_sees_the_need_of_and_closes_no_circle(made: Any) -> None:
    (log,) = made("protocol-manager")
    edits = Counter(event.answer for event in log.events() if event.agent == 0 and event.kind == "flag")
    assert edits["edit"] == 5 * 5
    refused = [event.text or "" for event in log.events() if event.answer == "refused"]
    assert sum("would wait for itself" in text for text in refused) == 5


def test_claims_rest_on_few_where_reputation_routes(made: Any) -> None:
    shares = []
    for log in made("topology-dynamic-reputation"):
        counts: Counter[tuple[int, int]] = Counter()
        author = {}
        for event in log.events():
            if event.claim is not None:
                author[event.task, event.claim] = event.agent
            for parent in event.parents if event.agent >= 0 else ():
                counts[event.task, author[event.task, parent]] += author[event.task, parent] != event.agent
        most = [max(counts[task, agent] for agent in range(16)) for task in range(200)]
        shares.append(sum(most) / sum(counts.values()))
    assert shares[0] < shares[1] < shares[2]


def test_a_chain_of_roles_makes_four_calls_and_two_more_for_each_return(made: Any) -> None:
    (log,) = made("protocol-roles")
    rejected = Counter(event.task for event in log.events() if event.kind == "contradict_claim" and not event.answer)
    calls: Counter[int] = Counter()
    for event in log.events():
        calls[event.task] += event.calls
    assert {calls[task] for task in range(20)} >= {4, 6}
    assert all(calls[task] == 4 + 2 * min(rejected[task], 2) for task in range(20))


def test_organisations_of_the_same_voters_score_as_their_headers_say(made: Any) -> None:
    scores = {name: score(made(name)[0]) for name in COMPUTED if name.startswith("topology-")}
    error = (0.25 / 2000) ** 0.5  # at most, of a mean over 2,000 tasks
    assert abs(scores["topology-single"] - 0.65) < 3 * error
    assert abs(scores["topology-independent"] - 0.83) < 3 * error
    assert scores["topology-chain"] < scores["topology-single"] + 3 * error
    assert scores["topology-star"] > scores["topology-single"] + 3 * error
    assert scores["topology-tree"] > scores["topology-single"] + 3 * error


def test_a_deep_tree_forgets_below_the_phase_boundary_and_amplifies_above(made: Any) -> None:
    logs = made("experiment-phase-boundary")
    by_fidelity = {log.manifest.scenario["agents"][0]["model"]["fidelity"]: score(log) for log in logs}
    leaf, error = 0.6, (0.25 / 600) ** 0.5
    assert by_fidelity[0.5] < leaf - 2 * error
    assert abs(by_fidelity[0.5] - 0.5) < 3 * error
    assert by_fidelity[0.85] > leaf + 5 * error
    assert by_fidelity[0.95] > 0.95


def test_attention_that_follows_attention_makes_few_claims_carry_the_debate(made: Any) -> None:
    shares = []
    for log in made("experiment-reinforced-attention"):
        frame = log.frame()
        uses = frame.filter(pl.col("agent") >= 0).select("task", "parents").explode("parents").drop_nulls()
        counts = uses.group_by("task", "parents").len().sort("len", descending=True)["len"]
        shares.append(counts.head(frame["claim"].count() // 100).sum() / counts.sum())
    assert shares[0] < 0.15
    assert shares[1] > 2 * shares[0]
    assert shares[2] > shares[1]


def test_the_orchestrated_debate_makes_the_calls_that_its_header_counts(made: Any) -> None:
    (log,) = made("protocol-orchestrate")
    assert log.manifest.totals.calls == 5 * 15


def test_the_concluding_call_is_paid_for_after_the_budget_is_spent(made: Any) -> None:
    (log,) = made("experiment-concluding-call")
    totals = log.manifest.totals
    assert totals.stops == {"budget_exhausted": 10}
    assert totals.answered == 10
    last = {event.task: event for event in log.events() if event.agent == 0}
    assert all(event.claim is not None and event.calls == 1 for event in last.values())
    assert len(last) == 10


def test_the_same_answers_are_counted_in_two_ways(made: Any) -> None:
    heads, weights = made("experiment-confidence")
    claims = [[(e.task, e.agent, e.answer, e.confidence) for e in log.events() if e.claim] for log in (heads, weights)]
    assert claims[0] == claims[1]
    assert score(heads) != score(weights)


def test_one_ton_more_each_month_ends_a_lake_as_the_table_says(made: Any) -> None:
    assert [f"{score(log):.3f}" for log in made("world-commons-one-more")] == [
        *("1.000", "0.325", "0.267", "0.208", "0.167")
    ]


def test_a_newcomer_who_wants_everything_ends_the_meadow_when_it_comes(made: Any) -> None:
    (log,) = made("world-commons-newcomer")
    moves = [event.round for event in log.events() if event.kind == "action" and event.task == 0]
    assert max(moves) == 4


def test_the_arms_of_a_commons_do_not_differ_for_who_reads_nothing(made: Any) -> None:
    logs = made("world-commons")
    assert len(logs) == 6
    assert len({score(log) for log in logs}) == 1
    assert 0.1 < score(logs[0]) < 0.6


def test_an_order_is_looked_up_and_worked_out_step_by_step(made: Any) -> None:
    (log,) = made("tools-shop")
    assert score(log) == 1.0
    called = [json.loads(event.answer or "")["tool"] for event in log.events() if event.kind == "tool_call"]
    assert called == ["shop", "shop", "calculator"] * 4


def test_fines_are_worth_their_price_among_three_who_give_and_one_who_does_not(made: Any) -> None:
    without, fined = (score(log) for log in made("world-public-goods"))
    assert without == 0.75 < fined < 1


def test_clerks_work_on_lines_side_by_side(made: Any) -> None:
    rounds = [max(event.round for event in log.events() if event.kind == "action") for log in made("world-shop")]
    assert rounds[0] > rounds[1] > rounds[2]


def test_readers_who_vote_guess_and_experts_who_are_asked_know(made: Any) -> None:
    votes, experts = (score(log) for log in made("world-library"))
    assert abs(votes - 0.125) < 3 * (0.125 * 0.875 / 200) ** 0.5
    assert experts == 1.0
    (asked,) = made("protocol-experts")
    assert (score(asked), asked.manifest.totals.calls) == (1.0, 40 * 5)


def test_carriers_who_stray_take_longer(made: Any) -> None:
    scores = [score(log) for log in made("world-grid-delivery")]
    assert scores[0] == 1.0 > scores[1] > scores[2]


def test_dealing_work_out_helps_solvers_who_tire_where_there_is_much_of_it(made: Any) -> None:
    alone_one, alone_four, led_one, led_four = (score(log) for log in made("tasks-axes"))
    assert alone_one == led_one == led_four == 1.0
    assert alone_four < 0.7


def test_the_sweep_gives_every_organisation_the_same_seeds_and_ceiling(made: Any) -> None:
    logs = made("experiment-sweep")
    assert Counter(log.manifest.seed for log in logs) == {1: 4, 2: 4, 3: 4}
    assert {log.manifest.totals.budget for log in logs} == {500 * 2000}
