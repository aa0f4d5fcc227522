"""How providers have done of late, joined to the read model: by provider, region, model, target.

Pure but for the pulse, which it asks. It knows no HTTP and judges nothing. Law: a provider that
nothing was asked of has no success, and not a success of 0 or 1.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from towplane.api.provider_views import ProviderView
from towplane.api.pulse import Pulse
from towplane.api.views import PlaneStatus, TargetView
from towplane.monitoring.health import Health

__all__ = ["HEALTH_S", "HealthBy", "HealthRow", "health_rows", "with_health"]

HEALTH_S = 300.0
"""Over which time, unless somebody asks for another one."""

HealthBy = Literal["provider", "region", "model", "target"]


class HealthRow(Struct, kw_only=True):
    """How targets of providers that have something in common have done together."""

    name: str
    targets: list[str]
    health: Health | None
    """None: nothing has been measured yet."""


def with_health(status: PlaneStatus, pulse: Pulse, window_s: float = HEALTH_S) -> PlaneStatus:
    """The same status; its providers and targets say how they have done."""
    of_targets = pulse.targets(window_s)
    of_providers = pulse.groups({one.name: one.targets for one in status.providers}, window_s)
    return msgspec.structs.replace(
        status,
        providers=[
            msgspec.structs.replace(one, health=of_providers.get(one.name))
            for one in status.providers
        ],
        targets=[
            msgspec.structs.replace(one, health=of_targets.get(one.name)) for one in status.targets
        ],
    )


def health_rows(
    status: PlaneStatus, pulse: Pulse, by: HealthBy = "provider", window_s: float = HEALTH_S
) -> list[HealthRow]:
    """One row for each provider, region, model or target that belongs to a provider, by name."""
    providers = {one.name: one for one in status.providers}
    groups: dict[str, list[str]] = {}
    for target in status.targets:
        if target.provider:
            groups.setdefault(_name_of(target, providers, by), []).append(target.name)
    found = pulse.groups(groups, window_s)
    return [
        HealthRow(name=name, targets=groups[name], health=found.get(name))
        for name in sorted(groups)
    ]


def _name_of(target: TargetView, providers: Mapping[str, ProviderView], by: HealthBy) -> str:
    if by == "region":
        owner = providers.get(target.provider)
        if owner is None:
            return "region unknown"
        return f"{owner.kind}, {owner.location or 'region unknown'}"
    if by == "model":
        return target.model
    return target.provider if by == "provider" else target.name
