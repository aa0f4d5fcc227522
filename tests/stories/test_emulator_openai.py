"""The emulator of OpenAI and Azure against the official clients, unchanged, over real sockets."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import openai
import pydantic
import pytest
from openai.types.responses import ResponseInputParam

from towplane.testing.openai import Azure, Limit, OpenAIEmulator, Provisioned, Script, Trouble

TOOL: Any = {
    "type": "function",
    "name": "lookup",
    "description": "Look a place up",
    "parameters": {
        "type": "object",
        "properties": {"place": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["place", "days"],
        "additionalProperties": False,
    },
    "strict": True,
}
CHAT_TOOL: Any = {
    "type": "function",
    "function": {name: TOOL[name] for name in ("name", "description", "parameters")},
}


class Answer(pydantic.BaseModel):
    """What a JSON Schema asks for."""

    place: str
    days: int
    is_sunny: bool


@pytest.fixture
def vendor() -> Iterator[OpenAIEmulator]:
    with OpenAIEmulator(models=("gpt-test", "text-embedding-3-small")) as emulator:
        yield emulator


@pytest.fixture
def client(vendor: OpenAIEmulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="sk-test", base_url=vendor.base_url, max_retries=0) as found:
        yield found


@pytest.fixture
def resource() -> Iterator[OpenAIEmulator]:
    with OpenAIEmulator(
        models=("gpt-test", "gpt-ptu", "gpt-standard"),
        azure=Azure(tokens={"entra": time.time() + 600, "entra-old": time.time() - 1}),
    ) as emulator:
        yield emulator


def azure(resource: OpenAIEmulator, **given: Any) -> openai.AzureOpenAI:
    usual: Any = {"api_key": "azure-key", "api_version": "2024-10-21", "max_retries": 0}
    found: openai.AzureOpenAI = openai.AzureOpenAI(
        azure_endpoint=resource.origin, **(usual | given)
    )
    return found


def test_a_chat_is_answered_whole_and_streamed_and_billed_the_same(
    vendor: OpenAIEmulator, client: openai.OpenAI
) -> None:
    messages: Any = [{"role": "user", "content": "hello there"}]
    whole = client.chat.completions.create(model="gpt-test", messages=messages)
    stream = client.chat.completions.create(
        model="gpt-test", messages=messages, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content == "plane wing rope lift field wind turn land "
    assert chunks[-1].usage == whole.usage
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (8, 8)
    assert [(bill.input, bill.output, bill.finished) for bill in vendor.bills()] == [
        (8, 8, True)
    ] * 2


def test_tools_are_called_with_arguments_that_fit_and_their_results_are_taken(
    client: openai.OpenAI,
) -> None:
    messages: Any = [{"role": "user", "content": "[tool] please"}]
    found = client.chat.completions.create(model="gpt-test", messages=messages, tools=[CHAT_TOOL])
    (call,) = found.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.arguments == '{"place": "plane", "days": 7}'
    assert found.choices[0].finish_reason == "tool_calls"
    messages += [
        found.choices[0].message,
        {"role": "tool", "tool_call_id": call.id, "content": "rain"},
    ]
    last = client.chat.completions.create(model="gpt-test", messages=messages, tools=[CHAT_TOOL])
    assert last.choices[0].finish_reason == "stop"


def test_a_response_is_the_same_whole_and_streamed(client: openai.OpenAI) -> None:
    asked: Any = {"model": "gpt-test", "input": "hello", "reasoning": {"summary": "auto"}}
    whole = client.responses.create(**asked)
    with client.responses.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert final.output_text == whole.output_text == "plane wing rope lift field wind turn land "
    assert final.usage == whole.usage
    assert whole.usage is not None
    assert whole.usage.output_tokens_details.reasoning_tokens == 3
    assert kinds.count("response.reasoning_summary_text.delta") == 3
    assert [item.type for item in final.output] == ["reasoning", "message"]


def test_a_response_calls_tools_and_takes_their_results_with_the_reasoning_sent_back(
    client: openai.OpenAI,
) -> None:
    given: ResponseInputParam = [{"role": "user", "content": "[tool]"}]
    asked: Any = {
        "model": "gpt-test",
        "tools": [TOOL],
        "store": False,
        "reasoning": {"effort": "low"},
        "include": ["reasoning.encrypted_content"],
    }
    found = client.responses.create(input=given, **asked)
    thought, call = found.output
    assert thought.type == "reasoning"
    assert call.type == "function_call"
    given += [item.model_dump() for item in found.output]  # as their docs do
    given.append({"type": "function_call_output", "call_id": call.call_id, "output": "rain"})
    assert client.responses.create(input=given, **asked).output_text.startswith("plane ")
    forged: Any = {**given[1], "encrypted_content": "Zm9yZ2VkOjE6eA=="}
    given[1] = forged
    with pytest.raises(openai.BadRequestError, match="could not be verified"):
        client.responses.create(input=given, **asked)


def test_a_schema_is_answered_with_json_that_fits_it(client: openai.OpenAI) -> None:
    want = Answer(place="plane", days=7, is_sunny=True)
    response = client.responses.parse(model="gpt-test", input="x", text_format=Answer)
    assert response.output_parsed == want
    messages: Any = [{"role": "user", "content": "x"}]
    chat = client.chat.completions.parse(
        model="gpt-test", messages=messages, response_format=Answer
    )
    assert chat.choices[0].message.parsed == want


def test_what_was_stored_can_be_gone_on_with_and_what_was_not_cannot(
    vendor: OpenAIEmulator, client: openai.OpenAI
) -> None:
    first = client.responses.create(model="gpt-test", input="one two three")
    second = client.responses.create(model="gpt-test", input="x", previous_response_id=first.id)
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens == first.usage.total_tokens + 4
    with pytest.raises(openai.BadRequestError, match="not found"):
        client.responses.create(model="gpt-test", input="x", previous_response_id="resp_other")


def test_a_limit_ends_an_answer_and_says_so(client: openai.OpenAI) -> None:
    found = client.responses.create(model="gpt-test", input="[long]", max_output_tokens=20)
    assert found.status == "incomplete"
    assert found.incomplete_details is not None
    assert found.incomplete_details.reason == "max_output_tokens"
    assert found.usage is not None
    assert found.usage.output_tokens == 20


def test_completions_and_embeddings_and_models_are_there(client: openai.OpenAI) -> None:
    assert client.completions.create(model="gpt-test", prompt="hello").choices[0].text
    found = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    assert [vector.index for vector in found.data] == [0, 1]
    assert {model.id for model in client.models.list()} == {"gpt-test", "text-embedding-3-small"}
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-other")


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"model": "gpt-none"}, openai.NotFoundError),
        ({"extra_body": {"unheard_of": 1}}, openai.BadRequestError),
        ({"input": []}, openai.BadRequestError),
        ({"max_output_tokens": 3}, openai.BadRequestError),
    ],
    ids=["model", "unknown field", "no input", "limit"],
)
def test_what_the_original_refuses_is_refused(
    client: openai.OpenAI, change: Any, kind: type[openai.APIStatusError]
) -> None:
    with pytest.raises(kind):
        client.responses.create(**({"model": "gpt-test", "input": "x"} | change))


def test_a_wrong_key_is_refused(vendor: OpenAIEmulator) -> None:
    with (
        openai.OpenAI(api_key="sk-wrong", base_url=vendor.base_url, max_retries=0) as client,
        pytest.raises(openai.AuthenticationError, match="Incorrect API key"),
    ):
        client.models.list()


def test_limits_count_down_in_the_headers_and_then_refuse(
    vendor: OpenAIEmulator, client: openai.OpenAI
) -> None:
    vendor.limits["gpt-test"] = Limit(rpm=2, tpm=1000)
    left = []
    for _ in range(2):
        raw = client.responses.with_raw_response.create(model="gpt-test", input="one")
        left.append(
            [raw.headers[f"x-ratelimit-remaining-{what}"] for what in ("requests", "tokens")]
        )
    assert left[0][0] == "1"
    assert left[1][0] == "0"
    assert int(left[1][1]) < int(left[0][1]) < 1000
    with pytest.raises(openai.RateLimitError) as wrong:
        client.responses.create(model="gpt-test", input="one")
    headers = wrong.value.response.headers
    assert 0 < int(headers["retry-after-ms"]) <= 30_000
    assert headers["x-ratelimit-reset-requests"].endswith("s")


def test_the_clients_own_retries_are_answered(vendor: OpenAIEmulator) -> None:
    vendor.queue("gpt-test", Script(status=429, headers={"retry-after-ms": "1"}))
    with openai.OpenAI(api_key="sk-test", base_url=vendor.base_url, max_retries=1) as client:
        assert client.responses.create(model="gpt-test", input="one").output_text
    assert [bill.status for bill in vendor.bills()] == [429, 200]


@pytest.mark.parametrize("how", ["reset", "close", "garbage", "error"])
def test_trouble_in_a_stream_reaches_the_client(
    vendor: OpenAIEmulator, client: openai.OpenAI, how: Any
) -> None:
    vendor.queue("gpt-test", Script(trouble=Trouble(how=how, after_tokens=2)))
    seen: list[str] = []
    stream = client.responses.create(model="gpt-test", input="x", stream=True)
    with pytest.raises((openai.APIError, ValueError)):
        seen.extend(event.type for event in stream)
    assert seen.count("response.output_text.delta") == 2
    bill = vendor.bills()[0]
    assert (bill.output, bill.is_billed) == (2, how in ("reset", "close"))


def test_a_stream_cut_at_random_bytes_is_the_same_stream() -> None:
    texts = []
    for seed in range(3):
        with (
            OpenAIEmulator(seed=seed) as vendor,
            openai.OpenAI(api_key="sk-test", base_url=vendor.base_url) as client,
            client.responses.stream(model="gpt-test", input="x") as stream,
        ):
            texts.append(stream.get_final_response().output_text)
    assert texts == ["plane wing rope lift field wind turn land "] * 3


async def test_a_stalled_stream_ends_when_the_client_goes(vendor: OpenAIEmulator) -> None:
    vendor.queue("gpt-test", Script(trouble=Trouble(how="stall", after_tokens=1)))
    async with openai.AsyncOpenAI(api_key="sk-test", base_url=vendor.base_url) as client:
        stream = await client.responses.create(model="gpt-test", input="x", stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        await stream.close()
    assert await asyncio.to_thread(vendor.book.wait, lambda book: book.rows()[0].cancelled)


@pytest.mark.parametrize(
    "given",
    [{}, {"api_key": None, "azure_ad_token": "entra"}],
    ids=["key", "token"],
)
def test_azure_is_entered_with_a_key_or_a_token(resource: OpenAIEmulator, given: Any) -> None:
    with azure(resource, **given) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-test", messages=[{"role": "user", "content": "hello"}]
        )
        found = raw.parse()
    assert found.choices[0].message.content
    assert found.model_extra is not None
    assert found.model_extra["prompt_filter_results"][0]["prompt_index"] == 0
    assert raw.headers["x-ms-deployment-name"] == "gpt-test"
    assert raw.headers["apim-request-id"]
    assert "x-ratelimit-reset-tokens" not in raw.headers


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"api_key": "other"}, openai.AuthenticationError),
        ({"api_key": None, "azure_ad_token": "entra-old"}, openai.AuthenticationError),
        ({"api_version": "2019-01-01"}, openai.NotFoundError),
    ],
    ids=["key", "expired token", "version"],
)
def test_azure_refuses_as_the_original_does(
    resource: OpenAIEmulator, given: Any, kind: type[openai.APIStatusError]
) -> None:
    messages: Any = [{"role": "user", "content": "hello"}]
    with azure(resource, **given) as client, pytest.raises(kind):
        client.chat.completions.create(model="gpt-test", messages=messages)


def test_azure_names_a_deployment_that_is_not_there(resource: OpenAIEmulator) -> None:
    messages: Any = [{"role": "user", "content": "hello"}]
    with azure(resource) as client, pytest.raises(openai.NotFoundError) as wrong:
        client.chat.completions.create(model="gpt-none", messages=messages)
    assert wrong.value.code == "DeploymentNotFound"


def test_azure_v1_needs_no_version_and_takes_the_plain_client(resource: OpenAIEmulator) -> None:
    with openai.OpenAI(api_key="entra", base_url=resource.base_url) as client:
        assert client.responses.create(model="gpt-test", input="hello").output_text
    with azure(resource, api_version="2025-04-01-preview") as legacy:
        assert legacy.responses.create(model="gpt-test", input="hello").output_text
    paths = [bill.path for bill in resource.bills()]
    assert paths == ["/openai/v1/responses", "/openai/responses?api-version=2025-04-01-preview"]


def test_azure_filters_prompts_and_answers(resource: OpenAIEmulator) -> None:
    prompt: Any = [{"role": "user", "content": "[filter]"}]
    answer: Any = [{"role": "user", "content": "[filter-answer]"}]
    with azure(resource) as client:
        with pytest.raises(openai.BadRequestError) as wrong:
            client.chat.completions.create(model="gpt-test", messages=prompt)
        assert wrong.value.code == "content_filter"
        chunks = list(
            client.chat.completions.create(model="gpt-test", messages=answer, stream=True)
        )
    assert chunks[0].choices == []
    assert chunks[-1].choices[0].finish_reason == "content_filter"


def test_azure_says_an_error_inside_a_stream(resource: OpenAIEmulator) -> None:
    messages: Any = [{"role": "user", "content": "hello"}]
    resource.queue("gpt-test", Script(trouble=Trouble(how="error", message="boom")))
    with azure(resource) as client, pytest.raises(openai.APIError, match="boom"):
        list(client.chat.completions.create(model="gpt-test", messages=messages, stream=True))


def test_a_provisioned_deployment_is_busy_for_milliseconds(resource: OpenAIEmulator) -> None:
    resource.provisioned["gpt-ptu"] = Provisioned(tokens_per_s=20, used_s=30, at=time.monotonic())
    messages: Any = [{"role": "user", "content": "hello"}]
    with azure(resource) as client:
        with pytest.raises(openai.RateLimitError) as wrong:
            client.chat.completions.create(model="gpt-ptu", messages=messages)
        assert wrong.value.response.headers["azure-openai-deployment-utilization"] == "100.0%"
        assert int(wrong.value.response.headers["retry-after-ms"]) > 0
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-ptu",
            messages=messages,
            extra_headers={"x-ms-spillover-deployment": "gpt-standard"},
        )
    assert raw.headers["x-ms-deployment-name"] == "gpt-standard"
    assert raw.headers["x-ms-spillover-from-deployment"] == "gpt-ptu"
    last = resource.bills()[-1]
    assert (last.served_by, last.spilled_from) == ("gpt-standard", "gpt-ptu")


def test_azure_cuts_a_limit_for_a_while_and_says_so(resource: OpenAIEmulator) -> None:
    resource.limits["gpt-test"] = Limit(rpm=100, tpm=10_000, cut=0.1)
    messages: Any = [{"role": "user", "content": "hello"}]
    with azure(resource) as client:
        raw = client.chat.completions.with_raw_response.create(model="gpt-test", messages=messages)
    assert raw.headers["x-ratelimit-limit-tokens"] == "1000"
    assert raw.headers["x-ratelimit-limit-requests"] == "10"
