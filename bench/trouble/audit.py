"""The auditor: the ledger, the vendors' bills and what clients got, held against each other.

The rule of comparison, attempt by attempt. The id that the plane sends as `x-towplane-request-id`
is the ledger's id of the attempt, so each bill finds its row.

- The vendor sent a good answer to its end (status 200, no fault that cuts it): the row says `ok`,
  `measured`, and exactly the billed input, output and cached tokens, cache writes by lifetime, and
  thoughts, as far as the vendor's book has them. Two exceptions, counted with
  their sums: the client left in the same moment, or the plane had just given up waiting.
- The vendor was cut (its own fault, the client left, the plane gave up): the row exists once and
  says `estimated` or `absent`, never `ok`; a vendor bills what it had written, the plane what it
  had read, and the sums of both are told apart from the rest. Where such a row says `measured`,
  the vendor's own words had come in time, and then they must agree, too.
- The vendor answered with an error: nothing is billed, and the row says `absent` and costs nothing.
- No bill (refused connection, reset before the head): the row says anything but `ok`.

Costs are counted again from each row's tokens and the table in `scene`. Pure.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from trouble.load import Outcome
from trouble.moods import CUTTING
from trouble.scene import PRICES
from trouble.vendors import Bill

__all__ = ["COLUMNS", "Audit", "Row", "Sums", "audit"]

COLUMNS = (
    "id", "target", "cause", "outcome", "usage", "final", "status", "input", "cached_input",
    "output", "cost_nanousd", "service", "cache_write", "cache_write_1h", "reasoning",
)  # fmt: skip
_MOST = 20


class Row(NamedTuple):
    """A row of the ledger, as far as it is audited; the names are its columns'."""

    id: str
    target: str
    cause: str
    outcome: str
    usage: str
    final: int
    status: int | None
    input: int | None
    cached_input: int | None
    output: int | None
    cost_nanousd: int | None
    service: str
    cache_write: int | None
    cache_write_1h: int | None
    reasoning: int | None


@dataclass
class Sums:
    """Attempts of one sort, and tokens as each side counts them."""

    attempts: int = 0
    billed_input: int = 0
    billed_output: int = 0
    billed_cached: int = 0
    ledger_input: int = 0
    ledger_output: int = 0
    ledger_cached: int = 0

    def add(self, bill: Bill, row: Row) -> None:
        self.attempts += 1
        self.billed_input += bill.input
        self.billed_output += bill.output
        self.billed_cached += bill.cached
        self.ledger_input += row.input or 0
        self.ledger_output += row.output or 0
        self.ledger_cached += row.cached_input or 0


@dataclass
class Audit:
    """What was found."""

    requests: int = 0
    attempts: int = 0
    wrong: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """By rule: the first of what breaks it."""
    counts: Counter[str] = field(default_factory=Counter)
    """By rule: how often it is broken."""
    sums: defaultdict[str, Sums] = field(default_factory=lambda: defaultdict(Sums))
    """By sort of attempt."""
    vendors: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    causes: Counter[str] = field(default_factory=Counter)
    cost_nanousd: int = 0

    @property
    def amplification(self) -> float:
        """Attempts per request that reached a target."""
        return self.attempts / self.requests if self.requests else 0.0

    def complain(self, rule: str, what: str) -> None:
        """Something breaks a rule."""
        self.counts[rule] += 1
        if len(self.wrong[rule]) < _MOST:
            self.wrong[rule].append(what)


def audit(rows: Sequence[Row], bills: Iterable[Bill], outcomes: Sequence[Outcome]) -> Audit:
    """Hold everything against everything."""
    found = Audit(attempts=len(rows))
    by_id = {row.id: row for row in rows}
    if len(by_id) != len(rows):
        found.complain("books", f"{len(rows) - len(by_id)} rows are there twice")
    billed = _hold_bills(found, by_id, bills)
    requests = _by_request(rows)
    found.requests = len(requests)
    for row in rows:
        found.causes[row.cause] += 1
        _hold_cost(found, row)
        if row.id not in billed:
            found.sums[f"no bill, {row.usage}"].attempts += 1
            if row.outcome == "ok":
                found.complain("books", f"{row.id} is ok, and nobody answered it: {row}")
    for request_id, attempts in requests.items():
        _hold_request(found, request_id, attempts)
    _hold_clients(found, requests, outcomes)
    return found


def _hold_bills(found: Audit, rows: dict[str, Row], bills: Iterable[Bill]) -> set[str]:
    seen: set[str] = set()
    for bill in bills:
        found.vendors[bill.vendor]["attempts"] += 1
        found.vendors[bill.vendor][bill.fault] += 1
        if bill.id in seen:
            found.complain("books", f"{bill.id} was sent twice: {bill}")
        seen.add(bill.id)
        row = rows.get(bill.id)
        if row is None:
            found.complain("books", f"no row for {bill}")
        elif not row.target.startswith(f"{bill.vendor}/"):
            found.complain("books", f"{row} was billed by {bill.vendor}")
        else:
            _hold_bill(found, bill, row)
    return seen


def _hold_bill(found: Audit, bill: Bill, row: Row) -> None:
    """One bill against its row."""
    agrees = _agrees(bill, row)
    if bill.status >= 400:
        found.sums["error, nothing billed"].attempts += 1
        if row.usage != "absent" or row.cost_nanousd is not None or row.outcome == "ok":
            if row.outcome in ("cancelled", "timeout"):
                return  # it was given up before the error came
            found.complain("books", f"an error costs something: {row}, {bill}")
        return
    gave_up = row.outcome in ("cancelled", "timeout")
    if bill.is_finished and bill.fault not in CUTTING and not gave_up:
        found.sums["finished"].add(bill, row)
        if row.outcome != "ok" or row.usage != "measured" or not agrees:
            found.complain("books", f"not as billed: {row}, {bill}")
        return
    if row.usage == "measured":
        found.sums["cut, measured"].add(bill, row)
        if not agrees:
            found.complain("books", f"not as billed, although cut: {row}, {bill}")
        return
    found.sums[f"cut, {row.usage}, {row.outcome}"].add(bill, row)
    if row.outcome == "ok":
        found.complain("books", f"ok, although cut: {row}, {bill}")


def _agrees(bill: Bill, row: Row) -> bool:
    """To the token, in every direction that the vendor's book knows."""
    if (row.input, row.output, row.cached_input) != (bill.input, bill.output, bill.cached):
        return False
    written = (row.cache_write or 0, row.cache_write_1h or 0)
    if bill.written is not None and written != bill.written:
        return False
    return bill.thought is None or (row.reasoning or 0) == bill.thought


def _hold_cost(found: Audit, row: Row) -> None:
    """The cost by the table, in whole numbers."""
    if row.usage == "absent":
        if row.cost_nanousd is not None or row.input is not None or row.output is not None:
            found.complain("costs", f"absent, and yet: {row}")
        return
    price = PRICES[row.target]
    assert row.input is not None
    assert row.output is not None
    cached = row.cached_input or 0
    write, write_1h = row.cache_write or 0, row.cache_write_1h or 0
    per_write = price.get("write", price["input"])
    exact = (
        (row.input - cached - write - write_1h) * price["input"]
        + cached * price["cached"]
        + write * per_write
        + write_1h * price.get("write_1h", per_write)
        + row.output * price["output"]
    )
    found.cost_nanousd += row.cost_nanousd or 0
    if row.service != "standard" or row.cost_nanousd != (exact + 500) // 1000:
        found.complain("costs", f"{row} costs {(exact + 500) // 1000}")


def _by_request(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.id.rpartition(".")[0]].append(row)
    for attempts in found.values():
        attempts.sort(key=lambda row: int(row.id.rpartition(".")[2]))
    return found


def _hold_request(found: Audit, request_id: str, attempts: list[Row]) -> None:
    """Attempts in order without a gap, the last one final, and at most one answer."""
    numbers = [int(row.id.rpartition(".")[2]) for row in attempts]
    if numbers != list(range(1, len(numbers) + 1)):
        found.complain("books", f"{request_id} has the attempts {numbers}")
    if [row.final for row in attempts] != [0] * (len(attempts) - 1) + [1]:
        found.complain("once", f"not one final attempt: {attempts}")
    if sum(row.outcome == "ok" for row in attempts) > 1:
        found.complain("once", f"answered twice: {attempts}")


def _hold_clients(
    found: Audit, requests: dict[str, list[Row]], outcomes: Sequence[Outcome]
) -> None:
    """What each client got is what the ledger says of its request."""
    known: set[str] = set()
    unknown = 0
    for one in outcomes:
        if not one.request_id:
            unknown += one.kind == "left"
            continue
        if one.request_id in known:
            found.complain("once", f"two clients were told {one.request_id}")
        known.add(one.request_id)
        good = [row for row in requests.get(one.request_id, ()) if row.outcome == "ok"]
        if one.kind == "answered":
            if not good:
                found.complain("once", f"answered, and no attempt is ok: {one}")
            elif one.attempt and one.attempt != good[0].id:
                found.complain("once", f"the words of another attempt: {one}, {good}")
        elif one.kind in ("refused", "failed") and good:
            found.complain("once", f"an answer was there, and the client got an error: {one}")
    strangers = requests.keys() - known
    if len(strangers) > unknown:
        say = f"{len(strangers)} requests in the ledger, {unknown} clients left without an id"
        found.complain("once", say)
