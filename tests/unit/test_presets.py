"""Presets: what they stand for, that the file wins, where their faults are, and that runs cost what is known of them.

n agents who work, k calls a turn, r rounds of work, d rounds of debate, p pairs of peers; the closed forms of "Towards
a Science of Scaling Agent Systems" (arXiv 2512.08296) for calls, and those of an organisation in which every reader
costs for deliveries. Depth is the longest chain of calls that have to wait for each other.
"""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsoc.cli import main
from agentsoc.errors import ScenarioError
from agentsoc.events import Event
from agentsoc.log.manifest import Totals
from agentsoc.scenario.load import load_scenario, load_variants, parse_scenario
from agentsoc.scenario.model import Scenario
from agentsoc.scenario.preset import PRESETS, expand, takes_count, total
from agentsoc.society.build import build_society
from tests.nightly import NIGHTLY
from tests.societies import built, logged

NS = range(1, 17) if NIGHTLY else (1, 2, 3, 4, 6, 9, 16)
"""Numbers of agents; what is counted is a polynomial of the second degree in them."""
FEW = range(1, 6)
GRID = [*product((1, 3), FEW, FEW), *((n, few, 6 - few) for n in NS for few in FEW if n not in (1, 3))]
"""(n, rounds, k): everything for one and three agents; for all others many rounds of few calls and the reverse."""


def counted(preset: str, n: int, k: int, **blocks: Any) -> tuple[Totals, int]:
    """Return totals and depth of one task with scripted agents who say the truth."""
    agents = {"count": n, "model": "scripted", "iterations": k, "max_tokens": 2048}
    if not takes_count(preset):
        agents.pop("count")
    done, events = logged(check=False, preset=preset, tasks={"kind": "coin", "count": 1}, agents=agents, **blocks)
    return done.totals, depth(events)


def depth(events: list[Event]) -> int:
    """Return the sum over rounds of the most calls that one turn made."""
    turns: Counter[tuple[int, int, int]] = Counter()
    for event in events:
        turns[event.round, event.agent, event.k // 64] += event.calls
    longest: dict[int, int] = {}
    for (round_, *_), calls in turns.items():
        longest[round_] = max(longest.get(round_, 0), calls)
    return sum(longest.values())


@pytest.mark.parametrize("k", FEW)
def test_single_makes_k_calls_in_a_row_and_delivers_nothing(k: int) -> None:
    got, deep = counted("single", 1, k)
    assert (got.calls, deep, got.deliveries) == (k, k, 0)


@pytest.mark.parametrize("n", NS)
def test_independent_makes_nk_calls_and_one_more_and_delivers_n(n: int) -> None:
    for k in FEW:
        got, deep = counted("independent", n, k)
        assert (got.calls, deep, got.deliveries) == (n * k + 1, k + 1, n if n > 1 else 0)


def test_decentralized_makes_dnk_calls_in_dk_steps_and_d_n_times_n_minus_1_deliveries() -> None:
    for n, d, k in GRID:
        got, deep = counted("decentralized", n, k, protocol={"rounds": d})
        assert (got.calls, deep, got.deliveries) == (d * n * k, d * k, d * n * (n - 1))
        assert got.broadcasts == (d * n if n > 1 else 0)  # messages as the paper counts them


def test_decentralized_in_turn_has_the_papers_depth_of_d_n_turns() -> None:
    for n, d in product((1, 2, 3, 9, 16), FEW):
        got, deep = counted("decentralized", n, 2, protocol={"rounds": d, "order": "in-turn"})
        assert (got.calls, deep, got.rounds, got.deliveries) == (2 * d * n, 2 * d * n, d * n, d * n * (n - 1))


def test_centralized_makes_rnk_plus_r_plus_1_calls_and_r_2n_deliveries() -> None:
    for n, r, k in GRID:
        got, deep = counted("centralized", n, k, protocol={"rounds": r})
        assert (got.calls, deep, got.deliveries) == (r * n * k + r + 1, r * (k + 1) + 1, 2 * r * n)


def test_hybrid_adds_one_exchange_and_2p_deliveries_to_the_centralized_counts() -> None:
    for n, r, k in GRID:
        for pairs in {n // 2, n * (n - 1) // 2} if n < 5 else {n // 2}:
            topology = {"peers": pairs}
            protocol = {"rounds": r}
            got, deep = counted("hybrid", n, k, topology=topology, protocol=protocol)
            blocks = {"topology": topology, "agents": {"count": n, "model": "scripted"}}
            society = build_society(built(preset="hybrid", tasks="sentiment", **blocks))
            with_peers = sum(len(society.neighbours[worker]) > 1 for worker in range(1, n + 1))
            assert got.calls == r * n * k + r + 1 + with_peers
            assert deep == r * (k + 1) + 1 + bool(pairs)
            assert got.deliveries == 2 * r * n + 2 * pairs


@pytest.mark.parametrize("n", NS)
def test_star_chain_and_tree_ask_each_worker_once_and_deliver_along_the_edges(n: int) -> None:
    got, deep = counted("star", n, 1)
    assert (got.calls, deep, got.deliveries) == (n if n > 1 else 2, 1 if n > 1 else 2, n)
    if n > 1:
        got, deep = counted("chain", n, 1)
        assert (got.calls, deep, got.deliveries) == (n, n, n - 1)
        got, deep = counted("tree", n, 1)
        assert (got.calls, deep) == (n, 1)
        assert got.deliveries == total(n, {"kind": "tree", "fan_in": 3}) - 1  # type: ignore[operator]


@pytest.mark.parametrize("n", [2, 3, 5])
def test_presets_of_the_literature_make_the_calls_and_deliveries_of_their_shapes(n: int) -> None:
    """Of agents who are right at once: what is checked is accepted."""
    for preset, calls, steps, deliveries in (
        ("self-consistency", n, 1, n),
        ("self-refine", 2 * n, 2, 0),
        ("debate", 2 * n, 2, 2 * n * (n - 1)),
        ("moa", 2 * n + 1, 3, n * n + n),
        ("self-correction", 2 * n, 2, 0),
        ("roles", 5, 5, 3 + 1 + 2),
        ("planner-executor-critic", 4, 4, 1 + 2),
    ):
        got, deep = counted(preset, n, 1)
        assert (got.calls, deep, got.deliveries) == (calls, steps, deliveries), preset


@given(leaves=st.integers(2, 400), fan_in=st.integers(2, 7))
def test_a_tree_of_n_workers_has_n_leaves_and_no_manager_of_one(leaves: int, fan_in: int) -> None:
    tree = built(
        preset="tree",
        tasks="sentiment",
        agents={"count": leaves, "model": "simulated"},
        topology={"fan_in": fan_in},
    )
    wiring = build_society(tree).wiring
    below = [sum(int(wiring.level[v]) > int(wiring.level[u]) for v in wiring.heard_by(u)) for u in range(wiring.n)]
    assert below.count(0) == leaves
    assert 1 not in below


BASE = "name: x\ntasks: sentiment\nagents: {model: scripted}\n"


def test_the_five_have_the_reference_parameters() -> None:
    seen = {name: parse_scenario(f"{BASE}preset: {name}\n") for name in PRESETS}
    agents = {name: (one.agents[0].count, one.agents[0].iterations) for name, one in seen.items()}
    assert agents["single"] == (1, 10)
    assert agents["independent"] == agents["decentralized"] == (3, 3)
    assert agents["centralized"] == agents["hybrid"] == (4, 3)
    rounds = {name: seen[name].protocol.model_dump().get("rounds") for name in PRESETS}
    assert (rounds["centralized"], rounds["hybrid"], rounds["decentralized"]) == (5, 5, 3)
    assert {name: build_society(one).n for name, one in seen.items()} == {
        "single": 1,
        "independent": 3,
        "centralized": 4,
        "decentralized": 3,
        "hybrid": 4,
        "star": 4,
        "chain": 3,
        "tree": 13,
        "self-consistency": 5,
        "self-refine": 1,
        "debate": 3,
        "placebo": 3,
        "self-correction": 3,
        "moa": 4,
        "roles": 4,
        "planner-executor-critic": 3,
    }


@pytest.mark.parametrize(
    ("said", "path", "value"),
    [
        ("protocol: {rounds: 2}", "protocol.rounds", 2),
        ("protocol: {rounds: 2}", "protocol.guidance", "joint"),  # what is not said stays
        ("protocol: {kind: orchestrate, rounds: 2}", "protocol.guidance", "joint"),
        ("protocol: {kind: debate}", "protocol.rounds", 3),  # another kind takes the place of the whole block
        ("protocol: vote", "protocol.by", "majority"),
        ("topology: hybrid", "topology.kind", "hybrid"),
        ("topology: star", "protocol.rounds", 5),
        ("message_tokens: 9", "message_tokens", 9),
    ],
)
def test_what_the_file_says_wins(said: str, path: str, value: Any) -> None:
    found: Any = parse_scenario(f"{BASE}preset: centralized\n{said}\n")
    for step in path.split("."):
        found = getattr(found, step)
    assert found == value


def test_settings_of_agents_win_and_a_list_of_groups_is_taken_as_it_stands() -> None:
    one = parse_scenario(
        "name: x\ntasks: sentiment\npreset: hybrid\nagents: {model: scripted, iterations: 1, count: 7}\n"
    )
    assert (one.agents[0].count, one.agents[0].iterations) == (8, 1)
    groups = "agents:\n  - {count: 1, model: simulated, iterations: 2}\n  - {count: 4, model: scripted}\n"
    several = parse_scenario(f"name: x\ntasks: sentiment\npreset: centralized\n{groups}")
    assert [(group.count, group.iterations) for group in several.agents] == [(1, 2), (4, 3)]


def test_a_depth_fixes_the_number_of_agents_of_a_tree() -> None:
    deep = parse_scenario(f"{BASE}preset: tree\ntopology: {{depth: 3}}\n")
    assert deep.agents[0].count is None
    assert build_society(deep).n == 40


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (f"{BASE}preset: cental\n", "4:9", ["cental"]),
        (f"{BASE}preset: [star]\n", "4:1", ["a preset is a word"]),
        (f"{BASE}preset: centralized\nprotocol: {{rouns: 2}}\n", "5:12", ["rouns"]),
        (f"{BASE}preset: centralized\nprotocol: {{rounds: 0}}\n", "5:20", ["at least 1"]),
        (
            "name: x\ntasks: sentiment\npreset: single\nagents: {model: scripted, count: 3}\n",
            "4:34",
            ["1 agent, got 3"],
        ),
        ("name: x\ntasks: sentiment\npreset: star\nagents: {model: scripted, count: 0}\n", "4:34", ["at least 1"]),
        ("name: x\ntasks: sentiment\npreset: star\n", "1:1", ["agents"]),
    ],
)
def test_a_fault_names_its_place(text: str, place: str, words: list[str]) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text, "file.yaml")
    (problem,) = caught.value.problems
    assert problem.where == f"file.yaml:{place}"
    assert all(word in problem.what for word in words)
    assert problem.hint


def test_presets_are_an_axis_of_a_sweep_and_meet_the_same_blocks(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "name: x\ntasks: sentiment\nagents: {model: scripted, count: 5}\nprotocol: {rounds: 2}\n"
        "sweep: {preset: [centralized, decentralized, hybrid]}\n"
    )
    variants = load_variants(path)
    assert [variant.preset for variant in variants] == ["centralized", "decentralized", "hybrid"]
    kinds = [(v.scenario.topology.kind, v.scenario.protocol.kind, v.scenario.agents[0].count) for v in variants]
    assert kinds == [("star", "orchestrate", 6), ("decentralized", "debate", 5), ("hybrid", "orchestrate", 6)]
    assert all(variant.scenario.protocol.model_dump()["rounds"] == 2 for variant in variants)


def test_overrides_of_the_command_line_win_over_file_and_preset(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(f"{BASE}preset: centralized\n")
    one = load_scenario(path, ["preset=decentralized", "protocol.rounds=4", "agents.count=6"])
    assert (one.topology.kind, one.protocol.model_dump()["rounds"], one.agents[0].count) == ("decentralized", 4, 6)


@settings(max_examples=30)
@given(name=st.sampled_from(sorted(PRESETS)), count=st.none() | st.integers(2, 20))
def test_the_expanded_scenario_stands_alone(name: str, count: int | None) -> None:
    """What a run stores needs no preset: it is read as the same scenario."""
    agents = {"model": "scripted", **({} if count is None or not takes_count(name) else {"count": count})}
    data = {"name": "x", "tasks": "sentiment", "agents": agents, "preset": name}
    one = Scenario.model_validate(data)
    stored = one.model_dump(mode="json")
    assert "preset" not in stored
    assert Scenario.model_validate(stored) == one
    assert expand(stored) == stored
    assert data["preset"] == name  # what was given is left alone


def test_check_prints_what_a_preset_stands_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(f"{BASE}preset: centralized\nprotocol: {{rounds: 2}}\n")
    main.main(["check", str(path)])
    out = capsys.readouterr().out
    assert "preset    centralized: topology {kind: star}, protocol {kind: orchestrate, rounds: 2," in out
    assert "agents {count: 4, iterations: 3}" in out
    main.main(["check", str(path), "--json"])
    assert '"preset": "centralized"' in capsys.readouterr().out
