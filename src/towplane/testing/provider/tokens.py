"""Tokens of the fake provider: a word is a token, so that everybody can count them by hand.

It knows no HTTP. The same text has the same count on every machine and in every run.
"""

from collections.abc import Sequence
from typing import Any

__all__ = ["count_chat", "count_input", "word"]

_WORDS = ("plane ", "wing ", "rope ", "lift ", "field ", "wind ", "turn ", "land ", "höhe ", "翼 ")
PER_MESSAGE = 3
"""Tokens that the frame of a chat message costs, as in OpenAI's own counting recipe."""


def word(index: int) -> str:
    """The output token at `index`; two of the ten are not ASCII, to be cut in the middle."""
    return _WORDS[index % len(_WORDS)]


def count_text(text: str) -> int:
    """Words of a text."""
    return len(text.split())


def count_chat(messages: Any) -> int:
    """Prompt tokens of a chat request; what is not a list of messages counts nothing."""
    if not isinstance(messages, list):
        return 0
    return 3 + sum(PER_MESSAGE + _count_content(message) for message in messages)


def count_input(given: Any) -> int:
    """Tokens of a `prompt` or `input`: text, texts, token ids, or lists of token ids."""
    if isinstance(given, str):
        return count_text(given)
    if isinstance(given, Sequence):
        return sum(1 if isinstance(part, int) else count_input(part) for part in given)
    return 0


def _count_content(message: Any) -> int:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return count_text(content)
    if isinstance(content, list):
        return sum(
            count_text(part["text"])
            for part in content
            if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return 0
