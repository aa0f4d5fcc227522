"""What tokens cost: the price sheet of one model on one day, and the cost of one attempt by it.

Pure. Knows no model, no document and no price book. A sheet has rates by service class and, where
the price of a whole request changes with the length of its input, by length. Most attempts need
three numbers of it (`Price`), and `tenants.cost` is all they pay for.

The laws: a cost is exact integer arithmetic in whole nano-dollars, rounded once, and never below
0; what was used and has no price makes the cost None and never 0; capacity that is paid for by the
hour has a marginal cost of 0, and only that.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from towplane.parts.usage import Detail, ServiceClass, Usage

__all__ = [
    "MOST_PER_MTOK",
    "Price",
    "Rates",
    "Sheet",
    "Step",
    "cost_of",
    "dearest",
    "is_plain",
    "make_rates",
    "plain_sheet",
    "price_for",
    "rates_for",
]

MOST_PER_MTOK = 2**47
"""140,000 dollars; times the most tokens of an attempt it is still a number of SQLite."""

_MTOK = 1_000_000
_NOTHING_SPECIAL = Detail()


class Price(NamedTuple):
    """Nano-dollars per million tokens; the order is that of `Opened.price`."""

    input: int
    cached_input: int
    output: int


class Rates(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Nano-dollars per million tokens; None: unknown."""

    input: int | None = None
    output: int | None = None
    cached_input: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    audio_input: int | None = None
    image_input: int | None = None
    audio_output: int | None = None
    image_output: int | None = None


class Step(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The rates of requests with more than `above` tokens of input; -1: of all."""

    above: int
    rates: Rates


class Sheet(msgspec.Struct, array_like=True, frozen=True):
    """All prices of one model that hold at the same time."""

    classes: dict[ServiceClass, tuple[Step, ...]]
    """By service class, the steps ascending; a class that is not here has unknown prices."""
    search: int | None = None
    """Nano-dollars for one call of a tool of the provider's own; None: unknown."""
    is_provisioned: bool = False
    """All of it is served by capacity that is paid for by the hour."""


def make_rates(
    input: int | None,
    output: int | None,
    *,
    cached_input: int | None = None,
    cache_write: int | None = None,
    cache_write_1h: int | None = None,
    audio_input: int | None = None,
    image_input: int | None = None,
    audio_output: int | None = None,
    image_output: int | None = None,
) -> Rates:
    """Rates as the document means them: what is not said costs what its direction costs."""
    write = input if cache_write is None else cache_write
    return Rates(
        input,
        output,
        input if cached_input is None else cached_input,
        write,
        write if cache_write_1h is None else cache_write_1h,
        input if audio_input is None else audio_input,
        input if image_input is None else image_input,
        output if audio_output is None else audio_output,
        output if image_output is None else image_output,
    )


def plain_sheet(price: Price | tuple[int, int, int]) -> Sheet:
    """The sheet of which only three numbers are known."""
    per_input, per_cached, per_output = price
    rates = make_rates(per_input, per_output, cached_input=per_cached)
    return Sheet({"standard": (Step(-1, rates),)})


def is_plain(sheet: Sheet) -> bool:
    """Whether three numbers say what an attempt without detail costs, however long it is."""
    steps = sheet.classes.get("standard", ())
    if sheet.is_provisioned or len(steps) != 1:
        return False
    rates = steps[0].rates
    return None not in (rates.input, rates.cached_input, rates.output)


def rates_for(sheet: Sheet, service: ServiceClass, input_tokens: int) -> Rates | None:
    """The rates of a request of this length in this class; None: unknown."""
    found = None
    for step in sheet.classes.get(service, ()):
        if input_tokens > step.above:
            found = step.rates
    return found


def price_for(sheet: Sheet, input_tokens: int) -> Price | None:
    """The three numbers for a standard request of this length; None: one is unknown."""
    if sheet.is_provisioned:
        return Price(0, 0, 0)
    rates = rates_for(sheet, "standard", input_tokens)
    if rates is None or rates.input is None or rates.cached_input is None or rates.output is None:
        return None
    return Price(rates.input, rates.cached_input, rates.output)


def dearest(sheet: Sheet, input_tokens: int, *, any_class: bool) -> Price | None:
    """The most that a request may cost: over kinds of input and output, steps that an input of so
    many tokens can reach and, if `any_class`, over all classes. None: nothing is known."""
    if sheet.is_provisioned:
        return Price(0, 0, 0)
    reached = [
        step.rates
        for name, steps in sheet.classes.items()
        if any_class or name == "standard"
        for step in steps
        if input_tokens > step.above
    ]
    inputs = [rate for rates in reached for rate in _input_rates(rates) if rate is not None]
    outputs = [rate for rates in reached for rate in _output_rates(rates) if rate is not None]
    if not inputs:
        return None
    return Price(max(inputs), max(inputs), max(outputs, default=0))


def cost_of(sheet: Sheet, usage: Usage) -> int | None:
    """Cost of one attempt in all its dimensions; None: something that was used has no price."""
    detail = usage.detail or _NOTHING_SPECIAL
    exact = 0
    if detail.searches:
        if sheet.search is None or detail.searches < 0:
            return None
        exact = detail.searches * sheet.search * _MTOK
    if not sheet.is_provisioned and detail.service != "provisioned":
        rates = rates_for(sheet, detail.service, usage.input)
        if rates is None:
            return None
        for tokens, rate in _parts(usage, detail, rates):
            if tokens < 0 or (tokens and rate is None):
                return None
            exact += tokens * (rate or 0)
    return (exact + _MTOK // 2) // _MTOK


def _parts(usage: Usage, detail: Detail, rates: Rates) -> Iterator[tuple[int, int | None]]:
    """Tokens that do not overlap, each with its rate.

    Parts lie inside their direction. Where a provider says more parts than there are tokens, what
    is counted first keeps its tokens: read from a cache, written to one, audio, images.
    """
    rest = usage.input
    for tokens, rate in (
        (usage.cached, rates.cached_input),
        (detail.cache_write_1h, rates.cache_write_1h),
        (detail.cache_write, rates.cache_write),
        (detail.audio_input, rates.audio_input),
        (detail.image_input, rates.image_input),
    ):
        part = min(tokens, rest)
        rest -= part
        yield part, rate
    yield rest, rates.input
    rest = usage.output
    for tokens, rate in (
        (detail.audio_output, rates.audio_output),
        (detail.image_output, rates.image_output),
    ):
        part = min(tokens, rest)
        rest -= part
        yield part, rate
    yield rest, rates.output


def _input_rates(rates: Rates) -> tuple[int | None, ...]:
    return (
        rates.input,
        rates.cached_input,
        rates.cache_write,
        rates.cache_write_1h,
        rates.audio_input,
        rates.image_input,
    )


def _output_rates(rates: Rates) -> tuple[int | None, ...]:
    return rates.output, rates.audio_output, rates.image_output
