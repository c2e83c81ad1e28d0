"""This module draws runs: score by task as a strip, tokens over rounds by what they went to, the society."""

from __future__ import annotations

import math
from typing import Final

from analysis.scales import AxisScale, scale
from analysis.viewer.charts.svg import Chart, FigureTable, SvgDrawing, colour, figure
from analysis.viewer.pages.run import RunPage, TaskScore
from analysis.viewer.pages.society import SocietyMap

WIDTH: Final = 680
_CELL: Final = 12
_CELLS_MAX: Final = 600
NODES_MAX: Final = 2_000
LINKS_MAX: Final = 3_000
_THICK_LINKS: Final = 150
"""Links up to which the widest are drawn thick; of more they would cover one another and the agents."""
_ROUNDS_MAX: Final = 60
_TABLE_ROWS: Final = 2_000


def strip_chart(page: RunPage) -> Chart | None:
    """Return the score of each task as a cell, in the order of tasks; of very many tasks, the mean of some in each."""
    scored = [one for one in page.tasks if one.score is not None]
    if not scored:
        return None
    step = -(-len(scored) // _CELLS_MAX)
    groups = [scored[at : at + step] for at in range(0, len(scored), step)]
    columns = int((WIDTH - 20) / _CELL)
    drawing = SvgDrawing(WIDTH, 16 + _CELL * -(-len(groups) // columns) + 26)
    for at, group in enumerate(groups):
        mean = math.fsum(one.score or 0.0 for one in group) / len(group)
        corner = (10.0 + _CELL * (at % columns), 10.0 + _CELL * (at // columns))
        drawing.box(corner, (_CELL - 2, _CELL - 2), "c2", hollow=True)
        share = min(max(mean, 0.0), 1.0)
        size = (_CELL - 2) * share
        words = f"{_task_name(group)}: {figure(mean)}"
        drawing.box((corner[0], corner[1] + _CELL - 2 - size), (_CELL - 2, size), "c1", note=words)
    bottom = drawing.height - 8
    drawing.box((10, bottom - 9), (10, 10), "c1")
    drawing.text(25, bottom, "full score", kind="muted")
    drawing.box((110, bottom - 9), (10, 10), "c2", hollow=True)
    drawing.text(125, bottom, "none; partly filled in between", kind="muted")
    shown = "one cell a task" if step == 1 else f"one cell for {step:,} tasks, their mean"
    of = "" if page.tasks_in_all == len(page.tasks) else f"; {len(page.tasks):,} of {page.tasks_in_all:,} tasks"
    rows = tuple((str(one.task), figure(one.score), one.answer or "-", one.stop) for one in scored[:_TABLE_ROWS])
    return drawing.chart(
        "Score by task", f"In the order of tasks, {shown}{of}.",
        FigureTable(("task", "score", "answer", "stop"), rows),
    )  # fmt: skip


def _task_name(group: list[TaskScore]) -> str:
    if len(group) == 1:
        return f"task {group[0].task}"
    return f"tasks {group[0].task} to {group[-1].task}"


def rounds_chart(page: RunPage) -> Chart | None:
    """Return the tokens of each round as a bar, stacked by the act that they went to; None where none were spent."""
    spent = {(row.round, row.act): row.tokens_in + row.tokens_out for row in page.by_round}
    spent = {key: tokens for key, tokens in spent.items() if tokens}
    if not spent:
        return None
    acts = list(dict.fromkeys(act for _, act in spent))
    last = max(round_ for round_, _ in spent)
    step = last // _ROUNDS_MAX + 1
    bars: dict[int, dict[str, int]] = {}
    for (round_, act), tokens in spent.items():
        bar = bars.setdefault(round_ // step, {})
        bar[act] = bar.get(act, 0) + tokens
    height, bottom, left = 300 + 18 * (len(acts) // 3 + 1), 250, 64
    drawing = SvgDrawing(WIDTH, height)
    up = scale([0.0, *(sum(bar.values()) for bar in bars.values())], bottom, 12)
    up = AxisScale(0.0, up.high, bottom, 12)
    n = last // step + 1
    wide = (WIDTH - left - 20) / n
    drawing.y_axis(up, left, WIDTH - 16, "tokens, all tasks")
    drawing.line((left, bottom), (WIDTH - 16, bottom), "muted")
    every = max(-(-n // 16), 1)
    for at in range(n):
        y = float(bottom)
        for act, tokens in bars.get(at, {}).items():
            tall = bottom - up(tokens)
            x, size = left + at * wide + wide * 0.1, (min(wide * 0.8, 60.0), tall)
            drawing.box(
                (x, y - tall), size, colour(acts.index(act)), note=f"round {at * step}, {act}: {tokens:,} tokens"
            )
            y -= tall
        if at % every == 0:
            middle = left + at * wide + wide * 0.1 + min(wide * 0.8, 60.0) / 2
            drawing.text(middle, bottom + 16, str(at * step), anchor="middle", kind="muted")
    drawing.text((left + WIDTH) / 2, bottom + 33, "round" if step == 1 else f"round, {step} in a bar", anchor="middle")
    for at, act in enumerate(acts):
        x, y = left + (at % 3) * 200, bottom + 54 + 18 * (at // 3)
        drawing.box((x, y - 9), (10, 10), colour(at))
        drawing.text(x + 15, y, act.replace("_", " "))
    rows = tuple(
        (str(row.round), row.act, f"{row.calls:,}", f"{row.tokens_in:,}", f"{row.tokens_out:,}")
        for row in page.by_round[:_TABLE_ROWS]
    )
    return drawing.chart(
        "Tokens over rounds", "Input and output together, by the first act that came of each turn.",
        FigureTable(("round", "act", "calls", "input", "output"), rows),
    )  # fmt: skip


def society_chart(society: SocietyMap) -> Chart | None:
    """Return agents as dots and links as lines, the wider the more went along them; None where they are not placed."""
    if not society.x or society.n > NODES_MAX:
        return None
    size, margin = 520.0, 34.0
    drawing = SvgDrawing(size, size)
    places = [
        (margin + x * (size - 2 * margin), margin + y * (size - 2 * margin))
        for x, y in zip(society.x, society.y, strict=True)
    ]
    links = sorted(society.links, key=lambda link: link.deliveries)[-LINKS_MAX:]
    most = max((link.deliveries for link in links), default=0)
    thick = min(4.4, 4.4 * _THICK_LINKS / max(len(links), 1))
    for link in links:
        width = 0.6 + thick * link.deliveries / most if most else 0.6
        drawing.line(places[link.speaker], places[link.hearer], "grid" if not link.deliveries else "c6", width=width)
    roles = list(dict.fromkeys(society.roles))
    radius = 12 if society.n <= 30 else 6 if society.n <= 150 else 3
    for agent, (x, y) in enumerate(places):
        role = society.roles[agent] if agent < len(society.roles) else "peer"
        kind = colour(roles.index(role)) if role in roles else "c1"
        drawing.dot(x, y, kind, radius=radius, note=f"agent {agent}, {role}")
        if society.n <= 30:
            drawing.text(x, y + 4, str(agent), anchor="middle", kind="paper")
    which = "who may address whom" if society.built else "whose claims others built on"
    width_is = "acts that could be heard" if society.built else "claims that were built on"
    rows = tuple((str(link.speaker), str(link.hearer), f"{link.deliveries:,}") for link in reversed(links))
    return drawing.chart(
        f"Society: {society.kind}, {society.n:,} agent{'' if society.n == 1 else 's'}",
        f"Lines are {which}, their width {width_is}; roles: {', '.join(roles[:8]) or 'not known'}.",
        FigureTable(("from", "to", width_is), rows[:_TABLE_ROWS]),
    )  # fmt: skip


def sparkline(values: list[float], title: str) -> Chart | None:
    """Return a small line without axes, for a cell of a table; None with fewer than two values."""
    known = [value for value in values if math.isfinite(value)]
    if len(known) < 2:
        return None
    drawing = SvgDrawing(120, 28)
    up = scale(known, 25, 3)
    step = 112 / (len(known) - 1)
    drawing.path([(4 + at * step, up(value)) for at, value in enumerate(known)], "c1")
    drawing.dot(4 + step * (len(known) - 1), up(known[-1]), "c1", radius=2.5)
    rows = tuple((str(at), figure(value)) for at, value in enumerate(known))
    said = f"From {figure(known[0])} to {figure(known[-1])}."
    return drawing.chart(title, said, FigureTable(("place", "value"), rows))
