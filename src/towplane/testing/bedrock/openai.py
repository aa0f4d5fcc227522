"""Bedrock's OpenAI-compatible endpoint: the emulator of OpenAI behind Bedrock's doors.

Chat completions and Responses; what a script says of text, tokens and thoughts holds here, too, and
of what goes wrong, all but frames: this endpoint sends events.
"""

import json
from collections.abc import Iterator
from typing import Any

from towplane.testing.bedrock.book import Bill
from towplane.testing.bedrock.prompt import Refusal
from towplane.testing.bedrock.script import Script
from towplane.testing.openai import chat, responses
from towplane.testing.openai.chat import Frame
from towplane.testing.openai.plan import make_plan
from towplane.testing.openai.script import Script as ChatScript

__all__ = ["tell"]

Told = dict[str, Any] | Iterator[tuple[bytes, int]]
"""A whole answer, or events with the output tokens of each."""


def tell(bill: Bill, body: dict[str, Any], script: Script, stored: dict[str, int]) -> Told:
    """The answer. Raises Refusal."""
    told = ChatScript(text=script.text, tokens=script.tokens, thinking=script.thoughts or 3)
    bill.model = str(body.get("model", ""))
    bill.service = body.get("service_tier", "default")
    bill.stream = body.get("stream") is True
    if bill.operation == "completions":
        _refuse(chat.check(body))
        plan = make_plan(chat.wish(body), told)
        frames, whole = chat.frames, chat.answer
    elif bill.operation == "responses":
        _refuse(responses.check(body, stored))
        plan = make_plan(responses.wish(body, stored), told)
        frames, whole = responses.frames, responses.answer
    else:
        raise Refusal("UnknownOperationException", "")
    bill.input = plan.input
    if bill.stream:
        return (_event(frame) for frame in frames(plan, body, bill.number))
    bill.output = plan.output
    return whole(plan, body, bill.number)


def _refuse(wrong: dict[str, Any] | None) -> None:
    if wrong is not None:
        raise Refusal("ValidationException", wrong["error"]["message"])


def _event(frame: Frame) -> tuple[bytes, int]:
    data = frame.data if isinstance(frame.data, str) else json.dumps(frame.data)
    head = f"event: {frame.name}\n" if frame.name else ""
    return f"{head}data: {data}\n\n".encode(), frame.tokens
