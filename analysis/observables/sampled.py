"""This module samples the observables of coordination; each value remembers the execution that it came from.

Names are those of the published study of intellectual elites (arXiv 2604.02674) where it has one. The unit is one
execution; samples pool over executions and drop zeros. Two are added for logs that carry no roots or chains of their
own: `tce` (from the claim graph) next to `tce_logged`, and revision chains rebuilt from the claim graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from agentsoc.errors import InputError
from analysis.observables import acts as acts
from analysis.observables import claims as claims
from analysis.observables.base import OBSERVABLES, Sample, Structures, effort, measured, structures

__all__ = ["Sample", "Structures", "effort", "observables", "structures"]


def observables(found: Structures) -> dict[str, Sample]:
    """Return every observable that the log can give, by name; those without a single value are left out.

    Raises:
        InputError: a package adds an observable under a name that is taken, or one whose values are no sample.
    """
    return {name: sample for name, sample in all_samples(found).items() if sample.n}


def all_samples(found: Structures) -> dict[str, Sample]:
    """Return every observable by name, those without a value as well; see `observables`."""
    samples = [make(found) for make in BUILT_IN]
    added = {name: measured(name, one, found) for name, one in OBSERVABLES.all().items()}
    if taken := sorted(set(added) & {sample.name for sample in samples}):
        raise InputError(f"the observable {taken[0]} is built in", OBSERVABLES.group, "give the added one another name")
    return {sample.name: sample for sample in (*samples, *added.values())}


BUILT_IN: Final[tuple[Callable[[Structures], Sample], ...]] = (
    acts.delegation_subtree,
    acts.subtask_tree,
    acts.revision_chain_len,
    acts.contradiction_burst_logged,
    acts.contradiction_burst_recomputed,
    claims.merge_fan_in,
    claims.tce_logged,
    claims.tce,
    claims.cascade_size,
    claims.claim_descendant_count,
    claims.claim_out_degree,
    claims.claim_in_degree,
    claims.claim_depth,
    claims.agent_out_strength,
    claims.agent_out_degree,
    claims.agent_descendant_influence,
    claims.agent_unique_descendant_reach,
    acts.agent_effort_events,
    acts.agent_effort_tokens,
    acts.tce_tokens_execution,
    acts.message_tokens_output,
)
