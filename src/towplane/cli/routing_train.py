"""The command `routing train`: learns which prompts need the strong target, and says how well."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from towplane.cli.options import Json
from towplane.cli.output import Output

if TYPE_CHECKING:
    from towplane.routing.complexity.model import Interval, Row
    from towplane.routing.complexity.training.compare import Outcome
    from towplane.routing.complexity.training.vectors import Vectors

__all__ = ["train"]


def train(
    labels: Annotated[Path, typer.Argument(help="Labelled prompts, a JSON object a line.")],
    out: Annotated[Path, typer.Option("--out", help="Where the model is written.")],
    folds: Annotated[int, typer.Option("--folds", min=2, max=20, help="Of the test.")] = 5,
    json: Json = False,
) -> None:
    """Learn a scorer for `routing.MODEL.complexity` from prompts that both targets have answered.

    Each line has prompt, score_strong and score_weak, and may have domain, cost_strong, cost_weak.
    Exit 1: nothing was learned that the prompt's length does not say.
    """
    from towplane.parts.extras import load_extra
    from towplane.routing.complexity.labels import digest_of, read_labels
    from towplane.routing.complexity.model import write_model

    load_extra("numpy", "train")
    load_extra("scipy", "train")
    from towplane.routing.complexity.training.compare import train as learn

    output = Output(json=json)
    found = read_labels(labels)
    vectors = _vectors(output)
    outcome = learn(found, digest_of(labels), vectors=vectors, folds=folds, note=output.note)
    model = write_model(outcome.model, out)
    output.object(
        {
            "file": str(out),
            "kind": model.kind,
            "learned": model.learned,
            "verdict": model.verdict,
            "labels": model.labels,
            "table": model.table,
            "domains": [gap._asdict() for gap in outcome.gaps],
            "costs": outcome.costs,
            "digest": model.digest,
        }
    )
    _show(output, outcome)
    output.lines("", f"{out}: {model.kind}, {out.stat().st_size / 1024:.0f} KiB")
    if model.kind == "embedded":
        output.note("workers that score by it need pip install 'towplane[embeddings]'")
    if not model.learned:
        raise typer.Exit(1)


def _vectors(output: Output) -> "Vectors | None":
    """None where no embedding is installed, which is said."""
    from towplane.parts.errors import Unsupported
    from towplane.routing.complexity.training.vectors import open_vectors

    try:
        return open_vectors()
    except Unsupported as error:
        output.note(f"embedded: not tried, {error.say}: {error.next_step}")
        return None


def _show(output: Output, outcome: "Outcome") -> None:
    model = outcome.model
    labels = model.labels
    low, high = labels.gain
    output.lines(
        f"{labels.count} labels: strong {labels.strong:.3f}, weak {labels.weak:.3f}, "
        f"difference {labels.strong - labels.weak:+.3f} ({low:+.3f} to {high:+.3f})",
        "",
    )
    output.table(
        ["scorer", "CPT(50)", "CPT(80)", "APGR", "APGR over length"],
        [
            [
                row.scorer,
                _percent(row.cpt50, row.cpt50_interval),
                _percent(row.cpt80, row.cpt80_interval),
                _plain(row.apgr, row.apgr_interval),
                _difference(row, model.table),
            ]
            for row in model.table
        ],
    )
    output.lines("", "of prompts that the scorer was not trained on; intervals of 95 %")
    if outcome.gaps:
        output.lines("")
        output.table(
            ["domain", "labels", "strong − weak"],
            [
                [
                    gap.domain,
                    gap.labels,
                    f"{gap.gain:+.3f} ({gap.interval[0]:+.3f} to {gap.interval[1]:+.3f})",
                ]
                for gap in outcome.gaps
            ],
        )
    _show_costs(output, outcome)
    output.lines("", model.verdict, style="bold")


def _show_costs(output: Output, outcome: "Outcome") -> None:
    if outcome.costs is None:
        return
    strong, weak = outcome.costs
    row = next(row for row in outcome.model.table if row.scorer == outcome.model.kind)
    parts = [
        f"{name} costs {(share * strong + (1 - share) * weak) / strong:.0%} of all-strong"
        for name, share in (("CPT(50)", row.cpt50), ("CPT(80)", row.cpt80))
        if share is not None and strong > 0
    ]
    if parts:
        output.lines("", f"{row.scorer}: {', '.join(parts)}")


def _percent(value: float | None, interval: "Interval | None") -> str | None:
    if value is None:
        return None
    return f"{value:.1%}" + (f" ({interval[0]:.1%} to {interval[1]:.1%})" if interval else "")


def _plain(value: float | None, interval: "Interval | None") -> str | None:
    if value is None:
        return None
    return f"{value:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


def _difference(row: "Row", table: "tuple[Row, ...]") -> str | None:
    length = next(other for other in table if other.scorer == "length")
    if row.over_length is None or row.apgr is None or length.apgr is None:
        return None
    low, high = row.over_length
    return f"{row.apgr - length.apgr:+.3f} ({low:+.3f} to {high:+.3f})"
