"""The noun `tenants`."""

import typer

__all__ = ["app"]

app = typer.Typer(name="tenants", no_args_is_help=True, help="The tenants of the plane.")


@app.callback()
def tenants() -> None:
    """The tenants of the plane."""
