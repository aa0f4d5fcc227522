"""Who has seen how much of a prompt, within a bound on memory."""

from hypothesis import given
from hypothesis import strategies as st

from towplane.routing.demand import Demand
from towplane.routing.policies.affinity import Affinity as AffinityPolicy
from towplane.routing.policies.least_work import LeastWork
from towplane.routing.prefixes import Prefixes
from towplane.routing.recent import Recent
from towplane.routing.spec import Affinity, Prefix, RouteSpec
from towplane.testing.rosters import make_roster

NAMES = [f"t{number}" for number in range(6)]
TEXTS = st.text("ab", max_size=9)
"""A block for each letter."""


def blocks_of(text: str) -> tuple[int, ...]:
    """Chained: each stands for all before it."""
    return tuple(int("1" + text[: end + 1].replace("a", "0").replace("b", "1"), 2)
                 for end in range(len(text)))  # fmt: skip


def common(one: str, other: str) -> int:
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )


@given(st.lists(st.tuples(TEXTS, st.integers(0, 5))), TEXTS, st.sets(st.integers(0, 5)))
def test_it_is_a_radix_tree(sent: list[tuple[str, int]], text: str, among: set[int]) -> None:
    """With room enough: the levels are what comparing with everything sent finds."""
    prefixes = Prefixes(NAMES, 10_000)
    seen = [0] * len(NAMES)
    for said, bit in sent:
        prefixes.note(blocks_of(said), bit)
        seen[bit] = max(seen[bit], common(said, text))
    mask = sum(1 << bit for bit in among)
    want = []
    for depth in sorted({seen[bit] for bit in among if seen[bit]}, reverse=True):
        want.append((depth, sum(1 << bit for bit in among if seen[bit] >= depth)))
    assert prefixes.levels(blocks_of(text), mask) == want
    for bit in range(len(NAMES)):
        assert prefixes.depth_of(blocks_of(text), bit) == seen[bit]


@given(st.lists(st.tuples(TEXTS, st.integers(0, 5))), st.integers(3, 30), TEXTS)
def test_what_is_forgotten_is_never_invented(
    sent: list[tuple[str, int]], most: int, text: str
) -> None:
    """However little room there is: no target is said to have more than it got, and what was sent
    last is remembered as far as a third of the room goes."""
    prefixes = Prefixes(NAMES, most)
    for said, bit in sent:
        prefixes.note(blocks_of(said), bit)
        assert len(prefixes) <= most
        assert prefixes.depth_of(blocks_of(said), bit) == min(len(said), most // 3)
    for bit in range(len(NAMES)):
        most_seen = max((common(said, text) for said, to in sent if to == bit), default=0)
        assert prefixes.depth_of(blocks_of(text), bit) <= most_seen


def test_the_bit_of_one_that_left_is_not_inherited() -> None:
    prefixes = Prefixes(["a", "b"], 30)
    prefixes.note((1, 2, 3), 0)
    prefixes.seat(["b", "c"])
    assert prefixes.depth_of((1, 2, 3), prefixes.bits["c"]) == 0
    for key in range(100, 200):
        prefixes.note((key,), prefixes.bits["b"])
    prefixes.seat(["b", "c", "d"])
    assert prefixes.bits["d"] == 0
    assert prefixes.depth_of((1, 2, 3), 0) == 0


@given(st.integers(3, 40), st.lists(st.integers(0, 60)))
def test_the_recent_is_remembered_within_its_bound(most: int, keys: list[int]) -> None:
    recent: Recent[int] = Recent(most)
    for at, key in enumerate(keys):
        recent.put(key, at)
        assert len(recent) <= most
        assert recent.get(key) == at
        last = list(dict.fromkeys(reversed(keys[: at + 1])))[: most // 3]
        assert all(recent.get(key) is not None for key in last)


def least_work(*targets: tuple[int, int]) -> LeastWork:
    prefix = Prefix(request_cost=0, trust=0.0)
    return LeastWork(make_roster(*targets), RouteSpec(targets=[], prefix=prefix))


def ask(policy: LeastWork, demand: Demand) -> int:
    place = policy.choose(demand, (), 0, 0.0)
    policy._roster.loads[place].began(policy.began(place, demand, 0.0))
    return place


def test_a_hot_prefix_is_copied_when_waiting_costs_more() -> None:
    """1,000 tokens of which 800 are shared: on the target that has them until 800 more wait there
    than elsewhere; then the next one computes them, and has them too."""
    policy = least_work((1, 0), (1, 0), (1, 0))
    shared = blocks_of("abababab")
    places = [
        ask(policy, Demand(tokens=1000, blocks=(*shared, 1000 + at, 2000 + at))) for at in range(8)
    ]
    assert places[0] == 0
    assert places.index(1) <= 2
    assert sorted(set(places)) == [0, 1, 2]


def test_a_conversation_stays_where_it_is_cached() -> None:
    policy = least_work((1, 0), (1, 0))
    first = ask(policy, Demand(tokens=100, blocks=blocks_of("ab")))
    policy._roster.loads[first].answers(100, 0.1, 0.0)
    policy._roster.loads[first].ended()
    policy._roster.loads[first].began(40)
    assert ask(policy, Demand(tokens=200, blocks=blocks_of("abab"))) == first


def sessions(**options: float) -> AffinityPolicy:
    spec = RouteSpec(targets=[], affinity=Affinity(**options))  # type: ignore[arg-type]
    return AffinityPolicy(make_roster((1, 0), (1, 0), (1, 0)), spec)


def test_a_session_stays_until_its_target_is_barred_or_full_or_it_is_silent() -> None:
    policy = sessions(ttl_s=60.0, load_factor=2.0)
    mine = Demand(session=5)
    policy.began(2, mine, 0.0)
    assert policy.choose(mine, (), 0, 59.0) == 2
    assert policy.choose(mine, (), 0, 61.0) == 0
    assert policy.choose(mine, (2,), 0, 1.0) == 0
    for _ in range(3):
        policy._roster.loads[2].began()
    assert policy.choose(mine, (), 0, 1.0) == 0  # 3 of at most ⌈2 × 4 / 3⌉


def test_sessions_are_bounded() -> None:
    policy = sessions(sessions=300)
    for session in range(1, 2000):
        policy.began(session % 3, Demand(session=session), 0.0)
        assert len(policy._sessions) <= 300


def test_a_block_forgotten_in_the_middle_leaves_nobody_out() -> None:
    """What was learned of a longer prompt may outlive what was learned of its middle."""
    prefixes = Prefixes(["a", "b"], 100)
    a, b = prefixes.bits["a"], prefixes.bits["b"]
    prefixes.note((1,), a)
    prefixes.note((7, 8, 3), b)
    assert prefixes.levels((1, 20, 3), 1 << a | 1 << b) == [(3, 1 << b), (1, 1 << a | 1 << b)]


def test_long_blocks_count_for_as_much_as_they_are_long() -> None:
    """What a target is believed to keep does not depend on how finely it is remembered."""
    prefixes = Prefixes(["a"], 300)
    bit, long = prefixes.bits["a"], tuple(range(1, 13))
    prefixes.note((1000,), bit)
    prefixes.note(long, bit, [*range(1, 12), 95])
    assert prefixes.depth_of((1000,), bit) == 1
    prefixes.note(long, bit, [*range(1, 12), 95])  # nothing that was not there
    assert prefixes.depth_of((1000,), bit) == 1
    for first in (2000, 3000, 4000):
        prefixes.note(tuple(range(first, first + 12)), bit, [*range(1, 12), 95])
    assert prefixes.depth_of((1000,), bit) == 0
    assert prefixes.depth_of(tuple(range(4000, 4012)), bit) == 12
