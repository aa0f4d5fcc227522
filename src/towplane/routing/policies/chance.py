"""Chance that follows from the number of a turn: a choice can be explained, and made again."""

from typing import Final

__all__ = ["chance"]

_WIDTH: Final = 1 << 64
_GAMMA: Final = 0x9E3779B97F4A7C15


def chance(turn: int) -> float:
    """A number in [0, 1) that looks random and follows from the turn (SplitMix64, Steele, Lea and
    Flood, OOPSLA 2014)."""
    mixed = (turn + 1) * _GAMMA % _WIDTH
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 % _WIDTH
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % _WIDTH
    return (mixed ^ mixed >> 31) / _WIDTH
