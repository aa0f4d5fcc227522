"""What a status from 400 on means: the error that a server's answer is, with all it says.

The words of the body decide before the status does (`dialects/chat/verdict.py`). The original
status and body stay with the error, for whoever passes them on. Pure.
"""

import re

from towplane.parts.errors import Overloaded, RateLimited, ServerError, Upstream
from towplane.providers.adapter import Fields
from towplane.providers.dialects.chat.verdict import judge_said, read_said
from towplane.providers.openai_compatible.limits import read_allowance, read_duration
from towplane.providers.retry_after import read_retry_after

__all__ = ["judge"]

_AGAIN_IN = re.compile(rb"try again in ((?:\d+(?:\.\d+)?(?:ms|[dhms]))+)")
"""OpenAI and Groq say it in the message, to the millisecond."""


def judge(status: int, fields: Fields, body: bytes, target: str) -> Upstream:
    """The error of an answer with a status from 400 on."""
    error = judge_said(read_said(body), status, target)
    error.body = body
    if isinstance(error, RateLimited | Overloaded | ServerError):
        error.after_s = _comes_back(fields, body)
    return error


def _comes_back(fields: Fields, body: bytes) -> float | None:
    """When to try again: what is said for this answer, else when what is used up is full again."""
    after_s = read_retry_after(fields)
    if after_s is not None:
        return after_s
    said = _AGAIN_IN.search(body)
    if said is not None:
        return read_duration(said[1])
    allowance = read_allowance(fields)
    if allowance is None:
        return None
    resets = [
        reset
        for left, reset in (
            (allowance.requests_left, allowance.requests_reset_s),
            (allowance.tokens_left, allowance.tokens_reset_s),
        )
        if left == 0 and reset is not None
    ]
    return max(resets, default=None)
