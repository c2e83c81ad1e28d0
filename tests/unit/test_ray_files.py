"""Directories of drivers and hosts: closed to others, and removed when their owner is dead, and only then."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agentsoc.engine import ray_files
from agentsoc.engine.ray_files import LOCK, HostFiles, check_inside, hold, place, sweep, write_inside
from agentsoc.errors import InputError

OWNER = """
import sys, time
from pathlib import Path
from agentsoc.engine.ray_files import hold
print(hold(Path(sys.argv[1])).path, flush=True)
time.sleep(60)
"""
ROOT = Path(__file__).parent.parent.parent


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def owner(base: Path) -> tuple[subprocess.Popen[str], Path]:
    child = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(base)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    return child, Path(child.stdout.readline().strip())


def end(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGKILL)
    child.communicate()


def leftover(base: Path) -> Path:
    """Make a directory as a killed owner leaves it: held, with things in it, and then let go."""
    held = hold(base)
    (held.path / "r" / "sockets").mkdir(parents=True)
    (held.path / "r" / "log").write_text("x")
    (held.path / "r").chmod(0o777)  # as Ray does
    os.close(held.lock)
    return held.path


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for path in tmp_path.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)


def test_a_directory_is_closed_to_others_and_gone_after_its_removal(base: Path) -> None:
    before = os.umask(0)
    try:
        held = hold(base)
    finally:
        os.umask(before)
    assert held.path.parent == base
    assert (mode(held.path), mode(held.path / LOCK)) == (0o700, 0o600)
    assert [path.name for path in held.path.iterdir()] == [LOCK]
    held.remove()
    assert not held.path.exists()


def test_what_a_killed_owner_left_is_removed_by_the_next_start_and_not_while_it_lived(base: Path) -> None:
    child, path = owner(base)
    assert sweep(base) == []
    held = hold(base)
    assert path.exists()
    end(child)
    assert sweep(base) == [path]
    assert held.path.exists()
    held.remove()
    assert list(base.iterdir()) == []


def test_a_child_that_inherits_the_lock_holds_the_directory_after_its_parent(base: Path) -> None:
    held = hold(base)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[held.lock])
    os.close(held.lock)
    assert sweep(base) == []
    child.communicate(b"\n")
    assert sweep(base) == [held.path]


def without_lock(path: Path) -> None:
    (path / LOCK).unlink()


def lock_of_another_program(path: Path) -> None:
    (path / LOCK).write_text("pid 17\n")


def lock_that_is_a_link(path: Path) -> None:
    (path / LOCK).rename(path.parent / "lock-elsewhere")
    (path / LOCK).symlink_to(path.parent / "lock-elsewhere")


def lock_that_is_a_pipe(path: Path) -> None:
    (path / LOCK).unlink()
    os.mkfifo(path / LOCK, 0o600)


def open_to_others(path: Path) -> None:
    path.chmod(0o770)


def lock_that_others_may_write(path: Path) -> None:
    (path / LOCK).chmod(0o666)


@pytest.mark.parametrize(
    "change",
    [
        without_lock,
        lock_of_another_program,
        lock_that_is_a_link,
        lock_that_is_a_pipe,
        open_to_others,
        lock_that_others_may_write,
    ],
)
def test_what_may_not_be_ours_is_left_alone(change: Callable[[Path], None], base: Path) -> None:
    path = leftover(base)
    change(path)
    assert sweep(base) == []
    assert (path / "r" / "log").read_text() == "x"


def test_what_belongs_to_another_user_is_left_alone(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = leftover(base)
    monkeypatch.setattr(os, "getuid", lambda: base.stat().st_uid + 1)
    assert sweep(base) == []
    assert path.exists()
    monkeypatch.undo()
    assert sweep(base) == [path]


def test_a_symbolic_link_is_not_followed_neither_to_a_directory_nor_inside_one(base: Path) -> None:
    elsewhere = base / "elsewhere"
    elsewhere.mkdir()
    theirs = leftover(elsewhere)
    (base / "asoc-linked1").symlink_to(theirs)
    ours = leftover(base)
    (ours / "r" / "out").symlink_to(elsewhere)
    (ours / "to-a-file").symlink_to(theirs / "r" / "log")
    assert sweep(base) == [ours]
    assert (base / "asoc-linked1").is_symlink()
    assert (theirs / "r" / "log").read_text() == "x"


def test_other_names_are_left_alone(base: Path) -> None:
    path = leftover(base).rename(base / "mine")
    assert sweep(base) == []
    assert path.exists()


def test_a_removal_that_was_interrupted_is_finished_by_the_next(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = leftover(base)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", interrupt)
    with pytest.raises(KeyboardInterrupt):
        sweep(base)
    monkeypatch.undo()
    assert sweep(base) == [path]


def test_many_starts_at_once_remove_every_leftover_once_and_no_directory_of_each_other(base: Path) -> None:
    left = {leftover(base) for _ in range(8)}
    children = [owner(base) for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(lambda _: hold(base), range(24)))
    assert not [path for path in left if path.exists()]
    for one in held:
        assert (one.path / LOCK).exists()
    for child, path in children:
        assert (path / LOCK).exists()
        end(child)
    assert set(sweep(base)) == {path for _, path in children}
    for one in held:
        one.remove()
    assert list(base.iterdir()) == []


def test_sockets_of_ray_fit_wherever_temporary_files_go(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/var/tmp")
    assert place() == Path("/var/tmp")
    deep = base / ("d" * 80)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(deep))
    assert place() == Path("/tmp")
    longest = base / "x"
    fits = ray_files._SOCKET_NAME_MAX - ray_files._ROOM
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/" + "t" * (fits - 1))
    assert len(str(place())) == fits
    name = f"{longest.parent}/s"
    with socket.socket(socket.AF_UNIX) as unix, pytest.raises(OSError, match="too long"):
        unix.bind(name + "s" * (ray_files._SOCKET_NAME_MAX + 1 - len(name)))


def test_a_host_works_inside_its_drivers_directory_and_elsewhere_in_one_of_its_own(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = hold(base)
    near = HostFiles(driver.path)
    assert near.path.parent == driver.path
    assert mode(near.path) == 0o700
    near.remove()
    assert [path.name for path in driver.path.iterdir()] == [LOCK]
    driver.remove()
    monkeypatch.setattr(ray_files, "place", lambda: base)
    for gone in (None, driver.path):
        far = HostFiles(gone)
        assert far.path.parent == base
        assert (mode(far.path), (far.path / LOCK).exists()) == (0o700, True)
        far.remove()
        assert not far.path.exists()


BAD_NAMES = ["../up", "a/../../up", "a/../b", "/etc/motd", "..", ".", "", "a/..", "a\0b"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_leads_out_of_the_directory_is_refused_and_nothing_is_written(name: str, base: Path) -> None:
    directory = base / "host"
    directory.mkdir()
    with pytest.raises(InputError, match="may not be absolute or hold"):
        check_inside(name)
    with pytest.raises(InputError):
        write_inside(directory, name, b"x")
    assert list(base.rglob("*")) == [directory]


def test_a_link_in_the_directory_does_not_lead_out_of_it(base: Path) -> None:
    directory, outside = base / "host", base / "outside"
    directory.mkdir()
    outside.mkdir()
    (directory / "link").symlink_to(outside)
    with pytest.raises(InputError, match="outside"):
        write_inside(directory, "link/file", b"x")
    (directory / "file").symlink_to(outside / "file")
    with pytest.raises(OSError, match="symbolic links"):
        write_inside(directory, "file", b"x")
    assert list(outside.iterdir()) == []


def test_files_of_a_host_are_for_its_user_alone(base: Path) -> None:
    before = os.umask(0)
    try:
        path = write_inside(base, "a/b/questions.jsonl", b"{}")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"{}"
    assert (mode(path), mode(base / "a"), mode(base / "a" / "b")) == (0o600, 0o700, 0o700)
