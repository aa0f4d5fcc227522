"""The noun `tenants projects`: parts of a tenant with limits, a budget and models of their own."""

from typing import TYPE_CHECKING, Annotated

import typer

from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.cli.output import Output
from towplane.cli.tenant_options import (
    BudgetTerms,
    LimitTerms,
    Models,
    PriorityWord,
    change_budget,
    change_limits,
    open_accounts,
    read_models,
    read_priority,
    say_budget,
    say_limits,
    say_models,
    say_moment,
)

if TYPE_CHECKING:
    from towplane.tenants.keys import ProjectRecord

__all__ = ["app"]

app = typer.Typer(name="projects", no_args_is_help=True, help="The projects of tenants.")

Tenant = Annotated[str, typer.Argument(help="Whose project it is.")]
Name = Annotated[str, typer.Argument(help="Its name: letters, digits, `.`, `_`, `-`.")]


@app.command("create")
def create(
    tenant: Tenant,
    name: Name,
    limit: LimitTerms = None,
    budget: BudgetTerms = None,
    model: Models = None,
    priority: PriorityWord = None,
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """Create a project that the document does not declare."""
    from towplane.tenants.keys import ProjectRecord
    from towplane.tenants.spec import Budget, Limits

    record = open_accounts(file).create_project(
        ProjectRecord(
            tenant=tenant,
            name=name,
            limits=change_limits(Limits(), limit),
            budget=change_budget(Budget(), budget),
            models=read_models(model),
            priority=read_priority(priority),
        )
    )
    output = Output(json=json)
    output.object(_row(record))
    output.lines(f"created project {name} of {tenant}", style="green")
    output.note(f"next: towplane tenants keys create {tenant} --project {name}")


@app.command("update")
def update(
    tenant: Tenant,
    name: Name,
    limit: LimitTerms = None,
    budget: BudgetTerms = None,
    model: Models = None,
    priority: PriorityWord = None,
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """Change what a project may; what is not named stays. `--model all` lifts its list."""
    import msgspec

    def change(before: "ProjectRecord") -> "ProjectRecord":
        return msgspec.structs.replace(
            before,
            limits=change_limits(before.limits, limit),
            budget=change_budget(before.budget, budget),
            models=read_models(model) if model else before.models,
            priority=read_priority(priority) or before.priority,
        )

    record = open_accounts(file).update_project(tenant, name, change)
    output = Output(json=json)
    output.object(_row(record))
    output.lines(f"changed project {name} of {tenant}", style="green")


@app.command("list")
def list_projects(
    tenant: Annotated[str | None, typer.Argument(help="Of this tenant only.")] = None,
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """List projects, declared or created."""
    projects = open_accounts(file).projects(tenant)
    output = Output(json=json)
    output.object({"projects": [_row(project) for project in projects]})
    output.table(
        ["tenant", "project", "from", "limits", "budget", "models", "priority"],
        [
            [
                project.tenant,
                project.name,
                "document" if project.source == "document" else "command",
                say_limits(project.limits),
                say_budget(project.budget),
                say_models(project.models),
                project.priority,
            ]
            for project in projects
        ],
        empty="no projects yet; create one with `towplane tenants projects create TENANT NAME`",
    )


def _row(project: "ProjectRecord") -> dict[str, object]:
    """A project as JSON."""
    return {
        "tenant": project.tenant,
        "name": project.name,
        "source": project.source,
        "limits": project.limits,
        "budget": project.budget,
        "models": project.models,
        "priority": project.priority,
        "created_at": say_moment(project.created_at),
    }
