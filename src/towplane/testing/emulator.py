"""A server on a real socket for doubles of real APIs: HTTP and its faults, no API.

It reads requests with the strict reader of `testing.framing`, hands each to its `Emulator`, and
gives that a `Reply` to write with: whole answers, streams in chunks of any size, and everything
that goes wrong with a connection. One thread with one loop for each emulator; one request of a
connection at a time, in order. It knows no API and no billing beyond the `Book`.
"""

import asyncio
import contextlib
import random
import socket
import ssl
import struct
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from email.utils import formatdate
from typing import Any, ClassVar, Self, cast

import uvloop

from towplane.testing.book import Book
from towplane.testing.framing import (
    Malformed,
    Message,
    MessageReader,
    chunk,
    last_chunk,
    status_line,
)

__all__ = ["Cut", "Emulator", "Reply"]


class Cut(Exception):
    """The connection ends here, as it should."""


class Reply:
    """One answer, as it is written."""

    def __init__(self, transport: asyncio.Transport, writable: asyncio.Event) -> None:
        self._transport = transport
        self._writable = writable
        self._is_chunked = False
        self.shred: random.Random | None = None
        """Pieces of random size, each written alone."""
        self.cut_after: int | None = None
        """So many bytes of the body are written, then the connection is reset."""
        self._sent = 0

    async def whole(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """An answer in one piece."""
        await self.write(_head(status, [*headers, ("content-length", str(len(body)))]))
        await self._body(body)

    async def begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        """An answer of unknown length."""
        self._is_chunked = True
        await self.write(_head(status, [*headers, ("transfer-encoding", "chunked")]))

    async def more(self, data: bytes) -> None:
        """A piece of it."""
        await self._body(data)

    async def end(self) -> None:
        """Its end."""
        await self.write(last_chunk({}))

    async def write(self, data: bytes) -> None:
        """Bytes as they are, once the client takes them."""
        if not data:
            return
        if not self._writable.is_set():
            await self._writable.wait()
        if self._transport.is_closing():
            raise asyncio.CancelledError
        self._transport.write(data)

    async def reset(self) -> None:
        """A TCP reset, once the client has read what was written."""
        await asyncio.sleep(0.01)  # a reset throws away what the kernel has not sent yet
        _reset(self._transport)
        raise Cut

    async def close(self) -> None:
        """An orderly close in the middle."""
        self._transport.close()
        raise Cut

    def abort(self) -> None:
        """A TCP reset, now: for whoever cancels the answer."""
        _reset(self._transport)

    async def stall(self) -> None:
        """Silence until the client goes."""
        await asyncio.get_running_loop().create_future()

    async def _body(self, data: bytes) -> None:
        for piece in self._pieces(data):
            room = None if self.cut_after is None else self.cut_after - self._sent
            if room is not None and room <= len(piece):
                await self.write(chunk(piece[:room]) if self._is_chunked else piece[:room])
                await self.reset()
            self._sent += len(piece)
            await self.write(chunk(piece) if self._is_chunked else piece)
            if self.shred is not None:
                await asyncio.sleep(0)

    def _pieces(self, data: bytes) -> list[bytes]:
        if self.shred is None:
            return [data] if data else []
        found, start = [], 0
        while start < len(data):
            size = self.shred.randint(1, 40)
            found.append(data[start : start + size])
            start += size
        return found


class Emulator(ABC):
    """A double of an API, on loopback, in a thread of its own."""

    resets: ClassVar[bool] = False
    """A kill throws away what the kernel has not sent yet."""

    def __init__(
        self,
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        read_pause_s: float = 0.0,
        backlog: int = 4096,
    ) -> None:
        self.port = port
        self.tls = tls
        self.read_pause_s = read_pause_s
        """A pause after each read of a request: a slow reader."""
        self.book = Book()
        self.received: deque[Message] = deque(maxlen=16)
        """The last requests, as they came."""
        self.connections: set[_Connection] = set()
        self._backlog = backlog
        self._loop = uvloop.new_event_loop()
        self._server: asyncio.AbstractServer | None = None
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    @abstractmethod
    async def answer(self, message: Message, reply: Reply) -> None:
        """Answer one request. Cancelled when the client goes away."""

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

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

    def kill(self) -> None:
        """Die as a process does: no listener, and no connection."""
        self._call(self._shut())

    def revive(self) -> None:
        """Listen again, on the same port."""
        self._call(self._listen())

    def drop_idle(self) -> None:
        """Close the connections that have no request, as a server's idle timeout does."""

        async def drop() -> None:
            for connection in tuple(self.connections):
                connection.close_if_idle()

        self._call(drop())

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
        tasks = [one.task for one in self.connections if one.task]
        for connection in tuple(self.connections):
            connection.abort(resets=self.resets)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.tls is not None:
            await asyncio.sleep(0.1)  # a handshake that failed ends in uvloop without us


class _Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._reader = MessageReader("request", on_head=self._head_seen)
        self._waiting: deque[Message] = deque()
        self._transport: asyncio.Transport
        self._writable = asyncio.Event()
        self._writable.set()
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._emulator.connections.add(self)
        self._emulator.book.connections_open += 1
        self._emulator.book.connections_total += 1

    def data_received(self, data: bytes) -> None:
        try:
            self._waiting.extend(self._reader.feed(data))
        except Malformed as problem:
            self._emulator.book.malformed.append(f"{problem}: {data[:200]!r}")
            self._transport.abort()
            return
        if self._emulator.read_pause_s:
            self._transport.pause_reading()
            loop = asyncio.get_running_loop()
            loop.call_later(self._emulator.read_pause_s, self._resume_reading)
        if self._waiting and self.task is None:
            self.task = asyncio.get_running_loop().create_task(self._serve())

    def connection_lost(self, _error: Exception | None) -> None:
        self._emulator.connections.discard(self)
        self._emulator.book.connections_open -= 1
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def abort(self, *, resets: bool) -> None:
        """Lose the connection now."""
        if resets:
            _reset(self._transport)
        else:
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
                self._emulator.received.append(message)
                await self._emulator.answer(message, Reply(self._transport, self._writable))
                if message.close:
                    self._transport.close()
                    break
        except Cut:
            pass
        finally:
            self.task = None


def _head(status: int, headers: list[tuple[str, str]]) -> bytes:
    lines = [status_line(status), f"date: {formatdate(time.time(), usegmt=True)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _reset(transport: asyncio.Transport) -> None:
    found = transport.get_extra_info("socket")
    if found is not None:
        with contextlib.suppress(OSError), socket.socket(fileno=socket.dup(found.fileno())) as own:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
