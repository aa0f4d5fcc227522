"""Why requests go where they go, as the admin port says it: a route now, or one past request."""

from datetime import datetime

from msgspec import Struct

from towplane.routing.decisions import Recalled
from towplane.routing.explain import Explanation

__all__ = ["AttemptRow", "Question", "RequestExplanation", "RouteExplanation", "WorkerExplanation"]


class Question(Struct, kw_only=True, frozen=True):
    """A request that nobody sent: where would it go?"""

    body: str = ""
    """As a client would send it; empty: any request."""
    path: str = "/v1/chat/completions"
    """The operation."""
    tenant: str = ""
    """Whose it would be; prefixes and sessions are told apart by tenant."""


class WorkerExplanation(Explanation, kw_only=True):
    """What one worker would do with a request for a model; each chooses by itself."""

    number: int
    retries_left: float
    """Retries that the route's budget allows this worker now."""


class RouteExplanation(Struct, kw_only=True):
    """How a model's route is decided now."""

    model: str
    choose: str
    attempts: int
    """How many one request may have."""
    workers: list[WorkerExplanation]
    """Those that serve."""


class AttemptRow(Struct, kw_only=True):
    """One attempt as the ledger has it."""

    id: str
    at: datetime
    tenant: str
    key: str
    model: str
    target: str
    cause: str
    outcome: str
    status: int | None
    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    cost_nanousd: int | None
    ttft_s: float | None
    seconds: float | None


class RequestExplanation(Struct, kw_only=True):
    """Where one past request went, and why."""

    request: str
    worker: int | None
    """The worker that remembers its choices; None: none does, for want of rivals or for age."""
    choices: list[Recalled]
    """Its choices among rivals; a target without rival leaves none."""
    attempts: list[AttemptRow]
    """What the ledger says became of it."""
