"""A Consul agent on a real socket, as far as the health of services goes: blocking queries with
their index, tags, tokens, stale reads, and what goes wrong.

What it keeps to of Consul's documentation: a query with the index of the state is held until the
index is higher or its wait and up to a sixteenth of it have passed; it may also return for nothing;
an index may go backwards after a restore; the header is there in every good answer.

    with FakeConsul() as consul:
        consul.register("vllm", "vllm-1", "10.0.0.1", 8000)
"""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from towplane.testing.emulator import Emulator, Reply
from towplane.testing.framing import Message

__all__ = ["FakeConsul"]

_PATH = "/v1/health/service/"


@dataclass
class _Instance:
    host: str
    port: int
    node: str
    tags: tuple[str, ...]
    weight: int
    is_passing: bool


class FakeConsul(Emulator):
    """One agent."""

    resets = True

    def __init__(self, *, token: str = "", seed: int = 0, **more: Any) -> None:
        super().__init__(**more)
        self.token = token
        """What a client must show; empty: anybody may ask."""
        self.index = 10
        self.has_leader = True
        self.hides_index = False
        """Something on the way takes the header off."""
        self.refusals: list[int] = []
        """The next queries get these statuses; 0: the connection is reset."""
        self.asked: list[str] = []
        """Each query, in order."""
        self.held = 0
        """Queries that wait now."""
        self._services: dict[str, dict[str, _Instance]] = {}
        self._news = asyncio.Event()
        self._random = random.Random(seed)

    # What a test does, from its own thread

    def register(
        self,
        service: str,
        instance: str,
        host: str,
        port: int,
        *,
        node: str = "127.0.0.1",
        tags: tuple[str, ...] = (),
        weight: int = 1,
        is_passing: bool = True,
    ) -> None:
        """An instance is there, or is another from now on."""
        found = _Instance(host, port, node, tags, weight, is_passing)
        self._do(lambda: self._services.setdefault(service, {}).__setitem__(instance, found))

    def deregister(self, service: str, instance: str) -> None:
        """An instance is gone."""
        self._do(lambda: self._services.get(service, {}).pop(instance, None))

    def judge(self, service: str, instance: str, *, is_passing: bool) -> None:
        """The checks of an instance pass, or do not."""
        self._do(lambda: setattr(self._services[service][instance], "is_passing", is_passing))

    def wake(self) -> None:
        """Something else changed: queries return with what they knew."""
        self._do(lambda: None)

    def restore(self) -> None:
        """From a snapshot: the index goes backwards."""

        def back() -> None:
            self.index = 1

        self._do(back)

    def cut(self) -> None:
        """Reset every connection."""

        async def cut() -> None:
            for connection in tuple(self.connections):
                connection.abort(resets=True)

        self._call(cut())

    def _do(self, change: Callable[[], object]) -> None:
        async def run() -> None:
            self.index += 1
            change()
            self._news.set()
            self._news = asyncio.Event()

        self._call(run())

    # What a client gets

    async def answer(self, message: Message, reply: Reply) -> None:
        """One query."""
        target = urlsplit(message.path.decode())
        query = {k: v[-1] for k, v in parse_qs(target.query, keep_blank_values=True).items()}
        self.asked.append(message.path.decode())
        if self.refusals:
            status = self.refusals.pop(0)
            if not status:
                await reply.reset()
            await reply.whole(status, [], b"as the test wants it")
            return
        if self.token and message.get(b"x-consul-token").decode() != self.token:
            await reply.whole(403, [], b"Permission denied: token lacks 'service:read'")
            return
        if not target.path.startswith(_PATH):
            await reply.whole(404, [], b"")
            return
        if not self.has_leader and "stale" not in query:
            await reply.whole(500, [], b"No cluster leader")
            return
        await self._hold(int(query.get("index", "0")), query.get("wait", "300s"))
        headers = [
            ("content-type", "application/json"),
            ("x-consul-knownleader", str(self.has_leader).lower()),
            ("x-consul-lastcontact", "0"),
        ]
        if not self.hides_index:
            headers.append(("x-consul-index", str(self.index)))
        body = self._health(unquote(target.path.removeprefix(_PATH)), query)
        await reply.whole(200, headers, json.dumps(body).encode())

    async def _hold(self, index: int, wait: str) -> None:
        """Until the state is newer than the index; one from the future is held as well."""
        if not index:
            return
        longest_s = float(wait.removesuffix("s"))
        self.held += 1
        try:
            async with asyncio.timeout(longest_s * (1 + self._random.random() / 16)):
                # After a restore the index is below what was asked for: only news end the wait.
                while True:
                    news = self._news
                    if self.index > index:
                        return
                    await news.wait()
                    if self.index < index:
                        return
        except TimeoutError:
            return
        finally:
            self.held -= 1

    def _health(self, service: str, query: dict[str, str]) -> list[dict[str, Any]]:
        tag = query.get("tag")
        return [
            {
                "Node": {"Node": "node-1", "Address": each.node, "Datacenter": "dc1"},
                "Service": {
                    "ID": name,
                    "Service": service,
                    "Tags": list(each.tags),
                    "Address": each.host,
                    "Port": each.port,
                    "Weights": {"Passing": each.weight, "Warning": 1},
                },
                "Checks": [{"Status": "passing" if each.is_passing else "critical"}],
            }
            for name, each in self._services.get(service, {}).items()
            if (each.is_passing or "passing" not in query) and (tag is None or tag in each.tags)
        ]
