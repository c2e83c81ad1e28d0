"""A folder that nobody may look into: the system notes whatever is opened, read, written, made or removed in it."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
from pathlib import Path
from typing import Final

_EVENTS: Final = {
    0x001: "read", 0x002: "written", 0x004: "changed", 0x008: "closed", 0x020: "opened", 0x040: "moved away",
    0x080: "moved in", 0x100: "made", 0x200: "removed", 0x400: "removed", 0x800: "moved",
}  # fmt: skip
_WATCHED: Final = 0x001 | 0x002 | 0x004 | 0x020 | 0x040 | 0x080 | 0x100 | 0x200 | 0x400 | 0x800
_HEAD: Final = struct.Struct("iIII")


class Canary:
    """Watches every directory in a folder, through inotify (Linux)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        libc = ctypes.CDLL(None, use_errno=True)
        self._handle = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._names: dict[int, Path] = {}
        for directory in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
            self._names[int(libc.inotify_add_watch(self._handle, os.fsencode(directory), _WATCHED))] = directory
        self.touched()

    def touched(self) -> list[str]:
        """Return what was done in the folder since the last time."""
        found: list[str] = []
        while True:
            try:
                raw = os.read(self._handle, 1 << 16)
            except BlockingIOError:
                return found
            at = 0
            while at < len(raw):
                watch, mask, _, length = _HEAD.unpack_from(raw, at)
                at += _HEAD.size
                name = raw[at : at + length].rstrip(b"\0").decode()
                at += length
                what = [text for bit, text in _EVENTS.items() if mask & bit]
                found.append(f"{self._names[watch].relative_to(self.folder) / name} was {', '.join(what)}")

    def close(self) -> None:
        """Stop watching."""
        os.close(self._handle)


class Listener:
    """A server on loopback that counts who comes."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.came = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.came += 1
            connection.close()

    def close(self) -> None:
        """Listen no more."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
