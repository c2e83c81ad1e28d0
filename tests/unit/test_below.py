"""Where runs are looked for: at the same depth by every command, and never inside a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from agentsoc.errors import InputError
from agentsoc.log.below import DEPTH, runs_at, runs_below


def mark(directory: Path, name: str = "manifest.json") -> Path:
    directory.mkdir(parents=True)
    (directory / name).write_text("{}")
    return directory


def test_runs_are_found_by_name_down_to_the_depth_and_not_inside_of_each_other(tmp_path: Path) -> None:
    deepest = tmp_path.joinpath("a", *"bc"[: DEPTH - 1])
    found = [mark(deepest), mark(tmp_path / "k")]
    mark(tmp_path / "k" / "inside")
    mark(tmp_path.joinpath("z", *"abc"[:DEPTH]))
    (tmp_path / "link").symlink_to(tmp_path / "k")
    assert list(runs_below(tmp_path)) == found
    assert list(runs_below(tmp_path / "k")) == [tmp_path / "k"]


def test_places_are_read_in_their_order_and_each_holds_a_run(tmp_path: Path) -> None:
    one, two = mark(tmp_path / "one"), mark(tmp_path / "two" / "run")
    assert runs_at([tmp_path / "two", one]) == [two, one]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="there is no run at "):
        runs_at([one, tmp_path / "empty"])
    with pytest.raises(InputError, match="there is no run at "):
        runs_at([tmp_path / "nowhere"])
    other = mark(tmp_path / "other", "imported.json")
    assert runs_at([other], is_one=lambda directory: (directory / "imported.json").is_file()) == [other]
    with pytest.raises(InputError, match="there is no log at ") as caught:
        runs_at([tmp_path / "empty"], what="log", hint="import it")
    assert "import it" in str(caught.value)


def test_a_directory_that_cannot_be_listed_is_passed_over_only_when_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = mark(tmp_path / "good")
    (tmp_path / "shut").mkdir()

    listed = os.scandir

    def refused(path: Path) -> Any:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "scandir", refused)
    assert list(runs_below(tmp_path, skip_unreadable=True)) == [good]
    with pytest.raises(InputError, match="cannot be listed: Permission denied"):
        list(runs_below(tmp_path))
