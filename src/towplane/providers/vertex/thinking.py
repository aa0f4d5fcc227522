"""How much a Gemini model may think: from a client's effort or budget to `thinkingConfig`.

Gemini 2.5 counts tokens, Gemini 3 and later have levels; to send both is an error there. The effort
of Gemini 2.5 is what Google's own OpenAI-compatible endpoint makes of `reasoning_effort`:

    effort            2.5 Pro     2.5 Flash, Lite   3 and later
    none, off         refused     0                 MINIMAL where it exists, else refused
    minimal, low      1024        1024              MINIMAL, else LOW · LOW
    medium            8192        8192              MEDIUM, else HIGH
    high              24576       24576             HIGH
    xhigh, max        32768       24576             HIGH
    a budget          as it is, at most the row above · a level by the thresholds 1024 and 8192

Sources: Google Cloud, "Using OpenAI libraries with Vertex AI" (efforts), "Thinking" (levels of each
model, ranges of budgets, what cannot be turned off), as of 2026-11. Knows nothing of messages.
"""

from towplane.providers.conversation.request import Reasoning
from towplane.providers.vertex.models import generation_of, name_of
from towplane.providers.vertex.wire import Thinking

__all__ = ["OFF", "thinking_of"]

OFF = "off"
"""Answered where the client wants no thinking and the model cannot do without."""

_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576}
_LONGEST = {"pro": 32_768, "flash": 24_576}
_LEVELS = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH",
           "xhigh": "HIGH", "max": "HIGH"}  # fmt: skip
_LACKING = {
    # Models that lack one of LOW, MEDIUM and HIGH, and those that have MINIMAL.
    "gemini-3-pro": ("MEDIUM",),
}
_MINIMAL = ("gemini-3-flash", "gemini-3.1-flash", "gemini-3.5-flash")


def thinking_of(reasoning: Reasoning, model: str) -> Thinking | str | None:
    """The configuration; None to say nothing; `OFF` where thinking cannot be turned off."""
    shows = bool(reasoning.summary) or reasoning.budget is not None
    is_off = reasoning.is_off or reasoning.effort == "none"
    generation = generation_of(model)
    if generation is not None and generation >= (3, 0):
        return _by_level(reasoning, name_of(model), is_off=is_off, shows=shows)
    return _by_budget(reasoning, name_of(model), is_off=is_off, shows=shows)


def _by_budget(
    reasoning: Reasoning, name: str, *, is_off: bool, shows: bool
) -> Thinking | str | None:
    is_pro = "-pro" in name
    if is_off:
        return OFF if is_pro else Thinking(thinking_budget=0)
    longest = _LONGEST["pro" if is_pro else "flash"]
    if reasoning.budget is not None:
        budget = min(reasoning.budget, longest) if reasoning.budget > 0 else reasoning.budget
    elif reasoning.effort:
        budget = _BUDGETS.get(reasoning.effort, longest)
    else:
        return Thinking(include_thoughts=True) if shows else None
    return Thinking(thinking_budget=budget, include_thoughts=shows)


def _by_level(
    reasoning: Reasoning, name: str, *, is_off: bool, shows: bool
) -> Thinking | str | None:
    has_minimal = name.startswith(_MINIMAL)
    if is_off:
        return Thinking(thinking_level="MINIMAL") if has_minimal else OFF
    effort = reasoning.effort
    if reasoning.budget is not None and not effort:
        effort = "low" if reasoning.budget <= 1024 else "medium"
        effort = "high" if reasoning.budget > 8192 else effort
    if not effort:
        return Thinking(include_thoughts=True) if shows else None
    level = _LEVELS.get(effort, "HIGH")
    if level == "MINIMAL" and not has_minimal:
        level = "LOW"
    lacking = next((less for head, less in _LACKING.items() if name.startswith(head)), ())
    return Thinking(thinking_level="HIGH" if level in lacking else level, include_thoughts=shows)
