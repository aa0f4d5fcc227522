"""Follows the cache events of all engines that publish them, and tells workers what changes.

The plane process reads the events once for all workers; a worker hears of each block eight bytes,
at most `_MOST` blocks of an engine with one message and so many in a moment, so that an engine that
loses all of its cache stops nobody. What is stored and forgotten between two messages is never
told. A worker that starts hears everything. No worker imports this.

The laws: what workers believe of an engine is what its follower believes, some moments ago; soon
after an engine is not ready any more, or out of sight, they believe nothing of it.
"""

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from itertools import islice

from towplane.gateway.kv_subscription import follow
from towplane.gateway.messages import EventsAt, Kept, TargetInfo
from towplane.parts.errors import Unsupported
from towplane.routing.kv_events import Follower

__all__ = ["KvFollowing"]

_EVERY_S = 0.05
"""Between two messages of an engine."""
_MOST = 4096
"""Blocks in one: about a millisecond in a worker."""

_SILENT_S = 10.0
"""After so long without a connection somebody should look at the address."""

_log = logging.getLogger("towplane.gateway")

Follow = Callable[[Follower, str, str | None, str, Callable[[], None]], Awaitable[None]]


class KvFollowing:
    """All engines that are followed. Life: construct → hold, again and again → stop."""

    def __init__(
        self,
        tell: Callable[[Kept], None],
        *,
        follow: Follow = follow,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._tell = tell
        self._follow = follow
        self._sleep = sleep
        self._engines: dict[tuple[str, EventsAt], _Engine] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        """Those of whom workers are told to forget what they know, by name."""
        self._is_over = False

    def hold(self, targets: Iterable[TargetInfo]) -> None:
        """Follow these from now on, as far as they are ready, and no others."""
        if self._is_over:
            return
        wanted = {
            (info.name, info.events): None
            for info in targets
            if info.events is not None and info.state == "ready"
        }
        loop = asyncio.get_running_loop()
        for gone in self._engines.keys() - wanted.keys():
            before = self._leaving.get(gone[0])
            self._leaving[gone[0]] = loop.create_task(self._engines.pop(gone).end(before))
        self._leaving = {name: task for name, task in self._leaving.items() if not task.done()}
        for new in wanted.keys() - self._engines.keys():
            after = self._leaving.get(new[0])
            self._engines[new] = _Engine(*new, self._tell, self._sleep, self._follow, after)

    def everything(self) -> Iterator[Kept]:
        """All that is known, for a worker that starts."""
        for engine in self._engines.values():
            if engine.may_tell:
                yield engine.everything()

    async def stop(self) -> None:
        """Follow nobody any more."""
        self._is_over = True
        for engine in self._engines.values():
            engine.cancel()
        for task in self._leaving.values():
            task.cancel()
        tasks = [*self._leaving.values(), *(t for one in self._engines.values() for t in one.tasks)]
        self._engines.clear()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Engine:
    """One of them: what is believed of it, and what workers do not know yet."""

    def __init__(
        self,
        name: str,
        at: EventsAt,
        tell: Callable[[Kept], None],
        sleep: Callable[[float], Awaitable[None]],
        follow: Follow,
        after: "asyncio.Task[None] | None",
    ) -> None:
        """`after`: its predecessor, whose end workers hear first."""
        self._name = name
        self._tell = tell
        self._sleep = sleep
        self._pending: dict[int, bool] = {}
        """By the key of a block: whether it is kept."""
        self._told = (False, 0)
        """Whether it was told to be whole, and how many sizes."""
        self._news = asyncio.Event()
        self._is_heard = False
        self._after = after
        self.follower = Follower(name, self, at.most)
        loop = asyncio.get_running_loop()
        start = partial(follow, self.follower, at.address, at.replay, at.topic, self._news.set)
        works = (self._listen(start), self._report(), self._doubt(at.address))
        self.tasks = [loop.create_task(work) for work in works]

    def add(self, key: int, name: str) -> None:  # noqa: ARG002  # the index of one engine
        """It keeps this block."""
        self._pending[key] = True

    def drop(self, key: int, name: str) -> None:  # noqa: ARG002  # as above
        """It keeps it no longer."""
        self._pending[key] = False

    @property
    def may_tell(self) -> bool:
        """Whether workers have heard that its predecessor is gone."""
        return self._after is None or self._after.done()

    def everything(self) -> Kept:
        """What is believed of it."""
        follower = self.follower
        keys = _pack(follower.kept())
        return Kept(self._name, follower.is_whole, sorted(follower.sizes), stored=keys)

    def cancel(self) -> None:
        """Say nothing more."""
        for task in self.tasks:
            task.cancel()

    async def end(self, before: "asyncio.Task[None] | None") -> None:
        """Follow it no more, and tell workers to forget what they know, once the one before it is
        forgotten."""
        self.cancel()
        await asyncio.gather(*self.tasks, *([before] if before else ()), return_exceptions=True)
        self.follower.forget()
        while self._pending:
            self._tell(self._next())
            await self._sleep(_EVERY_S)
        self._tell(Kept(self._name, False, [], is_gone=True))

    async def _listen(self, start: Callable[[], Awaitable[None]]) -> None:
        try:
            await start()
        except Unsupported as error:
            _log.error("%s: its cache events are not read: %s. %s", self._name, error.say,
                       error.next_step)  # fmt: skip

    async def _report(self) -> None:
        if self._after is not None:
            await asyncio.wait([self._after])
        while True:
            await self._news.wait()
            self._news.clear()
            self._is_heard = True
            now = (self.follower.is_whole, len(self.follower.sizes))
            while self._pending or now != self._told:
                self._told = now
                self._tell(self._next())
                await self._sleep(_EVERY_S)
                now = (self.follower.is_whole, len(self.follower.sizes))

    async def _doubt(self, address: str) -> None:
        await self._sleep(_SILENT_S)
        if not self._is_heard:
            _log.warning("%s: nobody publishes its cache events at %s yet", self._name, address)

    def _next(self) -> Kept:
        """What was not told yet, or the first part of it. An engine is whole only when all of it is
        told."""
        pending, follower = self._pending, self.follower
        keys = list(islice(pending, _MOST))
        now = {key: pending.pop(key) for key in keys}
        return Kept(
            self._name,
            follower.is_whole and not pending,
            sorted(follower.sizes),
            stored=_pack(key for key, is_kept in now.items() if is_kept),
            removed=_pack(key for key, is_kept in now.items() if not is_kept),
        )


def _pack(keys: Iterable[int]) -> bytes:
    listed = list(keys)
    return struct.pack(f">{len(listed)}Q", *listed)
