"""A strict reader of HTTP/1.1 messages, for judging what the plane puts on the wire; and the lines
and chunks that doubles write.

The reader is written from RFC 9112 alone and shares nothing with the plane's own parser, so that
the two do not make the same mistake. It knows no socket: bytes go in, messages come out. Whatever a
careful peer would not send is `Malformed`.
"""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

__all__ = ["Malformed", "Message", "MessageReader", "chunk", "last_chunk", "status_line"]

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_REQUEST = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP/1\.([01])")
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2}) ?([\t\x20-\x7e\x80-\xff]*)")
_CHUNK = re.compile(rb"(0*[0-9A-Fa-f]{1,15})((?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?)")


class Malformed(ValueError):
    """The bytes are not what a careful peer sends."""


@dataclass(slots=True)
class Message:
    """One request or response."""

    start: bytes
    headers: list[tuple[bytes, bytes]]
    """Names in lower case, in order, as many as were sent."""
    method: bytes = b""
    path: bytes = b""
    status: int = 0
    minor: int = 1
    body: bytearray = field(default_factory=bytearray)
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    complete: bool = False
    close: bool = False
    """The connection ends after this message."""

    def get(self, name: bytes, default: bytes = b"") -> bytes:
        """The first header of that (lower-case) name."""
        return next((value for key, value in self.headers if key == name), default)

    def all(self, name: bytes) -> list[bytes]:
        """Every header of that (lower-case) name."""
        return [value for key, value in self.headers if key == name]


class MessageReader:
    """Reads the messages of one direction of a connection, one after the other."""

    def __init__(
        self,
        kind: Literal["request", "response"],
        *,
        on_head: Callable[[Message], None] | None = None,
        on_data: Callable[[Message, bytes], None] | None = None,
    ) -> None:
        self.kind = kind
        self.methods: deque[bytes] = deque()
        """For responses: the methods asked, in order; an answer to HEAD has no body."""
        self.current: Message | None = None
        """The message that is being read, once its head is there."""
        self._on_head = on_head
        self._on_data = on_data
        self._buffer = bytearray()
        self._done: list[Message] = []
        self._step: Callable[[], bool] = self._read_head
        self._left = 0

    def feed(self, data: bytes) -> list[Message]:
        """Take bytes; answer the messages that are now complete."""
        self._buffer += data
        while self._step():
            pass
        done, self._done = self._done, []
        return done

    def end(self) -> list[Message]:
        """The peer has closed; answer the message that the close completes, if it may."""
        if self._step == self._read_until_close and self.current is not None:
            self._finish()
        elif self.current is not None or self._buffer:
            raise Malformed("the connection ends inside a message")
        done, self._done = self._done, []
        return done

    def _line(self) -> bytes | None:
        at = self._buffer.find(b"\n")
        if at < 0:
            return None
        if at == 0 or self._buffer[at - 1] != 0x0D:
            raise Malformed("a line ends with a bare LF")
        line = bytes(self._buffer[: at - 1])
        if b"\r" in line:
            raise Malformed("a bare CR inside a line")
        del self._buffer[: at + 1]
        return line

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        message = self._start(lines[0])
        message.headers = [_header(line) for line in lines[1:]]
        self.current = message
        self._frame(message)
        if self._on_head is not None:
            self._on_head(message)
        if self._step == self._read_head:
            self._finish()
        return True

    def _start(self, line: bytes) -> Message:
        if self.kind == "request":
            match = _REQUEST.fullmatch(line)
            if match is None:
                raise Malformed(f"not a request line: {line[:80]!r}")
            return Message(line, [], match[1], match[2], minor=int(match[3]))
        match = _STATUS.fullmatch(line)
        if match is None:
            raise Malformed(f"not a status line: {line[:80]!r}")
        return Message(line, [], status=int(match[2]), minor=int(match[1]))

    def _frame(self, message: Message) -> None:
        lengths = message.all(b"content-length")
        codings = message.all(b"transfer-encoding")
        tokens = b",".join(message.all(b"connection")).lower().replace(b" ", b"").split(b",")
        message.close = b"close" in tokens or (message.minor == 0 and b"keep-alive" not in tokens)
        if lengths and codings:
            raise Malformed("Content-Length beside Transfer-Encoding")
        if len(lengths) > 1 or len(codings) > 1:
            raise Malformed("more than one framing header")
        if lengths and re.fullmatch(rb"[0-9]{1,18}", lengths[0]) is None:
            raise Malformed(f"not a length: {lengths[0]!r}")
        if codings and (codings[0].lower() != b"chunked" or message.minor == 0):
            raise Malformed(f"not a transfer coding: {codings[0]!r}")
        if self.kind == "request":
            if message.minor == 1 and len(message.all(b"host")) != 1:
                raise Malformed("not exactly one Host")
        elif self._is_bodiless(message):
            self._left, self._step = 0, self._read_head
            return
        if codings:
            self._step = self._read_chunk_size
        elif lengths:
            self._left = int(lengths[0])
            self._step = self._read_length if self._left else self._read_head
        elif self.kind == "response":
            message.close = True
            self._step = self._read_until_close

    def _is_bodiless(self, message: Message) -> bool:
        if 100 <= message.status < 200:
            return True
        method = self.methods.popleft() if self.methods else b"GET"
        return method == b"HEAD" or message.status in (204, 304)

    def _take(self, data: bytes) -> None:
        assert self.current is not None
        self.current.body += data
        if self._on_data is not None:
            self._on_data(self.current, data)

    def _read_length(self) -> bool:
        if not self._buffer:
            return False
        data = bytes(self._buffer[: self._left])
        del self._buffer[: len(data)]
        self._left -= len(data)
        self._take(data)
        if self._left == 0:
            self._finish()
        return True

    def _read_until_close(self) -> bool:
        if self._buffer:
            data = bytes(self._buffer)
            self._buffer.clear()
            self._take(data)
        return False

    def _read_chunk_size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        match = _CHUNK.fullmatch(line)
        if match is None:
            raise Malformed(f"not a chunk size: {line[:40]!r}")
        self._left = int(match[1], 16)
        self._step = self._read_chunk if self._left else self._read_trailer
        return True

    def _read_chunk(self) -> bool:
        if len(self._buffer) < self._left + 2:
            return False
        if self._buffer[self._left : self._left + 2] != b"\r\n":
            raise Malformed("a chunk does not end with CRLF")
        data = bytes(self._buffer[: self._left])
        del self._buffer[: self._left + 2]
        self._take(data)
        self._step = self._read_chunk_size
        return True

    def _read_trailer(self) -> bool:
        line = self._line()
        if line is None:
            return False
        assert self.current is not None
        if line:
            self.current.trailers.append(_header(line))
        else:
            self._finish()
        return True

    def _finish(self) -> None:
        assert self.current is not None
        self.current.complete = True
        self._done.append(self.current)
        self.current = None
        self._step = self._read_head


def status_line(status: int, version: str = "1.1") -> str:
    """How a head begins."""
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Overloaded" if status == 529 else "Unknown"
    return f"HTTP/{version} {status} {reason}"


def chunk(data: bytes, extension: str = "") -> bytes:
    """One chunk of a body."""
    return b"%x%s\r\n%s\r\n" % (len(data), extension.encode("latin-1"), data)


def last_chunk(trailers: dict[str, str]) -> bytes:
    """The end of a chunked body."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in trailers.items())
    return b"0\r\n" + lines.encode("latin-1") + b"\r\n"


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or _TOKEN.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
        raise Malformed(f"not a header: {line[:80]!r}")
    return name.lower(), value.strip(b" \t")
