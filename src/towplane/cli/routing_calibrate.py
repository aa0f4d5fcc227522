"""The command `routing calibrate`: the threshold for a share of traffic, or for a quality."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.cli.output import Output

if TYPE_CHECKING:
    from towplane.routing.complexity.model import Trained
    from towplane.routing.complexity.scorer import Score

__all__ = ["calibrate"]

_HELP_ROUTE = "The route whose last requests are looked at, in the running plane."


def calibrate(
    share: Annotated[
        str | None, typer.Option("--share", help="Of calls to strong targets, such as `30%`.")
    ] = None,
    quality: Annotated[
        str | None, typer.Option("--quality", help="Part of strong's own to keep, such as `95%`.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", help="A trained model; else the prompt's length.")
    ] = None,
    route: Annotated[str | None, typer.Option("--route", help=_HELP_ROUTE)] = None,
    prompts: Annotated[
        Path | None, typer.Option("--prompts", help="Prompts instead, a JSON object a line.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Labelled prompts, for --quality.")
    ] = None,
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """Find the threshold of `routing.MODEL.complexity` on traffic of your own.

    --share needs scores: of the running plane (--route), or of a file (--prompts). --quality needs
    labelled prompts (--labels), better not those that the model was trained on.
    """
    output = Output(json=json)
    if (share is None) == (quality is None):
        raise typer.BadParameter("give --share or --quality")
    if quality is not None:
        if labels is None or route is not None or prompts is not None:
            raise typer.BadParameter("--quality needs --labels, and no --route or --prompts")
        _for_quality(output, quality, model, labels)
        return
    if labels is not None or (route is not None and prompts is not None):
        raise typer.BadParameter("--share takes --route or --prompts")
    assert share is not None
    scores, name = _scores(file, model, route, prompts)
    _for_share(output, share, scores, name)


def _scores(
    file: Path, model: Path | None, route: str | None, prompts: Path | None
) -> tuple[list[float], str]:
    """Scores to look at, and what made them."""
    if prompts is not None:
        from towplane.routing.complexity.labels import read_prompts

        _, score, name = _open(model)
        return [score(one.prompt) for one in read_prompts(prompts)], name
    return _lately(file, route, model)


def _lately(file: Path, route: str | None, model: Path | None) -> tuple[list[float], str]:
    """What the running plane scored."""
    from urllib.parse import quote

    from towplane.api.scores import RouteScores
    from towplane.cli.running import ask_running, locate
    from towplane.parts.errors import Conflict
    from towplane.routing.complexity.model import read_model

    name = route or _only_route(file)
    path = f"/api/v1/routing/{quote(name, safe='')}/complexity"
    found = ask_running(locate(file), path, RouteScores)
    if model is not None and read_model(model).digest != found.digest:
        raise Conflict(
            f"{name} does not score by {model} but by {found.scorer}",
            next_step="put the model in force first, or give prompts by --prompts FILE",
        )
    return found.scores, f"the last {len(found.scores)} requests of {name}"


def _only_route(file: Path) -> str:
    from towplane.document.load import load_file
    from towplane.parts.errors import BadRequest
    from towplane.routing.complexity.narrowing import complexity_of

    routing = load_file(file).plane.routing
    names = [name for name, spec in routing.items() if complexity_of(spec) is not None]
    if len(names) != 1:
        raise BadRequest(
            "which route? " + (", ".join(names) or "none has a section `complexity`"),
            next_step="name it by --route",
        )
    return names[0]


def _open(model: Path | None) -> "tuple[Trained | None, Score, str]":
    from towplane.routing.complexity.model import read_model
    from towplane.routing.complexity.scorer import make_scorer, score_length

    if model is None:
        return None, score_length, "prompts, by their length"
    trained = read_model(model)
    return trained, make_scorer(trained), f"prompts, by {trained.kind}"


def _for_share(output: Output, share: str, scores: list[float], name: str) -> None:
    from towplane.cli.tenant_options import read_unit
    from towplane.routing.complexity.share import find_threshold

    wanted = float(read_unit("share", "share", share))
    found = find_threshold(scores, wanted)
    threshold = _round(found.threshold)
    low, high = map(_round, found.interval)
    output.object(
        {"threshold": threshold, "share": found.share, "interval": [low, high],
         "sample": found.sample}
    )  # fmt: skip
    output.lines(
        f"threshold: {_say(threshold)}   # {found.share:.1%} to strong targets",
        f"from {name}; for {wanted:.0%} the threshold lies between {_say(low)} and {_say(high)} "
        "(95 %)",
    )
    if abs(found.share - wanted) > 0.05:  # more than a sample explains
        output.note("many prompts have the same score, so no threshold comes nearer to that share")


def _for_quality(output: Output, quality: str, model: Path | None, labels: Path) -> None:
    from towplane.cli.tenant_options import read_unit
    from towplane.parts.extras import load_extra
    from towplane.routing.complexity.labels import digest_of, read_labels

    load_extra("numpy", "train")
    from towplane.routing.complexity.training.quality import calibrate_quality

    wanted = float(read_unit("share", "quality", quality))
    trained, score, _ = _open(model)
    found = calibrate_quality(read_labels(labels), score, wanted)
    threshold = _round(found.threshold)
    is_seen = trained is not None and trained.labels.digest == digest_of(labels)
    output.object({**found._asdict(), "threshold": threshold, "trained_on_these": is_seen})
    low, high = found.quality_interval
    least, most = found.share_interval
    output.lines(
        f"threshold: {_say(threshold)}   # {found.share:.1%} to strong targets",
        f"keeps {found.quality:.1%} of strong's quality ({low:.1%} to {high:.1%}) with "
        f"{least:.1%} to {most:.1%} of calls to it; weak alone has {found.weak:.1%}",
        f"from {found.sample} labels; intervals of 95 % at this threshold",
    )
    if is_seen:
        output.note("the model was trained on these very labels, so this is too good: label others")


def _round(threshold: float) -> float:
    """As it is written in a document: six decimals, rounded down so that its score still counts."""
    return int(threshold * 1e6) / 1e6


def _say(threshold: float) -> str:
    from towplane.parts.spelling import format_value

    return format_value("number", threshold)
