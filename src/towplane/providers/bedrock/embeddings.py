"""Embeddings by InvokeModel: Amazon's Titan and Nova, one text a call, and Cohere's, many at once.

    amazon.titan-embed-text-v1   {"inputText"}                          → {"embedding"}
    amazon.titan-embed-text-v2   … {"dimensions", "embeddingTypes"}     → {"embedding"}
    amazon.nova-…-embeddings     {"taskType", "singleEmbeddingParams"}  → {"embeddings": [{…}]}
    cohere.embed-…               {"texts", "input_type"}                → {"embeddings"}

Only Titan's body says what it used; the others' input tokens stand in a header of the answer
(`x-amzn-bedrock-input-token-count`), so their usage is unknown here. Sources: Bedrock User Guide,
the models' "Inference request parameters"; Nova User Guide, "Embeddings schema". Pure.
"""

import msgspec

from towplane.parts.errors import BadRequest, ProtocolError
from towplane.parts.usage import Usage
from towplane.providers.adapter import Embeddings, EmbeddingsAnswer, Losses, Place, Rendered
from towplane.providers.bedrock.families import base_model, path_of

__all__ = ["read_embeddings", "render_embeddings"]

_MOST_TEXTS = 96
"""Cohere's models take so many texts a call."""
_NOVA_SIZE = 3072
"""What Nova makes where nothing is said."""
_encode = msgspec.json.Encoder().encode


class _NovaVector(msgspec.Struct):
    embedding: list[float]


class _Typed(msgspec.Struct):
    """Cohere's answer by types, of which only this one is asked for."""

    float_: list[list[float]] = msgspec.field(default=[], name="float")


class _Answer(msgspec.Struct, rename="camel"):
    embedding: list[float] | None = None
    input_text_token_count: int | None = None
    embeddings: msgspec.Raw = msgspec.Raw()


_answer = msgspec.json.Decoder(_Answer)
_typed = msgspec.json.Decoder(_Typed)
_listed = msgspec.json.Decoder(list[_NovaVector | list[float]])


def render_embeddings(asked: Embeddings, place: Place, losses: Losses) -> Rendered:
    """The call. Raises BadRequest where the model takes fewer inputs, or no token ids."""
    base = base_model(place.model)
    texts = _texts(asked)
    if asked.user:
        losses.lose("user", where="Bedrock's embeddings")
    if base.startswith("cohere.embed"):
        body = _cohere(texts, asked, base, losses)
    elif base.startswith("amazon.titan-embed"):
        body = _titan(_only(texts, base), asked, base, losses)
    elif base.startswith("amazon.nova") and "embed" in base:
        body = _nova(_only(texts, base), asked)
    else:
        raise BadRequest(
            f"{place.target} offers no embeddings.",
            param="model",
            next_step="Ask a model that embeds.",
            reason="unsupported-operation",
        )
    return Rendered(path_of(place.model, "invoke"), _encode(body))


def read_embeddings(body: bytes) -> EmbeddingsAnswer:
    """The answer of any of these models. Raises ProtocolError."""
    try:
        answer = _answer.decode(body)
        vectors = _vectors(answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise ProtocolError(
            f"Bedrock's embeddings are not what they should be: {wrong}.",
            reason="upstream-protocol",
        ) from None
    tokens = answer.input_text_token_count
    return EmbeddingsAnswer(vectors, Usage(tokens) if tokens is not None else None)


def _texts(asked: Embeddings) -> list[str]:
    texts = [text for text in asked.inputs if isinstance(text, str)]
    if len(texts) != len(asked.inputs):
        raise BadRequest(
            "`input` must be text here: Bedrock takes no token ids.",
            param="input",
            next_step="Send the texts themselves.",
            reason="unsupported-parameter",
        )
    return texts


def _only(texts: list[str], base: str) -> str:
    if len(texts) == 1:
        return texts[0]
    raise BadRequest(
        f"`input` holds {len(texts)} texts, but {base} takes one a call.",
        param="input",
        next_step="Send one text in each request, or ask a model that takes many.",
        reason="unsupported-parameter",
    )


def _titan(text: str, asked: Embeddings, base: str, losses: Losses) -> dict[str, object]:
    body: dict[str, object] = {"inputText": text}
    if asked.dimensions is not None:
        if "-v1" in base:
            losses.lose("dimensions", where=base)
        else:
            body["dimensions"] = asked.dimensions
    return body


def _nova(text: str, asked: Embeddings) -> dict[str, object]:
    return {
        "taskType": "SINGLE_EMBEDDING",
        "singleEmbeddingParams": {
            "embeddingPurpose": "GENERIC_INDEX",
            "embeddingDimension": asked.dimensions or _NOVA_SIZE,
            "text": {"truncationMode": "NONE", "value": text},
        },
    }


def _cohere(texts: list[str], asked: Embeddings, base: str, losses: Losses) -> dict[str, object]:
    if len(texts) > _MOST_TEXTS:
        raise BadRequest(
            f"`input` holds {len(texts)} texts, but {base} takes {_MOST_TEXTS} a call.",
            param="input",
            next_step=f"Send at most {_MOST_TEXTS} texts in each request.",
            reason="unsupported-parameter",
        )
    # Cohere wants to know what for; OpenAI's API has no word for it. Documents are the usual case.
    body: dict[str, object] = {"texts": texts, "input_type": "search_document"}
    if asked.dimensions is not None:
        if "v4" in base:
            body["output_dimension"] = asked.dimensions
        else:
            losses.lose("dimensions", where=base)
    return body


def _vectors(answer: _Answer) -> list[list[float]]:
    if answer.embedding is not None:
        return [answer.embedding]
    if bytes(memoryview(answer.embeddings)[:1]) == b"{":
        return _typed.decode(answer.embeddings).float_
    found = _listed.decode(answer.embeddings)
    return [one.embedding if isinstance(one, _NovaVector) else one for one in found]
