"""This study asks when a society of small models is worth its tokens: comparisons with real models, kept and told.

With it go four comparisons that ask small models for three published claims, which have a page of their own.

Usage: python -m benchmarks.study_when plan                          what each part takes, and what is there already
       python -m benchmarks.study_when run [--only NAME ...]         make the parts, or go on where they stopped
       python -m benchmarks.study_when run --short [--only NAME ...] two tasks, the embedded model
       python -m benchmarks.study_when keep [NAME=DIR ...]           keep what finished parts gave
       python -m benchmarks.study_when replies [NAME=DIR ...]        keep the replies of parts, finished or not
       python -m benchmarks.study_when page                          write the page and its pictures from what is kept

``make study`` is ``run``; ``make study STUDY="run --short"`` tries it out. The models are had with `agentsoc model
get`. Parts are made under `runs/study`, where their caches of replies stand too. Replies that are kept are put into
these caches first: no model is asked for them again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml

from agentsoc.engine.bounds import Bound
from agentsoc.errors import AgentsocError, InputError
from agentsoc.experiment.plan import build_kinds, plan_kinds
from agentsoc.experiment.store import finished_cells
from agentsoc.scenario.given import placed
from benchmarks import claims_page
from benchmarks.claims import CLAIMS, TEAMS, claims_parts, keep_claims, kept_claims
from benchmarks.replies import REPLIES, keep_replies, lend_replies
from benchmarks.when import PARTS, PILOT, RESULTS, ROOT, cpu_hours, file_of, grid_of, keep, kept, model_of, parts
from benchmarks.when_page import IMAGES, PAGE, page, picture

RUNS: Final = ROOT / "runs" / "study"
ALL: Final = (*PARTS, *CLAIMS, TEAMS)
TRIED: Final = {"self-consistency": 1, "debate": 2, "placebo": 2}
"""Organisations of the short form, and how far their dials are turned up."""
PAIR: Final = {"count": 2}
"""Agents of a debate in the short form."""
REPLY: Final = 8
"""Tokens of a reply, as the pilot had them, to foretell what a part takes (tokens)."""


def foretold(name: str, runs: Path) -> str:
    """Return what is left of a part and what that takes, in a line."""
    grid = grid_of(name)
    with placed(file_of(name)):
        kinds = plan_kinds(grid, build_kinds(grid.cells), finished_cells(grid, runs / name))
    due = [kind.most for kind in kinds if isinstance(kind.most, Bound)]
    calls, cap = sum(one.calls for one in due), grid.cells[0].scenario.agents[0].max_tokens
    prompts = sum(one.tokens for one in due) - cap * calls  # bounds have every reply as long as its cap
    done, model = sum(kind.answered for kind in kinds), model_of(grid)
    hours = cpu_hours(model, max(prompts, 0), min(REPLY, cap) * calls)
    taken = "" if hours is None else f", {hours:.1f} CPU-hours"
    return f"{name}: {done} of {len(grid.cells)} runs are finished; about {calls:,} calls{taken} of {model} are left"


def short(name: str) -> list[str]:
    """Return what makes a part so small that it can be tried out: two tasks, few calls, the embedded model.

    Of a part with several ceilings there is one answer, and a debate of two in two rounds beside its placebo, at one.
    """
    given = ["base.tasks.count=2", "base.agents.max_tokens=8"]
    asked = yaml.safe_load(file_of(name).read_text(encoding="utf-8"))
    if "budgets" in asked:
        few = {who: {**asked["organisations"][who]} for who in TRIED}
        for who, value in TRIED.items():
            few[who]["fill"] = {**few[who]["fill"], "values": [value]}
            if few[who]["fill"]["dial"] == "rounds":
                few[who]["agents"] = PAIR
        given += [f"budgets=[{asked['budgets'][1]}]", f"organisations={json.dumps(few)}"]
    return given


def cache_of(name: str, directory: Path) -> Path:
    """Return the cache of replies of a part that is made in a directory: it stands beside it.

    Raises:
        InputError: it uses none.
    """
    cache = grid_of(name).cells[0].scenario.calls.cache
    if cache is None:
        raise InputError("this part keeps no replies", str(file_of(name)), "see calls.cache")
    return directory.absolute().parent / cache


def sharing(name: str) -> list[str]:
    """Return the other parts that use the cache of a part."""
    place = Path("runs", "part")
    return [other for other in ALL if other != name and cache_of(other, place) == cache_of(name, place)]


def make(name: str, runs: Path, *, small: bool) -> int:
    """Make a part, or what is missing of it, and return the exit code of `agentsoc compare`."""
    words = [word for change in short(name) for word in ("--set", change)] if small else []
    model = ["--model", "local"] if small else []
    runs.mkdir(parents=True, exist_ok=True)  # caches are relative to where the command runs
    command = [sys.executable, "-m", "agentsoc", "compare", str(file_of(name).resolve()), "--yes", "--workers", "1"]
    return subprocess.run([*command, *model, "--out", name, *words], cwd=runs, check=False).returncode


def lent(name: str, runs: Path) -> bool:
    """Put the replies that are kept of a part into its cache, and return whether it can be made."""
    runs.mkdir(parents=True, exist_ok=True)
    try:
        if n := sum(lend_replies(RESULTS / one, cache_of(name, runs / name)) for one in (name, *sharing(name))):
            print(f"{name}: {n:,} kept replies are put into its cache", flush=True)
    except AgentsocError as error:
        print(f"{name} cannot be made yet: {error}", file=sys.stderr)
        return False
    return True


def plan(names: Sequence[str], runs: Path) -> int:
    """Print what is left of the parts and what that takes; return 1 where it cannot be told, as without a model."""
    code = 0
    for name in names:
        try:
            kept = "; replies are kept, which it begins with" if (RESULTS / name / REPLIES).exists() else ""
            print(f"{foretold(name, runs)}{kept}", flush=True)
        except AgentsocError as error:
            print(f"{name} cannot be made yet: {error}", file=sys.stderr)
            code = 1
    return code


def run(names: Sequence[str], runs: Path, *, small: bool) -> int:
    """Make the parts one after the other and return the first exit code that is not 0; 1 of one without a model."""
    codes = []
    for name in names:
        if small:
            print(f"{name}: in a short form", flush=True)
        elif plan([name], runs) or not lent(name, runs):
            codes.append(1)
            continue
        codes.append(make(name, runs, small=small))
        if codes[-1] == 130:  # interrupted: the others wait as well
            break
    return next((code for code in codes if code), 0)


def write() -> int:
    """Write the page and its pictures; nothing where no part is kept."""
    found = parts()
    text = page(found, kept(PILOT))
    of_claims = claims_page.page(claims_parts(), kept_claims(TEAMS))
    if of_claims is not None:
        claims_page.PAGE.write_text(of_claims, encoding="utf-8")
        print(f"written: {claims_page.PAGE.relative_to(ROOT)}")
    if text is None:
        print("no part of the study is kept yet, so its page is not written")
        return 1
    PAGE.write_text(text, encoding="utf-8")
    IMAGES.mkdir(parents=True, exist_ok=True)
    for part in found:
        if (svg := picture(part)) is not None:
            (IMAGES / f"{part.name}.svg").write_text(svg, encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out what the command line asks for and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("plan", "run", "keep", "replies", "page"))
    parser.add_argument("kept", nargs="*", metavar="NAME=DIR", help="parts to keep, and where they were made")
    parser.add_argument("--only", nargs="+", choices=(*ALL, PILOT), default=ALL)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--runs", type=Path)
    told = parser.parse_args(arguments)
    runs = (told.runs or (RUNS.with_name("study-short") if told.short else RUNS)).absolute()
    if told.what == "replies" and told.short:
        parser.error("replies of the short form are not kept")
    if told.what == "page":
        return write()
    if told.what == "run":
        return run(told.only, runs, small=told.short)
    if told.what == "plan":
        return plan(told.only, runs)
    given = (
        dict(one.split("=", 1) for one in told.kept) if told.kept else {name: str(runs / name) for name in told.only}
    )
    code = 0
    for name, directory in given.items():
        try:
            if told.what == "replies":
                others = [RESULTS / other for other in sharing(name)]
                n = keep_replies(cache_of(name, Path(directory)), RESULTS / name, others)
                print(f"{name}: {n:,} replies are kept")
                continue
            print(f"kept: {(keep_claims if name in (*CLAIMS, TEAMS) else keep)(name, Path(directory))}")
        except AgentsocError as error:
            print(f"{name} is not kept: {error}", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
