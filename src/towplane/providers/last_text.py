"""What the user said last in a request of any dialect: what a prompt's difficulty is judged by.

It is read from what was parsed, so that a text which looks like a turn is text. Images, files and
the results of tools are not words of the user. Knows no score and no target.

The law: of a request without such words, or one too long to be looked at, the text is empty.
"""

from typing import NamedTuple

import msgspec

from towplane.providers.ask import Ask

__all__ = ["Said", "read_last_text"]

_LONGEST = 512 * 1024
"""Bytes of JSON above which a prompt is not decoded for this: 0.5 ms where measured, 2026-11."""


class Said(NamedTuple):
    """The words of the last turn of the user."""

    text: str
    """All of them."""
    prompt_bytes: int
    """The length of the whole prompt, as JSON."""


class _Part(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None


class _Turn(msgspec.Struct, gc=False):
    """A message of chat or Messages, or an item of Responses."""

    role: str = ""
    content: msgspec.Raw = msgspec.Raw()


_prompts = msgspec.json.Decoder(str | list[msgspec.Raw])
_turn = msgspec.json.Decoder(_Turn)
_content = msgspec.json.Decoder(str | list[_Part] | None)
_wrong = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_last_text(ask: Ask) -> Said:
    """The last words of the user; a prompt that is one text is that text."""
    raw = ask.fields.get(ask.operation.prompt)
    size = len(raw) if raw is not None else 0
    if raw is None or size > _LONGEST:
        return Said("", size)
    try:
        return Said(_last_text(raw), size)
    except _wrong:
        return Said("", size)  # the target will say what is wrong with it


def _last_text(raw: msgspec.Raw) -> str:
    given = _prompts.decode(raw)
    if isinstance(given, str):
        return given
    for one in reversed(given):
        first = bytes(memoryview(one)[:1])
        if first == b'"':
            return msgspec.json.decode(one, type=str)
        if first != b"{":
            return ""  # token ids
        turn = _turn.decode(one)
        if turn.role == "user" and len(turn.content):
            content = _content.decode(turn.content)
            if isinstance(content, str):
                return content
            found = "\n".join(part.text for part in content or () if part.text)
            if found:
                return found
    return ""
