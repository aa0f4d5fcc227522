"""Tenants and keys as workers decide by them: patterns written out, priorities inherited.

Pure. The laws: a pattern of a model list stands for models of the document, and never for what a
request names; a list that matches nothing allows nothing; a key may ask for what its own list, its
project's and its tenant's all hold; adding a model to the document widens patterns and nothing
else.
"""

import re
from collections.abc import Collection, Iterable, Mapping

import msgspec

from towplane.tenants.keys import KeyRecord, TenantRecord

__all__ = ["expand_models", "in_force", "is_pattern"]


def is_pattern(model: str) -> bool:
    """Whether this stands for several models."""
    return "*" in model


def expand_models(wanted: Iterable[str] | None, models: Collection[str]) -> list[str] | None:
    """The models of the document that a list allows, in the document's order; None: all."""
    if wanted is None:
        return None
    wanted = list(wanted)
    names = {name for name in wanted if not is_pattern(name)}
    forms = [_compile(name) for name in wanted if is_pattern(name)]
    return [m for m in models if m in names or any(form.fullmatch(m) for form in forms)]


def in_force(
    tenants: Iterable[TenantRecord], keys: Iterable[KeyRecord], models: Collection[str]
) -> tuple[tuple[TenantRecord, ...], tuple[KeyRecord, ...]]:
    """What workers get, with the models of the document."""
    known = {tenant.name: _tenant(tenant, models) for tenant in tenants}
    return tuple(known.values()), tuple(_key(key, known, models) for key in keys)


def _tenant(tenant: TenantRecord, models: Collection[str]) -> TenantRecord:
    if tenant.models is None:
        return tenant
    return msgspec.structs.replace(tenant, models=expand_models(tenant.models, models))


def _key(key: KeyRecord, tenants: Mapping[str, TenantRecord], models: Collection[str]) -> KeyRecord:
    tenant = tenants.get(key.tenant)
    project = tenant.projects.get(key.project) if tenant is not None else None
    allowed = expand_models(key.models, models)
    priority = key.priority
    if project is not None:
        if project.models is not None:
            among = expand_models(project.models, models if allowed is None else allowed)
            allowed = among
        priority = priority or project.priority
    if tenant is not None:
        priority = priority or tenant.priority
    if allowed == key.models and priority == key.priority:
        return key
    return msgspec.structs.replace(key, models=allowed, priority=priority)


def _compile(pattern: str) -> re.Pattern[str]:
    """Only `*` means something: every other character stands for itself."""
    return re.compile(".*".join(map(re.escape, pattern.split("*"))))
