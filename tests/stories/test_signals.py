"""A page of metrics over a real socket: read, late, or not there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from towplane.gateway.messages import EgressInfo, SignalsAt
from towplane.gateway.scrape import Source, fetch_page

PAGE = b"vllm:num_requests_running 1\n"


@contextlib.asynccontextmanager
async def server(answer: bytes, *, hangs: bool = False) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Says this to everybody; yields its port and what it was asked."""
    asked: list[bytes] = []
    ended: list[asyncio.Future[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(asyncio.get_running_loop().create_future())
        with contextlib.suppress(ConnectionError):
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            if hangs:
                await reader.read()
            writer.close()
            await writer.wait_closed()
        writer.transport.abort()
        ended[-1].set_result(None)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1], asked
        await asyncio.gather(*ended)
    await asyncio.sleep(0)  # transports close their sockets in the loop's next turn


def source(port: int, timeout_s: float = 20.0) -> Source:
    at = SignalsAt("vllm", "/metrics", timeout_s=timeout_s)
    headers = (("authorization", "Bearer k"),)
    return Source("127.0.0.1", port, False, EgressInfo(), at, headers)


@pytest.mark.parametrize(
    ("answer", "want"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(PAGE) + PAGE, PAGE),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1c\r\n" + PAGE + b"\r\n0\r\n\r\n",
         PAGE),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", None),
        (b"SSH-2.0-OpenSSH_9.6\r\n", None),
        (b"", None),
    ],
    ids=["length", "chunked", "not found", "cut", "not HTTP", "nothing"],
)  # fmt: skip
async def test_a_page_is_read_or_is_none(answer: bytes, want: bytes | None) -> None:
    async with server(answer) as (port, asked):
        assert await fetch_page(source(port)) == want
    assert asked[0].startswith(b"GET /metrics HTTP/1.1\r\n")
    assert b"\r\nauthorization: Bearer k\r\n" in asked[0]


async def test_a_server_that_hangs_is_given_up() -> None:
    async with server(b"HTTP/1.1 200 OK\r\n", hangs=True) as (port, _):
        assert await fetch_page(source(port, timeout_s=0.2)) is None


async def test_nobody_there_is_none() -> None:
    async with server(b"") as (port, _):
        pass
    assert await fetch_page(source(port)) is None
