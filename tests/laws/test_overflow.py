"""Own engines first, managed targets when these are full or slow, and back; by budget and price."""

from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from towplane.gateway.explanation import answer_question
from towplane.gateway.messages import Explain, ProviderInfo, TargetInfo
from towplane.routing.demand import NOTHING
from towplane.routing.load import Load
from towplane.routing.overflow import FORGETS_S, LeaveSlow, OwnFirst, Spill, Usual
from towplane.routing.roster import Roster, Seat
from towplane.routing.signals import Signals
from towplane.routing.spec import Overflow, Queue, Slo
from towplane.tenants.consumption import overflow_used
from towplane.tenants.events import Opened, Settled
from towplane.tenants.ledger.schema import metadata, usage_by_day
from towplane.tenants.spec import Limits
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.played import Client
from towplane.testing.wire import (
    ANSWER,
    DONE,
    LAST,
    STREAM,
    chunk,
    delta,
    event,
    post,
    usage,
    whole,
)

PRICE = (1_000_000, 1_000_000, 2_000_000)
"""1 and 2 nano-dollars a token."""


def engine(name: str) -> TargetInfo:
    return msgspec.structs.replace(target(name), kind="engine")


class House:
    """One engine that takes one attempt at a time, and a managed target."""

    def __init__(
        self,
        overflow: Overflow | None = None,
        *,
        most: int | None = 1,
        workers: int = 1,
        price: tuple[int, int, int] | None = PRICE,
        queue: Queue | None = None,
        **spec: Any,
    ) -> None:
        info = route(
            "m",
            ["own", "api"],
            overflow=overflow or Overflow(),
            queue=queue or Queue(longest_s=30.0),
            reserve_output=10,
            **spec,
        )
        providers = [ProviderInfo("own/m", Limits(concurrency=most), is_engine=True)]
        self.fleet = Fleet(
            info,
            targets=[engine("own"), target("api", price=price)],
            workers=workers,
            providers=providers if most else (),
        )

    def ask(self, **fields: Any) -> Client:
        client = self.fleet.worker.connect()
        client.send(post(self.fleet.key, {"model": "m", "messages": [], "max_tokens": 10} | fields))
        self.fleet.turn()
        return client

    def answer(self, host: str, what: bytes = ANSWER) -> None:
        self.fleet.worker.upstream(host).give(what)
        self.fleet.turn()

    def hosts(self) -> list[str]:
        return [
            one.target.partition("/")[0]
            for worker in self.fleet.workers.values()
            for one in worker.events(Opened)
        ]


def test_own_engines_first_managed_when_full_and_back_at_once() -> None:
    house = House()
    house.ask()
    house.ask()
    house.ask()
    assert house.hosts() == ["own", "api", "api"]
    house.answer("own")
    house.ask()
    assert house.hosts()[3:] == ["own"], "there is room again"
    house.fleet.close()


def test_without_overflow_a_route_knows_no_difference() -> None:
    info = route("m", ["own", "api"])
    fleet = Fleet(info, targets=[engine("own"), target("api")])
    for _ in range(2):
        fleet.worker.connect().ask()
        fleet.turn()
    assert {one.target for one in fleet.worker.events(Opened)} == {"own/m", "api/m"}
    fleet.close()


def test_an_engine_that_fails_is_no_reason_to_refuse() -> None:
    house = House()
    client = house.ask()
    house.answer("own", whole({}, 500))
    house.answer("api")
    assert client.answer().status == 200
    assert house.hosts() == ["own", "api"]
    house.fleet.close()


def test_the_budget_is_kept_and_then_requests_wait_for_the_engine() -> None:
    """Each may cost its input and ten tokens of output; there is money for two of them."""
    house = House(Overflow(daily_nanousd=60))
    clients = [house.ask() for _ in range(6)]
    spilled = house.hosts().count("api")
    reserved = [one.reserved_nanousd for one in house.fleet.worker.events(Opened)]
    assert 1 <= spilled <= 3, (house.hosts(), reserved)
    assert house.hosts().count("own") == 1
    while not all(one.answers() for one in clients):
        for up in house.fleet.worker.upstreams:
            up.give(ANSWER) if up.requests and not up.transport.is_closed else None
        house.fleet.wait(0.5)
    spent = sum(
        end.cost_nanousd or 0
        for end in house.fleet.worker.events(Settled)
        if house.fleet.worker.journal.opened[end.id].target == "api/m"
    )
    assert spent <= 60
    house.fleet.close()


def test_a_new_day_brings_new_money() -> None:
    house = House(Overflow(daily_nanousd=40), queue=Queue())
    house.ask()
    house.ask()
    refused = house.ask().answer()
    assert (refused.status, refused.get(b"x-towplane-reason")) == (503, b"at-capacity")
    house.answer("api", whole({"choices": [], "usage": usage(10, 14)}))
    house.fleet.wait(86_400.0, step_s=3600.0)
    house.ask()
    assert house.hosts()[-1] in ("own", "api")
    house.ask()
    assert "api" in house.hosts()[2:]
    house.fleet.close()


@pytest.mark.parametrize(
    ("overflow", "price", "spills"),
    [
        (Overflow(), None, True),
        (Overflow(price=2_000_000), PRICE, True),
        (Overflow(price=1_999_999), PRICE, False),
        (Overflow(price=2_000_000), None, False),
        (Overflow(daily_nanousd=10**9), None, False),
    ],
)
def test_what_is_too_dear_or_of_unknown_price_is_not_asked(
    overflow: Overflow, price: tuple[int, int, int] | None, spills: bool
) -> None:
    """Unknown is unknown, and never 0."""
    house = House(overflow, price=price)
    house.ask()
    house.ask()
    assert ("api" in house.hosts()) == spills
    house.fleet.close()


def test_two_workers_spend_one_budget() -> None:
    house = House(Overflow(daily_nanousd=100), workers=2, queue=Queue())
    for worker in house.fleet.workers.values():
        for _ in range(8):
            client = worker.connect()
            client.send(post(house.fleet.key, {"model": "m", "messages": [], "max_tokens": 10}))
            house.fleet.turn()
    cost = 20 + 2  # ten tokens of output and the estimate of the input
    assert 1 <= house.hosts().count("api") <= 100 // (cost - 2)
    house.fleet.close()


def stream(house: House, host: str, after_s: float) -> None:
    """An answer whose first token comes after so long."""
    house.fleet.wait(after_s, step_s=0.1)
    tokens = chunk(event(delta("a"))) + chunk(event(delta(None, "stop"))) + chunk(DONE) + LAST
    house.answer(host, STREAM + tokens)


def test_slow_engines_send_the_next_ones_elsewhere_until_they_are_quick_again() -> None:
    house = House(Overflow(when="slow"), most=None, slo=Slo(ttft_s=1.0))
    for _ in range(3):
        house.ask(stream=True)
        stream(house, "own", 1.5)
    house.ask(stream=True)
    assert house.hosts() == ["own"] * 3 + ["api"]
    house.fleet.wait(FORGETS_S + 0.5)
    house.ask(stream=True)
    assert house.hosts()[-1] == "own", "nothing was heard of it for a while: it is tried"
    house.fleet.close()


# The pure parts


def roster(own: int, managed: int) -> tuple[Roster, set[int]]:
    out: set[int] = set()
    seats = [Seat(Load(f"own/{n}"), is_own=True) for n in range(own)]
    seats += [Seat(Load(f"api/{n}")) for n in range(managed)]
    return Roster(seats, lambda place, _now: place not in out), out


def test_managed_targets_are_barred_while_an_engine_has_room() -> None:
    group, out = roster(2, 2)
    first = OwnFirst()
    assert set(first.bars(group, NOTHING, 0.0)) == {2, 3}
    out.add(0)
    group.loads[0].suspect()
    assert set(first.bars(group, NOTHING, 0.0)) == {2, 3}
    out.add(1)
    group.loads[1].suspect()
    assert not first.bars(group, NOTHING, 0.0)


def test_an_engine_is_slow_by_its_mean_or_by_its_own_word() -> None:
    group, _ = roster(2, 1)
    slow = LeaveSlow(Overflow(when="slow"), Slo(ttft_s=1.0))
    group.loads[0].usual = usual = Usual()
    assert not slow.slow(group, 0.0), "unknown is not slow"
    for _ in range(3):
        usual.observe(0.9, 0.0)
    assert slow.slow(group, 1.0) == {0}
    assert not slow.slow(group, FORGETS_S + 1.0)
    group.loads[1].told(Signals(waiting=5, read_at=0.0))
    assert slow.slow(group, 1.0) == {0, 1}
    assert set(OwnFirst(slow).bars(group, NOTHING, 1.0)) == set(), "none is left of the own"


def test_one_long_prompt_does_not_make_an_engine_slow() -> None:
    usual = Usual()
    for at in range(20):
        usual.observe(0.2, float(at) / 10)
    usual.observe(4.0, 2.1)
    found = usual.estimate_s(2.1)
    assert found is not None
    assert found < 0.8


def test_spill_admits_by_price_and_money() -> None:
    assert Spill(Overflow()).admits(None, 0.0)
    spill = Spill(Overflow(monthly_nanousd=1))
    assert not spill.admits(None, 0.0)
    assert spill.admits(PRICE, 0.0)
    spill.closed_until = 5.0
    assert not spill.admits(PRICE, 4.9)
    assert spill.admits(PRICE, 5.0)


def test_explain_says_why_the_managed_target_stands_back() -> None:
    house = House()
    house.ask()
    house.ask()
    full = answer_question(house.fleet.worker.hall, Explain(1, "m")).explanation
    assert full is not None
    assert [place.why_not for place in full.groups[0].places] == ["as busy as it may be", ""]
    assert full.steps[0].target == "api/m"
    house.answer("own")
    back = answer_question(house.fleet.worker.hall, Explain(1, "m")).explanation
    assert back is not None
    assert back.groups[0].places[1].why_not == OwnFirst.name
    assert back.steps[0].target == "own/m"
    house.fleet.close()


def test_what_a_route_spent_before_is_read_from_the_ledger_by_its_providers() -> None:
    """Where the pool of its budget starts after the plane was started again."""
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection, tables=[usage_by_day])
        row: dict[str, Any] = {column.name: 0 for column in usage_by_day.columns}
        row |= {"day": "2026-11-23", "tenant": "acme", "key": "k", "service": "", "model": "m"}
        for target, cost in (("own/0", 5), ("api/m", 7), ("other/m", 11)):
            connection.execute(
                usage_by_day.insert(), [row | {"target": target, "cost_nanousd": cost}]
            )
        connection.execute(
            usage_by_day.insert(), [row | {"target": "api/m", "model": "n", "cost_nanousd": 13}]
        )
        for window, spent in (("2026-11-23", 7), ("2026-11", 7), ("2026-12", 0), ("total", 7)):
            assert overflow_used(connection, "m", {"api"}, window).nanousd == spent
    engine.dispose()
