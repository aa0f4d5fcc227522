"""Vertex AI's OpenAI-compatible endpoint: the emulator of OpenAI behind Google's errors."""

import json
from collections.abc import Iterator
from typing import Any

from towplane.testing.openai import chat as openai
from towplane.testing.openai.plan import Plan, make_plan
from towplane.testing.vertex.book import Billed
from towplane.testing.vertex.errors import Refusal
from towplane.testing.vertex.script import Script
from towplane.testing.vertex.told import Told
from towplane.testing.vertex.where import MODELS

__all__ = ["tell"]

_GOOGLE = frozenset(("google", "extra_body"))
"""Google's own fields beside OpenAI's."""


def tell(seen: Billed, body: dict[str, Any], script: Script) -> Told:
    """The answer. Raises Refusal."""
    publisher, _, name = str(body.get("model", "")).partition("/")
    is_own = not publisher or (publisher == "google" and name in MODELS)
    if not is_own and not name.endswith("-maas"):
        raise Refusal(f"Malformed publisher model: {body.get('model')}. Expected PUBLISHER/MODEL.")
    wrong = openai.check({key: value for key, value in body.items() if key not in _GOOGLE})
    if wrong is not None:
        raise Refusal(wrong["error"]["message"])
    plan = make_plan(openai.wish(body), script.for_chat())
    seen.input, seen.cached, seen.thought = plan.input, script.cached, plan.thoughts
    if body.get("stream") is True:
        return Told(None, _events(plan, body, seen.number))
    seen.output = plan.output
    return Told(openai.answer(plan, body, seen.number))


def _events(plan: Plan, body: dict[str, Any], number: int) -> Iterator[tuple[bytes, int]]:
    for frame in openai.frames(plan, body, number):
        data = frame.data if isinstance(frame.data, str) else json.dumps(frame.data)
        yield f"data: {data}\n\n".encode(), frame.tokens
