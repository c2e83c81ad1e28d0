"""This module says which turns are probed, which claim is left out, and where their calls stand in the journal."""

from __future__ import annotations

import msgspec

from agentsoc.contracts.probe import FIRST_K, probe_k
from agentsoc.contracts.turns import View
from agentsoc.society.build import BuiltSociety
from agentsoc.society.reply_form import STATING
from agentsoc.streams import uniforms

__all__ = ["FIRST_K", "left_out_of", "probe_k", "without_claim"]


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
