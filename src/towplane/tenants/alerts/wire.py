"""One POST to somebody else's server, with limits on everything that is theirs.

Knows no alert. TLS is verified with the system's authorities; no redirect is followed, for it would
carry the message where nobody sent it; of the answer only the head is read. With `public_only` a
name is looked up once, and what was looked at is what is connected to, so that a name that changes
its mind reaches nothing else.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import httptools

__all__ = ["TIMEOUT_S", "Undelivered", "post"]

TIMEOUT_S = 10.0
"""For all of it: name, connection, TLS, request and the head of the answer."""
_MOST_HEAD_BYTES = 64 * 1024


class Undelivered(Exception):
    """Nobody took it; the words say why."""


async def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    public_only: bool = False,
    timeout_s: float = TIMEOUT_S,
) -> int:
    """The status of the answer. Raises Undelivered where there is none."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _post(url, body, headers, public_only)
    except TimeoutError:
        raise Undelivered(f"no answer within {timeout_s:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise Undelivered(f"its certificate is refused: {error.verify_message}") from None
    except OSError as error:  # ssl.SSLError is one
        raise Undelivered(f"no connection: {error.strerror or type(error).__name__}") from None


async def _post(url: str, body: bytes, headers: Mapping[str, str], public_only: bool) -> int:
    parts = urlsplit(url)
    host = parts.hostname or ""
    is_tls = parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    reader, writer = await asyncio.open_connection(
        await _public_address(host, port) if public_only else host,
        port,
        ssl=ssl.create_default_context() if is_tls else None,
        server_hostname=host if is_tls else None,
        limit=_MOST_HEAD_BYTES,
    )
    try:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = (
            f"POST {parts.path or '/'} HTTP/1.1\r\nhost: {parts.netloc}\r\n{lines}"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        writer.write(head.encode("latin-1") + body)
        await writer.drain()
        return await _read_status(reader)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _read_status(reader: asyncio.StreamReader) -> int:
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    size = 0
    while data := await reader.read(4096):
        size += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserError:
            raise Undelivered("its answer is not HTTP") from None
        if answer.is_read:
            status: int = parser.get_status_code()
            if status >= 200:
                return status
            raise Undelivered(f"it answered {status}")
        if size > _MOST_HEAD_BYTES:
            raise Undelivered("the head of its answer is too large")
    raise Undelivered("it closed without an answer")


class _Answer:
    is_read = False

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self.is_read = True


async def _public_address(host: str, port: int) -> str:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not all(ipaddress.ip_address(one.partition("%")[0]).is_global for one in addresses):
        raise Undelivered(f"{host} is not a public address")
    return addresses[0]
