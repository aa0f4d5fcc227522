"""What the original refuses in a request, in its own words where they are publicly known.

Unknown fields, missing ones, roles, blocks, the pairing of calls and results, thinking budgets,
signatures that it did not make. Pure: a body in, a `Refusal` or nothing out.
"""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from towplane.testing.anthropic.models import MODELS, Model
from towplane.testing.anthropic.tokens import count_request

__all__ = ["VERSIONS", "Refusal", "check"]

VERSIONS = ("2023-06-01", "2026-10-21")
_FIELDS = frozenset(
    ("model", "messages", "max_tokens", "system", "metadata", "stop_sequences", "stream",
     "temperature", "top_p", "top_k", "tools", "tool_choice", "thinking", "service_tier",
     "container", "output_config", "cache_control", "inference_geo", "speed", "diagnostics")
)  # fmt: skip
_COUNT_FIELDS = frozenset(
    ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config",
     "cache_control", "speed")
)  # fmt: skip
_SAMPLING = ("temperature", "top_p", "top_k")
_TOOL_FIELDS = frozenset(
    ("type", "name", "description", "input_schema", "cache_control", "strict", "input_examples",
     "defer_loading", "allowed_callers", "eager_input_streaming")
)  # fmt: skip
_BLOCK_FIELDS = {
    "text": {"text", "cache_control", "citations"},
    "image": {"source", "cache_control", "transformations"},
    "document": {"source", "cache_control", "citations", "context", "title"},
    "tool_use": {"id", "name", "input", "cache_control", "caller", "toolset_name"},
    "tool_result": {"tool_use_id", "content", "is_error", "cache_control", "toolset_name"},
    "thinking": {"thinking", "signature"},
    "redacted_thinking": {"data"},
    "search_result": {"content", "source", "title", "citations", "cache_control"},
    "server_tool_use": {"id", "name", "input", "cache_control", "caller"},
    "web_search_tool_result": {"tool_use_id", "content", "cache_control", "caller"},
}
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_MARKS = 4

Signed = Callable[[str, str], bool]
"""Whether a signature is one that was made for this text."""


class Refusal(Exception):
    """The original answers with an error."""

    def __init__(self, message: str, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind


def check(body: dict[str, Any], version: str, *, counts: bool, is_signed: Signed) -> Model:
    """The model of a request that is right. Raises Refusal."""
    for name in ("model", "messages") if counts else ("model", "messages", "max_tokens"):
        _need(name in body, f"{name}: Field required")
    known = _COUNT_FIELDS if counts else _FIELDS
    for name in body:
        is_old = version >= "2026-10-21" and name in _SAMPLING
        _need(name in known and not is_old, f"{name}: Extra inputs are not permitted")
    model = MODELS.get(body["model"])
    if model is None:
        raise Refusal(f"model: {body['model']}", "not_found_error")
    if not counts:
        _check_limits(body, model)
        _check_sampling(body, model)
    _check_thinking(body, model)
    _check_tools(body)
    _check_output(body, model)
    _check_system(body)
    _check_messages(body["messages"], version, is_signed)
    _need(_marks(body) <= _MARKS, _TOO_MANY_MARKS.format(_marks(body)))
    tokens = count_request(body)
    if not counts and tokens > model.context:
        raise Refusal(f"prompt is too long: {tokens} tokens > {model.context} maximum")
    return model


_TOO_MANY_MARKS = "A maximum of 4 blocks with cache_control may be provided. Found {}."


def _need(claim: bool, message: str) -> None:
    if not claim:
        raise Refusal(message)


def _check_limits(body: dict[str, Any], model: Model) -> None:
    limit = body["max_tokens"]
    is_whole = isinstance(limit, int) and not isinstance(limit, bool)
    _need(is_whole, "max_tokens: Input should be a valid integer")
    _need(limit >= 0, "max_tokens: Input should be greater than or equal to 0")
    _need(
        limit <= model.max_tokens,
        f"max_tokens: {limit} > {model.max_tokens}, which is the maximum allowed number of output "
        f"tokens for {model.name}",
    )
    stops = body.get("stop_sequences", [])
    _need(isinstance(stops, list), "stop_sequences: Input should be a valid list")
    _need(
        all(isinstance(stop, str) and stop.strip() for stop in stops),
        "stop_sequences: each stop sequence must contain non-whitespace",
    )
    tier = body.get("service_tier", "auto")
    _need(
        tier in ("auto", "standard_only"),
        "service_tier: Input should be 'auto' or 'standard_only'",
    )
    unknown = set(body.get("metadata") or {}) - {"user_id"}
    for name in sorted(unknown):
        raise Refusal(f"metadata.{name}: Extra inputs are not permitted")


def _check_sampling(body: dict[str, Any], model: Model) -> None:
    temperature = body.get("temperature", 1)
    _need(0 <= temperature <= 1, "temperature: range: 0..1")
    if not model.sampling:
        for name in _SAMPLING:
            usual = name == "temperature" and temperature == 1
            _need(name not in body or usual, f"`{name}` is deprecated for this model.")
    if _thinks(body):
        _need(temperature == 1, "`temperature` may only be set to 1 when thinking is enabled.")
        _need("top_k" not in body, "`top_k` must be unset when thinking is enabled.")


def _thinks(body: dict[str, Any]) -> bool:
    return (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")


def _check_thinking(body: dict[str, Any], model: Model) -> None:
    thinking = body.get("thinking")
    if thinking is None:
        return
    kind = thinking.get("type")
    if kind == "enabled":
        _need(
            model.budget,
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" '
            'and "output_config.effort" to control thinking behavior.',
        )
        budget = thinking.get("budget_tokens")
        _need(isinstance(budget, int), "thinking.enabled.budget_tokens: Field required")
        least = "Input should be greater than or equal to 1024"
        _need(budget >= 1024, f"thinking.enabled.budget_tokens: {least}")
        if "max_tokens" in body:
            text = "`max_tokens` must be greater than `thinking.budget_tokens`."
            _need(body["max_tokens"] > budget, text)
    elif kind == "adaptive":
        _need(model.adaptive, "adaptive thinking is not supported on this model")
    else:
        _need(kind == "disabled", f"thinking: Input tag '{kind}' found using 'type' does not match")
    if kind != "disabled":
        choice = (body.get("tool_choice") or {}).get("type", "auto")
        text = "Thinking may not be enabled when tool_choice forces tool use."
        _need(choice in ("auto", "none"), text)


def _check_tools(body: dict[str, Any]) -> None:
    tools = body.get("tools") or []
    names = []
    for index, tool in enumerate(tools):
        path = f"tools.{index}"
        kind = tool.get("type") or "custom"
        if kind != "custom":
            continue
        for name in tool:
            text = f"{path}.custom.{name}: Extra inputs are not permitted"
            _need(name in _TOOL_FIELDS, text)
        name = tool.get("name", "")
        text = f"{path}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
        _need(_NAME.fullmatch(name) is not None, text)
        schema = tool.get("input_schema")
        _need(isinstance(schema, dict), f"{path}.custom.input_schema: Field required")
        text = f"{path}.custom.input_schema.type: Input should be 'object'"
        _need(schema.get("type") == "object", text)
        names.append(name)
    _need(len(set(names)) == len(names), "tools: Tool names must be unique.")
    choice = body.get("tool_choice")
    if choice is not None:
        _need(bool(tools), "tool_choice may only be specified while providing tools.")
        if choice.get("type") == "tool":
            text = f"Tool '{choice.get('name')}' not found in provided tools"
            _need(choice.get("name") in names, text)


def _check_output(body: dict[str, Any], model: Model) -> None:
    config = body.get("output_config") or {}
    for name in config:
        text = f"output_config.{name}: Extra inputs are not permitted"
        _need(name in ("effort", "format", "task_budget"), text)
    effort = config.get("effort")
    if effort is not None:
        _need(model.adaptive, "This model does not support the effort parameter.")
        words = ("low", "medium", "high", "xhigh", "max")
        text = f"output_config.effort: Input should be one of {', '.join(words)}"
        _need(effort in words, text)
    form = config.get("format")
    if form is not None:
        _need(model.schema, "output_config.format: not supported on this model")
        for name in form:
            text = f"output_config.format.{name}: Extra inputs are not permitted"
            _need(name in ("type", "schema"), text)
        _check_schema(form["schema"])


def _check_schema(schema: dict[str, Any]) -> None:
    if schema.get("type") == "object":
        _need(
            schema.get("additionalProperties") is False,
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be "
            "explicitly set to false",
        )
        for inner in schema.get("properties", {}).values():
            _check_schema(inner)
    if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        _check_schema(schema["items"])


def _check_system(body: dict[str, Any]) -> None:
    system = body.get("system")
    if system is None or isinstance(system, str):
        return
    for index, block in enumerate(system):
        text = f"system.{index}.type: Input should be 'text'"
        _need(block.get("type") == "text", text)
        _need(bool(block.get("text")), "system: text content blocks must be non-empty")


def _check_messages(messages: Any, version: str, is_signed: Signed) -> None:
    _need(isinstance(messages, list), "messages: Input should be a valid list")
    _need(bool(messages), "messages: at least one message is required")
    for index, message in enumerate(messages):
        for name in message:
            text = f"messages.{index}.{name}: Extra inputs are not permitted"
            _need(name in ("role", "content"), text)
        role = message.get("role")
        text = f'messages: Unexpected role "{role}". Allowed roles are "user" or "assistant".'
        _need(role in ("user", "assistant"), text)
        content = message.get("content")
        _need(bool(content), f"messages.{index}: all messages must have non-empty content")
        if isinstance(content, list):
            for place, block in enumerate(content):
                _check_block(block, f"messages.{index}.content.{place}", role, version, is_signed)
    text = 'messages: first message must use the "user" role'
    _need(messages[0]["role"] == "user", text)
    _check_pairs(_merged(messages))


def _check_block(
    block: dict[str, Any], path: str, role: str, version: str, is_signed: Signed
) -> None:
    kind = block.get("type", "")
    _need(kind in _BLOCK_FIELDS, f"{path}: Input tag '{kind}' found using 'type' does not match")
    for name in block:
        text = f"{path}.{kind}.{name}: Extra inputs are not permitted"
        _need(name == "type" or name in _BLOCK_FIELDS[kind], text)
    is_new = version >= "2026-10-21"
    match kind:
        case "text":
            _need(bool(block["text"]), "messages: text content blocks must be non-empty")
            text = f"{path}.text.citations: Extra inputs are not permitted"
            _need(not (is_new and role == "user" and block.get("citations")), text)
        case "image" | "document":
            text = f"{path}: `document` blocks are not permitted in assistant messages"
            _need(not (is_new and kind == "document" and role == "assistant"), text)
            _check_source(block["source"], f"{path}.{kind}.source")
        case "tool_use":
            _need(role == "assistant", f"{path}: `tool_use` blocks can only be in assistant turns")
            text = f"{path}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
            _need(_ID.fullmatch(block["id"]) is not None, text)
            text = f"{path}.tool_use.input: Input should be a valid dictionary"
            _need(isinstance(block["input"], dict), text)
        case "tool_result":
            _need(role == "user", f"{path}: `tool_result` blocks can only be in user turns")
        case "thinking":
            text = f"{path}: Invalid `signature` in `thinking` block"
            _need(is_signed(block["thinking"], block["signature"]), text)
        case "redacted_thinking":
            text = f"{path}: Invalid `data` in `redacted_thinking` block"
            _need(is_signed("", block["data"]), text)


def _check_source(source: dict[str, Any], path: str) -> None:
    if source.get("type") != "base64":
        return
    kinds = ("image/jpeg", "image/png", "image/gif", "image/webp", "application/pdf")
    text = f"{path}.base64.media_type: Input should be one of {', '.join(kinds)}"
    _need(source.get("media_type") in kinds, text)
    try:
        base64.b64decode(source["data"], validate=True)
    except binascii.Error:
        raise Refusal(f"{path}.base64: invalid base64 data") from None


def _merged(messages: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Turns: messages of one role that follow each other are one."""
    turns: list[tuple[str, list[dict[str, Any]]]] = []
    for message in messages:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if turns and turns[-1][0] == message["role"]:
            turns[-1][1].extend(blocks)
        else:
            turns.append((message["role"], list(blocks)))
    return turns


def _check_pairs(turns: list[tuple[str, list[dict[str, Any]]]]) -> None:
    """Each call has its result in the next turn, and each result its call in the turn before."""
    before: list[str] = []
    for index, (role, blocks) in enumerate(turns):
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        for found in results:
            text = f"messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: "
            tail = "Each `tool_result` block must have a corresponding `tool_use` block before."
            _need(found in before, f"{text}{found}. {tail}")
        missing = [found for found in before if found not in results]
        text = f"messages.{index - 1}: `tool_use` ids were found without `tool_result` blocks "
        _need(not missing, f"{text}immediately after: {', '.join(missing)}.")
        before = (
            [block["id"] for block in blocks if block["type"] == "tool_use"]
            if role == "assistant"
            else []
        )


def _marks(value: Any) -> int:
    if isinstance(value, dict):
        own = 1 if value.get("cache_control") else 0
        return own + sum(_marks(inner) for inner in value.values())
    if isinstance(value, list):
        return sum(_marks(inner) for inner in value)
    return 0
