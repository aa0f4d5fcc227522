"""Events as Messages: what the client gets, block by block; and the official client reads it."""

import json
from typing import Any, NamedTuple

import anthropic
import httpx2
import msgspec
import pytest

from towplane.parts.errors import (
    BadRequest,
    ContextTooLong,
    NoTarget,
    OverBudget,
    Overloaded,
    PlaneError,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    Saturated,
    ServerError,
    TimedOut,
    TooLarge,
    Unauthorised,
)
from towplane.parts.usage import Detail, Usage
from towplane.providers.conversation.answer import (
    CallBegins,
    CallGrows,
    Cited,
    Ended,
    Event,
    Finish,
    LogProbs,
    PartEnds,
    RedactedThought,
    RefusalGrows,
    Signed,
    Started,
    TextGrows,
    ThoughtGrows,
    Used,
)
from towplane.providers.dialects.messages import (
    MessagesWriter,
    error_body,
    error_event,
    normal_usage,
    read,
    wire_usage,
)

CITATION = {"type": "char_location", "cited_text": "x", "document_index": 0}


class Case(NamedTuple):
    name: str
    events: list[Event]
    content: list[dict[str, Any]]
    stop: str = "end_turn"
    sequence: str | None = None


CASES = [
    Case("text", [TextGrows("a"), TextGrows("b"), Ended("stop")], [{"type": "text", "text": "ab"}]),
    Case("nothing", [Ended("stop")], []),
    Case(
        "a part that ends begins another block",
        [TextGrows("a"), PartEnds(), TextGrows("b"), PartEnds(), Ended("stop")],
        [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
    ),
    Case(
        "a thought, signed",
        [ThoughtGrows("h"), ThoughtGrows("m"), Signed("s"), TextGrows("a"), Ended("stop")],
        [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "a"},
        ],
    ),
    Case(
        "a thought that nobody signed",
        [ThoughtGrows("hm"), TextGrows("a"), Ended("stop")],
        [{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "text", "text": "a"}],
    ),
    Case(
        "a thought that is not shown",
        [Signed("s"), PartEnds(), TextGrows("a"), Ended("stop")],
        [{"type": "thinking", "thinking": "", "signature": "s"}, {"type": "text", "text": "a"}],
    ),
    Case(
        "a thought that cannot be read, between texts",
        [TextGrows("a"), RedactedThought("d"), TextGrows("b"), Ended("stop")],
        [
            {"type": "text", "text": "a"},
            {"type": "redacted_thinking", "data": "d"},
            {"type": "text", "text": "b"},
        ],
    ),
    Case(
        "calls, one after the other, end a turn that said `stop`",
        [
            CallBegins(0, "c1", "f"),
            CallGrows(0, '{"x":'),
            CallGrows(0, "1}"),
            CallBegins(1, "c2", "g"),
            CallGrows(1, "{}"),
            Ended("stop"),
        ],
        [
            {"type": "tool_use", "id": "c1", "name": "f", "input": {"x": 1}},
            {"type": "tool_use", "id": "c2", "name": "g", "input": {}},
        ],
        "tool_use",
    ),
    Case(
        "a call that grows by nothing",
        [CallBegins(0, "c1", "f"), Ended("tool_calls")],
        [{"type": "tool_use", "id": "c1", "name": "f", "input": {}}],
        "tool_use",
    ),
    Case(
        "a call with a signature of its own",
        [CallBegins(0, "c1", "f", "s"), CallGrows(0, "{}"), Ended("tool_calls")],
        [
            {"type": "thinking", "thinking": "", "signature": "towplane.call:s"},
            {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
        ],
        "tool_use",
    ),
    Case(
        "a signature right before its call",
        [TextGrows("a"), Signed("s"), CallBegins(0, "c1", "f"), Ended("tool_calls")],
        [
            {"type": "text", "text": "a"},
            {"type": "thinking", "thinking": "", "signature": "towplane.call:s"},
            {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
        ],
        "tool_use",
    ),
    Case(
        "a source",
        [TextGrows("a"), Cited(msgspec.Raw(json.dumps(CITATION).encode())), Ended("stop")],
        [{"type": "text", "text": "a", "citations": [CITATION]}],
    ),
    Case(
        "a refusal is text that says so at its end",
        [RefusalGrows("No"), RefusalGrows("."), Ended("refusal")],
        [{"type": "text", "text": "No."}],
        "refusal",
    ),
    Case(
        "other choices and log probabilities are passed over",
        [
            TextGrows("a"),
            TextGrows("z", 1),
            ThoughtGrows("z", 1),
            LogProbs([]),
            TextGrows("b"),
            Ended("stop"),
            Ended("length", choice=1),
        ],
        [{"type": "text", "text": "ab"}],
    ),
    Case(
        "a stop sequence",
        [TextGrows("a"), Ended("stop_sequence", "##")],
        [{"type": "text", "text": "a"}],
        "stop_sequence",
        "##",
    ),
    Case(
        "letters that JSON escapes",
        [TextGrows('"\\\n\u2028höhe 翼'), Ended("stop")],
        [{"type": "text", "text": '"\\\n\u2028höhe 翼'}],
    ),
]
cases = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def streamed(events: list[Event], *, each: bool = False) -> bytes:
    writer = MessagesWriter("claude", 7)
    begun: list[Event] = [Started("msg_1", "m")]
    if not each:
        return writer.stream(begun + events) + writer.end()
    return b"".join(writer.stream([one]) for one in begun + events) + writer.end()


def official(payload: bytes, *, stream: bool) -> Any:
    """What the official client makes of an answer; no socket is opened."""

    def answer(_request: httpx2.Request) -> httpx2.Response:
        kind = "text/event-stream" if stream else "application/json"
        return httpx2.Response(200, content=payload, headers={"content-type": kind})

    http = anthropic.DefaultHttpxClient(transport=httpx2.MockTransport(answer))
    client: Any = anthropic.Anthropic(api_key="k", http_client=http, max_retries=0)
    ask = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    with client:
        if not stream:
            return client.messages.create(**ask)
        with client.messages.stream(**ask) as found:
            return found.get_final_message()


@cases
def test_the_official_client_reads_the_stream(case: Case) -> None:
    message = official(streamed(case.events), stream=True)
    got = [block.model_dump(exclude_none=True) for block in message.content]
    for block in got:
        block.pop("parsed_output", None)
    assert got == case.content
    assert (message.stop_reason, message.stop_sequence) == (case.stop, case.sequence)
    assert (message.id, message.model, message.role) == ("msg_1", "m", "assistant")


@cases
def test_the_official_client_reads_the_whole_message(case: Case) -> None:
    body = MessagesWriter("claude", 7).whole([Started("msg_1", "m"), *case.events])
    message = official(body, stream=False)
    assert [block.model_dump(exclude_none=True) for block in message.content] == case.content
    assert (message.stop_reason, message.stop_sequence) == (case.stop, case.sequence)


@cases
def test_events_may_come_one_by_one_or_together(case: Case) -> None:
    assert streamed(case.events) == streamed(case.events, each=True)


@cases
def test_block_indexes_count_from_zero_and_blocks_do_not_overlap(case: Case) -> None:
    opened: int | None = None
    last = -1
    for line in streamed(case.events).split(b"\n"):
        if not line.startswith(b"data: "):
            continue
        data = json.loads(line[6:])
        match data["type"]:
            case "content_block_start":
                assert (opened, data["index"]) == (None, last + 1)
                opened = last = data["index"]
            case "content_block_delta":
                assert data["index"] == opened
            case "content_block_stop":
                assert data["index"] == opened
                opened = None
    assert opened is None


@pytest.mark.parametrize(
    ("finish", "stop"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("context_full", "model_context_window_exceeded"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
        ("pause", "pause_turn"),
        ("malformed", "end_turn"),
        ("other", "end_turn"),
    ],
)
def test_every_end_has_its_word(finish: Finish, stop: str) -> None:
    assert f'"stop_reason":"{stop}"'.encode() in streamed([TextGrows("a"), Ended(finish)])


USAGES = [
    Usage(10, 5),
    Usage(10, 5, 10),
    Usage(4096, 503, 1800, Detail(cache_write=148, cache_write_1h=100)),
    Usage(10, 50, 0, Detail(reasoning=40, searches=2)),
    Usage(10, 50, 0, Detail(service="priority")),
    Usage(10, 50, 0, Detail(service="batch")),
    Usage(10, 50, 0, Detail(service="fast")),
]


@pytest.mark.parametrize("usage", USAGES)
def test_the_books_are_the_same_after_both_ways(usage: Usage) -> None:
    assert normal_usage(wire_usage(usage)) == usage


def test_cached_input_stands_beside_the_rest() -> None:
    usage = Usage(100, 5, 60, Detail(cache_write=30, cache_write_1h=4))
    message = official(streamed([TextGrows("a"), Ended("stop"), Used(usage)]), stream=True)
    books = message.usage
    assert books.input_tokens == 6
    assert (books.cache_read_input_tokens, books.cache_creation_input_tokens) == (60, 34)
    assert books.output_tokens == 5


def test_what_is_told_early_stands_in_the_begin() -> None:
    out = streamed([Used(Usage(50, 1, 20), is_final=False), TextGrows("a"), Ended("stop")])
    begin = json.loads(out.split(b"data: ")[1].split(b"\n")[0])
    assert begin["message"]["usage"]["input_tokens"] == 30


def test_without_usage_the_client_gets_what_was_counted() -> None:
    """Messages cannot leave it out; the ledger knows better that it is an estimate."""
    message = official(streamed([TextGrows("a"), TextGrows("b"), Ended("stop")]), stream=True)
    assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 2)


def test_a_call_that_was_cut_keeps_no_half_of_its_input() -> None:
    events: list[Event] = [CallBegins(0, "c", "f"), CallGrows(0, '{"x": "ha'), Ended("length")]
    body = json.loads(MessagesWriter("m").whole(events))
    assert body["content"][0]["input"] == {}
    assert body["stop_reason"] == "max_tokens"


def test_a_call_that_is_broken_is_the_targets_failure() -> None:
    events: list[Event] = [CallBegins(0, "c", "f"), CallGrows(0, "[1]"), Ended("tool_calls")]
    with pytest.raises(ProtocolError, match="`f`"):
        MessagesWriter("m").whole(events)


def test_a_signature_of_a_call_comes_back_to_its_call() -> None:
    """Gemini wants it with the call; Messages has a place for it in a thought only."""
    events: list[Event] = [CallBegins(0, "c", "f", "s1"), CallGrows(0, "{}"), Ended("tool_calls")]
    body = json.loads(MessagesWriter("m").whole(events))
    turn = [{"role": "assistant", "content": body["content"]}]
    fields = {"messages": msgspec.Raw(json.dumps(turn).encode())}
    (part,) = read(fields).messages[0].parts
    assert (part.id, part.signature) == ("c", "s1")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadRequest("x"), "invalid_request_error"),
        (TooLarge("x"), "request_too_large"),
        (Unauthorised("x"), "authentication_error"),
        (OverBudget("x"), "billing_error"),
        (Saturated("x"), "rate_limit_error"),
        (RateLimited("x"), "rate_limit_error"),
        (QuotaExhausted("x"), "rate_limit_error"),
        (Overloaded("x"), "overloaded_error"),
        (NoTarget("x"), "overloaded_error"),
        (TimedOut("x"), "timeout_error"),
        (ServerError("x"), "api_error"),
        (ProtocolError("x"), "api_error"),
    ],
)
def test_errors_have_anthropics_shape(error: PlaneError, kind: str) -> None:
    want = {"type": "error", "error": {"type": kind, "message": "x"}, "request_id": None}
    assert json.loads(error_body(error)) == want
    assert error_event(error) == b"event: error\ndata: " + error_body(error) + b"\n\n"


def test_a_context_that_is_too_long_is_said_in_the_words_that_clients_look_for() -> None:
    error = ContextTooLong("This model's maximum context length is 8192 tokens.")
    assert json.loads(error_body(error))["error"]["message"].startswith("prompt is too long: ")


def test_the_providers_request_id_is_passed_on() -> None:
    error = ServerError("x")
    error.details = {"request_id": "req_1"}
    assert json.loads(error_body(error))["request_id"] == "req_1"
