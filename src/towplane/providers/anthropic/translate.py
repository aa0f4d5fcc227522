"""Requests for Anthropic: the client's own in its own dialect, or a conversation rendered into it.

The dialect is `dialects/messages`; here is only where it goes and which version it says. Pure.
"""

import msgspec

from towplane.parts.errors import ProtocolError
from towplane.providers.adapter import Losses, Parser, Place, Rendered
from towplane.providers.anthropic.wire import (
    COUNT_PATH,
    DEFAULT_VERSION,
    MESSAGES_PATH,
    VERSION_HEADERS,
    Count,
)
from towplane.providers.ask import Ask, OperationName
from towplane.providers.conversation.request import Conversation
from towplane.providers.dialects.messages import (
    body_for,
    make_parser,
    render_count,
    render_messages,
)

__all__ = ["count_request", "is_native", "passthrough", "read_count", "render", "response_parser"]

_WHERE = "Anthropic's Messages API"
_PATHS: dict[OperationName, str] = {"messages": MESSAGES_PATH, "count_tokens": COUNT_PATH}
_VERSION = (("anthropic-version", DEFAULT_VERSION),)

_count = msgspec.json.Decoder(Count)


def is_native(operation: OperationName, place: Place) -> bool:  # noqa: ARG001  # the same everywhere
    """Messages, and the counting of their tokens."""
    return operation in _PATHS


def passthrough(ask: Ask, place: Place) -> Rendered:
    """The client's own request; its version and betas as it said them."""
    said = ask.version_headers
    headers = tuple(
        (name.decode(), said[name].decode("latin-1")) for name in VERSION_HEADERS if name in said
    )
    if b"anthropic-version" not in said:
        headers += _VERSION
    return Rendered(_PATHS[ask.operation.name], body_for(ask, place.model), headers)


def render(conversation: Conversation, place: Place, losses: Losses) -> Rendered:
    """A conversation of another dialect."""
    body = render_messages(conversation, place.model, losses, _WHERE)
    return Rendered(MESSAGES_PATH, body, _VERSION)


def response_parser(place: Place, streams: bool) -> Parser:  # noqa: ARG001  # one reads both
    """A parser of the answer to `render`."""
    return make_parser(place.target)


def count_request(conversation: Conversation, place: Place, losses: Losses) -> Rendered:
    """Count the input tokens of a conversation."""
    return Rendered(COUNT_PATH, render_count(conversation, place.model, losses, _WHERE), _VERSION)


def read_count(body: bytes) -> int:
    """The count. Raises ProtocolError."""
    try:
        return _count.decode(body).input_tokens
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise ProtocolError(
            f"The count of tokens is not what it should be: {wrong}.", reason="upstream-protocol"
        ) from None
