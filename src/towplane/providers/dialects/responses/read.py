"""A Responses request in normal form.

What lives in a vendor's account (an earlier response, a conversation, a stored item or prompt), and
the vendor's own tools, have no normal form: they stand in `extra`, or as `Foreign` parts, by the
name with which they are then refused. What only says how the vendor keeps or sends the answer is
taken as read, because here it comes out as if it had been said.
"""

from typing import TypeVar

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
from towplane.providers.dialects.responses.items import cache_mark, read_items

__all__ = ["read"]

_NAMES = {
    "max_tokens": "max_output_tokens",
    "output": "text.format",
    "reasoning": "reasoning.effort",
    "service": "service_tier",
    "logprobs": "include",
}
"""What Responses calls the fields of the normal form."""
_READ = frozenset((
    "include", "input", "instructions", "max_output_tokens", "metadata", "model",
    "parallel_tool_calls", "prompt_cache_options", "reasoning", "safety_identifier",
    "service_tier", "stream", "stream_options", "temperature", "text", "tool_choice", "tools",
    "top_logprobs", "top_p", "user",
))  # fmt: skip
_IDLE: dict[str, tuple[bytes, ...]] = {
    "background": (b"false",),
    "store": (b"false",),  # what is translated is never stored
    "truncation": (b'"disabled"',),
}
"""Values that ask for nothing that would not be so anyway."""
_OF_ANSWERS = frozenset((  # of tools and inputs; without those nothing comes of them
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "reasoning.encrypted_content",  # always included
    "web_search_call.action.sources",
    "web_search_call.results",
))  # fmt: skip
_HOSTED = frozenset((  # openai 3.54.0 `types/responses/tool_param.py`
    "apply_patch", "code_interpreter", "computer", "computer_use_preview", "custom", "file_search",
    "image_generation", "local_shell", "mcp", "namespace", "shell", "tool_search", "web_search",
    "web_search_preview",
))  # fmt: skip
_NULL = msgspec.Raw(b"null")

T = TypeVar("T")


class _Function(msgspec.Struct):
    type: str = ""
    name: str = ""
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw(b"null")
    strict: bool | None = None


class _Format(msgspec.Struct):
    type: str = "text"
    name: str = ""
    description: str | None = None
    schema: msgspec.Raw = msgspec.Raw(b"{}")
    strict: bool | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None
    context: str | None = None
    mode: str | None = None


class _Choice(msgspec.Struct):
    type: str
    name: str = ""


class _Caching(msgspec.Struct):
    mode: str | None = None
    ttl: str | None = None
    comparison_response_id: str | None = None


class _StreamOptions(msgspec.Struct):
    include_obfuscation: bool | None = None


_flag = msgspec.json.Decoder(bool | None)
_count = msgspec.json.Decoder(int | None)
_number = msgspec.json.Decoder(float | None)
_text = msgspec.json.Decoder(str | None)
_texts = msgspec.json.Decoder(dict[str, str] | None)
_names = msgspec.json.Decoder(list[str] | None)
_functions = msgspec.json.Decoder(list[_Function] | None)
_raws = msgspec.json.Decoder(list[msgspec.Raw] | None)
_format = msgspec.json.Decoder(_Text | None)
_reasoning = msgspec.json.Decoder(_Reasoning | None)
_choice = msgspec.json.Decoder(str | _Choice | None)
_caching = msgspec.json.Decoder(_Caching | None)
_streaming = msgspec.json.Decoder(_StreamOptions | None)


def read(fields: dict[str, msgspec.Raw]) -> Conversation:
    """The request in normal form. Raises BadRequest, naming the parameter."""
    caching = _get(fields, "prompt_cache_options", _caching, "an object")
    extra: dict[str, msgspec.Raw] = {}
    messages = _instructions(fields)
    if "input" in fields:
        messages += read_items(fields["input"], cache_mark(caching.ttl if caching else None))
    if not messages:
        raise BadRequest(
            "The body has neither `input` nor `instructions`.", param="input", reason="body-invalid"
        )
    safety = _get(fields, "safety_identifier", _text, "a string")
    included = _include(fields, extra)
    conversation = Conversation(
        messages=messages,
        stream=bool(_get(fields, "stream", _flag, "true or false")),
        tools=_tools(fields, extra),
        tool_choice=_tool_choice(fields, extra),
        output=_output(fields, extra),
        max_tokens=_get(fields, "max_output_tokens", _count, "a whole number"),
        temperature=_get(fields, "temperature", _number, "a number"),
        top_p=_get(fields, "top_p", _number, "a number"),
        logprobs="message.output_text.logprobs" in included,
        top_logprobs=_get(fields, "top_logprobs", _count, "a whole number") or None,
        reasoning=_reason(fields, extra),
        user=_get(fields, "user", _text, "a string") or safety or "",
        metadata=_get(fields, "metadata", _texts, "an object of strings") or {},
        service=_get(fields, "service_tier", _text, "a string") or "",
        params=_NAMES if safety is None else _NAMES | {"user": "safety_identifier"},
    )
    if caching is not None and (
        caching.comparison_response_id is not None
        or (caching.mode != "explicit" and not _is_marked(messages))
    ):
        extra["prompt_cache_options"] = fields["prompt_cache_options"]
    options = _get(fields, "stream_options", _streaming, "an object")
    if options is not None and options.include_obfuscation:
        extra["stream_options.include_obfuscation"] = fields["stream_options"]
    for name, raw in fields.items():
        is_idle = raw == _NULL or bytes(raw) in _IDLE.get(name, ())
        if name not in _READ and not is_idle:
            extra[name] = raw
    conversation.extra = extra
    return conversation


def _get(
    fields: dict[str, msgspec.Raw], name: str, decoder: "msgspec.json.Decoder[T]", want: str
) -> T | None:
    raw = fields.get(name)
    return None if raw is None else read_field(decoder, raw, name, want)


def _instructions(fields: dict[str, msgspec.Raw]) -> list[Message]:
    words = _get(fields, "instructions", _text, "a string")
    return [Message("system", [Text(words)])] if words else []


def _is_marked(messages: list[Message]) -> bool:
    return any(getattr(part, "cache", "") for message in messages for part in message.parts)


def _include(fields: dict[str, msgspec.Raw], extra: dict[str, msgspec.Raw]) -> list[str]:
    """What is to be included besides; logprobs are the one thing that changes the request."""
    names = _get(fields, "include", _names, "a list of strings") or []
    if any(name != "message.output_text.logprobs" and name not in _OF_ANSWERS for name in names):
        extra["include"] = fields["include"]
    return names


def _tools(fields: dict[str, msgspec.Raw], extra: dict[str, msgspec.Raw]) -> list[Tool]:
    raws = _get(fields, "tools", _raws, "a list of tools") or []
    found = _get(fields, "tools", _functions, "a list of tools") or []
    tools = []
    for place, (tool, raw) in enumerate(zip(found, raws, strict=True)):
        if tool.type != "function":
            kind = tool.type if tool.type in _HOSTED else "type"
            extra[f"tools[{place}].{kind}"] = raw
            continue
        if not tool.name:
            name = f"tools[{place}].name"
            raise BadRequest(f"`{name}` is missing.", param=name, reason="body-invalid")
        schema = tool.parameters
        tools.append(
            Tool(tool.name, tool.description or "", strict=tool.strict)
            if schema == _NULL
            else Tool(tool.name, tool.description or "", schema, strict=tool.strict)
        )
    return tools


def _tool_choice(
    fields: dict[str, msgspec.Raw], extra: dict[str, msgspec.Raw]
) -> ToolChoice | None:
    choice = _get(fields, "tool_choice", _choice, "a string or an object")
    parallel = _get(fields, "parallel_tool_calls", _flag, "true or false")
    if not fields.get("tools"):
        return None  # there is nothing to choose from
    if choice is None or choice == "auto":
        return ToolChoice(parallel=parallel) if choice or parallel is not None else None
    if choice == "none":
        return ToolChoice("none", parallel=parallel)
    if choice == "required":
        return ToolChoice("any", parallel=parallel)
    if isinstance(choice, str):
        raise BadRequest(
            "`tool_choice` must be auto, none, required or an object.",
            param="tool_choice",
            reason="body-invalid",
        )
    if choice.type == "function":
        return ToolChoice("tool", choice.name, parallel)
    extra["tool_choice"] = fields["tool_choice"]
    return ToolChoice(parallel=parallel)


def _output(fields: dict[str, msgspec.Raw], extra: dict[str, msgspec.Raw]) -> Output | None:
    text = _get(fields, "text", _format, "an object")
    if text is None:
        return None
    if text.verbosity not in (None, "medium"):  # which is what comes of saying nothing
        extra["text.verbosity"] = fields["text"]
    form = text.format
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return Output("json")
    if form.type == "json_schema":
        return Output("schema", form.name, form.description or "", form.schema, form.strict)
    extra["text.format"] = fields["text"]
    return None


def _reason(fields: dict[str, msgspec.Raw], extra: dict[str, msgspec.Raw]) -> Reasoning | None:
    wish = _get(fields, "reasoning", _reasoning, "an object")
    if wish is None:
        return None
    if wish.context not in (None, "auto"):
        extra["reasoning.context"] = fields["reasoning"]
    if wish.mode not in (None, "standard"):
        extra["reasoning.mode"] = fields["reasoning"]
    effort, summary = wish.effort or "", wish.summary or wish.generate_summary or ""
    if not effort and not summary:
        return None
    return Reasoning(effort, is_off=effort == "none", summary=summary)
