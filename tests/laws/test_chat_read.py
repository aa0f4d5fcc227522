"""Chat requests in normal form, and the name of what is wrong in one."""

import json
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from towplane.parts.errors import BadRequest
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
from towplane.providers.dialects.chat import read

PNG = "iVBORw0KGgo="
MARK: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}
HOUR: dict[str, Any] = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def given(**fields: Any) -> Conversation:
    fields.setdefault("messages", [])
    raw = msgspec.json.decode(json.dumps(fields), type=dict[str, msgspec.Raw])
    before = {name: bytes(value) for name, value in raw.items()}
    conversation = read(raw)
    assert {name: bytes(value) for name, value in raw.items()} == before, "the request is kept"
    return conversation


def turns(*messages: dict[str, Any]) -> list[Message]:
    return given(messages=list(messages)).messages


def user(*parts: dict[str, Any]) -> list[Part]:
    return turns({"role": "user", "content": list(parts)})[0].parts


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def call(name: str = "f", **more: Any) -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": "{}"}} | more


# Messages


@dataclass(frozen=True)
class Turn:
    name: str
    given: dict[str, Any]
    want: Message


TURNS = [
    Turn("system", {"role": "system", "content": "s"}, Message("system", [Text("s")])),
    Turn("developer", {"role": "developer", "content": "d"}, Message("developer", [Text("d")])),
    Turn(
        "a user with a name",
        {"role": "user", "content": "u", "name": "ann"},
        Message("user", [Text("u")], "ann"),
    ),
    Turn("no words", {"role": "user", "content": ""}, Message("user", [Text("")])),
    Turn(
        "words of the assistant",
        {"role": "assistant", "content": "a"},
        Message("assistant", [Text("a")]),
    ),
    Turn(
        "an assistant's parts",
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "no"}],
        },
        Message("assistant", [Text("a"), Refusal("no")]),
    ),
    Turn(
        "a refusal",
        {"role": "assistant", "content": None, "refusal": "no"},
        Message("assistant", [Refusal("no")]),
    ),
    Turn(
        "a call without words",
        {"role": "assistant", "content": None, "tool_calls": [call()]},
        Message("assistant", [ToolCall("c1", "f", "{}")]),
    ),
    Turn(
        "a call beside no words",
        {"role": "assistant", "content": "", "tool_calls": [call()]},
        Message("assistant", [ToolCall("c1", "f", "{}")]),
    ),
    Turn(
        "a call after words",
        {"role": "assistant", "content": "a", "tool_calls": [call(), call("g", id="c2")]},
        Message("assistant", [Text("a"), ToolCall("c1", "f", "{}"), ToolCall("c2", "g", "{}")]),
    ),
    Turn(
        "a call without arguments",
        {"role": "assistant", "tool_calls": [call(function={"name": "f", "arguments": ""})]},
        Message("assistant", [ToolCall("c1", "f", "{}")]),
    ),
    Turn(
        "a call as a stream had it",
        {"role": "assistant", "tool_calls": [call(index=0)]},
        Message("assistant", [ToolCall("c1", "f", "{}")]),
    ),
    Turn(
        "Gemini's signature",
        {
            "role": "assistant",
            "tool_calls": [call(extra_content={"google": {"thought_signature": "sig"}})],
        },
        Message("assistant", [ToolCall("c1", "f", "{}", "sig")]),
    ),
    Turn(
        "a custom tool's call",
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]},
        Message(
            "assistant",
            [Foreign("messages[0].tool_calls[0]", raw({"id": "c", "type": "custom"}))],
        ),
    ),
    Turn(
        "thoughts",
        {"role": "assistant", "content": "a", "reasoning_content": "hm"},
        Message("assistant", [Thinking("hm"), Text("a")]),
    ),
    Turn(
        "thoughts by their newer name",
        {"role": "assistant", "content": "a", "reasoning": "hm", "reasoning_content": "hm"},
        Message("assistant", [Thinking("hm"), Text("a")]),
    ),
    Turn(
        "signed thoughts",
        {
            "role": "assistant",
            "content": "a",
            "reasoning_content": "hm",
            "thinking_blocks": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "xyz"},
            ],
        },
        Message("assistant", [Thinking("hm", "sig"), Redacted("xyz"), Text("a")]),
    ),
    Turn(
        "redacted beside spoken",
        {
            "role": "assistant",
            "content": "a",
            "reasoning_content": "hm",
            "thinking_blocks": [{"type": "redacted_thinking", "data": "xyz", "index": 0}],
        },
        Message("assistant", [Thinking("hm"), Redacted("xyz"), Text("a")]),
    ),
    Turn(
        "an answer of ours that comes back",
        {
            "role": "assistant",
            "content": "a",
            "refusal": None,
            "annotations": [{"type": "url_citation"}],
            "citations": [{}],
            "audio": None,
            "function_call": None,
        },
        Message("assistant", [Text("a")]),
    ),
    Turn(
        "what nobody knows",
        {"role": "assistant", "content": "a", "prefix": True},
        Message("assistant", [Text("a"), Foreign("messages[0].prefix", raw(True))]),
    ),
    Turn(
        "a function's result of 2023",
        {"role": "function", "name": "f", "content": "r"},
        Message(
            "user", [Foreign("messages[0]", raw({"role": "function", "name": "f", "content": "r"}))]
        ),
    ),
    Turn(
        "a result",
        {"role": "tool", "tool_call_id": "c1", "content": "r"},
        Message("user", [ToolResult("c1", [Text("r")])]),
    ),
    Turn(
        "a result in parts, marked",
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [{"type": "text", "text": "r"}, {"type": "text", "text": "s", **HOUR}],
            **MARK,
        },
        Message("user", [ToolResult("c1", [Text("r"), Text("s", "1h")], cache="5m")]),
    ),
    Turn(
        "a mark on a message",
        {"role": "system", "content": "s", **HOUR},
        Message("system", [Text("s", "1h")]),
    ),
    Turn(
        "a mark on a call",
        {"role": "assistant", "tool_calls": [call(**MARK)]},
        Message("assistant", [ToolCall("c1", "f", "{}", cache="5m")]),
    ),
]


@pytest.mark.parametrize("case", TURNS, ids=lambda case: case.name)
def test_a_message_in_normal_form(case: Turn) -> None:
    assert turns(case.given) == [case.want]


@dataclass(frozen=True)
class Piece:
    name: str
    given: dict[str, Any]
    want: list[Part]


AT = "messages[0].content[0]"
PIECES = [
    Piece("text", {"type": "text", "text": "t"}, [Text("t")]),
    Piece("marked text", {"type": "text", "text": "t", **MARK}, [Text("t", "5m")]),
    Piece(
        "an image by URL",
        {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
        [Image(url="https://x/y.png", detail="low")],
    ),
    Piece(
        "its URL alone", {"type": "image_url", "image_url": "https://x"}, [Image(url="https://x")]
    ),
    Piece(
        "an image by value",
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}, **HOUR},
        [Image("image/png", PNG, cache="1h")],
    ),
    Piece(
        "a data URL with a parameter",
        {"type": "image_url", "image_url": {"url": f"data:image/png;charset=x;base64,{PNG}"}},
        [Image("image/png", PNG)],
    ),
    Piece(
        "audio",
        {"type": "input_audio", "input_audio": {"data": "AAA=", "format": "wav"}},
        [Audio("AAA=", "wav")],
    ),
    Piece(
        "a file",
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="},
        },
        [Document("application/pdf", "QQ==", name="a.pdf")],
    ),
    Piece(
        "a file without a type",
        {"type": "file", "file": {"filename": "a.csv", "file_data": "QQ=="}},
        [Document("text/csv", "QQ==", name="a.csv")],
    ),
    Piece(
        "a file elsewhere",
        {"type": "file", "file": {"file_data": "https://x/a.pdf"}},
        [Document(url="https://x/a.pdf")],
    ),
    Piece(
        "a file that only OpenAI has",
        {"type": "file", "file": {"file_id": "file-1"}},
        [Foreign(f"{AT}.file.file_id", raw({"type": "file", "file": {"file_id": "file-1"}}))],
    ),
    Piece(
        "a video",
        {"type": "video_url", "video_url": {"url": "x"}},
        [Foreign(AT, raw({"type": "video_url", "video_url": {"url": "x"}}))],
    ),
    Piece(
        "OpenAI's own mark",
        {"type": "text", "text": "t", "prompt_cache_breakpoint": {"mode": "explicit"}},
        [Text("t"), Foreign(f"{AT}.prompt_cache_breakpoint", raw({"mode": "explicit"}))],
    ),
]


@pytest.mark.parametrize("case", PIECES, ids=lambda case: case.name)
def test_a_part_in_normal_form(case: Piece) -> None:
    assert user(case.given) == case.want


def test_results_that_follow_each_other_are_one_message_in_their_order() -> None:
    found = turns(
        {"role": "assistant", "tool_calls": [call(), call(id="c2")]},
        {"role": "tool", "tool_call_id": "c2", "content": "2"},
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "user", "content": "u"},
        {"role": "tool", "tool_call_id": "c3", "content": "3"},
    )
    assert [[type(part).__name__ for part in message.parts] for message in found] == [
        ["ToolCall", "ToolCall"],
        ["ToolResult", "ToolResult"],
        ["Text"],
        ["ToolResult"],
    ]
    assert [part.call_id for part in found[1].parts if isinstance(part, ToolResult)] == ["c2", "c1"]


# Parameters


@dataclass(frozen=True)
class Field:
    name: str
    given: dict[str, Any]
    field: str
    want: object


SCHEMA = {"type": "object", "properties": {"b": {}, "a": {}}}
TOOL = {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
FIELDS = [
    Field("max_tokens", {"max_tokens": 9}, "max_tokens", 9),
    Field("no limit in llama.cpp's way", {"max_tokens": -1}, "max_tokens", None),
    Field("the newer limit", {"max_tokens": 9, "max_completion_tokens": 7}, "max_tokens", 7),
    Field("temperature", {"temperature": 1}, "temperature", 1.0),
    Field("top_p", {"top_p": 0.5}, "top_p", 0.5),
    Field("top_k", {"top_k": 40}, "top_k", 40),
    Field("no top_k in vLLM's way", {"top_k": -1}, "top_k", None),
    Field("one stop", {"stop": "x"}, "stop", ["x"]),
    Field("stops", {"stop": ["x", "y"]}, "stop", ["x", "y"]),
    Field("no stop", {"stop": None}, "stop", []),
    Field("seed", {"seed": 5}, "seed", 5),
    Field("n", {"n": 3}, "samples", 3),
    Field("presence", {"presence_penalty": 0.5}, "presence_penalty", 0.5),
    Field("frequency", {"frequency_penalty": -0.5}, "frequency_penalty", -0.5),
    Field("bias", {"logit_bias": {"1": 2}}, "logit_bias", raw({"1": 2})),
    Field("logprobs", {"logprobs": True}, "logprobs", True),
    Field("no logprobs", {"logprobs": False}, "logprobs", False),
    Field("top logprobs", {"logprobs": True, "top_logprobs": 3}, "top_logprobs", 3),
    Field("effort", {"reasoning_effort": "low"}, "reasoning", Reasoning("low")),
    Field(
        "a budget",
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        "reasoning",
        Reasoning(budget=2000),
    ),
    Field("off", {"thinking": {"type": "disabled"}}, "reasoning", Reasoning(is_off=True)),
    Field("user", {"user": "u"}, "user", "u"),
    Field("user by the newer name", {"safety_identifier": "u"}, "user", "u"),
    Field("metadata", {"metadata": {"a": "b"}}, "metadata", {"a": "b"}),
    Field("service tier", {"service_tier": "flex"}, "service", "flex"),
    Field("stream", {"stream": True, "stream_options": {"include_usage": True}}, "stream", True),
    Field("text", {"response_format": {"type": "text"}}, "output", Output("text")),
    Field("JSON", {"response_format": {"type": "json_object"}}, "output", Output("json")),
    Field(
        "a schema",
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "description": "d", "schema": SCHEMA, "strict": True},
            }
        },
        "output",
        Output("schema", "n", "d", raw(SCHEMA), True),
    ),
    Field(
        "tools",
        {"tools": [{"type": "function", "function": TOOL}]},
        "tools",
        [Tool("f", "d", raw(SCHEMA), True)],
    ),
    Field(
        "a tool with nothing but a name",
        {"tools": [{"type": "function", "function": {"name": "f"}, **HOUR}]},
        "tools",
        [Tool("f", cache="1h")],
    ),
    Field("auto", {"tool_choice": "auto"}, "tool_choice", ToolChoice("auto")),
    Field("none", {"tool_choice": "none"}, "tool_choice", ToolChoice("none")),
    Field("required", {"tool_choice": "required"}, "tool_choice", ToolChoice("any")),
    Field(
        "a tool by name",
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        "tool_choice",
        ToolChoice("tool", "f"),
    ),
    Field(
        "one call at a time",
        {"parallel_tool_calls": False},
        "tool_choice",
        ToolChoice(parallel=False),
    ),
    Field(
        "both",
        {"tool_choice": "required", "parallel_tool_calls": True},
        "tool_choice",
        ToolChoice("any", parallel=True),
    ),
    Field("nothing", {}, "tool_choice", None),
    Field("what says nothing", {"store": False, "modalities": ["text"]}, "extra", {}),
    Field("null is absent", {"prediction": None, "seed": None}, "extra", {}),
    Field("what has no form", {"store": True}, "extra", {"store": raw(True)}),
    Field(
        "a tool that is no function",
        {"tools": [{"type": "custom", "custom": {"name": "c"}}]},
        "extra",
        {"tools[0]": raw({"type": "custom", "custom": {"name": "c"}})},
    ),
    Field(
        "a tool's field that nobody knows",
        {"tools": [{"type": "function", "function": {"name": "f", "x": 1}}]},
        "extra",
        {"tools[0].function.x": raw(1)},
    ),
    Field(
        "allowed tools",
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {}}},
        "extra",
        {"tool_choice": raw({"type": "allowed_tools", "allowed_tools": {}})},
    ),
    Field(
        "an engine's own format",
        {"response_format": {"type": "grammar"}},
        "extra",
        {"response_format": raw({"type": "grammar"})},
    ),
]


@pytest.mark.parametrize("case", FIELDS, ids=lambda case: case.name)
def test_a_parameter_in_normal_form(case: Field) -> None:
    assert getattr(given(model="m", **case.given), case.field) == case.want


def test_a_schema_is_passed_on_as_it_was_written() -> None:
    """A provider's prompt cache begins with the tools: not a byte of them may move."""
    body = b'{"messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":'
    schema = b'{"type" : "object", "properties":{"b":{},"a":{}} }'
    raw_fields = msgspec.json.decode(body + schema + b"}}]}", type=dict[str, msgspec.Raw])
    assert bytes(read(raw_fields).tools[0].schema) == schema


def test_a_refusal_can_name_what_the_client_wrote() -> None:
    assert given(n=2).params["samples"] == "n"
    assert given(max_completion_tokens=2).params["max_tokens"] == "max_completion_tokens"
    assert "max_tokens" not in given(max_tokens=2).params


# Completions


def test_a_prompt_is_a_users_message() -> None:
    fields = msgspec.json.decode(
        b'{"prompt":"p","logprobs":2,"echo":false,"best_of":1,"suffix":"s"}',
        type=dict[str, msgspec.Raw],
    )
    found = read(fields)
    assert found.messages == [Message("user", [Text("p")])]
    assert (found.logprobs, found.top_logprobs) == (True, 2)
    assert found.extra == {"suffix": raw("s")}


# What is wrong


@dataclass(frozen=True)
class Wrong:
    param: str
    given: dict[str, Any]


def message(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "u"}, fields]}


def part(**fields: Any) -> dict[str, Any]:
    return message(role="user", content=[fields])


WRONG = [
    Wrong("messages", {"messages": "hello"}),
    Wrong("messages[1]", {"messages": [{"role": "user", "content": ""}, "x"]}),
    Wrong("messages[1].role", message(content="x")),
    Wrong("messages[1].role", message(role="robot", content="x")),
    Wrong("messages[1].content", message(role="user")),
    Wrong("messages[1].content", message(role="user", content=5)),
    Wrong("messages[1].content[0]", message(role="user", content=["x"])),
    Wrong("messages[1].content[0].type", part(text="x")),
    Wrong("messages[1].content[0].text", part(type="text")),
    Wrong("messages[1].content[0].text", part(type="text", text=5)),
    Wrong("messages[1].content[0].image_url", part(type="image_url")),
    Wrong("messages[1].content[0].image_url.url", part(type="image_url", image_url={})),
    Wrong(
        "messages[1].content[0].image_url",
        part(type="image_url", image_url={"url": "data:image/svg+xml,<svg/>"}),
    ),
    Wrong("messages[1].content[0].input_audio", part(type="input_audio")),
    Wrong(
        "messages[1].content[0].input_audio.format",
        part(type="input_audio", input_audio={"data": ""}),
    ),
    Wrong("messages[1].content[0].file", part(type="file")),
    Wrong(
        "messages[1].content[0].cache_control.type",
        part(type="text", text="x", cache_control={"type": "eternal"}),
    ),
    Wrong(
        "messages[1].content[0].cache_control.ttl",
        part(type="text", text="x", cache_control={"type": "ephemeral", "ttl": "2h"}),
    ),
    Wrong("messages[1].tool_call_id", message(role="tool", content="x")),
    Wrong("messages[1].tool_calls", message(role="assistant", tool_calls={})),
    Wrong(
        "messages[1].tool_calls[0].id",
        message(role="assistant", tool_calls=[{"function": {"name": "f"}}]),
    ),
    Wrong(
        "messages[1].tool_calls[0].function", message(role="assistant", tool_calls=[{"id": "c"}])
    ),
    Wrong(
        "messages[1].tool_calls[0].function.arguments",
        message(role="assistant", tool_calls=[call(function={"name": "f", "arguments": {}})]),
    ),
    Wrong(
        "messages[1].thinking_blocks[0].type",
        message(role="assistant", content="x", thinking_blocks=[{"type": "dream"}]),
    ),
    Wrong("tools", {"tools": {}}),
    Wrong("tools[0].type", {"tools": [{}]}),
    Wrong("tools[0].function", {"tools": [{"type": "function"}]}),
    Wrong("tools[0].function.name", {"tools": [{"type": "function", "function": {}}]}),
    Wrong(
        "tools[0].function.parameters",
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
    ),
    Wrong("tool_choice", {"tool_choice": "perhaps"}),
    Wrong("tool_choice.function", {"tool_choice": {"type": "function"}}),
    Wrong("parallel_tool_calls", {"parallel_tool_calls": "no"}),
    Wrong("response_format.type", {"response_format": {}}),
    Wrong("response_format.json_schema", {"response_format": {"type": "json_schema"}}),
    Wrong("max_tokens", {"max_tokens": "many"}),
    Wrong("max_completion_tokens", {"max_completion_tokens": 1.5}),
    Wrong("temperature", {"temperature": "hot"}),
    Wrong("stop", {"stop": 5}),
    Wrong("seed", {"seed": "x"}),
    Wrong("n", {"n": []}),
    Wrong("logprobs", {"logprobs": "yes"}),
    Wrong("reasoning_effort", {"reasoning_effort": 5}),
    Wrong("thinking.type", {"thinking": {"type": "perhaps"}}),
    Wrong("thinking.budget_tokens", {"thinking": {"type": "enabled", "budget_tokens": "x"}}),
    Wrong("metadata", {"metadata": {"a": 1}}),
    Wrong("user", {"user": 5}),
    Wrong("service_tier", {"service_tier": 5}),
    Wrong("stream", {"stream": "yes"}),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: f"{case.param} {str(case.given)[:60]}")
def test_what_is_wrong_is_named_with_its_path(case: Wrong) -> None:
    with pytest.raises(BadRequest) as caught:
        given(**case.given)
    assert caught.value.param == case.param
    assert f"`{case.param}`" in caught.value.say


@pytest.mark.parametrize("prompt", [["a", "b"], [1, 2], [[1], [2]], 5, []])
def test_prompts_that_cannot_be_translated_are_refused(prompt: Any) -> None:
    fields = msgspec.json.decode(json.dumps({"prompt": prompt}), type=dict[str, msgspec.Raw])
    with pytest.raises(BadRequest) as caught:
        read(fields)
    assert caught.value.param == "prompt"


def test_a_body_without_messages_is_refused() -> None:
    with pytest.raises(BadRequest) as caught:
        read({})
    assert caught.value.param == "messages"


def test_text_that_is_no_unicode_is_refused() -> None:
    fields = {"messages": msgspec.Raw(b'[{"role":"user","content":"\xff"}]')}
    with pytest.raises(BadRequest) as caught:
        read(fields)
    assert caught.value.param is not None
    assert caught.value.param.startswith("messages")


# Whatever comes

leaves = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=3)
    | st.sampled_from([
        "user", "assistant", "tool", "text", "image_url", "file", "function", "thinking",
        "data:image/png;base64,QQ==", "json_schema", "allowed_tools",
    ])
)  # fmt: skip
keys = st.sampled_from(
    [
        "role", "content", "type", "text", "image_url", "url", "tool_calls", "function", "name",
        "arguments", "id", "tool_call_id", "cache_control", "thinking_blocks", "file", "file_data",
        "parameters", "json_schema", "schema", "extra_content", "google", "input_audio", "x",
    ]
)  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@drawn(
    st.lists(st.dictionaries(keys, values, max_size=5), max_size=3) | values,
    st.dictionaries(
        st.sampled_from([
            "tools", "tool_choice", "response_format", "stop", "n", "logprobs", "thinking",
            "metadata", "reasoning_effort", "stream", "temperature", "prompt", "max_tokens",
        ]),
        values,
        max_size=4,
    ),
)  # fmt: skip
def test_whatever_comes_is_read_or_refused_by_name(messages: Any, fields: dict[str, Any]) -> None:
    refused: BadRequest | None = None
    try:
        given(messages=messages, **fields)
    except BadRequest as error:
        refused = error
    assert refused is None or (refused.param and refused.param in refused.say)
