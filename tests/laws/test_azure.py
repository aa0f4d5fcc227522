"""Azure's adapter: paths, spillover, its own errors, what its headers say, and its chat streams.

What OpenAI's adapter does with the same words holds here, too; see `test_openai_adapter.py`.
"""

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.parts.errors import (
    BadRequest,
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
from towplane.parts.usage import Detail, Usage
from towplane.providers.adapter import Allowance, Call, Place
from towplane.providers.adapters import adapter_of
from towplane.providers.ask import OPERATIONS, Ask, OperationName
from towplane.providers.azure_openai.errors import served_by
from towplane.providers.dialects import dialect_of
from towplane.providers.reader import Reader
from towplane.providers.translation import prepare

AZURE = adapter_of("azure-openai")
V1 = Place("azure/gpt", "gpt ptu/é")
LEGACY = msgspec.structs.replace(V1, options={"api_version": "2024-10-21"})
SPILLING = {"spillover": '{"gpt ptu/é":"gpt-standard"}'}


def call_of(operation: OperationName, place: Place, **body: Any) -> Call:
    fields = msgspec.json.decode(json.dumps({"model": "m"} | body), type=dict[str, msgspec.Raw])
    ask = Ask(OPERATIONS[operation], fields, "m")
    dialect_of(ask.operation.dialect).note(ask)
    return prepare(ask, place, AZURE, may_drop=False)


@pytest.mark.parametrize(
    ("operation", "place", "path"),
    [
        ("chat", V1, "/openai/v1/chat/completions"),
        ("completions", V1, "/openai/v1/completions"),
        ("embeddings", V1, "/openai/v1/embeddings"),
        ("responses", V1, "/openai/v1/responses"),
        ("messages", V1, "/openai/v1/chat/completions"),
        ("chat", LEGACY,
         "/openai/deployments/gpt%20ptu%2F%C3%A9/chat/completions?api-version=2024-10-21"),
        ("completions", LEGACY,
         "/openai/deployments/gpt%20ptu%2F%C3%A9/completions?api-version=2024-10-21"),
        ("embeddings", LEGACY,
         "/openai/deployments/gpt%20ptu%2F%C3%A9/embeddings?api-version=2024-10-21"),
        ("responses", LEGACY, "/openai/responses?api-version=2024-10-21"),
        ("messages", LEGACY,
         "/openai/deployments/gpt%20ptu%2F%C3%A9/chat/completions?api-version=2024-10-21"),
    ],
)  # fmt: skip
def test_a_request_goes_to_azures_path_with_the_deployment_as_its_model(
    operation: OperationName, place: Place, path: str
) -> None:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9}
    call = call_of(operation, place, **body)
    assert call.rendered.path == path
    assert json.loads(call.rendered.body)["model"] == V1.model


@pytest.mark.parametrize("options", [{}, {"api_version": "2024-10-21"}], ids=["v1", "legacy"])
def test_spillover_is_asked_for_wherever_azure_has_it(options: dict[str, str]) -> None:
    place = msgspec.structs.replace(V1, options=options | SPILLING)
    want = (("x-ms-spillover-deployment", "gpt-standard"),)
    assert call_of("chat", place, messages=[]).rendered.headers == want
    assert call_of("responses", place, input="x").rendered.headers == ()
    other = msgspec.structs.replace(place, model="gpt-other")
    assert call_of("chat", other, messages=[]).rendered.headers == ()


def test_counting_tokens_is_not_offered() -> None:
    with pytest.raises(BadRequest):
        call_of("count_tokens", V1, messages=[])


# Errors


@dataclass(frozen=True)
class Case:
    name: str
    status: int
    body: Any
    want: type[Upstream]
    code: str = ""
    after_s: float | None = None
    headers: dict[str, str] = field(default_factory=dict)
    say: str = ""


def coded(code: str, message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, **more}}


SAFE = {"hate": {"filtered": False, "severity": "safe"}}
INNER = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": SAFE}
POLICY = (
    "The response was filtered due to the prompt triggering Azure OpenAI's content management "
    "policy."
)
TPM = (
    "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 "
    "have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 6 "
    "seconds."
)
BUSY = (
    "The system is currently experiencing high demand and cannot process your request. Your "
    "request exceeds the maximum usage size allowed during peak load. Please retry after 20 "
    "seconds."
)
CASES = [
    Case("a filtered prompt", 400, coded("content_filter", POLICY, type=None, param="prompt",
         status=400, innererror=INNER), Filtered, "content_filter"),
    Case("a filtered prompt, by what is inside alone", 400,
         coded("BadRequest", "no", innererror=INNER), Filtered, "BadRequest"),
    Case("a filtered prompt, by its words", 400, coded("400", POLICY), Filtered),
    Case("a filtered prompt of Responses", 400, coded("content_policy_violation", "no"), Filtered,
         "content_policy_violation"),
    Case("too long", 400, coded("context_length_exceeded", "This model's maximum context length"),
         ContextTooLong, "context_length_exceeded"),
    Case("a wrong value", 400, coded("invalid_value", "Invalid", type="invalid_request_error"),
         Rejected, "invalid_value"),
    Case("a model without this operation", 400, coded("OperationNotSupported",
         "The chatCompletion operation does not work with the specified model, x."), Unavailable,
         "OperationNotSupported", say="does not offer this operation"),
    Case("a version that is unknown", 400, coded("InvalidApiVersionParameter", "The api-version"),
         Unavailable, "InvalidApiVersionParameter", say="api_version"),
    Case("no such deployment", 404, coded("DeploymentNotFound", "The API deployment for this "
         "resource does not exist."), Unavailable, "DeploymentNotFound", say="no deployment"),
    Case("no such path", 404, coded("404", "Resource not found"), Unavailable,
         say="does not know this path"),
    Case("no such response", 404, coded("not_found", "Response with id 'resp_1' not found."),
         Rejected, "not_found"),
    Case("a wrong key", 401, coded("401", "Access denied due to invalid subscription key or wrong "
         "API endpoint."), Denied),
    Case("a wrong key, in words", 401, coded("Unauthorized", "Access denied"), Denied,
         "Unauthorized"),
    Case("a token that has expired", 401, {"statusCode": 401, "message": "Unauthorized. Access "
         "token is missing, invalid, audience is incorrect, or have expired."}, Denied),
    Case("a role that is missing", 401, coded("PermissionDenied", "The principal lacks the "
         "required data action"), Denied, "PermissionDenied"),
    Case("a network rule", 403, coded("AccessDenied", "Access denied due to Virtual "
         "Network/Firewall rules."), Denied, "AccessDenied"),
    Case("no public access", 403, coded("403", "Public access is disabled."), Denied),
    Case("a provisioned deployment that is busy", 429, coded("429", "exceeded"), RateLimited,
         after_s=0.043, headers={"retry-after-ms": "43", "retry-after": "1"}),
    Case("a limit, its delay in seconds", 429, coded("429", TPM), RateLimited, after_s=7.0,
         headers={"retry-after": "7"}),
    Case("a limit, its delay in words", 429, coded("429", TPM), RateLimited, after_s=6.0),
    Case("a limit of requests", 429, coded("RateLimitReached", "call rate limit. Please "
         "retry after 21 seconds."), RateLimited, "RateLimitReached", 21.0),
    Case("a limit of Responses", 429, coded("too_many_requests", "Too Many Requests"), RateLimited,
         "too_many_requests"),
    Case("no capacity", 429, coded("429", "Error code: 'NoCapacity'. The system is busy."),
         Overloaded),
    Case("high demand", 429, coded("429", BUSY), Overloaded, after_s=20.0),
    Case("no capacity, by its word", 424, coded("NoCapacity", "none"), Overloaded, "NoCapacity"),
    Case("no quota left", 403, coded("InsufficientQuota", "quota"), QuotaExhausted,
         "InsufficientQuota"),
    Case("no quota left, as a limit", 429, coded("insufficient_quota", "quota"), QuotaExhausted,
         "insufficient_quota"),
    Case("something they depend on", 424, coded("FailedDependency", "no"), ServerError,
         "FailedDependency"),
    Case("a failure", 500, coded("InternalServerError", "The server had an error"), ServerError,
         "InternalServerError"),
    Case("a model that failed", 500, coded("ModelError", "no"), ServerError, "ModelError"),
    Case("the filter itself failed", 500, coded("content_filter_error", "The contents are not "
         "filtered"), ServerError, "content_filter_error"),
    Case("not available", 503, coded("ServiceUnavailable", "no"), Overloaded, "ServiceUnavailable"),
    Case("their gateway is not there", 503, "<html>", Overloaded),
    Case("their gateway's timeout", 504, {"statusCode": 504, "message": "timeout"}, ServerError),
    Case("their impatience", 408, coded("Timeout", "The operation was timeout."), ServerError,
         "Timeout"),
    Case("a lock", 409, coded("Conflict", "busy"), ServerError, "Conflict"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_failed_answer_is_judged(case: Case) -> None:
    body = (case.body if isinstance(case.body, str) else json.dumps(case.body)).encode()
    headers = {name.encode(): value.encode() for name, value in case.headers.items()}
    error = AZURE.judge(case.status, headers, body, "azure/gpt")
    assert type(error) is case.want
    assert (error.provider_code, error.status, error.body) == (case.code, case.status, body)
    assert error.after_s == (None if case.after_s is None else pytest.approx(case.after_s))
    assert case.say in error.say
    assert error.reason.startswith("upstream-")


def test_a_busy_provisioned_deployment_is_left_alone_for_milliseconds_only() -> None:
    headers = {b"retry-after-ms": b"12", b"retry-after": b"1"}
    assert AZURE.judge(429, headers, b"", "t").after_s == pytest.approx(0.012)


# Headers

LIMITS: list[tuple[str, dict[str, str], Allowance | None]] = [
    ("a provisioned deployment says nothing", {}, None),
    ("no reset: by the minute",
     {"limit-requests": "100", "remaining-requests": "99", "limit-tokens": "10000",
      "remaining-tokens": "9000"},
     Allowance(100, 99, 60.0, 10_000, 9_000, 60.0)),
    ("a limit that was cut for a while", {"limit-tokens": "1000", "remaining-tokens": "0"},
     Allowance(tokens_limit=1000, tokens_left=0, tokens_reset_s=60.0)),
    ("a reset in seconds", {"remaining-tokens": "5", "reset-tokens": "12"},
     Allowance(tokens_left=5, tokens_reset_s=12.0)),
    ("what Azure does not count (Responses)",
     {"limit-tokens": "-1", "remaining-tokens": "-1", "reset-tokens": "0"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "headers", "want"), LIMITS, ids=[one[0] for one in LIMITS])
def test_headers_say_what_is_left(
    name: str, headers: dict[str, str], want: Allowance | None
) -> None:
    fields = {f"x-ratelimit-{key}".encode(): value.encode() for key, value in headers.items()}
    assert AZURE.read_allowance(fields) == want


def test_headers_say_which_deployment_answered() -> None:
    assert served_by({}) == ("", "")
    assert served_by({b"x-ms-deployment-name": b"gpt-ptu"}) == ("gpt-ptu", "")
    spilled = {
        b"x-ms-deployment-name": b"gpt-standard",
        b"x-ms-spillover-from-deployment": b"gpt-ptu",
    }
    assert served_by(spilled) == ("gpt-standard", "gpt-ptu")


# Chat streams as Azure sends them


@dataclass(frozen=True)
class Stream:
    name: str
    chunks: list[Any]
    tokens: int
    usage: Usage | None = None
    end: type[Upstream] | str = "finished"
    code: str = ""
    done: bool = True
    relayed: int | None = None
    """So many of the chunks are relayed; None: all."""


FOUND = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "violence")}
PROMPT = {
    "id": "",
    "object": "",
    "created": 0,
    "model": "",
    "choices": [],
    "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": FOUND}],
}
OFFSETS = {"check_offset": 44, "start_offset": 44, "end_offset": 198}


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish, "content_filter_results": {}}
    if delta is not None:
        choice["delta"] = delta
    return {"id": "x", "object": "chat.completion.chunk", "choices": [choice | more]}


ROLE = chunk({"role": "assistant", "content": "", "refusal": None})
A, B = chunk({"content": "a"}, content_filter_results=FOUND), chunk({"content": "b"})
STOP = chunk({}, "stop")
USED = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
BILL = {"id": "x", "choices": [], "usage": USED}
FULL = USED | {
    "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2, "accepted_prediction_tokens": 0},
}
CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
GROWN = {"index": 0, "function": {"arguments": "{}"}}
ERROR = coded("server_error", "The server had an error", type="server_error", param=None)
LIMITED = coded("429", "exceeded token rate limit. Please retry after 2 seconds.")

STREAMS = [
    Stream("as usual", [PROMPT, ROLE, A, B, STOP, BILL], 2, Usage(9, 4)),
    Stream("no filter in front", [ROLE, A, B, STOP, BILL], 2, Usage(9, 4)),
    Stream("no usage", [PROMPT, ROLE, A, STOP], 1),
    Stream("usage that is null on the way",
           [PROMPT | {"usage": None}, ROLE | {"usage": None}, A | {"usage": None},
            STOP | {"usage": None}, BILL], 1, Usage(9, 4)),
    Stream("usage with its details", [PROMPT, ROLE, A, STOP, BILL | {"usage": FULL}], 1,
           Usage(9, 4, 3, Detail(reasoning=2))),
    Stream("usage beside the filter's last word",
           [PROMPT, ROLE, A, STOP, BILL | {"prompt_filter_results": []}], 1, Usage(9, 4)),
    Stream("the answer was filtered", [PROMPT, ROLE, A, chunk({}, "content_filter"), BILL], 1,
           Usage(9, 4)),
    Stream("filtered before its first word", [PROMPT, ROLE, chunk({}, "content_filter"), BILL], 0,
           Usage(9, 4)),
    Stream("a filter that comes later, without a delta",
           [PROMPT, ROLE, A, chunk(content_filter_offsets=OFFSETS), B, STOP,
            chunk(content_filter_offsets=OFFSETS), BILL], 2, Usage(9, 4)),
    Stream("a filter that failed",
           [PROMPT, ROLE, chunk({"content": "a"}, content_filter_results={
               "error": {"code": "content_filter_error", "message": "The contents are not "
                         "filtered"}}), STOP, BILL], 1, Usage(9, 4)),
    Stream("a jailbreak was found in the prompt",
           [PROMPT | {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {
               "jailbreak": {"filtered": False, "detected": True}}}]}, ROLE, A, STOP, BILL], 1,
           Usage(9, 4)),
    Stream("a call", [PROMPT, ROLE, chunk({"tool_calls": [CALL]}), chunk({"tool_calls": [GROWN]}),
                      chunk({}, "tool_calls"), BILL], 2, Usage(9, 4)),
    Stream("a refusal", [PROMPT, ROLE, chunk({"refusal": "no"}), STOP, BILL], 1, Usage(9, 4)),
    Stream("the limit", [PROMPT, ROLE, A, chunk({}, "length"), BILL], 1, Usage(9, 4)),
    Stream("a tier", [PROMPT, ROLE, A, STOP, BILL | {"service_tier": "priority"}], 1,
           Usage(9, 4, 0, Detail(service="priority"))),
    Stream("an error behind the role", [PROMPT, ROLE, ERROR], 0, None, ServerError, "server_error",
           done=False, relayed=2),
    Stream("an error in front of everything", [ERROR], 0, None, ServerError, "server_error",
           done=False, relayed=0),
    Stream("a limit behind the role", [PROMPT, ROLE, LIMITED], 0, None, RateLimited, "", done=False,
           relayed=2),
    Stream("a filter as an error behind the role",
           [PROMPT, ROLE, coded("content_filter", POLICY, innererror=INNER)], 0, None, Filtered,
           "content_filter", done=False, relayed=2),
    Stream("an error behind a token", [PROMPT, ROLE, A, ERROR], 1, None, ServerError,
           "server_error"),
    Stream("cut behind the filter", [PROMPT], 0, None, ProtocolError, done=False),
    Stream("cut behind the role", [PROMPT, ROLE], 0, None, ProtocolError, done=False),
    Stream("cut behind a token", [PROMPT, ROLE, A], 1, None, ProtocolError, done=False),
]  # fmt: skip


def wire(chunks: list[Any], *, done: bool) -> bytes:
    events = [f"data: {json.dumps(one, separators=(',', ':'))}\n\n" for one in chunks]
    return "".join([*events, "data: [DONE]\n\n"] if done else events).encode()


def play(case: Stream, borders: list[int]) -> tuple[bytes, int, Reader]:
    options = {"include_usage": True}
    reader = call_of("chat", V1, messages=[], stream=True, stream_options=options).reader
    stream = wire(case.chunks, done=case.done)
    out, tokens = b"", 0
    pieces = [stream[a:b] for a, b in itertools.pairwise([0, *borders, len(stream)])]
    for place, piece in enumerate(pieces):
        relayed, count, ends = reader.read(piece, whole=place == len(pieces) - 1)
        out += relayed
        tokens += count
        if ends or (reader.failed is not None and not tokens):
            break
    return out, tokens, reader


def check(case: Stream, borders: list[int]) -> None:
    out, tokens, reader = play(case, borders)
    whole = case.relayed is None
    assert out == wire(case.chunks[: case.relayed], done=case.done and whole)
    assert (tokens, reader.usage) == (case.tokens, case.usage)
    if case.end == "finished":
        assert reader.finished
        assert reader.failed is None
    else:
        assert type(reader.failed) is case.end
        assert reader.failed.provider_code == case.code


@pytest.mark.parametrize("case", STREAMS, ids=lambda case: case.name)
def test_a_stream_of_azures_passes_and_is_read(case: Stream) -> None:
    """What comes before the first token, its errors among them, leaves another target to try."""
    check(case, [])


@given(st.sampled_from(STREAMS), st.data())
@settings(max_examples=100, deadline=None)
def test_a_stream_of_azures_is_the_same_however_it_is_cut(
    case: Stream, data: st.DataObject
) -> None:
    length = len(wire(case.chunks, done=case.done))
    check(case, sorted(data.draw(st.lists(st.integers(0, length), max_size=6))))


BODIES: list[tuple[str, dict[str, Any], Usage | None]] = [
    ("with filters", {"usage": USED, "prompt_filter_results": [{"prompt_index": 0}]}, Usage(9, 4)),
    ("with details", {"usage": FULL}, Usage(9, 4, 3, Detail(reasoning=2))),
    ("without usage", {}, None),
    ("filtered", {"usage": USED | {"completion_tokens": 0, "total_tokens": 9}}, Usage(9, 0)),
]


@pytest.mark.parametrize(("name", "more", "want"), BODIES, ids=[one[0] for one in BODIES])
def test_a_body_of_azures_passes_and_is_read(
    name: str, more: dict[str, Any], want: Usage | None
) -> None:
    message = {"role": "assistant", "content": "hello"}
    choice = {"message": message, "finish_reason": "stop", "content_filter_results": FOUND}
    body = json.dumps({"id": "x", "choices": [choice], **more}).encode()
    reader = call_of("chat", V1, messages=[]).reader
    assert reader.read_whole(body) == (body, 0 if want else 2)
    assert reader.usage == want


def test_messages_are_answered_from_a_stream_with_filters() -> None:
    call = call_of("messages", V1, max_tokens=9, messages=[{"role": "user", "content": "x"}],
                   stream=True)  # fmt: skip
    out, tokens, ends = call.reader.read(wire([PROMPT, ROLE, A, B, STOP, BILL], done=True),
                                         whole=False)  # fmt: skip
    assert (tokens, ends, call.reader.usage) == (2, True, Usage(9, 4))
    assert b"event: message_stop" in out
