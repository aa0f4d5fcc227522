"""Server-sent events as bytes."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.parts.sse import cut, first_event


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
    """Cut at event borders as the relay does it; blank events apart, which mean nothing."""
    stream = b"".join(block + b"\n\n" for block in blocks)
    want = [found for _, found in read(stream) if found]
    got, rest, at = [], b"", 0
    while at < len(stream):
        step = data.draw(st.integers(1, 12))
        rest += stream[at : at + step]
        at += step
        end = cut(rest)
        got += [found for _, found in read(rest[:end]) if found]
        rest = rest[end:]
    assert (got, rest.strip()) == (want, b"")
