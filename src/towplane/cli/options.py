"""The options that every command has, said once."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["DEFAULT_FILE", "File", "Json"]

DEFAULT_FILE = Path("plane.yaml")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]

File = Annotated[
    Path, typer.Option("--file", "-f", help="The document.", show_default=True, metavar="PATH")
]
