"""This module says which turns are probed, which claim is left out, and where their calls stand in the journal."""

from __future__ import annotations

from typing import Final

import msgspec

from agentsoc.contracts.turns import SLOT_WIDTH, Turn, View
from agentsoc.events import MAX_K
from agentsoc.society.build import BuiltSociety
from agentsoc.society.reply_form import STATING
from agentsoc.streams import uniforms

FIRST_K: Final = MAX_K
"""Numbers of the society's calls from here on are those of probes."""
_SLOTS: Final = MAX_K // SLOT_WIDTH


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


def probe_k(turn: Turn, *, control: bool) -> int:
    """Return the number in the journal, under the society's id, of the first call of a probe of a turn."""
    return FIRST_K + ((turn.agent * _SLOTS + turn.slot) * 2 + control) * SLOT_WIDTH


def without_claim(view: View, claim: int) -> View:
    """Return a view that does not show one of its claims; the others keep their order."""
    turn = msgspec.structs.replace(view.turn, sees=tuple([each for each in view.turn.sees if each != claim]))
    return msgspec.structs.replace(view, turn=turn, claims=tuple([each for each in view.claims if each.id != claim]))
