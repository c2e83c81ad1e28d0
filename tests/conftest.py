"""Scratch files of tests are kept in memory where the system has that: most tests say nothing about the disk."""

import contextlib
import gc
import os
import secrets
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from agentsoc.contracts.part import Slot
from agentsoc.scenario.files import BASE_DIR
from tests.nightly import NIGHTLY

if Path("/dev/shm").is_dir() and os.access("/dev/shm", os.W_OK):
    tempfile.tempdir = "/dev/shm"

# Clusters of tests keep to loopback. Ray looks at this once, when it is first imported, whichever test does that.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

# A shell lets its background jobs ignore Ctrl-C, and what they start inherits that: tests that interrupt a program
# would see it go on.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.default_int_handler)

# The suite gives the same verdict on every machine; AGENTSOC_NIGHTLY=1 looks further, with new examples each time.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.register_profile("nightly", deadline=None)
settings.load_profile("nightly" if NIGHTLY else "suite")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how to have the same random order again: the header, which says it too, is left out by -q."""
    if config.getoption("random_order_enabled", False):
        seed = str(config.getoption("random_order_seed")).removeprefix("default:")
        terminalreporter.write_line(f"this order again: --random-order --random-order-seed={seed}")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage while tests are collected: there is none, and looking takes a seventh of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Refuse test modules that register parts when they are imported: every other module would see those.

    What is there then stays to the end: no collection of garbage has to look at its 800,000 objects again.
    """
    loose = [part for parts in Slot._loose.values() for part in parts.values()]
    if left := sorted(part.__qualname__ for part in loose if part.__module__.rpartition(".")[2].startswith("test_")):
        raise pytest.UsageError(f"registered at import, not in a fixture: {', '.join(left)}")
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def _loose_parts_kept() -> Iterator[None]:
    loose = {group: dict(parts) for group, parts in Slot._loose.items()}
    yield
    Slot._loose.clear()
    Slot._loose.update(loose)


@pytest.fixture(autouse=True, scope="module")
def _nothing_stays_behind_a_module() -> Iterator[None]:
    """Loose parts that fixtures of a module register are the module's own, and so is a Ray that it has joined."""
    with _loose_parts_kept():
        yield
    if (ray := sys.modules.get("ray")) is not None and ray.is_initialized():
        from agentsoc.engine import ray_cluster

        with warnings.catch_warnings():  # Ray leaves the log files of its processes open
            warnings.simplefilter("ignore", ResourceWarning)
            ray_cluster.disconnect()
            gc.collect()


@pytest.fixture(autouse=True)
def _nothing_stays_behind() -> Iterator[None]:
    """Loose parts that a test registers and the directory of the scenario that it loads are its own."""
    token = BASE_DIR.set(None)
    with _loose_parts_kept():
        yield
    with contextlib.suppress(ValueError):  # set in another context
        BASE_DIR.reset(token)


@pytest.fixture(autouse=True)
def _nothing_agreed_to(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the person who starts the tests has agreed to before is no consent here, and no test changes it."""
    monkeypatch.setenv("AGENTSOC_CONFIG_DIR", str(tmp_path_factory.getbasetemp() / "no-consent"))


@pytest.fixture(autouse=True)
def _nothing_kept_before(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test finds what another one, or the person who starts them, keeps in a cache."""
    monkeypatch.setenv("AGENTSOC_CACHE_DIR", str(tmp_path_factory.getbasetemp() / f"cache-{secrets.token_hex(8)}"))


@pytest.fixture(autouse=True)
def _a_terminal_of_ordinary_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output does not depend on where the tests are started from."""
    monkeypatch.setenv("COLUMNS", "120")
