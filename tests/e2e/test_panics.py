"""What is no Exception is one message with an exit code all the same: panics, and code that ends the program."""

from __future__ import annotations

import base64
import io
import random
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agentsoc.cli import main as command
from agentsoc.cli.main import main
from agentsoc.engine.run import run
from agentsoc.log.parquet import UnreadableTableError, read_frame
from agentsoc.log.read import RunLog
from agentsoc.scenario.code import forget_code
from agentsoc.scenario.files import BASE_DIR
from agentsoc.scenario.load import parse_scenario

PANIC = zlib.decompress(
    base64.b85decode(
        "c-l=-O;5r=5Z!JX!ofoi?53Oa(2EU3g0M(Ry$ysQ(P&FdjD}0GERY~I6!GInc=AX1Go9Uf;2mc6y_xq8J26Z<%w`UAZWv{R5Q~&xM2k%n9ado#"
        "La0_b<ug7DWKbo-<C00PSE*=T*}FX7GfJ3!N?j|(P2mYI__jP|iyo;s0#$Y#z<(@OBS>jb<+B>WME3-y)4PYu;(4`rN!?%TT%-F4h><S+1M-jL"
        "pBw2Kpn#$237o|^e}C8d1Ymi*XG*B&Uq&}&3}%FOG!G^)Fny%+5GDs8zDHA3zLU~AOmyC|<l_+#_cqQq>8|kWub=x>zHRu2#jaTATVJ+1t+rpE"
        "zpXc!AF8M==UG>&OomGJW!AZnVLxq0sf>C`NfoAxERqf3dHAzWc#Rk@^at2rT4M"
    )
)
"""A table of one row in which one length was altered: the smallest of 82 files, of 10,000, at which polars panics."""

SCENARIO = """
name: panics
tasks: {kind: comparison, count: 2}
agents: {count: 3, model: scripted}
topology: star
protocol: {kind: aggregate, by: model}
"""


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    token = BASE_DIR.set(None)
    yield
    BASE_DIR.reset(token)
    forget_code()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    run(parse_scenario(SCENARIO), tmp_path / "run")
    return tmp_path / "run"


def command_line(*words: str) -> tuple[int, str, str]:
    """Run a command in a process of its own: a panic prints on stderr whatever Python does with it."""
    code = "import sys; from agentsoc.cli.main import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


# Damaged Parquet


def test_a_task_table_at_which_polars_panics_is_a_damaged_log_in_one_message(directory: Path) -> None:
    (directory / "tasks.parquet").write_bytes(PANIC)
    code, out, said = command_line("show", str(directory), "--task", "1")
    assert (code, out) == (4, "")
    assert said.startswith("error: ")
    assert str(directory / "tasks.parquet") in said
    assert "panick" not in said
    assert len(said.splitlines()) <= 2, said


@pytest.mark.parametrize("words", [("phase", "--votes"), ("import", "claims"), ("import", "mas-elites")])
def test_a_table_at_which_polars_panics_is_bad_input_in_one_message(words: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    path.write_bytes(PANIC)
    rest = ("--out", str(tmp_path / "out")) if words[0] == "import" else ()
    code, out, said = command_line(*words, str(path), *rest)
    assert (code, out) == (2, "")
    assert str(path) in said
    assert "panick" not in said
    assert said.count("error: ") == 1
    assert len(said.splitlines()) <= 3, said


def test_no_altered_byte_makes_the_reader_do_anything_but_refuse(tmp_path: Path) -> None:
    table = pa.table({"task": [0, 1], "id": ["a", None], "options": [["x", "y"], []], "chance": [0.5, None]})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="none")
    whole, said = buffer.getvalue(), []
    for seed in range(400):
        draw = random.Random(seed)
        raw = bytearray(whole)
        for _ in range(draw.choice((1, 2, 3))):
            raw[draw.randrange(4, len(raw))] = draw.choice((0, 255, draw.randrange(256)))
        try:
            assert read_frame(bytes(raw)).height < 1_000
        except UnreadableTableError as error:
            said.append(str(error))
    assert len(said) > 50
    assert all(text.isprintable() for text in said)


def test_a_table_that_is_whole_is_read_as_polars_reads_it(directory: Path) -> None:
    import polars as pl

    for name in ("tasks.parquet", "episodes.parquet"):
        assert read_frame(directory / name).equals(pl.read_parquet(directory / name))
    assert RunLog(directory).tasks().height == 2


def test_what_is_no_ordinary_file_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.parquet")
    (tmp_path / "directory.parquet").mkdir()
    for name in ("pipe.parquet", "directory.parquet"):
        with pytest.raises(OSError, match="not an ordinary file"):
            read_frame(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_frame(tmp_path / "nothing.parquet")


# Code that is no Exception


PLUG_IN = """
from typing import Literal
from agentsoc.contracts.protocol import Decision, Protocol

class Fatal(BaseException):
    pass

class Rude(Protocol):
    kind: Literal["rude"] = "rude"
    how: str = "exit"

    def plan(self, society, board):
        if self.how == "exit":
            raise SystemExit(0)
        raise Fatal("no more")

    def decide(self, society, board):
        return Decision(None)
"""


@pytest.mark.parametrize(("how", "word"), [("exit", "SystemExit"), ("fatal", "Fatal")])
@pytest.mark.parametrize("verb", ["run", "check"])
def test_a_plug_in_that_raises_no_exception_is_named_with_its_place(
    how: str, word: str, verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rude.py").write_text(PLUG_IN)
    (tmp_path / "s.yaml").write_text(SCENARIO.replace("{kind: aggregate, by: model}", f"{{kind: rude, how: {how}}}"))
    out = ("--out", str(tmp_path / "out"), "--quiet") if verb == "run" else ()
    code = main([verb, str(tmp_path / "s.yaml"), "--allow-code", str(tmp_path / "rude.py"), *out])
    said = capsys.readouterr().err
    assert code == 1
    assert word in said
    assert "Traceback" not in said
    assert said.count("error: ") == 1


class PanicException(BaseException):
    """As pyo3 raises it: no Exception."""


@pytest.mark.parametrize("as_json", [False, True])
def test_a_panic_that_nobody_caught_is_one_message_and_exit_code_1(
    as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def panic(*args: object, **kwargs: object) -> None:
        raise PanicException("index out of bounds: the len is 0 but the index is 0")

    monkeypatch.setattr(command, "app", panic)
    assert main(["ls", *(["--json"] if as_json else [])]) == 1
    captured = capsys.readouterr()
    assert "PanicException" in captured.err
    assert "Traceback" not in captured.err
    assert ('"exit_code": 1' in captured.out) == as_json


def test_an_interrupt_that_no_verb_takes_stays_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "app", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(["ls"])


def test_a_reader_who_goes_away_is_no_error(directory: Path) -> None:
    """As `agentsoc show | head` does."""
    shell = shutil.which("bash")
    if shell is None:
        pytest.skip("needs bash")
    code = "import sys; from agentsoc.cli.main import main; sys.exit(main())"
    line = f'"{sys.executable}" -c "{code}" show "{directory}" | true'
    done = subprocess.run([shell, "-c", line], capture_output=True, text=True, timeout=60)
    assert "SystemExit" not in done.stderr
    assert "Traceback" not in done.stderr
