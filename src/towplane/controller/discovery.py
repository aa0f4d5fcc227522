"""The addresses behind providers that have many: a task for each source, and what it has said.

It follows the document: a changed section opens its source anew and keeps the addresses until the
first answer. What came of answers and of time is folded by `routing.discovery.standing`. It does
not know targets' names; it asks `in_flight` how much still runs at an address that is gone.

The law: a source that fails, or cannot even be opened, harms no other one and no request.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

from towplane.document.plane import Plane
from towplane.parts.clock import Clock
from towplane.parts.errors import PlaneError
from towplane.providers.discover import Discover
from towplane.providers.endpoints import endpoint_of
from towplane.providers.spec import OpenAICompatibleSpec
from towplane.routing.discovery.address import Address
from towplane.routing.discovery.standing import Standing
from towplane.targets.discovery.source import LONGEST_PAUSE_S, Source
from towplane.targets.discovery.sources import open_source

__all__ = ["Discovery"]

LOOK_S = 1.0
"""How often time is looked at: addresses that drain, answers that grow old."""
FIRST_S = 5.0
"""A plane that starts waits so long for the first answers, then serves with what came."""

_log = logging.getLogger("towplane.discovery")

InFlight = Callable[[str, Address], int]
Open = Callable[[Discover, int, Callable[[str], str]], Source]


class Discovery:
    """Life: construct → start → (documents) → stop; used on a running loop."""

    def __init__(
        self,
        plane: Plane,
        on_change: Callable[[], None],
        reveal: Callable[[str], str],
        *,
        in_flight: InFlight = lambda _provider, _address: 0,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        open_source: Open = open_source,
    ) -> None:
        self._on_change, self._reveal, self._in_flight = on_change, reveal, in_flight
        self._clock = clock or Clock()
        self._sleep, self._open = sleep, open_source
        self._followed: dict[str, _Followed] = {}
        self._looking: asyncio.Task[None] | None = None
        self._plane = plane

    async def start(self) -> None:
        """Open every source; returns when each has said something, or after `FIRST_S`."""
        self._looking = asyncio.get_running_loop().create_task(self._look())
        await self.hold(self._plane)

    async def hold(self, plane: Plane) -> None:
        """Follow the sources of this document. Returns when new ones have said something, or after
        `FIRST_S`; those that are no longer wanted go only then."""
        wanted = {name: asked for name, spec in plane.providers.items() if (asked := _asked(spec))}
        first = []
        for name, asked in wanted.items():
            old = self._followed.get(name)
            if old is not None and old.asked == asked:
                continue
            standing = Standing()
            if old is not None:
                old.stop()
                standing = old.standing
            self._followed[name] = self._follow(name, asked, standing)
            first.append(self._followed[name].said.wait())
        if first:
            try:
                async with asyncio.timeout(FIRST_S):
                    await asyncio.gather(*first)
            except TimeoutError:
                _log.warning("not every source of addresses has answered yet")
        for name in self._followed.keys() - wanted.keys():
            self._followed.pop(name).stop()

    async def stop(self) -> None:
        """End every task."""
        tasks = [each.stop() for each in self._followed.values()]
        if self._looking is not None:
            self._looking.cancel()
            tasks.append(self._looking)
        self._followed.clear()
        await asyncio.gather(*tasks, return_exceptions=True)

    def addresses(self) -> dict[str, tuple[Address, ...]]:
        """By provider, those that are named and those that drain."""
        return {name: each.standing.addresses for name, each in self._followed.items()}

    def standings(self) -> Mapping[str, tuple[str, Standing]]:
        """By provider, its source in words and how it stands."""
        return {name: (each.source, each.standing) for name, each in self._followed.items()}

    def look(self) -> None:
        """Let time have its effect."""
        now = self._clock.monotonic()
        for each in self._followed.values():
            standing = each.standing.at(now, each.asked[0].keep_s)
            self._take(each, standing.released(partial(self._in_flight, each.name), now))

    def _follow(self, name: str, asked: "Asked", standing: Standing) -> "_Followed":
        followed = _Followed(name, asked, standing)
        spec, port = asked
        followed.task = asyncio.get_running_loop().create_task(self._run(followed, spec, port))
        followed.task.add_done_callback(partial(self._ended, followed))
        return followed

    def _ended(self, followed: "_Followed", task: asyncio.Task[None]) -> None:
        # Requests go on to what is known, but nobody hears of changes: that has to be seen.
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.critical("%s: it is not followed any more", followed.say, exc_info=error)
            self.failed(followed, f"it is not followed any more: {error}; restart the plane")

    async def _run(self, followed: "_Followed", spec: Discover, port: int) -> None:
        listener = _Listener(self, followed)
        while True:
            try:
                source = self._open(spec, port, self._reveal)
                followed.source = source.name
                await source.follow(listener)
            except PlaneError as error:  # a package that is missing, a secret that is gone
                next_step = f" ({error.next_step})" if error.next_step else ""
                listener.failed(f"{error.say}{next_step}")
            await self._sleep(LONGEST_PAUSE_S)

    async def _look(self) -> None:
        while True:
            await self._sleep(LOOK_S)
            self.look()

    def _take(self, followed: "_Followed", standing: Standing) -> None:
        before, followed.standing = followed.standing, standing
        if _news(before) != _news(standing):
            self._on_change()

    def heard(self, followed: "_Followed", found: Iterable[Address]) -> None:
        """A good answer of a source."""
        standing = followed.standing.heard(found, self._clock.monotonic())
        if followed.standing.trouble:
            _log.warning("%s answers again", followed.say)
        if {one.place for one in standing.named} != {one.place for one in followed.standing.named}:
            names = ", ".join(one.name for one in standing.named) or "no address"
            _log.info("%s: %s", followed.say, names)
        followed.said.set()
        self._take(followed, standing)

    def failed(self, followed: "_Followed", say: str) -> None:
        """A source does not answer as it should."""
        if not followed.standing.trouble:
            _log.warning("%s: %s; what is known stays", followed.say, say)
        followed.said.set()
        self._take(followed, followed.standing.failed(say))


Asked = tuple[Discover, int]
"""A section, and the endpoint's port."""


class _Followed:
    """One source, and how its addresses stand."""

    def __init__(self, name: str, asked: Asked, standing: Standing) -> None:
        self.name, self.asked, self.standing = name, asked, standing
        self.source = ""
        self.said = asyncio.Event()
        """Set once it has answered, well or not."""
        self.task: asyncio.Task[None] | None = None

    @property
    def say(self) -> str:
        return f"{self.name}: {self.source}" if self.source else self.name

    def stop(self) -> "asyncio.Task[None]":
        assert self.task is not None
        self.task.cancel()
        return self.task


class _Listener:
    """What one source says, until another one stands in its place."""

    def __init__(self, discovery: Discovery, followed: _Followed) -> None:
        self._discovery, self._followed = discovery, followed

    def heard(self, found: Iterable[Address]) -> None:
        self._discovery.heard(self._followed, found)

    def failed(self, say: str) -> None:
        self._discovery.failed(self._followed, say)


def _asked(spec: object) -> Asked | None:
    if isinstance(spec, OpenAICompatibleSpec) and spec.discover is not None:
        return spec.discover, endpoint_of(spec).port
    return None


def _news(standing: Standing) -> object:
    """What others see of it."""
    return standing.addresses
