"""What a status of an OpenAI-compatible server means: one table, from status to error.

Pure. The original status and body stay with the error, for whoever passes them on.
"""

from towplane.parts.errors import Denied, Overloaded, RateLimited, Rejected, ServerError, Upstream
from towplane.providers.adapter import Fields
from towplane.providers.retry_after import read_retry_after

__all__ = ["judge"]


def judge(status: int, fields: Fields, body: bytes, target: str) -> Upstream:
    """The error of an answer with a status from 400 on.

    401 and 403 speak of the plane's own credentials, which is no business of the caller's; 408 is
    the server's impatience; 501 says that the operation is not offered, so elsewhere is no better.
    """
    say = f"{target} answered {status}."
    after_s = read_retry_after(fields)
    error: Upstream
    if status in (401, 403):
        return Denied(
            f"{target} refused the plane's credentials ({status}).",
            next_step="The vendor must check the credentials of this provider.",
            reason="upstream-denied",
        )
    if status == 429:
        error = RateLimited(say, reason="upstream-rate-limited", after_s=after_s)
    elif status in (503, 529):
        error = Overloaded(say, reason="upstream-overloaded", after_s=after_s)
    elif status == 408 or (status >= 500 and status != 501):
        error = ServerError(say, reason="upstream-error", after_s=after_s)
    else:
        error = Rejected(say, reason="upstream-rejected", after_s=after_s)
    error.status, error.body = status, body
    return error
