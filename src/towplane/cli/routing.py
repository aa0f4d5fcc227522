"""The noun `routing`: which models are served, by whom, and where the next request goes."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.cli.output import Output
from towplane.cli.routing_calibrate import calibrate
from towplane.cli.routing_label import label
from towplane.cli.routing_split import compare, mirrored, score
from towplane.cli.routing_train import train

if TYPE_CHECKING:
    from towplane.api.explanations import WorkerExplanation
    from towplane.api.views import TargetView
    from towplane.routing.explain import Place

__all__ = ["app"]

app = typer.Typer(name="routing", no_args_is_help=True, help="The routes of the plane's models.")
app.command("train")(train)
app.command("calibrate")(calibrate)
app.command("label")(label)
app.command("compare")(compare)
app.command("score")(score)
app.command("mirrored")(mirrored)


@app.callback()
def routing() -> None:
    """The routes of the plane's models."""


@app.command("list")
def list_routes(file: File = DEFAULT_FILE, json: Json = False) -> None:
    """List every model with its targets and its fallback chain.

    From the running plane; when none runs, from the document.
    """
    from towplane.api.endpoints import RouteList, TargetList
    from towplane.cli.read_model import route_view
    from towplane.cli.running import ask, locate
    from towplane.document.load import load_file

    output = Output(json=json)
    where = locate(file)
    found = ask(where, "/api/v1/routing", RouteList)
    targets = ask(where, "/api/v1/targets", TargetList) if found is not None else None
    if found is not None and targets is not None:
        routes, states = found.routes, targets.targets
    else:
        document = load_file(file)
        routes = [route_view(model, spec) for model, spec in document.plane.routing.items()]
        states = []
        output.note("the plane is not running: this is what the document wants")
    output.object({"running": targets is not None, "routes": routes, "targets": states})
    output.table(
        ["model", "choose", "targets", "fallback"],
        [
            [
                route.model,
                route.choose,
                ", ".join(_say_target(name, states) for name in route.targets),
                ", ".join(_say_target(name, states) for name in route.fallback) or None,
            ]
            for route in routes
        ],
        empty="the document has no routes",
    )


@app.command("explain")
def explain(
    model: Annotated[str, typer.Argument(help="The name that clients ask for.")] = "",
    request: Annotated[
        str,
        typer.Option(help="A past request, by the x-towplane-request-id of its answer."),
    ] = "",
    body: Annotated[
        str, typer.Option(help="A file with the request's body as JSON; - reads standard input.")
    ] = "",
    path: Annotated[str, typer.Option(help="The operation.")] = "/v1/chat/completions",
    tenant: Annotated[str, typer.Option(help="Whose request it would be.")] = "",
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """Say where the next request for a model goes, and why, in each worker of the running plane.

    With --body: where this very request would go; nothing is sent. With --request: where a past one
    went, among whom it was chosen, and what became of it.
    """
    from urllib.parse import quote

    from towplane.api.explanations import Question, RouteExplanation
    from towplane.cli.explained_request import show_request
    from towplane.cli.running import ask_running, locate

    output = Output(json=json)
    where = locate(file)
    if bool(model) == bool(request):
        raise typer.BadParameter("give the name of a model, or --request ID")
    if request:
        show_request(output, where, request)
        return
    question = Question(body=_read(body), path=path, tenant=tenant) if body else None
    address = f"/api/v1/routing/{quote(model, safe='')}/explain"
    found = ask_running(where, address, RouteExplanation, body=question)
    output.object(found)
    output.lines(f"{found.model}: {found.choose}, at most {found.attempts} attempts a request")
    alike: dict[str, list[WorkerExplanation]] = {}
    for worker in found.workers:
        alike.setdefault(repr((worker.groups, worker.steps)), []).append(worker)
    for workers in alike.values():
        _show(output, workers)
    if not found.workers:
        output.lines("", "no worker serves, so nobody would take a request")


def _show(output: Output, workers: "list[WorkerExplanation]") -> None:
    """Workers that would all do the same."""
    worker = workers[0]
    numbers = ", ".join(str(each.number) for each in workers)
    output.lines("", f"worker{'s' if len(workers) > 1 else ''} {numbers}", style="bold")
    output.table(
        ["group", "target", "weight", "in flight", "score", "usable"],
        [
            [
                f"fallback {group.number}" if group.number else "targets",
                place.target,
                place.weight,
                place.in_flight,
                None if place.score is None else f"{place.score:.3g}",
                _usable(place),
            ]
            for group in worker.groups
            for place in group.places
        ],
        empty="this route has no target now",
    )
    output.lines("")
    if not worker.steps:
        output.lines("No target is usable: a request would be refused with 503, no-target.")
        return
    first, *others = worker.steps
    output.lines(f"The next request goes to {first.target} ({_cause(first.cause)}{first.reason}).")
    for step in others:
        output.lines(f"  if that fails: {step.target} ({step.cause}; {step.reason})")
    if others:
        left = int(min(each.retries_left for each in workers))
        each = " in each" if len(workers) > 1 else ""
        output.lines(f"  retries that the budget allows now: {left}{each}")


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{name} cannot be read: {error}") from None


def _usable(place: "Place") -> str:
    """A target that is well may still be passed over for this request."""
    if not place.usable:
        return f"no: {place.why_not}"
    return f"passed over: {place.why_not}" if place.why_not else "yes"


def _cause(cause: str) -> str:
    return "" if cause == "first" else f"{cause}; "


def _say_target(name: str, targets: "list[TargetView]") -> str:
    """A target or an engine, with its state where it is not ready; a provider's model behind many
    addresses, with how many there are in each state."""
    spread = [one.state for one in targets if one.address and name == f"{one.provider}/{one.model}"]
    if spread:
        counts = {state: spread.count(state) for state in sorted(set(spread))}
        said = ", ".join(f"{count} {state}" for state, count in counts.items())
        return f"{name} ({said} of {len(spread)})" if len(counts) > 1 else f"{name} ({said})"
    states = {
        target.state
        for target in targets
        if name in (target.name, target.name.rpartition("/")[0] if target.kind == "engine" else "")
    }
    unwell = sorted(states - {"ready"})
    return f"{name} ({', '.join(unwell)})" if unwell else name
