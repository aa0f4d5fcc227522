"""The section `routing`: for each model that clients may ask for, how its targets are chosen."""

from typing import Literal

from msgspec import field

from towplane.parts.section import Section
from towplane.parts.units import AtLeastOne, Count, Money, Rate, Share, Timeout


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


Reason = Literal[
    "rate-limit",
    "overload",
    "context-length",
    "content-filter",
    "timeout",
    "price",
    "server-error",
    "unavailable",
]
"""Why an attempt failed, as far as a fallback asks (`routing.fallbacks`)."""


class Fallback(TargetSpec, frozen=True, kw_only=True):
    """A step of a fallback chain that says more than a route's name."""

    route: str | None = None
    """Another route, instead of a target."""
    on: list[Reason] = []
    """Taken only after failures of these kinds; empty: after all that another target may not have,
    which leaves out `context-length`, `content-filter` and `price`."""


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
    slow_s: Timeout | None = field(name="slow", default=None)
    """An attempt is slow when its first token, or its whole answer where it is not streamed, took
    longer than this; absent: none is."""
    slow_share: Share = 0.5
    """This share of slow ones among at least `volume` attempts within `window` opens it, too."""
    stalled_s: Timeout = field(name="stalled", default=60.0)
    """No token on any of its streams for so long, while at least two run, opens it as well."""


class Probe(Section, frozen=True, kw_only=True):
    """Asking for one token now and then, so that no client's request has to find out."""

    every_s: Timeout = field(name="every", default=10.0)
    """How often a target whose breaker is open is asked, give or take half of it."""
    timeout_s: Timeout = field(name="timeout", default=5.0)
    """The token must have come by then."""
    idle_s: Timeout | None = field(name="idle", default=None)
    """A target that nobody asked for so long is asked, too; absent: it is left in peace."""


class Hedge(Section, frozen=True, kw_only=True):
    """A second attempt at another target while the first has not brought a token."""

    after_s: Timeout = field(name="after", default=1.0)
    """How long the first is waited for; with `quantile`, at least so long."""
    quantile: Share | None = None
    """Waited until this share of the recent first tokens would have come; absent: `after` alone."""
    budget: Share = 0.05
    """Second attempts per request of the recent past, at most."""
    window_s: Timeout = field(name="window", default=10.0)
    """How far back requests and second attempts count."""
    cost: Money | None = None
    """What the second attempts of one tenant may cost in a minute, by their estimates; where it is
    set, none goes to a target without a price."""


class Outliers(Section, frozen=True, kw_only=True):
    """Leaving out a target that is much worse than the others of its group."""

    every_s: Timeout = field(name="every", default=10.0)
    """How often the targets are compared, each by what it did since the last time."""
    volume: AtLeastOne = 10
    """Attempts below which a target is not judged."""
    gap: Share = 0.2
    """It is an outlier when its share of failures is above that of the others by more than this."""
    slower: AtLeastOne = 3
    """Or when its mean time to the first token is so many times that of the others."""
    base_s: Timeout = field(name="base", default=30.0)
    """How long it is left out the first time; the n-th time in a row n times as long."""
    longest_s: Timeout = field(name="longest", default=300.0)
    """Never longer than this."""
    most: Share = 0.1
    """The share of a group that may be left out at once; one may always, all never."""


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
    fallback: list[str | Fallback] = []
    """Tried in order when no target of the route can answer: other routes by name, or targets, or
    either with the reasons for which it is tried."""
    timeouts: Timeouts = Timeouts()
    """When to give up on an attempt or a request."""
    retries: Retries = Retries()
    """How much trying again is allowed."""
    queue: Queue = Queue()
    """Whether requests wait while every target is at its limit."""
    breaker: Breaker = Breaker()
    """When a failing target is left alone."""
    slow_start_s: Timeout | None = field(name="slow_start", default=None)
    """How long a target that comes, or comes back, has less in flight than the others, ever more;
    absent: it gets its share at once."""
    outliers: Outliers | None = None
    """When a target that is much worse than the others is left out; absent: never."""
    probe: Probe | None = None
    """Whether targets are asked for a token by the plane itself; absent: a client's request is the
    one attempt by which a breaker tries whether a target is well again."""
    hedge: Hedge | None = None
    """Whether a slow first token is raced by a second attempt; absent: it is not."""
    slo: Slo = Slo()
    """What counts as a good answer."""
    drop_unsupported: bool = False
    """Whether what a target's API has no counterpart for is left out, and said in the header
    `x-towplane-dropped`, instead of refused."""
    reserve_output: Count = 1024
    """Output tokens reserved for a request that sets no maximum."""
