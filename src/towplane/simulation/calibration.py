"""The constants of an engine, fitted to what was measured of a real one.

A sample is a closed loop at some concurrency: prompt and answer lengths, mean time to the first
token and between tokens. With c users, prompts of i and answers of o tokens:

    TTFT at the lowest c = step_s + token_s·(i − cached)         gives token_s, over all prompts
    ITL = step_s + c·seq_s + c·token_s·(i − cached)/o            gives step_s and seq_s

Both by least squares over relative errors, held to 0 and above. What a sample cannot tell apart,
`seq_s` and the cost of reading longer contexts, is all in `seq_s`: calibrate at the lengths that
will be simulated.

Where it is known of each answer when its tokens came, `fit_answers` finds more, and needs no even
lengths. While nobody's prompt is computed, the gap between two tokens is a step:

    gap = step_s + seq_s·sequences + kv_s·tokens that those hold

and a prompt that is computed while nobody else is there takes, with `fresh` tokens not cached,

    TTFT = step_s + overhead_s + token_s·fresh + attend_s·fresh·(cached + fresh/2)

What happens when both meet is in neither: that is for the simulation to foretell. Pure; no sample,
no figures.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from towplane.simulation.figures import EngineFigures

__all__ = ["Answer", "Sample", "fit_answers", "fit_figures"]


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


@dataclass(frozen=True, slots=True)
class Answer:
    """One measured answer; times are seconds of one clock."""

    begun: float
    at: tuple[float, ...]
    """When each token came."""
    tokens: int
    """Of its prompt."""
    cached: int = 0
    """Of these, found in the prefix cache."""


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


def fit_answers(answers: Sequence[Answer], like: EngineFigures) -> EngineFigures:
    """The time constants of the answers of one engine; memory and limits as in `like`. Raises
    ValueError."""
    gaps = list(_quiet_gaps(answers))
    if len({round(row[1] / row[0]) for row, _ in gaps}) < 2:
        raise ValueError("steps of two different numbers of sequences at least are needed")
    alone = [one for one in answers if one.at and not _met(one, answers)]
    if len({one.tokens - one.cached for one in alone}) < 4:
        raise ValueError("prompts of four lengths at least, computed while nobody asks, are needed")
    step_s, seq_s, kv_s = _least_squares(gaps)
    rows = []
    for one in alone:
        fresh, ttft_s = one.tokens - one.cached, one.at[0] - one.begun
        pairs = fresh * (one.cached + fresh / 2)
        # Relative errors: a short prompt counts as much as a long one.
        row = (1 / ttft_s, fresh / ttft_s, pairs / ttft_s)
        rows.append((row, 1.0))
    first_s, token_s, attend_s = _least_squares(rows)
    return replace(
        like, step_s=step_s, seq_s=seq_s, kv_s=kv_s, token_s=token_s, attend_s=attend_s,
        overhead_s=max(0.0, first_s - step_s), origin=f"fitted to {len(answers)} answers",
    )  # fmt: skip


_Row = tuple[tuple[float, float, float], float]
"""Three factors, and what the sum of their products with the constants should be."""


def _quiet_gaps(answers: Sequence[Answer]) -> Iterator[_Row]:
    """Between two tokens while no prompt is computed: a step, sequences and tokens held, each
    divided by the gap, so that errors are relative."""
    known = [one for one in answers if one.at]
    for own in known:
        # A token more or less on its way does not change who decodes in the middle of the gap.
        near = [one for one in known if one.begun < own.at[-1] and one.at[-1] > own.at[0]]
        for since, until in zip(own.at, own.at[1:], strict=False):
            middle = (since + until) / 2
            if any(one.begun < middle < one.at[0] for one in near):
                continue
            there = [one for one in near if one.at[0] < middle < one.at[-1]]
            held = sum(one.tokens + sum(at < middle for at in one.at) for one in there)
            gap_s = max(until - since, 1e-9)
            yield (1.0 / gap_s, len(there) / gap_s, held / gap_s), 1.0


def _met(own: Answer, answers: Sequence[Answer]) -> bool:
    """Whether another was worked on before its first token."""
    return any(
        one is not own and one.at and one.begun < own.at[0] and one.at[-1] > own.begun
        for one in answers
    )


def _least_squares(rows: Sequence[_Row]) -> tuple[float, float, float]:
    """The three constants, each 0 or more; one that would be less is left out."""
    kept = [0, 1, 2]
    while kept:
        solved = _solve(
            [[sum(row[a] * row[b] for row, _ in rows) for b in kept] for a in kept],
            [sum(row[a] * want for row, want in rows) for a in kept],
        )
        worst = min(range(len(kept)), key=lambda place: solved[place])
        if solved[worst] >= 0:
            found = dict(zip(kept, solved, strict=True))
            return found.get(0, 0.0), found.get(1, 0.0), found.get(2, 0.0)
        del kept[worst]
    return 0.0, 0.0, 0.0


def _solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gauss and Jordan, scaled so that constants of any size are found."""
    size = len(right)
    scale = [matrix[n][n] ** 0.5 or 1.0 for n in range(size)]
    rows = [
        [matrix[a][b] / (scale[a] * scale[b]) for b in range(size)] + [right[a] / scale[a]]
        for a in range(size)
    ]
    for n in range(size):
        pivot = max(range(n, size), key=lambda row: abs(rows[row][n]))
        rows[n], rows[pivot] = rows[pivot], rows[n]
        if abs(rows[n][n]) < 1e-12:
            raise ValueError("the measurements do not tell the constants apart")
        rows[n] = [value / rows[n][n] for value in rows[n]]
        for other in range(size):
            if other != n:
                factor = rows[other][n]
                rows[other] = [x - factor * y for x, y in zip(rows[other], rows[n], strict=True)]
    return [rows[n][size] / scale[n] for n in range(size)]


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
