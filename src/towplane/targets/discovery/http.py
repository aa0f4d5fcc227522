"""One GET over HTTP/1.1 on a connection of its own, with a deadline: for answers that may take
minutes to come, as Consul's do, without a thread that waits for each.

It does not know what the answers mean.
"""

import asyncio
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

import httptools

__all__ = ["Answer", "get"]

_MOST_BYTES = 64 * 1024 * 1024
"""More is no list of addresses: a thousand instances in Consul are about a megabyte."""
CONNECT_S = 5.0


class Answer(NamedTuple):
    """What came back; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


async def get(
    url: str, headers: dict[str, str], timeout_s: float, context: ssl.SSLContext | None = None
) -> Answer:
    """The answer. Raises OSError (TimeoutError is one) where there is no whole one."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    tls = (context or ssl.create_default_context()) if is_tls else None
    async with asyncio.timeout(CONNECT_S):
        reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=tls)
    try:
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        lines = [f"GET {path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        async with asyncio.timeout(timeout_s):
            return await _read(reader)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> Answer:
    found = _Found()
    parser = httptools.HttpResponseParser(found)
    received = 0
    try:
        while not found.is_whole:
            data = await reader.read(65536)
            received += len(data)
            if received > _MOST_BYTES:
                raise OSError("the answer is too long")
            if not data:
                raise OSError("the connection was closed before the answer was whole")
            parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
        raise OSError(f"the answer is not HTTP: {error}") from None
    return Answer(parser.get_status_code(), found.headers, b"".join(found.body))


class _Found:
    """Collects what the parser finds."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []
        self.is_whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, data: bytes) -> None:
        self.body.append(data)

    def on_message_complete(self) -> None:
        self.is_whole = True
