"""Everything that agentsoc ships is in the tables that properties draw from: a new part without its row fails here.

The rows are in `tests/strategies.py` (`societies`, `topology_cases`, `EDGES`, `COUNTED`), `property/test_tasks.py`
(`WELL_FORMED`) and `contract/backends.py` (`CASES`). Whether a kind has a row is tried by drawing it, not by reading a
list of names.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from agentsoc.contracts.model import MODELS
from agentsoc.contracts.part import Part, Slot, kind_of
from agentsoc.contracts.policy import POLICIES
from agentsoc.contracts.protocol import PROTOCOLS
from agentsoc.contracts.task import TASKS
from agentsoc.contracts.topology import TOPOLOGIES
from agentsoc.society.build import build_society
from docs.generate import own_kinds
from tests.contract import backends
from tests.property import test_tasks
from tests.strategies import COUNTED, EDGES, scenario, societies, topology_cases

LONG = settings(
    max_examples=3_000,
    database=None,
    derandomize=True,
    phases=(Phase.generate,),  # the first that is found will do; nobody needs the smallest
    suppress_health_check=list(HealthCheck),
)
SLOTS: dict[str, Slot[Any]] = {
    "topology": TOPOLOGIES,
    "protocol": PROTOCOLS,
    "tasks": TASKS,
    "policy": POLICIES,
    "model": MODELS,
}
ALL = [(name, kind) for name, slot in SLOTS.items() for kind in own_kinds(slot)]


def of(name: str) -> list[str]:
    """Return the kinds that are shipped of a slot."""
    return [kind for slot, kind in ALL if slot == name]


def drawn(strategy: st.SearchStrategy[Any], holds: Any) -> Any:
    """Return something that is drawn and holds; `hypothesis.errors.NoSuchExample` when there is no such row."""
    return find(strategy, holds, settings=LONG)


First = dict[tuple[str, str], dict[str, Any]]


def kinds_in(parts: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return the slots and kinds that a society was drawn with."""
    policy = (parts["budget"] or {}).get("policy") or {}
    blocks = {"topology": parts["topology"], "protocol": parts["protocol"], "policy": policy}
    return {(slot, block["kind"]) for slot, block in blocks.items() if "kind" in block}


@pytest.fixture(scope="module")
def first() -> First:
    """The first society that is drawn with each kind: all kinds are looked for in the same draws, for these are slow.

    A kind without a row is not among them after as many draws as there are, and its own test says so.
    """
    wanted = {(slot, kind) for slot, kind in ALL if slot in ("topology", "protocol", "policy")}
    wanted -= {("protocol", kind) for kind in PLAYED}
    found: First = {}

    def nothing_is_left(parts: dict[str, Any]) -> bool:
        for which in kinds_in(parts):
            found.setdefault(which, parts)
        return wanted <= found.keys()

    with contextlib.suppress(NoSuchExample):
        drawn(societies(), nothing_is_left)
    return found


@pytest.mark.parametrize("kind", of("topology"))
def test_a_topology_has_a_row_of_sizes_and_settings_and_one_of_edges(kind: str) -> None:
    assert drawn(topology_cases(), lambda case: case.topology.kind == kind)
    assert kind in EDGES


@pytest.mark.parametrize("kind", of("topology"))
def test_whole_societies_are_drawn_with_each_topology(kind: str, first: First) -> None:
    assert ("topology", kind) in first
    assert build_society(scenario(**first["topology", kind])).wiring.kind == kind


PLAYED = {"play": "it leads agents through an environment, which random tasks have none of; see unit/test_play.py"}
"""Protocols that random societies are not drawn with."""


@pytest.mark.parametrize("kind", [kind for kind in of("protocol") if kind not in PLAYED])
def test_whole_societies_are_drawn_with_each_protocol_and_its_calls_have_a_closed_form(kind: str, first: First) -> None:
    assert ("protocol", kind) in first
    assert build_society(scenario(**first["protocol", kind])).scenario.protocol.kind == kind
    assert kind in COUNTED


@pytest.mark.parametrize("kind", of("policy"))
def test_whole_societies_are_drawn_with_each_budget_policy(kind: str, first: First) -> None:
    assert ("policy", kind) in first
    assert build_society(scenario(**first["policy", kind])).n


NEED_MORE = {
    "reasoning-gym": "its families are a package of others",
    "jsonl": "its tasks are a file",
    "episodes": "its tasks are an environment's",
}
"""Families that no seed alone makes; they have test files of their own."""


@pytest.mark.parametrize("kind", of("tasks"))
def test_a_task_family_has_a_row(kind: str) -> None:
    if kind not in NEED_MORE:
        assert drawn(test_tasks.WELL_FORMED[kind], lambda family: family.kind == kind)


@pytest.mark.parametrize("kind", [kind for kind in of("model") if kind != "policy"])  # which asks nobody
def test_a_model_is_held_to_the_contract_of_backends(kind: str) -> None:
    assert [case for case in backends.CASES if case.name.partition("-")[0] == kind]


@pytest.mark.parametrize(("slot", "kind"), ALL)
def test_a_part_is_named_as_it_is_registered_and_says_what_it_is(slot: str, kind: str) -> None:
    cls: type[Part] = SLOTS[slot].find(kind)
    assert kind_of(cls) == kind
    assert (cls.__doc__ or "").strip()
