"""The server of the viewer: who is let in, what each answer may do in a browser, what is read and what never is."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agentsoc.cli import main
from agentsoc.engine.transcript import events_so_far
from agentsoc.errors import AgentsocError, InputError
from agentsoc.log.read import RunLog
from analysis.commands.view import means_with
from analysis.importers.store import describe, save
from analysis.tables import from_log
from analysis.viewer.blocks import figure_of
from analysis.viewer.charts.svg import Chart, FigureTable
from analysis.viewer.pages.store import open_log
from analysis.viewer.server.app import ANSWERS
from analysis.viewer.server.assets import FRONT, VENDORED, assets
from analysis.viewer.server.guard import HEADERS, NO_HOST, NO_TOKEN, POLICY, READ_ONLY, Keys
from analysis.viewer.server.places import LOGS_MAX, Means, ViewedPlaces
from analysis.viewer.server.serve import ViewServer
from analysis.viewer.server.shown import plain_blocks
from tests.sides import told_apart
from tests.view_served import asked, cookie, data, named, viewer

GOLDEN = Path(__file__).parents[1] / "golden" / "format-2"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ViewServer]:
    root = tmp_path_factory.mktemp("served")
    for name in ("debated", "orchestrated", "simulated"):
        shutil.copytree(GOLDEN / name, root / name)
    (root / "away").symlink_to(GOLDEN / "debated")
    (root / "laws.json").write_text('{"concentration": {}, "gamma": {}}')
    (root / "other.json").write_text("[" * 100)
    with viewer(root) as found:
        yield found


def test_nobody_is_let_in_without_token_or_cookie(server: ViewServer) -> None:
    token = server.keys.token
    wrong_ones = ("", "wrong", f"{token}&token=x", token[:-1])
    paths = ["/", "/app.js", "/data/runs", "/nothing", f"/app.js?token={token}", *(f"/?token={x}" for x in wrong_ones)]
    for path in paths:
        found = asked(server, path, named(server))
        assert (found.status, found.body.decode()) == (403, NO_TOKEN), path
        assert "set-cookie" not in found.headers
    for wrong in ("x", server.keys.cookie[:-1], server.keys.token, "\xff"):
        told = [("Cookie", f"{server.keys.name}={wrong}")]
        assert asked(server, "/data/runs", named(server) + told).status == 403
    other = [("Cookie", f"agentsoc_view_1={server.keys.cookie}")]
    assert asked(server, "/data/runs", named(server) + other).status == 403


def test_the_token_sets_a_cookie_that_opens_the_rest(server: ViewServer) -> None:
    found = asked(server, f"/?token={server.keys.token}", named(server))
    assert found.status == 200
    assert found.headers["set-cookie"] == f"{server.keys.name}={server.keys.cookie}; Path=/; HttpOnly; SameSite=Strict"
    assert asked(server, "/data/runs").status == 200
    assert "set-cookie" not in asked(server, "/data/runs").headers
    others = ("a=1", 'b={"x": [1, 2]}', "c", "=d", "e=;;")  # of other servers on this address, in any form
    among = [("Cookie", "; ".join([*others, *(value for _, value in cookie(server)), "f=2"]))]
    assert asked(server, "/data/runs", named(server) + among).status == 200


def test_a_token_for_one_time_opens_once() -> None:
    keys = Keys(1)
    once = keys.once()
    assert keys.takes(once)
    assert not keys.takes(once)
    assert keys.takes(keys.token)
    assert keys.takes(keys.token)
    assert not keys.takes("")
    assert len({keys.token, keys.cookie, once}) == 3
    assert len(keys.token) > 40


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost",
        "[::1]:{}",
        "0.0.0.0:{}",
        "127.0.0.1:{}.evil.example",
        "",
    ],
)
def test_another_name_is_refused_even_with_the_cookie(server: ViewServer, host: str) -> None:
    found = asked(server, "/data/runs", [("Host", host.format(server.port)), *cookie(server)])
    assert found.status in (400, 403)
    if found.status == 403:
        assert found.body.decode() == NO_HOST


def test_our_own_names_are_answered_and_two_at_once_are_not(server: ViewServer) -> None:
    assert asked(server, "/data/runs", [("Host", f"localhost:{server.port}"), *cookie(server)]).status == 200
    twice = [*named(server), ("Host", "evil.example"), *cookie(server)]
    assert asked(server, "/data/runs", twice).status in (400, 403)
    assert asked(server, "/data/runs", cookie(server)).status in (400, 403)


def test_requests_of_other_sites_are_refused(server: ViewServer) -> None:
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        assert asked(server, "/data/runs", [*named(server), *cookie(server), ("Sec-Fetch-Site", site)]).status == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_only_reading_is_answered(server: ViewServer, method: str) -> None:
    found = asked(server, "/data/runs", method=method)
    assert (found.status, found.body.decode()) == (405, READ_ONLY)


def test_every_answer_forbids_what_a_page_of_ours_does_not_do(server: ViewServer) -> None:
    for path, headers in (
        ("/", None),
        ("/data/runs", None),
        ("/nothing", None),
        ("/", named(server)),
        ("/data/run?place=x", None),
    ):
        found = asked(server, path, headers)
        assert {name: found.headers.get(name) for name in HEADERS} == dict(HEADERS), path
    assert POLICY.startswith("default-src 'none'; ")
    assert "unsafe" not in POLICY
    assert "data:" not in POLICY
    assert "http" not in POLICY


def test_an_address_that_is_too_long_is_refused(server: ViewServer) -> None:
    assert asked(server, "/data/runs?text=" + "x" * 9_000).status == 414


@pytest.mark.parametrize(
    "place",
    ["..", "../debated", "/etc", "debated/..", "debated//x", "away", "nothing", "a\x00b", "x" * 2_000, "./debated"],
)
def test_a_place_outside_is_never_read(server: ViewServer, place: str) -> None:
    for what in ("run", "episode", "events", "society", "rounds", "tasks", "compare", "replay", "transcript"):
        found = asked(server, f"/data/{what}?{'task=0&agent=0&'}place={_quoted(place)}")
        assert found.status in (404, 409), (what, found.body)
        assert set(json.loads(found.body)) == {"error", "hint"}
    assert asked(server, f"/data/result?file={_quoted(place)}").status in (404, 409)


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


@pytest.mark.parametrize(
    "query",
    ["task=x", "task=-1", "task=99999", "task=1e3", "task=" + "9" * 40, "round=x&task=0", "kind=nothing&task=0"],
)
def test_a_question_that_cannot_be_is_told(server: ViewServer, query: str) -> None:
    what = "events" if "round" in query or "kind" in query else "episode"
    found = asked(server, f"/data/{what}?place=debated&{query}")
    assert found.status == 404
    assert json.loads(found.body)["error"]


def test_every_answer_has_the_data_of_its_page(server: ViewServer) -> None:
    log = RunLog(GOLDEN / "debated")
    rows = data(server, "runs")["rows"]
    assert [row["place"] for row in rows] == ["debated", "orchestrated", "simulated"]
    assert [row["place"] for row in data(server, "runs", text="ORCH")["rows"]] == ["orchestrated"]
    run = data(server, "run", place="debated")
    assert run["digest"] == log.manifest.digest
    assert run["live"] is None
    assert ["status", "finished"] in run["facts"]
    assert data(server, "society", place="debated")["map"]["n"] == 6
    assert data(server, "rounds", place="debated")["kinds"] == log.manifest.totals.events_by_kind
    tasks = data(server, "tasks", place="simulated")
    assert tasks["total"] == len(tasks["rows"]) == 50
    wrong, right = (data(server, "tasks", place="simulated", which=which)["total"] for which in ("wrong", "right"))
    assert 0 < wrong < wrong + right == 50
    assert data(server, "tasks", place="orchestrated", which="unfinished")["total"] == 4
    assert data(server, "episode", place="debated", task=1)["first_wrong"] == "agent 1, in round 0"
    turns = data(server, "transcript", place="debated", task=1, agent=3)["turns"]
    assert [turn["round"] for turn in turns] == [0, 1, 2]
    assert all(call["as_sent"] for turn in turns for call in turn["calls"])
    events = data(server, "events", place="debated")
    assert events["total"] == log.manifest.totals.events
    assert len(events["rows"]) == min(events["total"], 200)
    assert data(server, "results")["rows"] == [{"file": "laws.json", "kind": "laws"}]
    assert data(server, "replay", place="debated")["said"].endswith(f"digest {log.manifest.digest}, 0 model calls")


def test_no_table_of_an_answer_has_more_than_200_rows(server: ViewServer) -> None:
    def tables(value: Any) -> Iterator[list[Any]]:
        if isinstance(value, dict):
            if isinstance(value.get("rows"), list):
                yield value["rows"]
            for one in value.values():
                yield from tables(one)
        elif isinstance(value, list):
            for one in value:
                yield from tables(one)

    for what in sorted(set(ANSWERS) - {"replay", "compare", "result", "results", "state"}):
        answer = data(server, what, place="simulated", task=3, agent=1)
        assert all(len(rows) <= 200 for rows in tables(answer)), what
    chart = Chart("t", "d", "<svg><title>t</title></svg>", FigureTable(("a",), (("1",),) * 1_000))
    table = plain_blocks(figure_of(chart))[0]["table"]
    assert (len(table["rows"]), table["more"]) == (200, 800)


def test_nothing_is_written_by_looking(tmp_path: Path) -> None:
    for name in ("debated", "orchestrated", "simulated"):
        shutil.copytree(GOLDEN / name, tmp_path / name)

    def state() -> dict[str, tuple[bytes, int]]:
        return {
            path.relative_to(tmp_path).as_posix(): (
                path.read_bytes() if path.is_file() else b"",
                path.stat().st_mtime_ns,
            )
            for path in sorted(tmp_path.rglob("*"))
        }

    before = state()
    with viewer(tmp_path) as server:
        for name in ("debated", "orchestrated", "simulated"):
            for what in sorted(set(ANSWERS) - {"compare", "result"}):
                data(server, what, place=name, task=0, agent=0)
    assert state() == before


def test_only_some_logs_stay_open_and_many_may_ask_at_once(server: ViewServer) -> None:
    places = ViewedPlaces(server_root(server), Means())
    for name in ("debated", "orchestrated", "simulated", "debated"):
        with places.log(name) as log:
            assert log.rows > 0
    assert len(places._logs) == LOGS_MAX
    failed: list[object] = []

    def ask(number: int) -> None:
        name = ("debated", "orchestrated", "simulated")[number % 3]
        answers = [asked(server, f"/data/episode?place={name}&task={task}") for task in range(3)]
        failed.extend(one.body for one in answers if one.status != 200)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []


def server_root(server: ViewServer) -> Path:
    return Path(str(data(server, "runs")["directory"]))


def test_a_port_that_somebody_has_is_told(server: ViewServer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"port {server.port} cannot be had"):
        ViewServer(tmp_path, Means(), server.port)


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from texts_in(one)


def test_what_cannot_be_seen_is_written_out(tmp_path: Path) -> None:
    frame = (
        RunLog(GOLDEN / "debated")
        .frame()
        .filter(pl.col("task") < 1)
        .with_columns(text=pl.lit("a\x00\x1b[31m\u202eb<b>"))
    )
    table = from_log(frame, run="one", topology="ring\x1b", benchmark="b", task_names={0: "\x07"})
    save(table, tmp_path / "log", describe("claims", GOLDEN, {}, []))
    with viewer(tmp_path) as server:
        for what in ("run", "events", "episode", "society"):
            told = "".join(texts_in(data(server, what, place="log", task=0)))
            assert all(c == "\n" or c.isprintable() for c in told), what
        assert data(server, "events", place="log")["rows"][0]["text"] == "a\\x00\\x1b[31m\\u202eb<b>"


def test_vendored_files_are_those_of_their_packages() -> None:
    there = {path.relative_to(FRONT).as_posix() for path in (FRONT / "vendor").iterdir()}
    assert there == {one.file for one in VENDORED}
    for one in VENDORED:
        assert hashlib.sha256((FRONT / one.file).read_bytes()).hexdigest() == one.sha256, one.file
    assert sum((FRONT / one.file).stat().st_size for one in VENDORED) <= 300_000
    page = (Path(__file__).parents[2] / "docs" / "viewer.md").read_text(encoding="utf-8")
    for one in VENDORED:
        assert f"| {one.package} {one.version} | {one.licence} |" in page
        assert one.sha256 in page


MARKUP = (
    "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "DOMParser", "srcdoc",
    "dangerouslySetInnerHTML", "http:", "https:", "localStorage", "WebSocket", "import(",
)  # fmt: skip


def test_the_browsers_side_is_small_and_takes_no_markup() -> None:
    own = sorted(path for path in FRONT.rglob("*.js"))
    assert own
    for path in own:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 200, path.name
        for word in MARKUP:
            assert word not in text, (path.name, word)
        for imported in re.findall(r'from "([^"]+)"', text):
            assert imported.startswith("./"), (path.name, imported)
            assert (path.parent / imported).is_file(), (path.name, imported)
        names = re.findall(r'Asked} what="(\w+)"|ask\("(\w+)"', text)
        assert {one or other for one, other in names} <= set(ANSWERS), path.name
    assert "/index.html" not in assets()
    modules = {path.relative_to(FRONT).as_posix() for path in FRONT.rglob("*.*js")} - {"app.js"}
    assert set(re.findall(r'modulepreload" href="([^"]+)"', assets()["/"][0].decode())) == modules
    assert re.findall(rb"<script[^>]*>", assets()["/"][0]) == [b'<script type="module" src="app.js">']
    assert b"style=" not in assets()["/"][0]


def test_the_types_in_the_comments_hold() -> None:
    if (tsc := shutil.which("tsc")) is None:
        pytest.skip("no tsc here: npm install --global typescript")
    checked = subprocess.run([tsc, "--project", str(FRONT)], capture_output=True, text=True, timeout=120, check=False)
    assert checked.returncode == 0, checked.stdout


def test_the_server_has_no_way_to_write() -> None:
    """Whoever adds one meets this: no module of the server opens a file to write, or imports what does."""
    for path in sorted((Path(__file__).parents[2] / "analysis" / "viewer" / "server").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not names & {"write_text", "write_bytes", "mkdir", "unlink", "rename", "touch", "rmtree", "write"}, (
            path.name
        )
        called = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert "open" not in called, path.name


def test_events_so_far_of_a_whole_run_are_those_of_its_log() -> None:
    for name in ("debated", "orchestrated"):
        log = RunLog(GOLDEN / name)
        for task in (0, 2):
            assert events_so_far(GOLDEN / name, task) == [event for event in log.events() if event.task == task]


def test_rows_are_the_same_however_they_are_read() -> None:
    log = open_log(GOLDEN / "simulated")
    whole = pl.concat(log.parts[0].read(None))
    assert log.rows_of(0, 0, 10**9).equals(whole)
    assert log.rows_of(0, 7, 9).equals(whole.slice(7, 2))
    assert log.rows_of(0, 9, 9).schema == whole.schema
    assert log.of_task(10**6).schema == whole.schema
    for task in (0, 17, 49):
        assert log.of_task(task).equals(whole.filter(pl.col("task") == task))
    frames = list(log.whole_tasks(["task", "round"]))
    assert pl.concat(frames).equals(whole.select("task", "round"))


def test_the_command_says_where_it_shows_what_and_opens_a_browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []

    def begin(server: ViewServer, begun: Callable[[], None]) -> None:
        begun()
        server._socket.close()

    monkeypatch.setattr(ViewServer, "run", begin)
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("threading.Thread.start", lambda thread: thread.run())
    shutil.copytree(GOLDEN / "debated", tmp_path / "debated")
    assert main.main(["view", str(tmp_path), "--no-browser"]) == 0
    said = capsys.readouterr().out
    assert opened == []
    assert main.main(["view", str(tmp_path), "--json"]) == 0
    plain = capsys.readouterr().out
    told_apart({"showing": said, " at http": said, "Ctrl-C ends it": said}, plain)
    assert said.splitlines()[0].startswith(f"showing {tmp_path} at http://127.0.0.1:")
    found = json.loads(plain)
    assert set(found) == {"address", "port", "directory"}
    (once,) = opened
    assert once.partition("?")[0] == found["address"].partition("?")[0]
    assert once != found["address"]
    assert main.main(["view", str(tmp_path / "nothing")]) == 2
    assert "there is no such directory" in capsys.readouterr().err


def test_what_a_replay_says_is_said_of_one_that_gave_the_log_alone(tmp_path: Path) -> None:
    replayer = means_with().replayer
    assert replayer is not None
    said = replayer(GOLDEN / "debated")
    shutil.copytree(GOLDEN / "debated", tmp_path / "debated")
    manifest = json.loads((tmp_path / "debated" / "manifest.json").read_text())
    manifest["seed"] += 1
    (tmp_path / "debated" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(AgentsocError) as other:
        replayer(tmp_path / "debated")
    told_apart({"verified: ": said, " events, digest ": said, " model calls": said}, str(other.value))
