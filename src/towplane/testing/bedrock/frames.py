"""Writes frames of AWS's event stream; the mirror of `providers/bedrock/eventstream.py`, from the
specification, sharing nothing with it. No socket here."""

import base64
import binascii
import json
import random
import struct
import uuid
from typing import Any

__all__ = ["Header", "chunk_frame", "error_frame", "event_frame", "exception_frame", "frame"]

Header = tuple[str, int, Any]
"""Name, type and value; the types are those of the specification, 0 to 9."""
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def frame(headers: list[Header], payload: bytes) -> bytes:
    """One message with both of its checksums."""
    head = b"".join(_header(*header) for header in headers)
    lengths = struct.pack("!II", 16 + len(head) + len(payload), len(head))
    body = lengths + struct.pack("!I", binascii.crc32(lengths)) + head + payload
    return body + struct.pack("!I", binascii.crc32(body))


def event_frame(name: str, value: dict[str, Any], *, padding: random.Random | None = None) -> bytes:
    """An event; with `padding` its payload has the field `p`, as the original's has."""
    if padding is not None:
        value = {**value, "p": _LETTERS[: padding.randrange(1, len(_LETTERS))]}
    headers: list[Header] = [
        (":event-type", 7, name),
        (":content-type", 7, "application/json"),
        (":message-type", 7, "event"),
    ]
    return frame(headers, _dump(value))


def chunk_frame(value: dict[str, Any], *, padding: random.Random | None = None) -> bytes:
    """An event of InvokeModelWithResponseStream: the model's own event in base64."""
    return event_frame("chunk", {"bytes": base64.b64encode(_dump(value)).decode()}, padding=padding)


def exception_frame(name: str, value: dict[str, Any]) -> bytes:
    """A modelled exception; in a stream its name begins in lower case."""
    headers: list[Header] = [
        (":exception-type", 7, name[:1].lower() + name[1:]),
        (":content-type", 7, "application/json"),
        (":message-type", 7, "exception"),
    ]
    return frame(headers, _dump(value))


def error_frame(code: str, message: str) -> bytes:
    """An unmodelled error, which has no payload."""
    headers: list[Header] = [
        (":error-code", 7, code),
        (":error-message", 7, message),
        (":message-type", 7, "error"),
    ]
    return frame(headers, b"")


def _header(name: str, kind: int, value: Any) -> bytes:
    said = name.encode()
    return struct.pack("!B", len(said)) + said + struct.pack("!B", kind) + _value(kind, value)


def _value(kind: int, value: Any) -> bytes:
    if kind in (0, 1):  # true, false
        return b""
    if kind in (2, 3, 4, 5, 8):
        return struct.pack({2: "!b", 3: "!h", 4: "!i", 5: "!q", 8: "!q"}[kind], value)
    if kind == 9:
        assert isinstance(value, uuid.UUID)
        return value.bytes
    raw: bytes = value.encode() if kind == 7 else value
    return struct.pack("!H", len(raw)) + raw


def _dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
