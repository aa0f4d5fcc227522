"""The verdict: is it well, and if not, where?

Pure: the plane's status and its last minute in, concerns in words out, the worst first. It knows no
page. Thresholds are starting values; each says where it comes from.
"""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from towplane.api.readiness import readiness
from towplane.api.views import PlaneStatus
from towplane.console import words
from towplane.monitoring.now import Now

__all__ = ["Concern", "Level", "verdict"]

Level = Literal["well", "look", "act"]

# llm-d's alert pack: errors above 1 % warn, above 5 % are critical.
ERRORS_LOOK, ERRORS_ACT = 0.01, 0.05
# Stage 3 and 4 of the degradation spiral: retries amplify load, then the plane collapses.
AMPLIFICATION_LOOK, AMPLIFICATION_ACT = 1.2, 1.5
GOODPUT_LOOK, GOODPUT_ACT = 0.99, 0.9
# Some seconds of a busy plane; the fold runs every second.
LAG_EVENTS_LOOK = 20_000
# A share of fewer attempts than that says little.
PROVIDER_ATTEMPTS = 20
# The alert pack's critical share of errors; at a half, more requests fail there than not.
PROVIDER_LOOK, PROVIDER_ACT = 0.95, 0.5
# Five looks of the pulse missed.
AGE_LOOK_S = 10.0


class Concern(Struct, frozen=True, kw_only=True):
    """One thing that is not well, and the part of the page that shows it."""

    level: Level
    say: str
    part: str


def verdict(status: PlaneStatus, now: Now | None, at: datetime) -> list[Concern]:
    """What somebody should look at or act on at a moment; empty: all is well."""
    found = [
        *_document(status),
        *_workers(status),
        *_routes(status),
        *_targets(status),
        *_providers(status),
        *_ledger(status),
        *_prices(status),
        *([*_age(now, at), *_traffic(now)] if now is not None else ()),
    ]
    return sorted(found, key=lambda concern: concern.level != "act")


def _document(status: PlaneStatus) -> list[Concern]:
    if status.document.is_valid:
        return []
    errors = len(status.document.errors)
    plural = "" if errors == 1 else "s"
    say = (
        f"The new document was refused ({errors} error{plural}); "
        f"the one of {words.clock(status.document.loaded_at)} stays in force."
    )
    return [Concern(level="act", say=say, part="document")]


def _workers(status: PlaneStatus) -> list[Concern]:
    serving = sum(worker.state == "serving" for worker in status.workers)
    if serving == 0:
        return [Concern(level="act", say="No gateway worker is serving.", part="workers")]
    if serving < len(status.workers):
        say = f"{serving} of {len(status.workers)} gateway workers serve."
        return [Concern(level="look", say=say, part="workers")]
    return []


def _routes(status: PlaneStatus) -> list[Concern]:
    return [
        Concern(level="act", say=f"Nothing can answer for {model}: {route.reason}.", part="models")
        for model, route in readiness(status).routes.items()
        if not route.ready
    ]


def _targets(status: PlaneStatus) -> list[Concern]:
    return [
        Concern(
            level="look",
            say=f"{target.name} is {target.state}"
            + (f": {target.reason}." if target.reason else "."),
            part="targets",
        )
        for target in status.targets
        if target.state in ("open", "down")
    ]


def _providers(status: PlaneStatus) -> list[Concern]:
    """One line for each provider that refuses its credentials, fails, or of which nobody says where
    it is; its targets' breakers have lines of their own."""
    found = []
    for provider in status.providers:
        refused = [one for one in provider.credentials if one.state != "ready"]
        said = [f"{refused[0].name} is {refused[0].state}: {refused[0].reason}"] if refused else []
        is_bad = bool(refused) and len(refused) == len(provider.credentials)
        if provider.discovery is not None and provider.discovery.trouble:
            said.append(f"{provider.discovery.source}: {provider.discovery.trouble}")
        health = provider.health
        if (
            health is not None
            and health.success is not None
            and health.attempts >= PROVIDER_ATTEMPTS
            and health.success < PROVIDER_LOOK
        ):
            kinds = ", ".join(f"{count:,} {name}" for name, count in health.failures.items())
            said.append(
                f"{words.share(health.success)} of {health.attempts:,} attempts in "
                f"{words.span(health.window_s or 0.0)} went well" + (f" ({kinds})" if kinds else "")
            )
            is_bad = is_bad or health.success < PROVIDER_ACT
        if said:
            say = f"{provider.name}: {'; '.join(said)}."
            found.append(Concern(level=_level(is_bad), say=say, part="providers"))
    return found


def _ledger(status: PlaneStatus) -> list[Concern]:
    found = []
    ledger = status.ledger
    if ledger.bad_lines:
        say = f"{ledger.bad_lines} journal lines could not be read; the ledger may lack attempts."
        found.append(Concern(level="act", say=say, part="ledger"))
    if ledger.lag_events is not None and ledger.lag_events > LAG_EVENTS_LOOK:
        say = f"The ledger is {ledger.lag_events:,} events behind the journal."
        found.append(Concern(level="look", say=say, part="ledger"))
    return found


def _prices(status: PlaneStatus) -> list[Concern]:
    """Of a managed API a missing price is missing money; of an engine it is the vendor's choice."""
    prices = status.prices
    unpriced = [one.target for one in prices.unpriced if one.is_managed]
    found = []
    if unpriced:
        named = ", ".join(unpriced[:3]) + (", …" if len(unpriced) > 3 else "")
        say = f"No price is known for {named}: what it costs is not counted."
        found.append(Concern(level="look", say=say, part="targets"))
    if prices.complaint:
        say = f"The price book needs somebody: {prices.complaint}."
        found.append(Concern(level="look", say=say, part="targets"))
    return found


def _age(now: Now, at: datetime) -> list[Concern]:
    age_s = (at - now.at).total_seconds()
    if age_s <= AGE_LOOK_S:
        return []
    say = f"The figures are {words.span(age_s)} old: the plane cannot read its workers' counters."
    return [Concern(level="look", say=say, part="figures")]


def _traffic(now: Now) -> list[Concern]:
    found = []
    if now.error_share is not None and now.error_share > ERRORS_LOOK:
        say = f"{words.share(now.error_share)} of the requests could not be answered."
        found.append(Concern(level=_level(now.error_share > ERRORS_ACT), say=say, part="figures"))
    if now.amplification is not None and now.amplification > AMPLIFICATION_LOOK:
        say = f"Retries amplify the load: {now.amplification:.2f} attempts for each request."
        is_bad = now.amplification > AMPLIFICATION_ACT
        found.append(Concern(level=_level(is_bad), say=say, part="figures"))
    if now.goodput is not None and now.goodput < GOODPUT_LOOK:
        say = f"Only {words.share(now.goodput)} of the requests met their SLO."
        found.append(Concern(level=_level(now.goodput < GOODPUT_ACT), say=say, part="figures"))
    return found


def _level(is_bad: bool) -> Level:
    return "act" if is_bad else "look"
