"""What a vendor of Responses says went wrong: the verdict on chat's errors, with words of its own.

Knows no wire. A delay that stands in the words of a rate limit is taken from there: inside a stream
there is no header to say it.
"""

import re

from towplane.parts.errors import Overloaded, RateLimited, Upstream
from towplane.providers.dialects.chat.verdict import Said, judge_said

__all__ = ["failure_of"]

_MEANINGS = {
    # what chat's verdict calls it; openai 3.54.0 `types/responses/response_error.py`, openai/codex
    # `codex-api/src/sse/responses.rs`
    "bio_policy": "content_filter",
    "cyber_policy": "content_filter",
    "image_content_policy_violation": "content_filter",
    "invalid_prompt": "content_filter",  # "flagged as potentially violating our usage policy"
    "misalignment_policy_violation": "content_filter",
    "account_deactivated": "invalid_api_key",
    "server_is_overloaded": "overloaded",
    "slow_down": "rate_limited",  # 429: the traffic grew too fast
    "too_many_requests": "rate_limited",
    "usage_limit_reached": "insufficient_quota",
    "usage_not_included": "insufficient_quota",
    "vector_store_timeout": "server_error",
}
_AGAIN = re.compile(
    r"(?:try again in|retry after) (?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?) ?(ms|s))?",
    re.IGNORECASE,
)
"""`Please try again in 1.898s.`, `in 6m0s`, `in 120ms`; Azure: `Please retry after 6 seconds.`"""


def failure_of(said: Said, status: int | None, target: str) -> Upstream:
    """The error that this is; `status` is None inside a stream."""
    own = next((_MEANINGS[word] for word in said.words if word in _MEANINGS), None)
    known = said if own is None else said._replace(words=(own, *said.words))
    error = judge_said(known, status, target)
    error.provider_code = said.words[0] if said.words else ""
    if isinstance(error, RateLimited | Overloaded):
        error.after_s = _delay_of(said.message)
    return error


def _delay_of(message: str) -> float | None:
    found = _AGAIN.search(message)
    if found is None or not any(found.groups()):
        return None
    hours, minutes, number, unit = found.groups()
    seconds = float(number or 0) / (1000 if unit == "ms" else 1)
    return seconds + 60 * int(minutes or 0) + 3600 * int(hours or 0)
