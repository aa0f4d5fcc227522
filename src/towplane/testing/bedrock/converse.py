"""Converse as the fake Bedrock speaks it: bodies in, answers and frames out. No HTTP here.

Shapes and rules: botocore 1.44.5 `bedrock-runtime/2023-09-30`, and the messages of the original's
refusals from public reports. Where the original passes over a field that it does not know, this one
refuses it: a client that sends such a field has a mistake in it.
"""

import json
import random
from collections.abc import Iterator
from typing import Any

from towplane.testing.bedrock.frames import event_frame
from towplane.testing.bedrock.mind import (
    Answer,
    Redacted,
    Thought,
    ToolUse,
    Words,
    check_redacted,
    check_thought,
)
from towplane.testing.bedrock.prompt import Counted, Prompt, Refusal, Tool, decode_blob
from towplane.testing.bedrock.script import Script

__all__ = ["read_prompt", "stream", "usage", "whole"]

_TOP = frozenset(
    ("messages", "system", "inferenceConfig", "toolConfig", "guardrailConfig",
     "additionalModelRequestFields", "promptVariables", "additionalModelResponseFieldPaths",
     "requestMetadata", "performanceConfig", "serviceTier", "outputConfig")
)  # fmt: skip
_IMAGES = ("png", "jpeg", "gif", "webp")
_DOCUMENTS = ("pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md")
_CACHING = ("anthropic.", "amazon.nova")


def read_prompt(body: dict[str, Any], model: str) -> Prompt:
    """What the model is told. Raises Refusal."""
    _only(body, _TOP, "the request")
    prompt = Prompt()
    caches = any(family in model for family in _CACHING)
    config = body.get("toolConfig")
    if config is not None:
        _read_tools(config, prompt, caches)
    for index, block in enumerate(body.get("system", ())):
        _read_block(block, f"system.{index}", prompt, caches)
    messages = body.get("messages") or []
    _check_turns(messages)
    for index, message in enumerate(messages):
        for place, block in enumerate(message["content"]):
            _read_block(block, f"messages.{index}.content.{place}", prompt, caches)
    _check_tools(messages, config)
    _read_settings(body, prompt)
    if messages:
        prompt.is_answered = any("toolResult" in block for block in messages[-1]["content"])
        said = [m["content"] for m in messages if m["role"] == "user"]
        texts = [block["text"] for content in said for block in content if "text" in block]
        prompt.last_text = texts[-1] if texts else ""
    return prompt


def usage(counted: Counted, output: int) -> dict[str, Any]:
    """Usage on the wire."""
    found: dict[str, Any] = {
        "inputTokens": counted.fresh,
        "outputTokens": output,
        "totalTokens": counted.fresh + output + counted.read + counted.written,
    }
    if counted.read or counted.written:
        found["cacheReadInputTokens"] = counted.read
        found["cacheWriteInputTokens"] = counted.written
    if counted.written:
        lives = (("1h", counted.written_1h), ("5m", counted.written - counted.written_1h))
        found["cacheDetails"] = [
            {"ttl": ttl, "inputTokens": tokens} for ttl, tokens in lives if tokens
        ]
    return found


def whole(found: Answer, body: dict[str, Any], bill: dict[str, Any]) -> dict[str, Any]:
    """An answer in one piece."""
    content = [_content(part) for part in found.parts]
    answer: dict[str, Any] = {
        "metrics": {"latencyMs": 551},
        "output": {"message": {"content": content, "role": "assistant"}},
        "stopReason": found.stop_reason,
        "usage": bill,
    }
    return answer | _echo(body) | _fields(found, body)


def stream(
    found: Answer, body: dict[str, Any], script: Script, bill: dict[str, Any]
) -> Iterator[tuple[bytes, int]]:
    """The frames of a stream, each with the output tokens that it brings."""
    padding = random.Random(7) if script.padding else None
    yield event_frame("messageStart", {"role": "assistant"}, padding=padding), 0
    for index, part in enumerate(found.parts):
        start = _start(part, script)
        if start is not None:
            value = {"contentBlockIndex": index, "start": start}
            yield event_frame("contentBlockStart", value, padding=padding), 0
        for delta, tokens in _deltas(part):
            value = {"contentBlockIndex": index, "delta": delta}
            yield event_frame("contentBlockDelta", value, padding=padding), tokens
        tail = 1 if isinstance(part, ToolUse) else 0
        yield event_frame("contentBlockStop", {"contentBlockIndex": index}, padding=padding), tail
    stop = {"stopReason": found.stop_reason} | _fields(found, body)
    yield event_frame("messageStop", stop, padding=padding), 0
    if script.metadata == "missing":
        return
    metadata: dict[str, Any] = {"metrics": {"latencyMs": 551}} | _echo(body)
    if script.metadata == "right":
        metadata["usage"] = bill
    yield event_frame("metadata", metadata, padding=padding), 0


def _read_tools(config: dict[str, Any], prompt: Prompt, caches: bool) -> None:
    _only(config, frozenset(("tools", "toolChoice")), "toolConfig")
    for index, tool in enumerate(config["tools"]):
        where = f"toolConfig.tools.{index}"
        if "cachePoint" in tool:
            _mark(tool, where, prompt, caches)
            continue
        spec = tool["toolSpec"]
        _only(spec, frozenset(("name", "description", "inputSchema", "strict")), where)
        prompt.add(spec)
        prompt.tools.append(Tool(spec["name"], spec["inputSchema"]["json"]))
    choice = config.get("toolChoice", {"auto": {}})
    kind = next(iter(choice))
    prompt.choice = choice["tool"]["name"] if kind == "tool" else kind


def _read_block(block: dict[str, Any], where: str, prompt: Prompt, caches: bool) -> None:
    if len(block) != 1:
        raise _wrong(f"{where} must hold exactly one member of its union.")
    match next(iter(block.items())):
        case "text", str(text):
            if not text.strip():
                raise _wrong(
                    f"The text field in the ContentBlock object at {where} is blank. "
                    "Add text to the text field, and try again."
                )
            prompt.add(text)
        case "image", image:
            _read_image(image, where, prompt)
        case "document", document:
            _read_document(document, where, prompt)
        case "toolUse", call:
            _only(call, frozenset(("toolUseId", "name", "input")), where)
            prompt.add(call)
        case "toolResult", result:
            _only(result, frozenset(("toolUseId", "content", "status")), where)
            prompt.add(result["toolUseId"])
            for place, one in enumerate(result["content"]):
                _read_inner(one, f"{where}.toolResult.content.{place}", prompt)
        case "reasoningContent", thought:
            _read_thought(thought, where, prompt)
        case "cachePoint", _:
            _mark(block, where, prompt, caches)
        case name, _:
            raise _wrong(f"{where}: `{name}` is not known here.")


def _read_inner(block: dict[str, Any], where: str, prompt: Prompt) -> None:
    if "json" in block:
        prompt.add(block["json"])
    elif "text" in block or "image" in block or "document" in block:
        _read_block(block, where, prompt, caches=False)
    else:
        raise _wrong(f"{where}: `{next(iter(block))}` may not stand in a toolResult.")


def _read_image(image: dict[str, Any], where: str, prompt: Prompt) -> None:
    _only(image, frozenset(("format", "source")), where)
    if image["format"] not in _IMAGES:
        raise _wrong(f"{where}.image.format: unknown format {image['format']}.")
    if "bytes" in image["source"]:
        decode_blob(image["source"]["bytes"], f"{where}.image.source.bytes")
    prompt.add_image(str(image["source"]))


def _read_document(document: dict[str, Any], where: str, prompt: Prompt) -> None:
    _only(document, frozenset(("format", "name", "source", "context", "citations")), where)
    if document.get("format", "txt") not in _DOCUMENTS:
        raise _wrong(f"{where}.document.format: unknown format {document['format']}.")
    if document["name"] in prompt.documents:
        raise _wrong(
            "Messages can't contain duplicate document names. Remove the duplicates and try your "
            "request again."
        )
    prompt.documents.append(document["name"])
    source = document["source"]
    if "bytes" in source:
        raw = decode_blob(source["bytes"], f"{where}.document.source.bytes")
        prompt.add(raw.decode("utf-8", "replace"))
    else:
        prompt.add(source)


def _read_thought(thought: dict[str, Any], where: str, prompt: Prompt) -> None:
    if "redactedContent" in thought:
        check_redacted(thought["redactedContent"], where)
        prompt.add(thought["redactedContent"])
        return
    text = thought["reasoningText"]
    check_thought(text["text"], text.get("signature", ""), where)
    prompt.add(text["text"])


def _mark(block: dict[str, Any], where: str, prompt: Prompt, caches: bool) -> None:
    point = block["cachePoint"]
    _only(point, frozenset(("type", "ttl")), where)
    if not caches or point["type"] != "default" or point.get("ttl", "5m") not in ("5m", "1h"):
        raise _wrong(
            "You invoked an unsupported model or your request did not allow prompt caching. "
            "See the documentation for more information."
        )
    prompt.mark(point.get("ttl"))


def _check_turns(messages: list[dict[str, Any]]) -> None:
    if not messages or messages[0]["role"] != "user":
        raise _wrong(
            "A conversation must start with a user message. Try again with a conversation that "
            "starts with a user message."
        )
    for index, message in enumerate(messages):
        if not message["content"]:
            raise _wrong(
                f"The content field in the Message object at messages.{index} is empty. Add a "
                "ContentBlock object to the content field and try again."
            )
        if index and message["role"] == messages[index - 1]["role"]:
            raise _wrong(
                "A conversation must alternate between user and assistant roles. Make sure the "
                "conversation alternates between user and assistant roles and try again."
            )


def _check_tools(messages: list[dict[str, Any]], config: dict[str, Any] | None) -> None:
    calls: list[str] = []
    for index, message in enumerate(messages):
        results = [b["toolResult"]["toolUseId"] for b in message["content"] if "toolResult" in b]
        if (results or calls) and config is None:
            raise _wrong(
                "The toolConfig field must be defined when using toolUse and toolResult content "
                "blocks."
            )
        missing = sorted(set(calls) - set(results))
        if missing:
            raise _wrong(
                f"Expected toolResult blocks at messages.{index}.content for the following Ids: "
                f"{', '.join(missing)}"
            )
        if set(results) - set(calls):
            raise _wrong(
                f"The number of toolResult blocks at messages.{index}.content exceeds the number "
                "of toolUse blocks of previous turn."
            )
        calls = [b["toolUse"]["toolUseId"] for b in message["content"] if "toolUse" in b]


def _read_settings(body: dict[str, Any], prompt: Prompt) -> None:
    settings = body.get("inferenceConfig", {})
    known = frozenset(("maxTokens", "temperature", "topP", "stopSequences"))
    _only(settings, known, "inferenceConfig")
    for name in ("temperature", "topP"):
        if not 0 <= settings.get(name, 0) <= 1:
            raise _wrong(
                f"1 validation error detected: Value '{settings[name]}' at "
                f"'inferenceConfig.{name}' failed to satisfy constraint: Member must have value "
                "less than or equal to 1"
            )
    prompt.most = settings.get("maxTokens")
    prompt.stops = settings.get("stopSequences", [])
    more = body.get("additionalModelRequestFields", {})
    _read_claudes_choice(more.get("tool_choice"), prompt)
    prompt.thinks = more.get("thinking", {}).get("type") in ("enabled", "adaptive")
    form = body.get("outputConfig", {}).get("textFormat")
    if form is not None:
        prompt.schema = json.loads(form["structure"]["jsonSchema"]["schema"])


def _read_claudes_choice(choice: dict[str, Any] | None, prompt: Prompt) -> None:
    if choice is not None:
        prompt.choice = choice.get("name") or choice["type"]
        prompt.is_single = choice.get("disable_parallel_tool_use") is True


def _start(part: object, script: Script) -> dict[str, Any] | None:
    if isinstance(part, ToolUse):
        return {"toolUse": {"toolUseId": part.id, "name": part.name}}
    return {} if script.text_starts and isinstance(part, Words) else None


def _deltas(part: Thought | Redacted | Words | ToolUse) -> Iterator[tuple[dict[str, Any], int]]:
    match part:
        case Thought(tokens=tokens, signature=signature):
            for token in tokens:
                yield {"reasoningContent": {"text": token}}, 1
            yield {"reasoningContent": {"signature": signature}}, 0
        case Redacted(data=data):
            yield {"reasoningContent": {"redactedContent": data}}, 1
        case Words(tokens=tokens, cites=cites):
            for token in tokens:
                yield {"text": token}, 1
            if cites:
                yield {"citation": _citation(cites)}, 0
        case ToolUse(pieces=pieces):
            for piece in pieces:
                yield {"toolUse": {"input": piece}}, 1


def _content(part: Thought | Redacted | Words | ToolUse) -> dict[str, Any]:
    match part:
        case Thought(tokens=tokens, signature=signature):
            text = {"text": "".join(tokens), "signature": signature}
            return {"reasoningContent": {"reasoningText": text}}
        case Redacted(data=data):
            return {"reasoningContent": {"redactedContent": data}}
        case Words(tokens=tokens, cites=cites) if cites:
            text_block = [{"text": "".join(tokens)}]
            return {"citationsContent": {"content": text_block, "citations": [_citation(cites)]}}
        case Words(tokens=tokens):
            return {"text": "".join(tokens)}
        case ToolUse():
            return {"toolUse": {"toolUseId": part.id, "name": part.name, "input": part.input}}


def _citation(document: str) -> dict[str, Any]:
    return {
        "title": document,
        "sourceContent": [{"text": "plane wing"}],
        "location": {"documentChar": {"documentIndex": 0, "start": 0, "end": 10}},
    }


def _echo(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in ("serviceTier", "performanceConfig") if name in body}


def _fields(found: Answer, body: dict[str, Any]) -> dict[str, Any]:
    if found.stop_sequence and "/stop_sequence" in body.get(
        "additionalModelResponseFieldPaths", ()
    ):
        return {"additionalModelResponseFields": {"stop_sequence": found.stop_sequence}}
    return {}


def _only(value: dict[str, Any], known: frozenset[str], where: str) -> None:
    for name in value:
        if name not in known:
            raise _wrong(f"Malformed input request: extraneous key [{name}] of {where}.")


def _wrong(message: str) -> Refusal:
    return Refusal("ValidationException", message)
