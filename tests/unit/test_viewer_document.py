"""The HTML document: real results in it, texts as text, no request, a size that holds, no script but its own."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import msgspec
import polars as pl
import pytest

from agentsoc import run
from agentsoc.cli import main
from agentsoc.engine.transcript import transcript
from agentsoc.errors import InputError
from agentsoc.log.read import RunLog
from analysis.comparison.crossovers import Verdict
from analysis.importers.store import describe, save
from analysis.tables import from_log
from analysis.viewer.charts.escape import visible
from analysis.viewer.document import episodes, sources
from analysis.viewer.document.parts import SCRIPT, STYLE
from analysis.viewer.document.result_sections import (
    NOT_MATCHED,
    compare_html,
    crossover_words,
    laws_html,
    phase_html,
)
from analysis.viewer.document.run_section import budget_words, run_html
from analysis.viewer.document.sources import data_section, report_document
from analysis.viewer.document.whole import SIZE_MAX, document
from analysis.viewer.pages.compare import CrossoverLine, compare_page, read_report
from analysis.viewer.pages.laws import laws_page
from analysis.viewer.pages.phase import phase_page
from analysis.viewer.pages.plain import Span
from analysis.viewer.pages.run import BudgetLine, run_page
from analysis.viewer.pages.store import open_log
from tests.sides import told_apart
from tests.viewer_results import a_comparison, some_laws, some_measurements

GOLDEN = Path(__file__).parents[1] / "golden" / "format-2"
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"onmouseover='alert(1)' x=\"",
    "javascript:alert(1)",
    "<svg/onload=alert(1)>",
    "<!-- <style>@import url(http://x.example/)</style>",
    "]]><![CDATA[",
    "&lt;b&gt; &amp;amp;",
    "{{7*7}} ${7*7}",
    "a\x00b\x1b[31mred\x1b]0;title\x07",
    "\u202egnp.exe\u2066 \u05e9\u05dc\u05d5\u05dd",
    "line\u2028and\u2029paragraph",
    "x" * 262_144,
    "\U0001f600\ufeff\u200b",
)
CALLED = re.compile(r"url\s*\(|@import|https?://|//\w", re.IGNORECASE)


class Walk(HTMLParser):
    """Reads a document as a browser does, and notes what could be fetched, run or followed."""

    VOID = frozenset({"meta", "br", "input", "line", "path", "circle", "rect"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.policy = ""
        self._raw: list[Any] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = dict(attrs)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "meta" and found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found.get("content") or ""
        self._raw = [tag, found, ""] if tag in ("script", "style") else None

    def handle_data(self, data: str) -> None:
        if self._raw is None:
            self.texts.append(data)
        else:
            self._raw[2] += data

    def handle_endtag(self, tag: str) -> None:
        if self._raw is not None and tag == self._raw[0]:
            if tag == "script":
                self.scripts.append((self._raw[1], self._raw[2]))
            else:
                self.styles.append(self._raw[2])
            self._raw = None


def walked(whole: bytes) -> Walk:
    """Return a document that makes no request and runs nothing but its own script."""
    assert len(whole) <= SIZE_MAX
    found = Walk()
    found.feed(whole.decode())
    found.close()
    assert found.policy.startswith("default-src 'none'")
    running = [text for about, text in found.scripts if about.get("type") != "text/plain"]
    assert running in ([], [SCRIPT])
    assert found.styles == [STYLE]
    for content in (*running, *found.styles):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in found.policy
    for tag, name, value in found.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name not in ("style", "srcset", "action", "formaction", "background", "poster", "ping"), (tag, name)
        if name in ("src", "href", "xlink:href", "data"):
            assert tag == "a", (tag, name, value)
            assert value.startswith("#"), value
    assert not found.tags & {
        "iframe",
        "object",
        "embed",
        "link",
        "base",
        "form",
        "image",
        "use",
        "foreignobject",
        "img",
    }
    assert not CALLED.search(STYLE)
    return found


def data_of(whole: bytes) -> list[dict[str, Any]]:
    packed = [text for about, text in walked(whole).scripts if about.get("type") == "text/plain"]
    return [json.loads(gzip.decompress(base64.b64decode(text))) for text in packed]


def text_of(whole: bytes) -> str:
    return "\n".join(walked(whole).texts)


def test_the_script_asks_nothing_of_a_network_and_writes_no_markup() -> None:
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "fetch(",
                 "XMLHttpRequest", "WebSocket", "import(", "sendBeacon", "setTimeout(\"", "srcdoc"):  # fmt: skip
        assert word not in SCRIPT, word
    assert [url for url in re.findall(r"https?://[^\"]+", SCRIPT) if url != "http://www.w3.org/2000/svg"] == []


def test_a_report_on_runs_has_their_episodes_prompts_and_figures() -> None:
    whole = report_document(
        [GOLDEN / "debated", GOLDEN / "simulated"], transcriber=lambda place, task: transcript(place, task)
    )
    text = text_of(whole)
    log = RunLog(GOLDEN / "debated")
    assert str(log.manifest.digest) in text
    assert "Run debated and 1 more" in text
    debated, simulated = data_of(whole)
    assert len(debated["columns"]["task"]) == log.manifest.totals.events
    assert [one["task"] for one in debated["tasks"]] == list(range(5))
    calls = [call for found in debated["calls"].values() for call in found]
    assert len(calls) == log.manifest.totals.calls
    assert all(call["as_sent"] and call["messages"] for call in calls)
    assert simulated["why"]["0"] == "no model was called: these agents are simulated"
    kinds = [debated["words"][at] for at in debated["columns"]["kind"]]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == log.manifest.totals.events_by_kind


def test_reports_are_the_same_for_the_same_runs() -> None:
    one, two = (report_document([GOLDEN / "simulated"]) for _ in range(2))
    ids = re.compile(rb'(?:id="|labelledby=")[td]\d+(?: d\d+)?"')
    assert ids.sub(b"", one) == ids.sub(b"", two)


def test_a_report_on_all_kinds_at_once(tmp_path: Path) -> None:
    place = a_comparison(tmp_path)
    (tmp_path / "laws.json").write_text(json.dumps(some_laws().as_dict()))
    (tmp_path / "measured.json").write_text(json.dumps(some_measurements().as_dict()))
    out = tmp_path / "new" / "report.html"
    paths = (GOLDEN / "debated", place, tmp_path / "laws.json", tmp_path / "measured.json")
    assert main.main(["report", *map(str, paths), "-o", str(out), "--title", "All of it"]) == 0
    whole = out.read_bytes()
    text = text_of(whole)
    assert "All of it" in text
    report = read_report(place)
    assert report["verdict"] in text
    assert "Tails by verdict: " in text
    assert "Trees of these agents amplify a weak signal." in text
    for name in ("Laws: laws.json", "Phase at fan-in 5: measured.json"):  # there may be several of a kind
        assert text.count(name) == 2  # in the list at the top, and over its section
    for law in some_laws().whole.laws.values():
        assert all(visible(reason) in text for reason in law.fit.verdict.reasons)


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_stand_as_text_in_every_field_of_an_event(hostile: str, tmp_path: Path) -> None:
    frame = RunLog(GOLDEN / "debated").frame().filter(pl.col("task") < 2)
    told = pl.lit(hostile)
    frame = frame.with_columns(
        text=told, answer=pl.when(pl.col("answer").is_null()).then(None).otherwise(told)
    )  # fmt: skip
    table = from_log(frame, run="one", topology=hostile[:1000], benchmark=hostile[:100], task_names={0: hostile})
    save(table, tmp_path / "log", describe("claims", GOLDEN, {hostile[:50]: hostile}, [hostile]))
    whole = report_document([tmp_path / "log"], title=hostile)
    found = walked(whole)
    assert visible(hostile, 20_000) in "".join(found.texts) or len(hostile) > 20_000
    data = data_of(whole)[0]
    shown = visible(hostile[: episodes.TEXT_CHARS])
    assert shown in data["words"]
    assert not any(ord(c) < 32 and c != "\n" for word in data["words"] for c in word)


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_stand_as_text_in_every_field_of_every_page(hostile: str, tmp_path: Path) -> None:
    def poisoned(value: Any) -> Any:
        if isinstance(value, str):
            return hostile
        if isinstance(value, dict):
            return {
                key if isinstance(key, int) else f"{hostile[:40]}{key}": poisoned(one) for key, one in value.items()
            }
        if isinstance(value, list | tuple):
            return type(value)(poisoned(one) for one in value)
        if isinstance(value, msgspec.Struct):
            return msgspec.structs.replace(
                value, **{name: poisoned(getattr(value, name)) for name in value.__struct_fields__}
            )
        return value

    run_ = poisoned(run_page(open_log(GOLDEN / "debated")))
    laws = poisoned(laws_page(some_laws().as_dict()))
    phase = poisoned(phase_page(some_measurements()))
    report = {
        "verdict": "v", "name": "n", "notes": ["n"], "missing": ["m"], "matched": False,
        "blocks": [{"comparison": {"baseline": {"organisation": "a", "mean": None}, "rows": [
            {"organisation": "b", "mean": {"value": 0.5, "low": 0.4, "high": 0.6, "method": "m"},
             "difference": {"value": 0.1, "low": 0.0, "high": 0.2, "method": "m"}}]}}],
        "metrics": {"b": {"tokens": {"value": 3.0, "low": 2.0, "high": 4.0}}}, "stops": {"b": {"budget_exhausted": 3}},
        "not_comparable": {"c": "why"}, "failures": {"b": {"model": 2}},
        "crossovers": [{"organisations": ["a", "b"], "verdict": "v", "ahead": "a", "reason": "r"}],
    }  # fmt: skip
    compared = poisoned(compare_page(report))
    parts = (run_html(run_), laws_html(laws), phase_html(phase), compare_html(compared))
    body = "".join(part[:] for part in parts)
    plain = Walk()
    plain.feed(body)
    plain.close()
    assert plain.scripts == []
    assert plain.styles == []
    assert not plain.tags - {
        "p", "div", "table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "b", "details", "summary",
        "ul", "li", "pre", "h3", "svg", "title", "desc", "line", "path", "circle", "rect", "text",
    }  # fmt: skip
    assert not any(name.startswith("on") or name == "style" for _, name, _ in plain.attributes)
    assert not any(ord(c) < 32 and c not in "\n\t" for c in body)
    assert not set(body) & set("\u202e\u2066\u2028\u2029\u200b\ufeff")


def test_a_report_that_would_be_too_large_has_some_episodes_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(GOLDEN / "simulated")
    page = run_page(log)
    whole = episodes.pack_episodes(log, page, limit=1_000_000)
    assert whole.notes == ()
    some = episodes.pack_episodes(log, page, limit=len(whole.packed) // 2)
    assert len(some.packed) <= len(whole.packed) // 2
    data = json.loads(gzip.decompress(some.packed))
    kept = len(data["tasks"])
    assert 0 < kept < 50
    assert some.notes[0].startswith(f"{kept:,} of 50 episodes are in this document")
    assert {one["task"] for one in data["tasks"]} == set(data["columns"]["task"])
    assert episodes.pack_episodes(log, page, limit=10).notes == (
        "No episode is in this document: even one would be too large.",
    )
    monkeypatch.setattr(episodes, "ROWS_MAX", 150)
    few = episodes.pack_episodes(log, page, limit=1_000_000)
    assert len(json.loads(gzip.decompress(few.packed))["tasks"]) == 10
    monkeypatch.setattr(episodes, "CALL_TASKS", 2)
    debated = open_log(GOLDEN / "debated")
    notes = episodes.pack_episodes(debated, run_page(debated), limit=1_000_000).notes
    assert notes == ("Prompts and replies are here for 2 episodes; agentsoc show RUN --task N --prompts has all.",)


def test_a_document_beyond_the_cap_is_refused() -> None:
    section = data_section(some_laws().as_dict(), 1)
    with pytest.raises(InputError, match="at most"):
        document("x", [section] * 200)
    with pytest.raises(InputError, match="nothing to report on"):
        document("x", [])


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"phase": 3}', '{"kind": "agentsoc measurements"}'])
def test_a_file_of_something_else_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InputError):
        report_document([tmp_path / "x.json"])


def test_places_that_hold_nothing_are_refused_with_a_way_on(tmp_path: Path) -> None:
    for place, words in ((tmp_path / "none", "nothing at this path"), (tmp_path, "nothing to report on here")):
        with pytest.raises(InputError, match=words):
            report_document([place])
    (tmp_path / "calibration.json").write_text("{}")
    with pytest.raises(InputError, match="no measurements yet"):
        report_document([tmp_path])
    with pytest.raises(InputError, match="takes 1 to"):
        report_document([tmp_path] * (sources.PLACES_MAX + 1))
    assert main.main(["report", str(GOLDEN / "debated"), "-o", str(tmp_path)]) == 2


def test_a_link_at_the_place_of_a_document_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("as it was")
    (tmp_path / "out.html").symlink_to(tmp_path / "kept")
    assert main.main(["report", str(GOLDEN / "simulated"), "-o", str(tmp_path / "out.html"), "--json"]) == 0
    assert (tmp_path / "kept").read_text() == "as it was"
    walked((tmp_path / "out.html").read_bytes())


def test_a_run_is_not_changed_by_a_report(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "debated", tmp_path / "run")
    before = {path: path.read_bytes() for path in sorted((tmp_path / "run").rglob("*")) if path.is_file()}
    report_document([tmp_path / "run"], transcriber=lambda place, task: transcript(place, task))
    assert before == {path: path.read_bytes() for path in sorted((tmp_path / "run").rglob("*")) if path.is_file()}


def test_what_was_spent_is_told_with_and_without_a_budget() -> None:
    bare = BudgetLine(1000, 0, None, None, 0, None)
    assert budget_words(bare) == "1,000 used; no budget"
    full = BudgetLine(1000, 20, 3000, 1980, 7, None)
    assert budget_words(full) == "1,000 used, 20 lost, 7 beyond the caps that were sent; budget 3,000, 1,980 left"


@pytest.mark.parametrize("status", ["finished", "failed"])
def test_a_run_that_is_not_finished_says_so(status: str) -> None:
    page = msgspec.structs.replace(run_page(open_log(GOLDEN / "debated")), status=status, error="it broke")
    assert ("This run is failed: what it has so far is shown. it broke" in run_html(page)) is (status == "failed")


@pytest.mark.parametrize("matched", [True, False])
def test_a_comparison_without_a_common_ceiling_says_so(matched: bool) -> None:
    page = compare_page({"verdict": "v", "blocks": [], "matched": matched})
    assert (NOT_MATCHED in compare_html(page)) is not matched


def test_crossovers_are_told_with_their_place_or_their_reason() -> None:
    there = CrossoverLine("a", "b", "crosses_over", Span(300.0, 200.0, 500.0), "", "")
    assert crossover_words(there) == "a and b: crosses over, at 300 tokens a task [200, 500]"
    none = CrossoverLine("a", "b", "no_crossover", Span(None), "a", "too few tasks")
    assert crossover_words(none) == "a and b: no crossover, a is ahead; too few tasks"
    said = {verdict: crossover_words(msgspec.structs.replace(there, verdict=verdict)) for verdict in get_args(Verdict)}
    told_apart(
        {
            "one overtakes the other": said["crossover"],
            "neither overtakes the other": said["none"],
            "undecided, either may overtake": said["open"],
        }
    )


def test_a_comparison_says_what_its_brackets_and_columns_are() -> None:
    score = {"value": 0.5, "low": 0.4, "high": 0.6, "level": 0.95, "method": "Wilson"}
    row = {"organisation": "a", "mean": score, "difference": score, "detectable": 0.25, "tasks_needed": 1234}
    found = {"effect": 0.05, "baseline": {"organisation": "b", "mean": score}, "rows": [row]}
    page = compare_page({"verdict": "v", "blocks": [{"comparison": found}], "notes": ["n"]})
    html = compare_html(page)
    bare = compare_html(compare_page({"verdict": "v", "blocks": []}))
    told_apart(
        {
            "Scores are means over tasks; square brackets hold their intervals at 95%.": html,
            "Won, tied and lost are the pairs of one task and one seed in which an organisation scored more, as much, "
            "or less.": html,
            "tasks for 0.05": html,
            "These are the notes of report.txt, which has more columns than this page.": html,
        },
        bare,
    )
    for cell in ("could find", ">0.25</td>", ">1,234</td>"):
        assert cell in html


def test_commands_write_a_document_beside_their_data(tmp_path: Path) -> None:
    scenario = "name: s\nseed: 1\ntasks: {kind: signal, count: 30}\nagents: {count: 5, model: {kind: simulated}}\n"
    (tmp_path / "s.yaml").write_text(scenario + "topology: star\nprotocol: aggregate\n")
    run(tmp_path / "s.yaml", tmp_path / "run")
    assert main.main(["laws", str(tmp_path / "run"), "--fast", "--html", str(tmp_path / "laws.html"), "--json"]) == 0
    assert "Tails by verdict: " in text_of((tmp_path / "laws.html").read_bytes())
    right = [1, 1, 0, 1, 0, 1, 1, 0, 1, 1, 0, 1]
    rows = [
        {"task": task, "run": at, "node": 0, "agent": agent, "correct": right[(5 * task + 7 * at + agent) % 12]}
        for task in range(60) for at in range(2) for agent in range(3)
    ]  # fmt: skip
    pl.DataFrame(rows).write_csv(tmp_path / "votes.csv")
    asked = ["phase", "--votes", str(tmp_path / "votes.csv"), "--gamma", "0.9", "--draws", "50"]
    assert main.main([*asked, "--html", str(tmp_path / "phase.html")]) == 0
    assert "Phase at fan-in 3" in text_of((tmp_path / "phase.html").read_bytes())
    (tmp_path / "two.yaml").write_text((a_comparison(tmp_path).parent / "two.yaml").read_text())
    assert main.main(["compare", str(tmp_path / "two"), "--json", "-q"]) == 0
    assert read_report(tmp_path / "two")["verdict"] in text_of((tmp_path / "two" / "report.html").read_bytes())
