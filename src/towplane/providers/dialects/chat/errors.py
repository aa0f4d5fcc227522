"""Errors in the shape that OpenAI's clients expect."""

import msgspec

from towplane.parts.errors import BadRequest, PlaneError

__all__ = ["error_body", "error_event"]

_TYPES = {  # OpenAI's `error.type` by our code
    "bad_request": "invalid_request_error",
    "too_large": "invalid_request_error",
    "not_found": "invalid_request_error",
    "unauthorised": "invalid_request_error",
    "not_allowed": "permission_error",
    "over_budget": "insufficient_quota",
    "saturated": "rate_limit_error",
    "rate_limited": "rate_limit_error",
    "quota_exhausted": "insufficient_quota",
    "rejected": "invalid_request_error",
    "context_too_long": "invalid_request_error",
    "filtered": "invalid_request_error",
}
_CODES = {  # OpenAI's `error.code` where it has one
    "unauthorised": "invalid_api_key",
    "over_budget": "insufficient_quota",
    "saturated": "rate_limit_exceeded",
    "rate_limited": "rate_limit_exceeded",
    "quota_exhausted": "insufficient_quota",
    "context_too_long": "context_length_exceeded",
    "filtered": "content_filter",
}


class _Error(msgspec.Struct):
    message: str
    type: str
    param: str | None
    code: str | None


class _Envelope(msgspec.Struct):
    error: _Error


def error_body(error: PlaneError) -> bytes:
    """The error as the body of an answer."""
    message = f"{error.say} {error.next_step}".strip()
    param = error.param if isinstance(error, BadRequest) else None
    kind = _TYPES.get(error.code, "server_error")
    code = "model_not_found" if error.reason == "model-unknown" else _CODES.get(error.code)
    return msgspec.json.encode(_Envelope(_Error(message, kind, param, code or error.reason)))


def error_event(error: PlaneError) -> bytes:
    """The error inside a stream."""
    return b"data: " + error_body(error) + b"\n\n"
