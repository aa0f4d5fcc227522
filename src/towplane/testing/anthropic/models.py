"""The models of the emulator, with what each takes. Written down from the Claude docs (2026-11) and
not taken from the plane's own table, so that the two can be held against each other."""

from typing import NamedTuple

__all__ = ["MODELS", "Model"]


class Model(NamedTuple):
    """One model."""

    name: str
    max_tokens: int
    context: int = 200_000
    budget: bool = True
    """Takes `thinking` with `budget_tokens`."""
    adaptive: bool = False
    sampling: bool = True
    """Takes a `temperature` other than 1, `top_p`, `top_k`."""
    schema: bool = True
    """Takes `output_config.format`."""


MODELS = {
    model.name: model
    for model in (
        Model("claude-3-haiku-20240307", 4_096, schema=False),
        Model("claude-sonnet-4-5-20250929", 64_000),
        Model("claude-opus-4-6", 128_000, adaptive=True),
        Model("claude-opus-4-8", 128_000, budget=False, adaptive=True, sampling=False),
        Model("claude-sonnet-5-5", 128_000, 1_000_000, budget=False, adaptive=True, sampling=False),
    )
}
