"""InvokeModel of the models that embed, as the fake Bedrock speaks it: Titan, Nova and Cohere.

A vector depends on its text alone. No HTTP here.
"""

import hashlib
from typing import Any

from towplane.testing.bedrock.book import Bill
from towplane.testing.bedrock.prompt import Refusal, count_words

__all__ = ["embed"]


def embed(body: dict[str, Any], bill: Bill) -> dict[str, Any]:
    """The answer. Raises Refusal."""
    model = bill.model
    if "titan-embed" in model:
        text = _need(body, "inputText")
        bill.input = count_words(text)
        vector = _vector(text, body.get("dimensions", 8))
        return {"embedding": vector, "inputTextTokenCount": bill.input}
    if "cohere.embed" in model:
        texts = _need(body, "texts")
        _need(body, "input_type")
        bill.input = count_words(texts)
        vectors = [_vector(text, body.get("output_dimension", 8)) for text in texts]
        typed = "embedding_types" in body
        return {
            "id": "embed",
            "texts": texts,
            "embeddings": {"float": vectors} if typed else vectors,
            "response_type": "embeddings_by_type" if typed else "embeddings_floats",
        }
    if "nova" in model and "embed" in model:
        asked = _need(body, "singleEmbeddingParams")
        text = asked["text"]["value"]
        bill.input = count_words(text)
        vector = _vector(text, asked["embeddingDimension"])
        return {"embeddings": [{"embeddingType": "TEXT", "embedding": vector}]}
    raise Refusal("ValidationException", "The model does not support this operation.")


def _need(body: dict[str, Any], name: str) -> Any:
    if name not in body:
        raise Refusal(
            "ValidationException", f"Malformed input request: required key [{name}] not found"
        )
    return body[name]


def _vector(text: str, width: int) -> list[float]:
    digest = hashlib.sha256(text.encode()).digest()
    return [digest[index % 32] / 255 - 0.5 for index in range(width)]
