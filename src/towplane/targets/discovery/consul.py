"""Addresses from Consul: the instances of a service whose checks pass, by blocking queries.

A query names the index of the last answer and is held until something is newer, or `WAIT_S` have
passed. The rules of the index are in `routing.discovery.catalog`; those of Consul's documentation
that remain are here: pauses that grow with errors, a bound on how fast a busy service is asked
again, and no belief in an answer of a server that has lost its leader.
"""

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlencode

from towplane.providers.discover import ConsulSource
from towplane.routing.discovery.catalog import next_index, read_health
from towplane.targets.discovery.http import Answer, get
from towplane.targets.discovery.source import Listener, pause_s

__all__ = ["Health"]

WAIT_S = 300
"""Consul's own default; it holds up to a sixteenth longer, so that not all come back together."""
_GRACE_S = 10.0
_QUICK_S = 0.2
"""Between two answers: of a service that changes all the time five states a second are enough."""

_UNTOLD_S = 10.0
"""Where something on the way takes the index off answers, no query can wait."""


class _Refusal(Exception):
    """An answer that is none; the words for it."""


class Health:
    """The healthy instances of one service."""

    def __init__(
        self,
        spec: ConsulSource,
        reveal: Callable[[str], str],
        *,
        wait_s: float = WAIT_S,
        draw: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = f"Consul {spec.service}"
        self._spec, self._reveal = spec, reveal
        self._wait_s, self._draw, self._sleep = wait_s, draw, sleep

    async def follow(self, listener: Listener) -> None:
        """Query after query; without end."""
        index = failures = 0
        while True:
            try:
                answer = await self._ask(index)
                found = read_health(answer.body)
            except (_Refusal, OSError, ValueError) as error:
                failures += 1
                listener.failed(_say(error))
                index = 0  # the next answer says how things stand, and does not wait for news
                await self._sleep(pause_s(failures, self._draw))
                continue
            failures = 0
            listener.heard(found)
            said = answer.headers.get("x-consul-index", "")
            index = next_index(index, said)
            await self._sleep(_QUICK_S if said else _UNTOLD_S)

    async def _ask(self, index: int) -> Answer:
        """Raises _Refusal, OSError."""
        spec = self._spec
        query = {"passing": "1", "index": str(index), "wait": f"{self._wait_s:g}s"}
        for name, value in (("tag", spec.tag), ("dc", spec.datacenter), ("ns", spec.namespace)):
            if value is not None:
                query[name] = value
        url = f"{spec.address}/v1/health/service/{quote(spec.service, safe='')}?{urlencode(query)}"
        headers = {"Accept": "application/json"}
        if spec.token is not None:  # each time anew: a token may be rotated
            headers["X-Consul-Token"] = self._reveal(spec.token)
        longest_s = self._wait_s * 17 / 16 + _GRACE_S
        context = ssl.create_default_context(cafile=spec.ca) if spec.ca is not None else None
        answer = await get(f"{url}&stale" if spec.stale else url, headers, longest_s, context)
        _judge(answer)
        return answer


def _judge(answer: Answer) -> None:
    """Raises _Refusal for an answer that is not to be believed."""
    if answer.status == 403:
        raise _Refusal(
            "the token may not read this service (403): it needs service:read, node:read"
        )
    if answer.status != 200:
        words = answer.body[:200].decode("utf-8", "replace").strip()
        raise _Refusal(f"status {answer.status}{f': {words}' if words else ''}")
    if answer.headers.get("x-consul-knownleader", "true").lower() == "false":
        raise _Refusal("the server that answered has no leader, so what it knows may be old")


def _say(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ValueError):
        return f"the answer is not Consul's: {error}"
    return str(error) or type(error).__name__
