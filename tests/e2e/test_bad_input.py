"""Nothing that a stranger hands in makes a command show a traceback: scenarios, run directories, model replies."""

from __future__ import annotations

import json
import os
import pickle
import random
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from agentsoc.cli.main import main
from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from agentsoc.events import KINDS
from agentsoc.log.manifest import SEAL, seal
from agentsoc.log.read import RunLog
from agentsoc.log.record import hash_json
from agentsoc.scenario.code import forget_code
from agentsoc.scenario.files import BASE_DIR
from agentsoc.scenario.load import load_scenario, place_of
from tests.data import hostile_model
from tests.pace import at_most
from tests.unit.test_bad_scenarios import prepared

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data"
CORPUS = ROOT / "corpus" / "scenarios"
EXPECTED: dict[str, dict[str, Any]] = yaml.safe_load((CORPUS / "expected.yaml").read_text())


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    token = BASE_DIR.set(None)
    yield
    BASE_DIR.reset(token)
    forget_code()


def said(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    """Run a command in this process; assert its exit code and that it says what is wrong in ten lines; return that."""
    capsys.readouterr()
    with at_most(100):
        assert main(words) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    assert all(c.isprintable() for c in captured.err.replace("\n", "")), captured.err
    if code not in (0, 3):
        assert re.search("^error: ", captured.err, re.MULTILINE), captured.err
        assert captured.out == ""
        assert len(captured.err.splitlines()) <= 10, captured.err
    return captured.err if code not in (0, 3) else captured.out


# Scenarios


@pytest.mark.parametrize(
    "name", [name for name, case in EXPECTED.items() if case.get("setup", {}).get("make") != "directory"]
)
def test_check_refuses_the_scenario_with_place_reason_and_suggestion(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = EXPECTED[name]
    path = prepared(name, tmp_path / "in")
    settings = [word for argument in case.get("args", []) for word in ("--set", argument)]
    words = ["check", str(path), *settings]
    if case.get("stage") == "run" and "budget" not in name:  # a key is looked for when the model starts
        if find_spec("litellm") is None:
            pytest.skip("needs litellm")
        words = ["run", str(path), "--out", str(tmp_path / "out"), "--quiet", "--yes"]
    text = said(capsys, 2, *words)
    assert all(word in text for word in case["says"]), text
    assert all(word in text for word in case.get("hint", [])), text
    if case.get("stage", "load") == "load":
        where = f"{path}:{case['place']}" if case["place"][:1].isdigit() else case["place"] or str(path)
    elif words[0] == "check":
        where = place_of(path, case["place"]) if case["place"] else str(path)
        assert case["place"] in text or where != str(path)
    else:
        where = str(path)
    assert where in text
    assert len(text.splitlines()) >= 2 or not case.get("hint")


def test_a_fault_of_one_run_of_a_sweep_names_the_run_and_nothing_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "name: s\ntasks: {kind: arithmetic, count: 2}\nagents: {count: 4, model: scripted}\n"
        "topology: {kind: decentralized, degree: 2}\nprotocol: vote\n"
    )
    out = tmp_path / "out"
    text = said(capsys, 2, "run", str(path), "--set", "topology.degree=2,7", "--out", str(out))
    assert "degree=7" in text
    assert "run s--degree-7" in text
    assert not out.exists()


# Run directories


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two finished runs of different seeds with several segments each."""
    directory = tmp_path_factory.mktemp("runs")
    scenario = directory / "s.yaml"
    scenario.write_text(
        "name: sound\nseed: 3\ntasks: {kind: arithmetic, count: 6}\ntopology: star\n"
        "agents: {count: 3, model: {kind: scripted, accuracy: 0.6}}\nprotocol: {kind: aggregate, by: model}\n"
    )
    for seed in (3, 4):
        run(load_scenario(scenario, seed=seed), directory / str(seed))
    return directory / "3", directory / "4"


def with_manifest(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Return a damage that changes the manifest and makes its checksum and its seal fit again."""

    def damage(directory: Path) -> None:
        path = directory / "manifest.json"
        data = json.loads(path.read_text())
        data.pop("checksum")
        change(data)
        data["checksum"] = hash_json(data)
        path.write_text(json.dumps(data))
        (directory / SEAL).write_bytes(seal(path.read_bytes()))

    return damage


def raw_manifest(content: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Return a damage that replaces the bytes of the manifest."""

    def damage(directory: Path) -> None:
        path = directory / "manifest.json"
        path.write_bytes(content(path.read_bytes()))

    return damage


def part(directory: Path) -> Path:
    return sorted((directory / "events").iterdir())[0]


def on_file(name: str, content: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Return a damage that replaces the bytes of a file; ``part`` is the first segment."""

    def damage(directory: Path) -> None:
        path = part(directory) if name == "part" else directory / name
        path.write_bytes(content(path.read_bytes()))

    return damage


def sql(*statements: str) -> Callable[[Path], None]:
    """Return a damage that changes the journal through SQLite, so that the file itself stays whole."""

    def damage(directory: Path) -> None:
        db = sqlite3.connect(directory / "journal.sqlite")
        for statement in statements:
            db.execute(statement)
        db.commit()
        db.close()

    return damage


def rows(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    """Return a damage that writes other rows into the first segment, as a file that is whole."""

    def damage(directory: Path) -> None:
        path = part(directory)
        pq.write_table(change(pq.ParquetFile(path).read()), path)

    return damage


def replaced(table: pa.Table, column: str, value: object) -> pa.Table:
    """Return the table with one column that holds `value` everywhere."""
    return table.set_column(table.column_names.index(column), column, pa.array([value] * table.num_rows))


def flipped(seed: int) -> Callable[[bytes], bytes]:
    """Return the change of one bit at a place drawn from `seed`."""

    def flip(data: bytes) -> bytes:
        place = random.Random(seed).randrange(len(data))
        return data[:place] + bytes([data[place] ^ 1 << seed % 8]) + data[place + 1 :]

    return flip


def emptied(directory: Path) -> None:
    shutil.rmtree(directory)
    directory.mkdir()


def segment_of_another_run(directory: Path) -> None:
    shutil.copy(part(directory.parent / "other"), part(directory))


def segment_is_a_directory(directory: Path) -> None:
    path = part(directory)
    path.unlink()
    path.mkdir()


def manifest_is_a_directory(directory: Path) -> None:
    (directory / "manifest.json").unlink()
    (directory / "manifest.json").mkdir()


def huge_manifest(directory: Path) -> None:
    with (directory / "manifest.json").open("r+b") as file:
        file.truncate(100_000_000)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty-directory": (emptied, "no run at"),
    "manifest-missing": (lambda d: (d / "manifest.json").unlink(), "no manifest"),
    "manifest-empty": (raw_manifest(lambda raw: b""), "manifest"),
    "manifest-cut": (raw_manifest(lambda raw: raw[: len(raw) // 2]), "manifest is cut"),
    "manifest-cut-by-a-line": (raw_manifest(lambda raw: raw[:-3]), "manifest is cut"),
    "manifest-altered": (raw_manifest(lambda raw: raw.replace(b'"episodes": 6', b'"episodes": 9')), "checksum"),
    "manifest-bit-flipped": (raw_manifest(flipped(1)), "manifest"),
    "manifest-a-list": (raw_manifest(lambda raw: b"[1, 2]"), "not a JSON object"),
    "manifest-a-pickle": (raw_manifest(lambda raw: pickle.dumps({"status": "finished"})), "manifest"),
    "manifest-nested": (raw_manifest(lambda raw: b"[" * 100_000), "manifest"),
    "manifest-long-number": (raw_manifest(lambda raw: b'{"format": ' + b"9" * 10_000 + b"}"), "manifest"),
    "manifest-not-utf8": (raw_manifest(lambda raw: raw.replace(b"sound", b"s\xffund")), "manifest"),
    "manifest-a-directory": (manifest_is_a_directory, "manifest"),
    "manifest-huge": (huge_manifest, "too large"),
    "manifest-newer": (with_manifest(lambda m: m.update(format=999)), "log format 999"),
    "manifest-format-a-word": (with_manifest(lambda m: m.update(format="one")), "format"),
    "manifest-unknown-key": (with_manifest(lambda m: m.update(extra=1)), "extra"),
    "manifest-unknown-status": (with_manifest(lambda m: m.update(status="fine")), "status"),
    "manifest-without-seed": (with_manifest(lambda m: m.pop("seed")), "seed"),
    "manifest-leads-outside": (with_manifest(lambda m: m["segments"][0].update(file="../../etc/passwd")), "segments"),
    "manifest-other-totals": (with_manifest(lambda m: m["totals"].update(events=7)), "7"),
    "manifest-without-segments": (with_manifest(lambda m: m["segments"].clear()), "digest of the log"),
    "manifest-segment-twice": (with_manifest(lambda m: m["segments"].append(m["segments"][0])), "chain"),
    "manifest-segment-digest": (with_manifest(lambda m: m["segments"][0].update(digest="0" * 64)), "chain"),
    "manifest-other-journal": (with_manifest(lambda m: m.update(journal_rows=5)), "journal"),
    "segment-missing": (lambda d: part(d).unlink(), "missing"),
    "segment-empty": (on_file("part", lambda raw: b""), "segment"),
    "segment-cut": (on_file("part", lambda raw: raw[:-1]), "segment"),
    "segment-cut-in-half": (on_file("part", lambda raw: raw[: len(raw) // 2]), "segment"),
    "segment-only-its-end": (on_file("part", lambda raw: raw[-500:]), "segment"),
    "segment-zeros": (on_file("part", lambda raw: bytes(len(raw))), "segment"),
    "segment-rows-doubled": (rows(lambda t: pa.concat_tables([t, t])), "bytes differ"),
    "segment-rows-reversed": (rows(lambda t: t.take(list(range(t.num_rows))[::-1])), "segment"),
    "segment-row-missing": (rows(lambda t: t.slice(1)), "bytes differ"),
    "segment-kind-unknown": (rows(lambda t: replaced(t, "kind", "explode")), "segment"),
    "segment-answer-altered": (rows(lambda t: replaced(t, "answer", "0")), "segment"),
    "segment-round-negative": (rows(lambda t: replaced(t, "round", -1)), "segment"),
    "segment-column-missing": (rows(lambda t: t.drop_columns(["answer"])), "segment"),
    "segment-column-of-other-type": (rows(lambda t: replaced(t, "agent", "zero")), "segment"),
    "segment-a-pickle": (on_file("part", lambda raw: pickle.dumps([1])), "segment"),
    "segment-a-directory": (segment_is_a_directory, "a directory"),
    "segment-of-another-run": (segment_of_another_run, "segment"),
    "journal-missing": (lambda d: (d / "journal.sqlite").unlink(), "journal"),
    "journal-empty": (on_file("journal.sqlite", lambda raw: b""), "journal"),
    "journal-zeros": (on_file("journal.sqlite", lambda raw: bytes(len(raw))), "journal"),
    "journal-cut": (on_file("journal.sqlite", lambda raw: raw[: len(raw) // 2]), "journal"),
    "journal-no-database": (on_file("journal.sqlite", lambda raw: b"not a database" * 400), "journal"),
    "journal-row-altered": (sql("UPDATE attempts SET reply = reply || ' ' WHERE task = 2"), "task 2"),
    "journal-row-of-words": (sql("UPDATE attempts SET tokens_in = 'many' WHERE task = 2"), "journal"),
    "journal-row-missing": (sql("DELETE FROM attempts WHERE task = 2 AND agent = 1"), "journal"),
    "journal-row-doubled": (
        sql("CREATE TABLE t AS SELECT * FROM attempts WHERE task = 2", "UPDATE t SET task = 9",
            "INSERT INTO attempts SELECT * FROM t", "DROP TABLE t"),
        "task 9",
    ),
    "journal-without-table": (sql("DROP TABLE attempts"), "journal"),
    "journal-other-table": (sql("DROP TABLE attempts", "CREATE TABLE attempts (x)"), "journal"),
    "journal-of-another-run": (
        lambda d: shutil.copy(d.parent / "other" / "journal.sqlite", d / "journal.sqlite"), "journal",
    ),
}  # fmt: skip


@pytest.fixture
def copies(sound: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of a sound run to damage, and one of another run beside it."""
    shutil.copytree(sound[0], tmp_path / "run")
    shutil.copytree(sound[1], tmp_path / "other")
    return tmp_path / "run"


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_run_is_named_by_check_and_replay(
    name: str, copies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, word = DAMAGES[name]
    damage(copies)
    for verb in ("check", "replay"):
        text = said(capsys, 2 if name in NO_RUN else 4, verb, str(copies))
        assert word in text, text
        assert str(copies) in text or "part-" in text


NO_RUN = {"empty-directory"}
"""Damages after which nothing is left that a run was made of: bad input."""
ONLY_EVENTS = {
    name for name in DAMAGES if name.startswith(("segment-", "manifest-segment", "manifest-without-segments"))
}
"""Damages of what can be computed again: the journal is whole."""


@pytest.mark.parametrize("name", DAMAGES)
def test_resume_computes_damaged_events_again_and_refuses_every_other_damage(
    name: str, copies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = RunLog(copies).manifest.digest
    damage, word = DAMAGES[name]
    damage(copies)
    if name in ONLY_EVENTS:
        said(capsys, 0, "resume", str(copies))
        said(capsys, 0, "check", str(copies))
        assert digest is not None
        assert digest in said(capsys, 0, "replay", str(copies))
    elif name != "manifest-other-totals":
        assert word in said(capsys, 2 if name in NO_RUN else 4, "resume", str(copies))


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_run_can_be_listed_and_shown_without_a_traceback(
    name: str, copies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    DAMAGES[name][0](copies)
    main(["show", str(copies)])
    main(["show", str(copies), "--task", "2"])
    assert main(["ls", str(copies.parent)]) == 0
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    if "manifest" in name and name not in SOUND_ALONE:
        assert "damaged" in captured.out or not (copies / "manifest.json").is_file()


SOUND_ALONE = {
    name for name in DAMAGES if name.startswith(("manifest-other", "manifest-segment", "manifest-without-seg"))
}
"""Manifests that hold by themselves: only the files beside them show that they are wrong."""


@pytest.mark.parametrize("name", ["part", "journal.sqlite"])
def test_every_flipped_bit_of_the_log_is_found(name: str, copies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Some bits decide nothing: unused bytes of a database page, the name of a writer. Then the log is still sound."""
    path = part(copies) if name == "part" else copies / name
    whole, stored = path.read_bytes(), list(RunLog(copies).events())
    journal = list(RunLog(copies).journal())
    found = 0
    for seed in range(60):
        path.write_bytes(flipped(seed)(whole))
        capsys.readouterr()
        code = main(["check", str(copies)])
        assert "Traceback" not in capsys.readouterr().err
        assert code in (0, 4)
        found += code == 4
        if code == 0:
            log = RunLog(copies)
            assert list(log.events()) == stored
            assert list(log.journal()) == journal
    assert found > 0


def test_a_journal_that_is_sound_but_not_the_runs_own_is_a_replay_mismatch_or_a_damage(
    copies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever can write checksums can forge a journal; then the events tell."""
    shutil.copy(copies.parent / "other" / "journal.sqlite", copies / "journal.sqlite")
    other = json.loads((copies.parent / "other" / "manifest.json").read_text())
    journal = ("journal_rows", "journal_digest", "journal_file")
    with_manifest(lambda m: m.update({name: other[name] for name in journal}))(copies)
    assert "replay differs" in said(capsys, 5, "replay", str(copies))


def test_forged_events_are_found_by_replay(copies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Events of another run, with digests that fit, do not follow from this run's journal."""
    other = json.loads((copies.parent / "other" / "manifest.json").read_text())
    shutil.copy(part(copies.parent / "other"), part(copies))
    shutil.copy(copies.parent / "other" / "episodes.parquet", copies)
    events = ("segments", "digest", "totals", "episodes_file")
    with_manifest(lambda m: m.update({name: other[name] for name in events}))(copies)
    assert main(["check", str(copies)]) == 0
    assert "this event differs" in said(capsys, 5, "replay", str(copies))


def test_a_task_table_that_is_cut_is_named_by_show(copies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copies / "tasks.parquet"
    path.write_bytes(path.read_bytes()[:50])
    assert str(path) in said(capsys, 4, "show", str(copies), "--task", "1")


def test_a_run_that_needs_loose_code_says_so(
    sound: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    directory = tmp_path / "run"
    shutil.copytree(sound[0], directory)
    with_manifest(lambda m: m.update(code={"loose_family.py": "0" * 64}))(directory)
    assert "--allow-code" in said(capsys, 2, "replay", str(directory))
    assert "another version" in said(capsys, 2, "replay", str(directory), "--allow-code", str(DATA / "loose_family.py"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_run_cannot_be_written_into_a_read_only_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(0o500)
    path = CORPUS / "budget-below-one-call.yaml"
    words = ["run", str(path), "--set", "budget.tokens_per_task=9000", "--out", str(tmp_path / "out")]
    try:
        assert "cannot be made" in said(capsys, 2, *words)
    finally:
        tmp_path.chmod(0o700)


def test_the_run_directory_is_a_file_or_below_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = CORPUS / "budget-below-one-call.yaml"
    (tmp_path / "file").touch()
    words = ["run", str(path), "--set", "budget.tokens_per_task=9000", "--out"]
    assert "not empty" in said(capsys, 2, *words, str(tmp_path / "file"))
    assert "cannot be made" in said(capsys, 2, *words, str(tmp_path / "file" / "below"))


# Model replies

SOCIETIES: dict[str, dict[str, Any]] = {
    "debate": {"topology": "decentralized", "protocol": {"kind": "debate", "rounds": 2}},
    "merge": {"topology": "star", "protocol": {"kind": "aggregate", "by": "model"}},
    "lead": {"topology": "star", "protocol": {"kind": "orchestrate", "rounds": 2, "guidance": "each"}},
    "vote": {"topology": "independent", "protocol": {"kind": "vote", "by": "weighted"}},
}


def hostile_scenario(directory: Path, society: str, form: str, **more: Any) -> Path:
    path = directory / "hostile.yaml"
    data = {
        "name": "hostile",
        "tasks": {"kind": "parity", "count": 1},
        "agents": {
            "count": len(hostile_model.NAMES),
            "model": {"kind": "hostile", "usage": more.pop("usage", "known")},
            "reply": form,
        },
        "calls": {"attempts": 2, "backoff_s": 0},
        **SOCIETIES[society],
        **more,
    }
    path.write_text(yaml.safe_dump(data))
    return path


@pytest.mark.parametrize("form", ["json", "short", "text"])
@pytest.mark.parametrize("society", SOCIETIES)
def test_a_run_of_hostile_replies_ends_and_every_reply_is_a_typed_event(
    society: str, form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = [DATA / "loose_family.py", DATA / "hostile_model.py"]
    scenario = load_scenario(hostile_scenario(tmp_path, society, form), allow_code=code)
    finished = run(scenario, tmp_path / "run")
    events = list(finished.events())
    assert {event.kind for event in events} <= set(KINDS)
    acted = {(event.round, event.agent) for event in events if event.calls}
    asked = {(attempt.round, attempt.agent) for attempt in finished.journal()}
    assert acted == asked
    if society != "lead":
        assert {agent for _, agent in acted} == set(range(len(hostile_model.NAMES)))
        kinds = {hostile_model.NAMES[e.agent]: e.kind for e in events if e.calls and e.round == 0}
        assert {kinds.get(name, "call_failed") for name in ("empty", "whitespace", "five-megabytes")} == {"call_failed"}
        plain = "call_failed" if form == "json" else "propose_claim"
        assert kinds.get("plain", plain) == plain  # agent 0 merges in a star, and does not answer first
    claims = {event.claim for event in events if event.claim is not None}
    assert all(parent in claims for event in events for parent in event.parents)  # nobody cites what is not there
    assert replay(tmp_path / "run").model_calls == 0
    text = said(capsys, 0, "show", str(tmp_path / "run"), "--task", "0", "--events", "1000")
    assert all(c.isprintable() for c in text.replace("\n", "")), "escape codes reach the terminal"
    said(capsys, 0, "show", str(tmp_path / "run"), "--events", "1000", "--json")


@pytest.mark.parametrize("usage", hostile_model.USAGES)
def test_the_budget_holds_whatever_a_model_says_of_its_tokens(
    usage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = [DATA / "loose_family.py", DATA / "hostile_model.py"]
    budget = {"tokens_per_task": 20_000}
    path = hostile_scenario(tmp_path, "debate", "text", usage=usage, budget=budget)
    finished = run(load_scenario(path, allow_code=code), tmp_path / "run")
    totals = finished.manifest.totals
    known = totals.tokens_in + totals.tokens_out if usage != "unknown" else 0
    assert known + totals.tokens_lost - totals.tokens_overrun <= 20_000
    assert (totals.tokens_overrun > 0) == (usage == "larger-than-the-cap")
    assert replay(tmp_path / "run").digest == finished.manifest.digest
