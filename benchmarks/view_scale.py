"""Does the viewer keep up with a million events? `python -m benchmarks.view_scale [--events N]`, on a quiet machine.

Makes a run of that many events (simulated societies, as columns: a few seconds), serves it with `agentsoc view` in a
process of its own, and asks for every page, each for the first time and again. With a chromium and playwright it also
measures how long the first page of the run takes from the address to what can be read. Writes
``benchmarks/results/view_scale.json``. The bounds: first paint 2 s, any page 1 s, memory of the server 500 MB.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import agentsoc
from agentsoc.scenario.model import Scenario

RESULTS: Final = Path(__file__).parent / "results" / "view_scale.json"
EVENTS_OF_A_TASK: Final = 52
PAGE_S, PAINT_S, MEMORY_MB = 1.0, 2.0, 500.0
QUESTIONS: Final[tuple[tuple[str, dict[str, object]], ...]] = (
    ("runs", {}),
    ("run", {}),
    ("tasks", {"which": "wrong"}),
    ("rounds", {}),
    ("society", {}),
    ("cited", {}),
    ("episode", {"task": 7}),
    ("episode", {"task": -1}),
    ("transcript", {"task": 7, "agent": 3}),
    ("events", {}),
    ("events", {"offset": 600_000}),
    ("events", {"kind": "stop", "offset": 10_000}),
    ("events", {"text": "nothing has this"}),
    ("events", {"agent": 3, "offset": 20_000}),
    ("results", {}),
    ("state", {}),
)
"""What is asked; task -1 is the last one."""


def make_run(where: Path, events: int) -> int:
    """Make a run of about so many events and return how many it has."""
    scenario = Scenario.model_validate(
        {
            "name": "large",
            "seed": 3,
            "tasks": {"kind": "signal", "count": max(events // EVENTS_OF_A_TASK, 1)},
            "agents": {"count": 25, "model": {"kind": "simulated", "signal": 0.3}},
            "topology": {"kind": "decentralized", "degree": 4},
            "protocol": {"kind": "debate", "rounds": 2},
        }
    )
    return agentsoc.run(scenario, where).manifest.totals.events


@contextmanager
def served(directory: Path) -> Iterator[tuple[str, int]]:
    """Serve a directory; give the address and the number of the process."""
    command = [sys.executable, "-m", "agentsoc", "view", str(directory), "--no-browser"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None
            yield found[0], process.pid
        finally:
            process.terminate()
            process.wait(20)


def memory_mb(process: int) -> float:
    """Return the most memory that a process had (MB)."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


class Asker:
    """Asks the server as a browser does, with the cookie."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        self._connection.request("GET", f"/?{parts.query}")
        answer = self._connection.getresponse()
        answer.read()
        self._cookie = (answer.getheader("set-cookie") or "").split(";")[0]

    def data(self, what: str, at: dict[str, object]) -> Any:
        """Return the data of a page."""
        self._connection.request("GET", f"/data/{what}?{urlencode(at)}", headers={"Cookie": self._cookie})
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{what}: {answer.status} {body[:200]!r}")
        return json.loads(body)

    def seconds(self, what: str, at: dict[str, object]) -> float:
        """Return how long an answer takes (seconds)."""
        began = time.perf_counter()
        self.data(what, at)
        return time.perf_counter() - began


PAINTED: Final = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"


def painted(address: str) -> tuple[float, float] | None:
    """Return when a browser first paints the page of the run, and when what came out can be read (seconds).

    None without a browser.
    """
    path = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if path is None:
        return None
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        began = time.perf_counter()
        page.goto(f"{address}#run?place=large")
        page.wait_for_selector("table th")
        readable = time.perf_counter() - began
        first = float(page.evaluate(PAINTED))
        browser.close()
    return round(first, 3), round(readable, 3)


def measure(events: int) -> dict[str, Any]:
    """Return what each page takes."""
    with tempfile.TemporaryDirectory() as scratch:
        n = make_run(Path(scratch) / "large", events)
        tasks = max(events // EVENTS_OF_A_TASK, 1)
        with served(Path(scratch)) as (address, process):
            asker, rows = Asker(address), []
            for what, asked in QUESTIONS:
                at = {"place": "large", **asked} | ({"task": tasks - 1} if asked.get("task") == -1 else {})
                first, again = asker.seconds(what, at), asker.seconds(what, at)
                rows.append({"page": what, "asked": asked, "first_s": round(first, 3), "again_s": round(again, 3)})
            memory = memory_mb(process)
        with served(Path(scratch)) as (address, process):
            paint = painted(address)
            memory = max(memory, memory_mb(process))
    return {
        "events": n,
        "load": round(os.getloadavg()[0], 2),
        "first_paint_s": None if paint is None else paint[0],
        "readable_s": None if paint is None else paint[1],
        "memory_mb": round(memory, 1),
        "pages": rows,
    }


def main() -> int:
    """Measure, print and write; the exit code is 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--no-write", action="store_true")
    asked = parser.parse_args()
    found = measure(asked.events)
    for row in found["pages"]:
        print(f"{row['first_s']:7.3f} s {row['again_s']:7.3f} s  {row['page']} {row['asked'] or ''}")
    paint = found["first_paint_s"]
    print(f"{found['events']:,} events: first paint {found['first_paint_s']} s, readable {found['readable_s']} s")
    print(f"server {found['memory_mb']} MB, load {found['load']}")
    if not asked.no_write:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    slow = [row["page"] for row in found["pages"] if row["first_s"] >= PAGE_S]
    over = found["memory_mb"] >= MEMORY_MB or (paint is not None and paint >= PAINT_S)
    for page in slow:
        print(f"over {PAGE_S} s: {page}")
    return 1 if slow or over else 0


if __name__ == "__main__":
    sys.exit(main())
