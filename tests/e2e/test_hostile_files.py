"""Files that a stranger made, or that are none: every verb that reads them refuses in one message, fast and small."""

from __future__ import annotations

import gzip
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentsoc.cli.main import main
from agentsoc.scenario.code import forget_code
from agentsoc.scenario.files import BASE_DIR
from tests.pace import at_most

GOOD = (
    b"name: x\ntasks: {kind: comparison, count: 2}\nagents: {count: 3, model: scripted}\n"
    b"topology: star\nprotocol: aggregate\n"
)
JSON: dict[str, bytes] = {
    "deep-list": b"[" * 100_000,
    "deep-object": b'{"a":' * 100_000,
    "huge-number": b'{"a": ' + b"9" * 900_000 + b"}",
    "lone-surrogate": b'{"a": "\\ud800"}',
    "nul": b"\0\0\0",
    "byte-order-mark": b"\xef\xbb\xbf{}",
    "utf-16": "{}".encode("utf-16"),
    "a-number": b"1",
    "cut": b'{"a": "b',
    "empty": b"",
}
CSV: dict[str, bytes] = {
    "million-columns": b",".join(b"c%d" % i for i in range(1_000_000)) + b"\n",
    "only-commas": b"," * 3_000_000,
    "endless-heading": b"a" * 2_000_000,
    "open-quote": b'claim,parents,agent\n"abc\n' * 1_000,
    "nul": b"claim,parents,agent\n\0,\0,\0\n",
    "utf-16": "claim,parents,agent\n1,,0\n".encode("utf-16"),
    "latin-1": b"claim,parents,agent\n\xe9,,\xe9\n",
    "huge-number": b"claim,parents,agent\n1,,9" + b"9" * 100_000 + b"\n",
    "infinite": b"claim,parents,agent\ninf,nan,inf\n",
    "doubled-column": b"claim,claim,parents,agent\n1,1,,0\n",
    "cycle": b"claim,parents,agent\n1,2,0\n2,1,0\n",
    "newlines": b"\n" * 1_000_000,
    "empty": b"",
}
NAMES = {"huge-number", "infinite", "doubled-column"}
"""To claims these are names of agents, and a column that is ignored: such a table is taken."""
CODE: dict[str, bytes] = {
    "nul": b"\0",
    "deep": b"(" * 100_000,
    "no-exception": b"class X(BaseException): pass\nraise X('a')",
    "generator-exit": b"raise GeneratorExit",
    "ends-the-program": b"import sys; sys.exit(0)",
    "recursion": b"def f(): f()\nf()",
    "surrogate": b'raise ValueError("\\ud800")',
    "huge-number": b"x = " + b"9" * 100_000,
}
YAML: dict[str, bytes] = {
    "deep-flow": b"x: " + b"[" * 100_000,
    "deep-block": b"".join(b" " * i + b"a:\n" for i in range(1_200)),
    "bomb": b"a: &a [x, x]\n" + b"".join(b"%c: &%c [*%c, *%c]\n" % (98 + i, 98 + i, 97 + i, 97 + i) for i in range(24)),
    "hexadecimal": GOOD + b"seed: 0x" + b"f" * 100_000 + b"\n",
    "base-60": GOOD + b"seed: " + b"1:" * 10_000 + b"1\n",
    "long-key": GOOD + b"? " + b"k" * 900_000 + b"\n: 1\n",
    "lone-surrogate": GOOD + b'description: "\\ud800"\n',
    "recursive": GOOD + b"description: &x [*x]\n",
    "two-documents": GOOD + b"---\n" + GOOD,
}
CASES: dict[str, tuple[str, bytes, tuple[str, ...]]] = {
    **{f"scenario {name}": ("s.yaml", raw, ("check", "FILE")) for name, raw in YAML.items()},
    **{f"code {name}": ("c.py", raw, ("check", "GOOD", "--allow-code", "FILE")) for name, raw in CODE.items()},
    **{f"measurements {n}": ("m.json", r, ("plan", "-B", "1000", "--measurements", "FILE")) for n, r in JSON.items()},
    **{f"transcript {n}": ("t.json", r, ("import", "transcripts", "FILE", "--out", "OUT")) for n, r in JSON.items()},
    **{f"messages {n}": ("t.json", r, ("import", "messages", "FILE", "--out", "OUT")) for n, r in JSON.items()},
    **{f"traces {n}": ("t.json", r, ("import", "otlp", "FILE", "--out", "OUT")) for n, r in JSON.items()},
    **{f"auto {n}": ("t.json", r, ("import", "auto", "FILE", "--out", "OUT")) for n, r in JSON.items()},
    **{
        f"claims {n}": ("k.csv", r, ("import", "claims", "FILE", "--out", "OUT"))
        for n, r in CSV.items()
        if n not in NAMES
    },
    **{f"votes {n}": ("v.csv", r, ("phase", "--votes", "FILE")) for n, r in CSV.items()},
    "traces deep": ("events.jsonl", JSON["deep-list"] + b"\n{}\n", ("import", "mas-elites", "DIR", "--out", "OUT")),
    "traces no-gzip": ("events.jsonl.gz", b"no", ("import", "mas-elites", "DIR", "--out", "OUT")),
    "traces cut-gzip": (
        "events.jsonl.gz",
        gzip.compress(b"{}\n")[:-9],
        ("import", "mas-elites", "DIR", "--out", "OUT"),
    ),
}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    token = BASE_DIR.set(None)
    yield
    BASE_DIR.reset(token)
    forget_code()


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Assert that a command refuses its input, in one printable message, fast and small; return the message."""
    capsys.readouterr()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with at_most(200):
        code = main(words)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    captured = capsys.readouterr()
    assert code == 2, captured.err
    assert captured.err.startswith("error: ")
    assert "nobody foresaw" not in captured.err
    assert all(c.isprintable() for c in captured.err.replace("\n", ""))
    assert len(captured.err) < 12_000  # it may name a path of 5,000 characters
    assert (after - before) * (1 if sys.platform == "darwin" else 1024) < 500_000_000
    return captured.err


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, raw, words = CASES[name]
    (tmp_path / file).write_bytes(raw)
    (tmp_path / "good.yaml").write_bytes(GOOD)
    places = {"FILE": tmp_path / file, "DIR": tmp_path, "GOOD": tmp_path / "good.yaml", "OUT": tmp_path / "out"}
    refused(capsys, *(str(places.get(word, word)) for word in words))


VERBS: tuple[tuple[str, ...], ...] = (
    ("check", "FILE"),
    ("run", "FILE"),
    ("compare", "FILE"),
    ("check", "GOOD", "--allow-code", "FILE"),
    ("plan", "-B", "1000", "--measurements", "FILE"),
    ("phase", "--votes", "FILE"),
    ("import", "claims", "FILE", "--out", "OUT"),
    ("import", "transcripts", "FILE", "--out", "OUT"),
    ("import", "messages", "FILE", "--out", "OUT"),
    ("import", "auto", "FILE", "--out", "OUT"),
)


@pytest.mark.parametrize("words", VERBS, ids=lambda words: "-".join(words[:2]))
@pytest.mark.parametrize("kind", ["pipe", "device", "loop", "long-name"])
def test_what_is_no_file_is_neither_waited_for_nor_read_without_end(
    kind: str, words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / ("x" * 5_000 if kind == "long-name" else "it.csv")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path.name)
    (tmp_path / "good.yaml").write_bytes(GOOD)
    places = {"FILE": path, "GOOD": tmp_path / "good.yaml", "OUT": tmp_path / "out"}
    refused(capsys, *(str(places.get(word, word)) for word in words))
