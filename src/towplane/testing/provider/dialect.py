"""OpenAI's JSON as the fake provider speaks it: answers, stream chunks, errors. No HTTP here.

Shapes: openai 3.54.0 `types/chat`, `types/completion.py`, `types/create_embedding_response.py`.
"""

import base64
import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from towplane.testing.provider.script import Script
from towplane.testing.provider.tokens import count_chat, count_input, word

__all__ = ["Ask", "Event", "answer", "embed", "error", "models", "read_ask", "stream"]

CREATED = 1_800_000_000

_ERRORS: dict[int, tuple[str, str | None, str]] = {
    # status: type, code, message
    400: ("invalid_request_error", None, "The request is not right."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("invalid_request_error", "permission_denied", "This key may not use this model."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist."),
    408: ("timeout", None, "The request took too long."),
    409: ("invalid_request_error", "conflict", "The resource is in another state."),
    413: ("invalid_request_error", "request_too_large", "The request is too large."),
    422: ("invalid_request_error", None, "The request could not be processed."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    500: ("server_error", None, "The server had an error while processing your request."),
    502: ("server_error", None, "Bad gateway."),
    503: ("server_error", "overloaded", "The engine is currently overloaded."),
    529: ("overloaded_error", "overloaded", "Overloaded."),
}


@dataclass(slots=True, frozen=True)
class Ask:
    """What a request asks for, as far as the answer depends on it."""

    path: str
    body: dict[str, Any] | None
    """None: there was a body, and it is not a JSON object."""
    model: str = ""
    tag: str = ""
    """The request's `user`: tests name their requests with it."""
    stream: bool = False
    include_usage: bool = False
    prompt_tokens: int = 0
    most: int | None = None
    """Output tokens at most."""


@dataclass(slots=True, frozen=True)
class Event:
    """One frame of a stream; `token` tells whether it carries an output token."""

    data: str
    token: bool = False


def read_ask(path: str, raw: bytes) -> Ask:
    """Read what the answer depends on; wrong types are left for `answer` to complain about."""
    if not raw:
        return Ask(path, {})
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return Ask(path, None)
    if not isinstance(body, dict):
        return Ask(path, None)
    options = body.get("stream_options")
    most = body.get("max_completion_tokens", body.get("max_tokens"))
    given = body.get("prompt", body.get("input"))
    return Ask(
        path,
        body,
        model=str(body.get("model", "")),
        tag=str(body.get("user", "")),
        stream=body.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        prompt_tokens=count_chat(body.get("messages")) + count_input(given),
        most=most if isinstance(most, int) else None,
    )


def count_output(ask: Ask, script: Script) -> int:
    """Output tokens that the script wants and the request allows."""
    wanted = _length(script)
    return wanted if ask.most is None else min(wanted, max(ask.most, 0))


def usage(ask: Ask, script: Script, output: int) -> dict[str, Any]:
    """The bill."""
    found: dict[str, Any] = {
        "prompt_tokens": ask.prompt_tokens,
        "completion_tokens": output,
        "total_tokens": ask.prompt_tokens + output,
        "prompt_tokens_details": {"cached_tokens": script.cached},
    }
    if script.channel == "reasoning":
        found["completion_tokens_details"] = {"reasoning_tokens": output}
    return found


def answer(ask: Ask, script: Script, number: int) -> dict[str, Any]:
    """A whole answer of chat completions or completions."""
    output = count_output(ask, script)
    text = "".join(_words(script, output))
    choice: dict[str, Any] = {"index": 0, "logprobs": None}
    if ask.path.endswith("/chat/completions"):
        choice["message"] = {"role": "assistant", "content": None, "refusal": None}
        choice["message"] |= _piece(script, text, whole=True)
    else:
        choice["text"] = text
    choice["finish_reason"] = "abort" if script.end == "abort" else _finish(ask, script)
    if script.end in ("no_finish", "neither"):
        choice["finish_reason"] = None
    found = _envelope(ask, number, chunk=False) | {"choices": [choice]}
    if script.usage not in ("missing", "null"):
        found["usage"] = usage(ask, script, output)
    elif script.usage == "null":
        found["usage"] = None
    return found


def stream(ask: Ask, script: Script, number: int) -> Iterator[Event]:
    """The frames of a stream, `[DONE]` included, as the script wants them."""
    output = count_output(ask, script)
    is_chat = ask.path.endswith("/chat/completions")
    envelope = _envelope(ask, number, chunk=True)
    if script.usage == "null" or (script.usage == "right" and ask.include_usage):
        envelope["usage"] = None

    def chunk(piece: dict[str, Any], finish: str | None = None) -> str:
        choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": finish}
        if is_chat:
            choice["delta"] = piece
        else:
            choice["text"] = piece.get("content", "")
        return _dump(envelope | {"choices": [choice]})

    if is_chat and script.first_frame != "none":
        content = "" if script.first_frame == "role_empty" else None
        yield Event(chunk({"role": "assistant", "content": content}))
    for index, said in enumerate(_words(script, output)):
        yield Event(chunk(_piece(script, said, first=index == 0)), token=True)
    if script.end not in ("no_finish", "neither"):
        last = chunk({}, "abort" if script.end == "abort" else _finish(ask, script))
        if script.usage == "last_choice":
            last = _dump(json.loads(last) | {"usage": usage(ask, script, output)})
        yield Event(last)
    if script.usage == "unasked" or (script.usage == "right" and ask.include_usage):
        yield Event(_dump(envelope | {"choices": [], "usage": usage(ask, script, output)}))
    if script.end not in ("no_done", "neither"):
        yield Event("[DONE]")


def embed(ask: Ask) -> dict[str, Any]:
    """Vectors that depend on the text alone."""
    body = ask.body or {}
    given = body.get("input", "")
    is_many = isinstance(given, list) and bool(given) and not isinstance(given[0], int)
    width = body.get("dimensions", 8)
    vectors = [_vector(repr(text), width) for text in (given if is_many else [given])]
    is_packed = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _pack(found) if is_packed else found}
        for index, found in enumerate(vectors)
    ]
    counted = {"prompt_tokens": ask.prompt_tokens, "total_tokens": ask.prompt_tokens}
    return {"object": "list", "data": data, "model": ask.model, "usage": counted}


def models(names: tuple[str, ...]) -> dict[str, Any]:
    """The list of models."""
    data = [
        {"id": name, "object": "model", "created": CREATED, "owned_by": "fake"} for name in names
    ]
    return {"object": "list", "data": data}


def error(status: int, code: str | None = None, message: str | None = None) -> dict[str, Any]:
    """OpenAI's error object for a status."""
    kind, usual, text = _ERRORS.get(status, ("server_error", None, f"Status {status}."))
    kind = "insufficient_quota" if code == "insufficient_quota" else kind
    return {
        "error": {"message": message or text, "type": kind, "param": None, "code": code or usual}
    }


def _envelope(ask: Ask, number: int, *, chunk: bool) -> dict[str, Any]:
    if ask.path.endswith("/chat/completions"):
        name, prefix = "chat.completion" + (".chunk" if chunk else ""), "chatcmpl"
    else:
        name, prefix = "text_completion", "cmpl"
    return {
        "id": f"{prefix}-{number}",
        "object": name,
        "created": CREATED,
        "model": ask.model,
        "system_fingerprint": "fp_fake",
    }


def _length(script: Script) -> int:
    return script.tokens if script.text is None else len(script.text.split())


def _words(script: Script, count: int) -> list[str]:
    """The first tokens of what is said."""
    if script.text is None:
        return [word(index) for index in range(count)]
    return [f"{one} " for one in script.text.split()[:count]]


def _piece(
    script: Script, text: str, *, first: bool = False, whole: bool = False
) -> dict[str, Any]:
    if script.channel == "content":
        return {"content": text}
    if script.channel == "reasoning":
        return {"reasoning_content": text}
    call: dict[str, Any] = {"index": 0, "function": {"arguments": text}}
    if first or whole:
        call |= {"id": "call_1", "type": "function"}
        call["function"]["name"] = "lookup"
    if whole:
        call.pop("index")
    return {"tool_calls": [call]}


def _finish(ask: Ask, script: Script) -> str:
    if ask.most is not None and ask.most < _length(script):
        return "length"
    return "tool_calls" if script.channel == "tool" else "stop"


def _vector(text: str, width: int) -> list[float]:
    digest = hashlib.sha256(text.encode()).digest()
    return [digest[index % 32] / 255 - 0.5 for index in range(width)]


def _pack(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
