"""Cuts a stream of Vertex AI into JSON documents, wherever its bytes were cut.

Three framings arrive: server-sent events (`alt=sse`, lines ended by CR LF or LF, no `[DONE]`); one
JSON array that grows (no `alt=sse`); and, in the middle of events, an error written as plain JSON
over several lines, in an array or not, as google-genai 3.4.0 `_api_client.py` expects it, too.
Law: the documents do not depend on how the bytes were cut. Knows no field of any document.
"""

import re

from towplane.parts.errors import ProtocolError

__all__ = ["LONGEST", "Frames"]

LONGEST = 64 * 1024 * 1024
"""Bytes of one document, as much as the plane takes of an answer that it must translate whole; a
picture of a few megabytes is one chunk."""
_OUTSIDE = re.compile(rb'["{}]')
_INSIDE = re.compile(rb'["\\]')


class Frames:
    """The documents of one stream."""

    __slots__ = ("_carry", "_data", "_objects")

    def __init__(self) -> None:
        self._carry = bytearray()
        """Of a line whose end has not come; it grows in place, however small the pieces are."""
        self._data: bytes | None = None
        """Of an event whose end has not come."""
        self._objects: _Objects | None = None
        """Set once the stream has turned out to be plain JSON."""

    def feed(self, payload: bytes) -> list[bytes]:
        """The documents that are whole now."""
        if self._objects is not None:
            return self._objects.feed(payload)
        if self._carry:
            self._carry += payload
            if b"\n" not in payload:  # a long line is looked at once
                _check_length(len(self._carry))
                return []
            payload = bytes(self._carry)
            self._carry.clear()
        found: list[bytes] = []
        data = self._data
        start = 0
        while (end := payload.find(b"\n", start)) >= 0:
            if payload.startswith(b"data:", start):
                line = payload[start + 5 : end].strip()
                data = line if data is None else data + b"\n" + line
            elif end - start <= 1 and payload[start] in b"\r\n":
                if data:
                    found.append(data)
                data = None
            elif payload[start:end].lstrip()[:1] in (b"{", b"["):
                return found + self._turn_plain(payload[start:])
            start = end + 1  # comments and other fields say nothing
        self._data = data
        if start < len(payload):
            self._carry += payload[start:]
            _check_length(len(payload) - start)
        return found

    def close(self) -> list[bytes]:
        """The stream is over: what its last line was. Raises ProtocolError if it was cut."""
        found = self.feed(b"\n\n") if self._objects is None else []
        if self._objects is not None and not self._objects.is_whole:
            raise ProtocolError("The stream ended within JSON.", reason="upstream-truncated")
        return found

    def _turn_plain(self, payload: bytes) -> list[bytes]:
        self._objects = _Objects()
        self._data = None
        return self._objects.feed(payload)


class _Objects:
    """The objects of plain JSON, in an array or one after the other."""

    __slots__ = ("_at", "_buffer", "_depth", "_in_string")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        """Up to here it has been looked at; the object that runs begins the buffer."""
        self._depth = 0
        self._in_string = False

    @property
    def is_whole(self) -> bool:
        return self._depth == 0

    def feed(self, payload: bytes) -> list[bytes]:
        buffer = self._buffer
        buffer += payload
        _check_length(len(buffer))
        found: list[bytes] = []
        at, start = self._at, 0
        while (sign := (_INSIDE if self._in_string else _OUTSIDE).search(buffer, at)) is not None:
            at = sign.end()
            match sign[0]:
                case b"\\":
                    if at == len(buffer):
                        at -= 1  # what it escapes has not come
                        break
                    at += 1
                case b'"':
                    self._in_string = not self._in_string
                case b"{":
                    if self._depth == 0:
                        start = at - 1
                    self._depth += 1
                case _ if self._depth:
                    self._depth -= 1
                    if self._depth == 0:
                        found.append(bytes(buffer[start:at]))
                        start = at
        else:
            at = len(buffer)
        del buffer[: start if self._depth else at]
        self._at = at - start if self._depth else 0
        return found


def _check_length(length: int) -> None:
    if length > LONGEST:
        raise ProtocolError("One event of the stream is too long.", reason="upstream-protocol")
