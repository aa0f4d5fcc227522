"""Arms of a split as the admin port shows them, and scores as it takes them."""

from datetime import datetime

from msgspec import Struct

from towplane.routing.experiments.compare import Comparison

__all__ = ["ArmsView", "KeptScore", "PostedScore", "Since"]


class PostedScore(Struct, kw_only=True, forbid_unknown_fields=True):
    """What the vendor thinks of the answer to one request; the last word on it holds."""

    request_id: str
    """The header `x-towplane-request-id` of the answer."""
    score: float
    """Between the ends that the route's `split.score` names."""


class KeptScore(Struct, kw_only=True):
    """A score that is kept."""

    model: str
    request_id: str
    score: float
    at: datetime


class Since(Struct, kw_only=True, forbid_unknown_fields=True):
    """From which moment on requests count; absent: all that are kept."""

    since: datetime | None = None


class ArmsView(Struct, kw_only=True):
    """The arms of a route, compared."""

    model: str
    since: datetime | None
    comparison: Comparison
