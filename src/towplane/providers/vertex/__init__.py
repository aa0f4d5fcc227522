"""Vertex AI: Gemini in its own wire, Claude in Anthropic's, all else in OpenAI's.

Which of them a target speaks follows from its model's name (`models.py`); this file only chooses.
"""

from towplane.parts.errors import BadRequest
from towplane.providers.adapter import (
    Adapter,
    Embeddings,
    Losses,
    Parser,
    Place,
    Rendered,
)
from towplane.providers.ask import Ask, OperationName
from towplane.providers.conversation.request import Conversation
from towplane.providers.dialects import dialect_of
from towplane.providers.reader import Reader
from towplane.providers.vertex import claude, gemini, openapi
from towplane.providers.vertex.errors import judge
from towplane.providers.vertex.limits import read_allowance
from towplane.providers.vertex.models import family_of
from towplane.providers.vertex.parse import GeminiParser

__all__ = ["ADAPTER"]


def _is_native(operation: OperationName, place: Place) -> bool:
    match family_of(place):
        case "claude":
            return operation in ("messages", "count_tokens")
        case "openai":
            return operation == "chat"
        case "gemini":
            return False


def _passthrough(ask: Ask, place: Place) -> Rendered:
    if family_of(place) == "claude":
        return claude.passthrough(ask, place)
    return openapi.passthrough(ask, place)


def _relay(ask: Ask, place: Place) -> Reader:
    """The dialect's own reader; but what fails is told by Google, in its own words."""
    return dialect_of(ask.operation.dialect).make_relay(ask, place.target)


def _render(conversation: Conversation, place: Place, losses: Losses) -> Rendered:
    match family_of(place):
        case "claude":
            return claude.render(conversation, place, losses)
        case "openai":
            return openapi.render(conversation, place, losses)
        case "gemini":
            return gemini.render(conversation, place, losses)


def _make_parser(place: Place, streams: bool) -> Parser:  # noqa: ARG001  # both come alike
    match family_of(place):
        case "claude":
            return claude.make_parser(place)
        case "openai":
            return openapi.make_parser(place)
        case "gemini":
            return GeminiParser(place)


def _render_embeddings(asked: Embeddings, place: Place, losses: Losses) -> Rendered:
    if family_of(place) == "claude":
        _refuse(place, "offers no embeddings", "Ask a model that embeds.")
    return gemini.render_embeddings(asked, place, losses)


def _render_count(conversation: Conversation, place: Place, losses: Losses) -> Rendered:
    match family_of(place):
        case "claude":
            return claude.render_count(conversation, place, losses)
        case "openai":
            _refuse(place, "cannot count tokens", "Ask a Gemini or a Claude model.")
        case "gemini":
            pass
    return gemini.render_count(conversation, place, losses)


def _read_count(body: bytes) -> int:
    """Each family has its own name for the number. Raises ProtocolError."""
    claimed = claude.read_count(body)
    return gemini.read_count(body) if claimed is None else claimed


def _refuse(place: Place, what: str, next_step: str) -> None:
    raise BadRequest(
        f"{place.target} {what}.",
        param="model",
        next_step=next_step,
        reason="unsupported-operation",
    )


ADAPTER = Adapter(
    kind="vertex",
    is_native=_is_native,
    passthrough=_passthrough,
    render=_render,
    make_parser=_make_parser,
    judge=judge,
    read_allowance=read_allowance,
    relay=_relay,
    render_embeddings=_render_embeddings,
    read_embeddings=gemini.read_embeddings,
    render_count=_render_count,
    read_count=_read_count,
)
