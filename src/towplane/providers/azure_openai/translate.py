"""Requests for Azure OpenAI: OpenAI's own, at Azure's paths.

    v1       /openai/v1/OPERATION                                      model = deployment
    legacy   /openai/deployments/DEPLOYMENT/OPERATION?api-version=…    and Responses, which names
             /openai/responses?api-version=…                           its deployment as its model

Knows no answer. Spillover from a provisioned deployment is asked for with every request, so that
it needs no property of the deployment; Azure offers none for Responses.
"""

from functools import lru_cache
from urllib.parse import quote

import msgspec

from towplane.providers.adapter import Losses, Parser, Place, Rendered
from towplane.providers.ask import OPERATIONS, Ask, Operation, OperationName
from towplane.providers.conversation.request import Conversation
from towplane.providers.dialects import dialect_of

__all__ = ["is_native", "make_parser", "passthrough", "render"]

_NATIVE: frozenset[OperationName] = frozenset(("chat", "completions", "embeddings", "responses"))
_deployments = msgspec.json.Decoder(dict[str, str])


def is_native(operation: OperationName, place: Place) -> bool:  # noqa: ARG001  # all places are alike
    """Whether the API speaks this operation as the client does."""
    return operation in _NATIVE


def passthrough(ask: Ask, place: Place) -> Rendered:
    """The client's own request for this place."""
    operation = ask.operation
    body = dialect_of(operation.dialect).body_for(ask, place.model)
    return Rendered(_path(operation, place), body, _headers(operation, place))


def render(conversation: Conversation, place: Place, losses: Losses) -> Rendered:
    """A conversation as chat completions. Raises BadRequest."""
    from towplane.providers.dialects.chat.render import render_chat  # only where it is needed

    operation = OPERATIONS["chat"]
    body = render_chat(conversation, place.model, losses, place.target)
    return Rendered(_path(operation, place), body, _headers(operation, place))


def make_parser(place: Place, streams: bool) -> Parser:  # noqa: ARG001  # chat reads both alike
    """For an answer to `render`."""
    from towplane.providers.dialects.chat.parse import make_parser as make

    return make(place.target)


def _path(operation: Operation, place: Place) -> str:
    version = place.options.get("api_version")
    if not version:
        return f"/openai/v1{operation.path}"
    query = f"?api-version={quote(version, safe='')}"
    if operation.name == "responses":
        return f"/openai/responses{query}"
    return f"/openai/deployments/{quote(place.model, safe='')}{operation.path}{query}"


def _headers(operation: Operation, place: Place) -> tuple[tuple[str, str], ...]:
    spillover = place.options.get("spillover")
    if not spillover or operation.name == "responses":
        return ()
    deployment = _read_spillover(spillover).get(place.model)
    return (("x-ms-spillover-deployment", deployment),) if deployment else ()


@lru_cache(maxsize=64)  # one text for each provider of a document
def _read_spillover(text: str) -> dict[str, str]:
    return _deployments.decode(text)
