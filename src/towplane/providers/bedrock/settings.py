"""How the model answers: what Converse has for all models, and what one family understands besides.

The first goes to `inferenceConfig`, the second to `additionalModelRequestFields`, by the family
(`families.py`); what neither has is lost by name. Pure.
"""

from towplane.providers.adapter import Losses
from towplane.providers.bedrock.families import Family, base_model, family_of
from towplane.providers.bedrock.thinking import say_thinking
from towplane.providers.conversation.request import Conversation
from towplane.providers.dialects.messages.models import Takes, takes_of

__all__ = ["render_more"]

Fields = dict[str, object]
WHERE = "Bedrock's Converse"


def render_more(conversation: Conversation, model: str, losses: Losses, body: Fields) -> Fields:
    """Puts the settings into the body and gives out the additional fields."""
    family, base = family_of(model), base_model(model)
    takes = takes_of(base)
    more: Fields = {}
    thinks = say_thinking(conversation, family, base, takes, losses, body, more)
    is_free = family.name != "anthropic" or (takes.sampling and not thinks)
    settings = _sampling(conversation, family, takes, losses, is_free=is_free)
    if conversation.max_tokens is not None:
        settings["maxTokens"] = conversation.max_tokens
    if conversation.stop:
        settings["stopSequences"] = conversation.stop
    if settings:
        body["inferenceConfig"] = settings
    if conversation.top_k is not None:
        path = family.top_k if is_free else ()
        _put(more, path, conversation.top_k, "top_k", family, losses)
    _add_openai(conversation, family, losses, more)
    _add_parallel(conversation, family, losses, more)
    return more


def _sampling(
    conversation: Conversation, family: Family, takes: Takes, losses: Losses, *, is_free: bool
) -> Fields:
    """Converse's temperatures end at 1. Newer Claude models sample as they see fit, and so do older
    ones while they think; 1 is what there is without it."""
    settings: Fields = {}
    temperature, top_p = conversation.temperature, conversation.top_p
    if temperature is not None and (is_free or temperature != 1):
        if is_free and temperature <= 1:
            settings["temperature"] = temperature
        else:
            losses.lose("temperature", where=_who(family) if temperature <= 1 else WHERE)
    if top_p is not None and (is_free or top_p != 1):
        if is_free or (takes.sampling and top_p >= 0.95):  # Anthropic's rule for models that think
            settings["topP"] = top_p
        else:
            losses.lose("top_p", where=_who(family))
    return settings


def _add_openai(conversation: Conversation, family: Family, losses: Losses, more: Fields) -> None:
    for name in ("seed", "presence_penalty", "frequency_penalty", "logit_bias"):
        value = getattr(conversation, name)
        if value is not None and (value != 0 or name == "seed"):
            path = (name,) if name in family.fields else ()
            _put(more, path, value, name, family, losses)
    if conversation.logprobs:
        losses.lose(conversation.params.get("logprobs", "logprobs"), where=WHERE)
    if conversation.samples > 1:
        losses.lose(conversation.params.get("samples", "n"), where=WHERE)


def _add_parallel(conversation: Conversation, family: Family, losses: Losses, more: Fields) -> None:
    """One call at a time: Converse cannot say it, Claude's own `tool_choice` can."""
    choice = conversation.tool_choice
    if choice is None or choice.parallel is not False or not conversation.tools:
        return
    if choice.mode == "none":
        return
    if family.name != "anthropic":
        losses.lose("parallel_tool_calls", where=_who(family))
        return
    found: Fields = {"type": choice.mode, "disable_parallel_tool_use": True}
    more["tool_choice"] = found | ({"name": choice.name} if choice.name else {})


def _put(
    more: Fields, path: tuple[str, ...], value: object, name: str, family: Family, losses: Losses
) -> None:
    if not path:
        losses.lose(name, where=_who(family))
        return
    for step in reversed(path[1:]):
        value = {step: value}
    more[path[0]] = value


def _who(family: Family) -> str:
    return f"{family.name or 'these'} models on Bedrock"
