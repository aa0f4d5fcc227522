"""The messages of a conversation as Messages' content blocks.

Law: parts keep their order, their cache marks and their signatures. Messages of one role that
follow each other are one, because an answer belongs to a whole turn.
"""

import base64
import binascii
import re

import msgspec

from towplane.parts.errors import BadRequest
from towplane.providers.adapter import Losses
from towplane.providers.conversation.request import (
    Audio,
    Conversation,
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

__all__ = ["cache_control", "render_content"]

Block = dict[str, object]
_IMAGES = frozenset(("image/jpeg", "image/png", "image/gif", "image/webp"))
_PDF = "application/pdf"
_NOT_IN_ID = re.compile(r"[^a-zA-Z0-9_-]")
"""Ids of calls hold nothing else there; some engines write `functions.name:0`."""

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def cache_control(mark: str) -> Block:
    """The mark on the wire; five minutes is what it means without a `ttl`."""
    return {"type": "ephemeral", "ttl": "1h"} if mark == "1h" else {"type": "ephemeral"}


def render_content(
    conversation: Conversation, losses: Losses, where: str
) -> tuple[list[Block], list[Block]]:
    """`system` and `messages`. Raises BadRequest."""
    system: list[Block] = []
    messages: list[Block] = []
    content: list[Block] = []
    role = ""
    for index, message in enumerate(conversation.messages):
        writer = _BlockWriter(losses, where, f"messages.{index}", message.role)
        blocks = writer.blocks(message)
        if message.role in ("system", "developer"):
            system.extend(blocks)
        elif message.role == role:
            content.extend(blocks)
        elif blocks:
            role, content = message.role, blocks
            messages.append({"role": role, "content": content})
    return system, messages


class _BlockWriter:
    """Writes the parts of one message."""

    __slots__ = ("_losses", "_path", "_role", "_where")

    def __init__(self, losses: Losses, where: str, path: str, role: str) -> None:
        self._losses = losses
        self._where = where
        self._path = path
        self._role = role

    def blocks(self, message: Message) -> list[Block]:
        """The blocks of a message; empty texts, which the API refuses, are none."""
        if message.name:
            self._lose(f"{self._path}.name")
        found: list[Block] = []
        for part in message.parts:
            block = self._block(part)
            if block is None:
                continue
            mark = getattr(part, "cache", "")
            if mark:
                block["cache_control"] = cache_control(mark)
            found.append(block)
        return found

    def _lose(self, param: str) -> None:
        self._losses.lose(param, where=self._where)

    def _block(self, part: Part) -> Block | None:
        match part:
            case Text():
                return self._text(part)
            case Image():
                return self._image(part)
            case Document():
                return self._document(part)
            case ToolCall():
                return self._call(part)
            case ToolResult():
                return self._result(part)
            case Thinking(text=text, signature=signature):
                # What was not signed was thought by another model, and is not taken back here; a
                # signature that the plane marked is another provider's.
                if not signature or signature.startswith("towplane."):
                    return None
                return {"type": "thinking", "thinking": text, "signature": signature}
            case Redacted(data=data):
                return {"type": "redacted_thinking", "data": data}
            case Refusal(text=text):
                return {"type": "text", "text": text} if text else None
            case Audio():
                self._lose(f"{self._path}.content.input_audio")
                return None
            case Foreign(param=param):
                self._lose(param)
                return None

    def _text(self, part: Text) -> Block | None:
        if not part.text:
            return None
        block: Block = {"type": "text", "text": part.text}
        if part.citations and self._role == "assistant":
            block["citations"] = part.citations
        return block

    def _image(self, part: Image) -> Block:
        if part.detail == "low":  # `high` and `auto` are what there is
            self._lose(f"{self._path}.content.image_url.detail")
        if part.url:
            return {"type": "image", "source": {"type": "url", "url": part.url}}
        if part.media_type not in _IMAGES:
            raise BadRequest(
                f"Images of type `{part.media_type}` have no counterpart in {self._where}.",
                param=f"{self._path}.content",
                next_step="Send JPEG, PNG, GIF or WebP.",
                reason="unsupported-parameter",
            )
        source = {"type": "base64", "media_type": part.media_type, "data": part.data}
        return {"type": "image", "source": source}

    def _document(self, part: Document) -> Block:
        block: Block = {"type": "document", "source": self._document_source(part)}
        if part.name:
            block["title"] = part.name
        if part.context:
            block["context"] = part.context
        if part.cites:
            block["citations"] = {"enabled": True}
        return block

    def _document_source(self, part: Document) -> Block:
        if part.url:
            return {"type": "url", "url": part.url}
        if part.data and part.media_type == _PDF:
            return {"type": "base64", "media_type": _PDF, "data": part.data}
        text = part.text
        if part.data and part.media_type.startswith("text/"):
            text = self._decode_text(part.data)
        elif part.data:
            raise BadRequest(
                f"Documents of type `{part.media_type}` have no counterpart in {self._where}.",
                param=f"{self._path}.content",
                next_step="Send PDF or plain text.",
                reason="unsupported-parameter",
            )
        return {"type": "text", "media_type": "text/plain", "data": text}

    def _decode_text(self, data: str) -> str:
        try:
            return base64.b64decode(data, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise BadRequest(
                "A document's data is not base64 of UTF-8 text.",
                param=f"{self._path}.content",
                reason="body-invalid",
            ) from None

    def _call(self, part: ToolCall) -> Block:
        raw = part.arguments.encode() or b"{}"
        try:
            _object.decode(raw)
        except msgspec.DecodeError:
            raise BadRequest(
                f"The arguments of the call of `{part.name}` are not a JSON object.",
                param=self._path,
                reason="body-invalid",
            ) from None
        return {
            "type": "tool_use",
            "id": _NOT_IN_ID.sub("_", part.id),
            "name": part.name,
            "input": msgspec.Raw(raw),
        }

    def _result(self, part: ToolResult) -> Block:
        block: Block = {"type": "tool_result", "tool_use_id": _NOT_IN_ID.sub("_", part.call_id)}
        inner = []
        for one in part.parts:
            found = self._block(one)
            if found is not None:
                if one.cache:
                    found["cache_control"] = cache_control(one.cache)
                inner.append(found)
        if inner:
            block["content"] = inner
        if part.is_error:
            block["is_error"] = True
        return block
