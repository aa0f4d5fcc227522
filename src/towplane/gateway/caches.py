"""What engines say that they keep of prompts, as one worker knows it.

The plane process tells which blocks each engine has stored and forgotten (`gateway.kv_following`);
a prompt is cut into tokens here, with the tokenizer that its route names, and looked up. Tokenizers
are loaded in threads, only where a route names one; until one is there, and for prompts that it
cannot render, nothing is known, and policies go by what was sent.

The law: a request of a route without a tokenizer, or in a worker that no engine tells of its cache,
costs nothing here.
"""

import logging
import struct
from collections.abc import Callable, Iterable, Mapping
from threading import Thread
from typing import TYPE_CHECKING

from towplane.gateway.messages import Kept, RouteInfo
from towplane.parts.errors import PlaneError
from towplane.providers.ask import Ask
from towplane.providers.token_ids import TokenIds
from towplane.routing.kv_index import Cached, KvIndex
from towplane.routing.spec import RouteSpec

if TYPE_CHECKING:
    from towplane.gateway.target_state import TargetState

__all__ = ["Caches"]

_log = logging.getLogger("towplane.gateway")


class Caches:
    """Of all engines, and the tokenizers of all routes."""

    def __init__(self, start: Callable[[Callable[[], None]], None] | None = None) -> None:
        """`start` runs what takes long; in a thread unless told otherwise."""
        self._start = start or _in_thread
        self._index = KvIndex()
        self._readers: dict[str, TokenIds | None] = {}
        """By the tokenizer's file; None: not there yet, or not at all."""

    def hold(self, routes: Iterable[RouteInfo], targets: "Mapping[str, TargetState]") -> None:
        """These routes and targets there are from now on."""
        files = {info.spec.prefix.tokenizer for info in routes} - {None}
        self._readers = {file: read for file, read in self._readers.items() if file in files}
        for file in files:
            if file is not None and file not in self._readers:
                self._readers[file] = None
                self._start(lambda file=file: self._load(file))  # type: ignore[misc]
        for name, bit in self._index.bits.items():
            if name in targets:
                targets[name].load.cache_bit = bit

    def hear(self, message: Kept, targets: "Mapping[str, TargetState]") -> None:
        """What an engine has stored and forgotten."""
        index, name = self._index, message.target
        for key in _keys(message.removed):
            index.drop(key, name)
        for key in _keys(message.stored):
            index.add(key, name)
        bit: int | None = None
        if message.is_gone:
            index.leave(name)
        else:
            index.describe(name, message.sizes, is_whole=message.is_whole)
            bit = index.bits[name]
        if name in targets:
            targets[name].load.cache_bit = bit

    def look_up(self, ask: Ask, spec: RouteSpec, now: float) -> Cached | None:
        """Who keeps how much of this prompt; None: nobody says it, or nobody can tell."""
        if spec.prefix.tokenizer is None or not self._index.bits:
            return None
        reader = self._readers.get(spec.prefix.tokenizer)
        found = reader.read(ask, spec.prefix.characters) if reader is not None else None
        if found is None:
            return None
        tokens = found.tokens if found.is_all else max(ask.input_estimate, found.tokens)
        return self._index.find(found.ids, tokens, spec.adapter or "", now)

    def _load(self, file: str) -> None:
        try:
            reader = TokenIds(file)
        except PlaneError as error:
            _log.error("prompts are not cut into tokens: %s. %s", error.say, error.next_step)
            return
        if file in self._readers:
            self._readers[file] = reader


def _keys(packed: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(packed) // 8}Q", packed)


def _in_thread(work: Callable[[], None]) -> None:
    Thread(target=work, daemon=True, name="tokenizer").start()
