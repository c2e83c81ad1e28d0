"""This module runs the episodes of a simulated society as columns, where it can, and adds up what they amount to."""

from __future__ import annotations

import asyncio
import contextlib

import numpy as np

from agentsoc.budget.account import rates_of
from agentsoc.engine.columns.compute import ColumnRun
from agentsoc.engine.columns.schedule import Programme, can_vectorise
from agentsoc.engine.inputs import RunTasks
from agentsoc.engine.loop import RunEngine
from agentsoc.errors import RunFailedError
from agentsoc.log.episodes import EpisodeRow
from agentsoc.log.segments import SegmentWriter
from agentsoc.scenario.prices import Rate
from agentsoc.society.build import BuiltSociety


def column_run(society: BuiltSociety, made: RunTasks | None = None) -> ColumnRun | None:
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
    wrong = np.argwhere(~((score >= 0.0) & (score <= 1.0)))  # no number is in no range: it must not reach a mean
    if len(wrong):
        at = int(wrong[0][0])
        raise RunFailedError(f"the verifier gave task {at} the score {score[at].max()}; a score is between 0 and 1")
    return ColumnRun(society, programme, first.options, truth, difficulty, score)


async def run_columns(columns: ColumnRun, engine: RunEngine, writer: SegmentWriter) -> None:
    """Compute all episodes, block by block, unless the run is asked to stop."""
    programme = columns.programme
    pool = engine.epochs[-1].pool
    budget = columns.society.scenario.budget
    ceiling = None if budget is None else budget.per_task(columns.society.scenario.tasks.count)
    rates = rates_of(engine.society)
    each = _each_episode(programme, ceiling, None if rates is None else rates[0])
    async with contextlib.aclosing(columns.run(pool.draw, ahead=pool.elsewhere)) as blocks:
        async for block in blocks:
            writer.add_table(block.table)
            engine.episodes.add_block(
                block.first,
                score=block.score,
                answer=block.answer,
                options=block.words,
                virtual_s=block.virtual_s,
                each=each,
            )
            engine.pace.episodes += block.n
            engine.pace.tokens += programme.tokens * block.n
            await asyncio.sleep(0)
            if engine.stopping:
                break


def _each_episode(programme: Programme, budget: int | None, rate: Rate | None) -> EpisodeRow:
    """Return what all episodes of a programme have in common."""
    tokens_in, tokens_out = int(programme.tokens_in.sum()), int(programme.tokens_out.sum())
    return EpisodeRow(
        task=-1,
        answered=True,
        stop="finished",
        events=programme.n_events,
        turns=programme.turns,
        rounds=programme.n_rounds,
        calls=programme.calls,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        broadcasts=programme.broadcasts,
        deliveries=programme.deliveries,
        budget=budget,
        charged=programme.tokens,
        cost=None if rate is None else rate.cost(tokens_in, 0, tokens_out, programme.calls),
        cost_lost=None if rate is None else 0,
    )
