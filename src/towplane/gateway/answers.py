"""Answers of the plane's own: heads, and errors in the shape of the client's dialect.

Header values come from closed sets or from a parser that refuses control characters, so nothing a
stranger sends can break out of a head.
"""

from http import HTTPStatus

import msgspec

from towplane.parts.errors import CODES, BadRequest, PlaneError

_STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
DO_NOT_RETRY = b"x-should-retry: false\r\n"
"""Honoured by OpenAI's own clients, which otherwise retry every 429 and 5xx."""

_TYPES = {  # OpenAI's `error.type` by our code
    "bad_request": "invalid_request_error",
    "too_large": "invalid_request_error",
    "not_found": "invalid_request_error",
    "unauthorised": "invalid_request_error",
    "not_allowed": "permission_error",
    "over_budget": "insufficient_quota",
    "saturated": "rate_limit_error",
    "rate_limited": "rate_limit_error",
    "rejected": "invalid_request_error",
}
_CODES = {  # OpenAI's `error.code` where it has one
    "unauthorised": "invalid_api_key",
    "over_budget": "insufficient_quota",
    "saturated": "rate_limit_exceeded",
    "rate_limited": "rate_limit_exceeded",
}


class _Error(msgspec.Struct):
    message: str
    type: str
    param: str | None
    code: str | None


class _Envelope(msgspec.Struct):
    error: _Error


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


def error_body(error: PlaneError) -> bytes:
    """The error as OpenAI's clients expect it."""
    message = f"{error.say} {error.next_step}".strip()
    param = error.param if isinstance(error, BadRequest) else None
    kind = _TYPES.get(error.code, "server_error")
    code = "model_not_found" if error.reason == "model-unknown" else _CODES.get(error.code)
    return msgspec.json.encode(_Envelope(_Error(message, kind, param, code or error.reason)))


def error_headers(error: PlaneError) -> bytes:
    """`x-towplane-reason`, when to come back, and whether that makes sense at all."""
    lines = b"x-towplane-reason: %b\r\n" % error.reason.encode()
    if error.after_s is not None:
        lines += b"retry-after: %d\r\n" % max(1, round(error.after_s + 0.499))
    if error.code == "over_budget" or error.retry == "never":
        lines += DO_NOT_RETRY
    return lines
