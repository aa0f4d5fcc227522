"""The noun `tenants keys`: credentials of tenants, shown once when they are made."""

from typing import TYPE_CHECKING, Annotated

import typer

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
    read_moment,
    read_priority,
    read_unit,
    say_budget,
    say_limits,
    say_moment,
)

if TYPE_CHECKING:
    from towplane.tenants.accounts import NewKey
    from towplane.tenants.keys import KeyRecord

__all__ = ["app"]

app = typer.Typer(name="keys", no_args_is_help=True, help="The keys of tenants.")

KeyId = Annotated[str, typer.Argument(metavar="ID", help="The public id: a key's middle part.")]


@app.command("create")
def create(
    tenant: Annotated[str, typer.Argument(help="Whose key it is.")],
    name: Annotated[str, typer.Option("--name", help="What you call it.")] = "",
    label: Annotated[str, typer.Option("--label", help="A word of your own about it.")] = "",
    project: Annotated[
        str, typer.Option("--project", help="The project it belongs to, for good.")
    ] = "",
    expires: Annotated[
        str | None, typer.Option("--expires", help="Its last day (UTC), or `90d` from now.")
    ] = None,
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
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """Create a key. It is shown once."""
    import time

    from towplane.tenants.keys import KeyRecord

    now = time.time()
    wanted = KeyRecord(
        id="",
        tenant=tenant,
        digest=b"",
        name=name,
        label=label,
        project=project,
        limits=read_limits(rpm, tpm, concurrency, limit),
        budget=read_budget(daily, monthly, total, budget),
        models=read_models(model),
        priority=read_priority(priority),
        expires_at=read_moment("expires", expires, now),
    )
    made = open_accounts(file).create_key(tenant, wanted, now=now)
    _show_token(Output(json=json), made, now, "It is shown this once; only a digest of it is kept.")


@app.command("list")
def list_keys(
    tenant: Annotated[str | None, typer.Argument(help="Of this tenant only.")] = None,
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """List keys, dead ones included, oldest first."""
    import time

    now = time.time()
    keys = open_accounts(file).keys(tenant)
    output = Output(json=json)
    output.object({"keys": [_row(key, now) for key in keys]})
    output.table(
        ["id", "tenant", "state", "name", "project", "limits", "budget", "created", "expires"],
        [
            [
                key.id,
                key.tenant,
                _say_state(key, now),
                key.name or None,
                key.project or None,
                say_limits(key.limits),
                say_budget(key.budget),
                say_moment(key.created_at),
                say_moment(key.expires_at),
            ]
            for key in keys
        ],
        empty="no keys yet; create one with `towplane tenants keys create TENANT`",
    )


@app.command("update")
def update(
    key: KeyId,
    name: Annotated[str | None, typer.Option("--name", help="What you call it.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="A word of your own.")] = None,
    limit: LimitTerms = None,
    budget: BudgetTerms = None,
    model: Models = None,
    priority: PriorityWord = None,
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """Change what a key may; what is not named stays. `--model all` lifts its list."""
    import time

    import msgspec

    def change(before: "KeyRecord") -> "KeyRecord":
        return msgspec.structs.replace(
            before,
            name=before.name if name is None else name,
            label=before.label if label is None else label,
            limits=change_limits(before.limits, limit),
            budget=change_budget(before.budget, budget),
            models=read_models(model) if model else before.models,
            priority=read_priority(priority) or before.priority,
        )

    record = open_accounts(file).update_key(key, change)
    output = Output(json=json)
    output.object(_row(record, time.time()))
    output.lines(f"changed key {record.id} of {record.tenant}", style="green")


@app.command("revoke")
def revoke(key: KeyId, file: File = DEFAULT_FILE, json: Json = False) -> None:
    """Shut a key out for good, with every secret it had."""
    import time

    record = open_accounts(file).revoke_key(key)
    output = Output(json=json)
    output.object(_row(record, time.time()))
    output.lines(f"revoked key {record.id} of {record.tenant}", style="green")


@app.command("rotate")
def rotate(
    key: KeyId,
    overlap: Annotated[
        str, typer.Option("--overlap", help="How long the secret before still works.")
    ] = "24h",
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """Give a key a new secret; id, limits, budget and spend stay. It is shown once."""
    import time

    now = time.time()
    overlap_s = float(read_unit("duration", "overlap", overlap))
    made = open_accounts(file).rotate_key(key, overlap_s=overlap_s, now=now)
    until = say_moment(now + overlap_s)
    _show_token(Output(json=json), made, now, f"The secret before works until {until}.")


def _show_token(output: Output, made: "NewKey", now: float, remark: str) -> None:
    output.object({**_row(made.record, now), "token": made.token})
    output.lines(made.token, style="bold")
    output.note(f"key {made.record.id} of {made.record.tenant}. {remark}")


def _row(key: "KeyRecord", now: float) -> dict[str, object]:
    """A key as JSON: nothing of its secrets but until when the older ones work."""
    state = key.state(now)
    ends = [secret.expires_at for secret in key.retired if secret.expires_at > now]
    return {
        "id": key.id,
        "tenant": key.tenant,
        "state": state,
        "name": key.name,
        "label": key.label,
        "project": key.project,
        "limits": key.limits,
        "budget": key.budget,
        "models": key.models,
        "priority": key.priority,
        "created_at": say_moment(key.created_at),
        "expires_at": say_moment(key.expires_at),
        "revoked_at": say_moment(key.revoked_at),
        "overlap_until": say_moment(max(ends)) if ends and state == "active" else None,
    }


def _say_state(key: "KeyRecord", now: float) -> str:
    if key.state(now) == "active" and any(secret.expires_at > now for secret in key.retired):
        return "active, rotating"
    return key.state(now)
