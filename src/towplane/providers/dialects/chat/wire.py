"""The wire of OpenAI's API, as far as a relay must understand it: tokens, usage, ends, errors.

Everything else passes by unread. Pure: bytes in, values out. Fields that a relay does not need are
not in these types, and msgspec skips them.
"""

import msgspec

from towplane.parts import usage as normal
from towplane.providers.dialects.chat.usage import Usage
from towplane.providers.dialects.tail import last_usage

__all__ = [
    "DONE",
    "Chunk",
    "NotJson",
    "count_plain",
    "decode_chunk",
    "estimate_tokens",
    "is_said",
    "plain_end",
    "read_usage",
    "text_key",
    "usage_of_tail",
]

DONE = b"[DONE]"
"""The data of a stream's last event."""
_MARK = b"\ndata: {"
"""Where an event with JSON begins; line ends within JSON are escaped, so it is never inside."""
_SIGNS = (b'"finish_reason":"', b'"usage":{', b'"error":', DONE)
"""What an event that is more than a token holds, in JSON written without spaces. Quotes are escaped
inside strings, so that none of the first three can be part of a text."""

_TEXTS = (b'"content":"', b'"reasoning_content":"', b'"reasoning":"', b'"text":"')
"""How the text of a token begins, in JSON written without spaces."""


_ABSENT, _NULL = msgspec.Raw(b""), msgspec.Raw(b"null")


class NotJson(ValueError):
    """Bytes that should have been JSON."""


class _Delta(msgspec.Struct):
    content: str | list[msgspec.Raw] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[msgspec.Raw] | None = None
    function_call: dict[str, msgspec.Raw] | None = None
    audio: dict[str, msgspec.Raw] | None = None

    def is_token(self) -> bool:
        return bool(
            self.content or self.reasoning_content or self.reasoning or self.refusal
            or self.tool_calls or self.function_call or self.audio
        )  # fmt: skip


class _Message(msgspec.Struct):
    content: str | list[msgspec.Raw] | None = None


class Choice(msgspec.Struct):
    """One choice of a chunk or an answer."""

    delta: _Delta | None = None
    message: _Message | None = None
    text: str | None = None
    finish_reason: str | None = None

    def is_token(self) -> bool:
        """Whether it carries generated text, on any channel; a role alone is none."""
        return bool(self.text) or (self.delta is not None and self.delta.is_token())


class _Groq(msgspec.Struct):
    usage: Usage | None = None


class Chunk(msgspec.Struct):
    """One event of a stream, or a whole answer."""

    choices: list[Choice] = []
    usage: Usage | None = None
    service_tier: str | None = None
    error: msgspec.Raw = _ABSENT
    object: str | None = None
    x_groq: _Groq | None = None

    def is_error(self) -> bool:
        """Whether it says that something went wrong."""
        return is_said(self.error) or self.object == "error"

    def told_usage(self) -> Usage | None:
        """The usage, where this server puts it."""
        if self.usage is None and self.x_groq is not None:
            return self.x_groq.usage
        return self.usage

    def is_token(self) -> bool:
        """Whether any choice carries generated text."""
        return any(choice.is_token() for choice in self.choices)


class _Answer(msgspec.Struct):
    usage: Usage | None = None
    service_tier: str | None = None


_answer = msgspec.json.Decoder(_Answer)
_chunk = msgspec.json.Decoder(Chunk)
_usage = msgspec.json.Decoder(Usage)


def decode_chunk(data: bytes) -> Chunk | None:
    """An event's data; None for JSON of a shape that we do not know. Raises NotJson."""
    try:
        return _chunk.decode(data)
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise NotJson(str(wrong)) from None


def is_said(raw: msgspec.Raw) -> bool:
    """Whether a field is there and not null."""
    return raw not in (_ABSENT, _NULL)


def text_key(data: bytes) -> bytes:
    """How text begins in the events of this server, if it writes JSON without spaces, so that bytes
    can be searched for it; empty if this event does not tell."""
    if b'"choices":[' in data and b'"finish_reason": ' not in data:
        for key in _TEXTS:
            if key in data and key + b'"' not in data:
                return key
    return b""


def count_plain(payload: bytes, key: bytes, start: int, end: int) -> int:
    """The tokens of these events, if each of them is one by its `key`; -1 if some may be none."""
    events = payload.count(_MARK, max(start - 1, 0), end)
    events += start == 0 and payload.startswith(_MARK[1:])
    texts = payload.count(key, start, end) - payload.count(key + b'"', start, end)
    return events if events == texts else -1


def plain_end(payload: bytes, start: int) -> int:
    """Up to where compact events hold nothing but tokens: the border before one that may not."""
    end = len(payload)
    for sign in _SIGNS:
        found = payload.find(sign, start, end)
        if found >= 0:
            end = found
    if end == len(payload):
        return end
    border = max(payload.rfind(b"\n\n", start, end) + 2, payload.rfind(b"\n\r\n", start, end) + 3)
    return max(border, start) if border > 2 else start


def read_usage(body: bytes) -> normal.Usage | None:
    """The usage of a whole answer; None where it has none. Raises NotJson."""
    try:
        answer = _answer.decode(body)
    except msgspec.ValidationError:
        return usage_of_tail(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise NotJson(str(wrong)) from None
    return answer.usage.normal(answer.service_tier) if answer.usage is not None else None


def usage_of_tail(tail: bytes) -> normal.Usage | None:
    """The usage near the end of an answer of which the beginning is gone."""
    usage = last_usage(tail, _usage)
    return usage.normal() if usage is not None else None


def estimate_tokens(body: bytes) -> int:
    """Output tokens of an answer without usage: about four characters a token."""
    try:
        choices = _chunk.decode(body).choices
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0
    texts = (c.message.content if c.message is not None else c.text for c in choices)
    return sum((len(text) + 3) // 4 for text in texts if isinstance(text, str))
