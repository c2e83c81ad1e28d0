"""This module is the page of an episode: its question, what every agent stood for round by round, and its claims.

The scrubber of a page goes over `rounds`; `standings` holds changes only, so what an agent stands for in a round is its
last standing up to there. `spoke` says between whom something went in each round.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
import polars as pl

from agentsoc.errors import InputError
from agentsoc.events import SCORED, SOCIETY
from analysis.viewer.pages.claims import EpisodeClaims, claim_graph
from analysis.viewer.pages.society import cited
from analysis.viewer.pages.store import OpenLog

QUESTION_CHARS: Final = 20_000

Stand = Literal["right", "wrong", "other", "unscored"]
"""What an agent stands for: the full score; the most frequent answer without it; another one without it; no score."""


class Standing(msgspec.Struct, frozen=True):
    """From this round on an agent stands for an answer."""

    round: int
    agent: int
    answer: str
    correct: float | None
    stand: Stand


class RoundLine(msgspec.Struct, frozen=True):
    """What happened in one round."""

    round: int
    acts: dict[str, int]
    """Events by kind."""
    speakers: list[int]
    """Agents that acted."""
    calls: int
    tokens_in: int
    tokens_out: int
    rewards: float | None
    """Sum of the rewards of its actions; None without any."""


class Spoke(msgspec.Struct, frozen=True):
    """In a round an agent built on, disputed or endorsed so many claims of another."""

    round: int
    author: int
    reader: int
    claims: int


class EpisodePage(msgspec.Struct, frozen=True):
    """What the page of an episode shows."""

    task: int
    tasks: int
    """Tasks of the log: the next and the one before can be gone to."""
    id: str | None
    question: str | None
    """None where it was not kept: it is made from the seed."""
    options: list[str]
    truth: str | None
    answer: str | None
    score: float | None
    stop: str | None
    """Why it ended; None while it goes on."""
    first_wrong: str | None
    """In words, who was wrong first; None where nobody was, or nothing is scored."""
    cited: list[tuple[int, int]]
    """Agents on whose claims others built most, and how often."""
    agents: list[int]
    rounds: list[RoundLine]
    standings: list[Standing]
    spoke: list[Spoke]
    claims: EpisodeClaims
    events: int


def episode_page(log: OpenLog, task: int) -> EpisodePage:
    """Return the page of one task.

    Raises:
        InputError: the log has no such task.
        LogDamagedError: the log is not what was written.
    """
    if not 0 <= task < max(log.tasks(), 1):
        raise InputError(f"the log has no task {task}", "task", f"it has {log.tasks():,}, from 0")
    rows = log.of_task(task)
    about = _about(log, task)
    ends = {row["kind"]: row for row in rows.filter(pl.col("kind").is_in(["answer", "stop"])).iter_rows(named=True)}
    answer, stop = ends.get("answer"), ends.get("stop")
    standings, spoke = _standings(rows), _spoke(rows)
    return EpisodePage(
        task=task,
        tasks=log.tasks(),
        id=about.get("id"),
        question=about.get("question"),
        options=[str(option) for option in about.get("options") or ()],
        truth=about.get("truth"),
        answer=None if answer is None else answer["answer"],
        score=None if answer is None else answer["correct"],
        stop=None if stop is None else stop["answer"],
        first_wrong=_first_wrong(standings),
        cited=cited([(one.author, one.reader, one.claims) for one in spoke]),
        agents=sorted(agent for agent in rows["agent"].unique().to_list() if agent != SOCIETY),
        rounds=_rounds(rows),
        standings=standings,
        spoke=spoke,
        claims=claim_graph(log, rows),
        events=rows.height,
    )


def _about(log: OpenLog, task: int) -> dict[str, Any]:
    """Return the question of a task and what belongs to it, as far as it was kept."""
    if log.run is None:
        assert log.table is not None
        row = log.table.executions.row(task, named=True)
        return {"id": row["task_name"], "question": None}
    rows = log.run.tasks()
    found = rows.row(task, named=True) if task < rows.height else {}
    question = found.get("question")
    return found | {"question": question[:QUESTION_CHARS] if question else None}


def _standings(rows: pl.DataFrame) -> list[Standing]:
    """Return each change of what an agent stands for: the answer of its last scored act of a round."""
    stated = rows.filter(
        pl.col("kind").is_in(list(SCORED)) & pl.col("answer").is_not_null() & (pl.col("agent") != SOCIETY)
    )
    wrong = stated.filter(pl.col("correct").is_not_null() & (pl.col("correct") < 1.0))["answer"].value_counts(sort=True)
    commonest = wrong["answer"][0] if wrong.height else None
    last: dict[int, str] = {}
    found: list[Standing] = []
    kept = stated.group_by("round", "agent", maintain_order=True).last()
    for row in kept.select("round", "agent", "answer", "correct").iter_rows(named=True):
        if last.get(row["agent"]) != row["answer"]:
            last[row["agent"]] = row["answer"]
            stand = _stand(row["answer"], row["correct"], commonest)
            found.append(Standing(row["round"], row["agent"], row["answer"], row["correct"], stand))
    return found


def _stand(answer: str, correct: float | None, commonest: str | None) -> Stand:
    if correct is None:
        return "unscored"
    if correct >= 1.0:
        return "right"
    return "wrong" if answer == commonest else "other"


def _first_wrong(standings: list[Standing]) -> str | None:
    first = next((one for one in standings if one.stand in ("wrong", "other")), None)
    if first is None:
        return None
    same = sorted(one.agent for one in standings if one.round == first.round and one.stand in ("wrong", "other"))
    who = f"agent {same[0]}" if len(same) == 1 else f"agents {', '.join(map(str, same[:8]))}"
    more = f" and {len(same) - 8} more" if len(same) > 8 else ""
    return f"{who}{more}, in round {first.round}"


def _rounds(rows: pl.DataFrame) -> list[RoundLine]:
    found = []
    for (round_,), part in rows.sort("round", maintain_order=True).group_by("round", maintain_order=True):
        acts = {str(kind or "other"): n for kind, n in part["kind"].value_counts(sort=True).iter_rows()}
        speakers = sorted(agent for agent in part["agent"].unique().to_list() if agent != SOCIETY)
        calls, tokens_in, tokens_out = (int(part[name].sum() or 0) for name in ("calls", "tokens_in", "tokens_out"))
        rewards = part["rewards"].drop_nulls()
        total = float(rewards.sum()) if rewards.len() else None
        found.append(RoundLine(int(str(round_)), acts, speakers, calls, tokens_in, tokens_out, total))
    return found


def _spoke(rows: pl.DataFrame) -> list[Spoke]:
    minted = rows.filter(pl.col("claim").is_not_null()).select("claim", pl.col("agent").alias("author"))
    used = rows.filter(pl.col("agent") != SOCIETY).select("round", "agent", "parents").explode("parents")
    pairs = used.join(minted, left_on="parents", right_on="claim", how="inner")
    counted = pairs.filter(pl.col("author") != pl.col("agent")).group_by("round", "author", "agent").len()
    return [Spoke(*row) for row in counted.sort("round", "author", "agent").iter_rows()]
