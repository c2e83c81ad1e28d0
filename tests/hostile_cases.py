"""The corpus: each case makes one thing hostile in a copy of a real run, comparison, calibration or imported log.

`Case.named` is what the message has to name. `Case.whole` are the verbs that rightly do not touch what is hostile, or
make it harmless, and so end well; all others end with exit code 2 or 4.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from agentsoc.log.episodes import SCHEMA as EPISODES
from agentsoc.log.schema import SCHEMA as EVENTS
from tests.hostile import edit, pin, rescenario, sql

TB: Final = 1 << 40
MANIFEST_ONLY: Final = frozenset({"show", "ls"})
"""Verbs that read nothing but the manifest."""
READS_EVENTS: Final = frozenset({"task", "metrics", "laws", "phase"})
"""Verbs that read events and tasks, and neither journal nor inputs."""
READS: Final = MANIFEST_ONLY | READS_EVENTS
NO_JOURNAL: Final = READS - {"metrics"}
"""Verbs that do not read the journal."""
NO_CHECK: Final = READS | {"fork"}
"""Verbs that do not compare the whole run with its manifest first: `fork` reads journal and inputs."""


@dataclass(frozen=True)
class World:
    """Where a case acts."""

    directory: Path
    """The copy that becomes hostile."""
    canary: Path
    """Nobody may touch it; it holds an untouched copy of everything."""
    port: int
    """Nobody may call it."""


@dataclass(frozen=True)
class Case:
    """One hostile directory."""

    name: str
    make: Callable[[World], object]
    named: str = ""
    whole: frozenset[str] = frozenset({"ls"})
    base: str = "run"


def _link(name: str, base: str = "run") -> Callable[[World], None]:
    def make(world: World) -> None:
        path = world.directory / name
        _away(path)
        path.symlink_to(world.canary / base / name)

    return make


def _hard(name: str) -> Callable[[World], None]:
    def make(world: World) -> None:
        _away(world.directory / name)
        os.link(world.canary / "run" / name, world.directory / name)

    return make


def _special(name: str, kind: str) -> Callable[[World], None]:
    def make(world: World) -> None:
        path = world.directory / name
        _away(path)
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            with socket.socket(socket.AF_UNIX) as one, _in(path.parent):  # its names are short
                one.bind(path.name)
        elif kind == "device":
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # gives zeros for ever
        else:
            path.mkdir()

    return make


def _away(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _in:  # noqa: N801 - a context manager
    def __init__(self, directory: Path) -> None:
        self._to, self._back = directory, Path.cwd()

    def __enter__(self) -> None:
        os.chdir(self._to)

    def __exit__(self, *_: object) -> None:
        os.chdir(self._back)


def _sparse(name: str) -> Callable[[World], None]:
    def make(world: World) -> None:
        path = world.directory / name
        with path.open("ab") as file:
            file.truncate(TB)

    return make


# Tables


def _table(name: str, write: Callable[[Path], object], rows: int | None = None) -> Callable[[World], None]:
    """Return what puts another file in the place of a table, and its hash into the manifest."""

    def make(world: World) -> None:
        path = world.directory / name
        write(path)
        if name.startswith("events/"):
            pin(world.directory, "events", rows=rows)
        else:
            pin(world.directory, name)

    return make


def _pieces(path: Path, table: pa.Table, times: int) -> None:
    with pq.ParquetWriter(path, table.schema, compression="zstd", store_schema=False) as writer:
        for _ in range(times):
            writer.write_table(table, row_group_size=table.num_rows)


def _texts(path: Path) -> None:
    """A text of 1 MB, 100,000 times: 100 GB in some kB."""
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), pa.array(["x" * (1 << 20)]))
    _pieces(path, pa.table({"task": pa.array(range(100_000)), "question": words, "truth": words}), 1)


def _many_texts(path: Path) -> None:
    """A text of 64 kB, again and again in row groups of their own."""
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000, pa.int32()), pa.array(["x" * (1 << 16)]))
    _pieces(path, pa.table({"task": pa.array(range(1_000)), "question": words, "truth": words}), 100)


def _lists(path: Path) -> None:
    """Lists of 8 million numbers, 100 times: 6.4 GB."""
    path.write_bytes(_lists_written())


@cache
def _lists_written() -> bytes:
    """Return the file of `_lists`, 50 kB: making it takes seconds, and several cases plant it."""
    one = pa.ListArray.from_arrays(pa.array([0, 8_000_000], pa.int32()), pa.repeat(pa.scalar(7, pa.int64()), 8_000_000))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "lists"
        _pieces(path, pa.table({"task": pa.array([0]), "options": one}), 100)
        return path.read_bytes()


def _rows(path: Path) -> None:
    """200 million rows of nothing."""
    _pieces(path, pa.table({"task": pa.nulls(10_000_000, pa.int64())}), 20)


def _below(path: Path) -> None:
    """As much as is allowed, almost."""
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 90, pa.int32()), pa.array(["x" * (1 << 20)]))
    _pieces(path, pa.table({"task": pa.array(range(90)), "truth": words, "difficulty": pa.array([0.5] * 90)}), 1)


def _nested(path: Path) -> None:
    """Dictionaries in lists in structs: nothing that a task has."""
    inner = pa.array([[{"a": {"b": ["x"] * 3}}]] * 4)
    pq.write_table(pa.table({"task": pa.array(range(4)), "options": inner, "truth": inner}), path)


def _other_types(path: Path) -> None:
    columns = {"task": ["a", "b"], "id": [1.5, 2.5], "question": [b"\xff", b"\xfe"], "truth": [1, 2], "options": [1, 2]}
    pq.write_table(pa.table(columns), path)


def _twice(path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["task", "task"]), path)


def _long_footer(path: Path) -> None:
    """The footer of a file of a hundred million rows over the pages of a small one."""
    _rows(path)
    large = path.read_bytes()
    pq.write_table(pa.table({"task": pa.array(range(4))}), path)
    small = path.read_bytes()
    length = struct.unpack("<I", large[-8:-4])[0]
    path.write_bytes(small[: -8 - struct.unpack("<I", small[-8:-4])[0]] + large[-8 - length :])


def _short_footer(path: Path) -> None:
    """The footer of a file of eight rows over pages of ten million."""

    def written(n: int) -> bytes:
        pq.write_table(
            pa.table({"task": pa.array([7] * n, pa.int64())}), path, use_dictionary=False, compression="zstd",
            data_page_size=1 << 30, column_encoding={"task": "DELTA_BINARY_PACKED"}, write_statistics=False,
        )  # fmt: skip
        return path.read_bytes()

    large, small = written(10_000_000), written(8)
    length = struct.unpack("<I", small[-8:-4])[0]
    path.write_bytes(large[: -8 - struct.unpack("<I", large[-8:-4])[0]] + small[-8 - length :])


def _change_events(change: Callable[[list[dict[str, Any]]], object], schema: pa.Schema = EVENTS) -> Callable[..., None]:
    def make(path: Path) -> None:
        rows = pq.read_table(path).to_pylist()
        change(rows)
        plain = pa.schema([(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type) for f in schema])
        pq.write_table(pa.Table.from_pylist(rows, plain), path)

    return make


def _half_characters(path: Path) -> None:
    """Texts that are no UTF-8."""
    table = pq.read_table(path)
    at = table.schema.get_field_index("text")
    broken = pa.array([b"\xff\xfe\x80"] * table.num_rows, pa.binary()).view(pa.string())
    pq.write_table(table.set_column(at, "text", broken), path)


def _event_texts(path: Path) -> None:
    """The events with a text of 50 MB in each row."""
    table = pq.read_table(path)
    words = pa.DictionaryArray.from_arrays(pa.array([0] * table.num_rows, pa.int32()), pa.array(["x" * 50_000_000]))
    at = table.schema.get_field_index("text")
    pq.write_table(table.set_column(at, "text", words), path, store_schema=False)


def _event_lists(path: Path) -> None:
    """One row of events whose parents are a hundred million."""
    table = pq.read_table(path).slice(0, 1)
    at = table.schema.get_field_index("parents")
    n = 100_000_000
    many = pa.ListArray.from_arrays(pa.array([0, n], pa.int32()), pa.repeat(pa.scalar(7, pa.int64()), n))
    pq.write_table(table.set_column(at, "parents", many), path, store_schema=False, compression="zstd")


def _set(column: str, value: object) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        rows = pq.read_table(path).to_pylist()
        rows[0][column] = value
        loose = pa.schema([(field.name, field.type) for field in EPISODES])
        pq.write_table(pa.Table.from_pylist(rows, loose), path)

    return make


# Journals


def _journal(*statements: str) -> Callable[[World], None]:
    def make(world: World) -> None:
        path = world.directory / "journal.sqlite"
        sql(path, "PRAGMA journal_mode = DELETE", *statements)
        pin(world.directory, "journal.sqlite")

    return make


def _hot_journal(world: World) -> None:
    """A rollback journal that names a file to remove once it is rolled back, as SQLite's own format has it."""
    path = world.directory / "journal.sqlite"
    sql(path, "PRAGMA journal_mode = DELETE")
    pin(world.directory, "journal.sqlite")
    raw = path.read_bytes()
    page = struct.unpack(">H", raw[16:18])[0]
    name = str(world.canary / "secret.txt").encode()
    head = bytes.fromhex("d9d505f920a163d7") + struct.pack(">IIIII", 0, 1, len(raw) // page, 512, page)
    tail = struct.pack(">I", (1 << 30) // page + 1) + name + struct.pack(">II", len(name), sum(name))
    (world.directory / "journal.sqlite-journal").write_bytes(head.ljust(512, b"\0") + tail + head[:8])


def _many_free_pages(world: World) -> None:
    path = world.directory / "journal.sqlite"
    with path.open("ab") as file:
        file.truncate(TB)


_ATTEMPTS: Final = (
    "task, round, agent, k, attempt, state, request, model, room, reserved, reply, finish, shown, failure, tokens_in, "
    "tokens_cached, tokens_out, usage_known, latency_ms, crc"
)
_ENDLESS: Final = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"


# Manifests


def _seed(number: bytes) -> Callable[[bytes], bytes]:
    return lambda raw: b'{"seed": ' + number + b"}"


def _json(text: Callable[[bytes], bytes]) -> Callable[[World], None]:
    def make(world: World) -> None:
        path = world.directory / "manifest.json"
        path.write_bytes(text(path.read_bytes()))

    return make


def _edited(**changes: Any) -> Callable[[World], None]:
    def make(world: World) -> None:
        edit(world.directory, lambda data: data.update(changes))

    return make


def _scenario(**changes: Any) -> Callable[[World], None]:
    def make(world: World) -> None:
        rescenario(world.directory, lambda data: data.update(changes))

    return make


def _totals(**changes: Any) -> Callable[[World], None]:
    def make(world: World) -> None:
        edit(world.directory, lambda data: data["totals"].update(changes))

    return make


def _names_file(part: str, name: str, *, keep: bool) -> Callable[[World], None]:
    """Let the scenario name another file, and the run keep no copy of it."""

    def make(world: World) -> None:
        place = name.format(canary=world.canary)
        rescenario(world.directory, lambda data: data[part].update(file=place))
        if not keep:
            edit(world.directory, lambda data: data.update(inputs={}))
            shutil.rmtree(world.directory / "inputs")

    return make


def _forked_from_nothing(world: World) -> None:
    before = {"start": [0, 0], "scenario": {"tasks": {"kind": "jsonl", "file": str(world.canary / "cwd/tasks.jsonl")}}}
    fork = {"run": "x", "digest": None, "task": 0, "round": 1, "before": [before]}
    edit(world.directory, lambda data: data.update(fork=fork))


def _address(world: World) -> None:
    rescenario(world.directory, lambda data: data["engine"].update(address=f"127.0.0.1:{world.port}", hosts=2))


def _deep(levels: int) -> Callable[[bytes], bytes]:
    return lambda raw: b'{"format": 2, "name": ' + b"[" * levels + b"]" * levels + b"}"


def _aside(world: World) -> None:
    """Damaged events, and a link where they would be put aside."""
    (world.directory / "events.damaged-1").symlink_to(world.canary / "run" / "events")
    part = world.directory / "events" / "part-00000.parquet"
    part.write_bytes(part.read_bytes()[:-1])


def _temporary(world: World) -> None:
    for place in (world.directory, world.directory / "events"):
        (place / ".manifest.json.0123abcd.tmp").symlink_to(world.canary / "secret.txt")


def _of_runs() -> Iterator[Case]:
    part, journal = "events/part-00000.parquet", "journal.sqlite"
    tables = frozenset({"fork"}) | MANIFEST_ONLY
    all_but_resume = NO_CHECK | {"check", "replay"}
    # who reads what: a link in place of a file is found by those who read it
    reads: dict[str, frozenset[str]] = {
        "manifest.json": frozenset({"ls"}),
        "manifest.sha256": NO_CHECK,
        "events": tables,
        part: tables,
        "tasks.parquet": tables,
        "episodes.parquet": tables | {"task", "laws", "phase"},
        journal: NO_JOURNAL,
        "inputs": READS - {"laws", "metrics"},
        "inputs/tasks.jsonl": READS,
        "run.lock": all_but_resume,
    }
    for name, whole in reads.items():
        yield Case(f"link {name}", _link(name), name, whole)
    for beside in ("-wal", "-shm", "-journal"):
        yield Case(f"link {journal}{beside}", _link(journal + beside), journal + beside, NO_JOURNAL)
    yield Case("link .holder.json", _link(".holder.json"), ".holder.json", all_but_resume)
    for name in (part, "manifest.json", journal, "tasks.parquet", "inputs/tasks.jsonl", "manifest.sha256", "run.lock"):
        yield Case(f"hard link {name}", _hard(name), name, reads[name])
    for kind in ("pipe", "socket", "device", "directory"):
        for name in ("manifest.json", part, journal, "tasks.parquet", "inputs/tasks.jsonl", "run.lock"):
            # a directory leads nowhere: it is put aside with the other events, which are computed again
            put_aside = {"resume"} if (kind, name) == ("directory", part) else set()
            yield Case(f"{kind} {name}", _special(name, kind), name, reads[name] | put_aside)
    yield Case("pipe -wal", _special(f"{journal}-wal", "pipe"), f"{journal}-wal", NO_JOURNAL)
    yield Case("events put aside", _aside, part, tables | {"resume"})
    yield Case("temporaries", _temporary, whole=all_but_resume | {"resume"})
    repaired = dict.fromkeys(("manifest.sha256", "tasks.parquet", part), frozenset({"resume"}))
    for name in ("manifest.json", "manifest.sha256", journal, "tasks.parquet", part, "inputs/tasks.jsonl"):
        yield Case(f"1 TB {name}", _sparse(name), name, reads[name] | repaired.get(name, frozenset()))
    yield from _of_names()
    yield from _of_tables(tables)
    yield from _of_journals()
    yield from _of_manifests()


def _of_names() -> Iterator[Case]:
    for name in ("../../canary/secret.txt", "/etc/hostname", "a/../../secret.txt"):
        yield Case(f"inputs {name}", _edited(inputs={name: "0" * 64}), "manifest.json")
    yield Case("code ..", _edited(code={"../../canary/x.py": "0" * 64}), "../../canary/x.py", READS | {"check"})
    segment = {"file": "../events/part-00000.parquet", "rows": 1, "digest": "0", "chain": "0", "sha256": None}
    yield Case("segments ..", _edited(segments=[segment]), "manifest.json")
    for part in ("tasks", "topology"):
        for place in ("{canary}/cwd/tasks.jsonl", "../../canary/cwd/edges.csv"):
            yield Case(f"{part} names {place}", _names_file(part, place, keep=True), "cwd/", READS | {"check"})
        name = "tasks.jsonl" if part == "tasks" else "edges.csv"
        yield Case(f"{part} without a copy", _names_file(part, name, keep=False), "", READS | {"check"})
    yield Case("fork of a scenario elsewhere", _forked_from_nothing, "", READS | {"check"})


def _of_tables(tables: frozenset[str]) -> Iterator[Case]:
    part, tasks, episodes = "events/part-00000.parquet", "tasks.parquet", "episodes.parquet"
    makers = (_texts, _many_texts, _lists, _rows, _long_footer, _short_footer, _nested, _other_types, _twice, _below)
    for write in makers:
        yield Case(f"tasks{write.__name__}", _table(tasks, write), tasks, tables | {"resume"})
    for write in (_event_texts, _event_lists, _rows, _lists, _half_characters):
        yield Case(f"events{write.__name__}", _table(part, write, rows=36), part, tables)
    for column, value in (
        ("virtual_s", float("nan")), ("cost", 10**37), ("tokens_lost", 2**63 - 1), ("score", float("inf")),
        ("events", None), ("stop", None), ("answer", "\x1b[2J"),
    ):  # fmt: skip
        whole = NO_CHECK - ({"metrics"} if value is None else set()) | {"resume"}
        yield Case(f"episodes {column} {value}", _table(episodes, _set(column, value)), "", whole)


def _of_journals() -> Iterator[Case]:
    path = "journal.sqlite"
    old = "ALTER TABLE attempts RENAME TO old"
    yield Case("a view", _journal(old, "CREATE VIEW attempts AS SELECT * FROM old"), path, NO_JOURNAL)
    nulls = ", ".join(["x"] + ["NULL"] * 19)
    endless = f"CREATE VIEW attempts({_ATTEMPTS}) AS {_ENDLESS} SELECT {nulls} FROM n"
    yield Case("an endless view", _journal("DROP TABLE attempts", endless), path, NO_JOURNAL)
    trigger = f"CREATE TRIGGER t AFTER INSERT ON attempts BEGIN SELECT max(x) FROM ({_ENDLESS} SELECT x FROM n); END"
    yield Case("a trigger", _journal(trigger), path, NO_JOURNAL)
    yield Case("another table", _journal("CREATE TABLE more (x)"), path, NO_JOURNAL)
    yield Case("a virtual table", _journal("CREATE VIRTUAL TABLE more USING fts5(x)"), path, NO_JOURNAL)
    yield Case("a generated column", _journal("ALTER TABLE attempts ADD COLUMN more AS (task + 1)"), path, NO_JOURNAL)
    first = "(task, agent, round) IN (SELECT task, agent, round FROM attempts LIMIT 1)"
    yield Case("a huge cell", _journal(f"UPDATE attempts SET reply = printf('%.*c', 300000000, 'x') WHERE {first}"),
               path, NO_JOURNAL)  # fmt: skip
    yield Case(
        "many large cells", _journal("UPDATE attempts SET reply = printf('%.*c', 30000000, 'x')"), path, NO_JOURNAL
    )
    yield Case("a journal that names a file", _hot_journal, "journal.sqlite-journal", NO_JOURNAL)


def _of_manifests() -> Iterator[Case]:
    name = "manifest.json"
    yield Case("3 million values", _json(lambda raw: b'{"format": 2, "x": [' + b"1," * 3_000_000 + b"1]}"), name)
    yield Case("2 million values", _json(lambda raw: b'{"x": [' + b'"",' * 1_900_000 + b"1]}"), name)
    yield Case("60 MB of text", _json(lambda raw: b'{"x": "' + b"y" * 60_000_000 + b'"}'), name)
    for levels in (100_000, 900, 480, 320):
        yield Case(f"{levels} levels", _json(_deep(levels)), name)
    for number in (b"NaN", b"-Infinity", b"1e999", b"9" * 5_000):
        yield Case(f"number {number[:9].decode()}", _json(_seed(number)), name)
    yield Case("a key twice", _json(lambda raw: raw.replace(b'"seed"', b'"seed": 8, "seed"', 1)), name,
               NO_CHECK | {"resume"})  # read as it was written; its seal says that it was not  # fmt: skip
    yield Case("huge totals", _totals(tokens_in=10**4_000), name)
    yield Case("totals beyond floats", _totals(tokens_in=10**400, budget=10**399), name)
    yield Case("negative totals", _totals(events=-1), name, frozenset({"ls"}))
    scenario: dict[str, Any]
    for scenario in (
        {"agents": 5}, {"agents": ["x"]}, {"agents": [{"count": "many"}]}, {"agents": [{"count": 10**400}]},
        {"agents": [{"count": 10**9, "model": {"kind": "scripted"}}]}, {"tasks": {"kind": "signal", "count": 10**9}},
        {"tasks": "x"}, {"topology": None}, {"topology": "x"}, {"prices": [1]}, {"budget": "x"},
    ):  # fmt: skip
        yield Case(f"scenario {json.dumps(scenario)[:60]}", _scenario(**scenario), name)
    for scenario in (
        {"budget": {"money_per_task": 1e308}},
        {"budget": {"tokens": 10**400}}, {"budget": {"money": "1e400"}}, {"name": {"x": 1}},
    ):  # fmt: skip
        yield Case(f"scenario {json.dumps(scenario)[:60]}", _scenario(**scenario), "", READS)
    tasks = {"kind": "arithmetic", "count": 9_000_000}
    yield Case("scenario of 9,000,000 tasks", _scenario(tasks=tasks), "", MANIFEST_ONLY)
    for scenario in ({"prices": {"scripted": 5}}, {"protocol": {"kind": "debate", "rounds": 10**9}}):
        yield Case(f"scenario {json.dumps(scenario)[:60]}", _scenario(**scenario), "", READS | {"check"})
    yield Case("an address", _address, "", READS - {"phase"} | {"check"}, "unfinished")


RUNS: Final = tuple(_of_runs())


def _cell(world: World) -> Path:
    return min((world.directory / "runs").iterdir())


def _cell_link(world: World) -> None:
    cell = _cell(world)
    shutil.rmtree(cell)
    cell.symlink_to(world.canary / "comparison" / "runs" / cell.name)


def _cell_manifest(dangling: bool) -> Callable[[World], None]:
    def make(world: World) -> None:
        path = _cell(world) / "manifest.json"
        path.unlink()
        path.symlink_to(world.canary / ("nothing" if dangling else "comparison/runs") / path.parent.name / path.name)

    return make


def _first_cell(run: str) -> Callable[[dict[str, Any]], object]:
    return lambda data: data["cells"][0].update(run=run)


def _record(change: Callable[[dict[str, Any]], object]) -> Callable[[World], None]:
    def make(world: World) -> None:
        from agentsoc.log.record import record_bytes

        path = world.directory / "comparison.json"
        data = json.loads(path.read_bytes())
        data.pop("checksum")
        change(data)
        path.write_bytes(record_bytes(data))

    return make


def _of_comparisons() -> Iterator[Case]:
    base = "comparison"
    derived = frozenset({"ls", "check", "metrics", "laws"})
    reads = frozenset({"ls", "metrics", "laws"})
    yield Case("link comparison.json", _link("comparison.json", base), "comparison.json", reads, base)
    yield Case("link runs", _link("runs", base), "runs", frozenset({"ls"}), base)
    yield Case("link a cell", _cell_link, "runs/", reads, base)
    yield Case("link a cell's manifest", _cell_manifest(False), ".json", frozenset({"ls"}), base)
    yield Case("dangling link of a cell's manifest", _cell_manifest(True), ".json", frozenset({"ls"}), base)
    for name in ("report.txt", "report.json", "results.parquet", "run.lock"):
        yield Case(f"link {name}", _link(name, base), name, derived, base)
    yield Case("link figures", _link("figures", base), "figures", derived, base)
    yield Case("link inputs", _link("inputs", base), "inputs", reads, base)
    for place in ("../canary/comparison/runs/x", "/etc", "runs/../../canary"):
        yield Case(f"cell {place}", _record(_first_cell(place)), "comparison.json", reads, base)
    yield Case("asked for nothing", _record(lambda data: data.update(asked={"base": 5})), "", reads, base)


COMPARISONS: Final = tuple(_of_comparisons())


def _step(world: World, *, dangling: bool) -> None:
    path = min((world.directory / "runs").iterdir())
    if dangling:
        (path / "manifest.json").unlink()
        (path / "manifest.json").symlink_to(world.canary / "nothing")
    else:
        shutil.rmtree(path)
        path.symlink_to(world.canary / "calibration" / "runs" / path.name)


CALIBRATIONS: Final = (
    Case("link calibration.json", _link("calibration.json", "calibration"), "calibration.json", frozenset({"phase"})),
    Case("link runs", _link("runs", "calibration"), "runs", frozenset()),
    Case("link a run", lambda world: _step(world, dangling=False), "runs/", frozenset({"phase"})),
    Case("dangling manifest", lambda world: _step(world, dangling=True), "manifest.json", frozenset()),
    Case("link run.lock", _link("run.lock", "calibration"), "run.lock", frozenset({"phase"})),
    Case("link measurements.json", _link("measurements.json", "calibration"), "measurements", frozenset({"phase"})),
)
