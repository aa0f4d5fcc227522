"""Conversations as Converse's requests: whole bodies compared, and each one valid for botocore."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from towplane.parts.errors import BadRequest
from towplane.providers.adapter import Losses, Place, Rendered
from towplane.providers.bedrock import ADAPTER
from towplane.providers.bedrock.families import base_model, family_of, path_of
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
from towplane.providers.dialects.messages.render import render_messages

Value = dict[str, Any]

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
CLAUDE_46 = "anthropic.claude-opus-4-6-v1"
CLAUDE_48 = "eu.anthropic.claude-opus-4-8"
FABLE = "global.anthropic.claude-fable-5"
OLD = "anthropic.claude-3-haiku-20240307-v1:0"
NOVA = "amazon.nova-pro-v1:0"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
GPT = "openai.gpt-oss-120b-1:0"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
MISTRAL = "mistral.mistral-large-2407-v1:0"
COHERE = "cohere.command-r-plus-v1:0"
SCHEMA = msgspec.Raw(b'{"type": "object", "properties": {"b": {}, "a": {}}}')
LOOK = Tool("look", "Looks.", SCHEMA)
CALLED = [
    Message("user", [Text("hi")]),
    Message("assistant", [ToolCall("t1", "look", '{"x": 1}')]),
    Message("user", [ToolResult("t1", [Text("it is")])]),
]


@cache
def shape(operation: str) -> Any:
    model = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))
    return model.operation_model(operation).input_shape


def place(model: str, **options: str) -> Place:
    return Place("t", model, "", {"region": "us-east-1", **options})


def told(parts: list[Part], **more: Any) -> Conversation:
    return Conversation([Message("user", parts)], **more)


def render(
    conversation: Conversation, model: str = CLAUDE, *, may_drop: bool = False, **options: str
) -> tuple[Value, list[str]]:
    """The body, which botocore must find valid, and what was dropped."""
    losses = Losses(may_drop=may_drop)
    rendered = ADAPTER.render(conversation, place(model, **options), losses)
    body = json.loads(rendered.body)
    report = ParamValidator().validate(body | {"modelId": model}, shape("Converse"))
    assert not report.has_errors(), report.generate_report()
    return body, losses.dropped


USER = [{"role": "user", "content": [{"text": "hi"}]}]
HI = Text("hi")


@dataclass
class Case:
    name: str
    given: Conversation
    want: Value
    model: str = CLAUDE


def says(content: list[Value], **more: Any) -> Value:
    return {"messages": [{"role": "user", "content": content}], **more}


POINT = {"cachePoint": {"type": "default"}}
HOUR = {"cachePoint": {"type": "default", "ttl": "1h"}}
SPEC = {"name": "look", "description": "Looks.", "inputSchema": {"json": json.loads(bytes(SCHEMA))}}
CALLED_WIRE = [
    {"role": "user", "content": [{"text": "hi"}]},
    {"role": "assistant",
     "content": [{"toolUse": {"toolUseId": "t1", "name": "look", "input": {"x": 1}}}]},
    {"role": "user",
     "content": [{"toolResult": {"toolUseId": "t1", "content": [{"text": "it is"}]}}]},
]  # fmt: skip

CONTENT = [
    Case("text", told([HI]), {"messages": USER}),
    Case("blank text is none", told([Text(" \n"), HI, Text("")]), {"messages": USER}),
    Case("neighbours of one role are one message",
         Conversation([Message("user", [HI]), Message("user", [Text("there")])]),
         says([{"text": "hi"}, {"text": "there"}])),
    Case("a message that holds nothing is none",
         Conversation([Message("user", [HI]), Message("assistant", [Text("")]),
                       Message("user", [Text("there")])]),
         says([{"text": "hi"}, {"text": "there"}])),
    Case("system and developer, wherever they stand",
         Conversation([Message("system", [Text("a")]), Message("user", [HI]),
                       Message("developer", [Text("b", cache="5m")])]),
         {"messages": USER, "system": [{"text": "a"}, {"text": "b"}, POINT]}),
    Case("an image", told([HI, Image("image/jpeg", "aGk=")]),
         says([{"text": "hi"}, {"image": {"format": "jpeg", "source": {"bytes": "aGk="}}}])),
    Case("an image in S3", told([Image(url="s3://bucket/a.JPG")]),
         says([{"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/a.JPG"}}}}])),
    Case("documents have names of their own",
         told([Document("application/pdf", "aGk=", name="My report: v2.pdf"),
               Document("application/pdf", "aGk=", name="My report: v2.pdf"),
               Document("text/markdown", "aGk="), HI]),
         says([{"document": {"format": "pdf", "name": "My report v2 pdf",
                             "source": {"bytes": "aGk="}}},
               {"document": {"format": "pdf", "name": "My report v2 pdf 2",
                             "source": {"bytes": "aGk="}}},
               {"document": {"format": "md", "name": "document", "source": {"bytes": "aGk="}}},
               {"text": "hi"}])),
    Case("a document that is cited",
         told([Document(text="words", name="d", context="old", cites=True, cache="1h"), HI]),
         says([{"document": {"format": "txt", "name": "d", "source": {"text": "words"},
                             "context": "old", "citations": {"enabled": True}}},
               HOUR, {"text": "hi"}])),
    Case("a recording", told([Audio("aGk=", "wav"), HI]),
         says([{"audio": {"format": "wav", "source": {"bytes": "aGk="}}}, {"text": "hi"}])),
    Case("calls and results", Conversation(CALLED, tools=[LOOK]),
         {"messages": CALLED_WIRE, "toolConfig": {"tools": [{"toolSpec": SPEC}]}}),
    Case("a result that failed, with a picture",
         Conversation([*CALLED[:2], Message("user", [
             ToolResult("t1", [Text("no"), Image("image/png", "aGk=")], is_error=True,
                        cache="5m")])], tools=[LOOK]),
         {"messages": [*CALLED_WIRE[:2], {"role": "user", "content": [
             {"toolResult": {"toolUseId": "t1", "status": "error", "content": [
                 {"text": "no"}, {"image": {"format": "png", "source": {"bytes": "aGk="}}}]}},
             POINT]}], "toolConfig": {"tools": [{"toolSpec": SPEC}]}}),
    Case("a result without a word",
         Conversation([*CALLED[:2], Message("user", [ToolResult("t1", [Text("")])])],
                      tools=[LOOK]),
         {"messages": [*CALLED_WIRE[:2], {"role": "user", "content": [
             {"toolResult": {"toolUseId": "t1", "content": [{"json": {}}]}}]}],
          "toolConfig": {"tools": [{"toolSpec": SPEC}]}}),
    Case("thoughts go back as they came",
         Conversation([Message("user", [HI]), Message("assistant", [
             Thinking("so", "sig"), Redacted("c2VjcmV0"), Text("a")]), Message("user", [HI])]),
         {"messages": [USER[0], {"role": "assistant", "content": [
             {"reasoningContent": {"reasoningText": {"text": "so", "signature": "sig"}}},
             {"reasoningContent": {"redactedContent": "c2VjcmV0"}}, {"text": "a"}]}, USER[0]]}),
    Case("a thought of somebody else's stays away",
         Conversation([Message("user", [HI]), Message("assistant", [
             Thinking("so"), Thinking("", "towplane.call:x"), Refusal("no")]),
             Message("user", [HI])]),
         {"messages": [USER[0], {"role": "assistant", "content": [{"text": "no"}]}, USER[0]]}),
    Case("cache marks stay where they were",
         Conversation([Message("system", [Text("s", cache="1h")]),
                       Message("user", [Text("a", cache="5m"), Text("b")])],
                      tools=[LOOK, Tool("hear", cache="1h")]),
         {"system": [{"text": "s"}, HOUR],
          "messages": [{"role": "user", "content": [{"text": "a"}, POINT, {"text": "b"}]}],
          "toolConfig": {"tools": [
              {"toolSpec": SPEC},
              {"toolSpec": {"name": "hear",
                            "inputSchema": {"json": {"type": "object", "properties": {}}}}},
              HOUR]}}),
    Case("a mark on blank text marks what is before it",
         told([Text("a"), Text("", cache="5m")]), says([{"text": "a"}, POINT])),
    Case("a mark with nothing before it is none", told([Text("", cache="5m"), HI]),
         {"messages": USER}),
    Case("Nova caches, too", told([Text("hi", cache="5m")]), says([{"text": "hi"}, POINT]), NOVA),
    Case("a strict tool", told([HI], tools=[Tool("look", "Looks.", SCHEMA, strict=True)]),
         {"messages": USER, "toolConfig": {"tools": [{"toolSpec": SPEC | {"strict": True}}]}}),
    Case("a tool that must be called",
         told([HI], tools=[LOOK], tool_choice=ToolChoice("tool", "look")),
         {"messages": USER, "toolConfig": {"tools": [{"toolSpec": SPEC}],
                                           "toolChoice": {"tool": {"name": "look"}}}}),
    Case("any tool must be called", told([HI], tools=[LOOK], tool_choice=ToolChoice("any")),
         {"messages": USER,
          "toolConfig": {"tools": [{"toolSpec": SPEC}], "toolChoice": {"any": {}}}}, LLAMA),
    Case("no tool may be called", told([HI], tools=[LOOK], tool_choice=ToolChoice("none")),
         {"messages": USER}),
    Case("one call at a time", told([HI], tools=[LOOK], tool_choice=ToolChoice(parallel=False)),
         {"messages": USER, "toolConfig": {"tools": [{"toolSpec": SPEC}]},
          "additionalModelRequestFields": {
              "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}}),
    Case("this tool, once",
         told([HI], tools=[LOOK], tool_choice=ToolChoice("tool", "look", parallel=False)),
         {"messages": USER, "toolConfig": {"tools": [{"toolSpec": SPEC}]},
          "additionalModelRequestFields": {"tool_choice": {
              "type": "tool", "name": "look", "disable_parallel_tool_use": True}}}),
]  # fmt: skip


def adds(**more: Any) -> Value:
    return {"messages": USER, "additionalModelRequestFields": more}


PATHS = ["/stop_sequence", "/delta/stop_sequence"]
SETTINGS = [
    Case("limits and sampling",
         told([HI], max_tokens=9, temperature=0.5, top_p=0.9, stop=["END"]),
         {"messages": USER, "additionalModelResponseFieldPaths": PATHS,
          "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 0.9,
                              "stopSequences": ["END"]}}),
    Case("who but Claude says no stop sequence", told([HI], stop=["END"]),
         {"messages": USER, "inferenceConfig": {"stopSequences": ["END"]}}, LLAMA),
    Case("top_k of Claude", told([HI], top_k=5), adds(top_k=5)),
    Case("top_k of Nova", told([HI], top_k=5), adds(inferenceConfig={"topK": 5}), NOVA),
    Case("top_k of Mistral", told([HI], top_k=5), adds(top_k=5), MISTRAL),
    Case("top_k of Cohere", told([HI], top_k=5), adds(k=5), COHERE),
    Case("what OpenAI's models take", told([HI], seed=7, presence_penalty=0.5,
                                           frequency_penalty=0.25, logit_bias=msgspec.Raw(b"{}")),
         adds(seed=7, presence_penalty=0.5, frequency_penalty=0.25, logit_bias={}), GPT),
    Case("penalties of nothing", told([HI], presence_penalty=0, frequency_penalty=0.0),
         {"messages": USER}, LLAMA),
    Case("a schema", told([HI], output=Output("schema", "n", "d", SCHEMA)),
         {"messages": USER, "outputConfig": {"textFormat": {
             "type": "json_schema",
             "structure": {"jsonSchema": {"schema": bytes(SCHEMA).decode(), "name": "n",
                                          "description": "d"}}}}}),
    Case("labels", told([HI], metadata={"team": "a"}, user="u"),
         {"messages": USER, "requestMetadata": {"team": "a", "user": "u"}}),
    Case("Converse's own fields", told([HI], extra={
        "guardrailConfig": msgspec.Raw(b'{"guardrailIdentifier":"g","guardrailVersion":"1"}'),
        "performanceConfig": msgspec.Raw(b'{"latency":"optimized"}'),
        "additionalModelRequestFields": msgspec.Raw(b'{"top_k":9,"x":1}')}, top_k=5),
         {"messages": USER,
          "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
          "performanceConfig": {"latency": "optimized"},
          "additionalModelRequestFields": {"top_k": 9, "x": 1}}),
    Case("thinking by an effort", told([HI], reasoning=Reasoning("medium")),
         adds(thinking={"type": "enabled", "budget_tokens": 8192})),
    Case("thinking by an effort, inside the limit",
         told([HI], reasoning=Reasoning("high"), max_tokens=4000),
         adds(thinking={"type": "enabled", "budget_tokens": 3999})
         | {"inferenceConfig": {"maxTokens": 4000}}),
    Case("thinking by a budget", told([HI], reasoning=Reasoning(budget=2000), temperature=1),
         adds(thinking={"type": "enabled", "budget_tokens": 2000})),
    Case("Claude thinks by itself", told([HI], reasoning=Reasoning("xhigh")),
         adds(thinking={"type": "adaptive"}) | {"outputConfig": {"effort": "xhigh"}}, CLAUDE_48),
    Case("an effort beside a schema",
         told([HI], reasoning=Reasoning("low"), output=Output("schema", schema=SCHEMA)),
         adds(thinking={"type": "adaptive"}) | {"outputConfig": {"effort": "low", "textFormat": {
             "type": "json_schema",
             "structure": {"jsonSchema": {"schema": bytes(SCHEMA).decode()}}}}}, CLAUDE_46),
    Case("a summary of the thoughts", told([HI], reasoning=Reasoning("high", summary="auto")),
         adds(thinking={"type": "adaptive", "display": "summarized"})
         | {"outputConfig": {"effort": "high"}}, CLAUDE_48),
    Case("4.6 takes a budget, too", told([HI], reasoning=Reasoning(budget=2000)),
         adds(thinking={"type": "enabled", "budget_tokens": 2000}), CLAUDE_46),
    Case("an effort that 4.6 does not know", told([HI], reasoning=Reasoning("xhigh")),
         adds(thinking={"type": "adaptive"}) | {"outputConfig": {"effort": "high"}}, CLAUDE_46),
    Case("not to think", told([HI], reasoning=Reasoning("none")), {"messages": USER}),
    Case("not to think where it would", told([HI], reasoning=Reasoning(is_off=True)),
         adds(thinking={"type": "disabled"}), "anthropic.claude-opus-5"),
    Case("Nova thinks", told([HI], reasoning=Reasoning("max")),
         adds(reasoningConfig={"type": "enabled", "maxReasoningEffort": "high"}), NOVA_2),
    Case("Nova does not think", told([HI], reasoning=Reasoning("none")),
         adds(reasoningConfig={"type": "disabled"}), NOVA_2),
    Case("OpenAI's models think", told([HI], reasoning=Reasoning("minimal")),
         adds(reasoning_effort="low"), GPT),
    Case("who cannot think does not", told([HI], reasoning=Reasoning("none")), {"messages": USER},
         LLAMA),
    Case("newer Claude models sample as they see fit", told([HI], temperature=1, top_p=1),
         {"messages": USER}, CLAUDE_48),
]  # fmt: skip


@pytest.mark.parametrize("case", CONTENT + SETTINGS, ids=lambda case: case.name)
def test_a_conversation_becomes(case: Case) -> None:
    body, dropped = render(case.given, case.model)
    assert body == case.want
    assert dropped == []


def test_the_order_of_a_schema_is_kept() -> None:
    """A prompt cache hits only where not a byte has moved."""
    rendered = ADAPTER.render(told([HI], tools=[LOOK]), place(CLAUDE), Losses(may_drop=False))
    assert bytes(SCHEMA) in rendered.body


def test_ids_that_converse_does_not_take_become_others_the_same_way() -> None:
    long = "call/" + "x" * 70
    messages = [
        Message("user", [HI]),
        Message("assistant", [ToolCall(long, "look", "")]),
        Message("user", [ToolResult(long, [HI])]),
    ]
    body, _ = render(Conversation(messages, tools=[LOOK]))
    found = body["messages"][1]["content"][0]["toolUse"]["toolUseId"]
    assert body["messages"][2]["content"][0]["toolResult"]["toolUseId"] == found
    assert body == render(Conversation(messages, tools=[LOOK]))[0]
    assert len(found) <= 64


@pytest.mark.parametrize("effort", ["minimal", "low", "medium", "high", "xhigh", "max"])
def test_an_effort_means_the_same_through_converse_and_invoke(effort: str) -> None:
    asked = told([HI], reasoning=Reasoning(effort), max_tokens=60_000)
    body, _ = render(asked)
    losses = Losses(may_drop=False)
    told_ = json.loads(render_messages(asked, None, losses, "x", known_as=base_model(CLAUDE)))
    assert body["additionalModelRequestFields"]["thinking"] == told_["thinking"]


# ---- what has no counterpart

LOST = [
    ("n", told([HI], samples=2), CLAUDE),
    ("logprobs", told([HI], logprobs=True), GPT),
    ("seed", told([HI], seed=0), CLAUDE),
    ("presence_penalty", told([HI], presence_penalty=0.5), CLAUDE),
    ("frequency_penalty", told([HI], frequency_penalty=0.5), NOVA),
    ("logit_bias", told([HI], logit_bias=msgspec.Raw(b"{}")), LLAMA),
    ("top_k", told([HI], top_k=5), LLAMA),
    ("top_k", told([HI], top_k=5), CLAUDE_48),
    ("top_k", told([HI], top_k=5, reasoning=Reasoning("low")), CLAUDE),
    ("temperature", told([HI], temperature=1.5), LLAMA),
    ("temperature", told([HI], temperature=0.5), CLAUDE_48),
    ("temperature", told([HI], temperature=0.5, reasoning=Reasoning("low")), CLAUDE),
    ("top_p", told([HI], top_p=0.5), CLAUDE_48),
    ("response_format", told([HI], output=Output("json")), CLAUDE),
    ("reasoning_effort", told([HI], reasoning=Reasoning("low")), LLAMA),
    ("reasoning_effort", told([HI], reasoning=Reasoning("low")), OLD),
    ("reasoning_effort", told([HI], reasoning=Reasoning("low"), max_tokens=500), CLAUDE),
    ("reasoning_effort", told([HI], reasoning=Reasoning("none")), FABLE),
    ("reasoning_effort", told([HI], reasoning=Reasoning("none")), GPT),
    ("reasoning_effort", told([HI], reasoning=Reasoning(budget=2000)), CLAUDE_48),
    ("parallel_tool_calls", told([HI], tools=[LOOK], tool_choice=ToolChoice(parallel=False)), NOVA),
    ("tool_choice", Conversation(CALLED, tools=[LOOK], tool_choice=ToolChoice("none")), CLAUDE),
    ("cache_control", told([Text("hi", cache="5m")]), LLAMA),
    ("tools.cache_control", told([HI], tools=[Tool("look", cache="5m")]), NOVA),
    ("service_tier", told([HI], service="scale"), CLAUDE),
    ("image_url", told([HI, Image(url="https://a.example/b.png")]), CLAUDE),
    ("file_url", told([HI, Document(url="https://a.example/b.pdf")]), CLAUDE),
    ("image of type image/bmp", told([HI, Image("image/bmp", "aGk=")]), CLAUDE),
    ("document of type application/zip", told([HI, Document("application/zip", "aGk=")]), CLAUDE),
    ("audio of format midi", told([HI, Audio("aGk=", "midi")]), CLAUDE),
    ("messages[0].content[1]",
     told([HI, Foreign("messages[0].content[1]", msgspec.Raw(b"{}"))]), CLAUDE),
    ("messages.name", Conversation([Message("user", [HI], name="Ann")]), CLAUDE),
    ("metadata", told([HI], metadata={str(one): "x" for one in range(17)}), CLAUDE),
    ("user", told([HI], user="a|b"), CLAUDE),
    ("metadata", told([HI], metadata={"a": "höhe"}), CLAUDE),
    ("image_url.detail", told([HI, Image("image/png", "aGk=", detail="low")]), CLAUDE),
    ("is_error", Conversation([*CALLED[:2], Message("user", [
        ToolResult("t1", [HI], is_error=True)])], tools=[LOOK]), LLAMA),
    ("prediction", told([HI], extra={"prediction": msgspec.Raw(b"{}")}), CLAUDE),
]  # fmt: skip


@pytest.mark.parametrize(("param", "given", "model"), LOST)
def test_what_has_no_counterpart_is_refused_by_name(
    param: str, given: Conversation, model: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        render(given, model)
    assert refused.value.param == param
    assert refused.value.reason == "unsupported-parameter"


@pytest.mark.parametrize(("param", "given", "model"), LOST)
def test_or_dropped_and_said_where_the_route_allows_it(
    param: str, given: Conversation, model: str
) -> None:
    _, dropped = render(given, model, may_drop=True)
    assert dropped == [param]


def test_a_refusal_names_what_the_client_wrote() -> None:
    names = {"output": "text.format", "reasoning": "reasoning.effort"}
    for given in (
        told([HI], output=Output("json"), params=names),
        told([HI], reasoning=Reasoning("low"), params=names),
    ):
        with pytest.raises(BadRequest) as refused:
            render(given, LLAMA)
        assert refused.value.param in names.values()


@pytest.mark.parametrize(
    ("param", "given"),
    [
        ("tools", Conversation(CALLED)),
        ("tool_calls", Conversation([
            Message("user", [HI]), Message("assistant", [ToolCall("t", "look", "[1]")]),
        ], tools=[LOOK])),
    ],
)  # fmt: skip
def test_what_cannot_be_said_at_all_is_a_bad_request(param: str, given: Conversation) -> None:
    with pytest.raises(BadRequest) as refused:
        render(given, may_drop=True)
    assert refused.value.param == param
    assert refused.value.next_step


# ---- tiers


@pytest.mark.parametrize(
    ("wish", "default", "want"),
    [
        ("", "", None),
        ("", "flex", "flex"),
        ("auto", "flex", "flex"),
        ("default", "flex", "default"),
        ("standard_only", "priority", "default"),
        ("priority", "", "priority"),
        ("flex", "reserved", "flex"),
        ("reserved", "", "reserved"),
    ],
)
def test_the_clients_tier_goes_before_the_documents(
    wish: str, default: str, want: str | None
) -> None:
    body, _ = render(told([HI], service=wish), service=default)
    assert body.get("serviceTier") == (None if want is None else {"type": want})


# ---- paths, profiles, families


def test_where_a_request_goes() -> None:
    losses = Losses(may_drop=False)
    streamed = ADAPTER.render(told([HI], stream=True), place(CLAUDE), losses)
    assert streamed.path == (
        "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream"
    )
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0"
    assert ADAPTER.render(told([HI]), place(arn), losses).path == (
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2F"
        "us.amazon.nova-lite-v1%3A0/converse"
    )


@pytest.mark.parametrize(
    ("model", "family", "base"),
    [
        (CLAUDE, "anthropic", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        (CLAUDE_46, "anthropic", CLAUDE_46),
        (FABLE, "anthropic", "anthropic.claude-fable-5"),
        ("apac.anthropic.claude-3-sonnet-20240229-v1:0", "anthropic",
         "anthropic.claude-3-sonnet-20240229-v1:0"),
        ("us-gov.anthropic.claude-3-7-sonnet-20250219-v1:0", "anthropic",
         "anthropic.claude-3-7-sonnet-20250219-v1:0"),
        ("jp.anthropic.claude-haiku-4-5-20251001-v1:0", "anthropic",
         "anthropic.claude-haiku-4-5-20251001-v1:0"),
        (NOVA_2, "amazon", "amazon.nova-2-lite-v1:0"),
        ("openai.gpt-5.2", "openai", "openai.gpt-5.2"),
        ("zai.glm-4.7", "zai", "zai.glm-4.7"),
        ("qwen.qwen3.5-coder", "qwen", "qwen.qwen3.5-coder"),
        ("us.deepseek.r1-v1:0", "deepseek", "deepseek.r1-v1:0"),
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0",
         "anthropic", OLD),
        ("arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:inference-profile/"
         "us-gov.anthropic.claude-3-haiku-20240307-v1:0", "anthropic", OLD),
        ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc1def2", "",
         "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc1def2"),
        ("arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc1def2ghi3", "",
         "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc1def2ghi3"),
        ("arn:aws:bedrock:us-east-1:123456789012:imported-model/abc1def2ghi3", "",
         "arn:aws:bedrock:us-east-1:123456789012:imported-model/abc1def2ghi3"),
    ],
)  # fmt: skip
def test_a_family_is_seen_through_profiles(model: str, family: str, base: str) -> None:
    assert family_of(model).name == family
    assert base_model(model) == base


# ---- counts


def test_a_count_asks_for_the_same_prompt() -> None:
    """CountTokens takes a model and no profile, and nothing that is not counted."""
    asked = Conversation(
        [Message("system", [Text("s")]), *CALLED], tools=[LOOK], max_tokens=2000,
        temperature=1, reasoning=Reasoning("low"), service="flex",
    )  # fmt: skip
    assert ADAPTER.render_count is not None
    rendered: Rendered = ADAPTER.render_count(asked, place(CLAUDE), Losses(may_drop=False))
    assert rendered.path == path_of("anthropic.claude-sonnet-4-5-20250929-v1:0", "count-tokens")
    body = json.loads(rendered.body)
    report = ParamValidator().validate(body | {"modelId": "m"}, shape("CountTokens"))
    assert not report.has_errors(), report.generate_report()
    converse, _ = render(asked)
    counted = ("messages", "system", "toolConfig", "additionalModelRequestFields")
    assert body == {"input": {"converse": {name: converse[name] for name in counted}}}
    assert ADAPTER.read_count is not None
    assert ADAPTER.read_count(b'{"inputTokens":42}') == 42
