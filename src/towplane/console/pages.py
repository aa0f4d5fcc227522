"""The routes of the console: Now at `/`, its live stream, the sources of its numbers, the login.

It turns the admin port's desk into HTML and decides nothing. Laws: each page is whole without
script; a live stream ends with the plane, and there are at most `STREAMS` of them.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from urllib.parse import parse_qs

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from towplane.api.admin import Desk
from towplane.api.health import with_health
from towplane.api.security import COOKIE, SESSION_S, session_of
from towplane.api.views import UsageQuery, UsageRow
from towplane.console import charts, words
from towplane.console.sheet import WINDOWS, Look, Sheet, sheet
from towplane.console.sources import SOURCES
from towplane.parts.errors import PlaneError

__all__ = ["STREAMS", "pages"]

STREAMS = 16
"""Live pages at the same time; each costs one rendering every two seconds."""
SHADES = {
    "ready": "ready",
    "serving": "ready",
    "draining": "draining",
    "unused": "draining",
    "open": "open",
    "down": "down",
    "crash-loop": "down",
    "failed": "down",
}
"""Word of a state → the colour beside it; every other word is worth a look."""
SPEND_S = 5.0
"""How long the tenants' spend is kept before the ledger is asked again."""


def pages(desk: Desk) -> Sequence[BaseRoute]:
    """All routes of the console, to be mounted on the admin port."""
    console = _Console(desk)
    static = StaticFiles(directory=Path(str(files("towplane.console") / "static")))
    return [
        Route("/", console.now),
        Route("/now/events", console.events),
        Route("/sources", console.sources),
        Route("/login", console.login, methods=["GET"]),
        Route("/login", console.enter, methods=["POST"]),
        Route("/logout", console.leave, methods=["POST"]),
        Mount("/static", static),
    ]


class _Console:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._streams = 0
        self._spend: list[UsageRow] | None = None
        self._spend_asked = -SPEND_S
        self._templates = Environment(
            loader=PackageLoader("towplane.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(
            words=words,
            charts=charts,
            windows=WINDOWS,
            sources=SOURCES,
            shades=SHADES,
            needs_token=desk.gate.needs_token,
        )

    async def now(self, request: Request) -> Response:
        look = _look(request)
        return self._page("now.html", sheet=await self._sheet(look))

    async def events(self, request: Request) -> Response:
        if self._streams >= STREAMS:
            return PlainTextResponse(
                f"{STREAMS} live pages are open, which is the most there can be; close one",
                status_code=503,
                headers={"retry-after": "10"},
            )
        return StreamingResponse(self._fragments(_look(request)), media_type="text/event-stream")

    async def sources(self, _: Request) -> Response:
        status = self._desk.view.status()
        return self._page("sources.html", plane=status.plane)

    async def login(self, request: Request) -> Response:
        target = _local(request.query_params.get("next", "/"))
        return self._page("login.html", next=target, is_wrong=False)

    async def enter(self, request: Request) -> Response:
        fields = parse_qs((await request.body()).decode("utf-8", "replace"))
        target = _local(fields.get("next", ["/"])[0])
        if not self._desk.gate.fits(fields.get("token", [""])[0]):
            return self._page("login.html", status=401, next=target, is_wrong=True)
        answer = RedirectResponse(target, status_code=303)
        answer.set_cookie(
            COOKIE,
            self._desk.gate.open_session(),
            max_age=round(SESSION_S),
            httponly=True,
            samesite="strict",
            secure=request.scope["scheme"] == "https",
        )
        return answer

    async def leave(self, request: Request) -> Response:
        self._desk.gate.close_session(session_of(request.headers))
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(COOKIE)
        return answer

    async def _sheet(self, look: Look) -> Sheet:
        desk = self._desk
        return sheet(
            look,
            with_health(desk.view.status(), desk.pulse),
            desk.pulse.now(look.window),
            list(desk.pulse.trend),
            await self._spent(),
            datetime.fromtimestamp(desk.pulse.clock.wall(), UTC),
        )

    async def _spent(self) -> list[UsageRow] | None:
        """Spend of the month by tenant; the ledger is asked once in a while for all pages."""
        clock = self._desk.pulse.clock
        if clock.monotonic() - self._spend_asked < SPEND_S:
            return self._spend
        self._spend_asked = clock.monotonic()
        first = datetime.fromtimestamp(clock.wall(), UTC).date().replace(day=1)
        try:
            self._spend = await self._desk.view.tenancy.usage(UsageQuery(by="tenant", since=first))
        except PlaneError:
            self._spend = None
        return self._spend

    async def _fragments(self, look: Look) -> AsyncIterator[bytes]:
        self._streams += 1
        try:
            yield b"retry: 3000\n\n"
            async for _ in self._desk.pulse.beats():
                html = self._templates.get_template("sheet.html").render(
                    sheet=await self._sheet(look)
                )
                yield _event("now", html)
            yield _event("end", "the plane is going down")
        finally:
            self._streams -= 1

    def _page(self, template: str, *, status: int = 200, **values: object) -> Response:
        return HTMLResponse(self._templates.get_template(template).render(values), status)


def _look(request: Request) -> Look:
    """The view that the URL asks for; what makes no sense falls back to the default."""
    given = {k: v for k, v in request.query_params.items() if k in Look.__struct_fields__}
    try:
        return msgspec.convert(given, Look, strict=False)
    except msgspec.ValidationError:
        return Look(q=given.get("q", ""))


def _local(target: str) -> str:
    """A path of ours to go to after the login; never another site."""
    is_ours = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_ours else "/"


def _event(name: str, data: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in data.splitlines())
    return f"event: {name}\n{lines}\n".encode()
