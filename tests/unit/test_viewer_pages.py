"""The data of the viewer's pages: of stored runs, of one that is being written, of an imported log, and hostile."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import msgspec
import polars as pl
import pytest

from agentsoc import run
from agentsoc.engine.transcript import transcript
from agentsoc.errors import InputError, LogDamagedError
from agentsoc.log.manifest import load_manifest
from agentsoc.log.read import RunLog
from analysis.importers.store import describe, save
from analysis.tables import from_log
from analysis.viewer.pages.claims import ClaimEdge
from analysis.viewer.pages.episode import episode_page
from analysis.viewer.pages.events import EventFilter, events_page
from analysis.viewer.pages.layout import SPRING_MAX, positions
from analysis.viewer.pages.run import run_page
from analysis.viewer.pages.runs import runs_page
from analysis.viewer.pages.store import open_log
from analysis.viewer.pages.transcript import transcript_page

GOLDEN = Path(__file__).parents[1] / "golden" / "format-2"
SCENARIO = """
name: seen
seed: 3
tasks: {kind: sentiment, count: 6}
agents: {count: 4, model: {kind: simulated, signal: 0.3, compute: 20, message: 5}}
topology: star
protocol: aggregate
"""


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("viewer")
    (base / "s.yaml").write_text(SCENARIO)
    return run(base / "s.yaml", base / "run").directory


@pytest.mark.parametrize("name", ["debated", "orchestrated", "simulated"])
def test_the_page_of_a_run_says_what_its_manifest_says(name: str) -> None:
    log = open_log(GOLDEN / name)
    page, totals = run_page(log), load_manifest(GOLDEN / name).totals
    assert page.score is not None
    assert (page.score.value, page.score.low, page.score.high) == (totals.score, *(totals.score_ci95 or ()))
    assert sum(page.kinds.values()) == page.events == totals.events
    assert {one.name: one.count for one in page.stops} == totals.stops
    assert sum(row.tokens_in for row in page.by_round) == totals.tokens_in
    assert sum(row.calls for row in page.by_round) == totals.calls
    assert [one.task for one in page.tasks] == list(range(totals.episodes))
    delivered = sum(link.deliveries for link in page.society.links)
    assert page.society.exact is (delivered == totals.deliveries) is (name != "orchestrated")
    assert json.loads(msgspec.json.encode(page))["digest"] == page.digest


def test_scores_from_events_are_those_of_the_table_of_episodes(
    simulated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(simulated)
    told = run_page(log).tasks
    monkeypatch.setattr(RunLog, "episodes", lambda _: None)
    again = run_page(log).tasks
    assert [(one.task, one.score, one.answer, one.stop, one.tokens) for one in again] == [
        (one.task, one.score, one.answer, one.stop, one.tokens) for one in told
    ]


def test_a_score_that_is_no_number_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(GOLDEN / "debated")
    table = RunLog(GOLDEN / "debated").episodes()
    assert table is not None
    told = table.with_columns(score=pl.lit(float("inf")))
    monkeypatch.setattr(RunLog, "episodes", lambda _: told)
    assert [one.score for one in run_page(log).tasks] == [None] * 5


def test_an_episode_has_the_claims_of_its_events_with_what_they_build_on() -> None:
    log = open_log(GOLDEN / "debated")
    page = episode_page(log, 1)
    rows = RunLog(GOLDEN / "debated").frame().filter(pl.col("task") == 1)
    minted = rows.filter(pl.col("claim").is_not_null())
    assert {node.id for node in page.claims.nodes} == {log.claim(claim) for claim in minted["claim"]}
    assert page.events == rows.height
    assert page.truth is not None
    assert page.stop == "finished"
    ends = {node.id: node for node in page.claims.nodes}
    assert all(ends[edge.parent].round < edge.round for edge in page.claims.edges)
    wanted = sum(len(parents) for kind, parents in rows.select("kind", "parents").iter_rows() if kind != "vote")
    assert len(page.claims.edges) == wanted
    first = {one.agent: one for one in reversed(page.standings)}
    assert set(first) == set(page.agents)
    assert {one.stand for one in page.standings} <= {"right", "wrong", "other"}


def test_an_endorsement_is_an_edge_without_a_claim_of_its_own() -> None:
    page = episode_page(open_log(GOLDEN / "debated"), 0)
    endorsed = [edge for edge in page.claims.edges if edge.act == "endorse_claim"]
    assert endorsed
    assert {edge.claim for edge in endorsed} == {None}
    assert isinstance(endorsed[0], ClaimEdge)


def test_a_task_that_is_not_there_is_refused() -> None:
    log = open_log(GOLDEN / "debated")
    with pytest.raises(InputError, match="no task 5"):
        episode_page(log, 5)


def test_pages_of_events_are_the_log_in_pieces(simulated: Path) -> None:
    log = open_log(simulated)
    whole = list(RunLog(simulated).events())
    pages = [events_page(log, None, offset, 7).rows for offset in range(0, len(whole), 7)]
    told = [row for page in pages for row in page]
    assert [(row.task, row.round, row.agent, row.k, row.kind) for row in told] == [(*e.place, e.kind) for e in whole]
    assert events_page(log, None, len(whole) + 5).rows == []


def test_filters_let_through_what_they_say() -> None:
    log = open_log(GOLDEN / "debated")
    events = list(RunLog(GOLDEN / "debated").events())
    kinds = Counter(event.kind for event in events)
    assert events_page(log, EventFilter(kinds=("endorse_claim",))).total == kinds["endorse_claim"]
    here = events_page(log, EventFilter(task=2, agent=1, round=0))
    assert here.total == len([e for e in events if (e.task, e.agent, e.round) == (2, 1, 0)]) > 0
    assert {(row.task, row.agent, row.round) for row in here.rows} == {(2, 1, 0)}
    answer = next(e.answer for e in events if e.answer)
    found = events_page(log, EventFilter(text=answer.upper()))
    assert found.total == len([e for e in events if answer.lower() in f"{e.answer}\n{e.text}".lower()])
    assert events_page(log, EventFilter(kinds=("stop",), answer="finished")).total == kinds["stop"]


@pytest.mark.parametrize(
    ("wanted", "offset"), [(EventFilter(kinds=("nothing",)), 0), (EventFilter(text="x" * 201), 0), (EventFilter(), -1)]
)
def test_a_filter_that_cannot_be_is_refused(wanted: EventFilter, offset: int) -> None:
    with pytest.raises(InputError):
        events_page(open_log(GOLDEN / "debated"), wanted, offset)


def test_a_transcript_has_prompts_replies_and_what_came_of_them() -> None:
    log = open_log(GOLDEN / "debated")
    page = transcript_page(log, 0, 2, transcriber=lambda place, task: transcript(place, task))
    assert page.why is None
    calls = [call for turn in page.turns for call in turn.calls]
    journal = [row for row in RunLog(GOLDEN / "debated").journal() if (row.task, row.agent) == (0, 2)]
    assert [call.reply for call in calls] == [row.reply for row in journal]
    assert all(call.messages and call.as_sent for call in calls)
    assert all(turn.acts for turn in page.turns)
    plain = transcript_page(log, 0, 2)
    assert [call.reply for turn in plain.turns for call in turn.calls] == [row.reply for row in journal]
    assert plain.why is not None


def test_simulated_agents_have_acts_and_a_reason_why_no_prompts(simulated: Path) -> None:
    page = transcript_page(open_log(simulated), 0, 1)
    assert page.why == "no model was called: these agents are simulated"
    assert [turn.calls for turn in page.turns] == [[]] * len(page.turns)
    assert page.turns[0].acts[0].kind == "propose_claim"


def test_the_journal_of_one_task_is_that_part_of_the_journal() -> None:
    log = RunLog(GOLDEN / "debated")
    assert list(log.journal(3)) == [row for row in log.journal() if row.task == 3]


def test_a_run_that_goes_on_is_shown_as_far_as_it_got(simulated: Path, tmp_path: Path) -> None:
    place = tmp_path / "going"
    shutil.copytree(simulated, place)
    manifest = load_manifest(place)
    going = manifest.model_copy(update={"status": "running", "segments": [], "digest": None, "episodes_file": None})
    (place / "manifest.sha256").unlink()
    going.save(place)
    log = open_log(place)
    assert log.rows == manifest.totals.events
    page = run_page(log)
    assert page.status == "running"
    assert len(page.tasks) == 6
    (place / "events" / "part-00000.parquet").unlink()
    log.refresh()
    assert log.rows == 0
    assert run_page(log).tasks == []


def test_a_part_of_a_running_log_that_is_no_parquet_is_passed_over(simulated: Path, tmp_path: Path) -> None:
    place = tmp_path / "going"
    shutil.copytree(simulated, place)
    going = load_manifest(place).model_copy(update={"status": "running"})
    going.save(place)
    (place / "events" / "part-00001.parquet").write_bytes(b"no parquet")
    assert open_log(place).rows == going.totals.events


def test_a_segment_that_was_altered_is_refused(simulated: Path, tmp_path: Path) -> None:
    place = tmp_path / "altered"
    shutil.copytree(simulated, place)
    part = place / "events" / "part-00000.parquet"
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises(LogDamagedError, match="bytes differ"):
        episode_page(open_log(place), 0)


def test_a_link_in_place_of_a_segment_is_not_followed(simulated: Path, tmp_path: Path) -> None:
    place = tmp_path / "linked"
    shutil.copytree(simulated, place)
    part = place / "events" / "part-00000.parquet"
    part.rename(tmp_path / "elsewhere")
    part.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LogDamagedError, match="symbolic link"):
        episode_page(open_log(place), 0)


def test_an_imported_log_has_pages_too(tmp_path: Path) -> None:
    frame = RunLog(GOLDEN / "debated").frame()
    save(from_log(frame, run="one", topology="ring"), tmp_path / "log", describe("claims", GOLDEN, {}))
    log = open_log(tmp_path / "log")
    page = run_page(log)
    assert page.status == "imported"
    assert page.society.kind == "ring"
    assert not page.society.built
    assert page.events == frame.height
    assert page.sentence == f"{frame.height} events in 5 executions of 1 run"
    assert episode_page(log, 1).events == frame.filter(pl.col("task") == 1).height
    assert transcript_page(log, 1, 0).why == "an imported log has no prompts"
    assert runs_page(tmp_path).groups[0].kind == "imported"


def test_the_list_of_runs_folds_what_belongs_together(simulated: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        shutil.copytree(simulated, tmp_path / "sweep" / f"seen--seed-{seed}")
        manifest = load_manifest(simulated)
        (tmp_path / "sweep" / f"seen--seed-{seed}" / "manifest.sha256").unlink()
        changed = manifest.scenario | {"seed": seed}
        manifest.model_copy(update={"scenario": changed, "seed": seed}).save(tmp_path / "sweep" / f"seen--seed-{seed}")
    shutil.copytree(simulated, tmp_path / "alone")
    shutil.copytree(simulated, tmp_path / "broken")
    (tmp_path / "broken" / "manifest.json").write_text("{")
    groups = {group.place: group for group in runs_page(tmp_path).groups}
    assert {place: group.kind for place, group in groups.items()} == {"alone": "run", "broken": "run", "sweep": "sweep"}
    assert groups["sweep"].columns == ["seed"]
    assert [one.varied for one in groups["sweep"].runs] == [{"seed": 1}, {"seed": 2}]
    assert groups["broken"].runs[0].status == "damaged"


@pytest.mark.parametrize("n", [0, 1, 2, 59, 100, SPRING_MAX + 1, 5_000])
def test_every_agent_has_a_place_of_its_own_and_the_same_every_time(n: int) -> None:
    links = [(at, (at + 1) % n) for at in range(n)]
    places = positions(n, links)
    assert places.shape == (n, 2)
    assert ((places >= -1e-9) & (places <= 1 + 1e-9)).all()
    assert len({(round(x, 6), round(y, 6)) for x, y in places}) == n
    assert (positions(n, links) == places).all()


def test_levels_are_rows() -> None:
    places = positions(7, [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (6, 2)], [0, 1, 1, 2, 2, 2, 2])
    assert sorted({round(float(y), 3) for y in places[:, 1]}) == [0.0, 0.5, 1.0]
    assert list(places[3:, 0]) == sorted(places[3:, 0])
