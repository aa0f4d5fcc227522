"""What a request says to the model, whichever body it came in, and what of it a cache holds.

A word is a token (`testing.provider.tokens`). The law of the cache: everything up to a mark is one
prefix; a request reads the longest of its marked prefixes that was written before and has not
expired, writes what is between that and its last mark, and pays for the rest as fresh input.
"""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Cache", "Counted", "Prompt", "Refusal", "Tool", "count_words", "decode_blob"]

_IMAGE_TOKENS = 50
_LIFETIMES = {"5m": 300.0, "1h": 3600.0}


class Refusal(Exception):
    """Bedrock answers with this exception instead."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message


@dataclass(slots=True)
class Tool:
    """A tool that is offered."""

    name: str
    schema: dict[str, Any]


@dataclass(slots=True)
class Prompt:
    """What the model is told."""

    pieces: list[tuple[int, str]] = field(default_factory=list)
    """Tokens and content of everything in the order in which it is cached: tools, system,
    messages."""
    marks: list[tuple[int, str]] = field(default_factory=list)
    """How many pieces stand before each cache mark, and its lifetime."""
    tools: list[Tool] = field(default_factory=list)
    choice: str = "auto"
    """`auto`, `any`, `none`, or the name of a tool."""
    is_single: bool = False
    """One call at a time."""
    last_text: str = ""
    """The user's last words."""
    is_answered: bool = False
    """The last message brings a tool's result."""
    documents: list[str] = field(default_factory=list)
    """Their names, in order."""
    schema: dict[str, Any] | None = None
    """Of the answer."""
    thinks: bool = False
    most: int | None = None
    stops: list[str] = field(default_factory=list)

    def add(self, value: Any, *, tokens: int | None = None) -> None:
        """One piece of content."""
        said = json.dumps(value, sort_keys=True)
        self.pieces.append((count_words(value) if tokens is None else tokens, said))

    def add_image(self, data: str) -> None:
        """A picture costs the same, whatever is on it."""
        self.add(data, tokens=_IMAGE_TOKENS)

    def mark(self, ttl: str | None) -> None:
        """A cache mark after what has been added."""
        self.marks.append((len(self.pieces), ttl or "5m"))

    @property
    def tokens(self) -> int:
        """All of it."""
        return sum(tokens for tokens, _ in self.pieces)


@dataclass(slots=True)
class Counted:
    """The input of one request, by what it costs."""

    fresh: int
    read: int = 0
    written: int = 0
    written_1h: int = 0
    """Of `written`."""


class Cache:
    """What has been written so far, by model."""

    def __init__(self, least: int = 16) -> None:
        self._until: dict[tuple[str, str], float] = {}
        self.least = least
        """Shorter prefixes are not cached (1,024 tokens and more at the original)."""

    def count(self, model: str, prompt: Prompt, now: float) -> Counted:
        """What the prompt costs now; its marked prefixes are written."""
        sums = [0]
        hashes = [hashlib.sha256(model.encode())]
        for tokens, said in prompt.pieces:
            sums.append(sums[-1] + tokens)
            longer = hashes[-1].copy()
            longer.update(said.encode())
            hashes.append(longer)
        marks = [(at, ttl) for at, ttl in prompt.marks if sums[at] >= self.least]
        read_to = 0
        for at, ttl in marks:
            key = (model, hashes[at].hexdigest())
            if self._until.get(key, 0.0) > now:
                read_to = max(read_to, at)
                self._until[key] = now + _LIFETIMES[ttl]  # a hit renews it
        written = written_1h = 0
        start = read_to
        for at, ttl in marks:
            if at <= start:
                continue
            tokens = sums[at] - sums[start]
            written += tokens
            written_1h += tokens if ttl == "1h" else 0
            self._until[model, hashes[at].hexdigest()] = now + _LIFETIMES[ttl]
            start = at
        read = sums[read_to]
        return Counted(sums[-1] - read - written, read, written, written_1h)


def count_words(value: Any) -> int:
    """Words of all texts in a value."""
    if isinstance(value, str):
        return len(value.split())
    if isinstance(value, dict):
        return sum(count_words(one) for one in value.values())
    if isinstance(value, list):
        return sum(count_words(one) for one in value)
    return 1 if isinstance(value, int | float) and not isinstance(value, bool) else 0


def decode_blob(value: Any, where: str) -> bytes:
    """Base64 as JSON has it. Raises Refusal."""
    try:
        found = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise Refusal("SerializationException", f"{where} is not base64.") from None
    if not found:
        raise Refusal("ValidationException", f"{where} is empty.")
    return found
