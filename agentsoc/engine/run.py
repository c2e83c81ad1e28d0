"""This module runs a scenario into a run directory; resume and fork do the same with more attempts known."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agentsoc.backends.secrets import mask, register_environment
from agentsoc.engine.consent import Consent, require_consent
from agentsoc.engine.directory import new_directory
from agentsoc.engine.execute import Plan, execute, load_known
from agentsoc.engine.forecast import require_a_call
from agentsoc.engine.progress import Progress
from agentsoc.engine.shared import Shared
from agentsoc.engine.waiting import wait_for
from agentsoc.errors import InputError
from agentsoc.log.acted import acted
from agentsoc.log.cached import spared_by_cache
from agentsoc.log.failures import failures_told
from agentsoc.log.first_answers import one_options
from agentsoc.log.read import RunLog
from agentsoc.scenario.code import CodeFiles, load_codes
from agentsoc.scenario.draft import Overrides
from agentsoc.scenario.given import given_scenario, placed
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import build_society

if TYPE_CHECKING:
    from agentsoc.engine.transcript import TranscribedCall


class Run(RunLog):
    """A run is on disk, and finished, interrupted or under way."""

    def transcript(
        self, task: int, agent: int | None = None, *, allow_code: Sequence[Path] = ()
    ) -> list[TranscribedCall]:
        """Return what was sent to models in a task and what they said; see `agentsoc.engine.transcript.transcript`."""
        from agentsoc.engine.transcript import transcript

        return transcript(self.directory, task, agent, allow_code=allow_code)

    def summary(self) -> dict[str, Any]:
        """Return the plain values that `agentsoc run --json` prints."""
        manifest, totals = self.manifest, self.manifest.totals
        did = acted(self)
        return {
            "run_dir": str(self.directory),
            "name": manifest.name,
            "seed": manifest.seed,
            "status": manifest.status,
            "digest": manifest.digest,
            "n_events": totals.events,
            "n_episodes": totals.episodes,
            "score": totals.score,
            "ci95": totals.score_ci95,
            "tokens": totals.tokens,
            "budget": totals.budget,
            "cost": totals.cost,
            "stop": max(totals.stops, key=lambda stop: totals.stops[stop]) if totals.stops else manifest.status,
            "tool_calls": did.tool_calls,
            "tool_calls_refused": did.tool_calls_refused,
            "rewards": did.rewards,
            "failures": {name: msgspec.structs.asdict(found) for name, found in failures_told(self).items()},
            "cached": None if (spared := spared_by_cache(self)) is None else msgspec.structs.asdict(spared),
            "one_option": [vars(found) for found in one_options(self)],
            "error": manifest.error,
            "totals": totals.model_dump(mode="json"),
            "not_reproducible": manifest.not_reproducible,
        }


def run(
    scenario: Scenario | Path | str,
    out: Path | str | None = None,
    *,
    overrides: Overrides = (),
    code_paths: Sequence[Path] | CodeFiles = (),
    progress: Progress | None = None,
    consent: Consent = False,
) -> Run:
    """Run a scenario once and return its log; also inside a running event loop, as in a notebook.

    Args:
        scenario: what to run, or the path of its file (YAML).
        out: the run directory, which must not exist or be empty; None for a new one under ``runs/``.
        overrides: values that take the place of the scenario's, by dotted path (``{"agents.count": 6}``), or
            ``path=value`` each, as ``--set`` takes them.
        code_paths: loose code files that the scenario needs: a scenario file may name their parts, and hosts in other
            processes load them. Their hashes are written into the manifest when `scenario` is a path, or when they
            come as `CodeFiles`, loaded already.
        progress: filled while the run goes on.
        consent: True to let the scenario's models be called wherever they are, or the destinations that are agreed
            to; see `agentsoc.engine.consent`.

    Raises:
        ConsentNeededError: it would send something to an address that nobody has agreed to; nothing was sent.
        InputError: the scenario cannot be run, its budget pays for no call, its file stands for several runs, or
            `out` is taken.
        ScenarioError: the file, or what `overrides` make of it, is no valid scenario.
        RunFailedError: it stopped because of a fault; it can be resumed.
        InterruptedRunError: it was asked to stop; it can be resumed.
        KeyboardInterrupt: the same, where an event loop was running.
    """
    return wait_for(
        run_async(
            scenario,
            out,
            overrides=overrides,
            code_paths=code_paths,
            progress=progress,
            consent=consent,
        )
    )


async def run_async(
    scenario: Scenario | Path | str,
    out: Path | str | None = None,
    *,
    overrides: Overrides = (),
    code_paths: Sequence[Path] | CodeFiles = (),
    progress: Progress | None = None,
    shared: Shared | None = None,
    stop: asyncio.Event | None = None,
    consent: Consent = False,
) -> Run:
    """Run a scenario from inside an event loop, and return its log.

    In the main thread it listens to SIGINT and SIGTERM while it goes on, unless `stop` is given. The loop is free while
    models are waited for, and not while simulated agents are computed as columns.

    Args:
        scenario: as of `run`; so are `out`, `overrides`, `code_paths`, `progress`, `consent` and what is raised.
        out: the run directory.
        overrides: values that take the place of the scenario's.
        code_paths: loose code files that the scenario needs.
        progress: filled while the run goes on.
        shared: models that it uses together with other runs of the process; None for its own.
        stop: set by whoever wants the run to end in order; None for a run that listens to signals.
        consent: what may be called.
    """
    code = code_paths if isinstance(code_paths, CodeFiles) else CodeFiles(code_paths)
    if code is not code_paths and not isinstance(scenario, Scenario):
        code = CodeFiles(code.paths, load_codes(code.paths))
    with given_scenario(scenario, overrides, code.paths) as asked:
        with placed(scenario):  # whatever cannot be built or paid for is found before a directory is made
            society = build_society(asked)
            require_a_call(society)
        refuse_secrets(asked)
        require_consent([asked], consent)
        directory = new_directory(asked, out)
        plan = Plan(
            asked,
            directory,
            code=code.hashes,
            code_paths=code.paths,
            progress=progress or Progress(),
            society=society,
            shared=shared,
            stop=stop,
        )
        try:
            await execute(plan)
        except InputError:  # a model that cannot start: nothing was asked, so nothing is left behind
            if not load_known(directory):
                shutil.rmtree(directory)  # ours: it was made above, and links in it are not followed
            raise
        return Run(directory)


def refuse_secrets(scenario: Scenario) -> None:
    """Raise `InputError` when the scenario holds a secret of the environment: the manifest would keep it for ever."""
    register_environment()
    text = scenario.model_dump_json()
    if mask(text) != text:
        raise InputError(
            "the scenario contains the value of a secret environment variable, which the run would write down",
            scenario.name,
            "name the variable instead of its value: api_key_env",
        )


__all__ = ["Progress", "Run", "run", "run_async"]
