"""Third station: may this caller do this now? Units of every limit are taken before anything runs.

A request needs one unit of each limit of requests, its tokens of each limit of tokens, and its
money of each budget, of its tenant, of its project and of its key: all of them or none. They are
reserved at the highest that the request may cost, and `settle` gives back what was not used. Units
live in the worker's shares (`tenants.leases`); when a share is too small, `admit` says which, and
the line waits for the coordinator. What it has got by then stays with the request, so that two
workers that need the same two units cannot take them from each other without end; both ask in the
same order.
"""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from towplane.parts.errors import NotAllowed, OverBudget, PlaneError, Saturated
from towplane.tenants.cost import cost_nanousd
from towplane.tenants.leases import RATES, REQUESTS, TOKENS, Share
from towplane.tenants.measures import MEASURES, MONEY, limits_of
from towplane.tenants.spec import Budget, Limits
from towplane.tenants.windows import next_window_s, windows_at

if TYPE_CHECKING:
    from towplane.gateway.exchange import Exchange

ADMISSION_WAIT_S: Final = 2.0
"""How long a request may wait for units; a coordinator answers in well under a millisecond."""
_MOST_TOKENS: Final = 2**30

Amounts = tuple[int, int, int, int]
"""Of each unit that a share can have, in the order of `tenants.leases`."""


class Account:
    """The shares of one tenant, project or key in this worker."""

    __slots__ = ("_budget", "_known", "has_budget", "is_limited", "limits", "name", "shares",
                 "turns_at")  # fmt: skip

    def __init__(self, name: str, limits: Limits, budget: Budget) -> None:
        self.name = name
        """`tenant/NAME`, `project/TENANT/NAME` or `key/ID`."""
        self._hold(limits, budget)
        self.shares: tuple[Share, ...] = ()
        self.turns_at = 0.0
        """Wall clock at which a window of a budget ends, so that new shares are due."""
        self._known: dict[str, Share] = {}

    def shares_at(self, wall: float) -> tuple[Share, ...]:
        """The shares that a request of now needs."""
        if wall >= self.turns_at:
            self._turn(wall)
        return self.shares

    def find(self, name: str) -> Share | None:
        """The share of this name, also of a limit that was lifted."""
        return self._known.get(name)

    def known(self) -> Iterable[Share]:
        """Every share that may hold units."""
        return self._known.values()

    def update(self, limits: Limits, budget: Budget) -> bool:
        """The document or a command says what holds; whether that is something new."""
        if (limits, budget) == (self.limits, self._budget):
            return False
        self._hold(limits, budget)
        self.turns_at = 0.0
        return True

    def _hold(self, limits: Limits, budget: Budget) -> None:
        self.limits, self._budget = limits, budget
        hard = [limit.measure for limit in limits_of(limits, budget, windows_at(0.0))]
        self.has_budget = any(MEASURES[measure].unit == MONEY for measure in hard)
        self.is_limited = bool(hard)

    def _turn(self, wall: float) -> None:
        windows = windows_at(wall)
        wanted = list(limits_of(self.limits, self._budget, windows))
        # A share outlives its limit: what runs gives its units back to it, and if the limit comes
        # again, the coordinator still knows what this worker holds.
        current = {"", *windows}
        self._known = {
            name: share for name, share in self._known.items() if name.rsplit("/", 1)[1] in current
        }
        names = [pool_name(self.name, limit.measure, limit.window) for limit in wanted]
        for name, limit in zip(names, wanted, strict=True):
            self._known.setdefault(name, Share(name, limit.measure))
        self.shares = tuple(self._known[name] for name in names)
        has_window = any(limit.window for limit in wanted)
        self.turns_at = wall + next_window_s(wall) if has_window else math.inf


class Ticket:
    """What one admitted request holds."""

    __slots__ = ("nanousd", "shares", "taken_at", "tokens", "used_nanousd", "used_tokens")

    def __init__(
        self, shares: list[Share], taken_at: float, tokens: int, nanousd: int | None
    ) -> None:
        self.shares = shares
        self.taken_at = taken_at
        self.tokens = tokens
        """Tokens reserved."""
        self.nanousd = nanousd
        """Money reserved; None: no price is known."""
        self.used_tokens = 0
        self.used_nanousd = 0
        """What its attempts used, added up by the account station."""


class Short(NamedTuple):
    """The units that are missing."""

    share: Share
    amount: int


class Denied(NamedTuple):
    """The coordinator has no such units."""

    pool: str
    amount: int
    retry_after_s: float | None

    def of(self, short: Short) -> bool:
        """Whether this answers the same need, or a smaller one."""
        return self.pool == short.share.name and short.amount >= self.amount


def pool_name(account: str, measure: str, window: str) -> str:
    """The name of a pool, the same in the worker and at the coordinator."""
    return f"{account}/{measure}/{window}"


def admit(x: "Exchange") -> Short | None:
    """Take what the request needs, into `x.ticket`; or nothing, and say what is missing."""
    hall, ask, route = x.hall, x.ask, x.route
    assert route is not None
    accounts = hall.accounts_of(x.caller)
    wall = x.wall
    if hall.journal.is_short and (trouble := hall.journal.trouble) is not None:
        raise trouble
    output = 0
    if ask.operation.generates:
        limit = route.info.spec.reserve_output if ask.output_limit is None else ask.output_limit
        output = limit * ask.samples
        if output > _MOST_TOKENS:
            output = _MOST_TOKENS
    x.output_limit = output
    tokens = ask.input_estimate + output
    price = route.dearest.price_at(wall, ask)
    money = None if price is None else cost_nanousd(price, ask.input_estimate, 0, output)
    if money is None and _has_budget(accounts) and not hall.may_be_unpriced(x):
        raise NotAllowed(
            f"The price of `{ask.model}` is unknown, and this key spends from a budget.",
            next_step="The vendor can set its price, or allow unpriced models for this tenant.",
            reason="price-unknown",
        )
    if x.taken:
        _release(x)
    amounts = (1, 1, tokens, money or 0)
    taken: list[Share] = []
    for account in accounts:
        for share in account.shares if wall < account.turns_at else account.shares_at(wall):
            amount = amounts[share.unit]
            if share.free < amount:
                x.taken, x.taken_amounts = taken, amounts
                return Short(share, amount - share.free)
            share.free -= amount
            taken.append(share)
    taken_at = hall.now() if x.moment else x.begun_at  # later than begun only if it waited
    x.ticket = Ticket(taken, taken_at, tokens, money)
    count_request = route.retries.request
    count_request(x.begun_at)
    route.counters.in_flight += 1
    return None


def settle(x: "Exchange") -> None:
    """Give back what the request held and did not use. Harmless for one never admitted."""
    ticket = x.ticket
    if ticket is None or x.route is None:
        _release(x)
        return
    x.ticket = None
    x.route.counters.in_flight -= 1
    tokens = ticket.tokens - ticket.used_tokens
    unused = (0, 1, tokens, (ticket.nanousd or 0) - ticket.used_nanousd)
    for share in ticket.shares:
        unit = share.unit
        if unit == TOKENS:
            share.settle(tokens, ticket.taken_at)
        else:
            share.free += unused[unit]
    if not x.attempts:
        _uncount(ticket)


def refusal_of(x: "Exchange", short: Short) -> PlaneError:
    """The words for a request that did not get its units."""
    measure = short.share.measure
    info = MEASURES[measure]
    words, reason = info.words, info.reason
    whose = short.share.name.partition("/")[0]
    denied = x.denied
    if denied is None or denied.pool != short.share.name:
        return Saturated(
            f"The plane could not decide in time about this {whose}'s {words}.",
            next_step="Try again.",
            reason="admission-timeout",
            after_s=1.0,
        )
    after_s = denied.retry_after_s
    if info.unit != MONEY:
        if after_s is None:
            return Saturated(
                f"This request alone needs more than this {whose}'s {words} allow.",
                next_step="Ask for fewer tokens." if info.unit == TOKENS else "Ask your vendor.",
                reason=reason,
            )
        return Saturated(
            f"This {whose}'s limit of {words} is reached.",
            next_step=f"Try again in {math.ceil(after_s)} s.",
            reason=reason,
            after_s=after_s,
        )
    return OverBudget(
        f"This {whose}'s {words} does not cover this request.",
        next_step="Ask for fewer tokens, or ask the vendor for a higher budget.",
        reason=reason,
    )


def _has_budget(accounts: Iterable[Account]) -> bool:
    return any(account.has_budget for account in accounts)


def _uncount(ticket: Ticket) -> None:
    """Nothing was asked upstream, so that the ledger knows no such request: nor does its day."""
    for share in ticket.shares:
        if share.unit == REQUESTS and share.measure not in RATES:
            share.free += 1


def _release(x: "Exchange") -> None:
    """Give back what was taken for a request that has not been admitted."""
    for share in x.taken:
        share.free += x.taken_amounts[share.unit]
    x.taken = ()
