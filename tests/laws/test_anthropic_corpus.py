"""A corpus of answers of Anthropic's family, bodies and streams, with what each means.

Every case goes through both ways an answer can take: the relay, which passes bytes on and watches,
and the parser, whose events become another dialect. What is expected is written down by hand, from
the API's reference and the types of the official client (anthropic 2.12.0), not computed.
"""

import json
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from towplane.parts.errors import ProtocolError
from towplane.parts.usage import Detail, Usage
from towplane.providers.adapter import Parser, Writer
from towplane.providers.ask import OPERATIONS, Ask
from towplane.providers.conversation.answer import (
    CallBegins,
    CallGrows,
    Ended,
    Event,
    RedactedThought,
    Signed,
    Started,
    TextGrows,
    ThoughtGrows,
    Used,
)
from towplane.providers.dialects import chat, messages
from towplane.providers.dialects.messages import MessagesRelay

MODEL = "claude-opus-4-8"
Json = dict[str, Any]


class Said(NamedTuple):
    """What an answer means."""

    text: str = ""
    thought: str = ""
    calls: tuple[tuple[str, str, Any], ...] = ()
    finish: str = "stop"
    tokens: int = 0
    """Deltas of the stream that carry something generated."""
    signatures: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


class Shape(NamedTuple):
    """Blocks, as a stream tells them and as a body holds them."""

    name: str
    blocks: list[tuple[Json, list[Json]]]
    """Each block as it begins, and its deltas."""
    content: list[Json]
    said: Said
    stop: str = "end_turn"
    sequence: str | None = None


class Books(NamedTuple):
    """Usage, as a stream tells it and as a body holds it."""

    name: str
    begun: Json
    ended: Json
    whole: Json
    usage: Usage


class Case(NamedTuple):
    name: str
    payload: bytes
    said: Said
    usage: Usage | None


def text(*pieces: str) -> tuple[Json, list[Json]]:
    return {"type": "text", "text": ""}, [{"type": "text_delta", "text": one} for one in pieces]


def thinking(signature: str, *pieces: str) -> tuple[Json, list[Json]]:
    grown: list[Json] = [{"type": "thinking_delta", "thinking": one} for one in pieces]
    signed = {"type": "signature_delta", "signature": signature}
    return {"type": "thinking", "thinking": "", "signature": ""}, [*grown, signed]


def tool(call: str, name: str, *pieces: str, kind: str = "tool_use") -> tuple[Json, list[Json]]:
    grown = [{"type": "input_json_delta", "partial_json": one} for one in ("", *pieces)]
    return {"type": kind, "id": call, "name": name, "input": {}}, grown


def result(kind: str, content: Any) -> tuple[Json, list[Json]]:
    return {"type": kind, "tool_use_id": "srvtoolu_1", "content": content}, []


CITATION = {
    "type": "char_location",
    "cited_text": "The grass is green.",
    "document_index": 0,
    "document_title": "Facts",
    "start_char_index": 0,
    "end_char_index": 19,
}
CITED = {"type": "citations_delta", "citation": CITATION}

SHAPES = [
    Shape(
        "plain",
        [text("Hello", " world")],
        [{"type": "text", "text": "Hello world"}],
        Said("Hello world", tokens=2),
    ),
    Shape(
        "one letter at a time",
        [text(*"glide")],
        [{"type": "text", "text": "glide"}],
        Said("glide", tokens=5),
    ),
    Shape(
        "no text at all",
        [text()],
        [{"type": "text", "text": ""}],
        Said("", tokens=0),
    ),
    Shape("no block at all", [], [], Said("", tokens=0)),
    Shape(
        "empty deltas between",
        [text("a", "", "b", "")],
        [{"type": "text", "text": "ab"}],
        Said("ab", tokens=2),
    ),
    Shape(
        "letters of many alphabets",
        [text("höhe ", "翼 ", "🛩️", "\u2028", "\u0000x")],
        [{"type": "text", "text": "höhe 翼 🛩️\u2028\u0000x"}],
        Said("höhe 翼 🛩️\u2028\u0000x", tokens=5),
    ),
    Shape(
        "text that looks like the wire",
        [text('"type":"text_delta"', '"text":""', "\n\nevent: message_stop\ndata: {}\n\n", "\\n")],
        [
            {
                "type": "text",
                "text": '"type":"text_delta""text":""\n\nevent: message_stop\ndata: {}\n\n\\n',
            }
        ],
        Said('"type":"text_delta""text":""\n\nevent: message_stop\ndata: {}\n\n\\n', tokens=4),
    ),
    Shape(
        "two texts",
        [text("one "), text("two")],
        [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}],
        Said("one two", tokens=2),
    ),
    Shape(
        "a call",
        [tool("toolu_1", "look_up", '{"what": ', '"a"}')],
        [{"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"what": "a"}}],
        Said(calls=(("toolu_1", "look_up", {"what": "a"}),), finish="tool_calls", tokens=2),
        "tool_use",
    ),
    Shape(
        "a call without arguments",
        [tool("toolu_1", "now")],
        [{"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}],
        Said(calls=(("toolu_1", "now", {}),), finish="tool_calls", tokens=0),
        "tool_use",
    ),
    Shape(
        "a call after text",
        [text("Let me look."), tool("toolu_1", "look_up", '{"n":1}')],
        [
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"n": 1}},
        ],
        Said(
            "Let me look.", calls=(("toolu_1", "look_up", {"n": 1}),), finish="tool_calls", tokens=2
        ),
        "tool_use",
    ),
    Shape(
        "calls at once",
        [
            tool("toolu_1", "a", '{"x":', "[1,2]}"),
            tool("toolu_2", "b", '{"y":{"z":', "null}}"),
            tool("toolu_3", "a"),
        ],
        [
            {"type": "tool_use", "id": "toolu_1", "name": "a", "input": {"x": [1, 2]}},
            {"type": "tool_use", "id": "toolu_2", "name": "b", "input": {"y": {"z": None}}},
            {"type": "tool_use", "id": "toolu_3", "name": "a", "input": {}},
        ],
        Said(
            calls=(
                ("toolu_1", "a", {"x": [1, 2]}),
                ("toolu_2", "b", {"y": {"z": None}}),
                ("toolu_3", "a", {}),
            ),
            finish="tool_calls",
            tokens=4,
        ),
        "tool_use",
    ),
    Shape(
        "arguments that begin with their block",
        [({"type": "tool_use", "id": "toolu_1", "name": "a", "input": {"x": 1}}, [])],
        [{"type": "tool_use", "id": "toolu_1", "name": "a", "input": {"x": 1}}],
        Said(calls=(("toolu_1", "a", {"x": 1}),), finish="tool_calls", tokens=0),
        "tool_use",
    ),
    Shape(
        "a thought before text",
        [thinking("c2ln", "Hm", ", yes."), text("Yes.")],
        [
            {"type": "thinking", "thinking": "Hm, yes.", "signature": "c2ln"},
            {"type": "text", "text": "Yes."},
        ],
        Said("Yes.", "Hm, yes.", tokens=3, signatures=("c2ln",)),
    ),
    Shape(
        "a thought that is not shown",
        [thinking("c2ln"), text("Yes.")],
        [
            {"type": "thinking", "thinking": "", "signature": "c2ln"},
            {"type": "text", "text": "Yes."},
        ],
        Said("Yes.", tokens=1, signatures=("c2ln",)),
    ),
    Shape(
        "a thought that cannot be read",
        [({"type": "redacted_thinking", "data": "RW5j"}, []), text("Yes.")],
        [{"type": "redacted_thinking", "data": "RW5j"}, {"type": "text", "text": "Yes."}],
        Said("Yes.", tokens=1, hidden=("RW5j",)),
    ),
    Shape(
        "thoughts between calls",
        [
            thinking("c2lnMQ==", "first"),
            tool("toolu_1", "a", "{}"),
            thinking("c2lnMg==", "second"),
            tool("toolu_2", "b", "{}"),
        ],
        [
            {"type": "thinking", "thinking": "first", "signature": "c2lnMQ=="},
            {"type": "tool_use", "id": "toolu_1", "name": "a", "input": {}},
            {"type": "thinking", "thinking": "second", "signature": "c2lnMg=="},
            {"type": "tool_use", "id": "toolu_2", "name": "b", "input": {}},
        ],
        Said(
            thought="firstsecond",
            calls=(("toolu_1", "a", {}), ("toolu_2", "b", {})),
            finish="tool_calls",
            tokens=4,
            signatures=("c2lnMQ==", "c2lnMg=="),
        ),
        "tool_use",
    ),
    Shape(
        "text with its sources",
        [(text("")[0], [{"type": "text_delta", "text": "Green."}, CITED, CITED])],
        [{"type": "text", "text": "Green.", "citations": [CITATION, CITATION]}],
        Said("Green.", tokens=1),
    ),
    Shape(
        "a search of the server's own",
        [
            text("I look. "),
            tool("srvtoolu_1", "web_search", '{"query":', '"x"}', kind="server_tool_use"),
            result("web_search_tool_result", [{"type": "web_search_result", "url": "https://x"}]),
            text("Found."),
        ],
        [
            {"type": "text", "text": "I look. "},
            {
                "type": "server_tool_use",
                "id": "srvtoolu_1",
                "name": "web_search",
                "input": {"q": 1},
            },
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
            {"type": "text", "text": "Found."},
        ],
        Said("I look. Found.", tokens=4),
    ),
    Shape(
        "a search that failed",
        [
            tool("srvtoolu_1", "web_search", kind="server_tool_use"),
            result("web_search_tool_result", {"error_code": "unavailable"}),
            text("No luck."),
        ],
        [
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
            {
                "type": "web_search_tool_result",
                "tool_use_id": "srvtoolu_1",
                "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"},
            },
            {"type": "text", "text": "No luck."},
        ],
        Said("No luck.", tokens=1),
    ),
    Shape(
        "a call between a server's and ours",
        [
            tool("srvtoolu_1", "code_execution", '{"code":"1"}', kind="server_tool_use"),
            tool("toolu_1", "a", '{"x":2}'),
        ],
        [
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "code_execution", "input": {}},
            {"type": "tool_use", "id": "toolu_1", "name": "a", "input": {"x": 2}},
        ],
        Said(calls=(("toolu_1", "a", {"x": 2}),), finish="tool_calls", tokens=2),
        "tool_use",
    ),
    Shape(
        "a block that nobody knows yet",
        [({"type": "hologram", "data": {"deep": [1]}}, []), text("Seen.")],
        [{"type": "hologram", "data": "x"}, {"type": "text", "text": "Seen."}],
        Said("Seen.", tokens=1),
    ),
]

FINISHES = [
    Shape(f"ends with {said or 'nothing known'}", [text("x")], [{"type": "text", "text": "x"}],
          Said("x", finish=finish, tokens=1), said, sequence)
    for said, finish, sequence in [
        ("max_tokens", "length", None),
        ("stop_sequence", "stop_sequence", "###"),
        ("pause_turn", "pause", None),
        ("refusal", "refusal", None),
        ("model_context_window_exceeded", "context_full", None),
        ("something_new", "other", None),
    ]
]  # fmt: skip


def books(name: str, whole: Json, usage: Usage) -> Books:
    """Where a stream begins with all but the output, and ends with it."""
    begun = whole | {"output_tokens": 1}
    return Books(name, begun, {"output_tokens": whole["output_tokens"]}, whole, usage)


def _split(minutes: int, hour: int) -> Json:
    return {"ephemeral_5m_input_tokens": minutes, "ephemeral_1h_input_tokens": hour}


BOOKS = [
    books("plain", {"input_tokens": 10, "output_tokens": 5}, Usage(10, 5)),
    books("no input but the cache's", {"input_tokens": 0, "output_tokens": 5,
          "cache_read_input_tokens": 900}, Usage(900, 5, 900)),
    books("nothing said", {"input_tokens": 3, "output_tokens": 0}, Usage(3, 0)),
    books("cache read", {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 100,
          "cache_creation_input_tokens": 0}, Usage(110, 5, 100)),
    books("cache written", {"input_tokens": 10, "output_tokens": 5,
          "cache_creation_input_tokens": 200}, Usage(210, 5, 0, Detail(cache_write=200))),
    books("written for five minutes", {"input_tokens": 10, "output_tokens": 5,
          "cache_creation_input_tokens": 200, "cache_creation": _split(200, 0)},
          Usage(210, 5, 0, Detail(cache_write=200))),
    books("written for an hour", {"input_tokens": 10, "output_tokens": 5,
          "cache_creation_input_tokens": 200, "cache_creation": _split(0, 200)},
          Usage(210, 5, 0, Detail(cache_write_1h=200))),
    books("written for both", {"input_tokens": 10, "output_tokens": 5,
          "cache_creation_input_tokens": 556, "cache_creation": _split(456, 100)},
          Usage(566, 5, 0, Detail(cache_write=456, cache_write_1h=100))),
    books("read and written", {"input_tokens": 2048, "output_tokens": 503,
          "cache_read_input_tokens": 1800, "cache_creation_input_tokens": 248,
          "cache_creation": _split(148, 100)},
          Usage(4096, 503, 1800, Detail(cache_write=148, cache_write_1h=100))),
    books("split without a total", {"input_tokens": 1, "output_tokens": 2,
          "cache_creation": _split(30, 40)},
          Usage(71, 2, 0, Detail(cache_write=30, cache_write_1h=40))),
    books("a total that the split does not explain", {"input_tokens": 1, "output_tokens": 2,
          "cache_creation_input_tokens": 100, "cache_creation": _split(30, 40)},
          Usage(101, 2, 0, Detail(cache_write=60, cache_write_1h=40))),
    books("nulls", {"input_tokens": 4, "output_tokens": 2, "cache_read_input_tokens": None,
          "cache_creation_input_tokens": None, "cache_creation": None, "server_tool_use": None,
          "service_tier": None, "output_tokens_details": None, "speed": None}, Usage(4, 2)),
    books("searched", {"input_tokens": 9, "output_tokens": 8, "server_tool_use":
          {"web_search_requests": 3}}, Usage(9, 8, 0, Detail(searches=3))),
    books("fetched, which costs tokens alone", {"input_tokens": 9, "output_tokens": 8,
          "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 4}}, Usage(9, 8)),
    books("searched and fetched", {"input_tokens": 9, "output_tokens": 8, "server_tool_use":
          {"web_search_requests": 1, "web_fetch_requests": 4}},
          Usage(9, 8, 0, Detail(searches=1))),
    books("standard", {"input_tokens": 9, "output_tokens": 8, "service_tier": "standard"},
          Usage(9, 8)),
    books("priority", {"input_tokens": 9, "output_tokens": 8, "service_tier": "priority"},
          Usage(9, 8, 0, Detail(service="priority"))),
    books("batch", {"input_tokens": 9, "output_tokens": 8, "service_tier": "batch"},
          Usage(9, 8, 0, Detail(service="batch"))),
    books("a tier that nobody knows yet", {"input_tokens": 9, "output_tokens": 8,
          "service_tier": "gold"}, Usage(9, 8)),
    books("fast", {"input_tokens": 9, "output_tokens": 8, "service_tier": "standard",
          "speed": "fast"}, Usage(9, 8, 0, Detail(service="fast"))),
    books("not fast", {"input_tokens": 9, "output_tokens": 8, "speed": "standard"}, Usage(9, 8)),
    books("large", {"input_tokens": 999_999, "output_tokens": 128_000,
          "cache_read_input_tokens": 1}, Usage(1_000_000, 128_000, 1)),
    books("fields that nobody knows yet", {"input_tokens": 9, "output_tokens": 8,
          "inference_geo": "eu", "carbon": {"grams": 1.5}}, Usage(9, 8)),
    Books("thought, said at the end", {"input_tokens": 9, "output_tokens": 1},
          {"output_tokens": 80, "output_tokens_details": {"thinking_tokens": 60}},
          {"input_tokens": 9, "output_tokens": 80, "output_tokens_details":
           {"thinking_tokens": 60}}, Usage(9, 80, 0, Detail(reasoning=60))),
    Books("all said again at the end", {"input_tokens": 9, "output_tokens": 1,
          "cache_read_input_tokens": 7, "cache_creation_input_tokens": 0},
          {"input_tokens": 9, "output_tokens": 80, "cache_read_input_tokens": 7,
           "cache_creation_input_tokens": 0},
          {"input_tokens": 9, "output_tokens": 80, "cache_read_input_tokens": 7},
          Usage(16, 80, 7)),
    Books("the end knows better", {"input_tokens": 9, "output_tokens": 1,
          "cache_read_input_tokens": 7},
          {"input_tokens": 500, "output_tokens": 80, "cache_read_input_tokens": 70,
           "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0}},
          {"input_tokens": 500, "output_tokens": 80, "cache_read_input_tokens": 70,
           "server_tool_use": {"web_search_requests": 2}},
          Usage(570, 80, 70, Detail(searches=2))),
    Books("more was written than the begin said", {"input_tokens": 9, "output_tokens": 1,
          "cache_creation_input_tokens": 50, "cache_creation": _split(20, 30)},
          {"output_tokens": 80, "cache_creation_input_tokens": 90},
          {"input_tokens": 9, "output_tokens": 80, "cache_creation_input_tokens": 90,
           "cache_creation": _split(60, 30)},
          Usage(99, 80, 0, Detail(cache_write=60, cache_write_1h=30))),
    Books("nulls at the end change nothing", {"input_tokens": 9, "output_tokens": 1,
          "cache_read_input_tokens": 7, "service_tier": "priority"},
          {"input_tokens": None, "output_tokens": 80, "cache_read_input_tokens": None,
           "service_tier": None},
          {"input_tokens": 9, "output_tokens": 80, "cache_read_input_tokens": 7,
           "service_tier": "priority"},
          Usage(16, 80, 7, Detail(service="priority"))),
    Books("a placeholder above the truth", {"input_tokens": 9, "output_tokens": 8},
          {"output_tokens": 2}, {"input_tokens": 9, "output_tokens": 2}, Usage(9, 2)),
]  # fmt: skip


def dump(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def event(kind: str, **data: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), dump({"type": kind} | data))


def stream_of(shape: Shape, found: Books) -> list[bytes]:
    """The events, as Anthropic writes them."""
    begun: Json = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL}
    begun |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": found.begun}
    events = [event("message_start", message=begun), event("ping")]
    for index, (block, deltas) in enumerate(shape.blocks):
        events.append(event("content_block_start", index=index, content_block=block))
        events += [event("content_block_delta", index=index, delta=delta) for delta in deltas]
        events.append(event("content_block_stop", index=index))
    stop = {"stop_reason": shape.stop, "stop_sequence": shape.sequence}
    return [*events, event("message_delta", delta=stop, usage=found.ended), event("message_stop")]


def body_of(shape: Shape, found: Books) -> bytes:
    return dump(
        {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL,
         "content": shape.content, "stop_reason": shape.stop, "stop_sequence": shape.sequence,
         "usage": found.whole}
    )  # fmt: skip


PLAIN, PLAIN_BOOKS = SHAPES[0], BOOKS[0]
PLAIN_EVENTS = stream_of(PLAIN, PLAIN_BOOKS)
PLAIN_STREAM = b"".join(PLAIN_EVENTS)
RICH = next(shape for shape in SHAPES if shape.name == "thoughts between calls")
RICH_STREAM = b"".join(stream_of(RICH, PLAIN_BOOKS))


def _joined(*, after: bytes) -> bytes:
    return after.join(PLAIN_EVENTS) + after


FRAMINGS = [
    Case("CRLF", PLAIN_STREAM.replace(b"\n", b"\r\n"), PLAIN.said, PLAIN_BOOKS.usage),
    Case("CRLF, rich", RICH_STREAM.replace(b"\n", b"\r\n"), RICH.said, PLAIN_BOOKS.usage),
    Case("pings everywhere", _joined(after=event("ping")), PLAIN.said, PLAIN_BOOKS.usage),
    Case("comments everywhere", _joined(after=b": keep-alive\n\n"), PLAIN.said, PLAIN_BOOKS.usage),
    Case("blank lines everywhere", _joined(after=b"\n"), PLAIN.said, PLAIN_BOOKS.usage),
    Case("unknown events", _joined(after=event("mood", mood={"x": 1})), PLAIN.said,
         PLAIN_BOOKS.usage),
    Case("unknown deltas", _joined(after=event("content_block_delta", index=0, delta={
         "type": "mood_delta", "mood": 1})), PLAIN.said, PLAIN_BOOKS.usage),
    Case("no event lines", PLAIN_STREAM.replace(b"event: content_block_delta\n", b""), PLAIN.said,
         PLAIN_BOOKS.usage),
    Case("no space after the colons", PLAIN_STREAM.replace(b"data: ", b"data:").replace(
         b"event: ", b"event:"), PLAIN.said, PLAIN_BOOKS.usage),
    Case("data before its event", b"".join(
         b"%b\n%b\n\n" % tuple(reversed(one.strip().split(b"\n", 1))) for one in PLAIN_EVENTS),
         PLAIN.said, PLAIN_BOOKS.usage),
    Case("ids", PLAIN_STREAM.replace(b"\n\n", b"\nid: 7\n\n"), PLAIN.said, PLAIN_BOOKS.usage),
    Case("JSON with spaces", b"".join(
         b"event: x\ndata: %b\n\n" % json.dumps(json.loads(one.split(b"data: ")[1])).encode()
         for one in PLAIN_EVENTS), PLAIN.said, PLAIN_BOOKS.usage),
    Case("data in several lines", b"".join(
         b"data: " + json.dumps(json.loads(one.split(b"data: ")[1]), indent=1).encode()
         .replace(b"\n", b"\ndata: ") + b"\n\n" for one in PLAIN_EVENTS), PLAIN.said,
         PLAIN_BOOKS.usage),
    Case("a byte order of escapes", PLAIN_STREAM.replace(b"Hello", b"\\u0048ello"), PLAIN.said,
         PLAIN_BOOKS.usage),
    Case("a padding that means nothing", PLAIN_STREAM.replace(b'"index":0', b'"p":"abc","index":0'),
         PLAIN.said, PLAIN_BOOKS.usage),
    Case("Bedrock's books behind the end", PLAIN_STREAM.replace(
         b'{"type":"message_stop"}', b'{"type":"message_stop","amazon-bedrock-invocationMetrics":'
         b'{"inputTokenCount":10,"outputTokenCount":5}}'), PLAIN.said, PLAIN_BOOKS.usage),
    Case("no usage at all", b"".join(
         one.replace(b',"usage":{"input_tokens":10,"output_tokens":1}', b"").replace(
         b',"usage":{"output_tokens":5}', b"") for one in PLAIN_EVENTS), PLAIN.said, None),
    Case("usage at the end alone", b"".join(
         one.replace(b',"usage":{"input_tokens":10,"output_tokens":1}', b"").replace(
         b'{"output_tokens":5}', b'{"input_tokens":10,"output_tokens":5}')
         for one in PLAIN_EVENTS), PLAIN.said, PLAIN_BOOKS.usage),
    Case("more behind the end", PLAIN_STREAM + event("ping") + b"data: [DONE]\n\n", PLAIN.said,
         PLAIN_BOOKS.usage),
]  # fmt: skip

STREAMS = [
    *(
        Case(shape.name, b"".join(stream_of(shape, PLAIN_BOOKS)), shape.said, PLAIN_BOOKS.usage)
        for shape in SHAPES + FINISHES
    ),
    *(
        Case(found.name, b"".join(stream_of(PLAIN, found)), PLAIN.said, found.usage)
        for found in BOOKS[1:]
    ),
    *FRAMINGS,
]
BODIES = [
    *(
        Case(shape.name, body_of(shape, PLAIN_BOOKS), shape.said, PLAIN_BOOKS.usage)
        for shape in SHAPES + FINISHES
    ),
    *(Case(found.name, body_of(PLAIN, found), PLAIN.said, found.usage) for found in BOOKS[1:]),
]
streams = pytest.mark.parametrize("case", STREAMS, ids=[case.name for case in STREAMS])
bodies = pytest.mark.parametrize("case", BODIES, ids=[case.name for case in BODIES])
SPLITS = st.lists(st.integers(1, 60), max_size=60)


def ask_of(operation: str = "messages") -> Ask:
    found = Ask(OPERATIONS[operation], {}, "claude")  # type: ignore[index]  # a name of ours
    found.stream = True
    return found


def cut(payload: bytes, sizes: list[int]) -> list[bytes]:
    pieces, start = [], 0
    for size in sizes:
        pieces.append(payload[start : start + size])
        start += size
    return [piece for piece in (*pieces, payload[start:]) if piece]


def relay(pieces: list[bytes]) -> tuple[bytes, int, bool, MessagesRelay]:
    """All that is given out, the tokens, whether it said by itself that it is over."""
    reader = MessagesRelay("t")
    out, tokens, done = b"", 0, False
    for piece in pieces:
        given, found, done = reader.read(piece, whole=False)
        out, tokens = out + given, tokens + found
        if done:
            break
    return out, tokens, done, reader


def parse(pieces: list[bytes], parser: Parser | None = None) -> list[Event]:
    parser = parser or messages.make_parser("t")
    events: list[Event] = []
    for piece in pieces:
        events += parser.feed(piece)
    return events if parser.is_done else events + parser.close()


def meaning(events: list[Event]) -> tuple[Said, Usage | None]:
    """What events say; tokens are left out."""
    calls: list[list[str]] = []
    texts, thoughts, signatures, hidden = "", "", [], []
    finish, usage = "", None
    for one in events:
        match one:
            case TextGrows(text=grown):
                assert grown
                texts += grown
            case ThoughtGrows(text=grown):
                assert grown
                thoughts += grown
            case Signed(signature=signature):
                signatures.append(signature)
            case RedactedThought(data=data):
                hidden.append(data)
            case CallBegins(call=call, id=name_of_call, name=name):
                assert call == len(calls)
                calls.append([name_of_call, name, ""])
            case CallGrows(call=call, arguments=arguments):
                calls[call][2] += arguments
            case Ended(reason=reason):
                finish = reason
            case Used(usage=found, is_final=True):
                usage = found
    made = tuple((one[0], one[1], json.loads(one[2])) for one in calls)
    return Said(texts, thoughts, made, finish, 0, tuple(signatures), tuple(hidden)), usage


def test_the_corpus_is_large_enough_and_nothing_stands_twice_in_it() -> None:
    payloads = [case.payload for case in STREAMS + BODIES]
    assert len(payloads) >= 120
    assert len(set(payloads)) == len(payloads)


@streams
def test_a_stream_passes_through_untouched_and_is_understood(case: Case) -> None:
    out, tokens, done, reader = relay([case.payload])
    assert case.payload.startswith(out)
    assert b"message_stop" in out
    assert (tokens, done, reader.finished, reader.failed) == (case.said.tokens, True, True, None)
    assert reader.usage == case.usage


@streams
def test_a_stream_means_what_it_says(case: Case) -> None:
    assert meaning(parse([case.payload])) == (case.said._replace(tokens=0), case.usage)


@bodies
def test_a_body_passes_through_untouched_and_is_billed(case: Case) -> None:
    reader = MessagesRelay("t")
    assert reader.read_whole(case.payload) == (case.payload, 0)
    assert reader.usage == case.usage
    tail = MessagesRelay("t")
    tail.read_tail(case.payload[-(len(case.payload) // 2) :])
    tail.read_tail(case.payload)
    assert tail.usage == case.usage


@bodies
def test_a_body_means_what_it_says(case: Case) -> None:
    events = messages.make_parser("t").whole(case.payload)
    assert events[0] == Started("msg_1", MODEL)
    assert meaning(events) == (case.said._replace(tokens=0), case.usage)


@streams
def test_a_stream_that_is_written_again_means_the_same(case: Case) -> None:
    """Parsed, written as Messages and parsed again: the text, the calls, the end and the books."""
    writer = messages.make_writer(ask_of())
    again = writer.stream(parse([case.payload])) + writer.end()
    said, usage = meaning(parse([again]))
    assert said == _known_end(case.said)
    if case.usage is not None:
        assert usage == case.usage


@bodies
def test_a_body_that_is_written_again_means_the_same(case: Case) -> None:
    again = messages.make_writer(ask_of()).whole(messages.make_parser("t").whole(case.payload))
    said, usage = meaning(messages.make_parser("t").whole(again))
    assert (said, usage) == (_known_end(case.said), case.usage)


def _known_end(said: Said) -> Said:
    """An end that we do not know becomes the plainest one."""
    return said._replace(tokens=0, finish="stop" if said.finish == "other" else said.finish)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=150)
@given(case=st.sampled_from(STREAMS), sizes=SPLITS)
def test_any_split_gives_the_same_bytes_tokens_and_usage(case: Case, sizes: list[int]) -> None:
    want = relay([case.payload])
    got = relay(cut(case.payload, sizes))
    assert got[:3] == want[:3]
    assert (got[3].usage, got[3].begun) == (want[3].usage, want[3].begun)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=150)
@given(case=st.sampled_from(STREAMS), sizes=SPLITS, operation=st.sampled_from(("messages", "chat")))
def test_any_split_is_translated_into_the_same_bytes(
    case: Case, sizes: list[int], operation: str
) -> None:
    def translate(pieces: list[bytes]) -> bytes:
        ask = ask_of(operation)
        writer: Writer = (messages if operation == "messages" else chat).make_writer(ask)
        parser = messages.make_parser("t")
        out = b""
        for piece in pieces:
            out += writer.stream(parser.feed(piece))
        return out + writer.end()

    want, got = translate([case.payload]), translate(cut(case.payload, sizes))
    assert _timeless(got) == _timeless(want)


def _timeless(payload: bytes) -> bytes:
    """Without the moment at which a chat answer was made."""
    return b'"created":'.join(
        part.lstrip(b"0123456789") if place else part
        for place, part in enumerate(payload.split(b'"created":'))
    )


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=100)
@given(case=st.sampled_from(STREAMS), share=st.floats(0, 1), sizes=SPLITS)
def test_a_stream_that_breaks_off_is_never_taken_for_whole(
    case: Case, share: float, sizes: list[int]
) -> None:
    """Wherever it is cut before its last event; what it said of its input stays known."""
    end = case.payload.rindex(b"message_stop")
    payload = case.payload[: int(end * share)]
    out, tokens, done, reader = relay(cut(payload, sizes))
    assert not done
    given, more, ends = reader.read(b"", whole=True)
    assert payload.startswith(out + given)
    assert ends
    assert not reader.finished
    assert isinstance(reader.failed, ProtocolError)
    assert tokens + more <= case.said.tokens
    if reader.usage is not None:
        assert reader.usage == case.usage
    with pytest.raises(ProtocolError):
        parse(cut(payload, sizes))
