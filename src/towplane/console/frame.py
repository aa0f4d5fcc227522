"""What all pages share: templates, the bar with the rooms, and live streams.

It knows no page. Laws: a live stream ends with the plane, and there are at most `STREAMS` of them;
a page is escaped unless its template says otherwise, and none does.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from towplane.api.admin import Desk
from towplane.console import charts, words
from towplane.console.sources import SOURCES
from towplane.parts.errors import CODES, PlaneError

__all__ = ["ROOMS", "STREAMS", "Frame", "Handler", "Room"]

Handler = Callable[[Request], Awaitable[Response]]

STREAMS = 16
"""Live pages at the same time; each costs one rendering every two seconds."""
SHADES = {
    "ready": "ready",
    "active": "ready",
    "serving": "ready",
    "draining": "draining",
    "unused": "draining",
    "open": "open",
    "parked": "open",
    "down": "down",
    "missing": "down",
    "revoked": "down",
    "over": "down",
    "crash-loop": "down",
    "failed": "down",
}
"""Word of a state → the colour beside it; every other word is worth a look."""


class Room(NamedTuple):
    """One page that the bar leads to."""

    path: str
    title: str


ROOMS = (
    Room("/", "Now"),
    Room("/tenants", "Tenants"),
    Room("/keys", "Keys"),
    Room("/usage", "Usage"),
    Room("/providers", "Providers"),
    Room("/routing", "Routing"),
)


class Frame:
    """Renders pages, whole or live."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._streams = 0
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
            sources=SOURCES,
            shades=SHADES,
            rooms=ROOMS,
            needs_token=desk.gate.needs_token,
        )

    def route(
        self, path: str, handle: Handler, *, method: Literal["GET", "POST"] = "GET"
    ) -> BaseRoute:
        """A page; what is refused is said in words on a page of its own."""

        async def guarded(request: Request) -> Response:
            try:
                return await handle(request)
            except PlaneError as error:
                back = path if method == "GET" else path.partition("/{")[0]
                values = {"error": error, "back": "/" if "{" in back else back}
                return self.page("trouble.html", status=CODES[error.code][0], **values)

        return Route(path, guarded, methods=[method])

    def at(self) -> datetime:
        """The moment of a page."""
        return datetime.fromtimestamp(self.desk.pulse.clock.wall(), UTC)

    def page(self, template: str, *, status: int = 200, **values: object) -> Response:
        """A whole page; `plane` says whose it is, unless a value does."""
        if "plane" not in values:
            values["plane"] = self.desk.view.status()
        return HTMLResponse(self.render(template, **values), status)

    def bare(self, template: str, *, status: int = 200, **values: object) -> Response:
        """A page for somebody who has not come in yet: it says nothing of the plane."""
        return HTMLResponse(self.render(template, **values), status)

    def render(self, template: str, **values: object) -> str:
        """The HTML of a template."""
        return self._templates.get_template(template).render(values)

    def live(self, render: Callable[[], Awaitable[str]]) -> Response:
        """A stream of what a page shows, anew with each look of the pulse."""
        if self._streams >= STREAMS:
            return PlainTextResponse(
                f"{STREAMS} live pages are open, which is the most there can be; close one",
                status_code=503,
                headers={"retry-after": "10"},
            )
        return StreamingResponse(self._fragments(render), media_type="text/event-stream")

    async def _fragments(self, render: Callable[[], Awaitable[str]]) -> AsyncIterator[bytes]:
        self._streams += 1
        try:
            yield b"retry: 3000\n\n"
            async for _ in self.desk.pulse.beats():
                yield _event("now", await render())
            yield _event("end", "the plane is going down")
        finally:
            self._streams -= 1


def _event(name: str, data: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in data.splitlines())
    return f"event: {name}\n{lines}\n".encode()
