"""What follows from the end of an attempt: for its target's health, and for its request.

The gateway (`gateway.attempt`, `gateway.route`) and the simulator decide by this same code. Pure:
the clock and chance are passed in.
"""

from typing import Final, Literal

from towplane.parts.errors import (
    Denied,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Rejected,
    Upstream,
)
from towplane.routing.backoff import backoff_s
from towplane.routing.fallbacks import ON_DEMAND, reason_of
from towplane.routing.spec import Retries

__all__ = ["LONGEST_PARK_S", "Verdict", "is_tried_again", "park_s", "verdict_on", "wait_for_same"]

Verdict = Literal["well", "unclear", "unwell"]

LONGEST_PARK_S: Final = 60.0
"""A target that asks to be left alone for longer is asked again after this."""


def verdict_on(error: Upstream | None) -> Verdict:
    """What an attempt that was not broken off says of its target's health. An answer that blames
    the request is a healthy one; a limit or a refused credential is no illness."""
    if error is None or isinstance(error, Rejected):
        return "well"
    if isinstance(error, RateLimited | Denied | QuotaExhausted):
        return "unclear"
    return "unwell"


def park_s(error: Upstream | None) -> float | None:
    """How long the target asked to be left alone; None: it did not."""
    if isinstance(error, RateLimited | Overloaded) and error.after_s is not None:
        return min(error.after_s, LONGEST_PARK_S)
    return None


def is_tried_again(
    error: Upstream | None,
    spec: Retries,
    *,
    attempts: int,
    now: float,
    ends_at: float,
    names_reasons: bool,
) -> bool:
    """Whether a request may go on after so many attempts, the last of which ended so. After an
    error that every target would have, only if the chain names the reasons of its steps."""
    if error is None or attempts >= spec.most or now >= ends_at:
        return False
    if error.retry != "never":
        return True
    return names_reasons and reason_of(error) in ON_DEMAND


def wait_for_same(
    error: Upstream,
    spec: Retries,
    *,
    attempts: int,
    usable_in_s: float,
    left_s: float,
    random: float,
) -> float | None:
    """Seconds after which the same target is tried again, where no other is left; None: it is not.

    Only for managed APIs: an engine of our own that fails gets better by its supervisor's hand, not
    by asking again.
    """
    if error.retry == "never" or isinstance(error, Denied | QuotaExhausted):
        return None
    wait_s = max(backoff_s(attempts, error.after_s, random), usable_in_s)
    return wait_s if wait_s <= spec.wait_s and wait_s < left_s else None
