"""AWS's event stream: binary frames out of bytes that may be cut anywhere.

    4 B total length · 4 B headers' length · 4 B CRC32 of these eight
    headers · payload · 4 B CRC32 of everything before it             (all big-endian)

Source: the Smithy specification "Amazon Event Stream", and botocore 1.44.5 `eventstream.py` for the
limits. Knows no JSON and no Bedrock. The law: a frame is given out only whole and only with both
sums right; whatever else the bytes are, they are a ProtocolError.
"""

from typing import NamedTuple
from zlib import crc32

from towplane.parts.errors import ProtocolError

__all__ = ["LONGEST_HEADERS", "LONGEST_PAYLOAD", "Frame", "FrameReader", "Head"]

LONGEST_HEADERS = 128 * 1024
LONGEST_PAYLOAD = 24 * 1024 * 1024
"""Both as botocore has them."""
_PRELUDE = 12
_FRAME = _PRELUDE + 4
_MOST_HEADS = 64
"""A stream has about ten kinds of headers, and each comes thousands of times."""


class Head(NamedTuple):
    """What the headers of a frame say."""

    kind: str
    """`event`, `exception` or `error`."""
    name: str
    """The event's type, the exception's type, or the error's code."""
    say: str = ""
    """Of an `error`: its message."""


class Frame(NamedTuple):
    """One message of the stream."""

    head: Head
    payload: bytes


class FrameReader:
    """Cuts frames out of a stream; one is made for each answer."""

    __slots__ = ("_buffer", "_wanted")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._wanted = 0
        """Bytes that must be there before it makes sense to look again."""

    @property
    def is_between(self) -> bool:
        """Whether the bytes so far end with a whole frame."""
        return not self._buffer

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are now complete. Raises ProtocolError."""
        buffer = self._buffer
        if buffer:
            buffer += data
            if len(buffer) < self._wanted:
                return []
            data = bytes(buffer)
            buffer.clear()
        frames: list[Frame] = []
        start, have = 0, len(data)
        while have - start >= _PRELUDE:
            total = _check_prelude(data, start)
            end = start + total
            if end > have:
                break
            frames.append(_read_frame(data, start, end))
            start = end
        if start < have:
            rest = have - start
            self._wanted = int.from_bytes(data[start : start + 4]) if rest >= _PRELUDE else _PRELUDE
            buffer += data[start:] if start else data
        return frames


def _check_prelude(data: bytes, start: int) -> int:
    """The length of the frame that begins here."""
    if crc32(data[start : start + 8]) != int.from_bytes(data[start + 8 : start + _PRELUDE]):
        raise _broken("the checksum of a frame's lengths is wrong")
    total = int.from_bytes(data[start : start + 4])
    headers = int.from_bytes(data[start + 4 : start + 8])
    payload = total - headers - _FRAME
    if payload < 0:
        raise _broken("a frame is shorter than its parts")
    if headers > LONGEST_HEADERS or payload > LONGEST_PAYLOAD:
        raise _broken("a frame is larger than the protocol allows")
    return total


def _read_frame(data: bytes, start: int, end: int) -> Frame:
    border = end - 4
    if crc32(data[start:border]) != int.from_bytes(data[border:end]):
        raise _broken("the checksum of a frame is wrong")
    begin = start + _PRELUDE
    middle = begin + int.from_bytes(data[start + 4 : start + 8])
    raw = data[begin:middle]
    head = _HEADS.get(raw)
    if head is None:
        head = _read_head(raw)
        if len(_HEADS) < _MOST_HEADS and len(raw) < 256:
            _HEADS[raw] = head
    return Frame(head, data[middle:border])


_HEADS: dict[bytes, Head] = {}
"""Headers that were read before; they repeat byte for byte."""


def _read_head(raw: bytes) -> Head:
    found = _read_headers(raw)
    kind = found.get(":message-type", "")
    match kind:
        case "event":
            return Head(kind, found.get(":event-type", ""))
        case "exception":
            return Head(kind, found.get(":exception-type", ""))
        case "error":
            return Head(kind, found.get(":error-code", ""), found.get(":error-message", ""))
    raise _broken(f"a frame is of the unknown kind {kind[:40]!r}")


_WIDTHS = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Types of a fixed width: true, false, byte, short, int, long, timestamp, UUID."""
_BYTES, _STRING = 6, 7


def _read_headers(raw: bytes) -> dict[str, str]:
    """The headers that are strings; values of other types are stepped over."""
    found: dict[str, str] = {}
    names: set[bytes] = set()
    at, end = 0, len(raw)
    while at < end:
        name_end = at + 1 + raw[at]
        name = raw[at + 1 : name_end]
        if name_end >= end or not name:
            raise _broken("a header has no type or no name")
        if name in names:
            raise _broken("a header stands twice in a frame")
        names.add(name)
        kind = raw[name_end]
        at = name_end + 1
        if kind in (_BYTES, _STRING):
            if at + 2 > end:
                raise _broken("a header is cut off")
            width = int.from_bytes(raw[at : at + 2])
            at += 2
        elif kind in _WIDTHS:
            width = _WIDTHS[kind]
        else:
            raise _broken(f"a header has the unknown type {kind}")
        if at + width > end:
            raise _broken("a header is cut off")
        if kind == _STRING:
            try:
                found[name.decode()] = raw[at : at + width].decode()
            except UnicodeDecodeError:
                raise _broken("a header is not UTF-8") from None
        at += width
    return found


def _broken(why: str) -> ProtocolError:
    return ProtocolError(f"The event stream is broken: {why}.", reason="upstream-protocol")
