"""The messages of a conversation as chat has them, for a server that speaks chat.

Order is kept, with two exceptions that the wire demands: results of tools stand right behind the
calls, and an image that a tool returned follows them in a user's message, because a tool's message
is text alone. Thoughts go back only where the server wants them; a signature or a redacted thought
means nothing to anyone but its maker.
"""

from towplane.providers.adapter import Losses
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
from towplane.providers.dialects.chat.accepts import Accepts

__all__ = ["Fields", "Turns", "marked"]

Fields = dict[str, object]


class Turns:
    """Renders messages; what has no place goes through `losses`, with `where` as who refuses."""

    __slots__ = ("_accepts", "_losses", "_where")

    def __init__(self, losses: Losses, where: str, accepts: Accepts) -> None:
        self._losses = losses
        self._where = where
        self._accepts = accepts

    def render(self, messages: list[Message]) -> list[Fields]:
        """All messages, in their order."""
        rendered: list[Fields] = []
        for message in messages:
            if message.role == "assistant":
                rendered.append(self._said(message))
            else:
                rendered += self._told(message)
        return rendered

    # Private

    def _told(self, message: Message) -> list[Fields]:
        results: list[Fields] = []
        shown: list[Fields] = []
        parts: list[Fields] = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                results.append(self._result(part, shown))
            else:
                parts += self._part(part)
        parts = shown + parts
        if results and not parts:
            return results
        role: str = message.role
        if role == "developer" and not self._accepts.developer:
            role = "system"
        told: Fields = {"role": role, "content": _content(parts)}
        if message.name:
            told["name"] = message.name
        return [*results, told]

    def _said(self, message: Message) -> Fields:
        said: Fields = {"role": "assistant", "content": None}
        parts: list[Fields] = []
        calls: list[Fields] = []
        thoughts: list[Thinking | Redacted] = []
        refusal = ""
        for part in message.parts:
            if isinstance(part, ToolCall):
                calls.append(self._call(part))
            elif isinstance(part, Thinking | Redacted):
                thoughts.append(part)
            elif isinstance(part, Refusal):
                refusal += part.text
            else:
                parts += self._part(part)
        if parts or not (calls or refusal):
            said["content"] = _content(parts)
        if refusal:
            said["refusal"] = refusal
        if message.name:
            said["name"] = message.name
        if calls:
            said["tool_calls"] = calls
        return said | self._thoughts(thoughts)

    def _thoughts(self, thoughts: list[Thinking | Redacted]) -> Fields:
        spoken = "".join(one.text for one in thoughts if isinstance(one, Thinking))
        fields: Fields = {}
        if spoken and self._accepts.thoughts:
            fields["reasoning_content"] = spoken
        if self._accepts.thinking_blocks:
            blocks = [_block(one) for one in thoughts if isinstance(one, Redacted) or one.signature]
            if blocks:
                fields["thinking_blocks"] = blocks
        elif any(isinstance(one, Redacted) for one in thoughts):
            self._lose("redacted_thinking")
        return fields

    def _part(self, part: Part) -> list[Fields]:
        match part:
            case Text():
                if part.citations:
                    self._lose("citations")
                return [self._mark({"type": "text", "text": part.text}, part.cache)]
            case Image():
                return [self._mark(_image(part), part.cache)]
            case Document():
                return self._document(part)
            case Audio():
                heard = {"data": part.data, "format": part.format}
                return [{"type": "input_audio", "input_audio": heard}]
            case Foreign():
                self._lose(part.param)
            case Refusal():
                return [{"type": "refusal", "refusal": part.text}]
            case Redacted():
                self._lose("redacted_thinking")
            case Thinking():
                self._lose("thinking")
            case ToolCall() | ToolResult():
                self._lose("messages")  # a call of the user's, a result of the model's
        return []

    def _document(self, part: Document) -> list[Fields]:
        if part.cites:
            self._lose("citations")
        if part.text:
            head = "\n".join(said for said in (part.name, part.context) if said)
            words = f"{head}\n\n{part.text}" if head else part.text
            return [self._mark({"type": "text", "text": words}, part.cache)]
        if not self._accepts.files or not part.data:
            self._lose("document")
            return []
        if part.context:
            self._lose("context")
        file = {"filename": part.name or _file_name(part.media_type)}
        file["file_data"] = f"data:{part.media_type};base64,{part.data}"
        return [self._mark({"type": "file", "file": file}, part.cache)]

    def _result(self, result: ToolResult, shown: list[Fields]) -> Fields:
        """The tool's message; what it cannot hold goes into `shown`."""
        parts: list[Fields] = []
        for part in result.parts:
            made = self._part(part)
            if isinstance(part, Image) or (made and made[0]["type"] != "text"):
                shown.append({"type": "text", "text": f"Returned by {result.call_id}:"})
                shown += made
            else:
                parts += made
        if result.is_error:  # chat has no flag for it
            parts.insert(0, {"type": "text", "text": "The tool failed:"})
        told: Fields = {"role": "tool", "tool_call_id": result.call_id, "content": _content(parts)}
        return self._mark(told, result.cache)

    def _call(self, part: ToolCall) -> Fields:
        function = {"name": part.name, "arguments": part.arguments}
        call: Fields = {"id": part.id, "type": "function", "function": function}
        if part.signature and self._accepts.google_signatures:
            call["extra_content"] = {"google": {"thought_signature": part.signature}}
        return self._mark(call, part.cache)

    def _mark(self, fields: Fields, mark: CacheMark) -> Fields:
        return marked(fields, mark) if mark and self._accepts.cache_marks else fields

    def _lose(self, param: str) -> None:
        self._losses.lose(param, where=self._where)


def marked(fields: Fields, mark: CacheMark) -> Fields:
    """The object with a cache mark in Anthropic's form."""
    life = {"ttl": mark} if mark != "5m" else {}
    return fields | {"cache_control": {"type": "ephemeral"} | life}


def _content(parts: list[Fields]) -> str | list[Fields]:
    """A single text without a mark is a string, which every chat template understands."""
    if not parts:
        return ""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return str(parts[0]["text"])
    return parts


def _image(image: Image) -> Fields:
    url = image.url or f"data:{image.media_type};base64,{image.data}"
    return {
        "type": "image_url",
        "image_url": {"url": url, "detail": image.detail} if image.detail else {"url": url},
    }


def _block(thought: Thinking | Redacted) -> Fields:
    if isinstance(thought, Redacted):
        return {"type": "redacted_thinking", "data": thought.data}
    return {"type": "thinking", "thinking": thought.text, "signature": thought.signature}


def _file_name(media_type: str) -> str:
    return f"document.{media_type.partition('/')[2] or 'pdf'}"
