"""The ledger beside a bill, by model and day. Pure.

The laws: nothing is lost: every token and every nano-dollar of both sides is in one row, or among
what has no counterpart; a side that says nothing is None and not 0; the verdict is by model over
all days, because a request over midnight is on one day here and on the next one there.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from towplane.tenants.reconciliation.bill import TOKEN_KINDS, BillLine, Kind
from towplane.tenants.reconciliation.names import match_names, words_of

__all__ = ["BookLine", "Difference", "DriftRow", "Reconciliation", "Unmatched", "reconcile"]


class BookLine(NamedTuple):
    """What the ledger says of one upstream model on one day."""

    day: str
    model: str
    tokens: Mapping[Kind, int]
    nanousd: int | None
    attempts: int
    estimated: int
    absent: int
    unpriced: int


class Difference(msgspec.Struct, kw_only=True):
    """One number on both sides; None: that side does not say."""

    ledger: int | None
    bill: int | None
    difference: int | None = None
    """Ledger less bill."""
    ratio: float | None = None
    """The difference as a share of the bill."""


class DriftRow(msgspec.Struct, kw_only=True):
    """One model on one day, or on all days."""

    day: str | None
    """None: all days."""
    model: str
    input: Difference
    """Uncached."""
    cache_read: Difference
    cache_write: Difference
    output: Difference
    nanousd: Difference
    attempts: int = 0
    estimated: int = 0
    """Attempts whose usage the plane counted itself: where a drift may come from."""
    absent: int = 0
    unpriced: int = 0
    is_over: bool = False
    """Some difference is above the tolerance."""


class Unmatched(msgspec.Struct, kw_only=True):
    """Something that one side alone knows."""

    side: str
    """`bill` or `ledger`."""
    name: str
    """The model's name there, or the line's own words."""
    why: str
    tokens: int = 0
    nanousd: int | None = None
    lines: int = 0
    is_capacity: bool = False
    """Paid by the hour: `towplane tenants provisioned` shares it out."""


class Reconciliation(msgspec.Struct, kw_only=True):
    """The whole answer."""

    days: list[DriftRow]
    models: list[DriftRow]
    unmatched: list[Unmatched]
    other_nanousd: int
    """Credits, taxes and discounts on the bill: money without usage."""
    is_within: bool
    """No model is above the tolerance, and what has no counterpart is below it, as a share of the
    bill. Capacity by the hour has none and does not count."""


def reconcile(
    book: Iterable[BookLine],
    bill: Iterable[BillLine],
    *,
    mapped: Mapping[str, str] | None = None,
    tolerance: float = 0.01,
) -> Reconciliation:
    """Compare; `mapped` says which model of the ledger a name on the bill is."""
    book, bill = list(book), list(bill)
    ours = {line.model for line in book}
    theirs = match_names({line.model for line in bill if line.model}, ours, mapped or {})
    names = {name: _first(name, ours) for name in ours}
    usage = [line for line in bill if line.is_usage]
    matched = [line for line in usage if line.model in theirs and line.kind in TOKEN_KINDS]
    billed = set(theirs.values())
    both = [line for line in book if names[line.model] in billed]
    days = _rows(both, matched, names, theirs, tolerance, by_day=True)
    models = _rows(both, matched, names, theirs, tolerance, by_day=False)
    unmatched = [*_alone(book, names, billed), *_strange(usage, theirs)]
    total = sum(line.nanousd or 0 for line in usage)
    loose = sum(one.nanousd or 0 for one in unmatched if not one.is_capacity)
    return Reconciliation(
        days=days,
        models=models,
        unmatched=unmatched,
        other_nanousd=sum(line.nanousd or 0 for line in bill if not line.is_usage),
        is_within=loose <= tolerance * total and not any(row.is_over for row in models),
    )


def _first(name: str, names: Iterable[str]) -> str:
    """Names with the same words are one model, called by the first of them."""
    words = words_of(name)
    return min((other for other in names if words and words_of(other) == words), default=name)


class _Sums:
    """Both sides of one row."""

    def __init__(self) -> None:
        self.book: dict[str, int | None] = {}
        self.bill: dict[str, int | None] = {}
        self.counts = [0, 0, 0, 0]


def _rows(
    book: list[BookLine],
    bill: list[BillLine],
    names: Mapping[str, str],
    theirs: Mapping[str, str],
    tolerance: float,
    *,
    by_day: bool,
) -> list[DriftRow]:
    sums: dict[tuple[str, str], _Sums] = {}
    for line in book:
        place = (line.day if by_day else "", names[line.model])
        found = sums.setdefault(place, _Sums())
        for kind in TOKEN_KINDS:
            _add(found.book, kind, line.tokens.get(kind, 0))
        _add(found.book, "nanousd", line.nanousd)
        counts = (line.attempts, line.estimated, line.absent, line.unpriced)
        found.counts = [a + b for a, b in zip(found.counts, counts, strict=True)]
    for one in bill:
        found = sums.setdefault((one.day if by_day else "", theirs[one.model]), _Sums())
        _add(found.bill, one.kind, one.tokens)
        _add(found.bill, "nanousd", one.nanousd)
    return [_row(day or None, model, sums[day, model], tolerance) for day, model in sorted(sums)]


def _add(sums: dict[str, int | None], name: str, amount: int | None) -> None:
    """What is unknown once is unknown in the sum."""
    before = sums.get(name, 0)
    sums[name] = None if amount is None or before is None else before + amount


def _row(day: str | None, model: str, sums: _Sums, tolerance: float) -> DriftRow:
    found = {
        name: _difference(sums, name, has_bill=bool(sums.bill))
        for name in (*TOKEN_KINDS, "nanousd")
    }
    attempts, estimated, absent, unpriced = sums.counts
    return DriftRow(
        day=day,
        model=model,
        input=found["input"],
        cache_read=found["cache_read"],
        cache_write=found["cache_write"],
        output=found["output"],
        nanousd=found["nanousd"],
        attempts=attempts,
        estimated=estimated,
        absent=absent,
        unpriced=unpriced,
        is_over=any(_is_over(one, tolerance) for one in found.values()),
    )


def _difference(sums: _Sums, name: str, *, has_bill: bool) -> Difference:
    ledger = sums.book.get(name, 0 if sums.book else None)
    bill = sums.bill.get(name, 0 if has_bill else None)
    if ledger is None or bill is None:
        return Difference(ledger=ledger, bill=bill)
    difference = ledger - bill
    ratio = difference / bill if bill else (0.0 if not difference else None)
    return Difference(ledger=ledger, bill=bill, difference=difference, ratio=ratio)


def _is_over(one: Difference, tolerance: float) -> bool:
    if one.difference is None:
        return bool(one.ledger or one.bill)  # one side says something, and the other nothing
    return bool(one.difference) and (one.ratio is None or abs(one.ratio) > tolerance)


def _alone(book: list[BookLine], names: Mapping[str, str], billed: set[str]) -> Iterable[Unmatched]:
    """Models of the ledger that are not on the bill."""
    found: dict[str, Unmatched] = {}
    for line in book:
        if names[line.model] in billed:
            continue
        one = found.setdefault(
            line.model,
            Unmatched(side="ledger", name=line.model, why="not on the bill by this name"),
        )
        one.lines += line.attempts
        one.tokens += sum(line.tokens.values())
        if line.nanousd is not None:
            one.nanousd = (one.nanousd or 0) + line.nanousd
    return found.values()


def _strange(usage: list[BillLine], theirs: Mapping[str, str]) -> Iterable[Unmatched]:
    """Lines of the bill that are no tokens of a model of the ledger."""
    found: dict[tuple[str, str], Unmatched] = {}
    for line in usage:
        if line.model in theirs and line.kind in TOKEN_KINDS:
            continue
        if line.kind == "capacity":
            name, why = line.words, "capacity: paid by the hour, not by token"
        elif line.kind == "other" or not line.model:
            name, why = line.words, "neither tokens nor capacity, or not understood"
        else:
            name, why = line.model, "no model of the ledger has these words; say which with --map"
        is_capacity = line.kind == "capacity"
        one = found.setdefault(
            (name, why), Unmatched(side="bill", name=name, why=why, is_capacity=is_capacity)
        )
        one.lines += 1
        one.tokens += line.tokens or 0
        if line.nanousd is not None:
            one.nanousd = (one.nanousd or 0) + line.nanousd
    return [found[place] for place in sorted(found)]
