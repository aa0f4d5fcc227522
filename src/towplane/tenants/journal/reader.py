"""The reading end of the journal: complete events from a position on, whatever a crash left.

Knows no ledger. The laws: reading from a position always gives the same events in the same order;
a line counts when its newline is there; damage (a line that is no event, a hole that a power cut
left, a segment that somebody removed) is counted and stepped over and never stops the reader. What
is behind the last newline of a dead writer was never reported as appended, so it is no damage.
"""

import os
from pathlib import Path
from typing import NamedTuple

import msgspec

from towplane.tenants.events import Event
from towplane.tenants.journal.layout import (
    LONGEST_LINE,
    is_locked,
    segment_name,
    segment_numbers,
)

__all__ = ["START", "Batch", "JournalReader", "Position"]

_CHUNK_BYTES = 4 * LONGEST_LINE
_DAMAGE = (msgspec.MsgspecError, UnicodeError, RecursionError)


class Position(NamedTuple):
    """Up to where a journal has been read."""

    segment: int
    offset: int


START = Position(1, 0)


class Batch(NamedTuple):
    """What one read found; `position` is where the next one begins."""

    events: list[Event]
    position: Position
    bad: int
    """Damaged places stepped over."""
    is_end: bool
    """Nothing more was there."""
    is_final: bool
    """Nothing more will ever be: the writer is dead and all is read."""


class JournalReader:
    """Reads the journal of one incarnation, alive or dead; holds nothing open between reads."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._decoder = msgspec.json.Decoder(Event)

    def is_alive(self) -> bool:
        """Whether the writer lives, as its lock says."""
        return is_locked(self.directory)

    def read(self, position: Position = START, limit: int = 8_000) -> Batch:
        """At most `limit` events after `position`."""
        # Asked before reading: what a writer appended before it was seen dead, this read sees.
        alive = self.is_alive()
        events: list[Event] = []
        bad = 0
        while len(events) < limit:
            # Listed before reading, too: a segment that has a successor will not grow any more.
            later = [n for n in segment_numbers(self.directory) if n > position.segment]
            data = self._chunk(position)
            if data is None:
                if not later:
                    return Batch(events, position, bad, is_end=True, is_final=not alive)
                position, bad = Position(later[0], 0), bad + 1  # somebody removed a segment
                continue
            cut = data.rfind(b"\n") + 1
            if cut:
                found, damaged = self._decode(data[:cut])
                if len(found) > limit - len(events):
                    # Seldom, so this costs less than to count the lines of every chunk before.
                    cut = _end_of_lines(data, limit - len(events))
                    found, damaged = self._decode(data[:cut])
                events += found
                bad += damaged
                position = Position(position.segment, position.offset + cut)
            elif alive and not later:
                return Batch(events, position, bad, is_end=True, is_final=False)
            elif len(data) == _CHUNK_BYTES:
                # A hole of zeros, or one endless line; a good line may begin near the chunk's end.
                step = _CHUNK_BYTES - LONGEST_LINE
                position = Position(position.segment, position.offset + step)
            elif later:
                bad += later[0] != position.segment + 1  # somebody removed a segment
                position = Position(later[0], 0)
            else:
                return Batch(events, position, bad, is_end=True, is_final=True)
        return Batch(events, position, bad, is_end=False, is_final=False)

    def count(self, position: Position = START) -> int:
        """How many events lie behind `position`, without decoding them."""
        total = 0
        for number in segment_numbers(self.directory):
            if number < position.segment:
                continue
            at = Position(number, position.offset if number == position.segment else 0)
            while data := self._chunk(at):
                total += data.count(b"\n")
                if not data[-1] and not data[0]:  # the zeros behind the last line
                    break
                at = Position(number, at.offset + len(data))
        return total

    def _chunk(self, position: Position) -> bytes | None:
        try:
            handle = os.open(
                self.directory / segment_name(position.segment), os.O_RDONLY | os.O_CLOEXEC
            )
        except FileNotFoundError:
            return None
        try:
            return os.pread(handle, _CHUNK_BYTES, position.offset)
        finally:
            os.close(handle)

    def _decode(self, lines: bytes) -> tuple[list[Event], int]:
        """The events of whole lines, and how many places were damaged."""
        try:
            return self._decoder.decode_lines(lines), 0
        except _DAMAGE:
            events: list[Event] = []
            bad = sum(self._decode_line(line, events) for line in lines[:-1].split(b"\n"))
            return events, bad

    def _decode_line(self, line: bytes, events: list[Event]) -> int:
        text = line.lstrip(b"\0")  # zeros before a line: a page that a power cut lost
        try:
            events.append(self._decoder.decode(text))
        except _DAMAGE:
            return 1
        return int(len(text) < len(line))


def _end_of_lines(data: bytes, most: int) -> int:
    """The end of the first `most` lines; there are more."""
    cut = 0
    for _ in range(most):
        cut = data.index(b"\n", cut) + 1
    return cut
