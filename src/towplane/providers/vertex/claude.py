"""Claude on Vertex AI: Anthropic's Messages behind rawPredict and streamRawPredict.

The model stands in the path, the version in the body, betas in their header; tokens are counted by
a model of the name `count-tokens`, where the model stands in the body (anthropic 2.12.0
`lib/vertex/_client.py`). What the dialect knows is imported when it is first spoken.
"""

import msgspec

from towplane.providers.adapter import Losses, Parser, Place, Rendered
from towplane.providers.ask import Ask
from towplane.providers.conversation.request import Conversation
from towplane.providers.vertex.models import base_of, name_of, path_of

__all__ = ["VERSION", "make_parser", "passthrough", "read_count", "render", "render_count"]

VERSION = "vertex-2023-10-16"
"""`anthropic_version` of the body (Claude docs, "Claude on Vertex AI")."""
_FIRST = "2023-06-01"
"""The version of the header that is the same."""


class _Counted(msgspec.Struct):
    input_tokens: int


_counted = msgspec.json.Decoder(_Counted)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


def passthrough(ask: Ask, place: Place) -> Rendered:
    """The client's own request for this place."""
    from towplane.providers.dialects.messages import body_for_cloud

    beta = ask.version_headers.get(b"anthropic-beta", b"").decode("latin-1")
    headers = (("anthropic-beta", beta),) if beta else ()
    if ask.operation.name == "count_tokens":
        body = _with_model(body_for_cloud(ask, _version_of(ask), False), place)
        return Rendered(_count_path(place), body, headers)
    body = body_for_cloud(ask, _version_of(ask), ask.stream)
    return Rendered(_path(place, ask.stream), body, headers)


def render(conversation: Conversation, place: Place, losses: Losses) -> Rendered:
    """A conversation in another dialect."""
    from towplane.providers.dialects.messages import render_messages

    body = render_messages(
        conversation,
        None,
        losses,
        _where(place),
        known_as=name_of(place.model),
        version=VERSION,
    )
    return Rendered(_path(place, conversation.stream), body)


def render_count(conversation: Conversation, place: Place, losses: Losses) -> Rendered:
    """Count the input of a conversation in another dialect."""
    from towplane.providers.dialects.messages import render_count as render_messages_count

    name = name_of(place.model)
    body = render_messages_count(conversation, name, losses, _where(place), version=VERSION)
    return Rendered(_count_path(place), body)


def read_count(body: bytes) -> int | None:
    """None where the answer is none of Claude's."""
    try:
        return _counted.decode(body).input_tokens
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def make_parser(place: Place) -> Parser:
    """For an answer to `render`."""
    from towplane.providers.dialects.messages import make_parser as make_messages_parser

    return make_messages_parser(place.target)


def _version_of(ask: Ask) -> str:
    """What the client's own version is called in the body: a newer one by its name, as Anthropic's
    client writes it there; the first one has a name of the cloud's."""
    said = ask.version_headers.get(b"anthropic-version", b"").decode("latin-1")
    return said if said > _FIRST else VERSION


def _path(place: Place, stream: bool) -> str:
    return path_of(place, "streamRawPredict" if stream else "rawPredict")


def _count_path(place: Place) -> str:
    return f"/v1/{base_of(place)}publishers/anthropic/models/count-tokens:rawPredict"


def _where(place: Place) -> str:
    return f"Claude on Vertex AI ({name_of(place.model)})"


def _with_model(body: bytes, place: Place) -> bytes:
    model = msgspec.Raw(_encode(name_of(place.model)))
    return _encode({"model": model} | _fields.decode(body))
