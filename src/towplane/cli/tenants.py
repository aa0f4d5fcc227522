"""The noun `tenants`: who may use the plane, with which limits, and what they have used.

Works on the database of the document's `data_dir`, whether the plane runs or not; a running plane
notices a change within a second.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from towplane.cli import (
    tenant_alerts,
    tenant_costs,
    tenant_export,
    tenant_keys,
    tenant_prices,
    tenant_projects,
    tenant_reconcile,
    tenant_usage,
)
from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.cli.output import Output
from towplane.cli.tenant_options import (
    BudgetTerms,
    Concurrency,
    Daily,
    LimitTerms,
    Models,
    Monthly,
    PriorityWord,
    Rpm,
    Total,
    Tpm,
    change_budget,
    change_limits,
    open_accounts,
    read_budget,
    read_limits,
    read_models,
    read_priority,
    say_budget,
    say_limits,
    say_models,
    say_moment,
)

if TYPE_CHECKING:
    from towplane.tenants.keys import TenantRecord

__all__ = ["app"]

app = typer.Typer(
    name="tenants", no_args_is_help=True, help="The tenants of the plane: keys, limits, usage."
)
app.add_typer(tenant_projects.app, name="projects")
app.add_typer(tenant_keys.app, name="keys")
app.add_typer(tenant_prices.app, name="prices")
app.command("usage")(tenant_usage.usage)
app.command("alerts")(tenant_alerts.alerts)
app.command("export")(tenant_export.export)
app.command("reconcile")(tenant_reconcile.reconcile)
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
    limit: LimitTerms = None,
    budget: BudgetTerms = None,
    model: Models = None,
    priority: PriorityWord = None,
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
            limits=read_limits(rpm, tpm, concurrency, limit),
            budget=read_budget(daily, monthly, total, budget),
            models=read_models(model),
            priority=read_priority(priority) or "standard",
            unpriced="allow" if unpriced else "refuse",
        )
    )
    output = Output(json=json)
    output.object(_row(record, 0))
    output.lines(f"created tenant {record.name}", style="green")
    output.note(f"next: towplane tenants keys create {record.name}")


@app.command("update")
def update(
    name: Annotated[str, typer.Argument(help="A tenant that was created by command.")],
    limit: LimitTerms = None,
    budget: BudgetTerms = None,
    model: Models = None,
    priority: PriorityWord = None,
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """Change what a tenant may; what is not named stays. `--model all` lifts its list."""
    import msgspec

    def change(before: "TenantRecord") -> "TenantRecord":
        return msgspec.structs.replace(
            before,
            limits=change_limits(before.limits, limit),
            budget=change_budget(before.budget, budget),
            models=read_models(model) if model else before.models,
            priority=read_priority(priority) or before.priority,
        )

    record = open_accounts(file).update_tenant(name, change)
    output = Output(json=json)
    output.object(_row(record, None))
    output.lines(f"changed tenant {record.name}", style="green")


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
        ["tenant", "from", "active keys", "projects", "limits", "budget", "models", "priority"],
        [
            [
                tenant.name,
                "document" if tenant.source == "document" else "command",
                active[tenant.name],
                len(tenant.projects),
                say_limits(tenant.limits),
                say_budget(tenant.budget),
                say_models(tenant.models),
                tenant.priority,
            ]
            for tenant in tenants
        ],
        empty="no tenants yet; create one with `towplane tenants create NAME`",
    )


def _row(tenant: "TenantRecord", active_keys: int | None) -> dict[str, object]:
    """A tenant as JSON."""
    return {
        "name": tenant.name,
        "source": tenant.source,
        "limits": tenant.limits,
        "budget": tenant.budget,
        "models": tenant.models,
        "unpriced": tenant.unpriced,
        "priority": tenant.priority,
        "projects": sorted(tenant.projects),
        "created_at": say_moment(tenant.created_at),
        "active_keys": active_keys,
    }
