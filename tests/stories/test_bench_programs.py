"""The benchmark's own programs: the load generator counts what the upstream sent."""

import shutil
from collections.abc import Iterator

import pytest

from programs import Load, Upstream, build, upstream
from translated import WHOLE_TOKENS

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@pytest.fixture(scope="module")
def engine() -> Iterator[Upstream]:
    build()
    with upstream() as running:
        yield running


def test_every_event_of_every_stream_arrives(engine: Upstream) -> None:
    before = engine.stats()
    load = Load(connections=8, count=40, duration_s=20, stream=True, max_tokens=50)
    outcome = load.run(engine.port)
    after = engine.stats()
    assert (outcome.good, outcome.failed) == (40, 0)
    assert outcome.events == 40 * (50 + 3)  # the role, the finish and [DONE] come on top
    assert after["chunks"] - before["chunks"] == 40 * 50
    assert after["finished"] - before["finished"] == 40


def test_a_paced_stream_takes_its_time(engine: Upstream) -> None:
    load = Load(connections=4, count=4, duration_s=20, stream=True, max_tokens=20, pace=100)
    outcome = load.run(engine.port)
    assert outcome.latency_us is not None
    assert 190_000 <= outcome.latency_us.p50 < 2_000_000


@pytest.mark.parametrize("body_bytes", [300, 1024, 128 * 1024])
def test_requests_of_any_size_are_answered(engine: Upstream, body_bytes: int) -> None:
    outcome = Load(connections=4, count=50, duration_s=20, body_bytes=body_bytes).run(engine.port)
    assert (outcome.good, outcome.failed, outcome.unfinished) == (50, 0, 0)


def test_an_open_loop_sends_what_was_asked(engine: Upstream) -> None:
    outcome = Load(connections=8, rate=200, duration_s=0.5).run(engine.port)
    assert (outcome.sent, outcome.good) == (100, 100)


def test_a_stream_left_behind_is_counted_as_cancelled(engine: Upstream) -> None:
    before = engine.stats()["cancelled"]
    Load(connections=3, duration_s=0.3, stream=True, max_tokens=1000, pace=10).run(engine.port)
    assert engine.stats()["cancelled"] - before == 3


def test_a_refusing_server_is_an_error_with_its_words(engine: Upstream) -> None:
    load = Load(connections=1, count=1, duration_s=5, path="/nowhere")
    outcome = load.run(engine.port)
    assert (outcome.good, outcome.errors["status"]) == (0, 1)
    assert "not here" in outcome.first_error


def test_a_pace_can_be_said_in_the_prompt(engine: Upstream) -> None:
    load = Load(
        connections=4, count=4, duration_s=20, stream=True, max_tokens=20, pace=100, says_pace=True
    )
    outcome = load.run(engine.port)
    assert outcome.latency_us is not None
    assert 190_000 <= outcome.latency_us.p50 < 2_000_000


def test_boto3_reads_bedrocks_frames(engine: Upstream) -> None:
    """Both sums of every frame included."""
    boto3 = pytest.importorskip("boto3")
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{engine.port}",
        aws_access_key_id="bench",
        aws_secret_access_key="bench",
    )
    prompt = [{"role": "user", "content": [{"text": "hi"}]}]
    limits = {"maxTokens": 5}
    whole = client.converse(modelId="m", messages=prompt, inferenceConfig=limits)
    assert whole["output"]["message"]["content"][0]["text"] == " tok" * WHOLE_TOKENS
    streamed = client.converse_stream(modelId="m", messages=prompt, inferenceConfig=limits)
    events = list(streamed["stream"])
    texts = [e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e]
    assert texts == [" tok"] * 5
    assert list(events[-2]) == ["messageStop"]
    assert events[-1]["metadata"]["usage"]["outputTokens"] == 5
    client.close()


def test_anthropics_client_reads_messages(engine: Upstream) -> None:
    anthropic = pytest.importorskip("anthropic")
    asked = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    with anthropic.Anthropic(base_url=f"http://127.0.0.1:{engine.port}", api_key="bench") as client:
        assert client.messages.create(**asked).content[0].text == " tok" * WHOLE_TOKENS
        with client.messages.stream(**asked) as stream:
            assert list(stream.text_stream) == [" tok"] * 5
            assert stream.get_final_message().usage.output_tokens == 5


def test_googles_client_reads_gemini(engine: Upstream) -> None:
    genai = pytest.importorskip("google.genai")
    with genai.Client(
        api_key="bench", http_options={"base_url": f"http://127.0.0.1:{engine.port}"}
    ) as client:
        asked = {"model": "gemini-2.5-flash", "contents": "hi", "config": {"max_output_tokens": 5}}
        assert client.models.generate_content(**asked).text == " tok" * WHOLE_TOKENS
        *chunks, last = client.models.generate_content_stream(**asked)
        assert [chunk.text for chunk in chunks] == [" tok"] * 5
        assert last.usage_metadata.candidates_token_count == 5
