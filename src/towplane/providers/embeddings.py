"""Embeddings for a provider that has its own wire for them: OpenAI's request in, its answer out."""

import base64
import struct

import msgspec

from towplane.parts.errors import BadRequest, ProtocolError
from towplane.providers.adapter import Adapter, Call, Embeddings, Losses, Place
from towplane.providers.ask import Ask, read_field
from towplane.providers.dialects.chat.body import Body, count, refuse
from towplane.providers.reader import Reader

__all__ = ["prepare_embeddings", "read_embeddings_request"]

_inputs = msgspec.json.Decoder(str | list[str | int | list[int]])
_WANTED = "text, a list of texts, token ids, or a list of those"


class _Vector(msgspec.Struct):
    index: int
    embedding: list[float] | str
    object: str = "embedding"


class _Usage(msgspec.Struct):
    prompt_tokens: int
    total_tokens: int


class _Answer(msgspec.Struct):
    data: list[_Vector]
    model: str
    usage: _Usage | None
    object: str = "list"


def prepare_embeddings(ask: Ask, place: Place, adapter: Adapter, losses: Losses) -> Call:
    """The call that embeds. Raises BadRequest where the provider has no embeddings."""
    if adapter.render_embeddings is None or adapter.read_embeddings is None:
        raise BadRequest(
            f"{place.target} offers no embeddings.",
            param="model",
            next_step="Ask a model that embeds.",
            reason="unsupported-operation",
        )
    asked = read_embeddings_request(ask.fields)
    for name in asked.extra:
        losses.lose(name, where=place.target)
    rendered = adapter.render_embeddings(asked, place, losses)
    return Call(
        rendered,
        _EmbeddingsReader(adapter, asked, ask.model),
        is_native=False,
        content_type=b"application/json",
        dropped=tuple(losses.dropped),
    )


def read_embeddings_request(fields: dict[str, msgspec.Raw]) -> Embeddings:
    """OpenAI's request in normal form. Raises BadRequest, naming the parameter."""
    body = Body(fields)
    body.raw("model")
    given = body.raw("input")
    if given is None:
        refuse("input", "is missing")
    inputs = _as_list(read_field(_inputs, given, "input", _WANTED))
    encoding = body.text("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        refuse("encoding_format", "must be float or base64")
    dimensions = body.take("dimensions", count, "a whole number")
    return Embeddings(inputs, dimensions, encoding, body.text("user"), extra=body.left)


class _EmbeddingsReader(Reader):
    """Makes OpenAI's answer of the provider's."""

    __slots__ = ("_adapter", "_asked", "_model")

    def __init__(self, adapter: Adapter, asked: Embeddings, model: str) -> None:
        super().__init__()
        self._adapter = adapter
        self._asked = asked
        self._model = model

    def read(self, payload: bytes, *, whole: bool) -> tuple[bytes, int, bool]:  # noqa: ARG002  # never called
        raise ProtocolError("Embeddings are not streamed.")

    def read_whole(self, body: bytes) -> tuple[bytes, int]:
        assert self._adapter.read_embeddings is not None
        answer = self._adapter.read_embeddings(body)
        self.usage = answer.usage
        if len(answer.vectors) != len(self._asked.inputs):
            raise ProtocolError(
                "The target answered with another number of vectors than it was given texts.",
                reason="upstream-protocol",
            )
        packs = self._asked.encoding == "base64"
        vectors = [
            _Vector(place, _pack(vector) if packs else vector)
            for place, vector in enumerate(answer.vectors)
        ]
        tokens = answer.usage.input if answer.usage is not None else None
        usage = _Usage(tokens, tokens) if tokens is not None else None
        return msgspec.json.encode(_Answer(vectors, answer.model or self._model, usage)), 0

    @property
    def passes_through(self) -> bool:
        return False


def _as_list(given: str | list[str | int | list[int]]) -> list[str] | list[list[int]]:
    """Several texts, each as words or as tokens; a list of numbers is one text."""
    if isinstance(given, str):
        return [given]
    texts = [one for one in given if isinstance(one, str)]
    tokens = [one for one in given if isinstance(one, int)]
    lists = [one for one in given if isinstance(one, list)]
    if not given or len(given) not in (len(texts), len(tokens), len(lists)):
        refuse("input", f"must be {_WANTED}")
    return texts or lists or [tokens]


def _pack(vector: list[float]) -> str:
    """OpenAI's base64: little-endian 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
