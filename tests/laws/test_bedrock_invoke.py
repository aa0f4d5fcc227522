"""InvokeModel for Claude, Bedrock's OpenAI endpoint, counts and embeddings: calls and answers."""

import base64
import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.parts.errors import (
    BadRequest,
    ContextTooLong,
    Overloaded,
    ProtocolError,
    RateLimited,
    ServerError,
    Upstream,
)
from towplane.parts.usage import Detail, Usage
from towplane.providers.adapter import Call, Embeddings, Losses, Place
from towplane.providers.ask import OPERATIONS, Ask, OperationName
from towplane.providers.bedrock import ADAPTER
from towplane.providers.dialects import dialect_of
from towplane.providers.reader import Reader
from towplane.providers.translation import prepare
from towplane.testing.bedrock.frames import chunk_frame, event_frame, exception_frame

Value = dict[str, Any]

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "amazon.nova-pro-v1:0"
MESSAGES = [{"role": "user", "content": "hi"}]


def place(model: str = CLAUDE, **options: str) -> Place:
    return Place("t", model, "", {"region": "us-east-1", **options})


def ask(name: OperationName, **body: Any) -> Ask:
    fields = msgspec.json.decode(json.dumps(body).encode(), type=dict[str, msgspec.Raw])
    found = Ask(OPERATIONS[name], fields, "claude")
    dialect_of(found.operation.dialect).note(found)
    return found


def call(found: Ask, model: str = CLAUDE, **options: str) -> Call:
    return prepare(found, place(model, **options), ADAPTER, may_drop=False)


# ---- which way a request goes

WAYS = [
    # operation, model, api: path, whether it is framed as the client wants it
    ("messages", CLAUDE, "auto", "invoke"),
    ("messages", CLAUDE, "invoke", "invoke"),
    ("messages", CLAUDE, "converse", "converse"),
    ("messages", NOVA, "auto", "converse"),
    ("messages", NOVA, "invoke", "converse"),
    ("chat", CLAUDE, "auto", "converse"),
    ("chat", CLAUDE, "invoke", "invoke"),
    ("chat", NOVA, "invoke", "converse"),
    ("chat", NOVA, "converse", "converse"),
    ("responses", CLAUDE, "auto", "converse"),
]


@pytest.mark.parametrize(("operation", "model", "api", "action"), WAYS)
@pytest.mark.parametrize("stream", [False, True])
def test_the_way_of_a_request(
    operation: OperationName, model: str, api: str, action: str, stream: bool
) -> None:
    asked = {"input": "hi"} if operation == "responses" else {"messages": MESSAGES}
    made = call(ask(operation, model="m", max_tokens=9, stream=stream, **asked)
                if operation == "messages"
                else ask(operation, model="m", stream=stream, **asked), model, api=api)  # fmt: skip
    tail = {"invoke": "-with-response-stream", "converse": "-stream"}[action] if stream else ""
    assert made.rendered.path.endswith(f"/{action}{tail}")
    assert not made.is_native
    assert made.content_type == (b"text/event-stream" if stream else b"application/json")


@pytest.mark.parametrize(
    ("operation", "path"),
    [("chat", "/openai/v1/chat/completions"), ("responses", "/openai/v1/responses")],
)
def test_the_openai_endpoint_is_spoken_natively(operation: OperationName, path: str) -> None:
    asked = {"input": "hi"} if operation == "responses" else {"messages": MESSAGES}
    made = call(ask(operation, model="m", **asked), "openai.gpt-oss-120b-1:0", api="openai")
    assert made.reader.passes_through
    assert made.rendered.path == path
    body = json.loads(made.rendered.body)
    assert body["model"] == "openai.gpt-oss-120b-1:0"
    assert "service_tier" not in body


def test_the_documents_tier_goes_along_on_the_openai_endpoint() -> None:
    asked = ask("chat", model="m", messages=MESSAGES)
    made = call(asked, "openai.gpt-oss-120b-1:0", api="openai", service="flex")
    assert json.loads(made.rendered.body)["service_tier"] == "flex"
    assert "service_tier" not in asked.fields  # the same request may go elsewhere
    wish = ask("chat", model="m", messages=MESSAGES, service_tier="priority")
    made = call(wish, "openai.gpt-oss-120b-1:0", api="openai", service="flex")
    assert json.loads(made.rendered.body)["service_tier"] == "priority"


def test_messages_reach_the_openai_endpoint_as_chat() -> None:
    made = call(ask("messages", model="m", max_tokens=9, messages=MESSAGES), NOVA, api="openai")
    assert made.rendered.path == "/openai/v1/chat/completions"
    assert json.loads(made.rendered.body)["messages"] == MESSAGES


# ---- InvokeModel: what goes up


def test_a_messages_request_goes_up_as_it_came() -> None:
    asked = ask("messages", model="m", max_tokens=9, messages=MESSAGES, stream=True, later={"x": 1})
    asked.version_headers = {b"anthropic-beta": b"context-1m-2025-08-07"}
    made = call(asked)
    assert json.loads(made.rendered.body) == {
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["context-1m-2025-08-07"],
        "max_tokens": 9,
        "messages": MESSAGES,
        "later": {"x": 1},
    }
    assert made.rendered.headers == ()
    assert "model" in asked.fields


@pytest.mark.parametrize(
    ("wish", "default", "want"),
    [
        (None, "", ()),
        (None, "priority", "priority"),
        ("auto", "priority", "priority"),
        ("standard_only", "priority", "default"),
        ("auto", "", ()),
    ],
)
def test_the_tier_is_a_header(wish: str | None, default: str, want: Any) -> None:
    """In the body Bedrock refuses it."""
    more = {} if wish is None else {"service_tier": wish}
    made = call(ask("messages", model="m", max_tokens=9, messages=MESSAGES, **more),
                service=default)  # fmt: skip
    header = (("x-amzn-bedrock-service-tier", want),) if want else ()
    assert made.rendered.headers == header
    assert "service_tier" not in json.loads(made.rendered.body)


def test_chat_reaches_claude_by_invoke_where_the_document_wants_it() -> None:
    asked = ask("chat", model="m", messages=MESSAGES, max_tokens=9)
    made = call(asked, api="invoke", service="flex")
    body = json.loads(made.rendered.body)
    assert body["anthropic_version"] == "bedrock-2023-05-31"
    assert body["max_tokens"] == 9
    assert not body.keys() & {"model", "stream", "service_tier"}
    assert made.rendered.headers == (("x-amzn-bedrock-service-tier", "flex"),)


def test_a_tier_that_could_not_be_priced_is_refused() -> None:
    """The answer does not say it, and who parses it does not know the request."""
    asked = ask("chat", model="m", messages=MESSAGES, service_tier="flex")
    with pytest.raises(BadRequest) as refused:
        call(asked, api="invoke")
    assert refused.value.param == "service_tier"


# ---- InvokeModel: what comes down

START_USAGE = {"input_tokens": 7, "output_tokens": 1}


def start(usage: Value | None = START_USAGE) -> bytes:
    message: Value = {"id": "msg_1", "type": "message", "role": "assistant", "content": [],
                      "model": "m", "stop_reason": None}  # fmt: skip
    if usage is not None:
        message["usage"] = usage
    return chunk_frame({"type": "message_start", "message": message})


def grow(text: str) -> bytes:
    delta = {"type": "text_delta", "text": text}
    return chunk_frame({"type": "content_block_delta", "index": 0, "delta": delta})


OPEN = chunk_frame(
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
)
SHUT = chunk_frame({"type": "content_block_stop", "index": 0})


def end(usage: Value | None, metrics: Value | None) -> bytes:
    delta: Value = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    last: Value = {"type": "message_stop"}
    if usage is not None:
        delta["usage"] = usage
    if metrics is not None:
        last["amazon-bedrock-invocationMetrics"] = metrics
    return chunk_frame(delta) + chunk_frame(last)


METRICS = {"inputTokenCount": 7, "outputTokenCount": 5, "invocationLatency": 9,
           "firstByteLatency": 4}  # fmt: skip
CACHED = {"input_tokens": 7, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 50,
          "output_tokens": 1}  # fmt: skip
SPLIT = CACHED | {
    "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30}
}
CACHED_METRICS = METRICS | {"cacheReadInputTokenCount": 100, "cacheWriteInputTokenCount": 50}
BOTH = Detail(cache_write=20, cache_write_1h=30)

USAGES: list[tuple[str, bytes, Value | None, Value | None, Value, Usage | None]] = [
    ("both agree", start(), {"output_tokens": 5}, METRICS, {}, Usage(7, 5)),
    ("no metrics", start(), {"output_tokens": 5}, None, {}, Usage(7, 5)),
    ("only metrics", start(None), None, METRICS, {}, Usage(7, 5)),
    ("neither", start(None), None, None, {}, None),
    ("only the begin", start(), None, METRICS, {}, Usage(7, 5)),
    ("caches by the events", start(SPLIT), {"output_tokens": 5}, None, {},
     Usage(157, 5, 100, BOTH)),
    ("caches by the metrics", start(None), None, CACHED_METRICS, {},
     Usage(157, 5, 100, Detail(cache_write=50))),
    ("totals by the metrics, lifetimes by the events", start(SPLIT), {"output_tokens": 5},
     CACHED_METRICS, {}, Usage(157, 5, 100, BOTH)),
    ("caches that only the metrics know", start(), {"output_tokens": 5}, CACHED_METRICS, {},
     Usage(157, 5, 100, Detail(cache_write=50))),
    ("output by the metrics", start(), {"output_tokens": 3}, METRICS, {}, Usage(7, 5)),
    ("reasoning and searches stay", start(),
     {"output_tokens": 5, "output_tokens_details": {"thinking_tokens": 2},
      "server_tool_use": {"web_search_requests": 1}}, METRICS, {},
     Usage(7, 5, 0, Detail(reasoning=2, searches=1))),
    ("a tier", start(), {"output_tokens": 5}, METRICS, {"service": "flex"},
     Usage(7, 5, 0, Detail(service="flex"))),
    ("a tier and caches", start(SPLIT), {"output_tokens": 5}, CACHED_METRICS,
     {"service": "priority"},
     Usage(157, 5, 100, Detail(cache_write=20, cache_write_1h=30, service="priority"))),
    ("reserved", start(), {"output_tokens": 5}, METRICS, {"service": "reserved"},
     Usage(7, 5, 0, Detail(service="provisioned"))),
]  # fmt: skip


def reader(**options: str) -> Reader:
    return call(ask("messages", model="m", max_tokens=9, messages=MESSAGES, stream=True),
                **options).reader  # fmt: skip


def events_of(sse: bytes) -> list[Value]:
    found = []
    for block in sse.decode().split("\n\n"):
        if block:
            name, data = block.split("\n")
            value = json.loads(data.removeprefix("data: "))
            assert name == f"event: {value['type']}"
            found.append(value)
    return found


@pytest.mark.parametrize(
    ("name", "begin", "usage", "metrics", "options", "want"), USAGES, ids=[u[0] for u in USAGES]
)
def test_a_stream_of_chunks_is_anthropics_stream(
    name: str, begin: bytes, usage: Value | None, metrics: Value | None, options: dict[str, str],
    want: Usage | None,
) -> None:  # fmt: skip
    relay = reader(**options)
    stream = begin + OPEN + grow("hö") + grow("he") + SHUT + end(usage, metrics)
    out, tokens, ends = relay.read(stream, whole=False)
    assert ends
    assert relay.finished
    assert tokens == 2
    assert relay.usage == want
    told = events_of(out)
    assert [event["type"] for event in told] == [
        "message_start", "content_block_start", "content_block_delta", "content_block_delta",
        "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip
    assert told[-1] == {"type": "message_stop"}  # the metrics are no business of the client's
    assert "".join(event["delta"]["text"] for event in told[2:4]) == "höhe"


@pytest.mark.parametrize(
    ("name", "begin", "usage", "metrics", "options", "want"), USAGES, ids=[u[0] for u in USAGES]
)
def test_the_same_stream_for_a_client_of_chat(
    name: str, begin: bytes, usage: Value | None, metrics: Value | None, options: dict[str, str],
    want: Usage | None,
) -> None:  # fmt: skip
    made = call(ask("chat", model="m", messages=MESSAGES, stream=True), api="invoke", **options)
    stream = begin + OPEN + grow("hö") + grow("he") + SHUT + end(usage, metrics)
    out, tokens, ends = made.reader.read(stream, whole=False)
    assert ends
    assert tokens == 2
    assert made.reader.usage == want
    told = [json.loads(line[6:]) for line in out.decode().splitlines() if line[6:7] == "{"]
    said = [one["delta"].get("content") or "" for chunk in told for one in chunk["choices"]]
    assert "".join(said) == "höhe"


SAYING = (
    start() + OPEN + grow('he says "amazon-bedrock-invocationMetrics"') + SHUT
    + end({"output_tokens": 5}, METRICS)
)  # fmt: skip
STREAMS = [
    start(SPLIT) + OPEN + grow("hö") + grow("he 翼") + SHUT
    + end({"output_tokens": 5}, CACHED_METRICS),
    SAYING,
    start() + OPEN + grow("a") + exception_frame("ThrottlingException", {"message": "slow"}),
    start() + OPEN + grow("a"),
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(stream=st.sampled_from(STREAMS), places=st.lists(st.integers(0, 5_000), max_size=40))
def test_any_split_relays_the_same(stream: bytes, places: list[int]) -> None:
    """The same bytes, tokens, usage, end and failure."""
    borders = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    found = []
    for cuts in ([0, len(stream)], borders):
        relay, out, count, over = reader(), b"", 0, False
        for begin, stop in itertools.pairwise(cuts):
            if not over:
                data, tokens, over = relay.read(stream[begin:stop], whole=False)
                out, count = out + data, count + tokens
        if not over:
            data, tokens, over = relay.read(b"", whole=True)
            out, count = out + data, count + tokens
        failed = relay.failed.say if relay.failed is not None else None
        found.append((out, count, relay.usage, relay.finished, failed))
    assert found[0] == found[1]


def test_the_words_of_the_metrics_may_be_said() -> None:
    relay = reader()
    out, _, _ = relay.read(SAYING, whole=False)
    assert b"he says" in out
    assert relay.usage == Usage(7, 5)


FAILURES: list[tuple[str, Value, type[Upstream]]] = [
    ("ThrottlingException", {"message": "slow"}, RateLimited),
    ("ServiceUnavailableException", {"message": "down"}, Overloaded),
    ("InternalServerException", {"message": "down"}, ServerError),
    ("ModelTimeoutException", {"message": "slow"}, ServerError),
    ("ModelStreamErrorException", {"message": "x", "originalStatusCode": 529}, Overloaded),
    ("ValidationException", {"message": "prompt is too long: 9 tokens > 8 maximum"},
     ContextTooLong),
]  # fmt: skip


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(("name", "value", "error"), FAILURES)
def test_an_exception_in_a_stream_of_chunks(
    name: str, value: Value, error: type[Upstream], begun: bool
) -> None:
    relay = reader()
    frames = start() + OPEN + grow("a") if begun else b""
    out, tokens, ends = relay.read(frames + exception_frame(name, value), whole=False)
    assert ends
    assert type(relay.failed) is error
    assert not relay.is_told  # the gateway says it in the client's dialect
    assert tokens == begun
    assert b"exception" not in out.lower()


def test_anthropics_own_error_in_a_chunk() -> None:
    relay = reader()
    said = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    relay.read(start() + OPEN + grow("a"), whole=False)
    out, _, ends = relay.read(chunk_frame(said), whole=False)
    assert ends
    assert isinstance(relay.failed, Overloaded)
    assert relay.is_told == (b"overloaded_error" in out)


def test_a_stream_of_chunks_that_is_cut_is_not_taken_for_whole() -> None:
    relay = reader()
    relay.read(start() + OPEN + grow("a"), whole=False)
    relay.read(b"", whole=True)
    assert not relay.finished
    assert isinstance(relay.failed, ProtocolError)


@pytest.mark.parametrize(
    "frame",
    [
        event_frame("chunk", {"bytes": "not base64!"}),
        event_frame("chunk", {}),
        event_frame("chunk", {"bytes": base64.b64encode(b"[").decode()}),
        b"event: message_start\ndata: {}\n\n",
    ],
)
def test_a_chunk_that_is_none_is_a_protocol_error(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        reader().read(frame, whole=False)


def test_chunks_with_spaces_and_newlines_are_one_event_each() -> None:
    raw = (
        b'{\n  "type" : "content_block_delta", "index": 0,\r\n'
        b' "delta": {"type": "text_delta", "text": "a\\nb"}}'
    )
    data = event_frame("chunk", {"bytes": base64.b64encode(raw).decode()})
    out, tokens, _ = reader().read(start() + OPEN + data, whole=False)
    assert tokens == 1
    assert events_of(out)[-1]["delta"]["text"] == "a\nb"


def test_an_answer_in_one_piece_passes_as_it_is() -> None:
    body = json.dumps({"id": "msg_1", "type": "message", "content": [], "usage": SPLIT}).encode()
    relay = call(ask("messages", model="m", max_tokens=9, messages=MESSAGES), service="flex").reader
    assert relay.read_whole(body) == (body, 0)
    assert relay.usage == Usage(
        157, 1, 100, Detail(cache_write=20, cache_write_1h=30, service="flex")
    )
    other = call(ask("messages", model="m", max_tokens=9, messages=MESSAGES)).reader
    other.read_tail(body[-300:])
    assert other.usage == Usage(157, 1, 100, BOTH)


# ---- counts


def test_a_count_of_anthropics_asks_for_the_clients_own_request() -> None:
    made = call(ask("count_tokens", model="m", messages=MESSAGES, system="s"))
    assert made.rendered.path == "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/count-tokens"
    body = json.loads(made.rendered.body)
    inner = json.loads(base64.b64decode(body["input"]["invokeModel"]["body"]))
    assert inner == {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1,
                     "messages": MESSAGES, "system": "s"}  # fmt: skip
    assert made.reader.read_whole(b'{"inputTokens":42}') == (b'{"input_tokens":42}', 0)
    assert not made.is_native
    assert not made.reader.passes_through


def test_a_count_for_other_models_goes_by_converse() -> None:
    made = call(ask("count_tokens", model="m", messages=MESSAGES), NOVA)
    assert "converse" in json.loads(made.rendered.body)["input"]
    assert json.loads(made.reader.read_whole(b'{"inputTokens":42}')[0]) == {"input_tokens": 42}


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"inputTokens":"x"}'])
def test_a_count_that_is_none_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        call(ask("count_tokens", model="m", messages=MESSAGES)).reader.read_whole(body)


# ---- embeddings

TITAN_1, TITAN_2 = "amazon.titan-embed-text-v1", "amazon.titan-embed-text-v2:0"
NOVA_EMBEDS = "amazon.nova-2-multimodal-embeddings-v1:0"
COHERE_3, COHERE_4 = "cohere.embed-multilingual-v3", "us.cohere.embed-v4:0"


@pytest.mark.parametrize(
    ("model", "asked", "want"),
    [
        (TITAN_1, Embeddings(["a"]), {"inputText": "a"}),
        (TITAN_2, Embeddings(["a"], dimensions=256), {"inputText": "a", "dimensions": 256}),
        (COHERE_3, Embeddings(["a", "b"]), {"texts": ["a", "b"], "input_type": "search_document"}),
        (COHERE_4, Embeddings(["a"], dimensions=256),
         {"texts": ["a"], "input_type": "search_document", "output_dimension": 256}),
        (NOVA_EMBEDS, Embeddings(["a"], dimensions=384),
         {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": {
             "embeddingPurpose": "GENERIC_INDEX", "embeddingDimension": 384,
             "text": {"truncationMode": "NONE", "value": "a"}}}),
    ],
)  # fmt: skip
def test_embeddings_go_up(model: str, asked: Embeddings, want: Value) -> None:
    assert ADAPTER.render_embeddings is not None
    rendered = ADAPTER.render_embeddings(asked, place(model), Losses(may_drop=False))
    assert rendered.path.endswith("/invoke")
    assert json.loads(rendered.body) == want


@pytest.mark.parametrize(
    ("model", "asked", "param", "say"),
    [
        (TITAN_2, Embeddings(["a", "b"]), "input", "Send one text in each request"),
        (NOVA_EMBEDS, Embeddings(["a", "b"]), "input", "Send one text in each request"),
        (COHERE_3, Embeddings(["a"] * 97), "input", "at most 96"),
        (TITAN_2, Embeddings([[1, 2]]), "input", "Send the texts themselves"),
        (TITAN_1, Embeddings(["a"], dimensions=256), "dimensions", "Leave it out"),
        (COHERE_3, Embeddings(["a"], dimensions=256), "dimensions", "Leave it out"),
        (COHERE_3, Embeddings(["a"], user="u"), "user", "Leave it out"),
        (CLAUDE, Embeddings(["a"]), "model", "Ask a model that embeds"),
    ],
)
def test_embeddings_that_cannot_be_asked_for(
    model: str, asked: Embeddings, param: str, say: str
) -> None:
    assert ADAPTER.render_embeddings is not None
    with pytest.raises(BadRequest) as refused:
        ADAPTER.render_embeddings(asked, place(model), Losses(may_drop=False))
    assert refused.value.param == param
    assert say in refused.value.next_step


@pytest.mark.parametrize(
    ("body", "vectors", "usage"),
    [
        ({"embedding": [0.5, 1], "inputTextTokenCount": 3}, [[0.5, 1.0]], Usage(3)),
        ({"embedding": [0.5], "inputTextTokenCount": 3, "embeddingsByType": {"float": [0.5]}},
         [[0.5]], Usage(3)),
        ({"id": "1", "texts": ["a"], "embeddings": [[0.5], [1]],
          "response_type": "embeddings_floats"}, [[0.5], [1.0]], None),
        ({"id": "1", "embeddings": {"float": [[0.5]]}, "response_type": "embeddings_by_type"},
         [[0.5]], None),
        ({"embeddings": [{"embeddingType": "TEXT", "embedding": [0.5]}]}, [[0.5]], None),
    ],
)  # fmt: skip
def test_embeddings_come_down(body: Value, vectors: list[list[float]], usage: Usage | None) -> None:
    """Usage that only a header tells is unknown, not 0."""
    assert ADAPTER.read_embeddings is not None
    found = ADAPTER.read_embeddings(json.dumps(body).encode())
    assert found.vectors == vectors
    assert found.usage == usage


@pytest.mark.parametrize("body", [b"", b"{}", b'{"embedding":"x"}', b'{"embeddings":[{}]}'])
def test_embeddings_that_are_none_are_protocol_errors(body: bytes) -> None:
    assert ADAPTER.read_embeddings is not None
    with pytest.raises(ProtocolError):
        ADAPTER.read_embeddings(body)
