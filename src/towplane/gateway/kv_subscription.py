"""Listens to the cache events of one engine over ZeroMQ, in the plane process.

vLLM publishes each batch as three frames (topic, number, payload) on a PUB socket and keeps the
last 10,000 for those who ask on a ROUTER socket (`--kv-events-config`). What is missing is asked
for there; what is not kept any more is forgotten by the follower (`routing.kv_events`). Needs the
extra `kv-events` (pyzmq); no worker imports this.
"""

import asyncio
from typing import Any

from towplane.parts.extras import load_extra
from towplane.routing.kv_events import Follower

__all__ = ["follow"]

_END = (-1).to_bytes(8, "big", signed=True)
"""The number of the frame that ends a replay."""
_REPLAY_WITHIN_S = 5.0
"""Of one batch; an engine that is busy publishes late, too."""


async def follow(follower: Follower, address: str, replay: str | None, topic: str = "") -> None:
    """Until it is cancelled: read what `address` (`tcp://host:5557`) publishes; `replay` is where
    missed batches are asked for. Raises Unsupported where pyzmq is not installed."""
    zmq, sockets = load_extra("zmq", "kv-events"), load_extra("zmq.asyncio", "kv-events")
    context = sockets.Context()
    heard = context.socket(zmq.SUB)
    try:
        heard.setsockopt(zmq.SUBSCRIBE, topic.encode())
        heard.connect(address)
        while True:
            frames = await heard.recv_multipart()
            if len(frames) != 3 or len(frames[1]) != 8:
                continue
            number = int.from_bytes(frames[1], "big")
            since = follower.wants_from(number)
            if since is not None and replay is not None:
                await _catch_up(follower, context.socket(zmq.DEALER), replay, since, number)
            follower.read(number, frames[2])
    finally:
        context.destroy(linger=0)


async def _catch_up(follower: Follower, asked: Any, replay: str, since: int, until: int) -> None:
    """Read what was missed, as far as it is still kept."""
    try:
        asked.connect(replay)
        await asked.send_multipart((b"", since.to_bytes(8, "big")))
        while True:
            async with asyncio.timeout(_REPLAY_WITHIN_S):
                _, number, payload = await asked.recv_multipart()
            if number == _END or int.from_bytes(number, "big") >= until:
                return
            follower.read(int.from_bytes(number, "big"), payload)
    except (TimeoutError, ValueError):
        return
    finally:
        asked.close(linger=0)
