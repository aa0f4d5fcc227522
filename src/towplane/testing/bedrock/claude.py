"""InvokeModel for Claude as the fake Bedrock speaks it: Anthropic's bodies and events, whose rules
are those of `testing.anthropic.check`, in Bedrock's frames. No HTTP here."""

import re
from collections.abc import Iterator
from typing import Any

from towplane.testing.anthropic.check import Refusal as AnthropicRefusal
from towplane.testing.anthropic.check import check
from towplane.testing.anthropic.models import MODELS
from towplane.testing.bedrock.mind import (
    Answer,
    Redacted,
    Thought,
    ToolUse,
    Words,
    is_redacted,
    sign_thought,
)
from towplane.testing.bedrock.prompt import Counted, Prompt, Refusal, Tool
from towplane.testing.bedrock.script import Script

__all__ = ["events", "read_prompt", "whole"]

_VERSION = "bedrock-2023-05-31"
_BETA = re.compile(r"[a-z0-9-]+-20\d\d-\d\d-\d\d")
_RULES = "claude-sonnet-4-5-20250929"
"""Whose rules a model has that is not in the table."""


def read_prompt(body: dict[str, Any], model: str, *, counts: bool) -> Prompt:
    """What the model is told. Raises Refusal."""
    given = dict(body)
    if given.pop("anthropic_version", None) != _VERSION:
        raise _wrong("anthropic_version: Field required")
    for beta in given.pop("anthropic_beta", ()):
        if _BETA.fullmatch(beta) is None:
            raise _wrong("invalid beta flag")
    for name in ("model", "stream", "service_tier", "cache_control", "speed", "inference_geo"):
        if name in given:
            raise _wrong(f"{name}: Extra inputs are not permitted")
    name = re.sub(r"^([a-z-]+\.)?anthropic\.|-v\d+(:\d+)?$", "", model)
    given["model"] = name if name in MODELS else _RULES
    if counts:
        given.setdefault("max_tokens", 1)
    try:
        check(given, "2023-06-01", counts=False, is_signed=_is_signed)
    except AnthropicRefusal as refusal:
        raise _wrong(refusal.message) from None
    return _prompt(body)


def whole(found: Answer, model: str, number: int, counted: Counted) -> dict[str, Any]:
    """The message in one piece."""
    return _begun(model, number) | {
        "content": [_block(part) for part in found.parts],
        "stop_reason": found.stop_reason,
        "stop_sequence": found.stop_sequence or None,
        "usage": _usage(counted, found.output),
    }


def events(
    found: Answer, model: str, number: int, script: Script, counted: Counted
) -> Iterator[tuple[dict[str, Any], int]]:
    """The events of a stream, each with the output tokens that it brings."""
    begun = _begun(model, number) | {
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(counted, 1),
    }
    yield {"type": "message_start", "message": begun}, 0
    yield {"type": "ping"}, 0
    for index, part in enumerate(found.parts):
        is_hidden = isinstance(part, Redacted)
        block = {"index": index, "content_block": _opening(part)}
        yield {"type": "content_block_start", **block}, int(is_hidden)
        for delta, tokens in _deltas(part):
            yield {"type": "content_block_delta", "index": index, "delta": delta}, tokens
        tail = 1 if isinstance(part, ToolUse) else 0
        yield {"type": "content_block_stop", "index": index}, tail
    stop = {"stop_reason": found.stop_reason, "stop_sequence": found.stop_sequence or None}
    usage = {"output_tokens": found.output}
    if script.metadata != "no_usage":
        yield {"type": "message_delta", "delta": stop, "usage": usage}, 0
    else:
        yield {"type": "message_delta", "delta": stop}, 0
    if script.metadata == "missing":
        return
    last: dict[str, Any] = {"type": "message_stop"}
    if script.metrics:
        last["amazon-bedrock-invocationMetrics"] = {
            "inputTokenCount": counted.fresh,
            "outputTokenCount": found.output,
            "invocationLatency": 551,
            "firstByteLatency": 210,
        }
        if counted.read or counted.written:
            last["amazon-bedrock-invocationMetrics"] |= {
                "cacheReadInputTokenCount": counted.read,
                "cacheWriteInputTokenCount": counted.written,
            }
    yield last, 0


def _prompt(body: dict[str, Any]) -> Prompt:
    prompt = Prompt()
    for tool in body.get("tools", ()):
        prompt.add({name: value for name, value in tool.items() if name != "cache_control"})
        prompt.tools.append(Tool(tool["name"], tool.get("input_schema", {})))
        _mark(tool, prompt)
    for block in _blocks(body.get("system", [])):
        _add(block, prompt)
    for message in body["messages"]:
        for block in _blocks(message["content"]):
            _add(block, prompt)
            if message["role"] == "user" and block["type"] == "text":
                prompt.last_text = block["text"]
    last = _blocks(body["messages"][-1]["content"])
    prompt.is_answered = any(block["type"] == "tool_result" for block in last)
    choice = body.get("tool_choice", {"type": "auto"})
    prompt.choice = choice.get("name") or choice["type"]
    prompt.is_single = choice.get("disable_parallel_tool_use") is True
    prompt.thinks = body.get("thinking", {}).get("type") in ("enabled", "adaptive")
    prompt.most = body.get("max_tokens")
    prompt.stops = body.get("stop_sequences", [])
    form = body.get("output_config", {}).get("format")
    prompt.schema = form["schema"] if form else None
    return prompt


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _add(block: dict[str, Any], prompt: Prompt) -> None:
    match block["type"]:
        case "text":
            prompt.add(block["text"])
        case "image":
            prompt.add_image(str(block["source"]))
        case "document":
            prompt.documents.append(block.get("title", "document"))
            prompt.add(block["source"].get("data", ""))
        case "thinking" | "redacted_thinking":
            prompt.add(block.get("thinking", block.get("data", "")))
        case _:
            prompt.add({name: value for name, value in block.items() if name != "cache_control"})
    _mark(block, prompt)


def _mark(block: dict[str, Any], prompt: Prompt) -> None:
    if block.get("cache_control"):
        prompt.mark(block["cache_control"].get("ttl"))


def _begun(model: str, number: int) -> dict[str, Any]:
    return {"id": f"msg_bdrk_{number:016d}", "type": "message", "role": "assistant", "model": model}


def _usage(counted: Counted, output: int) -> dict[str, Any]:
    return {
        "input_tokens": counted.fresh,
        "cache_creation_input_tokens": counted.written,
        "cache_read_input_tokens": counted.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": counted.written - counted.written_1h,
            "ephemeral_1h_input_tokens": counted.written_1h,
        },
        "output_tokens": output,
    }


def _opening(part: Thought | Redacted | Words | ToolUse) -> dict[str, Any]:
    match part:
        case Thought():
            return {"type": "thinking", "thinking": "", "signature": ""}
        case ToolUse():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": {}}
        case Words():
            return {"type": "text", "text": ""}
    return _block(part)


def _block(part: Thought | Redacted | Words | ToolUse) -> dict[str, Any]:
    match part:
        case Thought(tokens=tokens, signature=signature):
            return {"type": "thinking", "thinking": "".join(tokens), "signature": signature}
        case Redacted(data=data):
            return {"type": "redacted_thinking", "data": data}
        case Words(tokens=tokens, cites=cites):
            block: dict[str, Any] = {"type": "text", "text": "".join(tokens)}
            return block | ({"citations": [_citation(cites)]} if cites else {})
        case ToolUse():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.input}


def _deltas(part: Thought | Redacted | Words | ToolUse) -> Iterator[tuple[dict[str, Any], int]]:
    match part:
        case Thought(tokens=tokens, signature=signature):
            for token in tokens:
                yield {"type": "thinking_delta", "thinking": token}, 1
            yield {"type": "signature_delta", "signature": signature}, 0
        case Words(tokens=tokens, cites=cites):
            for token in tokens:
                yield {"type": "text_delta", "text": token}, 1
            if cites:
                yield {"type": "citations_delta", "citation": _citation(cites)}, 0
        case ToolUse(pieces=pieces):
            for piece in ("", *pieces):
                yield {"type": "input_json_delta", "partial_json": piece}, int(bool(piece))


def _citation(document: str) -> dict[str, Any]:
    return {
        "type": "char_location",
        "cited_text": "plane wing",
        "document_index": 0,
        "document_title": document,
        "start_char_index": 0,
        "end_char_index": 10,
    }


def _is_signed(text: str, signature: str) -> bool:
    return signature == sign_thought(text) or is_redacted(signature)


def _wrong(message: str) -> Refusal:
    return Refusal("ValidationException", message)
