"""Exactly which blocks of tokens each engine keeps, from the events that vLLM publishes.

An engine numbers its batches of events. `Follower` reads those of one engine: what it stores and
forgets goes into a `KvIndex` that all engines share; a number that is missing means that something
was missed, and then all that is believed of the engine is forgotten and asked for again from the
beginning (`Follower.wants_from`). Engines call blocks by hashes of their own making, which may
differ from one start to the next; here a block is known by its tokens and all tokens before it, so
that a prompt can be looked up in all engines at once. Pure; the socket is the gateway's
(`gateway.kv_subscription`).

It needs a prompt's token ids. Those of `/v1/completions` and `/v1/embeddings` may come as such; all
others would have to be cut into tokens with the model's own tokenizer and template, which no worker
does: no policy chooses by this index yet.

What cannot be known is left out: a block whose parent was never seen, and one that is more than its
tokens (an image, a cache salt). The law: what `match` says is kept was stored by that engine, and
nothing that it has said since took it away.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from xxhash import xxh3_64_intdigest

__all__ = ["Follower", "KvIndex"]

BlockHash = int | bytes
"""What an engine calls a block."""

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


class KvIndex:
    """Who keeps which blocks."""

    def __init__(self) -> None:
        self._holders: dict[int, set[str]] = {}

    def __len__(self) -> int:
        return len(self._holders)

    def match(self, tokens: Sequence[int], size: int, adapter: str = "") -> dict[str, int]:
        """How many leading blocks of `size` tokens each engine keeps; those that keep some."""
        found: dict[str, int] = {}
        left: set[str] | None = None
        for depth, key in enumerate(_keys(tokens, size, _root(size, adapter)), start=1):
            holders = self._holders.get(key, set())
            left = set(holders) if left is None else left & holders
            if not left:
                break
            found |= dict.fromkeys(left, depth)
        return found

    def add(self, key: int, name: str) -> None:
        """This engine keeps it."""
        self._holders.setdefault(key, set()).add(name)

    def drop(self, key: int, name: str) -> None:
        """It keeps it no longer."""
        holders = self._holders.get(key)
        if holders is not None:
            holders.discard(name)
            if not holders:
                del self._holders[key]


class Follower:
    """The events of one engine, in their order."""

    def __init__(self, name: str, index: KvIndex) -> None:
        self._name = name
        self._index = index
        self._kept: dict[BlockHash, tuple[int, set[str]]] = {}
        """By the engine's name for a block: its key, and where it keeps it."""
        self.next = 0
        """The number of the batch that is read next."""
        self.orphans = 0
        """Blocks that could not be told from their tokens."""
        self.broken = 0
        """Batches that were not understood."""

    def wants_from(self, number: int) -> int | None:
        """The first batch to ask for again before this one is read; None: none is missing."""
        return None if number == self.next else 0 if number < self.next else self.next

    def read(self, number: int, payload: bytes) -> None:
        """The batch of this number. If others are missing before it, what was believed is
        forgotten: something may have been taken away."""
        if number != self.next:
            self.forget()
        self.next = number + 1
        try:
            for kind, event in _events(payload):
                if kind == "BlockStored":
                    self._store(event)
                elif kind == "BlockRemoved":
                    self._remove(event)
                else:
                    self.forget()
        except (msgspec.DecodeError, ValueError, TypeError, LookupError, struct.error):
            self.broken += 1
            self.forget()  # it may have said that something was taken away

    def forget(self) -> None:
        """Nothing is known of it."""
        for key, _ in self._kept.values():
            self._index.drop(key, self._name)
        self._kept.clear()

    def _store(self, event: Event) -> None:
        size, parent = event["block_size"], event["parent_block_hash"]
        hashes, extras = event["block_hashes"], event["extra_keys"] or ()
        key = _root(size, event["lora_name"] or "")
        if parent is not None:
            before = self._kept.get(parent)
            if before is None:
                self.orphans += len(hashes)
                return
            key = before[0]
        medium = event["medium"] or _ON_GPU
        keys = _keys(event["token_ids"], size, key)
        for at, (name, key) in enumerate(zip(hashes, keys, strict=False)):
            if at < len(extras) and _is_more_than_tokens(extras[at], event["lora_name"]):
                self.orphans += len(hashes) - at
                return
            kept = self._kept.get(name)
            if kept is None:
                self._kept[name] = (key, {medium})
                self._index.add(key, self._name)
            else:
                kept[1].add(medium)

    def _remove(self, event: Event) -> None:
        medium = event["medium"] or _ON_GPU
        for name in event["block_hashes"]:
            kept = self._kept.get(name)
            if kept is None:
                continue
            kept[1].discard(medium)
            if not kept[1]:
                del self._kept[name]
                self._index.drop(kept[0], self._name)


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


def _root(size: int, adapter: str) -> int:
    """What stands before the first block."""
    return xxh3_64_intdigest(f"kv\0{size}\0{adapter}".encode())


def _keys(tokens: Sequence[int], size: int, key: int) -> Iterator[int]:
    """Of each whole block together with all before it."""
    pack = struct.Struct(f"<{size}q").pack
    for start in range(0, len(tokens) - size + 1, size):
        key = xxh3_64_intdigest(pack(*tokens[start : start + size]), key)
        yield key
