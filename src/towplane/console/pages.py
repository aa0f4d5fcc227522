"""The routes of the console: Now at `/`, its live stream, the sources of its numbers, the login,
and the rooms that stand in files of their own.

It turns the admin port's desk into HTML and decides nothing. Law: each page is whole without
script.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from towplane.api.admin import Desk
from towplane.api.health import with_health
from towplane.api.security import COOKIE, SESSION_S, session_of
from towplane.api.tenant_views import UsageQuery
from towplane.console.forms import Forms
from towplane.console.frame import STREAMS, Frame
from towplane.console.keys import key_pages
from towplane.console.look import read_view
from towplane.console.providers import provider_pages
from towplane.console.routing import routing_pages
from towplane.console.sheet import WINDOWS, Look, Sheet, sheet
from towplane.console.tenants import tenant_pages
from towplane.console.usage import usage_pages
from towplane.parts.errors import PlaneError
from towplane.tenants.ledger import UsageRow

__all__ = ["STREAMS", "pages"]

SPEND_S = 5.0
"""How long the tenants' spend is kept before the ledger is asked again."""


def pages(desk: Desk) -> Sequence[BaseRoute]:
    """All routes of the console, to be mounted on the admin port."""
    frame = Frame(desk)
    now, door = _Now(frame), _Door(frame)
    forms = Forms()
    static = StaticFiles(directory=Path(str(files("towplane.console") / "static")))
    return [
        Route("/", now.page),
        Route("/live/now", now.events),
        Route("/sources", now.sources),
        *tenant_pages(frame),
        *key_pages(frame, forms),
        *usage_pages(frame),
        *provider_pages(frame),
        *routing_pages(frame),
        Route("/login", door.login, methods=["GET"]),
        Route("/login", door.enter, methods=["POST"]),
        Route("/logout", door.leave, methods=["POST"]),
        Mount("/static", static),
    ]


class _Now:
    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._desk = frame.desk
        self._spend: list[UsageRow] | None = None
        self._spend_asked = -SPEND_S

    async def page(self, request: Request) -> Response:
        shown = await self._sheet(read_view(Look, request.query_params))
        return self._frame.page("now.html", sheet=shown, plane=shown.status, windows=WINDOWS)

    async def events(self, request: Request) -> Response:
        look = read_view(Look, request.query_params)

        async def render() -> str:
            return self._frame.render("sheet.html", sheet=await self._sheet(look))

        return self._frame.live(render)

    async def sources(self, _: Request) -> Response:
        return self._frame.page("sources.html")

    async def _sheet(self, look: Look) -> Sheet:
        desk = self._desk
        return sheet(
            look,
            with_health(desk.view.status(), desk.pulse),
            desk.pulse.now(look.window),
            list(desk.pulse.trend),
            await self._spent(),
            self._frame.at(),
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


class _Door:
    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._gate = frame.desk.gate

    async def login(self, request: Request) -> Response:
        target = _local(request.query_params.get("next", "/"))
        return self._frame.bare("login.html", next=target, is_wrong=False)

    async def enter(self, request: Request) -> Response:
        fields = parse_qs((await request.body()).decode("utf-8", "replace"))
        target = _local(fields.get("next", ["/"])[0])
        if not self._gate.fits(fields.get("token", [""])[0]):
            return self._frame.bare("login.html", status=401, next=target, is_wrong=True)
        answer = RedirectResponse(target, status_code=303)
        answer.set_cookie(
            COOKIE,
            self._gate.open_session(),
            max_age=round(SESSION_S),
            httponly=True,
            samesite="strict",
            secure=request.scope["scheme"] == "https",
        )
        return answer

    async def leave(self, request: Request) -> Response:
        self._gate.close_session(session_of(request.headers))
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(COOKIE)
        return answer


def _local(target: str) -> str:
    """A path of ours to go to after the login; never another site."""
    is_ours = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_ours else "/"
