"""A conversation as a request to Vertex AI: where it goes, what it says, what is refused."""

import json
from typing import Any

import msgspec
import pytest

from towplane.parts.errors import BadRequest
from towplane.parts.usage import Usage
from towplane.providers.adapter import Embeddings, Losses, Place, Rendered
from towplane.providers.ask import OPERATIONS, Ask
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
from towplane.providers.endpoints import endpoint_of
from towplane.providers.spec import VertexSpec
from towplane.providers.vertex import ADAPTER
from towplane.providers.vertex.contents import OWN, UNSIGNED

JSON = dict[str, Any]
HOME = {"project": "acme", "location": "europe-west4"}
BASE = "/v1/projects/acme/locations/europe-west4"
raw = msgspec.Raw


def at(model: str, **options: str) -> Place:
    return Place("vertex/it", model, options={**HOME, **options})


GEMINI, GEMINI_3 = at("gemini-2.5-flash"), at("gemini-3.1-pro-preview")


def say(*parts: Part | str) -> Message:
    return Message("user", [Text(part) if isinstance(part, str) else part for part in parts])


def said(*parts: Part) -> Message:
    return Message("assistant", list(parts))


def rendered(conversation: Conversation, place: Place = GEMINI, **more: bool) -> Rendered:
    losses = Losses(may_drop=more.get("may_drop", False))
    return ADAPTER.render(conversation, place, losses)


def up(given: Rendered) -> tuple[str, bytes]:
    return given.path, given.body


def sent(conversation: Conversation, place: Place = GEMINI) -> JSON:
    body: JSON = json.loads(rendered(conversation, place).body)
    return body


def with_(**fields: Any) -> Conversation:
    return Conversation([say("up?")], **fields)


# Where ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
        ("us-central1", "us-central1-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_the_host_of_a_location(location: str, host: str) -> None:
    """As google-genai 3.4.0 and anthropic 2.12.0 choose it."""
    endpoint = endpoint_of(VertexSpec(project="acme", location=location, credentials=[]))
    assert (endpoint.host, endpoint.port, endpoint.path, endpoint.is_tls) == (host, 443, "", True)
    assert endpoint.options["location"] == location


PATHS = {
    "gemini-2.5-flash": f"{BASE}/publishers/google/models/gemini-2.5-flash:generateContent",
    "google/gemini-2.5-pro": f"{BASE}/publishers/google/models/gemini-2.5-pro:generateContent",
    "gemini-3-pro-preview": "/v1beta1/projects/acme/locations/europe-west4/publishers/google/models"
    "/gemini-3-pro-preview:generateContent",
    "gemini-2.5-flash-preview-09-2025": "/v1beta1/projects/acme/locations/europe-west4/publishers"
    "/google/models/gemini-2.5-flash-preview-09-2025:generateContent",
    "projects/p/locations/us-central1/publishers/google/models/gemini-2.5-pro": "/v1/projects/p"
    "/locations/us-central1/publishers/google/models/gemini-2.5-pro:generateContent",
    "publishers/google/models/gemini-2.5-pro": f"{BASE}/publishers/google/models"
    "/gemini-2.5-pro:generateContent",
    "projects/p/locations/l/endpoints/123": "/v1/projects/p/locations/l/endpoints/123"
    ":generateContent",
    "endpoints/123": f"{BASE}/endpoints/123:generateContent",
    "claude-sonnet-4-5@20250929": f"{BASE}/publishers/anthropic/models"
    "/claude-sonnet-4-5@20250929:rawPredict",
    "anthropic/claude-opus-5": f"{BASE}/publishers/anthropic/models/claude-opus-5:rawPredict",
    "meta/llama-4-maverick-maas": f"{BASE}/endpoints/openapi/chat/completions",
    "gemini 2;5?x": f"{BASE}/publishers/google/models/gemini%202%3B5%3Fx:generateContent",
}


@pytest.mark.parametrize("model", PATHS)
def test_the_path_of_a_model(model: str) -> None:
    assert rendered(with_(), at(model)).path == PATHS[model]


def test_a_stream_is_asked_for_as_server_sent_events() -> None:
    path = rendered(with_(stream=True)).path
    assert path == f"{BASE}/publishers/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse"


def test_express_mode_names_no_project() -> None:
    """The key knows its project (VertexSpec.project is empty)."""
    express = Place("vertex/x", "gemini-2.5-flash", options={"location": "global"})
    path = rendered(with_(), express).path
    assert path == "/v1/publishers/google/models/gemini-2.5-flash:generateContent"


@pytest.mark.parametrize(
    ("model", "api", "native"),
    [
        ("gemini-2.5-flash", "auto", set()),
        ("gemini-2.5-flash", "openai", {"chat"}),
        ("claude-opus-5", "auto", {"messages", "count_tokens"}),
        ("claude-opus-5", "openai", {"messages", "count_tokens"}),
        ("meta/llama-4-maverick-maas", "auto", {"chat"}),
        ("endpoints/123", "openai", {"chat"}),
    ],
)
def test_which_operations_pass_through(model: str, api: str, native: set[str]) -> None:
    place = at(model, api=api)
    assert {name for name in OPERATIONS if ADAPTER.is_native(name, place)} == native


# What the conversation becomes ----------------------------------------------------------------


def test_a_simple_question() -> None:
    assert rendered(with_()).body == b'{"contents":[{"parts":[{"text":"up?"}],"role":"user"}]}'


def test_system_and_developer_messages_are_the_instruction() -> None:
    body = sent(
        Conversation(
            [
                Message("system", [Text("a"), Text("b")]),
                say("q"),
                Message("developer", [Text("c")]),
            ]
        )
    )
    assert body["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}, {"text": "c"}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "q"}]}]


def test_neighbours_of_one_role_share_a_content_in_order() -> None:
    body = sent(Conversation([say("a"), say("b"), said(Text("c")), said(Refusal("d")), say("e")]))
    told = [(one["role"], [part["text"] for part in one["parts"]]) for one in body["contents"]]
    assert told == [("user", ["a", "b"]), ("model", ["c", "d"]), ("user", ["e"])]


MEDIA: dict[str, tuple[Part, list[JSON]]] = {
    "a picture": (
        Image("image/png", "iVBO"),
        [{"inlineData": {"mimeType": "image/png", "data": "iVBO"}}],
    ),
    "a picture in a bucket": (
        Image(url="gs://b/a.jpg"),
        [{"fileData": {"mimeType": "image/jpeg", "fileUri": "gs://b/a.jpg"}}],
    ),
    "a picture on the web": (
        Image(url="https://a.example/a.webp?x=1"),
        [{"fileData": {"mimeType": "image/webp", "fileUri": "https://a.example/a.webp?x=1"}}],
    ),
    "a picture whose type is known": (
        Image("image/heic", url="https://a.example/a"),
        [{"fileData": {"mimeType": "image/heic", "fileUri": "https://a.example/a"}}],
    ),
    "a picture with automatic detail": (
        Image("image/png", "iVBO", detail="auto"),
        [{"inlineData": {"mimeType": "image/png", "data": "iVBO"}}],
    ),
    "a document": (
        Document("application/pdf", "JVBE", name="plan.pdf", context="ours"),
        [
            {"text": "Document: plan.pdf\nours"},
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
        ],
    ),
    "a document of plain text": (Document("text/plain", text="words"), [{"text": "words"}]),
    "a document in a bucket": (
        Document(url="gs://b/a.pdf"),
        [{"fileData": {"mimeType": "application/pdf", "fileUri": "gs://b/a.pdf"}}],
    ),
    "a recording": (
        Audio("UklG", "wav"),
        [{"inlineData": {"mimeType": "audio/wav", "data": "UklG"}}],
    ),
}


@pytest.mark.parametrize("name", MEDIA)
def test_pictures_documents_and_recordings(name: str) -> None:
    part, want = MEDIA[name]
    (content,) = sent(Conversation([say("see", part)]))["contents"]
    assert content["parts"] == [{"text": "see"}, *want]


def test_a_picture_of_unknown_type_is_refused_by_name() -> None:
    with pytest.raises(BadRequest) as refused:
        rendered(Conversation([say(Image(url="https://a.example/picture"))]))
    assert refused.value.param == "image_url"


def test_detail_is_a_resolution_from_gemini_3_on() -> None:
    conversation = Conversation([say(Image("image/png", "iVBO", detail="low"))])
    (content,) = sent(conversation, GEMINI_3)["contents"]
    assert content["parts"][0]["mediaResolution"] == {"level": "MEDIA_RESOLUTION_LOW"}
    with pytest.raises(BadRequest, match=r"image_url\.detail"):
        rendered(conversation)


# Tools ----------------------------------------------------------------------------------------

SCHEMA = (
    b'{"type":"object","properties":{"z":{"$ref":"#/$defs/n"},"a":{"type":"string"}},"$defs":{}}'
)
LIFT = Tool("lift", "Lifts.", raw(SCHEMA))


def test_a_schema_goes_as_the_client_wrote_it() -> None:
    """To the byte: no order is lost that a provider's cache or model could see."""
    body = rendered(with_(tools=[LIFT, Tool("land")])).body
    assert b'"parametersJsonSchema":' + SCHEMA in body
    declared = json.loads(body)["tools"]
    assert [one["name"] for one in declared[0]["functionDeclarations"]] == ["lift", "land"]
    assert len(declared) == 1


CHOICES: dict[str, tuple[ToolChoice | None, bool | None, JSON | None]] = {
    "not said": (None, None, None),
    "auto": (ToolChoice("auto"), None, {"mode": "AUTO"}),
    "none": (ToolChoice("none"), None, {"mode": "NONE"}),
    "any": (ToolChoice("any"), None, {"mode": "ANY"}),
    "one": (
        ToolChoice("tool", "lift"),
        None,
        {"mode": "ANY", "allowedFunctionNames": ["lift"]},
    ),
    "strict": (None, True, {"mode": "VALIDATED"}),
    "strict and any": (ToolChoice("any"), True, {"mode": "ANY"}),
    "not strict": (None, False, None),
    "parallel is what Gemini does": (ToolChoice(parallel=True), None, {"mode": "AUTO"}),
}


@pytest.mark.parametrize("name", CHOICES)
def test_the_choice_of_tools(name: str) -> None:
    choice, strict, want = CHOICES[name]
    tool = Tool("lift", strict=strict)
    body = sent(with_(tools=[tool], tool_choice=choice))
    assert body.get("toolConfig") == ({"functionCallingConfig": want} if want else None)


def turn(*calls: ToolCall, thought: Part | None = None, **results: str) -> list[Message]:
    """A question, the calls, and what the tools said."""
    parts: list[Part] = [thought] if thought is not None else []
    answers = [ToolResult(call.id, [Text(results.get(call.id, "ok"))]) for call in calls]
    return [say("q"), said(*parts, *calls), Message("user", list(answers))]


def test_results_go_back_by_the_name_of_their_call() -> None:
    """Before Gemini 3 there are no ids on the wire; parallel results keep their order."""
    calls = (ToolCall("c1", "lift", '{"m": 3}'), ToolCall("c2", "land", "{}"))
    _, model, user = sent(Conversation(turn(*calls, c1="up", c2="down")))["contents"]
    assert model["parts"] == [
        {"functionCall": {"name": "lift", "args": {"m": 3}}},
        {"functionCall": {"name": "land", "args": {}}},
    ]
    assert user["parts"] == [
        {"functionResponse": {"name": "lift", "response": {"output": "up"}}},
        {"functionResponse": {"name": "land", "response": {"output": "down"}}},
    ]


def test_ids_go_both_ways_from_gemini_3_on() -> None:
    call = ToolCall("vr6n", "lift", "{}", "c2ln")
    _, model, user = sent(Conversation(turn(call)), GEMINI_3)["contents"]
    assert model["parts"] == [
        {
            "functionCall": {"name": "lift", "args": {}, "id": "vr6n"},
            "thoughtSignature": "c2ln",
        }
    ]
    assert user["parts"][0]["functionResponse"]["id"] == "vr6n"


def test_results_of_two_messages_stand_in_one_content_before_the_words() -> None:
    """Gemini counts the responses of a content against the calls before it."""
    calls = turn(ToolCall("c1", "lift", "{}"), ToolCall("c2", "land", "{}"))
    split = [
        *calls[:2],
        say(ToolResult("c1", [Text("a")]), "and now?"),
        say(ToolResult("c2", [Text("b")])),
    ]
    contents = sent(Conversation(split))["contents"]
    assert [next(iter(part)) for part in contents[2]["parts"]] == ["functionResponse"] * 2
    assert contents[3] == {"role": "user", "parts": [{"text": "and now?"}]}


def test_arguments_go_back_to_the_byte() -> None:
    written = '{"z": 12345678901234567890, "a":1.50}'
    assert written.encode() in rendered(Conversation(turn(ToolCall("c", "f", written)))).body


def test_an_error_of_a_tool_is_told_as_one() -> None:
    result = ToolResult("c1", [Text("no "), Text("wind")], is_error=True)
    messages = [*turn(ToolCall("c1", "lift", "{}"))[:2], say(result)]
    response = sent(Conversation(messages))["contents"][2]["parts"][0]["functionResponse"]
    assert response["response"] == {"error": "no \nwind"}


def test_a_result_without_its_call_is_refused() -> None:
    with pytest.raises(BadRequest) as refused:
        rendered(Conversation([say(ToolResult("c9", [Text("up")]))]))
    assert refused.value.param == "messages"


@pytest.mark.parametrize("arguments", ["", "[]", "{", "3"])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    with pytest.raises(BadRequest, match="JSON object"):
        rendered(Conversation(turn(ToolCall("c1", "lift", arguments))))


def test_a_tool_may_show_a_picture_from_gemini_3_on() -> None:
    result = ToolResult("c1", [Text("see"), Image("image/png", "iVBO")])
    messages = [*turn(ToolCall("c1", "lift", "{}", "c2ln"))[:2], say(result)]
    (part,) = sent(Conversation(messages), GEMINI_3)["contents"][2]["parts"]
    assert part["functionResponse"]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "iVBO"}}
    ]
    with pytest.raises(BadRequest, match="tool_result"):
        rendered(Conversation(messages))


# Thoughts and signatures ----------------------------------------------------------------------


def parts_of(message: Message, place: Place = GEMINI) -> list[JSON]:
    contents = sent(Conversation([say("q"), message]), place)["contents"]
    parts: list[JSON] = contents[1]["parts"]
    return parts


def test_a_signed_thought_signs_the_part_after_it() -> None:
    """Gemini never signs a thought's summary, but what follows it."""
    assert parts_of(said(Thinking("hm", OWN + "c2ln"), Text("up"))) == [
        {"text": "hm", "thought": True},
        {"text": "up", "thoughtSignature": "c2ln"},
    ]


def test_what_another_provider_signed_is_not_shown_to_gemini() -> None:
    """It would be refused; the words of the thought are kept."""
    message = said(Thinking("hm", "EqQBCkgIChABGAIq"), ToolCall("c", "lift", "{}"))
    assert parts_of(message) == [
        {"text": "hm", "thought": True},
        {"functionCall": {"name": "lift", "args": {}}},
    ]
    assert parts_of(message, GEMINI_3)[1]["thoughtSignature"] == UNSIGNED


def test_what_only_another_provider_can_read_is_left_out() -> None:
    assert parts_of(said(Redacted("x"), Text("up"))) == [{"text": "up"}]


def test_a_call_keeps_its_own_signature() -> None:
    call = ToolCall("c", "lift", "{}", "b3du")
    assert parts_of(said(Thinking("hm", OWN + "c2ln"), call))[1]["thoughtSignature"] == "b3du"


def test_a_signature_with_nothing_after_it_stands_on_an_empty_text() -> None:
    assert parts_of(said(Text("up"), Thinking("", OWN + "c2ln"))) == [
        {"text": "up"},
        {"text": "", "thoughtSignature": "c2ln"},
    ]


def test_the_first_unsigned_call_of_a_gemini_3_turn_is_marked_as_foreign() -> None:
    """It would be refused otherwise; parallel calls after the first need no signature."""
    calls = said(ToolCall("a", "lift", "{}"), ToolCall("b", "land", "{}"))
    marks = [part.get("thoughtSignature") for part in parts_of(calls, GEMINI_3)]
    assert marks == [UNSIGNED, None]
    assert [part.get("thoughtSignature") for part in parts_of(calls)] == [None, None]


def test_no_mark_replaces_a_signature() -> None:
    calls = said(Thinking("hm", OWN + "c2ln"), ToolCall("a", "lift", "{}"))
    assert parts_of(calls, GEMINI_3)[1]["thoughtSignature"] == "c2ln"


# Parameters -----------------------------------------------------------------------------------


def test_every_parameter_with_a_counterpart() -> None:
    config = sent(
        with_(
            max_tokens=5,
            temperature=0.0,
            top_p=0.5,
            top_k=3,
            stop=["a", "b"],
            seed=0,
            samples=2,
            presence_penalty=0.5,
            frequency_penalty=-0.5,
            logprobs=True,
            top_logprobs=4,
            output=Output("schema", "n", "d", raw(b'{"b":1,"a":2}')),
        )
    )["generationConfig"]
    assert config == {
        "maxOutputTokens": 5,
        "temperature": 0.0,
        "topP": 0.5,
        "topK": 3,
        "stopSequences": ["a", "b"],
        "seed": 0,
        "candidateCount": 2,
        "presencePenalty": 0.5,
        "frequencyPenalty": -0.5,
        "responseLogprobs": True,
        "logprobs": 4,
        "responseMimeType": "application/json",
        "responseJsonSchema": {"b": 1, "a": 2},
    }


def test_json_mode_has_no_schema_and_text_says_nothing() -> None:
    json_mode = sent(with_(output=Output("json")))["generationConfig"]
    assert json_mode == {"responseMimeType": "application/json"}
    assert "generationConfig" not in sent(with_(output=Output("text")))


REFUSED: dict[str, tuple[Conversation, str]] = {
    "logit_bias": (with_(logit_bias=raw(b"{}")), "logit_bias"),
    "user": (with_(user="u"), "user"),
    "metadata": (with_(metadata={"a": "b"}), "metadata"),
    "parallel": (with_(tool_choice=ToolChoice(parallel=False)), "parallel_tool_calls"),
    "service": (with_(service="scale"), "service_tier"),
    "extra": (with_(extra={"verbosity": raw(b'"low"')}), "verbosity"),
    "foreign": (Conversation([say(Foreign("messages[0].x", raw(b"1")))]), "messages[0].x"),
    "name": (Conversation([Message("user", [Text("a")], "bob")]), "messages.name"),
    "citations": (Conversation([say(Document(text="a", cites=True))]), "citations"),
    "system picture": (
        Conversation([Message("system", [Image("image/png", "iVBO")]), say("a")]),
        "messages.system",
    ),
    "google": (with_(extra={"google": raw(b'{"thought_tag_marker":"x"}')}),
               "google.thought_tag_marker"),
    "extra_body": (with_(extra={"extra_body": raw(b'{"other":{}}')}), "extra_body.other"),
    "off": (with_(reasoning=Reasoning(is_off=True)), "reasoning_effort"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_counterpart_is_refused_by_the_clients_name(name: str) -> None:
    conversation, param = REFUSED[name]
    conversation.params = {"service": "service_tier", "reasoning": "reasoning_effort"}
    place = GEMINI_3 if name == "off" else GEMINI
    with pytest.raises(BadRequest) as refused:
        ADAPTER.render(conversation, place, Losses(may_drop=False))
    assert refused.value.param == param


@pytest.mark.parametrize("name", REFUSED)
def test_or_dropped_and_told_where_the_route_says_so(name: str) -> None:
    conversation, param = REFUSED[name]
    conversation.params = {"service": "service_tier", "reasoning": "reasoning_effort"}
    losses = Losses(may_drop=True)
    if name == "foreign":
        conversation.messages.append(say("and words"))
    ADAPTER.render(conversation, GEMINI_3 if name == "off" else GEMINI, losses)
    assert losses.dropped == [param]


@pytest.mark.parametrize("wrap", [b"%b", b'{"google":%b}'])
def test_what_only_google_has_goes_up_as_it_came(wrap: bytes) -> None:
    own = (
        b'{"cached_content":"projects/1/locations/l/cachedContents/2",'
        b'"safety_settings":[{"category":"C","threshold":"BLOCK_NONE"}],'
        b'"labels":{"team":"a"},"thinking_config":{"include_thoughts":true}}'
    )
    name = "google" if wrap == b"%b" else "extra_body"
    body = sent(with_(extra={name: raw(wrap % own)}))
    assert body["cachedContent"] == "projects/1/locations/l/cachedContents/2"
    assert body["safetySettings"] == [{"category": "C", "threshold": "BLOCK_NONE"}]
    assert body["labels"] == {"team": "a"}
    assert body["generationConfig"] == {"thinkingConfig": {"include_thoughts": True}}


def test_an_effort_and_a_thinking_config_exclude_each_other() -> None:
    google = {"google": raw(b'{"thinking_config":{}}')}
    with pytest.raises(BadRequest, match="same thing"):
        rendered(with_(extra=google, reasoning=Reasoning("low")))


@pytest.mark.parametrize("service", ["priority", "flex"])
def test_a_service_class_is_a_header(service: str) -> None:
    headers = rendered(with_(service=service)).headers
    assert headers == (("X-Vertex-AI-LLM-Shared-Request-Type", service),)


@pytest.mark.parametrize("service", ["", "auto", "default", "standard_only"])
def test_the_usual_class_needs_none(service: str) -> None:
    assert rendered(with_(service=service)).headers == ()


def test_a_conversation_without_a_question_is_refused() -> None:
    with pytest.raises(BadRequest) as refused:
        rendered(Conversation([Message("system", [Text("be")])]))
    assert refused.value.param == "messages"


THINKING: list[tuple[str, Reasoning, JSON | None]] = [
    ("gemini-2.5-flash", Reasoning("none"), {"thinkingBudget": 0}),
    ("gemini-2.5-flash", Reasoning(is_off=True), {"thinkingBudget": 0}),
    ("gemini-2.5-flash-lite", Reasoning("minimal"), {"thinkingBudget": 1024}),
    ("gemini-2.5-flash", Reasoning("low"), {"thinkingBudget": 1024}),
    ("gemini-2.5-flash", Reasoning("medium"), {"thinkingBudget": 8192}),
    ("gemini-2.5-flash", Reasoning("high"), {"thinkingBudget": 24_576}),
    ("gemini-2.5-flash", Reasoning("xhigh"), {"thinkingBudget": 24_576}),
    ("gemini-2.5-pro", Reasoning("max"), {"thinkingBudget": 32_768}),
    ("gemini-2.5-pro", Reasoning("high"), {"thinkingBudget": 24_576}),
    ("gemini-2.5-pro", Reasoning(budget=2000), {"thinkingBudget": 2000, "includeThoughts": True}),
    ("gemini-2.5-flash", Reasoning(budget=99_999),
     {"thinkingBudget": 24_576, "includeThoughts": True}),
    ("gemini-2.5-flash", Reasoning("low", summary="auto"),
     {"thinkingBudget": 1024, "includeThoughts": True}),
    ("gemini-2.5-flash", Reasoning(summary="auto"), {"includeThoughts": True}),
    ("gemini-2.5-flash", Reasoning(), None),
    ("endpoints/123", Reasoning("low"), {"thinkingBudget": 1024}),
    ("gemini-3-flash-preview", Reasoning("none"), {"thinkingLevel": "MINIMAL"}),
    ("gemini-3-flash-preview", Reasoning("minimal"), {"thinkingLevel": "MINIMAL"}),
    ("gemini-3-flash-preview", Reasoning("medium"), {"thinkingLevel": "MEDIUM"}),
    ("gemini-3-pro-preview", Reasoning("minimal"), {"thinkingLevel": "LOW"}),
    ("gemini-3-pro-preview", Reasoning("medium"), {"thinkingLevel": "HIGH"}),
    ("gemini-3.1-pro-preview", Reasoning("medium"), {"thinkingLevel": "MEDIUM"}),
    ("gemini-3.8-flash", Reasoning("minimal"), {"thinkingLevel": "LOW"}),
    ("gemini-3.8-flash", Reasoning("max"), {"thinkingLevel": "HIGH"}),
    ("gemini-3.8-flash", Reasoning(budget=1024),
     {"thinkingLevel": "LOW", "includeThoughts": True}),
    ("gemini-3.8-flash", Reasoning(budget=8192),
     {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
    ("gemini-3.8-flash", Reasoning(budget=9000),
     {"thinkingLevel": "HIGH", "includeThoughts": True}),
    ("gemini-3.8-flash", Reasoning(summary="auto"), {"includeThoughts": True}),
    ("gemini-4-hydrogen", Reasoning("high"), {"thinkingLevel": "HIGH"}),
    ("gemini-flash-latest", Reasoning("low"), {"thinkingLevel": "LOW"}),
]  # fmt: skip


@pytest.mark.parametrize(("model", "reasoning", "want"), THINKING)
def test_how_much_a_model_may_think(model: str, reasoning: Reasoning, want: JSON | None) -> None:
    config = sent(with_(reasoning=reasoning), at(model)).get("generationConfig", {})
    assert config.get("thinkingConfig") == want


@pytest.mark.parametrize("model", ["gemini-2.5-pro", "gemini-3.1-pro-preview", "gemini-3.8-flash"])
def test_thinking_that_cannot_be_turned_off_is_refused(model: str) -> None:
    with pytest.raises(BadRequest, match="cannot do without thinking"):
        rendered(with_(reasoning=Reasoning("none")), at(model))


# Counting and embeddings ----------------------------------------------------------------------


def test_a_count_takes_what_is_part_of_the_prompt() -> None:
    assert ADAPTER.render_count is not None
    conversation = with_(tools=[LIFT], max_tokens=5, tool_choice=ToolChoice("any"))
    conversation.messages.insert(0, Message("system", [Text("be")]))
    path, body = up(ADAPTER.render_count(conversation, GEMINI, Losses(may_drop=False)))
    assert path == f"{BASE}/publishers/google/models/gemini-2.5-flash:countTokens"
    assert set(json.loads(body)) == {"contents", "systemInstruction", "tools"}


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (b'{"totalTokens": 31, "totalBillableCharacters": 96}', 31),
        (b"{}", 0),
        (b'{"input_tokens": 14}', 14),
    ],
)
def test_a_count_is_read_from_either_family(body: bytes, want: int) -> None:
    assert ADAPTER.read_count is not None
    assert ADAPTER.read_count(body) == want


def embed(inputs: list[str], model: str, dimensions: int | None = None) -> tuple[str, JSON]:
    assert ADAPTER.render_embeddings is not None
    asked = Embeddings(inputs, dimensions)
    path, body = up(ADAPTER.render_embeddings(asked, at(model), Losses(may_drop=False)))
    return path.rpartition("/")[2], json.loads(body)


def test_many_texts_are_predicted_at_once() -> None:
    path, body = embed(["a", "b"], "text-embedding-005", 256)
    assert path == "text-embedding-005:predict"
    assert body == {
        "instances": [{"content": "a"}, {"content": "b"}],
        "parameters": {"outputDimensionality": 256},
    }
    assert embed(["a"], "gemini-embedding-001")[0] == "gemini-embedding-001:predict"


def test_newer_models_embed_one_content() -> None:
    path, body = embed(["a"], "gemini-embedding-2", 256)
    assert path == "gemini-embedding-2:embedContent"
    assert body == {
        "content": {"parts": [{"text": "a"}]},
        "embedContentConfig": {"outputDimensionality": 256},
    }
    with pytest.raises(BadRequest, match="one text"):
        embed(["a", "b"], "gemini-embedding-2")


def test_token_ids_mean_nothing_to_gemini() -> None:
    assert ADAPTER.render_embeddings is not None
    with pytest.raises(BadRequest) as refused:
        ADAPTER.render_embeddings(Embeddings([[1, 2]]), GEMINI, Losses(may_drop=False))
    assert refused.value.param == "input"


def test_vectors_and_their_bill() -> None:
    assert ADAPTER.read_embeddings is not None
    one = {
        "embeddings": {"values": [0.5, -1], "statistics": {"token_count": 3, "truncated": False}}
    }
    answer = ADAPTER.read_embeddings(json.dumps({"predictions": [one, one]}).encode())
    assert (answer.vectors, answer.usage) == ([[0.5, -1.0]] * 2, Usage(6))
    unknown = {"embeddings": {"values": [0.5]}}
    answer = ADAPTER.read_embeddings(json.dumps({"predictions": [one, unknown]}).encode())
    assert answer.usage is None, "a part of a bill is no bill"
    newer = {"embedding": {"values": [1]}, "usageMetadata": {"promptTokenCount": 4}}
    answer = ADAPTER.read_embeddings(json.dumps(newer).encode())
    assert (answer.vectors, answer.usage) == ([[1.0]], Usage(4))


# Claude and the compatible endpoint -----------------------------------------------------------

CLAUDE = at("claude-sonnet-4-5@20250929")


def ask(operation: str, **fields: Any) -> Ask:
    found = {name: raw(json.dumps(value).encode()) for name, value in fields.items()}
    asked = Ask(OPERATIONS[operation], found, "sonnet")  # type: ignore[index]
    asked.stream = fields.get("stream", False)
    return asked


def test_a_message_passes_through_with_the_clouds_version() -> None:
    asked = ask("messages", model="sonnet", max_tokens=5, messages=[], stream=True, new={"b": 1})
    asked.version_headers = {b"anthropic-beta": b"a,b", b"anthropic-version": b"2023-06-01"}
    given = ADAPTER.passthrough(asked, CLAUDE)
    (path, body), headers = up(given), given.headers
    assert path.endswith("/publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict")
    assert json.loads(body) == {
        "anthropic_version": "vertex-2023-10-16",
        "max_tokens": 5,
        "messages": [],
        "new": {"b": 1},
        "stream": True,
    }
    assert headers == (("anthropic-beta", "a,b"),)


def test_a_message_in_one_piece_is_predicted_raw() -> None:
    given = ADAPTER.passthrough(ask("messages", model="x", messages=[]), CLAUDE)
    assert given.path.endswith(":rawPredict")
    assert "model" not in json.loads(given.body)
    assert given.headers == ()


def test_a_newer_version_of_the_dialect_stays_what_it_is() -> None:
    """Its answers have another form, so the cloud must hear of it (anthropic 2.12.0)."""
    asked = ask("messages", model="x", messages=[])
    asked.version_headers = {b"anthropic-version": b"2026-10-21"}
    body = json.loads(ADAPTER.passthrough(asked, CLAUDE).body)
    assert body["anthropic_version"] == "2026-10-21"


def test_claude_counts_by_a_model_of_its_own() -> None:
    path, body = up(ADAPTER.passthrough(ask("count_tokens", model="x", messages=[]), CLAUDE))
    assert path == f"{BASE}/publishers/anthropic/models/count-tokens:rawPredict"
    assert json.loads(body)["model"] == "claude-sonnet-4-5@20250929"


def test_another_dialect_is_rendered_for_claude() -> None:
    path, body = up(rendered(with_(stream=True, max_tokens=5), CLAUDE))
    given = json.loads(body)
    assert path.endswith(":streamRawPredict")
    assert (given["anthropic_version"], given["stream"]) == ("vertex-2023-10-16", True)
    assert "model" not in given
    assert ADAPTER.render_count is not None
    path, body = up(ADAPTER.render_count(with_(), CLAUDE, Losses(may_drop=False)))
    assert path.endswith("count-tokens:rawPredict")
    assert json.loads(body)["model"] == "claude-sonnet-4-5@20250929"


@pytest.mark.parametrize(
    ("model", "path", "name"),
    [
        ("gemini-2.5-flash", f"{BASE}/endpoints/openapi", "google/gemini-2.5-flash"),
        ("meta/llama-4-maas", f"{BASE}/endpoints/openapi", "meta/llama-4-maas"),
        (
            "projects/p/locations/l/publishers/google/models/gemini-2.5-pro",
            f"{BASE}/endpoints/openapi",
            "google/gemini-2.5-pro",
        ),
        ("endpoints/123", f"{BASE}/endpoints/123", ""),
        ("projects/p/locations/l/endpoints/9", "/v1/projects/p/locations/l/endpoints/9", ""),
    ],
)
def test_the_compatible_endpoint_takes_chat_as_it_is(model: str, path: str, name: str) -> None:
    asked = ask("chat", model="x", messages=[], new={"b": 1})
    asked.wants_usage = True
    found, body = up(ADAPTER.passthrough(asked, at(model, api="openai")))
    assert found == f"{path}/chat/completions"
    assert json.loads(body) == {"model": name, "messages": [], "new": {"b": 1}}


def test_who_cannot_embed_or_count_says_so() -> None:
    assert ADAPTER.render_embeddings is not None
    assert ADAPTER.render_count is not None
    with pytest.raises(BadRequest, match="no embeddings"):
        ADAPTER.render_embeddings(Embeddings(["a"]), CLAUDE, Losses(may_drop=False))
    with pytest.raises(BadRequest, match="cannot count"):
        ADAPTER.render_count(with_(), at("meta/llama-4-maas"), Losses(may_drop=False))
