"""Sparklines as SVG, drawn on the server. Pure: numbers in, coordinates out.

A None is a gap in the line, never a dip to 0.
"""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Sparkline", "sparkline"]

WIDTH, HEIGHT = 160, 32


class Sparkline(NamedTuple):
    """Lines of `x,y x,y` points in a box of WIDTH × HEIGHT, and the dots of lone points."""

    lines: list[str]
    areas: list[str]
    """Under each line, down to 0."""
    dots: list[tuple[str, str]]
    least: float
    most: float


def sparkline(values: Sequence[float | None], slots: int) -> Sparkline | None:
    """The newest value at the right edge, `slots` wide; None where nothing was measured.

    The scale begins at 0, so that a small change of a big figure looks small.
    """
    known = [value for value in values if value is not None]
    if not known:
        return None
    most = max(known)
    first = slots - len(values)
    runs: list[list[tuple[str, str]]] = [[]]
    for place, value in enumerate(values, start=first):
        if value is None:
            runs.append([])
            continue
        x = WIDTH * place / max(1, slots - 1)
        y = HEIGHT - 1.5 - (HEIGHT - 3) * (value / most if most else 0.0)
        runs[-1].append((f"{x:.1f}", f"{y:.1f}"))
    long = [run for run in runs if len(run) > 1]
    return Sparkline(
        [_points(run) for run in long],
        [_points([(run[0][0], str(HEIGHT)), *run, (run[-1][0], str(HEIGHT))]) for run in long],
        [run[0] for run in runs if len(run) == 1],
        min(known),
        most,
    )


def _points(run: Sequence[tuple[str, str]]) -> str:
    return " ".join(f"{x},{y}" for x, y in run)
