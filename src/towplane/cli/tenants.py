"""The noun `tenants`: who may use the plane, with which limits, and what they have used.

Works on the database of the document's `data_dir`, whether the plane runs or not; a running plane
notices a change within a second.
"""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from towplane.cli import tenant_costs, tenant_keys, tenant_prices
from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.cli.output import ABSENT, Output
from towplane.cli.tenant_options import (
    Concurrency,
    Daily,
    Models,
    Monthly,
    Rpm,
    Total,
    Tpm,
    open_accounts,
    open_ledger,
    read_budget,
    read_day,
    read_limits,
    say_budget,
    say_limits,
    say_models,
    say_moment,
)

if TYPE_CHECKING:
    from towplane.tenants.keys import TenantRecord
    from towplane.tenants.ledger import UsageRow

__all__ = ["app"]

By = Literal["tenant", "key", "model", "target", "day", "service"]

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

app = typer.Typer(
    name="tenants", no_args_is_help=True, help="The tenants of the plane: keys, limits, usage."
)
app.add_typer(tenant_keys.app, name="keys")
app.add_typer(tenant_prices.app, name="prices")
app.command("reprice")(tenant_costs.reprice)
app.command("provisioned")(tenant_costs.provisioned)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Its name: letters, digits, `.`, `_`, `-`.")],
    rpm: Rpm = None,
    tpm: Tpm = None,
    concurrency: Concurrency = None,
    daily: Daily = None,
    monthly: Monthly = None,
    total: Total = None,
    model: Models = None,
    unpriced: Annotated[
        bool, typer.Option("--allow-unpriced", help="Let it use models whose price is unknown.")
    ] = False,
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """Create a tenant that the document does not declare."""
    from towplane.tenants.keys import TenantRecord

    accounts = open_accounts(file)
    record = accounts.create_tenant(
        TenantRecord(
            name=name,
            limits=read_limits(rpm, tpm, concurrency),
            budget=read_budget(daily, monthly, total),
            models=model or None,
            unpriced="allow" if unpriced else "refuse",
        )
    )
    output = Output(json=json)
    output.object(_row(record, 0))
    output.lines(f"created tenant {record.name}", style="green")
    output.note(f"next: towplane tenants keys create {record.name}")


@app.command("list")
def list_tenants(file: File = DEFAULT_FILE, json: Json = False) -> None:
    """List every tenant, declared or created."""
    import time

    accounts = open_accounts(file)
    tenants, keys, now = accounts.tenants(), accounts.keys(), time.time()
    active = {tenant.name: 0 for tenant in tenants}
    for key in keys:
        if key.tenant in active and key.state(now) == "active":
            active[key.tenant] += 1
    output = Output(json=json)
    output.object({"tenants": [_row(tenant, active[tenant.name]) for tenant in tenants]})
    output.table(
        ["tenant", "from", "active keys", "limits", "budget", "models"],
        [
            [
                tenant.name,
                "document" if tenant.source == "document" else "command",
                active[tenant.name],
                say_limits(tenant.limits),
                say_budget(tenant.budget),
                say_models(tenant.models),
            ]
            for tenant in tenants
        ],
        empty="no tenants yet; create one with `towplane tenants create NAME`",
    )


@app.command("usage")
def usage(
    by: Annotated[By, typer.Option("--by", help="What the rows are.")] = "tenant",
    since: Annotated[
        str | None, typer.Option("--since", help="First day (UTC), `2026-11-23` or `7d` ago.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Last day (UTC), included.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Of this tenant only.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Of this model only.")] = None,
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """Show what was used and what it cost."""
    ledger = open_ledger(file)
    rows = ledger.usage(
        by,
        since=read_day("since", since),
        until=read_day("until", until),
        tenant=tenant,
        model=model,
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
                row.name,
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


def _row(tenant: "TenantRecord", active_keys: int) -> dict[str, object]:
    """A tenant as JSON."""
    return {
        "name": tenant.name,
        "source": tenant.source,
        "limits": tenant.limits,
        "budget": tenant.budget,
        "models": tenant.models,
        "unpriced": tenant.unpriced,
        "created_at": say_moment(tenant.created_at),
        "active_keys": active_keys,
    }


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
