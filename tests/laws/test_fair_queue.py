"""Who is served first when every target is full: order, shares, bounds. Pure."""

from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.routing.fair_queue import PASSED_OVER, FairQueue, Waiter

TENANTS = ("acme", "blue", "crow")


def one(
    tenant: str = "acme",
    rank: int = 1,
    *,
    lane: str = "m",
    until: float = 60.0,
    cost: float = 1.0,
    weight: float = 1.0,
) -> Waiter[str]:
    return Waiter(tenant, lane, tenant=tenant, rank=rank, until=until, cost=cost, weight=weight)


def serve(queue: FairQueue[str], *lanes: str) -> Waiter[str]:
    first = queue.first(lanes or ("m",))
    assert first is not None
    queue.serve(first)
    return first


def test_a_higher_class_goes_first_and_keeps_nine_tenths() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(40):
        queue.add(one(rank=0))
        queue.add(one(rank=1))
        queue.add(one(rank=2))
    served = [serve(queue).rank for _ in range(40)]
    assert served[:PASSED_OVER] == [0] * PASSED_OVER
    counts = Counter(served)
    assert counts[0] >= 40 * 0.8 - 1
    assert counts[1] >= 3
    assert counts[2] >= 3


def test_within_a_tenant_the_earliest_deadline_goes_first() -> None:
    queue: FairQueue[str] = FairQueue()
    for until in (30.0, 10.0, 20.0, 10.0):
        queue.add(one(until=until))
    assert [serve(queue).until for _ in range(4)] == [10.0, 10.0, 20.0, 30.0]


def test_tenants_share_by_weight_in_tokens() -> None:
    """acme weighs 3 and asks for 100 tokens each time, blue weighs 1 and asks for 50."""
    queue: FairQueue[str] = FairQueue()
    for _ in range(100):
        queue.add(one("acme", cost=100.0, weight=3.0))
        queue.add(one("blue", cost=50.0))
    tokens: Counter[str] = Counter()
    for _ in range(100):
        served = serve(queue)
        tokens[served.tenant] += int(served.cost)
    assert abs(tokens["acme"] / 3 - tokens["blue"]) <= 100 / 3 + 50


@given(st.integers(1, 200), st.integers(1, 20))
def test_a_flood_goes_before_another_tenant_once_for_each_of_its_requests(
    flood: int, polite: int
) -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(flood):
        queue.add(one("flood"))
    for _ in range(min(flood, 7) // 2):
        serve(queue)
    for _ in range(polite):
        queue.add(one("polite"))
    order = [serve(queue).tenant for _ in range(len(queue))]
    places = [place for place, tenant in enumerate(order) if tenant == "polite"]
    assert all(place <= 2 * number + 1 for number, place in enumerate(places))


def test_a_tenant_that_comes_new_has_no_right_to_a_burst() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(60):
        queue.add(one("old"))
    for _ in range(20):
        serve(queue)
    for _ in range(20):
        queue.add(one("new"))
    served = Counter(serve(queue).tenant for _ in range(20))
    assert abs(served["old"] - served["new"]) <= 1


def test_who_was_served_elsewhere_alone_does_not_hold_up_a_lane() -> None:
    """A flood stands in lane `b` at an old tag; a tenant that comes there new begins beside it."""
    queue: FairQueue[str] = FairQueue()
    for _ in range(50):
        queue.add(one("acme", lane="a"))
        queue.add(one("flood", lane="b"))
    for _ in range(50):
        serve(queue, "a")
    for _ in range(5):
        queue.add(one("polite", lane="b"))
    assert Counter(serve(queue, "b").tenant for _ in range(10)) == {"flood": 5, "polite": 5}


def test_only_lanes_with_room_are_served() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.add(one("acme", lane="a", rank=0))
    queue.add(one("blue", lane="b", rank=2))
    assert queue.first(("c",)) is None
    assert serve(queue, "b", "c").tenant == "blue"


def test_a_full_lane_makes_room_from_below_and_from_the_longest() -> None:
    queue: FairQueue[str] = FairQueue()
    low = [one("acme", rank=2) for _ in range(2)]
    flood = [one("flood") for _ in range(4)]
    for waiter in (*low, *flood):
        assert queue.add(waiter, most=6) is None
    assert queue.add(one("polite"), most=6) is low[1], "the newest of the lowest class"
    assert queue.add(one("polite"), most=6) is low[0]
    assert queue.add(one("polite"), most=6) is flood[3], "then of the longest queue"
    same = one("flood")
    assert queue.add(same, most=6) is same
    lower = one("crow", rank=2)
    assert queue.add(lower, most=6) is lower
    assert len(queue) == 6


def test_one_tenant_may_be_bounded_on_its_own() -> None:
    queue: FairQueue[str] = FairQueue()
    assert queue.add(one(), tenant_most=1) is None
    second = one()
    assert queue.add(second, tenant_most=1) is second
    assert queue.add(one("blue"), tenant_most=1) is None


def test_who_could_not_go_has_its_old_place_again() -> None:
    queue: FairQueue[str] = FairQueue()
    waiters = [one("acme") for _ in range(3)] + [one("blue") for _ in range(3)]
    for waiter in waiters:
        queue.add(waiter)
    first = serve(queue)
    queue.again(first)
    assert queue.first(("m",)) is first
    order = [serve(queue).tenant for _ in range(6)]
    assert all(a != b for a, b in pairwise(order))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("add", "add", "serve", "leave", "again")),
        st.sampled_from(TENANTS),
        st.integers(0, 2),
        st.sampled_from(("a", "b")),
        st.integers(1, 50),
    ),
    max_size=120,
)


@settings(max_examples=200)
@given(STEPS, st.integers(1, 12))
def test_nobody_is_lost_doubled_or_above_the_bound(
    steps: list[tuple[str, str, int, str, int]], most: int
) -> None:
    queue: FairQueue[str] = FairQueue()
    inside: list[Waiter[str]] = []
    for what, tenant, rank, lane, number in steps:
        if what == "add":
            waiter = one(tenant, rank, lane=lane, until=float(number), cost=float(number))
            leaves = queue.add(waiter, most=most)
            inside = [w for w in (*inside, waiter) if w is not leaves]
            if leaves is not None:
                assert leaves.rank >= waiter.rank, "nobody goes for a lower class"
        elif what == "leave" and inside:
            queue.remove(inside.pop(number % len(inside)))
        elif what in ("serve", "again"):
            first = queue.first((lane,))
            assert (first is not None) == any(w.lane == lane for w in inside)
            if first is not None:
                own = [w for w in inside if w.flow == first.flow]
                assert first.until == min(w.until for w in own)
                queue.serve(first, (lane,))
                inside.remove(first)
                if what == "again":
                    queue.again(first)
                    inside.append(first)
        assert {id(w) for w in queue} == {id(w) for w in inside}
        assert len(queue) == len(inside)
        assert bool(queue) == bool(inside)
        assert all(queue.waiting(name) <= most for name in ("a", "b"))
        assert sum(queue.depth(rank) for rank in range(3)) == len(inside)


@given(st.lists(st.tuples(st.sampled_from(TENANTS), st.integers(0, 2)), max_size=60))
def test_nobody_starves(waiting: list[tuple[str, int]]) -> None:
    """However many of a higher class keep coming, one that waits is served after at most so many
    services as its place and the classes give."""
    queue: FairQueue[str] = FairQueue()
    for tenant, rank in waiting:
        queue.add(one(tenant, rank))
    last = one("last", rank=2)
    queue.add(last)
    limit = (len(waiting) + 2) * (PASSED_OVER + 3)
    for _ in range(limit):
        queue.add(one("flood", rank=0))
        if serve(queue) is last:
            return
    raise AssertionError("it starves")


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(TENANTS), st.integers(0, 2)), max_size=40),
    st.integers(0, 2),
)
def test_what_is_foretold_to_be_ahead_is_what_is_served_before(
    waiting: list[tuple[str, int]], rank: int
) -> None:
    """But for the tenth that lower classes keep, and one request of each tenant."""
    queue: FairQueue[str] = FairQueue()
    for tenant, of in waiting:
        queue.add(one(tenant, of))
    newcomer = one("acme", rank, until=61.0)
    foretold = queue.ahead(newcomer, ("m",))
    queue.add(newcomer)
    before = 0
    while serve(queue) is not newcomer:
        before += 1
    lower = sum(of > rank for _, of in waiting)
    assert before - min(lower, 2 * (before // PASSED_OVER + 1)) - len(TENANTS) <= foretold
    assert foretold <= before + len(TENANTS) + 1


def test_a_quiet_queue_remembers_nothing() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.add(one(cost=1000.0))
    serve(queue)
    queue.forget()
    queue.add(one("blue"))
    queue.add(one("acme"))
    assert [serve(queue).tenant for _ in range(2)] == ["blue", "acme"]
