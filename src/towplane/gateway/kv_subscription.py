"""Listens to the cache events of one engine over ZeroMQ, in the plane process.

vLLM publishes each batch as three frames (topic, number, payload) on a PUB socket and keeps the
last 10,000 for those who ask on a ROUTER socket (`--kv-events-config`). All that is kept is asked
for when the engine comes into sight, and later what is missing; what is not kept any more is
forgotten by the follower (`routing.kv_events`), and so is everything when the connection is lost,
because another engine may answer then. Needs the extra `kv-events` (pyzmq); no worker imports this.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from towplane.parts.extras import load_extra
from towplane.routing.kv_events import Follower

__all__ = ["follow"]

_END = (-1).to_bytes(8, "big", signed=True)
"""The number of the frame that ends a replay."""
_REPLAY_WITHIN_S = 5.0
"""Of one batch; an engine that is busy publishes late, too."""
_PING_MS = 5_000
"""How often an engine that says nothing is asked whether it is there,"""
_PONG_MS = 15_000
"""and how long it may stay silent: an idle engine publishes nothing for hours."""


def _nothing() -> None:
    pass


async def follow(
    follower: Follower,
    address: str,
    replay: str | None,
    topic: str = "",
    changed: Callable[[], None] = _nothing,
) -> None:
    """Until it is cancelled: read what `address` (`tcp://host:5557`) publishes; `replay` is where
    missed batches are asked for. `changed` is called after each. Raises Unsupported where pyzmq is
    not installed."""
    zmq, sockets = load_extra("zmq", "kv-events"), load_extra("zmq.asyncio", "kv-events")
    read_event = load_extra("zmq.utils.monitor", "kv-events").parse_monitor_message
    context = sockets.Context()
    heard = context.socket(zmq.SUB)
    try:
        heard.setsockopt(zmq.SUBSCRIBE, topic.encode())
        heard.setsockopt(zmq.HEARTBEAT_IVL, _PING_MS)
        heard.setsockopt(zmq.HEARTBEAT_TIMEOUT, _PONG_MS)
        line = heard.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        heard.connect(address)
        poller = sockets.Poller()
        poller.register(line, zmq.POLLIN)
        poller.register(heard, zmq.POLLIN)
        again_until = 0
        """Batches below this came by the replay, and may come once more by themselves."""
        while True:
            ready = dict(await poller.poll())
            if line in ready:
                event = read_event(await line.recv_multipart())["event"]
                follower.restart()
                again_until = 0
                if event == zmq.EVENT_HANDSHAKE_SUCCEEDED and replay is not None:
                    if await _catch_up(follower, context.socket(zmq.DEALER), replay, 0, None):
                        follower.has_said_nothing()
                    again_until = follower.next
            elif heard in ready:
                frames = await heard.recv_multipart()
                if len(frames) != 3 or len(frames[1]) != 8:
                    continue
                number = int.from_bytes(frames[1], "big")
                if number < again_until:
                    continue
                again_until = 0
                since = follower.wants_from(number)
                if since is not None and replay is not None:
                    await _catch_up(follower, context.socket(zmq.DEALER), replay, since, number)
                follower.read(number, frames[2])
            changed()
    finally:
        heard.disable_monitor()
        context.destroy(linger=0)


async def _catch_up(
    follower: Follower, asked: Any, replay: str, since: int, until: int | None
) -> bool:
    """Read what was missed, as far as it is still kept; whether the engine answered to the end."""
    try:
        asked.connect(replay)
        await asked.send_multipart((b"", since.to_bytes(8, "big")))
        while True:
            async with asyncio.timeout(_REPLAY_WITHIN_S):
                _, number, payload = await asked.recv_multipart()
            if number == _END or (until is not None and int.from_bytes(number, "big") >= until):
                return True
            follower.read(int.from_bytes(number, "big"), payload)
    except (TimeoutError, ValueError):
        return False
    finally:
        asked.close(linger=0)
