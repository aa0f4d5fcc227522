"""A missing price and a bad price book are seen: in the status, in the verdict, in the metrics."""

from datetime import UTC, datetime

from towplane.api.provider_views import PricesView, UnpricedView
from towplane.api.signals import signals
from towplane.cli.read_model import prices_view
from towplane.console.verdict import verdict
from towplane.document.load import parse_document
from towplane.monitoring.catalogue import CATALOGUE
from towplane.tenants.pricing.book import NO_BOOK, PriceBook
from towplane.testing.views import a_status

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
DOCUMENT = b"""\
plane: acme
providers:
  oai: {kind: openai, credentials: [{api_key: env:A}]}
  own: {kind: openai-compatible, endpoint: "http://10.0.0.7:8000/v1"}
routing:
  chat: {targets: [{provider: oai, model: gpt-5}, {provider: own, model: m}]}
"""
MISSING = UnpricedView(target="oai/gpt-5", routes=["chat"], is_managed=True)
OWN = UnpricedView(target="own/m", routes=["chat"], is_managed=False)


def concerns(prices: PricesView) -> list[str]:
    status = a_status()
    before = [concern.say for concern in verdict(status, None, AT)]
    status.prices = prices
    return [one.say for one in verdict(status, None, AT) if one.say not in before]


def samples(prices: PricesView) -> dict[tuple[str, ...], float]:
    status = a_status()
    status.prices = prices
    return {
        (sample.family, *sample.labels): sample.value
        for sample in signals(status)
        if "price" in sample.family
    }


def test_the_status_says_what_has_no_price() -> None:
    plane = parse_document(DOCUMENT).plane
    assert prices_view(plane, NO_BOOK, AT) == PricesView(unpriced=[MISSING, OWN])
    broken = PriceBook((), package="genai-prices 1", newest="2026-01-01", trouble="it is broken")
    assert prices_view(plane, broken, AT) == PricesView(
        unpriced=[MISSING, OWN],
        book="genai-prices 1",
        newest=datetime(2026, 1, 1, tzinfo=UTC).date(),
        complaint="it is broken",
    )


def test_a_managed_api_without_a_price_is_a_concern_and_an_engine_is_not() -> None:
    assert concerns(PricesView(unpriced=[MISSING, OWN])) == [
        "No price is known for oai/gpt-5: what it costs is not counted."
    ]
    assert concerns(PricesView(unpriced=[OWN])) == []


def test_a_bad_price_book_is_a_concern() -> None:
    assert concerns(PricesView(book="b 1", complaint="it is broken")) == [
        "The price book needs somebody: it is broken."
    ]


def test_the_metrics_count_what_has_no_price_by_model() -> None:
    good = samples(PricesView(book="b 1", newest=AT.date(), unpriced=[MISSING, OWN]))
    assert good["towplane_unpriced_targets", "chat"] == 2
    assert good["towplane_unpriced_targets", "smollm2-135m-instruct"] == 0
    assert good["towplane_price_book_good",] == 1
    midnight = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
    assert good["towplane_price_book_newest_timestamp_seconds",] == midnight
    assert samples(PricesView(complaint="none"))["towplane_price_book_good",] == 0
    assert ("towplane_price_book_good",) not in samples(PricesView())
    assert {family for family, *_ in good} <= set(CATALOGUE)
