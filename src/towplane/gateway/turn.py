"""What is written in one turn of the event loop goes out at its end, all connections together.

A write to a socket wakes whoever reads it, and on a busy machine the kernel then lets that process
run at once: with a write in the middle of each request, the worker is put aside twice a request and
comes back to cold caches. So the requests and answers of one turn are worked through first, and
their bytes follow in one go. What one connection writes in a turn also becomes one system call.

An `Outgoing` stands for its transport and has the methods of it that the gateway uses. The law: a
connection whose write fails is dropped, and the others' bytes go out all the same.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import cast

__all__ = ["Outgoing", "Turn"]

_log = logging.getLogger("towplane.gateway")


class Turn:
    """The connections that have something to write in this turn."""

    __slots__ = ("call_soon", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.call_soon: Callable[..., object] = loop.call_soon
        self.waiting: list[Outgoing] = []

    def wrap(self, transport: asyncio.BaseTransport) -> "Outgoing":
        """Stand between a connection and its transport."""
        return Outgoing(transport, self)

    def end(self) -> None:
        """Write everything; libuv runs what comes soon after all that was readable."""
        waiting, self.waiting = self.waiting, []
        for outgoing in waiting:
            try:
                outgoing.flush()
            except Exception:  # noqa: BLE001  # the door: no other connection may wait for this one
                if not outgoing.is_closing():  # else its peer has reset it in this very turn
                    _log.exception("a connection was dropped: writing to it failed")
                outgoing.abort()


class Outgoing:
    """A transport whose writes wait for the end of the turn."""

    __slots__ = ("_pieces", "_transport", "_turn", "is_closing", "pause_reading", "resume_reading")

    def __init__(self, transport: asyncio.BaseTransport, turn: Turn) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's own class
        self._turn = turn
        self._pieces: list[bytes] = []
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        """Write at the end of the turn."""
        pieces = self._pieces
        if not pieces:
            turn = self._turn
            if not turn.waiting:
                turn.call_soon(turn.end)
            turn.waiting.append(self)
        pieces.append(data)

    def writelines(self, pieces: Iterable[bytes]) -> None:
        """Write much, now, while it is in the processor's cache."""
        self._pieces += pieces
        self.flush()

    def flush(self) -> None:
        """Write now."""
        pieces = self._pieces
        if len(pieces) == 1:
            self._transport.write(pieces.pop())
        elif pieces:
            self._pieces = []
            self._transport.writelines(pieces)

    def can_write_eof(self) -> bool:
        """Whether the writing side can be closed alone."""
        return self._transport.can_write_eof()

    def write_eof(self) -> None:
        """Close the writing side, after what is written."""
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Close, after what is written."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Drop the connection and what is not written yet."""
        self._pieces.clear()
        self._transport.abort()

    def get_write_buffer_size(self) -> int:
        """Bytes that nobody has taken yet."""
        return self._transport.get_write_buffer_size() + sum(map(len, self._pieces))
