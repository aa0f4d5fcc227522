"""The emulator's embeddings: vectors that depend on the text alone; a word is a token."""

import random
from typing import Any

from towplane.testing.vertex.book import Billed
from towplane.testing.vertex.errors import Refusal
from towplane.testing.vertex.where import Model

__all__ = ["embed", "predict"]

JSON = dict[str, Any]


def predict(seen: Billed, body: JSON, model: Model) -> JSON:
    """`:predict`: many texts at once. Raises Refusal."""
    instances = body.get("instances") or []
    if not 1 <= len(instances) <= model.embeds:
        raise Refusal(f"{len(instances)} instance(s) is not allowed per prediction.")
    width = (body.get("parameters") or {}).get("outputDimensionality", 8)
    predictions = []
    for instance in instances:
        if not isinstance(instance.get("content"), str):
            raise Refusal("The instance has no content.")
        tokens = len(instance["content"].split())
        seen.input += tokens
        counted = {"token_count": tokens, "truncated": False}
        vector = {"values": _vector(instance["content"], width), "statistics": counted}
        predictions.append({"embeddings": vector})
    return {"predictions": predictions, "metadata": {"billableCharacterCount": 4 * seen.input}}


def embed(seen: Billed, body: JSON) -> JSON:
    """`:embedContent`: one content."""
    text = " ".join(part.get("text", "") for part in body["content"]["parts"])
    seen.input = len(text.split())
    width = (body.get("embedContentConfig") or {}).get("outputDimensionality", 8)
    return {
        "embedding": {"values": _vector(text, width)},
        "usageMetadata": {"promptTokenCount": seen.input, "totalTokenCount": seen.input},
    }


def _vector(text: str, width: int) -> list[float]:
    """Depends on the text alone."""
    dice = random.Random(text)
    return [round(dice.uniform(-1, 1), 6) for _ in range(width)]
