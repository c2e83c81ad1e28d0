"""Both sides of what the viewer's documents say: where a sentence belongs, and where it must not stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from agentsoc.engine.transcript import transcript
from agentsoc.errors import InputError
from agentsoc.log.read import RunLog
from analysis.importers.store import describe, save
from analysis.tables import from_log
from analysis.viewer.charts.comparisons import cost_chart, forest_chart
from analysis.viewer.charts.escape import escaped
from analysis.viewer.charts.phases import depth_chart, plane_chart
from analysis.viewer.charts.plans import plan_chart
from analysis.viewer.charts.runs import rounds_chart, society_chart, strip_chart
from analysis.viewer.charts.svg import Chart
from analysis.viewer.charts.tails import growth_chart, tail_chart
from analysis.viewer.document.episodes import pack_episodes
from analysis.viewer.document.parts import table_html
from analysis.viewer.document.result_sections import compare_html, laws_html, phase_html
from analysis.viewer.document.run_section import run_html
from analysis.viewer.pages import transcript as transcripts
from analysis.viewer.pages.compare import compare_page
from analysis.viewer.pages.episode import episode_page
from analysis.viewer.pages.laws import laws_page
from analysis.viewer.pages.phase import MEANINGS, Parameter, phase_page
from analysis.viewer.pages.plain import Span
from analysis.viewer.pages.plan import PlannedDesign, PlanPage
from analysis.viewer.pages.run import BudgetLine, RoundTokens, RunPage, run_page, run_sentence
from analysis.viewer.pages.society import society_map
from analysis.viewer.pages.store import LogPart, open_log
from analysis.viewer.pages.transcript import transcript_page
from tests.sides import told_apart
from tests.viewer_results import some_laws, some_measurements

GOLDEN = Path(__file__).parents[1] / "golden" / "format-2"


def description(chart: Chart | None) -> str:
    assert chart is not None
    return chart.description


def page(**changes: Any) -> RunPage:
    """Return the page of a stored run with changes."""
    return msgspec.structs.replace(run_page(open_log(GOLDEN / "debated")), **changes)


def of_budget(**changes: Any) -> RunPage:
    return page(budget=msgspec.structs.replace(BudgetLine(10, 0, None, None, 0, None), **changes))


def test_what_was_spent_called_and_missed_is_told_where_it_was() -> None:
    usual = run_html(of_budget())
    told_apart(
        {
            "0.5 by the prices of the scenario": run_html(of_budget(cost=0.5)),
            ", 7 beyond the caps that were sent": run_html(of_budget(overrun=7)),
            "3 made, 1 beyond a limit": run_html(page(tool_calls=(3, 1))),
            "none: the run is not finished": run_html(page(digest=None)),
            "Links are those that the log shows: a society too large": run_html(
                page(society=msgspec.structs.replace(page().society, built=False, why="a society too large"))
            ),
        },
        usual,
    )
    assert " in 15 rounds, " in usual


def test_a_run_says_its_score_or_that_no_episode_has_ended() -> None:
    manifest = RunLog(GOLDEN / "debated").manifest
    before = manifest.model_copy(update={"totals": manifest.totals.model_copy(update={"score": None})})
    begun = "6 agents in the organisation small-world, by the protocol debate, on tasks of multiple-choice"
    told_apart(
        {
            ": no episode has ended.": run_sentence(before),
            ": score 1.000, 95 % between 0.566 and 1.000, 5 tasks.": run_sentence(manifest),
        }
    )
    assert run_sentence(before).startswith(begun)
    assert begun not in run_sentence(RunLog(GOLDEN / "simulated").manifest)


def test_a_strip_says_what_a_cell_is() -> None:
    few = page()
    many = page(tasks=few.tasks * 200, tasks_in_all=1000)
    told_apart(
        {
            "one cell a task": description(strip_chart(few)),
            "one cell for 2 tasks, their mean": description(strip_chart(many)),
        }
    )
    assert "In the order of tasks, one cell a task." in description(strip_chart(few))


def test_rounds_say_how_many_are_in_a_bar() -> None:
    long = page(by_round=[RoundTokens(at, "vote", 1, 10, 1) for at in range(130)])
    few, many = rounds_chart(page()), rounds_chart(long)
    assert few is not None
    assert many is not None
    told_apart({"round, 3 in a bar": many.svg}, few.svg)
    assert "Input and output together, by the first act that came of each turn." in description(few)


def test_a_society_says_what_its_links_are(tmp_path: Path) -> None:
    built = society_map(open_log(GOLDEN / "debated"))
    save(from_log(RunLog(GOLDEN / "debated").frame(), run="one"), tmp_path / "log", describe("claims", GOLDEN, {}))
    shown = society_map(open_log(tmp_path / "log"))
    assert shown.why == "an imported log has no scenario"
    first, second = description(society_chart(built)), description(society_chart(shown))
    told_apart(
        {
            "who may address whom": first,
            "acts that could be heard": first,
            "whose claims others built on": second,
            "claims that were built on": second,
        }
    )
    assert "an imported log has no scenario" not in str(built.why)
    assert first.startswith("Lines are who may address whom, their width acts that could be heard; roles: ")


def test_why_a_society_is_not_built_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(GOLDEN / "debated")
    assert log.run is not None
    known = society_map(log)
    stated = log.run.manifest.scenario
    groups = [{**stated["agents"][0], "count": 3000}]
    manifest, maps = log.run.manifest, []
    for scenario in (stated | {"agents": groups}, stated | {"topology": {"kind": "nowhere"}}):
        monkeypatch.setattr(log.run, "manifest", manifest.model_copy(update={"scenario": scenario}))
        maps.append(society_map(log))
    large, strange = maps
    told_apart(
        {
            "a society of 3,000 agents: its links are those that the log shows": str(large.why),
            "the topology cannot be built here: ": str(strange.why),
        },
        str(known.why),
    )


def test_who_was_wrong_first_is_told_or_nobody() -> None:
    log = open_log(GOLDEN / "debated")
    told = [episode_page(log, task) for task in range(5)]
    for found in told:
        wrong = [one for one in found.standings if one.stand in ("wrong", "other")]
        assert (found.first_wrong is None) is (not wrong)
        if wrong:
            assert f"{found.first_wrong}".endswith(f", in round {wrong[0].round}")
            assert f"{wrong[0].agent}" in str(found.first_wrong)
    assert {one.stand for found in told for one in found.standings} >= {"right", "wrong"}
    assert ", in round 0" not in str(episode_page(open_log(GOLDEN / "simulated"), 0).stop)


def test_why_prompts_are_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(GOLDEN / "debated")

    def refuse(place: Path, task: int) -> list[Any]:
        raise InputError("this run needs code", str(place))

    there = transcript_page(log, 0, 1, transcriber=lambda place, task: transcript(place, task))
    refused, left_out = (transcript_page(log, 0, 1, transcriber=one).why for one in (refuse, None))
    monkeypatch.setattr(transcripts, "JOURNAL_MAX", 100)
    told_apart(
        {
            "the prompts cannot be written again: ": str(refused),
            "the prompts are not written again here": str(left_out),
            "the journal is too large to be read here (": str(transcript_page(log, 0, 1).why),
            " bytes); agentsoc show --prompts reads it": str(transcript_page(log, 0, 1).why),
        },
        str(there.why),
    )


def test_what_a_document_leaves_out_is_told() -> None:
    log = open_log(GOLDEN / "simulated")
    whole = pack_episodes(log, run_page(log), limit=1_000_000)
    some = " ".join(pack_episodes(log, run_page(log), limit=len(whole.packed) // 2).notes)
    none = " ".join(pack_episodes(log, run_page(log), limit=10).notes)
    told_apart(
        {
            " episodes are in this document, at equal distances, so that it stays small; "
            "agentsoc show has all of them.": some,
            "No episode is in this document: even one would be too large.": none,
        },
        " ".join(whole.notes),
    )
    text = gzipped(whole.packed)
    assert "The prompts and replies of this episode are not in this document." in text
    assert "Prompts and replies are here for " not in some + none


def gzipped(packed: bytes) -> str:
    import gzip

    return gzip.decompress(packed).decode()


def test_tables_and_texts_say_where_they_were_cut() -> None:
    rows = [(at,) for at in range(7)]
    told_apart({"... and 2 more rows": table_html(("n",), rows, limit=5)}, table_html(("n",), rows))
    told_apart({" ... cut, 30 characters in all": escaped("x" * 30, 10)}, escaped("x" * 30))


def test_tails_say_which_models_were_fitted() -> None:
    lines = laws_page(some_laws().as_dict()).laws
    fitted = next(one for one in lines if one.xmin is not None)
    assert fitted.tail is not None
    bare = msgspec.structs.replace(fitted, tail=msgspec.structs.replace(fitted.tail, fits={}, fit_x=[]))
    told_apart(
        {
            " Models above xmin = ": description(tail_chart(fitted)),
            " No model was fitted.": description(tail_chart(bare)),
        }
    )
    assert description(tail_chart(bare)).startswith("Dots are the data.")
    assert fitted.growth is not None
    gamma = Span(0.5, 0.3, 0.7)
    growth = msgspec.structs.replace(fitted.growth, gamma=gamma, n=[2.0, 4.0], mean=[1.0, 2.0], reason=None)
    grown = msgspec.structs.replace(fitted, growth=growth)
    assert "The dashed line is N to the power of 0.5 [0.3, 0.7]." in description(growth_chart(grown))
    without = msgspec.structs.replace(grown, growth=msgspec.structs.replace(growth, gamma=None, reason="one N only"))
    pages = [
        laws_html(msgspec.structs.replace(laws_page(some_laws().as_dict()), laws=[one])) for one in (grown, without)
    ]
    told_apart({"No growth exponent: one N only": pages[1]}, pages[0])


def test_the_phase_says_its_regime_and_where_it_stands() -> None:
    found = {}
    for verdict in ("amplify", "collapse", "undecided", "else"):
        measured = some_measurements()
        before = measured.verdict
        object.__setattr__(measured, "verdict", verdict)
        found[verdict] = phase_html(phase_page(measured))
        object.__setattr__(measured, "verdict", before)
    told_apart(
        {
            "Trees of these agents amplify a weak signal.": found["amplify"],
            "Trees of these agents lose their signal.": found["collapse"],
            "Whether trees of these agents amplify or lose their signal is not decided by this much data.": found[
                "undecided"
            ],
            "No regime is told.": found["else"],
        }
    )
    there = phase_page(some_measurements())
    surest, middling = (phase_html(msgspec.structs.replace(there, probabilities={"amplify": p})) for p in (1.0, 0.614))
    told_apart({"P(amplify) &gt; 0.99": surest, "P(amplify) = 0.61": middling})  # never a certainty
    nowhere = msgspec.structs.replace(there, plane=msgspec.structs.replace(there.plane, point=None, cloud=[]))
    told_apart(
        {
            "No point was measured.": plane_chart(nowhere).description,
            "past the boundary.": plane_chart(there).description,
            " Small dots are draws of the bootstrap.": plane_chart(there).description,
        }
    )
    named = {"alpha_beta_binomial": there.parameters[0].value, "alpha_gauss_factor": None}
    several = [Parameter(name, MEANINGS[name], value) for name, value in named.items()]
    told_apart(
        {
            "growth of a weak signal per level where shared errors are beta-binomial": phase_html(
                msgspec.structs.replace(there, parameters=several[:1])
            ),
            "the same where shared errors come of a Gaussian factor": phase_html(
                msgspec.structs.replace(there, parameters=several[1:])
            ),
        },
        phase_html(there),
    )
    told = description(depth_chart(there))
    line = "The line is the exact recursion from the strongest measured leaf, between proven bounds"
    told_apart({f"{line} (dashed: the lower, dotted: the upper).": told}, plane_chart(there).description)


def test_comparisons_say_who_is_on_the_front_and_how_runs_ended() -> None:
    def score(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 0.1, "high": value + 0.1}

    row = {"organisation": "b", "mean": score(0.5), "difference": score(0.15)}
    block = {"comparison": {"baseline": {"organisation": "a", "mean": score(0.4)}, "rows": [row]}}
    spent = {"tokens": {"value": 3.0, "low": 2.0, "high": 4.0}}
    report = {"verdict": "v", "blocks": [block], "metrics": {"a": spent, "b": spent}, "stops": {"b": {"finished": 4}}}
    ended = compare_page(report | {"stops": {"b": {"finished": 1, "budget_exhausted": 3}}})
    usual = compare_html(compare_page(report))
    told_apart({"b: of 4 episodes 3 ended by budget exhausted": compare_html(ended)}, usual)
    front, forest = description(cost_chart(ended)), description(forest_chart(ended))
    assert front == "Nobody scores more for fewer tokens than: b (filled, joined by the dashed line)."
    assert forest == "One row an organisation. The interval leaves 0 out for: b (filled dots)."


def test_plans_say_which_design_is_best() -> None:
    designs = [
        PlannedDesign("a star", "star", Span(0.4, 0.3, 0.5), 0.9),
        PlannedDesign("one agent", "single", Span(0.3), None),
    ]
    assert description(plan_chart(PlanPage("s", "t", 1.0, designs))) == "The best comes first (filled)."
    assert plan_chart(PlanPage("s", "t", 1.0, [])) is None
    told = []
    for p in (1.0, 0.61, None):
        chart = plan_chart(PlanPage("s", "t", 1.0, [msgspec.structs.replace(designs[0], p=p)]))
        assert chart is not None
        told.append(chart.table.rows[0][-1])
    assert told == ["> 0.99", "0.61", "-"], "never a certainty"


def test_an_episode_that_goes_on_says_so() -> None:
    log = open_log(GOLDEN / "debated")
    ended = run_page(log).tasks[0].stop
    whole = log.rows_of(0, 0, log.rows).filter(~pl.col("kind").is_in(["stop"]))
    log.parts = [LogPart(whole.height, lambda names: iter([whole if names is None else whole.select(names)]))]
    assert log.run is not None
    object.__setattr__(log.run, "episodes", lambda: None)
    object.__setattr__(log.run, "manifest", log.run.manifest.model_copy(update={"status": "running"}))
    told_apart({"under way": run_page(log).tasks[0].stop}, ended)
