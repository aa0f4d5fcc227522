"""A short cut through a stream: chunks that differ from an earlier one by one text alone.

A server writes all chunks of an answer alike. Of one that was decoded and turned out to be a single
event with a text, what stands before and behind that text is remembered. A later chunk between the
same bytes is the same event with another text, if what lies between is one JSON string and nothing
else; that is all that has to be decoded (1 µs instead of 10). Knows no field but the four texts.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from towplane.providers.conversation.answer import CallGrows, Event, TextGrows, ThoughtGrows

__all__ = ["Template", "template_of"]

_KEYS = (b'"content":', b'"reasoning_content":', b'"reasoning":', b'"arguments":')
_text = msgspec.json.Decoder(str)


class Template(NamedTuple):
    """What stands around the text, and the event that it makes."""

    head: bytes
    tail: bytes
    make: Callable[[str], Event]

    def read(self, payload: bytes, start: int, end: int) -> tuple[str, int] | None:
        """The text of the event that begins at `start`, and where the next one begins; None where
        it is of another kind."""
        after = start + len(self.head)
        if not payload.startswith(self.head, start):
            return None
        stop = payload.find(b"\n\n", after, end)
        if stop < 0 or not payload.endswith(self.tail, after, stop):
            return None
        try:
            return _text.decode(payload[after : stop - len(self.tail)]), stop + 2
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None


def template_of(raw: bytes, event: Event) -> Template | None:
    """The template of a server-sent event that means `event` alone; None where there is none."""
    if isinstance(event, TextGrows | ThoughtGrows):
        text = event.text
    elif isinstance(event, CallGrows):
        text = event.arguments
    else:
        return None
    if not raw.endswith(b"\n\n") or raw.count(b"\n") != 2:
        return None
    for key in _KEYS:
        after = raw.find(key) + len(key)
        stop = _string_end(raw, after) if after >= len(key) else -1
        if stop > 0 and _text.decode(raw[after:stop]) == text:
            return Template(raw[:after], raw[stop:-2], _maker(event))
    return None


def _maker(event: TextGrows | ThoughtGrows | CallGrows) -> Callable[[str], Event]:
    choice = event.choice
    if isinstance(event, TextGrows):
        return lambda text: TextGrows(text, choice)
    if isinstance(event, ThoughtGrows):
        return lambda text: ThoughtGrows(text, choice)
    call = event.call
    return lambda text: CallGrows(call, text, choice)


def _string_end(raw: bytes, start: int) -> int:
    """Behind the closing quote of the JSON string at `start`; -1 if there is none."""
    if raw[start : start + 1] != b'"':
        return -1
    place = raw.find(b'"', start + 1)
    while place > 0:
        before = raw[start + 1 : place]
        if (len(before) - len(before.rstrip(b"\\"))) % 2 == 0:
            return place + 1
        place = raw.find(b'"', place + 1)
    return -1
