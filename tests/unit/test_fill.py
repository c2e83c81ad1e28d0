"""Budgets of a comparison: the dial that fills each of them, worked out exactly, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agentsoc.errors import InputError, ScenarioError
from agentsoc.experiment.comparison import parse_comparison, stored_comparison
from agentsoc.experiment.fill import Fill, largest_within, read_tokens
from agentsoc.experiment.grid import Grid, make_grid
from agentsoc.experiment.levels import TRIALS_MAX
from agentsoc.experiment.schema import comparison_schema

MODEL = {"kind": "simulated", "compute": 100, "message": 20}
SINGLE = {"topology": "single", "protocol": "vote", "fill": "compute"}
VOTES = {"topology": "independent", "protocol": "vote", "fill": {"dial": "samples", "step": 2}}
DEBATE = {
    "topology": "decentralized", "protocol": {"kind": "debate"}, "agents": {"count": 3}, "fill": "rounds"
}  # fmt: skip
REFINE = {"preset": "self-refine", "fill": "rounds"}


def text(**changes: Any) -> str:
    """Return a comparison at three budgets as YAML, with top-level keys replaced."""
    asked: dict[str, Any] = {
        "name": "levels",
        "base": {"tasks": {"kind": "signal", "count": 4}, "agents": {"model": MODEL}},
        "organisations": {"single": SINGLE, "votes": VOTES, "debate": DEBATE},
        "budgets": ["1k", 500, "2.5k"],
    }
    return yaml.safe_dump(json.loads(json.dumps({**asked, **changes})), sort_keys=False)


def grid(**changes: Any) -> Grid:
    return make_grid(parse_comparison(text(**changes), "c.yaml"))


def faults(**changes: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        grid(**changes)
    return str(caught.value)


def dials(found: Grid) -> dict[tuple[str, int], int | None]:
    return {(one.dial.organisation, one.dial.budget): one.dial.value for one in found.levels}


@pytest.mark.parametrize(
    ("said", "meant"),
    [("1k", 1_000), ("1.5k", 1_500), ("2M", 2_000_000), ("0.5 k", 500), ("700", 700), (900, 900), ("1.5", "1.5"),
     ("1.0001k", "1.0001k"), ("k", "k"), ("-1k", "-1k"), ("1e3", "1e3"), (True, True), (None, None)],
)  # fmt: skip
def test_amounts_of_tokens_are_read_exactly_or_left_as_they_are(said: Any, meant: Any) -> None:
    assert read_tokens(said) == meant


@given(most=st.integers(0, 5_000), limit=st.integers(-1, 6_000))
def test_the_largest_place_that_fits_is_found_with_few_questions(most: int, limit: int) -> None:
    asked: list[int] = []

    def fits(place: int) -> bool:
        asked.append(place)
        return place <= limit

    assert largest_within(most, fits) == (None if limit < 0 else min(most, limit))
    assert len(asked) <= 2 * max(most, 1).bit_length() + 3


def test_every_organisation_is_at_every_budget_on_the_same_tasks_and_seeds() -> None:
    found = grid(seeds=2)
    assert [cell.id for cell in found.cells][:6] == [
        f"{name}-b500-signal-s{seed}" for name in ("single", "votes", "debate") for seed in (0, 1)
    ]
    assert {(cell.organisation, cell.budget) for cell in found.cells} == {
        (name, budget) for name in ("single", "votes", "debate") for budget in (500, 1_000, 2_500)
    }
    assert all(cell.scenario.budget is not None for cell in found.cells)
    assert all(cell.scenario.budget.tokens_per_task == cell.budget for cell in found.cells if cell.scenario.budget)
    assert {cell.scenario.tasks_seed for cell in found.cells if cell.seed == 1} == {1}
    assert found.matched


def test_dials_are_the_largest_that_a_ceiling_pays_for() -> None:
    found = grid()
    taken = {(one.dial.organisation, one.dial.budget): one.dial.tokens for one in found.levels}
    for (name, budget), value in dials(found).items():
        assert value is not None
        # closed forms: think; n answers with a message each; n agents of whom each reads its n - 1 peers
        more = {"single": value + 1, "votes": 120 * (value + 2), "debate": 3 * 120 + value * 3 * (120 + 40)}[name]
        used = {"single": value, "votes": 120 * value, "debate": 3 * 120 + (value - 1) * 3 * (120 + 40)}[name]
        assert taken[name, budget] == used <= budget < more
    assert all(one.dial.how == "exact" for one in found.levels)


def test_what_a_ceiling_does_not_pay_for_is_left_out_with_the_reason() -> None:
    found = grid(budgets=[100, 1_000])
    by_name = {one.dial.organisation: one for one in found.levels if one.dial.budget == 100}
    assert [by_name[name].made is None for name in ("single", "votes", "debate")] == [False, False, True]
    assert by_name["debate"].dial.left_out
    assert by_name["debate"].dial.least_tokens == 360
    assert not [cell for cell in found.cells if cell.organisation == "debate" and cell.budget == 100]


def test_a_dial_that_takes_no_more_tokens_stays_at_its_smallest_value() -> None:
    found = grid(
        organisations={"single": SINGLE, "idle": {"topology": "single", "protocol": "vote", "fill": "iterations"}}
    )
    idle = [one.dial for one in found.levels if one.dial.organisation == "idle"]
    assert {dial.value for dial in idle} == {1}
    assert {dial.reason for dial in idle} == {"it takes no more tokens when it is turned up"}


def test_values_may_be_given_and_an_organisation_needs_no_dial() -> None:
    votes = {**VOTES, "fill": {"dial": "samples", "values": [7, 3, 11]}}
    still = {"topology": "single", "protocol": "vote"}
    found = grid(organisations={"single": still, "votes": votes})
    assert dials(found) == {
        ("single", 500): None, ("single", 1_000): None, ("single", 2_500): None,
        ("votes", 1_000): 7, ("votes", 500): 3, ("votes", 2_500): 11,
    }  # fmt: skip
    assert {cell.n_agents for cell in found.cells if cell.organisation == "votes"} == {3, 7, 11}
    assert {one.dial.how for one in found.levels} == {"none", "given"}


def test_the_smallest_value_is_one_of_which_there_is_a_society() -> None:
    talk = {"topology": {"kind": "decentralized"}, "protocol": {"kind": "debate", "rounds": 2}, "fill": "agents"}
    found = grid(organisations={"single": SINGLE, "talk": talk}, budgets=[2_000, 9_000])
    assert min(value for (name, _), value in dials(found).items() if name == "talk" and value) > 1


def test_where_turns_depend_on_what_is_said_pilots_have_to_set_the_dial() -> None:
    found = grid(organisations={"single": SINGLE, "refine": REFINE}, pilot_tasks=3)
    assert {(one.dial.organisation, one.dial.how) for one in found.levels} == {("single", "exact"), ("refine", "unset")}
    assert {one.dial.value for one in found.unset} == {1}
    known = [one.dial.model_copy(update={"how": "pilot", "value": 4, "pilot_tokens": 9}) for one in found.unset]
    again = make_grid(found.asked, known)
    assert not again.unset
    assert {one.dial.value for one in again.levels if one.dial.organisation == "refine"} == {4}
    assert again.hash != found.hash
    changed = grid(organisations={"single": SINGLE, "refine": REFINE}, pilot_tasks=4)
    assert make_grid(changed.asked, known).unset, "pilots of something else set nothing"


def test_the_plain_data_gives_the_same_cells_again() -> None:
    asked = parse_comparison(text(), "c.yaml")
    again = make_grid(stored_comparison(json.loads(json.dumps(asked.draft.data)), "comparison.json", asked.text_hash))
    assert [(cell.id, cell.hash) for cell in again.cells] == [(cell.id, cell.hash) for cell in make_grid(asked).cells]


def test_a_ceiling_over_all_pays_for_every_budget_or_is_refused() -> None:
    needed = 3 * 4 * (500 + 1_000 + 2_500)
    assert grid(budget_total={"tokens": needed}).matched
    with pytest.raises(InputError, match=f"the budgets of 9 runs come to {needed:,}"):
        grid(budget_total={"tokens": needed - 1})
    organisations = {"single": SINGLE, "refine": REFINE}
    scored, pilots = 2 * 4 * 4_000, TRIALS_MAX * 3 * 4_000
    assert grid(organisations=organisations, pilot_tasks=3, budget_total={"tokens": scored + pilots}).unset
    with pytest.raises(InputError, match=f"pilots to {pilots:,}"):
        grid(organisations=organisations, pilot_tasks=3, budget_total={"tokens": scored + pilots - 1})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budgets": []}, "single has a fill, and the comparison no budgets"),
        ({"budgets": [500, 500]}, "budgets has 500 twice"),
        ({"budgets": ["many"]}, "budgets"),
        ({"budgets": [0]}, "budgets"),
        ({"agents": [3]}, "budgets and agents do not go together"),
        ({"unequal_budgets": True}, "budgets are the same for all"),
        ({"base": {"tasks": {"kind": "signal"}, "budget": {"tokens_per_task": 9}}}, "and so does base.budget"),
        ({"organisations": {"single": SINGLE, "votes": {**VOTES, "fill": "sample"}}}, 'there is no dial "sample"'),
        ({"organisations": {"single": SINGLE, "votes": {**VOTES, "fill": "tasks.count"}}}, "there is no dial"),
        ({"organisations": {"single": SINGLE, "votes": {**VOTES, "fill": {"dial": "samples", "values": [3]}}}},
         "1 values for 3 budgets"),
        ({"organisations": {"single": SINGLE, "votes": {**VOTES, "fill": {"dial": "samples", "most": 2, "least": 3}}}},
         "the largest value, 2, is below the smallest, 3"),
        ({"organisations": {"single": {**SINGLE, "fill": "agents"}, "votes": VOTES}},
         "single fixes its number of agents, so agents fill nothing"),
        ({"organisations": {"single": SINGLE, "votes": {**VOTES, "fill": "protocol.nothing"}}}, "nothing"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused_with_its_place(changes: dict[str, Any], said: str) -> None:
    told = faults(**changes)
    assert said in told
    assert told.startswith("c.yaml:")


def test_editors_know_the_keys() -> None:
    schema = comparison_schema()
    jsonschema.validate(yaml.safe_load(text()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text(organisations={"single": {"fill": 3}, "votes": VOTES})), schema)
    assert Fill(dial="compute").largest > Fill(dial="rounds").largest
