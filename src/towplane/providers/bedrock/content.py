"""Parts of a conversation as Converse's content blocks, in order, cache marks at their places.

Knows no answer and no path. What a block cannot hold is lost by name (`Losses`). Ids and names that
Converse does not take are changed the same way every time, so that a prompt stays the same prompt
for Bedrock's cache.
"""

import re
from collections.abc import Sequence
from hashlib import sha256

import msgspec

from towplane.parts.errors import BadRequest
from towplane.providers.adapter import Losses
from towplane.providers.bedrock.families import Family
from towplane.providers.conversation.request import (
    Audio,
    CacheMark,
    Document,
    Foreign,
    Image,
    Message,
    Part,
    Redacted,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

__all__ = ["Block", "Blocks", "cache_point"]

Block = dict[str, object]

_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
"""Formats by media type (botocore 1.44.5 `ImageFormat`, `DocumentFormat`)."""
_AUDIO = frozenset(("mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mka", "m4a", "webm", "pcm"))
_CALL_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_NAME = re.compile(r"[^A-Za-z0-9\-()\[\]]+")
"""What a document's name must not have, but for single spaces."""
_JSON_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
WHERE = "Bedrock's Converse"


def cache_point(mark: CacheMark) -> Block:
    """A cache point. Five minutes are what Bedrock takes where nothing is said, and not every model
    knows the field."""
    point = {"type": "default", "ttl": mark} if mark == "1h" else {"type": "default"}
    return {"cachePoint": point}


class Blocks:
    """Renders the parts of one conversation; it remembers the names of documents."""

    def __init__(self, family: Family, losses: Losses) -> None:
        self._family = family
        self._losses = losses
        self._names: set[str] = set()
        self._mark = cache_point if family.caches else self._lose_mark

    def render_message(self, message: Message) -> list[Block]:
        """The blocks of a message; Converse refuses blank text, so none is made of it."""
        blocks: list[Block] = []
        for part in message.parts:
            self._render_part(part, blocks)
        return blocks

    def render_system(self, messages: Sequence[Message]) -> list[Block]:
        """The system prompt."""
        blocks: list[Block] = []
        for message in messages:
            for part in message.parts:
                if isinstance(part, Text):
                    if part.text.strip():
                        blocks.append({"text": part.text})
                    self._end(part.cache, blocks)
                else:
                    self._lose_part(part)
        return blocks

    def _render_part(self, part: Part, blocks: list[Block]) -> None:
        match part:
            case Text(text=text, cache=cache):
                if text.strip():
                    blocks.append({"text": text})
                self._end(cache, blocks)
            case Refusal(text=text):
                blocks.append({"text": text})
            case Image():
                self._append(self._image(part), part.cache, blocks)
            case Document():
                self._append(self._document(part), part.cache, blocks)
            case Audio():
                self._append(self._audio(part), "", blocks)
            case ToolCall():
                self._append(_call(part), part.cache, blocks)
            case ToolResult():
                self._append(self._result(part), _last_mark(part), blocks)
            case Thinking() | Redacted():
                self._append(_thought(part), "", blocks)
            case _:
                self._lose_part(part)

    def _append(self, block: Block | None, cache: CacheMark, blocks: list[Block]) -> None:
        if block is not None:
            blocks.append(block)
        self._end(cache, blocks)

    def _end(self, cache: CacheMark, blocks: list[Block]) -> None:
        if cache and blocks:
            point = self._mark(cache)
            if point is not None:
                blocks.append(point)

    def _image(self, image: Image) -> Block | None:
        if image.detail == "low":  # `high` and `auto` are what there is
            self._losses.lose("image_url.detail", where=WHERE)
        source = self._source(image, "image_url")
        if source is None:
            return None
        format_ = _IMAGES.get(image.media_type) or _suffix(image.url, _IMAGES.values(), "jpg")
        if format_ is None:
            self._losses.lose(f"image of type {image.media_type or 'unknown'}", where=WHERE)
            return None
        return {"image": {"format": format_, "source": source}}

    def _document(self, document: Document) -> Block | None:
        if document.text:
            source: Block | None = {"text": document.text}
            format_: str | None = "txt"
        else:
            source = self._source(document, "file_url")
            media_type = document.media_type
            format_ = _DOCUMENTS.get(media_type) or _suffix(document.url, _DOCUMENTS.values())
        if source is None:
            return None
        if format_ is None:
            self._losses.lose(f"document of type {document.media_type or 'unknown'}", where=WHERE)
            return None
        block: Block = {"format": format_, "name": self._own_name(document), "source": source}
        if document.context:
            block["context"] = document.context
        if document.cites:
            block["citations"] = {"enabled": True}
        return {"document": block}

    def _source(self, part: Image | Document, param: str) -> Block | None:
        if part.data:
            return {"bytes": part.data}
        if part.url.startswith("s3://"):
            return {"s3Location": {"uri": part.url}}
        self._losses.lose(param, where=f"{WHERE}, which fetches nothing but s3:// addresses")
        return None

    def _audio(self, audio: Audio) -> Block | None:
        if audio.format not in _AUDIO:
            self._losses.lose(f"audio of format {audio.format}", where=WHERE)
            return None
        return {"audio": {"format": audio.format, "source": {"bytes": audio.data}}}

    def _result(self, result: ToolResult) -> Block:
        content: list[Block] = []
        for part in result.parts:
            if isinstance(part, Text):
                if part.text.strip():
                    content.append({"text": part.text})
                continue
            block = self._image(part) if isinstance(part, Image) else self._document(part)
            if block is not None:
                content.append(block)
        # A tool may have nothing to say, but Converse wants its word, and refuses a blank one.
        found: Block = {
            "toolUseId": _call_id(result.call_id),
            "content": content or [{"json": {}}],
        }
        if result.is_error:
            if self._family.tells_tool_errors:
                found["status"] = "error"
            else:
                self._losses.lose("is_error", where=f"{self._family.name or 'this'} models")
        return {"toolResult": found}

    def _own_name(self, document: Document) -> str:
        """A name of this document alone; Converse takes none twice and few characters."""
        wanted = " ".join(_NAME.sub(" ", document.name).split())[:180] or "document"
        name, number = wanted, 1
        while name in self._names:
            number += 1
            name = f"{wanted} {number}"
        self._names.add(name)
        return name

    def _lose_part(self, part: Part) -> None:
        name = part.param if isinstance(part, Foreign) else type(part).__name__.lower()
        self._losses.lose(name, where=WHERE)

    def _lose_mark(self, mark: CacheMark) -> Block | None:  # noqa: ARG002  # as `cache_point`
        self._losses.lose("cache_control", where=f"{self._family.name or 'this'} models")
        return None


def _call(call: ToolCall) -> Block:
    arguments = call.arguments.strip() or "{}"
    try:
        _JSON_OBJECT.decode(arguments)
    except msgspec.DecodeError:
        raise BadRequest(
            f"The arguments of the call `{call.id}` are not a JSON object.",
            param="tool_calls",
            next_step="Send them as the model wrote them, or mend them.",
            reason="body-invalid",
        ) from None
    raw = msgspec.Raw(arguments.encode())
    return {"toolUse": {"toolUseId": _call_id(call.id), "name": call.name, "input": raw}}


def _call_id(told: str) -> str:
    """The id, or, where another provider's id does not fit Converse's pattern, its hash."""
    if _CALL_ID.fullmatch(told):
        return told
    return f"tooluse_{sha256(told.encode()).hexdigest()[:24]}"


def _thought(part: Thinking | Redacted) -> Block | None:
    """A thought with its signature; without one (another provider's thought) no model would have
    it back, and each does without; a marked signature is of a call at another provider."""
    if isinstance(part, Redacted):
        return {"reasoningContent": {"redactedContent": part.data}}
    if not part.signature or part.signature.startswith("towplane."):  # marked: Gemini's
        return None
    text = {"text": part.text, "signature": part.signature}
    return {"reasoningContent": {"reasoningText": text}}


def _last_mark(result: ToolResult) -> CacheMark:
    """A cache point cannot stand inside a result; it comes after it."""
    marks = [part.cache for part in result.parts if part.cache]
    return result.cache or (marks[-1] if marks else "")


def _suffix(url: str, formats: object, also: str = "") -> str | None:
    """The format that an s3:// address ends with."""
    ending = url.rpartition(".")[2].lower() if "." in url else ""
    if also and ending == also:
        return "jpeg"
    return ending if isinstance(formats, type({}.values())) and ending in formats else None
