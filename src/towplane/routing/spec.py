"""The section `routing`: for each model that clients may ask for, how its targets are chosen.
One section of the document in one file, however many keys it has.
"""

from typing import Literal

from msgspec import field

from towplane.parts.section import Section
from towplane.parts.units import (
    AtLeastOne,
    Count,
    Money,
    Name,
    Number,
    Path,
    Rate,
    Share,
    Timeout,
    TokenPrice,
)


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
    concurrency: AtLeastOne | None = None
    """Of an engine: attempts that each replica takes at once, over all workers and routes; at that
    it is full and others are chosen. Absent: as many as come."""
    adapts: bool = False
    """Of an engine in a route with `slo.ttft`: each worker finds out how many attempts a replica
    takes with first tokens within the SLO; never more than `concurrency`."""


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
    which leaves out `context-length` and `content-filter`. `price`: the plane's quota or money at
    the provider is used up. `unavailable`: also when no target before it is usable."""


class Hashing(Section, frozen=True, kw_only=True):
    """How requests are told apart whose prompts begin alike."""

    characters: AtLeastOne = 100
    """So much of the prompt is the key (KubeAI's `prefixCharLength`)."""
    of: Literal["user", "start"] = "user"
    """Counted from the first turn of the user, because one system prompt often stands before all of
    them, or from the start of the whole prompt, tools and system included."""
    load_factor: Number = 1.25
    """With `chwbl`: how much more than its share of all attempts under way a target may have, 1 or
    more (KubeAI's `meanLoadFactor` 125)."""
    virtual_nodes: AtLeastOne = 256
    """With `chwbl`: points that a target has on the ring; more divide the keys more evenly."""
    replication: AtLeastOne = 1
    """With `chwbl`: how many successive targets are home to a key."""


class Prefix(Section, frozen=True, kw_only=True):
    """What is remembered of the prompts that targets have seen."""

    block: AtLeastOne = 256
    """Bytes of text that are compared as one, about 64 tokens; beyond 12 KB in a prompt, a 24th of
    what lies before."""
    per_target: AtLeastOne = 10_000
    """Stretches of `block` bytes that a target is believed to keep: about what its KV cache holds.
    More than it holds sends it prompts that it has to compute again."""
    blocks: AtLeastOne = 1_000_000
    """Stretches of all targets that one worker remembers at most, about 150 bytes each, of long
    prompts less."""
    threshold: Share = 0.3
    """With `prefix`: the share of a prompt's blocks that somebody must have for it to go there, and
    not to the least loaded (SMG's command line, as the next two)."""
    imbalance: Count = 64
    """With `prefix`: the shortest queue is taken while the longest is this much longer"""
    ratio: Number = 1.5
    """and so many times as long."""
    request_cost: Count = 16
    """With `least-work`: what an attempt under way counts, in prompt tokens, for the time that its
    own tokens take."""
    tokenizer: Path | None = None
    """The model's `tokenizer.json`; its chat template is taken from `chat_template.jinja` or
    `tokenizer_config.json` beside it. With it prompts are looked up in what engines say that they
    keep (`signals.events`); absent, or where that cannot be done, in what was sent to them."""
    characters: AtLeastOne = 2500
    """With `tokenizer`: so much of a prompt may be newly cut into tokens for each request, 0.4 to
    0.7 ms for 1,000; what was cut before is remembered and does not count."""
    trust: Share = 0.25
    """With `least-work`: how much of a prompt that no target is known to have is counted as cached
    by the one where all gateways would send it first."""
    keep: bool | None = None
    """Whether the ledger keeps by which prompts begin alike, for `towplane simulate --from-ledger`:
    keyed hashes and no text. Absent: where the route looks at blocks of prompts anyway."""


class Affinity(Section, frozen=True, kw_only=True):
    """What ties the requests of a session to each other."""

    header: str = "x-session-id"
    """A header that names the session; where it is missing, the body's own fields do
    (`conversation`, `prompt_cache_key`, `user`, `safety_identifier`, `metadata.user_id`,
    `previous_response_id`, the first that is there)."""
    ttl_s: Timeout = field(name="ttl", default=3600.0)
    """With `affinity`: how long a session that is silent is remembered."""
    sessions: AtLeastOne = 100_000
    """With `affinity`: sessions that one worker remembers at most, about 250 bytes each."""
    load_factor: Number = 2.0
    """With `affinity`: how much more than its share of all attempts under way a target may have
    before a session moves, 1 or more."""


class Scoring(Section, frozen=True, kw_only=True):
    """With `scored`: how much each score counts; 0: it is not looked at."""

    queue: Number = 2.0
    """How little waits at the engine (llm-d's defaults, as the next two)."""
    kv: Number = 2.0
    """How empty its KV cache is."""
    prefix: Number = 3.0
    """How much of the prompt it has seen."""
    lora: Number = 1.0
    """Whether it runs the adapter that is asked for."""
    in_flight: Number = 1.0
    """How little is under way there; stands in for `queue` and `kv` where no engine says them."""
    latency: Number = 0.0
    """How quick it was lately."""
    cost: Number = 0.0
    """How cheap it is."""


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
    """Waiting for a target that is full or at its provider's limit, instead of refusing at once."""

    longest_s: Timeout | None = field(name="longest", default=None)
    """How long a request may wait, never past its `total`; absent: it does not."""
    most: AtLeastOne = 1000
    """Requests that may wait in one worker; those above are refused at once, lower priorities and
    the longest queue of a tenant first."""
    tenant: AtLeastOne | None = None
    """Of these, those of one tenant for engines that are full; absent: as many as there is room."""
    weights: dict[str, AtLeastOne] = {}
    """What tenants count for engines that are full, by name; those not named count 1."""
    shed: Literal["late", "slo", "never"] = "late"
    """Who is refused at once for the wait that is foretold at engines that are full: whose patience
    it exceeds (`late`), or also who would miss `slo.ttft` (`slo`), or nobody."""


class Overflow(Section, frozen=True, kw_only=True):
    """Own engines first: when managed targets of the route are asked beside them."""

    when: Literal["full", "slow"] = "full"
    """`full`: no engine of the route has room, or is well; `slow`: or all that have room are slow
    to their first token."""
    share: Share = 0.8
    """An engine is slow while its first tokens of the last seconds took longer in the mean than
    this share of `slo.ttft`, or it says that it is saturated."""
    daily_nanousd: Money | None = field(name="daily", default=None)
    """What managed targets of the route may cost from midnight to midnight, UTC, over all workers;
    then requests wait for the engines."""
    monthly_nanousd: Money | None = field(name="monthly", default=None)
    """And from the first of the month."""
    price: TokenPrice | None = None
    """A managed target whose output tokens cost more now, or whose price nobody knows, is not asked
    for overflow."""


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


class Complexity(Section, frozen=True, kw_only=True):
    """Which requests go to the route's `strong` targets, and which to its `weak` ones."""

    scorer: str = "length"
    """What scores a prompt: `length`, in characters of the user's last words; `trained`, a `model`
    that was learned from labelled prompts, from 0 to 1; or the name of a function of your own."""
    model: Path | None = None
    """Of `scorer: trained`: the file that `towplane routing train` wrote. A file keeps its content:
    a new training gets a new name."""
    threshold: Number = 400.0
    """Prompts that score at least this go to a strong target; `towplane routing calibrate` finds
    it on your own traffic."""


class Score(Section, frozen=True, kw_only=True):
    """The vendor's own score of an answer, posted back to the plane."""

    least: Number = 0.0
    """The lowest that there is; one below is refused."""
    most: Number = 1.0
    """The highest that there is; one above is refused."""
    better: Literal["higher", "lower"] = "higher"
    """Which end is the good one."""


class Split(Section, frozen=True, kw_only=True):
    """Requests of a route divided among arms of targets, for a canary or an A/B test."""

    by: Literal["request", "tenant", "session"] = "request"
    """What falls into an arm as one: each request by itself, or all of a tenant, or all of a
    session; a request without a session falls by itself."""
    arms: dict[Name, Count]
    """Each arm with its weight; `arm` of a target names the one it belongs to."""
    control: Name | None = None
    """The arm that the others are compared with; absent: the first."""
    seed: str = ""
    """Another one draws the arms anew; routes with the same seed and arms draw alike."""
    decide: Literal["score", "errors", "ttft", "total", "cost"] = "score"
    """What the verdict is about."""
    score: Score = Score()
    """What scores are posted back."""
    alpha: Share = 0.05
    """How often a difference may be found where there is none, however often somebody looks."""
    samples: AtLeastOne = 100
    """Requests (by tenant: tenants) of each arm below which there is no verdict."""


class Rewrite(Section, frozen=True, kw_only=True):
    """What is other in a mirrored request than in the client's."""

    max_tokens: AtLeastOne | None = None
    """At most so many output tokens."""
    temperature: Number | None = None
    """This one."""
    drop: list[str] = []
    """Fields of the body that are left out."""


class MirrorBudget(Section, frozen=True, kw_only=True):
    """Money for mirrored requests per window, UTC; absent: no end."""

    daily_nanousd: Money | None = field(name="daily", default=None)
    """From midnight to midnight."""
    monthly_nanousd: Money | None = field(name="monthly", default=None)
    """From the first of the month."""
    total_nanousd: Money | None = field(name="total", default=None)
    """In all."""


class Mirror(Section, frozen=True, kw_only=True):
    """Some requests of a route sent a second time, to another target, whose answer nobody gets."""

    to: str | TargetSpec
    """Another route by its name, or a target."""
    share: Share = 0.01
    """Of the requests that were admitted, so many are mirrored."""
    budget: MirrorBudget = MirrorBudget()
    """What they may cost; with one, a target without a price is not asked."""
    rewrite: Rewrite = Rewrite()
    """What is other in them."""
    most: AtLeastOne = 4
    """How many may run at once in one worker; those above are left out."""
    keep: Path | None = None
    """A file to which each pair is added as a line of JSON: ids, sizes, times, usage, how it ended;
    absent: only the ledger knows of them."""
    text: bool = False
    """Whether `keep` also gets both answers whole, as they came. They may say anything that the
    client told or was told: keep the file as you keep the customers' data."""


class RouteSpec(Section, frozen=True, kw_only=True):
    """One route: `routing.MODEL`, MODEL being the name that clients ask for."""

    choose: Name = "least-in-flight"
    """How one target is chosen among those that are well: `round-robin`, `random`, `weighted`,
    `least-in-flight`, `power-of-two`, `peak-ewma`, `least-cost`, `cheapest-in-slo`, `chwbl`,
    `affinity`, `prefix`, `least-work`, `scored`, `complexity`, or the name of a policy of your
    own."""
    targets: list[TargetSpec]
    """Where the model is served; at least one."""
    fallback: list[str | Fallback] = []
    """Tried in order when no target of the route can answer: other routes by name, or targets, or
    either with the reasons for which it is tried."""
    complexity: Complexity | None = None
    """How requests are told apart that need a strong target; absent: by their length, and only with
    `choose: complexity`."""
    adapter: str | None = None
    """The LoRA adapter that its targets serve the model by, as their engines call it: requests
    prefer those that run it, or have room for it. The target's `model` is usually the same name."""
    hashing: Hashing = Hashing()
    """What makes two prompts begin alike."""
    prefix: Prefix = Prefix()
    """How prompts are compared block by block."""
    scoring: Scoring = Scoring()
    """With `scored`: what counts how much."""
    affinity: Affinity = Affinity()
    """What a session is."""
    timeouts: Timeouts = Timeouts()
    """When to give up on an attempt or a request."""
    retries: Retries = Retries()
    """How much trying again is allowed."""
    queue: Queue = Queue()
    """Whether requests wait while every target is full or at its limit."""
    overflow: Overflow | None = None
    """Engines of the route before its managed targets; absent: `choose` knows no difference."""
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
    split: Split | None = None
    """Whether requests are divided among arms, which are compared; absent: they are not."""
    mirror: Mirror | None = None
    """Whether some requests go to another target as well, unseen; absent: none does."""
