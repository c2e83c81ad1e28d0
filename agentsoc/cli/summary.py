"""This module says how a run has ended: result with its interval, tokens, events, digest, and how to go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentsoc.printing.fitting import coloured, folded, is_coloured, is_folded, width
from agentsoc.printing.terminal import print_safe
from agentsoc.printing.text import command, line, prompt_bounds_text, safe

if TYPE_CHECKING:
    from agentsoc.log.manifest import Manifest, Totals
    from agentsoc.log.read import RunLog


def ran_out(totals: Totals) -> bool:
    """Return whether the budget ended at least one episode: exit code 3."""
    return totals.stops.get("budget_exhausted", 0) > 0


def exit_code(totals: Totals) -> int:
    """Return how a finished run ends: 1 when calls failed and no episode got an answer, 3 by its budget, else 0."""
    if totals.episodes and not totals.answered and totals.calls_failed:
        return 1
    return 3 if ran_out(totals) else 0


def score_text(totals: Totals) -> str:
    """Return the score with its interval and number of tasks."""
    if totals.score is None or totals.score_ci95 is None:
        return "none: no episode has ended"
    low, high = totals.score_ci95
    tasks = "1 task" if totals.episodes == 1 else f"{totals.episodes:,} tasks"
    text = f"{totals.score:.3f}, 95 % between {low:.3f} and {high:.3f} (Wilson, {tasks})"
    silent = totals.episodes - totals.answered
    return text + (f"; {silent:,} without an answer" if silent else "")


def short_score_text(totals: Totals) -> str:
    """Return the same for the middle of a line."""
    if totals.score is None or totals.score_ci95 is None:
        return "none"
    low, high = totals.score_ci95
    tasks = "1 task" if totals.episodes == 1 else f"{totals.episodes:,} tasks"
    return f"{totals.score:.3f} [{low:.3f}, {high:.3f}] of {tasks}"


def tokens_text(totals: Totals) -> str:
    """Return the tokens by kind, beside the budget."""
    used = totals.tokens
    text = f"{used:,}: {totals.tokens_in:,} input ({totals.tokens_cached:,} cached), {totals.tokens_out:,} output"
    text += f", {totals.tokens_lost:,} lost"
    if totals.budget is not None:
        text += f"; budget {totals.budget:,}, {max(totals.budget - used, 0):,} unspent"
    if totals.tokens_overrun:
        text += f"; the provider overran its limits by {totals.tokens_overrun:,}"
    return text


def left_out_text(totals: Totals) -> str:
    """Return how many of the claims that agents were to read their prompts had no room for."""
    share = totals.claims_left_out / max(totals.claims_due, 1)
    return (
        f"{totals.claims_left_out:,} of {totals.claims_due:,} that agents were to read ({share:.1%}) were left out of "
        "prompts, for want of room in the window or the budget"
    )


def unanswered_text(calls: int) -> str:
    """Return how many calls had failed that no event tells of."""
    one = calls == 1
    return (
        f"{calls:,} call{'' if one else 's'} under way when the run ended had failed (infrastructure): "
        f"no event tells of {'it' if one else 'them'}, and resume makes {'it' if one else 'them'} again"
    )


def cost_text(manifest: Manifest) -> str | None:
    """Return what a run cost, beside its limit; None for one without prices."""
    totals, prices = manifest.totals, manifest.scenario.get("prices")
    if not prices:
        return None
    if totals.cost is None:
        return "unknown: a model has no price" if totals.episodes else "none yet"
    lost = totals.cost_lost or 0.0
    text = f"{totals.cost + lost:,.4f}: {totals.cost:,.4f} for calls of known usage, {lost:,.4f} lost"
    if totals.budget_cost is not None:
        text += f"; budget {totals.budget_cost:,.4f}, {max(totals.budget_cost - totals.cost - lost, 0.0):,.4f} unspent"
    return text


def all_right_or_wrong(directory: Path, manifest: Manifest) -> bool:
    """Return whether every answer of the society was scored 0 or 1, so that the mean score is an accuracy."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from agentsoc.errors import LogDamagedError
    from agentsoc.events import SOCIETY
    from agentsoc.log.read import RunLog

    try:
        for table in RunLog(directory).tables(("agent", "correct")):
            scores = table["correct"].filter(pc.equal(table["agent"], SOCIETY)).drop_null()
            if not pc.all(pc.is_in(scores, value_set=pa.array([0.0, 1.0])), min_count=0).as_py():
                return False
    except (OSError, pa.ArrowException, LogDamagedError):  # only a word depends on it; `check` is for damaged logs
        return False
    return True


def _prompt_lines(manifest: Manifest) -> list[str]:
    """Return how prompts were bounded, for runs under a ceiling: without one nothing depends on it."""
    found: dict[str, tuple[int, int]] = {}
    for one in manifest.prompt_bounds if manifest.scenario.get("budget") else ():
        bound, used = found.get(one.counted, (0, 0))
        found[one.counted] = bound + one.bound, used + one.used
    return [prompt_bounds_text(counted, bound, used) for counted, (bound, used) in found.items() if used]


def option_lines(log: RunLog) -> list[str]:
    """Return which option takes nearly all first answers of a group, a line each; nothing where none does."""
    from agentsoc.log.first_answers import one_options

    return [f"{'answers':<10}{line(one.text())}" for one in one_options(log)]


def cache_lines(log: RunLog) -> list[str]:
    """Return what the cache of replies spared a run, on one line; nothing for a run without one."""
    from agentsoc.log.cached import spared_by_cache

    spared = spared_by_cache(log)
    if spared is None:
        return []
    text = f"{spared.calls:,} calls answered, {spared.tokens:,} tokens, charged like all others"
    if spared.cost is not None:
        text += f"; {spared.cost:,.4f} of the cost was not paid"
    return [f"{'cache':<10}{text}"]


def manifest_lines(manifest: Manifest, score: str = "score") -> list[str]:
    """Return the facts about a run, one line each; reads nothing but the manifest."""
    totals = manifest.totals
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(totals.events_by_kind.items(), key=lambda k: -k[1]))
    stops = ", ".join(f"{count:,} {stop}" for stop, count in sorted(totals.stops.items(), key=lambda k: -k[1]))
    calls = f"{totals.calls:,} calls, {totals.calls_failed:,} failed, {totals.calls_lost:,} lost"
    if totals.failures:
        calls += " (failed turns: " + ", ".join(f"{n:,} {name}" for name, n in totals.failures.items()) + ")"
    if totals.budget_calls is not None:
        calls += f", budget {totals.budget_calls:,}"
    facts = [
        ("run", f"{manifest.name}, seed {manifest.seed}, {manifest.status}"),
        (score, score_text(totals)),
        ("tokens", tokens_text(totals)),
        *([] if (cost := cost_text(manifest)) is None else [("cost", cost)]),
        ("calls", f"{calls}; {totals.rounds:,} rounds, {totals.turns:,} turns"),
        *([("failed", unanswered_text(manifest.unanswered))] if manifest.unanswered else []),
        *([] if manifest.study is None else [("study", manifest.study.text())]),
        *([("claims", left_out_text(totals))] if totals.claims_left_out else []),
        *(("", text) for text in _prompt_lines(manifest)),
        ("events", f"{totals.events:,}" + (f": {kinds}" if kinds else "")),
        ("stops", stops or "no episode has ended"),
        ("digest", manifest.digest or "none: the run is not finished"),
    ]
    if manifest.fork is not None:
        fork = manifest.fork
        facts.append(("fork", f"of {fork.run} at task {fork.task}, round {fork.round}"))
    if manifest.error:
        facts.append(("error", line(manifest.error, 400)))
    reasons = manifest.not_reproducible
    same = "running again gives the same, with these versions on this kind of processor"
    facts.append(("", "running again may give otherwise:" if reasons else same))
    lines = [f"{name:<10}{line(text)}".rstrip() for name, text in facts]
    return lines + [f"{'':<10}- {line(reason)}" for reason in reasons]


PROSE: Final = (
    "a model that writes prose instead can be read: --set agents.*.reply=text (show ... --prompts has its words)"
)
"""What to do where replies hold no JSON object."""
_NO_JSON: Final = "malformed: it is not "


def failure_text(directory: Path, totals: Totals) -> str | None:
    """Return how many calls failed and the commonest cause, as the log has it; None when none did."""
    from collections import Counter

    import pyarrow as pa
    import pyarrow.compute as pc

    from agentsoc.errors import LogDamagedError
    from agentsoc.log.read import RunLog

    if not totals.calls_failed:
        return None
    causes: Counter[str] = Counter()
    try:
        for table in RunLog(directory).tables(("kind", "text")):
            failed = table["text"].filter(pc.equal(table["kind"].cast(pa.string()), "call_failed"))
            causes.update(text or "no cause is known" for text in failed.to_pylist())
    except (OSError, pa.ArrowException, LogDamagedError):  # only a word depends on it; `check` is for damaged logs
        return None
    if not causes:
        return None
    (cause, count), *others = causes.most_common(2)
    return f"{count:,} of {totals.calls_failed:,} failed calls{' (the commonest)' * bool(others)}: {line(cause, 200)}"


def summary_lines(directory: Path, manifest: Manifest, score: str = "score") -> list[str]:
    """Return the facts about a run, and why calls failed: the only thing for which the log is read."""
    facts = manifest_lines(manifest, score)
    cause = failure_text(directory, manifest.totals)
    if cause is not None:
        at = next(at for at, fact in enumerate(facts) if fact.startswith("calls "))
        facts[at + 1 : at + 1] = [f"{'failed':<10}{cause}", *([f"{'':<10}{PROSE}"] if _NO_JSON in cause else [])]
    return facts


def say_facts(facts: Sequence[str]) -> None:
    """Print facts, one line each; on a terminal folded below their beginning."""
    narrow, colours = is_folded(), is_coloured()
    for fact in facts:
        text = safe(folded(fact, width(), 10) if narrow else fact)
        loud = colours and fact.startswith(("failed ", "error "))
        print_safe(coloured(text, "bad" if loud else ""))


def next_lines(manifest: Manifest, directory: Path, code: Sequence[Path] = ()) -> list[str]:
    """Return the commands to go on with."""
    allowed = [word for path in code for word in ("--allow-code", path)]
    goes_on = [command("show", directory, "--task", 0)]
    if manifest.status == "finished":
        goes_on.append(command("replay", directory, *allowed))
    else:
        goes_on.append(command("resume", directory, *allowed))
    return [f"{'next:' if not at else '':<10}{words}" for at, words in enumerate(goes_on)]
