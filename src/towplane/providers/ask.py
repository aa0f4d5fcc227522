"""What one request asks for, read without understanding its prompt.

The body is decoded once, and only its top level: every value stays as the bytes that came. Knows
the operations of the serving port; how a dialect calls its fields is in `dialects/<name>/ask.py`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec

from towplane.parts.errors import BadRequest

if TYPE_CHECKING:
    from towplane.providers.conversation.request import Conversation

__all__ = ["OPERATIONS", "Ask", "DialectName", "Operation", "OperationName", "read_field"]

DialectName = Literal["chat", "responses", "messages"]
OperationName = Literal[
    "chat", "completions", "embeddings", "responses", "messages", "count_tokens"
]


class Operation(msgspec.Struct, frozen=True):
    """One operation of the serving port."""

    name: OperationName
    dialect: DialectName
    """Whose shapes its errors have."""
    path: str
    """Below the API's version path."""
    prompt: str
    """The field that holds the prompt."""
    generates: bool
    """Whether output tokens are made, and may be streamed."""


OPERATIONS: dict[OperationName, Operation] = {
    "chat": Operation("chat", "chat", "/chat/completions", "messages", generates=True),
    "completions": Operation("completions", "chat", "/completions", "prompt", generates=True),
    "embeddings": Operation("embeddings", "chat", "/embeddings", "input", generates=False),
    "responses": Operation("responses", "responses", "/responses", "input", generates=True),
    "messages": Operation("messages", "messages", "/messages", "messages", generates=True),
    "count_tokens": Operation(
        "count_tokens", "messages", "/messages/count_tokens", "messages", generates=False
    ),
}

T = TypeVar("T")
_NONE: dict[bytes, bytes] = {}


class Ask:
    """What one request asks for."""

    __slots__ = ("_conversation", "fields", "input_estimate", "model", "operation", "output_limit",
                 "samples", "stream", "version_headers", "wants_usage")  # fmt: skip

    def __init__(self, operation: Operation, fields: dict[str, msgspec.Raw], model: str) -> None:
        self.operation = operation
        self.fields = fields
        """The top level of the body, in the client's order."""
        self.model = model
        self.stream = False
        self.wants_usage = True
        """Whether the client itself asked for the usage of a stream."""
        self.output_limit: int | None = None
        """Output tokens the client allows for each sample; None: not said."""
        self.samples = 1
        self.input_estimate = 0
        self.version_headers: dict[bytes, bytes] = _NONE
        """Headers by which a dialect says its version or asks for betas (`anthropic-beta`)."""
        self._conversation: Conversation | None = None

    def conversation(
        self, read: "Callable[[dict[str, msgspec.Raw]], Conversation]"
    ) -> "Conversation":
        """The request in normal form; read once however many targets are tried."""
        if self._conversation is None:
            self._conversation = read(self.fields)
        return self._conversation

    def with_fields(self, fields: dict[str, msgspec.Raw]) -> "Ask":
        """The same request with other fields; the request itself may yet go elsewhere."""
        twin = Ask(self.operation, fields, self.model)
        twin.stream = self.stream
        twin.wants_usage = self.wants_usage
        twin.output_limit = self.output_limit
        twin.samples = self.samples
        twin.input_estimate = self.input_estimate
        twin.version_headers = self.version_headers
        twin._conversation = self._conversation
        return twin


def read_field(
    decoder: "msgspec.json.Decoder[T]", raw: msgspec.Raw | bytes, name: str, want: str
) -> T:
    """The value of one field. Raises BadRequest, naming the field."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest(f"`{name}` must be {want}.", param=name, reason="body-invalid") from None
