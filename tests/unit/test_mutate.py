"""The tool that plants small faults: what it changes, what it leaves alone, and what it says of a mutant."""

from __future__ import annotations

import ast
import json
import subprocess
import tempfile
from pathlib import Path

import pytest

from benchmarks import mutate
from benchmarks.mutants import mutants
from benchmarks.mutate import TARGETS

SOURCE = '''"""Docs with 1 < 2."""
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVEL: Final = 0.05


def decide(values: "Sequence[int]", least: int = 3) -> bool:
    """Return not much: 4 < 5."""
    assert least > 0
    kept = [value for value in values if value >= least]
    if not kept or max(kept) == 7:
        raise ValueError("none")
    kept.append(least - 1)
    return any(value is not None for value in kept)
'''


def test_every_kind_of_fault_is_planted_where_it_can_be() -> None:
    found = {(one.where, one.kind, one.change) for one in mutants(SOURCE)}
    assert {
        ("LEVEL", "constant", "0.05 -> 0.1"),
        ("LEVEL", "constant", "0.05 -> 0.025"),
        ("decide", "bound", "value >= least -> value > least"),
        ("decide", "comparison", "value >= least -> value < least"),
        ("decide", "condition", "not kept or max(kept) == 7 -> not (not kept or max(kept) == 7)"),
        ("decide", "and, or", "not kept or max(kept) == 7 -> not kept and max(kept) == 7"),
        ("decide", "part dropped", "not kept or max(kept) == 7 -> not kept"),
        ("decide", "not dropped", "not kept -> kept"),
        ("decide", "min, max", "max(kept) -> min(kept)"),
        ("decide", "constant", "7 -> 8"),
        ("decide", "constant", "1 -> 0"),
        ("decide", "arithmetic", "least - 1 -> least + 1"),
        ("decide", "statement dropped", "raise ValueError('none') -> (dropped)"),
        ("decide", "statement dropped", "kept.append(least - 1) -> (dropped)"),
        ("decide", "return", "return any((value is not None for value in kept)) -> return False"),
        ("decide", "comparison", "value is not None -> value is None"),
    } <= found


def test_every_mutant_is_one_change_of_code_that_runs() -> None:
    plain = ast.unparse(ast.parse(SOURCE)).splitlines()
    seen = set()
    for one in mutants(SOURCE):
        changed = one.make().rstrip("\n").splitlines()
        compile(one.make(), "mutant", "exec")
        assert sum(a != b for a, b in zip(plain, changed, strict=True)) == 1, one.change
        seen.add((one.where, one.change))
    assert len(seen) == len(mutants(SOURCE))  # each has a name of its own


def test_words_annotations_assertions_and_type_imports_are_left_alone() -> None:
    for one in mutants(SOURCE):
        for kept in (
            '"""Docs with 1 < 2."""',
            '"""Return not much: 4 < 5."""',
            "assert least > 0",
            "if TYPE_CHECKING:",
        ):
            assert kept in one.make()
        assert "values: 'Sequence[int]', least: int=" in one.make()


def test_every_target_and_all_of_its_tests_are_there() -> None:
    for module, tests in TARGETS.items():
        assert (mutate.ROOT / module).is_file()
        for test in tests:
            path, _, name = test.partition("::")
            assert not name or f"def {name}(" in (mutate.ROOT / path).read_text()
            assert (mutate.ROOT / path).is_file()


def test_every_listed_equivalent_is_a_mutant_that_the_module_still_has() -> None:
    for module in TARGETS:
        there = {(one.where, one.change) for one in mutants((mutate.ROOT / module).read_text())}
        assert set(mutate.known(module)) <= there


# Run on a small repository


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "small"
    (root / "pkg").mkdir(parents=True)
    (root / "pkg" / "__init__.py").write_text("")
    source = "from time import sleep\n\n\ndef grown(n):\n    sleep(n - n)\n    return max(n, 4)\n"
    (root / "pkg" / "sums.py").write_text(source)
    (root / "test_sums.py").write_text("from pkg.sums import grown\n\ndef test_it():\n    assert grown(900) == 900\n")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    (root / "mutants.yaml").write_text(
        "pkg/sums.py:\n- in: grown\n  change: max(n, 4) -> min(n, 4)\n  why: it is not, but a list is believed\n"
    )
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(mutate, "ROOT", root)
    monkeypatch.setattr(mutate, "EQUIVALENT", root / "mutants.yaml")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    return root


@pytest.mark.slow
def test_what_tests_notice_is_told_from_what_they_do_not_and_nothing_is_left_behind(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in small.glob("**/*.py")}
    words = ["pkg/sums.py", "--tests", "test_sums.py", "--json", str(small / "out.json"), "--slack", "2"]
    assert mutate.main(words) == 1
    out = capsys.readouterr().out
    ends = {one["change"]: one["end"] for one in json.loads((small / "out.json").read_text())}
    assert ends == {
        "n - n -> n + n": "timed out",
        "sleep(n - n) -> (dropped)": "survived",
        "max(n, 4) -> min(n, 4)": "equivalent",
        "4 -> 5": "survived",
        "4 -> 3": "survived",
        "return max(n, 4) -> return None": "killed",
    }
    assert "survived: line 6, grown, constant: 4 -> 5" in out
    assert {path: path.read_bytes() for path in small.glob("**/*.py")} == before
    assert list((small.parent / "scratch").iterdir()) == []


def test_tests_that_fail_without_a_fault_say_nothing_about_faults(small: Path) -> None:
    (small / "test_sums.py").write_text("def test_it():\n    assert False\n")
    with pytest.raises(SystemExit, match="its tests fail without any fault"):
        mutate.main(["pkg/sums.py", "--tests", "test_sums.py"])
    assert list((small.parent / "scratch").iterdir()) == []


def test_a_module_without_tests_or_that_is_none_is_refused(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in ((["pkg/none.py"], "there is no module pkg/none.py"), (["pkg/sums.py"], "add --tests FILE")):
        with pytest.raises(SystemExit) as ended:
            mutate.main(words)
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
