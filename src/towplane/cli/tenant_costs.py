"""`towplane tenants reprice` and `tenants provisioned`: costs looked at again afterwards."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.cli.output import Output
from towplane.cli.tenant_options import open_ledger, read_day, user_name

if TYPE_CHECKING:
    from towplane.document.plane import Plane
    from towplane.tenants.export.rows import Sources
    from towplane.tenants.ledger import Ledger
    from towplane.tenants.ledger.reprice import PricesOf
    from towplane.tenants.pricing.book import PriceBook
    from towplane.tenants.pricing.entries import PriceEntry
    from towplane.tenants.pricing.provisioned import CapacityDay, CapacityShare

__all__ = ["price_sources", "provisioned", "reprice"]

From = Annotated[str, typer.Option("--from", help="First day (UTC), `2026-11-01` or `7d` ago.")]
To = Annotated[str, typer.Option("--to", help="Last day (UTC), included.")]


def reprice(
    since: From,
    until: To,
    model: Annotated[str | None, typer.Option("--model", help="Of this model only.")] = None,
    apply: Annotated[
        bool, typer.Option("--apply/--dry-run", help="Write the adjustments; or only show them.")
    ] = False,
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """Price past usage again, by the prices in force on its days."""
    import time

    from towplane.document.load import load_file
    from towplane.parts.money import format_nanousd
    from towplane.tenants.ledger.reprice import RepricingWanted

    plane = load_file(file).plane
    ledger = open_ledger(file)
    book = _book_for(plane, ledger)
    first, last = _span(since, until)
    wanted = RepricingWanted(first, last, model, f"cli:{user_name()}", book.package)
    found = ledger.reprice(_prices_of(plane, book), wanted, now=time.time(), apply=apply)
    lag = ledger.lag()
    output = Output(json=json)
    output.object({"applied": apply, "lag_events": lag, "book": book.package or None,
                   "repricing": found})  # fmt: skip
    output.table(
        ["day", "model", "attempts", "changed", "no price", "before", "after", "difference"],
        [
            [day.day, day.model, day.attempts, day.changed, day.unknown,
             format_nanousd(day.before_nanousd), format_nanousd(day.after_nanousd),
             format_nanousd(day.difference_nanousd)]
            for day in found.days
        ],
        empty="nothing with known usage in these days",
    )  # fmt: skip
    if found.pruned:
        output.note(
            f"{found.pruned} attempts are not kept one by one any more and stay as they are"
        )
    if lag:
        output.note(f"{lag} events of the journal are not in the ledger yet and stay as they are")
    if found.changed and not apply:
        output.note("nothing was written; --apply writes the adjustments")
    elif found.number is not None:
        output.lines(
            f"repricing {found.number}: {found.changed} attempts, difference "
            f"{format_nanousd(found.difference_nanousd)}",
            style="green",
        )
        output.note("budgets of a running plane count it from their next window, or its restart")


def provisioned(
    since: From,
    until: To,
    by_day: Annotated[bool, typer.Option("--by-day", help="A row for each day.")] = False,
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """Share out capacity that is paid for by the hour over those who used it."""
    from towplane.document.load import load_file

    plane = load_file(file).plane
    ledger = open_ledger(file)
    first, last = _whole_days(*_span(since, until))
    days, shares = _share_out(plane, _book_for(plane, ledger), ledger, first, last)
    output = Output(json=json)
    output.object({"from": first, "to": last, "days": days, "shares": shares})
    output.table(
        ["capacity", *(["day"] if by_day else []), "tenant", "model", "input", "cached", "output",
         "cost", "share"],
        _capacity_rows(days, shares, by_day=by_day),
        empty="no capacity of the document was paid for in these days",
    )  # fmt: skip
    if any(not day.is_by_hour for day in days):
        output.note("of older days only the sums are kept: such a day is shared out as one")


def price_sources(plane: "Plane", ledger: "Ledger", book: "PriceBook | None" = None) -> "Sources":
    """From a target and its days to where the prices of these days were read."""
    from towplane.tenants.pricing.entries import entry_at, moment_of
    from towplane.tenants.windows import DAY_S

    upstream: dict[str, list[str]] = {}
    for target, model in ledger.targets():
        upstream.setdefault(target, []).append(model)
    prices_of = _prices_of(plane, _book_for(plane, ledger) if book is None else book)

    def find(target: str, first: str, last: str) -> list[str]:
        since, until = moment_of(first), moment_of(last) + DAY_S
        entries = []
        for model in upstream.get(target, []):
            prices = prices_of(target, model)
            begun = entry_at(prices, since)
            entries += [begun] if begun is not None else []
            entries += [entry for entry in prices if since < entry.since < until]
        return [
            f"{entry.origin}: {entry.source}" if entry.source else str(entry.origin)
            for entry in entries
            if entry.sheet is not None
        ]

    return find


def _span(since: str, until: str) -> tuple[str, str]:
    from towplane.parts.errors import BadRequest

    first, last = str(read_day("from", since)), str(read_day("to", until))
    if last < first:
        raise BadRequest(
            f"--to {last} is before --from {first}", param="to", next_step="turn them round"
        )
    return first, last


def _whole_days(first: str, last: str) -> tuple[str, str]:
    """Without today: what is left of it is not idle yet."""
    import time

    from towplane.tenants.windows import DAY_S, day_of

    return first, min(last, day_of(time.time() - DAY_S))


def _book_for(plane: "Plane", ledger: "Ledger") -> "PriceBook":
    """The price book with answers about every model that routes use or the ledger knows."""
    from towplane.gateway.price_lists import question_of, questions_of
    from towplane.tenants.pricing.book import open_book

    past = (question_of(plane, t.partition("/")[0], model) for t, model in ledger.targets())
    asked = [*questions_of(plane), *(question for question in past if question is not None)]
    return open_book(Path(plane.data_dir), asked)


def _prices_of(plane: "Plane", book: "PriceBook") -> "PricesOf":
    """The prices of a target as the ledger names it: `PROVIDER/MODEL` or `ENGINE/REPLICA`."""
    from towplane.gateway.price_lists import engine_entries, provider_entries

    known: dict[tuple[str, str], Sequence[PriceEntry]] = {}

    def find(target: str, model: str) -> "Sequence[PriceEntry]":
        found = known.get((target, model))
        if found is None:
            name = target.partition("/")[0]
            engine = plane.engines.get(name)
            # Behind many addresses a target is PROVIDER/MODEL@HOST:PORT.
            if name in plane.providers and f"{target}@".startswith(f"{name}/{model}@"):
                found = provider_entries(plane, name, model, book)
            else:
                found = engine_entries(engine.prices) if engine is not None else ()
            known[target, model] = found
        return found

    return find


def _share_out(
    plane: "Plane", book: "PriceBook", ledger: "Ledger", first: str, last: str
) -> "tuple[list[CapacityDay], list[CapacityShare]]":
    from towplane.gateway.price_lists import capacities_of, on_demand_prices
    from towplane.tenants.pricing.provisioned import days_between, share_out

    days: list[CapacityDay] = []
    shares: list[CapacityShare] = []
    for provider, capacity, only_marked in capacities_of(plane):
        targets = [f"{provider}/{model}" for model in capacity.models]
        uses = ledger.capacity_uses(targets, since=first, until=last, only_marked=only_marked)
        prices = on_demand_prices(plane, provider, capacity.models, book, first)
        found, parts = share_out(capacity, uses, days_between(first, last), prices)
        days += found
        shares += parts
    return days, shares


def _capacity_rows(
    days: "list[CapacityDay]", shares: "list[CapacityShare]", *, by_day: bool
) -> list[list[str | int | None]]:
    """The users of each capacity, and what was idle of it."""
    from towplane.parts.money import format_nanousd

    paid: dict[str, int] = {}
    sums: dict[tuple[str, ...], list[int]] = {}
    for day in days:
        paid[day.capacity] = paid.get(day.capacity, 0) + day.cost_nanousd
        when = (day.day,) if by_day else ()
        total = sums.setdefault((day.capacity, *when, "(idle)", ""), [0, 0, 0, 0])
        total[3] += day.idle_nanousd
    for share in shares:
        when = (share.day,) if by_day else ()
        total = sums.setdefault((share.capacity, *when, share.tenant, share.model), [0, 0, 0, 0])
        for place, amount in enumerate(
            (share.input_tokens, share.cached_input_tokens, share.output_tokens,
             share.cost_nanousd)
        ):  # fmt: skip
            total[place] += amount
    return [
        [
            *(name or None for name in names),
            *(None if names[-2] == "(idle)" else count for count in counts),
            format_nanousd(cost),
            f"{cost / paid[names[0]]:.1%}" if paid[names[0]] else None,
        ]
        for names, (*counts, cost) in sorted(sums.items())
    ]
