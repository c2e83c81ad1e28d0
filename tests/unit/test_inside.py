"""The files in a run directory: never through a link, a pipe or a device, and never half of one."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentsoc.errors import LogDamagedError
from agentsoc.log.inside import COPY, TEMPORARY, Inside, by_umask, directory_mode, file_mode, is_inside

Plant = Callable[[Path, Path], None]
"""Puts something that is no file of the run's own at a path; the second path is a file outside."""


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file that nothing may touch."""
    (tmp_path / "outside").mkdir()
    file = tmp_path / "outside" / "secret"
    file.write_bytes(b"mine")
    return file


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@pytest.fixture(autouse=True)
def no_handle_is_left_open() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0  # noqa: PTH208
    yield
    assert not before or len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def refused(step: Callable[[], Any], where: Path, kind: str) -> None:
    with pytest.raises(LogDamagedError) as raised:
        step()
    assert raised.value.problem.where == str(where)
    assert raised.value.problem.what == kind
    assert raised.value.problem.hint == COPY


def a_link(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def a_dead_link(path: Path, outside: Path) -> None:
    path.symlink_to(outside.parent / "nothing")


def a_hard_link(path: Path, outside: Path) -> None:
    path.hardlink_to(outside)


def a_pipe(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path, outside: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as found:
            found.bind(path.name)
    finally:
        os.chdir(here)


def a_directory(path: Path, outside: Path) -> None:
    path.mkdir()


STRANGERS: list[tuple[Plant, str]] = [
    (a_link, "this is a symbolic link, not a file of the run's own"),
    (a_dead_link, "this is a symbolic link, not a file of the run's own"),
    (a_hard_link, "this is a file with 2 names (hard links), not a file of the run's own"),
    (a_pipe, "this is a pipe, not a file of the run's own"),
    (a_socket, "this is a socket, not a file of the run's own"),
    (a_directory, "this is a directory, not a file of the run's own"),
]
every_stranger = pytest.mark.parametrize(("plant", "kind"), STRANGERS, ids=[plant.__name__ for plant, _ in STRANGERS])


# Names


@pytest.mark.parametrize("name", ["a", "a/b", ".hidden", "a..b", "..a/b.", "a b", "ü/é"])
def test_a_name_that_stays_inside_is_one(name: str) -> None:
    assert is_inside(name)


@pytest.mark.parametrize(
    "name", ["", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/..", "../a", "a/../b", "a\0b"]
)
def test_a_name_that_leads_out_is_refused_by_everything(base: Path, name: str) -> None:
    assert not is_inside(name)
    inside = Inside(base)
    steps: list[Callable[[], Any]] = [
        lambda: inside.look(name),
        lambda: inside.require_plain(name),
        lambda: inside.read(name),
        lambda: inside.sha256(name),
        lambda: inside.write(name, b""),
        lambda: inside.create(name),
        lambda: inside.remove(name),
        lambda: inside.remove_tree(name),
        lambda: inside.rename(name, "x"),
        lambda: inside.make(f"{name}"),
        lambda: inside.has_directory(name),
    ]
    for step in steps:
        with pytest.raises(LogDamagedError, match="this name leads out of the directory") as raised:
            step()
        assert raised.value.problem.where == f"{base}: {name!r}" or name in raised.value.problem.where.replace(
            "\\x00", "\0"
        )
    (base / "x").write_bytes(b"")
    with pytest.raises(LogDamagedError, match="leads out"):
        inside.rename("x", name)
    assert [path.name for path in base.iterdir()] == ["x"]


def test_a_long_name_that_leads_out_is_cut_where_it_is_told(base: Path) -> None:
    with pytest.raises(LogDamagedError) as raised:
        Inside(base).look("../" + "x" * 1_000)
    assert raised.value.problem.where == f"{base}: {('../' + 'x' * 197)!r}"


# Looking and reading


def test_an_own_file_is_found_and_read(base: Path) -> None:
    inside = Inside(base)
    (base / "events").mkdir()
    (base / "events" / "part").write_bytes(b"content")
    found = inside.look("events/part")
    assert found is not None
    assert found.st_size == 7
    inside.require_plain("events/part")
    assert inside.read("events/part") == b"content"
    assert inside.sha256("events/part") == hashlib.sha256(b"content").hexdigest()
    assert inside.has_directory("events")
    assert inside.names() == ["events"]
    assert inside.names("events") == ["part"]


def test_what_is_not_there_is_not_there(base: Path) -> None:
    inside = Inside(base)
    for name in ("part", "events/part", "events/deeper/part"):
        assert inside.look(name) is None
        inside.require_plain(name)
        for read in (inside.read, inside.sha256):
            with pytest.raises(FileNotFoundError):
                read(name)
        inside.remove(name)
        with pytest.raises(FileNotFoundError):
            inside.remove_tree(name)
        with pytest.raises(FileNotFoundError):
            inside.rename(name, "other")
    assert not inside.has_directory("events")
    assert inside.names("events") == []
    assert Inside(base / "nowhere").names() == []
    assert list(base.iterdir()) == []


def test_names_are_in_order(base: Path) -> None:
    for name in ("b", "c", "a", ".d"):
        (base / name).touch()
    assert Inside(base).names() == [".d", "a", "b", "c"]


@every_stranger
def test_what_is_no_file_of_its_own_is_refused_by_name_and_never_touched(
    base: Path, outside: Path, plant: Plant, kind: str
) -> None:
    inside = Inside(base)
    (base / "events").mkdir()
    for name in ("file", "events/file"):
        path = base / name
        plant(path, outside)
        before = path.lstat()
        steps: list[Callable[[], object]] = [
            lambda: inside.look(name),  # noqa: B023
            lambda: inside.read(name),  # noqa: B023
            lambda: inside.sha256(name),  # noqa: B023
        ]
        steps += [lambda: inside.write(name, b"new"), lambda: inside.create(name)]  # noqa: B023
        for step in steps:
            refused(step, path, kind)
        if plant is a_directory:
            inside.require_plain(name)
        else:
            refused(lambda: inside.require_plain(name), path, kind)  # noqa: B023
        assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
        assert sorted(os.listdir(path.parent)) == (["events", "file"] if name == "file" else ["file"])  # noqa: PTH208
        path.rmdir() if plant is a_directory else path.unlink()
    assert outside.read_bytes() == b"mine"
    assert os.listdir(outside.parent) == [outside.name]  # noqa: PTH208


@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (lambda path, outside: path.symlink_to(outside.parent), "a symbolic link"),
        (lambda path, outside: path.symlink_to(path), "a symbolic link"),
        (lambda path, outside: path.write_bytes(b""), "a file"),
        (lambda path, outside: path.hardlink_to(outside), "a file"),
        (lambda path, outside: os.mkfifo(path), "a pipe"),
    ],
    ids=["link", "loop", "file", "hard link", "pipe"],
)
def test_what_is_no_directory_of_its_own_is_refused_on_the_way(
    base: Path, outside: Path, plant: Plant, kind: str
) -> None:
    inside = Inside(base)
    (base / "deep").mkdir()
    for name in ("events", "deep/events"):
        path, file = base / name, f"{name}/secret"
        plant(path, outside)
        steps: list[Callable[[], Any]] = [
            lambda: inside.look(file),  # noqa: B023
            lambda: inside.require_plain(file),  # noqa: B023
            lambda: inside.read(file),  # noqa: B023
            lambda: inside.sha256(file),  # noqa: B023
            lambda: inside.write(file, b""),  # noqa: B023
            lambda: inside.create(file),  # noqa: B023
            lambda: inside.remove(file),  # noqa: B023
            lambda: inside.remove_tree(file),  # noqa: B023
            lambda: inside.rename(file, "x"),  # noqa: B023
            lambda: inside.make(name),  # noqa: B023
            lambda: inside.has_directory(name),  # noqa: B023
            lambda: inside.names(name),  # noqa: B023
            lambda: inside.sync(name),  # noqa: B023
        ]
        steps.append(lambda: inside.look(f"{name}/deeper/secret"))  # noqa: B023
        for step in steps:
            refused(step, path, f"this is {kind}, not a directory of the run's own")
    assert outside.read_bytes() == b"mine"
    assert os.listdir(outside.parent) == [outside.name]  # noqa: PTH208


def test_the_directory_itself_may_be_reached_through_a_link(base: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(base)
    inside = Inside(tmp_path / "link")
    inside.write("file", b"content")
    assert inside.read("file") == (base / "file").read_bytes() == b"content"


def test_a_file_larger_than_the_limit_is_refused_and_one_as_large_is_read(base: Path) -> None:
    inside = Inside(base)
    (base / "file").write_bytes(b"x" * 1_234)
    assert len(inside.read("file", limit=1_234)) == 1_234
    with pytest.raises(LogDamagedError) as raised:
        inside.read("file", limit=1_233)
    assert raised.value.problem.what == "this file is too large: 1,234 bytes, of 1,233 at most"
    assert raised.value.problem.where == str(base / "file")


def test_a_file_that_hides_its_size_or_grows_is_not_read_beyond_the_limit(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = Inside(base)
    (base / "file").write_bytes(b"x" * 100)
    real = os.fstat

    def small(descriptor: int) -> Any:
        found = real(descriptor)
        return os.stat_result((*found[:6], 0, *found[7:10]))

    monkeypatch.setattr(os, "fstat", small)
    assert inside.read("file", limit=100) == b"x" * 100
    with pytest.raises(LogDamagedError) as raised:
        inside.read("file", limit=99)
    assert raised.value.problem.what == "this file is too large: more than 99 bytes"
    assert raised.value.problem.where == str(base / "file")


def test_a_file_of_up_to_a_gigabyte_is_read_as_a_whole(base: Path) -> None:
    with (base / "file").open("wb") as file:
        file.truncate(2**30 + 1)  # sparse
    with pytest.raises(LogDamagedError, match="of 268,435,456 at most"):
        Inside(base).read("file")


@every_stranger
def test_a_file_that_is_exchanged_between_the_look_and_the_opening_is_not_read(
    base: Path, outside: Path, plant: Plant, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (base / "file").write_bytes(b"own")
    opened = os.open

    def exchanging(path: Any, flags: int, *args: Any, **options: Any) -> int:
        if path == "file":
            assert flags & os.O_CLOEXEC
            (base / "file").unlink()
            plant(base / "file", outside)
        return opened(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", exchanging)
    with pytest.raises((LogDamagedError, OSError)) as raised:
        Inside(base).read("file")
    if plant in (a_hard_link, a_pipe, a_directory):
        assert isinstance(raised.value, LogDamagedError)
        assert raised.value.problem.what == kind


# Writing


def test_what_is_written_is_there_whole_and_nothing_beside_it(base: Path) -> None:
    inside = Inside(base)
    for content in (b"first", b"second", memoryview(b"third")):
        inside.write("a/b/file", content)
        assert inside.read("a/b/file") == content
    assert inside.names("a/b") == ["file"]


@pytest.mark.parametrize("step", ["fsync", "rename", "write"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_content_and_nothing_beside_it(
    base: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    inside = Inside(base)
    inside.write("file", b"old")

    def fail(*_: Any, **__: Any) -> None:
        raise error

    if step == "write":
        with pytest.raises(TypeError):
            inside.write("file", "no bytes")  # type: ignore[arg-type]
    else:
        monkeypatch.setattr(os, step, fail)
        with pytest.raises(type(error)):
            inside.write("file", b"new")
    assert inside.names() == ["file"]
    assert inside.read("file") == b"old"


def synced(monkeypatch: pytest.MonkeyPatch, step: Callable[[], None]) -> list[str]:
    """Return what is synced and renamed meanwhile, in order: a file of the size it has then, or a directory."""
    done: list[str] = []
    fsync, rename = os.fsync, os.rename

    def noted_sync(handle: int) -> None:
        found = os.fstat(handle)
        done.append("directory" if stat.S_ISDIR(found.st_mode) else f"file of {found.st_size}")
        fsync(handle)

    def noted_rename(*args: Any, **options: Any) -> None:
        done.append("rename")
        rename(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", noted_sync)
        patched.setattr(os, "rename", noted_rename)
        step()
    return done


def test_the_content_is_on_disk_before_it_has_its_name_and_the_name_after(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = Inside(base)
    assert synced(monkeypatch, lambda: inside.write("file", b"12345")) == ["file of 5", "rename", "directory"]
    assert synced(monkeypatch, lambda: inside.write("file", b"1", durable=False)) == ["rename"]
    inside.make("events")
    assert synced(monkeypatch, lambda: inside.sync()) == ["directory"]
    assert synced(monkeypatch, lambda: inside.sync("events")) == ["directory"]


def test_what_is_on_its_way_has_a_hidden_name_of_its_own_that_fits(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    rename = os.rename

    def noted(old: str, new: str, **options: Any) -> None:
        seen.append(old)
        rename(old, new, **options)

    monkeypatch.setattr(os, "rename", noted)
    Inside(base).write("x" * 250, b"")
    Inside(base).write("file", b"")
    Inside(base).write("file", b"")
    assert len(set(seen)) == 3
    for name in seen:
        assert TEMPORARY.fullmatch(name), name


def test_a_file_is_made_once(base: Path) -> None:
    inside = Inside(base)
    assert inside.create("a/lock") is True
    (base / "a" / "lock").write_bytes(b"kept")
    assert inside.create("a/lock") is False
    assert inside.read("a/lock") == b"kept"


def test_directories_are_made_with_those_above_and_twice(base: Path) -> None:
    inside = Inside(base)
    for _ in range(2):
        inside.make("a/b/c")
        assert inside.has_directory("a/b/c")
    assert inside.names("a/b/c") == []
    for step in (inside.look, inside.remove, inside.has_directory):
        step("d/e")
    assert inside.names() == ["a"]  # only what writes makes directories
    with pytest.raises(FileNotFoundError):
        inside.sync("d")


@pytest.mark.parametrize(("wanted", "modes"), [(False, (0o700, 0o600)), (True, (0o750, 0o640))])
def test_what_is_made_is_the_owners_alone_unless_the_umask_is_to_decide(
    base: Path, wanted: bool, modes: tuple[int, int]
) -> None:
    before = os.umask(0o027)
    try:
        with by_umask(wanted):
            Inside(base).write("a/file", b"")
            Inside(base).create("a/lock")
            with by_umask(False):  # what was wanted further out stays
                Inside(base).make("b")
        assert (directory_mode(), file_mode()) == (0o700, 0o600)  # what was wanted is over
    finally:
        os.umask(before)
    found = {path.relative_to(base).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in base.rglob("*")}
    assert found == {"a": modes[0], "b": modes[0], "a/file": modes[1], "a/lock": modes[1]}


def test_what_the_umask_may_decide_is_everything_a_program_asks_for() -> None:
    assert (directory_mode(), file_mode()) == (0o700, 0o600)
    with by_umask(True):
        assert (directory_mode(), file_mode()) == (0o777, 0o666)


def test_a_link_is_removed_and_not_what_it_leads_to(base: Path, outside: Path) -> None:
    inside = Inside(base)
    (base / "link").symlink_to(outside)
    (base / "hard").hardlink_to(outside)
    (base / "file").write_bytes(b"")
    for name in ("link", "hard", "file"):
        inside.remove(name)
    assert inside.names() == []
    assert outside.read_bytes() == b"mine"


def test_a_tree_is_removed_with_its_links_and_not_what_they_lead_to(base: Path, outside: Path) -> None:
    inside = Inside(base)
    inside.write("events/deep/file", b"")
    (base / "events" / "deep" / "link").symlink_to(outside)
    (base / "events" / "elsewhere").symlink_to(outside.parent)
    os.mkfifo(base / "events" / "pipe")
    inside.remove_tree("events")
    assert inside.names() == []
    (base / "events").symlink_to(outside.parent)
    with pytest.raises(OSError, match=r"Not a directory|symbolic link"):
        inside.remove_tree("events")
    assert outside.read_bytes() == b"mine"


def test_things_are_renamed_inside(base: Path) -> None:
    inside = Inside(base)
    inside.write("a/file", b"content")
    inside.make("b")
    inside.rename("a/file", "b/other")
    assert inside.names("a") == []
    assert inside.read("b/other") == b"content"
    inside.rename("b", "c")
    assert inside.names() == ["a", "c"]
