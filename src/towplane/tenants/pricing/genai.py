"""The price book's source: the package `genai-prices`, and the only file that knows it.

It runs in a process of its own (`python -m towplane.tenants.pricing.genai`, questions in JSON on
its input, a `Chapter` on its output), because the package and what it needs take a second and
70 MiB (0.2.3, measured), and a plane asks it seldom. What it cannot say in a sheet, it leaves
unknown: prices that change with the time of day, prices by the hour of audio, by character, by
page or by request.

How the package means its figures (0.2.3, README and types.py): a price of the last entry whose
constraint holds; a step (`Tier.start`) changes the price of the whole request above that many
tokens of input; a variant replaces only the prices that it names; a dimension without a price of
its own costs what its direction costs. In three places this file does not follow that last rule,
because the figure would be too low: audio that a provider other than Google prices apart but the
book does not, what is made that is not text, and cache writes of an hour.
"""

import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from towplane.parts.usage import ServiceClass
from towplane.tenants.prices import MOST_PER_MTOK, Rates, Sheet, Step
from towplane.tenants.pricing.questions import Answer, BookEntry, Chapter, Question

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, Provider

__all__ = ["Unclear", "answer_all", "read_steps"]

_PROVIDERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "azure-openai": "azure",
    "bedrock": "aws",
    "vertex": "google",
}
"""By the kind of provider, the package's word; other kinds are found by their endpoint."""

_CONTEXTS: dict[ServiceClass, tuple[dict[str, str], ...]] = {
    "batch": ({"processing": "batch"},),
    "priority": ({"service_tier": "priority"},),
    "flex": ({"service_tier": "flex"},),
    "fast": ({"service_tier": "fast"}, {"speed": "fast"}),
}
"""How the package names a service class; Anthropic's fast mode is a speed, OpenAI's a tier."""

_NOT_TOKENS = frozenset(
    ("audio_hours", "input_audio_hours", "input_mchars", "input_document_kpages",
     "input_annotated_document_kpages", "requests_kcount", "input_text_messages_kcount")
)  # fmt: skip
"""Prices of things that an attempt's usage does not count."""

_NANO_PER_USD = 10**9


class Unclear(Exception):
    """A price that a sheet cannot say, or that cannot be true."""


def answer_all(questions: Iterable[Question]) -> Chapter:
    """What the package says about each question."""
    from genai_prices import __version__
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    return Chapter(
        package=f"genai-prices {__version__}",
        newest=_newest_day(snapshot),
        answers=[_answer(snapshot, question) for question in questions],
    )


def read_steps(prices: "ModelPrice", *, has_all: bool) -> tuple[Step, ...]:
    """The steps of one class; `has_all`: kinds of input without a price cost as text does.

    Raises Unclear. A price of 0 is not believed: a malformed list of prices has made everything
    free before (LiteLLM, 2026-01-27). Who pays nothing writes so in the document.
    """
    values = {name: value for name, value in vars(prices).items() if value is not None}
    strange = sorted(_NOT_TOKENS & set(values))
    if strange:
        raise Unclear(f"it is priced by {', '.join(strange)}, which usage does not count")
    if values and all(value == 0 for value in values.values()):
        raise Unclear("the book says 0, which is not believed: write it in the document if so")
    starts = {
        tier.start for value in values.values() for tier in getattr(value, "tiers", None) or ()
    }
    return tuple(
        Step(above, _rates(values, above, has_all=has_all)) for above in (-1, *sorted(starts))
    )


def _answer(snapshot: "DataSnapshot", question: Question) -> Answer:
    provider = _provider(snapshot, question)
    if provider is None:
        return Answer(question, None)
    model = provider.find_model(question.model.lower(), all_providers=snapshot.providers)
    if model is None:
        return Answer(question, None)
    # The package applies a provider's variants only to the provider's own entries.
    is_own = any(model is own for own in provider.models)
    entries = list(_entries(provider, model, is_own=is_own))
    return Answer(question, f"{provider.id}/{model.id}", entries)


def _provider(snapshot: "DataSnapshot", question: Question) -> "Provider | None":
    name = _PROVIDERS.get(question.kind)
    try:
        if name is not None:
            return snapshot.find_provider(None, name, None)
        return snapshot.find_provider(None, None, question.endpoint) if question.endpoint else None
    except LookupError:
        return None


def _entries(provider: "Provider", model: "ModelInfo", *, is_own: bool) -> Iterator[BookEntry]:
    source = (provider.pricing_urls or [""])[0]
    last: tuple[Sheet | None, str] | None = None
    for day in _days(model):
        sheet, note = None, ""
        try:
            sheet = _sheet(provider, model, day, is_own=is_own)
        except Unclear as why:
            note = str(why)
        if (sheet, note) != last:
            yield BookEntry(None if day == date.min else day.isoformat(), sheet, source, note)
        last = sheet, note


def _days(model: "ModelInfo") -> list[date]:
    """The days on which some price of the model changes, the beginning of time first."""
    constraints = [variant.constraint for variant in model.price_variants or ()]
    if isinstance(model.prices, list):
        constraints += [entry.constraint for entry in model.prices]
    found = (getattr(constraint, "start_date", None) for constraint in constraints)
    return sorted({date.min, *(day for day in found if day is not None)})


def _sheet(provider: "Provider", model: "ModelInfo", day: date, *, is_own: bool) -> Sheet:
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    entries = model.prices if isinstance(model.prices, list) else []
    constraints = [entry.constraint for entry in entries]
    constraints += [variant.constraint for variant in model.price_variants or ()]
    if any(hasattr(constraint, "start_time") for constraint in constraints):
        raise Unclear("its price changes with the time of day")
    if entries and not any(c.constraint is None or c.constraint.active(at) for c in entries):
        raise Unclear("the book has no price for these days yet")
    standard = model.get_prices(at)
    has_all = provider.id == "google"
    classes: dict[ServiceClass, tuple[Step, ...]] = {
        "standard": read_steps(standard, has_all=has_all)
    }
    for name, contexts in _CONTEXTS.items():
        for context in contexts:
            if is_own and _has_variant(model, context, at):
                classes[name] = read_steps(model.get_prices(at, context), has_all=has_all)
    return Sheet(classes, _search(standard))


def _has_variant(model: "ModelInfo", context: dict[str, str], at: datetime) -> bool:
    return any(
        variant.when == context and (variant.constraint is None or variant.constraint.active(at))
        for variant in model.price_variants or ()
    )


def _rates(values: dict[str, Any], above: int, *, has_all: bool) -> Rates:
    def rate(name: str) -> int | None:
        value = values.get(name)
        return None if value is None else _nanousd(_at_length(value, above))

    per_input, per_output = rate("input_mtok"), rate("output_mtok")
    audio, write, hour = rate("input_audio_mtok"), rate("cache_write_mtok"), None
    cached, image = rate("cache_read_mtok"), rate("input_image_mtok")
    if "cache_write_1h_mtok" in values:
        hour = rate("cache_write_1h_mtok")
    elif write is None:
        hour = per_input
    if audio is None and has_all:  # Google's table names audio only where it differs from text
        audio = per_input
    return Rates(
        per_input,
        per_output,
        per_input if cached is None else cached,
        per_input if write is None else write,
        hour,
        audio,
        per_input if image is None else image,
        rate("output_audio_mtok"),
        rate("output_image_mtok"),
    )


def _at_length(value: Any, above: int) -> Any:  # a Decimal, or TieredPrices of the package
    tiers = getattr(value, "tiers", None)
    if tiers is None:
        return value
    reached = [tier for tier in tiers if tier.start <= above]
    return max(reached, key=lambda tier: tier.start).price if reached else value.base


def _search(prices: "ModelPrice") -> int | None:
    per_thousand = vars(prices).get("web_searches_kcount")
    return None if per_thousand is None else _nanousd(per_thousand / 1000)


def _nanousd(value: Any) -> int:
    """Dollars as whole nano-dollars, or no price at all: nothing is rounded."""
    if not isinstance(value, Decimal) or not value.is_finite() or value < 0:
        raise Unclear(f"a price of it is malformed: {value!r}")
    nano = value * _NANO_PER_USD
    whole = int(nano)
    if whole != nano or whole > MOST_PER_MTOK:
        raise Unclear(f"a price of it is no whole number of nano-dollars: {value}")
    return whole


def _newest_day(snapshot: "DataSnapshot") -> str | None:
    """The last past day on which some price changed: so new is the book at least."""
    today = datetime.now(UTC).date() + timedelta(days=1)
    days = [
        day
        for provider in snapshot.providers
        for model in provider.models
        for day in _days(model)
        if date.min < day <= today
    ]
    return max(days).isoformat() if days else None


def _main() -> None:
    questions = msgspec.json.decode(sys.stdin.buffer.read(), type=list[Question])
    sys.stdout.buffer.write(msgspec.json.encode(answer_all(questions)))


if __name__ == "__main__":
    _main()
