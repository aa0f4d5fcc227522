"""The cost of one attempt by three numbers, which is all that most attempts need of a price sheet
(`tenants.prices`). Pure.

The law: exact integer arithmetic in whole nano-dollars, rounded once, and never below 0.
"""

from typing import Final

__all__ = ["cost_nanousd"]

_MTOK: Final = 1_000_000


def cost_nanousd(
    price: tuple[int, int, int], input_tokens: int, cached_input: int, output: int
) -> int:
    """Cost of one attempt, half a nano-dollar rounded up; `cached_input` is inside the input."""
    per_input, per_cached, per_output = price
    if cached_input > input_tokens:  # an upstream's mistake must not make a negative cost
        cached_input = input_tokens
    exact = (
        (input_tokens - cached_input) * per_input + cached_input * per_cached + output * per_output
    )
    return (exact + _MTOK // 2) // _MTOK
