"""The documentation says what is so: its examples are executed, its generated pages current, its tables complete.

Blocks marked ``console`` hold commands after ``$`` and lines of their output; each line that is shown has to occur, in
that order, ``...`` standing for others. Runs with the embedded model are made smaller (`SMALL` in `page_reader.py`),
and three comparisons by day with one seed (`SEEDS_AT_NIGHT`); those then only have to succeed. The comparison that two
pages make is made once, without ``--quiet``, and both pages are held against what it said; comparisons of other pages
are made with ``--quiet``. ``python`` blocks of a page share one namespace. Blocks that begin with ``# file: NAME`` are
saved. Blocks marked ``sh`` are not executed: they install, need a key or a second machine.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import entry_points
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from agentsoc.backends.scripted import Scripted
from agentsoc.cli import main
from agentsoc.contracts.environments import ENVIRONMENTS
from agentsoc.contracts.part import Part, Slot
from agentsoc.contracts.protocol import PROTOCOLS
from agentsoc.contracts.tools import TOOLS
from agentsoc.contracts.topology import TOPOLOGIES
from agentsoc.engine.rehearsal import sample_prompts
from agentsoc.engine.run import run
from agentsoc.events import KINDS
from agentsoc.experiment.comparison import parse_comparison
from agentsoc.experiment.grid import make_grid
from agentsoc.log.journal import Attempt
from agentsoc.log.manifest import Manifest
from agentsoc.log.schema import COLUMNS
from agentsoc.scenario.code import forget_code
from agentsoc.scenario.files import BASE_DIR
from agentsoc.scenario.load import load_scenarios, parse_scenario
from agentsoc.scenario.model import Scenario
from agentsoc.scenario.strict import parse
from agentsoc.society.build import build_society
from docs.generate import DOCS, own_kinds, pages, scenario_files
from docs.prompts_page import ASKED
from tests.page_reader import Made, Reader, blocks
from tests.strategies import scenario as small_scenario

ROOT = DOCS.parent


def named(page: Path) -> str:
    """Return the name of a page, with its directory where it is not that of all."""
    return page.stem if page.parent in (ROOT, DOCS) else f"{page.parent.name}/{page.stem}"


ROOT_PAGES = ("README.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "SECURITY.md", "CHANGELOG.md")
PAGES = [*(ROOT / name for name in ROOT_PAGES), *sorted(DOCS.rglob("*.md"))]
EXAMPLES = [page for page in PAGES if re.search(r"^```(console|python|sql)", page.read_text(), re.MULTILINE)]
MARKS = {"ray": pytest.mark.ray}


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AGENTSOC_DEBUG", "CI", "COLUMNS", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("scenarios").symlink_to(ROOT / "scenarios")
    token = BASE_DIR.set(None)
    yield
    BASE_DIR.reset(token)
    forget_code()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("made") / "five-architectures", [])


@pytest.mark.model
@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "page", [pytest.param(page, id=named(page), marks=MARKS.get(page.stem, ())) for page in EXAMPLES]
)
def test_the_examples_of_a_page_do_what_the_page_says(
    page: Path, capsys: pytest.CaptureFixture[str], made: Made
) -> None:
    reader = Reader(capsys, made)
    for block in blocks(page):
        reader.follow(block, f"{page.name}:{block.line}")


BASE = """
name: fragment
tasks: sentiment
agents: {count: 4, model: scripted}
topology: star
protocol: vote
"""


@pytest.mark.parametrize("page", [pytest.param(page, id=named(page)) for page in PAGES])
def test_every_yaml_block_is_a_scenario_or_a_part_of_one(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_HOST", "127.0.0.1")  # which addresses on the pages name
    for block in blocks(page):
        if block.language != "yaml" or "# file: " in block.text:  # whole files are run by the test above
            continue
        part = parse(block.text, f"{page.name}:{block.line}").data
        if "organisations" in part:
            assert make_grid(parse_comparison(block.text, f"{page.name}:{block.line}")).cells
            continue
        assert set(part) <= {*Scenario.model_fields, "models", "sweep"}
        rest = [line for line in BASE.splitlines() if line.partition(":")[0] not in part]
        if "sweep" in part:
            file = tmp_path / "sweep.yaml"
            file.write_text(BASE + block.text)
            assert len(load_scenarios(file)) > 1
            continue
        parse_scenario("\n".join(rest) + "\n" + block.text)


def test_the_generated_pages_are_current() -> None:
    stale = [path.name for path, text in pages().items() if not path.exists() or path.read_text("utf-8") != text]
    assert not stale, "run: python -m docs.generate"


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_page_of_scenarios_begins_with_a_list_of_all() -> None:
    first = (DOCS / "scenarios.md").read_text(encoding="utf-8").partition("\n## ")[0]
    assert sorted(re.findall(r"\(#([\w-]+)\)", first)) == sorted(path.stem for path in scenario_files())


@pytest.mark.parametrize("page", [pytest.param(page, id=named(page)) for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


@pytest.mark.parametrize("page", [pytest.param(page, id=named(page)) for page in [*PAGES, *scenario_files()]])
def test_a_page_names_only_files_that_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"(?<![\w/.])((?:scenarios|docs|agentsoc|analysis)/[\w./-]*[\w/])", text):
        assert "NAME" in name or (ROOT / name).exists(), name
    for name in re.findall(r"`((?:e2e|property|unit|contract)/\w+\.py)`", text):
        assert (ROOT / "tests" / name).exists(), name


def test_the_index_leads_to_every_page() -> None:
    for directory in {page.parent for page in DOCS.rglob("*.md")}:
        listed = set(re.findall(r"\]\(([\w-]+(?:/index)?\.md)\)", (directory / "index.md").read_text(encoding="utf-8")))
        below = {f"{index.parent.name}/index.md" for index in directory.glob("*/index.md")}
        assert listed == {page.name for page in directory.glob("*.md")} - {"index.md"} | below


def test_the_readme_lists_the_built_in_verbs_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    own = {entry.name for entry in entry_points(group="agentsoc.commands") if entry.module.startswith("agentsoc.")}
    assert own <= set(re.findall(r"^\| `agentsoc (\w+)", text, re.MULTILINE))
    main.main(["--help"])
    codes = " ".join(capsys.readouterr().out.partition("Exit codes: ")[2].split())
    assert re.findall(r"(\d+) ", codes + " ") == re.findall(r"^\| (\d+) \|", text, re.MULTILINE)


def test_the_readme_lists_the_extras() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \| (?:the|prov|sev|fig)", text, re.MULTILINE)) == set(extras) - {"all"}


def rows(page: str) -> set[str]:
    """Return the words in backticks in the first column of a page's tables."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return {
        word
        for line in text.splitlines()
        if line.startswith("| `")
        for word in re.findall(r"`([^`]+)`", line.split("|")[1])
    }


def test_the_log_format_names_every_column_kind_and_key() -> None:
    named = rows("log-format.md")
    assert set(COLUMNS) <= named
    assert set(KINDS) <= named
    assert {*Attempt.__struct_fields__, "crc"} <= named
    text = (DOCS / "log-format.md").read_text(encoding="utf-8")
    keys = set(Manifest.model_fields) - {"name", "seed"}
    assert {key for key in keys if f"`{key}`" not in text and f"`{key}:" not in text} == set()


def test_the_vocabulary_classifies_every_topology_protocol_and_scenario() -> None:
    named = rows("vocabulary.md")
    assert {*own_kinds(TOPOLOGIES), *own_kinds(PROTOCOLS)} <= named
    text = (DOCS / "vocabulary.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| `([\w-]+)` \| ([^|]+) \| [^|]+ \| [^|]+-based \|", text, re.MULTILINE))
    assert set(table) == {path.stem for path in scenario_files()}
    for path in scenario_files():
        told = [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", table[path.stem])]
        sizes = {build_society(one).n for one in load_scenarios(path)}
        told = told if " or " in table[path.stem] else [sum(told) + table[path.stem].startswith("lead")]
        assert set(told) == sizes, path.stem


@pytest.mark.parametrize(("slot", "page"), [(TOOLS, "tools.md"), (ENVIRONMENTS, "environments.md")])
def test_every_tool_and_environment_has_a_row_on_its_page(slot: Slot[Part], page: str) -> None:
    assert set(own_kinds(slot)) <= rows(page)


def test_the_page_of_prompts_says_by_which_template_each_protocol_asks() -> None:
    told: dict[tuple[str, str], str] = {}
    for protocols, _, templates, instruction in ASKED:
        for key in product(re.findall(r"`([\w-]+)`", protocols), re.findall(r"`(\w+)`", templates)):
            told[key] = told.get(key, "") + instruction
    assert {kind for kind, _ in told} >= set(own_kinds(PROTOCOLS))
    asked = set()
    for path in scenario_files():
        for one in load_scenarios(path):
            if sum(group.count or 0 for group in one.agents) > 20:
                continue
            groups = tuple(group.model_copy(update={"model": Scripted()}) for group in one.agents)
            society = build_society(one.model_copy(update={"agents": groups}))
            kind = one.protocol.kind
            for sample in sample_prompts(society) if kind != "dti" else ():
                name = sample.template or sample.turn.purpose
                assert (kind, name) in told, path.stem
                first = sample.turn.instruction.partition("\n")[0]  # below it stands what differs by task
                assert kind == "roles" or first in told[kind, name], path.stem
                asked.add((kind, name))
    assert len(asked) >= 15


def test_the_architecture_lists_the_layers_that_the_import_contract_holds() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [re.findall(r"agentsoc\.(\w+)", layer) for layer in contracts[0]["layers"]]
    text = " ".join((DOCS / "architecture.md").read_text(encoding="utf-8").split())
    told = text.partition("holds it: ")[2].partition(". ")[0]
    built = [
        room
        for layer in layers
        for room in layer
        if (ROOT / "agentsoc" / room).exists() or room in ("errors", "events", "plugin", "sandbox", "streams")
    ]
    assert re.findall(r"`(\w+)`", told) == built


def test_what_the_architecture_says_to_look_for_is_in_the_file_that_it_names() -> None:
    section = (
        (DOCS / "architecture.md").read_text(encoding="utf-8").partition("## Where is what\n")[2].partition("\n## ")[0]
    )
    found = re.findall(r"^\| [^|]+ \| `([^`]+)` \| `([^`]+)` \|$", section, re.MULTILINE)
    assert len(found) == section.count("\n| ") - 2 >= 10
    for file, name in found:
        made = rf"^\s*(?:(?:async )?def|class) {name}\b|^{name}\b.* = " if file.endswith(".py") else rf"^{name}:$"
        assert re.search(made, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), (file, name)


def test_the_architecture_says_what_each_file_of_the_engine_does() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    section = page.partition("What each file of `agentsoc/engine/` does:\n")[2].partition("\n## ")[0]
    told = re.findall(r"`([\w*]+\.py)`", "".join(re.findall(r"^\| (.*?) \|", section, re.MULTILINE)))
    files = {file.name for file in (ROOT / "agentsoc" / "engine").glob("*.py")} - {"__init__.py"}
    assert {name for name in files if not any(fnmatch(name, pattern) for pattern in told)} == set()
    assert {name for name in told if "*" not in name} <= files


def test_the_digest_follows_from_the_description_in_the_log_format(tmp_path: Path) -> None:
    """An independent reading of docs/log-format.md, with polars, gives the digest in the manifest."""
    done = run(
        small_scenario(tasks={"kind": "coin", "count": 3}, protocol={"kind": "debate", "rounds": 3}), tmp_path / "run"
    )
    frame = pl.concat([pl.read_parquet(tmp_path / "run" / "events" / s.file) for s in done.manifest.segments])
    required = {"task", "round", "agent", "k", "kind", "parents", "calls", "label_source"}
    required |= {"tokens_in", "tokens_cached", "tokens_out"}
    streams: list[bytes] = []
    for name in COLUMNS:
        column = frame[name].cast(pl.String) if frame[name].dtype == pl.Categorical else frame[name]
        valid = b"" if name in required else bytes(column.is_not_null().cast(pl.UInt8).to_list())
        lengths = values = b""
        if column.dtype == pl.String:
            texts = [(text or "").encode() for text in column]
            lengths = np.array([len(text) for text in texts], "<i8").tobytes()
            values = b"".join(texts)
        elif column.dtype == pl.List:
            lengths = np.array([len(items) for items in column], "<i8").tobytes()
            values = np.array([item for items in column for item in items], "<i8").tobytes()
        elif column.dtype == pl.Float64:
            values = (column.fill_null(0.0).to_numpy() + 0.0).astype("<f8").tobytes()
        else:
            values = column.fill_null(0).to_numpy().astype("<i8").tobytes()
        streams += [hashlib.sha256(part).digest() if part else bytes(32) for part in (valid, lengths, values)]
    whole = b"agentsoc-events-1" + frame.height.to_bytes(8, "little") + b"".join(streams)
    assert hashlib.sha256(whole).hexdigest() == done.manifest.digest
