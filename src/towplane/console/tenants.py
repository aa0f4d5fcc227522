"""The page Tenants: who may spend what, and how near are they to it? And one tenant, whole.

The sheets are pure: read model in, texts out. Laws: a quota's state is a word beside its bar; spend
without a known price is said, and is never 0.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from towplane.api.tenant_views import (
    AuditRow,
    ProjectRow,
    QuotaRow,
    TenancyView,
    TenantDetail,
    TenantRow,
    UsageQuery,
)
from towplane.console import words
from towplane.console.account_words import (
    QuotaLine,
    quota_line,
    say_budget,
    say_limits,
    say_models,
)
from towplane.console.charts import Columns, columns
from towplane.console.frame import Frame
from towplane.console.keys import KeyLine, key_line
from towplane.console.look import View, read_view
from towplane.console.usage import cost_words
from towplane.tenants.alerts.message import Alert
from towplane.tenants.ledger import UsageRow
from towplane.tenants.measures import MEASURES, MONEY

__all__ = ["TenantSheet", "TenantsSheet", "tenant_pages", "tenant_sheet", "tenants_sheet"]

DAYS = 30
MOST_MODELS = 5
"""Models with a colour of their own; the others are one."""


class TenantLine(NamedTuple):
    """One tenant in the list."""

    name: str
    url: str
    state: str
    spend: str
    unpriced: str
    month: QuotaLine | None
    """Its budget of the month; None: it has none."""
    nearest: QuotaLine | None
    """The other quota that is nearest to its limit."""
    keys: str
    projects: str
    models: str
    priority: str
    source: str


class TenantsSheet(NamedTuple):
    """The list."""

    look: View
    month: str
    rows: list[TenantLine]


class ProjectLine(NamedTuple):
    """One project."""

    name: str
    limits: str
    budget: str
    models: str
    priority: str
    source: str
    url: str
    """Of its usage."""


class AlertLine(NamedTuple):
    """One limit that came near."""

    at: str
    whose: str
    what: str
    window: str
    share: str
    used: str
    told: str
    shade: str


class ChangeLine(NamedTuple):
    """One entry of the audit."""

    at: str
    actor: str
    action: str
    subject: str
    what: str


class TenantSheet(NamedTuple):
    """One tenant."""

    at: datetime
    tenant: TenantRow
    limits: str
    budget: str
    models: str
    spend: str
    unpriced: str
    requests: str
    not_measured: str
    quotas: list[QuotaLine]
    projects: list[ProjectLine]
    keys: list[KeyLine]
    alerts: list[AlertLine]
    changes: list[ChangeLine]
    chart: Columns | None
    chart_says: str
    chart_models: list[str]
    usage_url: str


def tenants_sheet(
    look: View,
    tenants: Sequence[TenantRow],
    quotas: Sequence[QuotaRow],
    spend: Sequence[UsageRow],
    at: datetime,
) -> TenantsSheet:
    """The list at a moment."""
    spent = {row.name: row for row in spend}
    rows = []
    for tenant in tenants:
        if not look.shows(tenant.name, *tenant.projects):
            continue
        own = [row for row in quotas if row.name == tenant.name and row.kind == "tenant"]
        rows.append(_line(tenant, own, spent.get(tenant.name)))
    return TenantsSheet(look, at.strftime("%B %Y"), rows)


def tenant_sheet(
    detail: TenantDetail,
    month: UsageRow | None,
    by_model: Mapping[str, Sequence[UsageRow]],
    at: datetime,
) -> TenantSheet:
    """One tenant at a moment; `by_model` has its rows by day for each model of the chart."""
    tenant = detail.tenant
    chart, says, models = _chart(by_model, at.date())
    asked = {"by": "model", "tenant": tenant.name}
    return TenantSheet(
        at=at,
        tenant=tenant,
        limits=say_limits(tenant.limits),
        budget=say_budget(tenant.budget),
        models=say_models(tenant.models, "all of the document"),
        spend=words.money(0) if month is None else cost_words(month),
        unpriced="" if month is None or not month.unpriced else words.count(month.unpriced),
        requests=words.count(0 if month is None else month.requests),
        not_measured=_not_measured(month),
        quotas=[quota_line(row) for row in detail.quotas],
        projects=[_project(row) for row in detail.projects],
        keys=[key_line(row, at) for row in detail.keys],
        alerts=[_alert(one) for one in detail.alerts],
        changes=[_change(row) for row in detail.changes],
        chart=chart,
        chart_says=says,
        chart_models=models,
        usage_url=f"/usage?{urlencode(asked)}",
    )


def tenant_pages(frame: Frame) -> Sequence[BaseRoute]:
    """The list at `/tenants`, one tenant at `/tenants/NAME`."""
    tenancy = frame.desk.view.tenancy

    async def all_of_them(request: Request) -> Response:
        look, at = read_view(View, request.query_params), frame.at()
        month = UsageQuery(by="tenant", since=at.date().replace(day=1))
        sheet = tenants_sheet(
            look, await tenancy.tenants(), await tenancy.quotas(), await tenancy.usage(month), at
        )
        return frame.page("tenants.html", sheet=sheet, look=look)

    async def one(request: Request) -> Response:
        name, at = request.path_params["tenant"], frame.at()
        detail = await tenancy.tenant(name)
        since = at.date().replace(day=1)
        month = await tenancy.usage(UsageQuery(by="tenant", tenant=name, since=since))
        own = next((row for row in month if row.name == name), None)
        models = await _days_by_model(tenancy, name, at.date())
        return frame.page("tenant.html", sheet=tenant_sheet(detail, own, models, at))

    return [
        frame.route("/tenants", all_of_them),
        frame.route("/tenants/{tenant}", one),
    ]


async def _days_by_model(
    tenancy: TenancyView, tenant: str, today: date
) -> dict[str, list[UsageRow]]:
    """Rows by day of the models that cost most, and of all together under an empty name."""
    query = UsageQuery(by="model", tenant=tenant, since=today - timedelta(days=DAYS - 1))
    models = [row.name for row in await tenancy.usage(query)][:MOST_MODELS]
    by_day = msgspec.structs.replace(query, by="day")
    found = {
        model: await tenancy.usage(msgspec.structs.replace(by_day, model=model)) for model in models
    }
    found[""] = await tenancy.usage(by_day)
    return found


def _line(tenant: TenantRow, quotas: Sequence[QuotaRow], spent: UsageRow | None) -> TenantLine:
    lines = {row.measure: quota_line(row) for row in quotas}
    month = lines.pop("monthly", None)
    states = {line.state for line in (*lines.values(), *([month] if month else ()))}
    worst = "over" if "over" in states else "near" if "near" in states else "well"
    if worst == "well" and tenant.active_keys == 0:
        worst = "no key"
    return TenantLine(
        name=tenant.name,
        url=f"/tenants/{quote(tenant.name, safe='')}",
        state={"over": "over a limit", "near": "near a limit"}.get(worst, worst),
        spend=words.money(0) if spent is None else cost_words(spent),
        unpriced="" if spent is None or not spent.unpriced else words.count(spent.unpriced),
        month=month,
        nearest=max(lines.values(), key=lambda line: float(line.fill), default=None),
        keys=words.count(tenant.active_keys),
        projects=", ".join(tenant.projects) or "none",
        models=say_models(tenant.models, "all"),
        priority=tenant.priority,
        source="the document" if tenant.source == "document" else "command or API",
    )


def _not_measured(row: UsageRow | None) -> str:
    if row is None or not row.estimated + row.absent:
        return "all measured"
    return f"{row.estimated:,} attempts estimated, {row.absent:,} absent"


def _project(row: ProjectRow) -> ProjectLine:
    asked = {"by": "day", "tenant": row.tenant, "project": row.name}
    return ProjectLine(
        name=row.name,
        limits=say_limits(row.limits),
        budget=say_budget(row.budget),
        models=say_models(row.models, "all of its tenant"),
        priority=row.priority or "as its tenant",
        source="the document" if row.source == "document" else "command or API",
        url=f"/usage?{urlencode(asked)}",
    )


def _alert(one: Alert) -> AlertLine:
    say = words.money if MEASURES[one.measure].unit == MONEY else words.count
    told = {
        "listed": "listed only: there is no webhook",
        "waiting": f"waiting, tried {one.tries} times",
        "sent": "told",
        "failed": f"given up after {one.tries} tries",
    }[one.state]
    return AlertLine(
        at=words.clock(one.at),
        whose=f"{one.kind} {one.name}",
        what=MEASURES[one.measure].words,
        window="for good" if one.window == "total" else one.window,
        share=f"{100 * one.share:g} %",
        used=f"{say(one.used)} of {say(one.limit)}",
        told=f"{told}: {one.trouble}" if one.trouble else told,
        shade={"failed": "down", "sent": "ready"}.get(one.state, "odd"),
    )


def _change(row: AuditRow) -> ChangeLine:
    before, after = row.before or {}, row.after or {}
    changed = [name for name in after if before.get(name) != after[name]] if before else []
    return ChangeLine(
        at=words.clock(row.at),
        actor=row.actor,
        action=row.action.replace("-", " "),
        subject=row.subject,
        what=", ".join(f"{name}: {_show(before.get(name))} → {_show(after[name])}"
                       for name in changed),
    )  # fmt: skip


def _show(value: object) -> str:
    if value is None or value == "" or value == []:
        return "none"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _chart(
    by_model: Mapping[str, Sequence[UsageRow]], today: date
) -> tuple[Columns | None, str, list[str]]:
    """Known cost by day, stacked by model; where no cost is known at all, attempts."""
    whole = {row.name: row for row in by_model.get("", ())}
    days = [(today - timedelta(days=age)).isoformat() for age in range(DAYS - 1, -1, -1)]
    models = [name for name in by_model if name]
    is_money = any(row.cost_nanousd is not None for row in whole.values())
    series = []
    for model in models:
        rows = {row.name: row for row in by_model[model]}
        series.append([_amount(rows.get(day), is_money) for day in days])
    named = [sum(values[slot] or 0 for values in series) for slot in range(DAYS)]
    rest = [
        max(0, (_amount(whole.get(day), is_money) or 0) - named[slot])
        for slot, day in enumerate(days)
    ]
    if any(rest):
        models, series = [*models, "other models"], [*series, [*rest]]
    chart = columns(series)
    if chart is None:
        return None, "", []
    most = words.money(round(chart.most)) if is_money else words.count(chart.most)
    what = "Known cost" if is_money else "Attempts, for no cost is known,"
    return chart, f"{what} by day and model, UTC; the highest column is {most}", models


def _amount(row: UsageRow | None, is_money: bool) -> int | None:
    if row is None:
        return None
    return row.cost_nanousd if is_money else row.attempts
