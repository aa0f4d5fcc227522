"""Parsing chat: what breaks an answer, choices beside each other, and the short cut for text."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.parts.errors import ProtocolError
from towplane.providers.conversation.answer import (
    CallBegins,
    CallGrows,
    Ended,
    Event,
    Failed,
    TextGrows,
    ThoughtGrows,
)
from towplane.providers.dialects.chat.parse import ChatParser
from towplane.providers.dialects.chat.template import template_of
from towplane.providers.dialects.chat.write import ChatWriter

DONE = b"data: [DONE]\n\n"


def event(value: Any, **options: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps(value, **options).encode(errors="replace")


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} | more


A = event(chunk({"content": "a"}))


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"", "upstream-truncated"),
        (b": ping\n\n", "upstream-truncated"),
        (A, "upstream-truncated"),
        (A[:-20], "upstream-protocol"),
        (b"data: nonsense\n\n", "upstream-protocol"),
        (b'data: {"choices":5}\n\n', "upstream-protocol"),
        (b"data: [1]\n\n", "upstream-protocol"),
        (b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', "upstream-protocol"),
    ],
)
def test_a_stream_that_breaks_is_said_to_break(stream: bytes, reason: str) -> None:
    def play() -> None:
        parser = ChatParser("t")
        parser.feed(stream)
        parser.close()

    with pytest.raises(ProtocolError) as caught:
        play()
    assert caught.value.reason == reason


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b'{"choices":[]}', b"null"])
def test_a_body_that_is_no_answer_is_said_to_be_none(body: bytes) -> None:
    parser = ChatParser("t")
    with pytest.raises(ProtocolError) as caught:
        parser.whole(body)
    assert caught.value.reason == "upstream-protocol"


def test_an_event_without_end_is_not_kept_for_ever() -> None:
    parser = ChatParser("t")
    for _ in range(4):
        parser.feed(b"x" * 1024 * 1024)
    with pytest.raises(ProtocolError):
        parser.feed(b"x")


def test_choices_are_told_apart() -> None:
    chunks = [
        {"choices": [{"index": i, "delta": {"content": x}} for i, x in ((0, "a"), (1, "b"))]},
        {"choices": [{"index": 1, "delta": {"content": "d"}}]},
        {"choices": [{"index": 0, "delta": {"content": "c"}, "finish_reason": "stop"}]},
        {"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]},
    ]
    events = ChatParser("t").feed(b"".join(map(event, chunks)) + DONE)
    texts = [(one.choice, one.text) for one in events if isinstance(one, TextGrows)]
    assert texts == [(0, "a"), (1, "b"), (1, "d"), (0, "c")]
    ends = [(one.choice, one.reason) for one in events if isinstance(one, Ended)]
    assert ends == [(0, "stop"), (1, "length")]


# The short cut


def deltas(key: str, texts: list[str], **options: Any) -> bytes:
    return b"".join(event(chunk({key: text}), **options) for text in texts)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text(), min_size=2, max_size=8),
    st.sampled_from(["content", "reasoning_content", "reasoning"]),
    st.booleans(),
    st.booleans(),
)
def test_any_text_comes_through_the_short_cut(
    texts: list[str], key: str, is_ascii: bool, is_tight: bool
) -> None:
    """Escapes, quotes and what looks like the wire itself, in chunks that are otherwise alike."""
    texts = [text.encode(errors="replace").decode() for text in texts]
    separators = (",", ":") if is_tight else (", ", ": ")
    stream = deltas(key, texts, ensure_ascii=is_ascii, separators=separators)
    events = ChatParser("t").feed(stream)
    found = [one.text for one in events if isinstance(one, TextGrows | ThoughtGrows)]
    assert found == [text for text in texts if text]


@pytest.mark.parametrize(
    "other",
    [
        '{"content":"x"},"finish_reason":"stop"}]}',
        '{"content":"x","reasoning_content":"y"},"finish_reason":null}]}',
        '{"content":"x"},"finish_reason":null}],"usage":{"prompt_tokens":1}}',
        '{"content":null},"finish_reason":null}]}',
        '{"content":5},"finish_reason":null}]}',
        '{"content":"x"},"finish_reason":null},{"index":1,"delta":{"content":"z"}}]}',
    ],
)
def test_what_only_looks_alike_is_read_in_full(other: str) -> None:
    """After two plain chunks, one that begins or ends as they do reads as it does alone."""
    begin = 'data: {"id":"c","choices":[{"index":0,"delta":'
    plain = f'{begin}{{"content":"a"}},"finish_reason":null}}]}}\n\n'.encode()
    strange = f"{begin}{other}\n\n".encode()

    def read(payload: bytes, parser: ChatParser) -> list[Event] | str:
        try:
            return parser.feed(payload)
        except ProtocolError as error:
            return error.reason

    known = ChatParser("t")
    known.feed(plain + plain)
    fresh = ChatParser("t")
    fresh.feed(b'data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n')
    assert read(strange, known) == read(strange, fresh)


def test_arguments_take_the_short_cut_too() -> None:
    begins = {"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}
    pieces = ['{"a"', ": 1", ', "b": "\\"}"}']
    grows = [{"index": 0, "function": {"arguments": piece}} for piece in pieces]
    stream = b"".join(event(chunk({"tool_calls": [call]})) for call in [begins, *grows])
    events = ChatParser("t").feed(stream)
    assert [one for one in events if isinstance(one, CallBegins)] == [CallBegins(0, "c", "f")]
    grown = [one for one in events if isinstance(one, CallGrows)]
    assert grown == [CallGrows(0, piece) for piece in pieces]


def test_a_template_needs_one_event_in_one_line() -> None:
    raw = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    assert template_of(raw, TextGrows("a")) is not None
    assert template_of(raw, TextGrows("b")) is None, "the text must be found where it stands"
    assert template_of(raw.replace(b"\n\n", b"\r\n\r\n"), TextGrows("a")) is None
    assert template_of(b": x\n" + raw, TextGrows("a")) is None
    assert template_of(raw, Ended("stop")) is None


# Whatever comes

leaves = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1, 1) | st.text(max_size=3)
    | st.sampled_from(["stop", "abort", "function", "thinking", "error"])
)  # fmt: skip
keys = st.sampled_from(
    [
        "choices", "delta", "message", "content", "reasoning", "tool_calls", "function", "index",
        "name", "arguments", "id", "finish_reason", "usage", "prompt_tokens", "completion_tokens",
        "error", "thinking_blocks", "annotations", "logprobs", "created", "object", "x_groq", "x",
    ]
)  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
choices = st.fixed_dictionaries(
    {}, optional={"delta": values, "message": values, "index": values, "finish_reason": leaves}
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        values
        | st.fixed_dictionaries(
            {"choices": st.lists(choices, max_size=2)}, optional={"usage": values, "error": values}
        ),
        max_size=4,
    )
)
def test_whatever_comes_makes_events_or_breaks_the_answer(values: list[Any]) -> None:
    parser, writer = ChatParser("t"), ChatWriter("m", 1, tells_usage=True)
    try:
        events = parser.feed(b"".join(map(event, values)))
        if not any(isinstance(one, Failed) for one in events):
            events += parser.close()
    except ProtocolError:
        return
    for block in writer.stream(events).split(b"\n\n"):
        assert not block or json.loads(block.removeprefix(b"data: "))
