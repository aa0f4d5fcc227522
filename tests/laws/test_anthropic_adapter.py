"""The adapter of Anthropic: what goes up, what comes back, what an error and a limit mean."""

import json
from typing import Any, NamedTuple

import msgspec
import pytest

from towplane.parts.errors import (
    ContextTooLong,
    Denied,
    Filtered,
    Overloaded,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    Rejected,
    ServerError,
    Unavailable,
    Upstream,
)
from towplane.parts.usage import Usage
from towplane.providers.adapter import Allowance, Losses, Place
from towplane.providers.adapters import adapter_of
from towplane.providers.ask import OPERATIONS, Ask
from towplane.providers.conversation.answer import Failed, TextGrows
from towplane.providers.conversation.request import Conversation, Message, Text
from towplane.providers.dialects import messages
from towplane.providers.dialects.messages import MessagesRelay
from towplane.providers.translation import prepare

ADAPTER = adapter_of("anthropic")
PLACE = Place("claude/opus", "claude-opus-4-8")
HI = [{"role": "user", "content": "hi"}]


def ask_of(operation: str = "messages", *, headers: dict[bytes, bytes] | None = None) -> Ask:
    body = {"model": "m", "max_tokens": 5, "messages": HI, "later": [1]}
    fields = msgspec.json.decode(json.dumps(body), type=dict[str, msgspec.Raw])
    ask = Ask(OPERATIONS[operation], fields, "m")  # type: ignore[index]  # a name of ours
    ask.version_headers = headers or {}
    return ask


# What goes up


def test_messages_go_through_as_they_came() -> None:
    call = prepare(ask_of(), PLACE, ADAPTER, may_drop=False)
    assert (call.is_native, call.rendered.path) == (True, "/v1/messages")
    assert json.loads(call.rendered.body) == {
        "model": "claude-opus-4-8", "max_tokens": 5, "messages": HI, "later": [1],
    }  # fmt: skip
    assert call.rendered.headers == (("anthropic-version", "2023-06-01"),)
    assert isinstance(call.reader, MessagesRelay)


def test_the_clients_version_and_betas_are_its_own() -> None:
    said = {b"anthropic-version": b"2026-10-21", b"anthropic-beta": b"a,b"}
    call = prepare(ask_of(headers=said), PLACE, ADAPTER, may_drop=False)
    assert call.rendered.headers == (
        ("anthropic-version", "2026-10-21"),
        ("anthropic-beta", "a,b"),
    )


def test_a_count_goes_through_and_costs_nothing() -> None:
    call = prepare(ask_of("count_tokens"), PLACE, ADAPTER, may_drop=False)
    assert call.rendered.path == "/v1/messages/count_tokens"
    assert call.reader.read_whole(b'{"input_tokens":7}') == (b'{"input_tokens":7}', 0)
    assert call.reader.usage == Usage(0)


def test_a_chat_is_rendered_and_its_answer_written_as_chat() -> None:
    call = prepare(ask_of("chat"), PLACE, ADAPTER, may_drop=True)
    assert (call.is_native, call.rendered.path) == (False, "/v1/messages")
    body = json.loads(call.rendered.body)
    assert body["model"] == "claude-opus-4-8"
    answer = {
        "type": "message",
        "id": "msg_1",
        "model": "claude-opus-4-8",
        "content": [{"type": "text", "text": "hello"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 2},
    }
    out, _ = call.reader.read_whole(json.dumps(answer).encode())
    said = json.loads(out)
    assert said["choices"][0]["message"]["content"] == "hello"
    assert said["usage"]["prompt_tokens"] == 7
    assert call.reader.usage == Usage(7, 2, 4)


def test_tokens_of_a_conversation_are_counted() -> None:
    assert ADAPTER.render_count is not None
    assert ADAPTER.read_count is not None
    conversation = Conversation([Message("user", [Text("hi")])])
    rendered = ADAPTER.render_count(conversation, PLACE, Losses(may_drop=False))
    assert rendered.path == "/v1/messages/count_tokens"
    assert set(json.loads(rendered.body)) == {"model", "messages"}
    assert ADAPTER.read_count(b'{"input_tokens":12,"new":1}') == 12
    with pytest.raises(ProtocolError):
        ADAPTER.read_count(b"{}")


# What an error means


class Case(NamedTuple):
    status: int
    said: str
    message: str
    kind: type[Upstream]
    code: str = ""
    """`error.details.error_code`."""


CASES = [
    Case(400, "invalid_request_error", "max_tokens: Field required", Rejected),
    Case(400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum",
         ContextTooLong),
    Case(400, "invalid_request_error", "Prompt is too long", ContextTooLong),
    Case(400, "invalid_request_error", "input length and `max_tokens` exceed context limit: "
         "178959 + 64000 > 200000, decrease input length or `max_tokens` and try again",
         ContextTooLong),
    Case(400, "invalid_request_error", "Your credit balance is too low to access the Anthropic "
         "API. Please go to Plans & Billing to upgrade or purchase credits.", QuotaExhausted),
    Case(400, "invalid_request_error", "You have reached your specified API usage limits. You "
         "will regain access on 2026-12-01 at 00:00 UTC.", QuotaExhausted),
    Case(400, "invalid_request_error", "Output blocked by content filtering policy", Filtered),
    Case(401, "authentication_error", "invalid x-api-key", Denied),
    Case(402, "billing_error", "There is an issue with your payment information.", QuotaExhausted),
    Case(403, "permission_error", "Your API key may not use this model.", Denied),
    Case(404, "not_found_error", "model: claude-none", Unavailable),
    Case(404, "not_found_error", "file: file_1 not found", Rejected),
    Case(409, "conflict_error", "Another request changes it.", ServerError),
    Case(413, "request_too_large", "Request exceeds the maximum size", Rejected),
    Case(429, "rate_limit_error", "This request would exceed your rate limit of 50 requests per "
         "minute.", RateLimited),
    Case(429, "rate_limit_error", "Ramp", RateLimited, "ramp_limit_exceeded"),
    Case(429, "rate_limit_error", "Spent", QuotaExhausted, "enforced_spend_limit_reached"),
    Case(403, "permission_error", "Off", QuotaExhausted, "linked_organization_billing_unavailable"),
    Case(500, "api_error", "Internal server error", ServerError),
    Case(503, "overloaded_error", "Overloaded", Overloaded),
    Case(504, "timeout_error", "The request timed out.", ServerError),
    Case(529, "overloaded_error", "Overloaded", Overloaded),
    Case(500, "overloaded_error", "the type goes before the status", Overloaded),
    Case(400, "brand_new_error", "an unknown type says nothing, the status does", Rejected),
    Case(429, "<nil>", "of another gateway on the way", RateLimited),
    Case(422, "brand_new_error", "x", Rejected),
    Case(502, "brand_new_error", "x", ServerError),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.status} {case.message[:40]}")
def test_errors_are_what_they_say(case: Case) -> None:
    error: dict[str, Any] = {"type": case.said, "message": case.message}
    if case.code:
        error["details"] = {"error_code": case.code}
    body = json.dumps({"type": "error", "error": error, "request_id": "req_1"}).encode()
    judged = ADAPTER.judge(case.status, {b"retry-after": b"7"}, body, "claude")
    assert type(judged) is case.kind
    assert (judged.status, judged.body, judged.after_s) == (case.status, body, 7.0)
    assert judged.provider_code == case.code or judged.provider_code == case.said
    assert case.message in judged.say
    assert judged.details["request_id"] == "req_1"
    assert judged.reason.startswith("upstream-")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Rejected), (401, Denied), (403, Denied), (404, Rejected), (408, ServerError),
     (413, Rejected), (418, Rejected), (429, RateLimited), (500, ServerError), (502, ServerError),
     (503, Overloaded), (529, Overloaded)],
)  # fmt: skip
@pytest.mark.parametrize("body", [b"", b"<html>gone</html>", b'"x"', b'{"error":"x"}', b"\xff"])
def test_an_edge_without_json_is_judged_by_its_status(
    status: int, kind: type[Upstream], body: bytes
) -> None:
    judged = ADAPTER.judge(status, {b"request-id": b"req_2"}, body, "claude")
    assert type(judged) is kind
    assert judged.say == f"claude answered {status}."
    assert judged.details["request_id"] == "req_2"


def test_no_key_and_no_novel_stands_in_an_error() -> None:
    message = "bad key sk-ant-api03-SECRET_1-x, Authorization: Bearer abc.def " + "x" * 5000
    body = json.dumps({"type": "error", "error": {"type": "api_error", "message": message}})
    judged = ADAPTER.judge(500, {}, body.encode(), "claude")
    assert "SECRET" not in judged.say
    assert "abc.def" not in judged.say
    assert len(judged.say) < 500


# Failures inside a stream


def event(kind: str, **data: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | data)}\n\n".encode()


START = event("message_start", message={"usage": {"input_tokens": 9, "output_tokens": 1}})
OPEN = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
TOKEN = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "a"})
IN_STREAM = [
    ("overloaded_error", Overloaded),
    ("api_error", ServerError),
    ("rate_limit_error", RateLimited),
    ("invalid_request_error", Rejected),
    ("authentication_error", Denied),
    ("timeout_error", ServerError),
    ("brand_new_error", ServerError),
]


def failing(kind: str) -> bytes:
    return event("error", error={"type": kind, "message": "Overloaded"}, request_id="req_3")


@pytest.mark.parametrize(("kind", "want"), IN_STREAM)
def test_a_failure_before_the_first_token_is_kept_from_the_client(
    kind: str, want: type[Upstream]
) -> None:
    """Until then another target may be tried."""
    reader = MessagesRelay("claude")
    assert reader.read(START + OPEN + failing(kind), whole=False) == (START + OPEN, 0, True)
    assert type(reader.failed) is want
    assert not reader.is_told
    assert reader.failed.status is None
    assert reader.begun == Usage(9, 1)
    assert reader.usage is None


def test_a_failure_in_words_that_no_client_reads_is_told_anew() -> None:
    """A cloud puts its own error into the stream: clients look for `event: error`."""
    reader = MessagesRelay("claude")
    begun = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "hi"})
    cloud = b'data: {"error": {"code": 503, "message": "no", "status": "UNAVAILABLE"}}\n\n'
    out, tokens, ends = reader.read(begun + cloud, whole=False)
    assert (out, tokens, ends) == (begun, 1, True)
    assert reader.failed is not None
    assert not reader.is_told


@pytest.mark.parametrize(("kind", "want"), IN_STREAM)
def test_a_failure_after_it_is_told_in_its_own_words(kind: str, want: type[Upstream]) -> None:
    reader = MessagesRelay("claude")
    reader.read(START + OPEN + TOKEN, whole=False)
    out, tokens, ends = reader.read(TOKEN + failing(kind) + TOKEN, whole=False)
    assert (out, tokens, ends) == (TOKEN + failing(kind), 1, True)
    assert type(reader.failed) is want
    assert reader.is_told


@pytest.mark.parametrize(("kind", "want"), IN_STREAM)
def test_a_failure_in_a_translated_stream_is_an_event(kind: str, want: type[Upstream]) -> None:
    parser = messages.make_parser("claude")
    events = parser.feed(START + OPEN + TOKEN + failing(kind) + TOKEN)
    assert events[-2] == TextGrows("a")
    assert isinstance(events[-1], Failed)
    assert type(events[-1].error) is want
    assert events[-1].error.provider_code == kind
    assert parser.is_done


def test_an_error_in_place_of_an_answer_is_a_failure() -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    with pytest.raises(Overloaded):
        MessagesRelay("claude").read_whole(body)
    (event_,) = messages.make_parser("claude").whole(body)
    assert isinstance(event_, Failed)


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"\xff\xfe", b"<html>", b'{"content":3}'])
def test_what_is_no_message_is_a_broken_protocol(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        MessagesRelay("claude").read_whole(body)
    with pytest.raises(ProtocolError):
        messages.make_parser("claude").whole(body)


def test_what_is_no_json_in_a_stream_is_a_broken_protocol() -> None:
    broken = b"event: content_block_delta\ndata: {broken\n\n"
    reader = MessagesRelay("claude")
    out, tokens, ends = reader.read(START + OPEN + TOKEN + broken, whole=False)
    assert (out, tokens, ends) == (START + OPEN + TOKEN, 1, True)
    assert isinstance(reader.failed, ProtocolError)
    with pytest.raises(ProtocolError):
        messages.make_parser("claude").feed(broken)


def test_an_event_without_end_is_not_kept_for_ever() -> None:
    piece = b"data: " + b"x" * (3 * 1024 * 1024)
    reader, parser = MessagesRelay("t"), messages.make_parser("t")
    reader.read(piece, whole=False)
    parser.feed(piece)
    with pytest.raises(ProtocolError, match="longer than 4 MiB"):
        reader.read(piece, whole=False)
    with pytest.raises(ProtocolError, match="longer than 4 MiB"):
        parser.feed(piece)


# What limits say


FULL = {
    b"date": b"Thu, 21 Aug 2025 12:41:00 GMT",
    b"anthropic-ratelimit-requests-limit": b"1000",
    b"anthropic-ratelimit-requests-remaining": b"999",
    b"anthropic-ratelimit-requests-reset": b"2025-08-21T12:41:30Z",
    b"anthropic-ratelimit-tokens-limit": b"96000",
    b"anthropic-ratelimit-tokens-remaining": b"95000",
    b"anthropic-ratelimit-tokens-reset": b"2025-08-21T12:42:00+00:00",
    b"anthropic-ratelimit-input-tokens-limit": b"80000",
    b"anthropic-ratelimit-input-tokens-remaining": b"1",
    b"anthropic-ratelimit-input-tokens-reset": b"2025-08-21T12:41:01Z",
}


def without(*parts: str) -> dict[bytes, bytes]:
    return {
        name: value
        for name, value in FULL.items()
        if not any(part.encode() in name for part in parts)
    }


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        (FULL, Allowance(1000, 999, 30.0, 96000, 95000, 60.0)),
        (without("-tokens"), Allowance(1000, 999, 30.0)),
        (without("ratelimit-tokens"), Allowance(1000, 999, 30.0, 80000, 1, 1.0)),
        (without("ratelimit-requests"), Allowance(None, None, None, 96000, 95000, 60.0)),
        (without("date"), Allowance(1000, 999, None, 96000, 95000, None)),
        (without("ratelimit"), None),
        ({}, None),
        (
            FULL | {b"anthropic-ratelimit-requests-reset": b"soon", b"date": b"today"},
            Allowance(1000, 999, None, 96000, 95000, None),
        ),
        (
            FULL | {b"anthropic-ratelimit-requests-reset": b"2025-08-21T12:40:59Z",
                    b"anthropic-ratelimit-requests-limit": b"many"},
            Allowance(None, 999, 0.0, 96000, 95000, 60.0),
        ),
    ],
)  # fmt: skip
def test_limits_are_read_from_headers(fields: dict[bytes, bytes], want: Allowance | None) -> None:
    assert ADAPTER.read_allowance(fields) == want
