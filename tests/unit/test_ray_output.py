"""What Ray says in the driver goes to a file, and everything is as before afterwards."""

from __future__ import annotations

import faulthandler
import logging
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agentsoc.engine.ray_output import OutputFile

ROOT = Path(__file__).parent.parent.parent


def prints(data: dict[str, Any], ignore_prefix: bool = False) -> None:
    print(*data["lines"])


def test_news_of_processes_and_log_lines_go_to_the_file_until_it_is_closed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ray = SimpleNamespace(_private=SimpleNamespace(worker=SimpleNamespace(print_to_stdstream=prints)))
    logger = logging.getLogger("ray")
    before = (logger.handlers[:], logger.propagate)
    path = tmp_path / "ray.log"
    output = OutputFile(ray, path)
    news = {"lines": ["Raylet is terminated.", "second line"], "pid": "raylet", "is_err": False}
    ray._private.worker.print_to_stdstream(news, ignore_prefix=False)
    logging.getLogger("ray.worker").error("an error of Ray")
    assert capfd.readouterr() == ("", "")
    output.close()
    noted = path.read_text()
    for text in ("(raylet) Raylet is terminated.", "(raylet) second line", "an error of Ray"):
        assert text in noted
    assert path.stat().st_mode & 0o777 == 0o600
    assert (logger.handlers, logger.propagate) == before
    ray._private.worker.print_to_stdstream(news)
    assert capfd.readouterr().out == "Raylet is terminated. second line\n"


def test_the_stack_of_a_driver_that_ray_aborts_goes_to_the_file(tmp_path: Path) -> None:
    program = f"""
        import os
        from pathlib import Path
        from types import SimpleNamespace
        from agentsoc.engine.ray_output import OutputFile
        worker = SimpleNamespace(print_to_stdstream=print)
        output = OutputFile(SimpleNamespace(_private=SimpleNamespace(worker=worker)), Path({str(tmp_path / "log")!r}))
        os.abort()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == -6
    assert (done.stdout, done.stderr) == ("", "")
    assert "Aborted" in (tmp_path / "log").read_text()


def test_a_program_that_has_its_crashes_printed_keeps_that(tmp_path: Path) -> None:
    ray = SimpleNamespace(_private=SimpleNamespace(worker=SimpleNamespace(print_to_stdstream=prints)))
    was = faulthandler.is_enabled()
    if not was:
        faulthandler.enable()
    OutputFile(ray, tmp_path / "ray.log").close()
    assert faulthandler.is_enabled()
    if not was:
        faulthandler.disable()
