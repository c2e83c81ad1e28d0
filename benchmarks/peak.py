"""This module says how much memory a process of a benchmark has had at most."""

from __future__ import annotations

import re
import resource
from pathlib import Path


def peak_mb() -> float:
    """Return the most memory that this process has had since it began its program (MB).

    By `getrusage` a process also counts what its parent had when it started it, so the kernel's own mark is read where
    there is one.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        status = ""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    kb = int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kb / 1024
