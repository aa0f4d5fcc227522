"""A publisher of cache events that speaks as vLLM does: PUB, and a ROUTER for what was missed.

Frames, fields and the replay are those of `vllm/distributed/kv_events.py`: lists as vLLM 0.9 to
0.13 wrote them, or maps as later versions do. It keeps no cache: a test says what is stored.
"""

import threading
from collections import deque
from typing import Any

import msgspec

__all__ = ["Publisher", "removed", "stored"]

_END = (-1).to_bytes(8, "big", signed=True)
_FIELDS = ("block_hashes", "parent_block_hash", "token_ids", "block_size", "lora_id", "medium",
           "lora_name")  # fmt: skip


def stored(
    hashes: list[int | bytes],
    tokens: list[int],
    *,
    parent: int | bytes | None = None,
    size: int = 4,
    adapter: str | None = None,
    medium: str | None = "GPU",
    as_map: bool = False,
    **more: Any,
) -> Any:
    """An event of blocks that are kept from now on."""
    values = (hashes, parent, tokens, size, None, medium, adapter)
    if as_map:
        return {"type": "BlockStored", **dict(zip(_FIELDS, values, strict=True)), **more}
    return ["BlockStored", *values, *more.values()]


def removed(hashes: list[int | bytes], *, medium: str | None = "GPU") -> Any:
    """An event of blocks that are kept no longer."""
    return ["BlockRemoved", hashes, medium]


class Publisher:
    """One engine's sockets, on free ports of loopback or those of another; used as a context."""

    def __init__(self, keeps: int = 10_000, instead_of: "Publisher | None" = None) -> None:
        import zmq

        self._zmq = zmq
        self._context = zmq.Context()
        self._pub = self._context.socket(zmq.XPUB)
        """XPUB, so that a test can wait for its subscriber."""
        self._router = self._context.socket(zmq.ROUTER)
        if instead_of is None:
            self.address = f"tcp://127.0.0.1:{self._pub.bind_to_random_port('tcp://127.0.0.1')}"
            self.replay = f"tcp://127.0.0.1:{self._router.bind_to_random_port('tcp://127.0.0.1')}"
        else:
            self.address, self.replay = instead_of.address, instead_of.replay
            self._pub.bind(self.address)
            self._router.bind(self.replay)
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=keeps)
        self.next = 0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Publisher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self._context.destroy(linger=0)

    def await_subscriber(self, timeout_s: float = 10.0) -> bool:
        """Whether somebody subscribed in time."""
        return bool(self._pub.poll(int(timeout_s * 1000))) and bool(self._pub.recv())

    def publish(self, *events: Any, is_lost: bool = False) -> None:
        """A batch; `is_lost`: it can be asked for, but does not arrive by itself."""
        number, self.next = self.next, self.next + 1
        payload = msgspec.msgpack.encode([0.0, list(events), 0])
        self._kept.append((number, payload))
        if not is_lost:
            self._pub.send_multipart((b"kv", number.to_bytes(8, "big"), payload))

    def _serve(self) -> None:
        while not self._ends.is_set():
            if not self._router.poll(20):
                continue
            client, empty, since = self._router.recv_multipart()
            for number, payload in tuple(self._kept):
                if number >= int.from_bytes(since, "big"):
                    frames = (client, empty, number.to_bytes(8, "big"), payload)
                    self._router.send_multipart(frames)
            self._router.send_multipart((client, empty, _END, b""))
