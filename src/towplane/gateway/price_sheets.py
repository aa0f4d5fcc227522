"""Sections of the document as price entries: what `prices` and `provisioned` of a provider mean.

Pure. The law: what a section leaves out costs what its docstring says, and where that is unknown,
the sheet says so.
"""

from collections.abc import Sequence
from math import inf

from towplane.engines.spec import EnginePrice
from towplane.parts.usage import ServiceClass
from towplane.providers.spec import ClassSpec, PriceSpec, Provisioned, TierSpec
from towplane.tenants.prices import Rates, Sheet, Step, make_rates
from towplane.tenants.pricing.entries import PriceEntry, entry_at, moment_of

__all__ = ["engine_entry_of", "entry_of", "provision"]


def entry_of(spec: PriceSpec) -> PriceEntry:
    """An entry of a provider's `prices`."""
    base = make_rates(
        spec.input,
        spec.output,
        cached_input=spec.cached_input,
        cache_write=spec.cache_write,
        cache_write_1h=spec.cache_write_1h,
        audio_input=spec.audio_input,
        image_input=spec.image_input,
        audio_output=spec.audio_output,
        image_output=spec.image_output,
    )
    tiers = sorted(spec.tiers, key=lambda tier: tier.above)
    classes: dict[ServiceClass, tuple[Step, ...]] = {
        "standard": (Step(-1, base), *(Step(tier.above, _rates(tier)) for tier in tiers))
    }
    for name, other in spec.classes.items():
        steps = [Step(tier.above, _rates(tier)) for tier in other.tiers]
        if tiers and not steps:  # what a long request of this class costs, nobody has said
            steps = [Step(tiers[0].above, Rates())]
        classes[name] = (Step(-1, _rates(other)), *sorted(steps, key=lambda step: step.above))
    sheet = Sheet(classes, spec.search)
    return PriceEntry(moment_of(spec.since), sheet, "document", spec.source)


def engine_entry_of(spec: EnginePrice) -> PriceEntry:
    """An entry of an engine's `prices`."""
    rates = make_rates(spec.input, spec.output, cached_input=spec.cached_input)
    sheet = Sheet({"standard": (Step(-1, rates),)})
    return PriceEntry(moment_of(spec.since), sheet, "document", spec.source)


def provision(entries: Sequence[PriceEntry], capacity: Provisioned) -> tuple[PriceEntry, ...]:
    """The same prices, but nothing to pay by the token while the capacity is paid for."""
    since = moment_of(capacity.since)
    until = inf if capacity.until is None else moment_of(capacity.until)
    first, after = entry_at(entries, since), entry_at(entries, until)
    within = [entry for entry in entries if since < entry.since < until]
    paid = [
        PriceEntry(
            max(since, entry.since) if entry is not None else since,
            Sheet({}, _search_of(entry), is_provisioned=True),
            "document",
            capacity.source,
            "paid for by the hour",
        )
        for entry in (first, *within)
    ]
    ended = [] if until == inf else [_resumed(after, until)]
    return (
        *(entry for entry in entries if entry.since < since),
        *paid,
        *ended,
        *(entry for entry in entries if entry.since > until),
    )


def _rates(spec: TierSpec | ClassSpec) -> Rates:
    return make_rates(
        spec.input,
        spec.output,
        cached_input=spec.cached_input,
        cache_write=spec.cache_write,
        cache_write_1h=spec.cache_write_1h,
    )


def _search_of(entry: PriceEntry | None) -> int | None:
    return entry.sheet.search if entry is not None and entry.sheet is not None else None


def _resumed(entry: PriceEntry | None, at: float) -> PriceEntry:
    if entry is None:
        return PriceEntry(at, None, "document", note="the provisioned capacity has ended")
    return entry._replace(since=at)
