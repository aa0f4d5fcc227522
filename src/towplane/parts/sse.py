"""Server-sent events as bytes: cut a stream at event borders, read the data of an event.

Law: the events of a stream are the same bytes however it was cut. Knows no JSON and no socket. An
event ends with a blank line; lines end with LF or CRLF (a lone CR, which the standard allows too,
is not used by any engine or provider and is not cut at).
"""

import re

from towplane.parts.errors import ProtocolError

__all__ = ["LONGEST_EVENT", "WholeEvents", "cut", "first_event"]

LONGEST_EVENT = 4 * 1024 * 1024
_BORDER = re.compile(rb"\r?\n\r?\n")


class WholeEvents:
    """Gives the events of one stream out whole, and keeps what has come of the next one."""

    __slots__ = ("_kept", "_longest")

    def __init__(self, longest: int = LONGEST_EVENT) -> None:
        """`longest`: of an event without its end, so many bytes are kept."""
        self._longest = longest
        self._kept = bytearray()
        """Grows in place: a long event in many small pieces is not copied with each of them."""

    def take(self, payload: bytes) -> bytes:
        """The events that are whole with this piece of the stream. Raises ProtocolError."""
        kept = self._kept
        if not kept and payload.endswith(b"\n\n"):
            return payload  # most reads: nothing to keep, nothing to copy
        known = len(kept)
        kept += payload
        end = cut(kept, known - 2 if known > 2 else 0)  # a border may have begun in what is kept
        if not end:
            if len(kept) > self._longest:
                say = f"One event of the stream is longer than {self._longest >> 20} MiB."
                raise ProtocolError(say)
            return b""
        events = bytes(kept[:end])
        del kept[:end]
        return events

    def rest(self) -> bytes:
        """What is kept, which is kept no longer: the stream is over."""
        rest = bytes(self._kept)
        self._kept.clear()
        return rest


def cut(buffer: bytes | bytearray, start: int = 0) -> int:
    """How many bytes of `buffer` are whole events; 0 if none ends behind `start`."""
    end = buffer.rfind(b"\n\n", start) + 2
    crlf = buffer.rfind(b"\n\r\n", end - 1 if end > 1 else start) + 3
    if crlf > 2:
        return crlf
    return end if end > 1 else 0


def first_event(block: bytes, start: int = 0) -> tuple[bytes, bytes]:
    """The event that begins at `start`: its bytes as they came, and its data.

    Data is empty for comments and for events without a `data` line; several lines are joined by LF.
    """
    border = _BORDER.search(block, start)
    raw = block[start : border.end() if border is not None else len(block)]
    return raw, _data(raw)


def _data(raw: bytes) -> bytes:
    if raw.startswith(b"data: ") and raw.find(b"\n") == len(raw) - 2 and raw[-3] != 0x0D:
        return raw[6:-2]  # one line ended by LF: nearly all there are
    lines = [
        line[5:].removeprefix(b" ")
        for line in raw.replace(b"\r\n", b"\n").split(b"\n")
        if line.startswith(b"data:")
    ]
    return b"\n".join(lines)
