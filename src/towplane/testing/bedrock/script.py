"""What the fake Bedrock does with one request: a value, written by a test.

A script is found, in this order: in the queue of the model, by the chooser that the server was
made with, in its table by model; else it is `GOOD`. The defaults are a well-behaved model.
"""

from typing import Any, Literal

import msgspec

__all__ = ["ERRORS", "GOOD", "Break", "Call", "Script"]

ERRORS = {
    # botocore 1.44.5 `bedrock-runtime`; the last six are AWS's front door's
    "AccessDeniedException": 403,
    "ThrottlingException": 429,
    "ResourceNotFoundException": 404,
    "ModelTimeoutException": 408,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
    "ValidationException": 400,
    "ModelNotReadyException": 429,
    "ModelErrorException": 424,
    "ModelStreamErrorException": 424,
    "ServiceQuotaExceededException": 400,
    "ConflictException": 400,
    "ExpiredTokenException": 403,
    "UnrecognizedClientException": 403,
    "InvalidSignatureException": 403,
    "IncompleteSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "UnknownOperationException": 404,
}
"""By exception: its status."""


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call that the model makes."""

    name: str
    arguments: dict[str, Any] = {}


class Break(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something goes wrong once the answer has begun."""

    how: Literal[
        "reset",  # a TCP reset
        "close",  # an orderly close in the middle
        "end",  # the body ends as if it were whole
        "stall",  # silence until the client goes
        "exception",  # a frame with an exception, then the end
        "error",  # a frame with an unmodelled error, then the end
        "garbage",  # a frame with a wrong checksum
    ]
    after: int = 0
    """So many frames of the stream have been sent before it happens."""
    exception: str = "ModelStreamErrorException"
    message: str = "The model failed."
    original_status: int | None = None


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer."""

    exception: str = ""
    """Answered instead, with its status."""
    message: str = "Something is wrong."
    """Of the exception."""
    original_status: int | None = None
    headers: dict[str, str] = {}
    """More headers of the answer."""
    tokens: int = 8
    """Output tokens, if the request's own maximum allows them."""
    text: str | None = None
    """What the model says, instead of its usual words."""
    thoughts: int = 0
    """Tokens that it thinks before, also where it was not asked to."""
    redacted: bool = False
    """A thought that nobody can read comes, too."""
    calls: list[Call] | None = None
    """Tools that it calls; None: as the request wants it."""
    stop_reason: str = ""
    """Instead of the right one."""
    cites: bool = False
    """The answer cites the first document."""
    metadata: Literal["right", "missing", "no_usage"] = "right"
    """Of a stream: whether its last event comes, and has usage."""
    metrics: bool = True
    """Of an InvokeModel stream: `amazon-bedrock-invocationMetrics`."""
    text_starts: bool = False
    """A `contentBlockStart` for text, which the original does not send."""
    padding: bool = True
    """The field `p` in the events."""
    fails: Break | None = None
    head_delay_s: float = 0.0
    first_token_delay_s: float = 0.0
    pace_s: float = 0.0
    """Between frames."""
    cut_after: int | None = None
    """So many bytes of the body are sent, then the connection is reset."""
    shred: int | None = None
    """A seed: the body is written in pieces of random size."""


GOOD = Script()
