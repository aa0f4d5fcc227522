"""Cache events in the plane process, and what workers hear of them; nothing here is a socket."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.gateway import kv_following
from towplane.gateway.caches import Caches
from towplane.gateway.kv_following import KvFollowing
from towplane.gateway.messages import EventsAt, Kept, TargetInfo, ToWorker, frame
from towplane.routing.kv_events import Follower
from towplane.routing.kv_index import pack_ids
from towplane.testing.kv_publisher import removed, stored

AT = EventsAt("tcp://a:5557")


def batch(*events: Any) -> bytes:
    return msgspec.msgpack.encode([0.0, list(events), 0])


def target(name: str = "a/m", state: str = "ready", events: EventsAt | None = AT) -> TargetInfo:
    return TargetInfo(name, "provider", "a", 80, "/v1", "m", events=events, state=state)


class Plane:
    """The plane process and one worker; engines say what a test says."""

    def __init__(self) -> None:
        self.caches = Caches()
        self.told: list[Kept] = []
        self.slow = asyncio.Event()
        """Set when more than a second has passed."""
        self.followers: list[tuple[Follower, Callable[[], None]]] = []
        self.following = KvFollowing(self._tell, follow=self._follow, sleep=self._sleep)

    def read(self, number: int, *events: Any) -> None:
        follower, changed = self.followers[-1]
        follower.read(number, batch(*events))
        changed()

    def depth(self, *tokens: int, caches: Caches | None = None) -> int:
        """Tokens of a prompt that the one engine keeps, as the worker believes."""
        index = (caches or self.caches)._index
        found = index.find(pack_ids(tokens), len(tokens))
        return max((depth for depth, _ in found.levels), default=0)

    def is_whole(self) -> bool:
        return bool(self.caches._index.find(b"", 0).known)

    def _tell(self, message: Kept) -> None:
        self.told.append(message)
        self.caches.hear(through_the_channel(message), {})

    async def _follow(
        self,
        follower: Follower,
        _address: str,
        _replay: str | None,
        _topic: str,
        changed: Callable[[], None],
    ) -> None:
        self.followers.append((follower, changed))
        await asyncio.Event().wait()

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        if seconds > 1:
            await self.slow.wait()


def through_the_channel(message: Kept) -> Kept:
    found = msgspec.msgpack.decode(frame(message)[4:], type=ToWorker)
    assert isinstance(found, Kept)
    return found


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_workers_believe_what_the_engine_says() -> None:
    plane = Plane()
    plane.following.hold([target()])
    await settle()
    plane.read(0, stored([1, 2], list(range(8))))
    await settle()
    assert plane.depth(*range(8)) == 8
    assert plane.is_whole()
    plane.read(1, removed([2]))
    await settle()
    assert plane.depth(*range(8)) == 4
    plane.read(5, stored([9], [50, 51, 52, 53]))  # something was missed
    await settle()
    assert (plane.depth(*range(8)), plane.depth(50, 51, 52, 53)) == (0, 4)
    assert not plane.is_whole()
    await plane.following.stop()


async def test_what_comes_and_goes_between_two_messages_is_not_told() -> None:
    plane = Plane()
    plane.following.hold([target()])
    await settle()
    plane.read(0, stored([1], [1, 2, 3, 4]), removed([1]), stored([2], [5, 6, 7, 8]))
    await settle()
    assert [len(one.stored) for one in plane.told] == [8]


@pytest.mark.parametrize("then", [[target(state="draining")], [target(events=None)], []])
async def test_of_an_engine_that_is_not_followed_nothing_is_believed(
    then: list[TargetInfo],
) -> None:
    plane = Plane()
    plane.following.hold([target()])
    await settle()
    plane.read(0, stored([1], [1, 2, 3, 4]))
    await settle()
    plane.following.hold(then)
    await settle()
    assert plane.depth(1, 2, 3, 4) == 0
    assert plane.told[-1].is_gone
    assert not plane.caches._index.bits
    await plane.following.stop()


async def test_an_engine_that_comes_back_at_once_is_believed_anew() -> None:
    plane = Plane()
    plane.following.hold([target()])
    await settle()
    plane.read(0, stored([1], [1, 2, 3, 4]), stored([2], [5, 6, 7, 8]))
    await settle()
    plane.following.hold([target(events=EventsAt("tcp://b:5557"))])
    await asyncio.sleep(0)
    plane.read(0, stored([7], [1, 2, 3, 4]))
    await settle()
    assert (plane.depth(1, 2, 3, 4), plane.depth(5, 6, 7, 8)) == (4, 0)
    assert plane.is_whole()
    await plane.following.stop()


async def test_a_worker_that_starts_hears_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kv_following, "_MOST", 3)
    plane = Plane()
    plane.following.hold([target()])
    await settle()
    plane.read(0, stored(list(range(10)), list(range(40))))
    late = Caches()
    for message in plane.following.everything():
        late.hear(through_the_channel(message), {})
    assert plane.depth(*range(40), caches=late) == 40
    await settle()
    assert plane.depth(*range(40)) == 40
    assert max(len(one.stored) for one in plane.told) == 24
    assert [one.is_whole for one in plane.told] == [False, False, False, True]
    await plane.following.stop()


async def test_no_more_blocks_than_the_bound_are_remembered() -> None:
    plane = Plane()
    plane.following.hold([target(events=EventsAt("tcp://a:1", most=2))])
    await settle()
    plane.read(0, stored([1, 2, 3], list(range(12))))
    await settle()
    assert plane.depth(*range(12)) == 8
    assert not plane.is_whole()
    assert len(plane.caches._index) == 2
    await plane.following.stop()


Step = tuple[str, int]
steps = st.lists(st.tuples(st.sampled_from(["store", "remove", "gap", "clear"]), st.integers(0, 4)))


@settings(deadline=None)
@given(steps)
def test_in_the_end_the_worker_believes_what_the_follower_believes(script: list[Step]) -> None:
    asyncio.run(_play(script))


async def _play(script: list[Step]) -> None:
    plane = Plane()
    plane.following.hold([target()])
    await settle()
    number, kept = 0, set[int]()
    for what, block in script:
        if what == "store":
            plane.read(number, stored([block], [block] * 4))
            kept.add(block)
        elif what == "remove":
            plane.read(number, removed([block]))
            kept.discard(block)
        elif what == "clear":
            plane.read(number, ["AllBlocksCleared"])
            kept.clear()
        else:
            number += 1
            plane.read(number)
            kept.clear()
        number += 1
        if block % 2:
            await settle()
    await settle()
    assert {block for block in range(5) if plane.depth(*[block] * 4)} == kept
    await plane.following.stop()


@pytest.mark.parametrize("is_heard", [True, False])
async def test_an_address_where_nobody_publishes_is_said(
    is_heard: bool, caplog: pytest.LogCaptureFixture
) -> None:
    plane = Plane()
    plane.following.hold([target()])
    await settle()
    if is_heard:
        plane.followers[-1][1]()
        await settle()
    plane.slow.set()
    await settle()
    assert ("nobody publishes its cache events at tcp://a:5557" in caplog.text) is not is_heard
    await plane.following.stop()
