"""What one turn of the loop wrote goes out at its end, whatever becomes of one connection."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from towplane.gateway.turn import Outgoing, Turn


class Loop:
    """Keeps what shall run soon."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def come_round(self) -> None:
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()


class Transport:
    """Notes what is written, unless it fails."""

    def __init__(
        self, written: list[bytes], trouble: Exception | None = None, *, is_closed: bool = False
    ) -> None:
        self.written = written
        self.trouble = trouble
        self.is_closed = is_closed
        self.is_aborted = False

    def write(self, data: bytes) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.written.append(data)

    def writelines(self, pieces: list[bytes]) -> None:
        self.write(b"".join(pieces))

    def is_closing(self) -> bool:
        return self.is_closed

    def abort(self) -> None:
        self.is_aborted = True

    def __getattr__(self, name: str) -> Any:  # what an Outgoing hands through and never calls here
        return None


def outgoing(turn: Turn, transport: Transport) -> Outgoing:
    return turn.wrap(cast(asyncio.Transport, transport))


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def turn(loop: Loop) -> Turn:
    return Turn(cast(asyncio.AbstractEventLoop, loop))


def test_nothing_is_written_before_the_turn_ends_and_each_connection_once(
    loop: Loop, turn: Turn
) -> None:
    written: list[bytes] = []
    one, other = (outgoing(turn, Transport(written)) for _ in range(2))
    one.write(b"a")
    other.write(b"b")
    one.write(b"c")
    assert written == []
    assert len(loop.soon) == 1
    loop.come_round()
    assert written == [b"ac", b"b"]
    assert loop.soon == []


@pytest.mark.parametrize("pieces", [[b"x"], [b"x", b"y"]])
def test_a_write_that_fails_holds_back_no_other_and_drops_its_connection(
    loop: Loop, turn: Turn, pieces: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    written: list[bytes] = []
    broken = Transport(written, trouble=RuntimeError("no"))
    first, failing, last = (
        outgoing(turn, transport) for transport in (Transport(written), broken, Transport(written))
    )
    first.write(b"1")
    for piece in pieces:
        failing.write(piece)
    last.write(b"3")
    loop.come_round()
    assert written == [b"1", b"3"]
    assert broken.is_aborted
    assert "writing to it failed" in caplog.text
    loop.come_round()
    assert written == [b"1", b"3"]


def test_a_peer_that_leaves_before_the_turn_ends_is_nobodys_fault(
    loop: Loop, turn: Turn, caplog: pytest.LogCaptureFixture
) -> None:
    """The write comes too late, and the log says nothing of it."""
    left = Transport([], trouble=RuntimeError("the handler is closed"), is_closed=True)
    outgoing(turn, left).write(b"1")
    loop.come_round()
    assert left.is_aborted
    assert not caplog.records


def test_what_is_written_while_a_turn_ends_goes_out_with_the_next(loop: Loop, turn: Turn) -> None:
    written: list[bytes] = []
    answering = outgoing(turn, Transport(written))

    class Echoing(Transport):
        def write(self, data: bytes) -> None:
            super().write(data)
            answering.write(b"later")

    outgoing(turn, Echoing(written)).write(b"now")
    loop.come_round()
    assert written == [b"now"]
    loop.come_round()
    assert written == [b"now", b"later"]
