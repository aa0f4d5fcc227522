"""How a connection to an upstream is opened: directly, to a pinned address, or through a proxy.

TLS is always with the endpoint itself: its name is what is sent as SNI and what the certificate is
checked for, wherever the connection goes. Knows no request; the clock that limits a dial is the
attempt's, which cancels it.

    endpoint   proxy   what is done
    https      no      connect to `address`, else to the endpoint; TLS
    https      yes     CONNECT through the proxy to `address`, else to the endpoint; TLS inside
    http       no      connect to `address`, else to the endpoint
    http       yes     the proxy forwards: the request line holds the whole URL (RFC 9112, 3.2.2);
                       with an `address`, CONNECT to it
"""

import asyncio
import base64
import os
import socket
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeVar, cast

from towplane.gateway.messages import EgressInfo
from towplane.parts.errors import Unavailable

__all__ = ["Dialer", "Forwarding", "forwarding"]

P = TypeVar("P")
"""What has the methods of `asyncio.Protocol`; it need not inherit from it."""

_HEAD_BYTES = 16 * 1024
"""A proxy's answer to CONNECT that is longer is not an answer."""


class Forwarding(NamedTuple):
    """What a request to an http endpoint has before its path and among its headers when a proxy
    forwards it; both empty where none does."""

    prefix: str = ""
    header: str = ""


def forwarding(host: str, is_tls: bool, egress: EgressInfo) -> Forwarding:
    """`host` as in the Host header."""
    if egress.proxy is None or is_tls or egress.address is not None:
        return Forwarding()
    return Forwarding(f"http://{host}", _authorization(egress))


class Dialer:
    """Where the connections of one pool go, and how."""

    __slots__ = ("_context", "_is_tls", "_stamps", "_trouble", "egress", "host", "port")

    def __init__(self, host: str, port: int, is_tls: bool, egress: EgressInfo) -> None:
        self.host, self.port, self.egress = host, port, egress
        self._is_tls = is_tls
        self._stamps: tuple[int, ...] = ()
        self._context: ssl.SSLContext | None = None
        self._trouble = ""
        self.renew()

    def renew(self) -> None:
        """Read renewed certificates and authorities; what cannot be read stays as it was."""
        if not self._is_tls:
            return
        try:
            stamps = _stamps(self.egress)
            if self._context is None or stamps != self._stamps:
                self._context = _make_context(self.egress, stamps)
                self._stamps = stamps
        except OSError as error:  # ssl.SSLError is one
            self._trouble = f"its certificates cannot be used: {error}"

    async def dial(self, loop: asyncio.AbstractEventLoop, factory: Callable[[], P]) -> P:
        """A new connection. Raises Unavailable."""
        make = cast("Callable[[], asyncio.Protocol]", factory)
        egress = self.egress
        name = self.host if self._is_tls else None
        if self._is_tls and self._context is None:
            raise Unavailable(f"No connection to {self.say}: {self._trouble}.")
        try:
            if egress.proxy is None:
                host, port = egress.address or (self.host, self.port)
                _, protocol = await loop.create_connection(
                    make, host, port, ssl=self._context, server_hostname=name
                )
            elif forwarding(self.host, self._is_tls, egress).prefix:
                _, protocol = await loop.create_connection(make, *egress.proxy)
            else:
                sock = await self._tunnel(loop, egress.proxy)
                _, protocol = await loop.create_connection(
                    make, sock=sock, ssl=self._context, server_hostname=name
                )
        except (OSError, ValueError) as wrong:  # ssl.SSLError is the one, a bad name the other
            raise Unavailable(f"No connection to {self.say}: {wrong or 'closed'}.") from None
        return cast("P", protocol)

    @property
    def say(self) -> str:
        """Where it goes, in words without a secret."""
        egress = self.egress
        at = f" at {_join(*egress.address)}" if egress.address is not None else ""
        via = f" through the proxy {_join(*egress.proxy)}" if egress.proxy is not None else ""
        return f"{_join(self.host, self.port)}{at}{via}"

    async def _tunnel(
        self, loop: asyncio.AbstractEventLoop, proxy: tuple[str, int]
    ) -> socket.socket:
        """A connection through the proxy, on which nothing was said yet."""
        where = _join(*(self.egress.address or (self.host, self.port)))
        sock = await _connect(loop, *proxy)
        try:
            head = f"CONNECT {where} HTTP/1.1\r\nhost: {where}\r\n{_authorization(self.egress)}\r\n"
            await loop.sock_sendall(sock, head.encode("latin-1"))
            status = await _read_status(loop, sock)
            if not 200 <= status < 300:
                raise _refusal(status, _join(*proxy), where)
        except BaseException:  # a dial is cancelled when its time is over
            sock.close()
            raise
        return sock


async def _connect(loop: asyncio.AbstractEventLoop, host: str, port: int) -> socket.socket:
    """The first of the host's addresses that answers."""
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failed: OSError | None = None
    for family, kind, number, _, address in found:
        sock = socket.socket(family, kind, number)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failed = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failed or OSError("its name has no address")


async def _read_status(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> int:
    """The status of the proxy's answer. Its head is read to the end, and nothing behind it: before
    we say hello to the endpoint, nobody has anything to say."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = await loop.sock_recv(sock, _HEAD_BYTES)
        head += data
        if not data or len(head) > _HEAD_BYTES:
            raise OSError("the proxy did not answer CONNECT as HTTP asks")
    line, _, _ = head.partition(b"\r\n")
    version, _, rest = line.partition(b" ")
    status = rest[:3]
    if not version.startswith(b"HTTP/1.") or len(status) != 3 or not status.isdigit():
        raise OSError("the proxy did not answer CONNECT as HTTP asks")
    if status[:1] == b"2" and not head.endswith(b"\r\n\r\n"):
        raise OSError("the proxy sent more than its answer")
    return int(status)


def _refusal(status: int, proxy: str, where: str) -> Unavailable:
    if status == 407:  # RFC 9110, 15.5.8
        return Unavailable(
            f"The proxy {proxy} wants to know who asks (407).",
            next_step="The vendor must check egress.proxy_authorization.",
        )
    return Unavailable(f"The proxy {proxy} did not connect to {where} ({status}).")


def _authorization(egress: EgressInfo) -> str:
    if not egress.proxy_authorization:
        return ""
    token = base64.b64encode(egress.proxy_authorization.encode()).decode()
    return f"proxy-authorization: Basic {token}\r\n"


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _stamps(egress: EgressInfo) -> tuple[int, ...]:
    files = (egress.ca, egress.certificate, egress.certificate_key)
    return tuple(os.stat(file).st_mtime_ns for file in files if file is not None)


@lru_cache(maxsize=64)
def _make_context(egress: EgressInfo, stamps: tuple[int, ...]) -> ssl.SSLContext:  # noqa: ARG001
    """Shared by all pools of the same egress: the system's authorities alone are a megabyte."""
    context = ssl.create_default_context(cafile=egress.ca)
    if egress.certificate is not None:
        context.load_cert_chain(egress.certificate, egress.certificate_key)
    return context
