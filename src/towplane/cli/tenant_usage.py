"""The command `tenants usage`: what was used and what it cost, from the ledger."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.cli.output import ABSENT, Output
from towplane.cli.tenant_options import open_ledger, read_day

if TYPE_CHECKING:
    from towplane.tenants.ledger import UsageRow

__all__ = ["usage"]

By = Literal["tenant", "project", "key", "label", "model", "target", "service", "credential", "day"]

_SPECIAL = {
    "written": "cache_write_tokens",
    "written 1h": "cache_write_1h_tokens",
    "audio in": "audio_input_tokens",
    "images in": "image_input_tokens",
    "by tools": "tool_input_tokens",
    "searches": "searches",
    "reasoning": "reasoning_tokens",
    "audio out": "audio_output_tokens",
    "images out": "image_output_tokens",
}
"""Columns that are shown only if something is in them."""


def usage(
    by: Annotated[By, typer.Option("--by", help="What the rows are.")] = "tenant",
    since: Annotated[
        str | None, typer.Option("--since", help="First day (UTC), `2026-11-23` or `7d` ago.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Last day (UTC), included.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Of this tenant only.")] = None,
    project: Annotated[
        str | None, typer.Option("--project", help="Of this project only: `TENANT/PROJECT`.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", help="Of this key only.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="Of keys so labelled.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Of this model only.")] = None,
    target: Annotated[str | None, typer.Option("--target", help="Of this target only.")] = None,
    service: Annotated[str | None, typer.Option("--service", help="Of this class only.")] = None,
    credential: Annotated[
        str | None, typer.Option("--credential", help="Of this credential only.")
    ] = None,
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """Show what was used and what it cost."""
    from towplane.tenants.ledger import Only

    ledger = open_ledger(file)
    rows = ledger.usage(
        by,
        since=read_day("since", since),
        until=read_day("until", until),
        only=Only(tenant, project, key, label, model, target, service, credential),
    )
    lag, (bad, orphans) = ledger.lag(), ledger.damage()
    output = Output(json=json)
    output.object(
        {"by": by, "rows": rows, "lag_events": lag, "bad_lines": bad, "lost_beginnings": orphans}
    )
    special = {
        word: field for word, field in _SPECIAL.items() if any(getattr(r, field) for r in rows)
    }
    output.table(
        [by, "requests", "attempts", "input", "cached", *special, "output", "usage", "cost"],
        [
            [
                row.name or None,
                row.requests,
                row.attempts,
                row.input_tokens,
                row.cached_input_tokens,
                *(getattr(row, field) for field in special.values()),
                row.output_tokens,
                _say_kinds(row),
                _say_cost(row),
            ]
            for row in rows
        ],
        empty="nothing used yet",
    )
    if lag:
        output.note(f"{lag} events of the journal are not in these sums yet")
    if bad or orphans:
        output.note(
            f"the journal was damaged in {bad} places; {orphans} attempts have lost their "
            "beginning and are in no sum",
            style="yellow",
        )


def _say_kinds(row: "UsageRow") -> str:
    kinds = ("measured", row.measured), ("estimated", row.estimated), ("absent", row.absent)
    return ", ".join(f"{count} {kind}" for kind, count in kinds if count)


def _say_cost(row: "UsageRow") -> str:
    from towplane.parts.money import format_nanousd

    known = ABSENT if row.cost_nanousd is None else format_nanousd(row.cost_nanousd)
    if not row.unpriced:
        return known
    unpriced = f"unpriced: {row.unpriced} attempt{'' if row.unpriced == 1 else 's'}"
    return unpriced if row.cost_nanousd is None else f"{known} + {unpriced}"
