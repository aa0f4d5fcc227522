"""The page Usage: who used what, what did it cost, and what of it is not known?

`usage_sheet` is pure: rows of the ledger in, texts out. Laws: measured, estimated, absent and
unpriced stand apart; a cost that nobody knows reads so, and a sum says what it leaves out.
"""

import csv
import io
import shlex
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import NamedTuple
from urllib.parse import quote, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from towplane.api.tenant_views import UsageQuery
from towplane.console import words
from towplane.console.charts import Columns, columns
from towplane.console.frame import Frame
from towplane.console.look import View, read_view
from towplane.parts.errors import PlaneError
from towplane.tenants.ledger import UsageBy, UsageRow

__all__ = ["GROUPS", "UsageLook", "UsageSheet", "cost_words", "usage_pages", "usage_sheet"]

GROUPS: dict[UsageBy, str] = {
    "tenant": "Tenant",
    "project": "Project",
    "key": "Key",
    "label": "Label",
    "model": "Model",
    "target": "Target",
    "service": "Service class",
    "credential": "Credential",
    "day": "Day",
}
_ONLY = ("tenant", "project", "key", "label", "model", "target", "service", "credential")
_MOST_DAYS = 400
"""Columns of a chart; of a longer time the newest are drawn."""


class UsageLook(View, frozen=True, kw_only=True):
    """The view's whole state, as the URL holds it."""

    by: UsageBy = "tenant"
    since: date | None = None
    """None: from the first of this month."""
    until: date | None = None
    """None: till today."""
    tenant: str = ""
    project: str = ""
    key: str = ""
    label: str = ""
    model: str = ""
    target: str = ""
    service: str = ""
    credential: str = ""

    def query(self, today: date) -> UsageQuery:
        """What the ledger is asked."""
        only = {name: getattr(self, name) or None for name in _ONLY}
        since = self.since or (self.until or today).replace(day=1)
        return UsageQuery(by=self.by, since=since, until=self.until, **only)


class UsageLine(NamedTuple):
    """One row, or all together."""

    name: str
    url: str
    cost: str
    unpriced: str
    requests: str
    attempts: str
    measured: str
    estimated: str
    absent: str
    input: str
    cached: str
    output: str
    special: str
    """What else is inside the tokens, where there is any."""


class UsageSheet(NamedTuple):
    """Everything on the page."""

    look: UsageLook
    since: str
    until: str
    rows: list[UsageLine]
    total: UsageLine
    chart: Columns | None
    chart_says: str
    chart_days: tuple[str, str]
    filters: list[tuple[str, str]]
    json_url: str
    csv_url: str
    export_url: str
    """Of the rows of an invoice."""
    command: str


def usage_sheet(
    look: UsageLook, rows: Sequence[UsageRow], days: Sequence[UsageRow], today: date
) -> UsageSheet:
    """The page: rows of what is asked, and the same usage by day for the chart."""
    query = look.query(today)
    shown = [row for row in rows if look.shows(row.name)]
    since = query.since or today
    until = look.until or today
    chart, says = day_chart(days, since, until)
    filters = [(name, getattr(look, name)) for name in _ONLY if getattr(look, name)]
    asked = {"by": look.by, "since": since.isoformat(), **dict(filters)}
    if look.until is not None:
        asked["until"] = look.until.isoformat()
    invoice = {"since": since.isoformat(), "until": until.isoformat()}
    if look.tenant:
        invoice["tenant"] = look.tenant
    return UsageSheet(
        look=look,
        since=since.isoformat(),
        until=until.isoformat(),
        rows=[_line(row, look.by) for row in shown],
        total=_line(_sum(shown), None),
        chart=chart,
        chart_says=says,
        chart_days=(since.isoformat(), until.isoformat()),
        filters=filters,
        json_url=f"/api/v1/usage?{urlencode(asked)}",
        csv_url=f"/usage.csv?{urlencode(asked)}",
        export_url=f"/api/v1/export?{urlencode(invoice)}",
        command=_command(look, since),
    )


def usage_pages(frame: Frame) -> Sequence[BaseRoute]:
    """The page at `/usage`, and its table at `/usage.csv`."""
    tenancy = frame.desk.view.tenancy

    async def page(request: Request) -> Response:
        look, today = read_view(UsageLook, request.query_params), frame.at().date()
        query = look.query(today)
        try:
            rows = await tenancy.usage(query)
            by_day = msgspec.structs.replace(query, by="day")
            days = rows if look.by == "day" else await tenancy.usage(by_day)
        except PlaneError as error:
            return frame.page("usage.html", status=503, sheet=None, look=look, trouble=error.say)
        sheet = usage_sheet(look, rows, days, today)
        return frame.page("usage.html", sheet=sheet, look=look, groups=GROUPS, trouble="")

    async def table(request: Request) -> Response:
        look = read_view(UsageLook, request.query_params)
        query = look.query(frame.at().date())
        text = as_csv(query, await tenancy.usage(query))
        name = f"usage-by-{query.by}-from-{query.since}.csv"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)

    return [frame.route("/usage", page), frame.route("/usage.csv", table)]


def day_chart(rows: Iterable[UsageRow], since: date, until: date) -> tuple[Columns | None, str]:
    """Known cost by day; where no cost is known at all, attempts. And the same in words."""
    by_day = {row.name: row for row in rows}
    count = min((until - since).days + 1, _MOST_DAYS)
    names = [(until - timedelta(days=age)).isoformat() for age in range(count - 1, -1, -1)]
    found = [by_day.get(name) for name in names]
    costs = [None if row is None else row.cost_nanousd for row in found]
    if any(cost is not None for cost in costs):
        chart = columns([costs])
        most = words.money(round(chart.most)) if chart else words.ABSENT
        return chart, f"Known cost by day, UTC; the highest column is {most}"
    chart = columns([[None if row is None else row.attempts for row in found]])
    most = words.count(chart.most) if chart else words.ABSENT
    return chart, f"Attempts by day, UTC, for no cost is known; the highest column is {most}"


def as_csv(query: UsageQuery, rows: Iterable[UsageRow]) -> str:
    """The table for a spreadsheet; what is unknown is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    fields = [name for name in UsageRow.__struct_fields__ if name != "name"]
    writer.writerow([query.by, *fields])
    for row in rows:
        values = [getattr(row, name) for name in fields]
        writer.writerow([_harmless(row.name), *("" if v is None else v for v in values)])
    return text.getvalue()


def cost_words(row: UsageRow) -> str:
    """The known cost, or why there is none."""
    if row.cost_nanousd is not None:
        return words.money(row.cost_nanousd)
    return "unpriced" if row.unpriced else "unknown" if row.attempts else words.money(0)


def _harmless(name: str) -> str:
    """Spreadsheets run what begins like a formula; labels come from anybody."""
    return f"'{name}" if name[:1] in ("=", "+", "-", "@", "\t", "\r") else name


def _line(row: UsageRow, by: UsageBy | None) -> UsageLine:
    special = (
        ("written to a cache", row.cache_write_tokens + row.cache_write_1h_tokens),
        ("audio in", row.audio_input_tokens),
        ("images in", row.image_input_tokens),
        ("by tools", row.tool_input_tokens),
        ("reasoning", row.reasoning_tokens),
        ("audio out", row.audio_output_tokens),
        ("images out", row.image_output_tokens),
        ("searches", row.searches),
    )
    return UsageLine(
        name=row.name or "none",
        url=f"/tenants/{quote(row.name, safe='')}" if by == "tenant" and row.name else "",
        cost=cost_words(row),
        unpriced=words.count(row.unpriced) if row.unpriced else "",
        requests=words.count(row.requests),
        attempts=words.count(row.attempts),
        measured=words.count(row.measured),
        estimated=words.count(row.estimated),
        absent=words.count(row.absent),
        input=words.count(row.input_tokens),
        cached=words.count(row.cached_input_tokens),
        output=words.count(row.output_tokens),
        special=", ".join(f"{count:,} {word}" for word, count in special if count),
    )


def _sum(rows: Sequence[UsageRow]) -> UsageRow:
    fields = [name for name in UsageRow.__struct_fields__ if name not in ("name", "cost_nanousd")]
    costs = [row.cost_nanousd for row in rows if row.cost_nanousd is not None]
    return UsageRow(
        name="all together",
        cost_nanousd=sum(costs) if costs else None,
        **{name: sum(getattr(row, name) for row in rows) for name in fields},
    )


def _command(look: UsageLook, since: date) -> str:
    command = ["towplane", "tenants", "usage", "--by", look.by, "--since", since.isoformat()]
    if look.until is not None:
        command += ["--until", look.until.isoformat()]
    for name in _ONLY:
        if getattr(look, name):
            command += [f"--{name}", getattr(look, name)]
    return shlex.join(command)
