"""The noun `engines`."""

import typer

__all__ = ["app"]

app = typer.Typer(name="engines", no_args_is_help=True, help="The engines of the plane.")


@app.callback()
def engines() -> None:
    """The engines of the plane."""
