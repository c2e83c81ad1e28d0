"""The study of influence counts what scripted agents, who are known, do; and its rule finds handles read as answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agentsoc import Scenario, run
from benchmarks.influence import Places, Said, figures, led, misread, right_by_task, said_in, suspect
from benchmarks.study_influence import RESULTS, Cell, mean, orders, table

ROOT = Path(__file__).parents[2]
TASKS = 4
ORDERS = RESULTS.with_name("orders.json")


def counted(tmp_path: Path, form: str, organisation: str = "debate", kind: str = "arithmetic") -> dict[str, Any]:
    cell = Cell("scripted", form, organisation, kind)
    run(Scenario.model_validate(cell.scenario(TASKS)), tmp_path / "run")
    replies = list(said_in(tmp_path / "run", range(TASKS)))
    n = cell.scenario(TASKS)["agents"]["count"]
    return {"cell": vars(cell), **figures(tmp_path / "run", replies, n, form == "short")}


@pytest.mark.parametrize("form", ["short", "json"])
@pytest.mark.parametrize("kind", ["arithmetic", "choice"])
def test_every_second_round_prompt_of_a_debate_shows_both_claims_and_every_reply_says_what_it_rests_on(
    tmp_path: Path, form: str, kind: str
) -> None:
    found = counted(tmp_path, form, kind=kind)
    assert (found["tasks"], found["replies"]) == (TASKS, 6 * TASKS)
    assert (found["claims_due"], found["claims_shown"], found["shown_less_than_due"]) == (6 * TASKS, 6 * TASKS, 0)
    assert (found["asked"], found["says"], found["names"]) == (3 * TASKS, 3 * TASKS, 3 * TASKS)
    assert found["prompts_as_sent"] == found["replies"]
    assert (found["misread"], found["without_answer"]) == ([], 0)
    assert set(found["acts_on_others"]) <= {"contradict_claim", "endorse_claim", "merge_claims"}
    assert found["acts_on_others"]["contradict_claim"] > 0
    assert found["right_first"] == {task: share for task, share in found["right_first"].items() if 0 <= share <= 1}


def test_a_star_in_the_short_form_is_not_asked_to_name_and_merges_all(tmp_path: Path) -> None:
    found = counted(tmp_path, "short", "star")
    assert (found["asked"], found["claims_due"], found["claims_shown"]) == (0, 3 * TASKS, 3 * TASKS)
    assert set(found["acts_on_others"]) == {"merge_claims"}


def test_a_lead_and_its_workers_are_counted_apart(tmp_path: Path) -> None:
    assert counted(tmp_path / "debate", "short")["led"] == {}
    found = counted(tmp_path / "star", "short", "star")
    workers, lead, taken = (found["led"][name] for name in ("workers_right", "lead_right", "taken"))
    assert (workers[1], lead[1]) == (3 * TASKS, TASKS)
    assert workers[0] + lead[0] == round(4 * sum(found["right_last"].values()))  # of all four agents of a task
    assert 0 <= taken[0] <= taken[1] <= TASKS
    assert "lead right" in "\n".join(table([found | {"finished": True}]))


@pytest.mark.parametrize(
    ("answer", "shown", "taken"),
    [("27", ("27", "3"), (1, 1)), ("9", ("27", "3"), (0, 1)), ("27", ("27", "27"), (0, 0))],
)
def test_a_lead_takes_an_answer_only_where_those_shown_differ(
    answer: str, shown: tuple[str, ...], taken: tuple[int, int]
) -> None:
    worker = said("27", "27", agent=1, shown=0)
    first = said("3", "3", purpose="merge", answers=shown)
    last = said(answer, answer, purpose="merge", answers=shown, attempt=1)
    found = led([worker, first, last])
    assert found == {"workers_right": (1, 1), "lead_right": (int(answer == "27"), 1), "taken": taken}


def test_the_page_says_of_stars_what_the_results_hold() -> None:
    page = (ROOT / "docs" / "influence.md").read_text()
    models, kinds = {"0.5b": "0.5B", "1.5b": "1.5B"}, {"arithmetic": "sums", "choice": "choice"}
    forms = {"short": "short", "json": "JSON"}
    stars = [one for one in json.loads(RESULTS.read_text()) if one.get("led")]
    assert len(stars) == 7
    for one in stars:
        cell = one["cell"]
        names = f"{models[cell['model']]}, {forms[cell['form']]}, {kinds[cell['kind']]}"
        shares = [f"{k} of {n}" for k, n in one["led"].values()]
        acts = ", ".join(f"{n} {kind.split('_')[0]}" for kind, n in one["acts_on_others"].items())
        assert f"| {' | '.join([names, *shares, acts])} |" in page.replace("**", "")


def test_five_voters_under_a_ceiling_are_all_asked_and_prompts_are_reserved_as_they_are(tmp_path: Path) -> None:
    found = counted(tmp_path, "short", "five")
    assert found["replies"] == 5 * TASKS
    assert found["reserved"][0] == found["reserved"][1] > 0
    assert (found["reserved_otherwise"], found["repairs"]) == (0, 0)


def said(text: str, answer: str | None, form: str = "short", shown: int = 2, **changes: Any) -> Said:
    given: dict[str, Any] = {
        "task": 0, "round": 1, "agent": 0, "attempt": 0, "purpose": "answer", "form": form, "due": shown,
        "shown": shown,
        "text": text, "answer": answer, "uses": (), "disputes": (), "says": True, "truth": "27", "own": None,
        "answers": (), "reserved": 1, "tokens_in": 1, "same": True,
    }  # fmt: skip
    return Said(**{**given, **changes})


@pytest.mark.parametrize(
    ("text", "answer", "suspected", "wrong"),
    [
        ("27 #1", "27", False, False),
        ("The answer is 27 (#1)", "1", True, True),
        ("27 not #2", "2", True, True),
        ("Agent 2 gave the correct answer", "2", True, True),
        ("Lines 1 and 2 agree", "2", True, True),
        ("2 #2", "2", True, False),
        ("#2 says 2", "2", True, False),
        ("#9", "9", False, False),  # no such line was shown
        ("none", None, False, False),
    ],
)
def test_a_handle_read_as_an_answer_is_found(text: str, answer: str | None, suspected: bool, wrong: bool) -> None:
    assert (suspect(said(text, answer), 3), misread(said(text, answer), 3)) == (suspected, wrong)


def test_in_json_the_answer_is_looked_for_in_its_field() -> None:
    assert misread(said('{"answer": "see #2", "why": "2"}', "2", "json"), 3)
    assert not misread(said('{"answer": "2", "uses": ["#2"]}', "2", "json"), 3)


def test_places_are_compared_with_a_draw_that_does_not_look_at_them() -> None:
    places = Places()
    for named, shown in (((1,), 2), ((2,), 2), ((1, 2), 2), ((), 2), ((1, 3), 4)):
        places.add(named, shown)
    assert (places.named, places.first, places.chance) == (3, 2, 1.5)


def test_the_last_attempt_of_the_first_round_and_of_the_last_round_count() -> None:
    replies = [
        said("", None), said("", "27", attempt=1), said("", "5", round=2), said("", "27", agent=1),
        said("", None, agent=2), said("", None, purpose="judge", agent=3),
    ]  # fmt: skip
    assert right_by_task(replies) == {0: pytest.approx(2 / 3)}
    assert right_by_task(replies, last=True) == {0: pytest.approx(1 / 3)}


def test_the_table_has_a_row_for_each_cell_and_pairs_the_forms(tmp_path: Path) -> None:
    both = [counted(tmp_path / form, form) for form in ("short", "json")]
    lines = list(table(both))
    assert sum(line.startswith("| scripted, short, debate, arithmetic") for line in lines) == 3
    assert lines[-1] == "| scripted, debate, arithmetic, claims first | 4 | +0.000 [0, 0] |"
    assert mean([0.0, 1.0]).covers(0.5)
    assert not mean([0.2, 0.2, 0.3]).covers(0.5)


def test_the_page_has_the_table_of_orders_and_what_follows_from_their_counts() -> None:
    found = json.loads(ORDERS.read_text())
    page = (ROOT / "docs" / "influence.md").read_text()
    assert "\n".join(orders(found)) in page
    assert len(list(orders(found))) == 2 + 9
    assert sum(one["replies"] for one in found) == 1178
    assert "In 1,178 replies of these runs" in page
    assert all(not one["misread"] and one["claims_shown"] == one["claims_due"] for one in found)
    assert all(one["replays_without_model"] for one in found)
    lost = {}
    for one in found:
        cell = one["cell"]
        if cell["order"] == "claims" and cell["kind"] == "sentiment" and cell["model"] != "smollm2":
            assert set(one["right_first"].values()) == {1.0}
            wrong = [round(3 * (1.0 - right)) for right in one["right_last"].values()]
            lost[cell["model"]] = sum(wrong), 3 * len(wrong), sum(n > 0 for n in wrong), len(wrong)
    assert lost == {"0.5b": (12, 36, 9, 12), "1.5b": (3, 24, 3, 8)}


def test_orders_are_held_against_each_other_only_where_all_else_is_the_same(tmp_path: Path) -> None:
    one = counted(tmp_path, "short")
    other = {**one, "cell": {**one["cell"], "order": "question"}}
    lines = list(orders([one, other, {**one, "cell": {**one["cell"], "kind": "choice"}}]))
    assert len(lines) == 3
    assert re.search(r"\| \+0\.00 \[-0\.\d+, \+0\.\d+\], 1\.00 \|", lines[2]), "alike is not certain"
    assert "question first" in "\n".join(table([one, other]))
    assert "last: question first" not in "\n".join(table([one]))
