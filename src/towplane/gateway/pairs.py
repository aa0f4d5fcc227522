"""Answers of clients' requests and of their shadows, side by side, for whoever asked to keep them.

One line of JSON for each pair whose two sides have ended: ids, sizes, times, usage, how it ended,
and, only where `text` is set, what was said. The answers are read on their way out, by a `Listener`
around the reader; the client's bytes are the same. Only the first attempt of a request is looked
at. The law: who does not ask to keep pairs pays nothing; a file that cannot be written costs a
warning and no answer.
"""

import logging
import os
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from towplane.providers.answer_text import read_answer
from towplane.providers.reader import Reader

if TYPE_CHECKING:
    from towplane.gateway.attempt import Attempt
    from towplane.gateway.exchange import Exchange
    from towplane.gateway.shadow import Shadow

__all__ = ["Both", "Pair", "Pairs", "Side"]

_log = logging.getLogger("towplane.gateway")

_MOST_BYTES = 1024 * 1024
"""Of an answer longer than this, what it said and how it ended is unknown."""
_MOST_WAITING = 256
"""Pairs that wait for one of their sides; the oldest is let go."""
_MOST_FILE_BYTES = 2**30
"""A file of this size gets no more lines."""


class Side(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One of the two answers."""

    request: str
    target: str
    outcome: str
    """`ok`, `cancelled` or the error's reason."""
    status: int | None = None
    ttft_ms: float | None = None
    """From the attempt's begin."""
    total_ms: float = 0.0
    input: int | None = None
    cached_input: int | None = None
    output: int | None = None
    usage: str = "absent"
    bytes: int = 0
    """Of the answer, as the client gets it."""
    finish: str | None = None
    """Why it stopped, in the word of the client's dialect."""
    text: str | None = None


class Pair(msgspec.Struct, kw_only=True):
    """A line of the file."""

    at: float
    """Wall clock, seconds since the epoch."""
    model: str
    original: Side | None = None
    mirror: Side | None = None


class _Watched:
    """A side that is under way."""

    __slots__ = ("attempt", "listener", "x")

    def __init__(self, x: "Exchange", attempt: "Attempt") -> None:
        self.x = x
        self.attempt = attempt
        self.listener = Listener(attempt)
        attempt.call.reader = self.listener


class Listener(Reader):
    """A reader that also keeps what it gives out; everything else is the reader's inside."""

    __slots__ = ("_attempt", "_inside", "first_at", "kept", "size")

    def __init__(self, attempt: "Attempt") -> None:
        super().__init__()
        self._attempt = attempt
        self._inside = attempt.call.reader
        self.first_at = 0.0
        self.size = 0
        self.kept: list[bytes] = []

    def read(self, payload: bytes, *, whole: bool) -> tuple[bytes, int, bool]:
        """As the reader inside."""
        try:
            found = self._inside.read(payload, whole=whole)
        finally:
            self._learn()
        self._keep(found[0])
        if found[1] and not self.first_at:
            self.first_at = self._attempt.x.hall.now()
        return found

    def read_whole(self, body: bytes) -> tuple[bytes, int]:
        """As the reader inside."""
        try:
            found = self._inside.read_whole(body)
        finally:
            self._learn()
        self._keep(found[0])
        return found

    def read_tail(self, tail: bytes) -> None:
        """As the reader inside."""
        self._inside.read_tail(tail)
        self._learn()

    @property
    def passes_through(self) -> bool:
        """As the reader inside."""
        return self._inside.passes_through

    def _learn(self) -> None:
        inside = self._inside
        self.usage, self.begun, self.failed = inside.usage, inside.begun, inside.failed
        self.finished, self.is_told = inside.finished, inside.is_told

    def _keep(self, given: bytes) -> None:
        self.size += len(given)
        if self.size <= _MOST_BYTES:
            self.kept.append(given)
        else:
            self.kept.clear()


class Pairs:
    """The pairs of one mirror."""

    __slots__ = ("_by_shadow", "_fd", "_path", "_waiting", "_with_text")

    def __init__(self) -> None:
        self._path: str | None = None
        self._with_text = False
        self._fd = -1
        self._by_shadow: dict[Shadow, Both] = {}
        self._waiting: deque[Both] = deque()

    def hold(self, path: str | None, *, with_text: bool) -> None:
        """Where pairs go from now on."""
        self._with_text = with_text
        if path != self._path:
            self.close()
            self._path = path

    def watch(self, x: "Exchange", attempt: "Attempt") -> "Both | None":
        """A request will be mirrored: listen to its answer."""
        if self._path is None or attempt.relay is not None:
            return None
        return Both(_Watched(x, attempt))

    def expect(self, both: "Both | None", shadow: "Shadow") -> None:
        """Its shadow begins."""
        if both is not None:
            self._by_shadow[shadow] = both

    def began(self, shadow: "Shadow", attempt: "Attempt") -> None:
        """The shadow's attempt is about to start."""
        both = self._by_shadow.get(shadow)
        if both is not None:
            both.mirror = _Watched(shadow, attempt)

    def heard(self, shadow: "Shadow") -> None:
        """The shadow's attempt is over."""
        both = self._by_shadow.pop(shadow, None)
        if both is None or both.mirror is None:
            return
        both.pair.mirror = self._side(both.mirror)
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.popleft()
        self._waiting.append(both)

    def ended(self, shadow: "Shadow") -> None:
        """The shadow is gone; one that had no attempt leaves no pair."""
        self._by_shadow.pop(shadow, None)

    def sweep(self) -> None:
        """Write the pairs whose clients have their answers too."""
        for _ in range(len(self._waiting)):
            both = self._waiting.popleft()
            if not both.original.attempt.is_over:
                self._waiting.append(both)
                continue
            both.pair.original = self._side(both.original)
            self._write(both.pair)

    def close(self) -> None:
        """Write what is whole, and close the file."""
        self.sweep()
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _side(self, watched: _Watched) -> Side:
        attempt, listener = watched.attempt, watched.listener
        usage, error = listener.usage, attempt.error
        text: str | None = None
        finish: str | None = None
        if listener.kept:
            operation = attempt.x.ask.operation.name
            text, finish = read_answer(b"".join(listener.kept), operation)
        first_at, ended_at = listener.first_at, attempt.ended_at
        outcome = "cancelled" if attempt.was_cancelled else "ok"
        return Side(
            request=watched.x.id,
            target=attempt.target.info.name,
            outcome=outcome if error is None else error.reason,
            status=attempt.status,
            ttft_ms=_ms(first_at - attempt.started_at) if first_at else None,
            total_ms=_ms(ended_at - attempt.started_at),
            input=usage.input if usage is not None else None,
            cached_input=usage.cached if usage is not None else None,
            output=usage.output if usage is not None else None,
            usage="measured" if usage is not None else "absent",
            bytes=listener.size,
            finish=finish,
            text=text if self._with_text else None,
        )

    def _write(self, pair: Pair) -> None:
        try:
            if self._fd < 0:
                assert self._path is not None
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._fd = os.open(self._path, flags, 0o600)
            if os.fstat(self._fd).st_size < _MOST_FILE_BYTES:
                os.write(self._fd, _encode(pair) + b"\n")  # one write: workers share the file
        except OSError as error:
            _log.warning("a mirrored pair could not be kept in %s: %s", self._path, error)


class Both:
    """A pair that is under way."""

    __slots__ = ("mirror", "original", "pair")

    def __init__(self, original: _Watched) -> None:
        self.original = original
        self.mirror: _Watched | None = None
        x = original.x
        self.pair = Pair(at=x.wall, model=x.ask.model)


_encode = msgspec.json.Encoder().encode


def _ms(seconds: float) -> float:
    return round(seconds * 1000.0, 3)
