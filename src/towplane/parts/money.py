"""Money for people: whole nano-dollars as exact dollars, never through a float.

The law: what is shown is what is kept; no digit is rounded away. Unknown money is `None` and has no
text here, for unknown is not zero.
"""

__all__ = ["NANO", "format_nanousd", "format_token_price"]

NANO = 10**9
"""Nano-dollars in a dollar."""


def format_nanousd(amount_nanousd: int, *, sign: str = "$") -> str:
    """`$0.000123`, `$2,000.00`, `-$1.50`: every digit that counts, at least two decimals."""
    dollars, decimals = _split(abs(amount_nanousd))
    return f"{'-' if amount_nanousd < 0 else ''}{sign}{dollars:,}.{decimals}"


def format_token_price(price_nanousd: int) -> str:
    """`0.15 USD/Mtok`, as `plane.yaml` writes it."""
    dollars, decimals = _split(price_nanousd)
    return f"{dollars}.{decimals} USD/Mtok"


def _split(amount_nanousd: int) -> tuple[int, str]:
    dollars, rest = divmod(amount_nanousd, NANO)
    return dollars, f"{rest:09d}".rstrip("0").ljust(2, "0")
