"""What can be wrong with the section `signals` of a provider, and with who looks at it. Pure, as
`document.check_providers` and `document.check_policies`, which compose it."""

import re
from collections.abc import Iterator

from towplane.document.finding import Finding, say_name
from towplane.document.plane import Plane
from towplane.document.problems import Place
from towplane.providers.spec import EngineSignals, OpenAICompatibleSpec
from towplane.routing.policies import POLICIES
from towplane.routing.spec import RouteSpec

__all__ = ["check_signals", "check_tokenizer"]

_ADDRESS = re.compile(r"tcp://(\*|\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}", re.ASCII)


def check_signals(place: Place, provider: OpenAICompatibleSpec) -> Iterator[Finding]:
    """Findings within one section."""
    spec = provider.signals
    if spec is None:
        return
    here = (*place, "signals")
    for key in ("events", "replay"):
        address = getattr(spec, key)
        if address is not None and not _ADDRESS.fullmatch(address):
            yield Finding(
                place=(*here, key),
                what="not an address of ZeroMQ",
                expected="such as tcp://10.0.0.7:5557, or tcp://*:5557 for the endpoint's host",
                found=say_name(address),
            )
    yield from _check_events(here, provider, spec)


def _check_events(
    here: Place, provider: OpenAICompatibleSpec, spec: EngineSignals
) -> Iterator[Finding]:
    if spec.events is None:
        if spec.replay is not None:
            what, expected = "nothing to be asked for again", "signals.events beside it"
            yield Finding(place=(*here, "replay"), what=what, expected=expected)
        return
    if spec.engine != "vllm":
        what = f"{spec.engine} publishes no such events"
        yield Finding(place=(*here, "events"), what=what, expected="engine: vllm")
    if provider.discover is not None and "*" not in spec.events:
        yield Finding(
            place=(*here, "events"),
            what="one publisher, beside a source of many addresses",
            expected="tcp://*:PORT, which is each address",
            found=say_name(spec.events),
        )


def check_tokenizer(plane: Plane, place: Place, route: RouteSpec) -> Iterator[Finding]:
    """Findings about a tokenizer that nothing would ever be looked up with."""
    if route.prefix.tokenizer is None:
        return
    here = (*place, "prefix", "tokenizer")
    policy = POLICIES.get(route.choose)
    if policy is not None and "blocks" not in policy.wants:
        yield Finding(
            place=here,
            what=f"{route.choose} does not look at prompts",
            expected="choose: least-work, prefix or scored",
            severity="warning",
        )
    if not any(_publishes(plane, target.provider) for target in route.targets):
        yield Finding(
            place=here,
            what="no target of the route publishes what its cache keeps",
            expected="signals.events of a provider",
            severity="warning",
        )


def _publishes(plane: Plane, provider: str | None) -> bool:
    spec = plane.providers.get(provider or "")
    if not isinstance(spec, OpenAICompatibleSpec) or spec.signals is None:
        return False
    return spec.signals.events is not None
