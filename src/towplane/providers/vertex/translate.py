"""A conversation as the body of Gemini's generateContent.

Every parameter either has a counterpart or is refused by the client's own name for it. What only
Google has, a client may send as `google`, or as `extra_body: {"google": …}` as Google's own
OpenAI-compatible endpoint takes it: `cached_content`, `safety_settings`, `labels` and
`thinking_config`; the values go up as they came. Schemas go as the client wrote them
(`parametersJsonSchema`, `responseJsonSchema`), which every Gemini since 2.5 takes; older ones are
retired. Knows no path and no answer.
"""

import msgspec

from towplane.parts.errors import BadRequest
from towplane.providers.adapter import Losses, Place
from towplane.providers.ask import read_field
from towplane.providers.conversation.request import Conversation, ToolChoice
from towplane.providers.conversation.request import Tool as Function
from towplane.providers.vertex.contents import contents_of
from towplane.providers.vertex.models import generation_of
from towplane.providers.vertex.thinking import OFF, thinking_of
from towplane.providers.vertex.wire import (
    FunctionCallingConfig,
    FunctionDeclaration,
    GenerationConfig,
    Request,
    Tool,
    ToolConfig,
)
from towplane.providers.vertex.wire import Thinking as ThinkingConfig

__all__ = ["headers_of", "request_of"]

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_GOOGLE = {
    "cached_content": "cached_content",
    "cachedContent": "cached_content",
    "safety_settings": "safety_settings",
    "safetySettings": "safety_settings",
    "labels": "labels",
    "thinking_config": "thinking_config",
    "thinkingConfig": "thinking_config",
}
"""Names of a client's `google` → ours; protobuf reads both spellings inside, too."""
_MODES = {"auto": "AUTO", "none": "NONE", "any": "ANY", "tool": "ANY"}
_SERVICE_HEADER = "X-Vertex-AI-LLM-Shared-Request-Type"
"""Google Cloud, "Priority PayGo" and "Flex PayGo": what is not provisioned goes by this class."""
_SERVICES = ("priority", "flex")
_USUAL = ("", "auto", "default", "standard", "standard_only")


def request_of(conversation: Conversation, place: Place, losses: Losses) -> Request:
    """The body. Raises BadRequest."""
    where = f"Gemini ({place.model})"
    google = _google(conversation, losses, where)
    _lose_rest(conversation, losses, where)
    generation = generation_of(place.model)
    contents, instruction = contents_of(conversation, generation, losses, where)
    config = _generation_config(conversation)
    config.thinking_config = _thinking(conversation, place.model, google, losses, where)
    return Request(
        contents,
        instruction,
        tools=_tools(conversation.tools),
        tool_config=_tool_config(conversation, losses, where),
        generation_config=config if config != _NOTHING else None,
        cached_content=google.get("cached_content"),
        safety_settings=google.get("safety_settings"),
        labels=google.get("labels"),
    )


_NOTHING = GenerationConfig()


def headers_of(
    conversation: Conversation, losses: Losses, where: str
) -> tuple[tuple[str, str], ...]:
    """The header that asks for a service class."""
    service = conversation.service
    if service in _SERVICES:
        return ((_SERVICE_HEADER, service),)
    if service not in _USUAL:
        losses.lose(_name(conversation, "service"), where=where)
    return ()


def _name(conversation: Conversation, field: str) -> str:
    """What the client calls a field."""
    return conversation.params.get(field, field)


def _google(conversation: Conversation, losses: Losses, where: str) -> dict[str, msgspec.Raw]:
    """Google's own fields by our names; every other extra field has no counterpart."""
    found: dict[str, msgspec.Raw] = {}
    for name, raw in conversation.extra.items():
        inner = {"google": raw} if name == "google" else {}
        if name == "extra_body":
            inner = read_field(_fields, raw, name, "an object")
        if not inner:
            losses.lose(name, where=where)
        for key, value in inner.items():
            if key != "google":
                losses.lose(f"{name}.{key}", where=where)
                continue
            for field, one in read_field(_fields, value, "google", "an object").items():
                if field in _GOOGLE:
                    found[_GOOGLE[field]] = one
                else:
                    losses.lose(f"google.{field}", where=where)
    return found


def _lose_rest(conversation: Conversation, losses: Losses, where: str) -> None:
    """Parameters of the normal form that Gemini has no counterpart for."""
    if conversation.logit_bias is not None:
        losses.lose(_name(conversation, "logit_bias"), where=where)
    if conversation.user:
        losses.lose(_name(conversation, "user"), where=where)
    if conversation.metadata:
        losses.lose(_name(conversation, "metadata"), where=where)


def _generation_config(conversation: Conversation) -> GenerationConfig:
    config = GenerationConfig(
        max_output_tokens=conversation.max_tokens,
        temperature=conversation.temperature,
        top_p=conversation.top_p,
        top_k=conversation.top_k,
        stop_sequences=conversation.stop,
        seed=conversation.seed,
        candidate_count=conversation.samples if conversation.samples > 1 else None,
        presence_penalty=conversation.presence_penalty,
        frequency_penalty=conversation.frequency_penalty,
        response_logprobs=conversation.logprobs,
        logprobs=(conversation.top_logprobs or None) if conversation.logprobs else None,
    )
    output = conversation.output
    if output is not None and output.form != "text":
        config.response_mime_type = "application/json"
        if output.form == "schema":  # its name and description label what the schema says
            config.response_json_schema = output.schema
    return config


def _thinking(
    conversation: Conversation,
    model: str,
    google: dict[str, msgspec.Raw],
    losses: Losses,
    where: str,
) -> ThinkingConfig | msgspec.Raw | None:
    given = google.get("thinking_config")
    reasoning = conversation.reasoning
    if reasoning is None:
        return given
    name = _name(conversation, "reasoning")
    if given is not None:
        raise BadRequest(
            f"`{name}` and `google.thinking_config` say the same thing.",
            param=name,
            next_step="Send one of them.",
            reason="body-invalid",
        )
    wanted = thinking_of(reasoning, model)
    if wanted == OFF:
        losses.lose(name, where=f"{where}, which cannot do without thinking")
        return None
    assert not isinstance(wanted, str)
    return wanted


def _tools(functions: list[Function]) -> list[Tool]:
    if not functions:
        return []
    declarations = [FunctionDeclaration(one.name, one.description, one.schema) for one in functions]
    return [Tool(declarations)]


def _tool_config(conversation: Conversation, losses: Losses, where: str) -> ToolConfig | None:
    choice = conversation.tool_choice or ToolChoice()
    if choice.parallel is False:
        losses.lose("parallel_tool_calls", where=where)
    if not conversation.tools:
        return None
    mode = _MODES[choice.mode]
    if mode == "AUTO" and any(tool.strict for tool in conversation.tools):
        mode = "VALIDATED"  # AUTO whose calls keep their schemas (google-genai 3.4.0 `types.py`)
    if mode == "AUTO" and conversation.tool_choice is None:
        return None
    names = [choice.name] if choice.mode == "tool" else []
    return ToolConfig(FunctionCallingConfig(mode, names))
