"""What a document may say of cache events, and where prompts are looked up by them."""

from importlib.util import find_spec
from typing import Any

import pytest

from towplane.document import resolve
from towplane.document.load import Document, parse_document
from towplane.document.problems import DocumentError, Problem
from towplane.document.resolve import find_missing
from towplane.gateway.snapshot import provider_targets
from towplane.routing.discovery.address import Address

EVENTS = "engine: vllm, events: 'tcp://*:5557'"
TOKENIZER = "prefix: {tokenizer: /no/tokenizer.json}"


def text(signals: str, *, provider: str = "", route: str = "choose: least-work") -> bytes:
    return (
        "plane: acme\nproviders:\n  p:\n    kind: openai-compatible\n"
        f"    endpoint: http://gpu-7:8000/v1\n    signals: {{{signals}}}\n{provider}"
        f"routing:\n  chat: {{targets: [{{provider: p, model: m}}], {route}}}\n"
    ).encode()


def problems_of(signals: str, **more: Any) -> list[Problem]:
    try:
        return list(parse_document(text(signals, **more)).warnings)
    except DocumentError as error:
        return list(error.problems)


def whats(problems: list[Problem]) -> list[tuple[str, str]]:
    return [(one.path.rpartition(".")[2], one.what) for one in problems]


@pytest.mark.parametrize(
    "signals",
    [
        EVENTS,
        EVENTS + ", replay: 'tcp://[::1]:5558'",
        "engine: vllm, events: 'tcp://10.0.0.7:1', topic: kv",
    ],
)
def test_addresses_of_zeromq_are_fine(signals: str) -> None:
    assert not problems_of(signals, route=f"choose: least-work, {TOKENIZER}")


@pytest.mark.parametrize(
    ("signals", "want"),
    [
        ("engine: vllm, events: 'http://a:1'", ("events", "not an address of ZeroMQ")),
        ("engine: vllm, events: 'tcp://a'", ("events", "not an address of ZeroMQ")),
        ("engine: vllm, replay: 'tcp://a:1'", ("replay", "nothing to be asked for again")),
        ("engine: sglang, events: 'tcp://a:1'", ("events", "sglang publishes no such events")),
    ],
)
def test_what_is_none_is_said(signals: str, want: tuple[str, str]) -> None:
    assert whats(problems_of(signals)) == [want]


def test_one_publisher_is_not_that_of_many_addresses() -> None:
    many = "    discover: {dns: vllm.internal}\n"
    fixed = "engine: vllm, events: 'tcp://gpu-7:5557'"
    assert not problems_of(EVENTS, provider=many)
    assert whats(problems_of(fixed, provider=many)) == [
        ("events", "one publisher, beside a source of many addresses")
    ]


def test_a_tokenizer_that_nothing_is_looked_up_with_is_said() -> None:
    idle = problems_of(EVENTS, route=f"choose: round-robin, {TOKENIZER}")
    assert whats(idle) == [("tokenizer", "round-robin does not look at prompts")]
    deaf = problems_of("engine: vllm", route=f"choose: prefix, {TOKENIZER}")
    assert whats(deaf) == [("tokenizer", "no target of the route publishes what its cache keeps")]
    assert {one.severity for one in (*idle, *deaf)} == {"warning"}


def parsed(**more: Any) -> Document:
    return parse_document(text(EVENTS, **more))


def test_the_file_and_the_packages_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    document = parsed(route=f"choose: least-work, {TOKENIZER}")
    assert [one.what for one in find_missing(document, {})] == [
        "/no/tokenizer.json is not there or not readable"
    ]
    missing = ("zmq", "tokenizers")
    monkeypatch.setattr(
        resolve, "find_spec", lambda name: None if name in missing else find_spec(name)
    )
    said = {one.path: one.what for one in find_missing(document, {}) if "package" in one.what}
    assert said == {
        "providers.p.signals.events":
            "the package pyzmq is not installed: pip install 'towplane[kv-events]'",
        "routing.chat.prefix.tokenizer":
            "the package tokenizers is not installed: pip install 'towplane[kv-events]'",
    }  # fmt: skip


def test_a_star_is_the_host_of_each_address() -> None:
    plane = parsed().plane
    (one,) = provider_targets(plane, {})
    assert one.events is not None
    assert one.events.address == "tcp://gpu-7:5557"
    plane = parsed(provider="    discover: {dns: vllm.internal}\n").plane
    found = {"p": [Address("10.0.0.1", 8000), Address("fd00::1", 8000)]}
    many = provider_targets(plane, {}, discovered=found)
    assert [each.events.address for each in many if each.events is not None] == [
        "tcp://10.0.0.1:5557",
        "tcp://[fd00::1]:5557",
    ]
