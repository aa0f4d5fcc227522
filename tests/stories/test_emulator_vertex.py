"""The emulator of Vertex AI, held against Google's own clients, and the adapter held against it.

The first half shows that the emulator speaks the wire as google-genai, google-auth, anthropic and
openai understand it; the second that what the adapter sends is taken, and that what it reads agrees
with the emulator's own books.
"""

import base64
import contextlib
import http.client
import json
import random
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import msgspec
import openai
import pytest
from google import genai
from google.auth import crypt, jwt
from google.genai import errors, types
from google.oauth2 import service_account
from google.oauth2.credentials import Credentials

from towplane.parts.errors import (
    Denied,
    Filtered,
    Overloaded,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    Rejected,
    Unavailable,
    Upstream,
)
from towplane.parts.usage import Usage
from towplane.providers.adapter import Call, Embeddings, Losses, Place, Rendered
from towplane.providers.ask import OPERATIONS, Ask
from towplane.providers.conversation.answer import (
    CallBegins,
    CallGrows,
    Ended,
    Event,
    Failed,
    TextGrows,
    ThoughtGrows,
    Used,
)
from towplane.providers.conversation.request import (
    Audio,
    Conversation,
    Document,
    Image,
    Message,
    Output,
    Part,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from towplane.providers.dialects import dialect_of
from towplane.providers.translation import prepare
from towplane.providers.vertex import ADAPTER
from towplane.testing.vertex import Billed, Script, Trouble, VertexEmulator
from towplane.testing.vertex.grants import SCOPE

FLASH, PRO_3 = "gemini-2.5-flash", "gemini-3.1-pro-preview"
ANSWER = "plane wing rope lift field wind turn land "
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
SCHEMA = msgspec.Raw(
    b'{"type":"object","properties":{"metres":{"type":"integer"},"why":{"type":"string"}},'
    b'"required":["metres"]}'
)
LIFT = Tool("lift", "Lifts the glider.", SCHEMA)
LAND = Tool("land", "Lands it.")


@pytest.fixture(scope="module")
def vertex() -> Iterator[VertexEmulator]:
    with VertexEmulator() as emulator:
        yield emulator


@pytest.fixture
def client(vertex: VertexEmulator) -> Iterator[genai.Client]:
    """Google's client, unchanged but for its address."""
    with genai.Client(
        vertexai=True,
        project=vertex.project,
        location=vertex.location,
        credentials=Credentials(token=vertex.token),  # type: ignore[no-untyped-call]
        http_options=types.HttpOptions(base_url=vertex.origin, timeout=10_000),
    ) as made:
        yield made


# Google's own clients -------------------------------------------------------------------------


def test_the_client_generates(vertex: VertexEmulator, client: genai.Client) -> None:
    answer = client.models.generate_content(model=FLASH, contents="how high")
    assert answer.text == ANSWER
    used = answer.usage_metadata
    assert used is not None
    assert (used.prompt_token_count, used.candidates_token_count) == (2, 8)
    assert (used.thoughts_token_count, used.total_token_count) == (3, 13)
    billed = vertex.billed()[-1]
    assert (billed.input, billed.output, billed.thought) == (2, 11, 3)


def test_the_client_streams(vertex: VertexEmulator, client: genai.Client) -> None:
    stream = client.models.generate_content_stream(model=FLASH, contents="how high")
    chunks = list(stream)
    assert "".join(chunk.text or "" for chunk in chunks) == ANSWER
    assert len(chunks) == 4
    last = chunks[-1]
    assert last.candidates is not None
    assert last.candidates[0].finish_reason == types.FinishReason.STOP
    assert last.usage_metadata is not None
    assert last.usage_metadata.total_token_count == 13
    assert vertex.billed()[-1].output == 11


def test_a_stream_may_be_shredded(vertex: VertexEmulator, client: genai.Client) -> None:
    vertex.queue(FLASH, Script(shred=7, tokens=20))
    stream = client.models.generate_content_stream(model=FLASH, contents="how high")
    assert "".join(chunk.text or "" for chunk in stream).startswith(ANSWER)


def declared(*names: str) -> types.Tool:
    return types.Tool(
        function_declarations=[
            types.FunctionDeclaration(
                name=name,
                description="d",
                parameters_json_schema={
                    "type": "object",
                    "properties": {"metres": {"type": "integer"}},
                },
            )
            for name in names
        ]
    )


@pytest.mark.parametrize("model", [FLASH, PRO_3])
def test_the_client_calls_tools_and_brings_the_signature_back(
    client: genai.Client, model: str
) -> None:
    """The SDK's chat returns the content as it came; without the signature Gemini 3 refuses."""
    config = types.GenerateContentConfig(tools=[declared("lift", "land")])
    contents: list[types.Content] = [
        types.Content(role="user", parts=[types.Part(text="[tools] up")])
    ]
    answer = client.models.generate_content(model=model, contents=contents, config=config)
    calls = answer.function_calls
    assert calls is not None
    assert [(call.name, call.args) for call in calls] == [
        ("lift", {"metres": 7}),
        ("land", {"metres": 7}),
    ]
    assert answer.candidates is not None
    said = answer.candidates[0].content
    assert said is not None
    assert said.parts is not None
    results = [
        types.Part(
            function_response=types.FunctionResponse(
                name=call.name, id=call.id, response={"output": "ok"}
            )
        )
        for call in calls
    ]
    contents += [said, types.Content(role="user", parts=results)]
    again = client.models.generate_content(model=model, contents=contents, config=config)
    assert (again.text or "").strip() == ANSWER.strip()
    said.parts[0].thought_signature = None
    if model == PRO_3:
        with pytest.raises(errors.ClientError, match="missing a `thought_signature`"):
            client.models.generate_content(model=model, contents=contents, config=config)
    said.parts[0].thought_signature = b"forged"
    with pytest.raises(errors.ClientError, match="not valid"):
        client.models.generate_content(model=model, contents=contents, config=config)


def test_the_client_sends_pictures(vertex: VertexEmulator, client: genai.Client) -> None:
    picture = types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png")
    answer = client.models.generate_content(model=FLASH, contents=["see", picture])
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.prompt_token_count == 259
    assert vertex.billed()[-1].pictures == 258
    wrong = types.Part.from_bytes(data=b"no picture", mime_type="image/png")
    with pytest.raises(errors.ClientError, match="image is not valid"):
        client.models.generate_content(model=FLASH, contents=["see", wrong])


def test_the_client_gets_json_for_its_schema(client: genai.Client) -> None:
    config = types.GenerateContentConfig(
        response_mime_type="application/json",
        response_json_schema={"type": "object", "properties": {"m": {"type": "integer"}}},
    )
    answer = client.models.generate_content(model=FLASH, contents="how high", config=config)
    assert answer.parsed == {"m": 7}


def test_the_client_sees_thoughts(client: genai.Client) -> None:
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
    config = types.GenerateContentConfig(thinking_config=thinking)
    answer = client.models.generate_content(model=FLASH, contents="how high", config=config)
    assert answer.parts is not None
    assert [part.text for part in answer.parts if part.thought] == [
        "thought0 ",
        "thought1 ",
        "thought2 ",
    ]


def test_the_client_counts_and_embeds(client: genai.Client) -> None:
    counted = client.models.count_tokens(model=FLASH, contents="how high is it")
    assert counted.total_tokens == 4
    found = client.models.embed_content(model="text-embedding-005", contents=["a", "b c"])
    assert found.embeddings is not None
    assert [len(one.values or []) for one in found.embeddings] == [8, 8]
    assert [one.statistics.token_count for one in found.embeddings if one.statistics] == [1, 2]


@pytest.mark.parametrize(
    ("script", "code", "word"),
    [
        (Script(status=429, retry_delay="2s"), 429, "RESOURCE_EXHAUSTED"),
        (Script(status=429, in_array=True), 429, "RESOURCE_EXHAUSTED"),
        (Script(status=503), 503, "UNAVAILABLE"),
        (Script(status=504), 504, "DEADLINE_EXCEEDED"),
        (Script(status=400, error_status="FAILED_PRECONDITION"), 400, "FAILED_PRECONDITION"),
    ],
)
def test_the_client_understands_errors(
    vertex: VertexEmulator, client: genai.Client, script: Script, code: int, word: str
) -> None:
    vertex.queue(FLASH, script)
    with pytest.raises(errors.APIError) as wrong:
        client.models.generate_content(model=FLASH, contents="how high")
    assert (wrong.value.code, wrong.value.status) == (code, word)
    billed = vertex.billed()[-1]
    assert (billed.status, billed.output) == (code, 0)


@pytest.mark.parametrize("how", ["error", "error_array"])
def test_the_client_hears_an_error_inside_a_stream(
    vertex: VertexEmulator, client: genai.Client, how: Any
) -> None:
    vertex.queue(FLASH, Script(trouble=Trouble(how=how, after_tokens=4)))
    stream = client.models.generate_content_stream(model=FLASH, contents="how high")
    with pytest.raises((errors.APIError, ValueError)):
        list(stream)


def test_the_client_sees_a_blocked_prompt_and_new_reasons(
    vertex: VertexEmulator, client: genai.Client
) -> None:
    answer = client.models.generate_content(model=FLASH, contents="[blocked]")
    assert answer.candidates is None
    assert answer.prompt_feedback is not None
    assert answer.prompt_feedback.block_reason == types.BlockedReason.PROHIBITED_CONTENT
    vertex.queue(FLASH, Script(finish="OTHER"))
    answer = client.models.generate_content(model=FLASH, contents="how high")
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason == types.FinishReason.OTHER


def test_a_service_account_gets_a_token_that_works_until_it_expires(
    vertex: VertexEmulator,
) -> None:
    """google-auth signs a grant (RFC 7523); the emulator verifies it with the account's key."""
    info = vertex.grants.service_account(vertex.origin)
    made = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
        info, scopes=[SCOPE]
    )
    options = types.HttpOptions(base_url=vertex.origin)
    with genai.Client(
        vertexai=True,
        project=vertex.project,
        location=vertex.location,
        credentials=made,
        http_options=options,
    ) as client:
        assert client.models.generate_content(model=FLASH, contents="up").text == ANSWER
        assert vertex.grants.asked == 1
        still = vertex.token
        vertex.grants.expire_all()
        with pytest.raises(errors.ClientError) as wrong:
            client.models.generate_content(model=FLASH, contents="up")
    assert wrong.value.code == 401
    assert vertex.grants.trouble_with(still) == "ACCESS_TOKEN_EXPIRED"
    vertex.token = vertex.grants.issue(life_s=86_400.0)


GRANTS: dict[str, tuple[dict[str, Any], str]] = {
    "another audience": ({"aud": "https://elsewhere.example/token"}, "audience"),
    "another scope": ({"scope": "https://www.googleapis.com/auth/drive"}, "scope"),
    "an unknown account": ({"iss": "nobody@acme.iam.gserviceaccount.com"}, "not found"),
    "long ago": ({"iat": 1_000_000_000, "exp": 1_000_003_600}, "short-lived"),
    "for too long": ({"exp": 4_000_000_000}, "short-lived"),
    "another's key": ({}, "Signature"),
}


@pytest.mark.parametrize("name", GRANTS)
def test_a_grant_that_is_wrong_is_refused(vertex: VertexEmulator, name: str) -> None:
    """Signed as google-auth signs it, with one thing wrong in it."""
    claims, words = GRANTS[name]
    info = vertex.grants.service_account(vertex.origin, "pilot")
    if name == "another's key":
        vertex.grants.service_account(vertex.origin, "pilot")  # the account has a new key
    now = int(time.time())
    payload = {
        "iss": info["client_email"],
        "aud": info["token_uri"],
        "scope": SCOPE,
        "iat": now,
        "exp": now + 3600,
    } | claims
    signer = crypt.RSASigner.from_service_account_info(info)  # type: ignore[no-untyped-call]
    grant = jwt.encode(signer, payload).decode()  # type: ignore[no-untyped-call]
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": grant}
    status, body = vertex.grants.exchange(form, f"{vertex.origin}/token")
    assert (status, body["error"]) == (400, "invalid_grant")
    assert words in body["error_description"]


def test_an_express_key_needs_no_project(vertex: VertexEmulator) -> None:
    options = types.HttpOptions(base_url=vertex.origin)
    key = vertex.api_keys[0]
    with genai.Client(vertexai=True, api_key=key, http_options=options) as client:
        assert client.models.generate_content(model=FLASH, contents="up").text == ANSWER
    with (
        genai.Client(vertexai=True, api_key="wrong", http_options=options) as client,
        pytest.raises(errors.ClientError, match="API key not valid"),
    ):
        client.models.generate_content(model=FLASH, contents="up")


@pytest.mark.parametrize(
    ("project", "location", "model", "code"),
    [
        ("other", "europe-west4", FLASH, 403),
        ("acme", "us-central1", FLASH, 404),
        ("acme", "europe-west4", "gemini-1.0", 404),
    ],
)
def test_elsewhere_is_not_here(
    vertex: VertexEmulator, project: str, location: str, model: str, code: int
) -> None:
    made = genai.Client(
        vertexai=True,
        project=project,
        location=location,
        credentials=Credentials(token=vertex.token),  # type: ignore[no-untyped-call]
        http_options=types.HttpOptions(base_url=vertex.origin),
    )
    with made as client, pytest.raises(errors.ClientError) as wrong:
        client.models.generate_content(model=model, contents="up")
    assert wrong.value.code == code


def test_anthropics_client_speaks_to_claude(vertex: VertexEmulator) -> None:
    with anthropic.AnthropicVertex(
        region=vertex.location,
        project_id=vertex.project,
        access_token=vertex.token,
        base_url=f"{vertex.origin}/v1",
        max_retries=0,
    ) as client:
        told: Any = {
            "model": "claude-sonnet-4-5@20250929",
            "messages": [{"role": "user", "content": "how high"}],
        }
        answer = client.messages.create(max_tokens=100, **told)
        assert answer.usage.output_tokens == vertex.billed()[-1].output
        with client.messages.stream(max_tokens=100, **told) as stream:
            assert stream.get_final_text()
        assert client.messages.count_tokens(**told).input_tokens == answer.usage.input_tokens


def test_openais_client_speaks_to_the_compatible_endpoint(vertex: VertexEmulator) -> None:
    base = f"{vertex.origin}/v1/projects/acme/locations/{vertex.location}/endpoints/openapi"
    with openai.OpenAI(base_url=base, api_key=vertex.token, max_retries=0) as client:
        answer = client.chat.completions.create(
            model=f"google/{FLASH}", messages=[{"role": "user", "content": "how high"}]
        )
        assert answer.usage is not None
        assert answer.usage.completion_tokens == vertex.billed()[-1].output
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(
                model=FLASH, messages=[{"role": "user", "content": "up"}]
            )


# The adapter against the emulator -------------------------------------------------------------


class Speech:
    """One request of the adapter's, sent; and its answer, read."""

    def __init__(
        self, vertex: VertexEmulator, rendered: Rendered, *, key: str = "", pieces: int = 0
    ) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", vertex.port, timeout=10)
        headers = {"content-type": "application/json", **dict(rendered.headers)}
        if key:
            headers["x-goog-api-key"] = key
        else:
            headers["authorization"] = f"Bearer {vertex.token}"
        dice = random.Random(pieces)
        self.pieces: list[bytes] = []
        with contextlib.closing(connection):
            connection.request("POST", rendered.path, rendered.body, headers)
            answer = connection.getresponse()
            self.status = answer.status
            self.fields = {
                name.lower().encode(): value.encode() for name, value in answer.getheaders()
            }
            with answer, contextlib.suppress(ConnectionError, http.client.HTTPException):
                while piece := answer.read1(dice.randint(1, 99) if pieces else 65_536):
                    self.pieces.append(piece)
        self.body = b"".join(self.pieces)

    @property
    def error(self) -> Upstream:
        return ADAPTER.judge(self.status, self.fields, self.body, "vertex/it")


def at(vertex: VertexEmulator, model: str, **options: str) -> Place:
    home = {"project": vertex.project, "location": vertex.location}
    return Place("vertex/it", model, options=home | options)


def hold(
    vertex: VertexEmulator, conversation: Conversation, place: Place, pieces: int = 0
) -> list[Event]:
    """The events of an answer; fails if the emulator refuses."""
    rendered = ADAPTER.render(conversation, place, Losses(may_drop=False))
    speech = Speech(vertex, rendered, pieces=pieces)
    assert speech.status == 200, speech.body
    parser = ADAPTER.make_parser(place, conversation.stream)
    if not conversation.stream:
        return parser.whole(speech.body)
    events: list[Event] = []
    for piece in speech.pieces:
        events += parser.feed(piece)
        if events and isinstance(events[-1], Failed):
            return events
        if parser.is_done:
            return events
    return events + parser.close()


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextGrows))


def usage_of(events: list[Event]) -> Usage:
    return [event.usage for event in events if isinstance(event, Used)][-1]


def agree(billed: Billed, usage: Usage) -> None:
    """The emulator's books and what was read are the same."""
    thought = usage.detail.reasoning if usage.detail is not None else 0
    assert (usage.input, usage.output, usage.cached) == (billed.input, billed.output, billed.cached)
    assert thought == billed.thought


def ask_(*parts: Part | str, **fields: Any) -> Conversation:
    told = [Text(part) if isinstance(part, str) else part for part in parts]
    return Conversation([Message("user", list(told))], **fields)


CONVERSATIONS: dict[str, Conversation] = {
    "words": ask_("how high"),
    "a system": Conversation([Message("system", [Text("be")]), Message("user", [Text("up")])]),
    "a picture": ask_("see", Image("image/png", PNG)),
    "a picture elsewhere": ask_("see", Image(url="gs://b/a.png")),
    "a document": ask_(Document("application/pdf", base64.b64encode(b"%PDF-1").decode(), name="p")),
    "a recording": ask_("hear", Audio(base64.b64encode(b"RIFF").decode(), "wav")),
    "thoughts": ask_("up", reasoning=Reasoning("low", summary="auto")),
    "no thoughts": ask_("up", reasoning=Reasoning("none")),
    "a schema": ask_("up", output=Output("schema", "n", schema=SCHEMA)),
    "any JSON": ask_("up", output=Output("json")),
    "a tool": ask_("[tool] up", tools=[LIFT, LAND]),
    "all tools": ask_("[tools] up", tools=[LIFT, LAND], tool_choice=ToolChoice("auto")),
    "a forced tool": ask_("up", tools=[LIFT, LAND], tool_choice=ToolChoice("tool", "land")),
    "a strict tool": ask_("[tool] up", tools=[Tool("lift", "", SCHEMA, strict=True)]),
    "no tool": ask_("[tool] up", tools=[LIFT], tool_choice=ToolChoice("none")),
    "a limit": ask_("[long]", max_tokens=12),
    "two samples": ask_("up", samples=2),
    "sampling": ask_("up", temperature=0.1, top_p=0.9, top_k=4, seed=7, stop=["x"]),
    "log probabilities": ask_("up", logprobs=True, top_logprobs=2),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_what_the_adapter_sends_is_taken_and_the_books_agree(
    vertex: VertexEmulator, name: str, stream: bool
) -> None:
    conversation = msgspec.structs.replace(CONVERSATIONS[name], stream=stream)
    events = hold(vertex, conversation, at(vertex, FLASH), pieces=len(name) * stream)
    agree(vertex.billed()[-1], usage_of(events))
    ended = {event.choice: event.reason for event in events if isinstance(event, Ended)}
    calls = any(isinstance(event, CallBegins) for event in events)
    want = "tool_calls" if calls else "length" if name == "a limit" else "stop"
    assert set(ended.values()) == {want}
    assert len(ended) == conversation.samples


@pytest.mark.parametrize("usage", ["last", "every", "thoughts_inside"])
def test_every_way_of_counting_gives_the_same_bill(vertex: VertexEmulator, usage: Any) -> None:
    vertex.queue(FLASH, Script(usage=usage, cached=1, thinking=5))
    events = hold(vertex, ask_("how high", stream=True), at(vertex, FLASH))
    agree(vertex.billed()[-1], usage_of(events))


def test_thoughts_come_as_thoughts(vertex: VertexEmulator) -> None:
    events = hold(vertex, CONVERSATIONS["thoughts"], at(vertex, FLASH))
    thoughts = [event.text for event in events if isinstance(event, ThoughtGrows)]
    assert "".join(thoughts) == "thought0 thought1 thought2 "
    assert text_of(events) == ANSWER


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", [FLASH, PRO_3, "gemini-3.8-flash"])
def test_a_conversation_with_tools_brings_every_signature_back(
    vertex: VertexEmulator, model: str, stream: bool
) -> None:
    """Two parallel calls, their results, and the answer; the emulator verifies the signature."""
    place = at(vertex, model)
    first = ask_("[tools] up", tools=[LIFT, LAND], stream=stream)
    events = hold(vertex, first, place)
    calls: list[ToolCall] = []
    for event in events:
        if isinstance(event, CallBegins):
            calls.append(ToolCall(event.id, event.name, "", event.signature))
        elif isinstance(event, CallGrows):
            calls[-1].arguments += event.arguments
    assert [bool(call.signature) for call in calls] == [True, False]
    assert json.loads(calls[0].arguments) == {"metres": 7, "why": "plane"}
    results: list[Part] = [ToolResult(call.id, [Text("ok")]) for call in reversed(calls)]
    messages = [*first.messages, Message("assistant", list(calls)), Message("user", results)]
    events = hold(vertex, Conversation(messages, tools=[LIFT, LAND], stream=stream), place)
    assert text_of(events).strip() == ANSWER.strip()


def test_a_turn_of_another_models_is_taken(vertex: VertexEmulator) -> None:
    """A conversation may change its model: the calls of the other are marked as Google says."""
    call = ToolCall("toolu_1", "lift", "{}")
    messages = [
        Message("user", [Text("up")]),
        Message("assistant", [call]),
        Message("user", [ToolResult("toolu_1", [Text("ok")])]),
    ]
    events = hold(vertex, Conversation(messages, tools=[LIFT]), at(vertex, PRO_3))
    assert text_of(events).strip() == ANSWER.strip()


def test_a_tuned_endpoint_and_express_mode(vertex: VertexEmulator) -> None:
    assert text_of(hold(vertex, ask_("up"), at(vertex, "endpoints/7001"))) == ANSWER
    express = Place("vertex/it", FLASH)
    rendered = ADAPTER.render(ask_("up"), express, Losses(may_drop=False))
    assert Speech(vertex, rendered, key=vertex.api_keys[0]).status == 200
    wrong = Speech(vertex, rendered, key="AIzaSyWrong")
    assert isinstance(wrong.error, Denied)


@pytest.mark.parametrize("service", ["priority", "flex"])
def test_a_service_class_is_asked_for_and_billed(vertex: VertexEmulator, service: str) -> None:
    vertex.queue(FLASH, Script(traffic=f"ON_DEMAND_{service.upper()}"))
    detail = usage_of(hold(vertex, ask_("up", service=service), at(vertex, FLASH))).detail
    assert detail is not None
    assert (detail.service, vertex.billed()[-1].service) == (service, service)


FAULTS: dict[str, tuple[Script, type[Upstream], float | None]] = {
    "a storm": (Script(status=429, retry_delay="34.4s"), RateLimited, 34.4),
    "a storm in an array": (Script(status=429, retry_delay="1s", in_array=True), RateLimited, 1.0),
    "the day's quota": (
        Script(status=429, quota_id="GenerateRequestsPerDayPerProjectPerModel"),
        QuotaExhausted,
        None,
    ),
    "overload": (Script(status=503), Overloaded, None),
    "an edge": (Script(status=503, error_body="<html>"), Overloaded, None),
    "a filter": (
        Script(status=400, error_message="It violates Google's Responsible AI practices."),
        Filtered,
        None,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_judged(vertex: VertexEmulator, name: str) -> None:
    script, want, after_s = FAULTS[name]
    vertex.queue(FLASH, script)
    rendered = ADAPTER.render(ask_("up"), at(vertex, FLASH), Losses(may_drop=False))
    error = Speech(vertex, rendered).error
    assert (type(error), error.after_s) == (want, after_s)


def test_access_is_judged(vertex: VertexEmulator) -> None:
    def judged(place: Place) -> Upstream:
        return Speech(vertex, ADAPTER.render(ask_("up"), place, Losses(may_drop=False))).error

    assert isinstance(judged(at(vertex, FLASH, project="other")), Denied)
    missing = judged(at(vertex, FLASH, location="us-central1"))
    assert isinstance(missing, Unavailable)
    assert missing.retry == "elsewhere"
    vertex.grants.expire_all()
    expired = judged(at(vertex, FLASH))
    assert isinstance(expired, Denied)
    assert expired.provider_code == "ACCESS_TOKEN_EXPIRED"
    vertex.token = vertex.grants.issue(life_s=86_400.0)


@pytest.mark.parametrize("how", ["error", "error_array", "error_event"])
@pytest.mark.parametrize("after", [0, 4])
def test_a_failure_inside_a_stream_is_heard(vertex: VertexEmulator, how: Any, after: int) -> None:
    vertex.queue(FLASH, Script(usage="every", trouble=Trouble(how=how, after_tokens=after)))
    events = hold(vertex, ask_("up", stream=True), at(vertex, FLASH), pieces=3)
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, Overloaded)
    if after:
        agree(vertex.billed()[-1], usage_of(events))


@pytest.mark.parametrize("cut", range(20, 1400, 97))
def test_a_stream_that_is_cut_anywhere_is_no_answer(vertex: VertexEmulator, cut: int) -> None:
    """Whatever was cut, nothing is taken for a whole answer."""
    vertex.queue(FLASH, Script(cut_after_bytes=cut, tokens=40))
    place = at(vertex, FLASH)
    with pytest.raises(ProtocolError):
        hold(vertex, ask_("up", stream=True), place)


@pytest.mark.parametrize("finish", ["A_WORD_OF_TOMORROW", "SAFETY", ""])
def test_odd_ends(vertex: VertexEmulator, finish: str) -> None:
    vertex.queue(FLASH, Script(finish=finish))
    if not finish:
        with pytest.raises(ProtocolError):
            hold(vertex, ask_("up", stream=True), at(vertex, FLASH))
        return
    events = hold(vertex, ask_("up", stream=True), at(vertex, FLASH))
    (ended,) = (event for event in events if isinstance(event, Ended))
    assert ended.reason == ("content_filter" if finish == "SAFETY" else "other")
    assert ended.said == finish


@pytest.mark.parametrize("stream", [False, True])
def test_a_blocked_prompt(vertex: VertexEmulator, stream: bool) -> None:
    events = hold(vertex, ask_("[blocked]", stream=stream), at(vertex, FLASH))
    (ended,) = (event for event in events if isinstance(event, Ended))
    assert ended.reason == "content_filter"
    agree(vertex.billed()[-1], usage_of(events))


def test_a_picture_in_the_answer_is_never_lost_in_silence(vertex: VertexEmulator) -> None:
    vertex.queue(FLASH, Script(picture=True))
    events = hold(vertex, ask_("up", stream=True), at(vertex, FLASH))
    assert isinstance(events[-1], Failed)
    agree(vertex.billed()[-1], usage_of(events))


def test_tokens_are_counted_and_texts_embedded(vertex: VertexEmulator) -> None:
    assert ADAPTER.render_count is not None
    assert ADAPTER.read_count is not None
    assert ADAPTER.render_embeddings is not None
    assert ADAPTER.read_embeddings is not None
    losses = Losses(may_drop=False)
    for model in (FLASH, "claude-sonnet-4-5@20250929"):
        counted = Speech(vertex, ADAPTER.render_count(ask_("how high"), at(vertex, model), losses))
        assert ADAPTER.read_count(counted.body) in (2, 5)
    for model, texts in (("gemini-embedding-001", ["a", "b c"]), ("gemini-embedding-2", ["a b"])):
        asked = Embeddings(list(texts), 16)
        embedded = Speech(vertex, ADAPTER.render_embeddings(asked, at(vertex, model), losses))
        answer = ADAPTER.read_embeddings(embedded.body)
        assert [len(vector) for vector in answer.vectors] == [16] * len(texts)
        assert answer.usage == Usage(vertex.billed()[-1].input)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("claude-sonnet-4-5@20250929", {}),
        (FLASH, {"api": "openai"}),
        ("meta/llama-4-maverick-maas", {}),
        ("endpoints/7001", {"api": "openai"}),
    ],
)
def test_the_other_families_answer_a_conversation(
    vertex: VertexEmulator, model: str, options: dict[str, str], stream: bool
) -> None:
    place = at(vertex, model, **options)
    events = hold(vertex, ask_("how high", max_tokens=100, stream=stream), place)
    usage, billed = usage_of(events), vertex.billed()[-1]
    assert text_of(events)
    agree(billed, usage)


def test_what_a_client_of_claude_sends_passes_through(vertex: VertexEmulator) -> None:
    fields = {
        "model": b'"sonnet"',
        "max_tokens": b"100",
        "messages": b'[{"role":"user","content":"how high"}]',
    }
    place = at(vertex, "claude-sonnet-4-5@20250929")
    ask = Ask(OPERATIONS["messages"], {k: msgspec.Raw(v) for k, v in fields.items()}, "sonnet")
    answer = json.loads(Speech(vertex, ADAPTER.passthrough(ask, place)).body)
    assert answer["type"] == "message"
    del fields["max_tokens"]
    ask = Ask(OPERATIONS["count_tokens"], {k: msgspec.Raw(v) for k, v in fields.items()}, "sonnet")
    assert json.loads(Speech(vertex, ADAPTER.passthrough(ask, place)).body) == {
        "input_tokens": answer["usage"]["input_tokens"]
    }
    wrong = Ask(OPERATIONS["messages"], {"messages": msgspec.Raw(b"[]")}, "sonnet")
    assert isinstance(Speech(vertex, ADAPTER.passthrough(wrong, place)).error, Rejected)


# Clients of every dialect, through the adapter -------------------------------------------------

SHOWN = {"type": "object", "properties": {"metres": {"type": "integer"}}}
TOOLS: dict[str, list[dict[str, Any]]] = {
    "chat": [{"type": "function", "function": {"name": "lift", "parameters": SHOWN}}],
    "responses": [{"type": "function", "name": "lift", "parameters": SHOWN}],
    "messages": [{"name": "lift", "input_schema": SHOWN}],
}


def converse(
    vertex: VertexEmulator, operation: Any, place: Place, body: dict[str, Any]
) -> tuple[dict[str, Any], Call]:
    """What a client gets whole from the plane's translation."""
    fields = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in body.items()}
    ask = Ask(OPERATIONS[operation], fields, "gem")
    dialect_of(ask.operation.dialect).note(ask)
    call = prepare(ask, place, ADAPTER, may_drop=False)
    speech = Speech(vertex, call.rendered)
    assert speech.status == 200, speech.body
    answer: dict[str, Any] = json.loads(call.reader.read_whole(speech.body)[0])
    return answer, call


def turn_of(operation: str, answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The answer as a client sends it back, with what the tool said."""
    match operation:
        case "chat":
            message = answer["choices"][0]["message"]
            (call,) = message["tool_calls"]
            return [message, {"role": "tool", "tool_call_id": call["id"], "content": "ok"}]
        case "responses":
            (call,) = (item for item in answer["output"] if item["type"] == "function_call")
            done = {"type": "function_call_output", "call_id": call["call_id"], "output": "ok"}
            return [*answer["output"], done]
    (call,) = (block for block in answer["content"] if block["type"] == "tool_use")
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": "ok"}
    return [
        {"role": "assistant", "content": answer["content"]},
        {"role": "user", "content": [result]},
    ]


@pytest.mark.parametrize("model", [FLASH, PRO_3])
@pytest.mark.parametrize("operation", ["chat", "responses", "messages"])
def test_signatures_survive_every_dialect(
    vertex: VertexEmulator, operation: str, model: str
) -> None:
    """A client sends the answer back as it came; Gemini verifies what it signed."""
    place = at(vertex, model)
    key = "input" if operation == "responses" else "messages"
    body: dict[str, Any] = {
        "model": "gem",
        key: [{"role": "user", "content": "[tool] up"}],
        "tools": TOOLS[operation],
    }
    if operation == "messages":
        body["max_tokens"] = 1000
    answer, call = converse(vertex, operation, place, body)
    assert call.reader.usage is not None
    agree(vertex.billed()[-1], call.reader.usage)
    body[key] += turn_of(operation, answer)
    sent = prepare_body(operation, place, body)
    assert b'"thoughtSignature"' in sent
    assert b"skip_thought" not in sent
    again, _ = converse(vertex, operation, place, body)
    assert "plane wing" in json.dumps(again)


def prepare_body(operation: Any, place: Place, body: dict[str, Any]) -> bytes:
    """What goes up for a client's body."""
    fields = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in body.items()}
    ask = Ask(OPERATIONS[operation], fields, "gem")
    return prepare(ask, place, ADAPTER, may_drop=False).rendered.body
