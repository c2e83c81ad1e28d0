"""This module decides which act a row was, when its writer did not say: pure functions of (act, subtasks seen so far).

The rules follow the post hoc labelling of the traces of arXiv 2604.02674: structure and the signals that the agent gave
decide first, a short list of words second; soft words ("but", "however", "instead") decide nothing. They are applied
only to rows without a logged label, and their result carries ``label_source = "rule"``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from typing import Final

from agentsoc.events import Kind

DELEGATING_TOPOLOGIES: Final = frozenset({"star", "tree", "hybrid_modular"})
DELEGATING_ROLES: Final = frozenset({"hub", "supervisor", "coordinator", "bridge"})

_ADVERSARIAL: Final = re.compile(
    r"\b(contradict\w*|conflicts?|conflicted|incompatible|oppos(e|es|ed|ing)|reject(s|ed|ing)?|mutually exclusive"
    r"|cannot be both|fundamentally disagree\w*)\b",
    re.IGNORECASE,
)
_CORRECTIVE: Final = re.compile(
    r"\b(incorrect\w*|wrong\w*|errors?|erroneous|mistake\w*|fix(es|ed|ing)?|correct(s|ed|ing|ion|ions)?|should be"
    r"|actually|disagree\w*|conflicting|recalculat\w*|not right)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class LabelledAct:
    """The object holds what the rules look at in one row; ids are the log's own strings."""

    claim: str | None
    parents: tuple[str, ...] = ()
    subtask: str | None = None
    subtask_parent: str | None = None
    topology: str | None = None
    role: str | None = None
    assigns: bool = False
    """The row asks for a subtask, proposes an assignee or records an assigned agent."""
    disagrees_with: tuple[str, ...] = ()
    corrects: tuple[str, ...] = ()
    supports: tuple[str, ...] = ()
    text: str = ""


def is_delegation(act: LabelledAct, seen: Set[str]) -> bool:
    """Return whether a delegating agent hands out a subtask that nobody has named before."""
    delegates = act.topology in DELEGATING_TOPOLOGIES or act.role in DELEGATING_ROLES
    new = act.subtask is not None and act.subtask not in seen
    return delegates and new and act.subtask_parent is not None and act.assigns


def is_contradiction(act: LabelledAct) -> bool:
    """Return whether the act disputes a claim: it says so, or it has a parent and adversarial words."""
    return bool(act.disagrees_with) or (bool(act.parents) and _ADVERSARIAL.search(act.text) is not None)


def is_revision(act: LabelledAct) -> bool:
    """Return whether the act corrects a parent: it says so, or it has corrective words."""
    return bool(act.parents) and (bool(act.corrects) or _CORRECTIVE.search(act.text) is not None)


def is_merge(act: LabelledAct) -> bool:
    """Return whether the act builds on two or more claims."""
    return len(act.parents) >= 2


def is_endorsement(act: LabelledAct) -> bool:
    """Return whether the act supports a claim and builds on one."""
    return bool(act.supports) and bool(act.parents)


_CLAIM_RULES: Final[tuple[tuple[Kind, Callable[[LabelledAct], bool]], ...]] = (
    ("contradict_claim", is_contradiction),
    ("revise_claim", is_revision),
    ("merge_claims", is_merge),
    ("endorse_claim", is_endorsement),
)


def label(act: LabelledAct, seen: Set[str]) -> Kind | None:
    """Return the kind of `act`, the first rule that matches winning; None for a row without a claim.

    Args:
        act: the row.
        seen: subtasks named by earlier rows of the execution.
    """
    if is_delegation(act, seen):
        return "delegate_subtask"
    if act.claim is None:
        return None
    return next((kind for kind, rule in _CLAIM_RULES if rule(act)), "propose_claim")


def label_execution(acts: Iterable[LabelledAct]) -> list[Kind | None]:
    """Return the kinds of the acts of one execution, given in the order in which they happened."""
    seen: set[str] = set()
    kinds: list[Kind | None] = []
    for act in acts:
        kinds.append(label(act, seen))
        if act.subtask is not None:
            seen.add(act.subtask)
    return kinds
