"""Events as chat's bytes: what OpenAI's own client makes of them."""

import json
from typing import Any

import msgspec
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from towplane.parts.usage import Detail, Usage
from towplane.providers.adapter import Writer
from towplane.providers.ask import OPERATIONS, Ask, OperationName
from towplane.providers.conversation.answer import (
    CallBegins,
    CallGrows,
    Cited,
    Ended,
    Event,
    Finish,
    LogProbs,
    PartEnds,
    RedactedThought,
    RefusalGrows,
    Signed,
    Started,
    TextGrows,
    ThoughtGrows,
    Used,
)
from towplane.providers.dialects.chat import make_writer, read
from towplane.providers.dialects.chat.completions import CompletionsWriter
from towplane.providers.dialects.chat.write import ChatWriter

STARTED = Started("chatcmpl-1", "m-1", 5)
USED = Used(Usage(10, 4, 3, Detail(reasoning=2)))
URL = msgspec.Raw(
    b'{"type":"web_search_result_location","url":"https://x","title":"X","cited_text":"c",'
    b'"encrypted_index":"e"}'
)
PAGE = msgspec.Raw(b'{"type":"page_location","cited_text":"c","document_index":0}')
TOKEN = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}


def writer(*, tells_usage: bool = True) -> ChatWriter:
    return ChatWriter("asked", 7, tells_usage=tells_usage)


def chunks(events: list[Event], of: Writer | None = None) -> list[dict[str, Any]]:
    """The chunks, each event written by itself; every one is what the official client takes."""
    of = of or writer()
    stream = b"".join(of.stream([event]) for event in events) + of.end()
    blocks = stream.split(b"\n\n")
    assert blocks[-2:] == [b"data: [DONE]", b""]
    found = [json.loads(block.removeprefix(b"data: ")) for block in blocks[:-2]]
    if isinstance(of, ChatWriter):
        for chunk in found:
            assert ChatCompletionChunk.model_validate(chunk, strict=True)
    return found


def deltas(events: list[Event]) -> list[dict[str, Any]]:
    """The deltas, without the one that says the role."""
    found = [choice for chunk in chunks([STARTED, *events]) for choice in chunk["choices"]]
    assert found[0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    return [choice["delta"] for choice in found[1:]]


def whole(events: list[Event]) -> dict[str, Any]:
    body = json.loads(writer().whole([STARTED, *events]))
    assert ChatCompletion.model_validate(body, strict=True)
    return dict(body)


def assembled(events: list[Event]) -> dict[str, Any]:
    """What OpenAI's own client makes of a stream, as a body."""
    state: Any = ChatCompletionStreamState()
    for chunk in chunks([STARTED, *events]):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    return dict(state.current_completion_snapshot.model_dump())


def test_a_stream_of_text() -> None:
    found = chunks([STARTED, TextGrows("a"), TextGrows("b"), Ended("stop"), USED])
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "m-1"}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return head | {"choices": [choice], "usage": None}

    assert found[:-1] == [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        chunk({"content": "a"}),
        chunk({"content": "b"}),
        chunk({}, "stop"),
    ]
    assert found[-1] == head | {
        "choices": [],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 4,
            "total_tokens": 14,
            "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0},
        },
    }


def test_usage_is_told_only_to_those_who_asked_and_only_if_it_is_known() -> None:
    events: list[Event] = [STARTED, TextGrows("a"), Ended("stop")]
    silent = chunks([*events, USED], writer(tells_usage=False))
    assert all("usage" not in chunk for chunk in silent)
    assert all(chunk["usage"] is None for chunk in chunks(events))
    assert "usage" not in whole(events[1:]), "unknown usage is absent"


def test_the_last_usage_counts() -> None:
    found = chunks([STARTED, Used(Usage(1)), TextGrows("a"), Ended("stop"), Used(Usage(2, 3))])
    assert found[-1]["usage"]["total_tokens"] == 5


def test_cache_writes_of_any_life_and_the_price_class_are_told() -> None:
    detail = Detail(cache_write=2, cache_write_1h=3, image_input=4, service="flex")
    found = whole([TextGrows("a"), Ended("stop"), Used(Usage(20, 1, 0, detail))])
    assert found["service_tier"] == "flex"
    assert found["usage"]["prompt_tokens_details"] == {
        "cached_tokens": 0,
        "audio_tokens": 0,
        "cache_write_tokens": 5,
        "image_tokens": 4,
    }


def test_what_the_provider_does_not_say_is_said_by_the_plane() -> None:
    found = chunks([TextGrows("a"), Ended("stop")])
    assert found[0]["model"] == "asked"
    assert found[0]["created"] == 7
    assert found[0]["id"].startswith("chatcmpl-")
    assert len({chunk["id"] for chunk in found}) == 1


def test_thoughts_stand_beside_the_text_and_are_signed_at_their_end() -> None:
    events: list[Event] = [
        ThoughtGrows("let me "),
        ThoughtGrows("see"),
        Signed("sig"),
        RedactedThought("xyz"),
        PartEnds(),
        TextGrows("a"),
        Ended("stop"),
    ]
    blocks: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "let me see", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xyz"},
    ]
    assert deltas(events) == [
        {"reasoning_content": "let me "},
        {"reasoning_content": "see"},
        {"thinking_blocks": [{"index": 0} | blocks[0]]},
        {"thinking_blocks": [{"index": 1} | blocks[1]]},
        {"content": "a"},
        {},
    ]
    message = whole(events)["choices"][0]["message"]
    assert message["thinking_blocks"] == blocks
    assert (message["content"], message["reasoning_content"]) == ("a", "let me see")


def test_two_thoughts_have_two_signatures() -> None:
    events: list[Event] = [
        ThoughtGrows("a"),
        Signed("1"),
        PartEnds(),
        ThoughtGrows("b"),
        Signed("2"),
        Ended("stop"),
    ]
    blocks = whole(events)["choices"][0]["message"]["thinking_blocks"]
    assert [(one["thinking"], one["signature"]) for one in blocks] == [("a", "1"), ("b", "2")]


def test_calls_grow_by_their_index_and_carry_geminis_signature() -> None:
    events: list[Event] = [
        TextGrows("a"),
        CallBegins(0, "c1", "f", "sig"),
        CallGrows(0, '{"a":'),
        CallGrows(0, "1}"),
        Signed("of the next"),
        CallBegins(1, "c2", "g"),
        CallGrows(1, "{}"),
        Ended("tool_calls"),
    ]
    first = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
    second = {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}}
    signed = {"extra_content": {"google": {"thought_signature": "sig"}}}
    next_signed = {"extra_content": {"google": {"thought_signature": "of the next"}}}
    assert deltas(events) == [
        {"content": "a"},
        {"tool_calls": [{"index": 0} | first | signed]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
        {"tool_calls": [{"index": 1} | second | next_signed]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {},
    ]
    choice = whole(events)["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert [call["function"] for call in choice["message"]["tool_calls"]] == [
        {"name": "f", "arguments": '{"a":1}'},
        {"name": "g", "arguments": "{}"},
    ]


def test_a_call_alone_has_no_content() -> None:
    events: list[Event] = [CallBegins(0, "c", "f"), CallGrows(0, "{}"), Ended("tool_calls")]
    assert whole(events)["choices"][0]["message"]["content"] is None
    assert whole([Ended("stop")])["choices"][0]["message"]["content"] == ""


def test_a_signature_of_no_call_comes_back_as_a_thought_without_words() -> None:
    """Gemini signs text, too; the next turn must bring it back."""
    message = whole([TextGrows("a"), Signed("sig"), Ended("stop")])["choices"][0]["message"]
    assert message["thinking_blocks"] == [{"type": "thinking", "thinking": "", "signature": "sig"}]


def test_sources_say_which_text_they_are_of() -> None:
    events: list[Event] = [
        TextGrows("I saw: "),
        PartEnds(),
        Cited(URL),
        TextGrows("blue "),
        TextGrows("skies"),
        PartEnds(),
        TextGrows("."),
        Cited(PAGE),
        Ended("stop"),
    ]
    place = {"start_index": 7, "end_index": 17, "url": "https://x", "title": "X"}
    found = deltas(events)
    assert {"annotations": [{"index": 0, "type": "url_citation", "url_citation": place}]} in found
    assert {"citations": [{"index": 0} | json.loads(bytes(PAGE))]} in found
    message = whole(events)["choices"][0]["message"]
    assert message["annotations"] == [{"type": "url_citation", "url_citation": place}]
    assert message["citations"] == [json.loads(bytes(PAGE))]
    assert message["content"][7:17] == "blue skies"


def test_a_refusal_is_no_content() -> None:
    events: list[Event] = [RefusalGrows("I "), RefusalGrows("won't"), Ended("refusal")]
    choice = whole(events)["choices"][0]
    assert (choice["message"]["content"], choice["message"]["refusal"]) == (None, "I won't")
    assert choice["finish_reason"] == "stop"
    assert deltas(events) == [{"refusal": "I "}, {"refusal": "won't"}, {}]


def test_log_probabilities_are_told() -> None:
    told = LogProbs([msgspec.Raw(json.dumps(TOKEN).encode())])
    events: list[Event] = [TextGrows("a"), told, Ended("stop")]
    assert whole(events)["choices"][0]["logprobs"] == {"content": [TOKEN], "refusal": None}
    assert assembled(events)["choices"][0]["logprobs"]["content"] == [TOKEN]


def test_choices_are_told_apart() -> None:
    events: list[Event] = [
        TextGrows("a"),
        TextGrows("b", 1),
        Ended("stop"),
        Ended("length", choice=1),
    ]
    choices = whole(events)["choices"]
    assert [(one["index"], one["message"]["content"], one["finish_reason"]) for one in choices] == [
        (0, "a", "stop"),
        (1, "b", "length"),
    ]


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("stop", "stop"),
        ("stop_sequence", "stop"),
        ("length", "length"),
        ("context_full", "length"),
        ("tool_calls", "tool_calls"),
        ("refusal", "content_filter"),
        ("content_filter", "content_filter"),
        ("pause", "length"),
        ("malformed", "stop"),
        ("other", "stop"),
    ],
)
def test_every_end_has_a_word_and_none_is_hidden(reason: Finish, word: str) -> None:
    ended = Ended(reason, "###" if reason == "stop_sequence" else "", "THEIRS")
    choice = whole([TextGrows("a"), ended])["choices"][0]
    assert choice["finish_reason"] == word
    assert choice.get("stop_reason") == ("###" if reason == "stop_sequence" else None)
    is_same = reason in ("stop", "stop_sequence", "length", "tool_calls", "content_filter")
    assert choice.get("native_finish_reason") == (None if is_same else "THEIRS")
    streamed = chunks([STARTED, TextGrows("a"), ended])[-1]["choices"][0]
    assert {name: choice[name] for name in choice if "reason" in name} == {
        name: streamed[name] for name in streamed if "reason" in name
    }


FULL: list[Event] = [
    ThoughtGrows("hm "),
    ThoughtGrows("hm"),
    Signed("sig"),
    RedactedThought("xyz"),
    Cited(URL),
    TextGrows("a"),
    TextGrows("b"),
    Cited(PAGE),
    CallBegins(0, "c1", "f", "s"),
    CallGrows(0, '{"a"'),
    CallGrows(0, ":1}"),
    CallBegins(1, "c2", "g"),
    Ended("tool_calls"),
    USED,
]


def test_the_official_client_puts_a_stream_together_as_the_body_has_it() -> None:
    streamed = assembled(FULL)["choices"][0]["message"]
    message = whole(FULL)["choices"][0]["message"]
    for listed in ("thinking_blocks", "annotations", "citations", "tool_calls"):
        for one in streamed[listed]:
            one.pop("index", None)
    for call in streamed["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
    found = {name: streamed[name] for name in message}
    assert found == message


def test_an_answer_can_be_sent_back_as_it_is() -> None:
    """Thoughts, signatures and calls come back as what they were."""
    message = whole(FULL)["choices"][0]["message"]
    raw = msgspec.Raw(json.dumps([message]).encode())
    parts = read({"messages": raw}).messages[0].parts
    assert [type(part).__name__ for part in parts] == [
        "Thinking", "Redacted", "Text", "ToolCall", "ToolCall",
    ]  # fmt: skip
    assert (parts[0].text, parts[0].signature) == ("hm hm", "sig")  # type: ignore[union-attr]
    assert parts[3].signature == "s"  # type: ignore[union-attr]


# Completions


def test_completions_are_text_alone() -> None:
    def write() -> CompletionsWriter:
        return CompletionsWriter("asked", 7, tells_usage=True)

    told = LogProbs([msgspec.Raw(json.dumps(TOKEN).encode())])
    events: list[Event] = [STARTED, ThoughtGrows("hm"), TextGrows("a"), told, TextGrows("b")]
    events += [Ended("length"), USED]
    body = json.loads(write().whole(events))
    assert Completion.model_validate(body, strict=True)
    assert body["object"] == "text_completion"
    assert body["choices"] == [
        {
            "index": 0,
            "text": "ab",
            "logprobs": {
                "tokens": ["a"],
                "token_logprobs": [-0.5],
                "top_logprobs": [{}],
                "text_offset": [0],
            },
            "finish_reason": "length",
        }
    ]
    assert body["usage"]["total_tokens"] == 14
    found = chunks(events, write())
    assert "".join(c["choices"][0]["text"] for c in found if c["choices"]) == "ab"
    assert found[-1]["usage"]["total_tokens"] == 14
    assert found[-2]["choices"][0]["finish_reason"] == "length"


def test_the_operation_decides_who_writes() -> None:
    names: tuple[OperationName, ...] = ("chat", "completions")
    for name in names:
        ask = Ask(OPERATIONS[name], {}, "m")
        made = make_writer(ask)
        assert type(made) is (ChatWriter if name == "chat" else CompletionsWriter)
        body = json.loads(made.whole([TextGrows("a"), Ended("stop")]))
        assert body["created"] > 1_700_000_000
