"""This module tells machines apart, so that a process id is only looked up where it is one of the same machine."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path


def machine() -> str:
    """Return what tells machines apart whose process ids differ.

    Two machines may have one name, and so have a machine and a container on its network; a process id of the one says
    nothing on the other.
    """
    told = [socket.gethostname()]
    with contextlib.suppress(OSError):
        told.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        told.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(told)
