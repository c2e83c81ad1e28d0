"""Deficit-triggered integration as an intervention: what it inserts, when, and that it changes nothing otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsoc.contracts.protocol import PROTOCOLS
from agentsoc.engine.replay import replay
from agentsoc.engine.run import Run, run
from agentsoc.errors import InputError
from agentsoc.protocols.debate import Debate
from agentsoc.society.build import build_society
from agentsoc.society.deficit import Brakes, Parameters
from analysis.cascade_laws.input import read_tables
from analysis.claims import dti
from analysis.claims.cascades import cascades, claim_graph
from tests.strategies import can_be_led, scenario, societies

RING: dict[str, Any] = {
    "tasks": {"kind": "signal", "count": 6},
    "agents": {"count": 8, "model": {"kind": "simulated", "signal": 0.2, "fidelity": 0.9}},
    "topology": "ring",
    "attention": {"kind": "random", "k": 1},
}
DEBATE = {"kind": "debate", "rounds": 8}


def inserted(events: pl.DataFrame) -> pl.DataFrame:
    """Return the events of inserted rounds."""
    flags = events.filter((pl.col("kind") == "flag") & pl.col("answer").cast(pl.String).str.starts_with("dti:"))
    return events.join(flags.select("task", "round").unique(), on=["task", "round"], how="semi")


def ran(tmp_path: Path, name: str = "run", **changes: Any) -> Run:
    return run(scenario(**{**RING, **changes}), tmp_path / name)


def test_every_trigger_of_the_live_monitor_is_one_of_the_offline_monitor_on_the_same_events(tmp_path: Path) -> None:
    done = ran(tmp_path, protocol={"kind": "dti", "protocol": DEBATE, "min_branches": 1, "triggers_max": 3})
    table = read_tables([done.directory])
    graph = claim_graph(table)
    rows = dti.cascade_rows(table, graph, cascades(graph))
    insertions = inserted(done.scan().collect()).select("task", "round").unique()
    events = table.events.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    ours = events.select("row", task="execution", round="round").join(insertions, on=["task", "round"], how="anti")
    watched = rows.join(ours.select("row"), on="row", how="semi", maintain_order="left")
    offline = dti.replay(watched, Parameters(), Brakes(min_branches=1, max_triggers=3))
    flags = done.scan().filter(pl.col("kind") == "flag").collect()
    assert flags.height == offline.triggers.height > 10
    form = r"cascade (?<root>\d+): deficit (?<deficit>\S+) after (?<events>\d+)"
    said = flags["text"].cast(pl.String).str.extract_groups(form)
    live = sorted(
        (task, int(found["root"]), int(found["events"])) for task, found in zip(flags["task"], said, strict=True)
    )
    assert live == sorted(offline.triggers.select("execution", "root", "events").rows())


def test_the_published_parameters_first_call_for_a_merge_at_the_fourth_event_and_later_at_every_seventh() -> None:
    assert dti.first_trigger(Parameters(1.0, 2.0, 0.6)) == 4
    assert dti.first_trigger(Parameters(1.0, 2.0, 0.6), restarted=True) == 7


@settings(max_examples=20)
@given(parts=societies(("scripted",), leadable=True))
def test_a_threshold_that_is_never_reached_leaves_every_event_as_it_was(
    parts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = tmp_path_factory.mktemp("dti")
    bare = run(scenario(**parts), out / "bare")
    wrapped = {"kind": "dti", "protocol": parts["protocol"], "threshold": 1_000_000}
    assert run(scenario(**{**parts, "protocol": wrapped}), out / "wrapped").manifest.digest == bare.manifest.digest


@settings(max_examples=30)
@given(parts=societies(leadable=True), broadcast=st.sampled_from(["next", "always", "no"]))
def test_whatever_it_inserts_the_run_replays_and_the_inner_protocol_takes_all_its_rounds(
    parts: dict[str, Any], broadcast: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    eager = {"kind": "dti", "protocol": parts["protocol"], "threshold": 0, "min_events": 1, "broadcast": broadcast}
    done = run(scenario(**{**parts, "protocol": eager}), tmp_path_factory.mktemp("dti") / "run")
    assert replay(done.directory).digest == done.manifest.digest
    inner = scenario(**parts).protocol
    if isinstance(inner, Debate) and inner.until == "rounds":
        events = done.scan().collect()
        stops = events.filter((pl.col("kind") == "stop") & (pl.col("answer").cast(pl.String) == "finished"))
        within = inserted(events).join(stops.select("task"), on="task", how="semi")
        own = stops["round"].sum() - within.select("task", "round").n_unique()
        n_rounds = inner.rounds * (build_society(scenario(**parts)).n if inner.order == "in-turn" else 1)
        assert own == n_rounds * stops.height


ALONE = {
    "auction": {"kind": "auction"},
    "dag": {"kind": "dag"},
    "experts": {"kind": "experts"},
    "manager": {"kind": "manager"},
    "narrated-choice": {"kind": "narrated-choice"},
    "placebo": {"kind": "placebo"},
    "refine": {"kind": "refine"},
    "resample": {"kind": "resample"},
    "tournament": {"kind": "tournament"},
    "roles": {"kind": "roles", "stages": [{"name": "answer", "asks": "Give the answer."}]},
}


def test_protocols_that_cannot_be_led_are_these() -> None:
    assert {kind for kind in PROTOCOLS.names() if not can_be_led({"kind": kind})} == set(ALONE)


@pytest.mark.parametrize("kind", sorted(ALONE))
def test_a_protocol_that_cannot_be_led_is_refused_by_its_name(kind: str) -> None:
    with pytest.raises(InputError, match=f"{kind} cannot be led by dti: its ") as found:
        build_society(scenario(**RING, protocol={"kind": "dti", "protocol": ALONE[kind]}))
    assert found.value.problem.where == "protocol.protocol"
    assert found.value.problem.hint == f"use {kind} alone"


def test_a_merged_claim_is_read_by_everybody_in_the_next_round_only_or_always_or_by_neighbours(tmp_path: Path) -> None:
    shown = {}
    for broadcast in ("next", "always", "no"):
        done = ran(
            tmp_path,
            broadcast,
            parents="visible",
            protocol={"kind": "dti", "protocol": DEBATE, "triggers_max": 1, "broadcast": broadcast},
        )
        events = done.scan().collect()
        merges = inserted(events).filter(pl.col("kind") == "merge_claims")
        one = merges.filter(pl.col("task") == merges["task"][0]).sort("round").row(0, named=True)
        later = events.filter((pl.col("task") == one["task"]) & (pl.col("round") > one["round"]))
        later = later.join(inserted(events).select("task", "round").unique(), on=["task", "round"], how="anti")
        using = later.filter(pl.col("parents").list.contains(one["claim"]) & (pl.col("agent") != one["agent"]))
        shown[broadcast] = [
            using.filter(pl.col("round") == round_)["agent"].n_unique()
            for round_ in sorted(later.filter(pl.col("agent") >= 0)["round"].unique())
        ]
    assert shown["next"][0] == 7  # all but the agent that merged
    assert max(shown["next"][1:]) <= 2
    assert set(shown["always"]) == {7}
    assert max(shown["no"]) <= 2


def test_merges_are_called_for_only_while_their_tokens_last(tmp_path: Path) -> None:
    rules = {"kind": "dti", "protocol": DEBATE, "threshold": 0}
    free = ran(tmp_path, "free", protocol=rules)
    used = inserted(free.scan().collect()).group_by("task").agg(pl.sum("tokens_in") + pl.sum("tokens_out"))
    limited = ran(tmp_path, "limited", protocol={**rules, "tokens_max": 600})
    rows = inserted(limited.scan().collect())
    per_round = rows.group_by("task", "round").agg(tokens=pl.sum("tokens_in") + pl.sum("tokens_out")).sort("round")
    before = per_round.with_columns(before=pl.col("tokens").cum_sum().over("task") - pl.col("tokens"))
    # the wall is looked at before a round: a round may go over it, none follows
    assert max(before["before"].to_list()) < 600
    assert min(used["tokens_in"].to_list()) > 600


def test_the_agent_that_merges_has_to_exist_and_wrappers_do_not_nest() -> None:
    with pytest.raises(InputError, match="agent 8 is to merge"):
        build_society(scenario(**RING, protocol={"kind": "dti", "protocol": DEBATE, "by": 8}))
    twice = {"kind": "dti", "protocol": {"kind": "dti", "protocol": DEBATE}}
    with pytest.raises(InputError, match="cannot wrap itself"):
        build_society(scenario(**RING, protocol=twice))


def test_cascades_are_told_apart_however_far_their_ids_lie_from_each_other() -> None:
    acts = [(execution, root, act % 5) for act in range(40) for execution, root in ((0, 0), (0, 4), (4, 0), (4, 1))]
    near = pl.DataFrame(acts, schema=["execution", "root", "agent"], orient="row").with_columns(merge=False)
    near = near.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    far = near.with_columns(pl.col("root").replace(1, 1 << 62))  # 4 x (2^62 + 1) is 4 in 64 bits
    wide = near.with_columns(pl.col("root").replace_strict({0: -(1 << 63), 1: (1 << 63) - 1, 4: 0}))
    found = dti.replay(near, Parameters()).triggers.drop("root")
    assert found.height >= 4
    for other in (far, wide):
        assert dti.replay(other, Parameters()).triggers.drop("root").equals(found)
