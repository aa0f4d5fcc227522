"""The `towplane` command: composes the nouns and turns every end into an exit code.

Each noun is a file of this folder; it imports what is heavy inside its functions, so that
`towplane --help` is quick. This module knows no noun's business.
"""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from towplane.cli import (
    check,
    engines,
    init,
    providers,
    routing,
    schema,
    simulate,
    status,
    tenants,
    up,
)
from towplane.cli.output import Output
from towplane.parts.errors import EXIT_DONE, EXIT_WORLD, PlaneError

__all__ = ["app", "main", "run"]

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells count it."""

app = typer.Typer(
    name="towplane",
    help="An AI model plane: one program, one document, every token accounted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("init")(init.init)
app.command("check")(check.check)
app.command("schema")(schema.schema)
app.command("up")(up.up)
app.command("status")(status.status)
app.command("simulate")(simulate.simulate)
app.add_typer(engines.app, name="engines")
app.add_typer(providers.app, name="providers")
app.add_typer(routing.app, name="routing")
app.add_typer(tenants.app, name="tenants")


def main() -> NoReturn:
    """The console entry point."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code; never raises for what a command did."""
    # Errors of the command line itself come before any option is parsed.
    output = Output(json="--json" in arguments)
    try:
        done = typer.main.get_command(app).main(
            list(arguments), prog_name="towplane", standalone_mode=False
        )
        return done if isinstance(done, int) else EXIT_DONE
    except PlaneError as error:
        return output.error(error)
    except typer.TyperException as error:
        return output.usage(error.format_message())
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader left; give the interpreter something to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_WORLD
    except Exception as error:  # noqa: BLE001 - a door: nobody above could say it better
        return output.surprise(error)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"towplane {version('towplane')}")
        raise typer.Exit


@app.callback()
def towplane(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it and end."),
    ] = False,
) -> None:
    """An AI model plane: one program, one document, every token accounted."""
