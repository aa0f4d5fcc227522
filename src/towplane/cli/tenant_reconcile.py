"""The command `tenants reconcile`: the ledger beside a provider's bill."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.cli.output import Output
from towplane.cli.tenant_options import open_database, open_ledger, read_day, read_unit

if TYPE_CHECKING:
    from towplane.tenants.reconciliation.bill import BillLine
    from towplane.tenants.reconciliation.compare import Difference, DriftRow, Reconciliation

__all__ = ["reconcile"]

Form = Literal["aws-cur", "azure-cost", "google-billing"]


def reconcile(
    provider: Annotated[str, typer.Option("--provider", help="Whose bill it is, by its name.")],
    bill: Annotated[
        list[Path], typer.Option("--bill", help="A file of the bill; repeat for several.")
    ],
    form: Annotated[
        Form | None, typer.Option("--format", help="What it is; else its columns tell.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="First day (UTC); else the bill's first.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="Last day (UTC); else the bill's last.")
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="BILLED=MODEL", help="A name on the bill is this model."),
    ] = None,
    tolerance: Annotated[
        str, typer.Option("--tolerance", help="How far a model may be off; above it exit 1.")
    ] = "1%",
    by_day: Annotated[bool, typer.Option("--by-day", help="A row for each day.")] = False,
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """Compare what the ledger counted with what a provider bills, by model and day."""
    from towplane.tenants.reconciliation.books import read_book
    from towplane.tenants.reconciliation.compare import reconcile as compare

    share = float(read_unit("share", "tolerance", tolerance))
    mapped = dict(_read_pair(text) for text in mapping or [])
    first, last, lines = _read_lines(bill, form, read_day("from", since), read_day("to", until))
    _require_provider(file, provider)
    ledger = open_ledger(file)
    book = read_book(open_database(file), provider, first, last)
    found = compare(book, lines, mapped=mapped, tolerance=share)
    lag = ledger.lag()
    output = Output(json=json)
    output.object(
        {"provider": provider, "from": first, "to": last, "tolerance": share, "lag_events": lag,
         "reconciliation": found}
    )  # fmt: skip
    _show(output, found, found.days if by_day else found.models)
    if lag:
        output.note(f"{lag} events of the journal are not in the ledger yet")
    if not found.is_within:
        raise typer.Exit(1)


def _read_lines(
    files: list[Path], form: Form | None, since: str | None, until: str | None
) -> "tuple[str, str, list[BillLine]]":
    from towplane.parts.errors import BadRequest
    from towplane.tenants.reconciliation.formats import read_bill

    lines = [line for path in files for line in read_bill(path, form)]
    days = sorted(line.day for line in lines if line.is_usage and line.day)
    if not days:
        raise BadRequest(
            "nothing on this bill is about models",
            param="bill",
            next_step="give the file with the usage of Bedrock, Azure OpenAI or Vertex AI",
        )
    first, last = since or days[0], until or days[-1]
    return first, last, [line for line in lines if first <= line.day <= last]


def _require_provider(file: Path, name: str) -> None:
    from towplane.document.load import load_file
    from towplane.parts.errors import NotFound

    known = load_file(file).plane.providers
    if name not in known:
        raise NotFound(
            f"there is no provider `{name[:80]}` (there are: {', '.join(known)})",
            next_step="say --provider as the document names it",
        )


def _read_pair(text: str) -> tuple[str, str]:
    from towplane.parts.errors import BadRequest

    billed, is_there, model = text.rpartition("=")
    if not is_there or not billed.strip() or not model.strip():
        raise BadRequest(
            f"--map `{text[:80]}`: expected BILLED=MODEL",
            param="map",
            next_step="write the name on the bill, `=`, and the model's name at the provider",
        )
    return billed.strip(), model.strip()


def _show(output: Output, found: "Reconciliation", rows: "list[DriftRow]") -> None:
    from towplane.parts.money import format_nanousd

    output.table(
        ["day", "model", "input", "read", "written", "output", "ledger", "bill", "drift", ""],
        [
            [
                row.day or "all",
                row.model,
                _say(row.input),
                _say(row.cache_read),
                _say(row.cache_write),
                _say(row.output),
                None if row.nanousd.ledger is None else format_nanousd(row.nanousd.ledger),
                None if row.nanousd.bill is None else format_nanousd(row.nanousd.bill),
                _say_share(row.nanousd),
                "over" if row.is_over else "",
            ]
            for row in rows
        ],
        empty="no model is both in the ledger and on the bill",
    )
    for one in found.unmatched:
        money = "" if one.nanousd is None else f", {format_nanousd(one.nanousd)}"
        output.note(
            f"only {'in the ledger' if one.side == 'ledger' else 'on the bill'}: {one.name} "
            f"({one.tokens:,} tokens{money}): {one.why}"
        )
    if found.other_nanousd:
        output.note(f"credits, taxes and discounts: {format_nanousd(found.other_nanousd)}")


def _say(one: "Difference") -> str:
    """The tokens of the ledger, and how far they are from the bill's."""
    ledger = "–" if one.ledger is None else f"{one.ledger:,}"
    if not one.difference:
        return ledger
    return f"{ledger} ({one.difference:+,}, {_say_share(one)})"


def _say_share(one: "Difference") -> str:
    if one.difference is None:
        return "–"
    return "new" if one.ratio is None else f"{one.ratio:+.2%}"
