"""What an error of Bedrock means: one table from the exception's name to the error.

The name stands in `x-amzn-errortype` (perhaps followed by `:http://…`), in the body's `__type`, or,
inside a stream, in a frame's `:exception-type`, which begins in lower case. Status alone proves
little: a used-up quota is a 400, and so is a prompt that is too long. Source: botocore 1.44.5; the
words that are looked for are Bedrock's and its models' own, from public reports. Pure.
"""

import re
from typing import NamedTuple

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
from towplane.providers.bedrock.wire import ErrorObject, Problem
from towplane.providers.retry_after import read_retry_after

__all__ = ["judge", "judge_exception"]


class _Reading(NamedTuple):
    """How an exception is read."""

    error: type[Upstream]
    reason: str
    next_step: str = ""


_RATE = _Reading(RateLimited, "upstream-rate-limited")
_FULL = _Reading(Overloaded, "upstream-overloaded")
_SERVER = _Reading(ServerError, "upstream-error")
_WRONG = _Reading(Rejected, "upstream-rejected")
_LONG = _Reading(ContextTooLong, "upstream-context", "Shorten the prompt or lower `max_tokens`.")
_FILTERED = _Reading(Filtered, "upstream-filtered")
_DENIED = _Reading(
    Denied, "upstream-denied", "The vendor must check the credentials of this provider."
)
_QUOTA = _Reading(
    QuotaExhausted, "upstream-quota", "The vendor must raise the quota in Service Quotas."
)
_MODEL = _Reading(
    Unavailable,
    "upstream-model-missing",
    "The vendor must check the model's id, region and access.",
)

_READINGS = {
    "throttlingexception": _RATE,
    "toomanyrequestsexception": _RATE,
    "servicequotaexceededexception": _QUOTA,
    "modelnotreadyexception": _FULL,
    "serviceunavailableexception": _FULL,
    "internalserverexception": _SERVER,
    "internalfailureexception": _SERVER,
    "internalfailure": _SERVER,
    "modelerrorexception": _SERVER,
    "modelstreamerrorexception": _SERVER,
    "modeltimeoutexception": _SERVER,
    "validationexception": _WRONG,
    "serializationexception": _WRONG,
    "conflictexception": _WRONG,
    "resourcenotfoundexception": _MODEL,
    "unknownoperationexception": _MODEL,
    "accessdeniedexception": _DENIED,
    "expiredtokenexception": _DENIED,
    "unrecognizedclientexception": _DENIED,
    "invalidsignatureexception": _DENIED,
    "incompletesignatureexception": _DENIED,
    "missingauthenticationtokenexception": _DENIED,
}
"""By the exception's name in lower case."""

_TOO_LONG = re.compile(
    r"(input|prompt|request) is too long|too many total text bytes"
    r"|exceed(s|ed)? (the )?(context|maximum (length|context|number of (input )?tokens))"
    r"|maximum context length|input tokens exceeded|too many input tokens|context window",
    re.IGNORECASE,
)
"""In the message of a ValidationException. Bedrock, Claude, Nova, Llama and the models behind
Bedrock's OpenAI-style servers say it each in its own way (strands-agents/harness-sdk #1663 and
#3969)."""
_BLOCKED = re.compile(r"content filter|blocked by|content policy|guardrail", re.IGNORECASE)
_NO_SUCH_MODEL = re.compile(
    r"model identifier is invalid|on-demand throughput isn.t supported", re.IGNORECASE
)
_USED_UP = re.compile(r"tokens per day|requests per day", re.IGNORECASE)
"""Of a ThrottlingException that no short wait ends."""
_A_DAY_S = 60.0
"""A day's quota: asked again each minute, which is the longest that a target is left alone."""

_decode = msgspec.json.Decoder(Problem).decode
_NO_PROBLEM = Problem()
_MOST_SAID = 1000
"""Characters of Bedrock's message that are passed on."""


def judge(status: int, fields: Fields, body: bytes, target: str) -> Upstream:
    """The error of an answer with a status from 400 on."""
    problem = _read(body)
    told = fields.get(b"x-amzn-errortype", b"").decode("latin-1")
    error = _judge(_name(told or problem.type_ or ""), problem, target, status)
    error.status, error.body = status, body
    if error.after_s is None:
        error.after_s = read_retry_after(fields)
    return error


def judge_exception(name: str, payload: bytes, target: str) -> Upstream:
    """The error that a frame of a stream reports."""
    error = _judge(name, _read(payload), target, None)
    error.body, error.in_stream = payload, True
    return error


def _read(body: bytes) -> Problem:
    try:
        problem = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _NO_PROBLEM
    inner = problem.error or problem.output
    if isinstance(inner, ErrorObject):
        problem.message = problem.message or inner.message
        problem.type_ = problem.type_ or inner.aws_type or inner.type
    elif inner:
        problem.message = problem.message or inner
    return problem


def _name(told: str) -> str:
    """`ThrottlingException` of `com.amazon…#ThrottlingException:http://…`."""
    return told.partition(":")[0].rpartition("#")[2].strip()


def _judge(name: str, problem: Problem, target: str, status: int | None) -> Upstream:
    message = problem.message or problem.aws_message or problem.original_message or ""
    reading = _READINGS.get(name.lower()) or _by_status(status)
    after_s = None
    if reading.error is Rejected:
        reading = _read_refusal(reading, message)
    elif reading is _SERVER and problem.original_status_code is not None:
        reading = _by_status(problem.original_status_code)
        if reading.error is Denied:  # the model's own key is Bedrock's business, not ours
            reading = _SERVER
    elif reading is _RATE and _USED_UP.search(message):
        after_s = _A_DAY_S
    what = name or (str(status) if status is not None else "an error")
    error = reading.error(
        _say_denied(target, what) if reading is _DENIED else _say(target, what, message),
        next_step=reading.next_step,
        reason=reading.reason,
        after_s=after_s,
    )
    error.provider_code = name
    return error


def _read_refusal(reading: _Reading, message: str) -> _Reading:
    if _TOO_LONG.search(message):
        return _LONG
    if _BLOCKED.search(message):
        return _FILTERED
    return _MODEL if _NO_SUCH_MODEL.search(message) else reading


def _by_status(status: int | None) -> _Reading:
    if status in (401, 403):
        return _DENIED
    if status == 429:
        return _RATE
    if status in (503, 529):
        return _FULL
    is_servers = status is None or status == 408 or (status >= 500 and status != 501)
    return _SERVER if is_servers else _WRONG


def _say(target: str, what: str, message: str) -> str:
    if not message:
        return f"{target} answered {what}."
    said = message if len(message) <= _MOST_SAID else message[:_MOST_SAID] + "…"
    return f"{target} answered {what}: {said}"


def _say_denied(target: str, what: str) -> str:
    """Without Bedrock's words: they name the vendor's account and roles."""
    return f"{target} refused the plane's credentials ({what})."
