"""What replies name of shown claims and take over from them: planned again from the log, and counted by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agentsoc.engine.execute import Plan, execute
from agentsoc.engine.transcript import transcript_async
from agentsoc.log.read import RunLog
from agentsoc.society.reply_form import STATING
from analysis.measures.heard import SCHEMA, heard_replies
from analysis.measures.influence import influence, influence_of
from analysis.measures.report import examine
from analysis.measures.text import as_dict, as_text
from tests.loose import scenario


def made(directory: Path, **blocks: Any) -> RunLog:
    """Return the run of a debate of scripted agents."""
    directory.mkdir()
    asyncio.run(execute(Plan(scenario(**blocks), directory)))
    return RunLog(directory)


DEBATE: dict[str, Any] = {
    "topology": {"kind": "decentralized", "degree": 3},
    "protocol": {"kind": "debate", "rounds": 3},
}


@pytest.mark.parametrize("reply", ["json", "short"])
@pytest.mark.parametrize("budget", [None, {"tokens_per_task": 900}])
def test_every_reply_is_found_with_what_a_transcript_says_of_it(
    tmp_path: Path, reply: str, budget: dict[str, int] | None
) -> None:
    model = {"says": "random", "malformed_rate": 0.2, "cites": "all"}
    log = made(tmp_path / "run", **DEBATE, model=model, agents={"reply": reply}, budget=budget)
    found = heard_replies(log)
    calls = [
        call
        for task in range(log.manifest.scenario["tasks"]["count"])
        for call in asyncio.run(transcript_async(log.directory, task))
        if call.reply is not None and call.purpose in STATING
    ]
    assert found.height == len(calls) > 0
    told = {(call.task, call.round, call.agent): call for call in calls}
    for row in found.iter_rows(named=True):
        call = told[row["task"], row["round"], row["agent"]]
        assert call.same
        assert call.reply is not None
        assert row["shown"] == call.outcome.shown
        assert len(row["named"]) == len({*call.reply.uses, *call.reply.disputes})
        assert row["had"] == (row["round"] > 0)
    assert found["shown"].max() == 3


def test_the_place_of_a_handle_is_its_place_in_the_prompt_not_that_of_its_author(tmp_path: Path) -> None:
    log = made(
        tmp_path / "run", **DEBATE, model={"replies": [["#1", "heads #2"], ["", "heads"]]}, agents={"reply": "text"}
    )
    found = heard_replies(log).filter(pl.col("shown") > 1)  # several who stand by one claim show it once
    assert found.height
    assert set(map(tuple, found["named"].to_list())) == {(2,)}
    assert found["asked"].all()
    assert not found["none"].any()
    assert not found["changed"].any()
    log = made(tmp_path / "none", **DEBATE, model={"cites": "none"})
    found = heard_replies(log).filter(pl.col("shown") > 0)
    assert found["none"].all()
    assert set(map(tuple, found["named"].to_list())) == {()}


def rows(*said: tuple[Any, ...]) -> pl.DataFrame:
    """Return replies of (task, agent, shown, named, none, had, against, changed, adopted)."""
    full = [(task, 1, agent, shown, shown > 0, *rest, *[None] * 8) for task, agent, shown, *rest in said]
    return pl.DataFrame(full, schema=SCHEMA, orient="row")


def test_shares_are_the_counted_ones() -> None:
    found = influence_of(
        rows(
            (0, 0, 4, [1], False, True, True, True, True),
            (0, 1, 4, [1, 3], False, True, True, False, False),
            (1, 0, 2, [], True, True, True, True, False),
            (1, 1, 1, [1], False, True, False, False, False),  # one claim: its place says nothing
            (1, 2, 2, [], False, False, False, False, False),  # names nothing at all
            (2, 0, 0, [], False, True, False, True, False),
            (2, 0, 0, [], False, True, False, False, False),
            (2, 3, 0, [], False, True, False, True, False),  # never shown another answer: not one of the same agents
        )
    )
    assert found is not None
    assert (found.replies, found.handles) == (5, 3)
    values = {name: None if one is None else one.value for name, one in found.values.items()}
    assert {name for name, one in values.items() if one is None} == {
        "changed_without_one",
        "changed_again",
        "influence_of_one",
        "changed_swapped",
        "took_swapped",
        "influence_of_swap",
    }
    assert {name: one for name, one in values.items() if one is not None} == {
        "names_a_claim": 3 / 5, "names_or_none": 4 / 5, "first_of_handles": pytest.approx(2 / 3),
        "first_by_chance": 1 / 4,
        "first_over_chance": pytest.approx(2 / 3 - 1 / 4), "adopted": pytest.approx(1 / 3),
        "changed_elsewhere": pytest.approx(1 / 3), "changed_unshown": 1 / 2,
        "adopted_over_unshown": 0.0,  # of agent 0 alone: one of two adopted, one of two changed anyway
    }  # fmt: skip
    for one in filter(None, found.values.values()):
        assert one.low < one.value < one.high
    over = found.values["adopted_over_unshown"]
    assert over is not None
    assert over.low >= -1
    assert over.high <= 1


def test_what_nobody_tells_is_not_measured() -> None:
    assert influence_of(rows((0, 0, 0, [], False, False, False, False, False))) is None
    found = influence_of(rows((0, 0, 1, [], False, False, False, False, False)))
    assert found is not None
    assert found.handles == 0
    assert {name for name, one in found.values.items() if one is not None} == {"names_a_claim", "names_or_none"}
    assert len(found.summary()) == 2


def test_the_report_prints_and_lists_it(tmp_path: Path) -> None:
    made(tmp_path / "run", **DEBATE, model={"says": "majority", "accuracy": 0.6}, tasks={"kind": "coin", "count": 8})
    reports = examine([tmp_path / "run"])
    text = as_text(reports)
    assert "replies to shown claims: 64" in text
    assert "#1 among" in text
    assert "by chance 0.333" in text
    assert "changed to a shown one" in text
    assert "no such agent was also asked without claims" in text
    measured = as_dict(reports)["runs"][0]["influence"]
    assert measured["replies"] == 64
    assert measured["names_or_none"]["value"] == 1.0
    assert measured["changed_unshown"] is None


def test_simulated_voters_have_no_journal_and_no_replies(tmp_path: Path) -> None:
    log = made(tmp_path / "run", **DEBATE, model={"kind": "simulated"}, tasks={"kind": "signal", "count": 4})
    assert influence(log) is None


def test_a_society_that_cannot_be_built_is_told(tmp_path: Path) -> None:
    log = made(tmp_path / "run", **DEBATE)
    log.manifest.scenario["protocol"] = {"kind": "gone"}
    assert influence(log) == "its society cannot be built again here, so what replies made of claims is not measured"
