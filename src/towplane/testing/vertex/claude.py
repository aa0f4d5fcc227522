"""Claude on Vertex AI: the emulator of Anthropic behind rawPredict.

The cloud's own rules: the model stands in the path and not in the body, the version in the body and
not in a header, and what streams says so twice.
"""

import json
from collections.abc import Iterator
from typing import Any

from towplane.testing.anthropic.answer import Answer, decide, is_signed
from towplane.testing.anthropic.cache import Cache, told_by
from towplane.testing.anthropic.check import Refusal as Wrong
from towplane.testing.anthropic.check import check
from towplane.testing.anthropic.tokens import count_request
from towplane.testing.vertex.book import Billed
from towplane.testing.vertex.errors import Refusal
from towplane.testing.vertex.script import Script
from towplane.testing.vertex.told import Told
from towplane.testing.vertex.where import Where, claude_of

__all__ = ["Refused", "tell"]

_VERSIONS = {"vertex-2023-10-16": "2023-06-01", "2026-10-21": "2026-10-21"}
"""`anthropic_version` of the body, and what it speaks in Anthropic's own words (Claude docs; the
second as anthropic 2.12.0 `lib/vertex/_client.py` sends it)."""
_STATUSES = {"not_found_error": 404, "request_too_large": 413}


class Refused(Exception):
    """Anthropic's error object."""

    def __init__(self, kind: str, message: str, request_id: str) -> None:
        super().__init__(message)
        self.status = _STATUSES.get(kind, 400)
        error = {"type": kind, "message": message}
        self.body = {"type": "error", "error": error, "request_id": request_id}


def tell(
    seen: Billed, where: Where, body: dict[str, Any], script: Script, cache: Cache, now: float
) -> Told:
    """The answer. Raises Refusal (Google's) or Refused (Anthropic's)."""
    counts = where.model == "count-tokens"
    request_id = f"req_vrtx_{seen.number:024d}"
    named = body.get("model", "") if counts else where.model
    model = claude_of(str(named))
    if where.method not in ("rawPredict", "streamRawPredict") or model is None:
        raise Refusal(f"Publisher Model `{where.resource}` was not found or your project does not "
                      "have access to it.", 404)  # fmt: skip
    rest = dict(body)
    version = rest.pop("anthropic_version", None)
    try:
        if version not in _VERSIONS:
            raise Wrong("anthropic_version: Field required")
        if "model" in body and not counts:
            raise Wrong("model: Extra inputs are not permitted")
        if (where.method == "streamRawPredict") != (rest.get("stream") is True) and not counts:
            raise Wrong("stream: does not fit the method")
        request = rest | {"model": model}
        check(request, _VERSIONS[version], counts=counts, is_signed=is_signed)
    except Wrong as wrong:
        raise Refused(wrong.kind, wrong.message, request_id) from None
    tokens = count_request(request)
    if counts:
        return Told({"input_tokens": tokens})
    told = told_by(cache, request, script.for_claude(), now)
    answer = decide(request, told, seen.number, tokens)
    seen.input, seen.cached, seen.thought = answer.input, told.cached, answer.thought
    seen.written = told.written + told.written_1h
    if where.method == "streamRawPredict":
        return Told(None, _events(answer))
    seen.output = answer.output
    return Told(answer.whole())


def _events(answer: Answer) -> Iterator[tuple[bytes, int]]:
    for frame in answer.frames():
        data = json.dumps(frame.data, ensure_ascii=False)
        yield f"event: {frame.event}\ndata: {data}\n\n".encode(), frame.tokens
