"""What was used of targets that are paid for by the hour: by hour, or by day where that is all that
the ledger keeps.

Reads inside a transaction that somebody else owns. The law: a day is told by hours only if every
attempt of it is still there.
"""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from towplane.tenants.pricing.entries import moment_of
from towplane.tenants.pricing.provisioned import CapacityUse
from towplane.tenants.windows import DAY_S

__all__ = ["capacity_uses"]

_TARGETS = "target IN (SELECT value FROM json_each(?)) AND service = coalesce(?, service)"
_BY_DAY = (  # S608: the text is above
    "SELECT day, tenant, model, target, sum(measured + estimated), sum(input), sum(cached_input), "  # noqa: S608
    f"sum(output) FROM usage_by_day WHERE day BETWEEN ? AND ? AND {_TARGETS} GROUP BY 1, 2, 3, 4"
)
_BY_HOUR = (
    "SELECT date(at_us / 1000000, 'unixepoch'), at_us / 3600000000 % 24, tenant, model, target, "  # noqa: S608
    "count(*), sum(input), sum(cached_input), sum(output) FROM attempts "
    f"WHERE at_us >= ? AND at_us < ? AND usage <> 'absent' AND {_TARGETS} GROUP BY 1, 2, 3, 4, 5"
)


def capacity_uses(
    connection: sa.Connection,
    targets: Sequence[str],
    *,
    since: str,
    until: str,
    only_marked: bool,
) -> list[CapacityUse]:
    """Uses of these targets (`PROVIDER/MODEL`) in days, both included; `only_marked`: only what the
    answers themselves said was served by provisioned capacity."""
    of = (msgspec.json.encode(targets).decode(), "provisioned" if only_marked else None)
    days = connection.exec_driver_sql(_BY_DAY, (since, until, *of)).all()
    begin, end = moment_of(since), moment_of(until) + DAY_S
    hours = connection.exec_driver_sql(
        _BY_HOUR, (round(begin * 1_000_000), round(end * 1_000_000), *of)
    ).all()
    counted: dict[str, int] = {}
    for day, _, _, _, attempts, *_ in days:
        counted[day] = counted.get(day, 0) + attempts
    for day, _, _, _, _, attempts, *_ in hours:
        counted[day] = counted.get(day, 0) - attempts
    return [
        _use(day, hour, tenant, model, target, tokens)
        for day, hour, tenant, model, target, _, *tokens in hours
        if not counted[day]
    ] + [
        _use(day, None, tenant, model, target, tokens)
        for day, tenant, model, target, _, *tokens in days
        if counted[day]
    ]


def _use(
    day: str,
    hour: int | None,
    tenant: str,
    model: str,
    target: str,
    tokens: Sequence[int | None],
) -> CapacityUse:
    read, cached, written = (count or 0 for count in tokens)
    return CapacityUse(day, hour, tenant, model, target.partition("/")[2], read, cached, written)
