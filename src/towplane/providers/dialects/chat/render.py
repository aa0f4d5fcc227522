"""A conversation as a chat request, for a server that speaks chat when its client does not.

What not all servers of this wire take is in `Accepts`; messages are rendered in `render_turns.py`.
Cache marks are no loss where the server caches prefixes by itself, as these servers do.
"""

from collections.abc import Mapping

import msgspec

from towplane.providers.adapter import Losses
from towplane.providers.conversation.request import (
    Conversation,
    Output,
    Reasoning,
    Tool,
    ToolChoice,
)
from towplane.providers.dialects.chat.accepts import ENGINES, GOOGLE, OPENAI, Accepts
from towplane.providers.dialects.chat.render_turns import Fields, Turns, marked

__all__ = ["ENGINES", "GOOGLE", "OPENAI", "Accepts", "render_chat"]

_MODES = {"auto": "auto", "none": "none", "any": "required"}
_FORMS = {"text": "text", "json": "json_object"}
_EFFORTS = ((0.65, "high"), (0.35, "medium"), (0.0, "low"))
"""A budget as a share of the limit, and the effort that it is nearest to: OpenRouter makes 80, 50
and 20 % of an effort (docs, "Reasoning tokens")."""
_BUDGETS = ((4096, "high"), (2048, "medium"), (0, "low"))
"""The same where there is no limit: LiteLLM's steps (docs, "reasoning_effort")."""


def render_chat(
    conversation: Conversation, model: str, losses: Losses, where: str, accepts: Accepts = OPENAI
) -> bytes:
    """The body; `where` names the target in refusals. Raises BadRequest for what has no place."""

    def lose(param: str) -> None:
        losses.lose(param, where=where)

    it, messages = conversation, Turns(losses, where, accepts).render(conversation.messages)
    body: Fields = {"model": model, "messages": messages}
    if it.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if it.tools:
        body["tools"] = [_tool(tool, accepts) for tool in it.tools]
        body |= _tool_choice(it.tool_choice)
    if it.output is not None:
        body["response_format"] = _output(it.output)
    if it.top_k is not None and not accepts.top_k:
        lose(it.params.get("top_k", "top_k"))
    if it.reasoning is not None:
        if it.reasoning.summary and not accepts.thoughts:
            lose(it.params.get("summary", "reasoning.summary"))
        body |= _reasoning(it.reasoning, it.max_tokens)
    body |= _sampling(it, accepts)
    for name, raw in it.extra.items():
        if name in accepts.extra:
            body[name] = raw
        else:
            lose(name)
    return msgspec.json.encode(body)


def _tool(tool: Tool, accepts: Accepts) -> Fields:
    function: Fields = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.schema
    if tool.strict is not None:
        function["strict"] = tool.strict
    made: Fields = {"type": "function", "function": function}
    return marked(made, tool.cache) if tool.cache and accepts.cache_marks else made


def _tool_choice(choice: ToolChoice | None) -> Fields:
    if choice is None:
        return {}
    fields: Fields = {}
    if choice.mode == "tool":
        fields["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    elif choice.mode != "auto" or choice.parallel is None:
        fields["tool_choice"] = _MODES[choice.mode]
    if choice.parallel is not None:
        fields["parallel_tool_calls"] = choice.parallel
    return fields


def _output(output: Output) -> Fields:
    if output.form != "schema":
        return {"type": _FORMS[output.form]}
    inner: Fields = {"name": output.name or "answer"}  # the wire wants a name
    if output.description:
        inner["description"] = output.description
    inner["schema"] = output.schema
    if output.strict is not None:
        inner["strict"] = output.strict
    return {"type": "json_schema", "json_schema": inner}


def _reasoning(reasoning: Reasoning, limit: int | None) -> Fields:
    if reasoning.effort:
        return {"reasoning_effort": reasoning.effort}
    if reasoning.is_off or reasoning.budget is None:
        return {}  # as if nothing were said, which is what it means where it comes from
    return {"reasoning_effort": _effort(reasoning.budget, limit)}


def _effort(budget: int, limit: int | None) -> str:
    if limit:
        return next(effort for share, effort in _EFFORTS if budget / limit >= share)
    return next(effort for tokens, effort in _BUDGETS if budget >= tokens)


def _sampling(it: Conversation, accepts: Accepts) -> Fields:
    fields: Mapping[str, object] = {
        accepts.limit: it.max_tokens,
        "temperature": it.temperature,
        "top_p": it.top_p,
        "top_k": it.top_k if accepts.top_k else None,
        "stop": it.stop or None,
        "seed": it.seed,
        "n": it.samples if it.samples != 1 else None,
        "presence_penalty": it.presence_penalty,
        "frequency_penalty": it.frequency_penalty,
        "logit_bias": it.logit_bias,
        "logprobs": it.logprobs or None,
        "top_logprobs": it.top_logprobs,
        "user": it.user or None,
        "metadata": it.metadata or None,
        "service_tier": it.service or None,
    }
    return {name: value for name, value in fields.items() if value is not None}
