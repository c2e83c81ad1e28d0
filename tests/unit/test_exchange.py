"""What votes were worth and what exchange made of them: counted by hand, by simulation, and both sides of each word."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from agentsoc.engine.transcript import transcript_async
from analysis.interval import Interval
from analysis.measures.exchange import ExchangeMeasures, exchange_of
from analysis.measures.exposure import Exposure, exposure_of
from analysis.measures.heard import SCHEMA, heard_replies
from analysis.measures.independence import IndependentVotes, independent_votes
from analysis.measures.outputs import Outputs
from analysis.measures.report import examine
from analysis.measures.standing import Moved, moved, oracle_gap, standing_of
from analysis.measures.text import as_dict, as_text
from tests.sides import told_apart
from tests.unit.test_influence import DEBATE, made

HALF = Interval(0.5, 0.4, 0.6)
Votes = NDArray[np.bool_]


def turn(
    task: int, *, against: bool, led: bool, followed: bool, right: tuple[bool | None, bool | None]
) -> tuple[Any, ...]:
    """Return a reply of an agent that had an answer."""
    return (task, 1, 0, 2, True, [], False, True, against, followed, followed, *[None] * 4, led, followed, *right)


def turns(*rows: tuple[Any, ...]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row")


SHOWN: dict[str, Any] = {"against": True, "led": True}


def test_transitions_are_the_counted_ones_with_those_of_turns_that_saw_no_other_answer() -> None:
    found = exposure_of(
        turns(
            turn(0, **SHOWN, followed=True, right=(True, False)),
            turn(0, **SHOWN, followed=False, right=(True, True)),
            turn(1, **SHOWN, followed=True, right=(False, True)),
            turn(1, against=True, led=False, followed=False, right=(False, False)),
            turn(2, **SHOWN, followed=False, right=(False, False)),
            turn(3, **SHOWN, followed=False, right=(None, True)),
            turn(4, against=False, led=True, followed=False, right=(True, True)),
            turn(5, against=False, led=False, followed=False, right=(True, False)),
        )
    )
    assert found is not None
    assert (found.exposed, found.others) == (6, 2)
    own = {name: one.value for name, one in found.values.items() if one is not None}
    assert own == pytest.approx({"modal_adoption": 2 / 5, "vulnerability": 1 / 2, "correction": 1 / 3})
    placebo = {name: None if one is None else one.value for name, one in found.placebo.items()}
    assert placebo == {"modal_adoption": 0.0, "vulnerability": 0.5, "correction": None}
    for one in (*found.values.values(), *filter(None, found.placebo.values())):
        assert one is not None
        assert one.high - one.low > 0.3  # a handful of tasks
    assert exposure_of(turns(turn(0, against=False, led=False, followed=False, right=(True, True)))) is None


def test_a_run_tells_who_followed_the_most_frequent_answer_and_who_was_right(tmp_path: Path) -> None:
    """Agents hold heads, heads, tails at first; all who see that answer tails then, whatever they held."""
    replies = [["#1", "tails"], ["", "heads"]]
    log = made(tmp_path / "run", **DEBATE, model={"replies": replies}, agents={"reply": "text"})
    found = heard_replies(log)
    first = found.filter(pl.col("round") == 0)
    assert first["right_before"].null_count() == first.height
    assert not first["led"].any()
    truth = dict(log.tasks().select("task", "truth").iter_rows())
    later = found.filter(pl.col("round") == 1)
    for row in later.iter_rows(named=True):
        assert row["right_before"] == (truth[row["task"]] == "heads")
        assert row["right_after"] == (truth[row["task"]] == "tails")
        assert not row["led"]  # all held the same
    assert exposure_of(found) is None


def test_who_is_shown_two_answers_equally_often_is_led_by_neither_of_its_own(tmp_path: Path) -> None:
    model = {"says": "random", "accuracy": 0.5}
    found = heard_replies(made(tmp_path / "run", **DEBATE, model=model, tasks={"kind": "coin", "count": 12}))
    exposed = found.filter("against")
    assert exposed["led"].any()
    assert not exposed["led"].all()
    followed = found.filter("followed")
    assert followed.height
    assert (followed["changed"] & followed["led"]).all()
    both = exposed.filter("led", "changed")  # of two sides of a coin, who changes goes to the other
    assert both["followed"].all()
    known = exposed.drop_nulls(["right_before", "right_after"])
    assert known.height == exposed.height
    assert (known["changed"] == (known["right_before"] != known["right_after"])).all()


def test_a_claim_of_ones_own_that_another_agent_took_over_is_what_that_one_says(tmp_path: Path) -> None:
    """Two agents endorse and leave each other's claims; a transcript tells what each was shown and held."""
    blocks: dict[str, Any] = {
        "topology": {"kind": "decentralized", "degree": 1},
        "protocol": {"kind": "debate", "rounds": 3, "until": "rounds"},
        "model": {"says": "random", "accuracy": 0.6, "cites": "all"}, "agents": {"reply": "short", "count": 2},
        "tasks": {"kind": "multiple-choice", "count": 12},
    }  # fmt: skip
    log = made(tmp_path / "run", **blocks)
    found = {(row["task"], row["round"], row["agent"]): row for row in heard_replies(log).iter_rows(named=True)}
    taken_over = 0
    for call in (call for task in range(12) for call in asyncio.run(transcript_async(log.directory, task))):
        hint = call.request.hint
        if call.round == 0 or call.reply is None:
            continue
        assert hint is not None
        row = found[call.task, call.round, call.agent]
        assert row["had"]
        assert row["against"] == any(answer != hint.own for answer in hint.shown)
        assert (row["right_before"], row["right_after"]) == (hint.own == hint.truth, call.reply.answer == hint.truth)
        if row["against"]:
            assert row["led"]  # one other agent: its answer is the most frequent one
            assert row["followed"] == row["adopted"] == (call.reply.answer in hint.shown)
        shows_itself = f"#1 agent {call.agent}: " in str(call.request.messages[-1].content)
        taken_over += shows_itself and row["against"]
    assert taken_over


def spoken(rounds: list[Votes]) -> pl.DataFrame:
    """Return what is said of votes: arrays of who was right, shape (tasks, agents), one for each round."""
    right = np.stack(rounds, axis=2)
    task, agent, round_ = (index.reshape(-1) for index in np.indices(right.shape))
    columns = {"task": task, "round": round_, "agent": agent, "correct": right.reshape(-1).astype(float)}
    table = pl.DataFrame(columns).with_columns(
        answer=pl.when(pl.col("correct") == 1).then(pl.lit("A")).otherwise(pl.lit("B")), text=pl.lit(None, pl.String)
    )
    return standing_of(Outputs(table))


def copied(tasks: int, rounds: int, *, own: bool, seed: int = 5) -> list[Votes]:
    """Return votes of nine who are right with .6 and then copy a random one of the nine, or of the other eight."""
    rng = np.random.default_rng(seed)
    found = [rng.random((tasks, 9)) < 0.6]
    for _ in range(rounds):
        step = rng.integers(0 if own else 1, 9, (tasks, 9))
        found.append(np.take_along_axis(found[-1], (np.arange(9) + step) % 9, axis=1))
    return found


@pytest.mark.parametrize(("own", "end"), [(True, 0.621), (False, 0.622)])
def test_copying_keeps_mean_accuracy_and_loses_the_majority(*, own: bool, end: float) -> None:
    """A debate of copies is a martingale (arXiv 2508.17536): .733 is the binomial majority of nine at .6."""
    tasks = 20_000
    votes = copied(tasks, 4, own=own)
    for one in votes:
        share = one.mean(axis=1)
        assert abs(share.mean() - 0.6) < 3 * share.std() / np.sqrt(tasks)
    rows = spoken([votes[0], votes[-1]])
    for name, truth in (("mean_first", 0.6), ("mean_last", 0.6), ("majority_first", 0.733), ("majority_last", end)):
        values = rows[name].to_numpy()
        assert abs(values.mean() - truth) < 3 * values.std() / np.sqrt(tasks)


def test_whether_mean_accuracy_moved_is_said_where_the_data_show_it() -> None:
    copies, few = moved(spoken(copied(2_500, 4, own=True))), moved(spoken(copied(30, 2, own=True, seed=8)))
    rng = np.random.default_rng(1)
    learnt = moved(spoken([rng.random((200, 9)) < 0.5, rng.random((200, 9)) < 0.7]))
    assert copies is not None
    assert few is not None
    assert learnt is not None
    assert copies.majority.high < 0
    assert learnt.mean.low > 0.1
    told_apart({
        "it did not move by 0.02": copies.summary(),
        "whether it moved cannot be told": few.summary(),
        ": it moved; majority ": learnt.summary(),
    })  # fmt: skip
    assert copies.word == "it did not move by 0.02"
    small = Moved(0.6, 0.605, Interval(0.005, 0.001, 0.009), 0.7, 0.7, HALF, 9)
    assert small.word == "it moved"
    assert moved(spoken([rng.random((20, 9)) < 0.5])) is None  # nobody answered twice


@pytest.mark.parametrize(
    ("first", "last", "gap", "alone"),
    [
        ([[True, False, True]], [[True, True, True]], 0.0, 0.0),  # one task
        ([[True] * 3] * 20, [[True] * 3] * 20, 0.0, 0.0),
        ([[False] * 3] * 20, [[False] * 3] * 20, 0.0, 0.0),
        ([[True, False]] * 20, [[True, False]] * 20, 0.0, 50.0),  # ties, which the society decides for the right one
    ],
)
def test_where_tasks_tell_nothing_apart_nothing_is_claimed(
    first: list[list[bool]], last: list[list[bool]], gap: float, alone: float
) -> None:
    rows = spoken([np.array(first), np.array(last)])
    scores = pl.DataFrame({"task": range(len(last)), "score": [float(one[0]) for one in last]})
    found, change = oracle_gap(rows, scores), moved(rows)
    assert found is not None
    assert change is not None
    assert (found.points.value, found.alone.value) == (gap, alone)
    assert found.points.width >= 15
    assert change.word == "whether it moved cannot be told"
    assert isinstance(independent_votes(rows), str)


def test_the_oracle_gap_counts_what_somebody_had_and_the_society_missed() -> None:
    first = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1], [0, 0, 0]], dtype=bool)
    last = np.array([[0, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1], [1, 0, 0]], dtype=bool)
    rows = spoken([first, last])
    episodes = pl.DataFrame({"task": range(5), "score": [0.0, 1.0, 0.0, 1.0, 0.0]})
    found = oracle_gap(rows, episodes)
    assert found is not None
    assert found.points.value == pytest.approx(40)  # tasks 0 and 4
    assert found.alone.value == pytest.approx(20)  # task 0 alone: in task 4 nobody had it at first
    assert found.points.low < 40 < found.points.high
    assert oracle_gap(rows, episodes.with_columns(score=-1.0)) is None
    assert oracle_gap(spoken([first[:, :1]]), episodes) is None  # one agent has no vote to lose


def locked(tasks: int, n: int, rho: float, p: float, rng: np.random.Generator) -> Votes:
    """Return votes of accuracy p of which any two have correlation rho: with probability rho all are the same draw."""
    same = rng.random((tasks, 1)) < rho
    return np.where(same, rng.random((tasks, 1)) < p, rng.random((tasks, n)) < p)


@pytest.mark.parametrize(("n", "rho"), [(2, 0.0), (5, 0.2), (9, 0.6), (30, 0.05)])
def test_final_votes_are_worth_what_their_correlation_says(n: int, rho: float) -> None:
    found = independent_votes(spoken([locked(4_000, n, rho, 0.65, np.random.default_rng(3))]))
    assert isinstance(found, IndependentVotes)
    assert (found.n, found.n_tasks, found.left_out) == (n, 4_000, 0)
    se = (found.rho.high - found.rho.low) / 3.92
    assert abs(found.rho.value - rho) < 3 * se
    assert found.votes.value == pytest.approx(n / (1 + (n - 1) * found.rho.value))
    assert found.votes.low < found.votes.value < found.votes.high


def test_votes_that_always_agree_are_worth_one_and_not_with_certainty() -> None:
    found = independent_votes(spoken([np.repeat(np.arange(40)[:, None] % 2 == 0, 5, axis=1)]))
    assert isinstance(found, IndependentVotes)
    assert found.votes.low == found.votes.value == pytest.approx(1)
    assert found.votes.high > 1.02
    assert independent_votes(spoken([np.ones((40, 1), dtype=bool)])) is None


def test_a_few_tasks_on_which_all_err_together_are_allowed_for() -> None:
    """With thirty agents and tasks three of these carry all that is known of rho; some samples have one, or none."""
    rng, held = np.random.default_rng(6), 0
    for _ in range(100):
        found = independent_votes(spoken([locked(30, 30, 0.1, 0.65, rng)]))
        assert isinstance(found, IndependentVotes)
        held += found.rho.covers(0.1)
    assert held >= 92  # .82 without the task that is added; .97 with it
    alone = independent_votes(spoken([rng.random((30, 30)) < 0.65]))
    assert isinstance(alone, IndependentVotes)
    assert alone.votes.low < 10


def test_what_is_said_of_final_votes_goes_by_what_they_are() -> None:
    rng = np.random.default_rng(4)
    votes = rng.random((60, 5)) < 0.6
    whole = independent_votes(spoken([votes]))
    mixed = pl.concat([spoken([votes]), spoken([rng.random((10, 4)) < 0.6]).with_columns(pl.col("task") + 60)])
    uneven, same = independent_votes(mixed), independent_votes(spoken([np.ones((60, 5), dtype=bool)]))
    assert isinstance(whole, IndependentVotes)
    assert isinstance(uneven, IndependentVotes)
    assert isinstance(same, str)
    assert whole.votes.value == uneven.votes.value
    told_apart({
        "10 tasks with other numbers of votes are left out": uneven.summary(),
        "correlation of two votes ": (uneven.summary(), whole.summary()),
        "fewer than 8 tasks differ from the others in how many votes are right": same,
    })  # fmt: skip
    assert ExchangeMeasures(None, None, None, same).summary() == [same]
    assert ExchangeMeasures(None, None, None, same).as_dict()["independent_votes"] == {"reason": same}


def test_a_share_is_told_where_turns_tell_it_and_its_placebo_where_there_are_such_turns() -> None:
    names = ("modal_adoption", "vulnerability", "correction")
    none: dict[str, Interval | None] = dict.fromkeys(names)

    def text(name: str, placebo: Interval | None) -> str:
        return "; ".join(Exposure(7, 3, none | {name: HALF}, none | {name: placebo}).summary())

    adoption, loss, gain = (text(name, HALF) for name in names)
    bare = "; ".join(Exposure(7, 3, none, none).summary())
    told_apart({
        "modal adoption (to the most frequent answer of others) 0.500": adoption,
        "vulnerability (right to wrong) 0.500": loss,
        "correction (wrong to right) 0.500": gain,
        "shown no other: 0.500": (adoption, loss, gain),
    }, bare)  # fmt: skip
    told_apart({"shown no other: no such turns": text("correction", None)}, gain, bare)
    assert bare == "turns shown another answer: 7; with an answer and shown no other: 3"


def test_metrics_print_and_list_it(tmp_path: Path) -> None:
    made(tmp_path / "run", **DEBATE, model={"says": "majority", "accuracy": 0.6}, tasks={"kind": "coin", "count": 20})
    reports = examine([tmp_path / "run"])
    text, found = as_text(reports), as_dict(reports)["runs"][0]["exchange"]
    assert "turns shown another answer: " in text
    assert "oracle gap (some agent had it) " in text
    assert " points; of first answers by majority " in text
    assert "from first to last answers: mean accuracy " in text
    assert "N_eff of final votes " in text
    assert found["exposure"]["modal_adoption"]["value"]["value"] > 0.5
    assert found["oracle_gap"]["points"]["value"] > 0
    empty = exchange_of(spoken([np.ones((4, 1), dtype=bool)]), pl.DataFrame({"task": [0], "score": [1.0]}), None)
    told_apart({
        "oracle gap (some agent had it) ": text,
        "from first to last answers: mean accuracy ": text,
        "turns shown another answer: ": text,
    }, "".join(empty.summary()))  # fmt: skip
    assert empty.as_dict() == dict.fromkeys(("exposure", "oracle_gap", "moved", "independent_votes"))
