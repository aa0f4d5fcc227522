"""Pages of a fake plane, for laws: got without a browser and taken apart."""

import re
from html.parser import HTMLParser

import httpx

from towplane.api.admin import Desk, admin_app
from towplane.api.pulse import Pulse
from towplane.api.security import Gate
from towplane.console.pages import pages
from towplane.parts.clock import Clock
from towplane.testing.clock import FakeClock
from towplane.testing.views import START, FakePlaneView

__all__ = ["FakeConsole", "Page"]

VOID = {"meta", "link", "input", "br", "path", "polyline", "polygon", "circle", "rect"}


class Page(HTMLParser):
    """A page taken apart: its text, its links, its ids; fails on tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.links: list[str] = []
        self.ids: list[str] = []
        self.attributes: set[str] = set()
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the page refers to."""
        if tag not in VOID:
            self._open.append(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name in ("href", "src", "action") and value is not None:
                self.links.append(value)
            if name == "id" and value is not None:
                self.ids.append(value)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """As `<path …/>`."""
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """Tags close in the order in which they were opened."""
        assert self._open.pop() == tag
        if tag in ("td", "th", "option"):
            self.text += " "

    def handle_data(self, data: str) -> None:
        """Text, scripts aside (there are none in the page)."""
        self.text += data


class FakeConsole:
    """A fake plane behind its pages, at a known time."""

    def __init__(self) -> None:
        self.view = FakePlaneView()
        self.time = FakeClock(wall_s=START.timestamp())
        pulse = Pulse(self.view, Clock(self.time.monotonic, self.time.wall))
        self.desk = Desk(self.view, pulse, Gate(None, self.time.monotonic))
        self.app = admin_app(self.desk, pages(self.desk))

    async def run(self, beats: int) -> None:
        """Serve traffic for a while."""
        for beat in range(beats):
            self.view.serve_traffic(beat)
            await self.desk.pulse.look()
            self.time.advance(2.0)

    async def rest(self) -> None:
        """Look a few times while nothing happens."""
        for _ in range(4):
            await self.desk.pulse.look()
            self.time.advance(2.0)

    async def get(self, path: str) -> httpx.Response:
        """The answer, as a browser without script gets it."""
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path)

    async def html(self, path: str = "/") -> str:
        """The page, which must be there."""
        answer = await self.get(path)
        assert answer.status_code == 200
        return answer.text
