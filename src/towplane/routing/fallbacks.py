"""Fallback chains by reason: which steps of a chain a failure may go on to.

A failure has a reason, by its error's code. A step that names reasons is taken for these alone; one
that names none is taken for all that another target of the same kind may not have, which are the
failures that may be tried again. A request that has not failed yet, because no target before the
step is usable, comes for the reason `unavailable`. Pure.
"""

from collections.abc import Sequence

from towplane.parts.errors import Upstream
from towplane.routing.spec import Reason

__all__ = ["ON_DEMAND", "Closed", "closed_by", "reason_of"]

Closed = dict[Reason, frozenset[int]]
"""By reason: the groups of a route that may not be taken for it."""

_REASONS: dict[str, Reason] = {
    "rate_limited": "rate-limit",
    "overloaded": "overload",
    "context_too_long": "context-length",
    "filtered": "content-filter",
    "timed_out": "timeout",
    "quota_exhausted": "price",
    "server_error": "server-error",
    "protocol_error": "server-error",
    "unavailable": "unavailable",
    "denied": "unavailable",
}
"""By the code of `parts.errors`."""

ON_DEMAND: frozenset[Reason] = frozenset(("context-length", "content-filter"))
"""Failures that every other target would have as well, unless the document knows better."""

_ALL: tuple[Reason, ...] = (
    "rate-limit", "overload", "context-length", "content-filter", "timeout", "price",
    "server-error", "unavailable",
)  # fmt: skip


def reason_of(error: Upstream) -> Reason:
    """Why an attempt failed."""
    return _REASONS.get(error.code, "server-error")


def closed_by(on: Sequence[Sequence[Reason]]) -> Closed | None:
    """From the reasons that each group of a route names, its own targets first: what is closed for
    which reason. None: no step names any, so that only what may be tried again is."""
    if not any(on):
        return None
    return {
        reason: frozenset(
            number
            for number, wanted in enumerate(on)
            if (reason not in wanted if wanted else reason in ON_DEMAND)
        )
        for reason in _ALL
    }
