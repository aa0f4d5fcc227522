"""The official `openai` client against a plane, unchanged but for its base URL and key."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from towplane.testing.plane import UPSTREAM_KEY, RunningPlane, document, wait_until
from towplane.testing.provider import FakeProvider, Script, Seen

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "fly me up"}]
PROMPT_TOKENS = 9  # 3 for the chat, 3 for the message, 3 words
ANSWER = "plane wing rope lift field wind turn land "


@dataclass(frozen=True)
class Line:
    """A plane, its provider, and a key."""

    plane: RunningPlane
    provider: FakeProvider
    key: str

    def client(self, *, timeout_s: float = 30.0) -> openai.OpenAI:
        """A client that shows failures instead of trying again."""
        return openai.OpenAI(
            base_url=self.plane.base_url, api_key=self.key, max_retries=0, timeout=timeout_s
        )

    def async_client(self) -> openai.AsyncOpenAI:
        """The same for asyncio."""
        return openai.AsyncOpenAI(base_url=self.plane.base_url, api_key=self.key, max_retries=0)

    def seen(self, tag: str) -> Seen:
        """What the provider saw of the request with this `user`."""
        (row,) = self.provider.book.rows(tag=tag)
        return row


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """One plane for all stories here; each uses a `user` of its own."""
    folder = tmp_path_factory.mktemp("plane")
    with FakeProvider(api_key=UPSTREAM_KEY) as provider:
        text = document(folder, provider, route={"timeouts": {"first_token": "1s"}})
        with RunningPlane(text, folder) as plane:
            yield Line(plane, provider, plane.key("acme"))


def test_a_chat_is_answered(line: Line) -> None:
    """With the provider's words and the provider's bill."""
    with line.client() as client:
        answer = client.chat.completions.create(model="fake", messages=MESSAGES)
    assert answer.choices[0].message.content == ANSWER
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (PROMPT_TOKENS, 8)


def test_a_chat_is_streamed(line: Line) -> None:
    """Word by word; a client that does not ask for usage does not see any."""
    with line.client() as client:
        stream = client.chat.completions.create(
            model="fake", messages=MESSAGES, stream=True, user="streamed"
        )
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ANSWER
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert [chunk for chunk in chunks if chunk.usage is not None] == []
    assert line.seen("streamed").include_usage, "the plane asks, to bill what was used"


def test_a_client_that_asks_for_usage_gets_it_last(line: Line) -> None:
    """The chunk without choices is passed on to whom it was promised."""
    with line.client() as client:
        stream = client.chat.completions.create(
            model="fake",
            messages=MESSAGES,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == PROMPT_TOKENS + 8


def test_an_async_client_is_answered_and_streamed(line: Line) -> None:
    """Twenty at once, half of them streamed."""

    async def ask() -> list[str]:
        async with line.async_client() as client:

            async def whole() -> str:
                answer = await client.chat.completions.create(model="fake", messages=MESSAGES)
                return answer.choices[0].message.content or ""

            async def streamed() -> str:
                stream = await client.chat.completions.create(
                    model="fake", messages=MESSAGES, stream=True
                )
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

            both = (whole() if number % 2 else streamed() for number in range(20))
            return list(await asyncio.gather(*both))

    assert asyncio.run(ask()) == [ANSWER] * 20


def test_a_raw_response_shows_what_the_plane_says_of_itself(line: Line) -> None:
    """Id, target and attempts stand in the head; the body parses as ever."""
    with line.client() as client:
        raw = client.chat.completions.with_raw_response.create(
            model="fake", messages=MESSAGES, user="raw"
        )
    assert raw.parse().choices[0].message.content == ANSWER
    assert raw.headers["x-towplane-target"] == "fake-0/fake"
    assert raw.headers["x-towplane-attempts"] == "1"
    assert line.seen("raw").request_id == raw.headers["x-towplane-request-id"] + ".1"


def test_a_streaming_response_can_be_read_as_bytes(line: Line) -> None:
    """The events come as the provider wrote them, `[DONE]` included."""
    with (
        line.client() as client,
        client.chat.completions.with_streaming_response.create(
            model="fake", messages=MESSAGES, stream=True
        ) as response,
    ):
        text = b"".join(response.iter_bytes()).decode()
    assert response.headers["content-type"].startswith("text/event-stream")
    assert text.endswith("data: [DONE]\n\n")
    assert text.count("data: ") == 1 + 8 + 1 + 1  # role, tokens, finish reason, done


def test_tool_calls_and_reasoning_are_passed_on(line: Line) -> None:
    """The plane does not have to know a channel to relay it."""
    with line.client() as client:
        tool = client.chat.completions.create(
            model="fake", messages=MESSAGES, extra_body={"fake": {"channel": "tool"}}
        )
        stream = client.chat.completions.create(
            model="fake",
            messages=MESSAGES,
            stream=True,
            extra_body={"fake": {"channel": "reasoning"}},
        )
        pieces = [chunk.choices[0].delta.model_extra for chunk in stream]
    calls = tool.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].type == "function"
    assert calls[0].function.arguments == ANSWER
    assert "".join((piece or {}).get("reasoning_content", "") for piece in pieces) == ANSWER


def test_a_legacy_completion_is_answered_and_streamed(line: Line) -> None:
    """`/v1/completions`."""
    with line.client() as client:
        whole = client.completions.create(model="fake", prompt="fly me up", max_tokens=3)
        stream = client.completions.create(model="fake", prompt=[1, 2, 3], stream=True)
        text = "".join(chunk.choices[0].text for chunk in stream)
    assert whole.choices[0].text == "plane wing rope "
    assert whole.choices[0].finish_reason == "length"
    assert text == ANSWER


def test_embeddings_are_answered(line: Line) -> None:
    """As numbers, though the client asks for base64 by itself."""
    with line.client() as client:
        answer = client.embeddings.create(model="fake", input=["a b", "c"], dimensions=4)
    assert [len(row.embedding) for row in answer.data] == [4, 4]
    assert answer.usage.prompt_tokens == 3


def test_models_are_those_of_the_document(line: Line) -> None:
    """Not those of the provider."""
    with line.client() as client:
        assert [model.id for model in client.models.list()] == ["fake"]
        assert client.models.retrieve("fake").owned_by == "story"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("nope")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (403, openai.InternalServerError),  # the plane's own credentials: not this client's fault
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (413, openai.APIStatusError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (502, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_an_error_of_the_provider_becomes_the_clients_own_class(
    line: Line, status: int, error: type[openai.APIStatusError]
) -> None:
    """So that the code of the vendor's customer goes on as it is."""
    script = {"status": status, "headers": {"retry-after-ms": "1"}}
    with line.client() as client, pytest.raises(error) as caught:
        client.chat.completions.create(model="fake", messages=MESSAGES, extra_body={"fake": script})
    if status == 403:  # a credential that was refused is left alone for a while
        wait_until(lambda: _answers(line), 60.0)
    assert caught.value.message
    assert caught.value.response.headers["x-towplane-reason"]


def _answers(line: Line) -> bool:
    with line.client() as client:
        try:
            client.chat.completions.create(model="fake", messages=MESSAGES)
        except openai.InternalServerError:
            return False
        return True


def test_refusals_of_the_plane_become_the_clients_own_classes(line: Line) -> None:
    """A wrong key, an unknown model, a body that is not right: each says what to do."""
    with line.client() as client:
        with pytest.raises(openai.AuthenticationError) as wrong_key:
            client.with_options(api_key="nobody").models.list()
        with pytest.raises(openai.NotFoundError) as unknown:
            client.chat.completions.create(model="nope", messages=MESSAGES)
        with pytest.raises(openai.BadRequestError) as bad:
            client.chat.completions.create(
                model="fake", messages=MESSAGES, extra_body={"stream": "yes"}
            )
    assert wrong_key.value.code == "invalid_api_key"
    assert unknown.value.code == "model_not_found"
    assert bad.value.param == "stream"


def test_a_provider_that_is_too_slow_is_an_error_of_the_plane(line: Line) -> None:
    """First token after a second: 504 in the client's dialect, and the provider is let go."""
    script = {"first_token_delay_s": 60.0}
    with line.client() as client, pytest.raises(openai.InternalServerError) as caught:
        list(
            client.chat.completions.create(
                model="fake",
                messages=MESSAGES,
                stream=True,
                user="slow",
                extra_body={"fake": script},
            )
        )
    assert caught.value.status_code == 504
    assert line.provider.book.wait(lambda book: book.rows(tag="slow")[0].cancelled)


def test_a_client_that_is_out_of_patience_stops_the_provider(line: Line) -> None:
    """The client's own timeout closes the connection, and the provider's work ends with it."""
    with line.client(timeout_s=0.3) as client, pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(
            model="fake", messages=MESSAGES, user="hasty", extra_body={"fake": {"head_delay_s": 60}}
        )
    assert line.provider.book.wait(
        lambda book: bool(rows := book.rows(tag="hasty")) and rows[0].cancelled
    )


def test_a_cancelled_task_stops_the_provider(line: Line) -> None:
    """asyncio's cancellation in the middle of a stream; what was produced is billed."""

    async def ask() -> int:
        async with line.async_client() as client:
            stream = await client.chat.completions.create(
                model="fake",
                messages=MESSAGES,
                stream=True,
                user="cancelled",
                extra_body={"fake": {"tokens": 100_000, "pace_s": 0.005}},
            )
            tokens = 0

            async def read() -> None:
                nonlocal tokens
                async for chunk in stream:
                    tokens += bool(chunk.choices[0].delta.content)

            task = asyncio.create_task(read())
            while tokens < 5:
                await asyncio.sleep(0.001)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await stream.close()
            return tokens

    tokens = asyncio.run(ask())
    assert line.provider.book.wait(lambda book: book.rows(tag="cancelled")[0].cancelled)
    seen = line.seen("cancelled")
    row = line.plane.attempts()[seen.request_id]
    assert (row["outcome"], row["usage"]) == ("cancelled", "estimated")
    assert tokens <= row["output"] <= seen.output


def test_a_queue_of_scripts_is_played_in_order(line: Line) -> None:
    """The double itself: what a story queues is what its next requests get."""
    line.provider.queue("fake", Script(status=400), Script(tokens=1))
    with line.client() as client:
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model="fake", messages=MESSAGES)
        answer = client.chat.completions.create(model="fake", messages=MESSAGES)
    assert answer.choices[0].message.content == "plane "
