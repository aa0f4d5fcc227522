"""A scenario file: what stands behind a route, who asks, and what goes wrong meanwhile.

YAML, read with the same care as `plane.yaml`: unknown keys, wrong units and names that do not exist
are errors with line and column. It knows the document only by the names of its engines and
providers. `read_scenario` is the only part that touches the world.
"""

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Literal

from msgspec import field

from towplane.document.finding import Finding, check_known
from towplane.document.load import read_bytes
from towplane.document.nodes import read_nodes
from towplane.document.problems import DocumentError, Problem, show_place
from towplane.document.shape import Shape, is_null
from towplane.parts.section import Section
from towplane.parts.units import (
    AtLeastOne,
    Count,
    Duration,
    Money,
    Name,
    Number,
    Path,
    Rate,
    Share,
    Timeout,
    TokenPrice,
)  # fmt: skip
from towplane.routing.spec import RouteSpec
from towplane.simulation.figures import FIGURES

__all__ = ["ArrivalsSpec", "EngineModel", "FaultSpec", "ProviderModel", "Scenario",
           "read_scenario"]  # fmt: skip


class PriceModel(Section, frozen=True, kw_only=True):
    """What tokens of a target cost in the simulation."""

    input: TokenPrice
    """Input tokens."""
    output: TokenPrice
    """Output tokens."""
    cached_input: TokenPrice | None = None
    """Input tokens found in the cache; absent: as `input`."""


class EngineModel(Section, frozen=True, kw_only=True):
    """How an engine behaves: `engines.NAME` of a scenario."""

    figures: str = "llama-3.1-8b@h100"
    """A set of measured constants by its name, each of which may be changed below; a list of them
    is in `docs/simulation.md`."""
    replicas: AtLeastOne | None = None
    """How many there are; absent: as the document says, else 1."""
    step_s: Timeout | None = field(name="step", default=None)
    """What a step costs however little is in it; absent: as `figures`, like all below."""
    seq_s: Number | None = field(name="seq_seconds", default=None)
    """Seconds more for each sequence that decodes."""
    kv_s: Number | None = field(name="kv_seconds", default=None)
    """Seconds more for each token of context that those hold."""
    token_s: Number | None = field(name="token_seconds", default=None)
    """Seconds more for each token prefilled."""
    attend_s: Number | None = field(name="attend_seconds", default=None)
    """Seconds more for each pair of a prefilled token and one before it."""
    kv_tokens: AtLeastOne | None = None
    """Tokens that the KV memory holds."""
    sequences: AtLeastOne | None = None
    """Sequences at a time."""
    batched: AtLeastOne | None = None
    """Tokens in one step."""
    queued: Count | None = None
    """Requests that may wait in the engine before it answers 503; 0: any number."""
    apart: bool | None = None
    """Whether prompts are computed in steps of their own (vLLM V0)."""
    overhead_s: Duration | None = field(name="overhead", default=None)
    """Between the gateway and the first step."""
    price: PriceModel | None = None
    """What its tokens cost; absent: as the document says, if it does."""
    hourly: Money | None = None
    """What one replica costs per hour."""
    noticed_s: Duration = field(name="noticed", default=2.0)
    """How long after its end the plane takes a replica out of the route, and after its return back
    in."""


class ProviderModel(Section, frozen=True, kw_only=True):
    """How a managed API behaves: `providers.NAME` of a scenario."""

    ttft_s: Timeout = field(name="ttft", default=0.6)
    """Median time to the first token."""
    ttft_sigma: Number = 0.4
    """Spread of its logarithm: 0.4 makes p99 2.5 times the median."""
    itl_s: Timeout = field(name="itl", default=0.015)
    """Median time between tokens."""
    itl_sigma: Number = 0.3
    """Spread of its logarithm."""
    rpm: Count = 0
    """Requests per minute; 0: without limit."""
    tpm: Count = 0
    """Tokens per minute; 0: without limit."""
    failures: Share = 0.0
    """The share of requests answered with 500."""
    price: PriceModel | None = None
    """What its tokens cost; absent: as the document says, if it does."""


class LengthsSpec(Section, frozen=True, kw_only=True):
    """Lognormal lengths in tokens."""

    mean: AtLeastOne
    """Their mean."""
    sigma: Number = 0.8
    """Spread of the logarithm; 0: all alike."""
    most: AtLeastOne = 32_768
    """The longest."""


class BurstSpec(Section, frozen=True, kw_only=True):
    """A time in which more is asked."""

    since_s: Duration = field(name="from")
    """When it begins."""
    until_s: Duration = field(name="to")
    """When it ends."""
    times: Number = 3.0
    """How many times the usual rate."""


class PrefixesSpec(Section, frozen=True, kw_only=True):
    """Prompts that begin alike."""

    count: AtLeastOne
    """How many beginnings there are."""
    tokens: AtLeastOne
    """How long each is."""
    skew: Number = 1.0
    """Zipf's exponent of how often each is asked; 0: all alike."""


class PoissonSpec(Section, frozen=True, kw_only=True):
    """Independent requests of an open loop."""

    rate: Rate
    """How many, on average."""
    prompt: LengthsSpec = LengthsSpec(mean=1000)
    """Input tokens, beside those of `prefixes`."""
    answer: LengthsSpec = LengthsSpec(mean=200, most=2048)
    """Output tokens."""
    bursts: list[BurstSpec] = []
    """Times in which more is asked."""
    prefixes: PrefixesSpec | None = None
    """What prompts have in common; absent: nothing."""
    tenants: list[Number] = []
    """The share of each tenant; absent: there is one."""


class UsersSpec(Section, frozen=True, kw_only=True):
    """A closed loop: users in conversations, each of whom waits for its answer."""

    count: AtLeastOne
    """How many."""
    think_s: Duration = field(name="think", default=0.0)
    """Mean pause between an answer and the next turn."""
    ramp_s: Duration = field(name="ramp", default=10.0)
    """In which time they begin, one after the other."""
    turns: Number = 8.0
    """Mean turns of a conversation."""
    least: AtLeastOne = 1
    """Turns that every conversation has."""
    first: LengthsSpec = LengthsSpec(mean=220)
    """Tokens of the first message."""
    message: LengthsSpec = LengthsSpec(mean=80)
    """Tokens of each later one."""
    answer: LengthsSpec = LengthsSpec(mean=240, most=1024)
    """Tokens of an answer."""
    system: Count = 0
    """Tokens of a system prompt that all share."""
    most: AtLeastOne = 8192
    """A conversation ends before it is longer."""
    tenants: AtLeastOne = 1
    """Tenants among whom the users are spread."""


class TraceSpec(Section, frozen=True, kw_only=True):
    """Requests from a file; `docs/simulation.md` says which forms are read."""

    file: Path
    """Where it is."""
    speed: Number = 1.0
    """How many times as fast as it was."""
    most: Count = 0
    """How many are taken; 0: all."""
    key_tokens: AtLeastOne = 1024
    """Where the trace names blocks and no prefix: a prefix is so long."""
    block: AtLeastOne | None = None
    """Tokens of a block; absent: 512, as in Mooncake's."""


class ArrivalsSpec(Section, frozen=True, kw_only=True):
    """Who asks; exactly one of these."""

    poisson: PoissonSpec | None = None
    """An open loop, made up."""
    users: UsersSpec | None = None
    """A closed loop."""
    trace: TraceSpec | None = None
    """An open loop, from a file."""


class ClientsSpec(Section, frozen=True, kw_only=True):
    """How clients behave."""

    patience_s: Duration = field(name="patience", default=0.0)
    """A client leaves that has no answer by then; 0: none does."""
    retries: Count = 0
    """How often a client tries again by itself."""
    first_s: Timeout = field(name="first", default=0.5)
    """Its first pause; doubled each time."""
    longest_s: Timeout = field(name="longest", default=8.0)
    """The doubling ends here."""
    obeys: bool = True
    """Whether it waits as long as `retry-after` says."""


class FaultSpec(Section, frozen=True, kw_only=True):
    """Something goes wrong."""

    at_s: Duration = field(name="at")
    """When."""
    target: str
    """Which: a target's name, as `l4/3`; an engine's or provider's name means all of its."""
    what: Literal["kill", "slow", "hang", "refuse", "out"]
    """`kill`: it crashes, its cache is lost. `slow`: `times` as slow. `hang`: it takes requests and
    answers none. `refuse`: a provider answers 429. `out`: a provider is gone."""
    for_s: Duration = field(name="for", default=0.0)
    """How long; 0: to the end."""
    times: Number = 4.0
    """Of `slow`."""
    after_s: Duration = field(name="retry_after", default=5.0)
    """Of `refuse`: what it says."""


class Scenario(Section, frozen=True, kw_only=True):
    """All of a scenario file."""

    about: str = ""
    """What it is for, in a sentence."""
    model: str = ""
    """The route of the document that is simulated; absent: its only one."""
    route: RouteSpec | None = None
    """A route of its own, for a simulation without a document."""
    seconds: Timeout = field(name="for", default=300.0)
    """How long requests come."""
    drain_s: Duration = field(name="drain", default=60.0)
    """How long is waited afterwards for the answers."""
    warmup_s: Duration = field(name="warmup", default=0.0)
    """What was asked before this counts in no latency."""
    seed: Count = 1
    """From which all chance follows."""
    block: AtLeastOne = 64
    """Tokens of a block of prompts that are made up."""
    engines: dict[Name, EngineModel] = {}
    """By the name in the document, or in `route`."""
    providers: dict[Name, ProviderModel] = {}
    """By the name in the document, or in `route`."""
    arrivals: ArrivalsSpec
    """Who asks."""
    clients: ClientsSpec = ClientsSpec()
    """How clients behave."""
    faults: list[FaultSpec] = []
    """What goes wrong."""


def read_scenario(path: FilePath) -> Scenario:
    """The scenario in a file; raises `DocumentError` with all that is wrong."""
    file = str(path)
    root, problems = read_nodes(read_bytes(path), file)
    next_step = "correct it; docs/simulation.md says what a scenario holds"
    if root is None or is_null(root):
        empty = Problem(file=file, line=1, column=1, path="", what="the scenario is empty")
        raise DocumentError(problems or [empty], next_step=next_step)
    shape = Shape(file, str(path.parent.absolute()))
    scenario = shape.build(root, Scenario)
    problems += shape.problems
    for finding in _findings(scenario):
        line, column = shape.marks.get(finding.place, (1, 1))
        problems.append(
            Problem(
                file=file, line=line, column=column, path=show_place(finding.place),
                what=finding.what, expected=finding.expected, found=finding.found,
                nearest=finding.nearest,
            )
        )  # fmt: skip
    if problems:
        raise DocumentError(problems, next_step=next_step)
    return scenario


def _findings(scenario: Scenario) -> Iterator[Finding]:
    """What contradicts itself."""
    arrivals = scenario.arrivals
    kinds = [arrivals.poisson, arrivals.users, arrivals.trace]
    if sum(kind is not None for kind in kinds) != 1:
        yield Finding(
            place=("arrivals",), what="not one kind of arrivals",
            expected="exactly one of poisson, users, trace",
        )  # fmt: skip
    if arrivals.users is not None and arrivals.users.turns < arrivals.users.least:
        yield Finding(
            place=("arrivals", "users", "least"), what="more than the mean",
            expected=f"at most turns, {arrivals.users.turns:g}",
        )  # fmt: skip
    for name, engine in scenario.engines.items():
        yield from check_known(
            ("engines", name, "figures"), engine.figures, FIGURES, "engines", "set of figures"
        )
    if scenario.warmup_s >= scenario.seconds:
        yield Finding(place=("warmup",), what="nothing is left to count", expected="less than for")
    for number, fault in enumerate(scenario.faults):
        name = fault.target.partition("/")[0]
        is_provider = name in scenario.providers
        if fault.what == "refuse" and not is_provider and name in scenario.engines:
            yield Finding(
                place=("faults", number, "what"), what="an engine sends no 429",
                expected="`queued` in the engine's section, for 503",
            )  # fmt: skip
    if scenario.route is not None:
        for number, target in enumerate(scenario.route.targets):
            if target.engine is not None:
                yield from check_known(
                    ("route", "targets", number, "engine"), target.engine, scenario.engines,
                    "engines", "engine",
                )  # fmt: skip
            if target.provider is not None:
                yield from check_known(
                    ("route", "targets", number, "provider"), target.provider,
                    scenario.providers, "providers", "provider",
                )  # fmt: skip
