"""This module puts the server together: the guard before files and answers, each answer in a thread of few."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from agentsoc.errors import AgentsocError, InputError, LogDamagedError
from analysis.viewer.charts.escape import visible
from analysis.viewer.server import answers, lists
from analysis.viewer.server.assets import assets
from analysis.viewer.server.guard import Guard, Keys
from analysis.viewer.server.places import Means, ViewedPlaces

THREADS: Final = 4
"""Answers that are made at once."""
ANSWERS: Final[dict[str, answers.Answer]] = {
    "runs": lists.runs,
    "results": lists.results,
    "result": lists.result,
    "compare": lists.compare,
    "run": answers.run,
    "rounds": answers.rounds,
    "society": answers.society,
    "cited": answers.cited_most,
    "tasks": answers.tasks,
    "episode": answers.episode,
    "transcript": answers.transcript,
    "events": answers.events,
    "state": answers.state,
    "replay": answers.replay,
}
"""What can be asked, by the last part of the path."""

Endpoint = Callable[[Request], Awaitable[Response]]


def make_app(root: Path, means: Means, keys: Keys, hosts: frozenset[str]) -> ASGIApp:
    """Return the server of what is below `root`; see `Guard` for `keys` and `hosts`."""
    places = ViewedPlaces(root, means)
    limiter = anyio.CapacityLimiter(THREADS)
    routes = [Route(path, _file(*found)) for path, found in assets().items()]
    routes += [Route(f"/data/{name}", _answer(answer, places, limiter)) for name, answer in ANSWERS.items()]
    routes.append(Route("/favicon.ico", _nothing))
    return Guard(Starlette(routes=routes), keys, hosts)


def _file(content: bytes, kind: str) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return Response(content, media_type=kind)

    return endpoint


async def _nothing(request: Request) -> Response:
    return Response(status_code=204)


def _answer(answer: answers.Answer, places: ViewedPlaces, limiter: anyio.CapacityLimiter) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        asked = dict(request.query_params)
        data, status = await anyio.to_thread.run_sync(
            functools.partial(answered, answer, places, asked), limiter=limiter, abandon_on_cancel=False
        )
        return Response(msgspec.json.encode(data), status, media_type="application/json")

    return endpoint


def answered(answer: answers.Answer, places: ViewedPlaces, asked: answers.Asked) -> tuple[Any, int]:
    """Return an answer, or what is said in its place, with the status of either."""
    try:
        return answer(places, asked), 200
    except InputError as error:
        return _told(error), 404
    except LogDamagedError as error:
        return _told(error), 409
    except AgentsocError as error:
        return _told(error), 500


def _told(error: AgentsocError) -> dict[str, str]:
    what, _, hint = str(error).partition("\n")
    return {"error": visible(what, 1_000), "hint": visible(hint.strip(), 1_000)}
