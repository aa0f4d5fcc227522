"""The noun `tenants prices`: what tokens cost, who says so, and what nobody says.

Asks the document and the price book, not the running plane. Exit 1 of `check`: a route uses a
target whose price is unknown.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towplane.document.plane import Plane
    from towplane.gateway.price_lists import Priced
    from towplane.tenants.prices import Rates
    from towplane.tenants.pricing.book import PriceBook
    from towplane.tenants.pricing.entries import PriceEntry

__all__ = ["app", "open_price_book"]

app = typer.Typer(
    name="prices", no_args_is_help=True, help="What tokens cost, and where that is known from."
)

_EXTRAS = ("audio_input", "image_input", "audio_output", "image_output")


def open_price_book(plane: "Plane") -> "PriceBook":
    """The price book with answers about every model that routes use."""
    from towplane.gateway.price_lists import questions_of
    from towplane.tenants.pricing.book import open_book

    return open_book(Path(plane.data_dir), questions_of(plane))


@app.command("list")
def list_prices(
    model: Annotated[
        str | None, typer.Option("--model", help="Of this model (a route) only.")
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="On this day (UTC), `2026-11-23`. Default: today.")
    ] = None,
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """List the prices of every target that a route uses."""
    from towplane.document.load import load_file
    from towplane.gateway.price_lists import priced_targets
    from towplane.tenants.pricing.entries import entry_at

    plane = load_file(file).plane
    day, moment = _moment(at)
    book = open_price_book(plane)
    found = [
        (priced, entry_at(priced.entries, moment))
        for priced in priced_targets(plane, book)
        if model is None or model in priced.routes
    ]
    output = Output(json=json)
    output.object(
        {
            "at": day,
            "book": _book(book, day),
            "prices": [_object(priced, entry, book) for priced, entry in found],
        }
    )
    output.table(
        ["target", "class", "input over", "input", "cached", "write", "write 1h", "output",
         "also", "since", "from", "source"],
        [row for priced, entry in found for row in _rows(priced, entry)],
        empty="no route, so no price is needed",
    )  # fmt: skip
    if found:
        output.note("USD per million tokens; `also` per search")
    _complain(output, book, day)


@app.command("check")
def check(file: File = DEFAULT_FILE, json: Json = False) -> int:
    """Fail if a route uses a model whose price is unknown."""
    from towplane.cli.price_view import why_unknown
    from towplane.document.load import load_file
    from towplane.gateway.price_lists import unpriced_targets
    from towplane.parts.errors import EXIT_DONE, EXIT_NO

    plane = load_file(file).plane
    day, moment = _moment(None)
    book = open_price_book(plane)
    unpriced = unpriced_targets(plane, book, moment)
    output = Output(json=json)
    output.object(
        {
            "ok": not unpriced,
            "book": _book(book, day),
            "unpriced": [
                {"target": one.target, "routes": one.routes, "why": why_unknown(one, moment)}
                for one in unpriced
            ],
        }
    )
    output.table(
        ["target", "routes", "why"],
        [[one.target, ", ".join(one.routes), why_unknown(one, moment)] for one in unpriced],
        empty="every target of every route has a price",
    )
    _complain(output, book, day)
    if unpriced:
        output.note("next: write `prices` for it in the document (docs/prices.md)")
    return EXIT_NO if unpriced else EXIT_DONE


def _moment(at: str | None) -> tuple[str, float]:
    import time

    from towplane.cli.tenant_options import read_day
    from towplane.tenants.pricing.entries import moment_of
    from towplane.tenants.windows import DAY_S, day_of

    if at is None:
        now = time.time()
        return day_of(now), now
    day = str(read_day("at", at))
    return day, moment_of(day) + DAY_S - 1


def _book(book: "PriceBook", day: str) -> dict[str, object]:
    return {
        "package": book.package or None,
        "newest": book.newest,
        "age_days": book.age_days(day),
        "complaint": book.complaint(day) or None,
    }


def _complain(output: Output, book: "PriceBook", day: str) -> None:
    complaint = book.complaint(day)
    if complaint:
        output.note(f"the price book: {complaint}", style="yellow")
    elif book.package:
        output.note(f"the price book is {book.package}, its newest price of {book.newest}")


def _object(priced: "Priced", entry: "PriceEntry | None", book: "PriceBook") -> dict[str, object]:
    sheet = entry.sheet if entry is not None else None
    return {
        "target": priced.target,
        "routes": priced.routes,
        "from": entry.origin if entry is not None else None,
        "since": _day(entry),
        "source": (entry.source or None) if entry is not None else None,
        "note": (entry.note or None) if entry is not None else None,
        "book_name": book.find(priced.question).name,
        "is_provisioned": sheet.is_provisioned if sheet is not None else None,
        "search_nanousd": sheet.search if sheet is not None else None,
        "classes": {
            name: [
                {
                    "above": step.above if step.above >= 0 else None,
                    "nanousd_per_mtok": {
                        field: getattr(step.rates, field) for field in step.rates.__struct_fields__
                    },
                }
                for step in steps
            ]
            for name, steps in (sheet.classes.items() if sheet is not None else ())
        },
    }


def _rows(priced: "Priced", entry: "PriceEntry | None") -> "Iterator[list[str | int | None]]":
    since, where = _day(entry), _origin(entry)
    source = (entry.note or entry.source or None) if entry is not None else None
    if entry is None or entry.sheet is None:
        yield [priced.target, *(None,) * 8, since, "nobody", source]
        return
    if entry.sheet.is_provisioned:
        yield [priced.target, "provisioned", *(None,) * 7, since, where, source]
        return
    for name, steps in entry.sheet.classes.items():
        for step in steps:
            rates = step.rates
            yield [
                priced.target,
                name,
                step.above if step.above >= 0 else None,
                _usd(rates.input),
                _usd(rates.cached_input),
                _usd(rates.cache_write),
                _usd(rates.cache_write_1h),
                _usd(rates.output),
                _also(rates, entry.sheet.search) or None,
                since,
                where,
                source,
            ]


def _also(rates: "Rates", search: int | None) -> str:
    """Prices that are not those of their direction, and that of a search."""
    words = []
    for field in _EXTRAS:
        rate = getattr(rates, field)
        usual = rates.input if field.endswith("input") else rates.output
        if rate is not None and rate != usual:
            words.append(f"{field.replace('_', ' ')} {_usd(rate)}")
    if search is not None:
        words.append(f"search {_usd(search)}")
    return ", ".join(words)


def _usd(nanousd: int | None) -> str | None:
    from towplane.parts.money import format_nanousd

    return None if nanousd is None else format_nanousd(nanousd, sign="")


def _day(entry: "PriceEntry | None") -> str | None:
    """The day from which an entry holds; None where its source tells none."""
    from towplane.tenants.pricing.entries import FOREVER
    from towplane.tenants.windows import day_of

    return None if entry is None or entry.since == FOREVER else day_of(entry.since)


def _origin(entry: "PriceEntry | None") -> str | None:
    return None if entry is None else f"the {entry.origin}"
