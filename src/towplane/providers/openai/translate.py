"""Requests for OpenAI's API: three dialects as they came, Anthropic's Messages as chat completions.

Knows no answer. Who pays, and for which project, stands in headers of the place's own.
"""

from towplane.providers.adapter import Losses, Parser, Place, Rendered
from towplane.providers.ask import Ask, OperationName
from towplane.providers.conversation.request import Conversation
from towplane.providers.dialects import dialect_of

__all__ = ["NATIVE", "is_native", "make_parser", "passthrough", "render"]

NATIVE: frozenset[OperationName] = frozenset(("chat", "completions", "embeddings", "responses"))
_ACCOUNT = (("organization", "OpenAI-Organization"), ("project", "OpenAI-Project"))


def is_native(operation: OperationName, place: Place) -> bool:  # noqa: ARG001  # all places are alike
    """Whether the API speaks this operation as the client does."""
    return operation in NATIVE


def passthrough(ask: Ask, place: Place) -> Rendered:
    """The client's own request for this place."""
    operation = ask.operation
    body = dialect_of(operation.dialect).body_for(ask, place.model)
    return Rendered(operation.path, body, _account(place))


def render(conversation: Conversation, place: Place, losses: Losses) -> Rendered:
    """A conversation as chat completions. Raises BadRequest."""
    from towplane.providers.dialects.chat.render import render_chat  # only where it is needed

    body = render_chat(conversation, place.model, losses, place.target)
    return Rendered("/chat/completions", body, _account(place))


def make_parser(place: Place, streams: bool) -> Parser:  # noqa: ARG001  # chat reads both alike
    """For an answer to `render`."""
    from towplane.providers.dialects.chat.parse import make_parser as make

    return make(place.target)


def _account(place: Place) -> tuple[tuple[str, str], ...]:
    options = place.options
    return tuple((header, options[name]) for name, header in _ACCOUNT if options.get(name))
