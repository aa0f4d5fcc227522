"""Gemini's own methods: generate, count tokens, embed; each a body, a path and a reader.

Knows no other family of models. Embeddings: `:predict` with instances for the `text-embedding-…`
and `gemini-embedding-001` models, which take many texts at once; `:embedContent` for the ones after
them, which take one text a call (google-genai 3.4.0 `models.py`, `_transformers.py`).
"""

import msgspec

from towplane.parts.errors import BadRequest, ProtocolError
from towplane.parts.usage import Usage
from towplane.providers.adapter import Embeddings, EmbeddingsAnswer, Losses, Place, Rendered
from towplane.providers.conversation.request import Conversation
from towplane.providers.vertex.models import name_of, path_of
from towplane.providers.vertex.translate import headers_of, request_of
from towplane.providers.vertex.wire import Content, SentPart, UsageMetadata

__all__ = ["read_count", "read_embeddings", "render", "render_count", "render_embeddings"]

_encode = msgspec.json.Encoder().encode
_PREDICTED = ("text-embedding", "text-multilingual-embedding", "gemini-embedding-001",
              "gemini-embedding-exp")  # fmt: skip


class _Instance(msgspec.Struct):
    content: str


class _Width(msgspec.Struct, rename="camel"):
    output_dimensionality: int


class _Predict(msgspec.Struct, omit_defaults=True):
    instances: list[_Instance]
    parameters: _Width | None = None


class _Embed(msgspec.Struct, rename="camel", omit_defaults=True):
    content: Content
    embed_content_config: _Width | None = None


class _Statistics(msgspec.Struct):
    token_count: float | None = None


class _Vector(msgspec.Struct):
    values: list[float]
    statistics: _Statistics | None = None


class _Prediction(msgspec.Struct):
    embeddings: _Vector


class _Embedded(msgspec.Struct, rename="camel"):
    predictions: list[_Prediction] | None = None
    embedding: _Vector | None = None
    usage_metadata: UsageMetadata | None = None


class _Counted(msgspec.Struct, rename="camel"):
    total_tokens: int = 0


_embedded = msgspec.json.Decoder(_Embedded)
_counted = msgspec.json.Decoder(_Counted)


def render(conversation: Conversation, place: Place, losses: Losses) -> Rendered:
    """generateContent, or its stream as server-sent events."""
    method = "streamGenerateContent?alt=sse" if conversation.stream else "generateContent"
    headers = headers_of(conversation, losses, f"Gemini ({place.model})")
    body = _encode(request_of(conversation, place, losses))
    return Rendered(path_of(place, method), body, headers)


def render_count(conversation: Conversation, place: Place, losses: Losses) -> Rendered:
    """countTokens takes what generateContent takes, but for what is no part of the prompt."""
    request = request_of(conversation, place, losses)
    request.tool_config = request.generation_config = None
    request.cached_content = request.safety_settings = request.labels = None
    return Rendered(path_of(place, "countTokens"), _encode(request))


def read_count(body: bytes) -> int:
    """protobuf leaves a count of 0 out. Raises ProtocolError."""
    try:
        return _counted.decode(body).total_tokens
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise ProtocolError("The count is no JSON.", reason="upstream-protocol") from wrong


def render_embeddings(asked: Embeddings, place: Place, losses: Losses) -> Rendered:
    """Texts only: nobody outside has Gemini's tokens."""
    texts = [text for text in asked.inputs if isinstance(text, str)]
    if len(texts) < len(asked.inputs):
        _refuse_input("`input` must be text for this model, not token ids.")
    if asked.user:
        losses.lose("user", where=f"Gemini ({place.model})")
    width = _Width(asked.dimensions) if asked.dimensions is not None else None
    if name_of(place.model).startswith(_PREDICTED):
        body = _encode(_Predict([_Instance(text) for text in texts], width))
        return Rendered(path_of(place, "predict"), body)
    if len(texts) != 1:
        _refuse_input(f"{name_of(place.model)} takes one text in each request.")
    body = _encode(_Embed(Content([SentPart(text=texts[0])]), width))
    return Rendered(path_of(place, "embedContent"), body)


def read_embeddings(body: bytes) -> EmbeddingsAnswer:
    """The vectors; tokens where every one of them says its own. Raises ProtocolError."""
    try:
        said = _embedded.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise ProtocolError("These are no embeddings.", reason="upstream-protocol") from wrong
    if said.embedding is not None:
        counted = said.usage_metadata
        tokens = counted.prompt_token_count if counted is not None else None
        usage = Usage(tokens) if tokens is not None else None
        return EmbeddingsAnswer([said.embedding.values], usage)
    vectors = [prediction.embeddings for prediction in said.predictions or ()]
    if not vectors:
        raise ProtocolError("The answer holds no embeddings.", reason="upstream-protocol")
    counts = [one.statistics.token_count for one in vectors if one.statistics is not None]
    known = [count for count in counts if count is not None]
    total = Usage(int(sum(known))) if len(known) == len(vectors) else None
    return EmbeddingsAnswer([one.values for one in vectors], total)


def _refuse_input(say: str) -> None:
    raise BadRequest(say, param="input", reason="body-invalid")
