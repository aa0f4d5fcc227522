"""The items of a Responses input as messages of the normal form, and its reasoning both ways.

Items that the model made follow each other in one message of the assistant, results of tools in
one of the user. What a provider signed comes back as it went out: a reasoning item holds its words
as summary and its signature as `encrypted_content`; where there is no room for what was signed, a
word before the signature says so.
"""

import msgspec

from towplane.parts.errors import BadRequest
from towplane.providers.ask import read_field
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
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

__all__ = ["BARE_SIGNATURE", "CALL_SIGNATURE", "cache_mark", "read_items"]

BARE_SIGNATURE = "signature:"
"""Before the signature of a thought whose words the provider keeps to itself."""
CALL_SIGNATURE = "call-signature:"
"""Before the signature of the call that follows (Gemini's)."""
_STORED = frozenset((  # openai 3.54.0 `types/responses/response_input_item_param.py`
    "additional_tools", "apply_patch_call", "apply_patch_call_output", "code_interpreter_call",
    "compaction", "compaction_trigger", "computer_call", "computer_call_output",
    "custom_tool_call", "custom_tool_call_output", "file_search_call", "image_generation_call",
    "item_reference", "local_shell_call", "local_shell_call_output", "mcp_approval_request",
    "mcp_approval_response", "mcp_call", "mcp_list_tools", "program", "program_output",
    "shell_call", "shell_call_output", "tool_search_call", "tool_search_output",
    "web_search_call",
))  # fmt: skip
"""Kinds of items that have no normal form."""


_ABSENT = msgspec.Raw(b"")


class _Mark(msgspec.Struct):
    mode: str = ""


class _Item(msgspec.Struct):
    type: str | None = None
    role: str = ""
    content: msgspec.Raw = _ABSENT
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str = "{}"
    output: msgspec.Raw = _ABSENT
    summary: list["_Words"] | None = None
    encrypted_content: str | None = None


class _Words(msgspec.Struct):
    text: str = ""


class _Sound(msgspec.Struct):
    data: str
    format: str = "wav"


class _Part(msgspec.Struct):
    type: str
    text: str = ""
    refusal: str = ""
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: _Sound | None = None
    prompt_cache_breakpoint: _Mark | None = None


_input = msgspec.json.Decoder(str | list[msgspec.Raw])
_item = msgspec.json.Decoder(_Item)
_content = msgspec.json.Decoder(str | list[msgspec.Raw])
_thoughts = msgspec.json.Decoder(list[_Words] | None)
_part = msgspec.json.Decoder(_Part)


def cache_mark(ttl: str | None) -> CacheMark:
    """The mark that keeps a prefix at least as long as `prompt_cache_options.ttl` wants.

    Unsaid it is OpenAI's default of 30 minutes, which nobody chose; elsewhere the shorter life is
    the default, too.
    """
    return "5m" if ttl is None else "1h"


def read_items(raw: msgspec.Raw, mark: CacheMark) -> list[Message]:
    """The messages of `input`. Raises BadRequest, naming the item."""
    given = read_field(_input, raw, "input", "text or a list of items")
    if isinstance(given, str):
        return [Message("user", [Text(given)])]
    reader = _Reader(mark)
    for place, one in enumerate(given):
        reader.read(one, f"input[{place}]")
    reader.end_call_signature()
    return reader.messages


class _Reader:
    """Puts items together into messages."""

    __slots__ = ("_call_signature", "_mark", "_may_go_on", "messages")

    def __init__(self, mark: CacheMark) -> None:
        self.messages: list[Message] = []
        self._mark = mark
        self._may_go_on = False
        """The last message may take more of what the model made in the same turn."""
        self._call_signature = ""

    def read(self, raw: msgspec.Raw, where: str) -> None:
        """One item."""
        item = read_field(_item, raw, where, "an item of a known form")
        kind = item.type or ("message" if item.role else "")
        if kind == "message":
            self._message(item, where)
        elif kind == "function_call":
            self._call(item, raw, where)
        elif kind == "function_call_output":
            self._result(item, where)
        elif kind == "reasoning":
            self._reasoning(item, where)
        else:
            word = kind if kind in _STORED else "type"
            self._add("user", [Foreign(f"{where}.{word}", raw)])
            self._may_go_on = False

    def end_call_signature(self) -> None:
        """The call that a signature belongs to does not come: then it is a thought of its own."""
        if self._call_signature:
            signature, self._call_signature = self._call_signature, ""
            self._made([Thinking("", signature)])

    def _message(self, item: _Item, where: str) -> None:
        role = item.role
        if role not in ("user", "assistant", "system", "developer"):
            name = f"{where}.role"
            raise BadRequest(
                f"`{name}` must be user, assistant, system or developer.",
                param=name,
                reason="body-invalid",
            )
        if item.content == _ABSENT:
            name = f"{where}.content"
            raise BadRequest(f"`{name}` is missing.", param=name, reason="body-invalid")
        parts = self._parts(item.content, f"{where}.content")
        if role != "assistant":
            self.messages.append(Message(role, parts))  # type: ignore[arg-type]  # one of the four
            self._may_go_on = False
            return
        self.end_call_signature()
        last = self.messages[-1] if self._may_go_on else None
        if last is not None and type(last.parts[-1]) is Text:
            self._may_go_on = False  # two messages of the model are two
        self._made(parts)

    def _call(self, item: _Item, raw: msgspec.Raw, where: str) -> None:
        if not item.name or not item.call_id:
            name = f"{where}.{'name' if item.call_id else 'call_id'}"
            raise BadRequest(f"`{name}` is missing.", param=name, reason="body-invalid")
        signature, self._call_signature = self._call_signature, ""
        parts: list[Part] = [ToolCall(item.call_id, item.name, item.arguments or "{}", signature)]
        if item.namespace:
            parts.append(Foreign(f"{where}.namespace", raw))
        self._made(parts)

    def _result(self, item: _Item, where: str) -> None:
        if not item.call_id or item.output == _ABSENT:
            name = f"{where}.{'output' if item.call_id else 'call_id'}"
            raise BadRequest(f"`{name}` is missing.", param=name, reason="body-invalid")
        known: list[Text | Image | Document] = []
        others: list[Part] = []
        for part in self._parts(item.output, f"{where}.output"):
            if isinstance(part, Text | Image | Document):
                known.append(part)
            else:
                others.append(part)
        self.end_call_signature()
        last = self.messages[-1] if self.messages else None
        result = ToolResult(item.call_id, known)
        if last is not None and last.role == "user" and type(last.parts[0]) is ToolResult:
            last.parts += [result, *others]
        else:
            self.messages.append(Message("user", [result, *others]))
        self._may_go_on = False

    def _reasoning(self, item: _Item, where: str) -> None:
        said = item.summary or []
        if not said and item.content != _ABSENT:  # open models: the thoughts themselves
            name = f"{where}.content"
            said = read_field(_thoughts, item.content, name, "a list of thoughts") or []
        words = "\n\n".join(one.text for one in said)
        sealed = item.encrypted_content or ""
        self.end_call_signature()
        if sealed.startswith(CALL_SIGNATURE):
            self._call_signature = sealed.removeprefix(CALL_SIGNATURE)
            sealed = ""
        elif sealed.startswith(BARE_SIGNATURE):
            self._made([Thinking("", sealed.removeprefix(BARE_SIGNATURE))])
            return
        if words:
            self._made([Thinking(words, sealed)])
        elif sealed:
            self._made([Redacted(sealed)])

    def _made(self, parts: list[Part]) -> None:
        """The model made these."""
        if self._may_go_on:
            self.messages[-1].parts += parts
        else:
            self._add("assistant", parts)
            self._may_go_on = True

    def _add(self, role: Role, parts: list[Part]) -> None:
        self.messages.append(Message(role, parts))

    def _parts(self, raw: msgspec.Raw, where: str) -> list[Part]:
        given = read_field(_content, raw, where, "text or a list of parts")
        if isinstance(given, str):
            return [Text(given)]
        return [self._part(one, f"{where}[{place}]") for place, one in enumerate(given)]

    def _part(self, raw: msgspec.Raw, where: str) -> Part:
        part = read_field(_part, raw, where, "a part of a known form")
        mark = part.prompt_cache_breakpoint
        cache = self._mark if mark is not None and mark.mode == "explicit" else ""
        if part.file_id:
            return Foreign(f"{where}.file_id", raw)
        if part.type in ("input_text", "output_text", "text"):
            return Text(part.text, cache)
        if part.type == "refusal":
            return Refusal(part.refusal)
        if part.type == "input_image" and part.image_url:
            media_type, data = _split(part.image_url)
            detail = part.detail or ""
            if data:
                return Image(media_type, data, detail=detail, cache=cache)
            return Image(url=part.image_url, detail=detail, cache=cache)
        if part.type == "input_file" and (part.file_data or part.file_url):
            return _document(part, cache)
        if part.type == "input_audio" and part.input_audio is not None:
            return Audio(part.input_audio.data, part.input_audio.format)
        return Foreign(f"{where}.type", raw)


def _document(part: _Part, cache: CacheMark) -> Document:
    name = part.filename or ""
    if not part.file_data:
        return Document(url=part.file_url or "", name=name, cache=cache)
    media_type, data = _split(part.file_data)
    # Bare base64 is a PDF: the one kind of file that the API took first and takes without a type.
    return Document(media_type or "application/pdf", data or part.file_data, name=name, cache=cache)


def _split(url: str) -> tuple[str, str]:
    """Media type and base64 of a data URL; empty if it is another one."""
    if not url.startswith("data:"):
        return "", ""
    head, found, data = url[5:].partition(",")
    if not found or not head.endswith(";base64"):
        return "", ""
    return head.removesuffix(";base64").partition(";")[0], data
