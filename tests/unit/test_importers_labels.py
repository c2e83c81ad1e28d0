"""The post hoc labels: each rule, and which one wins."""

from __future__ import annotations

import pytest

from analysis.importers.labels import LabelledAct, label, label_execution


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (LabelledAct("c"), "propose_claim"),
        (LabelledAct("c", ("p",), text="however, but instead"), "propose_claim"),
        (LabelledAct("c", ("p",), text="these two cannot be both true"), "contradict_claim"),
        (LabelledAct("c", (), text="this contradicts everything"), "propose_claim"),
        (LabelledAct("c", (), disagrees_with=("p",)), "contradict_claim"),
        (LabelledAct("c", ("p",), text="there is a mistake in step two"), "revise_claim"),
        (LabelledAct("c", ("p",), text="the two are conflicting, recalculate"), "revise_claim"),
        (LabelledAct("c", ("p",), corrects=("p",)), "revise_claim"),
        (LabelledAct("c", (), corrects=("p",)), "propose_claim"),
        (LabelledAct("c", ("p", "q")), "merge_claims"),
        (LabelledAct("c", ("p",), supports=("p",)), "endorse_claim"),
        (LabelledAct("c", (), supports=("p",)), "propose_claim"),
        (LabelledAct(None, ("p", "q")), None),
    ],
)
def test_an_act_gets_the_kind_of_its_rule(act: LabelledAct, kind: str | None) -> None:
    assert label(act, frozenset()) == kind


def test_contradiction_beats_revision_beats_merge_beats_endorsement() -> None:
    everything = LabelledAct("c", ("p", "q"), disagrees_with=("p",), corrects=("p",), supports=("p",))
    assert label(everything, frozenset()) == "contradict_claim"
    assert label(LabelledAct("c", ("p", "q"), corrects=("p",), supports=("p",)), frozenset()) == "revise_claim"
    assert label(LabelledAct("c", ("p", "q"), supports=("p",)), frozenset()) == "merge_claims"


def test_a_subtask_is_handed_out_once_and_only_by_those_who_may() -> None:
    act = LabelledAct("c", subtask="s", subtask_parent="r", topology="star", assigns=True)
    assert label_execution([act, act]) == ["delegate_subtask", "propose_claim"]
    assert (
        label(LabelledAct("c", subtask="s", subtask_parent="r", topology="chain", assigns=True), frozenset())
        == "propose_claim"
    )
    assert (
        label(LabelledAct("c", subtask="s", subtask_parent="r", role="hub", assigns=True), frozenset())
        == "delegate_subtask"
    )
    assert label(LabelledAct("c", subtask="s", subtask_parent="r", topology="star"), frozenset()) == "propose_claim"
    assert label(LabelledAct("c", subtask="s", topology="star", assigns=True), frozenset()) == "propose_claim"
