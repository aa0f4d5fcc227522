"""The application of the admin port: metrics, health, `/api/v1`, and the pages given to it.

It composes what the other files of this folder make. It knows no plane but through `PlaneView` and
no page at all: the console's routes are passed in.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from towplane.api.endpoints import ENDPOINTS, Call, Endpoint
from towplane.api.errors import answer_error, answer_fault, answer_http
from towplane.api.openapi import BASE, openapi
from towplane.api.processes import process_samples
from towplane.api.pulse import Pulse
from towplane.api.readiness import readiness
from towplane.api.security import Gate, Guard
from towplane.api.signals import signals
from towplane.api.tenant_views import Download
from towplane.api.views import PlaneView
from towplane.monitoring.exposition import render
from towplane.monitoring.merge import merge
from towplane.parts.errors import BadRequest, PlaneError

__all__ = ["Desk", "admin_app"]

_PIECE_BYTES = 64 * 1024
_Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Desk:
    """What every handler of the admin port reads."""

    view: PlaneView
    pulse: Pulse
    gate: Gate


def admin_app(desk: Desk, pages: Sequence[BaseRoute] = ()) -> ASGIApp:
    """The whole admin port as one ASGI application."""
    app = Starlette(
        routes=[
            Route("/metrics", _metrics(desk)),
            Route("/livez", _livez),
            Route("/readyz", _readyz(desk)),
            Route(f"{BASE}/openapi.json", _openapi(desk)),
            *(
                Route(_pattern(endpoint), _endpoint(desk, endpoint), methods=[endpoint.method])
                for endpoint in ENDPOINTS
            ),
            *pages,
        ],
        exception_handlers={
            PlaneError: answer_error,
            HTTPException: answer_http,
            Exception: answer_fault,
        },
    )
    return Guard(app, desk.gate)


def _pattern(endpoint: Endpoint) -> str:
    """The name of a model may hold `/`."""
    return BASE + endpoint.path.replace("{model}", "{model:path}")


def _metrics(desk: Desk) -> _Handler:
    async def metrics(request: Request) -> Response:
        status = desk.view.status()
        own = signals(status) + process_samples(status)
        samples = merge([await desk.view.samples(), own])
        body, content_type = render(samples, request.headers.get("accept", ""))
        return Response(body, media_type=None, headers={"content-type": content_type})

    return metrics


async def _livez(_: Request) -> Response:
    # That the loop comes round to answer is the whole of it.
    return _answer({"live": True})


def _readyz(desk: Desk) -> _Handler:
    async def readyz(_: Request) -> Response:
        found = readiness(desk.view.status())
        return _answer(found, status=200 if found.ready else 503)

    return readyz


def _openapi(desk: Desk) -> _Handler:
    async def describe(_: Request) -> Response:
        return _answer(openapi(desk.view.status().version))

    return describe


def _endpoint(desk: Desk, endpoint: Endpoint) -> _Handler:
    async def handle(request: Request) -> Response:
        call = Call(
            desk.view,
            desk.pulse,
            path=dict(request.path_params),
            query=_query(request, endpoint.query),
            body=await _body(request, endpoint.body),
        )
        answer = await endpoint.handle(call)
        if isinstance(answer, Download):
            return _download(answer)
        return _answer(answer, status=endpoint.status)

    return handle


def _download(answer: Download) -> Response:
    """A file, in pieces; closed when it is sent or the client has left."""

    async def pieces() -> AsyncIterator[bytes]:
        with answer.file as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece

    return StreamingResponse(
        pieces(),
        media_type=answer.media_type,
        headers={"content-disposition": f'attachment; filename="{answer.name}"'},
    )


def _query(request: Request, kind: type[Struct] | None) -> Struct | None:
    given = dict(request.query_params)
    if kind is None:
        if given:
            raise BadRequest(f"this takes no parameters, {next(iter(given))} least of all")
        return None
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _bad(error) from error


async def _body(request: Request, kind: type[Struct] | None) -> Struct | None:
    if kind is None:
        return None
    # A form of another page can send anything but this type without asking first.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise BadRequest("the body must be JSON", next_step="send `Content-Type: application/json`")
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise _bad(error) from error


def _bad(error: msgspec.DecodeError | msgspec.ValidationError) -> BadRequest:
    return BadRequest(str(error), next_step=f"see {BASE}/openapi.json for what it takes")


def _answer(value: Any, *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")
