"""What a Claude model takes, told by the generation in its name. A name that tells none (an alias,
a profile's ARN) is taken for a new one, but may be told how to sample. Pure; knows no provider:
`us.anthropic.claude-opus-4-7-v1:0`, `claude-opus-4-7@20260401` and `claude-opus-4-7` are one model.

Sources, as of 2026-11: Claude docs "Adaptive thinking", "Structured outputs", "Effort"; Amazon
Bedrock user guide "Adaptive thinking"; messages of refusals in public reports.
"""

import re
from functools import lru_cache
from typing import NamedTuple

__all__ = ["BUDGETS", "LEAST_BUDGET", "Takes", "takes_of"]

BUDGETS = {
    "minimal": 1_024,
    "low": 2_048,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 32_768,
}
"""What an effort is to a model that knows none; the same wherever the model is asked."""
LEAST_BUDGET = 1_024

_NEW = (99, 0)
_FAMILY_FIRST = re.compile(r"claude-[a-z]+-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_NUMBER_FIRST = re.compile(r"claude-(\d{1,2})(?:[-.](\d{1,2}))?-(?:[a-z])")


class Takes(NamedTuple):
    """What a generation of models takes."""

    sampling: bool
    """`temperature`, `top_p` and `top_k`; refused from 4.7 on."""
    budget: bool
    """`thinking` with `budget_tokens`; refused from 4.7 on."""
    adaptive: bool
    """`thinking` of type `adaptive`; from 4.6 on."""
    thinks_unasked: bool
    """Thinking must be turned off to be off; from 5 on."""
    schema: bool
    """`output_config.format` and strict tools; from 4.5 on."""
    efforts: frozenset[str]
    """Of `output_config.effort`."""
    max_tokens: int
    """What is allowed where the client does not say: Messages must say it. The most that every
    model of the generation can write."""

    def nearest_effort(self, effort: str) -> str:
        """The nearest word that the model knows."""
        if effort in self.efforts:
            return effort
        return "low" if effort == "minimal" else "high"


@lru_cache(maxsize=1024)
def takes_of(model: str) -> Takes:
    """By the name of a model."""
    generation = _generation(model.lower())
    return Takes(
        sampling=generation < (4, 7) or generation == _NEW,
        budget=generation < (4, 7),
        adaptive=generation >= (4, 6),
        thinks_unasked=generation >= (5, 0),
        schema=generation >= (4, 5),
        efforts=_efforts(generation),
        max_tokens=_max_tokens(generation),
    )


def _generation(model: str) -> tuple[int, int]:
    found = _NUMBER_FIRST.search(model) or _FAMILY_FIRST.search(model)
    if found is None:
        return _NEW
    return int(found[1]), int(found[2] or 0)


def _efforts(generation: tuple[int, int]) -> frozenset[str]:
    if generation >= (4, 7):
        return frozenset(("low", "medium", "high", "xhigh", "max"))
    if generation >= (4, 6):
        return frozenset(("low", "medium", "high", "max"))
    return frozenset()  # thinking is asked for by budget


def _max_tokens(generation: tuple[int, int]) -> int:
    if generation >= (3, 7):
        return 32_000  # Opus 4 has the smallest limit of them (docs "Models overview")
    return 8_192 if generation >= (3, 5) else 4_096
