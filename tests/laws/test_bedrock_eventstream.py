"""Frames of AWS's event stream: whole or not at all, however the bytes come."""

import itertools
import struct
import uuid
from binascii import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.parts.errors import ProtocolError
from towplane.providers.bedrock.eventstream import Frame, FrameReader, Head
from towplane.testing.bedrock.frames import (
    Header,
    error_frame,
    event_frame,
    exception_frame,
    frame,
)

EVENT: list[Header] = [(":message-type", 7, "event"), (":event-type", 7, "chunk")]


def read(data: bytes) -> list[Frame]:
    return FrameReader().feed(data)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    borders = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(borders)]


frames = st.lists(
    st.one_of(
        st.builds(
            event_frame,
            st.sampled_from(["contentBlockDelta", "metadata", "chunk"]),
            st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3),
        ),
        st.builds(exception_frame, st.just("ThrottlingException"), st.just({"message": "höhe"})),
        st.builds(error_frame, st.text(max_size=9), st.text(max_size=30)),
        st.builds(frame, st.just(EVENT), st.binary(max_size=2000)),
    ),
    max_size=6,
)


@settings(max_examples=300, deadline=None)
@given(given=frames, places=st.lists(st.integers(0, 20_000), max_size=30))
def test_any_split_gives_the_same_frames(given: list[bytes], places: list[int]) -> None:
    stream = b"".join(given)
    reader = FrameReader()
    found = [one for piece in cut(stream, places) for one in reader.feed(piece)]
    assert found == read(stream)
    assert len(found) == len(given)
    assert reader.is_between


@settings(max_examples=100, deadline=None)
@given(given=frames)
def test_it_reads_what_botocore_reads(given: list[bytes]) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(b"".join(given))
    theirs = [(dict(one.headers), one.payload) for one in buffer]
    found = read(b"".join(given))
    assert [one.payload for one in found] == [payload for _, payload in theirs]
    for (head, _), (headers, _) in zip(found, theirs, strict=True):
        assert head.kind == headers[":message-type"]
        names = (":event-type", ":exception-type", ":error-code")
        assert head.name == next(headers[name] for name in names if name in headers)


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_wrong_bit_is_seen(at: int, bit: int) -> None:
    """Whatever bit of a frame is wrong, it is never given out as another frame."""
    data = bytearray(event_frame("contentBlockDelta", {"delta": {"text": "höhe"}}))
    at %= len(data)
    data[at] ^= 1 << bit
    with pytest.raises(ProtocolError):
        read(bytes(data))


def test_headers_of_every_type_are_stepped_over() -> None:
    headers: list[Header] = [
        ("yes", 0, None),
        ("no", 1, None),
        ("byte", 2, -1),
        ("short", 3, 300),
        ("int", 4, 70_000),
        ("long", 5, 1 << 40),
        ("bytes", 6, b"\x00\xff"),
        ("time", 8, 1_700_000_000_000),
        ("uuid", 9, uuid.UUID(int=7)),
        *EVENT,
    ]
    assert read(frame(headers, b"{}")) == [Frame(Head("event", "chunk"), b"{}")]


def test_an_exception_and_an_error_say_their_names() -> None:
    data = exception_frame("ThrottlingException", {"message": "slow"}) + error_frame("500", "down")
    assert read(data) == [
        Frame(Head("exception", "throttlingException"), b'{"message":"slow"}'),
        Frame(Head("error", "500", "down"), b""),
    ]


def raw(headers: bytes, payload: bytes = b"", *, headers_length: int | None = None) -> bytes:
    """A frame with right sums around any header bytes."""
    length = len(headers) if headers_length is None else headers_length
    lengths = struct.pack("!II", 16 + len(headers) + len(payload), length)
    body = lengths + struct.pack("!I", crc32(lengths)) + headers + payload
    return body + struct.pack("!I", crc32(body))


BROKEN = {
    "no kind": frame([(":event-type", 7, "chunk")], b""),
    "an unknown kind": frame([(":message-type", 7, "gossip")], b""),
    "a header twice": frame([*EVENT, *EVENT], b""),
    "an unknown type": raw(b"\x01a\x0a"),
    "no type": raw(b"\x01a"),
    "no name": raw(b"\x00\x00"),
    "a string that is cut off": raw(b"\x01a\x07\x00\x05ab"),
    "a length that is cut off": raw(b"\x01a\x07\x00"),
    "a number that is cut off": raw(b"\x01a\x05\x00\x00"),
    "bytes that are no UTF-8": raw(b"\x01a\x07\x00\x02\xff\xfe"),
    "headers longer than the frame": raw(b"\x01a\x00", headers_length=50),
    "headers above the limit": raw(b"", bytes(200 * 1024), headers_length=150 * 1024),
    "garbage": b"HTTP/1.1 200 OK\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_frames_are_protocol_errors(name: str) -> None:
    with pytest.raises(ProtocolError) as broken:
        read(BROKEN[name])
    assert broken.value.reason == "upstream-protocol"


def test_a_frame_above_the_limit_is_refused_before_it_is_kept() -> None:
    """Its length alone is enough; nobody waits for 25 MB."""
    lengths = struct.pack("!II", 16 + 25 * 1024 * 1024, 0)
    with pytest.raises(ProtocolError, match="larger"):
        read(lengths + struct.pack("!I", crc32(lengths)))


def test_a_large_frame_in_small_pieces_is_read_in_linear_time() -> None:
    """Twenty megabytes in 64 KiB pieces: joined once, not at every piece."""
    data = frame(EVENT, bytes(20 * 1024 * 1024))
    reader = FrameReader()
    found: list[Frame] = []
    for start in range(0, len(data), 65_536):
        found += reader.feed(data[start : start + 65_536])
    assert [len(one.payload) for one in found] == [20 * 1024 * 1024]


def test_the_end_inside_a_frame_is_known() -> None:
    reader = FrameReader()
    data = event_frame("metadata", {})
    reader.feed(data + data[:20])
    assert not reader.is_between
