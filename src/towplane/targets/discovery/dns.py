"""Addresses from DNS: A and AAAA, or SRV, looked up again when their time to live ends.

Times to live, SRV and a server of one's own need dnspython; without it, and where DNS knows no such
name, the system's resolver is asked for addresses, as it also reads the hosts file. It does not
know what becomes of an empty answer: it is a failure, and whoever listens decides.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from towplane.parts.addresses import split_address
from towplane.parts.errors import NotReady
from towplane.parts.extras import load_extra
from towplane.parts.threads import run_aside
from towplane.routing.discovery.address import Address, by_priority
from towplane.targets.discovery.source import Listener

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver
    from dns.resolver import Answer

__all__ = ["AddressRecords", "ServiceRecords"]

SHORTEST_S = 1.0
"""A time to live of 0 must not keep the plane busy asking."""
TIMEOUT_S = 5.0
"""Of one look-up, all tries together; dnspython 2.9 has the same default."""

_FAMILIES = (socket.AF_INET, socket.AF_INET6)

Sleep = Callable[[float], Awaitable[None]]


class _Nothing(Exception):
    """There is no answer that can be used; the words for it."""


class _Found(NamedTuple):
    addresses: list[Address]
    ttl_s: float | None
    """None: nobody says."""


class AddressRecords:
    """The addresses of a name, at one port. Of both families only IPv4 is taken: a server with an
    address of each would count twice."""

    def __init__(
        self,
        host: str,
        port: int,
        every_s: float,
        server: str | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.name = f"DNS {host}"
        self._host, self._port, self._every_s, self._sleep = host, port, every_s, sleep
        self._server = server
        self._resolver: Resolver | None = None

    async def follow(self, listener: Listener) -> None:
        """Look up, say, wait; without end."""
        if self._server is not None or find_spec("dns") is not None:
            self._resolver = _make_resolver(self._server)
        await _repeat(self._look_up, listener, self._every_s, self._sleep)

    async def _look_up(self) -> _Found:
        if self._resolver is None:
            return await self._ask_system()
        for kind in ("A", "AAAA"):
            answer = await _ask(self._resolver, self._host, kind)
            if answer is not None:
                found = [Address(record.address, self._port) for record in answer]
                return _Found(found, _ttl_s(answer))
        if self._server is None:
            return await self._ask_system()
        raise _Nothing("it has no address")

    async def _ask_system(self) -> _Found:
        try:
            found = await run_aside(
                lambda: socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            )
        except OSError as error:
            raise _Nothing(str(error.strerror or error)) from None
        hosts = {family: [str(s[0]) for f, *_, s in found if f == family] for family in _FAMILIES}
        named = next((each for each in hosts.values() if each), [])
        return _Found([Address(host, self._port) for host in named], None)


class ServiceRecords:
    """The SRV records of a name. Their hosts stay names: each connection looks them up anew."""

    def __init__(
        self, service: str, every_s: float, server: str | None = None, sleep: Sleep = asyncio.sleep
    ) -> None:
        self.name = f"SRV {service}"
        self._service, self._every_s, self._server, self._sleep = service, every_s, server, sleep
        self._resolver: Resolver | None = None

    async def follow(self, listener: Listener) -> None:
        """Look up, say, wait; without end."""
        self._resolver = _make_resolver(self._server)
        await _repeat(self._look_up, listener, self._every_s, self._sleep)

    async def _look_up(self) -> _Found:
        assert self._resolver is not None
        answer = await _ask(self._resolver, self._service, "SRV")
        records = [
            (record.priority, record.weight, Address(host, record.port))
            for record in answer or ()
            # A target of "." says that the service is decidedly not there (RFC 2782).
            if (host := record.target.to_text(omit_final_dot=True)) and record.port and host != "."
        ]
        if answer is None or not records:
            raise _Nothing("it has no SRV record")
        return _Found(by_priority(records), _ttl_s(answer))


async def _repeat(
    look_up: Callable[[], Awaitable[_Found]], listener: Listener, every_s: float, sleep: Sleep
) -> None:
    while True:
        pause_s = every_s
        try:
            found = await look_up()
        except _Nothing as nothing:
            listener.failed(str(nothing))
        else:
            listener.heard(found.addresses)
            if found.ttl_s is not None:
                pause_s = min(every_s, max(SHORTEST_S, found.ttl_s))
        await sleep(pause_s)


def _make_resolver(server: str | None) -> "Resolver":
    package = load_extra("dns.asyncresolver", "dns")
    try:
        resolver: Resolver = package.Resolver(configure=server is None)
    except load_extra("dns.exception", "dns").DNSException as error:
        raise NotReady(f"nothing says which DNS server to ask: {_say(error)}") from None
    if server is not None:
        host, port = split_address(server)
        resolver.nameservers = [host]
        resolver.port = port
    resolver.lifetime = TIMEOUT_S
    return resolver


async def _ask(resolver: "Resolver", name: str, kind: str) -> "Answer | None":
    """None: there is no such record. Raises _Nothing where nobody knows."""
    from dns.exception import DNSException
    from dns.resolver import NXDOMAIN, NoAnswer

    try:
        return await resolver.resolve(name, kind, search=True)
    except (NXDOMAIN, NoAnswer):
        return None
    except (DNSException, OSError) as error:
        raise _Nothing(f"no answer: {_say(error)}") from None


def _ttl_s(answer: "Answer") -> float:
    """The shortest on the way to it, aliases included."""
    return float(answer.chaining_result.minimum_ttl)


def _say(error: Exception) -> str:
    return str(error).strip().rstrip(".").replace("\n", " ")[:200] or type(error).__name__
