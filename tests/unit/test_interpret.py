"""Which act a reply is: seven rules, the first that matches decides, and only what was shown counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsoc.contracts.board import Board
from agentsoc.contracts.protocol import Act, interpret_reply
from agentsoc.contracts.turns import Delegation, Reply, Turn
from agentsoc.errors import InputError
from agentsoc.events import CLAIMING, Event, pack_id
from agentsoc.society.build import BuiltSociety, build_society
from tests.loose import scenario
from tests.societies import logged

SOCIETY = build_society(scenario(agents={"count": 5}))
VISIBLE = build_society(scenario(agents={"count": 5}, parents="visible"))
MINE, HEADS, TAILS, MUTE, OTHERS_PART = (pack_id(0, agent, 0) for agent in range(5))
"""Claims on the board: that of agent 0 (heads), and of four others; the last one is about a subtask."""
HIDDEN = pack_id(1, 4, 0)
SUBTASK = pack_id(0, 4, 7)


def board(*, spoken: bool = False) -> Board:
    """Return a board on which agents 1 to 4 have spoken, and agent 0 as well if `spoken`."""
    events = [
        Event(0, 0, 0, 0, "propose_claim", MINE, answer="heads"),
        Event(0, 0, 1, 0, "propose_claim", HEADS, answer="heads"),
        Event(0, 0, 2, 0, "propose_claim", TAILS, answer="tails"),
        Event(0, 0, 3, 0, "propose_claim", MUTE, answer=None, text="no idea"),
        Event(0, 0, 4, 0, "propose_claim", OTHERS_PART, answer="heads", subtask=SUBTASK),
    ]
    built = Board(0)
    built.fold(events[0 if spoken else 1 :])
    return built


def act(reply: Reply, *sees: int, spoken: bool = False, society: BuiltSociety = SOCIETY, **turn: Any) -> Act:
    """Return the one act that the reply of agent 0 is."""
    [found] = interpret_reply(society, board(spoken=spoken), Turn(0, sees=sees, **turn), reply)
    return found


def test_rule_7_a_first_answer_is_a_proposal() -> None:
    found = act(Reply(answer="heads", text="because", confidence=0.8))
    assert found == Act("propose_claim", "heads", "because", (), None, 0.8)
    assert act(Reply(answer="heads"), HEADS, TAILS).kind == "propose_claim"  # shown, but used by nobody
    assert act(Reply(text="only words")).kind == "propose_claim"


def test_rule_6_the_same_answer_again_stands_by_itself_and_another_revises_it() -> None:
    assert act(Reply(answer="heads"), HEADS, spoken=True) == Act("endorse_claim", "heads", None, (MINE,), MINE)
    assert act(Reply(answer="tails"), HEADS, spoken=True) == Act("revise_claim", "tails", None, (MINE,))
    assert act(Reply(text="I do not know any more"), spoken=True).kind == "revise_claim"


def test_rule_6_holds_for_one_question_at_a_time() -> None:
    """A position on the question is none on a subtask."""
    assert act(Reply(answer="heads"), spoken=True, subtask=SUBTASK) == Act("propose_claim", "heads", subtask=SUBTASK)


def test_rule_6_speaks_of_the_claim_that_the_agent_stands_by_also_when_it_is_anothers() -> None:
    standing = board(spoken=True)
    standing.fold([Event(0, 1, 0, 0, "endorse_claim", None, (TAILS,), TAILS, answer="tails")])
    [found] = interpret_reply(SOCIETY, standing, Turn(0), Reply(answer="tails"))
    assert found == Act("endorse_claim", "tails", None, (TAILS,), TAILS)
    [found] = interpret_reply(SOCIETY, standing, Turn(0), Reply(answer="heads"))
    assert found == Act("revise_claim", "heads", None, (TAILS,))


def test_rule_5_using_one_claim_and_saying_otherwise_revises_it() -> None:
    assert act(Reply(answer="tails", uses=(HEADS,)), HEADS, TAILS) == Act("revise_claim", "tails", None, (HEADS,))
    assert act(Reply(text="hm", uses=(MUTE,)), MUTE).kind == "revise_claim"  # no answer cannot agree with no answer


def test_rule_5_using_ones_own_claim_is_no_endorsement() -> None:
    assert act(Reply(answer="heads", uses=(MINE,)), MINE, spoken=True) == Act("revise_claim", "heads", None, (MINE,))


def test_rule_4_using_one_claim_and_agreeing_endorses_it() -> None:
    found = act(Reply(answer="heads", uses=(HEADS,), confidence=1.0), HEADS, TAILS)
    assert found == Act("endorse_claim", "heads", None, (HEADS,), HEADS, 1.0)


def test_rule_3_using_several_claims_merges_them_whatever_the_answer() -> None:
    for answer in ("heads", "tails", "edge"):
        assert act(Reply(answer=answer, uses=(TAILS, HEADS, TAILS)), HEADS, TAILS) == Act(
            "merge_claims", answer, None, (HEADS, TAILS)
        )


def test_rule_2_a_dispute_comes_before_all_uses() -> None:
    found = act(Reply(answer="heads", uses=(MUTE, HEADS), disputes=(TAILS,)), HEADS, TAILS, MUTE)
    assert found == Act("contradict_claim", "heads", None, (HEADS, TAILS, MUTE), TAILS)
    found = act(Reply(answer="heads", disputes=(MUTE, TAILS)), HEADS, TAILS, MUTE)
    assert (found.target, found.parents) == (MUTE, (TAILS, MUTE))  # the first one named is the target
    found = act(Reply(answer="heads", uses=(TAILS,), disputes=(TAILS,)), TAILS)
    assert (found.kind, found.parents) == ("contradict_claim", (TAILS,))


def test_rule_1_work_handed_out_is_a_delegation_each_and_nothing_else() -> None:
    reply = Reply(delegations=(Delegation(1, "left"), Delegation(2, "right")), text="a plan")
    acts = interpret_reply(SOCIETY, board(), Turn(0, subtask=SUBTASK, targets=(1, 2)), reply)
    assert acts == [
        Act("delegate_subtask", text=text, target=to, subtask_parent=SUBTASK, mints_subtask=True)
        for to, text in ((1, "left"), (2, "right"))
    ]
    acts = interpret_reply(SOCIETY, board(), Turn(0), Reply(answer="heads", delegations=(Delegation(1, "left"),)))
    assert [found.kind for found in acts] == ["delegate_subtask", "propose_claim"]


def test_several_acts_of_a_turn_are_each_delivered_to_those_whom_they_are_for() -> None:
    """A claim goes to all who hear its author (here the four at the hub, or the hub), handed-out work to its taker."""
    protocol, claim, work = SOCIETY.scenario.protocol, Act("propose_claim"), Act("delegate_subtask", target=1)
    assert SOCIETY.reach == [4, 1, 1, 1, 1]
    for acts, of_hub, of_leaf in (
        ([], 0, 0), ([claim], 4, 1), ([work], 1, 1), ([work, work], 2, 2), ([claim, claim], 8, 2),
        ([work, claim], 5, 2), ([work, work, claim], 6, 3),
    ):  # fmt: skip
        assert protocol.deliveries(SOCIETY, board(), Turn(0), acts) == of_hub
        assert protocol.deliveries(SOCIETY, board(), Turn(1), acts) == of_leaf
        each = protocol.deliveries_each(SOCIETY, board(), np.arange(5), Turn(0), acts)
        assert each.tolist() == [of_hub, *[of_leaf] * 4]


def test_a_reply_that_says_nothing_is_no_act() -> None:
    assert interpret_reply(SOCIETY, board(), Turn(0), Reply()) == []
    assert interpret_reply(SOCIETY, board(), Turn(0), Reply(uses=(HEADS,))) == []


@pytest.mark.parametrize("society", [SOCIETY, VISIBLE], ids=["cited", "visible"])
def test_what_was_not_shown_cannot_be_cited(society: BuiltSociety) -> None:
    """Not by a model that knows a handle from elsewhere, nor by one that makes it up."""
    for uses, disputes in (((HIDDEN,), ()), ((), (HIDDEN,)), ((HEADS, -1, 2**62), (TAILS,))):
        assert act(Reply(answer="heads", uses=uses, disputes=disputes), society=society).kind == "propose_claim"
    found = act(Reply(answer="heads", uses=(HEADS, TAILS), disputes=(HIDDEN,)), HEADS)
    assert found == Act("endorse_claim", "heads", None, (HEADS,), HEADS)


def test_with_parents_visible_everything_shown_counts_as_used() -> None:
    found = act(Reply(answer="heads", uses=(HEADS,)), HEADS, TAILS, TAILS, society=VISIBLE)
    assert found == Act("merge_claims", "heads", None, (HEADS, TAILS))
    assert act(Reply(answer="heads"), HEADS, society=VISIBLE).kind == "endorse_claim"
    assert act(Reply(answer="tails"), HEADS, society=VISIBLE).kind == "revise_claim"
    found = act(Reply(answer="heads", disputes=(TAILS,)), HEADS, TAILS, MUTE, society=VISIBLE)
    assert found == Act("contradict_claim", "heads", None, (HEADS, TAILS, MUTE), TAILS)
    assert act(Reply(answer="heads"), society=VISIBLE).kind == "propose_claim"


def test_a_merge_that_names_no_sources_has_all_of_them() -> None:
    """A short line cannot name ten sources; one that names some means those."""
    assert act(Reply(answer="heads"), HEADS, TAILS, purpose="merge").parents == (HEADS, TAILS)
    assert act(Reply(answer="heads", uses=(HEADS,)), HEADS, TAILS, purpose="merge").kind == "endorse_claim"
    assert act(Reply(answer="heads", disputes=(TAILS,)), HEADS, TAILS, purpose="merge").parents == (TAILS,)


CLAIMS = st.lists(st.sampled_from([HEADS, TAILS, MUTE, OTHERS_PART, MINE, HIDDEN, 0, -5]), max_size=4).map(tuple)
SHOWN = st.lists(st.sampled_from([HEADS, TAILS, MUTE, OTHERS_PART, MINE]), max_size=5).map(tuple)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    reply=st.builds(
        Reply,
        answer=st.sampled_from([None, "heads", "tails", "edge"]),
        text=st.sampled_from([None, "why"]),
        uses=CLAIMS,
        disputes=CLAIMS,
        delegations=st.lists(st.builds(Delegation, st.integers(1, 4), st.just("work")), max_size=3).map(tuple),
    ),
    turn=st.builds(
        Turn,
        agent=st.just(0),
        purpose=st.sampled_from(["answer", "merge", "plan", "work"]),
        sees=SHOWN,
        subtask=st.sampled_from([None, SUBTASK]),
    ),
    society=st.sampled_from([SOCIETY, VISIBLE]),
)
def test_every_reply_is_a_valid_act_or_none(reply: Reply, turn: Turn, society: BuiltSociety) -> None:
    acts = interpret_reply(society, board(spoken=True), turn, reply)
    assert acts == interpret_reply(society, board(spoken=True), turn, reply)
    kinds = [found.kind for found in acts]
    assert kinds.count("delegate_subtask") == len(reply.delegations)
    assert len(acts) - len(reply.delegations) in (0, 1)
    for found in acts:
        if found.kind == "delegate_subtask":
            continue
        assert (found.answer, found.text, found.subtask) == (reply.answer, reply.text, turn.subtask)
        assert set(found.parents) <= {*turn.sees, MINE}
        assert list(found.parents) == sorted(set(found.parents))
        assert (found.target is None) == (found.kind not in ("contradict_claim", "endorse_claim"))
        assert found.target is None or found.target in found.parents
        assert found.kind in CLAIMING | {"endorse_claim"}
        assert found.kind != "merge_claims" or len(found.parents) >= 2
        assert found.kind != "propose_claim" or not found.parents


INFERRED = build_society(scenario(agents={"count": 5}, parents="inferred"))


def test_inferred_an_answer_changed_to_a_shown_one_rests_on_whoever_gave_it() -> None:
    found = act(Reply(answer="tails"), HEADS, TAILS, spoken=True, society=INFERRED)
    assert found == Act("endorse_claim", "tails", None, (TAILS,), TAILS, label_source="inferred")
    both = act(Reply(answer="heads"), HEADS, OTHERS_PART, TAILS, HEADS, society=INFERRED)  # its first answer
    assert both == Act("merge_claims", "heads", None, (HEADS, OTHERS_PART), label_source="inferred")


def test_inferred_an_answer_kept_against_shown_ones_disputes_them() -> None:
    found = act(Reply(answer="heads"), TAILS, MUTE, spoken=True, society=INFERRED)
    assert found == Act("contradict_claim", "heads", None, (TAILS,), TAILS, label_source="inferred")
    backed = act(Reply(answer="heads"), TAILS, HEADS, spoken=True, society=INFERRED)
    assert (backed.kind, backed.parents, backed.target) == ("contradict_claim", (HEADS, TAILS), TAILS)


def test_inferred_what_nobody_showed_rests_on_nobody() -> None:
    kept = act(Reply(answer="heads"), HEADS, MINE, spoken=True, society=INFERRED)
    assert kept == Act("endorse_claim", "heads", None, (MINE,), MINE, label_source="inferred")
    new = act(Reply(answer="edge"), HEADS, TAILS, spoken=True, society=INFERRED)
    assert new == Act("revise_claim", "edge", None, (MINE,), label_source="inferred")
    assert act(Reply(answer="edge"), HEADS, society=INFERRED).parents == ()
    assert act(Reply(text="no idea"), HEADS, society=INFERRED) == Act(
        "propose_claim", None, "no idea", label_source="inferred"
    )


def test_inferred_words_do_not_count_and_turns_that_see_nothing_are_labelled_by_rule() -> None:
    said = Reply(answer="tails", uses=(HEADS,), disputes=(TAILS,))
    assert act(said, HEADS, TAILS, spoken=True, society=INFERRED).parents == (TAILS,)
    assert act(Reply(answer="heads"), spoken=True, society=INFERRED).label_source == "rule"
    fresh = act(Reply(answer="heads"), TAILS, spoken=True, society=INFERRED, fresh=True)
    assert fresh.kind == "endorse_claim"  # its own earlier answer, by the rule that needs no source
    assert fresh.parents == (MINE,)
    merge = act(said, HEADS, TAILS, society=INFERRED, purpose="merge")
    assert merge == Act("merge_claims", "tails", None, (HEADS, TAILS))


@pytest.mark.parametrize(
    "protocol",
    [{"kind": "refine"}, {"kind": "roles", "stages": [{"name": "a", "asks": "A?"}, {"name": "b", "asks": "B?"}]}],
)
def test_inferred_parents_need_answers_that_can_be_compared(protocol: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="parents: inferred compares answers"):
        build_society(scenario(agents={"count": 2}, parents="inferred", protocol=protocol))


def test_a_debate_with_inferred_parents_replays_and_its_log_says_how_it_was_labelled() -> None:
    debate: dict[str, Any] = {
        "tasks": {"kind": "signal", "count": 6}, "agents": {"count": 4, "model": {"kind": "simulated"}},
        "topology": "decentralized", "protocol": {"kind": "debate", "rounds": 2},
    }  # fmt: skip
    _, events = logged(**debate, parents="inferred")
    acts = [event for event in events if event.agent >= 0]
    assert {event.label_source for event in acts if event.round == 0} == {"rule"}
    assert {event.label_source for event in acts if event.round > 0} == {"inferred"}
    position = {(event.task, event.agent): event.answer for event in acts if event.round == 0}
    for event in acts:
        if event.round == 1 and event.kind == "contradict_claim":
            assert event.answer == position[event.task, event.agent]
    assert any(event.kind == "contradict_claim" for event in acts)
