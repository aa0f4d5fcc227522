"""The far ends of a worker's connections, which a test plays: a client, and an upstream.

Nothing happens by itself: a client's bytes go in through `Client.send`, an upstream's through
`Upstream.give`. What the plane writes to them is noted in the worker's `effects`.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from towplane.gateway.connection import Connection
from towplane.tenants.events import Event
from towplane.testing.framing import Message, MessageReader
from towplane.testing.memory import MemoryTransport
from towplane.testing.wire import post

if TYPE_CHECKING:
    from towplane.testing.hall import Worker

__all__ = ["Client", "Effect", "Upstream"]


class Effect(NamedTuple):
    """Something that left the line."""

    where: Literal["journal", "upstream", "client"]
    what: Event | bytes


class Upstream:
    """The far end of one connection to an upstream."""

    def __init__(self, worker: "Worker", host: str, protocol: asyncio.Protocol) -> None:
        self.host = host
        self.requests: list[Message] = []
        self._worker = worker
        self._protocol = protocol
        self._reader = MessageReader("request")
        self.transport = MemoryTransport(self._take, self._lose)
        protocol.connection_made(self.transport)

    def give(self, *pieces: bytes) -> None:
        """Bytes arrive at the plane, each piece as one read; none once it has closed."""
        for piece in pieces:
            if not self.transport.is_closed:
                self._protocol.data_received(piece)
        self._worker.fleet.turn(1)

    def close(self, error: Exception | None = None) -> None:
        """The upstream closes, or resets with an error."""
        if not self.transport.is_closed:
            self.transport.is_closed = True
            self._protocol.connection_lost(error)
            self._worker.fleet.turn(1)

    def _take(self, data: bytes) -> None:
        self._worker.effects.append(Effect("upstream", data))
        self.requests += self._reader.feed(data)

    def _lose(self) -> None:
        self._worker.loop.call_soon(self._protocol.connection_lost, None)


class Client:
    """A client's connection to one worker."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self.received = bytearray()
        """All that the plane wrote."""
        self.protocol = Connection(worker.hall)
        self.transport = MemoryTransport(self._take, self._lose)
        self.protocol.connection_made(self.transport)

    @property
    def is_over(self) -> bool:
        """The plane closed, or says that it will send no more."""
        return self.transport.is_closed or self.transport.is_ended

    def send(self, data: bytes) -> None:
        """Bytes arrive at the plane, unless it has closed."""
        if not self.transport.is_closed:
            self.protocol.data_received(data)
            self._worker.fleet.turn(1)

    def ask(self, **fields: Any) -> None:
        """A chat request for the model `m`; `fields` are added to its body."""
        self.send(post(self._worker.fleet.key, {"model": "m", "messages": []} | fields))

    def leave(self) -> None:
        """The client goes away."""
        if not self.transport.is_closed:
            self.transport.is_closed = True
            self.protocol.connection_lost(None)

    def answers(self, methods: Sequence[bytes] = ()) -> list[Message]:
        """What the plane wrote, read strictly; the last one may be incomplete."""
        reader = MessageReader("response")
        reader.methods.extend(methods)
        messages = reader.feed(bytes(self.received))
        if self.is_over and reader.current is not None and reader.current.close:
            with_end = _end(reader)
            messages += with_end
        elif reader.current is not None:
            messages.append(reader.current)
        return messages

    def answer(self) -> Message:
        """The only answer."""
        (found,) = self.answers()
        return found

    def _take(self, data: bytes) -> None:
        self._worker.effects.append(Effect("client", data))
        self.received += data

    def _lose(self) -> None:
        self._worker.loop.call_soon(self.protocol.connection_lost, None)


def _end(reader: MessageReader) -> list[Message]:
    """The message that the end of the connection completes; a broken one stays incomplete."""
    current = reader.current
    assert current is not None
    if any(name in dict(current.headers) for name in (b"content-length", b"transfer-encoding")):
        return [current]
    return reader.end()
