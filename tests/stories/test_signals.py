"""A page of metrics over a real socket: read, late, or not there."""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from towplane.gateway.messages import EgressInfo, SignalsAt
from towplane.gateway.scrape import Source, fetch_page
from towplane.testing.plane import RunningPlane, wait_until

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


class _Engine(ThreadingHTTPServer):
    """Shows a page of vLLM's."""

    def __init__(self, waiting: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.waiting = waiting

    def __enter__(self) -> "_Engine":
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # http.server's name
        assert isinstance(self.server, _Engine)
        page = b"vllm:num_requests_running 8\nvllm:num_requests_waiting %d\n" % self.server.waiting
        self.send_response(200)
        self.send_header("content-length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_a_running_plane_prefers_the_engine_that_says_it_is_idle(tmp_path: Path) -> None:
    with _Engine(9) as a, _Engine(1) as b:
        providers = {
            name: {
                "kind": "openai-compatible",
                "endpoint": f"http://127.0.0.1:{engine.server_port}/v1",
                "signals": {"engine": "vllm", "every": "100ms"},
            }
            for name, engine in (("a", a), ("b", b))
        }
        spec = {
            "plane": "story",
            "data_dir": str(tmp_path / "data"),
            "admin": {"listen": "127.0.0.1:0"},
            "gateway": {"listen": "127.0.0.1:0", "workers": 1},
            "providers": providers,
            "routing": {
                "m": {
                    "choose": "scored",
                    "targets": [{"provider": name, "model": "m"} for name in providers],
                }
            },
            "tenants": {"acme": {}},
        }
        with RunningPlane(yaml.safe_dump(spec), tmp_path) as running:

            def says(words: str, target: str) -> bool:
                found = json.dumps(running.call("GET", "/routing/m/explain"))
                return words in found and f'"{target}"' in found

            wait_until(lambda: says("the highest score: 1 waiting", "b/m"), 30.0)
            a.waiting, b.waiting = 0, 7
            wait_until(lambda: says("the highest score: 0 waiting", "a/m"), 30.0)
