"""A conversation as a Messages request: what goes up to providers that speak Messages.

System and developer messages are hoisted into `system`, in their order; messages of one role that
follow each other become one. Tools, schemas and cache marks stay in place and in order, so that a
prompt cache hits. `max_tokens`, which Messages must have, is the client's or the model's own
default (`models.py`). What has no counterpart is lost by its name. Content is in
`render_content.py`.

Effort becomes `output_config.effort` with adaptive thinking, or, for models before 4.6, a budget:

    minimal 1,024 · low 2,048 · medium 8,192 · high 16,384 · xhigh 24,576 · max 32,768 tokens

always below `max_tokens`, and 1,024 at the least, which is the API's own minimum. The steps are
ours: no provider publishes a table.
"""

import msgspec

from towplane.providers.adapter import Losses
from towplane.providers.conversation.request import Conversation, Reasoning, Tool
from towplane.providers.dialects.messages.models import (
    BUDGETS,
    LEAST_BUDGET,
    Takes,
    takes_of,
)
from towplane.providers.dialects.messages.render_content import cache_control, render_content

__all__ = ["render_count", "render_messages"]

_COUNTED = frozenset(
    ("model", "anthropic_version", "system", "messages", "tools", "tool_choice", "thinking",
     "output_config")
)  # fmt: skip
"""What `count_tokens` takes (anthropic 2.12.0 `types/message_count_tokens_params.py`)."""
_SERVICES = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}

_encode = msgspec.json.Encoder().encode


def render_messages(
    conversation: Conversation,
    model: str | None,
    losses: Losses,
    where: str,
    *,
    known_as: str = "",
    version: str = "",
    says_stream: bool = True,
) -> bytes:
    """The body. Raises BadRequest where something must not be dropped.

    Clouds name the model in the path (`model` None, `known_as` its name) and the version in the
    body (`version`); Bedrock says in the path, too, whether it streams (`says_stream` False).
    """
    fields = _fields(conversation, model, losses, where, known_as or model or "")
    if version:
        fields = {"anthropic_version": version, **fields}
    if conversation.stream and says_stream:
        fields["stream"] = True
    return _encode(fields)


def render_count(
    conversation: Conversation,
    model: str | None,
    losses: Losses,
    where: str,
    *,
    known_as: str = "",
    version: str = "",
) -> bytes:
    """The body of a request to `count_tokens`: only what counts."""
    fields = _fields(conversation, model, losses, where, known_as or model or "")
    if version:
        fields = {"anthropic_version": version, **fields}
    return _encode({name: value for name, value in fields.items() if name in _COUNTED})


def _fields(
    conversation: Conversation, model: str | None, losses: Losses, where: str, known_as: str
) -> dict[str, object]:
    takes = takes_of(known_as)
    fields: dict[str, object] = {} if model is None else {"model": model}
    limit = conversation.max_tokens
    fields["max_tokens"] = takes.max_tokens if limit is None else limit
    system, messages = render_content(conversation, losses, where)
    if conversation.tools:
        fields["tools"] = [_tool(tool, takes, losses, where) for tool in conversation.tools]
        _add_tool_choice(conversation, fields)
    if system:
        fields["system"] = system
    fields["messages"] = messages
    config = _output_config(conversation, takes, losses, where)
    thinks = _add_thinking(conversation, takes, fields, config, losses, where)
    if config:
        fields["output_config"] = config
    _add_sampling(conversation, takes, fields, losses, where, thinks=thinks)
    _add_rest(conversation, fields, losses, where)
    _lose_rest(conversation, losses, where)
    return fields


def _name(conversation: Conversation, field: str, usual: str = "") -> str:
    """How the client calls it."""
    return conversation.params.get(field, usual or field)


def _tool(tool: Tool, takes: Takes, losses: Losses, where: str) -> dict[str, object]:
    found: dict[str, object] = {"name": tool.name}
    if tool.description:
        found["description"] = tool.description
    found["input_schema"] = tool.schema
    if tool.strict:
        if takes.schema:
            found["strict"] = True
        else:
            losses.lose("tools.strict", where=where)
    if tool.cache:
        found["cache_control"] = cache_control(tool.cache)
    return found


def _add_tool_choice(conversation: Conversation, fields: dict[str, object]) -> None:
    choice = conversation.tool_choice
    if choice is None or (choice.mode == "auto" and choice.parallel is not False):
        return  # as it is without
    found: dict[str, object] = {"type": choice.mode}
    if choice.mode == "tool":
        found["name"] = choice.name
    if choice.parallel is False and choice.mode != "none":
        found["disable_parallel_tool_use"] = True
    fields["tool_choice"] = found


def _output_config(
    conversation: Conversation, takes: Takes, losses: Losses, where: str
) -> dict[str, object]:
    """The form of the answer. Free JSON has no counterpart: a schema must close its objects."""
    output = conversation.output
    if output is None or output.form == "text":
        return {}
    if output.form == "json" or not takes.schema:
        losses.lose(_name(conversation, "output", "response_format"), where=where)
        return {}
    return {"format": {"type": "json_schema", "schema": output.schema}}


def _add_thinking(
    conversation: Conversation,
    takes: Takes,
    fields: dict[str, object],
    config: dict[str, object],
    losses: Losses,
    where: str,
) -> bool:
    """`thinking` and `output_config.effort`; whether the model is asked to think."""
    reasoning = conversation.reasoning
    if reasoning is None:
        return False
    if reasoning.is_off or reasoning.effort == "none":
        if takes.thinks_unasked:
            fields["thinking"] = {"type": "disabled"}
        return False
    name = _name(conversation, "reasoning", "reasoning_effort")
    if takes.adaptive and (reasoning.budget is None or not takes.budget):
        if reasoning.budget is not None:
            losses.lose(name, where=where)
        thinking = {"type": "adaptive"}
        if reasoning.summary and reasoning.summary != "none":
            thinking["display"] = "summarized"
        fields["thinking"] = thinking
        if reasoning.effort:
            config["effort"] = takes.nearest_effort(reasoning.effort)
        return True
    budget = _budget(reasoning)
    most = fields["max_tokens"]
    assert isinstance(most, int)
    if conversation.max_tokens is None and budget is not None:
        fields["max_tokens"] = most = max(most, budget + 4_096)  # room to say something, too
    if budget is None:
        return False
    if most <= LEAST_BUDGET:
        losses.lose(name, where=where)  # there is no room to think
        return False
    budget = min(max(budget, LEAST_BUDGET), most - 1)
    fields["thinking"] = {"type": "enabled", "budget_tokens": budget}
    return True


def _budget(reasoning: Reasoning) -> int | None:
    if reasoning.budget is not None:
        return reasoning.budget
    return BUDGETS.get(reasoning.effort)


def _add_sampling(
    conversation: Conversation,
    takes: Takes,
    fields: dict[str, object],
    losses: Losses,
    where: str,
    *,
    thinks: bool,
) -> None:
    """Newer models sample as they see fit, and so do older ones while they think: `temperature` and
    `top_k` go only with a model that does not. A temperature of 1 is what there is without it."""
    free = takes.sampling and not thinks
    temperature = conversation.temperature
    if temperature is not None and (free or temperature != 1):
        if not free or temperature > 1:  # Anthropic's scale ends where OpenAI's is half way
            losses.lose(_name(conversation, "temperature"), where=where)
        else:
            fields["temperature"] = temperature
    if conversation.top_p is not None and (takes.sampling or conversation.top_p != 1):
        if takes.sampling and (not thinks or conversation.top_p >= 0.95):
            fields["top_p"] = conversation.top_p
        else:
            losses.lose(_name(conversation, "top_p"), where=where)
    if conversation.top_k is not None:
        if free:
            fields["top_k"] = conversation.top_k
        else:
            losses.lose(_name(conversation, "top_k"), where=where)


def _add_rest(
    conversation: Conversation, fields: dict[str, object], losses: Losses, where: str
) -> None:
    if conversation.stop:
        fields["stop_sequences"] = conversation.stop
    if conversation.user:
        fields["metadata"] = {"user_id": conversation.user}
    if conversation.service:
        tier = _SERVICES.get(conversation.service)
        if tier is not None:
            fields["service_tier"] = tier
        else:
            losses.lose(_name(conversation, "service", "service_tier"), where=where)


def _lose_rest(conversation: Conversation, losses: Losses, where: str) -> None:
    """What Messages has no word for."""
    if conversation.samples > 1:
        losses.lose(_name(conversation, "samples", "n"), where=where)
    asked = {
        "seed": conversation.seed is not None,
        "presence_penalty": bool(conversation.presence_penalty),
        "frequency_penalty": bool(conversation.frequency_penalty),
        "logit_bias": conversation.logit_bias is not None,
        "logprobs": conversation.logprobs,
        "top_logprobs": bool(conversation.top_logprobs),
        "metadata": bool(conversation.metadata),
    }
    for param, is_asked in asked.items():
        if is_asked:
            losses.lose(_name(conversation, param), where=where)
    for param in conversation.extra:
        losses.lose(param, where=where)
