"""The command `tenants export`: usage as rows of an invoice, in a file or on standard output."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from towplane.cli.options import DEFAULT_FILE, File
from towplane.cli.output import Output
from towplane.cli.tenant_costs import price_sources
from towplane.cli.tenant_options import open_database, open_ledger, read_day

__all__ = ["export"]

Form = Literal["csv", "json", "parquet"]


def export(
    since: Annotated[str, typer.Option("--from", help="First day (UTC), `2026-11-01` or `30d`.")],
    until: Annotated[str, typer.Option("--to", help="Last day (UTC), included.")],
    form: Annotated[Form, typer.Option("--format", help="What to write.")] = "csv",
    by: Annotated[
        str, typer.Option("--by", help="What a row stands for; the tenant always.")
    ] = "tenant,project,key,model,day",
    tenant: Annotated[str | None, typer.Option("--tenant", help="Of this tenant only.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The file to write; else standard output.")
    ] = None,
    file: File = DEFAULT_FILE,
) -> None:
    """Write usage for invoices. Amounts are in cents that add up for each tenant."""
    from towplane.document.load import load_file
    from towplane.parts.errors import BadRequest
    from towplane.tenants.export.rows import Wanted, export_rows, read_dimensions
    from towplane.tenants.export.write import write_file, write_rows

    first, last = read_day("from", since), read_day("to", until)
    assert first is not None
    assert last is not None
    if last < first:
        raise BadRequest(
            f"--to {last} is before --from {first}", param="to", next_step="turn them round"
        )
    wanted = Wanted(first, last, read_dimensions(by.split(",")), tenant)
    if form == "parquet" and out is None and sys.stdout.isatty():
        raise BadRequest(
            "Parquet is nothing for a terminal", param="out", next_step="name a file with --out"
        )
    ledger = open_ledger(file)
    sources = price_sources(load_file(file).plane, ledger)
    with export_rows(open_database(file), wanted, sources) as rows:
        if out is None:
            write_rows(rows, wanted, form, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            write_file(rows, wanted, form, out)
    output = Output()
    if out is not None:
        output.note(f"wrote {out}")
    lag = ledger.lag()
    if lag:
        output.note(f"{lag} events of the journal are not in the ledger yet")
