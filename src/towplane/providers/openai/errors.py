"""What a failed answer of OpenAI's means: its words first, then its status, then its headers.

Pure. The original status and body stay with the error, for whoever passes them on. OpenAI says
itself whether to try again (`x-should-retry`); here that speaks of another target, which is the
only place where the plane tries again.
"""

from towplane.parts.errors import Upstream
from towplane.providers.adapter import Fields
from towplane.providers.dialects.chat.verdict import Said, read_said
from towplane.providers.dialects.responses.failures import failure_of
from towplane.providers.retry_after import read_retry_after

__all__ = ["judge", "judge_words"]


def judge(status: int, fields: Fields, body: bytes, target: str) -> Upstream:
    """The error of an answer with a status from 400 on."""
    error = judge_words(read_said(body), status, fields, target)
    error.body = body
    return error


def judge_words(said: Said, status: int, fields: Fields, target: str) -> Upstream:
    """The same where the words are read already; without the body."""
    error = failure_of(said, status, target)
    after_s = read_retry_after(fields)
    if after_s is not None:
        error.after_s = after_s
    should_retry = fields.get(b"x-should-retry")
    if should_retry == b"true" and error.retry == "never":
        error.retry = "elsewhere"
    elif should_retry == b"false" and error.whose_fault == "provider" and status < 500:
        error.retry = "never"
    return error
