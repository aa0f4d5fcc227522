"""What a failure of Vertex AI means: whose fault, where and when to try again."""

import json
from dataclasses import dataclass
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
from towplane.providers.vertex import ADAPTER

JSON = dict[str, Any]
TYPE = "type.googleapis.com/google.rpc."


def status(code: int, name: str, message: str, *details: JSON) -> JSON:
    return {"error": {"code": code, "message": message, "status": name, "details": list(details)}}


def info(reason: str) -> JSON:
    return {"@type": TYPE + "ErrorInfo", "reason": reason, "domain": "googleapis.com"}


def retry(delay: str) -> JSON:
    return {"@type": TYPE + "RetryInfo", "retryDelay": delay}


def quota(**violation: str) -> JSON:
    return {"@type": TYPE + "QuotaFailure", "violations": [violation]}


@dataclass(frozen=True)
class Case:
    """An answer and the error it means."""

    name: str
    status: int
    body: Any
    want: type[Upstream]
    after_s: float | None = None
    code: str = ""
    fields: tuple[tuple[bytes, bytes], ...] = ()


PER_MINUTE = ("Quota exceeded for aiplatform.googleapis.com/generate_content_requests_per_minute"
              "_per_project_per_base_model with base model: gemini-2.5-pro. Please submit a quota "
              "increase request.")  # fmt: skip
TOO_LONG = "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576)."
NOT_FOUND = ("Publisher Model `projects/acme-ml/locations/europe-west4/publishers/google/models/x`"
             " was not found or your project does not have access to it.")  # fmt: skip
EXHAUSTED, INVALID = "RESOURCE_EXHAUSTED", "INVALID_ARGUMENT"
CLAUDE_TOO_LONG = "prompt is too long: 216,843 tokens > 200,000 maximum"


def claude(kind: str, message: str) -> JSON:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


CASES = [
    Case("too fast, with a delay in the body", 429,
         status(429, EXHAUSTED, "Resource exhausted.", retry("34.4s")),
         RateLimited, 34.4, EXHAUSTED),
    Case("a delay of whole seconds", 429, status(429, EXHAUSTED, "x", retry("7s")),
         RateLimited, 7.0, EXHAUSTED),
    Case("a delay of nanoseconds", 429, status(429, EXHAUSTED, "x", retry("0.000000001s")),
         RateLimited, 1e-9, EXHAUSTED),
    Case("a delay that is none", 429, status(429, EXHAUSTED, "x", retry("soon")),
         RateLimited, None, EXHAUSTED),
    Case("a delay of years is a day", 429, status(429, EXHAUSTED, "x", retry("99999999s")),
         RateLimited, 86_400.0, EXHAUSTED),
    Case("the body goes before the header", 429, status(429, EXHAUSTED, "x", retry("3s")),
         RateLimited, 3.0, EXHAUSTED, ((b"retry-after", b"60"),)),
    Case("a header alone", 429, status(429, EXHAUSTED, "x"), RateLimited, 60.0, EXHAUSTED,
         ((b"retry-after", b"60"),)),
    Case("shared capacity", 429, status(429, EXHAUSTED, "Resource exhausted. Please try again"
         " later. Please refer to error-code-429 for more details."), RateLimited, None, EXHAUSTED),
    Case("in an array of one", 429, [status(429, EXHAUSTED, "x", retry("2s"))],
         RateLimited, 2.0, EXHAUSTED),
    Case("a quota of the minute", 429, status(429, EXHAUSTED, PER_MINUTE), RateLimited, None,
         EXHAUSTED),
    Case("a quota of the minute with its id", 429, status(429, EXHAUSTED, "x", retry("20s"),
         quota(quotaId="GenerateRequestsPerMinutePerProjectPerModel")),
         RateLimited, 20.0, EXHAUSTED),
    Case("a quota of the day by its id", 429, status(429, EXHAUSTED, "x", retry("20s"),
         quota(quotaId="GenerateRequestsPerDayPerProjectPerModel")),
         QuotaExhausted, 20.0, EXHAUSTED),
    Case("a quota of the day by its metric", 429, status(429, EXHAUSTED, "x",
         quota(quotaMetric="aiplatform.googleapis.com/requests_per_day")),
         QuotaExhausted, None, EXHAUSTED),
    Case("a quota of the day by its words", 429,
         status(429, EXHAUSTED, "Quota exceeded for metric requests_per_day_per_project."),
         QuotaExhausted, None, EXHAUSTED),
    Case("a quota with a reason", 429,
         status(429, EXHAUSTED, "x", info("RATE_LIMIT_EXCEEDED"), retry("1s")),
         RateLimited, 1.0, "RATE_LIMIT_EXCEEDED"),
    Case("429 without a body", 429, None, RateLimited),
    Case("429 in HTML", 429, "<html>Too many</html>", RateLimited),
    Case("the prompt is too long", 400, status(400, INVALID, TOO_LONG), ContextTooLong, None,
         INVALID),
    Case("too long, in an array", 400, [status(400, INVALID, TOO_LONG)], ContextTooLong, None,
         INVALID),
    Case("too long in other words", 400, status(400, INVALID,
         "Unable to submit request because the input token count is 81881 but model only supports"
         " up to 65536 and exceeds the maximum tokens."), ContextTooLong, None, INVALID),
    Case("an unknown field", 400, status(400, INVALID,
         'Invalid JSON payload received. Unknown name "x": Cannot find field.',
         {"@type": TYPE + "BadRequest", "fieldViolations": [{"description": "x"}]}),
         Rejected, None, INVALID),
    Case("no signature", 400, status(400, INVALID,
         "Function call `lift` in the 2. content block is missing a `thought_signature`."),
         Rejected, None, INVALID),
    Case("words that must not be said", 400, status(400, INVALID, "The prompt could not be"
         " submitted. It contains sensitive words that violate Google's Responsible AI practices."),
         Filtered, None, INVALID),
    Case("a wrong key", 400, status(400, INVALID, "API key not valid. Please pass a valid API key.",
         info("API_KEY_INVALID")), Denied, None, "API_KEY_INVALID"),
    Case("a setting of the project", 400, status(400, "FAILED_PRECONDITION",
         "Project is not allowed to use this model."), Rejected, None, "FAILED_PRECONDITION"),
    Case("out of range", 400, status(400, "OUT_OF_RANGE", "top_k must be below 41"), Rejected,
         None, "OUT_OF_RANGE"),
    Case("400 without a body", 400, None, Rejected),
    Case("400 in HTML", 400, "<html>", Rejected),
    Case("an expired token", 401, status(401, "UNAUTHENTICATED",
         "Request had invalid authentication credentials.", info("ACCESS_TOKEN_EXPIRED")),
         Denied, None, "ACCESS_TOKEN_EXPIRED"),
    Case("no token", 401, status(401, "UNAUTHENTICATED", "x", info("CREDENTIALS_MISSING")), Denied,
         None, "CREDENTIALS_MISSING"),
    Case("no permission", 403, status(403, "PERMISSION_DENIED", "Permission "
         "'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/projects/a'",  # noqa: E501
         info("IAM_PERMISSION_DENIED")), Denied, None, "IAM_PERMISSION_DENIED"),
    Case("the API is off", 403, status(403, "PERMISSION_DENIED", "x", info("SERVICE_DISABLED")),
         Denied, None, "SERVICE_DISABLED"),
    Case("403 in HTML", 403, "<html>", Denied),
    Case("no such model", 404, status(404, "NOT_FOUND", NOT_FOUND), Unavailable, None, "NOT_FOUND"),
    Case("404 in HTML", 404, "<html>The requested URL was not found", Unavailable),
    Case("a conflict", 409, status(409, "ABORTED", "x"), ServerError, None, "ABORTED"),
    Case("too large", 413, "Request Entity Too Large", Rejected),
    Case("cancelled", 499, status(499, "CANCELLED", "The operation was cancelled."), ServerError,
         None, "CANCELLED"),
    Case("an internal error", 500, status(500, "INTERNAL", "Internal error encountered."),
         ServerError, None, "INTERNAL"),
    Case("unknown", 500, status(500, "UNKNOWN", "x"), ServerError, None, "UNKNOWN"),
    Case("an error with a delay", 500, status(500, "INTERNAL", "x", retry("1s")), ServerError, 1.0,
         "INTERNAL"),
    Case("not offered", 501, status(501, "UNIMPLEMENTED", "x"), Rejected, None, "UNIMPLEMENTED"),
    Case("a bad gateway", 502, "<html>502", ServerError),
    Case("overloaded", 503, status(503, "UNAVAILABLE", "The model is overloaded."), Overloaded,
         None, "UNAVAILABLE"),
    Case("unavailable, come back", 503, [status(503, "UNAVAILABLE", "x", retry("1.5s"))],
         Overloaded, 1.5, "UNAVAILABLE"),
    Case("503 in HTML", 503, "<html>", Overloaded),
    Case("too slow", 504, status(504, "DEADLINE_EXCEEDED", "Deadline expired."), ServerError, None,
         "DEADLINE_EXCEEDED"),
    Case("a status of tomorrow", 400, status(400, "MOON_PHASE", "x"), Rejected, None, "MOON_PHASE"),
    Case("details that are no list", 429, {"error": {"code": 429, "status": EXHAUSTED,
         "details": {"a": 1}}}, RateLimited, None, EXHAUSTED),
    Case("the error is a string", 400, {"error": "invalid_grant"}, Rejected),
    Case("Claude: too long", 400, claude("invalid_request_error", CLAUDE_TOO_LONG), ContextTooLong,
         None, "invalid_request_error"),
    Case("Claude: wrong", 400, claude("invalid_request_error", "messages: at least one"), Rejected,
         None, "invalid_request_error"),
    Case("Claude: too fast", 429, claude("rate_limit_error", "x"), RateLimited, 9.0,
         "rate_limit_error", ((b"retry-after", b"9"),)),
    Case("Claude: full", 529, claude("overloaded_error", "Overloaded"), Overloaded, None,
         "overloaded_error"),
    Case("Claude: broken", 500, claude("api_error", "x"), ServerError, None, "api_error"),
    Case("Claude: not found", 404, claude("not_found_error", "model: x"), Unavailable, None,
         "not_found_error"),
    Case("Claude: Google's own quota", 429, status(429, EXHAUSTED, "Quota exceeded for "
         "aiplatform.googleapis.com/online_prediction_requests_per_base_model with base model: "
         "anthropic-claude-sonnet-4-5."), RateLimited, None, EXHAUSTED),
    Case("compatible: wrong", 400, {"error": {"message": "x", "type": "invalid_request_error",
         "param": "n", "code": None}}, Rejected, None, "invalid_request_error"),
    Case("compatible: too long", 400, {"error": {"message": "This model's maximum context length is"
         " 8192 tokens.", "type": "invalid_request_error", "code": "context_length_exceeded"}},
         ContextTooLong, None, "context_length_exceeded"),
    Case("compatible: in an array", 400, [status(400, INVALID, "Model x is not supported.")],
         Rejected, None, INVALID),
    Case("compatible: money", 429, {"error": {"message": "x", "type": "insufficient_quota",
         "code": "insufficient_quota"}}, QuotaExhausted, None, "insufficient_quota"),
]  # fmt: skip


def judged(case: Case) -> Upstream:
    body = case.body if isinstance(case.body, str) else json.dumps(case.body)
    raw = b"" if case.body is None else body.encode()
    return ADAPTER.judge(case.status, dict(case.fields), raw, "vertex/gemini")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_failure_means(case: Case) -> None:
    error = judged(case)
    assert type(error) is case.want
    assert (error.after_s, error.provider_code) == (case.after_s, case.code)
    assert error.status == case.status
    assert error.say.startswith("vertex/gemini ")
    assert len(error.say) < 480


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_original_is_kept(case: Case) -> None:
    body = case.body if isinstance(case.body, str) else json.dumps(case.body)
    assert judged(case).body == (b"" if case.body is None else body.encode())


def test_what_is_said_on_names_no_project_and_no_key() -> None:
    secrets = "`projects/acme-ml/x` AIzaSyA-1234 ya29.a0Af_x Bearer abc.def projects/1234567"
    error = ADAPTER.judge(400, {}, json.dumps(status(400, INVALID, secrets)).encode(), "vertex/g")
    for secret in ("acme-ml", "AIzaSy", "ya29", "abc.def", "1234567"):
        assert secret not in error.say
    assert "projects/…" in error.say


def test_the_words_of_a_refused_credential_stay_with_the_vendor() -> None:
    (case,) = (case for case in CASES if case.name == "no permission")
    error = judged(case)
    assert error.say == ("vertex/gemini refused the plane's credentials (IAM_PERMISSION_DENIED).")


@pytest.mark.parametrize(
    ("status_", "name", "fault", "retry"),
    [
        (404, "NOT_FOUND", "plane", "elsewhere"),
        (400, "FAILED_PRECONDITION", "plane", "elsewhere"),
        (400, INVALID, "caller", "never"),
        (501, "UNIMPLEMENTED", "caller", "never"),
    ],
)
def test_a_model_that_is_missing_here_may_be_elsewhere(
    status_: int, name: str, fault: str, retry: str
) -> None:
    body = json.dumps(status(status_, name, "x")).encode()
    error = ADAPTER.judge(status_, {}, body, "vertex/g")
    assert (error.whose_fault, error.retry) == (fault, retry)


def test_no_header_says_what_is_left() -> None:
    assert ADAPTER.read_allowance({b"retry-after": b"3", b"x-ratelimit-limit": b"9"}) is None
