"""Plays a hostile case against a serving port and says what came of it, and what was wrong.

`play` knows sockets and no expectations; `judge` knows expectations and no sockets.
"""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field

from towplane.testing.framing import Malformed, Message, MessageReader
from towplane.testing.hostile.case import KEY, MAYBE, TAG, Act, Case
from towplane.testing.memory import MemoryPlane

__all__ = ["Outcome", "fill", "judge", "play", "play_in_memory", "tag_of"]

PATIENCE_S = 15.0
"""A case that takes longer hangs. Far above every timeout of the plane under test."""
_READ_BYTES = 64 * 1024
"""More than this does not come in one read."""
QUIET_S = 0.05
"""After the last answer that is due: how long to look for one too many."""


@dataclass(slots=True)
class Outcome:
    """What the client saw."""

    answers: list[Message] = field(default_factory=list)
    closed: bool = False
    """The plane closed the connection, or the client did as the case says."""
    malformed: str = ""
    hung: bool = False

    @property
    def statuses(self) -> list[int]:
        """The statuses of the final answers, in order."""
        return [answer.status for answer in self.answers if answer.status >= 200]


def tag_of(number: int) -> bytes:
    """The tag of the case with that number, as long as `TAG` and never the same."""
    return b"case-%04d" % (number + 1)


async def play(case: Case, host: str, port: int, *, key: str, tag: bytes) -> Outcome:
    """Send what the case says, read what comes."""
    outcome = Outcome()
    reader, writer = await asyncio.open_connection(host, port)
    _no_delay(writer)
    read = asyncio.ensure_future(_read(case, reader, outcome))
    with contextlib.suppress(ConnectionError):
        await _send(case, writer, key, tag)
    try:
        if writer.is_closing():
            outcome.closed = True
            read.cancel()
        else:
            await asyncio.wait_for(read, PATIENCE_S)
    except TimeoutError:
        outcome.hung = True
    finally:
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await read
        writer.transport.abort()
    return outcome


def judge(case: Case, outcome: Outcome, reached: int) -> list[str]:
    """What is wrong with an outcome; `reached` counts the case's requests seen upstream."""
    want, statuses = case.want, outcome.statuses
    wrong: list[str] = []
    if outcome.hung:
        wrong.append(f"hangs after {statuses}")
    if outcome.malformed:
        wrong.append(f"answers with malformed HTTP: {outcome.malformed}")
    due = statuses[: len(want.answers)]
    if any(status not in allowed for status, allowed in zip(due, want.answers, strict=False)):
        wrong.append(f"answers {statuses}")
    missing = len(want.answers) - len(due)
    if missing > (1 if want.silence else 0) and Act.CLOSE not in case.given:
        wrong.append(f"answers only {statuses}")
    extra = [status for status in statuses[len(want.answers) :] if status not in want.more]
    if extra:
        wrong.append(f"answers {extra} too much")
    if want.closes is True and not outcome.closed:
        wrong.append("leaves the connection open")
    if want.closes is False and outcome.closed:
        wrong.append("closes the connection")
    if want.upstream == MAYBE:
        least, most = 0, 1
    elif want.upstream is None:
        least = most = sum(status < 300 for status in statuses)
    else:
        least = most = want.upstream
    if not least <= reached <= most:
        wrong.append(f"reaches the upstream {reached} times, not {least} to {most}")
    return wrong


def fill(part: bytes, key: str, tag: bytes) -> bytes:
    """The bytes of a case with the marks replaced."""
    return part.replace(KEY, key.encode()).replace(b"$KEY", key.encode()).replace(TAG, tag)


async def _send(case: Case, writer: asyncio.StreamWriter, key: str, tag: bytes) -> None:
    size = 2**30
    for part in case.given:
        if isinstance(part, bytes):
            data = fill(part, key, tag)
            for start in range(0, len(data), size):
                writer.write(data[start : start + size])
                await writer.drain()
        elif part is Act.BITS:
            size = 1
        elif part is Act.PAUSE:
            await asyncio.sleep(0.05)
        elif part is Act.HALF_CLOSE:
            writer.write_eof()
        elif part is Act.CLOSE:
            writer.close()
        elif part is Act.RESET:
            linger = struct.pack("ii", 1, 0)
            _socket(writer).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.close()


async def _read(case: Case, reader: asyncio.StreamReader, outcome: Outcome) -> None:
    """Read until the plane closes, or until the answers that are due are there and it is quiet."""
    messages = MessageReader("response")
    first = next((part for part in case.given if isinstance(part, bytes)), b"")
    if first.startswith(b"HEAD "):
        messages.methods.append(b"HEAD")
    waits_for_close = case.want.closes is True
    while True:
        is_done = len(outcome.statuses) >= len(case.want.answers) and not waits_for_close
        try:
            data = await asyncio.wait_for(reader.read(65536), QUIET_S if is_done else None)
        except TimeoutError:
            return
        except ConnectionError:
            data = b""
        if not data:
            outcome.closed = True
            return
        try:
            outcome.answers += messages.feed(data)
        except Malformed as problem:
            outcome.malformed = f"{problem} in {data[:200]!r}"
            return


def _socket(writer: asyncio.StreamWriter) -> socket.socket:
    found: socket.socket = writer.get_extra_info("socket")
    return found


def _no_delay(writer: asyncio.StreamWriter) -> None:
    _socket(writer).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def play_in_memory(case: Case, plane: MemoryPlane, *, tag: bytes, cut: int = 0) -> Outcome:
    """The same without a socket, in virtual time; `cut` splits packets into so many bytes."""
    outcome = Outcome()
    client = plane.connect()
    gone = False
    for part in case.given:
        if isinstance(part, bytes):
            data = fill(part, plane.key, tag)
            size = cut or _READ_BYTES
            for start in range(0, len(data), size):
                client.send(data[start : start + size])
            plane.turn()
        elif part is Act.BITS:
            cut = 1
        elif part is Act.PAUSE:
            plane.wait(0.05)
        elif part is Act.HALF_CLOSE:
            client.end()
        elif part in (Act.CLOSE, Act.RESET):
            client.leave()
            gone = True
    plane.turn(10 * len(case.want.answers) + 10)
    if case.want.closes is True:
        for _ in range(50):
            if client.is_over:
                break
            plane.wait(0.5)
    outcome.closed = client.is_over
    outcome.hung = case.want.closes is True and not client.is_over and not gone
    first = next((part for part in case.given if isinstance(part, bytes)), b"")
    try:
        outcome.answers = client.answers([b"HEAD"] if first.startswith(b"HEAD ") else [])
    except Malformed as problem:
        outcome.malformed = f"{problem} in {bytes(client.received)[:200]!r}"
    client.leave()
    plane.turn()
    return outcome
