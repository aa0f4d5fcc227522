"""The command `tenants alerts`: which limits came near, who was told, and what became of it."""

from typing import TYPE_CHECKING, Annotated

import typer

from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.cli.output import Output
from towplane.cli.tenant_options import open_database, say_moment

if TYPE_CHECKING:
    from towplane.tenants.alerts.message import Alert

__all__ = ["alerts"]


def alerts(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Of this tenant only.")] = None,
    most: Annotated[int, typer.Option("--most", help="So many, newest first.")] = 100,
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """List what was noted of limits that came near, newest first."""
    from towplane.tenants.alerts import outbox

    with open_database(file).read() as connection:
        found = outbox.listed(connection, tenant, most)
    output = Output(json=json)
    output.object({"alerts": found})
    output.table(
        ["at", "whose", "limit", "window", "reached", "used", "told", "tries", "trouble"],
        [
            [
                say_moment(one.at.timestamp()),
                f"{one.kind} {one.name}",
                one.measure,
                one.window,
                f"{one.share:.4g}",
                _say_amounts(one),
                one.state,
                one.tries,
                one.trouble or None,
            ]
            for one in found
        ],
        empty="no limit has come near yet",
    )


def _say_amounts(one: "Alert") -> str:
    from towplane.parts.money import format_nanousd
    from towplane.tenants.measures import MEASURES, MONEY

    if MEASURES[one.measure].unit == MONEY:
        return f"{format_nanousd(one.used)} of {format_nanousd(one.limit)}"
    return f"{one.used:,} of {one.limit:,}"
