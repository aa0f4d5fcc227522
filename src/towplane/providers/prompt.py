"""The prompt of any operation as one canonical run of bytes, for keys by which requests are alike.

It is made of what was parsed, never of the JSON that a client wrote: the order of keys, whitespace,
escapes, a `cache_control` that moves from turn to turn and unknown fields change nothing, and words
inside a text that look like a role are words. What the model sees first comes first: tools, system,
turns in their order; text as it is, images and calls of tools by digest, token ids as 32 bits each.
Knows no tenant and no policy.

The laws: equal prompts give equal bytes; a conversation that goes on begins with the bytes that it
had before; two different prompts differ, because 0xFE and 0xFF, which UTF-8 never holds, mark where
turns and their parts begin.
"""

import struct
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from xxhash import xxh3_128_digest, xxh3_128_hexdigest

from towplane.providers.ask import Ask, OperationName
from towplane.providers.turns import (
    CONTENT,
    CONVERSATION,
    ITEMS_OR_TEXT,
    METADATA,
    TEXTS,
    TURNS,
    Item,
    Part,
    Turn,
)

__all__ = ["Prompt", "read_prompt", "read_session"]

_TURN: Final = b"\xff"
_PART: Final = b"\xfe"
_KNOWN_DIGESTS: Final = 512
"""Tools that are remembered by how they were spelled: agents send the same ones each time."""
_SILENT = frozenset(("cache_control", "citations", "id", "status", "phase"))
"""Fields of a part that the model does not see, or that a client may leave out when it sends the
part again: a mark for caches, sources, the vendor's own id and state of an item."""
_SESSION_FIELDS = ("prompt_cache_key", "user", "safety_identifier")
"""What OpenAI's API has to tell requests that belong together, the most specific first."""

_TIES = frozenset(("conversation", *_SESSION_FIELDS, "metadata", "previous_response_id"))
"""All fields in which something may be that ties requests to each other."""


class Prompt:
    """A prompt in its canonical form."""

    __slots__ = ("_user", "pieces")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        """Tools, system and turns, the role of each and its text; joined they are the prompt."""
        self._user: bytes | None = None

    def whole(self) -> bytes:
        """All of it."""
        return b"".join(self.pieces)

    def opening(self, characters: int) -> bytes:
        """The first characters of the first turn of a user; of the prompt where it has none."""
        text = self._user
        if text is None:
            return self.start(characters)
        return _characters(text[: characters * 4], characters)

    def start(self, count: int) -> bytes:
        """The first bytes of all of it, with the marks of turns."""
        start = b""
        for piece in self.pieces:
            start += piece[:count]
            if len(start) >= count:
                return start[:count]
        return start

    def add(self, role: str, text: bytes) -> None:
        """The next turn."""
        pieces = self.pieces
        pieces.append(_HEADS.get(role) or _head(role))
        pieces.append(text)
        if self._user is None and role == "user" and text:
            self._user = text


_anything = msgspec.json.Decoder()
_sorted = msgspec.json.Encoder(order="sorted").encode
_wrong = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_known: dict[bytes, bytes] = {}


def _head(role: str) -> bytes:
    return _TURN + role.encode() + _PART


_HEADS = {role: _head(role) for role in ("system", "developer", "user", "assistant", "tool")}
"""Made once, of the roles that most turns have."""


def read_prompt(ask: Ask) -> Prompt:
    """The prompt of this request. One of a shape that no API has is its JSON, put in order; one
    that cannot be read is empty: the target will say what is wrong with it."""
    try:
        return _READERS[ask.operation.name](ask.fields)
    except (*_wrong, KeyError, struct.error):
        pass
    prompt = Prompt()
    try:
        prompt.add("", _canonical(ask.fields[ask.operation.prompt]))
    except (*_wrong, KeyError):
        prompt.pieces.clear()
    return prompt


def read_session(fields: dict[str, msgspec.Raw]) -> str:
    """What in a body ties it to other requests; empty: nothing does. The kind of the tie stands
    before it, so that a user is not taken for a cache key of the same name."""
    for name in fields:
        if name in _TIES:
            return _read_tie(fields)
    return ""


def _read_tie(fields: dict[str, msgspec.Raw]) -> str:
    for read in (_read_conversation, _read_field, _read_user_id, _read_previous):
        try:
            found = read(fields)
        except _wrong:
            continue  # the target will say what is wrong with it
        if found:
            return found
    return ""


# The operations


def _read_chat(fields: dict[str, msgspec.Raw]) -> Prompt:
    prompt = Prompt()
    _add_tools(prompt, fields)
    _add_turns(prompt, TURNS.decode(fields["messages"]))
    return prompt


def _read_messages(fields: dict[str, msgspec.Raw]) -> Prompt:
    prompt = Prompt()
    _add_tools(prompt, fields)
    system = fields.get("system")
    if system is not None:
        prompt.add("system", _content_bytes(CONTENT.decode(system)))
    _add_turns(prompt, TURNS.decode(fields["messages"]))
    return prompt


def _read_responses(fields: dict[str, msgspec.Raw]) -> Prompt:
    prompt = Prompt()
    _add_tools(prompt, fields)
    instructions = fields.get("instructions")
    if instructions is not None:
        prompt.add("system", _canonical(instructions))
    given = ITEMS_OR_TEXT.decode(fields["input"])
    if isinstance(given, str):
        prompt.add("user", given.encode())
        return prompt
    _add_items(prompt, given)
    return prompt


def _reader_of_texts(name: str) -> Callable[[dict[str, msgspec.Raw]], Prompt]:
    """Of a field that holds a text, texts, token ids or lists of these."""

    def read(fields: dict[str, msgspec.Raw]) -> Prompt:
        prompt = Prompt()
        given = TEXTS.decode(fields[name])
        if isinstance(given, str):
            prompt.add("user", given.encode())
            return prompt
        ids = [one for one in given if isinstance(one, int)]
        if ids and len(ids) == len(given):
            prompt.add("ids", _pack(ids))
            return prompt
        for one in given:
            if isinstance(one, str):
                prompt.add("user", one.encode())
            else:
                prompt.add("ids", _pack([one] if isinstance(one, int) else one))
        return prompt

    return read


_READERS: dict[OperationName, Callable[[dict[str, msgspec.Raw]], Prompt]] = {
    "chat": _read_chat,
    "completions": _reader_of_texts("prompt"),
    "embeddings": _reader_of_texts("input"),
    "responses": _read_responses,
    "messages": _read_messages,
    "count_tokens": _read_messages,
}


# Their parts


def _add_tools(prompt: Prompt, fields: dict[str, msgspec.Raw]) -> None:
    """Templates write tools before everything else (Qwen, Llama and DeepSeek in their system turn),
    so that another tool is another prefix from its first block on."""
    raw = fields.get("tools")
    if raw is None:
        return
    spelled = xxh3_128_digest(raw)
    digest = _known.get(spelled)
    if digest is None:
        if len(_known) >= _KNOWN_DIGESTS:
            _known.clear()
        digest = _known[spelled] = _digest(_anything.decode(raw))
    prompt.add("tools", digest)


def _add_turns(prompt: Prompt, turns: Iterable[Turn]) -> None:
    for turn in turns:
        content = turn.content
        text = content.encode() if isinstance(content, str) else _content_bytes(content)
        if turn.tool_calls or turn.tool_call_id or turn.name or turn.reasoning_content:
            text += _more(turn)
        prompt.add(turn.role, text)


def _add_items(prompt: Prompt, items: Iterable[Item]) -> None:
    for item in items:
        text = _content_bytes(item.content) + _more(item)
        if item.call_id:
            text += _PART + item.call_id.encode()
        for raw in (item.arguments, item.output, item.action, item.summary):
            if bytes(raw):
                text += _PART + _canonical(raw)
        prompt.add(item.role or item.type, text)


def _more(turn: Turn) -> bytes:
    """What a turn has besides its role and content."""
    more = b""
    for said in (turn.name, turn.reasoning_content, turn.tool_call_id):
        if said:
            more += _PART + said.encode()
    if turn.tool_calls:
        more += _PART + b"".join(_digest_part(call, keep="id") for call in turn.tool_calls)
    return more


def _content_bytes(content: str | Iterable[Part] | None) -> bytes:
    """Text as it is, so that a text and a list with one text are the same prompt."""
    if content is None:
        return b""
    if isinstance(content, str):
        return content.encode()
    return _PART.join(map(_part_bytes, content))


def _part_bytes(part: Part) -> bytes:
    text = part.get("text")
    said = _anything.decode(text) if text is not None else None
    return said.encode() if isinstance(said, str) else _digest_part(part)


def _digest_part(part: Part, keep: str = "") -> bytes:
    """Of an image, a file, a call or its result: everything that the model may see."""
    return _digest(
        {
            name: _without_marks(_anything.decode(raw))
            for name, raw in part.items()
            if name not in _SILENT or name == keep
        }
    )


def _without_marks(value: Any) -> Any:
    """A part inside a part, such as the text of a tool's result, may have its own marks."""
    if isinstance(value, list):
        return [
            {name: said for name, said in one.items() if name != "cache_control"}
            if isinstance(one, dict)
            else one
            for one in value
        ]
    return value


def _canonical(raw: msgspec.Raw) -> bytes:
    """A text as it is; anything else as JSON with its keys in order."""
    value = _anything.decode(raw)
    return value.encode() if isinstance(value, str) else _sorted(value)


def _digest(value: object) -> bytes:
    return xxh3_128_hexdigest(_sorted(value)).encode()


def _pack(ids: list[int]) -> bytes:
    """Four bytes a token, as English text has about four characters a token."""
    return struct.pack(f"<{len(ids)}I", *ids)


def _characters(text: bytes, count: int) -> bytes:
    if text.isascii():
        return text[:count]
    return text.decode("utf-8", "surrogateescape")[:count].encode("utf-8", "surrogateescape")


# What ties requests to each other


def _read_conversation(fields: dict[str, msgspec.Raw]) -> str:
    raw = fields.get("conversation")
    if raw is None:
        return ""
    found = CONVERSATION.decode(raw)
    found = found if isinstance(found, str) else found.id
    return f"conversation {found}" if found else ""


def _read_field(fields: dict[str, msgspec.Raw]) -> str:
    for name in _SESSION_FIELDS:
        raw = fields.get(name)
        if raw is not None and (found := _canonical(raw)) not in (b"", b"null"):
            return f"{name} {found.decode()}"
    return ""


def _read_user_id(fields: dict[str, msgspec.Raw]) -> str:
    """Anthropic's; some agents write the session into it."""
    raw = fields.get("metadata")
    found = METADATA.decode(raw).user_id if raw is not None else ""
    return f"user_id {found}" if found else ""


def _read_previous(fields: dict[str, msgspec.Raw]) -> str:
    """The answer that this one goes on from. It changes with each turn: it ties together only what
    branches off one answer, and so comes last."""
    raw = fields.get("previous_response_id")
    found = _anything.decode(raw) if raw is not None else None
    return f"previous {found}" if isinstance(found, str) and found else ""
