"""OpenAI's adapter: what goes up, what a failed answer means, what headers say of limits."""

import json
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from towplane.parts.errors import (
    BadRequest,
    ContextTooLong,
    Denied,
    Filtered,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Rejected,
    ServerError,
    Unavailable,
    Upstream,
)
from towplane.parts.usage import Detail, Usage
from towplane.providers.adapter import Adapter, Allowance, Call, Place
from towplane.providers.adapters import adapter_of
from towplane.providers.ask import OPERATIONS, Ask, OperationName
from towplane.providers.dialects import dialect_of

OPENAI = adapter_of("openai")
PLACE = Place("openai/gpt", "gpt-real", "/v1")


def call_of(
    operation: OperationName,
    place: Place,
    adapter: Adapter,
    body: dict[str, Any],
    *,
    may_drop: bool = False,
) -> Call:
    from towplane.providers.translation import prepare

    fields = msgspec.json.decode(json.dumps(body), type=dict[str, msgspec.Raw])
    ask = Ask(OPERATIONS[operation], fields, body["model"])
    dialect_of(ask.operation.dialect).note(ask)
    return prepare(ask, place, adapter, may_drop=may_drop)


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        ("chat", "/chat/completions"),
        ("completions", "/completions"),
        ("embeddings", "/embeddings"),
        ("responses", "/responses"),
    ],
)
def test_what_it_speaks_itself_goes_up_as_it_came(operation: OperationName, path: str) -> None:
    body = {"model": "mine", "messages": [{"z": 1, "a": 2}], "from_the_future": {"b": 1}}
    call = call_of(operation, PLACE, OPENAI, body)
    assert call.is_native
    assert call.rendered.path == path
    assert json.loads(call.rendered.body) == body | {"model": "gpt-real"}
    assert call.rendered.headers == ()


def test_organization_and_project_stand_in_headers() -> None:
    place = msgspec.structs.replace(PLACE, options={"organization": "org-1", "project": "proj-2"})
    found = call_of("responses", place, OPENAI, {"model": "m", "input": "x"}).rendered.headers
    assert found == (("OpenAI-Organization", "org-1"), ("OpenAI-Project", "proj-2"))


ANTHROPIC = {
    "model": "m",
    "max_tokens": 50,
    "system": "be kind",
    "messages": [{"role": "user", "content": "hi"}],
    "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}],
}


def test_messages_are_asked_for_as_chat_completions() -> None:
    call = call_of("messages", PLACE, OPENAI, ANTHROPIC)
    body = json.loads(call.rendered.body)
    assert (call.is_native, call.rendered.path) == (False, "/chat/completions")
    assert (body["model"], body["max_completion_tokens"]) == ("gpt-real", 50)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["tools"][0]["function"]["name"] == "f"


def test_the_answer_to_messages_is_written_in_their_dialect() -> None:
    call = call_of("messages", PLACE, OPENAI, ANTHROPIC)
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-real",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hello"},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 3,
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    }
    body, _ = call.reader.read_whole(json.dumps(answer).encode())
    found = json.loads(body)
    assert (found["type"], found["stop_reason"]) == ("message", "end_turn")
    assert found["content"] == [{"type": "text", "text": "hello"}]
    assert call.reader.usage == Usage(9, 3, 0, Detail(reasoning=2))


def test_counting_tokens_is_not_offered() -> None:
    with pytest.raises(BadRequest):
        call_of("count_tokens", PLACE, OPENAI, {"model": "m", "messages": []})


# Responses for those who speak chat alone: the other way through both dialects

COMPATIBLE = adapter_of("openai-compatible")
CHUNKS: list[dict[str, Any]] = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
    {"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]},
    {"choices": [{"index": 0, "delta": {"content": "he"}}]},
    {"choices": [{"index": 0, "delta": {"content": "llo"}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 4}},
]


def test_a_responses_client_is_answered_by_a_server_that_speaks_chat() -> None:
    asked = {
        "model": "m",
        "instructions": "be kind",
        "input": [
            {"role": "user", "content": "a"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "done"},
        ],
        "stream": True,
        "max_output_tokens": 9,
    }
    call = call_of("responses", PLACE, COMPATIBLE, asked)
    up = json.loads(call.rendered.body)
    assert [message["role"] for message in up["messages"]] == [
        "system", "user", "assistant", "tool",
    ]  # fmt: skip
    head: dict[str, Any] = {
        "id": "x",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "real",
    }
    wire = b"".join(b"data: %b\n\n" % json.dumps(head | one).encode() for one in CHUNKS)
    out, tokens, ends = call.reader.read(wire + b"data: [DONE]\n\n", whole=False)
    events = [json.loads(block.partition(b"data: ")[2]) for block in out.split(b"\n\n") if block]
    assert (tokens, ends) == (3, True)
    last = events[-1]
    assert last["type"] == "response.completed"
    assert [item["type"] for item in last["response"]["output"]] == ["reasoning", "message"]
    assert last["response"]["usage"]["total_tokens"] == 9


def test_what_a_chat_server_cannot_do_is_refused_by_the_clients_own_word() -> None:
    asked = {"model": "m", "input": "x", "previous_response_id": "resp_1"}
    with pytest.raises(BadRequest) as refusal:
        call_of("responses", PLACE, COMPATIBLE, asked)
    assert refusal.value.param == "previous_response_id"
    assert call_of("responses", PLACE, COMPATIBLE, asked, may_drop=True).dropped == (
        "previous_response_id",
    )


# Errors


@dataclass(frozen=True)
class Case:
    name: str
    status: int
    body: Any
    want: type[Upstream]
    code: str = ""
    after_s: float | None = None
    retry: str = ""
    """Empty: as its class."""
    headers: dict[str, str] = field(default_factory=dict)
    say: str = ""
    """Part of what is said; empty: not looked at."""


def said(message: str, kind: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


LIMIT = (
    "Rate limit reached for gpt-5 in organization org-abcdef123 on tokens per min (TPM): Limit "
    "30000, Used 29000, Requested 2000. Please try again in 2s. Visit https://x to learn more."
)
CASES = [
    Case("a wrong key", 401, said("Incorrect API key provided: sk-abc*****xyz.",
         "invalid_request_error", "invalid_api_key"), Denied, "invalid_api_key"),
    Case("no organization", 401, said("You must be a member of an organization to use the API"),
         Denied),
    Case("a country", 403, said("Country, region, or territory not supported",
         "request_forbidden", "unsupported_country_region_territory"), Denied,
         "unsupported_country_region_territory"),
    Case("a project without the model", 403, said("Project `proj_abcdefgh` does not have access",
         "invalid_request_error", "model_not_found"), Unavailable, "model_not_found"),
    Case("a deactivated account", 403, said("deactivated", "invalid_request_error",
         "account_deactivated"), Denied, "account_deactivated"),
    Case("no such model", 404, said("The model `x` does not exist or you do not have access.",
         "invalid_request_error", "model_not_found"), Unavailable, "model_not_found",
         say="does not exist"),
    Case("no such path", 404, said("Invalid URL (POST /v1/x)", "invalid_request_error"), Rejected,
         "invalid_request_error"),
    Case("no such response", 404, said("Response with id 'resp_1' not found.",
         "invalid_request_error"), Rejected, "invalid_request_error"),
    Case("an earlier response that is gone", 400, said("Previous response not found.",
         "invalid_request_error", "previous_response_not_found"), Rejected,
         "previous_response_not_found"),
    Case("a wrong value", 400, said("Invalid type for 'temperature'", "invalid_request_error",
         "invalid_type"), Rejected, "invalid_type", say="Invalid type"),
    Case("a parameter that the model does not take", 400, said("Unsupported parameter",
         "invalid_request_error", "unsupported_parameter"), Rejected, "unsupported_parameter"),
    Case("sealed content of another account", 400, said("could not be verified",
         "invalid_request_error", "invalid_encrypted_content"), Rejected,
         "invalid_encrypted_content"),
    Case("too long, by its code", 400, said("Your input exceeds the context window",
         "invalid_request_error", "context_length_exceeded"), ContextTooLong,
         "context_length_exceeded"),
    Case("too long, by its words", 400, said("This model's maximum context length is 8192 tokens."),
         ContextTooLong),
    Case("a text too long", 400, said("string too long", "invalid_request_error",
         "string_above_max_length"), ContextTooLong, "string_above_max_length"),
    Case("a flagged prompt", 400, said("Invalid prompt: your prompt was flagged as potentially "
         "violating our usage policy.", "invalid_request_error", "invalid_prompt"), Filtered,
         "invalid_prompt"),
    Case("the safety system", 400, said("rejected as a result of our safety system",
         "invalid_request_error", "content_policy_violation"), Filtered,
         "content_policy_violation"),
    Case("moderation", 400, said("blocked", "image_generation_user_error", "moderation_blocked"),
         Filtered, "moderation_blocked"),
    Case("biology", 400, said("no", "invalid_request_error", "bio_policy"), Filtered,
         "bio_policy"),
    Case("an image", 400, said("no", None, "image_content_policy_violation"), Filtered,
         "image_content_policy_violation"),
    Case("too large", 413, said("too large", "invalid_request_error", "request_too_large"),
         Rejected, "request_too_large"),
    Case("unprocessable", 422, said("no"), Rejected),
    Case("impatience", 408, said("timeout"), ServerError),
    Case("a lock", 409, said("The resource is locked"), ServerError),
    Case("a limit, its delay in milliseconds", 429, said(LIMIT, "tokens", "rate_limit_exceeded"),
         RateLimited, "rate_limit_exceeded", 0.12,
         headers={"retry-after-ms": "120", "retry-after": "1"}),
    Case("a limit, its delay in seconds", 429, said(LIMIT, "tokens", "rate_limit_exceeded"),
         RateLimited, "rate_limit_exceeded", 3.0, headers={"retry-after": "3"}),
    Case("a limit, its delay in words", 429, said(LIMIT, "tokens", "rate_limit_exceeded"),
         RateLimited, "rate_limit_exceeded", 2.0),
    Case("minutes in words", 429, said("Please try again in 6m0s."), RateLimited, after_s=360.0),
    Case("milliseconds in words", 429, said("Please try again in 250ms."), RateLimited,
         after_s=0.25),
    Case("hours in words", 429, said("Please try again in 7h12m0s."), RateLimited,
         after_s=25_920.0),
    Case("no delay", 429, said("Too many requests"), RateLimited),
    Case("a sharp ramp", 429, said("slow down", "rate_limit_error", "slow_down"), RateLimited,
         "slow_down"),
    Case("no quota, as code", 429, said("You exceeded your current quota", "insufficient_quota",
         "insufficient_quota"), QuotaExhausted, "insufficient_quota"),
    Case("no quota, as type alone", 429, said("You exceeded your current quota",
         "insufficient_quota"), QuotaExhausted, "insufficient_quota"),
    Case("no quota, although a delay is said", 429, said("quota", "insufficient_quota",
         "insufficient_quota"), QuotaExhausted, "insufficient_quota", 1.0,
         headers={"retry-after": "1"}),
    Case("a spending limit", 400, said("Billing hard limit has been reached",
         "invalid_request_error", "billing_hard_limit_reached"), QuotaExhausted,
         "billing_hard_limit_reached"),
    Case("an account that does not pay", 429, said("not active", "billing_not_active",
         "billing_not_active"), QuotaExhausted, "billing_not_active"),
    Case("a limit that is not to be retried there", 429, said("Too many requests"), RateLimited,
         headers={"x-should-retry": "false"}),
    Case("a refusal that may be retried", 400, said("try again"), Rejected, retry="elsewhere",
         headers={"x-should-retry": "true"}),
    Case("a failure", 500, said("The server had an error", "server_error"), ServerError,
         "server_error"),
    Case("a failure that is not to be retried there", 500, said("no", "server_error"), ServerError,
         "server_error", headers={"x-should-retry": "false"}),
    Case("a gateway's page", 502, "<html>Bad gateway</html>", ServerError),
    Case("overloaded", 503, said("overloaded", "service_unavailable_error",
         "server_is_overloaded"), Overloaded, "server_is_overloaded", 5.0,
         headers={"retry-after": "5"}),
    Case("overloaded, without a word", 503, "", Overloaded),
    Case("a gateway's timeout", 504, "", ServerError),
    Case("an edge that cannot reach it", 520, "<html>", ServerError),
    Case("not offered", 501, said("not implemented"), Rejected),
    Case("a body of another shape", 400, {"detail": "nope"}, Rejected, say="nope"),
    Case("a body that is a list", 400, [1], Rejected),
]  # fmt: skip


def judge(adapter: Adapter, case: Case) -> Upstream:
    body = case.body if isinstance(case.body, str) else json.dumps(case.body)
    headers = {name.encode(): value.encode() for name, value in case.headers.items()}
    return adapter.judge(case.status, headers, body.encode(), "openai/gpt")


def check(adapter: Adapter, case: Case) -> None:
    error = judge(adapter, case)
    assert type(error) is case.want
    assert error.provider_code == case.code
    assert error.after_s == (None if case.after_s is None else pytest.approx(case.after_s))
    assert error.retry == (case.retry or case.want.retry)
    assert error.status == case.status
    assert (
        error.body == (case.body if isinstance(case.body, str) else json.dumps(case.body)).encode()
    )
    assert case.say in error.say
    assert error.reason.startswith("upstream-")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_failed_answer_is_judged_by_its_words_then_by_its_status(case: Case) -> None:
    check(OPENAI, case)


def test_there_are_enough_errors() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 40


def test_no_key_and_no_account_is_repeated() -> None:
    texts = [judge(OPENAI, case).say for case in CASES]
    assert not [text for text in texts if "sk-abc" in text or "org-abcdef" in text]


LIMITS: list[tuple[str, dict[str, str], Allowance | None]] = [
    ("nothing", {}, None),
    ("all of it",
     {"limit-requests": "10000", "remaining-requests": "9999", "reset-requests": "6ms",
      "limit-tokens": "2000000", "remaining-tokens": "1999000", "reset-tokens": "30ms"},
     Allowance(10_000, 9_999, 0.006, 2_000_000, 1_999_000, 0.03)),
    ("minutes and seconds", {"remaining-tokens": "0", "reset-tokens": "6m0s"},
     Allowance(tokens_left=0, tokens_reset_s=360.0)),
    ("a second", {"reset-requests": "1s"}, Allowance(requests_reset_s=1.0)),
    ("hours", {"reset-requests": "1h2m3.5s"}, Allowance(requests_reset_s=3723.5)),
    ("milliseconds", {"reset-requests": "120ms"}, Allowance(requests_reset_s=0.12)),
    ("a plain number", {"reset-tokens": "45"}, Allowance(tokens_reset_s=45.0)),
    ("what is no number", {"limit-tokens": "many", "reset-tokens": "soon"}, None),
    ("what is negative", {"remaining-tokens": "-1"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "headers", "want"), LIMITS, ids=[one[0] for one in LIMITS])
def test_headers_say_what_is_left(
    name: str, headers: dict[str, str], want: Allowance | None
) -> None:
    fields = {f"x-ratelimit-{key}".encode(): value.encode() for key, value in headers.items()}
    found = OPENAI.read_allowance(fields)
    assert found == (None if want is None else pytest.approx(want))
