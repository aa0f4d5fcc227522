"""The noun `engines`: what runs, in which state and why, on whose weights."""

from typing import TYPE_CHECKING

import typer

from towplane.cli.options import DEFAULT_FILE, File, Json

if TYPE_CHECKING:
    from towplane.api.views import EngineView
    from towplane.document.load import Document

__all__ = ["app"]

app = typer.Typer(name="engines", no_args_is_help=True, help="The engines of the plane.")

COLUMNS = ("REPLICA", "STATE", "PID", "PORT", "VERSION", "WEIGHTS", "LICENCE", "RESTARTS", "REASON")


@app.callback()
def engines() -> None:
    """The engines of the plane."""


@app.command("list")
def list_(file: File = DEFAULT_FILE, json: Json = False) -> None:
    """Show every replica with its state, its weights and their licence.

    From the running plane; when none runs, from the document and what an earlier one has left.
    """
    from towplane.cli.output import Output
    from towplane.document.load import load_file

    document = load_file(file)
    output = Output(json=json)
    views = _ask_plane(document)
    is_running = views is not None
    if views is None:
        views = _look_offline(document)
        output.note("the plane is not running: this is what the document wants and what is left")
    output.object({"running": is_running, "engines": views})
    rows = [
        (
            view.target,
            view.state,
            view.pid,
            view.port,
            view.version,
            view.weights,
            view.licence or "not said",
            view.restarts if is_running else None,
            view.reason or None,
        )
        for view in views
    ]
    output.table(COLUMNS, rows, empty="the document has no engines")


def _ask_plane(document: "Document") -> "list[EngineView] | None":
    from towplane.api.endpoints import EngineList
    from towplane.cli.running import ask, locate_document

    answer = ask(locate_document(document), "/api/v1/engines", EngineList)
    return answer.engines if answer is not None else None


def _look_offline(document: "Document") -> "list[EngineView]":
    from pathlib import Path

    from towplane.cli.engine_view import engine_view
    from towplane.controller.offline import list_engines

    replicas = list_engines(document.plane, Path(document.file).parent)
    return [engine_view(replica) for replica in replicas]
