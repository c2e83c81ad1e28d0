"""Hostile programs end within their limits, and nothing outside of the sandbox changes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from agentsoc.sandbox import Sandbox, SandboxError, passes
from agentsoc.scenario.files import BASE_DIR
from tests.societies import built

pytestmark = pytest.mark.skipif(find_spec("pydantic_monty") is None, reason="needs the extra sandbox")

FILES = [
    "open('{mark}', 'w').write('x')",
    "open('/etc/passwd').read()",
    "import os\nos.remove('{mark}')",
    "import os\nos.system('touch {mark}')",
    "import os\nos.listdir('/')",
    "import os\nos.environ['HOME']",
    "import pathlib\npathlib.Path('{mark}').write_text('x')",
    "import pathlib\npathlib.Path('/etc/passwd').read_text()",
    "import shutil\nshutil.rmtree('/')",
    "import tempfile\ntempfile.mkstemp()",
    "import io\nio.open('{mark}', 'w')",
    "import os\nos.mkdir('{mark}')",
    "import sqlite3\nsqlite3.connect('{mark}')",
    "import zipfile",
    "import os\nos.rename('/etc', '{mark}')",
]
NETWORK = [
    "import socket\nsocket.create_connection(('127.0.0.1', 80))",
    "import urllib.request",
    "import http.client",
    "import requests",
    "import asyncio\nasyncio.open_connection('127.0.0.1', 80)",
    "import ssl",
    "import smtplib",
    "import ftplib",
]
PROCESSES = [
    "import subprocess\nsubprocess.run(['touch', '{mark}'])",
    "import os\nos.fork()",
    "import os\nos.kill(1, 9)",
    "import multiprocessing",
    "import threading\nthreading.Thread()",
    "import signal\nsignal.alarm(1)",
    "import ctypes",
    "import os\nos._exit(3)",
    "import sys\nsys.exit(3)",
    "exit()",
    "quit()",
    "import _thread",
    "import posix",
]
MEMORY = [
    "x = 'a' * 10**12",
    "x = 'a'\nwhile True:\n    x += x",
    "[0] * 10**10",
    "x = []\nwhile True:\n    x.append(x)",
    "list(range(10**10))",
    "10 ** 10 ** 9",
    "{i: i for i in range(10**9)}",
    "bytes(10**11)",
    "2 << 10**12",
    "'%1000000000d' % 1",
]
LOOPS = [
    "while True:\n    pass",
    "def f():\n    f()\nf()",
    "for i in iter(int, 1):\n    pass",
    "def g():\n    while True:\n        yield 1\nsum(g())",
    "x = 0\nwhile x >= 0:\n    x += 1",
]
LOOKING = [
    "().__class__.__bases__[0].__subclasses__()",
    "(lambda: 0).__globals__",
    "[].__class__.__mro__",
    "globals()['__builtins__']",
    "__import__('os').system('ls')",
    "__builtins__['open']",
    "import builtins\nbuiltins.open('{mark}', 'w')",
    "import importlib\nimportlib.import_module('os')",
    "import inspect\ninspect.currentframe().f_back",
    "import gc\ngc.get_objects()",
    "import sys\nsys.modules['os'].system('ls')",
    "type('x', (), {{}}).__base__.__subclasses__()",
    "import code",
    "import pickle\npickle.loads(b'x')",
    "compile('1', 'x', 'exec')",
    "raise KeyboardInterrupt",
    "raise SystemExit(0)",
    "assert False, 'x' * 10**6",
    "def f(:",
    "\x00",
    "é = 1\n\u202e",
]
HOSTILE = [*FILES, *NETWORK, *PROCESSES, *MEMORY, *LOOPS, *LOOKING]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox(time_s=0.3)
    yield made
    made.close()


def test_the_corpus_is_as_large_as_it_is_said_to_be() -> None:
    assert len(HOSTILE) >= 60


@pytest.mark.parametrize("program", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_program_ends_and_changes_nothing(sandbox: Sandbox, tmp_path: Path, program: str) -> None:
    mark = tmp_path / "mark"
    began = time.monotonic()
    try:
        said = sandbox.run(program.replace("{mark}", str(mark)).replace("{{}}", "{}"))
    except SandboxError as error:
        said = error.kind
    # what the interpreter knows of a name may be harmless; then it has said little, and nothing of this machine
    assert len(said) < 70_000
    assert "root:" not in said
    assert time.monotonic() - began < 20
    assert list(tmp_path.iterdir()) == []
    assert sandbox.run("20 + 1") == "21"


def test_endless_loops_time_out_and_floods_are_limits(sandbox: Sandbox) -> None:
    for program, kind in ((LOOPS[0], "timeout"), (MEMORY[0], "limit"), (LOOPS[1], "limit"), ("1 / 0", "error")):
        with pytest.raises(SandboxError) as caught:
            sandbox.run(program)
        assert caught.value.kind == kind
    with pytest.raises(SandboxError) as caught:
        sandbox.run("#" * 70_000)
    assert caught.value.kind == "limit"


def test_a_long_output_is_cut_and_says_so(sandbox: Sandbox) -> None:
    said = sandbox.run("for i in range(3000):\n    print('x' * 99)")
    assert 65_000 < len(said) < 66_000
    assert said.endswith("characters more]")


def test_tests_behind_a_program_decide(sandbox: Sandbox) -> None:
    assert passes(sandbox, "def add(a, b):\n    return a + b", "assert add(1, 2) == 3")
    assert not passes(sandbox, "def add(a, b):\n    return a - b", "assert add(1, 2) == 3")
    assert not passes(sandbox, "while True:\n    pass", "assert True")


def test_answers_that_are_programs_are_scored_by_tests(tmp_path: Path) -> None:
    line = {"question": "Write add(a, b).", "answer": "assert add(1, 2) == 3\nassert add(0, 0) == 0"}
    (tmp_path / "tasks.jsonl").write_text(json.dumps(line) + "\n")
    BASE_DIR.set(tmp_path)
    right = "Like this:\n```python\ndef add(a, b):\n    return a + b\n```\nDone."
    blocks = {
        "tasks": {"kind": "jsonl", "file": "tasks.jsonl", "count": 1, "scoring": {"score": "tests"}},
        "agents": {"count": 1, "reply": "text", "model": {"kind": "scripted", "replies": [["Write add", right]]}},
        "topology": "single",
        "protocol": "vote",
    }
    done = run(built(**blocks), tmp_path / "right")
    assert done.manifest.totals.score == 1.0
    assert [event.answer for event in done.events() if event.kind == "answer"] == ["def add(a, b):\n    return a + b"]
    blocks["agents"]["model"]["replies"] = [["Write add", "def add(a, b):\n    return 3"]]  # type: ignore[index]
    assert run(built(**blocks), tmp_path / "wrong").manifest.totals.score == 0.0
    assert replay(tmp_path / "right").digest == done.manifest.digest
