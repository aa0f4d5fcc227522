"""Every error of the plane: what happened, whose fault it is, and what to do next.

    PlaneError
      Refused     the plane says no to a caller
        BadRequest · Unauthorised · NotAllowed · NotFound · TooLarge · OverBudget · Saturated
        · Draining
      Upstream    a target did not answer as it should
        Unavailable · Overloaded · RateLimited · QuotaExhausted · Denied · ServerError
        · ProtocolError · TimedOut · Rejected → ContextTooLong · Filtered
      Platform    the plane cannot do what it should
        NoTarget → AtLimit, Full · NoCredential · NotReady · NotRunning · OutOfSpace · BadDocument
        · Conflict · Unsupported

`CODES` maps each code to its HTTP status and exit code; nothing else in the plane does.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

Fault = Literal["caller", "plane", "provider", "engine", "hardware"]
Retry = Literal["never", "elsewhere", "later"]

EXIT_DONE, EXIT_NO, EXIT_USAGE, EXIT_WORLD = 0, 1, 2, 3
"""Of every command: done; the answer is no; wrong usage or bad document; the world refused."""


class PlaneError(Exception):
    """An error with a code; `say` is one sentence for people, `next_step` what to do about it."""

    code: ClassVar[str] = "error"
    whose_fault: Fault = "plane"
    retry: Retry = "never"

    def __init__(
        self, say: str, *, next_step: str = "", reason: str = "", after_s: float | None = None
    ) -> None:
        super().__init__(say)
        self.say = say
        self.next_step = next_step
        self.reason = reason or self.code
        """A word from a closed set, for `x-towplane-reason` and metrics."""
        self.after_s = after_s
        """Seconds after which a retry makes sense; None where nobody knows."""
        self.details: Mapping[str, object] = {}
        """Facts for programs, added to the error's object in `--json` and the API."""


class Refused(PlaneError):
    """The plane says no; nothing was sent upstream."""

    code = "refused"
    whose_fault: Fault = "caller"


class BadRequest(Refused):
    """The request is not what the API takes; `param` names the field."""

    code = "bad_request"

    def __init__(
        self, say: str, *, param: str | None = None, next_step: str = "", reason: str = ""
    ) -> None:
        super().__init__(say, next_step=next_step, reason=reason)
        self.param = param


class Unauthorised(Refused):
    """No key, or a key that is unknown, revoked or expired."""

    code = "unauthorised"


class NotAllowed(Refused):
    """A valid key that may not do this."""

    code = "not_allowed"


class NotFound(Refused):
    """No such model, path or thing."""

    code = "not_found"


class TooLarge(Refused):
    """A head or a body above its limit."""

    code = "too_large"


class OverBudget(Refused):
    """A budget would be overspent; it does not help to retry before the window turns."""

    code = "over_budget"


class Saturated(Refused):
    """A rate or a concurrency limit is reached; retry after `after_s`."""

    code = "saturated"
    retry: Retry = "later"


class Draining(Refused):
    """The plane is going down and takes no new work."""

    code = "draining"
    whose_fault: Fault = "plane"
    retry: Retry = "later"


class Upstream(PlaneError):
    """A target failed; `status` and `body` keep what it said, `in_stream` says when."""

    code = "upstream"
    whose_fault: Fault = "provider"
    retry: Retry = "elsewhere"
    status: int | None = None
    body: bytes = b""
    in_stream: bool = False
    provider_code: str = ""
    """The provider's own word for it."""


class Unavailable(Upstream):
    """Nothing answered: refused, reset, name not resolved, TLS failed."""

    code = "unavailable"


class Overloaded(Upstream):
    """The target says that it is full (503, 529)."""

    code = "overloaded"


class RateLimited(Upstream):
    """The target says that we are too fast (429)."""

    code = "rate_limited"


class QuotaExhausted(Upstream):
    """The plane's own quota or money at the provider is used up: to wait a little does not help."""

    code = "quota_exhausted"
    whose_fault: Fault = "plane"


class Rejected(Upstream):
    """The target says that the request is wrong (4xx): the caller's fault, passed on as it is."""

    code = "rejected"
    whose_fault: Fault = "caller"
    retry: Retry = "never"


class ContextTooLong(Rejected):
    """The request does not fit the model's window; another model may have a larger one."""

    code = "context_too_long"


class Filtered(Rejected):
    """The provider's content filter refused the request."""

    code = "filtered"


class Denied(Upstream):
    """The target refused the plane's own credentials."""

    code = "denied"
    whose_fault: Fault = "plane"


class ServerError(Upstream):
    """The target failed (5xx)."""

    code = "server_error"


class ProtocolError(Upstream):
    """The target broke HTTP, SSE or JSON, or ended a stream without saying so."""

    code = "protocol_error"


class TimedOut(Upstream):
    """The target was too slow: `phase` is connect, first_token, between_tokens or total."""

    code = "timed_out"
    phase: Literal["connect", "first_token", "between_tokens", "total"] = "total"


class Platform(PlaneError):
    """The plane cannot do what it should."""

    code = "platform"


class NoTarget(Platform):
    """Every target of the route is down, parked or excluded."""

    code = "no_target"
    retry: Retry = "later"


class AtLimit(NoTarget):
    """Every target that could answer is at its provider's limit; that passes by itself."""

    code = "at_limit"


class Full(NoTarget):
    """Every target that could answer has as many attempts under way as it takes."""

    code = "full"


class NoCredential(Platform):
    """Every credential of the provider is parked: refused, or not to be had."""

    code = "no_credential"
    retry: Retry = "elsewhere"


class NotReady(Platform):
    """The plane is starting."""

    code = "not_ready"
    retry: Retry = "later"


class NotRunning(Platform):
    """No plane runs with this data_dir."""

    code = "not_running"


class OutOfSpace(Platform):
    """The disk is full; what requests use could not be accounted, so none is taken."""

    code = "out_of_space"
    retry: Retry = "later"


class BadDocument(Platform):
    """`plane.yaml` is wrong; the message lists every error with line and column."""

    code = "bad_document"
    whose_fault: Fault = "caller"


class Conflict(Platform):
    """The thing exists already, or is in another state than the command expects."""

    code = "conflict"
    whose_fault: Fault = "caller"


class Unsupported(Platform):
    """Known, but not possible here."""

    code = "unsupported"


CODES: dict[str, tuple[int, int]] = {
    # code: (HTTP status, exit code)
    "bad_request": (400, EXIT_USAGE),
    "unauthorised": (401, EXIT_NO),
    "not_allowed": (403, EXIT_NO),
    "not_found": (404, EXIT_NO),
    "too_large": (413, EXIT_USAGE),
    "over_budget": (429, EXIT_NO),
    "saturated": (429, EXIT_NO),
    "draining": (503, EXIT_WORLD),
    "upstream": (502, EXIT_WORLD),
    "unavailable": (502, EXIT_WORLD),
    "overloaded": (503, EXIT_WORLD),
    "rate_limited": (429, EXIT_WORLD),
    "quota_exhausted": (429, EXIT_WORLD),
    "rejected": (400, EXIT_WORLD),
    "context_too_long": (400, EXIT_WORLD),
    "filtered": (400, EXIT_WORLD),
    "denied": (502, EXIT_WORLD),
    "server_error": (502, EXIT_WORLD),
    "protocol_error": (502, EXIT_WORLD),
    "timed_out": (504, EXIT_WORLD),
    "no_target": (503, EXIT_WORLD),
    "no_credential": (502, EXIT_WORLD),
    "at_limit": (429, EXIT_WORLD),
    "full": (503, EXIT_WORLD),
    "not_ready": (503, EXIT_WORLD),
    "not_running": (503, EXIT_WORLD),
    "out_of_space": (503, EXIT_WORLD),
    "bad_document": (400, EXIT_USAGE),
    "secret_missing": (500, EXIT_WORLD),
    "conflict": (409, EXIT_NO),
    "unsupported": (501, EXIT_WORLD),
    "error": (500, EXIT_WORLD),
    "refused": (400, EXIT_NO),
    "platform": (500, EXIT_WORLD),
}
