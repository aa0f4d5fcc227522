"""What the read model says of providers: credentials, limits, provisioned units, discovery, prices.

The laws are those of `api.views`.
"""

from datetime import date, datetime
from typing import Literal

from msgspec import Struct, field

from towplane.monitoring.health import Health

__all__ = [
    "CredentialView",
    "DiscoveryView",
    "PriceView",
    "PricesView",
    "ProviderLimitsView",
    "ProviderView",
    "ProvisionedView",
    "RatesView",
    "UnpricedView",
]


class CredentialView(Struct, kw_only=True):
    """One credential of a provider; its secret is nowhere."""

    name: str
    """`PROVIDER#1`, in the order of the document."""
    how: str
    """The way to it: `key env:NAME`, `managed identity`, `instance role, role ARN`."""
    state: Literal["ready", "parked", "missing"]
    """`parked`: the provider refused it in at least one worker; `missing`: it cannot be had."""
    reason: str = ""
    parked_s: float | None = None
    """Seconds until it is tried again."""
    expires_at: datetime | None = None
    """None: it lasts until its secret changes, or nobody says."""
    refresh_at: datetime | None = None
    """When it is got again."""


class ProviderLimitsView(Struct, kw_only=True):
    """What the document says that a provider allows; None: nothing."""

    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None


class ProvisionedView(Struct, kw_only=True):
    """Capacity of a provider that is paid for by the hour."""

    models: list[str]
    hourly_nanousd: int
    units: int
    since: date
    """First day, UTC."""
    until: date | None = None
    """The day on which it ends; None: it goes on."""
    tpm: int | None = None
    """Input tokens a minute that all of it can take; None: not known."""
    source: str = ""


class DiscoveryView(Struct, kw_only=True):
    """Where the addresses behind a provider come from, and how that goes."""

    source: str
    """In words: `DNS vllm.default.svc`, `Kubernetes service vllm`."""
    addresses: int
    """Those that it names; others that only drain are not counted."""
    heard_at: datetime | None = None
    """When its last good answer came; None: none has."""
    trouble: str = ""
    """Why there has been no good answer since; what was known stays for `discover.keep`."""


class ProviderView(Struct, kw_only=True):
    """One managed API or server."""

    name: str
    kind: str
    endpoint: str
    location: str | None = None
    """Its region or location; None: its kind has none, or nobody says."""
    via: str = ""
    """The proxy and the pinned address, in words; empty: directly."""
    state: Literal["ready", "degraded", "down", "unused"]
    """`degraded`: some of its credentials or targets cannot be used; `down`: none can."""
    reason: str = ""
    targets: list[str] = []
    """`PROVIDER/MODEL` of every route that uses it; behind many addresses
    `PROVIDER/MODEL@HOST:PORT` of each."""
    discovery: DiscoveryView | None = None
    """None: it has one address, which the document says."""
    limits: ProviderLimitsView = field(default_factory=ProviderLimitsView)
    credentials: list[CredentialView] = []
    """Empty: it asks for none."""
    provisioned: list[ProvisionedView] = []
    health: Health | None = None
    """How all its targets together have done of late; None: nothing has been measured yet."""


class UnpricedView(Struct, kw_only=True):
    """A target whose price nobody knows."""

    target: str
    """`PROVIDER/MODEL`, or the name of an engine."""
    routes: list[str]
    is_managed: bool
    """A managed API, which sends a bill."""


class RatesView(Struct, kw_only=True):
    """Nano-dollars per million tokens of one service class; None: unknown."""

    service: str
    above: int | None = None
    """Holds for requests with more than so many tokens of input; None: from the first one."""
    input: int | None = None
    output: int | None = None
    cached_input: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    audio_input: int | None = None
    image_input: int | None = None
    audio_output: int | None = None
    image_output: int | None = None


class PriceView(Struct, kw_only=True):
    """What one target costs now, and who says so."""

    target: str
    routes: list[str]
    origin: Literal["document", "book"] | None = None
    """None: nobody knows its price."""
    why_unknown: str = ""
    since: date | None = None
    """The day from which it holds; None: its source does not say."""
    source: str = ""
    """Where the figure was read."""
    note: str = ""
    is_provisioned: bool = False
    """It is paid for by the hour, not by the token."""
    search_nanousd: int | None = None
    """One call of a tool of the provider's own; None: unknown."""
    rates: list[RatesView] = []


class PricesView(Struct, kw_only=True):
    """Which prices are unknown, and what the price book is worth."""

    unpriced: list[UnpricedView] = []
    book: str = ""
    """Name and version of the price book; empty: there is none, or nothing is asked of it."""
    newest: date | None = None
    """The last day on which a price in it changed; None: not known."""
    complaint: str = ""
    """What is wrong with the book; empty: nothing."""
