"""What clients and upstreams say, in bytes: requests, answers in one piece, and streams.

Knows no plane: only HTTP, SSE and the shapes of a chat.
"""

import json
from typing import Any

__all__ = [
    "ANSWER", "DONE", "END", "LAST", "STREAM", "TOKEN", "chunk", "delta", "event", "post", "usage",
    "whole",
]  # fmt: skip

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
"""The head of an upstream's stream."""
DONE = b"data: [DONE]\n\n"
LAST = b"0\r\n\r\n"
"""The last chunk."""


def post(
    key: str,
    fields: dict[str, Any],
    *,
    path: str = "/v1/chat/completions",
    version: str = "1.1",
    headers: str = "",
) -> bytes:
    """A request as a client sends it; `headers` are lines with their ends."""
    body = json.dumps(fields).encode()
    head = (
        f"POST {path} HTTP/{version}\r\nhost: plane\r\nauthorization: Bearer {key}\r\n"
        f"content-length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


def whole(value: Any, status: int = 200, headers: str = "") -> bytes:
    """An upstream's answer in one piece; bytes are its body as they are."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    head = (
        f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


def chunk(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(value: Any) -> bytes:
    """One SSE event as compact JSON; bytes are its data as they are."""
    data = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return b"data: %b\n\n" % data


def delta(text: str | None = None, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk of a chat stream with one choice."""
    content = {} if text is None else {"content": text}
    return {"choices": [{"index": 0, "delta": content | fields, "finish_reason": finish}]}


def usage(prompt: int, output: int, cached: int | None = None) -> dict[str, Any]:
    """Usage as the wire has it."""
    found: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": output}
    if cached is not None:
        found["prompt_tokens_details"] = {"cached_tokens": cached}
    return found


TOKEN = chunk(event(delta("a")))
"""A stream's next token."""
END = chunk(event(delta(finish="stop")) + DONE) + LAST
"""How a stream ends."""
ANSWER = whole({"choices": [], "usage": usage(10, 4)})
"""An answer in one piece, of ten tokens in and four out."""
