"""Charts as SVG, drawn on the server: sparklines, and columns by day. Pure: numbers in, coordinates
out.

Law: a None is a gap, never a dip to 0.
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

__all__ = ["Block", "Columns", "Sparkline", "columns", "sparkline"]

WIDTH, HEIGHT = 160, 32
WIDE, HIGH = 720, 120


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


class Block(NamedTuple):
    """One part of one column."""

    x: str
    y: str
    width: str
    height: str
    kind: int
    """The place of its series."""


class Columns(NamedTuple):
    """Columns side by side in a box of WIDE × HIGH, each stacked of the series from below."""

    blocks: list[Block]
    most: float
    """Of the highest column."""


def columns(series: Sequence[Sequence[float | None]]) -> Columns | None:
    """Series of the same length, the first at the foot; None where nothing is known.

    The highest column has the whole height, and an empty one none.
    """
    stacks = list(zip_longest(*series))
    known = [value for stack in stacks for value in stack if value is not None]
    if not known:
        return None
    most = max(sum(value or 0.0 for value in stack) for stack in stacks)
    step = WIDE / len(stacks)
    gap = min(2.0, step * 0.2)
    blocks = []
    for slot, stack in enumerate(stacks):
        foot = float(HIGH)
        for kind, value in enumerate(stack):
            height = HIGH * ((value or 0.0) / most) if most else 0.0
            if height <= 0:
                continue
            foot -= height
            blocks.append(
                Block(
                    x=f"{slot * step + gap / 2:.2f}",
                    y=f"{max(0.0, foot):.2f}",
                    width=f"{step - gap:.2f}",
                    height=f"{height:.2f}",
                    kind=kind,
                )
            )
    return Columns(blocks, most)


def _points(run: Sequence[tuple[str, str]]) -> str:
    return " ".join(f"{x},{y}" for x, y in run)
