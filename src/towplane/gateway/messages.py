"""What the plane process and a worker say to each other, over a socket pair.

Each message is one MessagePack map, length-prefixed (4 bytes, big-endian). The plane process sends
a whole `Snapshot` whenever anything changed; workers replace theirs. Secrets travel here, never on
disk and never on a command line.
"""

import struct
from collections.abc import Iterator

import msgspec

from towplane.document.plane import HttpLimits
from towplane.monitoring.series import Sample
from towplane.providers.adapter import Credential
from towplane.routing.complexity.model import Trained
from towplane.routing.decisions import Recalled
from towplane.routing.explain import Explanation
from towplane.routing.signals import Signals
from towplane.routing.spec import Reason, RouteSpec
from towplane.tenants.keys import KeyRecord, TenantRecord
from towplane.tenants.prices import Sheet
from towplane.tenants.spec import Limits

BACKLOG = 4096
"""Connections that may wait to be accepted: a thousand clients that start at once need it. The
plane process opens the sockets and the worker listens on them, both with this."""


class PricedFrom(msgspec.Struct, array_like=True, frozen=True):
    """A price and the moment from which it holds, ascending in a list."""

    since: float
    """Wall clock, seconds since the epoch."""
    price: tuple[int, int, int] | None
    """Nano-dollars per million tokens of a short and plain request: input, cached input, output;
    None: unknown."""
    sheet: Sheet | None = None
    """Everything that it costs; None: the three numbers say all."""


class EgressInfo(msgspec.Struct, frozen=True):
    """How an address is reached."""

    ca: str | None = None
    certificate: str | None = None
    certificate_key: str | None = None
    proxy: tuple[str, int] | None = None
    proxy_authorization: str = ""
    """`USER:PASSWORD`, or empty."""
    address: tuple[str, int] | None = None
    """Connect here instead of where the name points."""

    def __repr__(self) -> str:
        return "EgressInfo(…)"


class SignalsAt(msgspec.Struct, frozen=True):
    """Where a target's engine tells of itself."""

    engine: str
    """The kind, by which its metrics are read (`engines.signals`)."""
    path: str
    """From the root of the server."""
    every_s: float = 1.0
    timeout_s: float = 2.0


class EventsAt(msgspec.Struct, frozen=True):
    """Where a target's engine publishes what its cache keeps."""

    address: str
    replay: str | None = None
    """Where what was missed is asked for; None: nowhere."""
    topic: str = ""
    most: int = 100_000
    """Blocks that are remembered."""


class TargetInfo(msgspec.Struct, frozen=True):
    """One target: where it is, how to speak to it, what it costs."""

    name: str
    kind: str
    """`provider` or `engine`."""
    host: str
    port: int
    path: str
    """What stands before `/chat/completions`, as `/v1`."""
    model: str
    """The model's name there."""
    tls: bool = False
    adapter: str = "openai-compatible"
    """The kind of provider whose wire it speaks."""
    provider: str = ""
    """The provider that it belongs to; targets of one provider share its credentials."""
    options: dict[str, str] = {}
    """What else its adapter needs to know."""
    credentials: tuple[Credential, ...] = ()
    """None: it asks for none."""
    egress: EgressInfo = EgressInfo()
    prices: tuple[PricedFrom, ...] = ()
    adapts_to_s: float | None = None
    """How many attempts it takes at once is found out: first tokens shall come by then."""
    signals: SignalsAt | None = None
    """None: nobody asks it."""
    events: EventsAt | None = None
    """None: nobody listens to it."""
    state: str = "ready"
    """ready, or a word that says why not: starting, draining, backing-off, crash-loop, failed."""
    reason: str = ""

    def __repr__(self) -> str:
        return f"TargetInfo({self.name}, {self.host}:{self.port}, {self.state})"


class ProviderInfo(msgspec.Struct, frozen=True):
    """What a provider allows all workers together, or a replica of an engine takes."""

    name: str
    limits: Limits = Limits()
    is_engine: bool = False
    """A replica of an engine by its target's name, and what it takes at once: nothing is kept back
    for higher priorities, as those wait before the others."""


class Placed(msgspec.Struct, array_like=True, frozen=True):
    """A target of a route, by name, and what the document says of it there."""

    target: str
    weight: int = 1
    role: str = ""
    arm: str = ""


class RouteInfo(msgspec.Struct, frozen=True):
    """One route, its fallback chain laid flat."""

    model: str
    groups: tuple[tuple[Placed, ...], ...]
    """The targets, then each step of the fallback chain."""
    on: tuple[tuple[Reason, ...], ...] = ()
    """Of each group, the reasons for which alone it is taken; none: any. Empty: of no group."""
    spec: RouteSpec = RouteSpec(targets=[])
    """As the document has it."""
    shadow: "RouteInfo | None" = None
    """How mirrored requests go; None: none are."""
    scorer: Trained | None = None
    """What its prompts are scored by, where that is a trained model."""


class Listen(msgspec.Struct, frozen=True):
    """What a worker needs to open the serving port; its socket comes as a file descriptor."""

    certificate: str | None = None
    key: str | None = None


class Snapshot(msgspec.Struct, tag="snapshot", frozen=True):
    """Everything that a worker decides by."""

    version: int
    plane: str
    listen: Listen
    limits: HttpLimits
    drain_s: float
    pepper: bytes
    tenants: tuple[TenantRecord, ...]
    keys: tuple[KeyRecord, ...]
    targets: tuple[TargetInfo, ...]
    routes: tuple[RouteInfo, ...]
    access_log: bool = False
    providers: tuple[ProviderInfo, ...] = ()
    """Those that have limits."""

    def __repr__(self) -> str:
        return f"Snapshot(version={self.version})"


class Granted(msgspec.Struct, tag="granted"):
    """Units of a pool; 0 is a refusal, with the seconds after which to come back."""

    pool: str
    amount: int
    retry_after_s: float | None = None
    serial: int = 0
    """Of the need that this answers."""


class Recall(msgspec.Struct, tag="recall"):
    """Give back what is unused of a pool."""

    pool: str


class Report(msgspec.Struct, tag="report"):
    """Say how things stand."""

    serial: int


class Explain(msgspec.Struct, tag="explain"):
    """Say where the next request for a model would go, and why; or where a past one went."""

    serial: int
    model: str = ""
    body: bytes = b""
    """Of the request, as a client would send it; empty: any."""
    path: str = ""
    """Where it would be sent; empty: to the chat completions."""
    tenant: str = ""
    """Whose it would be."""
    request: str = ""
    """The id of a past request instead."""


class Observed(msgspec.Struct, tag="observed"):
    """What engines said of themselves."""

    targets: list[tuple[str, Signals, float]]
    """The target, what its engine said, and how many seconds ago it was asked."""


class Kept(msgspec.Struct, tag="kept"):
    """What a target's engine has stored and forgotten since the last message of this kind."""

    target: str
    is_whole: bool
    """Whether that is all it keeps (`routing.kv_events`)."""
    sizes: list[int]
    """Of its blocks, in tokens."""
    stored: bytes = b""
    """Keys of blocks, eight bytes each, big-endian."""
    removed: bytes = b""
    is_gone: bool = False
    """Nothing more will be said of it."""


class Drain(msgspec.Struct, tag="drain"):
    """Finish what runs, take nothing new, end."""


class Ready(msgspec.Struct, tag="ready"):
    """The worker serves, with the snapshot of this version."""

    version: int
    incarnation: str
    """The name of its journal."""


class Need(msgspec.Struct, tag="need"):
    """The worker's share of a pool is too small for the next request."""

    pool: str
    amount: int
    rank: int = 1
    """The request's priority (`tenants.priorities`)."""
    tenant: str = ""
    """Whose request it is: tenants of the same priority are served in turn."""
    wait_s: float = 0.0
    """How long the need may stand in the coordinator's queue before it is refused; 0: it is refused
    as soon as no worker holds enough unused."""
    serial: int = 0
    """The answer bears it too; a worker may have several needs of one pool in the queue."""


class Returned(msgspec.Struct, tag="returned"):
    """Unused units come back, because they were recalled or have grown old."""

    pool: str
    amount: int
    """Below 0: a debt, what answers cost above their reservations."""
    age_s: float = 0.0
    """Of a rate: how long ago they were taken, by a request that did not use them."""
    recalled: bool = False


class TargetReport(msgspec.Struct, array_like=True):
    """How one worker sees a target."""

    name: str
    in_flight: int
    breaker: str
    attempts: int
    failures: int
    is_probing: bool = False
    """Its breaker is half-open and an attempt probes it."""
    probe_in_s: float = 0.0
    """Seconds until its open breaker lets an attempt probe."""
    parked_s: float = 0.0
    """Seconds for which it asked to be left alone."""
    requests_left: int | None = None
    tokens_left: int | None = None
    """What its provider says is left of its limits, over all credentials; None: it does not say."""


class CredentialReport(msgspec.Struct, array_like=True):
    """How one worker sees a credential that it does not use now."""

    name: str
    state: str
    """`parked` or `missing`."""
    reason: str
    parked_s: float


class RouteReport(msgspec.Struct, array_like=True):
    """How one worker stands with a route."""

    model: str
    turn: int
    """The number of the next choice."""
    retries_left: float
    scores: list[float] = []
    """Of its last requests, oldest first, where it scores prompts."""


class Reported(msgspec.Struct, tag="reported"):
    """How things stand in a worker, counted since it started."""

    serial: int
    version: int
    in_flight: int
    connections: int
    samples: list[Sample]
    targets: list[TargetReport]
    routes: list[RouteReport] = []
    credentials: list[CredentialReport] = []
    """Those that are not ready."""


class Explained(msgspec.Struct, tag="explained"):
    """Where it would go."""

    serial: int
    explanation: Explanation | None = None
    """None: this worker does not know the route."""
    retries_left: float = 0.0
    recalled: tuple[Recalled, ...] = ()
    """Of a past request: its choices among rivals, as far as this worker remembers."""
    refused: str = ""
    """Why the request that was given is none, in words."""


ToWorker = Snapshot | Granted | Recall | Report | Explain | Observed | Kept | Drain
FromWorker = Ready | Need | Returned | Reported | Explained

_LENGTH = struct.Struct(">I")
_encode = msgspec.msgpack.Encoder().encode


def frame(message: ToWorker | FromWorker) -> bytes:
    """The bytes of one message on the wire."""
    body = _encode(message)
    return _LENGTH.pack(len(body)) + body


class Frames:
    """Cuts a byte stream into messages; knows no socket."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Every body that is complete after `data`."""
        buffer = self._rest + data
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            end = start + _LENGTH.size + length
            if len(buffer) < end:
                break
            yield buffer[start + _LENGTH.size : end]
            start = end
        self._rest = buffer[start:]
