"""From the document and the price book to what a worker reserves, counts and settles."""

import math
from typing import Any

import msgspec
import pytest

from towplane.document.load import parse_document
from towplane.document.plane import Plane
from towplane.gateway.messages import PricedFrom
from towplane.gateway.price_lists import (
    capacities_of,
    on_demand_prices,
    priced_targets,
    provider_entries,
    questions_of,
    to_worker,
    unpriced_targets,
)
from towplane.gateway.tariff import Dearest, cost_in_detail, find_price
from towplane.parts.usage import Detail, Usage
from towplane.providers.ask import OPERATIONS, Ask
from towplane.tenants.events import Event, Opened, Settled
from towplane.tenants.prices import Rates, Sheet, Step, make_rates
from towplane.tenants.pricing.book import PriceBook
from towplane.tenants.pricing.entries import entry_at, moment_of
from towplane.tenants.pricing.questions import Answer, BookEntry, Question
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.wire import whole

USD = 10**9
NOW = moment_of("2026-11-23") + 43_200

DOCUMENT = """\
plane: acme
providers:
  oai: {kind: openai, credentials: [{api_key: env:A}]}
  goo: {kind: vertex, project: p, credentials: [{api_key: env:B}], provisioned: [CAPACITY]}
  az: {kind: azure-openai, endpoint: "https://x.openai.azure.com", credentials: [{api_key: env:A}],
       provisioned: [CAPACITY]}
  groq: {kind: openai-compatible, endpoint: "https://api.groq.com/openai/v1"}
  own: {kind: openai-compatible, endpoint: "http://10.0.0.7:8000/v1", prices: PRICES}
engines:
  small: {engine: llama.cpp, weights: "file:/w.gguf"}
routing:
  a: {targets: [{provider: oai, model: gpt-5}], fallback: [b, {provider: own, model: m}]}
  b: {targets: [{provider: az, model: ptu}, {provider: own, model: m}]}
  c: {targets: [{engine: small}, {provider: groq}]}
  d: {targets: [{provider: goo, model: ptu}]}
"""
CAPACITY = "{models: [ptu], hourly: 10 USD, from: 2026-11-01, until: 2026-12-01, units: 5, tpm: 4k}"
PRICES = """\
{m: [{from: 2026-01-01, input: 1 USD/Mtok, output: 4 USD/Mtok, cached_input: 0.1 USD/Mtok,
  cache_write: 1.25 USD/Mtok, audio_input: 8 USD/Mtok, search: 0.01 USD, source: a contract,
  tiers: [{above: 200k, input: 2 USD/Mtok, output: 6 USD/Mtok}],
  classes: {batch: {input: 0.5 USD/Mtok, output: 2 USD/Mtok},
            priority: {input: 2 USD/Mtok, output: 8 USD/Mtok, cache_write: 3 USD/Mtok,
                       tiers: [{above: 100k, input: 3 USD/Mtok, output: 9 USD/Mtok}]}}}]}"""


def plane(*, prices: str = PRICES, capacity: str = CAPACITY) -> Plane:
    text = DOCUMENT.replace("PRICES", prices.replace("\n", "\n    "))
    return parse_document(text.replace("CAPACITY", capacity).encode()).plane


def flat(per_input: int, per_output: int) -> Sheet:
    return Sheet({"standard": (Step(-1, make_rates(per_input, per_output)),)})


def book(*known: tuple[str, str, int]) -> PriceBook:
    """A book that knows models of kinds by the price of their input."""
    answers = [
        Answer(
            Question(kind, "", model), model, [BookEntry("2026-01-01", flat(n, 4 * n), "a page")]
        )
        for kind, model, n in known
    ]
    return PriceBook(answers, package="a book", newest="2026-11-09")


# From the document.


def test_a_price_of_the_document_says_every_dimension() -> None:
    (entry,) = provider_entries(plane(), "own", "m")
    assert entry.sheet is not None
    assert (entry.origin, entry.source, entry.since) == (
        "document",
        "a contract",
        moment_of("2026-01-01"),
    )
    dollar = make_rates(
        USD,
        4 * USD,
        cached_input=USD // 10,
        cache_write=5 * USD // 4,
        audio_input=8 * USD,
    )
    assert entry.sheet == Sheet(
        {
            "standard": (Step(-1, dollar), Step(200_000, make_rates(2 * USD, 6 * USD))),
            "batch": (Step(-1, make_rates(USD // 2, 2 * USD)), Step(200_000, Rates())),
            "priority": (
                Step(-1, make_rates(2 * USD, 8 * USD, cache_write=3 * USD)),
                Step(100_000, make_rates(3 * USD, 9 * USD)),
            ),
        },
        USD // 100,
    )


def test_the_book_is_asked_about_what_it_can_know_and_the_document_does_not_say() -> None:
    assert questions_of(plane()) == [
        Question("openai", "", "gpt-5"),
        Question("azure-openai", "", "ptu"),
        Question("openai-compatible", "https://api.groq.com/openai/v1", "c"),
        Question("vertex", "", "ptu"),
    ]
    assert Question("azure-openai", "", "ptu") not in questions_of(plane(), NOW)


def test_a_target_is_priced_by_the_document_then_by_the_book() -> None:
    found = {one.target: one for one in priced_targets(plane(), book(("openai", "gpt-5", USD)))}
    assert list(found) == ["oai/gpt-5", "own/m", "az/ptu", "groq/c", "goo/ptu", "small"]
    origins = {
        name: entry.origin
        for name, one in found.items()
        if (entry := entry_at(one.entries, NOW)) is not None
    }
    assert origins == {"oai/gpt-5": "book", "own/m": "document", "az/ptu": "document"}
    assert found["own/m"].routes == ("a", "b")


def test_what_nobody_prices_is_unpriced() -> None:
    lacking = unpriced_targets(plane(), book(("vertex", "ptu", USD)), NOW)
    assert [(one.target, one.routes) for one in lacking] == [
        ("oai/gpt-5", ("a",)),
        ("groq/c", ("c",)),
        ("small", ("c",)),
    ]


# Capacity paid for by the hour.


@pytest.mark.parametrize(
    ("day", "is_provisioned"),
    [("2026-10-31", False), ("2026-11-01", True), ("2026-11-30", True), ("2026-12-01", False)],
)
def test_a_provisioned_deployment_costs_nothing_by_the_token_while_it_is_paid_for(
    day: str, is_provisioned: bool
) -> None:
    entries = provider_entries(plane(), "az", "ptu", book(("azure-openai", "ptu", USD)))
    entry = entry_at(entries, moment_of(day))
    assert entry is not None
    assert entry.sheet is not None
    assert entry.sheet.is_provisioned is is_provisioned
    assert sorted(one.since for one in entries) == [one.since for one in entries]


def test_after_its_end_a_capacity_without_another_price_is_unknown() -> None:
    entries = provider_entries(plane(), "az", "ptu")
    after = entry_at(entries, moment_of("2026-12-02"))
    assert after is not None
    assert (after.sheet, after.note) == (None, "the provisioned capacity has ended")
    assert entry_at(entries, moment_of("2026-10-01")) is None


def test_where_answers_tell_what_was_provisioned_the_rest_has_its_price() -> None:
    (entry,) = provider_entries(plane(), "goo", "ptu", book(("vertex", "ptu", USD)))
    assert entry.sheet == flat(USD, 4 * USD)


def test_capacities_are_told_with_what_tells_their_use() -> None:
    found = [(name, capacity, marked) for name, capacity, marked in capacities_of(plane())]
    assert [(name, capacity.name, marked) for name, capacity, marked in found] == [
        ("goo", "goo", True),
        ("az", "az", False),
    ]
    capacity = found[1][1]
    assert (capacity.models, capacity.hourly_nanousd, capacity.tpm) == (("ptu",), 10 * USD, 4000)
    assert (capacity.since, capacity.until, capacity.units) == ("2026-11-01", "2026-12-01", 5)
    day, known = "2026-11-02", book(("azure-openai", "ptu", USD))
    assert on_demand_prices(plane(), "az", ["ptu"], known, day) == {"ptu": (USD, 4 * USD)}
    assert on_demand_prices(plane(), "az", ["ptu"], book(), day) == {}


# At the worker.


def worker_prices(name: str = "own", model: str = "m", **more: Any) -> tuple[PricedFrom, ...]:
    return to_worker(provider_entries(plane(**more), name, model))


def test_three_numbers_travel_alone_where_they_say_all() -> None:
    prices = "{m: [{from: 2026-01-01, input: 1 USD/Mtok, output: 4 USD/Mtok}]}"
    (plain,) = worker_prices(prices=prices)
    assert plain == PricedFrom(moment_of("2026-01-01"), (USD, USD, 4 * USD))
    (whole,) = worker_prices()
    assert whole.price == (USD, USD // 10, 4 * USD)
    assert whole.sheet is not None
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(whole), type=PricedFrom)
    assert sent == whole


def test_a_price_holds_until_the_next() -> None:
    prices = (
        PricedFrom(100.0, (1, 1, 1)),
        PricedFrom(200.0, None),
        PricedFrom(300.0, (0, 0, 0), Sheet({}, None, is_provisioned=True)),
    )
    found = [find_price(prices, at) for at in (99.0, 100.0, 199.9, 200.0, 300.0)]
    assert [one.price for one in found] == [None, (1, 1, 1), (1, 1, 1), None, (0, 0, 0)]
    assert [(one.since, one.until) for one in found] == [
        (-math.inf, 100.0),
        (100.0, 200.0),
        (100.0, 200.0),
        (200.0, 300.0),
        (300.0, math.inf),
    ]
    assert found[-1].plain_to == -1


def test_three_numbers_are_enough_up_to_the_first_step() -> None:
    dated = find_price(worker_prices(), NOW)
    assert dated.plain_to == 100_000
    assert dated.for_input(100_000) == (USD, USD // 10, 4 * USD)
    assert dated.for_input(200_001) == (2 * USD, 2 * USD, 6 * USD)


def test_a_cost_in_detail_is_that_of_the_sheet() -> None:
    dated = find_price(worker_prices(), NOW)
    usage = Usage(1000, 0, 0, Detail(cache_write=1000))
    assert cost_in_detail(dated, usage) == (1_250_000, usage.detail)
    long = Usage(200_001)
    assert cost_in_detail(dated, long) == (400_002_000, None)
    assert cost_in_detail(find_price((), NOW), usage) == (None, usage.detail)
    plain = find_price((PricedFrom(0.0, (USD, USD, USD)),), NOW)
    assert cost_in_detail(plain, usage) == (1_000_000, usage.detail)


def test_what_an_hourly_price_pays_for_is_marked_so() -> None:
    dated = find_price(worker_prices("az", "ptu"), NOW)
    cost, detail = cost_in_detail(dated, Usage(1000, 100))
    assert (cost, detail) == (0, Detail(service="provisioned"))
    cost, detail = cost_in_detail(dated, Usage(1000, 100, 0, Detail(reasoning=7)))
    assert (cost, detail) == (0, Detail(reasoning=7, service="provisioned"))


class Place:
    """As much of a target as the dearest price looks at."""

    def __init__(self, prices: tuple[PricedFrom, ...], **options: str) -> None:
        self.prices = prices
        self.info = self
        self.options = options

    def price_at(self, wall: float) -> Any:
        return find_price(self.prices, wall)


def ask(estimate: int, **fields: Any) -> Ask:
    found = Ask(
        OPERATIONS["chat"],
        {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()},
        "m",
    )
    found.input_estimate = estimate
    return found


def dearest(*places: Any) -> Dearest:
    return Dearest(places)


def test_a_reservation_holds_whatever_the_input_is_made_of() -> None:
    """Audio costs 8 dollars, as the dearest kind of input."""
    route = dearest(Place(worker_prices()))
    assert route.price_at(NOW, ask(1000)) == (8 * USD, 8 * USD, 4 * USD)


def test_a_reservation_counts_the_steps_that_an_input_may_reach() -> None:
    sheet = Sheet({"standard": (Step(-1, make_rates(1, 1)), Step(1000, make_rates(5, 9)))})
    route = dearest(Place((PricedFrom(0.0, (1, 1, 1), sheet),)))
    assert route.price_at(NOW, ask(500)) == (1, 1, 1)
    assert route.price_at(NOW, ask(501)) == (5, 5, 9)


@pytest.mark.parametrize("field", ["service_tier", "speed"])
def test_a_reservation_counts_other_classes_only_where_one_may_answer(field: str) -> None:
    sheet = Sheet(
        {"standard": (Step(-1, make_rates(1, 1)),), "priority": (Step(-1, make_rates(3, 7)),)}
    )
    prices = (PricedFrom(0.0, (1, 1, 1), sheet),)
    assert dearest(Place(prices)).price_at(NOW, ask(5)) == (1, 1, 1)
    assert dearest(Place(prices)).price_at(NOW, ask(5, **{field: "priority"})) == (3, 3, 7)
    always = dearest(Place(prices, service="priority"))
    assert always.price_at(NOW, ask(5)) == (3, 3, 7)


def test_a_route_is_as_dear_as_its_dearest_target_and_unknown_with_an_unknown_one() -> None:
    cheap = Place((PricedFrom(0.0, (1, 1, 100)),))
    rich = Place(worker_prices())
    unknown = Place((PricedFrom(0.0, None),))
    assert dearest(cheap, rich).price_at(NOW, ask(5)) == (8 * USD, 8 * USD, 4 * USD)
    assert dearest(cheap, unknown).price_at(NOW, ask(5)) is None
    assert dearest().price_at(NOW, ask(5)) == (0, 0, 0)


def test_a_price_that_begins_later_is_looked_for_again() -> None:
    route = dearest(Place((PricedFrom(100.0, (1, 1, 1)), PricedFrom(200.0, (2, 2, 2)))))
    found = [route.price_at(at, ask(5)) for at in (50.0, 100.0, 199.0, 200.0)]
    assert found == [None, (1, 1, 1), (1, 1, 1), (2, 2, 2)]


# On the line.

DETAILED = {
    "prompt_tokens": 1000,
    "completion_tokens": 100,
    "prompt_tokens_details": {"cached_tokens": 400, "audio_tokens": 100},
    "completion_tokens_details": {"reasoning_tokens": 60},
}


def settle(usage: dict[str, Any], **answer: Any) -> tuple[Opened, Settled]:
    """One request at a target with the sheet of `own/m`, and what the journal says of it."""
    (price,) = worker_prices()
    info = msgspec.structs.replace(target("a", keys=["one"]), prices=(price,))
    fleet = Fleet(route("m", ["a"]), targets=[info])
    client = fleet.worker.connect()
    client.ask(max_tokens=100)
    fleet.turn()
    fleet.worker.upstream().give(whole({"choices": [], "usage": usage, **answer}))
    (begin,), (end,) = fleet.worker.events(Opened), fleet.worker.events(Settled)
    fleet.close()
    assert fleet.errors == []
    sent = msgspec.json.decode(msgspec.json.encode(end), type=Event)
    assert sent == end
    return begin, end


def test_what_was_special_is_priced_and_settled_with_the_credential() -> None:
    """500 x 1 + 400 x 0.1 + 100 x 8 + 100 x 4 dollars per million."""
    begin, end = settle(DETAILED)
    assert (end.usage, end.cost_nanousd, end.credential) == ("measured", 1_740_000, "a#1")
    assert end.detail == Detail(audio_input=100, reasoning=60)
    assert begin.price == (USD, USD // 10, 4 * USD)
    assert begin.reserved_nanousd == begin.input_estimate * 8000 + 100 * 4000


def test_a_class_that_answered_has_its_own_price() -> None:
    _, end = settle({"prompt_tokens": 1000, "completion_tokens": 10}, service_tier="priority")
    assert (end.cost_nanousd, end.detail) == (2_080_000, Detail(service="priority"))


def test_a_class_without_a_price_is_settled_as_unknown() -> None:
    _, end = settle({"prompt_tokens": 1000, "completion_tokens": 10}, service_tier="flex")
    assert (end.usage, end.cost_nanousd) == ("measured", None)


def test_a_long_request_is_settled_by_its_step() -> None:
    _, end = settle({"prompt_tokens": 200_001, "completion_tokens": 10})
    assert (end.cost_nanousd, end.detail) == (400_062_000, None)


@pytest.mark.parametrize("count", [-1, 2**31, 2**70])
def test_a_detail_that_cannot_be_true_is_not_believed(count: int) -> None:
    details = {"audio_tokens": count}
    _, end = settle({**DETAILED, "prompt_tokens_details": details})
    assert end.usage != "measured"
    assert end.detail is None
