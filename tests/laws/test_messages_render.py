"""Conversations of any dialect as Messages requests: what stands where, and what is refused."""

import base64
import json
from typing import Any

import msgspec
import pytest

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
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from towplane.providers.dialects.messages import render_count, render_messages
from towplane.providers.dialects.messages.models import takes_of
from towplane.testing.anthropic import MODELS

Json = dict[str, Any]
OLDEST = "claude-3-haiku-20240307"
OLD = "claude-sonnet-4-5-20250929"
MIDDLE = "claude-opus-4-6"
NEW = "claude-opus-4-8"
NEXT = "claude-sonnet-5-5"
NOTHING = msgspec.Raw(b"{}")
HI = Message("user", [Text("hi")])


def render(
    *messages: Message, model: str = NEW, may_drop: bool = False, **more: Any
) -> tuple[Json, list[str]]:
    losses = Losses(may_drop=may_drop)
    conversation = Conversation(list(messages) or [HI], **more)
    return json.loads(render_messages(conversation, model, losses, "Messages")), losses.dropped


def rendered(*messages: Message, **more: Any) -> Json:
    return render(*messages, **more)[0]


def content(*messages: Message) -> list[Json]:
    found: list[Json] = rendered(*messages)["messages"]
    return found


def lost(param: str, **more: Any) -> None:
    """It is refused by its name, and dropped where it may be."""
    with pytest.raises(BadRequest) as caught:
        render(**more)
    assert (caught.value.param, caught.value.reason) == (param, "unsupported-parameter")
    assert param in render(may_drop=True, **more)[1]


def test_a_plain_conversation() -> None:
    assert rendered() == {
        "model": NEW,
        "max_tokens": 32_000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    }


def test_instructions_are_hoisted_in_their_order() -> None:
    got = rendered(
        Message("system", [Text("one", "1h")]),
        HI,
        Message("developer", [Text("two")]),
        Message("assistant", [Text("yes")]),
    )
    mark = {"type": "ephemeral", "ttl": "1h"}
    assert got["system"] == [
        {"type": "text", "text": "one", "cache_control": mark},
        {"type": "text", "text": "two"},
    ]
    assert [message["role"] for message in got["messages"]] == ["user", "assistant"]


def test_messages_of_one_role_are_one() -> None:
    """Results of tools that other dialects send apart belong to one turn."""
    got = content(
        HI,
        Message("assistant", [ToolCall("a", "f", "{}"), ToolCall("b", "f", '{"x": 1}')]),
        Message("user", [ToolResult("a", [Text("1")])]),
        Message("user", [ToolResult("b", [Text("2")])]),
        Message("user", [Text("and?")]),
    )
    assert [message["role"] for message in got] == ["user", "assistant", "user"]
    assert [block["type"] for block in got[2]["content"]] == ["tool_result", "tool_result", "text"]


def test_empty_texts_are_no_blocks_and_empty_messages_none_at_all() -> None:
    call = Message("assistant", [Text(""), ToolCall("a", "f", "")])
    got = content(Message("user", [Text("")]), HI, Message("assistant", [Text("")]), HI, call)
    assert [message["role"] for message in got] == ["user", "assistant"]
    want = [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]
    assert (len(got[0]["content"]), got[1]["content"]) == (2, want)


def test_calls_and_results_keep_their_ids_where_they_may() -> None:
    got = content(
        HI,
        Message("assistant", [ToolCall("functions.f:0", "f", "{}")]),
        Message("user", [ToolResult("functions.f:0", [Text("x")], is_error=True)]),
    )
    assert got[1]["content"][0]["id"] == "functions_f_0"
    assert got[2]["content"][0] == {
        "type": "tool_result",
        "tool_use_id": "functions_f_0",
        "content": [{"type": "text", "text": "x"}],
        "is_error": True,
    }


def test_arguments_go_up_as_they_were_written() -> None:
    losses = Losses(may_drop=False)
    call = ToolCall("a", "f", '{"b": 1.50,  "a":[]}')
    body = render_messages(Conversation([HI, Message("assistant", [call])]), NEW, losses, "x")
    assert b'"input":{"b": 1.50,  "a":[]}' in body


@pytest.mark.parametrize("arguments", ["[1]", "nope", '"x"', "{"])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    with pytest.raises(BadRequest) as caught:
        content(HI, Message("assistant", [ToolCall("a", "f", arguments)]))
    assert caught.value.param == "messages.1"


def test_thoughts_go_back_only_where_they_are_signed() -> None:
    got = content(
        HI,
        Message(
            "assistant",
            [Thinking("mine", "sig"), Thinking("others'"), Thinking("", "towplane.call:s"),
             Refusal("no")],
        ),
    )  # fmt: skip
    assert got[1]["content"] == [
        {"type": "thinking", "thinking": "mine", "signature": "sig"},
        {"type": "text", "text": "no"},
    ]


def test_sources_go_back_only_with_what_the_assistant_said() -> None:
    cited = Text("a", citations=[msgspec.Raw(b'{"x":1}')])
    got = content(Message("user", [cited]), Message("assistant", [cited]))
    assert "citations" not in got[0]["content"][0]
    assert got[1]["content"][0]["citations"] == [{"x": 1}]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            Image("image/png", "aGk=", cache="5m"),
            {"type": "image",
             "source": {"type": "base64", "media_type": "image/png", "data": "aGk="},
             "cache_control": {"type": "ephemeral"}},
        ),
        (
            Image(url="https://x", detail="high"),
            {"type": "image", "source": {"type": "url", "url": "https://x"}},
        ),
        (
            Document("application/pdf", "aGk=", name="a.pdf"),
            {"type": "document", "title": "a.pdf", "source":
             {"type": "base64", "media_type": "application/pdf", "data": "aGk="}},
        ),
        (
            Document("text/csv", base64.b64encode("ä,b".encode()).decode()),
            {"type": "document",
             "source": {"type": "text", "media_type": "text/plain", "data": "ä,b"}},
        ),
        (
            Document("text/plain", text="words", cites=True, context="c"),
            {"type": "document", "context": "c", "citations": {"enabled": True},
             "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
        ),
        (
            Document(url="https://x/a.pdf"),
            {"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}},
        ),
    ],
)  # fmt: skip
def test_pictures_and_papers(part: Image | Document, block: Json) -> None:
    assert content(Message("user", [part]))[0]["content"] == [block]


@pytest.mark.parametrize(
    "part",
    [
        Image("image/tiff", "aGk="),
        Document("application/zip", "aGk="),
        Document("text/plain", "not base64!"),
    ],
)
def test_pictures_and_papers_that_nobody_can_read_are_refused(part: Image | Document) -> None:
    with pytest.raises(BadRequest) as caught:
        content(Message("user", [part]))
    assert caught.value.param == "messages.0.content"


def test_tools_stand_in_order_with_their_schemas_untouched() -> None:
    schema = msgspec.Raw(b'{"type":"object",  "z":1,"a":2}')
    losses = Losses(may_drop=False)
    tools = [Tool("z", "d", schema, True, "1h"), Tool("a", schema=schema, strict=False)]
    body = render_messages(Conversation([HI], tools=tools), NEW, losses, "x")
    assert body.count(b'"input_schema":{"type":"object",  "z":1,"a":2}') == 2
    first, second = json.loads(body)["tools"]
    assert (first["name"], second["name"]) == ("z", "a")
    assert (first["strict"], first["cache_control"]["ttl"]) == (True, "1h")
    assert "strict" not in second


@pytest.mark.parametrize(
    ("choice", "want"),
    [
        (None, None),
        (ToolChoice("auto"), None),
        (ToolChoice("auto", parallel=True), None),
        (ToolChoice("auto", parallel=False), {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("any"), {"type": "any"}),
        (ToolChoice("none", parallel=False), {"type": "none"}),
        (
            ToolChoice("tool", "f", parallel=False),
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_the_choice_of_tools(choice: ToolChoice | None, want: Json | None) -> None:
    assert rendered(tools=[Tool("f")], tool_choice=choice).get("tool_choice") == want
    assert "tool_choice" not in rendered(tool_choice=choice)


def budget(tokens: int) -> Json:
    return {"type": "enabled", "budget_tokens": tokens}


@pytest.mark.parametrize(
    ("model", "reasoning", "limit", "want"),
    [
        (OLD, Reasoning("low"), 50_000, {"thinking": budget(2048)}),
        (OLD, Reasoning("high"), 9_000, {"thinking": budget(8999)}),
        (OLD, Reasoning(budget=5000), 9000, {"thinking": budget(5000)}),
        (OLD, Reasoning("minimal"), 2000, {"thinking": budget(1024)}),
        (OLD, Reasoning(budget=5), 2000, {"thinking": budget(1024)}),
        (OLD, Reasoning("none"), 2000, {}),
        (OLD, Reasoning(is_off=True), 2000, {}),
        (OLD, Reasoning(), 2000, {}),
        (
            MIDDLE, Reasoning("xhigh"), 2000,
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        ),
        (MIDDLE, Reasoning(budget=1500), 2000, {"thinking": budget(1500)}),
        (
            NEW, Reasoning("minimal", summary="auto"), 2000,
            {"thinking": {"type": "adaptive", "display": "summarized"},
             "output_config": {"effort": "low"}},
        ),
        (
            NEW, Reasoning("xhigh"), 9,
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
        ),
        (NEW, Reasoning(), 9, {"thinking": {"type": "adaptive"}}),
        (NEW, Reasoning("none"), 9, {}),
        (NEXT, Reasoning("none"), 9, {"thinking": {"type": "disabled"}}),
        ("an-alias", Reasoning("max"), 9,
         {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}),
    ],
)  # fmt: skip
def test_how_much_to_think(model: str, reasoning: Reasoning, limit: int, want: Json) -> None:
    got = rendered(model=model, reasoning=reasoning, max_tokens=limit)
    assert {name: got[name] for name in ("thinking", "output_config") if name in got} == want
    assert got["max_tokens"] == limit


def test_there_is_room_to_speak_after_the_longest_thought() -> None:
    got = rendered(model=OLD, reasoning=Reasoning("max"))
    assert got["max_tokens"] > got["thinking"]["budget_tokens"] + 4_000


def test_a_budget_is_lost_where_models_take_none_and_where_there_is_no_room() -> None:
    lost("reasoning_effort", model=NEW, reasoning=Reasoning(budget=2000))
    lost("reasoning_effort", model=OLD, reasoning=Reasoning("low"), max_tokens=1024)


@pytest.mark.parametrize(
    ("model", "limit"),
    [(OLDEST, 4096), ("claude-3-5-sonnet-20241022", 8192), ("claude-3-7-sonnet-20250219", 32_000),
     ("us.anthropic.claude-opus-4-20250514-v1:0", 32_000), (NEXT, 32_000), ("arn:x", 32_000)],
)  # fmt: skip
def test_every_request_has_a_limit(model: str, limit: int) -> None:
    assert rendered(model=model)["max_tokens"] == limit
    assert rendered(model=model, max_tokens=0)["max_tokens"] == 0


def test_older_models_are_told_how_to_sample() -> None:
    got = rendered(model=OLD, temperature=0.2, top_p=0.5, top_k=3)
    assert (got["temperature"], got["top_p"], got["top_k"]) == (0.2, 0.5, 3)


def test_newer_models_are_not() -> None:
    lost("temperature", model=NEW, temperature=0.2)
    lost("top_p", model=NEW, top_p=0.5)
    lost("top_k", model=NEW, top_k=5)
    got = rendered(model=NEW, temperature=1, top_p=1)
    assert not {"temperature", "top_p"} & set(got)  # what there is without them


def test_who_thinks_is_not_told_how_to_sample() -> None:
    lost("temperature", model=OLD, temperature=0.2, reasoning=Reasoning("low"))
    lost("top_k", model=OLD, top_k=2, reasoning=Reasoning("low"))


def test_a_temperature_above_ones_scale_is_lost() -> None:
    lost("temperature", model=OLD, temperature=1.5)


def test_a_schema_holds_the_answer() -> None:
    schema = msgspec.Raw(b'{"type":"object","z":1,"a":2}')
    got = rendered(output=Output("schema", "n", "d", schema, True))
    want = {"format": {"type": "json_schema", "schema": {"type": "object", "z": 1, "a": 2}}}
    assert got["output_config"] == want
    assert "output_config" not in rendered(output=Output("text"))


def test_json_of_any_form_is_lost_and_so_are_schemas_on_old_models() -> None:
    lost("response_format", output=Output("json"))
    lost("response_format", model=OLDEST, output=Output("schema"))
    lost("tools.strict", model=OLDEST, tools=[Tool("f", strict=True)])


def test_the_rest() -> None:
    got = rendered(stop=["a"], user="u", service="default", stream=True)
    assert got["stop_sequences"] == ["a"]
    assert got["metadata"] == {"user_id": "u"}
    assert got["service_tier"] == "standard_only"
    assert got["stream"] is True
    assert rendered(service="auto")["service_tier"] == "auto"


@pytest.mark.parametrize(
    ("param", "more"),
    [
        ("n", {"samples": 2}),
        ("seed", {"seed": 0}),
        ("presence_penalty", {"presence_penalty": 0.1}),
        ("frequency_penalty", {"frequency_penalty": 0.1}),
        ("logit_bias", {"logit_bias": msgspec.Raw(b"{}")}),
        ("logprobs", {"logprobs": True}),
        ("top_logprobs", {"top_logprobs": 2}),
        ("metadata", {"metadata": {"a": "b"}}),
        ("service_tier", {"service": "flex"}),
        ("web_search_options", {"extra": {"web_search_options": msgspec.Raw(b"{}")}}),
    ],
)
def test_what_has_no_counterpart_is_named(param: str, more: Json) -> None:
    losses = Losses(may_drop=True)
    conversation = Conversation([HI], **more)
    render_messages(conversation, NEW, losses, "Messages")
    assert losses.dropped == [param]
    with pytest.raises(BadRequest, match="has no counterpart in Messages"):
        render_messages(conversation, NEW, Losses(may_drop=False), "Messages")


def test_names_are_the_clients_own() -> None:
    params = {"seed": "random_seed"}
    losses = Losses(may_drop=True)
    render_messages(Conversation([HI], seed=1, params=params), NEW, losses, "x")
    assert losses.dropped == ["random_seed"]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        (Message("user", [Text("a")], name="bob"), "messages.0.name"),
        (Message("user", [Audio("aGk=", "wav")]), "messages.0.content.input_audio"),
        (Message("user", [Image(url="x", detail="low")]), "messages.0.content.image_url.detail"),
        (Message("user", [Foreign("messages.0.content.7", NOTHING)]), "messages.0.content.7"),
    ],
)  # fmt: skip
def test_parts_without_counterpart_are_named(message: Message, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        rendered(message)
    assert caught.value.param == param
    assert render(message, may_drop=True)[1] == [param]


def test_a_cloud_names_the_model_elsewhere_and_the_version_in_the_body() -> None:
    conversation = Conversation([HI], stream=True, temperature=0.3)
    losses = Losses(may_drop=True)
    body = json.loads(
        render_messages(
            conversation, None, losses, "Bedrock", known_as=f"us.anthropic.{NEW}-v1:0",
            version="bedrock-2023-05-31", says_stream=False,
        )
    )  # fmt: skip
    assert set(body) == {"anthropic_version", "max_tokens", "messages"}
    assert losses.dropped == ["temperature"]


def test_a_count_holds_only_what_counts() -> None:
    conversation = Conversation(
        [Message("system", [Text("s")]), HI],
        tools=[Tool("f")],
        max_tokens=5,
        stop=["x"],
        user="u",
        stream=True,
        reasoning=Reasoning("low"),
    )
    body = json.loads(render_count(conversation, NEW, Losses(may_drop=False), "x"))
    assert set(body) == {"model", "tools", "system", "messages", "thinking", "output_config"}


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_what_models_take_is_told_by_their_names(model: Any) -> None:
    """Held against the emulator's own table."""
    takes = takes_of(model.name)
    assert (takes.sampling, takes.budget, takes.adaptive) == (
        model.sampling, model.budget, model.adaptive,
    )  # fmt: skip
    assert takes.schema == model.schema
    assert takes.max_tokens <= model.max_tokens


@pytest.mark.parametrize(
    ("name", "sampling", "adaptive"),
    [
        ("us.anthropic.claude-opus-4-7-v1:0", False, True),
        ("anthropic.claude-sonnet-4-6", True, True),
        ("claude-opus-4-1@20250805", True, False),
        ("claude-opus-4-20250514", True, False),
        ("claude-haiku-5-5", False, True),
        ("claude-fable-5", False, True),
        ("claude-sonnet-4.5", True, False),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", True, False),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/x", True, True),
    ],
)
def test_generations_are_read_from_names_of_all_clouds(
    name: str, sampling: bool, adaptive: bool
) -> None:
    takes = takes_of(name)
    assert (takes.sampling, takes.adaptive) == (sampling, adaptive)
