"""Runs of a stranger: whatever they hold, no verb reads, writes or calls anything outside, or takes long over it.

Every case of `tests.hostile_cases` meets `check` and one of the other verbs that take such a directory, in turns, so
that every verb meets cases of every kind (those of comparisons meet `compare` as well); ``make hostile``
(HOSTILE=all) has every case meet every verb.
Nothing that a verb opens, reads, writes, makes or removes in the canary folder goes unseen (inotify), and nobody
answers at the address that runs name.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tests.canary_folder import Canary, Listener
from tests.hostile import CALIBRATE, SECRET, build
from tests.hostile_cases import CALIBRATIONS, COMPARISONS, RUNS, Case, World, _lists
from tests.zygote import Zygote

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="inotify tells who looks into a folder"),
    pytest.mark.skipif(os.geteuid() != 0, reason="device files are root's to make"),
]

CPU_S: Final = 10.0
RSS_MB: Final = {"calibrate": 650.0, "phase": 650.0, "viewed": 650.0}
"""Bounds of verbs that take more than 500 MB: compiled code, and for `viewed` ten questions in one process (MB)."""

SHOWS: Final = frozenset({"report", "viewed"})
"""Verbs that show what can be read and say what cannot, such as a run without its journal; or they refuse.

`viewed` is every page of `agentsoc view`.
"""

Verb = Callable[[Path, Path], list[Any]]
OF_RUNS: Final[dict[str, Verb]] = {
    "check": lambda run, out: ["check", run],
    "show": lambda run, out: ["show", run],
    "task": lambda run, out: ["show", run, "--task", 0],
    "replay": lambda run, out: ["replay", run],
    "fork": lambda run, out: ["fork", run, "--at", "0:1", "--out", out, "--quiet"],
    "metrics": lambda run, out: ["metrics", run],
    "laws": lambda run, out: ["laws", run],
    "phase": lambda run, out: ["phase", run],
    "report": lambda run, out: ["report", run, "-o", f"{out}.html"],
    "viewed": lambda run, out: ["viewed", run],
    "ls": lambda run, out: ["ls", run],
    "resume": lambda run, out: ["resume", run, "--quiet"],  # the last one: it may mend the run
}
OF_COMPARISONS: Final[dict[str, Verb]] = {
    **{name: OF_RUNS[name] for name in ("check", "ls", "metrics", "laws", "report", "viewed")},
    "compare": lambda run, out: ["compare", run, "--figures", "--quiet", "--workers", 1],
}


def _met_by(number: int, verbs: dict[str, Verb], always: frozenset[str]) -> dict[str, Verb]:
    """Return the verbs that the case of this number meets, in their order."""
    if os.environ.get("HOSTILE") == "all":
        return verbs
    others = [name for name in verbs if name not in always]
    chosen = others[(number + number // 7) % len(others)]
    return {name: verb for name, verb in verbs.items() if name in always | {chosen}}


class Kitchen(NamedTuple):
    """What all cases share."""

    zygote: Zygote
    base: Path
    canary: Canary
    listener: Listener


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kitchen]:
    place = tmp_path_factory.mktemp("hostile")
    with Zygote(place) as zygote:
        base, folder = place / "base", place / "canary"
        build(zygote, base)
        shutil.copytree(base, folder)
        (folder / "secret.txt").write_text(SECRET)
        (folder / "cwd").mkdir()
        for name in ("tasks.jsonl", "edges.csv"):
            shutil.copy(base / name, folder / "cwd" / name)
        canary, listener = Canary(folder), Listener()
        yield Kitchen(zygote, base, canary, listener)
        canary.close()
        listener.close()


def _serve(kitchen: Kitchen, case: Case, base: str, verbs: dict[str, Verb], tmp_path: Path) -> None:
    """Let every verb meet a case, and complain of whatever it should not have done."""
    directory = Path(shutil.copytree(kitchen.base / base, tmp_path / "guest"))
    case.make(World(directory, kitchen.canary.folder, kitchen.listener.port))
    before = sorted(path.relative_to(kitchen.canary.folder) for path in kitchen.canary.folder.rglob("*"))
    kitchen.canary.touched()
    for name, words in verbs.items():
        # whoever calls stands in the canary folder: files that a scenario names are there under the same names
        found = kitchen.zygote.call(*words(directory, tmp_path / f"out-{name}"), cwd=kitchen.canary.folder / "cwd")
        about = f"{case.name}, {name}: {found}"
        assert kitchen.canary.touched() == [], about
        assert kitchen.listener.came == 0, about
        assert SECRET not in found.out + found.err, about
        assert "Traceback" not in found.err, about
        assert "nobody foresaw" not in found.err, about
        assert found.cpu_s <= CPU_S, about
        assert found.rss_mb <= RSS_MB.get(name, 500.0), about
        if name in case.whole or (name in SHOWS and not found.code):
            assert found.code in (0, 3), about
        elif name == "compare" and found.code == 1:  # a run that cannot be used makes no comparison of the others
            assert "not comparable" in found.out, about
            assert case.named in found.out, about
            assert "minus" not in found.out, about
        else:
            assert found.code in (2, 4), about
            assert case.named in found.err or f"{directory}: there is no" in found.err, about
    assert before == sorted(path.relative_to(kitchen.canary.folder) for path in kitchen.canary.folder.rglob("*"))


def _named(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", RUNS, ids=_named)
def test_a_hostile_run_harms_nobody(kitchen: Kitchen, tmp_path: Path, case: Case) -> None:
    verbs = _met_by(RUNS.index(case), OF_RUNS, frozenset({"check"}))
    _serve(kitchen, case, case.base, verbs, tmp_path)
    if "resume" in verbs and "resume" in case.whole:  # it mended the run: now it is what was written
        assert kitchen.zygote.call("check", tmp_path / "guest").code == 0


@pytest.mark.parametrize("case", COMPARISONS, ids=_named)
def test_a_hostile_comparison_harms_nobody(kitchen: Kitchen, tmp_path: Path, case: Case) -> None:
    verbs = _met_by(COMPARISONS.index(case), OF_COMPARISONS, frozenset({"check", "compare"}))
    _serve(kitchen, case, "comparison", verbs, tmp_path)


@pytest.mark.parametrize("case", CALIBRATIONS, ids=_named)
def test_a_hostile_calibration_harms_nobody(kitchen: Kitchen, tmp_path: Path, case: Case) -> None:
    verbs: dict[str, Verb] = {
        "phase": OF_RUNS["phase"],
        "calibrate": lambda run, out: ["calibrate", kitchen.base / "gauge.yaml", "--out", run, *CALIBRATE],
    }
    _serve(kitchen, case, "calibration", verbs, tmp_path)


def test_every_verb_accepts_what_is_harmless(kitchen: Kitchen, tmp_path: Path) -> None:
    """The same verbs end well on the runs that are made hostile, so refusals are of what is hostile in them."""
    for name, words in OF_RUNS.items():
        assert kitchen.zygote.call(*words(kitchen.base / "run", tmp_path / name)).code == 0, name
    assert kitchen.zygote.call(*OF_COMPARISONS["compare"](kitchen.base / "comparison", tmp_path)).code == 0


def test_what_is_watched_is_seen(kitchen: Kitchen) -> None:
    """A test of the tests: who reads or writes in the canary folder is noticed."""
    folder = kitchen.canary.folder
    (folder / "run" / "manifest.json").read_bytes()
    (folder / "cwd" / "new").touch()
    (folder / "cwd" / "new").unlink()
    found = kitchen.canary.touched()
    assert any("run/manifest.json was opened" in text for text in found)
    assert any("cwd/new was made" in text for text in found)
    assert any("cwd/new was removed" in text for text in found)


@pytest.mark.parametrize("name", ["inputs", "events", "journal.sqlite", "tasks.parquet", ".x.0123abcd.tmp", "run.lock"])
def test_a_run_into_the_rest_of_a_start_follows_no_link(kitchen: Kitchen, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.lock").touch()
    (out / name).unlink(missing_ok=True)
    (out / name).symlink_to(kitchen.canary.folder / "run" / name)
    kitchen.canary.touched()
    found = kitchen.zygote.call("run", kitchen.base / "guest.yaml", "--out", out, "--quiet", cwd=kitchen.base)
    assert kitchen.canary.touched() == [], found
    assert found.code in (0, 2, 4), found
    assert "nobody foresaw" not in found.err
    if found.code == 0:
        assert not any(path.is_symlink() for path in out.rglob("*"))


@pytest.mark.parametrize("what", ["link", "bomb", "directory"])
def test_kept_embeddings_of_a_stranger_are_neither_followed_nor_unfolded(
    kitchen: Kitchen, tmp_path: Path, what: str
) -> None:
    run = Path(shutil.copytree(kitchen.base / "run", tmp_path / "run"))
    embedder = """
import os
import sys
import numpy as np
from pathlib import Path
from agentsoc.log.read import RunLog
from analysis.measures.embeddings import CachedEmbedder, cache_of

class Two:
    name = "two"
    def embed(self, texts):
        return np.ones((len(texts), 2))

os.environ["AGENTSOC_CACHE_DIR"] = args[1]
cached = CachedEmbedder(Two(), cache_of(RunLog(Path(args[0]))))
print(cached.embed(["a"]) if args[2:] else cached.path)
"""
    cache = tmp_path / "cache"
    kept = Path(kitchen.zygote.python(embedder, run, cache).out.strip())
    assert kept.is_relative_to(cache)
    planted = run / "embeddings" / kept.name
    if what == "directory":
        planted.parent.symlink_to(kitchen.canary.folder)
    else:
        planted.parent.mkdir()
        if what == "link":
            planted.symlink_to(kitchen.canary.folder / "run" / "tasks.parquet")
        else:
            _lists(planted)
            shutil.copy(planted, kept)
    kitchen.canary.touched()
    found = kitchen.zygote.python(embedder, run, cache, "embed")
    assert kitchen.canary.touched() == [], found
    assert (found.code, found.out.strip()) == (0, "[[1. 1.]]"), found  # a cache that cannot be read is made again
    assert found.rss_mb < 500, found


def test_a_user_is_not_punished_for_what_is_harmless(kitchen: Kitchen, tmp_path: Path) -> None:
    """A note of one's own, a directory reached through a link, files that cannot be written, a tar, a journal open."""
    import sqlite3
    import tarfile

    run = Path(shutil.copytree(kitchen.base / "run", tmp_path / "run"))
    (run / "notes.txt").write_text("mine")
    (tmp_path / "link").symlink_to(run)
    with tarfile.open(tmp_path / "run.tar", "w") as tar:
        tar.add(run, "packed")
    with tarfile.open(tmp_path / "run.tar") as tar:
        tar.extractall(tmp_path, filter="data")
    for path in (tmp_path / "packed").rglob("*"):
        path.chmod(0o500 if path.is_dir() else 0o400)
    viewer = sqlite3.connect(run / "journal.sqlite")
    viewer.execute("SELECT count(*) FROM attempts").fetchone()
    for number, place in enumerate((run, tmp_path / "link", tmp_path / "packed")):
        for name, words in OF_RUNS.items():
            found = kitchen.zygote.call(*words(place, tmp_path / f"{name}-{number}"))
            assert found.code == 0, (place, name, found)
    viewer.close()
