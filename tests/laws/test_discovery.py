"""Where targets come from: what answers come to, and what stays when there are none."""

import json
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.routing.discovery.address import Address, by_priority, merge, target_name
from towplane.routing.discovery.catalog import next_index, read_health
from towplane.routing.discovery.cluster import (
    EndpointSlice,
    InferencePool,
    Pod,
    addresses_of_pods,
    addresses_of_slices,
)
from towplane.routing.discovery.standing import LONGEST_DRAIN_S, SETTLED_S, Standing
from towplane.targets.discovery.source import LONGEST_PAUSE_S, pause_s
from towplane.targets.kubernetes.mirror import Gone, Mirror, WatchError
from towplane.testing.cluster import (
    PODS,
    SLICES,
    Selection,
    Store,
    encode,
    inference_pool,
    pod,
    slice_of,
)

A, B, C = Address("10.0.0.1", 8000), Address("10.0.0.2", 8000), Address("10.0.0.3", 8000)


def places(found: Standing | tuple[Address, ...]) -> list[str]:
    addresses = found.named if isinstance(found, Standing) else found
    return [one.host for one in addresses]


# Addresses


def test_an_address_is_named_once_and_in_one_order() -> None:
    """Servers shuffle what they answer; the same answer is no news."""
    assert merge([B, A, B]) == merge([A, B]) == (A, B)


def test_the_readier_of_two_sayings_about_one_address_wins() -> None:
    draining = Address("10.0.0.1", 8000, "draining")
    assert merge([draining, A]) == merge([A, draining]) == (A,)


@pytest.mark.parametrize(
    ("host", "name"), [("10.0.0.1", "10.0.0.1:8000"), ("fd00::1", "[fd00::1]:8000")]
)
def test_a_target_bears_its_address(host: str, name: str) -> None:
    assert target_name("pool", "llama", Address(host, 8000)) == f"pool/llama@{name}"


def test_records_of_a_higher_priority_number_stand_by() -> None:
    """RFC 2782: they are tried only when none of the lowest number can be reached."""
    found = by_priority([(10, 20, A), (10, 60, B), (20, 5, C)])
    assert [(one.host, one.weight) for one in found] == [
        ("10.0.0.1", 1), ("10.0.0.2", 3), ("10.0.0.3", 0),
    ]  # fmt: skip
    assert [one.weight for one in by_priority([(0, 0, A), (0, 0, B)])] == [1, 1]
    assert by_priority([]) == []


# What is known of them


def test_a_failure_changes_no_address_until_its_time_is_over() -> None:
    standing = Standing().heard([A, B], 100.0).failed("refused")
    assert places(standing.at(109.0, 10.0)) == ["10.0.0.1", "10.0.0.2"]
    assert standing.trouble == "refused"
    late = standing.at(110.0, 10.0)
    assert (places(late), [one.state for one in late.addresses]) == ([], ["draining"] * 2)
    assert places(late.heard([A], 111.0)) == ["10.0.0.1"]


def test_a_good_answer_never_grows_old_by_itself() -> None:
    standing = Standing().heard([A], 0.0)
    assert standing.at(10.0**9, 0.0) is standing


def test_an_address_that_is_gone_drains_until_nothing_runs_there() -> None:
    standing = Standing().heard([A, B], 0.0).heard([A], 10.0)
    gone = standing.addresses[1]
    assert (gone.host, gone.state, gone.left_at) == ("10.0.0.2", "draining", 10.0)
    soon, later = 10.0 + SETTLED_S / 2, 10.0 + SETTLED_S
    assert standing.released(lambda _: 0, soon) is standing  # workers have not said yet
    assert standing.released(lambda _: 1, later) is standing
    assert standing.released(lambda _: 0, later).addresses == (A,)
    assert standing.released(lambda _: 1, 10.0 + LONGEST_DRAIN_S).addresses == (A,)


def test_an_address_that_was_never_ready_does_not_drain() -> None:
    starting = Address("10.0.0.2", 8000, "starting")
    assert Standing().heard([A, starting], 0.0).heard([A], 1.0).addresses == (A,)


def test_an_address_that_returns_is_what_it_was() -> None:
    standing = Standing().heard([A, B], 0.0)
    assert standing.heard([A], 1.0).heard([A, B], 2.0).addresses == standing.addresses


@given(
    st.lists(
        st.one_of(
            st.sets(st.sampled_from([A, B, C])),
            st.just("fails"),
            st.floats(0.1, 100.0),
        ),
        max_size=20,
    )
)
def test_the_last_good_answer_decides(events: list[set[Address] | str | float]) -> None:
    """Whatever came before: exactly what it named is named, as long as it may be believed; and no
    address is lost while it drains and something runs there."""
    standing, now, keep_s = Standing(), 0.0, 60.0
    last: set[Address] = set()
    heard_at, is_well = None, True
    for event in events:
        before = {one.place for one in standing.addresses}
        if isinstance(event, set):
            standing, last, heard_at, is_well = standing.heard(event, now), event, now, True
        elif isinstance(event, str):
            standing, is_well = standing.failed(event), False
        else:
            now += event
            standing = standing.at(now, keep_s).released(lambda _: 1, now)
        assert before <= {one.place for one in standing.addresses}
        is_late = not is_well and heard_at is not None and now - heard_at >= keep_s
        if not is_late:
            assert set(standing.named) == last


@given(st.integers(1, 1000), st.floats(0.0, 0.999))
def test_pauses_grow_to_a_bound_and_are_never_nothing(failures: int, draw: float) -> None:
    pause = pause_s(failures, lambda: draw)
    assert 0.25 <= pause <= LONGEST_PAUSE_S
    assert pause_s(failures + 3, lambda: draw) >= min(pause * 2, LONGEST_PAUSE_S / 2)


# Consul


@pytest.mark.parametrize(
    ("old", "said", "index"),
    [
        (0, "42", 42),
        (42, "43", 43),
        (42, "42", 42),
        (42, "7", 0),  # backwards: a snapshot was restored
        (0, "0", 1),  # or each query would return at once
        (42, "", 0),
        (42, "nonsense", 0),
        (42, "-1", 0),
    ],
)
def test_the_index_follows_consuls_rules(old: int, said: str, index: int) -> None:
    assert next_index(old, said) == index


def test_an_instance_without_an_address_has_its_nodes() -> None:
    def entry(address: str, port: int, **more: object) -> dict[str, object]:
        service = {"ID": "vllm-1", "Address": address, "Port": port, **more}
        return {"Node": {"Address": "10.9.9.9"}, "Service": service, "Checks": []}

    body = json.dumps(
        [
            entry("", 8000),
            entry("10.0.0.1", 8001, Weights={"Passing": 5}),
            entry("10.0.0.2", 8002, Weights={"Passing": 0}),
            entry("10.0.0.3", 0),  # a service without a port can not be called
        ]
    )
    found = [(one.name, one.weight) for one in read_health(body.encode())]
    assert found == [("10.9.9.9:8000", 1), ("10.0.0.1:8001", 5), ("10.0.0.2:8002", 1)]


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b'[{"Service": {}}]', b"\xff"])
def test_an_answer_that_is_not_consuls_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        read_health(body)


# Kubernetes


def slices(*found: object) -> list[EndpointSlice]:
    store = Store()
    for each in found:
        store.put(SLICES, each)  # type: ignore[arg-type]  # objects as JSON has them
    raw = [encode(each) for each in store.select(Selection(SLICES))]
    return [msgspec.json.decode(each, type=EndpointSlice) for each in raw]


@dataclass(frozen=True)
class Case:
    name: str
    found: list[EndpointSlice]
    port: str | None
    want: list[str]


CASES = [
    Case("one slice", slices(slice_of("v", "v-1", "10.0.0.1", "10.0.0.2")), "http",
         ["10.0.0.1:8000 ready", "10.0.0.2:8000 ready"]),
    Case("an empty one", slices(slice_of("v", "v-1")), "http", []),
    Case("several slices, a port of each",
         slices(slice_of("v", "v-1", "10.0.0.1"), slice_of("v", "v-2", "10.0.0.2", port=9000)),
         "http", ["10.0.0.1:8000 ready", "10.0.0.2:9000 ready"]),
    Case("the same endpoint in two slices",
         slices(slice_of("v", "v-1", ("10.0.0.1", "starting")), slice_of("v", "v-2", "10.0.0.1")),
         None, ["10.0.0.1:8000 ready"]),
    Case("terminating and not ready",
         slices(slice_of("v", "v-1", ("10.0.0.1", "draining"), ("10.0.0.2", "starting"))),
         None, ["10.0.0.1:8000 draining", "10.0.0.2:8000 starting"]),
    Case("dual stack: a pod counts once",
         slices(slice_of("v", "v-1", "10.0.0.1", pods={"10.0.0.1": "p"}),
                slice_of("v", "v-2", "fd00::1", "fd00::2", family="IPv6",
                         pods={"fd00::1": "p", "fd00::2": "q"})),
         None, ["10.0.0.1:8000 ready", "[fd00::2]:8000 ready"]),
    Case("another port's name", slices(slice_of("v", "v-1", "10.0.0.1")), "grpc", []),
    Case("a port by its number", slices(slice_of("v", "v-1", "10.0.0.1")), "8000",
         ["10.0.0.1:8000 ready"]),
    Case("an only port without a name", slices(slice_of("v", "v-1", "10.0.0.1", port_name=None)),
         None, ["10.0.0.1:8000 ready"]),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_slices_of_a_service_come_to_its_endpoints(case: Case) -> None:
    found = merge(addresses_of_slices(case.found, case.port))
    assert [f"{one.name} {one.state}" for one in found] == case.want


def test_conditions_that_are_not_said_mean_ready() -> None:
    """Null is to be taken as true for `ready` and as false for `terminating`."""
    raw = b'{"metadata":{},"endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":null}},'
    raw += b'{"addresses":["10.0.0.2"]},{"addresses":null}],"ports":[{"port":8000}]}'
    found = addresses_of_slices([msgspec.json.decode(raw, type=EndpointSlice)], None)
    assert [(one.host, one.state) for one in found] == [
        ("10.0.0.1", "ready"), ("10.0.0.2", "ready"),
    ]  # fmt: skip


def test_the_pods_of_a_pool_are_targets_at_each_of_its_ports() -> None:
    store = Store()
    for each in (
        pod("a", "10.0.0.1"),
        pod("b", "10.0.0.2", is_ready=False),
        pod("c", "10.0.0.3", is_terminating=True),
        pod("d", "10.0.0.4", phase="Succeeded"),
        pod("e", ""),
    ):
        store.put(PODS, each)
    found = [msgspec.json.decode(encode(each), type=Pod) for each in store.select(Selection(PODS))]
    pool = msgspec.json.decode(encode(inference_pool("p", 8000, 8001)), type=InferencePool)
    assert pool.selector == {"app": "vllm"}
    assert [f"{one.name} {one.state}" for one in addresses_of_pods(found, pool.ports)] == [
        "10.0.0.1:8000 ready", "10.0.0.1:8001 ready",
        "10.0.0.2:8000 starting", "10.0.0.2:8001 starting",
        "10.0.0.3:8000 draining", "10.0.0.3:8001 draining",
    ]  # fmt: skip


def line(kind: str, found: object) -> bytes:
    return json.dumps({"type": kind, "object": found}).encode()


@pytest.mark.parametrize("status", [{"code": 410}, {"reason": "Expired"}, {"reason": "Gone"}])
def test_a_version_that_is_gone_is_told_from_other_errors(status: dict[str, object]) -> None:
    mirror = Mirror(Pod)
    with pytest.raises(Gone):
        mirror.apply(line("ERROR", {"kind": "Status", **status}))
    with pytest.raises(WatchError) as other:
        mirror.apply(line("ERROR", {"kind": "Status", "code": 500}))
    assert not isinstance(other.value, Gone)


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["put", "relabel", "delete", "bookmark", "lose", "relist"]),
        st.sampled_from(["a", "b", "c"]),
    ),
    max_size=40,
)


@given(CHANGES)
def test_a_mirror_ends_as_the_cluster_is(changes: list[tuple[str, str]]) -> None:
    """Lists and events in any order; where events were lost, the next list repairs it."""
    store, mirror = Store(), Mirror(Pod)
    selection = Selection(PODS, "default", (("app", "vllm"),))
    seen, is_true = store.version, True
    mirror.replace([], str(store.version))

    def relist() -> None:
        items = [encode(each) for each in store.select(selection)]
        mirror.replace(items, str(store.version))

    for what, name in changes:
        match what:
            case "put":
                store.put(PODS, pod(name, "10.0.0.1"))
            case "relabel":
                store.put(PODS, pod(name, "10.0.0.1", labels={"app": "other"}))
            case "delete":
                store.delete(PODS, "default", name)
            case "relist":
                relist()
                seen, is_true = store.version, True
                continue
            case "bookmark":
                meta = {"metadata": {"resourceVersion": str(store.version)}}
                assert not mirror.apply(line("BOOKMARK", meta))
                assert mirror.version == str(store.version)
            case "lose":
                is_true = is_true and not store.since(seen, selection)
                seen = store.version
        for kind, found in store.since(seen, selection):
            mirror.apply(line(kind, found))
        seen = store.version
        if is_true:
            assert _names(mirror) == _names(store)
    relist()
    assert _names(mirror) == _names(store)


def _names(of: Mirror[Pod] | Store) -> list[tuple[str, str]]:
    if isinstance(of, Mirror):
        return [(one.metadata.name, one.metadata.version) for one in of.objects()]
    found = of.select(Selection(PODS, "default", (("app", "vllm"),)))
    return [(one["metadata"]["name"], one["metadata"]["resourceVersion"]) for one in found]
