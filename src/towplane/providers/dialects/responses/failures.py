"""What OpenAI's words for a failure mean: from the code or type of an error object to our error.

One table for errors inside a stream and for the bodies of HTTP errors. Knows no status: where the
words are unknown, whoever has a status decides by it.
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
    Upstream,
)

__all__ = ["Details", "class_of", "failure_of", "read_details"]

_MEANINGS: dict[str, type[Upstream]] = {
    # OpenAI "Error codes"; openai 3.54.0 `types/responses/response_error.py`
    "insufficient_quota": QuotaExhausted,
    "billing_hard_limit_reached": QuotaExhausted,
    "billing_not_active": QuotaExhausted,
    "rate_limit_exceeded": RateLimited,
    "rate_limit_error": RateLimited,
    "too_many_requests": RateLimited,
    "context_length_exceeded": ContextTooLong,
    "string_above_max_length": ContextTooLong,
    "content_filter": Filtered,
    "content_policy_violation": Filtered,
    "ResponsibleAIPolicyViolation": Filtered,
    "image_content_policy_violation": Filtered,
    "moderation_blocked": Filtered,
    "cyber_policy": Filtered,
    "bio_policy": Filtered,
    "misalignment_policy_violation": Filtered,
    "invalid_prompt": Filtered,  # "flagged as potentially violating our usage policy"
    "invalid_api_key": Denied,
    "invalid_authentication": Denied,
    "account_deactivated": Denied,
    "server_is_overloaded": Overloaded,
    "slow_down": Overloaded,
    "engine_overloaded": Overloaded,
    "server_error": ServerError,
    "internal_error": ServerError,
    "vector_store_timeout": ServerError,
    # the types that stand beside a code; a code goes before them
    "invalid_request_error": Rejected,
    "image_generation_user_error": Rejected,
    "authentication_error": Denied,
    "permission_error": Denied,
    "not_found_error": Rejected,
}
_REASONS: dict[type[Upstream], str] = {
    QuotaExhausted: "upstream-quota",
    RateLimited: "upstream-rate-limited",
    ContextTooLong: "upstream-context",
    Filtered: "upstream-filtered",
    Denied: "upstream-denied",
    Overloaded: "upstream-overloaded",
    ServerError: "upstream-error",
    Rejected: "upstream-rejected",
}
_LONGEST_SAY = 500
_AGAIN = re.compile(r"try again in (?:(\d+)m)?([\d.]+)(ms|s)\b")
"""The delay in the words of a rate limit: "Please try again in 1.898s."; also `6m0s`, `120ms`."""
_SECRETS = re.compile(r"\b(?:sk|sess)-[\w*.-]{4,}|\b[0-9a-f]{32}\b")
"""A 401 of OpenAI repeats the key, with stars in its middle."""


class _Inner(msgspec.Struct):
    code: str | None = None


class Details(msgspec.Struct):
    """An error object, as far as anybody reads it; Azure nests a second one."""

    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    param: str | None = None
    innererror: _Inner | None = None

    def words(self) -> tuple[str, ...]:
        """What it calls itself, the most telling word first."""
        inner = self.innererror.code if self.innererror is not None else None
        return tuple(str(word) for word in (self.code, inner, self.type) if word)


class _Envelope(msgspec.Struct):
    error: Details | str | None = None


_envelope = msgspec.json.Decoder(_Envelope)
_bare = msgspec.json.Decoder(Details)


def read_details(body: bytes) -> Details | None:
    """The error object of a body, wrapped in `error` or bare; None if there is none."""
    try:
        found = _envelope.decode(body).error
        if found is None:
            found = _bare.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if isinstance(found, str):
        return Details(message=found)
    return found if found.message or found.words() else None


def class_of(details: Details) -> type[Upstream] | None:
    """What the words of an error mean; None: they are not known."""
    return next((_MEANINGS[word] for word in details.words() if word in _MEANINGS), None)


def failure_of(details: Details, target: str, kind: type[Upstream] | None = None) -> Upstream:
    """The error for these details, as `kind` if the caller knows better."""
    kind = kind or class_of(details) or ServerError
    words = details.words()
    message = _SECRETS.sub("[…]", details.message or "").strip()[:_LONGEST_SAY]
    unsaid = f"with {words[0]}" if words else "and did not say why"
    say = message or f"{target} failed {unsaid}."
    error = kind(say, reason=_REASONS.get(kind, ""), after_s=_delay_of(message))
    error.provider_code = words[0] if words else ""
    return error


def _delay_of(message: str) -> float | None:
    found = _AGAIN.search(message)
    if found is None:
        return None
    minutes, number, unit = found.groups()
    try:
        seconds = float(number) / (1000 if unit == "ms" else 1)
    except ValueError:  # two points
        return None
    return seconds + 60 * int(minutes or 0)
