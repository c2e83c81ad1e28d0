"""This module says which turns are probed, and which claim is left out or states another answer."""

from __future__ import annotations

import msgspec

from agentsoc.contracts.probe_calls import FIRST_K, probe_k
from agentsoc.contracts.turns import View
from agentsoc.society.build import BuiltSociety
from agentsoc.society.reply_form import STATING
from agentsoc.streams import uniforms

__all__ = ["FIRST_K", "left_out_of", "probe_k", "swapped_answer", "with_answer", "without_claim"]


def left_out_of(society: BuiltSociety, view: View) -> int | None:
    """Return the claim that a probe of a turn leaves out; None for a turn that is not probed.

    Args:
        society: the agents.
        view: what the turn was shown, all that it was to see.
    """
    probe, turn = society.scenario.probe, view.turn
    if probe is None or not view.claims or turn.by_rule or turn.purpose not in STATING:
        return None
    place = (view.task, view.round, view.agent)
    probed, which = uniforms(society.seed, f"probe {turn.slot}", *place, draws=2)[0].tolist()
    return view.claims[int(which * len(view.claims))].id if probed < probe.share else None


def without_claim(view: View, claim: int) -> View:
    """Return a view that does not show one of its claims; the others keep their order."""
    turn = msgspec.structs.replace(view.turn, sees=tuple([each for each in view.turn.sees if each != claim]))
    return msgspec.structs.replace(view, turn=turn, claims=tuple([each for each in view.claims if each.id != claim]))


def swapped_answer(society: BuiltSociety, view: View, claim: int) -> str | None:
    """Return the answer that a probe puts in the place of a claim's, drawn evenly; None where there is no other.

    Args:
        society: the agents.
        view: what the turn was shown.
        claim: whose answer is swapped.
    """
    probe = society.scenario.probe
    if probe is None or not probe.swap:
        return None
    said = next(each.answer for each in view.claims if each.id == claim)
    others = view.options or tuple(dict.fromkeys(each.answer for each in view.claims if each.answer is not None))
    others = tuple([answer for answer in others if answer != said])
    if not others:
        return None
    place = (view.task, view.round, view.agent)
    [[drawn]] = uniforms(society.seed, f"probe swap {view.turn.slot}", *place, draws=1).tolist()
    return others[int(drawn * len(others))]


def with_answer(view: View, claim: int, answer: str) -> View:
    """Return a view in which one of its claims states another answer; its text, which argued for its own, is gone."""
    claims = [
        msgspec.structs.replace(each, answer=answer, text=None) if each.id == claim else each for each in view.claims
    ]
    return msgspec.structs.replace(view, claims=tuple(claims))
