"""The section `engines`: self-hosted inference engines, by name."""

from typing import Literal

from msgspec import field

from towplane.parts.section import Section
from towplane.parts.units import AtLeastOne, Date, Duration, Path, Timeout, TokenPrice, Weights


class EnginePrice(Section, frozen=True, kw_only=True):
    """What tokens of this engine cost the vendor from a day on, if the vendor wants to say so."""

    since: Date = field(name="from")
    """The day, UTC, from which the price holds."""
    input: TokenPrice
    """Input tokens."""
    output: TokenPrice
    """Output tokens, reasoning included."""
    cached_input: TokenPrice | None = None
    """Input tokens found in the KV cache; absent: as `input`."""
    source: str = ""
    """How the figure was found, for the person who checks it."""


class RestartSpec(Section, frozen=True, kw_only=True):
    """How a crashed replica comes back."""

    first_s: Duration = field(name="first", default=0.5)
    """Wait before the first restart; doubled each time."""
    longest_s: Duration = field(name="longest", default=30.0)
    """The doubling ends here."""
    give_up_after: AtLeastOne = 5
    """This many crashes within `window` are a crash loop: the replica stays down and says why. So
    are this many starts in a row that never became ready, however long each took."""
    window_s: Timeout = field(name="window", default=120.0)
    """How far back crashes count."""


class EngineSpec(Section, frozen=True, kw_only=True):
    """One engine: `engines.NAME`."""

    engine: Literal["llama.cpp"]
    """Which engine; a version may be pinned later as `vllm==0.33.0`."""
    weights: Weights
    """Where the weights are: `package:DISTRIBUTION/FILE` (a file inside an installed Python
    package) or `file:PATH`."""
    on: Literal["local"] = "local"
    """Where it runs: as a child process of the plane."""
    replicas: AtLeastOne = 1
    """How many processes serve it."""
    binary: Path | None = None
    """The server's program; absent: the packaged one, else `llama-server` on PATH."""
    context: AtLeastOne = 4096
    """Tokens of context, divided among the parallel slots."""
    parallel: AtLeastOne = 4
    """Requests that one replica works on at the same time."""
    threads: AtLeastOne = 1
    """Threads of one replica; more than the free cores make it slower."""
    ready_within_s: Timeout = field(name="ready_within", default=120.0)
    """A replica that is not ready by then counts as crashed."""
    stalled_s: Duration = field(name="stalled", default=120.0)
    """A replica that has work and makes no progress for so long counts as crashed."""
    drain_s: Duration = field(name="drain", default=20.0)
    """How long the requests of a replica that has to go may take to finish."""
    restart: RestartSpec = RestartSpec()
    """How a crashed replica comes back."""
    prices: list[EnginePrice] = []
    """Ordered by day; without a price the cost of its tokens is unknown, not zero."""
