"""What the document says of resilience: read as people write it, and found where it contradicts."""

import textwrap

import pytest

from towplane.document.load import parse_document
from towplane.document.problems import DocumentError
from towplane.gateway.snapshot import make_snapshot
from towplane.routing.spec import Fallback, Hedge, RouteSpec

HEAD = """plane: acme
providers: {p: {kind: openai, credentials: [{api_key: env:K}]}}
routing:
  large: {targets: [{provider: p, model: b}], fallback: [{provider: p, model: last}]}
  chat:
    targets: [{provider: p, model: a}]
"""


def problems_of(section: str) -> list[str]:
    text = HEAD + textwrap.indent(textwrap.dedent(section).strip("\n"), "    ") + "\n"
    try:
        found = list(parse_document(text.encode()).warnings)
    except DocumentError as error:
        found = list(error.problems)
    return [str(one).removeprefix(f"{one.where}: ").removeprefix("warning: ") for one in found]


def route_of(section: str) -> RouteSpec:
    text = HEAD + textwrap.indent(textwrap.dedent(section).strip("\n"), "    ") + "\n"
    return parse_document(text.encode()).plane.routing["chat"]


def test_all_of_it_is_written_as_people_write() -> None:
    spec = route_of("""
        fallback: [large, {provider: p, model: long, on: [context-length]}]
        breaker: {slow: 5s, slow_share: 50%, stalled: 30s}
        hedge: {after: 800ms, quantile: 95%, budget: 5%, cost: 0.50 USD}
        probe: {every: 10s, timeout: 5s, idle: 10m}
        outliers: {every: 10s, volume: 10, gap: 20%, slower: 3, base: 30s, longest: 5m, most: 10%}
        slow_start: 30s
    """)
    assert spec.hedge == Hedge(after_s=0.8, quantile=0.95, budget=0.05, cost=500_000_000)
    assert spec.fallback[1] == Fallback(provider="p", model="long", on=["context-length"])
    assert (spec.breaker.slow_s, spec.breaker.stalled_s, spec.slow_start_s) == (5.0, 30.0, 30.0)


@pytest.mark.parametrize(
    ("section", "found"),
    [
        ("fallback: [{route: large, provider: p}]", "a step is a route or a target, not both"),
        ("fallback: [{route: larg}]", "no such route"),
        ("fallback: [{route: chat}]", "fallback goes in a circle: chat → chat"),
        ("fallback: [{provider: p, model: z, on: [time-out]}]", "did you mean timeout?"),
        ("fallback: [{on: [timeout]}]", "exactly one of provider and engine"),
        ("outliers: {base: 10m}", "left out longer than its longest"),
        ("hedge: {after: 11m}", "the request has already timed out"),
        ("hedge: {}\nretries: {most: 1}", "`retries.most` allows one attempt"),
        ("breaker: {slow: 2m}", "`timeouts.first_token` ends it before"),
    ],
)
def test_what_contradicts_itself_is_found(section: str, found: str) -> None:
    (problem,) = problems_of(section)
    assert found in problem


def test_the_reasons_of_a_chain_reach_the_workers() -> None:
    text = HEAD + (
        "    fallback: [{provider: p, model: c}, {route: large, on: [timeout, overload]},"
        " {provider: p, model: d, on: [price]}]\n"
    )
    snapshot = make_snapshot(
        parse_document(text.encode()).plane,
        version=1,
        pepper=b"",
        tenants=(),
        keys=(),
        credentials={},
        replicas=(),
    )
    chat = next(one for one in snapshot.routes if one.model == "chat")
    large = next(one for one in snapshot.routes if one.model == "large")
    assert [places[0].target for places in chat.groups] == ["p/a", "p/c", "p/b", "p/last", "p/d"]
    assert chat.on == ((), (), ("timeout", "overload"), ("timeout", "overload"), ("price",))
    assert large.on == ()
