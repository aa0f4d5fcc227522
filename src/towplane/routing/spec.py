"""The section `routing`: for each model that clients may ask for, how its targets are chosen."""

from typing import Literal

from msgspec import field

from towplane.parts.section import Section
from towplane.parts.units import AtLeastOne, Count, Rate, Share, Timeout


class TargetSpec(Section, frozen=True, kw_only=True):
    """One target of a route: a model of a provider, or an engine (all its replicas)."""

    provider: str | None = None
    """A name under `providers`."""
    engine: str | None = None
    """Exactly one of `provider` and `engine` is given."""
    model: str | None = None
    """The name of the model there; absent: the route's own (for an engine: the engine's) name."""
    role: Literal["strong", "weak"] | None = None
    """Of a route with `complexity`: whether it is the costly good one or the cheap one."""
    arm: str | None = None
    """Of a route with `split`: the arm that it belongs to."""
    weight: Count = 1
    """Its share in a `weighted` route, and how much it may have in flight beside the others in a
    `least-in-flight` one; 0 parks it: only taken when no other is usable."""


class Timeouts(Section, frozen=True, kw_only=True):
    """Each clock of an attempt; `total` covers the whole request with its retries."""

    connect_s: Timeout = field(name="connect", default=2.0)
    """To a connection that can be written to, TLS included."""
    first_token_s: Timeout = field(name="first_token", default=60.0)
    """From the request sent to the first token of a stream; other answers have `total` alone."""
    between_tokens_s: Timeout = field(name="between_tokens", default=30.0)
    """The longest silence after the first token."""
    total_s: Timeout = field(name="total", default=600.0)
    """From the request received to the last byte of the answer."""


class Retries(Section, frozen=True, kw_only=True):
    """The retry budget of a route: retries ≤ share × recent requests + floor."""

    share: Share = 0.2
    """Retries per request of the recent past."""
    floor: Rate = 1.0
    """Retries per second that are always allowed."""
    window_s: Timeout = field(name="window", default=10.0)
    """How far back requests and retries count."""
    most: AtLeastOne = 3
    """Attempts of one request, the first included."""
    wait_s: Timeout = field(name="wait", default=5.0)
    """The longest wait before the same target is tried again, where no other is left; a target that
    wants to be left alone for longer is not tried again by this request."""


class Queue(Section, frozen=True, kw_only=True):
    """Waiting for a target that is at its provider's limit, instead of refusing at once."""

    longest_s: Timeout | None = field(name="longest", default=None)
    """How long a request may wait, never past its `total`; absent: it does not."""
    most: AtLeastOne = 1000
    """Requests that may wait in one worker; those above are refused at once."""


class Breaker(Section, frozen=True, kw_only=True):
    """When a target is left alone for a while."""

    failures: AtLeastOne = 5
    """Consecutive failures that open it."""
    share: Share = 0.5
    """Or this share of failures among at least `volume` attempts within `window`."""
    volume: AtLeastOne = 20
    """Attempts below which the share says nothing."""
    window_s: Timeout = field(name="window", default=10.0)
    """How far back attempts count."""
    open_s: Timeout = field(name="open", default=5.0)
    """How long it stays open before one attempt may probe; doubled at each failed probe."""
    longest_s: Timeout = field(name="longest", default=60.0)
    """The doubling ends here."""


class Slo(Section, frozen=True, kw_only=True):
    """What a good answer of this route is; goodput counts the requests that met all of it."""

    ttft_s: Timeout | None = field(name="ttft", default=None)
    """Time to the first token."""
    itl_s: Timeout | None = field(name="itl", default=None)
    """Mean gap between tokens of one request."""
    total_s: Timeout | None = field(name="total", default=None)
    """The whole answer."""


class RouteSpec(Section, frozen=True, kw_only=True):
    """One route: `routing.MODEL`, MODEL being the name that clients ask for."""

    choose: Literal["round-robin", "least-in-flight", "weighted"] = "least-in-flight"
    """How one target is chosen among those that are well."""
    targets: list[TargetSpec]
    """Where the model is served; at least one."""
    fallback: list[str | TargetSpec] = []
    """Tried in order when no target of the route can answer: other routes by name, or targets."""
    timeouts: Timeouts = Timeouts()
    """When to give up on an attempt or a request."""
    retries: Retries = Retries()
    """How much trying again is allowed."""
    queue: Queue = Queue()
    """Whether requests wait while every target is at its limit."""
    breaker: Breaker = Breaker()
    """When a failing target is left alone."""
    slo: Slo = Slo()
    """What counts as a good answer."""
    drop_unsupported: bool = False
    """Whether what a target's API has no counterpart for is left out, and said in the header
    `x-towplane-dropped`, instead of refused."""
    reserve_output: Count = 1024
    """Output tokens reserved for a request that sets no maximum."""
