"""Answers on their way to the client: whole and as streams, however their bytes are cut."""

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.routing.spec import Retries
from towplane.tenants.events import Progress, Settled
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.framing import Message
from towplane.testing.played import Client
from towplane.testing.wire import DONE, LAST, STREAM, chunk, delta, event, post, usage, whole

ROLE = event(delta("", role="assistant"))
A, B = event(delta("a")), event(delta("b"))
STOP = event(delta(finish="stop"))
USAGE = event({"choices": [], "usage": usage(7, 5, cached=3)})
ERROR = event({"error": {"message": "out of memory", "code": 500}})
ABORT = event(delta(finish="abort"))
ESTIMATE = 1
"""Input tokens of `"messages":[]`."""


def spaced(value: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps(value).encode()


def crlf(block: bytes) -> bytes:
    return block.replace(b"\n", b"\r\n")


def tight(block: bytes) -> bytes:
    return block.replace(b"data: ", b"data:")


@dataclass(frozen=True)
class Want:
    """What became of a stream."""

    relayed: bytes
    tokens: int
    """Seen go by, which is what is billed when usage is unknown."""
    usage: tuple[str, int | None, int | None, int | None]
    """Kind, input, cached input, output."""
    outcome: str = "ok"
    whole: bool = True
    """The client got the end of the transfer."""
    says: str = ""
    """The `code` of the error event that the plane adds."""


@dataclass(frozen=True)
class Case:
    name: str
    given: bytes
    want: Want
    ask: dict[str, Any] = field(default_factory=dict)


def measured(relayed: bytes, tokens: int) -> Want:
    return Want(relayed, tokens, ("measured", 7, 3, 5))


def guessed(relayed: bytes, tokens: int, **more: Any) -> Want:
    return Want(relayed, tokens, ("estimated", ESTIMATE, 0, tokens), **more)


ASKED = {"stream_options": {"include_usage": True}}
REASON = [event(delta(reasoning_content=x)) for x in "abc"]
TOOLS = [
    event(delta(tool_calls=[{"index": 0, "function": {"arguments": x}}])) for x in ("", "{", "}")
]
TEXT = [event({"choices": [{"text": x, "finish_reason": None}]}) for x in ("a", "", "b")]
LAST_WITH_USAGE = event(delta(finish="stop") | {"usage": usage(7, 5, cached=3)})
EMPTY = event(delta(""))
PING = b": ping\n\n"

TWO = event({"choices": [{"delta": {"content": "x"}}] * 2})
SPACED = spaced(delta("a")) + spaced(delta("")) + spaced(delta("b")) + spaced(delta(finish="stop"))
SPACED_USAGE = spaced({"choices": [], "usage": usage(7, 5, cached=3)})
SIGNS = b"".join(event(delta(text)) for text in ('"content":"x"', '"usage":{', "[DONE]"))
STRANGE = event({"choices": 5})
END = STOP + DONE
ABSENT = Want(b"", 0, ("absent", None, None, None), "server_error")
NO_SENSE = Want(b"", 0, ("absent", None, None, None), "protocol")


def same(name: str, given: bytes, tokens: int, **ask: Any) -> Case:
    """Relayed as it comes; usage is unknown."""
    return Case(name, given, guessed(given, tokens), ask)


CASES = [
    same("plain", ROLE + A + B + END, 2),
    same("empty deltas are no tokens", A + EMPTY + B + EMPTY + EMPTY + END, 2),
    same("comments are no tokens", PING + A + PING + B + PING + END, 2),
    same("reasoning", b"".join(REASON) + A + END, 4),
    same("tool calls", b"".join(TOOLS) + END, 3),
    same("completions", b"".join(TEXT) + END, 2),
    same("several choices in one event", TWO + EMPTY + A + END, 2, n=2),
    same("text that looks like signs", SIGNS + END, 3),
    same("a shape that nobody knows counts as a token", A + STRANGE + END, 2),
    same("no [DONE]", A + B + STOP, 2),
    same("no finish reason", A + B + DONE, 2),
    same("no token at all", ROLE + END, 0),
    Case(
        "usage is taken out for a client that did not ask",
        ROLE + A + B + STOP + USAGE + DONE,
        measured(ROLE + A + B + END, 2),
    ),
    Case(
        "usage stays for a client that asked",
        ROLE + A + B + STOP + USAGE + DONE,
        measured(ROLE + A + B + STOP + USAGE + DONE, 2),
        ASKED,
    ),
    Case(
        "usage with the last choice stays",
        A + B + LAST_WITH_USAGE + DONE,
        measured(A + B + LAST_WITH_USAGE + DONE, 2),
    ),
    Case("JSON with spaces", SPACED + SPACED_USAGE + DONE, measured(SPACED + DONE, 2)),
    Case("CRLF", crlf(A + B + STOP + USAGE + DONE), measured(crlf(A + B + END), 2)),
    Case(
        "no space behind the colon",
        tight(ROLE + A + B + B + STOP + USAGE + DONE),
        measured(tight(ROLE + A + B + B + END), 3),
    ),
    Case("nothing behind [DONE] is passed on", A + END + B + USAGE, guessed(A + END, 1)),
    Case(
        "no end",
        A + B,
        guessed(A + B, 2, outcome="protocol", whole=False, says="upstream-truncated"),
    ),
    Case(
        "an error in the middle",
        A + ERROR + DONE,
        guessed(A + ERROR + DONE, 1, outcome="server_error", whole=False),
    ),
    Case(
        "an error and then usage",
        A + ERROR + USAGE + DONE,
        Want(A + ERROR + DONE, 1, ("measured", 7, 3, 5), "server_error", whole=False),
    ),
    Case(
        "an abort after tokens",
        A + ABORT + USAGE + DONE,
        Want(A + ABORT, 1, ("measured", 7, 3, 5), "server_error", False, "upstream-abort"),
    ),
    Case(
        "not JSON after tokens",
        A + B + event(b"{") + B + DONE,
        guessed(A + B, 2, outcome="protocol", whole=False, says="upstream-protocol"),
    ),
    Case("an error before the first token", ROLE + ERROR + A + DONE, ABSENT),
    Case("an abort before the first token", ROLE + ABORT + A + DONE, ABSENT),
    Case("not JSON before the first token", event(b"nonsense") + A + END, NO_SENSE),
    Case("an end before the first token", ROLE, NO_SENSE),
]


def streaming(fleet: Fleet, **ask: Any) -> Client:
    client = fleet.worker.connect()
    client.ask(stream=True, **ask)
    fleet.turn()
    return client


def make(**more: Any) -> Fleet:
    return Fleet(route("m", ["a"], retries=Retries(most=1), **more), targets=[target("a")])


def outcome(fleet: Fleet, client: Client) -> Want:
    """What became of the only stream, with what the client got."""
    (end,) = fleet.worker.events(Settled)
    answer = client.answer()
    relayed, says = bytes(answer.body), ""
    if answer.status == 200 and not answer.complete:
        start = relayed.rfind(b"data: ")
        last = relayed[start + 6 :].strip()
        if b'"type":"server_error"' in last:
            relayed, says = relayed[:start], json.loads(last)["error"]["code"]
    if answer.status != 200:
        relayed = b""
    tokens = end.output if end.usage == "estimated" else sum_tokens(fleet)
    return Want(
        relayed,
        tokens or 0,
        (end.usage, end.input, end.cached_input, end.output),
        end.outcome,
        answer.complete,
        says,
    )


def sum_tokens(fleet: Fleet) -> int:
    """By the route's own count: the first token, and each gap after it."""
    counters = fleet.worker.hall.routes["m"].counters
    return sum(counters.ttft.counts) + sum(counters.itl.counts)


def play(case: Case, pieces: list[bytes]) -> Want:
    fleet = make()
    client = streaming(fleet, **case.ask)
    up = fleet.worker.upstream()
    assert json.loads(up.requests[0].body)["stream_options"]["include_usage"] is True
    up.give(STREAM, *pieces)
    fleet.turn()
    found = outcome(fleet, client)
    fleet.close()
    assert fleet.errors == []
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_becomes_of_a_stream(case: Case) -> None:
    """In one read; each event in a read of its own; each byte in one."""
    wire = chunk(case.given) + LAST
    events = [chunk(block + b"\n\n") for block in case.given.split(b"\n\n") if block]
    if b"\r\n" in case.given:
        events = [chunk(block + b"\r\n\r\n") for block in case.given.split(b"\r\n\r\n") if block]
    for pieces in ([wire], [*events, LAST], [wire[i : i + 1] for i in range(len(wire))]):
        assert play(case, pieces) == case.want


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(CASES), st.data())
def test_a_stream_is_relayed_the_same_however_it_is_cut(case: Case, data: st.DataObject) -> None:
    """HTTP chunks and reads have borders of their own."""
    borders = data.draw(st.lists(st.integers(1, max(1, len(case.given) - 1)), max_size=6))
    edges = [0, *sorted(set(borders)), len(case.given)]
    chunks = [chunk(case.given[a:b]) for a, b in itertools.pairwise(edges) if a < b]
    wire = b"".join(chunks) + LAST
    cuts = data.draw(st.lists(st.integers(1, len(wire) - 1), max_size=6))
    edges = [0, *sorted(set(cuts)), len(wire)]
    assert play(case, [wire[a:b] for a, b in itertools.pairwise(edges)]) == case.want


def test_nothing_is_relayed_before_the_first_token_nor_before_the_attempt_is_settled() -> None:
    fleet = make()
    client = streaming(fleet)
    up = fleet.worker.upstream()
    up.give(STREAM, chunk(ROLE), chunk(PING))
    assert client.received == b""
    up.give(chunk(A))
    assert bytes(client.answer().body) == ROLE + PING + A
    up.give(chunk(B), chunk(STOP + DONE))
    effects = fleet.worker.effects
    settled = next(i for i, effect in enumerate(effects) if type(effect.what) is Settled)
    last = next(i for i, e in enumerate(effects) if type(e.what) is bytes and b"[DONE]" in e.what)
    assert settled < last == len(effects) - 1
    assert [event.output for event in fleet.worker.events(Progress)] == [1, 2]
    fleet.close()


def test_a_long_prelude_is_passed_on_before_the_first_token() -> None:
    fleet = make()
    client = streaming(fleet)
    prelude = b": %b\n\n" % (b"x" * 60_000)
    fleet.worker.upstream().give(STREAM, *[chunk(prelude)] * 4)
    assert client.received == b""
    fleet.worker.upstream().give(chunk(prelude), chunk(A + STOP + DONE))
    assert bytes(client.answer().body) == 5 * prelude + A + STOP + DONE
    fleet.close()


def test_a_client_of_http_1_0_gets_the_stream_until_its_connection_closes() -> None:
    fleet = make()
    client = fleet.worker.connect()
    fields = {"model": "m", "messages": [], "stream": True}
    client.send(post(fleet.key, fields, version="1.0"))
    fleet.turn()
    fleet.worker.upstream().give(STREAM, chunk(A), chunk(B + STOP + DONE), LAST)
    fleet.turn()
    assert bytes(client.received).partition(b"\r\n\r\n")[2] == A + B + STOP + DONE
    assert client.answer().get(b"transfer-encoding") == b""
    assert client.is_over
    fleet.close()


@dataclass(frozen=True)
class Whole:
    name: str
    given: bytes
    want: tuple[str, int | None, int | None, int | None]
    """Usage: kind, input, cached, output."""


BIG = b"x" * 3_000_000
COUNTED = b'"usage":{"prompt_tokens":7,"completion_tokens":5}'
UNKNOWN = ("estimated", ESTIMATE, 0, 0)
WHOLE = [
    Whole("usage", json.dumps({"usage": usage(7, 5, cached=3)}).encode(), ("measured", 7, 3, 5)),
    Whole(
        "no usage: estimated from the text",
        b'{"choices":[{"message":{"content":"12345"}}]}',
        ("estimated", ESTIMATE, 0, 2),
    ),
    Whole("usage null", b'{"choices":[],"usage":null}', UNKNOWN),
    Whole("usage below nought", b'{"usage":{"prompt_tokens":-1,"completion_tokens":5}}', UNKNOWN),
    Whole("large", b'{"choices":[{"text":"%b"}],%b}' % (BIG, COUNTED), ("measured", 7, 0, 5)),
]


@pytest.mark.parametrize("case", WHOLE, ids=lambda case: case.name)
@pytest.mark.parametrize("piece_bytes", [10_000_000, 65_536, 777_777])
def test_a_whole_answer_comes_as_it_is_and_its_usage_is_read(case: Whole, piece_bytes: int) -> None:
    fleet = make()
    client = fleet.worker.connect()
    client.ask()
    fleet.turn()
    wire = whole(case.given)
    fleet.worker.upstream().give(
        *(wire[i : i + piece_bytes] for i in range(0, len(wire), piece_bytes))
    )
    answer = client.answer()
    assert (answer.status, answer.complete, bytes(answer.body)) == (200, True, case.given)
    (end,) = fleet.worker.events(Settled)
    assert (end.usage, end.input, end.cached_input, end.output) == case.want
    assert end.outcome == "ok"
    fleet.close()


def test_a_large_answer_that_breaks_is_not_ended() -> None:
    fleet = make()
    client = fleet.worker.connect()
    client.ask()
    fleet.turn()
    up = fleet.worker.upstream()
    up.give(whole(BIG)[:2_500_000])
    up.close()
    answer: Message = client.answer()
    assert (answer.status, answer.complete, client.is_over) == (200, False, True)
    assert [end.outcome for end in fleet.worker.events(Settled)] == ["unavailable"]
    fleet.close()


def test_an_error_with_a_huge_body_is_an_error() -> None:
    fleet = make()
    client = fleet.worker.connect()
    client.ask()
    fleet.turn()
    wire = whole(BIG, status=500)
    fleet.worker.upstream().give(*(wire[i : i + 65_536] for i in range(0, len(wire), 65_536)))
    assert client.answer().status == 502
    assert [end.outcome for end in fleet.worker.events(Settled)] == ["server_error"]
    fleet.close()
