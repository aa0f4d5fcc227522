"""Servers that speak OpenAI's API: `kind: openai-compatible`, and the engines that speak it too."""

from towplane.providers.adapter import Adapter, Allowance, Fields, Parser, Place, Rendered
from towplane.providers.ask import Ask, OperationName
from towplane.providers.conversation.request import Conversation
from towplane.providers.dialects.chat import body_for
from towplane.providers.openai_compatible.errors import judge

__all__ = ["ADAPTER"]

_NATIVE = frozenset(("chat", "completions", "embeddings"))


def _is_native(operation: OperationName, place: Place) -> bool:
    return operation in place.options.get("apis", "").split() or operation in _NATIVE


def _passthrough(ask: Ask, place: Place) -> Rendered:
    return Rendered(ask.operation.path, body_for(ask, place.model))


def _render(conversation: Conversation, place: Place, losses: object) -> Rendered:
    raise NotImplementedError


def _make_parser(place: Place, streams: bool) -> Parser:
    raise NotImplementedError


def _read_allowance(fields: Fields) -> Allowance | None:
    return None


ADAPTER = Adapter(
    kind="openai-compatible",
    is_native=_is_native,
    passthrough=_passthrough,
    render=_render,
    make_parser=_make_parser,
    judge=judge,
    read_allowance=_read_allowance,
)
