"""The section `routing`: for each model that clients may ask for, how its targets are chosen."""

from typing import Literal

from msgspec import field

from towplane.parts.section import Section
from towplane.parts.units import AtLeastOne, Count, Rate, Share, Timeout


class TargetSpec(Section, frozen=True, kw_only=True):
    """One target of a route: a model of a provider, or an engine (all its replicas)."""

    provider: str | None = None
    engine: str | None = None
    """Exactly one of `provider` and `engine` is given."""
    model: str | None = None
    """The name of the model there; None: the route's own (for an engine: the engine's) name."""
    weight: Count = 1


class Timeouts(Section, frozen=True, kw_only=True):
    """Each clock of an attempt; `total` covers the whole request with its retries."""

    connect_s: Timeout = field(name="connect", default=2.0)
    first_token_s: Timeout = field(name="first_token", default=60.0)
    """From the request sent to the first token (streamed) or the first byte (not streamed)."""
    between_tokens_s: Timeout = field(name="between_tokens", default=30.0)
    total_s: Timeout = field(name="total", default=600.0)


class Retries(Section, frozen=True, kw_only=True):
    """The retry budget of a route: retries ≤ share × recent requests + floor."""

    share: Share = 0.2
    floor: Rate = 1.0
    """Retries per second that are always allowed."""
    window_s: Timeout = field(name="window", default=10.0)
    most: AtLeastOne = 3
    """Attempts of one request, the first included."""


class Breaker(Section, frozen=True, kw_only=True):
    """When a target is left alone for a while."""

    failures: AtLeastOne = 5
    """Consecutive failures that open it."""
    share: Share = 0.5
    """Or this share of failures among at least `volume` attempts within `window`."""
    volume: AtLeastOne = 20
    window_s: Timeout = field(name="window", default=10.0)
    open_s: Timeout = field(name="open", default=5.0)
    """How long it stays open before one attempt may probe; doubled at each failed probe."""
    longest_s: Timeout = field(name="longest", default=60.0)


class Slo(Section, frozen=True, kw_only=True):
    """What a good answer of this route is; goodput counts the requests that met all of it."""

    ttft_s: Timeout | None = field(name="ttft", default=None)
    itl_s: Timeout | None = field(name="itl", default=None)
    """Mean gap between tokens of one request."""
    total_s: Timeout | None = field(name="total", default=None)


class RouteSpec(Section, frozen=True, kw_only=True):
    """One route: `routing.MODEL`, MODEL being the name that clients ask for."""

    choose: Literal["round-robin", "least-in-flight", "weighted"] = "least-in-flight"
    targets: list[TargetSpec]
    fallback: list[str | TargetSpec] = []
    """Tried in order when no target of the route can answer: other routes by name, or targets."""
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()
    breaker: Breaker = Breaker()
    slo: Slo = Slo()
    reserve_output: Count = 1024
    """Output tokens reserved for a request that sets no maximum."""
