"""Reports as pictures: one HTML page that needs nothing else, with figures, bars and lines as SVG.

Every line is named in words beside its colour; a None is a gap, never a dip to 0. Pure: reports in,
text out.
"""

from collections.abc import Callable, Sequence
from html import escape
from itertools import groupby

from towplane.simulation.report import Moment, Report, spread

__all__ = ["page"]

_WIDE, _HIGH, _LEFT, _FOOT = 720, 200, 56, 20
_COLOURS = ("#1f77b4", "#d95f02", "#2a9d4a", "#c2185b", "#6a51a3", "#8c6d31", "#17808c", "#555555")
"""Told apart by people who see no red or no green, and on white and dark paper."""
_DASHES = ("", "6 3", "2 3", "8 3 2 3")
_STYLE = """body{font:15px/1.45 system-ui,sans-serif;max-width:52rem;margin:2rem auto;
padding:0 1rem;color:#222;background:#fff}table{border-collapse:collapse;margin:1rem 0}
th,td{padding:.25rem .7rem;
text-align:right;border-bottom:1px solid #ddd}th:first-child,td:first-child{text-align:left}
svg{max-width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:currentColor}
h2{margin-top:2rem;font-size:1.1rem}.grid{stroke:currentColor;opacity:.15}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}th,td{border-color:#444}}"""

Pick = Callable[[Moment], float | None]


def page(title: str, about: str, reports: Sequence[Report]) -> str:
    """The whole page."""
    by_policy = {
        policy: list(group) for policy, group in groupby(reports, key=lambda one: one.policy)
    }
    firsts = {policy: group[0] for policy, group in by_policy.items()}
    lines: list[tuple[str, Pick]] = [
        ("Mean time to first token of the answers that ended then, s", lambda m: m.ttft_mean),
        ("Good answers per second", lambda m: m.good),
        ("Attempts per second", lambda m: m.attempts),
        ("Failures per second", lambda m: m.failures),
    ]
    drawn = [
        f"<h2>{escape(name)}</h2>{_lines(firsts, pick)}"
        for name, pick in lines
        if any(pick(m) for report in firsts.values() for m in report.moments)
    ]
    groups = list(by_policy.values())
    bars = [
        ("Mean time to first token, s", [_mean(g, lambda r: r.ttft.mean) for g in groups]),
        ("Input tokens found in a cache, share",
         [_mean(g, lambda r: r.hit_rate) for g in groups]),
    ]  # fmt: skip
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1><p>{escape(about)}</p>"
        f"{_table(by_policy)}"
        + "".join(f"<h2>{escape(name)}</h2>{_bars(list(by_policy), v)}" for name, v in bars)
        + "".join(drawn)
        + "</html>\n"
    )


def _mean(group: Sequence[Report], pick: Callable[[Report], float | None]) -> float | None:
    found = spread(pick(report) for report in group)
    return found[0] if found is not None else None


def _table(by_policy: dict[str, list[Report]]) -> str:
    heads = ("policy", "TTFT mean", "p95", "ITL mean", "goodput /s", "output /s", "hit rate",
             "amplification", "lost")  # fmt: skip
    rows = []
    for policy, group in by_policy.items():
        lost = _mean(group, lambda r: (r.failed + r.refused + r.gave_up) / r.asks if r.asks else 0)
        cells = [
            _seconds(_mean(group, lambda r: r.ttft.mean)),
            _seconds(_mean(group, lambda r: r.ttft.p95)),
            _seconds(_mean(group, lambda r: r.itl.mean)),
            _number(_mean(group, lambda r: r.goodput)),
            _number(_mean(group, lambda r: r.output_per_s)),
            _share(_mean(group, lambda r: r.hit_rate)),
            _number(_mean(group, lambda r: r.amplification)),
            _share(lost),
        ]
        rows.append(f"<tr><td>{escape(policy)}</td>{''.join(f'<td>{c}</td>' for c in cells)}</tr>")
    return f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{''.join(rows)}</table>"


def _lines(reports: dict[str, Report], pick: Pick) -> str:
    """One line for each report over time."""
    series = {policy: [pick(m) for m in report.moments] for policy, report in reports.items()}
    most = max((v for values in series.values() for v in values if v is not None), default=0) or 1.0
    seconds = next(iter(reports.values())).seconds
    parts = [_axes(most, seconds)]
    for number, (policy, values) in enumerate(series.items()):
        colour, dash = _COLOURS[number % len(_COLOURS)], _DASHES[number % len(_DASHES)]
        style = f'fill="none" stroke="{colour}" stroke-width="1.8" stroke-dasharray="{dash}"'
        for run in _runs(values):
            points = " ".join(
                f"{_LEFT + _WIDE * place / max(1, len(values) - 1):.1f},"
                f"{_HIGH * (1 - value / most) + 4:.1f}"
                for place, value in run
            )
            parts.append(f'<polyline points="{points}" {style}/>')
        at = _HIGH + _FOOT + 16 + 14 * number
        parts.append(
            f'<line x1="{_LEFT}" x2="{_LEFT + 24}" y1="{at - 4}" y2="{at - 4}" {style}/>'
            f'<text x="{_LEFT + 30}" y="{at}">{escape(policy)}</text>'
        )
    return _svg(parts, _HIGH + _FOOT + 20 + 14 * len(series))


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    runs: list[list[tuple[int, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((place, value))
    return [run for run in runs if run]


def _axes(most: float, seconds: float) -> str:
    parts = []
    for quarter in range(5):
        y = 4 + _HIGH * (1 - quarter / 4)
        x = _LEFT + _WIDE * quarter / 4
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + _WIDE}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
            f"{_number(most * quarter / 4)}</text>"
            f'<text x="{x:.1f}" y="{_HIGH + _FOOT}" text-anchor="middle">'
            f"{_number(seconds * quarter / 4)} s</text>"
        )
    return "".join(parts)


def _bars(names: Sequence[str], values: Sequence[float | None]) -> str:
    most = max((value for value in values if value is not None), default=0) or 1.0
    parts = []
    for number, (name, value) in enumerate(zip(names, values, strict=True)):
        y = 22 * number
        parts.append(f'<text x="150" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
        if value is not None:
            colour = _COLOURS[number % len(_COLOURS)]
            wide = 520 * value / most
            parts.append(
                f'<rect x="158" y="{y + 3}" width="{wide:.1f}" height="14" fill="{colour}"/>'
                f'<text x="{164 + wide:.1f}" y="{y + 14}">{_number(value)}</text>'
            )
        else:
            parts.append(f'<text x="158" y="{y + 14}">–</text>')
    return _svg(parts, 22 * len(names) + 4)


def _svg(parts: Sequence[str], high: float) -> str:
    return (
        f'<svg viewBox="0 0 {_LEFT + _WIDE + 20} {high:.0f}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
