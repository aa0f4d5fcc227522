"""Into this wire and out of it, for clients that speak another dialect.

A server may speak more than chat: what its `apis` name goes to it as it came, too.
"""

from towplane.providers.adapter import Losses, Parser, Place, Rendered
from towplane.providers.ask import OPERATIONS, Ask, OperationName
from towplane.providers.conversation.request import Conversation
from towplane.providers.dialects import dialect_of
from towplane.providers.dialects.chat.ask import body_for as chat_body
from towplane.providers.dialects.chat.parse import make_parser as parser_of
from towplane.providers.dialects.chat.render import ENGINES, render_chat

__all__ = ["is_native", "make_parser", "passthrough", "render"]

_ALWAYS = frozenset(("chat", "completions", "embeddings"))
_BY_API = {"responses": ("responses",), "messages": ("messages", "count_tokens")}


def is_native(operation: OperationName, place: Place) -> bool:
    """Whether the server speaks this operation by itself."""
    if operation in _ALWAYS:
        return True
    apis = place.options.get("apis", "").split()
    return any(operation in _BY_API.get(api, ()) for api in apis)


def passthrough(ask: Ask, place: Place) -> Rendered:
    """The client's own request, with the model's name at this place."""
    if ask.operation.dialect == "chat":
        return Rendered(ask.operation.path, chat_body(ask, place.model))
    dialect = dialect_of(ask.operation.dialect)
    versions = tuple((name.decode(), said.decode()) for name, said in ask.version_headers.items())
    return Rendered(ask.operation.path, dialect.body_for(ask, place.model), versions)


def render(conversation: Conversation, place: Place, losses: Losses) -> Rendered:
    """A conversation of another dialect as a chat request."""
    body = render_chat(conversation, place.model, losses, place.target, ENGINES)
    return Rendered(OPERATIONS["chat"].path, body)


def make_parser(place: Place, streams: bool) -> Parser:  # noqa: ARG001  # it reads both
    """For the answer, a stream or a body."""
    return parser_of(place.target)
