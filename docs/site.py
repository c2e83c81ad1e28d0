"""The documentation site: `python -m docs.site` (or ``make docs``) builds it into ``build/docs/site``.

Pages are copied into ``build/docs/pages`` as a site needs them: the pages of ``docs/``, those of the root, the
notebooks as pages beside the files themselves, formulas as MathML, and every file that a page links to. Then mkdocs
builds them, strict: what it warns of, such as a link or an anchor that leads nowhere, ends the build. At last the built
pages are read: every link and anchor has to lead somewhere, and nothing may be loaded from another server.
"""

from __future__ import annotations

import importlib
import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = ROOT / "build" / "docs" / "pages"
SITE: Final = ROOT / "build" / "docs" / "site"
ROOT_PAGES: Final = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "SECURITY.md": "project/security.md",
    "CODE_OF_CONDUCT.md": "project/code-of-conduct.md",
}
"""Where pages of the root stand in the site; what the README says to begin with, the first page says."""

_LINK: Final = re.compile(r"(\]\()([^)\s]+)(\))")
_FORMULA: Final = re.compile(r"\$`([^`$\n]+)`\$")
_FENCE: Final = re.compile(r"^(```.*?^```$)", re.MULTILINE | re.DOTALL)


def place_of(file: str) -> str:
    """Return where a file of the repository stands in the site."""
    if file in ROOT_PAGES:
        return ROOT_PAGES[file]
    if file.startswith("docs/") and file.endswith(".md"):
        return file.removeprefix("docs/")
    if file.startswith("docs/") and file.endswith(".ipynb"):
        return file.removeprefix("docs/").removesuffix(".ipynb") + ".md"
    return f"files/{file}"


def rewritten(text: str, file: str) -> tuple[str, set[str]]:
    """Return a page with its links as the site needs them, and the files of the repository that it links to.

    Args:
        text: the page, Markdown.
        file: its path in the repository.
    """
    linked: set[str] = set()
    here = posixpath.dirname(place_of(file))

    def link(found: re.Match[str]) -> str:
        path, mark, anchor = found[2].partition("#")
        if not path or urlsplit(path).scheme:
            return found[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(file), path))
        linked.add(target)
        return f"{found[1]}{posixpath.relpath(place_of(target), here or '.')}{mark}{anchor}{found[3]}"

    parts = _FENCE.split(text)  # every second part is a block of code, and stays as it is
    return "".join(part if at % 2 else _LINK.sub(link, part) for at, part in enumerate(parts)), linked


def with_formulas(text: str, file: str) -> str:
    """Return a page in which formulas (LaTeX between ``$`` and backticks, as GitHub reads them) are MathML.

    Browsers draw MathML themselves, without a script. Where the converter is not installed, formulas stay as they are.

    Raises:
        ValueError: a formula has a command that the converter does not know.
    """
    if find_spec("latex2mathml") is None:
        return text
    convert = importlib.import_module("latex2mathml.converter").convert

    def formula(found: re.Match[str]) -> str:
        drawn = str(convert(found[1]))
        if "\\" in drawn:
            raise ValueError(f"{file}: the formula {found[1]} is not understood")
        drawn = drawn.replace("*", "&#42;").replace("_", "&#95;")  # which Markdown would take for emphasis
        return f"<span>{drawn}</span>"  # where a line begins with it, Markdown would take it for a block of its own

    parts = _FENCE.split(text)
    return "".join(part if at % 2 else _FORMULA.sub(formula, part) for at, part in enumerate(parts))


def notebook_page(path: Path) -> str:
    """Return a notebook as Markdown: texts as they are, code in blocks, the file to download."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    parts = [
        f"```python\n{text}\n```" if cell["cell_type"] == "code" else text
        for cell, text in zip(cells, texts, strict=True)
    ]
    note = f"This page is a notebook: [download it]({path.name}) to execute it. Outputs are not kept in it."
    title, _, rest = parts[0].partition("\n")
    return "\n\n".join([title, note, rest.strip(), *parts[1:]]) + "\n"


def stage(pages: Path = PAGES) -> None:
    """Write all pages of the site, and what they link to, into an empty directory."""
    shutil.rmtree(pages, ignore_errors=True)
    wanted: set[str] = set()
    sources = [*(ROOT / name for name in ROOT_PAGES if name != "README.md"), *sorted((ROOT / "docs").rglob("*.md"))]
    for source in sources:
        file = source.relative_to(ROOT).as_posix()
        text, linked = rewritten(source.read_text(encoding="utf-8"), file)
        wanted |= linked
        _write(pages / place_of(file), with_formulas(text, file))
    for notebook in sorted((ROOT / "docs").glob("*.ipynb")):
        _write(pages / f"{notebook.stem}.md", notebook_page(notebook))
        shutil.copy(notebook, pages)
    for file in sorted(one for one in wanted if place_of(one).startswith("files/")):
        (pages / "files" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, pages / "files" / file)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


class _Page(HTMLParser):
    """What a built page links to, what it loads, and the anchors that it has."""

    LOADS: Final = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("source", "src")}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            elif (tag, name) in self.LOADS and value:
                self.loads.append(value)
            elif (tag, name) == ("a", "href") and value:
                self.links.append(value)


def faults_of(site: Path) -> Iterator[str]:
    """Yield what is wrong with a built site: links and anchors that lead nowhere, and requests to other servers."""
    read = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    for path, page in read.items():
        place = path.relative_to(site).as_posix()
        for address in page.loads:
            if urlsplit(address).scheme not in ("", "data") or urlsplit(address).netloc:
                yield f"{place} loads {address}"
        for address in [*page.links, *page.loads]:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
            target = target / "index.html" if target.is_dir() else target
            if not target.is_relative_to(site.resolve()) or not target.exists():
                yield f"{place} links to {address}, which does not exist"
            elif parts.fragment and target in read and unquote(parts.fragment) not in read[target].anchors:
                yield f"{place} links to {address}, which has no such anchor"
    for path in sorted(site.rglob("*.css")):
        for address in re.findall(r"(?:url\(|@import\s)[\"']?((?:https?:)?//[^)\"'\s]+)", path.read_text("utf-8")):
            yield f"{path.relative_to(site)} loads {address}"


def main() -> int:
    """Write the pages, build the site and read it; return the exit code."""
    if find_spec("mkdocs") is None:
        print("the site needs the packages of the group docs: make docs installs them, from requirements-docs.lock")
        return 2
    stage()
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--clean", "--strict", "--quiet"], cwd=ROOT, env=environment
    )
    if done.returncode:
        return 1
    faults = list(faults_of(SITE.resolve()))
    print("\n".join(faults) if faults else f"built: {(SITE / 'index.html').relative_to(ROOT)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
