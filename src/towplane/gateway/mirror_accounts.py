"""The plane's own account, which mirrored requests belong to, and a key of it for each mirror.

They are tenants and keys as any others, so that what keeps a tenant's budget keeps a mirror's, over
all workers and after any crash. No document, command or client can name them.
"""

from collections.abc import Iterable

from towplane.routing.spec import Mirror as MirrorSpec
from towplane.tenants.keys import PLANE_ACCOUNT, KeyRecord, TenantRecord
from towplane.tenants.spec import Budget

__all__ = ["mirror_accounts", "mirror_key"]


def mirror_key(model: str) -> str:
    """The public id of the key that the shadows of a route belong to; it has no secret."""
    return f"_mirror:{model}"


def mirror_accounts(
    mirrors: Iterable[tuple[str, MirrorSpec]],
) -> tuple[tuple[TenantRecord, ...], tuple[KeyRecord, ...]]:
    """The account of all mirrors and their keys, by the models of their routes."""
    keys = tuple(
        KeyRecord(
            id=mirror_key(model),
            tenant=PLANE_ACCOUNT,
            digest=b"",  # of nothing: no token opens it
            name=f"mirror of {model}",
            budget=Budget(
                daily_nanousd=spec.budget.daily_nanousd,
                monthly_nanousd=spec.budget.monthly_nanousd,
                total_nanousd=spec.budget.total_nanousd,
            ),
            priority="low",
        )
        for model, spec in mirrors
    )
    return ((TenantRecord(name=PLANE_ACCOUNT, priority="low"),) if keys else ()), keys
