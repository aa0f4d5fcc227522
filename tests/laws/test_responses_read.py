"""A Responses request in normal form: every field, every kind of item, and what is refused."""

import contextlib
import json
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.parts.errors import BadRequest
from towplane.providers.adapter import Losses
from towplane.providers.ask import OPERATIONS, Ask
from towplane.providers.conversation.request import (
    Audio,
    Conversation,
    Document,
    Foreign,
    Image,
    Message,
    Output,
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
from towplane.providers.dialects import responses

NAMES = {
    "max_tokens": "max_output_tokens",
    "output": "text.format",
    "reasoning": "reasoning.effort",
    "service": "service_tier",
    "logprobs": "include",
}
HI = [Message("user", [Text("hi")])]


def fields_of(**body: Any) -> dict[str, msgspec.Raw]:
    text = json.dumps(body, separators=(",", ":"))
    return msgspec.json.decode(text, type=dict[str, msgspec.Raw])


def read(**body: Any) -> Conversation:
    return responses.read(fields_of(**body))


def extra(**body: Any) -> list[str]:
    return list(read(**({"input": "hi"} | body)).extra)


def messages(*items: Any, **more: Any) -> list[Message]:
    return read(input=list(items), **more).messages


@dataclass(frozen=True)
class Case:
    name: str
    given: dict[str, Any]
    want: Conversation


FUNCTION = {
    "type": "function",
    "name": "f",
    "description": "does f",
    "parameters": {"type": "object", "properties": {"b": {}, "a": {}}},
    "strict": True,
}
TOOL = Tool(
    "f",
    "does f",
    msgspec.Raw(b'{"type":"object","properties":{"b":{},"a":{}}}'),
    strict=True,
)
SCHEMA = {"type": "json_schema", "name": "n", "schema": {"z": 1, "a": 2}, "strict": False}


def conversation(**more: Any) -> Conversation:
    return Conversation(**({"messages": HI, "params": NAMES} | more))


FIELDS = [
    Case("text", {"input": "hi"}, conversation()),
    Case(
        "instructions",
        {"instructions": "be kind", "input": "hi"},
        conversation(messages=[Message("system", [Text("be kind")]), *HI]),
    ),
    Case("only instructions", {"instructions": "go"},
         conversation(messages=[Message("system", [Text("go")])])),
    Case("stream", {"input": "hi", "stream": True}, conversation(stream=True)),
    Case("limit", {"input": "hi", "max_output_tokens": 20}, conversation(max_tokens=20)),
    Case("sampling", {"input": "hi", "temperature": 0, "top_p": 0.5},
         conversation(temperature=0.0, top_p=0.5)),
    Case("logprobs",
         {"input": "hi", "include": ["message.output_text.logprobs"], "top_logprobs": 3},
         conversation(logprobs=True, top_logprobs=3)),
    Case("no logprobs", {"input": "hi", "top_logprobs": 0}, conversation()),
    Case("what only concerns answers is included anyway",
         {"input": "hi", "include": ["reasoning.encrypted_content", "file_search_call.results"]},
         conversation()),
    Case("a tool", {"input": "hi", "tools": [FUNCTION]}, conversation(tools=[TOOL])),
    Case("a tool without a schema",
         {"input": "hi", "tools": [{"type": "function", "name": "g", "parameters": None}]},
         conversation(tools=[Tool("g")])),
    Case("tool choice auto", {"input": "hi", "tools": [FUNCTION], "tool_choice": "auto"},
         conversation(tools=[TOOL], tool_choice=ToolChoice())),
    Case("tool choice none", {"input": "hi", "tools": [FUNCTION], "tool_choice": "none"},
         conversation(tools=[TOOL], tool_choice=ToolChoice("none"))),
    Case("tool choice required", {"input": "hi", "tools": [FUNCTION], "tool_choice": "required"},
         conversation(tools=[TOOL], tool_choice=ToolChoice("any"))),
    Case("tool choice of one",
         {"input": "hi", "tools": [FUNCTION], "tool_choice": {"type": "function", "name": "f"}},
         conversation(tools=[TOOL], tool_choice=ToolChoice("tool", "f"))),
    Case("one call at a time",
         {"input": "hi", "tools": [FUNCTION], "parallel_tool_calls": False},
         conversation(tools=[TOOL], tool_choice=ToolChoice(parallel=False))),
    Case("a choice without tools", {"input": "hi", "tool_choice": "auto",
                                    "parallel_tool_calls": True}, conversation()),
    Case("text as the form", {"input": "hi", "text": {"format": {"type": "text"}}},
         conversation()),
    Case("JSON", {"input": "hi", "text": {"format": {"type": "json_object"}}},
         conversation(output=Output("json"))),
    Case("a schema keeps its order", {"input": "hi", "text": {"format": SCHEMA}},
         conversation(output=Output("schema", "n", "", msgspec.Raw(b'{"z":1,"a":2}'),
                                    strict=False))),
    Case("the usual verbosity", {"input": "hi", "text": {"verbosity": "medium"}},
         conversation()),
    Case("reasoning", {"input": "hi", "reasoning": {"effort": "high", "summary": "auto"}},
         conversation(reasoning=Reasoning("high", summary="auto"))),
    Case("the older summary", {"input": "hi", "reasoning": {"generate_summary": "concise"}},
         conversation(reasoning=Reasoning(summary="concise"))),
    Case("no reasoning", {"input": "hi", "reasoning": {"effort": "none"}},
         conversation(reasoning=Reasoning("none", is_off=True))),
    Case("nothing said of reasoning", {"input": "hi", "reasoning": {"effort": None}},
         conversation()),
    Case("who and what for",
         {"input": "hi", "user": "u", "metadata": {"a": "b"}, "service_tier": "flex"},
         conversation(user="u", metadata={"a": "b"}, service="flex")),
    Case("the newer name of the user", {"input": "hi", "safety_identifier": "s"},
         conversation(user="s", params=NAMES | {"user": "safety_identifier"})),
    Case("what goes without saying",
         {"input": "hi", "store": False, "background": False, "truncation": "disabled",
          "previous_response_id": None, "prompt": None, "stream_options": None,
          "prompt_cache_options": {"mode": "explicit"}},
         conversation()),
]  # fmt: skip


@pytest.mark.parametrize("case", FIELDS, ids=lambda case: case.name)
def test_a_field_is_read_into_the_normal_form(case: Case) -> None:
    assert read(**case.given) == case.want


REFUSED: dict[str, dict[str, Any]] = {
    "store": {"store": True},
    "previous_response_id": {"previous_response_id": "resp_1"},
    "conversation": {"conversation": "conv_1"},
    "prompt": {"prompt": {"id": "pmpt_1"}},
    "background": {"background": True},
    "truncation": {"truncation": "auto"},
    "max_tool_calls": {"max_tool_calls": 3},
    "context_management": {"context_management": [{"type": "compaction"}]},
    "prompt_cache_key": {"prompt_cache_key": "k"},
    "prompt_cache_options": {"prompt_cache_options": {"mode": "implicit", "ttl": "12h"}},
    "include": {"include": ["something.new"]},
    "text.verbosity": {"text": {"verbosity": "low"}},
    "text.format": {"text": {"format": {"type": "grammar"}}},
    "reasoning.context": {"reasoning": {"context": "all_turns"}},
    "reasoning.mode": {"reasoning": {"mode": "pro"}},
    "tools[1].web_search": {"tools": [FUNCTION, {"type": "web_search"}]},
    "tools[0].file_search": {"tools": [{"type": "file_search", "vector_store_ids": ["vs"]}]},
    "tools[0].custom": {"tools": [{"type": "custom", "name": "x"}]},
    "tools[0].type": {"tools": [{"type": "teleport"}]},
    "tool_choice": {"tools": [FUNCTION], "tool_choice": {"type": "allowed_tools", "tools": []}},
    "stream_options.include_obfuscation": {"stream_options": {"include_obfuscation": True}},
    "from_the_future": {"from_the_future": 1},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_normal_form_is_kept_by_its_name(name: str) -> None:
    assert extra(**REFUSED[name]) == [name]
    with pytest.raises(BadRequest) as refusal:
        Losses(may_drop=False).lose(name, where="elsewhere")
    assert refusal.value.param == name


def said(text: str = "yes", **more: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "role": "assistant", "id": "msg_1", "content": content} | more


CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"}
SECOND = CALL | {"id": "fc_2", "call_id": "call_2"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "done"}
THOUGHT = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "hm"}],
    "encrypted_content": "SIG",
}


@dataclass(frozen=True)
class Items:
    name: str
    given: list[Any]
    want: list[Message]


ITEMS = [
    Items("roles", [{"role": role, "content": "x"} for role in ("developer", "system", "user")],
          [Message("developer", [Text("x")]), Message("system", [Text("x")]),
           Message("user", [Text("x")])]),
    Items("parts", [{"role": "user", "content": [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
        {"type": "input_image", "image_url": "https://x/y.png", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,BB"},
        {"type": "input_file", "file_url": "https://x/y.pdf"},
        {"type": "input_file", "filename": "b.pdf", "file_data": "CC"},
        {"type": "input_audio", "input_audio": {"data": "DD", "format": "mp3"}},
    ]}], [Message("user", [
        Text("see"),
        Image("image/png", "AAAA", detail="low"),
        Image(url="https://x/y.png", detail="auto"),
        Document("application/pdf", "BB", name="a.pdf"),
        Document(url="https://x/y.pdf"),
        Document("application/pdf", "CC", name="b.pdf"),
        Audio("DD", "mp3"),
    ])]),
    Items("an earlier answer", [said()], [Message("assistant", [Text("yes")])]),
    Items("an earlier refusal",
          [said(content=[{"type": "refusal", "refusal": "no"}])],
          [Message("assistant", [Refusal("no")])]),
    Items("a turn of the model is one message", [THOUGHT, said(), CALL, SECOND],
          [Message("assistant", [Thinking("hm", "SIG"), Text("yes"),
                                 ToolCall("call_1", "f", "{}"), ToolCall("call_2", "f", "{}")])]),
    Items("two answers are two messages", [said("a"), said("b")],
          [Message("assistant", [Text("a")]), Message("assistant", [Text("b")])]),
    Items("results of one turn are one message",
          [CALL, SECOND, RESULT, RESULT | {"call_id": "call_2", "output": "too"}],
          [Message("assistant", [ToolCall("call_1", "f", "{}"), ToolCall("call_2", "f", "{}")]),
           Message("user", [ToolResult("call_1", [Text("done")]),
                            ToolResult("call_2", [Text("too")])])]),
    Items("a result in parts",
          [CALL, RESULT | {"output": [{"type": "input_text", "text": "a"},
                                      {"type": "input_image", "image_url": "https://x"}]}],
          [Message("assistant", [ToolCall("call_1", "f", "{}")]),
           Message("user", [ToolResult("call_1", [Text("a"), Image(url="https://x")])])]),
    Items("turns that follow each other", [CALL, RESULT, CALL | {"call_id": "call_3"}],
          [Message("assistant", [ToolCall("call_1", "f", "{}")]),
           Message("user", [ToolResult("call_1", [Text("done")])]),
           Message("assistant", [ToolCall("call_3", "f", "{}")])]),
    Items("thoughts of an open model",
          [{"type": "reasoning", "id": "r", "summary": [],
            "content": [{"type": "reasoning_text", "text": "so"}]}],
          [Message("assistant", [Thinking("so")])]),
    Items("a sealed thought",
          [{"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "XYZ"}],
          [Message("assistant", [Redacted("XYZ")])]),
    Items("a thought that stayed with its vendor says nothing",
          [{"type": "reasoning", "id": "r", "summary": []}, said()],
          [Message("assistant", [Text("yes")])]),
    Items("the signature of a thought without words",
          [{"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "signature:S"},
           CALL],
          [Message("assistant", [Thinking("", "S"), ToolCall("call_1", "f", "{}")])]),
    Items("the signature of a call",
          [{"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "call-signature:S"},
           CALL],
          [Message("assistant", [ToolCall("call_1", "f", "{}", "S")])]),
    Items("the signature of a call that was cut off",
          [{"type": "reasoning", "id": "r", "summary": [],
            "encrypted_content": "call-signature:S"}],
          [Message("assistant", [Thinking("", "S")])]),
]  # fmt: skip


@pytest.mark.parametrize("case", ITEMS, ids=lambda case: case.name)
def test_items_become_messages(case: Items) -> None:
    assert messages(*case.given) == case.want


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "item_reference", "id": "msg_1"}, "input[0].item_reference"),
        ({"type": "web_search_call", "id": "ws", "status": "completed"},
         "input[0].web_search_call"),
        ({"type": "custom_tool_call", "call_id": "c", "name": "n", "input": ""},
         "input[0].custom_tool_call"),
        ({"type": "hologram"}, "input[0].type"),
        ({"role": "user", "content": [{"type": "input_image", "file_id": "file_1"}]},
         "input[0].content[0].file_id"),
        ({"role": "user", "content": [{"type": "input_smell"}]}, "input[0].content[0].type"),
        (CALL | {"namespace": "crm"}, "input[0].namespace"),
    ],
)  # fmt: skip
def test_what_lives_elsewhere_is_foreign_and_named(item: Any, param: str) -> None:
    parts = [part for message in messages(item) for part in message.parts]
    assert [part.param for part in parts if isinstance(part, Foreign)] == [param]


@pytest.mark.parametrize(
    ("ttl", "mark"), [(None, "5m"), ("30m", "1h"), ("12h", "1h")], ids=["unsaid", "30m", "12h"]
)
def test_a_breakpoint_of_the_cache_stays_where_it_was(ttl: str | None, mark: Any) -> None:
    """At least as long as it was asked for: 30 minutes are more than five."""
    options = {"prompt_cache_options": {"mode": "explicit", "ttl": ttl}} if ttl else {}
    part = {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}
    item = {"role": "user", "content": [part, {"type": "input_text", "text": "b"}]}
    assert messages(item, **options) == [Message("user", [Text("a", mark), Text("b")])]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": 5}, "input"),
        ({"input": [5]}, "input[0]"),
        ({"input": [{"role": "judge", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"text": "no type"}]}]}, "input[0].content[0]"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0].name"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
        ({"input": "hi", "tools": [{"type": "function"}]}, "tools[0].name"),
        ({"input": "hi", "tools": [FUNCTION], "tool_choice": "maybe"}, "tool_choice"),
        ({"input": "hi", "temperature": "hot"}, "temperature"),
        ({"input": "hi", "max_output_tokens": 1.5}, "max_output_tokens"),
        ({"input": "hi", "metadata": {"a": 1}}, "metadata"),
        ({"input": "hi", "text": []}, "text"),
        ({"input": "hi", "reasoning": "much"}, "reasoning"),
    ],
)
def test_what_is_wrong_is_refused_with_its_name(body: Any, param: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        read(**body)
    assert refusal.value.param == param
    assert refusal.value.reason == "body-invalid"


WORDS = st.sampled_from(
    ["message", "user", "assistant", "function_call", "function_call_output", "reasoning", "item",
     "input_text", "input_image", "input_file", "output_text", "refusal", "function", "required",
     "json_schema", "text", "data:image/png;base64,AA", "data:", ""]
)  # fmt: skip
NAMES_OF_FIELDS = st.sampled_from(
    ["type", "role", "content", "text", "output", "call_id", "name", "arguments", "summary", "id",
     "encrypted_content", "image_url", "file_data", "format", "schema", "parameters", "effort",
     "prompt_cache_breakpoint", "mode", "input_audio", "data", "file_id"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES_OF_FIELDS, inner, max_size=4),
    max_leaves=8,
)


TOP = st.sampled_from(
    ["input", "instructions", "tools", "tool_choice", "text", "reasoning", "metadata",
     "include", "stream_options", "prompt_cache_options", "user", "top_p", "new"]
)  # fmt: skip


@given(st.dictionaries(TOP, VALUES))
@settings(max_examples=120, deadline=None)
def test_whatever_comes_is_read_or_refused(body: dict[str, Any]) -> None:
    with contextlib.suppress(BadRequest):
        assert isinstance(read(**body), Conversation)


def ask_of(**body: Any) -> Ask:
    ask = Ask(OPERATIONS["responses"], fields_of(**body), "m")
    responses.note(ask)
    return ask


def test_routing_reads_the_stream_and_the_limit() -> None:
    ask = ask_of(input="x", stream=True, max_output_tokens=9)
    assert (ask.stream, ask.output_limit, ask.samples, ask.wants_usage) == (True, 9, 1, True)
    assert (ask_of(input="x").stream, ask_of(input="x", stream=None).output_limit) == (False, None)


def test_an_answer_in_the_background_is_refused_because_nobody_could_bill_it() -> None:
    with pytest.raises(BadRequest) as refusal:
        ask_of(input="x", background=True)
    assert refusal.value.param == "background"


def test_the_same_request_goes_up_with_another_model_and_every_unknown_field() -> None:
    ask = ask_of(model="mine", input=[{"b": 1, "a": 2}], from_the_future={"z": [1]})
    assert responses.body_for(ask, "theirs") == (
        b'{"model":"theirs","input":[{"b":1,"a":2}],"from_the_future":{"z":[1]}}'
    )
