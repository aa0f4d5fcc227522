"""Messages requests in normal form: everything has its place, or is named where it has none."""

import json
from typing import Any

import msgspec
import pytest

from towplane.parts.errors import BadRequest
from towplane.providers.adapter import Losses
from towplane.providers.ask import OPERATIONS, Ask
from towplane.providers.conversation.request import (
    Conversation,
    Document,
    Foreign,
    Image,
    Message,
    Output,
    Part,
    Reasoning,
    Redacted,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from towplane.providers.dialects.messages import (
    body_for,
    body_for_cloud,
    note,
    read,
    render_messages,
)

Json = dict[str, Any]
BASE: Json = {"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def fields_of(body: Json) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(json.dumps(body), type=dict[str, msgspec.Raw])


def conversation(**change: Any) -> Conversation:
    return read(fields_of(BASE | change))


def parts(*blocks: Json, role: str = "user") -> list[Part]:
    return conversation(messages=[{"role": role, "content": list(blocks)}]).messages[0].parts


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def test_a_plain_request() -> None:
    assert conversation().messages == [Message("user", [Text("hi")])]
    assert conversation().max_tokens == 9


def test_system_is_the_first_message() -> None:
    assert conversation(system="be kind").messages[0] == Message("system", [Text("be kind")])
    mark = {"type": "ephemeral", "ttl": "1h"}
    marked = [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": mark}]
    want = Message("system", [Text("a"), Text("b", "1h")])
    assert conversation(system=marked).messages[0] == want


def test_a_system_message_stays_where_it_stands() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]
    assert [message.role for message in conversation(messages=turns).messages] == ["user", "system"]


SOURCE64 = {"type": "base64", "media_type": "image/png", "data": "aGk="}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "aGk="}
MARK = {"type": "ephemeral"}


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "text", "text": "a", "cache_control": MARK}, Text("a", "5m")),
        ({"type": "text", "text": "a", "cache_control": MARK | {"ttl": "5m"}}, Text("a", "5m")),
        ({"type": "text", "text": "a", "cache_control": None}, Text("a")),
        ({"type": "image", "source": SOURCE64}, Image("image/png", "aGk=")),
        ({"type": "image", "source": {"type": "url", "url": "https://x"}}, Image(url="https://x")),
        (
            {"type": "image", "source": SOURCE64, "cache_control": MARK},
            Image("image/png", "aGk=", cache="5m"),
        ),
        (
            {"type": "document", "source": PDF, "title": "T", "context": "C",
             "citations": {"enabled": True}, "cache_control": MARK},
            Document("application/pdf", "aGk=", name="T", context="C", cites=True, cache="5m"),
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain",
             "data": "words"}},
            Document("text/plain", text="words"),
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}},
            Document(url="https://x/y.pdf"),
        ),
        (
            {"type": "tool_result", "tool_use_id": "t", "content": "said"},
            ToolResult("t", [Text("said")]),
        ),
        ({"type": "tool_result", "tool_use_id": "t"}, ToolResult("t", [])),
        (
            {"type": "tool_result", "tool_use_id": "t", "is_error": True, "cache_control": MARK,
             "content": [{"type": "text", "text": "a"}, {"type": "image", "source": SOURCE64},
                         {"type": "document", "source": PDF}]},
            ToolResult("t", [Text("a"), Image("image/png", "aGk="),
                             Document("application/pdf", "aGk=")], True, "5m"),
        ),
    ],
)  # fmt: skip
def test_what_a_user_says(block: Json, part: Part) -> None:
    assert parts(block) == [part]


def test_what_an_assistant_said_comes_back_as_it_was() -> None:
    citation = {"type": "char_location", "cited_text": "x"}
    got = parts(
        {"type": "thinking", "thinking": "hm", "signature": "c2ln=="},
        {"type": "redacted_thinking", "data": "RW5j"},
        {"type": "text", "text": "a", "citations": [citation]},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"b": 1, "a": [1.50]}},
        role="assistant",
    )
    assert got == [
        Thinking("hm", "c2ln=="),
        Redacted("RW5j"),
        Text("a", citations=[raw(citation)]),
        ToolCall("t", "f", '{"b": 1, "a": [1.5]}'),
    ]


@pytest.mark.parametrize(
    ("block", "path"),
    [
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, ".source"),
        ({"type": "document", "source": {"type": "file", "file_id": "f"}}, ".source"),
        ({"type": "document", "source": {"type": "content", "content": "x"}}, ".source"),
        ({"type": "search_result", "source": "s", "title": "t", "content": []}, ""),
        ({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, ""),
        ({"type": "web_search_tool_result", "tool_use_id": "s", "content": []}, ""),
        ({"type": "container_upload", "file_id": "f"}, ""),
        ({"type": "hologram"}, ""),
    ],
)
def test_what_has_no_normal_form_is_named(block: Json, path: str) -> None:
    assert parts({"type": "text", "text": "a"}, block)[1] == Foreign(
        f"messages.0.content.1{path}", raw(block)
    )


def test_a_foreign_piece_of_a_result_stands_behind_it() -> None:
    found = {"type": "search_result", "source": "s", "title": "t", "content": []}
    got = parts({"type": "tool_result", "tool_use_id": "t", "content": [found]})
    assert got == [ToolResult("t", []), Foreign("messages.0.content.0.content.0", raw(found))]


def test_tools_keep_their_order_and_their_schemas() -> None:
    schema = {"type": "object", "properties": {"b": {}, "a": {}}, "x-own": [3, 1]}
    got = conversation(
        tools=[
            {"name": "z", "input_schema": schema, "strict": True, "cache_control": MARK},
            {"type": "custom", "name": "a", "description": "d", "input_schema": schema},
        ]
    )
    assert got.tools == [
        Tool("z", "", raw(schema), True, "5m"),
        Tool("a", "d", raw(schema)),
    ]
    assert got.extra == {}


def test_tools_of_anthropics_own_are_named() -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    got = conversation(tools=[{"name": "a", "input_schema": {}}, search])
    assert [tool.name for tool in got.tools] == ["a"]
    assert got.extra == {"tools.1": raw(search)}


def test_what_a_tool_asks_beyond_the_usual_is_named() -> None:
    tool = {"name": "a", "input_schema": {}, "defer_loading": True, "eager_input_streaming": True,
            "allowed_callers": ["direct", "code_execution_20250825"]}  # fmt: skip
    assert set(conversation(tools=[tool]).extra) == {
        "tools.0.defer_loading",
        "tools.0.allowed_callers",
    }


@pytest.mark.parametrize(
    ("choice", "want"),
    [
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice("any", parallel=False)),
        ({"type": "auto", "disable_parallel_tool_use": False}, ToolChoice("auto", parallel=True)),
        ({"type": "tool", "name": "f"}, ToolChoice("tool", "f")),
        ({"type": "none"}, ToolChoice("none")),
        (None, None),
    ],
)
def test_the_choice_of_tools(choice: Json | None, want: ToolChoice | None) -> None:
    assert conversation(tool_choice=choice).tool_choice == want


@pytest.mark.parametrize(
    ("change", "want"),
    [
        ({}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, Reasoning(budget=2048)),
        ({"thinking": {"type": "adaptive"}}, Reasoning()),
        (
            {"thinking": {"type": "adaptive", "display": "summarized"},
             "output_config": {"effort": "max"}},
            Reasoning("max", summary="auto"),
        ),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, Reasoning()),
        ({"thinking": {"type": "disabled"}}, Reasoning(is_off=True)),
        ({"output_config": {"effort": "low"}}, Reasoning("low")),
    ],
)  # fmt: skip
def test_how_much_to_think(change: Json, want: Reasoning | None) -> None:
    got = conversation(**change)
    assert got.reasoning == want
    assert got.extra == {}


def test_a_way_of_thinking_that_is_anthropics_own_is_named() -> None:
    got = conversation(thinking={"type": "between_tools"})
    assert (got.reasoning, set(got.extra)) == (None, {"thinking"})


@pytest.mark.parametrize("place", ["new", "old"])
def test_the_form_of_the_answer(place: str) -> None:
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    form = {"type": "json_schema", "schema": schema}
    change = {"output_config": {"format": form}} if place == "new" else {"output_format": form}
    assert conversation(**change).output == Output("schema", schema=raw(schema), strict=True)


def test_the_rest() -> None:
    got = conversation(
        stream=True,
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop_sequences=["a", "b"],
        metadata={"user_id": "u", "team": "t"},
        service_tier="standard_only",
        container="c",
        speed=None,
        output_config={"task_budget": {"total": 1}},
    )
    assert (got.stream, got.temperature, got.top_p, got.top_k) == (True, 0.5, 0.9, 5)
    assert (got.stop, got.user, got.service) == (["a", "b"], "u", "default")
    assert set(got.extra) == {"container", "metadata.team", "output_config.task_budget"}


def test_a_mark_on_the_whole_request_lies_on_its_last_block() -> None:
    blocks = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    got = conversation(cache_control=MARK, messages=[{"role": "user", "content": blocks}])
    assert got.messages[0].parts == [Text("a"), Text("b", "5m")]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages.0.content.0"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": 1}]}]},
            "messages.0.content.0.source",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
            "messages.0.content.0",
        ),
        (
            {"messages": [{"role": "user", "content": [
                {"type": "text", "text": "a", "cache_control": {"type": "eternal"}}]}]},
            "messages.0.content.0",
        ),
        ({"system": [{"type": "image", "source": SOURCE64}]}, "system"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"input_schema": {}}]}, "tools.0"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice"),
        ({"thinking": 3}, "thinking"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"output_config": {"format": {"type": "xml"}}}, "format"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(change: Json, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        conversation(**change)
    assert caught.value.param is not None
    assert caught.value.param.startswith(param)


def test_a_request_that_is_rendered_again_says_the_same() -> None:
    body: Json = {
        "model": "claude-opus-4-8",
        "max_tokens": 100,
        "tools": [
            {"name": "f", "description": "d", "input_schema": {"type": "object", "z": 1, "a": 2},
             "strict": True, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        ],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [
                {"type": "image", "source": SOURCE64},
                {"type": "document", "source": PDF, "title": "T", "context": "C",
                 "citations": {"enabled": True}, "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": "look"},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"q": 1.0}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t",
                 "content": [{"type": "text", "text": "no"}], "is_error": True},
                {"type": "text", "text": "go on", "cache_control": {"type": "ephemeral"}},
            ]},
        ],
        "thinking": {"type": "adaptive"},
        "output_config": {
            "format": {"type": "json_schema", "schema": {"type": "object", "z": 1}},
            "effort": "high",
        },
        "stop_sequences": ["x"],
        "metadata": {"user_id": "u"},
        "service_tier": "auto",
        "stream": True,
    }  # fmt: skip
    got = render_messages(
        read(fields_of(body)), "claude-opus-4-8", Losses(may_drop=False), "somewhere"
    )
    assert json.dumps(json.loads(got)) == json.dumps(body)


# What goes up as it came


def ask_of(body: Json, **headers: bytes) -> Ask:
    ask = Ask(OPERATIONS["messages"], fields_of(body), "claude")
    ask.version_headers = {name.replace("_", "-").encode(): v for name, v in headers.items()}
    note(ask)
    return ask


@pytest.mark.parametrize(
    ("change", "stream", "limit"),
    [
        ({}, False, 9),
        ({"stream": True}, True, 9),
        ({"stream": None}, False, 9),
        ({"max_tokens": None}, False, None),
        ({"max_tokens": 0}, False, 0),
        ({"max_tokens": -1}, False, None),
    ],
)
def test_what_routing_needs_is_noted(change: Json, stream: bool, limit: int | None) -> None:
    ask = ask_of(BASE | change)
    assert (ask.stream, ask.output_limit, ask.samples) == (stream, limit, 1)


@pytest.mark.parametrize("change", [{"stream": 1}, {"max_tokens": "x"}, {"max_tokens": 1.5}])
def test_what_cannot_be_noted_is_refused(change: Json) -> None:
    with pytest.raises(BadRequest):
        ask_of(BASE | change)


def test_only_the_model_is_another() -> None:
    body = BASE | {"unknown": {"z": 1, "a": [1.50]}}
    got = json.loads(body_for(ask_of(body), "real"))
    assert list(got) == list(body)
    assert got == body | {"model": "real"}


def test_bedrock_has_model_stream_and_betas_elsewhere() -> None:
    ask = ask_of(BASE | {"stream": True}, anthropic_beta=b"one-2025, two-2025")
    got = json.loads(body_for_cloud(ask, "bedrock-2023-05-31", None))
    assert got == {
        "max_tokens": 9,
        "messages": BASE["messages"],
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["one-2025", "two-2025"],
    }


def test_betas_of_body_and_header_are_one_list() -> None:
    ask = ask_of(BASE | {"anthropic_beta": ["two", "three"]}, anthropic_beta=b"one,two")
    got = json.loads(body_for_cloud(ask, "v", None))
    assert got["anthropic_beta"] == ["two", "three", "one"]


def test_vertex_has_the_stream_in_the_body_and_betas_in_the_header() -> None:
    ask = ask_of(BASE | {"stream": True}, anthropic_beta=b"one")
    got = json.loads(body_for_cloud(ask, "vertex-2023-10-16", True))
    assert (got["stream"], got["anthropic_version"]) == (True, "vertex-2023-10-16")
    assert not {"model", "anthropic_beta"} & set(got)
    assert "stream" not in json.loads(body_for_cloud(ask, "vertex-2023-10-16", False))
