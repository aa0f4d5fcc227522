"""A conversation as a request of Converse or ConverseStream.

Order is kept everywhere; system and developer messages become the system prompt, wherever they
stand, because Converse has no other place for them; neighbours of one role become one message. How
the model answers is in `settings.py`, content in `content.py`. A client may use Converse's own
names for what no dialect has (`guardrailConfig`, …).
"""

import re
from collections.abc import Iterable

import msgspec

from towplane.parts.errors import BadRequest
from towplane.providers.adapter import Losses, Place, Rendered
from towplane.providers.ask import read_field
from towplane.providers.bedrock.content import WHERE, Block, Blocks, cache_point
from towplane.providers.bedrock.families import Family, base_model, family_of, path_of
from towplane.providers.bedrock.settings import render_more
from towplane.providers.bedrock.tiers import service_tier
from towplane.providers.conversation.request import (
    Conversation,
    Message,
    Tool,
    ToolCall,
    ToolResult,
)

__all__ = ["render_converse", "render_count"]

_encode = msgspec.json.Encoder().encode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_OWN = frozenset(
    ("guardrailConfig", "performanceConfig", "promptVariables", "additionalModelResponseFieldPaths")
)
"""Fields of Converse that pass as the client wrote them."""
_LABEL = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}")
_MOST_LABELS = 16
"""Of `requestMetadata` (botocore 1.44.5)."""
_COUNTED = frozenset(("messages", "system", "toolConfig"))
"""What CountTokens takes of a request (botocore 1.44.5 `ConverseTokensRequest`)."""
_STOP_PATHS = ["/stop_sequence", "/delta/stop_sequence"]
"""Where Claude says which stop sequence it met, whole and streamed (vercel/ai #11410)."""


def render_converse(conversation: Conversation, place: Place, losses: Losses) -> Rendered:
    """The request. Raises BadRequest, naming what has no counterpart."""
    family = family_of(place.model)
    body = _render_prompt(conversation, family, losses)
    more = render_more(conversation, place.model, losses, body)
    _render_output(conversation, losses, body)
    _render_labels(conversation, losses, body)
    if conversation.stop and family.name == "anthropic":
        body["additionalModelResponseFieldPaths"] = _STOP_PATHS
    for name, raw in conversation.extra.items():
        if name == "additionalModelRequestFields":
            given = read_field(_object, raw, name, "an object")
            more.update(given)
        elif name in _OWN:
            body[name] = raw
        else:
            losses.lose(name, where=WHERE)
    if more:
        body["additionalModelRequestFields"] = more
    tier = service_tier(conversation, place, losses)
    if tier:
        body["serviceTier"] = {"type": tier}
    action = "converse-stream" if conversation.stream else "converse"
    return Rendered(path_of(place.model, action), _encode(body))


def render_count(conversation: Conversation, place: Place, losses: Losses) -> Rendered:
    """The same prompt for CountTokens, which takes models only, no profiles, and what counts."""
    family = family_of(place.model)
    body = _render_prompt(conversation, family, losses)
    more = render_more(conversation, place.model, losses, body)
    body = {name: value for name, value in body.items() if name in _COUNTED}
    if more:
        body["additionalModelRequestFields"] = more
    wanted = _encode({"input": {"converse": body}})
    return Rendered(path_of(base_model(place.model), "count-tokens"), wanted)


def _render_prompt(conversation: Conversation, family: Family, losses: Losses) -> Block:
    """What the model reads: system, messages and tools."""
    blocks = Blocks(family, losses)
    is_system = ("system", "developer")
    system = blocks.render_system([m for m in conversation.messages if m.role in is_system])
    said = [message for message in conversation.messages if message.role not in is_system]
    for message in conversation.messages:
        if message.name:
            losses.lose("messages.name", where=WHERE)
    body: Block = {"messages": _merge(said, blocks)}
    if system:
        body["system"] = system
    tools = _render_tools(conversation, family, losses)
    if tools:
        body["toolConfig"] = tools
    return body


def _merge(messages: Iterable[Message], blocks: Blocks) -> list[Block]:
    """One message for neighbours of one role, none for what holds nothing."""
    merged: list[tuple[str, list[Block]]] = []
    for message in messages:
        content = blocks.render_message(message)
        if not content:
            continue
        if merged and merged[-1][0] == message.role:
            merged[-1][1].extend(content)
        else:
            merged.append((message.role, content))
    return [{"role": role, "content": content} for role, content in merged]


def _render_tools(conversation: Conversation, family: Family, losses: Losses) -> Block | None:
    choice = conversation.tool_choice
    if not conversation.tools:
        if _used_tools(conversation):
            raise BadRequest(
                "The conversation holds calls of tools, but no tools.",
                param="tools",
                next_step="Send the tools again: Bedrock wants them with every request.",
                reason="body-invalid",
            )
        return None
    if choice is not None and choice.mode == "none":
        if _used_tools(conversation):
            losses.lose("tool_choice", where=f"{WHERE}, once tools were called")
        else:
            return None  # a model that is told of no tools calls none
    tools: list[Block] = []
    for tool in conversation.tools:
        tools.append({"toolSpec": _tool_spec(tool)})
        if tool.cache and "tools" in family.caches:
            tools.append(cache_point(tool.cache))
        elif tool.cache:
            losses.lose("tools.cache_control", where=f"{family.name or 'this'} models")
    found: Block = {"tools": tools}
    in_claudes_words = (
        family.name == "anthropic" and choice is not None and choice.parallel is False
    )
    if choice is not None and choice.mode in ("any", "tool") and not in_claudes_words:
        found["toolChoice"] = (
            {"any": {}} if choice.mode == "any" else {"tool": {"name": choice.name}}
        )
    return found


def _used_tools(conversation: Conversation) -> bool:
    return any(
        isinstance(part, ToolCall | ToolResult)
        for message in conversation.messages
        for part in message.parts
    )


def _tool_spec(tool: Tool) -> Block:
    spec: Block = {"name": tool.name, "inputSchema": {"json": tool.schema}}
    if tool.description:
        spec["description"] = tool.description
    if tool.strict:
        spec["strict"] = True
    return spec


def _render_output(conversation: Conversation, losses: Losses, body: Block) -> None:
    output = conversation.output
    if output is None or output.form == "text":
        return
    if output.form == "json":
        losses.lose(_name(conversation, "output", "response_format"), where=WHERE)
        return
    schema: Block = {"schema": bytes(output.schema).decode()}  # Converse wants it as text
    if output.name:
        schema["name"] = output.name
    if output.description:
        schema["description"] = output.description
    config = body.setdefault("outputConfig", {})
    assert isinstance(config, dict)
    config["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": schema}}


def _render_labels(conversation: Conversation, losses: Losses, body: Block) -> None:
    """What the invocation logs of the vendor's account may be filtered by."""
    labels = {}
    if conversation.user:
        if _LABEL.fullmatch(conversation.user):
            labels["user"] = conversation.user
        else:
            losses.lose(_name(conversation, "user", "user"), where="Bedrock's logs")
    told = conversation.metadata
    if all(_LABEL.fullmatch(word) for pair in told.items() for word in pair) and (
        len(labels | told) <= _MOST_LABELS
    ):
        labels |= told
    else:
        losses.lose("metadata", where="Bedrock's logs")
    if labels:
        body["requestMetadata"] = labels


def _name(conversation: Conversation, ours: str, usual: str) -> str:
    """How the client calls a parameter."""
    return conversation.params.get(ours, usual)
