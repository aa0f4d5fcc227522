"""What servers of OpenAI's wire answer when they fail, as each writes it, and what it means."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from towplane.parts.errors import (
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
from towplane.providers.openai_compatible import ADAPTER


@dataclass(frozen=True)
class Case:
    name: str
    status: int
    body: Any
    want: type[Upstream]
    word: str = ""
    """The provider's own."""
    says: str = ""
    """What the message must hold."""
    after_s: float | None = None
    fields: dict[bytes, bytes] = field(default_factory=dict)


def openai(message: str, kind: str | None = None, code: Any = None, **more: Any) -> Any:
    return {"error": {"message": message, "type": kind, "param": None, "code": code} | more}


def flat(message: str, kind: str = "BadRequestError", code: int = 400) -> Any:
    """vLLM to 0.9, SGLang, Mistral, LMDeploy."""
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


INVALID = "invalid_request_error"
CASES = [
    # The window
    Case("openai: window", 400, openai("This model's maximum context length is 8192 tokens.",
        INVALID, "context_length_exceeded"), ContextTooLong, "context_length_exceeded", "8192"),
    Case("groq: window", 400, openai("Please reduce the length of the messages or completion.",
        INVALID, "context_length_exceeded"), ContextTooLong, "context_length_exceeded"),
    Case("vllm of old: window", 400, flat("This model's maximum context length is 16384 tokens. "
        "However, you requested 122946 tokens (112946 in the messages, 10000 in the completion)."),
        ContextTooLong, "BadRequestError", "122946"),
    Case("vllm: window", 400, openai("You passed 1015 input tokens and requested 10 output tokens. "
        "However, the model's context length is only 1024 tokens.", "BadRequestError", 400),
        ContextTooLong, "BadRequestError"),
    Case("vllm: prompt", 400, flat("The decoder prompt (length 10127) is longer than the maximum "
        "model length of 8192."), ContextTooLong),
    Case("sglang: window", 400, flat("The input (61709 tokens) is longer than the model's context "
        "length (40960 tokens)."), ContextTooLong),
    Case("llama.cpp: window", 400, {"error": {"code": 400, "message": "the request exceeds the "
        "available context size, try increasing it", "type": "exceed_context_size_error",
        "n_prompt_tokens": 14429, "n_ctx": 8192}}, ContextTooLong, "exceed_context_size_error"),
    Case("llama.cpp of old: window", 500, {"error": {"code": 500, "message": "the request exceeds "
        "the available context size", "type": "exceed_context_size_error"}}, ContextTooLong),
    Case("tgi: window", 422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` "
        "must be <= 2048. Given: 1244 `inputs` tokens and 1000 `max_new_tokens`",
        "error_type": "validation"}, ContextTooLong, "validation", "2048"),
    Case("tgi: prompt", 422, {"error": "Input validation error: `inputs` must have less than 1024 "
        "tokens. Given: 1168", "error_type": "validation"}, ContextTooLong),
    Case("mistral: window", 400, flat("Prompt contains 40000 tokens and 0 draft tokens, too large "
        "for model with 32768 maximum context length", "invalid_request_prompt", 3051),
        ContextTooLong),
    Case("gemini: window", 400, [{"error": {"code": 400, "message": "The input token count "
        "(1500000) exceeds the maximum number of tokens allowed (1048575).",
        "status": "INVALID_ARGUMENT"}}], ContextTooLong, "INVALID_ARGUMENT"),
    Case("anthropic behind it: window", 400, openai("prompt is too long: 210000 tokens > 200000 "
        "maximum", INVALID), ContextTooLong),
    # Money and quotas
    Case("openai: quota", 429, openai("You exceeded your current quota, please check your plan and "
        "billing details.", "insufficient_quota", "insufficient_quota"), QuotaExhausted,
        "insufficient_quota", "quota"),
    Case("deepseek: balance", 402, openai("Insufficient Balance", "unknown_error",
        "invalid_request_error"), QuotaExhausted, "invalid_request_error"),
    Case("openrouter: credits", 402, openai("This request requires more credits", None, 402),
        QuotaExhausted),
    Case("moonshot: quota", 429, openai("Your account is out", "exceeded_current_quota_error"),
        QuotaExhausted, "exceeded_current_quota_error"),
    Case("anthropic behind it: credit", 400, openai("Your credit balance is too low to access the "
        "API.", INVALID), QuotaExhausted),
    # Limits
    Case("openai: rate", 429, openai("Rate limit reached for gpt-5 in organization org-abcdef123 "
        "on tokens per min (TPM): Limit 30000, Used 29000. Please try again in 1.2s.", "tokens",
        "rate_limit_exceeded"), RateLimited, "rate_limit_exceeded", "Limit 30000", 1.2),
    Case("groq: rate", 429, openai("Rate limit reached. Please try again in 7m12s. Visit x",
        "tokens", "rate_limit_exceeded"), RateLimited, "rate_limit_exceeded", after_s=432.0),
    Case("groq: too large for the limit", 413, openai("Request too large on tokens per minute "
        "(TPM): Limit 6000, Requested 7000", "tokens", "rate_limit_exceeded"), RateLimited),
    Case("mistral: rate", 429, {"message": "Requests rate limit exceeded"}, RateLimited,
        says="Requests rate limit"),
    Case("a header before words", 429, openai("Please try again in 9s"), RateLimited,
        after_s=0.25, fields={b"retry-after-ms": b"250", b"retry-after": b"1"}),
    Case("a reset of what is used up", 429, openai("slow down"), RateLimited, after_s=360.0,
        fields={b"x-ratelimit-remaining-tokens": b"0", b"x-ratelimit-reset-tokens": b"6m0s",
                b"x-ratelimit-remaining-requests": b"7", b"x-ratelimit-reset-requests": b"1h"}),
    Case("nobody says when", 429, openai("slow down"), RateLimited),
    Case("no body at all", 429, b"", RateLimited, says="answered 429"),
    # Load
    Case("tgi: overloaded", 429, {"error": "Model is overloaded", "error_type": "overloaded"},
        Overloaded, "overloaded"),
    Case("moonshot: overloaded", 429, openai("The engine is currently overloaded",
        "engine_overloaded_error"), Overloaded),
    Case("llama.cpp: loading", 503, {"error": {"message": "Loading model", "type":
        "unavailable_error", "code": 503}}, Overloaded, "unavailable_error"),
    Case("groq: flex is full", 498, openai("Flex tier capacity exceeded", None,
        "capacity_exceeded"), Overloaded),
    Case("anthropic's word", 529, {"type": "error", "error": {"type": "overloaded_error",
        "message": "Overloaded"}}, Overloaded, "overloaded_error"),
    Case("openai: unavailable", 503, openai("The server is overloaded", "server_error"),
        Overloaded),
    # Credentials
    Case("openai: key", 401, openai("Incorrect API key provided: sk-abc***xyz.", INVALID,
        "invalid_api_key"), Denied, "invalid_api_key", "credentials (401)"),
    Case("openai: permission", 403, openai("You have insufficient permissions"), Denied),
    Case("mistral: key", 401, {"message": "Unauthorized", "request_id": "r"}, Denied),
    Case("fastapi: key", 401, {"detail": "Invalid token"}, Denied),
    Case("gemini: key", 400, [{"error": {"code": 400, "message": "API key not valid. Please pass a "
        "valid API key.", "status": "INVALID_ARGUMENT"}}], Denied),
    Case("vllm: key", 401, {"error": "Unauthorized"}, Denied),
    # Filters
    Case("azure: prompt", 400, {"error": {"message": "The response was filtered due to the prompt "
        "triggering Azure OpenAI's content management policy.", "type": None, "param": "prompt",
        "code": "content_filter", "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, Filtered, "content_filter"),
    Case("openai: policy", 400, openai("Your request was rejected", INVALID,
        "content_policy_violation"), Filtered),
    Case("openrouter: flagged", 403, openai("openai/gpt-4 requires moderation. Your input was "
        "flagged for \"violence\".", None, 403), Filtered),
    Case("alibaba: inspection", 400, openai("Input data may contain inappropriate content.", None,
        "data_inspection_failed"), Filtered),
    # What the document must be blamed for
    Case("openai: model", 404, openai("The model `gpt-9` does not exist", INVALID,
        "model_not_found"), Unavailable, "model_not_found"),
    Case("vllm: model", 404, flat("The model `x` does not exist.", "NotFoundError", 404),
        Unavailable),
    Case("ollama: model", 404, openai('model "x" not found, try pulling it first',
        "not_found_error"), Unavailable),
    # What the caller must be blamed for
    Case("openai: parameter", 400, openai("Unrecognized request argument supplied: x", INVALID),
        Rejected, INVALID, "Unrecognized"),
    Case("mistral: parameters", 422, {"object": "error", "message": {"detail": [{"loc": ["body"],
        "msg": "Extra inputs are not permitted"}]}, "type": "invalid_request_error"}, Rejected),
    Case("fastapi: fields", 422, {"detail": [{"loc": ["body", "messages"], "msg": "Field required"
        }]}, Rejected, says="Field required"),
    Case("a path that is not there", 404, {"detail": "Not Found"}, Rejected, says="Not Found"),
    Case("not offered", 501, openai("Not implemented"), Rejected),
    Case("too large", 413, b"<html>413</html>", Rejected, says="answered 413"),
    # The server's own fault
    Case("openai: server", 500, openai("The server had an error", "server_error"), ServerError,
        "server_error"),
    Case("vllm: server", 500, flat("EngineCore died", "InternalServerError", 500), ServerError),
    Case("tgi: generation", 424, {"error": "Request failed during generation", "error_type":
        "generation"}, ServerError, "generation"),
    Case("a proxy's page", 502, b"<html>Bad Gateway</html>", ServerError, says="answered 502"),
    Case("gateway timeout", 504, b"", ServerError),
    Case("its own impatience", 408, openai("Timed out"), ServerError),
    Case("a lock of its own", 409, openai("Conflict"), ServerError),
    Case("a later time", 500, openai("oops"), ServerError, after_s=3.0,
        fields={b"retry-after": b"3"}),
    Case("the body says 500 and the status 400", 400, openai("x", "server_error"), Rejected),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_failure_means(case: Case) -> None:
    body = case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()
    error = ADAPTER.judge(case.status, case.fields, body, "prov/m")
    assert type(error) is case.want
    assert (error.status, error.body) == (case.status, body)
    assert error.say.startswith("prov/m")
    assert case.says in error.say
    assert error.after_s == case.after_s
    assert error.reason.startswith("upstream-")
    if case.word:
        assert error.provider_code == case.word


@pytest.mark.parametrize(
    "message",
    [
        "Incorrect API key provided: sk-proj-abc***xyz9.",
        "bad key sk-ant-api03-AAAABBBBCCCC",
        "in organization org-AbCdEf123456 on tokens",
        "project proj_abcdef123 has no access",
        "gsk_abcdefghijkl is wrong",
    ],
)
def test_no_key_and_no_account_stands_in_what_is_said(message: str) -> None:
    body = json.dumps(openai(message)).encode()
    say = ADAPTER.judge(400, {}, body, "t").say
    assert not any(part in say for part in ("abc", "AAAA", "AbCd", "xyz"))
    assert "…" in say or "refused the plane's credentials" in say


def test_a_long_message_is_cut() -> None:
    body = json.dumps(openai("x" * 5000)).encode()
    assert len(ADAPTER.judge(400, {}, body, "t").say) < 520


@pytest.mark.parametrize(
    "body",
    [
        b"null", b"5", b'"text"', b"[]", b"[5]", b"{}", b'{"error":null}', b'{"error":{}}',
        b'{"error":[]}', b'{"error":5}', b'{"message":5}', b'{"detail":null}', b"\xff\xfe",
        b'{"error":{"message":null,"code":null}}', b"[" * 5000, b'{"error":' * 500,
    ],
)  # fmt: skip
def test_no_body_is_too_strange_to_be_judged(body: bytes) -> None:
    error = ADAPTER.judge(400, {}, body, "t")
    assert type(error) is Rejected
    assert error.say


def test_a_status_decides_where_nothing_is_said() -> None:
    kinds: dict[type[Upstream], list[int]] = {}
    for status in range(400, 600):
        kinds.setdefault(type(ADAPTER.judge(status, {}, b"", "t")), []).append(status)
    assert kinds.pop(Denied) == [401, 403]
    assert kinds.pop(QuotaExhausted) == [402]
    assert kinds.pop(RateLimited) == [429]
    assert kinds.pop(Overloaded) == [498, 503, 529]
    assert [status for status in kinds.pop(ServerError) if status < 500] == [408, 409, 424]
    assert all(status < 500 or status == 501 for status in kinds.pop(Rejected))
    assert not kinds
