"""What Azure's headers say of its limits: OpenAI's headers, without a reset as a rule.

Pure. A deployment counts by the minute. Under load Azure lowers the limits of standard deployments
for a while and says the lower one in its headers, so the header's limit goes before the document's;
a provisioned deployment sends none of them. -1 says that Azure does not count (Responses).
"""

from towplane.providers.adapter import Allowance, Fields
from towplane.providers.openai_compatible.limits import read_allowance as read_openai

__all__ = ["read_allowance"]

_MINUTE_S = 60.0


def read_allowance(fields: Fields) -> Allowance | None:
    """The allowance; None if no header speaks of it."""
    found = read_openai(fields)
    if found is None:
        return None
    # A limit that is not counted stands there as 0 to be reset in 0 seconds.
    has_requests, has_tokens = found.requests_left is not None, found.tokens_left is not None
    if not (has_requests or has_tokens):
        return None
    return found._replace(
        requests_reset_s=(found.requests_reset_s or _MINUTE_S) if has_requests else None,
        tokens_reset_s=(found.tokens_reset_s or _MINUTE_S) if has_tokens else None,
    )
