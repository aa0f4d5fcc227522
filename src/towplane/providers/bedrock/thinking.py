"""How much a model may think: from a client's effort or budget to what the model understands.

    Claude before 4.6   thinking {enabled, budget_tokens}; an effort becomes a budget
    Claude from 4.6     thinking {adaptive} and outputConfig.effort
    Nova 2              reasoningConfig {enabled, maxReasoningEffort}
    OpenAI's            reasoning_effort

Claude's budgets are those of `dialects/messages/models.py`, so that an effort means the same
through Converse and through InvokeModel. Sources: Bedrock User Guide, "Adaptive thinking"; Nova 2
User Guide, "Extended thinking"; botocore 1.44.5 `OutputConfig.effort`. Pure.
"""

import re

from towplane.providers.adapter import Losses
from towplane.providers.bedrock.families import Family
from towplane.providers.conversation.request import Conversation, Reasoning
from towplane.providers.dialects.messages.models import BUDGETS, LEAST_BUDGET, Takes

__all__ = ["say_thinking"]

_NEVER = re.compile(r"claude-(instant|v?[12]|3-(5|haiku|sonnet|opus))")
"""Claude before 3.7 does not think."""
_ALWAYS = re.compile(r"claude-(fable|mythos)")
"""Refuses to be told not to think."""
_NOVA = {"minimal": "low", "xhigh": "high", "max": "high"}
"""Nova's own efforts are low, medium and high."""
_OPENAI = {"minimal": "low", "xhigh": "high", "max": "high"}
"""As those of gpt-oss (OpenAI's model card)."""

Fields = dict[str, object]


def say_thinking(
    conversation: Conversation,
    family: Family,
    base: str,
    takes: Takes,
    losses: Losses,
    body: Fields,
    more: Fields,
) -> bool:
    """Put it into the body or the additional fields; whether the model is asked to think."""
    reasoning = conversation.reasoning
    if reasoning is None:
        return False
    is_off = reasoning.is_off or reasoning.effort == "none"
    if not (is_off or reasoning.effort or reasoning.budget is not None):
        return False
    name = conversation.params.get("reasoning", "reasoning_effort")
    thinks = "never" if _NEVER.search(base) else family.thinks
    match thinks:
        case "claude" if is_off:
            if takes.thinks_unasked and _ALWAYS.search(base):
                losses.lose(name, where="models that always think")
            elif takes.thinks_unasked:
                more["thinking"] = {"type": "disabled"}
        case "claude" if takes.adaptive and (reasoning.budget is None or not takes.budget):
            if reasoning.budget is not None:
                losses.lose(name, where="models that choose their own budget")
            shows = reasoning.summary and reasoning.summary != "none"
            display = {"display": "summarized"} if shows else {}
            more["thinking"] = {"type": "adaptive", **display}
            if reasoning.effort:
                config = body.setdefault("outputConfig", {})
                assert isinstance(config, dict)
                config["effort"] = takes.nearest_effort(reasoning.effort)
            return True
        case "claude":
            return _say_budget(conversation, reasoning, name, losses, more)
        case "nova":
            more["reasoningConfig"] = _nova(reasoning, name, losses, is_off=is_off)
            return not is_off
        case "effort" if reasoning.effort and not is_off:
            more["reasoning_effort"] = _OPENAI.get(reasoning.effort, reasoning.effort)
            return True
        case "never" if is_off:
            pass  # what is not told to think does not, or cannot be told
        case _:
            losses.lose(name, where=f"{family.name or 'this'} models on Bedrock")
    return False


def _say_budget(
    conversation: Conversation, reasoning: Reasoning, name: str, losses: Losses, more: Fields
) -> bool:
    """The budget lies inside `maxTokens`, which is the model's own most where nothing is said."""
    budget = reasoning.budget
    if budget is None:
        budget = BUDGETS.get(reasoning.effort, BUDGETS["medium"])
    budget = max(budget, LEAST_BUDGET)
    if conversation.max_tokens is not None:
        if conversation.max_tokens <= LEAST_BUDGET:
            losses.lose(name, where="an answer too short to think")
            return False
        budget = min(budget, conversation.max_tokens - 1)
    more["thinking"] = {"type": "enabled", "budget_tokens": budget}
    return True


def _nova(reasoning: Reasoning, name: str, losses: Losses, *, is_off: bool) -> Fields:
    if is_off:
        return {"type": "disabled"}
    if reasoning.budget is not None:
        losses.lose(name, where="Nova models, which count no budget")
    effort = _NOVA.get(reasoning.effort, reasoning.effort) or "medium"
    return {"type": "enabled", "maxReasoningEffort": effort}
