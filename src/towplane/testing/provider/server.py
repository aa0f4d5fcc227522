"""The fake provider on a real socket: one asyncio protocol, in a thread of its own.

It reads requests with the strict reader of `testing.framing`, finds the script of each, plays it,
and keeps its books. It answers one request of a connection at a time, in order.
"""

import asyncio
import contextlib
import gzip
import json
import socket
import ssl
import struct
import threading
import time
from collections import deque
from typing import Any, Self, cast

import msgspec
import uvloop

from towplane.testing.book import Book, Seen
from towplane.testing.framing import Malformed, Message, MessageReader
from towplane.testing.provider import dialect, wire
from towplane.testing.provider.dialect import Ask
from towplane.testing.provider.script import GOOD, Script

__all__ = ["FakeProvider"]


class FakeProvider:
    """An OpenAI-compatible server on loopback that does what its scripts say.

    with FakeProvider() as provider:
        provider.queue("some-model", Script(status=429, headers={"retry-after": "1"}))
        ... provider.base_url ...
        assert provider.book.rows()[0].output == 8
    """

    def __init__(
        self,
        *,
        port: int = 0,
        api_key: str | None = None,
        models: tuple[str, ...] = ("fake",),
        scripts: dict[str, Script] | None = None,
        tls: ssl.SSLContext | None = None,
        read_pause_s: float = 0.0,
        backlog: int = 4096,
    ) -> None:
        self.port = port
        self.api_key = api_key
        self.models = models
        self.scripts: dict[str, Script] = dict(scripts or {})
        """By model; for requests that bring no script of their own."""
        self.book = Book()
        self.read_pause_s = read_pause_s
        """A pause after each read of a request: a slow reader."""
        self.tls = tls
        self._backlog = backlog
        self._queues: dict[str, deque[Script]] = {}
        self._connections: set[_Connection] = set()
        self._loop = uvloop.new_event_loop()
        self._server: asyncio.AbstractServer | None = None
        self._thread = threading.Thread(target=self._run, name="fake-provider", daemon=True)

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What a client of OpenAI's API takes as its base URL."""
        return f"{self.origin}/v1"

    def start(self) -> Self:
        """Listen; the port is known when this returns."""
        self._thread.start()
        self._call(self._listen())
        return self

    def stop(self) -> None:
        """Close everything and end the thread."""
        if self._thread.is_alive():
            self._call(self._shut())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def queue(self, model: str, *scripts: Script) -> None:
        """The next requests for the model take these scripts, one each, before all others."""
        self._queues.setdefault(model, deque()).extend(scripts)

    def kill(self) -> None:
        """Die as a process does: no listener, and a reset on every connection."""
        self._call(self._shut())

    def revive(self) -> None:
        """Listen again, on the same port."""
        self._call(self._listen())

    def drop_idle(self) -> None:
        """Close the connections that have no request, as a server's idle timeout does."""

        async def drop() -> None:
            for connection in tuple(self._connections):
                connection.close_if_idle()

        self._call(drop())

    def choose(self, ask: Ask, message: Message, before: int) -> Script:
        """The script of a request; `before` counts the earlier requests of the same tag."""
        queue = self._queues.get(ask.model)
        if queue:
            return queue.popleft()
        header = message.get(b"x-fake-script")
        if header:
            return msgspec.json.decode(header, type=Script)
        given = (ask.body or {}).get("fake")
        if isinstance(given, list) and given:
            given = given[min(before, len(given) - 1)]
        if given:
            return msgspec.convert(given, Script)
        return self.scripts.get(ask.model, GOOD)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        server = await self._loop.create_server(
            lambda: _Connection(self),
            "127.0.0.1",
            self.port,
            ssl=self.tls,
            backlog=self._backlog,
        )
        self._server = server
        self.port = cast("asyncio.Server", server).sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = [connection.task for connection in self._connections if connection.task]
        for connection in tuple(self._connections):
            connection.reset()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.tls is not None:
            await asyncio.sleep(0.1)  # a handshake that failed ends in uvloop without us


class _Cut(Exception):
    """The script ends the connection here."""


class _Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, provider: FakeProvider) -> None:
        self._provider = provider
        self._book = provider.book
        self._reader = MessageReader("request", on_head=self._head_seen)
        self._waiting: deque[Message] = deque()
        self._transport: asyncio.Transport
        self._writable = asyncio.Event()
        self._writable.set()
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._provider._connections.add(self)
        self._book.connections_open += 1
        self._book.connections_total += 1

    def data_received(self, data: bytes) -> None:
        try:
            self._waiting.extend(self._reader.feed(data))
        except Malformed as problem:
            self._book.malformed.append(f"{problem}: {data[:200]!r}")
            self._transport.abort()
            return
        if self._provider.read_pause_s:
            self._transport.pause_reading()
            loop = asyncio.get_running_loop()
            loop.call_later(self._provider.read_pause_s, self._resume_reading)
        if self._waiting and self.task is None:
            self.task = asyncio.get_running_loop().create_task(self._serve())

    def connection_lost(self, _error: Exception | None) -> None:
        self._provider._connections.discard(self)
        self._book.connections_open -= 1
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def reset(self) -> None:
        """End with a TCP reset."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError), socket.socket(fileno=_dup(sock)) as own:
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def close_if_idle(self) -> None:
        """Close unless a request is being read or answered."""
        if self.task is None and self._reader.current is None:
            self._transport.close()

    def _resume_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _head_seen(self, message: Message) -> None:
        if message.get(b"expect").lower() == b"100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _serve(self) -> None:
        try:
            while self._waiting:
                message = self._waiting.popleft()
                await self._answer(message)
                if message.close:
                    self._transport.close()
                    break
        except _Cut:
            pass
        finally:
            self.task = None

    async def _answer(self, message: Message) -> None:
        path = message.path.decode("latin-1").partition("?")[0]
        ask = dialect.read_ask(path, bytes(message.body))
        seen = Seen(
            number=0,
            method=message.method.decode(),
            path=path,
            model=ask.model,
            tag=ask.tag,
            request_id=message.get(b"x-towplane-request-id").decode("latin-1"),
            attempt=message.get(b"x-towplane-attempt").decode("latin-1"),
            headers=[(key.decode(), value.decode("latin-1")) for key, value in message.headers],
            body_bytes=len(message.body),
            stream=ask.stream,
            include_usage=ask.include_usage,
            input=ask.prompt_tokens,
            at=time.time(),
        )
        before = self._book.open(seen)
        script = self._provider.choose(ask, message, before)
        try:
            await self._play(message, ask, script, seen)
            seen.finished = True
        except asyncio.CancelledError:
            seen.cancelled = True
            raise
        finally:
            seen.ended = time.time()

    async def _play(self, message: Message, ask: Ask, script: Script, seen: Seen) -> None:
        for status in script.interim:
            reason = "Continue" if status == 100 else "Early Hints"
            await self._write(script, f"HTTP/1.1 {status} {reason}\r\n\r\n".encode())
        await self._fail(script, "before_head")
        if script.head_delay_s:
            await asyncio.sleep(script.head_delay_s)
        if script.raw is not None:
            await self._play_raw(script)
            return
        status, value = self._decide(ask, script, message, seen)
        seen.status = status
        if value is None:
            await self._play_stream(ask, script, seen)
        else:
            if status < 400 and "choices" in value:
                seen.output = dialect.count_output(ask, script)
            await self._play_plain(message, script, status, value)
        if not script.keep_alive or script.framing in ("until_close", "http10"):
            self._transport.close()
            raise _Cut

    def _decide(
        self, ask: Ask, script: Script, message: Message, seen: Seen
    ) -> tuple[int, dict[str, Any] | None]:
        """The status and the body; no body means a stream."""
        key = self._provider.api_key
        if key is not None and message.get(b"authorization") != f"Bearer {key}".encode():
            return 401, dialect.error(401)
        if script.status >= 400:
            return script.status, dialect.error(script.status, script.error_code)
        if ask.path.endswith("/models") and seen.method in ("GET", "HEAD"):
            return 200, dialect.models(self._provider.models)
        if ask.body is None:
            return 400, dialect.error(400, message="We could not parse the JSON body.")
        if ask.path.endswith("/embeddings"):
            return script.status, dialect.embed(ask)
        if not ask.path.endswith("/completions"):
            return 404, dialect.error(404, "unknown_url", f"Unknown request URL: {ask.path}")
        if ask.path.endswith("/chat/completions") and not isinstance(
            ask.body.get("messages"), list
        ):
            return 400, dialect.error(400, message="'messages' must be a list.")
        if ask.stream:
            return script.status, None
        return script.status, dialect.answer(ask, script, seen.number)

    async def _play_plain(
        self, message: Message, script: Script, status: int, value: dict[str, Any]
    ) -> None:
        body = json.dumps(value).encode()
        headers = [("content-type", "application/json"), ("x-request-id", "req_fake")]
        if status >= 400 and script.error_body is not None:
            body = script.error_body.encode()
            headers[0] = ("content-type", "text/plain")
        if script.gzip:
            body = gzip.compress(body)
            headers.append(("content-encoding", "gzip"))
        if status in (204, 304):
            await self._write(script, wire.head(status, headers, script=script, length=0))
            return
        is_chunked = script.plain_chunked or script.framing in ("until_close", "http10")
        length = None if is_chunked else len(body)
        await self._write(script, wire.head(status, headers, script=script, length=length))
        await self._fail(script, "after_head")
        if message.method == b"HEAD":
            return
        if length is None and script.framing == "chunked":
            body = wire.chunk(body, script.chunk_extension) + wire.last_chunk(script.trailers)
        if script.failure is not None and script.failure.when == "token":
            await self._write(script, body[: len(body) // 2])
            await self._break(script, body[len(body) // 2 :])
        await self._write(script, body)

    async def _play_stream(self, ask: Ask, script: Script, seen: Seen) -> None:
        headers = [("content-type", "text/event-stream; charset=utf-8")]
        length = None
        if script.framing == "length":
            events = dialect.stream(ask, script, seen.number)
            length = sum(len(wire.event(event.data, crlf=script.crlf)) for event in events)
        await self._write(script, wire.head(script.status, headers, script=script, length=length))
        await self._fail(script, "after_head")
        if script.first_token_delay_s:
            await asyncio.sleep(script.first_token_delay_s)
        held: list[bytes] = []
        for event in dialect.stream(ask, script, seen.number):
            piece = wire.event(event.data, crlf=script.crlf)
            if event.token:
                await self._before_token(script, seen, piece)
            held.append(piece)
            if script.pack == "joined" and len(held) < 4 and event.data != "[DONE]":
                seen.output += event.token
                continue
            await self._write_body(script, b"".join(held))
            seen.output += event.token
            held.clear()
        if held:
            await self._write_body(script, b"".join(held))
        await self._fail_at(script, seen, b": the end\n\n")
        if script.end_delay_s:
            await asyncio.sleep(script.end_delay_s)
        if script.framing == "chunked":
            await self._write(script, wire.last_chunk(script.trailers))

    async def _before_token(self, script: Script, seen: Seen, piece: bytes) -> None:
        await self._fail_at(script, seen, piece)
        if script.pace_s and seen.output:
            await asyncio.sleep(script.pace_s)
        if script.pings:
            end = "\r\n" if script.crlf else "\n"
            await self._write_body(script, f": ping{end}{end}".encode())

    async def _fail_at(self, script: Script, seen: Seen, piece: bytes) -> None:
        failure = script.failure
        if failure is not None and failure.when == "token" and failure.token == seen.output:
            await self._break(script, piece)

    async def _write_body(self, script: Script, data: bytes) -> None:
        for piece in wire.pack(data, script.pack):
            is_chunked = script.framing == "chunked"
            framed = wire.chunk(piece, script.chunk_extension) if is_chunked else piece
            await self._write(script, framed)

    async def _write(self, script: Script, data: bytes) -> None:
        size = script.write_bytes or len(data) or 1
        for start in range(0, len(data), size):
            if not self._writable.is_set():
                await self._writable.wait()
            if self._transport.is_closing():
                raise asyncio.CancelledError
            self._transport.write(data[start : start + size])
            if script.write_bytes:
                await asyncio.sleep(0)

    async def _fail(self, script: Script, when: str) -> None:
        if script.failure is not None and script.failure.when == when:
            await self._break(script, b"data: {}\n\n")

    async def _break(self, script: Script, piece: bytes) -> None:
        """Carry out the failure of the script; `piece` is what would have come next."""
        assert script.failure is not None
        how = script.failure.how
        if how == "stall":
            await asyncio.get_running_loop().create_future()
        if how == "error_event":
            text = json.dumps(dialect.error(500))
            await self._write_body(script, wire.event(text, crlf=script.crlf))
            if script.framing == "chunked":
                await self._write(script, wire.last_chunk({}))
        elif how in ("half_chunk_reset", "half_chunk_close"):
            framed = wire.chunk(piece)
            await self._write(script, framed[: len(framed) // 2])
        if how in ("reset", "half_chunk_reset"):
            # A reset throws away what the kernel has not sent yet: let the client read it first.
            await asyncio.sleep(0.01)
            self.reset()
        else:
            self._transport.close()
        raise _Cut

    async def _play_raw(self, script: Script) -> None:
        for piece in script.raw or ():
            await self._write(script, piece.encode("latin-1"))
            await asyncio.sleep(0.002)
        if not script.raw_stay:
            self._transport.close()
            raise _Cut


def _dup(sock: Any) -> int:
    return socket.dup(sock.fileno())
