"""Costs: exact, never below 0, and unknown where nobody said a price."""

from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.parts.usage import Detail, ServiceClass, Usage
from towplane.tenants.cost import cost_nanousd
from towplane.tenants.prices import (
    Price,
    Rates,
    Sheet,
    Step,
    cost_of,
    dearest,
    is_plain,
    make_rates,
    plain_sheet,
    price_for,
    rates_for,
)

USD = 10**9
tokens = st.integers(0, 2**31)
some = st.integers(0, 100_000)
per_mtok = st.integers(0, 2**47)
SERVICES: list[ServiceClass] = ["standard", "batch", "priority", "flex", "fast"]
INPUT_PARTS = ("cached", "cache_write", "cache_write_1h", "audio_input", "image_input")
OUTPUT_PARTS = ("audio_output", "image_output")

rates = st.builds(Rates, *(st.integers(0, 10**12) for _ in range(9)))


def flat(rates: Rates, *, search: int | None = None) -> Sheet:
    return Sheet({"standard": (Step(-1, rates),)}, search)


@st.composite
def usages(draw: st.DrawFn, *, fits: bool = True) -> Usage:
    """A usage whose parts fit into their direction; or one that an upstream got wrong."""
    parts: dict[str, Any] = {name: draw(some) for name in (*INPUT_PARTS, *OUTPUT_PARTS)}
    of_input, of_output = (
        sum(parts[name] for name in names) for names in (INPUT_PARTS, OUTPUT_PARTS)
    )
    cached = parts.pop("cached")
    detail = Detail(**parts, reasoning=draw(some), searches=draw(st.integers(0, 5)))
    if fits:
        return Usage(of_input + draw(some), of_output + draw(some), cached, detail)
    return Usage(draw(some), draw(some), cached, detail)


@st.composite
def sheets(draw: st.DrawFn) -> Sheet:
    """Prices in which a longer request is never cheaper by the token."""
    classes: dict[ServiceClass, tuple[Step, ...]] = {}
    for service in [*draw(st.sets(st.sampled_from(SERVICES[1:]))), SERVICES[0]]:
        base, factor = draw(rates), draw(st.integers(1, 3))
        longer = Rates(*(rate * factor for rate in msgspec.structs.astuple(base)))
        classes[service] = (Step(-1, base), Step(draw(st.integers(0, 300_000)), longer))
    return Sheet(classes, draw(st.integers(0, 10**8)))


# Three numbers.


@given(per_mtok, per_mtok, per_mtok, tokens, tokens, tokens)
def test_a_cost_is_exact_and_rounded_once(
    per_input: int, per_cached: int, per_output: int, fresh: int, cached: int, output: int
) -> None:
    cost = cost_nanousd((per_input, per_cached, per_output), fresh + cached, cached, output)
    exact = Fraction(fresh * per_input + cached * per_cached + output * per_output, 1_000_000)
    assert Fraction(-1, 2) < cost - exact <= Fraction(1, 2)


def test_half_a_nano_dollar_is_rounded_up() -> None:
    assert cost_nanousd((500_000, 0, 0), 1, 0, 0) == 1
    assert cost_nanousd((499_999, 0, 0), 1, 0, 0) == 0


def test_more_cached_tokens_than_input_make_no_negative_cost() -> None:
    assert cost_nanousd((1_000_000, 100_000, 0), 10, 50, 0) == 1


@given(per_mtok, per_mtok, per_mtok, tokens, tokens, tokens)
def test_three_numbers_and_their_sheet_say_the_same(
    per_input: int, per_cached: int, per_output: int, input: int, cached: int, output: int
) -> None:
    price = Price(per_input, per_cached, per_output)
    sheet = plain_sheet(price)
    assert is_plain(sheet)
    assert price_for(sheet, input) == price
    assert cost_of(sheet, Usage(input, output, cached)) == cost_nanousd(
        price, input, cached, output
    )


# The whole sheet.


@given(sheets(), usages())
def test_a_cost_is_the_sum_of_its_parts_rounded_once(sheet: Sheet, usage: Usage) -> None:
    detail = usage.detail
    assert detail is not None
    rates = rates_for(sheet, "standard", usage.input)
    assert rates is not None
    of_input = [
        (usage.cached, rates.cached_input),
        *((getattr(detail, name), getattr(rates, name)) for name in INPUT_PARTS[1:]),
    ]
    of_output = [(getattr(detail, name), getattr(rates, name)) for name in OUTPUT_PARTS]
    rest_in = usage.input - sum(part for part, _ in of_input)
    rest_out = usage.output - sum(part for part, _ in of_output)
    exact = Fraction(
        sum(part * rate for part, rate in [*of_input, *of_output])
        + rest_in * (rates.input or 0)
        + rest_out * (rates.output or 0),
        1_000_000,
    ) + detail.searches * (sheet.search or 0)
    cost = cost_of(sheet, usage)
    assert cost is not None
    assert Fraction(-1, 2) < cost - exact <= Fraction(1, 2)


@given(sheets(), usages(fits=False))
def test_no_cost_is_below_zero_whatever_an_upstream_says(sheet: Sheet, usage: Usage) -> None:
    cost = cost_of(sheet, usage)
    assert cost is not None
    assert cost >= 0


@given(sheets(), usages(), st.sampled_from(["input", *INPUT_PARTS, "output", *OUTPUT_PARTS]), some)
def test_more_of_anything_never_costs_less(
    sheet: Sheet, usage: Usage, what: str, more: int
) -> None:
    detail = usage.detail
    assert detail is not None
    is_input = what == "input" or what in INPUT_PARTS
    larger = Usage(
        usage.input + (more if is_input else 0),
        usage.output + (0 if is_input else more),
        usage.cached + (more if what == "cached" else 0),
        msgspec.structs.replace(detail, **{what: getattr(detail, what) + more})
        if hasattr(detail, what)
        else detail,
    )
    before, after = cost_of(sheet, usage), cost_of(sheet, larger)
    assert before is not None
    assert after is not None
    assert after >= before


@given(rates, st.integers(0, 10**8), usages(), usages())
def test_two_answers_cost_what_they_cost_together(
    rates: Rates, search: int, one: Usage, other: Usage
) -> None:
    """To the nano-dollar that each of them may be rounded by; without steps."""
    sheet = flat(rates, search=search)
    assert one.detail is not None
    assert other.detail is not None
    both = Detail(
        **{
            name: getattr(one.detail, name) + getattr(other.detail, name)
            for name in Detail.__struct_fields__
            if name != "service"
        }
    )
    together = Usage(
        one.input + other.input, one.output + other.output, one.cached + other.cached, both
    )
    costs = cost_of(sheet, one), cost_of(sheet, other), cost_of(sheet, together)
    assert None not in costs
    assert abs((costs[0] or 0) + (costs[1] or 0) - (costs[2] or 0)) <= 1


@given(sheets(), usages(), st.sampled_from(SERVICES))
def test_the_dearest_price_is_never_below_the_cost(
    sheet: Sheet, usage: Usage, service: ServiceClass
) -> None:
    """But for calls of tools, which nobody can foresee."""
    assert usage.detail is not None
    usage = Usage(
        usage.input,
        usage.output,
        usage.cached,
        msgspec.structs.replace(usage.detail, service=service, searches=0),
    )
    cost = cost_of(sheet, usage)
    most = dearest(sheet, usage.input, any_class=service != "standard")
    assert most is not None
    assert cost is None or cost <= cost_nanousd(most, usage.input, 0, usage.output)


# What is unknown.


@pytest.mark.parametrize("name", Rates.__struct_fields__)
def test_what_was_used_and_has_no_price_makes_the_cost_unknown(name: str) -> None:
    known: dict[str, int | None] = dict.fromkeys(Rates.__struct_fields__, 1_000_000)
    sheet = flat(Rates(**{**known, name: None}))
    parts: dict[str, Any] = {} if name in ("input", "output", "cached_input") else {name: 1}
    used = Usage(2, 2, 1 if name == "cached_input" else 0, Detail(**parts))
    unused = Usage(
        0 if name == "input" else 2, 0 if name == "output" else 2, 0, Detail(reasoning=1)
    )
    assert cost_of(sheet, used) is None
    assert cost_of(sheet, unused) == unused.input + unused.output


def test_a_search_without_a_price_makes_the_cost_unknown() -> None:
    rates = make_rates(1_000_000, 1_000_000)
    used = Usage(1, 1, 0, Detail(searches=1))
    assert cost_of(flat(rates), used) is None
    assert cost_of(flat(rates, search=10), used) == 12


@pytest.mark.parametrize("service", ["batch", "priority", "flex", "fast"])
def test_a_class_that_nobody_priced_is_unknown_and_not_standard(service: ServiceClass) -> None:
    sheet = flat(make_rates(1_000_000, 1_000_000))
    assert cost_of(sheet, Usage(1, 1, 0, Detail(service=service))) is None


@pytest.mark.parametrize("name", [n for n in Detail.__struct_fields__ if n != "service"])
def test_a_malformed_count_is_unknown(name: str) -> None:
    sheet = flat(make_rates(1_000_000, 1_000_000), search=1)
    is_part = name not in ("reasoning", "tool_input")  # whose price is their direction's
    counts: dict[str, Any] = {name: -1}
    cost = cost_of(sheet, Usage(1, 1, 0, Detail(**counts)))
    assert cost == (None if is_part else 2)


@pytest.mark.parametrize("usage", [Usage(-1), Usage(1, -1), Usage(1, 1, -1)])
def test_a_count_below_zero_is_unknown(usage: Usage) -> None:
    assert cost_of(flat(make_rates(1_000_000, 1_000_000)), usage) is None


# Steps, and capacity paid for by the hour.


@pytest.mark.parametrize(("input", "want"), [(200_000, 200_000), (200_001, 400_002)])
def test_a_step_changes_the_price_of_the_whole_request(input: int, want: int) -> None:
    steps = Step(-1, make_rates(1_000_000, 0)), Step(200_000, make_rates(2_000_000, 0))
    sheet = Sheet({"standard": steps})
    assert cost_of(sheet, Usage(input)) == want
    assert not is_plain(sheet)
    found = price_for(sheet, input)
    assert found is not None
    assert cost_nanousd(found, input, 0, 0) == want


def test_provisioned_capacity_has_no_marginal_cost_but_its_tools_do() -> None:
    provisioned = Sheet({}, 7, is_provisioned=True)
    assert cost_of(provisioned, Usage(10**6, 10**6)) == 0
    assert cost_of(provisioned, Usage(1, 1, 0, Detail(searches=2))) == 14
    told = Usage(10**6, 10**6, 0, Detail(service="provisioned"))
    assert cost_of(flat(make_rates(USD, USD)), told) == 0
    assert price_for(provisioned, 5) == dearest(provisioned, 5, any_class=True) == (0, 0, 0)


def test_a_price_that_is_not_known_whole_is_no_price() -> None:
    assert price_for(flat(Rates(input=1)), 5) is None
    assert price_for(Sheet({}), 5) is None
    assert dearest(Sheet({}), 5, any_class=True) is None
