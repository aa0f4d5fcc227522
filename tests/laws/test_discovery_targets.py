"""Addresses as targets: their names and settings, what the document may say, and what becomes of
work under way when they come and go."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from towplane.cli.provider_view import discovery_view
from towplane.controller.discovery import Discovery
from towplane.document.load import parse_document
from towplane.document.plane import Plane
from towplane.document.problems import DocumentError
from towplane.gateway.hall import REMEMBERED_S
from towplane.gateway.messages import Snapshot
from towplane.gateway.snapshot import make_snapshot
from towplane.parts.clock import Clock
from towplane.parts.errors import Unsupported
from towplane.providers.adapter import Credential
from towplane.providers.discover import Discover
from towplane.routing.discovery.address import Address
from towplane.routing.discovery.standing import SETTLED_S
from towplane.routing.spec import Breaker
from towplane.targets.discovery.source import Listener
from towplane.testing.clock import FakeClock
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.wire import DONE, LAST, STREAM, chunk, delta, event

A, B = Address("10.0.0.1", 8000), Address("10.0.0.2", 8000)


def plane(discover: str = "{dns: vllm.example}", more: str = "", weight: int = 1) -> Plane:
    text = f"""
plane: acme
providers:
  pool:
    kind: openai-compatible
    endpoint: https://vllm.example/v1
    discover: {discover}
    {more}
routing:
  llama: {{targets: [{{provider: pool, weight: {weight}}}]}}
"""
    return parse_document(text.encode()).plane


def snapshot(of: Plane, *addresses: Address) -> Snapshot:
    return make_snapshot(
        of,
        version=1,
        pepper=b"p" * 32,
        tenants=(),
        keys=(),
        credentials={"pool": (Credential("pool#1"),)},
        replicas=(),
        discovered={"pool": addresses},
    )


# Names and settings


def test_each_address_is_a_target_with_the_settings_of_its_provider() -> None:
    """TLS and the Host header keep the endpoint's name; the connection goes to the address."""
    found = snapshot(plane(), A, Address("10.0.0.2", 8000, "draining", reason="it goes"))
    assert [(t.name, t.host, t.port, t.tls, t.egress.address) for t in found.targets] == [
        ("pool/llama@10.0.0.1:8000", "vllm.example", 443, True, ("10.0.0.1", 8000)),
        ("pool/llama@10.0.0.2:8000", "vllm.example", 443, True, ("10.0.0.2", 8000)),
    ]
    assert {(t.provider, t.model, t.path, len(t.credentials)) for t in found.targets} == {
        ("pool", "llama", "/v1", 1)
    }
    assert [(t.state, t.reason) for t in found.targets] == [("ready", ""), ("draining", "it goes")]
    assert [p.target for p in found.routes[0].groups[0]] == [t.name for t in found.targets]


def test_the_weights_of_the_document_and_of_the_source_multiply() -> None:
    """And one that stands by does so at any weight."""
    places = snapshot(
        plane(weight=3), Address("a", 1, weight=2), Address("b", 1, weight=0)
    ).routes[0].groups[0]  # fmt: skip
    assert [place.weight for place in places] == [6, 0]


def test_a_provider_without_an_address_leaves_a_route_without_a_target() -> None:
    found = snapshot(plane())
    assert (found.targets, found.routes[0].groups) == ((), ((),))


# The document


@dataclass(frozen=True)
class Case:
    given: str
    want: list[str]
    more: str = ""


CASES = [
    Case("{dns: vllm.default.svc, port: 8000, every: 10s}", []),
    Case("{srv: _http._tcp.vllm.example, server: '127.0.0.1:8600'}", []),
    Case("{consul: {service: vllm, tag: gpu, token: 'env:TOKEN'}}", []),
    Case("{kubernetes: {service: vllm, namespace: default, port: http}}", []),
    Case("{kubernetes: {inference_pool: vllm}}", []),
    Case("{}", ["discover: not one source of addresses; expected exactly one of dns, srv, consul, "
                "kubernetes; found none"]),
    Case("{dns: a, srv: _b._tcp.c}",
         ["discover: not one source of addresses; expected exactly one of dns, srv, consul, "
          "kubernetes; found dns and srv"]),
    Case("{srv: _a._tcp.b, port: 80}",
         ["discover.port: only looked at with dns; expected none: SRV records says the port"]),
    Case("{dns: a, port: 70000}", ["discover.port: not a port; expected a number up to 65535"]),
    Case("{dns: 'a b'}", ["discover.dns: not a name in DNS; found a b"]),
    Case("{consul: {service: v}, server: '127.0.0.1:53'}",
         ["discover.server: no DNS server is asked; expected it with dns or srv alone"]),
    Case("{dns: a, server: 'ns.example:53'}",
         ["discover.server: not an IP address; expected such as 127.0.0.1:8600: no name is looked "
          "up for it; found ns.example:53"]),
    Case("{consul: {service: ''}}", ["discover.consul.service: an empty name"]),
    Case("{kubernetes: {}}",
         ["discover.kubernetes: not one thing to watch; expected exactly one of service and "
          "inference_pool; found neither"]),
    Case("{kubernetes: {inference_pool: a, port: http}}",
         ["discover.kubernetes.port: an InferencePool has its own target ports; expected no such "
          "key"]),
    Case("{kubernetes: {service: Vllm}}",
         ["discover.kubernetes.service: not a name in Kubernetes; expected lower-case letters, "
          "digits and -, at most 63; found Vllm"]),
    Case("{dns: a}",
         ["egress.address: one pinned address, beside a source of many; expected either "
          "egress.address or discover"], more="egress: {address: '10.0.0.1:80'}"),
    Case("{dns: a}",
         ["provisioned: capacity by the hour is bought at one address, not at many; expected no "
          "discover beside it"],
         more="provisioned: [{models: [llama], hourly: 1 USD, from: 2026-01-01}]"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.given)
def test_check_finds_sections_that_contradict_themselves(case: Case) -> None:
    try:
        plane(case.given, case.more)
        found: Sequence[str] = []
    except DocumentError as error:
        found = [str(each).partition("providers.pool.")[2] for each in error.problems]
    assert found == case.want


# Work under way


FIRST, END = chunk(event(delta("a"))), chunk(event(delta(finish="stop"))) + chunk(DONE) + LAST


def fleet(*hosts: str, **more: Any) -> Fleet:
    return Fleet(route("m", hosts, **more), targets=[target(host) for host in hosts])


def names(*hosts: str, **more: Any) -> dict[str, Any]:
    return {
        "routes": (route("m", hosts, **more),),
        "targets": tuple(target(host) for host in hosts),
    }


def test_an_attempt_on_a_target_that_vanishes_ends_as_it_began() -> None:
    """Drained, not cut: the client gets the whole answer, and the next request goes elsewhere."""
    plane = fleet("a")
    client = plane.worker.connect()
    client.ask(stream=True)
    plane.turn()
    up = plane.worker.upstream("a")
    up.give(STREAM, FIRST)
    plane.reload(**names("b"))
    plane.turn()
    plane.wait(REMEMBERED_S * 0.1)
    up.give(END)
    plane.turn()
    assert client.answer().complete
    plane.worker.connect().ask()
    plane.turn()
    assert plane.worker.upstreams[-1].host == "b"


def test_a_target_that_returns_keeps_its_record_and_what_still_runs_there() -> None:
    breaker = Breaker(failures=1, open_s=60.0, longest_s=60.0)
    plane = fleet("a", "b", breaker=breaker)
    clients = [plane.worker.connect() for _ in range(2)]
    for client in clients:
        client.ask(stream=True)
    plane.turn()
    hall = plane.worker.hall
    before = hall.targets["a/m"]
    before.breaker.failed(hall.now())
    plane.reload(**names("b", breaker=breaker))
    plane.wait(1.0)
    plane.reload(**names("a", "b", breaker=breaker))
    plane.turn()
    after = hall.targets["a/m"]
    assert (after, after.in_flight, after.breaker.state) == (before, 1, "open")
    for up in plane.worker.upstreams:
        up.give(STREAM, FIRST, END)
    plane.turn()
    assert [client.answer().complete for client in clients] == [True, True]
    assert after.in_flight == 0


def test_nothing_is_kept_of_a_target_that_stays_away() -> None:
    plane = fleet("a", "b")
    client = plane.worker.connect()
    client.ask(stream=True)
    plane.turn()
    hall = plane.worker.hall
    before = hall.targets["a/m"]
    plane.worker.upstream("a").give(STREAM, FIRST, END)
    plane.turn()
    plane.reload(**names("b"))
    plane.wait(REMEMBERED_S + 2.0, step_s=1.0)
    assert not any(labels[1] == "a/m" for labels in hall.counters.attempts)
    plane.reload(**names("a", "b"))
    plane.turn()
    assert hall.targets["a/m"] is not before


# The controller


@dataclass
class Said:
    """A source that a test plays."""

    name: str = "a test"
    listeners: list[Listener] = field(default_factory=list)

    async def follow(self, listener: Listener) -> None:
        self.listeners.append(listener)
        await asyncio.get_running_loop().create_future()


async def test_addresses_follow_their_source_and_leave_when_nothing_runs_there() -> None:
    clock, source, busy = FakeClock(), Said(), {"10.0.0.2": 1}
    changes: list[int] = []
    discovery = Discovery(
        plane(),
        lambda: changes.append(len(discovery.addresses()["pool"])),
        lambda reference: reference,
        in_flight=lambda _, address: busy.get(address.host, 0),
        clock=Clock(clock.monotonic, clock.wall),
        open_source=lambda *_: source,
    )
    starting = asyncio.create_task(discovery.start())
    await _settle()
    source.listeners[0].heard([A, B])
    await starting
    source.listeners[0].heard([B, A])  # the same in another order is no news
    source.listeners[0].heard([A])
    assert changes == [2, 2]
    clock.advance(SETTLED_S)
    discovery.look()
    assert [one.state for one in discovery.addresses()["pool"]] == ["ready", "draining"]
    busy.clear()
    discovery.look()
    assert discovery.addresses()["pool"] == (A,)
    source.listeners[0].failed("refused")
    view = discovery_view(*discovery.standings()["pool"], 0.0)
    assert (view.source, view.addresses, view.trouble) == ("a test", 1, "refused")
    await discovery.stop()


async def test_a_changed_section_keeps_its_addresses_until_the_new_source_has_spoken() -> None:
    sources: list[Said] = []

    def open_one(spec: Discover, *_: object) -> Said:
        sources.append(Said(f"source {len(sources)}"))
        return sources[-1]

    discovery = Discovery(plane(), lambda: None, lambda r: r, open_source=open_one)
    starting = asyncio.create_task(discovery.start())
    await _settle()
    sources[0].listeners[0].heard([A])
    await starting
    holding = asyncio.create_task(discovery.hold(plane("{dns: other.example}")))
    await _settle()
    assert discovery.addresses()["pool"] == (A,)
    sources[1].listeners[0].heard([B])
    await holding
    assert [one.host for one in discovery.standings()["pool"][1].named] == ["10.0.0.2"]
    await discovery.hold(parse_document(b"plane: acme").plane)
    assert discovery.addresses() == {}
    await discovery.stop()


async def test_a_source_that_cannot_be_opened_says_so_and_harms_nobody() -> None:
    def refuse(*_: object) -> Said:
        raise Unsupported("the package dns is not installed", next_step="install it")

    discovery = Discovery(plane(), lambda: None, lambda r: r, open_source=refuse)
    await discovery.start()
    _, standing = discovery.standings()["pool"]
    assert standing.trouble == "the package dns is not installed (install it)"
    await discovery.stop()


async def test_a_source_that_breaks_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Said):
        async def follow(self, listener: Listener) -> None:
            listener.heard([A])
            raise KeyError("a bug")

    discovery = Discovery(plane(), lambda: None, lambda r: r, open_source=lambda *_: Broken())
    await discovery.start()
    await _settle()
    _, standing = discovery.standings()["pool"]
    assert (places(standing.named), "restart" in standing.trouble) == (["10.0.0.1"], True)
    assert caplog.records[-1].levelname == "WARNING"
    await discovery.stop()


def places(found: Sequence[Address]) -> list[str]:
    return [one.host for one in found]


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
