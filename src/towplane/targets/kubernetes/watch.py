"""List, then watch, without end: one resource of a cluster kept in a mirror.

A watch that the server ends in order is taken up where it stopped. After anything else, a lost
connection, a version that is too old (410 as status or as event), a line that cannot be read, the
whole is listed again; and so it is every `RELIST_S`, because an event that was lost on the way says
nothing. The rules are those of Kubernetes' API concepts, "Efficient detection of changes".
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import msgspec

from towplane.targets.kubernetes.connect import TIMEOUT_S
from towplane.targets.kubernetes.mirror import Gone, Listed, Mirror, WatchError, read_error

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Response

__all__ = ["RELIST_S", "Resource", "Watch"]

RELIST_S = 300.0
"""How old a list may become."""
_PAGE = 500  # objects; client-go's page
_GRACE_S = 15.0
"""A server ends a watch when it was told to; a connection that is silent for longer has died."""
_PAGES = 1000
"""More is no part of a cluster that one plane looks at."""
_BRIEF_S, _LASTING_S = 0.5, 5.0
"""A watch that ends sooner than the one was none; one that held as long as the other was good."""

_log = logging.getLogger("towplane.kubernetes")
_read_page = msgspec.json.Decoder(Listed).decode

T = TypeVar("T")


class Resource(msgspec.Struct, frozen=True):
    """What to watch: `/apis/GROUP/VERSION/namespaces/NAMESPACE/PLURAL`."""

    group: str
    """Empty: the core group."""
    version: str
    plural: str
    namespace: str
    selector: Mapping[str, str] = {}
    """Labels."""
    name: str = ""
    """Only the object of this name."""

    @property
    def path(self) -> str:
        """Where the API has it."""
        root = f"/apis/{self.group}" if self.group else "/api"
        return f"{root}/{self.version}/namespaces/{self.namespace}/{self.plural}"

    @property
    def query(self) -> dict[str, str]:
        """What narrows it."""
        found = {}
        if self.selector:
            pairs = sorted(self.selector.items())
            found["labelSelector"] = ",".join(f"{key}={value}" for key, value in pairs)
        if self.name:
            found["fieldSelector"] = f"metadata.name={self.name}"
        return found


class Watch:
    """One resource, followed."""

    def __init__(
        self,
        client: "AsyncClient",
        resource: Resource,
        mirror: Mirror[T],
        *,
        changed: Callable[[], None],
        failed: Callable[[str], None],
        pause_s: Callable[[int], float],
        relist_s: float = RELIST_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._client, self._resource = client, resource
        self._mirror: Mirror[T] = mirror
        self._changed, self._failed, self._pause_s = changed, failed, pause_s
        self._relist_s, self._sleep, self._now, self._draw = relist_s, sleep, now, draw
        self._failures = 0
        self._listed_at = 0.0

    async def run(self) -> None:
        """Until cancelled. `changed` is called after every good list and every event that changed
        something."""
        from httpx2 import HTTPError

        while True:
            try:
                if not self._mirror.version or self._now() - self._listed_at >= self._relist_s:
                    await self._list()
                await self._follow()
            except (HTTPError, OSError, WatchError, ValueError) as error:
                self._mirror.forget()
                self._failures += 1
                _log.info("%s; it is listed again", _say(error, self._resource))
                # One connection that breaks, one version that is too old: that is the way of the
                # world, and the list that follows at once says how things stand.
                if self._failures > 1 or not isinstance(error, HTTPError | OSError | Gone):
                    self._failed(_say(error, self._resource))
                    await self._sleep(self._pause_s(self._failures))

    async def _list(self) -> None:
        items: list[msgspec.Raw] = []
        page, began = "", self._now()
        for _ in range(_PAGES):
            query = {**self._resource.query, "limit": str(_PAGE)}
            if page:
                query["continue"] = page
            answer = await self._client.get(self._resource.path, params=query)
            if answer.status_code != 200:
                raise read_error(answer.status_code, answer.content)
            found = _read_page(answer.content)
            items += found.items or []
            page = found.metadata.more
            if not page:
                break
        is_again = bool(self._mirror.version)
        others = self._mirror.replace(items, found.metadata.version)
        if others and is_again:
            _log.info("%s: a list shows %d changes that no event told", self._resource.path, others)
        self._listed_at = began
        self._changed()

    async def _follow(self) -> None:
        """One watch, until the server ends it in order."""
        import httpx2

        left_s = self._relist_s - (self._now() - self._listed_at)
        # Spread, so that not every plane lists in the same second.
        lasts_s = max(1, int(left_s * (0.8 + 0.2 * self._draw())))
        query = {
            **self._resource.query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._mirror.version,
            "timeoutSeconds": str(lasts_s),
        }
        timeout = httpx2.Timeout(TIMEOUT_S, read=lasts_s + _GRACE_S)
        began, path = self._now(), self._resource.path
        try:
            async with self._client.stream("GET", path, params=query, timeout=timeout) as answer:
                if answer.status_code != 200:
                    raise read_error(answer.status_code, await answer.aread())
                async for line in _lines(answer):
                    if self._mirror.apply(line):
                        self._changed()
                    self._failures = 0
        finally:
            lasted_s = self._now() - began
            if lasted_s >= _LASTING_S:
                self._failures = 0
        if lasted_s < _BRIEF_S:
            raise OSError("the watch ended at once")


async def _lines(answer: "Response") -> AsyncIterator[bytes]:
    """Split at line feeds alone: what httpx calls a line also ends at other characters, which may
    stand in JSON's strings as they are."""
    rest = b""
    async for data in answer.aiter_bytes():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
    if rest.strip():
        raise OSError("the watch broke off within a line")


def _say(error: Exception, resource: Resource) -> str:
    where = f"{resource.plural} in the namespace {resource.namespace}"
    match error:
        case WatchError(status=401):
            return f"the cluster does not know who asks (401): {error}"
        case WatchError(status=403):
            return f"the plane may not read {where} (403): it needs get, list and watch"
        case WatchError(status=404):
            return f"the cluster has no {resource.plural} (404)"
        case WatchError():
            return f"{where}: {error}"
        case ValueError():
            return f"{where}: the answer cannot be read: {error}"
    return f"{where}: {str(error) or type(error).__name__}"
