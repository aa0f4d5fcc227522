"""The messages of a chat request in normal form: roles, parts, calls and what tools answered.

Results of tools become parts of a user's message; those that follow each other share one. How
thoughts travel in this dialect, which has no form of its own for them:

    reasoning_content   what was thought, as text (or `reasoning`)
    thinking_blocks     the same with signatures, as LiteLLM has it:
                        [{"type": "thinking", "thinking": "…", "signature": "…"},
                         {"type": "redacted_thinking", "data": "…"}]
    extra_content       of a tool call: {"google": {"thought_signature": "…"}}, as Google has it

Answers carry them so, and a client that sends the message back sends them back. Cache marks
(`cache_control`, Anthropic's form) stand on parts, calls or a whole message, and stay in place.
What has no normal form is kept as `Foreign` with its path.
"""

from typing import cast, get_args

import msgspec

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
from towplane.providers.dialects.chat.body import Body, items, refuse, text

__all__ = ["read_mark", "read_messages"]

_ONLY_IN_ANSWERS = ("annotations", "citations", "reasoning_details")
"""Of a message of ours that is sent back: they say nothing to a model."""
_MEDIA_TYPES = {
    # of files whose data does not say; the system's own table would differ from host to host
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "htm": "text/html",
    "html": "text/html",
    "json": "application/json",
    "md": "text/markdown",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "txt": "text/plain",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xml": "application/xml",
}


def read_messages(raw: msgspec.Raw) -> list[Message]:
    """All messages, in their order. Raises BadRequest, naming the parameter."""
    messages: list[Message] = []
    follows_result = False
    given = read_field(items, raw, "messages", "a list")
    for place, one in enumerate(given):
        body = Body.of(one, f"messages[{place}]")
        role = body.need("role")
        if role == "tool":
            parts = _result(body)
            if follows_result:
                messages[-1].parts += parts
            else:
                messages.append(Message("user", parts))
        elif role == "assistant":
            messages.append(_said(body))
        elif role == "function":  # replaced by `tool` in 2023
            messages.append(Message("user", [Foreign(body.path, one)]))
        elif role in get_args(Role):
            messages.append(_told(cast(Role, role), body))
        else:
            refuse(body.at("role"), "must be system, developer, user, assistant or tool")
        follows_result = role == "tool"
    return messages


def read_mark(body: Body) -> CacheMark:
    """The cache mark of an object; it lives for five minutes where nothing is said."""
    mark = body.object("cache_control")
    if mark is None:
        return ""
    if mark.need("type") != "ephemeral":
        refuse(mark.at("type"), "must be ephemeral")
    life = mark.text("ttl") or "5m"
    if life not in ("5m", "1h"):
        refuse(mark.at("ttl"), "must be 5m or 1h")
    return cast(CacheMark, life)


def _told(role: Role, body: Body) -> Message:
    name, mark = body.text("name"), read_mark(body)
    if "content" not in body.left:
        refuse(body.at("content"), "is missing")
    parts = _content(body)
    _mark_last(parts, mark)
    return Message(role, parts + _left(body), name)


def _said(body: Body) -> Message:
    """An assistant's message: thoughts, then words, then calls."""
    name, mark = body.text("name"), read_mark(body)
    for field in _ONLY_IN_ANSWERS:
        body.raw(field)
    parts = _thoughts(body)
    content = _content(body) if "content" in body.left else []
    refusal = body.text("refusal")
    calls = body.take("tool_calls", items, "a list") or []
    if content != [Text("")] or not (parts or refusal or calls):
        parts += content
    if refusal:
        parts.append(Refusal(refusal))
    for place, raw in enumerate(calls):
        parts += _call(raw, f"{body.path}.tool_calls[{place}]")
    _mark_last(parts, mark)
    return Message("assistant", parts + _left(body), name)


def _result(body: Body) -> list[Part]:
    call_id, mark = body.need("tool_call_id"), read_mark(body)
    body.raw("name")  # some clients repeat the function's
    said = _content(body) if "content" in body.left else []
    shown: list[Text | Image | Document] = []
    foreign: list[Part] = []
    for part in said:
        if isinstance(part, Text | Image | Document):
            shown.append(part)
        else:
            foreign.append(part)
    return [ToolResult(call_id, shown, cache=mark), *foreign, *_left(body)]


def _content(body: Body) -> list[Part]:
    path = body.at("content")
    raw = body.raw("content")
    assert raw is not None
    if bytes(memoryview(raw)[:1]) == b'"':
        return [Text(read_field(text, raw, path, "a string"))]
    parts: list[Part] = []
    given = read_field(items, raw, path, "a string or a list of parts")
    for place, one in enumerate(given):
        parts += _part(one, f"{path}[{place}]")
    return parts


def _part(raw: msgspec.Raw, path: str) -> list[Part]:
    """A part, and after it what of it has no normal form."""
    body = Body.of(raw, path)
    kind = body.need("type")
    part: Part
    if kind == "text":
        part = Text(body.need("text"), read_mark(body))
    elif kind == "image_url":
        part = _image(body)
    elif kind == "input_audio":
        heard = body.object("input_audio") or refuse(body.at("input_audio"), "is missing")
        part = Audio(heard.need("data"), heard.need("format"))
    elif kind == "file":
        inner = body.object("file") or refuse(body.at("file"), "is missing")
        if "file_data" not in inner.left:  # `file_id` names what only OpenAI has
            return [Foreign(inner.at("file_id"), raw)]
        part = _document(inner, read_mark(body))
        return [part, *_left(inner), *_left(body)]
    elif kind == "refusal":
        part = Refusal(body.need("refusal"))
    elif kind in ("thinking", "redacted_thinking"):
        part = _thought(kind, body)
    else:
        return [Foreign(path, raw)]
    return [part, *_left(body)]


def _image(body: Body) -> Image:
    mark, path = read_mark(body), body.at("image_url")
    raw = body.raw("image_url")
    if raw is None:
        refuse(path, "is missing")
    detail = ""
    if bytes(memoryview(raw)[:1]) == b'"':  # short for an object that holds a URL alone
        url = read_field(text, raw, path, "a URL")
    else:
        inner = Body.of(raw, path)
        url, detail = inner.need("url"), inner.text("detail")
    if not url.startswith("data:"):
        return Image(url=url, detail=detail, cache=mark)
    media_type, data = _unwrap(url, path)
    return Image(media_type, data, detail=detail, cache=mark)


def _document(body: Body, mark: CacheMark) -> Document:
    data, name = body.need("file_data"), body.text("filename")
    if data.startswith(("https://", "http://")):
        return Document(url=data, name=name, cache=mark)
    media_type = _MEDIA_TYPES.get(name.rpartition(".")[2].lower(), "application/pdf")
    if data.startswith("data:"):
        media_type, data = _unwrap(data, body.at("file_data"))
    return Document(media_type, data, name=name, cache=mark)


def _unwrap(url: str, path: str) -> tuple[str, str]:
    """Media type and base64 of a `data:` URL (RFC 2397)."""
    head, comma, data = url.partition(",")
    if not comma or not head.endswith(";base64"):
        refuse(path, "must be a URL, or data in base64 (`data:image/png;base64,…`)")
    return head[5:].partition(";")[0], data


def _thoughts(body: Body) -> list[Part]:
    spoken = body.text("reasoning_content")
    spoken = body.text("reasoning") or spoken
    blocks = body.take("thinking_blocks", items, "a list") or []
    parts: list[Part] = []
    for place, raw in enumerate(blocks):
        block = Body.of(raw, f"{body.path}.thinking_blocks[{place}]")
        kind = block.need("type")
        if kind not in ("thinking", "redacted_thinking"):
            refuse(block.at("type"), "must be thinking or redacted_thinking")
        parts.append(_thought(kind, block))
    if spoken and not any(isinstance(part, Thinking) for part in parts):
        parts.insert(0, Thinking(spoken))
    return parts


def _thought(kind: str, block: Body) -> Part:
    if kind == "redacted_thinking":
        return Redacted(block.need("data"))
    return Thinking(block.text("thinking"), block.text("signature"))


def _call(raw: msgspec.Raw, path: str) -> list[Part]:
    body = Body.of(raw, path)
    if (body.text("type") or "function") != "function":
        return [Foreign(path, raw)]
    body.raw("index")  # of a chunk that was put together
    function = body.object("function") or refuse(body.at("function"), "is missing")
    more = body.object("extra_content") or _NOTHING
    google = more.object("google") or _NOTHING
    signature = google.text("thought_signature")
    call = ToolCall(
        body.need("id"),
        function.need("name"),
        function.text("arguments").strip() or "{}",
        signature,
        read_mark(body),
    )
    return [call, *_left(function), *_left(google), *_left(more), *_left(body)]


_NOTHING = Body({})


def _mark_last(parts: list[Part], mark: CacheMark) -> None:
    """A whole message's mark stands at its end."""
    if mark and parts and isinstance(parts[-1], Text | Image | Document | ToolCall):
        parts[-1].cache = mark


def _left(body: Body) -> list[Part]:
    return [Foreign(body.at(name), raw) for name, raw in body.left.items()]
