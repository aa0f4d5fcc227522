"""The emulator of Anthropic against the official client: it is a faithful double, or this fails."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest

from towplane.testing.anthropic import AnthropicEmulator, Script, Trouble

OLD = "claude-sonnet-4-5-20250929"
NEW = "claude-opus-4-8"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
LOOK = {
    "name": "look_up",
    "description": "Looks something up.",
    "input_schema": {
        "type": "object",
        "properties": {"what": {"type": "string"}, "limit": {"type": "integer"}},
        "required": ["what", "limit"],
    },
}
ASK = {"role": "user", "content": "How high is it?"}


@pytest.fixture(scope="module")
def emulator() -> Iterator[AnthropicEmulator]:
    with AnthropicEmulator() as running:
        yield running


@pytest.fixture
def client(emulator: AnthropicEmulator) -> Iterator[Any]:
    """`Any`: these requests are plain values, as people write them."""
    emulator.book.clear()
    with anthropic.Anthropic(
        base_url=emulator.origin, api_key=emulator.api_key, max_retries=0, timeout=20
    ) as found:
        yield found


def test_a_plain_message_is_what_the_client_expects(
    emulator: AnthropicEmulator, client: Any
) -> None:
    message = client.messages.create(model=NEW, max_tokens=100, messages=[ASK])
    assert message.content[0].type == "text"
    assert message.content[0].text.startswith("plane wing ")
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 8)
    seen = emulator.billed()[0]
    assert (seen.input, seen.output, seen.finished) == (7, 8, True)
    assert seen.version == "2026-10-21"


def test_a_stream_is_what_the_client_expects(emulator: AnthropicEmulator, client: Any) -> None:
    emulator.queue(NEW, Script(pings=True, shred=7, cached=2, written=1, unknown_events=False))
    with client.messages.stream(model=NEW, max_tokens=100, messages=[ASK]) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == "plane wing rope lift field wind turn land "
    assert final.usage.output_tokens == 8
    assert final.usage.cache_read_input_tokens == 2
    assert final.usage.input_tokens == 4
    assert emulator.billed()[0].output == 8


def test_a_tool_is_called_and_its_result_taken(client: Any) -> None:
    first = {"role": "user", "content": "[tool] please"}
    called = client.messages.create(model=NEW, max_tokens=100, messages=[first], tools=[LOOK])
    call = called.content[1]
    assert called.stop_reason == "tool_use"
    assert (call.type, call.name, call.input) == (
        "tool_use",
        "look_up",
        {"what": "höhe", "limit": 7},
    )
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "8,848 m"}
    history = [first, called.to_param(), {"role": "user", "content": [result]}]
    told = client.messages.create(model=NEW, max_tokens=100, messages=history, tools=[LOOK])
    assert told.stop_reason == "end_turn"


def test_tools_are_called_at_once_in_a_stream(client: Any) -> None:
    first = {"role": "user", "content": "[tools] please"}
    tools = [LOOK, LOOK | {"name": "other"}]
    with client.messages.stream(model=NEW, max_tokens=100, messages=[first], tools=tools) as stream:
        final = stream.get_final_message()
    calls = [block for block in final.content if block.type == "tool_use"]
    assert [call.name for call in calls] == ["look_up", "other"]
    assert all(call.input == {"what": "höhe", "limit": 7} for call in calls)


def test_a_call_without_its_result_is_refused(client: Any) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {}}
    history = [ASK, {"role": "assistant", "content": [call]}, ASK]
    with pytest.raises(anthropic.BadRequestError, match="without `tool_result` blocks"):
        client.messages.create(model=NEW, max_tokens=9, messages=history, tools=[LOOK])


def test_images_and_documents_are_counted(emulator: AnthropicEmulator, client: Any) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    paper = {"type": "text", "media_type": "text/plain", "data": "three words here"}
    content = [
        {"type": "image", "source": source},
        {"type": "document", "source": paper, "citations": {"enabled": True}},
        {"type": "text", "text": "what is it"},
    ]
    emulator.queue(NEW, Script(citations=1))
    message = client.messages.create(
        model=NEW, max_tokens=99, messages=[{"role": "user", "content": content}]
    )
    assert message.usage.input_tokens == 3 + 100 + 200 + 3 + 3
    assert message.content[0].type == "text"
    assert message.content[0].citations is not None
    assert emulator.billed()[0].images == 1


def test_thoughts_are_signed_and_their_signatures_checked(client: Any) -> None:
    with client.messages.stream(
        model=NEW,
        max_tokens=100,
        messages=[{"role": "user", "content": "[tool] please"}],
        tools=[LOOK],
        thinking={"type": "adaptive"},
    ) as stream:
        final = stream.get_final_message()
    thought, _, call = final.content
    assert thought.type == "thinking"
    assert thought.thinking == "thought0 thought1 thought2 "
    assert final.usage.output_tokens_details is not None
    assert final.usage.output_tokens_details.thinking_tokens == 3
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "x"}

    def go_on(thinking: dict[str, object]) -> Any:
        turn = {"role": "assistant", "content": [thinking, call.model_dump(exclude_none=True)]}
        return client.messages.create(
            model=NEW,
            max_tokens=100,
            messages=[ASK, turn, {"role": "user", "content": [result]}],
            tools=[LOOK],
            thinking={"type": "adaptive"},
        )

    whole = thought.model_dump()
    assert go_on(whole).stop_reason == "end_turn"
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
        go_on(whole | {"thinking": "something else"})


def test_a_hidden_thought_comes_back_as_it_went(emulator: AnthropicEmulator, client: Any) -> None:
    emulator.queue(NEW, Script(redacted=True))
    first = client.messages.create(
        model=NEW, max_tokens=100, messages=[ASK], thinking={"type": "adaptive"}
    )
    assert [block.type for block in first.content] == ["redacted_thinking", "text"]
    history = [ASK, first.to_param(), ASK]
    assert client.messages.create(model=NEW, max_tokens=9, messages=history).content


def test_a_schema_holds_the_answer(client: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"height": {"type": "integer"}, "name": {"type": "string"}},
        "required": ["height", "name"],
        "additionalProperties": False,
    }
    message = client.messages.create(
        model=NEW,
        max_tokens=100,
        messages=[ASK],
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert message.content[0].type == "text"
    assert json.loads(message.content[0].text) == {"height": 7, "name": "höhe"}
    with pytest.raises(anthropic.BadRequestError, match="additionalProperties"):
        client.messages.create(
            model=NEW,
            max_tokens=100,
            messages=[ASK],
            output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
        )


def test_limits_and_stop_sequences_end_an_answer(client: Any) -> None:
    cut = client.messages.create(model=NEW, max_tokens=2, messages=[ASK])
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 2)
    stopped = client.messages.create(
        model=NEW, max_tokens=50, messages=[ASK], stop_sequences=["lift"]
    )
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "lift")


def test_tokens_are_counted_as_they_are_billed(emulator: AnthropicEmulator, client: Any) -> None:
    count = client.messages.count_tokens(model=NEW, messages=[ASK], tools=[LOOK])
    message = client.messages.create(model=NEW, max_tokens=9, messages=[ASK], tools=[LOOK])
    assert count.input_tokens == message.usage.input_tokens
    assert [seen.input for seen in emulator.billed()] == [0, count.input_tokens]


def test_models_are_listed(client: Any) -> None:
    assert NEW in [model.id for model in client.models.list()]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (402, anthropic.PaymentRequiredError),
        (403, anthropic.PermissionDeniedError),
        (404, anthropic.NotFoundError),
        (409, anthropic.ConflictError),
        (413, anthropic.ContentTooLargeError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (504, anthropic.GatewayTimeoutError),
        (529, anthropic.OverloadedError),
    ],
)
def test_errors_are_the_clients_own(
    emulator: AnthropicEmulator,
    client: Any,
    status: int,
    kind: type[anthropic.APIStatusError],
) -> None:
    emulator.queue(NEW, Script(status=status, headers={"retry-after": "3"}))
    with pytest.raises(kind) as caught:
        client.messages.create(model=NEW, max_tokens=9, messages=[ASK])
    assert caught.value.type is not None
    assert caught.value.request_id is not None
    assert caught.value.response.headers["anthropic-ratelimit-requests-limit"] == "1000"
    assert caught.value.response.headers["retry-after"] == "3"


def test_an_overload_is_tried_again_by_the_client(emulator: AnthropicEmulator) -> None:
    emulator.book.clear()
    emulator.queue(NEW, Script(status=529, headers={"retry-after-ms": "1"}))
    client: Any
    with anthropic.Anthropic(base_url=emulator.origin, api_key=emulator.api_key) as client:
        assert client.messages.create(model=NEW, max_tokens=9, messages=[ASK]).content
    assert [seen.status for seen in emulator.billed()] == [529, 200]


@pytest.mark.parametrize("tokens", [0, 3])
def test_an_error_inside_the_stream_reaches_the_client(
    emulator: AnthropicEmulator, client: Any, tokens: int
) -> None:
    emulator.queue(NEW, Script(trouble=Trouble(how="error", after_tokens=tokens)))
    got: list[str] = []
    with (
        pytest.raises(anthropic.APIStatusError, match="overloaded_error"),
        client.messages.stream(model=NEW, max_tokens=99, messages=[ASK]) as stream,
    ):
        got.extend(stream.text_stream)
    assert len(got) == tokens
    assert emulator.billed()[0].output == tokens


@pytest.mark.parametrize(
    "script",
    [
        Script(trouble=Trouble(how="reset", after_tokens=2)),
        Script(trouble=Trouble(how="close", after_tokens=2)),
        Script(cut_after_bytes=777),
    ],
)
def test_a_broken_connection_breaks_the_stream(
    emulator: AnthropicEmulator, client: Any, script: Script
) -> None:
    emulator.queue(NEW, script)
    with (
        pytest.raises(Exception, match=r"peer closed|reset|disconnected|incomplete|Connection"),
        client.messages.stream(model=NEW, max_tokens=99, messages=[ASK]) as stream,
    ):
        stream.get_final_message()


def test_a_client_that_leaves_is_seen(emulator: AnthropicEmulator, client: Any) -> None:
    emulator.queue(NEW, Script(tokens=1_000, pace_s=0.005))
    with client.messages.stream(model=NEW, max_tokens=2_000, messages=[ASK]) as stream:
        next(iter(stream.text_stream))
    assert emulator.book.wait(lambda book: book.rows()[0].cancelled)
    assert 0 < emulator.billed()[0].output < 1_000


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({}, 401, "x-api-key header is required"),
        ({"x-api-key": "wrong"}, 401, "invalid x-api-key"),
        ({"x-api-key": "right"}, 400, "anthropic-version: header is required"),
        ({"x-api-key": "right", "anthropic-version": "2020-01-01"}, 400, "not a valid version"),
    ],
)
def test_headers_are_checked(
    emulator: AnthropicEmulator, headers: dict[str, str], status: int, words: str
) -> None:
    given = {name: value.replace("right", emulator.api_key) for name, value in headers.items()}
    answer = httpx.post(f"{emulator.origin}/v1/messages", headers=given, json={})
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"messages": []}, "at least one message is required"),
        ({"messages": [{"role": "system", "content": "x"}]}, "Unexpected role"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 'must use the "user" role'),
        ({"messages": [{"role": "user", "content": ""}]}, "non-empty content"),
        ({"model": "claude-none"}, "model: claude-none"),
        ({"temperature": 0.5}, "deprecated for this model"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "adaptive"),
        ({"max_tokens": 10**6}, "maximum allowed number of output tokens"),
        ({"tool_choice": {"type": "any"}}, "while providing tools"),
        ({"metadata": {"team": "x"}}, "metadata.team: Extra inputs"),
    ],
)
def test_bodies_are_checked(
    emulator: AnthropicEmulator, change: dict[str, object], words: str
) -> None:
    body = {"model": NEW, "max_tokens": 9, "messages": [ASK]} | change
    body = {name: value for name, value in body.items() if value is not None}
    headers = {"x-api-key": emulator.api_key, "anthropic-version": "2023-06-01"}
    answer = httpx.post(f"{emulator.origin}/v1/messages", headers=headers, json=body)
    assert answer.status_code in (400, 404)
    assert words in answer.json()["error"]["message"]


def test_the_new_version_takes_no_sampling_at_all(emulator: AnthropicEmulator) -> None:
    body = {"model": OLD, "max_tokens": 9, "messages": [ASK], "temperature": 1.0}
    headers = {"x-api-key": emulator.api_key, "anthropic-version": "2023-06-01"}
    url = f"{emulator.origin}/v1/messages"
    assert httpx.post(url, headers=headers, json=body).status_code == 200
    headers["anthropic-version"] = "2026-10-21"
    answer = httpx.post(url, headers=headers, json=body)
    assert answer.json()["error"]["message"] == "temperature: Extra inputs are not permitted"
