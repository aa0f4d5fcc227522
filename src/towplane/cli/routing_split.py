"""The commands `routing compare`, `routing score` and `routing mirrored`: arms and mirrors, from
the ledger, whether the plane runs or not."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.cli.output import Output

if TYPE_CHECKING:
    from towplane.routing.experiments.compare import ArmMetric
    from towplane.routing.experiments.pairs import Agreement, PairMetric, Side
    from towplane.tenants.ledger.requests import Shadowed

__all__ = ["compare", "mirrored", "score"]

Model = Annotated[str, typer.Argument(help="The model that clients ask for.")]
SinceDay = Annotated[
    str | None, typer.Option("--since", help="First day (UTC), `2026-11-23` or `7d` ago.")
]


def compare(
    model: Model, since: SinceDay = None, file: File = DEFAULT_FILE, json: Json = False
) -> None:
    """Compare the arms of a split; as often as you like.

    Intervals and p-values hold at all times at once: looking changes nothing.
    """
    from towplane.cli.experiments import arms_view
    from towplane.cli.tenant_options import open_database
    from towplane.document.load import load_file

    output = Output(json=json)
    routes = load_file(file).plane.routing
    found = arms_view(open_database(file), routes, model, _moment(since))
    output.object(found)
    comparison = found.comparison
    output.table(
        ["arm", "metric", "n", "mean", "from", "to", "difference", "from", "to", "p"],
        [
            _row(arm, metric)
            for arm, metrics in comparison.arms.items()
            for metric in metrics
            if metric.n
        ],
        empty="no request of any arm is in the ledger",
    )
    for arm, metrics in comparison.arms.items():
        if arm != comparison.control:
            output.lines("", *(f"{one.say}." for one in metrics if one.n and one.say))
    output.lines("", *(f"Verdict: {say}." for say in comparison.say), style="bold")
    output.note(
        f"each interval and p-value holds at all times at once, with an error of "
        f"{comparison.alpha:.0%} shared by all arms"
    )
    if comparison.by == "session":
        output.note("requests of one session are alike: the true intervals are somewhat wider")


def score(
    model: Model,
    request: Annotated[str, typer.Argument(help="The header x-towplane-request-id.")],
    value: Annotated[float, typer.Argument(metavar="SCORE", help="How good the answer was.")],
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """Say how good the answer to a request was; the last word on it holds."""
    import time

    from towplane.api.experiments import PostedScore
    from towplane.cli.experiments import post_score
    from towplane.cli.tenant_options import open_database
    from towplane.document.load import load_file

    output = Output(json=json)
    routes = load_file(file).plane.routing
    posted = PostedScore(request_id=request, score=value)
    kept = post_score(open_database(file), routes, model, posted, time.time())
    output.object(kept)
    output.lines(f"{kept.request_id} has the score {kept.score:g}")


def mirrored(
    model: Model,
    since: SinceDay = None,
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """Compare requests with their mirrored twins, pair by pair.

    Numbers come from the ledger; whether the answers agree, from the file that `mirror.keep` names.
    """
    from towplane.cli.tenant_options import open_database
    from towplane.document.load import load_file
    from towplane.routing.experiments.pairs import agree, compare_pairs
    from towplane.tenants.ledger.requests import shadowed

    output = Output(json=json)
    spec = load_file(file).plane.routing.get(model)
    moment = _moment(since)
    since_us = round(moment.timestamp() * 1_000_000) if moment is not None else 0
    with open_database(file).read() as connection:
        pairs = [(_side(one), _side(two)) for _, one, two
                 in shadowed(connection, model, since_us=since_us)]  # fmt: skip
    metrics = compare_pairs(pairs)
    keep = spec.mirror.keep if spec is not None and spec.mirror is not None else None
    kept = agree(_kept(Path(keep), model, since_us / 1e6)) if keep is not None else None
    output.object({"model": model, "pairs": len(pairs), "metrics": metrics, "agreement": kept})
    output.table(
        ["metric", "pairs", "original", "mirror", "difference", "from", "to"],
        [_pair_row(metric) for metric in metrics if metric.pairs],
        empty="no mirrored request is in the ledger",
    )
    _show_agreement(output, kept)


def _show_agreement(output: Output, kept: "Agreement | None") -> None:
    if kept is None:
        output.note("answers are not kept: `mirror.keep` names a file for them")
        return
    output.lines("")
    if kept.same_finish is not None:
        output.lines(f"{kept.pairs} pairs kept, {kept.same_finish:.1%} stopped for the same reason")
    if kept.texts:
        output.lines(
            f"{kept.texts} with text: {kept.same_text:.1%} the same, "
            f"{kept.overlap:.1%} of the words in both"
            + ("" if kept.length_ratio is None else f", {kept.length_ratio:.2f} times as long")
        )


def _row(arm: str, metric: "ArmMetric") -> list[str | int | None]:
    return [
        arm,
        f"{metric.metric}, {metric.unit}" if metric.unit else metric.metric,
        metric.n,
        *map(_number, (metric.mean, metric.low, metric.high, metric.difference,
                       metric.difference_low, metric.difference_high, metric.p)),
    ]  # fmt: skip


def _pair_row(metric: "PairMetric") -> list[str | int | None]:
    return [
        f"{metric.metric}, {metric.unit}" if metric.unit else metric.metric,
        metric.pairs,
        *map(_number, (metric.original, metric.mirror, metric.difference, metric.low,
                       metric.high)),
    ]  # fmt: skip


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"


def _side(row: "Shadowed") -> "Side":
    from towplane.routing.experiments.pairs import Side

    return Side(
        is_ok=row.outcome == "ok",
        ttft_us=row.ttft_us,
        total_us=row.duration_us,
        input=row.input,
        output=row.output,
        cost_nanousd=row.cost_nanousd,
    )


def _kept(
    path: Path, model: str, since: float
) -> Iterator[tuple[str | None, str | None, str | None, str | None]]:
    """Finish and text of both sides, line by line; a broken line is left out."""
    import msgspec

    from towplane.gateway.pairs import Pair

    decode = msgspec.json.Decoder(Pair).decode
    try:
        lines = path.open("rb")
    except FileNotFoundError:
        return
    with lines:
        for line in lines:
            try:
                pair = decode(line)
            except msgspec.DecodeError:
                continue
            one, two = pair.original, pair.mirror
            if one is None or two is None or pair.model != model or pair.at < since:
                continue
            if one.outcome == two.outcome == "ok":
                yield one.finish, one.text, two.finish, two.text


def _moment(since: str | None) -> datetime | None:
    from towplane.cli.tenant_options import read_day

    day = read_day("since", since)
    return None if day is None else datetime.fromisoformat(day).replace(tzinfo=UTC)
