"""Asks engines for their pages of metrics, in the plane process, and tells workers what they say.

Each server has a task of its own, with its own deadline and its own moments, so that one that hangs
keeps nobody waiting and a thousand are not asked at once. What is not heard is not told: workers
see the last news grow old and take it for unknown. No worker imports this.

The law: a target is asked while the snapshot says that it is ready and has a page, and not else.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

import httptools

from towplane.engines.signals import TABLES, Reading, read_page
from towplane.gateway.dial import Dialer, forwarding
from towplane.gateway.messages import EgressInfo, Observed, SignalsAt, TargetInfo
from towplane.parts.clock import Now
from towplane.parts.errors import Unavailable
from towplane.routing.signals import Signals

__all__ = ["Scraper", "Source", "fetch_page", "sources_of"]

_log = logging.getLogger("towplane.gateway")

_MOST_BYTES = 8 * 1024 * 1024
"""vLLM's page has some 100 KB; what is longer than this is no page of metrics."""
_MISSED_FOR_LIFE = 3
"""So many intervals without news, and the time that the last question may have taken, make the news
too old to be believed."""


class Source(NamedTuple):
    """One server's page."""

    host: str
    port: int
    is_tls: bool
    egress: EgressInfo
    at: SignalsAt
    headers: tuple[tuple[str, str], ...] = ()
    """A credential of its targets, where they have one: some servers show the page only then."""


Fetch = Callable[[Source], Awaitable[bytes | None]]


class Scraper:
    """All servers that are asked. Life: construct → hold, again and again → stop."""

    def __init__(
        self,
        tell: Callable[[Observed], None],
        *,
        now: Now,
        fetch: Fetch | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._tell = tell
        self._now = now
        self._fetch = fetch or fetch_page
        self._sleep = sleep
        self._dice = dice
        self._names: dict[Source, tuple[str, ...]] = {}
        self._tasks: dict[Source, asyncio.Task[None]] = {}
        self._is_over = False

    def hold(self, targets: Iterable[TargetInfo]) -> None:
        """Ask these from now on, and no others."""
        if self._is_over:
            return
        self._names = sources_of(targets)
        for gone in self._tasks.keys() - self._names.keys():
            self._tasks.pop(gone).cancel()
        for new in self._names.keys() - self._tasks.keys():
            task = asyncio.get_running_loop().create_task(self._ask(new))
            self._tasks[new] = task

    async def stop(self) -> None:
        """Ask nobody any more."""
        self._is_over = True
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, source: Source) -> None:
        """For ever: a question, the news, a pause that is never the same."""
        every_s, table = source.at.every_s, TABLES[source.at.engine]
        was_heard = True
        await self._sleep(every_s * self._dice())
        while True:
            asked_at = self._now()
            page = await self._fetch(source)
            if page is not None:
                signals = _signals(read_page(table, page), source.at)
                age_s = self._now() - asked_at
                names = self._names.get(source, ())
                self._tell(Observed([(name, signals, age_s) for name in names]))
            if was_heard != (page is not None):
                was_heard = page is not None
                _log.warning(
                    "%s:%d%s: %s", source.host, source.port, source.at.path,
                    "its metrics are heard again" if was_heard else "its metrics are not heard",
                )  # fmt: skip
            await self._sleep(every_s * (0.9 + 0.2 * self._dice()))


def sources_of(targets: Iterable[TargetInfo]) -> dict[Source, tuple[str, ...]]:
    """The pages to be read, and the targets that each speaks for: models of one server share it."""
    found: dict[Source, tuple[str, ...]] = {}
    for info in targets:
        if info.signals is None or info.state != "ready" or info.signals.engine not in TABLES:
            continue
        headers = info.credentials[0].headers if info.credentials else ()
        source = Source(info.host, info.port, info.tls, info.egress, info.signals, headers)
        found[source] = (*found.get(source, ()), info.name)
    return found


async def fetch_page(source: Source) -> bytes | None:
    """The page; None: not reached, not in time, or not a page. One connection for each question:
    it is for news, not for traffic."""
    try:
        async with asyncio.timeout(source.at.timeout_s):
            loop = asyncio.get_running_loop()
            dialer = Dialer(source.host, source.port, source.is_tls, source.egress)
            page = await dialer.dial(loop, lambda: _Page(loop.create_future()))
            page.ask(_request(source))
            try:
                return await page.whole
            finally:
                page.close()
    except (OSError, TimeoutError, Unavailable):
        return None


def _signals(said: Reading, at: SignalsAt) -> Signals:
    return Signals(
        said.running,
        said.waiting,
        said.kv_used,
        said.hit_rate,
        said.heartbeat,
        frozenset(said.adapters) if said.adapters is not None else None,
        frozenset(said.adapters_waiting) if said.adapters_waiting is not None else None,
        said.adapters_most,
        fresh_s=_MISSED_FOR_LIFE * at.every_s + at.timeout_s,
    )


def _request(source: Source) -> bytes:
    host = f"[{source.host}]" if ":" in source.host else source.host
    host = host if source.port == (443 if source.is_tls else 80) else f"{host}:{source.port}"
    proxy = forwarding(host, source.is_tls, source.egress)
    lines = "".join(f"{name}: {value}\r\n" for name, value in source.headers)
    return (
        f"GET {proxy.prefix}{source.at.path} HTTP/1.1\r\nhost: {host}\r\n{lines}{proxy.header}"
        "accept: text/plain\r\naccept-encoding: identity\r\nuser-agent: towplane\r\n"
        "connection: close\r\n\r\n"
    ).encode("latin-1")


class _Page(asyncio.Protocol):
    """Collects one answer."""

    def __init__(self, whole: "asyncio.Future[bytes | None]") -> None:
        self.whole = whole
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._length = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's own class

    def ask(self, request: bytes) -> None:
        assert self._transport is not None
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._end(None)
        if self._length > _MOST_BYTES:
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._end(None)

    def on_body(self, body: bytes) -> None:
        self._length += len(body)
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        is_page = self._parser.get_status_code() == 200
        self._end(b"".join(self._pieces) if is_page else None)

    def _end(self, page: bytes | None) -> None:
        if not self.whole.done():
            self.whole.set_result(page)
