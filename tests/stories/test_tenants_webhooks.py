"""Webhooks on the wire: receivers that take, refuse, hang and lie; a plane that is restarted."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from towplane.parts.storage import Database
from towplane.tenants.alerts import outbox
from towplane.tenants.alerts.message import SIGNATURE, Alert, verify
from towplane.tenants.alerts.wire import Undelivered, post
from towplane.testing.client import ask, chat
from towplane.testing.plane import RunningPlane, document, wait_until
from towplane.testing.provider import FakeProvider
from towplane.testing.tls import make_certificate


@asynccontextmanager
async def answering(
    answer: bytes | None, ssl: Any = None
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that reads what comes and says these bytes; None: it says nothing."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heard.append(head + await reader.read(65536))
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=ssl)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()


async def test_a_message_arrives_whole_and_its_answer_need_not_end() -> None:
    async with answering(b"HTTP/1.1 202 Accepted\r\ncontent-length: 99\r\n\r\n{") as (port, heard):
        status = await post(f"http://127.0.0.1:{port}/a/b", b'{"x":1}', {"x-own": "y"})
    assert status == 202
    head, _, body = heard[0].partition(b"\r\n\r\n")
    assert body == b'{"x":1}'
    assert head.startswith(b"POST /a/b HTTP/1.1\r\nhost: 127.0.0.1:")
    assert b"\r\nx-own: y\r\ncontent-length: 7\r\n" in head


@pytest.mark.parametrize(
    ("answer", "say"),
    [
        (None, "no answer within 0.3 s"),
        (b"", "it closed without an answer"),
        (b"SSH-2.0-OpenSSH\r\n", "its answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000, "the head of its answer is too large"),
        (b"HTTP/1.1 200 OK\r\n", "it closed without an answer"),
    ],
    ids=["hangs", "closes", "speaks no HTTP", "talks without end", "stops"],
)
async def test_whatever_a_receiver_does_has_an_end_and_a_word(
    answer: bytes | None, say: str
) -> None:
    async with answering(answer) as (port, _):
        with pytest.raises(Undelivered, match=say):
            await post(f"http://127.0.0.1:{port}", b"{}", {}, timeout_s=0.3 if not answer else 5)


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    async with answering(b"HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:1/\r\n\r\n") as (port, _):
        assert await post(f"http://127.0.0.1:{port}", b"{}", {}) == 307


async def test_nobody_there_is_said(unused_tcp_port_like: int) -> None:
    with pytest.raises(Undelivered, match="no connection"):
        await post(f"http://127.0.0.1:{unused_tcp_port_like}", b"{}", {})


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    made = make_certificate(tmp_path)
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n", made.server_context()) as (port, heard):
        with pytest.raises(Undelivered, match="certificate is refused"):
            await post(f"https://127.0.0.1:{port}", b"{}", {})
    assert heard == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254"])
async def test_private_addresses_are_refused_where_only_public_ones_are_wanted(host: str) -> None:
    with pytest.raises(Undelivered, match="not a public address"):
        await post(f"http://{host}:9/", b"{}", {}, public_only=True)


@pytest.fixture
def unused_tcp_port_like() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Receiver:
    """Takes messages, once it is opened."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heard: list[tuple[dict[str, str], bytes]] = []

    def open(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.heard.append((dict(self.headers.items()), body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver(unused_tcp_port_like: int) -> Iterator[Receiver]:
    found = Receiver(unused_tcp_port_like)
    yield found
    found.close()


def alerts(plane: RunningPlane) -> list[Alert]:
    database = Database(plane.data_dir / "ledger.sqlite")
    with database.read() as connection:
        found = outbox.listed(connection, None, 100)
    database.close()
    return found


def test_what_was_noted_before_a_restart_is_told_after_it_and_once(
    tmp_path: Path, provider: FakeProvider, receiver: Receiver
) -> None:
    """The receiver is down, the plane dies, both come back: each share is told, signed, once."""
    text = document(
        tmp_path,
        provider,
        tenants={"acme": {"limits": {"rpd": 10, "mode": "soft"}}},
        more={
            "tenant_alerts": {
                "at": ["20%", "30%"],
                "webhook": f"http://127.0.0.1:{receiver.port}/hook",
                "secret": "env:HOOK_SECRET",
            }
        },
    )
    plane = RunningPlane(text, tmp_path, env={"HOOK_SECRET": "s3cret"})
    with plane:
        key = plane.key("acme")
        for _ in range(3):
            assert asyncio.run(ask(plane.address, chat(key))).status == 200
        wait_until(
            lambda: [one.tries > 0 for one in alerts(plane)] == [True, True],
            30,
            lambda: f"not noted and tried: {alerts(plane)}",
        )
        assert {one.state for one in alerts(plane)} == {"waiting"}
        assert "no connection" in alerts(plane)[0].trouble
        plane.kill()
    receiver.open()
    with plane:
        wait_until(
            lambda: {one.state for one in alerts(plane)} == {"sent"},
            60,
            lambda: f"not told: {alerts(plane)}",
        )
        ids = {json.loads(body)["id"] for _, body in receiver.heard}
        assert len(ids) == 2
        assert len(receiver.heard) == 2
        for headers, body in receiver.heard:
            fields = {name.lower(): value for name, value in headers.items()}
            told = json.loads(body)
            assert fields["towplane-event-id"] == told["id"]
            assert verify(body, fields[SIGNATURE], "s3cret", time.time())
            assert (told["tenant"], told["measure"], told["used"]) == ("acme", "rpd", 3)
            assert told["mode"] == "soft"
        assert {json.loads(body)["share"] for _, body in receiver.heard} == {0.2, 0.3}
