"""The one way a command prints: words and tables for people, or one JSON object for programs.

A command calls both `object` and `table` or `lines`; exactly one of the two shows. Data goes to
standard output; notes and errors go to standard error, except that with `--json` an error is the
one object on standard output. Colour only on a terminal, and never the only carrier of a meaning.
This module knows no noun.

The law: a command ends with an exit code of `parts.errors` and never with a traceback. What nobody
expected is one line, exit 3, and a file with the details.
"""

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TextIO

import msgspec

from towplane.parts.errors import CODES, EXIT_USAGE, EXIT_WORLD, PlaneError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["ABSENT", "Output"]

ABSENT = "–"
"""How a table says that a value is not known; never 0."""

Cell = str | int | float | None
Align = Literal["left", "right"]


class Output:
    """Where a command prints."""

    def __init__(
        self, json: bool = False, *, out: TextIO | None = None, err: TextIO | None = None
    ) -> None:
        self.json = json
        self._out = out or sys.stdout
        self._err = err or sys.stderr

    def object(self, value: object) -> None:
        """With `--json`: the answer, as one object. `value` is anything msgspec encodes."""
        if self.json:
            text = msgspec.json.format(msgspec.json.encode(value), indent=2)
            self._out.write(text.decode() + "\n")
            self._out.flush()

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, empty: str = "nothing yet"
    ) -> None:
        """For people: rows under headings; numbers stand at the right, None reads as `–`."""
        if self.json:
            return
        if not rows:
            self.lines(empty)
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for index, column in enumerate(columns):
            table.add_column(column, justify=_align([row[index] for row in rows]), no_wrap=True)
        for row in rows:
            table.add_row(*(Text(_cell(cell)) for cell in row))
        console = _console(self._out)
        if console.is_terminal:
            console.print(table)
            return
        with console.capture() as capture:
            console.print(table)
        for line in capture.get().splitlines():
            self._out.write(line.rstrip() + "\n")
        self._out.flush()

    def lines(self, *lines: str, style: str = "") -> None:
        """For people: lines as they are, in one style (`bold`, `green`) on a terminal."""
        if not self.json:
            _write(self._out, lines, style)

    def note(self, *lines: str, style: str = "dim") -> None:
        """For people, on standard error: progress and remarks that are not the answer."""
        if not self.json:
            _write(self._err, lines, style)

    def error(self, error: PlaneError) -> int:
        """Says what happened and what to do next; returns the exit code."""
        if self.json:
            said = {"code": error.code, "message": error.say, "next": error.next_step}
            self.object({"error": {**said, **error.details}})
        else:
            _write(self._err, [f"error: {error.say}"], "red")
            if error.next_step:
                _write(self._err, [f"next: {error.next_step}"], "")
        return CODES.get(error.code, (500, EXIT_WORLD))[1]

    def usage(self, message: str) -> int:
        """Says that the command was written wrongly; a noun without a verb gets its help."""
        next_step = "run it with --help"
        if self.json:
            self.object({"error": {"code": "usage", "message": message, "next": next_step}})
        elif message.startswith("Usage:"):
            _write(self._err, [message], "")
        else:
            _write(self._err, [f"error: {message}"], "red")
            _write(self._err, [f"next: {next_step}"], "")
        return EXIT_USAGE

    def surprise(self, error: BaseException) -> int:
        """Says that the plane has a fault of its own, and where the details are."""
        path = _write_details(error)
        said = PlaneError(
            f"towplane failed: {type(error).__name__}: {error}",
            next_step=f"report it with the details in {path}",
        )
        return self.error(said)


def _align(cells: Sequence[Cell]) -> Align:
    known = [cell for cell in cells if cell is not None]
    return "right" if known and all(isinstance(cell, int | float) for cell in known) else "left"


def _cell(cell: Cell) -> str:
    return ABSENT if cell is None else _plain(str(cell))


def _plain(text: str) -> str:
    # A name can come from a client: what is not printable could steer the terminal.
    return "".join(char if char.isprintable() else "�" for char in text)


def _write(stream: TextIO, lines: Sequence[str], style: str) -> None:
    if not (style and stream.isatty()):
        stream.writelines(line + "\n" for line in lines)
        stream.flush()
        return
    console = _console(stream)
    for line in lines:
        console.print(line, style=style, markup=False, soft_wrap=True)


def _console(stream: TextIO) -> "Console":
    from rich.console import Console

    if stream.isatty():
        return Console(file=stream, highlight=False, emoji=False)
    return Console(file=stream, highlight=False, emoji=False, width=10_000, color_system=None)


def _write_details(error: BaseException) -> str:
    handle, path = tempfile.mkstemp(prefix="towplane-", suffix=".log")
    with os.fdopen(handle, "w") as file:
        file.writelines(traceback.format_exception(error))
    return path
