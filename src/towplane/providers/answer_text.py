"""What an answer says and why it stopped, read from the bytes that a client gets.

For comparing answers offline, never on the way of a request. Knows the client's dialects, streamed
or not. The law: bytes that make no sense say nothing, and raise nothing.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from towplane.providers.ask import OperationName

__all__ = ["read_answer"]

_decode = msgspec.json.Decoder().decode


def read_answer(payload: bytes, operation: OperationName) -> tuple[str | None, str | None]:
    """Text and finish reason; None: it has none, or nobody can read it. Of several samples the
    texts stand one after the other."""
    texts: list[str] = []
    finish: str | None = None
    for value in _values(payload):
        try:
            text, found = _read(value, operation)
        except (AttributeError, KeyError, TypeError):
            continue
        if text:
            texts.append(text)
        finish = found or finish
    return ("".join(texts) if texts else None), finish


def _values(payload: bytes) -> Iterator[Any]:
    """Of a body the one value, of a stream that of each event."""
    pieces = [payload]
    if payload.lstrip()[:1] != b"{":
        lines = payload.replace(b"\r\n", b"\n").split(b"\n")
        pieces = [line[5:] for line in lines if line.startswith(b"data:")]
    for piece in pieces:
        try:
            yield _decode(piece)
        except msgspec.DecodeError:
            continue


def _read(value: Any, operation: OperationName) -> tuple[str, str | None]:
    if operation == "messages":
        return _read_messages(value)
    if operation == "responses":
        return _read_responses(value)
    texts: list[str] = []
    finish: str | None = None
    for choice in value.get("choices", ()):
        said = choice.get("delta") or choice.get("message") or {"content": choice.get("text")}
        content = said.get("content")
        if isinstance(content, str):
            texts.append(content)
        finish = choice.get("finish_reason") or finish
    return "".join(texts), finish


def _read_messages(value: Any) -> tuple[str, str | None]:
    delta = value.get("delta") or {}
    texts = [block.get("text", "") for block in value.get("content", ())]
    return "".join([*texts, delta.get("text", "")]), (
        value.get("stop_reason") or delta.get("stop_reason")
    )


def _read_responses(value: Any) -> tuple[str, str | None]:
    kind = value.get("type")
    if kind == "response.output_text.delta":
        return value["delta"], None
    if isinstance(kind, str):  # an event; the last ones repeat the whole answer
        return "", (value.get("response") or {}).get("status")
    texts = [
        part.get("text", "") for item in value.get("output", ()) for part in item.get("content", ())
    ]
    return "".join(texts), value.get("status")
