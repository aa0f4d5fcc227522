"""Exactly which blocks of tokens one engine keeps, from the events that vLLM publishes.

An engine numbers its batches of events. `Follower` reads those of one engine: what it stores and
forgets goes into an index (`routing.kv_index`); a number that is missing means that something was
missed, and then all that is believed of the engine is forgotten and asked for again from the
beginning (`Follower.wants_from`). Engines call blocks by hashes of their own making, which may
differ from one start to the next; here a block is known by its tokens and all tokens before it, so
that a prompt can be looked up in all engines at once. Pure; the socket is the gateway's
(`gateway.kv_subscription`).

What cannot be known is left out: a block whose parent was never seen, one that is more than its
tokens (an image, a cache salt), and those above the bound. The laws: what the index is told to be
kept was stored by that engine, and nothing that it has said since took it away; where `is_whole`,
that is all it keeps, but for blocks that are more than tokens.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import msgspec

from towplane.routing.kv_index import block_keys, pack_ids, root_key

__all__ = ["MOST_KEPT", "Follower", "Index"]

BlockHash = int | bytes
"""What an engine calls a block."""

MOST_KEPT = 100_000
"""Blocks of one engine that are remembered: at 16 tokens each more than the cache of an 8B model on
an H200 holds (120 GB at 128 KB a token: 59,000)."""

_decode = msgspec.msgpack.Decoder().decode
_FIELDS = {
    "BlockStored": (
        "block_hashes", "parent_block_hash", "token_ids", "block_size", "lora_id", "medium",
        "lora_name", "extra_keys",
    ),
    "BlockRemoved": ("block_hashes", "medium"),
    "AllBlocksCleared": (),
}  # fmt: skip
"""Of each event, in the order of vLLM's structs (`distributed/kv_events.py`). Versions differ in
whether events are lists or maps; those to come may have more at the end."""
_BATCH = ("ts", "events", "data_parallel_rank")
_ON_GPU = "GPU"
"""The medium of events that name none, as those of older versions."""

Event = dict[str, Any]


class Index(Protocol):
    """Where what engines keep is noted."""

    def add(self, key: int, name: str) -> None:
        """This engine keeps it."""
        ...

    def drop(self, key: int, name: str) -> None:
        """It keeps it no longer."""
        ...


class Follower:
    """The events of one engine, in their order."""

    def __init__(self, name: str, index: Index, most: int = MOST_KEPT) -> None:
        self._name = name
        self._index = index
        self._most = most
        self._kept: dict[BlockHash, tuple[int, frozenset[str]]] = {}
        """By the engine's name for a block: its key, and where it keeps it."""
        self.sizes: set[int] = set()
        """Of its blocks, in tokens."""
        self.next = 0
        """The number of the batch that is read next."""
        self.is_whole = False
        """Whether it was followed from its beginning, or since it kept nothing."""
        self.orphans = 0
        """Blocks that could not be told from their tokens."""
        self.broken = 0
        """Batches that were not understood."""

    def kept(self) -> Iterator[int]:
        """The keys of what it keeps."""
        return (key for key, _ in self._kept.values())

    def wants_from(self, number: int) -> int | None:
        """The first batch to ask for again before this one is read; None: none is missing."""
        return None if number == self.next else 0 if number < self.next else self.next

    def read(self, number: int, payload: bytes) -> None:
        """The batch of this number. If others are missing before it, what was believed is
        forgotten: something may have been taken away."""
        if number != self.next:
            self.forget()
        if number == 0:
            self.is_whole = True
        self.next = number + 1
        try:
            for kind, event in _events(payload):
                if kind == "BlockStored":
                    self._store(event)
                elif kind == "BlockRemoved":
                    self._remove(event)
                else:
                    self.forget()
                    self.is_whole = True
        except (msgspec.DecodeError, ValueError, TypeError, LookupError, struct.error):
            self.broken += 1
            self.forget()  # it may have said that something was taken away

    def restart(self) -> None:
        """The engine is out of sight, and may come back as another one."""
        self.forget()
        self.next = 0

    def has_said_nothing(self) -> None:
        """It was asked for all that it ever said, and that was nothing."""
        self.is_whole = not self.next

    def forget(self) -> None:
        """Nothing is known of it."""
        for key, _ in self._kept.values():
            self._index.drop(key, self._name)
        self._kept.clear()
        self.is_whole = False

    def _store(self, event: Event) -> None:
        size, parent = event["block_size"], event["parent_block_hash"]
        hashes, extras = event["block_hashes"], event["extra_keys"] or ()
        key = root_key(size, event["lora_name"] or "")
        if parent is not None:
            before = self._kept.get(parent)
            if before is None:
                self.orphans += len(hashes)
                return
            key = before[0]
        medium = event["medium"] or _ON_GPU
        keys = block_keys(pack_ids(event["token_ids"]), size, key)
        for at, (name, key) in enumerate(zip(hashes, keys, strict=False)):
            if at < len(extras) and _is_more_than_tokens(extras[at], event["lora_name"]):
                self.orphans += len(hashes) - at
                return
            kept = self._kept.get(name)
            if kept is not None:
                self._kept[name] = (kept[0], kept[1] | {medium})
            elif len(self._kept) < self._most:
                self._kept[name] = (key, _alone(medium))
                self.sizes.add(size)
                self._index.add(key, self._name)
            else:
                self.is_whole = False
                return

    def _remove(self, event: Event) -> None:
        medium = event["medium"] or _ON_GPU
        for name in event["block_hashes"]:
            kept = self._kept.get(name)
            if kept is None:
                continue
            left = kept[1] - {medium}
            if left:
                self._kept[name] = (kept[0], left)
            else:
                del self._kept[name]
                self._index.drop(kept[0], self._name)


_ALONE: dict[str, frozenset[str]] = {}


def _alone(medium: str) -> frozenset[str]:
    """One set for all blocks that are there alone."""
    return _ALONE.setdefault(medium, frozenset((medium,)))


def _events(payload: bytes) -> Iterator[tuple[str, Event]]:
    """Of a batch, each with all its fields; kinds that are not known here are passed over."""
    batch = _decode(payload)
    for said in _named(batch, _BATCH)["events"]:
        kind = said.get("type") if isinstance(said, dict) else said[0]
        if kind in _FIELDS:
            yield kind, _named(said if isinstance(said, dict) else said[1:], _FIELDS[kind])


def _named(said: Any, fields: Sequence[str]) -> Event:
    """A list or a map as a map with every field; what is not said is None."""
    if isinstance(said, dict):
        return {name: said.get(name) for name in fields}
    return dict.fromkeys(fields) | dict(zip(fields, said, strict=False))


def _is_more_than_tokens(extra: Any, adapter: str | None) -> bool:
    """Whether a block's hash is made of something besides its tokens and its adapter."""
    return bool(extra) and any(one not in (None, adapter) for one in extra)
