"""Who keeps which tokens of a prompt, and how policies go by it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.routing.demand import Demand
from towplane.routing.kv_index import Cached, KvIndex, block_keys, pack_ids, root_key
from towplane.routing.policies import POLICIES
from towplane.routing.policies.seen import SeenPrompts
from towplane.routing.roster import Roster
from towplane.routing.spec import Prefix, RouteSpec
from towplane.testing.rosters import make_roster

Tokens = tuple[int, ...]
ENGINES = ("t0", "t1", "t2")
SIZES = {"t0": 2, "t1": 2, "t2": 3}


def keep(index: KvIndex, name: str, tokens: Tokens, size: int, *, is_whole: bool = True) -> None:
    """The last block of these tokens, and not those before it."""
    index.describe(name, [size], is_whole=is_whole)
    *_, key = block_keys(pack_ids(tokens), size, root_key(size, ""))
    index.add(key, name)


prompts = st.lists(st.integers(0, 1), max_size=9).map(tuple)
stored = st.tuples(st.sampled_from(ENGINES), st.lists(st.integers(0, 1), min_size=3, max_size=9))


@given(prompts, st.lists(stored, max_size=30))
def test_each_engine_has_what_it_keeps_without_a_hole(
    prompt: Tokens, blocks: list[tuple[str, list[int]]]
) -> None:
    index = KvIndex()
    kept: dict[str, set[Tokens]] = {name: set() for name in ENGINES}
    for name, tokens in blocks:
        size = SIZES[name]
        whole = tuple(tokens[: len(tokens) // size * size])
        keep(index, name, whole, size)
        kept[name].add(whole)
    found = index.find(pack_ids(prompt), len(prompt))
    for name, bit in index.bits.items():
        depth, size = 0, SIZES[name]
        while depth + size <= len(prompt) and prompt[: depth + size] in kept[name]:
            depth += size
        assert found.of(bit) == depth
    assert [depth for depth, _ in found.levels] == sorted(
        {depth for depth, _ in found.levels}, reverse=True
    )


def test_an_engine_that_leaves_takes_its_bit_with_it() -> None:
    index = KvIndex()
    keep(index, "t0", (1, 2), 2)
    (key,) = block_keys(pack_ids((1, 2)), 2, root_key(2, ""))
    before = index.seating
    index.drop(key, "t0")
    index.leave("t0")
    keep(index, "t1", (3, 4), 2, is_whole=False)
    found = index.find(pack_ids((1, 2)), 2)
    assert (found.levels, found.known, len(index)) == ((), 0, 1)
    assert index.seating > before


# What policies make of it

BLOCKS = tuple(range(1, 11))


def demand(
    levels: dict[int, list[int]],
    *,
    known: tuple[int, ...] = (),
    looked: int = 1000,
    at: float = 100.0,
) -> Demand:
    """A prompt of 1,000 tokens; the engines' bits are their places."""
    told = tuple(
        (tokens, sum(1 << place for place in places))
        for tokens, places in sorted(levels.items(), reverse=True)
    )
    cached = Cached(told, sum(1 << place for place in known), 1000, looked, 1, at)
    return Demand(tokens=1000, blocks=BLOCKS, cached=cached)


def roster_that_tells(*places: int) -> Roster:
    roster = make_roster((1, 0), (1, 0), (1, 0))
    for place in places:
        roster.loads[place].cache_bit = place
    return roster


def lefts(roster: Roster, sent: int, asked: Demand) -> list[int]:
    """Tokens that each would have to compute, after the prompt was sent to one."""
    seen = SeenPrompts(roster, Prefix())
    seen.note(sent, Demand(tokens=1000, blocks=BLOCKS))
    return [round(seen.left(asked, depth)) for depth in seen.depths_of(asked, range(3))]


def test_what_an_engine_says_goes_before_what_was_sent_to_it() -> None:
    roster = roster_that_tells(0, 1)
    assert lefts(roster, 0, demand({640: [1]}, known=(0, 1))) == [1000, 360, 1000]


def test_an_engine_that_says_nothing_has_what_was_sent_to_it() -> None:
    roster = roster_that_tells(0, 1)
    assert lefts(roster, 2, demand({640: [1]}, known=(0, 1))) == [1000, 360, 48]


def test_of_an_engine_that_is_not_known_whole_the_better_of_both_counts() -> None:
    roster = roster_that_tells(0, 1)
    assert lefts(roster, 0, demand({160: [0], 640: [1]}, known=(1,))) == [48, 360, 1000]
    assert lefts(roster, 2, demand({160: [0], 640: [1]}, known=(1,))) == [840, 360, 48]


def test_beyond_what_was_looked_at_it_counts_what_was_sent() -> None:
    roster = roster_that_tells(0, 1)
    asked = demand({400: [0], 160: [1]}, known=(0, 1), looked=410)
    assert lefts(roster, 0, asked) == [48, 840, 1000]
    assert lefts(roster, 1, asked) == [600, 840, 1000]


@pytest.mark.parametrize("choose", ["prefix", "least-work", "scored"])
def test_policies_follow_the_blocks(choose: str) -> None:
    roster = roster_that_tells(0, 1, 2)
    policy = POLICIES[choose](roster, RouteSpec(targets=[], choose=choose))
    policy.began(2, Demand(tokens=1000, blocks=BLOCKS), 0.0)
    asked = demand({640: [1]}, known=(0, 1, 2))
    for turn in range(3):
        found = policy.weigh(asked, (), turn, 0.0)
        assert found.place == policy.choose(asked, (), turn, 0.0) == 1
        assert "cached: 640 of 1,000 tokens by its own events" in found.reason
    evicted = demand({}, known=(0, 1, 2))
    assert "640" not in policy.weigh(evicted, (), 0, 0.0).reason


@pytest.mark.parametrize("choose", ["prefix", "least-work", "scored"])
def test_short_prompts_without_a_block_of_text_are_followed_too(choose: str) -> None:
    roster = roster_that_tells(0, 1, 2)
    policy = POLICIES[choose](roster, RouteSpec(targets=[], choose=choose))
    asked = Demand(tokens=60, cached=Cached(((48, 0b100),), 0b111, 60, 60, 1, 0.0))
    assert {policy.choose(asked, (), turn, 0.0) for turn in range(3)} == {2}
    assert policy.began(2, asked, 0.0) == 12


def test_what_was_sent_just_now_counts_until_the_engine_had_time_to_say_it() -> None:
    roster = roster_that_tells(0, 1)
    seen = SeenPrompts(roster, Prefix())

    def left(at: float) -> list[int]:
        asked = demand({}, known=(0, 1), at=at)
        return [round(seen.left(asked, depth)) for depth in seen.depths_of(asked, range(3))]

    seen.note(0, demand({}, known=(0, 1), at=0.0))
    assert left(0.1) == [48, 1000, 1000]
    believed = []
    for tenth in range(1, 41):  # it is not believed for longer because it is sent again and again
        believed.append(left(tenth / 10)[0] == 48)
        seen.note(0, demand({}, known=(0, 1), at=tenth / 10))
    assert not all(believed)
    seen.note(1, demand({}, known=(0, 1), at=4.0))
    assert left(4.1)[1] == 48
    assert left(10.0) == [1000, 1000, 1000]


@given(st.data())
def test_depths_are_the_same_however_they_are_asked(data: st.DataObject) -> None:
    places = st.lists(st.integers(0, 2), unique=True)
    roster = roster_that_tells(*data.draw(places))
    levels: dict[int, list[int]] = {}
    for place in range(3):
        if depth := data.draw(st.integers(0, 60)) * 16:
            levels.setdefault(depth, []).append(place)
    asked = demand(levels, known=tuple(data.draw(places)), looked=data.draw(st.integers(960, 1000)))
    seen = SeenPrompts(roster, Prefix())
    for place in data.draw(places):
        seen.note(place, Demand(tokens=1000, blocks=BLOCKS[: data.draw(st.integers(0, 10))]))
    depths = seen.depths(asked)
    assert depths == seen.depths_of(asked, range(3))
    assert depths == [seen.depths_of(asked, [place])[0] for place in range(3)]
    growing = [set(seen.places_in(mask)) for _, mask in seen.levels(asked, ())]
    assert all(small < large for small, large in pairwise(growing))


@given(st.integers(0, 1000), st.integers(0, 12), st.integers(1, 900))
def test_what_engines_keep_of_a_prompt_is_what_is_not_left_of_it(
    kept: int, count: int, stretches: int
) -> None:
    """However long the blocks are that the table knows."""
    ends = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233]
    blocks = tuple(range(100, 100 + sum(end <= stretches for end in ends[:count])))
    cached = Cached(((kept, 1),), 1, 1000, 1000, 1, 5.0)
    asked = Demand(1000, blocks=blocks, cached=cached, ends=ends, stretches=stretches + 0.9)
    seen = SeenPrompts(roster_that_tells(0), Prefix())
    (depth,) = seen.depths_of(asked, [0])
    assert seen.left(asked, depth) == pytest.approx(1000 - kept)
    assert seen.share(asked, depth) == pytest.approx(kept / 1000)


def test_what_was_sent_of_a_prompt_is_as_long_as_its_blocks() -> None:
    roster = make_roster((1, 0))
    seen = SeenPrompts(roster, Prefix())
    asked = Demand(1000, blocks=(1, 2, 3), ends=(1, 2, 8), stretches=10.0)
    seen.note(0, Demand(200, blocks=(1, 2), ends=(1, 2, 8), stretches=2.0))
    assert [seen.left(asked, depth) for depth in seen.depths(asked)] == [800]
    assert seen.note(0, asked) == 800
    assert [round(seen.left(asked, depth)) for depth in seen.depths(asked)] == [200]
