"""The doubles keep their own laws: a double that is wrong proves nothing."""

import json
from dataclasses import dataclass

import pytest

from towplane.testing.clock import FakeClock
from towplane.testing.framing import Malformed, Message, MessageReader
from towplane.testing.hostile import ANSWERS, REQUESTS
from towplane.testing.provider import wire
from towplane.testing.provider.dialect import Ask, answer, error, read_ask, stream
from towplane.testing.provider.script import GOOD, Script
from towplane.testing.provider.tokens import count_chat, count_input


def test_the_clock_moves_only_when_told() -> None:
    """Both clocks together, and the wall alone when somebody corrects it."""
    clock = FakeClock(monotonic_s=5.0, wall_s=100.0)
    assert clock.advance(2.5) == 7.5
    clock.step_wall(-50.0)
    assert (clock.monotonic(), clock.wall()) == (7.5, 52.5)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1.0)


def test_the_corpus_is_large_and_each_case_has_its_own_name() -> None:
    """A name is how a failure is found again."""
    names = [case.name for case in REQUESTS] + [case.name for case in ANSWERS]
    assert len(REQUESTS) >= 150
    assert len(ANSWERS) >= 40
    assert len(set(names)) == len(names)


@dataclass(frozen=True)
class Case:
    """Bytes, and the bodies that a strict reader finds in them."""

    name: str
    given: bytes
    want: list[bytes]


_HOST = b"POST / HTTP/1.1\r\nHost: x\r\n"
GOOD_REQUESTS = (
    Case("no body", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", [b""]),
    Case("a length", _HOST + b"Content-Length: 2\r\n\r\nhi", [b"hi"]),
    Case(
        "chunks",
        _HOST + b"Transfer-Encoding: chunked\r\n\r\n1;a=b\r\nh\r\n1\r\ni\r\n0\r\nX: y\r\n\r\n",
        [b"hi"],
    ),
    Case("two", (_HOST + b"Content-Length: 1\r\n\r\na") * 2, [b"a", b"a"]),
)
BAD_REQUESTS = (
    b"GET / HTTP/1.1\r\n\r\n",
    _HOST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
    _HOST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    _HOST + b"Content-Length: +2\r\n\r\nhi",
    _HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    _HOST + b"Transfer-Encoding: chunked\r\n\r\n2\nhi\r\n0\r\n\r\n",
    _HOST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi0\r\n\r\n\r\n",
    _HOST + b"X : y\r\n\r\n",
    _HOST + b"X: a\nb\r\n\r\n",
    _HOST + b"X: a\r\n b\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
)


@pytest.mark.parametrize("case", GOOD_REQUESTS, ids=lambda case: case.name)
def test_the_strict_reader_reads_however_bytes_are_cut(case: Case) -> None:
    """Whole or byte by byte, the messages are the same."""
    whole = MessageReader("request").feed(case.given)
    reader, bits = MessageReader("request"), list[Message]()
    for index in range(len(case.given)):
        bits += reader.feed(case.given[index : index + 1])
    assert [bytes(message.body) for message in whole] == case.want
    assert whole == bits


@pytest.mark.parametrize("given", BAD_REQUESTS)
def test_the_strict_reader_refuses_what_two_readers_could_read_differently(given: bytes) -> None:
    """Each of these has smuggled a request somewhere."""
    with pytest.raises(Malformed):
        MessageReader("request").feed(given)


def test_an_answer_may_end_with_its_connection_and_one_to_head_has_no_body() -> None:
    """The two cases in which a response's length stands nowhere in it."""
    until_close = MessageReader("response")
    assert until_close.feed(b"HTTP/1.1 200 OK\r\n\r\nhi") == []
    assert [bytes(message.body) for message in until_close.end()] == [b"hi"]
    head = MessageReader("response")
    head.methods.append(b"HEAD")
    assert len(head.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")) == 1
    cut = MessageReader("response")
    cut.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi")
    with pytest.raises(Malformed):
        cut.end()


def test_a_word_is_a_token() -> None:
    """So that everybody can count the bill by hand."""
    assert count_chat([{"role": "user", "content": "fly me up"}]) == 3 + 3 + 3
    assert count_chat([{"role": "user", "content": [{"type": "text", "text": "a b"}]}]) == 8
    assert count_input(["a b", [1, 2, 3]]) == 5
    assert count_chat("not messages") == 0


def _ask(**fields: object) -> Ask:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return read_ask("/v1/chat/completions", json.dumps(body).encode())


def test_streamed_and_whole_answers_say_and_bill_the_same() -> None:
    """The words of the stream are the words of the answer; usage is asked for or absent."""
    whole = answer(_ask(max_tokens=3), GOOD, 0)
    asked = _ask(max_tokens=3, stream=True, stream_options={"include_usage": True})
    *events, done = [event.data for event in stream(asked, GOOD, 0)]
    chunks = [json.loads(event) for event in events]
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])
    assert text == whole["choices"][0]["message"]["content"]
    assert chunks[-1]["usage"] == whole["usage"]
    assert done == "[DONE]"
    quiet = [event.data for event in stream(_ask(stream=True), GOOD, 0)]
    assert not any("usage" in event for event in quiet)


def test_a_script_ends_a_stream_as_it_says() -> None:
    """Each end that real servers have."""
    ends = {
        end: [event.data for event in stream(_ask(stream=True), Script(tokens=1, end=end), 0)]
        for end in ("good", "no_done", "no_finish", "neither", "abort")
    }
    said = {
        end: ("[DONE]" in events, any('"finish_reason":"' in event for event in events))
        for end, events in ends.items()
    }
    assert said == {
        "good": (True, True),
        "no_done": (False, True),
        "no_finish": (True, False),
        "neither": (False, False),
        "abort": (True, True),
    }


def test_an_exhausted_quota_is_named_by_its_type() -> None:
    """Unlike a rate limit, retrying does not help (OpenAI's error codes)."""
    assert error(429)["error"]["type"] == "requests"
    assert error(429, "insufficient_quota")["error"]["type"] == "insufficient_quota"


def test_an_event_cut_anywhere_is_the_same_event() -> None:
    """Also inside a character of several bytes."""
    event = wire.event('{"content":"höhe 翼"}')
    for how in ("event", "halved", "bytes"):
        assert b"".join(wire.pack(event, how)) == event
