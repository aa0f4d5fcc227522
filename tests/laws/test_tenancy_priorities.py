"""Who is served first: priorities, turns of tenants, age, and the reserve of a provider's limit."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from towplane.gateway.coordinator import Coordinator
from towplane.gateway.messages import Granted, Need, ProviderInfo, Recall, Returned
from towplane.parts.clock import Clock
from towplane.tenants.leases import Pool
from towplane.tenants.priorities import AGE_S, HIGH, LOW, STANDARD, Waiting, WaitingNeed, rank_of
from towplane.tenants.spec import Limits
from towplane.testing.clock import FakeClock


def need(
    name: str, rank: int = STANDARD, *, at: float = 0.0, amount: int = 1, number: int = 0
) -> WaitingNeed:
    return WaitingNeed(1, amount, at, rank=rank, tenant=name, wait_s=60.0, serial=number)


def served(waiting: Waiting, now: float = 0.0) -> list[str]:
    order = []
    while (first := waiting.first(now)) is not None:
        waiting.serve(first)
        order.append(first.tenant)
    return order


def test_a_higher_priority_goes_first() -> None:
    waiting = Waiting()
    for name, priority in (("c", "low"), ("b", "standard"), ("a", "high")):
        waiting.add(need(name, rank_of(priority)))  # type: ignore[arg-type]
    assert served(waiting) == ["a", "b", "c"]
    assert not waiting


def test_tenants_of_one_priority_take_turns_by_what_they_were_given() -> None:
    waiting = Waiting()
    for number in range(3):
        waiting.add(need("much", amount=10, number=number))
    for number in range(3):
        waiting.add(need("little", amount=1, number=number))
    assert served(waiting) == ["much", "little", "little", "little", "much", "much"]


def test_who_comes_late_has_not_saved_up_a_burst() -> None:
    waiting = Waiting()
    for number in range(6):
        waiting.add(need("old", number=number))
    for _ in range(3):
        first = waiting.first(0.0)
        assert first is not None
        waiting.serve(first)
    for number in range(6):
        waiting.add(need("new", number=number))
    assert served(waiting)[:4].count("new") == 2


def test_waiting_lifts_the_low_above_those_who_came_later() -> None:
    waiting = Waiting()
    waiting.add(need("patient", LOW, at=0.0))
    for second in range(60):
        waiting.add(need("busy", HIGH, at=float(second)))
    now, order = 0.0, []
    while (first := waiting.first(now)) is not None:
        waiting.serve(first)
        order.append(first.tenant)
        now += 1.0
    assert order.index("patient") <= 2 * AGE_S + 1


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.integers(1, 9)), max_size=40)
)
def test_everybody_is_served_once(wanted: list[tuple[str, int, int]]) -> None:
    waiting = Waiting()
    for number, (name, rank, amount) in enumerate(wanted):
        waiting.add(need(name, rank, at=number / 4, amount=amount, number=number))
    numbers = []
    now = 10.0
    while (first := waiting.first(now)) is not None:
        same = [w for w in waiting if (w.rank, w.tenant) == (first.rank, first.tenant)]
        assert first.serial == min(one.serial for one in same), "those alike keep their order"
        waiting.serve(first)
        numbers.append(first.serial)
        now += 1.0
    assert sorted(numbers) == list(range(len(wanted)))


def test_low_priority_leaves_the_reserve_to_the_others() -> None:
    pool = Pool("rpm", 100, reserve_ratio=0.1)
    assert pool.grant(1, 85, 0.0, workers=1) == 85
    assert pool.grant(1, 6, 0.0, workers=1, is_low=True) == 0
    assert pool.grant(1, 5, 0.0, workers=1, is_low=True) == 5
    assert pool.grant(1, 1, 0.0, workers=1) == 1, "no more than asked for out of the reserve"
    assert pool.grant(1, 9, 0.0, workers=1) == 9


def test_a_large_request_of_low_priority_is_possible_when_nobody_else_is_there() -> None:
    pool = Pool("tpm", 100, reserve_ratio=0.1)
    assert pool.is_enough(95, 0.0, is_low=True)
    pool.grant(1, 1, 0.0, workers=9)
    assert not pool.is_enough(95, 0.0, is_low=True)


class Desk:
    """A coordinator with a provider of 10 requests a minute, and what it told whom."""

    def __init__(self, limits: Limits) -> None:
        self.time = FakeClock()
        self.told: list[tuple[int, Granted | Recall]] = []
        self.coordinator = Coordinator(
            clock=Clock(self.time.monotonic, self.time.wall),
            tell=lambda worker, message: self.told.append((worker, message)),
        )
        self.coordinator.apply([], [], [ProviderInfo("p", limits)])
        for worker in (1, 2):
            self.coordinator.worker_started(worker, f"life{worker}")

    async def ask(
        self,
        measure: str,
        rank: int,
        serial: int,
        *,
        worker: int = 1,
        tenant: str = "t",
        wait_s: float = 60.0,
        amount: int = 1,
    ) -> None:
        name = f"provider/p/{measure}/"
        self.coordinator.hear(worker, Need(name, amount, rank, tenant, wait_s, serial))
        await asyncio.sleep(0)

    def answers(self) -> list[tuple[int, int]]:
        """Serial and units, in order."""
        found = [(m.serial, m.amount) for _, m in self.told if isinstance(m, Granted)]
        self.told.clear()
        return found

    def returns(self, measure: str, *, worker: int = 1, amount: int = 0, **more: bool) -> None:
        self.coordinator.hear(worker, Returned(f"provider/p/{measure}/", amount, **more))


async def test_who_waits_for_a_provider_is_served_by_priority_when_units_come_back() -> None:
    desk = Desk(Limits(concurrency=1))
    await desk.ask("concurrency", STANDARD, 1)
    assert desk.answers() == [(1, 1)]
    for serial, rank in ((2, LOW), (3, STANDARD), (4, HIGH)):
        await desk.ask("concurrency", rank, serial, tenant=f"t{serial}")
    assert desk.answers() == []
    assert desk.coordinator.waiting() == 3
    for serial in (4, 3, 2):
        desk.returns("concurrency", amount=1)
        assert desk.answers() == [(serial, 1)]


async def test_a_need_without_patience_does_not_overtake_and_is_refused_at_once() -> None:
    desk = Desk(Limits(tpm=100))
    await desk.ask("tpm", STANDARD, 1, amount=60)
    await desk.ask("tpm", STANDARD, 2, amount=80)
    assert desk.answers() == [(1, 60)], "the second waits for its turn"
    await desk.ask("tpm", STANDARD, 3, amount=10, wait_s=0.0)
    assert desk.answers() == [(3, 0)]
    desk.time.advance(61.1)
    desk.coordinator.sweep()
    assert desk.answers() == [(2, 80)]


async def test_patience_ends() -> None:
    desk = Desk(Limits(rpm=1))
    await desk.ask("rpm", STANDARD, 1)
    await desk.ask("rpm", STANDARD, 2, wait_s=5.0)
    assert desk.answers() == [(1, 1)]
    desk.time.advance(5.1)
    desk.coordinator.sweep()
    assert desk.answers() == [(2, 0)]
    assert desk.coordinator.waiting() == 0


async def test_what_other_workers_hold_unused_is_called_back_for_who_waits() -> None:
    desk = Desk(Limits(concurrency=4))
    await desk.ask("concurrency", STANDARD, 1, amount=4)
    await desk.ask("concurrency", HIGH, 2, worker=2)
    assert [type(message) for _, message in desk.told] == [Granted, Recall]
    desk.told.clear()
    desk.returns("concurrency", amount=0, recalled=True)
    assert desk.answers() == [], "nothing was unused; it has patience"
    desk.coordinator.sweep()
    assert [type(message) for _, message in desk.told] == [Recall]
    desk.returns("concurrency", amount=3, recalled=True)
    assert (2, 1) in desk.answers()


async def test_the_needs_of_a_dead_worker_are_forgotten() -> None:
    desk = Desk(Limits(concurrency=1))
    await desk.ask("concurrency", STANDARD, 1)
    await desk.ask("concurrency", HIGH, 2, worker=2)
    await desk.ask("concurrency", LOW, 3)
    desk.told.clear()
    desk.coordinator.worker_died(2, {})
    desk.returns("concurrency", amount=1)
    assert desk.answers() == [(3, 1)]


async def test_the_low_wait_for_more_than_the_last_tenth_until_they_are_old() -> None:
    desk = Desk(Limits(concurrency=10))
    await desk.ask("concurrency", STANDARD, 1, amount=9)
    await desk.ask("concurrency", LOW, 2)
    assert desk.answers() == [(1, 9)]
    desk.time.advance(AGE_S + 0.1)
    desk.coordinator.sweep()
    assert desk.answers() == [(2, 1)]
