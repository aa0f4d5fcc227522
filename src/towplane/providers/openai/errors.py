"""What a failed answer of OpenAI's means: its words first, then its status, then its headers.

Pure. The original status and body stay with the error, for whoever passes them on. OpenAI says
itself whether to try again (`x-should-retry`): what it wants tried again is tried elsewhere, even
if its status blames the caller; its no speaks of itself, where the plane does not try again anyway.
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
    if fields.get(b"x-should-retry") == b"true" and error.retry == "never":
        error.retry = "elsewhere"
    return error
