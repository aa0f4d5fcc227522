"""The constants of an engine, fitted to what was measured of a real one.

A sample is a closed loop at some concurrency: prompt and answer lengths, mean time to the first
token and between tokens. With c users, prompts of i and answers of o tokens:

    TTFT at the lowest c = step_s + token_s·(i − cached)         gives token_s, over all prompts
    ITL = step_s + c·seq_s + c·token_s·(i − cached)/o            gives step_s and seq_s

Both by least squares over relative errors, held to 0 and above. What a sample cannot tell apart,
`seq_s` and the cost of reading longer contexts, is all in `seq_s`: calibrate at the lengths that
will be simulated. Pure; no sample, no figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from towplane.simulation.figures import EngineFigures

__all__ = ["Sample", "fit_figures"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured point."""

    users: int
    """How many asked at a time."""
    tokens: float
    """Mean input tokens."""
    output: float
    """Mean output tokens."""
    ttft_s: float
    itl_s: float
    cached: float = 0.0
    """Mean input tokens found in the prefix cache."""


def fit_figures(samples: Sequence[Sample], like: EngineFigures) -> EngineFigures:
    """The time constants of the samples; memory and limits as in `like`. Raises ValueError."""
    if len({sample.users for sample in samples}) < 2:
        raise ValueError("samples at two concurrencies at least are needed to tell steps apart")
    least = min(sample.users for sample in samples)
    alone = [sample for sample in samples if sample.users == least]
    token_s, first_s = 0.0, 0.0
    step_s = min(sample.itl_s for sample in alone)
    seq_s = 0.0
    for _ in range(20):  # each needs the other: prefill shares steps with decoding
        # A newcomer waits for half a step on average, and then has one of its own.
        first_s = step_s + least * seq_s
        points = [(1.0, s.tokens - s.cached, s.ttft_s) for s in alone]
        token_s = max(0.0, _slope([(x, y - first_s * one) for one, x, y in points]))
        lines = [
            (s.users, s.itl_s - s.users * token_s * (s.tokens - s.cached) / s.output, s.itl_s)
            for s in samples
        ]
        step_s, seq_s = _line(lines)
    return replace(
        like, step_s=step_s, seq_s=seq_s, kv_s=0.0, token_s=token_s, attend_s=0.0,
        overhead_s=0.0, origin=f"fitted to {len(samples)} samples",
    )  # fmt: skip


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the line through the origin with the least squares of relative errors."""
    known = [(x, y) for x, y in points if x > 0 and y > 0]
    above = sum(x / y for x, y in known)
    below = sum(x * x / (y * y) for x, y in known)
    return above / below if below else 0.0


def _line(points: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """Intercept and slope, both 0 or more, weighted by 1 / scale²."""
    weights = [1 / (scale * scale) for _, _, scale in points]
    total = sum(weights)
    x = sum(w * p[0] for w, p in zip(weights, points, strict=True)) / total
    y = sum(w * p[1] for w, p in zip(weights, points, strict=True)) / total
    above = sum(w * (p[0] - x) * (p[1] - y) for w, p in zip(weights, points, strict=True))
    below = sum(w * (p[0] - x) ** 2 for w, p in zip(weights, points, strict=True))
    slope = max(0.0, above / below) if below else 0.0
    if y - slope * x < 0:  # the line through the origin
        return 0.0, max(0.0, _slope([(p[0], p[1]) for p in points]))
    return y - slope * x, slope
