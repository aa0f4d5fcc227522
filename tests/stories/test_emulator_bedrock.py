"""FakeBedrock under the official client, and under the plane's own adapter: one wire for both."""

import contextlib
import http.client
import json
import random
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import msgspec
import pytest
from botocore.config import Config
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import ClientError, EventStreamError

from towplane.parts.errors import Denied, RateLimited, Upstream
from towplane.parts.usage import Detail
from towplane.providers.adapter import Call as PlaneCall
from towplane.providers.adapter import Credential, Place
from towplane.providers.ask import OPERATIONS, Ask, OperationName
from towplane.providers.bedrock import ADAPTER
from towplane.providers.dialects import dialect_of
from towplane.providers.translation import prepare
from towplane.testing.bedrock import (
    ACCOUNT,
    BEARER,
    Account,
    Bill,
    Break,
    Call,
    FakeBedrock,
    Script,
)

Value = dict[str, Any]

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
MODEL = "anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-2-lite-v1:0"
WORDS = "plane wing rope lift field wind turn land "
HI = [{"role": "user", "content": [{"text": "hello there"}]}]
TOOLS = {
    "tools": [
        {
            "toolSpec": {
                "name": "weather",
                "inputSchema": {
                    "json": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}},
                        "required": ["city"],
                    }
                },
            }
        }
    ]
}
LONG = " ".join(f"word{n}" for n in range(40))


@pytest.fixture
def bedrock() -> Iterator[FakeBedrock]:
    with FakeBedrock() as found:
        yield found


def client(bedrock: FakeBedrock, account: Account = ACCOUNT, region: str = "us-east-1") -> Any:
    return boto3.client(
        "bedrock-runtime",
        region_name=region,
        endpoint_url=bedrock.origin,
        aws_access_key_id=account.access_key,
        aws_secret_access_key=account.secret_key,
        aws_session_token=account.token or None,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=20, connect_timeout=5),
    )


def say(text: str) -> list[Value]:
    return [{"role": "user", "content": [{"text": text}]}]


# ---- the official client


def test_boto3_converses(bedrock: FakeBedrock) -> None:
    answer = client(bedrock).converse(modelId=CLAUDE, messages=HI)
    assert answer["output"]["message"]["content"] == [{"text": WORDS}]
    assert answer["stopReason"] == "end_turn"
    assert answer["usage"] == {"inputTokens": 2, "outputTokens": 8, "totalTokens": 10}
    bill = bedrock.book.bills()[answer["ResponseMetadata"]["RequestId"]]
    assert (bill.model, bill.input, bill.output, bill.finished) == (CLAUDE, 2, 8, True)


def test_boto3_streams(bedrock: FakeBedrock) -> None:
    """No start of a text block, padding, and the metadata at the very end."""
    events = list(client(bedrock).converse_stream(modelId=CLAUDE, messages=HI)["stream"])
    assert [next(iter(event)) for event in events] == [
        "messageStart", *["contentBlockDelta"] * 8, "contentBlockStop", "messageStop", "metadata",
    ]  # fmt: skip
    assert events[-1]["metadata"]["usage"]["outputTokens"] == 8


def test_boto3_calls_tools(bedrock: FakeBedrock) -> None:
    there = client(bedrock)
    asked = say("[tool] please")
    first = there.converse(modelId=CLAUDE, messages=asked, toolConfig=TOOLS)
    assert first["stopReason"] == "tool_use"
    said = first["output"]["message"]
    call = said["content"][0]["toolUse"]
    assert (call["name"], call["input"]) == ("weather", {"city": "Bergen"})
    result = {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"json": {"t": 7}}]}}
    turns = [*asked, said, {"role": "user", "content": [result]}]
    last = there.converse(modelId=CLAUDE, messages=turns, toolConfig=TOOLS)
    assert last["stopReason"] == "end_turn"
    with pytest.raises(ClientError, match="toolConfig field must be defined"):
        there.converse(modelId=CLAUDE, messages=turns)


def test_boto3_sends_images_and_documents(bedrock: FakeBedrock) -> None:
    content: list[Value] = [
        {"image": {"format": "png", "source": {"bytes": b"\x89PNG"}}},
        {"document": {"format": "txt", "name": "a", "source": {"bytes": b"three short words"}}},
        {"text": "what is it"},
    ]
    asked = [{"role": "user", "content": content}]
    answer = client(bedrock).converse(modelId=CLAUDE, messages=asked)
    assert answer["usage"]["inputTokens"] == 50 + 3 + 3
    twice = [{"role": "user", "content": [content[1], *content]}]
    with pytest.raises(ClientError, match="duplicate document names"):
        client(bedrock).converse(modelId=CLAUDE, messages=twice)


def test_a_thought_is_taken_back_only_with_its_own_signature(bedrock: FakeBedrock) -> None:
    there = client(bedrock)
    more = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    first = there.converse(modelId=CLAUDE, messages=HI, additionalModelRequestFields=more)
    said = first["output"]["message"]
    assert "reasoningText" in said["content"][0]["reasoningContent"]
    there.converse(modelId=CLAUDE, messages=[*HI, said, *HI])
    said["content"][0]["reasoningContent"]["reasoningText"]["text"] += "!"
    with pytest.raises(ClientError, match="Invalid `signature`"):
        there.converse(modelId=CLAUDE, messages=[*HI, said, *HI])


def test_caches_are_counted_by_prefix(bedrock: FakeBedrock) -> None:
    """Written once, read afterwards, never both; another prefix is another entry."""
    there = client(bedrock)
    point = {"cachePoint": {"type": "default", "ttl": "1h"}}
    system = [{"text": LONG}, point]

    def usage(text: str, first: str = LONG) -> Value:
        told = [{"text": first}, *system[1:]]
        found = there.converse(modelId=CLAUDE, system=told, messages=say(text))["usage"]
        return {name: value for name, value in found.items() if name != "totalTokens"}

    assert usage("a b") == {
        "inputTokens": 2, "outputTokens": 8, "cacheReadInputTokens": 0,
        "cacheWriteInputTokens": 40, "cacheDetails": [{"ttl": "1h", "inputTokens": 40}],
    }  # fmt: skip
    assert usage("c") == {
        "inputTokens": 1, "outputTokens": 8, "cacheReadInputTokens": 40, "cacheWriteInputTokens": 0,
    }  # fmt: skip
    assert usage("c", f"{LONG} more")["cacheWriteInputTokens"] == 41
    with pytest.raises(ClientError, match="did not allow prompt caching"):
        there.converse(modelId="meta.llama3-8b", system=system, messages=HI)


def test_boto3_invokes_claude(bedrock: FakeBedrock) -> None:
    body: Value = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5,
                   "messages": [{"role": "user", "content": "hello there"}]}  # fmt: skip
    there = client(bedrock)
    answer = json.loads(there.invoke_model(modelId=CLAUDE, body=json.dumps(body))["body"].read())
    assert answer["stop_reason"] == "max_tokens"
    assert answer["usage"]["output_tokens"] == 5
    told = there.invoke_model_with_response_stream(
        modelId=CLAUDE, body=json.dumps(body), serviceTier="flex"
    )
    assert told["serviceTier"] == "flex"
    events = [json.loads(event["chunk"]["bytes"]) for event in told["body"]]
    assert events[0]["type"] == "message_start"
    assert events[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 5
    for wrong in ({"model": "x"}, {"stream": True}, {"mood": 1}, {"max_tokens": None}):
        with pytest.raises(ClientError) as refused:
            there.invoke_model(modelId=CLAUDE, body=json.dumps(body | wrong))
        assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_boto3_counts(bedrock: FakeBedrock) -> None:
    there = client(bedrock)
    asked: Value = {"converse": {"messages": HI}}
    assert there.count_tokens(modelId=MODEL, input=asked)["inputTokens"] == 2
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5,
            "messages": [{"role": "user", "content": "hello there"}]}  # fmt: skip
    asked = {"invokeModel": {"body": json.dumps(body).encode()}}
    assert there.count_tokens(modelId=MODEL, input=asked)["inputTokens"] == 2
    with pytest.raises(ClientError, match="doesn't support counting tokens"):
        there.count_tokens(modelId=CLAUDE, input=asked)
    assert all(bill.input == 0 for bill in bedrock.book.bills().values())


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("ThrottlingException", 429),
        ("ModelNotReadyException", 429),
        ("ServiceUnavailableException", 503),
        ("InternalServerException", 500),
        ("ModelErrorException", 424),
        ("ModelTimeoutException", 408),
        ("ValidationException", 400),
        ("AccessDeniedException", 403),
        ("ResourceNotFoundException", 404),
    ],
)
def test_boto3_sees_each_error_as_itself(bedrock: FakeBedrock, name: str, status: int) -> None:
    there = client(bedrock)
    bedrock.queue(CLAUDE, Script(exception=name, message="Not now."))
    with pytest.raises(getattr(there.exceptions, name)) as failed:
        there.converse(modelId=CLAUDE, messages=HI)
    assert failed.value.response["Error"] == {"Code": name, "Message": "Not now."}
    assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


@pytest.mark.parametrize(("how", "code"), [("exception", "modelStreamErrorException"),
                                           ("error", "ModelStreamErrorException")])  # fmt: skip
def test_boto3_sees_a_failure_in_a_stream(bedrock: FakeBedrock, how: Any, code: str) -> None:
    bedrock.queue(CLAUDE, Script(fails=Break(how=how, after=3, message="Boom.")))
    seen = []
    stream = client(bedrock).converse_stream(modelId=CLAUDE, messages=HI)["stream"]
    with contextlib.closing(stream), pytest.raises(EventStreamError) as failed:
        seen.extend(stream)
    assert failed.value.response["Error"]["Code"] == code
    assert failed.value.response["Error"]["Message"] == "Boom."
    assert len(seen) == 3


def test_boto3_sees_a_wrong_checksum(bedrock: FakeBedrock) -> None:
    bedrock.queue(CLAUDE, Script(fails=Break(how="garbage", after=2)))
    stream = client(bedrock).converse_stream(modelId=CLAUDE, messages=HI)["stream"]
    with contextlib.closing(stream), pytest.raises(ChecksumMismatch):
        list(stream)


def test_boto3_is_let_in_only_with_a_good_signature() -> None:
    temporary = Account("ASIATEMPORARY", "secret", "session", expires_at=time.time() + 60)
    expired = Account("ASIAEXPIRED", "secret", "session", expires_at=time.time() - 1)
    with FakeBedrock(accounts=(ACCOUNT, temporary, expired)) as bedrock:
        client(bedrock, temporary).converse(modelId=CLAUDE, messages=HI)
        for account, region, code in (
            (Account("AKIDNOBODY", "x"), "us-east-1", "UnrecognizedClientException"),
            (Account(ACCOUNT.access_key, "x"), "us-east-1", "InvalidSignatureException"),
            (ACCOUNT, "eu-west-1", "InvalidSignatureException"),
            (expired, "us-east-1", "ExpiredTokenException"),
        ):
            with pytest.raises(ClientError) as refused:
                client(bedrock, account, region).converse(modelId=CLAUDE, messages=HI)
            assert refused.value.response["Error"]["Code"] == code
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_clock_that_is_wrong_is_told() -> None:
    with FakeBedrock(now=lambda: time.time() + 600) as ahead:
        there = client(ahead)
        with pytest.raises(ClientError, match=r"Signature expired: .* is now earlier than"):
            there.converse(modelId=CLAUDE, messages=HI)


# ---- the plane's own adapter


@dataclass
class Answered:
    """What came of one call."""

    out: bytes
    tokens: int
    call: PlaneCall
    error: Upstream | None = None


def ask(name: OperationName, **body: Any) -> Ask:
    fields = msgspec.json.decode(json.dumps(body).encode(), type=dict[str, msgspec.Raw])
    found = Ask(OPERATIONS[name], fields, "m")
    dialect_of(found.operation.dialect).note(found)
    return found


KEYS = Credential("p#1", aws=(ACCOUNT.access_key, ACCOUNT.secret_key, ""))


def send(
    bedrock: FakeBedrock,
    asked: Ask,
    model: str = CLAUDE,
    credential: Credential = KEYS,
    **options: str,
) -> Answered:
    """As a worker does it, but on a blocking socket."""
    place = Place("t", model, "", {"region": "us-east-1", **options})
    made = prepare(asked, place, ADAPTER, may_drop=False)
    host = f"127.0.0.1:{bedrock.port}"
    headers = {"host": host, "content-type": "application/json", **dict(made.rendered.headers)}
    headers |= dict(credential.headers)
    if credential.aws is not None:
        assert ADAPTER.sign is not None
        headers |= dict(ADAPTER.sign(credential, b"POST", host, made.rendered, place, time.time()))
    connection = http.client.HTTPConnection("127.0.0.1", bedrock.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("POST", made.rendered.path, made.rendered.body, headers)
        with connection.getresponse() as response:
            return receive(response, asked, made)


def receive(response: http.client.HTTPResponse, asked: Ask, made: PlaneCall) -> Answered:
    if response.status >= 400:
        fields = {n.lower().encode(): v.encode() for n, v in response.getheaders()}
        error = ADAPTER.judge(response.status, fields, response.read(), "t")
        return Answered(b"", 0, made, error)
    if not asked.stream:
        out, tokens = made.reader.read_whole(response.read())
        return Answered(out, tokens, made)
    found, count, over = b"", 0, False
    while not over:
        piece = response.read1(7)
        out, tokens, over = made.reader.read(piece, whole=not piece)
        found, count = found + out, count + tokens
    return Answered(found, count, made, made.reader.failed)


CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello there"}]}
MESSAGES = CHAT | {"max_tokens": 100}
CACHED = {
    "model": "m",
    "max_tokens": 100,
    "system": [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "messages": [{"role": "user", "content": "hello there"}],
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("operation", "body", "model", "api"),
    [
        ("chat", CHAT, CLAUDE, "auto"),
        ("chat", CHAT, NOVA, "auto"),
        ("chat", CHAT, CLAUDE, "invoke"),
        ("chat", CHAT, "openai.gpt-oss-120b-1:0", "openai"),
        ("messages", MESSAGES, CLAUDE, "auto"),
        ("messages", MESSAGES, CLAUDE, "converse"),
        ("messages", MESSAGES, NOVA, "auto"),
        ("messages", MESSAGES, "openai.gpt-oss-120b-1:0", "openai"),
        ("messages", CACHED, CLAUDE, "auto"),
        ("messages", CACHED, CLAUDE, "converse"),
        ("responses", {"model": "m", "input": "hello there"}, CLAUDE, "auto"),
    ],
)
def test_what_the_adapter_counts_is_what_bedrock_bills(
    bedrock: FakeBedrock, operation: OperationName, body: Value, model: str, api: str, stream: bool
) -> None:
    """Twice, so that a cache is written and then read."""
    for _ in range(2):
        found = send(bedrock, ask(operation, **body, stream=stream), model, api=api)
        assert found.error is None
        assert "höhe".encode() not in found.out  # eight words only
        assert b"plane " in found.out or b"plane" in found.out
        usage = found.call.reader.usage
        bill = bedrock.book.rows()[-1]
        assert isinstance(bill, Bill)
        assert usage is not None
        assert (usage.input, usage.output, usage.cached) == (
            bill.total_input, bill.output, bill.cache_read,
        )  # fmt: skip
        detail = usage.detail or Detail()
        assert detail.cache_write_1h == bill.cache_write_1h
        assert detail.cache_write + detail.cache_write_1h == bill.cache_write
        assert not stream or found.tokens == 8


def test_a_count_reaches_bedrock_and_comes_back(bedrock: FakeBedrock) -> None:
    found = send(bedrock, ask("count_tokens", **CHAT))
    assert json.loads(found.out) == {"input_tokens": 2}
    found = send(bedrock, ask("count_tokens", **CHAT), api="converse")
    assert json.loads(found.out) == {"input_tokens": 2}


def test_embeddings_reach_bedrock_and_come_back(bedrock: FakeBedrock) -> None:
    for model in ("amazon.titan-embed-text-v2:0", "cohere.embed-english-v3",
                  "amazon.nova-2-multimodal-embeddings-v1:0"):  # fmt: skip
        found = send(bedrock, ask("embeddings", model="m", input="hello there"), model)
        assert json.loads(found.out)["data"][0]["embedding"]


def test_a_bearer_key_is_enough(bedrock: FakeBedrock) -> None:
    good = Credential("p#2", (("authorization", f"Bearer {BEARER}"),))
    assert send(bedrock, ask("chat", **CHAT), credential=good).error is None
    bad = Credential("p#3", (("authorization", "Bearer x"),))
    assert isinstance(send(bedrock, ask("chat", **CHAT), credential=bad).error, Denied)


@pytest.mark.parametrize(
    ("aws", "code"),
    [
        (("AKIDNOBODY", "x", ""), "UnrecognizedClientException"),
        ((ACCOUNT.access_key, "x", ""), "InvalidSignatureException"),
        ((ACCOUNT.access_key, ACCOUNT.secret_key, "x"), "UnrecognizedClientException"),
    ],
)
def test_refused_keys_are_denied_and_not_told_more(
    bedrock: FakeBedrock, aws: tuple[str, str, str], code: str
) -> None:
    error = send(bedrock, ask("chat", **CHAT), credential=Credential("p#1", aws=aws)).error
    assert isinstance(error, Denied)
    assert error.provider_code == code


def test_a_storm_of_throttling_is_seen_as_one(bedrock: FakeBedrock) -> None:
    storm = [Script(exception="ThrottlingException", message="Too many requests")] * 20
    bedrock.queue(CLAUDE, *storm)
    errors = [send(bedrock, ask("chat", **CHAT)).error for _ in storm]
    assert all(isinstance(error, RateLimited) for error in errors)
    assert send(bedrock, ask("chat", **CHAT)).error is None


def test_streams_cut_anywhere_never_look_whole(bedrock: FakeBedrock) -> None:
    """Shredded into random pieces they say the same; cut at a random byte they fail."""
    chance = random.Random(7)
    for asked in (ask("chat", **CHAT, stream=True), ask("messages", **MESSAGES, stream=True)):
        bedrock.queue(CLAUDE, Script(shred=3))
        whole = send(bedrock, asked)
        assert whole.error is None
        assert whole.tokens == 8
        for _ in range(10):
            bedrock.queue(CLAUDE, Script(cut_after=chance.randrange(1, 1200), shred=5))
            made: list[PlaneCall] = []
            try:
                found = send(bedrock, asked)
                made.append(found.call)
                assert found.error is not None
            except (OSError, http.client.HTTPException):
                pass  # the connection says so itself
            except Upstream as error:
                assert error.reason == "upstream-truncated"  # noqa: PT017
            assert not any(one.reader.finished for one in made)


def test_a_stall_can_be_left(bedrock: FakeBedrock) -> None:
    """The client goes; the book says that the answer was not finished, and what it cost."""
    bedrock.queue(CLAUDE, Script(fails=Break(how="stall", after=4)))
    place = Place("t", CLAUDE, "", {"region": "us-east-1"})
    made = prepare(ask("chat", **CHAT, stream=True), place, ADAPTER, may_drop=False)
    with socket.create_connection(("127.0.0.1", bedrock.port), timeout=10) as there:
        head = (
            f"POST {made.rendered.path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {BEARER}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(made.rendered.body)}\r\n\r\n"
        )
        there.sendall(head.encode() + made.rendered.body)
        assert bedrock.book.wait(lambda book: any(row.output == 3 for row in book.rows()))
    assert bedrock.book.wait(lambda book: book.rows()[-1].cancelled)
    assert bedrock.book.rows()[-1].output == 3


def test_no_metadata_is_no_usage_and_no_failure(bedrock: FakeBedrock) -> None:
    bedrock.queue(CLAUDE, Script(metadata="missing"))
    found = send(bedrock, ask("chat", **CHAT, stream=True))
    assert found.error is None
    assert found.tokens == 8
    assert found.call.reader.usage is None


def test_a_scripted_call_comes_as_it_was_written(bedrock: FakeBedrock) -> None:
    bedrock.queue(CLAUDE, Script(calls=[Call("look", {"x": 1}), Call("hear")], text="Well."))
    found = send(bedrock, ask("chat", **CHAT))
    message = json.loads(found.out)["choices"][0]["message"]
    assert message["content"] == "Well."
    told = [
        (one["function"]["name"], one["function"]["arguments"]) for one in message["tool_calls"]
    ]
    assert [(name, json.loads(arguments)) for name, arguments in told] == [
        ("look", {"x": 1}), ("hear", {}),
    ]  # fmt: skip
