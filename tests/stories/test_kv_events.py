"""Cache events over real sockets, with a publisher that speaks as vLLM does."""

import asyncio
from collections.abc import Callable

from towplane.gateway.kv_subscription import follow
from towplane.routing.kv_events import Follower
from towplane.routing.kv_index import KvIndex
from towplane.testing.kv_publisher import Publisher, removed, stored

TOKENS = list(range(16))


async def _until(is_so: Callable[[], bool], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not is_so():
            await asyncio.sleep(0.01)


async def test_what_an_engine_publishes_is_known_and_what_was_lost_is_asked_for() -> None:
    index = KvIndex()
    follower = Follower("a", index)
    with Publisher() as engine:
        engine.publish(stored([1], TOKENS[:4]), is_lost=True)  # before anybody listens
        task = asyncio.create_task(follow(follower, engine.address, engine.replay))
        assert await asyncio.to_thread(engine.await_subscriber)
        engine.publish(stored([2], TOKENS[4:8], parent=1))
        await _until(lambda: index.match(TOKENS, 4) == {"a": 2})
        engine.publish(removed([2]), is_lost=True)
        engine.publish(stored([3], TOKENS[4:8], parent=1), is_lost=True)
        engine.publish(stored([4], TOKENS[8:12], parent=3))
        await _until(lambda: index.match(TOKENS, 4) == {"a": 3})
        task.cancel()
        await asyncio.wait([task])


async def test_what_is_not_kept_any_more_is_forgotten() -> None:
    index = KvIndex()
    follower = Follower("a", index)
    with Publisher(keeps=1) as engine:
        task = asyncio.create_task(follow(follower, engine.address, engine.replay))
        assert await asyncio.to_thread(engine.await_subscriber)
        engine.publish(stored([1], TOKENS[:4]))
        await _until(lambda: index.match(TOKENS, 4) == {"a": 1})
        engine.publish(removed([1]), is_lost=True)
        engine.publish(stored([5], TOKENS[8:12]))
        await _until(lambda: index.match(TOKENS[8:], 4) == {"a": 1})
        assert index.match(TOKENS, 4) == {}
        task.cancel()
        await asyncio.wait([task])
