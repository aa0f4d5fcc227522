"""Errors in Anthropic's shape: written for clients, and read from providers that speak Messages.

    {"type": "error", "error": {"type": …, "message": …}, "request_id": …}

The types are those of the Claude API (docs "Errors"; anthropic 2.12.0 `types/shared/`). A failure
is judged by its type first and its status second, because inside a stream there is no status.
"""

import re

import msgspec

from towplane.parts.errors import (
    ContextTooLong,
    Denied,
    Filtered,
    Overloaded,
    PlaneError,
    QuotaExhausted,
    RateLimited,
    Rejected,
    ServerError,
    Unavailable,
    Upstream,
)

__all__ = ["ErrorSaid", "error_body", "error_event", "failure_of", "read_error"]

_TYPES = {  # Anthropic's `error.type` by our code; what is not here is `api_error`
    "bad_request": "invalid_request_error",
    "rejected": "invalid_request_error",
    "context_too_long": "invalid_request_error",
    "filtered": "invalid_request_error",
    "unsupported": "invalid_request_error",
    "conflict": "invalid_request_error",
    "unauthorised": "authentication_error",
    "not_allowed": "permission_error",
    "not_found": "not_found_error",
    "too_large": "request_too_large",
    "over_budget": "billing_error",
    "saturated": "rate_limit_error",
    "rate_limited": "rate_limit_error",
    "quota_exhausted": "rate_limit_error",
    "draining": "overloaded_error",
    "overloaded": "overloaded_error",
    "no_target": "overloaded_error",
    "not_ready": "overloaded_error",
    "timed_out": "timeout_error",
}
_LONGEST_SAY = 400
_TOO_LONG = "prompt is too long"
"""Anthropic's words; clients look for them before they shorten a conversation."""
_TOO_LONG_SIGNS = (_TOO_LONG, "exceed context limit", "exceeds the context window")
_QUOTA_SIGNS = ("credit balance is too low", "usage limits", "spend limit")
_FILTER_SIGNS = ("content filtering policy",)
_SECRET = re.compile(r"sk-ant-[A-Za-z0-9_-]+|Bearer\s+\S+")


class _Details(msgspec.Struct):
    error_code: str | None = None


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""
    details: _Details | None = None


class ErrorSaid(msgspec.Struct):
    """An error as a provider writes it."""

    error: _Error
    type: str = ""
    request_id: str | None = None


class _ErrorOut(msgspec.Struct):
    type: str
    message: str


class _Envelope(msgspec.Struct):
    type: str
    error: _ErrorOut
    request_id: str | None


_said = msgspec.json.Decoder(ErrorSaid)


def error_body(error: PlaneError) -> bytes:
    """The error as the body of an answer."""
    message = f"{error.say} {error.next_step}".strip()
    if error.code == "context_too_long" and _TOO_LONG not in message:
        message = f"{_TOO_LONG}: {message}"
    request_id = error.details.get("request_id")
    return msgspec.json.encode(
        _Envelope(
            "error",
            _ErrorOut(_TYPES.get(error.code, "api_error"), message),
            request_id if isinstance(request_id, str) else None,
        )
    )


def error_event(error: PlaneError) -> bytes:
    """The error inside a stream."""
    return b"event: error\ndata: " + error_body(error) + b"\n\n"


def read_error(body: bytes) -> ErrorSaid | None:
    """An error in this shape; None for anything else."""
    try:
        return _said.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def failure_of(said: ErrorSaid | None, target: str, status: int | None = None) -> Upstream:
    """The error that a provider reports; `status` is None inside a stream."""
    kind = said.error.type if said is not None else ""
    message = _clean(said.error.message) if said is not None else ""
    answered = f"answered {status}" if status is not None else "failed in its stream"
    say = f"{target} {answered}: {message}" if message else f"{target} {answered}."
    error = _error_of(kind, message, status, say)
    if said is not None:
        details = said.error.details
        code = details.error_code if details is not None else None
        if code is not None and ("spend_limit" in code or "billing" in code):
            error = _quota(say)
        error.provider_code = code or kind
        if said.request_id is not None:
            error.details = {"request_id": said.request_id}
    error.status = status
    return error


def _error_of(kind: str, message: str, status: int | None, say: str) -> Upstream:
    """One table: the type decides, or the status where the type says nothing."""
    match kind if kind in _KNOWN else _TYPE_OF_STATUS.get(status or 500, ""):
        case "invalid_request_error":
            return _request_error(message, status, say)
        case "not_found_error" if message.startswith("model:"):  # the document names it
            return Unavailable(say, reason="upstream-model-missing")
        case "request_too_large" | "not_found_error":
            return Rejected(say, reason="upstream-rejected")
        case "authentication_error" | "permission_error":
            return Denied(
                say,
                next_step="The vendor must check the credentials of this provider.",
                reason="upstream-denied",
            )
        case "billing_error":
            return _quota(say)
        case "rate_limit_error":
            return RateLimited(say, reason="upstream-rate-limited")
        case "overloaded_error":
            return Overloaded(say, reason="upstream-overloaded")
        case "api_error" | "timeout_error" | "conflict_error":
            return ServerError(say, reason="upstream-error")
    if status is not None and 400 <= status < 500 and status not in (408, 409):
        return Rejected(say, reason="upstream-rejected")
    return ServerError(say, reason="upstream-error")


_TYPE_OF_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",  # sent by the edge, often without JSON
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


_KNOWN = frozenset((*_TYPE_OF_STATUS.values(), "conflict_error"))


def _request_error(message: str, status: int | None, say: str) -> Upstream:
    """An `invalid_request_error` is what the message says: length, money and filters have no type
    of their own (texts as of 2026-11, from public reports of them)."""
    low = message.lower()
    if any(sign in low for sign in _TOO_LONG_SIGNS):
        return ContextTooLong(say, reason="upstream-context")
    if any(sign in low for sign in _QUOTA_SIGNS):
        return _quota(say)
    if any(sign in low for sign in _FILTER_SIGNS):
        return Filtered(say, reason="upstream-filtered")
    if status == 429:
        return RateLimited(say, reason="upstream-rate-limited")
    return Rejected(say, reason="upstream-rejected")


def _quota(say: str) -> QuotaExhausted:
    return QuotaExhausted(
        say,
        next_step="The vendor must look at its account with this provider.",
        reason="upstream-quota",
    )


def _clean(message: str) -> str:
    """The provider's words, short and without anything that looks like a key."""
    text = _SECRET.sub("…", message)
    return text if len(text) <= _LONGEST_SAY else f"{text[:_LONGEST_SAY]}…"
