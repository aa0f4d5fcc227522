"""A Messages request in normal form: fields in, `Conversation` out.

Order is kept everywhere, and so is every cache mark at its place. What has no normal form stays as
`Foreign` where it stood, or in `extra` by the path of its parameter, so that whoever cannot say it
refuses it by that name. The blocks of messages are read in `read_content.py`.
"""

from typing import Literal, TypeVar

import msgspec

from towplane.parts.errors import BadRequest
from towplane.providers.ask import read_field
from towplane.providers.conversation.request import (
    Conversation,
    Message,
    Output,
    Reasoning,
    Text,
    Tool,
    ToolChoice,
)
from towplane.providers.dialects.messages.read_content import CacheControl, mark_of, read_parts

__all__ = ["read"]

T = TypeVar("T")
Fields = dict[str, msgspec.Raw]


class _Message(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: msgspec.Raw


class _Tool(msgspec.Struct):
    type: str | None = None
    name: str = ""
    description: str = ""
    input_schema: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None
    cache_control: CacheControl | None = None


class _ToolChoice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: str = ""
    disable_parallel_tool_use: bool | None = None


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class _Format(msgspec.Struct):
    type: Literal["json_schema"]
    schema: msgspec.Raw


_text = msgspec.json.Decoder(str | None)
_words = msgspec.json.Decoder(list[str] | None)
_flag = msgspec.json.Decoder(bool | None)
_whole = msgspec.json.Decoder(int | None)
_number = msgspec.json.Decoder(float | None)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_maybe_object = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_messages = msgspec.json.Decoder(list[_Message])
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_tool = msgspec.json.Decoder(_Tool)
_choice = msgspec.json.Decoder(_ToolChoice | None)
_thinking = msgspec.json.Decoder(_Thinking | None)
_format = msgspec.json.Decoder(_Format | None)
_cache = msgspec.json.Decoder(CacheControl | None)

_PARAMS = {
    "stop": "stop_sequences",
    "user": "metadata.user_id",
    "output": "output_config.format",
    "reasoning": "thinking",
    "service": "service_tier",
}
_READ = frozenset(
    ("model", "messages", "system", "stream", "max_tokens", "temperature", "top_p", "top_k",
     "stop_sequences", "tools", "tool_choice", "thinking", "output_config", "output_format",
     "metadata", "service_tier", "cache_control", "anthropic_version", "anthropic_beta")
)  # fmt: skip
"""Fields that are read here, or say nothing about the conversation."""
_HINTS = frozenset(("eager_input_streaming", "defer_loading", "allowed_callers", "input_examples"))
"""Of a tool, beyond what every dialect has."""
_IDLE = {
    "eager_input_streaming": (b"true", b"false", b"null"),  # arguments are never held back
    "defer_loading": (b"false", b"null"),
    "allowed_callers": (b'["direct"]', b"null"),
    "input_examples": (b"[]", b"null"),
}
"""Values that ask for nothing beyond the usual."""


def read(fields: Fields) -> Conversation:
    """The request in normal form. Raises BadRequest, naming the parameter."""
    extra = {
        name: raw for name, raw in fields.items() if name not in _READ and bytes(raw) != b"null"
    }
    conversation = Conversation(
        messages=_read_messages(fields),
        stream=bool(_value(fields, "stream", _flag, "true or false")),
        tools=_read_tools(fields, extra),
        tool_choice=_read_tool_choice(fields),
        output=_read_output(fields, extra),
        max_tokens=_value(fields, "max_tokens", _whole, "a whole number"),
        temperature=_value(fields, "temperature", _number, "a number"),
        top_p=_value(fields, "top_p", _number, "a number"),
        top_k=_value(fields, "top_k", _whole, "a whole number"),
        stop=_value(fields, "stop_sequences", _words, "a list of strings") or [],
        reasoning=_read_reasoning(fields, extra),
        user=_read_user(fields, extra),
        service=_read_service(fields),
        extra=extra,
        params=_PARAMS,
    )
    mark = mark_of(_value(fields, "cache_control", _cache, "a cache control"))
    if mark and conversation.messages:
        _mark_last(conversation.messages[-1], mark)
    return conversation


def _value(fields: Fields, name: str, decoder: "msgspec.json.Decoder[T]", want: str) -> T | None:
    raw = fields.get(name)
    return None if raw is None else read_field(decoder, raw, name, want)


def _read_messages(fields: Fields) -> list[Message]:
    raw = fields.get("messages")
    if raw is None:
        raise BadRequest("`messages` is missing.", param="messages", reason="body-invalid")
    said = read_field(_messages, raw, "messages", "a list of messages with `role` and `content`")
    found = [
        Message(message.role, read_parts(message.content, f"messages.{index}.content"))
        for index, message in enumerate(said)
    ]
    system = fields.get("system")
    if system is None or bytes(system) == b"null":
        return found
    parts = read_parts(system, "system")
    if not all(isinstance(part, Text) for part in parts):
        raise BadRequest("`system` holds text only.", param="system", reason="body-invalid")
    return [Message("system", parts), *found]


def _read_tools(fields: Fields, extra: Fields) -> list[Tool]:
    raw = fields.get("tools")
    if raw is None or bytes(raw) == b"null":
        return []
    tools = []
    listed = read_field(_raws, raw, "tools", "a list of tools")
    for index, one in enumerate(listed):
        path = f"tools.{index}"
        tool = read_field(_tool, one, path, "a tool")
        if tool.type not in (None, "custom"):
            extra[path] = one  # a tool of Anthropic's own
            continue
        if not tool.name:
            raise BadRequest(f"`{path}.name` is missing.", param=path, reason="body-invalid")
        tools.append(
            Tool(
                tool.name,
                tool.description,
                tool.input_schema if bytes(tool.input_schema) else Tool("").schema,
                tool.strict,
                mark_of(tool.cache_control),
            )
        )
        for name, value in read_field(_object, one, path, "a tool").items():
            if name in _HINTS and bytes(value) not in _IDLE[name]:
                extra[f"{path}.{name}"] = value
    return tools


def _read_tool_choice(fields: Fields) -> ToolChoice | None:
    choice = _value(fields, "tool_choice", _choice, "a tool choice")
    if choice is None:
        return None
    single = choice.disable_parallel_tool_use
    return ToolChoice(choice.type, choice.name, None if single is None else not single)


def _read_output(fields: Fields, extra: Fields) -> Output | None:
    """`output_config.format`, or `output_format` as the beta called it."""
    config = _value(fields, "output_config", _maybe_object, "an object") or {}
    for name, raw in config.items():
        if name not in ("format", "effort"):
            extra[f"output_config.{name}"] = raw
    form = _value(config, "format", _format, "a JSON schema format") or _value(
        fields, "output_format", _format, "a JSON schema format"
    )
    # Anthropic always holds the answer to the schema.
    return None if form is None else Output("schema", schema=form.schema, strict=True)


def _read_reasoning(fields: Fields, extra: Fields) -> Reasoning | None:
    config = _value(fields, "output_config", _maybe_object, "an object") or {}
    effort = _value(config, "effort", _text, "a string") or ""
    thinking = _value(fields, "thinking", _thinking, "a thinking configuration")
    if thinking is None:
        return Reasoning(effort) if effort else None
    summary = "auto" if thinking.display == "summarized" else ""
    match thinking.type:
        case "enabled":
            return Reasoning(effort, thinking.budget_tokens, summary=summary)
        case "adaptive":
            return Reasoning(effort, summary=summary)
        case "disabled":
            return Reasoning(effort, is_off=True)
    extra["thinking"] = fields["thinking"]
    return Reasoning(effort) if effort else None


def _read_user(fields: Fields, extra: Fields) -> str:
    metadata = _value(fields, "metadata", _maybe_object, "an object") or {}
    extra.update({f"metadata.{name}": raw for name, raw in metadata.items() if name != "user_id"})
    return _value(metadata, "user_id", _text, "a string") or ""


def _read_service(fields: Fields) -> str:
    """In OpenAI's words: `standard_only` is its `default`."""
    tier = _value(fields, "service_tier", _text, "a string") or ""
    return "default" if tier == "standard_only" else tier


def _mark_last(message: Message, mark: Literal["", "5m", "1h"]) -> None:
    """The top level's mark stands for one on the last block that can bear it."""
    for part in reversed(message.parts):
        if hasattr(part, "cache"):
            part.cache = part.cache or mark
            return
