"""Gemini's counters in normal form: the one place that knows what lies inside what.

`promptTokenCount` holds the cached tokens; what the provider's own tools put into the prompt stands
beside it. Thoughts stand beside the candidates, unless the total says that they lie inside: then
prompt, tools and candidates alone already make the total. A chunk without a prompt count says
nothing; unknown is None, never 0.
"""

from towplane.parts.usage import Detail, ServiceClass, Usage
from towplane.providers.vertex.wire import Modality, UsageMetadata

__all__ = ["SERVICES", "normal"]

SERVICES: dict[str, ServiceClass] = {
    "ON_DEMAND": "standard",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_FLEX": "flex",
    "ON_DEMAND_OFFPEAK": "standard",  # no class of its own: priced as what it is cheaper than
    "PROVISIONED_THROUGHPUT": "provisioned",
}
"""`trafficType` (google-genai 3.4.0 `TrafficType`); unknown ones count as standard."""


def normal(counted: UsageMetadata, searches: int = 0) -> Usage | None:
    """In normal form; None where the counters do not say how long the prompt was."""
    if counted.prompt_token_count is None:
        return None
    tools = counted.tool_use_prompt_token_count or 0
    thoughts = counted.thoughts_token_count or 0
    prompt = counted.prompt_token_count + tools
    return Usage(
        prompt,
        _output(counted, prompt, thoughts),
        counted.cached_content_token_count or 0,
        _detail(counted, tools, thoughts, searches),
    )


def _output(counted: UsageMetadata, prompt: int, thoughts: int) -> int:
    said, total = counted.candidates_token_count, counted.total_token_count
    if said is None:  # then the total knows: an answer cut while it thought has no candidates
        return max(total - prompt, thoughts) if total is not None else thoughts
    if total is not None and prompt + said == total:
        return max(said, thoughts)
    return said + thoughts


def _detail(counted: UsageMetadata, tools: int, thoughts: int, searches: int) -> Detail | None:
    service = SERVICES.get(counted.traffic_type, "standard")
    heard = counted.prompt_tokens_details, counted.tool_use_prompt_tokens_details
    said = counted.candidates_tokens_details
    if not (thoughts or tools or searches or service != "standard" or any(heard) or said):
        return None
    wanted = Detail(
        reasoning=thoughts,
        audio_input=sum(_count(part, "AUDIO") for part in heard),
        image_input=sum(_count(part, "IMAGE") for part in heard),
        audio_output=_count(said, "AUDIO"),
        image_output=_count(said, "IMAGE"),
        tool_input=tools,
        searches=searches,
        service=service,
    )
    return wanted if wanted != _NOTHING else None


_NOTHING = Detail()


def _count(parts: list[Modality] | None, modality: str) -> int:
    return sum(part.token_count for part in parts or () if part.modality == modality)
