"""Server-sent events as bytes."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.parts.errors import ProtocolError
from towplane.parts.sse import WholeEvents, cut, first_event


@dataclass(frozen=True)
class Case:
    name: str
    given: bytes
    want: list[tuple[bytes, bytes]]
    """Each event: its bytes, its data."""


CASES = [
    Case("one line", b"data: {}\n\n", [(b"data: {}\n\n", b"{}")]),
    Case("no space after the colon", b"data:{}\n\n", [(b"data:{}\n\n", b"{}")]),
    Case("only one space is taken off", b"data:  x\n\n", [(b"data:  x\n\n", b" x")]),
    Case("CRLF", b"data: a\r\n\r\ndata: b\r\n\r\n",
         [(b"data: a\r\n\r\n", b"a"), (b"data: b\r\n\r\n", b"b")]),
    Case("line ends of both kinds", b"data: a\r\n\ndata: b\n\r\n",
         [(b"data: a\r\n\n", b"a"), (b"data: b\n\r\n", b"b")]),
    Case("several lines of data", b"data: a\ndata: b\n\n", [(b"data: a\ndata: b\n\n", b"a\nb")]),
    Case("a comment", b": ping\n\n", [(b": ping\n\n", b"")]),
    Case("other fields", b"event: x\nid: 1\ndata: a\nretry: 5\n\n",
         [(b"event: x\nid: 1\ndata: a\nretry: 5\n\n", b"a")]),
    Case("a word that begins like data", b"database: a\n\n", [(b"database: a\n\n", b"")]),
    Case("an end without its blank line", b"data: a\n\ndata: b",
         [(b"data: a\n\n", b"a"), (b"data: b", b"b")]),
    Case("blank lines between", b"\n\ndata: a\n\n", [(b"\n\n", b""), (b"data: a\n\n", b"a")]),
]  # fmt: skip


def read(block: bytes) -> list[tuple[bytes, bytes]]:
    start, found = 0, []
    while start < len(block):
        raw, data = first_event(block, start)
        found.append((raw, data))
        start += len(raw)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_event_is_its_bytes_and_its_data(case: Case) -> None:
    assert read(case.given) == case.want


@given(
    st.lists(st.sampled_from([b"data: a", b"data:", b"\n", b"\r\n", b": c", b"\n\n", b"\r\n\r\n"]))
)
def test_a_stream_is_cut_only_behind_a_blank_line_and_never_loses_a_byte(
    parts: list[bytes],
) -> None:
    stream = b"".join(parts)
    end = cut(stream)
    assert b"".join(raw for raw, _ in read(stream[:end])) == stream[:end]
    assert end == 0 or stream[:end].endswith((b"\n\n", b"\n\r\n"))
    assert b"\n\n" not in stream[end:]
    assert b"\n\r\n" not in stream[end:]


@given(st.lists(st.sampled_from([c.given for c in CASES]), max_size=6), st.data())
def test_however_a_stream_is_cut_its_events_are_the_same(
    blocks: list[bytes], data: st.DataObject
) -> None:
    """Cut at event borders as the relays do it; blank events apart, which mean nothing."""
    stream = b"".join(block + b"\n\n" for block in blocks)
    want = [found for _, found in read(stream) if found]
    got, events, at = [], WholeEvents(), 0
    while at < len(stream):
        step = data.draw(st.integers(1, 12))
        got += [found for _, found in read(events.take(stream[at : at + step])) if found]
        at += step
    assert (got, events.rest().strip()) == (want, b"")


@given(st.lists(st.sampled_from([b"data: a", b"\n", b"\r", b"\r\n", b"\n\n", b""]), max_size=12))
def test_what_is_given_out_ends_with_an_event_and_no_byte_is_lost(pieces: list[bytes]) -> None:
    events, came, given = WholeEvents(), b"", b""
    for piece in pieces:
        came += piece
        found = events.take(piece)
        given += found
        assert not found or found.endswith((b"\n\n", b"\n\r\n"))
        assert cut(came[len(given) :]) == 0
    assert given + events.rest() == came
    assert events.rest() == b""


def test_a_piece_that_ends_with_an_event_is_not_copied() -> None:
    events, piece = WholeEvents(), b"data: a\n\ndata: b\n\n"
    assert events.take(piece) is piece


def test_a_long_event_is_kept_as_it_came_and_joined_once() -> None:
    """With a copy for each piece this would move a hundred gigabytes."""
    events = WholeEvents()
    for _ in range(1024):
        assert events.take(b"x" * 1023) == b""
    for _ in range(100_000):
        assert events.take(b"y") == b""
    want = b"x" * (1023 * 1024) + b"y" * 100_000 + b"\n\n"
    assert events.take(b"\n") == b""
    assert events.take(b"\ndata") == want
    assert events.rest() == b"data"


def test_an_event_without_its_end_is_not_kept_for_ever() -> None:
    events = WholeEvents(2 * 1024 * 1024)
    half = b"x" * (1024 * 1024)
    events.take(half)
    events.take(half)
    with pytest.raises(ProtocolError, match="longer than 2 MiB"):
        events.take(b"x")


def test_only_what_waits_counts_for_the_longest_event() -> None:
    events = WholeEvents(1024 * 1024)
    block = b"data: a\n\n" * 200_000
    assert events.take(block + b"data") == block
    assert events.take(b": b\n\n") == b"data: b\n\n"
