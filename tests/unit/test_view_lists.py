"""The lists of the viewer: names that cannot be shown as they are, and what a directory of a stranger may cost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest

from agentsoc.log.manifest import Manifest, load_manifest
from analysis.viewer.pages import runs as pages_runs
from analysis.viewer.server import lists
from tests.view_folder import GOLDEN
from tests.view_served import asked, data, viewer


def test_a_run_whose_name_cannot_be_shown_as_it_is_opens_by_what_is_shown(tmp_path: Path) -> None:
    for name in ("\u202egnp\x1b[31m", os.fsdecode(b"bad\xff")):
        shutil.copytree(GOLDEN / "debated", tmp_path / name)
    with viewer(tmp_path) as server:
        places = [run["place"] for group in data(server, "runs")["rows"] for run in group["runs"]]
        assert sorted(places) == ["\\u202egnp\\x1b[31m", "bad\\udcff"]
        for place in places:
            assert data(server, "run", place=place)["name"] == "debated"
        (tmp_path / "\u202ex").symlink_to(GOLDEN / "debated")
        found = asked(server, f"/data/run?place={quote(chr(92) + 'u202ex')}")
        assert found.status == 404
        assert b"links are not followed" in found.body


def test_two_names_that_are_shown_alike_open_neither(tmp_path: Path) -> None:
    for name in ("\x1b\\x1b", "\\x1b\x1b"):
        shutil.copytree(GOLDEN / "debated", tmp_path / name)
    with viewer(tmp_path) as server:
        assert asked(server, f"/data/run?place={quote(chr(92) + 'x1b' + chr(92) + 'x1b')}").status == 404


def test_results_are_looked_for_in_so_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "ALL_BYTES", 100)
    (tmp_path / "a.json").write_text("[" + "[]," * 20 + "[]]")
    (tmp_path / "b.json").write_text("[" + "[]," * 20 + "[]]")
    (tmp_path / "c.json").write_text('{"concentration":{},"gamma":{}}')
    with viewer(tmp_path) as server:
        assert data(server, "results") == {"rows": [{"file": "c.json", "kind": "laws"}], "passed_over": 1}
        (tmp_path / "b.json").unlink()
        assert data(server, "results")["passed_over"] == 0


def test_manifests_are_read_again_only_where_they_are_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        shutil.copytree(GOLDEN / "debated", tmp_path / name)
    read: list[str] = []

    def reading(path: Path) -> Manifest:
        read.append(path.name)
        return load_manifest(path)

    monkeypatch.setattr(pages_runs, "load_manifest", reading)
    with viewer(tmp_path) as server:
        first = data(server, "runs")
        assert data(server, "runs") == first
        assert read == ["one", "two"]
        (tmp_path / "two" / "manifest.json").write_text("{}")
        again = data(server, "runs")["rows"]
        assert [group["status"] for group in again] == ["finished", "damaged"]
        assert read == ["one", "two", "two"]
