"""Which shares of which limits have been reached: the pure half of alerts.

Knows no database and no webhook. Only what counts over a day, a month or for good is watched: a
minute is over before anybody could do something. The laws: a limit of nought is never near; what is
reached stays reached within its window, so that who looks seldom misses nothing but the order.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from towplane.tenants.keys import KeyRecord, TenantRecord
from towplane.tenants.measures import MEASURES, Limit, Measure, limits_of, mode_of, used_of
from towplane.tenants.spec import Alerts, Budget, Limits, Mode
from towplane.tenants.windows import Account, Used, windows_at

__all__ = ["LATE_S", "PPM", "Crossing", "Watched", "crossings", "watched"]

PPM = 1_000_000
"""Shares are compared and kept as whole millionths."""

LATE_S = 3600.0
"""So long after a window has ended it is still looked at: streams that began in it end later, and
the plane may not have run when it ended."""


class Watched(NamedTuple):
    """An account with limits that somebody wants to hear of."""

    account: Account
    tenant: str
    limits: Limits
    budget: Budget
    alerts: Alerts


class Crossing(NamedTuple):
    """A share of a limit that has been reached."""

    account: Account
    tenant: str
    measure: Measure
    window: str
    share_ppm: int
    amount: int
    """The limit."""
    used: int
    mode: Mode


def watched(
    tenants: Iterable[TenantRecord], keys: Iterable[KeyRecord], default: Alerts
) -> list[Watched]:
    """The accounts that have a limit over a window: tenants, projects, keys."""
    found = []
    alerts = {}
    for tenant in tenants:
        told = alerts[tenant.name] = tenant.alerts or default
        account = Account("tenant", tenant.name)
        found.append(Watched(account, tenant.name, tenant.limits, tenant.budget, told))
        for name, project in tenant.projects.items():
            account = Account("project", f"{tenant.name}/{name}")
            found.append(Watched(account, tenant.name, project.limits, project.budget, told))
    for key in keys:
        if key.tenant in alerts and key.revoked_at is None:
            account = Account("key", key.id)
            told = alerts[key.tenant]
            found.append(Watched(account, key.tenant, key.limits, key.budget, told))
    return [one for one in found if one.alerts.at and any(_windowed(one, 0.0))]


def crossings(one: Watched, used: Callable[[Account, str], Used], now: float) -> Iterator[Crossing]:
    """The shares of an account's limits that have been reached, in the windows of now and in those
    that have just ended."""
    limits = dict.fromkeys([*_windowed(one, now - LATE_S), *_windowed(one, now)])
    for measure, window, amount in limits:
        if not amount:
            continue
        count = used_of(measure, used(one.account, window))
        for share in sorted({round(share * PPM) for share in one.alerts.at}):
            if count * PPM >= share * amount and count:
                mode = mode_of(measure, one.limits, one.budget)
                yield Crossing(one.account, one.tenant, measure, window, share, amount, count, mode)


def _windowed(one: Watched, at: float) -> list[Limit]:
    found = limits_of(one.limits, one.budget, windows_at(max(0.0, at)), soft=True)
    return [limit for limit in found if MEASURES[limit.measure].window]
