"""Hostile upstreams: answers that are broken, ambiguous, cut, late or more than was asked for.

The law: a broken answer is never relayed as if it were a good one. Before anything was relayed the
client gets an error of the plane; afterwards it sees that the stream is cut. Whatever the upstream
sends beyond one answer never reaches anybody.
"""

from dataclasses import dataclass
from typing import Literal

from towplane.testing.provider.script import Failure, Script

__all__ = ["ANSWERS", "Answer", "Sees"]

TIMEOUTS = {"connect": 1.0, "first_token": 1.0, "between_tokens": 1.0, "total": 5.0}
"""What the route under test is told."""


@dataclass(frozen=True, slots=True)
class Sees:
    """What the client must see."""

    statuses: frozenset[int]
    ending: Literal["clean", "cut", "any"] = "clean"
    """Of a 200: complete and without an error; visibly cut or with an error event; either."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One row: what the upstream does, and what the client must see."""

    name: str
    given: Script
    stream: bool
    want: Sees


_GONE = Sees(frozenset({502, 503}))
_LATE = Sees(frozenset({504}))
_CUT = Sees(frozenset({200, 502}), "cut")
_GOOD = Sees(frozenset({200}))
_ANY = Sees(frozenset({200, 502}), "any")

_TEXT = (
    '{"id":"x","object":"chat.completion","created":1,"model":"fake","choices":[{"index":0,'
    '"message":{"role":"assistant","content":"evil"},"finish_reason":"stop"}],'
    '"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
)
_ODD = '{"choices":[],"usage":{"prompt_tokens":-5,"completion_tokens":"x"}}'
_LENGTH = f"Content-Length: {len(_TEXT)}\r\n"
_TYPE = "Content-Type: application/json\r\n"
_CHUNKED = "Transfer-Encoding: chunked\r\n"
_SSE = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def _event(delta: str = '"content":"evil"', finish: str = "null") -> str:
    return (
        'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"fake","choices":'
        f'[{{"index":0,"delta":{{{delta}}},"finish_reason":{finish}}}]}}\n\n'
    )


def _chunk(text: str) -> str:
    return f"{len(text):x}\r\n{text}\r\n"


_FINISH = _event("", '"stop"')
_DONE = "data: [DONE]\n\n"


def _plain(name: str, *raw: str, want: Sees = _GONE, stay: bool = False) -> Answer:
    return Answer(name, Script(raw=list(raw), raw_stay=stay), False, want)


def _head(name: str, *lines: str, status: str = "HTTP/1.1 200 OK", want: Sees = _GONE) -> Answer:
    text = "\r\n".join([status, _TYPE.strip(), *lines]) + "\r\n\r\n" + _TEXT
    return _plain(name, text, want=want)


def _stream(name: str, *raw: str, want: Sees = _CUT, stay: bool = False) -> Answer:
    return Answer(name, Script(raw=list(raw), raw_stay=stay), True, want)


def _scripted(name: str, script: Script, want: Sees, *, stream: bool = True) -> Answer:
    return Answer(name, script, stream, want)


_L = _LENGTH.strip()

PLAIN: tuple[Answer, ...] = (
    _plain("an answer that is not HTTP is not relayed", "hello\r\n\r\n"),
    _plain("an answer of TLS on a plain port is not relayed", "\x15\x03\x01\x00\x02\x02\x46"),
    _plain("an answer of nothing is not relayed"),
    _plain("an answer that is a request is not relayed", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    _head("a status line of HTTP/2 is not relayed", _L, status="HTTP/2.0 200 OK"),
    _head("a status line without spaces is not relayed", _L, status="HTTP/1.1 200OK", want=_ANY),
    _head("a status of four digits is not relayed", _L, status="HTTP/1.1 2000 OK"),
    _head("a status of letters is not relayed", _L, status="HTTP/1.1 abc OK"),
    _head("a status of zero is not relayed", _L, status="HTTP/1.1 000 OK"),
    _head("a negative status is not relayed", _L, status="HTTP/1.1 -20 OK"),
    _head(
        "a status nobody knows is not relayed as good",
        _L,
        status="HTTP/1.1 999 Odd",
    ),
    _head(
        "a change of protocol is not relayed",
        "Upgrade: h2c",
        "Connection: upgrade",
        status="HTTP/1.1 101 Switching Protocols",
    ),
    _head(
        "a redirection is not followed",
        _L,
        "Location: http://127.0.0.1:1/",
        status="HTTP/1.1 302 Found",
        want=Sees(frozenset({302, 502}), "any"),
    ),
    _head("a length beside a coding is not relayed", _L, _CHUNKED.strip()),
    _head("two different lengths are not relayed", _L, "Content-Length: 5"),
    _head("a list of different lengths is not relayed", f"Content-Length: {len(_TEXT)}, 5"),
    _head("a negative length is not relayed", "Content-Length: -1"),
    _head("a length of letters is not relayed", "Content-Length: abc"),
    _head("a length above 2^64 is not relayed", "Content-Length: 99999999999999999999"),
    _head(
        "a length above the body is a cut",
        f"Content-Length: {len(_TEXT) + 9}",
        want=Sees(frozenset({200, 502}), "cut"),
    ),
    _head("an unknown coding is not relayed", "Transfer-Encoding: xchunked"),
    _head("two codings are not relayed", "Transfer-Encoding: gzip, chunked"),
    _head("a NUL in a header is not relayed", _L, "X: a\x00b"),
    _head("a bare CR in a header is not relayed", _L, "X: a\rEvil: b"),
    _head("a space before a colon is not relayed", "Content-Length : 5"),
    _head("a header without a colon is not relayed", _L, "junk"),
    _head("a folded header is not relayed", _L, "X: a", " b"),
    _head("an empty name is not relayed", _L, ": a"),
    _head("a head of a megabyte is not relayed", _L, "X: " + "a" * 2**20),
    _head("ten thousand headers are not relayed", _L, *("X: abcd" for _ in range(10_000))),
    _plain("a head without end is not relayed", "HTTP/1.1 200 OK\r\nX: a\r\n"),
    _plain("a head of which half comes is not relayed", "HTTP/1.1 20"),
    _plain(
        "a body of which half comes is a cut",
        f"HTTP/1.1 200 OK\r\n{_TYPE}{_LENGTH}\r\n" + _TEXT[:40],
        want=Sees(frozenset({200, 502}), "cut"),
    ),
    _plain(
        "a chunk size that is none is a cut",
        f"HTTP/1.1 200 OK\r\n{_TYPE}{_CHUNKED}\r\nzz\r\n{_TEXT}\r\n0\r\n\r\n",
        want=Sees(frozenset({200, 502}), "cut"),
    ),
    _plain(
        "a chunk of which half comes is a cut",
        f"HTTP/1.1 200 OK\r\n{_TYPE}{_CHUNKED}\r\n" + _chunk(_TEXT)[:40],
        want=Sees(frozenset({200, 502}), "cut"),
    ),
    _plain(
        "a missing last chunk is a cut",
        f"HTTP/1.1 200 OK\r\n{_TYPE}{_CHUNKED}\r\n" + _chunk(_TEXT),
        want=Sees(frozenset({200, 502}), "cut"),
    ),
    _plain(
        "a second answer is nobody's",
        f"HTTP/1.1 200 OK\r\n{_TYPE}{_LENGTH}\r\n{_TEXT}HTTP/1.1 200 OK\r\n{_TYPE}"
        f"{_LENGTH}\r\n{_TEXT}",
        want=_GOOD,
        stay=True,
    ),
    _plain(
        "junk after an answer is nobody's",
        f"HTTP/1.1 200 OK\r\n{_TYPE}{_LENGTH}\r\n{_TEXT}junk",
        want=_GOOD,
        stay=True,
    ),
    _plain(
        "a body after 204 is nobody's",
        f"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n{_LENGTH}\r\n{_TEXT}",
        want=Sees(frozenset({204, 502}), "any"),
        stay=True,
    ),
    _plain(
        "a thousand interim answers do not tire the plane",
        "HTTP/1.1 100 Continue\r\n\r\n" * 1000 + f"HTTP/1.1 200 OK\r\n{_TYPE}{_LENGTH}\r\n{_TEXT}",
        want=_ANY,
    ),
    _plain(
        "a status line of HTTP/2 after an interim one is not relayed",
        f"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/2.0 200 OK\r\n{_TYPE}{_LENGTH}\r\n{_TEXT}",
        want=_GONE,
    ),
    _plain(
        "an answer whose JSON is broken is relayed as it is, or refused",
        f"HTTP/1.1 200 OK\r\n{_TYPE}Content-Length: 12\r\n\r\n" + '{"choices":[',
        want=_ANY,
    ),
    _plain(
        "an empty answer is relayed as it is, or refused",
        f"HTTP/1.1 200 OK\r\n{_TYPE}Content-Length: 0\r\n\r\n",
        want=_ANY,
    ),
    _plain(
        "an answer of a page is relayed as it is, or refused",
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
        want=_ANY,
    ),
    _plain(
        "headers between two hops are not relayed",
        f"HTTP/1.1 200 OK\r\n{_TYPE}{_LENGTH}Keep-Alive: timeout=1\r\nConnection: x-hop\r\n"
        f"X-Hop: evil\r\nProxy-Authenticate: Basic\r\nTrailer: x\r\n\r\n{_TEXT}",
        want=_GOOD,
        stay=True,
    ),
    _plain(
        "bills of a wrong type are not believed",
        f"HTTP/1.1 200 OK\r\n{_TYPE}Content-Length: {len(_ODD)}\r\n\r\n{_ODD}",
        want=_ANY,
        stay=True,
    ),
    _scripted(
        "a compressed answer that nobody asked for is relayed with its name",
        Script(gzip=True),
        _GOOD,
        stream=False,
    ),
    _scripted("an answer of HTTP/1.0 is relayed", Script(framing="http10"), _GOOD, stream=False),
    _scripted(
        "an answer without framing is relayed", Script(framing="until_close"), _ANY, stream=False
    ),
    _scripted("interim answers are skipped", Script(interim=[100, 103]), _GOOD, stream=False),
    _scripted(
        "a connection that ends after its answer is not used again",
        Script(keep_alive=False),
        _GOOD,
        stream=False,
    ),
    _scripted(
        "an upstream that never answers is late",
        Script(failure=Failure(how="stall", when="before_head")),
        _LATE,
        stream=False,
    ),
    _scripted(
        "an upstream that resets before its head is gone",
        Script(failure=Failure(how="reset", when="before_head")),
        _GONE,
        stream=False,
    ),
    _scripted(
        "an upstream that closes before its head is gone",
        Script(failure=Failure(how="close", when="before_head")),
        _GONE,
        stream=False,
    ),
)

STREAMS: tuple[Answer, ...] = (
    _stream("a stream that ends after its head is cut", _SSE + _CHUNKED + "\r\n"),
    _stream(
        "a stream that ends without its last chunk is cut",
        _SSE + _CHUNKED + "\r\n",
        _chunk(_event()),
    ),
    _stream(
        "a stream that ends inside a chunk is cut",
        _SSE + _CHUNKED + "\r\n",
        _chunk(_event()),
        _chunk(_event())[:30],
    ),
    _stream(
        "a bad chunk size in a stream is a cut",
        _SSE + _CHUNKED + "\r\n",
        _chunk(_event()),
        "zz\r\n" + _event(),
    ),
    _stream(
        "a chunk without its CRLF in a stream is a cut",
        _SSE + _CHUNKED + "\r\n",
        _chunk(_event()),
        _chunk(_event())[:-2] + "XX0\r\n\r\n",
    ),
    _stream(
        "a stream with a chunk of 2^64 is cut",
        _SSE + _CHUNKED + "\r\n",
        _chunk(_event()),
        "10000000000000000\r\n" + _event(),
    ),
    _stream(
        "a stream that ends without finish_reason and [DONE] is cut",
        _SSE + _CHUNKED + "\r\n",
        _chunk(_event()),
        "0\r\n\r\n",
    ),
    _stream("a stream of nothing is cut", _SSE + _CHUNKED + "\r\n0\r\n\r\n"),
    _stream(
        "a stream of [DONE] alone is relayed as it is, or refused",
        _SSE + _CHUNKED + "\r\n" + _chunk(_DONE) + "0\r\n\r\n",
        want=_ANY,
    ),
    _stream(
        "a stream with a length below its events is cut",
        _SSE + "Content-Length: 20\r\n\r\n",
        _event(),
        _FINISH,
        _DONE,
    ),
    _stream(
        "a stream with a length above its events is cut",
        _SSE + "Content-Length: 99999\r\n\r\n",
        _event(),
    ),
    _stream(
        "a second answer behind a stream is nobody's",
        _SSE + _CHUNKED + "\r\n",
        _chunk(_event() + _FINISH + _DONE) + "0\r\n\r\n",
        f"HTTP/1.1 200 OK\r\n{_TYPE}{_LENGTH}\r\n{_TEXT}",
        want=_GOOD,
        stay=True,
    ),
    _stream(
        "an event that is not JSON is relayed as it is, or cut",
        _SSE + _CHUNKED + "\r\n",
        _chunk("data: {junk\n\n" + _FINISH + _DONE) + "0\r\n\r\n",
        want=_ANY,
    ),
    _stream(
        "an event of a megabyte does not break the plane",
        _SSE + _CHUNKED + "\r\n",
        _chunk(_event('"content":"' + "a" * 2**20 + '"') + _FINISH + _DONE) + "0\r\n\r\n",
        want=_ANY,
    ),
    _stream(
        "a line of four megabytes without end does not break the plane",
        _SSE + _CHUNKED + "\r\n",
        _chunk("data: " + "a" * 2**22) + "0\r\n\r\n",
    ),
    _stream(
        "events behind [DONE] are nobody's or relayed as they are",
        _SSE + _CHUNKED + "\r\n",
        _chunk(_event() + _FINISH + _DONE + _event() + _DONE) + "0\r\n\r\n",
        want=_ANY,
    ),
    _stream(
        "a bill of a wrong type in a stream is not believed",
        _SSE + _CHUNKED + "\r\n",
        _chunk(
            _event() + _FINISH + 'data: {"choices":[],"usage":{"prompt_tokens":1e300}}\n\n' + _DONE
        )
        + "0\r\n\r\n",
        want=_ANY,
    ),
    _stream(
        "a bill of minus a million is not believed",
        _SSE + _CHUNKED + "\r\n",
        _chunk(
            _event() + _FINISH + 'data: {"choices":[],"usage":{"prompt_tokens":-1000000,'
            '"completion_tokens":-1000000}}\n\n' + _DONE
        )
        + "0\r\n\r\n",
        want=_ANY,
    ),
    _stream(
        "a plain answer to a streamed request is relayed as it is, or refused",
        f"HTTP/1.1 200 OK\r\n{_TYPE}{_LENGTH}\r\n{_TEXT}",
        want=_ANY,
    ),
    _scripted(
        "an error before the first token is not a good answer",
        Script(failure=Failure(how="error_event", token=0)),
        _CUT,
    ),
    _scripted(
        "an error in the middle of a stream is seen",
        Script(failure=Failure(how="error_event", token=3)),
        _CUT,
    ),
    _scripted(
        "a reset in the middle of a stream is seen",
        Script(failure=Failure(how="reset", token=3)),
        _CUT,
    ),
    _scripted(
        "a close in the middle of a stream is seen",
        Script(failure=Failure(how="close", token=3)),
        _CUT,
    ),
    _scripted(
        "half a chunk and a reset are seen",
        Script(failure=Failure(how="half_chunk_reset", token=3)),
        _CUT,
    ),
    _scripted(
        "half a chunk and a close are seen",
        Script(failure=Failure(how="half_chunk_close", token=3)),
        _CUT,
    ),
    _scripted("a stream that stalls is seen", Script(failure=Failure(how="stall", token=3)), _CUT),
    _scripted(
        "a stream that stalls before its first token is late",
        Script(failure=Failure(how="stall", token=0)),
        Sees(frozenset({200, 504}), "cut"),
    ),
    _scripted(
        "a stream that stalls before its head is late",
        Script(failure=Failure(how="stall", when="before_head")),
        _LATE,
    ),
    _scripted("an aborted stream is seen", Script(end="abort"), _ANY),
    _scripted(
        "a stream without [DONE] but with its reason is relayed", Script(end="no_done"), _ANY
    ),
    _scripted("a stream with [DONE] but without its reason is seen", Script(end="no_finish"), _ANY),
    _scripted("a stream until the close is relayed", Script(framing="until_close"), _GOOD),
    _scripted("a stream of HTTP/1.0 is relayed", Script(framing="http10"), _GOOD),
    _scripted(
        "a stream until a close that comes too early is cut",
        Script(framing="until_close", failure=Failure(how="close", token=3)),
        _CUT,
    ),
    _scripted("a stream with a length is relayed", Script(framing="length"), _GOOD),
    _scripted("a stream in chunks of one byte is relayed", Script(pack="bytes"), _GOOD),
    _scripted("a stream in writes of one byte is relayed", Script(write_bytes=1), _GOOD),
    _scripted("events cut in two are relayed", Script(pack="halved"), _GOOD),
    _scripted("events joined by four are relayed", Script(pack="joined"), _GOOD),
    _scripted("lines that end with CRLF are relayed", Script(crlf=True), _GOOD),
    _scripted("comments between events are relayed", Script(pings=True), _GOOD),
    _scripted(
        "extensions and trailers are not relayed or do no harm",
        Script(chunk_extension=";a=b", trailers={"x-evil": "1"}),
        _GOOD,
    ),
    _scripted("a bill in the last choice is relayed", Script(usage="last_choice"), _GOOD),
    _scripted("a bill that nobody asked for is relayed or removed", Script(usage="unasked"), _GOOD),
    _scripted("a missing bill is relayed", Script(usage="missing"), _GOOD),
    _scripted("a bill of null is relayed", Script(usage="null"), _GOOD),
    _scripted("a first frame of null is relayed", Script(first_frame="role_null"), _GOOD),
    _scripted("a stream without a first frame is relayed", Script(first_frame="none"), _GOOD),
    _scripted("a stream of reasoning is relayed", Script(channel="reasoning"), _GOOD),
    _scripted("a stream of a tool call is relayed", Script(channel="tool"), _GOOD),
)

ANSWERS: tuple[Answer, ...] = PLAIN + STREAMS
