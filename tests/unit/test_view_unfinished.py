"""Runs that are not finished, and logs of other frameworks, say in the viewer what is not known of them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentsoc.engine.transcript import events_so_far
from agentsoc.errors import InputError, LogDamagedError
from agentsoc.log.manifest import load_manifest
from agentsoc.log.read import RunLog
from analysis.importers.store import describe, save
from analysis.tables import from_log
from analysis.viewer.document.run_section import run_html
from analysis.viewer.pages import store
from analysis.viewer.pages.run import NOT_TOLD, models_of, run_page
from analysis.viewer.pages.store import open_log
from analysis.viewer.server import answers
from analysis.viewer.server.app import ANSWERS, answered
from analysis.viewer.server.places import Means, ViewedPlaces
from tests.sides import told_apart

ALL = ("running", "interrupted", "failed", "finished", "imported")
GOLDEN = Path(__file__).parents[1] / "golden" / "format-2"


def unfinished(place: Path, status: Any) -> Path:
    """Copy a stored run as if it had not been finished: no table of episodes, no digest."""
    shutil.copytree(GOLDEN / "debated", place)
    changes = {"status": status, "digest": None, "episodes_file": None}
    going = load_manifest(place).model_copy(update=changes)
    (place / "manifest.sha256").unlink(missing_ok=True)
    going.save(place)
    return place


@pytest.fixture
def places(tmp_path: Path) -> ViewedPlaces:
    for status in ("running", "interrupted", "failed"):
        unfinished(tmp_path / status, status)
    shutil.copytree(GOLDEN / "debated", tmp_path / "finished")
    frame = RunLog(GOLDEN / "debated").frame()
    save(from_log(frame.filter(frame["kind"] != "stop"), run="one"), tmp_path / "imported", describe("x", GOLDEN, {}))
    return ViewedPlaces(tmp_path, Means(replayer=lambda place: "replayed"))


def told(places: ViewedPlaces, what: str, **at: str) -> Any:
    found, status = answered(ANSWERS[what], places, at)
    assert status == 200, found
    return found


def test_each_says_why_it_is_not_replayed_from_its_page(places: ViewedPlaces, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(places, "run", place="finished")["can_replay"] is True
    why = {place: told(places, "run", place=place)["no_replay"] for place in ("imported", "interrupted", "running")}
    with monkeypatch.context() as patch:
        patch.setattr(answers, "REPLAY_MAX", 10)
        small = ViewedPlaces(places.root, places.means)
        large = told(small, "run", place="finished")
    assert large["can_replay"] is False
    told_apart(
        {
            "An imported log has no journal, so there is nothing to replay.": why["imported"],
            "A run can be replayed once it is finished.": (why["interrupted"], why["running"]),
            "A run of more than 10 events is not replayed from here: agentsoc replay does it.": large["no_replay"],
        }
    )


def test_tasks_that_did_not_end_are_listed_and_do_not_go_on_where_the_run_does_not(places: ViewedPlaces) -> None:
    ends = {place: told(places, "episode", place=place, task="0")["not_ended"] for place in ALL}
    assert ends["running"] == "under way"
    assert ends["imported"] == NOT_TOLD
    told_apart(
        {
            "not ended: the run is interrupted": ends["interrupted"],
            "not ended: the run is failed": ends["failed"],
        },
        NOT_TOLD,
    )
    listed = told(places, "tasks", place="interrupted")
    assert [row["task"] for row in listed["rows"]] == [0, 1, 2, 3, 4]
    assert told(places, "tasks", place="imported")["rows"][0]["stop"] == NOT_TOLD
    assert told(places, "tasks", place="imported", which="unfinished")["total"] == 0


def test_a_run_that_did_not_finish_has_the_tasks_of_its_table_and_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = unfinished(tmp_path / "run", "interrupted")
    whole = RunLog(GOLDEN / "debated").episodes()
    assert whole is not None
    monkeypatch.setattr(RunLog, "episodes", lambda log: whole.filter(whole["task"] < 2))
    tasks = run_page(open_log(place), whole=False).tasks
    assert [one.task for one in tasks] == [0, 1, 2, 3, 4]
    assert tasks[0].stop == whole["stop"][0]


def test_what_is_not_known_is_not_said(places: ViewedPlaces) -> None:
    html = {place: run_html(run_page(open_log(places.root / place))) for place in ALL}
    behind = "What is counted below is what its manifest says, which is written now and then."
    others = (html["running"], html["interrupted"], html["failed"])
    told_apart({behind: html["running"]}, html["interrupted"], html["finished"], html["imported"])
    told_apart({"none: the run is not finished": others}, html["finished"], html["imported"])
    for word in ("deliveries", "0 failed", "seed", "models"):
        assert word in html["finished"]
        assert word not in html["imported"]
    told_apart({"agentsoc resume": others, "agentsoc replay": html["finished"]}, html["imported"])


def test_a_run_says_how_long_nothing_was_written_and_what_goes_on_with_it(places: ViewedPlaces) -> None:
    place = places.root / "running"
    for name in ("manifest.json", "journal.sqlite"):
        os.utime(place / name, (1_000_000_000, 1_000_000_000))
    found = told(places, "state", place="running")
    assert found["quiet_s"] > 3600
    assert found["resume"] == f"agentsoc resume {place}"
    (place / "manifest.json").touch()
    assert told(places, "state", place="running")["quiet_s"] < 600
    shutil.rmtree(place)
    assert told(places, "state", place="running")["quiet_s"] == 0


def test_what_is_no_comparison_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "comparison.json").touch()
    shutil.copytree(GOLDEN / "debated", tmp_path / "debated")
    places = ViewedPlaces(tmp_path, Means())
    for place in ("debated", "nowhere", "."):
        found, status = answered(ANSWERS["compare"], places, {"place": place})
        assert status == 404
        assert found["error"].endswith("there is no comparison here")
        assert "no report yet" not in found["error"]
    found, _ = answered(ANSWERS["compare"], places, {"place": "two"})
    assert found["error"].endswith("this comparison has no report yet")


def test_an_episode_whose_rounds_cannot_be_worked_out_yet_says_so_and_lists_its_agents(
    places: ViewedPlaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = places.root / "running"
    for part in (place / "events").iterdir():
        part.unlink()
    load_manifest(place).model_copy(update={"segments": []}).save(place)

    def asked() -> Any:
        means = Means(teller=events_so_far)
        return told(ViewedPlaces(places.root, means), "episode", place="running", task="0")

    whole = asked()
    assert whole["behind"] is None
    assert whole["rounds"]
    monkeypatch.setattr(store, "LIVE_BYTES", 10)
    large = asked()
    assert large["behind"] == answers.BEHIND.format(why="the journal is larger than 0 MiB")
    assert large["rounds"] == []
    assert large["agents"] == list(range(6))
    told_apart(
        {"What stands in no segment of the log yet cannot be worked out here": large["behind"]}, str(whole["behind"])
    )


def test_why_rounds_are_missing_is_told_for_each_task_of_its_own(places: ViewedPlaces) -> None:
    place = places.root / "running"
    for part in (place / "events").iterdir():
        part.unlink()
    load_manifest(place).model_copy(update={"segments": []}).save(place)

    def tell(directory: Path, task: int) -> Any:
        if task == 1:
            raise LogDamagedError("the journal is not what was written", "journal.sqlite")
        if task == 2:
            raise InputError("the run needs code that was not given", "part.py", "--allow-code")
        return events_so_far(directory, task)

    viewed = ViewedPlaces(places.root, Means(teller=tell))  # one log for all, as a page has it
    found = [told(viewed, "episode", place="running", task=str(task)) for task in (0, 1, 2, 0, 1)]
    assert [bool(one["rounds"]) for one in found] == [True, False, False, True, False]
    assert [one["behind"] is None for one in found] == [True, False, False, True, False]
    assert [one["agents"] for one in found[1:3]] == [list(range(6))] * 2
    unread = told(ViewedPlaces(places.root, Means()), "episode", place="running", task="0")
    told_apart(
        {
            "the journal is not what was written": (found[1]["behind"], found[4]["behind"]),
            "the run needs code that was not given": found[2]["behind"],
            "this page only reads segments": unread["behind"],
        },
        "the journal is larger than 32 MiB",
    )


def test_calls_that_no_event_tells_of_are_counted_and_seen_with_their_agents(tmp_path: Path) -> None:
    """A run that ended in its first round has no event at all."""
    place = unfinished(tmp_path / "dead", "failed")
    for part in (place / "events").iterdir():
        part.unlink()
    dead = load_manifest(place)
    totals = dead.totals.model_copy(update={"events": 0, "calls_failed": 2})
    dead.model_copy(update={"segments": [], "unanswered": 5, "totals": totals}).save(place)
    page = run_page(open_log(place), whole=False)
    assert (page.calls_failed, page.unanswered) == (7, 5)
    none = run_html(msgspec.structs.replace(page, calls_failed=2, unanswered=0))
    told_apart({"; 5 more had failed when the run ended": run_html(page)}, none)
    assert "2 failed, 0 lost; 5 more" in run_html(page)
    found = told(ViewedPlaces(tmp_path, Means()), "episode", place="dead", task="0")
    assert found["agents"] == list(range(6))


def test_a_run_that_did_not_finish_says_of_how_many_tasks(places: ViewedPlaces) -> None:
    pages = {place: run_page(open_log(places.root / place), whole=False) for place in ("interrupted", "finished")}
    assert pages["interrupted"].planned == 5
    html = {place: run_html(page) for place, page in pages.items()}
    unknown = run_html(msgspec.structs.replace(pages["interrupted"], planned=0))
    told_apart({"5 of 5 tasks ended.": html["interrupted"]}, html["finished"], unknown)


def test_the_model_of_a_provider_is_told_by_its_name() -> None:
    manifest = load_manifest(GOLDEN / "debated")
    groups = [
        {"model": model} for model in ({"kind": "litellm", "name": "openai/m"}, {"kind": "policy", "name": "best"})
    ]
    assert models_of(manifest.model_copy(update={"scenario": {"agents": groups}})) == ["openai/m", "policy"]
