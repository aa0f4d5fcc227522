"""Amazon Bedrock: `kind: bedrock`. How a model is called, its operation and `options["api"]` say:

    api       messages to Claude    chat, responses       everything else
    auto      InvokeModel, native   Converse              Converse
    invoke    InvokeModel, native   Converse; Claude by   Converse
                                    InvokeModel
    converse  Converse              Converse              Converse
    openai    /openai/v1            /openai/v1, native    /openai/v1

Counts go to CountTokens, embeddings to InvokeModel. Requests are signed with SigV4 where the
credential has keys; a Bedrock API key comes as a header.
"""

import msgspec

from towplane.parts.errors import BadRequest
from towplane.providers.adapter import Adapter, Losses, Parser, Place, Rendered
from towplane.providers.ask import OPERATIONS, Ask, OperationName
from towplane.providers.bedrock.embeddings import read_embeddings, render_embeddings
from towplane.providers.bedrock.errors import judge
from towplane.providers.bedrock.families import family_of
from towplane.providers.bedrock.invoke import (
    InvokeCountReader,
    InvokeParser,
    InvokeRelay,
    invoke,
    invoke_count,
    read_count,
    render_invoke,
)
from towplane.providers.bedrock.limits import read_allowance
from towplane.providers.bedrock.parse import ConverseParser
from towplane.providers.bedrock.sigv4 import sign
from towplane.providers.bedrock.tiers import service_tier
from towplane.providers.bedrock.translate import render_converse, render_count
from towplane.providers.conversation.request import Conversation
from towplane.providers.dialects import dialect_of
from towplane.providers.dialects.chat.parse import make_parser as make_chat_parser
from towplane.providers.dialects.chat.render import render_chat
from towplane.providers.reader import Reader

__all__ = ["ADAPTER"]

_OPENAI = "/openai/v1"
_encode = msgspec.json.Encoder().encode


def _api(place: Place) -> str:
    return place.options.get("api", "auto")


def _is_claude(place: Place) -> bool:
    return family_of(place.model).name == "anthropic"


def _is_native(operation: OperationName, place: Place) -> bool:
    api = _api(place)
    if operation in ("chat", "responses"):
        return api == "openai"
    if operation in ("messages", "count_tokens"):
        return api in ("auto", "invoke") and _is_claude(place)
    return False


def _passthrough(ask: Ask, place: Place) -> Rendered:
    name = ask.operation.name
    if name == "messages":
        return invoke(ask, place)
    if name == "count_tokens":
        return invoke_count(ask, place)
    dialect = dialect_of(ask.operation.dialect)
    tier = place.options.get("service")
    if tier and "service_tier" not in ask.fields:
        ask = ask.with_fields({**ask.fields, "service_tier": msgspec.Raw(_encode(tier))})
    return Rendered(_OPENAI + ask.operation.path, dialect.body_for(ask, place.model))


def _relay(ask: Ask, place: Place) -> Reader:
    """Readers of their own: frames are not events, and errors are told in AWS's words."""
    match ask.operation.name:
        case "messages":
            return InvokeRelay(ask, place)
        case "count_tokens":
            return InvokeCountReader()
        case _:
            return dialect_of(ask.operation.dialect).make_relay(ask, place.target)


def _render(conversation: Conversation, place: Place, losses: Losses) -> Rendered:
    api = _api(place)
    if api == "openai":
        tier = service_tier(conversation, place, losses)
        told = msgspec.structs.replace(conversation, service=tier)
        body = render_chat(told, place.model, losses, "Bedrock's OpenAI endpoint")
        return Rendered(_OPENAI + OPERATIONS["chat"].path, body)
    if api == "invoke" and _is_claude(place):
        return render_invoke(conversation, place, losses)
    return render_converse(conversation, place, losses)


def _render_count(conversation: Conversation, place: Place, losses: Losses) -> Rendered:
    if _api(place) == "openai":
        raise BadRequest(
            f"{place.target} cannot count tokens.",
            param="model",
            next_step="Ask a model that Bedrock counts for, such as Claude.",
            reason="unsupported-operation",
        )
    return render_count(conversation, place, losses)


def _make_parser(place: Place, streams: bool) -> Parser:  # noqa: ARG001  # one parser reads both
    api = _api(place)
    if api == "openai":
        return make_chat_parser(place.target)
    if api == "invoke" and _is_claude(place):
        return InvokeParser(place)
    return ConverseParser(place.target)


ADAPTER = Adapter(
    kind="bedrock",
    is_native=_is_native,
    passthrough=_passthrough,
    render=_render,
    make_parser=_make_parser,
    judge=judge,
    read_allowance=read_allowance,
    relay=_relay,
    sign=sign,
    render_embeddings=render_embeddings,
    read_embeddings=read_embeddings,
    render_count=_render_count,
    read_count=read_count,
)
