"""Answers of the plane's own: heads, and errors in the shape of the client's dialect.

Header values come from closed sets or from a parser that refuses control characters, so nothing a
stranger sends can break out of a head.
"""

import math
from http import HTTPStatus
from typing import Final

from towplane.parts.errors import CODES, PlaneError
from towplane.providers.ask import OPERATIONS, DialectName
from towplane.providers.dialects import dialect_of

_STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
DO_NOT_RETRY: Final = b"x-should-retry: false\r\n"
"""Honoured by OpenAI's and Anthropic's own clients, which otherwise retry every 429 and 5xx."""
_DIALECTS = {f"/v1{one.path}".encode(): one.dialect for one in OPERATIONS.values()}


def status_line(status: int) -> bytes:
    """`HTTP/1.1 200 OK`, with its line end; an unknown status has no phrase."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def status_of(error: PlaneError) -> int:
    """The HTTP status of an error; heads that are too large have their own."""
    if error.reason == "headers-too-large":
        return 431
    if error.reason == "method-not-allowed":
        return 405
    if error.reason in ("header-timeout", "body-timeout"):
        return 408
    if error.reason == "expectation-failed":
        return 417
    if error.reason == "content-encoding":
        return 415
    return CODES[error.code][0]


def dialect_at(path: bytes) -> DialectName:
    """The dialect of whoever asks at this path; OpenAI's where the path says nothing."""
    return _DIALECTS.get(path) or ("messages" if path.startswith(b"/v1/messages") else "chat")


def error_body(error: PlaneError, path: bytes = b"") -> bytes:
    """The error as the clients of this path expect it."""
    return dialect_of(dialect_at(path)).error_body(error)


def error_event(error: PlaneError, path: bytes) -> bytes:
    """The error inside a stream."""
    return dialect_of(dialect_at(path)).error_event(error)


def error_headers(error: PlaneError) -> bytes:
    """`x-towplane-reason`, when to come back, and whether that makes sense at all."""
    lines = b"x-towplane-reason: %b\r\n" % error.reason.encode()
    if error.after_s is not None:
        seconds, milliseconds = math.ceil(error.after_s), math.ceil(error.after_s * 1000)
        lines += b"retry-after: %d\r\n" % max(1, seconds)
        lines += b"retry-after-ms: %d\r\n" % max(1, milliseconds)  # official clients take it first
    if error.code == "over_budget" or error.retry == "never":
        lines += DO_NOT_RETRY
    return lines
