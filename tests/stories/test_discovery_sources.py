"""DNS, Consul and Kubernetes over sockets: whatever happens on the way, what is heard in the end is
what is there."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import dns.rcode
import lightkube
import pytest

from towplane.providers.discover import ConsulSource
from towplane.routing.discovery.address import Address, merge
from towplane.targets.discovery import source as pauses
from towplane.targets.discovery.consul import Health
from towplane.targets.discovery.dns import AddressRecords, ServiceRecords
from towplane.targets.discovery.kubernetes import PoolPods, ServiceEndpoints
from towplane.targets.discovery.source import Source
from towplane.targets.kubernetes import watch
from towplane.targets.kubernetes.connect import connect
from towplane.testing.cluster import inference_pool, pod, slice_of
from towplane.testing.consul import FakeConsul
from towplane.testing.dns_server import FakeDns
from towplane.testing.kubernetes_api import PODS, POOLS, SLICES, FakeKubernetes
from towplane.testing.tls import make_certificate

PATIENCE_S = 20.0
"""Generous: other work may share the machine."""


class Heard:
    """What a source has said."""

    def __init__(self) -> None:
        self.addresses: tuple[Address, ...] | None = None
        self.troubles: list[str] = []
        self.trouble = ""
        self.count = 0

    def heard(self, found: Iterable[Address]) -> None:
        self.addresses, self.trouble = merge(found), ""
        self.count += 1

    def failed(self, say: str) -> None:
        self.trouble = say
        self.troubles.append(say)

    @property
    def names(self) -> list[str] | None:
        """`HOST:PORT` of each, with its state where it is not ready."""
        if self.addresses is None:
            return None
        return [f"{a.name}{'' if a.state == 'ready' else ' ' + a.state}" for a in self.addresses]

    async def until(self, is_so: Callable[[], object]) -> None:
        """Something becomes true."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not is_so():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"heard {self.names}, trouble {self.trouble!r}") from None


@asynccontextmanager
async def following(source: Source) -> AsyncIterator[Heard]:
    """A source that is followed; it must not end by itself."""
    heard = Heard()
    task = asyncio.create_task(source.follow(heard))
    try:
        yield heard
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that a story can wait for."""
    monkeypatch.setattr(pauses, "LONGEST_PAUSE_S", 0.2)
    monkeypatch.setattr(pauses, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(watch, "_GRACE_S", 0.5)
    monkeypatch.setattr(watch, "_BRIEF_S", 0.0)


# DNS


@pytest.fixture
def names() -> Iterator[FakeDns]:
    with FakeDns() as server:
        yield server


async def test_addresses_follow_their_records_as_their_time_to_live_ends(names: FakeDns) -> None:
    names.records["vllm.example.", "A"] = ["10.0.0.2", "10.0.0.1"]
    async with following(AddressRecords("vllm.example", 8000, 60.0, names.address)) as heard:
        await heard.until(lambda: heard.names == ["10.0.0.1:8000", "10.0.0.2:8000"])
        names.records["vllm.example.", "A"] = ["10.0.0.3"]
        await heard.until(lambda: heard.names == ["10.0.0.3:8000"])
        assert heard.count < 10  # not more than once a second


async def test_where_there_is_no_ipv4_address_ipv6_is_taken(names: FakeDns) -> None:
    names.records["vllm.example.", "AAAA"] = ["fd00::1"]
    async with following(AddressRecords("vllm.example", 8000, 60.0, names.address)) as heard:
        await heard.until(lambda: heard.names == ["[fd00::1]:8000"])


@pytest.mark.parametrize("fault", ["servfail", "empty", "nobody"])
async def test_an_answer_that_is_none_is_said_and_gets_better(names: FakeDns, fault: str) -> None:
    names.records["vllm.example.", "A"] = ["10.0.0.1"]
    async with following(AddressRecords("vllm.example", 80, 0.1, names.address)) as heard:
        await heard.until(lambda: heard.names == ["10.0.0.1:80"])
        if fault == "servfail":
            names.rcode = dns.rcode.SERVFAIL
        elif fault == "empty":
            names.records["vllm.example.", "A"] = []
        else:
            names.records.clear()
        await heard.until(lambda: heard.trouble)
        assert heard.names == ["10.0.0.1:80"]
        names.rcode = dns.rcode.NOERROR
        names.records["vllm.example.", "A"] = ["10.0.0.2"]
        await heard.until(lambda: heard.names == ["10.0.0.2:80"] and not heard.trouble)


async def test_srv_records_say_host_port_and_weight(names: FakeDns) -> None:
    names.records["_http._tcp.vllm.example.", "SRV"] = [
        "10 20 8000 vllm-0.vllm.example.",
        "10 40 8001 vllm-1.vllm.example.",
        "20 10 8000 spare.example.",
        "30 0 0 .",
    ]
    source = ServiceRecords("_http._tcp.vllm.example", 60.0, names.address)
    async with following(source) as heard:
        await heard.until(lambda: heard.addresses)
        assert [(one.name, one.weight) for one in heard.addresses or ()] == [
            ("spare.example:8000", 0),
            ("vllm-0.vllm.example:8000", 1),
            ("vllm-1.vllm.example:8001", 2),
        ]


async def test_a_name_that_only_the_system_knows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hosts file, and planes without dnspython."""
    monkeypatch.setattr("towplane.targets.discovery.dns.find_spec", lambda _: None)
    async with following(AddressRecords("localhost", 8000, 60.0)) as heard:
        await heard.until(lambda: heard.addresses)
        assert (heard.addresses or ())[0].host in ("127.0.0.1", "::1")


# Consul


@pytest.fixture
def consul() -> Iterator[FakeConsul]:
    with FakeConsul() as server:
        yield server


def health(consul: FakeConsul, wait_s: float = 60.0, **spec: object) -> Health:
    found = ConsulSource(service="vllm", address=consul.origin, **spec)  # type: ignore[arg-type]
    return Health(found, lambda _: "secret", wait_s=wait_s)


async def test_instances_come_and_go_by_blocking_queries(consul: FakeConsul) -> None:
    """News come at once although a query may wait for a minute; and nobody asks in between."""
    consul.register("vllm", "a", "10.0.0.1", 8000)
    consul.register("vllm", "b", "", 8001, node="10.0.0.9")
    async with following(health(consul)) as heard:
        await heard.until(lambda: heard.names == ["10.0.0.1:8000", "10.0.0.9:8001"])
        await heard.until(lambda: consul.held == 1)
        asked = len(consul.asked)
        consul.judge("vllm", "a", is_passing=False)
        await heard.until(lambda: heard.names == ["10.0.0.9:8001"])
        consul.judge("vllm", "a", is_passing=True)
        await heard.until(lambda: heard.names == ["10.0.0.1:8000", "10.0.0.9:8001"])
        consul.deregister("vllm", "b")
        await heard.until(lambda: heard.names == ["10.0.0.1:8000"])
        assert len(consul.asked) - asked <= 4
        consul.deregister("vllm", "a")
        await heard.until(lambda: heard.names == [])  # an empty service is an answer


async def test_an_index_that_went_backwards_begins_anew(consul: FakeConsul) -> None:
    consul.register("vllm", "a", "10.0.0.1", 8000)
    async with following(health(consul)) as heard:
        await heard.until(lambda: consul.held == 1)
        consul.restore()
        await heard.until(lambda: "index=0&" in consul.asked[-1] or "index=1&" in consul.asked[-1])
        await heard.until(lambda: consul.held == 1)
        consul.register("vllm", "b", "10.0.0.2", 8000)
        await heard.until(lambda: heard.names == ["10.0.0.1:8000", "10.0.0.2:8000"])


async def test_what_narrows_a_query_is_sent_and_the_token_shown(consul: FakeConsul) -> None:
    consul.token = "secret"
    consul.register("vllm", "a", "10.0.0.1", 8000, tags=("gpu",))
    consul.register("vllm", "b", "10.0.0.2", 8000)
    source = health(consul, tag="gpu", datacenter="dc1", token="env:TOKEN")
    async with following(source) as heard:
        await heard.until(lambda: heard.names == ["10.0.0.1:8000"])
        assert "dc=dc1" in consul.asked[0]
        assert consul.asked[0].endswith("&stale")
    consul.token = "another"
    async with following(source) as heard:
        await heard.until(lambda: "403" in heard.trouble)
        assert "secret" not in heard.trouble


async def test_a_server_without_a_leader_is_not_believed(consul: FakeConsul) -> None:
    consul.register("vllm", "a", "10.0.0.1", 8000)
    async with following(health(consul)) as heard:
        await heard.until(lambda: heard.names)
        consul.has_leader = False
        consul.deregister("vllm", "a")
        await heard.until(lambda: "no leader" in heard.trouble)
        assert heard.names == ["10.0.0.1:8000"]
        consul.has_leader = True
        await heard.until(lambda: heard.names == [])


@pytest.mark.parametrize("seed", range(3))
async def test_consul_in_any_order_ends_at_what_is_there(consul: FakeConsul, seed: int) -> None:
    lots, there = random.Random(seed), dict[str, int]()
    async with following(health(consul, wait_s=0.5)) as heard:
        for _ in range(40):
            name = lots.choice("abc")
            match lots.choice(["up", "up", "down", "ill", "restore", "refuse", "cut", "wake", "-"]):
                case "up":
                    there[name] = lots.randint(8000, 8003)
                    consul.register("vllm", name, "10.0.0.1", there[name])
                case "down" | "ill" as what if name in there:
                    del there[name]
                    if what == "down":
                        consul.deregister("vllm", name)
                    else:
                        consul.judge("vllm", name, is_passing=False)
                case "restore":
                    consul.restore()
                case "refuse":
                    consul.refusals += lots.choices([0, 429, 500], k=2)
                case "cut":
                    consul.cut()
                case "wake":
                    consul.wake()
                case _:
                    await asyncio.sleep(lots.random() * 0.05)
        want = sorted({f"10.0.0.1:{port}" for port in there.values()})
        await heard.until(lambda: heard.names == want and not heard.trouble)


# Kubernetes


@pytest.fixture
def api() -> Iterator[FakeKubernetes]:
    with FakeKubernetes(token="cluster-token") as server:
        yield server


def endpoints(api: FakeKubernetes, folder: Path, relist_s: float = 300.0) -> ServiceEndpoints:
    file = str(api.kubeconfig(folder))
    return ServiceEndpoints("vllm", None, "http", lambda: connect(file), relist_s=relist_s)


FAULTS = ["put", "put", "del", "compact", "cut", "lose", "refuse", "silent", "slow", "mark", "-"]


def lists(api: FakeKubernetes) -> int:
    return sum("watch=true" not in asked for asked in api.asked)


async def test_endpoints_come_drain_and_go_by_one_watch(
    api: FakeKubernetes, tmp_path: Path
) -> None:
    api.put(SLICES, slice_of("vllm", "vllm-1", "10.0.0.1", "10.0.0.2"))
    api.put(SLICES, slice_of("other", "other-1", "10.9.9.9"))
    async with following(endpoints(api, tmp_path)) as heard:
        await heard.until(lambda: heard.names == ["10.0.0.1:8000", "10.0.0.2:8000"])
        await heard.until(api.watches)
        api.put(SLICES, slice_of("vllm", "vllm-2", ("10.0.0.3", "starting"), port=8001))
        await heard.until(lambda: "10.0.0.3:8001 starting" in (heard.names or ()))
        api.put(SLICES, slice_of("vllm", "vllm-1", ("10.0.0.1", "draining"), "10.0.0.2"))
        await heard.until(lambda: "10.0.0.1:8000 draining" in (heard.names or ()))
        api.delete(SLICES, "vllm-1")
        await heard.until(lambda: heard.names == ["10.0.0.3:8001 starting"])
        assert lists(api) == 1


async def test_a_list_comes_in_pages(api: FakeKubernetes, tmp_path: Path) -> None:
    api.page = 2
    for number in range(5):
        api.put(SLICES, slice_of("vllm", f"vllm-{number}", f"10.0.0.{number}"))
    async with following(endpoints(api, tmp_path)) as heard:
        await heard.until(lambda: len(heard.names or ()) == 5)
        assert lists(api) == 3


async def test_a_bookmark_spares_a_list_after_a_compaction(
    api: FakeKubernetes, tmp_path: Path
) -> None:
    """The server ends the watch in order; the version of the bookmark is not too old."""
    api.longest_watch_s = 0.5
    api.put(SLICES, slice_of("vllm", "vllm-1", "10.0.0.1"))
    async with following(endpoints(api, tmp_path)) as heard:
        await heard.until(api.watches)
        api.put(PODS, pod("noise", "10.1.1.1"))
        api.bookmark()
        await asyncio.sleep(0.1)
        api.compact()
        seen = len(api.asked)
        await heard.until(lambda: len(api.asked) > seen + 1)
        assert lists(api) == 1


@pytest.mark.parametrize("how", ["status", "event"])
async def test_a_version_that_is_gone_is_listed_again(
    api: FakeKubernetes, tmp_path: Path, how: str
) -> None:
    api.gone_as = "status" if how == "status" else "event"
    api.longest_watch_s = 0.3
    api.put(SLICES, slice_of("vllm", "vllm-1", "10.0.0.1"))
    async with following(endpoints(api, tmp_path)) as heard:
        await heard.until(api.watches)
        api.put(PODS, pod("noise", "10.1.1.1"))
        api.compact()
        await heard.until(lambda: lists(api) == 2)
        assert heard.troubles == []  # the way of the world
        api.put(SLICES, slice_of("vllm", "vllm-1", "10.0.0.2"))
        await heard.until(lambda: heard.names == ["10.0.0.2:8000"])


async def test_a_deletion_that_nobody_told_is_found_by_the_next_list(
    api: FakeKubernetes, tmp_path: Path
) -> None:
    api.put(SLICES, slice_of("vllm", "vllm-1", "10.0.0.1"))
    api.put(SLICES, slice_of("vllm", "vllm-2", "10.0.0.2"))
    async with following(endpoints(api, tmp_path, relist_s=1.0)) as heard:
        await heard.until(api.watches)
        api.loses = 1.0
        api.delete(SLICES, "vllm-1")
        await heard.until(lambda: heard.names == ["10.0.0.2:8000"])


async def test_a_connection_that_fell_silent_is_given_up(
    api: FakeKubernetes, tmp_path: Path
) -> None:
    api.put(SLICES, slice_of("vllm", "vllm-1", "10.0.0.1"))
    async with following(endpoints(api, tmp_path, relist_s=1.0)) as heard:
        await heard.until(api.watches)
        api.is_silent = True
        api.longest_watch_s = 3600.0
        api.delete(SLICES, "vllm-1")
        await heard.until(lambda: heard.names == [])


async def test_whoever_may_not_look_is_told_what_is_missing(
    api: FakeKubernetes, tmp_path: Path
) -> None:
    api.refusals += [403] * 2
    async with following(endpoints(api, tmp_path)) as heard:
        await heard.until(lambda: heard.trouble)
        assert "403" in heard.trouble
        assert "list and watch" in heard.trouble
        await heard.until(lambda: heard.names == [])
    file = tmp_path / "none"
    source = ServiceEndpoints("vllm", None, None, lambda: connect(str(file)))
    async with following(source) as heard:
        await heard.until(lambda: "no way to the cluster" in heard.trouble)


async def test_the_pods_of_a_pool_follow_its_selector_and_its_ports(
    api: FakeKubernetes, tmp_path: Path
) -> None:
    file = str(api.kubeconfig(tmp_path))
    api.put(PODS, pod("a", "10.0.0.1"))
    api.put(PODS, pod("b", "10.0.0.2", labels={"app": "sglang"}))
    async with following(PoolPods("pool", "default", lambda: connect(file))) as heard:
        await heard.until(lambda: heard.names == [])  # there is no pool yet
        api.put(POOLS, inference_pool("pool", 8000))
        await heard.until(lambda: heard.names == ["10.0.0.1:8000"])
        api.put(PODS, pod("a", "10.0.0.1", is_terminating=True))
        await heard.until(lambda: heard.names == ["10.0.0.1:8000 draining"])
        api.put(POOLS, inference_pool("pool", 8000, 8001, labels={"app": "sglang"}))
        await heard.until(lambda: heard.names == ["10.0.0.2:8000", "10.0.0.2:8001"])
        api.put(POOLS, inference_pool("pool", 9000, labels={"app": "sglang"}))
        await heard.until(lambda: heard.names == ["10.0.0.2:9000"])
        api.delete(POOLS, "pool")
        await heard.until(lambda: heard.names == [])


async def test_in_a_pod_the_service_account_is_used_and_its_token_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over TLS with the cluster's own authority; kubelet renews the token's file in place."""
    made = make_certificate(tmp_path)
    account = tmp_path / "account"
    account.mkdir()
    (account / "ca.crt").write_bytes(made.certificate.read_bytes())
    (account / "namespace").write_text("default")
    (account / "token").write_text("first")
    found = lightkube.KubeConfig.from_service_account
    monkeypatch.setattr(lightkube.KubeConfig, "from_env", lambda: found(account))
    with FakeKubernetes(token="first", tls=made.server_context()) as api:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(api.port))
        api.put(SLICES, slice_of("vllm", "vllm-1", "10.0.0.1"))
        async with following(ServiceEndpoints("vllm", None, None, connect)) as heard:
            await heard.until(lambda: heard.names == ["10.0.0.1:8000"] and api.watches())
            api.token = "second"
            (account / "token").write_text("second")
            api.delete(SLICES, "vllm-1")
            api.cut()
            await heard.until(lambda: heard.names == [] and api.watches())
            assert heard.troubles == []


@pytest.mark.parametrize("seed", range(3))
async def test_kubernetes_in_any_order_ends_at_what_is_there(
    api: FakeKubernetes, tmp_path: Path, seed: int
) -> None:
    """Compactions, cut and silent connections, lost events, refused requests, pages, slow lists."""
    lots, there = random.Random(seed), dict[str, str]()
    api.page, api.longest_watch_s = lots.choice([1, 500]), 0.5
    async with following(endpoints(api, tmp_path, relist_s=1.0)) as heard:
        for _ in range(60):
            name, ip = lots.choice("abc"), f"10.0.0.{lots.randint(1, 9)}"
            match lots.choice(FAULTS):
                case "put":
                    there[name] = ip
                    api.put(SLICES, slice_of("vllm", name, ip))
                case "del":
                    there.pop(name, None)
                    api.delete(SLICES, name)
                case "compact":
                    api.gone_as = "status" if lots.random() < 0.5 else "event"
                    api.compact()
                case "cut":
                    api.cut()
                case "lose":
                    api.loses = lots.choice([0.0, 0.5])
                case "refuse":
                    api.refusals += lots.choices([0, 410, 429, 500], k=2)
                case "silent":
                    api.is_silent = lots.random() < 0.3
                case "slow":
                    api.list_s = lots.choice([0.0, 0.1])
                case "mark":
                    api.bookmark()
                case _:
                    await asyncio.sleep(lots.random() * 0.05)
        api.is_silent, api.loses = False, 0.0
        want = sorted({f"{ip}:8000" for ip in there.values()})
        await heard.until(lambda: heard.names == want and not heard.trouble)
