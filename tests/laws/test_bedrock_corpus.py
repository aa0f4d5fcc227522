"""What Bedrock answers, case by case: bodies and streams, and what they come to.

Each case is written down with what it must come to. Where a stream and a body can say the same,
both are tried. The split law runs over every stream.
"""

import contextlib
import itertools
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.parts.errors import ProtocolError, Upstream
from towplane.parts.usage import Detail, Usage
from towplane.providers.bedrock.parse import ConverseParser
from towplane.providers.conversation.answer import (
    CallBegins,
    CallGrows,
    Cited,
    Ended,
    Event,
    Failed,
    RedactedThought,
    Signed,
    TextGrows,
    ThoughtGrows,
    Used,
)
from towplane.testing.bedrock.frames import error_frame, event_frame, exception_frame, frame

Value = dict[str, Any]


@dataclass
class Sum:
    """What an answer comes to."""

    text: str = ""
    thought: str = ""
    signature: str = ""
    redacted: list[str] = field(default_factory=list)
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    cited: list[Value] = field(default_factory=list)
    finish: str = ""
    stop_sequence: str = ""
    usage: Usage | None = None
    failed: type[Upstream] | None = None


def sum_up(events: list[Event]) -> Sum:
    found = Sum()
    for event in events:
        match event:
            case TextGrows(text=text):
                assert text
                found.text += text
            case ThoughtGrows(text=text):
                assert text
                found.thought += text
            case Signed(signature=signature):
                found.signature += signature
            case RedactedThought(data=data):
                found.redacted.append(data)
            case CallBegins(call=call, id=call_id, name=name):
                assert call == len(found.calls)
                found.calls.append((call_id, name, ""))
            case CallGrows(call=call, arguments=arguments):
                assert arguments
                call_id, name, before = found.calls[call]
                found.calls[call] = (call_id, name, before + arguments)
            case Cited(citation=citation):
                found.cited.append(json.loads(bytes(citation)))
            case Ended(reason=reason, stop_sequence=stop):
                found.finish, found.stop_sequence = reason, stop
            case Used(usage=usage):
                found.usage = usage
            case Failed(error=error):
                found.failed = type(error)
                assert error.in_stream
    return found


def delta(value: Value, index: int = 0) -> bytes:
    return event_frame("contentBlockDelta", {"contentBlockIndex": index, "delta": value})


def start(value: Value, index: int = 0) -> bytes:
    return event_frame("contentBlockStart", {"contentBlockIndex": index, "start": value})


def stop(index: int = 0) -> bytes:
    return event_frame("contentBlockStop", {"contentBlockIndex": index})


def text(said: str, index: int = 0) -> bytes:
    return delta({"text": said}, index)


def thought(value: Value, index: int = 0) -> bytes:
    return delta({"reasoningContent": value}, index)


def call(call_id: str, name: str, index: int = 0, **more: str) -> bytes:
    return start({"toolUse": {"toolUseId": call_id, "name": name, **more}}, index)


def grows(said: str, index: int = 0) -> bytes:
    return delta({"toolUse": {"input": said}}, index)


def cite(location: Value, title: str | None = "Report", **more: Any) -> Value:
    found = {"sourceContent": [{"text": "it "}, {"text": "flies"}], "location": location, **more}
    return found | ({"title": title} if title is not None else {})


BEGIN = event_frame("messageStart", {"role": "assistant"})
PLAIN = {"inputTokens": 7, "outputTokens": 5, "totalTokens": 12}
SEVEN_FIVE = Usage(7, 5)


def ends(reason: str = "end_turn", usage: Value | None = PLAIN, **more: Any) -> bytes:
    metadata: Value = {"metrics": {"latencyMs": 9}, **more}
    if usage is not None:
        metadata["usage"] = usage
    return event_frame("messageStop", {"stopReason": reason}) + event_frame("metadata", metadata)


def body(content: list[Value], reason: str = "end_turn", **more: Any) -> Value:
    message = {"role": "assistant", "content": content}
    return {"output": {"message": message}, "stopReason": reason, "usage": PLAIN,
            "metrics": {"latencyMs": 9}} | more  # fmt: skip


@dataclass
class Case:
    """A stream, a body, or both, and what they come to."""

    name: str
    want: Sum
    stream: bytes = b""
    body: Value | None = None


# ---- usage: (name, usage on the wire, what else the answer says, normal form)

BIG = 1_000_000
USAGES: list[tuple[str, Value, Value, Usage]] = [
    ("plain", PLAIN, {}, SEVEN_FIVE),
    ("nothing said", {"inputTokens": 7, "outputTokens": 0, "totalTokens": 7}, {}, Usage(7, 0)),
    ("no input either", {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}, {}, Usage(0, 0)),
    ("a cache read stands beside", PLAIN | {"cacheReadInputTokens": 100}, {}, Usage(107, 5, 100)),
    ("a cache read of zero", PLAIN | {"cacheReadInputTokens": 0, "cacheWriteInputTokens": 0}, {},
     SEVEN_FIVE),
    ("all from the cache", {"inputTokens": 0, "outputTokens": 5, "cacheReadInputTokens": 3}, {},
     Usage(3, 5, 3)),
    ("a cache write without a lifetime", PLAIN | {"cacheWriteInputTokens": 50}, {},
     Usage(57, 5, 0, Detail(cache_write=50))),
    ("a cache write of five minutes",
     PLAIN | {"cacheWriteInputTokens": 50, "cacheDetails": [{"ttl": "5m", "inputTokens": 50}]}, {},
     Usage(57, 5, 0, Detail(cache_write=50))),
    ("a cache write of an hour",
     PLAIN | {"cacheWriteInputTokens": 50, "cacheDetails": [{"ttl": "1h", "inputTokens": 50}]}, {},
     Usage(57, 5, 0, Detail(cache_write_1h=50))),
    ("writes of both lifetimes",
     PLAIN | {"cacheWriteInputTokens": 50, "cacheDetails": [
         {"ttl": "1h", "inputTokens": 30}, {"ttl": "5m", "inputTokens": 20}]}, {},
     Usage(57, 5, 0, Detail(cache_write=20, cache_write_1h=30))),
    ("read and written",
     PLAIN | {"cacheReadInputTokens": 100, "cacheWriteInputTokens": 50}, {},
     Usage(157, 5, 100, Detail(cache_write=50))),
    ("details that say less than was written",
     PLAIN | {"cacheWriteInputTokens": 50, "cacheDetails": [{"ttl": "1h", "inputTokens": 30}]}, {},
     Usage(57, 5, 0, Detail(cache_write=20, cache_write_1h=30))),
    ("details that say more than was written",
     PLAIN | {"cacheWriteInputTokens": 50, "cacheDetails": [{"ttl": "1h", "inputTokens": 80}]}, {},
     Usage(57, 5, 0, Detail(cache_write_1h=50))),
    ("details of a lifetime that nobody knows yet",
     PLAIN | {"cacheWriteInputTokens": 50, "cacheDetails": [{"ttl": "24h", "inputTokens": 50}]}, {},
     Usage(57, 5, 0, Detail(cache_write=50))),
    ("empty details", PLAIN | {"cacheWriteInputTokens": 0, "cacheDetails": []}, {}, SEVEN_FIVE),
    ("nulls", PLAIN | {"cacheReadInputTokens": None, "cacheWriteInputTokens": None,
                       "cacheDetails": None}, {}, SEVEN_FIVE),
    ("a million", {"inputTokens": BIG, "outputTokens": BIG, "cacheReadInputTokens": BIG}, {},
     Usage(2 * BIG, BIG, BIG)),
    ("counters of a later day", PLAIN | {"serverToolUsage": {"webSearch": 1}, "audioTokens": 3},
     {}, SEVEN_FIVE),
    ("tier default", PLAIN, {"serviceTier": {"type": "default"}}, SEVEN_FIVE),
    ("tier priority", PLAIN, {"serviceTier": {"type": "priority"}},
     Usage(7, 5, 0, Detail(service="priority"))),
    ("tier flex", PLAIN, {"serviceTier": {"type": "flex"}}, Usage(7, 5, 0, Detail(service="flex"))),
    ("tier reserved", PLAIN, {"serviceTier": {"type": "reserved"}},
     Usage(7, 5, 0, Detail(service="provisioned"))),
    ("a tier that nobody knows yet", PLAIN, {"serviceTier": {"type": "express"}}, SEVEN_FIVE),
    ("flex with a cache write", PLAIN | {"cacheWriteInputTokens": 5},
     {"serviceTier": {"type": "flex"}}, Usage(12, 5, 0, Detail(cache_write=5, service="flex"))),
    ("latency standard", PLAIN, {"performanceConfig": {"latency": "standard"}}, SEVEN_FIVE),
    ("latency optimized", PLAIN, {"performanceConfig": {"latency": "optimized"}},
     Usage(7, 5, 0, Detail(service="fast"))),
    ("a guardrail's trace", PLAIN, {"trace": {"guardrail": {"modelOutput": ["…"]}}}, SEVEN_FIVE),
    ("a prompt router's trace", PLAIN,
     {"trace": {"promptRouter": {"invokedModelId": "amazon.nova-lite-v1:0"}}}, SEVEN_FIVE),
]  # fmt: skip

# ---- stop reasons: (Bedrock's, ours)

REASONS = [
    ("end_turn", "stop"),
    ("tool_use", "tool_calls"),
    ("max_tokens", "length"),
    ("stop_sequence", "stop_sequence"),
    ("guardrail_intervened", "content_filter"),
    ("content_filtered", "content_filter"),
    ("malformed_model_output", "malformed"),
    ("malformed_tool_use", "malformed"),
    ("model_context_window_exceeded", "context_full"),
    ("a_reason_of_a_later_day", "other"),
]

# ---- what is said

CHAR = {"documentChar": {"documentIndex": 1, "start": 3, "end": 12}}
CITED = {"cited_text": "it flies", "type": "char_location", "document_index": 1,
         "document_title": "Report", "start_char_index": 3, "end_char_index": 12}  # fmt: skip
CITATIONS: list[tuple[str, Value, list[Value]]] = [
    ("by letters", cite(CHAR), [CITED]),
    ("without a title", cite(CHAR, None), [CITED | {"document_title": None}]),
    ("by pages", cite({"documentPage": {"documentIndex": 0, "start": 1, "end": 2}}),
     [{"cited_text": "it flies", "type": "page_location", "document_index": 0,
       "document_title": "Report", "start_page_number": 1, "end_page_number": 2}]),
    ("by chunks", cite({"documentChunk": {"documentIndex": 0, "start": 1, "end": 2}}),
     [{"cited_text": "it flies", "type": "content_block_location", "document_index": 0,
       "document_title": "Report", "start_block_index": 1, "end_block_index": 2}]),
    ("of a search result",
     cite({"searchResultLocation": {"searchResultIndex": 2, "start": 0, "end": 1}}, source="s.pdf"),
     [{"cited_text": "it flies", "type": "search_result_location", "search_result_index": 2,
       "source": "s.pdf", "title": "Report", "start_block_index": 0, "end_block_index": 1}]),
    ("of the web", cite({"web": {"url": "https://a.example/b", "domain": "a.example"}}),
     [{"cited_text": "it flies", "type": "web_search_result_location",
       "url": "https://a.example/b", "title": "Report"}]),
    ("of the web, by its domain",
     cite({"web": {"url": "https://a.example/", "domain": "a.example"}}, None),
     [{"cited_text": "it flies", "type": "web_search_result_location",
       "url": "https://a.example/", "title": "a.example"}]),
    ("of a place that nobody knows yet", cite({"video": {"start": 1, "end": 2}}), []),
    ("of no place", cite({}), []),
]  # fmt: skip

SAYS: list[Case] = [
    Case("text has no start", Sum("höhe 翼", finish="stop", usage=SEVEN_FIVE),
         BEGIN + text("hö") + text("he ") + text("翼") + stop() + ends(),
         body([{"text": "höhe 翼"}])),
    Case("text with a start", Sum("a", finish="stop", usage=SEVEN_FIVE),
         BEGIN + start({}) + text("a") + stop() + ends()),
    Case("empty pieces are no tokens", Sum("a", finish="stop", usage=SEVEN_FIVE),
         BEGIN + text("") + text("a") + text("") + stop() + ends(),
         body([{"text": ""}, {"text": "a"}])),
    Case("nothing at all", Sum(finish="stop", usage=SEVEN_FIVE), BEGIN + ends(), body([])),
    Case("padding", Sum("a", finish="stop", usage=SEVEN_FIVE),
         BEGIN + event_frame("contentBlockDelta",
                             {"contentBlockIndex": 0, "delta": {"text": "a"}, "p": "abcdefghijk"})
         + stop() + ends()),
    Case("two blocks of text", Sum("ab", finish="stop", usage=SEVEN_FIVE),
         BEGIN + text("a") + stop() + text("b", 1) + stop(1) + ends(),
         body([{"text": "a"}, {"text": "b"}])),
    Case("quotes and control characters", Sum('"\\\n\t\x1f', finish="stop", usage=SEVEN_FIVE),
         BEGIN + text('"\\\n') + text("\t\x1f") + stop() + ends(), body([{"text": '"\\\n\t\x1f'}])),
    Case("a thought, signed", Sum("b", "so", "sig", finish="stop", usage=SEVEN_FIVE),
         BEGIN + thought({"text": "s"}) + thought({"text": "o"}) + thought({"signature": "sig"})
         + stop() + text("b", 1) + stop(1) + ends(),
         body([{"reasoningContent": {"reasoningText": {"text": "so", "signature": "sig"}}},
               {"text": "b"}])),
    Case("a thought without a signature", Sum("b", "so", finish="stop", usage=SEVEN_FIVE),
         BEGIN + thought({"text": "so"}) + stop() + text("b", 1) + stop(1) + ends(),
         body([{"reasoningContent": {"reasoningText": {"text": "so"}}}, {"text": "b"}])),
    Case("a thought that is not shown", Sum("b", "", "sig", finish="stop", usage=SEVEN_FIVE),
         BEGIN + thought({"text": ""}) + thought({"signature": "sig"}) + stop() + text("b", 1)
         + stop(1) + ends(),
         body([{"reasoningContent": {"reasoningText": {"text": "", "signature": "sig"}}},
               {"text": "b"}])),
    Case("a redacted thought", Sum("b", redacted=["c2VjcmV0"], finish="stop", usage=SEVEN_FIVE),
         BEGIN + thought({"redactedContent": "c2VjcmV0"}) + stop() + text("b", 1) + stop(1)
         + ends(),
         body([{"reasoningContent": {"redactedContent": "c2VjcmV0"}}, {"text": "b"}])),
    Case("a call in pieces",
         Sum(calls=[("t1", "look", '{"a": 1}')], finish="tool_calls", usage=SEVEN_FIVE),
         BEGIN + call("t1", "look") + grows("") + grows('{"a"') + grows(": 1}") + stop()
         + ends("tool_use"),
         body([{"toolUse": {"toolUseId": "t1", "name": "look", "input": {"a": 1}}}], "tool_use")),
    Case("a call without arguments",
         Sum(calls=[("t1", "look", "{}")], finish="tool_calls", usage=SEVEN_FIVE),
         BEGIN + call("t1", "look") + stop() + ends("tool_use"),
         body([{"toolUse": {"toolUseId": "t1", "name": "look", "input": {}}}], "tool_use")),
    Case("a call with empty arguments",
         Sum(calls=[("t1", "look", "{}")], finish="tool_calls", usage=SEVEN_FIVE),
         BEGIN + call("t1", "look") + grows("") + stop() + ends("tool_use")),
    Case("words, then two calls",
         Sum("a", calls=[("t1", "look", '{"x": "é"}'), ("t2", "hear", "{}")], finish="tool_calls",
             usage=SEVEN_FIVE),
         BEGIN + text("a") + stop() + call("t1", "look", 1) + grows('{"x": "é"}', 1) + stop(1)
         + call("t2", "hear", 2) + stop(2) + ends("tool_use"),
         body([{"text": "a"},
               {"toolUse": {"toolUseId": "t1", "name": "look", "input": {"x": "é"}}},
               {"toolUse": {"toolUseId": "t2", "name": "hear", "input": {}}}], "tool_use")),
    Case("a thought, words and a call",
         Sum("a", "so", "sig", calls=[("t1", "look", "[]")], finish="tool_calls", usage=SEVEN_FIVE),
         BEGIN + thought({"text": "so"}) + thought({"signature": "sig"}) + stop() + text("a", 1)
         + stop(1) + call("t1", "look", 2) + grows("[]", 2) + stop(2) + ends("tool_use"),
         body([{"reasoningContent": {"reasoningText": {"text": "so", "signature": "sig"}}},
               {"text": "a"}, {"toolUse": {"toolUseId": "t1", "name": "look", "input": []}}],
              "tool_use")),
    Case("calls whose blocks are numbered from afar",
         Sum(calls=[("t1", "look", "{}"), ("t2", "hear", "{}")], finish="tool_calls",
             usage=SEVEN_FIVE),
         BEGIN + call("t1", "look", 7) + grows("{}", 7) + stop(7) + call("t2", "hear", 9)
         + grows("{}", 9) + stop(9) + ends("tool_use")),
    Case("calls that grow in turns",
         Sum(calls=[("t1", "look", "[1]"), ("t2", "hear", "[2]")], finish="tool_calls",
             usage=SEVEN_FIVE),
         BEGIN + call("t1", "look", 0) + call("t2", "hear", 1) + grows("[1", 0) + grows("[2", 1)
         + grows("]", 0) + stop(0) + grows("]", 1) + stop(1) + ends("tool_use")),
    Case("a tool of Bedrock's own is no call",
         Sum("a", calls=[("t2", "look", "{}")], finish="tool_calls", usage=SEVEN_FIVE),
         BEGIN + call("s1", "nova_grounding", 0, type="server_tool_use") + grows('{"q"', 0)
         + grows(': 1}', 0) + stop(0)
         + start({"toolResult": {"toolUseId": "s1", "status": "success"}}, 1)
         + delta({"toolResult": [{"text": "found"}]}, 1) + stop(1) + text("a", 2) + stop(2)
         + call("t2", "look", 3) + stop(3) + ends("tool_use"),
         body([{"toolUse": {"toolUseId": "s1", "name": "nova_grounding", "input": {"q": 1},
                            "type": "server_tool_use"}},
               {"toolResult": {"toolUseId": "s1", "content": [{"text": "found"}]}},
               {"text": "a"}, {"toolUse": {"toolUseId": "t2", "name": "look", "input": {}}}],
              "tool_use")),
    Case("an image is passed over", Sum("a", finish="stop", usage=SEVEN_FIVE),
         BEGIN + start({"image": {"format": "png"}})
         + delta({"image": {"source": {"bytes": "eA=="}}}) + stop() + text("a", 1) + stop(1)
         + ends(),
         body([{"image": {"format": "png", "source": {"bytes": "eA=="}}}, {"text": "a"}])),
    Case("events and deltas of a later day", Sum("a", finish="stop", usage=SEVEN_FIVE),
         BEGIN + event_frame("mood", {"is": "fine"}) + delta({"video": {"x": 1}}) + text("a")
         + stop() + ends(),
         body([{"video": {"format": "mp4"}}, {"text": "a"}])),
    Case("a stop sequence as a body says it",
         Sum("a", finish="stop_sequence", stop_sequence="END", usage=SEVEN_FIVE),
         BEGIN + text("a") + stop()
         + event_frame("messageStop", {"stopReason": "stop_sequence",
                                       "additionalModelResponseFields": {"stop_sequence": "END"}})
         + event_frame("metadata", {"usage": PLAIN}),
         body([{"text": "a"}], "stop_sequence",
              additionalModelResponseFields={"stop_sequence": "END"})),
    Case("a stop sequence as a stream says it",
         Sum("a", finish="stop_sequence", stop_sequence="END", usage=SEVEN_FIVE),
         BEGIN + text("a") + stop()
         + event_frame("messageStop", {
             "stopReason": "stop_sequence",
             "additionalModelResponseFields": {"delta": {"stop_sequence": "END"}}})
         + event_frame("metadata", {"usage": PLAIN})),
    Case("other fields of the model", Sum("a", finish="stop", usage=SEVEN_FIVE),
         BEGIN + text("a") + stop()
         + event_frame("messageStop", {"stopReason": "end_turn",
                                       "additionalModelResponseFields": {"stop_sequence": None}})
         + event_frame("metadata", {"usage": PLAIN}),
         body([{"text": "a"}], additionalModelResponseFields=["top"])),
    Case("bytes after the end", Sum("a", finish="stop", usage=SEVEN_FIVE),
         BEGIN + text("a") + stop() + ends() + text("b")),
    Case("no usage in the metadata", Sum("a", finish="stop"),
         BEGIN + text("a") + stop() + ends(usage=None)),
    Case("no metadata at all", Sum("a", finish="stop"),
         BEGIN + text("a") + stop() + event_frame("messageStop", {"stopReason": "end_turn"})),
]  # fmt: skip

CASES = [
    *(
        Case(
            f"usage: {name}",
            Sum("a", finish="stop", usage=want),
            BEGIN + text("a") + stop() + ends(usage=wire, **more),
            body([{"text": "a"}], **(more | {"usage": wire})),
        )
        for name, wire, more, want in USAGES
    ),
    *(
        Case(
            f"stop reason: {said}",
            Sum("a", finish=ours, usage=SEVEN_FIVE),
            BEGIN + text("a") + stop() + ends(said),
            body([{"text": "a"}], said),
        )
        for said, ours in REASONS
    ),
    *(
        Case(
            f"a citation {name}",
            Sum("a", cited=want, finish="stop", usage=SEVEN_FIVE),
            BEGIN + text("a") + delta({"citation": citation}) + stop() + ends(),
            body([{"citationsContent": {"content": [{"text": "a"}], "citations": [citation]}}]),
        )
        for name, citation, want in CITATIONS
    ),
    *SAYS,
]
STREAMS = {case.name: case for case in CASES if case.stream}
BODIES = {case.name: case for case in CASES if case.body is not None}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_comes_to(name: str) -> None:
    case = STREAMS[name]
    parser = ConverseParser("t")
    events = parser.feed(case.stream)
    assert sum_up(events + parser.close()) == case.want
    assert parser.is_done == ("metadata at all" not in name)


@pytest.mark.parametrize("name", BODIES)
def test_a_body_comes_to(name: str) -> None:
    case = BODIES[name]
    assert (
        sum_up(ConverseParser("t").whole(json.dumps(case.body, ensure_ascii=False).encode()))
        == case.want
    )


# ---- streams and bodies that are broken

BROKEN_STREAMS = {
    "cut before its end": BEGIN + text("a"),
    "nothing": b"",
    "half a frame": BEGIN + text("a")[:30],
    "half of the metadata": BEGIN + text("a") + stop() + ends()[:-10],
    "arguments without a call": BEGIN + grows("{}"),
    "a payload that is no JSON": frame(
        [(":message-type", 7, "event"), (":event-type", 7, "contentBlockDelta")], b"{"
    ),
    "a delta that is none": event_frame("contentBlockDelta", {"contentBlockIndex": 0}),
    "text that is none": delta({"text": 7}),
    "usage that is none": BEGIN + event_frame("metadata", {"usage": {"inputTokens": "7"}}),
    "usage without input": BEGIN + event_frame("metadata", {"usage": {"outputTokens": 7}}),
    "a stop without a reason": BEGIN + event_frame("messageStop", {}),
    "a wrong checksum": BEGIN[:-1] + b"\x00",
    "something else": b"data: [DONE]\n\n",
}


@pytest.mark.parametrize("name", BROKEN_STREAMS)
def test_a_broken_stream_is_a_protocol_error(name: str) -> None:
    parser = ConverseParser("t")
    with pytest.raises(ProtocolError) as broken:  # noqa: PT012  # either of the two may see it
        parser.feed(BROKEN_STREAMS[name])
        parser.close()
    assert broken.value.reason in ("upstream-protocol", "upstream-truncated")


BROKEN_BODIES = {
    "no JSON": b"<html>",
    "nothing": b"",
    "no output": b'{"stopReason":"end_turn"}',
    "no reason": b'{"output":{"message":{"content":[]}}}',
    "content that is none": b'{"output":{"message":{"content":"hi"}},"stopReason":"end_turn"}',
    "no UTF-8": b'{"output":{"message":{"content":[{"text":"\xff"}]}},"stopReason":"end_turn"}',
}


@pytest.mark.parametrize("name", BROKEN_BODIES)
def test_a_broken_body_is_a_protocol_error(name: str) -> None:
    with pytest.raises(ProtocolError):
        ConverseParser("t").whole(BROKEN_BODIES[name])


# ---- the law of splits

EVERY = [case.stream for case in STREAMS.values()] + [
    BEGIN + text("a") + exception_frame("ThrottlingException", {"message": "slow"}),
    BEGIN + error_frame("InternalFailure", "down") + text("a"),
]


@settings(max_examples=300, deadline=None)
@given(stream=st.sampled_from(EVERY), places=st.lists(st.integers(0, 5_000), max_size=40))
def test_any_split_of_a_stream_says_the_same(stream: bytes, places: list[int]) -> None:
    whole = ConverseParser("t").feed(stream)
    borders = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    parser = ConverseParser("t")
    pieces: list[Event] = []
    for begin, end in itertools.pairwise(borders):
        if not parser.is_done:
            pieces += parser.feed(stream[begin:end])
    assert sum_up(pieces) == sum_up(whole)
    assert [type(event) for event in pieces] == [type(event) for event in whole]


def test_the_corpus_is_large_enough() -> None:
    """At least 120 cases of the family are asked for; errors are in a file of their own."""
    assert len(STREAMS) + len(BODIES) + len(BROKEN_STREAMS) + len(BROKEN_BODIES) >= 140


# ---- whatever comes

_NAMES = st.sampled_from(
    ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop",
     "metadata", "chunk", "mood"]
)  # fmt: skip
_KEYS = st.sampled_from(
    ["contentBlockIndex", "delta", "start", "text", "toolUse", "input", "reasoningContent",
     "citation", "location", "stopReason", "usage", "inputTokens", "serviceTier", "toolUseId",
     "name", "additionalModelResponseFields", "stop_sequence"]
)  # fmt: skip
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(told=st.lists(st.tuples(_NAMES, st.dictionaries(_KEYS, _VALUES, max_size=5)), max_size=6))
def test_no_json_breaks_more_than_its_own_answer(told: list[tuple[str, Value]]) -> None:
    """Events, or a ProtocolError; nothing else."""
    parser = ConverseParser("t")
    with contextlib.suppress(ProtocolError):
        for name, value in told:
            sum_up(parser.feed(event_frame(name, value)))
        parser.close()
    with contextlib.suppress(ProtocolError):
        parser.whole(json.dumps(told[0][1] if told else None).encode())
