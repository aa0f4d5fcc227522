"""What an error of Anthropic means: by its type, then by its status.

| status | type | error |
|---|---|---|
| 400 | `invalid_request_error` | Rejected; ContextTooLong, QuotaExhausted, Filtered by its words |
| 401, 403 | `authentication_error`, `permission_error` | Denied |
| 402 | `billing_error` | QuotaExhausted |
| 404, 413 | `not_found_error`, `request_too_large` | Rejected |
| 409, 500, 504 | `conflict_error`, `api_error`, `timeout_error` | ServerError |
| 429 | `rate_limit_error` | RateLimited; QuotaExhausted where a spend limit is reached |
| 503, 529 | `overloaded_error` | Overloaded |

Sources: Claude docs "Errors"; anthropic 2.12.0 `types/shared/`. The table itself is in
`dialects/messages/errors.py`, because the same errors come inside streams and through clouds.
"""

from towplane.parts.errors import Upstream
from towplane.providers.adapter import Fields
from towplane.providers.dialects.messages.errors import failure_of, read_error
from towplane.providers.retry_after import read_retry_after

__all__ = ["judge"]


def judge(status: int, fields: Fields, body: bytes, target: str) -> Upstream:
    """The error of an answer with a status from 400 on."""
    error = failure_of(read_error(body), target, status)
    error.body = body
    error.after_s = read_retry_after(fields)
    request_id = fields.get(b"request-id")
    if request_id is not None and "request_id" not in error.details:
        error.details = {**error.details, "request_id": request_id.decode("latin-1")}
    return error
