"""Capacities, queues and overflow in the document: what contradicts itself is found, and what is
said reaches the workers."""

from typing import NamedTuple

import pytest

from towplane.document.load import parse_document
from towplane.document.problems import DocumentError
from towplane.gateway.capacities import capacities, overflow_providers, paces

HEAD = """\
plane: acme
tier: onprem
providers:
  api: {kind: openai-compatible, endpoint: "https://127.0.0.1:9/v1"}
engines:
  own: {engine: llama.cpp, weights: "package:some-weights/model.gguf"}
routing:
"""
OWN, API = "{engine: own}", "{provider: api, model: big}"


class Replica(NamedTuple):
    engine: str
    target: str


def said(route: str) -> list[str]:
    """Errors, else warnings, of a document with this route."""
    text = (HEAD + f"  chat: {route}\n").encode()
    try:
        found = parse_document(text).warnings
    except DocumentError as error:
        found = tuple(error.problems)
    return [f"{each.path}: {each.what}" for each in found if "no route uses" not in each.what]


@pytest.mark.parametrize(
    ("route", "what"),
    [
        (f"{{targets: [{OWN}, {API}], overflow: {{when: full}}}}", "is ever full"),
        (f"{{targets: [{OWN}], overflow: {{}}}}", "overflow goes nowhere"),
        (f"{{targets: [{API}], overflow: {{}}}}", "nothing overflows"),
        (f"{{targets: [{OWN}, {API}], overflow: {{when: slow}}}}", "slow is held against"),
        ("{targets: [{provider: api, concurrency: 4}]}", "only an engine's capacity"),
        ("{targets: [{engine: own, adapts: true}]}", "only against `slo.ttft`"),
        (f"{{targets: [{OWN}], queue: {{shed: slo}}}}", "nobody can miss"),
    ],
)
def test_what_contradicts_itself_is_found(route: str, what: str) -> None:
    assert any(what in each for each in said(route)), said(route)


def test_what_fits_together_is_not_complained_of() -> None:
    assert not said(
        "{targets: [{engine: own, concurrency: 8, adapts: true}, {provider: api, model: big}], "
        "slo: {ttft: 1s}, queue: {longest: 20s, shed: slo, weights: {globex: 3}}, "
        "overflow: {when: slow, daily: 50 USD}}"
    )


def test_an_engine_in_two_routes_takes_the_smaller_number_and_the_quicker_token() -> None:
    text = HEAD + (
        "  chat: {targets: [{engine: own, concurrency: 8, adapts: true}], slo: {ttft: 2s}}\n"
        "  talk: {targets: [{provider: api, model: big}], slo: {ttft: 1s}, "
        "fallback: [{engine: own, concurrency: 6, adapts: true}]}\n"
    )
    routing = parse_document(text.encode()).plane.routing
    found = capacities(routing, [Replica("own", "own/0"), Replica("other", "other/0")])
    assert [(one.name, one.limits.concurrency, one.is_engine) for one in found] == [
        ("own/0", 6, True)
    ]
    assert paces(routing) == {"own": 1.0}
    assert overflow_providers(routing, "talk") == {"api"}
    assert overflow_providers(routing, "chat") == frozenset()
    assert overflow_providers(routing, "gone") == frozenset()
