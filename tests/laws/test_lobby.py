"""Requests that wait for engines that are full: real halls, virtual time."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from towplane.gateway.messages import ProviderInfo, Snapshot, TargetInfo
from towplane.routing.spec import Queue, Retries, Slo
from towplane.tenants.events import Opened
from towplane.tenants.keys import KeyRecord, TenantRecord, digest_of, mint
from towplane.tenants.spec import Limits
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.hall import Worker
from towplane.testing.played import Client, Upstream
from towplane.testing.wire import ANSWER, post, whole

BODY = {"model": "m", "max_tokens": 10}
PATIENT = Queue(longest_s=30.0)


def engine(name: str, **more: Any) -> TargetInfo:
    return msgspec.structs.replace(target(name), kind="engine", **more)


def takes(most: int, *names: str) -> list[ProviderInfo]:
    return [
        ProviderInfo(f"{name}/m", Limits(concurrency=most), is_engine=True)
        for name in names or ("a",)
    ]


class House:
    """A fleet with a key for each of some tenants."""

    def __init__(
        self,
        *,
        most: int | None = 1,
        queue: Queue = PATIENT,
        targets: Sequence[TargetInfo] = (engine("a"),),
        workers: int = 1,
        tenants: dict[str, Any] | None = None,
        groups: Sequence[Sequence[str]] | None = None,
        **spec: Any,
    ) -> None:
        hosts = [one.name.partition("/")[0] for one in targets]
        info = route("m", *(groups or [hosts]), queue=queue, **spec)
        engines = [one.name.partition("/")[0] for one in targets if one.kind == "engine"]
        self.fleet = Fleet(
            info,
            targets=targets,
            workers=workers,
            providers=takes(most, *engines) if most is not None else (),
        )
        self.keys = {"acme": self.fleet.key}
        self.given: Counter[Upstream] = Counter()
        self._admit(tenants or {"acme": None, "blue": None})

    def _admit(self, tenants: dict[str, Any]) -> None:
        snapshot: Snapshot = self.fleet.snapshot
        records, keys = list(snapshot.tenants), list(snapshot.keys)
        for name, priority in tenants.items():
            if name != "acme":
                records.append(TenantRecord(name=name))
            minted = mint()
            self.keys[name] = minted.token
            digest = digest_of(minted.token.encode(), snapshot.pepper)
            keys.append(KeyRecord(id=minted.id, tenant=name, digest=digest, priority=priority))
        self.fleet.reload(tenants=tuple(records), keys=tuple(keys))
        self.fleet.turn()

    def ask(self, tenant: str = "acme", worker: Worker | None = None, headers: str = "") -> Client:
        client = (worker or self.fleet.worker).connect()
        client.send(post(self.keys[tenant], BODY, headers=headers))
        self.fleet.turn()
        return client

    def under_way(self, host: str | None = None, worker: Worker | None = None) -> list[Upstream]:
        """Connections over which an attempt runs, the oldest first."""
        workers = [worker] if worker is not None else list(self.fleet.workers.values())
        return [
            up
            for one in workers
            for up in one.upstreams
            if not up.transport.is_closed
            and len(up.requests) > self.given[up]
            and host in (None, up.host)
        ]

    def answer(
        self, host: str | None = None, worker: Worker | None = None, what: bytes = ANSWER
    ) -> None:
        """The oldest attempt ends."""
        up = self.under_way(host, worker)[0]
        self.given[up] += 1
        up.give(what)
        self.fleet.turn()

    def opened(self) -> list[Opened]:
        found: list[Opened] = []
        for worker in self.fleet.workers.values():
            found += worker.events(Opened)
        return found

    def close(self) -> None:
        """Nothing is left behind: no request, no waiter, no place."""
        self.fleet.wait(2.0)
        for worker in self.fleet.workers.values():
            hall = worker.hall
            assert not hall.exchanges
            assert not hall.lobby.queue
            assert not hall.lobby.is_busy
            assert not any(target.is_awaited for target in hall.targets.values())
            assert all(target.in_flight == 0 for target in hall.targets.values())
            assert all(one.waiting == 0 for one in hall.routes.values())
        assert not self.fleet.errors
        self.fleet.close()


def reason(client: Client) -> tuple[int, bytes | None]:
    answer = client.answer()
    return answer.status, answer.get(b"x-towplane-reason")


def test_a_full_engine_lets_others_wait_and_serves_them_when_there_is_room() -> None:
    house = House(most=2)
    clients = [house.ask() for _ in range(5)]
    assert len(house.opened()) == 2
    for ended in range(1, 6):
        house.answer()
        assert len(house.opened()) == min(5, 2 + ended)
        assert len(house.under_way()) == min(2, 5 - ended)
    assert [one.answer().status for one in clients] == [200] * 5
    house.close()


def test_who_waits_goes_to_whichever_target_has_room() -> None:
    house = House(most=1, targets=[engine("a"), engine("b")])
    for _ in range(4):
        house.ask()
    house.answer("b")
    house.answer("b")
    assert [one.target for one in house.opened()][2:] == ["b/m", "b/m"]
    house.answer("a")
    house.answer("b")
    house.close()


def test_a_flood_delays_another_tenant_by_one_answer_for_each_of_its_requests() -> None:
    """Three times as many requests at once as the engine takes in a while, beside a polite one."""
    house = House(most=2)
    flood = [house.ask("acme") for _ in range(30)]
    polite = [house.ask("blue") for _ in range(3)]
    while house.under_way():
        house.answer()
    order = [one.tenant for one in house.opened()]
    places = [place for place, tenant in enumerate(order) if tenant == "blue"]
    assert all(place <= 2 + 2 * number + 1 for number, place in enumerate(places)), order
    assert all(one.answer().status == 200 for one in (*flood, *polite))
    house.close()


def test_priorities_and_then_deadlines_decide() -> None:
    house = House(tenants={"acme": None, "blue": "low", "crow": "high"})
    house.ask("acme")
    for tenant in ("blue", "acme", "crow"):
        house.ask(tenant)
    house.ask("acme", headers="x-towplane-timeout: 20\r\n")
    while house.under_way():
        house.answer()
    assert [one.tenant for one in house.opened()] == ["acme", "crow", "acme", "acme", "blue"]
    house.close()


def test_who_has_waited_as_long_as_it_may_is_told_when_to_come_back() -> None:
    house = House(queue=Queue(longest_s=3.0))
    first, second = house.ask(), house.ask()
    house.fleet.wait(3.5)
    assert reason(second) == (503, b"queue-timeout")
    assert int(second.answer().get(b"retry-after") or 0) >= 1
    house.answer()
    assert first.answer().status == 200
    house.close()


def test_without_a_queue_a_full_route_refuses_at_once() -> None:
    house = House(queue=Queue())
    house.ask()
    assert reason(house.ask()) == (503, b"at-capacity")
    house.answer()
    house.ask()
    house.answer()
    assert len(house.opened()) == 2
    house.close()


def test_a_client_that_leaves_while_it_waits_leaves_nothing() -> None:
    house = House()
    first, second, third = (house.ask() for _ in range(3))
    second.leave()
    house.fleet.turn()
    house.answer()
    house.answer()
    assert [first.answer().status, third.answer().status] == [200, 200]
    assert len(house.opened()) == 2
    house.close()


@pytest.mark.parametrize("end", ["500", "reset", "gone"])
def test_a_place_comes_back_however_an_attempt_ends(end: str) -> None:
    house = House()
    for _ in range(1 if end == "reset" else 5):  # an idle connection that breaks is no failure
        client, waiting = house.ask(), house.ask()
        if end == "500":
            house.answer(what=whole({}, 500))
        elif end == "reset":
            house.under_way()[0].close(ConnectionResetError())
            house.fleet.turn()
        else:
            client.leave()
            house.fleet.turn()
        assert len(house.under_way()) == 1, "the one that waited"
        house.answer()
        assert waiting.answer().status == 200
    house.close()


def test_the_queue_is_bounded_and_makes_room_from_below() -> None:
    house = House(
        queue=Queue(longest_s=30.0, most=2), tenants={"acme": None, "blue": "low", "crow": "high"}
    )
    house.ask("acme")
    low, first = house.ask("blue"), house.ask("acme")
    second = house.ask("acme")
    assert reason(low) == (503, b"queue-full")
    high = house.ask("crow")
    assert reason(second) == (503, b"queue-full"), "the newest of the longest"
    assert reason(house.ask("blue")) == (503, b"queue-full")
    while house.under_way():
        house.answer()
    assert [high.answer().status, first.answer().status] == [200, 200]
    house.close()


def test_a_wait_that_is_too_long_is_refused_before_it_is_begun() -> None:
    """Each answer takes 2 s, one at a time: the fifth in line would wait 10 s, and may for 9."""
    house = House(queue=Queue(longest_s=9.0))
    for _ in range(8):
        house.ask()
        house.fleet.wait(2.0)
        house.answer()
    house.ask()
    waiting = [house.ask() for _ in range(4)]
    shed = house.ask()
    assert reason(shed) == (503, b"wait-too-long")
    assert 1 <= int(shed.answer().get(b"retry-after") or 0) <= 2
    while house.under_way():
        house.fleet.wait(2.0)
        house.answer()
    assert [one.answer().status for one in waiting] == [200] * 4, "who was let in was in time"
    house.close()


def test_an_slo_out_of_reach_sheds_where_the_route_says_so() -> None:
    house = House(queue=Queue(longest_s=60.0, shed="slo"), slo=Slo(ttft_s=3.0))
    for _ in range(8):
        house.ask()
        house.fleet.wait(2.0)
        house.answer()
    house.ask()
    house.ask()
    assert reason(house.ask()) == (503, b"slo-out-of-reach")
    house.answer()
    house.answer()
    house.close()


def test_a_clients_own_deadline_ends_its_wait() -> None:
    house = House()
    first, second = house.ask(), house.ask(headers="x-towplane-timeout: 2\r\n")
    house.fleet.wait(2.5)
    assert reason(second) == (503, b"queue-timeout")
    house.answer()
    assert first.answer().status == 200
    house.close()


def test_places_flow_to_the_worker_that_needs_them() -> None:
    """The first worker has both places and a flood; the second one's only request is not kept
    waiting for more than what runs."""
    house = House(most=2, workers=2)
    one, two = house.fleet.workers.values()
    flood = [house.ask("acme", one) for _ in range(12)]
    polite = house.ask("blue", two)
    house.answer(worker=one)
    house.fleet.wait(0.6)
    if not house.under_way(worker=two):
        house.answer(worker=one)
        house.fleet.wait(0.6)
    assert len(house.under_way(worker=two)) == 1
    assert len(house.under_way()) == 2
    while house.under_way():
        house.answer()
        house.fleet.wait(0.6)
        assert len(house.under_way()) <= 2
    assert all(each.answer().status == 200 for each in (*flood, polite))
    house.close()


def test_a_dead_workers_places_come_to_those_who_wait() -> None:
    house = House(most=2, workers=2)
    one, two = house.fleet.workers.values()
    for _ in range(4):
        house.ask("acme", one)
    waiting = house.ask("blue", two)
    house.fleet.kill(one)
    house.fleet.wait(2.0)
    assert len(house.under_way(worker=two)) == 1
    house.answer(worker=two)
    assert waiting.answer().status == 200
    house.close()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("ask", "ask", "ask", "answer", "answer", "fail", "leave", "wait", "kill")),
        st.sampled_from(("acme", "blue")),
        st.integers(0, 40),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS, st.integers(1, 3), st.integers(1, 2))
def test_no_wake_up_is_lost_and_no_place_leaks(
    steps: list[tuple[str, str, int]], most: int, workers: int
) -> None:
    """Whatever happens: nobody waits while there is room, no engine has more than it takes, and
    when all is over every place is free again."""
    house = House(
        most=most,
        targets=[engine("a"), engine("b")],
        workers=workers,
        queue=Queue(longest_s=20.0, shed="never"),
        retries=Retries(most=2, floor=1000.0),
    )
    fleet = house.fleet
    clients: list[Client] = []
    for what, tenant, number in steps:
        living = list(fleet.workers.values())
        running = house.under_way()
        if what == "ask":
            clients.append(house.ask(tenant, living[number % len(living)]))
        elif what in ("answer", "fail") and running:
            up = running[number % len(running)]
            house.given[up] += 1
            up.give(ANSWER if what == "answer" else whole({}, 500))
        elif what == "leave" and clients:
            clients.pop(number % len(clients)).leave()
        elif what == "wait":
            fleet.wait(number / 4)
        elif what == "kill" and len(living) > 1:
            fleet.kill(living[number % len(living)])
        fleet.turn()
        for name in ("a", "b"):
            taken = len(house.under_way(name))
            assert taken <= most
            if any(worker.hall.lobby.is_busy for worker in fleet.workers.values()):
                fleet.wait(1.2, step_s=0.3)  # a place that another worker left is found by then
                busy = any(worker.hall.lobby.queue for worker in fleet.workers.values())
                tried = any(x.tried for worker in fleet.workers.values()
                            for x in worker.hall.exchanges)  # fmt: skip
                assert not busy or tried or len(house.under_way(name)) == most, "somebody waits"
    while house.under_way():
        house.answer()
        fleet.wait(0.3)
    fleet.wait(25.0)
    for worker in fleet.workers.values():
        for state in worker.hall.targets.values():
            share = state.capacity
            assert share is not None
            pool = fleet.coordinator._entries.get(share.name)
            if pool is not None and pool.pool is not None:
                held = pool.pool.held.get(worker.number, 0)
                assert held == share.free, "a place is neither used nor free"
    house.close()


def test_a_limit_that_is_found_out_holds_and_grows() -> None:
    house = House(most=None, targets=[engine("a", adapts_to_s=1.0)], slo=Slo(ttft_s=1.0))
    begin = house.fleet.worker.hall.targets["a/m"].adaptive
    assert begin is not None
    most = begin.limit
    clients = [house.ask() for _ in range(most + 4)]
    assert len(house.under_way()) == most
    while house.under_way():
        house.answer()
    assert all(one.answer().status == 200 for one in clients)
    house.close()


def test_a_new_engine_takes_those_who_wait() -> None:
    house = House(targets=[engine("a"), engine("b", state="starting")])
    house.ask()
    waiting = house.ask()
    assert len(house.under_way()) == 1
    house.fleet.reload(targets=(engine("a"), engine("b")))
    house.fleet.turn()
    house.answer("b")
    assert waiting.answer().status == 200
    house.answer("a")
    house.close()


def test_a_retry_that_finds_the_rest_full_waits_with_its_cause() -> None:
    house = House(targets=[engine("a"), engine("b")])
    busy, failing = house.ask(), house.ask()
    house.answer("b", what=whole({"error": {"message": "no"}}, 500))
    assert not house.under_way("b")
    house.answer("a")
    assert busy.answer().status == 200
    house.answer("a")
    assert failing.answer().status == 200
    assert [one.cause for one in house.opened()] == ["first", "first", "retry"]
    house.close()
