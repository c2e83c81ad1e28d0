"""The lock of a run directory: one writer, named to whoever else comes, gone with its process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentsoc.errors import RunFailedError, RunLockedError
from agentsoc.log.files import RunLock, write_whole
from agentsoc.log.inside import Inside
from agentsoc.log.machines import machine

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, time
from pathlib import Path
from agentsoc.log.files import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(directory: Path) -> subprocess.Popen[str]:
    """Return a child that holds the lock."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(directory)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def end(child: subprocess.Popen[str]) -> None:
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert child.stdout is not None
    child.stdout.close()


def test_a_second_writer_is_refused_at_once_and_told_who_holds_the_run(tmp_path: Path) -> None:
    child = hold(tmp_path)
    began = time.monotonic()
    with pytest.raises(RunLockedError, match=f"process {child.pid} on {socket.gethostname()}"), RunLock(tmp_path):
        pass
    assert time.monotonic() - began < 1
    end(child)


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    for _ in range(3):
        end(hold(tmp_path))
        with RunLock(tmp_path):
            assert json.loads((tmp_path / ".holder.json").read_text())["pid"] == os.getpid()
        assert not (tmp_path / ".holder.json").exists()


def test_a_dead_process_is_not_named_as_the_holder(tmp_path: Path) -> None:
    """One that was killed leaves its name; until the next has written its own, nobody is better than the wrong one."""
    gone = hold(tmp_path)
    name = (tmp_path / ".holder.json").read_bytes()
    end(gone)
    child = hold(tmp_path)
    (tmp_path / ".holder.json").write_bytes(name)
    with pytest.raises(RunLockedError, match="another process"), RunLock(tmp_path):
        pass
    end(child)


def test_a_holder_on_another_machine_of_the_same_name_is_named(tmp_path: Path) -> None:
    child = hold(tmp_path)
    gone = {"pid": 4_194_304 + 1, "host": socket.gethostname()}  # beyond any process id of Linux
    for place, named in (({"machine": "other"}, True), ({"machine": machine()}, False), ({}, False)):
        (tmp_path / ".holder.json").write_text(json.dumps(gone | place))
        told = f"process {gone['pid']} on {gone['host']}" if named else "another process"
        with pytest.raises(RunLockedError, match=told), RunLock(tmp_path):
            pass
    (tmp_path / ".holder.json").write_text(json.dumps({"pid": 1, "host": "elsewhere"}))  # of an earlier version
    with pytest.raises(RunLockedError, match="process 1 on elsewhere"), RunLock(tmp_path):
        pass
    end(child)


def test_a_broken_name_is_no_reason_to_fail(tmp_path: Path) -> None:
    child = hold(tmp_path)
    for content in (b"", b"{", b"[]", b'{"pid": "x"}', b'{"pid": -1, "host": "h"}', b"\xff", b"null"):
        (tmp_path / ".holder.json").write_bytes(content)
        with pytest.raises(RunLockedError, match="another process"), RunLock(tmp_path):
            pass
    end(child)


def test_the_lock_is_let_go_when_its_holder_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with RunLock(tmp_path):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with RunLock(tmp_path):
        pass


def test_a_directory_that_cannot_be_written_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunFailedError, match="cannot be locked"), RunLock(tmp_path / "file"):
        pass


def test_a_full_disk_does_not_keep_the_lock_from_its_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Inside, "write", refuse)
        with RunLock(tmp_path):
            pass
    with RunLock(tmp_path):
        pass


@pytest.mark.parametrize("before", [None, b"old"])
def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None
) -> None:
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match="No space"):
            write_whole(path, b"new")
    assert (path.read_bytes() if path.exists() else None) == before
    assert len(list(tmp_path.iterdir())) == (before is not None)
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
