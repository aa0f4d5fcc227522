"""What Bedrock's errors mean, case by case: before an answer and inside a stream."""

import json
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
from towplane.providers.bedrock.errors import judge
from towplane.providers.bedrock.parse import ConverseParser
from towplane.providers.conversation.answer import Failed, TextGrows
from towplane.testing.bedrock.frames import error_frame, event_frame, exception_frame, frame

Value = dict[str, Any]

BEGIN = event_frame("messageStart", {"role": "assistant"})


def text(said: str) -> bytes:
    return event_frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": said}})


# ---- failures inside a stream: (name, the frame, the error, what it says)


def fails(name: str, message: str = "No.", **more: Any) -> bytes:
    return exception_frame(name, {"message": message, **more})


FAILURES: list[tuple[str, bytes, type[Upstream], str]] = [
    ("throttling", fails("ThrottlingException"), RateLimited, "throttlingException"),
    ("unavailable", fails("ServiceUnavailableException"), Overloaded,
     "serviceUnavailableException"),
    ("internal", fails("InternalServerException"), ServerError, "internalServerException"),
    ("the model's stream", fails("ModelStreamErrorException"), ServerError,
     "modelStreamErrorException"),
    ("the model's stream, 429",
     fails("ModelStreamErrorException", originalStatusCode=429, originalMessage="slow"),
     RateLimited, "modelStreamErrorException"),
    ("the model's stream, 503",
     fails("ModelStreamErrorException", originalStatusCode=503), Overloaded, "No."),
    ("the model's stream, 529",
     fails("ModelStreamErrorException", originalStatusCode=529), Overloaded, "No."),
    ("the model's stream, 400",
     fails("ModelStreamErrorException", originalStatusCode=400), Rejected, "No."),
    ("the model's stream, 403",
     fails("ModelStreamErrorException", originalStatusCode=403), ServerError, "No."),
    ("the model's stream, 500",
     fails("ModelStreamErrorException", originalStatusCode=500), ServerError, "No."),
    ("the model's stream, only its own words",
     exception_frame("ModelStreamErrorException", {"originalMessage": "Boom."}), ServerError,
     "Boom."),
    ("too slow", fails("ModelTimeoutException"), ServerError, "modelTimeoutException"),
    ("wrong", fails("ValidationException"), Rejected, "validationException"),
    ("too long",
     fails("ValidationException", "Input is too long for requested model."), ContextTooLong,
     "Input is too long"),
    ("filtered",
     fails("ValidationException", "Output blocked by content filtering policy"), Filtered,
     "content filtering policy"),
    ("of a later day", fails("MoodException"), ServerError, "moodException"),
    ("without words", exception_frame("ThrottlingException", {}), RateLimited,
     "t answered throttlingException."),
    ("with a payload that is no JSON",
     frame([(":message-type", 7, "exception"), (":exception-type", 7, "throttlingException")],
           b"<html>"), RateLimited, "throttlingException"),
    ("an error without a model", error_frame("InternalFailure", "down"), ServerError, "down"),
    ("an error with an exception's name", error_frame("ThrottlingException", "slow"), RateLimited,
     "slow"),
]  # fmt: skip


@pytest.mark.parametrize("begun", [False, True], ids=["first", "after a token"])
@pytest.mark.parametrize("failure", FAILURES, ids=[failure[0] for failure in FAILURES])
def test_a_failure_in_a_stream(
    failure: tuple[str, bytes, type[Upstream], str], begun: bool
) -> None:
    _, data, error, say = failure
    parser = ConverseParser("t")
    events = parser.feed((BEGIN + text("a") if begun else b"") + data + text("b"))
    assert [event.text for event in events if isinstance(event, TextGrows)] == ["a"] * begun
    last = events[-1]
    assert isinstance(last, Failed)
    assert type(last.error) is error
    assert last.error.in_stream
    assert say in last.error.say
    assert last.error.status is None
    assert parser.is_done
    assert parser.close() == []


# ---- errors before an answer: (name in the header, status, message, error, words of it)

LONG = [
    "Input is too long for requested model.",
    "The model returned the following errors: Input is too long for requested model.",
    "The model returned the following errors: prompt is too long: 903884 tokens > 200000 maximum",
    "The model returned the following errors: input length and `max_tokens` exceed context limit: "
    "188240 + 21333 > 200000, decrease input length or `max_tokens` and try again",
    "Input Tokens Exceeded: Number of input tokens exceeds maximum length. Please update the input "
    "to try again.",
    "too many total text bytes: 26000000",
    "Mantle streaming error for requestId 1: This model's maximum context length is 202752 tokens. "
    "However, you requested 65536 output tokens and your prompt contains at least 137217 input "
    "tokens",
    "This model's maximum prompt length is 131072 but the request contains 141072 tokens: prompt "
    "exceeds the maximum number of tokens",
    "Request is too long",
]
HTTP: list[tuple[str, int, str, type[Upstream]]] = [
    ("ThrottlingException", 429, "Too many requests, please wait before trying again.",
     RateLimited),
    ("ThrottlingException", 429, "Too many tokens, please wait before trying again.", RateLimited),
    ("ThrottlingException", 400, "Too many connections, please wait.", RateLimited),
    ("TooManyRequestsException", 429, "", RateLimited),
    ("ServiceQuotaExceededException", 400, "Your request exceeds the quota.", QuotaExhausted),
    ("ModelNotReadyException", 429, "The model is not ready for inference.", Overloaded),
    ("ServiceUnavailableException", 503, "Bedrock is unable to process your request.", Overloaded),
    ("InternalServerException", 500, "The system encountered an unexpected error.", ServerError),
    ("InternalFailure", 500, "", ServerError),
    ("ModelErrorException", 424, "The model failed.", ServerError),
    ("ModelTimeoutException", 408, "Model has timed out in processing the request.", ServerError),
    ("ValidationException", 400, "Malformed input request: extraneous key [x]", Rejected),
    ("ValidationException", 400, "The provided model identifier is invalid.", Unavailable),
    ("ValidationException", 400, "Invocation of model ID x with on-demand throughput isn’t "
     "supported. Retry your request with the ID or ARN of an inference profile.", Unavailable),
    ("ValidationException", 400, "Output blocked by content filtering policy", Filtered),
    ("SerializationException", 400, "STRING_VALUE cannot be converted to Integer", Rejected),
    ("ConflictException", 400, "", Rejected),
    ("ResourceNotFoundException", 404, "This model version has reached the end of its life.",
     Unavailable),
    ("UnknownOperationException", 404, "", Unavailable),
    ("AccessDeniedException", 403,
     "You don't have access to the model with the specified model ID.", Denied),
    ("AccessDeniedException", 403, "User: arn:aws:iam::123456789012:user/x is not authorized",
     Denied),
    ("ExpiredTokenException", 403, "The security token included in the request is expired", Denied),
    ("UnrecognizedClientException", 403, "The security token included in the request is invalid.",
     Denied),
    ("InvalidSignatureException", 403, "Signature expired: 20261123T120000Z is now earlier",
     Denied),
    ("IncompleteSignatureException", 403, "", Denied),
    ("MissingAuthenticationTokenException", 403, "Missing Authentication Token", Denied),
    ("", 401, "Unauthorized", Denied),
    ("", 403, "Forbidden", Denied),
    ("", 429, "slow", RateLimited),
    ("", 503, "down", Overloaded),
    ("", 500, "down", ServerError),
    ("", 502, "Bad Gateway", ServerError),
    ("", 504, "Gateway Timeout", ServerError),
    ("", 408, "slow", ServerError),
    ("", 413, "Request Entity Too Large", Rejected),
    ("", 501, "Not Implemented", Rejected),
    ("", 400, "wrong", Rejected),
    ("NewlyInventedException", 400, "wrong", Rejected),
    ("NewlyInventedException", 500, "down", ServerError),
    *(("ValidationException", 400, message, ContextTooLong) for message in LONG),
]  # fmt: skip


@pytest.mark.parametrize(("name", "status", "message", "want"), HTTP)
def test_an_error_before_the_answer(
    name: str, status: int, message: str, want: type[Upstream]
) -> None:
    """The header's name decides, with and without the tail that AWS puts behind it."""
    told = json.dumps({"message": message}).encode()
    for tail in (b"", b":http://internal.amazon.com/coral/com.amazon.bedrock/"):
        fields = {b"x-amzn-errortype": name.encode() + tail} if name else {}
        error = judge(status, fields, told, "t")
        assert type(error) is want
        assert error.status == status
        assert error.body == told
        assert error.provider_code == name
        if want is Denied:
            assert message == "" or message not in error.say
        elif message:
            assert message in error.say


@pytest.mark.parametrize(
    "told",
    [
        {"__type": "ThrottlingException", "message": "slow"},
        {"__type": "com.amazon.coral.availability#ThrottlingException", "Message": "slow"},
        {"__type": "com.amazon.bedrock#ThrottlingException:http://x/", "message": "slow"},
        {"error": {"type": "ThrottlingException", "message": "slow", "code": None}},
        {"Output": {"__type": "com.amazon.coral.service#ThrottlingException", "message": "slow"}},
    ],
)
def test_the_name_may_stand_in_the_body(told: Value) -> None:
    error = judge(400, {}, json.dumps(told).encode(), "t")
    assert type(error) is RateLimited
    assert error.provider_code == "ThrottlingException"
    assert error.say == "t answered ThrottlingException: slow"


@pytest.mark.parametrize(
    ("status", "want"),
    [
        (400, Rejected),
        (429, RateLimited),
        (503, Overloaded),
        (500, ServerError),
        (401, ServerError),
    ],
)
def test_a_models_own_error_is_read_by_its_original_status(
    status: int, want: type[Upstream]
) -> None:
    told = {"message": "No.", "originalStatusCode": status, "resourceName": "m"}
    fields = {b"x-amzn-errortype": b"ModelErrorException"}
    assert type(judge(424, fields, json.dumps(told).encode(), "t")) is want


def test_when_to_come_back() -> None:
    fields = {b"x-amzn-errortype": b"ThrottlingException"}
    assert judge(429, fields, b'{"message":"slow"}', "t").after_s is None
    assert judge(429, fields | {b"retry-after": b"7"}, b"{}", "t").after_s == 7
    day = b'{"message":"Too many tokens per day, please wait before trying again."}'
    assert judge(429, fields, day, "t").after_s == 60


def test_long_words_are_cut() -> None:
    error = judge(400, {}, json.dumps({"message": "x" * 5000}).encode(), "t")
    assert len(error.say) < 1100


def test_a_body_that_is_no_json_is_judged_by_its_status() -> None:
    error = judge(503, {}, b"<html>503</html>", "t")
    assert type(error) is Overloaded
    assert error.say == "t answered 503."
