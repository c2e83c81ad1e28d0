"""The facade for authors: frozen in names and signatures, light, and enough for parts like the built-in ones."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from agentsoc import plugin
from tests import facade

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

BELOW = ("agentsoc.contracts", "agentsoc.errors", "agentsoc.events", "agentsoc.streams", "agentsoc.society.attention")
"""Where the facade takes its names from."""
NOT_FOR_AUTHORS = {
    "LogDamagedError": "the reader of Parquet raises it; a family of tasks says it as bad input",
    "nx": "networkx itself, imported late",
    "starts": "offsets of groups in a flat array; Wiring.from_edges makes them",
    "nearest": "the hint of the loader's messages",
    "check_window": "what the engine checks of a topology before a run",
    "MAX_AGENTS": "a limit that the scenario is held to before a part sees it",
    "MAX_ROUNDS": "a limit of the log that a long environment is held to",
    "MAX_ROLES": "a limit that Wiring is held to",
}
"""What built-in parts take from below and authors are not promised, with the reason."""


def test_names_and_signatures_are_those_that_are_promised() -> None:
    assert facade.describe() == facade.GOLDEN.read_text(encoding="utf-8"), (
        "the facade has changed: read docs/compatibility.md, then run python -m tests.facade and say it in CHANGELOG.md"
    )


def test_the_changelog_says_which_facade_its_newest_release_has() -> None:
    """Whoever changes the facade has to write in the changelog: it names the hash of names and signatures."""
    newest = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n## ")[1]
    assert re.findall(r"plug-in facade `([0-9a-f]{12})`", newest) == [facade.digest()]


def test_changelog_and_citation_have_the_version_of_the_package() -> None:
    newest = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n## ")[1]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert newest.startswith(version)
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_a_change_of_any_kind_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    before = facade.digest()

    def plan(self: object, society: object) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(plugin.Protocol, "plan", plan)
        assert facade.digest() != before
    with monkeypatch.context() as patch:
        patch.setattr(plugin, "majority", plan)
        assert facade.digest() != before
    with monkeypatch.context() as patch:
        patch.setattr(plugin, "__all__", plugin.__all__[1:])
        assert facade.digest() != before
    assert facade.digest() == before


def test_every_name_is_there_once_and_nothing_else_is_public() -> None:
    assert len(plugin.__all__) == len(set(plugin.__all__))
    imported = {name for name in vars(plugin) if not name.startswith("_")} - {"annotations"}
    assert imported == set(plugin.__all__)


def test_importing_it_imports_nothing_that_makes_runs() -> None:
    program = "import sys, agentsoc.plugin; print(*sorted(m for m in sys.modules if m.startswith('agentsoc.')))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    rooms = {name.split(".")[1] for name in loaded}
    assert rooms == {"contracts", "errors", "events", "plugin", "reading", "shadowing", "society", "streams"}
    assert not {name for name in loaded if name.startswith("agentsoc.society.topologies")}


def taken(path: Path) -> set[str]:
    """Return the names that a file imports from the rooms below the facade."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
    return {alias.name for node in nodes if (node.module or "").startswith(BELOW) for alias in node.names}


SHIPPED = [
    path
    for directory in ("protocols", "tasks", "society/topologies")
    for path in sorted((ROOT / "agentsoc" / directory).glob("*.py"))
] + [ROOT / "agentsoc" / "budget" / "policies.py", ROOT / "agentsoc" / "society" / "coded.py"]


def test_it_has_what_the_built_in_protocols_topologies_families_and_policies_need() -> None:
    needed = {name: path.name for path in SHIPPED for name in taken(path) if not name.startswith("_")}
    missing = {name: where for name, where in needed.items() if name not in plugin.__all__}
    assert set(missing) == set(NOT_FOR_AUTHORS), missing


OF_THE_LIBRARY = {
    "agentsoc.theory.agents": "the formulas of the page on budgets",
    "agentsoc.budget.allocation": "the formulas of the page on budgets",
    "agentsoc.log.cost": "what a stored run cost",
    "agentsoc.scenario.prices": "the arithmetic of prices",
    "agentsoc.theory.auction": "the score of a plan, of the page on protocols",
    "agentsoc.theory.makespan": "how long work takes that waits for other work, of the same page",
    "agentsoc.theory.ratings": "ratings from matches, of the same page",
    "agentsoc.society.deficit": "the brakes that the analysis of interventions replays",
}
"""Modules of the library, not of plug-ins, that pages show at work."""


def imported_from(text: str) -> set[str]:
    return set(re.findall(r"^(?:from|import) (agentsoc[\w.]*)", text, re.MULTILINE))


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda page: str(page.relative_to(ROOT))
)
def test_pages_import_from_the_package_the_facade_and_the_kit_for_tests_alone(page: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    named = {module for block in blocks for module in imported_from(block)}
    assert named - set(OF_THE_LIBRARY) <= {"agentsoc", "agentsoc.plugin", "agentsoc.testing"}


def test_loose_code_of_the_tests_is_written_as_authors_write_it() -> None:
    for name in ("loose_code.py", "loose_family.py", "hostile_model.py"):
        assert imported_from((ROOT / "tests" / "data" / name).read_text(encoding="utf-8")) == {"agentsoc.plugin"}, name


def test_the_page_on_plug_ins_names_everything_in_the_facade() -> None:
    page = (DOCS / "plugins.md").read_text(encoding="utf-8")
    assert [name for name in plugin.__all__ if f"`{name}`" not in page] == []
