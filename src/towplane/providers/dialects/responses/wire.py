"""The wire of Responses, as far as a relay must understand it: tokens, usage, ends, errors.

Types of events are found by a byte search: quotes inside JSON strings are escaped, so that
`"type":"response.…"` is never part of a text. Everything else passes by unread. Pure.
"""

import re

import msgspec

from towplane.providers.dialects.chat.verdict import Said, read_said
from towplane.providers.dialects.responses.usage import ToolUsage, Usage
from towplane.providers.dialects.tail import last_usage

__all__ = [
    "DONE",
    "ENDS",
    "NotJson",
    "Response",
    "TerminalEvent",
    "count_alike",
    "count_events",
    "count_tokens",
    "decode_response",
    "decode_terminal",
    "estimate_tokens",
    "is_plain",
    "key_of",
    "service_of_tail",
    "types_of",
    "usage_of_tail",
]

DONE = b"[DONE]"
"""Not of this dialect; some servers close every stream with it."""
ENDS = frozenset((b"completed", b"incomplete", b"failed"))
"""The events that end a response; usage stands in no other (openai 3.54.0 `types/responses/`)."""
_TYPE = re.compile(rb'"type": ?"response\.([a-z_.]+)"')
_EVENT = re.compile(rb"(?:^|\n)data:")
_EMPTY = re.compile(rb'"delta": ?""')
_SERVICE = re.compile(rb'"service_tier": ?"(\w+)"')
_OF_TOOLS = b"output_content.delta"
"""What a tool printed was not generated."""
_SIGNS = (b"response.completed", b"response.incomplete", b"response.failed")


_ABSENT = msgspec.Raw(b"")


class NotJson(ValueError):
    """Bytes that should have been JSON."""


class _Part(msgspec.Struct):
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct):
    content: list[_Part] | None = None
    summary: list[_Part] | None = None
    arguments: str | None = None


class Response(msgspec.Struct):
    """A whole answer, or what its last event holds."""

    status: str | None = None
    error: msgspec.Raw = _ABSENT
    usage: Usage | None = None
    service_tier: str | None = None
    tool_usage: ToolUsage | None = None

    def said(self) -> Said:
        """What it says about a failure."""
        return _read_error(self.error)


class _Output(msgspec.Struct):
    output: list[_Item] = []


class TerminalEvent(msgspec.Struct):
    """One of the last events, or an `error`; its details are flat or nested, by vendor and day."""

    type: str = ""
    response: Response | None = None
    error: msgspec.Raw = _ABSENT

    def said(self, data: bytes) -> Said:
        """What it says about a failure; nothing where it speaks of none."""
        if self.response is not None:
            return self.response.said()
        found = _read_error(self.error)
        if self.type == "error" and not (found.message or found.words):
            found = read_said(data)
            words = tuple(word for word in found.words if word != "error")  # the event's own type
            found = found._replace(words=words)
        return found


_response = msgspec.json.Decoder(Response)
_terminal = msgspec.json.Decoder(TerminalEvent)
_usage = msgspec.json.Decoder(Usage)
_output = msgspec.json.Decoder(_Output)


def key_of(kind: bytes) -> bytes:
    """How an event of this type says it, in JSON without spaces; empty if it is no token."""
    is_token = kind.endswith(b".delta") and not kind.endswith(_OF_TOOLS)
    return b'"type":"response.%b"' % kind if is_token else b""


def count_alike(payload: bytes, key: bytes) -> int:
    """The tokens of these events if all of them are one by their `key`; 0 if some may be none."""
    events = payload.count(b"\ndata:") + payload.startswith(b"data:")
    return events if payload.count(key) == events and b'"delta":""' not in payload else 0


def types_of(payload: bytes) -> list[bytes]:
    """The types of the events in it, without `response.`, in order."""
    return _TYPE.findall(payload)


def count_events(payload: bytes) -> int:
    """How many lines of data it holds."""
    return len(_EVENT.findall(payload))


def is_plain(payload: bytes) -> bool:
    """Whether no event of it ends the response; a text that speaks of one only costs a look."""
    return not any(sign in payload for sign in _SIGNS)


def count_tokens(payload: bytes, types: list[bytes]) -> int:
    """How many events of these types bring something that was generated."""
    tokens = sum(kind.endswith(b".delta") and not kind.endswith(_OF_TOOLS) for kind in types)
    if tokens and b'""' in payload:
        tokens = max(tokens - len(_EMPTY.findall(payload)), 0)
    return tokens


def decode_terminal(data: bytes) -> TerminalEvent | None:
    """An event's data; None for JSON of a shape that we do not know. Raises NotJson."""
    try:
        return _terminal.decode(data)
    except msgspec.ValidationError:
        kind = _TYPE.search(data)
        if kind is None or kind[1] not in ENDS:
            return None
        # It ends the response all the same, whatever it says of usage.
        return TerminalEvent(f"response.{kind[1].decode()}", Response(usage=usage_of_tail(data)))
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise NotJson(str(wrong)) from None


def decode_response(body: bytes) -> Response:
    """A whole answer; what has a shape that we do not know counts as not said. Raises NotJson."""
    try:
        return _response.decode(body)
    except msgspec.ValidationError:
        return Response(usage=usage_of_tail(body))
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise NotJson(str(wrong)) from None


def usage_of_tail(tail: bytes) -> Usage | None:
    """The usage near the end of an answer of which the beginning is gone."""
    return last_usage(tail, _usage)


def service_of_tail(tail: bytes) -> str | None:
    """The service tier that stands there."""
    found = _SERVICE.search(tail)
    return found[1].decode() if found is not None else None


def estimate_tokens(body: bytes) -> int:
    """Output tokens of an answer without usage: about four characters a token."""
    try:
        items = _output.decode(body).output
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0
    parts = [part for item in items for part in (item.content or []) + (item.summary or [])]
    texts = [part.text or part.refusal or "" for part in parts]
    texts += [item.arguments or "" for item in items]
    return sum((len(text) + 3) // 4 for text in texts if text)


def _read_error(raw: msgspec.Raw) -> Said:
    return Said() if len(memoryview(raw)) == 0 or raw == b"null" else read_said(raw)
