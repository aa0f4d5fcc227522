"""The blocks of a Messages request, as parts. Law: a block that has no normal form is `Foreign`,
with the path at which it stood, and never lost."""

from typing import Literal

import msgspec

from towplane.parts.errors import BadRequest
from towplane.providers.ask import read_field
from towplane.providers.conversation.request import (
    Document,
    Foreign,
    Image,
    Part,
    Redacted,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from towplane.providers.dialects.messages.blocks import CALL_MARK

__all__ = ["CacheControl", "mark_of", "read_parts"]

CacheMark = Literal["", "5m", "1h"]


class CacheControl(msgspec.Struct):
    """A mark of the prompt cache."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class _Block(msgspec.Struct):
    """A block of any type; which fields it has, its type decides."""

    type: str
    text: str = ""
    source: msgspec.Raw = msgspec.Raw()
    title: str | None = None
    context: str | None = None
    citations: msgspec.Raw = msgspec.Raw()
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")
    tool_use_id: str = ""
    content: msgspec.Raw = msgspec.Raw()
    is_error: bool | None = None
    thinking: str = ""
    signature: str = ""
    data: str = ""
    cache_control: CacheControl | None = None


class _Source(msgspec.Struct):
    type: str
    media_type: str = ""
    data: str = ""
    url: str = ""


class _Citing(msgspec.Struct):
    enabled: bool | None = None


_content = msgspec.json.Decoder(str | list[msgspec.Raw])
_block = msgspec.json.Decoder(_Block)
_source = msgspec.json.Decoder(_Source)
_citing = msgspec.json.Decoder(_Citing | None)
_sources = msgspec.json.Decoder(list[msgspec.Raw] | None)


def mark_of(control: CacheControl | None) -> CacheMark:
    """The mark; five minutes where nothing is said."""
    return "" if control is None else control.ttl or "5m"


def read_parts(raw: msgspec.Raw, path: str) -> list[Part]:
    """A `content` (a string, or a list of blocks) as parts. Raises BadRequest."""
    content = read_field(_content, raw, path, "a string or a list of blocks")
    if isinstance(content, str):
        return [Text(content)]
    parts: list[Part] = []
    for index, one in enumerate(content):
        where = f"{path}.{index}"
        _read_block(read_field(_block, one, where, "a content block"), one, where, parts)
    return parts


def _read_block(block: _Block, raw: msgspec.Raw, path: str, parts: list[Part]) -> None:
    """One block, added to `parts`."""
    cache = mark_of(block.cache_control)
    match block.type:
        case "text":
            parts.append(Text(block.text, cache, _sources_of(block, path)))
        case "image":
            parts.append(_image(block, raw, path, cache))
        case "document":
            parts.append(_document(block, raw, path, cache))
        case "tool_use":
            parts.append(_call(block, path, cache, parts))
        case "tool_result":
            parts.extend(_result(block, path, cache))
        case "thinking":
            parts.append(Thinking(block.thinking, block.signature))
        case "redacted_thinking":
            parts.append(Redacted(block.data))
        case _:  # search results, the server's own tools and their results, what is yet to come
            parts.append(Foreign(path, raw))


def _call(block: _Block, path: str, cache: CacheMark, parts: list[Part]) -> ToolCall:
    """A call; with the signature that our writer put before it, if it did."""
    if not block.id or not block.name:
        raise BadRequest(f"`{path}` has no `id` or no `name`.", param=path, reason="body-invalid")
    signature = ""
    before = parts[-1] if parts else None
    if isinstance(before, Thinking) and before.signature.startswith(CALL_MARK):
        signature = before.signature.removeprefix(CALL_MARK)
        parts.pop()
    return ToolCall(block.id, block.name, bytes(block.input).decode(), signature, cache)


def _result(block: _Block, path: str, cache: CacheMark) -> list[Part]:
    """The result, and behind it what in it has no normal form."""
    if not block.tool_use_id:
        raise BadRequest(f"`{path}.tool_use_id` is missing.", param=path, reason="body-invalid")
    said = read_parts(block.content, f"{path}.content") if bytes(block.content) else []
    held: list[Text | Image | Document] = []
    others: list[Part] = []
    for part in said:
        if isinstance(part, Text | Image | Document):
            held.append(part)
        else:
            others.append(part)
    return [ToolResult(block.tool_use_id, held, bool(block.is_error), cache), *others]


def _image(block: _Block, raw: msgspec.Raw, path: str, cache: CacheMark) -> Part:
    source = read_field(_source, block.source, f"{path}.source", "an image source")
    match source.type:
        case "base64":
            return Image(source.media_type, source.data, cache=cache)
        case "url":
            return Image(url=source.url, cache=cache)
    return Foreign(f"{path}.source", raw)  # a file that lies with Anthropic


def _document(block: _Block, raw: msgspec.Raw, path: str, cache: CacheMark) -> Part:
    source = read_field(_source, block.source, f"{path}.source", "a document source")
    citing = (
        read_field(_citing, block.citations, f"{path}.citations", "an object")
        if bytes(block.citations)
        else None
    )
    document = Document(
        name=block.title or "",
        context=block.context or "",
        cites=citing is not None and bool(citing.enabled),
        cache=cache,
    )
    match source.type:
        case "base64":
            document.media_type, document.data = source.media_type, source.data
        case "text":
            document.media_type, document.text = source.media_type or "text/plain", source.data
        case "url":
            document.url = source.url
        case _:  # `content`: blocks that are cited one by one; `file`: it lies with Anthropic
            return Foreign(f"{path}.source", raw)
    return document


def _sources_of(block: _Block, path: str) -> list[msgspec.Raw]:
    if not bytes(block.citations):
        return []
    return read_field(_sources, block.citations, f"{path}.citations", "a list") or []
