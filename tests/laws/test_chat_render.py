"""A conversation as a chat request: nothing is lost in silence, order and marks stay."""

import json
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.parts.errors import BadRequest
from towplane.providers.adapter import Losses
from towplane.providers.conversation.request import (
    Audio,
    Conversation,
    Document,
    Foreign,
    Image,
    Message,
    Output,
    Part,
    Reasoning,
    Redacted,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from towplane.providers.dialects.chat import ENGINES, OPENAI, Accepts, read, render_chat

ALL = Accepts(
    limit="max_completion_tokens",
    top_k=True,
    thoughts=True,
    thinking_blocks=True,
    google_signatures=True,
    cache_marks=True,
)


def rendered(it: Conversation, accepts: Accepts = OPENAI, *lost: str) -> dict[str, Any]:
    """The body; `lost` is all that is dropped on the way, and each of it is refused elsewhere."""
    losses = Losses(may_drop=True)
    body = json.loads(render_chat(it, "m", losses, "t", accepts))
    assert losses.dropped == list(lost)
    if lost:
        with pytest.raises(BadRequest) as caught:
            render_chat(it, "m", Losses(may_drop=False), "t", accepts)
        assert caught.value.param == lost[0]
        assert caught.value.reason == "unsupported-parameter"
    return dict(body)


def turns(*messages: Message, accepts: Accepts = OPENAI, lost: tuple[str, ...] = ()) -> Any:
    return rendered(Conversation(list(messages)), accepts, *lost)["messages"]


def test_a_plain_request() -> None:
    it = Conversation([Message("system", [Text("s")]), Message("user", [Text("u")])])
    assert rendered(it) == {
        "model": "m",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
    }


def test_every_stream_is_asked_for_its_usage() -> None:
    body = rendered(Conversation([], stream=True))
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


@dataclass(frozen=True)
class Case:
    name: str
    given: Message
    want: list[dict[str, Any]]
    accepts: Accepts = OPENAI
    lost: tuple[str, ...] = ()


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CASES = [
    Case(
        "parts",
        Message("user", [Text("a"), Image(url="https://x", detail="low"), Text("b")]),
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}},
                    {"type": "text", "text": "b"},
                ],
            }
        ],
    ),
    Case(
        "an image by value",
        Message("user", [Image("image/png", "QQ==")]),
        [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}
                ],
            }
        ],
    ),
    Case(
        "audio",
        Message("user", [Audio("QQ==", "wav")]),
        [
            {
                "role": "user",
                "content": [
                    {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}}
                ],
            }
        ],
    ),
    Case(
        "a file",
        Message("user", [Document("application/pdf", "QQ==", name="a.pdf")]),
        [
            {
                "role": "user",
                "content": [
                    {
                        "type": "file",
                        "file": {
                            "filename": "a.pdf",
                            "file_data": "data:application/pdf;base64,QQ==",
                        },
                    }
                ],
            }
        ],
    ),
    Case(
        "a file for a server that takes none",
        Message("user", [Text("u"), Document("application/pdf", "QQ==")]),
        [{"role": "user", "content": "u"}],
        ENGINES,
        ("document",),
    ),
    Case(
        "a text to read",
        Message("user", [Document(text="words", name="n", context="c")]),
        [{"role": "user", "content": "n\nc\n\nwords"}],
        ENGINES,
    ),
    Case(
        "a text to cite",
        Message("user", [Document(text="words", cites=True)]),
        [{"role": "user", "content": "words"}],
        lost=("citations",),
    ),
    Case(
        "a document elsewhere",
        Message("user", [Text("u"), Document(url="https://x")]),
        [{"role": "user", "content": "u"}],
        lost=("document",),
    ),
    Case(
        "developer for an engine",
        Message("developer", [Text("d")]),
        [{"role": "system", "content": "d"}],
        ENGINES,
    ),
    Case("developer", Message("developer", [Text("d")]), [{"role": "developer", "content": "d"}]),
    Case(
        "a name",
        Message("user", [Text("u")], "ann"),
        [{"role": "user", "content": "u", "name": "ann"}],
    ),
    Case(
        "results stand behind the call, before what the user says",
        Message("user", [Text("u"), ToolResult("c", [Text("r")]), ToolResult("d", [])]),
        [
            {"role": "tool", "tool_call_id": "c", "content": "r"},
            {"role": "tool", "tool_call_id": "d", "content": ""},
            {"role": "user", "content": "u"},
        ],
    ),
    Case(
        "a result that failed",
        Message("user", [ToolResult("c", [Text("r")], is_error=True)]),
        [
            {
                "role": "tool",
                "tool_call_id": "c",
                "content": [
                    {"type": "text", "text": "The tool failed:"},
                    {"type": "text", "text": "r"},
                ],
            }
        ],
    ),
    Case(
        "a result with an image",
        Message("user", [ToolResult("c", [Text("r"), Image(url="https://x")]), Text("u")]),
        [
            {"role": "tool", "tool_call_id": "c", "content": "r"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Returned by c:"},
                    {"type": "image_url", "image_url": {"url": "https://x"}},
                    {"type": "text", "text": "u"},
                ],
            },
        ],
    ),
    Case(
        "a call",
        Message("assistant", [Text("a"), ToolCall("c", "f", "{}", "sig")]),
        [{"role": "assistant", "content": "a", "tool_calls": [CALL]}],
    ),
    Case(
        "a call alone",
        Message("assistant", [ToolCall("c", "f", "{}")]),
        [{"role": "assistant", "content": None, "tool_calls": [CALL]}],
    ),
    Case(
        "a call with its signature",
        Message("assistant", [ToolCall("c", "f", "{}", "sig")]),
        [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [CALL | {"extra_content": {"google": {"thought_signature": "sig"}}}],
            }
        ],
        ALL,
    ),
    Case(
        "a refusal",
        Message("assistant", [Refusal("no")]),
        [{"role": "assistant", "content": None, "refusal": "no"}],
    ),
    Case(
        "thoughts nobody wants",
        Message("assistant", [Thinking("hm", "sig"), Text("a")]),
        [{"role": "assistant", "content": "a"}],
    ),
    Case(
        "thoughts for an engine",
        Message("assistant", [Thinking("hm", "sig"), Text("a")]),
        [{"role": "assistant", "content": "a", "reasoning_content": "hm"}],
        ENGINES,
    ),
    Case(
        "thoughts with their signatures",
        Message("assistant", [Thinking("hm", "sig"), Redacted("xyz"), Text("a")]),
        [
            {
                "role": "assistant",
                "content": "a",
                "reasoning_content": "hm",
                "thinking_blocks": [
                    {"type": "thinking", "thinking": "hm", "signature": "sig"},
                    {"type": "redacted_thinking", "data": "xyz"},
                ],
            }
        ],
        ALL,
    ),
    Case(
        "what only its maker can read",
        Message("assistant", [Redacted("xyz"), Text("a")]),
        [{"role": "assistant", "content": "a"}],
        lost=("redacted_thinking",),
    ),
    Case(
        "what has no normal form",
        Message("user", [Text("u"), Foreign("messages[0].content[1]", msgspec.Raw(b"{}"))]),
        [{"role": "user", "content": "u"}],
        lost=("messages[0].content[1]",),
    ),
    Case(
        "sources of an earlier answer",
        Message("assistant", [Text("a", citations=[msgspec.Raw(b"{}")])]),
        [{"role": "assistant", "content": "a"}],
        lost=("citations",),
    ),
    Case(
        "a mark nobody takes",
        Message("user", [Text("u", "1h")]),
        [{"role": "user", "content": "u"}],
    ),
    Case(
        "marks",
        Message("user", [Text("u", "1h"), Text("v", "5m")]),
        [
            {
                "role": "user",
                "content": [
                    {
                        "type": "text",
                        "text": "u",
                        "cache_control": {"type": "ephemeral", "ttl": "1h"},
                    },
                    {"type": "text", "text": "v", "cache_control": {"type": "ephemeral"}},
                ],
            }
        ],
        ALL,
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_message(case: Case) -> None:
    assert turns(case.given, accepts=case.accepts, lost=case.lost) == case.want


SCHEMA = msgspec.Raw(b'{"type": "object", "properties":{"b":{},"a":{}}}')


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        ({"max_tokens": 9}, {"max_completion_tokens": 9}),
        ({"temperature": 0.0}, {"temperature": 0.0}),
        ({"top_p": 0.5}, {"top_p": 0.5}),
        ({"stop": ["x"]}, {"stop": ["x"]}),
        ({"seed": 0}, {"seed": 0}),
        ({"samples": 2}, {"n": 2}),
        ({"presence_penalty": 0.5}, {"presence_penalty": 0.5}),
        ({"frequency_penalty": 0.5}, {"frequency_penalty": 0.5}),
        ({"logit_bias": msgspec.Raw(b'{"1":2}')}, {"logit_bias": {"1": 2}}),
        ({"logprobs": True, "top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
        ({"user": "u"}, {"user": "u"}),
        ({"metadata": {"a": "b"}}, {"metadata": {"a": "b"}}),
        ({"service": "flex"}, {"service_tier": "flex"}),
        ({"output": Output("text")}, {"response_format": {"type": "text"}}),
        ({"output": Output("json")}, {"response_format": {"type": "json_object"}}),
        (
            {"output": Output("schema", schema=SCHEMA, strict=True)},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {
                        "name": "answer",
                        "schema": json.loads(bytes(SCHEMA)),
                        "strict": True,
                    },
                }
            },
        ),
        ({"reasoning": Reasoning("low")}, {"reasoning_effort": "low"}),
        ({"reasoning": Reasoning("none", is_off=True)}, {"reasoning_effort": "none"}),
        ({"reasoning": Reasoning(is_off=True)}, {}),
        ({"reasoning": Reasoning()}, {}),
        ({"reasoning": Reasoning(budget=1024)}, {"reasoning_effort": "low"}),
        ({"reasoning": Reasoning(budget=2048)}, {"reasoning_effort": "medium"}),
        ({"reasoning": Reasoning(budget=30_000)}, {"reasoning_effort": "high"}),
        (
            {"reasoning": Reasoning(budget=3000), "max_tokens": 30_000},
            {"reasoning_effort": "low", "max_completion_tokens": 30_000},
        ),
        (
            {"reasoning": Reasoning(budget=16_000), "max_tokens": 32_000},
            {"reasoning_effort": "medium", "max_completion_tokens": 32_000},
        ),
    ],
)
def test_a_parameter(fields: dict[str, Any], want: dict[str, Any]) -> None:
    assert rendered(Conversation([], **fields)) == {"model": "m", "messages": []} | want


def test_tools_are_told_in_order_and_to_the_byte() -> None:
    it = Conversation([], tools=[Tool("g", "d", SCHEMA, True), Tool("f")])
    body = render_chat(it, "m", Losses(may_drop=False), "t")
    assert bytes(SCHEMA) in body
    assert [tool["function"]["name"] for tool in json.loads(body)["tools"]] == ["g", "f"]


@pytest.mark.parametrize(
    ("choice", "want"),
    [
        (None, {}),
        (ToolChoice(), {"tool_choice": "auto"}),
        (ToolChoice("none"), {"tool_choice": "none"}),
        (ToolChoice("any"), {"tool_choice": "required"}),
        (
            ToolChoice("tool", "f"),
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        ),
        (ToolChoice(parallel=False), {"parallel_tool_calls": False}),
        (
            ToolChoice("any", parallel=True),
            {"tool_choice": "required", "parallel_tool_calls": True},
        ),
    ],
)
def test_a_choice_of_tools(choice: ToolChoice | None, want: dict[str, Any]) -> None:
    body = rendered(Conversation([], tools=[Tool("f")], tool_choice=choice))
    assert {name: body[name] for name in body if name not in ("model", "messages", "tools")} == want
    alone = rendered(Conversation([], tool_choice=choice))
    assert set(alone) == {"model", "messages"}, "a choice without tools is refused by OpenAI"


def test_what_not_every_server_takes() -> None:
    it = Conversation([], top_k=5, reasoning=Reasoning("low", summary="auto"), max_tokens=3)
    body = rendered(it, OPENAI, "top_k", "reasoning.summary")
    assert "top_k" not in body
    body = rendered(it, ENGINES)
    assert (body["top_k"], body["max_tokens"]) == (5, 3)


def test_a_refusal_uses_the_clients_own_word() -> None:
    it = Conversation([], top_k=5, params={"top_k": "topK"})
    rendered(it, OPENAI, "topK")


def test_fields_without_a_form_are_refused_unless_the_server_knows_them() -> None:
    extra = {"store": msgspec.Raw(b"true"), "truncation": msgspec.Raw(b'"auto"')}
    body = rendered(Conversation([], extra=extra), OPENAI, "truncation")
    assert body["store"] is True
    assert "store" not in rendered(Conversation([], extra=extra), ENGINES, "store", "truncation")


# There and back

words = st.text(min_size=1, max_size=5)
marks = st.sampled_from(["", "5m", "1h"])
texts = st.builds(Text, words, marks)
images = st.builds(
    Image, st.just("image/png"), st.just("QQ=="), detail=st.sampled_from(["", "low"]), cache=marks
) | st.builds(Image, url=st.just("https://x/y"), cache=marks)
documents = st.builds(
    Document, st.just("application/pdf"), st.just("QQ=="), name=st.just("a.pdf"), cache=marks
)
results = st.builds(ToolResult, words, st.lists(texts, min_size=1, max_size=2), cache=marks)
audio = st.builds(Audio, st.just("QQ=="), st.just("mp3"))
user_parts: st.SearchStrategy[list[Part]] = st.lists(
    texts | images | documents | audio, min_size=1, max_size=3
)
calls = st.builds(ToolCall, words, words, st.just('{"a":1}'), st.sampled_from(["", "sig"]), marks)
thoughts = st.lists(st.builds(Thinking, words, words) | st.builds(Redacted, words), max_size=2)


@st.composite
def histories(draw: st.DrawFn) -> list[Message]:
    found = [Message("system", [*draw(st.lists(texts, min_size=1, max_size=2))])]
    for _ in range(draw(st.integers(0, 3))):
        found.append(Message("user", draw(user_parts), draw(st.sampled_from(["", "ann"]))))
        said: list[Part] = [*draw(thoughts), *draw(st.lists(texts, max_size=2))]
        said += draw(st.lists(calls, max_size=2))
        found.append(Message("assistant", said or [Text("a")]))
        told: list[Part] = [*draw(st.lists(results, max_size=2))]
        if told:
            found.append(Message("user", told))
    return found


@settings(max_examples=100, deadline=None)
@given(histories(), st.booleans())
def test_there_and_back_is_the_same(messages: list[Message], stream: bool) -> None:
    """Conversation → chat → Conversation: meaning, order and every cache mark."""
    it = Conversation(
        messages,
        stream=stream,
        tools=[Tool("g", "d", SCHEMA, True, "1h"), Tool("f")],
        tool_choice=ToolChoice("any", parallel=False),
        output=Output("schema", "n", "d", SCHEMA, True),
        max_tokens=5,
        temperature=0.5,
        top_k=3,
        stop=["x"],
        reasoning=Reasoning("low"),
        user="u",
    )
    body = render_chat(it, "m", Losses(may_drop=False), "t", ALL)
    back = read(msgspec.json.decode(body, type=dict[str, msgspec.Raw]))
    back.params = {}
    assert back == it
    assert render_chat(back, "m", Losses(may_drop=False), "t", ALL) == body
