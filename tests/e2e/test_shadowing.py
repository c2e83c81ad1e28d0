"""A folder or a file of the user's own that is called analysis: commands work, and imports that fail say why."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import pytest

import agentsoc
import analysis
from agentsoc import shadowing
from agentsoc.errors import InputError
from tests.nightly import NIGHTLY
from tests.strategies import scenario

COMMAND = str(Path(sys.executable).with_name("agentsoc"))
MODULE = "agentsoc" if find_spec("agentsoc.__main__") else "agentsoc.cli.main"
OWN = Path(analysis.__file__).parent


@pytest.fixture(params=["folder", "file"])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A directory with a run and an ``analysis`` of the user's own."""
    agentsoc.run(scenario(tasks={"kind": "signal", "count": 3}), tmp_path / "run")
    if request.param == "folder":
        (tmp_path / "analysis").mkdir()
        (tmp_path / "analysis" / "__init__.py").write_text("MINE = 1\n")
    else:
        (tmp_path / "analysis.py").write_text("MINE = 1\n")
    return tmp_path


def called(*words: str, where: Path, on_path: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a program in `where`, with `where` on the path of Python if wished."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if on_path:
        env["PYTHONPATH"] = str(where)
    return subprocess.run(words, cwd=where, env=env, capture_output=True, text=True, check=False)


WAYS = list(product(("folder", "file"), ((COMMAND,), (sys.executable, "-m", MODULE)), (False, True)))
IN_TURN = [way for number, way in enumerate(WAYS) if NIGHTLY or number.bit_count() % 2 == 0]
"""All eight ways each night; else four, among which any two of the settings meet in each of their values."""


@pytest.mark.parametrize(("here", "command", "on_path"), IN_TURN, indirect=["here"])
def test_commands_do_not_meet_the_analysis_of_the_user(here: Path, command: tuple[str, ...], on_path: bool) -> None:
    done = called(*command, "laws", "run", "--fast", where=here, on_path=on_path)
    assert done.returncode == 0, done.stderr
    assert "observable" in done.stdout


def test_help_says_the_sentences_of_the_verbs_that_are_run(here: Path) -> None:
    done = called(COMMAND, "--help", where=here, on_path=True)
    assert "Say which laws of coordination the logs in DIR support" in " ".join(done.stdout.split())


def test_a_script_keeps_its_own_analysis(here: Path) -> None:
    (here / "script.py").write_text("import agentsoc, analysis\nprint(analysis.MINE)\n")
    assert called(sys.executable, "script.py", where=here).stdout == "1\n"


@pytest.mark.parametrize("line", ["from analysis import laws", "from analysis.tails import fit_tail"])
def test_a_failing_import_says_what_hides_what_and_the_way_out(tmp_path: Path, line: str) -> None:
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__init__.py").write_text("")
    (tmp_path / "script.py").write_text(f"import agentsoc\n{line}\n")
    done = called(sys.executable, "script.py", where=tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path / 'analysis'} has no" in done.stderr
    assert f"it hides the package analysis of agentsoc ({OWN})" in done.stderr
    assert "rename it" in done.stderr


def test_an_import_that_fails_for_another_reason_says_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__init__.py").write_text("")
    (tmp_path / "script.py").write_text("import agentsoc\nimport analysis.nothing\n")
    done = called(sys.executable, "script.py", where=tmp_path)
    assert "No module named 'analysis.nothing'" in done.stderr
    assert "hides" not in done.stderr


def test_a_command_in_a_process_that_has_another_analysis_says_so(tmp_path: Path) -> None:
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__init__.py").write_text("")
    (tmp_path / "script.py").write_text(
        "import sys, analysis\nfrom agentsoc.cli.main import main\nsys.exit(main(['laws', 'x']))\n"
    )
    done = called(sys.executable, "script.py", where=tmp_path)
    assert done.returncode == 2
    assert f"{tmp_path / 'analysis'} hides the package analysis of agentsoc" in done.stderr


def test_the_package_in_use_is_left_as_it_is() -> None:
    shadowing.use_own_analysis()
    assert sys.modules["analysis"] is analysis


def test_the_functions_that_are_named_are_those_of_the_package() -> None:
    assert set(analysis.__all__) == shadowing.FUNCTIONS


def test_a_foreign_module_is_named_by_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "foreign.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    import foreign  # type: ignore[import-not-found]

    monkeypatch.setitem(sys.modules, "analysis", foreign)
    with pytest.raises(InputError, match=r"foreign\.py hides the package analysis"):
        shadowing.use_own_analysis()
