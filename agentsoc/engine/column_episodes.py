"""The episodes of a simulated society as columns: when a run goes that way, and what it adds up to."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import numpy as np

from agentsoc.budget.account import rates_of
from agentsoc.engine.columns import ColumnRun, Programme, can_vectorise
from agentsoc.engine.inputs import RunTasks
from agentsoc.engine.loop import Engine
from agentsoc.log.episodes import EpisodeRow
from agentsoc.log.manifest import Totals
from agentsoc.log.segments import SegmentWriter
from agentsoc.scenario.prices import money
from agentsoc.society.build import Society


def column_run(society: Society, made: RunTasks | None = None) -> ColumnRun | None:
    """Return the column execution of a simulated society, or None when it has to go turn by turn.

    Args:
        society: the society.
        made: its tasks, where they are made already.
    """
    scenario = society.scenario
    family = scenario.tasks
    first = family.make(scenario.tasks_seed, 0)
    programme = can_vectorise(society, None, first.options)
    if programme is None:
        return None
    made = made or RunTasks(scenario)
    if made.columns is not None:
        truth, difficulty = made.columns
        return ColumnRun(society, programme, first.options, truth, difficulty, None)
    tasks = made.tasks
    if any(task.options != first.options for task in tasks):
        return None
    code = {option: index for index, option in enumerate(first.options)}
    truth = np.array([code[task.truth] for task in tasks])
    known = all(task.difficulty is not None for task in tasks)
    difficulty = np.array([task.difficulty for task in tasks], dtype=float) if known else None
    score = np.array([[family.score(task, option) for option in first.options] for task in tasks])
    return ColumnRun(society, programme, first.options, truth, difficulty, score)


async def run_columns(columns: ColumnRun, engine: Engine, writer: SegmentWriter) -> Totals:
    """Compute all episodes, block by block; return the totals."""
    programme, totals = columns.programme, engine.totals
    pool = engine.sides[-1].pool
    budget = columns.society.scenario.budget
    ceiling = None if budget is None else budget.per_task(columns.society.scenario.tasks.count)
    each = _each_episode(programme, ceiling)
    kinds: dict[str, int] = {}
    scores: list[np.ndarray[Any, Any]] = []
    async with contextlib.aclosing(columns.run(pool.draw, ahead=pool.elsewhere)) as blocks:
        async for block in blocks:
            writer.add_table(block.table)
            for kind, count in block.kinds.items():
                kinds[kind] = kinds.get(kind, 0) + count
            scores.append(block.score)
            engine.episodes.add_block(
                block.first,
                score=block.score,
                answer=block.answer,
                options=block.words,
                virtual_s=block.virtual_s,
                each=each,
            )
            n = block.n
            totals.episodes += n
            totals.answered += n
            totals.rounds += programme.n_rounds * n
            totals.turns += programme.turns * n
            totals.calls += programme.calls * n
            totals.deliveries += programme.deliveries * n
            totals.broadcasts += programme.broadcasts * n
            totals.tokens_in += int(programme.tokens_in.sum()) * n
            totals.tokens_out += int(programme.tokens_out.sum()) * n
            totals.virtual_s += float(block.virtual_s.sum())
            totals.events += n * programme.n_events
            await asyncio.sleep(0)
            if engine.stopping:
                break
    rates = rates_of(engine.society)
    if rates is not None:
        totals.cost = money(rates[0].cost(totals.tokens_in, 0, totals.tokens_out, totals.calls))
        totals.cost_lost = 0.0
    totals.events_by_kind = dict(sorted(kinds.items()))
    totals.stops = {"finished": totals.episodes} if totals.episodes else {}
    if scores:
        totals.score = float(np.concatenate(scores).sum() / totals.episodes)
    return totals


def _each_episode(programme: Programme, budget: int | None) -> EpisodeRow:
    """Return what all episodes of a programme have in common."""
    return EpisodeRow(
        task=-1,
        answered=True,
        stop="finished",
        events=programme.n_events,
        turns=programme.turns,
        rounds=programme.n_rounds,
        calls=programme.calls,
        tokens_in=int(programme.tokens_in.sum()),
        tokens_out=int(programme.tokens_out.sum()),
        broadcasts=programme.broadcasts,
        deliveries=programme.deliveries,
        budget=budget,
        charged=programme.tokens,
    )
