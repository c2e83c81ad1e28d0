"""This module reads the scenario of a stored run, believes no more than hashes prove, and says where it may run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agentsoc.engine.absent_tool import tools_may_be_absent
from agentsoc.engine.inputs import named_files, use_inputs
from agentsoc.engine.ray_probe import AUTO
from agentsoc.errors import EnvironmentFailedError, InputError, LogDamagedError
from agentsoc.log.manifest import Manifest
from agentsoc.log.read import RunLog
from agentsoc.log.record import hash_json
from agentsoc.scenario.code import load_recorded
from agentsoc.scenario.model import Scenario


def stored_scenario(
    log: RunLog,
    allow_code: Sequence[Path] = (),
    *,
    more_code: bool = False,
    mended_code: bool = False,
    calls_tools: bool = True,
) -> tuple[Scenario, dict[str, str]]:
    """Return the scenario of a run from its manifest, and the hashes of the loose code it uses.

    Args:
        log: the run.
        allow_code: files of loose code; none of them runs before all are known to be what the run was made with.
        more_code: whether there may be files among them that the run was made without.
        mended_code: whether they may be other versions, because the code had a fault that ended the run.
        calls_tools: whether its tools may have to be called; otherwise packages that bring them need not be there.

    Raises:
        InputError: the run needs loose code that was not given, or another version of it.
        LogDamagedError: the manifest's scenario is not what its hash says.
    """
    manifest = log.manifest
    given = load_recorded(allow_code, manifest.code, "this run", log.directory, more=more_code, mended=mended_code)
    use_inputs(log.directory, manifest.inputs)
    earlier = [] if manifest.fork is None else [before.scenario for before in manifest.fork.before]
    try:
        with nullcontext() if calls_tools else tools_may_be_absent():
            scenarios = [Scenario.model_validate(one) for one in (manifest.scenario, *earlier)]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LogDamagedError(
            f"the manifest's scenario does not hold: {where}: {first['msg']}", str(log.directory)
        ) from None
    scenario = scenarios[0]
    if hash_json(scenario.result_part()) != manifest.scenario_hash:
        raise LogDamagedError("the manifest's scenario is not the one of its hash", str(log.directory))
    for name in (name for one in scenarios for name in named_files(one)):
        if name not in manifest.inputs:
            raise LogDamagedError(
                f"the scenario names the file {name[:200]!r}, of which the run keeps no copy", str(log.directory)
            )
    return scenario, given


def may_be_mended(manifest: Manifest) -> bool:
    """Return whether loose code may be another version now: the run ended because its environment failed."""
    return manifest.status == "failed" and (manifest.error or "").startswith(f"{EnvironmentFailedError.__name__}:")


def require_named_address(scenario: Scenario, engine: Mapping[str, Any], directory: Path) -> None:
    """Refuse to go to a cluster that only a stored run names, because the run may be a stranger's.

    Raises:
        InputError: `engine`, what was asked for now, names none (or None, for this process).
    """
    address = scenario.engine.address
    if address in (None, "local") or "address" in engine:
        return
    if address == AUTO:
        what, hint = "inside of a Ray job, whose cluster", "add --address auto in a job, or --address local"
    else:
        what, hint = f"on the Ray cluster at {address}, which", f"add --address {address}, or --address local"
    raise InputError(f"this run was carried out {what} is not joined unless you name it", str(directory), hint)
