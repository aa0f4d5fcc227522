"""The figures as a person reads them: medians, ratios per pass, targets, tables.

Pure: knows no process and no clock. A ratio is taken within one pass, between readings made
minutes apart under the same noise, and only then the median over the passes; the noise of a shared
machine cancels in a ratio and not in an absolute figure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from rich.table import Table

__all__ = [
    "COLUMNS", "TARGETS", "TRANSLATED_TARGETS", "WIRES", "Record", "Spread", "Target", "Verdict",
    "compared", "costs", "figures", "format_spread", "judge", "multiples",
    "ratios", "slope", "verdicts",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Record:
    """One reading with its place: who, what, in which pass."""

    peer: str
    column: str
    pass_: int
    value: float | None
    note: str = ""
    kernel_share: float | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """A median and the range around it, over passes."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread | None":
        return cls(median(values), min(values), max(values)) if values else None


@dataclass(frozen=True, slots=True)
class Target:
    """What towplane promises: a figure, or its ratio to a peer's, or its own, in the same pass."""

    title: str
    column: str
    than: str | None
    is_strict: bool
    limit: float
    of: str = ""
    """The column of the other figure, where it is another one."""

    def holds(self, value: float) -> bool:
        return value < self.limit if self.is_strict else value <= self.limit

    @property
    def wording(self) -> str:
        other = f" × {self.than}" if self.than else ""
        other += f"'s {COLUMNS[self.of]}" if self.of else ""
        return f"{'<' if self.is_strict else '≤'} {self.limit:g}{other}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target, what was seen, and whether that meets it; `seen` None: not measured."""

    target: Target
    seen: Spread | None
    answer: Literal["met", "missed", "unknown"]


WIRES: Mapping[str, str] = {"bedrock": "Bedrock", "gemini": "Gemini", "anthropic": "Anthropic"}
"""Providers whose answers are translated, by the prefix of their columns."""

COLUMNS: Mapping[str, str] = {
    "request_us": "µs CPU per 1 KB request",
    "prompt_us": "µs CPU per 128 KB prompt",
    "chunk_us": "µs CPU per chunk, saturated",
    "paced_us": "µs CPU per chunk, paced",
    "chunks_per_read": "chunks per read, saturated",
    "p50_100_us": "added p50 µs at 100 rps",
    "p99_100_us": "added p99 µs at 100 rps",
    "p50_500_us": "added p50 µs at 500 rps",
    "p99_500_us": "added p99 µs at 500 rps",
    "stream_kib": "KiB per idle stream",
    "stream_failures": "idle streams that failed",
    "idle_mib": "MiB at rest (PSS)",
    "start_s": "s to the first answer",
    "start_cpu_s": "s of CPU to the first answer",
} | {
    f"{wire}_{column}": f"{name} to OpenAI: µs CPU per {unit}"
    for column, unit in (
        ("request_us", "1 KB request"),
        ("chunk_us", "chunk, saturated"),
        ("paced_us", "chunk, paced"),
    )
    for wire, name in WIRES.items()
}

NOT_COMPARED = {
    "stream_failures", "chunks_per_read",
    "p50_100_us", "p99_100_us", "p50_500_us", "p99_500_us",  # differences: noise can make them ≤ 0
}  # fmt: skip

TARGETS = (
    Target("1 KB request", "request_us", "nginx", False, 3.0),
    Target("1 KB request", "request_us", "vllm-router", True, 0.5),
    Target("128 KB prompt", "prompt_us", "vllm-router", True, 1.0),
    Target("saturated chunk", "chunk_us", "nginx", False, 1.5),
    Target("saturated chunk", "chunk_us", "vllm-router", True, 0.7),
    Target("paced chunk", "paced_us", "vllm-router", False, 1.3),
    Target("KiB per idle stream", "stream_kib", None, False, 20.0),
    Target("idle streams that failed", "stream_failures", None, False, 0.0),
    Target("seconds to the first answer", "start_s", None, True, 1.0),
)

_TRANSLATED = tuple((wire, column) for column in ("chunk_us", "paced_us") for wire in WIRES)
TRANSLATED_TARGETS = (
    *(
        Target(COLUMNS[f"{wire}_{column}"], f"{wire}_{column}", "towplane", False, 5.0, column)
        for wire, column in _TRANSLATED
    ),
    *(
        Target(COLUMNS[f"{wire}_{column}"], f"{wire}_{column}", peer, True, 1.0)
        for peer in ("litellm", "portkey", "bifrost")
        for wire, column in _TRANSLATED
    ),
)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Rise per unit of x of the straight line that fits the points best; 0 for fewer than two."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def figures(records: Sequence[Record]) -> dict[tuple[str, str, int], float]:
    """By peer, column and pass: the figure as reported; latencies less those of no gateway."""
    raw = {(r.peer, r.column, r.pass_): r.value for r in records if r.value is not None}
    shown: dict[tuple[str, str, int], float] = {}
    for (peer, column, pass_), value in raw.items():
        if not column.startswith(("p50_", "p99_")):
            shown[peer, column, pass_] = value
        elif peer != "direct" and ("direct", column, pass_) in raw:
            shown[peer, column, pass_] = value - raw["direct", column, pass_]
    return shown


def ratios(
    records: Sequence[Record], subject: str, other: str, column: str, of: str = ""
) -> list[float]:
    """The subject's figure over the other's (its column `of`, or the same), one per pass in which
    both have one."""
    shown = figures(records)
    passes = sorted({pass_ for _, _, pass_ in shown})
    pairs = [(shown.get((subject, column, p)), shown.get((other, of or column, p))) for p in passes]
    return [mine / theirs for mine, theirs in pairs if mine is not None and theirs]


def judge(target: Target, records: Sequence[Record], subject: str) -> Verdict:
    """Whether the subject meets a target, by the median over the passes."""
    if target.than is None:
        shown = figures(records)
        values = [
            v
            for (peer, column, _), v in shown.items()
            if (peer, column) == (subject, target.column)
        ]
    else:
        values = ratios(records, subject, target.than, target.column, target.of)
    seen = Spread.of(values)
    if seen is None:
        return Verdict(target, None, "unknown")
    return Verdict(target, seen, "met" if target.holds(seen.middle) else "missed")


def format_spread(spread: Spread | None) -> str:
    """`27 (25–31)`; three significant figures, no range where there is none."""
    if spread is None:
        return "–"
    middle = _figure(spread.middle)
    if spread.least == spread.most:
        return middle
    return f"{middle} ({_figure(spread.least)}–{_figure(spread.most)})"


def costs(records: Sequence[Record], peers: Sequence[str]) -> Table:
    """A row for each column, a column for each gateway: median and range over the passes."""
    shown = figures(records)
    table = Table(title="What each gateway costs: median (least–most) over the passes")
    table.add_column("")
    for peer in peers:
        table.add_column(peer, justify="right")
    for column, title in COLUMNS.items():
        cells = []
        for peer in peers:
            values = [v for (p, c, _), v in shown.items() if (p, c) == (peer, column)]
            cells.append(format_spread(Spread.of(values)))
        if any(cell != "–" for cell in cells):
            table.add_row(title, *cells)
    for column, title in (("request_us", "1 KB request"), ("paced_us", "paced chunk")):
        table.add_row(f"kernel's share, {title}", *(_kernel(records, p, column) for p in peers))
    return table


def compared(records: Sequence[Record], subject: str, others: Sequence[str]) -> Table:
    """The subject's figures over each other gateway's, by pass."""
    table = Table(title=f"{subject} ÷ the others: median (least–most) of the ratio in each pass")
    table.add_column("")
    for other in others:
        table.add_column(f"÷ {other}", justify="right")
    for column, title in COLUMNS.items():
        if column in NOT_COMPARED:
            continue
        cells = [format_spread(Spread.of(ratios(records, subject, o, column))) for o in others]
        if any(cell != "–" for cell in cells):
            table.add_row(title, *cells)
    return table


def multiples(records: Sequence[Record], peers: Sequence[str]) -> Table:
    """What each gateway's translated answers cost over its own passed-through ones, by pass."""
    table = Table(title="Translated ÷ the gateway's own same-dialect figure in each pass")
    table.add_column("")
    for peer in peers:
        table.add_column(peer, justify="right")
    for column, title in COLUMNS.items():
        wire, _, own = column.partition("_")
        if wire in WIRES:
            spreads = [Spread.of(ratios(records, p, p, column, own)) for p in peers]
            table.add_row(title, *map(format_spread, spreads))
    return table


def verdicts(records: Sequence[Record], subject: str, targets: Sequence[Target]) -> Table:
    """Each target, what was seen, and the answer in a word."""
    table = Table(title=f"Targets of {subject}")
    for heading in ("", "target", "seen", "answer"):
        table.add_column(heading)
    styles = {"met": "green", "missed": "bold red", "unknown": "yellow"}
    for target in targets:
        verdict = judge(target, records, subject)
        answer = f"[{styles[verdict.answer]}]{verdict.answer}[/]"
        table.add_row(target.title, target.wording, format_spread(verdict.seen), answer)
    return table


def _kernel(records: Sequence[Record], peer: str, column: str) -> str:
    shares = [
        r.kernel_share
        for r in records
        if (r.peer, r.column) == (peer, column) and r.kernel_share is not None
    ]
    return f"{median(shares):.0%}" if shares else "–"


def _figure(value: float) -> str:
    size = abs(value)
    if value == 0:
        return "0"
    if size >= 100:
        return f"{value:,.0f}"
    if size < 0.1:
        return f"{value:.2g}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"
