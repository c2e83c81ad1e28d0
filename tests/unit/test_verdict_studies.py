"""What the report says of cascades whose law is known: each sentence where it belongs, and not where it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analysis.cascade_laws.examine import FAST, SEEN, examine
from analysis.cascade_laws.text import laws_as_text
from analysis.observables.audit import design_of
from analysis.observables.sampled import observables, structures
from analysis.tables import EventTable
from benchmarks.planted_cascades import LAWS, Law, program, random_cascades, random_routing, table_of
from benchmarks.study_verdicts import WRONG, words


@pytest.mark.parametrize("roots", [1, 2, 10])
@pytest.mark.parametrize("law", LAWS)
def test_random_sizes_are_neither_deterministic_nor_bounded_by_the_design(law: Law, roots: int) -> None:
    for form in ("star", "chain"):
        for one_seed in (False, True):
            said = words(random_cascades(law, roots, 1, n=200, form=form, one_seed=one_seed))
            assert said
            assert not set(said.values()) & set(WRONG), said


def test_random_choices_under_a_fixed_schedule_are_not_deterministic() -> None:
    assert not set(words(random_routing(1)).values()) & set(WRONG)


@pytest.mark.parametrize("form", ["star", "tree"])
def test_programs_are_deterministic_in_all_that_they_fix(form: Any) -> None:
    for table in (program(form), program(form, agents=(16,))):
        for name, sample in observables(structures(table)).items():
            again = design_of(sample, table).replication
            assert again is not None
            assert again.by_design, name
    assert "deterministic" in words(program("tree")).values()


def test_what_is_the_same_whatever_the_seed_is_deterministic_too() -> None:
    table = program("tree")
    own = EventTable(table.events, table.executions.with_columns(seed="execution"))
    assert "deterministic" in words(own).values()


def grown(stated: list[int] | None) -> EventTable:
    """Return stars of 2 to 9 claims, each of an agent of its own: with N seen, size and N are one."""
    parents: list[int | None] = []
    where: list[int] = []
    agents: list[int] = []
    for e in range(40):
        first = len(parents)
        parents += [None, *[first] * (1 + e % 8)]
        where += [e] * (2 + e % 8)
        agents += range(2 + e % 8)
    return table_of(parents, where, np.array(agents), one_seed=False, n_agents=stated)


def test_n_that_counts_who_acted_is_told_and_nothing_goes_by_it() -> None:
    seen, stated = examine(grown(None), effort=FAST), examine(grown([10, 20] * 20), effort=FAST)
    note, label = "N is not stated for 40 of 40 executions", "which are those that acted in 40 executions"
    assert note in laws_as_text(seen)
    assert note not in laws_as_text(stated)
    assert label in seen.concentration.summary()
    assert label not in stated.concentration.summary()
    assert (seen.laws["cascade_size"].growth, seen.laws["cascade_size"].no_growth) == (None, SEEN)
    assert stated.laws["cascade_size"].growth is not None
    assert seen.audit.cells["n_agents"].null_count() == seen.audit.cells.height
    assert stated.audit.cells["n_agents"].null_count() == 0


def test_only_what_the_design_states_is_a_cap() -> None:
    table = grown([9] * 40)
    assert not any(sample.max_is_cap for sample in observables(structures(table)).values() if sample.unit != "agents")
