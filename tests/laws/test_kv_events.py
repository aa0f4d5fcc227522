"""What engines keep of prompts, from the events that they publish."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.routing.kv_events import Follower
from towplane.routing.kv_index import KvIndex
from towplane.testing.kv_publisher import removed, stored

TOKENS = list(range(100, 116))
"""Four blocks of four."""


def batch(*events: Any) -> bytes:
    return msgspec.msgpack.encode([0.0, list(events), 0])


def followed(
    *batches: bytes, name: str = "a", index: KvIndex | None = None
) -> tuple[KvIndex, Follower]:
    index = KvIndex() if index is None else index
    follower = Follower(name, index)
    for number, payload in enumerate(batches):
        follower.read(number, payload)
    return index, follower


@pytest.mark.parametrize("as_map", [False, True])
@pytest.mark.parametrize("hashes", [[1, 2, 3, 4], [b"1", b"2", b"3", b"4"]])
def test_what_is_stored_is_found_as_far_as_it_is_the_same(hashes: list[Any], as_map: bool) -> None:
    index, _ = followed(batch(stored(hashes, TOKENS, as_map=as_map)))
    assert index.match(TOKENS, 4) == {"a": 4}
    assert index.match([*TOKENS[:8], 0, 0, 0, 0], 4) == {"a": 2}
    assert index.match([0, *TOKENS[1:]], 4) == {}
    assert index.match(TOKENS[4:], 4) == {}
    assert index.match(TOKENS, 8) == {}


def test_a_batch_may_be_a_map_too() -> None:
    payload = msgspec.msgpack.encode(
        {"type": "KVEventBatch", "ts": 0.0, "events": [stored([1], TOKENS[:4], as_map=True)]}
    )
    assert followed(payload)[0].match(TOKENS, 4) == {"a": 1}


def test_blocks_go_on_where_their_parent_ends() -> None:
    more = stored([3], TOKENS[8:12], parent=2)
    index, _ = followed(batch(stored([1, 2], TOKENS[:8])), batch(more))
    assert index.match(TOKENS, 4) == {"a": 3}


def test_what_is_removed_is_gone_and_what_came_after_it_does_not_count() -> None:
    index, _ = followed(batch(stored([1, 2, 3, 4], TOKENS)), batch(removed([2])))
    assert index.match(TOKENS, 4) == {"a": 1}


def test_a_block_is_kept_while_any_medium_has_it() -> None:
    index, follower = followed(
        batch(stored([1], TOKENS[:4]), stored([1], TOKENS[:4], medium="CPU"), removed([1]))
    )
    assert index.match(TOKENS, 4) == {"a": 1}
    follower.read(1, batch(removed([1], medium="CPU")))
    assert index.match(TOKENS, 4) == {}
    assert len(index) == 0


def test_a_cleared_cache_is_empty() -> None:
    index, _ = followed(batch(stored([1, 2], TOKENS[:8])), batch(["AllBlocksCleared"]))
    assert index.match(TOKENS, 4) == {}


def test_an_adapters_blocks_are_its_own() -> None:
    index, _ = followed(batch(stored([1], TOKENS[:4], adapter="law")))
    assert index.match(TOKENS, 4, "law") == {"a": 1}
    assert index.match(TOKENS, 4) == {}


def test_engines_are_told_apart_and_may_call_blocks_alike() -> None:
    index, _ = followed(batch(stored([1], TOKENS[:4])))
    followed(batch(stored([1, 2], TOKENS[:8])), name="b", index=index)
    assert index.match(TOKENS, 4) == {"a": 1, "b": 2}


def test_what_was_missed_makes_all_before_it_forgotten() -> None:
    index, follower = followed(batch(stored([1], TOKENS[:4])))
    assert follower.wants_from(1) is None
    assert follower.wants_from(5) == 1
    follower.read(5, batch(stored([9], TOKENS[8:12])))
    assert index.match(TOKENS, 4) == {}
    assert index.match(TOKENS[8:], 4) == {"a": 1}


def test_an_engine_that_began_anew_is_asked_from_the_beginning() -> None:
    _, follower = followed(*[batch()] * 7)
    assert follower.wants_from(0) == 0
    assert follower.wants_from(3) == 0


def test_blocks_that_cannot_be_told_from_their_tokens_are_left_out() -> None:
    index, follower = followed(batch(stored([2], TOKENS[4:8], parent=1)))
    assert follower.orphans == 1
    picture = stored([1, 2], TOKENS[:8], extra_keys=[None, ["an image"]])
    index, follower = followed(batch(picture))
    assert index.match(TOKENS, 4) == {"a": 1}
    assert follower.orphans == 1


@pytest.mark.parametrize("broken", [b"", b"\xc1", b"\x01", msgspec.msgpack.encode([0.0, [[]]]),
                                    batch(["BlockStored", [1]])])  # fmt: skip
def test_a_batch_that_is_not_understood_is_a_gap(broken: bytes) -> None:
    index, follower = followed(batch(stored([1], TOKENS[:4])), broken)
    assert index.match(TOKENS, 4) == {}
    assert follower.broken == 1
    assert follower.wants_from(2) is None


def test_events_and_fields_to_come_are_passed_over() -> None:
    longer = stored([1], TOKENS[:4], extra_keys=None, group_idx=0, later=7)
    index, _ = followed(batch(["BlockTransferred", [1], "GPU", "CPU"], longer))
    assert index.match(TOKENS, 4) == {"a": 1}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=40))
def test_the_index_holds_what_is_kept_and_nothing_else(steps: list[tuple[bool, int]]) -> None:
    index, follower = followed()
    kept: set[int] = set()
    for number, (is_stored, block) in enumerate(steps):
        tokens = [block] * 4
        follower.read(number, batch(stored([block], tokens) if is_stored else removed([block])))
        kept = kept | {block} if is_stored else kept - {block}
    assert {block for block in range(6) if index.match([block] * 4, 4)} == kept
    assert len(index) == len(kept)
