"""Reads what a client got, in the client's own dialect, and says what is wrong with it.

The law: one request has one ending, which is an answer or an error in the dialect's shape. Written
from the APIs' own descriptions; it shares nothing with the plane's readers. Pure.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from towplane.testing.client import Answer

__all__ = ["Kind", "Reading", "read_answer"]

Kind = Literal["answered", "refused", "failed", "broken"]
"""Whole; an error instead; an error in the middle of a stream; neither, which must not be."""


@dataclass(slots=True)
class Reading:
    """What an answer says."""

    text: str = ""
    arguments: str = ""
    """Of its calls."""
    ends: int = 0
    errors: int = 0
    failures: list[str] = field(default_factory=list)
    """Of Responses: the events that told the error."""
    is_cut: bool = False
    """It ended at the limit that the request set."""
    wrong: list[str] = field(default_factory=list)


def read_answer(dialect: str, streams: bool, answer: Answer) -> tuple[Kind, Reading]:
    """What kind of ending it is, and what was said before."""
    reading = Reading()
    try:
        if answer.status != 200:
            return _read_error(dialect, answer, reading)
        if not streams:
            _WHOLE[dialect](json.loads(answer.body), reading)
            reading.ends += 1
        else:
            _read_stream(dialect, answer.body.decode(), reading)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        reading.wrong.append(f"cannot be read: {error!r}: {answer.body[-200:]!r}")
    return _judge(answer, reading), reading


def _judge(answer: Answer, reading: Reading) -> Kind:
    if reading.ends > 1 or reading.errors > 1 or (reading.ends and reading.errors):
        reading.wrong.append(f"{reading.ends} ends and {reading.errors} errors")
    if reading.ends and answer.error:
        reading.wrong.append(f"an end, and then {answer.error}")
    if reading.errors:
        return "failed"
    if reading.ends and not reading.wrong:
        return "answered"
    if not reading.ends:
        last = answer.body[-120:]
        reading.wrong.append(f"neither an end nor an error: {answer.error!r} after {last!r}")
    return "broken"


def _read_error(dialect: str, answer: Answer, reading: Reading) -> tuple[Kind, Reading]:
    if answer.status < 400:
        reading.wrong.append(f"status {answer.status}, {answer.error}")
        return "broken", reading
    body = json.loads(answer.body)
    error = body["error"]
    if not isinstance(error["message"], str) or not isinstance(error["type"], str):
        reading.wrong.append(f"not the dialect's error: {answer.body[:200]!r}")
    if dialect == "messages" and body["type"] != "error":
        reading.wrong.append(f"not the dialect's error: {answer.body[:200]!r}")
    return "refused", reading


def _read_stream(dialect: str, text: str, reading: Reading) -> None:
    read = _EVENTS[dialect]
    for data in _events(text):
        if reading.ends:
            reading.wrong.append(f"something after the end: {data[:80]}")
        if data == "[DONE]":
            reading.ends += 1
            continue
        read(json.loads(data), reading)


def _events(text: str) -> Iterator[str]:
    for event in text.replace("\r\n", "\n").split("\n\n"):
        lines = [line[5:].strip() for line in event.split("\n") if line.startswith("data:")]
        if lines:
            yield "\n".join(lines)


# chat


def _chat_whole(body: dict[str, Any], reading: Reading) -> None:
    (choice,) = body["choices"]
    message = choice["message"]
    reading.text = message.get("content") or ""
    for call in message.get("tool_calls") or ():
        reading.arguments += call["function"]["arguments"]
    reading.is_cut = choice["finish_reason"] == "length"


def _chat_event(data: dict[str, Any], reading: Reading) -> None:
    if "error" in data:
        reading.errors += 1
        return
    for choice in data["choices"]:
        delta = choice["delta"]
        reading.text += delta.get("content") or ""
        for call in delta.get("tool_calls") or ():
            reading.arguments += call["function"].get("arguments") or ""
        if choice.get("finish_reason") == "length":
            reading.is_cut = True


# Responses


def _responses_whole(body: dict[str, Any], reading: Reading) -> None:
    reading.is_cut = body["status"] == "incomplete"
    for item in body["output"]:
        if item["type"] == "message":
            reading.text += "".join(part.get("text", "") for part in item["content"])
        elif item["type"] == "function_call":
            reading.arguments += item["arguments"]


def _responses_event(data: dict[str, Any], reading: Reading) -> None:
    match data["type"]:
        case "response.output_text.delta":
            reading.text += data["delta"]
        case "response.function_call_arguments.delta":
            reading.arguments += data["delta"]
        case "response.completed":
            reading.ends += 1
        case "response.incomplete":
            reading.ends += 1
            reading.is_cut = True
        case "response.failed" | "error" as kind:  # vendors send both for one failure
            reading.errors += kind in reading.failures or not reading.failures
            reading.failures.append(kind)


# Messages


def _messages_whole(body: dict[str, Any], reading: Reading) -> None:
    for block in body["content"]:
        if block["type"] == "text":
            reading.text += block["text"]
        elif block["type"] == "tool_use":
            reading.arguments += json.dumps(block["input"])
    reading.is_cut = body["stop_reason"] == "max_tokens"


def _messages_event(data: dict[str, Any], reading: Reading) -> None:
    match data["type"]:
        case "content_block_delta":
            delta = data["delta"]
            reading.text += delta.get("text") or ""
            reading.arguments += delta.get("partial_json") or ""
        case "message_delta":
            reading.is_cut = data["delta"]["stop_reason"] == "max_tokens"
        case "message_stop":
            reading.ends += 1
        case "error":
            reading.errors += 1


_WHOLE = {"chat": _chat_whole, "responses": _responses_whole, "messages": _messages_whole}
_EVENTS = {"chat": _chat_event, "responses": _responses_event, "messages": _messages_event}
