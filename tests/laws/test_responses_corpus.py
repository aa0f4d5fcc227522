"""A corpus of answers of OpenAI's and Azure's Responses: what passes, what it used, how it ended.

Every case has its expected tokens, usage and end written beside it. Bodies and streams are made
here from dictionaries, in the ways that servers write JSON; what is expected never comes from the
code that is tested.
"""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.parts.errors import (
    ContextTooLong,
    Filtered,
    Overloaded,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    ServerError,
    Upstream,
)
from towplane.parts.usage import Detail, Usage
from towplane.providers.dialects.responses.relay import ResponsesRelay

# Items as the vendor sends them, and how each grows in a stream


@dataclass(frozen=True)
class Grown:
    """An item of the output and the events between its begin and its end."""

    item: dict[str, Any]
    events: tuple[tuple[str, dict[str, Any]], ...] = ()


def deltas(kind: str, *pieces: str, **more: Any) -> tuple[tuple[str, dict[str, Any]], ...]:
    return tuple((f"{kind}.delta", {"delta": piece, **more}) for piece in pieces)


def message(*pieces: str, annotations: Any = (), **more: Any) -> Grown:
    part = {"type": "output_text", "text": "".join(pieces), "annotations": list(annotations)}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    notes = (("output_text.annotation.added", {"annotation": one}) for one in annotations)
    events = (
        ("content_part.added", {"part": {"type": "output_text", "text": ""}}),
        *deltas("output_text", *pieces, logprobs=[]),
        *notes,
        ("output_text.done", {"text": "".join(pieces)}),
        ("content_part.done", {"part": part}),
    )
    return Grown(item | {"content": [part]} | more, events)


def refusal(*pieces: str) -> Grown:
    part = {"type": "refusal", "refusal": "".join(pieces)}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": [part]}
    return Grown(item, (*deltas("refusal", *pieces), ("refusal.done", part)))


def call(name: str, *pieces: str) -> Grown:
    item = {"type": "function_call", "call_id": f"call_{name}", "name": name}
    done = ("function_call_arguments.done", {"arguments": "".join(pieces), "name": name})
    events = (*deltas("function_call_arguments", *pieces), done)
    return Grown(item | {"arguments": "".join(pieces)}, events)


def summary(*pieces: str, sealed: str | None = None) -> Grown:
    part = {"type": "summary_text", "text": "".join(pieces)}
    item = {"type": "reasoning", "id": "rs_1", "summary": [part], "encrypted_content": sealed}
    return Grown(item, deltas("reasoning_summary_text", *pieces))


def thoughts(*pieces: str) -> Grown:
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    content = [{"type": "reasoning_text", "text": "".join(pieces)}]
    return Grown(item | {"content": content}, deltas("reasoning_text", *pieces))


def hosted(kind: str, *events: tuple[str, dict[str, Any]], **more: Any) -> Grown:
    return Grown({"type": kind, "id": "x_1", "status": "completed", **more}, events)


SEALED = Grown({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "Z" * 900})
EMPTY = Grown({"type": "reasoning", "id": "rs_1", "summary": []})
SEARCH = hosted(
    "web_search_call",
    ("web_search_call.in_progress", {}),
    ("web_search_call.searching", {}),
    ("web_search_call.completed", {}),
)
LINK = {"type": "url_citation", "url": "https://x", "title": 'said "response.completed"'}

SHAPES: dict[str, tuple[list[Grown], int, str, int]] = {
    # name: output, events with something generated, text, its estimate at four characters a token
    "text": ([message("Hello", " there")], 2, "Hello there", 3),
    "one token": ([message("a")], 1, "a", 1),
    "no text": ([message()], 0, "", 0),
    "an empty delta is no token": ([message("", "a")], 1, "a", 1),
    "letters of several bytes": ([message("höhe ", "翼🛩", "́")], 3, "höhe 翼🛩́", 2),
    "line ends, quotes and backslashes": ([message('"\n', '\\"', "\r\n\n")], 3, '"\n\\"\r\n\n', 2),
    "text that speaks of the end": (
        [message('{"type":"response.completed"}', " [DONE]")], 2,
        '{"type":"response.completed"} [DONE]', 9),
    "text that looks like a delta": (
        [message('"type":"response.output_text.delta"', '"delta":""', ".delta")], 3,
        '"type":"response.output_text.delta""delta":"".delta', 13),
    "two messages": ([message("a"), message("b")], 2, "ab", 2),
    "a refusal": ([refusal("I ", "cannot")], 2, "", 2),
    "a call": ([call("f", '{"a', '":1}')], 2, "", 2),
    "a call without arguments": ([call("f", "{}")], 1, "", 1),
    "parallel calls": ([call("f", "{}"), call("g", '{"x":', "2}")], 3, "", 3),
    "text, then a call": ([message("ok"), call("f", "{}")], 2, "ok", 2),
    "a summary, then text": ([summary("hm", "m"), message("a")], 3, "a", 2),
    "thoughts of an open model": ([thoughts("so", " it"), message("a")], 3, "a", 3),
    "sealed thoughts": ([SEALED, message("a")], 1, "a", 1),
    "sealed thoughts, then a call": ([SEALED, call("f", "{}")], 1, "", 1),
    "an empty thought": ([EMPTY, message("a")], 1, "a", 1),
    "a web search with its source": ([SEARCH, message("a", annotations=[LINK])], 1, "a", 1),
    "a file search": ([hosted("file_search_call", ("file_search_call.searching", {})),
                       message("a")], 1, "a", 1),
    "code and what it printed": (
        [hosted("code_interpreter_call", *deltas("code_interpreter_call_code", "1", "+1"))],
        2, "", 0),
    "a shell's output is not generated": (
        [hosted("shell_call", *deltas("shell_call_output_content", "$ ls"))], 0, "", 0),
    "a custom tool": (
        [hosted("custom_tool_call", *deltas("custom_tool_call_input", "free ", "text"))],
        2, "", 0),
    "a call of a remote tool": (
        [hosted("mcp_call", *deltas("mcp_call_arguments", "{}"), arguments="{}")], 1, "", 1),
    "an image": (
        [hosted("image_generation_call",
                ("image_generation_call.partial_image", {"partial_image_b64": "A" * 70_000}),
                result="B" * 70_000)], 0, "", 0),
    "a phase": ([message("a", phase="commentary"), message("b", phase="final_answer")],
                2, "ab", 2),
}  # fmt: skip

PLAIN = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 27,
}


def usage_of(inner: Any = None, outer: Any = None, **more: Any) -> dict[str, Any]:
    found = PLAIN | more
    found["input_tokens_details"] = PLAIN["input_tokens_details"] if inner is None else inner
    found["output_tokens_details"] = PLAIN["output_tokens_details"] if outer is None else outer
    return found


USAGES: dict[str, tuple[dict[str, Any], Usage | None]] = {
    # name: what the response says besides its output, and what was used
    "plain": ({"usage": PLAIN}, Usage(20, 7)),
    "cached": ({"usage": usage_of({"cached_tokens": 12})}, Usage(20, 7, 12)),
    "cached and written": (
        {"usage": usage_of({"cached_tokens": 12, "cache_write_tokens": 5})},
        Usage(20, 7, 12, Detail(cache_write=5))),
    "written by lifetime": (
        {"usage": usage_of({"cached_tokens": 0, "cache_write_tokens": 8,
                            "cache_write_tokens_details": {"ttl_30m_tokens": 5,
                                                           "ttl_12h_tokens": 3}})},
        Usage(20, 7, 0, Detail(cache_write=5, cache_write_1h=3))),
    "written by lifetime alone": (
        {"usage": usage_of({"cache_write_tokens_details": {"ttl_30m_tokens": 5,
                                                           "ttl_12h_tokens": 3}})},
        Usage(20, 7, 0, Detail(cache_write=5, cache_write_1h=3))),
    "reasoning": ({"usage": usage_of(None, {"reasoning_tokens": 6})},
                  Usage(20, 7, 0, Detail(reasoning=6))),
    "sound and images": (
        {"usage": usage_of({"audio_tokens": 3, "image_tokens": 4, "text_tokens": 13},
                           {"image_tokens": 5, "text_tokens": 2})},
        Usage(20, 7, 0, Detail(audio_input=3, image_input=4, image_output=5))),
    "no details": ({"usage": {"input_tokens": 20, "output_tokens": 7}}, Usage(20, 7)),
    "details that are null": (
        {"usage": usage_of() | {"input_tokens_details": None, "output_tokens_details": None}},
        Usage(20, 7)),
    "counts that are null": (
        {"usage": usage_of({"cached_tokens": None}, {"reasoning_tokens": None})}, Usage(20, 7)),
    "no output": ({"usage": usage_of(output_tokens=0)}, Usage(20, 0)),
    "large": ({"usage": usage_of(input_tokens=1_000_000, output_tokens=128_000)},
              Usage(1_000_000, 128_000)),
    "fields that nobody knows": (
        {"usage": usage_of({"cached_tokens": 1, "moon_tokens": 2}, dream_tokens={"rem": 3})},
        Usage(20, 7, 1)),
    "searches": (
        {"usage": PLAIN, "tool_usage": {"web_search": {"num_requests": 2},
                                        "image_gen": {"input_tokens": 0}}},
        Usage(20, 7, 0, Detail(searches=2))),
    "no searches": ({"usage": PLAIN, "tool_usage": {"web_search": {"num_requests": 0}}},
                    Usage(20, 7)),
    "the default tier": ({"usage": PLAIN, "service_tier": "default"}, Usage(20, 7)),
    "flex": ({"usage": PLAIN, "service_tier": "flex"}, Usage(20, 7, 0, Detail(service="flex"))),
    "priority": ({"usage": PLAIN, "service_tier": "priority"},
                 Usage(20, 7, 0, Detail(service="priority"))),
    "bought ahead": ({"usage": PLAIN, "service_tier": "scale"},
                     Usage(20, 7, 0, Detail(service="provisioned"))),
    "ultrafast": ({"usage": PLAIN, "service_tier": "ultrafast"},
                  Usage(20, 7, 0, Detail(service="fast"))),
    "a tier that nobody knows": ({"usage": PLAIN, "service_tier": "warp"}, Usage(20, 7)),
    "usage in what the client said": (
        {"usage": PLAIN, "metadata": {"usage": "{}", "input_tokens": "9"}}, Usage(20, 7)),
    "null": ({"usage": None}, None),
    "missing": ({}, None),
    "of a shape that nobody knows": ({"usage": {"input_tokens": "many"}}, None),
}  # fmt: skip

Dump = Callable[[Any], str]


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def escaped(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def spaced(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def backwards(value: Any) -> str:
    if isinstance(value, dict):
        value = dict(reversed(value.items()))
    return compact(value)


def response_of(output: list[Grown], status: str = "completed", **more: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "status": status,
        "error": None,
        "output": [one.item for one in output],
        "tools": [{"type": "function", "name": "usage", "parameters": {"usage": {}}}],
        **more,
    }


def events_of(output: list[Grown], last: str = "completed", **more: Any) -> list[dict[str, Any]]:
    """A whole stream, from `created` to its last event."""
    begun = response_of([], "in_progress", usage=None)
    found: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for place, one in enumerate(output):
        at = {"output_index": place}
        found.append({"type": "response.output_item.added", **at, "item": {"type": "message"}})
        for kind, fields in one.events:
            found.append({"type": f"response.{kind}", **at, "item_id": "x", **fields})
        found.append({"type": "response.output_item.done", **at, "item": one.item})
    ended = response_of(output, last, **more)
    found.append({"type": f"response.{last}", "response": ended})
    for number, event in enumerate(found):
        event["sequence_number"] = number
    return found


def wire(events: list[dict[str, Any]], dump: Dump = compact, *, named: bool = True) -> bytes:
    lines = []
    for event in events:
        head = f"event: {event['type']}\n" if named and "type" in event else ""
        lines.append(f"{head}data: {dump(event)}\n\n")
    return "".join(lines).encode()


@dataclass(frozen=True)
class Case:
    """A stream: what of it is relayed, and what is read in passing."""

    name: str
    stream: bytes
    tokens: int
    usage: Usage | None
    end: type[Upstream] | str = "finished"
    code: str = ""
    """The vendor's own word for a failure."""
    relayed: bytes | None = None
    """None: all of it."""


@dataclass(frozen=True)
class Body:
    """An answer in one piece."""

    name: str
    body: bytes
    usage: Usage | None
    estimate: int = 0
    fails: type[Upstream] | None = None


TEXT = SHAPES["text"][0]
END: dict[str, Any] = {"usage": PLAIN}
WHOLE = events_of(TEXT, **END)
FIRST = wire(WHOLE[:2])
DELTAS = wire(WHOLE[:6])
KEEPALIVE = {"type": "keepalive", "sequence_number": 3}
UNKNOWN = {"type": "response.hologram.projected", "delta": "x", "sequence_number": 4}
NESTED = {"type": "server_error", "code": "server_error", "message": "It broke.", "param": None}
FILTER = NESTED | {"type": "invalid_request_error", "code": "content_policy_violation"}
QUOTA = NESTED | {"type": "insufficient_quota", "code": "insufficient_quota"}


def failed(details: Any = None, **more: Any) -> dict[str, Any]:
    ended = response_of([], "failed", **({"usage": None} | more)) | {"error": details}
    return {"type": "response.failed", "sequence_number": 9, "response": ended}


def fault(details: Any) -> dict[str, Any]:
    return {"type": "error", "sequence_number": 9, "error": details}


STREAMS = [
    *(Case(f"shape: {name}", wire(events_of(output, **END)), tokens, Usage(20, 7))
      for name, (output, tokens, _, _) in SHAPES.items()),
    *(Case(f"shape, spaced: {name}", wire(events_of(output, **END), spaced), tokens, Usage(20, 7))
      for name, (output, tokens, _, _) in SHAPES.items()),
    *(Case(f"usage: {name}", wire(events_of(TEXT, **said)), 2, used)
      for name, (said, used) in USAGES.items()),
    Case("wire: ASCII only", wire(WHOLE, escaped), 2, Usage(20, 7)),
    Case("wire: keys backwards", wire(WHOLE, backwards), 2, Usage(20, 7)),
    Case("wire: no event lines", wire(WHOLE, named=False), 2, Usage(20, 7)),
    Case("wire: CRLF", wire(WHOLE).replace(b"\n", b"\r\n"), 2, Usage(20, 7)),
    Case("wire: no space after the colon", wire(WHOLE).replace(b"data: ", b"data:"), 2,
         Usage(20, 7)),
    Case("wire: pings", b": ping\n\n" + wire(WHOLE).replace(b"\n\n", b"\n\n: ping\n\n"), 2,
         Usage(20, 7), relayed=b": ping\n\n" +
         wire(WHOLE).replace(b"\n\n", b"\n\n: ping\n\n").removesuffix(b": ping\n\n")),
    Case("wire: obfuscation",
         wire([one | {"obfuscation": "aZ9"} for one in WHOLE]), 2, Usage(20, 7)),
    Case("wire: empty obfuscation",
         wire([one | {"obfuscation": ""} for one in WHOLE]), 2, Usage(20, 7)),
    Case("wire: [DONE] behind the end", wire(WHOLE) + b"data: [DONE]\n\n", 2, Usage(20, 7),
         relayed=wire(WHOLE)),
    Case("wire: an event without its last line end", wire(WHOLE)[:-1], 2, Usage(20, 7)),
    Case("wire: ids and retries",
         wire(WHOLE).replace(b"event: ", b"id: 1\nretry: 5\nevent: "), 2, Usage(20, 7)),
    Case("wire: events that nobody knows",
         wire([*WHOLE[:3], UNKNOWN, KEEPALIVE, *WHOLE[3:]]), 2, Usage(20, 7)),
    Case("wire: queued", wire([{"type": "response.queued", "response": response_of([], "queued")},
                               *WHOLE]), 2, Usage(20, 7)),
    Case("azure: filters in every object",
         wire(events_of(TEXT, **END, content_filters=[{"blocked": False,
              "source_type": "prompt", "content_filter_results": {"hate": {"filtered": False}}}])),
         2, Usage(20, 7)),
    Case("end: the limit",
         wire(events_of(TEXT, "incomplete", **END,
                        incomplete_details={"reason": "max_output_tokens"})), 2, Usage(20, 7)),
    Case("end: a filter",
         wire(events_of(TEXT, "incomplete", **END,
                        incomplete_details={"reason": "content_filter"})), 2, Usage(20, 7)),
    Case("end: the limit before the first word",
         wire(events_of([SEALED], "incomplete", **END,
                        incomplete_details={"reason": "max_output_tokens"})), 0, Usage(20, 7)),
    Case("cut: nothing came", b"", 0, None, ProtocolError),
    Case("cut: before the first token", FIRST, 0, None, ProtocolError),
    Case("cut: behind a token", DELTAS, 2, None, ProtocolError),
    Case("cut: in an event", DELTAS + b'event: response.output_text.del', 2, None, ProtocolError),
    Case("cut: before the last event", wire(WHOLE[:-1]), 2, None, ProtocolError),
    Case("cut: [DONE] without an end", DELTAS + b"data: [DONE]\n\n", 2, None, ProtocolError),
    Case("no JSON", DELTAS + b"data: {nope\n\n" + wire(WHOLE[6:]), 2, None, ProtocolError,
         relayed=DELTAS),
    Case("failed: by an error, then failed (OpenAI)", FIRST + wire([fault(QUOTA), failed(QUOTA)]),
         0, None, QuotaExhausted, "insufficient_quota"),
    Case("failed: without a word, then an error (Azure)",
         FIRST + wire([failed(None), fault(FILTER)]), 0, None, Filtered,
         "content_policy_violation"),
    Case("failed: an error in the middle", DELTAS + wire([fault(NESTED), failed(NESTED)]), 2, None,
         ServerError, "server_error"),
    Case("failed: an error that is flat, as documented",
         DELTAS + wire([{"type": "error", "code": "rate_limit_exceeded", "param": None,
                         "message": "Please try again in 1.5s.", "sequence_number": 7}]),
         2, None, RateLimited, "rate_limit_exceeded"),
    Case("failed: an error without a code",
         DELTAS + wire([{"type": "error", "code": None, "message": "x", "sequence_number": 7}]),
         2, None, ServerError),
    Case("failed: an error without anything", DELTAS + wire([{"type": "error"}]), 2, None,
         ServerError),
    Case("failed: with its reason",
         DELTAS + wire([failed({"code": "server_error", "message": "x"})]), 2, None, ServerError,
         "server_error"),
    Case("failed: and billed", DELTAS + wire([failed(NESTED, usage=PLAIN)]), 2, Usage(20, 7),
         ServerError, "server_error"),
    Case("failed: without a word at all", DELTAS + wire([failed(None)]), 2, None, ServerError),
    Case("failed: a limit of tokens (Azure)",
         FIRST + wire([failed({"code": "rate_limit_exceeded",
                               "message": "exceeded token rate limit"})]),
         0, None, RateLimited, "rate_limit_exceeded"),
    Case("failed: too many requests (Azure)",
         FIRST + wire([failed({"code": "too_many_requests", "message": "Too Many Requests"})]),
         0, None, RateLimited, "too_many_requests"),
    Case("failed: too long",
         FIRST + wire([failed({"code": "context_length_exceeded", "message": "too long"})]),
         0, None, ContextTooLong, "context_length_exceeded"),
    Case("failed: overloaded",
         FIRST + wire([failed({"code": "server_is_overloaded", "message": "busy"})]),
         0, None, Overloaded, "server_is_overloaded"),
    Case("failed: the prompt was flagged",
         FIRST + wire([failed({"code": "invalid_prompt", "message": "usage policy"})]),
         0, None, Filtered, "invalid_prompt"),
    Case("failed: an error of a gateway before it",
         DELTAS + b'data: {"error":{"message":"bad gateway","type":"server_error"}}\n\n',
         2, None, ServerError, "server_error"),
    Case("failed: an error that is a text", DELTAS + b'data: {"error":"boom"}\n\n', 2, None,
         ServerError),
]  # fmt: skip


def body_of(output: list[Grown], **more: Any) -> bytes:
    return compact(response_of(output, **more)).encode()


BODIES = [
    *(Body(f"shape: {name}", body_of(output, **END), Usage(20, 7))
      for name, (output, _, _, _) in SHAPES.items()),
    *(Body(f"usage: {name}", body_of(TEXT, **said), used, 0 if used else 3)
      for name, (said, used) in USAGES.items() if name != "of a shape that nobody knows"),
    *(Body(f"estimated: {name}", body_of(output), None, estimate)
      for name, (output, _, _, estimate) in SHAPES.items()),
    Body("wire: indented", json.dumps(response_of(TEXT, **END), indent=2).encode(), Usage(20, 7)),
    Body("usage of a shape that nobody knows", body_of(TEXT, usage={"input_tokens": "many"}),
         None, 3),
    Body("a tier of a shape that nobody knows", body_of(TEXT, **END, service_tier=5), Usage(20, 7)),
    Body("output of a shape that nobody knows",
         compact(response_of([], **END) | {"output": {"a": 1}}).encode(), Usage(20, 7)),
    Body("incomplete", body_of(TEXT, status="incomplete", **END,
                               incomplete_details={"reason": "content_filter"}), Usage(20, 7)),
    Body("cancelled", body_of(TEXT, status="cancelled", **END), Usage(20, 7)),
    Body("azure: with filters", body_of(TEXT, **END, content_filters=[{"blocked": False}]),
         Usage(20, 7)),
    Body("no JSON", b"<html>", None, fails=ProtocolError),
    Body("nothing", b"", None, fails=ProtocolError),
    Body("failed", compact(failed(NESTED)["response"]).encode(), None, fails=ServerError),
    Body("failed by a filter", compact(failed(FILTER)["response"]).encode(), None, fails=Filtered),
    Body("failed and billed", compact(failed(NESTED, usage=PLAIN)["response"]).encode(),
         Usage(20, 7), fails=ServerError),
]  # fmt: skip


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert len({case.name for case in STREAMS}) == len(STREAMS)
    assert len({case.name for case in BODIES}) == len(BODIES)
    assert len({case.stream for case in STREAMS} | {case.body for case in BODIES}) >= 180


def play(stream: bytes, borders: list[int]) -> tuple[bytes, int, ResponsesRelay]:
    """Feed a stream cut at these places, as the gateway does: until the reader says it is over."""
    relay = ResponsesRelay("target")
    out, tokens = b"", 0
    pieces = [stream[a:b] for a, b in itertools.pairwise([0, *borders, len(stream)])]
    for place, piece in enumerate(pieces):
        whole = place == len(pieces) - 1
        relayed, count, ends = relay.read(piece, whole=whole)
        out += relayed
        tokens += count
        if ends:
            break
    return out, tokens, relay


def check(case: Case, borders: list[int]) -> None:
    out, tokens, relay = play(case.stream, borders)
    assert out == (case.stream if case.relayed is None else case.relayed)
    assert (tokens, relay.usage) == (case.tokens, case.usage)
    if case.end == "finished":
        assert relay.finished
        assert relay.failed is None
    else:
        assert type(relay.failed) is case.end
        assert relay.failed.provider_code == case.code
        assert not relay.finished


@pytest.mark.parametrize("case", STREAMS, ids=lambda case: case.name)
def test_a_stream_passes_and_is_read(case: Case) -> None:
    check(case, [])


@pytest.mark.parametrize("case", STREAMS, ids=lambda case: case.name)
def test_a_stream_is_the_same_in_small_pieces(case: Case) -> None:
    """Every piece of 7 bytes, which cuts letters and line ends; images in larger ones."""
    size = 7 if len(case.stream) < 20_000 else 4097
    check(case, list(range(size, len(case.stream), size)))


@given(st.sampled_from(STREAMS), st.data())
@settings(max_examples=150, deadline=None)
def test_a_stream_is_the_same_however_it_is_cut(case: Case, data: st.DataObject) -> None:
    places = st.lists(st.integers(0, len(case.stream)), max_size=6)
    check(case, sorted(data.draw(places)))


@pytest.mark.parametrize(
    "case", [c for c in STREAMS if c.name.startswith("shape")], ids=lambda case: case.name
)
def test_the_text_that_passes_is_the_text(case: Case) -> None:
    out, _, _ = play(case.stream, [])
    blocks = out.decode().replace("\r\n", "\n").split("\n\n")
    found = [json.loads(block.partition("data: ")[2]) for block in blocks if block]
    text = "".join(e["delta"] for e in found if e["type"] == "response.output_text.delta")
    assert text == SHAPES[case.name.partition(": ")[2]][2]


@pytest.mark.parametrize("case", BODIES, ids=lambda case: case.name)
def test_a_body_passes_and_is_read(case: Body) -> None:
    relay = ResponsesRelay("target")
    if case.fails is not None:
        with pytest.raises(case.fails):
            relay.read_whole(case.body)
        assert relay.usage == case.usage
        return
    assert relay.read_whole(case.body) == (case.body, case.estimate)
    assert relay.usage == case.usage


@pytest.mark.parametrize(
    "case", [c for c in BODIES if c.usage and not c.fails], ids=lambda case: case.name
)
def test_the_usage_of_a_body_is_found_at_its_end(case: Body) -> None:
    """Of an answer too large to keep only the last bytes are there."""
    relay = ResponsesRelay("target")
    relay.read_tail(case.body[-64 * 1024 :])
    assert relay.usage is not None
    assert case.usage is not None
    assert (relay.usage.input, relay.usage.output, relay.usage.cached) == (
        case.usage.input,
        case.usage.output,
        case.usage.cached,
    )


def test_nothing_is_said_twice_of_a_failure_that_stands_in_the_stream() -> None:
    """`is_told`: the client has read of it in its own dialect."""
    told = {case.name: play(case.stream, [])[2].is_told for case in STREAMS}
    for name, is_told in told.items():
        assert is_told == name.startswith("failed: "), name


def test_a_failure_before_the_first_token_is_known_at_once_where_it_has_a_word() -> None:
    """So that another target can be tried."""
    relay = ResponsesRelay("target")
    relay.read(FIRST, whole=False)
    relay.read(wire([fault(NESTED)]), whole=False)
    assert isinstance(relay.failed, ServerError)


def test_a_delay_in_the_words_of_a_limit_is_taken_from_there() -> None:
    case = next(c for c in STREAMS if c.name == "failed: an error that is flat, as documented")
    relay = play(case.stream, [])[2]
    assert relay.failed is not None
    assert (relay.failed.after_s, relay.failed.in_stream) == (1.5, True)


def test_an_event_without_end_is_no_event() -> None:
    relay = ResponsesRelay("target")
    for _ in range(16):
        assert relay.read(b"x" * 1024 * 1024, whole=False) == (b"", 0, False)
    with pytest.raises(ProtocolError, match="16 MiB"):
        relay.read(b"x", whole=False)


FRAGMENTS = [
    b"data: ", b"event: x\n", b"\n\n", b"\r\n", b"{", b"}", b'"type":"response.failed"',
    b'"type":"response.output_text.delta"', b'"delta":""', b'"response":{', b'"error":', b"null",
    b"[DONE]", b'"usage":{"input_tokens":', b"\xff", b": ", b'"type":"error"', b'"', b",", b"5",
]  # fmt: skip


@given(st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=4), max_size=40))
@settings(max_examples=200, deadline=None)
def test_whatever_comes_passes_or_is_a_failure(pieces: list[bytes]) -> None:
    """No stream ends without having been finished or failed, and none is invented."""
    relay = ResponsesRelay("target")
    out = b""
    for place, piece in enumerate([*pieces, b""]):
        relayed, tokens, ends = relay.read(piece, whole=place == len(pieces))
        out += relayed
        assert tokens >= 0
        if ends:
            break
    assert b"".join(pieces).startswith(out)
    assert relay.finished or relay.failed is not None
