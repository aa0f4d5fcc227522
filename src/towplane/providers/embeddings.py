"""Embeddings for a provider that has its own wire for them: OpenAI's request in, its answer out."""

import base64
import struct

import msgspec

from towplane.parts.errors import BadRequest, ProtocolError
from towplane.providers.adapter import Adapter, Call, Embeddings, Losses, Place, Reader
from towplane.providers.ask import Ask, read_field

__all__ = ["prepare_embeddings", "read_embeddings_request"]

_inputs = msgspec.json.Decoder(str | list[str] | list[int] | list[list[int]])
_count = msgspec.json.Decoder(int | None)
_text = msgspec.json.Decoder(str)
_KNOWN = frozenset(("model", "input", "dimensions", "encoding_format", "user"))


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
        _EmbeddingsReader(adapter, asked.encoding, ask.model),
        is_native=False,
        content_type=b"application/json",
        dropped=tuple(losses.dropped),
    )


def read_embeddings_request(fields: dict[str, msgspec.Raw]) -> Embeddings:
    """OpenAI's request in normal form. Raises BadRequest, naming the parameter."""
    if "input" not in fields:
        raise BadRequest("The body has no `input`.", param="input", reason="body-invalid")
    given = read_field(_inputs, fields["input"], "input", "text, texts or token ids")
    dimensions = fields.get("dimensions")
    encoding = fields.get("encoding_format")
    user = fields.get("user")
    return Embeddings(
        inputs=_as_list(given),
        dimensions=None
        if dimensions is None
        else read_field(_count, dimensions, "dimensions", "a whole number"),
        encoding="float"
        if encoding is None
        else read_field(_text, encoding, "encoding_format", "float or base64"),
        user="" if user is None else read_field(_text, user, "user", "a string"),
        extra={name: raw for name, raw in fields.items() if name not in _KNOWN},
    )


class _EmbeddingsReader(Reader):
    """Makes OpenAI's answer of the provider's."""

    __slots__ = ("_adapter", "_encoding", "_model")

    def __init__(self, adapter: Adapter, encoding: str, model: str) -> None:
        super().__init__()
        self._adapter = adapter
        self._encoding = encoding
        self._model = model

    def read(self, payload: bytes, *, whole: bool) -> tuple[bytes, int, bool]:  # noqa: ARG002  # never called
        raise ProtocolError("Embeddings are not streamed.")

    def read_whole(self, body: bytes) -> tuple[bytes, int]:
        assert self._adapter.read_embeddings is not None
        answer = self._adapter.read_embeddings(body)
        self.usage = answer.usage
        vectors = [
            _Vector(place, _pack(vector) if self._encoding == "base64" else vector)
            for place, vector in enumerate(answer.vectors)
        ]
        tokens = answer.usage.input if answer.usage is not None else None
        usage = _Usage(tokens, tokens) if tokens is not None else None
        return msgspec.json.encode(_Answer(vectors, answer.model or self._model, usage)), 0

    @property
    def passes_through(self) -> bool:
        return False


def _as_list(
    given: str | list[str] | list[int] | list[list[int]],
) -> list[str] | list[list[int]]:
    if isinstance(given, str):
        return [given]
    if given and isinstance(given[0], int):
        return [given]  # type: ignore[list-item]  # all of them are, by the decoder's union
    return given


def _pack(vector: list[float]) -> str:
    """OpenAI's base64: little-endian 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
