"""Stages follow each other and pass artefacts on; what the last one names is the answer."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agentsoc.engine.bounds import Bound
from agentsoc.engine.execute import Plan, execute
from agentsoc.engine.forecast import bound
from agentsoc.engine.transcript import transcript
from agentsoc.errors import InputError
from agentsoc.society.build import build_society
from tests.societies import built, logged

COIN: dict[str, Any] = {"kind": "coin", "count": 5}
ARITHMETIC: dict[str, Any] = {"kind": "arithmetic", "count": 2}


def roles(*stages: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {"kind": "roles", "stages": list(stages), **settings}


def stage(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "asks": f"Write the {name}.", **more}


REVIEWED = (
    stage("plan"),
    stage("work", reads=["plan"]),
    {"name": "review", "asks": "Is the work right?", "checks": "work"},
    stage("answer", reads=["work"]),
)


def talk(*replies: tuple[str, str], n: int = 3) -> dict[str, Any]:
    """Return a run's agents who answer what they are asked, word for word, and what was said in it."""
    return {"count": n, "model": {"kind": "scripted", "replies": list(replies)}, "reply": "text", "max_tokens": 60}


@pytest.mark.parametrize("model", [{"kind": "scripted", "accuracy": 0.6}, {"kind": "simulated", "signal": 0.3}])
@pytest.mark.parametrize("stages", [1, 2, 3, 5])
def test_calls_are_the_stages_and_each_artefact_goes_to_every_later_one(model: dict[str, Any], stages: int) -> None:
    for n in (1, 2, 7):
        done, events = logged(
            tasks={"kind": "coin", "count": 3},
            agents={"count": n, "model": model},
            topology="decentralized" if n > 1 else "single",
            protocol=roles(*[stage(f"part-{at}") for at in range(stages)]),
        )
        totals = done.totals
        assert (totals.calls, totals.deliveries) == (3 * stages, 3 * stages * (stages - 1) // 2)
        spoke = [event.agent for event in events if event.task == 0 and event.claim is not None]
        assert spoke == [at % n for at in range(stages)]


def test_artefacts_are_free_text_under_their_names_and_the_last_stage_answers() -> None:
    done, events = logged(
        tasks={"kind": "sentiment", "count": 1},  # a task with options: only the last stage is held to them
        agents=talk(
            ("Write the plan", "look for\nloud words"), ("Write the work", "none is loud"), ("Give", "positive")
        ),
        topology="decentralized",
        protocol=roles(stage("plan"), stage("work"), {"name": "verdict", "asks": "Give the answer."}),
    )
    written = [event for event in events if event.claim is not None]
    assert [event.text.split(":")[0] for event in written[:2] if event.text] == ["plan", "work"]
    assert [event.answer for event in written] == ["loud words", "none is loud", "positive"]
    assert [event.correct for event in written[:2]] == [None, None]
    (answer,) = [event for event in events if event.kind == "answer"]
    assert (answer.answer, answer.parents) == ("positive", (written[-1].claim,))
    assert done.totals.calls_failed == 0


def test_a_stage_is_asked_its_own_thing_and_shown_what_it_reads() -> None:
    done, _ = logged(
        tasks=ARITHMETIC,
        agents=talk(
            ("plan: carry the one", "the work of who saw the plan"),
            ("Write the plan", "carry the one"),
            ("work: the work of who saw", "12"),
            n=3,
        ),
        topology="decentralized",
        protocol=roles(stage("plan"), stage("work"), {"name": "sum", "asks": "State the sum.", "reads": ["work"]}),
    )
    assert done.totals.calls == 2 * 3
    assert done.totals.answered == 2


def asked(**changes: Any) -> list[str]:
    """Return what each stage of a chain was asked, in words."""
    with tempfile.TemporaryDirectory() as scratch:
        blocks: dict[str, Any] = {
            "tasks": {"kind": "sentiment", "count": 1},
            "agents": talk(("Write the answer", "positive"), ("", "something"), n=2),
            "topology": "chain",
            "protocol": roles(stage("plan"), stage("work"), stage("answer")),
        }
        asyncio.run(execute(Plan(built(**{**blocks, **changes}), Path(scratch))))
        return [call.request.messages[-1].content for call in transcript(scratch, 0)]


def test_nobody_who_writes_an_artefact_is_told_how_to_end_with_an_answer() -> None:
    plan, work, answer = asked()
    assert "Your part: Write the plan." in plan
    assert "Written so far:\n#1 agent 0: plan: something" in work
    assert "last line" not in plan + work
    assert answer.startswith("Written so far:\n#1 agent 0: plan: something\n#2 agent 1: work: something\n\n") or (
        answer.startswith("Written so far:\n#1 agent 1: work: something\n#2 agent 0: plan: something\n\n")
    )
    assert answer.endswith(
        "Write the answer.\n\nAnswer positive or negative. End with the answer alone on the last line."
    )
    in_json = asked(protocol=roles(stage("plan", form="json"), stage("answer")))
    assert '"answer"' in in_json[0]
    mine = asked(prompts={"work": "Now: {{ question }}"})
    assert mine[1].startswith("Now: ")


def test_what_is_written_rests_on_what_was_read() -> None:
    _, events = logged(
        tasks={"kind": "sentiment", "count": 1},
        agents=talk(("Write the answer", "positive"), ("", "something")),
        topology="decentralized",
        protocol=roles(stage("plan"), stage("work"), stage("answer")),
    )
    plan, work, answer = [event for event in events if event.claim is not None]
    assert [plan.kind, work.kind, answer.kind] == ["propose_claim", "revise_claim", "merge_claims"]
    assert (work.parents, answer.parents) == ((plan.claim,), (plan.claim, work.claim))


def test_a_rejection_sends_the_chain_back_a_limited_number_of_times() -> None:
    for returns in (0, 1, 3):
        done, events = logged(
            tasks=ARITHMETIC,
            agents=talk(("Is the work right?", "reject"), ("Write the answer", "12"), ("", "something"), n=4),
            topology="decentralized",
            protocol=roles(*REVIEWED, returns=returns),
        )
        assert done.totals.calls == 2 * (4 + 2 * returns)
        spoke = [event.agent for event in events if event.task == 0 and event.claim is not None]
        assert spoke == [0, *[1, 2] * (returns + 1), 3]
        # the plan and the answer's source are read once, the work by its check and by the answer, a rejection once
        assert done.totals.deliveries == 2 * (1 + 2 * (returns + 1) + returns)


def test_who_writes_again_is_shown_its_work_and_what_is_wrong_with_it() -> None:
    _, events = logged(
        tasks={"kind": "coin", "count": 1},
        agents=[
            {"count": 3, "model": {"kind": "scripted", "says": "wrong", "cites": "all"}},
            {"count": 1, "model": {"kind": "scripted", "cites": "all"}},
        ],
        topology="decentralized",
        protocol=roles(
            stage("plan", agent=0), stage("work", agent=1), {**REVIEWED[2], "agent": 3}, stage("answer", agent=0)
        ),
        parents="visible",
    )
    work = [event for event in events if event.agent == 1 and event.claim is not None]
    (rejection,) = [event for event in events if event.agent == 3 and event.claim is not None][:1]
    assert len(work) == 2
    assert {work[0].claim, rejection.claim} <= set(work[1].parents)


def test_an_accepted_artefact_goes_on_to_the_answer() -> None:
    done, events = logged(
        tasks={"kind": "coin", "count": 2},
        agents={"count": 4, "model": "scripted"},
        topology="decentralized",
        protocol=roles(stage("plan"), stage("work"), {**REVIEWED[2], "checks": "work"}, stage("answer")),
    )
    # a scripted checker accepts what equals the truth, which is what scripted writers write
    assert done.totals.calls == 2 * 4
    accepted = [event for event in events if event.kind == "endorse_claim"]
    assert [event.correct for event in accepted] == [None, None]  # an artefact is no answer
    assert done.totals.score == 1


def test_a_stage_that_fails_leaves_its_check_out() -> None:
    done, events = logged(
        tasks=ARITHMETIC,
        agents=talk(("Write the work", ""), ("Write the answer", "12"), ("", "something"), n=4),
        topology="decentralized",
        protocol=roles(*REVIEWED),
        calls={"attempts": 1},
    )
    assert sum(event.kind == "call_failed" for event in events) == 2
    assert [event.agent for event in events if event.task == 0 and event.claim is not None] == [0, 3]
    assert done.totals.answered == 2


def test_a_spent_budget_leaves_the_last_stage_its_call() -> None:
    done, _ = logged(
        tasks={"kind": "coin", "count": 2},
        agents={"count": 2, "model": "scripted", "max_tokens": 40},
        topology="decentralized",
        protocol=roles(*[stage(f"part-{at}") for at in range(12)]),
        budget={"tokens_per_task": 600},
    )
    assert done.totals.stops == {"budget_exhausted": 2}
    assert done.totals.answered == 2


@pytest.mark.parametrize(
    ("stages", "says"),
    [
        ([stage("a", reads=["b"]), stage("b")], "names b, which no earlier stage writes"),
        ([stage("a"), stage("a")], "two stages are called a"),
        ([stage("a"), stage("b", checks="a")], "cannot be a check"),
        ([stage("a"), stage("b", checks="a"), stage("c", checks="b"), stage("d")], "which is a check itself"),
        ([stage("Plan of mine")], "should match pattern"),
        ([], "at least 1"),
    ],
)
def test_a_chain_that_cannot_be_followed_is_refused(stages: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        built(tasks="sentiment", agents={"count": 2, "model": "scripted"}, topology="chain", protocol=roles(*stages))


def test_a_stage_of_an_agent_that_does_not_exist_is_refused() -> None:
    blocks = {"agents": {"count": 2, "model": "scripted"}, "topology": "chain"}
    with pytest.raises(InputError, match="there is no agent 2"):
        build_society(built(tasks="sentiment", protocol=roles(stage("a", agent=2)), **blocks))


def test_what_a_run_can_cost_is_known_before_it_starts() -> None:
    blocks = {"agents": {"count": 4, "model": "scripted"}, "topology": "decentralized"}
    known = bound(build_society(built(tasks=COIN, protocol=roles(*REVIEWED, returns=2), **blocks)))
    assert isinstance(known, Bound)
    assert known.calls == 5 * (4 + 2 * 2)
