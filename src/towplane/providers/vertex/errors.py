"""What a failure of Vertex AI means: one table from `google.rpc.Status` to the error tree.

The same endpoints answer in four shapes: Google's object, the same in an array of one, Anthropic's
object (Claude) and OpenAI's (the compatible endpoint). Google says when to come back in the body
(`RetryInfo.retryDelay`), not in a header. Names of projects and keys are taken out of what is
said on. Sources: google.rpc `code.proto` and `error_details.proto`; texts of messages from public
reports of them, 2025-2026.
"""

import re

import msgspec

from towplane.parts.errors import (
    ContextTooLong,
    Denied,
    Filtered,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Rejected,
    ServerError,
    Unavailable,
    Upstream,
)
from towplane.providers.adapter import Fields
from towplane.providers.retry_after import read_retry_after
from towplane.providers.vertex.wire import Detail, Failure, is_there

__all__ = ["failure_inside", "judge"]

_LONGEST_SAY = 300
_LONGEST_DELAY_S = 86_400.0
_SECRET = re.compile(r"AIza[\w-]+|ya29\.[\w.-]+|Bearer \S+|(?<=projects/)[^/\s`'\"]+")
"""API keys, tokens, and the project's name or number, which is nobody's business."""
_TOO_LONG = re.compile(
    r"token count .*exceeds|exceeds? the (maximum|model's) .*tokens?|prompt is too long"
    r"|context[ _]length|context window",
    re.IGNORECASE,
)
"""As `The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).`"""
_FILTERED = re.compile(r"Responsible AI|content filter|safety filter|blocked by", re.IGNORECASE)
_DAILY = re.compile(r"per_?day|daily", re.IGNORECASE)
"""In a quota's id, metric or message: GenerateRequestsPerDayPerProjectPerModel, `…_per_day`."""
_DURATION = re.compile(r"(\d+(?:\.\d+)?)s")

_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "OUT_OF_RANGE",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}
"""By HTTP status (google.rpc `code.proto`; 529 is Anthropic's), where the body names none."""


class _Envelope(msgspec.Struct):
    error: Failure | str | None = None
    type: str = ""


_one = msgspec.json.Decoder(_Envelope)
_many = msgspec.json.Decoder(list[_Envelope])
_failure = msgspec.json.Decoder(Failure)
_details = msgspec.json.Decoder(list[Detail])


def judge(status: int, fields: Fields, body: bytes, target: str) -> Upstream:
    """The error of an answer with a status from 400 on."""
    envelope = _read(body)
    after_s = read_retry_after(fields)
    if envelope is not None and envelope.type == "error":
        error = _judge_claude(status, body, target)
        error.after_s = after_s
    else:
        said = envelope.error if envelope is not None else None
        failure = Failure(message=said) if isinstance(said, str) else said or Failure()
        error = _error_of(failure, status, target, after_s)
    error.status, error.body = status, body
    return error


def failure_inside(raw: bytes, target: str) -> Upstream:
    """The error of an object `error` inside a 200."""
    try:
        failure = _failure.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        failure = Failure()
    status = failure.code if isinstance(failure.code, int) else 500
    error = _error_of(failure, status if status >= 400 else 500, target, None)
    error.in_stream, error.body = True, bytes(raw)
    return error


def _read(body: bytes) -> _Envelope | None:
    try:
        if body.lstrip()[:1] == b"[":
            return next((one for one in _many.decode(body) if one.error is not None), None)
        return _one.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _judge_claude(status: int, body: bytes, target: str) -> Upstream:
    from towplane.providers.dialects.messages import errors  # loaded for Claude alone

    error = errors.failure_of(errors.read_error(body), target, status)
    error.say = _SECRET.sub("…", error.say)
    return error


def _error_of(failure: Failure, status: int, target: str, after_s: float | None) -> Upstream:
    details = _details_of(failure)
    name = failure.status if failure.status in _KNOWN else _NAMES.get(status, "")
    reason = next((detail.reason for detail in details if detail.reason), "")
    say = _say(failure, status, target)
    error: Upstream
    if name in ("UNAUTHENTICATED", "PERMISSION_DENIED") or reason == "API_KEY_INVALID":
        error = Denied(
            f"{target} refused the plane's credentials ({reason or status}).",
            next_step="The vendor must check the credentials of this provider.",
            reason="upstream-denied",
        )
    elif name == "RESOURCE_EXHAUSTED":
        error = _limit_of(failure, details, say)
    elif name == "UNAVAILABLE":
        error = Overloaded(say, reason="upstream-overloaded")
    elif name in _REQUEST_WRONG or (not name and status < 500):
        error = _rejected(failure, name, say)
    else:
        error = ServerError(say, reason="upstream-error")
    error.after_s = _delay_of(details, after_s)
    error.provider_code = reason or failure.status or _word(failure)
    error.status = status
    return error


_REQUEST_WRONG = ("INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE", "NOT_FOUND",
                  "ALREADY_EXISTS", "UNIMPLEMENTED")  # fmt: skip
_KNOWN = frozenset((*_REQUEST_WRONG, *_NAMES.values(), "UNKNOWN", "DATA_LOSS"))


def _limit_of(failure: Failure, details: list[Detail], say: str) -> Upstream:
    """A quota of the day is used up for the day; everything else passes within a minute."""
    quotas = [
        f"{violation.quota_id} {violation.quota_metric} {violation.description}"
        for detail in details
        for violation in detail.violations
    ]
    if any(_DAILY.search(words) for words in (failure.message or "", *quotas)) or (
        failure.type == "insufficient_quota" or failure.code == "insufficient_quota"
    ):
        return QuotaExhausted(
            say,
            next_step="The vendor must look at the quotas of its project.",
            reason="upstream-quota",
        )
    return RateLimited(say, reason="upstream-rate-limited")


def _rejected(failure: Failure, name: str, say: str) -> Upstream:
    message = failure.message or ""
    if _TOO_LONG.search(message) or failure.code == "context_length_exceeded":
        return ContextTooLong(say, reason="upstream-context")
    if _FILTERED.search(message) or failure.code == "content_filter":
        return Filtered(say, reason="upstream-filtered")
    if name == "NOT_FOUND":  # the document names a model or a region that is not there
        gone = Unavailable(say, reason="upstream-model-missing")
        gone.whose_fault = "plane"
        return gone
    error = Rejected(say, reason="upstream-rejected")
    if name == "FAILED_PRECONDITION":  # a setting of the vendor's
        error.whose_fault, error.retry = "plane", "elsewhere"
    return error


def _details_of(failure: Failure) -> list[Detail]:
    """`details` is any JSON at all in the other shapes; then nothing is known of it."""
    if not is_there(failure.details):
        return []
    try:
        return _details.decode(failure.details)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []


def _delay_of(details: list[Detail], after_s: float | None) -> float | None:
    """What the body says goes before what the header says."""
    for detail in details:
        said = _DURATION.fullmatch(detail.retry_delay)
        if said is not None:
            return min(float(said[1]), _LONGEST_DELAY_S)
    return after_s


def _word(failure: Failure) -> str:
    return failure.code if isinstance(failure.code, str) else failure.type or ""


def _say(failure: Failure, status: int, target: str) -> str:
    """The provider's own words, short and without names that are not the caller's."""
    message = _SECRET.sub("…", " ".join((failure.message or "").split()))
    if not message:
        return f"{target} answered {status}."
    if len(message) > _LONGEST_SAY:
        message = message[:_LONGEST_SAY] + "…"
    return f"{target} answered {status}: {message}"
