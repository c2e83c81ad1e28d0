"""The documentation site: every public name has an entry, every page its place; it builds where the builder is there.

The first part needs nothing but the sources. The last test builds the site and reads it; it is skipped where the
dependency group `docs` is not installed, which `make docs` does.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.reference_page import MODULES, exported, names_of, page_of
from docs.site import ROOT_PAGES, faults_of, notebook_page, place_of, rewritten, stage, with_formulas

ROOT = Path(__file__).parents[2]


class Loader(yaml.SafeLoader):
    """Reads the builder's settings, in which a tag names a function; the function is not made."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)
SETTINGS: dict[str, Any] = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)


# The reference


@pytest.mark.parametrize("module", MODULES)
def test_the_page_of_a_module_has_an_entry_for_every_public_name(module: str) -> None:
    public = set(importlib.import_module(module).__all__)
    page = (ROOT / "docs" / "reference" / page_of(module)).read_text(encoding="utf-8")
    entries = set(re.findall(rf"^::: {re.escape(module)}\.(\w+)$", page, re.MULTILINE))
    listed = set(re.findall(r"^\| \[`(\w+)`\]", page, re.MULTILINE))
    assert public <= entries
    assert public <= listed
    assert set(exported(module)) == public


def test_the_reference_has_a_page_for_every_module_that_others_are_told_to_import_from() -> None:
    told = set()
    for page in (ROOT / "docs").glob("*.md"):
        for block in re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.ImportFrom) and node.module in MODULES:
                    told.add(node.module)
                elif isinstance(node, ast.Import):
                    told |= {alias.name for alias in node.names if alias.name in ("agentsoc", "analysis")}
    assert told == set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_every_name_of_the_reference_is_what_is_imported_and_says_what_it_is(module: str) -> None:
    for one in names_of(module):
        defined = getattr(importlib.import_module(one.home), one.name)
        if one.name in exported(module):
            assert getattr(importlib.import_module(module), one.name) is defined
        if one.kind == "class":
            assert isinstance(defined, type)
        elif one.kind == "function":
            assert inspect.isfunction(defined)
        else:
            assert not inspect.isfunction(defined)
        assert len(one.said.split()) >= 4, f"{one.home}.{one.name} says nothing: {one.said!r}"


@pytest.mark.parametrize("module", MODULES)
def test_what_a_public_function_takes_is_told_unless_its_first_sentence_does(module: str) -> None:
    """Three arguments or more have a section of their own; so has one that takes whatever it is given."""
    for one in names_of(module):
        if one.kind != "function":
            continue
        function = getattr(importlib.import_module(one.home), one.name)
        said = inspect.getdoc(function) or ""
        names = set(inspect.signature(function).parameters)
        section = re.search(r"^Args:\n((?: +.*\n?)+)", said, re.MULTILINE)
        told = set(re.findall(r"^    (\w+):", section[1], re.MULTILINE)) if section else set()
        if "arguments and errors are those of" in said or (len(names) <= 2 and not told):
            continue
        missing = {name for name in names - told if f"`{name}`" not in said.partition("Args:")[0]}
        assert missing == set(), f"{one.module}.{one.name} says nothing of {sorted(missing)}"


@pytest.mark.parametrize("module", MODULES)
def test_what_a_public_function_returns_is_told_with_its_type(module: str) -> None:
    """What stands before the first colon of such a section is taken for the type, whatever it is."""
    for one in names_of(module):
        if one.kind != "function":
            continue
        function = getattr(importlib.import_module(one.home), one.name)
        section = re.search(r"^Returns:\n((?: +.*\n?)+)", inspect.getdoc(function) or "", re.MULTILINE)
        if section and ":" in section[1]:
            told = section[1].partition(":")[0].strip()
            assert told == function.__annotations__["return"], f"{one.home}.{one.name} returns no {told!r}"


def test_names_that_differ_by_case_alone_have_entries_of_their_own() -> None:
    for module in MODULES:
        anchors = [one.anchor for one in names_of(module)]
        assert len(anchors) == len(set(anchors))


# The pages


def nav_of(items: list[Any]) -> list[str]:
    """Return the pages of the navigation, in order."""
    found: list[str] = []
    for item in items:
        value = next(iter(item.values())) if isinstance(item, dict) else item
        found += nav_of(value) if isinstance(value, list) else [value]
    return found


def test_the_navigation_leads_to_every_page_once(tmp_path: Path) -> None:
    stage(tmp_path / "pages")
    pages = {path.relative_to(tmp_path / "pages").as_posix() for path in (tmp_path / "pages").rglob("*.md")}
    navigation = nav_of(SETTINGS["nav"])
    assert sorted(navigation) == sorted(pages)
    assert navigation[0] == "index.md"
    assert [next(iter(part)) for part in SETTINGS["nav"]][:5] == ["Start here", "Run", "Compare", "Laws", "Extend"]


def test_links_of_a_page_lead_to_where_the_site_has_what_they_named() -> None:
    text = "[a](budgets.md#policies) [b](../CONTRIBUTING.md) [c](first-steps.ipynb) [d](../scenarios/quickstart.yaml)"
    found, linked = rewritten(
        f"{text} [e](https://x.org/a.md) [f](#here)\n```md\n[g](../README.md)\n```\n", "docs/x.md"
    )
    assert "[a](budgets.md#policies) [b](project/contributing.md) [c](first-steps.md)" in found
    assert "[d](files/scenarios/quickstart.yaml) [e](https://x.org/a.md) [f](#here)" in found
    assert "[g](../README.md)" in found
    assert "scenarios/quickstart.yaml" in linked
    assert rewritten("[a](docs/decisions/index.md)", "CONTRIBUTING.md")[0] == "[a](../decisions/index.md)"


def test_every_file_that_a_page_links_to_stands_in_the_site(tmp_path: Path) -> None:
    stage(tmp_path)
    assert (tmp_path / ROOT_PAGES["CONTRIBUTING.md"]).exists()
    for page in tmp_path.rglob("*.md"):
        file = page.relative_to(tmp_path).as_posix()
        for target in re.findall(
            r"\]\(([^)\s#]+)[^)]*\)", re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
        ):
            assert target.startswith("http") or (page.parent / target).exists(), (file, target)


def test_a_notebook_is_a_page_with_its_texts_its_code_and_the_file(tmp_path: Path) -> None:
    page = notebook_page(ROOT / "docs" / "first-steps.ipynb")
    assert page.startswith("# First steps in a notebook\n")
    assert "[download it](first-steps.ipynb)" in page
    assert "```python\nimport os\n" in page
    stage(tmp_path)
    assert (tmp_path / "first-steps.ipynb").read_bytes() == (ROOT / "docs" / "first-steps.ipynb").read_bytes()
    assert place_of("docs/first-steps.ipynb") == "first-steps.md"


@pytest.mark.skipif(find_spec("latex2mathml") is None, reason="the group docs is not installed: make docs")
def test_formulas_are_drawn_by_the_browser_and_code_stays_as_it_is() -> None:
    text = "so $`\\mu_0 \\le x^*`$, `a $x$`\n\n```sh\necho $`x`$\n```\n"
    drawn = with_formulas(text, "x.md")
    assert drawn.startswith("so <span><math")
    assert "<msub>" in drawn
    assert "<msup>" in drawn
    assert "*" not in drawn.partition("</math>")[0]
    assert drawn.endswith("</math></span>, `a $x$`\n\n```sh\necho $`x`$\n```\n")
    with pytest.raises(ValueError, match=r"x\.md: the formula"):
        with_formulas("$`\\nosuch{x}`$", "x.md")


def test_the_pages_of_theory_have_formulas_and_the_names_of_the_code_beside_them() -> None:
    page = (ROOT / "docs" / "phase-theory.md").read_text(encoding="utf-8")
    formulas = re.findall(r"\$`([^`$\n]+)`\$", page)
    assert len(formulas) > 30
    assert all(one.count("{") == one.count("}") for one in formulas)
    for name in ("a", "beta", "gamma", "rho", "b", "budget", "window"):
        assert f"`{name}`" in page


@pytest.mark.parametrize(
    "page", ["aggregators", "methods", "metrics", "phase-estimation", "protocols", "statistics", "voting-laws"]
)
def test_pages_with_laws_have_formulas_that_can_be_drawn(page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    formulas = re.findall(r"\$`([^`$\n]+)`\$", text)
    assert len(formulas) >= 6
    assert text.count("$`") == len(formulas) == text.count("`$")  # none goes on to the next line
    for one in formulas:
        assert one.count("{") == one.count("}")
        assert "|" not in one  # it would end the cell of a table
    with_formulas(text, page)


# What a built site must not have


def site_of(tmp_path: Path, body: str, style: str = "") -> list[str]:
    (tmp_path / "b.html").write_text('<h2 id="there">x</h2>')
    (tmp_path / "a.html").write_text(body)
    (tmp_path / "a.css").write_text(style)
    return list(faults_of(tmp_path))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('<a href="c.html">x</a>', "links to c.html, which does not exist"),
        ('<a href="../../etc/passwd">x</a>', "which does not exist"),
        ('<a href="b.html#away">x</a>', "which has no such anchor"),
        ('<a href="#away">x</a>', "which has no such anchor"),
        ('<script src="https://cdn.org/x.js"></script>', "loads https://cdn.org/x.js"),
        ('<img src="//cdn.org/x.png">', "loads //cdn.org/x.png"),
        ('<link rel="stylesheet" href="https://fonts.org/x">', "loads https://fonts.org/x"),
    ],
)
def test_a_link_that_leads_nowhere_and_a_request_elsewhere_are_found(tmp_path: Path, body: str, said: str) -> None:
    (fault,) = site_of(tmp_path, body)
    assert fault.startswith("a.html ")
    assert said in fault


def test_style_sheets_are_read_as_well(tmp_path: Path) -> None:
    (fault,) = site_of(tmp_path, "", "@import 'https://fonts.org/x.css'; a { background: url(x.svg) }")
    assert fault == "a.css loads https://fonts.org/x.css"


def test_a_sound_site_has_no_fault(tmp_path: Path) -> None:
    body = '<a id="here" href="b.html#there">x</a><a href="#here">y</a><a href="https://x.org">z</a><img src="data:x">'
    assert site_of(tmp_path, body, "a { background: url('x.svg') }") == []


# The build


@pytest.mark.skipif(
    find_spec("mkdocs") is None or find_spec("material") is None or find_spec("mkdocstrings") is None,
    reason="the dependency group docs is not installed: make docs",
)
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_site_builds_without_a_warning_and_no_page_asks_another_server(tmp_path: Path) -> None:
    stage(tmp_path / "pages")
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for old, new in (
        ("docs_dir: build/docs/pages", f"docs_dir: {tmp_path / 'pages'}"),
        ("site_dir: build/docs/site", f"site_dir: {tmp_path / 'site'}"),
        ("custom_dir: docs/theme", f"custom_dir: {ROOT / 'docs' / 'theme'}"),
        ("paths: [.]", f"paths: [{ROOT}]"),
    ):
        assert settings.count(old) == 1
        settings = settings.replace(old, new)
    (tmp_path / "mkdocs.yml").write_text(settings, encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-f", str(tmp_path / "mkdocs.yml")]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    assert list(faults_of(site)) == []
    pages = [path for path in site.rglob("*.html") if path.name != "404.html"]
    assert len(pages) >= len(nav_of(SETTINGS["nav"]))
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert text.count('<meta http-equiv="Content-Security-Policy" content="default-src \'none\';') == 1
        assert 'class="mermaid"' not in text  # the theme would fetch its program
    for module in MODULES:
        text = (site / "reference" / page_of(module).replace(".md", ".html")).read_text(encoding="utf-8")
        ids = set(re.findall(r'id="([^"]+)"', text))
        assert {f"{module}.{name}" for name in exported(module)} <= ids
    assert (site / "search" / "search_index.json").exists()
    theory = (site / "phase-theory.html").read_text(encoding="utf-8")
    assert theory.count("<math ") > 30
    assert not re.search(r"<math [^>]*></p>|</p>\s*<span><math", theory)
    assert "$`" not in theory
    assert len(re.findall(r"<li>\s*(?:<p>)?<strong>", theory)) >= 8  # a formula at a line's begin ends no list
    home = (site / "index.html").read_text(encoding="utf-8")
    assert 'data-md-color-scheme="slate"' in home
    assert 'data-md-color-scheme="default"' in home
